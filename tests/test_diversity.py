"""Diversity measures against formulas written out, hand-made cases and properties."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import text_metrics
from helpers.errors import CourseError

TEXTS = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=9).map(" ".join), min_size=2, max_size=5)


def test_words_are_lower_case_and_keep_apostrophes():
    assert text_metrics.words('"Don\'t!" said Pip, the 2 cats\' friend. Olé') == [
        "don't", "said", "pip", "the", "2", "cats", "friend", "olé",
    ]  # fmt: skip


def test_distinct_by_hand():
    assert text_metrics.distinct_n(["a b a b", "b a"], 1) == pytest.approx(2 / 6)
    assert text_metrics.distinct_n(["a b a b", "b a"], 2) == pytest.approx(2 / 4)
    with pytest.raises(CourseError, match="no text has 3 words"):
        text_metrics.distinct_n(["a b"], 3)


def plain_bleu(row: list[str], references: list[list[str]], most: int) -> float:
    """Papineni et al. (2002), word for word: clipped precisions, geometric mean, brevity penalty."""
    product = 1.0
    for n in range(1, most + 1):
        grams = [row[i : i + n] for i in range(len(row) - n + 1)]
        clipped = 0
        for gram in {tuple(gram) for gram in grams}:
            times = [sum(list(gram) == ref[i : i + n] for i in range(len(ref) - n + 1)) for ref in references]
            clipped += min(grams.count(list(gram)), max(times))
        if not clipped:
            return 0.0
        product *= clipped / len(grams)
    lengths = sorted(len(ref) for ref in references)
    nearest = min(lengths, key=lambda length: abs(length - len(row)))
    return product ** (1 / most) * (1 if len(row) >= nearest else math.exp(1 - nearest / len(row)))


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, most=st.integers(1, 3))
def test_self_bleu_is_the_mean_of_plain_bleu(texts, most):
    rows = [text.split() for text in texts]
    each = [plain_bleu(row, rows[:i] + rows[i + 1 :], most) for i, row in enumerate(rows)]
    assert text_metrics.self_bleu(texts, most) == pytest.approx(sum(each) / len(each))
    assert text_metrics.bleu(rows[0], rows[1:], most) == pytest.approx(each[0])


def test_papineni_own_example():
    """The seven times "the" of the paper: two of them count."""
    row, references = ["the"] * 7, ["the cat is on the mat".split(), "there is a cat on the mat".split()]
    assert text_metrics.bleu(row, references, 1) == pytest.approx(2 / 7)


def test_the_same_text_again_is_no_diversity():
    assert text_metrics.self_bleu(["one two three four five"] * 3) == pytest.approx(1)
    assert text_metrics.self_bleu(["a b c d e", "f g h i j"]) == 0
    for texts in (["alone"], ["a b", "..."]):
        with pytest.raises(CourseError, match="self-BLEU"):
            text_metrics.self_bleu(texts)


def test_rouge_2_by_hand():
    assert text_metrics.rouge_2("a b c", "x a b") == 0.5
    assert text_metrics.rouge_2("a b", "a b c d") == 1.0
    assert text_metrics.rouge_2("A, b!", "a b") == 1.0
    assert text_metrics.rouge_2("a", "a b") == 0.0
    assert text_metrics.rouge_2("a b a b", "a b c") == 0.5  # different bigrams, however often
