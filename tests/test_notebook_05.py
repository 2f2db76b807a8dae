"""The steps of notebook 05, most of them solutions of its exercises, give what `helpers` and torch compute: same
weights, same outputs, same gradients.

That the class in which they end is `helpers`' own text is tested in `test_taught_code_05_06.py`.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course.site import notebooks
from helpers.model import GPT, CausalSelfAttention, GPTConfig
from tests.taught import taught_code


@pytest.fixture(scope="module")
def taught():
    """The notebook's imports, functions and classes."""
    return taught_code("05_self_attention")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(5)


def config(d_model=24, n_head=3) -> GPTConfig:
    return GPTConfig(vocab_size=11, context_length=16, n_layer=1, n_head=n_head, d_model=d_model)


def test_the_loop_is_a_running_mean(taught):
    x = torch.randn(7, 3)
    expected = x.cumsum(0) / torch.arange(1, 8)[:, None]
    assert torch.allclose(taught["average_of_the_past"](x), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (1, 1, 1, 4), (6, 5)])
def test_masked_attention_is_torchs(taught, shape):
    q, k, v = (torch.randn(shape) for _ in range(3))
    mixed = taught["masked_attention"](q, k, v)
    torch.testing.assert_close(mixed, F.scaled_dot_product_attention(q, k, v, is_causal=True), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n_head", [1, 3])
def test_one_hot_values_give_the_map(taught, n_head):
    layer = taught["CausalSelfAttention"](config(n_head=n_head))
    x = torch.randn(2, 10, 24)
    q, k, _ = layer.heads(x)
    one_hot = torch.eye(10).expand(2, n_head, 10, 10)
    torch.testing.assert_close(layer.weights(x), taught["masked_attention"](q, k, one_hot), atol=1e-6, rtol=1e-5)


def test_the_open_head_is_attention_without_scale_and_mask(taught):
    head, x = taught["SelfAttention"](6, 4), torch.randn(2, 5, 6)
    expected = F.scaled_dot_product_attention(head.query(x), head.key(x), head.value(x), scale=1.0)
    assert torch.allclose(head(x), expected, atol=1e-6)
    assert torch.allclose(head.weights(x).sum(-1), torch.ones(2, 5))


def test_the_causal_head_is_torchs(taught):
    head, x = taught["CausalHead"](6, 4), torch.randn(2, 5, 6)
    expected = F.scaled_dot_product_attention(head.query(x), head.key(x), head.value(x), is_causal=True)
    assert torch.allclose(head(x), expected, atol=1e-6)


@pytest.mark.parametrize("n_head", [1, 3, 8])
def test_many_heads_are_the_helpers_with_their_gradients(taught, n_head):
    ours, theirs = taught["CausalSelfAttention"](config(n_head=n_head)), CausalSelfAttention(config(n_head=n_head))
    theirs.load_state_dict(ours.state_dict())  # the same names
    x, weight = torch.randn(2, 10, 24), torch.randn(2, 10, 24)
    results = []
    for layer in (ours, theirs):
        given = x.clone().requires_grad_()
        out = layer(given)
        (out * weight).sum().backward()
        results.append([out, given.grad, *(p.grad for p in layer.parameters())])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_split_and_merged_is_as_it_was(taught):
    x = torch.randn(2, 10, 24)
    split = taught["split_heads"](x, 3)
    assert split.shape == (2, 3, 10, 8)
    assert torch.equal(split, torch.stack(x.chunk(3, dim=-1), dim=1)) and torch.equal(taught["merge_heads"](split), x)


def test_the_loop_over_heads_is_the_same_with_gradients(taught):
    loop, all_heads = taught["HeadsInALoop"](12, 4), taught["CausalSelfAttention"](config(12, 4))
    with torch.no_grad():
        parts = [getattr(head, part).weight for part in ("query", "key", "value") for head in loop.heads]
        all_heads.qkv.weight.copy_(torch.cat(parts))
        all_heads.proj.weight.copy_(loop.proj.weight)
        all_heads.qkv.bias.zero_(), all_heads.proj.bias.zero_()
    x, weight = torch.randn(2, 6, 12), torch.randn(2, 6, 12)
    for layer in (loop, all_heads):
        (layer(x) * weight).sum().backward()
    assert torch.allclose(loop(x), all_heads(x), atol=1e-6)
    parts = [getattr(head, part).weight.grad for part in ("query", "key", "value") for head in loop.heads]
    assert torch.allclose(torch.cat(parts), all_heads.qkv.weight.grad, atol=1e-5)
    assert torch.allclose(loop.proj.weight.grad, all_heads.proj.weight.grad, atol=1e-5)


def test_the_leak_test_finds_leaks_and_only_those(taught):
    x = torch.randn(6, 8)
    open_head, closed = taught["SelfAttention"](8, 8), taught["CausalHead"](8, 8)
    assert taught["influence"](closed, x).equal(torch.ones(6, 6, dtype=torch.bool).tril())
    taught["assert_causal"](closed, x)
    with pytest.raises(AssertionError, match="comes later"):
        taught["assert_causal"](open_head, x)
    with pytest.raises(AssertionError, match="output 2 depends on input 3"):
        taught["assert_causal"](lambda x: x + 0.1 * torch.eye(6)[2][None, :, None] * x[:, 3:4], x)


def test_slopes_are_those_of_softmax(taught):
    scores = torch.randn(1, 6)
    slopes = torch.autograd.functional.jacobian(lambda s: s.softmax(-1), scores[0])
    largest, gradient = taught["softmax_facts"](scores)
    assert largest == pytest.approx(scores.softmax(-1).max().item())
    assert gradient == pytest.approx(slopes.abs().mean().item(), rel=1e-4)


def test_hooks_see_the_maps_that_the_model_uses(taught):
    model = GPT(GPTConfig(vocab_size=11, context_length=16, n_layer=2, n_head=2, d_model=8)).eval()
    seen = taught["maps_of"](model, [1, 2, 3, 4])
    assert seen.shape == (2, 2, 4, 4)
    x = model.embed(torch.tensor([[1, 2, 3, 4]]))
    for block, maps in zip(model.blocks, seen, strict=True):
        q, k, _ = block.attn.heads(block.ln_1(x))
        assert torch.allclose(maps, taught["masked_attention"](q, k, torch.eye(4).expand(1, 2, 4, 4))[0], atol=1e-6)
        x = block(x)
    assert not any(block.attn._forward_hooks for block in model.blocks)  # they were taken off again


def test_one_head_starts_ignorant_is_causal_and_can_be_evaluated(taught):
    model = taught["OneHead"](config(n_head=1))
    ids = torch.randint(11, (2, 9))
    logits = model(ids)
    loss = F.cross_entropy(logits.flatten(0, 1), torch.randint(11, (18,)))
    assert abs(loss.item() - math.log(11)) < 0.5
    other = ids.clone()
    other[:, 5:] = (other[:, 5:] + 1) % 11
    assert torch.allclose(model(other)[:, :5], logits[:, :5], atol=1e-6)
    assert torch.allclose(model.hidden(ids) @ model.head.weight.T, logits, atol=1e-5)
    assert isinstance(model.head, nn.Linear)


def test_the_maps_drawn_of_the_trained_head_are_those_it_uses(taught):
    model = taught["OneHead"](config(n_head=1))
    ids = [1, 5, 2, 7]
    x = model.wte(torch.tensor([ids])) + model.wpe.weight[:4]
    _, _, v = model.attn.heads(x)
    found = taught["map_of"](model, ids) @ v[0, 0]
    assert torch.allclose(model.attn.proj(found), model.attn(x)[0], atol=1e-6)


def test_the_stored_score_lies_between_the_trigram_and_the_floor():
    book = notebooks.read(notebooks.folder() / "05_self_attention.ipynb")
    cell = next(cell for cell in book.cells if cell.source.strip() == "scoreboard.show()")
    board = cell.outputs[0].data["text/plain"].split("\n")
    names = [line.split("  ")[0].removesuffix(" (shipped)") for line in board[1:]]
    floor = next(i for i, name in enumerate(names) if name.startswith("the floor"))
    assert names.index("trigram") < names.index("one head of attention") < floor
