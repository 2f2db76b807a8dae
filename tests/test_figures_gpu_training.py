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
    yield figures.number_formats(formats), ["float32 has 8 bits of exponent and 23 of fraction", "bfloat16 has 8"]
    yield (
        figures.small_gradients({-30: 3, -10: 1}, -24, 15, 16),
        ["as they are, 75 per cent lie below", "times 2^16, 0 per cent lie below"],
    )
    yield figures.small_gradients({-3: 1, 12: 3}, -24, 15, 16), ["times 2^16, 0 per cent lie below", "and 75 above"]
    yield figures.loss_scale([8.0, 4.0, 4.0, 8.0], [1, 2]), ["over 4 steps goes from 8 to 8", "2 steps were left out"]
    yield figures.loss_scale([8.0, 8.0], []), ["0 steps were left out"]
    yield (
        figures.options_in_turn(ROWS, "this processor"),
        ["plain 100, + slices 250", "from 0.40 to 0.10 GB", "Not measured here: + half"],
    )
    yield figures.options_in_turn([ROWS[0]], "a GPU"), ["on a GPU: plain 100"]
    yield (
        figures.beside_the_others(OWN, {"floor": 0.4}, REPORTED, {}),
        ["from 5.00 to 2.50", "others 1.29 after 500 million", "No run on a GPU has been recorded yet"],
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
        ["a CPU: the roof turns at 10 operations a byte. Memory bound: GELU; compute bound: matmul.",
         "matmul reached 90 GFLOPs a second at 500.0 operations a byte", "T4: the roof turns at 203",
         "H100: the roof turns at 295", "Memory bound: GELU, attention; compute bound: none."],
    )  # fmt: skip
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
