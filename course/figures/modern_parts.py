"""Parts of decoders since GPT-2, drawn: a pair of features that is turned, a gate, heads that share keys and values."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Arc, Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from course.figures import comparing, style, words

QUERY, KEY = style.NAVY, style.ORANGE
GROUPS = (style.BLUE, style.ORANGE, style.BERRY, style.SKY, style.TEAL)  # neighbors differ in lightness
SIDE = 0.74  # of the square of a head, where heads are 1 apart


def _signed(value: float, digits: int = 2) -> str:
    """A number as alternative text has it: no minus in front of a zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _drawn(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


@style.figure
def turned(query: Sequence[float], key: Sequence[float], frequency: float, places: Sequence[tuple[int, int]]):
    """One pair of features of a query and a key as arrows, turned by their positions: a panel for each two positions.

    Args:
        query, key: their two numbers before anything is turned.
        frequency: radians a token.
        places: for each panel the position of the query and that of the key.
    """
    columns = min(3, len(places))
    rows = math.ceil(len(places) / columns)
    fig, axes = style.canvas(rows, columns, height=0.75 + 2.85 * rows, squeeze=False)
    arrows = {"q": (np.asarray(query, dtype=float), QUERY), "k": (np.asarray(key, dtype=float), KEY)}
    longest = max(math.hypot(*arrow) for arrow, _ in arrows.values())
    scores = defaultdict(list)
    for ax in axes.flat[len(places):]:  # fmt: skip
        ax.axis("off")
    for ax, place in zip(axes.flat, places, strict=False):
        ends = []
        for (before, color), position in zip(arrows.values(), place, strict=True):
            cosine, sine = math.cos(position * frequency), math.sin(position * frequency)
            end = np.array([[cosine, -sine], [sine, cosine]]) @ before
            ax.add_patch(Circle((0, 0), math.hypot(*before), fill=False, edgecolor="#dcd9cf", linewidth=0.8))
            _arrow(ax, before, color, alpha=0.45, linestyle=(0, (4, 2)), linewidth=1.2)
            _arrow(ax, end, color, linewidth=2.6, zorder=3)
            ends.append(end)
        _angle(ax, *ends, 0.24 * longest)
        for name, end, other in zip(arrows, ends, ends[::-1], strict=True):
            out, away = end / math.hypot(*end), end / math.hypot(*end) - other / math.hypot(*other)
            if 1e-9 < math.hypot(*away) < 0.5:  # nearly the same way: the names go to either side
                out = 0.4 * out + away / math.hypot(*away)
            ax.text(*end + 0.15 * longest * out / math.hypot(*out), name, ha="center", va="center", fontweight="bold",
                    zorder=5)  # fmt: skip
        score, distance = float(ends[0] @ ends[1]), place[0] - place[1]
        scores[distance].append((place, _signed(score)))
        edge = 1.24 * longest
        ax.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal", xticks=[], yticks=[])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.plot([-edge, edge], [0, 0], [0, 0], [-edge, edge], color="#e4e2da", linewidth=0.8, linestyle="-", zorder=0)
        style.panel_title(ax, f"query at {place[0]:,}, key at {place[1]:,}\n"
                              f"{_drawn(f'{distance:,} apart: score {_signed(score)}')}")  # fmt: skip
    style.headline(fig, "Turned by their positions: the same distance, the same score")
    keys = [
        Line2D([], [], color=QUERY, linestyle="-", linewidth=2.6, label="query q"),
        Line2D([], [], color=KEY, linestyle="-", linewidth=2.6, label="key k"),
        Line2D([], [], color=style.QUIET, linestyle=(0, (4, 2)), linewidth=1.2, label="before they are turned"),
    ]
    fig.legend(handles=keys, loc="outside lower left", ncols=3)
    said = [
        f"{distance:,} apart: " + ", ".join(f"{score} with the query at {q:,} and the key at {k:,}"
                                            for (q, k), score in found)
        for distance, found in scores.items()
    ]  # fmt: skip
    alike = [f"{distance:,}" for distance, found in scores.items() if len(found) > 1]
    same = all(len({score for _, score in found}) == 1 for found in scores.values())
    lesson = "Scores of a query and a key"
    if alike:
        lesson = f"The score of a query and a key {'depends' if same else 'does not depend'} on the distance alone"
    return fig, comparing.text(
        f"{lesson}: {'; '.join(said)}",
        f"arrows of two features in a panel for each two positions; each is turned by its position at {frequency:g} "
        f"radian{'s' * (frequency != 1)} a token, so both turn on together and keep the angle between them where the "
        f"distance is the same",
        f"not turned the score is {_signed(float(np.dot(query, key)))}",
    )  # fmt: skip


def _arrow(ax, end: np.ndarray, color: str, **look) -> None:
    look = {"arrowstyle": "-|>", "mutation_scale": 13, "shrinkA": 0, "shrinkB": 0} | look
    ax.add_patch(FancyArrowPatch((0, 0), tuple(end), color=color, **look))


def _angle(ax, one: np.ndarray, other: np.ndarray, radius: float) -> None:
    """The smaller angle between two arrows: an arc, and its degrees at the arc's middle."""
    start, stop = (math.degrees(math.atan2(arrow[1], arrow[0])) for arrow in (one, other))
    between = (stop - start + 180) % 360 - 180
    start, between = (start, between) if between >= 0 else (stop, -between)
    ax.add_patch(Arc((0, 0), 2 * radius, 2 * radius, theta1=start, theta2=start + between, color=style.INK,
                     linewidth=1.3, zorder=4))  # fmt: skip
    middle = math.radians(start + between / 2)
    away = radius * 1.75
    if between < 40:  # a narrow angle has no room for its number
        middle, away = middle + math.radians(between / 2 + 40), radius * 1.5
    ax.text(away * math.cos(middle), away * math.sin(middle), f"{between:.0f}°", ha="center", va="center", fontsize=9,
            zorder=5, bbox={"facecolor": style.GROUND, "edgecolor": "none", "alpha": 0.8, "pad": 0.6})  # fmt: skip


@style.figure
def gate(x: Sequence[float], gelu: Sequence[float], silu: Sequence[float]):
    """GELU and SiLU as curves, and what a gate makes of what comes up: silu(gate) * up.

    Args:
        x: increasing numbers; both axes of the map have them as well.
        gelu, silu: the two functions there.
    """
    x, gelu, silu = (np.asarray(values, dtype=float) for values in (x, gelu, silu))
    fig, (left, right) = style.canvas(1, 2, height=3.7, width_ratios=(1, 1.1))
    left.axhline(0, color=style.QUIET, linewidth=0.8)
    for i, (name, values) in enumerate({"GELU": gelu, "SiLU": silu}.items()):
        left.plot(x, values, label=name, color=style.COLOURS[(0, 4)[i]], linestyle=style.LINESTYLES[i], linewidth=2.4)
    left.set(xlim=(x[0], x[-1]), xlabel="a feature", ylabel="what is handed on")
    left.legend()
    style.panel_title(left, "one number decides for itself")

    product = np.outer(x, silu)
    most = np.abs(product).max()
    right.pcolormesh(x, x, product, cmap=style.DIVERGING, vmin=-most, vmax=most, shading="gouraud", rasterized=True)
    steps = [float(f"{most * part:.0e}") for part in (0.03, 0.12, 0.3, 0.6)]
    lines = right.contour(x, x, product, levels=[-step for step in steps[::-1]] + steps, colors=style.INK,
                          linewidths=0.8)  # fmt: skip
    lines.set_linestyle(["--"] * 4 + ["-"] * 4)
    for text in right.clabel(lines, fmt=lambda level: _drawn(f"{level:g}"), fontsize=9):
        text.set_bbox({"facecolor": style.GROUND, "edgecolor": "none", "alpha": 0.75, "pad": 0.6})
    right.set(xlim=(x[0], x[-1]), ylim=(x[0], x[-1]), xlabel="gate", ylabel="up")
    right.grid(visible=False)
    for axis in (left.xaxis, right.xaxis, right.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    style.panel_title(right, "silu(gate) × up (dashed: below 0)")
    style.headline(fig, "A gate opens or shuts what comes another way")
    ends = [f"{_signed(float(np.abs(x * silu[i]).max()), 1)} at a gate of {x[i]:g}" for i in (0, -1)]
    negative = float(np.abs(np.outer(x, silu[x < 0])).max()) if (x < 0).any() else 0.0
    shuts = "let little through of what comes up" if negative < 0.1 * most else "let through what comes up as well"
    curves = []
    for name, values in (("GELU", gelu), ("SiLU", silu)):
        low = int(values.argmin())
        dip = f", with its lowest point, {_signed(values[low])}, at {x[low]:.1f}" if 0 < low < len(x) - 1 else ""
        curves.append(f"{name} goes from {_signed(values[0])} to {_signed(values[-1])}{dip}")
    return fig, comparing.text(
        f"Left: what passes depends on one number x, from {x[0]:g} to {x[-1]:g}: {'; '.join(curves)}",
        f"right, a map of silu(gate) times up: gates below 0 {shuts}, and gates above 0 pass it on, of either sign. "
        f"The most that passes is {' and '.join(ends)}",
        "contour lines with numbers, dashed below 0",
    )


@style.figure
def sharing(n_head: int, kinds: Mapping[str, int]):
    """Which head of keys and values each head of queries reads: a panel for each kind.

    Args:
        n_head: heads of queries.
        kinds: for each name its heads of keys and values, a divisor of `n_head`.
    """
    unit = min(0.42, 7.2 / len(kinds) / (n_head + 0.4))  # inches from head to head
    fig, axes = style.canvas(1, len(kinds), height=1.05 + 3.4 * unit, squeeze=False)
    said = []
    for ax, (name, heads) in zip(axes[0], kinds.items(), strict=True):
        if n_head % heads:
            raise ValueError(f"{n_head} heads of queries cannot share {heads} heads of keys and values equally")
        group = n_head // heads
        middles = [group * head + (group - 1) / 2 for head in range(heads)]
        for query in range(n_head):
            head = query // group
            color = GROUPS[head % len(GROUPS)]
            ax.plot([query, middles[head]], [2.6, 0], color=style.QUIET, linestyle="-", linewidth=1.3, zorder=1)
            _square(ax, query, 2.6, color)
            _square(ax, middles[head], 0, color)
        ax.set(xlim=(-0.7, n_head - 0.3), ylim=(-0.4, 3), aspect="equal")
        ax.axis("off")
        for y, shift, count, kind in ((3, 3, n_head, "queries"), (-0.4, -3, heads, "keys and values")):
            ax.annotate(f"{count} head{'s' * (count > 1)} of {kind}", ((n_head - 1) / 2, y), (0, shift),
                        textcoords="offset points", ha="center", va="bottom" if shift > 0 else "top",
                        fontsize=9)  # fmt: skip
        ax.set_title(fill(name, 78 // len(kinds)), fontsize=10.5, fontweight="normal", pad=22)
        readers = f"{group} heads of queries" if group > 1 else "one head of queries"
        told = f"{heads} heads of keys and values, each read" if heads > 1 else "1 head of keys and values, read"
        said.append(f"{name}: {told} by {readers}")
    style.headline(fig, "Which heads share their keys and values")
    fewest, most = min(kinds, key=kinds.get), max(kinds, key=kinds.get)
    lesson = f"{fewest} has {n_head // kinds[fewest]} times as many heads of queries as of keys and values"
    return fig, comparing.text(
        f"Heads of queries that share heads of keys and values: {'; '.join(said)}",
        lesson if kinds[fewest] < kinds[most] else "",
        f"squares in two rows, {words.count(n_head, 'head')} of queries above and those of keys and values below, with "
        "a line from each head of queries to the one it reads",
    )


def _square(ax, x: float, y: float, color: str) -> None:
    box = dict(boxstyle="round,pad=0,rounding_size=0.12", facecolor=color, edgecolor=style.QUIET, linewidth=0.8)
    ax.add_patch(FancyBboxPatch((x - SIDE / 2, y - SIDE / 2), SIDE, SIDE, zorder=2, **box))
