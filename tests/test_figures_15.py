"""The figures of notebook 15: they say in words what they show, draw every seed, and cut nothing off."""

import math
import statistics

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import FancyBboxPatch, Rectangle

from course.figures import instructions as figures
from course.figures import style
from helpers.alignment import clipped_objective
from tests.pictures import check_pictures

SEEDS = [0.5, 0.6, 0.8]
ERROR = statistics.stdev(SEEDS) / math.sqrt(3)  # 0.088
FACTS = ("hero", "kind", "trait", "friend", "toy", "color", "place", "plot", "ending")
PIECES = [
    *(("<|endoftext|>", False), ("<|user|>", False), ("Who", False), (" is", False), (" it", False), ("?", False)),
    *(("<|assistant|>", False), ("Ben", True), (".", True), ("<|end|>", True)),
]
PANELS = {
    "reward": "share of demands kept",
    "kl_answer": "nats per answer from the reference",
    "length": "tokens of an answer",
    "entropy": "entropy, nats per token",
}
RATIOS = [0.5 + 0.01 * number for number in range(101)]


def run_of(seed: int, steps: int = 40) -> list[dict]:
    """Records as those of a reward that is hacked: noisy; the distance grows, the truth rises and falls."""
    noise = np.random.default_rng(seed)
    records = []
    for step in range(steps):
        far = 5 * (1 - math.exp(-step / 15)) * noise.uniform(0.95, 1.05)
        truth = 0.66 + 0.08 * far - 0.03 * far**2 + noise.normal(0, 0.03)
        reward = 0.7 + 0.05 * far + noise.normal(0, 0.02)
        records.append(dict(step=step, reward=reward, exact=truth, kl_answer=far**2, length=100.0 - step,
                            entropy=1 / (step + 1)))  # fmt: skip
    return records


def worth() -> dict[str, list[float]]:
    """The course's own clipped objective over the ratios, for either sign."""
    import torch

    one, then = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1)
    return {
        name: [clipped_objective(torch.tensor([[math.log(r)]]), then, torch.tensor([sign]), one).item() for r in RATIOS]
        for name, sign in {"a good answer": 1.0, "a bad answer": -1.0}.items()
    }


RUNS = [run_of(seed) for seed in range(3)]
STRAIGHT = [  # three runs whose distance is the step, and whose truth differs by a constant
    [dict(step=step, kl_answer=float(step**2), reward=0.1 * step, exact=0.5 - 0.01 * step + up) for step in range(9)]
    for up in (0.0, 0.1, 0.3)
]
ITEMS = {"before": dict.fromkeys(FACTS, [0.1, 0.2, 0.15]), "after": dict.fromkeys(FACTS, [1.0, 1.0, 1.0])}
SURE = {"250 pairs": [(0.6, 0.5, 40), (0.95, 0.75, 400)], "1000 pairs": [(0.9, 1.0, 12)]}
LONG = [(piece, True) for piece in (" story", " about", " a", " kite", ",", "\n\n", " a", " storm") * 8]

# A case for each figure as notebook 15 draws it: the figure, and what it is given.
USUAL = {
    "conversation": (figures.conversation, [*PIECES[:9], *LONG[:50], *PIECES[9:]], "A conversation"),
    "items": (figures.items, ITEMS, "Demands kept"),
    "items of three": (figures.items, ITEMS | {"LoRA rank 4": ITEMS["before"]}, "Demands kept"),
    "bars": (figures.bars, {"as in training": SEEDS, "wordings never seen": [1.0, 1.0]}, "Kept", "share of orders"),
    "judge_errors": (figures.judge_errors, {fact: (0.1, 0.123) for fact in ("all", *FACTS)}, "Where it is wrong"),
    "calibration": (figures.calibration, SURE, "How sure"),
    "clipped": (figures.clipped, worth(), RATIOS, 0.2),
    "along": (figures.along, RUNS, PANELS, "GRPO"),
    "goodhart": (figures.goodhart, RUNS, "reward", "exact", "Goodhart", [5, 6, 7]),
}


def drawn(figure, *args):
    """A figure as it is drawn, before it is a picture."""
    with style.applied():
        fig, alt = figure.__wrapped__(*args)
        FigureCanvasAgg(fig).draw()
    return fig, alt


def errorbars(ax) -> list[np.ndarray]:
    """For each drawn error its ends, as (x, y) rows."""
    found = [each for each in ax.containers if isinstance(each, ErrorbarContainer)]
    return [segment for each in found for lines in each.lines[2] for segment in lines.get_segments()]


def lines_of(ax, points: int, linewidth: float) -> list:
    return [line for line in ax.lines if len(line.get_xdata()) == points and line.get_linewidth() == linewidth]


def orders():
    yield (
        figures.conversation(PIECES, "Who?"),
        [
            "Who?: 10 tokens in boxes, 3 of them learned.",
            "What follows <|assistant|> is learned, what follows <|user|> is only read, <|end|> is learned too.",
            "Only read: <|endoftext|><|user|>Who is it?<|assistant|> / learned: Ben.<|end|>",
        ],
    )
    all_read = figures.conversation([(text, False) for text, _ in PIECES], "Who?")
    yield all_read, ["Nothing that is said is learned."]
    all_learned = figures.conversation([(text, True) for text, _ in PIECES], "Who?")
    yield all_learned, ["What follows <|user|> and <|assistant|> is learned, <|end|> is learned too."]
    half = figures.conversation([*PIECES[:7], ("Ben", False), *PIECES[8:9], ("<|end|>", False)], "Who?")
    yield half, ["What follows <|assistant|> is learned in part, what follows <|user|> is only read."]
    yield figures.conversation([], "Nothing said yet"), ["0 tokens in boxes, 0 of them learned."]
    yield (
        figures.items({"before": {"hero": SEEDS, "plot": [0.25]}, "after": {"hero": [1.0]}}, "Demands"),
        [
            "Demands: bars for each demand, 1 to 3 seeds a bar, means with standard errors.",
            "After is ahead at hero. Before keeps plot least, 25%.",
            "Before: hero 63.3 ± 8.8%, plot 25.0%; after: hero 100.0%, plot not measured.",
        ],
    )
    yield figures.items(ITEMS, "Demands"), ["After is ahead at every demand. Before: hero 15.0"]
    crossed = {"before": {"hero": [0.9], "plot": [0.1]}, "after": {"hero": [0.5], "plot": [0.2]}}
    yield figures.items(crossed, "Demands"), ["Before is ahead at hero; after is ahead at plot."]
    lone = figures.items({"after": {"hero": [0.5]}}, "One")
    yield lone, ["1 seed a bar. After: hero 50.0%."]
    assert "error" not in lone.alt
    yield figures.items({}, "No models at all"), ["No models at all: bars for each demand, no runs. No bars."]
    yield (
        figures.bars({"all": SEEDS, "one": [0.5], "none": []}, "Kept", "share of orders"),
        [
            "Kept: bars of the share of orders, 1 to 3 seeds a bar, means with standard errors. "
            "The longest is all, the shortest one. All 63.3 ± 8.8%; one 50.0%; none not measured.",
        ],
    )
    yield figures.bars({}, "Nothing to compare", "share"), ["no runs. No bars."]
    yield (
        figures.judge_errors({"all": (0.01, 0.2), "plot": (0.0, 0.004)}, "Wrong"),
        [
            "to the left for demands that were kept and not seen, to the right for those that were not kept",
            "Most often wrongly believed: plot, 0.4%.",
            "Missed and wrongly believed: all 1.0% and 20.0%; plot 0.0% and 0.4%.",
        ],
    )
    even = {name: (0.1, 0.0) for name in ("all", "a", "b", "c", "d")}
    yield figures.judge_errors(even, "Even"), ["Most often missed: no one alone, 10.0%."]
    yield figures.judge_errors({"hero": (0.0, 0.0)}, "Never wrong"), ["It is never wrong.", "hero 0.0% and 0.0%."]
    yield figures.judge_errors({}, "Nothing judged"), ["No bars."]


def rewards():
    yield (
        figures.calibration(SURE, "How sure"),
        [
            "below the diagonal it is too sure of itself",
            "250 pairs: too sure where it is 60% and 95% sure; 50% right where 60% sure (40 pairs), 75% right",
            "1000 pairs: right more often than it thinks where it is 90% sure; 100% right where 90% sure (12 pairs).",
        ],
    )
    fair = {"fair": [(0.6, 0.61, 100), (0.9, 0.89, 100)]}
    yield figures.calibration(fair, "How sure"), ["Fair: as sure as right within the errors;"]
    yield figures.calibration({"no bins": []}, "How sure"), ["No bins: no pairs."]
    yield figures.calibration({}, "How sure"), ["No points."]
    yield (
        figures.clipped(worth(), RATIOS, 0.2),
        [
            "with a clip outside 0.8 to 1.2",
            "A good answer: rises from 0.50 to 1.20 between 0.50 and 1.20, then is flat at 1.20 from 1.20 to 1.50.",
            "A bad answer: is flat at -0.80 from 0.50 to 0.80, then falls from -0.80 to -1.50 between 0.80 and 1.50.",
            "Dotted: each line without a clip.",
        ],
    )
    plain = figures.clipped({"never clipped": RATIOS}, RATIOS, 0.2)
    yield plain, ["Never clipped: rises from 0.50 to 1.50 between 0.50 and 1.50, flat nowhere."]
    assert "is flat at" not in plain.alt
    three = {"reward": "share", "exact": "truth"}
    yield (
        figures.along(STRAIGHT, three, "Steps"),
        [
            "Steps: 2 panels over the steps, 3 seeds, told by their mean, smoothed over 5 steps.",
            "from 0.1 to 0.7 by step 8.",
            "from 0.623 to 0.563 by step 8.",
        ],
    )
    yield figures.along(STRAIGHT[:1], {"exact": "truth"}, "One"), ["1 seed, told by their mean", "from 0.49 to 0.43 by"]
    yield figures.along([], {"exact": "truth"}, "None"), ["no runs", "Truth: nothing yet."]
    curve = figures.goodhart(STRAIGHT, "reward", "exact", "Goodhart", [2, 3, 4])
    yield (
        curve,
        [
            "Goodhart: two scores over the root of the KL divergence",
            "3 seeds, means with bands of their standard errors.",
            "The judge's word less the truth grows from -0.52 to 0.14 on the way; the truth is highest at 1.0, 0.62",
            "Reward, the judge's word: rises in a straight line from 0.10 to 0.70 by a distance of 7.",
            "Exact, the truth: falls in a straight line from 0.62 to 0.56 by a distance of 7.",
            "Circles mark where each seed would stop, by the truth of 5 steps: 0.48 at 2.0, 0.57 at 3.0, 0.76 at 4.0.",
        ],
    )
    swapped = figures.goodhart(STRAIGHT, "exact", "reward", "Goodhart")
    yield swapped, ["The judge's word less the truth shrinks from 0.52 to -0.14 on the way; the truth is highest"]
    lone = figures.goodhart(STRAIGHT[:1], "reward", "exact", "One run")
    yield lone, ["from its reference, 1 seed."]
    assert "error" not in lone.alt and "stop" not in lone.alt
    for none in ([], [[]], [STRAIGHT[0][:1], STRAIGHT[1][5:6]]):  # the last have no distance in common
        yield figures.goodhart(none, "reward", "exact", "Nothing"), ["the truth: no distance that all have come."]


@pytest.mark.parametrize("pictures", [orders, rewards])
def test_every_figure_says_what_it_shows(pictures):
    check_pictures(pictures())


def test_every_figure_is_drawn_as_the_notebook_draws_it():
    check_pictures((figure(*args), []) for figure, *args in USUAL.values())


@pytest.mark.parametrize("name", USUAL)
def test_nothing_is_cut_off_and_no_words_lie_on_others(name):
    figure, *args = USUAL[name]
    fig, _ = drawn(figure, *args)
    box, (wide, high) = fig.get_tightbbox(), fig.get_size_inches()
    assert min(box.x0, box.y0) >= -0.01 and box.x1 <= wide + 0.01 and box.y1 <= high + 0.01, box
    for ax in fig.axes:
        groups = [list(ax.texts)]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]  # others are not drawn
            groups.append([tick.label1 for tick in ticks])
        for texts in groups:
            boxes = [text.get_window_extent() for text in texts if text.get_visible() and text.get_text()]
            for i, one in enumerate(boxes):
                assert not any(one.overlaps(other) for other in boxes[i + 1 :]), [text.get_text() for text in texts]


def test_a_token_stands_in_its_box_and_those_that_are_learned_have_a_ground():
    fig, _ = drawn(*USUAL["conversation"])
    pieces = USUAL["conversation"][1]
    ax = fig.axes[0]
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle | FancyBboxPatch)]
    assert len(boxes) == len(ax.texts) == len(pieces) == 60
    grounds = {True: style.SKY, False: style.GROUND}
    for box, text, (piece, learned) in zip(boxes, ax.texts, pieces, strict=True):
        around, inside = box.get_window_extent(), text.get_window_extent()
        assert around.x0 <= inside.x0 and inside.x1 <= around.x1, piece
        assert around.y0 <= inside.y0 and inside.y1 <= around.y1, piece
        assert box.get_facecolor()[:3] == pytest.approx(style.matplotlib.colors.to_rgb(grounds[learned]))
        assert isinstance(box, FancyBboxPatch) == piece.startswith("<|")
        assert ax.get_window_extent().x0 <= around.x0 and around.x1 <= ax.get_window_extent().x1
    for i, one in enumerate(boxes):
        assert not any(one.get_window_extent().overlaps(other.get_window_extent()) for other in boxes[i + 1 :])


def test_bars_have_their_seeds_and_standard_errors():
    fig, _ = drawn(figures.bars, {"all": SEEDS, "one": [0.25]}, "Kept", "share of orders")
    ax = fig.axes[0]
    assert sorted(x for line in ax.lines if line.get_marker() == "o" for x in line.get_xdata()) == [0.25, *SEEDS]
    assert [patch.get_width() for patch in ax.patches] == pytest.approx([statistics.mean(SEEDS), 0.25])
    (ends,) = errorbars(ax)  # one seed has no error
    mean = statistics.mean(SEEDS)
    assert ends[:, 0] == pytest.approx([mean - ERROR, mean + ERROR])


def test_items_have_their_seeds_and_standard_errors():
    shares = {"before": {"hero": [0.1, 0.3], "plot": [0.2]}, "after": {"plot": SEEDS}}
    fig, _ = drawn(figures.items, shares, "Kept")
    ax = fig.axes[0]
    marks = [y for line in ax.lines if line.get_marker() == "o" for y in line.get_ydata()]
    assert sorted(marks) == sorted([0.1, 0.3, 0.2, *SEEDS])
    assert [patch.get_height() for patch in ax.patches] == pytest.approx([0.2, 0.2, statistics.mean(SEEDS)])
    first, second = errorbars(ax)
    assert first[:, 1] == pytest.approx([0.1, 0.3])  # of two seeds: half of what is between them
    assert second[:, 1] == pytest.approx([statistics.mean(SEEDS) - ERROR, statistics.mean(SEEDS) + ERROR])


def test_the_judges_errors_go_to_either_side():
    fig, _ = drawn(figures.judge_errors, {"all": (0.01, 0.2), "plot": (0.05, 0.0)}, "Wrong")
    assert [patch.get_width() for patch in fig.axes[0].patches] == [-0.01, 0.2, -0.05, 0.0]
    assert all(not label.get_text().startswith("\N{MINUS SIGN}") for label in fig.axes[0].get_xticklabels())


def test_errors_of_a_calibration_are_by_the_number_of_pairs():
    fig, _ = drawn(figures.calibration, SURE, "How sure")
    few, many, all_right = errorbars(fig.axes[0])
    for ends, right, pairs in ((few, 0.5, 40), (many, 0.75, 400), (all_right, 1.0, 12)):
        for end in ends[:, 1]:  # a share that is one standard error from what was counted
            assert abs(end - right) == pytest.approx(math.sqrt(max(0, end * (1 - end)) / pairs), abs=1e-6)
        assert ends[0, 1] < right <= ends[1, 1]


def test_every_run_has_a_line_in_every_panel_and_their_mean_is_smoothed():
    fig, _ = drawn(figures.along, RUNS, PANELS, "GRPO")
    assert len(fig.axes) == 4
    for ax, key in zip(fig.axes, PANELS, strict=True):
        thin = lines_of(ax, 40, 0.8)
        assert [list(line.get_ydata()) for line in thin] == [[record[key] for record in run] for run in RUNS]
        (bold,) = lines_of(ax, 40, 2.8)
        around = [record[key] for run in RUNS for record in run[18:23]]
        assert bold.get_ydata()[20] == pytest.approx(statistics.mean(around))
        assert bold.get_ydata()[0] == pytest.approx(statistics.mean(record[key] for run in RUNS for record in run[:3]))


def test_a_mean_over_steps_ends_where_the_shortest_run_does():
    fig, _ = drawn(figures.along, [RUNS[0], RUNS[1][:10]], {"reward": "share"}, "One stopped")
    assert len(lines_of(fig.axes[0], 10, 2.8)) == len(lines_of(fig.axes[0], 40, 0.8)) == 1


@pytest.mark.parametrize("keys", [{}, PANELS | {"kl": "a fifth"}])
def test_more_than_four_panels_do_not_fit(keys):
    with pytest.raises(ValueError, match=f"one to four panels fit, not {len(keys)}"):
        figures.along(RUNS, keys, "Too many")


def test_goodharts_curve_has_each_seed_its_mean_and_a_band_of_standard_errors():
    fig, _ = drawn(figures.goodhart, STRAIGHT, "reward", "exact", "Goodhart", [2, 3, 4])
    ax = fig.axes[0]
    assert len(lines_of(ax, 9, 0.9)) == 6  # three seeds, of the proxy and of the truth
    proxy, truth = lines_of(ax, 200, 3.2)
    x, mean = truth.get_data()
    assert (x[0], x[-1]) == pytest.approx((1, 7))  # means of 0, 1, 2 and of 6, 7, 8
    assert mean == pytest.approx(0.5 - 0.01 * x + 0.4 / 3)
    assert proxy.get_ydata() == pytest.approx(0.1 * x)
    error = statistics.stdev([0.0, 0.1, 0.3]) / math.sqrt(3)
    band = ax.collections[1].get_paths()[0].vertices
    middle = band[np.abs(band[:, 0] - x[100]) < 1e-9][:, 1]
    assert (middle.min(), middle.max()) == pytest.approx((mean[100] - error, mean[100] + error))
    assert [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"] == pytest.approx([2, 3, 4])


def test_goodharts_curve_takes_records_by_their_distance_not_by_their_step():
    shuffled = [run[::2] + run[1::2] for run in STRAIGHT]  # far and back
    places = [shuffled[0].index(STRAIGHT[0][4])] * 3
    there, back = (figures.goodhart(runs, "reward", "exact", "Goodhart").alt for runs in (STRAIGHT, shuffled))
    assert there == back
    with pytest.raises(ValueError):
        figures.goodhart(shuffled, "reward", "exact", "Goodhart", places[:2])  # a stop for each run
