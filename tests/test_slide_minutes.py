"""The speaker's notes carry the teaching plan: minutes on the right slides, and what a lecture leaves out."""

import re

import build_slides
import pytest
import slide_minutes
from nbformat.v4 import new_code_cell, new_markdown_cell
from slide_cells import slides_of
from slide_deck import deck, ideas_of
from slide_minutes import Place, Row

from course.site import notebooks

BOOKS = notebooks.all_notebooks()
each = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
PLAN = """# Teaching 98: A deck

**One sentence to leave them with:** little by little.

## In 50 minutes

| minutes | what happens | in the notebook |
|---|---|---|
| 10 | The opening | *§ A deck* |
| 30 | The *first*, with a figure | *§ One* |
| 10 | A part | *§ Inner* |

## In 80 minutes

| minutes | what happens | in the notebook |
|---|---|---|
| 60 | The first, exercise 98.1 (8 min) | *§ A deck*; *§ One*; *§ Two* |
| 20 | The third | *§ Three* |

## Live demonstrations
"""
HEADINGS = (
    "# 98 · A deck", "## One", "### Exercise 98.1 - Try", "no heading", "## Two", "### Inner", "## Three", "## Recap",
)  # fmt: skip


def made_slides() -> list[list]:
    return [[new_markdown_cell(text)] for text in HEADINGS]


def test_a_lecture_is_read_with_its_clock():
    rows = slide_minutes.lecture(PLAN, 50)
    assert [(row.start, row.end) for row in rows] == [(0, 10), (10, 40), (40, 50)]
    assert rows[1] == Row(10, 40, "The *first*, with a figure", ("One",))
    assert slide_minutes.lecture(PLAN, 80)[0].sections == ("A deck", "One", "Two")


def test_slides_know_their_section_their_part_and_their_exercise():
    assert slide_minutes.places(made_slides()) == [
        Place("A deck"), Place("One"), Place("One", "", "98.1"), Place("One"), Place("Two"), Place("Two", "Inner"),
        Place("Three"), Place("Recap"),
    ]  # fmt: skip


def test_what_is_said_of_each_slide():
    said = slide_minutes.said_of(made_slides(), PLAN)
    assert said[0].startswith("**One sentence to leave them with:** little by little.")
    assert "**50 minutes:** leave out 3, 7." in said[0], "Two is opened for its part, Recap is never left out"
    assert "**80 minutes:** leave out 6." in said[0], "a part that the other lecture names by itself"
    assert said[1] == "**50 minutes,** minute 10 to 40: The *first*, with a figure."
    assert said[2] == "**50 minutes:** leave out, go on with slide 4."
    assert said[3] == said[4] == said[7] == ""
    assert said[5] == "**50 minutes,** minute 40 to 50: A part.\n\n**80 minutes:** leave out, go on with slide 7."
    assert said[6] == "**50 minutes:** leave out, go on with slide 8.\n\n**80 minutes,** minute 60 to 80: The third."
    assert slide_minutes.said_of(made_slides(), "") == [""] * len(HEADINGS)


def test_the_plan_is_that_of_the_setup_cell():
    assert slide_minutes.plan_of([new_code_cell('session = course.start("05")')]).startswith("# Teaching 05: ")
    assert slide_minutes.plan_of([new_code_cell('session = course.start("98")')]) == ""
    assert slide_minutes.plan_of([new_markdown_cell("# 98 · A deck")]) == ""


@pytest.mark.parametrize(("numbers", "words"), [([], ""), ([5], "5"), ([5, 18, 25, 26, 27], "5, 18, 25 to 27")])
def test_numbers_in_words(numbers, words):
    assert slide_minutes.runs(numbers) == words


@each
def test_every_minute_of_both_lectures_has_its_slide(path):
    cells = notebooks.read(path).cells
    plan = slide_minutes.plan_of(cells)
    said = "\n\n".join(slide_minutes.said_of(slides_of(deck(cells, ideas_of(path.name[:2]))), plan))
    for minutes in slide_minutes.LECTURES:
        for row in slide_minutes.lecture(plan, minutes):
            assert said.count(f"**{minutes} minutes,** minute {row.start} to {row.end}: ") == 1
        assert slide_minutes.lecture(plan, minutes)[-1].end == minutes


@each
def test_a_lecture_has_slides_enough_and_not_too_many(path):
    cells = notebooks.read(path).cells
    spots = slide_minutes.places(slides_of(deck(cells, ideas_of(path.name[:2]))))
    plan = slide_minutes.plan_of(cells)
    every = [row for minutes in slide_minutes.LECTURES for row in slide_minutes.lecture(plan, minutes)]
    for minutes in slide_minutes.LECTURES:
        rows = slide_minutes.lecture(plan, minutes)
        shown = slide_minutes.shown_in(rows, spots, every)
        assert minutes / 6 <= sum(shown) <= minutes * 0.75, f"{sum(shown)} slides in {minutes} minutes"
        for row in rows:
            sections = {name for spot, on in zip(spots, shown, strict=True) if on for name in (spot.section, spot.part)}
            assert set(row.sections) <= sections, row


def test_slides_are_counted_for_the_row_that_shows_them():
    spots = slide_minutes.places(made_slides())
    rows = slide_minutes.lecture(PLAN, 50)
    every = [row for minutes in slide_minutes.LECTURES for row in slide_minutes.lecture(PLAN, minutes)]
    shown = slide_minutes.shown_in(rows, spots, every)
    assert slide_minutes.slides_by_row(rows, spots, shown) == [1, 2, 3], "Two opens for its part, Recap closes"
    assert sum(slide_minutes.slides_by_row(rows, spots, [True] * len(spots))) == len(spots) - 1, "but for the card"


@each
@pytest.mark.parametrize("minutes", slide_minutes.LECTURES)
def test_a_row_has_a_minute_for_each_slide_beside_its_exercises(path, minutes):
    """An exercise takes what its card states; one that is only begun, five minutes; a demonstration, three."""
    cells = notebooks.read(path).cells
    spots = slide_minutes.places(slides_of(deck(cells, ideas_of(path.name[:2]))))
    plan = slide_minutes.plan_of(cells)
    every = [row for lecture in slide_minutes.LECTURES for row in slide_minutes.lecture(plan, lecture)]
    rows = slide_minutes.lecture(plan, minutes)
    counts = slide_minutes.slides_by_row(rows, spots, slide_minutes.shown_in(rows, spots, every))
    for row, slides in zip(rows, counts, strict=True):
        asked = sum(int(taken) for taken in re.findall(r"\((\d+) min\)", row.what))
        exercises = min(asked, 5) if "begun" in row.what else asked
        rest = row.end - row.start - exercises
        least = max(slides, 3 if "emonstration" in row.what else 0)
        assert rest >= least, f"{slides} slides and {exercises} minutes of exercises do not fit: {row.what}"


@each
@pytest.mark.parametrize("minutes", slide_minutes.LECTURES)
def test_a_lecture_ends_with_the_recap_and_has_time_for_it(path, minutes):
    last = slide_minutes.lecture(slide_minutes.plan_of(notebooks.read(path).cells), minutes)[-1]
    assert "Recap" in last.sections and last.end - last.start >= 2


def test_the_deck_carries_it():
    pytest.importorskip("latex2mathml")  # its formulas; .ci/run installs docs/requirements.txt and asks again
    path = next(path for path in BOOKS if path.name.startswith("05"))
    notes = re.findall(r'<aside class="notes">(.*?)</aside>', build_slides.deck(path), re.DOTALL)
    first = re.sub(r"<[^>]+>", "", notes[0])
    assert "One sentence to leave them with: attention is" in first and "50 minutes: leave out" in first
    leak = next(note for note in notes if "demonstration 2" in note)
    assert "minute 26 to 34" in leak
