"""What notebook 08 builds: loss and memory as torch has them, operations and plans as `helpers` count them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from course import Session
from course.bench import planning
from course.bench.memory import peak_bytes
from helpers import checkpoint, runs
from helpers.model import GPT, GPTConfig
from helpers.recipes import get_recipe, override
from tests.taught import taught_code

SMALL = GPTConfig(60, 16, n_layer=2, n_head=2, d_model=8)


@pytest.fixture(scope="module")
def taught():
    """The notebook's imports, functions and classes, on a CPU."""
    session = Session("08", "cpu", "cpu", 1, "bundled")
    return taught_code("08_training_on_a_gpu", session=session, on_gpu=False, HALF=torch.bfloat16, config=SMALL)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(8)


def gradients(loss, *given):
    return [loss.detach(), *torch.autograd.grad(loss, given)]


@pytest.mark.parametrize("size", [1, 7, 16, 64, 1000])
@pytest.mark.parametrize("masked", [0, 3])
def test_the_chunked_loss_is_torchs_plain_and_chunked_one(taught, size, masked):
    hidden, weight = torch.randn(65, 12, requires_grad=True), torch.randn(90, 12, requires_grad=True)
    targets = torch.randint(90, (65,))
    if masked:
        targets[::masked] = -100
    ours = gradients(5 * taught["ChunkedLoss"].apply(hidden, weight, targets, size), hidden, weight)
    others = [5 * taught["whole_loss"](hidden, weight, targets)]
    if hasattr(F, "linear_cross_entropy"):
        others.append(5 * taught["torchs_chunked_loss"](hidden, weight, targets, size))
    for other in others:
        for one, expected in zip(ours, gradients(other, hidden, weight), strict=True):
            assert torch.allclose(one, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_in_half_precision_with_a_loss_scale_it_is_as_near_as_torchs(taught, half):
    hidden, weight = torch.randn(64, 32, requires_grad=True), torch.randn(500, 32, requires_grad=True)
    targets = torch.randint(500, (64,))
    exact = gradients(F.cross_entropy(hidden @ weight.T, targets), hidden, weight)
    found = []
    for loss in (taught["whole_loss"], lambda *given: taught["ChunkedLoss"].apply(*given, 16)):
        with torch.autocast("cpu", half):
            scaled = loss(hidden, weight, targets) * 2.0**15
        found.append([each / 2.0**15 for each in gradients(scaled, hidden, weight)])
    for torchs, ours, right in zip(*found, exact, strict=True):
        assert torch.isfinite(ours).all() and ours.dtype == torch.float32
        assert (ours - right).abs().max() < 2 * (torchs - right).abs().max() + 1e-3 * right.abs().max()


def test_chunks_save_the_memory_they_promise(taught):
    hidden, weight = torch.randn(400, 8, requires_grad=True), torch.randn(5000, 8, requires_grad=True)
    targets = torch.randint(5000, (400,))
    whole = peak_bytes(lambda: taught["whole_loss"](hidden, weight, targets).backward())
    hidden.grad = weight.grad = None
    chunked = peak_bytes(lambda: taught["ChunkedLoss"].apply(hidden, weight, targets, 40).backward())
    assert whole == pytest.approx(400 * 5000 * 12, rel=0.05)
    assert chunked < 0.25 * whole


def test_the_budget_is_what_the_plan_and_the_model_say(taught):
    budget = taught["memory_budget"](SMALL, 3, autocast=False)
    model = GPT(SMALL)
    assert budget["weights, gradients, AdamW"] == 16 * model.parameter_count()
    recipe = override(get_recipe("gpt2-small"), ["batch_size=8"])
    large = taught["memory_budget"](GPTConfig.gpt2("small"), 8, autocast=False)
    gradients = 4 * GPT(GPTConfig.gpt2("small")).parameter_count()
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


def test_operations_by_part_are_the_plans(taught):
    for config in (GPTConfig.gpt2("small"), get_recipe("tinystories-t4").config(4096), SMALL):
        assert sum(taught["flops_by_part"](config).values()) == planning.training_flops_per_token(config)


@pytest.mark.parametrize(
    ("name", "bits"), [("float16", (5, 10)), ("bfloat16", (8, 7)), ("float32", (8, 23)), ("float64", (11, 52))]
)
def test_limits_are_torchs(taught, name, bits):
    known = torch.finfo(getattr(torch, name))
    largest, normal, smallest, gap = taught["limits"](*bits)
    assert (largest, normal, gap) == (known.max, known.tiny, known.eps)
    assert torch.tensor(smallest, dtype=getattr(torch, name)) > 0
    assert torch.tensor(smallest, dtype=torch.float64).div(2.1).to(getattr(torch, name)) == 0 or name == "float64"


OPTIONS = [{}, {"fused_attention": True}, {"fused_adamw": True}, {"chunk": 5}, {"multiple": 64}]


def test_every_option_trains_the_same_model(taught):
    weights = []
    for options in (*OPTIONS, {"fused_attention": True, "fused_adamw": True, "chunk": 9}):
        torch.manual_seed(1)
        step = taught["Step"](SMALL, 2, **({"multiple": 1} | options))
        for _ in range(3):
            step()
        weights.append({name: p.detach() for name, p in step.model.named_parameters()})
    for options, other in zip((*OPTIONS, None), weights, strict=True):
        if options == {"multiple": 64}:
            assert other["wte.weight"].shape[0] == 64  # another initialization: another model
            continue
        for name, tensor in weights[0].items():
            assert torch.allclose(other[name], tensor, atol=2e-4), (options, name)


def test_the_cell_goes_on_after_a_disconnect(taught, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    changes = ["n_layer=1", "n_head=1", "d_model=8", "context_length=16", "limit=60", "steps=12", "log_every=1"]
    changes += ["eval_every=6", "eval_stories=2", "sample_every=0", "checkpoint_every=4", "batch_size=1"]
    recipe = replace(override(get_recipe("storyteller"), changes), name="short")
    again, broken, whole = taught["train_or_go_on"], tmp_path / "broken", tmp_path / "whole"
    seen = []

    def break_off(row):
        seen.append(row["loss"])
        if row["step"] == 7:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        again(recipe, broken, break_off)
    assert checkpoint.saved_checkpoints(broken)[0].name == "step-00000004.safetensors"
    history = again(recipe, broken)
    assert "going on from step 4" in capsys.readouterr().out
    assert [row["loss"] for row in history[:7]] == seen
    expected = runs.trainer_of(runs.prepare(recipe, progress=False), whole, progress=False).run()
    assert [row["loss"] for row in history] == [row["loss"] for row in expected.history]
    assert again(recipe, broken)[-1]["step"] == 12  # finished: nothing is trained, the log is read
    assert "finished" in capsys.readouterr().out


def test_recorded_runs_of_that_size_are_found(taught, tmp_path, monkeypatch):
    from helpers.files import read_json, write_json

    record = {"parameters": 7, "steps": 10, "tokens": 1000, "val_loss": [[5, 2.0], [10, 1.5]]}
    write_json(tmp_path / "recorded" / "a.json", record | {"machine": {"gpu": "Tesla T4", "processor": "x86_64"}})
    write_json(tmp_path / "recorded" / "b.json", record | {"parameters": 8, "machine": {"processor": "x86_64"}})
    monkeypatch.setitem(taught, "data_folder", lambda: Path(tmp_path))
    monkeypatch.setitem(taught, "read_json", read_json)
    assert taught["recorded_runs"](7) == {"recorded: Tesla T4": [(500.0, 2.0), (1000.0, 1.5)]}
    assert taught["recorded_runs"](9) == {}


def test_the_peak_of_a_matmul_is_a_speed(taught):
    assert 1e8 < taught["matmul_peak"]("cpu", torch.float32, 256) < 1e14
    assert taught["half_precision_here"]() is None


def test_the_stored_notebook_says_what_it_could_not_measure():
    from course.site import notebooks

    book = notebooks.read(notebooks.folder() / "08_training_on_a_gpu.ipynb")
    alts = [
        output.metadata.get("image/png", {}).get("alt", "")
        for cell in book.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "metadata" in output
    ]
    (said,) = [alt for alt in alts if "Not measured here" in alt]
    assert "+ half precision" in said and "torch.compile" in said
    assert any("No run on a GPU has been recorded yet" in alt or "Recorded:" in alt for alt in alts)
    assert not any(" nan" in alt for alt in alts)
