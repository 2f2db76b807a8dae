"""The clinic in pictures: a patient's run beside the one without the fault, and which instrument sees which fault."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_hex

from course.figures import comparing, style, words

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
    drawn = {"loss": {}, beside: {}}
    for look, (name, chart) in zip(LOOKS, charts.items(), strict=False):
        lines = {left: ("loss", chart.losses), right: (beside, lists_of(chart).get(own) if own else chart.norms)}
        for ax, (what, values) in lines.items():
            if not values:
                continue
            width = look["linewidth"] * (1 if ax is left else 0.6)  # norms leap: thick lines would hide one another
            ax.plot(range(1, len(values) + 1), values, **look | {"linewidth": width}, label=name)
            drawn[what][name] = values
            if ax is left:
                _mark_lost(ax, values, look["color"])
    every = [value for chart in charts.values() for value in chart.norms if np.isfinite(value) and value > 0]
    log = not own and bool(every) and max(every) > 30 * min(every)
    if log:
        right.set_yscale("log")
    for ax, title in ((left, "loss, nats per token"), (right, f"{beside} (log)" if log else beside)):
        ax.set(xlabel="" if own and ax is right else "steps")
        style.panel_title(ax, title)
    left.legend()
    patient = next((name for name in charts if name != WITHOUT), "A run")
    ends = {1: "", 2: " beside the program without the fault", 3: " before and after the repair"}
    style.headline(fig, f"{patient}{ends[len(charts)]}")
    steps = max((len(values) for values in drawn["loss"].values()), default=0)
    said = [f"{patient}{ends[len(charts)]}, over {words.count(steps, 'step')}."]
    for what, lines in drawn.items():
        compare = _norms if what == beside and not own else _losses
        if lines:
            said.append(f"{what[0].upper()}{what[1:]}: {compare(lines)}.")
    return fig, comparing.text(*said)


def _mark_lost(ax, values: Sequence[float], color: str) -> None:
    """Where a line ends for good because it is no number any more, say so."""
    finite = np.isfinite(np.asarray(values, dtype=float))
    steps = int(finite.sum())
    if 0 < steps < len(finite) and finite[:steps].all():
        ax.plot(steps, values[steps - 1], marker="x", color=color, markersize=7, markeredgewidth=2)
        ax.annotate(f"no number from step {steps + 1:,} on", (steps, values[steps - 1]), (8, 6),
                    textcoords="offset points", color=color)  # fmt: skip


def _losses(lines: Mapping[str, Sequence[float]]) -> str:
    """Each line beside the one without the fault: from where on it is another, where it lies, and how it ends."""
    well, said = lines.get(WITHOUT, ()), []
    ways = {name: words.shape(values) for name, values in lines.items()}
    for name, values in lines.items():
        if name == WITHOUT or not well:
            continue
        said.append(f"{name} {comparing.beside(values, well, 'it' if said else 'the line without the fault')}")
        if len(lines) == 2 and (ways[name].split()[0] != ways[WITHOUT].split()[0] or ", then " in ways[name]):
            said.append(f"{name} {ways[name]}")  # it goes another way than a healthy loss does
    return "; ".join(said + [f"{name} {way}" for name, way in ways.items() if name == WITHOUT or not well])


def _norms(lines: Mapping[str, Sequence[float]]) -> str:
    """Each line's usual size, and its growth or its highest peak: norms leap from step to step."""
    well = lines.get(WITHOUT)
    usual = {name: _median(values) for name, values in lines.items()}
    said = []
    for name, values in lines.items():
        values = np.asarray(values, dtype=float)
        finite = np.isfinite(values)
        if name != WITHOUT and well is not None and len(values) == len(well) and np.allclose(values, well, rtol=1e-3):
            said.append(f"{name} the same at every step")
            continue
        if not finite.any():
            said.append(f"{name} never a number")
            continue
        there, parts = values[finite], [f"{name} mostly near {words.number(usual[name])}"]
        if name != WITHOUT and usual.get(WITHOUT, 0) > 0 and usual[name] > 0:
            ratio = usual[name] / usual[WITHOUT]
            if max(ratio, 1 / ratio) >= 1.5:
                how = f"{comparing.times(ratio)} as large" if ratio > 1 else f"smaller by {comparing.times(1 / ratio)}"
                parts.append(how)
        part = max(1, min(comparing.LAST, len(there) // 3))
        first, last = there[:part].mean(), there[-part:].mean()
        if min(first, last) > 0 and max(first, last) > 3 * min(first, last):
            going = "growing" if last > first else "shrinking"
            parts.append(f"{going} from {words.number(first)} to {words.number(last)}")
        elif there.max() > 2.5 * usual[name]:
            parts.append(f"with a peak of {words.number(there.max())} at step {int(np.nanargmax(values)) + 1:,}")
        if not finite.all():
            lost = int(finite.argmin())
            parts.append(f"no number {'at' if finite[lost:].any() else 'from'} step {lost + 1:,}"
                         f"{'' if finite[lost:].any() else ' on'}")  # fmt: skip
        said.append(", ".join(parts))
    return "; ".join(said)


def _median(values: Sequence[float]) -> float:
    there = [value for value in values if np.isfinite(value)]
    return float(np.median(there)) if there else np.nan


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
    fig, ax = style.canvas(height=1.5 + 0.164 * len(alarms))
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
    return fig, _seen(alarms, columns)


def _seen(alarms: Mapping[str, Mapping[str, bool | float | None]], columns: Sequence[str]) -> str:
    """Which instrument sees most faults, which faults a single one sees, and what nobody sees."""
    by = {name: [column for column in columns if row.get(column)] for name, row in alarms.items()}
    sees = {column: sum(column in found for found in by.values()) for column in columns}
    most = max(sees.values(), default=0)
    best = [column for column, number in sees.items() if number == most]
    alone = {name: found[0] for name, found in by.items() if len(found) == 1}
    none = [name for name, found in by.items() if not found]
    counts = comparing.grouped({column: str(sees[column]) for column in sorted(columns, key=lambda each: -sees[each])})
    if most:
        seeing = f"{comparing.verb(best, 'gives', 'give')} alarm for {words.count(most, 'patient')}"
        seeing += ", the most; none does for every one" if most < len(alarms) else ", for every one"
    else:
        seeing = "No instrument gives alarm"
    single = words.listing(dict.fromkeys(alone.values()))
    return comparing.text(
        f"A table of {words.count(len(alarms), 'patient')} by {words.count(len(columns), 'instrument')}: a filled "
        "circle is an alarm, an empty circle none, a dash not tried",
        f"{seeing}.",
        f"No alarm at all for {comparing.some(none, 3)}." if none else "Every patient has an alarm.",
        f"Patients with an alarm, by instrument: {counts}.",
        f"{words.count(len(alone), 'patient')} have a single alarm, by {single}." if alone else "",
    )
