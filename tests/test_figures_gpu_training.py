"""The figures of training on a GPU: they say in words what they show, whatever they are given."""

import math
import warnings

import torch

from course.figures import decoder
from course.figures import gpu_hardware as hardware
from course.figures import gpu_training as figures

GB = {"weights": 5e8, "logits": 2e9}
ROWS = [
    {"name": "plain", "tokens_per_second": 100.0, "peak_bytes": 4e8},
    {"name": "+ half", "tokens_per_second": None, "peak_bytes": None},
    {"name": "+ slices", "tokens_per_second": 250.0, "peak_bytes": 1e8},
]
REPORTED = [("others", 500e6, 1.294), ("a course", 41e6, 2.0)]
PANELS = [  # title, roofs, kernels
    ("measured", {"a CPU": (1e11, 1e10)}, {"matmul": (500.0, 9e10), "GELU": (2.0, 1e10)}),
    (
        "by data sheets",
        {"T4": (65e12, 320e9), "H100": (989e12, 3.35e12)},
        {"GELU": (2.0, None), "attention": (20, None)},
    ),
]
OWN = [(10_000, 5.0), (20_000, 2.5)]


def pictures():
    formats = {"float32": (8, 23), "bfloat16": (8, 7)}
    yield (
        figures.number_formats(formats),
        [
            "Beside float32: bfloat16 the same range, coarser in its spacing.",
            "float32 has 8 of exponent and 23 of fraction, 32 in all",
        ],
    )
    many = {"float32": (8, 23), "float16": (5, 10), "float64": (11, 52)}
    yield figures.number_formats(many), ["float16 less range, coarser", "float64 more range, finer in its spacing"]
    yield figures.number_formats({"int": (0, 7)}), ["Bits drawn as boxes"]
    yield (
        figures.small_gradients({-30: 3, -10: 1}, -24, 15, 16),
        [
            "As they are: 75 per cent are too small for float16 and 0 per cent too large; the highest bar stands",
            "Times 2^16: 0 per cent are too small",
            "moved 16 powers of two to the right",
        ],
    )
    yield (
        figures.small_gradients({-3: 1, 12: 3}, -24, 15, 16),
        ["Times 2^16: 0 per cent are too small", "75 per cent too"],
    )
    yield (
        figures.loss_scale([32.0, 16.0, 16.0, 32.0], [1, 2]),
        [
            "falls from 2^5 to 2^4 in the first 2 steps, each of which overflows",
            "between 2^4 and 2^5 over 2 steps, and no",
        ],
    )
    yield (
        figures.loss_scale([8.0, 8.0], []),
        ["The loss scale stays at 8 over 2 steps, and no step of these is left out"],
    )
    yield (
        figures.loss_scale([8.0, 8.0, 4.0], [3]),
        ["between 4 and 8 over 3 steps, and 1 step (3) of these is left out"],
    )
    yield figures.loss_scale([8.0, 4.0], [1, 2]), ["falls from 8 to 4 in the first 2 steps"]
    yield (
        figures.options_in_turn(ROWS, "this processor"),
        [
            "On this processor all options together give 2.50 times the tokens a second; + slices adds most",
            "from 0.40 to 0.10 GB; + slices saves most, 0.30 GB",
            "plain 100, + slices 250",
            "Not measured here: + half",
        ],
    )
    yield figures.options_in_turn([ROWS[0]], "a GPU"), ["One row of bars on a GPU", "plain 100"]
    worse = figures.options_in_turn([ROWS[2], ROWS[0]], "a GPU")
    yield worse, ["all options together give 0.40 times"]
    assert "adds most" not in worse.alt and "saves most" not in worse.alt
    yield (
        figures.beside_the_others(OWN, {"floor": 0.4}, REPORTED, {}),
        [
            "falls from 5.00 to 2.50 by 0.02 million tokens",
            "It ends above floor, 0.40.",
            "others 1.29 after 500 million",
            "No run on a GPU has been recorded yet",
        ],
    )
    curves = {"recorded: Tesla T4": [(0, 10.8), (1e6, 3.0), (9e7, 1.9)]}
    yield figures.beside_the_others(OWN, {}, REPORTED, curves, own_on_gpu=True), ["Recorded: recorded: Tesla T4."]
    yield (
        hardware.parts_of_a_gpu("T4", 40, 64, 8, 16e9, 320e9),
        ["40 multiprocessors", "64 plain cores, 8 matrix units", "16 GB", "320 GB a second"],
    )
    yield hardware.parts_of_a_gpu("H100", 132, 128, 4, 80e9, 3.35e12), ["132 multiprocessors", "3,350 GB a second"]
    yield (
        hardware.roofline(PANELS),
        [
            "A CPU (turns at 10 operations a byte): GELU under the slope, memory bound; matmul under the flat",
            "As measured, of what the roof allows: matmul 90%, GELU 50%.",
            "T4 (turns at 203 operations a byte) and H100 (turns at 295 operations a byte): GELU and attention under",
        ],
    )
    yield decoder.memory({"float32": GB}, "Memory", {"a T4": 16e9}), ["float32: 2.5 GB", "a line at 16.0 GB marks a T4"]


def test_every_picture_says_what_it_shows_and_is_small():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture, said in pictures():
            assert len(picture.png) < 100_000
            assert "nan" not in picture.alt
            for words in said:
                assert words in picture.alt, picture.alt


def test_exponents_are_those_of_frexp():
    values = torch.cat([torch.randn(500), torch.zeros(3), torch.tensor([1.0, 2.0, 0.5, -4.0, 1e-42])])
    expected = {}
    for value in values.tolist():
        if value:
            exponent = math.frexp(value)[1] - 1
            expected[exponent] = expected.get(exponent, 0) + 1
    assert figures.exponents(values) == expected
