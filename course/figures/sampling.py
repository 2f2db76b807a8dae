"""Perplexity and its mistakes, distributions reshaped, likelihood against quality, the price of a cache."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, NullLocator

from course.figures import comparing, style, words
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
    wrong = {name: value for name, value in sorted(measured.items(), key=lambda each: -each[1])}
    worse = {name: f"{_number(value)}" for name, value in wrong.items() if value > 1.01 * right}
    better = {name: f"{_number(value)}" for name, value in wrong.items() if value < right / 1.01}
    same = [name for name in measured if name not in worse and name not in better]
    return fig, comparing.text(
        f"Bars from the right perplexity, {right:.2f}, to what the same model gets by one mistake each, on a "
        "logarithmic axis",
        f"too high, the worst first: {comparing.grouped(worse, '; ')}" if worse else "none makes it look worse",
        f"flattering, lower than the right one: {comparing.grouped(better, '; ')}"
        if better
        else "none makes it look better",
        f"within one per cent of the right one: {words.listing(same)}" if same else "",
    )


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
    order = sorted(overlaps, reverse=True)
    said = ", ".join(f"{overlaps[step]:.2f} at steps of {step}" for step in order)
    worst = min(overlaps.values()) > 1.01 * right
    return fig, comparing.text(
        f"Left: with more tokens before a prediction its loss {_by_tokens(nats, context)} of context",
        f"right: {'all bars stand above' if worst else 'not all bars stand above'} the line of the perplexity with all "
        f"of the text as context, {right:.2f}; windows of {window} tokens give {said}",
        f"the best of them is still {comparing.times(min(overlaps.values()) / right)} as high" if worst else "",
    )


def _by_tokens(values: Sequence[float], tokens: Sequence[int]) -> str:
    return words.shape(values, tokens, at="{} tokens", write="{:.2f}".format)


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
    ends = {name: values[-1] for name, values in losses.items()}
    ways = words.lines(losses, slid, at="{} tokens", write="{:.2f}".format)
    return fig, comparing.text(
        f"Nats per token after a window of {window} tokens has slid by {slid[0]} to {slid[-1]} tokens, a line for each "
        f"way to read; at the end, the lowest first: {words.ranking(ends, '{:.2f}'.format)}",
        ways,
    )


@style.figure
def suspects(measured: Mapping[str, float], vocab_size: int, case: Sequence[float], case_vocab: int):
    """Perplexity over vocabulary for several mistakes, with the range that softmax twice can reach, and the case."""
    fig, ax = style.canvas(height=0.36 * len(measured) + 1.5)
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
    low, high = 1 / np.e, 1.0
    inside = {name: _number(value) for name, value in fractions.items() if low <= value <= high}
    below = {name: f"{value:.3f}" for name, value in fractions.items() if value < low}
    above = {name: _number(value) for name, value in fractions.items() if value > high}
    cases = [value / case_vocab for value in case]
    held = sum(low <= value <= high for value in cases)
    where = "inside" if held == len(cases) else "outside" if not held else "not all of them inside"
    return fig, comparing.text(
        f"Perplexity over the size of the vocabulary, a point for each suspect, on a logarithmic axis where 1 is "
        f"guessing. The case's reports, {words.listing(f'{value:.3f}' for value in cases)}, lie {where} the range from "
        f"1/e, 0.37, to 1 that softmax twice can reach",
        f"suspects in that range: {comparing.grouped(inside) or 'none'}",
        f"above it: {comparing.grouped(above) or 'none'}; below it: {comparing.grouped(below) or 'none'}",
    )


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
    extent = words.span([*reported.values(), [0.0]])
    ways = {name: words.shape(values, steps, span=extent, write="{:.2f}".format) for name, values in reported.items()}
    near = [name for name, values in reported.items() if min(values) >= top - 1]
    others = [name for name in reported if name not in near]
    return fig, comparing.text(
        f"Reported loss over {steps[-1]} steps; guessing costs ln V, {top:.2f}",
        f"{comparing.verb(near, 'never comes', 'never come')} below ln V - 1, {top - 1:.2f}" if near else "",
        f"{comparing.verb(others, 'does', 'do')} come below it" if near and others else "",
        comparing.grouped(ways, "; ", ": "),
    )


@style.figure
def reshaped(panels: Mapping[str, Sequence[float]], tokens: Sequence[str], before: str):
    """One next-token distribution before and after several methods; what was removed is marked by a cross.

    Args:
        panels: for each method the probability of each of `tokens`, the likeliest first.
        before: the text that they continue.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    fig, axes = style.canvas(rows, columns, height=0.19 * len(tokens) * rows + 0.75 * rows, sharey=True, squeeze=False)
    most = max(max(values) for values in panels.values())
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
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    fig.supxlabel(f"probability after '... {before[-48:]}'", fontsize=10)
    style.headline(fig, "The next token, reshaped")
    return fig, _reshaped({name: list(values) for name, values in panels.items()}, [label(token) for token in tokens])


def _reshaped(panels: Mapping[str, Sequence[float]], tokens: Sequence[str]) -> str:
    """Which token leads in each panel and how far, and which tokens are gone."""
    peaks = {name: max(values) for name, values in panels.items()}
    said = []
    for name, values in panels.items():
        order = sorted(range(len(values)), key=lambda i: -values[i])
        leads = f"{tokens[order[0]]} {values[order[0]]:.2f}"
        if len(order) > 1 and values[order[1]] > 0:
            leads += f", then {tokens[order[1]]} {values[order[1]]:.2f}"
        if 0 not in order[:2]:
            leads += f", and {tokens[0]} {values[0]:.2f}"
        gone = [token for token, value in zip(tokens, values, strict=True) if value <= 0]
        said.append(f"{name}: {leads}" + (f" (removed: {comparing.some(gone, 5)})" if gone else ""))
    most, least = (
        words.listing(name for name in peaks if f"{peaks[name]:.2f}" == f"{end:.2f}")
        for end in (max(peaks.values()), min(peaks.values()))
    )
    shapes = ""
    if most != least:
        shapes = f"The likeliest token stands out most with {most}, least with {least}."
    cut = {name: sum(value <= 0 for value in values) for name, values in panels.items()}
    whole = [name for name, number in cut.items() if not number]
    kept = "No panel removes a token." if not any(cut.values()) else (
        f"{comparing.verb(whole, 'keeps', 'keep')} all {len(tokens)}." if whole else "")  # fmt: skip
    return comparing.text(
        f"The probabilities of the {len(tokens)} likeliest next tokens, a panel of bars for each method, removed "
        "tokens crossed",
        shapes, kept, "; ".join(said),
    )  # fmt: skip


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
    means = {name: float(np.mean(values)) for name, values in groups.items()}
    order = sorted(groups, key=means.get)
    *others, last = groups
    said = []
    for name in others:
        under, over = np.max(groups[name]) < np.min(groups[last]), np.min(groups[name]) > np.max(groups[last])
        where = "left of all" if under else "right of all" if over else "among the"
        said.append(f"{name} {'lies' if len(groups[name]) == 1 else 'lie'} {where} {last}")
    spans = {name: f"{means[name]:.0f} on average" + ("" if len(groups[name]) == 1 else
             f", from {min(groups[name]):.0f} to {max(groups[name]):.0f}") for name in order}  # fmt: skip
    return fig, comparing.text(
        "A dot for each story: how many nats it costs the model itself, farther left is likelier",
        f"{words.listing(said)}" if said else "",
        f"the likeliest first: {'; '.join(f'{name}: {span}' for name, span in spans.items())}",
    )


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
    ends = {name: values[-1] for name, values in milliseconds.items()}
    least, most = min(ends, key=ends.get), max(ends, key=ends.get)
    return fig, comparing.text(
        f"What one more token costs in a story of {lengths[0]} to {lengths[-1]} tokens, in milliseconds: "
        f"{words.lines(milliseconds, lengths, at='{} tokens', write='{:.1f}'.format)}",
        f"at {lengths[-1]} tokens {most} takes {comparing.times(ends[most] / ends[least])} as long as {least}"
        if ends[most] > 1.1 * ends[least] else "at the end they take about as long",
    )  # fmt: skip


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
    alike = [name for name, row in fractions.items() if len({f"{value:.0%}" for value in row.values()}) == 1]
    every = comparing.grouped({name: f"{next(iter(fractions[name].values())):.0%}" for name in alike})
    rest = []
    for name, row in fractions.items():
        if name not in alike:
            rest.append(f"{name}: " + comparing.grouped({who: f"{row[who]:.0%}" for who in sorted(row, key=row.get)}))
    lowest = min(((value, name, who) for name, row in fractions.items() for who, value in row.items()), default=None)
    return fig, comparing.text(
        f"{title}: a group of bars for each thing, a bar for each of {words.listing(series)}",
        f"all alike: {every}" if alike else "",
        f"different, the lowest first: {'; '.join(rest)}" if rest else "",
        f"the lowest bar of all is {lowest[2]} for {lowest[1]}, {lowest[0]:.0%}" if rest else "",
    )


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
    for i, (name, across, up) in enumerate(points):  # above and below in turn: neighbors may lie close together
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
    wide, high = np.ptp([*x, real[0]]) or 1.0, np.ptp([*y, real[1]]) or 1.0
    gaps = {name: float(np.hypot((a - real[0]) / wide, (b - real[1]) / high)) for name, a, b in points}
    across, up = (comparing.going([round(value, 2) for value in each]) for each in (x, y))
    return fig, comparing.text(
        f"Points for settings, joined in order from {points[0][0]} to {points[-1][0]}: across, {xlabel} {across}, from "
        f"{x[0]:.2f} to {x[-1]:.2f}; up, {ylabel} {up}, from {y[0]:.2f} to {y[-1]:.2f}",
        f"true stories, a star, stand at {real[0]:.2f} and {real[1]:.2f}; the setting nearest to them is "
        f"{min(gaps, key=gaps.get)}",
        f"across and up: {said}",
    )
