"""`helpers` is built in floors: imports go down or stay, never in a circle; the table in docs/design.md is true."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter

import pytest

from helpers.files import repository_root

HELPERS = repository_root() / "helpers"
MODULES = {
    path.relative_to(HELPERS).with_suffix("").as_posix().removesuffix("/__init__"): path
    for path in HELPERS.rglob("*.py")
    if path != HELPERS / "__init__.py"
}


@cache
def table() -> dict[str, int]:
    """The names in the design's table, each with its floor; a name that ends in a slash is a whole folder."""
    text = (repository_root() / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| ([^|]*) \|", text, flags=re.MULTILINE)
    return {name: int(number) for number, names in rows for name in re.findall(r"`([^`]+)`", names)}


def floor(module: str) -> int:
    if re.fullmatch(r"checks/nb\d\d", module):
        return table()["checks/nbNN"]
    if module in table():
        return table()[module]
    folder = module.split("/")[0] + "/"
    assert folder in table(), f"docs/design.md does not say on which floor helpers/{module} stands"
    return table()[folder]


def imported(module: str, at_top_only: bool = False) -> set[str]:
    """The modules of helpers that one imports."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if at_top_only else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "helpers":
            base = node.module.replace(".", "/").removeprefix("helpers").strip("/")
            names = {f"{base}/{alias.name}".strip("/") for alias in node.names} & MODULES.keys()
            found |= names or ({base} & MODULES.keys())
    return found


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module):
    for below in imported(module):
        assert floor(below) <= floor(module), f"helpers/{module} imports {below}, which stands above it"


def test_no_module_is_imported_in_a_circle():
    TopologicalSorter({module: imported(module, at_top_only=True) for module in MODULES}).prepare()


def test_the_design_names_no_module_that_is_not_there():
    for name in table():
        if not name.endswith("/") and name != "checks/nbNN":
            assert name in MODULES, name


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_can_be_read_in_one_sitting(module):
    """Of 300 lines; of up to 400 where its first lines say why."""
    source = MODULES[module].read_text(encoding="utf-8")
    reason = "Longer than other modules" in (ast.get_docstring(ast.parse(source)) or "")
    assert len(source.splitlines()) <= (400 if reason else 300)


def test_importing_helpers_imports_nothing_heavy():
    code = "import sys, helpers; print([m for m in ('torch', 'numpy', 'datasets', 'transformers') if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=repository_root(), capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"
