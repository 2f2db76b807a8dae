"""The figures of notebook 14: they say in words what they show, whatever they are given."""

import math

import numpy as np
import pytest

from course.figures import modern_parts as parts
from course.figures import since_gpt2 as figures
from tests.pictures import check_pictures

BEFORE = [1.0, 1.1, 1.2]  # the standard error of their mean is 0.058
CHANGES = {"SwiGLU": [0.8, 0.7, 0.6], "RMSNorm": [1.0, 1.1, 1.3], "tied head": [1.4, 1.5, 1.6]}


def bought():
    yield (
        figures.bought(BEFORE, CHANGES, "Three changes"),
        [
            "Three changes. Lower by more than two errors: SwiGLU. Higher by more than two errors: tied head. "
            "No difference that can be told, inside two errors: RMSNorm.",
            "the mean loss to 1.100",
            "3 seeds; lower is better: SwiGLU -0.400 ± 0.082, RMSNorm +0.033 ± 0.105, tied head +0.400 ± 0.082.",
        ],
    )
    ten = {f"change {number}, with a name that is long": CHANGES["RMSNorm"] for number in range(10)}
    yield figures.bought(BEFORE, ten, "Ten changes, " * 9), ["change 8, with a name that is long and change 9, with a"]
    lone = {"QK-norm": [1.0], "SwiGLU": CHANGES["SwiGLU"]}
    yield (
        figures.bought(BEFORE, lone, "One"),
        ["1 to 3 seeds", "One seed, no error, so nothing can be said: QK-norm.", "QK-norm -0.100, SwiGLU -0.400 ± "],
    )
    yield (
        figures.bought([1.0], lone, "One before"),
        ["1 to 3 seeds", "so nothing can be said: QK-norm and SwiGLU.", "QK-norm +0.000, SwiGLU -0.300."],
    )


def by_number():
    gone = {
        "plain": {0.01: [2.0, 2.2], 0.1: [None, None]},
        "cap": {0.1: [5.0, None], 0.01: [2.1]},
        "never": {0.01: [None], 0.1: [None]},
    }
    yield (
        figures.by_number(gone, "Remedies", "rate", "loss", {"equal guessing": math.log(2048)}),
        [
            "Remedies: loss by rate, on a logarithmic axis, 1 to 2 seeds a point",
            "Plain: one point, at 0.01; cap: lowest at 0.01, rising from there on; never: no loss at all.",
            "Plain: 2.100 ± 0.100 at 0.01, no loss at 0.1, 2 of 2 runs diverged",
            "cap: 2.100 at 0.01, 5.000 at 0.1, 1 of 2 runs diverged",
            "Runs that diverged are crosses at the upper edge; means are of the others.",
            "A line marks equal guessing at 7.62.",
        ],
    )
    yield figures.by_number({"never": {0.1: [None]}}, "All gone", "rate", "loss"), ["no loss at 0.1, 1 of 1 runs"]
    rates = {
        "a": {1: [3.0], 2: [2.0], 4: [5.0]},
        "b": {1: [3.0], 2: [2.5], 4: [2.0]},
        "c": {1: [1.0], 2: [3.0], 4: [2.0]},
    }
    yield (
        figures.by_number(rates, "Rates", "rate", "loss"),
        [
            "A: lowest at 2, rising from there on; b: lowest at the last, 4, falling all the way; c: lowest",
            "At 4, the lowest first: b and c 2.00, a 5.00.",
        ],
    )
    whole = figures.by_number({"tied": {2048: [0.5, 0.5], 512: [0.52, 0.5]}}, "Vocabulary", "entries", "bits per byte")
    yield (
        whole,
        ["2 seeds a point", "Tied: 0.510 ± 0.010 at 512, 0.500 ± 0.000 at 2,048.", "at the last, 2,048, falling"],
    )
    assert "diverged" not in whole.alt


def by_position():
    runs = [[1.0, 2.0, 4.0, 6.0], [1.0, 2.0, 6.0, 8.0]]
    yield (
        figures.by_position({"GPT-2": runs, "rotary": [[1.0] * 4]}, 1024, 256, "Read on"),
        [
            "Read on: loss by position up to 1,024, in nats; a line marks the end of the trained context, 256.",
            "GPT-2: 1.00 on average within the context, clearly exceeded at 384 for the first time; behind it rises "
            "from 2.00 to 7.00 by 896.",
            "Rotary: 1.00 on average within the context and about as much behind it, 1.00 on average.",
            "Means of 1 to 2 seeds, on the range of the seeds.",
        ],
    )
    waves = [[1.0, 1.0, 1.0, 1.0, *([5.0, 5.0, 1.0, 1.0] * 3)]]
    yield (
        figures.by_position({"again": waves, "sinks": [[1.0] * 16]}, 1024, 256, "No end"),
        ["behind it goes up and down in 3 waves between 1.00 and 5.00"],
    )
    within = figures.by_position({"streamed": [[2.0, 1.0]]}, 512, 512, "A text that does not end")
    yield within, ["Streamed: within the context, the only part that is measured, it falls from 2.00 to 1.00"]
    assert "range" not in within.alt
    yield figures.by_position({"a": [[2.0]]}, 5, 3, "One bucket"), ["A: behind the context it is 2.00 at"]


def the_others():
    turns = {"as it is": [2 * math.pi / 8, 2 * math.pi / 640]}
    yield (
        figures.turning(turns, 64),
        ["within 64 tokens", "As it is: pair 2 below one turn; the number of turns falls from 8 to 0.1 by pair 2."],
    )
    yield (
        figures.turning(turns | {"base stretched": [1.0] * 40}, 64),
        ["Base stretched: no pair below one turn; the number of turns stays at 10.2 throughout."],
    )
    scattered = {"shuffled": [1.0, 0.001, 1.0, 0.001]}
    yield figures.turning(scattered, 64), ["Shuffled: 2 of 4 pairs below one turn"]
    halves = {"halved": [2 * math.pi / 2**number for number in range(8)]}
    yield (
        figures.turning(halves, 8),
        ["Halved: pairs 5 to 8 below one turn; the number of turns falls in a straight line"],
    )
    yield (
        figures.cache_and_loss({"GPT-2": (1024, BEFORE), "one head of keys": (256, [1.2])}),
        [
            "beside GPT-2, the largest: one head of keys +0.100 nats, one seed, no error.",
            "1 to 3 seeds a point",
            "GPT-2: 1,024 bytes, 1.100 ± 0.058; one head of keys: 256 bytes, 1.200.",
        ],
    )
    costs = {"GPT-2": (1024, BEFORE), "small": (256, [1.5, 1.6, 1.7]), "half": (512, [1.1, 1.2, 1.2])}
    yield figures.cache_and_loss(costs), ["small +0.500 nats, higher, half +0.067 nats, inside two errors."]
    yield figures.cache_and_loss({"GPT-2": (1024, BEFORE)}), ["3 seeds a point"]
    layers = [[0.25] * 4, [0.7, 0.3, 0.0, 0.0]]
    yield (
        figures.busy({"two of four": layers, "two of four, with no balance at all": layers, "one": layers[:1]}),
        [
            "The busiest expert beside the equal share, a dashed line: one 1.0 times; two of four 2.8 times;",
            "with less than 1% of the choices, marked by a cross: two of four 2, two of four, with no balance at all "
            "2, one none.",
            "two of four: layer 1 from 25.0% to 25.0%, layer 2 from 0.0% to 70.0%;",
        ],
    )


def the_parts():
    quarter = math.pi / 2  # a token turns by a quarter: by distance the scores are 0, 2, 0, -2
    yield (
        parts.turned([1, 0], [0, 2], quarter, [(5, 4), (9, 8), (4, 1)]),
        [
            "The score of a query and a key depends on the distance alone: "
            "1 apart: 2.00 with the query at 5 and the key at 4, 2.00 with the query at 9 and the key at 8; "
            "3 apart: -2.00 with the query at 4 and the key at 1.",
            "each is turned by its position at 1.5708 radians a token",
            "Not turned the score is 0.00.",
        ],
    )
    nearly = [(12, 10), (3, 3), (3, 12), (5, 1)]  # more than a row, also of arrows that go nearly the same way
    several = parts.turned([1.2, 0.5], [0.8, 0.3], 0.1, nearly)
    yield (
        several,
        ["Scores of a query and a key: ", "0 apart: 1.11 with", "-9 apart: ", "Not turned the score is 1.11."],
    )
    x = np.linspace(-4, 4, 41)
    gelu, silu = (x / (1 + np.exp(-factor * x)) for factor in (1.702, 1.0))
    yield (
        parts.gate(x, gelu, silu),
        [
            "Left: what passes depends on one number x, from -4 to 4: GELU goes from 0.00 to 4.00, with its lowest "
            "point, -0.16, at -0.8; SiLU goes from -0.07 to 3.93, with its lowest point, -0.28, at -1.2.",
            "gates below 0 let little through of what comes up, and gates above 0 pass it on",
            "The most that passes is 0.3 at a gate of -4 and 15.7 at a gate of 4.",
        ],
    )
    yield (
        parts.gate(x, np.maximum(x, 0), x),
        ["GELU goes from 0.00 to 4.00; SiLU", "gates below 0 let through what comes up"],
    )
    yield (
        parts.sharing(8, {"every head its own": 8, "grouped": 2, "one for all": 1}),
        [
            "8 heads of queries above",
            "One for all has 8 times as many heads of queries as of keys and values.",
            "every head its own: 8 heads of keys and values, each read by one head of queries; "
            "grouped: 2 heads of keys and values, each read by 4 heads of queries; "
            "one for all: 1 head of keys and values, read by 8 heads of queries.",
        ],
    )
    yield parts.sharing(32, {"Llama 3 8B": 8}), ["8 heads of keys and values, each read by 4 heads of queries."]
    yield parts.sharing(1, {"a lone head": 1}), ["1 head of queries above", "values, read by one head of queries."]


@pytest.mark.parametrize("pictures", [bought, by_number, by_position, the_others, the_parts])
def test_every_figure_says_what_it_shows(pictures):
    check_pictures(pictures())


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ([0.79, 0.79], "Lower by more than two errors: it."),
        ([0.9, 0.9], "No difference that can be told, inside two errors: it."),
        ([1.1, 1.1], "No difference that can be told, inside two errors: it."),
        ([1.21, 1.21], "Higher by more than two errors: it."),
    ],
)
def test_a_change_is_one_when_it_is_more_than_twice_its_error(after, said):
    assert figures.bought([0.9, 1.1], {"it": after}, "A change").alt.startswith(f"A change. {said} Bars")


def test_heads_that_cannot_be_shared_equally_are_not_drawn():
    with pytest.raises(ValueError, match="8 heads of queries cannot share 3"):
        parts.sharing(8, {"uneven": 3})
