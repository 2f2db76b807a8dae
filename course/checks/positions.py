"""The exercises of notebook 04 on positions: adding them, the table of sinusoids, moving them."""

import math

import torch

from course.checks.compare import close, first_difference
from course.checks.exercise import exercise


def numbers(check, *shape: int) -> torch.Tensor:
    """Random numbers of a shape, the same in every run."""
    return torch.tensor([check.random.gauss(0, 1) for _ in range(math.prod(shape))]).reshape(shape)


@exercise("4.6", title="Add positions", minutes=8, difficulty=1)
def add_positions(answer, check):
    tokens, table = numbers(check, 2, 3, 4), numbers(check, 6, 4)
    got = answer(tokens, table)
    check.shape(got, (2, 3, 4), slug="shape", hint="The sum has the shape of `tokens`.")
    right = tokens + table[torch.arange(3)].expand(2, 3, 4)
    for wrong, slug, hint in (
        (tokens, "none", "The positions were not added."),
        (tokens + 2 * table[:3], "twice", "The positions were added twice. Once is enough."),
        (tokens + table[1:4], "off-by-one", "The first token stands at position 0."),
        (tokens + table[-3:], "last-rows", "Take the first rows of the table, not the last."),
        (
            tokens + table[:2, None],
            "batch-for-time",
            "The position is the index in time, dimension 1, not in the batch.",
        ),
        (tokens + table[0], "one-row", "Each token gets the row of its own position, not all the first."),
        (tokens * table[:3], "product", "Positions are added, not multiplied."),
    ):
        check.that(not close(got, wrong, 1e-5), slug=slug, problem=first_difference(got, right, 1e-5), hint=hint)
    check.close(got, right, slug="sum",
                hint="The vector of the token at time t, plus row t of the table.")  # fmt: skip
    slope = table.clone().requires_grad_()
    result = answer(tokens, slope)
    if result.requires_grad:
        result.sum().backward()
    check.that(
        slope.grad is not None and close(slope.grad[:, 0], [2.0, 2, 2, 0, 0, 0], 1e-5), slug="gradient",
        problem="the table of positions does not get its gradient",
        hint="The positions are learned, too: no detach, no .data. A row used by two sequences collects two gradients.",
    )  # fmt: skip
    square = numbers(check, 3, 3, 4)
    check.close(
        answer(square, table), torch.stack([row + table[:3] for row in square]), slug="broadcast",
        hint="With as many rows in the batch as in time, a wrong dimension does not show in the shapes.",
    )  # fmt: skip
    check.close(answer(numbers(check, 1, 6, 4) * 0, table), table[None], slug="full", hint="A full context is allowed.")
    check.raises(
        ValueError, lambda: answer(numbers(check, 1, 7, 4), table), slug="too-long",
        hint="Seven tokens, six positions: say so with a ValueError.",
    )  # fmt: skip


@exercise("4.7", title="The table of sinusoids", minutes=12, difficulty=2, of_the_model=True)
def sinusoids(answer, check):
    length, d = 9, 6
    got = answer(length, d)
    check.that(
        isinstance(got, torch.Tensor), slug="tensor", problem=f"got a {type(got).__name__}", hint="A torch tensor."
    )
    check.shape(got, (length, d), slug="shape", hint="A row for each position, a column for each of d_model.")
    check.that(
        not got.requires_grad, slug="parameter", problem="the table wants a gradient",
        hint="These positions are computed, not learned: a plain tensor, no nn.Parameter.",
    )  # fmt: skip

    def variant(**options):
        return _waves(length, d, **options)

    for wrong, slug, problem, hint in (
        (variant(swap=True), "swapped", "sines and cosines have changed places",
         "Sines stand in even columns, cosines in odd ones: row 0 is 0, 1, 0, 1, ..."),
        (variant(halves=True), "halves", "the left half are sines, the right half cosines",
         "Sines and cosines alternate, column by column; yours stand in two halves."),
        (variant(halves=True, swap=True), "halves", "the left half are cosines, the right half sines",
         "Sines and cosines alternate, column by column; yours stand in two halves."),
        (variant(first=1), "off-by-one", "row 0 is that of position 1",
         "The first position is 0: its sines are all 0."),
        (variant(first=-1), "off-by-one", "row 0 is that of position -1",
         "The first position is 0: its sines are all 0."),
        (variant(times=2 * math.pi), "two-pi", "every wave is 2 pi times too fast",
         "There is no 2 pi in the formula: the first sine is sin(t), which takes 6.28 positions for a turn."),
        (variant(times=math.pi / 180), "degrees", "every wave is too slow, as if angles were in degrees",
         "sin() takes the angle as it stands in the formula, in radians."),
        (variant(times=1 / length), "fractions", "positions run from 0 to 1",
         "t is the number of the position, 0, 1, 2, ..., however long the table is."),
        (variant(times=1 / (length - 1)), "fractions", "positions run from 0 to 1",
         "t is the number of the position, 0, 1, 2, ..., however long the table is."),
        (variant(exponent=lambda i: 2 * i / (d - 1)), "denominator", "the waves are a little too slow to the right",
         "2i is divided by d_model itself, not by d_model - 1."),
        (variant(exponent=lambda i: 2 * i / (d - 2)), "denominator", "the waves are too slow to the right",
         "2i is divided by d_model itself: the last wave is not as slow as 1/10000."),
        (variant(exponent=lambda i: i / d), "exponent", "the waves are too fast to the right",
         "The exponent is 2i / d_model, where 2i is the even column's number."),
        (variant(exponent=lambda i: 4 * i / d), "twice-two", "the waves are too slow to the right",
         "2i is the column's number already: do not double it again."),
        (variant(exponent=lambda i: -2 * i / d), "inverse", "the waves become faster to the right",
         "Divide by the power, so that waves become slower to the right."),
        (variant(base=1000.0), "base", "the slow waves are too fast", "The base is 10000."),
        (variant(pairs=False), "pairs", "a cosine has another angle than its sine",
         "A sine and its cosine share one angle: that of the even column."),
    ):  # fmt: skip
        check.that(not close(got, wrong, 2e-3), slug=slug, problem=problem, hint=hint)
    expected = variant()
    row, column = next(
        ((t, c) for t in range(length) for c in range(d) if abs(got[t, c] - expected[t, c]) > 1e-4), (0, 0)
    )
    in_order = [each.flatten().double().sort().values for each in (got, expected)]
    check.that(
        close(got, expected, 1e-4) or not close(*in_order, 1e-4), slug="layout",
        problem=f"all values are there, but not in their places: row {row}, column {column} should be "
        f"{expected[row, column]:.4f}, and is {got[row, column]:.4f}",
        hint="A row belongs to one position. Look at the shape before the last reshape or flatten: which numbers "
        "stand side by side?",
    )  # fmt: skip
    check.that(
        close(got, expected, 1e-4),
        slug="waves",
        problem=f"row {row}, column {column}: expected {expected[row, column]:.4f}, got {got[row, column]:.4f}",
        hint=f"Compute it by hand, with t = {row}: in column {column} stands the {('sine', 'cosine')[column % 2]} of "
        f"pair i = {column // 2}.",
    )
    check.that(got.dtype == torch.float32, slug="dtype", problem=f"the values are {got.dtype}",
               hint="The table is float32.")  # fmt: skip
    for length, d, slug in ((1, 2, "small"), (5, 2, "small"), (200, 16, "long"), (1024, 64, "long")):
        got, expected = answer(length, d), _waves(length, d)
        check.shape(got, (length, d), slug=slug, hint="Whatever length and d_model are.")
        off = (got - expected).abs().max().item()
        check.that(off < 2e-3, slug=slug, problem=f"an entry is {off:.3g} away from the formula",
                   hint="Compute in float32, and take nothing from the sizes of the first example.")  # fmt: skip


def _waves(length, d, first=0, base=10000.0, exponent=None, times=1.0, swap=False, halves=False, pairs=True):
    """The table of sinusoids, number by number, right or with a mistake."""
    exponent = exponent or (lambda i: 2 * i / d)
    rows = []
    for t in range(first, first + length):
        angles = [times * t / base ** exponent(i) for i in range(d // 2)]
        others = angles if pairs else [t / base ** ((2 * i + 1) / d) for i in range(d // 2)]
        both = [(math.sin(a), math.cos(b)) for a, b in zip(angles, others, strict=True)]
        both = [pair[::-1] for pair in both] if swap else both
        rows.append([p[0] for p in both] + [p[1] for p in both] if halves else [v for pair in both for v in pair])
    return torch.tensor(rows)


@exercise("4.8", title="One matrix moves them all", minutes=12, difficulty=2)
def shift_matrix(answer, check):
    d, k = 6, 7
    got = answer(k, d)
    check.that(
        isinstance(got, torch.Tensor), slug="tensor", problem=f"got a {type(got).__name__}", hint="A torch tensor."
    )
    check.shape(got, (d, d), slug="shape", hint="From d_model columns to d_model columns.")
    check.that(
        got.dtype == torch.float32,
        slug="dtype",
        problem=f"the values are {got.dtype}",
        hint="float32, as the table of sinusoids, or the two cannot be multiplied.",
    )

    def block(angle, minus=(1, -1, 1, 1)):
        return torch.tensor([math.cos(angle), math.sin(angle), math.sin(angle), math.cos(angle)]) * torch.tensor(minus)

    def made(angle_of=lambda i: k / 10000 ** (2 * i / d), signs=(1, -1, 1, 1), halves=False, transposed=False):
        R = torch.zeros(d, d)
        for i in range(d // 2):
            at = [i, i + d // 2] if halves else [2 * i, 2 * i + 1]
            for place, value in enumerate(block(angle_of(i), signs)):
                R[at[place // 2], at[place % 2]] = value
        return R.T if transposed else R

    for wrong, slug, problem, hint in (
        (made(transposed=True), "transposed", "PE(10) @ R is PE(3), not PE(17)",
         "It moves back. The row stands on the left: R[a, b] says how much of column a goes into column b."),
        (made(lambda i: k), "one-angle", "every pair is turned by the same angle",
         "Each pair has a frequency of its own, and is turned by k times that."),
        (made(lambda i: k / 10000 ** (i / d)), "exponent", "the pairs to the right are turned too far",
         "The exponent is that of the sinusoids, 2i / d_model, where 2i is the even column."),
        (made(lambda i: k * 10000 ** (2 * i / d)), "inverse", "the pairs to the right are turned ever faster",
         "Divide by the power, as the sinusoids do."),
        (made(lambda i: 1 / 10000 ** (2 * i / d)), "one-step", "R moves by one position only",
         "Moving by k: k times the frequency."),
        (made(signs=(1, 1, 1, 1)), "signs", "no number in R has a minus", "One of the two formulas has a minus."),
        (made(signs=(1, -1, -1, 1)), "signs", "both sines have a minus", "Only one of the two formulas has a minus."),
        (made(halves=True), "halves", "R expects sines on the left and cosines on the right",
         "Sine and cosine of a pair stand side by side, in columns 2i and 2i + 1."),
        (torch.eye(d), "nothing-moves", "R is the identity: nothing moves", "Fill in the block of each pair."),
    ):  # fmt: skip
        check.that(not close(got, wrong, 1e-4), slug=slug, problem=problem, hint=hint)
    for d, k in ((6, 7), (2, 1), (16, 40), (6, 0), (6, -5)):
        table = _waves(60 + abs(k), d)
        R = answer(k, d)
        before, after = (table[:60], table[k:]) if k >= 0 else (table[-k:], table[:60])
        after = after[:60]
        off = (before @ R.float() - after).abs().max().item()
        check.that(
            off < 1e-3,
            slug="moves" if k > 0 else "other-steps",
            problem=f"PE(t) @ R is up to {off:.3g} away from PE(t {'-' if k < 0 else '+'} {abs(k)})",
            hint="Write one pair out on paper: (sin, cos) @ [[a, b], [c, d]] must be the two formulas."
            if k > 0
            else "With k = 0 nothing moves; with k below 0 everything goes back.",
        )
