"""Which slides a notebook's cells make: the idea of a section in place of its prose, stubs on the cards of exercises,
and slides that hold little joined with the one that follows.

The idea of a section is written once, in `docs/slides/ideas/NN.md`, under the heading that the notebook has; the prose
that it replaces goes into the speaker's notes.
"""

import copy
import re
from pathlib import Path

from slide_cells import (
    HIDE_OUTPUT,
    ROOM,
    STARTS,
    is_card,
    shown_pictures,
    shown_source,
    shown_text,
    slide_type,
    slides_of,
    tags,
)  # fmt: skip

from course.site.notebooks import PREDICTED

IDEAS = Path(__file__).resolve().parents[1] / "slides" / "ideas"
IDEA, STUB = "idea", "stub"  # tags of cells, for the style sheet

# An estimate in pixels of what cells take on a slide; the browser measures what comes of it (check_slides.py).
HEADING, KICKER, BETWEEN = 64, 38, 12
TEXT_LINE, TEXT_CHARACTERS = 46, 82
CODE_LINE, PRINTED_LINE, CODE_FRAME, FORMULA = 26, 24, 24, 96
PICTURE_SHARE = 0.95  # of its own height a picture keeps when something is put above it
_PROVENANCE = re.compile(r"^Using (?:your own|the shipped) .*\(in .*\n?", re.MULTILINE)  # what course.artifact prints
LITTLE, MOST_WORDS = 0.5, 115  # of a slide's height: a slide that takes less is joined with the next, if both fit


def ideas_of(number: str | None) -> dict[str, str]:
    """The ideas of a notebook's sections by heading; none where there is no file of them."""
    path = IDEAS / f"{number}.md"
    return read_ideas(path.read_text(encoding="utf-8")) if number and path.is_file() else {}


def read_ideas(text: str) -> dict[str, str]:
    """`{heading: Markdown}` of a file in which each idea stands under its section's heading, `## ` or `### `."""
    parts = re.split(r"^#{2,3} (.+)$", text, flags=re.MULTILINE)
    return {heading.strip(): idea.strip() for heading, idea in zip(parts[1::2], parts[2::2], strict=True)}


def deck(cells, ideas: dict[str, str] | None = None) -> list:
    """Copies of the cells that a deck shows or says, with the slide types that they have there."""
    shown = _with_stubs([_without_provenance(copy.deepcopy(cell)) for cell in cells])
    shown = [cell for cell in shown if slide_type(cell) not in (None, "skip")]
    return _joined(_divided(_with_ideas(shown, ideas or {})))


def _without_provenance(cell):
    """Which model was loaded, one's own or the shipped one, says the page, and not a slide."""
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            output.text = _PROVENANCE.sub("", output.text)
    if cell.cell_type == "code":
        cell.outputs = [output for output in cell.outputs if output.output_type != "stream" or output.text]
    return cell


def _with_stubs(cells) -> list:
    """The stub of an exercise stands on its card, as far as a reader must see it to begin."""
    card = None
    for cell in cells:
        if cell.cell_type == "markdown":
            card = cell if is_card(cell) and slide_type(cell) in STARTS else None
        elif card is not None and "exercise" in tags(cell):
            cell.source = re.sub(r"raise NotImplementedError.*", "...", cell.source)
            cell.metadata["slideshow"] = {"slide_type": "-"}
            cell.metadata["tags"] = [*tags(cell), HIDE_OUTPUT, STUB]
            if height_of([card, cell]) > ROOM:
                cell.metadata["slideshow"] = {"slide_type": "skip"}
            card = None
    return cells


def _with_ideas(cells, ideas: dict[str, str]) -> list:
    from nbformat.v4 import new_markdown_cell

    told, opened = [], False  # whether the slide at hand opens with an idea
    for cell in cells:
        told.append(cell)
        opened = opened and slide_type(cell) not in STARTS
        if opened and _is_prose(cell):
            cell.metadata["slideshow"] = {"slide_type": "notes"}
        heading = re.match(r"(#{2,3}) (.+)\n*", cell.source) if slide_type(cell) in STARTS else None
        idea = ideas.get(heading[2].strip()) if heading and cell.cell_type == "markdown" else None
        if idea:
            prose = cell.source[heading.end() :].strip()
            cell.source = f"{heading[1]} {heading[2]}\n\n{idea}"
            cell.metadata["tags"] = [*tags(cell), IDEA]
            opened = True
            if prose:
                told.append(new_markdown_cell(prose, metadata={"slideshow": {"slide_type": "notes"}}))
    return told


def _is_prose(cell) -> bool:
    """Whether the cell says in sentences what the idea of its slide says shortly."""
    kept = ("#", ">", "- ", "1. ", "|", "$$", "```", "**Predict:**")
    return cell.cell_type == "markdown" and slide_type(cell) != "notes" and not cell.source.startswith(kept)


def height_of(cells) -> float:
    """An estimate of the pixels that these cells take on one slide."""
    begins_with_heading = cells[0].cell_type == "markdown" and cells[0].source.startswith("#")
    height = 0.0 if begins_with_heading else KICKER
    for cell in cells:
        if slide_type(cell) == "notes":
            continue
        height += BETWEEN
        if cell.cell_type == "markdown":
            height += _height_of_text(cell.source)
            continue
        code, printed = shown_source(cell), shown_text(cell)
        height += CODE_LINE * len(code) + CODE_FRAME * bool(code)
        height += sum(PRINTED_LINE * (1 + len(line) // 104) for line in printed)
        height += sum(PICTURE_SHARE * picture for picture in shown_pictures(cell))
        height += sum(_height_of_page(output) for output in cell.outputs if HIDE_OUTPUT not in tags(cell))
    return height


def _height_of_page(output) -> float:
    page = output.get("data", {}).get("text/html", "")
    words = re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    return 160 + len(words) / 3 if page else 0.0


def _height_of_text(source: str) -> float:
    height = 0.0
    for block in re.split(r"\n\s*\n", source.strip()):
        if block.startswith("#"):
            block = block.partition("\n")[2]
            height += HEADING
        if block.startswith("$$") or block.startswith(">"):
            height += FORMULA
        elif block.startswith("```"):
            height += CODE_LINE * (block.count("\n") - 1) + CODE_FRAME
        elif block.strip():
            for line in re.split(r"\n(?=[-*|] |\d+\. |\|)", block):
                height += TEXT_LINE * (1 + len(line) // TEXT_CHARACTERS)
            height += BETWEEN
    return height


def _divided(cells) -> list:
    """What is too much for one slide goes on on the next; a prediction stays with its answer."""
    for slide in slides_of(cells):
        begun: list = []
        for i, cell in enumerate(slide):
            together = [cell, *slide[i + 1 : i + 2]] if _is_prediction(cell) else [cell]
            follows = bool(begun) and _is_prediction(begun[-1])
            if begun and not follows and height_of(begun + together) > ROOM and height_of(begun) > LITTLE * ROOM / 2:
                cell.metadata["slideshow"] = {"slide_type": "subslide"}
                begun = []
            begun.append(cell)
    return cells


def _is_prediction(cell) -> bool:
    return cell.cell_type == "markdown" and cell.source.startswith("**Predict:**")


def _joined(cells) -> list:
    """A slide that takes little of its room goes on with the next one of its section, where both fit on one."""
    slides = slides_of(cells)
    at = 0
    while at + 1 < len(slides):
        this, following = slides[at], slides[at + 1]
        if _may_join(this, following):
            first = following[0]
            answer = PREDICTED in tags(first) or slide_type(first) == "fragment"
            first.metadata["slideshow"]["slide_type"] = "fragment" if answer else "-"
            slides[at : at + 2] = [this + following]
        else:
            at += 1
    return cells


def _may_join(this: list, following: list) -> bool:
    opens, begins = this[0], following[0]
    if begins.cell_type == "markdown" and begins.source.startswith("#"):
        return False  # a section, a part or an exercise begins
    if opens.cell_type == "markdown" and (opens.source.startswith("# ") or is_card(opens)):
        return False  # the title, or an exercise, stands alone
    both = this + following
    words = sum(len(cell.source.split()) for cell in both if cell.cell_type == "markdown")
    pictures = sum(len(shown_pictures(cell)) for cell in both)
    lines = sum(len(shown_source(cell)) + len(shown_text(cell)) for cell in both)
    fits = height_of(both) <= ROOM and words <= MOST_WORDS and pictures <= 1 and lines <= (8 if pictures else 22)
    return fits and height_of(this) < LITTLE * ROOM
