"""A notebook's start: what it says, what it seeds, where it finds things."""

import random
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

import course
from course import packages
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
    assert "Notebook 03" in said and session.profile in said and "bundled" in said and str(course.SEED) in said


def test_start_seeds_every_generator():
    def sampled():
        course.start("00")
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert sampled() == sampled()


def test_stories_that_are_too_few_or_not_there_are_told_of_at_the_start(monkeypatch, tmp_path, capsys):
    path = tmp_path / "mine.txt"
    monkeypatch.setenv("COURSE_STORIES", str(path))
    with pytest.raises(CourseError, match="there are no stories at"):
        course.start("03")
    tale = "There was a fox who had {} kites and went to the park with all of them."
    path.write_text("\n\n".join(tale.format(n) for n in range(5)), encoding="utf-8")
    with pytest.raises(CourseError, match="need 20 train stories of 1,000 characters together at least, and "):
        course.start("03")
    path.write_text("\n\n".join(f"Fox {n}." for n in range(60)), encoding="utf-8")
    with pytest.raises(CourseError, match="1,000 characters together at least, and .*mine.txt has 5. of"):
        course.start("03")
    path.write_text("\n".join(tale.format(n) for n in range(18)), encoding="utf-8")
    with pytest.raises(CourseError, match=r"has . of .* in .* lines: give more stories, or put a line with <\|endof"):
        course.start("03")
    path.write_text("\n\n".join(tale.format(n) for n in range(60)), encoding="utf-8")
    assert course.start("03").stories == str(path) and "mine.txt" in capsys.readouterr().out
    for nothing in ("", " "):
        monkeypatch.setenv("COURSE_STORIES", nothing)
        assert course.start("03").stories == "bundled" and "stories bundled" in capsys.readouterr().out


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


@pytest.mark.parametrize(("name", "value"), [("COURSE_SEED", "x"), ("COURSE_SEED", "-1"), ("COURSE_DEVICE", "tpu")])
def test_variables_that_cannot_be_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(CourseError, match=name):
        course.start("01")


@pytest.mark.parametrize("version", ["1.13.1", "2.8.0+cu126", "2.1"])
def test_a_torch_that_is_too_old_is_refused_with_what_to_do(monkeypatch, version):
    monkeypatch.setattr(course, "_torch_version", lambda: version)
    with pytest.raises(CourseError, match=rf"torch {re.escape(version)}, and the course needs .*Colab.*README"):
        course.start("01")


@pytest.mark.parametrize("version", [f"{packages.OLDEST_TORCH}.0", "2.10.0+cpu", "2.13.0a0+git123", "3.0", "unknown"])
def test_any_other_torch_is_taken_as_it_is(monkeypatch, version):
    monkeypatch.setattr(course, "_torch_version", lambda: version)
    assert course.start("01").number == "01"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda")
    with pytest.raises(CourseError, match="no GPU"):
        course.start("01")


def test_an_apple_gpu_is_used_only_where_it_was_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert "Apple" not in str(course.start("01")) + capsys.readouterr().out
    monkeypatch.setenv("COURSE_DEVICE", "mps")
    with pytest.raises(CourseError, match="no GPU of that kind"):
        course.start("01")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    session = course.start("01")
    assert (session.device, session.profile) == ("mps", "mps")
    said = capsys.readouterr().out
    assert "has not been measured" in said and "nobody has run the course on one" in said
    monkeypatch.delenv("COURSE_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    session = course.start("01")
    assert (session.device, session.profile) == ("cpu", "cpu")
    assert "COURSE_DEVICE=mps tries it" in capsys.readouterr().out


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
    assert facts["torch"] == torch.__version__ and int(facts["CPU cores"]) >= 1
    assert all(isinstance(value, str) and value for value in facts.values())


def test_importing_course_imports_nothing_heavy():
    code = "import sys, course; print([m for m in ('torch', 'numpy', 'datasets') if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=repository_root(), capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("cut", [1, 3, 7, 1000])
def test_a_story_is_printed_whole_in_lines_that_fit(cut, capsys):
    text = "Once upon a time, a little rabbit named Pip lost a red kite.\n\nShe looked for it in the park. " * 3
    course.print_story([text[i : i + cut] for i in range(0, len(text), cut)], width=30)
    said = capsys.readouterr().out
    assert said.split() == text.split()
    assert max(len(line.rstrip()) for line in said.split("\n")) <= 30
    assert said.count("\n\n") == 3
    assert not any(line.startswith(" ") for line in said.split("\n"))
