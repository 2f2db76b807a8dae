"""The benchmark compares two models that are the same, and says what a person or a script needs."""

import json

import pytest
import torch

from course.bench import training
from helpers.errors import CourseError
from helpers.model import GPTConfig

pytest.importorskip("transformers")


def test_both_sides_compute_the_same_and_the_result_is_json(monkeypatch):
    monkeypatch.setitem(training.SIZES, "tiny", (GPTConfig(101, 32, n_layer=2, n_head=2, d_model=32), 2, 32, 2))
    before = torch.random.get_rng_state()
    result = training.run_benchmark(["tiny"], rounds=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    again = json.loads(json.dumps(result))
    tiny = again["results"]["tiny"]
    assert tiny["loss_difference"] < 1e-4
    assert tiny["steps"] == 6 and len(tiny["ratios_by_round"]) == 3
    ours, theirs = tiny["ours"], tiny["transformers"]
    assert tiny["ratio"] == pytest.approx(ours["tokens_per_second"] / theirs["tokens_per_second"])
    assert tiny["memory_ratio"] == pytest.approx(ours["step_bytes"] / theirs["step_bytes"])
    assert ours["step_bytes"] > 4 * tiny["parameters"]  # every gradient at least
    assert again["machine"]["threads"] == torch.get_num_threads()
    peak = again["machine"]["matmul_flops"]
    assert 1e8 < peak < 1e15
    per_token = 6 * (2 * 12 * 32 * 32 + 101 * 32) + 12 * 2 * 32 * 32  # linear layers and head, attention
    assert tiny["flops_per_token"] == per_token
    for side in (ours, theirs):
        assert side["share_of_matmul"] == pytest.approx(side["tokens_per_second"] * per_token / peak)
    assert "tiny: ours" in training.describe(result) and "matrix product" in training.describe(result)


def test_the_measured_sizes_are_those_promised():
    config, batch, length, _ = training.SIZES["storyteller"]
    assert (config.n_layer, config.d_model, config.n_head, config.vocab_size) == (4, 128, 4, 2048)
    assert (batch, length) == (8, 256)
    config, batch, length, _ = training.SIZES["gpt2-small"]
    assert config == GPTConfig.gpt2("small") and (batch, length) == (2, 256)


def test_bad_requests_say_so():
    with pytest.raises(CourseError, match="no size 'huge'"):
        training.run_benchmark(["huge"])
    with pytest.raises(CourseError, match="at least 1"):
        training.run_benchmark(["storyteller"], rounds=0)


def test_a_step_of_gpt2_holds_at_most_seven_tenths_of_the_memory(monkeypatch):
    """Counted at full width, depth and vocabulary of the benchmark, on a third of the layers: the same everywhere."""
    monkeypatch.setitem(training.SIZES, "wide", (GPTConfig.gpt2("small", n_layer=4, context_length=256), 2, 256, 1))
    assert training.compare("wide", rounds=1)["memory_ratio"] <= 0.7
