"""What the figures of a model's inside say in words: which heads stand out, what was lost, when skills arrived."""

from collections.abc import Mapping, Sequence

import numpy as np

from course.figures import comparing, words
from course.figures.language_models import label

GUESSING = "no better than guessing"


def leap(values: Sequence[float], places: Sequence[str]) -> str:
    """Where most of what a curve gains is gained, or that it gains nothing."""
    if len(values) < 2 or max(values) - min(values) < 0.05:
        return f"stays near {np.mean(values):.2f}" if len(values) > 1 else f"is {values[0]:.2f}"
    steps = np.diff(values)
    at, gain = int(steps.argmax()), values[-1] - values[0]
    if gain <= 0.05:
        return f"ends no higher than it began, {values[-1]:.2f} after {values[0]:.2f}"
    if steps[at] >= 0.5 * gain:
        return f"leaps at the place {places[at + 1]}, where at least half of its rise lies"
    return f"rises step by step, most at the place {places[at + 1]}"


def beside_tuned(curves: Mapping[str, Sequence[float]], tuned: Mapping[str, Sequence[float]]) -> str:
    """Whether a tuned lens, dashed, reads earlier than the logit lens."""
    said = {}
    for role, values in tuned.items():
        away = np.subtract(values, curves[role]) if role in curves else np.zeros(0)
        if not len(away):
            continue
        most = float(away[np.abs(away).argmax()])
        same = "reads the same within 0.05"
        said[role] = same if abs(most) <= 0.05 else f"reads up to {abs(most):.2f} {'more' if most > 0 else 'less'}"
    return f"a tuned lens, dashed, for {comparing.grouped(said, '; ', ': ')}" if said else "a tuned lens is dashed"


def in_all_panels(said: Mapping[str, str]) -> str:
    """What is said of a model in each panel, once where it is the same in all."""
    if len(set(said.values())) == 1 and len(said) > 1:
        return f"{next(iter(said.values()))} for every one"
    guess = [role for role, what in said.items() if what.endswith(GUESSING)]
    if len(guess) > 1:
        shown = {role: what.removesuffix(f", {GUESSING}") if role in guess else what for role, what in said.items()}
        guessed = {role: shown[role] for role in guess}
        rest = comparing.grouped({role: what for role, what in shown.items() if role not in guess})
        return f"{GUESSING} for {comparing.grouped(guessed)}" + (f"; {rest}" if rest else "")
    return comparing.grouped(said)


def recalled(rows: Sequence, ranges: Sequence[str], starts: Sequence[int], chance: float) -> str:
    """How often a model is right over the distances, and whether its intervals hold what guessing gets."""
    if not rows:
        return "nowhere measured"
    level = comparing.reach([row.right for row in rows], "{:.0%}".format)
    guess = [row for row in rows if row.low <= chance <= row.high]
    if len(guess) == len(rows):
        return f"{level}, {GUESSING}"
    if len(rows) > 1 and rows[0].low > rows[-1].high:
        return f"falls from {rows[0].right:.0%} at {ranges[starts.index(rows[0].distance)]} to {rows[-1].right:.0%} " \
               f"at {ranges[starts.index(rows[-1].distance)]}"  # fmt: skip
    return f"{level}{' at every distance' if len(rows) > 1 else ''}"


def arrived(runs: Sequence[Mapping], arriving: Sequence[tuple]) -> list[str]:
    """From which step on each curve is over half of what it reaches, in all runs, and how it ends."""
    if not runs:
        return ["Nothing is recorded"]
    losses = [[row["skills"]["grammar"]["nats"] for row in run["rows"]] for run in runs]
    halves, said = {}, []
    for name, _, _, value in arriving:
        ends, steps, most = [], [], []
        for run in runs:
            there = [(row["step"], found) for row in run["rows"] if (found := value(row)) is not None]
            if there:
                most.append(max(found for _, found in there))
                ends.append(there[-1][1])
                steps.append(next(step for step, found in there if found >= most[-1] / 2))
        if not ends:
            continue
        if max(most) < 0.1:
            said.append(f"{name}: never, at most {max(most):.2f}")
            continue
        halves[name] = steps
        said.append(f"{name}: half of its most by step {comparing.reach(steps, '{:,}'.format)}, "
                    f"{comparing.reach(ends, '{:.2f}'.format)} at the end")  # fmt: skip
    (first, second), together = list(halves)[:2] if len(halves) > 1 else ("", ""), ""
    if first and len(halves[first]) == len(halves[second]):
        apart = max(abs(a - b) / max(a, b) for a, b in zip(halves[first], halves[second], strict=True))
        together = f"{first} and {second} arrive together in every run" if apart <= 0.15 else \
            f"{first} and {second} arrive at different steps"  # fmt: skip
    first, last = (np.mean([each[at] for each in losses]) for at in (0, -1))
    fall = f"the loss goes from {first:.2f} to {last:.2f} nats" + " on average" * (len(runs) > 1)
    return [together, *said, fall]


def head_name(layer: int, head: int) -> str:
    """Head "1.2" is head 2 of layer 1; both count from 0, as in code."""
    return f"{layer}.{head}"


def in_text(token: str) -> str:
    """A token as it stands in a text: with its space, and a line's end as an arrow."""
    return "[end]" if label(token) == "end" and token != "end" else label(token).replace("·", " ")


def quoted(token: str) -> str:
    return f"“{in_text(token).strip() or label(token)}”"


def number(value: float) -> str:
    """Two decimals; a minus sign as long as a plus."""
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}")


def standing_out(values: np.ndarray) -> str:
    """Which heads have a score far above the others', or that none has."""
    if -values.min() > values.max() and values.size > 1:
        bottom = np.unravel_index(values.argmin(), values.shape)
        return f"head {head_name(*bottom)} is farthest below zero, {number(values[bottom])}; the highest is " \
               f"{number(values.max())}"  # fmt: skip
    top = np.unravel_index(values.argmax(), values.shape)
    most, low = float(values[top]), float(values.min())
    if most < 0.2 or most - float(np.median(values)) < 0.1:
        span = comparing.reach((low, most), number)
        return f"no head stands out, {span}" if values.size > 1 else span
    high = [place for place in map(tuple, np.argwhere(values >= (most + np.median(values)) / 2)) if values[place] > low]
    if not high or len(high) > 4:
        return f"many heads score, most head {head_name(*top)}, {number(most)}"
    high.sort(key=lambda place: -values[place])
    numbers = words.listing(number(values[place]) for place in high)
    rest = [float(value) for place, value in np.ndenumerate(values) if place not in high]
    who = [head_name(*place) for place in high]
    alone = f"head {who[0]} stands out" if len(high) == 1 else f"heads {words.listing(who)} stand out"
    return f"{alone}, {numbers}" + (f"; all others {comparing.reach(rest, number)}" if rest else "")


def by_what(said: Mapping[str, str]) -> dict[str, list[str]]:
    """Names that the same is said of, together."""
    by: dict[str, list[str]] = {}
    for name, what in said.items():
        by.setdefault(what, []).append(name)
    return by


def lost_most(told: Mapping[str, Mapping[str, Sequence[float]]], measures: Sequence[str], loss: str) -> list[str]:
    """Which parts cost most recall however they are left out, which cost hardly any, and which raise the loss."""
    roles = [i for i, measure in enumerate(measures) if measure != loss]
    parts = list(next(iter(told.values())))
    lost = {part: [told[way][part][i] for way in told for i in roles] for part in parts}
    dark = [part for part in parts if lost[part] and min(lost[part]) >= 0.5]
    pale = [part for part in parts if lost[part] and max(lost[part]) < 0.1]
    between = [part for part in parts if part not in dark and part not in pale and lost[part]]
    said = [f"at least half of every role's recall is lost, in every way, without {words.listing(dark)}"] if dark else [
        "no part costs half of every role's recall in every way"]  # fmt: skip
    said += [f"less than a tenth of any is lost without {words.listing(pale)}"] if pale else []
    said += [f"some of it without {words.listing(between)}"] if between else []
    if loss in measures:
        at = measures.index(loss)
        raised = [part for part in parts if min(told[way][part][at] for way in told) >= 0.5]
        kept = [part for part in dark if max(told[way][part][at] for way in told) < 0.2]
        said += [f"the loss rises by half a nat or more in every way without {words.listing(raised)}"] if raised else []
        said += [f"{comparing.verb(kept, 'hardly raises', 'hardly raise')} it, for all the lost recall"] if kept else []
    return said


def lost(row: Mapping[str, float], whole: Mapping[str, float], loss: str) -> list[float]:
    """How much of each measure is lost, from 0 to 1: a share of recall, and of a loss the nats that it rose by."""
    return [
        min(1.0, max(0.0, value - whole[name] if name == loss else 1 - value / whole[name] if whole[name] > 0 else 0.0))
        for name, value in row.items()
    ]


def alike(values: np.ndarray) -> str:
    """How the mean similarity of positions goes with their distance."""
    T = len(values)
    if T == 1:
        return "one position"
    means = np.array([np.diagonal(values, distance).mean() for distance in range(T)])
    if means[0] < 0.5:
        return f"no dark diagonal, {means[0]:.2f} on average along it"
    far = next((distance for distance in range(T) if means[distance] < 0.5), None)
    band = "a dark band along the diagonal; "
    if far is None:
        band += "distant positions are alike as well"
    elif (means[far:] < 0.5).all():
        band += f"similarity is below 0.5 from a distance of {far} on"
    else:
        band += f"similarity falls below 0.5 at a distance of {far} and comes back"
    picked = sorted({1, max(1, T // 10), max(1, T // 2)} & set(range(T)))
    numbers = ", ".join(f"{means[distance]:.2f} at {distance}" for distance in picked)
    return f"{band}, on average {numbers}"
