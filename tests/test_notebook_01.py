"""What notebook 01 builds by hand is what `helpers.bpe` does: the same pieces, merges and ids."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course.site import notebooks
from helpers import bpe
from tests.test_bpe import AWKWARD, STORIES

# The definitions of the notebook, without what it prints, trains and draws.
WANTED = {"END", "printable", "others", "token_bytes", "byte_id", "PATTERN", "splitter"}


@pytest.fixture(scope="module")
def taught():
    """The notebook's functions and its class, as its cells define them."""
    book = notebooks.read(notebooks.folder() / "01_tokenization.ipynb")
    kept = []
    for cell in book.cells:
        if cell.cell_type != "code" or {"setup", "exercise"} & set(notebooks.tags_of(cell)):
            continue
        for statement in ast.parse(cell.source).body:
            target = getattr(statement, "target", None) or getattr(statement, "targets", [None])[0]
            if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef) or (
                isinstance(target, ast.Name) and target.id in WANTED
            ):
                kept.append(statement)
    scope = {"__name__": "notebook"}
    exec(compile(ast.Module(kept, type_ignores=[]), "<notebook 01>", "exec"), scope)
    return scope


@pytest.fixture(scope="module")
def encoders(taught):
    return taught["BytePairEncoder"].train(STORIES, 360), bpe.BytePairEncoder.train(STORIES, 360)


def test_the_pattern_and_the_first_ids_are_the_helpers(taught):
    assert taught["PATTERN"] == bpe.SPLIT_PATTERN and taught["END"] == bpe.END
    small = bpe.BytePairEncoder.train([], 257)
    assert taught["token_bytes"] == small.token_bytes
    assert [taught["byte_id"][byte] for byte in range(256)] == small.byte_ids


@settings(max_examples=100, deadline=None)
@given(ids=st.lists(st.integers(0, 3), max_size=20), pair=st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_counting_and_merging_are_the_helpers(taught, ids, pair):
    assert taught["merge"](ids, pair, 9) == bpe.merge_pair(ids, pair, 9)
    assert taught["pair_counts"]({tuple(ids): 3}) == bpe.count_pairs([ids], [3])


def test_training_learns_the_same_merges(encoders):
    notebook, helper = encoders
    assert notebook.token_bytes == helper.token_bytes
    assert list(notebook.merged.items()) == list(helper.merged.items())
    assert notebook.ranks == helper.ranks


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=50), st.lists(st.sampled_from([*AWKWARD, *STORIES]), max_size=2).map("".join)))
def test_encoding_and_decoding_are_the_helpers(taught, encoders, text):
    notebook, helper = encoders
    assert taught["split_pieces"](text) == bpe.split_pieces(text)
    ids = notebook.encode(text)
    assert ids == helper.encode(text) and notebook.decode(ids) == text
    assert notebook.encode(text, allowed_special=True) == helper.encode(text, allowed_special=True)
    assert notebook.decode(ids[:-1]) == helper.decode(ids[:-1])
