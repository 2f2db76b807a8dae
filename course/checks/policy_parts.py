"""Exercises of notebook 15 on rewards of a group: a baseline, advantages."""

from statistics import fmean, median, stdev

import torch

from course.checks.answer_parts import told
from course.checks.decoder_parts import agrees
from course.checks.exercise import exercise
from course.checks.modern_parts import alike, doubles, of_type

# ---------------------------------------------------------------------- 15.8


@exercise("15.8", title="Leave one out", minutes=6, difficulty=1)
def leave_one_out(answer, check):
    square = torch.tensor([[1.0, 0.0, 0.5], [2.0, -1.0, 4.5], [0.25, 3.0, 1.0]])  # here every axis fits
    R = square.double()
    told(check, answer(square), _means_of_others(square), [
        ("axis", _means_of_others(R.T).T, "the mean is over the other orders", "A row is a group: dim=-1."),
        ("axis", (R.sum(1) - R) / 2, "sums of rows stand in columns", "keepdim=True leaves a column of sums."),
    ])  # fmt: skip
    rewards = torch.randn(7, 5)  # no two of 7, 5 and what is one less are alike
    got, R, right = answer(rewards), rewards.double(), _means_of_others(rewards)
    sums, least = R.sum(1, keepdim=True), "An answer has no part in its own baseline: size - 1 others."
    mean, first = R.mean(1, keepdim=True), "First take one's own away, then divide: brackets."
    every = "Of all others of the group, by their number."
    one_of = [(R.roll(way, 1), "that is another answer's reward") for way in (1, -1)]
    others = [[row[:i] + row[i + 1 :] for i in range(5)] for row in R.tolist()]
    told(check, got, right, [
        ("own-included", mean.expand(7, 5), "an answer's own reward is in its baseline", least),
        ("own-included", mean, "that is the mean of the group, own reward and all", least),
        ("own-included", R.mean(1), "that is a number for each group, with the own reward in it", least),
        ("divided-by-size", (sums - R) / 5, "the others' sum was divided by the size of the group", least),
        ("brackets", mean - R, "one's own reward was taken from the mean of all", first),
        ("brackets", (mean - R) / 4, "one's own reward was taken from the mean of all", first),
        ("brackets", sums - R / 4, "only one's own reward was divided", first),
        ("brackets", sums / 4, "the sum of all was divided by size - 1", "First take one's own away."),
        ("brackets", sums.expand(7, 5) / 4, "the sum of all was divided by size - 1", "First take one's own away."),
        ("not-divided", sums - R, "that is the sum of the others", "Their mean: there are size - 1."),
        ("size-fixed", (sums - R) / 3, "it was divided by 3, and there are 4 others", "rewards.shape[-1] is the size."),
        ("size-fixed", (sums - R) / 6, "it was divided by the groups less 1", "By the others of a group."),
        ("size-fixed", (sums - R) / 7, "it was divided by the number of groups", "By the others of a group."),
        ("subtracted", R - right, "that is the reward less its baseline", "The baseline alone."),
        ("subtracted", right - R, "that is the baseline less the reward", "The baseline alone."),
        ("whole-batch", (R.sum() - R) / 34, "the answers to other orders are counted", "Row by row: dim=-1."),
        ("whole-batch", (R.sum() - R) / 4, "the answers to other orders are counted", "Row by row: dim=-1."),
        ("others-best", torch.tensor([list(map(max, row)) for row in others]), "that is the best of the others", every),
        ("median", torch.tensor(others).median(2).values, "that is the median of the others", every),
        ("median", torch.tensor([list(map(median, row)) for row in others]), "that is the median of the others", every),
        ("earlier", (R.cumsum(1) - R) / torch.arange(5).clamp(min=1), "only earlier answers are counted", every),
        *[("one-other", value, problem, every) for value, problem in one_of],
        ("whole-division", ((sums - R) / 4).floor(), "the mean was rounded down", "`/` divides, `//` rounds down."),
        ("sign", -right, "the sign is turned", "The baseline is subtracted later, by whoever uses it."),
        ("unchanged", R, "the rewards came back", "The mean reward of the others."),
    ])  # fmt: skip
    hint = "Of each answer: the rewards of the others in its row, added up and divided by their number."
    agrees(check, got, right, "the baseline of 7 groups of 5", slug="values", tolerance=1e-5, hint=hint)
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.5, 0.5, 0.5]])
    agrees(check, answer(rewards), _means_of_others(rewards), "the baseline where rewards are equal",
           slug="equal-rewards", tolerance=1e-5,
           hint="Only the answer itself is left out. Another one with the same reward counts.")  # fmt: skip
    agrees(check, answer(square), _means_of_others(square), "the baseline of 3 groups of 3", slug="other-shapes",
           tolerance=1e-5, hint=hint)  # fmt: skip
    for groups, size in ((1, 4), (5, 2), (3, 8), (1, 2), (6, 3), (2, 5)):
        rewards = 3 * torch.randn(groups, size) + 1
        agrees(check, answer(rewards), _means_of_others(rewards), f"the baseline of {groups} groups of {size}",
               slug="other-shapes", tolerance=1e-5, hint=hint)  # fmt: skip
    of_type(check, answer(torch.randn(2, 3).double()), torch.float64, "rewards")


def _means_of_others(rewards) -> torch.Tensor:
    rows = rewards.tolist()
    return torch.tensor([[fmean(row[:i] + row[i + 1 :]) for i in range(len(row))] for row in rows]).double()


# ---------------------------------------------------------------------- 15.9


@exercise("15.9", title="Advantages", minutes=8, difficulty=1)
def advantages(answer, check):
    rewards = torch.tensor([[1.0, 0.0, 0.5], [2.0, -1.0, 4.5], [0.25, 3.0, 1.0]])  # square: an axis may be wrong
    R, right = rewards.double(), _standard_scores(rewards)
    better, std = R - R.mean(1, keepdim=True), R.std(1, keepdim=True)
    n_below, row = R.std(1, keepdim=True, correction=0), "Each group has its own: dim=-1, keepdim=True."
    mean, length = R.mean(1, keepdim=True), better.norm(dim=1, keepdim=True)
    _of_divide(check, answer, rewards, better, right)
    got = answer(rewards)
    told(check, got, right, [
        ("n-below", better / (n_below + 1e-4), "the standard deviation has n below", "n - 1: torch.std as it is."),
        ("whole-batch", (R - R.mean()) / (R.std() + 1e-4), "mean and deviation are those of all groups", row),
        ("whole-batch", better / (R.std() + 1e-4), "the deviation is that of all groups", row),
        ("whole-batch", better / (better.std() + 1e-4), "the deviation is that of all groups", row),
        ("whole-batch", (R - R.mean()) / (std + 1e-4), "the mean is that of all groups", row),
        ("axis", (R - R.mean(0)) / (R.std(0) + 1e-4), "mean and deviation are those of a column", row),
        ("axis", (R - R.mean(1)) / (R.std(1) + 1e-4), "means of rows stand in columns", "keepdim=True."),
        ("axis", better / (R.std(1) + 1e-4), "deviations of rows stand in columns", "keepdim=True."),
        ("variance", better / (std**2 + 1e-4), "it was divided by the variance", "The standard deviation."),
        ("not-divided", better, "it was not divided by the standard deviation", "It is, unless divide=False."),
        ("multiplied", better * (std + 1e-4), "it was multiplied by the deviation", "Divide by it."),
        ("mean-stays", R / (std + 1e-4), "the mean was not taken away", "First less the mean of the group."),
        ("sign", -right, "an answer that is better than its group is below 0", "Reward less mean."),
        ("leave-one-out", (R - _means_of_others(R)) / (std + 1e-4), "the mean is that of the others",
         "GRPO takes the mean of the whole group."),
        *[("small-number", better / (std + wrong), f"{wrong:g} was added to the deviation", "1e-4.")
          for wrong in (1e-2, 1e-3)],
        ("mean-late", R / (std + 1e-4) - mean, "the mean was taken away after the division", "First less the mean."),
        ("median", (R - R.median(1, True).values) / (std + 1e-4), "that is less the median", "Less the mean."),
        ("root-of-n", better / (std / 3**0.5 + 1e-4), "it was divided by the error of the mean", "torch.std itself."),
        ("length", better / (length + 1e-4), "it was divided by the length of the row", "By the standard deviation."),
        ("by-the-mean", better / (mean + 1e-4), "it was divided by the mean", "By the standard deviation."),
        ("softmax", R.softmax(1), "that is a softmax", "Less the mean, over the deviation."),
        ("range", better / (R.amax(1, True) - R.amin(1, True) + 1e-4), "it was divided by the range", "torch.std."),
        ("absolute", better / (better.abs().mean(1, True) + 1e-4), "that is the mean deviation", "torch.std."),
    ])  # fmt: skip
    hint = "Reward less the mean of its group, over the group's standard deviation plus 1e-4."
    agrees(check, got, right, "the advantages of three groups of three", slug="values", tolerance=1e-3, hint=hint)
    for divide in (dict(divide=False), dict(divide=True)):
        said = f"divide={divide['divide']}"
        got, right = answer(rewards, **divide), _standard_scores(rewards, **divide)
        told(check, got, right, [
            ("divide-ignored", _standard_scores(rewards, not divide["divide"]), f"{said} changed nothing",
             "It decides whether there is a division."),
            ("divide-ignored", R, "with divide=False nothing is done", "Only the division is left out."),
        ])  # fmt: skip
        agrees(check, got, right, f"the advantages with {said}", slug="divide", tolerance=1e-3,
               hint="Without the division: reward less mean.")  # fmt: skip
    equal = torch.tensor([[1.0] * 4, [0.0] * 4, [0.5] * 4])
    got = answer(equal)
    check.shape(got, (3, 4), slug="left-out", hint="A group whose answers are all as good stays, with zeros.")
    check.that(not torch.as_tensor(got).isnan().any(), slug="equal-groups",
               problem="a group whose rewards are all alike gave NaN where 0 was expected",
               hint="0 / 0 is NaN. 1e-4 is added to what is divided by.")  # fmt: skip
    _small_differences(check, answer)
    for divide in (True, False):
        check.close(answer(equal, divide), torch.zeros(3, 4), slug="equal-groups", hint="Nobody is better than others.",
                    when=f"all rewards of a group alike, divide={divide}")  # fmt: skip
    for groups, size in ((1, 4), (5, 2), (3, 8), (4, 3)):
        for divide in (True, False):
            rewards = 3 * torch.randn(groups, size) + 1
            agrees(check, answer(rewards, divide=divide), _standard_scores(rewards, divide), slug="other-shapes",
                   what=f"the advantages of {groups} groups of {size}", hint=hint)  # fmt: skip
    of_type(check, answer(torch.randn(2, 3).double()), torch.float64, "rewards")


def _of_divide(check, answer, rewards, better, right) -> None:
    """Which of two results belongs to which `divide`; told before single results are looked at."""
    without, divided = doubles(answer(rewards, False)), doubles(answer(rewards, True))
    check.that(not (alike(without, right) and alike(divided, better)), slug="divide-exchanged",
               when="both values of divide",
               problem="with divide=True it was not divided, with divide=False it was",
               hint="The other way round.")  # fmt: skip
    check.that(not (alike(divided, right) and alike(doubles(answer(rewards)), better)), slug="default",
               when="divide=True, and no divide",
               problem="it was divided only where divide=True was said",
               hint="divide=True where nothing is said.")  # fmt: skip


def _small_differences(check, answer) -> None:
    """Where a deviation is hardly larger than 1e-4, it shows what that was added to."""
    rewards = torch.tensor([[0.0, 2e-4, 4e-4], [1e-4, -3e-4, 0.0], [0.0, 5e-5, 1e-4]])
    got, R, right = answer(rewards), rewards.double(), _standard_scores(rewards)
    better, std = R - R.mean(1, keepdim=True), R.std(1, keepdim=True)
    place = "Add 1e-4 to the standard deviation, and divide by both together."
    told(check, got, right, [
        ("small-number", better / std, "nothing was added to the deviation", place),
        ("small-number", better / (std + 1e-8), "1e-8 was added to the deviation", "1e-4."),
        ("small-number", better / (std + 1e-6), "1e-6 was added to the deviation", "1e-4."),
        ("small-number", better / (std + 1e-5), "1e-5 was added to the deviation", "1e-4."),
        ("small-number", better / (std + 1e-2), "1e-2 was added to the deviation", "1e-4."),
        ("small-number", better / (std + 1e-3), "1e-3 was added to the deviation", "1e-4."),
        ("inside-the-root", better / (std**2 + 1e-4).sqrt(), "1e-4 was added to the variance", place),
        ("inside-the-root", better / (std**2 + 1e-8).sqrt(), "1e-8 was added to the variance", place),
        ("outside", better / std + 1e-4, "1e-4 was added to the quotient", place),
        ("outside", (better + 1e-4) / (std + 1e-4), "1e-4 was added above as well", place),
        ("outside", (better + 1e-4) / std, "1e-4 was added above", place),
        ("at-least", better / std.clamp(min=1e-4), "1e-4 is the least that is divided by", place),
    ], when="rewards that differ by a few 1e-4")  # fmt: skip
    agrees(check, got, right, "advantages where rewards differ by a few 1e-4", slug="small-number", tolerance=1e-3,
           hint=place)  # fmt: skip


def _standard_scores(rewards, divide: bool = True) -> torch.Tensor:
    found = []
    for row in rewards.tolist():
        below = stdev(row) + 1e-4 if divide else 1.0
        found.append([(reward - fmean(row)) / below for reward in row])
    return torch.tensor(found, dtype=torch.float64)
