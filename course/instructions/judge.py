"""Two judges of whether a story keeps an order: one that reads it by the grammar, and one that looks for words.

The exact judge knows who is the hero and who the friend, whose kind is whose, what happens. The keyword judge is what
people reach for where nothing can read: cheap, right most of the time, and wrong in ways that a model can find;
`errors` counts how often.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from course.instructions.orders import FACTS, Order, check_demands
from course.instructions.reading import Reading, read

# What the keyword judge looks for where the demand is no word of the story: any of these stems.
STEMS: dict[str, tuple[str, ...]] = {
    "baking": ("bak",),
    "a contest": ("contest", "race", "show"),
    "fear overcome": ("brave", "courage", "fear", "afraid"),
    "lost and found": ("lost", "found"),
    "a newcomer": ("neighbor", "next door", "newcomer"),
    "a rescue": ("rescue", "trapped", "stuck"),
    "a secret": ("secret",),
    "sharing": ("shar",),
    "learning a skill": ("learn", "practic"),
    "a storm": ("storm",),
    "stuck": ("stuck", "trapped"),
    "truth": ("truth",),
    "friendship": ("friend",),
    "bedtime": ("asleep", "bed"),
    "memory": ("remember", "smil"),
}


@dataclass(frozen=True)
class Verdict:
    """What became of an order: of each demand whether it is kept, and what was read."""

    kept: dict[str, bool]
    reading: Reading

    @property
    def share(self) -> float:
        """Demands kept, over all demands."""
        return sum(self.kept.values()) / len(self.kept)

    @property
    def all_kept(self) -> bool:
        return all(self.kept.values())


def judge(demands: dict[str, str], story: str) -> Verdict:
    """The exact verdict: a demand is kept if the story, as the grammar reads it, states just that.

    Args:
        demands: of an `Order`: names of `orders.FACTS` with values.

    Raises:
        CourseError: a demand that no story of this world can keep.
    """
    check_demands(demands)
    reading = read(story)
    return Verdict({fact: reading.facts.get(fact) == value for fact, value in demands.items()}, reading)


def keywords(demands: dict[str, str], story: str) -> dict[str, bool]:
    """The cheap verdict: a demand is kept if its word occurs anywhere in the story, in whatever part."""
    text = story.lower()
    return {fact: any(_occurs(stem, text) for stem in _stems(value)) for fact, value in demands.items()}


def keyword_score(demands: dict[str, str], story: str) -> float:
    """The share of demands whose words occur: the keyword judge as a reward, from 0 to 1."""
    found = keywords(demands, story)
    return sum(found.values()) / len(found)


SLIP_COSTS, SLIPS_COUNTED = 0.1, 5  # in a reward: a tenth of all demands for each slip, at most half


def exact_score(demands: dict[str, str], story: str) -> float:
    """The exact judge as a reward: the share of demands kept, less a tenth for each slip, from -0.5 to 1."""
    verdict = judge(demands, story)
    return verdict.share - SLIP_COSTS * min(verdict.reading.slips, SLIPS_COUNTED)


def _stems(value: str) -> tuple[str, ...]:
    return STEMS.get(value, (value.lower(),))


def _occurs(stem: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(stem)}", text) is not None


@dataclass(frozen=True)
class Errors:
    """Of how many demands a judge was asked, and how often it was wrong about them.

    Attributes:
        demands: how many there were.
        missed: kept, and not seen to be. believed: not kept, and taken to be.
        kept: how many were kept.
    """

    demands: int
    kept: int
    missed: int
    believed: int

    @property
    def rate(self) -> float:
        return (self.missed + self.believed) / self.demands


def errors(
    orders: Iterable[Order], stories: Iterable[str], cheap: Callable[[dict[str, str], str], dict[str, bool]] = keywords
) -> dict[str, Errors]:
    """Where a judge says other than the exact one, fact by fact, and for all facts together under "all"."""
    counts = {fact: [0, 0, 0, 0] for fact in ("all", *FACTS)}
    for order, story in zip(orders, stories, strict=True):
        truth, said = judge(order.demands, story).kept, cheap(order.demands, story)
        for fact, kept in truth.items():
            for name in (fact, "all"):
                for place, counted in enumerate((True, kept, kept and not said[fact], said[fact] and not kept)):
                    counts[name][place] += counted
    return {fact: Errors(*found) for fact, found in counts.items() if found[0]}


@dataclass(frozen=True)
class Kept:
    """How well orders were kept.

    Attributes:
        orders: how many there were.
        all: of them, the share all of whose demands are kept.
        items: fact -> (how many orders asked for it, the share of them that got it).
        by_count: number of demands -> (orders, the share wholly kept).
        slips: sentences per story that the grammar cannot say; of_this_world: the share of stories without one.
        bits_per_byte: mean over stories of this world, under the grammar; None if there are none.
    """

    orders: int
    all: float
    items: dict[str, tuple[int, float]]
    by_count: dict[int, tuple[int, float]]
    slips: float
    of_this_world: float
    bits_per_byte: float | None


def summary(verdicts: Sequence[Verdict]) -> Kept:
    """The verdicts on many stories in numbers."""
    items: dict[str, list[bool]] = {fact: [] for fact in FACTS}
    counts: dict[int, list[bool]] = {}
    for verdict in verdicts:
        counts.setdefault(len(verdict.kept), []).append(verdict.all_kept)
        for fact, kept in verdict.kept.items():
            items[fact].append(kept)
    readings = [verdict.reading for verdict in verdicts]
    bits = [reading.bits_per_byte for reading in readings if reading.of_this_world]
    return Kept(
        len(verdicts),
        _mean([verdict.all_kept for verdict in verdicts]),
        {fact: (len(found), _mean(found)) for fact, found in items.items() if found},
        {count: (len(found), _mean(found)) for count, found in sorted(counts.items())},
        _mean([reading.slips for reading in readings]),
        _mean([reading.of_this_world for reading in readings]),
        _mean(bits) if bits else None,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
