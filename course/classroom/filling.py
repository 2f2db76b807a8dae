"""Stubs filled in with their solutions, for keys and for nbgrader: a function whole, of a class what is left open."""

import ast
import textwrap

from course.checks import cells
from helpers.errors import CourseError


def filled(stub: str, solution: str, begin: str = "", end: str = "") -> str:
    """As `course.checks.cells.filled`; of a class what the stub gives stays, and each method that it leaves open gets
    the lines of the solution. Methods that the solution has besides stand behind the last of them. Where nothing is
    left open, the class was given to be repaired, and the solution is all.

    Args:
        begin, end: lines that stand around all that comes from the solution.

    Raises:
        CourseError: the solution does not have what the stub asks for.
    """
    asked, answer = ast.parse(stub).body[-1], ast.parse(solution)
    solved = answer.body[-1]
    if not isinstance(asked, ast.ClassDef):
        return cells.filled(stub, solution, begin, end)
    if getattr(solved, "name", None) != asked.name:
        raise CourseError(f"a solution must define what its stub defines, {asked.name}")
    own, there = _methods(solved), _methods(asked)
    left_open = [method for method in there.values() if cells.is_open(method)]
    if not left_open:  # it is given with a fault: the repaired one stands in its place
        return "\n".join([*([begin] if begin else []), solution.rstrip("\n"), *([end] if end else [])])
    if missing := [method.name for method in left_open if method.name not in own]:
        raise CourseError(f"the solution of {asked.name} has no {', '.join(missing)}")
    known = {ast.dump(statement) for statement in ast.parse(stub).body}
    before = [ast.unparse(each) for each in answer.body[:-1] if ast.dump(each) not in known]
    lines = stub.split("\n")
    for method in reversed(left_open):
        indent = " " * method.body[-1].col_offset
        inside = [*([begin] if begin else []), *before, *_body(solution, own[method.name]).split("\n")]
        region = [indent + line if line.strip() else "" for line in inside]
        if method is left_open[-1]:
            for extra in (each for name, each in own.items() if name not in there):
                region += ["", *_whole(solution, extra)]
        first = method.body[1 if ast.get_docstring(method) is not None and len(method.body) > 1 else 0].lineno - 1
        lines[first : method.end_lineno] = [*region, *([indent + end] if end else [])]
    return "\n".join(lines)


def _methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}


def _body(source: str, method: ast.FunctionDef) -> str:
    """The lines of a method below its `def` and its docstring, comments included, from the left edge."""
    lines = source.split("\n")
    at = method.body[1 if ast.get_docstring(method) is not None else 0].lineno - 1
    while at > method.lineno and lines[at - 1].lstrip().startswith("#"):
        at -= 1
    if at < method.lineno:  # all on one line
        return ast.unparse(method.body)
    return textwrap.dedent("\n".join(lines[at : method.end_lineno]))


def _whole(source: str, method: ast.FunctionDef) -> list[str]:
    first = min([method.lineno, *(each.lineno for each in method.decorator_list)]) - 1
    return source.split("\n")[first : method.end_lineno]
