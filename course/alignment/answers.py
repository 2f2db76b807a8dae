"""Answers to orders: sampled in batches, judged, and laid side by side as ids with a mask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from helpers.errors import CourseError
from helpers.evaluation import padded
from helpers.generation import generate_batch

Judge = Callable[[Any, str], float]  # from an order and the text of an answer to how good it is


@dataclass(frozen=True)
class Task:
    """What a model is asked for, in its own tokens, and how its answers are judged."""

    prompt: Callable[[Any], Sequence[int]]  # what the model reads of an order
    decode: Callable[[Sequence[int]], str]  # the text of an answer's tokens, without `stop`
    stop: int  # the token that ends an answer
    reward: Judge  # what is made larger
    watch: dict[str, Judge] = field(default_factory=dict)  # what else is recorded, and has no part in the training


class Answers(NamedTuple):
    """A batch of B answers."""

    ids: Tensor  # prompts with answers, (B, T)
    mask: Tensor  # which of these tokens were the model's own, the one that ends an answer among them, (B, T)
    texts: list[str]
    ended: Tensor  # whether an answer ended by itself, (B,)


def side_by_side(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], device="cpu"):
    """Ids and mask, (B, T) each, of prompts with an answer each: what `helpers.alignment` reads."""
    ids, real = padded([[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)], device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    return ids, real & (torch.arange(ids.shape[1], device=device) >= lengths[:, None])


def sample_answers(
    model, task: Task, orders: Sequence, *, seed: int | None = None, max_new_tokens: int | None = None, **options
) -> Answers:
    """One answer of the model to each order.

    Args:
        seed: that of the first answer; the next has the next one.
        max_new_tokens: where an answer is cut off; None: where the context ends.
        options: those of `helpers.generation.generate_batch`, such as `temperature`, `greedy`. What learns from its
            own answers needs temperature 1 and no other: the log-probabilities are those of just that.
    """
    prompts = [list(task.prompt(order)) for order in orders]
    room = model.config.context_length - max(map(len, prompts), default=0)
    if room < 1:
        raise CourseError(f"a prompt fills the context of {model.config.context_length} tokens: shorten the order")
    room = room if max_new_tokens is None else min(room, max_new_tokens)
    new = generate_batch(model, prompts, room, seed=seed, eos_token_id=task.stop, **options)
    ended = torch.tensor([len(tokens) < room for tokens in new])
    whole = [[*tokens, task.stop] if len(tokens) < room else tokens for tokens in new]
    ids, mask = side_by_side(prompts, whole, next(model.parameters()).device)
    return Answers(ids, mask, [task.decode(tokens) for tokens in new], ended)


def judged(judge: Judge, orders: Sequence, texts: Sequence[str]) -> Tensor:
    """What a judge says of each answer, (B,)."""
    values = torch.tensor([float(judge(order, text)) for order, text in zip(orders, texts, strict=True)])
    if not values.isfinite().all():
        raise CourseError("a judge must give a number for every answer, also for one that is empty or makes no sense")
    return values


def average(model, task: Task, orders: Sequence, *, seed: int = 0, batch: int = 64, **options) -> dict[str, float]:
    """The mean reward, and the mean of what is watched, of one answer to each order."""
    judges, said = {"reward": task.reward, **task.watch}, []
    for start in range(0, len(orders), batch):
        some = orders[start : start + batch]
        said += sample_answers(model, task, some, seed=seed + start, **options).texts
    return {name: judged(judge, orders, said).mean().item() for name, judge in judges.items()}
