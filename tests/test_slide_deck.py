"""What a deck makes of a notebook's cells: ideas in place of prose, stubs on cards, little slides joined."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from slide_cells import HIDE_CODE, HIDE_OUTPUT, is_card, shown_source, shown_text, slide_type, slides_of, tags
from slide_deck import IDEAS, deck, ideas_of, read_ideas

from course.site import notebooks

BOOKS = notebooks.all_notebooks()
each = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)


def typed(cell, kind: str, *marks: str):
    cell.metadata["slideshow"] = {"slide_type": kind}
    cell.metadata["tags"] = list(marks)
    return cell


def text(source: str, kind: str):
    return typed(new_markdown_cell(source), kind)


def printed(lines: int, kind: str, *marks: str):
    return typed(
        new_code_cell("x = 1", outputs=[new_output("stream", name="stdout", text="a\n" * lines)]), kind, *marks
    )


def test_an_idea_takes_the_place_of_the_prose_which_is_then_said():
    cells = [text("## One\n\nSo it was, at length.", "slide"), text("### A part\n\nMore.", "subslide")]
    shown = deck(cells, {"One": "- short", "Two": "- elsewhere"})
    assert [cell.source for cell in shown] == ["## One\n\n- short", "So it was, at length.", "### A part\n\nMore."]
    assert [slide_type(cell) for cell in shown] == ["slide", "notes", "subslide"]
    assert cells[0].source == "## One\n\nSo it was, at length.", "the notebook is not changed"


def test_ideas_are_read_by_heading():
    assert read_ideas("Words before.\n\n## One\n\n- a\n- b\n\n### A part\n\n$$ x $$\n") == {
        "One": "- a\n- b", "A part": "$$ x $$",
    }  # fmt: skip
    assert ideas_of(None) == ideas_of("98") == {}


def test_a_stub_stands_on_its_card():
    stub = 'def my_add(a: int, b: int):\n    """Exercise 98.1: the sum."""\n    raise NotImplementedError("your turn")'
    cells = [text("### Exercise 98.1 - Add\n\nAdd.", "subslide"), typed(new_code_cell(stub), "skip", "exercise")]
    card, code = deck(cells)
    assert is_card(card) and shown_source(code)[-1] == "    ..." and HIDE_OUTPUT in tags(code)
    assert len(deck([text("### Exercise 98.1 - Add", "skip"), cells[1]])) == 0, "no card, no stub"
    long = typed(new_code_cell("x = 1\n" * 40), "skip", "exercise")
    assert len(deck([cells[0], long])) == 1, "what does not fit stays away"


@pytest.mark.parametrize(
    ("cells", "slides"),
    [
        ([text("## One\n\nShort.", "slide"), printed(3, "subslide")], 1),
        ([text("## One\n\nShort.", "slide"), printed(20, "subslide")], 2),
        ([text("## One\n\n" + "Long prose. " * 60, "slide"), printed(3, "subslide")], 2),
        ([text("## One\n\nShort.", "slide"), text("### A part\n\nShort.", "subslide")], 2),
        ([text("# 98 · A deck\n\nShort.", "slide"), printed(3, "subslide")], 2),
        ([text("### Exercise 98.1 - Try\n\nShort.", "subslide"), printed(3, "subslide")], 2),
    ],
)
def test_little_is_joined_where_both_fit(cells, slides):
    assert len(slides_of(deck(cells))) == slides


def test_a_page_takes_the_room_of_its_words():
    page = new_output("display_data", {"text/html": "<style>p {}</style><div>" + "word " * 220 + "</div>"})
    cells = [text("## One\n\nShort.\n\n- a\n- b", "slide"), typed(new_code_cell("x = 1", outputs=[page]), "subslide")]
    cells[1].metadata["tags"] = [HIDE_CODE]
    assert len(slides_of(deck(cells))) == 2
    page["data"]["text/html"] = "<style>p {}</style><div>word</div>"
    assert len(slides_of(deck(cells))) == 1


def test_which_model_was_loaded_is_not_said():
    loaded = "Using the shipped storyteller (in data/); run the notebook that makes it to have your own.\n"
    cell = printed(2, "slide")
    cell.outputs[0].text = loaded + cell.outputs[0].text
    assert shown_text(deck([cell])[0]) == ["a", "a"]
    cell.outputs[0].text = loaded
    assert deck([cell])[0].outputs == [] and cell.outputs[0].text == loaded, "the notebook is not changed"


def test_a_joined_answer_waits_for_a_key():
    shown = deck([text("## One\n\nShort.", "slide"), printed(3, "subslide", notebooks.PREDICTED)])
    assert [slide_type(cell) for cell in shown] == ["slide", "fragment"]


@each
def test_every_section_has_its_idea(path):
    ideas = ideas_of(path.name[:2])
    headings = set()
    for cell in notebooks.read(path).cells:
        if cell.cell_type == "markdown" and slide_type(cell) in ("slide", "subslide") and cell.source.startswith("##"):
            headings |= {cell.source.split("\n")[0].lstrip("# ").strip()} - {"Recap", "Where to go next"}
    headings = {heading for heading in headings if not heading.startswith("Exercise ")}
    assert set(ideas) == headings, (IDEAS / f"{path.name[:2]}.md").name
    assert all(len(idea.split()) <= 70 for idea in ideas.values()), "an idea is short"
