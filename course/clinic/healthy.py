"""The healthy organs of a small training program, as plain as a learner would write them.

Every patient of the clinic is this program with one organ (or two) replaced by another of the same name and the same
arguments, which has a fault. To repair a patient is to write its organ as it stands here.
"""

import math
import random
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.kv_cache import KVCache


class Attention(nn.Module):
    """Causal attention of many heads, step by step."""

    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.proj = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        B, T, d_model = x.shape
        d_head = d_model // self.n_head
        q, k, v = (part.view(B, T, self.n_head, d_head).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        visible = torch.ones(T, T, dtype=torch.bool).tril()
        if cache is not None:
            k, v, visible = cache.extend(k, v)  # (B, n_head, past + T, d_head)
        scores = q @ k.transpose(-2, -1) / math.sqrt(d_head)  # (B, n_head, T, past + T)
        if visible is not None:  # a single new token sees all that is kept
            scores = scores.masked_fill(~visible, -math.inf)
        weights = scores.softmax(dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(B, T, d_model)
        return self.proj(mixed)


@torch.no_grad()
def initialize(model: nn.Module) -> None:
    """GPT-2's initialization."""
    small = 0.02 / math.sqrt(2 * model.config.n_layer)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.dim() == 1:  # the weight of a LayerNorm
            parameter.fill_(1.0)
        else:
            parameter.normal_(std=small if name.endswith("proj.weight") else 0.02)


def batches(stories: list[list[int]], batch_size: int, end: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(inputs, targets) without end, (batch_size, time) each: stories in a random order, padded to the longest."""
    shuffled = random.Random(seed)
    while True:
        rows = [[end, *story, end] for story in shuffled.sample(stories, batch_size)]
        longest = max(map(len, rows))
        inputs = torch.full((batch_size, longest - 1), end)
        targets = torch.full((batch_size, longest - 1), -100)
        for i, row in enumerate(rows):
            inputs[i, : len(row) - 1] = torch.tensor(row[:-1])
            targets[i, : len(row) - 1] = torch.tensor(row[1:])
        yield inputs, targets


def loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy over the targets that are not -100, in nats per token."""
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def train(model: nn.Module, loss, batches: Iterator, steps: int, lr: float) -> Iterator[tuple[float, float]]:
    """Train a model in place; yields each step's loss and the gradient's norm before clipping."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))
    model.train()
    for step in range(steps):
        warm_up = min(1.0, (step + 1) / 10)
        for group in optimizer.param_groups:
            group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        inputs, targets = next(batches)
        value = loss(model, inputs, targets)
        optimizer.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield value.item(), norm.item()


@torch.no_grad()
def evaluate(model: nn.Module, loss, batches: Iterator, count: int = 8) -> float:
    """The mean loss per token over `count` batches of validation stories."""
    model.eval()
    total = tokens = 0
    for _ in range(count):
        inputs, targets = next(batches)
        asked = int((targets != -100).sum())
        total += loss(model, inputs, targets).item() * asked
        tokens += asked
    return total / tokens


@torch.no_grad()
def generate(model: nn.Module, ids: list[int], count: int, end: int) -> list[int]:
    """`ids` and up to `count` tokens after them, always the most probable one; stops behind an end token."""
    model.eval()
    cache, ids = KVCache(model), list(ids)
    logits = cache.start([ids])  # (1, V)
    for _ in range(count):
        ids.append(int(logits[0].argmax()))
        if ids[-1] == end:
            break
        logits = cache.append([ids[-1]])
    return ids
