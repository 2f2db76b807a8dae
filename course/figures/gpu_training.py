"""The figures of training on a GPU: number formats, small gradients, a loss scale, options in turn, curves compared."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from course.figures import comparing, style, words


@style.figure
def number_formats(formats: Mapping[str, tuple[int, int]]):
    """The bits of some floating point formats, on one scale.

    Args:
        formats: name: (bits of exponent, bits of fraction); one bit more is the sign.
    """
    fig, ax = style.canvas(height=0.62 * len(formats) + 1.0)
    parts = (
        ("sign", style.INK, ""),
        ("exponent: the range", style.ORANGE, "///"),
        ("fraction: the spacing", style.SKY, ""),
    )
    said = []
    for row, (name, (exponent, fraction)) in enumerate(formats.items()):
        start = 0
        for count, (label, colour, hatch) in zip((1, exponent, fraction), parts, strict=True):
            for bit in range(count):
                ax.barh(row, 0.9, left=start + bit, height=0.6, color=colour, hatch=hatch, edgecolor=style.GROUND,
                        linewidth=0.5, label=label if row == 0 and bit == 0 else None)  # fmt: skip
            start += count
        ax.text(
            start + 0.5, row, f"{1 + exponent + fraction} bits: 1 + {exponent} + {fraction}", va="center", fontsize=9
        )
        said.append(f"{name} has {exponent} of exponent and {fraction} of fraction, {1 + exponent + fraction} in all")
    ax.set_yticks(range(len(formats)), list(formats), family="monospace")
    ax.invert_yaxis()
    ax.set(xlim=(-0.3, 42), xticks=[])
    ax.grid(visible=False)
    ax.spines[["bottom", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=1.4)
    ax.set_title("Where the bits of a number go")
    first, *others = formats
    compared = {}
    for name in others:
        (exponent, fraction), (its, whole) = formats[name], formats[first]
        reach = "the same range" if exponent == its else "less range" if exponent < its else "more range"
        finer = "as fine" if fraction == whole else "coarser" if fraction < whole else "finer"
        compared[name] = f"{reach}, {finer} in its spacing"
    return fig, comparing.text(
        f"Beside {first}: {comparing.grouped(compared, '; ')}" if compared else "",
        f"bits drawn as boxes, one of them the sign: {'; '.join(said)}",
    )


@style.figure
def small_gradients(counts: Mapping[int, int], smallest: int, largest: int, scale: int):
    """How large the values of a gradient are, before and after scaling, and what float16 can hold.

    Args:
        counts: gradient values by their exponent, the whole number below log2 of the size.
        smallest, largest: exponents of the smallest and the largest value that float16 holds.
        scale: the exponent of the loss scale.
    """
    fig, axes = style.canvas(2, 1, height=4.2, sharex=True, sharey=True)
    total = sum(counts.values())
    lost_of = {}
    for ax, shift, name, colour in (
        (axes[0], 0, "as they are", style.BERRY),
        (axes[1], scale, f"times 2^{scale}", style.BLUE),
    ):
        heights = {exponent + shift: 100 * count / total for exponent, count in counts.items()}
        ax.bar(list(heights), list(heights.values()), width=0.85, color=colour)
        ax.axvspan(smallest, largest + 1, color=style.SKY, alpha=0.35, zorder=0)
        lost = sum(height for exponent, height in heights.items() if exponent < smallest)
        too_large = sum(height for exponent, height in heights.items() if exponent > largest)
        drawn = f"times $2^{{{scale}}}$" if shift else name
        ax.text(0.02, 0.9, f"{drawn}: {lost:.0f} % below, {too_large:.0f} % above", transform=ax.transAxes, ha="left",
                va="top", fontsize=9.5)  # fmt: skip
        ax.set_ylabel("per cent")
        highest = max(heights, key=heights.get, default=0)
        lost_of[name] = (f"{lost:.0f} per cent are too small for float16 and {too_large:.0f} per cent too large; the "
                         f"highest bar stands at 2^{highest}")  # fmt: skip
    axes[1].set_xlim(smallest - 30, largest + 1)  # what is smaller still needs no picture
    axes[1].set_xlabel("exponent of the gradient's value: 2 to the power of ...")
    axes[0].set_title("Gradients against what float16 can hold (shaded)")
    return fig, comparing.text(
        f"The sizes of a gradient's values in two histograms, one above the other; shaded is what float16 holds, "
        f"2^{smallest} to 2^{largest}",
        *(f"{name}: {what}" for name, what in lost_of.items()),
        f"the lower one is the upper one moved {scale} powers of two to the right",
    )


@style.figure
def loss_scale(scales: Sequence[float], skipped: Sequence[int]):
    """The loss scale after each step on a logarithmic axis; steps that were left out are marked."""
    fig, ax = style.canvas(height=2.9)
    ax.step(range(1, len(scales) + 1), scales, where="mid", color=style.BLUE)
    marked = [step for step in skipped if 1 <= step <= len(scales)]
    ax.plot(marked, [scales[step - 1] for step in marked], color=style.BERRY, marker="X", markersize=8, linewidth=0,
            label="overflow: this step was left out")  # fmt: skip
    ax.set_yscale("log", base=2)
    ax.set(xlabel="steps", ylabel="scale after the step")
    ax.set_title("The scale finds its own height")
    if marked:
        ax.legend(loc="upper right")
    return fig, _scale_said(scales, marked)


def _scale_said(scales: Sequence[float], marked: Sequence[int]) -> str:
    """The fall at the start while every step overflows, and the height that is found then."""
    first = next((i for i in range(len(scales)) if i + 1 not in marked), len(scales))
    rest = scales[first:]
    later = [step for step in marked if step > first]
    start = ""
    if first > 1:
        start = (f"The loss scale falls from {_power(scales[0])} to {_power(scales[first - 1])} in the first {first} "
                 "steps, each of which overflows and is left out")  # fmt: skip
    parts = []
    if rest:
        level = f"at {_power(rest[0])}"
        if min(rest) < max(rest):
            level = f"between {_power(min(rest))} and {_power(max(rest))}"
        who = "from then on it" if start else "the loss scale"
        parts.append(f"{who} stays {level} over {words.count(len(rest), 'step')}")
        left = f"{words.count(len(later), 'step')} ({comparing.some(map(str, later), 6)})" if later else "no step"
        parts.append(f"{left} of these {'is' if len(later) < 2 else 'are'} left out")
    return comparing.text(
        start, ", and ".join(parts), "a line of steps over the steps of training, on a logarithmic axis"
    )


def _power(value: float) -> str:
    """A power of two as one, any other number as it is."""
    exponent = math.log2(value) if value > 0 else 0.5
    return f"2^{exponent:.0f}" if abs(exponent) > 3 and exponent == int(exponent) else f"{value:,g}"


@style.figure
def options_in_turn(rows: Sequence[Mapping], device: str):
    """Throughput and peak memory as one option after the other is switched on.

    Args:
        rows: {"name", "tokens_per_second", "peak_bytes"}, the last two None where this device cannot measure it;
            "left_out" then may say why.
        device: what was measured on.
    """
    fig, axes = style.canvas(1, 2, height=0.42 * len(rows) + 1.2, sharey=True, gridspec_kw={"width_ratios": [3, 2]})
    measured = [row for row in rows if row["tokens_per_second"] is not None]
    most = (max(row["tokens_per_second"] for row in measured), max(row["peak_bytes"] for row in measured))
    for i, row in enumerate(rows):
        if row["tokens_per_second"] is None:
            why = row.get("left_out") or "needs a GPU: not measured here"
            axes[0].text(0.02 * most[0], i, why, va="center", fontsize=9, color=style.QUIET)
            continue
        times = row["tokens_per_second"] / measured[0]["tokens_per_second"]
        for ax, key, text, colour, hatch, largest in (
            (
                axes[0],
                "tokens_per_second",
                f"{row['tokens_per_second']:,.0f}  ({times:.2f} x)",
                style.BLUE,
                "",
                most[0],
            ),
            (axes[1], "peak_bytes", f"{row['peak_bytes'] / 1e9:.2f}", style.ORANGE, "///", most[1]),
        ):
            ax.barh(i, row[key], height=0.62, color=colour, hatch=hatch, edgecolor=style.GROUND, linewidth=0.6)
            ax.text(row[key] + 0.02 * largest, i, text, va="center", fontsize=9)
    axes[0].set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    style.panel_title(axes[0], "throughput, tokens a second")
    style.panel_title(axes[1], "peak GB of a step")
    style.headline(fig, "Each option switched on in turn")
    for ax, largest, room in zip(axes, most, (1.45, 1.3), strict=True):
        ax.set(xlim=(0, room * largest), xticks=[])
        ax.grid(visible=False)
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    shown = [f"{row['name']} {row['tokens_per_second']:,.0f}" for row in measured]
    missing = [row["name"] for row in rows if row["tokens_per_second"] is None]
    gains = {row["name"]: row["tokens_per_second"] / before["tokens_per_second"]
             for before, row in zip(measured, measured[1:], strict=False)}  # fmt: skip
    whole = measured[-1]["tokens_per_second"] / measured[0]["tokens_per_second"]
    saved = {row["name"]: before["peak_bytes"] - row["peak_bytes"]
             for before, row in zip(measured, measured[1:], strict=False)}  # fmt: skip
    memory = [measured[0]["peak_bytes"] / 1e9, measured[-1]["peak_bytes"] / 1e9]
    best, saver = max(gains, key=gains.get, default=""), max(saved, key=saved.get, default="")
    lesson = f"On {device} all options together give {whole:.2f} times the tokens a second"
    if gains and gains[best] > 1.02:
        lesson += f"; {best} adds most, {gains[best]:.2f} times what stood before it"
    peak = f"peak memory goes from {memory[0]:.2f} to {memory[1]:.2f} GB"
    if saved and saved[saver] > 0.02e9:
        peak += f"; {saver} saves most, {saved[saver] / 1e9:.2f} GB"
    return fig, comparing.text(
        lesson if gains else f"One row of bars on {device}",
        peak,
        f"tokens a second: {', '.join(shown)}",
        f"Not measured here: {', '.join(missing)}" if missing else "",
    )


@style.figure
def beside_the_others(
    own: Sequence[tuple[float, float]],
    levels: Mapping[str, float],
    reported: Sequence[tuple[str, float, float]],
    recorded: Mapping[str, Sequence[tuple[float, float]]],
    own_on_gpu: bool = False,
):
    """The learner's own run on the left; 124M on TinyStories, as recorded and as others report it, on the right.

    Args:
        own: (tokens, validation loss in nats per token).
        levels: named horizontal lines for the left side.
        reported: (who, tokens, nats per token), single points.
        recorded: curves by name; empty where nobody has recorded a run.
        own_on_gpu: the own run belongs on the right as well, since it is of the same model.
    """
    fig, (left, right) = style.canvas(1, 2, height=3.9)
    tokens, losses = zip(*own, strict=True)
    left.plot([n / 1e6 for n in tokens], losses, color=style.BLUE, marker="o", markersize=4)
    style.levels(left, levels)
    # On a logarithmic scale, where a run that comes near the floor does not run into the floor's name.
    left.set(xlabel="million tokens", ylabel="validation loss, nats per token", yscale="log")
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left.yaxis.set_minor_formatter(NullFormatter())
    style.panel_title(left, "your run")
    for i, (who, count, loss) in enumerate(reported):
        right.plot(count / 1e6, loss, color=style.COLOURS[i % 5], marker=style.MARKERS[i % 6], linewidth=0, label=who)
    curves = dict(recorded) | ({"your run": own} if own_on_gpu else {})
    for i, (name, points) in enumerate(curves.items()):
        points = [(n, loss) for n, loss in points if n > 0]
        counts, values = zip(*points, strict=True)
        right.plot([n / 1e6 for n in counts], values, color=style.COLOURS[i % 5], linestyle=style.LINESTYLES[i % 6],
                   label=name)  # fmt: skip
    right.set_xscale("log")
    right.set_xticks((1, 10, 50, 100, 200, 500, 1000), ("1", "10", "50", "100", "200", "500", "1,000"))
    right.minorticks_off()
    counts = [count for _, count, _ in reported] + [n for points in curves.values() for n, _ in points if n > 0]
    right.set_xlim(0.7 * min(counts) / 1e6, 1.5 * max(counts) / 1e6)
    right.set(xlabel="million tokens (logarithmic)", ylabel="nats per token")
    style.panel_title(right, "TinyStories, larger models")
    style.headline(fig, "The run, and what others reached")
    if not recorded:
        right.text(0.5, 0.97, "no run on a GPU has been recorded yet", transform=right.transAxes, ha="center", va="top",
                   fontsize=9, color=style.QUIET, backgroundcolor=style.GROUND)  # fmt: skip
    top = max([loss for _, _, loss in reported] + [v for points in curves.values() for n, v in points if n > 0])
    right.set_ylim(1, max(2.6, 1.05 * top))
    fig.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9, handlelength=1.8)
    known = "; ".join(f"{who} {loss:.2f} after {count / 1e6:,.0f} million tokens" for who, count, loss in reported)
    way = words.shape(losses, [n / 1e6 for n in tokens], at="{} million tokens", write="{:.2f}".format)
    ends = [f"{'above' if losses[-1] > level else 'below'} {name}, {level:.2f}" for name, level in levels.items()]
    return fig, comparing.text(
        f"Left: your run's validation loss, in nats per token, {way}",
        f"it ends {words.listing(ends)}" if ends else "",
        f"right, as reported by others: {known}" if known else "",
        f"Recorded: {', '.join(recorded)}" if recorded else "No run on a GPU has been recorded yet",
    )


def exponents(values) -> dict[int, int]:
    """How many of some values have which exponent: the whole number below log2 of their size; zeros are left out.

    Args:
        values: a tensor of any shape.
    """
    import torch

    sizes = values.detach().abs().flatten()
    found, counts = torch.unique(torch.floor(torch.log2(sizes[sizes > 0].double())), return_counts=True)
    return {int(exponent): int(count) for exponent, count in zip(found, counts, strict=True) if math.isfinite(exponent)}
