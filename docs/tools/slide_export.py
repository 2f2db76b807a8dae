"""A notebook as its deck: sizes, titles and formulas of the slides, and the plan of the lecture in the notes."""

import html
import re

import slide_minutes
from nbconvert.preprocessors import Preprocessor
from slide_cells import (
    HIDE_CODE,
    HIDE_OUTPUT,
    MANY_WORDS,
    STARTS,
    VERY_MANY_WORDS,
    is_beside,
    size_of_code,
    slide_type,
    slides_of,
    tags,
    words_of,
)
from slide_deck import deck, ideas_of

_BADGE = re.compile(r"^\[!\[Open in Colab\].*\n?", flags=re.MULTILINE)
_LINK = re.compile(r"\]\((\d\d_\w+)\.ipynb\)")
_FORMULA = re.compile(r"\$\$(.+?)\$\$", flags=re.DOTALL)
_INLINE = re.compile(r"(?<![\\$`\w])\$(?=\S)([^$\n`]+)(?<=\S)\$(?![\w$])")


class CourseSlides(Preprocessor):
    """What the slides need beyond the slide types that nbconvert itself knows."""

    def preprocess(self, nb, resources):
        plan, number = slide_minutes.plan_of(nb.cells), slide_minutes.number_of(nb.cells)
        nb.cells = deck(nb.cells, ideas_of(number))
        for cells in slides_of(nb.cells):
            words = words_of(cells)
            wordy = ["many-words"] * (words > MANY_WORDS) + ["very-many-words"] * (words > VERY_MANY_WORDS)
            for cell in cells:
                if cell.cell_type == "markdown":
                    cell.metadata["tags"] = [*tags(cell), *wordy]
                else:
                    cell.metadata["tags"] = [
                        *tags(cell), f"mono-{size_of_code(cells)}", *["beside"] * is_beside(cell)
                    ]  # fmt: skip
        nb.cells = _with_titles(_with_joined_notes(_with_the_plan(nb.cells, plan)))
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                cell.source = _for_slides(cell.source)
            else:
                hide = cell.metadata.setdefault("transient", {})
                hide["remove_source"] = HIDE_CODE in tags(cell)
                cell.outputs = [] if HIDE_OUTPUT in tags(cell) else cell.outputs
        return nb, resources


def _with_the_plan(cells, plan: str) -> list:
    """What the teaching plan says of a slide as a note behind its first cell, so before all that is said there."""
    from nbformat.v4 import new_markdown_cell

    slides = slides_of(cells)
    said = {id(slide[0]): text for slide, text in zip(slides, slide_minutes.said_of(slides, plan), strict=True) if text}
    planned = []
    for cell in cells:
        planned.append(cell)
        if id(cell) in said:
            planned.append(new_markdown_cell(said[id(cell)], metadata={"slideshow": {"slide_type": "notes"}}))
    return planned


def _with_joined_notes(cells) -> list:
    """Neighboring notes as one, as the speaker's view shows only the first after a fragment."""
    joined: list = []
    for cell in cells:
        if joined and slide_type(cell) == "notes" == slide_type(joined[-1]):
            joined[-1].source += f"\n\n{cell.source}"
        else:
            joined.append(cell)
    return joined


def _with_titles(cells) -> list:
    """Slides that open without a heading get that of their section, smaller."""
    from nbformat.v4 import new_markdown_cell

    titled, section, part = [], "", ""
    for cell in cells:
        lines = cell.source.split("\n") if cell.cell_type == "markdown" and slide_type(cell) != "notes" else []
        headings = [line for line in lines if re.match(r"#{1,3} ", line)]
        for line in headings:
            if not line.startswith("###"):
                section, part = line.lstrip("# "), ""
            elif not line.startswith("### Exercise"):
                part = line.lstrip("# ")
        if slide_type(cell) in STARTS and not headings:
            title = html.escape(" · ".join(filter(None, (section, part))).replace("`", ""))
            kicker = f'<h2 class="kicker">{title}</h2>'
            titled.append(new_markdown_cell(kicker, metadata={"slideshow": dict(cell.metadata["slideshow"])}))
            cell.metadata["slideshow"]["slide_type"] = "-"
        titled.append(cell)
    return titled


def _for_slides(source: str) -> str:
    """Markdown without the Colab badge, with formulas as MathML, with links to other decks."""
    source = _LINK.sub(r"](\1.slides.html)", _BADGE.sub("", source))
    return _INLINE.sub(lambda found: _mathml(found, "inline"), _FORMULA.sub(_mathml, source))


def _mathml(found: re.Match, display: str = "block") -> str:
    try:
        from latex2mathml.converter import convert
    except ModuleNotFoundError:
        from helpers.errors import CourseError

        message = "a formula needs latex2mathml: python -m pip install -r docs/requirements.txt"
        raise CourseError(message) from None
    return convert(found[1].strip(), display=display)
