"""Language models compared: what they expect next, the table of bigrams, losses, and the scoreboard as bars."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import PowerNorm, to_hex
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from course.figures import style, words
from course.figures.tokens import visible


def label(token: str) -> str:
    """A token as a short label: a space is a dot, the end token is "end"."""
    return "end" if token == "<|endoftext|>" else visible(token.encode("utf-8"))


@style.figure
def next_tokens(expected: Mapping[str, Sequence[tuple[str, float]]], before: str):
    """The most probable next tokens of several models, side by side.

    Args:
        expected: for each model its first choices, `(token, probability)`, the most probable first.
        before: the text that they continue.
    """
    fig, axes = style.canvas(1, len(expected), height=2.9, sharex=True, squeeze=False)
    most = max(p for choices in expected.values() for _, p in choices)
    for ax, (name, choices) in zip(axes[0], expected.items(), strict=True):
        places = range(len(choices))
        ax.barh(places, [p for _, p in choices], color=style.BLUE, height=0.62)
        for place, (_, p) in zip(places, choices, strict=True):
            ax.text(p + 0.03 * most, place, f"{p:.2f}" if p >= 0.005 else "<.01", va="center", fontsize=9)
        ax.set_yticks(places, [label(token) for token, _ in choices], family="monospace", fontsize=9)
        ax.invert_yaxis()
        ax.set(xlim=(0, 1.45 * most))
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        style.panel_title(ax, name)
        ax.grid(visible=False)
        ax.tick_params(axis="y", length=0)
    style.headline(fig, f"What comes after “{before}”?")
    fig.supxlabel("probability", fontsize=10.5)
    surest = max(expected, key=lambda name: expected[name][0][1])
    return fig, words.told(
        f"The most probable tokens after “{before}”, as bars, {words.listing(expected)} side by side"
        + (f"; {surest} is the surest" if len(expected) > 1 else ""),
        "; ".join(f"{name}: {_first_choices(choices)}" for name, choices in expected.items()),
    )


def _first_choices(choices: Sequence[tuple[str, float]]) -> str:
    """The first few choices, and whether the first has nearly everything or little."""
    shown = [f"{words.quoted(label(token))} {p:.2f}" if p >= 0.005 else f"{words.quoted(label(token))} below 0.01"
             for token, p in choices]  # fmt: skip
    if choices[0][1] >= 0.9:
        return f"certain of {shown[0]}"
    few = ", ".join(shown[: 3 if choices[0][1] < 0.5 else 2])
    return f"unsure, {few}" if choices[0][1] < 0.15 else few


@style.figure
def bigram_matrix(probabilities: np.ndarray, tokens: Sequence[str]):
    """Heat map: each row is a token, each column the token after it.

    Args:
        probabilities: P(column | row), `(len(tokens), len(tokens))`; rows need not sum to one, since only some of
            the vocabulary is shown.
        tokens: their texts.
    """
    values = np.asarray(probabilities, dtype=float)
    fig, ax = style.canvas(height=4.95)
    scale = PowerNorm(0.5, vmin=0, vmax=max(values.max(), 1e-9))
    image = ax.imshow(values, cmap=style.HEAT, norm=scale, aspect="auto")
    names = [label(token) for token in tokens]
    ax.set_xticks(range(len(names)), names, rotation=90, family="monospace", fontsize=9)
    ax.set_yticks(range(len(names)), names, family="monospace", fontsize=9)
    ax.grid(visible=False)
    ax.tick_params(length=0)
    for row, column in zip(*np.nonzero(values >= 0.095), strict=True):
        value = values[row, column]
        ground = to_hex(style.HEAT(scale(value)))
        ax.text(
            column, row, f"{value:.1f}".removeprefix("0"), ha="center", va="center", fontsize=9,
            color=style.text_colour(ground),
        )  # fmt: skip
    bar = fig.colorbar(image, ax=ax, pad=0.015, fraction=0.04)
    bar.outline.set_visible(False)
    bar.set_label("probability (square-root scale)")
    ax.set(xlabel="the next token", ylabel="the token before it")
    ax.set_title("What follows what: a corner of the table")
    return fig, _followers(values, [words.quoted(name) for name in names])


def _followers(values: np.ndarray, names: Sequence[str]) -> str:
    """How empty the table is, its darkest cells, and the rows in which hardly anything follows."""
    empty = float(np.mean(values < 0.001))
    places = [np.unravel_index(place, values.shape) for place in np.argsort(-values, axis=None)[:8]]
    dark = [f"{names[column]} after {names[row]} {values[row, column]:.2f}" for row, column in places
            if values[row, column] >= 0.05]  # fmt: skip
    sums = values.sum(axis=1)
    pale = [names[row] for row in np.argsort(sums, kind="stable") if sums[row] < 0.05][:6]
    return words.told(
        f"Heat map of {len(names)} frequent tokens: a row for the token before, a column for the next, the darker the "
        f"more probable. {'Most' if empty > 0.5 else 'Many' if empty > 0.25 else 'Few'} cells are empty: {empty:.0%} "
        f"are below one in a thousand",
        f"The darkest: {', '.join(dark)}" if dark else "No cell is dark",
        f"Rows in which hardly any of these tokens follows: {', '.join(pale)}" if pale and dark else "",
    )


@style.figure
def losses_by_stories(sizes: Sequence[int], losses: Mapping[str, Sequence[float]], floor: float | None = None):
    """Validation loss of several models against the number of stories they were trained on.

    Args:
        sizes: numbers of stories.
        losses: for each model its nats per token at each size.
        floor: the best possible loss, drawn as a line if it is known.
    """
    fig, ax = style.canvas(height=3.9)
    for i, (name, values) in enumerate(losses.items()):
        ax.plot(
            sizes, values, color=style.COLOURS[i], marker=style.MARKERS[i], linestyle=style.LINESTYLES[i], label=name
        )
    if floor is not None:
        ax.axhline(floor, color=style.INK, linewidth=1.2, linestyle="-")
        ax.text(sizes[0], floor, "the floor", va="bottom", ha="left", fontsize=9.5)
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.set(ylim=(0, None), xlabel="stories counted", ylabel="nats per token, validation stories")
    ax.legend(ncols=len(losses), loc="upper center", bbox_to_anchor=(0.5, 1.0))
    ax.set_ylim(top=ax.get_ylim()[1] * 1.1)
    ax.set_title("More stories help those who remember more")
    return fig, _gains(sizes, losses, floor)


def _gains(sizes: Sequence[int], losses: Mapping[str, Sequence[float]], floor: float | None) -> str:
    """Who gains from more stories and who does not, and who is lowest at the end."""
    low, high = words.span(losses.values())
    said = []
    for name, values in losses.items():
        ends = f"{values[0]:.2f} to {values[-1]:.2f}"
        fell = values[0] - values[-1]
        if abs(fell) < 0.03 * max(high - low, high):
            said.append(f"{name} hardly changes, {ends}")
            continue
        steps = -np.diff(values) / np.diff(np.log(sizes))
        less = len(steps) > 1 and fell > 0 and (np.diff(steps) < 0).all()
        said.append(f"{name} {'falls' if fell > 0 else 'rises'} from {ends}" + (", ever more slowly" if less else ""))
    ends = {name: values[-1] for name, values in losses.items()}
    best = min(ends, key=ends.get)
    gained = {name: values[0] - values[-1] for name, values in losses.items()}
    most = max(gained, key=gained.get)
    return words.told(
        f"Validation loss in nats per token against the stories counted, {sizes[0]:,} to {sizes[-1]:,}, on a "
        f"logarithmic axis: {'; '.join(said)}",
        (f"{most} gains the most and " if len(losses) > 1 and gained[most] > 0 else "")
        + (f"{best} ends lowest" if most != best or gained[most] <= 0 or len(losses) == 1 else "ends lowest")
        + (f", {ends[best] - floor:.2f} above the floor, a line at {floor:.2f}" if floor is not None else ""),
    )


@style.figure
def loss_curve(steps: Sequence[int], losses: Mapping[str, Sequence[float]], levels: Mapping[str, float]):
    """Loss against training steps, with levels that it is compared with.

    Args:
        steps: at which the losses were measured.
        losses: "training" and "validation", for example: nats per token at each step.
        levels: named horizontal lines.
    """
    lowest = min(*(min(values) for values in losses.values()), *levels.values())
    fig, (ax, near) = style.canvas(1, 2, height=3.6)
    for i, (name, values) in enumerate(losses.items()):
        look = {"color": (style.BLUE, style.BERRY)[i % 2], "linestyle": style.LINESTYLES[i]}
        ax.plot(steps, values, label=name, **look)
        near.plot(steps, values, **look)
    for name, value in levels.items():
        for one in (ax, near):
            one.axhline(value, color=style.INK, linewidth=1.2, linestyle=":")
        ax.text(steps[-1], value - 0.08, f"{name}: {value:.3f}", va="top", ha="right", fontsize=9.5)
    ax.set(ylim=(0, None), xlabel="steps", ylabel="nats per token")
    near.set(ylim=(lowest - 0.01, lowest + 0.1), xlabel="steps")
    style.panel_title(near, "the lowest losses, enlarged")
    style.panel_title(ax, "from the first step")
    ax.legend(loc="upper right")
    style.headline(fig, "Gradient descent finds what counting knew")
    ends = "; ".join(
        f"{name} ends at {values[-1]:.3f}, {_beside(values[-1], levels)}" for name, values in losses.items()
    )
    return fig, words.told(
        f"Loss over {steps[-1]} steps, from the first step on the left, the lowest losses enlarged on the right",
        words.lines(losses, steps),
        f"Enlarged: {ends}",
    )


def _beside(value: float, levels: Mapping[str, float]) -> str:
    """How far a value is from each level."""
    return " and ".join(
        f"{abs(value - level):.3f} {'above' if value > level else 'below'} the line of {name}, {level:.3f}"
        for name, level in levels.items()
    )


@style.figure
def scores(bits_per_byte: Mapping[str, float], floor: float | None = None):
    """Bars of bits per byte, one a model, with the floor marked.

    Args:
        bits_per_byte: for each model its score.
        floor: the best possible score, if it is known.
    """
    fig, ax = style.canvas(height=0.42 * len(bits_per_byte) + 1.3)
    places = range(len(bits_per_byte))
    ax.barh(places, list(bits_per_byte.values()), color=style.BLUE, height=0.6)
    for place, value in zip(places, bits_per_byte.values(), strict=True):
        times = f"  ({value / floor:.1f} times the floor)" if floor else ""
        ax.text(value, place, f" {value:.3f}{times}", va="center", fontsize=9.5)
    ax.set_yticks(places, list(bits_per_byte))
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    ax.set(xlabel="bits per byte: less is better", xlim=(0, max(bits_per_byte.values()) * 1.62))
    ax.set_ylim(len(bits_per_byte) - 0.1, -0.6)
    ax.set_title("Every model on the same validation stories")
    if floor:
        ax.axvline(floor, color=style.ORANGE, linewidth=2.4, linestyle="--")
        ax.text(floor, len(bits_per_byte) - 0.42, f"  the floor: {floor:.3f}", va="center", fontsize=9.5)
    return fig, _best_of(bits_per_byte, floor)


def _best_of(bits_per_byte: Mapping[str, float], floor: float | None) -> str:
    """Which bar is shortest, how far it is from the floor, and all of them in the order from above to below."""
    best = min(bits_per_byte, key=bits_per_byte.get)
    values = list(bits_per_byte.values())
    shrink = len(values) > 1 and all(a > b for a, b in zip(values, values[1:], strict=False))
    far = f", {bits_per_byte[best] / floor:.1f} times the floor, a dashed line at {floor:.3f}" if floor else ""
    return words.told(
        f"Bars of bits per byte, less is better. The shortest is {best} at {bits_per_byte[best]:.3f}{far}",
        f"From above to below{', each shorter than the one before' if shrink else ''}: "
        + ", ".join(
            f"{name} {value:.3f}" + (f" ({value / floor:.1f} times)" if floor else "")
            for name, value in bits_per_byte.items()
        ),
    )
