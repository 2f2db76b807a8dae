"""A stored figure on a light page and on a dark one: what it says stays to be seen, and its panels come one by one."""

import base64
import io
import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from bs4 import BeautifulSoup
from matplotlib.colors import to_hex
from PIL import Image

from course.figures import style, svg, themes
from helpers.files import repository_root
from tests.test_style import seen_without_green

DARK = themes.DARK


@style.figure
def two_panels():
    fig, (left, right) = style.canvas(1, 2, sharey=True)
    left.imshow(np.eye(3), cmap=style.HEAT, interpolation="nearest")
    left.set_yticks(range(3), ["first", "second", "third"])
    right.bar(range(3), [3, 2, 1], color=style.NAVY)
    right.text(1, 1, "inside", color="#ffffff", ha="center", va="center")
    style.headline(fig, 'Two "panels" & more')
    return fig, 'A map and three bars; "inside" stands on the second bar, 2 < 3.'


def test_marks_and_text_stand_out_in_the_dark():
    marks = [DARK(color) for color in style.COLOURS]
    assert all(style.contrast(mark, DARK.ground) >= 3 for mark in marks)
    for text in (style.INK, style.QUIET, *style.COLOURS[:5]):
        assert style.contrast(DARK(text), DARK.ground) >= 4.5


def test_colors_are_apart_in_the_dark():
    """In greyscale, and for those who do not see green."""
    steps = sorted(style.lightness(DARK(color)) for color in style.COLOURS)
    assert all(lighter - darker >= 5 for darker, lighter in pairwise(steps)), steps
    for one, other in combinations([seen_without_green(DARK(color)) for color in style.COLOURS], 2):
        assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 >= 12


def test_a_heat_map_lightens_steadily_in_the_dark():
    colors = [DARK(to_hex(style.HEAT(i / 20))) for i in range(21)]
    assert all(a < b for a, b in pairwise(map(style.lightness, colors)))
    assert colors[0] == DARK.ground


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 1])
def test_a_mixture_becomes_the_same_mixture(share):
    """What is half transparent on the ground stays so."""
    color, ground = (np.array(svg.to_rgb(one)) for one in (style.BERRY, style.GROUND))
    new, new_ground = (np.array(svg.to_rgb(DARK(one))) for one in (style.BERRY, style.GROUND))
    mixed = DARK(to_hex(share * color + (1 - share) * ground))
    assert np.abs(np.array(svg.to_rgb(mixed)) - (share * new + (1 - share) * new_ground)).max() < 0.02


def test_a_text_on_a_bar_can_be_read_on_both_pages():
    drawing = two_panels().svg
    assert re.search(r"<g id='on-1d2b53-\d+'>", drawing)
    for palette in themes.THEMES.values():
        root = ElementTree.fromstring(svg.recolored(drawing, palette))
        inside = next(one for one in root.iter() if one.text == "inside")
        assert style.contrast(inside.get("fill"), palette(style.NAVY)) >= 4.5


def test_an_image_in_a_drawing_takes_the_colors_of_the_page():
    shown = svg.recolored(two_panels().svg, DARK)
    data = re.search(r"base64,([^']+)", shown)[1]
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    colors = {to_hex(color / 255) for color in np.unique(pixels.reshape(-1, 3), axis=0)}
    assert colors == {DARK(style.GROUND), DARK(style.NAVY)}


def test_panels_that_share_names_of_rows_take_them_along():
    parts = two_panels().parts
    assert parts["title"] == 'Two "panels" & more'
    (left,), (names, right) = parts["panels"]
    assert names[0] == left[0] and names[2] < left[2] / 2 and right[0] >= left[0] + left[2] - 10
    assert names[1::2] == right[1::2], "the names of rows are as high as the panel"


def test_a_figure_of_one_panel_is_not_taken_apart():
    @style.figure
    def one():
        fig, ax = style.canvas()
        image = ax.imshow(np.eye(3), cmap=style.HEAT)
        fig.colorbar(image)
        return fig, "A map of three ones and six zeros, with its scale."

    assert one().parts == {}


def test_the_page_has_each_panel_in_both_themes_and_the_words_once(monkeypatch):
    monkeypatch.syspath_prepend(str(repository_root() / "docs" / "tools"))
    import shown_figures

    picture = two_panels()
    pieces = list(shown_figures.layout(picture.svg, picture.alt, picture.parts))
    assert pieces.count(None) == 1 + 3, "the whole, and three boxes of two panels"
    page = BeautifulSoup("".join(piece or "<img>" for piece in pieces), "html.parser")
    assert [one["aria-label"] for one in page.find_all(attrs={"aria-label": True})] == [picture.alt]
    assert page.find(class_="title").text == picture.parts["title"]
    assert len(page.find_all(class_="panel")) == 2
    light, dark = shown_figures.variants(picture.svg).values()
    assert light != dark and style.NAVY in light and style.NAVY not in dark
