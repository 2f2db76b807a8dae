"""The page on reliability says what the record holds, and what was tried meets the bars."""

import re

import pytest
import reliability as tool

from helpers.dataset import PIECE, PIECES
from helpers.files import repository_root
from tests.test_own_stories import LEFT_OUT

PAGE = tool.PAGE.read_text(encoding="utf-8")
RECORD = tool.read_record()
GOOD = {
    "kills": {"kills": 100, "in_a_save": 40, "points_of_a_save": {"half written": 40}, "runs": 9, "equal": 9},
    "inputs": {
        "commands": 9, "files": 50, "kinds": 30, "of_the_table": 300, "by_hypothesis": 100, "inputs": 400,
        "refused": 300, "done": 100, "tracebacks": 0, "hangs": 0, "not_as_promised": 0, "faults": [],
    },
    "together": {"times": 20, "refused": 20, "both_went_well": 0, "lost": 0},
    "class": {
        "passed": True, "handed_in": 45, "hostile": 40, "marked": 45, "honest": 5, "honest_right": 5,
        "outside_touched": 0, "confinement": "bubblewrap",
    },
    "stories": {"notebooks": 2, "sources": 6, "pairs": 12, "to_their_end": 12, "passed": [], "failed": []},
}  # fmt: skip
WORSE = {
    "kills": {"kills": 99, "in_a_save": 0, "points_of_a_save": {"half written": 0, "after the name": 40}, "equal": 3},
    "inputs": {"inputs": 299, "tracebacks": 1, "hangs": 2, "not_as_promised": 3},
    "together": {"times": 19, "lost": 1, "refused": 0},
    "class": {"passed": False, "marked": 44, "honest_right": 4, "outside_touched": 1},
    "stories": {"to_their_end": 11},
}


def test_the_page_has_the_records_counts():
    assert tool.page_with(PAGE, RECORD) == PAGE, "run python docs/tools/reliability.py --table"


@pytest.mark.parametrize("name", tool.PARTS)
def test_what_was_tried_meets_its_bar(name):
    if name not in RECORD["parts"]:
        assert "not tried yet" in PAGE
        pytest.skip(f"python docs/tools/reliability.py --only {name} has not been run, and the page says so")
    assert tool.missed(name, RECORD["parts"][name]) == []


@pytest.mark.parametrize("name", tool.PARTS)
def test_a_count_below_its_bar_is_told(name):
    assert tool.missed(name, GOOD[name]) == []
    for key, value in WORSE[name].items():
        counts = GOOD[name] | {key: value, "date": "2026-01-01", "commit": "abc"}
        assert len(tool.missed(name, counts)) == 1
        told = tool.table({"parts": {name: counts}})
        assert told.count("**missed: ") == 1 and told.count("not tried yet") == len(tool.PARTS) - 1


def test_the_page_says_which_cells_are_left_out_and_how_much_of_a_large_file_is_looked_at():
    assert f"in {', '.join(LEFT_OUT)} cells that know nothing of the stories are left out" in PAGE
    assert PIECE * PIECES == 64 * 2**20 and f"{PIECES:,} pieces of {PIECE // 2**10} kB" in PAGE


def test_every_file_that_the_page_names_is_there():
    named = set(re.findall(r"`((?:tests|docs)/[\w/]+\.py)`", PAGE))
    assert len(named) > 10 and all((repository_root() / name).is_file() for name in named)
