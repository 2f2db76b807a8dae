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
            "Three changes. Differences of the mean loss to 1.100",
            "3 seeds; lower is better",
            "SwiGLU -0.400 ± 0.082: lower; RMSNorm +0.033 ± 0.105: inside two errors; tied head +0.400 ± 0.082: higher",
        ],
    )
    ten = {f"change {number}, with a name that is long": CHANGES["RMSNorm"] for number in range(10)}
    yield figures.bought(BEFORE, ten, "Ten changes, " * 9), ["change 9, with a name that is long +0.033 ± 0.105"]
    lone = {"QK-norm": [1.0], "SwiGLU": CHANGES["SwiGLU"]}
    yield figures.bought(BEFORE, lone, "One"), ["1 to 3 seeds", "QK-norm -0.100: one seed, no error; SwiGLU -0.400 ± "]
    yield (
        figures.bought([1.0], lone, "One before"),
        ["1 to 3 seeds", "QK-norm +0.000: one seed, no error; SwiGLU -0.300: one seed, no error"],
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
            "Remedies. loss by rate, 1 to 2 seeds a point",
            "plain: 2.100 ± 0.100 at 0.01, no loss at 0.1, 2 of 2 runs diverged",
            "cap: 2.100 at 0.01, 5.000 at 0.1, 1 of 2 runs diverged",
            "Runs that diverged are crosses at the upper edge; means are of the others. equal guessing: 7.62.",
        ],
    )
    yield figures.by_number({"never": {0.1: [None]}}, "All gone", "rate", "loss"), ["no loss at 0.1, 1 of 1 runs"]
    whole = figures.by_number({"tied": {2048: [0.5, 0.5], 512: [0.52, 0.5]}}, "Vocabulary", "entries", "bits per byte")
    yield whole, ["2 seeds a point", "tied: 0.510 ± 0.010 at 512, 0.500 ± 0.000 at 2,048."]
    assert "diverged" not in whole.alt


def by_position():
    runs = [[1.0, 2.0, 4.0, 6.0], [1.0, 2.0, 6.0, 8.0]]
    yield (
        figures.by_position({"GPT-2": runs, "rotary": [[1.0] * 4]}, 1024, 256, "Read on"),
        [
            "Loss by position up to 1,024, with a line where the trained context of 256 ends",
            "GPT-2, 2 seeds: 1.00 on average within it, 4.67 behind it, 7.00 at the end",
            "rotary, 1 seed: 1.00 on average within it, 1.00 behind it",
            "Behind each line the range of its seeds.",
        ],
    )
    within = figures.by_position({"streamed": [[2.0, 1.0]]}, 512, 512, "A text that does not end")
    yield within, ["1.50 on average within it, not measured behind it, 1.00 at the end"]
    assert "range" not in within.alt
    yield figures.by_position({"a": [[2.0]]}, 5, 3, "One bucket"), ["not measured within it, 2.00 behind it"]


def the_others():
    turns = {"as it is": [2 * math.pi / 8, 2 * math.pi / 640]}
    yield (
        figures.turning(turns, 64),
        ["within 64 tokens", "as it is: 2 pairs, from 8 turns to 0.1, 1 of them less than one turn"],
    )
    yield (
        figures.turning(turns | {"base stretched": [1.0] * 40}, 64),
        ["base stretched: 40 pairs, from 10.2 turns to 10.2, 0 of them"],
    )
    yield (
        figures.cache_and_loss({"GPT-2": (1024, BEFORE), "one head of keys": (256, [1.2])}),
        ["1 to 3 seeds a point", "GPT-2: 1,024 bytes, 1.100 ± 0.058; one head of keys: 256 bytes, 1.200."],
    )
    yield figures.cache_and_loss({"GPT-2": (1024, BEFORE)}), ["3 seeds a point"]
    layers = [[0.25] * 4, [0.7, 0.3, 0.0, 0.0]]
    yield (
        figures.busy({"two of four": layers, "two of four, with no balance at all": layers, "one": layers[:1]}),
        [
            "idle is less than 1%. two of four: layer 1 from 25.0% to 25.0%, 0 of 4 idle, "
            "layer 2 from 0.0% to 70.0%, 2 of 4 idle; ",
            "one: layer 1 from 25.0% to 25.0%, 0 of 4 idle.",
        ],
    )


def the_parts():
    quarter = math.pi / 2  # a token turns by a quarter: by distance the scores are 0, 2, 0, -2
    yield (
        parts.turned([1, 0], [0, 2], quarter, [(5, 4), (9, 8), (4, 1)]),
        [
            "each turned by its position at 1.5708 radians a token",
            "1 apart: 2.00 with the query at 5 and the key at 4, 2.00 with the query at 9 and the key at 8; "
            "3 apart: -2.00 with the query at 4 and the key at 1. Not turned it is 0.00.",
        ],
    )
    nearly = [(12, 10), (3, 3), (3, 12), (5, 1)]  # more than a row, also of arrows that go nearly the same way
    several = parts.turned([1.2, 0.5], [0.8, 0.3], 0.1, nearly)
    yield several, ["0 apart: 1.11 with", "-9 apart: ", "Not turned it is 1.11."]
    x = np.linspace(-4, 4, 41)
    gelu, silu = (x / (1 + np.exp(-factor * x)) for factor in (1.702, 1.0))
    yield (
        parts.gate(x, gelu, silu),
        [
            "Left: GELU and SiLU over x from -4 to 4",
            "They fall to -0.16 and -0.28, and end at 4.00 and 3.93.",
            "Negative gates nearly shut; positive ones let through what comes up by another way",
            "the most that passes is 0.3 at a gate of -4 and 15.7 at a gate of 4.",
        ],
    )
    yield (
        parts.sharing(8, {"every head its own": 8, "grouped": 2, "one for all": 1}),
        [
            "above 8 heads of queries",
            "every head its own: 8 heads of keys and values, each read by one head of queries; "
            "grouped: 2 heads of keys and values, each read by 4 heads of queries; "
            "one for all: 1 head of keys and values, read by 8 heads of queries.",
        ],
    )
    yield parts.sharing(32, {"Llama 3 8B": 8}), ["8 heads of keys and values, each read by 4 heads of queries."]
    yield parts.sharing(1, {"a lone head": 1}), ["above 1 head of queries", "values, read by one head of queries."]


@pytest.mark.parametrize("pictures", [bought, by_number, by_position, the_others, the_parts])
def test_every_figure_says_what_it_shows(pictures):
    check_pictures(pictures())


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ([0.79, 0.79], "lower"),
        ([0.9, 0.9], "inside two errors"),
        ([1.1, 1.1], "inside two errors"),
        ([1.21, 1.21], "higher"),
    ],
)
def test_a_change_is_one_when_it_is_more_than_twice_its_error(after, said):
    assert figures.bought([0.9, 1.1], {"it": after}, "A change").alt.endswith(f"± 0.100: {said}.")


def test_heads_that_cannot_be_shared_equally_are_not_drawn():
    with pytest.raises(ValueError, match="8 heads of queries cannot share 3"):
        parts.sharing(8, {"uneven": 3})
