"""The experiments on scale: what is trained, that it is counted rightly, and that a stopped run goes on."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from course.bench.planning import training_flops_per_token
from course.runs import put_together, trainer_of
from course.scaling import mup, running
from course.scaling.experiments import (
    BUDGETS,
    CHOICES_BUDGET,
    EXPERIMENTS,
    RECIPE_BUDGET,
    SEEDS,
    Point,
    budget_of,
    fitted,
    grid,
    held_out,
    multiplying,
    pilot,
)
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig
from helpers.settings import OptimizerConfig
from helpers.tokenizer import load_tokenizer

TINY = Point("tiny", 6, 0, {"d_model": 8, "n_head": 2}, dict(batch_size=2, checkpoint_every=2), stories=120)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs, tokens and records in a folder of the test's own."""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(running, "record_of", lambda experiment: tmp_path / f"{experiment}.jsonl")


# ---------------------------------------------------------------------- what is trained


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_point_has_a_name_of_its_own_and_can_be_built(name):
    points = EXPERIMENTS[name]()
    assert len({point.name for point in points}) == len(points)
    assert {point.seed for point in points} <= set(SEEDS)
    for point in points:
        assert point.steps >= 50
        assert point.config().vocab_size == load_tokenizer("bundled").vocab_size


def test_every_run_of_the_grid_uses_up_its_budget():
    for point in [*grid(), *held_out(), *pilot()]:
        budget = float(point.name.split("budget")[1].split("-")[0])
        data = point.recipe().training.data
        tokens = point.steps * data.batch_size * data.accumulation * point.config().context_length
        assert 6 * multiplying(point.config()) * tokens == pytest.approx(budget, rel=0.02)  # the name rounds
        assert budget_of({"operations": 6 * multiplying(point.config()) * tokens}) == pytest.approx(budget, rel=0.02)
        assert tokens < point.stories * 128  # a sequence of 256 tokens uses up two stories: none is read twice
    assert len(grid()) == 25 + 2 * 5 * (len(BUDGETS) - 2)


@pytest.mark.parametrize("experiment", ["recipes", "choices"])
def test_recipes_and_choices_are_compared_at_equal_operations(experiment):
    found = {}
    for point in EXPERIMENTS[experiment]():
        data, config = point.recipe().training.data, point.config()
        tokens = point.steps * data.batch_size * data.accumulation * config.context_length
        found[point.name] = 6 * multiplying(config) * tokens
    budget = RECIPE_BUDGET if experiment == "recipes" else CHOICES_BUDGET
    assert budget in BUDGETS  # so runs of the grid stand beside them
    assert all(used == pytest.approx(budget, rel=0.01) for used in found.values()), found


@pytest.mark.parametrize(
    "config",
    [
        GPTConfig(vocab_size=97, context_length=32, n_layer=3, n_head=2, d_model=16),
        GPTConfig(vocab_size=50, context_length=16, n_layer=1, n_head=1, d_model=8, d_ff=24, tied_head=False),
    ],
)
def test_the_weights_that_multiply_are_those_that_torch_counts(config):
    """Torch counts the matrix products of a forward and a backward pass; those of attention are known apart."""
    B, T, d = 2, config.context_length, config.d_model
    model = GPT(config)
    ids = torch.randint(config.vocab_size, (B, T))
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        model.loss(ids, ids).backward()
    attention = 12 * config.n_layer * d * T * B * T  # two (T, T) products, forward once and backward twice
    assert counter.get_total_flops() - attention == 6 * multiplying(config) * B * T
    assert counter.get_total_flops() == training_flops_per_token(config) * B * T


def test_what_is_fitted_is_chosen_by_what_was_spent():
    spent = [(each, steps) for each in (0.4e12, 0.795e12, 6.4e12) for steps in (99, 300)]
    rows = [dict(operations=each, steps=steps, val_loss=9.0) for each, steps in spent]
    assert fitted(rows) == [rows[3], rows[5]]


# ---------------------------------------------------------------------- running


def test_fresh_stories_are_the_same_each_time_and_not_the_bundled_ones():
    from itertools import islice

    from helpers.stories import load_stories

    once, again = (list(islice(running.fresh_stories(), 600)) for _ in range(2))
    assert once == again
    assert len(set(once)) == 600
    assert len(set(once) & set(load_stories("bundled", "validation"))) <= 1


def test_tokens_are_made_once():
    first, again = running.fresh_tokens(60), running.fresh_tokens(60)
    assert first.folder == again.folder
    assert len(first) == 60


def test_a_stopped_run_goes_on_and_comes_to_the_same():
    whole = running.run_point(TINY)
    folder = running.runs_folder() / "scaling" / TINY.name
    assert not folder.exists()  # what is recorded needs no folder
    prepared = put_together(TINY.recipe(), load_tokenizer("bundled"), running.fresh_tokens(TINY.stories), [], "")
    stopped = trainer_of(prepared, folder, progress=False, callback=lambda row: row["step"] == 3).run()
    assert (stopped.stopped, stopped.steps) == ("callback", 3)
    assert running.run_point(TINY) == whole
    assert whole["steps"] == TINY.steps
    assert whole["operations"] == 6 * whole["multiplying"] * whole["tokens"]


def test_an_experiment_runs_what_is_missing_and_keeps_it(monkeypatch):
    points = [TINY, Point("other", 2, 1, TINY.model, TINY.training, stories=120)]
    monkeypatch.setitem(running.EXPERIMENTS, "grid", lambda: points)
    known = {"name": "tiny", "tokens": 64, "val_loss": 1.0}
    old = known | {"name": "of an older list"}
    running.record_of("grid").write_text(json.dumps(known) + "\n" + json.dumps(old) + "\n")
    assert running.missing("grid") == points[1:]
    found = running.run_experiment("grid", workers=1)
    assert found[0] == known
    assert [row["name"] for row in found] == ["tiny", "other"]
    assert running.recorded("grid") == found
    assert running.missing("grid") == []


def test_an_unknown_experiment_is_refused():
    with pytest.raises(CourseError, match="there are grid"):
        running.missing("gird")


# ---------------------------------------------------------------------- muP


def model_of(width: int) -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(64, 16, 2, width // 8, width, tied_head=False, embedding_std=1.0))


def test_at_its_base_width_mup_is_the_standard():
    model = model_of(32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mup.scale(model, 32)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    (made,) = mup.optimizers(model, OptimizerConfig(lr=0.01), 32)
    assert {group["lr"] for group in made.param_groups} == {0.01}
    held = [parameter for group in made.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(parameter) for parameter in model.parameters()}
    assert len(held) == len(set(map(id, held)))


def moved(width: int, base: int | None) -> float:
    """The coordinate check: how far, on average, five steps move a logit."""
    model, ids = model_of(width), torch.randint(64, (8, 16), generator=torch.Generator().manual_seed(1))
    if base:
        mup.scale(model, base)
        (optimizer,) = mup.optimizers(model, OptimizerConfig(lr=0.01), base)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.0)
    with torch.no_grad():
        before = model(ids)
    for _ in range(5):
        optimizer.zero_grad()
        model.loss(ids, ids.roll(-1, 1)).backward()
        optimizer.step()
    with torch.no_grad():
        return (model(ids) - before).abs().mean().item()


def test_under_mup_a_step_moves_logits_alike_at_all_widths():
    mup_moves, standard_moves = ([moved(width, base) for width in (32, 128, 512)] for base in (32, None))
    assert max(mup_moves) / min(mup_moves) < 1.6
    assert standard_moves[-1] / standard_moves[0] > 4


# ---------------------------------------------------------------------- what is recorded


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"\xff\n", "line 2, is not valid JSON .*not UTF-8"), (b"null\n", "line 2, is no run with its name, tokens"),
        (b"{}\n", "line 2, is no run"), (b'{"name": 5, "tokens": 1, "val_loss": 1}', "line 2, is no run"),
        (b'{"name": "x", "tokens": "1", "val_loss": 1}', "line 2, is no run"), (b"[", "line 2, is not valid JSON"),
        (b'{"name": "x", "tokens": 1}', "line 2, is no run"),
    ],
)  # fmt: skip
def test_a_damaged_record_is_told_by_its_line(tmp_path, damage, message):
    whole = b'{"name": "x", "tokens": 1, "val_loss": null}\n'
    path = running.record_of("grid")
    path.write_bytes(whole + damage)
    with pytest.raises(CourseError, match=f"grid.jsonl, {message}"):
        running.recorded("grid")
    path.write_bytes(b"\xef\xbb\xbf" + whole.replace(b"\n", b"\r\n") + b"\n")
    assert [row["name"] for row in running.rows_in(path, tokens=int)] == ["x"] and running.recorded("grid") == []
    path.unlink()
    assert running.recorded("grid") == []
    path.mkdir()
    with pytest.raises(CourseError, match="is a folder, not a file"):
        running.recorded("grid")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_recorded_is_of_these_points(name, monkeypatch):
    monkeypatch.undo()
    rows = running.recorded(name)
    points = {point.name: point for point in EXPERIMENTS[name]()}
    lines = running.record_of(name).read_text(encoding="utf-8").splitlines() if rows else []
    assert len(lines) == len(rows), "a line belongs to no point, or stands twice"
    for row in rows:
        point = points[row["name"]]
        config = point.config()
        assert (row["steps"], row["seed"], row["stories"]) == (point.steps, point.seed, point.stories)
        assert (row["d_model"], row["multiplying"]) == (config.d_model, multiplying(config))
        assert row["operations"] == pytest.approx(6 * row["multiplying"] * row["tokens"], rel=1e-5)
        assert row["floor"] == pytest.approx(0.41797, abs=1e-5)
        assert row["floor"] < row["val_loss"] < 7.7
        assert row["train_loss"][-1][0] == point.steps
        if name != "repeats":
            assert row["epochs"] < 1, "a story was read twice"
