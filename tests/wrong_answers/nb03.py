"""Wrong answers to the exercises of notebook 03."""

import math
from collections import Counter

import numpy as np
import torch

from tests.wrong_answers import wrong

# --- 3.1 story_log_prob


@wrong("3.1", "underflow")
def takes_the_logarithm_of_the_product(ids, next_probs):
    product, row = 1.0, [0, *ids, 0]
    for at in range(1, len(row)):
        product *= next_probs(row[:at])[row[at]]
    return math.log(product) if product else -math.inf


@wrong("3.1", "underflow")
def takes_the_logarithm_of_a_product_that_became_zero(ids, next_probs):
    row = [0, *ids, 0]
    return math.log(math.prod(next_probs(row[:at])[row[at]] for at in range(1, len(row))))


@wrong("3.1", "end")
def forgets_that_a_story_ends(ids, next_probs):
    row = [0, *ids]
    return math.fsum(math.log(next_probs(row[:at])[row[at]]) for at in range(1, len(row)))


@wrong("3.1", "how-many")
def does_not_score_the_first_token(ids, next_probs):
    row = [0, *ids, 0]
    start = 2 if ids else 1
    return math.fsum(math.log(next_probs(row[:at])[row[at]]) for at in range(start, len(row)))


@wrong("3.1", "context")
def shows_only_the_token_before(ids, next_probs):
    row = [0, *ids, 0]
    return math.fsum(math.log(next_probs(row[at - 1 : at])[row[at]]) for at in range(1, len(row)))


@wrong("3.1", "context")
def lets_a_token_see_itself(ids, next_probs):
    row = [0, *ids, 0]
    return math.fsum(math.log(next_probs(row[: at + 1])[row[at]]) for at in range(1, len(row)))


@wrong("3.1", "context")
def leaves_out_the_end_token_in_front(ids, next_probs):
    row = [*ids, 0]
    return math.fsum(math.log(next_probs(row[:at])[row[at]]) for at in range(len(row)))


@wrong("3.1", "log")
def adds_probabilities(ids, next_probs):
    row = [0, *ids, 0]
    return sum(next_probs(row[:at])[row[at]] for at in range(1, len(row)))


@wrong("3.1", "log")
def returns_the_loss(ids, next_probs):
    row = [0, *ids, 0]
    return -math.fsum(math.log(next_probs(row[:at])[row[at]]) for at in range(1, len(row)))


@wrong("3.1", "nats")
def counts_in_bits(ids, next_probs):
    row = [0, *ids, 0]
    return math.fsum(math.log2(next_probs(row[:at])[row[at]]) for at in range(1, len(row)))


@wrong("3.1", "which")
def takes_the_most_probable_token_instead(ids, next_probs):
    row = [0, *ids, 0]
    return math.fsum(math.log(max(next_probs(row[:at]))) for at in range(1, len(row)))


# --- 3.2 perplexity


@wrong("3.2", "sign")
def forgets_the_minus(log_probs):
    every = [value for story in log_probs for value in story]
    return math.exp(sum(every) / len(every))


@wrong("3.2", "no-exp")
def forgets_the_exponential(log_probs):
    every = [value for story in log_probs for value in story]
    return -sum(every) / len(every)


@wrong("3.2", "base")
def raises_two_to_nats(log_probs):
    every = [value for story in log_probs for value in story]
    return 2 ** (-sum(every) / len(every))


@wrong("3.2", "mean-last")
def averages_the_inverse_probabilities(log_probs):
    every = [value for story in log_probs for value in story]
    return sum(math.exp(-value) for value in every) / len(every)


@wrong("3.2", "weighting")
def averages_the_stories_perplexities(log_probs):
    return sum(math.exp(-sum(story) / len(story)) for story in log_probs) / len(log_probs)


@wrong("3.2", "weighting")
def averages_the_stories_means(log_probs):
    return math.exp(-sum(sum(story) / len(story) for story in log_probs) / len(log_probs))


@wrong("3.2", "by-hand")
def divides_by_stories(log_probs):
    return math.exp(-sum(sum(story) for story in log_probs) / len(log_probs))


@wrong("3.2", "underflow")
def takes_the_root_of_a_product(log_probs):
    every = [value for story in log_probs for value in story]
    product = math.prod(math.exp(value) for value in every)
    return product ** (-1 / len(every)) if product else math.inf


# --- 3.3 bits_per_byte


@wrong("3.3", "still-nats")
def stays_in_nats(nats_per_token, tokens, texts):
    return nats_per_token * tokens / sum(len(text.encode()) for text in texts)


@wrong("3.3", "nats-to-bits")
def multiplies_by_ln_2(nats_per_token, tokens, texts):
    return nats_per_token * math.log(2) * tokens / sum(len(text.encode()) for text in texts)


@wrong("3.3", "bytes")
def divides_by_characters(nats_per_token, tokens, texts):
    return nats_per_token / math.log(2) * tokens / sum(len(text) for text in texts)


@wrong("3.3", "tokens")
def forgets_the_tokens(nats_per_token, tokens, texts):
    return nats_per_token / math.log(2)


@wrong("3.3", "tokens")
def multiplies_by_bytes_per_token(nats_per_token, tokens, texts):
    return nats_per_token / math.log(2) * sum(len(text.encode()) for text in texts) / tokens


@wrong("3.3", "one-token")
def takes_the_loss_of_one_token(nats_per_token, tokens, texts):
    return nats_per_token / math.log(2) / sum(len(text.encode()) for text in texts)


@wrong("3.3", "not-texts")
def divides_by_the_number_of_texts(nats_per_token, tokens, texts):
    return nats_per_token / math.log(2) * tokens / len(texts)


@wrong("3.3", "all-texts")
def measures_the_first_text(nats_per_token, tokens, texts):
    return nats_per_token / math.log(2) * tokens / len(texts[0].encode())


@wrong("3.3", "one-bit")
def divides_by_the_wrong_logarithm(nats_per_token, tokens, texts):
    return nats_per_token / math.log10(2) * tokens / sum(len(text.encode()) for text in texts)


@wrong("3.3", "bytes")
def encodes_in_latin_1(nats_per_token, tokens, texts):
    size = sum(len(text.encode("latin-1", "replace")) for text in texts)
    return nats_per_token / math.log(2) * tokens / size


# --- 3.4 count_bigrams


def _bigrams(ids, vocab_size):
    ids = ids.astype(np.int64)
    return np.bincount(ids[:-1] * vocab_size + ids[1:], minlength=vocab_size**2).reshape(vocab_size, vocab_size)


@wrong("3.4", "two-bytes")
def multiplies_in_two_bytes(ids, vocab_size):
    pairs = ids[:-1] * np.uint16(vocab_size) + ids[1:]
    return np.bincount(pairs, minlength=vocab_size**2)[: vocab_size**2].reshape(vocab_size, vocab_size)


@wrong("3.4", "transposed")
def puts_the_token_before_in_the_columns(ids, vocab_size):
    return _bigrams(ids, vocab_size).T


@wrong("3.4", "both-ways")
def counts_in_both_directions(ids, vocab_size):
    return _bigrams(ids, vocab_size) + _bigrams(ids, vocab_size).T


@wrong("3.4", "once")
def adds_once_for_each_different_cell(ids, vocab_size):
    counts = np.zeros((vocab_size, vocab_size), dtype=int)
    counts[ids[:-1], ids[1:]] += 1
    return counts


@wrong("3.4", "array")
def counts_in_floats(ids, vocab_size):
    counts = np.zeros((vocab_size, vocab_size))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    return counts


@wrong("3.4", "array")
def returns_a_counter(ids, vocab_size):
    return Counter(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))


@wrong("3.4", "how-many")
def counts_pairs_that_do_not_overlap(ids, vocab_size):
    counts = np.zeros((vocab_size, vocab_size), dtype=int)
    np.add.at(counts, (ids[:-1:2], ids[1::2]), 1)
    return counts


@wrong("3.4", "how-many")
def lets_the_first_follow_the_last(ids, vocab_size):
    counts = np.zeros((vocab_size, vocab_size), dtype=int)
    np.add.at(counts, (ids, np.roll(ids, -1)), 1)
    return counts


@wrong("3.4", "shape")
def makes_the_table_as_large_as_the_largest_id(ids, vocab_size):
    counts = np.zeros((int(ids.max()) + 1,) * 2, dtype=int)
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    return counts


@wrong("3.4", "table-type")
def keeps_the_table_in_two_bytes(ids, vocab_size):
    return _bigrams(ids, vocab_size).astype(ids.dtype)


@wrong("3.4", "two-bytes")
def adds_a_row_too_many(ids, vocab_size):
    ids = ids.astype(np.int64) % 256
    return np.bincount(ids[:-1] * vocab_size + ids[1:], minlength=vocab_size**2).reshape(vocab_size, vocab_size)


# --- 3.5 cross_entropy


@wrong("3.5", "zero-times-infinity")
def takes_all_logarithms(table, pairs):
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(-(pairs * np.log(table)).sum() / pairs.sum())


@wrong("3.5", "infinite")
def leaves_out_what_is_infinite(table, pairs):
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(-np.nan_to_num(pairs * np.log(table), neginf=0.0, posinf=0.0).sum() / pairs.sum())


@wrong("3.5", "infinite")
def asks_where_the_table_is_not_zero(table, pairs):
    met = table > 0
    return float(-(pairs[met] * np.log(table[met])).sum() / pairs.sum())


@wrong("3.5", "infinite")
def adds_a_little_before_the_logarithm(table, pairs):
    return float(-(pairs * np.log(table + 1e-12)).sum() / pairs.sum())


@wrong("3.5", "weights")
def counts_each_kind_of_pair_once(table, pairs):
    met = pairs > 0
    with np.errstate(divide="ignore"):
        return float(-np.log(table[met]).mean())


@wrong("3.5", "cells")
def divides_by_the_kinds_of_pairs(table, pairs):
    met = pairs > 0
    return float(-(pairs[met] * np.log(table[met])).sum() / met.sum())


@wrong("3.5", "cells")
def divides_by_all_cells(table, pairs):
    met = pairs > 0
    return float(-(pairs[met] * np.log(table[met])).sum() / pairs.size)


@wrong("3.5", "sign")
def forgets_the_minus_of_the_loss(table, pairs):
    met = pairs > 0
    return float((pairs[met] * np.log(table[met])).sum() / pairs.sum())


@wrong("3.5", "bits")
def measures_in_bits(table, pairs):
    met = pairs > 0
    return float(-(pairs[met] * np.log2(table[met])).sum() / pairs.sum())


@wrong("3.5", "total")
def does_not_divide(table, pairs):
    met = pairs > 0
    return float(-(pairs[met] * np.log(table[met])).sum())


@wrong("3.5", "mean-first")
def takes_the_logarithm_of_the_mean(table, pairs):
    return float(-np.log((pairs * table).sum() / pairs.sum()))


@wrong("3.5", "one-number")
def gives_a_loss_for_each_row(table, pairs):
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(pairs > 0, pairs * np.log(table), 0).sum(axis=1) / np.maximum(pairs.sum(axis=1), 1)


@wrong("3.5", "tiny")
def clips_small_probabilities(table, pairs):
    met = pairs > 0
    p = np.where(table[met] > 0, np.maximum(table[met], 1e-12), 0)
    with np.errstate(divide="ignore"):
        return float(-(pairs[met] * np.log(p)).sum() / pairs.sum())


# --- 3.6 add_k


@wrong("3.6", "sums-to-one")
def does_not_enlarge_the_total(counts, k):
    return (counts + k) / np.maximum(counts.sum(axis=1, keepdims=True), 1)


@wrong("3.6", "sums-to-one")
def enlarges_the_total_by_k_once(counts, k):
    return (counts + k) / (counts.sum(axis=1, keepdims=True) + k)


@wrong("3.6", "columns")
def normalises_columns(counts, k):
    return (counts + k) / (counts + k).sum(axis=0, keepdims=True)


@wrong("3.6", "whole-table")
def normalises_the_whole_table(counts, k):
    return (counts + k) / (counts + k).sum()


@wrong("3.6", "keepdims")
def divides_rows_by_a_row_of_sums(counts, k):
    return (counts + k) / (counts + k).sum(axis=1)


@wrong("3.6", "k")
def cuts_off_the_fraction(counts, k):
    added = counts.copy()
    added[:] = counts + k
    return added / np.maximum(added.sum(axis=1, keepdims=True), 1)


@wrong("3.6", "k")
def always_adds_one(counts, k):
    return (counts + 1) / (counts + 1).sum(axis=1, keepdims=True)


@wrong("3.6", "every-count")
def adds_only_to_zeros(counts, k):
    smooth = np.where(counts == 0, k, counts)
    return smooth / smooth.sum(axis=1, keepdims=True)


@wrong("3.6", "every-count")
def adds_after_dividing(counts, k):
    probabilities = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) + k
    return probabilities / probabilities.sum(axis=1, keepdims=True)


@wrong("3.6", "unseen-context")
def leaves_an_empty_row_undefined(counts, k):
    total = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, (counts + k) / (total + k * counts.shape[1]), counts / total)


@wrong("3.6", "in-place")
def adds_a_fraction_in_place(counts, k):
    counts += k
    return counts / counts.sum(axis=1, keepdims=True)


@wrong("3.6", "changes-input")
def adds_in_place(counts, k):
    counts += 1
    return counts / counts.sum(axis=1, keepdims=True)


# --- 3.7 interpolate


def frequencies(counts):
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


@wrong("3.7", "which-weight")
def swaps_the_weights(counts, unigram, weight):
    return (1 - weight) * frequencies(counts) + weight * unigram


@wrong("3.7", "columns")
def spreads_the_unigram_over_rows(counts, unigram, weight):
    return weight * frequencies(counts) + (1 - weight) * unigram[:, None]


@wrong("3.7", "unseen-context")
def lets_an_empty_row_sum_to_less(counts, unigram, weight):
    return weight * frequencies(counts) + (1 - weight) * unigram


@wrong("3.7", "unseen-context")
def divides_zero_by_zero(counts, unigram, weight):
    with np.errstate(invalid="ignore"):
        return weight * counts / counts.sum(axis=1, keepdims=True) + (1 - weight) * unigram


@wrong("3.7", "mixture")
def mixes_logarithms(counts, unigram, weight):
    with np.errstate(divide="ignore"):
        mixed = frequencies(counts) ** weight * unigram ** (1 - weight)
    return mixed / np.maximum(mixed.sum(axis=1, keepdims=True), 1e-12)


@wrong("3.7", "which-weight")
def mixes_raw_counts(counts, unigram, weight):
    return weight * counts + (1 - weight) * unigram


@wrong("3.7", "mixture")
def asks_the_unigram_only_for_zeros(counts, unigram, weight):
    if weight == 0:
        return np.tile(unigram, (len(counts), 1))
    return np.where(counts > 0, weight * frequencies(counts), (1 - weight) * unigram)


@wrong("3.7", "which-weight")
def ignores_the_weight(counts, unigram, weight):
    return 0.5 * frequencies(counts) + 0.5 * unigram


@wrong("3.7", "unseen-context")
def mends_the_empty_row_by_scaling(counts, unigram, weight):
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mixed = weight * counts / total + (1 - weight) * unigram
    return mixed / np.maximum(mixed.sum(axis=1, keepdims=True), 1e-12)


# --- 3.8 back_off


def _mixed(context, followers, discounts, vocab_size, lower):
    tokens, counts = followers[context]
    probs = discounts[len(context)] * len(tokens) * lower
    probs[tokens] += np.maximum(counts - discounts[len(context)], 0)
    return probs / counts.sum()


def _right(context, followers, discounts, vocab_size):
    lower = _right(context[1:], followers, discounts, vocab_size) if context else np.full(vocab_size, 1 / vocab_size)
    return _mixed(context, followers, discounts, vocab_size, lower) if context in followers else lower


@wrong("3.8", "oldest")
def drops_the_newest_token(context, followers, discounts, vocab_size):
    lower = np.full(vocab_size, 1 / vocab_size)
    if context:
        lower = drops_the_newest_token(context[:-1], followers, discounts, vocab_size)
    return _mixed(context, followers, discounts, vocab_size, lower) if context in followers else lower


@wrong("3.8", "seen-too")
def backs_off_only_for_what_was_never_met(context, followers, discounts, vocab_size):
    if context not in followers:
        return _right(context, followers, discounts, vocab_size)
    lower = _right(context[1:], followers, discounts, vocab_size) if context else np.full(vocab_size, 1 / vocab_size)
    tokens, counts = followers[context]
    probs = discounts[len(context)] * len(tokens) * lower
    probs[tokens] = np.maximum(counts - discounts[len(context)], 0)
    return probs / counts.sum()


@wrong("3.8", "lower")
def gives_what_was_saved_to_nobody(context, followers, discounts, vocab_size):
    if context not in followers:
        return _right(context, followers, discounts, vocab_size)
    return _mixed(context, followers, discounts, vocab_size, np.zeros(vocab_size))


@wrong("3.8", "discount")
def forgets_to_take_the_discount(context, followers, discounts, vocab_size):
    if context not in followers:
        return _right(context, followers, discounts, vocab_size)
    lower = _right(context[1:], followers, discounts, vocab_size) if context else np.full(vocab_size, 1 / vocab_size)
    tokens, counts = followers[context]
    probs = discounts[len(context)] * len(tokens) * lower / counts.sum()
    probs[tokens] += counts / counts.sum()
    return probs


@wrong("3.8", "kinds")
def saves_the_discount_once(context, followers, discounts, vocab_size):
    lower = np.full(vocab_size, 1 / vocab_size)
    if context:
        lower = saves_the_discount_once(context[1:], followers, discounts, vocab_size)
    if context not in followers:
        return lower
    tokens, counts = followers[context]
    probs = discounts[len(context)] * lower
    probs[tokens] += counts - discounts[len(context)]
    return probs / counts.sum()


@wrong("3.8", "kinds")
def takes_the_total_for_the_kinds(context, followers, discounts, vocab_size):
    lower = np.full(vocab_size, 1 / vocab_size)
    if context:
        lower = takes_the_total_for_the_kinds(context[1:], followers, discounts, vocab_size)
    if context not in followers:
        return lower
    tokens, counts = followers[context]
    probs = discounts[len(context)] * lower
    probs[tokens] += (counts - discounts[len(context)]) / counts.sum()
    return probs


@wrong("3.8", "saved")
def adds_the_simpler_model_unweighed(context, followers, discounts, vocab_size):
    lower = np.full(vocab_size, 1 / vocab_size)
    if context:
        lower = adds_the_simpler_model_unweighed(context[1:], followers, discounts, vocab_size)
    if context not in followers:
        return lower
    tokens, counts = followers[context]
    probs = np.zeros(vocab_size)
    probs[tokens] = (counts - discounts[len(context)]) / counts.sum()
    return np.where(probs > 0, probs, lower)


@wrong("3.8", "raised")
def looks_up_a_context_that_was_never_met(context, followers, discounts, vocab_size):
    lower = np.full(vocab_size, 1 / vocab_size)
    if context:
        lower = looks_up_a_context_that_was_never_met(context[1:], followers, discounts, vocab_size)
    return _mixed(context, followers, discounts, vocab_size, lower)


@wrong("3.8", "never-met")
def is_uniform_where_nothing_was_met(context, followers, discounts, vocab_size):
    if context not in followers:
        return np.full(vocab_size, 1 / vocab_size)
    return _right(context, followers, discounts, vocab_size)


@wrong("3.8", "skips-down")
def goes_from_any_context_to_the_uniform_model(context, followers, discounts, vocab_size):
    if context in followers:
        return _mixed(context, followers, discounts, vocab_size, np.full(vocab_size, 1 / vocab_size))
    return _right(context, followers, discounts, vocab_size)


@wrong("3.8", "which-discount")
def takes_the_same_discount_everywhere(context, followers, discounts, vocab_size):
    return _right(context, followers, [discounts[0]] * len(discounts), vocab_size)


@wrong("3.8", "raised")
def never_comes_to_an_end(context, followers, discounts, vocab_size):
    lower = never_comes_to_an_end(context[1:], followers, discounts, vocab_size)
    return _mixed(context, followers, discounts, vocab_size, lower) if context in followers else lower


@wrong("3.8", "never-met")
def drops_all_of_a_context_at_once(context, followers, discounts, vocab_size):
    if context in followers or not context:
        return _right(context, followers, discounts, vocab_size)
    return _right((), followers, discounts, vocab_size)


@wrong("3.8", "changes-input")
def discounts_the_counts_in_place(context, followers, discounts, vocab_size):
    lower = np.full(vocab_size, 1 / vocab_size)
    if context:
        lower = discounts_the_counts_in_place(context[1:], followers, discounts, vocab_size)
    if context not in followers:
        return lower
    tokens, counts = followers[context]
    total = counts.sum()
    followers[context] = (tokens, counts - discounts[len(context)])
    probs = discounts[len(context)] * len(tokens) * lower
    probs[tokens] += followers[context][1]
    return probs / total


# --- 3.9 train_step


@wrong("3.9", "left-over")
def forgets_to_clear_the_gradients(compute_loss, optimizer):
    loss = compute_loss()
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("3.9", "left-over")
def clears_the_gradients_after_the_step(compute_loss, optimizer):
    loss = compute_loss()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@wrong("3.9", "no-step")
def clears_between_backward_and_step(compute_loss, optimizer):
    loss = compute_loss()
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@wrong("3.9", "no-step")
def forgets_the_step(compute_loss, optimizer):
    loss = compute_loss()
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


@wrong("3.9", "no-step")
def steps_before_the_backward_pass(compute_loss, optimizer):
    loss = compute_loss()
    optimizer.zero_grad()
    optimizer.step()
    loss.backward()
    return loss.item()


@wrong("3.9", "number")
def returns_the_tensor(compute_loss, optimizer):
    loss = compute_loss()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@wrong("3.9", "calls")
def computes_the_loss_again(compute_loss, optimizer):
    optimizer.zero_grad()
    compute_loss().backward()
    optimizer.step()
    return compute_loss().item()


@wrong("3.9", "step")
def steps_twice(compute_loss, optimizer):
    loss = compute_loss()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    optimizer.step()
    return loss.item()


@wrong("3.9", "step")
def goes_along_with_the_gradient(compute_loss, optimizer):
    loss = compute_loss()
    optimizer.zero_grad()
    (-loss).backward()
    optimizer.step()
    return loss.item()


@wrong("3.9", "adam")
def steps_by_hand(compute_loss, optimizer):
    loss = compute_loss()
    optimizer.zero_grad()
    loss.backward()
    with torch.no_grad():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"] * parameter.grad
    return loss.item()


@wrong("3.9", "step")
def takes_the_logarithm_of_the_loss(compute_loss, optimizer):
    loss = compute_loss()
    optimizer.zero_grad()
    loss.log().backward()
    optimizer.step()
    return loss.item()


# --- 3.10 sample_story


def _sample(next_probs, limit, generator):
    ids = [0]
    while len(ids) <= limit:
        p = next_probs(ids)
        token = int(generator.choice(len(p), p=p / p.sum()))
        if token == 0:
            break
        ids.append(token)
    return ids[1:]


@wrong("3.10", "end")
def keeps_the_end_token(next_probs, limit, seed):
    generator, ids = np.random.default_rng(seed), [0]
    while len(ids) <= limit:
        p = next_probs(ids)
        ids.append(int(generator.choice(len(p), p=p / p.sum())))
        if ids[-1] == 0:
            break
    return ids[1:]


@wrong("3.10", "end")
def begins_with_the_end_token(next_probs, limit, seed):
    return [0, *_sample(next_probs, limit, np.random.default_rng(seed))]


@wrong("3.10", "limit")
def stops_one_late(next_probs, limit, seed):
    return _sample(next_probs, limit + 1, np.random.default_rng(seed))


@wrong("3.10", "limit")
def counts_the_end_token_at_the_start(next_probs, limit, seed):
    return _sample(next_probs, limit - 1, np.random.default_rng(seed))


@wrong("3.10", "too-slow")
def never_stops(next_probs, limit, seed):
    if limit < 20:
        return _sample(next_probs, limit, np.random.default_rng(seed))
    while True:  # as the real mistake, without filling the memory
        pass


@wrong("3.10", "seed-or-greedy")
def takes_the_most_probable(next_probs, limit, seed):
    ids = [0]
    while len(ids) <= limit:
        token = int(np.argmax(next_probs(ids)))
        if token == 0:
            break
        ids.append(token)
    return ids[1:]


@wrong("3.10", "seed-or-greedy")
def ignores_the_seed(next_probs, limit, seed):
    return _sample(next_probs, limit, np.random.default_rng(0))


@wrong("3.10", "seed")
def samples_from_the_shared_generator(next_probs, limit, seed):
    return _sample(next_probs, limit, np.random)


@wrong("3.10", "weights")
def samples_all_possible_tokens_alike(next_probs, limit, seed):
    return _sample(lambda ids: (next_probs(ids) > 0).astype(float), limit, np.random.default_rng(seed))


@wrong("3.10", "weights")
def sharpens_the_probabilities(next_probs, limit, seed):
    return _sample(lambda ids: next_probs(ids) ** 2, limit, np.random.default_rng(seed))


@wrong("3.10", "context")
def always_asks_after_the_end_token(next_probs, limit, seed):
    return _sample(lambda ids: next_probs([0]), limit, np.random.default_rng(seed))


@wrong("3.10", "whole-context")
def shows_the_last_token_alone(next_probs, limit, seed):
    return _sample(lambda ids: next_probs(ids[-1:]), limit, np.random.default_rng(seed))


@wrong("3.10", "raised")
def leaves_out_the_end_token_in_front_of_all(next_probs, limit, seed):
    return _sample(lambda ids: next_probs(ids[1:]), limit, np.random.default_rng(seed))


@wrong("3.10", "fresh-samples")
def seeds_again_at_every_step(next_probs, limit, seed):
    ids = [0]
    while len(ids) <= limit:
        p = next_probs(ids)
        token = int(np.random.default_rng(seed).choice(len(p), p=p / p.sum()))
        if token == 0:
            break
        ids.append(token)
    return ids[1:]


@wrong("3.10", "first-may-end")
def does_not_let_a_story_be_empty(next_probs, limit, seed):
    generator = np.random.default_rng(seed)
    story = []
    while not story:
        story = _sample(next_probs, limit, generator)
    return story


@wrong("3.10", "raised")
def does_not_mend_the_sum(next_probs, limit, seed):
    generator, ids = np.random.default_rng(seed), [0]
    while len(ids) <= limit:
        p = np.asarray(next_probs(ids), dtype=float)
        token = int(generator.choice(len(p), p=p))
        if token == 0:
            break
        ids.append(token)
    return ids[1:]
