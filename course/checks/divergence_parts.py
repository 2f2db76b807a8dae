"""Exercise of notebook 15 on the distance from the reference: three estimates of a KL divergence."""

import math

import torch

from course.checks.answer_parts import has_slope, told
from course.checks.compare import shown
from course.checks.decoder_parts import agrees
from course.checks.exercise import exercise

# ---------------------------------------------------------------------- 15.11


@exercise("15.11", title="Three estimates", minutes=8, difficulty=2)
def kl_estimates(answer, check):
    p, q = [0.5, 0.2, 0.2, 0.1], [0.25, 0.3, 0.05, 0.4]
    logprobs, reference = torch.tensor(p).log(), torch.tensor(q).log()
    got = _three(check, answer(logprobs, reference))
    _no_known_estimates(check, got, logprobs.double(), reference.double())
    right = _by_definition(p, q)
    for name, each, hint in (("k1", right[0], "-log(q / p)."), ("k2", right[1], "Half the square of log(q / p)."),
                             ("k3", right[2], "q / p - 1 - log(q / p).")):  # fmt: skip
        agrees(check, getattr(got, name), torch.tensor(each), name, slug=name, tolerance=1e-5, hint=hint)
    for size in (0.05, 1.0, 3.0):
        logprobs = torch.randn(9).log_softmax(0)
        reference = (logprobs + size * torch.randn(9)).log_softmax(0)
        chances = logprobs.exp().tolist()
        exact = sum(a * (math.log(a) - b) for a, b in zip(chances, reference.tolist(), strict=True))
        got = _three(check, answer(logprobs, reference))
        for name in ("k1", "k3"):
            mean = sum(a * k for a, k in zip(chances, getattr(got, name).tolist(), strict=True))
            check.close(mean, exact, slug="divergence", tolerance=1e-4, when=f"the mean of {name} over p",
                        hint="Averaged by p over all that can be sampled, k1 and k3 are the divergence.")  # fmt: skip
        check.that(bool((got.k2 >= 0).all()) and bool((got.k3 > -1e-5).all()), slug="negative",
                   problem=f"the smallest k2 is {got.k2.min():g}, the smallest k3 {got.k3.min():g}",
                   hint="k1 may be negative; a square and what lies above a tangent are not.")  # fmt: skip
    for shape in ((3, 5), (2, 1), (2, 3, 4), (1,)):
        logprobs = (-3 * torch.rand(shape)).requires_grad_()
        reference = -3 * torch.rand(shape)
        got = _three(check, answer(logprobs, reference))
        check.shape(got.k1, shape, slug="shape", hint="A number for each token.")
        d = (reference - logprobs).detach()
        for name, right, slope in (("k1", -d, torch.ones(shape)), ("k2", d**2 / 2, -d), ("k3", d.exp() - 1 - d,
                                                                                         1 - d.exp())):  # fmt: skip
            each, hint = getattr(got, name), "The policy learns through it: nothing is detached."
            agrees(check, each, right, f"{name}, shape {shape}", slug="random", tolerance=1e-5, hint="As in one row.")
            has_slope(check, each, name)
            ours = torch.autograd.grad(each.sum(), logprobs, retain_graph=True, allow_unused=True)[0]
            check.that(ours is not None, slug="gradients", problem=f"no gradient of {name} reaches p", hint=hint)
            agrees(check, ours, slope, f"the gradient of {name}", slug="gradients", tolerance=1e-4, hint=hint)


def _three(check, got):
    check.that(isinstance(got, tuple) and all(hasattr(got, name) for name in ("k1", "k2", "k3")), slug="form",
               problem=f"the answer is {shown(got)}", hint="Return KLEstimates(k1, k2, k3).")  # fmt: skip
    return got


def _by_definition(p, q) -> tuple[list[float], ...]:
    pairs = list(zip(p, q, strict=True))
    return ([math.log(a / b) for a, b in pairs], [math.log(a / b) ** 2 / 2 for a, b in pairs],
            [b / a - 1 - math.log(b / a) for a, b in pairs])  # fmt: skip


def _no_known_estimates(check, got, p, q) -> None:
    d = q - p
    ratio, one, two, three = d.exp(), -d, d**2 / 2, d.exp() - 1 - d
    back, order = (-d).exp() - 1 + d, "KLEstimates(k1, k2, k3): the definition, the square, the one with q / p."
    tokens = "They are sampled already: a number for each token, not weighted and not averaged."
    told(check, got.k1, one, [
        ("directions", d, "k1 is log(q / p)", "The policy that sampled is above: log p - log q."),
        ("order", two, "k1 is k2", order), ("order", three, "k1 is k3", order),
        ("weighted", p.exp() * one, "k1 was weighted by p", tokens), ("averaged", one.mean(), "k1 is a mean", tokens),
        ("weighted", (p.exp() * one).sum(), "k1 is the divergence itself", tokens),
        ("weighted", q.exp() * one, "k1 was weighted by q", tokens),
        ("absolute", one.abs(), "k1 has lost its sign", "It may be negative."),
        ("absolute", one.clamp(min=0), "k1 was cut off at 0", "It may be negative."),
        ("quotient", -(q / p).log(), "a logarithm was taken of logarithms", "log(q / p) = log q - log p."),
        ("base", one / math.log(2), "k1 is in bits", "Natural logarithms, as they come in."),
        ("ratio", 1 / ratio, "k1 is p / q", "The logarithm of it."), ("ratio", ratio, "k1 is q / p", "-log of it."),
        ("quotient", p / q, "logarithms were divided", "log(a / b) = log a - log b."),
        ("probabilities", p.exp() - q.exp(), "probabilities were subtracted", "Logarithms are."),
    ], when="")  # fmt: skip
    told(check, got.k2, two, [
        ("not-halved", d**2, "k2 is the square", "Half of it."), ("order", three, "k2 is k3", order),
        ("not-squared", d / 2, "k2 was not squared", "Half the square."), 
        ("not-squared", one / 2, "k2 was not squared", "Half the square."),
        ("half-squared", d**2 / 4, "the half was squared, too", "First the square, then half of it."),
        ("order", one, "k2 is k1", order), ("ratio-squared", ratio**2 / 2, "q / p was squared", "Its logarithm."),
        ("ratio-squared", (ratio - 1) ** 2 / 2, "q / p - 1 was squared", "The logarithm of q / p."),
        ("averaged", two.mean(), "k2 is a mean", tokens), ("weighted", p.exp() * two, "k2 was weighted by p", tokens),
    ], when="")  # fmt: skip
    told(check, got.k3, three, [
        ("directions", back, "k3 has p / q in it", "w = q / p: the reference is above."),
        ("k3-sign", ratio - 1 + d, "log w was added in k3", "w - 1 - log w."), ("order", two, "k3 is k2", order),
        ("k3-sign", 1 - ratio + d, "k3 has the wrong sign", "w - 1 - log w is never negative."),
        ("k3-sign", 1 - ratio - d, "w - 1 was subtracted in k3", "w - 1 - log w."), ("order", one, "k3 is k1", order),
        ("directions", (-d).exp() - 1 - d, "k3 has p / q for w, and log q / p", "w = q / p in both places."),
        ("no-one", ratio - d, "the 1 is missing in k3", "w - 1 - log w: where p is q, it is 0."),
        ("no-one", ratio + 1 - d, "1 was added in k3", "w - 1 - log w: where p is q, it is 0."),
        ("quotient", q / p - 1 - (q / p).log(), "logarithms were divided in k3", "w = exp(log q - log p)."),
        ("base", (2 ** (d / math.log(2)) - 1 - d / math.log(2)), "log w is in bits in k3", "Natural logarithms."),
        ("no-logarithm", ratio - 1, "log w is missing in k3", "w - 1 - log w."),
        ("no-exponential", torch.zeros_like(d) - 1, "w was not made by exp in k3", "w is exp of log w."),
        ("averaged", three.mean(), "k3 is a mean", tokens),
        ("weighted", p.exp() * three, "k3 was weighted by p", tokens),
    ], when="")  # fmt: skip
