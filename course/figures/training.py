"""A training run drawn from the rows of its log: loss and accuracy, its way to the floor, skills, runs compared."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.ticker import NullLocator

from course.figures import style, words
from helpers.files import write_atomically
from helpers.run_log import CURVES


@style.figure
def run_curves(rows: Sequence[Mapping], levels: Mapping[str, float] | None = None, title: str = ""):
    """Loss on the left; on the right the accuracy on the validation stories: how often the model's first choice came.

    Args:
        rows: of a run's log, each with "step" and "loss", some with "val_loss" and "val_accuracy".
        levels: named horizontal lines in nats per token, such as a baseline's and the floor's.
    """
    trained = [(row["step"], row["loss"]) for row in rows if row.get("loss") is not None]
    validation = [(row["step"], row["val_loss"]) for row in rows if row.get("val_loss") is not None]
    accuracy = [(row["step"], row["val_accuracy"]) for row in rows if row.get("val_accuracy") is not None]
    fig, axes = style.canvas(1, 2 if accuracy else 1, height=3.4, squeeze=False)
    ax = axes[0][0]
    said, write = [], words.fixed(2)
    for points, name, colour, line, marker in (
        (trained, "training", style.BLUE, "-", None),
        (validation, "validation", style.BERRY, "--", "s"),
    ):
        if points:
            steps, losses = zip(*points, strict=True)
            ax.plot(steps, losses, color=colour, linestyle=line, marker=marker, linewidth=1.6, label=name)
            said.append(f"The {name} loss {words.shape(losses, steps, write=write)}")
    style.levels(ax, levels or {})
    lower = validation or trained
    if levels and lower:
        steps, losses = zip(*lower, strict=True)
        said.append(words.past_levels(losses, steps, levels))
    ax.set(xlabel="steps", ylabel="nats per token", ylim=(0, None))
    style.panel_title(ax, "loss")
    if trained or validation:
        ax.legend(loc="upper right")
    if accuracy:
        steps, fractions = zip(*accuracy, strict=True)
        right = axes[0][1]
        right.plot(steps, [100 * fraction for fraction in fractions], color=style.BERRY, linestyle="--", marker="s")
        right.set(xlabel="steps", ylabel="per cent of tokens", ylim=(0, 100))
        style.panel_title(right, "accuracy on validation stories")
        said.append(f"Right, the accuracy on validation stories {words.shape(fractions, steps, write=_per_cent)}")
    last = rows[-1]["step"] if rows else 0
    style.headline(fig, title or f"The run after {last:,} steps")
    return fig, words.told(
        f"Curves of a training run over {last:,} steps, in nats per token" + ("" if said else ": nothing measured yet"),
        *said,
    )


def _per_cent(value: float) -> str:
    return f"{value:.0%}"


def write_curves(folder: Path, rows: Sequence[Mapping]) -> None:
    """The curves of a run as a picture in its folder: what a `Trainer` takes as its `report`."""
    if rows:
        write_atomically(folder / CURVES, run_curves(rows).png)


@style.figure
def towards_the_floor(rows: Sequence[Mapping], levels: Mapping[str, float], floor: float | None, steps: int):
    """A run's loss on its way down past the levels of other models, on a logarithmic axis, so that the end is seen.

    Args:
        rows: of a run's log, as far as it has come.
        levels: named losses of other models, in nats per token.
        floor: the lowest loss there can be, if it is known.
        steps: of the whole run.
    """
    fig, ax = style.canvas(height=4.2)
    lines = {}
    for key, name, colour, line, marker in (
        ("loss", "training", style.BLUE, "-", None),
        ("val_loss", "validation", style.BERRY, "--", "s"),
    ):
        points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
        if points:
            at, losses = zip(*points, strict=True)
            ax.plot(at, losses, color=colour, linestyle=line, marker=marker, linewidth=1.6, label=name)
            lines[name] = at, losses
    for name, value in levels.items():
        ax.hlines(value, 0, steps, color=style.QUIET, linewidth=1.0, linestyle=":")
        ax.text(1.02 * steps, value, f"{name}: {value:.2f}", va="center", fontsize=9)
    if floor is not None:
        ax.hlines(floor, 0, steps, color=style.ORANGE, linewidth=2.2)
        ax.text(1.02 * steps, floor, f"the floor: {floor:.2f}", va="center", fontsize=9, fontweight="bold")
    ax.set(xlim=(0, 1.25 * steps), yscale="log", xlabel="steps", ylabel="nats per token")
    _plain_numbers(ax, (0.3, 0.5, 1, 2, 4, 8))
    ax.set_xticks([tick for tick in ax.get_xticks() if 0 <= tick <= steps])
    ax.spines["bottom"].set_bounds(0, steps)
    ax.grid(visible=False)
    if rows:
        ax.legend(loc="upper center", frameon=True, facecolor=style.GROUND, edgecolor="none", framealpha=1)
    last = rows[-1]["step"] if rows else 0
    ax.set_title(f"The storyteller after {last:,} of {steps:,} steps")
    return fig, _way_down(lines, levels, floor, f"{last:,} of {steps:,} steps")


def _way_down(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], levels, floor: float | None, how_far: str):
    """Which levels the loss on validation stories (else on training ones) has passed, where, and what is left."""
    write, extent = words.fixed(2), words.span(losses for _, losses in lines.values())
    said = [
        f"The {name} loss {words.shape(losses, at, log=True, span=extent, write=write)}"
        for name, (at, losses) in lines.items()
    ]
    passed = left = ""
    if lines:
        name, (at, losses) = list(lines.items())[-1]
        told = words.past_levels(losses, at, levels)
        passed = f"Of the {name} loss: {told[0].lower()}{told[1:]}" if told else ""
        if floor is not None:
            left = f"It ends {write(losses[-1] - floor)} above the floor, a line at {floor:.2f}"
    elif levels:
        passed = f"Lines mark other models: {words.ranking(levels, write)}"
    return words.told(
        f"Loss over {how_far}, in nats per token, on a logarithmic scale" + ("" if lines else "; nothing measured yet"),
        passed,
        left if lines else f"The floor is {floor:.2f}" if floor is not None else "",
        *said,
    )


@style.figure
def skills(rows: Sequence[Mapping], chance: Mapping[str, float], steps: int):
    """Skills that arrive while the loss falls: on the left the loss by group, on the right how often it is right.

    Args:
        rows: of a run's log; those with "skills" are drawn, {"hero": {"nats": 2.5, "right": 0.4}, ...}.
        chance: for each role the re-mention accuracy of guessing; a dotted line marks their mean, and what
            guessing costs.
        steps: of the whole run.
    """
    rows = [row for row in rows if row.get("skills")]
    fig, (left, right) = style.canvas(1, 2, height=3.7)
    at = [row["step"] for row in rows]
    said, arrived = [], {}
    costs = -sum(map(math.log, chance.values())) / len(chance) if chance else None
    for i, name in enumerate(rows[-1]["skills"] if rows else ()):
        look = {"color": style.COLOURS[i % 5], "linestyle": style.LINESTYLES[i % 6], "marker": style.MARKERS[i % 6]}
        values = [row["skills"].get(name, {}) for row in rows]
        left.plot(at, [value.get("nats", float("nan")) for value in values], markersize=3.5, label=name, **look)
        accuracy = [value.get("right") for value in values]
        if accuracy[-1] is None:
            known = [value.get("nats", float("nan")) for value in values]
            said.append(f"The loss of {name} {words.shape(known, at, write=words.fixed(2))}")
            continue
        right.plot(at, [100 * fraction for fraction in accuracy], markersize=3.5, label=name, **look)
        arrived[name] = _arrival(accuracy, at)
    if chance:
        guessed = 100 * sum(chance.values()) / len(chance)
        for ax, level in ((left, costs), (right, guessed)):
            ax.axhline(level, color=style.INK, linewidth=1.0, linestyle=":")
            ax.text(1.01, level, "guessing", transform=ax.get_yaxis_transform(), va="center", fontsize=9, rotation=90)
        said.append(f"Dotted lines mark guessing: {costs:.2f} nats, right in {guessed:.0f}% of the cases")
    for ax, title, low in ((left, "loss, nats", 0), (right, "re-mention accuracy, per cent", 0)):
        ax.set(xlim=(0, steps), xlabel="steps")
        ax.set_ylim(bottom=low)
        style.panel_title(ax, title)
    right.set_ylim(0, 103)
    if rows:
        fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    style.headline(fig, "Skills arrive suddenly, each in its time")
    order = sorted(arrived, key=lambda name: (arrived[name][0] is None, arrived[name][0] or 0))
    return fig, words.told(
        f"Left the loss and right the re-mention accuracy of each skill, over {steps:,} steps"
        + ("" if rows else ". Nothing measured yet"),
        f"In the order in which half were right: {'; '.join(f'{name} {arrived[name][1]}' for name in order)}"
        if order
        else "",
        *said,
    )


def _arrival(accuracy: Sequence[float], at: Sequence[int]) -> tuple[int | None, str]:
    """When half of the mentions were right for the first time, how steeply it came, and the end."""
    half = words.reaches(accuracy, 0.5, at)
    if half is None:
        return None, f"never half, {accuracy[-1]:.0%} at the end"
    low = max((step for step, right in zip(at, accuracy, strict=True) if step < half and right < 0.2), default=None)
    high = words.reaches(accuracy, 0.8, at)
    jump = f", below 20% up to step {low:,}" if low is not None else ""
    jump += f", above 80% from step {high:,} on" if high is not None and min(accuracy[at.index(high) :]) >= 0.8 else ""
    return half, f"at step {half:,}{jump}, {accuracy[-1]:.0%} at the end"


@style.figure
def compared(runs: Mapping[str, Sequence[Sequence[Mapping]]], floor: float, title: str):
    """Validation loss against time for several ways to train that had the same time, a line for each seed.

    Args:
        runs: for each way the logs of its runs. A run's own last step is the end of the time.
        floor: the lowest loss there can be, on the same stories.
    """
    fig, ax = style.canvas(height=3.6)
    all_ends = {}
    for i, (name, logs) in enumerate(runs.items()):
        ends = []
        for number, rows in enumerate(logs):
            last = rows[-1]["step"]
            points = [
                (100 * row["step"] / last, row["val_loss"] / floor) for row in rows if row.get("val_loss") is not None
            ]
            ax.plot(*zip(*points, strict=True), color=style.COLOURS[1 + i], linestyle=style.LINESTYLES[i],
                    marker=style.MARKERS[i], markersize=4, linewidth=1.4, label=None if number else name)  # fmt: skip
            ends.append(points[-1][1])
        all_ends[name] = ends
    ax.axhline(1, color=style.ORANGE, linewidth=2.2, linestyle="-")
    ax.text(0.01, 1.01, "the floor", transform=ax.get_yaxis_transform(), va="bottom", fontsize=9.5)
    ax.set(xlabel="per cent of the time", ylabel="times the floor", yscale="log", title=title)
    _plain_numbers(ax, (1, 1.5, 2, 3, 4, 6, 8))
    ax.legend()
    return fig, words.told(
        "Validation loss as a multiple of the floor, on a logarithmic scale, against the fraction of the time; a line "
        "for each run, and one at 1, the floor",
        *_who_ends_lower(all_ends),
    )


def _who_ends_lower(ends: Mapping[str, Sequence[float]]) -> list[str]:
    """Where the runs of each way end, and whether all of one way end below all of another."""
    each = "; ".join(
        f"{name}, {words.count(len(values), 'run')}, {min(values):.2f}"
        + (f" to {max(values):.2f}" if len(values) > 1 else "")
        for name, values in ends.items()
    )
    order = sorted(ends, key=lambda name: sum(ends[name]) / len(ends[name]))
    said = [f"At the end, as multiples of the floor: {each}"]
    for lower, upper in zip(order, order[1:], strict=False):
        apart = min(ends[upper]) - max(ends[lower])
        said.append(
            f"All runs of {lower} end below all of {upper}, the nearest two {apart:.2f} apart"
            if apart > 0
            else f"The ends of {lower} and {upper} overlap, {lower} being lower on average"
        )
    return said


def _plain_numbers(ax, values: Sequence[float]) -> None:
    """A logarithmic axis with these ticks, those that are in range, as plain numbers."""
    low, high = ax.get_ylim()
    shown = [value for value in values if low <= value <= high]
    ax.set_yticks(shown, [f"{value:g}" for value in shown])
    ax.yaxis.set_minor_locator(NullLocator())
