"""What came since GPT-2: every part beside `transformers`' own or an enumeration, and the model that they make."""

import copy
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.checkpoint import load_model, save_model
from helpers.dataset import StorySampler, tokenize_stories
from helpers.errors import CourseError
from helpers.evaluation import mean_loss, story_rows
from helpers.generation import generate, generate_batch
from helpers.kv_cache import KVCache, StreamingCache
from helpers.model import GPT, GPTConfig
from helpers.modern import (
    GroupedQueryAttention,
    Mixture,
    ModernConfig,
    ModernGPT,
    RMSNorm,
    SwiGLU,
    imbalance,
    repeat_heads,
    rotary_frequencies,
    rotate,
    sees,
    stretched_base,
    swiglu_width,
)
from helpers.settings import HardwareConfig, TrainingSettings
from helpers.tokenizer import train_tokenizer
from helpers.train_step import loss_of, unpadded
from helpers.training import Trainer

transformers = pytest.importorskip("transformers")

SHAPE = dict(vocab_size=61, context_length=24, n_layer=2, n_head=4, d_model=32)
KINDS = {
    "Llama": {},
    "shared keys": dict(n_kv_head=2),
    "one head of keys, QK-norm": dict(n_kv_head=1, qk_norm=True),
    "a window": dict(window=5),
    "a window and sinks": dict(window=5, sinks=2, n_kv_head=2),
    "experts": dict(n_expert=4),
    "a cap": dict(logit_cap=3.0),
    "a window in GPT-2": dict(rms_norm=False, rotary=False, swiglu=False, bias=True, tied_head=True, window=4),
}
# Examples are generated and not shrunk: a failing one is small, and each costs a model's call.
QUICK = settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate])


def shaken(module: nn.Module, spread: float = 0.2, seed: int = 1) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * spread)
    return module


def made(seed: int = 0, **changes) -> ModernGPT:
    torch.manual_seed(seed)
    return shaken(ModernGPT(ModernConfig.llama(**SHAPE | changes)).eval())


def random(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_ids(batch: int, time: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, SHAPE["vocab_size"], (batch, time), generator=torch.Generator().manual_seed(seed))


def assert_alike(ours, theirs, x: torch.Tensor, pairs, call_theirs=None, tolerance: float = 1e-5) -> None:
    """The same values, and the same gradients of input and weights, within 1e-5 for values of the size of one."""
    mine, other = (x.clone().requires_grad_() for _ in range(2))
    out, expected = ours(mine), (call_theirs or theirs)(other)
    assert (out - expected).abs().max() < tolerance
    weight = random(*out.shape, seed=9) / out[0].numel() ** 0.5
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    for a, b in [(mine, other), *pairs()]:
        b = b if torch.is_tensor(b) and not b.requires_grad else b.grad
        assert (a.grad - b).abs().max() < tolerance * min(1, 10 * b.abs().max())  # small gradients are held to more
        assert b.abs().max() > 1e-3  # there is something to compare


# ---------------------------------------------------------------------- parts beside the library's


def test_rms_norm_is_that_of_torch_and_of_llama():
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    x = random(3, 7, 16) * 2
    for theirs in (nn.RMSNorm(16, eps=1e-6), LlamaRMSNorm(16, eps=1e-6)):
        ours = RMSNorm(16)
        shaken(theirs)
        ours.load_state_dict(theirs.state_dict())
        assert_alike(ours, theirs, x, lambda a=ours, b=theirs: [(a.weight, b.weight)])


def test_rms_norm_does_not_overflow_in_half_precision():
    assert RMSNorm(8).half()(torch.full((8,), 1000.0, dtype=torch.float16)).tolist() == [1.0] * 8


def their_config(config: ModernConfig, **more):
    return transformers.LlamaConfig(
        vocab_size=config.vocab_size, hidden_size=config.d_model, intermediate_size=config.d_ff,
        num_hidden_layers=config.n_layer, num_attention_heads=config.n_head, num_key_value_heads=config.n_kv_head,
        max_position_embeddings=config.context_length, attn_implementation="eager", **more,
    )  # fmt: skip


@pytest.mark.parametrize("by", ["nothing", "interpolation", "base"])
def test_rotary_positions_are_those_of_llama(by):
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

    config, rope = ModernConfig.llama(**SHAPE), {"rope_type": "default", "rope_theta": 10_000.0}
    ours = rotary_frequencies(config.d_head)
    if by == "interpolation":
        ours = rotary_frequencies(config.d_head, interpolation=4.0)
        rope = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}
    if by == "base":
        base = stretched_base(10_000.0, 4, config.d_head)
        ours, rope = rotary_frequencies(config.d_head, base), {"rope_type": "default", "rope_theta": base}
        plain = rotary_frequencies(config.d_head)
        assert ours[0] == plain[0] and ours[-1].item() == pytest.approx(plain[-1].item() / 4)
    theirs = LlamaRotaryEmbedding(their_config(config, rope_parameters=rope))
    positions = torch.tensor([[0, 1, 2, 9, 17], [3, 4, 5, 6, 23]])
    q, k = random(2, 4, 5, config.d_head), random(2, 4, 5, config.d_head, seed=4)
    mine = [each.clone().requires_grad_() for each in (q, k)]
    other = [each.clone().requires_grad_() for each in (q, k)]
    got = [rotate(each, positions, ours) for each in mine]
    expected = apply_rotary_pos_emb(*other, *theirs(q, positions))
    for a, b in zip(got, expected, strict=True):
        assert (a - b).abs().max() < 1e-5
    (got[0] * got[1]).sum().backward()
    (expected[0] * expected[1]).sum().backward()
    for a, b in zip(mine, other, strict=True):
        assert (a.grad - b.grad).abs().max() < 1e-5


def test_swiglu_is_that_of_llama():
    from transformers.models.llama.modeling_llama import LlamaMLP

    config = ModernConfig.llama(**SHAPE)
    ours, theirs = shaken(SwiGLU(config)), LlamaMLP(their_config(config))
    pairs = [(ours.gate, theirs.gate_proj), (ours.fc, theirs.up_proj), (ours.proj, theirs.down_proj)]
    for a, b in pairs:
        b.load_state_dict(a.state_dict())
    assert_alike(ours, theirs, random(3, 7, 32), lambda: [(a.weight, b.weight) for a, b in pairs])


@pytest.mark.parametrize("n_kv_head", [4, 2, 1])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_attention_is_that_of_llama_and_with_qk_norm_that_of_qwen3(n_kv_head, qk_norm):
    from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding
    from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

    config = ModernConfig.llama(**SHAPE, n_kv_head=n_kv_head, qk_norm=qk_norm)
    ours = shaken(GroupedQueryAttention(config))
    if qk_norm:
        shape = their_config(config).to_dict()
        keys = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                "num_key_value_heads", "max_position_embeddings")  # fmt: skip
        shape = {key: shape[key] for key in keys} | {"head_dim": config.d_head, "attn_implementation": "eager"}
        theirs = Qwen3Attention(transformers.Qwen3Config(**shape), 0)
        theirs.q_norm.load_state_dict(ours.q_norm.state_dict())
        theirs.k_norm.load_state_dict(ours.k_norm.state_dict())
    else:
        theirs = LlamaAttention(their_config(config), 0)
    rows = [heads * config.d_head for heads in (4, n_kv_head, n_kv_head)]
    parts = [theirs.q_proj, theirs.k_proj, theirs.v_proj]
    with torch.no_grad():
        for part, weight in zip(parts, ours.qkv.weight.split(rows), strict=True):
            part.weight.copy_(weight)
        theirs.o_proj.weight.copy_(ours.proj.weight)
    T = 11
    turn = LlamaRotaryEmbedding(their_config(config))(random(1), torch.arange(T)[None])
    mask = torch.full((T, T), -torch.inf).triu(1)[None, None]

    def pairs():
        joined = torch.cat([part.weight.grad for part in parts])
        found = [(ours.qkv.weight, joined), (ours.proj.weight, theirs.o_proj.weight)]
        if qk_norm:
            found += [(ours.q_norm.weight, theirs.q_norm.weight), (ours.k_norm.weight, theirs.k_norm.weight)]
        return found

    assert_alike(ours, theirs, random(2, T, 32), pairs, lambda x: theirs(x, turn, mask)[0])


# ---------------------------------------------------------------------- what the parts promise


@QUICK
@given(seed=st.integers(0, 99), shift=st.integers(-40, 1000), base=st.sampled_from([10.0, 10_000.0, 1e6]))
def test_scores_depend_on_distance_only(seed, shift, base):
    q, k = random(1, 2, 6, 8, seed=seed).double(), random(1, 2, 6, 8, seed=seed + 100).double()
    turns, positions = rotary_frequencies(8, base).double(), torch.arange(6).double()
    scores, moved = (rotate(q, positions + by, turns) @ rotate(k, positions + by, turns).mT for by in (0, shift))
    assert (scores - moved).abs().max() < 1e-9
    assert (rotate(q, positions, turns).norm(dim=-1) - q.norm(dim=-1)).abs().max() < 1e-9
    again = rotate(rotate(q, positions, turns), positions * 0 - 2, turns)  # rotations add up
    assert (again - rotate(q, positions - 2, turns)).abs().max() < 1e-9


class Later(KVCache):
    """A cache that counts positions from 6 on."""

    def positions(self, ids: torch.Tensor) -> torch.Tensor:
        return super().positions(ids) + 6


@pytest.mark.parametrize("rotary", [True, False])
def test_a_text_that_stands_later_has_the_same_logits_only_if_positions_are_rotated(rotary):
    model = made(rotary=rotary)
    here, later = (kind(model).start([[5, 9, 17, 3]]) for kind in (KVCache, Later))
    assert ((here - later).abs().max() < 1e-5) == rotary


@QUICK
@given(heads=st.sampled_from([1, 2, 3]), times=st.integers(1, 4))
def test_repeated_keys_are_each_heads_own_copy(heads, times):
    x = random(2, heads, 5, 4)
    repeated = repeat_heads(x, heads * times)
    for head in range(heads * times):
        assert torch.equal(repeated[:, head], x[:, head // times])


@settings(max_examples=100, deadline=None)
@given(new=st.integers(1, 6), past=st.integers(0, 6), window=st.none() | st.integers(1, 9), sinks=st.integers(0, 3))
def test_the_window_by_enumeration(new, past, window, sinks):
    keys = torch.arange(past + new)
    mask = sees(keys[past:], keys, window, sinks)
    for row, query in enumerate(range(past, past + new)):
        for key in range(past + new):
            before = key <= query
            inside = window is None or query - key < window or key < sinks
            assert mask[row, key] == (before and inside)


def test_a_window_hides_what_is_too_far_and_sinks_show_the_beginning():
    near, with_sinks = (made(n_layer=1, window=4, sinks=sinks).blocks[0].attn for sinks in (0, 2))
    x = random(1, 12, 32)
    for attn, seen in ((near, {8, 9, 10, 11}), (with_sinks, {0, 1, 8, 9, 10, 11})):
        weights = attn.weights(x)[0, :, 11]
        assert {i for i in range(12) if weights[:, i].max() > 0} == seen
        assert torch.allclose(weights.sum(-1), torch.ones(4))


@pytest.mark.parametrize("kind", KINDS)
def test_the_attention_map_is_what_mixes_the_values(kind):
    attn, x = made(**KINDS[kind]).blocks[0].attn, random(2, 12, 32)
    v = attn.heads(x, torch.arange(12))[2]
    mixed = attn.weights(x) @ repeat_heads(v, 4)
    assert (attn(x) - attn.proj(mixed.transpose(1, 2).flatten(2))).abs().max() < 1e-5


def test_the_gated_network_has_as_many_weights():
    for width in (48, 96, 128, 768, 4096):
        assert 3 * width * swiglu_width(width) == pytest.approx(8 * width**2, rel=0.02)
    assert swiglu_width(96) == 256 and swiglu_width(8, multiple=1) == 21
    for experts in (0, 8):
        config = ModernConfig(**SHAPE | {"d_model": 96}, swiglu=True, n_expert=experts, top_k=2)
        assert config.d_ff == (128 if experts else 256)  # two experts read a token


def test_a_capped_head_stays_below_its_cap_and_near_zero_does_nothing():
    model = made(logit_cap=2.0)
    logits = model(random_ids(2, 9))
    assert logits.abs().max() < 2
    plain = F.linear(model.hidden(random_ids(2, 9)), model.head.weight)
    assert torch.allclose(logits, 2 * torch.tanh(plain / 2)) and plain.abs().max() > 2


# ---------------------------------------------------------------------- experts


def mixture(**changes) -> Mixture:
    config = ModernConfig.llama(**SHAPE, **dict(n_expert=4, d_ff=24) | changes)
    torch.manual_seed(0)
    return shaken(Mixture(config))


def one_by_one(layer: Mixture, x: torch.Tensor) -> torch.Tensor:
    """Each token alone, its experts found by sorting."""
    rows = []
    for token in x.flatten(0, 1):
        scores = layer.router.weight @ token
        best = sorted(range(len(scores)), key=lambda i: -scores[i].item())[: layer.top_k]
        odds = torch.stack([scores[i] for i in best]).exp()
        whole = odds.sum() if layer.top_k > 1 else scores.exp().sum()  # alone an expert keeps its probability
        rows.append(sum(odds[n] / whole * layer.experts[i](token[None])[0] for n, i in enumerate(best)))
    return torch.stack(rows).view_as(x)


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_a_mixture_by_enumeration(top_k):
    layer = mixture(top_k=top_k)
    twin = copy.deepcopy(layer)
    pairs = [*zip(layer.experts.parameters(), twin.experts.parameters(), strict=True)]
    pairs += [(layer.router.weight, twin.router.weight)]
    assert_alike(layer, twin, random(2, 9, 32), lambda: pairs, lambda x: one_by_one(twin, x))


def test_a_mixture_is_that_of_mixtral():
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock, load_balancing_loss_func

    layer = mixture()
    theirs = MixtralSparseMoeBlock(
        transformers.MixtralConfig(
            hidden_size=32, intermediate_size=24, num_local_experts=4, num_experts_per_tok=2, router_jitter_noise=0.0
        )
    )
    with torch.no_grad():
        theirs.gate.weight.copy_(layer.router.weight)
        for number, expert in enumerate(layer.experts):
            theirs.experts.gate_up_proj[number].copy_(torch.cat([expert.gate.weight, expert.fc.weight]))
            theirs.experts.down_proj[number].copy_(expert.proj.weight)
    x = random(2, 9, 32)
    assert (layer(x) - theirs(x)).abs().max() < 1e-5
    loss = load_balancing_loss_func((layer.router(x.flatten(0, 1)),), 4, 2)
    assert loss.item() == pytest.approx(2 * layer.imbalance.item(), rel=1e-5)  # theirs counts each of the two choices


def test_the_imbalance_is_one_where_all_are_equally_busy():
    even = torch.full((8, 4), 0.25)
    chosen = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0]] * 2)
    assert imbalance(even, chosen).item() == pytest.approx(1)
    one = torch.eye(4)[:1].repeat(8, 1)
    assert imbalance(one, torch.zeros(8, 1, dtype=torch.long)).item() == pytest.approx(4)
    logits = random(64, 4).requires_grad_()
    for _ in range(300):  # followed downhill it makes busy experts less likely
        odds = logits.softmax(-1)
        (gradient,) = torch.autograd.grad(imbalance(odds, odds.topk(2).indices), logits)
        logits = (logits - 5 * gradient).detach().requires_grad_()
    counts = logits.topk(2).indices.flatten().bincount(minlength=4)
    assert counts.max() - counts.min() <= 8


# ---------------------------------------------------------------------- the model


def test_left_alone_it_is_gpt2_bit_for_bit():
    shape = GPTConfig(**SHAPE, dropout=0.1)
    torch.manual_seed(0)
    old = GPT(shape)
    torch.manual_seed(0)
    new = ModernGPT(ModernConfig(**asdict(shape)))
    assert [name for name, _ in new.named_parameters()] == [name for name, _ in old.named_parameters()]
    ids = random_ids(3, 24)
    found = []
    for model in (old, new):
        torch.manual_seed(7)  # of the dropout
        loss = model.loss(ids, ids.roll(-1, 1))
        loss.backward()
        found.append([loss, *(each for each in model.parameters()), *(each.grad for each in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_cache_and_without_it_the_same(kind):
    """Sequences of unequal length, one token after the other, until the context slides."""
    model, sequences = made(**KINDS[kind]), [[1, 2, 3, 4, 5, 6, 7, 8, 9], [5, 6], [7, 8, 9, 3]]
    cache = KVCache(model)
    logits = cache.start(sequences)
    for step in range(18):
        with torch.inference_mode():
            alone = torch.stack([model(torch.tensor([each[-24:]]))[0, -1] for each in sequences])
        assert (logits - alone).abs().max() < 1e-4, step
        sequences = [[*each, (7 * step + number) % 61] for number, each in enumerate(sequences)]
        logits = cache.append([each[-1] for each in sequences])
    assert cache.layers[0].keys.shape[1] == model.config.n_kv_head  # shared keys are kept once


@pytest.mark.parametrize("changes", [{}, dict(n_kv_head=2, qk_norm=True, interpolation=2.0, rope_base=50.0)])
@pytest.mark.parametrize("sinks", [0, 3])
def test_a_stream_is_read_as_its_beginning_and_its_newest_tokens(changes, sinks):
    """With one layer keys know nothing of what was before them, so the text without its middle is the whole truth."""
    model = made(n_layer=1, **changes)
    cache, texts = StreamingCache(model, sinks), random_ids(2, 90).tolist()
    logits = cache.start([text[:20] for text in texts])
    for end in range(20, 90):
        kept = [text[:end] if end <= 24 else text[:sinks] + text[end - 24 + sinks : end] for text in texts]
        with torch.inference_mode():
            assert (logits - model(torch.tensor(kept))[:, -1]).abs().max() < 1e-4, end
        logits = cache.append([text[end] for text in texts])
    assert cache.layers[0].keys.shape[2] <= 2 * 24  # what is kept does not grow


def test_a_stream_that_cannot_be_is_refused():
    with pytest.raises(CourseError, match="only rotated positions"):
        StreamingCache(made(rotary=False))
    with pytest.raises(CourseError, match="sinks must leave room"):
        StreamingCache(made(), sinks=23)
    with pytest.raises(CourseError, match="of one length"):
        StreamingCache(made()).start([[1, 2], [3]])


@pytest.mark.parametrize("kind", KINDS)
def test_the_future_is_not_seen_and_the_loss_is_the_logits(kind):
    model, ids = made(**KINDS[kind]), random_ids(2, 24)
    logits, loss = model(ids, ids)
    changed = ids.clone()
    changed[:, 15:] = (changed[:, 15:] + 1) % 61
    assert torch.equal(model(changed)[:, :15], logits[:, :15]) or (
        (model(changed)[:, :15] - logits[:, :15]).abs().max() < 1e-5
    )
    assert loss.item() == pytest.approx(F.cross_entropy(logits.flatten(0, 1), ids.flatten()).item(), rel=1e-6)
    assert GPT.loss(model, ids, ids).item() == loss.item()


def test_while_it_trains_the_loss_holds_z_loss_and_balance():
    model, ids = made(n_expert=4, z_loss=1e-2, balance=0.1), random_ids(2, 24)
    targets = ids.clone()
    targets[:, :4] = -100
    logits, plain = model(ids, targets)
    more = model.train()(ids, targets)[1] - plain
    z = torch.logsumexp(logits[:, 4:], -1).pow(2).mean()
    each = torch.stack([block.mlp.imbalance for block in model.blocks])
    assert more.item() == pytest.approx((1e-2 * z + 0.1 * each.mean()).item(), rel=1e-4)
    more.backward()
    assert model.blocks[0].mlp.router.weight.grad.abs().max() > 0


def test_a_loss_that_is_more_than_cross_entropy_is_not_computed_in_chunks():
    chunked = HardwareConfig(loss="chunked")
    ids = random_ids(2, 24)
    for changes in ({}, dict(logit_cap=2.0), dict(n_expert=4), dict(z_loss=0.1)):
        model = made(**changes).train()
        expected = model.loss(ids, ids)
        assert loss_of(model, chunked)(ids, ids).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_scored_generates_and_loses_the_rows_that_padded_it(kind):
    model = made(**KINDS[kind], vocab_size=64)
    smaller = unpadded(model, 61)
    ids = random_ids(2, 20)
    assert torch.allclose(smaller(ids), model(ids)[..., :61], atol=1e-6)
    assert 0 < mean_loss(smaller, [[1, 5, 9, 2], [1, 7, 2]]) < 30
    told = generate_batch(smaller, [[1, 5], [9]], 12, greedy=True)
    assert told == [list(generate(smaller, prompt, 12, greedy=True)) for prompt in ([1, 5], [9])]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(n_kv_head=3), "multiple of n_kv_head"),
        (dict(n_kv_head=0), "n_kv_head must be a whole number, 1 or more"),
        (dict(window=0), "window must be"),
        (dict(window=2.0), "window must be"),
        (dict(n_expert=1, top_k=2), "top_k"),
        (dict(n_head=32, rotary=True), "even"),
        (dict(norm="post"), "norm must be 'pre'"),
        (dict(logit_cap=0), "logit_cap"),
        (dict(rope_base=float("nan")), "rope_base"),
        (dict(balance=-1), "balance"),
        (dict(d_model="wide"), "d_model must be a whole number"),
        (dict(swiglu=True, d_ff=0), "d_ff must be a whole number"),
    ],
)
def test_what_no_model_can_have_is_refused(changes, said):
    with pytest.raises(CourseError, match=said):
        ModernConfig(**SHAPE | changes)


# ---------------------------------------------------------------------- training

TEXTS = [f"{name} had a {thing}." for name in ("Pip", "Ann", "Tom") for thing in ("kite", "ball", "drum")]


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("changes", [dict(n_kv_head=2, qk_norm=True), dict(n_expert=4, z_loss=1e-3)])
def test_a_trainer_trains_it_and_a_stopped_run_ends_with_the_same_weights(changes, optimizer, tmp_path):
    tokenizer = train_tokenizer(TEXTS, 280)
    tokens = tokenize_stories(TEXTS, tokenizer, tmp_path / "tokens", progress=False)
    rows = story_rows(tokenizer, TEXTS[:3])
    length = TrainingSettings.of(
        batch_size=2, steps=20, kind=optimizer, lr=0.01, eval_every=10, sample_every=15, log_every=1, checkpoint_every=5
    )
    entries = tokenizer.vocab_size
    config = ModernConfig.llama(**SHAPE | {"vocab_size": entries + 4}, **changes)  # a vocabulary that is padded

    def run(folder, **options):
        torch.manual_seed(0)
        sampler = StorySampler(tokens, 2, config.context_length, 0)
        return Trainer(
            ModernGPT(config), sampler, length, progress=False, tokenizer=tokenizer, validation=rows, folder=folder,
            **options,
        )  # fmt: skip

    whole = run(tmp_path / "whole")
    before = mean_loss(whole.unpadded, rows)
    assert whole.run().stopped == "finished"
    assert mean_loss(whole.unpadded, rows) < before - 0.5
    assert run(tmp_path / "halves", callback=lambda row: row["step"] == 7).run().steps == 7
    halves = run(tmp_path / "halves").resume()
    assert halves.run().steps == 20
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), halves.model.parameters(), strict=True))
    loaded, _ = load_model(tmp_path / "halves")
    assert loaded.config == replace(config, vocab_size=entries)
    assert isinstance(loaded, ModernGPT)
    assert torch.equal(loaded(torch.tensor([rows[0]])), whole.unpadded(torch.tensor([rows[0]])))


def test_a_saved_model_is_loaded_as_what_it_was(tmp_path):
    tokenizer = train_tokenizer(TEXTS, 280)
    model = made(vocab_size=280, n_kv_head=2, tied_head=True)
    save_model(tmp_path / "model", model, tokenizer)
    loaded, _ = load_model(tmp_path / "model")
    assert loaded.config == model.config
    assert torch.equal(loaded(random_ids(1, 9)), model(random_ids(1, 9)))
