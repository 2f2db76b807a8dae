"""The BPE that the course teaches and the `tokenizers` library give the same merges and the same ids."""

import json
import random
import time
from itertools import pairwise

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers

from helpers.bpe import CHARACTERS, BytePairEncoder, merge, merge_all, pair_counts, split_pieces
from helpers.errors import CourseError
from helpers.tokenizer import Tokenizer, train_tokenizer

STORIES = [
    "Once upon a time, a little rabbit named Pip lost a red kite.",
    "Pip's kite wasn't in the park. \"We'll find it,\" said Ben. They looked under 12 bushes.\n\nThe end.",
    "The naïve café cat said: 你好! 🙂👩‍👩‍👧   \t\x00\x07 <|endoftext|> done…",
] * 3

AWKWARD = [
    "", " ", "\n", "\x00", "\x00\x01\x1f\x7f", " " * 5000, "a" * 3000, "\r\n\r\n  x",
    "it's 'tis 'S don’t 'lll",
    "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|endoftext|>", " <|endoftext", 
    "🙂", "👩‍👩‍👧‍👦", "🇫🇷", "e\u0301",
    "\ufeffBOM", "\u200b\u200d\u2028\u2029\x85\xa0", "\u0558\u088f\U0003347f", 
    "١٢٣ ½ Ⅷ", "\ufffd\ufffe\uffff",
    "\U0010ffff", "ﬁ ǆ ß İ", "  two  spaces  ", 
    "\t\ttabs\t", "x = 1;\n    y = 2\n", "你好，世界", "שלום", "नमस्ते",
]  # fmt: skip

texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab '\n1é🙂\x00", max_size=60),
    st.lists(st.sampled_from([*AWKWARD, *STORIES]), max_size=3).map("".join),
)


def library(texts, vocab_size):
    """What the `tokenizers` library trains on the same texts."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [part for text in texts for part in text.split("<|endoftext|>")],  # as the course trains: nothing of the name
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return made


def vocabulary(encoder):
    return {encoder.token_text(i): i for i in range(encoder.vocab_size)}


def written_merges(encoder):
    return [[encoder.token_text(left), encoder.token_text(right)] for left, right in encoder.merges]


@pytest.fixture(scope="module")
def encoder():
    return BytePairEncoder.train(STORIES, 360)


@pytest.fixture(scope="module")
def same_in_library(encoder, tmp_path_factory):
    path = encoder.save(tmp_path_factory.mktemp("bpe") / "tokenizer.json")
    made = tokenizers.Tokenizer.from_file(str(path))
    made.encode_special_tokens = True
    return made


def test_byte_characters_are_gpt2s():
    assert sorted(CHARACTERS) == list(range(256)) and len(set(CHARACTERS.values())) == 256
    assert CHARACTERS[ord(" ")] == "Ġ" and CHARACTERS[ord("\n")] == "Ċ" and CHARACTERS[ord("a")] == "a"
    assert set(CHARACTERS.values()) == set(pre_tokenizers.ByteLevel.alphabet())


@settings(max_examples=300, deadline=None)
@given(texts)
def test_pieces_are_the_librarys_and_join_to_the_text(text):
    pieces = split_pieces(text)
    assert "".join(pieces) == text
    made = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    assert [text[start:end] for _, (start, end) in made] == pieces


def test_every_code_point_is_split_as_in_the_library():
    # The package `regex` fails here on thousands of code points, which is why the library's expressions are
    # used.
    made = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for code in range(0, 0x110000, 7):
        if not 0xD800 <= code < 0xE000:
            text = f"a{chr(code)}1{chr(code)}!{chr(code)} {chr(code)}"
            assert [text[s:e] for _, (s, e) in made.pre_tokenize_str(text)] == split_pieces(text), hex(code)


def test_counting_and_merging_by_hand():
    assert pair_counts({(1, 2, 1, 2): 3, (2, 1): 1}) == {(1, 2): 6, (2, 1): 4}
    assert merge([1, 2, 1, 2], (1, 2), 9) == [9, 9]
    assert merge([1, 1, 1], (1, 1), 9) == [9, 1]
    assert merge([2, 1], (1, 2), 9) == [2, 1]
    assert merge([], (1, 2), 9) == []


def test_training_gives_the_librarys_merges(encoder):
    content = json.loads(library(STORIES, 360).to_str())
    assert vocabulary(encoder) == content["model"]["vocab"]
    assert written_merges(encoder) == content["model"]["merges"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(st.text(alphabet="ab", max_size=30), st.text(alphabet="abc é", max_size=30), texts),
        max_size=5,
    ),
    st.integers(257, 320),
)
def test_training_breaks_ties_as_the_library_does(corpus, vocab_size):
    ours, content = (
        BytePairEncoder.train(corpus, vocab_size),
        json.loads(library(corpus, vocab_size).to_str()),
    )
    assert vocabulary(ours) == content["model"]["vocab"]
    assert written_merges(ours) == content["model"]["merges"]


def test_training_stops_when_nothing_is_left_to_merge():
    encoder = BytePairEncoder.train(["abab"], 5000)
    assert encoder.vocab_size == 1 + 256 + 2  # "ab" and "abab"
    assert BytePairEncoder.train([], 300).vocab_size == 257


def test_training_says_what_is_wrong():
    with pytest.raises(CourseError, match="at least 257"):
        BytePairEncoder.train(STORIES, 256)
    with pytest.raises(CourseError, match="write \\[text\\]"):
        BytePairEncoder.train("one string", 300)
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'split'"):
        BytePairEncoder.train([None], 300)


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_texts(encoder, same_in_library, text):
    ids = encoder.encode(text)
    assert ids == same_in_library.encode(text).ids
    assert encoder.decode(ids) == text


@settings(max_examples=300, deadline=None)
@given(texts)
def test_any_text_has_the_librarys_ids_and_comes_back(encoder, same_in_library, text):
    ids = encoder.encode(text)
    assert ids == same_in_library.encode(text).ids
    assert encoder.decode(ids) == text == same_in_library.decode(ids, skip_special_tokens=False)
    same_in_library.encode_special_tokens = False
    try:
        assert encoder.encode(text, allowed_special=True) == same_in_library.encode(text).ids
    finally:
        same_in_library.encode_special_tokens = True


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 359), max_size=30))
def test_any_ids_decode_as_in_the_library(encoder, same_in_library, ids):
    ids = [i % encoder.vocab_size for i in ids]
    assert encoder.decode(ids) == same_in_library.decode(ids, skip_special_tokens=False)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="ab", max_size=40), max_size=5), st.integers(257, 320), st.text("ab", max_size=60))
def test_merging_all_places_at_once_gives_the_librarys_ids(corpus, vocab_size, text):
    """The library merges one place after another; training makes each token once, so both come to the same."""
    ours = BytePairEncoder.train(corpus, vocab_size)
    assert len(set(ours.merges.values())) == len(ours.merges) == len(set(ours.token_bytes)) - 257
    assert ours.encode(text) == library(corpus, vocab_size).encode(text).ids


def test_special_tokens_need_permission(encoder):
    assert 0 not in encoder.encode("a<|endoftext|>b")
    assert encoder.encode("<|endoftext|>b", allowed_special=True)[0] == encoder.eos_token_id == 0
    assert encoder.decode([0]) == "<|endoftext|>"


def test_half_a_character_decodes_to_the_replacement_sign(encoder):
    smile = encoder.encode("🙃")
    assert len(smile) > 1
    assert encoder.decode(smile[:1]) == "\ufffd"
    with pytest.raises(CourseError, match="id 9999 is outside"):
        encoder.decode([9999])
    with pytest.raises(CourseError, match="id -1 is outside"):
        encoder.decode([-1])


def test_a_lone_surrogate_is_refused_with_its_place(encoder):
    with pytest.raises(UnicodeEncodeError, match="in position 2"):
        encoder.encode("ab\ud83d")


def test_long_runs_are_quick(encoder, same_in_library):
    letters = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz", k=50_000))
    for text in (" " * 100_000, "ab" * 20_000, letters):
        start = time.process_time()
        ids = encoder.encode(text)
        assert time.process_time() - start < 5
        assert ids == same_in_library.encode(text).ids


def test_ten_times_the_letters_take_no_more_than_about_ten_times_the_work(encoder):
    """Counted by look-ups of ranks, which no busy machine can change; looking at all pairs again takes 100 times."""

    class Counted(dict):
        asked = 0

        def __contains__(self, pair):
            self.asked += 1
            return super().__contains__(pair)

    asked = []
    for n in (2_000, 20_000):
        ranks = Counted(encoder.ranks)
        letters = random.Random(3).choices(b"abcdeinopst", k=n)
        merge_all([encoder.byte_id[byte] for byte in letters], ranks, encoder.merges)
        asked.append(ranks.asked)
    assert asked[1] < 12 * asked[0] and asked[1] < 4 * 20_000


def merge_steps(ids, ranks, merges):
    """The ids of a piece after 0, 1, 2, ... merges, the lowest rank first; the last ones are its encoding.

    All positions of a pair are merged at once. That is right because a merge can only open the way to later ones, as
    long as each token is made by one merge alone.
    """
    yield ids
    while known := [pair for pair in pairwise(ids) if pair in ranks]:
        best = min(known, key=ranks.get)
        ids = merge(ids, best, merges[best])
        yield ids


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="ab", max_size=40), max_size=5), st.text("abc", max_size=60))
def test_the_heap_merges_as_looking_at_all_pairs_does(corpus, text):
    ours = BytePairEncoder.train(corpus, 300)
    ids = [ours.byte_id[byte] for byte in text.encode("utf-8")]
    assert merge_all(ids, ours.ranks, ours.merges) == list(merge_steps(ids, ours.ranks, ours.merges))[-1]


def test_what_is_remembered_is_bounded_and_nobody_can_change_it(encoder):
    fresh = BytePairEncoder(encoder.token_bytes, encoder.merges)
    fresh.encode_piece(" rabbit").append(7)
    assert fresh.encode_piece(" rabbit") == encoder.encode(" rabbit") and type(fresh.encode_piece(" rabbit")) is list
    fresh.encode("a" * 5_000)
    assert list(fresh.known) == [" rabbit"], "a long piece is not kept"
    fresh.encode(" ".join(map(str, range(70_000))))
    assert len(fresh.known) == 2**16 and max(map(len, fresh.known)) <= 32


def test_nothing_is_learned_from_the_name_of_the_end_token():
    texts = ["One day.<|endoftext|>Two days.", "<|endoftext|>"] * 20
    ours = BytePairEncoder.train(texts, 300)
    assert not {b"en", b"endoftext", b"<|"} & set(ours.token_bytes)
    assert train_tokenizer(texts, 300).to_json() == Tokenizer(library(texts, 300).to_str(), "x").to_json()
    assert ours.token_bytes == BytePairEncoder.train(["One day.", "Two days."] * 20, 300).token_bytes


def test_saving_and_loading(encoder, tmp_path):
    path = encoder.save(tmp_path / "deep" / "tokenizer.json")
    again = BytePairEncoder.load(path)
    assert vars(again) == vars(encoder) | {"known": {}}
    assert list(again.merges) == list(encoder.merges)
    library(STORIES, 360).save(str(tmp_path / "library.json"))
    assert BytePairEncoder.load(tmp_path / "library.json").ranks == encoder.ranks
    assert json.loads(path.read_text(encoding="utf-8"))["model"]["merges"] == written_merges(encoder)


def test_loading_says_what_is_wrong(encoder, tmp_path):
    with pytest.raises(CourseError, match="there is no file"):
        BytePairEncoder.load(tmp_path / "missing.json")
    path = encoder.save(tmp_path / "tokenizer.json")
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[: len(whole) // 2], encoding="utf-8")
    with pytest.raises(CourseError, match="not valid JSON"):
        BytePairEncoder.load(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(CourseError, match="not a whole tokenizer.json"):
        BytePairEncoder.load(path)
    content = json.loads(whole)
    path.write_text(json.dumps(content | {"normalizer": {"type": "Lowercase"}}), encoding="utf-8")
    with pytest.raises(CourseError, match="not a byte-level BPE"):
        BytePairEncoder.load(path)
    first, *others = content["model"]["merges"]  # the first makes a part of a later one
    two_ways = [["a", "b"], ["b", "c"], ["ab", "c"], ["a", "bc"]]
    vocab = {name: i for i, name in enumerate(["<|endoftext|>", *CHARACTERS.values(), "ab", "bc", "abc"])}
    for model in ({"merges": [*others, first]}, {"merges": two_ways, "vocab": vocab}):
        path.write_text(json.dumps(content | {"model": content["model"] | model}), encoding="utf-8")
        with pytest.raises(CourseError, match="in no order of training"):
            BytePairEncoder.load(path)


def test_a_vocabulary_without_all_bytes_is_refused(encoder, tmp_path):
    path = encoder.save(tmp_path / "tokenizer.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    whole = ["<|endoftext|>", *CHARACTERS.values()]
    for names in (whole, [name for name in whole if name not in "qŁ"]):
        model = content["model"] | {"vocab": {name: i for i, name in enumerate(names)}, "merges": []}
        path.write_text(json.dumps(content | {"model": model}), encoding="utf-8")
        if names is whole:
            assert BytePairEncoder.load(path).encode("q") == [BytePairEncoder.train([], 257).byte_id[ord("q")]]
        else:
            with pytest.raises(CourseError, match="lacks 2 of the 256 bytes"):
                BytePairEncoder.load(path)
