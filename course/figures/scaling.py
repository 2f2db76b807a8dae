"""Scale in pictures: what a budget buys by size, a law and its miss, recipes, repeats, learning rates by width."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from course.figures import style

NICE = (0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 3, 4)  # losses that an axis is marked with


def short(number: float) -> str:
    """A large count as one reads it aloud: 63k, 1.3M, 12.8T."""
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            value = number / size
            return f"{value:.0f}{letter}" if value >= 100 else f"{value:.3g}{letter}"
    return f"{number:.3g}"


def _nice_losses(axis, ends: tuple[float, float]) -> None:
    """Round losses as the ticks of a logarithmic axis."""
    axis.set_major_locator(FixedLocator([each for each in NICE if ends[0] < each < ends[1]]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


@style.figure
def isoflops(
    curves: Mapping[float, Mapping[float, Sequence[float]]], floor: float, best: Mapping[float, float] | None = None
):
    """The loss by a model's size, a curve for each budget of operations, the floor below them.

    Args:
        curves: for each budget, for each N, the losses of its seeds in nats per token.
        floor: the source entropy on the same stories.
        best: for each budget the N of the lowest point of a parabola through its curve; marked.
    """
    fig, ax = style.canvas(height=4.2)
    said, sizes, counts = [], [], []
    for i, (budget, by_size) in enumerate(sorted(curves.items())):
        N = sorted(by_size)
        means, errors = np.array([style.mean_and_error(by_size[each]) for each in N]).T
        ax.errorbar(N, means, errors, label=f"{short(budget)} operations", capsize=2.5, **style.look(i))
        lowest = int(means.argmin())
        said.append(f"{short(budget)}: lowest at {short(N[lowest])} weights, {means[lowest]:.2f}")
        sizes, counts = sizes + N, counts + [len(by_size[each]) for each in N]
        if best:
            at = np.interp(np.log(best[budget]), np.log(N), means)
            ax.plot(best[budget], at, marker="x", markersize=11, markeredgewidth=2.2, color=style.INK, zorder=5)
    ax.axhline(floor, color=style.INK, linewidth=1.1, linestyle=":", label=f"the floor: {floor:.3f}")
    style.measured_axis(ax, sizes, short)
    ax.set_yscale("log")
    _nice_losses(ax.yaxis, (0, max(max(each) for by_size in curves.values() for each in by_size.values())))
    ax.set(xlabel="N, weights that multiply", ylabel="validation loss, nats per token")
    ax.set_title("Each budget has its best size")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    crosses = " Crosses mark the lowest points of parabolas through the curves." if best else ""
    return fig, (
        f"Validation loss by model size, a curve for each budget of operations, {style.seeds(counts)} a point. "
        f"{'; '.join(said)}. The floor, {floor:.3f}, lies below all.{crosses}"
    )


@style.figure
def law_and_runs(
    said: Sequence[float], measured: Sequence[float], groups: Sequence[str], floor: float | None = None,
    held_out: Sequence[tuple[float, tuple[float, float], float]] = (),
):  # fmt: skip
    """What a fitted law says of runs against what they came to; on the diagonal it is right.

    Args:
        said, measured, groups: of each run the law's loss, its own, and the name of its budget.
        floor: the source entropy, marked.
        held_out: of each run that the fit has not seen: the law's loss, its band, and what it came to.
    """
    fig, ax = style.canvas(height=4.2)
    said, measured = np.asarray(said, dtype=float), np.asarray(measured, dtype=float)
    for i, group in enumerate(dict.fromkeys(groups)):
        mine = [each == group for each in groups]
        ax.plot(measured[mine], said[mine], linestyle="", label=group, **style.look(i))
    unseen = [value for law, band, came in held_out for value in (law, *band, came)]
    everything = [*said, *measured, *unseen]
    ends = 0.93 * min([*everything, *([floor] if floor else [])]), 1.07 * max(everything)
    ax.plot(ends, ends, color=style.INK, linewidth=1.1, linestyle="--", marker="")
    miss = 100 * (said / measured - 1)
    words = [
        f"The law's loss of {len(said)} runs against the measured one, both from {measured.min():.2f} to "
        f"{measured.max():.2f} nats. It misses by {np.abs(miss).mean():.1f}% on average, from {miss.min():+.1f}% to "
        f"{miss.max():+.1f}%."
    ]
    if held_out:
        laws, bands, came = (np.array(each, dtype=float) for each in zip(*held_out, strict=True))
        ends_of_bands = np.abs(bands.T - laws)
        ax.errorbar(came, laws, ends_of_bands, linestyle="", color=style.INK, marker="*", markersize=13, capsize=4,
                    label="held out, with its band")  # fmt: skip
        inside = sum(low <= each <= high for _, (low, high), each in held_out)
        told = [
            f"predicted {law:.3f}, band {low:.3f} to {high:.3f}, it came to {each:.3f}"
            for law, (low, high), each in held_out
        ]
        words.append(f"Held out: {'; '.join(told)}: {inside} of {len(held_out)} inside.")
    if floor:
        ax.axvline(floor, color=style.INK, linewidth=1.1, linestyle=":")
        ax.annotate(f"the floor: {floor:.3f}", (floor, 0.97), (4, 0), xycoords=ax.get_xaxis_transform(),
                    textcoords="offset points", fontsize=9, ha="left", va="top")  # fmt: skip
        words.append(f"The floor is {floor:.3f}.")
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    for axis in (ax.xaxis, ax.yaxis):
        _nice_losses(axis, ends)
    ax.set(xlabel="measured loss, nats per token", ylabel="what the law says")
    ax.set_title("A law and the runs it was fitted to")
    ax.legend(loc="lower right")
    return fig, " ".join(words)


@style.figure
def laws_floor(values: Sequence[float], interval: tuple[float, float], fitted: float, floor: float, level: float = 0.9):
    """The E of resampled fits as a histogram, with its interval, against the true floor."""
    fig, ax = style.canvas(height=2.9)
    values = np.asarray(values, dtype=float)
    edges = np.linspace(min(values.min(), floor), max(values.max(), floor), 31)
    ax.hist(values, bins=edges, color=style.SKY, edgecolor=style.QUIET, linewidth=0.5)
    top = ax.get_ylim()[1]
    ax.plot(interval, [0.06 * top] * 2, color=style.BERRY, linewidth=4, marker="", label=f"{level:.0%} of the fits")
    ax.axvline(fitted, color=style.BERRY, linewidth=1.8, linestyle="--", label=f"E of the fit: {fitted:.3f}")
    ax.axvline(floor, color=style.INK, linewidth=1.8, label=f"the true floor: {floor:.3f}")
    ax.set(xlabel="E, nats per token", ylabel="fits", title="Is the floor found?")
    ax.legend()
    held = interval[0] <= floor <= interval[1]
    return fig, (
        f"Histogram of E in {len(values)} fits to resampled runs: {level:.0%} lie from {interval[0]:.3f} to "
        f"{interval[1]:.3f}; the fit to all runs says {fitted:.3f}. The true floor, {floor:.3f}, is "
        f"{'inside' if held else 'outside'} the interval."
    )


@style.figure
def compared(losses: Mapping[str, Sequence[float]], levels: Mapping[str, float], title: str, notes: Mapping[str, str]):
    """Named choices by their loss: a mark for each seed, a bar for the mean, with its standard error.

    Args:
        losses: for each name the losses of its seeds, in nats per token.
        levels: named losses to compare with, drawn as lines.
        notes: for each name what is written beside its bar.
    """
    names = sorted(losses, key=lambda name: float(np.mean(losses[name])))
    fig, ax = style.canvas(height=0.9 + 0.5 * len(names))
    said = []
    for y, name in enumerate(names):
        mean, error = style.mean_and_error(losses[name])
        ax.barh(y, mean, 0.55, xerr=error, color=style.SKY, edgecolor=style.QUIET, capsize=3)
        ax.plot(losses[name], [y] * len(losses[name]), linestyle="", marker="|", color=style.BERRY, markersize=11)
        ax.text(mean, y, f"  {notes.get(name, '')}", va="center", fontsize=9)
        said.append(f"{name} {mean:.2f} ± {error:.2f}" if len(losses[name]) > 1 else f"{name} {mean:.2f}")
    widest, before, row = 1.3 * max(max(each) for each in losses.values()), -np.inf, 0
    for name, value in sorted(levels.items(), key=lambda each: each[1]):
        row = 1 - row if value - before < 0.2 * widest else 0  # names of lines that are near stand one above the other
        ax.axvline(value, color=style.INK, linewidth=1.1, linestyle=":")
        style.above(ax, value, f"{name}: {value:.2f}" + row * "\n")
        before = value
    ax.set_yticks(range(len(names)), names)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.invert_yaxis()
    ax.set(xlabel="validation loss, nats per token", xlim=(0, widest))
    ax.set_title(title, pad=(20 if len(levels) < 2 else 34) if levels else 9)
    lines = "".join(f" {name}: {value:.2f}." for name, value in levels.items())
    return fig, f"{title}. {style.seeds([len(each) for each in losses.values()])}; {'; '.join(said)}.{lines}"


@style.figure
def repeated(losses: Mapping[float, Sequence[float]], floor: float):
    """The loss of runs that read the same number of tokens, by how often they read each story.

    Args:
        losses: for each number of epochs the losses of its seeds, in nats per token.
    """
    fig, ax = style.canvas(height=3.4)
    epochs = sorted(losses)
    means, errors = np.array([style.mean_and_error(losses[each]) for each in epochs]).T
    ax.errorbar(epochs, means, errors, capsize=3, **style.look(2))
    style.levels(ax, {"the floor": floor})
    style.measured_axis(ax, epochs, lambda value: f"{value:.1f}" if value < 2 else f"{value:.0f}")
    ax.set(xlabel="times that each story is read", ylabel="validation loss, nats per token", ylim=(0, None))
    ax.set_title("The same tokens, from fewer and fewer stories")
    said = ", ".join(f"{mean:.2f} at {epoch:.1f}" for epoch, mean in zip(epochs, means, strict=True))
    return fig, (
        f"Validation loss by epochs, {style.seeds([len(each) for each in losses.values()])} a point: {said}. "
        f"The floor is {floor:.2f}."
    )


@style.figure
def rates_by_width(panels: Mapping[str, Mapping[int, Mapping[float, Sequence[float]]]]):
    """The loss by learning rate, a curve for each width and a panel for each parametrization.

    Args:
        panels: for each parametrization, for each width, for each learning rate, the losses of its seeds.
    """
    fig, axes = style.canvas(1, len(panels), height=3.7, sharey=True, squeeze=False)
    said = []
    for ax, (name, widths) in zip(axes[0], panels.items(), strict=True):
        told = []
        for i, (width, by_rate) in enumerate(sorted(widths.items())):
            rates = sorted(by_rate)
            means, errors = np.array([style.mean_and_error(by_rate[rate]) for rate in rates]).T
            ax.errorbar(rates, means, errors, capsize=2, label=f"width {width}", **style.look(i))
            best = int(np.nanargmin(means))
            ax.plot(rates[best], means[best], marker="o", markersize=13, markerfacecolor="none", color=style.INK)
            told.append(f"width {width} at {rates[best]:.1e} ({means[best]:.2f})")
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(rates[::2] if len(rates) > 4 else rates))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set(xlabel="learning rate")
        style.panel_title(ax, name)
        said.append(f"{name}: lowest for {', '.join(told)}")
    axes[0, 0].set(ylabel="validation loss, nats per token")
    axes[0, 0].legend()
    style.headline(fig, "Where the best learning rate lies")
    return fig, f"Validation loss by learning rate; circles mark the lowest. {'. '.join(said)}."


@style.figure
def shares(
    parts: Mapping[str, Mapping[str, float]], title: str, unit: str, capacity: Mapping[str, float] | None = None
):
    """Stacked bars: for each name what its parts take.

    Args:
        parts: for each bar, for each part, how much; the same parts in all.
        capacity: named amounts that are there, drawn as lines.
    """
    fig, ax = style.canvas(height=1.2 + 0.5 * len(parts))
    kinds = list(next(iter(parts.values())))
    left = np.zeros(len(parts))
    for i, kind in enumerate(kinds):
        values = np.array([each[kind] for each in parts.values()])
        ax.barh(range(len(parts)), values, 0.6, left=left, label=kind, color=style.COLOURS[-1 - i % 6],
                hatch=style.HATCHES[i % 6], edgecolor=style.INK, linewidth=0.5)  # fmt: skip
        left += values
    for y, total in enumerate(left):
        ax.text(total, y, f"  {total:.3g}", va="center", fontsize=9)
    for name, value in (capacity or {}).items():
        ax.axvline(value, color=style.INK, linewidth=1.2, linestyle="--")
        style.above(ax, value, name)
    ax.set_yticks(range(len(parts)), list(parts))
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.invert_yaxis()
    ax.set(xlabel=unit, xlim=(0, 1.15 * max([*left, *(capacity or {}).values()])))
    ax.set_title(title, pad=20 if capacity else 9)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    said = [
        f"{name}: {sum(each.values()):.3g}, of it {', '.join(f'{kind} {value:.3g}' for kind, value in each.items())}"
        for name, each in parts.items()
    ]
    lines = "".join(f" {name}: {value:.3g}." for name, value in (capacity or {}).items())
    return fig, f"{title}, in {unit}. {'; '.join(said)}.{lines}"
