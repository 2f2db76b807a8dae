"""The little language in which the stories' prose is written, and its parser.

A template is ordinary English with four kinds of mark:

`{one|two|}`     one of the wordings, each equally likely; `{3*one|two}` makes the first three times as likely; a
                 wording may be empty
`[hero]`         the text of a variable; drawn from its table where it is first printed
`[hero.he]`      an attribute of what the variable is bound to
`[^hero.he]`     the same with a capital first letter; `[a toy]` and `[A toy]` put a or an before it
`<greeting>`     another template, by name

Marks nest: a wording may hold variables, an attribute may itself be a template.
Everything is parsed once into the four node types below; `engine.py` samples and scores them.
"""

import math
import re
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Literal:
    """Text that is printed as it stands."""

    text: str


@dataclass(frozen=True, eq=False)
class Choice:
    """One of `options`; `log_weights[i]` is the natural logarithm of the probability of option i."""

    options: tuple
    log_weights: tuple[float, ...]
    name: str = ""


@dataclass(frozen=True, eq=False)
class Sequence:
    """All of `parts`, one after the other."""

    parts: tuple


@dataclass(frozen=True, eq=False)
class Variable:
    """An attribute of a variable. `style` is "", "^" (capital), "a" or "A" (with an article)."""

    name: str
    attribute: str
    style: str = ""


Node = Literal | Choice | Sequence | Variable

_WEIGHT = re.compile(r"(\d+)\*")
# Words that begin with a vowel letter and take "a", and the other way round.
_TAKES_A = ("uni", "use", "one", "eu", "ukulele")
_TAKES_AN = ("hour", "honest", "honor")


def article(following: str) -> str:
    """"a" or "an", whichever goes before `following`."""
    word = following.lower()
    if word.startswith(_TAKES_A):
        return "a"
    return "an" if word.startswith(_TAKES_AN) or word[:1] in "aeiou" else "a"


def choice(options: list, weights: list[float], name: str = "") -> Node:
    """A `Choice` among `options`, or the option itself where there is only one."""
    if not options:
        raise ValueError(f"a choice without options{' in ' + name if name else ''}")
    if len(options) == 1:
        return options[0]
    total = sum(weights)
    return Choice(tuple(options), tuple(math.log(w / total) for w in weights), name)


def sequence(parts: list) -> Node:
    """The parts joined into one node; neighbouring literals become one."""
    flat: list = []
    for part in parts:
        for piece in part.parts if isinstance(part, Sequence) else (part,):
            if isinstance(piece, Literal):
                if not piece.text:
                    continue
                if flat and isinstance(flat[-1], Literal):
                    flat[-1] = Literal(flat[-1].text + piece.text)
                    continue
            flat.append(piece)
    if not flat:
        return Literal("")
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


class TemplateError(ValueError):
    """A template that cannot be parsed, with the place where it goes wrong."""


def parse(template: str, rules: dict[str, Node]) -> Node:
    """The node of a template.

    Args:
        template: text with the marks described at the top of this module.
        rules: what `<name>` stands for; a rule must have been parsed before it is used, so no rule can hold itself.

    Raises:
        TemplateError: a bracket is not closed, a rule is unknown, a weight stands alone.
    """
    position = 0

    def fail(message: str):
        raise TemplateError(f"{message} at character {position} of {template!r}")

    def until(closing: str) -> str:
        nonlocal position
        end = template.find(closing, position)
        if end < 0:
            fail(f"no {closing!r}")
        inside, position = template[position:end], end + 1
        return inside

    def read(stops: str) -> Node:
        nonlocal position
        parts: list = []
        while position < len(template) and template[position] not in stops:
            mark = template[position]
            if mark in "}|]>" and not (mark == "|" and not stops):
                fail(f"{mark!r} without its opening mark")
            if mark == "{":
                position += 1
                parts.append(read_choice())
            elif mark == "[":
                position += 1
                parts.append(read_variable(until("]")))
            elif mark == "<":
                position += 1
                name = until(">")
                if name not in rules:
                    fail(f"no rule named {name!r}")
                parts.append(rules[name])
            else:
                parts.append(Literal(mark))
                position += 1
        return sequence(parts)

    def read_choice() -> Node:
        nonlocal position
        options, weights = [], []
        while True:
            weight = _WEIGHT.match(template, position)
            weights.append(float(weight.group(1)) if weight else 1.0)
            position = weight.end() if weight else position
            options.append(read("|}"))
            if position >= len(template):
                fail("no '}'")
            position += 1
            if template[position - 1] == "}":
                return choice(options, weights)

    def read_variable(inside: str) -> Variable:
        style = ""
        if inside[:2] in ("a ", "A "):
            style, inside = inside[0], inside[2:]
        elif inside.startswith("^"):
            style, inside = "^", inside[1:]
        name, _, attribute = inside.partition(".")
        if not re.fullmatch(r"[a-z_]+", name) or not re.fullmatch(r"[a-z_]*", attribute):
            fail(f"[{inside}] is not a variable")
        return Variable(name, attribute or "text", style)

    return read("")
