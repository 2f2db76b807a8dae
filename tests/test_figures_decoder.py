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
        [
            "x from -3 to 3",
            "ReLU is 0 up to x = 0, then is x, with a corner at 0",
            "at most 1.00 away from zero, at x = 1",
        ],
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
        ["all 10 cells above the diagonal are exactly zero", "In every row the diagonal is darkest"],
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
    assert "at most 0.47 away from zero, at x = -2.7 and 2.7" in told


def test_a_function_that_is_zero_is_not_called_close_to_it():
    x = np.linspace(-5, 5, 1001)
    told = figures.activations(x, {"ReLU": np.maximum(x, 0), "soft": np.logaddexp(0, 9 * x) / 9}, 0 * x + 1e-4).alt
    assert "ReLU is 0 up to x = 0, then is x, with a corner at 0; soft is close to 0 up to x = " in told


def test_lines_of_one_form_are_told_alike():
    root = np.sqrt(0.02**2 + 0.2 * np.arange(13))
    told = figures.by_layer({"size": {"large": list(root), "small": list(root / 5)}}, "Sizes").alt
    form = "rises fast at first and then ever more slowly from"
    assert f"large {form} 0.02 to 1.5 by layer 12; small {form} 0.004 to 0.31 by layer 12." in told


def test_what_rises_on_the_whole_is_not_said_to_rise():
    for by_width, said in (([7.62, 7.68, 7.67], "rises on the whole:"), ([7.62, 7.63, 7.67], "rises:"),
                           ([7.62, 7.63, 7.6], "does not rise:")):  # fmt: skip
        told = figures.first_losses([64, 2048], [4.2, 7.65], [16, 64, 512], by_width, [7.63, 7.64, 7.73]).alt
        assert f"Measured, the loss {said}" in told


def test_what_comes_early_and_is_heard_better_is_told():
    at = np.arange(8)
    felt = np.tril(0.4 / (1 + at[:, None]) * np.ones((8, 8))) + np.eye(8)
    assert "from left to right" not in figures.influence(felt, list("abcdefgh")).alt
    told = figures.influence(felt / (1 + 0.5 * at * (at != at[:, None])), list("abcdefgh")).alt
    assert "paler the lower the row" in told and "and paler from left to right, from 0." in told
    noisy = np.tril(np.ones((4, 4)))
    noisy[3, 0] = 2
    assert "In 1 of 4 rows the diagonal is darkest" in figures.influence(noisy, list("abcd")).alt


def test_vectors_that_were_not_normalized_are_told():
    vectors = np.random.default_rng(0).normal(size=(3, 40)) * np.array([[1], [5], [2]])
    assert "After it they differ still" in figures.normalized(vectors, vectors, list("abc")).alt


def test_the_part_that_shrinks_is_told_bar_by_bar():
    told = figures.fractions(
        {"small": {"tokens": 30, "MLP": 20}, "xl": {"tokens": 10, "MLP": 90}}, "Where", "parameters"
    ).alt
    assert "The largest part: tokens in small, MLP in xl" in told and "tokens 60%, 10%; MLP 40%, 90%" in told
    even = {"keys": 30, "values": 30, "MLP": 20}
    told = figures.fractions({"long": even, "short": {"keys": 1, "values": 1, "MLP": 9}}, "Where", "FLOPs").alt
    assert "The largest part: keys and values in long, MLP in short" in told
    assert "keys and values are the largest parts of every bar" in figures.fractions({"long": even}, "Where", "F").alt


def test_a_limit_that_is_passed_is_told():
    told = figures.memory({"a": {"kept": 1e9}, "b": {"kept": 3e9}}, "Memory", {"a card": 2e9, "another": 9e9}).alt
    assert "marks a card: b passes it" in told and "marks another: every bar ends before it" in told
