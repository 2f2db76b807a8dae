"""The figures of notebook 07: they say in words what they show, whatever they are given."""

import math

import numpy as np

from course.figures import optimizing as figures
from course.figures import training
from tests.pictures import check_pictures


def log(scale=1.0):
    """A run's log with skills that arrive at steps 30 and never."""
    rows = []
    for step in range(10, 51, 10):
        row = {"step": step, "seconds": float(step), "loss": scale * 8 / step, "val_loss": scale * 9 / step}
        hero = {"nats": 2.5 if step < 30 else 0.1, "right": 0.1 if step < 30 else 0.9}
        row["skills"] = {"grammar": {"nats": 10 / step}, "hero": hero, "toy": {"nats": 2.4, "right": 0.1}}
        rows.append(row)
    return rows


def pictures():
    yield (
        figures.shifted(["<|endoftext|>", "Once", " upon", " a"]),
        ["inputs: end Once ·upon", "after it: Once ·upon ·a"],
    )
    losses = {"calm": np.full(50, 7.6), "loud": np.linspace(0, 30, 50)}
    yield figures.first_losses(losses, math.log(2048)), ["ln V at 7.62", "calm: mean 7.60", "loud: mean 15.00"]
    yield (
        figures.curves(
            {"a": [4.0, 2.0], "b": [4.0, 1.0]}, "A title", levels={"ln V": 7.6}, marks={"here": 2}, log=True
        ),
        ["A title", "a from 4 to 2", "b from 4 to 1", "ln V at 7.6", "here is marked at 2"],
    )
    yield figures.curves({"one": [1.0, 3.0, 2.0]}, "Alone", x=range(0, 30, 10)), ["one from 1 to 2"]
    paths = {"straight": [(-2.0, 0.5), (-1.0, 0.2), (0.0, 0.0)], "none": [(-2.0, 0.0), (-2.0, 0.0)]}
    long = {"along": ([[1.0, 0.0], [0.0, 40.0]], paths), "turned": ([[20.5, -19.5], [-19.5, 20.5]], paths)}
    yield figures.valleys(long), ["along: straight is 0 away", "after 2 steps", "turned: none is 2 away"]
    yield (
        figures.spectra({"loud": [8.0, 2.0, 0.08], "even": [1.0, 1.0, 1.0]}, "Sizes"),
        ["loud: the middle one is 0.25", "even: the middle one is 1"],
    )
    lrs = [1e-3, 1e-2, 1e-1]
    yield figures.sweep(lrs, {"with": [5.0, 3.0, math.nan]}, 7.6), ["with: lowest, 3.00, at 0.01", "training: 7.60"]
    samples = {"few": [(1.0, 0.2), (1.3, 0.1)], "many": [(1.1, 0.05), (1.1, 0.05)]}
    yield figures.measured_again(samples, 1.1, "Again"), ["few: from 1.000 to 1.300, 2 of 2", "many"]
    yield figures.measured_again({"bad": [(2.0, 0.1)]}, 1.0, "Again"), ["0 of 1 bars reach"]
    yield figures.bars({"right": 1e-7, "wrong": 0.5}, "How far?", "fraction"), ["right 1e-07", "wrong 0.5"]
    levels = {"trigram": 1.2, "5-gram": 0.74}
    yield (
        training.towards_the_floor(log(), levels, 0.4, 100),
        ["50 of 100 steps", "validation loss goes from 0.90 to 0.18", "trigram stands at 1.20", "the floor is 0.40"],
    )
    yield training.towards_the_floor([], levels, None, 100), ["0 of 100 steps"]
    yield (
        training.skills(log(), {"hero": 0.1, "toy": 0.1}, 50),
        ["grammar: the loss goes from 1.00 to 0.20", "hero: 90% right", "half are right from step 30", "never half"],
    )
    yield training.skills([], {}, 50), ["Nothing measured yet"]
    runs = {"AdamW": [log(2.0), log(2.2)], "Muon": [log()]}
    yield training.compared(runs, 0.1, "Equal time"), ["AdamW, 2 runs: at the end 3.60 to 3.96", "Muon, 1 run: at"]


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())
