"""The picture at the top of README.md: what three minutes on two cores come to, from recorded runs."""

import textwrap
from collections.abc import Mapping, Sequence
from statistics import median

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from course.figures import style

LINE = 100  # letters of the story in a line
LOOK = {"hero": (style.BERRY, "-"), "friend": (style.BLUE, "--"), "toy": (style.TEAL, "-.")}


@style.figure
def overview(logs: Sequence[Sequence[Mapping]], floor: float, story: str):
    """Validation loss over the floor, names and things remembered, and a story.

    Args:
        logs: for each seed the rows of its recorded run, with "step", "val_loss" and "skills".
        floor: the lowest loss there can be on the same stories, in nats per token.
        story: told by a trained model.
    """
    fig = Figure(figsize=(style.WIDTH, 5.4), layout="constrained")
    panels = fig.subplot_mosaic([["loss", "skills"], ["story", "story"]], height_ratios=[3, 2])
    left, right, below = panels["loss"], panels["skills"], panels["story"]
    ends = []
    for number, rows in enumerate(logs):
        points = [(row["step"], row["val_loss"] / floor) for row in rows if row.get("val_loss") is not None]
        label = f"{len(logs)} seeds" if number == 0 else None
        left.plot(*zip(*points, strict=True), color=style.NAVY, linewidth=1.3, marker="o", markersize=3, label=label)
        ends.append(points[-1][1])
    left.axhline(1, color=style.ORANGE, linewidth=2.4, linestyle="-")
    left.text(0.98, 1.03, "the floor", transform=left.get_yaxis_transform(), ha="right", va="bottom", fontsize=9.5)
    left.set(yscale="log", xlabel="step", ylabel="times the floor", ylim=(0.94, None))
    shown = [tick for tick in (1, 1.5, 2, 3, 4, 6, 8) if tick <= left.get_ylim()[1]]
    left.set_yticks(shown, [f"{tick:g}" for tick in shown])
    left.yaxis.set_minor_locator(NullLocator())
    left.legend(loc="upper right")
    style.panel_title(left, "validation loss")
    arrived = []
    for role, (colour, line) in LOOK.items():
        by_step = list(zip(*(_right(rows, role) for rows in logs), strict=True))
        steps = [row["step"] for row in logs[0] if row.get("skills")]
        middle = [median(values) for values in by_step]
        right.plot(steps, middle, color=colour, linestyle=line, label=role)
        right.fill_between(steps, [min(v) for v in by_step], [max(v) for v in by_step], color=colour, alpha=0.15)
        half = next((step for step, value in zip(steps, middle, strict=True) if value >= 50), None)
        arrived.append(
            f"the {role} " + (f"from step {half:,} on" if half else "never") + f", {middle[-1]:.0f}% at the end"
        )
    right.set(xlabel="step", ylabel="right, per cent", ylim=(0, 103))
    right.legend(loc="lower right")
    style.panel_title(right, "mentioned again, and right")
    below.axis("off")
    lines = textwrap.wrap(" ".join(story.split()), LINE)
    below.text(
        0, 1, "\n".join(lines), ha="left", va="top", fontsize=9, style="italic", linespacing=1.4, in_layout=False
    )
    style.panel_title(below, "a story that the shipped model tells")
    last = logs[0][-1]["step"]
    return fig, (
        f"Two curves and a story. Left: over {last:,} steps the validation loss of {len(logs)} runs falls to "
        f"{min(ends):.2f} to {max(ends):.2f} times the floor, a line at 1. Right, medians of the runs: half or more of "
        f"the mentions are right: {'; '.join(arrived)}. Below: {story}"
    )


def _right(rows: Sequence[Mapping], role: str) -> list[float]:
    """How many per cent of a role's mentions were right, at each step that was followed."""
    return [100 * row["skills"][role]["right"] for row in rows if row.get("skills")]
