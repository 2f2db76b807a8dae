"""The figures of notebook 12: they say in words what they show, whatever they are given."""

import math
import warnings

import numpy as np

from course.figures import pretrained as figures


def pictures():
    matrix = np.arange(12.0).reshape(3, 4) / 100
    yield figures.two_layouts(matrix, matrix.T), ["3 rows of inputs", "is the left transposed"]
    yield figures.two_layouts(matrix, matrix.reshape(4, 3)), ["NOT the left transposed"]
    yield figures.two_layouts(np.zeros((2, 2)), np.zeros((2, 2)), row=0), ["input 0"]
    gaps = {"right": [0, 1e-7, 1e-6], "wrong": [0, 0.5, math.nan]}
    yield (
        figures.differences_by_layer(["embed", "0", "logits"], gaps, 1e-4),
        ["right: from 0.0e+00 at embed to 1.0e-06 at logits, never above 0.0001", "above 0.0001 first at 0"],
    )
    yield figures.differences_by_layer(["embed"], {"equal": [0.0]}, 1e-4), ["never above 0.0001"]
    sizes = {"wte": 3_000_000, "block 0": 900_000, "ln_f": 100_000}
    yield (
        figures.what_moves(sizes, ["block 0", "ln_f"]),
        ["Trained: block 0, ln_f, 1,000,000 of 4,000,000 parameters (25.0%)"],
    )
    yield figures.what_moves(sizes, []), ["Trained: nothing, 0 of"]
    yield figures.two_units({"bytes": 1.0, "words": 4.0}, 0.5), ["0.347 nats per token for bytes", "1.386 nats"]
    curves = {"all": ([0, 5, 10], [3.0, 2.0, 1.0]), "last": ([0, 10], [3.0, 2.5])}
    yield (
        figures.loss_by_step(curves, {"before": 3.2}, "Learning", "nats per token"),
        ["nats per token over 10 steps: all from 3.00 to 1.00", "last from 3.00 to 2.50", "before at 3.20"],
    )
    yield figures.loss_by_step(curves, {}, "Learning", "bits per byte"), ["bits per byte over 10 steps"]
    scores = {"plain": {"before": 0.2, "after": 0.5}, "pirate": {"before": 2.0, "after": 0.4}}
    yield (
        figures.before_and_after(scores, "bits per byte", "Forgetting"),
        ["plain: before 0.200, after 0.500; pirate: before 2.000, after 0.400"],
    )


def test_every_picture_says_what_it_shows_and_is_small():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a sign that the font does not have, or a layout that does not fit
        for picture, said in pictures():
            assert len(picture.png) < 100_000
            for words in said:
                assert words in picture.alt, picture.alt


def test_horizontal_lines_are_named_only_where_there_are_any():
    curves = {"all": ([0, 1], [2.0, 1.0])}
    assert "Horizontal" not in figures.loss_by_step(curves, {}, "Learning", "nats per token").alt
