"""How fast the course's GPT trains on a GPU, beside `transformers`' GPT-2 with the same weights on the same GPU.

Both are measured as they are and compiled by `torch.compile`, in the precision that a run would choose here: bfloat16
where the hardware has it, else float16 with a scale for the loss. Ours is also measured with its loss in chunks, as a
run computes it. All take turns in one process. "mfu" (model FLOPs utilization) is the fraction of one large matrix
multiplication's speed, measured on this GPU in the same precision, that the model's own operations reach.

What is aimed at: 1.25 times the speed of `transformers` compiled, and an MFU of a half. Nobody has measured yet whether
it is reached.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import torch

from course import machine
from course.bench.ladder import BEST
from course.bench.planning import matmul_flops, training_flops_per_token
from course.bench.training import loss_of_transformers, ours_and_transformers
from helpers.errors import CourseError
from helpers.hardware import choose
from helpers.model import GPTConfig
from helpers.train_step import loss_of

# name: (configuration, sequences in a batch, tokens in a sequence); what does not fit is halved until it does
SIZES = {
    "gpt2-small": (GPTConfig.gpt2("small"), 16, 1024),
    "tinystories-t4": (GPTConfig(4096, 512, n_layer=12, n_head=6, d_model=384), 32, 512),
}
STEPS = 10  # in a turn
AIM = 1.25  # times the speed of `transformers` compiled


class Side:
    """One of the models that are compared, with its optimizer.

    Args:
        loss: from (ids, targets) to the mean loss, differentiable.
        precision: "float32", "bfloat16" or "float16".
    """

    def __init__(self, model: torch.nn.Module, loss: Callable, device: torch.device, precision: str):
        self.loss, self.device = loss, device
        self.half = None if precision == "float32" else getattr(torch, precision)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")

    def step(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Forward, backward and the optimizer; the loss before it, still on the device."""
        with torch.autocast(self.device.type, self.half, enabled=self.half is not None):
            loss = self.loss(ids, targets)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return loss.detach()


def compare_on_gpu(
    name: str,
    rounds: int = 5,
    device: str = "cuda",
    compiled: bool = True,
    steps: int = STEPS,
    precision: str = "auto",
) -> dict:
    """Medians of seconds a step for all sides at one size of `SIZES`, and their ratios to ours.

    Args:
        compiled: also with `torch.compile`, and ours besides with its loss in chunks where torch has that.
        steps: in a turn of a side.
        precision: "float32", "bfloat16", "float16"; "auto": what a run takes on this device.

    Returns:
        a dictionary for JSON; "sides" has tokens a second, MFU, peak bytes (None off a GPU) and the first loss of each
        side; "ratios" says how many times as fast the fastest of ours is as each of the others.

    Raises:
        CourseError: no such size, no GPU, or one whose memory is too small for a single sequence.
    """
    if name not in SIZES:
        raise CourseError(f"there is no size {name!r} to measure on a GPU; the sizes are {', '.join(SIZES)}")
    if rounds < 1:
        raise CourseError(f"rounds must be at least 1, not {rounds}")
    where = torch.device(device)
    if where.type == "cuda" and not torch.cuda.is_available():
        raise CourseError("there is no GPU here to measure: training on the CPU is measured by `--only training`")
    config, batch, length = SIZES[name]
    while True:
        try:
            return _compare(name, config, batch, length, rounds, where, compiled, steps, precision)
        except torch.cuda.OutOfMemoryError:
            if batch == 1:
                raise CourseError(
                    f"not even one sequence of {length} tokens of {name} fits this GPU's memory"
                ) from None
            batch //= 2
        gc.collect()
        torch.cuda.empty_cache()
        torch.compiler.reset()  # else the next try would be compiled for batches of any size


def _compare(name, config, batch, length, rounds, device, compiled, steps, precision) -> dict:
    hardware = choose(replace(BEST, precision=precision), device)
    precision = hardware.precision
    ours, theirs, ids, targets = (each.to(device) for each in ours_and_transformers(config, batch, length))
    sides = {
        "ours": Side(ours, ours.loss, device, precision),
        "transformers": Side(theirs, partial(loss_of_transformers, theirs), device, precision),
    }
    if compiled:
        # A compiled model shares its weights with the plain one, so that two models are enough.
        compiled_loss = torch.compile(ours.loss)
        sides["ours, compiled"] = Side(ours, compiled_loss, device, precision)
        loss = partial(loss_of_transformers, torch.compile(theirs))
        if hardware.loss == "chunked":
            in_chunks = loss_of(ours, replace(hardware, compile="on"))
            sides["ours, compiled, loss in chunks"] = Side(ours, in_chunks, device, precision)
        sides["transformers, compiled"] = Side(theirs, loss, device, precision)
    first, memory = {}, {}
    for side, each in sides.items():
        first[side], memory[side] = _first(each, ids, targets, device)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(rounds):
        for side in list(sides) if turn % 2 == 0 else list(sides)[::-1]:
            seconds[side].append(_turn(sides[side], ids, targets, steps, device))
    median = {side: statistics.median(values) for side, values in seconds.items()}
    peak = matmul_flops(device, precision, size=8192 if device.type == "cuda" else None)
    per_token = training_flops_per_token(config)
    best = min(median[side] for side in median if side.startswith("ours"))
    return {
        "size": name,
        "parameters": ours.parameter_count(),
        "precision": precision,
        "batch": [batch, length],
        "steps": rounds * steps,
        "matmul_flops": peak,
        "flops_per_token": per_token,
        "ratios": {side: median[side] / best for side in median if side.startswith("transformers")},
        "sides": {
            side: {
                "seconds_per_step": spent,
                "tokens_per_second": batch * length / spent,
                "mfu": batch * length / spent * per_token / peak,
                "peak_bytes": memory[side],
                "first_loss": first[side],
            }
            for side, spent in median.items()
        },
    }


def run_on_gpu(sizes: Iterable[str] = ("gpt2-small",), rounds: int = 5) -> dict:
    """`compare_on_gpu` for each of `sizes`, with what was measured on: {"machine": ..., "results": {size: ...}}."""
    results = {name: compare_on_gpu(name, rounds) for name in sizes}
    return {"machine": machine(), "results": results}


def describe_gpu(benchmark: dict) -> str:
    """The result of `run_on_gpu` as a few lines for a person."""
    lines = [", ".join(f"{fact} {found}" for fact, found in benchmark["machine"].items())]
    for name, result in benchmark["results"].items():
        sequences, length = result["batch"]
        lines.append(
            f"{name}, {sequences} sequences of {length:,} tokens in {result['precision']}; "
            f"one large matrix multiplication: {result['matmul_flops'] / 1e12:,.1f} TFLOP/s"
        )
        for side, found in result["sides"].items():
            memory = "" if found["peak_bytes"] is None else f", at most {found['peak_bytes'] / 1e9:.2f} GB"
            lines.append(
                f"    {side}: {found['tokens_per_second']:,.0f} tokens/s, MFU {found['mfu']:.0%}{memory}, "
                f"first loss {found['first_loss']:.4f}"
            )
        for side, ratio in result["ratios"].items():
            aim = f" (aimed at: {AIM:.2f})" if side.endswith("compiled") else ""
            lines.append(f"    the fastest of ours is {ratio:.2f} times as fast as {side}{aim}")
    return "\n".join(lines)


def _first(side: Side, ids, targets, device: torch.device) -> tuple[float, int | None]:
    """The loss and the peak memory of a first gradient, from weights that stay as they are; compiles, too."""
    with torch.autocast(device.type, side.half, enabled=side.half is not None):
        side.loss(ids, targets).backward()  # warms up: what compiling needs is not counted
        side.optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
        loss = side.loss(ids, targets)
    loss.backward()
    side.optimizer.zero_grad()
    return loss.item(), torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _turn(side: Side, ids, targets, steps: int, device: torch.device) -> float:
    """Seconds a step, waited for at the end: a GPU works while Python goes on."""
    side.step(ids, targets).item()
    started = time.perf_counter()
    for _ in range(steps):
        loss = side.step(ids, targets)
    loss.item()
    return (time.perf_counter() - started) / steps
