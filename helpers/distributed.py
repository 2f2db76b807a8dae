"""Built in notebook 13: what several processes need to train one model: shares of a batch, and the mean gradient.

Every process has the whole model and the same weights, reads its share of the batch, and computes that share's
gradients. Their mean over the processes is the gradient of the whole batch, so all take the same step and stay alike
(Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", section 2).

Used by `course.distributed`, and in notebook 13.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from helpers.errors import CourseError


def rows_of(rank: int, count: int, total: int) -> range:
    """The rows of `total` that process `rank` of `count` has; together the processes have each row once.

    Where `total` cannot be divided equally the first ones have one row more.

    >>> [list(rows_of(rank, 3, 7)) for rank in range(3)]
    [[0, 1, 2], [3, 4], [5, 6]]
    """
    if not 0 <= rank < count:
        raise CourseError(f"of {count} processes the ranks are 0 to {count - 1}, and {rank} is none")
    size, longer = divmod(total, count)
    start = rank * size + min(rank, longer)
    return range(start, start + size + (rank < longer))


def shard_of(batch: Tensor, rank: int, count: int) -> Tensor:
    """The sequences of a batch that process `rank` of `count` reads: (B, ...) to (B / count, ...).

    Raises:
        CourseError: the batch cannot be divided equally; a mean of means would weigh its sequences differently.
    """
    if len(batch) % count:
        raise CourseError(
            f"{len(batch)} sequences cannot be divided among {count} processes: start a number of processes that "
            "divides them"
        )
    rows = rows_of(rank, count, len(batch))
    return batch[rows.start : rows.stop]


def average_gradients(model: nn.Module) -> None:
    """Replace every gradient by its mean over all processes; all of them call this, after their backward pass.

    A parameter that got no gradient here counts as zero. One that got none anywhere is left without, so that no
    optimizer moves it.
    """
    parameters, count = [each for each in model.parameters() if each.requires_grad], dist.get_world_size()
    device = parameters[0].device
    have = torch.tensor([float(each.grad is not None) for each in parameters], device=device)
    dist.all_reduce(have)  # in how many processes each parameter has a gradient: the same answer in all of them
    for parameter, processes in zip(parameters, have.tolist(), strict=True):
        if processes == 0:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)  # the sum over all processes, in place
        parameter.grad /= count
