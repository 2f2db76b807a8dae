"""The figures of attention: they say in words what they show, whatever they are given."""

import numpy as np

from course.figures import attention as figures
from tests.pictures import check_pictures

TOKENS = [" Pip", " lost", " a", " red", " kite"]


def pictures():
    W = np.tril(np.ones((5, 5)))
    W /= W.sum(1, keepdims=True)
    x = np.array([[2, 0, 0], [0, 2, 0], [0, 0, 1], [0, -1, 1], [1, 0, 2]])
    yield figures.matmul(W, x, TOKENS), ["5 by 5", "·Pip, ·lost", "0.2, 0.2, 0.2, 0.2, 0.2", "mixture 0.6, 0.2, 0.8"]
    yield figures.matmul(np.eye(1), np.ones((1, 2)), [" Pip"]), ["1 by 1"]
    looks = np.eye(5)[[0, 0, 1, 2, 1]]
    yield (
        figures.maps({"before": looks, "even": W}, TOKENS, "Two heads"),
        [
            "before: nobody takes from a later token, and 3 of 4 tokens take most from the token before it",
            "(not ·kite: ·lost, 1.00)",
            "even: nobody takes from a later token, and every token takes the same from all it sees.",
        ],
    )
    long = np.tril(np.ones((40, 40)))
    long /= long.sum(1, keepdims=True)
    words = [f" w{i}" for i in range(40)]
    yield (
        figures.maps({str(i): long for i in range(3)}, words, rows=2),
        ["over 40 tokens", "2: nobody takes from a later token, and every token takes the same"],
    )
    yield (
        figures.arcs(TOKENS, [0.9, 0.1, 0, 0, 0], "From whom?"),
        ["·kite takes by far the most from ·Pip", "·Pip 0.90"],
    )
    yield figures.arcs(TOKENS[:1], [1.0], "Alone"), ["·Pip 1.00"]
    wide = {"plain": [1.0, 64.0], "scaled": [1.0, 1.0]}
    yield (
        figures.score_variance([1, 64], wide),
        ["plain rises from 1 to 64", "plain grows in proportion to it", "scaled does not grow"],
    )
    yield (
        figures.saturation([1, 64], {"plain": [0.2, 0.9]}, {"plain": [0.05, 0.001]}),
        ["rises from 0.20 to 0.90", "falls from 0.05 to 0.001"],
    )
    yield (
        figures.felt({"open": np.ones((5, 5)), "closed": np.tril(np.ones((5, 5)))}, TOKENS),
        ["open: every output felt every input, so there are 10 leaks", "closed: every output felt itself", "no leak"],
    )
    parts = np.repeat([[0, 0, 1, 1]], 5, axis=0)
    yield (
        figures.cut_into_heads({"right": parts, "wrong": np.sort(parts.flatten()).reshape(5, 4)}, TOKENS),
        [
            "right: every head gets a part of every token, head 0 features 0 and 1 and head 1 features 2 and 3",
            "wrong: the heads do not get the same",
            "head 0 gets all of ·Pip and ·lost and features 0 and 1 of ·a",
        ],
    )
    grows = {"explicit": [1.0, 16.0], "fused": [1.0, 4.0]}
    yield (
        figures.cost([128, 512], grows, grows),
        [
            "4 times as long",
            "explicit grows as its square, to 16 times as much",
            "fused grows in proportion to it, to 4 times as much",
            "explicit needs the most memory and takes the most time",
        ],
    )
    yield (
        figures.learning([0, 20, 40], [7, 3, 2], {"bigram": 2.7}),
        ["falls from 7.00 to 2.00", "stays below bigram (2.70) from step 40 on"],
    )
    yield (
        figures.by_distance({"one": [0.1, 0.7], "two": [0.4, 0.2]}),
        ["one: most goes 1 token back, 0.70; to itself 0.100", "two: most goes to the token itself"],
    )


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())


def test_equal_arcs_are_not_said_to_favor_anybody():
    assert "·kite takes the same from every token it sees" in figures.arcs(TOKENS, [0.2] * 5, "From whom?").alt


def test_a_leak_is_counted():
    one = np.tril(np.ones((5, 5)))
    one[0, 3] = 1
    assert "and 1 leak." in figures.felt({"nearly": one}, TOKENS).alt
    holes = np.eye(5)
    assert "5 of the 15 cells on and below the diagonal are filled" in figures.felt({"alone": holes}, TOKENS).alt


def test_a_level_that_is_not_reached_is_said_so():
    told = figures.learning([0, 20, 40], [7, 3, 2], {"bigram": 2.7, "5-gram": 0.7}).alt
    assert "does not get below 5-gram (0.70), 1.30 above it at the end" in told
