"""What notebook 08 builds around a run: loading ahead, what lies on the disk, the score on the run's own stories."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from course import Session, keeper, runs, scoreboard
from course.bench import planning
from course.checks.registry import load_checks
from course.recipes import get_recipe, override
from course.site import notebooks, setup_cell
from helpers import checkpoint, training
from helpers.files import read_json, write_json
from helpers.model import GPT, GPTConfig
from helpers.stories import load_stories
from tests.taught import taught_code

NAME = "08_training_on_a_gpu"
SMALL = GPTConfig(60, 16, n_layer=2, n_head=2, d_model=8)


@pytest.fixture(scope="module")
def taught():
    """The notebook's imports, functions and classes, on a CPU."""
    session = Session("08", "cpu", "cpu", 1, "bundled")
    return taught_code(NAME, session=session, on_gpu=False, HALF=torch.bfloat16, config=SMALL)


@pytest.fixture(scope="module")
def book():
    return notebooks.read(notebooks.folder() / f"{NAME}.ipynb")


def short(**changes):
    """A recipe of a few steps, whose model is large beside what describes it in a file."""
    settings = ["n_layer=2", "n_head=2", "d_model=64", "context_length=32", "limit=60", "steps=12", "log_every=1"]
    settings += ["eval_every=3", "eval_stories=2", "sample_every=0", "checkpoint_every=3", "batch_size=1"]
    settings += [f"{name}={value}" for name, value in changes.items()]
    return replace(override(get_recipe("storyteller"), settings), name="short")


def solution(number: str):
    """The course's own part of an exercise."""
    return load_checks("08")[number].course_part({})


# ---------------------------------------------------------------------- loading


def test_a_prefetcher_gives_the_same_batches_in_the_same_order(taught):
    batches = iter(range(7))
    ahead = taught["Prefetcher"](SimpleNamespace(next_batch=lambda: next(batches)))
    assert [ahead.next_batch() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert [ahead.next_batch() for _ in range(2)] == [5, 6]
    with pytest.raises(StopIteration):
        ahead.next_batch()


def test_steps_are_noted_in_order_and_loading_goes_on_meanwhile(taught, monkeypatch):
    monkeypatch.setitem(taught, "LOADING", 0.002)
    monkeypatch.setitem(taught, "COMPUTING", 0.02)
    one = taught["six_steps"](lambda sampler: sampler)
    other = taught["six_steps"](taught["Prefetcher"])
    for found in (one, other):
        steps = [(begin, end) for what, begin, end in found if what == "step"]
        assert len(steps) == 6 and steps == sorted(steps)
    assert not overlapping(one) and overlapping(other)


def overlapping(intervals) -> bool:
    """Whether something was loaded while a step was computed."""
    loads = [(begin, end) for what, begin, end in intervals if what == "load"]
    steps = [(begin, end) for what, begin, end in intervals if what == "step"]
    return any(begin < over and start < end for begin, end in loads for start, over in steps)


# ---------------------------------------------------------------------- the disk


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_real_run_holds_at_its_peak_what_the_solution_says(taught, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    recipe, folder = short(kind=kind, lr=0.001), tmp_path / "run"
    written, held = [], []

    def size() -> int:
        return sum(path.stat().st_size for path in folder.rglob("*.safetensors*"))

    def write(path, tensors, metadata):
        content = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        is_state, is_best = Path(path).parent.name == checkpoint.FOLDER, Path(path).parent.name == training.BEST
        written.append(("state" if is_state else "best" if is_best else "model", content))
        before = size()
        real(path, tensors, metadata)
        held.append(before + Path(path).stat().st_size)  # both the old and the new, until the new is whole

    real = checkpoint.write_safetensors
    monkeypatch.setattr(checkpoint, "write_safetensors", write)
    runs.trainer_of(runs.prepare(recipe, progress=False), folder, progress=False).run()
    disk_bytes = solution("8.9")
    assert disk_bytes(written, checkpoint.KEEP) == pytest.approx(max(held), rel=0.05)

    with torch.device("meta"):
        model = GPT(recipe.config(2048))
    saves = sum(kind == "state" for kind, _ in written) - 1
    formula = taught["writes_of"](recipe, 2048, saves)
    kinds = [kind for kind, _ in written if kind != "best"]
    assert kinds[: 2 + 2 * saves] == [kind for kind, _ in formula if kind != "best"]
    assert dict(formula) == pytest.approx(dict(written), rel=0.1)
    assert dict(formula)["state"] == 4 * (model.parameter_count() + planning.optimizer_values(model, recipe.training))
    assert disk_bytes(formula, checkpoint.KEEP) == pytest.approx(max(held), rel=0.1)


def test_the_plans_disk_is_the_notebooks(taught):
    recipe = get_recipe("gpt2-tinystories")
    with torch.device("meta"):
        model = GPT(GPTConfig.gpt2("small"))
    writes, count = taught["writes_of"](recipe, 50257, 20), model.parameter_count()
    peak = solution("8.9")(writes, checkpoint.KEEP)
    assert peak == pytest.approx(planning.disk_bytes(dict(writes)["state"], count, recipe, 50257), rel=0.02)
    assert peak / count == pytest.approx(44, rel=0.01)


# ---------------------------------------------------------------------- what to go on from, and the one cell


def test_the_solution_chooses_the_state_that_a_run_goes_on_from(tmp_path):
    newest_whole = solution("8.10")
    paths = [tmp_path / name for name in ("step-00000004.safetensors", *keeper.STATES)]
    for path, step in zip(paths, (4, 9, 6), strict=True):
        metadata = {"state": f'{{"$dict": [["step", {step}]]}}'}
        checkpoint.write_safetensors(path, {"x": torch.zeros(3)}, metadata)
    assert newest_whole(paths, keeper.step_of) == paths[1]
    paths[1].write_bytes(bytes(8) + paths[1].read_bytes()[8:])  # a copy that broke off
    assert newest_whole(paths, keeper.step_of) == paths[2]
    assert newest_whole(paths[1:2], keeper.step_of) is None


def test_there_is_one_cell_to_go_on_with_and_nothing_else_trains_the_run(book):
    cells = [cell for cell in book.cells if "run-cell" in notebooks.tags_of(cell)]
    assert [cell.source for cell in cells] == [setup_cell.run_cell("08")]
    calls = [cell for cell in book.cells if cell.cell_type == "code" and "train_or_go_on(" in cell.source]
    assert len(calls) == 2  # the staged disconnect, and the one cell


# ---------------------------------------------------------------------- what came of it


@pytest.mark.parametrize("source", ["bundled", "tinystories"])
def test_a_run_is_scored_on_its_own_stories(taught, tmp_path, monkeypatch, source):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    recipe, asked = short(steps=2), []
    runs.trainer_of(runs.prepare(recipe, progress=False), tmp_path / "run", progress=False).run()
    texts = ["One day a fox saw a hen.", "Tom had a red ball."]

    def stories_of(name, split, limit):
        asked.append((name, split))
        return load_stories("bundled", split=split, limit=limit) if name == "bundled" else texts[:limit]

    rows = []
    monkeypatch.setitem(taught, "load_stories", stories_of)
    monkeypatch.setattr(scoreboard, "add", lambda name, **values: rows.append((name, values)))
    model, _, score = taught["score_of_the_run"](replace(recipe, stories=source), tmp_path / "run", limit=2)
    assert asked == [(source, "validation")] and score.stories == 2
    if source == "bundled":
        assert score.times_floor > 1 and [name for name, _ in rows] == ["GPT, 12 thin layers"]
        assert rows[0][1]["parameters"] == model.parameter_count()
    else:
        assert score.times_floor is None and not rows


def test_recorded_runs_of_that_size_are_found(taught, tmp_path, monkeypatch):
    record = {"parameters": 7, "steps": 10, "tokens": 1000, "val_loss": [[5, 2.0], [10, 1.5]]}
    write_json(tmp_path / "recorded" / "a.json", record | {"machine": {"gpu": "Tesla T4", "processor": "x86_64"}})
    write_json(tmp_path / "recorded" / "b.json", record | {"parameters": 8, "machine": {"processor": "x86_64"}})
    monkeypatch.setitem(taught, "data_folder", lambda: Path(tmp_path))
    monkeypatch.setitem(taught, "read_json", read_json)
    assert taught["recorded_runs"](7) == {"recorded: Tesla T4": [(500.0, 2.0), (1000.0, 1.5)]}
    assert taught["recorded_runs"](9) == {}


def test_operations_by_part_are_the_plans(taught):
    for config in (GPTConfig.gpt2("small"), get_recipe("tinystories-t4").config(4096), SMALL):
        assert sum(taught["flops_by_part"](config).values()) == planning.training_flops_per_token(config)


def test_the_stored_notebook_says_what_it_could_not_measure(book):
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


def test_no_output_holds_what_the_profilers_library_writes(book):
    for cell in book.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output["text"]
