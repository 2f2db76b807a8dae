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
        ["“·kite”, 5 bytes, ends as 2 tokens, ·k and ite:", "ends as one token; no merge joins any of it"],
    )
    long = [b" word"] * 60
    yield (
        tokens.coloured_tokens([("One", [b"\xf0", b"a"]), ("Two", long)]),
        ["Two 5.0, One 1.0", "One, 2 tokens, 1 of them parts of a character", "Two, 60 tokens: ·word|·word|"],
    )
    yield tokens.bytes_per_token([512, 2048], [2.1, 3.5], (50_257, 4.2)), [
        "2.10 at 512", "GPT-2's: 4.20 at 50,257", "stay below it"
    ]  # fmt: skip


def test_the_merges_of_a_word_are_told_with_their_numbers():
    told = tokens.merge_trees([HISTORY], RANKS).alt
    for (left, right), rank in RANKS.items():
        if left + right in sum(HISTORY, []):
            assert f"{tokens.visible(left + right)} {rank + 1}" in told
    whole = tokens.merge_trees([[[b"a", b"b"], [b"ab"]]], {(b"a", b"b"): 0}).alt
    assert "“ab”, 2 bytes, ends as one token: ab 1" in whole


@pytest.mark.parametrize(
    ("trained", "said"),
    [
        ([2.0, 3.0, 4.5], "between 1,024 and 2,048 tokens"),
        ([4.3, 4.4, 4.5], "above it from 512"),
        ([1, 2, 3], "below it"),
    ],
)
def test_where_a_tokenizer_catches_up_is_told(trained, said):
    assert said in tokens.bytes_per_token([512, 1024, 2048], trained, (50_257, 4.2)).alt


def test_one_text_cut_twice_is_told_as_one():
    told = tokens.coloured_tokens([("Ours", [b"On", b"ce", b" up"]), ("Theirs", [b"Once", b" up"])]).alt
    assert "The same text cut in 2 ways, from the fewest tokens to the most: Theirs: 2 tokens; Ours: 3 tokens" in told


def test_every_picture_says_what_it_shows_and_is_small():
    check_pictures(pictures())
