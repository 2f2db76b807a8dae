"""Group relative policy optimization: a model answers each order several times, and the better answers become likelier.

Shao et al. 2024, "DeepSeekMath", section 4.1. In each step a group of answers to each of some orders is sampled with
the course's cache and judged; an answer is compared with its group, so no second network has to foresee rewards.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.distributions import Categorical

from course.alignment.answers import Task, judged, sample_answers
from helpers.alignment import (
    advantages,
    answer_logits,
    answers_mean,
    chosen_logprobs,
    grpo_loss,
    kl_estimates,
    token_logprobs,
)
from helpers.errors import CourseError, NotANumber
from helpers.evaluation import evaluating
from helpers.optimizers import build_optimizer, set_learning_rates
from helpers.settings import OptimizerConfig


@dataclass(frozen=True)
class GRPOSettings:
    """How a policy learns from its own answers."""

    steps: int = 60  # times that answers are sampled
    orders: int = 8  # in a step
    group: int = 8  # answers to each of them
    updates: int = 2  # optimizer steps on the same answers: from the second on, the clip matters
    lr: float = 1e-3
    kind: str = "adamw"  # or "muon"
    warmup: int = 5  # steps in which the learning rate rises
    clip: float = 0.2
    beta: float = 0.04  # what a nat of divergence a token costs
    divide: bool = True  # advantages by the group's standard deviation
    per: str | float = "answer"  # see `helpers.alignment.answers_mean`
    max_new_tokens: int | None = None  # None: to the end of the context
    seed: int = 0

    def __post_init__(self):
        if min(self.steps, self.orders, self.updates) < 1 or self.group < 2:
            raise CourseError("steps, orders and updates are 1 or more, a group 2 or more")


def grpo(policy, task: Task, orders: Sequence, settings: GRPOSettings | None = None, reference=None) -> Iterator[dict]:
    """Train `policy` in place, one step for each record that is asked for: who stops asking has stopped early.

    Args:
        policy: a model; only its parameters that want a gradient are moved (LoRA's, say).
        orders: anything that the task understands; each step takes the next ones of an order that is shuffled anew
            whenever they are used up.
        reference: what the policy is kept near to; None: the policy as it is now.

    Yields:
        A record of each step, measured on its answers before anything is learned from them: "reward", each name that
        the task watches, "kl" (nats per token, k3), "kl_answer" (nats per answer, k3), "length" (tokens), "ended"
        (fraction), "entropy" (nats per token), "spread" (fraction of groups whose answers differ in reward), and of its
        last update "clipped" (fraction of tokens without a gradient because of the clip).
    """
    settings = settings or GRPOSettings()
    reference = copy.deepcopy(policy).requires_grad_(False) if reference is None else reference
    return _steps(policy, task, list(orders), settings, reference)


def _steps(policy, task, orders, settings, reference):
    optimizers = build_optimizer(policy, OptimizerConfig(kind=settings.kind, lr=settings.lr, weight_decay=0.0))
    parameters = [each for each in policy.parameters() if each.requires_grad]
    shuffled = _shuffled(orders, settings.seed)
    for step in range(settings.steps):
        asked = [order for order in (next(shuffled) for _ in range(settings.orders)) for _ in range(settings.group)]
        seed = (settings.seed * settings.steps + step) * len(asked)  # no two answers have the same
        answers = sample_answers(policy, task, asked, seed=seed, max_new_tokens=settings.max_new_tokens)
        ids, mask = answers.ids, answers.mask
        rewards = judged(task.reward, asked, answers.texts).to(ids.device)  # (orders * group,)
        groups = rewards.view(-1, settings.group)
        worth = advantages(groups, settings.divide).flatten()  # (orders * group,)
        with torch.no_grad(), evaluating(reference):
            far = token_logprobs(reference, ids, mask)
        set_learning_rates(optimizers, min(1.0, (step + 1) / max(1, settings.warmup)))
        for update in range(settings.updates):
            with evaluating(policy):  # dropout off: the ratio compares the policy with itself, not with its noise
                logits = answer_logits(policy, ids, mask)
            logprobs = chosen_logprobs(logits, ids, mask)
            if not update:  # nothing is learned yet
                old = logprobs.detach()
                k3 = kl_estimates(old, far).k3
                entropy = Categorical(logits=logits.detach(), validate_args=False).entropy().mean().item()
            loss = grpo_loss(logprobs, old, far, worth, mask, settings.clip, settings.beta, settings.per)
            if not loss.isfinite():
                raise NotANumber("the loss is no longer a number: try a lower learning rate")
            policy.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimizer in optimizers:
                optimizer.step()
        change = (logprobs.detach() - old).exp() - 1  # of each token's probability, by all updates but the last
        clipped = (change * worth[:, None].sign())[mask] > settings.clip
        yield {
            "step": step,
            "reward": rewards.mean().item(),
            **{name: judged(judge, asked, answers.texts).mean().item() for name, judge in task.watch.items()},
            "kl": answers_mean(k3, mask, "token").item(),
            "kl_answer": answers_mean(k3, mask, 1).item(),
            "length": mask.sum(dim=1).float().mean().item(),
            "ended": answers.ended.float().mean().item(),
            "entropy": entropy,
            "spread": (groups.std(dim=1) > 0).float().mean().item(),
            "clipped": clipped.float().mean().item(),
        }
    policy.zero_grad()


def _shuffled(orders: list, seed: int) -> Iterator:
    if not orders:
        raise CourseError("there are no orders to learn from")
    generator = torch.Generator().manual_seed(seed)
    while True:
        for number in torch.randperm(len(orders), generator=generator).tolist():
            yield orders[number]
