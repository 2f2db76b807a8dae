"""One engine that samples stories from a grammar and says exactly how likely any text is.

A grammar is a set of variables (who, where, with what) and a start node. Sampling walks the nodes from left to right.
A variable is bound where it is first printed, so a text is explained from left to right too, and scoring is the
forward algorithm: hypotheses (what is still to be said, what is bound, how far the text is explained) advance
together, hypotheses that have become the same are merged by adding their probabilities, and the sum over those that
reach the end is the probability of the text, over all its derivations.
"""

import copy
import heapq
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from data.story_grammar.templates import (
    Choice,
    Literal,
    Node,
    Sequence,
    Variable,
    article,
    choice,
    parse,
)


class Entry:
    """One row of a table: its `text`, its `weight`, and attributes, each a string (a template) or a list of rows."""

    __slots__ = ("text", "weight", "attributes", "nodes")

    def __init__(self, text: str, weight: float = 1.0, **attributes):
        self.text, self.weight, self.attributes = text, weight, attributes
        self.nodes: dict[str, Node] = {}

    def __repr__(self) -> str:
        return f"Entry({self.text!r})"


@dataclass
class Table:
    """Where a variable's values come from.

    Args:
        rows: the entries (strings are entries without attributes), or, with `of`, the name of the attribute of the
            parent's entry that holds them.
        of: the variable this one depends on. It is bound first, in silence, where nothing has printed it yet.
        differs_from: variables of the same rows whose values this one may not take.
    """

    rows: list | str
    of: str | None = None
    differs_from: tuple[str, ...] = ()


@dataclass
class Span:
    """Where a variable was printed: characters `start` to `end` (exclusive) of the story."""

    start: int
    end: int
    role: str
    attribute: str
    text: str


@dataclass
class Sample:
    """A story, the log-probability of the derivation that made it, where its variables stand, and their values.

    `choices` holds the number of the option that was taken at each named choice.
    """

    text: str
    log_prob: float
    spans: list[Span] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    choices: dict[str, int] = field(default_factory=dict)


def _styled(text: str, style: str) -> str:
    if style == "^":
        return text[:1].upper() + text[1:]
    word = article(text)
    return f"{word if style == 'a' else word.capitalize()} {text}"


def _draw(generator: random.Random, log_weights: Iterable[float]) -> int:
    """The index of one option, drawn in proportion to exp(log_weights)."""
    left = generator.random()
    last = 0
    for index, log_weight in enumerate(log_weights):
        left -= math.exp(log_weight)
        last = index
        if left < 0:
            break
    return last


def log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b)) without overflow."""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


class Grammar:
    """A probabilistic story grammar with variables.

    Args:
        variables: name -> `Table`.
        rules: name -> template, or a list of templates of which one is chosen; a rule may use those before it.
        start: a template, usually `<story>`.
    """

    def __init__(self, variables: dict[str, Table], rules: dict[str, "str | list | Node"], start: str):
        self.variables = variables
        self.slot = {name: i for i, name in enumerate(variables)}
        self.rules: dict[str, Node] = {}
        for name, rule in rules.items():
            self.rules[name] = self._rule_node(name, rule)
        self.start = parse(start, self.rules)
        self._rows: dict[str, list[Entry]] = {}
        self._styled: dict[tuple[int, str], tuple[Node, Node]] = {}  # the first is kept, so that its id stays its own
        self._drawn: dict[tuple, list[tuple[Entry, float]]] = {}
        for name, table in variables.items():
            if isinstance(table.rows, list):
                self._rows[name] = [self._entry(row) for row in table.rows]
        self._check(self.start, set())

    def _rule_node(self, name: str, rule) -> Node:
        if isinstance(rule, str):
            return parse(rule, self.rules)
        if isinstance(rule, list):
            pairs = [option if isinstance(option, tuple) else (1.0, option) for option in rule]
            return choice([parse(text, self.rules) for _, text in pairs], [w for w, _ in pairs], name)
        return rule

    def _entry(self, row) -> Entry:
        entry = row if isinstance(row, Entry) else Entry(row)
        entry.nodes["text"] = Literal(entry.text)
        for key, value in entry.attributes.items():
            if isinstance(value, str):
                entry.nodes[key] = parse(value, self.rules)
            else:
                value[:] = [self._entry(child) for child in value]  # in place: other grammars may know the list
        return entry

    def _check(self, node: Node, seen: set[int]) -> None:
        """Every variable is known, and every entry it can take has the attribute asked for."""
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, Choice | Sequence):
            for child in node.options if isinstance(node, Choice) else node.parts:
                self._check(child, seen)
        elif isinstance(node, Variable):
            if node.name not in self.variables:
                raise ValueError(f"no variable named {node.name!r}; known: {', '.join(self.variables)}")
            for entry in self.entries(node.name):
                if node.attribute not in entry.nodes:
                    raise ValueError(f"[{node.name}.{node.attribute}]: {entry} has no attribute {node.attribute!r}")
                self._check(entry.nodes[node.attribute], seen)

    def entries(self, name: str) -> list[Entry]:
        """Every entry that a variable can take, whatever its parent."""
        table = self.variables[name]
        if table.of is None:
            return self._rows[name]
        return [child for parent in self.entries(table.of) for child in parent.attributes[table.rows]]

    def _candidates(self, name: str, bound: tuple) -> list[tuple[Entry, float]]:
        """What an unbound variable can become, with log-probabilities, given what is bound."""
        table = self.variables[name]
        rows = self._rows[name] if table.of is None else bound[self.slot[table.of]].attributes[table.rows]
        if table.differs_from:
            taken = {bound[self.slot[other]].text for other in table.differs_from if bound[self.slot[other]]}
        else:
            taken = set()
        key = (name, id(rows), frozenset(taken))
        if key not in self._drawn:
            left = [row for row in rows if row.text not in taken]
            if not left:
                raise ValueError(f"nothing is left for the variable {name!r}")
            total = math.log(sum(row.weight for row in left))
            self._drawn[key] = [(row, math.log(row.weight) - total) for row in left]
        return self._drawn[key]

    def without_differences(self) -> "Grammar":
        """A copy in which no value is refused because another variable has it: it reads what this one could not say."""
        other = copy.copy(self)
        other.variables = {name: replace(table, differs_from=()) for name, table in self.variables.items()}
        other._drawn = {}
        return other

    def _unbound(self, name: str, bound: tuple) -> str | None:
        """The variable that has to be drawn before `name` can be printed: its first unbound ancestor, or itself."""
        first = None
        while name is not None and bound[self.slot[name]] is None:
            first, name = name, self.variables[name].of
        return first

    def _bind(self, bound: tuple, name: str, entry: Entry) -> tuple:
        slot = self.slot[name]
        return bound[:slot] + (entry,) + bound[slot + 1 :]

    def _styled_node(self, node: Node, style: str) -> Node:
        """`node` with a capital first letter or an article before it, whatever its first word turns out to be."""
        if not style:
            return node
        key = (id(node), style)
        if key not in self._styled:
            if isinstance(node, Literal):
                made: Node = Literal(_styled(node.text, style))
            elif isinstance(node, Sequence):
                made = Sequence((self._styled_node(node.parts[0], style), *node.parts[1:]))
            elif isinstance(node, Choice):
                options = tuple(self._styled_node(option, style) for option in node.options)
                made = Choice(options, node.log_weights, node.name)
            else:
                made = Variable(node.name, node.attribute, style)
            self._styled[key] = node, made
        return self._styled[key][1]

    # ---- sampling -------------------------------------------------------------------------------------------------

    def sample(self, generator: random.Random) -> Sample:
        """One story, drawn with `generator`."""
        bound: tuple = (None,) * len(self.slot)
        pieces: list[str] = []
        spans: list[Span] = []
        choices: dict[str, int] = {}
        length, log_prob = 0, 0.0
        todo: list = [self.start]
        while todo:
            node = todo.pop()
            if isinstance(node, Literal):
                pieces.append(node.text)
                length += len(node.text)
            elif isinstance(node, Sequence):
                todo.extend(reversed(node.parts))
            elif isinstance(node, Choice):
                index = _draw(generator, node.log_weights)
                log_prob += node.log_weights[index]
                if node.name:
                    choices[node.name] = index
                todo.append(node.options[index])
            elif isinstance(node, Variable):
                while (first := self._unbound(node.name, bound)) is not None:
                    candidates = self._candidates(first, bound)
                    index = _draw(generator, [weight for _, weight in candidates])
                    log_prob += candidates[index][1]
                    bound = self._bind(bound, first, candidates[index][0])
                inner = self._styled_node(bound[self.slot[node.name]].nodes[node.attribute], node.style)
                if isinstance(inner, Literal):
                    bare = len(inner.text) - (inner.text.find(" ") + 1 if node.style in ("a", "A") else 0)
                    end = length + len(inner.text)
                    spans.append(Span(end - bare, end, node.name, node.attribute, inner.text[-bare:]))
                todo.append(inner)
        values = {name: bound[i].text for name, i in self.slot.items() if bound[i] is not None}
        return Sample("".join(pieces), log_prob, spans, values, choices)

    # ---- scoring --------------------------------------------------------------------------------------------------

    def log_prob(self, text: str) -> float:
        """The natural logarithm of the probability of `text`, summed over its derivations; -inf if it has none."""
        return self._forward(text, prefix=False)

    def prefix_log_prob(self, text: str) -> float:
        """The logarithm of the probability that a story begins with `text`."""
        return self._forward(text, prefix=True)

    def derivations(self, text: str) -> list[Sample]:
        """Every way in which the grammar can say `text`, each with its own probability, spans and values."""
        found = []
        stack = [(0, (None,) * len(self.slot), (self.start, None), 0.0, None)]
        cells: dict = {}
        while stack:
            position, bound, todo, log_prob, history = stack.pop()
            if todo is None:
                if position == len(text):
                    found.append(self._as_sample(text, log_prob, bound, history))
                continue
            for after, now_bound, rest, weight in self._successors(text, position, bound, todo, False, cells):
                event = (position, after, todo[0]) if after > position or isinstance(todo[0], Variable) else None
                stack.append((after, now_bound, rest, log_prob + weight, (history, event) if event else history))
        return found

    def _as_sample(self, text: str, log_prob: float, bound: tuple, history: tuple | None) -> Sample:
        """A finished hypothesis of `derivations`; a variable's span is the literal printed right after it."""
        events = []
        while history is not None:
            history, event = history
            events.append(event)
        events.reverse()
        spans = []
        for (_, _, node), (start, end, literal) in zip(events, events[1:], strict=False):
            if isinstance(node, Variable) and isinstance(literal, Literal):
                inner = bound[self.slot[node.name]].nodes[node.attribute]
                if isinstance(inner, Literal):
                    start = end - len(inner.text)
                    spans.append(Span(start, end, node.name, node.attribute, text[start:end]))
        values = {name: bound[i].text for name, i in self.slot.items() if bound[i] is not None}
        return Sample(text, log_prob, spans, values)

    def _forward(self, text: str, prefix: bool) -> float:
        total = -math.inf
        for log_prob in self.explain(text, prefix=prefix).values():
            total = log_add(total, log_prob)
        return total

    def explain(self, text: str, node: Node | None = None, bound: tuple | None = None, prefix: bool = False) -> dict:
        """How a node can say all of `text`: what is bound afterwards -> the natural logarithm of its probability.

        Args:
            node: the start of the grammar if None; a part of it, such as a step of a plot, explains a part of a story.
            bound: what is bound before, as this gives it; None: nothing.
            prefix: `text` may also be only the beginning of what the node says.
        """
        cells: dict = {}
        ends: dict[tuple, float] = {}
        mass: dict[tuple, float] = {}
        queue: list[tuple[int, int, tuple, tuple | None]] = []
        count = 0

        def add(position: int, bound: tuple, todo: tuple | None, log_prob: float) -> None:
            nonlocal count
            key = (position, bound, id(todo))
            if key in mass:
                mass[key] = log_add(mass[key], log_prob)
            else:
                mass[key] = log_prob
                count += 1
                heapq.heappush(queue, (position, count, bound, todo))

        add(0, (None,) * len(self.slot) if bound is None else bound, (node or self.start, None), 0.0)
        while queue:
            position, _, bound, todo = heapq.heappop(queue)
            log_prob = mass.pop((position, bound, id(todo)))
            if todo is None or prefix and position == len(text):
                if position == len(text):
                    ends[bound] = log_add(ends.get(bound, -math.inf), log_prob)
                continue
            for after, now_bound, rest, weight in self._successors(text, position, bound, todo, prefix, cells):
                add(after, now_bound, rest, log_prob + weight)
        return ends

    def _successors(
        self, text: str, position: int, bound: tuple, todo: tuple, prefix: bool, cells: dict
    ) -> Iterator[tuple[int, tuple, tuple | None, float]]:
        """Where a hypothesis can go in one step: (position, bound, todo, log-probability of the step).

        `todo` is what is still to be said, a chain of (node, rest). `cells` keeps one object for equal chains, so that
        hypotheses can be compared by identity.
        """

        def push(node: Node, rest: tuple | None) -> tuple:
            return cells.setdefault((id(node), id(rest)), (node, rest))

        def fits(literal: Node) -> bool:
            # A look ahead that saves making hypotheses which the next step would drop.
            if not isinstance(literal, Literal) or text.startswith(literal.text, position):
                return True
            return prefix and literal.text.startswith(text[position:])

        node, rest = todo
        if isinstance(node, Literal):
            if text.startswith(node.text, position):
                yield position + len(node.text), bound, rest, 0.0
            elif fits(node):
                yield len(text), bound, rest, 0.0
        elif isinstance(node, Sequence):
            for part in reversed(node.parts):
                rest = push(part, rest)
            yield position, bound, rest, 0.0
        elif isinstance(node, Choice):
            for option, weight in zip(node.options, node.log_weights, strict=True):
                if fits(option):
                    yield position, bound, push(option, rest), weight
        else:
            first = self._unbound(node.name, bound)
            if first is None:
                inner = bound[self.slot[node.name]].nodes[node.attribute]
                yield position, bound, push(self._styled_node(inner, node.style), rest), 0.0
                return
            for entry, weight in self._candidates(first, bound):
                if first != node.name or fits(self._styled_node(entry.nodes[node.attribute], node.style)):
                    yield position, self._bind(bound, first, entry), todo, weight
