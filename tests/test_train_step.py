"""One step of training, however it is carried out: the same loss and gradients, and a clear word where it cannot be."""

import copy
import functools
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import hardware, train_step
from helpers.errors import CourseError
from helpers.hardware import choose, matmul_precision
from helpers.model import GPT, IGNORED, GPTConfig
from helpers.optimizers import QUINTIC, orthogonalize
from helpers.settings import HardwareConfig, TrainingSettings
from helpers.train_step import TrainStep, loss_of
from helpers.training import Trainer
from tests.fake_gpu import OnGPU, fake_gpu

CONFIG = GPTConfig(vocab_size=60, context_length=12, n_layer=2, n_head=2, d_model=16)
AUTO = HardwareConfig(precision="auto", matmul_precision="auto", loss="auto", compile="auto")


class Batches:
    """Random tokens; in each row another number of positions is scored."""

    def __init__(self, rows: int = 8, seed: int = 0, unequal: bool = True):
        self.rows, self.unequal = rows, unequal
        self.generator = torch.Generator().manual_seed(seed)

    def next_batch(self):
        ids = torch.randint(CONFIG.vocab_size, (self.rows, CONFIG.context_length + 1), generator=self.generator)
        ids, targets = ids[:, :-1].contiguous(), ids[:, 1:].clone()
        if self.unequal:
            left = torch.randint(1, CONFIG.context_length + 1, (self.rows, 1), generator=self.generator)
            targets[torch.arange(CONFIG.context_length) >= left] = IGNORED
        return ids, targets

    def state_dict(self) -> dict:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        self.generator.set_state(state["generator"])


def make(device="cpu", rows: int = 8, batches: Batches | None = None, **changes) -> TrainStep:
    """A step of one model, whose weights are always the same."""
    torch.manual_seed(0)
    model = GPT(CONFIG).to(device).train()
    return TrainStep(model, batches or Batches(rows), TrainingSettings.of(steps=9, batch_size=rows, **changes))


def run(step: TrainStep, steps: int, first: int = 1) -> list[float]:
    return [step.step(number, lambda: 1.0).loss for number in range(first, first + steps)]


def values(step: TrainStep) -> dict[str, torch.Tensor]:
    return {name: each.detach().cpu().clone() for name, each in step.model.named_parameters()}


def gradients(step: TrainStep, batches, tokens: int) -> tuple[float, dict[str, torch.Tensor]]:
    loss = sum(each.item() for each in step.gradients(batches, tokens))
    return loss, {name: each.grad.detach().cpu().clone() for name, each in step.model.named_parameters()}


def near(got: dict, wanted: dict, **tolerance) -> None:
    for name, each in wanted.items():
        torch.testing.assert_close(got[name], each, msg=lambda said, name=name: f"{name}: {said}", **tolerance)


# ---------------------------------------------------------------------- what "auto" is


@pytest.mark.parametrize("triton", [True, False])
@pytest.mark.parametrize("torchs_chunks", [True, False])
@pytest.mark.parametrize(
    ("capability", "precision", "products"),
    [
        ((6, 0), "float32", "highest"),  # P100: no matrix units
        ((7, 0), "float16", "highest"),  # V100
        ((7, 5), "float16", "highest"),  # T4
        ((8, 0), "bfloat16", "high"),  # A100
        ((8, 9), "bfloat16", "high"),  # L4
        ((9, 0), "bfloat16", "high"),  # H100
    ],
)
def test_what_a_gpu_is_given_by_its_generation(monkeypatch, capability, precision, products, torchs_chunks, triton):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    monkeypatch.setattr(hardware, "find_spec", lambda name: object() if triton else None)
    if torchs_chunks:
        monkeypatch.setattr(F, "linear_cross_entropy", None, raising=False)
    else:
        monkeypatch.delattr(F, "linear_cross_entropy", raising=False)
    compiled = "on" if triton and capability >= (7, 0) else "off"  # Triton has no kernels for what is older
    expected = HardwareConfig(precision, products, "chunked" if torchs_chunks else "plain", compiled)
    assert choose(AUTO, "cuda") == expected
    asked = HardwareConfig("float32", "highest", "plain", "off")
    assert choose(asked, "cuda") == asked  # what is said is done


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_other_devices_are_given_nothing_special(monkeypatch, device):
    monkeypatch.setattr(hardware, "find_spec", lambda name: object())
    assert choose(AUTO, device) == HardwareConfig("float32", "highest", "plain", "off")


@pytest.mark.parametrize("inside", ["highest", "high"])
@pytest.mark.parametrize("before", ["highest", "high"])
def test_the_precision_of_products_is_put_back_also_after_an_error(before, inside):
    was = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(before)
        with matmul_precision(inside):
            assert torch.get_float32_matmul_precision() == inside
        with pytest.raises(KeyError), matmul_precision(inside):
            raise KeyError
        step = make(matmul_precision=inside)
        step.sampler.next_batch = lambda: 1 / 0
        with pytest.raises(ZeroDivisionError):
            step.step(1, lambda: 1.0)
        step = make(matmul_precision=inside)
        step.loss = lambda ids, targets: 1 / 0
        with pytest.raises(ZeroDivisionError):
            step.step(1, lambda: 1.0)
        assert torch.get_float32_matmul_precision() == before
    finally:
        torch.set_float32_matmul_precision(was)


# ---------------------------------------------------------------------- compiled


def has_compiler() -> bool:
    """A C++ compiler, and a path of torch's that the linker takes whole."""
    path = " " not in torch.__file__
    return path and sys.platform != "win32" and any(shutil.which(each) for each in ("g++", "clang++"))


@pytest.mark.parametrize("loss", ["plain", "chunked"])
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_compiled_it_has_the_same_loss_and_gradients(monkeypatch, backend, loss):
    if loss == "chunked" and not hasattr(F, "linear_cross_entropy"):
        pytest.skip("this torch has no chunked loss")
    if backend == "inductor" and not has_compiler():
        pytest.skip("needs a C++ compiler, and no space in the path of torch")
    torch._dynamo.reset()
    batch = Batches().next_batch()
    tokens = int((batch[1] != IGNORED).sum())
    expected_loss, expected = gradients(make(), [batch], tokens)
    asked, real = [], torch.compile

    def compiled(function, **options):
        asked.append(function)
        return real(function, backend=backend, **options)

    monkeypatch.setattr(torch, "compile", compiled)
    found_loss, found = gradients(make(loss=loss, compile="on"), [batch], tokens)
    assert len(asked) == 1
    assert found_loss == pytest.approx(expected_loss, rel=1e-5)
    near(found, expected, rtol=1e-4, atol=1e-6)
    torch._dynamo.reset()


# ---------------------------------------------------------------------- half precision


@functools.cache
def losses_in_float32(kind: str) -> list[float]:
    return run(make(kind=kind, lr=3e-3, batches=Fixed()), 40)


class Fixed(Batches):
    """The same batch again and again: it can be learned by heart."""

    def next_batch(self):
        return Batches(self.rows).next_batch()


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_trains_to_nearly_the_same_loss(kind, precision):
    expected = losses_in_float32(kind)
    step = make(kind=kind, lr=3e-3, precision=precision, batches=Fixed())
    found = run(step, 40)
    assert expected[-1] < expected[0] - 0.5  # it has learned something
    assert step.scaler.is_enabled() == (precision == "float16") and step.skipped_in_all == 0
    # A bfloat16 has 8 bits, a float16 11: a loss near 4 is a sum of many such numbers.
    tolerance = 0.02 if precision == "bfloat16" else 0.005
    assert found == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_state_goes_on_equally(kind, precision):
    whole = make(kind=kind, precision=precision)
    expected = run(whole, 6)
    first = make(kind=kind, precision=precision)
    assert run(first, 3) == expected[:3]
    state, weights = copy.deepcopy(first.state_dict()), values(first)
    second = make(kind=kind, precision=precision, batches=Batches(seed=5))
    second.model.load_state_dict(weights, strict=False)
    second.load_state_dict(state)
    assert run(second, 3, first=4) == expected[3:]
    near(values(second), values(whole), rtol=0, atol=0)
    assert second.scaler.state_dict() == whole.scaler.state_dict()


@pytest.mark.parametrize(("saved", "here"), [("float16", "bfloat16"), ("float16", "float32"), ("float32", "float16")])
def test_a_state_of_another_precision_goes_on_with_its_own_scale(saved, here):
    first = make(precision=saved)
    run(first, 3)
    if saved == "float16":
        first.scaler.update(1024.0)
    second = make(precision=here)
    own_scale = second.scaler.get_scale()
    second.model.load_state_dict(values(first), strict=False)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.scaler.get_scale() == own_scale  # 1 where there is none, a first guess in float16
    expected = run(first, 3, first=4)
    assert run(second, 3, first=4) == pytest.approx(expected, abs=0.02)


# ---------------------------------------------------------------------- in pieces


def small_memory(step: TrainStep, rows: int) -> list[int]:
    """A device on which no more rows fit; the rows of what was tried."""
    tried, real = [], step.loss

    def loss(ids, targets):
        tried.append(len(ids))
        if len(ids) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(ids, targets)

    step.loss = loss
    return tried


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 9),
    fits=st.integers(1, 9),
    batches=st.integers(1, 3),
    loss=st.sampled_from(["plain", "chunked"] if hasattr(F, "linear_cross_entropy") else ["plain"]),
    seed=st.integers(0, 99),
)
def test_in_pieces_it_is_the_same_gradient(rows, fits, batches, loss, seed):
    """Whatever the rows, however many fit and how unequally they are scored: each token weighs the same."""
    given = [Batches(rows, seed + i).next_batch() for i in range(batches)]
    tokens = sum(int((targets != IGNORED).sum()) for _, targets in given)
    expected_loss, expected = gradients(make(rows=rows), given, tokens)
    step = make(rows=rows, loss=loss)
    tried = small_memory(step, fits)
    found_loss, found = gradients(step, given, tokens)
    assert found_loss == pytest.approx(expected_loss, rel=1e-5)
    near(found, expected, rtol=1e-4, atol=1e-6)
    assert step.pieces == 1 or fits < rows
    done = tried[-batches * -(-rows // -(-rows // step.pieces)) :]
    assert max(done) <= fits and sum(done) == rows * batches  # each row once
    again = len(tried)
    gradients(step, given, tokens)
    assert tried[again:] == done  # what does not fit is not tried again


@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_pieces_train_the_same_weights(pieces, capsys):
    whole, step = make(accumulation=2), make(accumulation=2)
    small_memory(step, 8 // pieces)
    assert run(step, 3) == pytest.approx(run(whole, 3), rel=1e-5)
    assert step.pieces == pieces
    near(values(step), values(whole), rtol=1e-3, atol=1e-5)
    said = capsys.readouterr().out
    assert ("read in 2 pieces" in said) == (pieces >= 2) and ("read in 4 pieces" in said) == (pieces == 4)


def test_a_piece_without_a_scored_token_changes_nothing():
    ids, targets = Batches(4).next_batch()
    targets[2:] = IGNORED
    tokens = int((targets != IGNORED).sum())
    expected_loss, expected = gradients(make(rows=4), [(ids, targets)], tokens)
    step = make(rows=4)
    step.pieces = 2
    found_loss, found = gradients(step, [(ids, targets)], tokens)
    assert found_loss == pytest.approx(expected_loss, rel=1e-5)
    near(found, expected, rtol=1e-4, atol=1e-6)


def test_where_not_even_one_row_fits_it_says_so(capsys):
    step = make()
    before = values(step)
    tried = small_memory(step, 0)
    with pytest.raises(CourseError, match="not even one sequence fits the GPU's memory: choose a smaller batch_size"):
        step.step(1, lambda: 1.0)
    assert tried == [8, 4, 2, 1]
    near(values(step), before, rtol=0, atol=0)
    step = make()
    step.may_split = False  # as in several processes, which all would have to
    small_memory(step, 4)
    with pytest.raises(CourseError, match="a batch does not fit"):
        step.step(1, lambda: 1.0)


def test_the_log_says_in_how_many_pieces(capsys):
    torch.manual_seed(0)
    options = TrainingSettings.of(steps=3, batch_size=8, log_every=1, eval_every=0, sample_every=0)
    trainer = Trainer(GPT(CONFIG), Batches(), options, progress=False)
    real = trainer.train_step.loss

    def loss(ids, targets):
        if len(ids) > (8 if trainer.step == 0 else 4):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(ids, targets)

    trainer.train_step.loss = loss
    rows = trainer.run().history
    assert [row.get("pieces") for row in rows] == [None, 2, 2]


def test_a_full_gpu_is_filled_with_smaller_batches(capsys):
    """On a GPU that counts its memory: what is over the edge is halved, and comes to the same weights."""
    whole = make(rows=16)
    expected = run(whole, 2)
    with fake_gpu() as memory:
        step = make("cuda", rows=16)
        run(step, 1)  # the optimizer's moments are there
        held, most = memory.held, memory.most
        step = None
    with fake_gpu(memory=held + (most - held) // 3) as memory:
        step = make("cuda", rows=16)
        found = run(step, 2)
        assert step.pieces > 1 and memory.most <= memory.size
        weights = values(step)
    assert found == pytest.approx(expected, rel=1e-5)
    near(weights, values(whole), rtol=1e-3, atol=1e-5)


# ---------------------------------------------------------------------- Muon's products


def band(steps: int = 5) -> tuple[float, float]:
    """Between what the quintic takes to after so many steps, for singular values from a hundredth to 1."""
    a, b, c = QUINTIC
    x = torch.linspace(0.01, 1, 100_000, dtype=torch.float64)
    for _ in range(steps):
        x = a * x + b * x**3 + c * x**5
    return x.min().item(), x.max().item()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(48, 48), (96, 32), (32, 96)])
def test_muons_update_in_half_precision_has_its_singular_values_in_the_band(dtype, shape):
    torch.manual_seed(0)
    low, high = band()
    assert 0.65 < low < 0.75 and 1.1 < high < 1.25
    rows, columns = shape
    u, _ = torch.linalg.qr(torch.randn(rows, min(shape)))
    v, _ = torch.linalg.qr(torch.randn(columns, min(shape)))
    matrix = u @ torch.diag(torch.logspace(-1, 0, min(shape))) @ v.T
    exact = orthogonalize(matrix.double())
    with torch.autocast("cpu", dtype):
        found = orthogonalize(matrix)
    singular = torch.linalg.svdvals(found.float())
    # Half precision moves a singular value by a few of its last digits: eight bits for bfloat16, eleven for float16.
    off = NEAR[dtype]
    assert low - off < singular.min() and singular.max() < high + off
    distance = (found - exact).norm() / exact.norm()
    assert distance < off


NEAR = {torch.bfloat16: 0.08, torch.float16: 0.01}


def test_muon_trains_under_autocast_with_moments_in_float32():
    step = make(kind="muon", precision="bfloat16", lr=0.02)
    run(step, 2)
    kept = [each["momentum_buffer"].dtype for each in step.optimizers[0].state.values()]
    assert kept and set(kept) == {torch.float32}
    assert {each.dtype for each in step.model.parameters()} == {torch.float32}


# ---------------------------------------------------------------------- copies to the GPU


def test_batches_are_pinned_where_there_is_a_gpu_and_only_what_is_not_there_yet(monkeypatch):
    step = make()
    ids, _ = step.sampler.next_batch()
    assert step.on_device(ids) is ids
    pinned = []
    with fake_gpu():
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self, device=None: pinned.append(self) or self)
        step = make("cuda")
        moved = step.on_device(ids)
        assert isinstance(moved, OnGPU) and moved.tolist() == ids.tolist() and pinned == [ids]
        assert step.on_device(moved) is moved and len(pinned) == 1


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("gpu", [("Tesla T4", (7, 5), 15.8), ("NVIDIA A100-SXM4-40GB", (8, 0), 42.3)])
def test_on_a_gpu_that_is_imitated_it_comes_to_the_same_losses(kind, gpu):
    """Every tensor where it must be: the fake refuses what a GPU refuses."""
    expected = run(make(kind=kind, accumulation=2), 3)
    options = {name: "auto" for name in ("precision", "matmul_precision", "loss", "compile")}
    with fake_gpu(*gpu):
        step = make("cuda", kind=kind, accumulation=2, **options)
        assert step.hardware.precision == ("float16" if "T4" in gpu[0] else "bfloat16")
        assert step.warm_up() >= 0
        found = run(step, 3)
        state = copy.deepcopy(step.state_dict())
        again = make("cuda", kind=kind, accumulation=2, **options)
        again.load_state_dict(state)
    assert found == pytest.approx(expected, abs=0.02)


def test_the_loss_is_what_was_asked_for(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda function: seen.append(function) or function)
    model = GPT(CONFIG)
    ids, targets = Batches().next_batch()
    expected = model.loss(ids, targets)
    for loss in ("plain", *(["chunked"] if hasattr(F, "linear_cross_entropy") else [])):
        for compiled in ("off", "on"):
            function = loss_of(model, SimpleNamespace(loss=loss, compile=compiled))
            torch.testing.assert_close(function(ids, targets), expected)
    assert train_step.chunked_loss and len(seen) == (2 if hasattr(F, "linear_cross_entropy") else 1)


def test_a_compiler_that_fails_ends_no_run_that_left_the_choice_to_the_device(monkeypatch, capsys):
    def broken(function):
        def call(*given):
            raise RuntimeError("no kernel for this GPU\nand a long tale")

        return call

    monkeypatch.setattr(torch, "compile", broken)

    def chosen(given, device):
        return replace(given, compile="on" if given.compile == "auto" else given.compile, matmul_precision="highest")

    monkeypatch.setattr(train_step, "choose", chosen)
    with pytest.raises(RuntimeError, match="no kernel"):
        make(compile="on").warm_up()
    step = make(compile="auto")
    step.warm_up()
    assert "torch.compile does not work here (no kernel for this GPU)" in capsys.readouterr().out
    expected = make(compile="off").step(1, lambda: 1.0)
    assert step.hardware.compile == "off" and step.step(1, lambda: 1.0).loss == expected.loss
