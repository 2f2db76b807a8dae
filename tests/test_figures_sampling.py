"""The figures of perplexity and sampling: they say in words what they show, whatever they are given."""

from course.figures import sampling as figures
from tests.pictures import check_pictures


def pictures():
    yield (
        figures.mistakes({"padding scored": 11.5, "no end token": 1.4, "shifted twice": 3e7}, 1.6),
        [
            "the right perplexity, 1.60",
            "the worst first: shifted twice 3e7; padding scored 11.5.",
            "Flattering, lower than the right one: no end token 1.40.",
        ],
    )
    yield (
        figures.mistakes({"weights": 1.605, "no end token": 1.4}, 1.6),
        ["None makes it look worse", "Within one per cent of the right one: weights."],
    )
    yield figures.mistakes({"weights": 1.605}, 1.6), ["None makes it look worse. None makes it look better."]
    yield (
        figures.by_context([1, 8, 64], [4.0, 1.0, 0.5], {16: 1.7, 64: 2.5}, 64, 1.6),
        [
            "its loss falls from 4.00 to 0.50 by 64 tokens",
            "all bars stand above the line",
            "1.60; windows of 64 tokens",
            "2.50 at steps of 64, 1.70 at steps of 16",
            "still 1.1 times as high",
        ],
    )
    yield (
        figures.by_context([1, 8, 64], [4.0, 4.0, 4.0], {16: 1.6, 64: 2.5}, 64, 1.6),
        ["its loss stays at 4.00 throughout", "not all bars stand above"],
    )
    yield (
        figures.sliding([12, 36], {"all of the text": [0.3, 0.25], "window, from position 0": [0.4, 2.5]}, 64),
        [
            "window of 64 tokens has slid by 12 to 36 tokens",
            "the lowest first: all of the text 0.25, window",
            "position 0 rises from 0.40 to 2.50",
        ],
    )
    yield (
        figures.suspects(
            {"softmax twice": 950, "untrained": 2100, "shifted twice": 3e7, "right": 1.6}, 2048, [43030, 42385], 50257
        ),
        [
            "0.856 and 0.843, lie inside the range",
            "Suspects in that range: softmax twice 0.46.",
            "Above it: untrained 1.03, shifted twice 14,648; below it: right 0.001.",
        ],
    )
    yield (
        figures.suspects({"right": 1.6, "twice": 1.7, "over time": 9.0}, 2048, [1.6, 43030], 50257),
        [
            "lie not all of them inside",
            "Suspects in that range: none. Above it: none; below it: right and twice 0.001, over time 0.004.",
        ],
    )
    yield (
        figures.two_readings([0, 10, 20], {"twice": [7.6, 7.5, 7.4], "once": [7.6, 5.0, 4.0]}, 2048),
        [
            "guessing costs ln V, 7.62",
            "Twice never comes below ln V - 1, 6.62. Once does come below it.",
            "once: falls from 7.60 to 4.00",
        ],
    )
    panels = {"plain": [0.5, 0.3, 0.2], "top-k 1": [1.0, 0, 0], "T = 2": [0.4, 0.35, 0.25], "min-p": [0.6, 0.4, 0]}
    yield (
        figures.reshaped(panels, [" Pip", "\n", "<|endoftext|>"], "Once upon a"),
        [
            "stands out most with top-k 1, least with T = 2",
            "Plain and T = 2 keep all 3.",
            "top-k 1: ·Pip 1.00 (removed: ↵ and end)",
            "min-p: ·Pip 0.60, then ↵ 0.40 (removed: end)",
        ],
    )
    tilted = {"plain": [0.5, 0.3, 0.1, 0.05, 0.05], "penalty": [0.05, 0.4, 0.35, 0.1, 0.1]}
    yield (
        figures.reshaped(tilted, [" Pip", "\n", " he", " in", " on"], "Once upon a"),
        ["No panel removes a token.", "penalty: ↵ 0.40, then ·he 0.35, and ·Pip 0.05"],
    )
    yield (
        figures.likelihoods({"greedy": [20.0], "sampled": [90.0, 110.0]}),
        [
            "Greedy lies left of all sampled.",
            "The likeliest first: greedy: 20 on average; sampled: 100 on average, from 90",
        ],
    )
    yield (
        figures.likelihoods({"sampled": [90.0, 130.0], "wild": [200.0, 210.0], "true": [95.0, 110.0]}),
        ["Sampled lie among the true and wild lie right of all true."],
    )
    yield (
        figures.cost_per_token([10, 100], {"with": [2.0, 2.5], "without": [4.0, 20.0]}),
        ["without rises from 4.0 to 20.0 by 100 tokens", "At 100 tokens without takes 8.0 times as long as with."],
    )
    yield (
        figures.surviving(
            {"the name": {"model": 0.9, "stories": 1.0}, "its color": {"model": 0.5, "stories": 1.0}}, "T"
        ),
        ["the name: model 90%, stories 100%", "lowest bar of all is model for its color, 50%"],
    )
    yield (
        figures.surviving({"the name": {"model": 1.0, "stories": 1.0}}, "T"),
        ["All alike: the name 100%."],
    )
    yield (
        figures.trade([("T 0.5", 0.3, 0.9), ("T 1", 0.5, 0.8)], (0.55, 1.0), "diversity", "quality"),
        [
            "diversity rises, from 0.30 to 0.50; up, quality falls, from 0.90 to 0.80",
            "T 0.5: 0.30 and 0.90",
            "stand at 0.55 and 1.00; the setting nearest to them is T 1.",
        ],
    )


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())
