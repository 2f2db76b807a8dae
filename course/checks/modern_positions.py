"""Exercises of notebook 14 on positions that are turned: scores after a shift, a stretched base."""

import math

import torch

from course.checks.compare import shown
from course.checks.exercise import exercise
from course.checks.modern_parts import refuse

# ---------------------------------------------------------------------- 14.4


def _scores(T: int):
    """Scores, (T, T), that depend on the positions of both tokens, not on the distance alone."""
    content, up, down = torch.randn(T, T), torch.randn(T, 1), torch.randn(1, T)

    def scores_at(positions):
        at = torch.as_tensor(positions).double()
        return content + (up * torch.sin(0.3 * at)[:, None] - down * torch.cos(0.17 * at + 1)[None]).float()

    return scores_at


def _negated(of):
    def scores_at(positions):
        return -of(positions)

    return scores_at


@exercise("14.4", title="Scores after a shift", minutes=5, difficulty=1)
def change_by_shift(answer, check):
    largest = "The largest absolute change of any score."
    for number in range(8):
        T, shift = (6, 50) if number < 2 else (check.random.randint(1, 6), check.random.choice((-7, 1, 3, 20)))
        scores_at, positions = _scores(T), torch.randperm(15)[:T] + 3
        before, after = (scores_at(positions + far) for far in (0, shift))
        change = after - before
        if (change.max() > -change.min()) == (number % 2 == 0):  # the largest change: now downward, now upward
            scores_at, before, after, change = _negated(scores_at), -before, -after, -change
        right, size = change.abs().max().item(), change.abs()
        got, places, from_0 = answer(scores_at, positions, shift), torch.arange(T), positions - positions[0]

        def other(at, before=before, scores_at=scores_at):
            return (scores_at(at) - before).abs().max()

        plain = not isinstance(got, bool) and not (isinstance(got, torch.Tensor) and got.dim())
        check.that(plain, slug="one-number", problem=f"the answer is {shown(got)}", hint=largest)
        refuse(check, got, right, [
            ("no-absolute", change.max(), "changes downward do not count", "Take each change's size first."),
            ("no-absolute", -change.min(), "changes upward do not count", "Take each change's size first."),
            ("no-absolute", change.min(), "that is the largest change downward, with its sign", largest),
            ("no-absolute", change.max().abs(), "the size was taken of the maximum", "First abs, then max."),
            ("mean", size.mean(), "that is the mean", largest),
            ("mean", change.mean(), "that is the mean", largest),
            ("mean", change.square().mean().sqrt(), "that is the root of the mean square", largest),
            ("mean", size.median(), "that is the median", largest),
            ("sum", size.sum(), "that is a sum", largest),
            ("sum", change.norm(), "that is the root of the sum of squares", largest),
            ("squared", size.max() ** 2, "that is its square", largest),
            ("smallest", size.min(), "that is the smallest change", largest),
            ("largest-scores", after.max() - before.max(), "two maxima were compared", "First subtract."),
            ("largest-scores", (after.max() - before.max()).abs(), "two maxima were compared", "First subtract."),
            ("largest-scores", after.abs().max() - before.abs().max(), "the largest were compared", "First subtract."),
            ("largest-scores", (after.abs().max() - before.abs().max()).abs(), "two maxima were compared", largest),
            ("sizes", (after.abs() - before.abs()).abs().max(), "the scores' sizes were compared", "First subtract."),
            ("relative", (change / before).abs().max(), "that is relative to the score", "The plain change."),
            ("relative", right / before.abs().max(), "that is relative to the largest score", "The plain change."),
            ("softmax", (after.softmax(-1) - before.softmax(-1)).abs().max(), "those are weights", "Scores, as given."),
            ("not-moved", 0.0, "nothing changed", "The second call is given the positions, each plus `shift`."),
            ("largest-scores", after.abs().max(), "that is the largest score behind the shift", "Take the difference."),
            ("scores-moved", abs(shift), "`shift` was added to the scores", "Add it to the positions."),
            ("rolled", other(positions.roll(shift)), "the positions were exchanged", "Each of them grows by `shift`."),
            ("one-step", other(positions + 1), "all positions grew by one", "By `shift`."),
            ("direction", other(positions - shift), "the positions became smaller", "They grow by `shift`."),
            ("multiplied", other(positions * shift), "the positions were multiplied", "Add the shift."),
            ("positions-ignored", (scores_at(places + shift) - scores_at(places)).abs().max(),
             "the tokens stand at 0, 1, 2 and so on", "`positions` says where they stand."),
            ("positions-ignored", (scores_at(from_0 + shift) - scores_at(from_0)).abs().max(),
             "the first position was taken for 0", "`positions` says where they stand."),
            ("positions-ignored", other(places + shift), "the tokens came to stand at other places",
             "Each stands at its own position plus `shift`."),
            ("twice", (after - scores_at(positions - shift)).abs().max(), "they moved by twice as much", "From 0."),
            ("twice", (scores_at(positions + 2 * shift) - after).abs().max(), "both were moved", "One of the two."),
            ("part", size.diagonal().max(), "only the diagonal was looked at", "All scores count."),
            ("part", size[0].max(), "only the first query was looked at", "All scores count."),
            ("part", size[-1].max(), "only the last query was looked at", "All scores count."),
            ("part", size.tril().max(), "keys that come later were left out", "All scores count."),
            ("per-step", right / shift, "it was divided by the shift", "The whole change."),
        ] if T > 1 else [])  # fmt: skip
        check.close(got, right, slug="value", tolerance=1e-5, hint=largest)
        check.that(not isinstance(got, torch.Tensor), slug="one-number", problem="the answer is a tensor",
                   hint=".item() makes it a plain number.")  # fmt: skip
    check.close(answer(scores_at, positions, 0), 0.0, slug="no-shift", hint="Without a shift nothing changes.")
    distance = lambda at: (at[:, None] - at[None]).double()  # noqa: E731
    check.close(answer(distance, torch.tensor([4, 9, 2]), 13), 0.0, slug="distances", hint=largest)


# ---------------------------------------------------------------------- 14.5


@exercise("14.5", title="A stretched base", minutes=10, difficulty=2)
def stretched_base(answer, check):
    slowest = "Set the slowest pair's new frequency equal to the old one over `times`, and solve for the base."
    for base, times, d in ((10_000.0, 4.0, 12), (500.0, 3.0, 16), (10_000.0, 8.0, 64), (2.0, 1.5, 4)):
        right = by_logarithms(base, times, d)
        refuse(check, answer(base, times, d), right, [
            ("linear", base * times, "the base grew by `times`", "The slowest pair does not turn by 1 / base: i ends "
             "at d_head / 2 - 1."),
            ("upside-down", base * times ** ((d - 2) / d), "the exponent is upside down", slowest),
            ("faster", base / times ** (d / (d - 2)), "the slowest pair turns faster", "More slowly: a larger base."),
            ("faster", base * times ** (-(d - 2) / d), "the slowest pair turns faster", "A larger base."),
            ("base-too", (base * times) ** (d / (d - 2)), "the base has an exponent as well",
             "The root is taken of the whole equation: the old base comes out of it as it is."),
            ("base-too", base ** (d / (d - 2)) * times, "the exponent is on the base", "It belongs to `times`."),
            ("base-too", base**times, "that is base to the power of times", slowest),
            ("wrong-pair", base * times ** (d / 2), "that is for the second pair",
             "The slowest pair is the last, i = d_head / 2 - 1."),
            ("wrong-pair", base * times ** (d / (d - 1)), "i is half of a pair too far", "i = d_head / 2 - 1."),
            ("wrong-pair", base * times ** (d / (d - 4)) if d > 4 else 0, "that is for the last pair but one",
             "i goes up to d_head / 2 - 1."),
            ("wrong-pair", base * times ** (d / (d + 2)), "i is one too large", "i goes up to d_head / 2 - 1."),
            ("wrong-pair", base * times ** ((d / 2) / (d - 2)), "the exponent is half of it", "2 i over d_head."),
            ("wrong-pair", base * times ** (2 * d / (d - 2)), "the exponent is twice as large", "2 i over d_head."),
            ("wrong-pair", base * times**d, "the exponent is d_head", "2 i over d_head, with i = d_head / 2 - 1."),
            ("wrong-pair", base * times ** (d / (2 * d - 2)), "i goes up to d_head there", "i = d_head / 2 - 1."),
            ("added", base + times ** (d / (d - 2)), "something was added to the base", "The base times that."),
            ("base-too", base ** min(times ** (d / (d - 2)), 70), "the base was raised to a power", "Multiply it."),
            ("times-fixed", base * 4 ** (d / (d - 2)), "that is for 4 times", "`times` is an argument."),
            ("times-fixed", base * math.floor(times) ** (d / (d - 2)), "`times` was rounded", "It is as it is."),
            ("unchanged", base, "the base is as it was", slowest),
            ("rounded", round(right), "the base was rounded", "Any number can be a base."),
            ("rounded", math.floor(right), "the base was cut to a whole number", "Any number can be a base."),
            ("rounded", round(right, -2), "the base was rounded to hundreds", "Any number can be a base."),
            ("frequency", base ** (-(d - 2) / d) / times, "that is the new frequency", "The base is asked for."),
            ("frequency", base ** (-(d - 2) / d), "that is a frequency", "The base is asked for."),
            ("factor", times ** (d / (d - 2)), "that is by how much the base grows", "Multiply."),
            ("base-fixed", 10_000 * times ** (d / (d - 2)), "the old base is 10,000 there", "`base` is an argument."),
            *[("width-fixed", base * times ** (fixed / (fixed - 2)), f"that is for d_head = {fixed}",
               "`d_head` is an argument.") for fixed in (8, 16, 64, 128)],
        ], tolerance=1e-6)  # fmt: skip
        check.close(answer(base, times, d), right, slug="value", tolerance=1e-6, hint=slowest)
    for _ in range(8):
        base, times = 10 ** check.random.uniform(1, 6), check.random.uniform(1, 32)
        d = 2 * check.random.randint(2, 64)
        check.close(answer(base, times, d), by_logarithms(base, times, d), slug="random", tolerance=1e-6, hint=slowest)
    check.close(answer(700, 1, 12), 700.0, slug="not-stretched", tolerance=1e-6, hint="1 times as slowly: as it was.")


def by_logarithms(base: float, times: float, d_head: int) -> float:
    """The base whose logarithm makes that of the slowest frequency smaller by log times."""
    i = d_head // 2 - 1
    slowest = -2 * i / d_head * math.log(base) - math.log(times)
    return math.exp(slowest * d_head / (-2 * i))
