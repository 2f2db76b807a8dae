"""docs/exercises.md has the exercises that there are, and its tool writes nothing that is not as it must be."""

from dataclasses import replace

import exercise_table as tool
import pytest


def test_the_page_is_current():
    assert tool.is_current(tool.PAGE.read_text(encoding="utf-8")), "run python docs/tools/exercise_table.py"


def test_a_page_that_lacks_an_answer_is_not_current():
    text = tool.PAGE.read_text(encoding="utf-8")
    row = next(line for line in text.split("\n") if line.startswith("| 1.2 |"))
    assert not tool.is_current(text.replace(row, row.replace("overlap", "overtaken")))
    assert not tool.is_current(text.replace(row + "\n", ""))


def test_every_exercise_has_at_least_five_planted_answers():
    assert all(len(line.slugs) >= 5 for line, _, _ in tool.lines())


def test_a_fault_is_told_and_nothing_is_written(monkeypatch, tmp_path, capsys):
    line, book, cells = next(tool.lines())
    assert tool.faults(line, book, cells) == []

    def count_words(answer, check):
        check.that(answer("a"), slug="any", hint="Any.")

    lax = replace(line.exercise, ask=count_words)
    found = tool.faults(replace(line, exercise=lax), book, cells)
    assert found and all("expected" in each for each in found)
    monkeypatch.setattr(tool, "lines", lambda: iter([(replace(line, exercise=lax), book, cells)]))
    monkeypatch.setattr(tool, "PAGE", tmp_path / "exercises.md")
    assert tool.main([]) == 1
    assert not tool.PAGE.exists() and "left as it was" in capsys.readouterr().err


@pytest.mark.parametrize("current", [True, False])
def test_check_says_so(current, monkeypatch):
    monkeypatch.setattr(tool, "is_current", lambda text: current)
    assert tool.main(["--check"]) == (0 if current else 1)
