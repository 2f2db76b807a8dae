"""From a notebook's cells to those of its slides: which are shown, what of them, how large, under which title.

A cell's slide type stands in its metadata: `slideshow: {"slide_type": "slide"}`. The tag `slide-hide-code` shows only
what a code cell printed or drew, `slide-hide-output` only its code.
"""

import base64
import html
import re

import shown_figures
import slide_minutes
from nbconvert.preprocessors import Preprocessor

from course.figures import svg

TYPES = ("slide", "subslide", "fragment", "-", "skip", "notes")
STARTS = ("slide", "subslide")
HIDE_CODE, HIDE_OUTPUT = "slide-hide-code", "slide-hide-output"

# Pixels of a slide of 1280 x 720 that are left for what is on it, and what things need of them; see course.css.
ROOM, WIDTH = 648, 1168
SIZES = (26, 24, 22, 20, 18, 16, 14)  # of code, in pixels; the first that fits
LINE, CHARACTER = 1.3, 0.602  # height and width of a character, in sizes
PICTURE = 260, 0.75  # the least that a picture gets, in pixels and as a share of its own height
MANY_WORDS, VERY_MANY_WORDS = 90, 115  # more are set smaller
READABLE = 18  # printed lines are folded rather than made smaller than this

_BADGE = re.compile(r"^\[!\[Open in Colab\].*\n?", flags=re.MULTILINE)
_LINK = re.compile(r"\]\((\d\d_\w+)\.ipynb\)")
_FORMULA = re.compile(r"\$\$(.+?)\$\$", flags=re.DOTALL)


def slide_type(cell) -> str | None:
    """What the cell is in the deck; None where nothing was said."""
    return cell.metadata.get("slideshow", {}).get("slide_type")


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def shown_source(cell) -> list[str]:
    """The lines of code that a slide shows of a cell."""
    hidden = cell.cell_type != "code" or HIDE_CODE in tags(cell)
    return [] if hidden else cell.source.rstrip("\n").split("\n")


def shown_text(cell) -> list[str]:
    """The lines of plain text that a slide shows of what a cell printed."""
    lines = []
    for output in [] if cell.cell_type != "code" or HIDE_OUTPUT in tags(cell) else cell.outputs:
        data = output.get("data", {})
        if not {"image/png", "text/html"} & set(data):
            text = output.get("text") or data.get("text/plain", "")
            lines += text.rstrip("\n").split("\n")
    return lines


def shown_pictures(cell) -> list[int]:
    """The heights in pixels of the pictures that a slide shows of a cell."""
    outputs = [] if cell.cell_type != "code" or HIDE_OUTPUT in tags(cell) else cell.outputs
    heights = []
    for output in outputs:
        if shown_figures.is_figure(output):
            heights.append(svg.pixels(shown_figures.drawing(output))[1])
        elif picture := output.get("data", {}).get("image/png"):
            heights.append(int.from_bytes(base64.b64decode(picture[:32])[20:24], "big"))  # see PNG's header
    return heights


def slides_of(cells) -> list[list]:
    """The cells of each slide, notes and skipped cells left out; a slide or subslide begins a new one."""
    slides: list[list] = []
    for cell in cells:
        if slide_type(cell) in ("skip", "notes"):
            continue
        if slide_type(cell) in STARTS or not slides:
            slides.append([])
        slides[-1].append(cell)
    return slides


def is_beside(cell) -> bool:
    """Whether what the cell printed is so long and narrow that it stands beside the picture, not above it."""
    lines = shown_text(cell)
    return bool(shown_pictures(cell)) and len(lines) >= 8 and max(map(len, lines)) <= 48


def _words(cells) -> int:
    return sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")


def size_of_code(cells) -> int:
    """The size in pixels at which the code and printed text of one slide fit, the smallest if none does."""
    code = [len(line) for cell in cells for line in shown_source(cell)]
    text = [len(line) for cell in cells for line in shown_text(cell)]
    heights = [height for cell in cells if not is_beside(cell) for height in shown_pictures(cell)]
    picture = max((max(PICTURE[0], PICTURE[1] * height) for height in heights), default=0)
    taken = 50 + 40 * (_words(cells) / 15) + picture + 24 * len(cells)
    for size in (size for size in SIZES if size <= 18 or not any(map(is_beside, cells))):
        across = int((WIDTH - 36) / (CHARACTER * size))  # characters in a line
        folded = sum(1 + length // (across + 1) for length in text)
        too_wide = max(code, default=0) > across or (folded > len(text) and size > READABLE)
        if not too_wide and (len(code) + folded) * LINE * size <= ROOM - taken:
            return size
    return SIZES[-1]


class CourseSlides(Preprocessor):
    """What the slides need beyond the slide types that nbconvert itself knows."""

    def preprocess(self, nb, resources):
        plan = slide_minutes.plan_of(nb.cells)
        nb.cells = [cell for cell in nb.cells if slide_type(cell) not in (None, "skip")]
        for cells in slides_of(nb.cells):
            words = _words(cells)
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
    """Neighbouring notes as one, as the speaker's view shows only the first after a fragment."""
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
            kicker = f'<p class="kicker">{title}</p>'
            titled.append(new_markdown_cell(kicker, metadata={"slideshow": dict(cell.metadata["slideshow"])}))
            cell.metadata["slideshow"]["slide_type"] = "-"
        titled.append(cell)
    return titled


def _for_slides(source: str) -> str:
    """Markdown without the Colab badge, with formulas as MathML, with links to other decks."""
    return _FORMULA.sub(_mathml, _LINK.sub(r"](\1.slides.html)", _BADGE.sub("", source)))


def _mathml(found: re.Match) -> str:
    try:
        from latex2mathml.converter import convert
    except ModuleNotFoundError:
        from helpers.errors import CourseError

        message = "a formula needs latex2mathml: python -m pip install -r docs/requirements.txt"
        raise CourseError(message) from None
    return convert(found[1].strip(), display="block")
