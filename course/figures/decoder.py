"""The decoder drawn, and what is measured of it before training: its parts, layers, parameters, memory.

What the measured ones show is put into words in `decoder_words`. Longer than other modules: the drawing of the decoder
takes much of it, and nothing else needs its parts.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from course.figures import decoder_words, style
from course.figures.language_models import label

# ---------------------------------------------------------------------- the drawing


READ = 11.5  # points: the drawing is tall, and a slide shows it smaller than other figures


@style.figure
def decoder(config):
    """GPT-2 from below to above: the residual stream as a straight line, and one of its blocks opened up.

    Args:
        config: anything with the attributes of a `GPTConfig` (sizes of a pre-LN model with a tied head).
    """
    d, layers = config.d_model, config.n_layer
    fig, ax = style.canvas(height=5.2)
    ax.set(xlim=(0, 10.6), ylim=(-0.25, 10.1))
    ax.axis("off")

    left, block_y, high = 2.1, (2.95, 4.0, 5.55), 0.62
    _stream(ax, left, 2.2, 9.05)
    ax.text(left, 0.02, "ids of tokens", ha="center", va="center", fontsize=READ)
    ax.text(left, 0.47, "(batch, time)", ha="center", va="center", fontsize=READ, color=style.QUIET)
    _arrow(ax, (left, 0.7), (left, 0.95))
    _box(ax, left, 1.25, 4.0, high, f"token vectors, {config.vocab_size:,} × {d:,}", style.ORANGE)
    _box(ax, left, 2.05, 4.0, high, f"+ positions, {config.context_length:,} × {d:,}", style.ORANGE)
    for y, name in zip(block_y, ("block 1", "block 2", f"block {layers}"), strict=True):
        _box(ax, left, y, 2.3, high, name, style.SKY)
    ax.text(left + 0.28, 4.78, f"... {layers} in all", va="center", fontsize=READ, color=style.QUIET)
    _box(ax, left, 6.55, 2.3, high, "LayerNorm ln_f", style.TEAL)
    _box(ax, left, 7.55, 4.0, high, f"head, {d:,} × {config.vocab_size:,}", style.ORANGE)
    ax.text(left, 8.18, "the token vectors again (tied)", ha="center", va="center", fontsize=READ, color=style.QUIET,
            bbox={"facecolor": style.GROUND, "edgecolor": "none", "pad": 1})  # fmt: skip
    ax.text(left, 9.3, "logits of the next token", ha="center", va="center", fontsize=READ)
    ax.text(left, 9.78, f"(batch, time, {config.vocab_size:,})", ha="center", va="center", fontsize=READ,
            color=style.QUIET)  # fmt: skip

    ax.add_patch(
        Polygon([(left + 1.2, 3.69), (left + 1.2, 4.31), (4.55, 9.2), (4.55, 0.9)], color=style.SKY, alpha=0.35, lw=0)
    )
    ax.add_patch(
        FancyBboxPatch((4.55, 0.9), 5.95, 8.3, boxstyle="round,pad=0,rounding_size=0.15", facecolor=style.GROUND,
                       edgecolor=style.QUIET, linewidth=1.2)
    )  # fmt: skip
    ax.text(10.25, 8.88, "one block, opened", fontweight="bold", fontsize=READ, ha="right", va="center")
    _opened(ax, config)
    return fig, (
        f"The decoder, drawn from below to above. Ids become token vectors, position vectors are added, and the sum "
        f"runs up as a straight line, the residual stream, through {layers} blocks, a last LayerNorm and the head, "
        f"which uses the token vectors once more, to the logits. One block is opened: twice a branch leaves the line, "
        f"passes a LayerNorm and then attention ({config.n_head} heads) or the MLP ({d:,} to {config.d_ff:,} to "
        f"{d:,}), and is added to the line again."
    )


@style.figure
def block_orders():
    """One block in both orders, from below to above: its two plus signs, and where the LayerNorms stand."""
    fig, axes = style.canvas(1, 2, height=4.9)
    for ax, title in zip(axes, ("pre-LN, as GPT-2 has it", "post-LN, as in 2017"), strict=True):
        ax.set(xlim=(0, 3.6), ylim=(0, 5.2), aspect="equal")
        ax.axis("off")
        ax.set_title(title, fontsize=14)
    line, aside, wide, high, size = 0.85, 2.7, 1.62, 0.46, 13
    for ax, norms_first in zip(axes, (True, False), strict=True):
        _stream(ax, line, 0.0, 5.2)
        for number, (start, work) in enumerate(((0.3, "attention"), (2.65, "MLP")), start=1):
            layer, plus = (start + 1.3, start + 1.9) if norms_first else (start + 0.65, start + 1.25)
            first = start + 0.55 if norms_first else layer
            norm = (aside, first) if norms_first else (line, plus + 0.6)
            ax.add_patch(Circle((line, start), 0.06, color=style.NAVY, zorder=4))
            ax.plot([line, aside, aside], [start, start, first - high / 2], color=style.QUIET, lw=1.6, ls="-")
            if norms_first:
                _arrow(ax, (aside, first + high / 2), (aside, layer - high / 2))
            ax.plot([aside, aside], [layer + high / 2, plus], color=style.QUIET, lw=1.6, ls="-")
            _arrow(ax, (aside, plus), (line + 0.17, plus))
            _box(ax, *norm, wide, high, f"LayerNorm {number}", style.TEAL, size)
            _box(ax, aside, layer, wide, high, work, style.BLUE if number == 1 else style.BERRY, size)
            ax.add_patch(
                Circle((line, plus), 0.17, facecolor=style.GROUND, edgecolor=style.NAVY, linewidth=1.6, zorder=5)
            )
            ax.text(line, plus - 0.02, "+", ha="center", va="center", fontsize=16, color=style.NAVY, zorder=6)
    return fig, (
        "One block in two orders, drawn from below to above along the residual stream. In both, twice a branch leaves "
        "the line and is added to it again: first through attention, then through the MLP. Pre-LN: each LayerNorm "
        "stands on the branch, before its layer, and nothing but the two plus signs stands on the line. Post-LN: each "
        "LayerNorm stands on the line itself, behind a plus sign."
    )


def _opened(ax, config) -> None:
    """The inside of one block: the line, and its two branches."""
    line, middle, wide, high = 5.55, 8.35, 4.0, 0.66
    d = config.d_model
    _stream(ax, line, 0.9, 9.2)
    ax.text(line - 0.16, 6.45, "residual stream", rotation=90, ha="right", va="center", fontsize=READ, color=style.NAVY)
    for start, norm, work, about, colour, change in (
        (1.3, "LayerNorm ln_1", "causal self-attention", f"{config.n_head} heads of {d // config.n_head}", style.BLUE,
         "between positions"),
        (5.2, "LayerNorm ln_2", "MLP", f"{d:,} → {config.d_ff:,} → GELU → {d:,}", style.BERRY,
         "each position alone"),
    ):  # fmt: skip
        y = (start, start + 0.85, start + 2.1, start + 3.15)
        ax.plot([line, middle, middle], [y[0], y[0], y[1] - high / 2], color=style.QUIET, lw=1.4, ls="-")
        ax.add_patch(Circle((line, y[0]), 0.07, color=style.NAVY, zorder=4))
        _box(ax, middle, y[1], wide, high, norm, style.TEAL)
        _arrow(ax, (middle, y[1] + high / 2), (middle, y[2] - 0.46))
        _box(ax, middle, y[2], wide, 0.92, f"{work}\n{about}", colour)
        ax.text(middle - 0.12, y[2] + 0.74, change, ha="right", va="center", fontsize=READ, color=style.QUIET)
        ax.plot([middle, middle], [y[2] + 0.46, y[3]], color=style.QUIET, lw=1.4, ls="-")
        _arrow(ax, (middle, y[3]), (line + 0.24, y[3]))
        ax.add_patch(Circle((line, y[3]), 0.24, facecolor=style.GROUND, edgecolor=style.NAVY, linewidth=1.6, zorder=5))
        ax.text(line, y[3] - 0.02, "+", ha="center", va="center", fontsize=14, color=style.NAVY, zorder=6)


def _stream(ax, x: float, low: float, high: float) -> None:
    arrow = {"arrowstyle": "-|>", "mutation_scale": 16, "color": style.NAVY, "linewidth": 3.2}
    ax.add_patch(FancyArrowPatch((x, low), (x, high), shrinkA=0, shrinkB=0, zorder=1, **arrow))


def _arrow(ax, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = {"arrowstyle": "-|>", "mutation_scale": 10, "color": style.QUIET, "linewidth": 1.4}
    ax.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, **arrow))


def _box(ax, x: float, y: float, wide: float, high: float, text: str, colour: str, size: float = READ) -> None:
    ax.add_patch(
        FancyBboxPatch(
            (x - wide / 2, y - high / 2), wide, high, boxstyle="round,pad=0,rounding_size=0.1", facecolor=colour,
            edgecolor=style.QUIET, linewidth=0.8, zorder=2,
        )
    )  # fmt: skip
    ink = style.text_colour(colour)
    ax.text(x, y, text, ha="center", va="center", fontsize=size, color=ink, zorder=3, linespacing=1.2)


# ---------------------------------------------------------------------- the parts


@style.figure
def normalized(before: np.ndarray, after: np.ndarray, names: Sequence[str], not_drawn: int | None = None):
    """Every value of a few vectors as a dot, before and after LayerNorm.

    Args:
        before, after: one vector a row, `(len(names), d_model)`.
        names: what the rows belong to.
        not_drawn: a feature that would squeeze the others together; means and standard deviations still count it.
    """
    before, after = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    fig, axes = style.canvas(1, 2, height=0.4 * len(names) + 1.55, sharey=True)
    for ax, values, title in zip(axes, (before, after), ("before", "after LayerNorm"), strict=True):
        for row, vector in enumerate(values):
            drawn = vector if not_drawn is None else np.delete(vector, not_drawn)
            height = np.full(len(drawn), float(row))
            ax.plot(drawn, height, linestyle="", marker="o", markersize=4, color=style.BLUE, alpha=0.45)
            ax.plot(vector.mean(), row, linestyle="", marker="|", markersize=17, color=style.BERRY, markeredgewidth=2)
        style.panel_title(ax, title)
        ax.grid(visible=False)
        ax.grid(axis="x", visible=True)
    axes[0].set_yticks(range(len(names)), names, family="monospace", fontsize=9)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    fig.supxlabel("values of the features; a bar marks their mean", fontsize=10)
    style.headline(fig, "Each row is the vector of one token")
    return fig, decoder_words.normalized(before, after, not_drawn)


@style.figure
def activations(x: np.ndarray, curves: Mapping[str, np.ndarray], difference: np.ndarray):
    """Activation functions, and how far two forms of GELU lie apart.

    Args:
        x: where they are evaluated.
        curves: values by name.
        difference: tanh form minus exact form at `x`.
    """
    fig, (ax, small) = style.canvas(1, 2, height=3.3)
    for i, (name, values) in enumerate(curves.items()):
        ax.plot(x, values, label=name, color=(style.BERRY, style.BLUE, style.NAVY)[i], linestyle=style.LINESTYLES[i])
    ax.set_xlabel("x")
    style.panel_title(ax, "what it does to x")
    ax.legend(loc="upper left")
    small.plot(x, 1000 * np.asarray(difference), color=style.NAVY, linestyle="-")
    small.axhline(0, color=style.QUIET, linewidth=1, linestyle="-")
    small.set(xlabel="x", ylabel="thousandths")
    style.panel_title(small, "GELU: tanh form minus exact form")
    style.headline(fig, "Two activation functions")
    return fig, decoder_words.activations(x, curves, difference)


@style.figure
def by_layer(panels: Mapping[str, Mapping[str, Sequence[float]]], title: str, log: bool = False, first: int = 0):
    """Something measured at every layer, for several models; one panel for each thing that was measured.

    Args:
        panels: for each label of a vertical axis, the values by the name of the model; nan leaves a gap.
        title: what is to be seen.
        log: whether the vertical axes count in powers of ten.
        first: the number of the first value; 0 is what enters the first layer.
    """
    fig, axes = style.canvas(1, len(panels), height=3.5, squeeze=False)
    for ax, (what, curves) in zip(axes[0], panels.items(), strict=True):
        for i, (name, values) in enumerate(curves.items()):
            layers = range(first, first + len(values))
            look = {"color": (style.BLUE, style.BERRY, style.NAVY, style.TEAL)[i], "linestyle": style.LINESTYLES[i]}
            ax.plot(layers, values, marker=style.MARKERS[i], label=name, **look)
        ax.set(xlabel="layer", ylabel=what)
        if log:
            ax.set_yscale("log")
        else:
            ax.set_ylim(bottom=0)
        ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        ax.set_ymargin(0.1)
    _legend_where_it_is_needed(axes[0], panels)
    style.headline(fig, title)
    return fig, decoder_words.by_layer(panels, title, log, first)


def _legend_where_it_is_needed(axes, panels) -> None:
    names = [tuple(curves) for curves in panels.values()]
    for i, ax in enumerate(axes):
        if i == 0 or names[i] != names[0]:
            ax.legend(loc="best")


# ---------------------------------------------------------------------- the whole


@style.figure
def first_losses(
    sizes: Sequence[int],
    measured: Sequence[float],
    widths: Sequence[int],
    by_width: Sequence[float],
    expected: Sequence[float],
):
    """The loss of untrained models: against the vocabulary, beside ln V; against the width, beside ln V + s² / 2.

    Args:
        sizes: vocabularies.
        measured: the loss of an untrained model with each of them, nats per token.
        widths: values of `d_model`, all with the same vocabulary.
        by_width: the loss of an untrained model of each width.
        expected: what the formula says for each width.
    """
    fig, (ax, wide) = style.canvas(1, 2, height=3.4)
    line = np.geomspace(sizes[0] / 3, sizes[-1] * 1.6, 60)  # room for the first label
    dots = {"linestyle": "", "marker": "s", "markersize": 7, "color": style.BERRY, "label": "measured"}
    ax.plot(line, np.log(line), color=style.NAVY, linestyle="-", label="ln V")
    ax.plot(sizes, measured, **dots)
    for size, loss in zip(sizes, measured, strict=True):
        ax.annotate(f"{loss:.2f}", (size, loss), xytext=(0, 9), textcoords="offset points", ha="right", fontsize=9.5)
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=9)
    ax.set(xlabel="tokens in the vocabulary, V", ylabel="first loss, nats per token", ylim=(0, 1.15 * max(measured)))
    ax.legend(loc="lower right")
    style.panel_title(ax, "the vocabulary decides most")
    known = expected[0] - (expected[-1] - expected[0]) * widths[0] / (widths[-1] - widths[0])  # ln V: at width 0
    wide.plot([0, widths[-1]], [known, known], color=style.NAVY, linestyle="-", label="ln V")
    wide.plot(widths, expected, color=style.BLUE, linestyle="--", label="ln V + s²/2")
    wide.plot(widths, by_width, **dots)
    wide.set(xlabel="width, d_model", ylim=(known - 0.02, None))
    wide.legend(loc="upper left")
    style.panel_title(wide, "and the width adds s²/2")
    style.headline(fig, "Before the first step, the loss is about ln V")
    return fig, decoder_words.first_losses(sizes, measured, widths, by_width, expected, known)


@style.figure
def influence(felt, tokens: Sequence[str]):
    """Heat map: how much what is said at one position depends on the vector that entered at another.

    Args:
        felt: size of the gradient, `(time, time)`; the row is where something is said, the column what it depends on.
        tokens: their texts.
    """
    values = np.asarray(felt, dtype=float)
    values = values / values.max(axis=1, keepdims=True)
    fig, ax = style.canvas(height=4.6)
    image = ax.imshow(values, cmap=style.HEAT, norm=LogNorm(1e-3, 1, clip=True), aspect="auto")
    for row, column in zip(*np.nonzero(values == 0), strict=True):
        ax.plot(column, row, marker="x", markersize=3, color=style.QUIET, linewidth=0)
    names = [label(token) for token in tokens]
    ax.set_xticks(range(len(names)), names, rotation=90, family="monospace", fontsize=9)
    ax.set_yticks(range(len(names)), names, family="monospace", fontsize=9)
    ax.grid(visible=False)
    ax.tick_params(length=0)
    bar = fig.colorbar(image, ax=ax, pad=0.015, fraction=0.04)
    bar.outline.set_visible(False)
    bar.set_label("influence, against the row's largest")
    ax.set(xlabel="the vector that entered here ...", ylabel="... influences the logits here")
    ax.set_title("Who is heard where; a cross is exactly zero")
    return fig, decoder_words.influence(values)


AS_DRAWN = {
    "qkv and proj": style.BLUE, "queries x keys": style.SKY, "weights x values": style.NAVY, "mlp": style.BERRY,
    "head": style.ORANGE,
}  # fmt: skip


@style.figure
def fractions(bars: Mapping[str, Mapping[str, int]], title: str, unit: str):
    """Bars as long as each other, cut into fractions; the total stands behind each.

    Args:
        bars: for each bar the counts by part; the parts are the same for all, five at most. Where all of them are parts
            of the drawn decoder, they have its colours.
        title: what is to be seen.
        unit: what is counted: "parameters", "FLOPs a token".
    """
    fig, ax = style.canvas(height=0.55 * len(bars) + 1.35)
    names = list(next(iter(bars.values())))
    colours = (style.ORANGE, style.SKY, style.BLUE, style.BERRY, style.NAVY)
    colours = [AS_DRAWN[name] for name in names] if set(names) <= set(AS_DRAWN) else colours
    hatches = ("", "///", "", "||", "")
    for row, parts in enumerate(bars.values()):
        total, start = sum(parts.values()), 0.0
        for i, (part, count) in enumerate(parts.items()):
            fraction = count / total
            ax.barh(row, fraction, left=start, height=0.62, color=colours[i], hatch=hatches[i], edgecolor=style.GROUND,
                    linewidth=0.8, label=part if row == 0 else None)  # fmt: skip
            if fraction > 0.045:
                box = {"facecolor": colours[i], "edgecolor": "none", "pad": 1.2} if hatches[i] else None
                ax.text(start + fraction / 2, row, f"{fraction:.0%}", ha="center", va="center", fontsize=9.5,
                        color=style.text_colour(colours[i]), bbox=box)  # fmt: skip
            start += fraction
        ax.text(1.01, row, f"{total:,}", va="center", fontsize=9.5)
    ax.set_yticks(range(len(bars)), list(bars))
    ax.invert_yaxis()
    ax.set(xlim=(0, 1.28), xticks=[])
    ax.spines["bottom"].set_visible(False)
    ax.grid(visible=False)
    ax.tick_params(axis="y", length=0)
    ax.text(1.01, -0.55, unit, va="center", fontsize=9, color=style.QUIET)
    fig.legend(
        *ax.get_legend_handles_labels(), loc="outside lower center", ncols=5, handlelength=1.4, columnspacing=1.3
    )
    ax.set_title(title)
    return fig, decoder_words.fractions(bars, title, unit)


@style.figure
def memory(rows: Mapping[str, Mapping[str, float]], title: str, limits: Mapping[str, float] | None = None):
    """Bars of memory by what it holds, one bar for each case.

    Args:
        rows: for each case the bytes by what they hold; what is 0 is not drawn.
        title: what is to be seen.
        limits: bytes that a device has, by its name: upright lines.
    """
    fig, ax = style.canvas(height=0.6 * len(rows) + 1.5)
    names = list(dict.fromkeys(name for parts in rows.values() for name in parts))
    colours = (style.NAVY, style.BERRY, style.BLUE, style.ORANGE, style.TEAL)
    hatches = ("", "///", "", "||", "")
    widest = max([sum(parts.values()) for parts in rows.values()] + list((limits or {}).values()))
    shown = set()
    for row, parts in enumerate(rows.values()):
        start = 0.0
        for name, size in parts.items():
            i = names.index(name)
            ax.barh(row, size / 1e9, left=start / 1e9, height=0.6, color=colours[i], hatch=hatches[i],
                    edgecolor=style.GROUND, linewidth=0.8, label=None if name in shown else name)  # fmt: skip
            shown.add(name)
            start += size
        ax.text((start + 0.012 * widest) / 1e9, row, f"{start / 1e9:.1f} GB", va="center", fontsize=9.5)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    for name, size in (limits or {}).items():
        ax.axvline(size / 1e9, color=style.INK, linestyle=":", linewidth=1.3)
        ax.text(size / 1e9, -0.48, f" {name}", ha="left", va="bottom", fontsize=9)
    ax.set(xlabel="gigabytes", xlim=(0, 1.16 * widest / 1e9))
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=len(names), handlelength=1.4)
    ax.set_title(title)
    return fig, decoder_words.memory(rows, limits)
