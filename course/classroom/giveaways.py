"""Whether the visible cells of a student's copy give an exercise away: all in them that can be called is tried as its
answer, as it is and with the small changes that anybody would make.

It is run in a process of its own (`findings`), because it calls what it finds, however it can.
"""

import ast
import contextlib
import copy
import inspect
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from course.checks.answer import TimeLimit, TooSlow
from course.checks.cells import definitions, exercise_cells, left_open, plain_python, solution_of
from course.checks.compare import is_array
from course.checks.exercise import RIGHT, Exercise
from course.checks.registry import load_checks
from course.classroom import inline
from course.classroom.candidates import Candidate, candidates
from course.classroom.sandbox import environment
from course.site import notebooks
from helpers.errors import CourseError

PATIENCE = 4.0  # seconds that a check gives to one call of what is tried
TRY_SECONDS, PAIR_SECONDS = 2.0, 3.0  # for one call with the check's first arguments; of the CPU, for one candidate
MOST_PLANS = 80
CONSTANTS = (0, 1, 2, -1, True, False, None, 0.5, 1.0, 10)


@dataclass(frozen=True)
class Finding:
    """Something in a visible cell that passes an exercise's check."""

    number: str
    notebook: str
    cell: int
    name: str
    how: str = ""

    def __str__(self) -> str:
        how = f" ({self.how})" if self.how else ""
        if self.cell < 0:
            return f"{self.number} of {self.notebook}: {self.name}{how}"
        return f"{self.number} is given away by cells[{self.cell}] of {self.notebook}: {self.name}{how}"


class _Heard(BaseException):
    """The check has asked what was to be heard."""


class _UsesThePart(BaseException):
    """What was tried asks the course's own part, which is the answer."""


def visible_cells(book) -> dict[int, str]:
    """The code cells that a student's copy shows as they are, by index: neither setup, stubs nor checks."""
    hidden = {id(cell) for cells in exercise_cells(book).values() for cell in (cells.stub, cells.check)}
    return {
        i: cell.source
        for i, cell in enumerate(book.cells)
        if cell.cell_type == "code" and id(cell) not in hidden and "setup" not in notebooks.tags_of(cell)
    }


def find(book, exercises: Mapping[str, Exercise], name: str = "") -> list[Finding]:
    """What gives exercises of a notebook away, which must have its solutions. It runs the notebook's functions here."""
    visible, scope = visible_cells(book), {"__name__": "notebook"}
    for statement in definitions(book.cells):
        with contextlib.suppress(Exception):
            exec(compile(ast.Module([statement], type_ignores=[]), "<notebook>", "exec"), scope)
    tried, literals = candidates(visible, scope), _literals(visible)
    found = []
    for number, cells in exercise_cells(book).items():
        lines = [(cell, f"`{line}`", "lines of the solution") for cell, line in copied_lines(cells, visible)]
        try:
            exercise, part = exercises[number], scope[exercises[number].part]
            questions = _questions(exercise, part, cells.stub.source)
        except Exception as error:  # the notebook and its checks do not go together, while they are being written
            questions, lines = [], [*lines, (-1, "nothing was tried", f"{type(error).__name__}: {error}")]
        if questions:
            lines += _given_away(exercise, part, questions, tried, literals, scope)
        found += [Finding(number, name, cell, what, how) for cell, what, how in lines]
    return found


def _given_away(exercise: Exercise, part, questions, tried: Sequence[Candidate], literals, scope) -> list[tuple]:
    """Cell, name and the way of each candidate that passes."""
    given: dict[tuple, str] = {}
    scope[exercise.part] = _refuses  # who calls the part to answer for it gives nothing away
    try:
        for one in tried:
            if (one.cell, one.name) not in given:
                how = _passes(one, exercise, part, questions, literals)
                given |= {(one.cell, one.name): how} if how is not None else {}
    finally:
        scope[exercise.part] = part
    return [(*place, how) for place, how in given.items()]


def _refuses(*_, **__):
    raise _UsesThePart


def copied_lines(cells, visible: Mapping[int, str]) -> list[tuple[int, str]]:
    """Where visible cells have lines of an exercise's solution, under whatever names: (the cell's key, the line)."""
    solution, stub = ast.parse(solution_of(cells.hints)), ast.parse(cells.stub.source)
    answer, asked = solution.body[-1], stub.body[-1]
    functions = [answer]
    if isinstance(answer, ast.ClassDef):  # what the stub has already is no answer
        given = {each.name for each in asked.body if isinstance(each, ast.FunctionDef)} - set(left_open(asked))
        functions = [f for f in answer.body if isinstance(f, ast.FunctionDef) and f.name not in given]
    bodies = [inline.without_docstring(function) for function in functions]
    return inline.copied(bodies, inline.names_of_its_own(solution), visible)


def _literals(visible: Mapping[int, str]) -> dict[str, list]:
    """The literal arguments that the cells give to each function, by its name."""
    found: dict[str, list] = {}
    for source in visible.values():
        for node in ast.walk(ast.parse(plain_python(source))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                given = [*node.args, *(each.value for each in node.keywords)]
                found.setdefault(name, []).extend(each.value for each in given if isinstance(each, ast.Constant))
    return found


# ---------------------------------------------------------------------- what a check asks


@dataclass
class _Question:
    """What a check asks first of its answer, or of one method of it, and what the course's own part says to that.

    Attributes:
        parts: the signature by which a call's arguments are put in order.
        verdict: takes a function as the answer, or as that method, and says whether the check passes.
    """

    signature: inspect.Signature
    verdict: Callable[[Callable], bool] = field(repr=False)
    of_a_method: bool
    values: list = field(default_factory=list)
    result: object = None
    was_asked: bool = False

    def ordered(self, args, kwargs) -> list:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return list(bound.arguments.values())

    def hear(self, function: Callable, args, kwargs):
        """Call `function`, and keep what it was given and what it said, if that is the first time."""
        if self.was_asked:
            return function(*args, **kwargs)
        values = _copies(self.ordered(args, kwargs))
        result = function(*args, **kwargs)
        if _kind(result) == "iterator":
            items = list(itertools.islice(result, 10_000))
            result = iter(items)
        self.values, self.result, self.was_asked = values, result, True
        return result


def _questions(exercise: Exercise, part, stub: str) -> list[_Question]:
    patient = replace(exercise, seconds=PATIENCE)
    if not isinstance(part, type):
        question = _Question(inspect.signature(part), lambda answer: patient(answer).state == RIGHT, False)

        def heard(*args, **kwargs):
            question.hear(part, args, kwargs)
            raise _Heard

        with contextlib.suppress(_Heard):
            exercise(heard)
        if not question.was_asked:
            raise CourseError("the check never calls the answer")
        return [question]
    found, wrapped = [], {}
    for method in left_open(ast.parse(plain_python(stub)).body[-1]):
        own = vars(part).get(method)
        if not inspect.isfunction(own):
            continue

        def verdict(answer, method=method):
            made = type(part.__name__, (part,), {method: lambda self, *a, **k: answer(self, *a, **k)})
            return replace(exercise, seconds=2 * PATIENCE)(made).state == RIGHT

        question = _Question(inspect.signature(own), verdict, True)
        wrapped[method] = lambda *a, own=own, question=question, **k: question.hear(own, a, k)
        found.append(question)
    exercise(type(part.__name__, (part,), wrapped))
    if not any(each.was_asked for each in found):
        raise CourseError("the check calls no method that the stub leaves open")
    return [each for each in found if each.was_asked]


def _copies(values: Sequence) -> list:
    def one(value):
        try:
            return copy.deepcopy(value)
        except Exception:
            return value

    return [one(value) for value in values]


# ---------------------------------------------------------------------- trying


def _passes(one: Candidate, exercise: Exercise, part, questions: Sequence[_Question], literals: dict) -> str | None:
    """How a candidate passes an exercise's check; None where it does not."""
    if one.made is not None:
        if not isinstance(part, type) or issubclass(one.made, part):
            return None
        with _quietly():
            return one.how if replace(exercise, seconds=2 * PATIENCE)(one.made).state == RIGHT else None
        return None
    for question in questions:
        if one.takes_self and not question.of_a_method:
            continue
        until = time.process_time() + PAIR_SECONDS
        for plan in itertools.islice(_plans(one, len(question.values), literals), MOST_PLANS):
            if time.process_time() > until:
                break
            if (how := _passes_by(one, plan, question)) is not None:
                return ", ".join(filter(None, (one.how, how)))
    return None


def _passes_by(one: Candidate, plan: Mapping, question: _Question) -> str | None:
    result = _Heard
    with _quietly(), TimeLimit(TRY_SECONDS):
        result = one.call(_arguments(plan, _copies(question.values)))
        result = list(itertools.islice(result, 10_000)) if _kind(result) == "iterator" else result
    if result is _Heard:
        return None
    for how, change in _CHANGES.items():
        changed = _Heard
        with _quietly():
            changed = change(result)
        if changed is _Heard or not _is_like(changed, question.result):
            continue

        def answer(*args, change=change, **kwargs):
            said = one.call(_arguments(plan, question.ordered(args, kwargs)))
            return change(list(said) if _kind(said) == "iterator" else said)

        with _quietly():
            if question.verdict(answer):
                return ", ".join(filter(None, (_in_words(plan, question), how)))
    return None


@contextlib.contextmanager
def _quietly():
    """Whatever goes wrong inside is the end of that try, and no more."""
    try:
        yield
    except (Exception, TooSlow, _UsesThePart, SystemExit):
        pass


_CHANGES: dict[str, Callable] = {
    "": lambda result: result,
    "as a list": list,
    "as a tuple": tuple,
    "as a dict": dict,
    "as a set": set,
    "yielded": lambda result: (each for each in list(result)),
    "the first of its results": lambda result: result[0] if isinstance(result, tuple | list) else [][0],
    "the last of its results": lambda result: result[-1] if isinstance(result, tuple | list) else [][0],
}


def _plans(one: Candidate, count: int, literals: dict) -> Iterator[dict]:
    """Ways to give a check's `count` arguments to a candidate: for each of its parameters the argument's index, or a
    constant. In order first, then in every other, then with constants for what is not given.
    """
    required = [p for p in one.parameters if p.required]
    optional = [p for p in one.parameters if not p.required]
    orders = itertools.permutations if count <= 4 else itertools.combinations
    for taken in range(min(len(one.parameters), count), max(len(required), count - 2, 1) - 1, -1):
        for more in itertools.islice(itertools.combinations(optional, taken - len(required)), 6):
            names = [p.name for p in one.parameters if p in required or p in more]
            for order in itertools.islice(orders(range(count), taken), 24):
                yield {name: (True, i) for name, i in zip(names, order, strict=True)}
    extra = len(required) - count
    if not 0 < extra <= 2:
        return
    known = list(dict.fromkeys(literals.get(one.name.split(".")[-1], [])))
    values = (
        [*known, *(each for each in CONSTANTS if each not in known)] if extra == 1 else [*known, *CONSTANTS[:3]][:6]
    )
    names = [p.name for p in required]
    for order in itertools.islice(orders(range(count), count), 6):
        for fixed in reversed(list(itertools.combinations(names, extra))):
            for constants in itertools.product(values, repeat=extra):
                given = zip([name for name in names if name not in fixed], order, strict=True)
                constant = {name: (False, value) for name, value in zip(fixed, constants, strict=True)}
                yield {name: (True, i) for name, i in given} | constant


def _arguments(plan: Mapping, values: Sequence) -> dict:
    return {name: values[what] if given else what for name, (given, what) in plan.items()}


def _in_words(plan: Mapping, question: _Question) -> str:
    order = [what for given, what in plan.values() if given]
    names = list(question.signature.parameters)
    fixed = [f"{name.strip('<>')}={what!r}" for name, (given, what) in plan.items() if not given]
    words = (
        [f"called with {', '.join(names[i] if i < len(names) else '?' for i in order)}"]
        if order != sorted(order)
        else []
    )
    return ", ".join(words + ([f"with {', '.join(fixed)}"] if fixed else []))


def _kind(value) -> str:
    """The kind of thing that a value is for a check."""
    if is_array(value):
        return "number" if not tuple(value.shape) else "sequence"
    if isinstance(value, Iterator):
        return "iterator"
    kinds = {
        "bool": bool, "number": int | float, "text": str | bytes, "mapping": Mapping, "sequence": list | tuple | range,
        "set": set | frozenset,
    }  # fmt: skip
    return next((name for name, kind in kinds.items() if isinstance(value, kind)), type(value).__name__)


def _is_like(got, expected) -> bool:
    """Whether the two are of a kind, so that it is worth while to ask the whole check."""
    if _kind(got) != _kind(expected):
        return False
    if is_array(got) and is_array(expected):
        return tuple(got.shape) == tuple(expected.shape)
    if _kind(got) == "sequence":
        if len(got) != len(expected):
            return False
        return len(got) > 8 or all(map(_is_like, got, expected))
    return True


# ---------------------------------------------------------------------- a process of its own

SECONDS_A_NOTEBOOK = 300  # a busy machine may need so many


def findings(paths: Sequence[Path]) -> list[Finding]:
    """What gives exercises away in the notebooks at `paths`, found in a process of its own.

    Raises:
        CourseError: that process did not come to its end.
    """
    with tempfile.TemporaryDirectory(prefix="course-giveaways-", ignore_cleanup_errors=True) as name:
        folder, out = Path(name).resolve(), Path(name).resolve() / "found.json"
        words = [sys.executable, "-P", "-m", "course.classroom.giveaways", str(out), *(str(p.resolve()) for p in paths)]
        try:
            ended = subprocess.run(
                words, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, timeout=SECONDS_A_NOTEBOOK * max(1, len(paths)),
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise CourseError(f"looking for what is given away took more than {error.timeout:g} seconds") from error
        if ended.returncode or not out.is_file():
            said = ended.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
            raise CourseError(f"looking for what is given away failed: {said or f'exit code {ended.returncode}'}")
        return [Finding(**each) for each in json.loads(out.read_text(encoding="utf-8"))]


def main(out: str, *paths: str) -> None:
    found = []
    for path in map(Path, paths):
        found += find(notebooks.read(path), load_checks(path.name[:2]), path.stem)
    Path(out).write_text(json.dumps([asdict(each) for each in found]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # whatever threads the functions have started
