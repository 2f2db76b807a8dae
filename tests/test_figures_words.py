"""The words that stand for a figure: they name the shape of what is drawn, and claim no more."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.figures import words
from course.figures.attention_words import standing_out

STEPS = np.arange(1, 101, dtype=float)
DONE = (STEPS - 1) / 99
FORMS = {
    "in a straight line": 1 - DONE,
    "along half a cosine": (1 + np.cos(np.pi * DONE)) / 2,
    "fast at first and then ever more slowly": 1 - np.sqrt(DONE),
    "slowly at first and then ever faster": 1 - DONE**1.6,
    "slowly, then fast, then slowly again": 1 - DONE**1.8 / (DONE**1.8 + (1 - DONE) ** 1.8),
}


# ---------------------------------------------------------------------- numbers and lists


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.0, "0"), (1020.3, "1,020"), (1e6, "1,000,000"), (0.01239, "0.0124"), (6e-10, "6e-10"),
     (-3.14159, "-3.14"), (math.nan, "not a number"), (math.inf, "infinite")],
)  # fmt: skip
def test_a_number_is_written_as_it_is_read(value, text):
    assert words.number(value) == text


@given(st.floats(min_value=1e-4, max_value=1e9))
def test_a_number_is_right_to_three_digits(value):
    assert float(words.number(value).replace(",", "")) == pytest.approx(value, rel=0.006)


def test_no_zero_has_a_minus():
    assert words.fixed(2)(-0.001) == "0.00" and words.fixed(2)(-0.01) == "-0.01"


def test_a_whole_place_is_written_in_full():
    assert (words.place(1234), words.place(1234.5), words.place(0.75)) == ("1,234", "1,230", "0.75")


@pytest.mark.parametrize(("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), ("abc", "a, b and c")])
def test_a_listing_reads_as_a_sentence(names, text):
    assert words.listing(names) == text


@given(st.lists(st.text("abc; ", min_size=1, max_size=400), max_size=6))
def test_what_is_told_is_never_too_long(sentences):
    text = words.told(*sentences)
    assert len(text) <= 700
    if sum(map(len, sentences)) + 2 * len(sentences) <= 700:
        assert all(sentence.strip() in text for sentence in sentences)


# ---------------------------------------------------------------------- one line


@pytest.mark.parametrize("form", FORMS)
@given(low=st.floats(-100, 100), high=st.floats(0.5, 1000), up=st.booleans())
def test_a_form_is_named_wherever_the_line_lies_and_whichever_way_it_goes(form, low, high, up):
    values = low + high * (1 - FORMS[form] if up else FORMS[form])
    told = words.shape(values, STEPS)
    assert told.startswith(f"{'rises' if up else 'falls'} {form} from "), told
    assert told.endswith("by step 100") and told.count("then") == form.count("then")


@given(st.floats(-1e6, 1e6))
def test_a_constant_stays(value):
    assert words.shape([value] * 30) == f"stays at {words.number(value)} throughout"


@given(flat=st.integers(20, 60), high=st.floats(0.1, 1e4))
def test_a_plateau_is_told_with_its_ends(flat, high):
    line = np.concatenate([np.linspace(0, high, 21), np.full(flat, high), np.linspace(high, 0, 21)])
    found = words.legs(line, np.arange(len(line), dtype=float))
    assert [leg.kind for leg in found] == ["rises", "flat", "falls"]
    assert abs(found[1].first - 20) <= 1 and abs(found[1].last - (20 + flat + 1)) <= 1


def test_a_straight_line_is_judged_on_its_own_axis():
    grows = np.exp(STEPS / 10)
    assert "in a straight line" in words.shape(grows, STEPS, log=True)
    assert "ever faster" in words.shape(grows, STEPS)
    power = STEPS**2
    assert "in a straight line" in words.shape(power, STEPS, log=True, log_x=True)


def test_a_jump_is_told_with_the_place_where_it_lands():
    spike = np.ones(60)
    spike[29] = 2500
    told = words.shape(spike, log=True)
    assert "in one jump to 2,500 by step 30, then falls in one jump to 1 by step 31, then stays" in told


@given(st.integers(0, 2**32 - 1))
def test_noise_has_no_form(seed):
    told = words.shape(np.random.default_rng(seed).normal(size=200))
    assert told.startswith("goes up and down between ") and not any(form in told for form in FORMS)


def test_what_is_small_on_a_shared_axis_is_flat_there():
    small = 1 + 0.01 * DONE
    assert "rises" in words.shape(small, STEPS)
    assert words.shape(small, STEPS, span=(0, 10)) == "stays at 1 throughout"


def test_gaps_are_told():
    assert words.shape([math.nan, 1, 2, 3]) == "rises from 1 to 3 by step 4"
    assert words.shape([1, 2, math.inf, math.nan]) == "rises from 1 to 2 by step 2; from step 3 on there are gaps"
    assert "no value" in words.shape([math.nan, math.nan])
    assert words.shape([3], at="layer {}") == "is 3 at layer 1"


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60))
def test_a_text_ends_with_the_last_place_and_holds_only_values_of_the_line(values):
    x = np.arange(1, len(values) + 1, dtype=float)
    found = words.legs(np.asarray(values), x)
    if found:
        assert found[-1].last <= len(values) - 1
        assert all(leg.first < leg.last for leg in found)
    for leg in found:
        if leg.kind == "rises":
            assert values[leg.last] > values[leg.first]
        if leg.kind == "falls":
            assert values[leg.last] < values[leg.first]


# ---------------------------------------------------------------------- several lines


def test_lines_that_part_are_told_with_the_place():
    one = np.exp(-DONE * 3)
    two = np.where(STEPS > 50, one + 0.5, one)
    told = words.lines({"one": one, "two": two, "again": one + 1e-4}, STEPS)
    assert "two lies on one up to step 50, then " in told and told.endswith("again lies on one")


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5), min_size=1))
def test_a_ranking_holds_every_name_once_in_order(values):
    told = words.ranking(values)
    assert sorted(name for name in told if name in "abcdef") == sorted(values) or " and " in told
    numbers = [int(part.split()[-1]) for part in told.split(", ") if part.split()[-1].isdigit()]
    assert numbers == sorted(numbers)


def test_where_a_line_stays_below_is_not_where_it_is_first_below():
    assert words.stays_below([5, 1, 5, 1, 1], 3, [10, 20, 30, 40, 50]) == 40
    assert words.stays_below([1, 1], 3, [10, 20]) == 10
    assert words.stays_below([1, 5], 3, [10, 20]) is None
    assert words.reaches([1, 4, 2], 3, [10, 20, 30]) == 20 and words.reaches([1], 3, [10]) is None


def test_levels_are_told_as_passed_or_not():
    told = words.past_levels([5, 3, 1], [10, 20, 30], {"low": 0.5, "high": 4.0})
    assert told.startswith(
        "It stays below high (4.00) from step 20 on, and does not get below low (0.50), 0.50 above it"
    )
    assert words.past_levels([5, 3], [1, 2], {}) == ""


# ---------------------------------------------------------------------- a map of attention

NAMES = ["Pip", "lost", "a", "kite", "."]


def causal(weights):
    weights = np.tril(weights)
    return weights / weights.sum(axis=1, keepdims=True)


@given(st.integers(2, 12))
def test_a_uniform_map_favors_nobody(T):
    names = [f"t{i}" for i in range(T)]
    assert standing_out(np.full((T, T), 1 / T), names) == f"every token takes the same from all it sees, {1 / T:.2f}"
    told = standing_out(causal(np.ones((T, T))), names)
    assert told == "nobody takes from a later token, and every token takes the same from all it sees"


def test_what_stands_out_is_told():
    ones = np.full((5, 5), 0.01)
    assert "every token but the first takes most from itself" in standing_out(causal(ones + np.eye(5)), NAMES)
    before = standing_out(causal(ones + np.eye(5, k=-1)), NAMES)
    assert "every token but the first takes most from the token before it" in before
    first = ones + np.eye(5)[0]
    assert "every token but the first takes most from Pip" in standing_out(causal(first), NAMES)
    first[4] = [0.1, 0.1, 0.1, 5, 0.1]
    told = standing_out(causal(first), NAMES)
    assert "3 of 4 tokens take most from Pip (not “.”: kite, 0.93)" in told


def test_no_pattern_is_claimed_where_there_is_none():
    told = standing_out(np.eye(5)[[2, 0, 4, 1, 3]], NAMES)
    assert "no one token or diagonal stands out" in told


def test_a_token_that_comes_twice_is_told_apart():
    told = standing_out(causal(np.full((3, 3), 0.01) + np.eye(3)[1]), ["a", "red", "a"])
    assert "red" in told
    twice = standing_out(causal(np.full((3, 3), 0.01) + np.eye(3)[0]), ["a", "red", "a"])
    assert "takes most from a at 1" in twice


def test_a_window_and_its_first_tokens_are_a_band_and_no_favorite():
    at = np.arange(8)
    names = list("abcdefgh")
    window = causal((at[:, None] - at < 3).astype(float))
    told = standing_out(window, names)
    assert "the same from itself and the 2 before it" in told and "most" not in told and "first token" not in told
    sinks = standing_out(causal(((at[:, None] - at < 3) | (at < 2)).astype(float)), names)
    assert "2 first tokens as well" in sinks
    window[5] = np.eye(8)[4]
    assert "band" not in standing_out(window, names)
