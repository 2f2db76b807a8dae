"""The figures of the data: what they say to those who cannot see them, and their size."""

import numpy as np

from course.figures import data
from tests.pictures import check_pictures


def pictures():
    yield (
        data.word_cloud({"kite": 90, "pond": 40, "rabbit": 12, "sunny": 3}),
        ["4 words", "The largest are kite (90), pond (40)"],
    )
    yield data.word_cloud({}), ["An empty word cloud"]
    points = [(1, 60_000.0), (10, 5_000.0), (100, 400.0)]
    yield (
        data.zipf({"here": points, "there": points[:2]}, {1: "the", 10: "was"}),
        ["here: 60,000 in a million words at rank 1, 400.0 at rank 100", "there:"],
    )
    yield (
        data.vocabulary_growth({"here": [(10, 5), (100, 20)], "there": [(10, 6), (1000, 300)]}),
        ["here is still growing", "20 different among 100", "there is still growing", "300 different among 1,000"],
    )
    yield (
        data.story_lengths([100, 150, 300, 120], 256),
        ["4 stories", "the shortest 100 and the longest 300", "1 of 4 are longer"],
    )
    yield data.story_lengths([10, 15], 256, unit="words"), ["0 of 2 are longer"]
    yield (
        data.batch_layouts({"Padded": [[(0, 3)], [(1, 5)]], "Packed": [[(0, 3), (1, 5)]]}, 8),
        [
            "Padded, 2 sequences with 1 story each: each ends in padding, 50%",
            "Packed, 1 sequence with 2 stories each: none",
        ],
    )
    yield data.wasted_positions({"padded": 0.25, "packed": 0.0}), ["padded 25.0%, packed 0.0%"]


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures(), most_bytes=150_000)


def law(ranks, power, end=1.0):
    """A line of Zipf that breaks off at rank 1000 where `end` is below one."""
    return [(rank, 60_000 * rank**-power * (end if rank > 1000 else 1)) for rank in ranks]


def test_a_law_that_breaks_off_is_told_from_one_that_goes_on():
    ranks = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
    told = data.zipf({"list": law(ranks, 0.9, end=0.05), "nature": law(ranks, 1.0)}).alt
    ours, theirs = told.split("nature falls")
    assert "breaks off" in ours and "in nearly a straight line, at twice the rank to about 50%" in theirs
    assert "breaks off" not in theirs and "goes on so to its end" in theirs
    bent = [(rank, often * (0.5 if rank == 2000 else 1)) for rank, often in law(ranks, 1.0)]
    assert "at its end more steeply: over the last doubling it falls to 1/4" in data.zipf({"bent": bent}).alt
    curved = [(rank, 60_000 * np.exp(-rank / 200)) for rank in ranks]
    assert "not in a straight line" in data.zipf({"curved": curved}).alt


def test_a_vocabulary_that_is_full_is_told_from_one_that_grows():
    read = [10**k for k in range(2, 7)]
    full, open_ = [(n, min(n // 2, 1791)) for n in read], [(n, int(n**0.7)) for n in read]
    told = data.vocabulary_growth({"list": full, "nature": open_}).alt
    assert "list has turned flat" in told and "nature is still growing" in told


def test_the_longer_tail_is_told():
    even, right = list(range(100, 200)), [int(100 * 1.05**i) for i in range(60)]
    assert "about as far to either side" in data.story_lengths(even, 256).alt
    assert "longer tail to the right" in data.story_lengths(right, 256).alt


def test_a_word_cloud_is_the_same_every_time():
    counts = {f"word{i}": 100 - i for i in range(60)}
    assert data.word_cloud(counts).png == data.word_cloud(counts).png
