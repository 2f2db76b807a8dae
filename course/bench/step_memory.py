"""What one step of training holds in memory, counted before it runs and without computing anything."""

from dataclasses import replace
from functools import partial

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from course.bench import system_memory
from course.bench.memory import peak_bytes
from helpers.hardware import HALF
from helpers.model import GPT, GPTConfig
from helpers.modern import model_of
from helpers.optimizers import build_optimizer
from helpers.settings import TrainingSettings
from helpers.train_step import chunked_loss, logits_at_once


def moving_bytes(config: GPTConfig, training: TrainingSettings, device: torch.device) -> tuple[GPT, int]:
    """A model without memory, and the bytes that one step holds at its highest moment besides weights and moments.

    Args:
        training: with no "auto" in its hardware's settings; compiling is left out, which only lowers what is held.
        device: where it will run; it need not be here.
    """
    hardware = training.hardware
    loss, half = GPT.loss, HALF[hardware.precision]
    if hardware.loss == "chunked":
        loss = partial(chunked_loss, logits=logits_at_once(device))  # as there, not as on a CPU
    autocast = torch.autocast("cpu", half, enabled=half is not None)
    # Shapes are followed and nothing is computed. On torch's "meta" device attention would be another one, which keeps
    # its maps; fake tensors go the way of a CPU's. A GPU's autocast chooses almost the same types.
    with torch.random.fork_rng(devices=[]), FakeTensorMode():
        model = whole = model_of(config)
        if getattr(config, "n_expert", 0):  # which experts a token goes to is not followed: they are taken for one
            model = model_of(replace(config, n_expert=0, d_ff=config.top_k * config.d_ff))
        optimizers = build_optimizer(model, training.optimizer)
        ids = torch.zeros(training.data.batch_size, config.context_length, dtype=torch.long)

        def update() -> None:
            with autocast:
                for optimizer in optimizers:
                    optimizer.step()
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)

        def step() -> None:
            for _ in range(min(2, training.data.accumulation)):  # the second finds the first one's gradients
                with autocast:
                    part = loss(model, ids, ids)
                part.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            update()

        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        update()  # makes the moments, which are counted as state
        others = whole.parameter_count() - model.parameter_count()
        return whole, peak_bytes(step) + 4 * others  # of these the gradients


def activation_bytes(config: GPTConfig, sequences: int = 1) -> int:
    """The bytes at the end of a forward pass in float32 beside the weights: what the backward pass will need."""
    with torch.random.fork_rng(devices=[]), FakeTensorMode():
        model = GPT(config)
        ids = torch.zeros(sequences, config.context_length, dtype=torch.long)
        return peak_bytes(lambda: model.loss(ids, ids))


def pieces_that_fit(config: GPTConfig, training: TrainingSettings, device, state: int, moving: int, free: float) -> int:
    """In how many pieces a batch is read so that a step fits: 1, 2, 4 ...; 0 if not even one sequence does.

    Args:
        state: bytes of weights and moments; `moving`: what `moving_bytes` says of the whole batch.
        free: bytes.
    """
    rows, pieces = training.data.batch_size, 1
    if state + moving <= free:
        return 1
    one = training.but(batch_size=1, accumulation=2)  # each piece but the first finds gradients
    least = moving_bytes(config, one, device)[1]
    while pieces < rows:
        pieces *= 2
        larger = -(-rows // pieces)  # sequences; in between bytes grow with them in a straight line
        if state + least + (moving - least) * (larger - 1) / (rows - 1) <= free:
            return pieces
    return 0


def free_memory(device: torch.device) -> float:
    """Bytes that new tensors can have on a device; on a CPU an assumption where the system does not tell."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(
            device
        )  # by torch, for its next tensors
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type == "mps" and hasattr(torch.mps, "recommended_max_memory"):  # shared with the CPU
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    free = system_memory.free_memory()
    return 4e9 if free is None else free
