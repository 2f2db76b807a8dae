"""Vectors of tokens and positions: a lookup drawn, groups of words, a map, waves, likeness by distance, losses."""

from collections.abc import Mapping, Sequence

import numpy as np

from helpers.figures import style


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
    parts = [("one-hot", one_hot, 1), ("table", table, most), (f"row {row}", table[row : row + 1], most)]
    for ax, (title, values, top) in zip(axes, parts, strict=True):
        ax.imshow(np.abs(values) / top * 0.6, cmap=style.HEAT, vmin=0, vmax=1, aspect="auto")
        for (y, x), value in np.ndenumerate(values):
            ground = style.HEAT(abs(value) / top * 0.6)[:3]
            ax.text(x, y, f"{value:g}", ha="center", va="center", color=style.text_colour(ground))
        ax.set_title(title, fontsize=10.5, fontweight="normal")
        ax.grid(visible=False)
        ax.set(xticks=[], yticks=range(size) if values is not parts[2][1] else [])
        ax.tick_params(length=0)
    axes[1].axhspan(row - 0.48, row + 0.48, fill=False, edgecolor=style.BERRY, linewidth=2.5)
    return fig, (
        f"A one-hot column of {size} numbers with its 1 at place {row}, a table of {size} rows and {width} columns "
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
    for (x, y), word in zip(points, words, strict=True):
        ax.annotate(word, (x, y), xytext=(5, 3), textcoords="offset points", fontsize=8.5)
    ax.set(title="Words on a map", xlabel="widest direction", ylabel="second widest")
    ax.margins(0.1)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=6, columnspacing=1.2, handletextpad=0.3)
    sizes = [f"{int((belongs == g).sum())} {name}" for g, name in enumerate(groups)]
    return fig, f"Map of {len(words)} words seen from their two widest directions: {', '.join(sizes)}."


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
    ax.set(xlabel="step", ylabel="loss (nats per token)", title="The same tokens, with and without their order")
    ax.legend()
    return fig, f"Training loss by step, smoothed: {'; '.join(said)}."
