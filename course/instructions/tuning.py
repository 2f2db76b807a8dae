"""Supervised fine-tuning: a storyteller learns to keep orders.

What an order decides stands in a story's first sentences: one word in ten of the opening, one in fifty of the whole. A
small model needs thousands of such words before it looks back at the order at all, so it learns first from openings,
then from beginnings that name the friend and what happens, and last from whole conversations. A few whole ones are in
every batch: without them it forgets within minutes how stories go on. (That short texts first save time: Press et al.
2021, "Shortformer".)
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from course.instructions.dataset import conversation
from course.instructions.judge import Kept, judge, summary
from course.instructions.reading import sentences_of
from helpers.errors import CourseError
from helpers.generation import generate_batch
from helpers.instructions import (
    END_OF_ANSWER,
    Rendered,
    add_chat_tokens,
    add_rows,
    answer_of,
    batches,
    pack,
    render,
    token_id,
)
from helpers.model import GPT
from helpers.optimizers import build_optimizer, set_learning_rates
from helpers.settings import OptimizerConfig
from helpers.tokenizer import Tokenizer

LONGEST_ANSWER = 260  # tokens; the longest of the bundled validation stories has 258
WARMUP = 10  # steps


class Part(NamedTuple):
    """Of what a step reads: so many rows, of stories cut after so many sentences (None: of whole conversations)."""

    sentences: int | None
    rows: int


class Stage(NamedTuple):
    """So many steps, each of which reads these parts; every part's mean loss weighs the same."""

    steps: int
    parts: tuple[Part, ...]


# Not settled: these keep a storyteller's stories whole, and leave traits, kinds, friends and plots mostly unheard.
STAGES = (
    Stage(250, (Part(1, 12), Part(None, 2))),
    Stage(350, (Part(4, 6), Part(None, 3))),
    Stage(150, (Part(None, 8),)),
)
DENSE = 3  # demands of an order whose story is cut: fewer teach less in as many tokens
OPTIMIZER = OptimizerConfig(kind="muon", lr=0.02, embedding_lr=0.02, weight_decay=0.0)


def listener_of(model: GPT, tokenizer: Tokenizer) -> tuple[GPT, Tokenizer]:
    """A copy of a storyteller that has the chat's tokens, and its tokenizer; it knows nothing yet of either."""
    tokenizer = add_chat_tokens(tokenizer)
    return add_rows(model, max(model.config.vocab_size, len(tokenizer))), tokenizer


def rows_of(
    tokenizer: Tokenizer, rows: Sequence[dict], context_length: int, sentences: int | None = None
) -> list[Rendered]:
    """Rows of the set, as `dataset.load` gives them, as tokens: cut after so many sentences of the story, or whole.

    What is whole is packed into rows that fit the context; what is cut is short, and stays a row each.
    """
    if sentences is None:
        whole = [render(tokenizer, conversation(row, row["text"])) for row in rows]
        return pack(whole, context_length + 1)  # one more than is read: the last token is only predicted
    made = []
    for row in rows:
        prompt = render(tokenizer, [{"role": "user", "content": row["order"]}])
        told = tokenizer.encode("".join(border + said for border, said in sentences_of(row["text"])[:sentences]))
        made.append(Rendered(prompt.ids + told, prompt.mask + [True] * len(told)))
    return made


def tune(
    model: GPT,
    tokenizer: Tokenizer,
    rows: Sequence[dict],
    stages: Sequence[Stage] = STAGES,
    *,
    optimizer: OptimizerConfig = OPTIMIZER,
    masked: bool = True,
    seed: int = 0,
    each: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train a model (in place) on conversations; the learning rate rises in a few steps and falls linearly to 0.

    Of cut stories only those are read whose orders have at least `DENSE` demands.

    Args:
        model, tokenizer: those of `listener_of`.
        rows: of the split "train".
        masked: whether only answers are learned, or orders as well.
        each: called after each step with its number and loss.

    Returns:
        The loss of every step, in nats per token learned.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizers, losses = build_optimizer(model, optimizer), []
    total = sum(stage.steps for stage in stages)
    was_training = model.training
    model.train()
    for stage in stages:
        parts = [_endless(model, tokenizer, rows, part, generator, masked) for part in stage.parts]
        for _ in range(stage.steps):
            loss = sum(model.loss(*next(part)) for part in parts) / len(parts)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            set_learning_rates(optimizers, min((len(losses) + 1) / WARMUP, 1 - len(losses) / total))
            for each_optimizer in optimizers:
                each_optimizer.step()
                each_optimizer.zero_grad()
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise CourseError(f"the loss became {losses[-1]} at step {len(losses)}: try a lower learning rate")
            if each is not None:
                each(len(losses), losses[-1])
    model.train(was_training)
    return losses


def _endless(model: GPT, tokenizer: Tokenizer, rows: Sequence[dict], part: Part, generator, masked: bool):
    """Batches of a part, going through its rows again and again."""
    dense = [row for row in rows if part.sentences is None or len(row["demands"]) >= DENSE]
    ready = rows_of(tokenizer, dense, model.config.context_length, part.sentences)
    if not ready:
        said = "every conversation is longer than the model's context, or asks for too little"
        raise CourseError(f"there is nothing to learn from: {said}")
    while True:
        yield from batches(ready, part.rows, generator, masked)


# ---------------------------------------------------------------------- asking


def answers(
    model: GPT,
    tokenizer: Tokenizer,
    conversations: Sequence[Sequence[dict]],
    *,
    seed: int = 0,
    at_once: int = 64,
    **options,
) -> list[str]:
    """What the model says to each conversation, which ends with a user's message; `options` are those of `generate`."""
    prompts = [render(tokenizer, messages).ids for messages in conversations]
    options = {"max_new_tokens": LONGEST_ANSWER} | options
    said = []
    for first in range(0, len(prompts), at_once):
        said += generate_batch(
            model,
            prompts[first : first + at_once],
            seed=seed + first,
            eos_token_id=token_id(tokenizer, END_OF_ANSWER),
            **options,
        )
    return [answer_of(tokenizer, ids) for ids in said]


def orders_kept(model: GPT, tokenizer: Tokenizer, rows: Sequence[dict], *, seed: int = 0, **options) -> Kept:
    """How well the model keeps the orders of these rows, one story each, by the exact judge."""
    asked = [[{"role": "user", "content": row["order"]}] for row in rows]
    told = answers(model, tokenizer, asked, seed=seed, **options)
    return summary([judge(row["demands"], story) for row, story in zip(rows, told, strict=True)])


def questions_answered(model: GPT, tokenizer: Tokenizer, rows: Sequence[dict]) -> float:
    """The share of questions that the model answers to the letter, each after its story, with its likeliest words."""
    asked = [conversation(row, row["text"])[:3] for row in rows]
    said = answers(model, tokenizer, asked, greedy=True, max_new_tokens=12)
    return sum(answer == row["answer"] for answer, row in zip(said, rows, strict=True)) / len(rows)
