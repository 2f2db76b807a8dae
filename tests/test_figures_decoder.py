"""The figures of the decoder: they say in words what they show, whatever they are given."""

import math
import warnings

import numpy as np
import torch
import torch.nn.functional as F

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
    yield (
        figures.normalized(before, after, ["Once", " upon", " a", " time"]),
        ["4 vectors", "all have mean 0 and standard deviation 1.00"],
    )
    x = np.linspace(-3, 3, 61)
    yield (
        figures.activations(
            x, {"ReLU": np.maximum(x, 0), "GELU": x / (1 + np.exp(-1.7 * x))}, 0.001 * np.exp(-((x - 1) ** 2))
        ),
        ["x from -3 to 3", "ReLU is 0 up to x = 0, then is x, with a corner at 0", "never more than 1.0, at x = 1.0"],
    )
    curves = {"pre-LN": [1.0, 1.5, 2.0], "post-LN": [1.0, 1.0, 1.0]}
    yield figures.by_layer({"size": curves}, "Sizes"), ["size: pre-LN rises from 1 to 2", "post-LN stays at 1"]
    gaps = {"pre-LN": [math.nan, 0.5, 0.25], "post-LN": [math.nan, 1.0, 1.0]}
    yield figures.by_layer({"size": curves, "slope": gaps}, "Two"), ["slope: pre-LN falls from 0.5 to 0.25"]
    yield figures.by_layer({"size": {"plain": [1, 1e-9]}}, "Powers", log=True), ["plain falls from 1 to 1e-09"]
    yield (
        figures.first_losses([64, 2048], [4.2, 7.65], [16, 512], [7.63, 7.73], [7.628, 7.727]),
        ["lie on it", "4.20 for 64, 7.65 for 2,048", "flat at 7.625", "the points follow it", "7.730 at 512"],
    )
    felt = np.tril(np.ones((5, 5))) + np.eye(5)
    yield (
        figures.influence(felt, ["Once", " upon", " a", " time", "<|endoftext|>"]),
        ["all 10 cells above the diagonal are exactly zero", "100%"],
    )
    parts = {"tokens": 300, "positions": 5, "attention": 200, "MLP": 400, "LayerNorms": 1}
    yield (
        figures.fractions({"small": parts, "large": parts}, "Where they are", "parameters"),
        ["Where they are", "MLP is the largest part of every bar", "MLP 44%, 44%", "small 906"],
    )
    yield (
        figures.memory({"a": {"parameters": 5e8, "kept": 1e9}, "b": {"parameters": 5e8}}, "Memory"),
        ["a: 1.5 GB, most of it kept (67%)", "b: 0.5 GB"],
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
    assert (
        "The future leaks: of 6 cells above the diagonal 6 are not zero" in figures.influence(leaky, list("abcd")).alt
    )


def test_a_function_that_dips_is_told_from_one_with_a_corner():
    x = torch.linspace(-5, 5, 201)
    curves = {"ReLU": x.relu().numpy(), "GELU": F.gelu(x).numpy()}
    told = figures.activations(x.numpy(), curves, (F.gelu(x, approximate="tanh") - F.gelu(x)).numpy()).alt
    relu, gelu = told.split("; GELU")
    assert "with a corner at 0" in relu and "dips" not in relu
    assert "dips to -0.17 at x = -0.75" in gelu and "corner" not in gelu
    assert "peaks at x = -2.7 and 2.7, troughs at x = -1.3 and 1.3" in told


def test_vectors_that_were_not_normalized_are_told():
    vectors = np.random.default_rng(0).normal(size=(3, 40)) * np.array([[1], [5], [2]])
    assert "After it they differ still" in figures.normalized(vectors, vectors, list("abc")).alt


def test_the_part_that_shrinks_is_told_bar_by_bar():
    told = figures.fractions(
        {"small": {"tokens": 30, "MLP": 20}, "xl": {"tokens": 10, "MLP": 90}}, "Where", "parameters"
    ).alt
    assert "The largest part: tokens in small, MLP in xl" in told and "tokens 60%, 10%; MLP 40%, 90%" in told


def test_a_limit_that_is_passed_is_told():
    told = figures.memory({"a": {"kept": 1e9}, "b": {"kept": 3e9}}, "Memory", {"a card": 2e9, "another": 9e9}).alt
    assert "marks a card: b passes it" in told and "marks another: every bar ends before it" in told
