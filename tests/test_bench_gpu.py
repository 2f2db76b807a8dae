"""The GPU's benchmark on a CPU, at a tiny size: the same code but for the device and the compiler."""

import functools
import json

import pytest
import torch

from course.bench import gpu
from course.bench.planning import training_flops_per_token
from helpers.errors import CourseError
from helpers.hardware import choose
from helpers.model import GPTConfig
from helpers.settings import HardwareConfig

pytest.importorskip("transformers")
TINY = GPTConfig(101, 32, n_layer=2, n_head=2, d_model=32)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(gpu.SIZES, "tiny", (TINY, 4, 32))


def test_sides_agree_and_the_numbers_fit_together(tiny):
    before = torch.random.get_rng_state()
    found = json.loads(json.dumps(gpu.compare_on_gpu("tiny", 2, "cpu", compiled=False, steps=2, precision="bfloat16")))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (found["batch"], found["steps"], found["precision"]) == ([4, 32], 4, "bfloat16")
    sides = found["sides"]
    assert set(sides) == {"ours", "transformers"}
    # The same weights and batch, in bfloat16: about three digits.
    assert sides["ours"]["first_loss"] == pytest.approx(sides["transformers"]["first_loss"], rel=5e-3)
    for side in sides.values():
        assert side["tokens_per_second"] == pytest.approx(4 * 32 / side["seconds_per_step"])
        reached = side["tokens_per_second"] * training_flops_per_token(TINY) / found["matmul_flops"]
        assert side["mfu"] == pytest.approx(reached)
    ratio = sides["transformers"]["seconds_per_step"] / sides["ours"]["seconds_per_step"]
    assert found["ratios"] == pytest.approx({"transformers": ratio})
    said = gpu.describe_gpu({"machine": {"GPU": "none"}, "results": {"tiny": found}})
    assert "4 sequences of 32 tokens in bfloat16" in said and "times as fast as transformers" in said


def test_compiled_sides_agree_and_the_precision_is_what_a_run_chooses(tiny, monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    monkeypatch.setattr(gpu, "BEST", HardwareConfig(precision="auto", loss="chunked", compile="on"))
    found = gpu.compare_on_gpu("tiny", 1, "cpu", steps=1)
    assert found["precision"] == choose(HardwareConfig(precision="auto"), "cpu").precision == "float32"
    names = ("ours", "transformers", "ours, compiled", "ours, compiled, loss in chunks", "transformers, compiled")
    assert tuple(found["sides"]) == names
    losses = [side["first_loss"] for side in found["sides"].values()]
    assert losses == pytest.approx([losses[0]] * 5, rel=1e-5)
    best = min(side["seconds_per_step"] for name, side in found["sides"].items() if name.startswith("ours"))
    compiled = found["sides"]["transformers, compiled"]["seconds_per_step"]
    assert found["ratios"]["transformers, compiled"] == pytest.approx(compiled / best)
    said = gpu.describe_gpu({"machine": {"GPU": "none"}, "results": {"tiny": found}})
    assert "times as fast as transformers, compiled (aimed at: 1.25)" in said


def test_a_side_trains_as_torch_does(tiny):
    """A step of a side in float32 is forward, backward and torch's AdamW."""
    torch.manual_seed(0)
    model, plain = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    plain.load_state_dict(model.state_dict())
    x, y = torch.randn(5, 3), torch.randn(5, 2)
    side = gpu.Side(model, lambda a, b: (model(a) - b).square().mean(), torch.device("cpu"), "float32")
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-4)
    for _ in range(3):
        loss = (plain(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert side.step(x, y).item() == pytest.approx(loss.item(), rel=1e-6)
    torch.testing.assert_close(model.weight, plain.weight)


def test_what_does_not_fit_is_tried_with_fewer_sequences(tiny, monkeypatch):
    real, tried = gpu._compare, []

    def small_memory(name, config, batch, *rest):
        tried.append(batch)
        if batch > 1:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return real(name, config, batch, *rest)

    monkeypatch.setattr(gpu, "_compare", small_memory)
    found = gpu.compare_on_gpu("tiny", 1, "cpu", compiled=False, steps=1)
    assert tried == [4, 2, 1] and found["batch"] == [1, 32]

    def no_memory(*arguments):
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr(gpu, "_compare", no_memory)
    with pytest.raises(CourseError, match="not even one sequence"):
        gpu.compare_on_gpu("tiny", 1, "cpu", compiled=False, steps=1)


def test_bad_requests_say_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CourseError, match="no GPU here"):
        gpu.run_on_gpu()
    with pytest.raises(CourseError, match="no size 'huge'"):
        gpu.compare_on_gpu("huge", device="cpu")
    with pytest.raises(CourseError, match="at least 1"):
        gpu.compare_on_gpu("gpt2-small", rounds=0, device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_all_four_sides_are_measured(tiny):
    found = gpu.compare_on_gpu("tiny", 1, steps=2)
    plain, chunked = {"ours", "transformers"}, {"ours, compiled, loss in chunks"}
    assert set(found["sides"]) >= plain | {f"{side}, compiled" for side in plain}
    assert set(found["sides"]) - chunked <= plain | {f"{side}, compiled" for side in plain}
    assert all(side["peak_bytes"] > 0 for side in found["sides"].values())
