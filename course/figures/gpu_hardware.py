"""The figures of what a GPU does: its parts, drawn, and a roofline with the kernels of a training step on it."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.ticker import FuncFormatter

from course.figures import comparing, style, words


@style.figure
def parts_of_a_gpu(name: str, multiprocessors: int, cores: int, matrix_units: int, memory: float, bandwidth: float):
    """A GPU's parts: the queue of kernels, the multiprocessors with one of them opened, and the memory.

    Args:
        cores, matrix_units: of one multiprocessor.
        memory: in bytes; `bandwidth`: in bytes a second.
    """
    fig, ax = style.canvas(height=4.3)
    ax.set(xlim=(0, 14.8), ylim=(0, 8.6))
    ax.axis("off")
    _box(ax, 0.0, 5.6, 2.0, 1.3, style.ORANGE, "Python\n(on a CPU)")
    for i in range(4):
        _box(ax, 3.5 + 0.42 * i, 5.85, 0.34, 0.8, style.TEAL)
    ax.text(4.3, 7.0, "kernels, in a queue", ha="center", fontsize=9)
    _arrow(ax, (2.05, 6.25), (3.4, 6.25))
    ax.text(2.72, 6.05, "launches", ha="center", va="top", fontsize=9)
    _arrow(ax, (5.2, 6.25), (6.0, 6.25))

    columns = 8
    rows = -(-multiprocessors // columns)
    wide, high = 3.0 / columns, min(0.5, 3.4 / rows)
    bottom = 4.6
    ax.add_patch(Rectangle((6.0, bottom - 0.2), 3.4, rows * high + 0.4, facecolor=style.GROUND, edgecolor=style.QUIET))
    for i in range(multiprocessors):
        x, y = 6.2 + wide * (i % columns), bottom + high * (i // columns)
        colour = style.BLUE if i == multiprocessors - 1 else style.SKY
        ax.add_patch(Rectangle((x, y), 0.78 * wide, 0.78 * high, facecolor=colour, edgecolor="none"))
    top = bottom + rows * high
    ax.text(7.7, top + 0.4, f"{multiprocessors} multiprocessors", ha="center", fontsize=9.5)

    ax.add_patch(Rectangle((10.6, 3.6), 4.0, 4.4, facecolor=style.GROUND, edgecolor=style.BLUE, linewidth=1.6))
    ax.plot([9.2, 10.6], [top - 0.1, 8.0], color=style.BLUE, linewidth=0.9, linestyle="-")
    ax.plot([9.2, 10.6], [top - high, 3.6], color=style.BLUE, linewidth=0.9, linestyle="-")
    ax.text(12.6, 8.2, "one of them", ha="center", fontsize=9.5)
    _cells(ax, 10.85, 6.25, 3.5, 1.1, cores, 16, style.SKY)
    ax.text(12.6, 7.5, f"{cores} plain cores", ha="center", fontsize=9)
    _cells(ax, 10.85, 4.75, 3.5, 0.65, matrix_units, matrix_units, style.BERRY)
    ax.text(12.6, 5.55, f"{matrix_units} matrix units (Tensor cores)", ha="center", fontsize=9)
    _box(ax, 10.85, 3.8, 3.5, 0.6, style.TEAL, "a small, fast memory", size=9)

    _box(ax, 6.0, 0.7, 8.6, 1.3, style.NAVY, f"memory: {memory / 1e9:,.0f} GB\nweights, activations, logits")
    ax.add_patch(
        FancyArrowPatch((7.7, 2.05), (7.7, bottom - 0.25), arrowstyle="<|-|>", mutation_scale=16, linewidth=4.5,
                        color=style.NAVY, shrinkA=0, shrinkB=0)
    )  # fmt: skip
    ax.text(7.4, 3.2, f"bandwidth: {bandwidth / 1e9:,.0f} GB a second", ha="right", va="center", fontsize=9.5)
    ax.set_title(f"What is in a GPU: a {name}")
    return fig, comparing.text(
        f"The parts of a GPU, {name}: {multiprocessors} multiprocessors compute, and all that they work on, weights, "
        f"activations and logits, lies beside them in one large memory of {memory / 1e9:,.0f} GB. The only way between "
        f"is an arrow, the bandwidth of {bandwidth / 1e9:,.0f} GB a second",
        "Python, on a CPU, launches kernels into a queue, from which they go to the multiprocessors",
        f"one multiprocessor is opened: {cores} plain cores, {matrix_units} matrix units (Tensor cores), and a small, "
        f"fast memory of its own",
    )


def _box(ax, x: float, y: float, wide: float, high: float, colour: str, text: str = "", size: float = 9.5) -> None:
    ax.add_patch(
        FancyBboxPatch((x, y), wide, high, boxstyle="round,pad=0,rounding_size=0.1", facecolor=colour, edgecolor="none")
    )
    ax.text(x + wide / 2, y + high / 2, text, ha="center", va="center", fontsize=size, color=style.text_colour(colour))


def _arrow(ax, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, linewidth=1.5, color=style.INK, shrinkA=0,
                        shrinkB=0)
    )  # fmt: skip


def _cells(ax, x: float, y: float, wide: float, high: float, count: int, columns: int, colour: str) -> None:
    """So many equal boxes in rows."""
    rows = -(-count // columns)
    for i in range(count):
        place = x + wide / columns * (i % columns), y + high / rows * (i // columns)
        ax.add_patch(Rectangle(place, 0.8 * wide / columns, 0.78 * high / rows, facecolor=colour, edgecolor="none"))


@style.figure
def roofline(panels: Sequence[tuple[str, Mapping[str, tuple[float, float]], Mapping[str, tuple[float, float]]]]):
    """What devices can do at most with a kernel, by its arithmetic intensity, and where kernels of a step lie.

    Args:
        panels: (title, roofs, kernels) each. A roof is name: (peak in operations a second, bandwidth in bytes a
            second). A kernel is name: (operations a byte, operations a second that were measured), the last None where
            it is drawn on the roofs, as fast as it can be.
    """
    fig, axes = style.canvas(1, len(panels), width=style.WIDTH, height=4.0, squeeze=False)
    said, reached, handles = [], [], {}
    for ax, (title, roofs, kernels) in zip(axes[0], panels, strict=True):
        ridges = [peak / bandwidth for peak, bandwidth in roofs.values()]
        intensities = [intensity for intensity, _ in kernels.values()]
        low, high = 0.5 * min(intensities + ridges), 2.5 * max(intensities + ridges)
        least, kinds = [], {}
        for i, (name, (peak, bandwidth)) in enumerate(roofs.items()):
            ridge = peak / bandwidth
            ax.plot([low, ridge, high], [low * bandwidth, peak, peak], color=(style.NAVY, style.BLUE)[i % 2],
                    linestyle="-")  # fmt: skip
            ax.text(high, 1.12 * peak, name, ha="right", va="bottom", fontsize=9, color=style.INK)
            bound = [kernel for kernel, (intensity, _) in kernels.items() if intensity < ridge]
            free = [kernel for kernel in kernels if kernel not in bound]
            sides = [f"{words.listing(bound)} under the slope, memory bound"] if bound else []
            sides += [f"{words.listing(free)} under the flat part, compute bound"] if free else []
            kinds.setdefault("; ".join(sides), []).append(f"{name} (turns at {ridge:,.0f} operations a byte)")
        for i, (kernel, (intensity, speed)) in enumerate(kernels.items()):
            for peak, bandwidth in roofs.values():
                height = min(peak, intensity * bandwidth) if speed is None else speed
                (handles[kernel],) = ax.plot(
                    intensity, height, marker=style.MARKERS[i % 6], color=style.COLOURS[(1 + i) % 5], markersize=8,
                    linewidth=0, markeredgecolor=style.INK, markeredgewidth=0.6, zorder=4, label=kernel,
                )  # fmt: skip
                least.append(height)
            if speed is not None:
                share = speed / max(min(peak, intensity * bandwidth) for peak, bandwidth in roofs.values())
                reached.append((share, f"{kernel} {share:.0%}"))
        said += [f"{words.listing(names)}: {sides}" for sides, names in kinds.items()]
        top = max(peak for peak, _ in roofs.values())
        ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(0.4 * min(least), 4 * top))
        ax.set(xlabel="arithmetic intensity, operations a byte", ylabel="operations a second")
        ax.minorticks_off()
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        style.panel_title(ax, title)
    style.headline(fig, "Under the roof: limited by memory on the slope, by arithmetic on the flat")
    fig.legend(handles=list(handles.values()), loc="outside lower center", ncols=3, handlelength=1.4)
    reached = [each for _, each in sorted(reached, reverse=True)]
    return fig, comparing.text(
        "Rooflines, what a device can do by operations a byte: a slope, the bandwidth, that turns into a flat part, "
        "the peak; both axes are logarithmic",
        *said,
        f"as measured, of what the roof allows: {', '.join(reached)}" if reached else "",
    )
