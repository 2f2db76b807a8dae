"""What every picture of the course owes its readers; used by the tests of the figures."""

import re
import warnings
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from course.figures import style, svg, themes

LARGEST_DRAWING = 240_000


def check_pictures(pictures: Iterable[tuple[object, list[str]]], most_bytes: int = 100_000) -> None:
    """Each picture is small, says in words what it shows, and can be read on a light and on a dark page.

    Args:
        pictures: `(picture, said)`: a picture, and pieces of text that must stand in its alternative text. Draw
            them in a generator: warnings while drawing count as errors.
        most_bytes: the largest size of a PNG.
    """
    drawn = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a sign that the font does not have, or a layout that does not fit
        for picture, said in pictures:
            drawn += 1
            assert len(picture.png) < most_bytes, f"{len(picture.png):,} bytes: {picture.alt}"
            for words in said:
                assert words in picture.alt, picture.alt
            check_drawing(picture)
    assert drawn, "no pictures"


def check_drawing(picture) -> None:
    """The SVG has the words in it, its texts can be read, and its panels lie inside it."""
    assert len(picture.svg) < LARGEST_DRAWING, f"{len(picture.svg):,} bytes: {picture.alt}"
    root = ElementTree.fromstring(picture.svg)
    assert (root.get("role"), root.get("aria-label")) == ("img", picture.alt)
    assert svg.smallest_text(picture.svg) >= style.SMALLEST, picture.alt
    width, height = svg.size(picture.svg)
    for boxes in picture.parts.get("panels", []):
        for x, y, wide, high in boxes:
            assert x >= 0 and y >= 0 and wide > 20 and high > 8, picture.parts
            assert x + wide <= width + 0.2 and y + high <= height + 0.2, picture.parts
    for theme, palette in themes.THEMES.items():
        faint = [
            (words, color, ground)
            for words, color, ground in texts(root, palette)
            if style.contrast(color, ground) < 4.5
        ]
        assert not faint, f"{theme}: {faint[:5]} in {picture.alt}"
        shown = svg.recolored(picture.svg, palette)
        ElementTree.fromstring(shown)
        assert "ground-" not in shown and style.GROUND not in shown


def texts(root: ElementTree.Element, palette: svg.Palette) -> Iterator[tuple[str, str, str]]:
    """Each text of a stored drawing, with its color on a page and that of what it stands on there."""

    def walk(one: ElementTree.Element, fill: str, under: str | None):
        fill = one.get("fill", fill)
        if found := re.match(r"on-([0-9a-f]{6})", one.get("id", "")):
            under = f"#{found[1]}"
        if one.tag.endswith("}text") and (words := "".join(one.itertext()).strip()):
            color = palette.on(under, fill) if under else palette(fill)
            yield words, color, palette(under) if under else palette.ground
        for child in one:
            yield from walk(child, fill, under)

    yield from walk(root, "#000000", None)
