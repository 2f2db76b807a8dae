"""What a recipe will cost, before it starts: parameters, tokens, operations, memory, and the time on this machine."""

import time
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from course import in_words
from course.bench.memory import peak_bytes
from helpers.files import data_folder, read_json
from helpers.model import GPT, GPTConfig
from helpers.optimizers import parameter_groups
from helpers.recipes import Recipe
from helpers.settings import TrainingSettings
from helpers.tokenizer import load_tokenizer, trained_size
from helpers.train_step import TrainStep, chunked_loss

KNOWN_SIZES = {"bundled": 2048, "gpt2": 50257}  # entries, so that a plan needs no download
PATIENCE = 2.0  # seconds that measuring a few real steps may take; what takes longer is estimated
REACHED = 0.5  # of the speed of one large matrix multiplication: what a training step reaches, roughly


@dataclass
class Plan:
    """What a recipe will do. Numbers are None where they are not known; `str` tells all, `cost` the second half.

    Attributes:
        tokens_per_step: in all processes; at most, since sequences may be shorter than the context.
        flops_per_token: of a forward and a backward pass.
        state_bytes: of weights and the optimizer's moments; `peak_bytes`: with gradients and activations, in float32.
        tokens_per_second: an estimate; `measured`: from real steps of this model here, not from matrix multiplications.
        tokens, seconds: of the whole run.
    """

    recipe: Recipe
    parameters: int
    tokens_per_step: int
    flops_per_token: int
    state_bytes: int
    peak_bytes: int
    tokens_per_second: float
    measured: bool
    tokens: int | None
    seconds: float | None

    @property
    def steps(self) -> int | None:
        return self.recipe.training.schedule.steps

    @property
    def cost(self) -> str:
        """Tokens, operations, memory and time, a line each."""
        tokens = (
            "not known before the stories are read" if self.tokens is None else f"about {_short(self.tokens)} in all"
        )
        flops = f"{_short(self.flops_per_token)} a token"
        if self.tokens is not None:
            flops += f", {self.flops_per_token * self.tokens:.1e} in all"
        time_ = "not known" if self.seconds is None else _duration(self.seconds)
        how = "a few steps measured here" if self.measured else "matrix multiplications measured here"
        asked = self.recipe.training.schedule.seconds
        fixed = asked is not None and self.seconds == asked
        return (
            f"tokens      {tokens}\n"
            f"FLOPs       {flops}\n"
            f"memory      about {_bytes(self.peak_bytes)}, {_bytes(self.state_bytes)} of it weights and the "
            "optimizer's moments, the rest gradients and activations (in float32)\n"
            f"time        {'' if fixed else 'about '}{time_}{', as asked for' if fixed else ''}; about "
            f"{_short(self.tokens_per_second)} tokens a second: an estimate from {how}"
        )

    def __str__(self) -> str:
        recipe, until = self.recipe, self.recipe.training.schedule
        length = {"steps": until.steps, "epochs": until.epochs, "seconds": until.seconds}
        told = " or ".join(f"{number:,g} {name}" for name, number in length.items() if number)
        model = ", ".join(f"{key} {value}" for key, value in recipe.model.items())
        return (
            f"recipe      {recipe.name}: {recipe.about}\n"
            f"model       {self.parameters:,} parameters: {model}\n"
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
    size = KNOWN_SIZES.get(recipe.tokenizer) or trained_size(recipe.tokenizer)
    size = size or load_tokenizer(recipe.tokenizer).vocab_size
    config, training = recipe.config(size), recipe.training
    model, moving = _moving_bytes(config, training)
    state = 4 * (model.parameter_count() + optimizer_values(model, training))
    flops = training_flops_per_token(config)
    speed, measured = tokens_per_second(config, training, device, flops, state + moving)
    speed *= processes
    until = training.schedule
    per_step = training.data.batch_size * training.data.accumulation * config.context_length * processes
    lengths, seconds = [], [until.seconds] if until.seconds else []
    if until.steps:
        lengths.append(per_step * until.steps)
    tokens_an_epoch = tokens_an_epoch or known_tokens(recipe)
    if until.epochs and tokens_an_epoch:
        lengths.append(int(until.epochs * tokens_an_epoch))
    seconds += [length / speed for length in lengths]
    lengths += [int(until.seconds * speed)] if until.seconds else []
    return Plan(
        recipe, model.parameter_count(), per_step, flops, state, state + moving, speed, measured,
        min(lengths, default=None), min(seconds, default=None),
    )  # fmt: skip


def optimizer_values(model: GPT, training: TrainingSettings) -> int:
    """How many values the optimizer keeps: two moments for each parameter under AdamW, one momentum under Muon."""
    groups = parameter_groups(model)
    hidden = sum(parameter.numel() for parameter in groups["hidden"]) if training.optimizer.kind == "muon" else 0
    return 2 * model.parameter_count() - hidden


def _moving_bytes(config: GPTConfig, training: TrainingSettings) -> tuple[GPT, int]:
    """A model without memory, and the bytes of gradients and activations at the highest moment of one batch of it."""
    loss = chunked_loss if training.hardware.loss == "chunked" else GPT.loss
    # Shapes are followed and nothing is computed. On torch's "meta" device attention would be another one, which keeps
    # its maps; fake tensors go the way of a CPU's.
    with torch.random.fork_rng(), FakeTensorMode():
        model = GPT(config)
        ids = torch.zeros(training.data.batch_size, config.context_length, dtype=torch.long)
        return model, peak_bytes(lambda: loss(model, ids, ids).backward())


def training_flops_per_token(config: GPTConfig) -> int:
    """Operations of one token's forward and backward pass, a multiplication and its addition counted as two.

    Six for each weight that is multiplied (two forward, four backward), and attention's two (T, T) matmuls at
    12 n_layer d_model T, counted whole although half of them is masked: Chowdhery et al. 2022 (PaLM), appendix B.
    """
    d, T = config.d_model, config.context_length
    block = 4 * d * d + 2 * d * config.d_ff
    return 6 * (config.n_layer * block + config.vocab_size * d) + 12 * config.n_layer * d * T


def tokens_per_second(
    config: GPTConfig, training: TrainingSettings, device: str | torch.device, flops: int, memory: int
) -> tuple[float, bool]:
    """How fast the model would train here, and whether real steps were measured.

    A few steps are run where they fit into two seconds and the memory; else the speed of a large matrix
    multiplication is measured and half of it assumed.
    """
    device = torch.device(device)
    speed = matmul_flops(device, training.hardware.precision)
    batch_size = training.data.batch_size
    step = flops * batch_size * config.context_length / (REACHED * speed)
    only_on_gpu = device.type == "cpu" and training.hardware.precision != "float32"
    if 3 * step > PATIENCE or memory > _free_memory(device) / 2 or only_on_gpu:
        return REACHED * speed / flops, False

    class Batches:
        def next_batch(self):
            ids = torch.randint(0, config.vocab_size, (batch_size, config.context_length + 1), device=device)
            return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()

    with torch.random.fork_rng():
        model = GPT(config).to(device).train()
        train_step = TrainStep(model, Batches(), training.but(accumulation=1))
        times, started = [], time.perf_counter()
        while len(times) < 2 or (len(times) < 12 and time.perf_counter() - started < PATIENCE / 2):
            before = time.perf_counter()
            train_step.step(len(times) + 1, lambda: 1e-6)
            times.append(time.perf_counter() - before)
    return batch_size * config.context_length / sorted(times[1:])[(len(times) - 1) // 2], True


def known_tokens(recipe: Recipe) -> int | None:
    """About how many training tokens an epoch has, if the stories are known to the course."""
    trained_on = 1 - (recipe.validation_fraction or 0)
    if recipe.stories == "tinystories":
        whole = read_json(data_folder() / "tinystories_facts.json")["whole"]
        part = min(1, (recipe.limit or whole["train_stories"]) / whole["train_stories"])
        # A good tokenizer of 2,048 entries or of 50,257: about as many bytes a token on these stories.
        return int(whole["train_gpt2_tokens"] * part * trained_on)
    return None


def matmul_flops(device: torch.device, precision: str = "float32", size: int | None = None) -> float:
    """Operations a second of one large matrix multiplication, the best of a few.

    Args:
        size: rows and columns of both matrices; None: 4,096 on a GPU, 512 on a CPU, where it has to be quick.
    """
    kinds = {"float16": torch.float16, "bfloat16": torch.bfloat16}
    on_gpu = device.type == "cuda"
    size = size or (4096 if on_gpu else 512)
    x = torch.ones(size, size, device=device, dtype=kinds.get(precision, torch.float32) if on_gpu else torch.float32)
    times = []
    for _ in range(6):
        before = time.perf_counter()
        y = x @ x
        if on_gpu:
            float(y[0, 0])  # waits for the device
        times.append(time.perf_counter() - before)
    return 2 * size**3 / min(times[1:])


def _free_memory(device: torch.device) -> float:
    """Bytes; on a CPU an assumption where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":") for line in file)
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return 4e9


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
