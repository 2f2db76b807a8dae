"""What data show, in words: lists, groups, the way of a curve. The alternative texts of figures are made of these.

Nothing here knows a figure. What is said of a curve is computed from it, so that it is true of any data.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

MOST = 700  # characters of an alternative text: longer ones are not listened to
LEVEL = 0.03  # a curve that moves by less than this share of its size stays where it is
SLACK = 0.15  # a way back of less than this share of the whole range is no turn
STRAIGHT = 0.05  # a curve that leaves its chord by less than this share of its height is nearly straight

Written = Callable[[float], str]


def text(*sentences: str, most: int = MOST) -> str:
    """Sentences as one text, the most important first: those that would make it too long are left out."""
    kept = ""
    for sentence in sentences:
        longer = f"{kept} {sentence}".strip()
        if not kept or len(longer) <= most:
            kept = longer
    return kept


def listed(items: Iterable[str], most: int = 8) -> str:
    """Names as one says them: "a", "a and b", "a, b and c", "a, b and 7 more"."""
    items = list(items)
    if len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1} more"]
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def count(number: int, what: str) -> str:
    """ "1 step", "3 steps", "no steps"."""
    return f"{number:,} {what}" if number == 1 else f"{f'{number:,}' if number else 'no'} {what}s"


def grouped(values: Mapping[str, str]) -> str:
    """Names with what holds of each; names of which the same holds are said together: "a and b 100%, c 8%"."""
    by_value: dict[str, list[str]] = {}
    for name, value in values.items():
        by_value.setdefault(value, []).append(name)
    return ", ".join(f"{listed(names)} {value}" for value, names in by_value.items())


def span(values: Sequence[float], write: Written) -> str:
    """ "0.24", or "0.24 to 0.39" where the values differ."""
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low} to {high}"


def times(ratio: float) -> str:
    """ "9 times", "1.4 times": how many times as large; two digits that count."""
    return f"{ratio:,.0f} times" if ratio >= 9.95 else f"{ratio:.1f} times"


def turning_points(values: Sequence[float], slack: float = SLACK) -> list[int]:
    """Places where a curve turns for good, with its first and its last: ways back of less than `slack` of the whole
    range are passed over.
    """
    threshold = slack * (max(values) - min(values))
    points, direction, low, high = [0], 0, 0, 0
    for i, value in enumerate(values):
        low, high = (i if value < values[low] else low), (i if value > values[high] else high)
        if direction <= 0 and value - values[low] >= threshold > 0:
            points += [low] if direction else []
            direction, high, low = 1, i, i
        elif direction >= 0 and values[high] - value >= threshold > 0:
            points += [high] if direction else []
            direction, high, low = -1, i, i
    return [*points, len(values) - 1] if len(values) > 1 else points


def is_level(values: Sequence[float], level: float = LEVEL) -> bool:
    """Whether values move by no more than `level` of the largest of them."""
    return max(values) - min(values) <= level * max(abs(value) for value in values)


def is_straight(xs: Sequence[float], ys: Sequence[float]) -> bool:
    """Whether a curve of four points or more hardly leaves the line from its first to its last."""
    chord = np.interp(xs, [xs[0], xs[-1]], [ys[0], ys[-1]])
    return len(xs) > 3 and float(np.abs(np.asarray(ys) - chord).max()) <= STRAIGHT * abs(ys[-1] - ys[0])


def two_digits(value: float) -> str:
    return f"{value:.2f}"


def way(
    xs: Sequence[float],
    ys: Sequence[float],
    where: Written = "{:,g}".format,
    write: Written = two_digits,
) -> str:
    """How a curve goes, as a verb and its numbers: "falls from 6.42 to 1.54, half of it by step 14".

    It says falls and rises only of curves that do so but for ways back of less than `SLACK`, names the places where a
    curve turns, and where it is no number any more.

    Args:
        xs: increasing.
        where: how a place is said, "step 14".
        write: how a value is said.
    """
    lost = next((i for i, value in enumerate(ys) if not math.isfinite(value)), len(ys))
    if lost == 0:
        return "is never a number"
    end = f", and is no number from {where(xs[lost])} on" if lost < len(ys) else ""
    return _finite_way(xs[:lost], [float(value) for value in ys[:lost]], where, write) + end


def _finite_way(xs: Sequence[float], ys: Sequence[float], where: Written, write: Written) -> str:
    if len(ys) == 1:
        return f"is {write(ys[0])} at {where(xs[0])}"
    if is_level(ys):
        return f"stays at {write(ys[0])}" if write(min(ys)) == write(max(ys)) else f"stays near {write(np.mean(ys))}"
    points = turning_points(ys)
    if len(points) > 4:
        low, high = int(np.argmin(ys)), int(np.argmax(ys))
        return (
            f"goes up and down between {write(ys[low])} (at {where(xs[low])}) and {write(ys[high])} (at "
            f"{where(xs[high])}), from {write(ys[0])} to {write(ys[-1])}"
        )
    verbs = ["rises" if ys[after] > ys[before] else "falls" for before, after in zip(points, points[1:], strict=False)]
    if len(points) == 2:
        return f"{verbs[0]} from {write(ys[0])} to {write(ys[-1])}{_pace(xs, ys, where)}"
    legs = [f"{verbs[0]} from {write(ys[0])} to {write(ys[points[1]])} at {where(xs[points[1]])}"]
    for verb, point in zip(verbs[1:], points[2:], strict=True):
        legs.append(f"{verb} to {write(ys[point])}" + (f" at {where(xs[point])}" if point != points[-1] else ""))
    return ", ".join(legs[:-1]) + f", then {legs[-1]}"


def _pace(xs: Sequence[float], ys: Sequence[float], where: Written) -> str:
    """Whether a way that goes one way goes straight, or has half of it behind it early or late."""
    if len(ys) < 4:
        return ""
    if is_straight(xs, ys):
        return " in a nearly straight line"
    half = next(i for i, value in enumerate(ys) if abs(value - ys[0]) >= abs(ys[-1] - ys[0]) / 2)
    along = (xs[half] - xs[0]) / (xs[-1] - xs[0])
    if along <= 1 / 3:
        return f", half of it by {where(xs[half])}"
    return f", half of it only after {where(xs[half - 1])}" if along >= 2 / 3 else ""


def ranked(values: Mapping[str, float], write: Written = two_digits) -> str:
    """Names with their values, the lowest first; names with the same written value are said together."""
    return grouped({name: write(values[name]) for name in sorted(values, key=values.get)})
