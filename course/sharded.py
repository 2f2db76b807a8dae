"""One run on several devices, each of which holds only its part of the model: FSDP, around the course's own step.

    python -m torch.distributed.run --nnodes 1 --nproc-per-node 2 -m course train --set parallel=fsdp --out runs/two

Each process keeps one shard of every parameter, of its gradient and of what the optimizer remembers of it (stage 3 of
Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", section 5; Zhao et al.
2023, "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel"). A block's parameters are put together just
before they are needed and given up after. The losses are those of `DistributedDataParallel` and of one process with the
whole batch, to rounding.

What the shards cost: parameters travel twice in each batch, and Muon, which needs whole matrices, has DTensor put them
together. A step of several batches adds up whole gradients (4 bytes a parameter) until the last, so that they travel
once. To score, to sample and to save, rank 0 holds the whole model for that long.

Every process writes its own shards of a checkpoint (`course.shard_files`), from which any number of processes
goes on, with shards or without. The model's folder is the ordinary one. Not run on a GPU: there the command above is to
be run, on a machine with two.

Used by the command line (`python -m course train`) under `torchrun`.
"""

import functools
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from course.distributed import DistributedStep, DistributedTrainer, LossOf, Processes
from course.shard_files import divided_tensors, remove_unused_shards, save_shards, without_divided
from helpers.checkpoint import put_weights
from helpers.errors import CourseError
from helpers.model import GPT
from helpers.optimizers import build_optimizer
from helpers.settings import HardwareConfig
from helpers.train_step import unpadded
from helpers.training import Trainer, TrainingResult


def trainer_for(processes: Processes, hardware: HardwareConfig) -> Callable[..., Trainer]:
    """What makes this process's trainer."""
    if processes.count == 1:
        return Trainer
    kind = ShardedTrainer if hardware.parallel == "fsdp" else DistributedTrainer
    return functools.partial(kind, processes=processes)


class ShardedStep(DistributedStep):
    """A step in which every process holds a shard of the model, and of what its optimizers remember.

    Raises:
        CourseError: float16, whose scale would need the overflows of all shards.
    """

    def connect(self) -> None:
        if self.scaler.is_enabled():
            raise CourseError("parallel=fsdp does not train in float16: use --set precision=float32 (or bfloat16)")
        mesh = init_device_mesh(self.device.type, (self.processes.count,))
        for block in self.model.blocks:
            fully_shard(block, mesh=mesh)
        # The outermost module is the loss, for which whole embeddings and the head are needed. It shards all the rest.
        self.loss = fully_shard(LossOf(self.model, self.loss), mesh=mesh)
        self.optimizers = build_optimizer(self.model, self.settings.optimizer)  # of shards, the parameters of now

    def traveling(self, last: bool):
        self.loss.set_requires_gradient_sync(last)
        return super().traveling(last=True)

    def load_state_dict(self, state: dict) -> None:
        optimizers = []
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            mine = {
                i: {name: _shard_like(parameters[i], value) for name, value in kept.items()}
                for i, kept in saved["state"].items()
            }
            optimizers.append(saved | {"state": mine})
        super().load_state_dict(state | {"optimizers": optimizers})


class ShardedTrainer(DistributedTrainer):
    """A `Trainer` in each of several processes, with a shard of the model each. Its `unpadded` is there in rank 0 only,
    while it is needed and after the run.
    """

    def __init__(self, model, sampler, settings, *, processes: Processes, **options):
        super().__init__(model, sampler, settings, processes=processes, **options)
        self.unpadded, self.shards = None, None

    def make_step(self) -> ShardedStep:
        return ShardedStep(self.model, self.sampler, self.settings, self.processes)

    def run(self) -> TrainingResult:
        result = super().run()
        self.unpadded = self.whole_model()
        return result

    def measure(self, stats, last: bool, new_epoch: bool) -> dict:
        if last or new_epoch or self.due("eval_every", "sample_every"):
            self.unpadded = self.whole_model()
        row = super().measure(stats, last, new_epoch)
        self.unpadded = None
        return row

    def save(self) -> None:
        if self.shared_folder is None:
            return
        if not self.done():
            self.shards = save_shards(self.shared_folder, self.step, divided_tensors(self.state_dict()), self.processes)
        self.unpadded = self.whole_model()
        super().save()
        self.unpadded, self.shards = None, None
        if self.processes.is_rank0:
            remove_unused_shards(self.shared_folder)

    def state_dict(self) -> dict:
        state = super().state_dict()
        return state if self.shards is None else without_divided(state) | {"shards": self.shards}

    def load_state_dict(self, state: dict) -> None:
        parameters = dict(self.model.named_parameters())
        mine = {name: _shard_like(parameters.get(name), value) for name, value in state["model"].items()}
        super().load_state_dict(state | {"model": mine})

    def whole_model(self) -> GPT | None:
        """The model as it is scored and saved, with all its weights; None in all processes but rank 0. All call it."""
        weights = {}
        for name, parameter in self.model.named_parameters():
            whole = parameter.detach().full_tensor()  # all take part, one tensor at a time
            if self.processes.is_rank0:
                weights[name] = whole.cpu()
        if not self.processes.is_rank0:
            return None
        with torch.random.fork_rng(devices=[]):  # its initialization must not disturb the run's random numbers
            model = type(self.model)(self.model.config)
        put_weights(model, weights)
        entries = model.config.vocab_size if self.tokenizer is None else self.tokenizer.vocab_size
        return unpadded(model.to(self.train_step.device), entries).eval()


def memory_of_rank(model: nn.Module, optimizers: Iterable[torch.optim.Optimizer]) -> dict[str, int]:
    """The bytes that this process holds of "parameters", of "gradients" as they are now, and of the "optimizer".

    Of a tensor that is divided among processes the shard that is here is counted. After a step there are no gradients:
    ask between the backward pass and the update (`step.gradients`).
    """
    parameters = list(model.parameters())
    kept = [value for each in optimizers for state in each.state.values() for value in state.values()]
    return {
        "parameters": sum(map(_bytes_here, parameters)),
        "gradients": sum(_bytes_here(each.grad) for each in parameters if each.grad is not None),
        "optimizer": sum(_bytes_here(each) for each in kept if torch.is_tensor(each)),
    }


def _bytes_here(tensor: Tensor) -> int:
    here = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return here.numel() * here.element_size()


def _shard_like(parameter: Tensor | None, value):
    """This process's shard of a tensor that is as large as a parameter; anything else as it is."""
    if parameter is None or not torch.is_tensor(value) or value.shape != parameter.shape:
        return value
    return distribute_tensor(value, parameter.device_mesh, parameter.placements, src_data_rank=None)
