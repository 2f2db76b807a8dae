"""The figures of a run on a GPU say in words what they show; a profiler's table is added up, no moment twice."""

import os
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from course.bench import profiling
from course.bench.planning import RandomBatches
from course.figures import gpu_runs as figures
from helpers.model import GPT, GPTConfig
from helpers.settings import TrainingSettings
from helpers.train_step import TrainStep
from tests.pictures import check_pictures

LOADED = [("load", 0.0, 0.02), ("step", 0.02, 0.05)]
BAND = [{"minutes": 5, "bits_per_byte": (0.7, 0.9)}, {"minutes": 60, "bits_per_byte": (0.4, 0.5)}]
WIDTHS = [
    {"width": 256, "parameters": 9_400_000, "enough": False, "minutes": (18.0, 29.0)},
    {"width": 384, "parameters": 21_200_000, "enough": True, "minutes": (36.0, 58.0)},
    {"width": 512, "parameters": 37_700_000, "enough": True, "minutes": (61.0, 97.0)},
]


def pictures():
    kinds = {"matrix multiplications": 0.06, "softmax and the loss": 0.02}
    yield (
        figures.step_by_kind(kinds, 0.1, "this CPU"),
        [
            "Matrix multiplications and softmax and the loss together take 80% of a step on this CPU, 100 ms in all.",
            "matrix multiplications 60%",
            "in no operation 20%",
        ],
    )
    yield (
        figures.step_by_kind(kinds, 0.05, "a GPU"),
        ["Matrix multiplications alone take 120%", "in no operation 0%"],
    )
    yield figures.step_by_kind(kinds | {"GELU": 0.0001}, 0.1, "a GPU"), ["GELU below 1%"]
    yield (
        figures.loading({"one after the other": LOADED, "meanwhile": LOADED[:1] + [("step", 0.01, 0.04)]}),
        [
            "One after the other: loading and computing take turns, never both at once, 50 ms in all.",
            "Meanwhile: 50% of the loading goes on while a step is computed, 40 ms in all.",
            "One after the other takes 1.2 times as long as meanwhile.",
        ],
    )
    yield (
        figures.loss_by_minute({"a model on a T4": BAND}, {"a target": 0.5}),
        [
            "a line at 0.50 marks a target",
            "falls from between 0.70 and 0.90 after 5 minutes to between 0.40 and 0.50 after 60",
            "it reaches 0.50 after 60 minutes, wholly after 60",
        ],
    )
    goals = {"high": 0.8, "edge": 0.45, "low": 0.1}
    yield (
        figures.loss_by_minute({"a model": BAND}, goals),
        [
            "it reaches 0.80 after 5 minutes, wholly after 60",
            "it reaches 0.45 after 60 minutes, by its lower edge alone",
            "it never reaches 0.10",
        ],
    )
    yield (
        figures.minutes_by_width(WIDTHS, "0.50 bits per byte", 384),
        [
            "Minutes to 0.50 bits per byte",
            "the wider, the longer it takes",
            "Chosen is 384 wide, the quickest of those with enough weights.",
            "too few to get there: 256 wide",
            "256 wide 18 to 29; 384 wide 36 to 58;",
        ],
    )
    turned = [WIDTHS[1] | {"width": 800}, WIDTHS[2]]
    slower = figures.minutes_by_width(turned, "0.50", 512)
    yield slower, ["Chosen is 512 wide."]
    assert "quickest" not in slower.alt and "the longer" not in slower.alt
    yield (
        figures.disk_over_time({"here": [(0, 2e9), (60, 5.5e9)], "away": [(0, 0.0), (60, 4e10)]}, {"Drive": 15e9}),
        [
            "Here reaches 5.5 GB after 60 minutes, below Drive all the time",
            "away reaches 40.0 GB after 60 minutes, and goes beyond Drive after 60",
            "a line at 15 GB marks Drive",
        ],
    )
    full = {"early": [(0, 2e9), (6, 5e9), (60, 5e9)], "emptied": [(0, 8e9), (30, 1e9)]}
    yield (
        figures.disk_over_time(full, {}),
        ["Early reaches 5.0 GB after 6 minutes and stays there; emptied has 8.0 GB, 1.0 at the end."],
    )


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())


# ---------------------------------------------------------------------- the profiler's table


def watched(**settings):
    """A profiler's table of one step of a small model."""
    config = GPTConfig(300, 16, n_layer=2, n_head=2, d_model=16)
    torch.manual_seed(0)
    step = TrainStep(GPT(config).train(), RandomBatches(300, 2, 16), TrainingSettings.of(batch_size=2, **settings))
    step.step(1, lambda: 1.0)
    with profiling.quietly(), profile(activities=[ProfilerActivity.CPU]) as profiler:
        step.step(2, lambda: 1.0)
    return profiler.key_averages()


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_all_of_a_steps_time_is_in_the_kinds_and_each_kind_is_there(kind):
    events = watched(kind=kind)
    found = profiling.seconds_by_kind(events)
    assert sum(found.values()) == pytest.approx(sum(event.self_cpu_time_total for event in events) / 1e6)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert set(found) >= {
        "matrix multiplications", "attention", "softmax and the loss", "LayerNorm", "GELU", "embeddings",
        "the optimizer, clipping", "adding, filling, copying",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::addmm", "matrix multiplications"),
        ("autograd::engine::evaluate_function: MmBackward0", "matrix multiplications"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::_log_softmax_backward_data", "softmax and the loss"),
        ("LogSoftmaxBackward0", "softmax and the loss"),
        ("aten::native_layer_norm", "LayerNorm"),
        ("aten::_fused_adamw_", "the optimizer, clipping"),
        ("Optimizer.step#AdamW.step", "the optimizer, clipping"),
        ("aten::embedding_dense_backward", "embeddings"),
        ("aten::add_", "adding, filling, copying"),
        ("triton_poi_fused_add_gelu_0", "fused by torch.compile"),
        ("aten::empty", "all other"),
    ],
)
def test_an_operator_has_its_kind(name, kind):
    assert profiling.kind_of(name) == kind


def test_on_a_gpu_the_time_of_kernels_counts_once():
    """As the table has it there: an operator with the time of its kernels, and the kernels a second time."""
    mm = SimpleNamespace(
        key="aten::mm", device_type=DeviceType.CPU, self_cpu_time_total=5.0, self_device_time_total=900.0
    )
    kernel = SimpleNamespace(
        key="sm80_gemm_mm", device_type=DeviceType.CUDA, self_cpu_time_total=0.0, self_device_time_total=900.0
    )
    view = SimpleNamespace(
        key="aten::view", device_type=DeviceType.CPU, self_cpu_time_total=3.0, self_device_time_total=0.0
    )
    assert profiling.seconds_by_kind([mm, kernel, view], on_gpu=True) == {"matrix multiplications": pytest.approx(9e-4)}
    assert profiling.seconds_by_kind([mm, kernel, view]) == pytest.approx(
        {"matrix multiplications": 5e-6, "all other": 3e-6}
    )


def test_the_profilers_own_lines_are_not_seen_and_errors_still_are(capfd):
    watched()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
