"""The index of training stories against the plain way: compare with each story, word by word."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import CourseError
from helpers.text_metrics import TrainingIndex, rouge_2, words

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
