"""Scale in pictures: what a budget buys by size, a law and its miss, recipes, repeats, learning rates by width."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from course.figures import comparing, style, words

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


def _spread(errors: np.ndarray) -> np.ndarray | None:
    """Standard errors that are drawn; none where each point is one seed."""
    return errors if errors.any() else None


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
    lowest_at, largest_at, sizes, counts = {}, {}, [], []
    for i, (budget, by_size) in enumerate(sorted(curves.items())):
        N = sorted(by_size)
        means, errors = np.array([style.mean_and_error(by_size[each]) for each in N]).T
        ax.errorbar(N, means, _spread(errors), label=f"{short(budget)} operations", capsize=2.5,
                    linestyle=style.LINESTYLES[i % 5], **style.look(i))  # fmt: skip
        lowest = int(means.argmin())
        lowest_at[budget] = N[lowest], means[lowest]
        largest_at[budget] = means[-1]
        sizes, counts = sizes + N, counts + [len(by_size[each]) for each in N]
        if best:
            at = np.interp(np.log(best[budget]), np.log(N), means)
            ax.plot(best[budget], at, marker="x", markersize=11, markeredgewidth=2.2, color=style.INK, zorder=5,
                    linestyle="", label="" if i else "lowest of its parabola")  # fmt: skip
    ax.axhline(floor, color=style.INK, linewidth=1.1, linestyle=":", label=f"the floor: {floor:.3f}")
    style.measured_axis(ax, sizes, short)
    ax.set_yscale("log")
    _nice_losses(ax.yaxis, (0, max(max(each) for by_size in curves.values() for each in by_size.values())))
    ax.set(xlabel="N, weights that multiply", ylabel="validation loss, nats per token")
    ax.set_title("Each budget has its best size")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4 if best else 3)
    how = {"rises": "grows with the budget", "falls": "shrinks with the budget",
           "stays the same": "is the same for all"}  # fmt: skip
    best_sizes = [size for size, _ in lowest_at.values()]
    lows = comparing.going([loss for _, loss in lowest_at.values()])
    said = [f"{short(budget)}: {short(size)} weights, {loss:.2f}" for budget, (size, loss) in lowest_at.items()]
    below = min(loss for _, loss in lowest_at.values()) > floor
    several = len(lowest_at) > 1
    return fig, comparing.text(
        f"Validation loss by model size, a curve for each budget of operations, {style.seeds(counts)} a point",
        f"The size with the lowest loss {how.get(comparing.going(best_sizes), 'goes up and down with the budget')}"
        f"{', and its loss falls' if lows == 'falls' else ''}" if several else "",
        f"lowest points: {'; '.join(said)}",
        f"at the largest size the loss is {comparing.reach(largest_at.values(), '{:.2f}'.format)}",
        f"crosses mark the lowest points of parabolas: "
        f"{', '.join(f'{short(best[budget])} at {short(budget)}' for budget in sorted(best))}" if best else "",
        f"the floor, {floor:.3f}, lies {'below all' if below else 'not below all of them'}",
    )  # fmt: skip


@style.figure
def law_and_runs(
    said: Sequence[float], measured: Sequence[float], groups: Sequence[str], floor: float | None = None,
    held_out: Sequence[tuple[float, tuple[float, float], float]] = (), name: str = "A law",
    widths: Sequence[int] = (),
):  # fmt: skip
    """What a fitted law says of runs against what they came to; on the diagonal it is right.

    Args:
        said, measured, groups: of each run the law's loss, its own, and the name of its budget.
        floor: the source entropy, marked.
        held_out: of each run that the fit has not seen: the law's loss, its band, and what it came to.
        name: of the law, for the title.
        widths: of each run its model's; written beside those that the law misses by 8% or more.
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
    by_group = {group: float(miss[[each == group for each in groups]].mean()) for group in dict.fromkeys(groups)}
    off = {group: f"{value:+.1f}%" for group, value in by_group.items() if abs(value) >= 3}
    far = {}  # of each width and budget that is far off: what the runs came to, what the law says, and the miss
    for *which, came, law, missed in zip(widths, groups, measured, said, miss, strict=True) if len(widths) else ():
        if abs(missed) >= 8:
            far.setdefault(tuple(which), []).append((came, law, missed))
    for (width, _), found in far.items():
        came, law, missed = np.mean(found, axis=0)
        ax.annotate(f"width {width}", (came, law), (0, 6 if missed > 0 else -6), textcoords="offset points", fontsize=9,
                    ha="center", va="bottom" if missed > 0 else "top")  # fmt: skip
    said_of = [
        f"A fitted law's loss of {words.count(len(said), 'run')} over the measured one; on the diagonal it is right. "
        f"It misses by {np.abs(miss).mean():.1f}% on average, from {miss.min():+.1f}% to {miss.max():+.1f}%",
        "" if len(by_group) < 2 else "No budget lies off the diagonal by 3% or more on average" if not off else
        "whole budgets lie off the diagonal, above it where the law says too much: "
        f"{comparing.grouped(off)} on average",
        f"off by 8% or more: {', '.join(f'width {width} at {group}' for width, group in far)}" if far else "",
    ]  # fmt: skip
    if held_out:
        laws, bands, came = (np.array(each, dtype=float) for each in zip(*held_out, strict=True))
        ends_of_bands = np.abs(bands.T - laws)
        ax.errorbar(came, laws, ends_of_bands, linestyle="", color=style.INK, marker="*", markersize=13, capsize=4,
                    label="held out, with its band")  # fmt: skip
        inside = sum(low <= each <= high for _, (low, high), each in held_out)
        told = [
            f"{law:.3f} ({low:.3f} to {high:.3f}) predicted, {each:.3f} came" for law, (low, high), each in held_out
        ]
        said_of.append(f"of runs that the fit has not seen, {inside} of {len(held_out)} came to a loss inside the band "
                       f"that was predicted: {'; '.join(told)}")  # fmt: skip
    if floor:
        ax.axvline(floor, color=style.INK, linewidth=1.1, linestyle=":")
        ax.annotate(f"the floor: {floor:.3f}", (floor, 0.97), (4, 0), xycoords=ax.get_xaxis_transform(),
                    textcoords="offset points", fontsize=9, ha="left", va="top")  # fmt: skip
        said_of.append(f"a line marks the floor at {floor:.3f}")
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    for axis in (ax.xaxis, ax.yaxis):
        _nice_losses(axis, ends)
    ax.set(xlabel="measured loss, nats per token", ylabel="what the law says")
    ax.set_title(f"{name}, the runs it was fitted to, and {len(held_out)} it has not seen" if held_out else
                 f"{name} and the runs it was fitted to")  # fmt: skip
    ax.legend(loc="lower right")
    return fig, comparing.text(*said_of)


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
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10), integer=True))
    ax.legend()
    held = interval[0] <= floor <= interval[1]
    width = interval[1] - interval[0]
    counts, bounds = np.histogram(values, bins=edges)
    highest = int(counts.argmax())
    return fig, comparing.text(
        f"The true floor, {floor:.3f}, is {'inside' if held else 'outside'} the interval that holds {level:.0%} of the "
        f"fits' E, {interval[0]:.3f} to {interval[1]:.3f}"
        + (f", which is as wide as {width / floor:.0%} of the floor" if floor else ""),
        f"the fit to all runs says {fitted:.3f}, {abs(fitted - floor):.3f} {'above' if fitted > floor else 'below'} it",
        f"a histogram of {len(values)} fits to resampled runs, highest at {bounds[highest]:.2f} to "
        f"{bounds[highest + 1]:.2f}, from {values.min():.3f} to {values.max():.3f} in all",
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
    fig, ax = style.canvas(height=1.2 + 0.47 * len(names))
    said, means = [], {}
    for y, name in enumerate(names):
        mean, error = style.mean_and_error(losses[name])
        means[name] = mean
        errors = dict(xerr=error, capsize=3) if len(losses[name]) > 1 else {}
        ax.barh(y, mean, 0.55, color=style.SKY, edgecolor=style.QUIET, **errors)
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
    keys = [Line2D([], [], linestyle="", marker="|", color=style.BERRY, markersize=11, label="a seed")]
    if max(map(len, losses.values())) > 1:
        keys.append(Line2D([], [], linestyle="-", color="black", linewidth=1.5, label="standard error of the mean"))
    fig.legend(handles=keys, loc="outside lower center", ncols=2)
    lines = []
    for name, value in sorted(levels.items(), key=lambda each: each[1]):
        under = [each for each in names if means[each] < value]
        which = "none" if not under else "all" if len(under) == len(names) > 1 else words.listing(under)
        lines.append(f"below {name}, {value:.2f}: {which}")
    return fig, comparing.text(
        f"{title}: bars of the validation loss, {style.seeds([len(each) for each in losses.values()])}; the lowest is "
        f"{names[0]}, the highest {names[-1]}" if len(names) > 1 else f"{title}: one bar of the validation loss",
        f"from the lowest up: {', '.join(said)}",
        "; ".join(lines),
    )  # fmt: skip


@style.figure
def repeated(losses: Mapping[float, Sequence[float]], floor: float):
    """The loss of runs that read the same number of tokens, by how often they read each story.

    Args:
        losses: for each number of epochs the losses of its seeds, in nats per token.
    """
    fig, ax = style.canvas(height=3.4)
    epochs = sorted(losses)
    means, errors = np.array([style.mean_and_error(losses[each]) for each in epochs]).T
    ax.errorbar(epochs, means, _spread(errors), capsize=3, **style.look(2))
    style.levels(ax, {"the floor": floor})
    style.measured_axis(ax, epochs, lambda value: f"{value:.1f}" if value < 2 else f"{value:.0f}")
    ax.set(xlabel="times that each story is read", ylabel="validation loss, nats per token", ylim=(0, None))
    ax.set_title("The same tokens, from fewer and fewer stories")
    said = ", ".join(f"{mean:.2f} at {epoch:g}" for epoch, mean in zip(epochs, means, strict=True))
    alike = next((i for i, mean in enumerate(means) if mean > 1.05 * means[0]), len(means)) - 1
    lesson = f"Up to {epochs[alike]:g} times each story it is hardly higher than at {epochs[0]:g}, by less than 5%"
    if alike == len(means) - 1:
        lesson = "However often each story is read, the loss rises by less than 5%"
    elif alike == 0:
        lesson = "Reading each story more often costs at once"
    seeds = style.seeds([len(each) for each in losses.values()])
    return fig, comparing.text(
        f"{lesson}; at {epochs[-1]:g} times it is {means[-1] / means[0]:.2f} times as high" if len(means) > 1 else "",
        f"validation loss by how often each story is read, {seeds} a point: {said}",
        f"a line marks the floor at {floor:.2f}",
    )  # fmt: skip


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
            ax.errorbar(rates, means, _spread(errors), capsize=2, label=f"width {width}",
                        linestyle=style.LINESTYLES[i % 5], **style.look(i))  # fmt: skip
            best = int(np.nanargmin(means))
            ax.plot(rates[best], means[best], marker="o", markersize=13, markerfacecolor="none", color=style.INK)
            told.append((width, rates[best], means[best], best in (0, len(rates) - 1)))
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(rates[::2] if len(rates) > 4 else rates))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set(xlabel="learning rate")
        style.panel_title(ax, name)
        said.append(f"{name}: {_best_rates(told)}")
    axes[0, 0].set(ylabel="validation loss, nats per token")
    axes[0, 0].legend()
    style.headline(fig, "Where the best learning rate lies")
    return fig, comparing.text(
        "Validation loss by learning rate, a curve for each width, a circle at its lowest point", *said
    )


def _best_rates(found: Sequence[tuple[int, float, float, bool]]) -> str:
    """Whether the best learning rate moves with the width, and where it lies.

    Args:
        found: for each width the best rate, its loss, and whether it is the last that was tried on its side.
    """
    rates = [rate for _, rate, _, _ in found]
    moves = {"rises": "the wider, the higher the best rate", "falls": "the wider, the lower the best rate",
             "stays the same": "the best rate is the same for all widths",
             "goes up and down": "the best rate goes up and down with the width"}[comparing.going(rates)]  # fmt: skip
    if max(rates) > min(rates):
        moves += f", by {comparing.times(max(rates) / min(rates))} in all"
    points = ", ".join(f"{rate:g} for width {width} (loss {loss:.2f}{', at the edge' if edge else ''})"
                       for width, rate, loss, edge in found)  # fmt: skip
    return f"{moves if len(found) > 1 else 'one width'}: {points}"


@style.figure
def shares(
    parts: Mapping[str, Mapping[str, float]], title: str, unit: str, capacity: Mapping[str, float] | None = None
):
    """Stacked bars: for each name what its parts take.

    Args:
        parts: for each bar, for each part, how much; the same parts in all.
        capacity: named amounts that are there, drawn as lines.
    """
    fig, ax = style.canvas(height=1.2 + 0.41 * len(parts))
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
    if len(kinds) > 1:
        fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig, _shares(parts, title, unit, capacity or {})


def _shares(parts: Mapping[str, Mapping[str, float]], title: str, unit: str, capacity: Mapping[str, float]) -> str:
    """Which bars are long and which part is the largest, and what is beyond what is there."""
    totals = {name: sum(each.values()) for name, each in parts.items()}
    kinds = list(next(iter(parts.values())))
    said = [f"{title}, in {unit}: {words.ranking(totals, '{:.3g}'.format, lowest=False)}"]
    if len(kinds) > 1:
        largest = {name: f"{max(each, key=each.get)}" for name, each in parts.items()}
        if len(set(largest.values())) == 1:
            said.append(f"the largest part of each bar is {next(iter(largest.values()))}")
        else:
            said.append("the largest part is " + "; ".join(
                f"{kind} in {words.listing(name for name in parts if largest[name] == kind)}"
                for kind in dict.fromkeys(largest.values())
            ))  # fmt: skip
        first, last = (next(iter(parts)), max(totals, key=totals.get))
        for name in dict.fromkeys((first, last)):
            of = ", ".join(f"{kind} {value / totals[name]:.0%}" for kind, value in parts[name].items())
            said.append(f"of {name}: {of}")
    for name, value in capacity.items():
        over = [each for each, total in totals.items() if total > value]
        beyond = words.listing(over) if over else "none"
        said.insert(1, f"beyond the line of {name}, {value:.3g}: {beyond}")
    return comparing.text(*said)
