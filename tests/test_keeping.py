"""A run that outlives its machine: killed, brought back where nothing is left, and the losses are the same.

The "Drive" is a folder, and a machine is a runs folder: another one is another machine.
"""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from course import Session, keeper, keeping, runs
from course.cli.publish import publish
from course.recipes import get_recipe, override
from course.site import notebooks, setup_cell
from helpers.checkpoint import WEIGHTS, load_checkpoint, load_model, saved_checkpoints
from helpers.errors import CourseError
from helpers.files import repository_root
from helpers.run_log import CURVES, LOG, read_log
from helpers.training import BEST, Trainer

TEXTS = [
    f"{name} the {kind} had a {thing}. {name} lost it {where}. A friend found it."
    for name in ("Pip", "Ann", "Tom", "Mia")
    for kind in ("fox", "hen", "owl")
    for thing in ("kite", "ball", "drum")
    for where in ("in the wood", "on the hill")
]
SMALL = [
    "n_layer=1", "n_head=2", "d_model=16", "context_length=32", "steps=24", "batch_size=2", "tokenizer=trained:300",
    "checkpoint_every=5", "eval_every=6", "eval_stories=3", "sample_every=0", "log_every=1",
]  # fmt: skip


class Disconnected(BaseException):
    """What a machine that goes away does: nothing is caught, nothing is saved."""


def lost_at(step: int):
    def callback(row):
        if row["step"] == step:
            raise Disconnected

    return callback


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that wait for one another take longer than these small models."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    monkeypatch.setattr(keeper, "write_curves", lambda folder, rows: None)
    monkeypatch.setattr(keeping, "write_curves", lambda folder, rows: None)


def written(path):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    return path


def small_recipe(stories):
    return replace(override(get_recipe("storyteller"), [*SMALL, f"stories={stories}"]), name="run")


@pytest.fixture
def stories(tmp_path):
    return written(tmp_path / "stories.jsonl")


@pytest.fixture
def recipe(stories):
    return small_recipe(stories)


@pytest.fixture
def away(tmp_path):
    return tmp_path / "away"


@pytest.fixture
def go(recipe, away, tmp_path, monkeypatch):
    """The run on a machine of some name; every checkpoint is copied, unless told otherwise."""

    def go(machine, lost=None, stop=None, changes=(), **options):
        monkeypatch.setenv("COURSE_RUNS", str(tmp_path / machine))
        callback = (lambda row: row["step"] == stop) if stop else lost and lost_at(lost)
        options = dict(away=away, weights_every=0, state_every=0) | options
        changed = override(recipe, changes) if changes else recipe
        try:
            return keeping.train_or_go_on(changed, callback=callback, progress=False, **options)
        except Disconnected:
            return None

    return go


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The losses of a run that nothing befell, by step; `helpers` trained it alone."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_RUNS", str(folder))
        recipe = small_recipe(written(folder / "stories.jsonl"))
        _, result = runs.train_recipe(recipe, folder / "run", progress=False)
    return losses(result.history)


def losses(rows):
    return {row["step"]: (row["loss"], row.get("val_loss"), row["lr"]) for row in rows}


def steps_away(away):
    return sorted(step for step in keeper.states_in(away / "run").values() if step is not None)


# ---------------------------------------------------------------------- a machine is gone


COLAB = """
import os
from pathlib import Path
from types import SimpleNamespace

def mount(place):
    import course.colab
    course.colab.MOUNT = Path(os.environ["THE_DRIVE"])  # in the place of /content/drive, which is not ours
    (course.colab.MOUNT / "MyDrive").mkdir(parents=True, exist_ok=True)

drive = SimpleNamespace(mount=mount)
"""
KILLED = """
import os, signal

def lose_the_machine(row):
    if row["step"] == 20:
        os.kill(os.getpid(), signal.SIGKILL)

options = dict(weights_every=0, state_every=0, callback=lose_the_machine)
keeping.train_or_go_on(keeping.recipe_here(session), session.device, keeping.away_folder(), **options)
"""


LARGE = ["n_layer=12", "d_model=64", "context_length=256", "steps=360", "eval_every=60", "checkpoint_every=60"]
LITTLE = ["n_layer=2", "d_model=16", "context_length=32", "steps=24", "eval_every=6", "checkpoint_every=5"]


@pytest.fixture
def github(tmp_path):
    """The course as it is here, in a git repository that is cloned from; what 08 trains on a CPU is made small."""
    root = tmp_path / "github.com" / "ada" / "stories"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "notebooks")
    for name in ("helpers", "course", "data"):
        shutil.copytree(repository_root() / name, root / name, ignore=ignore)
    shutil.copy(repository_root() / "README.md", root)
    path = root / "data" / "recipes.toml"
    others, name, small = path.read_text(encoding="utf-8").partition("[twelve-thin-layers]")
    for large, little in zip(LARGE, LITTLE, strict=True):
        old, new = (f"\n{each.replace('=', ' = ')}\n" for each in (large, little))
        assert small.count(old) == 1
        small = small.replace(old, new)
    path.write_text(others + name + small, encoding="utf-8")
    publish("ada/stories", root)
    for words in ("init", "add --all", "-c user.name=Ada -c user.email=a@example.org commit -m all"):
        git = ["git", "-c", "core.autocrlf=false", *words.split()]
        subprocess.run(git, cwd=root, check=True, capture_output=True)
    return tmp_path / "github.com"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_after_a_disconnect_the_one_cell_alone_goes_on(github, stories, tmp_path, monkeypatch):
    """Fresh processes, fresh clones, runs of their own; only the Drive stays. As on Colab, by a stub of its module."""
    (tmp_path / "stub" / "google" / "colab").mkdir(parents=True)
    (tmp_path / "stub" / "google" / "colab" / "__init__.py").write_text(COLAB, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COURSE_", "PYTHON", "GIT_"))}

    def run(machine, cell, drive):
        (tmp_path / machine).mkdir()
        variables = kept | {
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{github.as_uri()}/.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/", "GIT_CONFIG_NOSYSTEM": "1", "COURSE_STORIES": str(stories),
            "COURSE_DEVICE": "cpu", "THE_DRIVE": str(tmp_path / drive), "PYTHONPATH": str(tmp_path / "stub"),
            "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        done = subprocess.run([sys.executable, "-c", cell], cwd=tmp_path / machine, env=variables, capture_output=True,
                              text=True, encoding="utf-8")  # fmt: skip
        return done, tmp_path / machine / "stories" / "runs" / "twelve-thin-layers"

    cell = setup_cell.run_cell("08", "ada/stories")
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "undisturbed"))
    recipe = override(get_recipe("twelve-thin-layers"), [*LITTLE, f"stories={stories}"])
    undisturbed = tmp_path / "undisturbed" / "run"
    runs.train_recipe(recipe, undisturbed, progress=False)
    done, _ = run("first", cell.rpartition("\nhistory")[0] + KILLED, "drive")
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    shutil.rmtree(tmp_path / "first")
    stories.unlink()  # whatever was read is not to be had any more
    done, folder = run("second", cell, "drive")
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert lines[0] == "Fetching the course from https://github.com/ada/stories"
    assert "the tokens were brought back from twelve-thin-layers/tokens: no story is read again" in lines
    assert "going on from step 15" in lines and any(line.startswith("finished at step 24,") for line in lines)
    there, here = read_log(undisturbed), read_log(folder)
    assert losses(here) == losses(there) and max(losses(here)) == 24
    for name in ("", BEST):
        ours, theirs = load_model(folder / name)[0].state_dict(), load_model(undisturbed / name)[0].state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert (folder / CURVES).exists()


def test_stories_are_read_once_and_nothing_is_left_out(go, whole, stories, capsys):
    assert go("first", lost=13) is None
    stories.unlink()
    assert losses(go("second", lost=21) or []) == {}  # and a second time
    rows = go("third")
    assert losses(rows) == whole
    assert "going on from step 20" in capsys.readouterr().out


def test_without_the_tokens_the_stories_are_read_again(go, whole, away, capsys):
    go("first", lost=13)
    path = away / "run" / "tokens" / "ids.bin"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    assert losses(go("second")) == whole
    assert f"the tokens in {path.parent} are not whole: the stories are read again" in capsys.readouterr().out
    go("third", lost=3, away=None)  # nothing was changed away by looking at it


def test_lost_before_the_first_checkpoint_was_copied(go, whole, stories, away, capsys):
    go("first", lost=3, weights_every=1e9, state_every=1e9)
    assert steps_away(away) == []
    stories.unlink()
    assert losses(go("second")) == whole
    assert "starting" in capsys.readouterr().out.splitlines()


# ---------------------------------------------------------------------- which checkpoint


def test_two_checkpoints_are_written_over_by_turns(go, away):
    go("first", lost=22)
    assert keeper.states_in(away / "run") == {"state-a.safetensors": 20, "state-b.safetensors": 15}


def broken_off(monkeypatch, when):
    """Copying is broken off half-way, as by a kill, at the n-th checkpoint."""
    copy, count = shutil.copyfileobj, [0]

    def half(source, target, length=0):
        if Path(target.name).name.startswith("state-"):
            count[0] += 1
            if count[0] == when:
                content = source.read()
                target.write(content[: len(content) // 2])
                raise Disconnected
        copy(source, target, length)

    monkeypatch.setattr(shutil, "copyfileobj", half)


def test_killed_while_a_checkpoint_is_copied_the_other_is_taken(go, whole, away, capsys, monkeypatch):
    broken_off(monkeypatch, 5)  # of step 20, over that of step 10, which is as long
    go("first")
    monkeypatch.undo()
    assert steps_away(away) == [15]
    (name,) = (name for name, step in keeper.states_in(away / "run").items() if step is None)
    rows = go("second")
    said = capsys.readouterr().out
    assert f"{away / 'run' / name} is not whole: copying it was broken off" in said and "going on from step 15" in said
    assert losses(rows) == whole


def test_killed_while_the_log_is_copied_no_row_is_missing(go, whole, away, monkeypatch):
    go("first", lost=17)
    write, told = keeper._to_the_disk, []

    def lost(file):
        if Path(file.name).name == LOG:
            file.flush()
            told.append(file.tell())
            raise Disconnected
        write(file)

    monkeypatch.setattr(keeper, "_to_the_disk", lost)  # after a part of the new rows, over the old ones
    go("second")
    monkeypatch.undo()
    assert told
    path = away / "run" / LOG
    path.write_bytes(path.read_bytes()[: told[0] - 40] + b'{"step": 16, "loss')
    assert losses(go("third")) == whole


@pytest.mark.parametrize("damage", ["cut", "a bit"])
def test_of_two_checkpoints_the_one_that_is_whole_is_taken(go, whole, away, capsys, damage):
    go("first", lost=17)
    (newest,) = (name for name, step in keeper.states_in(away / "run").items() if step == 15)
    path = away / "run" / newest
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    go("second", lost=14)
    said = capsys.readouterr().out
    assert str(path) in said and "going on from step 10" in said
    assert steps_away(away)[0] == 10  # the whole one is not what is written over
    rows = go("third")
    assert losses(rows) == whole


def test_the_checkpoint_that_is_gone_on_from_is_never_written_over_first(go, whole, away):
    """A damaged one that claims to be newer makes room, and not the only whole one."""
    go("first", lost=17)
    found = {step: name for name, step in keeper.states_in(away / "run").items()}
    path = away / "run" / found[15]
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    go("second", lost=16)
    assert keeper.states_in(away / "run") == {found[10]: 10, found[15]: 15}
    folder = away.parent / "check"
    assert "step 15" in keeping.bring_back(away / "run", folder)[0]  # it is another one now, and whole


def test_what_is_newer_is_taken_here_or_away(go, whole, away, tmp_path, capsys):
    go("one", lost=8)
    go("two", lost=18)  # goes on from 5 and leaves 15 away
    one = tmp_path / "one" / "run"
    assert load_checkpoint(one)[0]["step"] == 5
    go("one", lost=19)
    assert "going on from step 15" in capsys.readouterr().out.splitlines()
    go("one", lost=22, weights_every=1e9, state_every=1e9)  # 20 is on this machine alone
    capsys.readouterr()
    rows = go("one")
    assert "going on from step 20" in capsys.readouterr().out.splitlines()
    assert losses(rows) == whole


def test_a_damaged_run_here_is_mended_from_away_or_left_alone(go, whole, tmp_path, away, capsys):
    go("one", lost=8)
    for path in saved_checkpoints(tmp_path / "one" / "run"):
        path.write_bytes(path.read_bytes()[:-50])
    before = sorted(path.name for path in (tmp_path / "one").rglob("*"))
    with pytest.raises(CourseError, match="none in .* is whole"):
        go("one", away=None)
    assert sorted(path.name for path in (tmp_path / "one").rglob("*")) == before
    assert losses(go("one")) == whole


# ---------------------------------------------------------------------- finished, stopped, another recipe


def test_a_finished_run_is_found_here_and_on_a_new_machine(go, whole, away, stories, tmp_path, capsys, monkeypatch):
    rows = go("one")
    assert losses(rows) == whole
    assert keeper.step_of(away / "run" / "state-a.safetensors") is not None  # until the model is known to have arrived
    stories.unlink()
    monkeypatch.setattr(Trainer, "run", None)
    for machine in ("one", "two", "two"):
        assert go(machine) == rows
        assert "this run is finished" in capsys.readouterr().out
    ours, theirs = (load_model(tmp_path / machine / "run")[0].state_dict() for machine in ("one", "two"))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert (tmp_path / "two" / "run" / BEST / WEIGHTS).exists()
    assert all((away / "run" / name).stat().st_size == 0 for name in keeper.STATES)  # they take no room any more


def test_a_copy_of_a_finished_run_that_was_broken_off_is_made_whole(go, tmp_path, away, monkeypatch):
    monkeypatch.setattr(keeper.Keeper, "end", lambda self: None)
    rows = go("one")
    monkeypatch.undo()
    assert not keeper.is_finished_copy(away / "run") and steps_away(away) == [15, 20]
    assert go("one") == rows and keeper.is_finished_copy(away / "run")
    assert go("two") == rows


def test_a_finished_model_that_is_damaged_away_is_not_written_over(go, away):
    go("one")
    path = away / "run" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-9])
    size = path.stat().st_size
    with pytest.raises(CourseError, match="damaged"):
        go("two")
    assert path.stat().st_size == size


def test_a_run_that_is_stopped_is_copied_whatever_the_time(go, whole, away):
    rows = go("one", stop=12, weights_every=1e9, state_every=1e9)
    assert rows[-1]["step"] == 12 and steps_away(away) == [12]
    assert losses(go("two")) == whole


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_another_recipe_is_refused_and_nothing_is_lost(go, tmp_path, away):
    go("one", lost=13)
    before = contents(away) | contents(tmp_path / "one")
    with pytest.raises(CourseError, match=r"run of another recipe \(d_model 16 there, 24 here\): nothing was changed"):
        go("one", changes=["d_model=24"])
    with pytest.raises(CourseError, match=rf"{re.escape(str(away))}.*another recipe \(lr 0.02 there, 0.01 here\)"):
        go("two", changes=["lr=0.01"])
    go("one", changes=["steps=24"])
    with pytest.raises(CourseError, match="steps 24 there, 30 here"):  # finished, too
        go("one", changes=["steps=30"])
    assert before.keys() - contents(away).keys() - contents(tmp_path / "one").keys() <= set(
        saved_checkpoints(tmp_path / "one" / "run") or [path for path in before if "checkpoints" in path.parts]
    )


def test_what_the_machine_chooses_may_differ(go, whole):
    go("one", lost=13)
    assert losses(go("two", changes=["limit=50", "checkpoint_every=7"])) == whole


def test_a_model_that_no_recipe_made_is_not_written_over(go, tmp_path):
    go("one", stop=4, away=None)
    folder = tmp_path / "one" / "run"
    (folder / "config.json").unlink()
    (folder / keeper.PREPARED).unlink()
    with pytest.raises(CourseError, match="no recipe made"):
        go("one")


# ---------------------------------------------------------------------- a disk that is full, gone or slow


def free_bytes(monkeypatch, free):
    """A disk for copies on which so many bytes are free, besides what is there at the start."""
    usage = shutil.disk_usage

    def disk_usage(path):
        place = next((each for each in [Path(path), *Path(path).parents] if each.name == "run"), None)
        if place is None or place.parent.name != "away":
            return usage(path)
        used = sum(each.stat().st_size for each in place.rglob("*") if each.is_file())
        return SimpleNamespace(free=max(0, free - used))

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)


@pytest.fixture
def sizes(go, tmp_path):
    """Bytes of the model, of a checkpoint, and of all small things that are kept."""
    go("measured", lost=13, away=None)
    folder = tmp_path / "measured" / "run"
    small = sum((folder / name).stat().st_size for name in ("tokenizer.json", "config.json", keeper.PREPARED, LOG))
    return SimpleNamespace(
        model=(folder / WEIGHTS).stat().st_size, state=saved_checkpoints(folder)[0].stat().st_size, small=small
    )


def test_where_no_checkpoint_fits_the_model_is_kept_and_gone_on_from(
    go, whole, away, stories, sizes, capsys, monkeypatch
):
    # Neither tokens nor a checkpoint fit beside the model. The checkpoint of step 0 has no moments: it is not begun.
    free_bytes(monkeypatch, sizes.model + sizes.small + sizes.state // 4)
    go("one", lost=22)
    said = capsys.readouterr().out
    assert said.count("there is no room for a checkpoint of") >= 1 and "there is no room for the tokens" in said
    assert steps_away(away) == [] and load_model(away / "run")
    rows = go("two")
    said = capsys.readouterr().out
    assert "no whole checkpoint is in" in said and "going on from step 20" in said
    assert [row["step"] for row in rows] == list(range(1, 25))
    got = losses(rows)
    assert {step: got[step] for step in range(1, 21)} == {step: whole[step] for step in range(1, 21)}
    assert got[21][0] == whole[21][0] and got[21][2] == whole[21][2]  # same weights, same batch, same learning rate
    assert got[24][0] != whole[24][0] and abs(got[24][0] - whole[24][0]) < 0.3  # and moments that began anew


def test_a_model_whose_head_is_its_embedding_is_gone_on_from(go, away, capsys):
    tied = dict(changes=["tied_head=true"])
    go("one", lost=22, **tied)
    for name in keeper.states_in(away / "run"):
        (away / "run" / name).unlink()
    capsys.readouterr()
    rows = go("two", **tied)
    said = capsys.readouterr().out
    assert "no whole checkpoint is in" in said and "going on from step 20" in said
    assert [row["step"] for row in rows] == list(range(1, 25))


def test_a_disk_that_becomes_full_kills_nothing_and_is_said_once(go, whole, away, capsys, monkeypatch):
    copy = shutil.copyfileobj

    def full(source, target, length=0):
        if Path(target.name).name.startswith("state-"):
            target.write(source.read()[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, target, length)

    monkeypatch.setattr(shutil, "copyfileobj", full)
    assert losses(go("one")) == whole
    said = [line for line in capsys.readouterr().out.splitlines() if "could not be copied" in line]
    assert len(said) == 1 and "a checkpoint could not be copied to" in said[0] and "No space left" in said[0]
    assert all((away / "run" / name).stat().st_size == 0 for name in keeper.states_in(away / "run"))  # half gives way


def test_a_disk_that_only_reads_kills_nothing(go, whole, capsys, monkeypatch):
    def read_only(path, mode="r", **options):
        if "r" == mode[0] and "+" not in mode:
            return open(path, mode, **options)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(keeper, "open", read_only, raising=False)
    assert losses(go("one")) == whole
    said = [line for line in capsys.readouterr().out.splitlines() if "could not be copied" in line]
    assert len(said) == len({line.split(" could")[0] for line in said}) >= 2  # each thing once
    assert all(os.strerror(errno.EROFS) in line for line in said)


def test_a_drive_that_goes_away_is_not_made_anew_and_is_used_when_it_is_back(go, whole, away, capsys, monkeypatch):
    def unmounted_between(row):
        if row["step"] == 6:
            away.rename(away.parent / "elsewhere")
        if row["step"] == 13:
            assert not away.exists()  # nothing was written under the empty mount point
            (away.parent / "elsewhere").rename(away)

    monkeypatch.setattr(sys.modules[__name__], "lost_at", lambda step: unmounted_between)
    assert losses(go("one", lost=1)) == whole
    said = capsys.readouterr().out
    assert said.count("a checkpoint could not be copied") == 1 and "not mounted" in said
    assert "a checkpoint can be copied to" in said
    assert keeper.is_finished_copy(away / "run")


def test_a_drive_that_cannot_be_looked_at_is_said_before_anything_starts(go, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CourseError, match="cannot be looked at"):
        go("one", away=tmp_path / "file")
    assert not (tmp_path / "one" / "run").exists()


def test_a_run_is_not_copied_onto_itself(go, tmp_path):
    with pytest.raises(CourseError, match="copies need another folder"):
        go("one", away=tmp_path / "one")
    assert not (tmp_path / "one" / "run").exists()


def test_a_slow_disk_is_written_to_less_often(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(keeper.time, "monotonic", lambda: now[0])
    (tmp_path / "away").mkdir()
    copies = []

    def copy(self):
        copies.append(now[0])
        now[0] += seconds

    monkeypatch.setattr(keeper.Keeper, "_model", lambda self: None)
    monkeypatch.setattr(keeper.Keeper, "_state", copy)
    for seconds, gap in ((10, 1200), (120, 2400)):
        keeps = keeper.Keeper(tmp_path / "run", tmp_path / "away" / "run")
        copies.clear()
        for _ in range(400):
            now[0] += 30
            keeps(tmp_path / "run", [])
        between = [after - before - seconds for before, after in zip(copies, copies[1:], strict=False)]
        assert len(between) > 2 and all(gap <= each <= gap + 30 for each in between)


# ---------------------------------------------------------------------- what it takes


def test_the_bytes_that_are_used_are_said(go, away, capsys):
    go("one", lost=22)
    line = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kept in")][-1]
    number, unit = re.search(r": ([\d.]+) (kB|MB):", line).groups()
    told = float(number) * {"kB": 1e3, "MB": 1e6}[unit]
    assert told == pytest.approx(sum(len(content) for content in contents(away).values()), rel=0.1)
    for part in ("the checkpoint of step 15", "the checkpoint of step 20", "the model of step 15", "tokens"):
        assert part in line


def test_on_the_disk_that_stays_nothing_is_deleted_or_renamed(go, away, monkeypatch):
    touched, first, writing = [], {}, keeper.copy_in_place

    def watch(name):
        call = getattr(os, name)

        def watched(*paths, **options):
            touched.extend((name, path) for path in paths if str(path).startswith(str(away)))
            return call(*paths, **options)

        monkeypatch.setattr(os, name, watched)

    for name in ("unlink", "remove", "rename", "replace", "rmdir"):
        watch(name)

    def noted(source, target):
        size = writing(source, target)
        assert first.setdefault(target, target.stat().st_ino) == target.stat().st_ino
        return size

    monkeypatch.setattr(keeper, "copy_in_place", noted)
    go("one", lost=17)
    go("two")
    assert touched == []
    assert {path.name for path in first} >= {*keeper.STATES, *keeper.MODEL, *keeper.TOKEN_FILES, keeper.PREPARED}
    assert all(path.stat().st_ino == inode for path, inode in first.items())


def test_a_copy_is_the_same_file_and_the_same_bytes(tmp_path):
    source, target, inode = tmp_path / "source", tmp_path / "target", None
    for content in (b"long" * 1000, b"short", b"", b"12345678", os.urandom(5000)):
        source.write_bytes(content)
        assert keeper.copy_in_place(source, target) == len(content)
        assert target.read_bytes() == content
        assert inode in (None, target.stat().st_ino)
        inode = target.stat().st_ino


def test_the_curves_are_drawn_while_a_run_is_kept(go, tmp_path, monkeypatch):
    from course.figures.training import write_curves

    monkeypatch.setattr(keeper, "write_curves", write_curves)
    go("one", lost=7)
    assert (tmp_path / "one" / "run" / CURVES).exists()


# ---------------------------------------------------------------------- what is trained where


def session(device="cpu", profile="cpu", stories="bundled"):
    return Session(number="08", device=device, profile=profile, seed=1, stories=stories)


def test_what_is_trained_on_which_machine(monkeypatch):
    asked = []

    def plan(recipe, device):
        asked.append(device)
        return SimpleNamespace(tokens_per_second=20_000.0, tokens_per_step=32_768)

    monkeypatch.setattr(keeping, "plan", plan)
    for device in ("cpu", "mps"):
        assert keeping.recipe_here(session(device, device)) == get_recipe("twelve-thin-layers") and asked == []
    t4 = keeping.recipe_here(session("cuda", "t4"), minutes=30)
    assert (t4.name, t4.training.schedule.seconds, t4.limit) == ("gpt2-tinystories", 1800, 240_000)
    seconds_between = t4.training.logging.checkpoint_every * 32_768 / 20_000
    assert seconds_between == pytest.approx(180, rel=0.01) and asked == ["cuda"]
    large = keeping.recipe_here(session("cuda", "gpu"))
    assert (large.training.schedule.seconds, large.limit) == (3600, None)
    assert keeping.recipe_here(session("cuda", "gpu", "mine.txt")).stories == "mine.txt"
    assert keeping.recipe_here(session(stories="tinystories")).stories == "tinystories"


def test_a_run_begun_on_one_gpu_goes_on_on_another(monkeypatch):
    """What the two machines choose differently is what a run keeps."""
    for speed in (20_000.0, 300_000.0):
        planned = SimpleNamespace(tokens_per_second=speed, tokens_per_step=32_768)
        monkeypatch.setattr(keeping, "plan", lambda *_, planned=planned: planned)
        recipes = [keeping._flat(keeping.recipe_here(session("cuda", profile))) for profile in ("t4", "gpu")]
        differing = {name for name in recipes[0] if recipes[0][name] != recipes[1][name]}
        assert differing <= set(keeping.BY_MACHINE)


# ---------------------------------------------------------------------- the cell


def test_the_cell_begins_with_the_setup_cell_and_is_the_notebooks():
    found = {}
    for path in notebooks.all_notebooks():
        cells = [cell.source for cell in notebooks.read(path).cells if "run-cell" in notebooks.tags_of(cell)]
        found |= {path.name[:2]: cells} if cells else {}
    cell = setup_cell.run_cell("08")
    assert found == {"08": [cell]}
    title, rest = cell.split("\n", 1)
    assert title.startswith("# @title The run")  # what a folded cell shows
    setup = setup_cell.setup_cell("08").split("\n", 1)[1]
    assert rest.startswith(setup.removesuffix(")") + ", own_stories=False)\n") and len(cell.split("\n")) <= 36


def test_publishing_reaches_the_cell():
    book = notebooks.read(next(path for path in notebooks.all_notebooks() if path.name.startswith("08")))
    book.cells[-1].cell_type, book.cells[-1].source = "code", "old"
    book.cells[-1].metadata["tags"] = ["run-cell"]
    notebooks.fill_in(book, "08_training_on_a_gpu", "ada/stories")
    assert book.cells[-1].source == setup_cell.run_cell("08", "ada/stories")
    assert 'ADDRESS = "ada/stories"' in book.cells[-1].source
