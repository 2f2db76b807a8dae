"""A story read back by the grammar: what it says, and where it says what no story of this world could.

Every step of a plot is one sentence. So a story can be held against a plot sentence by sentence, as words are held
against words in an edit distance: a sentence that its step can say, with all that is known so far (a name once given
stays), costs nothing; a sentence that it cannot say, one too many and one that is missing are a slip each, and so is a
friend who has the hero's name. Of all readings
the one with fewest slips counts, of several with as many the one that slips latest: what is said first is what later
sentences are held to. Without a slip it is the grammar's own, and its probability the story's.
"""

import heapq
import math
import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

from course.instructions.orders import ENDINGS, FACTS
from data.story_grammar.engine import Grammar, log_add
from data.story_grammar.stories import full_grammar, plot_modules
from data.story_grammar.templates import Node, choice, parse

# After a full stop, and after the quotation mark that follows one; not after "Mr." and "Mrs.".
SLIP = 1_000_000  # what a slip costs; on top comes how many sentences are left then, which decides between equals
BORDER = re.compile(r'((?:(?<=[.!?])|(?<=[.!?]"))(?<!\bMr\.)(?<!\bMrs\.)\s+(?=[A-Z"]))')


@dataclass(frozen=True)
class Reading:
    """What a story says.

    Attributes:
        facts: those of `orders.FACTS` that it states; none if more than two thirds of it cannot be read.
        slips: sentences that would have to be changed, left out or put in to make it a story of this world.
        sentences: how many it has.
    """

    text: str
    facts: dict[str, str]
    slips: int
    sentences: int

    @property
    def of_this_world(self) -> bool:
        """Whether the grammar can tell this story, to the letter."""
        return self.slips == 0

    @cached_property
    def nats(self) -> float:
        """Minus the natural logarithm of the story's probability under the grammar; infinite if there is a slip."""
        return -full_grammar().log_prob(self.text) if self.of_this_world else math.inf

    @property
    def bits_per_byte(self) -> float:
        """The same in bits, for each byte of the text in UTF-8: what notebook 03 calls the floor, for this story."""
        return self.nats / math.log(2) / len(self.text.encode("utf-8"))


def sentences_of(text: str) -> list[tuple[str, str]]:
    """A story in sentences, each with the white space before it."""
    pieces = BORDER.split(text)
    return list(zip(["", *pieces[1::2]], pieces[0::2], strict=True))


@cache
def steps_of_plots() -> list[list[tuple[str, Node]]]:
    """Of each plot its steps: the white space before a step, and the node that says it."""
    grammar = full_grammar()
    rules = {name: node for name, node in grammar.rules.items() if name != "story"}
    parsed: dict[tuple[str, ...], Node] = {}  # one node for steps that plots share: `read` explains them once
    plots = []
    for module in plot_modules():
        steps = []
        for number, act in enumerate(module.ACTS):
            for position, step in enumerate(act):
                wordings = (step,) if isinstance(step, str) else tuple(step)
                if wordings not in parsed:
                    nodes = [parse(wording, rules) for wording in wordings]
                    parsed[wordings] = choice(nodes, [1.0] * len(nodes))
                border = "" if number == position == 0 else " " if position else "\n\n"
                steps.append((border, parsed[wordings]))
        plots.append(steps)
    return plots


@lru_cache(maxsize=256)  # a story is judged in several ways, one after the other
def read(text: str) -> Reading:
    """The reading of a story with the fewest and latest slips; of several such the likeliest."""
    grammar, plots, sentences = reader(), steps_of_plots(), sentences_of(text)
    most = len(sentences) * 2 // 3 * SLIP + SLIP - 1
    explained: dict[tuple, dict] = {}
    mass: dict[tuple, float] = {}  # (cost of slips, plot, sentences read, steps said, what is bound) -> log-probability
    settled: set[tuple] = set()
    queue: list[tuple] = []

    def left(plot: int, read: int, said: int) -> int:
        """What slips that must still come cost at least."""
        return abs(len(sentences) - read - len(plots[plot]) + said) * SLIP

    def add(slips: int, plot: int, read: int, said: int, bound: tuple, log_prob: float) -> None:
        key = (slips, plot, read, said, bound)
        if slips + left(plot, read, said) > most or key[1:] in settled:
            return
        if key in mass:
            mass[key] = log_add(mass[key], log_prob)
        else:
            mass[key] = log_prob
            heapq.heappush(queue, (slips + left(plot, read, said), slips, read + said, len(mass), key))

    for plot in range(len(plots)):
        add(0, plot, 0, 0, (None,) * len(grammar.slot), -math.log(len(plots)))
    best: list[tuple[float, int, tuple]] = []  # of all complete readings with the fewest slips
    fewest = most
    while queue:
        total, _, _, _, key = heapq.heappop(queue)
        if total > fewest:
            break
        slips, plot, read, said, bound = key
        if key[1:] in settled:
            continue
        settled.add(key[1:])
        log_prob = mass[key]
        if read == len(sentences) and said == len(plots[plot]):
            best.append((log_prob, plot, bound))
            fewest = slips
            continue
        slipped = slips + SLIP + len(sentences) - read
        if read < len(sentences) and said < len(plots[plot]):
            (border, sentence), (expected, node) = sentences[read], plots[plot][said]
            if border == expected:
                question = (read, id(node), bound)
                if question not in explained:
                    explained[question] = grammar.explain(sentence, node, bound)
                for now_bound, weight in explained[question].items():
                    same = namesakes(grammar, now_bound) and not namesakes(grammar, bound)
                    add(slipped if same else slips, plot, read + 1, said + 1, now_bound, log_prob + weight)
            add(slipped, plot, read + 1, said + 1, bound, log_prob)
        if read < len(sentences):
            add(slipped, plot, read + 1, said, bound, log_prob)
        if said < len(plots[plot]):
            add(slipped, plot, read, said + 1, bound, log_prob)
    if not best:
        return Reading(text, {}, most // SLIP + 1, len(sentences))
    _, plot, bound = max(best, key=lambda each: each[0])
    values = {name: bound[slot].text for name, slot in grammar.slot.items() if bound[slot] is not None}
    found = {fact: values[fact] for fact in FACTS if fact in values} | {"plot": FACTS["plot"][plot]}
    if (ending := _ending(grammar, sentences[-1][1], bound)) is not None:
        found["ending"] = ending
    facts = {fact: found[fact] for fact in FACTS if fact in found}
    return Reading(text, facts, fewest // SLIP, len(sentences))


@cache
def reader() -> Grammar:
    """The grammar that reads: it lets a friend have the hero's name, because a story that does so can be read, too."""
    return full_grammar().without_differences()


def namesakes(grammar: Grammar, bound: tuple) -> bool:
    """Whether hero and friend have one name."""
    hero, friend = (bound[grammar.slot[name]] for name in ("hero", "friend"))
    return None not in (hero, friend) and hero.text == friend.text


def _ending(grammar: Grammar, sentence: str, bound: tuple) -> str | None:
    """Which of the grammar's shared endings the last sentence is, or None."""
    for name, node in zip(ENDINGS, grammar.rules["ending"].options, strict=True):
        if grammar.explain(sentence, node, bound):
            return name
    return None
