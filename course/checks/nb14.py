"""The exercises of notebook 14: a difference and its error, the balance of experts; and those of `modern_norm`,
`modern_rotation`, `modern_positions`, `modern_parts`, `modern_attention` and `modern_masks`.
"""

from collections import Counter

import numpy as np
import torch

from course.checks.compare import is_pair, shown
from course.checks.decoder_parts import agrees
from course.checks.exercise import exercise
from course.checks.modern_attention import cache_bytes, repeat_heads
from course.checks.modern_masks import sees
from course.checks.modern_norm import RMSNorm
from course.checks.modern_parts import refuse, soft_cap, swiglu_width
from course.checks.modern_positions import change_by_shift, stretched_base
from course.checks.modern_rotation import rotate

__all__ = [
    "difference", "RMSNorm", "rotate", "change_by_shift", "stretched_base", "swiglu_width", "repeat_heads",
    "cache_bytes", "soft_cap", "sees", "imbalance",
]  # fmt: skip

# ---------------------------------------------------------------------- 14.1


@exercise("14.1", title="A difference and its error", minutes=6, difficulty=1)
def difference(answer, check):
    before, after = [2.31, 2.44, 2.36], [2.61, 2.52, 2.98, 2.57]
    change, error = _change_and_error(check, answer(before, after))
    _of_the_change(check, change, np.array(before), np.array(after))
    right = _by_sums(before, after)
    check.close(change, right[0], slug="change", hint="The mean of `after` less the mean of `before`.")
    _of_the_error(check, error, np.array(before), np.array(after))
    hint = "Each list's variance, over its own number of runs; both added; the root of the sum."
    check.close(error, right[1], slug="error", hint=hint)
    for number in range(12):
        n, m = (2, 2) if not number else (check.random.randint(2, 7), check.random.randint(2, 7))
        before, after = ([check.random.uniform(1, 4) for _ in range(count)] for count in (n, m))
        change, error = _change_and_error(check, answer(before, after))
        right = _by_sums(before, after)
        refuse(check, change, right[0], [
            ("absolute", -right[0], "a loss that became lower gave a difference above 0", "Its sign is kept."),
        ])  # fmt: skip
        check.close(change, right[0], slug="change", hint="The mean of `after` less the mean of `before`.")
        check.close(error, right[1], slug="error", hint=hint)
    got = _change_and_error(check, answer([2.5, 2.5], [2.25, 2.25, 2.25]))
    check.close(got, (-0.25, 0.0), slug="no-spread", hint="Runs that are all alike leave no error.")


def _change_and_error(check, got) -> tuple:
    check.that(is_pair(got), slug="a-pair", problem=f"the answer is {shown(got)}",
               hint="Return two numbers: the difference, and its standard error.")  # fmt: skip
    change, error = got
    single = not any(isinstance(each, tuple | list) or getattr(each, "shape", ()) for each in (change, error))
    check.that(single, slug="a-pair", problem=f"the answer is {shown(got)}",
               hint="Two single numbers: one difference and one error, of all runs together.")  # fmt: skip
    return change, error


def _by_sums(before, after) -> tuple[float, float]:
    means, squares = [], 0.0
    for losses in (before, after):
        mean = sum(losses) / len(losses)
        squares += sum((loss - mean) ** 2 for loss in losses) / (len(losses) - 1) / len(losses)
        means.append(mean)
    return means[1] - means[0], squares**0.5


def _of_the_change(check, change, before, after) -> None:
    right, paired = after.mean() - before.mean(), after[:3] - before
    refuse(check, change, right, [
        ("sign", -right, "a loss that became higher gave a difference below 0", "`after` less `before`."),
        ("order", _by_sums(before, after)[1], "the error came first", "First the difference, then its error."),
        ("sums", after.sum() - before.sum(), "sums were compared", "Means: the lists have different lengths."),
        ("sums", (after.sum() - before.sum()) / 3, "the sums were divided by one length", "Each by its own."),
        ("median", np.median(after) - np.median(before), "medians were compared", "The means are asked for."),
        ("best", after.min() - before.min(), "the best runs were compared", "The means are asked for."),
        ("best", after.max() - before.max(), "the worst runs were compared", "The means are asked for."),
        ("first", after[0] - before[0], "the first runs were compared", "The means are asked for."),
        ("paired", paired.mean(), "only as many runs as both have were used", "They are no pairs. All count."),
        ("relative", right / before.mean(), "that is relative to `before`", "The plain difference."),
        ("relative", after.mean() / before.mean(), "that is a ratio", "The difference."),
        ("one-mean", after.mean(), "that is the mean of `after`", "Less that of `before`."),
    ])  # fmt: skip


def _of_the_error(check, error, before, after) -> None:
    (n, m), (a, b) = (len(before), len(after)), (before.var(ddof=1), after.var(ddof=1))
    everything, paired = np.concatenate((before, after)), after[:3] - before
    pooled = ((n - 1) * a + (m - 1) * b) / (n + m - 2)
    single = "The square of a mean's standard error is the variance over the number of runs."
    add = "Squares of errors add up; the root comes at the end."
    refuse(check, error, _by_sums(before, after)[1], [
        ("n-below", (before.var() / n + after.var() / m) ** 0.5, "the variance has n below", "n - 1: ddof=1."),
        ("n-below", (before.var() + after.var()) ** 0.5, "the variance has n below", "n - 1, and then divide by n."),
        ("not-divided", (a + b) ** 0.5, "that is the spread of the runs, not of their means", single),
        ("not-divided", a**0.5 + b**0.5, "standard deviations were added", single),
        ("not-divided", everything.std(ddof=1), "that is the standard deviation of all runs", single),
        ("not-divided", everything.std(), "that is the standard deviation of all runs", single),
        ("not-divided", a + b, "variances were added", single + " And the root is missing."),
        ("divided-twice", (a / (n - 1) + b / (m - 1)) ** 0.5, "it was divided by n - 1 twice", single),
        ("divided-twice", (a / n**2 + b / m**2) ** 0.5, "standard deviations were divided by n", single),
        ("divided-twice", a**0.5 / n + b**0.5 / m, "standard deviations were divided by n", single),
        ("root-of-n", (a / n**0.5 + b / m**0.5) ** 0.5, "variances were divided by roots of n", single),
        ("errors-added", (a / n) ** 0.5 + (b / m) ** 0.5, "the errors themselves were added", add),
        ("errors-added", ((a / n) ** 0.5 + (b / m) ** 0.5) ** 0.5, "the errors were not squared", add),
        ("no-root", a / n + b / m, "that is the square of the error", add),
        ("subtracted", abs(a / n - b / m) ** 0.5, "one was subtracted from the other", "Both make it less sure."),
        ("subtracted", abs((a / n) ** 0.5 - (b / m) ** 0.5), "the errors were subtracted", "Both make it less sure."),
        ("averaged", ((a / n + b / m) / 2) ** 0.5, "the squares were averaged", add),
        ("averaged", ((a / n) ** 0.5 + (b / m) ** 0.5) / 2, "the errors were averaged", add),
        ("one-side", (a / n) ** 0.5, "that is the error of `before` alone", "Both means are unsure."),
        ("one-side", (b / m) ** 0.5, "that is the error of `after` alone", "Both means are unsure."),
        ("pooled", (pooled * (1 / n + 1 / m)) ** 0.5, "both were given one variance", "Each has its own variance."),
        ("pooled", (everything.var(ddof=1) * (1 / n + 1 / m)) ** 0.5, "both were taken for one list", single),
        ("pooled", (everything.var(ddof=1) / (n + m)) ** 0.5, "both were taken for one list", single),
        ("one-length", ((a + b) / n) ** 0.5, "both were divided by the length of `before`", "Each by its own."),
        ("one-length", ((a + b) / m) ** 0.5, "both were divided by the length of `after`", "Each by its own."),
        ("one-length", ((a + b) / (n + m)) ** 0.5, "both were divided by all runs", "Each by its own number."),
        ("lengths-exchanged", (a / m + b / n) ** 0.5, "the lengths are exchanged", "Each by its own number."),
        ("paired", (paired.var(ddof=1) / 3) ** 0.5, "the runs were taken as pairs", "They are no pairs: two lists."),
        ("doubled", 2 * (a / n + b / m) ** 0.5, "that is twice the error", "The error itself."),
        ("doubled", 1.96 * (a / n + b / m) ** 0.5, "that is 1.96 times the error", "The error itself."),
    ])  # fmt: skip


# ---------------------------------------------------------------------- 14.11


@exercise("14.11", title="Balance", minutes=12, difficulty=3)
def imbalance(answer, check):
    probabilities = torch.randn(7, 5).softmax(-1)
    chosen = torch.tensor([[0, 2], [3, 0], [0, 1], [2, 0], [1, 3], [0, 2], [1, 2]])  # nobody has the last one
    got, right = answer(probabilities, chosen), _by_counting(probabilities, chosen)
    _no_known_mistake(check, got, right, probabilities.double(), chosen)
    single = isinstance(got, torch.Tensor) and got.dim() == 0
    check.that(single, slug="one-number", problem=f"the answer is {shown(got)}",
               hint="A tensor with a single number and no axis: gradients start from it.")  # fmt: skip
    hint = "Shares of all choices times mean probabilities, summed over experts, times their number."
    check.close(got, right, slug="value", tolerance=1e-5, hint=hint)
    even = torch.full((6, 3), 1 / 3), torch.tensor([[0, 1], [1, 2], [2, 0]] * 2)
    check.close(answer(*even), 1.0, slug="even", hint="Equally busy experts come to 1.")
    alone = torch.eye(4)[[2] * 5], torch.tensor([[2]] * 5)
    check.close(answer(*alone), 4.0, slug="one-expert", hint="One expert that does everything comes to their number.")
    for N, n_expert, top_k in ((6, 4, 1), (1, 3, 1), (5, 4, 3), (9, 8, 2), (4, 3, 3), (2, 6, 2), (8, 2, 1)):
        probabilities = (2 * torch.randn(N, n_expert)).softmax(-1)
        chosen = torch.rand(N, n_expert).topk(top_k).indices if N % 2 else probabilities.topk(top_k).indices
        for dtype in (torch.float32, torch.float64):
            right = _by_counting(probabilities, chosen)
            check.close(answer(probabilities.to(dtype), chosen), right, slug="other-shapes", tolerance=1e-5, hint=hint)
        leaf = probabilities.clone().requires_grad_()
        _slope(check, answer(leaf, chosen), leaf, chosen)


def _by_counting(probabilities, chosen) -> float:
    rows, choices = probabilities.tolist(), Counter(chosen.flatten().tolist())
    products = (choices[e] / chosen.numel() * sum(row[e] for row in rows) / len(rows) for e in range(len(rows[0])))
    return len(rows[0]) * sum(products)


def _slope(check, got, leaf, chosen) -> None:
    hint = "A share has no gradient; the mean probability has one, and must keep it."
    check.that(isinstance(got, torch.Tensor) and got.requires_grad, slug="gradients", hint=hint,
               problem="the result carries no gradient: the router would learn nothing from it")  # fmt: skip
    slope = torch.autograd.grad(got, leaf, allow_unused=True)[0]
    (N, n_expert), choices = leaf.shape, Counter(chosen.flatten().tolist())
    right = torch.tensor([[n_expert * choices[e] / chosen.numel() / N for e in range(n_expert)]] * N)
    check.that(slope is not None, slug="gradients", problem="no gradient reaches the probabilities", hint=hint)
    agrees(check, slope, right, "the gradient with respect to a probability", slug="gradients", hint=hint)


def _no_known_mistake(check, got, right: float, P, chosen) -> None:
    (N, E), k = P.shape, chosen.shape[1]

    def share(of):
        return torch.bincount(of.flatten(), minlength=E) / of.numel()

    f, mean, ones = share(chosen), P.mean(0), torch.nn.functional.one_hot(chosen, E).double()
    every, taken = "All choices count, the second ones too.", ones.sum(1) * P
    counts = "`chosen` says which experts read a token."
    given = "The share of choices is a count. Probabilities have no part in it."
    means = "First both numbers for each expert, over all tokens; then their products."
    refuse(check, got, right, [
        ("times-experts", right / E, "n_expert is missing", "Sum the products, and multiply by the number of experts."),
        ("times-experts", right * E, "n_expert is in it twice", "Sum the products, times n_expert, once."),
        ("times-experts", right / E * N, "it was multiplied by the tokens", "By the number of experts."),
        ("times-experts", right / E * k, "it was multiplied by top_k", "By the number of experts."),
        ("times-experts", right / E**2, "products were averaged", "Sum the products, times n_expert."),
        ("experts-fixed", right / E * 8, "eight experts were taken for granted", "A column for each."),
        ("times-experts", right / E * 4, "one expert is missing", "Nobody chose the last one. It counts: n_expert."),
        ("denominator", right * k, "shares sum to top_k", "Of all N times top_k choices: shares sum to one."),
        ("denominator", right * k * N, "choices were counted, and not divided", "Shares sum to one."),
        ("denominator", right * N, "a sum over tokens was not divided", "Shares sum to one; then a mean."),
        ("denominator", right * N * N * k, "nothing was divided", "A share and a mean."),
        ("denominator", right * k / E, "shares sum to top_k, and n_expert is missing", "Shares sum to one."),
        ("first-choice", E * (share(chosen[:, 0]) * mean).sum(), "only first choices are counted", every),
        ("first-choice", E * (share(chosen[:, 1]) * mean).sum(), "only last choices are counted", every),
        ("from-probabilities", E * (share(P.argmax(-1)) * mean).sum(), "the likeliest expert was counted", counts),
        ("from-probabilities", E * (share(P.topk(k).indices) * mean).sum(), "the likeliest were counted", counts),
        ("softmax-again", E * (f * P.softmax(-1).mean(0)).sum(), "a softmax was taken", "Probabilities they are."),
        ("probabilities-alone", E * mean.square().sum(), "no choice is in it", "Shares times mean probabilities."),
        ("probabilities-alone", E * P.square().sum(-1).mean(), "no choice is in it", "Shares and probabilities."),
        ("shares-alone", E * f.square().sum(), "no probability is in it", "Shares times means."),
        ("weighted", E * (taken.mean(0) / k * mean).sum(), "choices were weighted by probability", given),
        ("weighted", E * (taken.sum(0) / taken.sum() * mean).sum(), "choices were weighted by probability", given),
        ("chosen-only", E * (f * taken.mean(0)).sum(), "only chosen probabilities are averaged", "Over all N tokens."),
        ("token-by-token", E * taken.sum(-1).mean(), "choice times probability was taken token by token", means),
        ("token-by-token", E * taken.sum(-1).mean() / k, "choice times probability was taken token by token", means),
        ("token-by-token", E * taken.mean() / k, "choice times probability was taken token by token", means),
        ("squared-difference", E * (f - mean).square().sum(), "that is a difference", "Products of both numbers."),
        ("one-mean", E * (f * P.mean()).sum(), "all probabilities have one mean", "The mean of each expert's own."),
        ("variance", 1 + E * (f * mean).var(), "that is a variance", "Products of both numbers, summed."),
        ("maximum", E * f.max() * mean.max(), "only the busiest is looked at", "The sum over all experts."),
        ("maximum", E * (f * mean).max(), "only the busiest is looked at", "The sum over all experts."),
        ("less-one", right - 1, "1 was taken away", "1 where all are equally busy."),
        ("sign", -right, "its sign is wrong", "Products of shares and probabilities, summed."),
        ("upside-down", 1 / right, "it is upside down", "Products of shares and probabilities, summed."),
        ("logarithm", -E * (f * mean.log()).sum(), "logarithms were taken", "Products of both numbers."),
        ("logarithm", -(f * mean.log()).sum(), "logarithms were taken", "Products of both numbers."),
        ("maximum", E * (f * P.max(0).values).sum(), "the largest probabilities were taken", "The mean of each."),
        ("not-summed", E * f * mean, "there is a number for each expert", "Sum them."),
        ("not-summed", f * mean, "there is a number for each expert", "Sum them, times their number."),
        ("whole-division", 0.0, "that is zero", "A share below 1 is no whole number."),
    ])  # fmt: skip
