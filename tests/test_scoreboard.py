"""The scoreboard keeps a row a model, fills in what was not run here, and ends with the floor."""

import pytest

from course import scoreboard
from helpers.errors import CourseError
from helpers.files import write_json


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    runs, data = tmp_path / "runs", tmp_path / "data"
    runs.mkdir(), data.mkdir()
    monkeypatch.setattr(scoreboard, "runs_folder", lambda: runs)
    monkeypatch.setattr(scoreboard, "data_folder", lambda: data)
    monkeypatch.setattr(scoreboard.course, "_current", None)
    return runs, data


def add(name="bigram", bits=1.0, notebook="03", **changes):
    row = dict(nats_per_token=2.5, bits_per_byte=bits, tokenizer="bundled", parameters=4_194_304, notebook=notebook)
    scoreboard.add(name, **row | changes)


def test_worst_first_and_the_floor_last(folders):
    write_json(folders[1] / "stories" / "statistics.json", {"floor": {"bits_per_byte": 0.2}})
    add("bigram", 1.0), add("uniform", 2.9), add("trigram", 0.6)
    assert [row.name for row in scoreboard.rows()] == ["uniform", "bigram", "trigram", scoreboard.FLOOR]


@pytest.mark.parametrize("damage", [[], {"floor": []}, {"floor": {"bits_per_byte": "x"}}, {}, 5])
def test_a_floor_that_is_damaged_is_one_line(folders, damage):
    write_json(folders[1] / "stories" / "statistics.json", damage)
    with pytest.raises(CourseError, match="statistics.json does not hold the grammar's floor"):
        scoreboard.rows()


def test_running_a_notebook_again_replaces_its_rows():
    add(bits=1.0), add(bits=0.9)
    assert [row.bits_per_byte for row in scoreboard.rows()] == [0.9]


def test_notebooks_do_not_overwrite_each_other(folders):
    add("bigram", notebook="03"), add("gpt", notebook="07")
    assert {path.name for path in (folders[0] / "scoreboard").iterdir()} == {"03.json", "07.json"}
    assert len(scoreboard.rows()) == 2


def test_shipped_rows_fill_in_for_what_was_not_run_here(folders):
    shipped = dict(nats_per_token=1.0, bits_per_byte=0.5, tokenizer="bundled", parameters=1)
    rows = [dict(name="bigram", notebook="03", **shipped), dict(name="gpt", notebook="07", **shipped)]
    write_json(folders[1] / "scoreboard.json", rows)
    assert [(row.name, row.shipped) for row in scoreboard.rows(upto="03")] == [("bigram", True)]
    add("bigram", 1.0)
    assert [(row.name, row.shipped) for row in scoreboard.rows(upto="07")] == [
        ("bigram", False),
        ("gpt", True),
    ]
    assert "gpt (shipped)" in repr(scoreboard.show())


@pytest.mark.parametrize("score", [0.0, -1.0, float("nan"), float("inf")])
def test_a_score_that_cannot_be_is_refused(score):
    with pytest.raises(CourseError, match="bits_per_byte"):
        add(bits=score)


def test_a_row_needs_a_notebook():
    with pytest.raises(CourseError, match="which notebook"):
        add(notebook=None)


def test_it_shows_itself_as_text_and_as_a_table():
    assert "empty" in repr(scoreboard.show()) and "empty" in scoreboard.show()._repr_html_()
    add("bigram <script>", 1.2345)
    text, page = repr(scoreboard.show()), scoreboard.show()._repr_html_()
    assert "1.234" in text and "4,194,304" in text and "03" in text
    assert "loss (nats per token)" in text and "cross-entropy loss (nats per token)" in page
    head, row = text.split("\n")[:2]
    assert row.index("2.500") + len("2.500") == head.index("token)") + len("token)")  # under its column's name
    assert "<script>" not in page and "&lt;script&gt;" in page and "<table" in page
