"""A notebook's start: what it says, what it seeds, where it finds things; the setup cell as it runs
elsewhere.
"""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from helpers import course, setup_cell
from helpers.errors import CourseError
from helpers.files import repository_root, write_json


@pytest.fixture(autouse=True)
def no_session_left(monkeypatch):
    monkeypatch.setattr(course, "_current", None)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Empty runs and data folders."""
    runs, data = tmp_path / "runs", tmp_path / "data"
    runs.mkdir(), data.mkdir()
    monkeypatch.setattr(course, "runs_folder", lambda: runs)
    monkeypatch.setattr(course, "data_folder", lambda: data)
    return runs, data


def test_start_says_where_we_are(capsys):
    session = course.start("03")
    said = capsys.readouterr().out
    assert session == course.current()
    assert (session.number, session.stories, session.seed) == ("03", "bundled", course.SEED)
    assert (
        "Notebook 03" in said and session.profile in said and "bundled" in said and str(course.SEED) in said
    )


def test_start_seeds_every_generator():
    def drawn():
        course.start("00")
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert drawn() == drawn()


def test_variables_change_the_session(monkeypatch):
    monkeypatch.setenv("COURSE_STORIES", "tinystories")
    monkeypatch.setenv("COURSE_SEED", "7")
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    session = course.start("01")
    assert (session.stories, session.seed, session.device, session.profile) == (
        "tinystories",
        7,
        "cpu",
        "cpu",
    )


@pytest.mark.parametrize(
    ("name", "value"), [("COURSE_SEED", "x"), ("COURSE_SEED", "-1"), ("COURSE_DEVICE", "tpu")]
)
def test_variables_that_cannot_be_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(CourseError, match=name):
        course.start("01")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda")
    with pytest.raises(CourseError, match="no GPU"):
        course.start("01")


def test_the_time_is_the_measured_one(folders, capsys):
    course.start("03")
    assert "not been measured" in capsys.readouterr().out
    write_json(folders[1] / "notebook_times.json", {"cpu": {"seconds": {"03_baselines": 130.0}}})
    course.start("03")
    assert "2 minutes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "5 seconds"), (27, "25 seconds"), (62, "about a minute"), (200, "3 minutes")]
)
def test_a_duration_in_words(seconds, words):
    assert course.in_words(seconds) == words


def test_an_artifact_of_ones_own_comes_first(folders, capsys):
    runs, data = folders
    with pytest.raises(CourseError, match="no storyteller"):
        course.artifact("storyteller")
    (data / "storyteller").mkdir()
    assert course.artifact("storyteller") == data / "storyteller"
    (runs / "storyteller").mkdir()
    assert course.artifact("storyteller") == runs / "storyteller"
    said = capsys.readouterr().out
    assert "shipped" in said and "your own" in said


def test_machine_is_told_in_words():
    facts = course.machine()
    assert facts["torch"] == torch.__version__ and int(facts["processor cores"]) >= 1
    assert all(isinstance(value, str) and value for value in facts.values())


def test_only_what_is_missing_is_installed_and_at_the_courses_version(monkeypatch):
    asked = []
    found = course.importlib.util.find_spec
    monkeypatch.setattr(course.importlib.util, "find_spec", lambda n: None if n == "wordcloud" else found(n))
    monkeypatch.setattr(course.subprocess, "run", lambda command, check: asked.append(command))
    course.start("00")
    (command,) = asked
    assert [word for word in command if "==" in word] == [
        word for word in command if word.startswith("wordcloud==")
    ]


def test_without_torch_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(course.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CourseError, match="torch is not installed"):
        course.start("00")


def test_importing_course_imports_nothing_heavy():
    code = (
        "import sys, helpers.course; print([m for m in ('torch', 'numpy', 'datasets') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=repository_root(), capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("cut", [1, 3, 7, 1000])
def test_a_story_is_printed_whole_in_lines_that_fit(cut, capsys):
    text = (
        "Once upon a time, a little rabbit named Pip lost a red kite.\n\nShe looked for it in the park. " * 3
    )
    course.print_story([text[i : i + cut] for i in range(0, len(text), cut)], width=30)
    said = capsys.readouterr().out
    assert said.split() == text.split()
    assert max(len(line.rstrip()) for line in said.split("\n")) <= 30
    assert said.count("\n\n") == 3
    assert not any(line.startswith(" ") for line in said.split("\n"))


# The setup cell, run as a notebook would run it.


def run_cell(source: str, folder) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", source], cwd=folder, capture_output=True, text=True)


def test_the_setup_cell_finds_the_course_from_below():
    done = run_cell(setup_cell.setup_cell("02"), repository_root() / "tests")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Notebook 02: device ")


def test_without_an_address_the_setup_cell_says_what_to_do(tmp_path):
    done = run_cell(setup_cell.setup_cell("02", setup_cell.UNSET), tmp_path)
    assert done.returncode != 0
    assert "no public address" in done.stderr.strip().split("\n")[-1]


def test_elsewhere_the_setup_cell_fetches_the_course_and_finds_it_the_second_time(tmp_path):
    """A stand-in for `git` makes a folder with a course in it, and fails if it is called again."""
    shim = (
        "import subprocess, pathlib\n"
        "def run(command, check):\n"
        "    assert command[:2] == ['git', 'clone'] and command[-2] == 'https://github.com/someone/stories'\n"
        "    (command[-1] / 'helpers').mkdir(parents=True)\n"
        "    (command[-1] / 'helpers' / '__init__.py').write_text('')\n"
        "    (command[-1] / 'helpers' / 'course.py').write_text('def start(n): print(\"started\", n)')\n"
        "subprocess.run = run\n"
    )
    cell = setup_cell.setup_cell("05", "someone/stories")
    for _ in range(2):
        done = run_cell(shim + cell, tmp_path)
        assert (done.returncode, done.stdout) == (0, "started 05\n"), done.stderr
