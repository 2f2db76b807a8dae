"""The figures of notebook 13: they say in words what they show, whatever they are given."""

import pytest

from course.figures import scaling as figures
from tests.pictures import check_pictures


def pictures():
    curves = {2e12: {6e4: [1.0, 1.2], 2e5: [0.9]}, 1e12: {6e4: [1.3], 2e5: [1.9]}}
    yield (
        figures.isoflops(curves, 0.418, {1e12: 6e4, 2e12: 1.5e5}),
        [
            "The size with the lowest loss grows with the budget, and its loss falls.",
            "1T: 60k weights, 1.30; 2T: 200k weights, 0.90.",
            "At the largest size the loss is 0.90 to 1.90.",
            "1 to 2 seeds",
            "The floor, 0.418, lies below all.",
            "parabolas: 60k at 1T, 150k at 2T.",
        ],
    )
    yield (
        figures.isoflops({1e12: {6e4: [1.3], 2e5: [1.9]}}, 1.4),
        ["a curve for each budget", "1 seed a point", "The floor, 1.400, lies not below all of them."],
    )
    same = {1e12: {6e4: [1.3], 2e5: [1.9]}, 2e12: {6e4: [1.2], 2e5: [1.9]}, 3e12: {6e4: [1.4], 2e5: [1.9]}}
    assert "its loss falls" not in (picture := figures.isoflops(same, 0.4)).alt
    yield picture, ["The size with the lowest loss is the same for all."]
    unseen = [(0.5, (0.4, 0.6), 0.55), (0.6, (0.5, 0.65), 0.7)]
    yield (
        figures.law_and_runs([1.1, 0.9], [1.0, 1.0], ["small", "large"], 0.4, unseen),
        [
            "misses by 10.0% on average, from -10.0% to +10.0%",
            "small +10.0%, large -10.0% on average",
            "1 of 2 came to a loss inside the band",
            "0.600 (0.500 to 0.650) predicted, 0.700 came",
            "floor at 0.400",
        ],
    )
    yield figures.law_and_runs([1.0], [1.0], ["one"]), ["A fitted law's loss of 1 run over"]
    yield figures.law_and_runs([1.0, 2.0], [1.01, 2.0], ["one", "two"]), ["No budget lies off the diagonal"]
    yield (
        figures.laws_floor([0.3, 0.4, 0.5], (0.31, 0.49), 0.41, 0.418),
        ["The true floor, 0.418, is inside the interval that holds 90%", "0.310 to 0.490", "0.410, 0.008 below it"],
    )
    yield figures.laws_floor([0.3, 0.31], (0.3, 0.31), 0.3, 0.5), ["0.500, is outside"]
    yield (
        figures.compared({"a": [2.0, 2.2], "b": [1.0]}, {"trigram": 1.23}, "Two recipes", {"a": "10 tokens"}),
        [
            "Two recipes: bars of the validation loss, 1 to 2 seeds; the lowest is b, the highest a.",
            "From the lowest up: b 1.00, a 2.10 ± 0.10.",
            "Below trigram, 1.23: b.",
        ],
    )
    yield (
        figures.repeated({0.5: [0.6, 0.6, 0.7], 32: [1.1]}, 0.42),
        ["costs at once; at 32 times it is 1.74 times as high", "0.63 at 0.5, 1.10 at 32.", "floor at 0.42"],
    )
    yield figures.repeated({1: [0.6], 2: [0.61], 4: [0.9]}, 0.42), ["Up to 2 times each story it is hardly higher"]
    yield figures.repeated({1: [0.6], 2: [0.61]}, 0.42), ["However often each story is read, the loss rises by less"]
    sweeps = {32: {1e-3: [2.0, 2.0], 2e-3: [1.5, 1.7]}, 64: {1e-3: [1.0], 2e-3: [float("nan")]}}
    yield (
        figures.rates_by_width({"standard": sweeps, "muP": sweeps}),
        [
            "Standard: the wider, the lower the best rate, by 2.0 times in all: 0.002 for width 32 (loss 1.60, at",
            "muP: the wider",
        ],
    )
    steady = {32: {1e-3: [2.0], 2e-3: [1.5], 4e-3: [1.7]}, 64: {1e-3: [1.1], 2e-3: [1.0], 4e-3: [1.3]}}
    yield (
        figures.rates_by_width({"muP": steady}),
        ["the best rate is the same for all widths: 0.002 for width 32 (loss 1.50)"],
    )
    parts = {"alone": {"weights": 2.0, "optimizer": 12.0}, "sharded": {"weights": 1.0, "optimizer": 6.0}}
    yield (
        figures.shares(parts, "Memory", "GB", {"a T4 has": 16.0}),
        [
            "Memory, in GB: alone 14, sharded 7.",
            "Beyond the line of a T4 has, 16: none.",
            "The largest part of each bar is optimizer.",
            "Of alone: weights 14%, optimizer 86%.",
        ],
    )
    mixed = parts | {"small": {"weights": 2.0, "optimizer": 1.0}}
    yield (
        figures.shares(mixed, "Memory", "GB", {"a T4": 10.0}),
        ["Beyond the line of a T4, 10: alone.", "largest part is optimizer in alone and sharded; weights in small."],
    )


def test_every_figure_says_what_it_shows():
    check_pictures(pictures())


@pytest.mark.parametrize(
    ("number", "said"),
    [(63_000, "63k"), (1_280_000, "1.28M"), (12.8e12, "12.8T"), (5.12e13, "51.2T"), (120, "120"), (2e17, "200P")],
)
def test_large_numbers_are_short(number, said):
    assert figures.short(number) == said
