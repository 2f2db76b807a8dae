"""Learning from pairs of answers, of which one is better: direct preference optimization, and a reward model.

Rafailov et al. 2023, "Direct Preference Optimization", and Ouyang et al. 2022 (InstructGPT), section 3.5. Both see the
same pairs and have the same loss. DPO moves the policy itself, a reward model learns to say which answer is better.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from course.alignment.answers import Task, judged, sample_answers, side_by_side
from helpers.alignment import RewardModel, dpo_loss, pair_loss, sequence_logprobs
from helpers.errors import CourseError, NotANumber
from helpers.evaluation import evaluating
from helpers.optimizers import build_optimizer, set_learning_rates
from helpers.settings import OptimizerConfig


class Pair(NamedTuple):
    """Two answers to the same prompt, as ids; an answer that ended has its end among them."""

    prompt: list[int]
    better: list[int]
    worse: list[int]


@dataclass(frozen=True)
class PairSettings:
    """How something learns from pairs."""

    epochs: int = 1  # passes over the pairs
    batch: int = 16  # pairs in a step
    lr: float = 3e-4
    kind: str = "adamw"  # or "muon"
    beta: float = 0.1  # DPO: the smaller, the further from the reference
    seed: int = 0  # of the order of the pairs

    def __post_init__(self):
        if min(self.epochs, self.batch) < 1:
            raise CourseError("epochs and batch are 1 or more")


def make_pairs(model, task: Task, orders: Sequence, group: int = 4, *, seed: int = 0, batch: int = 64) -> list[Pair]:
    """The best and the worst of several answers to each order; orders whose answers are all as good give no pair."""
    pairs = []
    at_once = max(1, batch // group)
    for start in range(0, len(orders), at_once):
        asked = [order for order in orders[start : start + at_once] for _ in range(group)]
        answers = sample_answers(model, task, asked, seed=seed + start * group)
        rewards = judged(task.reward, asked, answers.texts).view(-1, group)
        best, worst = rewards.argmax(dim=1).tolist(), rewards.argmin(dim=1).tolist()
        for number in (rewards.amax(dim=1) > rewards.amin(dim=1)).nonzero().flatten().tolist():
            first = number * group  # of the answers of this group
            chosen = (first + best[number], first + worst[number])
            rows = [answers.ids[row][answers.mask[row]].tolist() for row in chosen]
            pairs.append(Pair(list(task.prompt(asked[first])), *rows))
    return pairs


def rows_of(pairs: Sequence[Pair], device="cpu") -> tuple[Tensor, Tensor]:
    """Ids and mask, (2 B, T): first all better answers, then all worse ones."""
    prompts = [pair.prompt for pair in pairs] * 2
    return side_by_side(prompts, [pair.better for pair in pairs] + [pair.worse for pair in pairs], device)


def dpo(policy, pairs: Sequence[Pair], settings: PairSettings | None = None, reference=None) -> Iterator[dict]:
    """Train `policy` in place on pairs, a step for each record that is asked for.

    Args:
        reference: what the policy is kept near to; None: the policy as it is now, read once beforehand.

    Yields:
        A record of each step, before it is made: "loss", "right" (fraction of pairs whose better answer has the larger
        implicit reward), "margin" (by how much, in nats: beta is not in it), and by how much the log-probability of the
        answers has changed: "better", "worse".
    """
    settings = settings or PairSettings()
    if not pairs:
        raise CourseError("there are no pairs to learn from")
    known = _logprobs(policy if reference is None else reference, pairs)  # (pairs, 2)

    def loss_of(numbers: list[int]) -> tuple[Tensor, dict]:
        ids, mask = rows_of([pairs[number] for number in numbers], known.device)
        better, worse = sequence_logprobs(policy, ids, mask).chunk(2)
        then_better, then_worse = known[numbers].T
        changes = better.detach() - then_better, worse.detach() - then_worse
        record = _margins(changes[0] - changes[1]) | dict(zip(("better", "worse"), _means(changes), strict=True))
        return dpo_loss(better, worse, then_better, then_worse, settings.beta), record

    return _learn(policy, len(pairs), settings, loss_of)


def reward_model(judge: RewardModel, pairs: Sequence[Pair], settings: PairSettings | None = None) -> Iterator[dict]:
    """Train a reward model in place on pairs, a step for each record: "loss", "right", "margin", before the step."""
    settings = settings or PairSettings()
    if not pairs:
        raise CourseError("there are no pairs to learn from")
    if settings.kind != "adamw":
        raise CourseError("a reward model learns by AdamW: Muon knows a storyteller's matrices by their names alone")
    device = judge.score.weight.device

    def loss_of(numbers: list[int]) -> tuple[Tensor, dict]:
        better, worse = judge(*rows_of([pairs[number] for number in numbers], device)).chunk(2)
        return pair_loss(better, worse), _margins((better - worse).detach())

    return _learn(judge, len(pairs), settings, loss_of)


def margins(judge: RewardModel, pairs: Sequence[Pair], batch: int = 64) -> Tensor:
    """By how much a reward model puts the better answer of each pair above the worse one, (pairs,)."""
    with torch.no_grad(), evaluating(judge):
        some = (pairs[start : start + batch] for start in range(0, len(pairs), batch))
        both = [judge(*rows_of(each, judge.score.weight.device)).chunk(2) for each in some]
    return torch.cat([better - worse for better, worse in both])


def calibration(margins: Tensor, bins: int = 5) -> list[tuple[float, float, int]]:
    """How sure a judge is of its verdicts, and how often they are right: (mean probability, fraction right, pairs).

    A verdict's probability is sigmoid(|margin|), from a half to one, in bins of equal width; empty bins are left out.
    """
    sure = margins.abs().sigmoid()  # (pairs,)
    place = ((sure - 0.5) * 2 * bins).long().clamp(max=bins - 1)
    found = ((sure[place == number], margins[place == number] > 0) for number in range(bins))
    return [(p.mean().item(), right.float().mean().item(), len(p)) for p, right in found if len(p)]


def _logprobs(model, pairs: Sequence[Pair], batch: int = 32) -> Tensor:
    """log p of the better and the worse answer of each pair, (pairs, 2)."""
    device = next(model.parameters()).device
    with torch.no_grad(), evaluating(model):
        some = (rows_of(pairs[start : start + batch], device) for start in range(0, len(pairs), batch))
        return torch.cat([sequence_logprobs(model, *rows).view(2, -1).T for rows in some])


def _learn(model, count: int, settings: PairSettings, loss_of) -> Iterator[dict]:
    optimizers = build_optimizer(model, OptimizerConfig(kind=settings.kind, lr=settings.lr, weight_decay=0.0))
    parameters = [each for each in model.parameters() if each.requires_grad]
    generator = torch.Generator().manual_seed(settings.seed)
    order = [number for _ in range(settings.epochs) for number in torch.randperm(count, generator=generator).tolist()]
    batches = [order[start : start + settings.batch] for start in range(0, len(order), settings.batch)]
    with evaluating(model):  # dropout off: the reference has none either
        for step, numbers in enumerate(batches):
            loss, record = loss_of(numbers)
            if not loss.isfinite():
                raise NotANumber("the loss is no longer a number: try a lower learning rate")
            model.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            set_learning_rates(optimizers, 1 - step / len(batches))  # falls in a straight line
            for optimizer in optimizers:
                optimizer.step()
            yield {"step": step, "loss": loss.item()} | record
    model.zero_grad()


def _margins(margins: Tensor) -> dict[str, float]:
    return {"right": (margins > 0).float().mean().item(), "margin": margins.mean().item()}


def _means(values) -> list[float]:
    return [each.mean().item() for each in values]
