"""The comparison of taught and used code: what it sets aside, and what it finds."""

import ast
from types import SimpleNamespace

import pytest

from helpers.errors import CourseError
from tests import taught

USED = '''
LIMIT: int = 3

def double(x: int, times: int = 2) -> int:
    """Twice x."""
    y: int = x  # a comment
    return y * times

@decorated
class Pair:
    """Two."""
    left: int
    right: int = 0

    def swap(self): return Pair(self.right, self.left)

    def total(self) -> int:
        """Both."""
        return self.left + self.right
'''
TAUGHT = """
MOST = 3

def double(x, times=2):
    y = x
    return (
        y * times
    )

@decorated
class Pair:
    left: "any"
    right = 0

    def total(self):
        return self.left + self.right

    def swap(self):
        return Pair(self.right, self.left)
"""


@pytest.fixture
def compare(monkeypatch):
    """Compares `name` in one source with that in another, as `assert_same_code` does with files."""

    def compare(one: str, other: str, name: str, used_as=None, **options):
        def found(source, label):
            return lambda _, name: taught.Definition(taught._find(ast.parse(source), name), label)

        monkeypatch.setattr(taught, "taught_definition", found(one, "notebook"))
        monkeypatch.setattr(taught, "used_definition", found(other, "helpers"))
        taught.assert_same_code("-", name, "-", used_as=used_as, **options)

    return compare


@pytest.mark.parametrize("name", ["double", "Pair", "Pair.total"])
def test_docstrings_hints_layout_and_order_of_methods_are_set_aside(compare, name):
    compare(TAUGHT, USED, name)


def test_a_constant_may_have_another_name_but_no_other_value(compare):
    compare(TAUGHT, USED, "MOST", used_as="LIMIT")
    with pytest.raises(AssertionError, match=r"-constant = 4\n\+constant = 3"):
        compare(TAUGHT.replace("= 3", "= 4"), USED, "MOST", used_as="LIMIT")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("double", "times=2", "times=3"),
        ("double", "y * times", "times * y"),
        ("double", "y = x\n", "y = x\n    x = y\n"),
        ("double", "def double(x, times=2)", "def double(x, *, times=2)"),
        ("Pair", "@decorated\n", ""),
        ("Pair", "class Pair:", "class Pair(tuple):"),
        ("Pair", '    left: "any"\n', ""),
        ("Pair", "right = 0", "right = 1"),
        ("Pair", "self.left + self.right", "self.left"),
        ("Pair.swap", "self.right, self.left", "self.left, self.right"),
    ],
)
def test_every_other_difference_is_found_and_shown(compare, name, before, after):
    assert before in TAUGHT
    with pytest.raises(AssertionError, match=rf"{name} is not the same in notebook and helpers:\n--- notebook"):
        compare(TAUGHT.replace(before, after), USED, name)


def test_methods_that_are_not_taught_are_listed_and_the_list_stays_true(compare):
    short = TAUGHT[: TAUGHT.index("    def swap")]
    with pytest.raises(AssertionError, match=r"\+    def swap"):
        compare(short, USED, "Pair")
    compare(short, USED, "Pair", untaught=("swap",))
    with pytest.raises(AssertionError, match="-    def swap"):
        compare(TAUGHT, USED, "Pair", untaught=("swap",))
    with pytest.raises(CourseError, match="has no turn"):
        compare(short, USED, "Pair", untaught=("swap", "turn"))


def test_a_notebook_s_solutions_count_and_its_stubs_do_not(monkeypatch):
    def cell(source, kind="code", tags=(), number=None):
        metadata = {"tags": list(tags)} | ({"exercise": number} if number else {})
        return SimpleNamespace(source=source, cell_type=kind, metadata=metadata)

    class Cell(dict):
        __getattr__ = dict.__getitem__

    solution = "<details><summary>Solution</summary>\n\n```python\ndef f(x):\n    return x\n```\n\n</details>"
    cells = [
        cell("def f(x):\n    return 1\n\n\ndef g():\n    return 2"),
        cell("### Exercise", "markdown"),
        cell("def f(x):\n    raise NotImplementedError", tags=["exercise"], number="1.1"),
        cell("check(f)"),
        cell(solution, "markdown"),
        cell("%time g()"),
    ]
    cells = [Cell(vars(one) | {"id": str(i)}) for i, one in enumerate(cells)]
    monkeypatch.setattr(taught.notebooks, "read", lambda path: SimpleNamespace(cells=cells))
    f, g = taught.taught_definition("01_x", "f"), taught.taught_definition("01_x", "g")
    assert ast.unparse(f.node) == "def f(x):\n    return x" and f.place == "01_x, solution of exercise 1.1, line 1"
    assert g.place == "01_x, cell 0, line 5"
    with pytest.raises(CourseError, match="defines no h"):
        taught.taught_definition("01_x", "h")


def test_what_helpers_define_is_found_without_importing_it():
    found = taught.used_definition("helpers.model", "GPT.forward")
    assert isinstance(found.node, ast.FunctionDef) and found.place.startswith("helpers/model.py, line ")
    with pytest.raises(CourseError, match=r"helpers\.model defines no Nothing"):
        taught.used_definition("helpers.model", "Nothing")
