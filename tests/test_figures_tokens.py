"""The figures of tokens: labels, sizes, and words for those who cannot see them."""

import pytest

from course.figures import tokens
from tests.pictures import check_pictures

HISTORY = [[b" ", b"k", b"i", b"t", b"e"], [b" k", b"i", b"t", b"e"], [b" k", b"it", b"e"], [b" k", b"ite"]]
RANKS = {(b" ", b"k"): 4, (b"i", b"t"): 9, (b"it", b"e"): 30}


@pytest.mark.parametrize(
    ("token", "label"),
    [(b" kite", "·kite"), (b"\n", "↵"), (b"\xc3\xa9", "é"), (b"\xf0\x9f", "f0 9f"), (b"", "")],
)
def test_a_label_shows_spaces_ends_of_lines_and_single_bytes(token, label):
    assert tokens.visible(token) == label
    assert tokens.broken(token) is (token == b"\xf0\x9f")


def pictures():
    yield (
        tokens.merge_trees([HISTORY, [[b"a"]]], RANKS),
        ["' kite' from 5 bytes to 2 tokens", "'a' from 1 bytes"],
    )
    long = [b" word"] * 60
    yield (
        tokens.coloured_tokens([("One", [b"\xf0", b"a"]), ("Two", long)]),
        ["One, 2 tokens", "Two, 60 tokens"],
    )
    yield tokens.bytes_per_token([512, 2048], [2.1, 3.5], (50_257, 4.2)), ["2.10 at 512", "4.20 at 50,257"]


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())
