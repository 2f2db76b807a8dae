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
        ["unigram: unsure, “.” below 0.01", "bigram: ·kite 0.75", "“a red”"],
    )
    table = np.zeros((24, 24))
    table[3, 5] = 0.9
    yield figures.bigram_matrix(table, [f" t{i}" for i in range(24)]), ["·t5 after ·t3 0.90", "24 frequent"]
    yield figures.bigram_matrix(np.zeros((2, 2)), ["a", "b"]), ["100% are below", "No cell is dark"]
    falling = {"bigram": [4.0, 3.0], "trigram": [3.5, 2.0]}
    yield (
        figures.losses_by_stories([100, 1000], falling, 0.5),
        [
            "trigram falls from 3.50 to 2.00",
            "trigram gains the most and ends lowest, 1.50 above the floor, a line at 0.50",
        ],
    )
    yield figures.losses_by_stories([100, 1000], falling), ["bigram falls from 4.00 to 3.00"]
    yield (
        figures.loss_curve([0, 1, 2], {"training": [7, 3, 2.5], "validation": [7, 3, 2.6]}, {"counting": 2.55}),
        ["training falls from 7 to", "validation ends at 2.600, 0.050 above the line of counting, 2.550"],
    )
    yield (
        figures.scores({"uniform": 2.9, "bigram": 1.0}, 0.17),
        ["The shortest is bigram at 1.000, 5.9 times the floor", "at 0.170", "each shorter than the one before"],
    )
    yield figures.scores({"uniform": 2.9}), ["uniform 2.900"]


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())


def test_the_floor_is_named_only_where_it_is_known():
    assert "floor" not in figures.scores({"uniform": 2.9}).alt
    assert "floor" not in figures.losses_by_stories([1, 2], {"bigram": [2.0, 1.0]}).alt


def test_who_does_not_gain_from_more_stories_is_told():
    sizes, losses = (
        [100, 1000, 10_000],
        {"unigram": [6.0, 5.99, 5.98], "5-gram": [2.8, 1.2, 0.8], "worse": [1.0, 1.5, 2.5]},
    )
    told = figures.losses_by_stories(sizes, losses).alt
    assert "unigram hardly changes" in told and "5-gram falls from 2.80 to 0.80, ever more slowly" in told
    assert "worse rises from 1.00 to 2.50" in told and "5-gram gains the most and ends lowest" in told


def test_the_best_score_is_told_wherever_it_stands():
    told = figures.scores({"bigram": 1.0, "5-gram": 0.27, "one head": 0.31}, 0.155).alt
    assert "The shortest is 5-gram at 0.270, 1.7 times the floor" in told and "each shorter" not in told


def test_certainty_is_told_from_doubt():
    told = figures.next_tokens(
        {"unigram": [(",", 0.07), (" a", 0.05)], "5-gram": [(" high", 0.99), (",", 0.001)]}, "it"
    ).alt
    assert "unigram: unsure, “,” 0.07, ·a 0.05" in told and "5-gram: certain of ·high 0.99" in told


def test_rows_in_which_nothing_follows_are_told():
    table = np.full((3, 3), 0.3)
    table[1] = 0.001
    assert "hardly any of these tokens follows: ·the." in figures.bigram_matrix(table, [".", " the", " a"]).alt
