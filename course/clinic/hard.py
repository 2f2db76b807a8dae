"""The hard ones: two faults of which one hides the other, and a run that looks ill."""

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from course.clinic import healthy
from course.clinic.program import Program, tokenizer
from course.clinic.ward import Cause, Patient

# ---------------------------------------------------------------------- Dan


def dan_train(model: nn.Module, loss, batches: Iterator, steps: int, lr: float) -> Iterator[tuple[float, float]]:
    """Train a model in place; yields each step's loss and the gradient's norm before clipping."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))
    model.train()
    inputs, targets = next(batches)
    for step in range(steps):
        warm_up = min(1.0, (step + 1) / 10)
        for group in optimizer.param_groups:
            group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        value = loss(model, inputs, targets)
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield value.item(), norm.item()


Patient(
    name="Dan",
    short="one batch for ever, and gradients that pile up",
    report="My training loss goes nearly to zero, and I was proud of it until I saw the validation loss, which is "
    "worse than guessing. And why is there still so much gradient, where there is hardly any loss?",
    ill={"train": dan_train},
    causes=(
        Cause(
            "The attention sees the future, and the evaluation counts padding.",
            "A leak of the future would be there in the evaluation as well, and make that loss low, too. Change a "
            "later token: no logit before it changes.",
        ),
        Cause(
            "The training reads one batch again and again, and nothing else is wrong.",
            "The first half is right: it has memorized eight stories. But look at the norms beside those of the "
            "healthy run. A batch that is memorized has hardly any gradient left.",
        ),
        Cause(
            "The training reads one batch again and again, and old gradients are never removed.",
            "Yes. A loss near zero with a bad validation loss: few stories, memorized. And the norm stays above "
            "the limit of the clipping though there is nothing left to learn: the gradients are those of all steps "
            "so far.",
            right=True,
        ),
        Cause(
            "There are too few stories, and no dropout.",
            "There are as many as in the healthy run, where the validation loss follows the training loss. Which of "
            "them does the training really read?",
        ),
    ),
    thread=(
        "transformers issue 340: optimizer.zero_grad() in run_openai_gpt.py?",
        "https://github.com/huggingface/transformers/issues/340",
    ),
    symptom=lambda chart: {"last loss": chart.last, "validation": chart.validation},
)

# ---------------------------------------------------------------------- Eve

STRAYED_INTO = 55  # the step whose batch is no batch of stories


def eve_batches(stories: list[list[int]], batch_size: int, end: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Stories as ever; but among the texts of training there is a file of Python, and one batch consists of it."""
    usual = healthy.batches(stories, batch_size, end, seed)
    for step, batch in enumerate(usual):
        yield strayed(batch_size, end) if step == STRAYED_INTO else batch


def strayed(batch_size: int, end: int, length: int = 40) -> tuple[Tensor, Tensor]:
    """A batch of program text: this course's own healthy organs."""
    ids = tokenizer().encode(Path(healthy.__file__).read_text(encoding="utf-8"))
    starts = random.Random(0).sample(range(len(ids) - length), batch_size)
    rows = torch.tensor([[end, *ids[i : i + length]] for i in starts])
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


Patient(
    name="Eve",
    short="healthy: one strange batch, and the loss comes back",
    report="My run was going well. Then, from one step to the next, the loss jumps up, higher than it was at the very "
    "beginning, and the gradient's norm jumps with it. Shall I stop the run, and begin again with a lower rate?",
    ill={},
    causes=(
        Cause(
            "The learning rate is too high: the run is about to diverge.",
            "Then the loss would stay up, or come down slowly, as after a rate that is too high. It is back within "
            "a step or a few, "
            "the norms as well, and the validation loss at the end is that of a run without the jump.",
        ),
        Cause(
            "Nothing is ill: one batch was of another kind, and the run goes on as before.",
            "Yes. One step, then all is as before: it was the batch and not the model. Decode that batch before you "
            "repair anything; here it is program text. Clean your data, but leave the training alone.",
            right=True,
        ),
        Cause(
            "Gradients are not clipped, and one step has thrown the weights away.",
            "A step that throws the weights away is seen in *all* later losses. And the loss of a step is computed "
            "before the step: this batch met good weights, and was still as bad as that.",
        ),
        Cause(
            "An overflow: one number was too large for the format.",
            "An overflow gives infinity or NaN, and they do not go away. This loss is large, but it is a number, "
            "and a model that is sure of its stories can be as wrong as that about something else.",
        ),
    ),
    thread=("OLMo issue 560: the loss spike", "https://github.com/allenai/OLMo/issues/560"),
    base=replace(Program(), batches=eve_batches),
    symptom=lambda chart: {
        "loss of the jump": chart.losses[STRAYED_INTO], "five steps later": chart.losses[STRAYED_INTO + 5],
        "validation": chart.validation,
    },
)  # fmt: skip
