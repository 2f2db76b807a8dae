"""Linear layers by oneDNN give what torch's own give, and where oneDNN is not to be had torch's own are used."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import products
from helpers.model import GPT, GPTConfig

needs_onednn = pytest.mark.skipif(not products.onednn_multiplies(), reason="this torch does not multiply by oneDNN")


@pytest.fixture(params=[True, False], ids=["oneDNN", "MKL"])
def either_way(request, monkeypatch):
    """Each library in turn, whatever the processor."""
    if request.param and not products.onednn_multiplies():
        pytest.skip("this torch does not multiply by oneDNN")
    monkeypatch.setattr(products, "onednn_is_faster", lambda: request.param)
    return request.param


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=0, max_size=2), st.integers(1, 70), st.integers(1, 70), st.booleans())
@needs_onednn
def test_values_and_gradients_are_those_of_torch(leading, inputs, outputs, with_bias):
    generator = torch.Generator().manual_seed(inputs + 71 * outputs)
    shapes = [(*leading, 3, inputs), (outputs, inputs), (outputs,)]
    x, weight, bias = (torch.randn(shape, generator=generator).requires_grad_() for shape in shapes)
    given_ = [x, weight, bias] if with_bias else [x, weight]
    arriving = torch.randn(*leading, 3, outputs, generator=generator)
    ours, theirs = products._Linear.apply(x, weight, bias if with_bias else None), F.linear(*given_)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    for mine, other in zip(
        torch.autograd.grad(ours, given_, arriving), torch.autograd.grad(theirs, given_, arriving), strict=True
    ):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_products_are_exact_in_whole_numbers_also_with_transposed_weights(either_way):
    x = torch.arange(24.0).view(2, 3, 4)
    weight, bias = torch.arange(-10.0, 10.0).view(5, 4), torch.arange(5.0)
    by_hand = torch.empty(2, 3, 5)
    for b, t, out in itertools.product(range(2), range(3), range(5)):
        by_hand[b, t, out] = sum(x[b, t, i].item() * weight[out, i].item() for i in range(4)) + bias[out].item()
    assert torch.equal(products.multiply(x, weight, bias), by_hand)
    assert torch.equal(products.multiply(x, weight.t().contiguous().t(), bias), by_hand)
    assert torch.equal(products.linear(x, weight, bias), by_hand)


def test_what_needs_no_gradient_gets_none(either_way):
    layer = products.Linear(6, 4)
    layer.weight.requires_grad_(False)
    x = torch.randn(2, 3, 6)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert torch.equal(layer.bias.grad, torch.full((4,), 6.0))


def test_a_linear_layer_is_torchs_in_all_else(either_way):
    torch.manual_seed(0)
    ours = products.Linear(6, 4)
    theirs = torch.nn.Linear(6, 4)
    theirs.load_state_dict(ours.state_dict())
    assert isinstance(ours, torch.nn.Linear)
    x = torch.randn(3, 6)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.double()(x.double()), theirs.double()(x.double()))
    with torch.autocast("cpu", torch.bfloat16):
        assert ours.float()(x).dtype == torch.bfloat16


def test_a_model_learns_the_same_by_either(monkeypatch):
    """The loss and every gradient of a model, heads, feed-forward network and output layer included."""
    config = GPTConfig(vocab_size=96, context_length=20, n_layer=2, n_head=2, d_model=16)
    ids = torch.randint(0, 96, (3, 20), generator=torch.Generator().manual_seed(1))
    found = []
    for way in (False, products.onednn_multiplies()):
        monkeypatch.setattr(products, "onednn_is_faster", lambda way=way: way)
        torch.manual_seed(0)
        model = GPT(config).train()
        loss = model.loss(ids, ids.roll(-1, 1))
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_the_choice_depends_on_the_processor_alone(monkeypatch):
    monkeypatch.setattr(products, "onednn_multiplies", lambda: True)
    for capability, maker, expected in (
        ("AVX512", "AuthenticAMD", True),
        ("AVX512", "GenuineIntel", False),
        ("AVX512", "Intel64 Family 6 Model 85, GenuineIntel", False),
        ("AVX2", "AuthenticAMD", False),
        ("DEFAULT", "", False),
    ):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        monkeypatch.setattr(products, "processor_name", lambda maker=maker: maker)
        products.onednn_is_faster.cache_clear()
        assert products.onednn_is_faster() is expected, (capability, maker)
    products.onednn_is_faster.cache_clear()


def test_asking_for_onednn_draws_no_random_numbers_and_survives_another_torch(monkeypatch):
    products.onednn_multiplies.cache_clear()
    before = torch.random.get_rng_state()
    products.onednn_multiplies()
    assert torch.equal(before, torch.random.get_rng_state())

    def changed(*arguments):
        raise RuntimeError("expected at most 5 arguments")

    products.onednn_multiplies.cache_clear()
    monkeypatch.setattr(products, "onednn_linear", changed)
    assert products.onednn_multiplies() is False
    products.onednn_multiplies.cache_clear()
