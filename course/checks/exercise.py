"""What stands behind every exercise: it calls the learner's answer, and says what is wrong and where to look.

    @exercise("1.2", title="Merge a pair", minutes=8, difficulty=2)
    def merge(answer, check):
        check.equal(answer([1, 2, 1, 2], (1, 2), 9), [9, 9], slug="basic", hint="Both pairs should become 9.")

`answer` is the learner's function: it gets copies of its arguments, and every call is remembered, so that a
message can say which call went wrong. The first check that fails ends the exercise. `merge(f)` returns a
`Result`. The learner writes `my_merge` (a class: `MyBlock`), and the notebook goes on with

    merge = nb01.merge.use(my_merge)

which is that answer if it is right, and the course's own part if it is not.
"""

import io
import linecache
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field, replace

from course.checks import kept, parts
from course.checks.answer import (
    Answer,
    NotAttempted,
    TimeLimit,
    TooSlow,
    hint_for,
    is_untouched,
    still_to_write,
    where_it_broke,
)
from course.checks.begun import same_code
from course.checks.cells import course_part, methods_to_write, surroundings_of
from course.checks.compare import close, first_difference, same, shown
from course.checks.result import NOT_ATTEMPTED, RIGHT, WRONG, Result, show
from course.checks.source import names_missing, source_of

# Slugs that any exercise can end with, besides its own.
RAISED, RETURNS_NOTHING, CHANGES_INPUT, TOO_SLOW = "raised", "returns-nothing", "changes-input", "too-slow"
GRADIENTS_OFF = "gradients-off"

REGISTRY: dict[str, "Exercise"] = {}


class _Failed(Exception):
    """A check did not hold."""

    def __init__(self, slug: str, problem: str, hint: str):
        super().__init__(slug)
        self.slug, self.problem, self.hint = slug, problem, hint


class Check:
    """What a check function asks with. Every method takes the failure's `slug` (short, unique within the
    exercise) and a `hint` (one sentence that points at the likely mistake without giving the answer away).

    `when` says under which circumstances; left out, it is the last call of the answer, written as code.
    """

    def __init__(self, answer: Answer | None, seed: str):
        self.passed = 0
        self.random = random.Random(seed)  # for random inputs: the same in every run
        self._answer = answer

    def equal(self, got, expected, *, slug: str, hint: str, when: str | None = None) -> None:
        """`got` equals `expected`: numbers, text, containers, tensors. A list may stand for a tuple."""
        if not same(got, expected):
            problem = first_difference(got, expected) or f"expected {shown(expected)}, got {shown(got)}"
            self.fail(self._after(when) + problem, slug=slug, hint=hint)
        self.passed += 1

    def close(self, got, expected, *, slug: str, hint: str, tolerance: float = 1e-5, when: str | None = None) -> None:
        """As `equal`, for floats: every number within `tolerance`, absolute or relative to the expected."""
        if not close(got, expected, tolerance):
            problem = first_difference(got, expected, tolerance)
            problem = problem or f"expected about {shown(expected)}, got {shown(got)}"
            self.fail(self._after(when) + problem, slug=slug, hint=hint)
        self.passed += 1

    def shape(self, got, expected: Sequence[int], *, slug: str, hint: str, when: str | None = None) -> None:
        """`got` is an array or tensor of this shape."""
        if not hasattr(got, "shape"):
            self.fail(f"{self._after(when)}expected shape {tuple(expected)}, got {shown(got)}", slug=slug, hint=hint)
        if tuple(got.shape) != tuple(expected):
            problem = f"{self._after(when)}expected shape {tuple(expected)}, got shape {tuple(got.shape)}"
            self.fail(problem, slug=slug, hint=hint)
        self.passed += 1

    def that(self, condition, *, slug: str, hint: str, problem: str = "", when: str | None = None) -> None:
        """`condition` holds; `problem` says in words what did not ("the probabilities sum to 1.3")."""
        if not bool(condition):
            self.fail(self._after(when) + (problem or "that is not what was asked for"), slug=slug, hint=hint)
        self.passed += 1

    def raises(self, error: type[Exception], call: Callable[[], object], *, slug: str, hint: str) -> None:
        """`call()`, a lambda that calls the answer, raises `error`."""
        try:
            got = call()
        except error:
            self.passed += 1
            return
        except Exception as other:
            if isinstance(other, NotImplementedError) and not other.args:
                raise
            problem = f"{self._after(None)}expected {error.__name__}, got {type(other).__name__}: {other}"
        else:
            problem = f"{self._after(None)}expected {error.__name__}, got {shown(got)}"
        self.fail(problem, slug=slug, hint=hint)

    def fail(self, problem: str, *, slug: str, hint: str) -> None:
        """End the exercise here: the answer is wrong."""
        raise _Failed(slug, problem, hint)

    def _after(self, when: str | None) -> str:
        when = when if when is not None else self._answer.last_call if self._answer else ""
        return f"{when}: " if when else ""


@dataclass(frozen=True)
class Exercise:
    """One exercise; call it with an answer for the verdict, `use` it to go on with the answer.

    Attributes:
        part: what the following cells call that which the learner writes: the name of the check function.
        name: what the learner writes: `my_merge` for `merge`, `MyBlock` for `Block`.
        begins_as: code with a fault, which the stub's cell gives and the learner repairs; None: the stub is empty.
    """

    number: str
    title: str
    minutes: int
    difficulty: int
    ask: Callable = field(repr=False)
    seconds: float = 20.0
    may_return_none: bool = False
    may_change_input: bool = False
    of_the_model: bool = False  # whether it is a part of runs/my_gpt.py (course.mine)
    begins_as: Callable | None = field(default=None, repr=False)

    @property
    def part(self) -> str:
        return self.ask.__name__

    @property
    def name(self) -> str:
        return ("My" if self.part[0].isupper() else "my_") + self.part

    def use(self, answer):
        """Show the verdict on `answer`, and return what the following cells use: the answer, where it is right, or the
        course's own part. A right answer is kept in runs/parts/.

        Raises:
            CourseError: there is no solution that could stand in.
        """
        scope = sys._getframe(1).f_globals  # the notebook's own names: a part that stands in finds them, too
        answer = parts.yours(answer)
        result = self(answer)
        if result.state != RIGHT:
            stands_in = "stands in" if result.state == NOT_ATTEMPTED else "stands in until it is"
            show(replace(result, goes_on=f"the course's own `{self.part}` {stands_in}"))
            return self.course_part(scope)
        source = source_of(answer)
        goes_on = f"from here on `{self.part}` is yours"
        if source is None:
            goes_on += " (in this notebook alone: it is not a `def` or `class` in a cell, so it could not be kept)"
        else:
            kept.keep(self.number, self.part, answer.__name__, source)
        show(replace(result, goes_on=goes_on))
        return parts.in_use(answer, self.part, parts.StandIn(lambda: self.course_part(scope), self._tell))

    def course_part(self, scope: dict):
        """The course's own part, made from the solution's text among the names of `scope`, which stays as it was but
        for imports.
        """
        source = course_part(self.number)
        file = f"<the course's {self.part}, exercise {self.number}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        before = scope.get(self.part, parts)
        if missing := names_missing(source, set(scope)):  # the cells above have not run since the kernel was started
            above = surroundings_of(self.number)
            scope.update({name: above[name] for name in missing if name in above})
        exec(compile(source, file, "exec"), scope)
        made = scope.pop(self.part)
        if before is not parts:
            scope[self.part] = before
        return made

    def _tell(self, error: Exception) -> None:
        """Say that the answer has failed after its check; it is no longer kept."""
        kept.forget(self.number, self.part)
        place = where_it_broke(error, self.ask)
        print(
            f"Your `{self.part}` (exercise {self.number}) has failed in a way that its check did not see: "
            f"{type(error).__name__}: {error}" + (f"\n    {place}" if place else "") + f"\n"
            f"From here on the course's own `{self.part}` is used. Mend yours, and run its check again."
        )

    def __call__(self, answer) -> Result:
        if answer is None or answer is Ellipsis or is_untouched(answer) or self._is_as_it_began(answer):
            return Result(self.number, self.title, NOT_ATTEMPTED, problem=self._what_is_left(answer))
        # A class is handed to the check as it is, which has so long for all of it; a function behind a stand-in that
        # watches over its calls, each of which has so long.
        is_class = isinstance(answer, type) or getattr(answer, "is_class", False) is True
        watched = None if is_class or not callable(answer) else self._watch(answer)
        check = Check(watched, seed=self.number)
        printed = io.StringIO()
        failed = None
        with redirect_stdout(printed), _own_random_numbers(self.number):
            try:
                with nullcontext() if watched else TimeLimit(self.seconds):
                    self.ask(watched or answer, check)
                failed = self._bad_manners(watched)
            except NotAttempted:
                return Result(self.number, self.title, NOT_ATTEMPTED)
            except TooSlow:
                call = watched.last_call if watched else self.name
                problem = f"{call} was still running after {self.seconds:g} seconds"
                failed = _Failed(
                    TOO_SLOW, problem, "Look for a loop that never ends, or for work done again and again."
                )
            except _Failed as error:
                # That a call returned nothing, or changed its input, explains more than what follows from it.
                failed = self._bad_manners(watched) or error
            except Exception as error:
                if isinstance(error, NotImplementedError) and not error.args:  # the stub's; torch's own say something
                    return Result(self.number, self.title, NOT_ATTEMPTED)
                failed = self._bad_manners(watched) or _broke(error, watched, self.ask)
        if failed is None:
            return Result(self.number, self.title, RIGHT, check.passed)
        said = _short(printed.getvalue())
        return Result(self.number, self.title, WRONG, check.passed, failed.slug, failed.problem, failed.hint, said)

    def _is_as_it_began(self, answer) -> bool:
        return self.begins_as is not None and callable(answer) and same_code(answer, self.begins_as)

    def _what_is_left(self, answer) -> str:
        """Of a class that has been begun, which methods are still the stub's."""
        left = still_to_write(answer) if isinstance(answer, type) else []
        begun = 0 < len(left) < len(methods_to_write(self.number))
        return f"still to write: {', '.join(left)}" if begun else ""

    def _watch(self, answer) -> Answer:
        return Answer(answer, self.seconds, hand_over_originals=self.may_change_input)

    def _bad_manners(self, watched: Answer | None) -> _Failed | None:
        """What every answer owes: it returns something, and leaves its arguments and torch's gradients as they were."""
        if watched and watched.returned_none_from and not self.may_return_none:
            problem = f"{watched.returned_none_from} returned None"
            return _Failed(RETURNS_NOTHING, problem, "Every way through the function must end in `return` and a value.")
        if watched and watched.changed_input_of and not self.may_change_input:
            problem = f"{watched.changed_input_of} changed an argument it was given"
            return _Failed(
                CHANGES_INPUT, problem, "Work on a copy, or build a new value, and leave the input as it was."
            )
        if watched and watched.switched_gradients:
            problem = f"{watched.switched_gradients} has switched gradients on or off for all that comes after it"
            hint = "`with torch.no_grad():`, or @torch.no_grad() above the def, ends by itself."
            return _Failed(GRADIENTS_OFF, problem, hint)
        return None


def _broke(error: Exception, watched: Answer | None, ask: Callable) -> _Failed:
    """The learner's own exception, with the line it came from."""
    place = where_it_broke(error, ask)
    problem = f"{type(error).__name__}: {error}"
    hint = hint_for(error, in_the_answer=place is not None)
    if isinstance(error, RecursionError):
        problem = "RecursionError: the function calls itself without end"
    call = f"{watched.last_call} raised " if watched and watched.last_call else ""
    return _Failed(RAISED, call + problem + (f"\n{place}" if place else ""), hint)


def exercise(number: str, *, title: str, minutes: int, difficulty: int, **options) -> Callable[[Callable], Exercise]:
    """Register a check function `(answer, check)` as the exercise with this number ("1.2": the second of
    notebook 01).

    Args:
        title, minutes, difficulty: as on the exercise's card; difficulty is 1, 2 or 3.
        options: `seconds` that one call of the answer may take; `may_return_none`; `may_change_input`, in
            which case the answer gets the arguments themselves and not copies; `of_the_model`; `begins_as`.
    """

    def register(ask: Callable) -> Exercise:
        if number in REGISTRY and REGISTRY[number].ask.__module__ != ask.__module__:
            raise ValueError(f"exercise {number} is defined twice")
        REGISTRY[number] = Exercise(number, title, minutes, difficulty, ask, **options)
        return REGISTRY[number]

    return register


@contextmanager
def _own_random_numbers(seed: str):
    """Fixed seeds inside; outside, the notebook's random numbers go on as if the check had never run.

    One thread, too: on tensors as small as a check's, several only wait for one another on a busy machine.
    """
    kept = random.getstate()
    random.seed(seed)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    numpy_kept = numpy.random.get_state() if numpy else None
    torch_kept = torch.get_rng_state() if torch else None
    number = int.from_bytes(seed.encode(), "little") % 2**32
    if numpy:
        numpy.random.seed(number)
    if torch:
        threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
        torch.set_num_threads(1)
        torch.manual_seed(number)
    try:
        yield
    finally:
        random.setstate(kept)
        if numpy:
            numpy.random.set_state(numpy_kept)
        if torch:
            torch.set_rng_state(torch_kept)
            torch.set_num_threads(threads)
            torch.set_grad_enabled(gradients)


def _short(text: str, lines: int = 10) -> str:
    rows = text.rstrip().split("\n")
    return "\n".join([*rows[:lines], f"... and {len(rows) - lines} more lines"] if len(rows) > lines else rows)
