"""The playground tells what `generate` tells, shows each token's probability, and needs no widgets."""

import builtins
import re

import pytest
import torch

from course import playground
from helpers import ENGINES
from helpers.errors import CourseError
from helpers.generation import Storyteller, encode_prompt, generate, last_logits
from helpers.model import GPT, GPTConfig
from helpers.sampling import beam_search
from helpers.tokenizer import train_tokenizer

OPTIONS = [
    {},
    {"temperature": 0.5, "top_k": 5},
    {"temperature": 1.7, "top_p": 0.6, "min_p": 0.05, "repetition_penalty": 1.3},
    {"temperature": 0},
]


@pytest.fixture(scope="module")
def teller():
    tokenizer = train_tokenizer(["Once upon a time, Pip lost a <red> kite & cried.\nOlé!"], 270)
    torch.manual_seed(0)
    model = GPT(GPTConfig(tokenizer.vocab_size, context_length=16, n_layer=1, n_head=2, d_model=16))
    with torch.no_grad():
        model.wte.weight.mul_(20)
    return Storyteller(model.eval(), tokenizer)


@pytest.mark.parametrize("options", OPTIONS)
def test_sampling_tells_what_generate_tells(teller, options):
    ids = encode_prompt(teller.tokenizer, "Once")
    expected = list(generate(teller.model, ids, 30, seed=3, eos_token_id=teller.tokenizer.eos_token_id, **options))
    told = list(playground.steps(teller, "Once", "sampling", 30, seed=3, **options))
    assert [one.text for one in told] == [teller.tokenizer.decode([token]) for token in expected]


def test_probabilities_are_the_models(teller):
    ids = encode_prompt(teller.tokenizer, "Once")
    end = {"eos_token_id": teller.tokenizer.eos_token_id}
    tokens = generate(teller.model, ids, 25, seed=5, temperature=2.0, top_k=7, **end)
    told = playground.steps(teller, "Once", "sampling", 25, seed=5, temperature=2.0, top_k=7)
    for one, token in zip(told, list(tokens), strict=True):
        with torch.inference_mode():
            logits = last_logits(teller.model, ids)
        best = logits.softmax(-1).topk(5)
        assert one.probability == pytest.approx(float(logits.softmax(-1)[token]), abs=1e-5)
        kept = (logits / 2).topk(7)
        assert one.chance == pytest.approx(float((logits[token] / 2 - kept.values.logsumexp(0)).exp()), abs=1e-5)
        assert [p for _, p in one.others] == pytest.approx(best.values.tolist(), abs=1e-5)
        assert one.left == 7
        ids.append(token)


def test_greedy_and_beams(teller):
    ids = encode_prompt(teller.tokenizer, "Pip")
    for method, expected in (
        ("greedy", list(generate(teller.model, ids, 20, greedy=True, eos_token_id=teller.tokenizer.eos_token_id))),
        ("beam search", beam_search(teller.model, ids, 20, beams=3, eos_token_id=teller.tokenizer.eos_token_id)[0]),
    ):
        told = list(playground.steps(teller, "Pip", method, 20, beams=3))
        assert [one.text for one in told] == [teller.tokenizer.decode([token]) for token in expected]
        assert all(one.chance == 1 and one.left == 1 for one in told)


def test_an_engine_tells_and_the_model_says_what_it_thought(teller, capsys):
    pytest.importorskip("ctranslate2")
    fast = Storyteller(teller.model, teller.tokenizer, ENGINES["ctranslate2"](teller.model))
    for length in (5, 40):  # within the context of 16 tokens, and past it
        expected = list(playground.steps(teller, "Once", "greedy", length))
        for one, other in zip(playground.steps(fast, "Once", "greedy", length), expected, strict=True):
            assert one.text == other.text and one.probability == pytest.approx(other.probability, abs=1e-4)
    options = {"temperature": 2.0, "top_k": 7, "repetition_penalty": 1.2}
    told = list(playground.steps(fast, "Once", "sampling", 12, seed=2, **options))
    assert told == list(playground.steps(fast, "Once", "sampling", 12, seed=2, **options))
    assert told and all(one.left == 7 and 0 < one.chance <= 1 for one in told)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "magic"}, "no method 'magic'"),
        ({"prompt": "  "}, "prompt is empty"),
        ({"temperature": -1}, "temperature"),
        ({"max_new_tokens": 0}, "max-new-tokens"),
    ],
)
def test_what_cannot_be_told_is_refused_at_once(teller, changes, said):
    with pytest.raises(CourseError, match=said):
        playground.steps(teller, **changes)


def test_the_page_shows_every_token_with_its_probability_and_no_raw_markup(teller):
    told = [
        playground.Step("<red>", 0.5, 1.0, (("<red>", 0.5), ("&", 0.25)), 1),
        playground.Step(" kite\n", 0.04, 1.0, (("\n", 0.3),), 1),
    ]
    page = playground.as_html("Pip & co", told, "a <note>")
    assert "&lt;red&gt;" in page and "<red>" not in page and "Pip &amp; co" in page and "a &lt;note&gt;" in page
    assert re.findall(r">(\d+)</span></span>", page) == ["50", "4"]
    assert playground.as_text("Pip", told) == "Pip | <red>[50] kite[4]"


def test_without_widgets_the_example_is_all_there_is(teller, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *what, **how: shown.append((what, how)))
    real = builtins.__import__

    def no_widgets(name, *rest):
        if name.split(".")[0] == "ipywidgets":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_widgets)
    place = playground.Playground(teller, "Once", 12)
    place._ipython_display_()
    ((bundle,), how) = shown[0]
    assert len(shown) == 1 and how == {"raw": True}
    assert bundle["text/plain"] == repr(place) and bundle["text/html"].startswith("<div")


def test_the_button_tells_the_story(teller):
    box = playground.Playground(teller, "Once", 12, seed=3).widget()
    prompt, rows, button, place = box.children
    button.click()
    expected = list(playground.steps(teller, "Once", "sampling", 12, seed=3))
    assert place.value == playground.as_html("Once", expected, f"{len(expected)} tokens")
    prompt.value = "Once "
    button.click()
    assert prompt.value == "Once" and place.value == playground.as_html("Once", expected, f"{len(expected)} tokens")
    prompt.value = " "
    button.click()
    assert "prompt is empty" in place.value and not button.disabled
    prompt.value = "Once upon a time " * 40
    button.click()
    assert re.search(r"\d+ tokens; note: of the prompt.*tokens the model reads the last \d+", place.value)
    method = rows.children[0]
    method.value = "beam search"
    assert [slider.disabled for slider in rows.children[2:8]] == [True] * 5 + [False]


def test_resting_sliders_ask_for_nothing():
    resting = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
    assert playground.settings(resting) == {
        "temperature": 1.0, "top_k": None, "top_p": None, "min_p": None, "repetition_penalty": None,
    }  # fmt: skip
    assert playground.settings({"top_k": 5, "top_p": 0.9})["top_k"] == 5
