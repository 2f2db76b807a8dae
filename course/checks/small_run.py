"""Tiny things to train, small enough for an exercise's check: a model that counts, a sampler, a run with dropout."""

import torch
import torch.nn.functional as F
from torch import nn


class WatchedModel(nn.Module):
    """Guesses the next of 9 tokens. Notes in `most` how many sequences it was given at once, and in `kept` for how many
    batches at once it had to keep what `backward` needs.
    """

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(9, 5), nn.Linear(5, 9)
        self.most, self.kept, self.waiting = 0, 0, 0

    def forward(self, ids):
        self.most = max(self.most, len(ids))
        logits = self.head(torch.tanh(self.table(ids)))
        if logits.requires_grad:
            self.waiting += 1
            self.kept = max(self.kept, self.waiting)
            logits.register_hook(self._done)
        return logits

    def _done(self, gradient) -> None:
        self.waiting -= 1


def gradient(model: nn.Module, loss: torch.Tensor) -> torch.Tensor:
    """The loss's gradient as one long vector; nothing is left in `.grad`."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


class Numbers:
    """A sampler of sequences of numbers that goes on from where it stands."""

    def __init__(self):
        self.position = 0

    def next_batch(self):
        self.position += 1
        rows = torch.arange(self.position, self.position + 12).view(3, 4) % 7
        return rows, (rows * 3 + self.position) % 7

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def begin():
    """A run's model, optimizer and sampler before its first step: always the same."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Embedding(7, 6), nn.Dropout(0.3), nn.Linear(6, 7))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1), Numbers()


def train(model, optimizer, sampler, first: int, steps: int) -> None:
    """Steps `first`, `first` + 1, ... of a run, with a learning rate that falls."""
    for step in range(first, first + steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (1 + step)
        inputs, targets = sampler.next_batch()
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def equal(one, other) -> bool:
    """Whether two states are the same to the last bit, tensors and all."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(equal, one, other))
    return one == other
