"""How fast the course's GPT trains, and in how much memory, beside `transformers`' GPT-2 on the same machine.

Both sides get the same weights, batch, threads and optimizer (torch's fused AdamW) and take turns in one
process, so that whatever else the machine is doing disturbs both. A step is forward, backward and the
optimizer. Memory is counted, not sampled: the most that the tensors of a forward and a backward pass hold at one
time, gradients included, weights and the optimizer's averages (the same on both sides) not. How near a step comes
to what the machine can do at all is told by its operations a second over those of one large matrix product.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Iterable

import torch

from course.bench.memory import peak_bytes
from course.bench.planning import matmul_flops, training_flops_per_token
from helpers.errors import CourseError
from helpers.export import to_transformers
from helpers.model import GPT, GPTConfig

# name: (configuration, sequences in a batch, tokens in a sequence, steps in a turn)
SIZES = {
    "storyteller": (GPTConfig(2048, 256, n_layer=4, n_head=4, d_model=128), 8, 256, 5),
    "12x384": (GPTConfig(50257, 256, n_layer=12, n_head=12, d_model=384), 2, 256, 2),
    "gpt2-small": (GPTConfig.gpt2("small"), 2, 256, 1),
}


def training_step(loss: Callable[[], torch.Tensor], optimizer: torch.optim.Optimizer) -> tuple[float, float]:
    """One step; its seconds, and the loss before it."""
    start = time.perf_counter()
    value = loss()
    value.backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - start, value.item()


def both_sides(config: GPTConfig, batch: int, length: int) -> tuple[GPT, torch.nn.Module, torch.Tensor, torch.Tensor]:
    """Our model and transformers' with the same random weights, and a batch: ids and targets, (batch, length) each."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, config.vocab_size, (batch, length + 1), generator=generator)
    with torch.random.fork_rng(devices=[]):  # measuring does not disturb anybody's random numbers
        torch.manual_seed(0)
        ours = GPT(config).train()
        theirs = to_transformers(ours)
    theirs.config.use_cache = False  # keys and values are kept for writing text, which is not measured here
    return ours, theirs, tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def loss_of_transformers(model: torch.nn.Module, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Its mean loss; `shift_labels` are targets as ours are, so that both sides score every position."""
    return model(input_ids=ids, labels=targets, shift_labels=targets).loss


def compare(name: str, rounds: int = 5) -> dict:
    """Both sides at one size of `SIZES`: medians of seconds a step over all rounds, and their ratio.

    Returns:
        a dictionary for JSON; "ratio" is ours over theirs in tokens a second, above 1 where ours is faster;
        "memory_ratio" is ours over theirs in the bytes that a step holds, below 1 where ours holds less;
        "flops_per_token" are the operations of forward and backward as `course.bench.planning` counts them;
        "loss_difference" is between the two sides' first losses, from the same weights and batch.
    """
    if name not in SIZES:
        raise CourseError(f"there is no size {name!r} to measure; the sizes are {', '.join(SIZES)}")
    if rounds < 1:
        raise CourseError(f"rounds must be at least 1, not {rounds}")
    config, batch, length, steps = SIZES[name]
    ours, theirs, ids, targets = both_sides(config, batch, length)
    losses = {
        "ours": lambda: ours.loss(ids, targets),
        "transformers": lambda: loss_of_transformers(theirs, ids, targets),
    }
    models = {"ours": ours, "transformers": theirs}
    memory = {}
    for side, model in models.items():
        memory[side] = peak_bytes(lambda side=side: losses[side]().backward())
        model.zero_grad()
    optimizers = {side: torch.optim.AdamW(m.parameters(), lr=1e-4, fused=True) for side, m in models.items()}
    first = {side: training_step(losses[side], optimizers[side])[1] for side in losses}
    seconds: dict[str, list[float]] = {side: [] for side in losses}
    ratios = []
    for turn in range(rounds):
        order = list(losses) if turn % 2 == 0 else list(losses)[::-1]
        for side in order:
            seconds[side] += [training_step(losses[side], optimizers[side])[0] for _ in range(steps)]
        mine, other = (statistics.median(seconds[side][-steps:]) for side in losses)
        ratios.append(other / mine)
    median = {side: statistics.median(values) for side, values in seconds.items()}
    result = {
        "size": name,
        "parameters": ours.parameter_count(),
        "flops_per_token": training_flops_per_token(config),
        "batch": [batch, length],
        "steps": rounds * steps,
        "ratio": median["transformers"] / median["ours"],
        "ratio_of_fastest_steps": min(seconds["transformers"]) / min(seconds["ours"]),
        "ratios_by_round": ratios,
        "memory_ratio": memory["ours"] / memory["transformers"],
        "loss_difference": abs(first["ours"] - first["transformers"]),
    }
    for side, value in median.items():
        result[side] = {
            "seconds_per_step": value,
            "fastest_step": min(seconds[side]),
            "tokens_per_second": batch * length / value,
            "first_loss": first[side],
            "step_bytes": memory[side],
        }
    return result


def run_benchmark(sizes: Iterable[str] = tuple(SIZES), rounds: int = 5) -> dict:
    """`compare` for each of `sizes`, with what was measured on: {"machine": ..., "results": {size: ...}}.

    Each side's "share_of_matmul" is its operations a second over the machine's "matmul_flops": what one product of two
    (1536, 1536) matrices reaches. The optimizer's time counts, its operations do not.
    """
    matmul = matmul_flops(torch.device("cpu"), size=1536)
    results = {}
    for name in sizes:
        results[name] = compare(name, rounds)
        for side in ("ours", "transformers"):
            speed = results[name][side]["tokens_per_second"]
            results[name][side]["share_of_matmul"] = speed * results[name]["flops_per_token"] / matmul
        gc.collect()  # two models of 124M and their optimizers are 4 GB
    machine = {
        "processor": platform.processor() or platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "matmul_flops": matmul,
    }
    return {"machine": machine, "results": results}


def describe(benchmark: dict) -> str:
    """The result of `run_benchmark` as a few lines for a person."""
    lines = [f"one large matrix product: {benchmark['machine']['matmul_flops'] / 1e9:,.0f} GFLOP/s"]
    for name, result in benchmark["results"].items():
        reached = {side: result[side]["share_of_matmul"] for side in ("ours", "transformers")}
        speed = {side: result[side]["tokens_per_second"] for side in ("ours", "transformers")}
        lines.append(
            f"{name}: ours {speed['ours']:,.0f} tokens/s, transformers {speed['transformers']:,.0f}: "
            f"{result['ratio']:.2f} times as fast, {reached['ours']:.0%} and {reached['transformers']:.0%} of that "
            f"product's speed (first losses differ by {result['loss_difference']:.1e}); "
            f"a step holds {result['ours']['step_bytes'] / 1e6:,.0f} MB, {result['memory_ratio']:.2f} times theirs"
        )
    return "\n".join(lines)
