"""What a figure shows, in words: numbers, the shape of a line, lines that part, who is below whom, a map of attention.

All of it is computed from what is drawn, so that a text says no more than the data hold.

shape([0, 0.5, 1, 1, 1, 1])  # "rises from 0 to 1 by step 3, then stays at 1 up to step 6"
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
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


def listing(items: Iterable[str]) -> str:
    """"a", "a and b", "a, b and c"."""
    items = list(items)
    return items[0] if len(items) == 1 else " and ".join([", ".join(items[:-1]), items[-1]] if items else [])


def count(many: int, noun: str) -> str:
    """"1 token", "1,200 tokens"."""
    return f"{many:,} {noun}" + ("" if many == 1 else "s")


def quoted(token: str) -> str:
    """A token's label inside a sentence: signs alone stand in quotes, so that a full stop does not end it."""
    return token if any(character.isalnum() for character in token) else f"“{token}”"


def told(*sentences: str, most: int = 700) -> str:
    """Alternative text from sentences, the most telling first; what would make it too long is left out at the end."""
    text = ""
    for one in filter(None, sentences):
        one = one[:1].upper() + one[1:] + ("" if one.endswith((".", "!", "?", "”")) else ".")
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
    after = f"; from {at.format(number(x[known.argmax() + lost[0]]))} on there are gaps" if len(lost) else ""
    values, x = values[known], x[known]
    if len(values) == 1:
        return f"is {write(values[0])} at {at.format(number(x[0]))}" + after
    found = legs(values, x, log=log, log_x=log_x, span=span)
    if len(found) > 4:
        return _uneven(values, x, at, write) + after
    return ", then ".join(_say(leg, values, x, at, write, number_) for number_, leg in enumerate(found)) + after


def legs(values, x, *, log: bool = False, log_x: bool = False, span: tuple[float, float] | None = None) -> list[Leg]:
    """A line cut where it turns, and where it begins or ends to be flat."""
    y, across = _scaled(values, log), _scaled(x, log_x)
    low, high = _scaled(np.asarray(span if span else (values.min(), values.max())), log)
    size = max(high - low, 1e-12 * max(abs(high), abs(low)), 1e-300)
    flats = sorted(_flats(y, across, 0, len(y) - 1, size))
    found, start = [], 0
    for first, last in [*flats, (len(y) - 1, len(y) - 1)]:
        if first > start:
            found += _moving(y, across, start, first, size)
        if last > first:
            found.append(Leg("flat", first, last, "at" if np.ptp(y[first : last + 1]) <= EXACT * size else "near"))
        start = last
    return found


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


def _moving(y, x, first: int, last: int, size: float) -> list[Leg]:
    """A stretch that is not flat, cut at its turns."""
    places = [first + place for place in _turns(y[first : last + 1], TURN * size)]
    return [
        Leg("rises" if y[b] > y[a] else "falls", a, b, _form(y[a : b + 1], x[a : b + 1]))
        for a, b in zip(places, places[1:], strict=False)
        if y[a] != y[b]
    ]


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
    end = at.format(number(x[leg.last]))
    if leg.kind == "flat":
        level = write(np.median(values[leg.first : leg.last + 1]))
        return f"stays {leg.form} {level} " + ("throughout" if leg.last - leg.first + 1 == len(x) else f"up to {end}")
    start = f" from {write(values[leg.first])}" if number_ == 0 else ""
    form = f" {leg.form}" if leg.form else ""
    return f"{leg.kind}{form}{start} to {write(values[leg.last])} by {end}"


def _uneven(values, x, at: str, write) -> str:
    low, high, first, last = values.min(), values.max(), values[0], values[-1]
    highest, lowest = at.format(number(x[values.argmax()])), at.format(number(x[values.argmin()]))
    if abs(last - first) < 0.5 * (high - low):
        return (
            f"goes up and down between {write(low)} (at {lowest}) and {write(high)} (at {highest}), from "
            f"{write(first)} to {write(last)} at the end"
        )
    way, beyond = ("rises", first - low) if last > first else ("falls", high - first)
    said = f"{way} with ups and downs from {write(first)} to {write(last)} by {at.format(number(x[-1]))}"
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
    log: bool = False, log_x: bool = False, write: Callable[[float], str] = number,
) -> str:  # fmt: skip
    """How each of several lines goes, in one sentence each; a line that lies on an earlier one is said so, and where
    it leaves it.

    Args:
        named: at least one line. Else as for `shape`.
    """
    said, seen, extent = [], {}, span(named.values())
    drawn = {name: _scaled(np.asarray(values, dtype=float), log) for name, values in named.items()}
    low, high = _scaled(np.asarray(extent), log)
    for name, values in named.items():
        shares = [(together_until(drawn[other], drawn[name], high - low), other) for other in seen]
        shared, other = max(shares, default=(0, ""))
        seen[name] = values
        places = list(range(1, len(values) + 1)) if x is None else list(x)[: len(values)]
        if shared == len(values) > 1:
            said.append(f"{name} lies on {other}")
            continue
        if shared >= max(3, LONG * len(values)):
            start = shared - 1
            rest = shape(values[start:], places[start:], at=at, log=log, log_x=log_x, span=extent, write=write)
            rest = rest.replace("throughout", f"up to {at.format(number(places[-1]))}")
            said.append(f"{name} lies on {other} up to {at.format(number(places[start]))}, then {rest}")
            continue
        said.append(name + " " + shape(values, places, at=at, log=log, log_x=log_x, span=extent, write=write))
    return "; ".join(said)


def ranking(values: Mapping[str, float], write: Callable[[float], str] = number, lowest: bool = True) -> str:
    """Names with their values from the lowest up, or from the highest down; what is not a number comes last."""
    sign = 1 if lowest else -1
    order = sorted(values, key=lambda name: (not np.isfinite(values[name]), sign * values[name]))
    return ", ".join(f"{name} {write(values[name])}" for name in order)


def stays_below(values: Sequence[float], level: float | Sequence[float], x: Sequence[float]) -> float | None:
    """From which place on a line stays below a level, or below another line; None where it does not at the end."""
    above = ~(np.asarray(values, dtype=float) < np.asarray(level, dtype=float))
    if above[-1]:
        return None
    return float(x[int(np.flatnonzero(above)[-1]) + 1 if above.any() else 0])


def reaches(values: Sequence[float], level: float, x: Sequence[float]) -> float | None:
    """The first place where a line is at a level or above it."""
    return next((place for place, value in zip(x, values, strict=False) if value >= level), None)


# ---------------------------------------------------------------------- a map of attention


def attention(weights: np.ndarray, names: Sequence[str]) -> str:
    """What stands out in an attention map, or that nothing does.

    Args:
        weights: row i says how much token i takes from each token, (time, time); rows sum to 1.
        names: the tokens.
    """
    weights, names = np.asarray(weights, dtype=float), [quoted(name) for name in names]
    T = len(weights)
    causal = T > 1 and not np.triu(weights, 1).any()
    choose = range(1 if causal else 0, T)  # the first sees itself alone
    if T == 1:
        return "there is one token, which takes all from itself"
    start = "nobody takes from a later token, and " if causal else ""
    if all(np.ptp(weights[i, : i + 1 if causal else T]) <= 0.1 / (i + 1 if causal else T) for i in choose):
        share = "" if causal else f", {weights[0, 0]:.2f}"
        return f"{start}every token takes the same from all it sees{share}"
    targets = {"itself": lambda i: i, "the token before it": lambda i: i - 1}
    targets |= {name: lambda i, j=j: j for j, name in reversed(list(enumerate(names)))}
    most = {what: [i for i in choose if to(i) >= 0 and weights[i, to(i)] >= 0.98 * weights[i].max()]
            for what, to in targets.items()}  # fmt: skip
    pattern = max(most, key=lambda what: len(most[what]))
    who, others = most[pattern], [i for i in choose if i not in most[pattern]]
    if len(who) <= len(choose) / 2:
        said = "no one token or diagonal stands out in most rows"
    elif others:
        said = f"{len(who)} of {len(choose)} tokens take most from {pattern}"
    else:
        said = f"every token{' but the first' if causal else ''} takes most from {pattern}"
    if others and len(others) <= 3 and len(who) > len(choose) / 2:
        said += " (not " + listing(f"{names[i]}: {_giver(weights, names, i)}" for i in others) + ")"
    row = max(choose, key=lambda i: weights[i].max())
    return f"{start}{said}; the largest share is what {names[row]} takes from {_giver(weights, names, row)}"


def _giver(weights: np.ndarray, names: Sequence[str], i: int) -> str:
    """From whom a token takes most, and how much."""
    j = int(weights[i].argmax())
    j = i if weights[i, i] >= 0.98 * weights[i, j] else j
    return f"{'itself' if i == j else names[j]}, {weights[i, j]:.2f}"
