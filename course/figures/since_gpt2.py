"""What came since GPT-2 in pictures: what a change buys, losses by a number and by position, turns, caches, experts."""

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation

from course.figures import comparing, style, words

IDLE = 0.01  # an expert with a smaller share of the choices does nothing
VERDICTS = {  # what a difference is, by its size and its error: how its bar looks
    "lower": dict(facecolor=style.SKY),
    "higher": dict(facecolor=style.SKY),
    "inside two errors": dict(facecolor=style.GROUND, hatch="///"),
    "one seed, no error": dict(facecolor=style.GROUND, linestyle=":"),
}
CROSS = dict(linestyle="", marker="x", markersize=5, markeredgewidth=1.6)


def _verdict(change: float, error: float | None) -> str:
    if error is None:
        return "one seed, no error"
    return "inside two errors" if abs(change) <= 2 * error else "lower" if change < 0 else "higher"


@style.figure
def bought(before: Sequence[float], after: Mapping[str, Sequence[float]], title: str):
    """For each change its difference to what was before, with the standard error of the difference; lower is better.

    A row for each change: a bar for the difference of the means, a mark for each seed. A bar inside two errors is
    hatched. Where one side has a single seed there is no error, and the row says so.

    Args:
        before: the losses of the seeds before any change, in nats per token; their range is the ground at 0.
        after: for each change the losses of its seeds.
    """
    fig, ax = style.canvas(height=1.75 + 0.36 * len(after))
    base, base_error = style.mean_and_error(before)
    said, seen = {}, {}
    ax.axvspan(min(before) - base, max(before) - base, color=style.QUIET, alpha=0.18, linewidth=0)
    ax.axvline(0, color=style.INK, linewidth=1.2)
    for y, (name, losses) in enumerate(after.items()):
        mean, own = style.mean_and_error(losses)
        change, error = mean - base, math.hypot(own, base_error) if min(len(before), len(losses)) > 1 else None
        verdict = _verdict(change, error)
        seen.setdefault(verdict, []).append(name)
        ax.barh(y, change, 0.62, edgecolor=style.INK, linewidth=0.8, **VERDICTS[verdict])
        ax.plot(np.subtract(losses, base), [y - 0.14] * len(losses), linestyle="", marker="|", color=style.BERRY,
                markersize=9, markeredgewidth=2)  # fmt: skip
        if error is not None:
            ax.errorbar(change, y + 0.16, xerr=error, color=style.INK, linewidth=1.4, capsize=3)
        number = f"{change:+.3f}" if error is None else f"{change:+.3f} ± {error:.3f}"
        drawn = number.replace("-", "\N{MINUS SIGN}")
        ax.annotate(f"{drawn}  {verdict}", (1, y), (8, 0), xycoords=ax.get_yaxis_transform(),
                    textcoords="offset points", va="center", fontsize=9)  # fmt: skip
        said[name] = number
    ax.set_yticks(range(len(after)), list(after))
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.use_sticky_edges = False  # bars that end at 0 get their margin too
    ax.margins(x=0.08)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    ax.set(ylim=(len(after) - 0.4, -0.6), xlabel="difference of the loss, nats per token (lower is better)")
    style.headline(fig, fill(title, 80))
    keys = [
        Line2D([], [], linestyle="", marker="|", color=style.BERRY, markersize=11, markeredgewidth=2, label="a seed")
    ]
    if set(seen) - {"one seed, no error"}:
        keys.append(Line2D([], [], color=style.INK, linestyle="-", linewidth=1.4, label="standard error"))
    if len(before) > 1:
        keys.append(Patch(color=style.QUIET, alpha=0.18, label="seeds before the change"))
    if "inside two errors" in seen:
        look = VERDICTS["inside two errors"]
        keys.append(Patch(edgecolor=style.INK, linewidth=0.8, label="inside two errors", **look))
    fig.legend(handles=keys, loc="outside lower left", ncols=4)
    runs = style.seeds([len(before), *map(len, after.values())])
    errors = ", with the standard errors of the differences" if set(seen) - {"one seed, no error"} else ""
    meant = {"lower": "lower by more than two errors", "higher": "higher by more than two errors",
             "inside two errors": "no difference that can be told, inside two errors",
             "one seed, no error": "one seed, no error, so nothing can be said"}  # fmt: skip
    found = [f"{what}: {words.listing(seen[verdict])}" for verdict, what in meant.items() if verdict in seen]
    return fig, comparing.text(
        title,
        *found,
        f"bars for the difference of the mean loss to {base:.3f} nats per token before the change{errors}, {runs}; "
        f"lower is better: {', '.join(f'{name} {number}' for name, number in said.items())}",
    )


@style.figure
def by_number(
    lines: Mapping[str, Mapping[float, Sequence[float | None]]], title: str, xlabel: str, ylabel: str,
    levels: Mapping[str, float] | None = None,
):  # fmt: skip
    """Means and standard errors over a logarithmic x; a cross at the upper edge for each run that diverged.

    Args:
        lines: for each name, for each number, what its seeds came to; None for a run that diverged.
        levels: named values to compare with, drawn as lines.
    """
    fig, ax = style.canvas(height=4.1)
    levels, said, counts, most, lows = levels or {}, [], [], 0, {}
    numbers = sorted({x for by in lines.values() for x in by})
    style.measured_axis(ax, numbers, lambda value: f"{value:,g}")
    margin = (numbers[-1] / numbers[0]) ** 0.12 if len(numbers) > 1 else 2
    ax.set_xlim(numbers[0] / margin, numbers[-1] * margin)
    for i, (name, by) in enumerate(lines.items()):
        # Side by side, a few points apart, so that neither the errors nor the crosses lie on each other.
        aside = ScaledTranslation((i - (len(lines) - 1) / 2) * 9 / 72, 0, fig.dpi_scale_trans)
        told, curve = [], []
        for x in sorted(by):
            found = [value for value in by[x] if value is not None]
            gone = len(by[x]) - len(found)
            mean, error = style.mean_and_error(found) if found else (math.nan, math.nan)
            curve.append((x, mean, error, gone))
            for k in range(gone):
                up = aside + ScaledTranslation(0, -(6 + 11 * k) / 72, fig.dpi_scale_trans)
                at = dict(transform=ax.get_xaxis_transform() + up, clip_on=False)
                ax.plot(x, 1, markersize=8, markerfacecolor="none", markeredgewidth=0.8, **style.look(i), **at)
                ax.plot(x, 1, **CROSS, color=style.look(i)["color"], **at)
            most, counts = max(most, gone), [*counts, len(by[x])]
            value = f"{mean:.3f}" + (f" ± {error:.3f}" if len(found) > 1 else "") if found else "no loss"
            told.append(f"{value} at {x:,g}" + (f", {gone} of {len(by[x])} runs diverged" if gone else ""))
        x, means, errors, gone = np.array(curve).T
        looks = style.look(i) | {"linestyle": style.LINESTYLES[i % 6], "linewidth": 1.6}
        ax.errorbar(x, means, errors, capsize=3, label=name, transform=ax.transData + aside, **looks)
        if gone.any():  # the mean of those that are left is a hollow mark
            ax.plot(x[gone > 0], means[gone > 0], transform=ax.transData + aside, markerfacecolor=style.GROUND,
                    markersize=6.5, zorder=5, **style.look(i) | {"linestyle": ""})  # fmt: skip
        lows[name] = _lowest([point[:2] for point in curve])
        said.append(f"{name}: {', '.join(told)}")
    values = [value for by in lines.values() for each in by.values() for value in each if value is not None]
    ends = [min([*values, *levels.values()], default=0), max([*values, *levels.values()], default=1)]
    room = 0.05 + (0.055 * most + 0.03 if most else 0) + (0.06 if ends[1] in levels.values() else 0)
    span = (ends[1] - ends[0] or 1) / (0.95 - room)
    ax.set_ylim(ends[0] - 0.05 * span, ends[1] + room * span)
    style.levels(ax, levels)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title)
    keys, names = ax.get_legend_handles_labels()
    if most:
        keys.append(Line2D([], [], **CROSS, color=style.INK))
        names.append("a run that diverged (hollow: mean of the others)")
    fig.legend(keys, names, loc="outside lower left", ncols=3 if most else 5)
    gone = "Runs that diverged are crosses at the upper edge; means are of the others" if most else ""
    errors = ", means with standard errors" if max(counts) > 1 else ""
    ends = {name: style.mean_and_error(found)[0] for name, by in lines.items()
            if (found := [value for value in by.get(numbers[-1], ()) if value is not None])}  # fmt: skip
    marked = "; ".join(f"a line marks {name} at {value:.2f}" for name, value in levels.items())
    return fig, comparing.text(
        f"{title}: {ylabel} by {xlabel}, on a logarithmic axis, {style.seeds(counts)} a point{errors}",
        comparing.grouped(lows, "; ", ": "),
        f"at {numbers[-1]:,g}, the lowest first: {words.ranking(ends, '{:.2f}'.format)}" if len(ends) > 1 else "",
        gone, marked, "; ".join(said),
    )  # fmt: skip


def _lowest(points: Sequence[tuple[float, float]]) -> str:
    """Where a line is lowest, and whether it falls or rises to there and from there on."""
    there = [(x, y) for x, y in points if not math.isnan(y)]
    if not there:
        return "no loss at all"
    if len(there) == 1:
        return f"one point, at {there[0][0]:,g}"
    low = min(range(len(there)), key=lambda i: there[i][1])
    before, after = (comparing.going([y for _, y in part]) for part in (there[: low + 1], there[low:]))
    if low == len(there) - 1:
        return f"lowest at the last, {there[low][0]:,g}" + (", falling all the way" if before == "falls" else "")
    return f"lowest at {there[low][0]:,g}" + (", rising from there on" if after == "rises" else "")


@style.figure
def by_position(curves: Mapping[str, Sequence[Sequence[float]]], length: int, context: int, title: str):
    """The loss by position: for each name the mean of its runs, on their range, and where the trained context ends.

    Args:
        curves: for each name, for each run, the mean losses of equal buckets of positions, in nats per token.
        length: how many positions all buckets have.
        context: how many there were in training.
    """
    fig, ax = style.canvas(height=3.7)
    drawn = {}
    for i, (name, runs) in enumerate(curves.items()):
        runs = np.asarray(runs, dtype=float)
        mean, edges = runs.mean(axis=0), np.linspace(0, length, runs.shape[1] + 1)
        x, seen = (edges[1:] + edges[:-1]) / 2, edges[1:] <= context
        if len(runs) > 1:
            ax.fill_between(x, runs.min(axis=0), runs.max(axis=0), color=style.look(i)["color"], alpha=0.2, linewidth=0)
        ax.plot(x, mean, label=name, linestyle=style.LINESTYLES[i % 6], markevery=(i, 4), **style.look(i))
        drawn[name] = x, mean, seen
    ax.axvline(context, color=style.INK, linewidth=1.2, linestyle="--")
    style.above(ax, context, f"trained on {context:,}")
    ax.set_xticks(range(0, length + 1, 2 ** max(0, math.ceil(math.log2(length / 8)))))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.set(xlim=(0, length), xlabel="position", ylabel="loss, nats per token")
    ax.set_title(title, pad=20)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower left", ncols=3 if max(map(len, curves)) < 28 else 2)
    several = any(len(runs) > 1 for runs in curves.values())
    extent = words.span([mean for _, mean, _ in drawn.values()])
    return fig, comparing.text(
        f"{title}: loss by position up to {length:,}, in nats; a line marks the end of the trained context, "
        f"{context:,}",
        *(f"{name}: {_behind(*line, extent)}" for name, line in drawn.items()),
        f"means of {style.seeds([len(runs) for runs in curves.values()])}"
        + (", on the range of the seeds" if several else ""),
    )


def _behind(x: np.ndarray, mean: np.ndarray, seen: np.ndarray, extent: tuple[float, float]) -> str:
    """What a line is within the trained context, and how it goes on behind it.

    Args:
        extent: the least and the largest value of all lines.
    """
    x = np.round(x).astype(int)
    if not seen.any() or seen.all():
        where = "behind the context" if not seen.any() else "within the context, the only part that is measured,"
        return f"{where} it {words.shape(mean, x, at='position {}', span=extent, write='{:.2f}'.format)}"
    within, behind = mean[seen], mean[~seen]
    said = f"{within.mean():.2f} on average within the context"
    if behind.max() <= 1.2 * within.max() and behind.mean() <= 1.1 * within.mean():
        return f"{said} and about as much behind it, {behind.mean():.2f} on average"
    beyond = np.flatnonzero(behind > 1.2 * within.max())
    first = f", clearly exceeded at {x[~seen][beyond[0]]:,} for the first time" if len(beyond) else ""
    middle = (behind.max() + behind.min()) / 2
    ups = int(((behind[1:] > middle) & (behind[:-1] <= middle)).sum()) + int(behind[0] > middle)
    downs = int(((behind[1:] <= middle) & (behind[:-1] > middle)).sum())
    if min(ups, downs) > 1 and np.ptp(behind) > 0.5 * (extent[1] - extent[0]):
        way = f"goes up and down in {ups} waves between {behind.min():.2f} and {behind.max():.2f}"
    else:
        way = words.shape(behind, x[~seen], at="{}", span=extent, write="{:.2f}".format)
    return f"{said}{first}; behind it {way}"


@style.figure
def turning(frequencies: Mapping[str, Sequence[float]], context: int):
    """How many times each pair of features goes round within the context, with a line at one turn.

    Args:
        frequencies: for each name the radians a token of its pairs.
    """
    fig, ax = style.canvas(height=3.4)
    said, low, high = [], 0.5, 2.0
    for i, (name, each) in enumerate(frequencies.items()):
        turns = np.asarray(each, dtype=float) * context / (2 * math.pi)
        pairs, low, high = np.arange(1, len(turns) + 1), min(low, turns.min()), max(high, turns.max())
        ax.plot(pairs, turns, label=name, linestyle=style.LINESTYLES[i % 6], **style.look(i))
        for x, value in zip(pairs, turns, strict=True) if len(frequencies) == 1 and len(turns) <= 16 else ():
            ax.annotate(f"{value:.2g}", (x, value), (0, 7), textcoords="offset points", ha="center", fontsize=9)
        less = np.flatnonzero(turns < 1) + 1
        which = f"pairs {less[0]} to {less[-1]}" if len(less) > 1 else f"pair {less[0]}" if len(less) else ""
        whole = len(less) and less[-1] - less[0] + 1 == len(less)
        few = which if whole else f"{len(less)} of {len(turns)} pairs" if len(less) else "no pair"
        way = words.shape(turns, pairs, at="pair {}", log=True, write="{:.3g}".format)
        said.append(f"{name}: {few} below one turn; the number of turns {way}")
    ax.set_yscale("log")
    ax.set_ylim(low / 1.6, high * 2.5)
    ax.axhspan(low / 1.6, 1, color=style.QUIET, alpha=0.13, linewidth=0)
    ax.axhline(1, color=style.INK, linewidth=1.2, linestyle="--")
    ax.annotate("one turn: pairs below it do not come round", (0.99, 1), (0, 4), xycoords=ax.get_yaxis_transform(),
                textcoords="offset points", ha="right", va="bottom", fontsize=9)  # fmt: skip
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    longest = max(map(len, frequencies.values()))
    ax.set_xticks(range(1, longest + 1, math.ceil(longest / 16)))
    ax.set(xlabel="pair of features", ylabel="turns")
    ax.set_title(f"How often each pair goes round within {context:,} tokens")
    if len(frequencies) > 1:
        ax.legend()
    return fig, comparing.text(
        f"How often each pair of features goes round within {context:,} tokens, on a logarithmic axis with a line at "
        "one turn: what lies below it never comes round",
        *said,
    )


@style.figure
def cache_and_loss(points: Mapping[str, tuple[float, Sequence[float]]]):
    """What a token takes in the cache against the loss: a name, a mark for each seed, the mean and its standard error.

    Args:
        points: for each name the bytes of the cache for a token, and the losses of its seeds in nats per token.
    """
    fig, ax = style.canvas(height=3.5)
    said, sizes, means = [], [size for size, _ in points.values()], {}
    for i, (name, (size, losses)) in enumerate(points.items()):
        mean, error = style.mean_and_error(losses)
        ax.plot([size] * len(losses), losses, linestyle="", marker="_", color=style.QUIET, markersize=15,
                markeredgewidth=1.5)  # fmt: skip
        ax.errorbar(size, mean, error, capsize=4, linewidth=1.6, **style.look(i) | {"markersize": 8})
        ax.annotate(name, (size, mean), (13, 0), textcoords="offset points", va="center", fontsize=9.5)
        found = f"{mean:.3f} ± {error:.3f}" if len(losses) > 1 else f"{mean:.3f}"
        means[name] = mean, error, size, len(losses)
        said.append(f"{name}: {size:,g} bytes, {found}")
    style.measured_axis(ax, sizes, lambda value: f"{value:,g}")
    ratio = max(sizes) / min(sizes)
    ax.set_xlim(min(sizes) / max(1.1, ratio**0.12), max(sizes) * max(1.3, ratio**0.3))  # room for the last name
    ax.margins(y=0.15)
    ax.set(xlabel="bytes of the cache for a token", ylabel="validation loss, nats per token")
    ax.set_title("What a smaller cache costs")
    keys = [
        Line2D([], [], linestyle="", marker="_", color=style.QUIET, markersize=12, markeredgewidth=1.5, label="a seed"),
        Line2D([], [], linestyle="-", color=style.INK, linewidth=1.6, label="mean and standard error"),
    ]
    fig.legend(handles=keys, loc="outside lower left", ncols=2)
    runs = style.seeds([len(losses) for _, losses in points.values()])
    largest = max(means, key=lambda name: means[name][2])
    costs = {}
    for name, (mean, error, _, seeds) in means.items():
        if name != largest:
            change, error = mean - means[largest][0], math.hypot(error, means[largest][1])
            verdict = _verdict(change, error if min(seeds, means[largest][3]) > 1 else None)
            costs[name] = f"{change:+.3f} nats, {verdict}"
    return fig, comparing.text(
        f"What a smaller cache costs beside {largest}, the largest: "
        f"{', '.join(f'{name} {cost}' for name, cost in costs.items())}" if costs else "",
        f"validation loss by the cache's bytes for a token, a mark for each seed and their mean, {runs} a point: "
        f"{'; '.join(said)}",
    )  # fmt: skip


@style.figure
def busy(shares: Mapping[str, Sequence[Sequence[float]]]):
    """How the choices fall on the experts: a panel for each name, a group of bars for each layer.

    Args:
        shares: for each name, for each layer, the share of the choices of each expert.
    """
    fig, axes = style.canvas(1, len(shares), height=3.3, sharey=True, squeeze=False)
    said, widest, idle_of = [], {}, {}
    for ax, (name, layers) in zip(axes[0], shares.items(), strict=True):
        told, ticks, left = [], [], 0
        idlers = 0
        for i, layer in enumerate(layers):
            x, layer = left + np.arange(len(layer)), np.asarray(layer, dtype=float)
            color = (style.BLUE, style.ORANGE)[i % 2]
            ax.bar(x, layer, 0.85, color=color, hatch=style.HATCHES[i % 2], edgecolor=style.INK, linewidth=0.6)
            idle = x[layer < IDLE]
            ax.plot(idle, [0.03] * len(idle), **CROSS, color=style.BERRY, transform=ax.get_xaxis_transform())
            ax.plot((x[0] - 0.6, x[-1] + 0.6), [1 / len(layer)] * 2, color=style.INK, linewidth=1.2, linestyle="--")
            ticks, left = [*ticks, x.mean()], left + len(layer) + 1.5
            idlers += len(idle)
            told.append(f"layer {i + 1} from {layer.min():.1%} to {layer.max():.1%}")
        ax.set_xticks(ticks, [f"layer {i + 1}" for i in range(len(layers))])
        ax.tick_params(axis="x", length=0)
        style.panel_title(ax, fill(name, 78 // len(shares)))
        widest[name] = max(max(layer) * len(layer) for layer in layers)
        idle_of[name] = "none" if not idlers else str(idlers)
        said.append(f"{name}: {', '.join(told)}")
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    axes[0, 0].set(ylabel="share of the choices", ylim=(0, None))
    style.headline(fig, "How busy each expert is")
    keys = [
        Line2D([], [], color=style.INK, linestyle="--", linewidth=1.2, label="the equal share"),
        Line2D([], [], **CROSS, color=style.BERRY, label=f"idle: less than {IDLE:.0%}"),
    ]
    fig.legend(handles=keys, loc="outside lower left", ncols=2)
    order = sorted(widest, key=widest.get)
    busiest = "; ".join(f"{name} {widest[name]:.1f} times" for name in order)
    return fig, comparing.text(
        f"The busiest expert beside the equal share, a dashed line: {busiest}",
        f"idle experts, with less than {IDLE:.0%} of the choices, marked by a cross: "
        f"{', '.join(f'{name} {number}' for name, number in idle_of.items())}",
        f"bars of the share of the choices that falls on each expert: {'; '.join(said)}",
    )
