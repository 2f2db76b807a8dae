"""The inside of a model in lines and bars: lenses, shares, tests of a head, probes, features, how skills arrive.

Its text and heat maps are in `inside_maps`.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from course.figures import comparing, grids, inside_words, style, words


def _below(ax, names: Sequence[str], size: float = 9) -> None:
    """Names of places below an axis, turned where they are long or many."""
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if sum(map(len, names)) > 60 else {}
    ax.set_xticks(range(len(names)), names, fontsize=size, **turned)


def _one_grid(ax, axis: str) -> None:
    """Pale lines across one axis only."""
    ax.grid(visible=False)
    ax.grid(visible=True, axis=axis)


@style.figure
def lens_by_layer(
    places: Sequence[str],
    curves: Mapping[str, Sequence[float]],
    tuned: Mapping[str, Sequence[float]] | None = None,
):
    """What the logit lens reads: the probability of the true word after each place of the model.

    Args:
        places: from the first to the last. curves: for each role the mean probability at each of them.
        tuned: the same, read by a tuned lens; dashed.
    """
    fig, ax = style.canvas(height=3.8)
    for i, (role, values) in enumerate(curves.items()):
        ax.plot(range(len(places)), values, linestyle="-", label=role, **style.look(i))
    for role, values in (tuned or {}).items():
        i = list(curves).index(role) if role in curves else len(curves)
        ax.plot(
            range(len(places)), values, linestyle="--", markerfacecolor=style.GROUND, linewidth=1.5, **style.look(i)
        )
    if tuned:
        ax.plot([], [], color=style.INK, linestyle="--", marker="o", markerfacecolor=style.GROUND, linewidth=1.5,
                label="tuned lens")  # fmt: skip
    _below(ax, places)
    ax.set(ylim=(0, 1.02), ylabel="probability of the true word")
    ax.set_title("When does the model know the word?")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return fig, comparing.text(
        f"The probability of the true word, read by the logit lens after each place from {places[0]} to {places[-1]}",
        comparing.grouped({role: inside_words.leap(values, places) for role, values in curves.items()}, "; ", ": "),
        inside_words.beside_tuned(curves, tuned) if tuned else "",
        f"in numbers: {'; '.join(f'{role} ' + ', '.join(f'{v:.2f}' for v in each) for role, each in curves.items())}",
    )


@style.figure
def logit_shares(shares: Mapping[str, tuple[float, float]], title: str):
    """What each part of the model adds to a logit, and the sum.

    Args:
        shares: for each part the mean and its standard error. The bar of the sum is drawn without an error.
    """
    total = sum(mean for mean, _ in shares.values())
    names = [*shares, "sum"]
    means = [*(mean for mean, _ in shares.values()), total]
    errors = [*(error for _, error in shares.values()), 0.0]
    fig, ax = style.canvas(height=0.95 + 0.25 * len(names))
    rows = range(len(names))
    span = max(means + [0]) - min(means + [0]) or 1.0
    for row, (mean, error) in enumerate(zip(means, errors, strict=True)):
        look = {"color": style.BLUE, "edgecolor": style.GROUND}
        if row == len(shares):
            look |= {"color": style.ORANGE, "hatch": "///"}
        elif mean < 0:
            look = {"color": style.SKY, "edgecolor": style.BLUE, "hatch": "||"}
        ax.barh(row, mean, height=0.66, linewidth=0.5, **look)
        if error:
            ax.errorbar(mean, row, xerr=error, color=style.INK, capsize=3, linewidth=1.2)
        beyond = mean + math.copysign(error + 0.012 * span, mean)
        ax.text(beyond, row, _signed(mean), va="center", ha="left" if mean >= 0 else "right", fontsize=9)
    ax.axvline(0, color=style.INK, linewidth=1.0, linestyle="-")
    ax.axhline(len(shares) - 0.5, color=style.QUIET, linewidth=0.8, linestyle=":")
    ax.set_yticks(rows, names, fontsize=9.5)
    ax.invert_yaxis()
    reach = [mean + sign * (error + 0.12 * span) for mean, error in zip(means, errors, strict=True) for sign in (-1, 1)]
    ax.set_xlim(min([0, *reach]) if min(means) < 0 else 0, max([0, *reach]))
    ax.set(xlabel="share of the logit, mean and standard error", title=title)
    _one_grid(ax, "x")
    by = sorted(shares, key=lambda name: -shares[name][0])
    large = [name for name in by if abs(shares[name][0]) >= 0.05 * max(abs(mean) for mean, _ in shares.values()) > 0]
    told = ", ".join(f"{name} {_signed(shares[name][0])}" + f" ± {shares[name][1]:.2f}" * bool(shares[name][1])
                     for name in large)  # fmt: skip
    rest = [shares[name][0] for name in by if name not in large]
    most = shares[by[0]][0]
    lesson = f"no part adds to the logit, {_signed(total)} in all"
    if most > 0:
        part = f", {most / total:.0%} of it" if 0 < most <= total else ""
        lesson = f"{by[0]} adds most to the logit, {_signed(most)}{part}; the sum of all parts is {_signed(total)}"
    return fig, comparing.text(
        f"{title}: {lesson}",
        f"bars for {words.count(len(shares), 'part')} and their sum; those that can be seen: {told}" if large else "",
        f"the {len(rest)} others lie between {_signed(min(rest))} and {_signed(max(rest))}" if len(rest) > 1 else "",
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


@style.figure
def three_tests(results: Mapping[str, Mapping[str, tuple[float, float]]], chance: float, n: int):
    """Is a head needed, and is it enough? For each model how often the word is right, with the head and without it.

    Args:
        results: for each model, for each test such as "untouched" or "without the head", the fraction right and its
            standard error.
        chance: the fraction right of guessing. n: the stories that each point is a mean over.
    """
    tests = list(dict.fromkeys(test for found in results.values() for test in found))
    fig, ax = style.canvas(height=3.9)
    for i, test in enumerate(tests):
        there = [(at, *found[test]) for at, found in enumerate(results.values()) if test in found]
        places = [at + (i - (len(tests) - 1) / 2) * 0.19 for at, _, _ in there]
        values, errors = [100 * value for _, value, _ in there], [100 * error for _, _, error in there]
        ax.errorbar(places, values, yerr=errors, linestyle="none", markersize=7, capsize=3.5, linewidth=1.4,
                    label=test, **style.look(i))  # fmt: skip
        for place, value, error in zip(places, values, errors, strict=True):
            above = value < 90
            edge = value + error if above else value - error
            ax.annotate(f"{value:.0f}", (place, edge), (0, 5 if above else -5), textcoords="offset points",
                        ha="center", va="bottom" if above else "top", fontsize=9)  # fmt: skip
    ax.axhline(100 * chance, color=style.INK, linewidth=1.1, linestyle=":")
    low = chance < 0.08
    ax.text(1.005, 0 if low else 100 * chance, "guessing", transform=ax.get_yaxis_transform(), fontsize=9,
            va="bottom" if low else "center", rotation=90)  # fmt: skip
    for edge in range(1, len(results)):
        ax.axvline(edge - 0.5, color=style.QUIET, linewidth=0.7, linestyle="-", alpha=0.5)
    ax.set_xticks(range(len(results)), list(results))
    ax.tick_params(axis="x", length=0)
    ax.set(xlim=(-0.5, len(results) - 0.5), ylim=(0, 104), ylabel="right, per cent")
    ax.set_title(f"Is the head needed, is it enough? {n:,} stories")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2 if len(tests) <= 4 else 3)
    by_test = {}
    for test in tests:
        values = {model: found[test][0] for model, found in results.items() if test in found}
        level = comparing.reach(values.values(), "{:.0%}".format)
        near = all(abs(value - chance) <= max(0.05, 2 * results[model][test][1]) for model, value in values.items())
        by_test[test] = f"{level}{', about as by guessing' if near else ''}"
    wide = max((error for found in results.values() for _, error in found.values()), default=0.0)
    return fig, comparing.text(
        f"How often the word is right in {n:,} {'stories' if n > 1 else 'story'}, "
        f"{words.count(len(results), 'model')}: {'; '.join(f'{test} {level}' for test, level in by_test.items())}",
        f"guessing is right in {chance:.0%}, a dotted line",
        f"a point for each test and model, with standard errors of at most {wide:.1%}",
    )


@style.figure
def ablations(table: Mapping[str, Mapping[str, float]], whole: float | None = None, measure: str = "fraction right"):
    """What is left when a part is replaced: by nothing, by its mean, by its values from another story.

    Args:
        table: for each part, for each way to replace it, what is left.
        whole: the same of the untouched model; a dotted line.
        measure: what the numbers are.
    """
    ways = list(dict.fromkeys(way for found in table.values() for way in found))
    fig, ax = style.canvas(height=0.95 + len(table) * (0.04 + 0.12 * len(ways)))
    thick = 0.84 / len(ways)
    most = max([0.0, whole or 0.0, *(value for found in table.values() for value in found.values())]) or 1.0
    for i, way in enumerate(ways):
        colour = (style.BLUE, style.ORANGE, style.TEAL, style.BERRY)[i % 4]
        there = [(at, found[way]) for at, found in enumerate(table.values()) if way in found]
        rows = [at + (i - (len(ways) - 1) / 2) * thick for at, _ in there]
        ax.barh(rows, [value for _, value in there], height=0.92 * thick, color=colour, hatch=style.HATCHES[i],
                edgecolor=style.GROUND, linewidth=0.5, label=way)  # fmt: skip
        for row, (_, value) in zip(rows, there, strict=True):
            ax.text(value + 0.01 * most, row, f"{value:.2f}", va="center", fontsize=9, zorder=4,
                    bbox={"facecolor": style.GROUND, "edgecolor": "none", "pad": 0.4})  # fmt: skip
    ax.set_yticks(range(len(table)), list(table))
    ax.invert_yaxis()
    ax.set(xlim=(0, 1.09 * most), title=f"What is left without a part: {measure}")
    _one_grid(ax, "x")
    if whole is not None:
        ax.axvline(whole, color=style.INK, linewidth=1.6, linestyle=":", label=f"untouched: {whole:.2f}")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=len(ways) + 1)
    worst, said = {}, []
    for way in ways:
        found = {part: values[way] for part, values in table.items() if way in values}
        order = sorted(found, key=found.get)
        worst[way] = order[0]
        low = [f"{part} {found[part]:.2f}" for part in order if found[part] < 0.9 * (whole or max(found.values()) or 1)]
        rest = [found[part] for part in order[len(low) :]]
        others = f"; all others {comparing.reach(rest, '{:.2f}'.format)}" if rest else ""
        said.append(f"{way}: {comparing.some(low, 5) or 'no part matters much'}{others}")
    same = len(set(worst.values())) == 1
    lesson = f"least is left without {worst[ways[0]]}, however it is replaced" if same else "least is left without " + \
        ", ".join(f"{part} ({way})" for way, part in worst.items())  # fmt: skip
    return fig, comparing.text(
        f"{measure} when one of {words.count(len(table), 'part')} is replaced, in {words.count(len(ways), 'way')}"
        + (f", a bar each; untouched it is {whole:.2f}, a dotted line" if whole is not None else ", a bar each"),
        lesson if len(table) > 1 else "",
        *said,
    )


@style.figure
def recall_by_distance(curves: Mapping[str, Mapping[str, Sequence]], chance: Mapping[str, float], least: int = 20):
    """How often a word is right that was named so many tokens ago, a panel for each role.

    Args:
        curves: for each role, for each model rows as of `course.inside.by_distance`.
        chance: for each role the fraction right of guessing.
        least: ranges with fewer mentions are left out; how many there are stands below all the same.
    """
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    fig, axes = style.canvas(rows, columns, height=0.95 + 2.05 * rows, squeeze=False, sharey=True)
    fig.get_layout_engine().set(hspace=0.06)
    starts = sorted({row.distance for of_models in curves.values() for found in of_models.values() for row in found})
    ranges = [f"{start}\N{EN DASH}{end - 1}" for start, end in zip(starts, starts[1:], strict=False)]
    ranges += [f"{start} or more" for start in starts[-1:]]
    said = {}
    for ax in axes.flat[len(curves) :]:
        ax.axis("off")
    for ax, (role, of_models) in zip(axes.flat, curves.items(), strict=False):
        counts = dict.fromkeys(starts, 0)
        told = {}
        for i, (name, found) in enumerate(of_models.items()):
            counts |= {row.distance: row.mentions for row in found}
            there = [row for row in found if row.mentions >= least]
            x = [starts.index(row.distance) + 0.12 * (i - (len(of_models) - 1) / 2) for row in there]
            right = [100 * row.right for row in there]
            ends = [[100 * (row.right - row.low) for row in there], [100 * (row.high - row.right) for row in there]]
            ax.errorbar(x, right, yerr=ends, capsize=3, linewidth=1.5, label=name, clip_on=False,
                        linestyle=style.LINESTYLES[i % 6], **style.look(i))  # fmt: skip
            told[name] = inside_words.recalled(there, ranges, starts, chance[role])
        ax.axhline(100 * chance[role], color=style.INK, linewidth=1.1, linestyle=":", label="guessing")
        below = [f"{name}\nn = {counts[start]:,}" + ("\nleft out" if 0 < counts[start] < least else "")
                 for start, name in zip(starts, ranges, strict=True)]  # fmt: skip
        ax.set_xticks(range(len(starts)), below, fontsize=9)
        ax.set(xlim=(-0.5, max(len(starts), 1) - 0.5), ylim=(0, 103))
        style.panel_title(ax, f"{role}, by tokens since it was last named")
        for name, what in told.items():
            said.setdefault(name, {})[role] = what
    for ax in axes[:, 0]:
        ax.set_ylabel("right, per cent")
    style.headline(fig, "How far back does it remember?")
    fig.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig, comparing.text(
        f"How often a word is right by the tokens since it was last named, {', '.join(ranges) or 'nothing measured'}, "
        f"a panel for each of {words.listing(curves)}, beside guessing, "
        f"{comparing.reach(chance.values(), '{:.0%}'.format)}",
        *(f"{name}: {inside_words.in_all_panels(what)}" for name, what in said.items()),
        f"with intervals of 95%; ranges with fewer than {least} mentions are left out",
    )


@style.figure
def probe_accuracy(places: Sequence[str], curves: Mapping[str, Mapping]):
    """How well a linear probe reads a fact from the stream, beside a probe that learned shuffled answers.

    Args:
        curves: for each fact "probe" and "control", the fraction right at each place, and "chance".
    """
    columns = 2 if len(curves) == 4 else min(len(curves), 3)
    rows = -(-len(curves) // columns)
    fig, axes = style.canvas(rows, columns, height=1.83 * rows + 1.25, squeeze=False, sharey=True)
    said, kinds = [], {}
    for ax in axes.flat[len(curves) :]:
        ax.axis("off")
    x = range(len(places))
    for number, (ax, (fact, found)) in enumerate(zip(axes.flat, curves.items(), strict=False)):
        ax.plot(x, [100 * v for v in found["probe"]], color=style.BLUE, linestyle="-", marker="o", label="probe")
        ax.plot(x, [100 * v for v in found["control"]], color=style.BERRY, linestyle="--", marker="s", label="control")
        ax.axhline(100 * found["chance"], color=style.INK, linestyle=":", linewidth=1.3, label="chance")
        style.panel_title(ax, fact)
        ax.set_ylim(0, 103)
        ax.set_xticks(x, places if number + columns >= len(curves) else [], fontsize=9, rotation=90)
        best = int(np.argmax(found["probe"]))
        probe, control = found["probe"][best], found["control"][best]
        known = probe > found["chance"] + 0.05
        kinds.setdefault("read" if probe > control + 0.05 and known else "control" if known else "not", []).append(fact)
        said.append(f"{fact} {probe:.0%}, {control:.0%}, {found['chance']:.0%} ({places[best]})")
    for ax in axes[:, 0]:
        ax.set_ylabel("right, per cent")
    fig.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    style.headline(fig, "What a probe can read")
    meant = {"read": "at its best place a probe does better than chance and than the control",
             "control": "a probe does better than chance, but the control is about as good",
             "not": "a probe does no better than chance"}  # fmt: skip
    return fig, comparing.text(
        f"How often linear probes are right, a panel for each fact, over {words.count(len(places), 'place')}",
        *(
            f"{what}: {words.listing(f'“{fact}”' for fact in kinds[kind])}"
            for kind, what in meant.items()
            if kind in kinds
        ),
        "Probe, control and chance, where the probe is best: " + "; ".join(said),
    )


@style.figure
def features_and_roles(best: Sequence[Mapping]):
    """The sparse feature that fits each role best: how often it is right when it is on, and how much it finds.

    Args:
        best: rows with "role", "feature", "precision" and "recall".
    """
    fig, ax = style.canvas(height=1.25 + 0.305 * len(best))
    parts = (("precision", style.BLUE, "", -0.19), ("recall", style.ORANGE, "///", 0.19))
    for name, colour, hatch, shift in parts:
        rows = [i + shift for i in range(len(best))]
        ax.barh(rows, [row[name] for row in best], height=0.36, color=colour, hatch=hatch, edgecolor=style.GROUND,
                linewidth=0.5, label=name)  # fmt: skip
        for place, row in zip(rows, best, strict=True):
            ax.text(row[name] + 0.01, place, f"{row[name]:.2f}", va="center", fontsize=9)
    ax.set_yticks(range(len(best)), [f"{row['role']}\nfeature {row['feature']}" for row in best], fontsize=9)
    ax.invert_yaxis()
    ax.set(xlim=(0, 1.08), title="Does one feature stand for one role?")
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    _one_grid(ax, "x")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    both = [row["role"] for row in best if min(row["precision"], row["recall"]) >= 0.8]
    loose = [row["role"] for row in best if row["recall"] >= 0.8 > row["precision"]]
    neither = [row["role"] for row in best if row["recall"] < 0.8]
    shared = [name for name, times in Counter(row["feature"] for row in best).items() if times > 1]
    said = "; ".join(f"{row['role']} {row['precision']:.2f} and {row['recall']:.2f}" for row in best)
    return fig, comparing.text(
        f"The best feature for each of {words.count(len(best), 'role')}, bars of its precision, how often it is right "
        f"when it is on, and its recall, how much it finds",
        f"both are 0.8 or more for {comparing.some(both)}" if both else "none has 0.8 or more of both",
        f"it finds nearly all, and is often on elsewhere, for {comparing.some(loose)}" if loose else "",
        f"it finds less than 0.8 for {comparing.some(neither)}" if neither else "",
        f"some roles share one feature: {words.listing(map(str, shared))}" if shared else "",
        f"precision and recall: {said}",
    )


ARRIVING = (  # name, color, line, of a row the value
    ("hero's name recalled", style.BLUE, "-", lambda row: row["skills"].get("hero", {}).get("right")),
    ("a head looks at the hero", style.BERRY, "--", lambda row: _largest(row, "looks at hero")),
    ("a head does induction", style.TEAL, ":", lambda row: _largest(row, "induction")),
)


def _largest(row: Mapping, score: str) -> float | None:
    found = row.get("heads", {}).get(score)
    return None if found is None else float(np.max(found))


@style.figure
def arrival(runs: Sequence[Mapping]):
    """How a skill and the heads behind it arrive in training: the grammar's loss above, recall and heads below.

    Args:
        runs: recorded by docs/tools/record_inside.py, each with "seed" and "rows". Each seed is a thin line.
    """
    fig, (top, low) = style.canvas(2, 1, height=5.2, sharex=True, height_ratios=(1, 1.6))
    for number, run in enumerate(runs):
        rows = run["rows"]
        steps = [row["step"] for row in rows]
        top.plot(steps, [row["skills"]["grammar"]["nats"] for row in rows], color=style.NAVY, linestyle="-",
                 linewidth=1.1)  # fmt: skip
        for name, colour, line, value in ARRIVING:
            there = [(step, found) for step, row in zip(steps, rows, strict=True) if (found := value(row)) is not None]
            low.plot(*(zip(*there, strict=True) if there else ([], [])), color=colour, linestyle=line,
                     linewidth=1.1 if len(runs) > 1 else 1.8, label=None if number else name)  # fmt: skip
    top.set(ylim=(0, None), ylabel="nats per token")
    style.panel_title(top, "loss of the tokens that no variable decides")
    low.set(xscale="log", ylim=(0, 1.03), xlabel="steps", ylabel="fraction right, or attention")
    style.panel_title(low, "recall of the hero's name, and the head that scores most")
    last = max((run["rows"][-1]["step"] for run in runs), default=1)
    grids.ticks(low, [step for step in (1, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if step <= last])
    if runs:
        legend = low.legend(loc="upper left", handlelength=3.2)
        for handle in legend.get_lines():
            handle.set_linewidth(2.2)
    style.headline(fig, "A skill arrives, and a head with it")
    return fig, comparing.text(
        f"Curves of {words.count(len(runs), 'run')} over {words.count(last, 'step')}, on a logarithmic axis: above the "
        "loss of the tokens that no variable decides, below how the recall and the heads arrive",
        *inside_words.arrived(runs, ARRIVING),
    )
