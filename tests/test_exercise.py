"""The machinery behind every exercise: each thing a learner can do gets its state, its slug and a message
that helps.
"""

import functools
import random
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course.checks.begun import same_code, same_source
from course.checks.compare import as_number, close, first_difference, is_number, is_whole, same, shown
from course.checks.exercise import (
    CHANGES_INPUT,
    GRADIENTS_OFF,
    NOT_ATTEMPTED,
    RAISED,
    REGISTRY,
    RETURNS_NOTHING,
    RIGHT,
    TOO_SLOW,
    WRONG,
    Exercise,
    exercise,
)
from course.classroom.filling import filled


@pytest.fixture
def double():
    @exercise("99.1", title="Double", minutes=2, difficulty=1, seconds=1)
    def double(answer, check):
        check.equal(answer([]), [], slug="empty", hint="Nothing doubled is nothing.")
        check.equal(answer([1, 2]), [2, 4], slug="twice", hint="Twice each number.")
        numbers = [check.random.randrange(100) for _ in range(5)]
        check.equal(answer(numbers), [2 * n for n in numbers], slug="random", hint="Any number may come.")

    yield double
    del REGISTRY["99.1"]


def ellipsis_stub(numbers): ...


def test_a_class_that_never_ends_is_stopped():
    @exercise("99.2", title="Stop", minutes=1, difficulty=1, seconds=0.5)
    def stop(answer, check):
        check.equal(answer().run(), 1, slug="one", hint="Return 1.")

    class Endless:
        def run(self):
            while True:
                pass

    try:
        result = stop(Endless)
        assert (result.state, result.slug) == (WRONG, TOO_SLOW) and "still running after 0.5 seconds" in result.problem
    finally:
        del REGISTRY["99.2"]


def documented_stub(numbers):
    """Twice each number."""
    raise NotImplementedError


def stub_with_a_message(numbers):
    raise NotImplementedError("write me")


def scaffolded_stub(numbers):
    doubled = ...
    return doubled


def half_written(numbers):
    doubled = []
    for _ in numbers:
        raise NotImplementedError
    return doubled


@functools.wraps(documented_stub)
def decorated(numbers):
    return documented_stub(numbers) + 1


class StubOfAClass:
    def __init__(self, width):
        self.width = width

    def forward(self, x): ...


@pytest.mark.parametrize(
    "answer",
    [
        None,
        ...,
        ellipsis_stub,
        documented_stub,
        stub_with_a_message,
        scaffolded_stub,
        half_written,
        decorated,
        StubOfAClass,
    ],
)
def test_a_stub_is_not_attempted(double, answer):
    result = double(answer)
    assert result.state == NOT_ATTEMPTED
    assert result.slug is None
    assert "not attempted yet" in repr(result)


def test_the_right_answer(double):
    result = double(lambda numbers: [2 * n for n in numbers])
    assert (result.state, result.slug, result.passed) == (RIGHT, None, 3)
    assert "right (3 checks passed)" in repr(result) and "right" in result._repr_html_()


def test_a_wrong_answer_is_told_the_call_and_the_hint(double):
    result = double(lambda numbers: list(numbers))
    assert (result.state, result.slug, result.passed) == (WRONG, "twice", 1)
    assert result.problem == "your lambda([1, 2]): expected [2, 4], got [1, 2]"
    assert result.hint in repr(result)


def test_random_inputs_and_messages_are_the_same_every_time(double):
    def right_for_small_numbers(numbers):
        return [2 * n if n < 50 else 0 for n in numbers]

    assert repr(double(right_for_small_numbers)) == repr(double(right_for_small_numbers))


def test_an_exception_is_reported_with_the_learners_own_line(double):
    def reads_past_the_end(numbers):
        return [numbers[i + 1] for i, _ in enumerate(numbers)]

    result = double(reads_past_the_end)
    assert result.slug == RAISED
    assert "IndexError" in result.problem
    assert "return [numbers[i + 1]" in result.problem
    assert "line 2 of" in result.problem or "line 1 of <listcomp>" in result.problem  # Python 3.11 names the inner


def test_endless_recursion(double):
    def again(numbers):
        return again(numbers)

    result = double(again)
    assert result.slug == RAISED and "calls itself without end" in result.problem


def test_an_endless_loop_that_swallows_exceptions(double):
    def forever(numbers):
        while True:
            try:
                sum(range(100))
            except Exception:
                pass

    assert double(forever).slug == TOO_SLOW


def test_an_endless_loop_that_once_swallows_everything(double):
    def stubborn(numbers):
        try:
            while True:
                pass
        except:  # noqa: E722
            pass
        while True:
            pass

    assert double(stubborn).slug == TOO_SLOW


def test_an_exception_that_comes_in_a_call_to_the_library(double):
    result = double(lambda numbers: torch.zeros(2, 3) @ torch.zeros(2, 3))
    assert result.slug == RAISED and "RuntimeError" in result.problem and "your lambda" in result.problem
    assert "<lambda>" not in result.problem


def test_a_forgotten_return(double):
    def forgets(numbers):
        numbers = [2 * n for n in numbers]

    assert double(forgets).slug == RETURNS_NOTHING


def test_a_forgotten_return_is_named_although_the_check_broke_on_it():
    @exercise("99.2", title="Length", minutes=1, difficulty=1)
    def length(answer, check):
        check.equal(len(answer([1])), 1, slug="length", hint="One in, one out.")

    def forgets(numbers):
        numbers = [2 * n for n in numbers]

    assert length(forgets).slug == RETURNS_NOTHING
    del REGISTRY["99.2"]


def test_a_changed_input(double):
    def in_place(numbers):
        for i in range(len(numbers)):
            numbers[i] *= 2
        return numbers

    assert double(in_place).slug == CHANGES_INPUT


def test_a_changed_tensor():
    @exercise("99.3", title="Relu", minutes=1, difficulty=1)
    def relu(answer, check):
        x = torch.tensor([-1.0, 2.0])
        check.close(answer(x), torch.tensor([0.0, 2.0]), slug="relu", hint="Nothing below zero.")
        check.equal(x, [-1.0, 2.0], slug="unreachable", hint="The check's own tensor is never handed over.")

    assert relu(lambda x: x.clamp_(min=0)).slug == CHANGES_INPUT
    assert relu(lambda x: x.clamp(min=0)).state == RIGHT
    del REGISTRY["99.3"]


def test_gradients_that_are_left_switched_off():
    @exercise("99.3", title="Mean", minutes=1, difficulty=1)
    def mean(answer, check):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        check.close(float(answer(x)), 1.5, slug="mean", hint="Add and divide.")
        check.that((2 * x).requires_grad, slug="unreachable", hint="Here they are as they were.", problem="off")

    def for_good(x):
        torch.set_grad_enabled(False)
        return x.mean()

    def for_good_and_wrong(x):
        return for_good(x) + 1

    class InInit:
        def __init__(self, x):
            torch.set_grad_enabled(False)

        def __float__(self):
            return 1.5

    try:
        for answer in (for_good, for_good_and_wrong):
            result = mean(answer)
            assert result.slug == GRADIENTS_OFF and f"{answer.__name__}(tensor([1.0, 2.0]))" in result.problem
            assert torch.is_grad_enabled()
        assert mean(InInit).slug == "unreachable" and torch.is_grad_enabled()
        assert mean(torch.no_grad()(lambda x: x.mean())).state == RIGHT
    finally:
        del REGISTRY["99.3"]


def test_changing_the_input_where_that_is_the_task():
    @exercise("99.4", title="Zero", minutes=1, difficulty=1, may_change_input=True, may_return_none=True)
    def zero(answer, check):
        x = torch.ones(2)
        answer(x)
        check.equal(x, [0, 0], slug="zero", hint="Set every entry.")

    assert zero(lambda x: x.zero_()).state == RIGHT
    assert zero(lambda x: x * 0).slug == "zero"
    del REGISTRY["99.4"]


def test_gradients_flow_through_an_answer():
    @exercise("99.5", title="Square", minutes=1, difficulty=1)
    def square(answer, check):
        x = torch.tensor([3.0], requires_grad=True)
        answer(x).sum().backward()
        check.close(x.grad, [6.0], slug="gradient", hint="d(x^2)/dx = 2x.")

    assert square(lambda x: x * x).state == RIGHT
    del REGISTRY["99.5"]


def test_the_wrong_kinds_of_things(double):
    assert double(3).slug == RAISED
    assert double(lambda: []).slug == RAISED
    assert "arguments" in double(lambda: []).hint
    assert double(lambda numbers: "ab").slug == "empty"


def test_what_the_answer_prints_is_kept_with_the_verdict(double, capsys):
    def talks(numbers):
        print("numbers:", numbers)
        return numbers

    result = double(talks)
    assert "numbers: [1, 2]" in result.printed and "numbers: [1, 2]" in repr(result)
    assert capsys.readouterr().out == ""


def test_html_is_escaped(double):
    result = double(lambda numbers: ["<b>", "&"] if numbers else [])
    assert "<b>" not in result._repr_html_() and "&lt;b&gt;" in result._repr_html_()


def test_a_check_leaves_the_notebooks_random_numbers_alone(double):
    def draws(numbers):
        random.random(), np.random.rand(), torch.rand(1)
        return numbers

    def sequence(with_check):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        if with_check:
            double(draws)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert sequence(True) == sequence(False)


def test_raises():
    @exercise("99.6", title="Refuse", minutes=1, difficulty=1)
    def refuse(answer, check):
        check.raises(ValueError, lambda: answer(-1), slug="negative", hint="Refuse what is below zero.")

    def refuses(x):
        raise ValueError(x)

    def breaks(x):
        return [][0]

    assert refuse(refuses).state == RIGHT
    assert "got -1" in refuse(lambda x: x).problem
    assert "got IndexError" in refuse(breaks).problem
    assert refuse(documented_stub).state == NOT_ATTEMPTED
    del REGISTRY["99.6"]


def test_shape_and_that_and_close():
    @exercise("99.7", title="Softmax", minutes=1, difficulty=1)
    def softmax(answer, check):
        p = answer(torch.zeros(2, 4))
        check.shape(p, (2, 4), slug="shape", hint="As many out as in.")
        check.that(p.sum() > 0, slug="positive", hint="No negative probability.", problem="the sum is not positive")
        check.close(p, torch.full((2, 4), 0.25), slug="values", hint="Divide by the sum of the last axis.")

    assert softmax(lambda x: torch.softmax(x, -1)).state == RIGHT
    assert softmax(lambda x: x[0]).problem.endswith("expected shape (2, 4), got shape (4,)")
    assert softmax(lambda x: [0.25] * 4).slug == "shape"
    assert softmax(lambda x: x).problem.endswith("the sum is not positive")
    assert softmax(lambda x: torch.softmax(x, 0)).slug == "values"
    del REGISTRY["99.7"]


def test_a_number_belongs_to_one_module(double):
    def other(answer, check): ...

    other.__module__ = "elsewhere"
    with pytest.raises(ValueError, match="defined twice"):
        exercise("99.1", title="Other", minutes=1, difficulty=1)(other)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ([1, 2], (1, 2)),
        (torch.tensor([1, 2]), [1, 2]),
        (np.array([[1.0]]), [[1]]),
        (np.int64(3), 3),
        ({"a": (1,)}, {"a": [1]}),
        (float("nan"), float("nan")),
        (b"ab", b"ab"),
        (torch.tensor(3), 3),
        (np.float32(0.5), 0.5),
        (0.5, np.float64(0.5)),
        (torch.tensor(0.5, dtype=torch.bfloat16), Fraction(1, 2)),
        ({"a": np.int64(1)}, {"a": torch.tensor(1)}),
        ({np.int64(1), 2}, {torch.tensor(1), 2}),
        (np.True_, True),
        (float("-inf"), torch.tensor(float("-inf"))),
    ],
)
def test_same(got, expected):
    assert same(got, expected) and close(got, expected, 1e-6)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ([1], [1, 2]),
        (None, 0),
        (True, 1),
        ("ab", ["a", "b"]),
        (b"ab", "ab"),
        ({"a": 1}, {"a": 1, "b": 2}),
        (torch.zeros(2, 1), torch.zeros(2)),
        (float("nan"), 0.0),
        ("0.5", 0.5),
    ],
)
def test_not_same(got, expected):
    assert not same(got, expected) and not close(got, expected, 1e-6)


def test_close_is_absolute_or_relative():
    assert close(1e-9, 0.0, 1e-6) and close(1_000_001.0, 1_000_000.0, 1e-5)
    assert not close(1.1, 1.0, 1e-5) and not close([1.0, 2.0], [1.0, 2.1], 1e-5)


def test_shown_is_short_and_the_same_everywhere():
    assert shown(1 / 3) == "0.333333"
    assert shown(torch.tensor([0.1, 0.2])) == "tensor([0.1, 0.2])"
    assert shown(torch.zeros(4, 5)) == "tensor of shape (4, 5), float32"
    assert shown(np.zeros((4, 5))) == "array of shape (4, 5), float64"
    assert len(shown("x" * 1000)) <= 72
    assert shown(same) == "same"
    assert shown(np.float64(0.5)) == shown(torch.tensor(0.5)) == "0.5"
    assert shown({"third": 1 / 3, "tensors": [torch.ones(2)]}) == "{'third': 0.333333, 'tensors': [tensor([1.0, 1.0])]}"
    assert len(shown([0.5] * 10**6)) <= 72 and len(shown({i: i for i in range(10**5)})) <= 72
    assert (shown(()), shown((1,)), shown(set()), shown({}), shown([])) == ("()", "(1,)", "set()", "{}", "[]")


@pytest.mark.parametrize(
    ("value", "number", "whole"),
    [
        (3, 3, True),
        (3.0, 3, False),
        (np.int64(3), 3, True),
        (np.uint8(3), 3, True),
        (np.float32(0.5), 0.5, False),
        (Fraction(1, 2), 0.5, False),
        (True, None, False),
        (np.True_, None, False),
        ("3", None, False),
        (None, None, False),
        ([3], None, False),
    ],
)
def test_a_number_of_numpy_is_a_number(value, number, whole):
    assert as_number(value) == number and is_number(value) == (number is not None) and is_whole(value) == whole


def test_a_tensor_may_hold_a_number_and_is_none():
    for value in (torch.tensor(3), np.array(3)):
        assert as_number(value) == 3 and not is_number(value) and not is_whole(value)
    assert as_number(torch.tensor([3])) is None and as_number(torch.tensor(True)) is None


class Sampler:
    def draw(self): ...


def test_nothing_is_shown_by_its_address_and_a_lambda_is_shown_by_its_source():
    first, second = lambda x: x + 1, lambda x: (x + 2) * 2
    assert (shown(first), shown(second)) == ("lambda x: x + 1", "lambda x: (x + 2) * 2")
    assert shown(eval("lambda x: x")) == "a lambda", "its source is nowhere"
    odd = [Sampler(), [Sampler()], Sampler().draw, [Sampler().draw], functools.partial(Sampler().draw, first), Sampler]
    odd += [{"key": Sampler()}, {Sampler()}, [first], (same,), [x for x in ()].append, (i for i in ()), [str.join]]
    for each in odd:
        assert "0x" not in shown(each) and "<lambda>" not in shown(each), shown(each)
    assert shown(functools.partial(same, 3)) == "partial(same, 3)" and shown([Sampler()]) == "[<Sampler>]"


# ---------------------------------------------------------------------- where two values differ

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


@given(shapes, st.data(), st.sampled_from(["tensor", "array", "list"]), st.sampled_from([None, 1e-5]))
def test_the_entry_that_is_named_is_the_first_that_differs(shape, data, kind, tolerance):
    expected = np.arange(np.prod(shape), dtype=float).reshape(shape)
    got = expected.copy()
    places = data.draw(st.sets(st.integers(0, got.size - 1), min_size=1, max_size=3))
    for place in places:
        got.flat[place] += 0.25 + data.draw(st.integers(0, 3))
    index = [int(i) for i in np.unravel_index(min(places), shape)]
    make = {"tensor": torch.from_numpy, "array": np.asarray, "list": lambda a: a.tolist()}[kind]
    said = first_difference(make(got), expected, tolerance)
    if said or got.size > 4 or got.ndim > 1:
        assert said == f"entry {index}: expected {expected.flat[min(places)]}, got {got.flat[min(places)]}"
    assert first_difference(make(got), make(got.copy()), tolerance) == ""


numbers = st.integers(-3, 3) | st.floats(-3, 3)
trees = st.recursive(
    numbers | st.text(max_size=3) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=2), inner, max_size=6),
    max_leaves=20,
)


@given(trees, trees, st.sampled_from([None, 1e-3]))
def test_whatever_differs_is_told_with_both_values_where_it_differs(got, expected, tolerance):
    """What is said is followed into both values: before that place they agree, at it they do not, and both are told."""

    def agree(one, other):
        return same(one, other) if tolerance is None else close(one, other, tolerance)

    said = first_difference(got, expected, tolerance)
    if agree(got, expected):
        assert said == ""
        return
    if not said:  # then it is plain to see
        assert shown(got) != shown(expected)
        return
    # Where lengths differ, a later part of the sentence leads on: "expected 3 entries, got 2; entry [1]: ...".
    while found := re.match(
        r"(?:its )?entry ((?:\[(?:\d+|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")(?:, \d+)*\])+): ", said
    ):
        said = said[found.end() :]
        for step in re.findall(r"\d+|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", found[1]):
            at = eval(step)
            before = list(expected)[: list(expected).index(at)] if isinstance(expected, dict) else range(at)
            assert all(agree(got[i], expected[i]) for i in before)
            got, expected = got[at], expected[at]
        assert not agree(got, expected)
        if counted := re.match(r"expected (\d+) (?:entries|keys), got (\d+); ", said):
            assert (len(expected), len(got)) == (int(counted[1]), int(counted[2]))
            said = said[counted.end() :]
        elif isinstance(got, str) or not isinstance(got, list | dict):
            assert said.startswith("expected ") or said.startswith("at [")
            if isinstance(got, int | float) and isinstance(expected, int | float):
                told = re.match(r"expected (\S+), got ([^\s;]+)", said)
                assert [float(t == "True") if t in ("True", "False") else float(t) for t in told.groups()] == [
                    pytest.approx(float(each), rel=1e-5) for each in (expected, got)
                ]
                assert told[1] != told[2]


@pytest.mark.parametrize(
    ("got", "expected", "said"),
    [
        (torch.zeros(9, 6), torch.zeros(6, 9), "expected shape (6, 9), got shape (9, 6)"),
        ([1, 2, 3, 4], [1, 2, 3, 4, 5], "expected 5 entries, got 4; entry [4] is missing: 5"),
        ([1, 2, 3, 4, 5], [1, 2], "expected 2 entries, got 5; entry [2] is one too many: 3"),
        ([5, 2], [1, 2, 3, 4, 5], "expected 5 entries, got 2; entry [0]: expected 1, got 5"),
        ([9, 9, 1], [9, 1], ""),
        ([[1], [2]], [[1], [2, 3]], "entry [1]: expected 2 entries, got 1; its entry [1] is missing: 3"),
        ({"a": 1}, dict.fromkeys("abcde", 1), "expected 5 keys, got 1; the key 'b' is missing"),
        ({"f": 1} | dict.fromkeys("bcde", 1), dict.fromkeys("abcde", 1), "the key 'a' is missing"),
        ({"a": [0] * 6}, {"a": [0] * 5 + [1]}, "entry ['a'][5]: expected 1, got 0"),
        (set(range(5)), set(range(6)), "expected 6 members, got 5; 5 is missing"),
        ("ab" * 60 + "c", "ab" * 60 + "d", "at [120] expected ... 'ababababababd', got ... 'ababababababc'"),
        ("ab" * 60, "ab" * 61, "expected 122 characters, got 120; at [120] expected ... 'ababababababab', got its end"),
        (0.5, 0.5 + 1e-12, "expected 0.500000000001, got 0.5"),
        ([0.5] * 5 + [float("nan")], [0.5] * 6, "entry [5]: expected 0.5, got nan"),
        ([1.0] + [float("nan")] * 5, [0.5] * 6, "entry [0]: expected 0.5, got 1.0; 5 entries are nan"),
        (torch.tensor([[1.0, float("inf")]]), torch.zeros(1, 2),
            "entry [0, 0]: expected 0.0, got 1.0; 1 entry is infinite"),
        ((torch.zeros(9, 6), 1.0), (torch.ones(9, 6), 1.0), "entry [0, 0, 0]: expected 1.0, got 0.0"),
        ([1, 2], [2, 4], ""),
        (None, torch.zeros(9, 6), ""),
        (0.5, 0.25, ""),
    ],
)  # fmt: skip
def test_the_first_difference_in_words(got, expected, said):
    assert first_difference(got, expected) == said


def test_small_differences_count_only_where_there_is_no_tolerance():
    got, expected = [0.5] * 5 + [1.0], [0.5 + 1e-7] * 5 + [2.0]
    assert first_difference(got, expected) == "entry [0]: expected 0.5000001, got 0.5"
    assert first_difference(got, expected, 1e-5) == "entry [5]: expected 2.0, got 1.0"


def test_an_error_of_torchs_own_is_an_attempt(double):
    def asks_a_module_list(numbers):
        return torch.nn.ModuleList()(torch.zeros(1))

    result = double(asks_a_module_list)
    assert (result.state, result.slug) == (WRONG, RAISED) and "NotImplementedError" in result.problem


def test_of_a_class_that_was_begun_it_is_said_what_is_left(monkeypatch):
    import course.checks.exercise as engine

    monkeypatch.setattr(engine, "methods_to_write", lambda number: ["one", "two"])

    @exercise("99.3", title="Two methods", minutes=1, difficulty=1)
    def two(answer, check):
        check.equal(answer().one() + answer().two(), 3, slug="sum", hint="One and two.")

    class Untouched:
        def one(self):
            raise NotImplementedError

        def two(self):
            raise NotImplementedError

    class Begun(Untouched):
        def one(self):
            return 1

        def two(self):
            raise NotImplementedError

    try:
        assert two(Untouched).problem == "" and two(Untouched).state == NOT_ATTEMPTED
        assert two(Begun).problem == "still to write: two" and two(Begun).state == NOT_ATTEMPTED
    finally:
        del REGISTRY["99.3"]


# ---------------------------------------------------------------------- code that is to be repaired


def _mean_with_a_fault(values, start=0):
    """The mean of some numbers."""
    total = start
    for value in values:
        total += value
    return total / (len(values) - 1)


class _ScaleWithAFault:
    """Numbers times two."""

    def __call__(self, values):
        return [3 * value for value in values]

    def name(self):
        return "scale"


def test_code_that_is_given_to_be_repaired_is_not_attempted_until_it_is_changed():
    one = Exercise("99.80", "Repair it", 1, 1, ask=lambda answer, check: None, begins_as=_mean_with_a_fault)

    def same_with_other_words(values, start=0):
        """Other words."""
        total = start
        for value in values:
            total += value
        return total / (len(values) - 1)

    def repaired(values, start=0):
        total = start
        for value in values:
            total += value
        return total / len(values)

    def another_default(values, start=1):
        total = start
        for value in values:
            total += value
        return total / (len(values) - 1)

    assert one(same_with_other_words).state == "not attempted"
    assert one(repaired).state == one(another_default).state == "right"

    class Same(_ScaleWithAFault):
        def __call__(self, values):
            return [3 * value for value in values]

        def name(self):
            return "scale"

    class Other:
        def __call__(self, values):
            return [2 * value for value in values]

        def name(self):
            return "scale"

    class Renamed:
        def __call__(self, values):
            return [3 * value for value in values]

        def name(self):
            return "another"

    assert same_code(Same, _ScaleWithAFault)
    assert not same_code(Other, _ScaleWithAFault) and not same_code(Renamed, _ScaleWithAFault)
    assert not same_code(repaired, _ScaleWithAFault) and not same_code(print, repaired)


def test_code_is_the_same_in_a_cell_that_does_not_import_what_its_file_imports():
    source = "def rooted(x):\n    for _ in range(2):\n        x = math.sqrt(x) + math.f(x, y=3)\n    return math.pi * x"
    made = {}
    for name, text in {"file": "import math\n" + source, "cell": source, "other": source.replace("pi", "e")}.items():
        exec(compile(text, name, "exec"), scope := {})
        made[name] = scope["rooted"]
    assert same_code(made["cell"], made["file"])
    assert not same_code(made["other"], made["file"])
    exec(source.replace("y=3", "z=3"), scope := {})
    assert not same_code(scope["rooted"], made["file"])


def test_a_cell_is_compared_with_the_code_that_it_began_as():
    cell = (
        '%matplotlib inline\ndef my_mean(values, start=0):\n    "Doc."\n    total = start\n'
        "    for value in values:\n        total += value  # adds\n    return total / (len(values) - 1)\n"
    )
    assert same_source(cell, "my_mean", _mean_with_a_fault)
    assert not same_source(cell.replace(" - 1", ""), "my_mean", _mean_with_a_fault)
    assert not same_source(cell, "my_other", _mean_with_a_fault)
    assert not same_source("def broken(:", "broken", _mean_with_a_fault)


def test_a_class_that_was_given_to_be_repaired_is_filled_in_whole():
    stub = "class MyScale:\n    def __call__(self, x):\n        return 3 * x\n"
    solution = "class MyScale:\n    def __call__(self, x):\n        return 2 * x\n"
    assert filled(stub, solution) == solution.rstrip("\n")
    assert filled(stub, solution, "# in", "# out") == f"# in\n{solution}# out"
