"""A collection of stories seen: its words, their ranks, its growth, its lengths, and batches packed and padded."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.patches import Patch, Rectangle

from course.figures import style, words

# Colours of words and of stories that must carry white or dark letters, or stand side by side.
DARK = (style.NAVY, style.BERRY, style.BLUE, "#1d7468")


@style.figure
def word_cloud(counts: Mapping[str, int], most: int = 90):
    """The most frequent words, drawn the larger the more often they occur.

    Args:
        counts: how often each word occurs, without the words that every text is full of.
        most: words to draw.
    """
    from PIL import ImageFont
    from wordcloud import WordCloud

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    top = sorted(counts, key=lambda word: (-counts[word], word))[:most]
    place = {word: i for i, word in enumerate(top)}
    wide, high = 1400, 660  # pixels of the layout
    fig, ax = style.canvas(height=style.WIDTH * high / wide)
    fig.set_layout_engine("none")
    ax.set_position([0, 0, 1, 1])
    ax.axis("off")
    if not top:
        ax.text(0.5, 0.5, "no words are left", ha="center", va="center")
        return fig, "An empty word cloud: no words are left to be drawn."
    cloud = WordCloud(
        width=wide, height=high, font_path=str(font), prefer_horizontal=1.0, relative_scaling=0.45, max_words=most,
        random_state=3, margin=6, min_font_size=math.ceil(style.SMALLEST * wide / (72 * style.WIDTH)),
    ).generate_from_frequencies({word: counts[word] for word in top})  # fmt: skip
    ax.set(xlim=(0, wide), ylim=(high, 0))
    for (word, _), pixels, (y, x), _, _ in cloud.layout_:  # y is where the letters begin, not the line they stand on
        above = -ImageFont.truetype(str(font), pixels).getbbox(word, anchor="ls")[1]
        ax.text(x, y + above, word, fontsize=pixels * 72 * style.WIDTH / wide, color=DARK[place[word] % len(DARK)])
    top = [word for (word, _), *_ in cloud.layout_]  # as many as there was room for
    return fig, words.told(
        f"A cloud of {len(top)} words, each the larger the more often it occurs. The largest are "
        + ", ".join(f"{word} ({counts[word]:,})" for word in top[:8]),
        f"Then come {', '.join(top[8:30])}" if len(top) > 8 else "",
    )


@style.figure
def zipf(series: Mapping[str, Sequence[tuple[int, float]]], named: Mapping[int, str] | None = None):
    """Zipf's law: how often the word of each rank occurs, both axes logarithmic.

    Args:
        series: for each collection its `(rank, occurrences in a million words)`, as
            `course.corpus.rank_frequencies` gives them.
        named: words of the first collection, by rank.
    """
    fig, ax = style.canvas(height=3.9)
    for i, (label, points) in enumerate(series.items()):
        # The first is the one looked at; the others are there to compare with.
        ax.plot(
            *zip(*points, strict=True), label=label, color=(style.BLUE, style.BERRY, style.TEAL)[i % 3],
            marker=style.MARKERS[i], markersize=4, linestyle=style.LINESTYLES[i], linewidth=1.3,
        )  # fmt: skip
    first = next(iter(series.values()))
    last = max(points[-1][0] for points in series.values())
    top = first[0][1]
    ax.plot(
        [1, last],
        [top, top / last],
        color=style.QUIET,
        linestyle=":",
        linewidth=1.3,
        label="half as often at twice the rank",
    )
    ranks, heights = np.log([*zip(*first, strict=True)])
    for rank, word in (named or {}).items():
        height = float(np.exp(np.interp(np.log(rank), ranks, heights)))  # on the line, also between two of its points
        ax.plot(rank, height, marker="o", markersize=8, color=style.INK, fillstyle="none", linestyle="none")
        ax.annotate(
            word, (rank, height), (7, 5), textcoords="offset points", fontsize=9.5, color=style.INK,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": style.GROUND, "edgecolor": "none", "alpha": 0.85},
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="rank of the word, 1 is the most frequent")
    ax.set(ylabel="times in a million words", title="A few words do most of the work")
    ax.legend(loc="lower left")
    return fig, words.told(
        "How often a word occurs against its rank, both axes logarithmic; a dotted line halves at twice the rank",
        *(_falls_by_rank(label, points) for label, points in series.items()),
        f"Circles on the first line: {', '.join(f'{word} at rank {rank:,}' for rank, word in named.items())}"
        if named
        else "",
    )


def _falls_by_rank(label: str, points: Sequence[tuple[int, float]]) -> str:
    """How steep a line of Zipf is, how straight, and whether it breaks off at its end."""
    rank, often = np.log(np.asarray(points, dtype=float)).T
    ends = f"{points[0][1]:,.0f} in a million words at rank 1, {points[-1][1]:,.1f} at rank {points[-1][0]:,}"
    if len(points) < 4 or points[-1][0] < 8:
        return f"{label}: {ends}"
    body = rank <= rank[-1] - np.log(4)  # without the last stretch, where a list of words may end
    slope, start = np.polyfit(rank[body], often[body], 1) if body.sum() > 2 else np.polyfit(rank, often, 1)
    off = np.abs(often[body] - (start + slope * rank[body])).max() if body.sum() > 2 else 0.0
    straight = "in nearly a straight line" if off < 0.15 * np.ptp(often[body]) else "not in a straight line"
    last = float(np.exp(np.interp(rank[-1] - np.log(2), rank, often) - often[-1]))
    usual = 2**-slope
    if last > 4 * usual:
        end = f"then it breaks off: over the last doubling it falls to 1/{last:.0f}"
    elif last > 1.5 * usual:
        end = f"at its end more steeply: over the last doubling it falls to 1/{last:.0f}"
    else:
        end = "and it goes on so to its end"
    return f"{label} falls {straight}, at twice the rank to about {2**slope:.0%}, {end} ({ends})"


@style.figure
def vocabulary_growth(series: Mapping[str, Sequence[tuple[int, int]]]):
    """Different words against words read (Heaps' law), both axes logarithmic.

    Args:
        series: for each collection its `(words read, different words)`, as `course.corpus.growth` gives them.
    """
    fig, ax = style.canvas(height=3.6)
    for i, (label, points) in enumerate(series.items()):
        ax.plot(
            *zip(*points, strict=True), label=label, color=(style.BLUE, style.BERRY, style.TEAL)[i % 3],
            marker=style.MARKERS[i], linestyle=style.LINESTYLES[i],
        )  # fmt: skip
        read, different = points[-1]
        ax.annotate(f"{different:,}", (read, different), (0, 8), textcoords="offset points", ha="center", fontsize=9.5)
    ax.set(xscale="log", yscale="log", xlabel="words read", ylabel="different words")
    ax.set_title("Does the vocabulary go on growing?")
    ax.margins(x=0.06, y=0.12)
    ax.legend(loc="upper left")
    return fig, words.told(
        "Different words against words read, both axes logarithmic",
        *(_grows(label, points) for label, points in series.items()),
    )


def _grows(label: str, points: Sequence[tuple[int, int]]) -> str:
    """Whether a vocabulary still grows at the end of its line: over the last tenfold of the words read."""
    read, different = np.asarray(points, dtype=float).T
    ends = f"{points[-1][1]:,} different among {points[-1][0]:,}"
    if read[-1] < 10 * read[0]:
        return f"{label}: {ends}"
    before = np.exp(np.interp(np.log(read[-1] / 10), np.log(read), np.log(different)))
    more = different[-1] / before - 1
    how = (
        "has turned flat" if more < 0.02 else "is still growing, by less and less" if more < 0.3 else "is still growing"
    )
    return f"{label} {how}: the last ten times as many words brought {more:.0%} more different ones ({ends})"


@style.figure
def story_lengths(lengths: Sequence[int], context: int, unit: str = "tokens"):
    """Histogram of story lengths, with a model's context marked.

    Args:
        lengths: the length of each story, in `unit`.
        context: how much a model sees at once, in the same unit.
    """
    fig, ax = style.canvas(height=3.4)
    low, high = min(*lengths, context), max(*lengths, context)
    width = (high - low) // 60 + 1  # whole numbers, each bar as many; one bar ends where the context ends
    start = context + 0.5 - width * ((context - low) // width + 2)
    end = context + 0.5 + width * ((high - context) // width + 2)
    edges = np.arange(start, end + width / 2, width)
    counts, _, bars = ax.hist(lengths, bins=edges, color=style.BLUE, edgecolor=style.GROUND, linewidth=0.3)
    for bar in bars:
        if bar.get_x() >= context:  # past the context: another colour, and hatched
            bar.set(facecolor=style.ORANGE, hatch="///", edgecolor=style.INK)
    ax.axvline(context, color=style.BERRY, linestyle="--", linewidth=1.8)
    over = f"{sum(length > context for length in lengths):,} of {len(lengths):,}"
    ax.text(
        context, max(counts) * 1.12, f" context: {context} {unit} ", color=style.BERRY, va="center",
        ha="left" if context < (start + end) / 2 else "right", fontsize=10,
    )  # fmt: skip
    ax.set(ylim=(0, max(counts) * 1.22), xlabel=f"{unit} in a story", ylabel="stories")
    ax.set_title(f"How long the stories are; {over} do not fit in the context")
    return fig, words.told(
        f"Histogram of the lengths of {len(lengths):,} stories, with a line at a context of {context} {unit}; {over} "
        f"are longer",
        _hill(lengths, unit),
    )


def _hill(lengths: Sequence[int], unit: str) -> str:
    """Where the lengths lie, and whether one side has a longer tail."""
    low, few, middle, much, high = np.quantile(lengths, (0, 0.02, 0.5, 0.98, 1), method="nearest")
    left, right = middle - few, much - middle
    tail = (
        "about as far to either side"
        if max(left, right) <= 1.5 * min(left, right)
        else f"with a longer tail to the {'right' if right > left else 'left'}"
    )
    near = f"96 of 100 lie between {few:,} and {much:,}, {tail}" if len(lengths) >= 50 else ""
    return f"The middle one has {middle:,} {unit}, the shortest {low:,} and the longest {high:,}" + (
        f"; {near}" if near else ""
    )


@style.figure
def batch_layouts(layouts: Mapping[str, Sequence[Sequence[tuple[int, int]]]], context: int):
    """Batches sequence by sequence: each story a block, padding hatched.

    Args:
        layouts: for each way to make a batch, its sequences; a sequence is a list of `(story, positions)`. What is
            missing to `context` positions is padding.
    """
    fig, axes = style.canvas(1, len(layouts), height=2.7, sharey=True, squeeze=False)
    fills, said = (style.BLUE, style.SKY, style.TEAL, style.ORANGE), []
    for ax, (label, sequences) in zip(axes[0], layouts.items(), strict=True):
        used = 0
        for y, sequence in enumerate(sequences):
            x = 0
            for story, positions in sequence:
                ax.add_patch(
                    Rectangle(
                        (x, y - 0.4), positions, 0.8, facecolor=fills[story % 4], edgecolor=style.INK, linewidth=0.8
                    )
                )
                x += positions
            ax.add_patch(
                Rectangle(
                    (x, y - 0.4),
                    context - x,
                    0.8,
                    facecolor=style.GROUND,
                    edgecolor=style.QUIET,
                    hatch="////",
                    linewidth=0.5,
                )
            )
            used += x
        wasted = 1 - used / (context * len(sequences))
        ax.set(
            xlim=(0, context),
            ylim=(len(sequences) - 0.4, -0.6),
            xlabel="position",
            title=f"{label}: {wasted:.0%} wasted",
        )
        ax.set_yticks(range(len(sequences)))
        ax.grid(visible=False)
        said.append(f"{label}, {_filled(sequences, context)}, {wasted:.0%} of the positions wasted")
    axes[0][0].set_ylabel("sequence of the batch")
    return fig, words.told(
        f"Sequences of {context} positions as rows of blocks, a block being a story; padding is hatched", *said
    )


def _filled(sequences: Sequence[Sequence[tuple[int, int]]], context: int) -> str:
    """How many stories a sequence holds, and how many sequences end in padding."""
    held = [len(sequence) for sequence in sequences]
    padded = sum(sum(positions for _, positions in sequence) < context for sequence in sequences)
    many = words.count(held[0], "story") if min(held) == max(held) else f"{min(held)} to {max(held)} stories"
    many = many.replace("storys", "stories")
    how = "none ends" if not padded else "each ends" if padded == len(held) else f"{padded} end"
    return f"{words.count(len(held), 'sequence')} with {many} each: {how} in padding"


@style.figure
def wasted_positions(fractions: Mapping[str, float]):
    """Bars of used and wasted positions, for each way to make a batch.

    Args:
        fractions: for each way the fraction of positions that hold no token, from 0 to 1.
    """
    fig, ax = style.canvas(height=0.95 + 0.5 * len(fractions))
    for y, fraction in enumerate(fractions.values()):
        ax.barh(y, 1 - fraction, height=0.62, color=style.BLUE, edgecolor=style.INK, linewidth=0.6)
        ax.barh(
            y,
            fraction,
            left=1 - fraction,
            height=0.62,
            color=style.ORANGE,
            edgecolor=style.INK,
            hatch="///",
            linewidth=0.6,
        )
        ax.text(1.01, y, f"{fraction:.1%}", va="center", fontsize=10)
    ax.set_yticks(range(len(fractions)), list(fractions))
    ax.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
    ax.set(xlim=(0, 1.09), ylim=(len(fractions) - 0.5, -0.5), title="Fraction of wasted positions")
    ax.grid(visible=False)
    handles = [
        Patch(facecolor=style.BLUE, edgecolor=style.INK, label="holds a token"),
        Patch(facecolor=style.ORANGE, edgecolor=style.INK, hatch="///", label="padding"),
    ]
    fig.legend(handles=handles, loc="outside lower right", ncols=2)
    ranked = words.ranking(fractions, lambda fraction: f"{fraction:.1%}", lowest=False)
    return fig, words.told(
        f"Bars of one length, cut into positions that hold a token and, hatched, those that are padding. Wasted, from "
        f"the most to the least: {ranked}"
    )
