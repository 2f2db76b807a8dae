"""Whether a solution's own lines stand in a visible cell, under whatever names."""

import ast
from collections.abc import Iterator, Mapping, Sequence

from course.checks.cells import plain_python

PIECE, LEAST = 8, 12  # nodes of a statement or expression that is looked for; of all pieces that are found, together
SIMPLE = 4  # nodes of what may stand where a solution has a name of its own: `len(x)` for `T`
SHARE = 0.4  # of a solution's nodes: where so many stand in visible cells, it is given away

_SKIPPED = ("ctx", "type_comment", "kind", "lineno", "col_offset", "end_lineno", "end_col_offset")


def copied(bodies: Sequence[Sequence[ast.stmt]], own: set[str], cells: Mapping[int, str]) -> list[tuple[int, str]]:
    """The cells in which pieces of these statements stand, and the pieces, if together they are much of the whole.

    Args:
        bodies: the statements of a solution, function by function, without their docstrings.
        own: names that the solution is free to choose: its arguments, and what it assigns.
        cells: the visible cells by their index.
    """
    trees = {index: ast.parse(plain_python(source)) for index, source in cells.items()}
    by_kind: dict[type, list] = {}
    for index, tree in trees.items():
        for node in ast.walk(tree):
            by_kind.setdefault(type(node), []).append((index, node))
    found, covered = [], 0
    total = sum(size(statement) for body in bodies for statement in body)
    for statement in (each for body in bodies for each in body):
        for piece in _pieces_that_stand(statement, own, by_kind):
            covered += size(piece[1])
            found.append((piece[0], ast.unparse(piece[1]).split("\n")[0]))
    return found if covered >= max(LEAST, SHARE * total) else []


def _pieces_that_stand(node: ast.AST, own: set[str], by_kind: dict) -> Iterator[tuple[int, ast.AST]]:
    """The largest statements and values below `node` that stand in a cell, and the first cell they stand in."""
    if size(node) < PIECE:
        return
    if isinstance(node, ast.stmt | ast.expr):
        at = next((index for index, other in by_kind.get(type(node), []) if alike(node, other, own)), None)
        if at is not None:
            yield at, node
            return
    for child in ast.iter_child_nodes(node):
        yield from _pieces_that_stand(child, own, by_kind)


def size(node: ast.AST) -> int:
    """The nodes of a syntax tree, but for the marks of reading and writing."""
    return sum(not isinstance(each, ast.expr_context) for each in ast.walk(node))


def alike(pattern: ast.AST, other: ast.AST, own: set[str]) -> bool:
    """Whether `other` is `pattern` with something simple, always the same, in the place of each name of `own`."""
    stands_for: dict[str, str] = {}

    def same(one, two) -> bool:
        if isinstance(one, ast.Name) and one.id in own and isinstance(two, ast.expr) and size(two) <= SIMPLE:
            text = ast.unparse(two)
            return stands_for.setdefault(one.id, text) == text
        if isinstance(one, list) or isinstance(two, list):
            return isinstance(one, list) and isinstance(two, list) and len(one) == len(two) and all(map(same, one, two))
        if not isinstance(one, ast.AST):
            return one == two
        if type(one) is not type(two):
            return False
        if isinstance(one, ast.arg) and one.arg in own:
            return stands_for.setdefault(one.arg, two.arg) == two.arg
        return all(same(getattr(one, each), getattr(two, each)) for each in one._fields if each not in _SKIPPED)

    return same(pattern, other)


def names_of_its_own(tree: ast.AST) -> set[str]:
    """The names that a solution's functions take as arguments or assign."""
    found = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return found | {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def without_docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) is not None else function.body
