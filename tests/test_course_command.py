"""README's command that runs all, on small notebooks: progress, pages, times, failures, the story at the end."""

import argparse
import os

import nbformat
import pytest

from course.cli import run as command
from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import read_json, write_json


def notebook(*cells: str):
    title = nbformat.v4.new_markdown_cell("# A notebook\n\nThe [next](01_second.ipynb).")
    book = nbformat.v4.new_notebook(cells=[title, *map(nbformat.v4.new_code_cell, cells)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return book


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A checkout with two notebooks, and a stand-in for the commands that train and tell."""
    for name in ("notebooks", "runs", "data"):
        (tmp_path / name).mkdir()
    nbformat.write(notebook("print(6 * 7)"), tmp_path / "notebooks" / "00_first.ipynb")
    nbformat.write(notebook("x = 1", "x + 1"), tmp_path / "notebooks" / "01_second.ipynb")
    monkeypatch.setattr(notebooks, "folder", lambda: tmp_path / "notebooks")
    monkeypatch.setattr(command, "runs_folder", lambda: tmp_path / "runs")
    monkeypatch.setattr(command.course, "data_folder", lambda: tmp_path / "data")
    calls = []
    monkeypatch.setattr(command, "_course", lambda *words: calls.append(words) or 0)
    return tmp_path, calls


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


def test_it_runs_all_keeps_the_pages_trains_and_tells(world, capsys):
    root, calls = world
    before = {path: path.read_bytes() for path in (root / "notebooks").iterdir()}
    assert run() == 0
    said = capsys.readouterr().out
    assert said.index("[1/2] 00_first") < said.index("[2/2] 01_second")
    assert "42" in (root / "runs" / "pages" / "00_first.html").read_text(encoding="utf-8")
    assert 'href="01_second.html"' in (root / "runs" / "pages" / "00_first.html").read_text(encoding="utf-8")
    assert "01_second.html" in (root / "runs" / "pages" / "index.html").read_text(encoding="utf-8")
    assert notebooks.read(root / "runs" / "pages" / "01_second.ipynb").cells[2].outputs
    assert [words[0] for words in calls] == ["generate", "train", "generate"]
    assert "data" in calls[0][2] and "runs" in calls[2][2], "first the shipped storyteller, then one's own"
    assert {path: path.read_bytes() for path in (root / "notebooks").iterdir()} == before, "the checkout is dirty"


def test_a_failing_notebook_is_named_with_its_cell_and_error(world, capsys):
    root, calls = world
    nbformat.write(notebook("a = 1", "# divide\na / 0", "print(7)"), root / "notebooks" / "00_first.ipynb")
    assert run() == 1
    said = capsys.readouterr().out
    assert "FAILED 00_first: code cell 2 ('# divide') failed: ZeroDivisionError: division by zero" in said
    assert "01_second: done" in said, "the others still run"
    assert "ZeroDivisionError" in (root / "runs" / "pages" / "00_first.html").read_text(encoding="utf-8")
    assert [words[0] for words in calls] == ["generate"], "nothing is trained"


def test_it_says_first_what_comes_how_long_it_takes_and_where_the_pages_will_be(world, capsys, monkeypatch):
    root, _ = world
    monkeypatch.chdir(root)
    times = {"seconds": {"00_first": 130.0, "07_another": 1000.0}}
    write_json(root / "data" / "notebook_times.json", {command.course.profile(): times})
    assert run("--skip-training") == 0
    said = capsys.readouterr().out.partition("[1/2]")[0]
    for words in ("2 notebooks to run", "1 notebook took 2 minutes", "1 notebook nobody has timed", "Ctrl-C"):
        assert words in said
    assert f"go to {'runs/pages'.replace('/', os.sep)}." in said
    assert "At the end" not in said, "nothing is trained"
    assert said.rstrip().endswith("by the storyteller that comes with the course:")


def test_only_some_and_no_training(world):
    root, calls = world
    assert run("--only", "1", "--skip-training") == 0
    assert not (root / "runs" / "pages" / "00_first.html").exists()
    assert (root / "runs" / "pages" / "01_second.html").exists()
    assert calls == []
    with pytest.raises(CourseError, match="no notebook 07"):
        run("--only", "07")


def test_steps_are_passed_on_and_checked(world):
    _, calls = world
    assert run("--only", "00", "--steps", "20") == 0
    assert calls[0][-2:] == ("--steps", "20")
    with pytest.raises(CourseError, match="--steps"):
        run("--steps", "0")


def test_what_a_notebook_has_just_trained_is_not_trained_again(world):
    root, calls = world
    path = root / "runs" / "storyteller" / "model.safetensors"
    cell = f"import pathlib\np = pathlib.Path({str(path)!r})\np.parent.mkdir()\np.write_text('weights')"
    nbformat.write(notebook(cell), root / "notebooks" / "01_second.ipynb")
    assert run("--only", "00,01") == 0
    assert [words[0] for words in calls] == ["generate"]


def test_a_failed_training_ends_the_command(world, monkeypatch):
    monkeypatch.setattr(command, "_course", lambda *words: 2)
    assert run("--only", "00") == 2


def test_times_are_recorded_beside_those_of_others(world):
    root, _ = world
    assert run("--only", "00", "--skip-training", "--record-times") == 0
    assert run("--only", "01", "--skip-training", "--record-times") == 0
    (profile,) = read_json(root / "data" / "notebook_times.json").values()
    assert list(profile["seconds"]) == ["00_first", "01_second"] and "cores" in profile["machine"]
    assert profile["gflops"] > 0, "how fast the machine is, so that another can be compared with it"
