"""Whether an answer is still what its cell began with: a stub, or code with a fault that is to be repaired."""

import ast
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
        inner = [each for each in code.co_consts if isinstance(each, CodeType)]
        # A docstring is the first constant, and the names of functions inside have stood among them in some Pythons.
        values = [repr(each) for each in code.co_consts if not isinstance(each, CodeType | str)]
        words = [each for each in code.co_consts[1:] if isinstance(each, str) and "<locals>" not in each]
        return code.co_code, code.co_names, code.co_varnames, code.co_freevars, values, words, inner

    (*plain, inner), (*plain_too, inner_too) = parts(one), parts(other)
    return plain == plain_too and len(inner) == len(inner_too) and all(map(_alike, inner, inner_too))


def _bare(node: ast.stmt) -> str:
    """A definition without its name and without docstrings."""
    node.name = "it"
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(each) is not None:
            each.body = each.body[1:]
    return ast.dump(node)
