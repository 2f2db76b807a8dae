"""What a slide shows of a notebook's cell, and how large.

A cell's slide type stands in its metadata: `slideshow: {"slide_type": "slide"}`. The tag `slide-hide-code` shows only
what a code cell printed or drew, `slide-hide-output` only its code.
"""

import base64
import re

import shown_figures

from course.figures import svg

TYPES = ("slide", "subslide", "fragment", "-", "skip", "notes")
STARTS = ("slide", "subslide")
HIDE_CODE, HIDE_OUTPUT = "slide-hide-code", "slide-hide-output"

# Pixels of a slide of 1280 x 720 that are left for what is on it, and what things need of them; see course.css.
ROOM, WIDTH = 648, 1168
SIZES = (24, 22, 20, 18, 16)  # of code, in pixels; the first that fits
LINE, CHARACTER = 1.3, 0.602  # height and width of a character, in sizes
PICTURE = 260, 0.75  # the least that a picture gets, in pixels and as a share of its own height
MANY_WORDS, VERY_MANY_WORDS = 90, 115  # more are set smaller
READABLE = 18  # printed lines are folded rather than made smaller than this


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


def is_card(cell) -> bool:
    """Whether the cell sets an exercise."""
    return cell.cell_type == "markdown" and bool(re.match(r"### Exercise \d", cell.source))


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


def words_of(cells) -> int:
    return sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")


def size_of_code(cells) -> int:
    """The size in pixels at which the code and printed text of one slide fit, the smallest if none does."""
    code = [len(line) for cell in cells for line in shown_source(cell)]
    text = [len(line) for cell in cells for line in shown_text(cell)]
    heights = [height for cell in cells if not is_beside(cell) for height in shown_pictures(cell)]
    picture = max((max(PICTURE[0], PICTURE[1] * height) for height in heights), default=0)
    taken = 50 + 40 * (words_of(cells) / 15) + picture + 24 * len(cells)
    for size in (size for size in SIZES if size <= 18 or not any(map(is_beside, cells))):
        across = int((WIDTH - 36) / (CHARACTER * size))  # characters in a line
        folded = sum(1 + length // (across + 1) for length in text)
        too_wide = max(code, default=0) > across or (folded > len(text) and size > READABLE)
        if not too_wide and (len(code) + folded) * LINE * size <= ROOM - taken:
            return size
    return SIZES[-1]
