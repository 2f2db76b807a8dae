"""What decides a training run apart from model and data, and how its learning rates follow its course."""

import math
from dataclasses import dataclass

from helpers.errors import CourseError

SCHEDULES = ("cosine", "linear", "wsd", "constant")
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class TrainingSettings:
    """Everything about a run that is not the model or the data.

    Attributes:
        rows: "packed" (rows start at a story's start and are filled up with further stories), "padded" (one
            story a row) or "windows" (start anywhere).
        batch_size: rows a model reads at once; accumulation: so many batches make one step.
        optimizer: "adamw", or "muon" for the matrices inside the blocks and AdamW for the rest.
        learning_rate: the highest rate of those matrices (Muon's are near 0.02, AdamW's near 1e-3).
        embedding_learning_rate: the highest rate of everything else; None: the same.
        weight_decay: of the matrices inside the blocks; decay_embeddings: whether embeddings decay as well.
        beta1, beta2: AdamW's memories of the gradient and of its square; momentum: Muon's.
        schedule: after a linear warm-up over the share `warmup` of the run, "cosine" or "linear" decay to the
            share `final` of the highest rate, "wsd" (stay, then fall linearly over the share `decay`), "constant".
        clip: the largest norm of the gradient; 0 leaves it alone.
        steps, epochs, seconds: the length of the run; the first that is reached ends it.
        eval_every, sample_every, log_every, checkpoint_every: in steps; 0 is never.
        eval_stories: how many validation stories are scored each time.
        precision: "float32", "bfloat16" or "float16" (the last two on a GPU).
        seed: decides the initial weights and the order of the stories.
    """

    rows: str = "packed"
    batch_size: int = 8
    accumulation: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 3e-4
    embedding_learning_rate: float | None = None
    weight_decay: float = 0.1
    decay_embeddings: bool = False
    beta1: float = 0.9
    beta2: float = 0.95
    momentum: float = 0.95
    schedule: str = "cosine"
    warmup: float = 0.02
    final: float = 0.1
    decay: float = 0.2
    clip: float = 1.0
    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None
    eval_every: int = 250
    eval_stories: int = 100
    sample_every: int = 500
    log_every: int = 10
    checkpoint_every: int = 500
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self):
        def check(right: bool, name: str, rule: str) -> None:
            if not right:
                raise CourseError(f"{name} must be {rule}, got {getattr(self, name)!r}")

        for name, choices in (
            ("rows", ("packed", "padded", "windows")),
            ("optimizer", ("adamw", "muon")),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
        ):
            check(getattr(self, name) in choices, name, "one of " + ", ".join(choices))
        for name in ("batch_size", "accumulation", "eval_stories", "log_every"):
            check(getattr(self, name) >= 1, name, "at least 1")
        check(self.learning_rate > 0, "learning_rate", "above 0")
        rate = self.embedding_learning_rate
        check(rate is None or rate > 0, "embedding_learning_rate", "above 0")
        for name in ("weight_decay", "clip", "eval_every", "sample_every", "checkpoint_every", "seed"):
            check(getattr(self, name) >= 0, name, "0 or more")
        for name in ("beta1", "beta2", "momentum", "warmup", "decay"):
            check(0 <= getattr(self, name) < 1, name, "from 0 to below 1")
        check(0 <= self.final <= 1, "final", "from 0 to 1")
        for name in ("steps", "epochs", "seconds"):
            check(getattr(self, name) is None or getattr(self, name) > 0, name, "above 0")

    @property
    def betas(self) -> tuple[float, float]:
        return self.beta1, self.beta2


def schedule(progress: float, settings: TrainingSettings) -> float:
    """The learning rate as a share of its highest, when the share `progress` of the run has passed.

    >>> [round(schedule(p, TrainingSettings(warmup=0.1, final=0)), 2) for p in (0.05, 0.1, 0.55, 1)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if progress < settings.warmup:
        return progress / settings.warmup
    left = (1 - min(progress, 1)) / (1 - settings.warmup)  # 1 after the warm-up, 0 at the end
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "wsd":  # warm-up, stable, decay (Hu et al. 2024, section 4)
        left = min(1.0, (1 - min(progress, 1)) / settings.decay) if settings.decay else 1.0
    elif settings.schedule == "cosine":
        left = (1 - math.cos(math.pi * left)) / 2
    return settings.final + (1 - settings.final) * left


def share_passed(settings: TrainingSettings, step: int, seconds: float, step_seconds: float, epochs: float) -> float:
    """The share of a run that has passed when step `step` is over: never 0, and 1 only after the end.

    Args:
        seconds: until the end of that step, which takes `step_seconds`.
    """
    shares = []
    if settings.steps:
        shares.append(step / (settings.steps + 1))
    if settings.seconds:
        shares.append(seconds / (settings.seconds + step_seconds))
    if settings.epochs:
        shares.append(min(epochs / settings.epochs, 1.0))
    return max(shares)


def is_over(settings: TrainingSettings, step: int, seconds: float, epochs: float) -> bool:
    """Whether a run has reached one of its lengths."""
    return bool(
        (settings.steps and step >= settings.steps)
        or (settings.seconds and seconds >= settings.seconds)
        or (settings.epochs and epochs >= settings.epochs)
    )
