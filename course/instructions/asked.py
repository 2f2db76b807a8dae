"""What a person's own words ask for: a light reader of orders, and of questions about a story.

It claims only what it is sure of. A value of `orders.FACTS` counts where it stands as one can ask for it; a fox that is
the friend, two toys, a color of nothing named are passed over. So a demand that it reads was made, and one that it does
not read may have been made all the same. What the demands of an order are worth is the judge's to say.
"""

import re
from dataclasses import dataclass, field
from functools import cache

from course.instructions import wordings
from course.instructions.orders import FACTS, forms

# Ways to ask for a plot or an ending that no table of wordings has.
MORE_PLOTS = {
    "baking": "bak(?:e|es|ing)",
    "a contest": "contest",
    "fear overcome": "fear overcome|overcom(?:e|es|ing) (?:a|the|her|his|its) fear",
    "lost and found": "lost|loses",
    "a newcomer": "newcomer|new neighbou?rs?|moves in",
    "a rescue": "rescue[sd]?",
    "a secret": "secret",
    "sharing": "share|shares|sharing",
    "learning a skill": "learn(?:s|ing)? a skill",
    "a storm": "storm|stormy",
    "stuck": "stuck",
    "truth": "truth|honesty",
}
MORE_ENDINGS = {
    "friendship": "ends? with (?:a )?friendship",
    "bedtime": "ends? (?:at|with) bedtime|(?:goes to bed|falls asleep) (?:in|at) the end",
    "memory": "(?:happy|fond) memory",
}
NOT = re.compile(r"\b(?:no|not|without|never|nothing|except|instead of|\w+n't)\b[^,.;:!?]*", re.IGNORECASE)
ASKS = "who|whom|whose|what|which|where|when|why|how|for whom|is|are|was|were|does|do|did|has|had"
INDIRECTLY = re.compile(
    r"^(?:(?:can|could|will|would) you )?(?:please )?(?:tell|remind) me (?:please |again )?"
    r"(?=(?:who|whom|whose|what|which|where|when|why|how)\b)",
    re.IGNORECASE,
)
TELLS = re.compile(
    r"^(?:please |now |and |ok |okay )*(?:tell|write|make|invent|give|read)\b"
    r"|^(?:can|could|will|would|may) (?:you|i|we)\b|^i\b|^let\b"
    r"|\b(?:a|an|another|one|some) (?:\w+ ){0,3}?(?:story|tale|stories|tales)\b"
    r"|\b(?:story|stories|tale|tales) (?:about|with|of|in which|where) \w",
    re.IGNORECASE,
)
# Of what follows one of the first words up to one of the second somebody can mean a being, a thing or a name.
OPENS = {"a", "an", "about", "named", "called"}
CLOSES = set(
    """and or with who whom whose which that in on at by near to from for of as is are was were has have had be but
    where when while then than so because into over under through about named called like likes love loves want wants
    go goes find finds get gets make makes meet meets play plays live lives eat eats fly flies see sees lose loses
    learn learns help helps going who's it he she they you me i please can could would set close
    together""".split()
)
HAS = set("with and has have finds gets loves owns , likes".split())  # before what a hero plays with
THING = "thing"  # what it is that was asked for, where that is not sure
# Words of these places say nothing of what a story is to have.
PLAIN = set(
    """story stories tale tales hero heroes heroine friend friends toy toys good nice little small big great long short
    new old best dear one bit lot time something someone somebody anything thing things other another different funny
    happy day kind sort name ending end the my your her his their its this that some any few two
    three""".split()
)


QUALITIES = {*FACTS["trait"], *FACTS["color"]}  # behind which the noun is still to come


@dataclass(frozen=True)
class Asked:
    """What an order was found to ask for.

    Attributes:
        demands: names of `orders.FACTS` with values, as of an `orders.Order`, but perhaps none or more than five.
        unknown: words for what no order can ask for, with the fact that they were said for: "kind", "hero", "toy", or
            `THING` where that is not sure.
    """

    demands: dict[str, str]
    unknown: dict[str, str] = field(default_factory=dict)


def is_question(text: str) -> bool:
    """Whether this asks about a story that was told; else it is taken for an order."""
    text = text.strip()
    if INDIRECTLY.match(text):
        return True
    if tells(text):
        return False
    return text.endswith("?") or re.match(rf"(?:{ASKS})\b", text, re.IGNORECASE) is not None


def tells(text: str) -> bool:
    """Whether this says by itself that something is to be told, whatever it is about."""
    return TELLS.search(text.strip()) is not None


def right_answer(question: str, facts: dict[str, str]) -> str | None:
    """The answer that a story with these facts gives to a question; None to one that no table of wordings has."""
    said, asked = forms(facts), _plain(INDIRECTLY.sub("", question))
    tables = [(text, fact) for fact, (seen, unseen, _) in wordings.QUESTION.items() for text in (*seen, *unseen)]
    tables += wordings.PLOT_QUESTION.get(facts.get("plot", ""), [])
    for text, fact in tables:
        names = set(re.findall(r"{(\w+)}", text))  # what the question takes for granted
        if fact in facts and names <= said.keys() and _plain(text.format(**said)) == asked:
            return wordings.QUESTION[fact][2].format(**said)
    return None


def _plain(text: str) -> str:
    """A text's words alone, as the tables would spell them."""
    text = text.lower().replace("colour", "color").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return " ".join(re.findall(r"[\w']+", text))


def read_order(text: str) -> Asked:
    """The demands that an order surely makes, and what it asks for that no story of this world has."""
    left = NOT.sub(" | ", re.sub(r"\s+", " ", text.replace("colour", "color")))
    found: dict[str, str] = {}
    left = _one_of(_happenings("plot"), left, found, "plot")
    left = _one_of(_happenings("ending"), left, found, "ending")
    left = _one_of([(value, rf"\b{value}\b") for value in _longest("place")], left, found, "place")
    toy = rf"(?:{_any('toy')}|toy)"
    colored = rf"\b({_any('color')})(?: \w+)? {toy}\b"
    colored += rf"|\b{toy},?(?: which| that)?(?: is| was| in) ({_any('color')})\b"
    _alone([a or b for a, b in re.findall(colored, left, re.IGNORECASE)], found, "color")
    _alone(re.findall(rf"\b({_any('toy')})\b", left, re.IGNORECASE), found, "toy")
    _names(left, found)
    _hero(left, found)
    return Asked({fact: found[fact] for fact in FACTS if fact in found}, _unknown(left))


def _alone(values: list[str], found: dict[str, str], fact: str) -> None:
    """Take a value that is the only one of its fact: of two, who can say which is meant?"""
    known = {value.lower(): value for value in FACTS[fact]}
    if len(distinct := {value.lower() for value in values}) == 1:
        found[fact] = known[distinct.pop()]


def _one_of(patterns: list[tuple[str, str]], text: str, found: dict[str, str], fact: str) -> str:
    """The text without what these patterns match; a value is found where all that matched are its own."""
    values = []
    for value, pattern in patterns:
        text, count = re.subn(pattern, " | ", text, flags=re.IGNORECASE)
        values += [value] * bool(count)
    _alone(values, found, fact)
    return text


@cache
def _happenings(fact: str) -> list[tuple[str, str]]:
    """How a plot or an ending is asked for: whole wordings first, the longest before others, then single words."""
    table, more = {"plot": (wordings.PLOT, MORE_PLOTS), "ending": (wordings.ENDING, MORE_ENDINGS)}[fact]
    whole = [(value, text) for value, (seen, unseen) in table.items() for text in (*seen, *unseen)]
    whole.sort(key=lambda each: -len(each[1]))
    return [(value, rf"\b{text}\b") for value, text in [*whole, *((value, rf"(?:{t})") for value, t in more.items())]]


def _longest(fact: str) -> list[str]:
    return sorted(FACTS[fact], key=len, reverse=True)


def _any(fact: str) -> str:
    return "|".join(_longest(fact))


def _names(text: str, found: dict[str, str]) -> None:
    """The hero's name and the friend's: one that stands by the word friend, else the first and one joined to it."""
    if re.search(r"\bor\b", text, re.IGNORECASE):
        return
    heroes: list[str] = []
    friends: list[str] = []
    by_friend = re.compile(r"\bfriends?,?(?: (?:is |was )?(?:named|called|is|was))?$", re.IGNORECASE)
    for match in re.finditer(rf"\b({_any('hero')})\b", text, re.IGNORECASE):
        before, name = text[: match.start()].rstrip(" \"'("), match[0].capitalize()
        word = before.rpartition(" ")[2].lower()
        if by_friend.search(before):
            friends.append(name)
        elif word in ("and", "with"):
            friends += [name] * bool(heroes)  # of one that is alone it is not said who it is
        elif word not in ("a", "an", "the", "tell", "for", "to", "hi", "hello", "dear", "am", "i'm"):
            heroes.append(name)
    _alone(heroes, found, "hero")
    _alone([name for name in friends if name != found.get("hero")], found, "friend")


def _hero(text: str, found: dict[str, str]) -> None:
    """Kind and trait, where they are the hero's."""
    who = ["hero", "heroine"] + ([found["hero"]] if "hero" in found else [])
    if (kind := _kind(text)) is not None:
        found["kind"] = kind
        who.append(kind)
    being, trait = f"(?:{'|'.join(who)})", f"({_any('trait')})"
    traits = re.findall(rf"\b{being}\b,? who is {trait}\b", text, re.IGNORECASE)
    for match in re.finditer(rf"((?:\b\w+,? ){{1,3}})\b{being}\b", text, re.IGNORECASE):
        near = re.split(r"\b(?:a|an|the|and|with|about|friend|of)\b", match[1], flags=re.IGNORECASE)[-1]
        traits += re.findall(rf"\b{trait}\b", near, re.IGNORECASE)
    _alone(traits, found, "trait")


def _kind(text: str) -> str | None:
    """The only kind that is named, or the first of several right after "about"; not one that is joined to a hero."""
    said = list(re.finditer(rf"\b({_any('kind')})\b", text, re.IGNORECASE))
    if not said:
        return None
    before = text[: said[0].start()]
    several = len({match[0].lower() for match in said}) > 1
    about = re.search(r"(?:\babout|^)(?: ?(?:a|an|the|one))?(?: \w+){0,3} ?$", before, re.IGNORECASE)
    joined = re.search(
        r"\b(?:and|with|friend|for|meets?|from|by|or)(?: (?:a|an|the|her|his|their))?(?: \w+){0,2} $",
        before,
        re.IGNORECASE,
    )
    with_one = re.search(r"\b(?:story|tale) with(?: an?)?(?: \w+){0,2} $", before, re.IGNORECASE)
    if several and (not about or re.search(r"\bor\b", text, re.IGNORECASE)):
        return None
    return None if joined and not with_one else said[0][0].lower()


def _unknown(text: str) -> dict[str, str]:
    """Words that stand where one says who or what there is to be, and that no order can say."""
    known = _known_words()
    found: dict[str, str] = {}
    fact, last = "", ""
    for match in re.finditer(r"[\w'\N{RIGHT SINGLE QUOTATION MARK}-]+|[^\w\s]", text):
        word = match[0].lower()
        if word in ("named", "called"):
            fact = "hero"
        elif word == "about" or (word in OPENS and last in ("about", "is")):
            fact = "kind"
        elif word in OPENS:
            fact = "toy" if last in HAS else THING
        elif word in CLOSES or not word[0].isalnum():
            fact = ""
        elif fact and word not in known:
            if match[0][0].isupper() and last not in ("a", "an"):
                fact = "hero"
            found[match[0]] = fact
        elif word not in QUALITIES and word not in PLAIN:
            fact = ""  # what there is to be has been said
        last = word
    return found


@cache
def _known_words() -> frozenset[str]:
    """All words of values and wordings, and what people say besides."""
    tables = [wordings.ABOUT, wordings.WITHOUT_HERO, wordings.FRIEND, wordings.PLACE, wordings.HAPPENS]
    for words in (wordings.PLOT, wordings.ENDING, wordings.HERO, wordings.TOY):
        tables += words.values()
    said = [text for table in tables for texts in table for text in texts]
    said += [value for values in FACTS.values() for value in values]
    return frozenset(PLAIN.union(*(re.findall(r"[a-z']+", text.lower()) for text in said)))
