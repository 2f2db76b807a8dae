"""Whether an answer is still what its cell began with: a stub, or code with a fault that is to be repaired."""

import ast
import dis
import inspect
from types import CodeType

from course.checks.source import plain_python


def same_code(one, other) -> bool:
    """Whether two functions or classes are the same program; names of their own, docstrings and layout do not count."""
    if isinstance(one, type) != isinstance(other, type):
        return False
    if isinstance(one, type):
        methods, others = _methods(one), _methods(other)
        return methods.keys() == others.keys() and all(same_code(methods[name], others[name]) for name in methods)
    one, other = inspect.unwrap(one), inspect.unwrap(other)  # below their decorators
    if not (inspect.isfunction(one) and inspect.isfunction(other)):
        return False
    return one.__defaults__ == other.__defaults__ and _alike(one.__code__, other.__code__)


def same_source(cell: str, name: str, begins_as) -> bool:
    """Whether a cell defines `name` as `begins_as` is defined in its file."""
    try:
        found = [each for each in ast.parse(plain_python(cell)).body if getattr(each, "name", None) == name]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    expected = ast.parse(inspect.getsource(begins_as)).body[-1]
    return bool(found) and _bare(found[-1]) == _bare(expected)


def _methods(made: type) -> dict:
    return {name: member for name, member in vars(made).items() if inspect.isfunction(member)}


def _alike(one: CodeType, other: CodeType) -> bool:
    def parts(code: CodeType) -> tuple:
        values = [repr(each) for each in code.co_consts if not isinstance(each, CodeType | str)]
        return code.co_varnames, code.co_freevars, values, _steps(code)

    inner, inner_too = _inner(one), _inner(other)
    return parts(one) == parts(other) and len(inner) == len(inner_too) and all(map(_alike, inner, inner_too))


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _steps(code: CodeType) -> list[tuple]:
    """The instructions, but for what depends on what is imported beside a function: `torch.ones` of a module that
    is imported in the same file is called by other instructions than that of a name that stands in another cell.
    """
    steps = []
    for step in dis.get_instructions(code):
        if step.opname in ("PUSH_NULL", "PRECALL"):
            continue
        name = "LOAD_ATTR" if step.opname == "LOAD_METHOD" else step.opname
        moved = step.opcode in dis.hasjrel or step.opcode in dis.hasjabs or isinstance(step.argval, CodeType)
        text = isinstance(step.argval, str) and "<locals>" in step.argval  # the name of a function inside
        call = step.opname in ("CALL", "CALL_METHOD", "CALL_FUNCTION")
        steps.append((name, None if moved or text else step.arg if call else repr(step.argval)))
    return steps


def _bare(node: ast.stmt) -> str:
    """A definition without its name and without docstrings."""
    node.name = "it"
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(each) is not None:
            each.body = each.body[1:]
    return ast.dump(node)
