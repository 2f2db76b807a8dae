"""One run on several devices: every process reads its share of each batch, and their gradients are averaged.

    torchrun --nproc-per-node=2 -m course train --recipe storyteller --out runs/two

Two processes with a batch of 8 each do what one does with a batch of 16: the sampler draws the whole batch in every
process (it is decided by its seed), each takes its own rows, and `DistributedDataParallel` (Li et al. 2020, "PyTorch
Distributed: Experiences on Accelerating Data Parallel Training") adds up the gradients while they are computed. The
first process alone writes files and speaks.
"""

import os
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from helpers.errors import CourseError


@dataclass(frozen=True)
class Processes:
    """The processes of a run, and which of them this is. Alone, everything here costs nothing.

    Attributes:
        rank: 0 for the first, the one that writes and speaks.
        count: how many there are, on all machines.
        device: where numbers that are exchanged must lie.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process's rows of a batch of all, (rows / count, ...).

        Raises:
            CourseError: the rows cannot be shared equally.
        """
        if len(rows) % self.count:
            raise CourseError(f"{len(rows)} rows cannot be shared among {self.count} processes: change batch_size")
        size = len(rows) // self.count
        return rows[self.rank * size : (self.rank + 1) * size]

    def network(self, model: nn.Module) -> nn.Module:
        """The model, or its wrapper that averages gradients over the processes in `backward`."""
        if self.count == 1:
            return model
        devices = None if self.device == "cpu" else [self.device]
        return nn.parallel.DistributedDataParallel(model, device_ids=devices)

    def exchange(self, network: nn.Module, now: bool) -> AbstractContextManager:
        """A context for forward and backward: gradients travel in the last batch of a step only."""
        return nullcontext() if now or self.count == 1 else network.no_sync()

    def total(self, *numbers: float) -> list[float]:
        """Each number added up over all processes."""
        if self.count == 1:
            return list(numbers)
        together = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(together)
        return together.tolist()

    def of_all(self, tensor: Tensor) -> list[Tensor]:
        """The tensor of every process, in their order; all of one shape and type."""
        if self.count == 1:
            return [tensor]
        mine = tensor.to(self.device)
        found = [torch.empty_like(mine) for _ in range(self.count)]
        dist.all_gather(found, mine)
        return [each.cpu() for each in found]

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            self.total(0.0)

    @contextmanager
    def in_turn(self):
        """The first process does what is inside, then the others: they find what it has left on the disk."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()


ALONE = Processes()


@contextmanager
def processes(device: str = "auto"):
    """The processes that `torchrun` started, connected for as long as the context lasts; without it, `ALONE`.

    Args:
        device: "cpu" (gloo), "cuda" (NCCL), or "auto": GPUs if every process on this machine has one.

    Raises:
        CourseError: GPUs are asked for and there are too few.
    """
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        yield ALONE
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", 0))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    gpus = torch.cuda.device_count()
    if device not in ("auto", "cpu", "cuda"):
        raise CourseError(f'several processes share "cpu" or "cuda" among them, not {device!r}')
    if device == "cuda" and gpus < here:
        raise CourseError(f"{here} processes need {here} GPUs, and there are {gpus}: start fewer, or use --device cpu")
    on_gpu = device != "cpu" and gpus >= here
    place = f"cuda:{local}" if on_gpu else "cpu"
    if on_gpu:
        torch.cuda.set_device(local)
    # Hours of silence are a fault; minutes are not: the first process tokenizes while the others wait.
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(hours=1))
    try:
        yield Processes(rank, count, place)
    finally:
        dist.destroy_process_group()
