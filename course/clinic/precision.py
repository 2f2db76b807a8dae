"""A patient in half precision."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from course.clinic.healthier import train_in_half
from course.clinic.program import Program
from course.clinic.ward import Cause, Patient

# ---------------------------------------------------------------------- Tom


def tom_train(model: nn.Module, loss, batches: Iterator, steps: int, lr: float) -> Iterator[tuple[float, float]]:
    """Train in float16 with a scaled loss; yields each step's loss and the gradient's norm before clipping."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    model.train()
    for step in range(steps):
        warm_up = min(1.0, (step + 1) / 10)
        for group in optimizer.param_groups:
            group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        inputs, targets = next(batches)
        with torch.autocast("cpu", dtype=torch.float16):
            value = loss(model, inputs, targets)
        optimizer.zero_grad()
        scaler.scale(value).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        yield value.item(), norm.item()


Patient(
    name="Tom",
    short="gradients clipped before they are unscaled",
    report="In float32 the program learns well. I have moved it to float16, with a scaler as the manual says, and "
    "now it "
    "learns more slowly, for no reason that I can see. There is no infinity and no NaN anywhere. The norms that I log "
    "are enormous from the first step on, so I am glad that I clip.",
    ill={"train": tom_train},
    causes=(
        Cause(
            "The gradients explode: the learning rate is too high.",
            "Norms that explode grow. These are enormous at the first step already, before the rate has done anything, "
            "and the loss falls smoothly, only too slowly.",
        ),
        Cause(
            "In float16 the gradients become zero, since they are too small.",
            "That is what the scaler prevents, and it would show as norms that are too small. These are too large, by "
            "a factor that looks like a power of two.",
        ),
        Cause(
            "Float16 is too coarse for so small a model.",
            "With its three digits the forward pass is good enough: the healthy run beside it is in float16, too.",
        ),
        Cause(
            "It clips the scaled gradients, and so shrinks them to nearly nothing.",
            "Yes. The norm is that of gradients times 65,536. Clipped to 1 and then divided by that factor, they "
            "are so "
            "small that AdamW's epsilon, which it adds below the fraction line, is no longer small beside them.",
            right=True,
        ),
    ),
    thread=(
        "Lightning issue 9694: grad clipping with native amp occurs while grads are scaled",
        "https://github.com/Lightning-AI/pytorch-lightning/issues/9694",
    ),
    base=replace(Program(), train=train_in_half, batch_size=4, steps=80, lr=4e-3),
    symptom=lambda chart: {"last loss": chart.last, "largest norm": max(chart.norms)},
)
