"""Notebook 01: the solutions that have another form than `helpers.bpe` give what it gives.

That the rest is the same text as `helpers.bpe` is tested in test_taught_code_01_04.py.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course.checks.cells import exercise_cells, part_name, part_source, stub_name, surroundings
from course.site import notebooks
from helpers import bpe
from tests.test_bpe import AWKWARD, STORIES


@pytest.fixture(scope="module")
def solved():
    """The course's own parts, by name, over what the cells above them define."""
    book = notebooks.read(notebooks.folder() / "01_tokenization.ipynb")
    found = {}
    for cells in exercise_cells(book).values():
        scope = surroundings(book, cells.stub)
        exec(part_source(cells), scope)
        name = part_name(stub_name(cells))
        found[name] = scope[name]
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
        ids += solved["merge_all"](start, encoder.ranks, encoder.merges)
    assert ids == encoder.encode(text)
    assert solved["decode"](ids, encoder.token_bytes) == text
    assert solved["decode"](ids[:-1], encoder.token_bytes) == encoder.decode(ids[:-1])


def test_between_two_words_the_safe_cut_is_before_the_space(solved, encoder):
    text = "Once upon a time"
    cuts = solved["safe_cuts"](encoder.encode, text)
    spaces = [i for i, character in enumerate(text) if character == " "]
    assert set(spaces) <= set(cuts) and not {i + 1 for i in spaces} & set(cuts)


@settings(max_examples=50, deadline=None)
@given(texts)
def test_the_whole_tokenizer_is_the_helpers_with_the_merge_all_of_the_notebook(solved, encoder, text):
    own = solved["BytePairEncoder"](encoder.token_bytes, encoder.merges, encoder.eos_token_id)
    for allowed in (False, True):
        assert own.encode(text, allowed_special=allowed) == encoder.encode(text, allowed_special=allowed)
    assert own.decode(own.encode(text)) == text


def test_what_the_solutions_train_is_what_the_helpers_train(solved, encoder):
    own = solved["BytePairEncoder"].train(STORIES, 360)
    assert (own.token_bytes, list(own.merges.items())) == (encoder.token_bytes, list(encoder.merges.items()))


def test_a_vocabulary_of_words_gives_back_the_words_it_knows(solved):
    own = solved["WordTokenizer"](STORIES, 10)
    assert own.words[0] == "[UNK]" and len(own.words) == 10
    assert set(own.decode(own.encode(STORIES[0])).split()) <= {*own.words}


def test_the_longest_first_is_what_wordpiece_does(solved):
    """The library's WordPiece, for words whose continuations are written like their beginnings."""
    from tokenizers import models

    known = {"a", "b", "c", "ab", "abc", "bca", "ca"}
    vocab = {name: i for i, name in enumerate(sorted(known | {"#" + token for token in known} | {"[UNK]"}))}
    library = models.WordPiece(vocab=vocab, unk_token="[UNK]", continuing_subword_prefix="#")
    as_bytes = {token.encode() for token in known}
    for word in ("abcabc", "bcab", "cccab", "aabca", "b"):
        expected = [token.value.removeprefix("#").encode() for token in library.tokenize(word)]
        assert solved["longest_first"](word.encode(), as_bytes) == expected
