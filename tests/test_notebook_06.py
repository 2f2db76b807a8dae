"""What notebook 06 builds is what torch computes; its counts of parameters and FLOPs are right.

That its classes are those of `helpers.model` is tested in `test_taught_code_05_06.py`, statement by statement; here a
model of the one is loaded into the other.
"""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course.site import notebooks
from helpers import model
from helpers.model import GPTConfig
from tests.taught import taught_code

BOOK = notebooks.folder() / "06_gpt2_decoder.ipynb"
V = 61
SMALL = GPTConfig(vocab_size=V, context_length=24, n_layer=3, n_head=4, d_model=32)


@pytest.fixture(scope="module")
def taught():
    """The notebook's imports, functions and classes, as they stand in its cells."""
    return taught_code("06_gpt2_decoder", V=V, thin=SMALL, total=0)


def shake(module: nn.Module) -> None:
    """At weight 1 and bias 0 of a LayerNorm some mistakes cannot be seen."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def assert_the_same(ours: nn.Module, theirs: nn.Module, x: torch.Tensor) -> None:
    """Same names and shapes; same values; same gradients with respect to the input and to every parameter."""
    shake(ours)
    theirs.load_state_dict(ours.state_dict())
    results = []
    for module in (ours, theirs):
        start = x.clone().requires_grad_()
        y = module(start)
        parameters = dict(module.named_parameters())
        wanted = [start, *(parameters[name] for name in sorted(parameters))]
        results.append([y, *torch.autograd.grad((y * torch.arange(y.numel()).view_as(y).cos()).sum(), wanted)])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-3)


def some_vectors() -> torch.Tensor:
    return torch.randn(2, 9, SMALL.d_model, generator=torch.Generator().manual_seed(0)) * 3 + 1


def some_ids(batch=3, time=17) -> torch.Tensor:
    return torch.randint(0, V, (batch, time), generator=torch.Generator().manual_seed(1))


def test_layer_norm_is_torchs(taught):
    assert_the_same(taught["LayerNorm"](32), nn.LayerNorm(32), some_vectors())


def test_gelu_is_torchs(taught):
    x = torch.linspace(-8, 8, 201).requires_grad_()
    results = []
    for function in (taught["gelu"], taught["ByHand"](), lambda x: F.gelu(x, approximate="tanh")):
        y = function(x)
        results.append((y, *torch.autograd.grad(y.sum(), x)))
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(taught["gelu_exact"](x), F.gelu(x), atol=1e-6, rtol=1e-5)


OPTIONS = [
    {},
    {"norm": "post"},
    {"norm": "post", "activation": "relu", "positions": "sinusoidal"},
    {"bias": False, "tied_head": False, "first_positions": "sinusoidal", "embedding_std": 0.1},
]
each_option = pytest.mark.parametrize("changes", OPTIONS, ids=str)


@each_option
def test_mlp_and_block_are_the_helpers(taught, changes):
    config = replace(SMALL, **changes)
    assert_the_same(taught["MLP"](config), model.MLP(config), some_vectors())
    assert_the_same(taught["Block"](config), model.Block(config), some_vectors())


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_block_is_torchs_layer(taught, norm):
    """With `norm="post", activation="relu"` it is torch's own default, the Transformer of 2017."""
    config = replace(SMALL, norm=norm, activation="relu")
    ours, theirs = taught["Block"](config), taught["TorchBlock"](config, norm_first=norm == "pre")
    names = {"ln_1": "norm1", "ln_2": "norm2", "mlp.fc": "linear1", "mlp.proj": "linear2"}
    names |= {"attn.qkv.": "self_attn.in_proj_", "attn.proj": "self_attn.out_proj"}
    assert taught["same"](ours, theirs, some_vectors(), names)
    other = taught["TorchBlock"](config, norm_first=norm == "post")
    assert not taught["same"](ours, other, some_vectors(), names)


@each_option
def test_the_model_is_the_helpers(taught, changes):
    config = replace(SMALL, **changes)
    ours, theirs = taught["GPT"](config), model.GPT(config)
    shake(ours)
    theirs.load_state_dict(ours.state_dict())
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    ids, targets = some_ids(), some_ids().flip(0)
    (logits, loss), (their_logits, their_loss) = (one(ids, targets) for one in (ours, theirs))
    assert torch.equal(logits, their_logits) and torch.equal(loss, their_loss)
    assert torch.equal(ours(ids), logits) and torch.equal(ours.loss(ids, targets), loss)
    assert ours.parameter_count() == theirs.parameter_count()
    loss.backward()
    their_loss.backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine.grad, other.grad)


@each_option
def test_it_starts_with_the_same_values_as_the_helpers(taught, changes):
    models = []
    for kind in (taught["GPT"], model.GPT):
        torch.manual_seed(7)
        models.append(kind(replace(SMALL, **changes)))
    for (name, mine), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        assert torch.equal(mine, other), name
    assert models[0].blocks[0].mlp.fc.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_with_a_cache_the_taught_model_says_the_same(taught):
    from helpers.kv_cache import KVCache

    network = taught["GPT"](SMALL).eval()
    ids = some_ids(2, 9)
    cache = KVCache(network)
    got = [cache.start(ids[:, :4].tolist())] + [cache.append(ids[:, t].tolist()) for t in range(4, 9)]
    torch.testing.assert_close(torch.stack(got, dim=1), network(ids)[:, 3:].detach(), atol=1e-5, rtol=1e-4)


def test_the_judge_of_the_notebook_can_say_no(taught):
    """`same` compares values and gradients; each of these differs in one of them."""
    x, same = some_vectors(), taught["same"]

    class ValuesOnly(nn.LayerNorm):
        def forward(self, x):
            y = super().forward(x)
            return y.detach() + 0 * y

    assert same(taught["LayerNorm"](32), nn.LayerNorm(32), x)
    assert not same(taught["LayerNorm"](32), nn.LayerNorm(32, eps=0.5), x)
    assert not same(taught["LayerNorm"](32), ValuesOnly(32), x)
    assert not same(taught["Block"](replace(SMALL, norm="post")), taught["Block"](SMALL), x)


def test_a_leak_would_be_seen(taught):
    closed, open_ = model.GPT(SMALL), model.GPT(SMALL)
    future = torch.ones(9, 9).triu(1).bool()
    ids = some_ids(1, 9)
    assert not taught["influence"](closed, ids)[future].any()

    class Leaks(nn.Module):
        def forward(self, x, cache=None):
            return x + x.mean(dim=1, keepdim=True)

    open_.blocks.append(Leaks())
    assert taught["influence"](open_, ids)[future].all()


@pytest.mark.parametrize("size", ["small", "medium", "large", "xl"])
def test_every_parameter_is_counted(taught, size):
    config = GPTConfig.gpt2(size)
    with torch.device("meta"):
        reference = model.GPT(config)
    formula = taught["count_parameters"](config.vocab_size, config.context_length, config.n_layer, config.d_model)
    assert formula == sum(taught["by_code"](reference).values()) == reference.parameter_count()


def test_flops_are_those_of_every_matmul(taught):
    config = GPTConfig(vocab_size=300, context_length=40, n_layer=3, n_head=2, d_model=24, d_ff=60)
    forward, backward = taught["count_flops"](config, 2, 33)
    assert forward == 2 * 33 * sum(taught["flops_by_part"](config, 33).values())
    assert backward == 2 * forward


def test_what_is_kept_for_the_backward_pass_is_counted_once(taught):
    layer = nn.Linear(10, 5)
    kept = taught["Kept"](layer)
    x = torch.randn(7, 10)
    with taught["saved_tensors_hooks"](kept.keep, lambda tensor: tensor):
        (layer(x) + layer(x)).square().sum()
    assert kept.bytes() == 4 * (7 * 10 + 7 * 5)  # the input once, and what was squared; the weights are not counted


def test_the_loop_writes_what_the_course_generates(taught):
    from helpers.generation import generate

    torch.manual_seed(3)
    network = model.GPT(SMALL).eval()
    shake(network)
    prompt = some_ids(1, 5)
    got = taught["generate"](network, prompt, 30, taught["greedily"])  # longer than the context of 24
    assert got[0].tolist() == prompt[0].tolist() + list(generate(network, prompt[0].tolist(), 30, greedy=True))
    assert taught["by_chance"](torch.tensor([[0.0, 90.0], [90.0, 0.0]])).tolist() == [1, 0]


def test_two_swapped_positions_are_noticed_between_them_alone(taught):
    """What the page says of attention without positions: the same tokens in another order make no difference."""
    attention, x = taught["CausalSelfAttention"](SMALL), some_vectors()[:1]
    order = [0, 3, 2, 1, *range(4, 9)]
    before, after = attention(x)[0], attention(x[:, order])[0]
    assert [i for i in range(9) if torch.allclose(before[i], after[i], atol=1e-5)] == [0, *range(4, 9)]


def test_the_untrained_model_stands_beside_uniform_in_the_stored_board():
    cell = next(c for c in notebooks.read(BOOK).cells if c.source.strip() == "scoreboard.show()")
    lines = cell.outputs[0].data["text/plain"].split("\n")
    bits = {}
    for name in ("GPT, 12 layers, untrained", "uniform"):
        line = next(line for line in lines if line.startswith(name))
        bits[name] = next(float(word) for word in line.split() if "." in word)
    assert bits["GPT, 12 layers, untrained"] == pytest.approx(bits["uniform"], rel=0.01)


def test_the_first_loss_formula_holds_for_a_wide_model():
    """ln V + s^2 / 2, which the notebook derives, against a model whose logits are as spread as GPT-2's."""
    config = GPTConfig(vocab_size=4000, context_length=32, n_layer=2, n_head=4, d_model=256)
    torch.manual_seed(0)
    with torch.no_grad():
        network = model.GPT(config)
        network.wte.weight.mul_(2)
        loss = network.loss(torch.randint(4000, (32, 32)), torch.randint(4000, (32, 32))).item()
    assert loss == pytest.approx(math.log(4000) + 256 * 0.04**2 / 2, abs=0.05)
