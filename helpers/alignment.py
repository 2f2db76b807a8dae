"""Built in notebook 15: from likely text to wanted text: preferences, reinforcement learning, low-rank adapters.

From top to bottom: the log-probability of an answer, a reward model, DPO, REINFORCE, GRPO, the KL divergence, LoRA. An
answer is where a `mask` is True: the prompt before it and the padding after it are read and not judged.

In shapes, B is the sequences in a batch, T the tokens in a sequence, V the vocabulary, N all tokens of all answers.
Used in notebook 15, and by `course.alignment`.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.errors import CourseError


def answer_logits(model, ids: Tensor, mask: Tensor) -> Tensor:
    """The logits that each token of an answer was chosen from, (N, V): those of the position before it.

    Args:
        ids: prompts with answers, (B, T), padded on the right.
        mask: which tokens belong to an answer, (B, T).

    Raises:
        CourseError: the mask has another shape, or a row has no answer, or no token before it.
    """
    if mask.shape != ids.shape or mask.dtype != torch.bool:
        raise CourseError(f"a mask has True or False for each of the ids {tuple(ids.shape)}, not {tuple(mask.shape)}")
    if mask[:, 0].any() or not mask.any(dim=1).all():
        raise CourseError("every row needs a token to read first, and after it an answer of at least one token")
    return model.head(model.hidden(ids[:, :-1])[mask[:, 1:]])  # the head reads no other position: that saves time


def chosen_logprobs(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """From what `answer_logits` gave: log p(token | all before it) of the answers' tokens, (B, T), 0 elsewhere."""
    scores = -F.cross_entropy(logits, ids[mask], reduction="none")  # (N,)
    return torch.zeros(ids.shape, dtype=scores.dtype, device=scores.device).masked_scatter(mask, scores)


def token_logprobs(model, ids: Tensor, mask: Tensor) -> Tensor:
    """log p(token | all before it) of the answers' tokens, (B, T), 0 elsewhere; ids and mask as in `answer_logits`."""
    return chosen_logprobs(answer_logits(model, ids, mask), ids, mask)


def sequence_logprobs(model, ids: Tensor, mask: Tensor) -> Tensor:
    """log p(answer | prompt), (B,): the sum over its tokens."""
    return token_logprobs(model, ids, mask).sum(dim=1)


class RewardModel(nn.Module):
    """A GPT with one number in place of its logits: how good an answer is, read where the answer ends.

    Ouyang et al. 2022 (InstructGPT), section 3.5. Only differences between its rewards mean anything.
    """

    def __init__(self, model):
        super().__init__()
        self.trunk = copy.deepcopy(model)  # the model that it begins from stays as it is
        self.trunk.head = nn.Identity()
        self.score = nn.Linear(model.config.d_model, 1, bias=False)
        nn.init.zeros_(self.score.weight)  # at first all answers are equally good

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:  # (B,)
        last = (mask * torch.arange(ids.shape[1], device=ids.device)).amax(dim=1)  # (B,), the answer's last token
        hidden = self.trunk.hidden(ids)[torch.arange(len(ids), device=ids.device), last]  # (B, d_model)
        return self.score(hidden).squeeze(-1)


def pair_loss(better: Tensor, worse: Tensor) -> Tensor:
    """-log p(the better one is preferred), the mean over pairs; p = sigmoid(better - worse), rewards (B,) each.

    The model of Bradley and Terry 1952; as the loss of a reward model Ouyang et al. 2022, equation 1.
    """
    return -F.logsigmoid(better - worse).mean()


def implicit_rewards(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """beta * log(policy / reference): the reward for which a policy is the best, up to a number for each prompt.

    Rafailov et al. 2023, "Direct Preference Optimization", equation 5; of log p(answer), (B,) each.
    """
    return beta * (policy - reference)


def dpo_loss(
    policy_better: Tensor, policy_worse: Tensor, reference_better: Tensor, reference_worse: Tensor, beta: float = 0.1
) -> Tensor:
    """A reward model's loss where the policy itself is the reward model: Rafailov et al. 2023, equation 7.

    Args:
        policy_better, policy_worse: log p(answer) under the model that learns, (B,), from `sequence_logprobs`.
        reference_better, reference_worse: under the model that it began as.
        beta: the smaller, the further from the reference it goes.
    """
    better = implicit_rewards(policy_better, reference_better, beta)
    return pair_loss(better, implicit_rewards(policy_worse, reference_worse, beta))


def reinforce_loss(logprobs: Tensor, rewards: Tensor, baseline: Tensor | float, mask: Tensor) -> Tensor:
    """-(reward - baseline) * log p(answer): its gradient is on average that of the expected reward (Williams 1992).

    Args:
        logprobs: of the answers' tokens, (B, T).
        rewards: of the answers, (B,).
        baseline: what was to be expected, (B,) or one number. It takes away noise and leaves the average, as long as
            the answer itself has no part in it.
    """
    return -((rewards - baseline) * (logprobs * mask).sum(dim=1)).mean()


def leave_one_out(rewards: Tensor) -> Tensor:
    """A baseline for each answer of a group: the mean reward of the others (Kool et al. 2019). (groups, size)"""
    return (rewards.sum(dim=-1, keepdim=True) - rewards) / (rewards.shape[-1] - 1)


def advantages(rewards: Tensor, divide: bool = True) -> Tensor:
    """How much better each answer is than its group, (groups, size): Shao et al. 2024, "DeepSeekMath", section 4.1.2.

    Args:
        divide: by the group's standard deviation, so that easy and hard prompts count the same. Without: Liu et al.
            2025, "Understanding R1-Zero-Like Training: A Critical Perspective" (Dr. GRPO).
    """
    if rewards.dim() < 2 or rewards.shape[-1] < 2:
        raise CourseError(f"rewards come as (groups, size), two or more in a group, not {tuple(rewards.shape)}")
    better = rewards - rewards.mean(dim=-1, keepdim=True)
    return better / (rewards.std(dim=-1, keepdim=True) + 1e-4) if divide else better  # 1e-4: where all are alike


def answers_mean(values: Tensor, mask: Tensor, per: str | float = "answer") -> Tensor:
    """One number from one for each token, (B, T). What a long answer weighs is decided here.

    Args:
        per: "answer", the mean of each answer, then of all (GRPO); "token", all tokens weigh the same (Yu et al. 2025,
            "DAPO"); a number, by which the sum of each answer is divided (Dr. GRPO).
    """
    sums, lengths = (values * mask).sum(dim=1), mask.sum(dim=1)
    if per == "answer":
        return (sums / lengths).mean()
    return sums.sum() / lengths.sum() if per == "token" else (sums / per).mean()


def clipped_objective(
    logprobs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, clip: float = 0.2, per: str | float = "answer"
) -> Tensor:
    """What a step makes larger: the advantages, times how much likelier the policy has made each token.

    Schulman et al. 2017, "Proximal Policy Optimization Algorithms", equation 7. A token that is already likelier, or
    less likely, by more than `clip` in the direction of its advantage has no gradient any more.

    Args:
        logprobs, old: of the answers' tokens, (B, T): now, and when they were sampled.
        advantages: of the answers, (B,).
        per: as in `answers_mean`.
    """
    ratio, advantages = (logprobs - old).exp(), advantages[:, None]
    return answers_mean(torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages), mask, per)


class KLEstimates(NamedTuple):
    """Of KL(p || q), p the policy that sampled and q the reference: a number for each token, (B, T)."""

    k1: Tensor  # log p/q: right on average, and often negative
    k2: Tensor  # half its square: never negative, nearly right on average where p is near q
    k3: Tensor  # q/p - 1 + log p/q: never negative, and right on average


def kl_estimates(logprobs: Tensor, reference: Tensor) -> KLEstimates:
    """How far the policy has gone, from the tokens that it sampled: Schulman 2020, "Approximating KL Divergence"."""
    log_ratio = reference - logprobs  # log q/p
    return KLEstimates(-log_ratio, log_ratio**2 / 2, log_ratio.exp() - 1 - log_ratio)


def grpo_loss(
    logprobs: Tensor,
    old: Tensor,
    reference: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip: float = 0.2,
    beta: float = 0.04,
    per: str | float = "answer",
) -> Tensor:
    """The clipped objective less `beta` times the divergence from the reference (k3), with its sign turned.

    Shao et al. 2024, equations 3 and 4. `reference` is (B, T); the rest as in `clipped_objective`.
    """
    far = answers_mean(kl_estimates(logprobs, reference).k3, mask, per)
    return beta * far - clipped_objective(logprobs, old, advantages, mask, clip, per)


class LoRALinear(nn.Linear):
    """A linear layer whose weight stays as it is, and beside it a product of two thin matrices that learns.

    weight + alpha / rank * B A, where A is (rank, in) and B (out, rank): Hu et al. 2021, "LoRA", section 4.1.
    """

    def __init__(self, linear: nn.Linear, rank: int = 8, alpha: float = 16.0):
        nn.Module.__init__(self)  # not that of nn.Linear, which would make another weight
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.requires_grad_(False).weight, linear.bias
        self.A = nn.Parameter(self.weight.new_empty(rank, self.in_features).normal_(std=self.in_features**-0.5))
        self.B = nn.Parameter(self.weight.new_zeros(self.out_features, rank))  # zero: at first nothing changes
        self.scale, self.merged = alpha / rank, False

    def forward(self, x: Tensor) -> Tensor:
        plain = F.linear(x, self.weight, self.bias)
        return plain if self.merged else plain + self.scale * F.linear(F.linear(x, self.A), self.B)

    @torch.no_grad()
    def merge(self, merged: bool = True) -> None:
        """Add the product to the weight, so that the layer costs what it did before; `merge(False)` takes it out."""
        self.weight += (merged - self.merged) * self.scale * self.B @ self.A
        self.merged = merged


def add_lora(model, rank: int = 8, alpha: float = 16.0, layers: Sequence[str] = ("attn.qkv",)) -> None:
    """Freeze a model and give some of its linear layers an adapter, in place.

    Args:
        layers: how the names of these end, such as "attn.qkv", "attn.proj", "mlp.fc", "mlp.proj".

    Raises:
        CourseError: no layer is called so, it has an adapter, or its weight is the token embedding's (a tied head).
    """
    ends = tuple(f".{name}" for name in layers)
    found = {name: each for name, each in model.named_modules() if f".{name}".endswith(ends)}
    if not found or rank < 1:
        raise CourseError(f"a rank is 1 or more, and layers end e.g. in 'attn.qkv': {rank} and {layers} will not do")
    for name, layer in found.items():
        if type(layer) is not nn.Linear or layer.weight is model.wte.weight:
            raise CourseError(f"{name} can have no adapter: it has one, is not linear, or is also the token embedding")
    model.requires_grad_(False)
    for name, layer in found.items():
        model.set_submodule(name, LoRALinear(layer, rank, alpha))


def fold_lora(model) -> None:
    """Merge all adapters and put plain linear layers in their place: the model is saved and read as any other."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, LoRALinear):
            layer.merge()
            plain = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
            plain.weight, plain.bias = layer.weight, layer.bias
            model.set_submodule(name, plain)
    model.requires_grad_(True)
