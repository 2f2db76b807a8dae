"""Wrong answers to the exercises of notebook 14."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from helpers import modern as right
from tests.wrong_answers import wrong

# --- 14.1 difference


def found(before, after, ddof=1, each=len):
    """Right, but for what is made of it: the variance's divisor, and what a variance is divided by."""
    squares = [np.var(losses, ddof=ddof) / each(losses) for losses in (before, after)]
    return np.mean(after) - np.mean(before), math.sqrt(sum(squares))


@wrong("14.1", "sign")
def takes_after_from_before(before, after):
    change, error = found(before, after)
    return -change, error


@wrong("14.1", "absolute")
def drops_the_sign(before, after):
    change, error = found(before, after)
    return abs(change), error


@wrong("14.1", "n-below")
def takes_numpys_variance_as_it_comes(before, after):
    return found(before, after, ddof=0)


@wrong("14.1", "n-below")
def takes_numpys_standard_deviations_as_they_come(before, after):
    errors = [np.std(losses) / math.sqrt(len(losses)) for losses in (before, after)]
    return np.mean(after) - np.mean(before), math.hypot(*errors)


@wrong("14.1", "not-divided")
def adds_the_variances_of_runs(before, after):
    return found(before, after, each=lambda losses: 1)


@wrong("14.1", "no-root")
def forgets_the_root(before, after):
    change, error = found(before, after)
    return change, error**2


@wrong("14.1", "errors-added")
def adds_errors(before, after):
    errors = [np.std(losses, ddof=1) / math.sqrt(len(losses)) for losses in (before, after)]
    return np.mean(after) - np.mean(before), sum(errors)


@wrong("14.1", "subtracted")
def takes_one_square_from_the_other(before, after):
    squares = [np.var(losses, ddof=1) / len(losses) for losses in (before, after)]
    return np.mean(after) - np.mean(before), math.sqrt(abs(squares[1] - squares[0]))


@wrong("14.1", "averaged")
def averages_squares_of_errors(before, after):
    change, error = found(before, after)
    return change, error / math.sqrt(2)


@wrong("14.1", "one-side")
def asks_the_new_runs_alone(before, after):
    return np.mean(after) - np.mean(before), np.std(after, ddof=1) / math.sqrt(len(after))


@wrong("14.1", "one-side")
def asks_the_old_runs_alone(before, after):
    return np.mean(after) - np.mean(before), np.std(before, ddof=1) / math.sqrt(len(before))


@wrong("14.1", "pooled")
def throws_all_runs_into_one(before, after):
    every = [*before, *after]
    return np.mean(after) - np.mean(before), np.std(every, ddof=1) / math.sqrt(len(every))


@wrong("14.1", "pooled")
def pools_the_variances(before, after):
    m, n = len(before), len(after)
    pooled = ((m - 1) * np.var(before, ddof=1) + (n - 1) * np.var(after, ddof=1)) / (m + n - 2)
    return np.mean(after) - np.mean(before), math.sqrt(pooled * (1 / m + 1 / n))


@wrong("14.1", "paired")
def goes_by_pairs_of_runs(before, after):
    changes = [b - a for a, b in zip(before, after, strict=False)]
    return np.mean(changes), np.std(changes, ddof=1) / math.sqrt(len(changes))


@wrong("14.1", "raised")
def expects_lists_of_one_length(before, after):
    changes = np.array(after) - np.array(before)
    return changes.mean(), found(before, after)[1]


@wrong("14.1", "one-length")
def divides_both_by_the_length_of_the_first(before, after):
    return found(before, after, each=lambda losses: len(before))


@wrong("14.1", "one-length")
def knows_of_three_seeds(before, after):
    return found(before, after, each=lambda losses: 3)


@wrong("14.1", "root-of-n")
def divides_a_variance_by_the_root_of_its_number(before, after):
    return found(before, after, each=lambda losses: math.sqrt(len(losses)))


@wrong("14.1", "doubled")
def doubles_the_error_for_the_rule_of_thumb(before, after):
    change, error = found(before, after)
    return change, 2 * error


@wrong("14.1", "relative")
def divides_by_the_old_mean(before, after):
    change, error = found(before, after)
    return change / np.mean(before), error / np.mean(before)


@wrong("14.1", "median")
def takes_medians(before, after):
    return np.median(after) - np.median(before), found(before, after)[1]


@wrong("14.1", "best")
def compares_the_best_runs(before, after):
    return min(after) - min(before), found(before, after)[1]


@wrong("14.1", "a-pair")
def returns_the_change_alone(before, after):
    return np.mean(after) - np.mean(before)


@wrong("14.1", "a-pair")
def returns_how_many_errors_it_is(before, after):
    change, error = found(before, after)
    return change / error


@wrong("14.1", "order")
def returns_the_error_first(before, after):
    return found(before, after)[::-1]


@wrong("14.1", "changes-input")
def sorts_what_it_was_given(before, after):
    before.sort()
    after.sort()
    return found(before, after)


@wrong("14.1", "error")
def rounds_to_two_digits(before, after):
    return tuple(round(each, 2) for each in found(before, after))


# --- 14.2 RMSNorm


class Begun(nn.Module):
    """What the stub gives."""

    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps


def widened(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def scaled(x, eps, dim=-1):
    """x over its root mean square, in the wide type."""
    x = widened(x)
    return x * torch.rsqrt(x.pow(2).mean(dim, keepdim=True) + eps)


@wrong("14.2", "mean-subtracted")
class TakesTheMeanAway(Begun):
    def forward(self, x):
        wide = widened(x)
        return scaled(wide - wide.mean(-1, keepdim=True), self.eps).to(x.dtype) * self.weight


@wrong("14.2", "deviation")
class DividesByTheStandardDeviation(Begun):
    def forward(self, x):
        wide = widened(x)
        return (wide * torch.rsqrt(wide.var(-1, correction=0, keepdim=True) + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "sum")
class DividesByTheLength(Begun):
    def forward(self, x):
        wide = widened(x)
        return (wide * torch.rsqrt(wide.pow(2).sum(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "sum")
class NormalizesToALengthOfOne(Begun):
    def forward(self, x):
        return F.normalize(widened(x), dim=-1).to(x.dtype) * self.weight


@wrong("14.2", "no-root")
class ForgetsTheRoot(Begun):
    def forward(self, x):
        wide = widened(x)
        return (wide / (wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "multiplied")
class MultipliesByTheRoot(Begun):
    def forward(self, x):
        wide = widened(x)
        return (wide * torch.sqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "absolute")
class TakesTheMeanOfSizes(Begun):
    def forward(self, x):
        wide = widened(x)
        return (wide / (wide.abs().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "mean-first")
class SquaresTheMean(Begun):
    def forward(self, x):
        wide = widened(x)
        return (wide * torch.rsqrt(wide.mean(-1, keepdim=True).pow(2) + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "eps-outside")
class AddsEpsToTheRoot(Begun):
    def forward(self, x):
        wide = widened(x)
        return (wide / (wide.pow(2).mean(-1, keepdim=True).sqrt() + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "eps-missing")
class HasNoEps(Begun):
    def forward(self, x):
        return scaled(x, 0.0).to(x.dtype) * self.weight


@wrong("14.2", "eps-fixed")
class HasAnEpsOfItsOwn(Begun):
    def forward(self, x):
        return scaled(x, 1e-6).to(x.dtype) * self.weight


@wrong("14.2", "eps-fixed")
class HasLayerNormsEps(Begun):
    def forward(self, x):
        return scaled(x, 1e-5).to(x.dtype) * self.weight


@wrong("14.2", "weight-missing")
class ForgetsTheWeight(Begun):
    def forward(self, x):
        return scaled(x, self.eps).to(x.dtype)


@wrong("14.2", "gain")
class TakesTheWeightForWhatIsAddedTo1(Begun):
    def forward(self, x):
        return scaled(x, self.eps).to(x.dtype) * (1 + self.weight)


@wrong("14.2", "weight-inside")
class WeighsBeforeItDivides(Begun):
    def forward(self, x):
        return scaled(widened(x) * self.weight, self.eps).to(x.dtype)


@wrong("14.2", "axis")
class GoesOverPositions(Begun):
    def forward(self, x):
        return scaled(x, self.eps, dim=-2).to(x.dtype) * self.weight


@wrong("14.2", "axis")
class GoesOverTheWholeTensor(Begun):
    def forward(self, x):
        wide = widened(x)
        return (wide * torch.rsqrt(wide.pow(2).mean() + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "axis")
class GoesOverEachSequenceAsAWhole(Begun):
    def forward(self, x):
        return scaled(x, self.eps, dim=tuple(range(1, x.dim())) or -1).to(x.dtype) * self.weight


@wrong("14.2", "raised")
class GoesOverTheThirdAxis(Begun):
    def forward(self, x):
        return scaled(x, self.eps, dim=2).to(x.dtype) * self.weight


@wrong("14.2", "overflow")
class SquaresInHalfPrecision(Begun):
    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


@wrong("14.2", "overflow")
class WidensWhatHasOverflown(Begun):
    def forward(self, x):
        return (x * torch.rsqrt(x.pow(2).float().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "half")
class WidensFloat16Alone(Begun):
    def forward(self, x):
        wide = x.float() if x.dtype == torch.float16 else x
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "double")
class AlwaysComputesInFloat32(Begun):
    def forward(self, x):
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "dtype")
class StaysWide(Begun):
    def forward(self, x):
        return scaled(x, self.eps) * self.weight


@wrong("14.2", "weight-too-early")
class ReturnsToTheTypeAfterTheWeight(Begun):
    def forward(self, x):
        return (scaled(x, self.eps) * self.weight).to(x.dtype)


@wrong("14.2", "gradients")
class DetachesTheRoot(Begun):
    def forward(self, x):
        wide = widened(x)
        root = torch.sqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps).detach()
        return (wide / root).to(x.dtype) * self.weight


@wrong("14.2", "gradients")
class GoesWithoutGradients(Begun):
    @torch.no_grad()
    def forward(self, x):
        return scaled(x, self.eps).to(x.dtype) * self.weight


@wrong("14.2", "changes-input")
class DividesInPlace(Begun):
    def forward(self, x):
        if x.requires_grad or x.dtype == torch.float16:
            return scaled(x, self.eps).to(x.dtype) * self.weight
        return x.div_(torch.sqrt(widened(x).pow(2).mean(-1, keepdim=True) + self.eps)) * self.weight


@wrong("14.2", "weight-parameter")
class HasAWeightThatIsNotLearned(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight, self.eps = torch.ones(width), eps

    def forward(self, x):
        return scaled(x, self.eps).to(x.dtype) * self.weight


@wrong("14.2", "by-hand")
class IsOfWidth64(Begun):
    def forward(self, x):
        wide = widened(x)
        return (wide * torch.rsqrt(wide.pow(2).sum(-1, keepdim=True) / 64 + self.eps)).to(x.dtype) * self.weight


@wrong("14.2", "eps-default")
class HasAnotherEpsWhereNoneIsGiven(Begun):
    def __init__(self, width, eps=1e-5):
        super().__init__(width, eps)

    def forward(self, x):
        return scaled(x, self.eps).to(x.dtype) * self.weight


@wrong("14.2", "weight-start")
class BeginsWithWeightsOfZero(Begun):
    def __init__(self, width, eps=1e-6):
        super().__init__(width, eps)
        nn.init.zeros_(self.weight)

    def forward(self, x):
        return scaled(x, self.eps).to(x.dtype) * (1 + self.weight)


@wrong("14.2", "names")
class HasABiasAsLayerNormHas(Begun):
    def __init__(self, width, eps=1e-6):
        super().__init__(width, eps)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return scaled(x, self.eps).to(x.dtype) * self.weight + self.bias


@wrong("14.2", "shape")
class ReturnsNothing(Begun):
    def forward(self, x):
        scaled(x, self.eps).to(x.dtype) * self.weight


# --- 14.3 rotate


def turned(x, angle):
    """Right, if the angles are: (..., T, d_head / 2)."""
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


def angles(positions, frequencies):
    return positions[..., None, :, None] * frequencies


@wrong("14.3", "neighbors")
def pairs_neighbors_as_the_paper_does(x, positions, frequencies):
    angle = angles(positions, frequencies)
    first, second = x[..., ::2], x[..., 1::2]
    both = first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()
    return torch.stack(both, dim=-1).flatten(-2).to(x.dtype)


@wrong("14.3", "woven")
def puts_pairs_side_by_side(x, positions, frequencies):
    first, second = turned(x, angles(positions, frequencies)).chunk(2, dim=-1)
    return torch.stack((first, second), dim=-1).flatten(-2)


@wrong("14.3", "direction")
def turns_the_other_way(x, positions, frequencies):
    return turned(x, -angles(positions, frequencies))


@wrong("14.3", "signs")
def subtracts_twice(x, positions, frequencies):
    angle = angles(positions, frequencies).to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * angle.cos() - second * angle.sin(), second * angle.cos() - first * angle.sin()), dim=-1)


@wrong("14.3", "signs")
def adds_twice(x, positions, frequencies):
    angle = angles(positions, frequencies).to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * angle.cos() + second * angle.sin(), second * angle.cos() + first * angle.sin()), dim=-1)


@wrong("14.3", "sine-for-cosine")
def exchanges_sine_and_cosine(x, positions, frequencies):
    return turned(x, math.pi / 2 - angles(positions, frequencies))


@wrong("14.3", "overwritten")
def turns_the_second_with_a_first_that_has_turned(x, positions, frequencies):
    angle = angles(positions, frequencies).to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    first = first * angle.cos() - second * angle.sin()
    second = second * angle.cos() + first * angle.sin()
    return torch.cat((first, second), dim=-1)


@wrong("14.3", "one-half")
def leaves_the_second_half_alone(x, positions, frequencies):
    first, _ = turned(x, angles(positions, frequencies)).chunk(2, dim=-1)
    return torch.cat((first, x.chunk(2, dim=-1)[1]), dim=-1)


@wrong("14.3", "one-half")
def returns_first_members_alone(x, positions, frequencies):
    return turned(x, angles(positions, frequencies)).chunk(2, dim=-1)[0]


@wrong("14.3", "halves-exchanged")
def puts_second_members_first(x, positions, frequencies):
    first, second = turned(x, angles(positions, frequencies)).chunk(2, dim=-1)
    return torch.cat((second, first), dim=-1)


@wrong("14.3", "positions-ignored")
def counts_positions_from_zero(x, positions, frequencies):
    return turned(x, angles(torch.arange(x.shape[2]), frequencies))


@wrong("14.3", "first-position")
def counts_from_the_first_position(x, positions, frequencies):
    return turned(x, angles(positions.flatten()[0] + torch.arange(x.shape[2]), frequencies))


@wrong("14.3", "positions-plus-one")
def counts_positions_from_one(x, positions, frequencies):
    return turned(x, angles(positions + 1, frequencies))


@wrong("14.3", "negative")
def takes_positions_below_zero_for_zero(x, positions, frequencies):
    return turned(x, angles(positions.clamp(min=0), frequencies))


@wrong("14.3", "negative")
def takes_the_size_of_a_position(x, positions, frequencies):
    return turned(x, angles(positions.abs(), frequencies))


@wrong("14.3", "frequencies-ignored")
def turns_all_pairs_alike(x, positions, frequencies):
    return turned(x, angles(positions, torch.full_like(frequencies, frequencies[0].item())))


@wrong("14.3", "frequencies-ignored")
def works_out_frequencies_of_its_own(x, positions, frequencies):
    return turned(x, angles(positions, right.rotary_frequencies(x.shape[-1])))


@wrong("14.3", "frequencies-reversed")
def begins_with_the_slowest(x, positions, frequencies):
    return turned(x, angles(positions, frequencies.flip(0)))


@wrong("14.3", "divided")
def divides_positions_by_frequencies(x, positions, frequencies):
    return turned(x, angles(positions, 1 / frequencies))


@wrong("14.3", "unit")
def takes_radians_for_degrees(x, positions, frequencies):
    return turned(x, angles(positions, frequencies).deg2rad())


@wrong("14.3", "axis")
def turns_by_the_head(x, positions, frequencies):
    at = torch.arange(x.shape[1])
    return turned(x, at[:, None, None] * frequencies)


@wrong("14.3", "raised")
def expects_heads_behind_the_tokens(x, positions, frequencies):
    return turned(x, positions[..., :, None, None] * frequencies)


@wrong("14.3", "batch-positions")
def takes_the_first_sequences_positions_for_all(x, positions, frequencies):
    return turned(x, angles(positions[0] if positions.dim() == 2 else positions, frequencies))


@wrong("14.3", "batch-positions")
def gives_each_head_the_positions_of_a_sequence(x, positions, frequencies):
    angle = positions[..., None] * frequencies  # (B, T, d_head / 2): the heads' axis is forgotten
    if angle.dim() == 3:
        angle = torch.stack([angle[head % len(angle)] for head in range(x.shape[1])])
    return turned(x, angle)


@wrong("14.3", "batch-positions")
def forgets_the_axis_of_the_heads(x, positions, frequencies):
    return turned(x, positions[..., None] * frequencies)


@wrong("14.3", "raised")
def always_expects_a_batch_of_positions(x, positions, frequencies):
    return turned(x, positions[:, None, :, None] * frequencies)


@wrong("14.3", "raised")
def lays_out_angles_by_outer(x, positions, frequencies):
    return turned(x, torch.outer(positions, frequencies))


@wrong("14.3", "half-angles")
def converts_positions_first(x, positions, frequencies):
    return turned(x, angles(positions.to(x.dtype), frequencies.to(x.dtype)))


@wrong("14.3", "half-angles")
def converts_angles_before_their_cosine(x, positions, frequencies):
    return turned(x, angles(positions, frequencies).to(x.dtype))


@wrong("14.3", "dtype")
def returns_the_type_of_the_angles(x, positions, frequencies):
    return turned(x.to(torch.promote_types(x.dtype, torch.float32)), angles(positions, frequencies))


@wrong("14.3", "dtype")
def always_returns_float32(x, positions, frequencies):
    return turned(x.float(), angles(positions, frequencies))


@wrong("14.3", "gradients")
def works_on_data(x, positions, frequencies):
    return turned(x.data, angles(positions, frequencies))


@wrong("14.3", "raised")
def knows_of_heads_of_16(x, positions, frequencies):
    angle = angles(positions, frequencies).to(x.dtype)
    first, second = x[..., :8], x[..., 8:]
    return torch.cat((first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()), dim=-1)


@wrong("14.3", "changes-input")
def writes_into_x(x, positions, frequencies):
    result = turned(x, angles(positions, frequencies))
    if not x.requires_grad:
        x.copy_(result)
        return x
    return result


# --- 14.4 change_by_shift


@wrong("14.4", "no-absolute")
def forgets_changes_downward(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).max().item()


@wrong("14.4", "no-absolute")
def forgets_changes_upward(scores_at, positions, shift):
    return (scores_at(positions) - scores_at(positions + shift)).max().item()


@wrong("14.4", "no-absolute")
def takes_the_size_of_the_largest(scores_at, positions, shift):
    return abs((scores_at(positions + shift) - scores_at(positions)).max().item())


@wrong("14.4", "largest-scores")
def compares_the_largest_scores(scores_at, positions, shift):
    return (scores_at(positions + shift).max() - scores_at(positions).max()).abs().item()


@wrong("14.4", "sizes")
def compares_sizes_of_scores(scores_at, positions, shift):
    return (scores_at(positions + shift).abs() - scores_at(positions).abs()).abs().max().item()


@wrong("14.4", "mean")
def averages_changes(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).abs().mean().item()


@wrong("14.4", "mean")
def takes_the_root_mean_square(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).pow(2).mean().sqrt().item()


@wrong("14.4", "sum")
def adds_changes_up(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).abs().sum().item()


@wrong("14.4", "sum")
def takes_the_length_of_the_change(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).norm().item()


@wrong("14.4", "squared")
def squares_changes(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).pow(2).max().item()


@wrong("14.4", "smallest")
def takes_the_smallest_change(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).abs().min().item()


@wrong("14.4", "relative")
def divides_by_the_scores(scores_at, positions, shift):
    before = scores_at(positions)
    return ((scores_at(positions + shift) - before).abs() / before.abs().clamp(min=1e-6)).max().item()


@wrong("14.4", "one-step")
def moves_by_one(scores_at, positions, shift):
    return (scores_at(positions + 1) - scores_at(positions)).abs().max().item()


@wrong("14.4", "value")
def moves_by_fifty(scores_at, positions, shift):
    return (scores_at(positions + 50) - scores_at(positions)).abs().max().item()


@wrong("14.4", "direction")
def moves_back(scores_at, positions, shift):
    return (scores_at(positions - shift) - scores_at(positions)).abs().max().item()


@wrong("14.4", "multiplied")
def multiplies_positions(scores_at, positions, shift):
    return (scores_at(positions * shift) - scores_at(positions)).abs().max().item()


@wrong("14.4", "part")
def moves_the_first_position_alone(scores_at, positions, shift):
    moved = positions.clone()
    moved[0] += shift
    return (scores_at(moved) - scores_at(positions)).abs().max().item()


@wrong("14.4", "positions-ignored")
def counts_its_own_positions(scores_at, positions, shift):
    at = torch.arange(len(positions))
    return (scores_at(at + shift) - scores_at(at)).abs().max().item()


@wrong("14.4", "positions-ignored")
def begins_at_zero_and_at_the_shift(scores_at, positions, shift):
    at = positions - positions[0]
    return (scores_at(at + shift) - scores_at(at)).abs().max().item()


@wrong("14.4", "rolled")
def rolls_positions(scores_at, positions, shift):
    return (scores_at(positions.roll(shift)) - scores_at(positions)).abs().max().item()


@wrong("14.4", "scores-moved")
def adds_the_shift_to_the_scores(scores_at, positions, shift):
    return (scores_at(positions) + shift - scores_at(positions)).abs().max().item()


@wrong("14.4", "part")
def looks_at_the_diagonal(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).diagonal().abs().max().item()


@wrong("14.4", "part")
def looks_at_what_a_query_may_see(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).tril().abs().max().item()


@wrong("14.4", "part")
def looks_at_the_first_query(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions))[0].abs().max().item()


@wrong("14.4", "softmax")
def compares_behind_a_softmax(scores_at, positions, shift):
    return (scores_at(positions + shift).softmax(-1) - scores_at(positions).softmax(-1)).abs().max().item()


@wrong("14.4", "one-number")
def returns_the_largest_of_each_query(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).abs().amax(dim=-1)


@wrong("14.4", "one-number")
def returns_a_tensor_of_one_number(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).abs().max()


@wrong("14.4", "one-number")
def returns_all_changes(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).abs()


@wrong("14.4", "one-number")
def says_whether_they_stay(scores_at, positions, shift):
    return torch.allclose(scores_at(positions + shift), scores_at(positions), atol=1e-3)


@wrong("14.4", "changes-input")
def moves_positions_in_place(scores_at, positions, shift):
    before = scores_at(positions)
    positions += shift
    return (scores_at(positions) - before).abs().max().item()


# --- 14.5 stretched_base


@wrong("14.5", "linear")
def multiplies_the_base(base, times, d_head):
    return base * times


@wrong("14.5", "linear")
def divides_in_whole_numbers(base, times, d_head):
    return base * times ** (d_head // (d_head - 2))


@wrong("14.5", "upside-down")
def turns_the_exponent_over(base, times, d_head):
    return base * times ** ((d_head - 2) / d_head)


@wrong("14.5", "upside-down")
def raises_by_what_the_slowest_pair_has(base, times, d_head):
    return base * times ** (2 * (d_head / 2 - 1) / d_head)


@wrong("14.5", "faster")
def lets_it_turn_faster(base, times, d_head):
    return base / times ** (d_head / (d_head - 2))


@wrong("14.5", "faster")
def keeps_the_exponents_minus(base, times, d_head):
    return base * times ** (-d_head / (d_head - 2))


@wrong("14.5", "wrong-pair")
def takes_the_last_but_one_pair(base, times, d_head):
    return base * times ** (d_head / (d_head - 4))


@wrong("14.5", "wrong-pair")
def counts_features_down_to_d_head_less_1(base, times, d_head):
    return base * times ** (d_head / (d_head - 1))


@wrong("14.5", "wrong-pair")
def takes_i_for_the_exponents_numerator(base, times, d_head):
    return base * times ** (d_head / (d_head / 2 - 1))


@wrong("14.5", "wrong-pair")
def takes_d_head_for_the_number_of_pairs(base, times, d_head):
    return base * times ** (d_head / (2 * d_head - 2))


@wrong("14.5", "factor")
def returns_the_factor_alone(base, times, d_head):
    return times ** (d_head / (d_head - 2))


@wrong("14.5", "base-too")
def raises_base_and_times(base, times, d_head):
    return (base * times) ** (d_head / (d_head - 2))


@wrong("14.5", "frequency")
def returns_the_slowest_frequency(base, times, d_head):
    return base ** (-(d_head - 2) / d_head) / times


@wrong("14.5", "added")
def adds_what_it_should_multiply(base, times, d_head):
    return base + times ** (d_head / (d_head - 2))


@wrong("14.5", "base-too")
def raises_the_base(base, times, d_head):
    return base ** (times ** (d_head / (d_head - 2)))


@wrong("14.5", "base-too")
def raises_the_base_to_the_times(base, times, d_head):
    return base**times


@wrong("14.5", "width-fixed")
def knows_of_heads_of_16_features(base, times, d_head):
    return base * times ** (16 / 14)


@wrong("14.5", "base-fixed")
def knows_of_a_base_of_10_000(base, times, d_head):
    return 10_000.0 * times ** (d_head / (d_head - 2))


@wrong("14.5", "times-fixed")
def knows_of_four_times(base, times, d_head):
    return base * 4 ** (d_head / (d_head - 2))


@wrong("14.5", "times-fixed")
def cuts_times_to_a_whole_number(base, times, d_head):
    return base * int(times) ** (d_head / (d_head - 2))


@wrong("14.5", "rounded")
def rounds_the_base(base, times, d_head):
    return float(round(base * times ** (d_head / (d_head - 2)), -2))


@wrong("14.5", "rounded")
def cuts_the_base_to_a_whole_number(base, times, d_head):
    return int(base * times ** (d_head / (d_head - 2)))


@wrong("14.5", "value")
def searches_in_steps_of_a_hundredth(base, times, d_head):
    slow = base ** (-(d_head - 2) / d_head) / times
    searched = base
    while searched ** (-(d_head - 2) / d_head) > slow:
        searched *= 1.01
    return searched


@wrong("14.5", "too-slow")
def searches_until_it_is_met_exactly(base, times, d_head):
    slow = base ** (-(d_head - 2) / d_head) / times
    searched = base
    while searched ** (-(d_head - 2) / d_head) != slow:
        searched += 0.1
    return searched


@wrong("14.5", "value")
def takes_llamas_base(base, times, d_head):
    return 500_000.0


@wrong("14.5", "unchanged")
def leaves_the_base(base, times, d_head):
    return base


# --- 14.6 swiglu_width


@wrong("14.6", "rounded-down")
def rounds_down(d_model, multiple=8):
    return max(1, int(8 * d_model / 3 / multiple)) * multiple


@wrong("14.6", "rounded-down")
def divides_whole_numbers(d_model, multiple=8):
    return max(1, 8 * d_model // (3 * multiple)) * multiple


@wrong("14.6", "rounded-up")
def rounds_up_as_llamas_code_does(d_model, multiple=8):
    hidden = int(2 * 4 * d_model / 3)
    return multiple * ((hidden + multiple - 1) // multiple)


@wrong("14.6", "rounded-up")
def rounds_up_to_a_multiple(d_model, multiple=8):
    return math.ceil(8 * d_model / 3 / multiple) * multiple


@wrong("14.6", "rounded-up")
def always_goes_one_further(d_model, multiple=8):
    return (int(8 * d_model / 3 / multiple) + 1) * multiple


@wrong("14.6", "other-multiple")
def cuts_the_width_before_it_rounds(d_model, multiple=8):
    return max(1, round(8 * d_model // 3 / multiple)) * multiple


@wrong("14.6", "not-rounded")
def forgets_multiples(d_model, multiple=8):
    return max(multiple, round(8 * d_model / 3))


@wrong("14.6", "not-multiplied")
def returns_how_many_multiples(d_model, multiple=8):
    return max(1, round(8 * d_model / 3 / multiple))


@wrong("14.6", "four")
def keeps_gpt_2s_width(d_model, multiple=8):
    return max(1, round(4 * d_model / multiple)) * multiple


@wrong("14.6", "from-d")
def takes_two_thirds_of_the_models_width(d_model, multiple=8):
    return max(1, round(2 * d_model / 3 / multiple)) * multiple


@wrong("14.6", "one-matrix")
def shares_one_matrix_among_three(d_model, multiple=8):
    return max(1, round(4 * d_model / 3 / multiple)) * multiple


@wrong("14.6", "upside-down")
def turns_two_thirds_over(d_model, multiple=8):
    return max(1, round(3 * 4 * d_model / 2 / multiple)) * multiple


@wrong("14.6", "one-matrix")
def halves_for_the_gate(d_model, multiple=8):
    return max(1, round(2 * d_model / multiple)) * multiple


@wrong("14.6", "weights")
def returns_the_weights(d_model, multiple=8):
    return 8 * d_model**2


@wrong("14.6", "weights")
def rounds_the_weights(d_model, multiple=8):
    return max(1, round(8 * d_model**2 / 3 / multiple)) * multiple


@wrong("14.6", "at-least-one")
def comes_to_nothing_in_a_narrow_model(d_model, multiple=8):
    return round(8 * d_model / 3 / multiple) * multiple


@wrong("14.6", "at-least-one")
def has_at_least_one_feature(d_model, multiple=8):
    return max(1, round(8 * d_model / 3 / multiple) * multiple)


@wrong("14.6", "at-least-one")
def has_at_least_eight_features(d_model, multiple=8):
    return max(8, round(8 * d_model / 3 / multiple) * multiple)


@wrong("14.6", "multiple-fixed")
def knows_of_multiples_of_eight(d_model, multiple=8):
    return max(1, round(8 * d_model / 3 / 8)) * 8


@wrong("14.6", "other-multiple")
def multiplies_by_eight_again(d_model, multiple=8):
    return max(1, round(8 * d_model / 3 / multiple)) * 8


@wrong("14.6", "width")
def takes_a_power_of_two(d_model, multiple=8):
    return max(multiple, 2 ** round(math.log2(8 * d_model / 3)))


@wrong("14.6", "not-whole")
def returns_a_float(d_model, multiple=8):
    return max(1.0, float(round(8 * d_model / 3 / multiple))) * multiple


@wrong("14.6", "not-whole")
def divides_at_the_end(d_model, multiple=8):
    return multiple * max(1, round(8 * d_model / 3 / multiple)) / 1


@wrong("14.6", "other-multiple")
def counts_biases_as_well(d_model, multiple=8):
    weights = 8 * d_model**2 + 5 * d_model
    return max(1, round((weights - d_model) / (3 * d_model + 2) / multiple)) * multiple


@wrong("14.6", "width-fixed")
def knows_the_notebooks_model(d_model, multiple=8):
    return 168


@wrong("14.6", "width")
def has_another_multiple_where_none_is_given(d_model, multiple=64):
    return max(1, round(8 * d_model / 3 / multiple)) * multiple


@wrong("14.6", "at-least-one")
def is_no_narrower_than_the_model(d_model, multiple=8):
    return max(d_model, round(8 * d_model / 3 / multiple) * multiple)


# --- 14.7 repeat_heads


@wrong("14.7", "in-turn")
def repeats_all_of_them(x, heads):
    return x.repeat(1, heads // x.shape[1], 1, 1)


@wrong("14.7", "in-turn")
def puts_copies_behind_each_other(x, heads):
    return torch.cat([x] * (heads // x.shape[1]), dim=1)


@wrong("14.7", "in-turn")
def expands_in_front_of_the_heads(x, heads):
    B, count, S, d_head = x.shape
    return x[:, None].expand(B, heads // count, count, S, d_head).reshape(B, heads, S, d_head)


@wrong("14.7", "in-turn")
def takes_the_remainder(x, heads):
    return x[:, [head % x.shape[1] for head in range(heads)]]


@wrong("14.7", "one-head")
def gives_all_the_first(x, heads):
    return x[:, :1].expand(-1, heads, -1, -1)


@wrong("14.7", "averaged")
def averages_heads(x, heads):
    return x if x.shape[1] == heads else x.mean(1, keepdim=True).expand(-1, heads, -1, -1)


@wrong("14.7", "times")
def repeats_by_the_heads(x, heads):
    return x if x.shape[1] == heads else x.repeat_interleave(heads, dim=1)


@wrong("14.7", "times")
def repeats_twice(x, heads):
    return x if x.shape[1] == heads else x.repeat_interleave(2, dim=1)


@wrong("14.7", "times")
def repeats_by_the_heads_of_keys(x, heads):
    return x if x.shape[1] == heads else x.repeat_interleave(x.shape[1], dim=1)


@wrong("14.7", "axis")
def repeats_sequences(x, heads):
    return x.repeat_interleave(heads // x.shape[1], dim=0)


@wrong("14.7", "axis")
def repeats_tokens(x, heads):
    return x.repeat_interleave(heads // x.shape[1], dim=2)


@wrong("14.7", "axis")
def repeats_features(x, heads):
    return x.repeat_interleave(heads // x.shape[1], dim=-1)


@wrong("14.7", "axis")
def forgets_the_dimension(x, heads):
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1])


@wrong("14.7", "reshaped")
def repeats_tokens_and_calls_them_heads(x, heads):
    B, count, S, d_head = x.shape
    return x.repeat_interleave(heads // count, dim=2).reshape(B, S, heads, d_head).transpose(1, 2)


@wrong("14.7", "reshaped")
def views_repeated_features_as_heads(x, heads):
    B, count, S, d_head = x.shape
    return x.repeat_interleave(heads // count, dim=3).reshape(B, heads, S, d_head)


@wrong("14.7", "five-axes")
def leaves_groups_on_an_axis_of_their_own(x, heads):
    B, count, S, d_head = x.shape
    return x[:, :, None].expand(B, count, heads // count, S, d_head)


@wrong("14.7", "zeros")
def fills_up_with_zeros(x, heads):
    return F.pad(x, (0, 0, 0, 0, 0, heads - x.shape[1]))


@wrong("14.7", "only-the-last")
def fills_up_with_the_last(x, heads):
    return torch.cat([x, x[:, -1:].expand(-1, heads - x.shape[1], -1, -1)], dim=1)


@wrong("14.7", "unchanged")
def returns_what_it_got(x, heads):
    return x


@wrong("14.7", "backwards")
def begins_with_the_last_head(x, heads):
    return x if x.shape[1] == heads else x.flip(1).repeat_interleave(heads // x.shape[1], dim=1)


@wrong("14.7", "shape")
def counts_sequences_for_heads(x, heads):
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[0], dim=1)


@wrong("14.7", "shape")
def reads_one_sequence(x, heads):
    return x if x.shape[1] == heads else x[:1].repeat_interleave(heads // x.shape[1], dim=1)


@wrong("14.7", "groups")
def takes_the_heads_of_keys_for_the_size_of_a_group(x, heads):
    return x[:, [min(head // x.shape[1], x.shape[1] - 1) for head in range(heads)]]


@wrong("14.7", "groups")
def knows_of_groups_of_two(x, heads):
    return x if x.shape[1] == heads else x[:, [min(head // 2, x.shape[1] - 1) for head in range(heads)]]


@wrong("14.7", "raised")
def views_without_repeating(x, heads):
    return x.view(x.shape[0], heads, x.shape[2], x.shape[3])


@wrong("14.7", "gradients")
def copies_values(x, heads):
    result = torch.empty(x.shape[0], heads, *x.shape[2:], dtype=x.dtype)
    for head in range(heads):
        result[:, head] = x[:, head // (heads // x.shape[1])].detach()
    return result


@wrong("14.7", "copied")
def always_repeats(x, heads):
    return x.repeat_interleave(heads // x.shape[1], dim=1)


@wrong("14.7", "copied")
def stacks_heads_one_by_one(x, heads):
    return torch.stack([x[:, head // (heads // x.shape[1])] for head in range(heads)], dim=1)


@wrong("14.7", "returns-nothing")
def forgets_those_that_are_as_many_already(x, heads):
    if x.shape[1] < heads:
        return x.repeat_interleave(heads // x.shape[1], dim=1)


@wrong("14.7", "dtype")
def makes_float32_of_it(x, heads):
    return x.float().repeat_interleave(heads // x.shape[1], dim=1)


# --- 14.8 cache_bytes


def kept(config, tokens, bytes_a_number=2, layers=None, heads=None, length=None, both=2):
    """Right, but for what is made of it."""
    if config.window is not None:
        tokens = min(tokens, config.window + config.sinks)
    layers = config.n_layer if layers is None else layers
    heads = config.n_kv_head if heads is None else heads
    length = config.d_head if length is None else length
    return both * layers * heads * length * tokens * bytes_a_number


@wrong("14.8", "keys-and-values")
def keeps_keys_alone(config, tokens, bytes_a_number=2):
    return kept(config, tokens, bytes_a_number, both=1)


@wrong("14.8", "queries")
def keeps_queries_as_well(config, tokens, bytes_a_number=2):
    return kept(config, tokens, bytes_a_number, both=3)


@wrong("14.8", "heads-of-queries")
def counts_the_heads_of_queries(config, tokens, bytes_a_number=2):
    return kept(config, tokens, bytes_a_number, heads=config.n_head)


@wrong("14.8", "heads-of-queries")
def takes_the_models_width(config, tokens, bytes_a_number=2):
    return kept(config, tokens, bytes_a_number, heads=1, length=config.d_model)


@wrong("14.8", "heads")
def counts_groups(config, tokens, bytes_a_number=2):
    return kept(config, tokens, bytes_a_number, heads=config.n_head // config.n_kv_head)


@wrong("14.8", "width")
def gives_each_head_the_models_width(config, tokens, bytes_a_number=2):
    return kept(config, tokens, bytes_a_number, length=config.d_model)


@wrong("14.8", "heads-of-queries")
def divides_the_width_by_the_heads_of_keys(config, tokens, bytes_a_number=2):
    return kept(config, tokens, bytes_a_number, length=config.d_model // config.n_kv_head)


@wrong("14.8", "heads")
def counts_one_head(config, tokens, bytes_a_number=2):
    return kept(config, tokens, bytes_a_number, heads=1)


@wrong("14.8", "layers")
def counts_one_layer(config, tokens, bytes_a_number=2):
    return kept(config, tokens, bytes_a_number, layers=1)


@wrong("14.8", "numbers")
def counts_numbers(config, tokens, bytes_a_number=2):
    return kept(config, tokens, 1)


@wrong("14.8", "other-bytes")
def knows_of_half_precision_alone(config, tokens, bytes_a_number=2):
    return kept(config, tokens, 2)


@wrong("14.8", "other-bytes")
def takes_the_bytes_for_keys_and_values(config, tokens, bytes_a_number=2):
    return kept(config, tokens, 1, both=2 * 2)


@wrong("14.8", "other-bytes")
def keeps_float32(config, tokens, bytes_a_number=4):
    return kept(config, tokens, bytes_a_number)


@wrong("14.8", "one-token")
def counts_one_token_alone(config, tokens, bytes_a_number=2):
    return kept(config, 1, bytes_a_number)


@wrong("14.8", "context")
def counts_the_whole_context(config, tokens, bytes_a_number=2):
    return kept(config, config.context_length, bytes_a_number)


@wrong("14.8", "longer-than-the-context")
def keeps_no_more_than_a_context(config, tokens, bytes_a_number=2):
    return kept(config, min(tokens, config.context_length), bytes_a_number)


def without_a_window(config, tokens, bytes_a_number):
    return 2 * config.n_layer * config.n_kv_head * config.d_head * tokens * bytes_a_number


@wrong("14.8", "window-ignored")
def forgets_the_window(config, tokens, bytes_a_number=2):
    return without_a_window(config, tokens, bytes_a_number)


@wrong("14.8", "sinks-missing")
def forgets_sinks(config, tokens, bytes_a_number=2):
    return without_a_window(config, min(tokens, config.window or tokens), bytes_a_number)


@wrong("14.8", "short-text")
def adds_sinks_to_a_text_that_is_shorter(config, tokens, bytes_a_number=2):
    if config.window is not None:
        tokens = min(tokens, config.window) + config.sinks
    return without_a_window(config, tokens, bytes_a_number)


@wrong("14.8", "short-text")
def always_keeps_a_whole_window(config, tokens, bytes_a_number=2):
    if config.window is not None:
        tokens = config.window + config.sinks
    return without_a_window(config, tokens, bytes_a_number)


@wrong("14.8", "window-ignored")
def takes_the_larger_of_the_two(config, tokens, bytes_a_number=2):
    if config.window is not None:
        tokens = max(tokens, config.window + config.sinks)
    return without_a_window(config, tokens, bytes_a_number)


@wrong("14.8", "sinks-alone")
def adds_sinks_without_a_window(config, tokens, bytes_a_number=2):
    if config.window is not None:
        tokens = min(tokens, config.window)
    return without_a_window(config, tokens + config.sinks, bytes_a_number)


@wrong("14.8", "sinks-alone")
def keeps_sinks_alone_without_a_window(config, tokens, bytes_a_number=2):
    if config.window is not None or config.sinks:
        tokens = min(tokens, (config.window or 0) + config.sinks)
    return without_a_window(config, tokens, bytes_a_number)


@wrong("14.8", "sinks-missing")
def counts_sinks_among_the_window(config, tokens, bytes_a_number=2):
    if config.window is not None:
        tokens = min(tokens, max(config.window, config.sinks))
    return without_a_window(config, tokens, bytes_a_number)


@wrong("14.8", "sinks-missing")
def takes_sinks_from_the_window(config, tokens, bytes_a_number=2):
    if config.window is not None:
        tokens = min(tokens, config.window - config.sinks)
    return without_a_window(config, tokens, bytes_a_number)


@wrong("14.8", "one-less")
def keeps_one_token_less_than_the_window(config, tokens, bytes_a_number=2):
    if config.window is not None:
        tokens = min(tokens, config.window - 1 + config.sinks)
    return without_a_window(config, tokens, bytes_a_number)


@wrong("14.8", "returns-nothing")
def returns_within_a_window_alone(config, tokens, bytes_a_number=2):
    if config.window is not None:
        return kept(config, tokens, bytes_a_number)


@wrong("14.8", "raised")
def always_has_a_window(config, tokens, bytes_a_number=2):
    return without_a_window(config, min(tokens, config.window + config.sinks), bytes_a_number)


@wrong("14.8", "unit")
def returns_gigabytes_of_cache(config, tokens, bytes_a_number=2):
    return kept(config, tokens, bytes_a_number) / 1e9


@wrong("14.8", "bits")
def returns_bits_of_cache(config, tokens, bytes_a_number=2):
    return 8 * kept(config, tokens, bytes_a_number)


# --- 14.9 soft_cap


@wrong("14.9", "cut-off")
def clamps(logits, cap):
    return logits.clamp(-cap, cap)


@wrong("14.9", "not-divided")
def stretches_upwards_alone(logits, cap):
    return cap * torch.tanh(logits)


@wrong("14.9", "not-multiplied")
def stretches_sideways_alone(logits, cap):
    return torch.tanh(logits / cap)


@wrong("14.9", "neither")
def forgets_the_cap(logits, cap):
    return torch.tanh(logits)


@wrong("14.9", "upside-down")
def divides_where_it_should_multiply(logits, cap):
    return torch.tanh(logits * cap) / cap


@wrong("14.9", "wrong-way")
def multiplies_inside(logits, cap):
    return cap * torch.tanh(logits * cap)


@wrong("14.9", "half-slope")
def takes_a_sigmoid(logits, cap):
    return cap * (2 * torch.sigmoid(logits / cap) - 1)


@wrong("14.9", "half-slope")
def divides_by_twice_the_cap(logits, cap):
    return cap * torch.tanh(logits / (2 * cap))


@wrong("14.9", "half-slope")
def divides_by_the_root_of_the_cap(logits, cap):
    return cap * torch.tanh(logits / math.sqrt(cap))


@wrong("14.9", "sigmoid")
def squeezes_between_zero_and_the_cap(logits, cap):
    return cap * torch.sigmoid(logits / cap)


@wrong("14.9", "size-alone")
def caps_sizes(logits, cap):
    return cap * torch.tanh(logits.abs() / cap)


@wrong("14.9", "sign")
def turns_logits_over(logits, cap):
    return -cap * torch.tanh(logits / cap)


@wrong("14.9", "one-sided")
def caps_what_is_large_alone(logits, cap):
    return torch.where(logits > 0, cap * torch.tanh(logits / cap), logits)


@wrong("14.9", "one-sided")
def clamps_from_above(logits, cap):
    return logits.clamp(max=cap)


@wrong("14.9", "bent-late")
def bends_what_passes_the_cap_alone(logits, cap):
    return torch.where(logits.abs() < cap, logits, cap * torch.tanh(logits / cap))


@wrong("14.9", "scaled")
def scales_by_the_largest(logits, cap):
    return cap * logits / logits.abs().max()


@wrong("14.9", "scaled")
def bends_by_the_largest_of_each_row(logits, cap):
    return cap * logits / logits.abs().amax(dim=-1, keepdim=True).clamp(min=cap)


@wrong("14.9", "softmax")
def takes_probabilities(logits, cap):
    return cap * logits.softmax(dim=-1)


@wrong("14.9", "cap-fixed")
def always_has_gemmas_cap(logits, cap):
    return 30.0 * torch.tanh(logits / 30.0)


@wrong("14.9", "other-caps")
def cuts_the_cap_to_a_whole_number(logits, cap):
    return int(cap) * torch.tanh(logits / int(cap))


@wrong("14.9", "far-out")
def writes_tanh_with_exponentials(logits, cap):
    up, down = torch.exp(logits / cap), torch.exp(-logits / cap)
    return cap * (up - down) / (up + down)


@wrong("14.9", "far-out")
def writes_tanh_with_one_exponential(logits, cap):
    twice = torch.exp(2 * logits / cap)
    return cap * (twice - 1) / (twice + 1)


@wrong("14.9", "values")
def takes_the_first_terms_of_the_series(logits, cap):
    z = logits / cap
    return cap * (z - z**3 / 3)


@wrong("14.9", "gradients")
def hands_logits_to_numpy(logits, cap):
    bent = cap * np.tanh(logits.detach().double().numpy() / cap)
    return torch.as_tensor(bent, dtype=logits.dtype)


@wrong("14.9", "raised")
def bends_one_by_one(logits, cap):
    return torch.tensor([[cap * math.tanh(logit / cap) for logit in row] for row in logits])


@wrong("14.9", "shape")
def returns_one_row(logits, cap):
    return cap * torch.tanh(logits.flatten() / cap)


@wrong("14.9", "changes-input")
def bends_in_place(logits, cap):
    return logits.div_(cap).tanh_().mul_(cap) if not logits.requires_grad else cap * torch.tanh(logits / cap)


@wrong("14.9", "dtype")
def widens_and_stays_wide(logits, cap):
    return cap * torch.tanh(logits.float() / cap)


# --- 14.10 sees


def apart(queries, keys):
    return queries[..., :, None] - keys[..., None, :]


@wrong("14.10", "too-wide")
def gives_a_window_before_its_own_position(queries, keys, window=None, sinks=0):
    return right.sees(queries, keys, None if window is None else window + 1, sinks)


@wrong("14.10", "too-wide")
def compares_with_less_or_equal(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    near = distance <= window if window is not None else distance >= 0
    return (distance >= 0) & (near | (keys < sinks)[..., None, :])


@wrong("14.10", "too-narrow")
def sees_one_token_less(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    near = distance < window - 1 if window is not None else distance >= 0
    return (distance >= 0) & (near | (distance == 0) | (keys < sinks)[..., None, :])


@wrong("14.10", "own-missing")
def does_not_see_itself(queries, keys, window=None, sinks=0):
    return right.sees(queries, keys, window, sinks) & (apart(queries, keys) != 0)


@wrong("14.10", "both-asked")
def joins_sinks_by_and(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    return distance >= 0 if window is None else (distance >= 0) & (distance < window) & (keys < sinks)[..., None, :]


@wrong("14.10", "sinks-ahead")
def sees_sinks_that_lie_ahead(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    if window is None:
        return distance >= 0
    return (distance >= 0) & (distance < window) | (keys < sinks)[..., None, :]


@wrong("14.10", "sinks-missing")
def forgets_the_sinks(queries, keys, window=None, sinks=0):
    return right.sees(queries, keys, window)


@wrong("14.10", "both-asked")
def joins_window_and_sinks_by_and(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    if window is None:
        return distance >= 0
    near = distance < window
    return (distance >= 0) & (near & (keys < sinks)[..., None, :] if sinks else near)


@wrong("14.10", "sinks-alone")
def sees_sinks_instead_of_the_window(queries, keys, window=None, sinks=0):
    if sinks == 0:
        return right.sees(queries, keys, window)
    return (apart(queries, keys) >= 0) & (keys < sinks)[..., None, :]


@wrong("14.10", "sinks-count")
def counts_sinks_from_one(queries, keys, window=None, sinks=0):
    return right.sees(queries, keys, window, sinks + (sinks > 0))


@wrong("14.10", "sinks-count")
def has_one_sink_more(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    return distance >= 0 if window is None else (distance >= 0) & ((distance < window) | (keys <= sinks)[..., None, :])


@wrong("14.10", "sinks-by-place")
def takes_the_first_keys_for_sinks(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    first = torch.arange(keys.shape[-1]) < sinks
    return distance >= 0 if window is None else (distance >= 0) & ((distance < window) | first)


@wrong("14.10", "sinks-missing")
def lets_the_first_queries_see_everything(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    seen = distance >= 0
    return seen if window is None else seen & ((distance < window) | (queries < sinks)[..., :, None])


@wrong("14.10", "ahead")
def sees_the_future(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    if window is None:
        return torch.ones_like(distance, dtype=torch.bool)
    return (distance < window) | (keys < sinks)[..., None, :]


@wrong("14.10", "ahead")
def forgets_causality_without_a_window(queries, keys, window=None, sinks=0):
    if window is None:
        return torch.ones(*queries.shape, keys.shape[-1], dtype=torch.bool)
    return right.sees(queries, keys, window, sinks)


@wrong("14.10", "ahead")
def looks_both_ways(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    if window is None:
        return distance >= 0
    return (distance.abs() < window) | (keys < sinks)[..., None, :] & (distance >= 0)


@wrong("14.10", "transposed")
def exchanges_queries_and_keys(queries, keys, window=None, sinks=0):
    return right.sees(queries, keys, window, sinks).mT


@wrong("14.10", "transposed")
def sees_later_keys_alone(queries, keys, window=None, sinks=0):
    distance = -apart(queries, keys)
    seen = distance >= 0
    return seen if window is None else seen & ((distance < window) | (keys < sinks)[..., None, :])


@wrong("14.10", "inverted")
def says_true_where_nothing_is_seen(queries, keys, window=None, sinks=0):
    return ~right.sees(queries, keys, window, sinks)


@wrong("14.10", "boolean")
def returns_zeros_and_ones(queries, keys, window=None, sinks=0):
    return right.sees(queries, keys, window, sinks).float()


@wrong("14.10", "boolean")
def returns_whole_numbers(queries, keys, window=None, sinks=0):
    return right.sees(queries, keys, window, sinks).long()


@wrong("14.10", "boolean")
def returns_what_is_added_to_scores(queries, keys, window=None, sinks=0):
    return torch.zeros(*queries.shape, keys.shape[-1]).masked_fill(~right.sees(queries, keys, window, sinks), -math.inf)


@wrong("14.10", "places")
def counts_places_for_positions(queries, keys, window=None, sinks=0):
    at, of = torch.arange(queries.shape[-1]), torch.arange(keys.shape[-1])
    seen = right.sees(at, of, window, sinks)
    return seen.expand(*queries.shape[:-1], *seen.shape)


@wrong("14.10", "places")
def lets_the_last_query_stand_at_the_last_key(queries, keys, window=None, sinks=0):
    of = torch.arange(keys.shape[-1])
    seen = right.sees(of[-queries.shape[-1] :], of, window, sinks)
    return seen.expand(*queries.shape[:-1], *seen.shape)


@wrong("14.10", "places")
def draws_a_triangle(queries, keys, window=None, sinks=0):
    seen = torch.ones(*queries.shape, keys.shape[-1], dtype=torch.bool).tril()
    if window is None:
        return seen
    return seen & (seen.triu(1 - window) | (keys < sinks)[..., None, :])


@wrong("14.10", "shape")
def makes_one_mask_for_all(queries, keys, window=None, sinks=0):
    queries, keys = (each[0] if each.dim() == 2 else each for each in (queries, keys))
    return right.sees(queries, keys, window, sinks)


@wrong("14.10", "batch")
def repeats_the_first_sequences_mask(queries, keys, window=None, sinks=0):
    if queries.dim() == 1:
        return right.sees(queries, keys, window, sinks)
    return right.sees(queries[0], keys[0], window, sinks).expand(len(queries), -1, -1)


@wrong("14.10", "returns-nothing")
def forgets_to_return_without_a_window(queries, keys, window=None, sinks=0):
    if window is not None:
        return right.sees(queries, keys, window, sinks)


@wrong("14.10", "raised")
def knows_one_sequence_alone(queries, keys, window=None, sinks=0):
    distance = queries[:, None] - keys[None, :]
    seen = distance >= 0
    return seen if window is None else seen & ((distance < window) | (keys < sinks)[None, :])


@wrong("14.10", "raised")
def always_expects_a_window(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    return (distance >= 0) & ((distance < window) | (keys < sinks)[..., None, :])


@wrong("14.10", "sinks-alone")
def sees_sinks_alone_without_a_window(queries, keys, window=None, sinks=0):
    if window is None and sinks:
        return (apart(queries, keys) >= 0) & (keys < sinks)[..., None, :]
    return right.sees(queries, keys, window, sinks)


@wrong("14.10", "sinks-of-window")
def takes_sinks_from_the_windows_length(queries, keys, window=None, sinks=0):
    return right.sees(queries, keys, None if window is None else max(1, window - sinks), sinks)


@wrong("14.10", "blocks")
def cuts_the_text_into_windows(queries, keys, window=None, sinks=0):
    if window is None:
        return right.sees(queries, keys)
    same = (queries // window)[..., :, None] == (keys // window)[..., None, :]
    return (apart(queries, keys) >= 0) & (same | (keys < sinks)[..., None, :])


@wrong("14.10", "boolean")
def returns_rows_of_true_and_false(queries, keys, window=None, sinks=0):
    return right.sees(queries, keys, window, sinks).tolist()


@wrong("14.10", "random")
def takes_the_last_key_for_the_newest(queries, keys, window=None, sinks=0):
    distance = apart(queries, keys)
    if window is None:
        return distance >= 0
    near = torch.arange(keys.shape[-1]) >= (distance >= 0).sum(-1, keepdim=True) - window
    return (distance >= 0) & (near | (keys < sinks)[..., None, :])


# --- 14.11 imbalance


def shares(probabilities, chosen):
    """The share of all choices that fell on each expert."""
    return F.one_hot(chosen, probabilities.shape[-1]).to(probabilities.dtype).mean(dim=(0, 1))


@wrong("14.11", "times-experts")
def forgets_the_number_of_experts(probabilities, chosen):
    return (shares(probabilities, chosen) * probabilities.mean(dim=0)).sum()


@wrong("14.11", "times-experts")
def averages_over_experts(probabilities, chosen):
    return (shares(probabilities, chosen) * probabilities.mean(dim=0)).mean()


@wrong("14.11", "times-experts")
def multiplies_by_the_experts_that_are_chosen(probabilities, chosen):
    return chosen.shape[-1] * (shares(probabilities, chosen) * probabilities.mean(dim=0)).sum()


@wrong("14.11", "times-experts")
def multiplies_by_the_tokens(probabilities, chosen):
    return len(probabilities) * (shares(probabilities, chosen) * probabilities.mean(dim=0)).sum()


@wrong("14.11", "experts-fixed")
def knows_of_eight_experts(probabilities, chosen):
    return 8 * (shares(probabilities, chosen) * probabilities.mean(dim=0)).sum()


@wrong("14.11", "denominator")
def divides_choices_by_tokens(probabilities, chosen):
    share = F.one_hot(chosen, probabilities.shape[-1]).to(probabilities.dtype).sum(dim=1).mean(dim=0)
    return probabilities.shape[-1] * (share * probabilities.mean(dim=0)).sum()


@wrong("14.11", "denominator")
def averages_over_tokens_alone(probabilities, chosen):
    share = F.one_hot(chosen, probabilities.shape[-1]).to(probabilities.dtype).mean(dim=0)  # (top_k, n_expert)
    return probabilities.shape[-1] * (share * probabilities.mean(dim=0)).sum()


@wrong("14.11", "one-expert")
def always_halves_choices(probabilities, chosen):
    share = F.one_hot(chosen, probabilities.shape[-1]).to(probabilities.dtype).sum(dim=1).mean(dim=0) / 2
    return probabilities.shape[-1] * (share * probabilities.mean(dim=0)).sum()


@wrong("14.11", "other-shapes")
def counts_the_first_two_choices(probabilities, chosen):
    chosen = chosen[:, :2]
    return probabilities.shape[-1] * (shares(probabilities, chosen) * probabilities.mean(dim=0)).sum()


@wrong("14.11", "first-choice")
def counts_the_first_choice(probabilities, chosen):
    share = shares(probabilities, chosen[:, :1])
    return probabilities.shape[-1] * (share * probabilities.mean(dim=0)).sum()


@wrong("14.11", "from-probabilities")
def chooses_again(probabilities, chosen):
    share = shares(probabilities, probabilities.argmax(dim=-1, keepdim=True))
    return probabilities.shape[-1] * (share * probabilities.mean(dim=0)).sum()


@wrong("14.11", "from-probabilities")
def chooses_as_many_again(probabilities, chosen):
    share = shares(probabilities, probabilities.topk(chosen.shape[-1], dim=-1).indices)
    return probabilities.shape[-1] * (share * probabilities.mean(dim=0)).sum()


@wrong("14.11", "denominator")
def takes_counts_for_shares(probabilities, chosen):
    count = F.one_hot(chosen, probabilities.shape[-1]).to(probabilities.dtype).sum(dim=(0, 1))
    return probabilities.shape[-1] * (count * probabilities.mean(dim=0)).sum()


@wrong("14.11", "denominator")
def adds_probabilities_up(probabilities, chosen):
    return probabilities.shape[-1] * (shares(probabilities, chosen) * probabilities.sum(dim=0)).sum()


@wrong("14.11", "shares-alone")
def squares_shares(probabilities, chosen):
    return probabilities.shape[-1] * shares(probabilities, chosen).pow(2).sum()


@wrong("14.11", "probabilities-alone")
def squares_probabilities(probabilities, chosen):
    return probabilities.shape[-1] * probabilities.mean(dim=0).pow(2).sum()


@wrong("14.11", "probabilities-alone")
def squares_before_it_averages(probabilities, chosen):
    return probabilities.shape[-1] * probabilities.pow(2).mean(dim=0).sum()


@wrong("14.11", "token-by-token")
def multiplies_token_by_token(probabilities, chosen):
    hit = F.one_hot(chosen, probabilities.shape[-1]).to(probabilities.dtype).mean(dim=1)
    return probabilities.shape[-1] * (hit * probabilities).mean(dim=0).sum()


@wrong("14.11", "chosen-only")
def averages_the_probabilities_that_were_chosen(probabilities, chosen):
    hit = F.one_hot(chosen, probabilities.shape[-1]).to(probabilities.dtype).sum(dim=1)
    return probabilities.shape[-1] * (shares(probabilities, chosen) * (hit * probabilities).mean(dim=0)).sum()


@wrong("14.11", "one-mean")
def averages_over_the_experts_of_each_token(probabilities, chosen):
    return probabilities.shape[-1] * (shares(probabilities, chosen) * probabilities.mean()).sum()


@wrong("14.11", "variance")
def takes_the_variance_of_shares(probabilities, chosen):
    n_expert = probabilities.shape[-1]
    both = shares(probabilities, chosen) * probabilities.mean(dim=0)
    return 1 + n_expert * both.var()


@wrong("14.11", "softmax-again")
def takes_a_softmax_of_probabilities(probabilities, chosen):
    return right.imbalance(probabilities.softmax(dim=-1), chosen)


@wrong("14.11", "less-one")
def begins_at_zero(probabilities, chosen):
    return right.imbalance(probabilities, chosen) - 1


@wrong("14.11", "maximum")
def takes_the_busiest_alone(probabilities, chosen):
    return probabilities.shape[-1] * shares(probabilities, chosen).max() * probabilities.mean(dim=0).max()


@wrong("14.11", "not-summed")
def forgets_to_add(probabilities, chosen):
    return probabilities.shape[-1] * shares(probabilities, chosen) * probabilities.mean(dim=0)


@wrong("14.11", "gradients")
def detaches_probabilities(probabilities, chosen):
    return right.imbalance(probabilities.detach(), chosen)


@wrong("14.11", "one-number")
def returns_pythons_number(probabilities, chosen):
    return right.imbalance(probabilities, chosen).item()


@wrong("14.11", "raised")
def averages_whole_numbers(probabilities, chosen):
    share = F.one_hot(chosen, probabilities.shape[-1]).mean(dim=(0, 1))
    return probabilities.shape[-1] * (share * probabilities.mean(dim=0)).sum()


@wrong("14.11", "raised")
def counts_as_far_as_the_last_that_is_chosen(probabilities, chosen):
    share = F.one_hot(chosen).to(probabilities.dtype).mean(dim=(0, 1))
    return probabilities.shape[-1] * (share * probabilities.mean(dim=0)).sum()


@wrong("14.11", "raised")
def counts_with_bincount_as_it_comes(probabilities, chosen):
    share = torch.bincount(chosen.flatten()) / chosen.numel()
    return probabilities.shape[-1] * (share * probabilities.mean(dim=0)).sum()


@wrong("14.11", "times-experts")
def leaves_idle_experts_out(probabilities, chosen):
    busy = chosen.unique()
    share, mean = shares(probabilities, chosen), probabilities.mean(dim=0)
    return len(busy) * (share[busy] * mean[busy]).sum()


@wrong("14.11", "value")
def counts_in_half_precision(probabilities, chosen):
    share = F.one_hot(chosen, probabilities.shape[-1]).half().mean(dim=(0, 1))
    return probabilities.shape[-1] * (share * probabilities.mean(dim=0)).sum()


@wrong("14.11", "less-one")
def is_zero_where_all_are_busy(probabilities, chosen):
    n_expert = probabilities.shape[-1]
    return n_expert * ((shares(probabilities, chosen) - 1 / n_expert) * probabilities.mean(dim=0)).sum()
