"""Perplexity and its mistakes, distributions reshaped, likelihood against quality, the price of a cache."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, NullLocator

from course.figures import style
from course.figures.language_models import label


def _number(value: float) -> str:
    """A perplexity as a reader wants it: three digits that count, or a power of ten."""
    if value >= 1e6:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 10 else f"{value:.2f}"


@style.figure
def mistakes(measured: Mapping[str, float], right: float):
    """Perplexities that one model gets by several mistakes, as bars that begin at the right value.

    Args:
        measured: perplexity by mistake.
        right: what it should be.
    """
    fig, ax = style.canvas(height=0.36 * len(measured) + 1.0)
    for row, (_, value) in enumerate(measured.items()):
        flattering = value < right
        ax.barh(
            row, value - right, left=right, height=0.6, color=style.TEAL if flattering else style.BERRY,
            hatch="" if flattering else "///", edgecolor=style.GROUND,
        )  # fmt: skip
        ax.text(max(value, right) * 1.02, row, _number(value), va="center", fontsize=9)
    ax.axvline(right, color=style.INK, linewidth=1.4)
    ax.text(right * 1.03, -0.75, f"right: {right:.2f}", ha="left", va="center", fontsize=9.5)
    ax.set_xscale("log")
    low, high = min(right, *measured.values()), max(right, *measured.values())
    ax.set(xlim=(low * 0.85, high * 1.35), xlabel="perplexity (logarithmic): left looks better than it is, right worse")
    ax.xaxis.set_minor_locator(NullLocator())
    digits = (1,) if high > 30 * low else (1, 1.5, 2, 3, 5, 7)
    ticks = [digit * 10**power for power in range(12) for digit in digits]
    ax.set_xticks([tick for tick in ticks if low * 0.85 <= tick <= high * 1.35])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_yticks(range(len(measured)), measured)
    ax.set_ylim(len(measured) - 0.4, -1.35)
    ax.set_title("One model, measured with one mistake each")
    ax.grid(visible=False)
    ax.tick_params(axis="y", length=0)
    said = ", ".join(f"{name} {_number(value)}" for name, value in measured.items())
    return fig, f"The right perplexity is {right:.2f}. Measured with one mistake each: {said}."


@style.figure
def by_context(context: Sequence[int], nats: Sequence[float], overlaps: Mapping[int, float], window: int, right: float):
    """Left: the loss by how many tokens a prediction had before it. Right: perplexity by the step of a window.

    Args:
        context: middles of groups; nats: mean loss in each.
        overlaps: perplexity by how far a window of `window` tokens moves; the last one does not overlap.
        right: the perplexity with all of the text as context.
    """
    fig, (left, other) = style.canvas(1, 2, height=3.2)
    left.plot(context, nats, color=style.BLUE, marker="o")
    left.set(xlabel="tokens before the prediction", ylabel="nats per token", ylim=(0, None))
    style.panel_title(left, "what a memory is worth")
    places = range(len(overlaps))
    other.bar(places, overlaps.values(), color=style.BERRY, width=0.6, hatch="///", edgecolor=style.GROUND)
    for place, value in zip(places, overlaps.values(), strict=True):
        other.text(place, value, f"{value:.2f}", ha="center", va="bottom", fontsize=9)
    other.axhline(right, color=style.INK, linewidth=1.4)
    other.set_xticks(places, [str(step) for step in overlaps])
    other.set(xlabel="tokens the window moves at a time", ylabel="perplexity")
    other.set_ylim(1, max(overlaps.values()) * 1.12)
    style.panel_title(other, f"windows of {window} tokens")
    style.headline(fig, "What a window takes away")
    steps = ", ".join(f"{step}: {value:.2f}" for step, value in overlaps.items())
    return fig, (
        f"Left: the loss falls from {nats[0]:.2f} nats with about {context[0]} tokens of context to {nats[-1]:.2f} "
        f"with {context[-1]}. Right: perplexity by step of a window of {window} tokens: {steps}; with all of the "
        f"text as context it is {right:.2f}, the black line."
    )


@style.figure
def sliding(slid: Sequence[int], losses: Mapping[str, Sequence[float]], window: int):
    """Loss by how far a window of `window` tokens has slid: all of the text, and the window read in two ways."""
    fig, ax = style.canvas(height=3.1)
    for i, (name, values) in enumerate(losses.items()):
        ax.plot(
            slid, values, color=style.COLOURS[i], linestyle=style.LINESTYLES[i], marker=style.MARKERS[i], label=name
        )
    ax.set(xlabel="tokens by which the window has slid", ylabel="nats per token", ylim=(0, None))
    ax.set_title(f"What a window of {window} tokens loses")
    ax.set_xticks(slid)
    ax.legend(loc="upper left")
    said = "; ".join(f"{name} " + ", ".join(f"{value:.2f}" for value in values) for name, values in losses.items())
    by = ", ".join(str(each) for each in slid)
    return fig, f"Nats per token after a window of {window} tokens has slid by about {by} tokens: {said}."


@style.figure
def suspects(measured: Mapping[str, float], vocab_size: int, case: Sequence[float], case_vocab: int):
    """Perplexity over vocabulary for several mistakes, with the range that softmax twice can reach, and the case."""
    fig, ax = style.canvas(height=0.4 * len(measured) + 1.5)
    ax.axvspan(1 / np.e, 1, color=style.SKY, alpha=0.55, linewidth=0)
    ax.axvline(1, color=style.INK, linewidth=1.3)
    for value in case:
        ax.axvline(value / case_vocab, color=style.ORANGE, linewidth=1.8, linestyle="--")
    fractions = {name: value / vocab_size for name, value in measured.items()}
    for row, fraction in enumerate(fractions.values()):
        ax.plot([min(fraction, 1e9)], [row], marker="D", color=style.NAVY, markersize=7)
        right = fraction < 0.2
        text = f"{fraction:.3f}" if fraction < 10 else _number(fraction)
        ax.text(
            fraction * (1.5 if right else 0.67), row, text,
            va="center", ha="left" if right else "right", fontsize=9,
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set(xlim=(min(fractions.values()) * 0.4, max(fractions.values()) * 6))
    ax.set_xlabel("perplexity over size of vocabulary (logarithmic); 1 is guessing")
    ax.set_yticks(range(len(fractions)), fractions)
    ax.set_ylim(len(fractions) - 0.4, -1.3)
    ax.set_title("Which mistake ends near the size of the vocabulary?")
    ax.text(0.3, -0.85, "range: V/e to V", fontsize=9, va="center", ha="right")
    ax.text(1.4, -0.85, "dashed: the case", fontsize=9, va="center")
    ax.grid(visible=False)
    ax.tick_params(axis="y", length=0)
    said = ", ".join(f"{name} {_number(fraction)}" for name, fraction in fractions.items())
    cases = " and ".join(f"{value / case_vocab:.3f}" for value in case)
    return fig, f"Perplexity over vocabulary: {said}. The case stands at {cases}, inside the range from 1/e to 1."


@style.figure
def two_readings(steps: Sequence[int], reported: Mapping[str, Sequence[float]], vocab_size: int):
    """Reported losses during training, with guessing and the lowest that softmax twice can say."""
    fig, ax = style.canvas(height=3.1)
    for i, (name, values) in enumerate(reported.items()):
        ax.plot(steps, values, color=style.COLOURS[i], linestyle=style.LINESTYLES[i], label=name)
    top = float(np.log(vocab_size))
    for value, text in ((top, "ln V: guessing"), (top - 1, "ln V - 1")):
        ax.axhline(value, color=style.QUIET, linewidth=1, linestyle=":")
        ax.text(steps[-1], value + 0.06, text, ha="right", va="bottom", fontsize=9, color=style.QUIET)
    ax.set(xlabel="steps", ylabel="reported loss, nats", ylim=(0, top + 0.9), title="What two losses report")
    ax.legend(loc="lower left")
    said = "; ".join(f"{name} from {values[0]:.2f} to {values[-1]:.2f}" for name, values in reported.items())
    return fig, f"Reported loss over {steps[-1]} steps: {said}. Guessing is {top:.2f}."


@style.figure
def reshaped(panels: Mapping[str, Sequence[float]], tokens: Sequence[str], before: str):
    """One next-token distribution before and after several methods; what was removed is marked by a cross.

    Args:
        panels: for each method the probability of each of `tokens`, the likeliest first.
        before: the text that they continue.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    fig, axes = style.canvas(rows, columns, height=0.2 * len(tokens) * rows + 0.75 * rows, sharey=True, squeeze=False)
    most = max(max(values) for values in panels.values())
    said = []
    for ax, (name, values) in zip(axes.flat, panels.items(), strict=False):
        places = np.arange(len(values))
        kept = [value > 0 for value in values]
        ax.barh(places, values, color=style.BLUE, height=0.7)
        ax.plot([0.02 * most] * (len(kept) - sum(kept)), places[np.logical_not(kept)], "x", color=style.BERRY, ms=4)
        ax.set_yticks(places, [label(token) for token in tokens], family="monospace", fontsize=9)
        ax.set(xlim=(0, 1.05 * most), ylim=(len(values) - 0.4, -0.6))
        style.panel_title(ax, name)
        ax.grid(visible=False)
        ax.tick_params(axis="y", length=0)
        said.append(f"{name}: {sum(kept)} left, the first has {values[0]:.2f}")
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    fig.supxlabel(f"probability after '... {before[-48:]}'", fontsize=10)
    style.headline(fig, "The next token, reshaped")
    return fig, f"The {len(tokens)} likeliest next tokens after '{before}', by method. {'; '.join(said)}."


@style.figure
def likelihoods(groups: Mapping[str, Sequence[float]]):
    """Nats per story, a dot for each: how (un)likely what each method generates is under the model itself."""
    fig, ax = style.canvas(height=0.42 * len(groups) + 1.1)
    generator = np.random.default_rng(0)
    for row, values in enumerate(groups.values()):
        shift = generator.uniform(-0.22, 0.22, len(values)) if len(values) > 1 else [0]
        ax.plot(
            values, row + np.asarray(shift), linestyle="none", marker=style.MARKERS[row % 6],
            color=style.COLOURS[row % 5], alpha=0.8,
        )  # fmt: skip
    ax.set(xlabel="nats for the whole story: left is likelier", xlim=(0, None), ylim=(len(groups) - 0.4, -0.6))
    ax.set_title("How likely are stories, to the model itself?")
    ax.set_yticks(range(len(groups)), groups)
    ax.grid(visible=True, axis="x")
    ax.tick_params(axis="y", length=0)
    said = "; ".join(f"{name} {np.mean(values):.0f} on average" for name, values in groups.items())
    return fig, f"Nats of whole stories under the model: {said}."


@style.figure
def cost_per_token(lengths: Sequence[int], milliseconds: Mapping[str, Sequence[float]]):
    """What one more token costs, by how long the story is already."""
    fig, ax = style.canvas(height=2.9)
    for i, (name, values) in enumerate(milliseconds.items()):
        ax.plot(
            lengths, values, color=style.COLOURS[i], linestyle=style.LINESTYLES[i],
            marker=style.MARKERS[i], label=name,
        )  # fmt: skip
    ax.set(xlabel="tokens in the story", ylabel="milliseconds for one more", ylim=(0, None))
    ax.set_title("What one more token costs")
    ax.set_xticks(lengths)
    ax.legend(loc="upper left")
    said = "; ".join(f"{name} from {values[0]:.1f} to {values[-1]:.1f}" for name, values in milliseconds.items())
    return fig, f"Milliseconds for one more token, from {lengths[0]} to {lengths[-1]} tokens: {said}."


@style.figure
def surviving(fractions: Mapping[str, Mapping[str, float]], title: str):
    """Grouped bars: how often something survives, in what the model generates and in true stories."""
    fig, ax = style.canvas(height=2.9)
    series = list(next(iter(fractions.values())))
    wide = 0.8 / len(series)
    for i, name in enumerate(series):
        at = np.arange(len(fractions)) + (i - (len(series) - 1) / 2) * wide
        values = [row[name] for row in fractions.values()]
        ax.bar(at, values, wide * 0.94, color=style.COLOURS[2 * i], hatch=style.HATCHES[i],
               edgecolor=style.GROUND, label=name)  # fmt: skip
        for x, value in zip(at, values, strict=True):
            ax.text(x, value + 0.01, f"{value:.0%}", ha="center", va="bottom", fontsize=9)
    ax.set_xticks(range(len(fractions)), [name.replace(" ", "\n", 1) for name in fractions])
    ax.set(ylim=(0, 1.12), title=title)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(series))
    said = "; ".join(
        f"{name}: " + ", ".join(f"{who} {value:.0%}" for who, value in row.items()) for name, row in fractions.items()
    )
    return fig, f"{title}. {said}."


@style.figure
def trade(points: Sequence[tuple[str, float, float]], real: tuple[float, float], xlabel: str, ylabel: str):
    """Quality against diversity: a point for each setting, joined in order, and where true stories stand.

    Args:
        points: name, diversity, quality.
        real: diversity and quality of true stories.
    """
    fig, ax = style.canvas(height=3.5)
    x, y = [point[1] for point in points], [point[2] for point in points]
    ax.plot(x, y, color=style.BLUE, marker="o")
    for i, (name, across, up) in enumerate(points):  # above and below in turn: neighbours may lie close together
        ax.annotate(
            name,
            (across, up),
            textcoords="offset points",
            xytext=(0, 9 if i % 2 == 0 else -17),
            ha="center",
            fontsize=9,
        )
    ax.plot(*real, marker="*", markersize=15, color=style.ORANGE, markeredgecolor=style.INK, linestyle="none")
    ax.annotate("true stories", real, textcoords="offset points", xytext=(-10, 4), fontsize=9, ha="right")
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(-0.16, 1.14), title="Quality against diversity")
    ax.set_yticks(np.arange(0, 1.1, 0.2))
    ax.margins(x=0.1)
    ax.grid(visible=True)
    said = "; ".join(f"{name}: {across:.2f} and {up:.2f}" for name, across, up in points)
    return fig, f"{xlabel} and {ylabel}, by setting: {said}. True stories: {real[0]:.2f} and {real[1]:.2f}."
