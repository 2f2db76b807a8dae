"""Words, sentences, growth, ranks, sentences seen before; and the stored numbers about TinyStories."""

from collections import Counter

import pytest

from course import corpus
from helpers.files import data_folder, read_json
from helpers.tokenizer import load_tokenizer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Once, a KITE!", ["once", "a", "kite"]),
        ("I don't; don’t I?", ["i", "don't", "don’t", "i"]),
        ("'Tis Pip's 3 kites' tails", ["tis", "pip's", "kites", "tails"]),
        ("Élan_vital", ["élan", "vital"]),
        ("", []),
    ],
)
def test_words(text, expected):
    assert corpus.words_of(text) == expected


def test_sentences_end_at_signs_and_lines_and_stay_whole_around_speech():
    text = 'Pip ran. "Is that you?" asked Mia. "Yes!" He was.\n\nThe end'
    assert corpus.sentences_of(text) == ["Pip ran.", '"Is that you?" asked Mia.', '"Yes!"', "He was.", "The end"]
    assert corpus.sentences_of(" \n ") == []


@pytest.mark.parametrize(
    "text",
    [
        "On Monday, Mr. Bell sang.",
        "Mrs. Bell, and carefully they screwed it on.",
        '"Mrs. Bell!" cried Dr. Green and Ms. Day.',
        "They sailed to St. Ives.",
    ],
)
def test_a_title_ends_no_sentence(text):
    assert corpus.sentences_of(text) == [text]
    assert corpus.sentences_of(f"{text} Pip ran.") == [text, "Pip ran."]


def test_a_word_that_ends_like_a_title_ends_a_sentence():
    assert corpus.sentences_of("I am the best. Pip ran. He met IMr. Bell") == [
        "I am the best.",
        "Pip ran.",
        "He met IMr.",
        "Bell",
    ]
    assert corpus.sentences_of("Dear Mr.\nBell") == ["Dear Mr.", "Bell"]


def test_growth_counts_words_and_different_words():
    assert corpus.growth(["a b", "", "b c", "a a a"]) == [(2, 2), (4, 3), (7, 3)]
    assert corpus.growth([""]) == []


def test_ranks_fall_and_are_counts_in_a_million():
    points = corpus.rank_frequencies(Counter(a=6, b=3, c=1))
    assert points == [(1, 6e5), (2, 3e5), (3, 1e5)]
    assert corpus.rank_frequencies(Counter()) == []
    many = corpus.rank_frequencies(Counter({str(i): 1000 - i for i in range(1000)}), most=40)
    assert len(many) <= 40 and many[0][0] == 1 and many[-1][0] == 1000


def test_seen_fraction():
    assert corpus.seen_fraction(["A b. C d."], ["C d. E f.", "C d."]) == pytest.approx(2 / 3)
    assert corpus.seen_fraction(["A."], []) == 0.0


def test_the_facts_of_tinystories_agree_with_each_other():
    """224 GPT-2 tokens a story with the end token, about four bytes each."""
    whole, sample = (read_json(data_folder() / "tinystories_facts.json")[key] for key in ("whole", "sample"))
    tokens = whole["train_gpt2_tokens"] / whole["train_stories"]
    assert tokens == pytest.approx(223.6, abs=0.05)
    assert whole["validation_gpt2_tokens"] / whole["validation_stories"] == pytest.approx(217, abs=1)
    assert whole["bytes_per_story"] / tokens == pytest.approx(4.02, abs=0.005)
    assert sample["growth"][-1] == [sample["words"], sample["different_words"]]
    assert 0 < sample["validation_sentences_seen"] < 1


@pytest.mark.parametrize(
    "text", ["Pip ran home, and nobody knew why.", "从前有一只小猫，名叫明明。有一天它去了森林。", "🙂🙂🙂🙂", ""]
)
@pytest.mark.parametrize("most", [1, 2, 5, 11, 200])
def test_a_beginning_has_at_most_so_many_tokens(text, most):
    tokenizer = load_tokenizer()
    start = corpus.beginning(text, tokenizer, most)
    assert text.startswith(start) and len(tokenizer.encode(start)) <= most
    assert len(tokenizer.encode(text)) > most or start == text
    assert len(tokenizer.encode(start)) > most - 4 or start == text  # a character has four bytes at most
