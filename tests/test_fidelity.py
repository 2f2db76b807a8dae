"""Our GPT is GPT-2: the same logits, losses, gradients, training and text as `transformers`, both ways of loading.

Weights come from fixed seeds. Biases and LayerNorms get random values too: at 0 and 1 a mistake in them is not seen.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from course.export import (
    config_to_transformers,
    export,
    from_transformers_state,
    to_transformers,
    to_transformers_state,
)
from helpers.checkpoint import load_model
from helpers.files import data_folder
from helpers.generation import generate
from helpers.model import GPT, GPTConfig
from helpers.pretrained import config_from_transformers, transformers_name

transformers = pytest.importorskip("transformers")

TINY = dict(vocab_size=97, n_positions=32, n_embd=48, n_layer=3, n_head=4)
SIZES = {
    "gpt2": ("small", dict(n_layer=12, n_head=12, n_embd=768), 124_439_808),
    "gpt2-medium": ("medium", dict(n_layer=24, n_head=16, n_embd=1024), 354_823_168),
    "gpt2-large": ("large", dict(n_layer=36, n_head=20, n_embd=1280), 774_030_080),
    "gpt2-xl": ("xl", dict(n_layer=48, n_head=25, n_embd=1600), 1_557_611_200),
}
NO_DROPOUT = dict(embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0)


def shake(model: nn.Module, spread: float = 0.1) -> nn.Module:
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * spread)
    return model


def theirs_with(spread: float = 0.1, **changes):
    """A GPT-2 of transformers, as its own code makes it, with every weight shaken."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(**TINY | NO_DROPOUT | changes)
    config.loss_type = "ForCausalLM"
    return shake(transformers.GPT2LMHeadModel(config).eval(), spread)


def ours_from(theirs) -> GPT:
    return from_transformers_state(theirs.state_dict(), config_from_transformers(theirs.config.to_dict()))


def random_ids(batch, time, vocab=97, seed=1):
    return torch.randint(0, vocab, (batch, time), generator=torch.Generator().manual_seed(seed))


def theirs_by_our_names(ours: GPT, theirs, of=lambda parameter: parameter) -> dict:
    """What `of` gives for each parameter of theirs, in our layout and by our names."""
    found = {name: of(parameter) for name, parameter in theirs.named_parameters()}
    result = {}
    for name, _ in ours.named_parameters():
        other, transposed = transformers_name(name)
        result[name] = found[other].t() if transposed else found[other]
    return result


def assert_gradients_agree(ours: GPT, theirs, relative: float = 1e-4) -> None:
    expected = theirs_by_our_names(ours, theirs, lambda parameter: parameter.grad)
    for name, parameter in ours.named_parameters():
        difference = (parameter.grad - expected[name]).norm() / expected[name].norm()
        assert difference < relative, f"{name}: {difference:.1e}"
        assert (parameter.grad - expected[name]).abs().max() < relative * expected[name].abs().max(), name


# ---------------------------------------------------------------------- logits, losses, gradients

KINDS = {
    "GPT-2": {},
    "ReLU": {"activation_function": "relu"},
    "a head of its own": {"tie_word_embeddings": False},
    "another inner width, one head": {"n_inner": 80, "n_head": 1},
    "the other name of the tanh GELU": {"activation_function": "gelu_pytorch_tanh"},
}


@pytest.mark.parametrize("attention", [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_logits_agree_at_every_length(attention, implementation):
    theirs = theirs_with(attn_implementation=implementation)
    ours = ours_from(theirs)
    with torch.no_grad():
        for time in range(1, 33):
            ids = random_ids(3, time, seed=time)
            expected = theirs(ids).logits
            with sdpa_kernel(attention):
                assert (ours(ids) - expected).abs().max() < 1e-4, time
    assert expected.std() > 0.3  # the logits say something


@pytest.mark.parametrize("kind", KINDS)
def test_logits_loss_and_every_gradient_agree(kind):
    theirs = theirs_with(**KINDS[kind])
    ours = ours_from(theirs)
    assert ours.config.dropout == 0 and not ours.training
    ids = random_ids(4, 32)
    logits, loss = ours(ids[:, :-1], ids[:, 1:])
    answer = theirs(ids, labels=ids)  # transformers shifts by itself: position t predicts token t + 1
    assert (logits - answer.logits[:, :-1]).abs().max() < 1e-4
    assert loss.item() == pytest.approx(answer.loss.item(), rel=1e-5)
    answer.loss.backward()
    for fast in (False, True):
        ours.zero_grad()
        (ours.loss(ids[:, :-1], ids[:, 1:]) if fast else ours(ids[:, :-1], ids[:, 1:])[1]).backward()
        assert_gradients_agree(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_the_way_out_gives_the_same_model(kind):
    ours = ours_from(theirs_with(**KINDS[kind])).train()
    equivalent = to_transformers(ours)
    assert equivalent.training and not to_transformers(ours.eval()).training
    ids = random_ids(2, 20)
    with torch.no_grad():
        assert (equivalent(ids).logits - ours(ids)).abs().max() < 1e-4
        equivalent.transformer.wte.weight.zero_()
    assert ours.wte.weight.any()  # a copy: training it leaves ours alone


@pytest.mark.parametrize("kind", KINDS)
def test_the_round_trip_keeps_every_bit(kind):
    theirs = theirs_with(**KINDS[kind])
    back = to_transformers(ours_from(theirs))
    mine, other = dict(back.named_parameters()), dict(theirs.named_parameters())
    assert mine.keys() == other.keys()
    for name, parameter in other.items():
        assert torch.equal(mine[name], parameter), name
    again = ours_from(back)
    for one, two in zip(again.parameters(), ours_from(theirs).parameters(), strict=True):
        assert torch.equal(one, two)


# ---------------------------------------------------------------------- text and training


def test_two_hundred_greedy_tokens_are_the_same():
    theirs = theirs_with(n_positions=256, spread=0.2, tie_word_embeddings=False)  # tied, it would repeat a token
    ours = ours_from(theirs)
    for seed in range(3):
        prompt = random_ids(1, 7, seed=seed)
        answer = theirs.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=200, pad_token_id=0,
            eos_token_id=-1,
        )[0, 7:].tolist()  # fmt: skip
        assert list(generate(ours, prompt[0].tolist(), 200, greedy=True)) == answer
        assert len(answer) == 200 and len(set(answer)) > 10


def test_two_hundred_greedy_tokens_of_the_shipped_storyteller_are_the_same(tmp_path):
    """Trained weights in their real shape, through the files of an export."""
    ours, tokenizer = load_model(data_folder() / "storyteller")
    transformers.utils.logging.disable_progress_bar()
    folder = export(ours, tokenizer, tmp_path / "exported", card="# A card")
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
    for text in ("Once upon a time", "Lily had a red kite.", "One rainy morning, a small fox"):
        prompt = torch.tensor([[tokenizer.eos_token_id, *tokenizer.encode(text)]])
        answer = theirs.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=200, max_length=None,
            pad_token_id=0, eos_token_id=-1,
        )[0, prompt.shape[1] :].tolist()  # fmt: skip
        assert list(generate(ours, prompt[0].tolist(), 200, greedy=True)) == answer
        assert len(answer) == 200 and len(set(answer)) > 40


def plain_loss(logits, targets):
    """Cross-entropy that, unlike both sides' own, does not round doubles."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def train_both(ours, theirs, loss_of, steps=20):
    """The losses of both sides, step by step, with the same AdamW; `loss_of(ids, targets)` is ours."""
    optimizers = [
        torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
        for model in (ours.train(), theirs.train())
    ]
    losses = []

    for step in range(steps):
        ids = random_ids(4, 33, seed=100 + step % 5)
        ids, targets = ids[:, :-1], ids[:, 1:]
        pair = loss_of(ids, targets), plain_loss(theirs(ids).logits, targets)
        for loss, optimizer in zip(pair, optimizers, strict=True):
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        losses.append([loss.item() for loss in pair])
    return losses


def test_twenty_training_steps_stay_together():
    theirs = theirs_with(spread=0.05)
    ours = ours_from(theirs)
    losses = train_both(ours, theirs, ours.loss)
    assert losses[-1][0] < losses[0][0] - 0.3  # something was learned
    assert max(abs(mine - other) for mine, other in losses) < 1e-4
    ids = random_ids(2, 32, seed=100)
    with torch.no_grad():
        assert (ours.eval()(ids) - theirs.eval()(ids).logits).abs().max() < 1e-3
    d_model = ours.config.d_model
    for name, expected in theirs_by_our_names(ours, theirs).items():
        mine = ours.get_parameter(name).detach().clone()
        expected = expected.detach().clone()
        if name.endswith("qkv.bias"):
            # The same bias on every key shifts a row of scores as a whole, which softmax does not see: its gradient
            # is zero but for rounding, and AdamW divides that noise by its own size.
            mine[d_model : 2 * d_model] = expected[d_model : 2 * d_model] = 0
        assert (mine - expected).abs().max() < 1e-4, name


def test_in_double_precision_every_weight_stays_together():
    theirs = theirs_with(spread=0.05).double()
    ours = ours_from(theirs).double()
    for (_, mine), expected in zip(ours.named_parameters(), theirs_by_our_names(ours, theirs).values(), strict=True):
        mine.data.copy_(expected)  # loading gives float32: put the lost digits back
    losses = train_both(ours, theirs, lambda ids, targets: plain_loss(ours(ids), targets))
    assert max(abs(mine - other) for mine, other in losses) < 1e-10
    for name, expected in theirs_by_our_names(ours, theirs).items():
        assert (ours.get_parameter(name) - expected).abs().max() < 1e-8, name


# ---------------------------------------------------------------------- padding


def test_padding_on_the_right_needs_no_mask():
    """A position sees nothing behind itself, so what fills a row up changes nothing before it."""
    theirs = theirs_with()
    ours = ours_from(theirs)
    rows = [random_ids(1, length, seed=length)[0] for length in (5, 17, 30)]
    mask = torch.tensor([[1] * len(row) + [0] * (30 - len(row)) for row in rows])
    filled = [torch.stack([F.pad(row, (0, 30 - len(row)), value=pad) for row in rows]) for pad in (0, 96)]
    with torch.no_grad():
        expected = theirs(filled[0], attention_mask=mask).logits
        for ids in filled:
            logits = ours(ids)
            for i, row in enumerate(rows):
                assert (logits[i, : len(row)] - expected[i, : len(row)]).abs().max() < 1e-4
                assert (logits[i, : len(row)] - ours(row[None])[0]).abs().max() < 1e-5
    targets = filled[0].roll(-1, dims=1).masked_fill(mask.roll(-1, dims=1) == 0, -100)
    targets[:, -1] = -100
    labels = filled[0].masked_fill(mask == 0, -100)
    loss = theirs(filled[0], attention_mask=mask, labels=labels).loss
    assert ours.loss(filled[0], targets).item() == pytest.approx(loss.item(), rel=1e-5)


def test_padding_on_the_left_is_for_transformers_alone():
    """It needs a mask and other positions, which ours does not take. Rows without their padding give the same."""
    theirs = theirs_with()
    ours = ours_from(theirs)
    rows = [random_ids(1, length, seed=length)[0] for length in (5, 17, 30)]
    ids = torch.stack([F.pad(row, (30 - len(row), 0)) for row in rows])
    mask = torch.tensor([[0] * (30 - len(row)) + [1] * len(row) for row in rows])
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    with torch.no_grad():
        expected = theirs(ids, attention_mask=mask, position_ids=positions).logits
        for i, row in enumerate(rows):
            assert (ours(row[None])[0] - expected[i, 30 - len(row) :]).abs().max() < 1e-4
        assert (ours(ids)[0, -1] - expected[0, -1]).abs().max() > 0.01  # the padding would be read as text


# ---------------------------------------------------------------------- the released sizes


@pytest.mark.parametrize("name", SIZES)
def test_names_and_shapes_of_the_released_sizes(name):
    size, shape, count = SIZES[name]
    with torch.device("meta"):  # shapes without memory
        theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape))
        ours = GPT(GPTConfig.gpt2(size))
    expected = {name: parameter.shape for name, parameter in theirs.named_parameters()}
    assert {name: tensor.shape for name, tensor in to_transformers_state(ours).items()} == expected
    assert ours.parameter_count() == theirs.num_parameters() == count
    config = config_from_transformers(theirs.config.to_dict())
    assert config == GPTConfig.gpt2(size, dropout=0.1)
    again = transformers.GPT2Config(**config_to_transformers(config, 50256)).to_dict()
    for key in (*shape, "n_positions", "vocab_size", "activation_function", "resid_pdrop", "eos_token_id"):
        assert again[key] == theirs.config.to_dict()[key], key


@pytest.fixture(scope="module")
def full_size():
    """GPT-2 of 124M on both sides, weights from a seed: a gigabyte."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(**NO_DROPOUT)
    config.loss_type = "ForCausalLM"
    theirs = shake(transformers.GPT2LMHeadModel(config).eval(), spread=0.01)
    return ours_from(theirs), theirs


@pytest.mark.parametrize(("batch", "time"), [(3, 1), (2, 1024)])
def test_logits_agree_at_full_size(full_size, batch, time):
    ours, theirs = full_size
    ids = random_ids(batch, time, 50257)
    with torch.no_grad():
        hidden, expected = ours.hidden(ids), theirs.transformer(ids).last_hidden_state
        some = slice((time - 1) % 16, None, 16)  # the last one among them; all would be 400 MB a side
        mine = F.linear(hidden[:, some], ours.head.weight)
        assert (mine - theirs.lm_head(expected[:, some])).abs().max() < 1e-4
        assert mine.std() > 0.3


def test_loss_gradients_and_text_agree_at_full_size(full_size):
    ours, theirs = full_size
    ids = random_ids(2, 24, 50257)
    loss, other = ours.loss(ids[:, :-1], ids[:, 1:]), theirs(ids, labels=ids).loss
    assert loss.item() == pytest.approx(other.item(), rel=1e-5)
    loss.backward()
    other.backward()
    assert_gradients_agree(ours, theirs)
    ours.zero_grad(set_to_none=True)
    theirs.zero_grad(set_to_none=True)
    prompt = ids[:1, :5]
    answer = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=10)
    assert list(generate(ours, prompt[0].tolist(), 10, greedy=True)) == answer[0, 5:].tolist()


# ---------------------------------------------------------------------- the options of 2017


@pytest.mark.parametrize("time", [1, 2, 32])
def test_post_norm_relu_and_sinusoids_are_torchs_encoder(time):
    """The whole model of 2017, against torch's own layers with a causal mask: logits, loss and every gradient."""
    torch.manual_seed(0)
    config = GPTConfig(97, 32, n_layer=3, n_head=4, d_model=48, d_ff=80, norm="post", activation="relu",
                       positions="sinusoidal")  # fmt: skip
    ours = shake(GPT(config))
    layer = nn.TransformerEncoderLayer(48, 4, 80, dropout=0.0, activation="relu", batch_first=True, norm_first=False)
    encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    embedding = nn.Embedding(97, 48)
    named = {"wte.weight": embedding.weight}
    for i, each in enumerate(encoder.layers):
        pairs = {"attn.qkv": each.self_attn, "attn.proj": each.self_attn.out_proj, "mlp.fc": each.linear1}
        pairs |= {"mlp.proj": each.linear2, "ln_1": each.norm1, "ln_2": each.norm2}
        for name, module in pairs.items():
            prefix = "in_proj_" if name == "attn.qkv" else ""
            for part in ("weight", "bias"):
                named[f"blocks.{i}.{name}.{part}"] = getattr(module, prefix + part)
    assert named.keys() == dict(ours.named_parameters()).keys()
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(ours.get_parameter(name))
    angle = [[t / 10000 ** (2 * (i // 2) / 48) for i in range(48)] for t in range(time)]
    table = torch.tensor([[math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(row)] for row in angle])
    ids, targets = random_ids(3, time), random_ids(3, time, seed=9)
    mask = nn.Transformer.generate_square_subsequent_mask(time)
    logits = encoder(embedding(ids) * math.sqrt(48) + table, mask=mask, is_causal=True) @ embedding.weight.T
    mine, loss = ours(ids, targets)
    assert (mine - logits).abs().max() < 1e-4
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    expected.backward()
    loss.backward()
    for name, parameter in named.items():
        gradient = ours.get_parameter(name).grad
        assert (gradient - parameter.grad).norm() < 1e-4 * parameter.grad.norm() + 1e-7, name


def test_two_hundred_greedy_tokens_at_124m_are_the_same(tmp_path):
    """With a head of its own and a wide spread, so that an untrained model does not say one token for ever."""
    torch.manual_seed(0)
    shape = dict(initializer_range=0.08, tie_word_embeddings=False, bos_token_id=None, eos_token_id=None)
    config = transformers.GPT2Config(**shape)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = GPT.from_pretrained(tmp_path)
    prompt = [464, 1263, 2266, 19938, 318]
    expected = theirs.generate(torch.tensor([prompt]), max_new_tokens=200, do_sample=False, pad_token_id=0)
    got = list(generate(ours, prompt, 200, greedy=True))
    assert got == expected[0, len(prompt) :].tolist() and len(set(got)) > 40
