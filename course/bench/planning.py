"""What a recipe will cost, before it starts: parameters, tokens, operations, memory, disk, and the time here.

All of it is of the run as the device will carry it out: "auto" settings are resolved by `helpers.hardware.choose`.
"""

import time
from dataclasses import dataclass

import torch

from course import in_words
from course.bench.step_memory import free_memory, moving_bytes, pieces_that_fit
from course.recipes import Recipe
from course.runs import trained_size
from course.scaling.experiments import multiplying
from helpers.checkpoint import KEEP, TOKENIZER
from helpers.files import data_folder, read_json
from helpers.hardware import HALF, choose, matmul_precision
from helpers.model import GPT, GPTConfig
from helpers.modern import model_of
from helpers.optimizers import parameter_groups
from helpers.settings import HardwareConfig, TrainingSettings
from helpers.tokenizer import load_tokenizer
from helpers.train_step import TrainStep

KNOWN_SIZES = {"bundled": 2048, "gpt2": 50257}  # entries, so that a plan needs no download
PATIENCE = 2.0  # seconds that measuring a few real steps may take; what takes longer is estimated
REACHED = 0.5  # of the speed of one large matrix multiplication: what a training step reaches, roughly
TOLD_FROM = 1 / 20  # of a step's time: what the optimizer's own multiplications are told from
ENTRY_BYTES = 70  # about what an entry of a vocabulary and its merge take in a tokenizer's file
BESIDE = 100_000  # about the bytes of a run's small files: configuration, log, curves, samples, random state


@dataclass
class Plan:
    """What a recipe will do. Numbers are None where they are not known; `str` tells all, `cost` the second half.

    Attributes:
        device: its kind, "cpu" or "cuda"; `hardware`: how the run is carried out there, with no "auto" left.
        parameters: of the model that is kept; `padded_rows`: of the vocabulary, more than that while it trains.
        tokens_per_step: in all processes; at most, since sequences may be shorter than the context.
        flops_per_token: of a forward and a backward pass; `optimizer_flops`: of Muon's multiplications, in a step.
        state_bytes: of weights and the optimizer's moments; `peak_bytes`: with gradients and activations.
        free_bytes: of the device's memory, now; `pieces`: in so many a batch is read for that; 0: not one row fits.
        disk_bytes: the most that the run's folder takes at one time; `token_bytes`: of the tokens' file, beside it.
        tokens_per_second: an estimate; `measured`: from real steps of this model here, not from matrix multiplications.
        tokens, seconds: of the whole run.
    """

    recipe: Recipe
    device: str
    hardware: HardwareConfig
    parameters: int
    padded_rows: int
    tokens_per_step: int
    flops_per_token: int
    optimizer_flops: int
    optimizer_share: float  # of a step's time, as estimated
    state_bytes: int
    peak_bytes: int
    free_bytes: float
    pieces: int
    disk_bytes: int
    token_bytes: int | None
    tokens_per_second: float
    measured: bool
    tokens: int | None
    seconds: float | None

    @property
    def steps(self) -> int | None:
        return self.recipe.training.schedule.steps

    @property
    def model(self) -> str:
        """The model in words: parameters that are kept, shape, rows that pad the vocabulary while it trains."""
        shape = ", ".join(f"{key} {value}" for key, value in self.recipe.model.items())
        padded = f"; {self.padded_rows} rows more of the vocabulary while it trains" if self.padded_rows else ""
        return f"{self.parameters:,} parameters: {shape}{padded}"

    @property
    def cost(self) -> str:
        """Tokens, operations, memory, disk and time, a line each."""
        tokens = (
            "not known before the stories are read" if self.tokens is None else f"about {_short(self.tokens)} in all"
        )
        flops = f"{_short(self.flops_per_token)} a token"
        if self.tokens is not None:
            flops += f", {self.flops_per_token * self.tokens:.1e} in all"
        time_ = "not known" if self.seconds is None else _duration(self.seconds)
        how = "a few steps measured here" if self.measured else "matrix multiplications measured here"
        if self.measured and self.hardware.compile == "on":
            how += ", without torch.compile"
        asked = self.recipe.training.schedule.seconds
        fixed = asked is not None and self.seconds == asked
        lines = [
            f"tokens      {tokens}",
            f"FLOPs       {flops}",
            f"precision   {in_what(self.hardware)}",
            f"memory      about {_bytes(self.peak_bytes)}, {_bytes(self.state_bytes)} of it weights and the "
            f"optimizer's moments, the rest gradients and activations (in {self.hardware.precision})",
            f"disk        at most {_bytes(self.disk_bytes)} at one time in the run's folder"
            + (f", and {_bytes(self.token_bytes)} of tokens beside it" if self.token_bytes else ""),
            f"time        {'' if fixed else 'about '}{time_}{', as asked for' if fixed else ''}; about "
            f"{_short(self.tokens_per_second)} tokens a second: an estimate from {how}",
        ]
        return "\n".join(lines + self.notes)

    @property
    def notes(self) -> list[str]:
        """What is out of the ordinary, a line each."""
        notes = []
        if self.pieces != 1:
            what = "not even one sequence fits"
            if self.pieces:
                rows = -(-self.recipe.training.data.batch_size // self.pieces)
                halved = f"each batch will be read in {self.pieces} pieces"
                what = f"{rows} sequences at once fit" if self.device == "cpu" else halved
            notes.append(f"note        only {_bytes(self.free_bytes)} of memory are free here: {what}")
        if self.optimizer_share > TOLD_FROM:
            told = f"{_short(self.optimizer_flops)} FLOPs, about {self.optimizer_share:.0%} of its time"
            notes.append(f"note        Muon's own multiplications take {told}, in each step")
        spared = {"recompute=true": self.hardware.recompute, "parallel=fsdp": self.hardware.parallel == "fsdp"}
        for setting in (name for name, is_set in spared.items() if is_set):
            notes.append(f"note        with {setting} less memory is needed than is said here, which is without it")
        return notes

    def __str__(self) -> str:
        recipe, until = self.recipe, self.recipe.training.schedule
        length = {"steps": until.steps, "epochs": until.epochs, "seconds": until.seconds}
        told = " or ".join(f"{number:,g} {name}" for name, number in length.items() if number)
        return (
            f"recipe      {recipe.name}: {recipe.about}\n"
            f"model       {self.model}\n"
            f"stories     {recipe.stories}, tokenizer {recipe.tokenizer}\n"
            f"training    {told}; {self.tokens_per_step:,} tokens a step\n{self.cost}"
        )


def plan(
    recipe: Recipe, device: str | torch.device = "cpu", tokens_an_epoch: int | None = None, processes: int = 1
) -> Plan:
    """Size and cost of a recipe on a device, without loading its data; random numbers are left as they are.

    Args:
        tokens_an_epoch: of the training stories, where they have been counted; otherwise from what is known.
    """
    device = torch.device(device)
    size = KNOWN_SIZES.get(recipe.tokenizer) or trained_size(recipe.tokenizer)
    size = size or load_tokenizer(recipe.tokenizer).vocab_size
    config, hardware = recipe.config(size), choose(recipe.training.hardware, device)
    training, until = recipe.training.but(**vars(hardware)), recipe.training.schedule
    model, moving = moving_bytes(config, training, device)
    state = 4 * (model.parameter_count() + optimizer_values(model, training))
    padded = config.vocab_size - size
    parameters = model.parameter_count() - padded * config.d_model * (1 if config.tied_head else 2)
    free = free_memory(device)
    pieces = pieces_that_fit(config, training, device, state, moving, free)
    flops = training_flops_per_token(config)
    optimizer = muon_flops(model) if training.optimizer.kind == "muon" else 0
    per_process = training.data.batch_size * training.data.accumulation * config.context_length
    # Muon's multiplications are in the precision of the others, and no batch makes them more.
    share = optimizer / (optimizer + flops * per_process)
    speed, measured = tokens_per_second(config, training, device, flops, state + moving, optimizer)
    speed *= processes
    per_step = per_process * processes
    lengths, seconds = [], [until.seconds] if until.seconds else []
    if until.steps:
        lengths.append(per_step * until.steps)
    tokens_an_epoch = tokens_an_epoch or known_tokens(recipe)
    if until.epochs and tokens_an_epoch:
        lengths.append(int(until.epochs * tokens_an_epoch))
    seconds += [length / speed for length in lengths]
    lengths += [int(until.seconds * speed)] if until.seconds else []
    token_bytes = tokens_an_epoch and tokens_an_epoch * (2 if size <= 2**16 else 4)
    return Plan(
        recipe, device.type, hardware, parameters, padded, per_step, flops, optimizer, share, state,
        state + moving, free, pieces, disk_bytes(state, parameters, recipe, size), token_bytes, speed,
        measured, min(lengths, default=None), min(seconds, default=None),
    )  # fmt: skip


def in_what(hardware: HardwareConfig) -> str:
    """How a run is carried out, in words."""
    precision = hardware.precision
    if precision == "float32" and hardware.matmul_precision == "high":
        precision = "float32, its matrix multiplications in TF32"
    loss = ", the loss in chunks" if hardware.loss == "chunked" else ""
    return precision + loss + (", compiled" if hardware.compile == "on" else "")


def optimizer_values(model: GPT, training: TrainingSettings) -> int:
    """How many values the optimizer keeps: two moments for each parameter under AdamW, one momentum under Muon."""
    groups = parameter_groups(model)
    hidden = sum(parameter.numel() for parameter in groups["hidden"]) if training.optimizer.kind == "muon" else 0
    return 2 * model.parameter_count() - hidden


def disk_bytes(state: int, parameters: int, recipe: Recipe, entries: int) -> int:
    """The most that a run's folder takes at one time.

    That is while a checkpoint is written: it gets its name, and the oldest goes, only when it is whole. So `KEEP` + 1
    of them are there, and two models of four bytes a parameter, the newest and the best, each with its tokenizer: 44
    bytes a parameter with AdamW, whose states have twelve.

    Args:
        state: bytes of weights and moments.
        entries: of the tokenizer.
    """
    shipped = data_folder() / TOKENIZER
    tokenizer = shipped.stat().st_size if recipe.tokenizer == "bundled" else ENTRY_BYTES * entries
    return (KEEP + 1) * state + 2 * (4 * parameters + tokenizer) + BESIDE


def training_flops_per_token(config: GPTConfig) -> int:
    """Operations of one token's forward and backward pass, a multiplication and its addition counted as two.

    Six for each weight that is multiplied (two forward, four backward), and attention's two (T, T) matmuls at
    12 n_layer d_model T, counted whole although half of them is masked: Chowdhery et al. 2022 (PaLM), appendix B.
    """
    return 6 * multiplying(config) + 12 * config.n_layer * config.d_model * config.context_length


def muon_flops(model: GPT, steps: int = 5) -> int:
    """Operations of Muon's own matrix multiplications in one update, whatever the batch.

    For an m by n matrix, m <= n, each Newton-Schulz step makes X X^T (2 m^2 n), its square (2 m^3), and their product
    with X (2 m^2 n).
    """
    shapes = [sorted(parameter.shape) for parameter in parameter_groups(model)["hidden"]]
    return sum(steps * (4 * m * m * n + 2 * m**3) for m, n in shapes)


class RandomBatches:
    """A sampler of the same random tokens again and again, (B, T) each, below `entries`."""

    def __init__(self, entries: int, batch_size: int, length: int, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(0, entries, (batch_size, length + 1), generator=generator)
        self.batch = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.batch


def tokens_per_second(
    config: GPTConfig, training: TrainingSettings, device: str | torch.device, flops: int, memory: int, optimizer=0
) -> tuple[float, bool]:
    """How fast the model would train here, and whether real steps were measured.

    A few steps are run where they fit into two seconds and the memory; else the speed of a large matrix
    multiplication is measured and half of it assumed. Nothing is compiled: that alone would take a minute.

    Args:
        flops: of a token; `optimizer`: of Muon in a step.
        memory: bytes that a step takes.
    """
    device = torch.device(device)
    data, hardware = training.data, choose(training.hardware, device)
    with matmul_precision(hardware.matmul_precision):
        speed = REACHED * matmul_flops(device, hardware.precision)
    batch = data.batch_size * config.context_length
    update = optimizer / speed  # seconds
    if 3 * (flops * batch / speed + update) > PATIENCE or memory > free_memory(device) / 2:
        return data.accumulation * batch / (data.accumulation * flops * batch / speed + update), False
    with torch.random.fork_rng():
        model = model_of(config).to(device).train()
        batches = RandomBatches(config.vocab_size, data.batch_size, config.context_length)
        step = TrainStep(model, batches, training.but(**vars(hardware) | {"accumulation": 1, "compile": "off"}))
        times, started = [], time.perf_counter()
        while len(times) < 2 or (len(times) < 12 and time.perf_counter() - started < PATIENCE / 2):
            before = time.perf_counter()
            step.step(len(times) + 1, lambda: 1e-6)
            synchronize(device)
            times.append(time.perf_counter() - before)
    one = sorted(times[1:])[(len(times) - 1) // 2]  # of a batch and an update; the update comes once a step
    return data.accumulation * batch / (data.accumulation * one - (data.accumulation - 1) * min(update, one / 2)), True


def known_tokens(recipe: Recipe) -> int | None:
    """About how many training tokens an epoch has, if the stories are known to the course."""
    trained_on = 1 - (recipe.validation_fraction or 0)
    if recipe.stories == "tinystories":
        whole = read_json(data_folder() / "tinystories_facts.json")["whole"]
        part = min(1, (recipe.limit or whole["train_stories"]) / whole["train_stories"])
        # A good tokenizer of 2,048 entries or of 50,257: about as many bytes a token on these stories.
        return int(whole["train_gpt2_tokens"] * part * trained_on)
    return None


def matmul_flops(device: str | torch.device, precision: str = "float32", size: int | None = None) -> float:
    """Operations a second of one large matrix multiplication of random values, the best of a few.

    Random, because bits that change cost power, and a GPU at its limit lowers its clock: a matrix of ones comes out
    faster than any matrix that a model multiplies.

    Args:
        precision: "float32", "bfloat16" or "float16", on any device.
        size: rows and columns of both matrices; None: 4,096 on a GPU, 512 on a CPU, where it has to be quick.
    """
    device = torch.device(device)
    size, times = size or (512 if device.type == "cpu" else 4096), 1 if device.type == "cpu" else 10
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(size, size, generator=generator).to(device, HALF[precision]) for _ in range(2))
    return 2 * size**3 * times / _seconds_of(lambda: torch.mm(x, y), times, device)


def memory_bandwidth(device: str | torch.device, size: int | None = None) -> float:
    """Bytes a second, read and written, of one large copy within the device's memory; the best of a few.

    Args:
        size: bytes that are copied, far more than any cache holds; None: 512 MB on a GPU, 128 MB on a CPU.
    """
    device = torch.device(device)
    size, times = size or (2**27 if device.type == "cpu" else 2**29), 1 if device.type == "cpu" else 10
    source = torch.randn(size // 4, generator=torch.Generator().manual_seed(0)).to(device)
    target = torch.empty_like(source)
    return 2 * 4 * source.numel() * times / _seconds_of(lambda: target.copy_(source), times, device)


def _seconds_of(call, times: int, device: torch.device, rounds: int = 6) -> float:
    """Seconds of so many calls one after the other, waited for at the end: the fewest of some rounds after a first."""
    taken = []
    for _ in range(rounds):
        before = time.perf_counter()
        for _ in range(times):
            call()
        synchronize(device)
        taken.append(time.perf_counter() - before)
    return min(taken[1:])


def synchronize(device: str | torch.device) -> None:
    """Wait until a device has done all that it was given; a CPU has."""
    kind = torch.device(device).type
    if kind in ("cuda", "mps"):
        getattr(torch, kind).synchronize()


def _bytes(number: float) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"


def _duration(seconds: float) -> str:
    for size, word, from_ in ((365.25 * 86_400, "years", 2), (86_400, "days", 2), (3600, "hours", 3)):
        if seconds >= from_ * size:
            return f"{seconds / size:,.0f} {word}"
    return in_words(seconds)


def _short(number: float) -> str:
    """A number in words that can be compared at a glance: 1.3 million."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.3g} {word}"
    return f"{number:,.0f}"
