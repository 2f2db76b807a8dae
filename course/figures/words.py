"""What a figure shows, in words: numbers, the shape of a line, lines that part, who is below whom.

All of it is computed from what is drawn, so that a text says no more than the data hold.

shape([0, 0.5, 1, 1, 1, 1])  # "rises from 0 to 1 by step 3, then stays at 1 up to step 6"
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

# Fractions of what the axis spans.
FLAT = 0.03  # a stretch that stays within so much is flat,
EXACT = 0.005  # and within so much it does not move at all
TURN = 0.1  # a line turns where it comes back by so much
TOGETHER = 0.015  # lines that lie so close all along are one line to the eye,
SHARED = 0.005  # and so close up to where they part
LONG = 0.15  # of the horizontal axis: a shorter flat stretch is a bend


def number(value: float) -> str:
    """Three significant digits, commas in thousands, no exponent unless it is tiny: 1,020, 0.0124, 6e-10."""
    value = float(value)
    if not np.isfinite(value):
        return "not a number" if np.isnan(value) else "infinite"
    if 0 < abs(value) < 1e-4:
        return f"{value:.2g}"
    return f"{float(f'{value:.3g}') + 0.0:,.10g}"


def place(value: float) -> str:
    """A place on an axis: a whole number in full, else three digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else number(value)


def fixed(digits: int) -> Callable[[float], str]:
    """A way to write numbers with so many decimals, and no minus before a zero."""
    return lambda value: f"{round(float(value), digits) + 0.0:,.{digits}f}"


def listing(items: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    items = list(items)
    return items[0] if len(items) == 1 else " and ".join([", ".join(items[:-1]), items[-1]] if items else [])


def count(many: int, noun: str) -> str:
    """ "1 token", "1,200 tokens"."""
    return f"{many:,} {noun}" + ("" if many == 1 else "s")


def quoted(token: str) -> str:
    """A token's label inside a sentence: signs alone stand in quotes, so that a full stop does not end it."""
    return token if any(character.isalnum() for character in token) else f"“{token}”"


def told(*sentences: str, most: int = 700) -> str:
    """Alternative text from sentences, the most telling first; what would make it too long is left out at the end.

    Nothing is capitalized: a sentence may begin with the name of a line.
    """
    text = ""
    for one in filter(None, sentences):
        one += "" if one.endswith((".", "!", "?", ".”")) else "."
        if len(text) + 1 + len(one) <= most:
            text = f"{text} {one}".strip()
            continue
        room = one[: most - len(text) - 8]
        return f"{text} {room[: room.rindex('; ')]}; ...".strip() if "; " in room else text or room + " ..."
    return text


# ---------------------------------------------------------------------- one line


class Leg(NamedTuple):
    """A stretch of a line, from one index to another: "flat", "rises" or "falls", and in which form."""

    kind: str
    first: int
    last: int
    form: str = ""


def shape(
    values: Sequence[float], x: Sequence[float] | None = None, *, at: str = "step {}", log: bool = False,
    log_x: bool = False, span: tuple[float, float] | None = None, write: Callable[[float], str] = number,
) -> str:  # fmt: skip
    """How a line goes, as the predicate of a sentence: "falls in a straight line from 1 to 0 by step 10".

    Args:
        values: what is drawn; what is not finite is a gap, and said where it comes after the first value.
        x: where they stand, 1, 2, 3, ... if None.
        at: how a place is written.
        log, log_x: whether an axis is logarithmic, so that straight means straight there.
        span: the least and the largest value on the axis where other lines are drawn too; else those of the line.
        write: how a value is written.
    """
    values = np.asarray(values, dtype=float)
    x = np.arange(1, len(values) + 1, dtype=float) if x is None else np.asarray(x, dtype=float)[: len(values)]
    known = np.isfinite(values)
    if not known.any():
        return "has no value that is a number"
    lost = np.flatnonzero(~known[known.argmax() :])
    after = f"; from {at.format(place(x[known.argmax() + lost[0]]))} on there are gaps" if len(lost) else ""
    values, x = values[known], x[known]
    if len(values) == 1:
        return f"is {write(values[0])} at {at.format(place(x[0]))}" + after
    found = legs(values, x, log=log, log_x=log_x, span=span)
    if len(found) > 4:
        return _uneven(values, x, at, write) + after
    return ", then ".join(_say(leg, values, x, at, write, number_) for number_, leg in enumerate(found)) + after


def legs(values, x, *, log: bool = False, log_x: bool = False, span: tuple[float, float] | None = None) -> list[Leg]:
    """A line cut where it turns, and where it begins or ends to be flat."""
    y, across = _scaled(values, log), _scaled(x, log_x)
    low, high = _scaled(np.asarray(span if span else (values.min(), values.max())), log)
    size = max(high - low, 1e-12 * max(abs(high), abs(low)), 1e-300)
    chord = y[0] + (y[-1] - y[0]) * (across - across[0]) / (across[-1] - across[0])
    if abs(y[-1] - y[0]) > 2 * FLAT * size and np.abs(y - chord).max() <= 0.02 * size:
        return [Leg("rises" if y[-1] > y[0] else "falls", 0, len(y) - 1, _form(y, across))]
    flats = _stretched(sorted(_flats(y, across, 0, len(y) - 1, size)), y, size)
    found, start = [], 0
    for first, last in [*flats, (len(y) - 1, len(y) - 1)]:
        if first > start:
            found += _moving(y, across, start, first, size)
        if last > first:
            found.append(Leg("flat", first, last, "at" if np.ptp(y[first : last + 1]) <= EXACT * size else "near"))
        start = last
    return [leg for i, leg in enumerate(found) if not (leg.kind == "flat" and i and found[i - 1].kind == "flat")]


def _scaled(values: np.ndarray, log: bool) -> np.ndarray:
    """Where values stand on their axis; on a logarithmic one, what is not above zero stands at the bottom."""
    values = np.asarray(values, dtype=float)
    if not log or not (values > 0).any():
        return values
    return np.log(np.maximum(values, values[values > 0].min()))


def _flats(y, x, first: int, last: int, size: float) -> list[tuple[int, int]]:
    """The longest flat stretch between two indices, then those left and right of it, at other heights."""
    best, length = None, LONG * (x[-1] - x[0])
    for start in range(first, last):
        if x[last] - x[start] < length:
            break
        part = y[start : last + 1]
        inside = np.maximum.accumulate(part) - np.minimum.accumulate(part) <= FLAT * size
        end = start + (int(np.argmin(inside)) - 1 if not inside.all() else len(part) - 1)
        if end >= min(start + 2, last) and end > start and x[end] - x[start] >= length:
            best, length = (start, end), (x[end] - x[start]) * (1 + 1e-9)
    if best is None:
        return []
    level = y[best[0] : best[1] + 1].mean()
    others = _flats(y, x, first, best[0], size) + _flats(y, x, best[1], last, size)
    return [best, *(other for other in others if abs(y[other[0] : other[1] + 1].mean() - level) >= TURN * size)]


def _stretched(flats: list[tuple[int, int]], y, size: float) -> list[tuple[int, int]]:
    """The flat stretches, and what is left at the ends of the line with them where it hardly moves."""
    if flats and np.ptp(y[: flats[0][1] + 1]) <= 2 * FLAT * size:
        flats[0] = (0, flats[0][1])
    if flats and np.ptp(y[flats[-1][0] :]) <= 2 * FLAT * size:
        flats[-1] = (flats[-1][0], len(y) - 1)
    return flats


def _moving(y, x, first: int, last: int, size: float) -> list[Leg]:
    """A stretch that is not flat, cut at its turns."""
    places = [first + turn for turn in _turns(y[first : last + 1], TURN * size)]
    found = []
    for a, b in zip(places, places[1:], strict=False):
        kind, change = ("rises" if y[b] > y[a] else "falls"), np.abs(np.diff(y[a : b + 1]))
        jump = a + int(change.argmax())
        if b - a > 1 and len(y) >= 12 and change.max() > 0.75 * abs(y[b] - y[a]) and change.max() > 3 * TURN * size:
            # All of it between two points: what is left of it before and after is a flat stretch, or too little to say.
            found += [Leg("flat", a, jump, "near")] if jump - a > 2 else []
            found += [Leg(kind, jump, jump + 1, "in one jump")]
            found += [Leg("flat", jump + 1, b, "near")] if b - jump > 3 else []
        elif y[a] != y[b]:
            at_once = b - a == 1 and len(y) >= 20 and change.max() > 3 * TURN * size
            found.append(Leg(kind, a, b, "in one jump" if at_once else _form(y[a : b + 1], x[a : b + 1])))
    return found


def _turns(y, least: float) -> list[int]:
    """The first and the last index, and between them the turns from which the line comes back by `least`."""
    turns, top, bottom, way = [0], 0, 0, 0  # way: 1 going up, -1 going down, 0 not known yet
    for i, value in enumerate(y):
        top, bottom = (i if value > y[top] else top), (i if value < y[bottom] else bottom)
        if way >= 0 and y[top] - value >= least:
            if top > turns[-1]:
                turns.append(top)
            way, bottom, top = -1, i, i
        elif way <= 0 and value - y[bottom] >= least:
            if bottom > turns[-1]:
                turns.append(bottom)
            way, top, bottom = 1, i, i
    end = len(y) - 1
    if len(turns) > 1 and abs(y[end] - y[turns[-1]]) < least:
        turns[-1] = end  # what comes after the last turn is too little to be seen
    return turns if turns[-1] == end else [*turns, end]


def _form(y, x) -> str:
    """How a stretch goes from its first to its last point; nothing where too few points say it."""
    if len(y) < 5:
        return ""
    across, up = (x - x[0]) / (x[-1] - x[0]), (y - y[0]) / (y[-1] - y[0])
    above = up - across
    if np.abs(above).max() < 0.05:
        return "in a straight line"
    if np.abs(up - (1 - np.cos(np.pi * across)) / 2).max() < 0.02:
        return "along half a cosine"
    early, late = above[across <= 0.5].mean(), above[across >= 0.5].mean()
    if early > 0.02 and late > 0.02:
        return "fast at first and then ever more slowly"
    if early < -0.02 and late < -0.02:
        return "slowly at first and then ever faster"
    if early < -0.02 and late > 0.02:
        return "slowly, then fast, then slowly again"
    return ""


def _say(leg: Leg, values, x, at: str, write, number_: int) -> str:
    end = at.format(place(x[leg.last]))
    if leg.kind == "flat":
        part = values[leg.first : leg.last + 1]
        drift = part[len(part) // 2 :].mean() - part[: len(part) // 2].mean()
        if leg.form == "near" and abs(drift) > 0.3 * np.ptp(part) and drift * (part[-1] - part[0]) > 0:
            start = f" from {write(part[0])}" if number_ == 0 else ""
            return f"changes little,{start} to {write(part[-1])} by {end}"
        level = write(np.median(part))
        return f"stays {leg.form} {level} " + ("throughout" if leg.last - leg.first + 1 == len(x) else f"up to {end}")
    start = f" from {write(values[leg.first])}" if number_ == 0 else ""
    form = f" {leg.form}" if leg.form else ""
    return f"{leg.kind}{form}{start} to {write(values[leg.last])} by {end}"


def _uneven(values, x, at: str, write) -> str:
    low, high, first, last = values.min(), values.max(), values[0], values[-1]
    highest, lowest = at.format(place(x[values.argmax()])), at.format(place(x[values.argmin()]))
    fifth = max(1, len(values) // 5)
    trend = values[-fifth:].mean() - values[:fifth].mean()
    if abs(trend) < 0.5 * (high - low) or trend * (last - first) <= 0:
        return (
            f"goes up and down between {write(low)} (at {lowest}) and {write(high)} (at {highest}), from "
            f"{write(first)} to {write(last)} at the end"
        )
    way, beyond = ("rises", first - low) if last > first else ("falls", high - first)
    said = f"{way} with ups and downs from {write(first)} to {write(last)} by {at.format(place(x[-1]))}"
    if beyond < 2 * TURN * (high - low):
        return said
    return f"{said}, after {write(high if way == 'falls' else low)} at {highest if way == 'falls' else lowest}"


# ---------------------------------------------------------------------- several lines


def span(lines: Iterable[Sequence[float]]) -> tuple[float, float]:
    """The least and the largest finite value of several lines."""
    values = np.concatenate([np.asarray(line, dtype=float) for line in lines] or [np.zeros(1)])
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)


def together_until(one: Sequence[float], other: Sequence[float], size: float) -> int:
    """How many first values of two lines lie on each other where the axis spans `size`; all, where they are one."""
    shared = min(len(one), len(other))
    gap = np.abs(np.asarray(one, dtype=float)[:shared] - np.asarray(other, dtype=float)[:shared])
    if (gap <= TOGETHER * size).all():
        return shared
    return int(np.argmax(~(gap <= SHARED * size)))


def lines(
    named: Mapping[str, Sequence[float]], x: Sequence[float] | None = None, *, at: str = "step {}",
    log: bool = False, log_x: bool = False, write: Callable[[float], str] = number, alone: float = np.inf,
) -> str:  # fmt: skip
    """How each of several lines goes, in one sentence each; a line that lies on an earlier one is said so, and where
    it leaves it.

    Args:
        named: at least one line. Else as for `shape`.
        alone: a line that spans so great a fraction of the axis has a form that can be seen, and is judged by it.
    """
    said, seen, extent = [], {}, span(named.values())
    drawn = {name: _scaled(np.asarray(values, dtype=float), log) for name, values in named.items()}
    low, high = _scaled(np.asarray(extent), log)
    for name, values in named.items():
        shares = [(together_until(drawn[other], drawn[name], high - low), other) for other in seen]
        shared, other = max(shares, default=(0, ""))
        seen[name] = values
        bottom, top = _scaled(np.asarray(span([values])), log)
        reach = span([values]) if alone <= 1 and top - bottom >= alone * (high - low) else extent
        places = list(range(1, len(values) + 1)) if x is None else list(x)[: len(values)]
        if shared == len(values) > 1:
            said.append(f"{name} lies on {other}")
            continue
        if shared >= max(3, LONG * len(values)):
            start = shared - 1
            rest = shape(values[start:], places[start:], at=at, log=log, log_x=log_x, span=reach, write=write)
            rest = rest.replace("throughout", f"up to {at.format(place(places[-1]))}")
            said.append(f"{name} lies on {other} up to {at.format(place(places[start]))}, then {rest}")
            continue
        said.append(name + " " + shape(values, places, at=at, log=log, log_x=log_x, span=reach, write=write))
    return "; ".join(said)


def ranking(values: Mapping[str, float], write: Callable[[float], str] = number, lowest: bool = True) -> str:
    """Names with their values from the lowest up, or from the highest down; names of one value are said together."""
    sign = 1 if lowest else -1
    order = sorted(values, key=lambda name: (not np.isfinite(values[name]), sign * values[name]))
    said = [(listing(names), value) for value, names in groupby(order, key=lambda name: write(values[name]))]
    return ", ".join(f"{names} {value}" for names, value in said)


def stays_below(values: Sequence[float], level: float | Sequence[float], x: Sequence[float]) -> float | None:
    """From which place on a line stays below a level, or below another line; None where it does not at the end."""
    above = ~(np.asarray(values, dtype=float) < np.asarray(level, dtype=float))
    if above[-1]:
        return None
    return float(x[int(np.flatnonzero(above)[-1]) + 1 if above.any() else 0])


def past_levels(
    values: Sequence[float], x: Sequence[float], levels: Mapping[str, float], *, at: str = "step {}", digits: int = 2
) -> str:
    """Which named levels a falling line goes below, from where on, and how far it stays from the others."""
    passed, left, write = [], [], fixed(digits)
    for name, level in sorted(levels.items(), key=lambda item: -item[1]):
        start = stays_below(values, level, x)
        if start is not None:
            passed.append(f"{name} ({write(level)}) from {at.format(place(start))} on")
        else:
            left.append(f"{name} ({write(level)}), {write(values[-1] - level)} above it at the end")
    below = f"It stays below {listing(passed)}" if passed else ""
    above = f"does not get below {listing(left)}" if left else ""
    return f"{below}, and {above}" if below and above else below or (f"It {above}" if above else "")


def reaches(values: Sequence[float], level: float, x: Sequence[float]) -> float | None:
    """The first place where a line is at a level or above it."""
    return next((where for where, value in zip(x, values, strict=False) if value >= level), None)
