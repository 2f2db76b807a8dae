"""The public address is written everywhere by one command, again and again."""

import shutil

import pytest

from course.cli.publish import publish
from course.site import notebooks, setup_cell
from helpers.errors import CourseError
from helpers.files import repository_root


@pytest.fixture
def checkout(tmp_path):
    """A copy of what carries the address."""
    root = repository_root()
    (tmp_path / "course" / "site").mkdir(parents=True), (tmp_path / "notebooks").mkdir()
    shutil.copy(root / "course" / "site" / "setup_cell.py", tmp_path / "course" / "site")
    shutil.copy(root / "README.md", tmp_path)
    for path in notebooks.all_notebooks():
        shutil.copy(path, tmp_path / "notebooks")
    return tmp_path


def carriers(root):
    return {path: path.read_text(encoding="utf-8") for path in sorted(root.rglob("*")) if path.is_file()}


def test_publishing_reaches_every_badge_every_setup_cell_and_the_readme(checkout):
    publish("ada/gpt.2-stories_x", checkout)
    for path in (checkout / "notebooks").glob("*.ipynb"):
        book = notebooks.read(path)
        assert setup_cell.badge(path.stem, "ada/gpt.2-stories_x") in book.cells[0].source
        assert setup_cell.setup_cell(path.name[:2], "ada/gpt.2-stories_x") in [cell.source for cell in book.cells]
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    assert f"/github/{setup_cell.ADDRESS}/" not in readme and "/github/ada/gpt.2-stories_x/" in readme
    assert "`OWNER/NAME`" in readme, "what tells how an address is set stays"
    code = (checkout / "course" / "site" / "setup_cell.py").read_text(encoding="utf-8")
    scope = {}
    exec(code, scope)
    assert scope["ADDRESS"] == "ada/gpt.2-stories_x" and scope["UNSET"] == "OWNER/NAME"


def test_publishing_twice_changes_nothing_the_second_time(checkout):
    assert publish("ada/stories", checkout)
    before = carriers(checkout)
    assert publish("ada/stories", checkout) == []
    assert carriers(checkout) == before


def test_publishing_elsewhere_and_back_leaves_no_trace(checkout):
    before = carriers(checkout)
    publish("ada/stories", checkout)
    publish("bob/stories", checkout)
    publish(setup_cell.ADDRESS, checkout)
    assert carriers(checkout) == before


def test_outputs_and_the_rest_of_a_notebook_stay(checkout):
    for path in notebooks.all_notebooks():
        publish("ada/stories", checkout)
        old, new = notebooks.read(path), notebooks.read(checkout / "notebooks" / path.name)
        assert [cell.get("outputs") for cell in old.cells] == [cell.get("outputs") for cell in new.cells]
        differ = [a for a, b in zip(old.cells, new.cells, strict=True) if a.source != b.source]
        badge_and_setup, runs = 2, [cell for cell in old.cells if "run-cell" in notebooks.tags_of(cell)]
        assert len(differ) == badge_and_setup + len(runs)


@pytest.mark.parametrize(
    "address",
    [
        "stories",
        "ada/",
        "/stories",
        "ada/stories/x",
        "https://github.com/ada/stories",
        "-ada/stories",
        "ada--x/stories",
        "ada/sto ries",
        "ada/..",
        "ada/stories.git",
        'ada/"; import os',
        "",
    ],
)
def test_what_cannot_be_an_address_is_refused_and_nothing_is_written(checkout, address):
    before = carriers(checkout)
    with pytest.raises(CourseError, match="OWNER/NAME"):
        publish(address, checkout)
    assert carriers(checkout) == before
