"""Comparisons in words, for the texts that stand for figures: names of which the same holds, ratios, a line beside
another.

The shape of a single line, and how a text is put together, is in `words`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from course.figures import words

Written = Callable[[float], str]
LAST = 10  # steps that the end of a run is the mean of
SEEN_APART = 0.02  # two lines are told apart by eye where they differ by more than this share of the whole height


def text(*sentences: str) -> str:
    """Sentences as the text of a figure, see `words.told`; a sentence that begins with a plain word gets its capital,
    one that begins with a name such as muP or first_loss keeps it.
    """
    plain = re.compile(r"[a-z]+('s)?([\s,:;.]|$)")
    return words.told(*(one[:1].upper() + one[1:] if plain.match(one) else one for one in sentences))


def some(names: Iterable[str], most: int = 8) -> str:
    """Names as one says them, and of many only the first: "a", "a and b", "a, b and 7 more"."""
    names = list(names)
    return words.listing(names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"])


def grouped(said: Mapping[str, str], between: str = ", ", link: str = " ") -> str:
    """Names with what is said of each; those of which the same is said stand together: "a and b 100%, c 8%".

    Args:
        link: what stands between names and what is said of them; ": " before a verb, which would not fit several.
    """
    by: dict[str, list[str]] = {}
    for name, what in said.items():
        by.setdefault(what, []).append(name)
    return between.join(f"{words.listing(names)}{link}{what}" for what, names in by.items())


def reach(values: Iterable[float], write: Written = words.number) -> str:
    """From the least to the largest: "0.24 to 0.39", or "0.24" where they are written alike."""
    values = list(values)
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low} to {high}"


def times(ratio: float) -> str:
    """How many times as large: "9.1 times", "37 times"."""
    return f"{ratio:,.0f} times" if ratio >= 9.95 else f"{ratio:.1f} times"


def verb(names: Sequence[str], one: str, several: str) -> str:
    """Names with the verb that fits how many they are: "a lies", "a and b lie"."""
    return f"{words.listing(names)} {one if len(names) == 1 else several}"


def beside(values: Sequence[float], other: Sequence[float], it: str = "it") -> str:
    """How a line lies to another one over the same steps, as a verb and what follows it.

    Args:
        it: what the other line is called.
    """
    steps = min(len(values), len(other))
    mine, its = np.asarray(values[:steps], dtype=float), np.asarray(other[:steps], dtype=float)
    lost = int(np.argmin([*np.isfinite(mine + its), False]))
    if lost == 0:
        return "cannot be compared: there is no number" if steps else "has no step in common with " + it
    end = ""
    if lost < steps:
        whose = "" if not np.isfinite(mine[lost]) else f"{it} "
        from_here = not np.isfinite(mine + its)[lost:].any()
        end = f", and {whose}is no number {'from' if from_here else 'at'} step {lost + 1:,}{' on' if from_here else ''}"
    mine, its = mine[:lost], its[:lost]
    height = max(mine.max(), its.max()) - min(mine.min(), its.min())
    away = mine - its
    if np.abs(away).max() <= 1e-3 * height:
        return f"lies on {it} at every step{' before' if end else ''}{end}"
    apart = np.flatnonzero(np.abs(away) > SEEN_APART * height)
    if not len(apart):
        return f"can hardly be told from {it}, never more than {words.number(np.abs(away).max())} away{end}"
    first, last = int(apart[0]), int(apart[-1])
    if last - first < max(2, 0.1 * lost) and last < lost - 1:  # a short way out, and back
        far = first + int(np.abs(away[first : last + 1]).argmax())
        return f"lies on {it} but for step {far + 1:,}, where it leaps to {words.number(mine[far])} and comes back{end}"
    rest = away[first:]
    share = max(float((rest > 0).mean()), float((rest < 0).mean()))
    side = "above" if (rest > 0).mean() == share else "below"
    where = f"{side} {it}" if share == 1 else f"mostly {side} {it}" if share >= 0.75 else f"now above {it}, now below"
    begins = f"begins at {words.number(mine[0])} against {words.number(its[0])} and " if first == 0 else ""
    since = f" from step {first + 1:,} on" if first else " all the way" if share == 1 else ""
    if end:
        return f"{begins}lies {where}{since}{end}"
    ends = words.number(mine[-LAST:].mean()), words.number(its[-LAST:].mean())
    over = f"over the last {min(LAST, lost)} steps" if lost > 1 else "there"
    far = int(np.abs(away).argmax())
    if far and np.abs(away[far]) > max(0.2 * height, 2 * abs(away[-LAST:].mean())):
        since += f", farthest at step {far + 1:,}, {words.number(mine[far])} against {words.number(its[far])}"
    return f"{begins}lies {where}{since}, {ends[0]} against {ends[1]} on average {over}"


def going(values: Sequence[float]) -> str:
    """Whether values go one way from each to the next: "rises", "falls", "stays the same", or "goes up and down"."""
    steps = np.diff(np.asarray(values, dtype=float))
    if (steps == 0).all():
        return "stays the same"
    return "rises" if (steps >= 0).all() else "falls" if (steps <= 0).all() else "goes up and down"
