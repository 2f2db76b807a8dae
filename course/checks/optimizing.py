"""What notebook 07's answers are compared with: a step of AdamW, a schedule, and what known mistakes would give."""

import math

import torch


def near(got, expected, tolerance: float = 1e-5) -> bool:
    """Whether two tensors, or two numbers, agree; False for anything else."""
    try:
        got, expected = torch.as_tensor(got).double(), torch.as_tensor(expected).double()
    except (TypeError, ValueError, RuntimeError):
        return False
    return got.shape == expected.shape and torch.allclose(got, expected, rtol=tolerance, atol=tolerance)


def none_of(check, got, mistakes) -> None:
    """Fails the exercise if `got` is what a mistake gives; each is (slug, its value, problem, hint)."""
    for slug, value, problem, hint in mistakes:
        check.that(not near(got, value), slug=slug, problem=problem, hint=hint)


def adamw(p, g, m, v, step, lr, betas, eps, decay, *, fix_m=True, fix_v=True, coupled=0.0, bare=0.0,
          eps_inside=False, outside=False, count=0, late=False):  # fmt: skip
    """One step of AdamW: the new parameter, m and v. The keywords are ways to get it wrong.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", algorithm 2, as torch.optim.AdamW has it.
    """
    b1, b2 = betas
    g = g + coupled * p
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    first = m / (1 - b1 ** (step + count)) if fix_m else m
    second = v / (1 - b2 ** (step + count)) if fix_v else v
    root = v.sqrt() / (1 - b2 ** (step + count)) if outside else second.sqrt()
    move = lr * first / ((second + eps).sqrt() if eps_inside else root + eps)
    shrink = 1 - (bare or lr * decay)
    return ((p - move) * shrink if late else p * shrink - move), m, v


def wrong_moves(*given) -> list[tuple]:
    """A step without decay gone wrong: (slug, the parameter it gives, problem, hint) for each mistake."""
    mistakes = [
        ("no-correction", {"fix_m": False, "fix_v": False}, "the first step is not as long as it should be",
         "Without the correction the two moments, which began at zero, are still far too small: divide m by "
         "1 - beta1**step, and v by 1 - beta2**step."),
        ("one-correction", {"fix_v": False}, "only m was corrected",
         "v began at zero as well, and is too small for even longer than m."),
        ("v-correction-only", {"fix_m": False}, "only v was corrected",
         "m began at zero as well: divide it by 1 - beta1**step."),
        ("outside-the-root", {"outside": True}, "v's correction was applied to its root",
         "1 - beta2**step corrects v itself: divide first, and take the root of what comes out."),
        ("count", {"count": 1}, "the correction is that of the next step",
         "The first step is step 1, and is given as 1."),
        ("eps-inside", {"eps_inside": True}, "eps was added under the root", "First the root of v, then eps is added."),
    ]  # fmt: skip
    uphill = 2 * given[0] - adamw(*given)[0]
    return [(slug, adamw(*given, **change)[0], problem, hint) for slug, change, problem, hint in mistakes] + [
        ("uphill", uphill, "the step goes up the slope", "The gradient points to where the loss grows: subtract.")
    ]


def wrong_decays(*given) -> list[tuple]:
    """As `wrong_moves`, for a step with decay, the last of the given."""
    *others, decay = given
    mistakes = [
        ("no-decay", 0.0, {}, "the parameter did not decay", f"weight_decay is {decay:g} in this call."),
        ("coupled", 0.0, {"coupled": decay}, "the decay went into the gradient",
         "That is Adam with an L2 penalty: divided by the root of v, the pull no longer depends on its size. The W "
         "of AdamW is to shrink the parameter itself."),
        ("without-rate", 0.0, {"bare": decay}, "the decay does not follow the learning rate",
         "The parameter shrinks by lr * weight_decay, so that a schedule holds for the decay as well."),
        ("order", decay, {"late": True}, "the decay came after the move",
         "Shrink the old parameter, then move; torch does it in this order."),
    ]  # fmt: skip
    return [
        (slug, adamw(*others, its_decay, **change)[0], problem, hint)
        for slug, its_decay, change, problem, hint in mistakes
    ]


def learning_rate(step: int, steps: int, warmup: int, peak: float, final: float) -> float:
    """A linear warm-up from 0 and half a cosine down to `final`."""
    if step < warmup:
        return peak * step / warmup
    return final + (peak - final) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
