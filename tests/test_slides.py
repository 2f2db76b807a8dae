"""Slides from the notebooks' own cells: typed, not too full, exported without the internet, and looked at in a browser
where there is one.
"""

import importlib.util
import re

import browser
import build_slides
import check_slides
import nbformat
import pytest
import slide_export
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from slide_cells import shown_pictures, shown_source, shown_text, slide_type, slides_of, tags
from slide_deck import deck, ideas_of

from course.site import notebooks
from helpers.files import repository_root

BOOKS = notebooks.all_notebooks()
MOST_LINES = 36  # of code and printed text on one slide
MOST_WORDS = 160
each = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)


def deck_of(path) -> list[list]:
    """The cells of each slide of a notebook's deck, without what is only said."""
    return slides_of(deck(notebooks.read(path).cells, ideas_of(path.name[:2])))


def sections(book) -> dict[str, list]:
    """The cells of each section by its heading, the heading's own cell first."""
    found: dict[str, list] = {}
    for cell in book.cells:
        heading = re.search(r"^## (.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if heading:
            found[heading[1]] = []
        if found:
            found[list(found)[-1]].append(cell)
    return found


@each
def test_every_cell_has_a_slide_type(path):
    for cell in notebooks.read(path).cells:
        assert slide_type(cell) in {"slide", "subslide", "fragment", "-", "skip", "notes"}, cell.source


@each
def test_the_deck_opens_with_the_title_and_has_enough_slides_for_a_lecture(path):
    book = notebooks.read(path)
    assert slide_type(book.cells[0]) == "slide" and book.cells[0].source.startswith("# ")
    assert 12 <= len(deck_of(path)) <= 54


@each
def test_every_section_has_a_slide_and_something_to_say(path):
    for heading, cells in sections(notebooks.read(path)).items():
        types = [slide_type(cell) for cell in cells]
        if heading == "Check yourself":  # questions for the learner alone
            assert set(types) == {"skip"}
            continue
        assert types[0] == "slide", heading
        assert "notes" in types or heading in ("The scoreboard", "Recap", "Where to go next"), heading


@each
def test_a_heading_that_is_shown_begins_its_cell(path):
    for cell in notebooks.read(path).cells:
        text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
        if cell.cell_type == "markdown" and slide_type(cell) != "notes" and re.search(r"^#{1,3} ", text, re.M):
            assert text.startswith("#"), cell.source


@each
def test_answers_and_setup_are_not_shown(path):
    for cell in notebooks.read(path).cells:
        if {"setup", "exercise", "quiz"} & set(tags(cell)) or "<details>" in cell.source:
            assert slide_type(cell) == "skip", cell.source
        assert cell.cell_type == "markdown" or slide_type(cell) != "notes", "code is no speaker's note"


@each
def test_the_deck_shows_the_exercises_that_the_plan_gives_to_the_class(path):
    plan = (repository_root() / "docs" / "teaching" / f"{path.name[:2]}.md").read_text(encoding="utf-8")
    where = dict(re.findall(r"^\| (\d+\.\d+) [^|]*\| *\d+ *\| *(class|home) *\|", plan, re.MULTILINE))
    cards = {}
    for cell in notebooks.read(path).cells:
        if found := re.match(r"### Exercise (\d+\.\d+) ", cell.source):
            cards[found[1]] = "class" if slide_type(cell) == "subslide" else "home"
    assert cards == where and cards


@each
def test_no_slide_is_too_full(path):
    for cells in deck_of(path):
        lines = sum(len(shown_source(cell)) + len(shown_text(cell)) for cell in cells)
        words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
        pictures = sum(len(shown_pictures(cell)) for cell in cells)
        assert lines <= MOST_LINES and words <= MOST_WORDS and pictures <= 1, cells[0].source
        assert pictures == 0 or lines <= 18, f"no room for the picture: {cells[-1].source}"
        assert all(len(line) <= 120 for cell in cells for line in shown_source(cell))


@each
def test_no_slide_is_empty(path):
    for cells in deck_of(path):
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        shown = re.sub(r"^#+ .*$", "", text, flags=re.MULTILINE).strip()
        assert shown or any(shown_source(c) or shown_text(c) or c.outputs for c in cells if c.cell_type == "code"), text


@each
def test_a_prediction_stands_right_before_its_answer(path):
    """In one form of words, so that a reader knows it; the cell that answers is tagged, and folded."""
    cells = notebooks.read(path).cells
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        if cell.cell_type == "markdown":
            odd = re.search(
                r"\*\*(?:Guess|Predict(?!:)|Question)|\b(?:Make a guess|Guess first)|^What do you expect",
                cell.source,
                re.M,
            )
            assert odd is None, f"a prediction in other words: {cell.source}"
            assert "**Predict:**" not in cell.source.removeprefix("**Predict:**"), cell.source
        asked = cell.cell_type == "markdown" and cell.source.startswith("**Predict:**")
        answers = after is not None and after.cell_type == "code" and notebooks.PREDICTED in tags(after)
        assert asked == answers, cell.source
        if answers:
            assert slide_type(after) != "-", "on a slide the answer waits for a key"
            assert after.metadata.get("jupyter", {}).get("outputs_hidden"), "python docs/tools/refresh.py folds it"


def remote_parts(page: str) -> list[str]:
    """Everything that a browser would fetch from elsewhere to show the page; links to click are not among it."""
    fetched = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=\"([^\"]+)\"", page)
    fetched += re.findall(r"url\([\"']?([^\"')]+)|@import [\"']([^\"']+)|import .* from '([^']+)'", page)
    parts = [part for found in fetched for part in ([found] if isinstance(found, str) else found) if part]
    return [part for part in parts if re.match(r"(?:[a-z]+:)?//", part)]


def test_a_deck_needs_nothing_from_elsewhere():
    pytest.importorskip("latex2mathml")  # its formulas; .ci/run installs docs/requirements.txt and asks again
    path = next(path for path in BOOKS if path.name.startswith("05"))
    page = build_slides.deck(path)
    assert remote_parts(page) == []
    assert "reveal.js/dist/reveal.js" in page and "reveal.js/plugin/notes/notes.js" in page
    spoken = [cell.source for cell in notebooks.read(path).cells if slide_type(cell) == "notes"]
    assert page.count('<aside class="notes">') > 10 and len(spoken) > 10
    notes = re.sub(r"<[^>]+>|\s+", " ", " ".join(re.findall(r'<aside class="notes">(.*?)</aside>', page, re.DOTALL)))
    assert "Variances of independent numbers add up" in notes and "Variances of independent" in " ".join(spoken)
    alternatives = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert len(alternatives) == page.count("<img ") > 5 and all(len(one) >= 20 for one in alternatives)
    assert "No description" not in page
    assert "colab-badge" not in page and "NotImplementedError" not in page and "<summary>" not in page


def test_formulas_are_set_in_a_line_and_on_a_line_of_their_own():
    pytest.importorskip("latex2mathml")
    inline = slide_export._for_slides(r"It costs $\ln V$ nats, not $5 or `$x$`, and $x^2$.")
    assert inline.count("<math") == 2 and "not $5 or `$x$`" in inline and 'display="inline"' in inline
    assert slide_export._for_slides(r"$$ \ln V $$").count('display="block"') == 1


def test_remote_parts_are_noticed():
    assert remote_parts('<script src="https://cdn.example/require.js"></script>') == ["https://cdn.example/require.js"]
    assert remote_parts("<style>@font-face { src: url(//fonts.example/a.woff) }</style>") == ["//fonts.example/a.woff"]
    assert remote_parts('<a href="https://example.org">read</a><img src="data:image/png;base64,AA">') == []


def test_slide_types_survive_executing_and_a_draft(tmp_path):
    import jupytext

    draft = tmp_path / "draft.py"
    draft.write_text(
        '# %% [markdown] slideshow={"slide_type": "slide"}\n# # Title\n\n'
        '# %% slideshow={"slide_type": "subslide"} tags=["slide-hide-code"]\nprint(1)\n',
        encoding="utf-8",
    )
    book = jupytext.read(draft, fmt="py:percent")
    notebooks.clean(book)
    kept = nbformat.reads(notebooks.as_text(book), as_version=4)
    assert [slide_type(cell) for cell in kept.cells] == ["slide", "subslide"]
    assert tags(kept.cells[1]) == ["slide-hide-code"]


def typed(cell, kind: str):
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


needs_browser = pytest.mark.skipif(
    browser.find_chromium() is None or importlib.util.find_spec("sphinx_revealjs") is None,
    reason="needs Chromium and docs/requirements.txt",
)


@needs_browser
def test_a_deck_fits_the_screen(tmp_path):
    build_slides.build([path for path in BOOKS if path.name.startswith("00")], tmp_path)
    assert check_slides.main(["--slides", str(tmp_path)]) == 0


@needs_browser
def test_what_does_not_fit_and_what_comes_from_elsewhere_is_reported(tmp_path, monkeypatch, capsys):
    printed = new_output("stream", name="stdout", text="a line\n" * 80)
    book = new_notebook(
        cells=[
            typed(new_markdown_cell("# 98 · A deck"), "slide"),
            typed(new_markdown_cell('<img src="https://example.org/picture.png" alt="a picture">'), "subslide"),
            typed(new_code_cell("print()", outputs=[printed]), "subslide"),
            typed(new_code_cell("x = " + "1 + " * 60 + "1"), "subslide"),
        ]
    )
    path = tmp_path / "98_deck.ipynb"
    path.write_text(nbformat.writes(book), encoding="utf-8")
    monkeypatch.setattr(notebooks, "all_notebooks", lambda: [path])
    build_slides.build([path], tmp_path / "slides")
    assert check_slides.main(["--slides", str(tmp_path / "slides")]) == 1
    said = capsys.readouterr().out
    assert "leaves this machine: https://example.org/picture.png" in said
    assert re.search(r"slide 3 .*px below", said) and re.search(r"slide 4 .*too wide", said)
    assert "slide 1 " not in said
