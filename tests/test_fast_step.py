"""The fast way to one more token is the plain forward, whatever the model's shape and the rows' lengths."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import fast_step
from helpers.checkpoint import load_model
from helpers.generation import SHIPPED, generate, generate_batch, last_logits
from helpers.kv_cache import KVCache
from helpers.model import GPT, GPTConfig
from helpers.sampling import draw

SHAPES = [
    {},
    {"norm": "post", "activation": "relu", "positions": "sinusoidal"},
    {"tied_head": False, "bias": False},
    {"d_ff": 10, "n_layer": 1},
]


def make(**changes):
    torch.manual_seed(0)
    config = dict(vocab_size=50, context_length=40, n_layer=3, n_head=4, d_model=16)
    model = GPT(GPTConfig(**config | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("changes", SHAPES)
@pytest.mark.parametrize("rows", [[[1, 2]], [[1], [2], [3]], [[1, 2, 3], [4], [5, 6]]])
@pytest.mark.parametrize("wide", [False, True])
@torch.no_grad()
def test_a_step_is_the_plain_forward(changes, rows, wide, monkeypatch):
    monkeypatch.setattr("helpers.kv_cache.ROOM", 3)  # the memory grows on the way
    monkeypatch.setattr(fast_step, "WIDE", 1 if wide else 10**9)
    model = make(**changes)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    cache = KVCache(model)
    cache.start(rows)
    for number in range(35):  # longer than it takes to turn the weights, and than the context
        tokens = [(number * 7 + 11 * row) % 50 for row in range(len(rows))]
        logits = cache.append(tokens)
        for row, got in zip(cache.rows, logits, strict=True):
            plain = model(torch.tensor([row[-40:]]))[0, -1]
            assert torch.allclose(got, plain, atol=1e-5, rtol=1e-5)
    for name, parameter in model.named_parameters():
        assert torch.equal(before[name], parameter)  # what is changed in place is never the model's own


@torch.no_grad()
def test_the_storyteller_tells_the_same_with_and_without_it_past_the_window():
    model, tokenizer = load_model(SHIPPED)
    rows = [[tokenizer.end_id, *tokenizer.encode(text)] for text in ("Once upon a time", "The", "A big red kite")]
    slow = lambda ids: last_logits(model, ids)  # noqa: E731
    assert list(generate(model, rows[0], 300, greedy=True)) == list(
        generate(model, rows[0], 300, greedy=True, next_logits=slow)
    )
    cache = KVCache(model)
    logits = cache.start(rows)
    for _ in range(120):
        logits = cache.append(logits.argmax(-1).tolist())
    for row, got in zip(cache.rows, logits, strict=True):
        assert (got - last_logits(model, row)).abs().max() < 1e-4  # logits here reach 30
        assert int(got.argmax()) == int(last_logits(model, row).argmax())


@torch.no_grad()
def test_turned_weights_are_copies_and_only_of_what_fits(monkeypatch):
    model = make()
    weights = fast_step.Weights(model)
    assert weights.head.matrix.data_ptr() == model.head_weight.data_ptr()  # nothing is copied at first
    weights.turn()
    assert weights.head.matrix.is_contiguous() and torch.equal(weights.head.matrix, model.head_weight.t())
    assert weights.layers[0].qkv.matrix.is_contiguous()
    monkeypatch.setattr(fast_step, "TURN_AT_MOST", 10)
    weights = fast_step.Weights(model)
    weights.turn()
    assert weights.head.matrix.data_ptr() == model.head_weight.data_ptr()


@torch.no_grad()
def test_wide_models_are_multiplied_by_onednn_where_it_is_and_by_torch_where_it_is_not(monkeypatch):
    monkeypatch.setattr(fast_step, "WIDE", 16)
    model = make()
    kinds = {fast_step.Streamed} if fast_step.onednn_multiplies() else {fast_step.Product}
    assert {type(each) for each in fast_step.Weights(model).layers[0] if isinstance(each, tuple)} == kinds
    if torch.backends.mkldnn.is_available() and torch.__version__.startswith("2.13."):
        assert kinds == {fast_step.Streamed}  # with the course's own torch it must not silently be the slow way
    monkeypatch.setattr(fast_step, "onednn_multiplies", lambda: False)
    assert type(fast_step.Weights(model).layers[0].qkv) is fast_step.Product
    assert type(fast_step.Weights(model.double()).layers[0].qkv) is fast_step.Product


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30).filter(lambda ps: sum(ps) > 0),
    st.floats(0, 1, exclude_max=True),
)
def test_a_draw_is_the_inverse_of_the_distribution(probability, uniform):
    p = torch.tensor([probability])
    chosen = int(draw(p, torch.tensor([uniform], dtype=torch.float64)))
    assert p[0, chosen] > 0
    exact = p.double()[0].cumsum(0)
    target = uniform * exact[-1]
    slack = 1e-5 * exact[-1]
    assert exact[chosen] > target - slack and (chosen == 0 or exact[chosen - 1] <= target + slack)


def test_rows_that_end_early_leave_the_others_as_they_were():
    model = make()
    prompts = [[1, 2, 3], [4], [5, 6]]
    for end in range(0, 50, 7):
        options = dict(temperature=1.3, repetition_penalty=1.2, end_id=end)
        together = generate_batch(model, prompts, 35, seed=8, **options)
        for number, prompt in enumerate(prompts):
            assert together[number] == list(generate(model, prompt, 35, seed=8 + number, **options))
