"""Built in notebook 07: the hyperparameters of a training run, in groups, and the schedule of its learning rates.

Every key is unique across the groups, so settings can be made from flat keys and changed by them:

>>> settings = TrainingSettings.of(lr=0.01, batch_size=16, steps=100)
>>> settings.data.batch_size, settings.but(lr=0.02).optimizer.lr
(16, 0.02)

Used by `helpers.training`, `course.recipes` and the command line (`--set lr=0.01`).
"""

import math
from dataclasses import dataclass, field, fields, replace

from helpers.errors import CourseError, did_you_mean


@dataclass(frozen=True)
class OptimizerConfig:
    """How the weights move."""

    kind: str = "adamw"  # "adamw", or "muon" for the matrices inside the blocks and AdamW for the rest
    lr: float = 3e-4  # highest learning rate of the matrices inside the blocks (Muon: near 0.02, AdamW: near 1e-3)
    embedding_lr: float | None = None  # highest learning rate of everything else; None: the same
    weight_decay: float = 0.1  # decoupled decay of the matrices inside the blocks
    decay_embeddings: bool = False  # whether embeddings (and an untied head) decay as well
    beta1: float = 0.9  # AdamW: how much of the first moment, the mean gradient, is kept in a step
    beta2: float = 0.95  # AdamW: how much of the second moment, the mean squared gradient, is kept
    momentum: float = 0.95  # Muon: how much of the momentum buffer is kept
    clip: float = 1.0  # largest norm of the gradient; 0: no clipping

    def __post_init__(self):
        _one_of(self, "kind", ("adamw", "muon"))
        _check(self, ("lr",), "above 0 and at most 100", lambda value: 0 < value <= 100)
        _check(self, ("embedding_lr",), "above 0 and at most 100", lambda value: value is None or 0 < value <= 100)
        _check(self, ("weight_decay", "clip"), "from 0 to a million", lambda value: 0 <= value <= 1e6)
        _check(self, ("beta1", "beta2", "momentum"), "from 0 to below 1", lambda value: 0 <= value < 1)


@dataclass(frozen=True)
class ScheduleConfig:
    """How long a run is, and how its learning rates follow it. The first length that is reached ends the run."""

    shape: str = "cosine"  # after the warm-up: "cosine", "linear", "wsd" (stay, then fall), "constant"
    warmup: float = 0.02  # fraction of the run in which learning rates rise in a straight line
    final: float = 0.1  # where they end, as a fraction of the highest
    decay: float = 0.2  # "wsd": fraction of the run, at its end, in which they fall
    steps: int | None = None  # length in optimizer steps
    epochs: float | None = None  # length in passes over the training stories
    seconds: float | None = None  # length in time

    def __post_init__(self):
        _one_of(self, "shape", ("cosine", "linear", "wsd", "constant"))
        _check(self, ("warmup", "decay"), "from 0 to below 1", lambda value: 0 <= value < 1)
        _check(self, ("final",), "from 0 to 1", lambda value: 0 <= value <= 1)
        lengths = ("steps", "epochs", "seconds")
        _check(self, lengths, "above 0 and at most a trillion", lambda value: value is None or 0 < value <= 1e12)

    @property
    def endless(self) -> bool:
        """Whether no length is set."""
        return self.steps is None and self.epochs is None and self.seconds is None

    def is_over(self, step: int, seconds: float, epochs: float) -> bool:
        """Whether a run has reached one of its lengths."""
        return bool(
            (self.steps and step >= self.steps)
            or (self.seconds and seconds >= self.seconds)
            or (self.epochs and epochs >= self.epochs)
        )

    def progress(self, step: int, seconds: float, step_seconds: float, epochs: float) -> float:
        """The fraction of a run that has passed when step `step` is over: never 0, and 1 only after the end.

        Args:
            seconds: until the end of that step, which takes `step_seconds`.
        """
        fractions = []
        if self.steps:
            fractions.append(step / (self.steps + 1))
        if self.seconds:
            fractions.append(seconds / (self.seconds + step_seconds))
        if self.epochs:
            fractions.append(min(epochs / self.epochs, 1.0))
        return max(fractions)


@dataclass(frozen=True)
class DataConfig:
    """How stories become batches."""

    packing: str = "packed"  # "packed" (stories fill a sequence), "padded" (one story each), "windows" (from anywhere)
    batch_size: int = 8  # sequences that a model reads at once (in each process)
    accumulation: int = 1  # batches whose gradients make one step

    def __post_init__(self):
        _one_of(self, "packing", ("packed", "padded", "windows"))
        _check(self, ("batch_size", "accumulation"), "from 1 to a million", lambda value: 1 <= value <= 1e6)


@dataclass(frozen=True)
class LoggingConfig:
    """What a run shows and saves, and how often; steps, and 0 is never."""

    eval_every: int = 250  # steps between two validation losses; one more comes at the end of an epoch and of the run
    eval_stories: int = 100  # validation stories that are scored each time
    sample_every: int = 500  # steps between two stories that the model writes
    log_every: int = 10  # steps between two rows of the log
    checkpoint_every: int = 500  # steps between two checkpoints

    def __post_init__(self):
        _check(self, ("eval_stories", "log_every"), "from 1 to a trillion", lambda value: 1 <= value <= 1e12)
        every = ("eval_every", "sample_every", "checkpoint_every")
        _check(self, every, "from 0 to a trillion", lambda value: 0 <= value <= 1e12)


@dataclass(frozen=True)
class HardwareConfig:
    """How the same computation is carried out; `helpers.hardware.choose` says what "auto" is on a device."""

    precision: str = "float32"  # of matrix multiplications and activations: "float32", "bfloat16", "float16", "auto"
    matmul_precision: str = "auto"  # of float32 matrix multiplications: "highest", or "high", which is TF32 on a GPU
    loss: str = "plain"  # "chunked" never holds all logits at once: less memory, slower on a CPU; or "auto"
    compile: str = "off"  # "on": by torch.compile, whose start takes a minute; or "auto"
    recompute: bool = False  # whether blocks keep nothing but their input, and compute the rest again on the way back
    parallel: str = "ddp"  # of several processes each has the whole model, or "fsdp": a shard of it

    def __post_init__(self):
        _one_of(self, "precision", ("float32", "bfloat16", "float16", "auto"))
        _one_of(self, "matmul_precision", ("highest", "high", "auto"))
        _one_of(self, "loss", ("plain", "chunked", "auto"))
        _one_of(self, "compile", ("on", "off", "auto"))
        _one_of(self, "parallel", ("ddp", "fsdp"))


@dataclass(frozen=True)
class TrainingSettings:
    """Everything about a run that is not the model or the data."""

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)  # how the weights move
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)  # length and learning rates
    data: DataConfig = field(default_factory=DataConfig)  # batches
    logging: LoggingConfig = field(default_factory=LoggingConfig)  # what is shown and saved
    hardware: HardwareConfig = field(default_factory=HardwareConfig)  # precision and memory
    seed: int = 0  # decides the initialization, the order of the stories and the dropout

    def __post_init__(self):
        _check(self, ("seed",), "0 or more, and below 2^63", lambda value: 0 <= value < 2**63)

    @classmethod
    def of(cls, **values) -> "TrainingSettings":
        """Settings from flat keys; whatever is not named has its default."""
        return cls().but(**values)

    def but(self, **values) -> "TrainingSettings":
        """A copy with some values changed.

        Raises:
            CourseError: there is no such key, or a value is out of its range.
        """
        changed: dict[str, dict] = {}
        own = {}
        for key, value in values.items():
            if key not in SETTINGS:
                raise CourseError(f"there is no training setting {key!r}{did_you_mean(key, SETTINGS)}")
            group, _ = SETTINGS[key]
            (changed.setdefault(group, {}) if group else own)[key] = value
        groups = {group: replace(getattr(self, group), **part) for group, part in changed.items()}
        return replace(self, **groups, **own)

    def flat(self) -> dict:
        """Every value by its key: what `of` takes, as JSON can hold it."""
        return {key: getattr(getattr(self, group) if group else self, key) for key, (group, _) in SETTINGS.items()}


# Every key: the group it is in (None: none), and its type.
SETTINGS: dict[str, tuple[str | None, type]] = {
    each.name: (group.name, each.type)
    for group in fields(TrainingSettings)
    if group.name != "seed"
    for each in fields(group.type)
} | {"seed": (None, int)}


def schedule(progress: float, config: ScheduleConfig) -> float:
    """The learning rate as a fraction of its highest, when the fraction `progress` of the run has passed.

    >>> [round(schedule(p, ScheduleConfig(warmup=0.1, final=0)), 2) for p in (0.05, 0.1, 0.55, 1)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if progress < config.warmup:
        return progress / config.warmup
    left = (1 - min(progress, 1)) / (1 - config.warmup)  # 1 after the warm-up, 0 at the end
    if config.shape == "constant":
        return 1.0
    if config.shape == "wsd":  # warm-up, stable, decay (Hu et al. 2024, section 4)
        left = min(1.0, (1 - min(progress, 1)) / config.decay) if config.decay else 1.0
    elif config.shape == "cosine":
        left = (1 - math.cos(math.pi * left)) / 2
    return config.final + (1 - config.final) * left


def _check(config, names: tuple[str, ...], rule: str, right) -> None:
    for name in names:
        if not right(getattr(config, name)):
            raise CourseError(f"{name} must be {rule}, got {getattr(config, name)!r:.80}")


def _one_of(config, name: str, choices: tuple[str, ...]) -> None:
    _check(config, (name,), "one of " + ", ".join(choices), lambda value: value in choices)
