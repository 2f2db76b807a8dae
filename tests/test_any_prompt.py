"""Any prompt gives a story or one clear error, and no choice of filters leaves nothing to choose."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers import sampling
from helpers.errors import CourseError
from helpers.generation import Storyteller, generate, generate_batch
from helpers.model import GPT, GPTConfig
from helpers.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def teller():
    tokenizer = train_tokenizer(["Once upon a time, a little rabbit named Pip lost a red kite."], 270)
    torch.manual_seed(0)
    model = GPT(GPTConfig(tokenizer.vocab_size, context_length=60, n_layer=1, n_head=1, d_model=8)).eval()
    return Storyteller(model, tokenizer)


def story_or_error(teller, prompt, **options):
    try:
        story = teller.tell(prompt, 3, seed=0, **options)
    except CourseError as error:
        assert str(error) and "\n" not in str(error)
        return None
    assert story.startswith(prompt.rstrip(" \t"))
    return story


ANYTHING = st.text(st.characters(codec=None), max_size=40)  # all of Unicode, halves of characters too


@settings(max_examples=150, deadline=None)
@given(ANYTHING)
@example("")
@example(" \n\t\u2003")
@example("\ud800 Pip")
@example("<|endoftext|>")
@example("\x00\x1b[A🐇👨‍👩‍👧\u202e\ufeff")
def test_any_text_is_a_beginning_or_is_refused(teller, prompt):
    told = story_or_error(teller, prompt)
    surrogate = any("\ud800" <= letter <= "\udfff" for letter in prompt)
    if surrogate or not prompt.strip():
        assert told is None
    elif len(prompt.encode()) <= 50:  # a byte is a token at most
        assert told is not None


@pytest.mark.parametrize("unit", ["a", "Once upon a time ", "🐇", "\n", "é "])
def test_of_a_hundred_thousand_characters_the_last_are_read_and_that_is_said(teller, unit, capsys):
    prompt = (unit * 10**5)[: 10**5]
    if not prompt.strip():
        with pytest.raises(CourseError, match="empty"):
            teller.tell(prompt)
        return
    assert story_or_error(teller, prompt)
    assert "tokens the model reads the last 60" in capsys.readouterr().err


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-2, 272) | st.sampled_from([2**31, 2**63, -(2**63) - 1, 2**70]), max_size=64))
@example([0])
@example([269] * 60)
@example([270])
@example([0] * 61)
def test_any_ids_are_continued_or_refused(teller, ids):
    fine = ids and all(0 <= token < 270 for token in ids)
    try:
        new = list(generate(teller.model, ids, 2, seed=1))
    except CourseError:
        assert not fine
    else:
        assert fine and len(new) == 2 and all(0 <= token < 270 for token in new)
        assert new == list(generate(teller.model, ids[-60:], 2, seed=1))


FILTERS = dict(
    temperature=st.floats(sampling.GREEDY_BELOW, 1e30),
    top_k=st.none() | st.integers(1, 10**6),
    top_p=st.none() | st.floats(1e-300, 1),
    min_p=st.none() | st.floats(0, 1),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=20),
    st.fixed_dictionaries(FILTERS),
    st.floats(0, 1, exclude_max=True),
)
def test_filters_always_leave_a_token_and_always_the_best(logits, options, uniform):
    row = torch.tensor([logits])
    tempered = sampling.apply_temperature(row, options["temperature"])
    probability = sampling.reshape(row, **options).softmax(-1)
    assert probability.sum() == pytest.approx(1, abs=1e-4)
    assert tempered[probability > 0].max() == tempered.max()  # of several that are best, one may fall out
    chosen = int(sampling.sample(row, torch.tensor([uniform], dtype=torch.float64), **options))
    assert probability[0, chosen] > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**63 - 2), st.floats(0, 1e-9))
def test_without_temperature_sampling_is_greedy_and_top_p_one_is_plain(teller, seed, temperature):
    greedy = list(generate(teller.model, [1, 2], 8, greedy=True))
    assert list(generate(teller.model, [1, 2], 8, temperature=temperature, seed=seed)) == greedy
    plain = list(generate(teller.model, [1, 2], 8, seed=seed))
    assert list(generate(teller.model, [1, 2], 8, top_p=1.0, seed=seed)) == plain
    assert list(generate(teller.model, [1, 2], 8, top_k=270, min_p=0.0, seed=seed)) == plain


@pytest.mark.parametrize("seed", [2**63, 2**200, -(2**63) - 1])
def test_a_seed_that_no_generator_takes_is_refused_at_once(teller, seed):
    with pytest.raises(CourseError, match="63 bits"):
        generate(teller.model, [1], seed=seed)


def test_no_prompts_no_stories(teller):
    assert generate_batch(teller.model, []) == []


def test_a_diverged_model_says_so(teller):
    torch.manual_seed(0)
    model = GPT(GPTConfig(20, context_length=8, n_layer=1, n_head=1, d_model=8)).eval()
    with torch.no_grad():
        model.wte.weight.fill_(float("nan"))
    with pytest.raises(CourseError, match="not numbers"):
        list(generate(model, [1], 3, seed=0))
