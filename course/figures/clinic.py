"""The clinic in pictures: a patient's run beside the one without the fault, and which instrument sees which fault."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_hex

from course.figures import style

WITHOUT = "without the fault"
LOOKS = (  # of the run without the fault, the patient's, the repaired one
    {"color": style.BLUE, "linestyle": "-", "linewidth": 1.5},
    {"color": style.BERRY, "linestyle": (0, (4, 1.5)), "linewidth": 2.0},
    {"color": style.ORANGE, "linestyle": ":", "linewidth": 3.2},
)
SEEN, UNSEEN, NOT_TRIED = "●", "○", ""  # the marks of the table, which say the same as its colours


def lists_of(chart) -> dict[str, Sequence[float]]:
    """What a chart has besides losses and norms that can be drawn as a line, by name."""
    return {
        name: values
        for name, values in chart.more.items()
        if isinstance(values, list | tuple) and values and all(isinstance(value, int | float) for value in values)
    }


@style.figure
def runs(charts: Mapping[str, object]):
    """The losses of some runs, and beside them what else can be drawn: a list of their own, or the gradients' norms.

    Args:
        charts: `course.clinic.program.Chart` by name, in this order: without the fault, the patient, the repaired run.
    """
    own = next((name for chart in charts.values() for name in lists_of(chart)), None)
    beside = own or "gradient's norm before clipping"
    fig, (left, right) = style.canvas(1, 2, height=2.9, width_ratios=(3, 2))
    said = {"loss": [], beside: []}
    for look, (name, chart) in zip(LOOKS, charts.items(), strict=False):
        lines = {left: ("loss", chart.losses), right: (beside, lists_of(chart).get(own) if own else chart.norms)}
        for ax, (what, values) in lines.items():
            if not values:
                continue
            ax.plot(range(1, len(values) + 1), values, **look, label=name)
            said[what].append(f"{name} from {values[0]:.3g} to {values[-1]:.3g}")
    every = [value for chart in charts.values() for value in chart.norms if np.isfinite(value) and value > 0]
    if not own and every and max(every) > 30 * min(every):
        right.set_yscale("log")
    for ax, title in ((left, "loss, nats per token"), (right, beside)):
        ax.set(xlabel="" if own and ax is right else "steps")
        style.panel_title(ax, title)
    left.legend()
    patient = next((name for name in charts if name != WITHOUT), "A run")
    ends = {1: "", 2: " beside the program without the fault", 3: " before and after the repair"}
    style.headline(fig, f"{patient}{ends[len(charts)]}")
    told = "; ".join(f"{what}: {', '.join(lines)}" for what, lines in said.items() if lines)
    return fig, f"Lines over the steps of {len(charts)} runs. {told[0].upper()}{told[1:]}."


@style.figure
def seen_by(alarms: Mapping[str, Mapping[str, bool | float | None]], title: str = "Which instrument sees which fault"):
    """The clinic's table: a row for each patient, a column for each instrument.

    Args:
        alarms: by patient and instrument whether it gave alarm, or in which fraction of runs; None or no entry: it was
            not tried, because that patient has nothing that it could look at.
    """
    columns = list(dict.fromkeys(name for row in alarms.values() for name in row))
    values = np.full((len(alarms), len(columns)), np.nan)
    for i, row in enumerate(alarms.values()):
        for j, name in enumerate(columns):
            if row.get(name) is not None:
                values[i, j] = float(row[name])
    fig, ax = style.canvas(height=1.6 + 0.26 * len(alarms))
    ax.imshow(np.where(np.isnan(values), 0, values), cmap=style.HEAT, vmin=0, vmax=1.15, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value):
            ax.plot(j, i, marker="_", color="#c9c7bf", markersize=7)
            continue
        whole = value in (0.0, 1.0)
        mark = (SEEN if value else UNSEEN) if whole else f"{value:.0%}".rstrip("%")
        ax.text(j, i, mark, ha="center", va="center", fontsize=10 if whole else style.SMALLEST,
                color=style.text_colour(to_hex(style.HEAT(value / 1.15))))  # fmt: skip
    ax.set_xticks(range(len(columns)), columns, rotation=52, ha="left", rotation_mode="anchor", fontsize=9)
    ax.set_yticks(range(len(alarms)), [textwrap.shorten(name, 46, placeholder=" ...") for name in alarms], fontsize=9)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    style.headline(fig, title)
    said = []
    for name, row in alarms.items():
        by = [column for column in columns if row.get(column)]
        said.append(f"{name}: {', '.join(by) if by else 'none'}")
    return fig, (
        f"A table of {len(alarms)} patients and {len(columns)} instruments; a filled circle on a dark ground is an "
        f"alarm, an empty circle none, a dash not tried. Alarms by patient. {'; '.join(said)}."
    )
