"""The figures of the data: what they say to those who cannot see them, and their size."""

from course.figures import data
from tests.pictures import check_pictures


def pictures():
    yield data.word_cloud({"kite": 90, "pond": 40, "rabbit": 12, "sunny": 3}), ["4 words", "kite (90), pond (40)"]
    yield data.word_cloud({}), ["An empty word cloud"]
    points = [(1, 60_000.0), (10, 5_000.0), (100, 400.0)]
    yield (
        data.zipf({"here": points, "there": points[:2]}, {1: "the", 10: "was"}),
        ["here: 60,000 in a million words at rank 1, 400.0 at rank 100", "there:"],
    )
    yield (
        data.vocabulary_growth({"here": [(10, 5), (100, 20)], "there": [(10, 6), (1000, 300)]}),
        ["here: 20 different among 100", "there: 300 different among 1,000"],
    )
    yield data.story_lengths([100, 150, 300, 120], 256), ["4 stories: from 100 to 300", "1 of 4 are longer"]
    yield data.story_lengths([10, 15], 256, unit="words"), ["0 of 2 are longer"]
    yield (
        data.batch_layouts({"Padded": [[(0, 3)], [(1, 5)]], "Packed": [[(0, 3), (1, 5)]]}, 8),
        ["Padded, 2 sequences, 50% of the positions wasted", "Packed, 1 sequences, 0%"],
    )
    yield data.wasted_positions({"padded": 0.25, "packed": 0.0}), ["padded: 25.0% wasted", "packed: 0.0% wasted"]


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures(), most_bytes=150_000)


def test_a_word_cloud_is_the_same_every_time():
    counts = {f"word{i}": 100 - i for i in range(60)}
    assert data.word_cloud(counts).png == data.word_cloud(counts).png
