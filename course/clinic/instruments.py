"""Built in notebook 10: instruments that look into a model, its batches and its training, and find what is wrong.

Each measures and returns plain numbers; what is too much of them is for the caller to say. Most come from Karpathy
2019, "A Recipe for Training Neural Networks". In shapes, B is the rows in a batch, T the tokens in a row, V the
vocabulary. `loss(model, inputs, targets)` is a program's own, a scalar in nats per token; targets of -100 are not
scored. Of a model `wte`, `head`, `config` and the names of modules are asked; modes and weights stay as they are.

Used by `python -m course train --diagnose` and by `course.clinic.examination`.
"""

import copy
import itertools
import math
import statistics

import torch
import torch.nn.functional as F

from helpers.evaluation import evaluating
from helpers.kv_cache import WithoutCache
from helpers.model import IGNORED

# ---------------------------------------------------------------------- two ways to look inside


@torch.no_grad()
def outputs(model, ids) -> dict:
    """What each module inside a model gives for ids (B, T), by its name, in the order in which they finish."""
    kept, hooks = {}, []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_hook(lambda module, args, output, name=name: kept.update({name: output})))
    try:
        with evaluating(model):
            model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: output[0] if isinstance(output, tuple) else output for name, output in kept.items()}


def asked(model, loss, inputs, targets):
    """The token that a loss really asks for at each position, (B, T); -100 where none is.

    The gradient of a cross-entropy is each token's probability, less 1 for the one that is asked for: at that token
    alone it is negative, whatever the loss did to logits and targets before it compared them.
    """
    kept = []
    hook = model.head.register_forward_hook(lambda module, args, output: kept.append(output))
    try:
        value = loss(model, inputs, targets)
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(value, kept)  # (B, T, V)
    least, token = gradient.min(dim=-1)
    return token.where(least < 0, IGNORED)


# ---------------------------------------------------------------------- before the first step


@torch.no_grad()
def first_loss(model, loss, inputs, targets) -> float:
    """How far a loss lies above ln V, the loss of a model that knows nothing: nats per token, about 0 at first."""
    return float(loss(model, inputs, targets)) - math.log(model.config.vocab_size)


def what_enters(inputs, targets, end: int) -> dict[str, float]:
    """What a batch asks for, (B, T) each; `end` is the id before a story, behind it, and in padding.

    Returns:
        same, next, after_next: of the scored positions, the fraction whose target is the input there, one further, or
            two (positions whose row ends before that are left out).
        padding: the fraction that asks for an end behind an end.
        ends: other ends that are asked for, for each row.
        distinct: the fraction of rows that are different ones.
    """
    scored, found = targets != IGNORED, {}
    for further, name in enumerate(("same", "next", "after_next")):
        there = scored[:, : inputs.shape[1] - further]
        hits = targets[:, : there.shape[1]] == inputs[:, further:]
        found[name] = hits[there].float().mean().item()
    padding = scored & (targets == end) & (inputs == end)
    found["padding"] = (padding.sum() / scored.sum()).item()
    found["ends"] = ((targets == end).sum() - padding.sum()).item() / len(inputs)
    found["distinct"] = len(set(map(tuple, inputs.tolist()))) / len(inputs)
    return found


# ---------------------------------------------------------------------- one position, one row, one layer


@torch.no_grad()
def future_leak(model, ids) -> float:
    """The largest change of a logit before the position at which a token of ids (B, T) is replaced; 0 if causal."""
    changes = []
    with evaluating(model):
        before = model(ids)
        for t in {1, ids.shape[1] // 2, ids.shape[1] - 1}:
            other = ids.clone()
            other[:, t] = (other[:, t] + 1) % model.config.vocab_size
            changes.append((model(other) - before)[:, :t].abs().max())
    return torch.stack(changes).max().item()


def row_leak(model, ids) -> float:
    """How much of the gradient of the middle row's logits goes to other rows of ids (B, T): a fraction, 0 if none."""
    kept, row = [], len(ids) // 2  # with neighbours on both sides
    hook = model.wte.register_forward_hook(lambda module, args, output: kept.append(output))
    try:
        logits = model(ids)
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(logits[row].square().sum(), kept)  # (B, T, d_model)
    others = torch.cat((gradient[:row], gradient[row + 1 :]))
    return (others.norm() / gradient.norm()).item()


def first_difference(model, reference, ids, tolerance: float = 1e-3) -> tuple[str, float]:
    """The first module whose output on ids (B, T) is not that of a model known to be good, and by how much.

    Returns:
        Its name and the largest difference, relative to the reference's largest value; ("", 0.0) if none differs by
        more than `tolerance`. Modules that only one of the two has are passed over.
    """
    ours, theirs = outputs(model, ids), outputs(reference, ids)
    for name, output in ours.items():
        if name in theirs:
            difference = (output - theirs[name]).abs().max() / theirs[name].abs().max()
            if not difference <= tolerance:  # nan, too
                return name, difference.item()
    return "", 0.0


# ---------------------------------------------------------------------- does it learn


def overfit(model, loss, train, batch, steps: int = 60, lr: float = 5e-3) -> float:
    """The last loss after training a copy on one batch, (inputs, targets), again and again: near 0 if it can learn.

    Args:
        train: the program's own, `train(model, loss, batches, steps, lr)`; yields (loss, norm of the gradient).
    """
    student = copy.deepcopy(model)
    return [value for value, _ in train(student, loss, itertools.repeat(batch), steps, lr)][-1]


def update_ratios(before: dict, after: dict) -> dict[str, float]:
    """How far each matrix has moved, relative to its size: the norm of the change over the norm, by name.

    Args:
        before, after: copies of a model's parameters by name, such as of two steps that follow each other.
    """
    return {
        name: ((after[name] - weight).norm() / weight.norm()).item()
        for name, weight in before.items()
        if weight.dim() >= 2
    }


def saturated(model, ids) -> dict[str, float]:
    """What is stuck inside a model that reads ids (B, T).

    Returns:
        flat: the fraction of the feed-forward activations below -3, where GELU is flat and no gradient passes.
        dead: the fraction of units that are there at every position of every row.
        growth: how many times larger the residual stream is above the last block than the vectors of the tokens.
    """
    kept = outputs(model, ids)
    flat = torch.stack([output < -3 for name, output in kept.items() if name.endswith("mlp.fc")])  # (n, B, T, d_ff)
    blocks = [output for name, output in kept.items() if name.startswith("blocks.") and name.count(".") == 1]
    return {
        "flat": flat.float().mean().item(),
        "dead": flat.all(dim=(1, 2)).float().mean().item(),
        "growth": (blocks[-1].std() / kept["wte"].std()).item(),
    }


def first_nonfinite(model, ids) -> str:
    """The first module that turns ids (B, T) into an output with nan or an infinity; "" if all is finite."""
    for name, output in outputs(model, ids).items():
        if not torch.isfinite(output).all():
            return name or "the model"
    return ""


@torch.no_grad()
def uses_input(model, loss, inputs, targets) -> float:
    """By how much a loss rises if every input is the same token, in nats per token: about 0 if they are not used."""
    with evaluating(model):
        return float(loss(model, torch.zeros_like(inputs), targets) - loss(model, inputs, targets))


# ---------------------------------------------------------------------- is the score true


def train_eval_gap(model, score) -> float:
    """`score(model)` of a model that comes in training mode, less the same in evaluation mode: 0 if it minds itself."""
    was_training, scores = model.training, []
    for training in (True, False):
        model.train(training)
        scores.append(float(score(model)))
    model.train(was_training)
    return scores[0] - scores[1]


@torch.no_grad()
def loss_by_position(model, batches) -> list[tuple[float, int]]:
    """The mean loss at each position, in nats, and how many targets were scored there; (nan, 0) where none was.

    Args:
        batches: of (inputs, targets), (B, T) each; T need not be the same.
    """
    sums, counts = [0.0] * model.config.context_length, [0] * model.config.context_length
    with evaluating(model):
        for inputs, targets in batches:
            losses = F.cross_entropy(model(inputs).transpose(1, 2), targets, reduction="none")  # (B, T); 0 at -100
            for t in range(inputs.shape[1]):
                sums[t] += losses[:, t].sum().item()
                counts[t] += (targets[:, t] != IGNORED).sum().item()
    return [(total / count if count else math.nan, count) for total, count in zip(sums, counts, strict=True)]


def seeds_differ(one: list[float], other: list[float]) -> tuple[float, float]:
    """By how much the mean of `other` lies above that of `one`, and its standard error; each of two numbers or more."""
    squared = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return statistics.mean(other) - statistics.mean(one), math.sqrt(squared)


# ---------------------------------------------------------------------- does it tell what it knows


@torch.no_grad()
def cache_gap(model, cache, sequences) -> float:
    """The largest difference of a logit with a cache and without; about 0.

    Args:
        cache: a new `KVCache(model)`, or anything with its `start`, `append` and `reorder`.
        sequences: lists of ids, the first halves read at once, the rest a token at a time and in another order.
    """
    order = list(reversed(range(len(sequences))))
    begun = [ids[: len(ids) // 2] for ids in sequences]
    more = min(len(ids) - len(half) for ids, half in zip(sequences, begun, strict=True))
    told = []
    with evaluating(model):
        for reader in (cache, WithoutCache(model)):
            logits = [reader.start(begun)]
            reader.reorder(order)
            logits += [reader.append([sequences[i][len(begun[i]) + k] for i in order]) for k in range(more)]
            told.append(torch.stack(logits))  # (steps, B, V)
    return (told[0] - told[1]).abs().max().item()
