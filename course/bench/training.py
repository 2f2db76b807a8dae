"""How fast the course's GPT trains, and in how much memory, beside two peers on the same machine.

The peers are `transformers`' GPT-2 with the same weights, and a plain model such as nanoGPT's
(`course.bench.reference`) of the same sizes. All get the same batch, threads and optimizer (torch's fused AdamW) and
take turns in one process, so that whatever else the machine is doing disturbs all. A step is a forward pass, a
backward pass and the optimizer's update. How near a step comes to what the machine can do at all is told by its
operations a second over those of one large matrix multiplication.

Memory is counted, not sampled: the most that the tensors of a forward and a backward pass hold at one time, gradients
included; weights and the optimizer's moments (the same everywhere) not. Ours is counted twice: with the plain loss,
which is the one that is timed, and with the chunked one, which never holds all logits.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Iterable

import torch

from course.bench.memory import peak_bytes
from course.bench.planning import matmul_flops, training_flops_per_token
from course.bench.reference import Reference
from course.export import to_transformers
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig
from helpers.train_step import chunked_loss

# name: (configuration, sequences in a batch, tokens in a sequence, steps in a turn)
SIZES = {
    "storyteller": (GPTConfig(2048, 256, n_layer=4, n_head=4, d_model=128), 8, 256, 5),
    "12x384": (GPTConfig(50257, 256, n_layer=12, n_head=12, d_model=384), 2, 256, 2),
    "gpt2-small": (GPTConfig.gpt2("small"), 2, 256, 1),
}
PEERS = ("reference", "transformers")


def training_step(loss: Callable[[], torch.Tensor], optimizer: torch.optim.Optimizer) -> tuple[float, float]:
    """One step; its seconds, and the loss before it."""
    start = time.perf_counter()
    value = loss()
    value.backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - start, value.item()


def ours_and_transformers(config: GPTConfig, batch: int, length: int) -> tuple:
    """Our model and transformers' with the same random weights, and a batch: ids and targets, (batch, length) each."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, config.vocab_size, (batch, length + 1), generator=generator)
    with torch.random.fork_rng(devices=[]):  # measuring does not disturb anybody's random numbers
        torch.manual_seed(0)
        ours = GPT(config).train()
        theirs = to_transformers(ours)
    theirs.config.use_cache = False  # keys and values are kept for generating, which is not measured here
    return ours, theirs, tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def loss_of_transformers(model: torch.nn.Module, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Its mean loss; `shift_labels` are targets as ours are, so that both sides score every position."""
    return model(input_ids=ids, labels=targets, shift_labels=targets).loss


def compare(name: str, rounds: int = 5) -> dict:
    """All sides at one size of `SIZES`: medians of seconds a step over all rounds, and their ratios.

    Returns:
        a dictionary for JSON. "sides" holds what was measured of "ours", "reference" and "transformers". "ratios" says
        how many times as many tokens a second ours trains as each peer, "ratios_by_round" in each round.
        "memory_ratios" are the bytes that a step of ours holds over those of transformers', with the "plain" loss and
        the "chunked" one. "flops_per_token" are those of both passes as `course.bench.planning` counts them.
        "loss_difference" is between the first losses of ours and transformers', from the same weights and batch.
    """
    if name not in SIZES:
        raise CourseError(f"there is no size {name!r} to measure; the sizes are {', '.join(SIZES)}")
    if rounds < 1:
        raise CourseError(f"rounds must be at least 1, not {rounds}")
    config, batch, length, steps = SIZES[name]
    ours, theirs, ids, targets = ours_and_transformers(config, batch, length)
    with torch.random.fork_rng(devices=[]):
        models = {"ours": ours, "reference": Reference(config).train(), "transformers": theirs}
    losses = {
        "ours": lambda: ours.loss(ids, targets),
        "reference": lambda: models["reference"].loss(ids, targets),
        "transformers": lambda: loss_of_transformers(theirs, ids, targets),
    }
    memory = {side: _step_bytes(models[side], loss) for side, loss in losses.items()}
    chunked = _step_bytes(ours, lambda: chunked_loss(ours, ids, targets))
    optimizers = {side: torch.optim.AdamW(m.parameters(), lr=1e-4, fused=True) for side, m in models.items()}
    first = {side: training_step(losses[side], optimizers[side])[1] for side in losses}  # warms up, too
    seconds: dict[str, list[float]] = {side: [] for side in losses}
    by_round: dict[str, list[float]] = {peer: [] for peer in PEERS}
    for turn in range(rounds):
        for side in list(losses) if turn % 2 == 0 else list(losses)[::-1]:
            seconds[side] += [training_step(losses[side], optimizers[side])[0] for _ in range(steps)]
        latest = {side: statistics.median(seconds[side][-steps:]) for side in losses}
        for peer in PEERS:
            by_round[peer].append(latest[peer] / latest["ours"])
    median = {side: statistics.median(values) for side, values in seconds.items()}
    return {
        "size": name,
        "parameters": ours.parameter_count(),
        "flops_per_token": training_flops_per_token(config),
        "batch": [batch, length],
        "steps": rounds * steps,
        "ratios": {peer: median[peer] / median["ours"] for peer in PEERS},
        "ratios_of_fastest_steps": {peer: min(seconds[peer]) / min(seconds["ours"]) for peer in PEERS},
        "ratios_by_round": by_round,
        "memory_ratios": {
            "plain": memory["ours"] / memory["transformers"],
            "chunked": chunked / memory["transformers"],
        },
        "loss_difference": abs(first["ours"] - first["transformers"]),
        "sides": {
            side: {
                "seconds_per_step": value,
                "fastest_step": min(seconds[side]),
                "tokens_per_second": batch * length / value,
                "first_loss": first[side],
                "step_bytes": memory[side],
            }
            for side, value in median.items()
        },
    }


def _step_bytes(model: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> int:
    """What the tensors of both passes hold at their highest moment; the gradients are thrown away afterwards."""
    most = peak_bytes(lambda: loss().backward())
    model.zero_grad()
    return most


def run_benchmark(sizes: Iterable[str] = tuple(SIZES), rounds: int = 5) -> dict:
    """`compare` for each of `sizes`, with what was measured on: {"machine": ..., "results": {size: ...}}.

    Each side's "fraction_of_matmul" is its operations a second over the machine's "matmul_flops": what one
    multiplication of two (1536, 1536) matrices reaches. The optimizer's time counts, its operations do not.
    """
    matmul = matmul_flops(torch.device("cpu"), size=1536)
    results = {}
    for name in sizes:
        results[name] = compare(name, rounds)
        for side in results[name]["sides"].values():
            side["fraction_of_matmul"] = side["tokens_per_second"] * results[name]["flops_per_token"] / matmul
        gc.collect()  # three models of 124M and their optimizers are 6 GB
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "matmul_flops": matmul,
    }
    return {"machine": machine, "results": results}


def describe(benchmark: dict) -> str:
    """The result of `run_benchmark` as a few lines for a person."""
    lines = [f"one large matrix multiplication: {benchmark['machine']['matmul_flops'] / 1e9:,.0f} GFLOP/s"]
    for name, result in benchmark["results"].items():
        ratios, memory = result["ratios"], result["memory_ratios"]
        lines.append(
            f"{name}: ours trains {ratios['reference']:.2f} times as fast as the plain reference, "
            f"{ratios['transformers']:.2f} times as fast as transformers"
        )
        for side, found in result["sides"].items():
            lines.append(
                f"    {side}: {found['tokens_per_second']:,.0f} tokens/s, {found['fraction_of_matmul']:.0%} of that "
                f"multiplication's speed; a step holds {found['step_bytes'] / 1e6:,.0f} MB"
            )
        lines.append(
            f"    memory of ours over transformers': {memory['plain']:.2f} with the plain loss, "
            f"{memory['chunked']:.2f} with the chunked one; first losses differ by {result['loss_difference']:.1e}"
        )
    return "\n".join(lines)
