"""Orders for a story, and questions about one, worded from what the grammar knows of a story.

An order asks for one to five facts of a story, its demands: who it is about, with what, where, what happens. Everything
is decided by a generator that is given, so the same seed words the same orders.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from course.instructions import wordings
from data.story_grammar.cast import ANIMALS, BOYS, COLORS, GIRLS, PLACES, TOYS, TRAITS
from data.story_grammar.engine import Sample
from data.story_grammar.stories import plot_modules
from data.story_grammar.templates import article
from helpers.errors import CourseError, did_you_mean

ENDINGS = ("friendship", "bedtime", "memory")  # in the order of the grammar's rule "ending"
# What an order may ask for, and every value of it. A friend is no demand on the friend's kind, nor a color on anything
# but the toy.
FACTS: dict[str, tuple[str, ...]] = {
    "hero": (*GIRLS, *BOYS),
    "kind": (*ANIMALS, "girl", "boy"),
    "trait": tuple(TRAITS),
    "friend": (*GIRLS, *BOYS),
    "toy": tuple(toy.text for toy in TOYS),
    "color": tuple(COLORS),
    "place": tuple(place.text for place in PLACES),
    "plot": tuple(module.NAME for module in plot_modules()),
    "ending": ENDINGS,
}
PAIRS = (("color", "toy"), ("toy", "plot"))  # of which some are held out
MOST = 5  # demands of an order
SEEN, UNSEEN = 0, 1  # which of a table's two lists of wordings


@dataclass(frozen=True)
class Order:
    """What is asked for, in words and as facts: `demands` maps names of `FACTS` to values."""

    text: str
    demands: dict[str, str] = field(hash=False)

    def __post_init__(self):
        check_demands(self.demands)


@dataclass(frozen=True)
class Question:
    """A question about a story, the fact that it asks for, and the answer in one phrase."""

    text: str
    fact: str
    answer: str


def check_demands(demands: dict[str, str]) -> None:
    """Refuse demands that no story of this world can keep, with a CourseError that says what there is."""
    for fact, value in demands.items():
        if fact not in FACTS:
            raise CourseError(f"no order asks for {fact!r}{did_you_mean(fact, FACTS)}; it asks for {', '.join(FACTS)}")
        if value not in FACTS[fact]:
            known = ", ".join(FACTS[fact])
            raise CourseError(f"no story has the {fact} {value!r}{did_you_mean(value, FACTS[fact])}; there are {known}")
    if not 1 <= len(demands) <= MOST:
        raise CourseError(f"an order has 1 to {MOST} demands, not {len(demands)}")


def facts_of(sample: Sample) -> dict[str, str]:
    """What the grammar recorded of a story that it sampled: the facts of `FACTS` that the story has."""
    found = {fact: sample.values[fact] for fact in FACTS if fact in sample.values}
    found["plot"] = FACTS["plot"][sample.choices["plot"]]
    if "ending" in sample.choices:
        found["ending"] = ENDINGS[sample.choices["ending"]]
    return found


def held_out(facts: dict[str, str]) -> bool:
    """Whether these facts hold a pair that no training order or story has: an eighth of the pairs of color and toy,
    and an eighth of the pairs of toy and plot.
    """
    at = {fact: FACTS[fact].index(facts[fact]) for fact in ("color", "toy", "plot") if fact in facts}
    return any(sum(at[fact] for fact in pair) % 8 == 3 for pair in PAIRS if at.keys() >= set(pair))


def forms(facts: dict[str, str]) -> dict[str, str]:
    """What a wording may use: a fact by its name, with an article as `a_kind` or `A_kind`, with a capital as `Kind`."""
    made: dict[str, str] = {}
    for fact, value in facts.items():
        with_article = f"{article(value)} {value}"
        made |= {fact: value, f"a_{fact}": with_article}
        made |= {f"A_{fact}": _capital(with_article), fact.capitalize(): _capital(value)}
    return made


def word_order(demands: dict[str, str], generator: random.Random, unseen: bool = False) -> str:
    """An order's text.

    Args:
        unseen: every part that has a wording which no training order uses is worded so.
    """
    check_demands(demands)
    which, said = UNSEEN if unseen else SEEN, forms(demands)

    def drawn(table: wordings.Wordings) -> str:
        return generator.choice(table[which])

    of_hero = tuple(fact for fact in ("trait", "kind", "hero") if fact in demands)
    if of_hero:
        text = drawn(wordings.ABOUT).format(drawn(wordings.HERO[of_hero]).format(**said))
    else:
        text = drawn(wordings.WITHOUT_HERO)
    parts = []
    if of_toy := tuple(fact for fact in ("color", "toy") if fact in demands):
        parts.append(drawn(wordings.TOY[of_toy]))
    if "friend" in demands:
        parts.append(drawn(wordings.FRIEND))
    if "place" in demands:
        parts.append(drawn(wordings.PLACE))
    generator.shuffle(parts)
    if parts and not of_hero:  # "a story and a kite" would ask for two things
        parts[0] = re.sub("^and ", "with ", parts[0])
    happens = drawn(wordings.PLOT[demands["plot"]]) if "plot" in demands else None
    ends = drawn(wordings.ENDING[demands["ending"]]) if "ending" in demands else None
    polite = text.endswith(", please")  # which goes to the end of the sentence
    text = " ".join([text.removesuffix(", please"), *parts]).format(**said)
    if happens and generator.random() < 0.7:
        text, happens = f"{text}, {drawn(wordings.HAPPENS).format(happens)}", None
    text += ", please" if polite else ""
    if ends and generator.random() < 0.5:
        text, ends = f"{text}; {ends}", None
    return " ".join(f"{_capital(sentence)}." for sentence in (text, happens, ends) if sentence)


def draw_order(
    facts: dict[str, str], generator: random.Random, count: int | None = None, unseen: bool = False,
    always: Sequence[str] = (),
) -> Order:
    """An order that a story with these facts keeps.

    Args:
        facts: of a story, as `facts_of` or `reading.read` gives them.
        count: how many demands; None draws 1 to 5.
        unseen: worded as no training order is.
        always: facts that must be among the demands.
    """
    count = generator.randint(max(1, len(always)), MOST) if count is None else count
    left = [fact for fact in FACTS if fact in facts and fact not in always]
    chosen = {*always, *generator.sample(left, count - len(always))}
    demands = {fact: facts[fact] for fact in FACTS if fact in chosen}
    return Order(word_order(demands, generator, unseen), demands)


def draw_question(facts: dict[str, str], generator: random.Random, unseen: bool = False) -> Question:
    """A question that a story with these facts answers. Half of those that are worded as in training ask for what
    happened in this kind of story ("Who lost the kite?").
    """
    said, of_plot = forms(facts), wordings.PLOT_QUESTION.get(facts["plot"], [])
    if of_plot and not unseen and generator.random() < 0.5:
        text, fact = generator.choice([(text, fact) for text, fact in of_plot if fact in facts])
    else:
        fact = generator.choice([fact for fact in wordings.QUESTION if fact in facts])
        text = generator.choice(wordings.QUESTION[fact][UNSEEN if unseen else SEEN])
    return Question(text.format(**said), fact, wordings.QUESTION[fact][2].format(**said))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
