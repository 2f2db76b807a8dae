"""Exercises of notebook 15 on preferences: the loss of a pair, the loss of DPO."""

import math

import torch

from course.checks.answer_parts import has_slope, one_number, told
from course.checks.compare import shown
from course.checks.decoder_parts import agrees
from course.checks.exercise import exercise
from course.checks.modern_parts import of_type

# ---------------------------------------------------------------------- 15.6

_NEVER_INFINITE = "A sigmoid that has become 0 has no logarithm, and exp of a large number is infinite. F.logsigmoid."


@exercise("15.6", title="The loss of a pair", minutes=6, difficulty=1)
def pair_loss(answer, check):
    better, worse = torch.tensor([1.5, -0.5, 0.25, 2.0]), torch.tensor([0.5, 0.75, 0.25, -2.0])
    got, d = answer(better, worse), (better - worse).double()
    told(check, got, _of_pairs(d), [*_of_a_loss(d), *_of_rewards(better.double(), worse.double())])
    hint = "Of each pair the logarithm of sigmoid(better - worse); the mean; the sign turned."
    one_number(check, got)
    check.close(got, _of_pairs(d), slug="value", hint=hint)
    check.close(answer(worse, worse), math.log(2), slug="equal", hint="Equal rewards: the logarithm of 2.")
    for size, B in ((0.1, 1), (1.0, 5), (1.5, 8)):
        better, worse = (size * torch.randn(B, requires_grad=True) + 7 for _ in range(2))
        got = answer(better, worse)
        check.close(got, _of_pairs(better - worse), slug="random", hint=hint)
        has_slope(check, got, "the loss")
        slopes = torch.autograd.grad(got, (better, worse), allow_unused=True)
        _of_both(check, slopes, -torch.sigmoid(worse - better) / B, "gradients")
    _far_apart(check, answer, lambda d: (d, torch.zeros_like(d)))
    of_type(check, answer(*torch.randn(2, 6).double()), torch.float64, "rewards")


def _of_rewards(better, worse) -> list[tuple]:
    """What the loss becomes where rewards are not compared pair by pair, by their difference."""

    def loss(d):
        return -torch.nn.functional.logsigmoid(d).mean()

    apart = "Only the difference counts: first subtract, then one sigmoid of it."
    return [
        ("apart", loss(better) - loss(worse), "each reward has a sigmoid of its own", apart),
        ("apart", loss(better) + loss(-worse), "each answer is judged by itself", apart),
        ("apart", loss(better.sigmoid() - worse.sigmoid()), "sigmoids were subtracted", apart),
        ("one-side", loss(better), "the worse answers are missing", "Of a pair both."),
        ("one-side", loss(-worse), "the better answers are missing", "Of a pair both."),
        ("quotient", loss(better / worse), "rewards were divided", apart),
        ("absolute", loss((better - worse).abs()), "the difference has lost its sign", "better less worse."),
        ("squared", (better - worse - 1).square().mean(), "that is a mean square", "-log sigmoid of the difference."),
        ("all-pairs", loss(better[:, None] - worse), "every better answer was compared with every worse one",
         "The first with the first, the second with the second."),
        ("one-choice", -better.log_softmax(0).mean(), "that is a softmax over all pairs", "Each pair by itself."),
    ]  # fmt: skip


def _of_pairs(d) -> float:
    """The mean of log(1 + exp(-d)), where no exponential is of a positive number."""
    values = d.tolist()
    return sum(max(-each, 0.0) + math.log1p(math.exp(-abs(each))) for each in values) / len(values)


def _of_a_loss(d, what: str = "the difference of rewards") -> list[tuple]:
    """What a loss of pairs with differences `d` becomes by mistakes."""
    p, B = d.sigmoid(), len(d)
    each, one = -p.log(), "The mean over pairs: one number."
    return [
        ("summed", each.sum(), "the losses of pairs were added up", "The mean over pairs."),
        ("summed", each.mean() / B, "it was divided by the number of pairs twice", "The mean over pairs."),
        ("no-mean", each, "there is a loss for each pair", one), ("no-mean", -each, "there is one for each pair", one),
        ("sign", -each.mean(), "the sign is not turned", "A loss is made small: minus the logarithm."),
        ("exchanged", -(1 - p).log().mean(), "the worse answer is preferred", "better less worse."),
        ("exchanged", (1 - p).log().mean(), "better and worse are exchanged, and the sign is not turned", "See both."),
        ("no-logarithm", p.mean(), "that is the mean probability", "The logarithm of it, and its sign turned."),
        ("no-logarithm", -p.mean(), "that is minus the mean probability", "The logarithm of it."),
        ("no-logarithm", (1 - p).mean(), "that is the probability of the wrong order", "-log p, not 1 - p."),
        ("no-sigmoid", -d.mean(), f"that is {what} alone", "A sigmoid makes a probability of it."),
        ("no-sigmoid", d.mean(), f"that is {what} alone", "A sigmoid makes a probability of it, a logarithm a loss."),
        ("log-twice", -p.log().sigmoid().log().mean(), "the logarithm of the sigmoid was taken twice",
         "F.logsigmoid has both in it."),
        ("log-twice", -p.sigmoid().log().mean(), "the sigmoid was taken twice", "Once."),
        ("mean-first", -d.mean().sigmoid().log(), f"the mean of {what} was taken first", "First a loss for each pair."),
        ("mean-first", -p.mean().log(), "the mean probability was taken first", "First a loss for each pair."),
        ("base", each.mean() / math.log(2), "the logarithm is to base 2", "The natural one."),
        ("base", each.mean() / math.log(10), "the logarithm is to base 10", "The natural one."),
        ("half", each.mean() / 2, "that is half of it", "The mean over pairs, not over answers."),
        ("hinge", (1 - d).clamp(min=0).mean(), "that is a hinge", "-log sigmoid of the difference."),
        ("hinge", (-d).clamp(min=0).mean(), "that is a hinge", "-log sigmoid of the difference."),
        ("squared", d.square().mean(), "that is the mean square", "-log sigmoid of the difference."),
    ]  # fmt: skip


def _of_both(check, slopes, right, slug: str, names=("better", "worse")) -> None:
    for name, slope, expected in zip(names, slopes, (right, -right), strict=True):
        check.that(slope is not None, slug=slug, problem=f"no gradient reaches `{name}`", hint="Nothing is detached.")
        agrees(check, slope, expected.detach(), f"the gradient of `{name}`", slug=slug,
               hint="The surer it already is of the right order, the less a pair pulls.")  # fmt: skip


def _far_apart(check, answer, arguments) -> None:
    """Differences at which an exponential overflows, or a probability is 0."""
    for values in ([-1000.0, 3.0], [1000.0, 2.0], [-1e4, 1e4], [-40.0, 40.0]):
        d = torch.tensor(values, requires_grad=True)
        got = answer(*arguments(d))
        one_number(check, got)
        when = f"differences {values}"
        check.that(got.isfinite(), slug="overflow", when=when, hint=_NEVER_INFINITE,
                   problem=f"expected {shown(_of_pairs(d))}, got {shown(got)}")  # fmt: skip
        check.close(got, _of_pairs(d), slug="cut-off", when=when,
                    hint="No limit, and no small number under the logarithm: F.logsigmoid needs neither.")  # fmt: skip
        slope = torch.autograd.grad(got, d)[0]
        agrees(check, slope, -torch.sigmoid(-d.detach()) / 2, f"{when}: the gradient", slug="overflow",
               hint=_NEVER_INFINITE)  # fmt: skip


# ---------------------------------------------------------------------- 15.7


@exercise("15.7", title="The loss of DPO", minutes=8, difficulty=2)
def dpo_loss(answer, check):
    four = [torch.tensor(values) for values in ([-10.0, -14.5, -8.25], [-12.0, -11.0, -9.0],
                                                [-11.0, -15.5, -11.25], [-9.5, -11.5, -6.0])]  # fmt: skip
    got, beta = answer(*four, beta=0.4), 0.4
    _no_known_dpo_mistake(check, got, [each.double() for each in four], beta)
    hint = "beta (policy - reference) of the better answers, less that of the worse; and the loss of a pair of it."
    one_number(check, got)
    check.close(got, _by_differences(four, beta), slug="value", hint=hint)
    check.close(answer(*four), _by_differences(four, 0.1), slug="default-beta", hint="Left out, beta is 0.1.")
    b, w = four[:2]
    check.close(answer(b, w, b, w, 0.7), math.log(2), slug="unmoved", hint="Before the first step the loss is log 2.")
    for beta, B in ((0.01, 1), (0.1, 4), (1.0, 6), (5.0, 3)):
        four = [-20 + 5 * torch.randn(B) for _ in range(4)]
        four[0].requires_grad_(), four[1].requires_grad_()
        got, pulls = answer(*four, beta), beta * (four[0] - four[1] - four[2] + four[3])
        check.close(got, _by_differences(four, beta), slug="random", hint=hint, tolerance=1e-4)
        has_slope(check, got, "the loss")
        slopes = torch.autograd.grad(got, four[:2], allow_unused=True)
        _of_both(check, slopes, -beta * torch.sigmoid(-pulls) / B, "gradients", ("policy_better", "policy_worse"))
    _far_apart(check, answer, lambda d: (d, torch.zeros_like(d), torch.zeros_like(d), torch.zeros_like(d), 1.0))


def _by_differences(four, beta: float) -> float:
    rows = zip(*(each.tolist() for each in four), strict=True)
    return _of_pairs(torch.tensor([beta * ((pb - rb) - (pw - rw)) for pb, pw, rb, rw in rows], dtype=torch.float64))


_BRACKET = "Policy less reference, in brackets, of each answer; beta multiplies the whole of it."


def _no_known_dpo_mistake(check, got, four, beta: float) -> None:
    pb, pw, rb, rw = four
    itself = "Each answer is compared with itself, under the reference."

    def loss(d):
        return -torch.nn.functional.logsigmoid(d).mean()

    b, w = pb - rb, pw - rw
    told(check, got, loss(beta * (b - w)), [
        ("no-reference", loss(beta * (pb - pw)), "the reference is left out", itself),
        ("no-reference", loss(beta * (b - pw)), "the reference of the worse answers is left out", itself),
        ("no-reference", loss(beta * (pb - w)), "the reference of the better answers is left out", itself),
        ("reference-alone", loss(beta * (rb - rw)), "only the reference is there", itself),
        ("no-beta", loss(b - w), "beta is missing", "beta multiplies both differences."),
        ("beta-one-side", loss(beta * b - w), "beta multiplies the better side alone", "Both differences."),
        ("beta-one-side", loss(b - beta * w), "beta multiplies the worse side alone", "Both differences."),
        ("beta-policy", loss(beta * (pb - pw) - (rb - rw)), "beta multiplies the policy alone", "All four."),
        ("beta-divides", loss((b - w) / beta), "it was divided by beta", "beta multiplies."),
        ("beta-outside", beta * loss(b - w), "beta is outside of the loss", "It stands inside of the sigmoid."),
        ("beta-squared", loss(beta**2 * (b - w)), "beta is in it twice", "Once."),
        ("beta-fixed", loss(0.1 * (b - w)), "beta is 0.1 whatever was given", "`beta` is an argument."),
        ("exchanged", loss(beta * (w - b)), "the sigmoid's argument has the wrong sign",
         "policy less reference; and of these better less worse."),
        ("crossed", loss(beta * ((pb - rw) - (pw - rb))), "the reference counts with the wrong sign", itself),
        ("bracket", loss(beta * (pb - pw - rb - rw)), "the reference of the worse answers has the wrong sign",
         _BRACKET),
        ("bracket", loss(beta * b - pw - rw), "the reference of the worse answers has the wrong sign", _BRACKET),
        ("one-side", loss(beta * b), "the worse answers are missing", "Of a pair both."),
        ("one-side", loss(-beta * w), "the better answers are missing", "Of a pair both."),
        ("apart", loss(beta * b) + loss(-beta * w), "each answer is judged by itself", "One, of the difference."),
        ("apart", loss(beta * b) - loss(beta * w), "each answer has a sigmoid of its own", "One, of the difference."),
        ("squared", (b - w - 1 / (2 * beta)).square().mean(), "that is a mean square", "-log sigmoid: equation 7."),
        ("probabilities", loss(beta * (pb.exp() / rb.exp() - pw.exp() / rw.exp())), "the ratios lack a logarithm",
         "log p comes in: a ratio's logarithm is a difference."),
        ("quotients", loss(beta * (pb / rb - pw / rw)), "logarithms were divided", "log(a / b) = log a - log b."),
        ("quotients", loss(beta * ((pb / rb).log() - (pw / rw).log())), "a logarithm was taken of logarithms",
         "log p comes in: log(a / b) = log a - log b."),
        *_of_a_loss(beta * (b - w), "the difference of implicit rewards"),
    ])  # fmt: skip
