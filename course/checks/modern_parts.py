"""Exercises of notebook 14 that are a formula: the width of SwiGLU, a soft cap; and how known mistakes are told."""

import math

import torch

from course.checks.compare import is_whole, shown
from course.checks.decoder_parts import agrees
from course.checks.exercise import exercise


def doubles(value) -> torch.Tensor | None:
    """Numbers of any kind as a tensor of float64; None where they are none."""
    try:
        return torch.as_tensor(value).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def alike(one: torch.Tensor | None, other: torch.Tensor, tolerance: float = 1e-5) -> bool:
    """Whether two hold the same numbers, but for rounding."""
    if one is None or one.shape != other.shape:
        return False
    size = tolerance * other[other.isfinite()].abs().sum().item() / max(1, other.numel())
    return torch.allclose(one, other, rtol=tolerance, atol=size, equal_nan=True)


def refuse(check, got, right, mistakes, tolerance: float = 1e-5, when: str | None = None) -> None:
    """Recognize known mistakes by what they give: each is (slug, its value, what is wrong, where to look).

    A mistake that gives here what is `right` cannot be told.
    """
    got, right = doubles(got), doubles(right)
    for slug, wrong, problem, hint in mistakes:
        wrong = doubles(wrong)
        told = alike(got, wrong, tolerance) and not alike(right, wrong, tolerance)
        check.that(not told, slug=slug, problem=problem, hint=hint, when=when)


def whole(check, got) -> None:
    """`got` is an int, or one of numpy's."""
    check.that(is_whole(got), slug="not-whole",
               problem=f"the answer is {shown(got)}, a {type(got).__name__}",
               hint="A whole number is asked for: an int. `//` and `round` give one, `/` does not.")  # fmt: skip


def of_type(check, got, dtype: torch.dtype, given: str) -> None:
    """`got` is a tensor of this type."""
    kind = getattr(got, "dtype", type(got).__name__)
    check.that(kind == dtype, slug="dtype", problem=f"{given} of {dtype} gave a result of {kind}",
               hint="What comes out has the type of what went in: convert it back.")  # fmt: skip


# ---------------------------------------------------------------------- 14.6


@exercise("14.6", title="As wide as is fair", minutes=6, difficulty=1)
def swiglu_width(answer, check):
    for d_model in (20, 64, 100):
        got, exact = answer(d_model), 8 * d_model / 3
        refuse(check, got, _fair(d_model, 8), [
            ("four", 4 * d_model, "that is the width of GPT-2's network", "Three such matrices are too much."),
            ("not-rounded", exact, "the width is no multiple of 8", "Round it to the nearest multiple of `multiple`."),
            ("not-rounded", int(exact), "the width is no multiple of 8", "Round to a multiple of `multiple`."),
            ("not-rounded", round(exact), "the width is no multiple of 8", "Round to a multiple of `multiple`."),
            ("not-multiplied", round(exact / 8), "that is how many multiples it is", "Multiply by `multiple` again."),
            ("upside-down", _nearest(6 * d_model, 8), "three matrices of this width are more than two of 4 d_model",
             "More matrices, so each of them narrower: 2 times 4 d_model is 3 times the width."),
            ("one-matrix", _nearest(4 * d_model / 3, 8), "that is half of it", "GPT-2's network has two matrices."),
            ("one-matrix", _nearest(2 * d_model, 8), "that is half of 4 d_model", "Three matrices against two."),
            ("weights", 8 * d_model**2, "that is how many weights there are", "Share them among three matrices."),
            ("weights", _nearest(8 * d_model**2 / 3, 8), "those are the weights of one matrix", "Over d_model."),
            ("width-fixed", 168, "that is the width for d_model = 64", "For any model."),
            ("from-d", _nearest(2 * d_model / 3, 8), "that is two thirds of d_model", "Two thirds of 4 d_model."),
            ("all-of-it", _nearest(8 * d_model, 8), "two matrices are counted as one network three times as wide",
             "Three matrices share the weights of two: divide by three."),
            ("rounded-down", 8 * math.floor(exact / 8), f"{exact:.1f} was rounded down", "The nearest multiple."),
            ("rounded-up", 8 * math.ceil(exact / 8), f"{exact:.1f} was rounded up", "The nearest multiple."),
        ])  # fmt: skip
        check.equal(got, _fair(d_model, 8), slug="width", hint=_FAIR)
    whole(check, got)
    for d_model, multiple in ((64, 1), (768, 256), (4096, 128)):
        got = answer(d_model, multiple)
        refuse(check, got, _fair(d_model, multiple), [
            ("multiple-fixed", _fair(d_model, 8), "that is a multiple of 8", "`multiple` is an argument."),
        ])  # fmt: skip
        check.equal(got, _fair(d_model, multiple), slug="other-multiple", hint=_FAIR)
    for d_model, multiple in ((1, 8), (2, 64), (10, 256), (3, 100)):
        got = answer(d_model, multiple)
        check.equal(got, multiple, slug="at-least-one", hint="A network of width 0 computes nothing.")
        whole(check, got)
    for _ in range(40):
        d_model, multiple = check.random.randint(1, 300), check.random.choice((1, 2, 4, 7, 8, 16, 32, 64))
        if 16 * d_model % (6 * multiple) == 3 * multiple:
            continue  # half way between two multiples: both are nearest
        got = answer(d_model, multiple=multiple)
        check.equal(got, _fair(d_model, multiple), slug="other-multiple", hint=_FAIR)
        whole(check, got)


_FAIR = "8 d_model² weights, shared by three matrices of d_model times the width; then the nearest multiple."


def _nearest(width: float, multiple: int) -> int:
    return max(1, round(width / multiple)) * multiple


def _fair(d_model: int, multiple: int) -> int:
    """The multiple with which the number of weights is nearest, found by counting up."""
    weights = 2 * d_model * 4 * d_model
    return min(range(multiple, 4 * d_model + 2 * multiple, multiple), key=lambda w: abs(3 * d_model * w - weights))


# ---------------------------------------------------------------------- 14.9


@exercise("14.9", title="A soft cap", minutes=6, difficulty=1)
def soft_cap(answer, check):
    logits, cap = torch.tensor([[-9.0, -2.0, -0.1, 0.0], [0.5, 1.0, 4.0, 30.0]]), 3.0
    got, ratio = answer(logits, cap), logits / cap
    slope = "Near zero it should be the logit itself. What does tanh make of a small number?"
    refuse(check, got, cap * ratio.tanh(), [
        ("cut-off", logits.clamp(-cap, cap), "it was cut off", "Behind a cut there is no gradient. Bend: torch.tanh."),
        ("not-divided", cap * logits.tanh(), "small logits became three times as large", slope),
        ("not-multiplied", ratio.tanh(), "all is between -1 and 1", "tanh has a cap of one: stretch what it gives."),
        ("neither", logits.tanh(), "all is between -1 and 1", "That is a cap of one. Stretch it, in both directions."),
        ("half-slope", cap * (ratio / 2).tanh(), "small logits became half as large", slope),
        ("half-slope", cap * (2 * ratio).tanh(), "small logits became twice as large", slope),
        ("wrong-way", cap * (logits * cap).tanh(), "logits were multiplied by the cap", "Stretched sideways: divided."),
        ("upside-down", (logits * cap).tanh() / cap, "the cap is 1 / cap", "Divide before tanh, multiply behind it."),
        ("half-slope", cap * (logits / cap**0.5).tanh(), "the slope is not one", slope),
        ("cap-fixed", 30 * (logits / 30).tanh(), "that is for a cap of 30", "`cap` is an argument."),
        ("one-sided", logits.clamp(max=cap), "it was cut off above", "Bend, on both sides: torch.tanh."),
        ("size-alone", cap * ratio.tanh().abs(), "the signs are lost", "-cap is a cap as well."),
        ("bent-late", torch.where(logits.abs() > cap, cap * ratio.tanh(), logits), "only what passes the cap was bent",
         "There is a jump in it. All logits go through the same curve."),
        ("softmax", cap * logits.softmax(-1), "those are probabilities", "Each logit by itself."),
        ("scaled", cap * logits / logits.abs().amax(-1, True), "all were scaled by the largest", "Each by itself."),
        ("upside-down", logits.tanh() / cap, "the cap is 1 / cap", "Divide before tanh, multiply behind it."),
        ("sign", -cap * ratio.tanh(), "the signs are exchanged", "Large logits stay the large ones."),
        ("sigmoid", cap * ratio.sigmoid(), "a logit of 0 became half of the cap", "tanh is 0 at 0; a sigmoid is not."),
        ("sigmoid", cap * logits.sigmoid(), "a logit of 0 became half of the cap", "tanh is 0 at 0; a sigmoid is not."),
        ("softmax", logits.softmax(-1), "those are probabilities", "Each logit by itself."),
        ("one-sided", torch.minimum(logits, cap * ratio.tanh()), "only large logits were bent", "-cap, too."),
        ("one-sided", torch.where(logits > 0, cap * ratio.tanh(), logits), "only large logits were bent", "-cap, too."),
        ("scaled", logits * cap / logits.abs().max(), "all logits were scaled by the largest", "Each logit by itself."),
        ("other-curve", logits / (1 + ratio.abs()), "that is another curve with this cap", "The one of torch.tanh."),
        ("other-curve", logits / (1 + ratio.square()).sqrt(), "that is another curve with this cap", "torch.tanh."),
        ("other-curve", 2 * cap / math.pi * (ratio * math.pi / 2).atan(), "that is an arc tangent", "torch.tanh."),
        ("unchanged", logits, "the logits are as they were", "Bend them."),
    ])  # fmt: skip
    _bent(check, answer, logits, cap, "values")
    for shape, cap in (((), 30.0), ((5,), 0.5), ((2, 3, 7), 30), ((4, 4), 1.0), ((1, 9), 50.0)):
        _bent(check, answer, 2 * float(cap) * torch.randn(shape), cap, "other-caps")
    _bent(check, answer, torch.tensor([-1e30, -2e4, -700.0, 700.0, 2e4, 1e30]), 30.0, "far-out")
    for dtype, tolerance in ((torch.float16, 0.05), (torch.bfloat16, 0.3), (torch.float64, 1e-12)):
        logits = (40 * torch.randn(6, 9)).to(dtype)
        got = answer(logits, 30.0)
        of_type(check, got, dtype, "the logits")
        agrees(check, got, 30 * (logits.double() / 30).tanh(), f"{dtype}: the result", slug="types", hint=_BEND,
               tolerance=tolerance)  # fmt: skip
    logits = torch.tensor([-50.0, -20.0, 0.0, 1.0, 45.0]).requires_grad_()
    got = answer(logits, 30.0)
    check.that(got.requires_grad, slug="gradients", problem="the result carries no gradient",
               hint="The model is trained through it: tensors from beginning to end, nothing detached.")  # fmt: skip
    slope = torch.autograd.grad(got.sum(), logits, allow_unused=True)[0]
    agrees(check, slope, 1 - (logits.detach() / 30).tanh().square(), "the slope", slug="gradients", hint=_BEND)


_BEND = "tanh, stretched by `cap` in both directions."


def _bent(check, answer, logits, cap: float, slug: str) -> None:
    """By the formula with exponentials: (1 - e^-2r) / (1 + e^-2r) of a ratio r above 0."""
    small = torch.exp(-2 * logits.double().abs() / cap)
    right = logits.double().sign() * cap * (1 - small) / (1 + small)
    agrees(check, answer(logits, cap), right, f"a cap of {cap:g}: the result", slug=slug, hint=_BEND, tolerance=1e-5)
