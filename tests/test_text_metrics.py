"""Diversity against formulas written out, hand-made cases and properties; the index of training stories against the
plain way: compare with each story, word by word.
"""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course import text_metrics
from course.text_metrics import TrainingIndex, rouge_2, words
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
    with pytest.raises(CourseError, match="self-BLEU"):
        text_metrics.self_bleu(["alone"])


def test_a_text_without_words_has_nothing_in_common_with_the_others():
    two = ["one two three four five"] * 2
    assert text_metrics.self_bleu([*two, "... !"]) == pytest.approx(2 / 3)
    assert text_metrics.self_bleu(["", "..."]) == 0


def test_rouge_2_by_hand():
    assert text_metrics.rouge_2("a b c", "x a b") == 0.5
    assert text_metrics.rouge_2("a b", "a b c d") == 1.0
    assert text_metrics.rouge_2("A, b!", "a b") == 1.0
    assert text_metrics.rouge_2("a", "a b") == 0.0
    assert text_metrics.rouge_2("a b a b", "a b c") == 0.5  # different bigrams, however often


LETTERS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=14).map(" ".join)
QUERIES = st.lists(st.sampled_from("abcdxy"), min_size=0, max_size=14).map(" ".join)


def longest_by_hand(text: str, stories: list[str]) -> int:
    row = words(text)
    inside = [f" {' '.join(words(story))} " for story in stories]
    runs = [row[i:j] for i in range(len(row)) for j in range(i + 1, len(row) + 1)]
    return max((len(run) for run in runs if any(f" {' '.join(run)} " in story for story in inside)), default=0)


@settings(max_examples=120, deadline=None)
@given(stories=st.lists(LETTERS, min_size=1, max_size=6), texts=st.lists(QUERIES, min_size=1, max_size=4))
def test_it_finds_what_comparing_with_every_story_finds(stories, texts):
    index = TrainingIndex(stories)
    for text, copy in zip(texts, index.longest_copies(texts), strict=True):
        assert len(copy) == longest_by_hand(text, stories)
        run = " ".join(copy.words)
        if run:
            assert f" {run} " in f" {' '.join(words(text))} "
            assert f" {run} " in f" {stories[copy.story]} "
    for text, (share, story) in zip(texts, index.most_alike(texts), strict=True):
        assert share == pytest.approx(max(rouge_2(text, one) for one in stories))
        assert share == pytest.approx(rouge_2(text, stories[story]))


def test_a_run_does_not_cross_from_one_story_into_the_next():
    index = TrainingIndex(["one two three", "four five six"])
    assert index.longest_copies(["two three four five"])[0].words in (["two", "three"], ["four", "five"])
    assert index.most_alike(["three four"]) == [(0.0, 0)]


def test_case_and_punctuation_do_not_count():
    index = TrainingIndex(["Pip lost a kite.", "Nora found it!"])
    copy = index.longest_copies(['"PIP, lost a ... KITE"'])[0]
    assert (copy.words, copy.story) == (["pip", "lost", "a", "kite"], 0)


def test_a_whole_story_is_found_whole():
    stories = [f"story number {i} is about the kite of hero {i * 7}" for i in range(200)]
    index = TrainingIndex(stories)
    assert index.stories == 200
    copy = index.longest_copies([stories[123]])[0]
    assert len(copy) == len(words(stories[123])) and copy.story == 123
    assert index.most_alike([stories[123]]) == [(1.0, 123)]


def test_invented_words_are_those_that_no_story_has():
    index = TrainingIndex(["Pip lost a kite.", "Nora found it!"])
    assert index.unknown_words("PIP found a flirb, a flirb, and it.") == ["flirb", "flirb", "and"]


def test_it_needs_stories():
    for nothing in ([], ["..."], ["a", ""]):
        with pytest.raises(CourseError, match="index needs stories"):
            TrainingIndex(nothing)
