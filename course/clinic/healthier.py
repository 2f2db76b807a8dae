"""Further healthy organs: of programs that divide stories, use several processes, stop and go on, or tell with a cache.

They stand beside those of `course.clinic.healthy`, and `course.clinic.programs` puts them together.
"""

import copy
import math
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn


def split(stories: list[list[int]], seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Nine tenths of the stories for training and one tenth for validation, by chance; the seed decides."""
    chance = random.Random(seed)
    cut = len(stories) * 9 // 10
    shuffled = chance.sample(stories, len(stories))
    training = shuffled[:cut]
    validation = shuffled[cut:]
    return training, validation


def share(
    stories: list[list[int]], batch_size: int, end: int, seed: int, rank: int, processes: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of process `rank`, one of `processes`, without end: (inputs, targets), (batch_size, time) each."""
    shuffled = random.Random(seed)
    order: list[list[int]] = []
    while True:
        if len(order) < batch_size * processes:  # an epoch is over
            order = shuffled.sample(stories, len(stories))
        step, order = order[: batch_size * processes], order[batch_size * processes :]
        rows = [[end, *story, end] for story in step[rank::processes]]
        longest = max(map(len, rows))
        inputs = torch.full((batch_size, longest - 1), end)
        targets = torch.full((batch_size, longest - 1), -100)
        for i, row in enumerate(rows):
            inputs[i, : len(row) - 1] = torch.tensor(row[:-1])
            targets[i, : len(row) - 1] = torch.tensor(row[1:])
        yield inputs, targets


def train_together(
    model: nn.Module, loss, batches: Iterator, steps: int, lr: float, processes: int = 4
) -> Iterator[tuple[float, float]]:
    """Train with the mean of the gradients of several processes; yields the mean loss and the mean gradient's norm."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))
    model.train()
    for step in range(steps):
        warm_up = min(1.0, (step + 1) / 10)
        for group in optimizer.param_groups:
            group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        total = 0.0
        for _ in range(processes):
            value = loss(model, *next(batches)) / processes
            value.backward()
            total += value.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield total, norm.item()


def train_in_parts(
    model: nn.Module, loss, batches: Iterator, steps: int, lr: float, saved: dict, until: int
) -> Iterator[tuple[float, float]]:
    """Train up to the step `until` of `steps`, from where `saved` was left if it holds anything; then save there."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99))
    done = 0
    if saved:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        done = saved["step"]
        for _ in range(done):
            next(batches)
    model.train()
    for step in range(done, until):
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
    state = {"step": until, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    saved.update(copy.deepcopy(state))


@torch.no_grad()
def load(model: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Put the weights of a file into a model: every parameter once, by its name (the head is the embedding)."""
    known = dict(model.named_parameters())
    for name, tensor in weights.items():
        known[name].copy_(tensor)
    return model


def pack(stories: list[list[int]], end: int, vocab_size: int) -> np.ndarray:
    """All stories in one array, an end token behind each: what is written to disk. Few bytes for each token."""
    tokens: list[int] = []
    for story in stories:
        tokens += [*story, end]
    small = np.uint16 if vocab_size <= 2**16 else np.uint32
    return np.array(tokens).astype(small)


class LayerCache:
    """The keys and values that one layer has computed so far."""

    def __init__(self):
        self.keys = self.values = None

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All keys and values, with the new ones behind; and which of them each new query sees."""
        past = 0 if self.keys is None else self.keys.shape[2]
        if past:
            k, v = torch.cat((self.keys, k), dim=2), torch.cat((self.values, v), dim=2)
        self.keys, self.values = k, v
        new = k.shape[2] - past
        return k, v, torch.ones(new, past + new, dtype=torch.bool).tril(diagonal=past)


class Cache:
    """What a model remembers of one text. Its layers are asked by the attention, `positions` by the embedding."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.layers = [LayerCache() for _ in model.blocks]
        self.length = 0

    def positions(self, ids: Tensor) -> Tensor:
        return self.length + torch.arange(ids.shape[1])

    @torch.no_grad()
    def read(self, ids: list[int]) -> Tensor:
        """Read further ids; the logits of what follows, (V,)."""
        logits = self.model(torch.tensor([ids]), cache=self)[0, -1]
        self.length += len(ids)
        return logits


def tell_with(cache, ids: list[int], count: int, end: int) -> list[int]:
    """`ids` and up to `count` tokens after them, the most probable ones, read by a cache such as `Cache`."""
    cache.model.eval()
    ids = list(ids)
    logits = cache.read(ids)
    for _ in range(count):
        ids.append(int(logits.argmax()))
        if ids[-1] == end:
            break
        logits = cache.read(ids[-1:])
    return ids


def train_in_half(model: nn.Module, loss, batches: Iterator, steps: int, lr: float) -> Iterator[tuple[float, float]]:
    """Train in float16 with a scaled loss; yields each step's loss and the gradient's norm before clipping."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    model.train()
    for step in range(steps):
        warm_up = min(1.0, (step + 1) / 10)
        for group in optimizer.param_groups:
            group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        inputs, targets = next(batches)
        with torch.autocast("cpu", dtype=torch.float16):
            value = loss(model, inputs, targets)
        optimizer.zero_grad()
        scaler.scale(value).backward()
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        yield value.item(), norm.item()
