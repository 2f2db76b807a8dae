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
    yield figures.maps({"before": looks, "even": W}, TOKENS, "Two heads"), ["before: ·kite takes most from ·lost, 1.00"]
    long = np.tril(np.ones((40, 40)))
    long /= long.sum(1, keepdims=True)
    words = [f" w{i}" for i in range(40)]
    yield figures.maps({str(i): long for i in range(3)}, words, rows=2), ["over 40 tokens", "2: ·w39 takes most"]
    yield figures.arcs(TOKENS, [0.9, 0.1, 0, 0, 0], "From whom?"), ["from ·kite", "·Pip 0.90"]
    yield figures.arcs(TOKENS[:1], [1.0], "Alone"), ["·Pip 1.00"]
    wide = {"plain": [1.0, 64.0], "scaled": [1.0, 1.0]}
    yield figures.score_variance([1, 64], wide), ["plain from 1 to 64", "scaled from 1 to 1"]
    yield (
        figures.saturation([1, 64], {"plain": [0.2, 0.9]}, {"plain": [0.05, 0.001]}),
        ["0.20 to 0.90", "0.050 to 0.001"],
    )
    yield (
        figures.felt({"open": np.ones((5, 5)), "closed": np.tril(np.ones((5, 5)))}, TOKENS),
        ["open: 10 outputs", "closed: 0 outputs"],
    )
    parts = np.repeat([[0, 0, 1, 1]], 5, axis=0)
    yield (
        figures.cut_into_heads({"right": parts, "wrong": np.sort(parts.flatten()).reshape(5, 4)}, TOKENS),
        ["right: every head gets a part of every token", "wrong: tokens are torn apart"],
    )
    grows = {"explicit": [1.0, 16.0], "fused": [1.0, 4.0]}
    yield (
        figures.cost([128, 512], grows, grows),
        ["a sequence 4 times as long", "explicit times 16, fused times 4", "explicit takes the most time"],
    )
    yield figures.learning([0, 20, 40], [7, 3, 2], {"bigram": 2.7}), ["from 7.00 to 2.00", "bigram at 2.70"]
    yield (
        figures.by_distance({"one": [0.1, 0.7], "two": [0.4, 0.2]}),
        ["one: most at distance 1", "two: most at distance 0"],
    )


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())
