"""Every exercise of every notebook: its stub is not attempted, its solution is right, each planted wrong
answer is caught by the check that was meant to catch it.
"""

import ast
import functools
import importlib
import re
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from course.checks.cells import exercise_cells, plain_python, solution_of, surroundings
from course.checks.exercise import NOT_ATTEMPTED, REGISTRY, RIGHT, TOO_SLOW, WRONG
from course.classroom.filling import filled
from course.site import notebooks
from helpers.files import repository_root
from tests import calls_shown
from tests.wrong_answers import PLANTED

AT_LEAST = 5  # planted wrong answers an exercise

for path in sorted((repository_root() / "tests" / "wrong_answers").glob("nb[0-9][0-9].py")):
    importlib.import_module(f"tests.wrong_answers.{path.stem}")
for path in sorted((repository_root() / "course" / "checks").glob("nb[0-9][0-9].py")):
    importlib.import_module(f"course.checks.{path.stem}")

NUMBERS = sorted(number for number in REGISTRY if not number.startswith("99."))  # 99: those of the machinery's tests


@cache
def notebook_of(number: str):
    """The notebook that holds an exercise."""
    path = next((p for p in notebooks.all_notebooks() if int(p.name[:2]) == int(number.split(".")[0])), None)
    return notebooks.read(path) if path else None


def answer_from(source: str, number: str):
    """The object that the learner would hand to the check after running `source` in its notebook."""
    book = notebook_of(number)
    scope = surroundings(book, exercise_cells(book)[number].stub)
    exec(compile(source, "<answer>", "exec"), scope)
    return scope[REGISTRY[number].name]


def cells_or_skip(number: str) -> list:
    book = notebook_of(number)
    if book is None:
        pytest.skip("its notebook does not exist yet")
    assert number in exercise_cells(book), f"exercise {number} has a check but no cell tagged for it"
    return exercise_cells(book)[number]


TO_THE_LAST_BIT = {"7.10"}  # what it returns is a state that training goes on from


def as_numpys(value, seen: list):
    """The value with its plain numbers, also those in lists, tuples and dictionaries, as NumPy's; `seen` gets each."""
    kind = type(value)
    if kind in (list, tuple):
        return kind(as_numpys(each, seen) for each in value)
    if kind is dict:
        return {key: as_numpys(each, seen) for key, each in value.items()}
    if kind is float or kind is int and -(2**63) <= value < 2**63:
        seen.append(value)
        return np.float32(value) if kind is float else np.int64(value)
    return value


def verdict_with_numbers_of_numpy(answer, number: str):
    """The verdict on the answer, each plain number of which is an np.float32 or np.int64; None if it gives none."""
    if isinstance(answer, type) or not callable(answer) or number in TO_THE_LAST_BIT:
        return None
    seen: list = []

    @functools.wraps(answer)
    def answers(*args, **kwargs):
        return as_numpys(answer(*args, **kwargs), seen)

    result = replace(REGISTRY[number], seconds=4)(answers)
    return result if seen else None


@pytest.mark.parametrize("number", NUMBERS)
def test_the_stub_is_not_attempted(number):
    _, stub, _, _ = cells_or_skip(number)
    result = REGISTRY[number](answer_from(stub.source, number))
    assert result.state == NOT_ATTEMPTED, result


@pytest.mark.parametrize("number", NUMBERS)
def test_the_solution_is_right(number, monkeypatch):
    _, _, _, hints = cells_or_skip(number)
    answer = answer_from(solution_of(hints), number)
    not_compared = calls_shown.watch(monkeypatch)
    result = REGISTRY[number](answer)
    assert result.state == RIGHT, result
    assert not not_compared, not_compared[0]
    result = verdict_with_numbers_of_numpy(answer, number)
    assert result is None or result.state == RIGHT, f"with NumPy's numbers: {result}"


@pytest.mark.parametrize("number", NUMBERS)
def test_the_answer_in_the_key_of_a_handout_is_right(number):
    _, stub, _, hints = cells_or_skip(number)
    result = REGISTRY[number](answer_from(filled(stub.source, solution_of(hints)), number))
    assert result.state == RIGHT, result


@pytest.mark.parametrize("number", NUMBERS)
def test_the_verdict_is_the_same_every_time(number):
    for answer in [wrong for planted, _, wrong in PLANTED if planted == number][:3]:
        assert REGISTRY[number](answer) == REGISTRY[number](answer)


@pytest.mark.parametrize(
    ("number", "slug", "answer"), PLANTED, ids=[f"{n}-{answer.__name__}" for n, _, answer in PLANTED]
)
def test_a_planted_wrong_answer_is_caught_for_what_it_is(number, slug, answer, monkeypatch):
    not_compared = calls_shown.watch(monkeypatch)
    result = replace(REGISTRY[number], seconds=4)(answer)  # some never end
    assert (result.state, result.slug) == (WRONG, slug), result
    assert not not_compared, not_compared[0]
    assert result.hint and result.problem
    result = None if slug == TOO_SLOW else verdict_with_numbers_of_numpy(answer, number)
    if result is not None:
        assert (result.state, result.slug) == (WRONG, slug), f"with NumPy's numbers: {result}"
        assert not re.search(r"np\.(int|float)\d+\(", result.problem), result


OF_SEVERAL_CALLS = {
    ("3.10", "seed-or-greedy"): "600 seeds",
    ("3.10", "weights"): "600 seeds",
    ("6.5", "always-the-same"): "six fresh blocks",
    ("8.2", "no-copy"): "the four precisions",
    ("10.36", "in-order"): "five seeds",
    ("11.9", "own"): "forty generators",
    ("11.11", "not-random"): "two generators",
    ("13.5", "torn"): "200 generators",
    ("13.10", "interleaved"): "12 rows, 3 processes",
    ("13.10", "rows-lost"): "8 rows, 3 processes",
    ("13.11", "one-stage-late"): "1,000 parameters, 10 GPUs, the four stages",
}


@pytest.mark.parametrize(("number", "slug"), OF_SEVERAL_CALLS)
def test_where_several_calls_are_compared_none_of_them_is_shown(number, slug):
    answers = [answer for planted, caught, answer in PLANTED if (planted, caught) == (number, slug)]
    assert answers
    for answer in answers:
        problem = REGISTRY[number](answer).problem
        assert problem.startswith(f"{OF_SEVERAL_CALLS[number, slug]}: "), problem


@pytest.mark.parametrize("number", NUMBERS)
def test_enough_wrong_answers_are_planted(number):
    assert Counter(planted for planted, _, _ in PLANTED)[number] >= AT_LEAST


def test_wrong_answers_are_planted_for_exercises_that_exist():
    assert {planted for planted, _, _ in PLANTED} <= set(NUMBERS)


@pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)
def test_every_exercise_of_a_notebook_has_a_check(path):
    assert set(exercise_cells(notebooks.read(path))) <= set(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_card_stub_check_and_hints_are_in_order(number):
    card, stub, check, hints = cells_or_skip(number)
    one = REGISTRY[number]
    assert card.source.startswith(f"### Exercise {number} - {one.title}\n"), card.source[:80]
    assert f"*Difficulty {one.difficulty} of 3 - about {one.minutes} minutes*" in card.source
    assert f"def {one.name}(" in stub.source or f"class {one.name}" in stub.source
    assert '"""' in stub.source, "the stub says in a docstring what goes in and out"
    hand_over = f"{one.part} = nb{int(number.split('.')[0]):02}.{one.part}.use({one.name})"
    assert check.source.strip().split("\n")[-1] == hand_over, check.source
    assert hints.source.count("<details>") == hints.source.count("</details>") >= 2, "a hint and the solution"
    assert "<summary>Hint" in hints.source
    assert "not attempted yet" in str(check.outputs), "stored with its stub untouched"


@pytest.mark.parametrize("number", NUMBERS)
def test_what_was_built_is_what_a_following_cell_uses(number):
    _, _, check, _ = cells_or_skip(number)
    part, book = REGISTRY[number].part, notebook_of(number)
    after = book.cells[book.cells.index(check) + 1 :]
    code = [ast.parse(plain_python(cell.source)) for cell in after if cell.cell_type == "code"]
    assert any(
        isinstance(node, ast.Name) and node.id == part and isinstance(node.ctx, ast.Load)
        for tree in code
        for node in ast.walk(tree)
    ), f"no cell after exercise {number} uses `{part}`"
    assert not any(part in defined_in(tree) for tree in code), f"a cell after exercise {number} makes another `{part}`"


@pytest.mark.parametrize("number", NUMBERS)
def test_no_other_cell_touches_the_learners_answer(number):
    card, stub, check, _ = cells_or_skip(number)
    name = REGISTRY[number].name
    for cell in notebook_of(number).cells:
        if cell.cell_type != "code" or cell in (stub, check):
            continue
        tree = ast.parse(plain_python(cell.source))
        assert name not in names_in(tree), f"{name} stands in another cell:\n{cell.source}"


def defined_in(tree: ast.AST) -> set[str]:
    """The names that a cell defines, assigns or imports at its top."""
    found = set()
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            found.add(statement.name)
        elif isinstance(statement, ast.Assign):
            found |= {
                node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)
            }
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    return found


def names_in(tree: ast.AST) -> set[str]:
    """Every plain name that a cell reads, assigns, defines, deletes or imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
    return found
