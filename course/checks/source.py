"""The source of a learner's answer: found where it was typed, renamed to the part that it becomes, looked over for
names that it does not bring along.
"""

import ast
import builtins
import inspect
import io
import linecache
import symtable
import tokenize


def source_of(answer) -> str | None:
    """The imports, definitions and literals of the cell in which a function or class was defined.

    None where that cannot be found: a lambda, a `functools.partial`, a class without a method of its own.
    """
    code = _code(answer)
    name = getattr(answer, "__name__", None)
    if code is None or name is None:
        return None
    text = "".join(linecache.getlines(code.co_filename))
    try:
        tree = ast.parse(plain_python(text))
    except (SyntaxError, ValueError):
        return None
    if not any(isinstance(s, ast.FunctionDef | ast.ClassDef) and s.name == name for s in tree.body):
        return None
    kept, source = [statement for statement in tree.body if is_definition(statement)], ""
    for before, statement in zip([None, *kept], kept, strict=False):
        apart = before is not None and (hasattr(before, "body") or hasattr(statement, "body"))
        source += ("\n\n" if apart else "") + _segment(text, statement) + "\n"
    return source


def _code(answer):
    """The code object of a function, or of a class's first method."""
    if isinstance(answer, type):
        own = (member for member in vars(answer).values() if inspect.isfunction(member))
        answer = next((member for member in own if member.__qualname__.startswith(answer.__name__)), None)
    return getattr(answer and inspect.unwrap(answer), "__code__", None)  # a decorator's code is not the answer's


def _segment(text: str, statement: ast.stmt) -> str:
    """The lines of a statement, its decorators and the comments right above it included."""
    lines = text.split("\n")
    first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))]) - 1
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : statement.end_lineno])


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


def renamed(source: str, old: str, new: str) -> str:
    """Python source in which the name `old` is `new` wherever it stands, comments and layout as they were."""
    lines = source.split("\n")
    found = [
        token.start
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.NAME and token.string == old
    ]
    for row, column in reversed(found):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + new + line[column + len(old) :]
    return "\n".join(lines)


def names_missing(source: str, known: set[str]) -> list[str]:
    """The names that a source's functions look for and that neither it, nor `known`, nor Python has."""
    top = symtable.symtable(source, "<part>", "exec")
    own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    own |= {symbol.get_name() for symbol in top.get_symbols() if symbol.is_namespace()}
    wanted = set()

    def look(table) -> None:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table is top):
                wanted.add(symbol.get_name())
        for child in table.get_children():
            look(child)

    look(top)
    return sorted(wanted - own - known - set(dir(builtins)) - {"__class__", "__name__"})
