"""The table of what was run where claims what was run and nothing else; each notebook alone is told right."""

import json
import re
import sys

import pytest
import start_anywhere as alone
import where_it_ran as places
from readme_tables import marked

import course
from course.__main__ import COMMANDS
from course.recipes import get_recipe
from helpers.errors import CourseError
from helpers.files import data_folder, read_json, repository_root, write_json

ROOT = repository_root()


def test_the_readme_has_the_table_of_the_records():
    readme = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    assert marked(places.NAME).search(readme)
    assert places.page_with(readme, places.records()) == readme, "run python docs/tools/where_it_ran.py"


@pytest.mark.parametrize("path", sorted((data_folder() / "recorded" / "places").glob("*.json")), ids=lambda p: p.stem)
def test_a_record_tells_no_names_and_no_paths(path):
    one = read_json(path)
    told = {"check", "host", "system", "device", "python", "date", "commit", "passed", "summary", "minutes"}
    assert told <= set(one) <= told | set(places.VERSIONS)
    assert path.stem == one["check"] and one["host"] == places.check_named(one["check"]).host
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", one["date"]) and re.fullmatch(r"[0-9a-f]{7,}\+?", one["commit"])
    assert not re.search(r"[/\\]\w+[/\\]|@", json.dumps(one))


def record(name: str, **more) -> dict:
    one = {"check": name, "python": "3.12.1", "torch": "2.13.0", "date": "2026-05-01", "commit": "abcdef0",
           "passed": True, "summary": "9 passed"}  # fmt: skip
    return one | more


def test_every_check_has_one_row_and_only_what_has_a_record_is_claimed():
    ran = {
        "windows-tests": record("windows-tests"),
        "conda-tests": record("conda-tests", passed=False, summary="1 failed"),
    }
    lines = places.table(ran).split("\n")
    assert len(lines) == 2 + len(places.CHECKS)
    assert lines[2].endswith("| Windows, CPU | 3.12.1 | 2.13.0 | 2026-05-01 | abcdef0 | 9 passed |")
    assert lines[3].endswith("| conda, CPU | 3.12.1 | 2.13.0 | 2026-05-01 | abcdef0 | **failed**: 1 failed |")
    for line in lines[4:]:
        assert re.search(r"\| (Linux|macOS|Colab|Kaggle)(, \w+)? \| \| \| \| \| not run yet: .+ \|$", line), line
    assert all(line.count("|") == 8 for line in lines)


def test_the_newest_record_of_a_check_counts(tmp_path):
    write_json(tmp_path / "a.json", record("conda-tests", date="2026-07-01", summary="new"))
    write_json(tmp_path / "b.json", record("conda-tests", date="2026-06-01", summary="old"))
    assert places.records(tmp_path)["conda-tests"]["summary"] == "new"
    write_json(tmp_path / "c.json", record("on-the-moon"))
    with pytest.raises(CourseError, match="no check on-the-moon"):
        places.records(tmp_path)


def test_the_commands_of_the_checks_are_there():
    for check in places.CHECKS:
        words = check.command.split()
        if words[:2] == ["-m", "course"]:
            assert words[2] in COMMANDS
        for word in words:
            assert not word.endswith(".py") or (ROOT / word).is_file(), word
        if "--recipe" in words:
            get_recipe(words[words.index("--recipe") + 1])
    assert len({check.name for check in places.CHECKS}) == len(places.CHECKS)


def check(command: str, **more):
    return places.Check("x", "a check", places.host(), "any", command, **more)


def test_a_record_is_made_of_a_run(capfd):
    one = places.run_check(check("-c print('=====_9_passed_in_3.21s_(0:00:03)_====='.replace('_',chr(32)))"))
    assert one["passed"] and one["summary"] == "9 passed"
    assert one["python"] == ".".join(map(str, sys.version_info[:3])) and one["torch"] and one["minutes"] < 5
    assert "9 passed in 3.21s" in capfd.readouterr().out  # it is shown while it runs
    one = places.run_check(check("-c print('see_/home/ada/x');raise(SystemExit(3))"))
    assert not one["passed"] and one["summary"] == ""


def test_what_belongs_elsewhere_or_is_done_by_hand_is_not_recorded_unseen():
    with pytest.raises(CourseError, match="is for Mars, any"):
        places.run_check(places.Check("x", "a check", "Mars", "any", "-V"))
    with pytest.raises(CourseError, match="done by hand"):
        places.run_check(check("look", by_hand=True))
    one = places.run_check(check("look", by_hand=True), saw="all cells ran")
    assert (one["passed"], one["summary"]) == (True, "all cells ran")


def test_a_failed_check_fails_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "CHECKS", [check("-c raise(SystemExit(1))")])
    assert places.main(["--record", "x", "--out", str(tmp_path / "x.json")]) == 1
    assert read_json(tmp_path / "x.json")["passed"] is False
    assert places.main(["--record", "y"]) == 2


# A course whose command leaves a page that says what it used, and fails or meddles where it is told to.
COMMAND = """
import os, sys, nbformat
from pathlib import Path
number = sys.argv[sys.argv.index("--only") + 1]
assert not list(Path(os.environ["COURSE_RUNS"]).iterdir())
cell = nbformat.v4.new_code_cell("x")
cell.outputs = [nbformat.v4.new_output("stream", text="one\\n" + Path("said.txt").read_text())]
pages = Path(os.environ["COURSE_RUNS"], "pages")
pages.mkdir()
nbformat.write(nbformat.v4.new_notebook(cells=[cell]), pages / (number + "_x.ipynb"))
if number == "02":
    sys.exit("FAILED 02_x: a reason")
if number == "03":
    Path("said.txt").write_text("")
"""


def test_each_notebook_alone_is_told_with_what_it_took(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(course, "runs_folder", lambda: tmp_path)
    course.artifact("storyteller")
    clone = tmp_path / "clone"
    (clone / "course").mkdir(parents=True)
    (clone / "course" / "__main__.py").write_text(COMMAND, encoding="utf-8")
    (clone / "said.txt").write_text(capsys.readouterr().out, encoding="utf-8")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "all"]):
        alone.subprocess.run(["git", *words], cwd=clone, check=True)
    found = {}
    for number in ("01", "02", "03"):
        runs = tmp_path / f"runs-{number}"
        runs.mkdir()
        found[number] = alone.run_alone(clone, number, runs)
    assert found["01"]["passed"] and found["01"]["shipped"] == ["storyteller"] and found["01"]["own"] == []
    assert (found["02"]["passed"], found["02"]["problem"]) == (False, "FAILED 02_x: a reason")
    assert (found["03"]["passed"], found["03"]["problem"]) == (False, "it changed files of the course: said.txt")


def test_what_stands_in_the_repository_was_run_in_reverse_and_passed():
    path = data_folder() / "recorded" / "start_anywhere.json"
    if not path.exists():
        pytest.skip("not recorded yet")
    found = read_json(path)
    assert list(found) == sorted(found, reverse=True)
    assert all(one["passed"] for one in found.values())
