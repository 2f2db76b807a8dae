"""The engine generates what the model generates, says what it cannot do, and is asked for by name."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course import packages
from course.engine import CTranslate2Engine
from helpers.errors import CourseError
from helpers.files import repository_root
from helpers.generation import PROMPT, Storyteller, encode_prompt, generate, generate_batch
from helpers.model import GPT, GPTConfig
from helpers.sampling import reshape

pytest.importorskip("ctranslate2")

VARIANTS = [{}, {"norm": "post", "activation": "relu", "positions": "sinusoidal"}, {"tied_head": False, "bias": False}]


def make(vocab_size=60, context_length=24, **changes):
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size, context_length, n_layer=2, n_head=2, d_model=16, **changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def teller():
    return Storyteller.load(engine="ctranslate2")


def log_probs(engine, ids):
    return torch.from_numpy(np.array(engine.generator.forward_batch([ids], return_log_probs=True)))[0]


def test_greedy_stories_of_the_shipped_storyteller_are_its_own(teller, capsys):
    for prompt in (PROMPT, "Tom had a red kite.", "Pip"):
        told = teller.tell(prompt, greedy=True)  # as long as stories get
        assert told == Storyteller(teller.model, teller.tokenizer).tell(prompt, greedy=True)
    prompts = [encode_prompt(teller.tokenizer, prompt) for prompt in (PROMPT, "Tom had a red kite.", "Pip")]
    options = {"greedy": True, "eos_token_id": teller.tokenizer.eos_token_id}
    together = generate_batch(teller.model, prompts, 100, engine=teller.engine, **options)
    assert together == generate_batch(teller.model, prompts, 100, **options)


def test_the_next_tokens_distribution_is_the_storytellers(teller):
    ids = encode_prompt(teller.tokenizer, "Once upon a time, a little rabbit named Pip lost a red kite.")
    with torch.inference_mode():
        expected = teller.model(torch.tensor([ids]))[0].log_softmax(-1)
    assert torch.allclose(log_probs(teller.engine, ids), expected, atol=1e-4)


@pytest.mark.parametrize("changes", VARIANTS)
def test_every_shape_of_the_model_arrives(changes, capsys):
    model = make(**changes)
    engine = CTranslate2Engine(model)
    ids = [1, 2, 3, 59, 0]
    with torch.inference_mode():
        assert torch.allclose(log_probs(engine, ids), model(torch.tensor([ids]))[0].log_softmax(-1), atol=1e-4)
    several = [[1, 2, 3], [4], [0, 0, 7, 0, 9], list(range(10))]
    ends = ({}, {"repetition_penalty": 1.3}, {"eos_token_id": 0}, {"eos_token_id": 0, "repetition_penalty": 1.3})
    for options, prompts in ((options, prompts) for options in ends for prompts in (several, several[2:])):
        expected = generate_batch(model, prompts, 14, greedy=True, **options)
        assert generate_batch(model, prompts, 14, greedy=True, engine=engine, **options) == expected
        for ids, one in zip(prompts, expected, strict=True):
            assert list(generate(model, ids, 14, greedy=True, engine=engine, **options)) == one
    assert capsys.readouterr().err == ""


def test_past_the_context_the_model_goes_on_and_that_is_said_once(capsys):
    model = make()
    engine = CTranslate2Engine(model)
    for prompt in ([1, 2, 3], list(range(24))):
        for options in ({}, {"repetition_penalty": 3.0}):  # which looks back beyond the context
            expected = list(generate(model, prompt, 60, greedy=True, **options))
            assert list(generate(model, prompt, 60, greedy=True, engine=engine, **options)) == expected
            assert generate_batch(model, [prompt], 60, greedy=True, engine=engine, **options) == [expected]
    prompts = [[1, 2, 3], list(range(24)), [4]]
    assert generate_batch(model, prompts, 40, greedy=True, engine=engine) == generate_batch(
        model, prompts, 40, greedy=True
    )
    said = capsys.readouterr().err
    assert said.count("note:") == 1 and "context of 24 tokens" in said


def test_a_prompt_that_does_not_fit_is_read_as_the_model_reads_it(capsys):
    model = make()
    engine, prompt = CTranslate2Engine(model), [7, 3] * 20
    for options in ({}, {"repetition_penalty": 1.5}):
        expected = list(generate(model, prompt, 9, greedy=True, **options))
        assert list(generate(model, prompt, 9, greedy=True, engine=engine, **options)) == expected
        assert generate_batch(model, [prompt, [1]], 9, greedy=True, engine=engine, **options)[0] == expected
    assert capsys.readouterr().err.count("of the prompt's 40 tokens the model reads the last 24") == 6


def test_min_p_is_left_to_the_model(capsys):
    model = make()
    engine, options = CTranslate2Engine(model), {"min_p": 0.1, "seed": 3}
    for _ in range(2):
        assert list(generate(model, [1], 9, engine=engine, **options)) == list(generate(model, [1], 9, **options))
        together = generate_batch(model, [[1], [2]], 9, **options)
        assert generate_batch(model, [[1], [2]], 9, engine=engine, **options) == together
    said = capsys.readouterr().err
    assert said.count("note:") == 1 and "no min-p" in said


@settings(max_examples=12, deadline=None)
@given(
    temperature=st.floats(0.7, 3),
    top_k=st.none() | st.integers(1, 20),
    top_p=st.none() | st.floats(0.2, 1),
)
def test_samples_follow_the_distribution(temperature, top_k, top_p):
    torch.manual_seed(1)
    model, many = make(vocab_size=12), 6000
    engine, options = CTranslate2Engine(model), {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    new = generate_batch(model, [[1]] * many, 1, seed=5, engine=engine, **options)
    found = torch.bincount(torch.tensor(new)[:, 0], minlength=12) / many
    with torch.inference_mode():
        expected = reshape(model(torch.tensor([[1]]))[0, -1], **options).softmax(-1)
    assert torch.allclose(found, expected, atol=0.03)
    sure = expected > 0.01
    assert (found[sure] > 0).all() and (found[expected == 0] == 0).all()


def test_a_seed_decides(teller):
    def told(seed, **options):
        return teller.tell(PROMPT, 30, seed=seed, **options)

    assert told(1) == told(1) != told(2)
    assert told(None) != told(None)
    assert told(1, stop=["."]) == told(1).partition(".")[0]
    before = torch.random.get_rng_state()
    told(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    batch = [generate_batch(teller.model, [[0]] * 3, 9, seed=2, engine=teller.engine) for _ in range(2)]
    assert batch[0] == batch[1] and len({tuple(one) for one in batch[0]}) > 1
    assert generate_batch(teller.model, [], 9, engine=teller.engine) == []


def test_in_8_bits_it_is_nearly_the_same(teller):
    quantized = Storyteller.load(engine="ctranslate2", int8=True)
    ids = encode_prompt(teller.tokenizer, PROMPT)
    difference = (log_probs(quantized.engine, ids).exp() - log_probs(teller.engine, ids).exp()).abs().max()
    assert 0 < difference < 0.1
    assert quantized.engine.generator.compute_type.startswith("int8")
    assert quantized.tell("Pip", 5, greedy=True).startswith("Pip")


def test_its_folder_goes_with_it():
    engine = CTranslate2Engine(make())
    folder = Path(engine._folder.name)
    assert folder.is_dir()
    del engine
    gc.collect()
    assert not folder.exists()


def test_what_is_missing_is_one_clear_line(monkeypatch):
    with pytest.raises(CourseError, match="no engine 'steam'; there are ctranslate2"):
        Storyteller.load(engine="steam")
    with pytest.raises(CourseError, match=r"not of a Linear"):
        CTranslate2Engine(torch.nn.Linear(2, 2))
    monkeypatch.setitem(sys.modules, "ctranslate2", None)  # as if it were not installed
    with pytest.raises(CourseError, match=r"pip install ctranslate2==\d") as caught:
        Storyteller.load(engine="ctranslate2")
    required = (repository_root() / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert str(caught.value).partition("install ")[2] in required


def test_nobody_installs_it_unasked():
    assert "ctranslate2" not in packages.PACKAGES.values()
