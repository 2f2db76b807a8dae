"""An exercise in its notebook: its four cells, what stands around it, and its folded solution.

The tests, the handouts and the grading read notebooks through these, so that they agree on what an answer may use.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from course.checks.source import is_definition, plain_python, renamed
from course.site import notebooks
from helpers.errors import CourseError

_SOLUTION = "<details><summary>Solution</summary>"


@dataclass(frozen=True)
class ExerciseCells:
    """The four cells of an exercise, as nbformat has them."""

    card: object
    stub: object
    check: object
    hints: object

    def __iter__(self):
        return iter((self.card, self.stub, self.check, self.hints))


def exercise_cells(book) -> dict[str, ExerciseCells]:
    """The cells of each exercise of a notebook of the course, by number."""
    found = {}
    for i, cell in enumerate(book.cells):
        if "exercise" in notebooks.tags_of(cell):
            found[str(cell.metadata["exercise"])] = ExerciseCells(*book.cells[i - 1 : i + 3])
    return found


def definitions(cells: Sequence) -> list[ast.stmt]:
    """What the code cells among `cells` import and define, but for the setup cell and the learner's stubs; and, under
    the name that the following cells know, the course's own part for every exercise that is whole among them.
    """
    found = []
    for i, cell in enumerate(cells):
        if cell.cell_type != "code" or {"setup", "exercise"} & set(notebooks.tags_of(cell)):
            continue
        for each in ast.parse(plain_python(cell.source)).body:
            found += [each] if is_definition(each) else _from_an_earlier_notebook(each)
        if i > 0 and "exercise" in notebooks.tags_of(cells[i - 1]) and i + 1 < len(cells):
            exercise = ExerciseCells(None, cells[i - 1], cell, cells[i + 1])
            own = _SOLUTION in exercise.hints.source  # else it is a student's copy
            found += ast.parse(part_source(exercise) if own else course_part(exercise.stub.metadata["exercise"])).body
    return found


def _from_an_earlier_notebook(statement: ast.stmt) -> list[ast.stmt]:
    """The course's own for what a cell takes from the learner's model: `MLP = mine.part("MLP")`."""
    match statement:
        case ast.Assign(value=ast.Call(func=ast.Attribute(ast.Name("mine"), "part"), args=[ast.Constant(name)])):
            return ast.parse(f"from helpers.model import {name}").body
    return []


def surroundings(book, before) -> dict:
    """What the cells above the cell `before` import and define, executed: the names that an answer may use."""
    scope = {"__name__": "notebook"}
    above = book.cells[: book.cells.index(before)]
    exec(compile(ast.Module(definitions(above), type_ignores=[]), "<notebook>", "exec"), scope)
    return scope


def stub_name(cells: ExerciseCells) -> str:
    """The function or class that an exercise's stub defines."""
    return ast.parse(plain_python(cells.stub.source)).body[-1].name


def part_name(stub: str) -> str:
    """What the following cells call that which the learner writes as `my_merge` or `MyBlock`."""
    return stub.removeprefix("my_").removeprefix("My")


def part_source(cells: ExerciseCells) -> str:
    """The course's own part: the folded solution, under the name that the following cells know."""
    stub = stub_name(cells)
    return renamed(solution_of(cells.hints), stub, part_name(stub))


def course_part(number: str) -> str:
    """The source of the course's own part for exercise `number` ("6.3").

    Raises:
        CourseError: the notebook has no such exercise, or no solution to it.
    """
    path = _notebook_of(number)
    found = _cells_of(path, path.stat().st_mtime_ns) if path else {}
    if number not in found:
        raise CourseError(f"the course's notebooks have no exercise {number}: are they of another version?")
    try:
        return part_source(found[number])
    except CourseError as error:
        raise CourseError(
            f"{path.name} has no solution of exercise {number} that could stand in: keep the course's own notebooks in "
            "the folder notebooks, and the students' copies elsewhere"
        ) from error


def surroundings_of(number: str) -> dict:
    """`surroundings` of exercise `number` in its notebook."""
    book = notebooks.read(_notebook_of(number))
    return surroundings(book, exercise_cells(book)[number].stub)


def methods_to_write(number: str) -> list[str]:
    """The methods that the stub of exercise `number` asks for; none where it is a function."""
    path = _notebook_of(number)
    found = _cells_of(path, path.stat().st_mtime_ns) if path else {}
    if number not in found:
        return []
    stub = ast.parse(plain_python(found[number].stub.source)).body[-1]
    return left_open(stub) if isinstance(stub, ast.ClassDef) else []


def left_open(stub: ast.ClassDef) -> list[str]:
    """The methods of a class that a stub leaves to the learner: all of them, where it gives them to be repaired."""
    methods = [each for each in stub.body if isinstance(each, ast.FunctionDef)]
    return [each.name for each in methods if is_open(each)] or [each.name for each in methods]


def is_open(method: ast.FunctionDef) -> bool:
    """Whether a stub leaves a method to the learner."""
    return ast.unparse(method.body[-1]).startswith(("raise NotImplementedError", "..."))


def _notebook_of(number: str) -> Path | None:
    """The notebook of the course that has exercise `number`, as far as its name says."""
    return next((p for p in notebooks.all_notebooks() if int(p.name[:2]) == int(number.split(".")[0])), None)


@lru_cache(maxsize=32)
def _cells_of(path, _changed: int) -> dict[str, ExerciseCells]:
    return exercise_cells(notebooks.read(path))


def solution_of(hints) -> str:
    """The Python code that is folded under "Solution" in an exercise's last cell.

    Raises:
        CourseError: there is none.
    """
    _, _, folded = hints.source.partition(_SOLUTION)
    block = re.search(r"```python\n(.*?)```", folded, flags=re.DOTALL)
    if block is None:
        raise CourseError("the hints cell has no Solution with a python block")
    return block.group(1)


def without_solution(hints: str) -> str:
    """The text of a hints cell, the solution cut out."""
    head, _, tail = hints.partition(_SOLUTION)
    return (head.rstrip() + tail.partition("</details>")[2].rstrip()).rstrip()


def filled(stub: str, solution: str, begin: str = "", end: str = "") -> str:
    """The stub's cell with the solution in the place of its body: imports, signature and docstring stay.

    What the solution says before its `def` (an import, a constant) goes into the body, too, unless the stub says it.

    Args:
        begin, end: lines that stand around all that comes from the solution.

    Raises:
        CourseError: the two do not end with a function of the same name, or the stub has no docstring.
    """
    tree, answer = ast.parse(stub), ast.parse(solution)
    function, solved = tree.body[-1], answer.body[-1]
    if getattr(solved, "name", None) != function.name or ast.get_docstring(function) is None:
        raise CourseError(f"a solution must define what its stub defines, {function.name}, and the stub say what it is")
    known = {ast.dump(statement) for statement in tree.body[:-1]}
    before = [ast.get_source_segment(solution, s) for s in answer.body[:-1] if ast.dump(s) not in known]
    head = stub.split("\n")[: function.body[0].end_lineno]
    indent = " " * function.body[0].col_offset
    inside = [begin, *"\n".join(before).split("\n")]
    return "\n".join(
        [*head, *(indent + line for line in inside if line), body_of(solution), *([indent + end] if end else [])]
    )


def body_of(solution: str) -> str:
    """The lines of a solution's function below its `def` and its docstring."""
    function, lines = ast.parse(solution).body[-1], solution.split("\n")
    first = function.body[1 if ast.get_docstring(function) is not None else 0]
    return "\n".join(lines[_first_line(lines, first, function) : function.end_lineno])


def _first_line(lines: list[str], first: ast.stmt, function: ast.stmt) -> int:
    """The index of the line where a function's body begins, comments and blank lines above it included."""
    at = first.lineno - 1
    while at > function.lineno and (not lines[at - 1].strip() or lines[at - 1].lstrip().startswith("#")):
        at -= 1
    return at
