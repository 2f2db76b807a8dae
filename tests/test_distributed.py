"""Two processes with a batch each do what one does with both: the same losses, one set of files, exact resuming."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from course.distributed import Processes, processes
from helpers.checkpoint import load_model, saved_checkpoints
from helpers.errors import CourseError
from helpers.files import repository_root
from helpers.run_log import read_log
from helpers.tokenizer import train_tokenizer
from helpers.training import Trainer

NAMES, THINGS = ("Pip", "Ann", "Tom", "Zoe", "Max"), ("kite", "ball", "drum", "boat")
TEXTS = [f"Once upon a time, {name} had a {thing}. {name} lost the {thing}." for name in NAMES for thing in THINGS]


needs_gloo = pytest.mark.skipif(os.name == "nt" or not torch.distributed.is_available(), reason="needs gloo")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    (folder / "stories.txt").write_text("\n<|endoftext|>\n".join(TEXTS), encoding="utf-8")
    train_tokenizer(TEXTS, 280).save(folder / "tokenizer.json")
    return folder


def given(home, out, batch, *more):
    changes = ["n_layer=2", "n_head=2", "d_model=16", "context_length=24", "eval_stories=3", "log_every=1",
               "eval_every=4", "sample_every=4", "accumulation=2", "steps=8", "checkpoint_every=4", "kind=muon",
               f"batch_size={batch}", f"tokenizer={home / 'tokenizer.json'}", *more]  # fmt: skip
    sets = [part for change in changes for part in ("--set", change)]
    return ["train", *sets, "--stories", str(home / "stories.txt"), "--out", str(out)]


def call(home, *argv, count=1, program=("-m", "course")):
    """The command as a person types it, alone or under torchrun."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"] if count > 1 else []
    command = [sys.executable, *launcher, *program, *argv, "--quiet"]
    environment = os.environ | {"COURSE_RUNS": str(home / "runs"), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(repository_root())
    return subprocess.run(command, cwd=repository_root(), env=environment, capture_output=True, text=True, timeout=400)


def weights(folder):
    return torch.cat([parameter.detach().flatten() for parameter in load_model(folder)[0].parameters()])


@needs_gloo
@pytest.mark.parametrize(
    "more",
    [
        [],
        pytest.param(
            ["loss=chunked", "tied_head=true"],
            marks=pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="this torch has no chunked loss"),
        ),
    ],
)
def test_two_processes_are_one_with_twice_the_batch(home, tmp_path, more):
    """Padded, where the two have different numbers of tokens to score."""
    one, two = tmp_path / "one", tmp_path / "two"
    alone = call(home, *given(home, one, 4, "packing=padded", *more))
    assert alone.returncode == 0, alone.stderr
    both = call(home, *given(home, two, 2, "packing=padded", *more), count=2)
    assert both.returncode == 0, both.stderr[-3000:]
    assert "2 processes" in both.stdout and both.stdout.count("folder ") == 1  # one speaks
    mine, theirs = read_log(one), read_log(two)
    assert [row["step"] for row in theirs] == list(range(1, 9))
    for a, b in zip(mine, theirs, strict=True):
        assert a.keys() == b.keys() and a["tokens"] == b["tokens"]
        for key in {"loss", "grad_norm", "val_loss"} & a.keys():
            assert a[key] == pytest.approx(b[key], rel=1e-4), (key, a["step"])
    assert torch.allclose(weights(one), weights(two), atol=1e-4)
    names = {path.relative_to(one) for path in one.rglob("*")}
    assert names == {path.relative_to(two) for path in two.rglob("*")}


DYING = """
import os, signal, sys
from helpers import training
from course.__main__ import main
count_seconds = training.Trainer.clock
def clock(self, started):
    if self.step == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return count_seconds(self, started)
training.Trainer.clock = clock
sys.exit(main(sys.argv[1:]))
"""


@needs_gloo
def test_two_processes_are_killed_and_resume_exactly(home, tmp_path):
    """With dropout: each process drops out values of its own, and goes on with its own random numbers."""
    whole, parts, program = tmp_path / "whole", tmp_path / "parts", tmp_path / "dying.py"
    program.write_text(DYING, encoding="utf-8")
    done = call(home, *given(home, whole, 2, "dropout=0.2"), count=2)
    assert done.returncode == 0, done.stderr[-3000:]
    killed = call(home, *given(home, parts, 2, "dropout=0.2"), count=2, program=(str(program),))
    assert killed.returncode != 0 and saved_checkpoints(parts)[0].name == "step-00000004.safetensors", killed.stderr[
        -3000:
    ]
    refused = call(home, "resume", str(parts))
    assert refused.returncode == 2 and "another" in refused.stderr
    resumed = call(home, "resume", str(parts), count=2)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert "going on from step 4" in resumed.stdout and torch.equal(weights(whole), weights(parts))


def test_a_batch_is_divided_without_rest():
    batch = torch.arange(12).view(6, 2)
    shards = [Processes(rank, 3).shard(batch) for rank in range(3)]
    assert torch.equal(torch.cat(shards), batch) and all(len(shard) == 2 for shard in shards)
    with pytest.raises(CourseError, match="6 sequences cannot be divided among 4 processes"):
        Processes(0, 4).shard(batch)


def test_alone_nothing_changes(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes() as alone:
        assert alone == Processes() and alone.is_rank0 and alone.device is None
    tensor = torch.zeros(2)
    assert alone.trainer is Trainer and alone.all_reduce(1.5) == 1.5 and alone.all_gather(tensor) == [tensor]
    with alone.on_rank0_first():
        alone.barrier()
