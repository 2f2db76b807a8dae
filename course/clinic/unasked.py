"""A patient whose loss divides by nothing: a row of which nothing is asked makes one step, and then everything, NaN.

Its owner trains on answers alone, and counts every row the same; so the healthy organs of such a program stand here.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.clinic import healthy
from course.clinic.program import Chart, Program, openings, tokenizer
from course.clinic.ward import Cause, Patient

EVERY, AT = 80, 76  # of so many training stories one has no full stop, and which: the run falls ill after a while


@lru_cache(maxsize=1)
def stops() -> Tensor:
    """The ids of the tokens with which a sentence ends."""
    few = tokenizer()
    return torch.tensor([i for i in range(few.vocab_size) if few.decode([i]).endswith((".", "!", "?"))])


def continuations(stories: list[list[int]], batch_size: int, end: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(inputs, targets) without end, (batch_size, time) each: only what follows a story's first sentence is asked for.

    Of a story in which no sentence ends nothing is asked.
    """
    for inputs, targets in healthy.batches(stories, batch_size, end, seed):
        ends = torch.isin(targets, stops()).long()
        given = ends.cumsum(dim=1) - ends == 0  # no sentence has ended before
        yield inputs, targets.masked_fill(given, -100)


def abe_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Each row that is asked anything counts the same: the mean of these rows' own means, in nats; 0 if there is none.

    A target of -100 is not asked for.
    """
    asked = (targets != -100).float()  # (B, T)
    each = F.cross_entropy(model(inputs).transpose(1, 2), targets.clamp(min=0), reduction="none")  # (B, T)
    rows = (each * asked).sum(dim=1) / asked.sum(dim=1)  # (B,)
    return rows.mean()


def loss_by_rows(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Each row that is asked anything counts the same: the mean of these rows' own means, in nats; 0 if there is none.

    A target of -100 is not asked for.
    """
    asked = (targets != -100).float()  # (B, T)
    each = F.cross_entropy(model(inputs).transpose(1, 2), targets.clamp(min=0), reduction="none")  # (B, T)
    rows = (each * asked).sum(dim=1) / asked.sum(dim=1).clamp(min=1)  # (B,)
    return rows.sum() / asked.any(dim=1).sum().clamp(min=1)


@torch.no_grad()
def evaluate_tokens(model: nn.Module, loss, batches: Iterator, count: int = 8) -> float:
    """The mean loss per token over `count` batches of validation stories, whatever counts the same in training."""
    model.eval()
    total = tokens = 0
    for _ in range(count):
        inputs, targets = next(batches)
        total += F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="sum").item()
        tokens += int((targets != -100).sum())
    return total / tokens


def _some_without_a_stop() -> tuple:
    """The openings of stories; here and there one was written without a full stop."""
    ends = set(stops().tolist())
    return tuple(
        tuple(token for token in ids if i % EVERY != AT or token not in ends) for i, ids in enumerate(openings("train"))
    )


def symptom(chart: Chart) -> dict[str, float]:
    """How many steps have a loss that is a number, and the losses at the end."""
    return {
        "steps with a finite loss": sum(map(math.isfinite, chart.losses)),
        "loss of the last ten": chart.last,
        "validation loss": chart.validation,
    }


Patient(
    name="Abe",
    short="a row without anything asked: 0 divided by 0",
    report="I train as one does on answers: the first sentence of a story is given, and only what follows it is asked "
    "for. Each story counts the same, long or short. It begins well. Then, from one step to the next, the loss is "
    "nan, and nan it stays. I have tried a tenth of the learning rate: nan at the very same step.",
    ill={"loss": abe_loss},
    base=Program(batches=continuations, loss=loss_by_rows, evaluate=evaluate_tokens, training=_some_without_a_stop()),
    symptom=symptom,
    thread=(
        "FederatedScope pull request 625: fix NaN in LLM train",
        "https://github.com/alibaba/FederatedScope/pull/625",
    ),
    causes=(
        Cause(
            "The learning rate is too high: the run diverges.",
            "A run that diverges is seen to do so: for some steps the loss climbs, and the norms with it. Here both "
            "are quiet until the very last. And a tenth of the rate would have put it off, not left it at its step.",
        ),
        Cause(
            "A number has become too large: it overflows, as in float16.",
            "Everything here is float32, which goes far beyond anything seen in this run. And with the weights from "
            "before the first bad step, no module gives an infinity, on that very batch: nothing has overflowed.",
        ),
        Cause(
            "The model gave a right token a probability of 0, and the logarithm of 0 is no number.",
            "cross_entropy takes no logarithm of a probability: it subtracts logits, and as long as these are finite, "
            "so is what it gives. They were. It would also need a model so sure, and this one is far from it.",
        ),
        Cause(
            "In some batch there is a row in which no target is asked for, and its mean is 0 divided by 0.",
            "Right. Before that step the weights are finite, and so are all values in the model, with that batch "
            "too: so it begins behind the logits. The batch decides, whatever the rate. And one row is enough: the "
            "mean over the rows is nan, so is the gradient, and a step later every weight.",
            right=True,
        ),
    ),
)
