"""`course.instructions.tuning`: what is cut and packed, that a step learns answers only, and how orders are counted."""

import pytest
import torch

from course.instructions import tuning
from course.instructions.dataset import conversation, load
from course.instructions.reading import sentences_of
from helpers.errors import CourseError
from helpers.instructions import END_OF_ANSWER, render
from helpers.model import GPT, GPTConfig
from helpers.optimizers import OptimizerConfig
from helpers.tokenizer import load_tokenizer

ROWS = load("train")[:12]
FEW = (tuning.Stage(3, (tuning.Part(1, 4), tuning.Part(None, 2, 0.5))), tuning.Stage(2, (tuning.Part(None, 4),)))


def small():
    torch.manual_seed(0)
    tokenizer = load_tokenizer()
    return tuning.listener_of(GPT(GPTConfig(len(tokenizer), 256, 1, 2, 16)), tokenizer)


def test_a_listener_knows_the_chats_tokens_and_a_storyteller_stays_as_it_was():
    model, tokenizer = small()
    assert model.config.vocab_size == len(tokenizer) == len(load_tokenizer()) + 3


def test_what_is_cut_is_the_beginning_of_what_is_whole():
    _, tokenizer = small()
    for row in ROWS:
        prompt = render(tokenizer, [{"role": "user", "content": row["order"]}]).ids
        for sentences in (1, 4):
            cut = tuning.example(tokenizer, row, sentences)
            told = tokenizer.decode([i for i, weight in zip(*cut, strict=True) if weight])
            assert row["text"].startswith(told) and len(sentences_of(told)) == sentences
            assert cut.ids[: len(prompt)] == prompt and not any(cut.weights[: len(prompt)])
        whole = tuning.example(tokenizer, row)
        rendered = render(tokenizer, conversation(row, row["text"]))
        assert whole.ids == rendered.ids and [weight > 0 for weight in whole.weights] == rendered.mask
        assert whole.ids[-1] == tokenizer.token_to_id(END_OF_ANSWER)


def test_words_that_were_asked_for_weigh_more_where_they_are_said_first():
    _, tokenizer = small()
    row = {
        "order": "A story.",
        "question": None,
        "answer": None,
        "text": "A shy fox met a shy owl. Shyness is no fault.",
    }
    for demands, said in (
        ({"trait": "shy"}, " shy"),
        ({"kind": "owl"}, " owl"),
        ({"trait": "shy", "kind": "fox"}, " shy fox"),
        ({"kind": "mole", "plot": "storm"}, ""),  # what the story does not say
    ):
        ids, weights = tuning.example(tokenizer, row | {"demands": demands}, asked=7.0)
        assert tokenizer.decode([i for i, weight in zip(ids, weights, strict=True) if weight == 7]) == said
        assert set(weights) <= {0.0, 1.0, 7.0}


def test_the_loss_is_the_weighted_mean_of_the_models_own():
    model, tokenizer = small()
    made = [tuning.example(tokenizer, row, 1) for row in ROWS[:3]]
    total = count = 0.0
    for ids, weights in made:  # a row at a time, without padding
        surprise = -model(torch.tensor([ids[:-1]])).log_softmax(-1)[0]
        for place, (token, weight) in enumerate(zip(ids[1:], weights[1:], strict=True)):
            total, count = total + weight * surprise[place, token].item(), count + weight
    assert tuning.weighted_loss(model, *tuning.as_batch(made)).item() == pytest.approx(total / count, abs=1e-4)


def test_a_part_reads_only_orders_that_ask_for_its_fact():
    model, tokenizer = small()
    rows = load("train")[:200]
    asking = [row for row in rows if "plot" in row["demands"] and len(row["demands"]) >= tuning.DENSE]
    found = tuning.examples_of(tuning.Part(2, 4, asks="plot"), model, tokenizer, rows)
    assert found == [tuning.example(tokenizer, row, 2) for row in asking] and 0 < len(found) < len(rows)
    assert len(tuning.examples_of(tuning.Part(None, 4), model, tokenizer, rows)) == len(rows)


def test_a_part_that_asks_for_questions_reads_only_conversations_with_one():
    model, tokenizer = small()
    rows = load("train")[:60]
    asking = [tuning.example(tokenizer, row) for row in rows if row["question"]]
    assert tuning.examples_of(tuning.Part(None, 4, asks="question"), model, tokenizer, rows) == asking and asking


def test_an_ending_and_an_answer_to_a_question_weigh_more_as_a_whole():
    _, tokenizer = small()
    row = next(row for row in load("train") if row["demands"].keys() == {"ending"} and not row["question"])
    ids, weights = tuning.example(tokenizer, row, asked=7.0)
    heavy = tokenizer.decode([i for i, weight in zip(ids, weights, strict=True) if weight == 7])
    assert heavy.strip() == sentences_of(row["text"])[-1][1]
    assert 7 not in tuning.example(tokenizer, row, 3, asked=7.0).weights  # a beginning has no end
    row = next(row for row in load("train") if row["question"] and row["demands"].keys() == {"plot"})
    ids, weights = tuning.example(tokenizer, row, asked=7.0)
    heavy = tokenizer.decode([i for i, weight in zip(ids, weights, strict=True) if weight == 7])
    assert heavy.endswith(row["answer"] + "<|end|>") and row["order"] not in heavy


def test_training_lowers_the_loss_and_is_the_same_each_time():
    config = OptimizerConfig(kind="muon", lr=0.02, embedding_lr=0.02)
    runs = []
    for _ in range(2):
        model, tokenizer = small()
        runs.append(tuning.tune(model, tokenizer, ROWS, FEW, optimizer=config))
    assert runs[0] == runs[1] and len(runs[0]) == 5 and runs[0][-1] < runs[0][0]


def test_without_the_mask_orders_are_learned_too():
    losses, once = {}, (tuning.Stage(1, (tuning.Part(1, 12),)),)
    for masked in (True, False):
        model, tokenizer = small()
        losses[masked] = tuning.tune(model, tokenizer, ROWS, once, masked=masked)[0]
        weights = tuning.example(tokenizer, ROWS[0], 1, masked=masked).weights
        assert (0 in weights) == masked
    assert losses[True] != losses[False]


def test_where_nothing_fits_it_is_said():
    torch.manual_seed(0)
    model, tokenizer = tuning.listener_of(GPT(GPTConfig(2048, 16, 1, 2, 16)), load_tokenizer())
    with pytest.raises(CourseError, match="longer than the model's context"):
        tuning.tune(model, tokenizer, ROWS, (tuning.Stage(1, (tuning.Part(None, 4),)),))


def test_a_model_that_knows_the_stories_keeps_every_order(monkeypatch):
    """Where the stories themselves are the answers, all is kept; where each answers another order, little."""
    rows = load("seen")[:20]
    monkeypatch.setattr(tuning, "answers", lambda *_, **__: [row["text"] for row in rows])
    found = tuning.orders_kept(None, None, rows)
    assert (found.all, found.slips, found.of_this_world, found.orders) == (1.0, 0.0, 1.0, 20)
    monkeypatch.setattr(tuning, "answers", lambda *_, **__: [row["text"] for row in rows[1:] + rows[:1]])
    assert tuning.orders_kept(None, None, rows).all < 0.3


def test_questions_are_answered_to_the_letter(monkeypatch):
    rows = load("questions")[:10]
    assert all(row["question"] and row["answer"] for row in rows)
    monkeypatch.setattr(tuning, "answers", lambda *_, **__: [row["answer"] for row in rows[:5]] + ["Mia"] * 5)
    assert tuning.questions_answered(None, None, rows) == 0.5


def test_an_answer_is_text_and_never_longer_than_asked():
    model, tokenizer = small()
    asked = [[{"role": "user", "content": row["order"]}] for row in ROWS[:3]]
    said = tuning.answers(model, tokenizer, asked, seed=1, max_new_tokens=5)
    assert len(said) == 3 and said == tuning.answers(model, tokenizer, asked, seed=1, max_new_tokens=5, at_once=1)
