"""Marks answers, one after another, in a process of its own: what `Marker` in sandbox.py starts.

It reads orders from its standard input and writes verdicts to its standard output, a line of JSON each, and moves both
away before any code of a student runs: what that code prints goes nowhere. Each order has a token, which the verdict
must repeat. It is random, so a student's code cannot print a verdict; but as that code runs in this process, one who
sets out to can find it in memory. docs/grading.md says so.
"""

import ast
import json
import linecache
import os
import sys

from course.checks.cells import plain_python
from course.checks.exercise import REGISTRY, RIGHT
from course.checks.registry import load_checks
from course.checks.source import is_definition

ERROR = "error"
MOST = 1500  # characters of a text in a verdict
FILE_BYTES, PROCESSES = 64 * 2**20, 64


def main() -> int:
    orders, verdicts = _channel()
    start = json.loads(orders.readline())
    load_checks(start["checks"])
    for above in start["warm_up"]:
        _trusted(above)
    _limit(start["memory_gb"], start["cpu_seconds"])
    _tell(verdicts, start["token"], {"state": "ready"})
    while line := orders.readline():
        order = json.loads(line)
        token = order.pop("token")
        _tell(verdicts, token, mark(**order))
    return 0


def mark(number: str, above: str, own: list[str], source: str) -> dict:
    """The verdict on one answer.

    Args:
        above: code of the course that stands before the exercise.
        own: sources of the student's other cells, of which imports, definitions and literals count, where they do not
            take a name of the course's.
        source: the cell with the answer.

    Returns:
        state ("right", "wrong", "not attempted" or "error"), slug, passed, problem, hint, printed, remarks.
    """
    exercise, remarks, elsewhere = REGISTRY[number], [], []
    try:
        scope = _trusted(above)
        for text in own:
            elsewhere += _add_own(text, scope)
        try:
            tree = ast.parse(plain_python(source))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
            return _failed(error, f"the cell is not valid Python{line}: {error}", remarks)
        first = _run(tree, source, scope, number)
        if exercise.name not in scope:
            if first is None:
                return _error("no-function", f"the cell does not define {exercise.name}", remarks)
            return _failed(first, f"running the cell ended with {type(first).__name__}: {first}", remarks)
        if first is not None:
            remarks.append(
                f"a line of the cell failed ({type(first).__name__}: {first}); the answer was marked without"
            )
        result = exercise(scope[exercise.name])
    except BaseException as error:  # also SystemExit, and what is not an Exception
        return _failed(error, f"{type(error).__name__} ended the check: {error}", remarks)
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
    """Standard input and output under other numbers; in their own places and that of errors, nothing."""
    orders = os.fdopen(os.dup(0), "r", encoding="utf-8")
    verdicts = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    return orders, verdicts


def _tell(verdicts, token: str, verdict: dict) -> None:
    def short(value):
        return value[:MOST] if isinstance(value, str) else [each[:MOST] for each in value[:8]]

    fields = {k: short(v) if isinstance(v, str | list) else v for k, v in verdict.items()}
    verdicts.write(json.dumps({"token": token, **fields}) + "\n")
    verdicts.flush()


def _limit(memory_gb: float, cpu_seconds: int) -> None:
    """What the system lets a process forbid itself, from now on; nothing where it has no such limits (Windows)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # until here errors are the course's own, and of interest
    try:
        import resource
    except ImportError:
        return
    limits = {
        "RLIMIT_AS": _address_space() + int(memory_gb * 2**30),
        "RLIMIT_FSIZE": FILE_BYTES,
        "RLIMIT_CPU": cpu_seconds,
        "RLIMIT_CORE": 0,
        "RLIMIT_NPROC": _own_threads() + PROCESSES,
    }
    for name, most in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (most, most))
        except (AttributeError, ValueError, OSError):  # this system does not have it, or has a lower one
            continue


def _address_space() -> int:
    """Bytes of address space that the libraries have taken already."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _own_threads() -> int:
    """Threads that this user runs already, as far as they can be seen: the limit counts them all."""
    import psutil

    uid, count = os.getuid(), 0
    for process in psutil.process_iter():
        try:
            count += process.num_threads() if process.uids().real == uid else 0
        except psutil.Error:
            continue
    return count


if __name__ == "__main__":
    sys.exit(main())
