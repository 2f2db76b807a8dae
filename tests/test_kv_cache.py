"""Kept keys and values change nothing: cached, batched, past the window, and beside transformers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course.export import to_transformers
from helpers import generation, sampling
from helpers.errors import CourseError
from helpers.kv_cache import KVCache, WithoutCache, visible
from helpers.model import GPT, GPTConfig
from helpers.sampling import beam_search

VARIANTS = [{}, {"norm": "post", "activation": "relu", "positions": "sinusoidal"}, {"tied_head": False, "bias": False}]


def make(context_length=12, **changes):
    torch.manual_seed(0)
    model = GPT(GPTConfig(60, context_length, n_layer=2, n_head=2, d_model=16, **changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


class Others(torch.nn.Module):
    """A model with the same outputs and other insides: the cache knows nothing of its blocks."""

    def __init__(self, gpt):
        super().__init__()
        self.config, self.inner, self.weight = gpt.config, [gpt], gpt.head.weight

    def forward(self, ids):
        return self.inner[0](ids)


@pytest.mark.parametrize("changes", VARIANTS)
def test_rows_of_unequal_length_read_as_if_alone_also_past_the_window(changes):
    model = make(**changes)
    rows = [[1, 2, 3], [4], list(range(10)), list(range(20, 32))]
    cache = KVCache(model)
    logits = cache.start(rows)
    for token in range(30):
        for row, got in zip(cache.sequences, logits, strict=True):
            assert torch.allclose(got, generation.last_logits(model, row), atol=1e-4)
        logits = cache.append([(token * 7 + 13 * number) % 60 for number in range(4)])
    cache.reorder([2, 0, 2])
    for row, got in zip(cache.sequences, cache.append([5, 6, 7]), strict=True):
        assert torch.allclose(got, generation.last_logits(model, row), atol=1e-4)


@pytest.mark.parametrize("changes", VARIANTS)
def test_sequences_leave_and_are_doubled(changes):
    model = make(40, **changes)
    cache = KVCache(model)
    cache.start([[1, 2, 3], [4], [5, 6]])
    for kept in ([1], [0], [0, 0, 0, 0], [3], [0]):
        cache.reorder(kept)
        for token in (7, 8):
            for ids, got in zip(cache.sequences, cache.append([token] * len(kept)), strict=True):
                assert torch.allclose(got, generation.last_logits(model, ids), atol=1e-4)


def test_which_slots_a_query_sees_by_hand():
    seen = visible(torch.tensor([0, 2]), past=2, new=2)[:, 0].int().tolist()
    assert seen == [[[1, 1, 1, 0], [1, 1, 1, 1]], [[0, 0, 1, 0], [0, 0, 1, 1]]]
    assert visible(torch.tensor([0, 1]), past=0, new=2)[1, 0].tolist() == [[True, False], [False, True]]


def test_a_sequence_without_tokens_is_refused():
    for cache in (KVCache(make()), WithoutCache(make())):
        for nothing in ([], [[1], []]):
            with pytest.raises(CourseError, match="nothing to read"):
                cache.start(nothing)


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_story_does_not_depend_on_the_cache_or_the_batch(changes):
    model = make(**changes)
    prompts = [[1, 2, 3], [4], list(range(10))]
    for options in ({"greedy": True}, {"temperature": 1.5, "top_k": 20}, {"min_p": 0.05, "repetition_penalty": 1.3}):
        together = generation.generate_batch(model, prompts, 30, seed=3, eos_token_id=7, **options)
        for number, prompt in enumerate(prompts):
            options["seed"] = 3 + number
            alone = list(generation.generate(model, prompt, 30, eos_token_id=7, **options))
            uncached = list(generation.generate(Others(model), prompt, 30, eos_token_id=7, **options))
            assert together[number] == alone == uncached
            del options["seed"]


def theirs(model, prompt, **options):
    twin = to_transformers(model)
    twin.generation_config.eos_token_id = options.pop("eos_token_id", None)
    twin.generation_config.pad_token_id = 0
    ids = torch.tensor([prompt])
    return twin.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, len(prompt) :].tolist()


@pytest.mark.parametrize("penalty", [None, 1.4])
def test_greedy_is_transformers_greedy(penalty):
    model = make(40)
    more = {} if penalty is None else {"repetition_penalty": penalty}
    expected = theirs(model, [1, 2, 3], max_new_tokens=30, do_sample=False, **more)
    assert list(generation.generate(model, [1, 2, 3], 30, greedy=True, **more)) == expected


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("beams", [1, 2, 5])
def test_beam_search_is_transformers_beam_search(beams, length_penalty):
    model = make(40)
    for end in (None, 3, 11, 27, 42):
        expected = theirs(
            model, [1, 2, 3], max_new_tokens=15, do_sample=False, num_beams=beams, length_penalty=length_penalty,
            eos_token_id=end,
        )  # fmt: skip
        if end in expected:
            expected = expected[: expected.index(end)]
        if beams > 1:  # transformers calls one beam greedy
            ours, _ = beam_search(model, [1, 2, 3], 15, beams=beams, length_penalty=length_penalty, eos_token_id=end)
            assert ours == expected


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), p=st.floats(0, 1), penalty=st.floats(0.5, 3), k=st.integers(1, 60))
def test_the_newer_filters_are_those_of_transformers(seed, p, penalty, k):
    from transformers import MinPLogitsWarper, RepetitionPenaltyLogitsProcessor

    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 50, generator=generator) * 2
    ids = torch.randint(0, 50, (3, 9), generator=generator)
    assert torch.allclose(MinPLogitsWarper(p)(None, logits), sampling.keep_min_p(logits, p))
    expected = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits)
    assert torch.allclose(expected, sampling.penalize_repetition(logits, ids, penalty))
    left = sampling.keep_min_p(sampling.keep_top_p(sampling.keep_top_k(logits, k), max(p, 1e-6)), p)
    assert left.isfinite().any(-1).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), temperature=st.sampled_from([1e-3, 1e-5]))
def test_a_temperature_near_zero_is_greedy_and_top_p_one_changes_nothing(seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 50, generator=generator)
    uniform = torch.rand(4, generator=generator, dtype=torch.float64)
    two = logits.topk(2).values
    if (two[:, 0] - two[:, 1]).min() > 0.05:
        assert torch.equal(sampling.sample(logits, uniform, temperature=temperature), logits.argmax(-1))
    assert torch.equal(sampling.sample(logits, uniform, top_p=1.0), sampling.sample(logits, uniform))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab. ", max_size=4)), st.lists(st.text("ab. ", min_size=1, max_size=4), max_size=3))
def test_a_stop_string_ends_the_text_wherever_the_pieces_break(pieces, stop):
    whole = "".join(pieces)
    told = "".join(generation.until(pieces, stop))
    assert whole.startswith(told) and not any(each in told for each in stop)
    assert (told == whole) == (not any(each in whole for each in stop))


def test_a_learners_own_model_tells_what_ours_tells_also_past_the_window():
    model = make()
    prompts = [[1, 2, 3], [4]]
    for options in ({"greedy": True}, {"seed": 5}):
        ours = generation.generate_batch(model, prompts, 25, **options)
        assert generation.generate_batch(Others(model), prompts, 25, **options) == ours
        assert all(len(row) == 25 for row in ours)
