"""Scores: equal to the plainest loop, and what they count is what they say."""

import math

import numpy as np
import pytest
import torch

from helpers import evaluation
from helpers.errors import CourseError
from helpers.evaluation import evaluate, score_rows, story_rows
from helpers.model import GPT, GPTConfig
from helpers.ngrams import NGramModel
from helpers.tokenizer import train_tokenizer

TEXTS = [
    "Once upon a time, a little rabbit named Pip lost a red kite.",
    "Pip was sad.",
    "",
    "Olé 🐇!",
    "Then Pip found the red kite and was happy. " * 3,
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 270)


def make(tokenizer, context_length=200, **changes):
    torch.manual_seed(0)
    config = dict(vocab_size=tokenizer.vocab_size, context_length=context_length, n_layer=2, n_head=2, d_model=16)
    model = GPT(GPTConfig(**config | changes))
    with torch.no_grad():
        model.wte.weight.mul_(10)
    return model


class Set(list):
    """Stories with a data set behind them, as `load_stories` gives."""

    streaming = False

    def __init__(self, texts, **columns):
        from datasets import Dataset

        super().__init__(texts)
        self.dataset = Dataset.from_dict({"text": list(texts), **columns})


@pytest.mark.parametrize("changes", [{}, dict(norm="post", positions="sinusoidal", tied_head=False)])
def test_batched_scores_equal_a_plain_loop(tokenizer, changes):
    model = make(tokenizer, dropout=0.2, **changes).train()
    metrics = evaluate(model, tokenizer, TEXTS)
    assert model.training
    model.eval()
    losses, hits = [], []
    for text in TEXTS:
        row = torch.tensor([[tokenizer.eos_token_id, *tokenizer.encode(text), tokenizer.eos_token_id]])
        log_probs = model(row[:, :-1]).double().log_softmax(-1)[0]
        losses += (-log_probs.gather(1, row[0, 1:, None])).flatten().tolist()
        hits += (log_probs.argmax(1) == row[0, 1:]).tolist()
    assert metrics.nats_per_token == pytest.approx(np.mean(losses), abs=1e-6)
    assert metrics.perplexity == pytest.approx(np.exp(np.mean(losses)), rel=1e-5)
    size = sum(len(text.encode()) for text in TEXTS)
    assert metrics.bits_per_byte == pytest.approx(sum(losses) / math.log(2) / size, rel=1e-6)
    assert metrics.accuracy == pytest.approx(np.mean(hits))
    tokens = sum(len(tokenizer.encode(text)) + 1 for text in TEXTS)  # the end token counts
    assert (metrics.tokens, metrics.stories, metrics.bytes) == (tokens, len(TEXTS), size)


def test_small_batches_and_chunks_change_nothing(tokenizer, monkeypatch):
    model = make(tokenizer)
    whole = evaluate(model, tokenizer, TEXTS)
    monkeypatch.setattr(evaluation, "CHUNK", 2)
    monkeypatch.setattr(evaluation, "LOGITS", 1)
    parts = evaluate(model, tokenizer, iter(TEXTS))
    assert parts.nats_per_token == pytest.approx(whole.nats_per_token, abs=1e-6)
    assert parts.accuracy == whole.accuracy and parts.tokens == whole.tokens


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 7, 8, 9, 12, 13, 16, 40])
def test_long_stories_are_read_in_windows_that_score_each_token_once(tokenizer, length):
    model = make(tokenizer, context_length=8).eval()
    row = [int(token) for token in np.random.default_rng(0).integers(1, 270, length + 1)]
    scores = score_rows(model, [row])[0].log_probs
    assert scores.shape == (length,)
    for i, score in enumerate(scores):
        possible = [
            float(model(torch.tensor([row[start : i + 1]]))[0, -1].log_softmax(-1)[row[i + 1]])
            for start in range(max(0, i - 7), max(0, i - 3) + 1 if i >= 8 else 1)
        ]
        assert min(abs(score - value) for value in possible) < 1e-4


def test_a_uniform_model_scores_the_logarithm_of_its_vocabulary(tokenizer):
    model = make(tokenizer)
    with torch.no_grad():
        model.wte.weight.zero_()
    assert evaluate(model, tokenizer, TEXTS).nats_per_token == pytest.approx(math.log(270), abs=1e-5)
    uniform = NGramModel(0, tokenizer.vocab_size, tokenizer.eos_token_id)
    assert evaluate(uniform, tokenizer, TEXTS).nats_per_token == pytest.approx(math.log(270))


def test_counting_models_are_scored_on_the_same_tokens(tokenizer):
    model = NGramModel(3, tokenizer.vocab_size, tokenizer.eos_token_id).fit(tokenizer.encode_batch(TEXTS))
    metrics = evaluate(model, tokenizer, TEXTS)
    rows = story_rows(tokenizer, TEXTS)
    assert metrics.nats == pytest.approx(-sum(model.log_probs(row).sum() for row in rows))
    assert metrics.tokens == sum(len(row) - 1 for row in rows)
    right = [int(model.next_log_probs(row[:i]).argmax()) == row[i] for row in rows for i in range(1, len(row))]
    assert metrics.accuracy == pytest.approx(np.mean(right))


def test_the_floor_is_reported_where_it_is_known(tokenizer):
    model = make(tokenizer)
    without = evaluate(model, tokenizer, Set(TEXTS))
    assert without.times_floor is None
    assert set(without.as_dict()) == {
        "nats_per_token", "perplexity", "bits_per_byte", "accuracy", "tokens", "stories", "bytes", "nats",
    }  # fmt: skip
    metrics = evaluate(model, tokenizer, Set(TEXTS, nats=[10.0, 5.0, 0.0, 5.0, 20.0]))
    assert metrics.floor_nats_per_token == pytest.approx(40 / metrics.tokens)
    assert metrics.floor_bits_per_byte == pytest.approx(40 / math.log(2) / metrics.bytes)
    assert metrics.times_floor == pytest.approx(metrics.nats / 40)
    assert "times the floor" in str(metrics) and "floor" not in str(without)


def test_nothing_to_score_is_an_error(tokenizer):
    with pytest.raises(CourseError, match="no stories"):
        evaluate(make(tokenizer), tokenizer, [])
    with pytest.raises(CourseError, match="no stories to score: all 2 are empty"):
        evaluate(make(tokenizer), tokenizer, ["", ""])
    with pytest.raises(CourseError, match="outside the vocabulary"):
        evaluate(make(tokenizer, vocab_size=20), tokenizer, TEXTS)
