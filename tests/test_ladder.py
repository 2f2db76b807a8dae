"""The ladder of options at a tiny size: each rung computes the same, and the highest is what a run does."""

import functools
import importlib.util
import json
from dataclasses import replace

import pytest
import torch

from course.__main__ import main
from course.bench import ladder
from course.bench.planning import RandomBatches, training_flops_per_token
from course.figures import gpu_training as figures
from course.recipes import get_recipe
from helpers import hardware
from helpers.errors import CourseError
from helpers.hardware import choose
from helpers.model import GPT, GPTConfig
from helpers.settings import HardwareConfig
from helpers.train_step import TrainStep

GPU = torch.cuda.is_available()
TINY = GPTConfig(1023, 32, n_layer=2, n_head=2, d_model=32)
AUTO = HardwareConfig(precision="auto", matmul_precision="auto", loss="auto", compile="auto")


@pytest.fixture
def eager(monkeypatch):
    """`torch.compile` without a compiler: the graph is captured, and run as it is."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))


@pytest.fixture(scope="module")
def everything():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
        return ladder.climb(TINY, 4, "cpu", everything=True, turns=2, steps=1)


def plain_loss() -> float:
    """What the first rung must begin with, computed without any of its code."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT(TINY)
    ids, targets = RandomBatches(TINY.vocab_size, 4, TINY.context_length).next_batch()
    logits = model(ids)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()


def test_every_rung_has_the_first_ones_loss(everything):
    assert [row["name"] for row in everything] == [rung.name for rung in ladder.RUNGS]
    assert everything[0]["loss"] == pytest.approx(plain_loss(), rel=1e-6)
    for row in everything:
        half = row["hardware"]["precision"] != "float32"
        # One row more of the vocabulary is one more entry among a thousand that share the probability.
        padded = 1e-3 if row["vocabulary"] > TINY.vocab_size else 0
        assert row["loss"] == pytest.approx(plain_loss(), abs=padded + (5e-3 if half else 1e-5)), row["name"]


def test_each_rung_adds_one_option_to_those_before(everything):
    settings = [ladder.hardware_of(row) for row in everything]
    changed = ["matmul_precision", "precision", None, None, None, "loss", "compile"]
    for before, after, name in zip(settings, settings[1:], changed, strict=False):
        assert after == (before if name is None else replace(before, **{name: getattr(ladder.FULL, name)}))
    assert settings[0] == ladder.PLAIN and settings[-1] == ladder.FULL
    sizes = [row["vocabulary"] for row in everything]
    assert sizes == [1023] * 5 + [1024] * 3


def test_numbers_of_a_row_fit_together_and_memory_falls(everything):
    json.dumps(everything)
    for row in everything:
        assert row["batch"] == [4, 32] and row["left_out"] is None
        assert row["tokens_per_second"] == pytest.approx(4 * 32 / row["seconds"])
        assert row["start_seconds"] > 0
    peaks = {row["name"]: row["peak_bytes"] for row in everything}
    maps = 2 * 2 * 4 * 32 * 32 * 2  # of both layers and heads, at two bytes: what fused attention does not keep
    assert peaks["+ half precision"] - peaks["+ fused attention"] > maps
    assert peaks["+ padded vocabulary"] - peaks["+ chunked loss"] > 4 * 32 * 1024 * 2  # a table of logits
    state = 12 * GPT(TINY).parameter_count()
    assert min(peaks.values()) > state


def test_a_rung_is_measured_with_plain_attention_and_torchs_adamw_until_its_turn(monkeypatch):
    seen = []

    def noted(self, number, factor):
        math = torch.backends.cuda.math_sdp_enabled() and not torch.backends.cuda.flash_sdp_enabled()
        fused = self.optimizers[0].defaults["fused"]
        seen.append((math, bool(fused), torch.get_float32_matmul_precision()))
        return real(self, number, factor)

    real = TrainStep.step
    monkeypatch.setattr(TrainStep, "step", noted)
    rows = ladder.climb(TINY, 1, "cpu", turns=1, steps=1)
    told = list(dict.fromkeys(seen))
    assert told == [(True, False, "highest"), (False, False, "highest"), (False, True, "highest")]
    assert [row["name"] for row in rows if row["left_out"]] == ["+ TF32", "+ half precision", "+ torch.compile"]
    assert not torch.backends.cuda.math_sdp_enabled() or torch.backends.cuda.flash_sdp_enabled()


def test_nothing_of_it_stays_behind(eager):
    torch.set_float32_matmul_precision("highest")
    before = torch.get_rng_state()
    ladder.climb(TINY, 1, "cpu", everything=True, turns=1, steps=1)
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (9, 0)])
def test_the_top_is_what_a_run_on_that_gpu_does(capability, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    real = importlib.util.find_spec
    monkeypatch.setattr(hardware, "find_spec", lambda name: name == "triton" or real(name))
    best = choose(AUTO, "cuda")
    assert ladder.goal_on("cuda") == best and best.compile == "on"
    rungs = ladder.rungs_to(best)
    assert rungs[-1][1] == best == choose(get_recipe("gpt2-tinystories").training.hardware, "cuda")
    left_out = [rung.name for rung, _, left in rungs if left]
    assert left_out == (["+ TF32"] if capability < (8, 0) else [])


def test_a_goal_of_ones_own_is_where_it_ends():
    rungs = ladder.rungs_to(HardwareConfig(precision="bfloat16", matmul_precision="highest"))
    assert [rung.name for rung, _, left in rungs if left] == ["+ TF32", "+ chunked loss", "+ torch.compile"]
    rows = ladder.climb(TINY, 1, "cpu", goal=HardwareConfig(precision="auto"), turns=1, steps=1)
    assert ladder.hardware_of(ladder.top(rows)) == choose(HardwareConfig(precision="auto"), "cpu")
    assert ladder.top(rows)["name"] == "+ padded vocabulary"


def test_float16_looks_for_its_scale_before_it_is_timed(monkeypatch):
    half = HardwareConfig(precision="float16", matmul_precision="highest", loss="chunked")
    taken, real = [], TrainStep._move

    def overflowing(self, *arguments):
        stats = real(self, *arguments)
        taken.append(stats)
        return stats._replace(skipped=True) if len(taken) <= 3 else stats

    monkeypatch.setattr(TrainStep, "_move", overflowing)
    rows = ladder.climb(TINY, 2, "cpu", goal=half, turns=1, steps=1)
    measured = [row for row in rows if not row["left_out"]]
    # A first step, one that is timed, one whose memory is counted; the second and the third were not timed.
    assert len(taken) == 3 * len(measured) + 2
    assert all(row["loss"] == pytest.approx(rows[0]["loss"], abs=5e-3) for row in measured)


def test_what_does_not_fit_is_tried_again_with_half_the_batch_on_all_rungs(monkeypatch):
    real = TrainStep.backward

    def small_memory(self, ids, *rest, **named):
        if len(ids) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return real(self, ids, *rest, **named)

    monkeypatch.setattr(TrainStep, "backward", small_memory)
    rows = ladder.climb(TINY, 8, "cpu", turns=1, steps=1)
    assert all(row["batch"] == [2, 32] for row in rows)

    def no_memory(self, *rest, **named):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(TrainStep, "backward", no_memory)
    with pytest.raises(CourseError, match="not even one sequence of 32 tokens"):
        ladder.climb(TINY, 2, "cpu", turns=1, steps=1)


def test_the_ladder_is_measured_drawn_and_told(monkeypatch):
    monkeypatch.setitem(ladder.SIZES, "tiny", (TINY, 2))
    monkeypatch.setattr(ladder, "matmul_flops", lambda *_, **__: 1e10)
    found = json.loads(json.dumps(ladder.measure_ladder("tiny", "cpu", turns=1, steps=1)))
    row = ladder.top(found["rows"])
    assert row["mfu"] == pytest.approx(row["tokens_per_second"] * training_flops_per_token(TINY) / 1e10)
    said = ladder.describe_ladder(found)
    assert "+ TF32                 left out: this device has no TF32" in said
    assert said.endswith("at the top: float32, the loss in chunks")
    assert "+ chunked loss" in figures.options_in_turn(found["rows"], "this CPU").alt


def test_bad_requests_say_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CourseError, match="no GPU here"):
        ladder.measure_ladder()
    with pytest.raises(CourseError, match="no size 'huge'"):
        ladder.measure_ladder("huge", "cpu")
    with pytest.raises(CourseError, match="at least 1"):
        ladder.climb(TINY, 1, "cpu", turns=0)


def test_the_command_measures_and_tells(monkeypatch, capsys):
    monkeypatch.setitem(ladder.SIZES, "tiny", (TINY, 2))
    assert main(["bench", "--only", "ladder", "--size", "tiny", "--rounds", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["tiny"]["rows"]
    assert [row["name"] for row in rows] == [rung.name for rung in ladder.RUNGS]
    monkeypatch.setattr(ladder, "measure_ladder", lambda size, device, turns: {"size": (size, device, turns)})
    monkeypatch.setattr(ladder, "describe_ladder", lambda measured: str(measured["size"]))
    assert main(["bench", "--only", "ladder"]) == 0
    assert capsys.readouterr().out.strip() == str(("gpt2-small", "cuda", None) if GPU else ("thin", "cpu", None))
