"""The instruments, each held to something not made with it: autograd, the course's own evaluation, simulation."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course.clinic import instruments
from helpers.dataset import StorySampler, WindowSampler, tokenize_stories
from helpers.evaluation import evaluating, mean_loss, score_rows
from helpers.kv_cache import KVCache
from helpers.model import GPT, GPTConfig
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

V, T = 19, 12


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(seed: int = 0, std: float | None = None, **changes) -> GPT:
    torch.manual_seed(seed)
    model = GPT(GPTConfig(**dict(vocab_size=V, context_length=T, n_layer=2, n_head=2, d_model=8) | changes))
    for parameter in model.parameters() if std else ():
        nn.init.normal_(parameter, std=std)
    return model.eval()


def batch(rows: int = 3, time: int = T) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(V, (rows, time + 1), generator=torch.Generator().manual_seed(7))
    return ids[:, :-1], ids[:, 1:]


def sgd(model, loss, batches, steps, lr):
    """The plainest training there is."""
    for _ in range(steps):
        value = loss(model, *next(batches))
        model.zero_grad()
        value.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= lr * parameter.grad
        yield value.item(), 0.0


# ---------------------------------------------------------------------- looking inside


def test_outputs_are_what_the_modules_give_in_the_order_in_which_they_finish():
    model, (ids, _) = small(std=0.5), batch()
    kept = instruments.outputs(model, ids)
    with torch.no_grad():
        x = model.embed(ids)
        middle = x + model.blocks[0].attn(model.blocks[0].ln_1(x))
        assert torch.equal(kept["blocks.0.mlp.fc"], model.blocks[0].mlp.fc(model.blocks[0].ln_2(middle)))
        assert torch.equal(kept[""], model(ids))
    names = list(kept)
    assert names.index("blocks.0.attn.proj") < names.index("blocks.0.attn") < names.index("blocks.0")
    assert names.index("blocks.0") < names.index("blocks.1.attn.qkv") and names[-1] == ""
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_go_also_where_the_model_raises():
    model = small()
    with pytest.raises(Exception, match="outside the vocabulary"):
        instruments.outputs(model, torch.full((1, 3), V))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("way", ["plain", "in the model", "sum", "shifted again", "hidden", "smaller"])
def test_what_a_loss_asks_for_is_read_off_its_gradient(way):
    model, (inputs, targets) = small(std=0.5), batch()
    targets = targets.clone()
    targets[1, 5:] = -100

    def loss(model, inputs, targets):
        if way == "in the model":
            return model.loss(inputs, targets)
        logits = model(inputs)
        if way == "shifted again":
            logits, targets = logits[:, :-1], targets[:, 1:]
        if way == "hidden":
            targets = targets.where(targets != 3, -100)
        if way == "smaller":
            return F.cross_entropy(logits.flatten(0, 1), targets.flatten()) / 1000
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum" if way == "sum" else "mean")

    expected = targets
    if way == "shifted again":
        expected = torch.cat([targets[:, 1:], torch.full((3, 1), -100)], dim=1)
    if way == "hidden":
        assert (targets == 3).any()
        expected = targets.where(targets != 3, -100)
    assert torch.equal(instruments.asked(model, loss, inputs, targets), expected)
    assert all(parameter.grad is None for parameter in model.parameters())


# ---------------------------------------------------------------------- before the first step


def test_the_first_loss_of_a_model_that_knows_nothing_and_of_one_that_knows_all():
    model, (inputs, targets) = small(), batch()
    nn.init.zeros_(model.wte.weight)  # and so is the head
    assert instruments.first_loss(model, GPT.loss, inputs, targets) == pytest.approx(0, abs=1e-6)

    def knowing(model, inputs, targets):
        return F.cross_entropy(1e3 * F.one_hot(targets, V).float().flatten(0, 1), targets.flatten())

    assert instruments.first_loss(model, knowing, inputs, targets) == pytest.approx(-math.log(V))


@pytest.mark.parametrize("packing", ["packed", "padded", "windows"])
def test_batches_of_the_course_are_as_they_should_be(tmp_path, packing):
    tokenizer = load_tokenizer("bundled")
    tokens = tokenize_stories(load_stories("bundled", limit=60), tokenizer, tmp_path, progress=False)
    if packing == "windows":
        sampler = WindowSampler(tokens, 6, 300)
    else:
        sampler = StorySampler(tokens, 6, 300, seed=0, packed=packing == "packed")
    inputs, targets = sampler.next_batch()
    found = instruments.what_enters(inputs, targets, tokenizer.eos_token_id)
    assert found["next"] == 1 and found["padding"] == 0 and found["distinct"] == 1
    assert found["same"] < 0.05 and found["after_next"] < 0.1 and found["ends"] > 0
    ends = sum((row == tokenizer.eos_token_id).sum().item() for row in targets)
    assert found["ends"] == pytest.approx(ends / 6)


# ---------------------------------------------------------------------- one position, one row, one layer


def test_a_leak_of_the_future_is_where_the_jacobian_is_not_zero(monkeypatch):
    model, (ids, _) = small(std=0.5), batch()

    def of_the_future() -> float:
        """The gradient of each position's logits with respect to the vectors of later tokens."""
        kept = []
        hook = model.wte.register_forward_hook(lambda module, args, output: kept.append(output))
        logits = model(ids)
        hook.remove()
        parts = (torch.autograd.grad(logits[:, t].square().sum(), kept, retain_graph=True)[0] for t in range(T))
        return max(part[:, t + 1 :].abs().max().item() for t, part in zip(range(T - 1), parts, strict=False))

    assert instruments.future_leak(model, ids) == of_the_future() == 0
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda q, k, v, mask, dropout, is_causal: fused(q, k, v, mask, dropout)
    )
    assert of_the_future() > 1e-3 and instruments.future_leak(model, ids) > 1e-3


def test_with_dropout_a_causal_model_has_no_leak_and_keeps_its_mode():
    model, (ids, _) = small(std=0.5, dropout=0.5).train(), batch()
    assert instruments.future_leak(model, ids) == 0 and model.training


def test_rows_are_strangers_but_for_a_normalization_over_them():
    model, (ids, _) = small(std=0.5), batch()
    assert instruments.row_leak(model, ids) == 0

    class OverRows(nn.Module):
        def forward(self, x):
            return (x - x.mean(dim=0)) / x.std(dim=0)

    model.ln_f = OverRows()
    with torch.no_grad():
        other = ids.clone()
        other[1] = (other[1] + 1) % V
        assert (model(other) - model(ids))[0].abs().max() > 1e-3  # row 0 hears of row 1
    assert 0.01 < instruments.row_leak(model, ids) < 1


def test_attention_along_the_wrong_axis_is_a_leak_between_rows_also_with_a_causal_mask():
    model, (ids, _) = small(std=0.5), batch()

    class OverTheBatch(nn.Module):
        """`nn.MultiheadAttention` takes (T, B, d_model) where nobody says otherwise."""

        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(8, 2)

        def forward(self, x, cache=None):
            mask = nn.Transformer.generate_square_subsequent_mask(len(x))
            return self.inner(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)[0]

    model.blocks[0].attn = OverTheBatch()
    with torch.no_grad():
        changed = [
            (model(other) - model(ids))[row].abs().max().item()
            for other, row in ((others(ids, 2), 0), (others(ids, 0), 2))
        ]
    assert changed[0] == 0 and changed[1] > 1e-3  # the first row hears of nobody, the last of all
    assert instruments.row_leak(model, ids) > 0.01 and instruments.future_leak(model, ids) == 0
    assert instruments.first_nonfinite(model, ids) == ""  # a module that gives a pair is no trouble


def others(ids: torch.Tensor, row: int) -> torch.Tensor:
    changed = ids.clone()
    changed[row] = (changed[row] + 1) % V
    return changed


def test_two_ways_to_write_attention_do_not_differ_and_a_changed_matrix_is_found():
    from course.clinic import healthy

    model, (ids, _) = small(std=0.3), batch()
    plain = copy.deepcopy(model)
    for block, other in zip(model.blocks, plain.blocks, strict=True):
        block.attn = healthy.Attention(model.config)
        block.attn.load_state_dict(other.attn.state_dict())
    assert instruments.first_difference(model, plain, ids, 1e-5) == ("", 0.0)
    with torch.no_grad():
        model.blocks[1].attn.qkv.weight[0, 0] += 1.0
    name, by = instruments.first_difference(model, plain, ids, 1e-5)
    assert name == "blocks.1.attn.qkv" and by > 1e-3


# ---------------------------------------------------------------------- does it learn


def test_one_batch_is_learned_by_heart_by_a_copy():
    model, before = small(std=0.2), copy.deepcopy(small(std=0.2).state_dict())
    first, _ = next(sgd(copy.deepcopy(model), GPT.loss, itertools.repeat(batch()), 1, 0.0))
    last = instruments.overfit(model, GPT.loss, sgd, batch(), 200, 0.3)
    assert last < 0.2 * first
    assert instruments.overfit(model, GPT.loss, sgd, batch(), 20, 0.0) == pytest.approx(first)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_under_gradient_descent_a_matrix_moves_by_rate_times_gradient():
    model = small(std=0.3)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    next(sgd(model, GPT.loss, itertools.repeat(batch()), 1, 0.01))
    after = dict(model.named_parameters())
    ratios = instruments.update_ratios(before, after)
    assert set(ratios) == {name for name, value in before.items() if value.dim() == 2}
    for name, ratio in ratios.items():
        assert ratio == pytest.approx(0.01 * after[name].grad.norm().item() / before[name].norm().item(), rel=1e-3)


def test_what_is_flat_lets_no_gradient_through():
    model, (ids, _) = small(std=0.9), batch()
    entering = [kept for name, kept in instruments.outputs(model, ids).items() if name.endswith("mlp.fc")]
    x = torch.stack(entering).requires_grad_()
    F.gelu(x, approximate="tanh").sum().backward()
    low = x < 0
    flat = (x.grad.abs() < 0.012) & low & (x < -2)  # near -0.75 the derivative passes through 0 and comes back
    found = instruments.saturated(model, ids)
    assert found["flat"] == pytest.approx(flat.float().mean().item(), abs=0.01) and found["flat"] > 0.1
    assert found["dead"] <= found["flat"]
    assert instruments.saturated(small(), ids)["flat"] == 0


def test_a_stream_that_is_not_scaled_down_grows_with_depth():
    deep = small(n_layer=12, d_model=16)
    scaled = instruments.saturated(deep, batch()[0])["growth"]
    for block in deep.blocks:
        for proj in (block.attn.proj, block.mlp.proj):
            proj.weight.data *= math.sqrt(24)
    with torch.no_grad():
        x = deep.embed(batch()[0])
        for block in deep.blocks:
            x = block(x)
        by_hand = (x.std() / deep.wte(batch()[0]).std()).item()
    assert instruments.saturated(deep, batch()[0])["growth"] == pytest.approx(by_hand) and by_hand > 1.2 * scaled


def test_the_first_value_that_is_not_finite_is_where_it_was_put():
    model, (ids, _) = small(), batch()
    assert instruments.first_nonfinite(model, ids) == ""
    with torch.no_grad():
        model.blocks[1].mlp.fc.weight.fill_(3e38)
    assert instruments.first_nonfinite(model, ids) == "blocks.1.mlp.fc"
    with torch.no_grad():
        model.wte.weight[ids[0, 0]] = math.nan
    assert instruments.first_nonfinite(model, ids) == "wte"


def test_a_model_that_only_counts_does_not_use_its_input():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.logits = nn.Parameter(torch.randn(V))

        def forward(self, ids):
            return self.logits.expand(*ids.shape, V)

    def loss(model, inputs, targets):
        return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())

    assert instruments.uses_input(Counts(), loss, *batch()) == 0
    model = small(std=0.2)
    for _ in sgd(model, loss, itertools.repeat(batch()), 150, 0.3):
        pass
    assert instruments.uses_input(model, loss, *batch()) > 1


# ---------------------------------------------------------------------- is the score true


def test_the_courses_own_score_minds_the_mode_and_a_careless_one_does_not():
    model = small(std=0.5, dropout=0.3).train()
    rows = batch()[0].tolist()
    assert instruments.train_eval_gap(model, lambda model: mean_loss(model, rows)) == 0 and model.training
    torch.manual_seed(0)
    inputs, targets = batch()
    assert abs(instruments.train_eval_gap(model, lambda model: model.loss(inputs, targets).detach())) > 1e-4


def test_losses_by_position_are_those_of_the_courses_evaluation():
    model = small(std=0.5, dropout=0.2).train()
    rows = [row.tolist()[:length] for row, length in zip(batch(4, T)[0], (5, 12, 12, 9), strict=True)]
    batches = []
    for some in (rows[:1], rows[1:]):
        longest = max(map(len, some)) - 1
        inputs, targets = torch.zeros(len(some), longest, dtype=torch.long), torch.full((len(some), longest), -100)
        for i, row in enumerate(some):
            inputs[i, : len(row) - 1], targets[i, : len(row) - 1] = torch.tensor(row[:-1]), torch.tensor(row[1:])
        batches.append((inputs, targets))
    found = instruments.loss_by_position(model, batches)
    scores = [-each.log_probs for each in score_rows(model, rows)]
    for t, (mean, count) in enumerate(found):
        there = [float(each[t]) for each in scores if t < len(each)]
        assert count == len(there)
        assert mean == pytest.approx(np.mean(there), rel=1e-4) if there else math.isnan(mean)
    whole = sum(mean * count for mean, count in found if count) / sum(count for _, count in found)
    assert whole == pytest.approx(mean_loss(model, rows), rel=1e-4)


def test_the_standard_error_is_how_far_differences_scatter():
    draw = np.random.default_rng(0)
    one, other = draw.normal(2.0, 1.0, (4000, 3)), draw.normal(2.5, 2.0, (4000, 5))
    found = [instruments.seeds_differ(a.tolist(), b.tolist()) for a, b in zip(one, other, strict=True)]
    differences, errors = map(np.array, zip(*found, strict=True))
    assert differences.mean() == pytest.approx(0.5, abs=0.06)
    assert np.sqrt((errors**2).mean()) == pytest.approx(differences.std(), rel=0.05)
    assert instruments.seeds_differ([1.0, 1.0], [1.0, 1.0]) == (0.0, 0.0)


# ---------------------------------------------------------------------- does it tell what it knows


def test_the_courses_cache_changes_no_logit_and_one_that_is_off_by_a_position_does():
    model = small(std=0.5, dropout=0.2).train()
    sequences = [row.tolist()[:length] for row, length in zip(batch()[0], (8, 9, 12), strict=True)]
    assert instruments.cache_gap(model, KVCache(model), sequences) < 1e-4 and model.training

    class OneFurther(KVCache):
        def positions(self, ids):
            return super().positions(ids) + (self.length > 0)

    with evaluating(model), torch.no_grad():
        cache = OneFurther(model)
        cache.start([sequences[0][:-1]])
        by_hand = (cache.append([sequences[0][-1]])[0] - model(torch.tensor([sequences[0]]))[0, -1]).abs().max()
    assert by_hand > 1e-2 and instruments.cache_gap(model, OneFurther(model), sequences) > 1e-2
