"""Wrong answers to the exercises of notebook 09."""

import math

import torch
import torch.nn.functional as F

from helpers.errors import CourseError
from tests.wrong_answers import wrong

# --- 9.1 pooled_perplexity


@wrong("9.1", "mean-of-perplexities")
def averages_perplexities(losses, tokens):
    return sum(map(math.exp, losses)) / len(losses)


@wrong("9.1", "weighted-perplexities")
def weighs_but_averages_perplexities(losses, tokens):
    return sum(math.exp(loss) * count for loss, count in zip(losses, tokens, strict=True)) / sum(tokens)


@wrong("9.1", "batches-alike")
def weighs_batches_alike(losses, tokens):
    return math.exp(sum(losses) / len(losses))


@wrong("9.1", "not-divided")
def forgets_to_divide(losses, tokens):
    return math.exp(sum(loss * count for loss, count in zip(losses, tokens, strict=True)))


@wrong("9.1", "summed-means")
def adds_means(losses, tokens):
    return math.exp(sum(losses))


@wrong("9.1", "per-batch")
def divides_by_batches(losses, tokens):
    return math.exp(sum(loss * count for loss, count in zip(losses, tokens, strict=True)) / len(losses))


@wrong("9.1", "still-a-loss")
def forgets_the_exponential(losses, tokens):
    return sum(loss * count for loss, count in zip(losses, tokens, strict=True)) / sum(tokens)


@wrong("9.1", "base-two")
def takes_nats_for_bits(losses, tokens):
    return 2 ** (sum(loss * count for loss, count in zip(losses, tokens, strict=True)) / sum(tokens))


@wrong("9.1", "empty")
def counts_at_least_one_token(losses, tokens):
    tokens = [max(1, count) for count in tokens]
    return math.exp(sum(loss * count for loss, count in zip(losses, tokens, strict=True)) / sum(tokens))


# --- 9.2 overlapping_windows


@wrong("9.2", "form")
def gives_pairs(length, context, stride):
    return [(start, min(length, start + context)) for start in range(0, length, stride)]


@wrong("9.2", "tail")
def forgets_the_tail(length, context, stride):
    return [(at, at + context, at) for at in range(0, length - context + 1, context)]


@wrong("9.2", "beyond")
def reads_beyond_the_text(length, context, stride):
    return [(at, at + context, at) for at in range(0, length, context)]


@wrong("9.2", "too-long")
def reads_all_that_is_before(length, context, stride):
    spans, first = [], 0
    while first < length:
        end = min(length, first + stride if first else context)
        spans.append((0, end, first))
        first = end
    return spans


@wrong("9.2", "twice")
def scores_everything_it_reads(length, context, stride):
    return [
        (start, min(length, start + context), start) for start in range(0, max(1, length - context + stride), stride)
    ]


@wrong("9.2", "left-out")
def does_not_score_the_first_windows_beginning(length, context, stride):
    spans, first = [], 0
    while first < length:
        end = min(length, first + stride if first else context)
        spans.append((max(0, end - context), end, first or context - stride))
        first = end
    return spans


@wrong("9.2", "no-overlap")
def ignores_the_stride(length, context, stride):
    return [(at, min(length, at + context), at) for at in range(0, length, context)]


@wrong("9.2", "little-context")
def reads_only_what_is_new(length, context, stride):
    spans, first = [], 0
    while first < length:
        end = min(length, first + stride if first else context)
        spans.append((first, end, first))
        first = end
    return spans


@wrong("9.2", "relative")
def counts_first_from_the_window(length, context, stride):
    spans, first = [], 0
    while first < length:
        end = min(length, first + (stride if first else context))
        start = max(0, end - context)
        spans.append((start, end, first - start))
        first = end
    return spans


@wrong("9.2", "out-of-range")
def moves_on_after_the_end(length, context, stride):
    starts = range(0, length, stride)
    return [(s, min(s + context, length), s + context - stride if s else 0) for s in starts]


@wrong("9.2", "too-many")
def begins_with_a_stride(length, context, stride):
    spans = []
    for first in range(0, length, stride):
        end = min(length, first + stride)
        spans.append((max(0, end - context), end, first))
    return spans


# --- 9.3 case_file


@wrong("9.3", "form")
def gives_one_number(perplexity, vocab_size):
    return math.log(perplexity) / math.log(vocab_size)


@wrong("9.3", "bits")
def gives_bits(perplexity, vocab_size):
    return math.log2(perplexity), math.log2(perplexity) / math.log2(vocab_size), None


@wrong("9.3", "nats")
def leaves_the_perplexity(perplexity, vocab_size):
    return perplexity, math.log(perplexity) / math.log(vocab_size), None


@wrong("9.3", "fraction-of-perplexity")
def compares_perplexities(perplexity, vocab_size):
    return math.log(perplexity), perplexity / vocab_size, None


@wrong("9.3", "upside-down")
def turns_the_fraction_round(perplexity, vocab_size):
    return math.log(perplexity), math.log(vocab_size) / math.log(perplexity), None


@wrong("9.3", "fraction")
def gives_per_cent(perplexity, vocab_size):
    return math.log(perplexity), 100 * math.log(perplexity) / math.log(vocab_size), None


@wrong("9.3", "mean-probability")
def takes_the_fraction_for_the_probability(perplexity, vocab_size):
    fraction = math.log(perplexity) / math.log(vocab_size)
    return math.log(perplexity), fraction, 1 - fraction


@wrong("9.3", "impossible")
def explains_everything(perplexity, vocab_size):
    loss, guessing = math.log(perplexity), math.log(vocab_size)
    return loss, loss / guessing, guessing - loss


@wrong("9.3", "impossible")
def squeezes_it_into_the_range(perplexity, vocab_size):
    loss, guessing = math.log(perplexity), math.log(vocab_size)
    return loss, loss / guessing, min(1.0, max(0.0, guessing - loss))


# --- 9.4 apply_temperature


@wrong("9.4", "unchanged")
def adds_the_temperature(logits, temperature):
    return logits + temperature


@wrong("9.4", "unchanged")
def normalizes_and_no_more(logits, temperature):
    return logits.log_softmax(-1)


@wrong("9.4", "multiplied")
def multiplies(logits, temperature):
    return logits * temperature


@wrong("9.4", "of-probabilities")
def divides_probabilities(logits, temperature):
    return logits.softmax(-1) / temperature


@wrong("9.4", "probabilities")
def gives_the_probabilities(logits, temperature):
    return (logits / temperature).softmax(-1)


@wrong("9.4", "squared")
def divides_twice(logits, temperature):
    return logits / temperature / temperature


@wrong("9.4", "value")
def divides_by_a_root(logits, temperature):
    return logits / temperature**0.5


@wrong("9.4", "greedy-limit")
def follows_the_formula_in_probabilities(logits, temperature):
    return (logits.softmax(-1) ** (1 / temperature)).log()


@wrong("9.4", "hot")
def limits_the_temperature(logits, temperature):
    return logits / min(temperature, 2.0)


@wrong("9.4", "rows")
def normalizes_the_first_axis(logits, temperature):
    return logits.log_softmax(0) / temperature if logits.dim() > 2 else logits / temperature


@wrong("9.4", "precision")
def computes_in_single_precision(logits, temperature):
    return logits.float() / temperature


@wrong("9.4", "shape")
def gives_the_first_row(logits, temperature):
    return logits[0] / temperature


@wrong("9.4", "changes-input")
def divides_in_place(logits, temperature):
    logits /= temperature
    return logits


# --- 9.5 keep_top_k


@wrong("9.5", "smallest")
def keeps_the_smallest(logits, k):
    kth = logits.topk(min(k, logits.shape[-1]), dim=-1, largest=False).values[..., -1:]
    return logits.masked_fill(logits > kth, -torch.inf)


@wrong("9.5", "off-by-one")
def drops_the_kth_too(logits, k):
    kth = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits <= kth, -torch.inf)


@wrong("9.5", "off-by-one")
def keeps_one_more(logits, k):
    kth = logits.topk(min(k + 1, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < kth, -torch.inf)


@wrong("9.5", "ties")
def keeps_exactly_k(logits, k):
    best = logits.topk(min(k, logits.shape[-1]), dim=-1)
    return torch.full_like(logits, -torch.inf).scatter(-1, best.indices, best.values)


@wrong("9.5", "rows")
def takes_one_threshold_for_all_rows(logits, k):
    kth = logits.flatten().topk(min(k, logits.numel())).values[-1]
    return logits.masked_fill(logits < kth, -torch.inf)


@wrong("9.5", "rows")
def looks_at_the_first_axis(logits, k):
    if len(logits) == 1:
        logits = logits[0]
        kth = logits.topk(min(k, len(logits))).values[-1]
        return logits.masked_fill(logits < kth, -torch.inf)[None]
    kth = logits.topk(min(k, len(logits)), dim=0).values[-1]
    return logits.masked_fill(logits < kth, -torch.inf)


@wrong("9.5", "raised")
def asks_for_more_than_there_are(logits, k):
    kth = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < kth, -torch.inf)


@wrong("9.5", "infinity")
def sets_what_goes_to_zero(logits, k):
    kth = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits * (logits >= kth)


@wrong("9.5", "infinity")
def takes_a_large_number_for_infinity(logits, k):
    kth = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < kth, -1e9)


@wrong("9.5", "probabilities")
def gives_probabilities_of_the_best(logits, k):
    kth = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < kth, -torch.inf).softmax(-1)


@wrong("9.5", "shape")
def gives_the_k_values(logits, k):
    return logits.topk(min(k, logits.shape[-1]), dim=-1).values


@wrong("9.5", "order")
def cuts_in_sorted_order(logits, k):
    mark = torch.arange(logits.shape[-1]) >= k
    return logits.masked_fill(mark, -torch.inf)


@wrong("9.5", "changes-input")
def fills_in_place(logits, k):
    kth = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill_(logits < kth, -torch.inf)


# --- 9.6 keep_top_p


def _top_p(logits, dropped, token):
    return logits.masked_fill(dropped.scatter(-1, token, dropped), -torch.inf)


@wrong("9.6", "crossing")
def drops_the_token_that_crosses(logits, p):
    ordered, token = logits.sort(dim=-1, descending=True)
    return _top_p(logits, ordered.softmax(-1).cumsum(-1) > p, token)


@wrong("9.6", "order")
def forgets_to_sort_back(logits, p):
    probability = logits.sort(dim=-1, descending=True).values.softmax(-1)
    return logits.masked_fill(probability.cumsum(-1) - probability >= p, -torch.inf)


@wrong("9.6", "ascending")
def sorts_the_wrong_way(logits, p):
    ordered, token = logits.sort(dim=-1)
    return _top_p(logits, (ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)) >= p * 0.25, token)


@wrong("9.6", "ascending")
def indexes_the_marks_with_the_order(logits, p):
    ordered, order = logits.softmax(-1).sort(-1, descending=True)
    dropped = ordered.cumsum(-1) - ordered >= p
    return logits.masked_fill(dropped.gather(-1, order), -torch.inf)


@wrong("9.6", "alone")
def compares_each_token_with_p(logits, p):
    return logits.masked_fill(logits.softmax(-1) < p, -torch.inf)


@wrong("9.6", "kept")
def keeps_what_has_probability_above_a_threshold(logits, p):
    return logits.masked_fill(logits.softmax(-1) < 1 - p - 0.3, -torch.inf)


@wrong("9.6", "probabilities")
def returns_probabilities(logits, p):
    ordered, token = logits.sort(dim=-1, descending=True)
    probability = ordered.softmax(-1)
    return _top_p(logits, probability.cumsum(-1) - probability >= p, token).softmax(-1)


@wrong("9.6", "infinity")
def sets_the_dropped_to_zero(logits, p):
    ordered, token = logits.sort(dim=-1, descending=True)
    dropped = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1) >= p
    return logits.masked_fill(dropped.scatter(-1, token, dropped), 0.0)


@wrong("9.6", "nothing-dropped")
def drops_nothing(logits, p):
    return logits


@wrong("9.6", "nothing-dropped")
def begins_with_the_least_likely(logits, p):
    ordered, token = logits.sort(dim=-1)
    probability = ordered.softmax(-1)
    return _top_p(logits, probability.cumsum(-1) - probability >= p, token)


@wrong("9.6", "nothing-dropped")
def adds_up_logits(logits, p):
    ordered, token = logits.sort(dim=-1, descending=True)
    return _top_p(logits, ordered.cumsum(-1) - ordered >= p, token)


@wrong("9.6", "ties")
def keeps_all_equals_as_top_k_does(logits, p):
    probability = logits.softmax(-1)
    ordered = probability.sort(dim=-1, descending=True).values
    inside = (ordered.cumsum(-1) - ordered < p).sum(-1, keepdim=True)
    edge = ordered.gather(-1, inside - 1)
    return logits if p >= 1 else logits.masked_fill(probability < edge, -torch.inf)


@wrong("9.6", "shape")
def returns_only_what_is_kept(logits, p):
    ordered = logits.sort(dim=-1, descending=True).values
    probability = ordered.softmax(-1)
    return ordered[probability.cumsum(-1) - probability < p]


@wrong("9.6", "empty")
def keeps_nothing_for_a_small_p(logits, p):
    ordered, token = logits.sort(dim=-1, descending=True)
    probability = ordered.softmax(-1)
    dropped = probability.cumsum(-1) - probability >= p
    if p < 0.1:
        dropped = probability.cumsum(-1) > p
    return _top_p(logits, dropped, token)


@wrong("9.6", "rows")
def takes_the_first_rows_order_for_all(logits, p):
    token = logits[0].argsort(descending=True)
    probability = logits.softmax(-1)[:, token]
    dropped = probability.cumsum(-1) - probability >= p
    result = logits.clone()
    result[:, token] = result[:, token].masked_fill(dropped, -torch.inf)
    return result


@wrong("9.6", "reached")
def goes_on_when_p_is_reached(logits, p):
    ordered, token = logits.sort(dim=-1, descending=True)
    probability = ordered.softmax(-1)
    return logits if p >= 1 else _top_p(logits, probability.cumsum(-1) - probability > p, token)


@wrong("9.6", "axes")
def knows_two_axes_only(logits, p):
    rows = logits.reshape(-1, logits.shape[-1])
    ordered, token = rows.sort(dim=-1, descending=True)
    probability = ordered.softmax(-1)
    dropped = probability.cumsum(-1) - probability >= p
    dropped[:, 0] = False
    return _top_p(rows, dropped & (p < 1), token)


# --- 9.7 penalize_repetition


def _write(logits, ids, change):
    return logits.scatter(-1, ids, change(logits.gather(-1, ids)))


@wrong("9.7", "sign")
def always_divides(logits, ids, penalty):
    return _write(logits, ids, lambda said: said / penalty)


@wrong("9.7", "multiplied")
def always_multiplies(logits, ids, penalty):
    return _write(logits, ids, lambda said: said * penalty)


@wrong("9.7", "swapped")
def divides_the_negative_ones(logits, ids, penalty):
    return _write(logits, ids, lambda said: torch.where(said < 0, said / penalty, said * penalty))


@wrong("9.7", "everything")
def punishes_everything(logits, ids, penalty):
    return torch.where(logits > 0, logits / penalty, logits * penalty)


@wrong("9.7", "others")
def punishes_what_was_not_said(logits, ids, penalty):
    mark = torch.ones_like(logits, dtype=torch.bool).scatter(-1, ids, False)
    return torch.where(mark, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


@wrong("9.7", "subtracted")
def subtracts(logits, ids, penalty):
    return _write(logits, ids, lambda said: said - penalty)


@wrong("9.7", "forbidden")
def forbids(logits, ids, penalty):
    return _write(logits, ids, lambda said: torch.full_like(said, -math.inf))


@wrong("9.7", "shape")
def returns_only_what_was_said(logits, ids, penalty):
    said = logits.gather(-1, ids)
    return torch.where(said < 0, said * penalty, said / penalty)


@wrong("9.7", "again")
def punishes_once_for_each_time(logits, ids, penalty):
    result = logits.clone()
    for row, tokens in zip(result, ids, strict=True):
        for token in tokens:
            row[token] = row[token] / penalty if row[token] > 0 else row[token] * penalty
    return result


@wrong("9.7", "each-its-own")
def mixes_what_the_sequences_said(logits, ids, penalty):
    result, those = logits.clone(), ids.unique()
    said = result[:, those]
    result[:, those] = torch.where(said < 0, said * penalty, said / penalty)
    return result


@wrong("9.7", "changes-input")
def works_on_the_input(logits, ids, penalty):
    said = logits.gather(-1, ids)
    return logits.scatter_(-1, ids, torch.where(said < 0, said * penalty, said / penalty))


# --- 9.8 sample_by_inversion


def _ladder(probability, uniform):
    cumulative = probability.cumsum(-1)
    total = cumulative[:, -1:]
    below = torch.nextafter(total, torch.zeros_like(total))
    return cumulative, torch.minimum(uniform.to(total.dtype)[:, None] * total, below)


@wrong("9.8", "likeliest")
def takes_the_likeliest(probability, uniform):
    return probability.argmax(-1)


@wrong("9.8", "random")
def asks_for_another_random_number(probability, uniform):
    return torch.multinomial(probability, 1)[:, 0]


@wrong("9.8", "one-for-all")
def uses_the_first_number_for_all(probability, uniform):
    cumulative, number = _ladder(probability, uniform[:1].expand(len(probability)))
    return torch.searchsorted(cumulative, number, right=True)[:, 0]


@wrong("9.8", "other-row")
def uses_the_first_row_for_all(probability, uniform):
    cumulative, number = _ladder(probability, uniform)
    return torch.searchsorted(cumulative[0], number[:, 0].contiguous(), right=True)


@wrong("9.8", "sorted")
def sorts_the_ladder(probability, uniform):
    ordered, token = probability.sort(dim=-1, descending=True)
    cumulative, number = _ladder(ordered, uniform)
    return token.gather(-1, torch.searchsorted(cumulative, number, right=True))[:, 0]


@wrong("9.8", "off-by-one")
def numbers_tokens_from_one(probability, uniform):
    cumulative, number = _ladder(probability, uniform)
    return torch.searchsorted(cumulative, number, right=True)[:, 0] + 1


@wrong("9.8", "backwards")
def climbs_from_the_other_end(probability, uniform):
    cumulative, number = _ladder(probability.flip(-1), uniform)
    return probability.shape[-1] - 1 - torch.searchsorted(cumulative, number, right=True)[:, 0]


@wrong("9.8", "border")
def takes_a_sum_that_equals_the_number(probability, uniform):
    cumulative, number = _ladder(probability, uniform)
    return torch.searchsorted(cumulative, number)[:, 0]


@wrong("9.8", "sum")
def compares_with_the_bare_number(probability, uniform):
    cumulative = probability.cumsum(-1)
    return (cumulative <= uniform[:, None]).sum(-1).clamp(max=probability.shape[-1] - 1)


@wrong("9.8", "end")
def forgets_that_numbers_are_rounded(probability, uniform):
    cumulative = probability.cumsum(-1)
    number = (uniform[:, None] * cumulative[:, -1:]).to(cumulative.dtype)
    return torch.searchsorted(cumulative, number, right=True)[:, 0]


@wrong("9.8", "end")
def takes_the_last_of_all_at_the_end(probability, uniform):
    cumulative = probability.cumsum(-1)
    number = uniform.to(cumulative.dtype)[:, None] * cumulative[:, -1:]
    found = torch.searchsorted(cumulative, number, right=True)[:, 0]
    return found.clamp(max=probability.shape[-1] - 1)


@wrong("9.8", "frequencies")
def rounds_the_number(probability, uniform):
    cumulative, number = _ladder(probability, (uniform * 100).floor() / 100)
    return torch.searchsorted(cumulative, number, right=True)[:, 0]


@wrong("9.8", "nan")
def says_nothing_of_a_model_that_diverged(probability, uniform):
    cumulative, number = _ladder(probability, uniform)
    return torch.searchsorted(cumulative, number, right=True)[:, 0]


@wrong("9.8", "infinity")
def looks_for_nan_alone_in_totals(probability, uniform):
    if probability.sum(-1).isnan().any():
        raise CourseError("the model has diverged")
    cumulative, number = _ladder(probability, uniform)
    return torch.searchsorted(cumulative, number, right=True)[:, 0]


@wrong("9.8", "nan")
def raises_another_error(probability, uniform):
    if probability.isnan().any():
        raise ValueError("not a number")
    cumulative, number = _ladder(probability, uniform)
    return torch.searchsorted(cumulative, number, right=True)[:, 0]


@wrong("9.8", "shape")
def leaves_an_axis(probability, uniform):
    cumulative, number = _ladder(probability, uniform)
    return torch.searchsorted(cumulative, number, right=True)


@wrong("9.8", "form")
def gives_the_sums(probability, uniform):
    cumulative, number = _ladder(probability, uniform)
    return cumulative.gather(-1, torch.searchsorted(cumulative, number, right=True))[:, 0]


# --- 9.9 beam_step


def _best(total, beams):
    best = total.flatten().topk(beams)
    return [
        (value, *divmod(place, total.shape[1]))
        for value, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


@wrong("9.9", "worst-first")
def lets_each_story_grow_once(sums, log_probs, beams):
    best = log_probs.max(dim=-1)
    return [(float(sums[i] + best.values[i]), i, int(best.indices[i])) for i in range(len(sums))]


@wrong("9.9", "forgot-sums")
def forgets_the_sums(sums, log_probs, beams):
    return _best(log_probs, beams)


@wrong("9.9", "not-logs")
def adds_probabilities(sums, log_probs, beams):
    return _best(sums[:, None] * log_probs.exp() * -1, beams)


@wrong("9.9", "worst-first")
def sorts_ascending(sums, log_probs, beams):
    return _best(sums[:, None] + log_probs, beams)[::-1]


@wrong("9.9", "swapped")
def swaps_parent_and_token(sums, log_probs, beams):
    return [(value, token, parent) for value, parent, token in _best(sums[:, None] + log_probs, beams)]


@wrong("9.9", "how-many")
def keeps_beams_for_each_story(sums, log_probs, beams):
    return _best(sums[:, None] + log_probs, min(beams * len(sums), log_probs.numel()))


@wrong("9.9", "same-parent")
def lets_no_story_grow_twice(sums, log_probs, beams):
    best = log_probs.max(dim=-1)
    found = [(float(sums[i] + best.values[i]), i, int(best.indices[i])) for i in range(len(sums))]
    return sorted(found, key=lambda one: -one[0])[:beams]


@wrong("9.9", "first-step")
def gives_no_more_than_there_were(sums, log_probs, beams):
    return _best(sums[:, None] + log_probs, min(beams, max(2, len(sums)) if len(sums) > 1 else 1))


@wrong("9.9", "form")
def gives_tensors(sums, log_probs, beams):
    return (sums[:, None] + log_probs).flatten().topk(beams)


@wrong("9.9", "numbers")
def gives_tensors_for_numbers(sums, log_probs, beams):
    best = (sums[:, None] + log_probs).flatten().topk(beams)
    width = log_probs.shape[1]
    return [(v, i // width, i % width) for v, i in zip(best.values, best.indices, strict=True)]


@wrong("9.9", "decoded")
def divides_by_the_number_of_stories(sums, log_probs, beams):
    best = (sums[:, None] + log_probs).flatten().topk(beams)
    return [(v, *divmod(i, len(sums))) for v, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]


# --- 9.10 fixed_length_search


def _grow(table, sums, beams):
    return _best(torch.tensor(sums)[:, None] + table, min(beams, table.numel()))


@wrong("9.10", "greedy")
def is_greedy(next_log_probs, ids, beams, count):
    total, new = 0.0, []
    for _ in range(count):
        value, token = next_log_probs([[*ids, *new]])[0].max(-1)
        total, new = total + float(value), [*new, int(token)]
    return total, new


@wrong("9.10", "too-many-live")
def lets_all_live(next_log_probs, ids, beams, count):
    live = [(0.0, [])]
    for _ in range(count):
        table = next_log_probs([[*ids, *new] for _, new in live])
        live = [
            (total + float(table[i, token]), [*new, token])
            for i, (total, new) in enumerate(live)
            for token in range(table.shape[1])
        ]
    return max(live, key=lambda one: one[0])


@wrong("9.10", "reads-the-prompt")
def reads_the_prompt_again_and_again(next_log_probs, ids, beams, count):
    live = [(0.0, [])]
    for _ in range(count):
        table = next_log_probs([ids for _ in live])
        steps = _grow(table, [total for total, _ in live], beams)
        live = [(total, [*live[parent][1], token]) for total, parent, token in steps]
    return live[0]


@wrong("9.10", "prompt")
def gives_the_prompt_too(next_log_probs, ids, beams, count):
    live = [(0.0, list(ids))]
    for _ in range(count):
        table = next_log_probs([new for _, new in live])
        steps = _grow(table, [total for total, _ in live], beams)
        live = [(total, [*live[parent][1], token]) for total, parent, token in steps]
    return live[0]


@wrong("9.10", "best")
def forgets_who_the_parent_was(next_log_probs, ids, beams, count):
    live = [(0.0, [])]
    for _ in range(count):
        table = next_log_probs([[*ids, *new] for _, new in live])
        steps = _grow(table, [total for total, _ in live], beams)
        live = [(total, [*live[min(i, len(live) - 1)][1], token]) for i, (total, _, token) in enumerate(steps)]
    return live[0]


@wrong("9.10", "sum")
def counts_the_last_round_only(next_log_probs, ids, beams, count):
    live, last = [(0.0, [])], 0.0
    for _ in range(count):
        table = next_log_probs([[*ids, *new] for _, new in live])
        steps = _grow(table, [total for total, _ in live], beams)
        last = float(table[steps[0][1], steps[0][2]])
        live = [(total, [*live[parent][1], token]) for total, parent, token in steps]
    return last, live[0][1]


@wrong("9.10", "greedy")
def gives_the_worst(next_log_probs, ids, beams, count):
    live = [(0.0, [])]
    for _ in range(count):
        table = next_log_probs([[*ids, *new] for _, new in live])
        steps = _grow(table, [total for total, _ in live], beams)
        live = [(total, [*live[parent][1], token]) for total, parent, token in steps]
    return live[-1]


@wrong("9.10", "length")
def stops_a_round_early(next_log_probs, ids, beams, count):
    live = [(0.0, [])]
    for _ in range(count - 1):
        table = next_log_probs([[*ids, *new] for _, new in live])
        steps = _grow(table, [total for total, _ in live], beams)
        live = [(total, [*live[parent][1], token]) for total, parent, token in steps]
    return live[0]


@wrong("9.10", "form")
def gives_all_that_live(next_log_probs, ids, beams, count):
    live = [(0.0, [])]
    for _ in range(count):
        table = next_log_probs([[*ids, *new] for _, new in live])
        steps = _grow(table, [total for total, _ in live], beams)
        live = [(total, [*live[parent][1], token]) for total, parent, token in steps]
    return [*live, (0.0, [])]


@wrong("9.10", "random")
def looks_at_two_tokens_of_each(next_log_probs, ids, beams, count):
    live = [(0.0, [])]
    for _ in range(count):
        best = next_log_probs([[*ids, *new] for _, new in live]).topk(2, dim=-1)
        steps = _grow(best.values, [total for total, _ in live], beams)
        live = [(total, [*live[i][1], int(best.indices[i, place])]) for total, i, place in steps]
    return live[0]


@wrong("9.10", "same-parent")
def lets_each_story_go_on_once(next_log_probs, ids, beams, count):
    live = [(0.0, [])]
    for number in range(count):
        table = next_log_probs([[*ids, *new] for _, new in live])
        if number == 0:
            steps = _grow(table, [0.0], beams)
        else:
            best = table.max(-1)
            steps = [(live[i][0] + float(best.values[i]), i, int(best.indices[i])) for i in range(len(live))]
            steps.sort(key=lambda one: -one[0])
        live = [(total, [*live[parent][1], token]) for total, parent, token in steps]
    return live[0]


# --- 9.11 positions_and_mask


def _mask(new, columns, diagonal=0):
    return torch.ones(new, columns, dtype=torch.bool).tril(diagonal)


@wrong("9.11", "from-zero")
def counts_positions_from_zero(past, new):
    return torch.arange(new), _mask(new, past + new, past)


@wrong("9.11", "off-by-one")
def counts_from_one(past, new):
    return torch.arange(past + 1, past + new + 1), _mask(new, past + new, past)


@wrong("9.11", "only-new")
def masks_only_the_new(past, new):
    return torch.arange(past, past + new), _mask(new, new)


@wrong("9.11", "not-shifted")
def forgets_to_shift_the_diagonal(past, new):
    return torch.arange(past, past + new), _mask(new, past + new)


@wrong("9.11", "future")
def sees_everything(past, new):
    return torch.arange(past, past + new), torch.ones(new, past + new, dtype=torch.bool)


@wrong("9.11", "inverted")
def marks_what_is_hidden(past, new):
    return torch.arange(past, past + new), ~_mask(new, past + new, past)


@wrong("9.11", "bool")
def gives_numbers(past, new):
    return torch.arange(past, past + new), _mask(new, past + new, past).float()


@wrong("9.11", "mask")
def shifts_one_too_far_back(past, new):
    mask = _mask(new, past + new, past)
    if new > 1:
        mask[:, 0] = False
    return torch.arange(past, past + new), mask


@wrong("9.11", "all-seen")
def does_not_see_itself(past, new):
    return torch.arange(past, past + new), _mask(new, past + new, past - 1)


@wrong("9.11", "form")
def gives_positions_only(past, new):
    return torch.arange(past, past + new)


# --- 9.12 LayerCache


class _Keeps:
    """A right one, for wrong ones to begin with."""

    def __init__(self, cache):
        self.cache = cache
        self.keys = self.values = None

    def keep(self, k, v, axis=2):
        self.keys = k if self.keys is None else torch.cat([self.keys, k], dim=axis)
        self.values = v if self.values is None else torch.cat([self.values, v], dim=axis)


@wrong("9.12", "forgets")
class GivesTheNewOnesBack(_Keeps):
    def extend(self, k, v):
        self.keys, self.values = k, v
        return k, v, self.cache.mask


@wrong("9.12", "axis")
class JoinsTheHeads(_Keeps):
    def extend(self, k, v):
        self.keep(k, v, axis=1)
        return self.keys, self.values, self.cache.mask


@wrong("9.12", "axis")
class JoinsTheWidths(_Keeps):
    def extend(self, k, v):
        kept = self.keys is not None
        self.keys = torch.cat([self.keys, k.expand(-1, -1, self.keys.shape[2], -1)], dim=-1) if kept else k
        self.values = torch.cat([self.values, v.expand(-1, -1, self.values.shape[2], -1)], dim=-1) if kept else v
        return self.keys, self.values, self.cache.mask


@wrong("9.12", "in-front")
class PutsTheNewOnesInFront(_Keeps):
    def extend(self, k, v):
        self.keys = k if self.keys is None else torch.cat([k, self.keys], dim=2)
        self.values = v if self.values is None else torch.cat([v, self.values], dim=2)
        return self.keys, self.values, self.cache.mask


@wrong("9.12", "values-kept")
class KeepsKeysForValues(_Keeps):
    def extend(self, k, v):
        if self.keys is None:
            self.keys, self.values = k, v
        else:
            self.keys = torch.cat([self.keys, k], dim=2)
            self.values = torch.cat([self.values, k], dim=2)
        return self.keys, self.values, self.cache.mask


@wrong("9.12", "swapped")
class SwapsKeysAndValues(_Keeps):
    def extend(self, k, v):
        self.keep(k, v)
        return self.values, self.keys, self.cache.mask


@wrong("9.12", "mask")
class GivesNoMask(_Keeps):
    def extend(self, k, v):
        self.keep(k, v)
        return self.keys, self.values, None


@wrong("9.12", "counts")
class CountsInEveryBlock(_Keeps):
    def extend(self, k, v):
        self.keep(k, v)
        self.cache.length += k.shape[2]
        return self.keys, self.values, self.cache.mask


@wrong("9.12", "form")
class ForgetsTheMask(_Keeps):
    def extend(self, k, v):
        self.keep(k, v)
        return self.keys, self.values


@wrong("9.12", "shape")
class GivesTheRoomBack(_Keeps):
    def extend(self, k, v):
        start, end = self.cache.length, self.cache.length + k.shape[2]
        if self.keys is None:
            self.keys, self.values = F.pad(k, (0, 0, 0, 20)), F.pad(v, (0, 0, 0, 20))
            return k, v, self.cache.mask
        self.keys[:, :, start:end], self.values[:, :, start:end] = k, v
        return self.keys, self.values, self.cache.mask


@wrong("9.12", "shared")
class SharesBetweenBlocks(_Keeps):
    kept: list = []

    def __init__(self, cache):
        self.cache = cache
        if len(self.kept) > 2:  # made anew for another check
            self.kept.clear()

    def extend(self, k, v):
        self.kept.append((k, v))
        keys, values = (torch.cat(each, dim=2) for each in zip(*self.kept, strict=True))
        return keys, values, self.cache.mask


# --- 9.13 KVCache


class _Layer(_Keeps):
    def extend(self, k, v):
        self.keep(k, v)
        return self.keys, self.values, self.cache.mask


class _Cache:
    """A right one, for wrong ones to change."""

    def __init__(self, model):
        self.model, self.ids, self.length = model, [], 0

    def start(self, ids):
        self.ids, self.length = list(ids), 0
        self.layers = [_Layer(self) for _ in self.model.blocks]
        return self._read(self.ids[-self.model.config.context_length :])

    def append(self, token):
        self.ids.append(token)
        if len(self.ids) > self.model.config.context_length:
            return self.start(self.ids)
        return self._read([token])

    def positions(self, ids):
        return torch.arange(self.length, self.length + ids.shape[1])

    @torch.no_grad()
    def _read(self, new):
        self.mask = _mask(len(new), self.length + len(new), self.length)
        hidden = self.model.hidden(torch.tensor([new]), cache=self)
        self.length += len(new)
        return self.model.head(hidden[0, -1])


@wrong("9.13", "append")
class CountsPositionsFromZero(_Cache):
    def positions(self, ids):
        return torch.arange(ids.shape[1])


@wrong("9.13", "start")
class CountsBeforeItReads(_Cache):
    @torch.no_grad()
    def _read(self, new):
        self.mask = _mask(len(new), self.length + len(new), self.length)
        self.length += len(new)
        return self.model.head(self.model.hidden(torch.tensor([new]), cache=self)[0, -1])


@wrong("9.13", "append")
class NeverCounts(_Cache):
    @torch.no_grad()
    def _read(self, new):
        self.mask = None if len(new) == 1 else _mask(len(new), len(new))
        return self.model.head(self.model.hidden(torch.tensor([new]), cache=self)[0, -1])


@wrong("9.13", "start")
class SeesTheFuture(_Cache):
    @torch.no_grad()
    def _read(self, new):
        self.mask = None
        hidden = self.model.hidden(torch.tensor([new]), cache=self)
        self.length += len(new)
        return self.model.head(hidden[0, -1])


@wrong("9.13", "start")
class GivesTheFirstLogits(_Cache):
    @torch.no_grad()
    def _read(self, new):
        self.mask = _mask(len(new), self.length + len(new), self.length)
        hidden = self.model.hidden(torch.tensor([new]), cache=self)
        self.length += len(new)
        return self.model.head(hidden[0, 0])


@wrong("9.13", "reads-again")
class ReadsEverythingAgain(_Cache):
    def append(self, token):
        return self.start([*self.ids, token])


@wrong("9.13", "not-handed-over")
class DoesNotUseTheCache(_Cache):
    @torch.no_grad()
    def _read(self, new):
        return self.model.head(self.model.hidden(torch.tensor([self.ids]))[0, -1])


@wrong("9.13", "past-the-context")
class DoesNotSlide(_Cache):
    def append(self, token):
        self.ids.append(token)
        return self._read([token])


@wrong("9.13", "slides")
class KeepsOldKeysWhenItSlides(_Cache):
    def append(self, token):
        self.ids.append(token)
        if self.length == self.model.config.context_length:
            self.length -= 1
            for layer in self.layers:
                layer.keys, layer.values = layer.keys[:, :, 1:], layer.values[:, :, 1:]
        return self._read([token])


@wrong("9.13", "slides-on")
class ForgetsWhatItReadWhenItSlides(_Cache):
    def append(self, token):
        self.ids.append(token)
        if len(self.ids) > self.model.config.context_length:
            logits, self.ids = self.start(self.ids), self.ids[:8]
            return logits
        return self._read([token])


@wrong("9.13", "start-again")
class NeverBeginsAnew(_Cache):
    def __init__(self, model):
        super().__init__(model)
        self.layers = [_Layer(self) for _ in model.blocks]

    def start(self, ids):
        if self.ids and len(ids) < 8:
            return self._read([ids[-1]]) if self.length < 8 else super().start(self.ids)
        return super().start(ids)


@wrong("9.13", "long-start")
class StartsWithTooMuch(_Cache):
    def start(self, ids):
        longest = self.model.config.context_length
        return super().start(ids if len(ids) <= longest + 3 else ids[:longest])


@wrong("9.13", "changes-input")
class TakesTheListItself(_Cache):
    def start(self, ids):
        logits = super().start(ids)
        self.ids = ids
        ids.append(0)
        ids.pop(0)
        return logits


@wrong("9.13", "changes-input")
class KeepsTheListAsItIs(_Cache):
    def start(self, ids):
        logits = super().start(ids)
        self.ids = ids
        return logits


@wrong("9.13", "sizes")
class SharesOneLayer(_Cache):
    def start(self, ids):
        self.ids, self.length = list(ids), 0
        self.layers = [_Layer(self)] * len(self.model.blocks)
        return self._read(self.ids[-self.model.config.context_length :])


@wrong("9.13", "sizes")
class LaysTheMaskOutOnce(_Cache):
    @torch.no_grad()
    def _read(self, new):
        if self.length == 0:
            self.mask = _mask(len(new), len(new))
        hidden = self.model.hidden(torch.tensor([new]), cache=self)
        self.length += len(new)
        return self.model.head(hidden[0, -1])


@wrong("9.13", "old-layers")
class NeverSetsTheLayersBack(_Cache):
    def __init__(self, model):
        super().__init__(model)
        self.layers = [_Layer(self) for _ in model.blocks]

    def start(self, ids):
        self.ids, self.length = list(ids), 0
        return self._read(self.ids[-self.model.config.context_length :])


@wrong("9.13", "shape")
class LeavesTheBatch(_Cache):
    def _read(self, new):
        return super()._read(new)[None]


@wrong("9.13", "form")
class GivesTheToken(_Cache):
    def _read(self, new):
        return int(super()._read(new).argmax())


@wrong("9.13", "shared")
class KeepsLayersOnTheClass(_Cache):
    layers: list = []

    def start(self, ids):
        type(self).layers[:] = [_Layer(self) for _ in self.model.blocks]
        self.ids, self.length = list(ids), 0
        return self._read(self.ids[-self.model.config.context_length :])
