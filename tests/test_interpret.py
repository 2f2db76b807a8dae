"""Looking inside a GPT: what is recorded is what `transformers` shows, patches do what they say, parts sum to a logit.

Scores, stand-ins and sparse features are held against plain loops.
"""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course.export import to_transformers
from course.interpret import (
    SparseAutoencoder,
    attention_maps,
    attribution,
    induction_scores,
    logit_lens,
    module_at,
    patch,
    previous_token_scores,
    record,
    repeated_tokens,
    stand_in,
    watching,
)
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig

TINY = dict(vocab_size=61, context_length=24, n_layer=3, n_head=4, d_model=32)
KINDS = ("stream", "normed", "qkv", "heads", "attention", "mlp")
PLACES = ["embedding", "final", *(f"{kind}.{i}" for kind in KINDS for i in range(3))]
POST = [place for place in PLACES if not place.startswith("normed")]
VARIANTS = [
    {},
    {"bias": False},
    {"tied_head": False},
    {"positions": "sinusoidal", "activation": "relu"},
    {"positions": "sinusoidal", "tied_head": False, "bias": False, "n_head": 1},
]
each_variant = pytest.mark.parametrize("changes", VARIANTS, ids=str)


def make(**changes) -> GPT:
    """A small model whose biases and LayerNorms are not at 0 and 1, where a mistake in them is not seen."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(**TINY | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.requires_grad_(False)


def some_ids(batch=3, time=17, seed=1, vocab=61):
    return torch.randint(0, vocab, (batch, time), generator=torch.Generator().manual_seed(seed))


def hooks(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


# ---- the places ----------------------------------------------------------------------------------


@given(
    n_head=st.sampled_from([1, 2, 4]), d_head=st.sampled_from([4, 8]), n_layer=st.integers(1, 4),
    time=st.integers(1, 16), d_ff=st.sampled_from([None, 24]), activation=st.sampled_from(["gelu", "relu"]),
    tied_head=st.booleans(), bias=st.booleans(), seed=st.integers(0, 1000),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_places_and_maps_are_those_of_transformers(n_head, d_head, n_layer, time, seed, **options):
    pytest.importorskip("transformers")
    model = make(n_head=n_head, d_model=n_head * d_head, n_layer=n_layer, **options)
    # Theirs always has biases: those of a model without are 0, as they are at the start.
    with_bias = GPT(replace(model.config, bias=True)).eval()
    with_bias.load_state_dict(model.state_dict(), strict=False)
    theirs = to_transformers(with_bias)
    theirs.set_attn_implementation("eager")
    seen = {}
    for i, block in enumerate(theirs.transformer.h):
        for name, module in (("normed", block.ln_1), ("qkv", block.attn.c_attn), ("mlp", block.mlp), ("stream", block)):
            module.register_forward_hook(lambda _, __, out, place=f"{name}.{i}": seen.update({place: out}))
        block.attn.register_forward_hook(lambda _, __, out, i=i: seen.update({f"attention.{i}": out[0]}))
        block.attn.c_proj.register_forward_pre_hook(lambda _, args, i=i: seen.update({f"heads.{i}": args[0]}))
    ids = some_ids(3, time, seed)
    with torch.no_grad():
        answer = theirs(ids, output_hidden_states=True, output_attentions=True)
    places = [f"{kind}.{i}" for i in range(n_layer) for kind in KINDS]
    with record(model, "embedding", "final", *places) as mine:
        model(ids)
    torch.testing.assert_close(mine["embedding"], answer.hidden_states[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mine["final"], answer.hidden_states[-1], atol=1e-5, rtol=1e-5)  # theirs is after ln_f
    for i in range(n_layer - 1):
        torch.testing.assert_close(mine[f"stream.{i}"], answer.hidden_states[i + 1], atol=1e-5, rtol=1e-5)
    for place in places:
        value = mine[place].flatten(2) if place.startswith("heads") else mine[place]
        torch.testing.assert_close(value, seen[place], atol=1e-5, rtol=1e-5)
    assert mine["heads.0"].shape == (3, time, n_head, d_head)
    for i, maps in enumerate(attention_maps(model, ids)):
        assert (maps - answer.attentions[i]).abs().max() < 1e-5
        lens = theirs.lm_head(theirs.transformer.ln_f(seen[f"stream.{i}"]))
        assert (logit_lens(model, mine[f"stream.{i}"]) - lens).abs().max() < 1e-5
    assert torch.equal(logit_lens(model, mine[f"stream.{n_layer - 1}"]), model(ids))


def test_each_place_is_found_and_negative_layers_count_from_the_end():
    model = make()
    assert module_at(model, "embedding") is model.dropout and module_at(model, "final") is model.ln_f
    for layer in (-3, -2, -1, 0, 1, 2):
        block = model.blocks[layer]
        of_block = block, block.ln_1, block.attn.qkv, block.attn.proj, block.attn, block.mlp
        for kind, module in zip(KINDS, of_block, strict=True):
            assert module_at(model, f"{kind}.{layer}") is module
    for kind in KINDS:
        with record(model, f"{kind}.-1", f"{kind}.2") as seen:
            model(some_ids())
        assert torch.equal(seen[f"{kind}.-1"], seen[f"{kind}.2"])


@pytest.mark.parametrize(
    "place",
    ["", ".", "stream", "stream.", "stream.3", "stream.9", "stream.-4", "stream.-", "stream.1.0", "stream.0.5"]
    + [
        "stream. 1",
        "heads.x",
        "embedding.0",
        "embedding.",
        "final.-1",
        "final.",
        "Stream.0",
        "logits",
        "blocks.0",
        ".0",
    ],
)
def test_other_places_are_refused(place):
    model = make()
    with pytest.raises(CourseError, match="there is no place"):
        module_at(model, place)
    for opened in (record(model, "embedding", place), patch(model, place, torch.zeros(1))):
        with pytest.raises(CourseError, match="there is no place"), opened:
            pass
    assert not hooks(model)


def test_post_ln_models_have_all_places_but_one():
    model, ids = make(norm="post"), some_ids()
    with record(model, *POST) as seen:
        logits = model(ids)
    assert seen.keys() == set(POST)
    assert torch.equal(seen["final"], seen["stream.2"]) and torch.equal(model.head(seen["final"]), logits)
    at = torch.zeros(3, dtype=torch.long)
    for refused in (
        lambda: module_at(model, "normed.0"),
        lambda: attention_maps(model, ids),
        lambda: attribution(model, ids, at, model.head.weight[:3]),
    ):
        with pytest.raises(CourseError, match='norm="post"'):
            refused()
    assert not hooks(model)


# ---- hooks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [*VARIANTS, {"norm": "post"}], ids=str)
def test_recording_changes_nothing_and_no_hook_remains(changes):
    model, ids = make(**changes), some_ids()
    places = POST if "norm" in changes else PLACES
    logits = model(ids)
    with record(model, *places) as seen:
        assert hooks(model) == len(places)
        assert torch.equal(model(ids), logits)
    assert not hooks(model) and seen.keys() == set(places)
    kept = {place: value.clone() for place, value in seen.items()}
    assert torch.equal(model(ids), logits)
    model(some_ids(seed=2))  # nothing is recorded any more
    assert all(torch.equal(seen[place], kept[place]) for place in places)


@pytest.mark.parametrize("place", PLACES)
def test_no_hook_remains_after_an_error(place):
    model, ids = make(), some_ids()
    logits = model(ids)

    def fail(value):
        raise ZeroDivisionError

    for opened in (record(model, place), patch(model, place, torch.zeros(1)), watching(model, place, fail)):
        with pytest.raises(ZeroDivisionError), opened:
            assert hooks(model) == 1
            model(ids)
            raise ZeroDivisionError
        assert not hooks(model)
    assert torch.equal(model(ids), logits)


# ---- patches -------------------------------------------------------------------------------------

ATS = [..., np.s_[:, 7], np.s_[1], np.s_[:, 3:9], np.s_[..., 2], np.s_[:, [1, 5]], np.s_[[0, 2], [4, 6]], np.s_[:, -1]]


@pytest.mark.parametrize("place", PLACES)
def test_a_run_patched_into_itself_is_the_same_run(place):
    model, ids = make(), some_ids()
    with record(model, place) as seen:
        logits = model(ids)
    for at in (*ATS, np.s_[:, :, 2], torch.rand(3, 17) < 0.5):
        with patch(model, place, seen[place], at):
            assert torch.equal(model(ids), logits), at


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("at", ATS, ids=str)
def test_a_patch_puts_the_value_at_its_index_and_leaves_the_rest(place, at):
    model, ids = make(), some_ids()
    with record(model, place) as clean:
        model(ids)
    with record(model, place) as other:
        model(some_ids(seed=2))
    expected, given = clean[place].clone(), other[place].clone()
    expected[at] = other[place][at]
    with patch(model, place, other[place], at), record(model, place) as seen:
        model(ids)
    assert torch.equal(seen[place], expected) and torch.equal(other[place], given)


@each_variant
def test_the_whole_stream_of_another_text_gives_its_logits(changes):
    model, ids, other = make(**changes), some_ids(), some_ids(seed=2)
    for place in ("embedding", "stream.0", "stream.1", "stream.-1", "final"):
        with record(model, place) as seen:
            logits = model(other)
        assert not torch.equal(model(ids), logits)
        with patch(model, place, seen[place]):
            assert torch.equal(model(ids), logits)


@pytest.mark.parametrize("place", ["stream.-1", "final", "mlp.-1"])
def test_a_patch_at_the_end_changes_the_logits_of_its_position_only(place):
    model, ids = make(), some_ids()
    logits = model(ids)
    with record(model, place) as seen:
        model(some_ids(seed=2))
    with patch(model, place, seen[place], np.s_[:, 7]):
        changed = (model(ids) != logits).any(-1)  # (B, T)
    assert changed.nonzero()[:, 1].tolist() == [7, 7, 7]


def test_an_earlier_patch_changes_no_logits_before_its_position():
    model, ids = make(), some_ids()
    logits = model(ids)
    for place in PLACES:
        with patch(model, place, torch.ones(1), np.s_[1, 7]):
            changed = (model(ids) != logits).any(-1)
        assert not changed[[0, 2]].any() and not changed[1, :7].any() and changed[1, 7:].any(), place


@pytest.mark.parametrize("head", range(4))
def test_a_head_that_writes_nothing_can_be_patched_with_anything(head):
    model, ids = make(), some_ids()
    model.blocks[1].attn.proj.weight[:, 8 * head : 8 * head + 8] = 0
    logits = model(ids)
    anything = torch.randn(3, 17, 4, 8)
    for patched in range(4):
        with patch(model, "heads.1", anything, np.s_[:, :, patched]):
            assert torch.equal(model(ids), logits) == (patched == head)


@pytest.mark.parametrize("at", ATS, ids=str)
def test_a_patched_value_broadcasts_and_takes_the_precision_of_the_model(at):
    model, ids = make(), some_ids()
    with record(model, "heads.0") as seen:
        model(ids)
    seen["heads.0"][at] = 0.5
    with patch(model, "heads.0", seen["heads.0"]):
        expected = model(ids)
    with patch(model, "heads.0", torch.tensor(0.5, dtype=torch.float64), at):
        assert torch.equal(model(ids), expected)


@pytest.mark.parametrize("place", PLACES)
def test_what_was_recorded_before_a_patch_is_left_alone_and_has_no_gradient(place):
    model, ids = make().requires_grad_(), some_ids()
    with record(model, place) as clean:
        model(ids)
    with record(model, place) as seen, patch(model, place, torch.ones(1), np.s_[:, 7]):
        assert model(ids).requires_grad
    assert torch.equal(seen[place], clean[place]) and not seen[place].requires_grad


# ---- stand-ins -----------------------------------------------------------------------------------


def test_nothing_and_the_mean():
    values = torch.randn(4, 3, 2, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(stand_in(values, "zero"), torch.zeros(4, 3, 2, 5))
    mean = stand_in(values, "mean")
    assert mean.shape == values.shape
    for t in range(3):  # a position's mean is not another's
        expected = sum(values[b, t] for b in range(4)) / 4
        for b in range(4):
            torch.testing.assert_close(mean[b, t], expected)


@given(st.integers(2, 12), st.integers(0, 2**31))
@settings(max_examples=200, deadline=None)
def test_resampling_gives_each_sequence_another_ones_values(batch, seed):
    values = torch.arange(batch * 6).view(batch, 3, 2)
    got = stand_in(values, "resample", torch.Generator().manual_seed(seed))
    assert all(not torch.equal(mine, other) for mine, other in zip(got, values, strict=True))
    assert sorted(got.tolist()) == values.tolist()  # each is used once
    assert torch.equal(got, stand_in(values, "resample", torch.Generator().manual_seed(seed)))


def test_every_other_sequence_is_drawn():
    values, generator = torch.arange(5), torch.Generator().manual_seed(0)
    drawn = {stand_in(values, "resample", generator)[0].item() for _ in range(200)}
    assert drawn == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("batch", "how", "message"),
    [(1, "resample", "at least two"), (0, "resample", "at least two"), (3, "noise", "'noise'"), (3, "", "not ''")],
)
def test_what_no_stand_in_can_be_is_refused(batch, how, message):
    with pytest.raises(CourseError, match=message):
        stand_in(torch.zeros(batch, 2), how)


# ---- attribution ---------------------------------------------------------------------------------


def read_by_hand(model, ids, at, direction) -> dict[str, float]:
    """For one sequence: each part of the stream, and what it moves along `direction` at the scale of this pass."""
    config, d_head, t = model.config, model.config.d_head, at
    parts = {"token": model.wte.weight[ids[t]] * model.scale}
    x = model.embed(ids[None])
    parts["position"] = x[0, t] - parts["token"]
    for i, block in enumerate(model.blocks):
        added = block.attn(block.ln_1(x))
        for head in range(config.n_head):
            without = copy.deepcopy(block.attn)
            without.proj.weight[:, head * d_head : (head + 1) * d_head] = 0
            parts[f"head {i}.{head}"] = (added - without(block.ln_1(x)))[0, t]
        if config.bias:
            parts[f"bias {i}"] = block.attn.proj.bias
        x = x + added
        parts[f"mlp {i}"] = block.mlp(block.ln_2(x))[0, t]
        x = x + block.mlp(block.ln_2(x))
    stream = x[0, t].tolist()
    mean = sum(stream) / len(stream)
    scale = math.sqrt(sum((value - mean) ** 2 for value in stream) / len(stream) + 1e-5)
    gain, centered = model.ln_f.weight, torch.eye(config.d_model).to(x) - 1 / config.d_model
    found = {name: float((centered @ part / scale * gain) @ direction) for name, part in parts.items()}
    if config.bias:
        found["final bias"] = float(model.ln_f.bias @ direction)
    return found


@each_variant
@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_the_parts_sum_to_a_logit_and_to_a_difference_of_two(changes, precision, tolerance):
    model, ids = make(**changes).to(precision), some_ids(5)
    rows, at = torch.arange(5), torch.tensor([0, 3, 9, 15, 16])
    logits = model(ids)[rows, at]  # (B, V)
    one, two = some_ids(2, 5, seed=3)
    W = model.head.weight
    for direction, expected in (
        (W[one], logits[rows, one]),
        (W[one] - W[two], logits[rows, one] - logits[rows, two]),
    ):
        parts = attribution(model, ids, at, direction)
        assert all(part.shape == (5,) and part.dtype == precision for part in parts.values())
        assert (sum(parts.values()) - expected).abs().max() < tolerance
        for b in range(5):
            by_hand = read_by_hand(model, ids[b], at[b], direction[b])
            assert list(parts) == list(by_hand)
            for name, value in by_hand.items():
                assert abs(parts[name][b].item() - value) < tolerance, name
    assert logits.std() > 0.3 and not hooks(model)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_positions_may_count_from_the_end(positions):
    model, ids = make(positions=positions), some_ids()
    direction = model.head.weight[:3]
    expected = attribution(model, ids, torch.tensor([16, 15, 0]), direction)
    for name, part in attribution(model, ids, torch.tensor([-1, -2, -17]), direction).items():
        assert torch.equal(part, expected[name]), name


@pytest.mark.parametrize("wrong", [17, -18, 24])
def test_a_position_outside_the_text_is_an_error(wrong):
    model = make(positions="sinusoidal")
    with pytest.raises(IndexError):
        attribution(model, some_ids(), torch.tensor([0, wrong, 0]), model.head.weight[:3])


# ---- heads by what they look at ------------------------------------------------------------------


def maps_of(look, time, count=2):
    """Maps, (2, count, 3, time, time), of uniform attention; head (1, 2) looks where `look(t)` says, if anywhere."""
    maps = torch.ones(time, time).tril()
    maps = (maps / maps.sum(-1, keepdim=True)).repeat(2, count, 3, 1, 1)
    for t in range(time):
        if look(t) is not None:
            maps[1, :, 2, t] = 0
            maps[1, :, 2, t, look(t)] = 1
    return maps


@pytest.mark.parametrize("time", [2, 3, 11])
def test_previous_token_scores(time):
    scores = previous_token_scores(maps_of(lambda t: max(t - 1, 0), time))
    assert scores.shape == (2, 3) and scores[1, 2] == 1
    uniform = sum(1 / (t + 1) for t in range(1, time)) / (time - 1)
    assert scores[0].tolist() == pytest.approx([uniform] * 3)
    assert previous_token_scores(maps_of(lambda t: t, time))[1, 2] == 0


@pytest.mark.parametrize("length", [1, 2, 3, 8])
def test_induction_scores(length):
    time = 1 + 2 * length
    scores = induction_scores(maps_of(lambda t: t - length + 1 if t > length else None, time), length)
    assert scores.shape == (2, 3) and scores[1, 2] == 1
    uniform = sum(1 / (t + 1) for t in range(1 + length, time)) / length
    assert scores[0].tolist() == pytest.approx([uniform] * 3)
    assert scores[1, :2].tolist() == pytest.approx([uniform] * 2)
    for off in (0, -1):  # at the same token, or at what stood before it
        wrong = maps_of(lambda t, off=off: max(t - length + off, 0), time)
        assert induction_scores(wrong, length)[1, 2] == 0


def test_scores_are_the_means_of_loops_over_a_models_maps():
    model, length = make(), 8
    maps = attention_maps(model, repeated_tokens(model, 4, length, 0, torch.Generator().manual_seed(5)))
    previous, induction = previous_token_scores(maps), induction_scores(maps, length)
    for layer in range(3):
        for head in range(4):
            of = maps[layer, :, head].tolist()
            found = [of[b][t][t - 1] for b in range(4) for t in range(1, 17)]
            assert previous[layer, head].item() == pytest.approx(sum(found) / len(found), rel=1e-5)
            found = [of[b][t][t - length + 1] for b in range(4) for t in range(1 + length, 17)]
            assert induction[layer, head].item() == pytest.approx(sum(found) / len(found), rel=1e-5)


@given(st.integers(1, 5), st.integers(1, 11), st.integers(0, 60), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_repeated_tokens(count, length, first, seed):
    model = make(n_layer=1)
    ids = repeated_tokens(model, count, length, first, torch.Generator().manual_seed(seed))
    assert ids.shape == (count, 1 + 2 * length)
    for row in ids.tolist():
        assert row[0] == first and row[1 : 1 + length] == row[1 + length :]
        assert all(0 <= token < 61 for token in row)
    assert torch.equal(ids, repeated_tokens(model, count, length, first, torch.Generator().manual_seed(seed)))
    model(ids)


def test_repeated_tokens_are_of_the_whole_vocabulary():
    ids = repeated_tokens(make(), 100, 11, 60, torch.Generator().manual_seed(0))
    assert set(ids[:, 1:].flatten().tolist()) == set(range(61))


# ---- features ------------------------------------------------------------------------------------


def sparse_examples(count, directions, active=3, seed=0):
    """Sums of few of the directions, away from 0 and not of length 1."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(count, len(directions), generator=generator).topk(active).indices
    strength = torch.zeros(count, len(directions))
    strength.scatter_(1, chosen, torch.rand(count, active, generator=generator) + 0.5)
    return 7 * strength @ directions + torch.arange(directions.shape[1])


@pytest.fixture
def directions():
    generator = torch.Generator().manual_seed(0)
    return torch.nn.functional.normalize(torch.randn(32, 16, generator=generator), dim=-1)


def test_an_autoencoder_starts_with_directions_of_length_1(directions):
    torch.manual_seed(0)
    x = sparse_examples(500, directions)
    model = SparseAutoencoder(x, 40, 3)
    assert model.decoder.shape == (40, 16)
    torch.testing.assert_close(model.decoder.norm(dim=-1), torch.ones(40))
    assert torch.equal(model.encoder, model.decoder) and not model.bias.any()
    brought = (x - model.mean) / model.scale
    torch.testing.assert_close(brought.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    assert brought.norm(dim=-1).mean().item() == pytest.approx(4)  # the root of 16
    assert {name for name, _ in model.named_parameters()} == {"decoder", "encoder", "bias"}
    assert {"mean", "scale"} < model.state_dict().keys()


@given(st.integers(1, 20), st.integers(1, 20), st.floats(-5, 5), st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_no_more_than_k_features_and_the_sum_of_their_directions(k, more, bias, seed):
    torch.manual_seed(seed)
    x = torch.randn(3, 5, 8) * 2 + 1
    model = SparseAutoencoder(x.flatten(0, 1), k + more, k)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        model.bias.add_(bias)
        found, rewritten = model.features(x), model(x)
    assert found.shape == (3, 5, k + more) and (found >= 0).all() and ((found > 0).sum(-1) <= k).all()
    decoder, encoder = model.decoder.tolist(), model.encoder
    for vector, strengths, answer in zip(x.view(-1, 8), found.flatten(0, 1), rewritten.flatten(0, 1), strict=True):
        scaled = (vector - model.mean) / model.scale
        raw = [max(0.0, (encoder[f] @ scaled + model.bias[f]).item()) for f in range(k + more)]
        least = sorted(raw)[-k]
        assert strengths.tolist() == pytest.approx([s if s >= least else 0 for s in raw], abs=1e-4)
        total = [0.0] * 8
        for strength, direction in zip(strengths.tolist(), decoder, strict=True):
            total = [sum_ + strength * part for sum_, part in zip(total, direction, strict=True)]
        expected = torch.tensor(total) * model.scale + model.mean
        torch.testing.assert_close(answer, expected, atol=1e-3, rtol=1e-4)


def test_an_autoencoder_learns_sparse_examples(directions):
    torch.manual_seed(0)
    x, held_out = sparse_examples(4096, directions), sparse_examples(1000, directions, seed=1)
    model = SparseAutoencoder(x, 64, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    of_mean = (held_out - model.mean).square().mean().item()
    before = (model(held_out) - held_out).square().mean().item()
    for step in range(200):
        batch = x[step % 8 * 512 :][:512]
        loss = ((model(batch) - batch) / model.scale).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = (model(held_out) - held_out).square().mean().item()
    assert after < 0.2 * of_mean and after < 0.3 * before
    found = torch.nn.functional.normalize(model.decoder, dim=-1) @ directions.T
    assert found.amax(0).min() > 0.9  # every direction that the examples were made of is one of its own
