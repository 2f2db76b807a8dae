"""The figures of perplexity and sampling: they say in words what they show, whatever they are given."""

from course.figures import sampling as figures
from tests.pictures import check_pictures


def pictures():
    yield (
        figures.mistakes({"padding scored": 11.5, "no end token": 1.4, "shifted twice": 3e7}, 1.6),
        ["right perplexity is 1.60", "padding scored 11.5", "no end token 1.40", "shifted twice 3e7"],
    )
    yield (
        figures.by_context([1, 8, 64], [4.0, 1.0, 0.5], {16: 1.7, 64: 2.5}, 64, 1.6),
        ["from 4.00 nats", "0.50 with 64", "16: 1.70, 64: 2.50", "it is 1.60"],
    )
    yield (
        figures.sliding([12, 36], {"all of the text": [0.3, 0.25], "window, from position 0": [0.4, 2.5]}, 64),
        ["window of 64 tokens", "about 12, 36 tokens", "all of the text 0.30, 0.25", "position 0 0.40, 2.50"],
    )
    yield (
        figures.suspects(
            {"softmax twice": 950, "untrained": 2100, "shifted twice": 3e7, "right": 1.6}, 2048, [43030, 42385], 50257
        ),
        ["softmax twice 0.46", "case stands at 0.856 and 0.843"],
    )
    yield (
        figures.two_readings([0, 10, 20], {"twice": [7.6, 7.5, 7.4], "once": [7.6, 5.0, 4.0]}, 2048),
        ["twice from 7.60 to 7.40", "Guessing is 7.62"],
    )
    panels = {"plain": [0.5, 0.3, 0.2], "top-k 1": [1.0, 0, 0], "T = 2": [0.4, 0.35, 0.25], "min-p": [0.6, 0.4, 0]}
    yield (
        figures.reshaped(panels, [" Pip", "\n", "<|endoftext|>"], "Once upon a"),
        ["top-k 1: 1 left, the first has 1.00", "min-p: 2 left"],
    )
    yield figures.likelihoods({"greedy": [20.0], "sampled": [90.0, 110.0]}), ["greedy 20 on average", "sampled 100"]
    yield (
        figures.cost_per_token([10, 100], {"with": [2.0, 2.5], "without": [4.0, 20.0]}),
        ["without from 4.0 to 20.0"],
    )
    yield (
        figures.surviving(
            {"the name": {"model": 0.9, "stories": 1.0}, "its color": {"model": 0.5, "stories": 1.0}}, "T"
        ),
        ["the name: model 90%, stories 100%"],
    )
    yield (
        figures.trade([("T 0.5", 0.3, 0.9), ("T 1", 0.5, 0.8)], (0.55, 1.0), "diversity", "quality"),
        ["T 0.5: 0.30 and 0.90", "True stories: 0.55 and 1.00"],
    )


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())
