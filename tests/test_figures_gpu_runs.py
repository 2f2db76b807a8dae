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
        ["on this CPU, 100 ms in all", "matrix multiplications 60%", "in no operation 20%"],
    )
    yield figures.step_by_kind(kinds, 0.05, "a GPU"), ["matrix multiplications 120%", "in no operation 0%"]
    yield (
        figures.loading({"one after the other": LOADED, "meanwhile": LOADED[:1] + [("step", 0.01, 0.04)]}),
        ["one after the other, 50 ms; meanwhile, 40 ms"],
    )
    yield (
        figures.loss_by_minute({"a model on a T4": BAND}, {"a target": 0.5}),
        ["an estimate: a model on a T4 from 0.70 to 0.90 after 5 minutes and from 0.40 to 0.50 after 60"],
    )
    yield (
        figures.minutes_by_width(WIDTHS, "0.50 bits per byte", 384),
        ["minutes to 0.50 bits per byte", "256 wide 18 to 29 (too few); 384 wide 36 to 58;", "Chosen: 384 wide"],
    )
    yield (
        figures.disk_over_time({"here": [(0, 2e9), (60, 5.5e9)], "away": [(0, 0.0), (60, 4e10)]}, {"Drive": 15e9}),
        ["here: at most 5.5 GB, at the end 5.5", "away: at most 40.0 GB", "a line at 15 GB marks Drive"],
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
