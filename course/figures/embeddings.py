"""Vectors of tokens and positions: a lookup drawn, groups of words, a map, waves, likeness by distance, losses."""

from collections.abc import Mapping, Sequence

import numpy as np

from course.figures import style, words


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
    fig, axes = style.canvas(1, 3, height=2.6, gridspec_kw={"width_ratios": [1.5, width, width]})
    most = max(np.abs(table).max(), 1e-9)
    parts = [("one-hot, upright", one_hot, 1), ("× table", table, most), (f"= row {row}", table[row : row + 1], most)]
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
        f"A one-hot vector picks out one row. It is drawn upright, {size} values, all 0 but a 1 at position {row}; "
        f"beside it stands a table of {size} rows and {width} columns with row {row} framed; the product is row {row} "
        f"alone: {', '.join(f'{v:g}' for v in table[row])}."
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
    return fig, _beyond_chance(groups, observed, low, high, len(by_chance))


def _beyond_chance(groups: Sequence[str], observed, low, high, shuffles: int) -> str:
    """Which groups lie beyond all shuffles, from the tightest to the loosest."""
    order, write = sorted(range(len(groups)), key=lambda g: -observed[g]), words.fixed(2)
    beyond = [g for g in order if observed[g] > high[g]]
    among = [groups[g] for g in order if g not in beyond]
    if not among:
        lead = f"All {len(groups)} groups lie to the right of all their shuffles" if len(groups) > 1 else (
            "The group lies to the right of all its shuffles")  # fmt: skip
    elif beyond:
        some = f"{len(beyond)} of {len(groups)} groups"
        lead = f"{some} lie to the right of all their shuffles, not {words.listing(among)}"
    else:
        lead = "No group lies to the right of all its shuffles"
    said = ", ".join(f"{groups[g]} {write(observed[g])} (shuffled {write(low[g])} to {write(high[g])})" for g in order)
    return words.told(
        f"The mean cosine of two words of a group, as a point, beside a bar from the least to the most of {shuffles} "
        f"shuffles. {lead}",
        f"From the tightest group to the loosest: {said}" if len(groups) > 1 else said,
    )


@style.figure
def word_map(points: np.ndarray, texts: Sequence[str], belongs: Sequence[int], groups: Sequence[str]):
    """Words as points in the plane, each group with its own colour and sign.

    Args:
        points: `(words, 2)`.
        texts: the words.
        belongs: for each word the index of its group.
        groups: names of at most six groups.
    """
    belongs = np.asarray(belongs)
    fig, ax = style.canvas(height=4.65)
    colours = (*style.COLOURS[:5], style.QUIET)
    for g, name in enumerate(groups):
        mine = belongs == g
        ax.plot(*points[mine].T, linestyle="", marker=style.MARKERS[g], color=colours[g], markersize=7, label=name)
    ax.set(title="Words on a map", xlabel="widest direction", ylabel="second widest")
    ax.margins(0.14)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=6, columnspacing=1.2, handletextpad=0.3)
    _write_words(fig, ax, np.asarray(points, dtype=float), texts)
    return fig, _islands(np.asarray(points, dtype=float), texts, belongs, groups)


def _islands(points: np.ndarray, texts: Sequence[str], belongs: np.ndarray, groups: Sequence[str]) -> str:
    """Which groups are islands, which lie among each other, and which words are far from their own."""
    present = [g for g in range(len(groups)) if (belongs == g).any()]
    centers = {g: np.median(points[belongs == g], axis=0) for g in present}
    far = {g: np.hypot(*(points - centers[g]).T) for g in present}  # of every word from each center
    radius = {g: float(np.median(far[g][belongs == g])) for g in present}
    touching = {g: [h for h in present if h != g and np.hypot(*(centers[g] - centers[h])) < 3 * (radius[g] + radius[h])]
                for g in present}  # fmt: skip
    alone = [g for g in present if not touching[g]]
    among = sorted({tuple(sorted((g, h))) for g in present for h in touching[g]})
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    strays = [text for i, text in enumerate(texts)
              if far[belongs[i]][i] > 4 * max(radius[belongs[i]], 1e-9)
              and far[belongs[i]][i] > 0.15 * np.hypot(*np.ptp(points, axis=0))]  # fmt: skip
    placed = ", ".join(f"{groups[g]} {_corner(centers[g], middle)}" for g in alone)
    mixed = ", ".join(f"{groups[g]} and {groups[h]}" for g, h in among)
    sizes = ", ".join(f"{int((belongs == g).sum())} {groups[g]}" for g in present)
    return words.told(
        f"A map of {len(texts)} words seen from their two widest directions, a color and a sign a group: {sizes}",
        f"Groups apart from all others: {placed}" if alone else "No group lies apart from all others",
        f"Close to each other or mixed: {mixed}" if among else "",
        f"Words far from their own group: {', '.join(strays)}" if strays else "No word is far from its own group",
    )


def _corner(point: np.ndarray, middle: np.ndarray) -> str:
    """Where on the map something lies."""
    return f"at the {'top' if point[1] > middle[1] else 'bottom'} {'right' if point[0] > middle[0] else 'left'}"


def _write_words(fig, ax, points: np.ndarray, texts: Sequence[str], size: float = 9) -> None:
    """Each word beside its point, where it hides no other word and no point; a thin line leads to one far off."""
    fig.draw_without_rendering()  # lays the axes out, so that places are known
    scale = 72 / fig.dpi
    at = ax.transData.transform(points) * scale  # in typographic points, as text sizes are
    middle = at.mean(axis=0)
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in at]
    angles = np.arange(24) * 2 * np.pi / 24
    for i in np.argsort(-np.hypot(*(at - middle).T)):  # the outer ones first: they have room
        (x, y), width, height = at[i], 0.56 * size * len(texts[i]) + 2, size + 1.5
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
            texts[i], points[i], xytext=(dx, dy), textcoords="offset points", fontsize=size, ha="center",
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
    image = ax.imshow(table, cmap=style.HEAT, vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    ax.grid(visible=False)
    ax.set(xlabel="column: sines in even ones, cosines in odd ones", ylabel="position", title="Positions made of waves")
    bar = fig.colorbar(image, ax=ax, pad=0.015, fraction=0.04)
    bar.outline.set_visible(False)
    bar.set_label("value: the darker, the larger")
    return fig, _stripes(np.asarray(table, dtype=float))


def _stripes(table: np.ndarray) -> str:
    """How often the columns change their sign from the first position to the last: whether they are waves, and which
    are the fast ones.
    """
    length, width = table.shape
    changes = (np.diff(np.sign(table), axis=0) != 0).sum(axis=0)
    thirds = [float(part.mean()) for part in np.array_split(changes, min(3, width))]
    each = words.listing(f"{many:.0f}" for many in thirds)
    still = int((np.ptp(table, axis=0) < 0.25 * max(np.ptp(table), 1e-12)).sum())
    slower = all(b <= a for a, b in zip(changes[::2], changes[2::2], strict=False)) and changes[0] > changes[-1]
    lead = (
        "Stripes that are fast in the columns on the left and slower column by column to the right"
        if slower
        else "No order of fast and slow columns from left to right is seen"
    )
    return words.told(
        f"Heat map of the vectors of {length} positions, a row each, with {width} columns. {lead}",
        f"On average over the {'left, the middle and the right third' if len(thirds) == 3 else 'columns from left'}, a "
        f"column changes its sign {each} times on the way down",
        f"{still} of {width} columns hardly change from the first position to the last" if still else "",
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
    ax.set(xlabel="distance in tokens", ylabel="mean cosine, centered", title="How alike positions are, by distance")
    ax.legend()
    longest = max(map(len, curves.values()))
    near = ", ".join(f"{name} {words.fixed(2)(values[1])}" for name, values in curves.items() if len(values) > 1)
    return fig, words.told(
        f"The mean cosine of two positions against their distance, 0 to {longest - 1} tokens",
        words.lines(curves, range(longest), at="distance {}", write=words.fixed(2)),
        f"At distance 1: {near}",
    )


@style.figure
def losses(curves: Mapping[str, Sequence[float]], smooth: int = 20):
    """Training losses by step, each a running mean over `smooth` steps.

    Args:
        curves: for each model its losses, in nats per token.
    """
    fig, ax = style.canvas(height=3.4)
    drawn, at = {}, {}
    for i, (name, values) in enumerate(curves.items()):
        width = min(smooth, len(values))
        mean = np.convolve(values, np.ones(width) / width, mode="valid")
        steps = np.arange(width, width + len(mean))
        ax.plot(steps, mean, color=style.COLOURS[i + 1], linestyle=style.LINESTYLES[i], label=name)
        drawn[name], at[name] = mean, steps
    ax.set(xlabel="steps", ylabel="nats per token", title="The same tokens, with and without their order")
    ax.legend()
    extent = words.span(drawn.values())
    ends = {name: float(mean[-1]) for name, mean in drawn.items()}
    order = words.ranking(ends, lambda value: f"{value:.2f}")
    return fig, words.told(
        f"Training loss in nats per token by step, smoothed; lowest at the end first: {order}",
        "; ".join(f"{name} {words.shape(mean, at[name], span=extent)}" for name, mean in drawn.items()),
        _parted(drawn, at),
    )


def _parted(drawn: Mapping[str, np.ndarray], at: Mapping[str, np.ndarray]) -> str:
    """Where there are two lines: from which step on one stays below the other, and by how much at the end."""
    if len(drawn) != 2 or len({len(mean) for mean in drawn.values()}) != 1:
        return ""
    lower, upper = sorted(drawn, key=lambda name: drawn[name][-1])
    step = words.stays_below(drawn[lower], drawn[upper], at[lower])
    if step is None:
        return ""
    gap = drawn[upper] - drawn[lower]
    widest = ", where the gap is widest" if gap[-1] >= 0.98 * gap.max() and len(gap) > 1 else ""
    return f"{lower} stays below {upper} from step {step:,.0f} on, at the end by {gap[-1]:.2f}{widest}"
