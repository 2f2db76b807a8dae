"""The figures of the decoder: they say in words what they show, whatever they are given."""

import math
import warnings

import numpy as np

from course.figures import decoder as figures
from helpers.model import GPTConfig


def pictures():
    yield (
        figures.decoder(GPTConfig.gpt2("small")),
        ["12 blocks", "attention (12 heads)", "768 to 3,072 to 768"],
    )
    yield figures.decoder(GPTConfig.gpt2("xl")), ["48 blocks", "1,600 to 6,400 to 1,600"]
    yield (
        figures.block_orders(),
        ["stands on the branch, before its layer", "stands on the line itself, behind a plus sign"],
    )
    generator = np.random.default_rng(0)
    before = generator.normal(3, 2, (4, 50)) * np.array([[1], [10], [1], [0.1]])
    after = (before - before.mean(1, keepdims=True)) / before.std(1, keepdims=True)
    yield figures.normalized(before, after, ["Once", " upon", " a", " time"]), ["4 vectors", "standard deviation 1.00"]
    x = np.linspace(-3, 3, 61)
    yield (
        figures.activations(
            x, {"ReLU": np.maximum(x, 0), "GELU": x / (1 + np.exp(-1.7 * x))}, 0.001 * np.exp(-((x - 1) ** 2))
        ),
        ["ReLU, GELU from -3 to 3", "x = 1.0, by 0.0010"],
    )
    curves = {"pre-LN": [1.0, 1.5, 2.0], "post-LN": [1.0, 1.0, 1.0]}
    yield figures.by_layer({"size": curves}, "Sizes"), ["size, pre-LN: from 1 to 2", "post-LN: from 1 to 1"]
    gaps = {"pre-LN": [math.nan, 0.5, 0.25], "post-LN": [math.nan, 1.0, 1.0]}
    yield figures.by_layer({"size": curves, "slope": gaps}, "Two"), ["slope, pre-LN: from 0.5 to 0.25"]
    yield figures.by_layer({"size": {"plain": [1, 1e-9]}}, "Powers", log=True), ["from 1 to 1e-09"]
    yield (
        figures.first_losses([64, 2048], [4.2, 7.65], [16, 512], [7.63, 7.73], [7.628, 7.727]),
        ["4.20 for 64, 7.65 for 2,048", "ln V = 7.625", "7.730 at 512 (formula 7.727)"],
    )
    felt = np.tril(np.ones((5, 5))) + np.eye(5)
    yield figures.influence(felt, ["Once", " upon", " a", " time", "<|endoftext|>"]), ["10 are exactly zero", "100%"]
    parts = {"tokens": 300, "positions": 5, "attention": 200, "MLP": 400, "LayerNorms": 1}
    yield (
        figures.fractions({"small": parts, "large": parts}, "Where they are", "parameters"),
        ["Where they are", "small, 906 parameters, most in: MLP (44%)"],
    )
    yield (
        figures.memory({"a": {"parameters": 5e8, "kept": 1e9}, "b": {"parameters": 5e8}}, "Memory"),
        ["a: 1.5 GB; b: 0.5"],
    )


def test_every_picture_says_what_it_shows_and_is_small():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a sign that the font does not have, or a layout that does not fit
        for picture, said in pictures():
            assert len(picture.png) < 100_000
            assert "nan" not in picture.alt
            for words in said:
                assert words in picture.alt, picture.alt


def test_a_leak_is_told():
    leaky = np.ones((4, 4))
    assert "Of the 6 cells in the future 0 are exactly zero" in figures.influence(leaky, list("abcd")).alt
