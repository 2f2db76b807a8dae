"""Every notebook as it is stored: executed in order, clean, readable without running, and built as the course
is.
"""

import ast
import json
import re

import nbformat
import pytest

from course.site import notebooks, setup_cell
from course.site.syllabus import SYLLABUS
from tests.pictures import LARGEST_DRAWING

BOOKS = notebooks.all_notebooks()
PATHS_OF_A_MACHINE = r"/(?:work|root|tmp|home|opt|Users)/|[A-Z]:\\\\|site-packages"
LONGEST_CELL = 40

each = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)


def code_cells(book) -> list:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def prose(book) -> str:
    return "\n\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")


def test_every_notebook_stands_in_the_syllabus_which_has_no_gap():
    assert {path.stem for path in BOOKS} <= {entry.name for entry in SYLLABUS}
    assert [entry.number for entry in SYLLABUS] == [f"{i:02d}" for i in range(len(SYLLABUS))]


@each
def test_it_is_a_valid_notebook_whose_cells_have_ids(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    ids = [cell.id for cell in book.cells]
    assert len(set(ids)) == len(ids)


@each
def test_it_was_executed_from_top_to_bottom(path):
    cells = code_cells(notebooks.read(path))
    assert all(cell.source.strip() for cell in cells), "an empty code cell"
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@each
def test_no_errors_no_warnings_nothing_on_stderr(path):
    for cell in code_cells(notebooks.read(path)):
        for output in cell.outputs:
            if "raises-exception" not in notebooks.tags_of(cell):
                assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", output.text
            assert "Warning" not in output.get("text", ""), output.text


@each
def test_no_path_of_a_machine_and_nothing_that_varies(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(PATHS_OF_A_MACHINE, re.sub(r""""image/png": "[^"]*"|base64,[^'"]*""", "", text)) == []
    book = json.loads(text)
    assert set(book["metadata"]) == {"kernelspec", "language_info"}
    assert "application/vnd.jupyter.widget" not in text
    assert "%%time" not in text


@each
def test_setup_cell_and_badge_are_the_courses_own(path):
    book = notebooks.read(path)
    setup = [cell for cell in book.cells if "setup" in notebooks.tags_of(cell)]
    assert [cell.source for cell in setup] == [setup_cell.setup_cell(path.name[:2])]
    assert code_cells(book)[0] is setup[0]
    assert setup_cell.badge(path.stem) in book.cells[0].source


def test_the_setup_cell_is_short():
    assert len(setup_cell.setup_cell("00").split("\n")) <= 30


@each
def test_it_opens_and_closes_as_every_notebook_does(path):
    book = notebooks.read(path)
    opening = "\n".join(cell.source for cell in book.cells[:3] if cell.cell_type == "markdown")
    assert opening.startswith("# ")
    for line in ("**You will build**", "**You need**", "**It takes**"):
        assert line in opening, line
    headings = re.findall(r"^## (.*)$", prose(book), flags=re.MULTILINE)
    assert headings[-1] == "Where to go next"
    assert "Recap" in headings[-3:]
    if path.name[:2] >= "03":
        assert any("scoreboard.show(" in cell.source for cell in code_cells(book)[-3:])


@each
def test_no_cell_is_long(path):
    for cell in code_cells(notebooks.read(path)):
        assert sum(bool(line.strip()) for line in cell.source.split("\n")) <= LONGEST_CELL, cell.source


def test_most_cells_have_at_most_eight_lines():
    """As docs/design.md says: six in ten of all that are not a setup cell or an exercise's, comments left out."""
    lengths = [
        sum(bool(line.strip()) and not line.strip().startswith("#") for line in cell.source.split("\n"))
        for path in BOOKS
        for cell in code_cells(notebooks.read(path))
        if not {"setup", "exercise", "solution", "check"} & set(notebooks.tags_of(cell))
    ]
    assert sum(length <= 8 for length in lengths) > 0.6 * len(lengths)


@each
def test_prose_and_code_alternate(path):
    """Counting neither exercises nor what opens and closes: 60 to 100 words a code cell, with some room."""
    book = notebooks.read(path)
    words = len(re.sub(r"<details>.*?</details>|```.*?```", "", prose(book), flags=re.DOTALL).split())
    ratio = words / len(code_cells(book))
    assert 40 <= ratio <= 140, f"{ratio:.0f} words of prose a code cell"
    runs = "".join(cell.cell_type[0] for cell in book.cells)
    assert "ccccc" not in runs, "five code cells without a word between them"


@each
def test_every_picture_has_alternative_text_and_none_is_remote(path):
    book = notebooks.read(path)
    for cell in code_cells(book):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata.get("image/png", {}).get("alt", "")
                assert len(alt) >= 20, f"no alternative text: {cell.source}"
                assert len(output.data["image/png"]) * 3 / 4 < 150_000, f"too large a picture: {cell.source}"
                assert len(output.data.get("image/svg+xml", "")) < LARGEST_DRAWING, f"too large: {cell.source}"
            assert not re.search(r"<img(?![^>]*\balt=\"[^\"]+\")", output.get("data", {}).get("text/html", ""))
            assert not re.search(r"<img[^>]*src=[\"']?https?:", output.get("data", {}).get("text/html", ""))
    text = prose(book).replace(setup_cell.badge(path.stem), "")
    assert not re.search(r"!\[\]\(|<img(?![^>]*\balt=\"[^\"]+\")", text), "a picture without alternative text"
    assert not re.search(r"!\[[^]]*\]\(https?:|<img[^>]*src=[\"']?https?:", text), "a remote picture"


@each
def test_compared_cells_are_deterministic(path):
    for cell in code_cells(notebooks.read(path)):
        if "nbval-check-output" in notebooks.tags_of(cell):
            shown = json.dumps(cell.outputs)
            assert "image/png" not in shown, f"a picture is compared bit by bit: {cell.source}"
            assert not re.search(r"0x[0-9a-f]{6,}", shown), f"an address in memory is compared: {cell.source}"
            assert not re.search(r"time\.(time|perf_counter)|datetime\.now", cell.source), cell.source


@each
def test_its_code_is_python(path):
    for cell in code_cells(notebooks.read(path)):
        ast.parse("\n".join(line for line in cell.source.split("\n") if not line.lstrip().startswith(("%", "!"))))


def test_a_kernel_on_a_busy_machine_is_given_time(request):
    """nbval's cells, where they are collected together with this test, wait longer than its own five seconds."""
    cells = [item for item in request.session.items if hasattr(item, "output_timeout")]
    asked_for_all = not request.config.args or "notebooks" in request.config.args
    assert cells or not asked_for_all
    assert all(cell.output_timeout > 60 for cell in cells)
