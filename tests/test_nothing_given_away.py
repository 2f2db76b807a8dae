"""Students' copies give nothing away: nothing in their visible cells passes an exercise's check, neither as it is nor
changed a little; and what would pass is found.
"""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.__main__ import main
from course.checks.exercise import REGISTRY, exercise
from course.classroom import giveaways, inline
from course.cli import handout
from course.site import notebooks

PATHS = notebooks.all_notebooks()


@pytest.fixture(scope="module")
def found():
    return giveaways.findings(PATHS)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_nothing_in_a_students_copy_is_an_answer(path, found):
    own = [str(each) for each in found if each.notebook == path.stem]
    assert not own, "\n".join(own)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_is_tried_is_what_a_students_copy_shows(path):
    """Every code cell of the copy but the setup, and the stub and the check of each exercise."""
    shown = [cell for cell in handout.make("student", path).cells if cell.cell_type == "code"]
    own = {i for i, cell in enumerate(shown) if "exercise" in notebooks.tags_of(cell)}
    rest = [c.source for i, c in enumerate(shown) if not {i, i - 1} & own and "setup" not in notebooks.tags_of(c)]
    assert list(giveaways.visible_cells(notebooks.read(path)).values()) == rest


# ---------------------------------------------------------------------- what would be found

SPREAD = "def my_spread(numbers, low, high):\n    return [low + (high - low) * n / max(numbers) for n in numbers]"


@pytest.fixture
def spread():
    @exercise("99.1", title="Spread", minutes=2, difficulty=1)
    def spread(answer, check):
        check.close(answer([0, 1, 2], 0, 1), [0, 0.5, 1], slug="small", hint="The largest becomes `high`.")
        numbers = [check.random.random() for _ in range(9)]
        expected = [3 + 4 * n / max(numbers) for n in numbers]
        check.close(answer(numbers, 3, 7), expected, slug="random", hint="The smallest may lie anywhere.")

    yield spread
    del REGISTRY["99.1"]


def notebook(solution: str, *cells: str, number: str = "99.1"):
    """A notebook with one exercise, and these cells half above, half below it."""
    stub = solution.split("\n")[0] + "\n    ..." if solution.startswith("def") else STUB
    name = stub.split("(")[0].split()[-1].rstrip(":")
    part = name.removeprefix("my_").removeprefix("My")
    hints = f"<details><summary>Solution</summary>\n\n```python\n{solution}\n```\n\n</details>"
    own = [
        new_markdown_cell("### Exercise"),
        new_code_cell(stub, metadata={"tags": ["exercise"], "exercise": number}),
        new_code_cell(f"{part} = nb99.{part}.use({name})"),
        new_markdown_cell(hints),
    ]
    taught = [new_code_cell(each) for each in cells]
    half = len(taught) // 2
    return new_notebook(cells=[*taught[:half], *own, *taught[half:]])


def names(book, exercises) -> list[str]:
    return [each.name for each in giveaways.find(book, exercises)]


@pytest.mark.parametrize(
    "cell",
    [
        "def stretched(x, a, b):\n    top = max(x)\n    return [a + (b - a) * each / top for each in x]",
        "def yields(x, a, b):\n    for each in x:\n        yield a + each / max(x) * (b - a)",
        "def in_a_tuple(x, a, b):\n    return tuple(a + each / max(x) * (b - a) for each in x)",
        "def with_more(x, a, b):\n    return max(x), [a + each / max(x) * (b - a) for each in x]",
        "def turned(b, x, a):\n    return [a + each / max(x) * (b - a) for each in x]",
        "def with_power(x, a, b, power):\n    return [a + (each / max(x)) ** power * (b - a) for each in x]",
        "def with_a_default(x, a, b, power=1):\n    return [a + (each / max(x)) ** power * (b - a) for each in x]",
        "class Scale:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n\n    def __call__(self, x):\n"
        "        return [self.a + each / max(x) * (self.b - self.a) for each in x]",
        "class Scale:\n    @staticmethod\n    def of(x, a, b):\n        return [a + n / max(x) * (b - a) for n in x]",
        "def outer(x):\n    def inner(a, b):\n        return [a + n / max(x) * (b - a) for n in x]\n    return inner",
        "def of_a_name(a, b):\n    return [a + each / max(values) * (b - a) for each in values]",
        "f = lambda x, a, b: [a + each / max(x) * (b - a) for each in x]",
        "import numpy as np\ndef array(x, a, b):\n    return a + np.array(x) / max(x) * (b - a)",
        "low, top = 1, 2\ny = [low + (top - low) * n / max(numbers) for n in numbers]",
    ],
)
def test_an_answer_that_stands_in_a_cell_is_found_however_it_stands_there(cell, spread):
    assert names(notebook(SPREAD, "x = 1", cell), {"99.1": spread})
    assert names(notebook(SPREAD, cell, "x = 1"), {"99.1": spread})


@pytest.mark.parametrize(
    "cell",
    [
        "def shifted(x, a, b):\n    return [a + each for each in x]",
        "def asks_the_part(x, a, b):\n    return spread(x, a, b)",
        "from statistics import mean\ny = mean([1, 2])",
        "def never_ends(x, a, b):\n    while True: pass",
        "def leaves(x, a, b):\n    raise SystemExit",
        "class Scale:\n    def __init__(self):\n        raise KeyError\n\n    def of(self, x):\n        return x",
        "plot(spread([1, 2], 0, 1))",
        "y = [low + n for n in numbers]",
    ],
)
def test_what_is_no_answer_is_not_found(cell, spread):
    assert names(notebook(SPREAD, "x = 1", cell), {"99.1": spread}) == []


STUB = '''class MyScale:
    """Spreads numbers."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def __call__(self, numbers):
        raise NotImplementedError'''
SCALE = STUB.replace(
    "raise NotImplementedError",
    "return [self.low + (self.high - self.low) * n / max(numbers) for n in numbers]",
)


@pytest.mark.parametrize(
    ("cell", "given"),
    [
        ("def stretched(x, a, b):\n    return [a + (b - a) * n / max(x) for n in x]", False),  # a and b are not given
        ("class Other:\n    def __init__(self, low, high):\n        self.low, self.high = low, high\n\n"
         "    def __call__(self, x):\n        return [self.low + n / max(x) * (self.high - self.low) for n in x]",
         True),
        ("class Range:\n    def of(self, x):\n        w = self.high - self.low\n"
         "        return [self.low + each / max(x) * w for each in x]", True),
        ("def of(self, x):\n    return [self.low + each / max(x) * (self.high - self.low) for each in x]", True),
        ("class Bigger(Scale):\n    pass", False),
        ("class Other:\n    def __init__(self, low, high):\n        self.low, self.high = low, high", False),
    ],
)  # fmt: skip
def test_of_a_class_each_method_that_is_left_open_is_looked_for(cell, given):
    @exercise("99.2", title="Scale", minutes=2, difficulty=1)
    def Scale(answer, check):
        check.close(answer(0, 1)([0, 1, 2]), [0, 0.5, 1], slug="small", hint="The largest becomes `high`.")
        check.close(answer(3, 7)([1, 4]), [4, 7], slug="other", hint="The smallest may lie anywhere.")

    try:
        assert bool(names(notebook(SCALE, "x = 1", cell, number="99.2"), {"99.2": Scale})) == given
    finally:
        del REGISTRY["99.2"]


def test_an_exercise_that_cannot_be_tried_is_no_good_news(spread):
    (said,) = giveaways.find(notebook(SPREAD), {}, "99_none")
    assert "nothing was tried" in str(said) and "99.1" in str(said)


def test_a_solutions_lines_are_known_under_other_names():
    import ast

    def stands(solution: str, cell: str) -> bool:
        tree = ast.parse(solution)
        return bool(inline.copied([tree.body], inline.names_of_its_own(tree), {0: cell}))

    line = "y = torch.ones(T, T).tril() / torch.ones(T, T).sum(dim=-1)"
    assert stands(line, line.replace("y", "weights").replace("T,", "len(x),").replace(", T", ", len(x)")) is False
    own = "T = 3\n" + line
    assert stands(own, line.replace("y", "weights")) and stands(own, line.replace("T", "len(x)"))
    assert not stands(own, line.replace("(T, T)", "(T, S)")), "one name stands for one thing"
    assert not stands(own, line.replace("ones", "zeros")) and not stands("x = a", "x = a")


# ---------------------------------------------------------------------- the command


def test_the_command_says_what_it_found(monkeypatch, capsys):
    said = giveaways.Finding("1.2", "01_tokenization", 7, "merge", "as a list")
    monkeypatch.setattr(giveaways, "findings", lambda paths: [said] if len(paths) == 2 else [])
    assert main(["handout", "--check", "01", "02"]) == 1
    assert "1.2 is given away by cells[7] of 01_tokenization: merge (as a list)" in capsys.readouterr().out
    assert main(["handout", "--check", "03"]) == 0
    assert "nothing" in capsys.readouterr().out


def test_a_process_that_fails_is_no_good_news(tmp_path):
    (tmp_path / "01_broken.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(giveaways.CourseError, match="failed"):
        giveaways.findings([tmp_path / "01_broken.ipynb"])
