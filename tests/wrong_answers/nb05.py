"""Wrong answers to the exercises of notebook 05."""

import math

import torch

from tests.wrong_answers import wrong


def _hidden(T):
    return torch.ones(T, T, dtype=torch.bool).triu(1)


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


# --- 5.2 softmax_rows


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


# --- 5.3 scaled_scores


@wrong("5.3", "not-scaled")
def does_not_scale(q, k):
    return q @ k.transpose(-2, -1)


@wrong("5.3", "d-head")
def divides_by_d_head(q, k):
    return q @ k.transpose(-2, -1) / q.shape[-1]


@wrong("5.3", "d-model")
def divides_by_the_root_of_d_model(q, k):
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-3] * q.shape[-1])


@wrong("5.3", "time")
def divides_by_the_root_of_time(q, k):
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-2])


@wrong("5.3", "n-head")
def divides_by_the_root_of_the_heads(q, k):
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[0])


@wrong("5.3", "multiplied")
def multiplies_by_the_root(q, k):
    return q @ k.transpose(-2, -1) * math.sqrt(q.shape[-1])


@wrong("5.3", "swapped")
def lets_the_keys_ask(q, k):
    return k @ q.transpose(-2, -1) / math.sqrt(q.shape[-1])


@wrong("5.3", "softmax")
def goes_on_to_the_weights(q, k):
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)


@wrong("5.3", "shape")
def multiplies_the_heads_with_each_other(q, k):
    return q.transpose(-2, -1) @ k / math.sqrt(q.shape[-1])


@wrong("5.3", "variance")
def writes_down_the_root_of_four(q, k):
    return q @ k.transpose(-2, -1) / 2


@wrong("5.3", "batch")
def counts_the_axes_from_the_front(q, k):
    return torch.einsum("...id,...jd->...ij", q, k) / math.sqrt(q.shape[2])


# --- 5.4 causal_weights


@wrong("5.4", "after-softmax")
def masks_after_the_softmax(scores):
    return scores.softmax(-1).tril()


@wrong("5.4", "no-mask")
def forgets_the_mask(scores):
    return scores.softmax(-1)


@wrong("5.4", "no-mask")
def throws_the_masked_scores_away(scores):
    scores.masked_fill(_hidden(scores.shape[-1]), -math.inf)
    return scores.softmax(-1)


@wrong("5.4", "wrong-way")
def masks_the_past(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]).T, -math.inf).softmax(-1)


@wrong("5.4", "queries")
def softmax_over_the_queries_with_a_mask(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]), -math.inf).softmax(-2)


@wrong("5.4", "itself")
def hides_the_token_itself(scores):
    T = scores.shape[-1]
    return scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(), -math.inf).softmax(-1)


@wrong("5.4", "zero-times-infinity")
def multiplies_the_mask_by_infinity(scores):
    T = scores.shape[-1]
    return (scores + torch.ones(T, T).triu(1) * -math.inf).softmax(-1)


@wrong("5.4", "zero")
def hides_with_zeros(scores):
    return scores.tril().softmax(-1)


@wrong("5.4", "zeros-hidden")
def hides_whatever_is_zero(scores):
    scores = scores.tril()
    return scores.masked_fill(scores == 0, -math.inf).softmax(-1)


@wrong("5.4", "small")
def hides_with_a_mild_number(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]), -5.0).softmax(-1)


@wrong("5.4", "small")
def hides_with_a_large_number(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]), -1e9).softmax(-1)


@wrong("5.4", "not-softmaxed")
def stops_before_the_softmax(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]), -math.inf)


@wrong("5.4", "batch")
def takes_the_size_from_the_front(scores):
    T = scores.shape[-1]
    dim = 1
    return scores.masked_fill(_hidden(T), -math.inf).softmax(dim)


@wrong("5.4", "changes-input")
def masks_in_place(scores):
    return scores.masked_fill_(_hidden(scores.shape[-1]), -math.inf).softmax(-1)


# --- 5.5 merge_heads


@wrong("5.5", "no-transpose")
def reshapes_without_transpose(x):
    B, H, T, d = x.shape
    return x.reshape(B, T, H * d)


@wrong("5.5", "interleaved")
def puts_the_heads_last(x):
    B, H, T, d = x.shape
    return x.permute(0, 2, 3, 1).reshape(B, T, H * d)


@wrong("5.5", "added")
def adds_the_heads(x):
    return x.sum(1)


@wrong("5.5", "added")
def averages_the_heads(x):
    return x.mean(1)


@wrong("5.5", "order")
def puts_the_last_head_first(x):
    return torch.cat([x[:, head] for head in reversed(range(x.shape[1]))], dim=-1)


@wrong("5.5", "shape")
def joins_them_in_time(x):
    return torch.cat([x[:, head] for head in range(x.shape[1])], dim=1)


@wrong("5.5", "shape")
def only_transposes(x):
    return x.transpose(1, 2)


@wrong("5.5", "shape")
def swaps_time_and_features(x):
    return x.transpose(1, 2).flatten(2).transpose(1, 2)


@wrong("5.5", "single")
def squeezes(x):
    return x.transpose(1, 2).flatten(2).squeeze()


@wrong("5.5", "raised")
def views_what_does_not_lie_in_order(x):
    B, H, T, d = x.shape
    return x.contiguous().transpose(1, 2).view(B, T, H * d)


# --- 5.6 masked_attention


def _scores(q, k):
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])


def _masked(scores):
    return scores.masked_fill(_hidden(scores.shape[-1]), -math.inf)


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
