"""An exercise in its notebook: its four cells, what stands around it, and its folded solution.

The tests, the handouts and the grading read notebooks through these, so that they agree on what an answer may use.
"""

import ast
import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from course.checks.exercise import REGISTRY, Exercise
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


def load_checks(number: str) -> dict[str, Exercise]:
    """The exercises of notebook `number` ("03") in their order, by their numbers ("3.1", "3.2", ...); none for a
    notebook that has no checks.
    """
    try:
        importlib.import_module(f"course.checks.nb{number}")
    except ModuleNotFoundError as error:
        if error.name != f"course.checks.nb{number}":
            raise
    own = [one for one in REGISTRY.values() if int(one.number.split(".")[0]) == int(number)]
    return {one.number: one for one in sorted(own, key=lambda one: in_order(one.number))}


def in_order(number: str) -> tuple[int, ...]:
    """A key that sorts "9.10" behind "9.2"."""
    return tuple(map(int, number.split(".")))


def exercise_cells(book) -> dict[str, ExerciseCells]:
    """The cells of each exercise of a notebook of the course, by number."""
    found = {}
    for i, cell in enumerate(book.cells):
        if "exercise" in notebooks.tags_of(cell):
            found[str(cell.metadata["exercise"])] = ExerciseCells(*book.cells[i - 1 : i + 3])
    return found


def plain_python(source: str) -> str:
    """A cell without IPython's own commands; the lines keep their numbers."""
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.split("\n"))


def is_definition(statement: ast.stmt) -> bool:
    """Whether it imports, defines, or names a literal: what an answer may find around it."""
    if isinstance(statement, ast.Assign):
        return _is_literal(statement.value) and all(isinstance(target, ast.Name) for target in statement.targets)
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def definitions(cells: Iterable) -> list[ast.stmt]:
    """What the code cells among `cells` import and define, but for the setup cell and the learner's stubs."""
    return [
        statement
        for cell in cells
        if cell.cell_type == "code" and not {"setup", "exercise"} & set(notebooks.tags_of(cell))
        for statement in ast.parse(plain_python(cell.source)).body
        if is_definition(statement)
    ]


def surroundings(book, before) -> dict:
    """What the cells above the cell `before` import and define, executed: the names that an answer may use."""
    scope = {"__name__": "notebook"}
    above = book.cells[: book.cells.index(before)]
    exec(compile(ast.Module(definitions(above), type_ignores=[]), "<notebook>", "exec"), scope)
    return scope


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
    """The index of the line where a function's body begins, comments above its first statement included."""
    at = first.lineno - 1
    while at > function.lineno and lines[at - 1].lstrip().startswith("#"):
        at -= 1
    return at
