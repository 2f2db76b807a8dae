"""Parts of figures that show a matrix as a grid: its cells, its lines, its numbers; and measured places on an axis."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from course.figures import style


def grid(ax, values: np.ndarray, most: float, numbers: bool) -> None:
    """A heat map from 0 to `most`, with its numbers where they can be read."""
    ax.imshow(np.abs(values), cmap=style.HEAT, vmin=0, vmax=most, aspect="equal", interpolation="nearest")
    frame(ax, *values.shape, lines=numbers)
    if not numbers:
        return
    for (i, j), value in np.ndenumerate(values):
        ground = to_hex(style.HEAT(abs(value) / most))
        ax.text(j, i, short(value), ha="center", va="center", fontsize=9, color=style.text_colour(ground))


def frame(ax, rows: int, columns: int, lines: bool = True) -> None:
    """A pale border round an axis of so many cells, and pale lines between them."""
    ax.grid(visible=False)
    ax.tick_params(length=0)
    if lines:
        ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        ax.grid(which="minor", axis="both", color="#e4e2da", linewidth=0.8)
        ax.tick_params(which="minor", length=0)
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color("#d5d3cb")


def short(value: float) -> str:
    """At most two decimals, and no zeros at the end."""
    return "0" if abs(value) < 0.005 else f"{value:.2f}".rstrip("0").rstrip(".")


def listed(values) -> str:
    """Numbers for alternative text."""
    return ", ".join(short(value) for value in values)


def ticks(ax, values: Sequence[int]) -> None:
    """The measured places on a logarithmic axis, as plain numbers."""
    ax.xaxis.set_major_locator(FixedLocator(list(values)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
