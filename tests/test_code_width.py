"""Code that a reader looks at fits its column: a notebook's cells and solutions, demonstrations, handouts."""

import re
from pathlib import Path

import pytest

from course.cli import handout
from course.site import notebooks
from helpers.files import repository_root

WIDEST = 88
PLANS = sorted((repository_root() / "docs" / "teaching").glob("[0-9][0-9].md"))

each = pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)


def fenced(markdown: str) -> list[str]:
    """The lines between fences, of whatever language."""
    blocks = re.findall(r"^ *```[^\n]*\n(.*?)^ *```", markdown, flags=re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.split("\n")]


def wide(book) -> list[str]:
    """Lines of code that are too long, in code cells and in the text's fences."""
    lines = []
    for cell in book.cells:
        lines += cell.source.split("\n") if cell.cell_type == "code" else fenced(cell.source)
    return [line for line in lines if len(line) > WIDEST]


@each
def test_the_code_of_a_notebook(path):
    assert wide(notebooks.read(path)) == []


@each
@pytest.mark.parametrize("kind", handout.KINDS)
def test_the_code_of_its_handouts(path, kind):
    assert wide(handout.make(kind, path)) == []


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.stem)
def test_the_demonstrations_of_a_lecture(plan: Path):
    assert [line for line in fenced(plan.read_text(encoding="utf-8")) if len(line) > WIDEST] == []


def test_lines_in_fences_are_found_and_prose_is_not():
    text = f"{'p' * 99}\n```python\n{'x' * 89}\n```\n<details>\n\n  ```\n  {'y' * 87}\nshort\n  ```\n{'p' * 99}"
    assert [len(line) for line in fenced(text) if len(line) > WIDEST] == [89, 89]
    assert len(PLANS) == len(notebooks.all_notebooks())
