"""A collection of stories seen: its words, their ranks, its growth, its lengths, and batches packed and padded."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.patches import Patch, Rectangle

from course.figures import style

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
    said = ", ".join(f"{word} ({counts[word]:,})" for word in top[:8])
    return fig, f"Word cloud of {len(top)} words, the largest being the most frequent: {said}."


@style.figure
def zipf(series: Mapping[str, Sequence[tuple[int, float]]], words: Mapping[int, str] | None = None):
    """Zipf's law: how often the word of each rank occurs, both axes logarithmic.

    Args:
        series: for each collection its `(rank, occurrences in a million words)`, as
            `course.corpus.rank_frequencies` gives them.
        words: words of the first collection to be named, by rank.
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
    for rank, word in (words or {}).items():
        height = float(np.exp(np.interp(np.log(rank), ranks, heights)))  # on the line, also between two of its points
        ax.plot(rank, height, marker="o", markersize=8, color=style.INK, fillstyle="none", linestyle="none")
        ax.annotate(
            word, (rank, height), (7, 5), textcoords="offset points", fontsize=9.5, color=style.INK,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": style.GROUND, "edgecolor": "none", "alpha": 0.85},
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="rank of the word, 1 is the most frequent")
    ax.set(ylabel="times in a million words", title="A few words do most of the work")
    ax.legend(loc="lower left")
    said = "; ".join(
        f"{label}: {points[0][1]:,.0f} in a million words at rank 1, {points[-1][1]:,.1f} at rank {points[-1][0]:,}"
        for label, points in series.items()
    )
    return fig, f"Frequency against rank of words, both logarithmic. {said}. A dotted line falls as 1 over the rank."


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
    said = "; ".join(f"{label}: {p[-1][1]:,} different among {p[-1][0]:,}" for label, p in series.items())
    return fig, f"Lines of different words against words read, both logarithmic. {said}."


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
    middle = sorted(lengths)[len(lengths) // 2]
    return fig, (
        f"Histogram of {len(lengths):,} stories: from {min(lengths):,} to {max(lengths):,} {unit}, half of them up to "
        f"{middle:,}. A line marks a context of {context}; {over} are longer."
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
        said.append(f"{label}, {len(sequences)} sequences, {wasted:.0%} of the positions wasted")
    axes[0][0].set_ylabel("sequence of the batch")
    return fig, f"Sequences of {context} positions as blocks of stories, padding hatched: {'; '.join(said)}."


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
    said = "; ".join(f"{label}: {fraction:.1%} wasted" for label, fraction in fractions.items())
    return fig, f"Bars of positions that hold a token and that are padding. {said}."
