"""What can befall a run: it is killed, told to stop, its folder is damaged, its disk is full, its numbers run away."""

import errno
import json
import math
import os
import signal
import sys
from pathlib import Path

import pytest
import torch

from course.runs import make_sampler
from helpers import checkpoint, files, run_log
from helpers.dataset import tokenize_stories
from helpers.errors import CourseError
from helpers.evaluation import mean_loss, story_rows
from helpers.files import repository_root
from helpers.model import GPT, GPTConfig
from helpers.run_log import LOG, SAMPLES, read_log, stop_on_interrupt
from helpers.settings import TrainingSettings
from helpers.tokenizer import train_tokenizer
from helpers.train_step import PATIENCE
from helpers.training import BEST, Trainer

TEXTS = [f"{name} had a {thing}. {name} lost it." for name in ("Pip", "Ann", "Tom") for thing in ("kite", "ball")]
TINY = TrainingSettings.of(
    batch_size=2, steps=12, lr=3e-3, eval_every=3, sample_every=6, log_every=1, checkpoint_every=3
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 290)


@pytest.fixture(scope="module")
def tokens(tokenizer, tmp_path_factory):
    return tokenize_stories(TEXTS, tokenizer, tmp_path_factory.mktemp("tokens"), progress=False)


@pytest.fixture
def make(tokenizer, tokens):
    def make(folder=None, settings=TINY, **options):
        torch.manual_seed(settings.seed)
        model = GPT(GPTConfig(tokenizer.vocab_size, context_length=24, n_layer=2, n_head=2, d_model=16, dropout=0.1))
        options = dict(progress=False, tokenizer=tokenizer, validation=story_rows(tokenizer, TEXTS[:3])) | options
        return Trainer(model, options.pop("sampler", make_sampler(tokens, settings, 24)), settings, folder=folder,
                        **options)  # fmt: skip

    return make


def weights(training):
    return torch.cat([parameter.detach().flatten() for parameter in training.model.parameters()])


def stop_at(step):
    return lambda row: row["step"] == step


# ---------------------------------------------------------------------- killed, told to stop


@pytest.mark.skipif(sys.platform != "linux", reason="the tool forks")
def test_killed_at_random_moments_and_in_the_middle_of_writes(capfd):
    """A handful here; the tool does any number. In a process of its own, since it forks."""
    import subprocess

    tool = repository_root() / "docs" / "tools" / "kill_runs.py"
    command = [sys.executable, str(tool), "--kills", "10", "--seed", "1"]
    home = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    environment = os.environ | ({"TMPDIR": home} if home else {})
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "'kills': 1" in done.stdout


DEATHS = """
import os

import kill_runs
from helpers.files import write_atomically

for point in kill_runs.POINTS:
    for number, content in enumerate(("1234", b"1234", [b"1", b"23", b"4"])):
        folder = f"{point} {number}"
        child = os.fork()
        if child == 0:
            kill_runs._die_in_a_write(0, point)
            write_atomically(f"{folder}/file", content)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        (name,) = os.listdir(folder)
        print(point, code, name == "file", open(f"{folder}/{name}").read(), sep="|")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the tool forks")
def test_a_write_is_killed_at_each_point_however_its_bytes_come(tmp_path):
    """Else the tool would count kills in the middle of a save of which none was there."""
    import subprocess

    places = [repository_root(), repository_root() / "docs" / "tools"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places))}
    done = subprocess.run([sys.executable, "-c", DEATHS], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = [
        *["half written|-9|False|12"] * 3,
        *["before the flush|-9|False|1234"] * 3,
        *["after the flush|-9|False|1234"] * 3,
        *["before the name|-9|False|1234"] * 3,
        *["after the name|-9|True|1234"] * 3,
    ]
    assert done.stdout.splitlines() == seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_signal_finishes_the_step_saves_and_leaves(make, tmp_path, number):
    whole = make()
    whole.run()
    before = signal.getsignal(number)
    result = make(tmp_path, callback=lambda row: row["step"] == 5 and signal.raise_signal(number)).run()
    assert result.stopped == "interrupted" and result.steps in (5, 6) and signal.getsignal(number) is before
    again = make(tmp_path).resume()
    assert again.step == result.steps and again.notes == []
    again.run()
    assert torch.equal(weights(whole), weights(again))


def test_under_torchrun_a_second_signal_changes_nothing():
    with stop_on_interrupt(patient=True) as event:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert event.wait(5)


# ---------------------------------------------------------------------- a damaged folder


def test_what_a_run_leaves(make, tmp_path):
    training = make(tmp_path, keep=2, callback=stop_at(10))
    training.run()
    kept = [path.name for path in checkpoint.saved_checkpoints(tmp_path)]
    assert kept == ["step-00000010.safetensors", "step-00000009.safetensors"]
    scores = {row["step"]: row["val_loss"] for row in read_log(tmp_path) if "val_loss" in row}
    best, _ = checkpoint.load_model(tmp_path / BEST)
    assert mean_loss(best, training.validation) == pytest.approx(min(scores.values()), abs=1e-6)
    assert "step 6: " in (tmp_path / SAMPLES).read_text(encoding="utf-8")
    accuracies = [row["val_accuracy"] for row in read_log(tmp_path) if "val_accuracy" in row]
    assert len(accuracies) == len(scores) and all(0 <= fraction <= 1 for fraction in accuracies)


def test_the_best_model_stays_when_later_ones_are_worse(make, tmp_path):
    """A run whose rate is far too high gets worse: what is kept is not the last."""

    def spoil(row):
        if row["step"] == 8:
            with torch.no_grad():
                training.model.wte.weight.mul_(30)

    training = make(tmp_path, callback=spoil)
    training.run()
    scores = {row["step"]: row["val_loss"] for row in read_log(tmp_path) if "val_loss" in row}
    assert min(scores, key=scores.get) == 6 and scores[9] > scores[6] + 0.3
    steps = [
        json.loads((folder / "config.json").read_text(encoding="utf-8"))["training"]["steps"]
        for folder in (tmp_path / BEST, tmp_path)
    ]
    assert steps == [6, 12]


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "empty"])
def test_a_damaged_checkpoint_costs_a_few_steps_and_no_more(make, tmp_path, damage):
    whole = make()
    whole.run()
    make(tmp_path, callback=stop_at(8)).run()
    newest, older = checkpoint.saved_checkpoints(tmp_path)
    content = newest.read_bytes()
    if damage == "gone":
        newest.unlink()
    elif damage == "empty":
        newest.write_bytes(b"")
    elif damage == "cut":
        newest.write_bytes(content[: len(content) // 2])
    else:
        middle = len(content) // 2
        newest.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    again = make(tmp_path).resume()
    assert again.step == 6
    assert damage == "gone" or (newest.name in again.notes[0] and f"going on from {older.name}" in again.notes[0])
    again.run()
    assert torch.equal(weights(whole), weights(again))
    assert [row["step"] for row in read_log(tmp_path)] == list(range(1, 13))


def test_other_damaged_files_do_not_matter(make, tmp_path):
    """The checkpoint alone is needed; model, log and pictures are written again."""
    whole = make(tmp_path / "whole")
    whole.run()
    run = tmp_path / "run"
    make(run, callback=stop_at(8)).run()
    for name in ("model.safetensors", "config.json"):
        (run / name).write_bytes(b"damaged")
    rows = (run / LOG).read_bytes().splitlines(keepends=True)
    rows[2] = b'{"step": 3, "lo\xff\xfe\n'  # a line of the log that is not even text
    (run / LOG).write_bytes(b"".join(rows))
    again = make(run).resume()
    again.run()
    assert torch.equal(weights(whole), weights(again))
    assert [row["step"] for row in read_log(run)] == [1, 2, *range(4, 13)]
    assert checkpoint.load_model(run)


# ---------------------------------------------------------------------- a full disk


@pytest.mark.parametrize("what", ["step-", "model.safetensors", LOG])
def test_a_full_disk_stops_the_run_and_the_checkpoint_before_is_whole(make, tmp_path, monkeypatch, what):
    whole = make()
    whole.run()
    write, line = files.os.replace, run_log._line

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def replaced(temporary, path):
        if Path(path).name.startswith(what) and one.step >= 6:
            full()
        write(temporary, path)

    monkeypatch.setattr(files.os, "replace", replaced)
    if what == LOG:
        monkeypatch.setattr(run_log, "_line", lambda row: full() if row["step"] >= 6 else line(row))
    one = make(tmp_path)
    with pytest.raises(CourseError, match="No space left on device.*make room"):
        one.run()
    monkeypatch.undo()
    assert not list(tmp_path.rglob("*.part"))
    again = make(tmp_path).resume()
    assert again.step in (3, 6) and again.notes == []
    again.run()
    assert torch.equal(weights(whole), weights(again))


# ---------------------------------------------------------------------- numbers that run away


class Poisoned:
    """A sampler whose batches are good, until its owner is asked to spoil something."""

    def __init__(self, sampler, at, act):
        self.sampler, self.at, self.act, self.drawn = sampler, at, act, 0

    def next_batch(self):
        self.drawn += 1
        if self.drawn in self.at:
            self.act()
        return self.sampler.next_batch()

    def __getattr__(self, name):
        return getattr(self.sampler, name)


def test_a_loss_that_is_no_number_names_step_batch_and_position(make, tokens):
    settings = TINY.but(accumulation=2)
    training = make(settings=settings)
    before = []

    def spoil():
        before.append(weights(training))
        training.model.ln_f.weight.data[0] = math.inf

    training.train_step.sampler = Poisoned(training.sampler, {8}, spoil)  # the second batch of step 4
    with pytest.raises(
        CourseError, match=r"loss became (nan|inf) at step 4, batch 1 of 2 \(the sampler stood at epoch"
    ):
        training.run()
    assert training.step == 3


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_gradient_that_is_no_number_does_not_reach_the_weights(make, optimizer):
    """The loss may be a number where its gradient is none."""
    training = make(settings=TINY.but(kind=optimizer, steps=6))
    training.model.wpe.weight.register_hook(lambda grad: grad * math.inf if training.step == 3 else grad)
    with pytest.raises(CourseError, match="gradient's norm became (nan|inf) at step 4"):
        training.run()
    assert weights(training).isfinite().all() and training.step == 3


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_float16_leaves_out_a_step_that_overflows_and_lowers_its_scale(make, optimizer):
    """The scaler works on a processor as it does on a GPU. Only one of Muon's two optimizers sees the overflow, and
    neither may step.
    """
    seen = {}

    def look(row):
        seen[row["step"]] = weights(training), training.train_step.scaler.get_scale(), row

    training = make(settings=TINY.but(kind=optimizer), callback=look)
    training.train_step.scaler = torch.amp.GradScaler("cpu", enabled=True)
    training.model.wpe.weight.register_hook(lambda grad: grad * math.inf if training.step in (4, 5) else grad)
    result = training.run()
    assert result.steps == 12 and math.isfinite(result.loss) and weights(training).isfinite().all()
    assert [seen[step][1] for step in (4, 5, 6, 7)] == [65536.0, 32768.0, 16384.0, 16384.0]
    assert torch.equal(seen[4][0], seen[6][0]) and not torch.equal(seen[6][0], seen[7][0])
    assert training.train_step.skipped_in_all == 2 and seen[5][2]["loss"] is None and seen[7][2]["loss"] > 0
    json.dumps([row for _, _, row in seen.values()], allow_nan=True)


def test_float16_gives_up_when_nothing_helps(make):
    training = make(settings=TINY.but(steps=100, log_every=50, eval_every=0, sample_every=0))
    training.train_step.scaler = torch.amp.GradScaler("cpu", enabled=True)
    training.model.wpe.weight.register_hook(lambda grad: grad * math.inf)
    with pytest.raises(CourseError, match=f"after {PATIENCE} steps in a row that float16 left out: use float32"):
        training.run()
    assert training.step == PATIENCE


# ---------------------------------------------------------------------- data that end


class Ending:
    """A sampler with so many batches and no more."""

    def __init__(self, sampler, batches):
        self.sampler, self.left = sampler, batches

    def next_batch(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.sampler.next_batch()

    def state_dict(self):
        return self.sampler.state_dict() | {"left": self.left}

    def load_state_dict(self, state):
        self.left = state.pop("left")
        self.sampler.load_state_dict(state)


def test_data_that_end_end_the_run_and_it_is_saved(make, tokens, tmp_path):
    settings = TINY.but(accumulation=2)
    ended = make(tmp_path, settings, sampler=Ending(make_sampler(tokens, settings, 24), 9))
    result = ended.run()
    assert (result.stopped, result.steps) == ("data ended", 5)  # four of two batches, one of the one that was left
    assert checkpoint.load_model(tmp_path) and not checkpoint.saved_checkpoints(tmp_path)
    assert [row["step"] for row in read_log(tmp_path)] == [1, 2, 3, 4, 5] and "val_loss" in read_log(tmp_path)[-1]
    empty = make(settings=settings, sampler=Ending(make_sampler(tokens, settings, 24), 0)).run()
    assert (empty.stopped, empty.steps) == ("data ended", 0) and math.isnan(empty.loss)
    even = make(settings=settings, sampler=Ending(make_sampler(tokens, settings, 24), 4)).run()
    assert (even.stopped, even.steps) == ("data ended", 2)
