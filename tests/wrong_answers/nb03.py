"""Wrong answers to the exercises of notebook 03."""

import math
import random

import numpy as np

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


# --- 3.4 add_k


@wrong("3.4", "sums-to-one")
def does_not_enlarge_the_total(counts, k):
    return (counts + k) / np.maximum(counts.sum(axis=1, keepdims=True), 1)


@wrong("3.4", "sums-to-one")
def enlarges_the_total_by_k_once(counts, k):
    return (counts + k) / (counts.sum(axis=1, keepdims=True) + k)


@wrong("3.4", "columns")
def normalises_columns(counts, k):
    return (counts + k) / (counts + k).sum(axis=0, keepdims=True)


@wrong("3.4", "whole-table")
def normalises_the_whole_table(counts, k):
    return (counts + k) / (counts + k).sum()


@wrong("3.4", "keepdims")
def divides_rows_by_a_row_of_sums(counts, k):
    return (counts + k) / (counts + k).sum(axis=1)


@wrong("3.4", "k")
def cuts_off_the_fraction(counts, k):
    added = counts.copy()
    added[:] = counts + k
    return added / np.maximum(added.sum(axis=1, keepdims=True), 1)


@wrong("3.4", "k")
def always_adds_one(counts, k):
    return (counts + 1) / (counts + 1).sum(axis=1, keepdims=True)


@wrong("3.4", "every-count")
def adds_only_to_zeros(counts, k):
    smooth = np.where(counts == 0, k, counts)
    return smooth / smooth.sum(axis=1, keepdims=True)


@wrong("3.4", "every-count")
def adds_after_dividing(counts, k):
    probabilities = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) + k
    return probabilities / probabilities.sum(axis=1, keepdims=True)


@wrong("3.4", "unseen-context")
def leaves_an_empty_row_undefined(counts, k):
    total = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, (counts + k) / (total + k * counts.shape[1]), counts / total)


@wrong("3.4", "in-place")
def adds_a_fraction_in_place(counts, k):
    counts += k
    return counts / counts.sum(axis=1, keepdims=True)


@wrong("3.4", "changes-input")
def adds_in_place(counts, k):
    counts += 1
    return counts / counts.sum(axis=1, keepdims=True)


# --- 3.5 interpolate


def frequencies(counts):
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


@wrong("3.5", "which-weight")
def swaps_the_weights(counts, unigram, weight):
    return (1 - weight) * frequencies(counts) + weight * unigram


@wrong("3.5", "columns")
def spreads_the_unigram_over_rows(counts, unigram, weight):
    return weight * frequencies(counts) + (1 - weight) * unigram[:, None]


@wrong("3.5", "unseen-context")
def lets_an_empty_row_sum_to_less(counts, unigram, weight):
    return weight * frequencies(counts) + (1 - weight) * unigram


@wrong("3.5", "unseen-context")
def divides_zero_by_zero(counts, unigram, weight):
    with np.errstate(invalid="ignore"):
        return weight * counts / counts.sum(axis=1, keepdims=True) + (1 - weight) * unigram


@wrong("3.5", "mixture")
def mixes_logarithms(counts, unigram, weight):
    with np.errstate(divide="ignore"):
        mixed = frequencies(counts) ** weight * unigram ** (1 - weight)
    return mixed / np.maximum(mixed.sum(axis=1, keepdims=True), 1e-12)


@wrong("3.5", "which-weight")
def mixes_raw_counts(counts, unigram, weight):
    return weight * counts + (1 - weight) * unigram


@wrong("3.5", "mixture")
def asks_the_unigram_only_for_zeros(counts, unigram, weight):
    if weight == 0:
        return np.tile(unigram, (len(counts), 1))
    return np.where(counts > 0, weight * frequencies(counts), (1 - weight) * unigram)


@wrong("3.5", "which-weight")
def ignores_the_weight(counts, unigram, weight):
    return 0.5 * frequencies(counts) + 0.5 * unigram


@wrong("3.5", "unseen-context")
def mends_the_empty_row_by_scaling(counts, unigram, weight):
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mixed = weight * counts / total + (1 - weight) * unigram
    return mixed / np.maximum(mixed.sum(axis=1, keepdims=True), 1e-12)


# --- 3.6 sample_story


@wrong("3.6", "end")
def keeps_the_end_token(counts, limit, seed):
    generator, story, last = random.Random(seed), [], 0
    while len(story) < limit:
        last = generator.choices(range(len(counts)), counts[last])[0]
        story.append(last)
        if last == 0:
            break
    return story


@wrong("3.6", "end")
def begins_with_the_end_token(counts, limit, seed):
    return [0, *_sample(counts, limit, random.Random(seed))]


@wrong("3.6", "limit")
def stops_one_late(counts, limit, seed):
    return _sample(counts, limit + 1, random.Random(seed))


@wrong("3.6", "limit")
def counts_the_end_token_at_the_start(counts, limit, seed):
    generator, story = random.Random(seed), [0]
    while len(story) < limit:
        token = generator.choices(range(len(counts)), counts[story[-1]])[0]
        if token == 0:
            break
        story.append(token)
    return story[1:]


@wrong("3.6", "too-slow")
def never_stops(counts, limit, seed):
    generator, story, last = random.Random(seed), [], 0
    if limit < 3:
        return _sample(counts, limit, generator)
    while True:
        last = generator.choices(range(len(counts)), counts[last])[0]
        if last == 0:
            return story
        story.append(last)
        if len(story) > 1000:  # as the real mistake, without filling the memory
            while True:
                pass


@wrong("3.6", "seed-or-greedy")
def takes_the_most_frequent(counts, limit, seed):
    story, last = [], 0
    while len(story) < limit:
        last = max(range(len(counts)), key=lambda token: counts[last][token])
        if last == 0:
            break
        story.append(last)
    return story


@wrong("3.6", "seed-or-greedy")
def ignores_the_seed(counts, limit, seed):
    return _sample(counts, limit, random.Random(0))


@wrong("3.6", "seed")
def samples_from_the_shared_generator(counts, limit, seed):
    return _sample(counts, limit, random)


@wrong("3.6", "weights")
def samples_all_seen_tokens_alike(counts, limit, seed):
    return _sample([[min(n, 1) for n in row] for row in counts], limit, random.Random(seed))


@wrong("3.6", "context")
def always_looks_in_the_first_row(counts, limit, seed):
    generator, story = random.Random(seed), []
    while len(story) < limit:
        token = generator.choices(range(len(counts)), counts[0])[0]
        if token == 0:
            break
        story.append(token)
    return story


@wrong("3.6", "context")
def reads_columns_for_rows(counts, limit, seed):
    return _sample([list(column) for column in zip(*counts, strict=True)], limit, random.Random(seed))


@wrong("3.6", "fresh-samples")
def seeds_again_at_every_step(counts, limit, seed):
    story, last = [], 0
    while len(story) < limit:
        last = random.Random(seed).choices(range(len(counts)), counts[last])[0]
        if last == 0:
            break
        story.append(last)
    return story


def _sample(counts, limit, generator):
    story, last = [], 0
    while len(story) < limit:
        last = generator.choices(range(len(counts)), counts[last])[0]
        if last == 0:
            break
        story.append(last)
    return story
