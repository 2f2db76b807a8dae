"""The full grammar: the cast, the shared wordings and every plot, put together."""

import importlib
import pkgutil
from functools import cache

import data.story_grammar as package
from data.story_grammar.cast import VARIABLES
from data.story_grammar.engine import Grammar
from data.story_grammar.shared import RULES
from data.story_grammar.templates import Literal, Node, choice, parse, sequence


def plot_modules() -> list:
    """The modules `plot_*`, each with NAME, VARIABLES and ACTS, in alphabetical order."""
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name.startswith("plot_"))
    return [importlib.import_module(f"data.story_grammar.{name}") for name in names]


def plot_node(acts: list, rules: dict[str, Node]) -> Node:
    """The node of a plot.

    `acts` is a list of paragraphs, a paragraph a list of steps, a step a list of wordings (or one wording). Steps are
    joined by a space and paragraphs by an empty line. A wording that is empty brings no space with it, and cannot be
    the first of a paragraph.
    """
    parts: list[Node] = []
    for number, act in enumerate(acts):
        for position, step in enumerate(act):
            wordings = [step] if isinstance(step, str) else step
            border = "" if number == position == 0 else " " if position else "\n\n"
            nodes = [
                sequence([Literal(border), parse(wording, rules)]) if wording else Literal("") for wording in wordings
            ]
            parts.append(choice(nodes, [1.0] * len(nodes)))
    return sequence(parts)


@cache
def full_grammar() -> Grammar:
    """The grammar that the bundled stories are sampled from."""
    return grammar_of(plot_modules())


def grammar_of(modules: list) -> Grammar:
    """A grammar of some of the plots, each equally likely."""
    variables = dict(VARIABLES)
    for module in modules:
        clash = set(variables) & set(module.VARIABLES)
        if clash:
            raise ValueError(f"{module.__name__} names variables that exist already: {', '.join(sorted(clash))}")
        variables.update(module.VARIABLES)
    rules: dict = {name: list(options) for name, options in RULES.items()}
    base = Grammar(variables, rules, "")
    plots = [plot_node(module.ACTS, base.rules) for module in modules]
    start = choice(plots, [1.0] * len(plots), "plot")
    return Grammar(variables, {**rules, "story": start}, "<story>")
