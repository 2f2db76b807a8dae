"""The network against GPT-2 as `transformers` has it, against torch's own modules, and against itself."""

import copy
import math

import helpers.fused
import helpers.tied_head
import pytest
import torch
import torch.nn.functional as F
from helpers.fused import AT_LEAST, NARROW, causal_attention, gelu_linear, gelu_tanh
from helpers.tied_head import head_loss
from torch import nn

from course.bench.memory import peak_bytes
from helpers.errors import CourseError
from helpers.export import to_transformers
from helpers.model import GPT, GPTConfig, sinusoids
from helpers.pretrained import transformers_name

TINY = dict(vocab_size=61, context_length=24, n_layer=2, n_head=4, d_model=32)


def make(**changes) -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(**TINY | changes))


def some_ids(batch=3, time=17, vocab=61, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, vocab, (batch, time), generator=generator)


def shake(model: nn.Module) -> None:
    """Give biases and LayerNorms random values too: at 0 and 1 a mistake in them could not be seen."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


# ---- GPT-2 itself --------------------------------------------------------------------------------


def test_logits_loss_and_gradients_are_those_of_transformers():
    model = make()
    shake(model)
    pytest.importorskip("transformers")
    twin = to_transformers(model.eval())
    ids = some_ids()
    with torch.no_grad():
        torch.testing.assert_close(model(ids), twin(ids).logits, atol=1e-4, rtol=1e-4)
    theirs = twin(ids, labels=ids).loss  # transformers shifts by itself: position t predicts token t + 1
    ours = model.loss(ids[:, :-1], ids[:, 1:])
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    ours.backward()
    theirs.backward()
    gradients = {name: parameter.grad for name, parameter in twin.named_parameters()}
    for name, mine in model.named_parameters():
        other, transposed = transformers_name(name)
        expected = gradients[other].t() if transposed else gradients[other]
        assert torch.allclose(mine.grad, expected, atol=1e-5, rtol=1e-3), name


@pytest.mark.parametrize(
    ("size", "count"),
    [("small", 124_439_808), ("medium", 354_823_168), ("large", 774_030_080), ("xl", 1_557_611_200)],
)
def test_the_released_sizes_have_the_released_numbers_of_parameters(size, count):
    with torch.device("meta"):  # shapes without memory
        assert GPT(GPTConfig.gpt2(size)).parameter_count() == count


def test_gpt2_is_what_the_defaults_give():
    config = GPTConfig.gpt2("small", n_layer=2)
    assert (config.context_length, config.vocab_size, config.d_head, config.d_ff) == (1024, 50257, 64, 3072)
    assert (config.norm, config.activation, config.positions) == ("pre", "gelu", "learned")
    assert config.tied_head
    assert config.n_layer == 2


def test_initialisation_is_gpt2s():
    model = make(d_model=256, context_length=256, n_layer=8, vocab_size=1000)
    expected = {"wte.weight": 0.02, "wpe.weight": 0.01, "attn.qkv.weight": 0.02, "mlp.fc.weight": 0.02}
    expected |= {"attn.proj.weight": 0.02 / 4, "mlp.proj.weight": 0.02 / 4}  # sqrt(2 * 8 layers) = 4
    seen = set()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif ".ln_" in name or name.startswith("ln_"):
            assert (parameter == 1).all(), name
        else:
            kind = next(kind for kind in expected if name.endswith(kind))
            seen.add(kind)
            assert parameter.std().item() == pytest.approx(expected[kind], rel=0.03), name
            assert abs(parameter.mean().item()) < 5e-4, name
    assert seen == set(expected)


def test_learned_positions_may_start_as_sinusoids():
    """They are those of the 2017 paper, learned from there on, and nothing else of the start is changed."""
    model = make(d_model=32, context_length=24, n_layer=2, first_positions="sinusoidal")
    fixed = make(d_model=32, context_length=24, n_layer=2, positions="sinusoidal")
    assert torch.equal(model.wpe.weight, fixed.position_table)
    for position, pair in ((0, 0), (5, 3), (23, 15)):  # the formula of section 3.5, by hand
        angle = position / 10000 ** (2 * pair / 32)
        expected = torch.tensor([math.sin(angle), math.cos(angle)])
        torch.testing.assert_close(model.wpe.weight[position, 2 * pair : 2 * pair + 2], expected, atol=1e-5, rtol=1e-4)
    assert model.wpe.weight.requires_grad
    assert model.config == make(d_model=32, context_length=24, n_layer=2).config  # how it starts, not what it is
    for name, parameter in model.named_parameters():
        if name.endswith(("qkv.weight", "fc.weight", "wte.weight")):
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
    with pytest.raises(CourseError, match="even"):
        make(d_model=33, n_head=1, first_positions="sinusoidal")
    with pytest.raises(CourseError, match="first_positions must be"):
        make(first_positions="zero")


@pytest.mark.parametrize("changes", [{}, {"tied_head": False}, {"norm": "post"}])
def test_the_first_loss_is_that_of_guessing(changes):
    model = make(vocab_size=500, **changes)
    ids = some_ids(8, 24, 500)
    assert model.loss(ids[:, :-1], ids[:, 1:]).item() == pytest.approx(math.log(500), abs=0.06)


# ---- what every such model must do ---------------------------------------------------------------

OPTIONS = [
    {},
    {"norm": "post", "activation": "relu", "positions": "sinusoidal"},
    {"tied_head": False, "bias": False},
    {"d_ff": 48, "n_head": 1},
]


@pytest.mark.parametrize("changes", OPTIONS)
@pytest.mark.parametrize("attention", ["fused", "explicit"])
def test_the_future_is_not_seen(changes, attention):
    model = make(**changes)
    shake(model)
    ids = some_ids()
    before = model(ids, attention=attention)
    changed = ids.clone()
    changed[:, 9:] = (changed[:, 9:] + 1) % 61
    after = model(changed, attention=attention)
    torch.testing.assert_close(after[:, :9], before[:, :9], atol=1e-6, rtol=1e-5)
    assert ((after[:, 9:] - before[:, 9:]).abs().amax(dim=2) > 1e-4).all()
    torch.testing.assert_close(model(ids[:, :5], attention=attention), before[:, :5], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", OPTIONS)
def test_fused_and_explicit_attention_agree_in_values_and_gradients(changes):
    model = make(**changes)
    shake(model)
    ids = some_ids()
    results = []
    for attention in ("fused", "explicit"):
        model.zero_grad()
        logits, loss = model(ids[:, :-1], ids[:, 1:], attention=attention)
        loss.backward()
        results.append([logits.detach(), loss.detach()] + [p.grad.clone() for p in model.parameters()])
    for fused, explicit in zip(*results, strict=True):
        torch.testing.assert_close(fused, explicit, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", OPTIONS)
def test_the_fast_loss_is_the_plain_loss(changes):
    model = make(**changes)
    shake(model)
    ids, targets = some_ids(), some_ids().roll(-1, dims=1)
    targets[:, -1] = -100
    results = []
    for need_logits in (True, False):
        model.zero_grad()
        loss = model(ids, targets, need_logits=need_logits)[1]
        (loss / 4).backward()  # as with accumulation
        results.append([loss.detach()] + [p.grad.clone() for p in model.parameters()])
    for plain, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-6, rtol=1e-4)


def test_dropout_only_while_training():
    model = make(dropout=0.5)
    ids = some_ids()
    assert not torch.equal(model(ids), model(ids))
    assert not torch.equal(model(ids, attention="explicit"), model(ids, attention="explicit"))
    model.eval()
    assert torch.equal(model(ids), model(ids))
    torch.testing.assert_close(model(ids), model(ids, attention="explicit"), atol=1e-5, rtol=1e-4)


def test_a_tied_head_is_one_matrix():
    tied, untied = make(), make(tied_head=False)
    assert untied.parameter_count() - tied.parameter_count() == 61 * 32
    assert "head.weight" not in tied.state_dict() and "head.weight" in untied.state_dict()


def test_the_same_seed_gives_the_same_model():
    for one, other in zip(make().parameters(), make().parameters(), strict=True):
        assert torch.equal(one, other)


# ---- the options against independent modules -----------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_block_is_torchs_transformer_layer(norm, activation):
    model = make(norm=norm, activation=activation, d_ff=80)
    shake(model)
    block = model.blocks[0]
    layer = nn.TransformerEncoderLayer(
        32, 4, 80, dropout=0.0, batch_first=True, norm_first=norm == "pre",
        activation=F.relu if activation == "relu" else nn.GELU(approximate="tanh"),
    )  # fmt: skip
    pairs = [
        (layer.self_attn.in_proj_weight, block.attn.qkv.weight),
        (layer.self_attn.in_proj_bias, block.attn.qkv.bias),
        (layer.self_attn.out_proj.weight, block.attn.proj.weight),
        (layer.self_attn.out_proj.bias, block.attn.proj.bias),
        (layer.linear1.weight, block.mlp.fc.weight),
        (layer.linear1.bias, block.mlp.fc.bias),
        (layer.linear2.weight, block.mlp.proj.weight),
        (layer.linear2.bias, block.mlp.proj.bias),
        (layer.norm1.weight, block.ln_1.weight),
        (layer.norm1.bias, block.ln_1.bias),
        (layer.norm2.weight, block.ln_2.weight),
        (layer.norm2.bias, block.ln_2.bias),
    ]
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours)
    x = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(3))
    mask = nn.Transformer.generate_square_subsequent_mask(9)
    torch.testing.assert_close(block(x), layer(x, src_mask=mask, is_causal=True), atol=1e-5, rtol=1e-4)


def test_sinusoids_are_the_formula():
    table = sinusoids(50, 16)
    for position in (0, 1, 7, 49):
        for i in range(8):
            angle = position / 10000 ** (2 * i / 16)
            assert table[position, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[position, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)


def test_sinusoidal_positions_are_fixed_and_added_to_scaled_tokens():
    model = make(positions="sinusoidal")
    assert not any("position" in name or "wpe" in name for name in model.state_dict())
    ids = some_ids(1, 6)
    expected = model.wte.weight[ids[0]] * 32**0.5 + sinusoids(24, 32)[:6]
    torch.testing.assert_close(model.embed(ids)[0], expected)


# ---- the hand-written gradients ------------------------------------------------------------------


def test_gelu_is_torchs_tanh_gelu():
    ours = torch.linspace(-12, 12, 4001).requires_grad_()
    torchs = ours.detach().double().requires_grad_()
    gradient = torch.randn(4001, generator=torch.Generator().manual_seed(4))
    result, expected = gelu_tanh(ours), F.gelu(torchs, approximate="tanh")
    torch.testing.assert_close(result.double(), expected, atol=2e-6, rtol=1e-5)
    result.backward(gradient)
    expected.backward(gradient.double())
    torch.testing.assert_close(ours.grad.double(), torchs.grad, atol=5e-6, rtol=1e-5)
    extreme = torch.tensor([-1e4, -50.0, 50.0, 1e4], requires_grad=True)
    gelu_tanh(extreme).sum().backward()
    assert extreme.grad.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("rows", [1, AT_LEAST, AT_LEAST + 3])
@pytest.mark.parametrize("d_model", [10, NARROW + 1])
@pytest.mark.parametrize("with_bias", [True, False])
def test_gelu_linear_is_gelu_and_a_linear_layer_in_values_and_gradients(rows, d_model, with_bias, monkeypatch):
    monkeypatch.setattr(helpers.fused, "SLICE", 1)  # slices of AT_LEAST rows
    generator = torch.Generator().manual_seed(4)
    shapes = [(1, rows, 24), (d_model, 24), (d_model,)][: 3 if with_bias else 2]
    ours = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    torchs = [x.detach().double().requires_grad_() for x in ours]
    gradient = torch.randn(1, rows, d_model, generator=generator)
    result = gelu_linear(*ours, *([] if with_bias else [None]))
    expected = F.linear(F.gelu(torchs[0], approximate="tanh"), *torchs[1:])
    torch.testing.assert_close(result.double(), expected, atol=2e-5, rtol=1e-5)
    for _ in range(2):  # the second time adds to what is there
        result.backward(gradient, retain_graph=True)
        expected.backward(gradient.double(), retain_graph=True)
    for mine, theirs in zip(ours, torchs, strict=True):
        torch.testing.assert_close(mine.grad.double(), theirs.grad, atol=2e-4, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(gelu_linear(*ours, *([] if with_bias else [None])), result, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("change", ["listened to", "replaced"])
def test_a_projection_that_is_not_a_plain_layer_is_called_as_one(change):
    mlp, calls = make().train().blocks[0].mlp, []

    class Replaced(torch.nn.Module):
        weight = bias = None

        def forward(self, x):
            calls.append(x.shape)
            return x[..., :32]

    x = torch.randn(1, 4, 32)
    mlp(x)
    if change == "replaced":
        mlp.proj = Replaced()
    else:
        mlp.proj.register_forward_hook(lambda module, arguments, result: calls.append(arguments[0].shape))
    mlp(x)
    assert calls == [(1, 4, 128)]


@pytest.mark.parametrize("ignored", [0, 7, 1300])
@pytest.mark.parametrize("spread", [0.1, 30.0])
def test_head_loss_is_cross_entropy_in_values_and_gradients(ignored, spread, monkeypatch):
    monkeypatch.setattr(helpers.tied_head, "SLICE", 1)  # slices of AT_LEAST rows
    generator = torch.Generator().manual_seed(5)
    hidden = torch.randn(1300, 24, generator=generator)  # two full slices and a rest
    weight = torch.randn(97, 24, generator=generator) * spread
    targets = torch.randint(0, 97, (1300,), generator=generator)
    targets[torch.randperm(1300, generator=generator)[:ignored]] = -100
    results = []
    for double, function in ((False, head_loss), (True, lambda h, w, t: F.cross_entropy(h @ w.t(), t))):
        h, w = ((x.double() if double else x.clone()).requires_grad_() for x in (hidden, weight))
        loss = function(h, w, targets)
        (loss * 0.5).backward()
        results.append([x.double() for x in (loss.detach(), h.grad, w.grad)])
    with torch.no_grad():
        torch.testing.assert_close(head_loss(hidden, weight, targets).double(), results[0][0], equal_nan=True)
    assert results[0][0].isnan() == (ignored == 1300)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5 * spread, rtol=1e-4, equal_nan=True)


@pytest.mark.parametrize("positions", [0, 3])
def test_head_loss_of_nothing_is_nan_with_gradients_of_zero_as_in_torch(positions):
    for function in (head_loss, lambda h, w, t: F.cross_entropy(h @ w.t(), t)):
        hidden, weight = torch.ones(positions, 4, requires_grad=True), torch.ones(5, 4, requires_grad=True)
        loss = function(hidden, weight, torch.full((positions,), -100))
        (loss * 0.5).backward()
        assert loss.shape == () and loss.isnan()
        assert hidden.grad.tolist() == [[0.0] * 4] * positions
        assert weight.grad.tolist() == [[0.0] * 4] * 5


@pytest.mark.parametrize("tied_head", [True, False])
def test_the_fast_loss_has_the_gradients_of_the_plain_one(tied_head):
    """Losses scaled and added up, as accumulation does; the two ends of a tied matrix are summed."""
    model = make(tied_head=tied_head).train()
    batches = [some_ids(3, 9, seed=number) for number in range(2)]
    for ids in batches:
        (model.loss(ids[:, :-1], ids[:, 1:]) * 0.5).backward()
    fast = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    double = copy.deepcopy(model).double()
    for ids in batches:
        (double(ids[:, :-1], ids[:, 1:])[1] * 0.5).backward()
    for name, parameter in double.named_parameters():
        torch.testing.assert_close(fast[name].double(), parameter.grad, atol=1e-6, rtol=1e-4)
    by_name = torch.autograd.grad(model.loss(ids[:, :-1], ids[:, 1:]), [model.wte.weight, model.blocks[0].ln_1.bias])
    again = model(ids[:, :-1], ids[:, 1:])[1]
    expected = torch.autograd.grad(again, [model.wte.weight, model.blocks[0].ln_1.bias])
    for mine, theirs in zip(by_name, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4)


def test_the_tied_matrix_has_one_gradient_in_memory():
    model = make(vocab_size=5000).train()
    ids = some_ids(1, 6)
    size = model.wte.weight.nbytes
    others = sum(parameter.nbytes for parameter in model.parameters()) - size
    assert peak_bytes(lambda: model.loss(ids, ids).backward()) < 1.5 * size + others
    model.zero_grad()
    assert peak_bytes(lambda: model(ids, ids)[1].backward()) > 2 * size  # the plain way has one at either end


def test_a_second_backward_on_one_fast_loss_says_what_to_do():
    model = make().train()
    loss = model.loss(some_ids(), some_ids())
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute the loss again"):
        loss.backward()


def plain_attention(qkv, n_head):
    q, k, v = (part.transpose(1, 2) for part in qkv.unflatten(2, (3, n_head, -1)).unbind(2))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)


@pytest.mark.parametrize(("time", "spread"), [(1, 1), (63, 1), (64, 1), (65, 1), (200, 1), (200, 30), (513, 1)])
def test_causal_attention_is_torchs_in_values_and_gradients(time, spread):
    generator = torch.Generator().manual_seed(6)
    ours = (torch.randn(2, time, 3 * 24, generator=generator) * spread**0.5).requires_grad_()
    torchs = ours.detach().double().requires_grad_()
    gradient = torch.randn(2, time, 24, generator=generator)
    result, expected = causal_attention(ours, 3), plain_attention(torchs, 3)
    torch.testing.assert_close(result.double(), expected, atol=1e-5 * spread, rtol=1e-4)
    for _ in range(2):  # the second time adds to what is there
        result.backward(gradient, retain_graph=True)
        expected.backward(gradient.double(), retain_graph=True)
    torch.testing.assert_close(ours.grad.double(), torchs.grad, atol=2e-5 * spread, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(causal_attention(ours, 3), result.detach(), atol=1e-5 * spread, rtol=1e-4)


def test_causal_attention_leaves_other_cases_to_torch(monkeypatch):
    """Dropout, double precision, half precision and autocast, long sequences."""
    monkeypatch.setattr("helpers.fused._CausalAttention.apply", None)
    qkv = torch.randn(2, 70, 3 * 24, generator=torch.Generator().manual_seed(6)).requires_grad_()
    with pytest.raises(TypeError):
        causal_attention(qkv, 3)
    expected = plain_attention(qkv, 3)
    torch.testing.assert_close(causal_attention(qkv.double(), 3).float(), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(causal_attention(qkv.bfloat16(), 3).float(), expected, atol=0.05, rtol=0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        causal_attention(qkv, 3).float().sum().backward()
    with torch.no_grad():
        torch.testing.assert_close(causal_attention(qkv, 3), expected)
    assert not torch.equal(causal_attention(qkv, 3, dropout=0.5), causal_attention(qkv, 3, dropout=0.5))
    assert causal_attention(torch.randn(1, 513, 72).requires_grad_(), 3).shape == (1, 513, 24)


def test_half_precision_takes_torchs_own_way():
    model = make()
    ids = some_ids()
    expected = model.loss(ids, ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.loss(ids, ids)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), abs=0.05)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


# ---- clear errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_head": 5}, "multiple of n_head"),
        ({"vocab_size": 0}, "vocab_size must be a whole number"),
        ({"n_layer": 1.5}, "n_layer must be a whole number"),
        ({"dropout": 1.0}, "dropout is a probability"),
        ({"norm": "sandwich"}, "norm must be 'pre' or 'post'"),
        ({"activation": "swish"}, "activation must be"),
        ({"positions": "rotary"}, "positions must be"),
        ({"positions": "sinusoidal", "d_model": 33, "n_head": 3}, "must be even"),
    ],
)
def test_a_bad_configuration_says_so(changes, message):
    with pytest.raises(CourseError, match=message):
        GPTConfig(**TINY | changes)


def test_an_unknown_size_says_so():
    with pytest.raises(CourseError, match="small, medium, large, xl"):
        GPTConfig.gpt2("huge")


def test_bad_ids_say_so():
    model = make()
    with pytest.raises(CourseError, match="25 tokens do not fit a context of 24"):
        model(torch.zeros(1, 25, dtype=torch.long))
    for bad in (61, -1):
        with pytest.raises(CourseError, match=f"token id {bad} is outside the vocabulary"):
            model(torch.tensor([[3, bad]]))
    with pytest.raises(CourseError, match="batch, time"):
        model(torch.tensor([1, 2, 3]))
    with pytest.raises(CourseError, match="batch, time"):
        model(torch.zeros(2, 0, dtype=torch.long))
    with pytest.raises(CourseError, match="one target"):
        model(torch.tensor([[1, 2]]), torch.tensor([[1]]))
    with pytest.raises(CourseError, match="attention must be"):
        model(torch.tensor([[1, 2]]), attention="flash")
