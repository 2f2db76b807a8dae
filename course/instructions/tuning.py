"""Supervised fine-tuning: a storyteller learns to keep orders.

What an order decides is one word in ten of a story's opening, one in fifty of the whole. A small model needs thousands
of such words before it looks back at the order at all. Four things give it these in some minutes:

- it learns from openings first, then from beginnings in which the plot shows, and last from whole conversations (that
  short texts first save time: Press et al. 2021, "Shortformer");
- a whole conversation is in every batch, at a small weight: without it the model forgets within a minute how stories
  go on;
- a word that was asked for weighs several times as much as a word that follows anyway;
- embeddings and head, which know the words already, move slowly. Adam moves a row of the head as far for a little
  gradient as for a large one, and what openings do not hold would soon never be said again.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from course.instructions.dataset import conversation
from course.instructions.judge import Kept, judge, summary
from course.instructions.reading import sentences_of
from helpers.errors import CourseError
from helpers.generation import generate_batch
from helpers.instructions import END_OF_ANSWER, add_chat_tokens, add_rows, answer_of, render, token_id
from helpers.model import GPT
from helpers.optimizers import build_optimizer, set_learning_rates
from helpers.settings import OptimizerConfig
from helpers.tokenizer import Tokenizer

LONGEST_ANSWER = 260  # tokens; the longest of the bundled validation stories has 258
WARMUP = 10  # steps in which learning rates rise
DECAY = 0.4  # of all steps, those at the end in which they fall
ASKED = 5.0  # how much a word that was asked for weighs; other words of answers weigh 1
DENSE = 3  # demands of an order whose story is cut: fewer teach less in as many tokens


class Part(NamedTuple):
    """Of what a step reads: so many rows, of stories cut after so many sentences (None: of whole conversations)."""

    sentences: int | None
    rows: int
    weight: float = 1.0  # of this part's mean loss, in the step's
    asks: str | None = None  # only orders that ask for this fact, or "question": conversations with a question


class Stage(NamedTuple):
    """So many steps, each of which reads these parts."""

    steps: int
    parts: tuple[Part, ...]


# With all that is measured about seven minutes of a busy core. Recorded: python -m course listening tuning
STAGES = (
    Stage(240, (Part(1, 16), Part(None, 1, 0.2))),
    Stage(800, (Part(3, 16, asks="plot"), Part(None, 1, 0.2))),
    Stage(300, (Part(None, 5), Part(None, 3, 0.5, asks="ending"), Part(None, 3, asks="question"))),
)
OPTIMIZER = OptimizerConfig(kind="muon", lr=0.02, embedding_lr=0.003, weight_decay=0.0)


def listener_of(model: GPT, tokenizer: Tokenizer) -> tuple[GPT, Tokenizer]:
    """A copy of a storyteller that has the chat's tokens, and its tokenizer; it knows nothing yet of either."""
    tokenizer = add_chat_tokens(tokenizer)
    return add_rows(model, max(model.config.vocab_size, len(tokenizer))), tokenizer


class Example(NamedTuple):
    """A conversation, or its beginning: `ids`, and what each token weighs in the loss; 0 is not learned."""

    ids: list[int]
    weights: list[float]


def example(
    tokenizer: Tokenizer, row: dict, sentences: int | None = None, *, masked: bool = True, asked: float = ASKED
) -> Example:
    """A row of the set, as `dataset.load` gives them: its story cut after so many sentences, or the whole conversation.

    Args:
        masked: whether only answers are learned; else orders and questions weigh as much.
        asked: the weight of the words that the order asks for, where the story says them first.
    """
    pieces = [border + said for border, said in sentences_of(row["text"])]
    told = "".join(pieces[:sentences])
    if sentences is not None:
        row = row | {"question": None}
    ids, mask = render(tokenizer, conversation(row, told))
    weights = [float(learned or not masked) for learned in mask]
    first = mask.index(True)  # of the story
    spans = [
        found.span()
        for value in row["demands"].values()  # a plot and an ending are no words of the story
        if (found := re.search(rf" ?\b{re.escape(value)}\b", told))
    ]
    if "ending" in row["demands"] and sentences is None:  # its last sentence
        spans.append((len("".join(pieces[:-1])), len(told)))
    for span in spans:
        start, stop = (first + len(tokenizer.encode(told[:place])) for place in span)
        weights[start:stop] = [asked] * (stop - start)
    if row["question"]:  # few words, and all of them asked for
        answer = len(tokenizer.encode(row["answer"])) + 1  # with its end
        weights[-answer:] = [asked] * answer
    if sentences is not None:  # a story that is cut does not end
        ids, weights = ids[:-1], weights[:-1]
    return Example(ids, weights)


def as_batch(examples: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """What the model reads, what should follow each token, and what that weighs; (B, T) each, padded with 0."""
    ids = pad_sequence([torch.tensor(each.ids) for each in examples], batch_first=True)
    weights = pad_sequence([torch.tensor(each.weights) for each in examples], batch_first=True)
    return ids[:, :-1], ids[:, 1:], weights[:, 1:]


def weighted_loss(model: GPT, ids: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of -log p(target). The head reads only what is learned, which saves a third of its work."""
    learned = weights > 0
    logits = model.head(model.hidden(ids)[learned])  # (tokens learned, V)
    losses = F.cross_entropy(logits, targets[learned], reduction="none")
    return (losses * weights[learned]).sum() / weights.sum()


def tune(
    model: GPT,
    tokenizer: Tokenizer,
    rows: Sequence[dict],
    stages: Sequence[Stage] = STAGES,
    *,
    optimizer: OptimizerConfig = OPTIMIZER,
    masked: bool = True,
    asked: float = ASKED,
    seed: int = 0,
    each: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train a model (in place) on conversations. The learning rates rise in a few steps, stay, and fall linearly to 0.

    Of cut stories only those are read whose orders have at least `DENSE` demands.

    Args:
        model, tokenizer: those of `listener_of`.
        rows: of the split "train".
        masked, asked: what is learned, and how much words that were asked for weigh; see `example`.
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
        batches = [
            _endless(examples_of(part, model, tokenizer, rows, masked, asked), part.rows, generator)
            for part in stage.parts
        ]
        shares = [part.weight / sum(part.weight for part in stage.parts) for part in stage.parts]
        for _ in range(stage.steps):
            loss = sum(share * weighted_loss(model, *next(read)) for share, read in zip(shares, batches, strict=True))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            set_learning_rates(optimizers, min((len(losses) + 1) / WARMUP, 1, (1 - len(losses) / total) / DECAY))
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


def examples_of(
    part: Part, model: GPT, tokenizer: Tokenizer, rows: Sequence[dict], masked: bool = True, asked: float = ASKED
) -> list[Example]:
    """All that a part can read of these rows.

    Raises:
        CourseError: nothing is left of them.
    """
    fewest = 1 if part.sentences is None else DENSE
    chosen = [row for row in rows if len(row["demands"]) >= fewest and part.asks in (None, *_asked_for(row))]
    made = [example(tokenizer, row, part.sentences, masked=masked, asked=asked) for row in chosen]
    fits = [each for each in made if len(each.ids) <= model.config.context_length + 1]  # the last is only predicted
    if not fits:
        said = "every conversation is longer than the model's context, or asks for too little"
        raise CourseError(f"there is nothing to learn from: {said}")
    return fits


def _asked_for(row: dict) -> tuple[str, ...]:
    """What a part can ask for and finds in this row."""
    return (*row["demands"], *(["question"] if row["question"] else []))


def _endless(examples: Sequence[Example], count: int, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
    """Batches of so many examples, going through all of them again and again, each time in another order."""
    while True:
        order = torch.randperm(len(examples), generator=generator).tolist()
        for first in range(0, len(order), count):
            yield as_batch([examples[number] for number in order[first : first + count]])


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


def told(model: GPT, tokenizer: Tokenizer, rows: Sequence[dict], *, seed: int = 0, **options) -> list[str]:
    """A story of the model for the order of each row."""
    asked = [[{"role": "user", "content": row["order"]}] for row in rows]
    return answers(model, tokenizer, asked, seed=seed, **options)


def orders_kept(model: GPT, tokenizer: Tokenizer, rows: Sequence[dict], *, seed: int = 0, **options) -> Kept:
    """How well the model keeps the orders of these rows, one story each, by the exact judge."""
    return kept(rows, told(model, tokenizer, rows, seed=seed, **options))


def kept(rows: Sequence[dict], stories: Sequence[str]) -> Kept:
    """How well these stories keep the orders of these rows."""
    return summary([judge(row["demands"], story) for row, story in zip(rows, stories, strict=True)])


def questions_answered(model: GPT, tokenizer: Tokenizer, rows: Sequence[dict]) -> float:
    """The share of questions that the model answers to the letter, each after its story, with its likeliest words."""
    asked = [conversation(row, row["text"])[:3] for row in rows]
    said = answers(model, tokenizer, asked, greedy=True, max_new_tokens=12)
    return sum(answer == row["answer"] for answer, row in zip(said, rows, strict=True)) / len(rows)
