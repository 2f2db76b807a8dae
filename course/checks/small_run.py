"""Tiny things to train, small enough for an exercise's check: a model that counts, a sampler, a run with dropout."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from course.checks.optimizing import learning_rate


class WatchedModel(nn.Module):
    """Guesses the next of 9 tokens. Notes in `most` how many sequences it was given at once, and in `kept` for how many
    batches at once it had to keep what `backward` needs.
    """

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(9, 5), nn.Linear(5, 9)
        self.most, self.kept, self.waiting = 0, 0, 0

    def forward(self, ids, targets=None):
        self.most = max(self.most, len(ids))
        logits = self.head(torch.tanh(self.table(ids)))
        if logits.requires_grad:
            self.waiting += 1
            self.kept = max(self.kept, self.waiting)
            logits.register_hook(self._done)
        return logits if targets is None else (logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten()))

    def loss(self, ids, targets):
        return self(ids, targets)[1]

    def _done(self, gradient) -> None:
        self.waiting -= 1


class Dropping(WatchedModel):
    """The same with dropout that drops nothing: it counts in how many of its steps it was in training mode, and comes
    in evaluation mode.
    """

    def __init__(self):
        super().__init__()
        self.steps_in_training = 0
        self.eval()

    def forward(self, ids, targets=None):
        self.steps_in_training += self.training
        return super().forward(ids, targets)


def loss(model: nn.Module, inputs, targets, reduction: str = "mean") -> torch.Tensor:
    """The cross-entropy loss of a batch."""
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), ignore_index=-100, reduction=reduction)


def gradient(model: nn.Module, loss: torch.Tensor) -> torch.Tensor:
    """The loss's gradient as one long vector; nothing is left in `.grad`."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def put_gradient(model: nn.Module, vector: torch.Tensor) -> None:
    """Leave a gradient, one long vector, in the parameters' `.grad`."""
    parameters = list(model.parameters())
    for parameter, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter).clone()


def left_gradient(model: nn.Module) -> torch.Tensor:
    """What stands in the parameters' `.grad` as one long vector, zeros where there is none."""
    return torch.cat([torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in model.parameters()])


def weights(model: nn.Module) -> torch.Tensor:
    """All weights as one long vector, a copy."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def put(model: nn.Module, vector: torch.Tensor) -> None:
    """The weights of `weights` back into the model."""
    nn.utils.vector_to_parameters(vector.clone(), model.parameters())


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


class Nines(Numbers):
    """A sampler for `WatchedModel`, of batches with different numbers of targets."""

    def __init__(self):
        self.position = 1

    def next_batch(self):
        self.position += 1
        inputs = (torch.arange(12).view(3, 4) * self.position) % 9
        targets = (inputs * 2 + self.position) % 9
        targets.view(-1)[12 - 3 * (self.position % 3) :] = -100
        return inputs, targets


def reference_run(model, sampler, steps, peak, *, warmup=0, final=0.0, accumulation=1, limit=math.inf, every=0, start=0,
                  momentum=0.0) -> list[dict]:  # fmt: skip
    """What `train` must do, by plain gradient descent with momentum, written out."""
    rows, speed = [], 0.0
    for step in range(start + 1, steps + 1):
        batches = [sampler.next_batch() for _ in range(accumulation)]
        total = sum(int((targets != -100).sum()) for _, targets in batches)
        mean = sum(loss(model, *batch, "sum") for batch in batches) / total
        slope, rate = gradient(model, mean), learning_rate(step, steps + 1, warmup, peak, final)
        norm = slope.norm().item()
        speed = momentum * speed + slope * min(1.0, limit / norm)
        put(model, weights(model) - rate * speed)
        rows.append({"step": step, "lr": rate, "loss": mean.item(), "norm": norm})
    return rows


def begin(seed: int = 3):
    """A run's model, optimizer and sampler before its first step: always the same."""
    torch.manual_seed(seed)
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
