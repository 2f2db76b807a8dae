"""Comparisons in words are true of whatever is compared."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.figures import comparing

VALUES = st.lists(st.integers(-1000, 1000), min_size=2, max_size=30)
LINES = st.lists(st.floats(-100, 100), min_size=2, max_size=60)


def test_many_names_are_said_in_part_and_counted():
    assert comparing.some("abc") == "a, b and c"
    assert comparing.some("abcdefghij", most=4) == "a, b, c and 7 more"


@given(st.dictionaries(st.text("abcdef", min_size=1), st.sampled_from(["10%", "100%", "gone"]), min_size=1))
def test_names_of_which_the_same_is_said_stand_together_and_none_is_lost(said):
    text = comparing.grouped(said, "; ")
    assert text.count("; ") == len(set(said.values())) - 1
    for part in text.split("; "):
        names, what = part.rsplit(" ", 1)
        assert sorted(names.replace(" and ", ", ").split(", ")) == sorted(each for each in said if said[each] == what)


@pytest.mark.parametrize(
    ("values", "said"), [([0.2, 0.4], "0.2 to 0.4"), ([0.4, 0.2, 0.3], "0.2 to 0.4"), ([1.0004, 1], "1")]
)
def test_a_reach_is_one_number_where_its_ends_are_written_alike(values, said):
    assert comparing.reach(values) == said


@pytest.mark.parametrize(
    ("ratio", "said"), [(1.44, "1.4 times"), (9.949, "9.9 times"), (9.96, "10 times"), (1234, "1,234 times")]
)
def test_ratios_have_two_digits_that_count(ratio, said):
    assert comparing.times(ratio) == said


@given(VALUES)
def test_values_that_are_sorted_go_one_way_and_others_do_not(values):
    same = len(set(values)) == 1
    assert comparing.going(sorted(values)) == ("stays the same" if same else "rises")
    assert comparing.going(sorted(values, reverse=True)) == ("stays the same" if same else "falls")
    if values not in (sorted(values), sorted(values, reverse=True)):
        assert comparing.going(values) == "goes up and down"


@given(LINES, st.floats(0.1, 10))
def test_a_line_that_is_moved_lies_above_the_other_all_the_way_and_the_other_below(line, share):
    up = share * max(np.ptp(line), 1.0)
    moved = [value + up for value in line]
    if up <= comparing.SEEN_APART * (max(moved) - min(line)):
        return
    assert "lies above the other all the way" in comparing.beside(moved, line, "the other")
    assert "lies below the other all the way" in comparing.beside(line, moved, "the other")


@given(LINES)
def test_a_line_lies_on_itself(line):
    assert comparing.beside(line, line, "the other") == "lies on the other at every step"


@given(st.lists(st.floats(0, 1), min_size=10, max_size=60), st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_the_step_at_which_lines_part_is_the_one_that_is_said(line, step, seed):
    apart = np.random.default_rng(seed).uniform(1, 2, len(line) - step)
    ill = [*line[:step], *(np.array(line[step:]) + apart)]
    assert f"lies above it from step {step + 1} on" in comparing.beside(ill, line)


def test_a_leap_that_comes_back_and_a_loss_that_is_no_number_are_said():
    line = [float(value) for value in range(100, 0, -1)]
    assert comparing.beside(line[:40] + [300.0] + line[41:], line).startswith(
        "lies on it but for step 41, where it leaps"
    )
    assert comparing.beside(line[:40] + [math.nan] * 60, line).endswith("and is no number from step 41 on")
    assert comparing.beside(line[:40] + [math.inf] + line[41:], line).endswith("and is no number at step 41")
    assert comparing.beside([math.nan, 1.0], [1.0, 1.0]) == "cannot be compared: there is no number"
    assert comparing.beside([], line, "the other") == "has no step in common with the other"
    lost_and_found = [*line[:40], *[float(90 - 1.4 * step) for step in range(60)]]  # it starts again at step 41
    assert "from step 41 on, farthest at step 41, 90 against 60, " in comparing.beside(lost_and_found, line)
    crossing = comparing.beside([0.0, 0.0, 9.0, 9.0], [9.0, 9.0, 0.0, 0.0])
    assert "now above it, now below" in crossing


def test_a_sentence_begins_with_a_capital_but_a_name_is_kept():
    assert comparing.text("it falls", "", "muP stays", "first_loss sees it", "hero's name", "+ slices saves") == (
        "It falls. muP stays. first_loss sees it. Hero's name. + slices saves."
    )
    assert len(comparing.text(*["so it goes on"] * 99)) <= 700
