"""One look for every figure: colours that survive greyscale and colour-blindness, a fixed light ground,
alternative text.

@style.figure
def lengths(words_per_story: list[int]):
    fig, ax = style.canvas(height=3.2)
    ax.hist(words_per_story, color=style.COLOURS[0])
    ax.set_xlabel("words in a story")
    return fig, f"Histogram of {len(words_per_story):,} story lengths, from ... to ... words."
"""

import functools
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from course.figures import panels, svg
from course.figures.contrasts import contrast, luminance

# Dark to light in nearly equal steps of lightness (L* 18, 34, 47, 59, 72, 84), so a greyscale print keeps
# them apart, and neighbors differ in blueness, which the common kinds of colour-blindness preserve.
COLOURS = ("#1d2b53", "#9c1c4e", "#1b75bc", "#2f9e8f", "#e9a23b", "#c5d6ec")
NAMES = ("navy", "berry", "blue", "teal", "orange", "sky")
NAVY, BERRY, BLUE, TEAL, ORANGE, SKY = COLOURS
INK, QUIET, GRID, GROUND = "#22232b", "#62636f", "#e4e2da", "#fdfcf8"

# A second, colourless way to tell series apart; use the same index as for the colour.
MARKERS = ("o", "s", "^", "D", "v", "P")
LINESTYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))
HATCHES = ("", "///", "||", "\\\\\\", "xx", "--")

# For heat maps: one hue, lightness strictly increasing with the value's distance from the ground.
HEAT = matplotlib.colors.LinearSegmentedColormap.from_list("course", [GROUND, SKY, BLUE, NAVY])
# For values around zero: both ends dark, told apart by hue, so the sign should also be written or marked.
DIVERGING = matplotlib.colors.LinearSegmentedColormap.from_list("course_diverging", [BERRY, GROUND, NAVY])

WIDTH, DPI = 7.4, 110  # inches and dots per inch: 814 pixels, the width of a notebook's text

SMALLEST = 9  # points, of any text: 12 pixels on a page 1280 wide

_RC = {
    "figure.facecolor": GROUND, "savefig.facecolor": GROUND, "axes.facecolor": GROUND,
    "figure.dpi": DPI, "savefig.dpi": DPI,
    "font.family": ["DejaVu Sans"], "font.size": 10.5,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.edgecolor": QUIET,
    "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 9,
    "axes.labelsize": 10.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True,
    "grid.color": GRID, "grid.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=COLOURS[:5]) + cycler(linestyle=LINESTYLES[:5]),
    "lines.linewidth": 2.0, "lines.markersize": 5.5, "hatch.linewidth": 0.7,
    "legend.frameon": False, "legend.fontsize": 9.5,
    "svg.hashsalt": "course", "svg.fonttype": "none",
}  # fmt: skip


@contextmanager
def applied() -> Iterator[None]:
    """The course's look inside a `with` block; matplotlib's global settings are put back afterwards."""
    with matplotlib.rc_context(_RC):
        yield


def canvas(rows: int = 1, columns: int = 1, *, width: float = WIDTH, height: float = 3.6, **subplots):
    """A new figure and its axes, as `plt.subplots` gives them, but outside pyplot's global state.

    `width` and `height` are in inches; anything else goes to `Figure.subplots`. Call it inside a `@figure`
    function.
    """
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(rows, columns, **subplots)


def look(i: int) -> dict:
    """Color and marker of series i, for a curve with points on it."""
    return {"color": COLOURS[i % 5], "marker": MARKERS[i % 6]}


def headline(fig: Figure, text: str) -> None:
    """The title of a figure of several panels, written as that of a single one is."""
    fig.suptitle(text, x=0.01, ha="left", fontweight=_RC["axes.titleweight"], fontsize=_RC["axes.titlesize"])


def panel_title(ax, text: str) -> None:
    """What one panel of a figure shows, less loud than the figure's own title."""
    ax.set_title(text, fontsize=_RC["axes.labelsize"], fontweight="normal")


def levels(ax, values: Mapping[str, float], spec: str = ".2f") -> None:
    """Named horizontal lines, each with its name and value at the right end, on a ground that keeps it legible.

    Args:
        spec: how a value is written.
    """
    for name, value in values.items():
        ax.axhline(value, color=INK, linewidth=1.1, linestyle=":")
        ax.annotate(
            f"{name}: {value:{spec}}", (0.99, value), (0, 3), xycoords=ax.get_yaxis_transform(),
            textcoords="offset points", ha="right", va="bottom", fontsize=9,
            bbox={"facecolor": GROUND, "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
        )  # fmt: skip


def above(ax, x: float, text: str) -> None:
    """The name of a vertical line, above the axes."""
    ax.text(x, 1.0, text, transform=ax.get_xaxis_transform(), fontsize=9, ha="center", va="bottom")


def measured_axis(ax, values: Iterable[float], write: Callable[[float], str]) -> None:
    """A logarithmic x axis whose ticks are the measured values themselves, as `write` writes them."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(sorted(set(values))))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    ax.xaxis.set_minor_locator(NullLocator())


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean of seeds, and its standard error; 0 where there is one seed, which says nothing of it."""
    values = np.asarray(values, dtype=float)
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


def seeds(counts: Sequence[int]) -> str:
    """How many runs a point stands for, in words."""
    least, most = min(counts), max(counts)
    return f"{least} seed{'s' if least > 1 else ''}" if least == most else f"{least} to {most} seeds"


class Picture:
    """A finished figure: an SVG, a PNG for those who cannot show it, and the words that stand for both.

    Each is drawn when it is asked for: a run that draws its curves again and again wants the PNG alone.
    """

    def __init__(self, fig: Figure, alt: str, parts: dict | None = None):
        self._fig = fig
        self.alt = alt
        self.parts = parts or {}

    @functools.cached_property
    def png(self) -> bytes:
        with applied():
            self._fig.set_dpi(DPI)
            raster = FigureCanvasAgg(self._fig)
            raster.draw()
        return _png(raster)

    @functools.cached_property
    def svg(self) -> str:
        drawn, fig = io.StringIO(), self._fig
        with applied():
            panels.name_grounds(fig, GROUND)
            fig.set_dpi(2 * DPI)  # of what is raster in the drawing
            FigureCanvasSVG(fig).print_svg(drawn, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
        return svg.compact(drawn.getvalue(), self.alt, width=round(DPI * fig.get_figwidth()))

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        """What Jupyter shows: the drawing or, where a viewer does not trust it, the PNG; the alternative text in the
        PNG's metadata; the text alone as a fallback.
        """
        shown = {"image/svg+xml": self.svg, "image/png": self.png, "text/plain": repr(self)}
        return shown, {"image/svg+xml": self.parts, "image/png": {"alt": self.alt}}


def picture(fig: Figure, alt: str) -> Picture:
    """Draw `fig` with `alt` as its alternative text: one or more sentences that say what a reader should see.

    Raises:
        ValueError: `alt` is empty, or too short to say anything; or a text in the figure is too small to be read.
    """
    alt = " ".join(alt.split())
    if len(alt) < 20:
        raise ValueError(f"alternative text must say what the figure shows; {alt!r} is too short")
    with applied():
        _rasterize_crowds(fig)
        fig.draw_without_rendering()
        fig.set_layout_engine("none")  # which stays as it is from here on
        parts = panels.parts(fig)
        if small := sorted(panels.small_texts(fig, SMALLEST)):
            raise ValueError(f"texts smaller than {SMALLEST} points cannot be read on a page: {small[:5]}")
    return Picture(fig, alt, parts)


def _rasterize_crowds(fig: Figure, most: int = 300) -> None:
    """Hundreds of points are smaller as an image than as a drawing."""
    points = [line for line in fig.findobj(Line2D) if line.get_marker() not in ("", "None", None)]
    if sum(len(line.get_xdata()) for line in points) > most:
        for line in points:
            line.set_rasterized(len(line.get_xdata()) > most / 10)
    for cloud in fig.findobj(PathCollection):
        cloud.set_rasterized(len(cloud.get_offsets()) > most)
    for cells in fig.findobj(QuadMesh):
        cells.set_rasterized(True)


def _png(raster: FigureCanvasAgg) -> bytes:
    """What was drawn with a palette of 48 colors, which is plenty for a chart: a quarter of the size."""
    from PIL import Image

    buffer = io.BytesIO()
    # An opaque ground: the page behind may be dark.
    Image.fromarray(np.asarray(raster.buffer_rgba())[..., :3]).quantize(48).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def figure(draw: Callable[..., tuple[Figure, str]]) -> Callable[..., Picture]:
    """Decorator for figure functions: `draw` returns `(fig, alt)` in the course's style, the caller gets a
    `Picture`.
    """

    @functools.wraps(draw)
    def drawn(*args, **kwargs) -> Picture:
        with applied():
            fig, alt = draw(*args, **kwargs)
            return picture(fig, alt)

    return drawn


def lightness(colour: str) -> float:
    """CIE L* of a colour, 0 (black) to 100 (white): what remains of it in greyscale."""
    bright = luminance(colour)
    return 116 * bright ** (1 / 3) - 16 if bright > 0.008856 else 903.3 * bright


def text_colour(ground: str) -> str:
    """Ink where it can be read on `ground`, else white, else (on grounds of middle lightness) black."""
    return next(colour for colour in (INK, "#ffffff", "#000000") if contrast(colour, ground) >= 4.5)
