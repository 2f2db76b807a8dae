"""Training in pictures: the shift, the first loss, optimizers, learning rates, gradients, error bars, resuming."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from course.figures import style, words
from course.figures.language_models import label


@style.figure
def shifted(tokens: Sequence[str]):
    """A sequence of tokens as inputs and, one position further, as targets.

    Args:
        tokens: the sequence, from the end token before the text on.
    """
    inputs, targets = [label(token) for token in tokens[:-1]], [label(token) for token in tokens[1:]]
    fig, ax = style.canvas(height=1.9)
    for i, (read, target) in enumerate(zip(inputs, targets, strict=True)):
        for y, text, colour in ((1.0, target, style.ORANGE), (0.0, read, style.SKY)):
            ax.text(i, y, text, ha="center", va="center", fontsize=9, family="monospace",
                    bbox={"boxstyle": "round,pad=0.35", "fc": colour, "ec": style.QUIET, "lw": 0.7},
                    color=style.text_colour(colour))  # fmt: skip
        ax.annotate("", (i, 0.72), (i, 0.28), arrowprops={"arrowstyle": "-|>", "color": style.INK, "lw": 1.2})
        if i + 1 < len(inputs):
            ax.plot([i + 0.12, i + 0.88], [0.72, 0.28], color=style.QUIET, linewidth=1, linestyle=":")
    for y, name in ((0.0, "inputs"), (1.0, "targets")):
        ax.text(-0.75, y, name, ha="right", va="center", color=style.QUIET)
    ax.set(
        xlim=(-1.7, len(inputs) - 0.4), ylim=(-0.45, 1.45), title="Every token is a question, and the next the answer"
    )
    ax.axis("off")
    return fig, words.told(
        "Two rows of boxes, the same tokens in both, one place apart: the target at a position is the input at the "
        "next, as dotted lines show",
        f"Below, the inputs: {' '.join(inputs)}",
        f"Above, from each an arrow to its target: {' '.join(targets)}",
    )


@style.figure
def first_losses(losses: Mapping[str, np.ndarray], ln_v: float):
    """How the losses of single tokens lie before training, with ln V marked, all on the same scale.

    Args:
        losses: for each initialization the loss of every token, in nats.
        ln_v: what equal guessing costs.
    """
    fig, axes = style.canvas(1, len(losses), height=2.7, squeeze=False)
    said = []
    edges = np.arange(0, 1.05 * max(ln_v, *map(np.max, losses.values())) + 1)  # a bar for each nat
    for i, (ax, (name, values)) in enumerate(zip(axes[0], losses.items(), strict=True)):
        values = np.asarray(values, dtype=float)
        per_cent = np.full(len(values), 100 / len(values))
        ax.hist(values, bins=edges, weights=per_cent, color=(style.BLUE, style.ORANGE)[i % 2],
                hatch=style.HATCHES[i % 2], edgecolor=style.GROUND, linewidth=0.4)  # fmt: skip
        ax.axvline(ln_v, color=style.INK, linewidth=1.6, linestyle="--")
        ax.text(ln_v, 0.97, " ln V", transform=ax.get_xaxis_transform(), va="top", fontsize=9.5)
        ax.set(xlabel="nats", xlim=(0, edges[-1]))
        style.panel_title(ax, f"{name}: mean {values.mean():.2f}")
        said.append(f"{name}: {_around(values, ln_v)}")
    axes[0][0].set_ylabel("per cent of the tokens")
    style.headline(fig, "The loss of every token before the first step")
    return fig, words.told(
        f"Histograms of the loss of every token before the first step, with a line at ln V, {ln_v:.2f}", *said
    )


def _around(values: np.ndarray, ln_v: float) -> str:
    """How many of the losses lie near ln V, and how many above it."""
    near, above = np.mean(np.abs(values - ln_v) <= 1), np.mean(values > ln_v)
    where = (
        f"a narrow heap at the line, {near:.0%} within one nat of it"
        if near > 0.9
        else f"spread out, {near:.0%} within one nat of the line and {above:.0%} above it"
    )
    return f"{where}; the mean is {values.mean():.2f}, the range {values.min():.1f} to {values.max():.1f}"


@style.figure
def curves(lines: Mapping[str, Sequence[float]], title: str, ylabel: str = "nats per token", *,
           xlabel: str = "steps", x: Sequence[float] | None = None, levels: Mapping[str, float] | None = None,
           marks: Mapping[str, float] | None = None, log: bool = False, zero: bool = False):  # fmt: skip
    """Several lines over steps, told apart by colour and dashes.

    Args:
        lines: named values; x: where they stand, 1, 2, 3, ... if None.
        levels: named horizontal lines; marks: named vertical ones.
        log: a logarithmic scale; zero: a scale that begins at zero. Otherwise it holds what is drawn and no more.
    """
    fig, ax = style.canvas(height=3.3)
    for i, (name, values) in enumerate(lines.items()):
        at = range(1, len(values) + 1) if x is None else x[: len(values)]
        ax.plot(at, values, color=style.COLOURS[(i + 2) % 5 if i else 2], linestyle=style.LINESTYLES[i % 6],
                linewidth=1.7, label=name)  # fmt: skip
    style.levels(ax, levels or {}, ".3g")
    for name, value in (marks or {}).items():
        ax.axvline(value, color=style.QUIET, linewidth=1.1, linestyle="--")
        ax.text(value, 0.98, f" {name}", transform=ax.get_xaxis_transform(), va="top", fontsize=9)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    elif zero:
        ax.set_ylim(bottom=0)
    if len(lines) > 1:
        ax.legend()
    place = xlabel.removesuffix("s") + " {}"
    marked = ", ".join(f"{name} at {place.format(words.place(value))}" for name, value in (marks or {}).items())
    ends = {name: values[-1] for name, values in lines.items()}
    return fig, words.told(
        f"“{title}”: {ylabel} over {xlabel}{', on a logarithmic scale' if log else ''}"
        + (f". Marked: {marked}" if marked else ""),
        words.lines(lines, x, at=place, log=log),
        f"Lowest at the end first: {words.ranking(ends)}" if len(lines) > 1 else "",
        _beginnings(lines, place.format(words.place(1 if x is None else x[0]))),
        *(_beside(lines, name, level) for name, level in (levels or {}).items()),
    )


def _beginnings(lines: Mapping[str, Sequence[float]], where: str) -> str:
    """Where the lines begin, if they do not begin together."""
    starts = {name: values[0] for name, values in lines.items()}
    low, high = words.span(lines.values())
    if len(lines) == 1 or max(starts.values()) - min(starts.values()) < 0.05 * (high - low):
        return ""
    return f"At {where}: {words.ranking(starts)}"


def _beside(lines: Mapping[str, Sequence[float]], name: str, level: float) -> str:
    """Which lines end above a level and which below it; of one line, how much of it lies above."""
    at = f"the level {name}, {words.number(level)}"
    if len(lines) == 1:
        values = np.asarray(next(iter(lines.values())), dtype=float)
        return f"{np.mean(values > level):.0%} of its points lie above {at}"
    below = [line for line, values in lines.items() if values[-1] < level]
    if len(below) in (0, len(lines)):
        return f"All end {'below' if below else 'at or above'} {at}"
    return f"Below {at}, {words.listing(below)} {'end' if len(below) > 1 else 'ends'}"


@style.figure
def valleys(valleys: Mapping[str, tuple[Sequence, Mapping[str, Sequence]]]):
    """The ways that optimizers take down long valleys, on maps of the loss: a row for each valley.

    Args:
        valleys: for each the matrix H of its loss, point @ H @ point / 2, and for each optimizer the points it visits.
    """
    columns = max(len(paths) for _, paths in valleys.values())
    fig, axes = style.canvas(len(valleys), columns, height=2.3 * len(valleys), squeeze=False, sharex=True, sharey="row")
    said = {}
    for row, (place, (curvature, paths)) in zip(axes, valleys.items(), strict=True):
        points = np.concatenate([np.asarray(path, dtype=float) for path in paths.values()])
        wide, high = 2.4, 1.15 * max(np.abs(points[:, 1]).max(), 0.5)
        x, y = np.meshgrid(np.linspace(-wide, wide, 80), np.linspace(-high, high, 60))
        (a, b), (_, d) = np.asarray(curvature, dtype=float)
        loss = (a * x**2 + 2 * b * x * y + d * y**2) / 2
        for ax, (name, path) in zip(row, paths.items(), strict=True):
            ax.contourf(x, y, np.sqrt(loss), levels=9, cmap=style.HEAT, alpha=0.55)
            path = np.asarray(path, dtype=float)
            ax.plot(*path.T, color=style.BERRY, linestyle="-", marker="o", markersize=3, linewidth=1.3)
            ax.plot(0, 0, marker="P", color=style.INK, markersize=8)
            style.panel_title(ax, name)
            ax.grid(visible=False)
            ax.set(xlim=(-wide, wide), ylim=(-high, high))
            said[place, name] = (_swings(path, curvature), float(np.hypot(*path[-1])), len(path) - 1)
        row[0].set_ylabel(place)
    style.headline(fig, "Down a long valley")
    return fig, _ways_down(said)


def _swings(path: np.ndarray, curvature) -> int:
    """How often a path goes from one wall of its valley to the other: across the steepest direction."""
    steepest = np.linalg.eigh(np.asarray(curvature, dtype=float))[1][:, -1]
    across = path @ steepest
    across = across[np.abs(across) > 0.01 * max(np.abs(across).max(), 1e-12)]
    return int((np.sign(across[1:]) != np.sign(across[:-1])).sum())


def _ways_down(said: Mapping[tuple[str, str], tuple[int, float, int]]) -> str:
    """How each optimizer goes down each valley, and for which it matters that the valley is turned."""
    places, names = list(dict.fromkeys(place for place, _ in said)), list(dict.fromkeys(name for _, name in said))
    steps = max(each[2] for each in said.values())
    rows = []
    for place in places:
        ways = []
        for name in names:
            if (place, name) in said:
                swings, left, _ = said[place, name]
                sides = f"crosses the valley {swings} times" if swings > 1 else "does not swing from wall to wall"
                ways.append(f"{name} {sides}, {left:.2g} away at the end")
        rows.append(f"{place}: {'; '.join(ways)}")
    changed = []
    if len(places) == 2:
        ends = {name: [said[place, name][1] + 1e-12 for place in places if (place, name) in said] for name in names}
        changed = [name for name, (*left, last) in ends.items() if left and not 0.5 < last / left[0] < 2]
    turned = f"Between the two rows the end changes by more than a factor of two for {words.listing(changed)} alone"
    if len(places) == 2 and not changed:
        turned = "Between the two rows no end changes by more than a factor of two"
    return words.told(
        f"Paths of {steps} steps down a long valley, steep across and flat along it, to its lowest point, a cross",
        *rows,
        turned if len(places) == 2 else "",
    )


@style.figure
def spectra(values: Mapping[str, Sequence[float]], title: str):
    """Singular values of several matrices, largest first, each set divided by its largest, on a logarithmic axis."""
    fig, ax = style.canvas(height=3.1)
    said = []
    for i, (name, sizes) in enumerate(values.items()):
        sizes = np.asarray(sizes, dtype=float) / max(sizes)
        ax.plot(range(1, len(sizes) + 1), sizes, color=style.COLOURS[i + 1], linestyle=style.LINESTYLES[i], label=name)
        middle = sizes[len(sizes) // 2]
        said.append((name, middle, int((sizes >= 0.1).sum()), len(sizes)))
    ax.set(xlabel="direction, the loudest first", ylabel="size, over the largest", yscale="log", title=title)
    ax.set_ylim(bottom=1e-4)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="lower left")
    flattest = max(said, key=lambda each: each[1])[0]
    each = "; ".join(
        f"{name}: {loud} of {many} directions have a tenth of the largest or more, the middle one "
        f"{words.number(middle)} of it"
        for name, middle, loud, many in said
    )
    return fig, words.told(
        "Singular values, the largest first, each line over its own largest, on a logarithmic scale; a line that stays "
        "high has directions that are about equally loud",
        each,
        f"Of the lines {flattest} stays highest in its middle" if len(said) > 1 else "",
    )


@style.figure
def sweep(lrs: Sequence[float], losses: Mapping[str, Sequence[float]], first: float):
    """The loss after a fixed number of steps against the highest learning rate, which is on a logarithmic axis.

    Args:
        lrs: highest learning rates.
        losses: for each way of training the loss at each of them, perhaps nan.
        first: the loss before training: what is above it is cut off there.
    """
    fig, ax = style.canvas(height=3.3)
    said = {}
    for i, (name, values) in enumerate(losses.items()):
        shown = np.minimum(np.nan_to_num(np.asarray(values, dtype=float), nan=first), first)
        ax.plot(
            lrs, shown, color=style.COLOURS[i + 1], marker=style.MARKERS[i], linestyle=style.LINESTYLES[i], label=name
        )
        said[name] = shown
    ax.set(xscale="log", xlabel="highest learning rate", ylabel="nats per token", title="How fast may it learn?")
    ax.set_xticks(lrs, [f"{lr:g}" for lr in lrs])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.axhline(first, color=style.INK, linewidth=1.1, linestyle=":")
    ax.text(lrs[0], first, "before training", va="bottom", fontsize=9)
    ax.legend()
    return fig, _valley_of(lrs, said, first)


def _valley_of(lrs: Sequence[float], shown: Mapping[str, np.ndarray], first: float) -> str:
    """At which learning rate each line is lowest, how much is lost on either side, and whether the lines lie close."""
    said = []
    for name, values in shown.items():
        best, write = int(values.argmin()), words.fixed(2)
        text = f"{name} is lowest at {lrs[best]:g}, {write(values[best])}"
        sides = []
        if best > 0:
            sides.append(f"{write(values[0])} at the smallest rate ({lrs[0]:g})")
        if best < len(lrs) - 1:
            sides.append(f"{write(values[-1])} at the largest ({lrs[-1]:g})")
        shape = "; higher on both sides: " if len(sides) == 2 else ", at an end of the line; " if sides else ""
        said.append(text + shape + " and ".join(sides))
    lines = list(shown.values())
    gap = max((float(np.abs(a - b).max()) for a in lines for b in lines), default=0.0)
    close = f"The lines lie close together, {gap:.2f} apart at most" if gap < 0.05 * first else (
        f"The lines are up to {gap:.2f} apart")  # fmt: skip
    cut = [f"{name} at {lrs[i]:g}" for name, values in shown.items() for i in np.flatnonzero(values >= first)]
    return words.told(
        f"Loss after training against the highest learning rate, {len(lrs)} of them on a logarithmic axis, and a line "
        f"at the loss before training, {first:.2f}",
        *said,
        close if len(lines) > 1 else "",
        f"Not better than before training: {words.listing(cut)}" if cut else "",
    )


@style.figure
def measured_again(samples: Mapping[str, Sequence[tuple[float, float]]], true: float, title: str):
    """The same loss measured again and again, each time with an error bar.

    Args:
        samples: for each way of measuring pairs (loss, standard error).
        true: the loss on everything.
    """
    fig, axes = style.canvas(1, len(samples), height=3.0, squeeze=False, sharey=True)
    said = []
    for i, (ax, (name, pairs)) in enumerate(zip(axes[0], samples.items(), strict=True)):
        losses, errors = np.asarray(pairs, dtype=float).T
        ax.errorbar(range(1, len(losses) + 1), losses, yerr=2 * errors, fmt=style.MARKERS[i],
                    color=style.COLOURS[1 + i], ecolor=style.QUIET, elinewidth=1.1, capsize=2)  # fmt: skip
        ax.axhline(true, color=style.INK, linewidth=1.1, linestyle=":")
        style.panel_title(ax, name)
        ax.set_xlabel("measurement")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        inside = int((np.abs(losses - true) <= 2 * errors).sum())
        said.append((name, losses, errors, inside))
    axes[0][0].set_ylabel("nats per token")
    style.headline(fig, title)
    longest = {name: float(errors.mean()) for name, _, errors, _ in said}
    first, last = list(longest)[0], list(longest)[-1]
    ratio = longest[first] / max(longest[last], 1e-12)
    return fig, words.told(
        f"Losses measured again and again, each with a bar of two standard errors, and a line at the loss on "
        f"everything, {true:.3f}",
        f"The bars of {first} are {ratio:.1f} times as long on average as those of {last}" if len(longest) > 1 else "",
        *(
            f"{name}: the points lie between {losses.min():.3f} and {losses.max():.3f}, and {inside} of {len(losses)} "
            f"bars reach the line"
            for name, losses, _, inside in said
        ),
    )


@style.figure
def bars(values: Mapping[str, float], title: str, xlabel: str):
    """Named values as horizontal bars, with the values written beside them."""
    fig, ax = style.canvas(height=0.45 * len(values) + 1.2)
    ax.barh(range(len(values)), list(values.values()), color=style.BLUE, height=0.6)
    for y, value in enumerate(values.values()):
        ax.text(value, y, f"  {value:.2g}", va="center", fontsize=9.5)
    ax.set_yticks(range(len(values)), list(values))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    ax.set(xlabel=xlabel, title=title, xlim=(0, 1.15 * max(values.values())))
    most = max(values.values())
    unseen = [name for name, value in values.items() if value < 0.005 * most]
    return fig, words.told(
        f"Bars, “{title}” ({xlabel}), from the longest to the shortest: {words.ranking(values, _two, lowest=False)}",
        f"{words.listing(unseen)} {'is' if len(unseen) == 1 else 'are'} too short to be seen" if unseen else "",
    )


def _two(value: float) -> str:
    """Two digits, as they are written beside the bars."""
    return words.number(float(f"{value:.2g}"))
