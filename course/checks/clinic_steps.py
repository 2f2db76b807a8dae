"""Repairs of training loops that go on, run in half precision, or have two faults (notebook 10)."""

import copy
import math
from collections import Counter
from itertools import islice

import torch
from torch import nn

from course.checks.clinic_scoring import batch, loss, small
from course.checks.exercise import exercise
from course.clinic import hard, precision, scoring
from helpers.model import GPT

__all__ = ["yan_train", "tom_train", "dan_train"]


def _forever(seed: int = 0):
    torch.manual_seed(seed)
    made = [batch(4, 6, seed + i) for i in range(20)]
    while True:
        yield from made


def _in_parts(answer, ends: tuple[int, ...], steps: int = 12):
    """Train in processes that end there; (losses, norms, the last model)."""
    saved, seen, model = {}, [], None
    for i, until in enumerate(ends):
        model, saved = small(seed=i), copy.deepcopy(saved)
        seen += list(answer(model, loss, _forever(), steps, 1e-2, saved, until))
    return [a for a, _ in seen], [b for _, b in seen], model


@exercise("10.39", title="Repair Yan", minutes=6, difficulty=2, begins_as=scoring.yan_train, may_change_input=True)
def yan_train(answer, check):
    whole, _, trained = _in_parts(answer, (12,))
    judge, _, _ = _in_parts(scoring.yan_train, (12,))
    check.close(
        whole, judge, tolerance=1e-4, slug="another-training", when="a run that is never stopped",
        hint="Training itself was right. Only what is saved, and what is restored, needs to change.",
    )  # fmt: skip
    when = "stopped after 6 of 12 steps"
    losses, _, model = _in_parts(answer, (6, 12))
    check.that(len(losses) == 12, slug="steps", when=when, problem=f"12 steps in two parts were {len(losses)}",
               hint="Go on at the step that was saved, up to `until`.")  # fmt: skip
    check.that(
        math.isclose(losses[6], whole[6], rel_tol=1e-4), slug="first-step", when=when,
        problem=f"the first loss after the stop is {losses[6]:.4f}, without a stop {whole[6]:.4f}",
        hint="The weights, or the place in the stories, are not restored.",
    )  # fmt: skip
    check.that(
        math.isclose(losses[7], whole[7], rel_tol=1e-4), slug="optimizer-lost", when=when,
        problem=f"one step after the first, the loss is {losses[7]:.4f}; without a stop {whole[7]:.4f}",
        hint="The first loss agrees, so the weights do; the step after it went another way. What does AdamW keep of "
        "each weight besides its value?",
    )  # fmt: skip
    check.close(losses, whole, tolerance=1e-4, slug="drifts", when="all losses, stopped once or never",
                hint="Something is restored only in part.")  # fmt: skip
    thrice, _, model = _in_parts(answer, (3, 5, 12))
    check.close(thrice, whole, tolerance=1e-4, slug="second-stop", when="stopped twice",
                hint="What goes on must also save everything again at its end.")  # fmt: skip
    same = all(torch.allclose(a, b, atol=1e-4) for a, b in zip(model.parameters(), trained.parameters(), strict=True))
    check.that(same, slug="weights", when="stopped twice",
               problem="the weights at the end are others than without a stop",
               hint="Every parameter, and both of AdamW's means of it, must go on.")  # fmt: skip


def _losses(answer, steps: int = 6, lr: float = 1e-2, seed: int = 0):
    model = small(seed=seed)
    seen = list(answer(model, loss, _forever(), steps, lr))
    return [a for a, _ in seen], [b for _, b in seen], model


def _plain_norms(steps_of: list, model: GPT) -> float:
    """The norm of the first gradient, in float32."""
    value = loss(model, *steps_of[0])
    value.backward()
    return math.sqrt(sum(float(p.grad.pow(2).sum()) for p in model.parameters()))


@exercise("10.29", title="Repair Tom", minutes=6, difficulty=3, begins_as=precision.tom_train)
def tom_train(answer, check):
    losses, norms, model = _losses(answer)
    check.that(len(losses) == 6, slug="steps", problem=f"6 steps were {len(losses)}", hint="One pair a step.")
    torch.manual_seed(0)
    true = _plain_norms(list(islice(_forever(), 1)), small())
    check.that(
        norms[0] < 1000 * true, slug="still-scaled", problem=f"the norm that is clipped is {norms[0]:,.0f}; without "
        f"the scaler it is {true:.2f}", hint="These are the scaled gradients still. What must happen between "
        "backward and "
        "clipping?",
    )  # fmt: skip
    check.that(
        norms[0] > true / 100, slug="unscaled-twice", problem=f"the norm is {norms[0]:.2g}, in float32 it is "
        f"{true:.2f}",
        hint="Divided by the scale once too often: `unscale_` or by hand, not both.",
    )  # fmt: skip
    check.close(norms[0], true, tolerance=0.05, slug="norm", when="the first norm",
                hint="The norm before clipping, of gradients that the scaler has unscaled.")  # fmt: skip
    _, _, start = _losses(answer, steps=0)
    _, _, after = _losses(answer, steps=1, lr=1e-2)
    moved = max((a - b).abs().max().item() for a, b in zip(start.parameters(), after.parameters(), strict=True))
    check.that(
        moved > 5e-4, slug="hardly-moves", when="no step and one step",
        problem=f"the first step moves no weight by more than {moved:.1g}",
        hint="AdamW's first step is about as long as the rate. Are the gradients still divided by the scale "
        "afterwards?",
    )  # fmt: skip
    limits = _watch_clipping(answer)
    check.that(limits != [], slug="not-clipped", problem="nothing was clipped", hint="Clip, but what is unscaled.")
    check.that(all(1.0 == limit for limit in limits), slug="another-limit", problem=f"clipped to {limits[0]:g}",
               hint="The limit of 1 was right, for gradients as they are.")  # fmt: skip
    check.that(
        _scales(answer), slug="no-scaler", problem="the loss is not scaled any more",
        hint="Without the scaler, small gradients become zero in float16. Keep it, and unscale in the right place.",
    )  # fmt: skip
    check.that(_skips_overflow(answer), slug="overflow-kept", problem="a gradient of infinity has reached the weights",
               hint="`scaler.step` leaves a step out if a gradient is not finite: keep it.")  # fmt: skip


def _watch_clipping(answer) -> list[float]:
    """The limits with which the answer clips."""
    original, limits = nn.utils.clip_grad_norm_, []

    def noted(parameters, max_norm, *args, **kwargs):
        limits.append(float(max_norm))
        return original(parameters, max_norm, *args, **kwargs)

    nn.utils.clip_grad_norm_ = noted
    try:
        _losses(answer, steps=1)
    finally:
        nn.utils.clip_grad_norm_ = original
    return limits


def _scales(answer) -> bool:
    """Whether what is sent backward is larger than the loss."""
    seen: list[float] = []

    def noted(model, inputs, targets):
        value = loss(model, inputs, targets)
        value.register_hook(lambda grad: seen.append(float(grad)))
        return value

    list(answer(small(), noted, _forever(), 1, 1e-2))
    return bool(seen) and seen[0] > 100


def _skips_overflow(answer) -> bool:
    """Whether weights stay finite when a loss has an infinite gradient."""
    model, calls = small(), Counter()

    def bad(model, inputs, targets):
        calls["n"] += 1
        value = loss(model, inputs, targets)
        return value * 1e38 * 1e38 if calls["n"] == 2 else value

    list(answer(model, bad, _forever(), 3, 1e-2))
    return all(bool(p.isfinite().all()) for p in model.parameters())


@exercise("10.44", title="Repair Dan", minutes=10, difficulty=3, begins_as=hard.dan_train)
def dan_train(answer, check):
    read = Counter()

    def counted():
        for made in _forever():
            read["batches"] += 1
            yield made

    model, given, old = small(), [], []

    def noted(model, inputs, targets):
        given.append(inputs)
        old.append(sum(float(p.grad.abs().sum()) for p in model.parameters() if p.grad is not None))
        value = loss(model, inputs, targets)
        return value

    seen = list(answer(model, noted, counted(), 8, 1e-2))
    losses, norms = [a for a, _ in seen], [b for _, b in seen]
    check.that(len(seen) == 8, slug="steps", problem=f"8 steps were {len(seen)}", hint="One pair for each step.")
    different = len({tuple(x.flatten().tolist()) for x in given})
    check.that(
        different > 1, slug="one-batch", problem="every step has the same batch",
        hint="How often is `next(batches)` called in eight steps?",
    )  # fmt: skip
    check.that(different == 8 and read["batches"] == 8, slug="batches", problem=f"8 steps have read "
    f"{read['batches']} batches",
               hint="One new batch for each step.")  # fmt: skip
    expected, wrong_norms = _by_hand(8, 1e-2, clear=True), _by_hand(8, 1e-2, clear=False)[1]
    check.that(
        not math.isclose(norms[3], wrong_norms[3], rel_tol=1e-3), slug="pile-up",
        problem=f"the norm at step 3 is {norms[3]:.3f}, that of this batch alone is smaller or larger: "
        "the gradients of earlier steps are in it", hint="`backward` adds to what is there. The second fault is of "
        "that kind.",
    )  # fmt: skip
    check.that(
        max(norms) > 0 and len(set(losses)) > 1, slug="no-learning", problem="the gradients are zero at every step",
        hint="Cleared between `backward` and `step`, the gradients are gone before they are used.",
    )  # fmt: skip
    check.close(norms, expected[1], tolerance=2e-3, slug="norms", when="the norms before clipping",
                hint="The gradient of this step's batch, and nothing else, before it is clipped.")  # fmt: skip
    check.close(losses, expected[0], tolerance=2e-3, slug="losses", when="the losses of eight steps",
                hint="Rate, decay and clipping were right: leave them as they were.")  # fmt: skip


def _by_hand(steps: int, lr: float, clear: bool) -> tuple[list[float], list[float]]:
    """The training that is asked for, with `torch.autograd.grad`: no `.grad` is there to be forgotten."""
    model, batches, losses, norms = small(), _forever(), [], []
    parameters = list(model.parameters())
    sums = [torch.zeros_like(p) for p in parameters]
    first, second = [torch.zeros_like(p) for p in parameters], [torch.zeros_like(p) for p in parameters]
    for step in range(steps):
        rate = lr * min(1.0, (step + 1) / 10) * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        value = loss(model, *next(batches))
        grads = torch.autograd.grad(value, parameters)
        sums = [g if clear else s + g for s, g in zip(sums, grads, strict=True)]
        norm = math.sqrt(sum(float(g.pow(2).sum()) for g in sums))
        sums = [g * min(1.0, 1.0 / (norm + 1e-6)) for g in sums]
        with torch.no_grad():
            for p, g, m, v in zip(parameters, sums, first, second, strict=True):
                m.mul_(0.9).add_(0.1 * g), v.mul_(0.95).add_(0.05 * g * g)
                p.mul_(1 - rate * (0.1 if p.dim() >= 2 else 0.0))
                p.sub_(rate * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.95 ** (step + 1))).sqrt() + 1e-8))
        losses.append(value.item()), norms.append(norm)
    return losses, norms
