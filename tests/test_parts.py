"""An answer that passed its check is what the following cells use, with the course's own part behind it."""

import copy
import linecache

import pytest
import torch
from torch import nn

from course.checks import kept, parts
from course.checks.registry import all_exercises
from course.checks.source import names_missing, renamed, source_of
from course.site import notebooks


def in_a_cell(source: str, scope: dict, name: str = "<cell 1>") -> dict:
    """Run source as a notebook runs a cell: its lines can be found again."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), scope)
    return scope


def stand_in(part, told: list):
    return parts.StandIn(lambda: part, told.append)


# ---------------------------------------------------------------------- functions


def test_an_answer_is_called_and_the_stand_in_is_not_even_fetched():
    def fetch():
        raise AssertionError("not needed")

    part = parts.in_use(lambda x: x + 1, "more", parts.StandIn(fetch, lambda error: None))
    assert part(1) == 2


def test_an_answer_that_fails_later_is_replaced_with_a_word_and_stays_replaced():
    told, calls = [], []

    def answer(x):
        calls.append(x)
        return 10 // (x - 3)

    part = parts.in_use(answer, "part", stand_in(lambda x: x, told))
    assert [part(5), part(3), part(5)] == [5, 3, 5]
    assert calls == [5, 3] and len(told) == 1 and isinstance(told[0], ZeroDivisionError)


def test_an_error_that_the_courses_part_raises_too_is_the_answers_own():
    def refuse(x):
        raise ValueError("theirs")

    def answer(x):
        raise ValueError("mine")

    told = []
    part = parts.in_use(answer, "part", stand_in(refuse, told))
    with pytest.raises(ValueError, match="mine"):
        part(1)
    assert not told


def test_a_generator_goes_on_where_the_answer_failed():
    told = []

    def answer(n):
        for i in range(n):
            if i == 2:
                raise IndexError("two")
            yield i

    part = parts.in_use(answer, "part", stand_in(lambda n: iter(range(n)), told))
    assert list(part(4)) == [0, 1, 2, 3] and len(told) == 1
    assert list(part(3)) == [0, 1, 2] and len(told) == 1


def test_handing_over_twice_finds_the_answer_itself():
    def answer():
        return 1

    part = parts.in_use(answer, "part", stand_in(None, []))
    assert parts.yours(part) is answer and parts.yours(answer) is answer


# ---------------------------------------------------------------------- classes


class Course(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return 2 * self.linear(x)


class MyPart(Course):
    def __init__(self, width):
        if width == 7:
            raise ValueError("seven")
        super().__init__(width)

    def forward(self, x):
        if len(x) == 3:
            raise IndexError("three")
        return 2 * self.linear(x)


def test_a_class_is_used_by_its_parts_name_and_keeps_its_weights_when_it_is_replaced():
    told = []
    part = parts.in_use(MyPart, "Course", stand_in(Course, told))
    module = part(4)
    assert type(module).__name__ == "Course" and isinstance(module, MyPart) and parts.yours(part) is MyPart
    weights, two, three = copy.deepcopy(module.state_dict()), torch.randn(2, 4), torch.randn(3, 4)
    before = module(two)
    assert not told
    got = module(three)
    assert len(told) == 1 and type(module) is Course
    assert torch.equal(got, 2 * module.linear(three)) and torch.equal(module(two), before)
    assert all(torch.equal(a, b) for a, b in zip(module.state_dict().values(), weights.values(), strict=True))


def test_after_one_instance_has_failed_no_other_runs_the_answer():
    told = []
    part = parts.in_use(MyPart, "Course", stand_in(Course, told))
    first, second = part(4), part(4)
    first(torch.randn(3, 4))
    second(torch.randn(3, 4))
    assert len(told) == 1 and type(first) is Course and type(second) is Course and type(part(4)) is Course


def test_a_class_that_cannot_be_made_is_replaced():
    told = []
    part = parts.in_use(MyPart, "Course", stand_in(Course, told))
    assert part(7)(torch.zeros(2, 7)).shape == (2, 7) and len(told) == 1


def test_a_class_whose_stand_in_fails_as_well_raises_its_own_error_and_stays_what_it_was():
    class Worse(Course):
        def forward(self, x):
            raise IndexError("the course's")

    told = []
    module = parts.in_use(MyPart, "Course", stand_in(Worse, told))(4)
    with pytest.raises(IndexError, match="three"):
        module(torch.randn(3, 4))
    assert isinstance(module, MyPart) and not told


def test_a_copied_module_works():
    module = parts.in_use(MyPart, "Course", stand_in(Course, []))(4)
    x = torch.randn(2, 4)
    assert torch.equal(copy.deepcopy(module)(x), module(x))


# ---------------------------------------------------------------------- sources


CELL = '''\
import math

SCALE = 2.0
noise = open


def helper(x):
    return SCALE * x


# what it is
@staticmethod
def my_part(x):
    """Calls my_part's helper."""
    return helper(x) + math.pi  # my_part


print("not kept")
'''.replace("@staticmethod\n", "")


def test_the_source_of_an_answer_is_its_cells_definitions():
    scope = in_a_cell(CELL.replace('print("not kept")\n', ""), {})
    source = source_of(scope["my_part"])
    assert "def helper" in source and "SCALE = 2.0" in source and "import math" in source and "# what it is" in source
    assert "noise" not in source
    scope = {}
    exec(renamed(source, "my_part", "part"), scope)
    assert scope["part"](1) == pytest.approx(2 + 3.14159, abs=1e-4)


def test_the_source_of_a_class_is_found():
    scope = in_a_cell(
        "class MyThing:\n    def forward(self):\n        return 1\n", {"__name__": "__main__"}, "<cell 2>"
    )
    assert "def forward" in source_of(scope["MyThing"])


def test_a_decorator_hides_nothing():
    cell = "import torch\n\n\n@torch.no_grad()\ndef my_f(x):\n    return x\n"
    cell += "class My:\n    @torch.no_grad()\n    def g(self):\n        return 2\n"
    scope = in_a_cell(cell, {"__name__": "__main__"}, "<cell 3>")
    for answer in (scope["my_f"], scope["My"]):
        assert "@torch.no_grad()\ndef my_f" in source_of(answer) and "return 2" in source_of(answer)


def test_what_has_no_source_has_none():
    assert all(source_of(each) is None for each in (lambda x: x, print, 3, None, int))


def test_renaming_leaves_text_and_comments_alone():
    assert renamed("def f(x):\n    # f\n    return f(x - 1), 'f', ff\n", "f", "g") == (
        "def g(x):\n    # f\n    return g(x - 1), 'f', ff\n"
    )


def test_names_that_are_missing_are_named():
    source = "import math\n\ndef f(x):\n    y = math.pi\n    return [helper(z) for z in x] + [y, known, len(x)]\n"
    assert names_missing(source, {"known"}) == ["helper"]
    assert names_missing("class A(nn.Module):\n    def g(self):\n        return super().g()\n", {"nn"}) == []


# ---------------------------------------------------------------------- in a notebook

NOTEBOOK = f"""\
import sys
sys.path.insert(0, {str(notebooks.repository_root())!r})
import course.checks.exercise as nb99
nb99.course_part = lambda number: "def double(x):\\n    return 2 * x\\n"
@nb99.exercise("99.5", title="Double", minutes=1, difficulty=1)
def doubled(answer, check):
    check.equal(answer(2), 4, slug="two", hint="Twice.")
doubled.ask.__name__ = "double"
"""
STUB = "def my_double(x):\n    raise NotImplementedError\n"
WRONG = "def my_double(x):\n    return x\n"
RIGHT = """\
def my_double(x):
    if x == 999:
        raise KeyError("nobody saw this coming")
    return x + x
"""
HAND_OVER, USE = "double = doubled.use(my_double)", "print(double(4), my_double.__name__)"


def run_cells(*sources: str) -> list[str]:
    """Run cells in a kernel; what each showed."""
    import nbformat

    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    book = nbformat.v4.new_notebook(cells=cells)
    notebooks.execute(book)
    return [
        "".join(out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in cell.outputs)
        for cell in book.cells
    ]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    return tmp_path


def test_a_notebook_goes_on_with_an_answer_or_without_one_in_any_order(runs):
    late = "print(double(999))"
    first = NOTEBOOK, STUB, HAND_OVER, USE, HAND_OVER, WRONG, HAND_OVER, USE
    shown = run_cells(*first, RIGHT, USE, HAND_OVER, HAND_OVER, USE, late, late)
    assert "not attempted yet; the course's own `double` stands in" in shown[2] and shown[4] == shown[2]
    assert "not right yet" in shown[6] and "the course's own `double` stands in until it is" in shown[6]
    assert [shown[i].strip() for i in (3, 7, 9, 12)] == ["8 my_double"] * 4
    assert "from here on `double` is yours" in shown[10] and shown[10] == shown[11]
    assert "KeyError" in shown[13] and "exercise 99.5" in shown[13] and shown[13].endswith("1998\n")
    assert shown[14] == "1998\n"
    assert kept.kept("99.5", "double") is None, "what has failed is kept no longer"


def test_an_answer_is_kept_under_its_parts_name(runs):
    run_cells(NOTEBOOK, RIGHT, HAND_OVER)
    assert kept.kept("99.5", "double").startswith("def double(x):")
    assert kept.forget("99.5", "double") and not kept.forget("99.5", "double")


def test_after_a_restart_a_part_finds_what_the_cells_above_would_have_made(runs):
    number = next(iter(all_exercises()))
    scope: dict = {"__name__": "__main__"}
    part = all_exercises()[number].course_part(scope)
    assert callable(part) and all_exercises()[number](part).state == "right"
