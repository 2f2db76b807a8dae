"""What a plan says of a recipe: operations as torch counts them, memory as it is, times that are plausible."""

import time

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from course.bench import planning
from course.bench.memory import peak_bytes
from helpers.model import GPT, GPTConfig
from helpers.recipes import RECIPES, get_recipe, override
from helpers.train_step import TrainStep

SMALL = ["n_layer=2", "n_head=2", "d_model=32", "context_length=32", "batch_size=2", "steps=10"]


@pytest.mark.parametrize("shape", [(300, 32, 2, 2, 32), (100, 64, 3, 4, 16)])
def test_operations_are_those_that_torch_counts(shape):
    config = GPTConfig(*shape)
    model = GPT(config)
    ids = torch.zeros(1, config.context_length, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.loss(ids, ids).backward()
    assert planning.training_flops_per_token(config) == counter.get_total_flops() / config.context_length


def test_memory_is_about_what_a_step_takes():
    recipe = override(get_recipe("storyteller"), ["n_layer=2", "d_model=64", "kind=adamw"])
    found = planning.plan(recipe)
    config = recipe.config(2048)
    model, ids = GPT(config), torch.zeros(recipe.training.data.batch_size, config.context_length, dtype=torch.long)
    taken = peak_bytes(lambda: model.loss(ids, ids).backward())
    assert found.measured and found.peak_bytes - found.state_bytes == pytest.approx(taken, rel=0.01)
    assert found.state_bytes == 12 * model.parameter_count()


def test_memory_of_a_large_model_is_what_its_parts_add_up_to():
    found = planning.plan(override(get_recipe("gpt2-small"), ["batch_size=8", "accumulation=1"]))
    # In float32, by hand: a block keeps 16 vectors of a token with fused attention, 768 wide; three tables of logits.
    parts = 8 * 1024 * (12 * 16 * 768 + 3 * 50257) * 4
    assert not found.measured and found.peak_bytes - found.state_bytes == pytest.approx(parts, rel=0.02)


def test_the_chunked_loss_holds_no_logits_and_muon_one_buffer_for_a_matrix():
    small = override(get_recipe("gpt2-small"), ["batch_size=8", "accumulation=1"])
    ways = ([], ["loss=chunked"], ["kind=muon"])
    plain, chunked, muon = (planning.plan(override(small, changes)) for changes in ways)
    logits = 8 * 1024 * 50257 * 4
    assert plain.peak_bytes - chunked.peak_bytes > 2 * logits and chunked.state_bytes == plain.state_bytes
    assert plain.state_bytes - muon.state_bytes == 4 * 12 * 12 * 768**2  # twelve blocks' matrices
    assert muon.parameters == plain.parameters


def test_time_is_that_of_steps_measured_here_and_random_numbers_stay(monkeypatch):
    before = torch.get_rng_state()
    found = planning.plan(override(get_recipe("storyteller"), SMALL))
    assert torch.equal(torch.get_rng_state(), before) and found.measured
    assert found.tokens == 10 * 2 * 32 and found.seconds == pytest.approx(found.tokens / found.tokens_per_second)
    assert "an estimate from a few steps measured here" in str(found)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_plan_within_seconds(name, monkeypatch):
    monkeypatch.setattr(TrainStep, "step", lambda *_: time.sleep(0.001))  # the model need not run here
    started = time.perf_counter()
    told = str(planning.plan(get_recipe(name)))
    assert time.perf_counter() - started < 60
    for word in ("parameters", "tokens", "FLOPs", "memory", "time", "an estimate"):
        assert word in told
    assert "not known" not in told
