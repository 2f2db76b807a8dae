"""A storyteller that listens, in pictures: conversations, the demands that are kept, the errors of a judge.

How it goes on, with rewards, is drawn by `course.figures.alignment`; its figures can be had here as well.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from textwrap import fill

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from course.figures import comparing, style, words
from course.figures.alignment import along, calibration, clipped, goodhart
from course.figures.tokens import visible
from helpers.instructions import END_OF_ANSWER, SPEAKER

__all__ = ["along", "bars", "calibration", "clipped", "conversation", "goodhart", "items", "judge_errors"]

WIDE, HIGH = 90, 0.36  # a conversation's row: characters, inches
COLORS, HATCHES = (style.ORANGE, style.BLUE, style.SKY, style.TEAL), ("///", "", "||", "xx")
LOOKS = [dict(facecolor=color, hatch=hatch, edgecolor=style.INK, linewidth=0.7)
         for color, hatch in zip(COLORS, HATCHES, strict=True)]  # fmt: skip
MARK = dict(linestyle="", marker="o", markersize=4, color=style.GROUND, markeredgecolor=style.INK, markeredgewidth=0.9)
LINE = dict(linestyle="-", linewidth=1.4, color=style.INK)


def _percent(values: Sequence[float]) -> str:
    """The mean of shares, with its standard error if there is one."""
    if not len(values):
        return "not measured"
    mean, error = style.mean_and_error(values)
    return f"{100 * mean:.1f}" + (f" ± {100 * error:.1f}" if len(values) > 1 else "") + "%"


def _error_keys(counts: Sequence[int]) -> list[Line2D]:
    keys = [Line2D([], [], **MARK, label="a seed")] if counts else []
    return keys + [Line2D([], [], **LINE, label="standard error")] * (max(counts, default=0) > 1)


def _runs(counts: Sequence[int]) -> str:
    """How many seeds a mean is of, in words."""
    errors = ", means with standard errors" if max(counts, default=0) > 1 else ""
    return f"{style.seeds(counts)} a bar{errors}" if counts else "no runs"


@style.figure
def conversation(pieces: Sequence[tuple[str, bool]], title: str):
    """The tokens of a conversation as boxes, each message in rows of its own; those that are learned have a ground.

    Args:
        pieces: for each token its text and whether it is learned.
    """
    rows, x = [[]], 0.0
    for text, learned in pieces:
        special = re.fullmatch(r"<\|\w+\|>", text) is not None
        shown = text if special else visible(text.encode("utf-8"))
        wide = len(shown) + (2.4 if special else 0.8)
        begins = text in SPEAKER.values() and len(rows[-1]) > 1  # the first speaks in the row of the end before it
        if begins or (rows[-1] and x + wide > WIDE):
            rows.append([])
            x = 0.0 if begins else 3.0  # what goes on is set in
        rows[-1].append((x, wide, shown, learned, special))
        x += wide + 0.3
    fig, ax = style.canvas(height=0.85 + HIGH * len(rows))
    unit = style.WIDTH / WIDE / HIGH  # a character's width in rows
    for y, row in enumerate(rows):
        for x, wide, shown, learned, special in row:
            look = dict(facecolor=style.SKY if learned else style.GROUND, edgecolor=style.QUIET, linewidth=0.7)
            if special:
                box = f"round,pad=0,rounding_size={0.36 / unit:.2f}"
                look |= dict(edgecolor=style.INK, linewidth=1.4)
                ax.add_patch(FancyBboxPatch((x, y - 0.36), wide, 0.72, box, mutation_aspect=unit, **look))
            else:
                ax.add_patch(Rectangle((x, y - 0.36), wide, 0.72, **look))
            ax.text(x + wide / 2, y, shown, fontsize=9, family="monospace", ha="center", va="center",
                    fontweight="bold" if special else "normal")  # fmt: skip
    ax.set(xlim=(-0.5, WIDE + 0.5), ylim=(len(rows) - 0.45, -0.55))
    ax.axis("off")
    style.headline(fig, fill(title, 80))
    keys = [
        Patch(facecolor=style.SKY, edgecolor=style.QUIET, linewidth=0.7, label="learned"),
        Patch(facecolor=style.GROUND, edgecolor=style.QUIET, linewidth=0.7, label="read, not learned"),
        Line2D([], [], **MARK | dict(markersize=10), label="round and bold: a special token"),
    ]
    fig.legend(handles=keys, loc="outside lower left", ncols=3)
    said = [
        f"{'learned' if learned else 'only read'}: {''.join(text for text, _ in run)}"
        for learned, run in groupby(pieces, key=lambda piece: piece[1])
    ]
    return fig, comparing.text(
        f"{title}: {words.count(len(pieces), 'token')} in boxes, {sum(learned for _, learned in pieces)} of them "
        "learned",
        _learned(pieces),
        " / ".join(said),
    )


def _learned(pieces: Sequence[tuple[str, bool]]) -> str:
    """Whose words are learned, by the special token that stands before them, and whether the end is."""
    speaker, whose, ends = "", {True: [], False: []}, {True: 0, False: 0}
    for text, learned in pieces:
        if text in SPEAKER.values():
            speaker = text
        elif re.fullmatch(r"<\|\w+\|>", text) is None and speaker:
            whose[learned].append(speaker)
        elif text == END_OF_ANSWER:
            ends[learned] += 1
    learned, read = (list(dict.fromkeys(whose[kind])) for kind in (True, False))
    if not learned:
        return "nothing that is said is learned" if read else ""
    both = [one for one in learned if one in read]
    only = [one for one in learned if one not in read]
    said = [f"what follows {words.listing(only)} is learned"] if only else []
    said += [f"what follows {words.listing(both)} is learned in part"] if both else []
    rest = [one for one in read if one not in learned]
    said += [f"what follows {words.listing(rest)} is only read"] if rest else []
    said += [f"{END_OF_ANSWER} is learned too"] if ends[True] and not ends[False] else []
    return ", ".join(said)


@style.figure
def items(shares: Mapping[str, Mapping[str, Sequence[float]]], title: str):
    """How often each demand is kept: a group of bars for each fact, a bar for each name, with standard errors.

    Args:
        shares: for each name, for each fact, the shares that the seeds came to.
    """
    fig, ax = style.canvas(height=3.9)
    facts = list(dict.fromkeys(fact for by in shares.values() for fact in by))
    thick, said, counts = 0.84 / max(1, len(shares)), [], []
    means: dict[str, dict[str, float]] = {}
    for i, (name, by) in enumerate(shares.items()):
        for group, fact in enumerate(facts):
            if not len(values := by.get(fact, ())):
                continue
            mean, error = style.mean_and_error(values)
            x, look = group + (i - (len(shares) - 1) / 2) * thick, LOOKS[i % 4]
            ax.bar(x, mean, 0.94 * thick, **look)
            aside = np.linspace(-0.3, 0.3, len(values)) * thick if len(values) > 1 else [0.0]
            ax.plot(np.add(x, aside), values, zorder=3, **MARK)
            if len(values) > 1:
                ax.errorbar(x, mean, yerr=error, capsize=3, zorder=4, **LINE)
            if len(shares) < 3:
                ax.annotate(f"{100 * mean:.0f}", (x, max(*values, mean + error)), (0, 4), textcoords="offset points",
                            ha="center", fontsize=9)  # fmt: skip
            counts.append(len(values))
            means.setdefault(fact, {})[name] = mean
        said.append(f"{name}: {', '.join(f'{fact} {_percent(by.get(fact, ()))}' for fact in facts)}")
    ax.set_xticks(range(len(facts)), facts)
    ax.tick_params(axis="x", length=0)
    ax.set(ylim=(0, 1.12), ylabel="share kept", yticks=np.linspace(0, 1, 6))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    style.headline(fig, fill(title, 80))
    keys = [Patch(**LOOKS[i % 4], label=name) for i, name in enumerate(shares)]
    keys += _error_keys(counts)
    if keys:
        fig.legend(handles=keys, loc="outside lower left", ncols=len(keys) if len(keys) < 6 else 3)
    return fig, comparing.text(
        f"{title}: bars for each demand, {_runs(counts)}", *_kept(means), "; ".join(said) or "No bars"
    )


def _kept(means: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Which name is ahead at which demand, and which demands are kept least."""
    names = list(dict.fromkeys(name for by in means.values() for name in by))
    if not means:
        return []
    said = []
    if len(names) > 1:
        ahead = {fact: max(by, key=by.get) for fact, by in means.items() if len(by) == len(names)}
        leads = {}
        for fact, name in ahead.items():
            leads.setdefault(name, []).append(fact)
        every = [name for name, facts in leads.items() if len(facts) == len(means) > 1]
        said.append("; ".join(f"{name} is ahead at {'every demand' if name in every else words.listing(facts)}"
                              for name, facts in leads.items()))  # fmt: skip
    low = []
    for name in names:
        found = {fact: by[name] for fact, by in means.items() if name in by}
        least = f"{100 * min(found.values()):.0f}"
        worst = [fact for fact, share in found.items() if f"{100 * share:.0f}" == least]
        low += [f"{name} keeps {words.listing(worst)} least, {least}%"] if len(worst) < len(found) else []
    return [*said, ", ".join(low)]


@style.figure
def bars(shares: Mapping[str, Sequence[float]], title: str, xlabel: str):
    """A bar for the mean of each name, with a mark for each seed and the standard error.

    Args:
        shares: for each name the shares that its seeds came to.
    """
    fig, ax = style.canvas(height=1.55 + 0.4 * len(shares))
    for y, values in enumerate(shares.values()):
        mean, error = style.mean_and_error(values) if len(values) else (0.0, 0.0)
        ax.barh(y, mean, 0.68, color=style.SKY, edgecolor=style.INK, linewidth=0.7)
        if len(values):
            ax.plot(values, [y - 0.16] * len(values), zorder=3, clip_on=False, **MARK)
        if len(values) > 1:
            ax.errorbar(mean, y + 0.14, xerr=error, capsize=3, **LINE)
        ax.annotate(_percent(values), (1, y), (8, 0), xycoords=ax.get_yaxis_transform(), textcoords="offset points",
                    va="center", fontsize=9.5)  # fmt: skip
    ax.set_yticks(range(len(shares)), list(shares))
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.set(xlim=(0, 1), ylim=(len(shares) - 0.4, -0.6), xlabel=xlabel)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    style.headline(fig, fill(title, 80))
    counts = [len(values) for values in shares.values() if len(values)]
    if counts:
        fig.legend(handles=_error_keys(counts), loc="outside lower left", ncols=2)
    said = [f"{name} {_percent(values)}" for name, values in shares.items()]
    means = {name: style.mean_and_error(values)[0] for name, values in shares.items() if len(values)}
    ends = ""
    if len(means) > 1 and max(means.values()) > min(means.values()):
        most, least = max(means, key=means.get), min(means, key=means.get)
        ends = f"the longest is {most}, the shortest {least}"
    return fig, comparing.text(f"{title}: bars of the {xlabel}, {_runs(counts)}", ends, "; ".join(said) or "No bars")


@style.figure
def judge_errors(wrong: Mapping[str, tuple[float, float]], title: str):
    """Where a judge is wrong: to the left what it misses, to the right what it wrongly believes.

    Args:
        wrong: for each fact the shares of its demands that were missed, and that were believed.
    """
    fig, ax = style.canvas(height=1.35 + 0.32 * len(wrong))
    left, right = np.max([*wrong.values(), (0.005, 0.005)], axis=0)
    left, right = 1.2 * max(left, 0.6 * right), 1.2 * max(right, 0.6 * left)  # room for what stands above
    for y, both in enumerate(wrong.values()):
        for side, share, look in zip((-1, 1), both, (LOOKS[2], LOOKS[0]), strict=True):
            ax.barh(y, side * share, 0.7, **look)
            ax.annotate(f"{share:.1%}", (side * share, y), (5 * side, 0), textcoords="offset points", va="center",
                        ha="left" if side > 0 else "right", fontsize=9)  # fmt: skip
    for side, name in ((-1, "missed: kept, and not seen"), (1, "believed: not kept, and taken to be")):
        ax.annotate(name, (0, 1), (10 * side, 5), xycoords=("data", "axes fraction"), textcoords="offset points",
                    ha="left" if side > 0 else "right", fontsize=10)  # fmt: skip
    ax.axvline(0, **LINE)
    ax.set_yticks(range(len(wrong)), list(wrong))
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.set(xlim=(-left, right), ylim=(len(wrong) - 0.4, -0.6), xlabel="share of the demands")
    ax.xaxis.set_major_locator(MaxNLocator(7, steps=(1, 2, 5, 10)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(100 * value):g}%"))
    style.headline(fig, fill(title, 80))
    said = [f"{fact} {missed:.1%} and {believed:.1%}" for fact, (missed, believed) in wrong.items()]
    facts = {fact: both for fact, both in wrong.items() if fact != "all"}
    worst = []
    for side, what in enumerate(("most often missed", "most often wrongly believed")):
        most = max((both[side] for both in facts.values()), default=0)
        which = [fact for fact, both in facts.items() if f"{both[side]:.1%}" == f"{most:.1%}"]
        if most > 0:
            worst.append(f"{what}: {words.listing(which) if len(which) <= 3 else 'no one alone'}, {most:.1%}")
    return fig, comparing.text(
        f"{title}: bars to the left for demands that were kept and not seen, to the right for those that were not kept "
        "and taken to be, as shares of the demands",
        "; ".join(worst) if worst else "" if not facts else "it is never wrong",
        f"missed and wrongly believed: {'; '.join(said)}" if said else "No bars",
    )
