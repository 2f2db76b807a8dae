"""The optimizers: Newton-Schulz against the SVD, Muon against torch's, groups, resuming."""

import copy

import pytest
import torch

from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig
from helpers.optimizers import (
    QUINTIC,
    Muon,
    OptimizerSettings,
    build_optimizer,
    orthogonalize,
    parameter_groups,
    set_learning_rates,
    square_blocks,
)


def make(**changes) -> GPT:
    torch.manual_seed(0)
    settings = dict(vocab_size=61, context_length=24, n_layer=2, n_head=4, d_model=32)
    return GPT(GPTConfig(**settings | changes))


def batch(seed=1):
    ids = torch.randint(0, 61, (4, 13), generator=torch.Generator().manual_seed(seed))
    return ids[:, :-1], ids[:, 1:]


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 16, 64), (2, 64, 16), (1, 24, 36)])
def test_newton_schulz_changes_the_singular_values_and_nothing_else(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    result = orthogonalize(matrices)
    u, s, vt = torch.linalg.svd(matrices.double(), full_matrices=False)
    s = s / s.norm(dim=1, keepdim=True)
    a, b, c = QUINTIC
    for _ in range(5):  # the same polynomial on plain numbers
        s = a * s + b * s**3 + c * s**5
    torch.testing.assert_close(result.double(), u @ torch.diag_embed(s) @ vt, atol=2e-4, rtol=1e-3)


def test_the_result_is_nearly_the_orthogonal_matrix():
    matrices = torch.randn(4, 128, 512, generator=torch.Generator().manual_seed(2))
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    result = orthogonalize(matrices)
    singular = torch.linalg.svdvals(result)
    assert 0.65 < singular.min() and singular.max() < 1.25
    cosine = (result * (u @ vt)).sum((1, 2)) / (result.norm(dim=(1, 2)) * (u @ vt).norm(dim=(1, 2)))
    assert cosine.min() > 0.97
    assert not orthogonalize(torch.zeros(1, 4, 4)).any()  # no gradient, no step; and no division by zero


@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_a_few_matrices_at_a_time_give_what_all_at_once_give(count, monkeypatch):
    matrices = torch.randn(count, 16, 48, generator=torch.Generator().manual_seed(4))
    at_once = orthogonalize(matrices)
    monkeypatch.setattr("helpers.optimizers.AT_A_TIME", 3 * 16 * 48)
    assert torch.equal(orthogonalize(matrices), at_once)  # bit for bit: a recorded run stays what it was


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_on_square_matrices_muon_is_torchs_muon(weight_decay):
    generator = torch.Generator().manual_seed(3)
    start = [torch.randn(48, 48, generator=generator) for _ in range(3)]
    ours = [torch.nn.Parameter(x.clone()) for x in start]
    theirs = [torch.nn.Parameter(x.clone()) for x in start]
    mine = Muon(ours, lr=0.1, momentum=0.9, weight_decay=weight_decay)
    torchs = torch.optim.Muon(theirs, lr=0.1, momentum=0.9, weight_decay=weight_decay)
    for _ in range(4):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(48, 48, generator=generator)
            b.grad = a.grad.clone()
        mine.step()
        torchs.step()
    for a, b, x in zip(ours, theirs, start, strict=True):
        moved = (b - x).norm()
        assert (a - b).norm() < 0.02 * moved  # torch works in bfloat16: two to three digits
        torch.testing.assert_close(
            mine.state[a]["momentum_buffer"], torchs.state[b]["momentum_buffer"], atol=1e-6, rtol=1e-5
        )


def test_blocks_are_views_of_queries_keys_and_values():
    matrix = torch.arange(48.0).view(12, 4)
    for i, part in enumerate(matrix.split(4)):
        assert torch.equal(square_blocks(matrix)[i], part)
        assert torch.equal(square_blocks(matrix.t().contiguous())[i], part.t())
    square_blocks(matrix).zero_()
    assert not matrix.any()
    assert square_blocks(torch.zeros(6, 4)).shape == (1, 6, 4)


@pytest.mark.parametrize("changes", [{}, {"tied_head": False, "bias": False}, {"positions": "sinusoidal"}])
def test_every_parameter_is_in_one_group(changes):
    model = make(**changes)
    groups = parameter_groups(model)
    every = [id(parameter) for group in groups.values() for parameter in group]
    assert sorted(every) == sorted(id(parameter) for parameter in model.parameters())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(names[id(p)].startswith("blocks.") and p.dim() == 2 for p in groups["hidden"])
    assert len(groups["hidden"]) == 4 * 2
    assert {names[id(p)] for p in groups["embeddings"]} <= {"wte.weight", "wpe.weight", "head.weight"}
    assert all(p.dim() == 1 for p in groups["vectors"])


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_groups_have_their_own_rates_and_decay(kind):
    settings = OptimizerSettings(kind, learning_rate=0.02, embedding_learning_rate=0.006, weight_decay=0.1)
    optimizers = build_optimizer(make(), settings)
    assert len(optimizers) == (2 if kind == "muon" else 1)
    set_learning_rates(optimizers, 0.5)
    groups = {group["name"]: group for optimizer in optimizers for group in optimizer.param_groups}
    assert {name: group["lr"] for name, group in groups.items()} == pytest.approx(
        {"hidden": 0.01, "embeddings": 0.003, "vectors": 0.003}
    )
    assert {name: group["weight_decay"] for name, group in groups.items()} == {
        "hidden": 0.1,
        "embeddings": 0.0,
        "vectors": 0.0,
    }
    settings.decay_embeddings, settings.embedding_learning_rate = True, None
    groups = {group["name"]: group for o in build_optimizer(make(), settings) for group in o.param_groups}
    assert groups["embeddings"]["weight_decay"] == 0.1 and groups["embeddings"]["lr"] == 0.02


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_batch_can_be_learned(kind):
    model = make()
    rate = 0.02 if kind == "muon" else 3e-3
    optimizers = build_optimizer(model, OptimizerSettings(kind, rate, 6e-3))
    x, y = batch()
    for _ in range(40):
        model.zero_grad()
        loss = model.loss(x, y)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    assert loss.item() < 0.5


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_saved_state_goes_on_bit_for_bit(kind):
    def steps(model, optimizers, seeds):
        for seed in seeds:
            model.zero_grad()
            model.loss(*batch(seed)).backward()
            for optimizer in optimizers:
                optimizer.step()

    settings = OptimizerSettings(kind, weight_decay=0.1)
    model = make()
    optimizers = build_optimizer(model, settings)
    steps(model, optimizers, range(3))
    weights = copy.deepcopy(model.state_dict())
    states = [copy.deepcopy(optimizer.state_dict()) for optimizer in optimizers]
    steps(model, optimizers, range(3, 6))

    again = make()
    again.load_state_dict(weights)
    resumed = build_optimizer(again, settings)
    for optimizer, state in zip(resumed, states, strict=True):
        optimizer.load_state_dict(state)
    steps(again, resumed, range(3, 6))
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_frozen_parameter_stays_where_it_is():
    model = make()
    model.wpe.weight.requires_grad_(False)
    before = model.wpe.weight.clone()
    optimizers = build_optimizer(model, OptimizerSettings(weight_decay=0.5))
    model.loss(*batch()).backward()
    for optimizer in optimizers:
        optimizer.step()
    assert torch.equal(model.wpe.weight, before)


def test_bad_settings_say_so():
    with pytest.raises(CourseError, match="optimizer must be 'muon' or 'adamw'"):
        build_optimizer(make(), OptimizerSettings("sgd"))
    with pytest.raises(CourseError, match="learning_rate must be a number of at least 0"):
        build_optimizer(make(), OptimizerSettings(learning_rate=-1.0))
    with pytest.raises(CourseError, match="matrices only"):
        Muon([torch.nn.Parameter(torch.zeros(3))])
