"""One run on several devices, as a layer around `Trainer`.

    python -m torch.distributed.run --nnodes 1 --nproc-per-node 2 -m course train --out runs/two

Two processes with a batch of 8 each do what one does with a batch of 16: the sampler gives the whole batch in every
process (it is decided by its seed), each takes its own shard, and `DistributedDataParallel` (Li et al. 2020, "PyTorch
Distributed: Experiences on Accelerating Data Parallel Training") averages the gradients while they are computed.
Rank 0 alone writes files and speaks. Where a model is to be divided as well, `course.sharded` takes over.

A stopped run goes on with any number of processes that divides the batch of all (`course.runs.prepare_again`). It reads
the same batches; the losses differ by rounding, and by more only where there is dropout: each process drops out values
of its own.

Used by the command line (`python -m course train`) under `torchrun`, and by `course.sharded`.
"""

import copy
import os
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from course.shard_files import load_run
from helpers.distributed import shard_of
from helpers.errors import CourseError
from helpers.train_step import TrainStep
from helpers.training import Trainer, TrainingResult


@dataclass(frozen=True)
class Processes:
    """The processes of a run, and which of them this is. Alone, everything here costs nothing."""

    rank: int = 0  # this one's number; rank 0 writes and speaks
    count: int = 1  # how many there are, on all machines
    device: str | None = None  # where this one's model is, and values that are exchanged; None: it may choose

    @property
    def is_rank0(self) -> bool:
        return self.rank == 0

    def shard(self, batch: Tensor) -> Tensor:
        """This process's sequences of a batch of all, (B / count, ...); a CourseError if it cannot be divided."""
        return shard_of(batch, self.rank, self.count)

    def all_reduce(self, value: float) -> float:
        """The sum of a value over all processes."""
        if self.count == 1:
            return value
        together = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(together)
        return together.item()

    def all_gather(self, tensor: Tensor) -> list[Tensor]:
        """The tensor of every process, in the order of their ranks; all of one shape and type."""
        if self.count == 1:
            return [tensor]
        mine = tensor.to(self.device)
        found = [torch.empty_like(mine) for _ in range(self.count)]
        dist.all_gather(found, mine)
        return [each.cpu() for each in found]

    def barrier(self) -> None:
        """Go on when all have come here."""
        self.all_reduce(0.0)

    @contextmanager
    def on_rank0_first(self):
        """Rank 0 does what is inside, then the others: they find what it has left on the disk."""
        if not self.is_rank0:
            self.barrier()
        yield
        if self.is_rank0:
            self.barrier()


@contextmanager
def processes(device: str = "auto"):
    """The processes that `torchrun` started, connected for as long as the context lasts; without it, this one alone.

    Args:
        device: "cpu" (gloo), "cuda" (NCCL), or "auto": GPUs if every process on this machine has one.

    Raises:
        CourseError: GPUs are asked for and there are too few.
    """
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        yield Processes()
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", 0))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    gpus = torch.cuda.device_count()
    if device not in ("auto", "cpu", "cuda"):
        raise CourseError(f'several processes need "cpu" or "cuda", not {device!r}')
    if device == "cuda" and gpus < here:
        raise CourseError(f"{here} processes need {here} GPUs, and there are {gpus}: start fewer, or use --device cpu")
    on_gpu = device != "cpu" and gpus >= here
    if on_gpu:
        torch.cuda.set_device(local)
    # Hours of silence are a fault; minutes are not: rank 0 tokenizes while the others wait.
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(hours=1))
    try:
        yield Processes(rank, count, f"cuda:{local}" if on_gpu else "cpu")
    finally:
        dist.destroy_process_group()


class DistributedStep(TrainStep):
    """A step whose batches are divided among the processes, and whose gradients are those of all."""

    may_split = False  # all would have to

    def __init__(self, model: nn.Module, sampler, settings, processes: Processes):
        super().__init__(model, sampler, settings)
        self.processes = processes
        self.connect()

    def connect(self) -> None:
        """Have the loss's backward pass average the gradients of all processes."""
        devices = None if self.processes.device == "cpu" else [self.processes.device]
        self.loss = DistributedDataParallel(LossOf(self.model, self.loss), device_ids=devices)

    def traveling(self, last: bool):
        """In it gradients travel after a step's last batch; those of the others add up where they are."""
        return nullcontext() if last else self.loss.no_sync()

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        return [(self.processes.shard(ids), self.processes.shard(targets)) for ids, targets in super().batches()]

    def backward(self, ids: Tensor, targets: Tensor, tokens: float, last: bool) -> Tensor:
        count = self.processes.count
        with self.traveling(last):
            # The mean over the processes is taken there, where the sum is wanted.
            return super().backward(ids, targets, tokens / count, last) / count

    def total(self, value: float) -> float:
        return self.processes.all_reduce(value)


class LossOf(nn.Module):
    """A model's loss as a module, which is what `DistributedDataParallel` and `fully_shard` take."""

    def __init__(self, model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        return self.loss(ids, targets)


class DistributedTrainer(Trainer):
    """A `Trainer` in each of several processes: one clock, one will, one set of files.

    Args:
        sampler: as for one process; here it gives the batch of all.
        processes: from `processes()`.
    """

    patient = True  # every process gets the terminal's Ctrl-C and then the launcher's

    def __init__(self, model, sampler, settings, *, processes: Processes, **options):
        sampler = copy.copy(sampler)
        sampler.batch_size *= processes.count
        self.processes, self.random_of_all = processes, []
        self.shared_folder = options.get("folder")
        if not processes.is_rank0:  # only one measures, writes and speaks
            options |= dict(validation=(), tokenizer=None, folder=None, callback=None, report=None, progress=False)
        super().__init__(model, sampler, settings, **options)

    def make_step(self) -> TrainStep:
        return DistributedStep(self.model, self.sampler, self.settings, self.processes)

    def run(self) -> TrainingResult:
        if self.step == 0 and not self.processes.is_rank0:  # each process drops out values of its own
            torch.manual_seed(self.settings.seed + self.processes.rank)
        try:
            return super().run()
        except RuntimeError as error:
            if not isinstance(error, dist.DistError) and "gloo" not in str(error):
                raise
            raise CourseError(
                f"another process of this run has ended, or cannot be reached any more ({error!s:.100}): look for what "
                f"it said, then go on with: python -m course resume {self.shared_folder}"
            ) from error

    def clock(self, started: float) -> float:
        now = super().clock(started)
        return self.processes.all_reduce(now if self.processes.is_rank0 else 0.0)

    def agree(self, wanted: bool) -> bool:
        return self.processes.all_reduce(float(wanted)) > 0

    def must_match(self) -> dict:
        return super().must_match() | {"batch_size": self.sampler.batch_size}  # of all: more or fewer may go on with it

    def save(self) -> None:
        self.random_of_all = self.processes.all_gather(_random_state(self.train_step.device))
        super().save()

    def state_dict(self) -> dict:
        return super().state_dict() | {"random_of_all": self.random_of_all}

    def resume(self) -> "DistributedTrainer":
        with self.processes.on_rank0_first():  # who puts damaged files aside
            state, self.notes = load_run(self.shared_folder)
        self.load_state_dict(state)
        return self

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        rank, saved = self.processes.rank, state.get("random_of_all", ())
        if 0 < rank < len(saved):
            _set_random_state(saved[rank], self.train_step.device)
        elif rank > 0:  # fewer were saved: one that is new here begins with numbers of its own
            torch.manual_seed(self.settings.seed + rank)


def _random_state(device: torch.device) -> Tensor:
    """The state of torch's generators alone, (bytes,) uint8: the CPU's, then the device's if it is a GPU."""
    found = [torch.get_rng_state()]
    if device.type == "cuda":
        found.append(torch.cuda.get_rng_state(device))
    return torch.cat(found)


def _set_random_state(state: Tensor, device: torch.device) -> None:
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size])
    if len(state) > size and device.type == "cuda":  # it may go on where there are no GPUs
        torch.cuda.set_rng_state(state[size:], device)
