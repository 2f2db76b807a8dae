"""Attention in pictures: weights as a matrix, maps over a sentence, what scaling does, how heads are cut, the cost."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter

from course.figures import grids, style, words
from course.figures.attention_words import standing_out
from course.figures.language_models import label

NUMBERS = 6  # maps of up to so many tokens have their weights written in


@style.figure
def matmul(weights: np.ndarray, x: np.ndarray, tokens: Sequence[str]):
    """Mixtures as a matrix multiplication: weights times vectors, with every value written in.

    Args:
        weights: row i says how much of each token goes into the mixture at i, (time, time).
        x: the vectors, (time, d_model).
        tokens: what they stand for.
    """
    weights, x = np.asarray(weights, dtype=float), np.asarray(x, dtype=float)
    T, d = x.shape
    fig, axes = style.canvas(1, 3, height=2.75, width_ratios=(T, d, d))
    names = [label(token) for token in tokens]
    parts = (("weights", weights), ("times vectors", x), ("give mixtures", weights @ x))
    for ax, (title, values) in zip(axes, parts, strict=True):
        grids.grid(ax, values, most=max(1.0, float(np.abs(values).max())), numbers=True)
        style.panel_title(ax, title)
        ax.set_yticks(range(T), names, fontsize=9)
        ax.set_xticks([])
    axes[0].set_xticks(range(T), names, fontsize=9, rotation=35, ha="right", rotation_mode="anchor")
    style.headline(fig, "All mixtures by one matrix multiplication")
    last = (weights @ x)[-1]
    above = np.triu(weights, 1)
    shape = "all above the diagonal is zero" if T > 1 and not above.any() else "" if T == 1 else (
        f"{np.count_nonzero(above)} weights above the diagonal are not zero")  # fmt: skip
    return fig, words.told(
        f"A {T} by {T} matrix of weights, times a vector of {d} values for each of {', '.join(names)}, gives one "
        f"mixture a row",
        f"In the weights {shape}" if shape else "",
        f"So {standing_out(weights, names)}" if np.allclose(weights.sum(axis=1), 1) and T > 1 else "",
        f"The first row of weights is {grids.listed(weights[0])}; the last is {grids.listed(weights[-1])}, and its "
        f"mixture {grids.listed(last)}",
    )


@style.figure
def maps(weights: Mapping[str, np.ndarray], tokens: Sequence[str], title: str = "Who takes from whom", rows: int = 1):
    """Attention maps: row by row, how much each token (left) takes from each token (below).

    Args:
        weights: for each panel's title the weights, (time, time), rows that sum to 1.
        tokens: the tokens, in order.
        title: above all panels.
        rows: lay the panels out in so many rows.
    """
    T, columns = len(tokens), -(-len(weights) // rows)
    each = style.WIDTH / columns
    size = 9 if T <= 8 else max(style.SMALLEST, min(10.5, 44 * each / T))
    named = range(0, T, 1 if T <= 8 else math.ceil(T * style.SMALLEST / (44 * each)))  # all, if there is room
    high = min(each, 3.1 if T <= NUMBERS else 4.0)
    fig, axes = style.canvas(rows, columns, height=rows * (high + 0.35) + 0.3, squeeze=False, sharey=True)
    fig.get_layout_engine().set(wspace=0.06)
    names, said = [label(token) for token in tokens], {}
    for ax in axes.flat[len(weights) :]:
        ax.axis("off")
    for number, (ax, (name, values)) in enumerate(zip(axes.flat, weights.items(), strict=False)):
        values = np.asarray(values, dtype=float)
        grids.grid(ax, values, most=1.0, numbers=T <= NUMBERS)
        style.panel_title(ax, name)
        ax.set_yticks(named, [names[i] for i in named], fontsize=size)
        turned = {"rotation": 90} if T > 8 else {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
        lowest = number + columns >= len(weights)  # of its column
        ax.set_xticks(*([named, [names[i] for i in named]] if lowest else [[], []]), fontsize=size, **turned)
        said[name] = standing_out(values, names)
    style.headline(fig, title)
    return fig, words.told(
        f"{'A map' if len(weights) == 1 else 'Maps'} of attention over {words.count(T, 'token')}: each row is a token "
        f"that takes, each column one that gives",
        *(f"{name}: {what}" for name, what in said.items()),
    )


@style.figure
def arcs(tokens: Sequence[str], weights: Sequence[float], title: str):
    """What the last token takes from each token: arcs, thick where it takes much.

    Args:
        tokens: the tokens, in order.
        weights: the last row of an attention map, (time,).
    """
    fig, ax = style.canvas(height=2.3)
    T = len(tokens)
    for position, weight in enumerate(weights):
        end = T - 1
        if position < end:
            angle = np.linspace(0, np.pi, 60)
            middle, radius = (position + end) / 2, (end - position) / 2
            ax.plot(
                middle + radius * np.cos(angle), 0.12 + 0.8 * radius / (T / 2) * np.sin(angle), color=style.BLUE,
                linewidth=0.6 + 9 * weight, alpha=0.35 + 0.6 * weight, solid_capstyle="round", linestyle="-",
            )  # fmt: skip
        ax.text(position, -0.02, label(tokens[position]), ha="center", va="center", fontsize=11, family="monospace")
        ax.text(position, -0.2, f"{weight:.2f}", ha="center", va="center", fontsize=9.5, color=style.QUIET)
    ax.set(xlim=(-0.6, T - 0.4), ylim=(-0.3, 1.05), title=title)
    ax.axis("off")
    return fig, _taken([words.quoted(label(token)) for token in tokens], np.asarray(weights, dtype=float))


def _taken(names: Sequence[str], weights: np.ndarray) -> str:
    """From whom the last token takes most, or that it takes the same from all."""
    listed = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(names, weights, strict=True))
    order = np.argsort(-weights, kind="stable")
    first = "itself" if order[0] == len(names) - 1 else names[order[0]]
    if len(names) == 1:
        lead = f"{names[0]} sees itself alone"
    elif np.ptp(weights) <= 0.1 / len(names):
        lead = f"{names[-1]} takes the same from every token it sees"
    elif weights[order[0]] >= 3 * weights[order[1]]:
        lead = f"{names[-1]} takes by far the most from {first}"
    else:
        lead = f"{names[-1]} takes most from {first}"
    return f"Arcs from {names[-1]} to the tokens it sees, the thicker the more it takes. {lead}. The weights: {listed}."


@style.figure
def score_variance(d_head: Sequence[int], variance: Mapping[str, Sequence[float]]):
    """The variance of query times key against the width of a head, on logarithmic axes."""
    fig, ax = style.canvas(height=3.0)
    for i, (name, values) in enumerate(variance.items()):
        ax.plot(d_head, values, color=style.COLOURS[i + 1], marker=style.MARKERS[i], linestyle=style.LINESTYLES[i],
                label=name)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="d_head", ylabel="variance of the scores")
    ax.set_title("The wider the head, the wilder its scores")
    grids.ticks(ax, d_head)
    ax.legend(loc="upper left")
    return fig, words.told(
        f"The variance of the scores against the width of a head, {d_head[0]:,} to {d_head[-1]:,}, on logarithmic axes",
        words.lines(variance, d_head, at="width {}", log=True, log_x=True),
        "; ".join(f"{name} {_grows(d_head, values)}" for name, values in variance.items()),
    )


def _grows(x: Sequence[float], y: Sequence[float]) -> str:
    """How something grows with x, from its first to its last value: not, as x, as its square, or otherwise."""
    power = float(np.log(y[-1] / y[0]) / np.log(x[-1] / x[0]))
    for exponent, how in ((0, "does not grow with it"), (1, "grows in proportion to it"), (2, "grows as its square")):
        if abs(power - exponent) < 0.1:
            return how
    return f"grows as its power {power:.1f}" if power > 0 else f"shrinks as its power {power:.1f}"


@style.figure
def saturation(d_head: Sequence[int], largest: Mapping[str, Sequence[float]], gradient: Mapping[str, Sequence[float]]):
    """What wild scores do to a softmax: its largest weight goes to 1, and its gradient to 0."""
    fig, axes = style.canvas(1, 2, height=3.0)
    panels = (("largest weight of a row", largest), ("mean size of the gradient", gradient))
    for ax, (title, curves) in zip(axes, panels, strict=True):
        for i, (name, values) in enumerate(curves.items()):
            ax.plot(d_head, values, color=style.COLOURS[i + 1], marker=style.MARKERS[i],
                    linestyle=style.LINESTYLES[i], label=name)  # fmt: skip
        ax.set(xscale="log", xlabel="d_head", ylim=(0, None))
        style.panel_title(ax, title)
        grids.ticks(ax, d_head)
    axes[0].set_ylim(0, 1)
    style.headline(fig, "A softmax that is sure of itself")
    axes[0].legend(loc="upper left")
    place = {"at": "width {}", "log_x": True}
    return fig, words.told(
        f"Two panels over the width of a head, {d_head[0]:,} to {d_head[-1]:,}, on a logarithmic axis",
        f"The largest weight of a row: {words.lines(largest, d_head, write=words.fixed(2), **place)}",
        f"The mean size of the gradient: {words.lines(gradient, d_head, **place)}",
    )


@style.figure
def felt(panels: Mapping[str, np.ndarray], tokens: Sequence[str]):
    """Which outputs change when one input is changed.

    Args:
        panels: for each title a grid of truth values, (time, time): [i, j] is whether output i felt input j.
        tokens: the tokens, in order.
    """
    T = len(tokens)
    fig, axes = style.canvas(1, len(panels), height=3.3, squeeze=False, sharey=True)
    names, said = [label(token) for token in tokens], []
    for ax, (title, grid) in zip(axes[0], panels.items(), strict=True):
        grid = np.asarray(grid, dtype=bool)
        colours = np.where(grid, 0.55, 0.0)
        colours[np.triu(grid, 1)] = 1.0
        ax.imshow(colours, cmap=style.HEAT, vmin=0, vmax=1)
        for i, j in np.argwhere(grid):
            leak = j > i
            ax.text(j, i, "leak" if leak else "yes", ha="center", va="center", fontsize=9,
                    color="#ffffff", fontweight="bold" if leak else "normal")  # fmt: skip
        grids.frame(ax, T, T)
        style.panel_title(ax, title)
        ax.set_yticks(range(T), names, fontsize=9)
        ax.set_xticks(range(T), names, fontsize=9)
        ax.set_xlabel("this input was changed")
        said.append(f"{title}: {_felt_by(grid)}")
    axes[0][0].set_ylabel("did this output change?")
    style.headline(fig, "Who notices that an input changed?")
    return fig, words.told(
        f"Grids over {T} tokens: a row is an output, a column an input that was changed, a filled cell an output that "
        f"changed with it; above the diagonal it is a leak from the future",
        *said,
    )


def _felt_by(grid: np.ndarray) -> str:
    """Which triangles of a grid of truth values are filled."""
    T = len(grid)
    leaks, future = int(np.triu(grid, 1).sum()), T * (T - 1) // 2
    past, below = int(np.tril(grid).sum()), T * (T + 1) // 2
    if past == below and leaks == future > 0:
        return f"every output felt every input, so there are {leaks} leaks"
    seen = "every output felt itself and all inputs before it" if past == below else (
        f"{past} of the {below} cells on and below the diagonal are filled")  # fmt: skip
    return f"{seen}, " + ("and none felt a later one: no leak" if not leaks else f"and {words.count(leaks, 'leak')}")


@style.figure
def cut_into_heads(panels: Mapping[str, np.ndarray], tokens: Sequence[str]):
    """Which head gets which value of the vectors, under several ways to reshape.

    Args:
        panels: for each title the number of the head for every cell, (time, d_model).
        tokens: the tokens, one a row.
    """
    fig, axes = style.canvas(1, len(panels), height=2.7, squeeze=False, sharey=True)
    fig.get_layout_engine().set(wspace=0.06)
    hatches, said = ("", "///", "||", "xx"), []
    for ax, (title, heads) in zip(axes[0], panels.items(), strict=True):
        heads = np.asarray(heads)
        T, d = heads.shape
        for i in range(T):
            for j in range(d):
                head = int(heads[i, j])
                colour = (style.SKY, style.ORANGE, style.TEAL, style.BLUE)[head % 4]
                ax.bar(j, 1, width=1, bottom=i - 0.5, color=colour, edgecolor=style.GROUND, linewidth=1.5,
                       hatch=hatches[head % 4])  # fmt: skip
                ax.text(j, i, str(head), ha="center", va="center", fontsize=9.5, color=style.INK,
                        bbox={"boxstyle": "round,pad=0.1", "fc": style.GROUND, "ec": "none"})  # fmt: skip
        ax.set(xlim=(-0.5, d - 0.5), ylim=(T - 0.5, -0.5), xlabel="feature")
        style.panel_title(ax, title)
        ax.set_yticks(range(T), [label(token) for token in tokens], fontsize=9)
        ax.set_xticks(range(d))
        ax.grid(visible=False)
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        said.append(f"{title}: {_owners(heads, [words.quoted(label(token)) for token in tokens])}")
    style.headline(fig, "Which head gets which feature")
    return fig, words.told(
        "Tables with a row for each token and a column for each feature; a cell has the number of the head it goes to",
        *said,
    )


def _owners(heads: np.ndarray, names: Sequence[str]) -> str:
    """What each head gets: the same features of every token, or whole tokens and pieces of others."""
    numbers = sorted(set(heads.flatten().tolist()))
    if len(numbers) > 1 and (heads == heads[0]).all():
        parts = [f"head {head} features {_run(np.flatnonzero(heads[0] == head))}" for head in numbers]
        return "every head gets a part of every token, " + words.listing(parts)
    said = []
    for head in numbers:
        whole = [name for name, row in zip(names, heads, strict=True) if (row == head).all()]
        some = [
            f"features {_run(np.flatnonzero(row == head))} of {name}"
            for name, row in zip(names, heads, strict=True)
            if (row == head).any() and not (row == head).all()
        ]
        said.append(f"head {head} gets {words.listing(([f'all of {words.listing(whole)}'] if whole else []) + some)}")
    lead = "the heads do not get the same features of every token: " if len(numbers) > 1 else ""
    return lead + "; ".join(said)


def _run(places: np.ndarray) -> str:
    """Numbers in a row by their ends, else all of them."""
    if len(places) > 2 and (np.diff(places) == 1).all():
        return f"{places[0]} to {places[-1]}"
    return words.listing(str(place) for place in places)


@style.figure
def cost(lengths: Sequence[int], milliseconds: Mapping[str, Sequence[float]], megabytes: Mapping[str, Sequence[float]]):
    """Time and memory of attention against the length of the sequence, on logarithmic axes."""
    fig, axes = style.canvas(1, 2, height=3.2)
    for ax, title, curves in zip(
        axes, ("milliseconds", "megabytes at the peak"), (milliseconds, megabytes), strict=True
    ):
        for i, (name, values) in enumerate(curves.items()):
            ax.plot(lengths, values, color=style.COLOURS[i + 1], marker=style.MARKERS[i],
                    linestyle=style.LINESTYLES[i], label=name)  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="tokens")
        style.panel_title(ax, title)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        grids.ticks(ax, lengths)
    axes[0].legend(loc="upper left")
    style.headline(fig, "What attention costs")
    slowest = max(milliseconds, key=lambda name: milliseconds[name][-1])  # seconds differ from run to run: words
    longer = lengths[-1] / lengths[0]
    grows = "; ".join(
        f"{name} {_grows(lengths, values)}, to {words.number(values[-1] / values[0])} times as much"
        for name, values in megabytes.items()
    )
    hungry = max(megabytes, key=lambda name: megabytes[name][-1])
    return fig, words.told(
        f"Time and memory against the length of a sequence, {lengths[0]:,} to {lengths[-1]:,} tokens, {longer:g} times "
        f"as long, all axes logarithmic",
        f"Memory with the length: {grows}",
        f"At the longest one {hungry} needs the most memory"
        + (" and takes the most time" if hungry == slowest else f", and {slowest} takes the most time"),
    )


@style.figure
def learning(steps: Sequence[int], losses: Sequence[float], levels: Mapping[str, float]):
    """A training loss against steps, with the validation losses of other models as levels.

    Args:
        steps, losses: nats per token at each step, as smooth as they should be drawn.
        levels: named horizontal lines, in nats per token.
    """
    fig, ax = style.canvas(height=3.8)
    ax.plot(steps, losses, color=style.BLUE, linestyle="-", label="training")
    for i, (name, value) in enumerate(levels.items()):
        ax.axhline(value, color=style.INK, linewidth=1.2, linestyle=style.LINESTYLES[1 + i % 4])
        ax.text(1.2 * steps[-1], value, f"{name}: {value:.2f}", va="bottom", ha="right", fontsize=9.5)
    ax.set(xlim=(0, 1.21 * steps[-1]), ylim=(0, None), xlabel="steps", ylabel="nats per token")
    ax.set_title("One head learns to tell stories")
    return fig, words.told(
        f"The training loss {words.shape(losses, steps, write=words.fixed(2))}",
        words.past_levels(losses, steps, levels),
    )


@style.figure
def by_distance(weights: Mapping[str, Sequence[float]]):
    """How much attention goes to the token itself (0), the one before it (1), and so on back."""
    fig, ax = style.canvas(height=2.9)
    wide, said = 0.8 / len(weights), []
    for i, (name, values) in enumerate(weights.items()):
        centers = np.arange(len(values)) + (i - (len(weights) - 1) / 2) * wide
        ax.bar(centers, values, width=wide, color=(style.BLUE, style.ORANGE)[i % 2], hatch=style.HATCHES[i],
               edgecolor=style.GROUND, linewidth=0.5, label=name)  # fmt: skip
        said.append(f"{name}: {_back(values)}")
    ax.set(xlabel="tokens back", ylabel="mean weight")
    ax.set_title("How far back does it look?")
    ax.set_xticks(range(max(map(len, weights.values()))))
    if len(weights) > 1:
        ax.legend()
    return fig, words.told(
        "Bars of the mean attention weight by how many tokens back it goes, 0 being the token itself", *said
    )


def _back(values: Sequence[float]) -> str:
    """At which distance most attention goes, how it goes on from there, and how much the token keeps for itself."""
    most = int(np.argmax(values))
    where = "to the token itself" if most == 0 else words.count(most, "token") + " back"
    said = f"most goes {where}, {values[most]:.2f}"
    if len(values) - most > 2:
        falls = all(b < a for a, b in zip(values[most:], values[most + 1 :], strict=False))
        said += f", and {'less with every token further' if falls else 'not always less further on'}, "
        said += f"{values[-1]:.3f} at {len(values) - 1}"
    return said + (f"; to itself {values[0]:.3f}" if most else "")
