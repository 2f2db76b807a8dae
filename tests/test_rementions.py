"""Re-mention accuracy: found mentions, exact comparison of candidates, and models whose memory is known."""

import numpy as np
import pytest
import torch

from course import rementions
from course.mentions import mentions_of, words_by_role
from course.rementions import remention_accuracy, scorer_of
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig
from helpers.ngrams import NGramModel
from helpers.tokenizer import train_tokenizer

FILLER = "It was a warm day and there was much to do and much to see and nothing went wrong at all"


def story(name, color, word="kite"):
    text = f"{name} had a {color} {word}. {FILLER}. {FILLER}. Then {name} saw the {color} {word} again."
    spans = []
    for role, value in (("hero", name), ("color", color)):
        start = -1
        while (start := text.find(value, start + 1)) >= 0:
            spans.append(dict(start=start, end=start + len(value), role=role, attribute="text", text=value))
    return {"text": text, "spans": spans}


NAMES, COLORS = ["Ben", "Benny", "Pip", "Ann", "Zoe"], ["red", "blue"]
STORIES = [story(name, color) for name in NAMES for color in COLORS]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([s["text"] for s in STORIES], 330)


class Knower:
    """Has read these stories, and knows what follows; or has forgotten all."""

    def __init__(self, tokenizer, forget=False):
        self.vocab_size, self.next = tokenizer.vocab_size, {}
        for each in [] if forget else STORIES:
            row = [tokenizer.eos_token_id, *tokenizer.encode(each["text"])]
            self.next |= {tuple(row[:i]): row[i] for i in range(1, len(row))}

    def next_log_probs(self, ids):
        probability = np.full(self.vocab_size, 0.01 / self.vocab_size)
        if tuple(ids) in self.next:
            probability[self.next[tuple(ids)]] += 0.99
        return np.log(probability / probability.sum())


def test_mentions_are_found_with_their_distance(tokenizer):
    pip = story("Pip", "red")
    (hero, color) = mentions_of(pip, tokenizer, {"hero", "color"})
    assert (hero.role, hero.text, color.role, color.text) == ("hero", "Pip", "color", "red")
    assert tokenizer.decode(hero.context[1:]) + " Pip" == pip["text"][: hero.start + 3]
    assert hero.context[0] == tokenizer.eos_token_id and hero.space
    first = len(tokenizer.encode("Pip"))
    assert hero.distance == len(hero.context) - 1 - first
    assert not list(mentions_of(pip, tokenizer, {"hero", "color"}, shortest=500))
    assert " pip had a red kite it was " in hero.story
    unmarked = dict(pip, text=pip["text"].replace("all. Then", "Pip. Then"))
    assert [m.role for m in mentions_of(unmarked, tokenizer, {"hero"})] == []  # named just before, unrecorded


def test_words_by_role():
    assert words_by_role(STORIES) == {"hero": sorted(NAMES), "color": sorted(COLORS)}


def test_who_remembers_is_always_right_and_who_forgets_is_at_chance(tokenizer):
    good = remention_accuracy(Knower(tokenizer), tokenizer, STORIES)
    for role in ("hero", "color"):
        score = good.roles[role]
        assert score.mentions == len(STORIES) and score.all == score.unseen == 1
    bad = remention_accuracy(Knower(tokenizer, forget=True), tokenizer, STORIES, roles=["color"])
    assert bad.roles["color"].all == 0.5 == bad.roles["color"].chance
    assert set(bad.as_dict()) == {"color"} and "color" in str(bad)
    trigram = NGramModel(3, tokenizer.vocab_size, tokenizer.eos_token_id)
    trigram.fit(tokenizer.encode_batch([s["text"] for s in STORIES]))
    assert remention_accuracy(trigram, tokenizer, STORIES).roles["color"].all == 0.5
    total = sum(score.mentions for score in good.bins["hero"].values())
    assert total == good.roles["hero"].mentions


def test_the_search_agrees_with_scoring_every_word(tokenizer):
    """Among words of several tokens, one of which begins another."""
    generator = np.random.default_rng(0)
    table = {}

    def next_log_probs(ids):
        if tuple(ids) not in table:
            logits = generator.normal(size=tokenizer.vocab_size) * 3
            table[tuple(ids)] = logits - np.log(np.exp(logits).sum())
        return table[tuple(ids)]

    words = ["a", "ab", "abc", "b", "ba", "zoo", "zoom"]
    ends = {tuple(w.encode()): w for w in words}
    for trial in range(50):
        search, known = rementions._Search([trial], ends), {}
        while (query := search.advance(known)) is not None:
            known[query] = next_log_probs(query)
        scores = {}
        for path, word in ends.items():
            total = sum(next_log_probs((trial, *path[:i]))[path[i]] for i in range(len(path)))
            longer = {p[len(path)] for p in ends if len(p) > len(path) and p[: len(path)] == path}
            left = 1 - sum(np.exp(next_log_probs((trial, *path))[token]) for token in longer)
            scores[word] = total + np.log(left)
        assert search.winner == max(scores, key=scores.get)


def test_a_gpt_is_read_once_for_contexts_that_begin_alike(tokenizer):
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=50, context_length=6, n_layer=2, n_head=1, d_model=8)).eval()
    contexts = [(1,), (1, 2, 3), (1, 2), (4, 5), (1, 2, 3, 4, 5, 6, 7, 8), (9,), (1, 2, 3)]
    scores = scorer_of(model)(contexts)
    for context, row in zip(contexts, scores, strict=True):
        with torch.no_grad():
            expected = model(torch.tensor([context[-6:]]))[0, -1].log_softmax(0)
        assert np.allclose(row, expected, atol=1e-5)
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, context_length=128, n_layer=1, n_head=1, d_model=8))
    result = remention_accuracy(model, tokenizer, STORIES)
    assert result.roles["hero"].mentions >= 8 and model.training


def test_stories_without_spans_are_refused(tokenizer):
    with pytest.raises(CourseError, match="spans"):
        remention_accuracy(Knower(tokenizer), tokenizer, [{"text": "Hello."}])
    with pytest.raises(CourseError, match="no story has the role 'villain'"):
        remention_accuracy(Knower(tokenizer), tokenizer, STORIES, roles=["villain"])
