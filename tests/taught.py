"""What a notebook teaches, as code: used by the tests that compare it with what `helpers` uses."""

import ast
import difflib
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from course.checks.cells import definitions, exercise_cells, part_source, plain_python
from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import repository_root


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


@dataclass(frozen=True)
class Definition:
    """A function, a class, a method or a constant, and where it stands."""

    node: ast.stmt
    place: str


def assert_same_code(
    notebook: str, name: str, module: str, *, used_as: str | None = None, untaught: tuple[str, ...] = ()
) -> None:
    """What `notebook` teaches under `name` is, statement by statement, what `module` uses.

    The two syntax trees must be equal. Set aside are docstrings, comments, the layout, type hints (of arguments,
    results and assignments) and the order of a class's methods; decorators, default values and the names of
    arguments count. Of the notebook, all code cells count but the setup and the learner's stubs, and so do the folded
    solutions, under the names of their parts (`Block` for `MyBlock`); of several definitions of one name the last one
    is meant.

        assert_same_code("06_gpt2_decoder", "Block", "helpers.model")
        assert_same_code("06_gpt2_decoder", "GPT", "helpers.model", untaught=("from_pretrained", "parameter_count"))
        assert_same_code("06_gpt2_decoder", "GPT.forward", "helpers.model")         # a method alone
        assert_same_code("01_tokenization", "PATTERN", "helpers.bpe", used_as="SPLIT_PATTERN")

    Args:
        notebook: the notebook's file without the ending.
        name: a function, a class, `Class.method`, or a constant of the notebook's top level.
        module: the module of `helpers`, such as "helpers.model"; it is read, not imported.
        used_as: its name there, where that is another; inside the definition all names must agree anyhow.
        untaught: methods of the module's class that the notebook does not show. They must be there, so that the list
            stays true, and must not be in the notebook's class.

    Raises:
        AssertionError: they differ; the message names both places and shows the lines, in the notebook's and in the
            module's form.
        CourseError: one of the two has nothing of that name.
    """
    taught, used = taught_definition(notebook, name), used_definition(module, used_as or name)
    ours, theirs = _plain(taught.node), _plain(used.node, untaught)
    ours.name = theirs.name = (used_as or name).split(".")[-1]
    if ast.dump(ours) != ast.dump(theirs):
        lines = [ast.unparse(ast.fix_missing_locations(tree)).split("\n") for tree in (ours, theirs)]
        difference = "\n".join(difflib.unified_diff(*lines, taught.place, used.place, n=2, lineterm=""))
        raise AssertionError(f"{name} is not the same in {taught.place} and {used.place}:\n{difference}")


def taught_definition(notebook: str, name: str) -> Definition:
    """What the notebook defines last under `name` ("Block", "GPT.forward"), in a cell or in a folded solution.

    Raises:
        CourseError: it defines no such thing.
    """
    book = notebooks.read(notebooks.folder() / f"{notebook}.ipynb")
    hints = {cells.hints["id"]: (number, cells) for number, cells in exercise_cells(book).items()}
    found = None
    for at, cell in enumerate(book.cells):
        if cell["id"] in hints:
            number, cells = hints[cell["id"]]
            source, place = part_source(cells), f"{notebook}, solution of exercise {number}"
        elif cell.cell_type == "code" and not {"setup", "exercise"} & set(notebooks.tags_of(cell)):
            source, place = plain_python(cell.source), f"{notebook}, cell {at}"
        else:
            continue
        node = _find(ast.parse(source), name)
        found = Definition(node, f"{place}, line {node.lineno}") if node else found
    if found is None:
        raise CourseError(f"{notebook} defines no {name}")
    return found


def used_definition(module: str, name: str) -> Definition:
    """What `module` defines under `name`.

    Raises:
        CourseError: it defines no such thing.
    """
    path = Path(importlib.util.find_spec(module).origin)
    node = _find(_tree(path), name)
    if node is None:
        raise CourseError(f"{module} defines no {name}")
    return Definition(node, f"{path.relative_to(repository_root()).as_posix()}, line {node.lineno}")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _find(tree: ast.Module | ast.ClassDef, name: str) -> ast.stmt | None:
    """The last statement directly inside `tree` that defines `name`; a dot leads into a class."""
    first, _, rest = name.partition(".")
    found = None
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=own) | ast.ClassDef(name=own):
                own_names = [own]
            case ast.Assign(targets=targets):
                own_names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=own)):
                own_names = [own]
            case _:
                continue
        if first in own_names:
            inside = isinstance(statement, ast.ClassDef)
            found = (_find(statement, rest) if inside else None) or found if rest else statement
    return found


def _plain(node: ast.stmt, untaught: tuple[str, ...] = ()) -> ast.stmt:
    """A copy of a definition without docstrings and type hints, its methods by name; `untaught` methods left out."""
    plain = _Plain().visit(ast.parse(ast.unparse(node)).body[0])
    if untaught:
        own = {method.name for method in plain.body if isinstance(method, ast.FunctionDef)}
        if set(untaught) - own:
            raise CourseError(f"{node.name} has no {', '.join(sorted(set(untaught) - own))}: mend the list `untaught`")
        plain.body = [s for s in plain.body if getattr(s, "name", None) not in untaught] or [ast.Pass()]
    if isinstance(plain, ast.Assign):  # of a constant only the value counts: its name was what we looked for
        plain.targets = [ast.Name("constant", ast.Store())]
    return plain


class _Plain(ast.NodeTransformer):
    def visit_FunctionDef(self, node):
        self._without_docstring(node)
        self.generic_visit(node)
        node.returns, node.type_comment = None, None
        return node

    def visit_ClassDef(self, node):
        self._without_docstring(node)
        self.generic_visit(node)
        methods = sorted((s for s in node.body if isinstance(s, ast.FunctionDef)), key=lambda method: method.name)
        node.body = [s for s in node.body if not isinstance(s, ast.FunctionDef)] + methods
        return node

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        self.generic_visit(node)
        if node.value is None:  # a field without a default: that it is there counts, its type does not
            node.annotation = ast.Constant(...)
            return node
        return ast.Assign([node.target], node.value)

    @staticmethod
    def _without_docstring(node):
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
