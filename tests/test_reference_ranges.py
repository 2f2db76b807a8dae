"""Reference ranges: what they are made of, what they say of healthy runs and of others, and the file to send."""

import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from course import reference_ranges, runs
from course.__main__ import main
from course.bench import planning
from course.recipes import RECIPES, get_recipe, override
from course.runs import trained_size
from helpers.checkpoint import save_model
from helpers.errors import CourseError
from helpers.files import data_folder, read_json, write_json
from helpers.model import GPT, GPTConfig
from helpers.run_log import LOG
from helpers.tokenizer import load_tokenizer, train_tokenizer

NAMES, THINGS = ("Pip", "Ann", "Tom", "Zoe"), ("kite", "ball", "drum", "boat")
TEXTS = [f"Once upon a time, {name} had a {thing}. {name} lost the {thing}." for name in NAMES for thing in THINGS]


def rows_of(losses, speed=1000.0, memory=1.0):
    return [
        {"step": step, "loss": loss, "tokens_per_second": speed, "memory_gb": memory} | more
        for step, (loss, more) in enumerate(losses, 1)
    ]


HEALTHY = [(5.6 - 0.4 * i, {"val_loss": 5.7 - 0.4 * i} if i % 5 == 4 else {}) for i in range(10)]


def record_of(rows, seed=0):
    return {
        "recipe": {"name": "storyteller", "seed": seed},
        "parameters": 10,
        "profile": "cpu",
        "machine": {"cpu": "some", "torch": "2"},
        "steps": rows[-1]["step"],
        "loss": [[row["step"], row["loss"]] for row in rows],
        "val_loss": [[row["step"], row["val_loss"]] for row in rows if "val_loss" in row],
        "tokens_per_second": rows[0]["tokens_per_second"],
        "memory_gb": rows[0]["memory_gb"],
    }


@pytest.fixture
def ranges():
    return reference_ranges.ranges_of([record_of(rows_of(HEALTHY)), record_of(rows_of(HEALTHY, speed=1200.0))])


def test_ranges_hold_what_was_measured_and_a_margin(ranges):
    assert ranges["tokens_per_second"] == [pytest.approx(650), pytest.approx(1620)]
    assert ranges["loss"][0] == [1, pytest.approx(5.6 * 0.97), pytest.approx(5.6 * 1.03)]
    assert [step for step, *_ in ranges["val_loss"]] == [5, 10] and not ranges["estimate"]


def test_a_healthy_run_is_as_expected_at_any_step(ranges):
    for last in (1, 5, 10):
        verdict = reference_ranges.judge(rows_of(HEALTHY)[:last], ranges)
        assert verdict.as_expected and str(verdict).startswith("as expected") and verdict.compared >= 3


@pytest.mark.parametrize(
    "rows, says",
    [
        (rows_of([(loss + 1.0, {}) for loss, _ in HEALTHY]), "learning rate"),
        (rows_of([(9.0, {}), *HEALTHY[1:]]), "initialization"),
        (rows_of([*HEALTHY[:4], (2.0, {}), *HEALTHY[5:]]), "leakage"),
        (rows_of([*HEALTHY[:4], (HEALTHY[4][0], {"val_loss": 1.0}), *HEALTHY[5:]]), "leakage"),
        (rows_of([*HEALTHY[:4], (math.nan, {}), *HEALTHY[5:]]), "learning rate"),
        (rows_of(HEALTHY, speed=100.0), "half precision"),
        (rows_of(HEALTHY, speed=9000.0), "smaller model"),
        (rows_of(HEALTHY, memory=4.0), "larger batch"),
        (rows_of(HEALTHY, memory=0.1), "smaller model or batch"),
    ],
)
def test_each_symptom_has_its_causes(ranges, rows, says):
    verdict = reference_ranges.judge(rows, ranges)
    assert not verdict.as_expected and any(says in finding.causes for finding in verdict.findings)
    assert "expected" in str(verdict) and "outside the reference range" in str(verdict)


def test_records_that_do_not_belong_together_make_no_ranges():
    one = record_of(rows_of(HEALTHY))
    for change in ({"profile": "t4"}, {"parameters": 11}, {"steps": 9}, {"recipe": {"name": "two-layer"}}):
        with pytest.raises(CourseError, match="differ|different"):
            reference_ranges.ranges_of([one, one | change])
    with pytest.raises(CourseError, match="at least one"):
        reference_ranges.ranges_of([])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "stories.txt").write_text("\n<|endoftext|>\n".join(TEXTS), encoding="utf-8")
    train_tokenizer(TEXTS, 280).save(home / "tokenizer.json")
    small = ["n_layer=1", "n_head=1", "d_model=8", "context_length=24", "steps=20", "eval_every=10", "log_every=1"]
    recipe = override(get_recipe("storyteller"), [*small, f"tokenizer={home / 'tokenizer.json'}"])
    recipe = replace(recipe, stories=str(home / "stories.txt"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_RUNS", str(home / "runs"))
        runs.train_recipe(recipe, home / "run", progress=False)
    return home / "run"


@pytest.fixture
def run(trained, tmp_path):
    """A run of its own for each test, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_the_command_writes_a_file_that_tells_nothing_private(run, capsys, monkeypatch, tmp_path):
    assert main(["record", str(run)]) == 0
    out = capsys.readouterr().out
    assert "record.json" in out and "20 steps" in out and "could be the first" in out
    text = (run / "record.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text and "Once upon" not in text
    content = json.loads(text)
    assert content["steps"] == 20 and content["profile"] == "cpu" and content["recipe"]["stories"] == "own"
    assert len(content["loss"]) == reference_ranges.POINTS and content["loss"][-1][0] == 20
    assert [step for step, _ in content["val_loss"]] == [10, 20]


def test_a_run_is_in_the_ranges_that_were_made_of_it(run, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(reference_ranges, "data_folder", lambda: tmp_path)
    assert main(["record", str(run), "--add-ranges"]) == 0
    assert reference_ranges.find_ranges("storyteller", "cpu")["parameters"] > 0
    assert reference_ranges.find_ranges("storyteller", "t4") is None
    assert main(["record", str(run)]) == 0
    assert "as expected" in capsys.readouterr().out
    verdict = reference_ranges.judge_run(run)
    assert verdict.as_expected and not verdict.estimate


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert main(["record", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err


def test_what_no_run_measures_is_not_recorded(run, tmp_path):
    whole = (run / LOG).read_text(encoding="utf-8")
    *lines, last = whole.splitlines()
    optional = ("loss", "val_loss", "memory_gb")
    for name in ("step", "tokens_per_second", "seconds", "tokens", *optional):
        for value in (math.nan, math.inf, -math.inf, -1, 1e300, 10**400, None, "fast", True, []):
            damaged = json.dumps(json.loads(last) | {name: value})
            (run / LOG).write_text("\n".join([*lines, damaged]), encoding="utf-8")
            if value is None and name in optional:
                found = reference_ranges.record(run)
                assert read_json(write_json(tmp_path / "record.json", found)) == found  # which refuses a NaN
            else:
                with pytest.raises(CourseError, match=rf"line 20 of .*{name} is"):
                    reference_ranges.record(run)


def change_log(change):
    def damage(run):
        rows = [json.loads(line) for line in (run / LOG).read_text(encoding="utf-8").splitlines()]
        (run / LOG).write_text("".join(json.dumps(row) + "\n" for row in change(rows)), encoding="utf-8")

    return damage


def change_config(change):
    def damage(run):
        content = read_json(run / "config.json")
        change(content)
        write_json(run / "config.json", content)

    return damage


def log_as(write):
    return lambda run: (run / LOG).write_bytes(write((run / LOG).read_bytes()))


def other_model(run):
    torch.manual_seed(0)
    save_model(run, GPT(GPTConfig(280, context_length=24, n_layer=2, n_head=1, d_model=8)), load_tokenizer(run),
               read_json(run / "config.json")["training"])  # fmt: skip


def in_its_place(name, make):
    def damage(run):
        (run / name).unlink()
        make(run / name)

    return damage


DAMAGES = {
    "no log": lambda run: (run / LOG).unlink(),
    "an empty log": log_as(lambda _: b""),
    "half a line at its end": log_as(lambda content: content[:-30]),
    "half a line in it": log_as(lambda content: content.replace(b'"lr": 0', b'"lr":\n', 1)),
    "bytes that are no text": log_as(lambda content: content[:500] + b"\xff\xfe" + content[500:]),
    "UTF-16": log_as(lambda content: content.decode().encode("utf-16")),
    "NULs after a power cut": log_as(lambda content: content + b"\0" * 512),
    "a log of arrays": log_as(lambda _: b"[1, 2]\n[3]\n"),
    "a log of numbers": log_as(lambda _: b"1\n2\n"),
    "one array around all rows": log_as(lambda content: b"[" + b",".join(content.splitlines()) + b"]"),
    "brackets without end": log_as(lambda _: b"[" * 100_000),
    "a number of 5,000 digits": log_as(lambda content: content + b'{"step": ' + b"9" * 5000 + b"}\n"),
    "rows without speeds": change_log(lambda rows: [{"step": row["step"], "loss": 1.0} for row in rows]),
    "rows without steps": change_log(lambda rows: [{**row, "step": None} for row in rows]),
    "rows in another order": change_log(lambda rows: rows[::-1]),
    "rows twice": change_log(lambda rows: rows + rows),
    "steps that are fractions": change_log(lambda rows: [{**row, "step": row["step"] + 0.5} for row in rows]),
    "one speed that is a NaN": change_log(lambda rows: [*rows[:-1], rows[-1] | {"tokens_per_second": math.nan}]),
    "infinite speeds": change_log(lambda rows: [row | {"tokens_per_second": math.inf} for row in rows]),
    "negative speeds": change_log(lambda rows: [row | {"tokens_per_second": -5} for row in rows]),
    "speeds as text": change_log(lambda rows: [row | {"tokens_per_second": "12"} for row in rows]),
    "a negative loss": change_log(lambda rows: [row | {"loss": -1.0} for row in rows]),
    "no config": lambda run: (run / "config.json").unlink(),
    "an empty config": lambda run: (run / "config.json").write_bytes(b""),
    "a config that is an array": lambda run: (run / "config.json").write_text("[]", encoding="utf-8"),
    "no training": change_config(lambda content: content.pop("training")),
    "no recipe": change_config(lambda content: content["training"].pop("recipe")),
    "a recipe with a strange key": change_config(lambda content: content["training"]["recipe"].update(owner="me")),
    "a recipe without a name": change_config(lambda content: content["training"]["recipe"].pop("name")),
    "settings of the wrong type": change_config(
        lambda content: content["training"]["recipe"]["training"].update(lr="fast")
    ),
    "settings that are a list": change_config(lambda content: content["training"]["recipe"].update(training=[3])),
    "a recipe of another model": change_config(lambda content: content["training"]["recipe"]["model"].update(d_ff=99)),
    "another number of parameters": change_config(lambda content: content.update(parameters=10)),
    "parameters that are a truth": change_config(lambda content: content.update(parameters=True)),
    "another shape": change_config(lambda content: content["model"].update(n_layer=2)),
    "a model of another shape": other_model,
    "no weights": lambda run: (run / "model.safetensors").unlink(),
    "half the weights": lambda run: (run / "model.safetensors").write_bytes(
        (run / "model.safetensors").read_bytes()[:-500]
    ),
    "no tokenizer": lambda run: (run / "tokenizer.json").unlink(),
    "a folder in place of the log": in_its_place(LOG, Path.mkdir),
    "a folder in place of the config": in_its_place("config.json", Path.mkdir),
    "no folder": shutil.rmtree,
    "an empty folder": lambda run: (shutil.rmtree(run), run.mkdir()),
}
if hasattr(os, "mkfifo"):
    DAMAGES["a pipe in place of the log"] = in_its_place(LOG, os.mkfifo)
    DAMAGES["a pipe in place of the config"] = in_its_place("config.json", os.mkfifo)
    DAMAGES["a link that leads nowhere"] = in_its_place(LOG, lambda path: path.symlink_to("nowhere"))


@pytest.mark.parametrize("kind", DAMAGES)
def test_of_a_damaged_run_nothing_is_recorded(trained, run, capsys, kind, monkeypatch, tmp_path):
    """Nor of the whole run that was named before it."""
    monkeypatch.setattr(reference_ranges, "data_folder", lambda: tmp_path)
    whole = shutil.copytree(trained, tmp_path / "whole")
    DAMAGES[kind](run)
    files = sorted(tmp_path.rglob("*"))
    assert main(["record", str(whole), str(run), "--add-ranges"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and len(err) < 500, err
    assert str(run) in err and sorted(tmp_path.rglob("*")) == files


def test_a_run_that_was_stopped_is_recorded_as_far_as_it_came(run):
    """Its checkpoints are not needed, and are not there when it is finished."""
    rows = (run / LOG).read_text(encoding="utf-8").splitlines(keepends=True)
    (run / LOG).write_text("".join(rows[:15]), encoding="utf-8")
    assert reference_ranges.record(run)["steps"] == 15


def test_a_damaged_run_is_one_line(run, capsys):
    recipe = read_json(run / "config.json")["training"]["recipe"]
    damaged = [{"training": {"recipe": recipe | {key: value}}, "parameters": 3}
               for key in ("name", "stories", "tokenizer") for value in (None, [], {})]  # fmt: skip
    damaged += [[], None, 3, {}, {"training": None}, {"training": {"recipe": 3}}, {"training": {"recipe": {}}}]
    damaged += [{"training": {"recipe": recipe}, "parameters": value} for value in ("3", None, math.nan, [])]
    for content in damaged:
        write_json(run / "config.json", content)
        assert main(["record", str(run)]) == 2, content
        assert capsys.readouterr().err.startswith("error: ") and not (run / "record.json").exists()


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"format": 1}', '{"format": 1, "ranges": {"x": 3}}', "[[["])
def test_a_damaged_file_of_ranges_is_one_line(tmp_path, content):
    (tmp_path / "ranges.json").write_text(content, encoding="utf-8")
    with pytest.raises(CourseError, match=r"ranges\.json"):
        reference_ranges.find_ranges("x", "cpu", tmp_path / "ranges.json")
    with pytest.raises(CourseError, match=r"ranges\.json"):
        reference_ranges.add_ranges([record_of(rows_of(HEALTHY))], tmp_path / "ranges.json")


@pytest.mark.parametrize("name", [None, "estimate", "about", "parameters", "loss", "val_loss", "tokens_per_second"])
@pytest.mark.parametrize(
    "value", [None, 5, -0.0, "x", [], [1], {}, [["x", 1, 2]], [[1, 2]], [[1, 2, None]], ["x", "y"]]
)
def test_ranges_that_are_none_are_one_line_or_ranges_all_the_same(tmp_path, name, value):
    whole = reference_ranges.ranges_of([record_of(rows_of(HEALTHY))])
    content = {"format": 1, "ranges": {"x": {"cpu": whole | {name: value} if name else value}}}
    (tmp_path / "ranges.json").write_text(json.dumps(content), encoding="utf-8")
    try:
        found = reference_ranges.find_ranges("x", "cpu", tmp_path / "ranges.json")
    except CourseError as error:
        assert "ranges.json holds no ranges of x on profile cpu" in str(error)
    else:
        assert found is None or str(reference_ranges.judge(rows_of(HEALTHY), found))


def test_the_shipped_ranges_belong_to_recipes_as_they_are():
    """An estimate shows its arithmetic, and the arithmetic is that of the recipe."""
    content = read_json(data_folder() / reference_ranges.FILE)
    assert content["format"] == reference_ranges.FORMAT
    for name, profiles in content["ranges"].items():
        assert name in RECIPES
        for profile, ranges in profiles.items():
            assert profile in ("cpu", "t4", "gpu") and len(ranges["about"]) > 20
            low, high = ranges["tokens_per_second"]
            assert 0 < low < high
            if ranges["estimate"]:
                recipe = RECIPES[name]
                source = recipe.tokenizer
                config = recipe.config(trained_size(source) or planning.KNOWN_SIZES[source])
                flops = planning.training_flops_per_token(config)
                assert f"{flops:,} operations" in ranges["about"]
                assert low == pytest.approx(0.15 * 65e12 / flops, rel=0.02)
                assert high == pytest.approx(0.35 * 65e12 / flops, rel=0.02)
