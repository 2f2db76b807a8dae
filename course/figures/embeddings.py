"""Vectors of tokens and positions: a lookup drawn, groups of words, a map, waves, likeness by distance, losses."""

from collections.abc import Mapping, Sequence

import numpy as np

from course.figures import style


@style.figure
def lookup(table: np.ndarray, row: int):
    """A one-hot vector times a table is a row of the table.

    Args:
        table: a small one, `(vocab_size, d_model)`.
        row: the id that is looked up.
    """
    table = np.asarray(table, dtype=float)
    size, width = table.shape
    one_hot = np.zeros((size, 1))
    one_hot[row] = 1
    fig, axes = style.canvas(1, 3, height=2.6, gridspec_kw={"width_ratios": [1, width, width]})
    most = max(np.abs(table).max(), 1e-9)
    parts = [("one-hot", one_hot, 1), ("x table", table, most), (f"= row {row}", table[row : row + 1], most)]
    for ax, (title, values, top) in zip(axes, parts, strict=True):
        first = row if len(values) == 1 else 0  # the result stands at the height of its row
        extent = (-0.5, values.shape[1] - 0.5, first + len(values) - 0.5, first - 0.5)
        ax.imshow(np.abs(values) / top * 0.6, cmap=style.HEAT, vmin=0, vmax=1, aspect="auto", extent=extent)
        for (y, x), value in np.ndenumerate(values):
            ground = style.HEAT(abs(value) / top * 0.6)[:3]
            ax.text(x, first + y, f"{value:g}", ha="center", va="center", color=style.text_colour(ground))
        style.panel_title(ax, title)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set(xticks=[], yticks=range(size) if len(values) == size else [], ylim=(size - 0.5, -0.5))
        ax.tick_params(length=0)
    style.headline(fig, "A lookup is a matrix multiplication")
    axes[1].axhspan(row - 0.48, row + 0.48, fill=False, edgecolor=style.BERRY, linewidth=2.5)
    return fig, (
        f"A one-hot column of {size} values with its 1 at position {row}, a table of {size} rows and {width} columns "
        f"with row {row} framed, and the result, which is row {row}: {', '.join(f'{v:g}' for v in table[row])}."
    )


@style.figure
def nearness(groups: Sequence[str], observed: np.ndarray, by_chance: np.ndarray):
    """Mean cosine inside each group of words, against groups filled by shuffling.

    Args:
        groups: their names.
        observed: `(groups,)`.
        by_chance: `(shuffles, groups)`; the bar is from the smallest to the largest.
    """
    low, high = by_chance.min(axis=0), by_chance.max(axis=0)
    fig, ax = style.canvas(height=0.8 + 0.42 * len(groups))
    places = np.arange(len(groups))
    ax.barh(places, high - low, left=low, height=0.5, color=style.SKY, label=f"{len(by_chance)} shuffles")
    ax.use_sticky_edges = False
    ax.plot(observed, places, linestyle="", marker=style.MARKERS[1], markersize=8, color=style.BERRY, label="the group")
    ax.set_yticks(places, groups)
    ax.invert_yaxis()
    ax.grid(visible=True, axis="x")
    ax.grid(visible=False, axis="y")
    ax.set(xlabel="mean cosine of two words of a group", title="Words that are used alike are near")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    said = [
        f"{name} {value:.2f} (shuffled at most {top:.2f})"
        for name, value, top in zip(groups, observed, high, strict=True)
    ]
    return fig, f"Mean cosine of two words in {len(groups)} groups, beside shuffled groups: {'; '.join(said)}."


@style.figure
def word_map(points: np.ndarray, words: Sequence[str], belongs: Sequence[int], groups: Sequence[str]):
    """Words as points in the plane, each group with its own colour and sign.

    Args:
        points: `(words, 2)`.
        words: their texts.
        belongs: for each word the index of its group.
        groups: names of at most six groups.
    """
    belongs = np.asarray(belongs)
    fig, ax = style.canvas(height=6.2)
    colours = (*style.COLOURS[:5], style.QUIET)
    for g, name in enumerate(groups):
        mine = belongs == g
        ax.plot(*points[mine].T, linestyle="", marker=style.MARKERS[g], color=colours[g], markersize=7, label=name)
    ax.set(title="Words on a map", xlabel="widest direction", ylabel="second widest")
    ax.margins(0.14)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=6, columnspacing=1.2, handletextpad=0.3)
    _write_words(fig, ax, np.asarray(points, dtype=float), words)
    sizes = [f"{int((belongs == g).sum())} {name}" for g, name in enumerate(groups)]
    return fig, f"Map of {len(words)} words seen from their two widest directions: {', '.join(sizes)}."


def _write_words(fig, ax, points: np.ndarray, words: Sequence[str], size: float = 9) -> None:
    """Each word beside its point, where it hides no other word and no point; a thin line leads to one far off."""
    fig.draw_without_rendering()  # lays the axes out, so that places are known
    scale = 72 / fig.dpi
    at = ax.transData.transform(points) * scale  # in typographic points, as text sizes are
    middle = at.mean(axis=0)
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in at]
    angles = np.arange(24) * 2 * np.pi / 24
    for i in np.argsort(-np.hypot(*(at - middle).T)):  # the outer ones first: they have room
        (x, y), width, height = at[i], 0.56 * size * len(words[i]) + 2, size + 1.5
        best, least = None, np.inf
        for far in (0, 8, 16, 24, 34, 46, 60):
            for angle in angles:
                dx = np.cos(angle) * (far + 5 + width / 2)
                dy = np.sin(angle) * (far + 5 + height / 2)
                box = (x + dx - width / 2, y + dy - height / 2, x + dx + width / 2, y + dy + height / 2)
                hidden = sum(_overlap(box, other) for other in taken)
                cost = 50 * hidden + far + 2 * abs(np.sin(angle)) + (np.cos(angle) < 0)
                if cost < least:
                    best, least = (dx, dy, far, box), cost
        dx, dy, far, box = best
        taken.append(box)
        line = {"arrowstyle": "-", "color": style.QUIET, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
        ax.annotate(
            words[i], points[i], xytext=(dx, dy), textcoords="offset points", fontsize=size, ha="center",
            va="center", arrowprops=line if far else None,
        )  # fmt: skip


def _overlap(a: tuple, b: tuple) -> float:
    """The area that two boxes (left, bottom, right, top) share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


@style.figure
def positions(table: np.ndarray):
    """Heat map of position vectors, a row for each position.

    Args:
        table: `(length, d_model)`.
    """
    fig, ax = style.canvas(height=4.4)
    most = float(np.abs(table).max())
    image = ax.imshow(table, cmap=style.DIVERGING, vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    ax.grid(visible=False)
    ax.set(xlabel="column: sines in even ones, cosines in odd ones", ylabel="position", title="Positions made of waves")
    bar = fig.colorbar(image, ax=ax, pad=0.015, fraction=0.04)
    bar.outline.set_visible(False)
    bar.set_label("value: berry is negative, navy positive")
    length, width = table.shape
    return fig, (
        f"Heat map of {length} positions by {width} columns: fast stripes on the left, slower and slower to the right, "
        "where columns hardly change."
    )


@style.figure
def by_distance(curves: Mapping[str, Sequence[float]]):
    """How alike two positions are, by how far apart they are.

    Args:
        curves: for each kind of positions the mean cosine at distance 0, 1, 2, ...
    """
    fig, ax = style.canvas(height=3.6)
    for i, (name, values) in enumerate(curves.items()):
        ax.plot(values, color=style.COLOURS[i], linestyle=style.LINESTYLES[i], label=name)
    ax.axhline(0, color=style.QUIET, linewidth=0.8)
    ax.set(xlabel="distance in tokens", ylabel="mean cosine, centred", title="How alike positions are, by distance")
    ax.legend()
    said = [f"{name} falls from 1 to {values[1]:.2f} at distance 1 and {values[-1]:.2f} at {len(values) - 1}"
            for name, values in curves.items()]  # fmt: skip
    return fig, f"Mean cosine of two positions by distance: {'; '.join(said)}."


@style.figure
def losses(curves: Mapping[str, Sequence[float]], smooth: int = 20):
    """Training losses by step, each a running mean over `smooth` steps.

    Args:
        curves: for each model its losses, in nats per token.
    """
    fig, ax = style.canvas(height=3.4)
    said = []
    for i, (name, values) in enumerate(curves.items()):
        width = min(smooth, len(values))
        mean = np.convolve(values, np.ones(width) / width, mode="valid")
        steps = np.arange(width, width + len(mean))
        ax.plot(steps, mean, color=style.COLOURS[i + 1], linestyle=style.LINESTYLES[i], label=name)
        said.append(f"{name} ends at {mean[-1]:.2f}")
    ax.set(xlabel="steps", ylabel="nats per token", title="The same tokens, with and without their order")
    ax.legend()
    return fig, f"Training loss by step, smoothed: {'; '.join(said)}."
