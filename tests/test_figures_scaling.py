"""The figures of notebook 13: they say in words what they show, whatever they are given."""

import pytest

from course.figures import scaling as figures
from tests.pictures import check_pictures


def pictures():
    curves = {2e12: {6e4: [1.0, 1.2], 2e5: [0.9]}, 1e12: {6e4: [1.3], 2e5: [1.9]}}
    yield (
        figures.isoflops(curves, 0.418, {1e12: 6e4, 2e12: 1.5e5}),
        [
            "1T: lowest at 60k weights, 1.30",
            "2T: lowest at 200k weights, 0.90",
            "1 to 2 seeds",
            "floor, 0.418",
            "Crosses",
        ],
    )
    yield figures.isoflops({1e12: {6e4: [1.3], 2e5: [1.9]}}, 0.4), ["a curve for each budget", "1 seed a point"]
    unseen = [(0.5, (0.4, 0.6), 0.55), (0.6, (0.5, 0.65), 0.7)]
    yield (
        figures.law_and_runs([1.1, 0.9], [1.0, 1.0], ["small", "large"], 0.4, unseen),
        ["misses by 10.0% on average, from -10.0% to +10.0%", "it came to 0.700: 1 of 2 inside", "floor is 0.400"],
    )
    yield figures.law_and_runs([1.0], [1.0], ["one"]), ["The law's loss of 1 runs"]
    yield figures.laws_floor([0.3, 0.4, 0.5], (0.31, 0.49), 0.41, 0.418), ["from 0.310 to 0.490", "0.418, is inside"]
    yield figures.laws_floor([0.3, 0.31], (0.3, 0.31), 0.3, 0.5), ["0.500, is outside"]
    yield (
        figures.compared({"a": [2.0, 2.2], "b": [1.0]}, {"trigram": 1.23}, "Two recipes", {"a": "10 tokens"}),
        ["Two recipes. 1 to 2 seeds; b 1.00; a 2.10 ± 0.10", "trigram: 1.23"],
    )
    yield figures.repeated({0.5: [0.6, 0.6, 0.7], 32: [1.1]}, 0.42), ["0.63 at 0.5, 1.10 at 32.0", "floor is 0.42"]
    sweeps = {32: {1e-3: [2.0, 2.0], 2e-3: [1.5, 1.7]}, 64: {1e-3: [1.0], 2e-3: [float("nan")]}}
    yield (
        figures.rates_by_width({"standard": sweeps, "muP": sweeps}),
        ["standard: lowest for width 32 at 2.0e-03 (1.60), width 64 at 1.0e-03 (1.00)", "muP: lowest"],
    )
    parts = {"alone": {"weights": 2.0, "optimizer": 12.0}, "sharded": {"weights": 1.0, "optimizer": 6.0}}
    yield (
        figures.shares(parts, "Memory", "GB", {"a T4 has": 16.0}),
        ["alone: 14, of it weights 2, optimizer 12", "sharded: 7", "a T4 has: 16"],
    )
    yield figures.shares(parts, "Memory", "GB"), ["Memory, in GB"]


def test_every_figure_says_what_it_shows():
    check_pictures(pictures())


@pytest.mark.parametrize(
    ("number", "said"),
    [(63_000, "63k"), (1_280_000, "1.28M"), (12.8e12, "12.8T"), (5.12e13, "51.2T"), (120, "120"), (2e17, "200P")],
)
def test_large_numbers_are_short(number, said):
    assert figures.short(number) == said
