"""The house: `helpers` is small and flat, `course` stands around it, imports go one way; docs/design.md is true."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from course.packages import OLDEST_TORCH
from helpers.files import repository_root

ROOT = repository_root()
HELPERS = {path.stem: path for path in (ROOT / "helpers").glob("*.py")}
COURSE = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
    for path in (ROOT / "course").rglob("*.py")
}
ALL = {("helpers" if name == "__init__" else f"helpers.{name}"): path for name, path in HELPERS.items()} | COURSE
TAUGHT = sorted(set(HELPERS) - {"__init__"})

# `GPT.from_pretrained` is a method because learners know it as one, and what it calls makes a `GPT`.
MEANT = {("helpers.model", "helpers.pretrained")}

# What a learner should not meet in code that they built: gradients written by hand, calls that torch does not promise
# to keep, a look at what CPU this is.
FORBIDDEN = {
    r"autograd\.Function|\bFunction\):": "a gradient written by hand",
    r"torch\.ops\b|\baten\b": "an operator below torch's public functions",
    r"\b(?:torch|F|nn)(?:\.\w+)*\._[a-z]\w*": "a private call of torch",
    r"cpuinfo|platform\.processor|(?<!cpu\": torch\.backends\.cpu\.)get_cpu_capability": "a branch on the kind of CPU",
}

BUILT = re.compile(r"Built (?:in notebooks? (\d\d)(?:(?:, | and | to |-)\d\d)*|beside the notebooks): \S")


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path))


@cache
def imported(module: str) -> frozenset[str]:
    """The modules of both packages that one imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(tree(ALL[module])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relative to itself"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (below & ALL.keys()) or {node.module}
    return frozenset(found & ALL.keys())


# ---------------------------------------------------------------------- imports


@pytest.mark.parametrize("name", sorted(HELPERS))
def test_helpers_knows_nothing_of_the_course(name):
    for node in ast.walk(tree(HELPERS[name])):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not [each for each in names if each.split(".")[0] == "course"], f"helpers/{name}.py imports course"
    assert "import_module" not in text(HELPERS[name])


@pytest.mark.parametrize("package", ["helpers", "course"])
def test_no_module_is_imported_in_a_circle_at_its_top_or_later(package):
    modules = [name for name in ALL if name.split(".")[0] == package]
    # A package's own __init__ is run before whatever is in it: what imports that, imports nothing new.
    graph = {
        name: {other for other in imported(name) if (name, other) not in MEANT and other != name} for name in modules
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_exceptions_are_still_needed():
    for module, other in MEANT:
        assert other in imported(module)


# ---------------------------------------------------------------------- size and form


def test_helpers_is_flat_and_small():
    assert [path for path in (ROOT / "helpers").iterdir() if path.is_dir() and path.name != "__pycache__"] == []
    lines = {name: len(text(path).splitlines()) for name, path in HELPERS.items()}
    assert len(lines) <= 28
    assert {name: count for name, count in lines.items() if count > 300} == {}
    assert sum(lines.values()) <= 6000


@pytest.mark.parametrize("name", sorted(COURSE))
def test_a_module_of_the_course_can_be_read_in_one_sitting(name):
    assert len(text(COURSE[name]).splitlines()) <= 400


@pytest.mark.parametrize("name", sorted(HELPERS))
def test_helpers_is_plain(name):
    for pattern, what in FORBIDDEN.items():
        found = re.search(pattern, text(HELPERS[name]))
        assert not found, f"helpers/{name}.py has {what}: {found[0]}"


@pytest.mark.parametrize("name", TAUGHT)
def test_a_module_says_where_it_is_built_and_where_it_is_used(name):
    said = ast.get_docstring(tree(HELPERS[name])) or ""
    assert BUILT.match(said.split("\n")[0]), f"helpers/{name}.py does not begin with 'Built in notebook NN: ...'"
    flat = " ".join(said.split("\n\n")[-1].split())  # its last paragraph
    assert re.search(r"(?:^|[.:)`] )Used (?:by|in|from|where|wherever|everywhere)\b(?:(?!\. ).)*\.$", flat), (
        f"the docstring of helpers/{name}.py does not end with where it is used: 'Used by ...'"
    )


# ---------------------------------------------------------------------- docs/design.md


def table() -> list[tuple[str, str]]:
    """The design's table of `helpers`: each file, and the notebooks that build it."""
    rows = re.findall(r"^\| `(\w+)` \| ([\d, -]+) \| \S.* \|$", text(ROOT / "docs" / "design.md"), flags=re.MULTILINE)
    return [(name, built.strip()) for name, built in rows]


def test_the_design_names_every_file_once():
    assert sorted(name for name, _ in table()) == TAUGHT


@pytest.mark.parametrize(("name", "built"), table(), ids=lambda value: value)
def test_the_design_and_the_file_agree_on_where_it_is_built(name, built):
    said = (ast.get_docstring(tree(HELPERS[name])) or "").split("\n")[0].partition(":")[0]
    if built == "00":  # no notebook builds it, and all need it
        assert said == "Built beside the notebooks"
    else:
        assert re.findall(r"\d\d", said) == re.findall(r"\d\d", built)


# ---------------------------------------------------------------------- workflows


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_what_a_workflow_runs_is_there(path):
    named = set(re.findall(r"\b(?:tests|notebooks|docs|course|helpers|data)/[\w./-]+\.\w+", text(path)))
    assert {name for name in named if not (ROOT / name).exists()} == set()
    commands = set(re.findall(r"python -m course (\w+)", text(path)))
    assert {name for name in commands if not (ROOT / "course" / "cli" / f"{name}.py").exists()} == set()


def test_the_oldest_torch_is_named_in_one_place():
    """A workflow runs it, pages point to it; none says it once more."""
    assert "import OLDEST_TORCH" in text(ROOT / ".github" / "workflows" / "tests.yml")
    for path in [*(ROOT / ".github").rglob("*.yml"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        assert not re.search(rf"torch(?:==|[ >=]+){re.escape(OLDEST_TORCH)}\b", text(path)), path.name


# ---------------------------------------------------------------------- light to import


@pytest.mark.parametrize("package", ["helpers", "course"])
def test_importing_a_package_imports_nothing_heavy(package):
    heavy = ("torch", "numpy", "datasets", "transformers", "tokenizers", "matplotlib", "ctranslate2")
    code = f"import sys, {package}; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
