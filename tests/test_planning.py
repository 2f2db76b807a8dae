"""What a plan says of a recipe: operations as torch counts them, memory as it is, times that are plausible."""

import os
import time
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from course import runs
from course.__main__ import main
from course.bench import planning, step_memory
from course.bench.memory import peak_bytes
from course.recipes import RECIPES, get_recipe, override
from helpers import evaluation, train_step
from helpers.model import GPT, GPTConfig
from helpers.optimizers import Muon
from helpers.settings import HardwareConfig
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


def test_what_spares_memory_is_told():
    recipe = override(get_recipe("storyteller"), SMALL)
    plain = planning.plan(recipe)
    both = planning.plan(override(recipe, ["recompute=true", "parallel=fsdp"]))
    told = [note for note in both.notes if "less memory" in note]
    assert [setting in note for setting, note in zip(("recompute=true", "parallel=fsdp"), told, strict=True)] == [
        True
    ] * 2
    assert "less memory" not in str(plain)
    assert all(note in str(both) for note in told)


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


# ---------------------------------------------------------------------- as the run is carried out


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("changes", [[], ["accumulation=3"], ["loss=chunked"], ["precision=bfloat16"],
                                     ["precision=float16", "loss=chunked", "vocab_multiple=128"]])  # fmt: skip
def test_memory_of_a_whole_step_is_the_plans(kind, changes):
    small = ["n_layer=3", "n_head=2", "d_model=64", "context_length=128", "batch_size=4", f"kind={kind}", *changes]
    recipe = override(get_recipe("context-512"), ["tokenizer=bundled", "vocab_multiple=1", *small])
    found, config = planning.plan(recipe), recipe.config(2048)
    batches = planning.RandomBatches(config.vocab_size, recipe.training.data.batch_size, config.context_length)
    step = TrainStep(GPT(config), batches, recipe.training.but(**vars(found.hardware)))
    while step.step(1, lambda: 1.0).skipped:  # float16 looks for its scale
        pass
    moments = [value for optimizer in step.optimizers for state in optimizer.state.values() for value in state.values()]
    kept = sum(each.numel() * each.element_size() for each in [*step.model.parameters(), *moments])
    assert found.state_bytes == pytest.approx(kept, rel=0.01)  # each parameter has a counter, too
    assert found.peak_bytes == pytest.approx(kept + peak_bytes(lambda: step.step(2, lambda: 1.0)), rel=0.1)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_the_disk_of_a_run_is_the_plans(kind, tmp_path, monkeypatch):
    small = ["n_head=2", "d_model=96", "context_length=64", "limit=200", "eval_stories=5", "sample_every=0"]
    often = ["steps=9", "checkpoint_every=2", "eval_every=3", f"kind={kind}", "vocab_multiple=100"]
    recipe = override(get_recipe("storyteller"), [*small, *often])
    found, most, replaced = planning.plan(recipe), 0, os.replace

    def named(source, target):  # everything is there: what is replaced, and what will take its place
        nonlocal most
        most = max(most, sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))
        replaced(source, target)

    monkeypatch.setattr(os, "replace", named)
    prepared = runs.prepare(recipe, progress=False)
    runs.trainer_of(prepared, tmp_path, progress=False).run()
    assert found.disk_bytes == pytest.approx(most, rel=0.1)
    assert found.padded_rows == prepared.model.config.vocab_size - 2048 == 52
    # What is kept has no padding, and the plan says how many parameters are kept.
    assert f"{found.parameters:,}" in str(found) and "52 rows more" in str(found)
    kept = (tmp_path / "model.safetensors").stat().st_size
    assert 4 * found.parameters == pytest.approx(kept, rel=0.01)


def test_with_adamw_the_disk_takes_44_bytes_a_parameter_at_the_peak():
    found = planning.plan(override(get_recipe("gpt2-small"), ["vocab_multiple=1"]))
    assert found.disk_bytes == pytest.approx(44 * found.parameters, rel=2e-3) and found.parameters == 124_439_808
    assert "disk        at most 5.48 GB" in str(found)
    assert found.token_bytes == 2 * planning.known_tokens(found.recipe)  # 50,257 entries: two bytes for each token


@pytest.fixture
def ampere(monkeypatch):
    """A GPU's generation without the GPU: what a plan for one asks for."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 0))
    monkeypatch.setattr(planning, "free_memory", lambda _: 16e9)
    monkeypatch.setattr(planning, "matmul_flops", lambda *_: 10e12)


def test_on_a_gpu_the_plan_is_in_half_precision_with_chunks(ampere):
    recipe = get_recipe("gpt2-tinystories")
    found, here = planning.plan(recipe, "cuda"), planning.plan(recipe, "cpu")
    assert found.hardware == replace(here.hardware, precision="bfloat16", matmul_precision="high", loss="chunked")
    assert found.peak_bytes < 0.7 * here.peak_bytes and found.state_bytes == here.state_bytes
    assert "precision   bfloat16, the loss in chunks" in str(found) and "(in bfloat16)" in str(found)
    assert not found.measured and "estimate from matrix multiplications" in str(found)
    flops = 8 * 4 * 1024 * found.flops_per_token
    assert found.tokens_per_second == pytest.approx(8 * 4 * 1024 / (flops / 5e12))


def test_chunks_are_counted_as_large_as_they_are_on_that_device():
    recipe = get_recipe("gpt2-small")
    training = recipe.training.but(batch_size=8, accumulation=1, loss="chunked", precision="float32", compile="off")
    here, there = (step_memory.moving_bytes(recipe.config(50257), training, torch.device(kind))[1]
                   for kind in ("cpu", "cuda"))  # fmt: skip
    more = 4 * (train_step.LOGITS_ON_GPU - train_step.LOGITS)  # bytes of logits, and about as many of their gradients
    assert 0.9 * more < there - here < 3 * more and train_step.LOGITS == evaluation.LOGITS


def test_free_memory_of_a_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (5e9, 16e9))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda *_: 3e9)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda *_: 1e9)
    assert planning.free_memory(torch.device("cuda")) == 7e9  # what torch keeps and does not use is free for it
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12e9, raising=False)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 2e9)
    assert planning.free_memory(torch.device("mps")) == 10e9
    monkeypatch.delattr(torch.mps, "recommended_max_memory")
    for device in ("cpu", "mps"):  # an older torch does not say: an Apple GPU's memory is the CPU's
        assert planning.free_memory(torch.device(device)) > 1e8


def test_a_dry_run_says_how_a_run_is_carried_out(capsys):
    small = ["n_layer=1", "d_model=64", "n_head=1", "context_length=32", "tokenizer=bundled", "vocab_multiple=100"]
    changes = [f"--set={change}" for change in small]
    assert main(["train", "--recipe", "context-512", "--dry-run", "--device", "cpu", *changes]) == 0
    out = capsys.readouterr().out
    assert "precision   float32\n" in out and "52 rows more of the vocabulary" in out and "disk        at most" in out


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_batch_that_does_not_fit_is_planned_in_pieces(ampere, monkeypatch, device):
    def planned(rows):
        small = ["n_layer=2", "n_head=2", "d_model=64", "context_length=128", "accumulation=2", f"batch_size={rows}"]
        return planning.plan(override(get_recipe("context-512"), small), device)

    monkeypatch.setattr(planning, "matmul_flops", lambda *_: 1e6)  # so slow that nothing is tried
    alone = {rows: planned(rows).peak_bytes for rows in (1, 3, 6, 12)}
    for rows, pieces in ((12, 1), (6, 2), (3, 4), (1, 0)):
        free = 1.02 * alone[rows] if pieces else 0.98 * alone[1]
        monkeypatch.setattr(planning, "free_memory", lambda _, free=free: free)
        found = planned(12)
        assert found.pieces == pieces and found.free_bytes == free
        told = f"each batch will be read in {pieces} pieces" if device == "cuda" else f"{rows} sequences at once fit"
        assert ("note        only" in str(found)) == (pieces != 1)
        assert pieces == 1 or ("not even one sequence fits" if pieces == 0 else told) in str(found)


def test_muons_operations_are_those_that_torch_counts_and_are_part_of_the_time(monkeypatch):
    model = GPT(GPTConfig(50, 16, n_layer=2, n_head=2, d_model=32))
    optimizer = Muon([each for each in model.parameters() if each.dim() == 2 and each.shape[0] % 32 == 0])
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    with FlopCounterMode(display=False) as counter:
        optimizer.step()
    assert planning.muon_flops(model) == counter.get_total_flops()
    monkeypatch.setattr(planning, "matmul_flops", lambda *_: 1e9)
    recipe = override(get_recipe("tinystories-t4"), ["batch_size=8"])
    adamw, muon = (planning.plan(override(recipe, [f"kind={kind}"])) for kind in ("adamw", "muon"))
    per_step = 8 * 512
    extra = per_step / muon.tokens_per_second - per_step / adamw.tokens_per_second
    assert extra == pytest.approx(muon.optimizer_flops / 0.5e9) and adamw.optimizer_flops == 0
    assert muon.optimizer_share == pytest.approx(extra / (per_step / muon.tokens_per_second))
    assert "Muon's own multiplications" in str(muon) and "Muon" not in adamw.cost
    assert "Muon" not in planning.plan(override(recipe, ["batch_size=64"])).cost  # less than a twentieth


# ---------------------------------------------------------------------- the device's speed


def test_a_matrix_multiplication_is_of_random_values_in_the_precision_asked_for(monkeypatch):
    seen, multiply = [], torch.mm
    monkeypatch.setattr(torch, "mm", lambda x, y: seen.append((x, y)) or multiply(x, y))
    before = torch.get_rng_state()
    for precision in ("float32", "bfloat16", "float16"):
        assert planning.matmul_flops("cpu", precision, size=64) > 0
        x, y = seen[-1]
        assert x.dtype == y.dtype == getattr(torch, precision) and not torch.equal(x, y)
        assert x.float().std() == pytest.approx(1, abs=0.05) and abs(x.float().mean()) < 0.05
    assert torch.equal(torch.get_rng_state(), before)


def test_bandwidth_counts_what_is_read_and_what_is_written(monkeypatch):
    monkeypatch.setattr(planning, "_seconds_of", lambda call, times, device: call() is None or 2.0 * times)
    assert planning.memory_bandwidth("cpu", size=4000) == 4000.0
    monkeypatch.undo()
    assert planning.memory_bandwidth("cpu", size=2**20) > 1e6


def test_how_a_run_is_carried_out_in_words():
    assert planning.in_what(HardwareConfig()) == "float32"
    fast = HardwareConfig(precision="float16", loss="chunked", compile="on")
    assert planning.in_what(fast) == "float16, the loss in chunks, compiled"
    assert planning.in_what(HardwareConfig(matmul_precision="high")) == "float32, its matrix multiplications in TF32"


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_plan_within_seconds(name, monkeypatch):
    monkeypatch.setattr(TrainStep, "step", lambda *_: time.sleep(0.001))  # the model need not run here
    started = time.perf_counter()
    told = str(planning.plan(get_recipe(name)))
    assert time.perf_counter() - started < 150
    for word in ("parameters", "tokens", "FLOPs", "precision", "memory", "disk", "time", "an estimate"):
        assert word in told
    assert "not known" not in told
