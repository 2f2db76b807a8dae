"""`train --diagnose`: silent on healthy runs, loud on ill ones; and the run is what it would have been without it."""

import json
import math
import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course import diagnosis, reference_ranges
from course.__main__ import main
from course.clinic import instruments
from course.recipes import get_recipe, override
from course.runs import prepare
from helpers.files import read_json
from helpers.kv_cache import KVCache
from helpers.model import GPT
from helpers.settings import TrainingSettings
from helpers.tokenizer import train_tokenizer

NAMES, THINGS = ("Pip", "Ann", "Tom", "Zoe", "Max"), ("kite", "ball", "drum", "boat")
TEXTS = [f"Once upon a time, {name} had a {thing}. {name} lost the {thing}." for name in NAMES for thing in THINGS]
SMALL = ["n_layer=2", "n_head=2", "d_model=16", "context_length=32", "batch_size=4", "steps=4", "eval_stories=4",
         "log_every=1", "dropout=0.1"]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stories")
    (folder / "stories.txt").write_text("\n<|endoftext|>\n".join(TEXTS), encoding="utf-8")
    train_tokenizer(TEXTS, 290).save(folder / "tokenizer.json")
    return folder


@pytest.fixture(autouse=True)
def runs_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ready(home, *more, name: str = "storyteller"):
    changes = [*SMALL, f"stories={home / 'stories.txt'}", f"tokenizer={home / 'tokenizer.json'}", *more]
    return prepare(override(get_recipe(name), changes), progress=False)


def alarms(prepared) -> set[str]:
    return {reading.instrument for reading in diagnosis.diagnose(prepared) if reading.alarm}


def train(home, folder, *more) -> int:
    changes = [*SMALL, f"tokenizer={home / 'tokenizer.json'}"]
    options = [part for change in changes for part in ("--set", change)] + ["--stories", str(home / "stories.txt")]
    return main(["train", *options, "--out", str(folder), "--quiet", *map(str, more)])


# ---------------------------------------------------------------------- healthy runs


@pytest.mark.parametrize("name", ["storyteller", "post-ln-sinusoidal"])
@pytest.mark.parametrize("packing", ["packed", "padded", "windows"])
def test_a_healthy_run_gives_no_alarm(home, name, packing):
    prepared = ready(home, f"packing={packing}", "lr=3e-3", name=name)
    readings = diagnosis.diagnose(prepared)
    assert [str(reading) for reading in readings if reading.alarm or reading.alarm is None] == []
    asked = {reading.instrument for reading in readings}
    of_trained = {"uses_input", "first_difference", "seeds_differ"}  # no model before its run has something for these
    tools = {name for name in vars(instruments) if callable(getattr(instruments, name))} - {"outputs", "asked"}
    own = {name for name in tools if getattr(instruments, name).__module__ == instruments.__name__}
    assert asked == own - of_trained | {"tokenizer"}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_gives_no_alarm(home, precision):
    assert alarms(ready(home, f"precision={precision}")) == set()


def test_model_modes_random_numbers_and_stories_are_left_as_they_were(home):
    prepared = ready(home)
    before = {name: value.clone() for name, value in prepared.model.state_dict().items()}
    sampler, drawn = prepared.sampler.state_dict(), (torch.get_rng_state(), random.getstate())
    prepared.model.train()
    diagnosis.diagnose(prepared)
    assert prepared.model.training and prepared.sampler.state_dict() == sampler
    assert torch.equal(torch.get_rng_state(), drawn[0]) and random.getstate() == drawn[1]
    assert all(torch.equal(value, before[name]) for name, value in prepared.model.state_dict().items())
    assert all(parameter.grad is None for parameter in prepared.model.parameters())
    assert not any(module._forward_hooks for module in prepared.model.modules())


def test_the_run_is_the_same_with_and_without(home, tmp_path, capsys):
    assert train(home, tmp_path / "without") == 0
    assert "diagnosis" not in capsys.readouterr().out
    assert train(home, tmp_path / "with", "--diagnose") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("diagnosis")]
    seen = read_json(tmp_path / "with" / diagnosis.FILE)["readings"]
    assert len(lines) == len(seen) + 1 and "no alarm" in lines[-1]
    assert all(each["instrument"] in line for each, line in zip(seen, lines, strict=False))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("with", "without")]
    assert weights[0] == weights[1]


def test_a_new_run_takes_an_old_diagnosis_away(home, tmp_path):
    assert train(home, tmp_path / "run", "--diagnose") == 0
    assert train(home, tmp_path / "run", "--overwrite") == 0
    assert not (tmp_path / "run" / diagnosis.FILE).exists()


# ---------------------------------------------------------------------- ill runs


def test_a_missing_mask_is_seen(home, monkeypatch):
    prepared, fused = ready(home), F.scaled_dot_product_attention
    monkeypatch.setattr(
        F,
        "scaled_dot_product_attention",
        lambda q, k, v, mask=None, dropout=0.0, is_causal=False: fused(q, k, v, mask, dropout),
    )
    assert "future_leak" in alarms(prepared)


def test_weights_that_begin_too_large_are_seen(home):
    prepared = ready(home, "n_layer=8")
    for parameter in prepared.model.parameters():
        nn.init.normal_(parameter, std=1.0)
    assert {"first_loss", "saturated"} <= alarms(prepared)


@pytest.mark.parametrize("fault", ["not shifted", "shifted twice", "padding scored", "one row"])
def test_batches_that_are_not_what_they_should_be_are_seen(home, monkeypatch, fault):
    prepared = ready(home, "packing=padded")
    whole = type(prepared.sampler).next_batch

    def next_batch(sampler):
        inputs, targets = whole(sampler)
        if fault == "one row":
            return inputs[:1].repeat(4, 1), targets[:1].repeat(4, 1)
        if fault == "padding scored":
            return inputs, targets.where(targets != -100, prepared.tokenizer.eos_token_id)
        return inputs, inputs if fault == "not shifted" else targets.roll(-1, 1)

    monkeypatch.setattr(type(prepared.sampler), "next_batch", next_batch)
    assert "what_enters" in alarms(prepared)


def test_a_value_that_is_not_finite_is_seen_and_kept_as_text(home, tmp_path):
    prepared = ready(home)
    with torch.no_grad():
        prepared.model.blocks[1].mlp.proj.bias[0] = math.nan
    readings = diagnosis.diagnose(prepared)
    found = {reading.instrument: reading for reading in readings}
    assert found["first_nonfinite"].value == "blocks.1.mlp.proj" and found["first_loss"].alarm
    path = diagnosis.write(tmp_path, readings)
    json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert "ALARM" in diagnosis.summary(readings) and "first_nonfinite" in diagnosis.summary(readings)


def test_weights_that_do_not_move_and_an_optimizer_that_cannot_learn_are_seen(home):
    prepared = ready(home)
    prepared.model.wte.weight.requires_grad_(False)  # and the head with it
    assert "update_ratios" in alarms(prepared)
    assert {"overfit", "update_ratios"} <= alarms(ready(home, "lr=1e-7", "embedding_lr=1e-7"))
    assert "overfit" in alarms(ready(home, "lr=50", "embedding_lr=50"))


def test_a_cache_that_is_wrong_is_seen(home, monkeypatch):
    positions = KVCache.positions
    monkeypatch.setattr(KVCache, "positions", lambda cache, ids: (positions(cache, ids) + 3) % 32)
    prepared = ready(home)
    with torch.no_grad():
        prepared.model.wpe.weight.normal_(std=0.5)
    assert "cache_gap" in alarms(prepared)


def test_a_tokenizer_of_another_vocabulary_is_seen(home):
    prepared = ready(home)
    prepared.tokenizer = train_tokenizer([f"{7919 * i} {31 ** (i % 9)}" for i in range(400)], 290)
    assert "tokenizer" in alarms(prepared)


def test_an_instrument_that_fails_is_said_and_stops_nothing(home, monkeypatch):
    def fails(*_):
        raise RuntimeError("out of memory: 12 GB\nand a long trace")

    monkeypatch.setattr(instruments, "overfit", fails)
    prepared = ready(home)
    found = {reading.instrument: reading for reading in diagnosis.diagnose(prepared)}
    assert found["overfit"].alarm is None and "out of memory: 12 GB" in found["overfit"].says
    assert "\n" not in found["overfit"].says and found["cache_gap"].alarm is False


# ---------------------------------------------------------------------- the offer at the end of a run


def test_a_run_that_ends_in_nan_offers_it_in_one_line(home, tmp_path, capsys, monkeypatch):
    plain = GPT.loss
    monkeypatch.setattr(GPT, "loss", lambda model, ids, targets: plain(model, ids, targets) * math.nan)
    monkeypatch.setattr("course.cli.train._show_start", lambda *_: None)  # which measures a step, too
    assert train(home, tmp_path / "my run") == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said and "became nan" in said
    assert f'--diagnose --out "{tmp_path / "my run-2"}"' in said


@pytest.mark.parametrize(("high", "offered"), [(0.1, True), (99.0, False)])
def test_a_run_above_its_reference_range_offers_it(home, tmp_path, capsys, monkeypatch, high, offered):
    ranges = {"estimate": False, "about": "a test", "loss": [[4, 0.0, high]], "parameters": 8_160}
    monkeypatch.setattr(reference_ranges, "find_ranges", lambda recipe, profile: ranges)
    ranges["parameters"] = ready(home).model.parameter_count()
    assert train(home, tmp_path / "run") == 0
    assert ("above its reference range" in capsys.readouterr().out) == offered


def test_settings_are_the_runs_own(home):
    """What copies are trained with is the recipe's, but for what only costs time."""
    prepared = ready(home, "lr=0.123", "weight_decay=0.5", "accumulation=3", "kind=muon")
    seen = []
    case = diagnosis.Case(prepared, *[each[:2] for each in prepared.sampler.next_batch()])
    step = diagnosis.TrainStep

    class Spying(step):
        def __init__(self, model, sampler, settings):
            seen.append(settings)
            super().__init__(model, sampler, settings)

    diagnosis.TrainStep = Spying
    try:
        next(case.train(prepared.model, GPT.loss, iter([(case.inputs, case.targets)]), 1, 0.0))
    finally:
        diagnosis.TrainStep = step
    changed = dict(accumulation=1, compile="off", loss="plain")
    assert seen[0] == prepared.recipe.training.but(**changed) and isinstance(seen[0], TrainingSettings)
