"""The counting models: proper distributions, the textbook numbers, and borders that are kept."""

import time

import numpy as np
import pytest

from helpers import ngrams
from helpers.errors import CourseError
from helpers.ngrams import NGramModel

END = 0
STORIES = [[1, 2, 3, 1, 2], [1, 2, 4], [3, 1, 2, 4, 4], [5]]


@pytest.mark.parametrize("order", range(6))
def test_every_distribution_sums_to_one_and_agrees_with_the_scores(order):
    model = NGramModel(order, vocab_size=7, eos_token_id=END).fit(STORIES)
    contexts = [[END], [END, 1], [END, 1, 2], [END, 6], [END, 1, 6, 2], [END, 5, 5, 5, 5], [3, 1, 2, 4, 4, 4]]
    for context in contexts:
        whole = model.next_log_probs(context)
        assert np.exp(whole).sum() == pytest.approx(1, abs=1e-12)
        assert np.isfinite(whole).all()  # tokens and contexts never met have a probability too
        for token in range(7):
            assert model.log_probs([*context, token])[-1] == pytest.approx(whole[token], abs=1e-12)
        assert model.most_likely([[*context, 0]])[0][-1] == whole.argmax()


def test_whole_stories_are_a_distribution():
    """All stories of up to three tokens, and what is longer: the probabilities sum to one."""
    model = NGramModel(3, vocab_size=4, eos_token_id=END).fit([[1, 2], [1, 3, 2], [2]])
    total, open_rows = 0.0, [[END]]
    for _ in range(4):
        total += sum(np.exp(model.log_probs([*row, END]).sum()) for row in open_rows)
        open_rows = [[*row, token] for row in open_rows for token in (1, 2, 3)]
    total += sum(np.exp(model.log_probs(row).sum()) for row in open_rows)
    assert total == pytest.approx(1, abs=1e-12)


def test_unigram_and_bigram_by_hand():
    stories = [[1, 1, 2], [1, 2]]  # tokens with their ends: 1 x 3, 2 x 2, 0 x 2
    unigram = NGramModel(1, vocab_size=3, eos_token_id=END, discount=0.5).fit(stories)
    expected = [(2 - 0.5) / 7, (3 - 0.5) / 7, (2 - 0.5) / 7] + np.float64(0.5 * 3 / 7 / 3)
    assert np.exp(unigram.next_log_probs([END])) == pytest.approx(expected)
    # Pairs: 01 x 2, 11 x 1, 12 x 2, 20 x 2. Kneser-Ney's unigram counts the different tokens before: 0:1,
    # 1:2, 2:1.
    bigram = NGramModel(2, vocab_size=3, eos_token_id=END, discount=0.5).fit(stories)
    lower = [0.5 / 4, 1.5 / 4, 0.5 / 4] + np.float64(0.5 * 3 / 4 / 3)
    after_one = np.array([0, 0.5 / 3, 1.5 / 3]) + 0.5 * 2 / 3 * lower
    assert np.exp(bigram.next_log_probs([END, 1])) == pytest.approx(after_one)


def test_without_discount_worth_mentioning_it_is_the_relative_frequency():
    model = NGramModel(2, vocab_size=7, eos_token_id=END, discount=1e-9).fit(STORIES)
    assert np.exp(model.next_log_probs([1]))[2] == pytest.approx(1)
    assert np.exp(model.next_log_probs([END]))[[1, 3, 5]] == pytest.approx([0.5, 0.25, 0.25])


def test_an_empty_context_is_a_story_s_beginning():
    model = NGramModel(3, 7, END).fit(STORIES)
    assert model.next_log_probs([]) == pytest.approx(model.next_log_probs([END]))


def test_parameters_are_the_counts_that_are_kept():
    assert NGramModel(0, 8).parameters == 0
    # ids 0 ... 5, and the pairs 01 12 23 31 20, 24 40, 03 44, 05 50
    assert NGramModel(1, 7, END).fit(STORIES).parameters == 6
    assert NGramModel(2, 7, END).fit(STORIES).parameters == 6 + 11


def test_counting_by_tables_and_by_sorting_give_the_same(monkeypatch):
    by_table = NGramModel(4, 7, END).fit(STORIES)
    monkeypatch.setattr(ngrams, "TABLE", 0)
    by_sorting = NGramModel(4, 7, END).fit(STORIES)
    for kept in ("_longer", "_grams", "_counts"):
        for one, other in zip(getattr(by_table, kept), getattr(by_sorting, kept), strict=True):
            assert one.tolist() == other.tolist()


def test_uniform():
    model = NGramModel(0, vocab_size=8)
    assert model.log_probs([0, 3, 5]) == pytest.approx([-np.log(8)] * 2)


def test_no_context_crosses_a_border_between_stories():
    flat = np.array([token for story in STORIES for token in (*story, END)], dtype=np.uint16)
    one_by_one = NGramModel(4, 7, END).fit(STORIES)
    from_file = NGramModel(4, 7, END).fit(flat)
    shuffled = NGramModel(4, 7, END).fit(STORIES[::-1])
    row = [END, 1, 2, 3, 1, 2, END]
    assert one_by_one.log_probs(row) == pytest.approx(from_file.log_probs(row))
    assert one_by_one.log_probs(row) == pytest.approx(shuffled.log_probs(row))


def test_batches_equal_single_rows_and_higher_orders_fit_better():
    generator = np.random.default_rng(0)
    stories = [list(np.cumsum(generator.integers(1, 3, 30)) % 9 + 1) for _ in range(50)]
    rows = [[END, *story, END] for story in stories[:7]]
    losses = []
    for order in range(4):
        model = NGramModel(order, 10, END).fit(stories)
        batched = model.score_rows(rows)
        for row, scores in zip(rows, batched, strict=True):
            assert model.log_probs(row) == pytest.approx(scores)
        losses.append(-np.concatenate(batched).mean())
    assert losses == sorted(losses, reverse=True)


def test_bad_input_is_told():
    with pytest.raises(CourseError, match="order"):
        NGramModel(-1, 5)
    with pytest.raises(CourseError, match="call fit"):
        NGramModel(2, 5).log_probs([0, 1])
    with pytest.raises(CourseError, match="outside the vocabulary"):
        NGramModel(2, 5).fit([[7]])
    with pytest.raises(CourseError, match="at least one token"):
        NGramModel(2, 5).fit([])


def test_a_million_tokens_take_seconds():
    generator = np.random.default_rng(0)
    stream = np.minimum(generator.zipf(1.3, 1_000_000), 2047).astype(np.uint16)
    stream[::150] = END
    start = time.perf_counter()
    NGramModel(3, 2048, END).fit(stream)
    assert time.perf_counter() - start < 20
