"""Two processes with a batch each do what one does with both: the same losses, one set of files, exact resuming;
whether each holds the whole model or a shard of it, and with another number of them after a stop.
"""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given as whatever
from hypothesis import strategies
from safetensors.torch import load_file

from course.distributed import Processes, processes
from course.recipes import get_recipe
from course.saved import divided
from course.shard_files import load_run, remove_unused_shards, save_shards
from course.sharded import memory_of_rank, trainer_for
from helpers.checkpoint import load_model, save_checkpoint, saved_checkpoints
from helpers.distributed import rows_of, shard_of
from helpers.errors import CourseError
from helpers.files import repository_root
from helpers.model import GPT, GPTConfig
from helpers.run_log import read_log
from helpers.settings import HardwareConfig, TrainingSettings
from helpers.tokenizer import train_tokenizer
from helpers.train_step import TrainStep
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


# ---------------------------------------------------------------------- the same steps, in one process or several

# What both sides of a comparison import: a sampler of the batch of all, and a model.
SAME = """
import torch
from helpers.model import GPT, GPTConfig
from helpers.settings import TrainingSettings

class Sampler:
    def __init__(self, batch_size):
        self.batch_size, self.generator = batch_size, torch.Generator().manual_seed(1)
    def next_batch(self):
        rows = torch.randint(51, (self.batch_size, 13), generator=self.generator)
        targets = rows[:, 1:].clone()
        targets[0, 5:] = -100  # so that the processes have different numbers of tokens to score
        return rows[:, :-1], targets

def model():
    torch.manual_seed(0)
    return GPT(GPTConfig(vocab_size=51, context_length=12, n_layer=2, n_head=2, d_model=16)).train()

def settings(batch_size, **more):
    common = dict(steps=20, lr=0.01, accumulation=2, log_every=1, clip=0.5)
    return TrainingSettings.of(**common | dict(batch_size=batch_size) | more)

CASES = {
    f"{parallel}-{kind}{'-recompute' * again}": dict(parallel=parallel, kind=kind, recompute=again)
    for parallel in ("ddp", "fsdp") for kind in ("adamw", "muon") for again in (False, True)
    if not again or kind == "muon"
}
"""

TOGETHER = """
import json, sys
from safetensors.torch import save_file
from course.distributed import processes
from course.sharded import memory_of_rank, trainer_for
from helpers.distributed import average_gradients, shard_of
from same import CASES, Sampler, model, settings

with processes("cpu") as group:
    losses, memory = {}, {}
    for name, case in CASES.items():
        chosen = settings(2, **case)
        trainer = trainer_for(group, chosen.hardware)(model(), Sampler(2), chosen, progress=False)
        result = trainer.run()
        losses[name] = [row["loss"] for row in result.history]
        memory[name] = memory_of_rank(trainer.model, trainer.train_step.optimizers)
        if group.is_rank0:
            save_file({key: value.contiguous() for key, value in trainer.unpadded.named_parameters()
                       if key != "head.weight"}, f"{sys.argv[1]}/{name}.safetensors")
    by_hand = model()
    if group.rank == 1:
        by_hand.wpe.weight.requires_grad_(False)  # there it has no gradient, and counts as zero
    by_hand.ln_f.bias.requires_grad_(False)
    ids, targets = Sampler(4).next_batch()
    by_hand.loss(shard_of(ids, group.rank, 2), shard_of(ids, group.rank, 2)).backward()
    by_hand.wpe.weight.requires_grad_()
    average_gradients(by_hand)
    if group.is_rank0:
        save_file({key: value.grad for key, value in by_hand.named_parameters() if value.grad is not None},
                  f"{sys.argv[1]}/by-hand.safetensors")
        open(f"{sys.argv[1]}/found.json", "w").write(json.dumps([losses, memory]))
"""


def launch(folder, program, count, *argv):
    """A program of several processes, in a folder of its own with what they have in common."""
    (folder / "same.py").write_text(SAME, encoding="utf-8")
    (folder / "program.py").write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "1", "--nproc-per-node", str(count)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository_root())}
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", str(folder / "program.py"), *map(str, argv)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def same():
    found = {}
    exec(SAME, found)
    return found


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    launch(folder, TOGETHER, 2, folder)
    return folder, *json.loads((folder / "found.json").read_text(encoding="utf-8"))


CASES = ["ddp-adamw", "ddp-muon", "ddp-muon-recompute", "fsdp-adamw", "fsdp-muon", "fsdp-muon-recompute"]


@needs_gloo
@pytest.mark.parametrize("name", CASES)
def test_twenty_steps_of_two_processes_are_those_of_one(same, together, name):
    folder, losses, _ = together
    chosen = same["settings"](4, kind=name.split("-")[1])
    trainer = Trainer(same["model"](), same["Sampler"](4), chosen, progress=False)
    alone = trainer.run()
    assert len(losses[name]) == 20
    assert losses[name] == pytest.approx([row["loss"] for row in alone.history], rel=1e-5)
    found, d_model = load_file(folder / f"{name}.safetensors"), 16
    for key, parameter in trainer.model.named_parameters():
        close = (parameter - found[key]).abs() < 1e-5
        if key.endswith(
            "qkv.bias"
        ):  # a key's bias changes no attention: its gradient is rounding, which AdamW enlarges
            close = torch.cat((close[:d_model], close[2 * d_model :]))
        assert close.all(), key


@needs_gloo
def test_a_shard_is_half_of_everything(together):
    _, _, memory = together
    for kind in ("adamw", "muon"):
        whole, shard = memory[f"ddp-{kind}"], memory[f"fsdp-{kind}"]
        assert all(0.45 * whole[part] <= shard[part] <= 0.6 * whole[part] for part in ("parameters", "optimizer"))


@needs_gloo
def test_gradients_averaged_by_hand_are_those_of_the_whole_batch(same, together):
    """Each process scores as many tokens here. What has a gradient in one process counts as zero in the other."""
    found, model = load_file(together[0] / "by-hand.safetensors"), same["model"]()
    ids, _ = same["Sampler"](4).next_batch()
    model.loss(ids, ids).backward()
    first = same["model"]()
    first.loss(shard_of(ids, 0, 2), shard_of(ids, 0, 2)).backward()
    for key, parameter in model.named_parameters():
        if key == "ln_f.bias":
            assert key not in found  # without a gradient anywhere: without one now
            continue
        wanted = first.wpe.weight.grad / 2 if key == "wpe.weight" else parameter.grad
        assert torch.allclose(found[key], wanted, atol=1e-6), key


@pytest.mark.parametrize("loss", ["plain", "chunked"])
def test_computing_activations_twice_changes_no_bit(same, loss):
    """With dropout: the second time the same values are dropped out."""
    if loss == "chunked" and not hasattr(F, "linear_cross_entropy"):
        pytest.skip("this torch has no chunked loss")
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        model = GPT(GPTConfig(vocab_size=51, context_length=12, n_layer=2, n_head=2, d_model=16, dropout=0.2)).train()
        forwards = []
        model.blocks[0].attn.register_forward_hook(lambda *_, seen=forwards: seen.append(1))
        step = TrainStep(model, same["Sampler"](4), same["settings"](4, recompute=again, loss=loss))
        losses = [step.step(number, lambda: 1.0).loss for number in (1, 2, 3)]
        assert len(forwards) == (12 if again else 6)  # three steps of two batches
        found.append((losses, torch.cat([each.detach().flatten() for each in model.parameters()])))
    assert found[0][0] == found[1][0] and torch.equal(found[0][1], found[1][1])


LARGE = """
import json, sys, torch
from course.distributed import processes
from course.sharded import ShardedStep, memory_of_rank
from helpers.model import GPT, GPTConfig
from same import settings

class Tokens:
    batch_size = 2
    def next_batch(self):
        rows = torch.randint(50257, (2, 17), generator=torch.Generator().manual_seed(1))
        return rows[:, :-1], rows[:, 1:]

with processes("cpu") as group:
    with torch.device("cpu"):
        step = ShardedStep(GPT(GPTConfig.gpt2("small", context_length=16)).train(), Tokens(), settings(1), group)
    batches = step.batches()
    step.gradients(batches, 2 * 32)
    gradients = memory_of_rank(step.model, step.optimizers)["gradients"]
    step.model.zero_grad()
    step.step(1, lambda: 1.0)
    found = memory_of_rank(step.model, step.optimizers) | {"gradients": gradients}
    open(f"{sys.argv[1]}/{group.rank}.json", "w").write(json.dumps(found))
"""


def _free_gigabytes() -> float:
    from course.bench.step_memory import free_memory

    return free_memory(torch.device("cpu")) / 1e9


@needs_gloo
@pytest.mark.skipif(_free_gigabytes() < 6, reason="needs 6 GB of free memory")
def test_gpt2_in_two_shards_takes_about_half_in_each(tmp_path):
    """124 million parameters: 4 bytes each, 4 of a gradient, and 8 of what AdamW remembers."""
    launch(tmp_path, LARGE, 2, tmp_path)
    parameters = GPTConfig.gpt2("small", context_length=16)
    count = 124_439_808 - (1024 - 16) * parameters.d_model
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8"))
        assert found["parameters"] <= 0.6 * 4 * count and found["gradients"] <= 0.6 * 4 * count
        assert found["optimizer"] <= 0.6 * 8 * count
        assert found["parameters"] >= 0.4 * 4 * count and found["optimizer"] >= 0.4 * 8 * count


# ---------------------------------------------------------------------- killed, and resumed by others

DYING = """
import os, signal, sys
from helpers import training
from course.__main__ import leave, main
count_seconds = training.Trainer.clock
def clock(self, started):
    if self.step == 6 and os.environ["RANK"] in os.environ.get("DYING", "01"):
        os.kill(os.getpid(), signal.SIGKILL)
    return count_seconds(self, started)
training.Trainer.clock = clock
leave(main(sys.argv[1:]))
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
    refused = call(home, "resume", str(parts), count=3)
    assert refused.returncode != 0, refused.stdout
    assert "reads 4 sequences at once, which cannot be divided among 3 processes" in refused.stderr
    resumed = call(home, "resume", str(parts), count=2)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert "going on from step 4" in resumed.stdout and torch.equal(weights(whole), weights(parts))


@needs_gloo
def test_one_of_two_shards_is_killed_and_one_process_goes_on(home, tmp_path, monkeypatch):
    """The other one ends as well, soon. One goes on with the batches of two, or two that hold the whole model each."""
    whole, parts, program = tmp_path / "whole", tmp_path / "parts", tmp_path / "dying.py"
    program.write_text(DYING, encoding="utf-8")
    alone = call(home, *given(home, whole, 4))
    assert alone.returncode == 0, alone.stderr
    monkeypatch.setenv("DYING", "1")
    started = time.perf_counter()
    killed = call(home, *given(home, parts, 2, "parallel=fsdp"), count=2, program=(str(program),))
    assert killed.returncode != 0 and time.perf_counter() - started < 200
    assert saved_checkpoints(parts)[0].name == "step-00000004.safetensors", killed.stderr[-3000:]
    shutil.copytree(parts, tmp_path / "by-two")
    for folder, count, more in ((parts, 1, ()), (tmp_path / "by-two", 2, ("--parallel", "ddp"))):
        resumed = call(home, "resume", str(folder), *more, count=count)
        assert resumed.returncode == 0, resumed.stderr[-3000:]
        assert "going on from step 4" in resumed.stdout
        for a, b in zip(read_log(whole), read_log(folder), strict=True):
            for key in {"loss", "grad_norm", "val_loss", "tokens"} & a.keys():
                assert a[key] == pytest.approx(b[key], rel=1e-4), (count, key, a["step"])


# ---------------------------------------------------------------------- files of shards


def saved(folder, step, weight):
    """A checkpoint whose weight and moment lie beside it, as a process that has all of both writes them."""
    tensors = {"model.wte.weight": weight, "optimizer.1.3.exp_avg": weight * 2}
    state = {"step": step, "model": {}, "train_step": {"optimizers": [{"state": {}}, {"state": {3: {"step": 1}}}]}}
    return save_checkpoint(folder, state | {"shards": save_shards(folder, step, tensors, Processes())})


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_shards_are_put_where_they_stood_and_damaged_ones_are_put_aside(tmp_path):
    weights = [torch.arange(6.0).view(3, 2) + step for step in (0, 4)]
    for step, weight in zip((0, 4), weights, strict=True):
        saved(tmp_path, step, weight)
    shards = list((tmp_path / "checkpoints").glob("shards-*/*"))
    assert {path.suffix for path in shards} == {".safetensors"} and len(shards) == 2  # and no pickle
    state, notes = load_run(tmp_path)
    assert state["step"] == 4 and notes == [] and "shards" not in state
    assert torch.equal(state["model"]["wte.weight"], weights[1])
    moments = state["train_step"]["optimizers"][1]["state"][3]
    assert moments.keys() == {"step", "exp_avg"} and torch.equal(moments["exp_avg"], weights[1] * 2)
    (newest,) = (path for path in shards if "shards-00000004" in str(path))
    newest.write_bytes(newest.read_bytes()[:-1] + b"x")
    state, notes = load_run(tmp_path)
    assert state["step"] == 0 and torch.equal(state["model"]["wte.weight"], weights[0])
    assert len(notes) == 1 and "checksums are wrong" in notes[0] and "the checkpoint before it" in notes[0]


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_shards_without_a_checkpoint_are_removed(tmp_path):
    first, second = (saved(tmp_path, step, torch.ones(2, 2)) for step in (0, 4))
    first.unlink()
    (tmp_path / "checkpoints" / ".shards-00000008.part").mkdir()
    remove_unused_shards(tmp_path)
    assert sorted(path.name for path in second.parent.iterdir()) == ["shards-00000004", second.name]
    second.unlink()
    remove_unused_shards(tmp_path)
    assert not second.parent.exists()
    with pytest.raises(CourseError, match="there is nothing to resume"):
        load_run(tmp_path)


# ---------------------------------------------------------------------- another number of processes


def test_the_batch_of_all_is_divided_anew():
    recipe = get_recipe("storyteller")
    for known in ({"batch_size": 12}, {"batch_size": 6, "processes": 2}):  # now, and as it was written once
        for count, size in ((1, 12), (3, 4), (12, 1)):
            state = {"must_match": dict(known)}
            assert divided(recipe, state, count, "runs/x").training.data.batch_size == size
            assert state["must_match"] == {"batch_size": 12}
    with pytest.raises(CourseError, match=r"runs/x reads 12 .* among 5 .* \(1, 2, 3, 4, 6, 12\)"):
        divided(recipe, {"must_match": {"batch_size": 12}}, 5, "runs/x")
    for wrong in ({}, {"batch_size": "many"}, {"batch_size": None}, {"batch_size": -4}, {"batch_size": 2.5}, None):
        with pytest.raises(CourseError, match="does not tell its batch_size"):
            divided(recipe, {"must_match": wrong}, 2, "runs/x")


# ---------------------------------------------------------------------- who has which rows


@whatever(strategies.integers(1, 40), strategies.integers(0, 500))
def test_together_the_processes_have_every_row_once(count, total):
    shares = [rows_of(rank, count, total) for rank in range(count)]
    assert [row for share in shares for row in share] == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_rank_that_is_none_is_refused():
    for rank in (-1, 3):
        with pytest.raises(CourseError, match="of 3 processes the ranks are 0 to 2"):
            rows_of(rank, 3, 9)


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
    assert (
        trainer_for(alone, HardwareConfig(parallel="fsdp")) is Trainer
        and alone.all_reduce(1.5) == 1.5
        and alone.all_gather(tensor) == [tensor]
    )
    with alone.on_rank0_first():
        alone.barrier()


def test_another_kind_of_parallel_is_refused():
    with pytest.raises(CourseError, match="parallel must be one of ddp, fsdp, got 'fdsp'"):
        TrainingSettings.of(parallel="fdsp")


def test_memory_is_counted_in_bytes():
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    assert memory_of_rank(model, [optimizer]) == {"parameters": 32, "gradients": 0, "optimizer": 0}
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert memory_of_rank(model, [optimizer]) == {"parameters": 32, "gradients": 32, "optimizer": 32}
