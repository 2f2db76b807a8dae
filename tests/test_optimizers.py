"""The optimizers: Newton-Schulz against the SVD, Muon against torch's, groups, resuming."""

import copy
from dataclasses import replace

import pytest
import torch

from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig
from helpers.optimizers import (
    QUINTIC,
    Muon,
    build_optimizer,
    orthogonalize,
    parameter_groups,
    set_learning_rates,
)
from helpers.settings import OptimizerConfig


def make(**changes) -> GPT:
    torch.manual_seed(0)
    settings = dict(vocab_size=61, context_length=24, n_layer=2, n_head=4, d_model=32)
    return GPT(GPTConfig(**settings | changes))


def batch(seed=1):
    ids = torch.randint(0, 61, (4, 13), generator=torch.Generator().manual_seed(seed))
    return ids[:, :-1], ids[:, 1:]


SHAPES = [(32, 32), (96, 32), (128, 32), (32, 128)]  # (d, d), (3d, d), (4d, d), (d, 4d): all that GPT-2 has


def newton_schulz_by_singular_values(matrix):
    """The same polynomial, on the singular values of an SVD in float64 instead of on matrices."""
    u, s, vt = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.norm().clamp(min=1e-7)
    a, b, c = QUINTIC
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    return u @ s.diag() @ vt


@pytest.mark.parametrize("shape", [*SHAPES, (24, 36), (1, 7)])
def test_newton_schulz_changes_the_singular_values_and_nothing_else(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    expected = newton_schulz_by_singular_values(matrix)
    torch.testing.assert_close(orthogonalize(matrix).double(), expected, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(orthogonalize(matrix.double()), expected, atol=1e-10, rtol=1e-9)


@pytest.mark.parametrize("shape", [(128, 128), (384, 128), (512, 128), (128, 512)])
def test_the_result_is_nearly_the_orthogonal_matrix(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalize(matrix)
    singular = torch.linalg.svdvals(result)
    assert singular.max() < 1.25
    assert (singular > 0.65).sum() >= (s > 0.01 * s.norm()).sum()  # what is nearly nothing takes more than five steps
    assert torch.nn.functional.cosine_similarity(result.flatten(), (u @ vt).flatten(), dim=0) > 0.97


def test_no_gradient_is_no_step_and_no_division_by_zero():
    assert not orthogonalize(torch.zeros(4, 12)).any()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
def test_muon_is_torchs_muon_on_every_shape_of_gpt2(shape, weight_decay):
    generator = torch.Generator().manual_seed(3)
    start = [torch.randn(shape, generator=generator) for _ in range(3)]
    ours = [torch.nn.Parameter(x.clone()) for x in start]
    theirs = [torch.nn.Parameter(x.clone()) for x in start]
    mine = Muon(ours, lr=0.1, momentum=0.9, weight_decay=weight_decay)
    torchs = torch.optim.Muon(theirs, lr=0.1, momentum=0.9, weight_decay=weight_decay)
    for _ in range(5):
        before = [(a.detach().clone(), b.detach().clone()) for a, b in zip(ours, theirs, strict=True)]
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(shape, generator=generator)
            b.grad = a.grad.clone()
        mine.step()
        torchs.step()
        for a, b, (a0, b0) in zip(ours, theirs, before, strict=True):
            one, other = (a - a0).detach().flatten(), (b - b0).detach().flatten()
            assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.999
            assert one.norm() == pytest.approx(other.norm().item(), rel=0.01)  # torch works in bfloat16
    for a, b, x in zip(ours, theirs, start, strict=True):
        assert (a - b).norm() < 0.02 * (b - x).norm()
        torch.testing.assert_close(
            mine.state[a]["momentum_buffer"], torchs.state[b]["momentum_buffer"], atol=1e-6, rtol=1e-5
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_of_muon_by_hand_in_float64(shape):
    """The rule of its authors, written out: no bfloat16 in the way, so the two agree to rounding."""
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    parameter, buffer = torch.nn.Parameter(weight.clone()), torch.zeros(shape, dtype=torch.float64)
    optimizer = Muon([parameter], lr=0.05, momentum=0.8, weight_decay=0.3)
    for _ in range(6):
        gradient = torch.randn(shape, generator=generator, dtype=torch.float64)
        parameter.grad = gradient.clone()
        optimizer.step()
        buffer = 0.8 * buffer + 0.2 * gradient
        update = newton_schulz_by_singular_values(0.8 * buffer + 0.2 * gradient)
        weight = weight - 0.05 * 0.3 * weight - 0.05 * max(1, shape[0] / shape[1]) ** 0.5 * update
    torch.testing.assert_close(parameter.detach(), weight, atol=1e-10, rtol=1e-10)


def test_muon_calls_its_closure_with_gradients():
    parameter = torch.nn.Parameter(torch.eye(4))

    def closure():
        parameter.grad = None
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    assert Muon([parameter], lr=0.1).step(closure).item() == 4
    assert (parameter**2).sum() < 4


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
    settings = OptimizerConfig(kind=kind, lr=0.02, embedding_lr=0.006, weight_decay=0.1)
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
    settings = replace(settings, decay_embeddings=True, embedding_lr=None)
    groups = {group["name"]: group for o in build_optimizer(make(), settings) for group in o.param_groups}
    assert groups["embeddings"]["weight_decay"] == 0.1 and groups["embeddings"]["lr"] == 0.02


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_batch_can_be_learned(kind):
    model = make()
    rate = 0.02 if kind == "muon" else 3e-3
    optimizers = build_optimizer(model, OptimizerConfig(kind=kind, lr=rate, embedding_lr=6e-3))
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

    settings = OptimizerConfig(kind=kind, lr=0.02, weight_decay=0.1)
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
    optimizers = build_optimizer(model, OptimizerConfig(kind="muon", lr=0.02, weight_decay=0.5))
    model.loss(*batch()).backward()
    for optimizer in optimizers:
        optimizer.step()
    assert torch.equal(model.wpe.weight, before)


def test_bad_settings_say_so():
    with pytest.raises(CourseError, match="momentum must be at least 0 and less than 1"):
        Muon([torch.nn.Parameter(torch.zeros(3, 3))], momentum=1.0)
    with pytest.raises(CourseError, match="matrices only"):
        Muon([torch.nn.Parameter(torch.zeros(3))])
