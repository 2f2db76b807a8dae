"""A damaged notebook or quiz is told in one line by the commands that read it, and nothing has been changed by then."""

import json
import shutil

import pytest

from course.__main__ import main
from course.classroom import quizzes
from course.cli import publish
from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import repository_root

ROOT = repository_root()


def changed(change) -> bytes:
    """Notebook 01 after `change(what its JSON holds)`."""
    book = json.loads((ROOT / "notebooks" / "01_tokenization.ipynb").read_text(encoding="utf-8"))
    change(book)
    return json.dumps(book).encode()


def without_the_check(book) -> None:
    at = next(i for i, cell in enumerate(book["cells"]) if "exercise" in cell["metadata"])
    del book["cells"][at + 1 :]


DAMAGE = {  # of what makes a notebook one; tests/test_fault_matrix.py has the damage that any file can have
    "cut": changed(lambda book: None)[:5000],
    "cells are a number": changed(lambda book: book.update(cells=5)),
    "no cells": changed(lambda book: book.pop("cells")),
    "a cell is a number": changed(lambda book: book["cells"].insert(3, 5)),
    "a source is a number": changed(lambda book: book["cells"][2].update(source=5)),
    "tags are a number": changed(lambda book: book["cells"][2]["metadata"].update(tags=5)),
    "metadata are a list": changed(lambda book: book["cells"][2].update(metadata=[1])),
    "half a character": changed(lambda book: book["cells"][2].update(source="\ud800")),
    "outputs are text": changed(lambda book: [cell.update(outputs="x") for cell in book["cells"] if "outputs" in cell]),
}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small copy of the course: what carries its address, and two notebooks."""
    (tmp_path / "course" / "site").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "course" / "site" / "setup_cell.py", tmp_path / "course" / "site")
    shutil.copy(ROOT / "README.md", tmp_path)
    for name in ("00_start_here", "01_tokenization"):
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", tmp_path / "notebooks")
    monkeypatch.setattr(publish, "repository_root", lambda: tmp_path)
    monkeypatch.setattr(notebooks, "folder", lambda: tmp_path / "notebooks")
    return tmp_path


def files_of(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("command", ["publish ada/stories", "handout --out OUT 00 01", "handout --check 01"])
def test_a_damaged_notebook_is_told_in_one_line_and_nothing_is_changed(command, damage, checkout, capsys):
    (checkout / "notebooks" / "01_tokenization.ipynb").write_bytes(DAMAGE[damage])
    before = files_of(checkout)
    assert main(command.replace("OUT", str(checkout / "out")).split()) == 2
    said = capsys.readouterr()
    assert len(said.err.strip().splitlines()) == 1 and "01_tokenization" in said.err and not said.out
    assert files_of(checkout) == before


def of_the_first_exercise(book, **changes) -> None:
    """The stub of the first exercise changed."""
    next(cell for cell in book["cells"] if "exercise" in cell["metadata"]).update(changes)


@pytest.mark.parametrize(
    "damage",
    [
        without_the_check,
        lambda book: of_the_first_exercise(book, source="    return 1"),
        lambda book: of_the_first_exercise(book, source="x = 1"),
        lambda book: of_the_first_exercise(book, source=""),
    ],
    ids=["without its check", "no Python", "nothing defined", "empty"],
)
@pytest.mark.parametrize("kind", ["student", "key", "nbgrader"])
def test_an_exercise_that_is_not_whole_is_told(checkout, capsys, damage, kind):
    (checkout / "notebooks" / "01_tokenization.ipynb").write_bytes(changed(damage))
    code = main(["handout", "--out", str(checkout / "out"), "--kind", kind, "00", "01"])
    said = capsys.readouterr().err.strip().splitlines()
    if kind == "student" and damage is not without_the_check:  # a stub is handed out as it is
        assert code == 0
    else:
        assert code == 2 and len(said) == 1 and "01_tokenization" in said[0] and not (checkout / "out").exists()


def test_a_notebook_with_a_mark_of_its_encoding_is_read():
    data = (ROOT / "notebooks" / "00_start_here.ipynb").read_bytes()
    book = notebooks.parse(data)
    assert notebooks.parse(b"\xef\xbb\xbf" + data) == book
    assert notebooks.parse(data.decode().encode("utf-16")) == book


@pytest.mark.parametrize("text", ["", "[]", '{"questions": 5}', '{"questions": [5]}', '{"questions": [{"id": 5}]}'])
def test_a_damaged_quiz_is_told_in_one_line_and_nothing_is_written(text, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "quizzes"
    folder.mkdir()
    shutil.copy(ROOT / "data" / "quizzes" / "00.json", folder)
    (folder / "01.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr(quizzes, "_folder", lambda: folder)
    assert main(["quiz", "export", "--out", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1 and not (tmp_path / "out").exists()


def test_a_notebook_that_is_not_there_is_told(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.ipynb"):
        with pytest.raises(CourseError, match="cannot be read"):
            notebooks.read(path)
