"""Wrong answers to the exercises of notebook 05."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from helpers import model as reference
from tests.wrong_answers import wrong


def _hidden(T):
    return torch.ones(T, T, dtype=torch.bool).triu(1)


def _scores(q, k):
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])


def _masked(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]), -math.inf)


# --- 5.1 averaging_matrix


@wrong("5.1", "future")
def averages_past_and_future(T):
    return torch.full((T, T), 1 / T)


@wrong("5.1", "upside-down")
def averages_the_future(T):
    ones = torch.ones(T, T).triu()
    return ones / ones.sum(1, keepdim=True)


@wrong("5.1", "columns")
def divides_by_the_columns_sums(T):
    ones = torch.ones(T, T).tril()
    return ones / ones.sum(0)


@wrong("5.1", "columns")
def forgets_to_keep_the_axis(T):
    ones = torch.ones(T, T).tril()
    return (ones.T / ones.T.sum(1, keepdim=True)).T


@wrong("5.1", "itself")
def leaves_itself_out(T):
    ones = torch.ones(T, T).tril(-1)
    return ones / ones.sum(1, keepdim=True).clamp(min=1)


@wrong("5.1", "sums-to-one")
def does_not_divide(T):
    return torch.ones(T, T).tril()


@wrong("5.1", "sums-to-one")
def divides_by_all_tokens(T):
    return torch.ones(T, T).tril() / T


@wrong("5.1", "sums-to-one")
def divides_without_keeping_the_axis(T):
    ones = torch.ones(T, T).tril()
    return ones / ones.sum(1)


@wrong("5.1", "even")
def gives_the_near_past_more(T):
    weights = torch.arange(1.0, T + 1).repeat(T, 1).tril()
    return weights / weights.sum(1, keepdim=True)


@wrong("5.1", "average")
def writes_down_the_matrix_of_three(T):
    ones = torch.ones(T, T).tril()
    return ones / torch.tensor([1.0, 2.0, 3.0] + [3.0] * (T - 3))[:, None]


@wrong("5.1", "shape")
def returns_one_row(T):
    return torch.ones(T) / T


@wrong("5.1", "type")
def makes_a_matrix_of_float64(T):
    ones = torch.ones(T, T, dtype=torch.float64).tril()
    return ones / ones.sum(1, keepdim=True)


@wrong("5.1", "average")
def makes_three_rows_always(T):
    ones = torch.ones(3, 3).tril()
    return ones / ones.sum(1, keepdim=True)


# --- 5.2 softmax


@wrong("5.2", "queries")
def softmax_over_the_queries(scores):
    return scores.softmax(0)


@wrong("5.2", "everything")
def one_distribution_for_all(scores):
    powers = scores.exp()
    return powers / powers.sum()


@wrong("5.2", "log")
def takes_the_log_softmax(scores):
    return scores.log_softmax(-1)


@wrong("5.2", "no-exp")
def divides_the_scores(scores):
    return scores / scores.sum(-1, keepdim=True)


@wrong("5.2", "sums-to-one")
def only_takes_the_exponential(scores):
    return scores.exp()


@wrong("5.2", "sums-to-one")
def takes_a_sigmoid(scores):
    return scores.sigmoid()


@wrong("5.2", "keepdim")
def divides_square_matrices_the_wrong_way(scores):
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    total = powers.sum(-1)
    return powers / (total if scores.shape[-1] == scores.shape[-2] else total[..., None])


@wrong("5.2", "overflow")
def takes_the_exponential_of_large_scores(scores):
    powers = scores.exp()
    return powers / powers.sum(-1, keepdim=True)


@wrong("5.2", "largest-of-all")
def takes_off_the_largest_of_all(scores):
    powers = (scores - scores.max()).exp()
    return powers / powers.sum(-1, keepdim=True)


@wrong("5.2", "batch")
def names_the_axis_from_the_front(scores):
    return scores.softmax(1)


@wrong("5.2", "by-hand")
def uses_powers_of_two(scores):
    powers = 2.0**scores
    return powers / powers.sum(-1, keepdim=True)


@wrong("5.2", "by-hand")
def takes_off_the_mean_twice(scores):
    return (2 * scores).softmax(-1)


@wrong("5.2", "clamped")
def cuts_large_scores_off(scores):
    powers = scores.clamp(max=80).exp()
    return powers / powers.sum(-1, keepdim=True)


@wrong("5.2", "clamped")
def cuts_large_and_small_scores_off(scores):
    powers = scores.clamp(-80, 80).exp()
    return powers / powers.sum(-1, keepdim=True)


@wrong("5.2", "clamped")
def takes_the_largest_size_off(scores):
    powers = (scores - scores.nan_to_num(neginf=0.0).abs().amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


@wrong("5.2", "not-the-largest")
def takes_the_mean_off(scores):
    powers = (scores - scores.mean(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


@wrong("5.2", "minus-infinity")
def makes_minus_infinity_a_mild_number(scores):
    scores = scores.nan_to_num(neginf=-40.0)
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


@wrong("5.2", "torchs-own")
def calls_torchs_softmax(scores):
    return scores.softmax(-1)


@wrong("5.2", "torchs-own")
def calls_torchs_log_softmax(scores):
    return F.log_softmax(scores, dim=-1).exp()


@wrong("5.2", "keepdim")
def loses_the_axis_it_sums_over(scores):
    powers = scores.exp()
    return powers / powers.sum(dim=-1)


# --- 5.3 SelfAttention


class _Head(nn.Module):
    """What the stub of 5.3 gives, and a right answer to be spoiled."""

    def __init__(self, d_model, d_head):
        super().__init__()
        self.query = nn.Linear(d_model, d_head, bias=False)
        self.key = nn.Linear(d_model, d_head, bias=False)
        self.value = nn.Linear(d_model, d_head, bias=False)

    def weights(self, x):
        return (self.query(x) @ self.key(x).transpose(-2, -1)).softmax(-1)

    def forward(self, x):
        return self.weights(x) @ self.value(x)


@wrong("5.3", "parameters")
class HasBiases(_Head):
    def __init__(self, d_model, d_head):
        super().__init__(d_model, d_head)
        self.query = nn.Linear(d_model, d_head)

    def forward(self, x):
        return super().forward(x)


@wrong("5.3", "queries")
class SoftmaxOverTheQueries(_Head):
    def weights(self, x):
        return (self.query(x) @ self.key(x).transpose(-2, -1)).softmax(1)


@wrong("5.3", "not-softmaxed")
class GivesScores(_Head):
    def weights(self, x):
        return self.query(x) @ self.key(x).transpose(-2, -1)


@wrong("5.3", "swapped")
class LetsTheKeysAsk(_Head):
    def weights(self, x):
        return (self.key(x) @ self.query(x).transpose(-2, -1)).softmax(-1)


@wrong("5.3", "scaled")
class ScalesAlready(_Head):
    def weights(self, x):
        q, k = self.query(x), self.key(x)
        return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)


@wrong("5.3", "masked")
class HidesAlready(_Head):
    def weights(self, x):
        return _masked(self.query(x) @ self.key(x).transpose(-2, -1)).softmax(-1)


@wrong("5.3", "no-projection")
class ComparesTheVectors(_Head):
    def weights(self, x):
        return (x @ x.transpose(-2, -1)).softmax(-1)


@wrong("5.3", "one-part")
class ComparesQueriesWithQueries(_Head):
    def weights(self, x):
        return (self.query(x) @ self.query(x).transpose(-2, -1)).softmax(-1)


@wrong("5.3", "weights")
class LooksAcrossTheBatch(_Head):
    def weights(self, x):
        return (self.query(x) @ self.key(x.flip(0)).transpose(-2, -1)).softmax(-1)


@wrong("5.3", "shape")
class TransposesTheBatch(_Head):
    def weights(self, x):
        return torch.einsum("bid,cjd->bcij", self.query(x), self.key(x)).softmax(-1)


@wrong("5.3", "inputs-mixed")
class MixesTheInputs(_Head):
    def forward(self, x):
        return self.weights(x) @ x


@wrong("5.3", "mixes-keys")
class MixesTheKeys(_Head):
    def forward(self, x):
        return self.weights(x) @ self.key(x)


@wrong("5.3", "transposed")
class MixesByColumns(_Head):
    def forward(self, x):
        return self.weights(x).transpose(-2, -1) @ self.value(x)


@wrong("5.3", "not-mixed")
class ReturnsTheValues(_Head):
    def forward(self, x):
        return self.value(x)


@wrong("5.3", "gradient")
class StopsTheGradient(_Head):
    def forward(self, x):
        return self.weights(x).detach() @ self.value(x)


@wrong("5.3", "other-sizes")
class WritesTheSizeDown(_Head):
    def forward(self, x):
        return (self.weights(x) @ self.value(x))[..., :4]


# --- 5.4 scaled_scores


@wrong("5.4", "not-scaled")
def does_not_scale(q, k):
    return q @ k.transpose(-2, -1)


@wrong("5.4", "d-head")
def divides_by_d_head(q, k):
    return q @ k.transpose(-2, -1) / q.shape[-1]


@wrong("5.4", "d-model")
def divides_by_the_root_of_d_model(q, k):
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-3] * q.shape[-1])


@wrong("5.4", "whole-d-model")
def divides_by_d_model(q, k):
    return q @ k.transpose(-2, -1) / (q.shape[-3] * q.shape[-1])


@wrong("5.4", "more-than-d-head")
def takes_the_axis_before_the_last_for_the_heads(q, k):
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1] * q.shape[1])


@wrong("5.4", "time")
def divides_by_the_root_of_time(q, k):
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-2])


@wrong("5.4", "n-head")
def divides_by_the_root_of_the_heads(q, k):
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[0])


@wrong("5.4", "multiplied")
def multiplies_by_the_root(q, k):
    return q @ k.transpose(-2, -1) * math.sqrt(q.shape[-1])


@wrong("5.4", "swapped")
def lets_the_keys_ask(q, k):
    return k @ q.transpose(-2, -1) / math.sqrt(q.shape[-1])


@wrong("5.4", "softmax")
def goes_on_to_the_weights(q, k):
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)


@wrong("5.4", "shape")
def multiplies_the_heads_with_each_other(q, k):
    return q.transpose(-2, -1) @ k / math.sqrt(q.shape[-1])


@wrong("5.4", "variance")
def writes_down_the_root_of_four(q, k):
    return q @ k.transpose(-2, -1) / 2


@wrong("5.4", "batch")
def counts_the_axes_from_the_front(q, k):
    return torch.einsum("...id,...jd->...ij", q, k) / math.sqrt(q.shape[2])


@wrong("5.4", "alone")
def rounds_the_root(q, k):
    return q @ k.transpose(-2, -1) / int(math.sqrt(q.shape[-1]))


# --- 5.5 causal_weights


@wrong("5.5", "after-softmax")
def masks_after_the_softmax(scores):
    return scores.softmax(-1).tril()


@wrong("5.5", "no-mask")
def forgets_the_mask(scores):
    return scores.softmax(-1)


@wrong("5.5", "no-mask")
def throws_the_masked_scores_away(scores):
    scores.masked_fill(_hidden(scores.shape[-1]), -math.inf)
    return scores.softmax(-1)


@wrong("5.5", "wrong-way")
def masks_the_past(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]).T, -math.inf).softmax(-1)


@wrong("5.5", "wrong-way")
def hides_the_lower_triangle(scores):
    T = scores.shape[-1]
    return scores.masked_fill(torch.ones(T, T, dtype=torch.bool).tril(), -math.inf).softmax(-1)


@wrong("5.5", "queries")
def softmax_over_the_queries_with_a_mask(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]), -math.inf).softmax(-2)


@wrong("5.5", "itself")
def hides_the_token_itself(scores):
    T = scores.shape[-1]
    return scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(), -math.inf).softmax(-1)


@wrong("5.5", "zero-times-infinity")
def multiplies_the_mask_by_infinity(scores):
    T = scores.shape[-1]
    return (scores + torch.ones(T, T).triu(1) * -math.inf).softmax(-1)


@wrong("5.5", "zero")
def hides_with_zeros(scores):
    return scores.tril().softmax(-1)


@wrong("5.5", "zeros-hidden")
def hides_whatever_is_zero(scores):
    scores = scores.tril()
    return scores.masked_fill(scores == 0, -math.inf).softmax(-1)


@wrong("5.5", "small")
def hides_with_a_mild_number(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]), -5.0).softmax(-1)


@wrong("5.5", "small")
def hides_with_a_large_number(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]), -1e9).softmax(-1)


@wrong("5.5", "not-softmaxed")
def stops_before_the_softmax(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]), -math.inf)


@wrong("5.5", "batch")
def takes_the_size_from_the_front(scores):
    T = scores.shape[-1]
    dim = 1
    return scores.masked_fill(_hidden(T), -math.inf).softmax(dim)


@wrong("5.5", "changes-input")
def masks_in_place(scores):
    return scores.masked_fill_(_hidden(scores.shape[-1]), -math.inf).softmax(-1)


@wrong("5.5", "renormalized")
def divides_anew_what_is_left(scores):
    weights = scores.softmax(-1).tril()
    return weights / weights.sum(-1, keepdim=True)


@wrong("5.5", "renormalized")
def takes_the_largest_off_with_the_future(scores):
    powers = (scores - scores.amax(-1, keepdim=True)).exp().tril()
    return powers / powers.sum(-1, keepdim=True)


@wrong("5.5", "renormalized")
def divides_anew_in_float64(scores):
    weights = scores.double().softmax(-1).tril()
    return (weights / weights.sum(-1, keepdim=True)).float()


@wrong("5.5", "overflow")
def takes_exponentials_of_what_may_be_seen(scores):
    powers = scores.masked_fill(_hidden(scores.shape[-1]), -math.inf).exp()
    return powers / powers.sum(-1, keepdim=True)


# --- 5.6 masked_attention


@wrong("5.6", "zero-times-infinity")
def multiplies_a_mask_by_infinity(q, k, v):
    T, d_head = q.shape[-2:]
    scores = q @ k.transpose(-2, -1) / math.sqrt(d_head)
    return (scores + torch.ones(T, T).triu(1) * -math.inf).softmax(-1) @ v


@wrong("5.6", "no-mask")
def attends_to_everything(q, k, v):
    return _scores(q, k).softmax(-1) @ v


@wrong("5.6", "after-softmax")
def masks_the_weights(q, k, v):
    return _scores(q, k).softmax(-1).tril() @ v


@wrong("5.6", "wrong-way")
def masks_what_came_before(q, k, v):
    scores = _scores(q, k)
    return scores.masked_fill(_hidden(scores.shape[-1]).T, -math.inf).softmax(-1) @ v


@wrong("5.6", "wrong-way")
def hides_the_past_and_itself(q, k, v):
    T = q.shape[-2]
    return _scores(q, k).masked_fill(torch.ones(T, T, dtype=torch.bool).tril(), -math.inf).softmax(-1) @ v


@wrong("5.6", "queries")
def divides_over_the_queries(q, k, v):
    return _masked(_scores(q, k)).softmax(-2) @ v


@wrong("5.6", "not-scaled")
def forgets_the_scale(q, k, v):
    return _masked(q @ k.transpose(-2, -1)).softmax(-1) @ v


@wrong("5.6", "d-head")
def scales_by_d_head(q, k, v):
    return _masked(q @ k.transpose(-2, -1) / q.shape[-1]).softmax(-1) @ v


@wrong("5.6", "d-model")
def scales_by_the_root_of_d_model(q, k, v):
    return _masked(q @ k.transpose(-2, -1) / math.sqrt(q.shape[1] * q.shape[-1])).softmax(-1) @ v


@wrong("5.6", "swapped")
def swaps_queries_and_keys(q, k, v):
    return _masked(_scores(k, q)).softmax(-1) @ v


@wrong("5.6", "mixes-keys")
def mixes_the_keys(q, k, v):
    return _masked(_scores(q, k)).softmax(-1) @ k


@wrong("5.6", "scaled-late")
def scales_the_result(q, k, v):
    return _masked(q @ k.transpose(-2, -1)).softmax(-1) @ v / math.sqrt(q.shape[-1])


@wrong("5.6", "itself")
def hides_each_token_from_itself(q, k, v):
    T = q.shape[-2]
    return _scores(q, k).masked_fill(torch.ones(T, T, dtype=torch.bool).triu(), -math.inf).softmax(-1) @ v


@wrong("5.6", "overflow")
def takes_exponentials_as_they_are(q, k, v):
    powers = _scores(q, k).exp().tril()
    return powers / powers.sum(-1, keepdim=True) @ v


@wrong("5.6", "other-sizes")
def writes_down_the_scale(q, k, v):
    return _masked(q @ k.transpose(-2, -1) / 2).softmax(-1) @ v


@wrong("5.6", "overflow")
def divides_what_is_left_of_the_weights(q, k, v):
    weights = _scores(q, k).softmax(-1).tril()
    return weights / weights.sum(-1, keepdim=True) @ v


@wrong("5.6", "value-width")
def makes_the_result_as_wide_as_a_query(q, k, v):
    return (_masked(_scores(q, k)).softmax(-1) @ v)[..., : q.shape[-1]]


@wrong("5.6", "raised")
def takes_heads_for_granted(q, k, v):
    B, H, T, d = q.shape
    return _masked(q @ k.transpose(-2, -1) / math.sqrt(d)).softmax(-1) @ v


@wrong("5.6", "alone")
def repeats_what_has_no_batch(q, k, v):
    mixed = _masked(_scores(q, k)).softmax(-1) @ v
    return mixed if mixed.dim() > 2 else mixed[None]


@wrong("5.6", "torchs-own")
def asks_the_judge(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


# --- 5.7 HeadsInALoop


class _CausalHead(_Head):
    def forward(self, x):
        return F.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x), is_causal=True)


class _Loop(nn.Module):
    """What the stub of 5.7 gives."""

    def __init__(self, d_model, n_head):
        super().__init__()
        self.heads = nn.ModuleList(_CausalHead(d_model, d_model // n_head) for _ in range(n_head))
        self.proj = nn.Linear(d_model, d_model, bias=False)


@wrong("5.7", "added")
class AddsTheHeads(_Loop):
    def forward(self, x):
        return self.proj(sum(head(x) for head in self.heads))


@wrong("5.7", "added")
class KeepsTheLastHead(_Loop):
    def forward(self, x):
        for head in self.heads:
            found = head(x)
        return self.proj(found)


@wrong("5.7", "joined-along")
class JoinsInTime(_Loop):
    def forward(self, x):
        return self.proj(torch.cat([head(x) for head in self.heads], dim=1))


@wrong("5.7", "joined-along")
class JoinsInTheBatch(_Loop):
    def forward(self, x):
        return self.proj(torch.cat([head(x) for head in self.heads]))


@wrong("5.7", "shape")
class StacksThem(_Loop):
    def forward(self, x):
        return self.proj(torch.stack([head(x) for head in self.heads], dim=1))


@wrong("5.7", "torn")
class StacksAndReshapes(_Loop):
    def forward(self, x):
        return self.proj(torch.stack([head(x) for head in self.heads], dim=1).reshape(x.shape))


@wrong("5.7", "interleaved")
class StacksBehind(_Loop):
    def forward(self, x):
        return self.proj(torch.stack([head(x) for head in self.heads], dim=-1).flatten(-2))


@wrong("5.7", "order")
class PutsTheLastHeadLeft(_Loop):
    def forward(self, x):
        return self.proj(torch.cat([head(x) for head in reversed(self.heads)], dim=-1))


@wrong("5.7", "no-projection")
class ForgetsTheProjection(_Loop):
    def forward(self, x):
        return torch.cat([head(x) for head in self.heads], dim=-1)


@wrong("5.7", "heads")
class AsksOneHeadForAll(_Loop):
    def forward(self, x):
        return self.proj(torch.cat([self.heads[0](x)] * len(self.heads), dim=-1))


@wrong("5.7", "value")
class AddsTheInput(_Loop):
    def forward(self, x):
        return x + self.proj(torch.cat([head(x) for head in self.heads], dim=-1))


@wrong("5.7", "single")
class WritesThreeHeadsDown(_Loop):
    def forward(self, x):
        return self.proj(torch.cat([head(x) for head in self.heads[:3]], dim=-1)) * (len(self.heads) == 3)


# --- 5.8 split_heads


@wrong("5.8", "no-transpose")
def only_cuts(x, n_head):
    return x.view(*x.shape[:2], n_head, -1)


@wrong("5.8", "view-alone")
def views_it_at_once(x, n_head):
    B, T, d_model = x.shape
    return x.reshape(B, n_head, T, d_model // n_head)


@wrong("5.8", "interleaved")
def deals_the_features_out(x, n_head):
    B, T, d_model = x.shape
    return x.view(B, T, d_model // n_head, n_head).permute(0, 3, 1, 2)


@wrong("5.8", "swapped-sizes")
def takes_n_head_for_the_width(x, n_head):
    B, T, d_model = x.shape
    return x.view(B, T, d_model // n_head, n_head).transpose(1, 2)


@wrong("5.8", "order")
def gives_the_last_head_the_first_features(x, n_head):
    return torch.stack(x.chunk(n_head, dim=-1)[::-1], dim=1)


@wrong("5.8", "shape")
def swaps_the_wrong_axes(x, n_head):
    return x.view(*x.shape[:2], n_head, -1).transpose(2, 3)


@wrong("5.8", "shape")
def brings_the_heads_before_the_batch(x, n_head):
    return torch.stack(x.chunk(n_head, dim=-1))


@wrong("5.8", "torn")
def transposes_and_reshapes(x, n_head):
    B, T, d_model = x.shape
    return x.view(B, T, n_head, -1).transpose(1, 3).reshape(B, n_head, T, d_model // n_head)


@wrong("5.8", "single")
def squeezes_a_single_head(x, n_head):
    return x.view(*x.shape[:2], n_head, -1).transpose(1, 2).squeeze()


@wrong("5.8", "gradient")
def copies_by_way_of_a_list(x, n_head):
    return torch.tensor(x.tolist()).view(*x.shape[:2], n_head, -1).transpose(1, 2)


@wrong("5.8", "view")
def views_after_the_transpose(x, n_head):
    B, T, d = x.shape
    return x.transpose(1, 2).view(B, n_head, T, d // n_head)


# --- 5.9 merge_heads


@wrong("5.9", "no-transpose")
def reshapes_without_transpose(x):
    B, H, T, d = x.shape
    return x.reshape(B, T, H * d)


@wrong("5.9", "interleaved")
def puts_the_heads_last(x):
    B, H, T, d = x.shape
    return x.permute(0, 2, 3, 1).reshape(B, T, H * d)


@wrong("5.9", "added")
def adds_the_heads(x):
    return x.sum(1)


@wrong("5.9", "added")
def averages_the_heads(x):
    return x.mean(1)


@wrong("5.9", "order")
def puts_the_last_head_first(x):
    return torch.cat([x[:, head] for head in reversed(range(x.shape[1]))], dim=-1)


@wrong("5.9", "shape")
def joins_them_in_time(x):
    return torch.cat([x[:, head] for head in range(x.shape[1])], dim=1)


@wrong("5.9", "shape")
def only_transposes(x):
    return x.transpose(1, 2)


@wrong("5.9", "shape")
def swaps_time_and_features(x):
    return x.transpose(1, 2).flatten(2).transpose(1, 2)


@wrong("5.9", "single")
def squeezes(x):
    return x.transpose(1, 2).flatten(2).squeeze()


@wrong("5.9", "view")
def views_what_does_not_lie_in_order(x):
    B, H, T, d = x.shape
    return x.contiguous().transpose(1, 2).view(B, T, H * d)


@wrong("5.9", "gradient")
def copies_the_heads_by_way_of_a_list(x):
    return torch.tensor(x.tolist()).transpose(1, 2).flatten(2)


# --- 5.10 CausalSelfAttention


class _Layer(reference.CausalSelfAttention):
    """The course's layer, to be spoiled; `attend` is what most mistakes are made in."""

    def attend(self, q, k, v, mask, p):
        return F.scaled_dot_product_attention(q, k, v, mask, p, is_causal=mask is None)

    def merge(self, mixed):
        return mixed.transpose(1, 2).flatten(2)

    def forward(self, x, cache=None):
        q, k, v = self.heads(x)
        p = self.dropout.p if self.training else 0.0
        if cache is None:
            return self.dropout(self.proj(self.merge(self.attend(q, k, v, None, p))))
        k, v, mask = cache.extend(k, v)
        mixed = F.scaled_dot_product_attention(q, k, v, mask, p)
        return self.dropout(self.proj(self.merge(mixed)))

    def chunks(self, x):
        return self.qkv(x).chunk(3, dim=-1)


@wrong("5.10", "parameters")
class KeepsTheMaskAmongTheWeights(_Layer):
    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("mask", torch.ones(config.context_length, config.context_length).tril())


@wrong("5.10", "view-alone")
class ViewsWithoutTranspose(_Layer):
    def heads(self, x):
        B, T, d = x.shape
        return tuple(part.reshape(B, self.n_head, T, d // self.n_head) for part in self.chunks(x))


@wrong("5.10", "no-transpose")
class LeavesTimeBeforeTheHeads(_Layer):
    def heads(self, x):
        B, T, d = x.shape
        return tuple(part.view(B, T, self.n_head, d // self.n_head) for part in self.chunks(x))


@wrong("5.10", "order")
class ReturnsTheKeysFirst(_Layer):
    def heads(self, x):
        q, k, v = super().heads(x)
        return k, q, v


@wrong("5.10", "order")
class ReturnsTheKeysLast(_Layer):
    def heads(self, x):
        q, k, v = super().heads(x)
        return q, v, k


@wrong("5.10", "by-head")
class StoresThemByHead(_Layer):
    def heads(self, x):
        B, T, d = x.shape
        return self.qkv(x).view(B, T, self.n_head, 3 * d // self.n_head).transpose(1, 2).chunk(3, dim=-1)


@wrong("5.10", "torn")
class CutsTheBatch(_Layer):
    def heads(self, x):
        B, T, d = x.shape
        return self.qkv(x).reshape(3, B, self.n_head, T, d // self.n_head).unbind(0)


@wrong("5.10", "three")
class ReturnsOneTensor(_Layer):
    def heads(self, x):
        B, T, d = x.shape
        return self.qkv(x).view(B, T, self.n_head, -1).transpose(1, 2)


@wrong("5.10", "same")
class ProjectsOnce(_Layer):
    def heads(self, x):
        q, _, _ = super().heads(x)
        return q, q, q


@wrong("5.10", "no-mask")
class ForgetsTheMask(_Layer):
    def attend(self, q, k, v, mask, p):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p)


@wrong("5.10", "wrong-way")
class HidesWhereItMayLook(_Layer):
    def attend(self, q, k, v, mask, p):
        T = q.shape[-2]
        return F.scaled_dot_product_attention(q, k, v, torch.ones(T, T, dtype=torch.bool).triu(), p)


@wrong("5.10", "itself")
class HidesThePast(_Layer):
    def attend(self, q, k, v, mask, p):
        scores = _scores(q, k).masked_fill(torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu(), -math.inf)
        return F.dropout(scores.softmax(-1), p) @ v


@wrong("5.10", "queries")
class SoftmaxOverTheWrongAxis(_Layer):
    def attend(self, q, k, v, mask, p):
        return F.dropout(_masked(_scores(q, k)).softmax(-2), p) @ v


@wrong("5.10", "after-softmax")
class MasksTheWeights(_Layer):
    def attend(self, q, k, v, mask, p):
        return F.dropout(_scores(q, k).softmax(-1).tril(), p) @ v


@wrong("5.10", "not-scaled")
class DoesNotScale(_Layer):
    def attend(self, q, k, v, mask, p):
        return F.scaled_dot_product_attention(q, k, v, None, p, is_causal=True, scale=1.0)


@wrong("5.10", "d-model")
class ScalesByDModel(_Layer):
    def attend(self, q, k, v, mask, p):
        scale = (q.shape[1] * q.shape[-1]) ** -0.5
        return F.scaled_dot_product_attention(q, k, v, None, p, is_causal=True, scale=scale)


@wrong("5.10", "d-head")
class ScalesTwice(_Layer):
    def attend(self, q, k, v, mask, p):
        return F.scaled_dot_product_attention(q / math.sqrt(q.shape[-1]), k, v, None, p, is_causal=True)


@wrong("5.10", "merged-without-transpose")
class ReshapesWithoutTranspose(_Layer):
    def merge(self, mixed):
        B, _, T, _ = mixed.shape
        return mixed.reshape(B, T, -1)


@wrong("5.10", "interleaved")
class PutsTheHeadsBehind(_Layer):
    def merge(self, mixed):
        return mixed.permute(0, 2, 3, 1).flatten(2)


@wrong("5.10", "no-projection")
class LeavesTheProjectionOut(_Layer):
    def forward(self, x, cache=None):
        q, k, v = self.heads(x)
        p = self.dropout.p if self.training else 0.0
        return self.dropout(self.merge(self.attend(q, k, v, None, p)))


@wrong("5.10", "mixes-keys")
class HandsTheKeysOver(_Layer):
    def attend(self, q, k, v, mask, p):
        return F.scaled_dot_product_attention(q, k, k, None, p, is_causal=True)


@wrong("5.10", "swapped")
class LetsKeysAskQueries(_Layer):
    def attend(self, q, k, v, mask, p):
        return F.scaled_dot_product_attention(k, q, v, None, p, is_causal=True)


@wrong("5.10", "residual")
class AddsTheStream(_Layer):
    def forward(self, x, cache=None):
        return x + super().forward(x, cache)


@wrong("5.10", "cache-ignored")
class KnowsNoCache(_Layer):
    def forward(self, x, cache=None):
        return super().forward(x)


@wrong("5.10", "cache-ignored")
class AsksTheCacheAndGoesOn(_Layer):
    def forward(self, x, cache=None):
        if cache is not None:
            cache.extend(*self.heads(x)[1:])
        return super().forward(x)


@wrong("5.10", "cache-mask")
class MasksTwice(_Layer):
    def forward(self, x, cache=None):
        q, k, v = self.heads(x)
        mask = None
        if cache is not None:
            k, v, mask = cache.extend(k, v)
        p = self.dropout.p if self.training else 0.0
        return self.dropout(self.proj(self.merge(F.scaled_dot_product_attention(q, k, v, mask, p, is_causal=True))))


@wrong("5.10", "cache-broke")
class ExpectsTwoThingsOfTheCache(_Layer):
    def forward(self, x, cache=None):
        if cache is not None:
            k, v = cache.extend(*self.heads(x)[1:])
        return super().forward(x, cache)


@wrong("5.10", "cache-mask")
class SeesAllOfTheCache(_Layer):
    def forward(self, x, cache=None):
        if cache is None:
            return super().forward(x)
        q, k, v = self.heads(x)
        k, v, _ = cache.extend(k, v)
        return self.proj(self.merge(F.scaled_dot_product_attention(q, k, v)))


@wrong("5.10", "cache-mask")
class DrawsATriangleOverTheCache(_Layer):
    def forward(self, x, cache=None):
        if cache is None:
            return super().forward(x)
        q, k, v = self.heads(x)
        k, v, _ = cache.extend(k, v)
        return self.proj(self.merge(F.scaled_dot_product_attention(q, k, v, is_causal=True)))


@wrong("5.10", "always-drops")
class AlwaysDropsWeights(_Layer):
    def attend(self, q, k, v, mask, p):
        return F.scaled_dot_product_attention(q, k, v, None, self.dropout.p, is_causal=True)


@wrong("5.10", "no-dropout")
class DropsNothing(_Layer):
    def forward(self, x, cache=None):
        training, self.training = self.training, False
        self.dropout.eval()
        result = super().forward(x, cache)
        self.training = training
        return result


@wrong("5.10", "weights-kept")
class DropsTheResultAlone(_Layer):
    def attend(self, q, k, v, mask, p):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


@wrong("5.10", "result-kept")
class DropsTheWeightsAlone(_Layer):
    def forward(self, x, cache=None):
        dropout, self.dropout = self.dropout, nn.Identity()
        self.dropout.p = dropout.p
        result = super().forward(x, cache)
        self.dropout = dropout
        return result


@wrong("5.10", "dropped-twice")
class DropsTheMixtures(_Layer):
    def attend(self, q, k, v, mask, p):
        return self.dropout(F.scaled_dot_product_attention(q, k, v, is_causal=True))


@wrong("5.10", "probability")
class DropsATenth(_Layer):
    def __init__(self, config):
        super().__init__(config)
        self.dropout = nn.Dropout(min(config.dropout, 0.1))

    def forward(self, x, cache=None):
        return super().forward(x, cache)


@wrong("5.10", "gradient")
class SavesMemory(_Layer):
    @torch.no_grad()
    def forward(self, x, cache=None):
        return super().forward(x, cache)


@wrong("5.10", "gradient")
class DetachesTheKeys(_Layer):
    def heads(self, x):
        q, k, v = super().heads(x)
        return q, k.detach(), v


@wrong("5.10", "other-sizes")
class WritesThreeHeads(_Layer):
    def heads(self, x):
        B, T, d = x.shape
        n_head = 3 if d % 3 == 0 else 4 if d == 32 else 2
        return tuple(part.view(B, T, n_head, d // n_head).transpose(1, 2) for part in self.chunks(x))


def masked_attention(q, k, v):
    return _masked(_scores(q, k)).softmax(-1) @ v


@wrong("5.10", "stays-behind")
class CallsAPartThatStaysBehind(_Layer):
    def forward(self, x, cache=None):
        if self.training or cache is not None:
            return super().forward(x, cache)
        return self.proj(self.merge(masked_attention(*self.heads(x))))


@wrong("5.10", "dropout-place")
class DropsBeforeTheProjection(_Layer):
    def forward(self, x, cache=None):
        q, k, v = self.heads(x)
        mask = None
        if cache is not None:
            k, v, mask = cache.extend(k, v)
        p = self.dropout.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, mask, p, is_causal=cache is None)
        return self.proj(self.dropout(self.merge(mixed)))


@wrong("5.10", "cache-ignored")
class TakesAnEmptyCacheForNone(_Layer):
    def forward(self, x, cache=None):
        return super().forward(x, cache if cache else None)
