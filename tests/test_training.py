"""The loop: it learns, it accumulates exactly, it stops and goes on exactly, and it says when it fails."""

import ast
import json
import math
import re
import signal
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course.figures.training import write_curves
from course.runs import make_sampler
from helpers import checkpoint, training
from helpers.dataset import tokenize_stories
from helpers.errors import CourseError
from helpers.evaluation import mean_loss, story_rows
from helpers.model import GPT, IGNORED, GPTConfig
from helpers.run_log import CURVES, LOG, SAMPLES, read_log, stop_on_interrupt
from helpers.settings import ScheduleConfig, TrainingSettings, schedule
from helpers.tokenizer import train_tokenizer
from helpers.train_step import chunked_loss
from helpers.training import BEST, Trainer, train

NAMES, THINGS = ("Pip", "Ann", "Tom", "Zoe"), ("kite", "ball", "drum")
TEXTS = [f"{name} had a {thing}. {name} lost the {thing}." for name in NAMES for thing in THINGS]
TINY = TrainingSettings.of(batch_size=2, steps=12, lr=3e-3, eval_every=6, sample_every=5, log_every=1)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 290)


@pytest.fixture(scope="module")
def tokens(tokenizer, tmp_path_factory):
    return tokenize_stories(TEXTS, tokenizer, tmp_path_factory.mktemp("tokens"), progress=False)


@pytest.fixture
def make(tokenizer, tokens):
    def make(settings=TINY, folder=None, dropout=0.1, **options):
        torch.manual_seed(settings.seed)
        model = GPT(
            GPTConfig(tokenizer.vocab_size, context_length=24, n_layer=2, n_head=2, d_model=16, dropout=dropout)
        )
        options = dict(progress=False, tokenizer=tokenizer, folder=folder) | options
        options.setdefault("validation", story_rows(tokenizer, TEXTS[:3]))
        return Trainer(model, make_sampler(tokens, settings, 24), settings, **options)

    return make


def weights(training):
    return {name: parameter.detach().clone() for name, parameter in training.model.named_parameters()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_small_model_learns_small_stories(make, tmp_path):
    settings = TINY.but(steps=150, kind="muon", lr=0.02, eval_every=50, log_every=10)
    training = make(settings, tmp_path / "run", dropout=0.0)
    before = mean_loss(training.model, training.validation)
    result = training.run()
    assert before > 5 and result.val_loss < 1 and result.stopped == "finished" and result.steps == 150
    assert result.val_loss == pytest.approx(mean_loss(training.model, training.validation))
    model, _ = checkpoint.load_model(tmp_path / "run")
    assert mean_loss(model, training.validation) == pytest.approx(result.val_loss, abs=1e-6)
    rows = [json.loads(line) for line in (tmp_path / "run" / LOG).read_text(encoding="utf-8").splitlines()]
    assert rows == result.history == read_log(tmp_path / "run")
    assert [row["step"] for row in rows] == list(range(5, 151, 5))  # every 10 the loss, every 5 a sample
    for key in ("step", "tokens", "loss", "lr", "grad_norm", "tokens_per_second", "seconds"):
        assert all(key in row for row in rows)
    assert [row["step"] for row in rows if "val_loss" in row] == [50, 100, 150]
    assert rows[0]["sample"].startswith("Once upon a time")
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {"model.safetensors", "config.json", "tokenizer.json", LOG, SAMPLES, BEST}
    about = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["training"]
    assert about["settings"] == settings.flat() and about["steps"] == 150


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("packing", ["packed", "padded", "windows"])
def test_stopped_and_resumed_equals_never_stopped(make, tmp_path, optimizer, packing):
    settings = TINY.but(kind=optimizer, packing=packing, accumulation=2, log_every=3)
    whole = make(settings, tmp_path / "whole")
    whole.run()
    first = make(settings, tmp_path / "parts", callback=lambda row: row["step"] == 5)
    assert first.run().stopped == "callback"
    assert len(checkpoint.saved_checkpoints(tmp_path / "parts")) == 2  # of step 5 and from before the first
    torch.manual_seed(99)  # whatever happened in between
    np.random.seed(99)
    second = make(settings, tmp_path / "parts")
    torch.nn.init.normal_(second.model.wte.weight)
    result = second.resume().run()
    assert result.steps == 12 and same(weights(whole), weights(second))

    def told(training):
        return [
            {key: value for key, value in row.items() if "second" not in key and key != "memory_gb"}
            for row in training.history
        ]

    assert told(whole) == told(second)
    assert [row["step"] for row in read_log(tmp_path / "parts")] == [row["step"] for row in whole.history]
    with pytest.raises(CourseError, match="nothing to resume"):
        make(settings, tmp_path / "parts").resume()


def test_a_killed_run_resumes_from_its_last_checkpoint(make, tmp_path):
    settings = TINY.but(checkpoint_every=4)
    whole = make(settings)
    whole.run()

    class Killed(Exception):
        pass

    def kill(row):
        if row["step"] == 7:
            raise Killed

    with pytest.raises(Killed):
        make(settings, tmp_path, callback=kill).run()
    with open(tmp_path / LOG, "a", encoding="utf-8") as file:
        file.write('{"step": 8, "lo')  # killed while it wrote
    assert checkpoint.load_model(tmp_path)  # what was there at step 4 can be used
    again = make(settings, tmp_path).resume()
    assert again.step == 4
    again.run()
    assert same(weights(whole), weights(again))
    assert [row["step"] for row in read_log(tmp_path)] == list(range(1, 13))


def test_what_the_callback_adds_to_a_row_is_kept(make, tmp_path):
    result = make(folder=tmp_path, callback=lambda row: row.update(seen=10 * row["step"])).run()
    assert result.stopped == "finished"
    assert [row["seen"] for row in read_log(tmp_path)] == [10 * row["step"] for row in result.history]


def test_ctrl_c_finishes_the_step_saves_and_leaves(make, tmp_path):
    whole = make()
    whole.run()

    def interrupt(row):
        if row["step"] == 6:
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    result = make(folder=tmp_path, callback=interrupt).run()
    assert result.stopped == "interrupted" and result.steps in (6, 7)
    assert signal.getsignal(signal.SIGINT) is handler
    again = make(folder=tmp_path).resume()
    again.run()
    assert same(weights(whole), weights(again))


def test_a_second_ctrl_c_interrupts_at_once():
    with pytest.raises(KeyboardInterrupt), stop_on_interrupt() as event:
        signal.raise_signal(signal.SIGINT)
        assert event.wait(5)
        signal.raise_signal(signal.SIGINT)
        event.clear()


class Scripted:
    """Gives the batches it was given."""

    def __init__(self, batches):
        self.batches = list(batches)

    def next_batch(self):
        return self.batches.pop(0)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_accumulation_equals_the_big_batch(tokenizer, optimizer):
    """Also where some positions are not scored, so that the parts have different numbers of tokens."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 290, (8, 24), generator=generator)
    targets = torch.randint(0, 290, (8, 24), generator=generator)
    targets[0, 5:], targets[3:5, 20:] = IGNORED, IGNORED
    ends = []
    for parts in (1, 4):
        torch.manual_seed(0)
        model = GPT(GPTConfig(tokenizer.vocab_size, 24, n_layer=2, n_head=2, d_model=16)).double()
        batches = [pair for _ in range(3) for pair in zip(ids.chunk(parts), targets.chunk(parts), strict=True)]
        settings = TINY.but(accumulation=parts, steps=3, clip=0.5, kind=optimizer)
        result = train(model, Scripted(batches), settings, progress=False)
        ends.append((torch.cat([p.detach().flatten() for p in model.parameters()]), result))
    assert torch.allclose(ends[0][0], ends[1][0], atol=1e-6)
    for one, other in zip(ends[0][1].history, ends[1][1].history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"]) and one["tokens"] == other["tokens"]
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-5)


def test_a_loss_that_is_no_number_stops_with_a_reason(make, tmp_path):
    training = make(folder=tmp_path)

    def poison(row):
        if row["step"] == 3:
            with torch.no_grad():
                training.model.wte.weight[:] = math.nan

    training.callback = poison
    with pytest.raises(CourseError, match="loss became nan at step 4.*learning rate"):
        training.run()
    assert len(read_log(tmp_path)) == 3


def test_seconds_end_a_run_and_its_schedule(make):
    result = make(TINY.but(steps=None, seconds=1.5, eval_every=0, sample_every=0, final=0.0)).run()
    assert 1.5 <= result.seconds < 3 and result.steps > 5
    rates = [row["lr"] for row in result.history]
    assert max(rates) <= 3e-3 and rates[-1] < 0.2 * max(rates)
    assert result.val_loss is not None and "val_loss" in result.history[-1]  # scored at the end all the same


def test_epochs_end_a_run(make, tokens):
    training = make(TINY.but(steps=None, epochs=2.0))
    training.run()
    assert 2 <= training.sampler.epochs < 2.5


@pytest.mark.parametrize("name", ["cosine", "linear", "wsd", "constant"])
def test_schedules(name):
    settings = ScheduleConfig(shape=name, warmup=0.1, final=0.2, decay=0.3)
    values = [schedule(p / 1000, settings) for p in range(1001)]
    assert values[50] == pytest.approx(0.5) and values[100] == pytest.approx(1) == max(values)
    assert np.all(np.diff(values[100:]) <= 1e-12)
    if name == "constant":
        assert values[-1] == 1
    else:
        assert values[-1] == pytest.approx(0.2)
    if name == "cosine":
        assert values[550] == pytest.approx(0.6)
    if name == "wsd":
        assert values[700] == pytest.approx(1) and values[850] == pytest.approx(0.6)


def test_a_step_never_has_the_learning_rate_zero(make):
    rates = [row["lr"] for row in make(TINY.but(warmup=0.0, final=0.0)).run().history]
    assert min(rates) > 0 and max(rates) < 3e-3


@pytest.mark.parametrize(
    "changes",
    [
        dict(packing="lines"), dict(kind="sgd"), dict(shape="steps"), dict(batch_size=0), dict(loss="fused"),
        dict(lr=0.0), dict(beta2=1.0), dict(clip=-1.0), dict(steps=0), dict(seconds=-5.0),
        dict(precision="int8"), dict(warmup=1.0), dict(final=1.1),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(CourseError, match=f"{next(iter(changes))} must be"):
        TrainingSettings.of(**changes)


def test_a_run_that_cannot_work_is_refused(make, tmp_path):
    with pytest.raises(CourseError, match="needs a length"):
        make(TINY.but(steps=None))
    with pytest.raises(CourseError, match="needs its tokenizer"):
        make(folder=tmp_path, tokenizer=None)
    make(folder=tmp_path, callback=lambda row: True).run()
    with pytest.raises(CourseError, match="another lr: 0.003 there, 1.0 here"):
        make(TINY.but(lr=1.0), tmp_path).resume()


def test_flat_keys_reach_their_groups_and_come_back():
    settings = TrainingSettings.of(
        lr=0.01, shape="wsd", steps=7, packing="windows", log_every=3, loss="chunked", seed=5
    )
    assert (settings.optimizer.lr, settings.schedule.shape, settings.schedule.steps) == (0.01, "wsd", 7)
    assert (settings.data.packing, settings.logging.log_every, settings.hardware.loss) == ("windows", 3, "chunked")
    assert settings.seed == 5 and TrainingSettings.of(**settings.flat()) == settings
    changed = settings.but(lr=0.02, seed=6)
    assert (changed.optimizer.lr, changed.seed) == (0.02, 6) and settings.optimizer.lr == 0.01
    assert changed.but(lr=0.01, seed=5) == settings
    assert json.loads(json.dumps(settings.flat())) == settings.flat()
    groups = [fields(group.type) for group in fields(TrainingSettings) if group.name != "seed"]
    names = [each.name for group in groups for each in group] + ["seed"]
    assert len(set(names)) == len(names) and list(settings.flat()) == names  # no key is in two groups
    with pytest.raises(CourseError, match="no training setting 'warm_up' .did you mean 'warmup'"):
        settings.but(warm_up=0.1)


def test_a_trainer_alone_knows_of_no_processes():
    """What several need is a layer around it: `course.distributed`."""
    tree = ast.parse(Path(training.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "course.distributed" not in imported and "torch.distributed" not in imported
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not [name for name in names if re.search("process|rank|distributed|reduce|gather|barrier|world", name)]


def test_a_report_is_asked_for_whenever_the_run_is_saved(make, tmp_path):
    seen = []
    make(TINY.but(checkpoint_every=5), tmp_path, report=lambda folder, rows: seen.append((folder, len(rows)))).run()
    assert seen == [(tmp_path, 0), (tmp_path, 5), (tmp_path, 10), (tmp_path, 12)]
    write_curves(tmp_path, read_log(tmp_path))
    assert (tmp_path / CURVES).read_bytes().startswith(b"\x89PNG")


# ---------------------------------------------------------------------- the chunked loss

needs_chunks = pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="this torch has no chunked loss")


def tiny(tied, vocab_size=97):
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size, context_length=24, n_layer=2, n_head=2, d_model=16, tied_head=tied))
    tokens = torch.randint(0, vocab_size, (3, 25))
    ids, targets = tokens[:, :-1], tokens[:, 1:].clone()
    targets[1, 7:], targets[2, :3] = IGNORED, IGNORED
    return model, ids, targets


@needs_chunks
@pytest.mark.parametrize("tied", [True, False])
def test_the_chunked_loss_is_the_plain_one_in_value_and_gradients(tied):
    model, ids, targets = tiny(tied)
    plain = model.loss(ids, targets)
    (3 * plain).backward()
    right = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    chunked = chunked_loss(model, ids, targets)
    (3 * chunked).backward()
    assert chunked.item() == pytest.approx(plain.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        assert not parameter.grad.is_sparse
        assert torch.allclose(parameter.grad, right[name], rtol=1e-4, atol=1e-6), name


@needs_chunks
def test_the_chunked_loss_checks_its_targets_and_leaves_the_model_as_it_was():
    model, ids, targets = tiny(True)
    for bad in (-1, 97):
        with pytest.raises(CourseError, match=f"target {bad} is neither"):
            chunked_loss(model, ids, targets.masked_fill(targets == targets[0, 0], bad))
    with pytest.raises(CourseError, match="outside the vocabulary"):
        chunked_loss(model, ids + 97, targets)
    assert not model.wte.sparse


def test_an_older_torch_says_what_the_chunked_loss_needs(monkeypatch):
    monkeypatch.delattr(F, "linear_cross_entropy", raising=False)
    with pytest.raises(CourseError, match="loss=chunked needs torch 2.13.*loss=plain"):
        chunked_loss(*tiny(True))


@needs_chunks
def test_the_chunked_loss_follows_autocast_and_accumulates():
    model, ids, targets = tiny(True)
    with torch.autocast("cpu", torch.bfloat16):
        plain = model.loss(ids, targets)
    (plain + plain).backward()
    right = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    model.zero_grad()
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            chunked = chunked_loss(model, ids, targets)
        chunked.backward()
    found = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert chunked.dtype == torch.float32 and chunked.item() == pytest.approx(plain.item(), rel=2e-3)
    assert torch.cosine_similarity(found, right, dim=0) > 0.999 and found.norm() / right.norm() == pytest.approx(
        1, 0.01
    )


@needs_chunks
def test_a_run_by_the_chunked_loss_goes_as_one_by_the_plain(make):
    plain = make(dropout=0.0).run()
    chunked = make(TINY.but(loss="chunked"), dropout=0.0).run()
    for one, other in zip(plain.history, chunked.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)


def test_progress_and_samples_are_shown(make, capfd):
    make(TINY.but(steps=6), progress=True).run()
    shown = capfd.readouterr()
    assert "loss=" in shown.err and "Once upon a time" in shown.out + shown.err


def test_compiling_is_over_before_the_clock_of_a_run_starts(make, monkeypatch):
    """In a run that counts seconds it would swallow the warm-up; and it changes no random number."""
    happened, clock = [], Trainer.clock

    def compile_late(function):
        def call(*given):
            happened.append("computed")
            return function(*given)

        return call

    def noted(self, started):
        happened.append("clock")
        return clock(self, started)

    monkeypatch.setattr(torch, "compile", compile_late)
    monkeypatch.setattr(Trainer, "clock", noted)
    losses = []
    for way in ("on", "off"):
        losses.append([row["loss"] for row in make(TINY.but(compile=way)).run().history])
    assert happened[:3] == ["computed", "computed", "clock"]  # once to compile, then the first step
    assert losses[0] == losses[1]
