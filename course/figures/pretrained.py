"""Figures of notebook 12: a matrix in two layouts, differences by layer, what is frozen, losses in two units."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator

from course.figures import comparing, style, words


@style.figure
def two_layouts(conv1d: np.ndarray, linear: np.ndarray, row: int = 1):
    """The same corner of a matrix as a Conv1D and as a Linear store it; what input `row` gives is framed in both.

    Args:
        conv1d: (inputs, outputs), few enough to be written in cells.
        linear: (outputs, inputs).
        row: the input whose weights are framed.
    """
    corners = np.asarray(conv1d, dtype=float), np.asarray(linear, dtype=float)
    (inputs, outputs), largest = corners[0].shape, max(float(np.abs(c).max()) for c in corners) or 1.0
    fig, axes = style.canvas(1, 2, height=3.4)
    titles = "Conv1D: rows are inputs", "Linear: rows are outputs"
    for ax, corner, title in zip(axes, corners, titles, strict=True):
        ax.imshow(corner, cmap=style.DIVERGING, vmin=-largest, vmax=largest, aspect="auto")
        for (i, j), value in np.ndenumerate(corner):
            ground = to_hex(style.DIVERGING(0.5 + value / largest / 2))
            ax.text(j, i, f"{100 * value:+.0f}", ha="center", va="center", fontsize=9, color=style.text_colour(ground))
        ax.grid(visible=False)
        ax.set_xticks(range(corner.shape[1]))
        ax.set_yticks(range(corner.shape[0]))
        ax.tick_params(length=0)
        style.panel_title(ax, title)
    axes[0].set(xlabel="output", ylabel="input")
    axes[1].set(xlabel="input", ylabel="output")
    frame = dict(fill=False, edgecolor=style.ORANGE, linewidth=2.6)
    axes[0].add_patch(Rectangle((-0.46, row - 0.46), outputs - 0.08, 0.92, **frame))
    axes[1].add_patch(Rectangle((row - 0.46, -0.46), 0.92, outputs - 0.08, **frame))
    fig.get_layout_engine().set(wspace=0.06)  # else one map touches the other's label
    style.headline(fig, "One corner, two layouts (weights times 100)")
    equal = np.array_equal(corners[0], corners[1].T)
    return fig, comparing.text(
        f"The same {corners[0].size} numbers twice, rows and columns exchanged: the right map is the left transposed"
        if equal else "Two maps of a corner of a weight matrix: the right is NOT the left transposed",
        f"left, as Conv1D stores it, {inputs} rows of inputs by {outputs} columns of outputs; right, as Linear stores "
        f"it, {corners[1].shape[0]} rows of outputs by {corners[1].shape[1]} columns of inputs",
        f"what input {row} gives is framed: a row on the left, a column on the right",
    )  # fmt: skip


@style.figure
def differences_by_layer(layers: Sequence[str], differences: Mapping[str, Sequence[float]], tolerance: float):
    """Largest relative difference between two models after each layer, on a logarithmic scale.

    Args:
        layers: after which the two were compared, in order: "embed", "0", ..., "logits".
        differences: for each comparison one number a layer; 0 is drawn at the bottom.
        tolerance: below it the difference counts as rounding.
    """
    fig, ax = style.canvas(height=4.0)
    positive = [value for values in differences.values() for value in values if value > 0]
    bottom = 10 ** np.floor(np.log10(min(positive, default=1e-9)))
    for i, (name, values) in enumerate(differences.items()):
        colour = (style.BLUE, style.NAVY, style.BERRY, style.TEAL)[i % 4]
        look = dict(color=colour, marker=style.MARKERS[i], linestyle=style.LINESTYLES[i])
        ax.plot(range(len(layers)), np.maximum(values, bottom), label=name, **look)
    ax.axhline(tolerance, color=style.INK, linewidth=1.2, linestyle=":")
    ax.text(len(layers) - 0.6, tolerance * 1.25, f"{tolerance:g}", va="bottom", ha="right", fontsize=9.5)
    ax.set_yscale("log")
    ax.set_ylim(bottom / 3, 10 * max([tolerance, *positive]))
    ax.set_xlim(-0.5, len(layers) - 0.5)
    ax.set_xticks(range(len(layers)), layers)
    ax.tick_params(axis="x", labelsize=9)
    ax.set(xlabel="after which layer", ylabel="largest relative difference")
    ax.legend(loc="center right", bbox_to_anchor=(1.0, 0.36))
    ax.set_title("Where two models part")
    said = []
    for name, values in differences.items():
        at, inside = next((i for i, v in enumerate(values) if not v <= tolerance), None), "{:.0e}".format
        if at is None:
            said.append(f"{name} never leaves it: at most {inside(max(values))}, {inside(values[-1])} at {layers[-1]}")
            continue
        before = f", from {inside(values[at - 1])} at {layers[at - 1]}" if at else ""
        back = [layers[i] for i in range(at, len(values)) if values[i] <= tolerance]
        stays = "and stays above it" if not back else f"and comes back below it at {comparing.some(back, 4)}"
        last = f"{inside(values[-1])} at {layers[-1]}" if np.isfinite(values[-1]) else f"no number at {layers[-1]}"
        said.append(f"{name} first leaves it at {layers[at]}{before}, {stays} ({last})")
    return fig, comparing.text(
        f"The largest relative difference between two models after each of {words.count(len(layers), 'layer')}, on a "
        f"logarithmic scale with a line at {tolerance:g}, below which it is rounding",
        "; ".join(said),
    )


@style.figure
def what_moves(sizes: Mapping[str, int], trained: Sequence[str]):
    """Bars of parameters in each part of a model, the trained parts told from the frozen ones.

    Args:
        sizes: parameters in each part, from input to output.
        trained: the parts that move; the others are frozen.
    """
    fig, ax = style.canvas(height=0.235 * len(sizes) + 1.2)
    total, moving = sum(sizes.values()), sum(sizes[name] for name in trained)
    for place, (name, size) in enumerate(sizes.items()):
        look = (
            dict(color=style.ORANGE, hatch=style.HATCHES[1], edgecolor=style.INK, linewidth=0.6)
            if name in trained
            else dict(color=style.SKY)
        )
        ax.barh(place, size / 1e6, height=0.66, **look)
        state = "trained" if name in trained else "frozen"
        ax.text(size / 1e6, place, f"  {size:,}, {state}", va="center", fontsize=9)
    ax.set_yticks(range(len(sizes)), list(sizes), fontsize=9)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    ax.set(xlabel="million parameters", xlim=(0, 1.35 * max(sizes.values()) / 1e6))
    ax.set_title(f"{moving / total:.0%} of the parameters move")
    frozen = [name for name in sizes if name not in trained]
    largest = max(sizes, key=sizes.get)
    return fig, comparing.text(
        f"{moving / total:.1%} of the parameters are trained, {moving:,} of {total:,}: those of "
        f"{comparing.some(trained)}, whose bars are hatched"
        if trained else f"Nothing is trained, 0 of {total:,} parameters",
        f"frozen: {_ranges(frozen)}" if frozen else "nothing is frozen",
        f"the longest of the {len(sizes)} bars is {largest} with {sizes[largest]:,}",
    )  # fmt: skip


def _ranges(names: Sequence[str]) -> str:
    """Names, of which those that only count on are said as a range: "wte, block 0 to block 9"."""
    runs: list[list[str]] = []
    for name in names:
        kind, _, number = name.rpartition(" ")
        last = runs[-1][-1].rpartition(" ") if runs else ("", "", "")
        if number.isdigit() and last[0] == kind and last[2].isdigit() and int(number) == int(last[2]) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    return words.listing(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


@style.figure
def two_units(bytes_per_token: Mapping[str, float], bits_per_byte: float):
    """Nats per token that mean the same number of bits per byte, for several tokenizers.

    Args:
        bytes_per_token: for each tokenizer, on the same text.
        bits_per_byte: one score, marked on every line.
    """
    fig, ax = style.canvas(height=3.7)
    reach = np.array([0, 2 * bits_per_byte])
    ends = []
    for i, (name, length) in enumerate(bytes_per_token.items()):
        look = dict(color=style.COLOURS[i], linestyle=style.LINESTYLES[i])
        ax.plot(reach, reach * np.log(2) * length, label=f"{name}: {length:.2f} bytes a token", **look)
        nats = bits_per_byte * np.log(2) * length
        ax.plot(
            [bits_per_byte], [nats], marker=style.MARKERS[i], color=style.COLOURS[i], linestyle="none", markersize=8
        )
        ends.append((name, nats))
    ax.plot([bits_per_byte] * 2, [0, max(nats for _, nats in ends)], color=style.INK, linewidth=1.2, linestyle=":")
    ax.set(xlim=(0, reach[1]), ylim=(0, None), xlabel="bits per byte", ylabel="nats per token")
    ax.legend(loc="upper left")
    ax.set_title("One score, and what each tokenizer calls it")
    said = ", ".join(f"{nats:.3f} nats per token for {name}" for name, nats in ends)
    order = sorted(bytes_per_token, key=bytes_per_token.get)
    lesson = ""
    if len(order) > 1 and bytes_per_token[order[0]] < bytes_per_token[order[-1]]:
        lesson = (
            f"the longer its tokens, the steeper a tokenizer's line and the more nats a token the same score is: "
            f"flattest is {order[0]} ({bytes_per_token[order[0]]:.2f} bytes a token), steepest {order[-1]} "
            f"({bytes_per_token[order[-1]]:.2f})"
        )
    return fig, comparing.text(
        f"One score of {bits_per_byte:.3f} bits per byte is {said}",
        lesson,
        "straight lines from zero, one a tokenizer: nats per token over bits per byte",
    )


@style.figure
def loss_by_step(
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], levels: Mapping[str, float], title: str, unit: str
):
    """Losses against training steps, with levels that they are compared with.

    Args:
        curves: for each curve its steps and its losses.
        levels: named horizontal lines.
        title, unit: what the figure and its vertical axis are called.
    """
    fig, ax = style.canvas(height=3.9)
    for i, (name, (steps, losses)) in enumerate(curves.items()):
        look = dict(color=style.COLOURS[i], linestyle=style.LINESTYLES[i], marker=style.MARKERS[i])
        ax.plot(steps, losses, label=name, markevery=max(1, len(steps) // 10), **look)
    last = max(steps[-1] for steps, _ in curves.values())
    style.levels(ax, levels)
    ax.set_xlim(right=1.35 * last if levels else None)  # room for their names, beside the curves
    ticks = MaxNLocator(8, integer=True).tick_values(0, last)
    ax.xaxis.set_major_locator(FixedLocator(ticks[ticks <= last]))
    heights = [*levels.values(), *(loss for _, losses in curves.values() for loss in losses)]
    low, top = min(heights), max(heights)
    # from zero, unless all of it would lie near the upper edge
    bottom = 0.0 if low < 0.75 * top or low == top else low - 0.35 * (top - low)
    ax.set(ylim=(bottom, top + 0.12 * (top - bottom)), xlabel="steps", ylabel=unit)
    ax.legend(loc="best")
    ax.set_title(title)
    two = "{:.2f}".format
    extent = words.span([*(losses for _, losses in curves.values()), [bottom]])
    said = [f"{name} {words.shape(losses, steps, span=extent, write=two)}" for name, (steps, losses) in curves.items()]
    ends = {name: losses[-1] for name, (_, losses) in curves.items()}
    for name, value in levels.items():
        places = comparing.grouped({which: "above" if end > value else "below" for which, end in ends.items()})
        said.append(f"a line marks {name} at {value:.2f}" + (f", {places} it at the end" if len(ends) > 1 else ""))
    return fig, comparing.text(
        f"{unit} over {last} training steps",
        f"at the end, the lowest first: {words.ranking(ends, two)}" if len(ends) > 1 else "",
        "; ".join(said),
    )


@style.figure
def before_and_after(scores: Mapping[str, Mapping[str, float]], unit: str, title: str):
    """Groups of bars: each group a set of stories, each bar a model.

    Args:
        scores: for each group, for each model its score; every group has the same models.
        unit, title: what the vertical axis and the figure are called.
    """
    fig, ax = style.canvas(height=3.4)
    models = list(next(iter(scores.values())))
    width = 0.8 / len(models)
    most = max(value for group in scores.values() for value in group.values())
    looks = [(style.SKY, ""), (style.ORANGE, style.HATCHES[1]), (style.TEAL, style.HATCHES[2]), (style.BLUE, "")]
    for i, model in enumerate(models):
        colour, hatch = looks[i % 4]
        places = np.arange(len(scores)) + (i - (len(models) - 1) / 2) * width
        values = [group[model] for group in scores.values()]
        ax.bar(places, values, width * 0.94, color=colour, hatch=hatch, edgecolor=style.INK, linewidth=0.6, label=model)
        for place, value in zip(places, values, strict=True):
            ax.text(place, value + 0.015 * most, f"{value:.3f}", ha="center", va="bottom", fontsize=9.5)
    ax.set_xticks(range(len(scores)), list(scores))
    ax.set(ylabel=unit, ylim=(0, 1.32 * most))
    ax.legend(loc="upper center", ncols=len(models))
    ax.set_title(title)
    first, *others = models
    said = []
    for group, values in scores.items():
        under, over = ([m for m in others if sign * (values[m] - values[first]) > 0] for sign in (-1, 1))
        parts = [f"{direction}: {comparing.grouped({m: f'{values[m]:.3f}' for m in sorted(found, key=values.get)})}"
                 for direction, found in (("lower", under), ("higher", over)) if found]  # fmt: skip
        said.append(f"{group}, {first} {values[first]:.3f}; {'; '.join(parts) or 'the same for all'}")
    best = {group: min(values, key=values.get) for group, values in scores.items()}
    return fig, comparing.text(
        f"Bars of {unit}, a group for each of {words.listing(scores)}",
        *said,
        "the lowest: " + ", ".join(f"{model} on {group}" for group, model in best.items()),
    )
