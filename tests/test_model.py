"""The network against GPT-2 as `transformers` has it, against torch's own modules, and against itself."""

import ast
import copy
import inspect
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import helpers.model
from course.export import to_transformers
from helpers.errors import CourseError
from helpers.kv_cache import KVCache
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
    equivalent = to_transformers(model.eval())
    ids = some_ids()
    with torch.no_grad():
        torch.testing.assert_close(model(ids), equivalent(ids).logits, atol=1e-4, rtol=1e-4)
    theirs = equivalent(ids, labels=ids).loss  # transformers shifts by itself: position t predicts token t + 1
    ours = model.loss(ids[:, :-1], ids[:, 1:])
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    ours.backward()
    theirs.backward()
    gradients = {name: parameter.grad for name, parameter in equivalent.named_parameters()}
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


def test_the_initialization_is_gpt2s():
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
    assert torch.equal(model.wpe.weight, fixed.wpe.table)
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


each_option = pytest.mark.parametrize("changes", OPTIONS, ids=str)


@each_option
@pytest.mark.parametrize("kernel", [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH], ids=["fused", "plain"])
def test_the_future_is_not_seen(changes, kernel):
    model = make(**changes)
    shake(model)
    ids = some_ids()
    changed = ids.clone()
    changed[:, 9:] = (changed[:, 9:] + 1) % 61
    with sdpa_kernel(kernel):
        before, after, start = model(ids), model(changed), model(ids[:, :5])
    torch.testing.assert_close(after[:, :9], before[:, :9], atol=1e-6, rtol=1e-5)
    assert ((after[:, 9:] - before[:, 9:]).abs().amax(dim=2) > 1e-4).all()
    torch.testing.assert_close(start, before[:, :5], atol=1e-5, rtol=1e-4)


@each_option
def test_the_loss_is_the_mean_over_the_targets_that_are_asked_for(changes):
    """Against a sum by hand in float64, gradients included."""
    model = make(**changes)
    shake(model)
    ids, targets = some_ids(), some_ids().roll(-1, dims=1)
    targets[:, -1] = -100
    loss = model.loss(ids, targets)
    loss.backward()
    double = copy.deepcopy(model).double()
    double.zero_grad()
    scored = [(row, t) for row in range(3) for t in range(16)]
    logs = double(ids).log_softmax(dim=-1)
    by_hand = -sum(logs[row, t, targets[row, t]] for row, t in scored) / len(scored)
    by_hand.backward()
    torch.testing.assert_close(loss.double(), by_hand)
    for mine, other in zip(model.parameters(), double.parameters(), strict=True):
        torch.testing.assert_close(mine.grad.double(), other.grad, atol=1e-6, rtol=1e-4)
    logits, same = model(ids, targets)
    assert torch.equal(logits, model(ids)) and torch.equal(same, loss)


def test_dropout_only_while_training():
    model = make(dropout=0.5)
    ids = some_ids()
    assert not torch.equal(model(ids), model(ids))
    x = torch.randn(2, 6, 32)
    attention = model.blocks[0].attn
    attention.proj = nn.Identity()
    attention.dropout.register_forward_hook(lambda module, given, result: given[0])  # what comes before the last one
    assert not torch.equal(attention(x), attention(x)), "attention's own weights are dropped, too"
    assert torch.equal(attention.weights(x), attention.weights(x)), "the map that is shown has all of them"
    model = make(dropout=0.5).eval()
    assert torch.equal(model(ids), model(ids))
    assert torch.equal(model(ids), make()(ids))


def test_a_tied_head_is_one_matrix():
    tied, untied = make(), make(tied_head=False)
    assert untied.parameter_count() - tied.parameter_count() == 61 * 32
    assert tied.head.weight is tied.wte.weight and untied.head.weight is not untied.wte.weight
    tied.loss(some_ids(), some_ids()).backward()
    assert tied.head.weight.grad is tied.wte.weight.grad


@pytest.mark.parametrize("tied_head", [True, False])
def test_copies_and_saved_weights_are_the_same_model_and_tied_as_it_was(tied_head):
    model, other = make(tied_head=tied_head), make(tied_head=tied_head)
    shake(other)
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    assert not torch.equal(other(some_ids()), model(some_ids()))
    other.load_state_dict(saved)
    with torch.device("meta"):
        empty = GPT(GPTConfig(**TINY, tied_head=tied_head))
    assert all(parameter.is_meta for parameter in empty.parameters())
    assert empty(torch.zeros(1, 5, dtype=torch.long, device="meta")).shape == (1, 5, 61)
    empty.load_state_dict(saved, assign=True)
    empty.head.weight = empty.wte.weight if tied_head else empty.head.weight  # `assign` puts in two tensors
    for again in (other, copy.deepcopy(model), empty):
        assert torch.equal(again(some_ids()), model(some_ids()))
        assert (again.head.weight is again.wte.weight) == tied_head
        assert [name for name, _ in again.named_parameters()] == [name for name, _ in model.named_parameters()]
        assert again.wte.weight is not model.wte.weight


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
    assert model.double()(some_ids()).dtype == torch.float64
    model.float()
    ids = some_ids(1, 6)
    expected = model.wte.weight[ids[0]] * 32**0.5 + sinusoids(24, 32)[:6]
    torch.testing.assert_close(model.embed(ids)[0], expected)


# ---- attention, looked at and continued ----------------------------------------------------------


@pytest.mark.parametrize("n_head", [1, 4])
def test_the_map_is_the_softmax_of_masked_scaled_scores(n_head):
    attention = make(n_head=n_head).blocks[1].attn
    shake(attention)
    x = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(3)) * 3
    q, k, v = attention.heads(x)
    d_head = 32 // n_head
    assert q.shape == k.shape == v.shape == (2, n_head, 9, d_head)
    whole = attention.qkv(x)  # queries of all heads, then keys, then values
    for head in range(n_head):
        for part, got in enumerate((q, k, v)):
            start = part * 32 + head * d_head
            assert torch.equal(got[:, head], whole[..., start : start + d_head])
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(d_head)
    future = torch.arange(9)[None, :] > torch.arange(9)[:, None]
    expected = scores.masked_fill(future, -math.inf).softmax(dim=-1)
    weights = attention.weights(x)
    torch.testing.assert_close(weights, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, n_head, 9))
    assert not weights[..., future].any()
    mixed = (weights @ v).transpose(1, 2).reshape(2, 9, 32)
    torch.testing.assert_close(attention(x), attention.proj(mixed), atol=1e-5, rtol=1e-4)


@each_option
def test_with_a_cache_it_says_what_it_says_without(changes):
    model = make(**changes).eval()
    shake(model)
    rows = some_ids(2, 12).tolist()
    cache = KVCache(model)
    got = [cache.start([row[:5] for row in rows])]
    for t in range(5, 12):
        got.append(cache.append([row[t] for row in rows]))
    expected = model(torch.tensor(rows))[:, 4:]
    torch.testing.assert_close(torch.stack(got, dim=1), expected.detach(), atol=1e-5, rtol=1e-4)


# ---- nothing that torch can do with a model is lost ----------------------------------------------


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # torch: the ids that go in have no gradient
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("changes", [*OPTIONS, {"dropout": 0.1}], ids=str)
def test_every_hook_on_every_module_is_called(changes, training):
    model = make(**changes).train(training)
    called = {}
    learned = model.config.positions == "learned"
    modules = {name: module for name, module in model.named_modules() if name != "blocks"}  # a list is not called
    for name, module in modules.items():
        kinds = called[name] = []
        module.register_forward_pre_hook(lambda *_, kinds=kinds: kinds.append("forward pre"))
        module.register_forward_hook(lambda *_, kinds=kinds: kinds.append("forward"))
        if name == "wpe" and not learned:
            continue  # what fixed positions give has no gradient
        module.register_full_backward_pre_hook(lambda *_, kinds=kinds: kinds.append("backward pre"))
        module.register_full_backward_hook(lambda *_, kinds=kinds: kinds.append("backward"))
    model.loss(some_ids(), some_ids()).backward()
    every = ["forward pre", "forward", "backward pre", "backward"]
    for name, kinds in called.items():
        assert kinds == (every if learned or name != "wpe" else every[:2]), name
    assert {"head", "dropout", "ln_f", "blocks.1.mlp.activation", "blocks.0.attn.dropout"} <= set(called)


def test_what_a_hook_returns_is_used():
    """Any part may be switched off, and a backward hook may change a gradient."""
    model = make()
    ids = some_ids()
    before = model(ids)
    for name in ("mlp.proj", "mlp.activation", "attn.proj", "attn.qkv", "ln_2"):
        hook = (
            model.blocks[0].get_submodule(name).register_forward_hook(lambda module, given, out: torch.zeros_like(out))
        )
        assert not torch.allclose(model(ids), before), name
        hook.remove()
    hook = model.blocks[1].mlp.proj.register_full_backward_pre_hook(lambda module, gradients: (0 * gradients[0],))
    model.loss(ids, ids).backward()
    assert not model.blocks[1].mlp.fc.weight.grad.any() and model.blocks[1].attn.qkv.weight.grad.any()


def test_a_second_backward_adds_the_same_gradients_again():
    model = make()
    loss = model.loss(some_ids(), some_ids())
    loss.backward(retain_graph=True)
    once = [parameter.grad.clone() for parameter in model.parameters()]
    loss.backward()
    for first, parameter in zip(once, model.parameters(), strict=True):
        assert torch.equal(parameter.grad, 2 * first)


@pytest.fixture
def small():
    """A model in float64 with few parameters, ids and targets: for derivatives that are checked one by one."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=7, context_length=6, n_layer=1, n_head=2, d_model=4)).double()
    shake(model)
    ids, targets = some_ids(2, 5, 7), some_ids(2, 5, 7, seed=2)
    targets[0, 1] = -100
    return model, ids, targets


def as_function(model: GPT, ids, targets):
    """The parameters as a list, and the loss as a function of them."""
    names = [name for name, _ in model.named_parameters()]

    def loss(*values):
        parts = dict(zip(names, values, strict=True))
        return torch.func.functional_call(model, parts, (ids, targets), tie_weights=True)[1]

    return loss, tuple(parameter.detach().clone().requires_grad_() for parameter in model.parameters())


@pytest.mark.parametrize("kernel", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION], ids=["plain", "fused"])
def test_gradients_are_those_of_finite_differences(small, kernel):
    loss, values = as_function(*small)
    assert loss(*values).dtype == torch.float64
    with sdpa_kernel(kernel):
        assert torch.autograd.gradcheck(loss, values)


def test_second_and_forward_mode_derivatives(small):
    """Under torch's plain attention: its fused CPU kernel has neither, which the last lines hold."""
    loss, values = as_function(*small)
    vectors = tuple(torch.randn_like(value) for value in values)
    with sdpa_kernel(SDPBackend.MATH):
        first = torch.autograd.grad(loss(*values), values, create_graph=True)
        assert torch.autograd.gradgradcheck(loss, values)
        value, slope = torch.func.jvp(loss, values, vectors)
        functional = torch.func.grad(loss, argnums=tuple(range(len(values))))(*values)
    torch.testing.assert_close(value, loss(*values))
    torch.testing.assert_close(slope, sum((g * v).sum() for g, v in zip(first, vectors, strict=True)))
    for one, other in zip(functional, first, strict=True):
        torch.testing.assert_close(one, other)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        with pytest.raises(RuntimeError):
            torch.autograd.grad(
                sum(g.sum() for g in torch.autograd.grad(loss(*values), values, create_graph=True)), values
            )
        with pytest.raises((NotImplementedError, RuntimeError)):
            torch.func.jvp(loss, values, vectors)


def test_gradients_of_each_sequence_by_vmap():
    """`torch.func`: no value of an id can be looked at there, so the checks of ids and targets step aside."""
    model = make()
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    ids, targets = some_ids(3, 6), some_ids(3, 6, seed=2)

    def loss(parameters, ids, targets):
        return torch.func.functional_call(model, parameters, (ids[None], targets[None]))[1]

    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel does it too, one sequence at a time, with a warning
        together = torch.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, ids, targets)
    for number in range(3):
        model.zero_grad()
        model.loss(ids[number : number + 1], targets[number : number + 1]).backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(together[name][number], parameter.grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_it_compiles_in_one_piece(training):
    """`fullgraph` refuses any Python that torch cannot follow; the checks of ids step aside meanwhile."""
    model = make().train(training)
    ids, targets = some_ids(), some_ids(seed=2)
    torch.compiler.reset()
    loss = torch.compile(model.loss, fullgraph=True, backend="eager")(ids, targets)
    torch.testing.assert_close(loss, model.loss(ids, targets))
    loss.backward()
    compiled = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    model.loss(ids, targets).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(compiled[name], parameter.grad)
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="eager")(ids), model(ids))


def test_half_precision():
    model = make()
    ids = some_ids()
    expected = model.loss(ids, ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.loss(ids, ids)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), abs=0.05)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    half = make().bfloat16()
    assert half(ids).dtype == torch.bfloat16
    x = torch.randn(1, 6, 32, dtype=torch.bfloat16)
    weights = half.blocks[0].attn.weights(x)
    torch.testing.assert_close(weights.float().sum(-1), torch.ones(1, 4, 6), atol=0.02, rtol=0)


def test_it_is_plain_torch():
    """No gradient by hand, no private or low-level call of torch, no look at what machine it is; short classes."""
    source = inspect.getsource(helpers.model)
    for word in ("autograd.Function", "torch.ops", "aten", "torch._", "cpuinfo", "processor"):
        assert word not in source, word
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            lines = [line for line in ast.unparse(_without_docstrings(node)).split("\n") if line.strip()]
            assert len(lines) <= 40, f"{node.name} does not fit a cell of a notebook"


def _without_docstrings(tree: ast.ClassDef) -> ast.ClassDef:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


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


@pytest.mark.parametrize("call", ["forward", "loss"])
def test_targets_are_a_tokens_id_or_left_out(call):
    model = make()
    score = model.loss if call == "loss" else lambda ids, targets: model(ids, targets)[1]
    ids, targets = some_ids(), some_ids(seed=2)
    for bad in (-1, 61, -99, -101, 10**9):  # nanoGPT's "ignore" is -1: it must not pass for a token
        wrong = targets.clone()
        wrong[1, 3] = bad
        with pytest.raises(CourseError, match=rf"target {bad} is neither a token id \(0 to 60\) nor -100"):
            score(ids, wrong)
    for shape in ((3, 16), (2, 17), (51,)):
        with pytest.raises(CourseError, match="every position needs one target"):
            score(ids, torch.zeros(shape, dtype=torch.long))
    targets[0, 5:] = -100
    assert score(ids, targets).isfinite()
    assert score(ids, torch.full_like(targets, -100)).isnan()  # the mean of nothing, as in torch
