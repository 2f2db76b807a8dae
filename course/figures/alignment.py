"""Rewards in pictures: how sure a judge is, what a clip does, runs step by step, and a reward that is hacked."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation

from course.figures import comparing, style, words

STEPS = 5  # that a curve is smoothed over: a step has few orders
STOP = dict(marker="o", color=style.GROUND, markeredgecolor=style.INK)  # where one would stop early


def _smooth(values: Sequence[float]) -> np.ndarray:
    """The mean of five values around each, of fewer at the ends."""
    half = STEPS // 2
    return np.array([np.mean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])


def _means(curves: Sequence[Sequence[float]]) -> np.ndarray:
    """The mean of several curves and its standard error at each point, up to where the shortest ends: (2, points)."""
    return np.array([style.mean_and_error(point) for point in zip(*curves, strict=False)]).reshape(-1, 2).T


@style.figure
def calibration(points: Mapping[str, Sequence[tuple[float, float, int]]], title: str):
    """How often a judge is right over how sure it is, with the diagonal where both are the same.

    The errors are Wilson's intervals of one standard error, which do not shrink to nothing where all pairs are right.

    Args:
        points: for each name, for each bin, how sure it is on average, the share that is right, and of how many pairs.
    """
    fig, ax = style.canvas(height=4.3)
    said, low = [], 0.5
    for i, (name, found) in enumerate(points.items()):
        aside = ScaledTranslation((i - (len(points) - 1) / 2) * 6 / 72, 0, fig.dpi_scale_trans)
        sure, right, pairs = np.array(found, dtype=float).reshape(-1, 3).T
        middle = (right + 1 / (2 * pairs)) / (1 + 1 / pairs)
        half = np.sqrt(right * (1 - right) / pairs + 1 / (4 * pairs**2)) / (1 + 1 / pairs)
        errors = np.maximum(0, (right - middle + half, middle + half - right))
        ax.errorbar(sure, right, yerr=errors, capsize=3, label=name, linestyle=style.LINESTYLES[i % 6], linewidth=1.6,
                    transform=ax.transData + aside, **style.look(i) | {"markersize": 7})  # fmt: skip
        low = min([low, *(right - errors[0])])
        said.append(f"{name}: {_sureness(found)}")
    ax.plot([0.5, 1], [0.5, 1], color=style.INK, linewidth=1.4, linestyle=":", zorder=1, label="as sure as right")
    for x, y, name, ha in ((0.505, 0.965, "right more often than it thinks", "left"),
                           (0.995, low + 0.01, "too sure of itself", "right")):  # fmt: skip
        ax.text(x, y, name, ha=ha, fontsize=9.5, color=style.QUIET, style="italic")
    ax.set(xlim=(0.49, 1.01), ylim=(low - 0.03, 1.02), xlabel="how sure it is", ylabel="how often it is right")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(8, steps=(1, 2, 5, 10)))
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    style.headline(fig, fill(title, 80))
    keys, names = ax.get_legend_handles_labels()
    fig.legend(keys, names, loc="outside lower left", ncols=4)
    return fig, comparing.text(
        f"{title}: the share of pairs it gets right over how sure it is; below the diagonal it is too sure of itself",
        *said,
        "" if said else "No points",
    )


def _sureness(found: Sequence[tuple[float, float, int]]) -> str:
    """How sure and how right it is at its surest, and at how many points it is too sure by more than the errors."""
    if not found:
        return "no pairs"
    points = sorted(found)
    off = [(sure, right, pairs, (right * (1 - right) / pairs) ** 0.5) for sure, right, pairs in points]
    over = [f"{sure:.0%}" for sure, right, _, error in off if sure - right > error]
    under = [f"{sure:.0%}" for sure, right, _, error in off if right - sure > error]
    said = [f"too sure where it is {words.listing(over)} sure"] if over else []
    said += [f"right more often than it thinks where it is {words.listing(under)} sure"] if under else []
    numbers = ", ".join(f"{right:.0%} right where {sure:.0%} sure ({pairs:,} pairs)" for sure, right, pairs in points)
    return f"{', '.join(said) or 'as sure as right within the errors'}; {numbers}"


@style.figure
def clipped(curves: Mapping[str, Sequence[float]], ratios: Sequence[float], clip: float):
    """What a token is worth over the ratio of its probabilities, and where the clip leaves it without a gradient.

    Args:
        curves: for each name the objective at each ratio, with a positive advantage and with a negative one.
        ratios: the probability now over that when the token was sampled, increasing.
    """
    fig, ax = style.canvas(height=3.9)
    said, x = [], np.asarray(ratios, dtype=float)
    ax.axvspan(1 - clip, 1 + clip, color=style.QUIET, alpha=0.13, linewidth=0)
    ax.axhline(0, color=style.QUIET, linewidth=0.9)
    for i, (name, values) in enumerate(curves.items()):
        y, color, told = np.asarray(values, dtype=float), (style.BLUE, style.BERRY)[i % 2], []
        ax.plot(x, x * np.interp(1, x, y), color=color, linewidth=1.2, linestyle=":")
        ax.plot(x, y, color=color, linewidth=2.8, linestyle=style.LINESTYLES[i % 2], label=name)
        flat = np.flatnonzero(np.abs(np.diff(y)) < 1e-6)
        for part in np.split(flat, np.flatnonzero(np.diff(flat) > 1) + 1) if len(flat) else ():
            first, last = part[0], part[-1] + 1
            ax.annotate("flat: no gradient", ((x[first] + x[last]) / 2, y[first]), (0, -6), ha="center", va="top",
                        textcoords="offset points")  # fmt: skip
            told.append((first, last))
        said.append(f"{name}: {_flat_and_slanted(x, y, told)}")
    for at, name in ((1 - clip, f"1 \N{MINUS SIGN} {clip:g}"), (1 + clip, f"1 + {clip:g}")):
        style.above(ax, at, name)
    ax.set(xlabel="ratio: the probability now over that when it was sampled", ylabel="what the token is worth")
    ax.margins(x=0.02)
    style.headline(fig, "What a token is worth, with a clip")
    keys, names = ax.get_legend_handles_labels()
    keys.append(Line2D([], [], color=style.QUIET, linestyle=":", linewidth=1.4))
    fig.legend(keys, [*names, "without a clip"], loc="outside lower left", ncols=3)
    return fig, comparing.text(
        f"What a token is worth over the ratio of its probabilities, now over then, with a clip outside "
        f"{1 - clip:g} to {1 + clip:g}, the band that is shaded; where a line is flat there is no gradient",
        *said,
        "" if said else "No lines",
        "Dotted: each line without a clip",
    )


def _flat_and_slanted(x: np.ndarray, y: np.ndarray, flats: Sequence[tuple[int, int]]) -> str:
    """A line as its slanted and its flat parts, from left to right."""
    parts, start = [], 0
    for first, last in [*flats, (len(x) - 1, len(x) - 1)]:
        if first > start:
            way = "rises" if y[first] > y[start] else "falls"
            over = f"between {x[start]:.2f} and {x[first]:.2f}"
            parts.append(f"{way} from {y[start]:.2f} to {y[first]:.2f} {over}")
        if last > first:
            parts.append(f"is flat at {y[first]:.2f} from {x[first]:.2f} to {x[last]:.2f}")
        start = last
    return ", then ".join(parts) + ("" if flats else ", flat nowhere")


@style.figure
def along(runs: Sequence[Sequence[dict]], keys: Mapping[str, str], title: str):
    """What a run's records say over its steps: a panel for each key, a thin line for each seed, their mean in bold.

    The mean is smoothed over five steps, and ends where the shortest run does.

    Args:
        runs: for each seed the records of its steps, each with a "step".
        keys: for each key of the records, at most four, what it is in words.
    """
    if not 1 <= len(keys) <= 4:
        raise ValueError(f"one to four panels fit, not {len(keys)}")
    rows, columns = (2, 2) if len(keys) == 4 else (1, len(keys))
    fig, axes = style.canvas(rows, columns, height=1.1 + 1.6 * rows, squeeze=False, sharex=True)
    said = []
    for ax, (key, name) in zip(axes.flat, keys.items(), strict=True):
        curves = [[record[key] for record in run] for run in runs]
        for run, curve in zip(runs, curves, strict=True):
            ax.plot([record["step"] for record in run], curve, color=style.BLUE, alpha=0.55, linestyle="-",
                    linewidth=0.8)  # fmt: skip
        mean = _smooth(_means(curves)[0])
        if len(mean):
            ax.plot([record["step"] for record in runs[0]][: len(mean)], mean, color=style.NAVY, linestyle="-",
                    linewidth=2.8)  # fmt: skip
        steps = [record["step"] for record in runs[0]][: len(mean)] if len(mean) else []
        said.append(f"{name} {words.shape(mean, steps)}" if len(mean) else f"{name}: nothing yet")
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10), integer=True))
        style.panel_title(ax, fill(name, 78 // columns))
    for ax in axes[-1]:
        ax.set_xlabel("step")
    style.headline(fig, fill(title, 80))
    lines = [
        Line2D([], [], color=style.BLUE, alpha=0.7, linestyle="-", linewidth=0.8, label="a seed"),
        Line2D([], [], color=style.NAVY, linestyle="-", linewidth=2.8, label=f"mean, smoothed over {STEPS} steps"),
    ]
    fig.legend(handles=lines, loc="outside lower left", ncols=2)
    count = style.seeds([len(runs)]) if runs else "no runs"
    return fig, comparing.text(
        f"{title}: {words.count(len(keys), 'panel')} over the steps, {count}, told by their mean, smoothed over "
        f"{STEPS} steps",
        *said,
    )


@style.figure
def goodhart(runs: Sequence[Sequence[dict]], proxy: str, truth: str, title: str, stop: Sequence[int] | None = None):
    """What a judge says and what is true, over the root of the KL divergence: how far a policy is from its reference.

    The records of a run are put in the order of their distance and smoothed over five. The mean and its standard error
    are those of the seeds at the same distance, as far as all of them have come.

    Args:
        runs: for each seed the records of its steps, each with "kl_answer", in nats per answer.
        proxy, truth: keys of the records: what is rewarded, and what was meant.
        stop: for each run the place of the record before which one would stop early; a circle marks the mean of five
            records around it, in the order of the steps.
    """
    fig, ax = style.canvas(height=3.7)
    far = [np.sqrt([max(0.0, record["kl_answer"]) for record in run]) for run in runs]
    orders = [np.argsort(each, kind="stable") for each in far]
    xs = [_smooth(each[order]) for each, order in zip(far, orders, strict=True)]
    near, end = (max(x[0] for x in xs), min(x[-1] for x in xs)) if xs and all(map(len, xs)) else (0.0, 0.0)
    grid = np.linspace(near, end, 200) if near < end else np.array([])
    said, stops, means = [], [], {}
    if stop is not None:
        stops = [(_smooth(x)[place], _smooth([record[truth] for record in run])[place])
                 for x, run, place in zip(far, runs, stop, strict=True)]  # fmt: skip
    looks = (proxy, "the judge's word", style.ORANGE, "--"), (truth, "the truth", style.NAVY, "-")
    for key, role, color, dashes in looks:
        found = [np.array([record[key] for record in run])[order] for run, order in zip(runs, orders, strict=True)]
        ys = [_smooth(each) for each in found]
        for x, y in zip(xs, ys, strict=True):
            ax.plot(x, y, color=color, alpha=0.8, linewidth=0.9, linestyle="-")
        told = "no distance that all have come"
        if len(grid):
            mean, error = _means([np.interp(grid, x, y) for x, y in zip(xs, ys, strict=True)])
            ax.fill_between(grid, mean - error, mean + error, color=color, alpha=0.25, linewidth=0)
            ax.plot(grid, mean, color=color, linewidth=3.2, linestyle=dashes, label=f"{key}: {role}")
            told = words.shape(mean, grid, at="a distance of {}", write="{:.2f}".format)
            means[key] = mean
        said.append(f"{key}, {role}: {told}")
    for at, value in stops:
        ax.plot(at, value, **STOP, zorder=5)
    if stops:
        best = ", ".join(f"{value:.2f} at {at:.1f}" for at, value in stops)
        said.append(f"circles mark where each seed would stop, by the truth of {STEPS} steps: {best}")
    ax.set(xlabel="root of the KL divergence from the reference (nats per answer)", ylabel="score of the answers")
    ax.margins(x=0.02)
    style.headline(fig, fill(title, 80))
    keys, names = ax.get_legend_handles_labels()
    keys += [Line2D([], [], color=style.QUIET, linestyle="-", linewidth=0.9), Patch(color=style.QUIET, alpha=0.25)]
    names += [f"a seed, {STEPS} neighbors in distance averaged", "standard error of the mean"]
    if stops:
        keys.append(Line2D([], [], linestyle="", **STOP))
        names.append(f"the best step of each seed, {STEPS} steps averaged")
    fig.legend(keys, names, loc="outside lower left", ncols=2)
    count = style.seeds([len(runs)]) if runs else "no runs"
    errors = ", means with bands of their standard errors" if len(runs) > 1 else ""
    return fig, comparing.text(
        f"{title}: two scores over the root of the KL divergence, how far the policy is from its reference, "
        f"{count}{errors}",
        _gap(grid, means, proxy, truth),
        *said,
    )


def _gap(grid: np.ndarray, means: Mapping[str, np.ndarray], proxy: str, truth: str) -> str:
    """Whether what the judge says and what is true part on the way."""
    if proxy not in means or truth not in means:
        return ""
    first, last = (means[proxy][at] - means[truth][at] for at in (0, -1))
    change = "grows" if last > first + 0.02 else "shrinks" if last < first - 0.02 else "stays"
    peak = int(means[truth].argmax())
    best = f"the truth is highest at {grid[peak]:.1f}, {means[truth][peak]:.2f}, and {means[truth][-1]:.2f} at the end"
    return f"the judge's word less the truth {change} from {first:.2f} to {last:.2f} on the way; {best}"
