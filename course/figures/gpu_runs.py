"""The figures of a run on a GPU: where a step's time goes, loading beside it, the loss by minute, the disk."""

from collections.abc import Mapping, Sequence

from matplotlib.ticker import FuncFormatter, NullFormatter

from course.figures import comparing, style, words


@style.figure
def step_by_kind(seconds: Mapping[str, float], wall: float, device: str):
    """Bars of the time of one step by kind of operation.

    Args:
        seconds: by kind, the most first.
        wall: seconds of the whole step, by the clock; what the kinds leave of it is drawn as a bar of its own.
        device: what was measured on.
    """
    rest = max(0.0, wall - sum(seconds.values()))
    bars = dict(seconds) | {"in no operation": rest}
    fig, ax = style.canvas(height=0.36 * len(bars) + 1.1)
    most = max(bars.values())
    for i, each in enumerate(bars.values()):
        last = i == len(bars) - 1
        ax.barh(i, 1000 * each, height=0.66, color=style.SKY if last else style.BLUE, hatch="///" if last else "",
                edgecolor=style.GROUND, linewidth=0.6)  # fmt: skip
        said = f"{1000 * each:.1f} ms  ({_part(each / wall)})"
        ax.text(1000 * (each + 0.012 * most), i, said, va="center", fontsize=9)
    ax.set_yticks(range(len(bars)), list(bars))
    ax.set(ylim=(len(bars) - 0.5, -0.5), xlim=(0, 1250 * most), xlabel="milliseconds")
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    ax.tick_params(axis="y", length=0)
    ax.set_title("What one step spends its time on")
    told = ", ".join(f"{kind} {_part(each / wall)}" for kind, each in bars.items())
    first, share = [], 0.0
    for kind in sorted(seconds, key=lambda kind: -seconds[kind]):
        if share < 0.75:
            first, share = [*first, kind], share + seconds[kind] / wall
    return fig, comparing.text(
        f"{comparing.verb(first, 'alone', 'together')} take {share:.0%} of a step on {device}, {1000 * wall:,.0f} ms "
        "in all",
        f"bars by kind of operation: {told}",
    )


def _part(share: float) -> str:
    return "below 1%" if 0 < share < 0.005 else f"{share:.0%}"


@style.figure
def loading(ways: Mapping[str, Sequence[tuple[str, float, float]]]):
    """When batches are loaded and when steps are computed, for some ways of loading, one below the other.

    Args:
        ways: name: intervals ("load" or "step", from, to) in seconds after the start.
    """
    fig, axes = style.canvas(len(ways), 1, height=1.25 * len(ways) + 1.0, sharex=True, squeeze=False)
    rows = {"load": (0, style.ORANGE, "///", "loading a batch"), "step": (1, style.BLUE, "", "computing a step")}
    spent, said = {}, []
    for ax, (name, intervals) in zip(axes[:, 0], ways.items(), strict=True):
        for kind, start, end in intervals:
            row, colour, hatch, _ = rows[kind]
            ax.barh(row, 1000 * (end - start), left=1000 * start, height=0.7, color=colour, hatch=hatch,
                    edgecolor=style.GROUND, linewidth=1.0)  # fmt: skip
        over = max(end for _, _, end in intervals)
        ax.set_yticks([row for row, *_ in rows.values()], [label for *_, label in rows.values()])
        ax.set(ylim=(1.55, -0.55))
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
        style.panel_title(ax, f"{name}: {1000 * over:,.0f} ms")
        spent[name] = over
        said.append(f"{name}: {_overlap(intervals)}, {1000 * over:,.0f} ms in all")
    axes[-1, 0].set_xlabel("milliseconds")
    style.headline(fig, "Loading a batch while a step is computed")
    quickest, slowest = min(spent, key=spent.get), max(spent, key=spent.get)
    ratio = spent[slowest] / spent[quickest]
    return fig, comparing.text(
        "Bars along time, a row for loading batches above a row for computing steps",
        *said,
        f"{slowest} takes {ratio:.1f} times as long as {quickest}" if ratio > 1.05 else "",
    )


def _overlap(intervals: Sequence[tuple[str, float, float]]) -> str:
    """How much of the loading happens while a step is computed."""
    loads, steps = ([(a, b) for kind, a, b in intervals if kind == which] for which in ("load", "step"))
    total = sum(b - a for a, b in loads)
    both = sum(max(0.0, min(b, d) - max(a, c)) for a, b in loads for c, d in steps)
    if not total or both < 0.01 * total:
        return "loading and computing take turns, never both at once"
    return f"{min(1.0, both / total):.0%} of the loading goes on while a step is computed"


@style.figure
def loss_by_minute(runs: Mapping[str, Sequence[Mapping]], goals: Mapping[str, float]):
    """What validation loss to expect after how many minutes, as bands, with goals as lines.

    Args:
        runs: for each device {"minutes", "bits_per_byte": (low, high)} by minute, as
            `course.bench.time_to_loss.loss_by_minute` gives them.
        goals: bits per byte, by name.
    """
    fig, ax = style.canvas(height=3.9)
    said = []
    for i, (name, rows) in enumerate(runs.items()):
        minutes = [row["minutes"] for row in rows]
        low, high = zip(*(row["bits_per_byte"] for row in rows), strict=True)
        ax.fill_between(minutes, low, high, color=style.COLOURS[i], alpha=0.25, linewidth=0, hatch=style.HATCHES[i],
                        edgecolor=style.COLOURS[i])  # fmt: skip
        ax.plot(minutes, high, color=style.COLOURS[i], linestyle=style.LINESTYLES[i], linewidth=1.6, label=name)
        ax.plot(minutes, low, color=style.COLOURS[i], linestyle=style.LINESTYLES[i], linewidth=1.6)
        way = comparing.going(high) if comparing.going(low) == comparing.going(high) else "goes"
        said.append(
            f"{name} {way} from between {low[0]:.2f} and {high[0]:.2f} after {minutes[0]:g} minutes to between "
            f"{low[-1]:.2f} and {high[-1]:.2f} after {minutes[-1]:g}{_reached(minutes, low, high, goals)}"
        )
    for name, goal in goals.items():
        ax.axhline(goal, color=style.INK, linewidth=1.1, linestyle=":")
        # in two lines, which the lowest band leaves room for
        ax.text(0.01, goal - 0.012, f"{name}:\n{goal:.2f}", transform=ax.get_yaxis_transform(), va="top", fontsize=9,
                bbox={"facecolor": style.GROUND, "edgecolor": "none", "alpha": 0.8, "pad": 0.8})  # fmt: skip
    ax.set_xscale("log")
    every = sorted({row["minutes"] for rows in runs.values() for row in rows})
    ticks = [minute for minute in (1, 2, 5, 10, 20, 30, 60, 120, 240) if every[0] <= minute <= every[-1]]
    ax.set_xticks(ticks, [str(minute) for minute in ticks])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel="minutes of training (logarithmic)", ylabel="bits per byte", xlim=(every[0], every[-1]))
    ax.legend(loc="upper right")
    ax.set_title("What to expect after how many minutes: an estimate")
    return fig, comparing.text(
        "Bands of the bits per byte to expect by minutes of training, an estimate"
        + "".join(f"; a line at {goal:.2f} marks {name}" for name, goal in goals.items()),
        *said,
    )


def _reached(minutes, low, high, goals: Mapping[str, float]) -> str:
    """When a band comes down to each goal, with its lower and with its upper edge."""
    said = []
    for goal in goals.values():
        first, sure = (next((m for m, loss in zip(minutes, edge, strict=True) if loss <= goal), None)
                       for edge in (low, high))  # fmt: skip
        if first is None:
            said.append(f"it never reaches {goal:.2f}")
        else:
            until = "by its lower edge alone" if sure is None else f"wholly after {sure:g}"
            said.append(f"it reaches {goal:.2f} after {first:g} minutes, {until}")
    return "".join(f", and {each}" for each in said)


@style.figure
def minutes_by_width(rows: Sequence[Mapping], goal: str, chosen: int):
    """Minutes until a loss is reached, for models of twelve layers and several widths.

    Args:
        rows: {"width", "parameters", "enough", "minutes": (fast, slow)}.
        goal: the loss, in words.
        chosen: the width that is taken.
    """
    fig, ax = style.canvas(height=0.42 * len(rows) + 1.3)
    most = max(row["minutes"][1] for row in rows)
    for i, row in enumerate(rows):
        fast, slow = row["minutes"]
        colour = style.BLUE if row["width"] == chosen else style.SKY if row["enough"] else style.ORANGE
        ax.barh(i, slow - fast, left=fast, height=0.6, color=colour, hatch="" if row["enough"] else "///",
                edgecolor=style.GROUND, linewidth=0.6)  # fmt: skip
        note = "chosen" if row["width"] == chosen else "" if row["enough"] else "too few: it may never get there"
        ax.text(slow + 0.01 * most, i, f"{fast:.0f} to {slow:.0f}  {note}", va="center", fontsize=9)
    names = [f"{row['width']} wide, {row['parameters'] / 1e6:.1f}M in the blocks" for row in rows]
    ax.set_yticks(range(len(rows)), names)
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1.35 * most), xlabel="minutes, by the MFU")
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    ax.tick_params(axis="y", length=0)
    ax.set_title(f"Twelve layers: minutes to {goal}")
    told = "; ".join(f"{row['width']} wide {row['minutes'][0]:.0f} to {row['minutes'][1]:.0f}" for row in rows)
    few = [str(row["width"]) for row in rows if not row["enough"]]
    enough = [row for row in rows if row["enough"]]
    first = bool(enough) and min(enough, key=lambda row: row["minutes"][1])["width"] == chosen
    longer = all(comparing.going([row["minutes"][i] for row in sorted(rows, key=lambda row: row["width"])]) == "rises"
                 for i in (0, 1))  # fmt: skip
    return fig, comparing.text(
        f"Minutes to {goal}, for twelve layers, a bar from fast to slow for each width"
        + (": the wider, the longer it takes" if longer and len(rows) > 1 else ""),
        f"chosen is {chosen} wide" + (", the quickest of those with enough weights" if first else ""),
        f"marked as too few to get there: {words.listing(few)} wide" if few else "",
        told,
    )


@style.figure
def disk_over_time(held: Mapping[str, Sequence[tuple[float, float]]], limits: Mapping[str, float]):
    """What lies on a disk during a run, for several ways of saving.

    Args:
        held: name: (minute, bytes) in order; a value holds until the next.
        limits: bytes that there are, by name: lines.
    """
    fig, ax = style.canvas(height=3.7)
    said = []
    for i, (name, points) in enumerate(held.items()):
        minutes, sizes = zip(*points, strict=True)
        ax.step(minutes, [size / 1e9 for size in sizes], where="post", color=style.COLOURS[i], label=name,
                linestyle=style.LINESTYLES[i])  # fmt: skip
        said.append(f"{name} {_disk(minutes, sizes, limits)}")
    for name, size in limits.items():
        ax.axhline(size / 1e9, color=style.INK, linewidth=1.1, linestyle=":")
        ax.text(0.01, size / 1e9, f"{name}: {size / 1e9:.0f} GB", transform=ax.get_yaxis_transform(), ha="left",
                va="bottom", fontsize=9)  # fmt: skip
    top = 1.1 * max(size for points in held.values() for _, size in points)
    ax.set(xlabel="minutes", ylabel="gigabytes", ylim=(0, min(top, 2.2 * max(limits.values(), default=top)) / 1e9))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=len(held), handlelength=2.6)
    ax.set_title("What lies on the disk while a run goes on")
    return fig, comparing.text(
        "Lines of the gigabytes on a disk over the minutes of a run, going up in steps"
        + "".join(f"; a line at {size / 1e9:.0f} GB marks {name}" for name, size in limits.items()),
        "; ".join(said),
    )


def _disk(minutes: Sequence[float], sizes: Sequence[float], limits: Mapping[str, float]) -> str:
    """How far it grows, whether it goes on growing, and when it is more than there is."""
    most = max(sizes)
    full = minutes[sizes.index(most)]
    still = f"reaches {most / 1e9:.1f} GB after {full:g} minutes" if full > minutes[0] else f"has {most / 1e9:.1f} GB"
    if full <= 0.75 * minutes[-1] and sizes[-1] == most:
        still += " and stays there" if min(sizes[sizes.index(most) :]) == most else ""
    elif sizes[-1] < most:
        still += f", {sizes[-1] / 1e9:.1f} at the end"
    for name, limit in limits.items():
        over = next((minute for minute, size in zip(minutes, sizes, strict=True) if size > limit), None)
        still += f", and goes beyond {name} after {over:g}" if over is not None else f", below {name} all the time"
    return still
