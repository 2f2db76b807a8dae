"""What a notebook teaches, as code: used by the tests that compare it with what `helpers` uses."""

import ast

from helpers import notebooks


def taught_code(name: str, **scope) -> dict:
    """The imports, functions and classes of a notebook's own cells, executed; not its setup and no learner's stub.

    Args:
        name: the notebook's file without the ending.
        scope: names that the definitions look up, where a small stand-in for what other cells compute is wanted.
    """
    kept = [
        statement
        for cell in notebooks.read(notebooks.folder() / f"{name}.ipynb").cells
        if cell.cell_type == "code" and not {"setup", "exercise"} & set(notebooks.tags_of(cell))
        for statement in ast.parse(cell.source).body
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
    ]
    scope["__name__"] = "notebook"
    exec(compile(ast.Module(kept, type_ignores=[]), f"<notebook {name[:2]}>", "exec"), scope)
    return scope
