"""One look for every figure: apart in greyscale, opaque, small, never without words."""

import inspect
import io
from itertools import pairwise

import pytest
from matplotlib import pyplot
from PIL import Image

from course.figures import style
from tests.pictures import check_drawing


@style.figure
def five_lines():
    fig, ax = style.canvas()
    for i in range(5):
        ax.plot(range(4), [i * x for x in range(4)], label=f"line {i}")
    ax.set(title="Five lines", xlabel="x", ylabel="y")
    ax.legend()
    return fig, "Five straight lines through the origin, each steeper than the last."


def test_the_colours_are_apart_in_greyscale():
    steps = [style.lightness(colour) for colour in style.COLOURS]
    assert all(lighter - darker >= 10 for darker, lighter in pairwise(steps)), steps
    assert style.lightness(style.GROUND) - steps[-1] >= 10


def test_lightness_at_its_ends():
    assert style.lightness("#000000") == pytest.approx(0)
    assert style.lightness("#ffffff") == pytest.approx(100)
    assert style.lightness("#777777") == pytest.approx(50, abs=1)


def seen_without_green(colour: str) -> tuple[float, float, float]:
    """A colour as a person without green receptors sees it (Vienot, Brettel and Mollon 1999), in L*, a*,
    b*.
    """
    import numpy as np
    from matplotlib.colors import to_rgb

    linear = np.array([((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in to_rgb(colour)])
    seen = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]) @ linear
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    x, y, z = np.cbrt(xyz / [0.9505, 1, 1.089])
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def test_the_colours_are_apart_for_the_colour_blind():
    seen = [seen_without_green(colour) for colour in style.COLOURS]
    for i, one in enumerate(seen):
        for other in seen[i + 1 :]:
            assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 >= 12


def test_heat_maps_darken_steadily():
    steps = [style.lightness(style.HEAT(i / 20)) for i in range(21)]
    assert all(a > b for a, b in pairwise(steps))


def test_contrast_at_its_ends():
    assert style.contrast("#000000", "#ffffff") == style.contrast("#ffffff", "#000000") == pytest.approx(21)
    assert style.contrast("#777777", "#777777") == 1
    assert style.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)  # the known least grey on white


def test_text_can_be_read_on_every_colour():
    greys = [f"#{level:02x}{level:02x}{level:02x}" for level in range(256)]
    maps = [scale(i / 200) for scale in (style.HEAT, style.DIVERGING) for i in range(201)]
    for ground in (*style.COLOURS, *greys, *maps):
        assert style.contrast(style.text_colour(ground), ground) >= 4.5


def test_a_picture_is_a_drawing_and_a_small_opaque_png_with_their_words():
    picture = five_lines()
    data, metadata = picture._repr_mimebundle_()
    image = Image.open(io.BytesIO(data["image/png"]))
    assert image.format == "PNG" and 700 <= image.width <= 900
    assert len(data["image/png"]) < 60_000 and len(data["image/svg+xml"]) < 20_000
    assert "transparency" not in image.info and image.mode in ("P", "RGB")
    assert metadata["image/png"]["alt"] == picture.alt
    assert picture.alt in data["text/plain"]
    check_drawing(picture)


def test_the_same_data_gives_the_same_bytes():
    one, other = five_lines(), five_lines()
    assert (one.png, one.svg) == (other.png, other.svg)


def test_text_that_cannot_be_read_on_a_page_is_refused():
    with style.applied():
        fig, ax = style.canvas()
        ax.text(0.5, 0.5, "in small print", fontsize=style.SMALLEST - 0.5)
    with pytest.raises(ValueError, match="in small print"):
        style.picture(fig, "A figure with something in small print.")


def test_matplotlibs_own_settings_are_left_alone():
    import matplotlib

    before = matplotlib.rcParams.copy()
    five_lines()
    assert matplotlib.rcParams == before
    assert pyplot.get_fignums() == []


def test_a_picture_without_words_is_refused():
    with style.applied():
        fig, _ = style.canvas()
    for alt in ("", "  ", "a plot"):
        with pytest.raises(ValueError, match="alternative text"):
            style.picture(fig, alt)


def test_every_index_has_a_colour_a_line_a_marker_and_a_hatch():
    kinds = style.COLOURS, style.NAMES, style.LINESTYLES, style.MARKERS, style.HATCHES
    assert {len(set(map(str, kind))) for kind in kinds} == {len(style.COLOURS)}


def test_no_figure_module_uses_the_global_state_of_pyplot():
    from pathlib import Path

    for path in Path(inspect.getfile(style)).parent.glob("*.py"):
        assert "pyplot" not in path.read_text(encoding="utf-8").replace("pyplot's", ""), path.name
