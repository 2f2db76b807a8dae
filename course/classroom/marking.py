"""Runs answers, one after another, in a process of its own that `checking` starts in a confinement.

It reads orders from its standard input and writes replies to its standard output, a line of JSON each, and moves both
away before any code of a student runs: what that code prints goes nowhere. For most exercises it only calls the
answer: the check is in the process that gave the order. For the others (`checking.TOGETHER`) check and answer are both
here, and `guards` looks whether the one has been changed by the other. docs/grading.md says what that is worth.
"""

import ast
import json
import linecache
import os
import sys

from course.checks.answer import is_untouched, still_to_write
from course.checks.cells import plain_python
from course.checks.exercise import REGISTRY, RIGHT
from course.checks.registry import load_checks
from course.checks.source import is_definition
from course.classroom import guards, limits
from course.classroom.serving import Served

ERROR = "error"
MOST = 1500  # characters of a text in a verdict


def main() -> int:
    orders, replies = _channel()

    def hear() -> dict:
        line = orders.readline()
        if not line:
            os._exit(0)  # whoever gave orders is gone
        return json.loads(line)

    def tell(said: dict) -> None:
        replies.write(json.dumps(said) + "\n")
        replies.flush()

    start = hear()
    for above in start["warm_up"]:
        _trusted(above)
    if start["together"]:
        load_checks(start["together"])
        guards.remember()
    _drop_errors()
    limits.apply(start["memory_gb"], start["cpu_seconds"])
    tell({"state": "ready"})
    served = Served(hear, tell)
    while True:
        order = hear()
        if "load" in order:
            served = Served(hear, tell)
            tell({"token": order["token"], "loaded": _loaded(served, **order["load"])})
        elif "mark" in order:
            tell({"token": order["token"], **_shortened(mark(**order["mark"]))})
        else:
            tell(served.answer(order))


def _loaded(served: Served, name: str, above: str, own: list[str], source: str, number: str) -> dict:
    """Run the cell with an answer, and keep what it defines for `served`."""
    found, error, remarks, elsewhere = defined(name, above, own, source, number)
    if error:
        return _shortened(error)
    made = found[0]
    kind = "class" if isinstance(made, type) else "function" if callable(made) else "value"
    untouched = made is None or made is Ellipsis or (kind != "value" and is_untouched(made))
    label = getattr(made, "__name__", "")
    return _shortened({
        "kind": kind, "untouched": untouched, "object": served.keep(made), "remarks": remarks, "elsewhere": elsewhere,
        "label": label if isinstance(label, str) else "", "left": still_to_write(made) if kind == "class" else [],
    })  # fmt: skip


def defined(name: str, above: str, own: list[str], source: str, number: str):
    """What a cell defines as `name`: in a list, empty if nothing; else an error as `mark` gives it; remarks on the
    cell; remarks on the student's other cells.
    """
    remarks, elsewhere = [], []
    try:
        scope = _trusted(above)
        for text in own:
            elsewhere += _add_own(text, scope)
        try:
            tree = ast.parse(plain_python(source))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
            return [], _failed(error, f"the cell is not valid Python{line}: {error}", remarks), [], []
        first = _run(tree, source, scope, number)
        if name not in scope:
            if first is None:
                return [], _error("no-function", f"the cell does not define {name}", remarks), [], []
            return [], _failed(first, f"running the cell ended with {type(first).__name__}: {first}", remarks), [], []
        if first is not None:
            remarks.append(
                f"a line of the cell failed ({type(first).__name__}: {first}); the answer was marked without"
            )
        return [scope[name]], None, remarks, elsewhere
    except BaseException as error:  # also SystemExit, and what is not an Exception
        return [], _failed(error, f"{type(error).__name__} ended the check: {error}", remarks), [], []


def mark(number: str, above: str, own: list[str], source: str) -> dict:
    """The verdict on one answer, whose check runs in this process.

    Args:
        above: code of the course that stands before the exercise.
        own: sources of the student's other cells, of which imports, definitions and literals count, where they do not
            take a name of the course's.
        source: the cell with the answer.

    Returns:
        state ("right", "wrong", "not attempted" or "error"), slug, passed, problem, hint, printed, remarks.
    """
    exercise = REGISTRY[number]
    found, error, remarks, elsewhere = defined(exercise.name, above, own, source, number)
    if error:
        return error
    try:
        with guards.watching():
            result = exercise(found[0])
        changed = guards.changed()
    except BaseException as error:  # also SystemExit, and what is not an Exception
        return _failed(error, f"{type(error).__name__} ended the check: {error}", remarks)
    if changed and result.state == RIGHT:
        return _error("changed-the-check", f"the answer changed what it was checked with: {changed}", remarks)
    return verdict(result, remarks, elsewhere)


def verdict(result, remarks: list[str], elsewhere: list[str]) -> dict:
    """A check's result as plain data."""
    return {
        "state": result.state, "slug": result.slug, "passed": result.passed, "problem": result.problem,
        "hint": result.hint, "printed": result.printed,
        "remarks": remarks + (elsewhere if result.state != RIGHT else []),
    }  # fmt: skip


def _trusted(above: str) -> dict:
    scope = {"__name__": "notebook"}
    exec(compile(above, "<notebook>", "exec"), scope)
    return scope


def _add_own(text: str, scope: dict) -> list[str]:
    """Put a student's own helpers into `scope`; what could not be, and why."""
    problems, kept = [], set(scope)
    try:
        statements = [s for s in ast.parse(plain_python(text)).body if is_definition(s) and not _names(s) & kept]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ["another cell was left out, as it is not valid Python"]
    for statement in statements:
        try:
            exec(compile(ast.Module([statement], type_ignores=[]), "<another cell>", "exec"), scope)
        except Exception as error:
            problems.append(f"in another cell, `{ast.unparse(statement)[:60]}` failed: {type(error).__name__}: {error}")
    return problems


def _names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Assign):
        return {target.id for target in statement.targets}
    return {statement.name}


def _run(tree: ast.Module, source: str, scope: dict, number: str) -> BaseException | None:
    """Run a cell statement by statement, as far as each goes alone; the first error, if there was one."""
    name, first = f"<answer {number}>", None
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # messages show the line
    for statement in tree.body:
        try:
            exec(compile(ast.Module([statement], type_ignores=[]), name, "exec"), scope)
        except BaseException as error:
            first = first or error
    return first


def _failed(error: BaseException, problem: str, remarks: list[str]) -> dict:
    return _error(type(error).__name__, problem, remarks)


def _error(slug: str, problem: str, remarks: list[str]) -> dict:
    return {"state": ERROR, "slug": slug, "problem": problem, "remarks": remarks}


# ---------------------------------------------------------------------- the process


def _channel():
    """Standard input and output under other numbers; in their own places, nothing."""
    orders = os.fdopen(os.dup(0), "r", encoding="ascii")
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    return orders, replies


def _drop_errors() -> None:
    """Until here errors are the course's own, and of interest."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _shortened(said: dict) -> dict:
    def short(value):
        return value[:MOST] if isinstance(value, str) else [each[:MOST] for each in value[:8]]

    return {key: short(value) if isinstance(value, str | list) else value for key, value in said.items()}


if __name__ == "__main__":
    sys.exit(main())
