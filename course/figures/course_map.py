"""The map of the course."""

from itertools import groupby, pairwise

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from course.figures import style
from course.site.syllabus import SYLLABUS, Entry

_WIDE, _HIGH, _STEP_X, _STEP_Y = 1.97, 0.62, 2.24, 1.0


@style.figure
def course_map(entries: tuple[Entry, ...] = SYLLABUS):
    """The notebooks in reading order, a row for each stage; those only planned have a dashed border."""
    stages = [(stage, list(group)) for stage, group in groupby(entries, key=lambda entry: entry.stage)]
    fig, ax = style.canvas(height=0.62 * len(stages) + 0.25)
    places = {}
    for row, (stage, group) in enumerate(stages):
        y = -row * _STEP_Y
        ax.text(-0.25, y, stage, ha="right", va="center", fontsize=10, color=style.QUIET)
        for column, entry in enumerate(group):
            places[entry.name] = (column * _STEP_X, y)
            _box(ax, entry, column * _STEP_X, y, style.COLOURS[row % 4])
    for before, after in pairwise(entries):
        _arrow(ax, places[before.name], places[after.name])
    right = (max(len(group) for _, group in stages) - 1) * _STEP_X + _WIDE
    ax.set(xlim=(-2.85, right + 0.1), ylim=(-(len(stages) - 0.45) * _STEP_Y, 0.55))
    ax.axis("off")
    return fig, _in_words(stages)


def _box(ax, entry: Entry, x: float, y: float, colour: str) -> None:
    ground = colour if entry.exists else style.GROUND
    shape = FancyBboxPatch(
        (x, y - _HIGH / 2), _WIDE, _HIGH, boxstyle="round,pad=0,rounding_size=0.1",
        facecolor=ground, edgecolor=colour, linewidth=1.4, linestyle="-" if entry.exists else (0, (3, 2)),
    )  # fmt: skip
    ax.add_patch(shape)
    ink = style.text_colour(ground) if entry.exists else style.INK
    ax.text(x + 0.12, y, entry.number, ha="left", va="center", fontsize=10, fontweight="bold", color=ink)
    ax.text(x + 0.43, y, entry.title, ha="left", va="center", fontsize=9.5, color=ink)


def _arrow(ax, start: tuple[float, float], end: tuple[float, float]) -> None:
    """To the right within a stage; to the next stage down, back to the left, and down again."""
    if start[1] == end[1]:
        corners = [(start[0] + _WIDE, start[1]), end]
    else:
        below, above = start[0] + _WIDE / 2, end[0] + _WIDE / 2
        middle = (start[1] + end[1]) / 2
        corners = [
            (below, start[1] - _HIGH / 2),
            (below, middle),
            (above, middle),
            (above, end[1] + _HIGH / 2),
        ]
    line = {"arrowstyle": "-|>", "mutation_scale": 9, "color": style.QUIET, "linewidth": 1}
    ax.add_patch(FancyArrowPatch(path=Path(corners), **line))


def _in_words(stages: list[tuple[str, list[Entry]]]) -> str:
    def told(entry: Entry) -> str:
        return f"{entry.number} {entry.title}" + ("" if entry.exists else " (planned)")

    rows = "; ".join(f"{stage}: {', '.join(map(told, group))}" for stage, group in stages)
    count = sum(len(group) for _, group in stages)
    return f"The map of the course, {count} notebooks in {len(stages)} stages. {rows}."
