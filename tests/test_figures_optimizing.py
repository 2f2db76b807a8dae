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
        ["inputs: end Once ·upon", "target: Once ·upon ·a"],
    )
    losses = {"calm": np.full(50, 7.6), "loud": np.linspace(0, 30, 50)}
    yield (
        figures.first_losses(losses, math.log(2048)),
        ["ln V, 7.62", "calm: a narrow heap at the line, 100%", "loud: spread out"],
    )
    yield (
        figures.curves(
            {"a": [4.0, 2.0], "b": [4.0, 1.0]}, "A title", levels={"ln V": 7.6}, marks={"here": 2}, log=True
        ),
        [
            "A title",
            "a falls from 4 to 2",
            "b falls from 4 to 1",
            "All end below the level ln V, 7.6",
            "Marked: here at step 2",
            "Lowest at the end first: b 1, a 2",
        ],
    )
    yield (
        figures.curves({"one": [1.0, 3.0, 2.0]}, "Alone", x=range(0, 30, 10)),
        ["one rises from 1 to 3 by step 10, then falls to 2 by step 20"],
    )
    paths = {"straight": [(-2.0, 0.5), (-1.0, 0.2), (0.0, 0.0)], "none": [(-2.0, 0.0), (-2.0, 0.0)]}
    long = {"along": ([[1.0, 0.0], [0.0, 40.0]], paths), "turned": ([[20.5, -19.5], [-19.5, 20.5]], paths)}
    yield (
        figures.valleys(long),
        ["Paths of 2 steps", "along: straight", ", 0 away", "none does not swing from wall to wall, 2 away"],
    )
    yield (
        figures.spectra({"loud": [8.0, 2.0, 0.08], "even": [1.0, 1.0, 1.0]}, "Sizes"),
        ["loud: 2 of 3 directions", "the middle one 0.25", "even: 3 of 3", "even stays highest"],
    )
    lrs = [1e-3, 1e-2, 1e-1]
    yield (
        figures.sweep(lrs, {"with": [5.0, 3.0, math.nan]}, 7.6),
        ["with is lowest at 0.01, 3.00", "training, 7.60", "Not better than before training: with at 0.1"],
    )
    samples = {"few": [(1.0, 0.2), (1.3, 0.1)], "many": [(1.1, 0.05), (1.1, 0.05)]}
    yield (
        figures.measured_again(samples, 1.1, "Again"),
        ["few: the points lie between 1.000 and 1.300, and 2 of 2", "3.0 times as long"],
    )
    yield figures.measured_again({"bad": [(2.0, 0.1)]}, 1.0, "Again"), ["0 of 1 bars reach the line"]
    yield (
        figures.bars({"right": 1e-7, "wrong": 0.5}, "How far?", "fraction"),
        ["wrong 0.5, right 1e-07", "right is too short to be seen"],
    )
    levels = {"trigram": 1.2, "5-gram": 0.74}
    yield (
        training.towards_the_floor(log(), levels, 0.4, 100),
        [
            "50 of 100 steps",
            "The validation loss falls fast at first and then ever more slowly from 0.90 to 0.18",
            "5-gram (0.74) from step 20 on",
            "a line at 0.40",
        ],
    )
    yield training.towards_the_floor([], levels, None, 100), ["0 of 100 steps"]
    yield (
        training.skills(log(), {"hero": 0.1, "toy": 0.1}, 50),
        [
            "loss of grammar falls fast at first",
            "from 1.00 to 0.20",
            "hero at step 30, below 20% up to step 20",
            "90% at the end",
            "toy never half",
        ],
    )
    yield training.skills([], {}, 50), ["Nothing measured yet"]
    runs = {"AdamW": [log(2.0), log(2.2)], "Muon": [log()]}
    yield (
        training.compared(runs, 0.1, "Equal time"),
        ["AdamW, 2 runs, 3.60 to 3.96; Muon, 1 run, 1.80", "All runs of Muon end below all of AdamW", "1.80 apart"],
    )


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())


def test_four_schedules_are_four_shapes():
    done = np.arange(201) / 200
    up, late = np.minimum(done / 0.1, 1), np.maximum(done - 0.1, 0) / 0.9
    lines = {
        "cosine": np.where(done < 0.1, up, 0.55 + 0.45 * np.cos(np.pi * late)),
        "straight": np.where(done < 0.1, up, 1 - 0.9 * late),
        "stay": np.where(done < 0.8, up, 1 - 0.9 * (done - 0.8) / 0.2),
        "constant": up,
    }
    told = {
        name: figures.curves({name: line}, "Schedules", x=range(201), zero=True).alt for name, line in lines.items()
    }
    assert all("rises in a straight line from 0 to 1 by step 20" in text for text in told.values())
    assert "then falls along half a cosine to 0.1 by step 200" in told["cosine"]
    assert "then falls in a straight line to 0.1 by step 200" in told["straight"]
    assert "then stays near 1 up to step 16" in told["stay"] and "falls in a straight line to 0.1" in told["stay"]
    assert "falls" not in told["constant"]
    together = figures.curves(lines, "Schedules", x=range(201), zero=True).alt
    for name in lines:
        assert f"{name} rises" in together or f"{name} lies on" in together


def test_a_swing_from_wall_to_wall_is_told_and_whom_a_turn_concerns():
    steps = np.arange(20)
    swinging = np.stack([-2 * 0.9**steps, 0.5 * (-0.9) ** steps], axis=1)
    gliding = np.stack([-2 * 0.5**steps, 0.5 * 0.5**steps], axis=1)
    turn = np.array([[1, -1], [1, 1]]) / 2**0.5
    turned = (turn @ np.diag([1.0, 40.0]) @ turn.T).tolist()
    told = figures.valleys({
        "along": (np.diag([1.0, 40.0]).tolist(), {"plain": swinging, "scaled": gliding}),
        "turned": (turned, {"plain": swinging @ turn.T, "scaled": swinging @ turn.T}),
    }).alt  # fmt: skip
    assert "along: plain crosses the valley 19 times" in told and "scaled does not swing from wall to wall" in told
    assert "turned: plain crosses the valley 19 times" in told
    assert "more than a factor of two for scaled alone" in told


def test_runs_that_overlap_are_not_said_to_win():
    told = training.compared({"AdamW": [log(2.0), log(2.2)], "Muon": [log(2.1)]}, 0.1, "Equal time").alt
    assert "overlap" in told and "All runs" not in told
