"""Wrong answers to the exercises of notebook 09."""

import math

import torch

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


# --- 9.4 nucleus


def _top_p(logits, dropped, token):
    return logits.masked_fill(dropped.scatter(-1, token, dropped), -torch.inf)


@wrong("9.4", "crossing")
def drops_the_token_that_crosses(logits, p):
    ordered, token = logits.sort(dim=-1, descending=True)
    return _top_p(logits, ordered.softmax(-1).cumsum(-1) > p, token)


@wrong("9.4", "order")
def forgets_to_sort_back(logits, p):
    probability = logits.sort(dim=-1, descending=True).values.softmax(-1)
    return logits.masked_fill(probability.cumsum(-1) - probability >= p, -torch.inf)


@wrong("9.4", "ascending")
def sorts_the_wrong_way(logits, p):
    ordered, token = logits.sort(dim=-1)
    return _top_p(logits, (ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)) >= p * 0.25, token)


@wrong("9.4", "ascending")
def indexes_the_marks_with_the_order(logits, p):
    ordered, order = logits.softmax(-1).sort(-1, descending=True)
    dropped = ordered.cumsum(-1) - ordered >= p
    return logits.masked_fill(dropped.gather(-1, order), -torch.inf)


@wrong("9.4", "alone")
def compares_each_token_with_p(logits, p):
    return logits.masked_fill(logits.softmax(-1) < p, -torch.inf)


@wrong("9.4", "kept")
def keeps_what_has_probability_above_a_threshold(logits, p):
    return logits.masked_fill(logits.softmax(-1) < 1 - p - 0.3, -torch.inf)


@wrong("9.4", "probabilities")
def returns_probabilities(logits, p):
    ordered, token = logits.sort(dim=-1, descending=True)
    probability = ordered.softmax(-1)
    return _top_p(logits, probability.cumsum(-1) - probability >= p, token).softmax(-1)


@wrong("9.4", "infinity")
def sets_the_dropped_to_zero(logits, p):
    ordered, token = logits.sort(dim=-1, descending=True)
    dropped = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1) >= p
    return logits.masked_fill(dropped.scatter(-1, token, dropped), 0.0)


@wrong("9.4", "infinity")
def drops_nothing(logits, p):
    return logits


@wrong("9.4", "shape")
def returns_only_what_is_kept(logits, p):
    ordered = logits.sort(dim=-1, descending=True).values
    probability = ordered.softmax(-1)
    return ordered[probability.cumsum(-1) - probability < p]


@wrong("9.4", "empty")
def keeps_nothing_for_a_small_p(logits, p):
    ordered, token = logits.sort(dim=-1, descending=True)
    probability = ordered.softmax(-1)
    dropped = probability.cumsum(-1) - probability >= p
    if p < 0.1:
        dropped = probability.cumsum(-1) > p
    return _top_p(logits, dropped, token)


@wrong("9.4", "rows")
def takes_the_first_rows_order_for_all(logits, p):
    token = logits[0].argsort(descending=True)
    probability = logits.softmax(-1)[:, token]
    dropped = probability.cumsum(-1) - probability >= p
    result = logits.clone()
    result[:, token] = result[:, token].masked_fill(dropped, -torch.inf)
    return result


# --- 9.5 penalize


def _write(logits, ids, change):
    return logits.scatter(-1, ids, change(logits.gather(-1, ids)))


@wrong("9.5", "sign")
def always_divides(logits, ids, penalty):
    return _write(logits, ids, lambda said: said / penalty)


@wrong("9.5", "multiplied")
def always_multiplies(logits, ids, penalty):
    return _write(logits, ids, lambda said: said * penalty)


@wrong("9.5", "swapped")
def divides_the_negative_ones(logits, ids, penalty):
    return _write(logits, ids, lambda said: torch.where(said < 0, said / penalty, said * penalty))


@wrong("9.5", "everything")
def punishes_everything(logits, ids, penalty):
    return torch.where(logits > 0, logits / penalty, logits * penalty)


@wrong("9.5", "others")
def punishes_what_was_not_said(logits, ids, penalty):
    mark = torch.ones_like(logits, dtype=torch.bool).scatter(-1, ids, False)
    return torch.where(mark, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


@wrong("9.5", "subtracted")
def subtracts(logits, ids, penalty):
    return _write(logits, ids, lambda said: said - penalty)


@wrong("9.5", "forbidden")
def forbids(logits, ids, penalty):
    return _write(logits, ids, lambda said: torch.full_like(said, -math.inf))


@wrong("9.5", "shape")
def returns_only_what_was_said(logits, ids, penalty):
    said = logits.gather(-1, ids)
    return torch.where(said < 0, said * penalty, said / penalty)


@wrong("9.5", "again")
def punishes_once_for_each_time(logits, ids, penalty):
    result = logits.clone()
    for row, tokens in zip(result, ids, strict=True):
        for token in tokens:
            row[token] = row[token] / penalty if row[token] > 0 else row[token] * penalty
    return result


@wrong("9.5", "each-its-own")
def mixes_what_the_sequences_said(logits, ids, penalty):
    result, those = logits.clone(), ids.unique()
    said = result[:, those]
    result[:, those] = torch.where(said < 0, said * penalty, said / penalty)
    return result


@wrong("9.5", "changes-input")
def works_on_the_input(logits, ids, penalty):
    said = logits.gather(-1, ids)
    return logits.scatter_(-1, ids, torch.where(said < 0, said * penalty, said / penalty))


# --- 9.6 beam_step


def _best(total, beams):
    best = total.flatten().topk(beams)
    return [
        (value, *divmod(place, total.shape[1]))
        for value, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


@wrong("9.6", "worst-first")
def lets_each_story_grow_once(sums, log_probs, beams):
    best = log_probs.max(dim=-1)
    return [(float(sums[i] + best.values[i]), i, int(best.indices[i])) for i in range(len(sums))]


@wrong("9.6", "forgot-sums")
def forgets_the_sums(sums, log_probs, beams):
    return _best(log_probs, beams)


@wrong("9.6", "not-logs")
def adds_probabilities(sums, log_probs, beams):
    return _best(sums[:, None] * log_probs.exp() * -1, beams)


@wrong("9.6", "worst-first")
def sorts_ascending(sums, log_probs, beams):
    return _best(sums[:, None] + log_probs, beams)[::-1]


@wrong("9.6", "swapped")
def swaps_parent_and_token(sums, log_probs, beams):
    return [(value, token, parent) for value, parent, token in _best(sums[:, None] + log_probs, beams)]


@wrong("9.6", "how-many")
def keeps_beams_for_each_story(sums, log_probs, beams):
    return _best(sums[:, None] + log_probs, min(beams * len(sums), log_probs.numel()))


@wrong("9.6", "same-parent")
def lets_no_story_grow_twice(sums, log_probs, beams):
    best = log_probs.max(dim=-1)
    found = [(float(sums[i] + best.values[i]), i, int(best.indices[i])) for i in range(len(sums))]
    return sorted(found, key=lambda one: -one[0])[:beams]


@wrong("9.6", "first-step")
def gives_no_more_than_there_were(sums, log_probs, beams):
    return _best(sums[:, None] + log_probs, min(beams, max(2, len(sums)) if len(sums) > 1 else 1))


@wrong("9.6", "form")
def gives_tensors(sums, log_probs, beams):
    return (sums[:, None] + log_probs).flatten().topk(beams)


@wrong("9.6", "decoded")
def divides_by_the_number_of_stories(sums, log_probs, beams):
    best = (sums[:, None] + log_probs).flatten().topk(beams)
    return [(v, *divmod(i, len(sums))) for v, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]


# --- 9.7 positions_and_mask


def _mask(new, columns, diagonal=0):
    return torch.ones(new, columns, dtype=torch.bool).tril(diagonal)


@wrong("9.7", "from-zero")
def counts_positions_from_zero(past, new):
    return torch.arange(new), _mask(new, past + new, past)


@wrong("9.7", "off-by-one")
def counts_from_one(past, new):
    return torch.arange(past + 1, past + new + 1), _mask(new, past + new, past)


@wrong("9.7", "only-new")
def masks_only_the_new(past, new):
    return torch.arange(past, past + new), _mask(new, new)


@wrong("9.7", "not-shifted")
def forgets_to_shift_the_diagonal(past, new):
    return torch.arange(past, past + new), _mask(new, past + new)


@wrong("9.7", "future")
def sees_everything(past, new):
    return torch.arange(past, past + new), torch.ones(new, past + new, dtype=torch.bool)


@wrong("9.7", "inverted")
def marks_what_is_hidden(past, new):
    return torch.arange(past, past + new), ~_mask(new, past + new, past)


@wrong("9.7", "bool")
def gives_numbers(past, new):
    return torch.arange(past, past + new), _mask(new, past + new, past).float()


@wrong("9.7", "mask")
def shifts_one_too_far_back(past, new):
    mask = _mask(new, past + new, past)
    if new > 1:
        mask[:, 0] = False
    return torch.arange(past, past + new), mask


@wrong("9.7", "all-seen")
def does_not_see_itself(past, new):
    return torch.arange(past, past + new), _mask(new, past + new, past - 1)


@wrong("9.7", "form")
def gives_positions_only(past, new):
    return torch.arange(past, past + new)
