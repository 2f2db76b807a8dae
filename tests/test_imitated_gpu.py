"""What only a GPU enters, entered on the imitated one (`tests.fake_gpu`); and that it refuses what a GPU refuses.

`tests/test_gpu_branches.py` runs notebook 08 on it, and counts on these tests for what the notebook does not reach.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course import distributed
from course.__main__ import main
from course.bench import gpu, ladder, planning
from course.bench.planning import training_flops_per_token
from course.cli.options import device_of
from helpers.checkpoint import random_state, set_random_state
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig
from helpers.settings import TrainingSettings
from helpers.train_step import TrainStep
from tests.fake_gpu import fake_gpu

TINY = GPTConfig(127, 32, n_layer=1, n_head=2, d_model=32)
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, which imitates itself")


# ---------------------------------------------------------------------- the imitation itself


def test_it_computes_what_the_cpu_does_and_refuses_what_a_gpu_refuses():
    x = torch.randn(3, 4)
    with fake_gpu():
        there = x.to("cuda").requires_grad_()
        assert (there.device, there.is_cuda) == (torch.device("cuda", 0), True)
        loss = F.gelu(there @ there.T).sum()
        loss.backward()
        assert there.grad.device.type == "cuda"
        with pytest.raises(RuntimeError, match="same device"):
            there + x
        with pytest.raises(TypeError, match="numpy"):
            np.asarray(there.detach())
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(3, device="cuda", generator=torch.Generator())
        found, slope = loss.item(), there.grad.cpu()
    here = x.clone().requires_grad_()
    expected = F.gelu(here @ here.T).sum()
    expected.backward()
    assert found == pytest.approx(expected.item()) and torch.allclose(slope, here.grad)
    with pytest.raises((AssertionError, RuntimeError)):
        x.to("cuda")  # it is gone again


def test_its_memory_is_counted_and_ends():
    with fake_gpu() as memory:
        before = memory.held
    with fake_gpu(memory=before + 5000) as memory:
        x = torch.zeros(1000, device="cuda")
        assert torch.cuda.memory_allocated() == before + 4000
        with pytest.raises(torch.OutOfMemoryError):
            torch.zeros(1000, device="cuda")
        del x
        torch.zeros(1000, device="cuda")
        assert torch.cuda.max_memory_allocated() == before + 4000


# ---------------------------------------------------------------------- benchmarks


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(gpu.SIZES, "tiny", (TINY, 4, 32))
    monkeypatch.setitem(ladder.SIZES, "tiny", (TINY, 4))


def test_both_sides_are_measured_there(tiny, monkeypatch, capsys):
    pytest.importorskip("transformers")
    asked = []

    def matmul(device, precision, size):
        asked.append((str(device), precision, size))
        return 1e12

    monkeypatch.setattr(gpu, "matmul_flops", matmul)
    with fake_gpu("NVIDIA A100-SXM4-40GB", (8, 0), 42.3):
        found = gpu.compare_on_gpu("tiny", 1, steps=1)
        monkeypatch.setattr(gpu, "compare_on_gpu", lambda *_: found)
        assert main(["bench", "--only", "gpu", "--size", "tiny"]) == 0
        assert "first loss" in capsys.readouterr().out
        assert main(["bench", "--only", "gpu", "--size", "tiny", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["results"]["tiny"] == found
    assert found["precision"] == "bfloat16" and asked == [("cuda", "bfloat16", 8192)]
    weights = 4 * GPT(TINY).parameter_count()
    for side in found["sides"].values():
        assert side["first_loss"] == pytest.approx(np.log(TINY.vocab_size), abs=0.3)
        assert side["peak_bytes"] > 2 * weights  # and their gradients


@pytest.mark.parametrize("capability", [(7, 5), (8, 0)])
def test_the_ladder_is_climbed_there(tiny, monkeypatch, capability):
    asked = []
    monkeypatch.setattr(ladder, "matmul_flops", lambda *given, **options: asked.append(options["size"]) or 1e10)
    with fake_gpu("NVIDIA of some kind", capability):
        found = ladder.measure_ladder("tiny", turns=1, steps=1)
    assert asked == [8192] and found["device"] == "cuda"
    measured = [row for row in found["rows"] if not row["left_out"]]
    losses = [row["loss"] for row in measured]
    assert losses == pytest.approx([losses[0]] * len(losses), abs=2e-2)
    assert all(row["peak_bytes"] > 4 * 4 * GPT(TINY).parameter_count() for row in measured)  # AdamW's moments too
    top = ladder.top(found["rows"])
    assert top["mfu"] == pytest.approx(top["tokens_per_second"] * training_flops_per_token(TINY) / 1e10)


def test_the_ladder_counts_ten_steps_on_a_gpu(monkeypatch):
    given = []
    monkeypatch.setattr(ladder, "_climb", lambda *rest: given.append(rest[5:7]))
    with fake_gpu():
        ladder.climb(TINY, 4, "cuda")
    ladder.climb(TINY, 4, "cpu")
    assert given == [(1, 10), (3, 2)]


def climb(batch_size: int) -> list[dict]:
    return ladder.climb(TINY, batch_size, "cuda", turns=1, steps=1)


def compare() -> dict:
    return gpu.compare_on_gpu("tiny", 1, steps=1, compiled=False)


def most_of(call) -> tuple[int, int]:
    """Bytes that the imitated GPU held before `call()`, and the most that it ever held in it."""
    with fake_gpu() as memory:
        before = memory.held
        call()
        return before, memory.ever


def test_the_ladder_halves_the_batch_on_a_full_gpu():
    before, most = most_of(lambda: climb(2))
    with fake_gpu(memory=most):
        assert {row["batch"][0] for row in climb(4)} == {2}
    with fake_gpu(memory=before + 4 * 3 * GPT(TINY).parameter_count()):
        with pytest.raises(CourseError, match="not even one sequence of 32 tokens fits this GPU's memory"):
            climb(2)


def test_the_comparison_halves_the_batch_on_a_full_gpu(tiny, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setattr(gpu, "matmul_flops", lambda *_, **__: 1e12)
    before, most = most_of(compare)
    with fake_gpu(memory=most - 1):
        assert compare()["batch"][0] == 2
    with fake_gpu(memory=before + 4 * 3 * GPT(TINY).parameter_count()):
        with pytest.raises(CourseError, match="not even one sequence of 32 tokens of tiny fits"):
            compare()


def test_other_errors_are_no_lack_of_memory(monkeypatch):
    def broken(*_):
        raise CourseError("something else")

    monkeypatch.setattr(ladder, "_climb", broken)
    with fake_gpu(), pytest.raises(CourseError, match="something else"):
        climb(8)


def test_what_is_copied_to_measure_memory(monkeypatch):
    read = []

    def seconds(call, times, device):
        read.append((times, device.type))
        return 2.0

    monkeypatch.setattr(planning, "_seconds_of", seconds)
    assert planning.memory_bandwidth("cpu") == 2 * 2**27 / 2
    with fake_gpu():
        planning.memory_bandwidth("cuda")
    assert read == [(1, "cpu"), (10, "cuda")]


def test_which_device_and_which_ladder(monkeypatch, capsys):
    monkeypatch.setattr(ladder, "measure_ladder", lambda size, device, turns: {"size": (size, device)})
    monkeypatch.setattr(ladder, "describe_ladder", lambda measured: str(measured["size"]))
    assert main(["bench", "--only", "ladder"]) == 0
    assert device_of("auto") == "cpu"
    with fake_gpu():
        assert device_of("auto") == "cuda"
        assert main(["bench", "--only", "ladder"]) == 0
    assert capsys.readouterr().out.split("\n")[:2] == ["('thin', 'cpu')", "('gpt2-small', 'cuda')"]
    for name in ("meta", "cpu:7"):
        with pytest.raises(CourseError, match=f"there is no device '{name}'"):
            device_of(name)


# ---------------------------------------------------------------------- runs


def test_the_gpus_random_numbers_are_kept_and_put_back(monkeypatch):
    put_back = []
    with fake_gpu():
        monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [torch.arange(4)])
        monkeypatch.setattr(torch.cuda, "set_rng_state_all", put_back.append)
        state = random_state()
        set_random_state(state)
    assert torch.equal(put_back[0][0], torch.arange(4))
    set_random_state(state)  # on a machine without a GPU
    assert len(put_back) == 1


def test_a_step_is_compiled_before_the_clock_starts(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)
    for device in ("cpu", "cuda"):
        with fake_gpu():
            torch.manual_seed(0)
            model = GPT(TINY).to(device)
            step = TrainStep(model, None, TrainingSettings.of(batch_size=2, compile="on"))
            before = torch.get_rng_state()
            assert step.warm_up() > 0
            assert torch.equal(torch.get_rng_state(), before)
            assert all(each.grad is None for each in model.parameters())


def test_without_torchs_chunked_loss_it_says_so(monkeypatch):
    monkeypatch.delattr(F, "linear_cross_entropy", raising=False)
    with fake_gpu():
        batches = planning.RandomBatches(TINY.vocab_size, 2, TINY.context_length)
        step = TrainStep(GPT(TINY).to("cuda"), batches, TrainingSettings.of(batch_size=2, loss="chunked"))
        with pytest.raises(CourseError, match="needs torch 2.13"):
            step.step(1, lambda: 1.0)
        batches = planning.RandomBatches(TINY.vocab_size, 2, TINY.context_length)
        step = TrainStep(GPT(TINY).to("cuda"), batches, TrainingSettings.of(batch_size=2, loss="auto"))
        assert step.hardware.loss == "plain" and step.step(1, lambda: 1.0).loss > 0


# ---------------------------------------------------------------------- several processes


@pytest.fixture
def group(monkeypatch):
    """`torchrun`'s second of two processes, and how they would be connected."""
    for name, value in {"WORLD_SIZE": 2, "RANK": 1, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    connected = []
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda backend, **_: connected.append(backend))
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: connected.append("left"))
    return connected


@pytest.mark.parametrize(
    ("asked", "gpus", "backend", "device"),
    [
        ("auto", 2, "nccl", "cuda:1"),
        ("cuda", 2, "nccl", "cuda:1"),
        ("auto", 1, "gloo", "cpu"),
        ("cpu", 2, "gloo", "cpu"),
    ],
)
def test_each_process_has_a_gpu_of_its_own_or_none(group, monkeypatch, asked, gpus, backend, device):
    chosen = []
    with fake_gpu():
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
        with distributed.processes(asked) as found:
            assert (found.rank, found.count, found.device) == (1, 2, device)
    assert group == [backend, "left"] and chosen == ([1] if device == "cuda:1" else [])


def test_too_few_gpus_or_another_device_are_refused(group, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for asked, said in {"cuda": "2 processes need 2 GPUs, and there are 1", "mps": 'need "cpu" or "cuda"'}.items():
        with pytest.raises(CourseError, match=said):
            with distributed.processes(asked):
                pass
    assert group == []


def test_a_process_hands_over_its_gpu(monkeypatch):
    given = []
    monkeypatch.setattr(distributed, "DistributedDataParallel", lambda model, device_ids: given.append(device_ids))
    for device in ("cpu", "cuda:0"):
        with fake_gpu():
            step = SimpleNamespace(device=device)
            distributed.DistributedStep(GPT(TINY).to(device), None, TrainingSettings.of(batch_size=2), step)
    assert given == [None, ["cuda:0"]]


def test_each_process_keeps_the_random_numbers_of_its_gpu(monkeypatch):
    put_back = []
    with fake_gpu():
        monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: torch.arange(4, dtype=torch.uint8))
        monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, _: put_back.append(state))
        before = torch.get_rng_state()
        state = distributed._random_state(torch.device("cuda", 0))
        torch.rand(1)
        distributed._set_random_state(state, torch.device("cuda", 0))
        assert torch.equal(torch.get_rng_state(), before)
    assert put_back[0].tolist() == [0, 1, 2, 3]
