"""What notebook 08 builds: loss and memory as torch has them, operations and plans as `helpers` count them."""

import ast
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F

from course import Session
from course.bench import planning
from course.bench.memory import peak_bytes
from course.recipes import get_recipe, override
from helpers.model import GPT, GPTConfig
from tests.taught import taught_code, taught_definition

SMALL = GPTConfig(60, 16, n_layer=2, n_head=2, d_model=8)


@pytest.fixture(scope="module")
def taught():
    """The notebook's imports, functions and classes, on a CPU."""
    session = Session("08", "cpu", "cpu", 1, "bundled")
    return taught_code("08_training_on_a_gpu", session=session, on_gpu=False, HALF=torch.bfloat16, config=SMALL)


@pytest.fixture(scope="module")
def chunked_loss(taught):
    """The folded solution of exercise 8.7."""
    scope = taught | {}
    exec(ast.unparse(taught_definition("08_training_on_a_gpu", "chunked_loss").node), scope)
    return scope["chunked_loss"]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(8)


def gradients(loss, *given):
    return [loss.detach(), *torch.autograd.grad(loss, given)]


@pytest.mark.parametrize("size", [1, 7, 16, 64, 1000])
@pytest.mark.parametrize("masked", [0, 3])
def test_the_chunked_loss_is_torchs_plain_and_chunked_one(taught, chunked_loss, size, masked):
    hidden, weight = torch.randn(65, 12, requires_grad=True), torch.randn(90, 12, requires_grad=True)
    targets = torch.randint(90, (65,))
    if masked:
        targets[::masked] = -100
    ours = gradients(5 * chunked_loss(hidden, weight, targets, size), hidden, weight)
    others = [5 * taught["whole_loss"](hidden, weight, targets)]
    if hasattr(F, "linear_cross_entropy"):
        options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=size)
        others.append(5 * F.linear_cross_entropy(hidden, weight, targets, options=options))
    for other in others:
        for one, expected in zip(ours, gradients(other, hidden, weight), strict=True):
            assert torch.allclose(one, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_in_half_precision_with_a_loss_scale_it_is_as_near_as_torchs(taught, chunked_loss, half):
    hidden, weight = torch.randn(64, 32, requires_grad=True), torch.randn(500, 32, requires_grad=True)
    targets = torch.randint(500, (64,))
    exact = gradients(F.cross_entropy(hidden @ weight.T, targets), hidden, weight)
    found = []
    for loss in (taught["whole_loss"], lambda *given: chunked_loss(*given, 16)):
        with torch.autocast("cpu", half):
            scaled = loss(hidden, weight, targets) * 2.0**15
        found.append([each / 2.0**15 for each in gradients(scaled, hidden, weight)])
    for torchs, ours, right in zip(*found, exact, strict=True):
        assert torch.isfinite(ours).all() and ours.dtype == torch.float32
        assert (ours - right).abs().max() < 2 * (torchs - right).abs().max() + 1e-3 * right.abs().max()


@pytest.mark.parametrize("autocast", [True, False])
def test_chunks_save_the_memory_they_promise(taught, chunked_loss, autocast):
    hidden, weight = torch.randn(400, 8, requires_grad=True), torch.randn(5000, 8, requires_grad=True)
    targets = torch.randint(5000, (400,))

    def peak(loss, *size):
        hidden.grad = weight.grad = None

        def forward_and_backward():
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                found = loss(hidden, weight, targets, *size)
            found.backward()

        return peak_bytes(forward_and_backward)

    whole = peak(taught["whole_loss"])
    assert whole == pytest.approx(400 * 5000 * 12, rel=0.05)
    assert peak(chunked_loss, 40) < 0.25 * whole


def test_kernels_do_the_operations_and_move_the_bytes_of_real_tensors(taught):
    """Counted by torch's own counter of operations, and by the sizes of what goes in and comes out."""
    from torch.utils.flop_counter import FlopCounterMode

    config, tokens = GPTConfig(60, 16, n_layer=1, n_head=2, d_model=8), 48
    counted = taught["kernels_of"](config, tokens, 4)
    x, up = torch.randn(tokens, 8), torch.nn.Linear(8, 32, bias=False)
    with FlopCounterMode(display=False) as flops:
        y = up(x)
    assert counted["matmul"] == [(flops.get_total_flops(), x.nbytes + up.weight.nbytes + y.nbytes)]
    heads = torch.randn(3, 2, 16, 4)
    with FlopCounterMode(display=False) as flops:
        maps = heads @ heads.transpose(-2, -1)
        mixed = maps @ heads
    ((operations, moved),) = counted["fused attention"]
    assert operations == flops.get_total_flops() and moved == 3 * heads.nbytes + mixed.nbytes
    plain = counted["plain attention"]
    assert plain[0][0] + plain[-1][0] == flops.get_total_flops()
    # Keys with queries write the map; softmax reads and writes it; values are mixed by reading it. All in float32.
    assert [bytes_ for _, bytes_ in plain] == [
        2 * heads.nbytes + maps.nbytes, 2 * maps.nbytes, maps.nbytes + heads.nbytes + mixed.nbytes,
    ]  # fmt: skip
    weights = GPT(config).blocks[0].attn.qkv.weight.numel() * 4  # 12 d² = 4 of 3 d²
    assert counted["AdamW"][0][1] == weights * (4 * 4 + 3 * 4)
    assert taught["intensity"]([(6, 1), (4, 4)]) == 2


def test_recomputed_blocks_give_the_same_and_keep_less(taught):
    config = GPTConfig(60, 32, n_layer=6, n_head=2, d_model=32)
    model, ids = GPT(config), torch.randint(60, (32, 32))
    peaks, found = [], []
    for way in (nullcontext(), taught["recomputed_blocks"](model)):
        with way:
            peaks.append(peak_bytes(lambda: model.loss(ids, ids).backward()))
            found.append([model.loss(ids, ids).detach(), *(p.grad.clone() for p in model.parameters())])
            model.zero_grad(set_to_none=True)
    for kept, again in zip(*found, strict=True):
        torch.testing.assert_close(kept, again)
    assert all("forward" not in vars(block) for block in model.blocks)  # as it was
    for peak, recomputed in zip(peaks, (False, True), strict=True):
        budget = taught["memory_budget"](config, 32, autocast=False, recomputed=recomputed)
        # The last block's gradients are there while it is computed again.
        assert peak == pytest.approx(budget["activations"] + budget["logits"], rel=0.25)
    assert peaks[1] < 0.5 * peaks[0]


def test_a_small_gpu_runs_out_of_memory_where_the_budget_says(taught, monkeypatch):
    model = GPT(SMALL)
    for name, value in {"model": model, "state_bytes": lambda n, _: 18 * n}.items():
        monkeypatch.setitem(taught, name, value)
    state = 18 * model.parameter_count()
    four = taught["measured_peak"](lambda: taught["forward_and_backward"](torch.randint(60, (4, 16))))
    step = taught["on_a_gpu_with"](state + four)
    step(4)
    with pytest.raises(torch.OutOfMemoryError):
        step(8)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_is_measured_is_a_speed(taught):
    assert 1e8 < taught["matmul_peak"]("cpu", torch.float32, 256) < 1e14
    assert 1e7 < taught["memory_bandwidth"]("cpu", 4) < 1e13
    assert 1e-8 < taught["launch_time"]("cpu") < 1e-3
    assert set(taught["measured_kernels"](SMALL, 2, torch.float32)) == set(taught["kernels_of"](SMALL, 32, 4))


def test_the_budget_is_what_the_plan_and_the_model_say(taught):
    budget = taught["memory_budget"](SMALL, 3, autocast=False)
    model = GPT(SMALL)
    assert budget["weights, gradients, AdamW"] == 16 * model.parameter_count()
    recipe = override(get_recipe("gpt2-small"), ["batch_size=8"])
    padded = recipe.config(GPTConfig.gpt2("small").vocab_size)  # as it trains
    large = taught["memory_budget"](padded, 8, autocast=False)
    gradients = 4 * GPT(padded).parameter_count()
    assert large["weights, gradients, AdamW"] - gradients == planning.plan(recipe).state_bytes
    mixed = taught["memory_budget"](SMALL, 3, autocast=True, chunk=16)
    assert mixed["logits"] == budget["logits"] / 3 and mixed["activations"] < budget["activations"]


@pytest.mark.parametrize("shape", [(60, 32, 3, 2, 16), (80, 64, 2, 4, 32)])
@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_blocks_keep_what_the_formula_says(taught, shape, autocast, fused):
    config = GPTConfig(*shape)
    model = GPT(config)
    two, four = (torch.randint(config.vocab_size, (n, config.context_length)) for n in (2, 4))
    kept = taught["kept_bytes"](model, four, autocast, fused) - taught["kept_bytes"](model, two, autocast, fused)
    formula = config.n_layer * taught["block_bytes"](config, autocast, fused)
    # The rest: means and standard deviations of the LayerNorms, fused attention's normalizer, the last LayerNorm's
    # input, the ids.
    rest = 8 * (2 * config.n_layer + 1) + 4 * config.n_layer * config.n_head + 4 * config.d_model + 8
    assert formula < kept / (2 * config.context_length) <= formula + rest


@pytest.mark.parametrize("autocast", [True, False])
def test_a_whole_step_holds_what_the_budget_says(taught, autocast):
    """Activations and logits by formula against the plain model's loss, counted tensor by tensor."""
    config = GPTConfig(900, 32, n_layer=6, n_head=2, d_model=32)
    model, ids = GPT(config), torch.randint(900, (4, 32))

    def forward_and_backward():
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model.loss(ids, ids)
        loss.backward()

    budget = taught["memory_budget"](config, 4, autocast)
    assert peak_bytes(forward_and_backward) == pytest.approx(budget["activations"] + budget["logits"], rel=0.15)


@pytest.mark.parametrize(
    ("name", "bits"), [("float16", (5, 10)), ("bfloat16", (8, 7)), ("float32", (8, 23)), ("float64", (11, 52))]
)
def test_limits_are_torchs(taught, name, bits):
    known = torch.finfo(getattr(torch, name))
    largest, normal, smallest, gap = taught["limits"](*bits)
    assert (largest, normal, gap) == (known.max, known.tiny, known.eps)
    assert torch.tensor(smallest, dtype=getattr(torch, name)) > 0
    assert torch.tensor(smallest, dtype=torch.float64).div(2.1).to(getattr(torch, name)) == 0 or name == "float64"
