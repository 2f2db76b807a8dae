"""Exercise of notebook 14 on turning pairs of features by their positions."""

import math

import torch

from course.checks.decoder_parts import agrees
from course.checks.exercise import exercise
from course.checks.modern_parts import of_type, refuse


def angles(positions, frequencies) -> torch.Tensor:
    """(1 or B, 1, T, d_head / 2), in float64."""
    return positions.double()[..., None, :, None] * frequencies.double()


def turned(x, angle) -> torch.Tensor:
    """Pairs as complex numbers, whose product with e to the power of i times an angle is a rotation."""
    first, second = x.double().chunk(2, dim=-1)
    pairs = torch.complex(first, second) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((pairs.real, pairs.imag), dim=-1)


_TURN = "Pair i is (x[i], x[i + d_head / 2]); its angle is positions times frequencies[i]."
_ROWS = "Where positions are (B, T), each sequence has its own. The heads of a sequence share them."


@exercise("14.3", title="Rotate the pairs", minutes=12, difficulty=3)
def rotate(answer, check):
    x, positions = torch.randn(2, 3, 5, 8), torch.tensor([3, 0, 7, 1, 12])
    frequencies = torch.tensor([1.1, 0.37, 0.09, 0.013])
    got = answer(x, positions, frequencies)
    _no_known_mistake(check, got, x, positions, frequencies)
    agrees(check, got, turned(x, angles(positions, frequencies)), "the result", slug="values", hint=_TURN)
    _which_axis(check, answer)
    for B, H, T, half in ((1, 1, 1, 8), (2, 4, 1, 1), (1, 2, 6, 3), (3, 2, 4, 2), (2, 2, 2, 2)):
        x = torch.randn(B, T, H, 2 * half).transpose(1, 2)  # as heads are split: not in one piece of memory
        frequencies = torch.rand(half)
        for low, high, size in ((0, 50, (T,)), (0, 50, (B, T)), (-30, 0, (T,))):
            positions = torch.randint(low, high, size)
            right = turned(x, angles(positions, frequencies))
            what = f"x of shape {tuple(x.shape)}, positions of shape {tuple(positions.shape)}: the result"
            slug, hint = ("shapes", _TURN) if len(size) == 1 else ("batch-positions", _ROWS)
            if low < 0:
                slug, hint = "negative", "A key that is turned back has a position below 0: it turns the other way."
            agrees(check, answer(x, positions, frequencies), right, what, slug=slug, hint=hint)
    _types(check, answer)
    x, positions = torch.randn(2, 2, 3, 4).requires_grad_(), torch.arange(3)
    got, direction = answer(x, positions, frequencies), torch.randn(2, 2, 3, 4)
    check.that(got.requires_grad, slug="gradients", problem="the result carries no gradient",
               hint="Queries and keys learn through it: nothing is detached.")  # fmt: skip
    slope = torch.autograd.grad(got, x, direction, allow_unused=True)[0]
    agrees(check, slope, turned(direction, -angles(positions, frequencies)), "the gradient", slug="gradients",
           hint="A rotation's gradient is turned back. Write into no tensor that is needed later.")  # fmt: skip


def _no_known_mistake(check, got, x, positions, frequencies) -> None:
    angle = angles(positions, frequencies)
    right, (f, g), cos, sin = turned(x, angle), x.double().chunk(2, dim=-1), angle.cos(), angle.sin()
    F, G = right.chunk(2, dim=-1)
    even, odd = (x[..., start::2].double() for start in (0, 1))

    def both(first, second):
        return torch.cat((first, second), dim=-1)

    def woven(first, second):
        return torch.stack((first, second), dim=-1).flatten(-2)

    def at(other, by=frequencies):
        return turned(x, angles(other, by))

    even, odd = even * cos - odd * sin, odd * cos + even * sin
    places = torch.arange(len(positions))
    half = "Feature i goes with feature i + d_head / 2: all first members come before all second ones."
    formula = "(a cos - b sin, b cos + a sin): compare each of the four products."
    given = "The token at place t stands at positions[t]."
    cosines, sines = (torch.cat((each, each), dim=-1) for each in (cos, sin))
    wrong_sines = sin.repeat_interleave(2, dim=-1)
    refuse(check, got, right, [
        ("neighbors", woven(even, odd), "neighboring features were turned as pairs", half),
        ("neighbors", both(even, odd), "neighboring features were turned as pairs", half),
        ("woven", woven(F, G), "first and second members stand in turn", half),
        ("halves-exchanged", both(G, F), "the second members came first", half),
        ("direction", turned(x, -angle), "the pairs turned the other way", formula),
        ("sine-for-cosine", both(f * sin - g * cos, g * sin + f * cos), "sine and cosine are exchanged", formula),
        ("sine-for-cosine", both(f * sin + g * cos, g * sin - f * cos), "sine and cosine are exchanged", formula),
        ("signs", both(f * cos + g * sin, g * cos + f * sin), "no product has a minus", formula),
        ("signs", both(f * cos - g * sin, g * cos - f * sin), "both sums have a minus", formula),
        ("overwritten", both(F, g * cos + F * sin), "the second members were made from first ones that had turned",
         "Both need the pair as it was."),
        ("overwritten", both(f * cos - G * sin, G), "the first members were made from second ones that had turned",
         "Both need the pair as it was."),
        ("one-half", both(F, g), "only the first members were turned", "A pair has two."),
        ("one-half", both(f, G), "only the second members were turned", "A pair has two."),
        ("one-half", F, "the second members are missing", "torch.cat puts both halves side by side."),
        ("no-pairs", x * (cosines + sines), "each feature was multiplied by itself alone", formula),
        ("no-pairs", x * cosines, "each feature was multiplied by a cosine", formula),
        ("frequencies-in-turn", x * cos.repeat_interleave(2, dim=-1) + both(-g, f) * wrong_sines,
         "features 0 and 1 have one angle, 2 and 3 the next", "A pair's two members have the same angle: " + half),
        ("positions-ignored", at(places), "the tokens stand at 0, 1, 2 and so on", given),
        ("positions-ignored", at(places + 1), "the tokens stand at 1, 2, 3 and so on", given),
        ("positions-ignored", at(torch.ones_like(positions)), "all tokens turned by as much", given),
        ("positions-plus-one", at(positions + 1), "all tokens stand one further", given),
        ("first-position", at(positions[0] + places), "the tokens stand one behind the other", given),
        ("sorted", at(positions.sort().values), "the positions were sorted", given),
        ("frequencies-reversed", at(positions, frequencies.flip(0)), "the frequencies came in reverse",
         "The first pair has the first frequency."),
        ("frequencies-ignored", at(positions, 10_000.0 ** (-torch.arange(4) / 4)), "other frequencies were used",
         "`frequencies` are given. They may be stretched."),
        ("frequencies-ignored", at(positions, frequencies[:1]), "all pairs turned by as much", "Each differs."),
        ("frequencies-ignored", at(positions, torch.ones(4)), "all pairs turned by as much", "Each has a frequency."),
        ("divided", turned(x, (positions[:, None] / frequencies).double()), "positions were divided by frequencies",
         "Times, not over."),
        ("unit", at(positions, 2 * math.pi * frequencies), "angles are 2 pi too large", "They are radians already."),
        ("unit", at(positions, frequencies.deg2rad()), "angles were taken for degrees", "They are radians already."),
        ("unit", at(positions, frequencies.rad2deg()), "angles were made into degrees", "cos and sin take radians."),
        ("added", x + both(sin, cos), "sines and cosines were added", "Nothing is added here: pairs are turned."),
        ("added", x + both(cos, sin), "sines and cosines were added", "Nothing is added here: pairs are turned."),
        ("axis", turned(x, torch.arange(3.0)[:, None, None].double() * frequencies), "each head has its own angle",
         "The tokens are the third axis of x: (B, heads, T, d_head)."),
        ("unchanged", x, "x came back as it was", formula),
    ], tolerance=1e-4)  # fmt: skip


def _which_axis(check, answer) -> None:
    """As many heads as tokens as sequences: here a wrong axis is not found by its length."""
    x, positions, frequencies = torch.randn(3, 3, 3, 4), torch.tensor([0, 5, 2]), torch.tensor([0.9, 0.2])
    right, got = turned(x, angles(positions, frequencies)), answer(x, positions, frequencies)
    times = "The tokens are the third axis of x: (B, heads, T, d_head)."
    turns = positions.double()[:, None, None] * frequencies
    refuse(check, got, right, [
        ("axis", turned(x, turns), "each head has a position", times),
        ("axis", turned(x, turns[:, None]), "each sequence has a position", times),
    ], when="as many heads as tokens")  # fmt: skip
    agrees(check, got, right, "as many heads as tokens: the result", slug="axis", hint=times)
    positions = torch.tensor([[0, 5, 2], [7, 1, 3], [4, 9, 6]])
    right, got = turned(x, angles(positions, frequencies)), answer(x, positions, frequencies)
    turns = positions.double()[..., None] * frequencies
    refuse(check, got, right, [
        ("batch-positions", turned(x, turns), "each head has its own positions", _ROWS),
        ("batch-positions", turned(x, angles(positions.T, frequencies)), "sequences and tokens are exchanged", _ROWS),
        ("batch-positions", turned(x, angles(positions[0], frequencies)), "all have those of the first one", _ROWS),
    ], when="positions of shape (3, 3)")  # fmt: skip
    agrees(check, got, right, "positions of shape (3, 3): the result", slug="batch-positions", hint=_ROWS)


def _types(check, answer) -> None:
    frequencies = torch.tensor([1.0, 0.31, 0.07])
    far = "A large angle needs more digits than half precision has: float32, then sine and cosine, then convert."
    for dtype, tolerance in ((torch.float16, 8e-3), (torch.bfloat16, 6e-2), (torch.float64, 1e-5)):
        for slug, first, hint in (("types", 0, _TURN), ("half-angles", 3001, far)):
            x, positions = torch.randn(2, 2, 5, 6).to(dtype), torch.arange(first, first + 5)
            got, right = answer(x, positions, frequencies), turned(x, angles(positions, frequencies))
            of_type(check, got, dtype, "x")
            rounding = 1e-3 if first else 0.0  # of a large angle in float32
            agrees(check, got, right, f"{dtype}, positions from {first}: the result", slug=slug, hint=hint,
                   tolerance=tolerance + rounding)  # fmt: skip
    x, positions = torch.randn(1, 2, 5, 6), torch.arange(3001, 3006)
    right = turned(x, angles(positions, frequencies))
    agrees(check, answer(x, positions, frequencies), right, "positions from 3001: the result", slug="half-angles",
           tolerance=2e-3, hint="Angles are computed in float32, and in nothing narrower.")  # fmt: skip
