"""What a notebook teaches, as code: used by the tests that compare it with what `helpers` uses."""

import ast

from course.checks.cells import definitions
from course.site import notebooks


def taught_code(name: str, **scope) -> dict:
    """The imports, functions and classes of a notebook's own cells, executed; not its setup and no learner's stub.

    Args:
        name: the notebook's file without the ending.
        scope: names that the definitions look up, where a small stand-in for what other cells compute is wanted.
    """
    cells = notebooks.read(notebooks.folder() / f"{name}.ipynb").cells
    kept = [statement for statement in definitions(cells) if not isinstance(statement, ast.Assign)]
    scope["__name__"] = "notebook"
    exec(compile(ast.Module(kept, type_ignores=[]), f"<notebook {name[:2]}>", "exec"), scope)
    return scope
