"""The figures of embeddings and positions: they say in words what they show, whatever they are given."""

import numpy as np

from course.figures import embeddings as figures
from helpers.model import sinusoids
from tests.pictures import check_pictures


def pictures():
    yield figures.lookup(np.arange(15.0).reshape(5, 3), 3), ["row 3 alone: 9, 10, 11", "5 rows and 3 columns"]
    yield figures.lookup(np.zeros((2, 2)), 0), ["row 0 alone: 0, 0"]
    chance = np.linspace(-0.1, 0.1, 20).reshape(10, 2)
    yield (
        figures.nearness(["animals", "colours"], np.array([0.7, 0.25]), chance),
        ["All 2 groups lie to the right", "animals 0.70 (shuffled -0.10 to 0.09), colours 0.25"],
    )
    points = np.random.default_rng(0).normal(size=(12, 2))
    groups = ["animals", "colours", "names", "feelings", "things", "places"]
    yield (
        figures.word_map(points, [f"word{i}" for i in range(12)], [i % 6 for i in range(12)], groups),
        ["12 words", "2 animals", "2 places"],
    )
    yield figures.positions(sinusoids(16, 8).numpy()), ["16 positions", "8 columns", "fast in the columns on the left"]
    yield (
        figures.by_distance({"sinusoidal": [1, 0.9, 0.5], "random": [1, 0.0, 0.01]}),
        ["sinusoidal falls from 1.00 to 0.50 by distance 2", "At distance 1: sinusoidal 0.90, random 0.00"],
    )
    yield (
        figures.losses({"blind": [7, 5, 4], "aware": [7, 3, 2]}, smooth=1),
        [
            "aware 2.00, blind 4.00",
            "aware stays below blind from step 2 on, at the end by 2.00, where the gap is widest",
        ],
    )
    yield figures.losses({"blind": [7.0, 5.0]}), ["blind 6.00"]


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())


def test_a_group_among_its_shuffles_is_told():
    chance = np.linspace(-0.1, 0.1, 20).reshape(10, 2)
    told = figures.nearness(["animals", "things"], np.array([0.7, 0.05]), chance).alt
    assert "1 of 2 groups lie to the right of all their shuffles, not things" in told


def test_islands_neighbors_and_strays_are_told():
    rng = np.random.default_rng(0)
    places = {"names": (-0.8, 0.6), "animals": (0.4, 0.0), "colors": (0.45, 0.03)}
    points = np.concatenate([rng.normal(place, 0.02, (8, 2)) for place in places.values()] + [[[-0.2, -0.6]]])
    words = [f"w{i}" for i in range(24)] + ["cup"]
    told = figures.word_map(points, words, [0] * 8 + [1] * 8 + [2] * 8 + [1], list(places)).alt
    assert "Groups apart from all others: names at the top left." in told
    assert "Close to each other or mixed: animals and colors." in told and "far from their own group: cup." in told


def test_columns_without_waves_are_not_called_waves():
    noise = np.random.default_rng(0).normal(size=(64, 16))
    assert "No order of fast and slow columns" in figures.positions(noise).alt
