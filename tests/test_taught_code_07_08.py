"""What notebooks 07 and 08 teach is what `helpers` uses: which pieces to the letter, and which by their results.

To the letter, statement by statement: the pieces of LITERAL below, compared here.

By their results, because the notebook builds a simpler thing, or one that a library then takes over, on purpose:

| notebook | taught | used | compared in |
|---|---|---|---|
| 07 | the solution `collate` (a padded batch) | `helpers.dataset.StorySampler` | test_notebook_07 |
| 07 | `HandAdamW`, the solution `adamw_step` | `torch.optim.AdamW`, in `helpers.optimizers` | test_notebook_07 |
| 07 | `Muon` itself (the text is the helpers') | `torch.optim.Muon` | test_optimizers |
| 07 | the solution `lr_at` (steps, one shape) | `helpers.settings.schedule` (fractions, four shapes) | here |
| 07 | the solution `clip_by_norm` | `torch.nn.utils.clip_grad_norm_`, in `TrainStep.step` | here |
| 07 | the solutions `accumulate` and `update` | `helpers.train_step.TrainStep` | here, the notebook itself |
| 07 | the solution `train` (one optimizer, counted in steps) | `helpers.training.Trainer` | test_notebook_07 |
| 07 | the solutions `checkpoint` and `resume` | `Trainer.state_dict` and its checkpoint | test_training |
| 08 | the solution `chunked_loss` | `helpers.train_step.chunked_loss` | here |
| 08 | the solution `fitting_batch`, in pieces | `helpers.train_step.TrainStep.gradients` | here |
| 08 | the solution `unscaled_and_clipped` | `torch.amp.GradScaler`, in `TrainStep.step` | here |
| 08 | `memory_budget`, `block_bytes` | the plain model, counted tensor by tensor | test_notebook_08 |
| 08 | `flops_by_part`, the solution `mfu` | `course.bench.planning` | test_notebook_08_run, course.checks.nb08 |
| 08 | the solution `padded_head` (masked) | `Recipe.vocab_multiple` and `unpadded` (cut) | the notebook itself |
| 08 | the solution `disk_bytes`, `writes_of` | `Trainer.save`, `planning.disk_bytes` | test_notebook_08_run |
| 08 | the solution `newest_whole` | `course.keeping`, `course.keeper.step_of` | test_notebook_08_run |
"""

import ast
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from helpers.model import GPT, IGNORED, GPTConfig
from helpers.settings import ScheduleConfig, TrainingSettings, schedule
from helpers.train_step import TrainStep, chunked_loss
from tests.taught import assert_same_code, taught_definition

TRAINING, GPU = "07_training", "08_training_on_a_gpu"
LITERAL = [  # notebook, what it teaches, module
    (TRAINING, "QUINTIC", "helpers.optimizers"),
    (TRAINING, "orthogonalize", "helpers.optimizers"),
    (TRAINING, "Muon", "helpers.optimizers"),
]
SMALL = GPTConfig(vocab_size=50, context_length=16, n_layer=1, n_head=2, d_model=16)


@pytest.mark.parametrize(("notebook", "name", "module"), LITERAL, ids=lambda value: value)
def test_it_is_the_same_code(notebook, name, module):
    assert_same_code(notebook, name, module)


def solution(notebook: str, name: str, **given):
    """A function or class of the notebook, executed by itself, among the names that are `given`."""
    scope = {"torch": torch, "Tensor": torch.Tensor, "math": math, "F": F} | given
    exec(ast.unparse(taught_definition(notebook, name).node), scope)
    return scope[name]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(78)


def batches(*scored: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of two sequences, of which so many targets are scored."""
    found = []
    for count in scored:
        ids, targets = torch.randint(50, (2, 12)), torch.randint(50, (2, 12))
        targets.view(-1)[count:] = IGNORED
        found.append((ids, targets))
    return found


def one_step(given, **settings) -> tuple[GPT, dict]:
    """A small model before a step of the course on these batches, and the gradients that the step made."""
    torch.manual_seed(0)
    model, seen = GPT(SMALL), {}
    sampler = SimpleNamespace(next_batch=iter(given).__next__)
    step = TrainStep(model, sampler, TrainingSettings.of(accumulation=len(given), **settings))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for optimizer in step.optimizers:
        optimizer.register_step_pre_hook(
            lambda *_: seen.update({n: p.grad.clone() for n, p in model.named_parameters()})
        )
    seen["stats"] = step.step(1, lambda: 1.0)
    model.load_state_dict(before, strict=False)
    return model, seen


def test_the_solution_of_the_schedule_is_the_helpers():
    lr_at = solution(TRAINING, "lr_at")
    for warmup, final in ((0, 0.0), (20, 0.1), (50, 0.5)):
        config = ScheduleConfig(warmup=warmup / 100, final=final)
        for step in range(101):
            expected = 3.0 * schedule(step / 100, config)
            assert lr_at(step, 100, warmup, 3.0, 3.0 * final) == pytest.approx(expected, abs=1e-9)


def test_the_solution_of_accumulation_leaves_the_gradients_of_the_course():
    given = batches(24, 24, 7)
    model, seen = one_step(given, clip=0.0)
    loss = solution(TRAINING, "accumulate")(model, given)
    assert loss == pytest.approx(seen["stats"].loss, rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, seen[name], atol=1e-6, rtol=1e-4)


def test_the_solution_of_clipping_is_what_the_course_hands_to_its_optimizer():
    given = batches(24)
    model, seen = one_step(given, clip=0.05)
    _, targets = given[0]
    model(*given[0])[1].backward()
    clipped, norm = solution(TRAINING, "clip_by_norm")([p.grad for p in model.parameters()], 0.05)
    assert norm == pytest.approx(seen["stats"].grad_norm, rel=1e-5) and norm > 0.05
    for (name, _), gradient in zip(model.named_parameters(), clipped, strict=True):
        torch.testing.assert_close(gradient, seen[name], atol=1e-6, rtol=1e-3)


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="this torch has no chunked loss")
def test_the_chunked_loss_of_the_notebook_is_the_courses():
    model, ((ids, targets),) = GPT(SMALL), batches(19)
    taught = solution(GPU, "chunked_loss", recompute=checkpoint)
    gradients = []
    for loss in (
        chunked_loss(model, ids, targets),
        taught(model.hidden(ids).flatten(0, 1), model.head.weight, targets.flatten(), 5),
        model.loss(ids, targets),
    ):
        model.zero_grad(set_to_none=True)
        loss.backward()
        gradients.append((loss.detach(), {name: p.grad.to_dense().clone() for name, p in model.named_parameters()}))
    (loss, grads), *others = gradients
    for other_loss, other_grads in others:
        torch.testing.assert_close(loss, other_loss, atol=1e-5, rtol=1e-5)
        for name, gradient in grads.items():
            torch.testing.assert_close(gradient, other_grads[name], atol=1e-6, rtol=1e-4)


def test_the_solution_that_halves_reads_what_the_course_reads():
    """Both halve until it fits, and no sequence is lost; the course cuts a batch, the notebook counts batches."""
    fitting_batch = solution(GPU, "fitting_batch")
    for sequences, room in ((8, 8), (8, 3), (8, 1), (12, 5)):
        tried = []

        def step(rows, tried=tried, room=room):
            tried.append(rows)
            if rows > room:
                raise torch.OutOfMemoryError

        rows, batches = fitting_batch(step, sequences)
        ids, targets = torch.randint(50, (sequences, 12)), torch.randint(50, (sequences, 12))
        train_step = TrainStep(GPT(SMALL), None, TrainingSettings.of())
        read = []

        def loss(ids, targets, model=train_step.model, read=read, room=room):
            read.append(len(ids))
            if len(ids) > room:
                raise torch.OutOfMemoryError
            return model.loss(ids, targets)

        train_step.loss = loss
        train_step.gradients([(ids, targets)], targets.numel())
        assert (train_step.pieces, read[-batches:]) == (batches, [rows] * batches)
        assert list(dict.fromkeys(read)) == tried and rows * batches == sequences


@pytest.mark.parametrize("overflows", [False, True])
def test_the_solution_of_unscaling_is_torchs_scaler(overflows):
    parameters = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2, 2))]
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1000)
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    scaled = [torch.randn_like(p) * 1024 for p in parameters]
    if overflows:
        scaled[1][0, 1] = math.inf
    scaler.scale(torch.zeros(()))  # makes the scale
    for parameter, gradient in zip(parameters, scaled, strict=True):
        parameter.grad = gradient.clone()
    ours, after = solution(GPU, "unscaled_and_clipped")(scaled, 1024.0, 1.0)
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    scaler.step(optimizer)
    scaler.update()
    assert after == scaler.get_scale() and (ours is None) == overflows
    for gradient, parameter in zip(ours or [torch.zeros(3), torch.zeros(2, 2)], parameters, strict=True):
        torch.testing.assert_close(-gradient, parameter.detach(), atol=1e-6, rtol=1e-4)  # a step of length 1
