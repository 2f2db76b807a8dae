"""The options of a training step, switched on one after the other, and what each is worth on this device.

Every rung is the course's own `helpers.train_step.TrainStep` with a `HardwareConfig`, so that the top is what a run
does: the settings that `choose` finds for the device. A rung that changes nothing there is left out, and says why.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from course import machine
from course.bench.memory import peak_bytes
from course.bench.planning import RandomBatches, in_what, matmul_flops, synchronize, training_flops_per_token
from course.recipes import padded_size
from helpers.errors import CourseError
from helpers.hardware import choose
from helpers.model import GPT, GPTConfig
from helpers.settings import HardwareConfig, TrainingSettings
from helpers.train_step import TrainStep

BEST = HardwareConfig(precision="auto", matmul_precision="auto", loss="auto", compile="auto")
PLAIN = HardwareConfig(precision="float32", matmul_precision="highest", loss="plain", compile="off")
FULL = HardwareConfig(
    precision="bfloat16", matmul_precision="high", loss="chunked", compile="on"
)  # if all is asked for
MULTIPLE = 128  # that divides the padded vocabulary
# name: (configuration, sequences in a batch); the thin one has GPT-2's depth and vocabulary, and runs on a CPU
SIZES = {
    "gpt2-small": (GPTConfig.gpt2("small"), 8),
    "thin": (GPTConfig(50257, 256, n_layer=12, n_head=2, d_model=64), 2),
}


@dataclass(frozen=True)
class Rung:
    """One option."""

    name: str  # as the figure has it
    why: str  # it helps
    field: str | None = None  # of `HardwareConfig`, that it takes from the goal; the other three options have none
    without: str = ""  # why it is left out where the goal has nothing for it


RUNGS = (
    Rung("plain: float32", "Where it begins: float32, and attention as written down, all maps kept."),
    Rung(
        "+ TF32",
        "A GPU's matrix units take float32 values rounded to 10 bits of fraction, several times as fast.",
        "matmul_precision",
        "this device has no TF32",
    ),
    Rung(
        "+ half precision",
        "Matrix units work at their full speed, and activations take half the bytes.",
        "precision",
        "this device has no matrix units for it",
    ),
    Rung("+ fused attention", "One kernel computes attention piece by piece: no map is ever written to memory."),
    Rung("+ fused AdamW", "One pass over the parameters instead of a dozen."),
    Rung("+ padded vocabulary", "Matrix units work on tiles; a round number of columns fills all of them."),
    Rung(
        "+ chunked loss",
        "All logits never exist at once: less memory, and so room for a larger batch.",
        "loss",
        "it only costs time here, or torch does not have it",
    ),
    Rung(
        "+ torch.compile",
        "What lies between two matrix multiplications becomes one kernel: fewer trips to memory, fewer launches.",
        "compile",
        "here it gains nothing and takes a minute to start",
    ),
)


def goal_on(device: str | torch.device) -> HardwareConfig:
    """What the ladder leads to if nothing else is asked for: the best there is on a GPU; on a CPU chunks besides.

    A CPU is slower with the loss in chunks, but what it saves in memory can be seen there too.
    """
    best = choose(BEST, device)
    return replace(best, loss="chunked") if _is_cpu(device) and hasattr(torch.nn, "LinearCrossEntropyOptions") else best


def climb(
    config: GPTConfig,
    batch_size: int,
    device: str | torch.device = "cuda",
    *,
    goal: HardwareConfig | None = None,
    multiple: int = MULTIPLE,
    turns: int | None = None,
    steps: int | None = None,
    everything: bool = False,
    say: Callable[[dict], object] | None = None,
) -> list[dict]:
    """Measure one rung after the other; each has what those before it have. The weights and the batch are the same.

    Args:
        config: of the model; its vocabulary is padded by one of the rungs.
        batch_size: sequences of the full context; halved for all rungs where one of them runs out of memory.
        goal: the settings of the highest rung, in which "auto" is what `choose` finds; None: `goal_on(device)`.
        turns: how often all of it is measured, in turn, because what else a machine does disturbs it; the fastest step
            counts. None: once on a GPU, where a rung is compiled each time, three times on a CPU.
        steps: that are timed in a turn, after some that are not. None: 10 on a GPU, 2 on a CPU.
        everything: no rung is left out, whatever the device is; for trying the code.
        say: called with each row of the first turn as it comes.

    Returns:
        a row for each of `RUNGS`: "name"; "left_out" (why, or None); "tokens_per_second", "seconds" (of the fastest
        step), "peak_bytes" of a step with weights and moments (the allocator's on a GPU; elsewhere counted tensor by
        tensor, where compiling changes nothing), "loss" of the first step, "start_seconds" (of the first
        step, compiling included), all None where it is left out; "batch" [sequences, tokens], "hardware" (the settings
        as a dict) and "vocabulary" (its rows).

    Raises:
        CourseError: not even one sequence fits the device's memory; no turns, or no steps.
    """
    if any(number is not None and number < 1 for number in (turns, steps)):
        raise CourseError(f"rounds and steps must be at least 1, not {turns} and {steps}")
    device = torch.device(device)
    goal = FULL if everything else choose(goal or goal_on(device), device)
    gpu = device.type == "cuda"
    turns, steps = turns or (1 if gpu else 3), steps or (10 if gpu else 2)
    while True:
        try:
            return _climb(config, batch_size, device, goal, multiple, turns, steps, say)
        except (torch.OutOfMemoryError, CourseError) as error:
            if isinstance(error, CourseError) and not isinstance(error.__cause__, torch.OutOfMemoryError):
                raise
            if batch_size == 1:
                raise CourseError(
                    f"not even one sequence of {config.context_length} tokens fits this GPU's memory"
                ) from None
        batch_size //= 2
        _tidy(device)


def top(rows: Sequence[Mapping]) -> Mapping:
    """The highest rung that was measured."""
    return [row for row in rows if row["tokens_per_second"] is not None][-1]


def hardware_of(row: Mapping) -> HardwareConfig:
    """The settings of a rung."""
    return HardwareConfig(**row["hardware"])


def measure_ladder(size: str = "gpt2-small", device: str | torch.device = "cuda", **options) -> dict:
    """`climb` for one of `SIZES`, with what it was measured on and the MFU of each rung, for JSON.

    Raises:
        CourseError: there is no such size, or no such device.
    """
    if size not in SIZES:
        raise CourseError(f"there is no size {size!r} for the ladder; the sizes are {', '.join(SIZES)}")
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CourseError("there is no GPU here to measure")
    config, batch_size = SIZES[size]
    rows = climb(config, batch_size, device, **options)
    precision = top(rows)["hardware"]["precision"]
    peak = matmul_flops(device, precision, size=8192 if device.type == "cuda" else 1024)
    for row in rows:
        speed = row["tokens_per_second"]
        # The model's own operations: rows that pad the vocabulary are no use, and count as none.
        row["mfu"] = None if speed is None else speed * training_flops_per_token(config) / peak
    return {"machine": machine(), "device": device.type, "size": size, "matmul_flops": peak, "rows": rows}


def describe_ladder(measured: Mapping) -> str:
    """The result of `measure_ladder` as a few lines for a person."""
    rows = measured["rows"]
    sequences, length = rows[0]["batch"]
    first = rows[0]["tokens_per_second"]
    lines = [
        ", ".join(f"{fact} {found}" for fact, found in measured["machine"].items()),
        f"{measured['size']}, {sequences} sequences of {length:,} tokens, on {measured['device']}; one large matrix "
        f"multiplication: {measured['matmul_flops'] / 1e12:,.2f} TFLOP/s",
    ]
    for row in rows:
        if row["left_out"]:
            lines.append(f"    {row['name']:22} left out: {row['left_out']}")
            continue
        speed = row["tokens_per_second"]
        lines.append(
            f"    {row['name']:22} {speed:>11,.0f} tokens/s  {speed / first:5.2f} x  {row['peak_bytes'] / 1e9:7.2f} GB"
            f"  MFU {row['mfu']:4.0%}"
        )
    return "\n".join([*lines, f"    at the top: {in_what(hardware_of(top(rows)))}"])


def rungs_to(goal: HardwareConfig) -> list[tuple[Rung, HardwareConfig, bool]]:
    """Each of `RUNGS` with the settings that it has come to, and whether it is left out because it changes none.

    Args:
        goal: with no "auto"; the last settings are these.
    """
    hardware, found = PLAIN, []
    for rung in RUNGS:
        changed = hardware if rung.field is None else replace(hardware, **{rung.field: getattr(goal, rung.field)})
        found.append((rung, changed, rung.field is not None and changed == hardware))
        hardware = changed
    return found


def _climb(config, batch_size, device, goal, multiple, turns, steps, say) -> list[dict]:
    weights = _weights(config)
    rows = []
    for turn in range(turns):
        done: set[str] = set()  # names of the rungs up to here
        for number, (rung, hardware, left_out) in enumerate(rungs_to(goal)):
            done.add(rung.name)
            if left_out:
                row = dict.fromkeys(("tokens_per_second", "seconds", "peak_bytes", "loss", "start_seconds"))
                row["left_out"] = rung.without
            else:
                row = _measure(config, weights, batch_size, device, hardware, done, multiple, steps)
            if turn == 0:
                padded = _padded(config, multiple if "+ padded vocabulary" in done else 1)
                row |= {"name": rung.name, "batch": [batch_size, config.context_length], "hardware": asdict(hardware)}
                row["vocabulary"] = padded.vocab_size
                rows.append(row)
                if say is not None:
                    say(row)
            elif row["seconds"] is not None and row["seconds"] < rows[number]["seconds"]:
                rows[number] |= {key: row[key] for key in ("seconds", "tokens_per_second")}
    return rows


def _measure(config, weights, batch_size, device, hardware, done: set, multiple: int, steps: int) -> dict:
    """One rung in one turn: a new model, a first step, some that are timed, one whose memory is counted."""
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    step = _step(config, weights, batch_size, device, hardware, done, multiple)
    attention = nullcontext() if "+ fused attention" in done else sdpa_kernel(SDPBackend.MATH)
    seconds, warm_up = [], 2 if device.type == "cuda" else 1
    with attention:
        while len(seconds) < warm_up + steps:
            started = time.perf_counter()
            stats = step.step(len(seconds) + 1, lambda: 1.0)
            synchronize(device)
            if not seconds:
                loss, start = stats.loss, time.perf_counter() - started
            if not seconds or not stats.skipped:  # where float16 still looks for its scale no optimizer moves
                seconds.append(time.perf_counter() - started)
        peak = _peak(step, device, before)
    fastest = min(seconds[warm_up:])
    row = {"seconds": fastest, "tokens_per_second": batch_size * config.context_length / fastest, "peak_bytes": peak}
    del step
    _tidy(device)
    return row | {"loss": loss, "start_seconds": start, "left_out": None}


def _step(config, weights, batch_size, device, hardware, done: set, multiple: int) -> TrainStep:
    """The course's own step of training, with what the rungs up to here have switched on."""
    padded = _padded(config, multiple if "+ padded vocabulary" in done else 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT(padded)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter[: len(weights[name])] = weights[name]
    settings = TrainingSettings.of(lr=1e-4, batch_size=batch_size, **asdict(hardware))
    batches = RandomBatches(config.vocab_size, batch_size, config.context_length)
    step = TrainStep(model.to(device).train(), batches, settings)
    step.may_split = False  # all rungs are measured on the same batch
    if "+ fused AdamW" not in done:
        step.optimizers = [_as_torch_does(optimizer) for optimizer in step.optimizers]
    return step


def _as_torch_does(optimizer: torch.optim.AdamW) -> torch.optim.AdamW:
    """The same AdamW without asking for the fused one: on a GPU torch then goes over lists of parameters."""
    groups = [
        {key: group[key] for key in ("params", "lr", "initial_lr", "weight_decay", "betas")}
        for group in optimizer.param_groups
    ]
    return torch.optim.AdamW(groups)


def _peak(step: TrainStep, device: torch.device, before: int) -> int:
    """The most bytes that one step holds, weights and moments included, over what the device held before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        step.step(1, lambda: 1.0)
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    moments = [value for optimizer in step.optimizers for state in optimizer.state.values() for value in state.values()]
    kept = [*step.model.parameters(), *(value for value in moments if isinstance(value, torch.Tensor))]
    return sum(each.numel() * each.element_size() for each in kept) + peak_bytes(lambda: step.step(1, lambda: 1.0))


def _weights(config: GPTConfig) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {name: parameter.detach() for name, parameter in GPT(config).named_parameters()}


def _padded(config: GPTConfig, multiple: int) -> GPTConfig:
    return replace(config, vocab_size=padded_size(config.vocab_size, multiple))


def _is_cpu(device: str | torch.device) -> bool:
    return torch.device(device).type == "cpu"


def _tidy(device: torch.device) -> None:
    """Give back what the last rung held."""
    gc.collect()
    if device.type == "cuda":
        torch.compiler.reset()
        torch.cuda.empty_cache()
