"""Training in pictures: the shift, the first loss, optimizers, learning rates, gradients, error bars, resuming."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from course.figures import style
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
    return fig, (
        f"Two rows of boxes. Below, the inputs: {' '.join(inputs)}. Above, the target at each position, the token "
        f"after it: {' '.join(targets)}. Dotted lines show that each answer is the next question."
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
        said.append(f"{name}: mean {values.mean():.2f}, from {values.min():.1f} to {values.max():.1f}")
    axes[0][0].set_ylabel("per cent of the tokens")
    style.headline(fig, "The loss of every token before the first step")
    return fig, f"Histograms of the first losses, with ln V at {ln_v:.2f} marked. {'; '.join(said)}."


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
    said = []
    for i, (name, values) in enumerate(lines.items()):
        at = range(1, len(values) + 1) if x is None else x[: len(values)]
        ax.plot(at, values, color=style.COLOURS[(i + 2) % 5 if i else 2], linestyle=style.LINESTYLES[i % 6],
                linewidth=1.7, label=name)  # fmt: skip
        said.append(f"{name} from {values[0]:.3g} to {values[-1]:.3g}")
    style.levels(ax, levels or {}, ".3g")
    said += [f"a line marks {name} at {value:.3g}" for name, value in (levels or {}).items()]
    for name, value in (marks or {}).items():
        ax.axvline(value, color=style.QUIET, linewidth=1.1, linestyle="--")
        ax.text(value, 0.98, f" {name}", transform=ax.get_xaxis_transform(), va="top", fontsize=9)
        said.append(f"{name} is marked at {value:g}")
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
    return fig, f"{title}. Lines over {xlabel}: {'; '.join(said)}."


@style.figure
def valleys(valleys: Mapping[str, tuple[Sequence, Mapping[str, Sequence]]]):
    """The ways that optimizers take down long valleys, on maps of the loss: a row for each valley.

    Args:
        valleys: for each the matrix H of its loss, point @ H @ point / 2, and for each optimizer the points it visits.
    """
    columns = max(len(paths) for _, paths in valleys.values())
    fig, axes = style.canvas(len(valleys), columns, height=2.3 * len(valleys), squeeze=False, sharex=True, sharey="row")
    said = []
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
            left = float(np.hypot(*path[-1]))
            said.append(f"{place}: {name} is {left:.2g} away from the lowest point after {len(path) - 1} steps")
        row[0].set_ylabel(place)
    style.headline(fig, "Down a long valley")
    return fig, f"Paths on maps of a loss that is steep in one direction and flat in the other. {'; '.join(said)}."


@style.figure
def spectra(values: Mapping[str, Sequence[float]], title: str):
    """Singular values of several matrices, largest first, each set divided by its largest, on a logarithmic axis."""
    fig, ax = style.canvas(height=3.1)
    said = []
    for i, (name, sizes) in enumerate(values.items()):
        sizes = np.asarray(sizes, dtype=float) / max(sizes)
        ax.plot(range(1, len(sizes) + 1), sizes, color=style.COLOURS[i + 1], linestyle=style.LINESTYLES[i], label=name)
        middle = sizes[len(sizes) // 2]
        said.append(f"{name}: the middle one is {middle:.2g} of the largest")
    ax.set(xlabel="direction, the loudest first", ylabel="size, over the largest", yscale="log", title=title)
    ax.set_ylim(bottom=1e-4)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="lower left")
    return fig, f"Singular values, largest first. {'; '.join(said)}."


@style.figure
def sweep(lrs: Sequence[float], losses: Mapping[str, Sequence[float]], first: float):
    """The loss after a fixed number of steps against the highest learning rate, which is on a logarithmic axis.

    Args:
        lrs: highest learning rates.
        losses: for each way of training the loss at each of them, perhaps nan.
        first: the loss before training: what is above it is cut off there.
    """
    fig, ax = style.canvas(height=3.3)
    said = []
    for i, (name, values) in enumerate(losses.items()):
        shown = np.minimum(np.nan_to_num(np.asarray(values, dtype=float), nan=first), first)
        ax.plot(
            lrs, shown, color=style.COLOURS[i + 1], marker=style.MARKERS[i], linestyle=style.LINESTYLES[i], label=name
        )
        best = int(shown.argmin())
        said.append(f"{name}: lowest, {shown[best]:.2f}, at {lrs[best]:g}")
    ax.set(xscale="log", xlabel="highest learning rate", ylabel="nats per token", title="How fast may it learn?")
    ax.set_xticks(lrs, [f"{lr:g}" for lr in lrs])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.axhline(first, color=style.INK, linewidth=1.1, linestyle=":")
    ax.text(lrs[0], first, "before training", va="bottom", fontsize=9)
    ax.legend()
    return fig, f"Loss after training at {len(lrs)} learning rates. {'; '.join(said)}. Before training: {first:.2f}."


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
        said.append(
            f"{name}: from {losses.min():.3f} to {losses.max():.3f}, {inside} of {len(losses)} bars reach the line"
        )
    axes[0][0].set_ylabel("nats per token")
    style.headline(fig, title)
    return fig, f"Measured losses with bars of two standard errors, and a line at {true:.3f}. {'; '.join(said)}."


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
    return fig, f"Bars, titled “{title}”: " + ", ".join(f"{name} {value:.2g}" for name, value in values.items()) + "."
