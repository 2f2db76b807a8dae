"""The figures of notebook 12: they say in words what they show, whatever they are given."""

import math
import warnings

import numpy as np

from course.figures import pretrained as figures


def pictures():
    matrix = np.arange(12.0).reshape(3, 4) / 100
    yield (
        figures.two_layouts(matrix, matrix.T),
        ["The same 12 numbers twice", "3 rows of inputs by 4", "is the left transposed"],
    )
    yield figures.two_layouts(matrix, matrix.reshape(4, 3)), ["NOT the left transposed"]
    yield figures.two_layouts(np.zeros((2, 2)), np.zeros((2, 2)), row=0), ["input 0"]
    gaps = {"right": [0, 1e-7, 1e-6], "wrong": [0, 0.5, math.nan]}
    yield (
        figures.differences_by_layer(["embed", "0", "logits"], gaps, 1e-4),
        [
            "with a line at 0.0001",
            "Right never leaves it: at most 1e-06",
            "wrong first leaves it at 0, from 0e+00 at embed",
            "stays above it (no number at logits)",
        ],
    )
    yield figures.differences_by_layer(["embed"], {"equal": [0.0]}, 1e-4), ["Equal never leaves it"]
    yield (
        figures.differences_by_layer(["embed", "0", "1"], {"there and back": [0, 0.5, 0]}, 1e-4),
        ["first leaves it at 0, from 0e+00 at embed, and comes back below it at 1"],
    )
    sizes = {"wte": 3_000_000, "block 0": 900_000, "ln_f": 100_000}
    yield (
        figures.what_moves(sizes, ["block 0", "ln_f"]),
        [
            "25.0% of the parameters are trained, 1,000,000 of 4,000,000: those of block 0 and ln_f",
            "Frozen: wte.",
            "The longest of the 3 bars is wte",
        ],
    )
    yield figures.what_moves(sizes, []), ["Nothing is trained, 0 of", "Frozen: wte, block 0 and ln_f."]
    blocks = {"wte": 5} | {f"block {i}": 9 for i in (0, 1, 2, 4)}
    yield figures.what_moves(blocks, ["wte"]), ["Frozen: block 0 to block 2 and block 4."]
    yield figures.what_moves(sizes, list(sizes)), ["100.0% of the parameters", "Nothing is frozen."]
    yield (
        figures.two_units({"bytes": 1.0, "words": 4.0}, 0.5),
        ["0.347 nats per token for bytes, 1.386 nats", "flattest is bytes (1.00 bytes a token), steepest words (4.00)"],
    )
    curves = {"all": ([0, 5, 10], [3.0, 2.0, 1.0]), "last": ([0, 10], [3.0, 2.5])}
    yield (
        figures.loss_by_step(curves, {"before": 3.2}, "Learning", "nats per token"),
        [
            "Nats per token over 10 training steps. At the end, the lowest first: all 1.00, last 2.50.",
            "All falls from 3.00 to 1.00",
            "last falls from 3.00 to 2.50",
            "a line marks before at 3.20, all and last below it at the end",
        ],
    )
    yield (
        figures.loss_by_step(curves, {"goal": 2.0}, "Learning", "bits per byte"),
        ["Bits per byte over 10 training steps", "goal at 2.00, all below, last above it at the end"],
    )
    scores = {"plain": {"before": 0.2, "after": 0.5}, "pirate": {"before": 2.0, "after": 0.4}}
    yield (
        figures.before_and_after(scores, "bits per byte", "Forgetting"),
        [
            "Plain, before 0.200; higher: after 0.500.",
            "Pirate, before 2.000; lower: after 0.400.",
            "before on plain, after on pirate",
        ],
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
    assert "a line marks" not in figures.loss_by_step(curves, {}, "Learning", "nats per token").alt
