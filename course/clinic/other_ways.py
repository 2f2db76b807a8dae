"""Healthy organs written in other ways than in `healthy`: those of owners whose program has this shape.

Each is a repaired patient's, too: `course.clinic.data` and `course.clinic.learning` have the same with a fault.
"""

import copy
import math
import random

import torch
from torch import nn


def windows(stories: list[list[int]], batch_size: int, end: int, seed: int):
    """(inputs, targets) without end, (batch_size, 48) each: windows of a long stream, `end` before each story."""
    stream = torch.tensor([token for story in stories for token in (end, *story)])
    time = 48
    shuffled = random.Random(seed)
    while True:
        starts = [shuffled.randrange(len(stream) - time) for _ in range(batch_size)]
        inputs = torch.stack([stream[i : i + time] for i in starts])
        targets = torch.stack([stream[i + 1 : i + 1 + time] for i in starts])
        yield inputs, targets


def padded_sequences(stories: list[list[int]], batch_size: int, end: int, seed: int):
    """(inputs, targets) without end, (batch_size, 64) each: stories in a random order, all brought to 64 tokens."""
    shuffled = random.Random(seed)
    while True:
        inputs, targets = [], []
        for story in shuffled.sample(stories, batch_size):
            missing = 64 - len(story) - 1
            inputs.append([end, *story] + [end] * missing)
            targets.append([*story, end] + [-100] * missing)
        yield torch.tensor(inputs), torch.tensor(targets)


def collated(stories: list[list[int]], batch_size: int, end: int, seed: int):
    """(inputs, targets) without end, (batch_size, time) each: stories in a random order, filled up to the longest."""
    shuffled = random.Random(seed)
    while True:
        rows = [[end, *story, end] for story in shuffled.sample(stories, batch_size)]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
        inputs, targets = ids[:, :-1], ids[:, 1:].clone()
        for target, row in zip(targets, rows, strict=True):
            target[len(row) - 1 :] = -100
        yield inputs, targets


def unclipped(model: nn.Module, loss, batches, steps: int, lr: float):
    """Train a model in place; yields each step's loss and the gradient's norm."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - step / steps)
        inputs, targets = next(batches)
        value = loss(model, inputs, targets)
        optimizer.zero_grad()
        value.backward()
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
        optimizer.step()
        yield value.item(), norm.item()


def accumulating(model: nn.Module, loss, batches, steps: int, lr: float):
    """Train a model in place, four batches a step; yields their mean loss and the gradient's norm before clipping."""
    accumulate = 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - step / steps)
        optimizer.zero_grad()
        total = 0.0
        for _ in range(accumulate):
            inputs, targets = next(batches)
            value = loss(model, inputs, targets)
            (value / accumulate).backward()
            total += value.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield total / accumulate, norm.item()


def new_table(model: nn.Module, loss, batches, steps: int, lr: float):
    """Give the tokens new vectors, and train a model in place; yields each step's loss and the gradient's norm."""
    model.wte = nn.Embedding(model.config.vocab_size, model.config.d_model)
    nn.init.normal_(model.wte.weight, std=0.02)
    model.head.weight = model.wte.weight
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - step / steps)
        inputs, targets = next(batches)
        value = loss(model, inputs, targets)
        model.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield value.item(), norm.item()


def inverse_root(model: nn.Module, loss, batches, steps: int, lr: float):
    """Train a model in place, the rate up for 10 steps, then down with the root; yields each step's loss and norm."""
    warm_up = 10
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98))
    model.train()
    for step in range(1, steps + 1):
        rate = lr * min(step / warm_up, (warm_up / step) ** 0.5)
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs, targets = next(batches)
        value = loss(model, inputs, targets)
        optimizer.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield value.item(), norm.item()


def searching(model: nn.Module, loss, batches, steps: int, lr: float):
    """Try rates around `lr` on a few batches, and train in place at the best; yields each step's loss and norm."""

    def learn(learner, rate, count):
        optimizer = torch.optim.AdamW(learner.parameters(), lr=rate, betas=(0.9, 0.95))
        for step in range(count):
            optimizer.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / 10)
            inputs, targets = next(batches)
            value = loss(learner, inputs, targets)
            optimizer.zero_grad()
            value.backward()
            norm = nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
            optimizer.step()
            yield value.item(), norm.item()

    found = {}
    for rate in (4 * lr, lr, lr / 4, lr / 10):
        trial = copy.deepcopy(model)
        losses = [value for value, _ in learn(trial, rate, 15)]
        found[rate] = sum(losses[-5:]) / 5
    best = min(found, key=found.get)
    yield from learn(model, best, steps)


def scheduled(model: nn.Module, loss, batches, steps: int, lr: float):
    """Train a model in place, four batches a step; yields their mean loss and the gradient's norm before clipping."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    done = 0
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        total = 0.0
        for _ in range(4):
            cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, done / steps))
            for group in optimizer.param_groups:
                group["lr"] = lr * min(1.0, (done + 1) / 10) * cosine
            inputs, targets = next(batches)
            value = loss(model, inputs, targets) / 4
            value.backward()
            total += value.item()
        done += 1
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield total, norm.item()
