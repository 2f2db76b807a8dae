"""Lighter weights are what they say: rounded as by hand, close to the model, told and scored like any other."""

import pytest
import torch

from course.lighter import Int8Linear, lighter, quantize_rows
from helpers.checkpoint import load_model
from helpers.errors import CourseError
from helpers.evaluation import evaluate
from helpers.generation import SHIPPED, generate_batch, last_logits
from helpers.kv_cache import KVCache
from helpers.model import GPT, GPTConfig


def make(**changes):
    torch.manual_seed(0)
    model = GPT(GPTConfig(50, 20, n_layer=2, n_head=2, d_model=16, **changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def test_int8_is_a_scale_for_each_row_and_whole_numbers():
    weight = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    scale = weight.abs().amax(1, keepdim=True) / 127
    by_hand = torch.where(scale > 0, (weight / scale.clamp(min=1e-12)).round().clamp(-127, 127) * scale, 0.0)
    assert torch.allclose(quantize_rows(weight).dequantize(), by_hand, atol=1e-6)
    linear = torch.nn.Linear(8, 6)
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact, rounded = linear(x), Int8Linear(linear.weight, linear.bias)(x)
    assert rounded.shape == exact.shape and 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"norm": "post", "activation": "relu", "bias": False, "tied_head": False}])
@pytest.mark.parametrize("kind", ["bfloat16", "int8"])
def test_the_cache_tells_what_the_lighter_model_says(kind, changes):
    model = make(**changes)
    before = model.head_weight.clone()
    small = lighter(model, kind)
    assert torch.equal(model.head_weight, before)  # a copy
    cache = KVCache(small)
    logits = cache.start([[1, 2, 3], [4]])
    for token in range(18):  # longer than it takes to turn weights, for the row that is left
        logits = cache.append([token] * len(cache.rows))
        if token == 1:
            cache.keep([0])
    plain = last_logits(small, cache.rows[0]).float()
    spread = plain.std()
    assert (logits[0].float() - plain).abs().max() < 0.15 * spread
    assert (plain - last_logits(model, cache.rows[0])).abs().max() < 0.5 * spread


def test_lighter_storytellers_tell_stories_and_lose_little():
    model, tokenizer = load_model(SHIPPED)
    texts = ["Once upon a time, there was a little rabbit named Pip. Pip had a red kite."] * 2
    loss = evaluate(model, tokenizer, texts).bits_per_byte
    for kind in ("bfloat16", "int8"):
        small = lighter(model, kind)
        assert evaluate(small, tokenizer, texts).bits_per_byte == pytest.approx(loss, rel=0.05)
        assert [len(row) for row in generate_batch(small, [[0, 5], [7]], 10, seed=0)] == [10, 10]


def test_bad_requests_say_so():
    with pytest.raises(CourseError, match="not 'int4'"):
        lighter(make(), "int4")
    with pytest.raises(CourseError, match="from a float32 model"):
        lighter(make().to(torch.bfloat16), "int8")
