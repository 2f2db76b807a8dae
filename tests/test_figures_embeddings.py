"""The figures of embeddings and positions: they say in words what they show, whatever they are given."""

import numpy as np

from course.figures import embeddings as figures
from helpers.model import sinusoids
from tests.pictures import check_pictures


def pictures():
    yield figures.lookup(np.arange(15.0).reshape(5, 3), 3), ["row 3: 9, 10, 11", "5 rows and 3 columns"]
    yield figures.lookup(np.zeros((2, 2)), 0), ["row 0: 0, 0"]
    chance = np.linspace(-0.1, 0.1, 20).reshape(10, 2)
    yield (
        figures.nearness(["animals", "colours"], np.array([0.7, 0.25]), chance),
        ["animals 0.70 (shuffled at most 0.09)", "colours 0.25"],
    )
    points = np.random.default_rng(0).normal(size=(12, 2))
    groups = ["animals", "colours", "names", "feelings", "things", "places"]
    yield (
        figures.word_map(points, [f"word{i}" for i in range(12)], [i % 6 for i in range(12)], groups),
        ["12 words", "2 animals", "2 places"],
    )
    yield figures.positions(sinusoids(16, 8).numpy()), ["16 positions by 8 columns"]
    yield (
        figures.by_distance({"sinusoidal": [1, 0.9, 0.5], "random": [1, 0.0, 0.01]}),
        ["sinusoidal falls from 1 to 0.90", "random falls from 1 to 0.00 at distance 1 and 0.01 at 2"],
    )
    yield (
        figures.losses({"blind": [7, 5, 4], "aware": [7, 3, 2]}, smooth=1),
        ["blind ends at 4.00", "aware ends at 2.00"],
    )
    yield figures.losses({"blind": [7.0, 5.0]}), ["blind ends at 6.00"]


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())
