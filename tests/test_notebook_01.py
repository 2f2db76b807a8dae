"""Notebook 01: the solutions, which have another form than `helpers.bpe`, give what it gives.

That the rest is the same text as `helpers.bpe` is tested in test_taught_code_01_04.py.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course.checks.cells import exercise_cells, solution_of, surroundings
from course.site import notebooks
from helpers import bpe
from tests.test_bpe import AWKWARD, STORIES


@pytest.fixture(scope="module")
def solved():
    """The functions of the folded solutions, by name, over what the cells above them define."""
    book = notebooks.read(notebooks.folder() / "01_tokenization.ipynb")
    found = {}
    for cells in exercise_cells(book).values():
        scope = surroundings(book, cells.stub)
        exec(solution_of(cells.hints), scope)
        found |= {name: scope[name] for name in ("encode_with_ranks", "decode_ids", "safe_cuts") if name in scope}
    return found


@pytest.fixture(scope="module")
def encoder():
    return bpe.BytePairEncoder.train(STORIES, 360)


texts = st.one_of(st.text(max_size=50), st.lists(st.sampled_from([*AWKWARD[:4], *STORIES]), max_size=2).map("".join))


@settings(max_examples=100, deadline=None)
@given(texts)
def test_the_solutions_encode_and_decode_as_the_helpers(solved, encoder, text):
    ids = []
    for piece in bpe.split_pieces(text):
        start = [encoder.byte_id[byte] for byte in piece.encode("utf-8")]
        ids += solved["encode_with_ranks"](start, encoder.ranks, encoder.merges)
    assert ids == encoder.encode(text)
    assert solved["decode_ids"](ids, encoder.token_bytes) == text
    assert solved["decode_ids"](ids[:-1], encoder.token_bytes) == encoder.decode(ids[:-1])


def test_between_two_words_the_safe_cut_is_before_the_space(solved, encoder):
    text = "Once upon a time"
    cuts = solved["safe_cuts"](encoder.encode, text)
    spaces = [i for i, character in enumerate(text) if character == " "]
    assert set(spaces) <= set(cuts) and not {i + 1 for i in spaces} & set(cuts)
