"""The checks of notebook 13: what is right is called right, every time; and `torch.distributed` is put back."""

import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from course.bench.planning import training_flops_per_token
from course.checks import nb13
from course.checks.exercise import RIGHT, WRONG
from course.checks.imitated_processes import Hung, Imitation
from course.checks.scaling_parts import by_products
from course.scaling import law as scaling
from course.several_gpus import memory_per_gpu
from helpers import distributed
from helpers.model import GPT, GPTConfig
from helpers.optimizers import parameter_groups


def training_operations(config, tokens):
    d, T = config.d_model, config.context_length
    block = 4 * d * d + 2 * d * config.d_ff
    return {
        "blocks": 6 * config.n_layer * block * tokens,
        "head": 6 * config.vocab_size * d * tokens,
        "attention": 12 * config.n_layer * d * T * tokens,
    }


def best_size(N, losses):
    a, b, _ = np.polyfit(np.log(N), losses, 2)
    return math.exp(-b / (2 * a))


def best_size_in_decades(N, losses):
    a, b, _ = np.polyfit(np.log10(N), losses, 2)
    return 10 ** (-b / (2 * a))


def best_split(law, operations):
    ratio = (law.a * law.A / (law.b * law.B)) ** (1 / (law.a + law.b))
    N = ratio * (operations / 6) ** (law.b / (law.a + law.b))
    return N, operations / 6 / N


def best_split_from_tokens(law, operations):
    D = (law.b * law.B / (law.a * law.A) * (operations / 6) ** law.a) ** (1 / (law.a + law.b))
    return operations / 6 / D, D


def log_residuals_by_pairs(parameters, N, D, L):
    log_E, log_A, a, log_B, b = parameters
    both = np.logaddexp(log_A - a * np.log(N), log_B - b * np.log(D))
    return np.logaddexp(log_E, both) - np.log(L)


def huber_without_where(residuals, delta):
    size = np.abs(residuals)
    inside = np.minimum(size, delta)
    return inside * (size - inside / 2)


def resample_by_pairs(N, D, generator):
    pairs = list(dict.fromkeys(zip(N, D, strict=True)))
    drawn = generator.choice(len(pairs), len(pairs))
    return np.array([i for k in drawn for i in range(len(N)) if (N[i], D[i]) == pairs[k]])


def resample_in_order(N, D, generator):
    """Each run as often as its configuration was drawn, in the order in which runs stand."""
    _, which = np.unique(np.stack([N, D], axis=1), axis=0, return_inverse=True)
    count = which.max() + 1
    times = np.bincount(generator.integers(0, count, count), minlength=count)
    return np.repeat(np.arange(len(N)), times[which.ravel()])


def change_of_logits(model, ids, take_step, steps=5):
    with torch.no_grad():
        before = model(ids)
    for _ in range(steps):
        take_step()
    with torch.no_grad():
        return (model(ids) - before).abs().mean().item()


def mup_groups(model, lr, base):
    groups, ratio, head = parameter_groups(model), base / model.config.d_model, model.head.weight
    embeddings = [parameter for parameter in groups["embeddings"] if parameter is not head]
    return [
        dict(params=[*groups["hidden"], head], lr=lr * ratio),
        dict(params=[*embeddings, *groups["vectors"]], lr=lr),
    ]


def mup_groups_by_name(model, lr, base):
    return [
        dict(params=p, lr=lr * base / model.config.d_model if p.dim() == 2 and n[0] in "bh" else lr)
        for n, p in model.named_parameters()
    ]


def mup_groups_in_a_tuple(model, lr, base):
    return tuple(mup_groups_by_name(model, lr, base))


def average_gradients_in_one_sum(model):
    """All gradients in one vector, and how many processes have each behind them."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    have = torch.tensor([float(p.grad is not None) for p in parameters])
    everything = torch.cat([*(g.flatten() for g in grads), have])
    dist.barrier()
    dist.all_reduce(everything, op=dist.ReduceOp.SUM)
    *summed, have = everything.split([*(p.numel() for p in parameters), len(parameters)])
    for p, total, count in zip(parameters, summed, have.tolist(), strict=True):
        p.grad = total.view_as(p) / dist.get_world_size() if count else None


def average_gradients_by_means(model):
    """ReduceOp.AVG, which gloo has as well."""
    for p in (p for p in model.parameters() if p.requires_grad):
        some = torch.tensor(float(p.grad is not None))
        dist.all_reduce(some)
        if some:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            dist.all_reduce(p.grad, op=dist.ReduceOp.AVG)


def average_gradients_later(model):
    """Sums that run in the background."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    have = torch.tensor([int(p.grad is not None) for p in parameters])
    dist.all_reduce(have, op=dist.ReduceOp.MAX)
    parameters = [p for p, some in zip(parameters, have, strict=True) if some]
    for p in parameters:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad / dist.get_world_size()
    for handle in [dist.all_reduce(p.grad, async_op=True) for p in parameters]:
        handle.wait()


def average_gradients_gathered(model):
    """Everybody's gradients are gathered, and added up by each process itself."""
    for p in (p for p in model.parameters() if p.requires_grad):
        everyone = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, p.grad is not None)
        if any(everyone):
            mine = torch.zeros_like(p) if p.grad is None else p.grad
            all_of_them = [torch.empty_like(p) for _ in everyone]
            dist.all_gather(all_of_them, mine)
            p.grad = torch.stack(all_of_them).mean(0)


def average_gradients_from_process_0(model):
    """Process 0 gets the sums, and sends them round."""
    for p in (p for p in model.parameters() if p.requires_grad):
        some = torch.tensor(float(p.grad is not None))
        dist.all_reduce(some)
        if some == 0:
            continue
        total = torch.zeros_like(p) if p.grad is None else p.grad.clone()
        dist.reduce(total, 0)
        dist.broadcast(total, src=0)
        p.grad = total / dist.get_world_size()


def rows_of(rank, count, total):
    size, longer = divmod(total, count)
    start = rank * size + min(rank, longer)
    return range(start, start + size + (rank < longer))


SOLUTIONS = [
    ("training_operations", training_operations),
    ("best_size", best_size),
    ("best_size", best_size_in_decades),
    ("log_residuals", scaling.log_residuals),
    ("log_residuals", log_residuals_by_pairs),
    ("huber", scaling.huber),
    ("huber", huber_without_where),
    ("resample", scaling.resample),
    ("resample", resample_by_pairs),
    ("resample", resample_in_order),
    ("best_split", best_split),
    ("best_split", best_split_from_tokens),
    ("change_of_logits", change_of_logits),
    ("mup_groups", mup_groups),
    ("mup_groups", mup_groups_by_name),
    ("mup_groups", mup_groups_in_a_tuple),
    ("average_gradients", distributed.average_gradients),
    ("average_gradients", average_gradients_in_one_sum),
    ("average_gradients", average_gradients_by_means),
    ("average_gradients", average_gradients_later),
    ("average_gradients", average_gradients_gathered),
    ("average_gradients", average_gradients_from_process_0),
    ("rows_of", distributed.rows_of),
    ("rows_of", rows_of),
    ("memory_per_gpu", memory_per_gpu),
]


@pytest.mark.parametrize(("part", "answer"), SOLUTIONS, ids=[answer.__name__ for _, answer in SOLUTIONS])
def test_what_is_right_is_called_right_every_time(part, answer):
    first = getattr(nb13, part)(answer)
    assert first.state == RIGHT, first
    assert getattr(nb13, part)(answer) == first


def test_every_exercise_is_tried():
    assert {part for part, _ in SOLUTIONS} == set(nb13.__all__)


@pytest.mark.parametrize("more", [{}, {"d_ff": 20, "tied_head": False, "bias": False}])
def test_the_operations_that_the_check_counts_are_those_that_torch_counts(more):
    config = GPTConfig(50, 12, 3, 2, 8, **more)
    model, ids = GPT(config), torch.randint(50, (2, 12))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.loss(ids, ids).backward()
    counts, found = counter.get_flop_counts(), by_products(config, 2)
    assert found["attention"] == counts["Global"][torch.ops.aten.bmm]  # products without weights
    assert found["head"] == sum(counts["GPT.head"].values())
    assert sum(found.values()) == counter.get_total_flops() == 24 * training_flops_per_token(config)


# ---------------------------------------------------------------------- several processes in one


@pytest.fixture
def unchanged():
    """`torch.distributed` holds the same afterwards, and no imitated process is left."""
    before, threads = dict(vars(dist)), threading.active_count()
    yield
    assert vars(dist) == before
    until = time.monotonic() + 3  # those that watch over a call's time need a moment
    while threading.active_count() > threads and time.monotonic() < until:
        time.sleep(0.02)
    assert threading.active_count() == threads


def hangs(model):
    if dist.get_rank() == 1:
        dist.all_reduce(next(model.parameters()).grad)


def fails(model):
    dist.all_reduce(next(model.parameters()).grad)
    raise ValueError("no")


def fails_in_one(model):
    if dist.get_rank() == 1:
        raise ValueError("in process 1")
    dist.all_reduce(next(model.parameters()).grad)


def never_ends(model):
    if dist.get_rank() == 0:
        while True:
            time.sleep(0.01)
    dist.barrier()


def swallows(model):
    try:
        dist.all_reduce(torch.zeros(1 + dist.get_rank()))
    except Exception:
        pass
    never_ends(model)


@pytest.mark.parametrize(
    ("answer", "slug", "said"),
    [
        (hangs, "would-hang", "process 1 makes call 1, all_reduce of a tensor of shape (2, 3), float32, and"),
        (fails, "raised", "ValueError: no"),
        (fails_in_one, "raised", "ValueError: in process 1"),
        (never_ends, "too-slow", "still running after 1 second"),
        (swallows, "would-hang", "call 1 of process 0 is all_reduce of a tensor of shape (1,), float32, and that of"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_an_answer_that_breaks_leaves_torch_as_it_was(unchanged, answer, slug, said):
    result = replace(nb13.average_gradients, seconds=1)(answer)
    assert (result.state, result.slug) == (WRONG, slug), result
    assert said in result.problem


def test_a_right_answer_leaves_torch_as_it_was(unchanged):
    assert nb13.average_gradients(distributed.average_gradients).state == RIGHT


def test_functions_that_were_imported_by_name_are_replaced_too_and_put_back(unchanged):
    scope = {}
    source = (
        "from torch.distributed import all_reduce as add_up, get_world_size\n"
        "def my_average_gradients(model):\n"
        "    for p in model.parameters():\n"
        "        add_up(p.grad)\n"
        "        p.grad /= get_world_size()\n"
    )
    exec(source, scope)
    result = nb13.average_gradients(scope["my_average_gradients"])
    assert result.slug == "no-gradient-summed", result
    assert scope["add_up"] is dist.all_reduce


def test_what_is_not_imitated_says_so():
    with pytest.raises(RuntimeError, match="does not imitate torch.distributed.scatter"):
        Imitation(2).run(lambda _: dist.scatter(torch.zeros(1)), [None] * 2)


def test_a_sum_that_everybody_begins_and_one_does_not_wait_for_is_seen():
    world = Imitation(2)
    world.run(lambda rank: dist.all_reduce(torch.zeros(1), async_op=True) and None, [0, 1])
    assert len(world.not_awaited) == 2
    with pytest.raises(Hung, match="float32, MAX"):
        world = Imitation(2)
        world.run(lambda rank: dist.all_reduce(torch.zeros(1), op=(None, dist.ReduceOp.MAX)[rank]), [0, 1])


def test_the_reductions_are_those_of_gloo():
    given = [torch.tensor([3.0, -2.0]), torch.tensor([1.0, 5.0]), torch.tensor([2.0, 2.0])]
    expected = {"SUM": [6, 5], "AVG": [2, 5 / 3], "MAX": [3, 5], "MIN": [1, -2], "PRODUCT": [6, -20]}
    for how, right in expected.items():
        copies = [each.clone() for each in given]
        Imitation(3).run(lambda x, how=how: dist.all_reduce(x, op=getattr(dist.ReduceOp, how)), copies)
        assert all(each.tolist() == pytest.approx(right) for each in copies)
