"""The figures of language models: they say in words what they show, whatever they are given."""

import numpy as np
import pytest

from course.figures import language_models as figures
from tests.pictures import check_pictures


@pytest.mark.parametrize(("token", "short"), [(" kite", "·kite"), ("<|endoftext|>", "end"), ("\n\n", "↵↵")])
def test_a_label_is_short_and_shows_spaces(token, short):
    assert figures.label(token) == short


def pictures():
    choices = [(" kite", 0.75), (" cup", 0.25), (".", 0.001)]
    yield (
        figures.next_tokens({"unigram": choices[::-1], "bigram": choices}, "a red"),
        ["unigram: . with probability 0.00", "bigram: ·kite with probability 0.75", "'a red'"],
    )
    table = np.zeros((24, 24))
    table[3, 5] = 0.9
    yield figures.bigram_matrix(table, [f" t{i}" for i in range(24)]), ["·t5 after ·t3, 0.90", "24 frequent"]
    yield figures.bigram_matrix(np.zeros((2, 2)), ["a", "b"]), ["100% are below"]
    falling = {"bigram": [4.0, 3.0], "trigram": [3.5, 2.0]}
    yield (
        figures.losses_by_stories([100, 1000], falling, 0.5),
        ["trigram from 3.50 to 2.00", "Lowest at the end: trigram", "floor is 0.50"],
    )
    yield figures.losses_by_stories([100, 1000], falling), ["bigram from 4.00 to 3.00"]
    yield (
        figures.loss_curve([0, 1, 2], {"training": [7, 3, 2.5], "validation": [7, 3, 2.6]}, {"counting": 2.55}),
        ["validation falls from 7.00 to 2.600", "counting at 2.550"],
    )
    yield figures.scores({"uniform": 2.9, "bigram": 1.0}, 0.17), ["uniform 2.900", "floor at 0.170"]
    yield figures.scores({"uniform": 2.9}), ["uniform 2.900"]


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())


def test_the_floor_is_named_only_where_it_is_known():
    assert "floor" not in figures.scores({"uniform": 2.9}).alt
    assert "floor" not in figures.losses_by_stories([1, 2], {"bigram": [2.0, 1.0]}).alt
