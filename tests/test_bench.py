"""The benchmark compares models that are the same, and says what a person or a script needs."""

import json
from dataclasses import asdict

import pytest
import torch

from course.bench import training
from course.bench.reference import Reference
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig

pytest.importorskip("transformers")
TINY = GPTConfig(101, 32, n_layer=2, n_head=2, d_model=32)


def test_all_sides_compute_the_same_and_the_result_is_json(monkeypatch):
    monkeypatch.setitem(training.SIZES, "tiny", (TINY, 2, 32, 2))
    before = torch.random.get_rng_state()
    result = training.run_benchmark(["tiny"], rounds=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    again = json.loads(json.dumps(result))
    tiny = again["results"]["tiny"]
    assert tiny["loss_difference"] < 1e-4 and tiny["steps"] == 6
    sides, ours = tiny["sides"], tiny["sides"]["ours"]
    assert set(sides) == {"ours", "reference", "transformers"}
    for peer in training.PEERS:
        speeds = ours["tokens_per_second"] / sides[peer]["tokens_per_second"]
        assert tiny["ratios"][peer] == pytest.approx(speeds) and len(tiny["ratios_by_round"][peer]) == 3
    plain = ours["step_bytes"] / sides["transformers"]["step_bytes"]
    assert tiny["memory_ratios"]["plain"] == pytest.approx(plain) and 0 < tiny["memory_ratios"]["chunked"]
    assert ours["step_bytes"] > 4 * tiny["parameters"]  # every gradient at least
    assert again["machine"]["threads"] == torch.get_num_threads()
    peak = again["machine"]["matmul_flops"]
    assert 1e8 < peak < 1e15
    per_token = 6 * (2 * 12 * 32 * 32 + 101 * 32) + 12 * 2 * 32 * 32  # linear layers and head, attention
    assert tiny["flops_per_token"] == per_token
    for side in sides.values():
        assert side["fraction_of_matmul"] == pytest.approx(side["tokens_per_second"] * per_token / peak)
    said = training.describe(result)
    for words in ("tiny: ours trains", "plain reference", "as transformers", "matrix multiplication", "chunked"):
        assert words in said


def test_the_reference_is_the_same_network_but_for_its_gelu():
    """With our weights and the tanh form of GELU it gives our loss and our gradients."""
    torch.manual_seed(0)
    ours, plain = GPT(TINY), Reference(TINY)
    parts = {
        "tokens": ours.wte, "positions": ours.wpe, "norm": ours.ln_f,
        **{f"layers.{i}.{name}": module for i, block in enumerate(ours.blocks) for name, module in (
            ("norm_attention", block.ln_1), ("norm_mlp", block.ln_2), ("to_qkv", block.attn.qkv),
            ("from_heads", block.attn.proj), ("mlp.0", block.mlp.fc), ("mlp.2", block.mlp.proj),
        )},
    }  # fmt: skip
    for name, module in parts.items():
        plain.get_submodule(name).load_state_dict(module.state_dict())
    for layer in plain.layers:
        layer.mlp[1] = torch.nn.GELU(approximate="tanh")
    assert sum(p.numel() for p in plain.parameters()) == ours.parameter_count()
    ids, targets = torch.randint(0, 101, (2, 3, 32))
    mine, other = ours.loss(ids, targets), plain.loss(ids, targets)
    torch.testing.assert_close(mine, other)
    mine.backward(), other.backward()
    torch.testing.assert_close(plain.tokens.weight.grad, ours.wte.weight.grad)
    torch.testing.assert_close(plain.layers[0].to_qkv.weight.grad, ours.blocks[0].attn.qkv.weight.grad)


def test_the_measured_sizes_are_those_promised():
    config, batch, length, _ = training.SIZES["storyteller"]
    assert (config.n_layer, config.d_model, config.n_head, config.vocab_size) == (4, 128, 4, 2048)
    assert (batch, length) == (8, 256)
    config, batch, length, _ = training.SIZES["12x384"]
    assert (config.n_layer, config.d_model, config.vocab_size, batch, length) == (12, 384, 50257, 2, 256)
    config, batch, length, _ = training.SIZES["gpt2-small"]
    assert asdict(config) == asdict(GPTConfig.gpt2("small")) and (batch, length) == (2, 256)


def test_bad_requests_say_so():
    with pytest.raises(CourseError, match="no size 'huge'"):
        training.run_benchmark(["huge"])
    with pytest.raises(CourseError, match="at least 1"):
        training.run_benchmark(["storyteller"], rounds=0)


def test_a_step_of_gpt2_holds_no_more_than_transformers_and_in_chunks_far_less(monkeypatch):
    """Counted at full width and vocabulary of the benchmark, on a third of the layers: the same everywhere."""
    monkeypatch.setitem(training.SIZES, "wide", (GPTConfig.gpt2("small", n_layer=4, context_length=256), 2, 256, 1))
    ratios = training.compare("wide", rounds=1)["memory_ratios"]
    assert ratios["plain"] <= 1.0 and ratios["chunked"] <= 0.6
