"""The tokenizer that the course uses: the library's, with the course's habits."""

import copy
import json
import pickle
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import hub
from helpers.bpe import CHARACTERS, END, BytePairEncoder
from helpers.errors import CourseError
from helpers.files import data_folder
from helpers.tokenizer import Tokenizer, load_tokenizer, train_tokenizer
from tests.test_bpe import AWKWARD, STORIES


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(STORIES, 360)


@pytest.fixture(scope="module")
def taught():
    return BytePairEncoder.train(STORIES, 360)


def test_trained_as_taught(tokenizer, taught):
    assert tokenizer.vocab_size == len(tokenizer) == taught.vocab_size
    assert tokenizer.eos_token_id == taught.eos_token_id == 0
    assert [tokenizer.id_to_token(i) for i in range(360)] == [taught.token_text(i) for i in range(360)]
    assert tokenizer.token_to_id(tokenizer.id_to_token(300)) == 300
    assert tokenizer.token_to_id("no such token") is None


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(AWKWARD), max_size=3).map("".join)))
def test_any_text_has_the_taught_ids_and_comes_back(tokenizer, taught, text):
    ids = tokenizer.encode(text)
    assert ids == taught.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode(text, allowed_special=True) == taught.encode(text, allowed_special=True)
    assert tokenizer.encode_batch([text, "x"]) == [ids, tokenizer.encode("x")]


def test_the_name_of_the_end_token_is_plain_text_unless_allowed(tokenizer):
    assert tokenizer.eos_token_id not in tokenizer.encode("a<|endoftext|>b")
    assert tokenizer.encode("<|endoftext|>", allowed_special=True) == [tokenizer.eos_token_id]
    assert tokenizer.encode_batch(["<|endoftext|>"], allowed_special=True) == [[tokenizer.eos_token_id]]
    assert tokenizer.decode([tokenizer.eos_token_id]) == "<|endoftext|>"


def test_a_copy_reads_that_name_as_plain_text_too(tokenizer):
    for copied in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert copied.encode("<|endoftext|>") == tokenizer.encode("<|endoftext|>") != [tokenizer.eos_token_id]
        assert copied.encode("<|endoftext|>", allowed_special=True) == [tokenizer.eos_token_id]
        assert (copied.name, copied.fingerprint) == (tokenizer.name, tokenizer.fingerprint)


def test_bad_input_gets_a_clear_line(tokenizer):
    with pytest.raises(CourseError, match=r"U\+DC00 at character 1"):
        tokenizer.encode("a\udc00")
    with pytest.raises(CourseError, match=r"U\+DC00"):
        tokenizer.encode_batch(["fine", "a\udc00"])
    with pytest.raises(CourseError, match="must be a str, not int"):
        tokenizer.encode(3)
    for bad in (360, -1):
        with pytest.raises(CourseError, match=f"id {bad} is outside"):
            tokenizer.decode([bad])
        with pytest.raises(CourseError, match=f"id {bad} is outside"):
            tokenizer.id_to_token(bad)
    with pytest.raises(CourseError, match="at least 257"):
        train_tokenizer(STORIES, 256)
    with pytest.raises(CourseError, match="write \\[text\\]"):
        train_tokenizer(STORIES[0], 300)


def test_saving_loading_and_the_fingerprint(tokenizer, taught, tmp_path):
    path = tokenizer.save(tmp_path / "tokenizer.json")
    again = load_tokenizer(path)
    assert again.fingerprint == tokenizer.fingerprint == load_tokenizer(tmp_path).fingerprint
    assert again.name == str(path)
    # How the file was written does not matter; what it says does.
    assert load_tokenizer(taught.save(tmp_path / "taught.json")).fingerprint == tokenizer.fingerprint
    assert train_tokenizer(STORIES, 359).fingerprint != tokenizer.fingerprint
    assert train_tokenizer(STORIES, 360).to_json() == tokenizer.to_json()


def test_a_file_that_pads_or_cuts_does_neither_here(tokenizer):
    library = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    library.enable_truncation(3)
    library.enable_padding(length=20)
    assert Tokenizer(library.to_str(), "x").encode(STORIES[0]) == tokenizer.encode(STORIES[0])


def test_loading_says_what_is_wrong(tokenizer, tmp_path):
    with pytest.raises(CourseError, match="there is no tokenizer at"):
        load_tokenizer("gtp2")
    with pytest.raises(CourseError, match="there is no tokenizer at"):
        load_tokenizer(tmp_path)
    damaged = tmp_path / "damaged.json"
    damaged.write_text(tokenizer.to_json()[:500], encoding="utf-8")
    with pytest.raises(CourseError, match="not a tokenizer.json"):
        load_tokenizer(damaged)
    damaged.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CourseError, match="cannot be read"):
        load_tokenizer(damaged)
    content = json.loads(tokenizer.to_json())
    content["added_tokens"], content["model"]["vocab"] = [], {"a": 0}
    content["model"]["merges"] = []
    damaged.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CourseError, match="has no <|endoftext|>"):
        load_tokenizer(damaged)


@pytest.mark.parametrize("prefix", ["##", "a text", "é"])
def test_a_prefix_on_which_the_library_panics_is_refused(tokenizer, prefix, capfd):
    content = json.loads(tokenizer.to_json())
    content["model"]["continuing_subword_prefix"] = prefix
    with pytest.raises(CourseError, match="a prefix inside of words"):
        Tokenizer(json.dumps(content), "x")
    assert capfd.readouterr().err == ""


def test_an_unknown_token_that_is_not_in_the_vocabulary_is_refused(tokenizer):
    words = {"type": "WordPiece", "unk_token": "x", "vocab": {}, "continuing_subword_prefix": "##",
             "max_input_chars_per_word": 10}  # fmt: skip
    with pytest.raises(CourseError, match="x is not a tokenizer.json .* Missing .* token"):
        Tokenizer(json.dumps(json.loads(tokenizer.to_json()) | {"model": words}), "x")


def test_a_vocabulary_that_would_lose_text_is_refused(tokenizer):
    content = json.loads(tokenizer.to_json())
    for lost, word in (("x", "lacks 1 of the 256 bytes"), ("Ġ", "lacks 1 of the 256 bytes")):
        model = content["model"] | {"merges": []}
        model["vocab"] = {END: 0} | {c: i for i, c in enumerate(CHARACTERS.values(), start=1) if c != lost}
        with pytest.raises(CourseError, match=word):
            Tokenizer(json.dumps(content | {"model": model}), "gappy")
    with pytest.raises(CourseError, match="neither bytes nor an unknown token"):
        Tokenizer(json.dumps(content | {"pre_tokenizer": {"type": "Whitespace"}}), "words")
    unknown = content["model"] | {"unk_token": "a"}
    assert Tokenizer(json.dumps(content | {"model": unknown}), "with an unknown token").encode("low")


def test_what_is_no_text_is_refused_with_its_place():
    with pytest.raises(CourseError, match=r"U\+D83D at character 2"):
        load_tokenizer().encode("ab\ud83d")
    with pytest.raises(CourseError, match="must be a str, not NoneType"):
        load_tokenizer().encode_batch(["a", None])


def test_the_bundled_tokenizer():
    tokenizer = load_tokenizer()
    assert tokenizer.vocab_size == 2048 and tokenizer.name == "bundled"
    assert tokenizer.id_to_token(tokenizer.eos_token_id) == "<|endoftext|>"
    taught = BytePairEncoder.load(data_folder() / "tokenizer.json")
    for text in [*STORIES, *AWKWARD]:
        assert tokenizer.encode(text) == taught.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


# --- GPT-2's tokenizer and the Hub
# -----------------------------------------------------------------------------------


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    for name in (
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)


def closed_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_without_a_hub_gpt2_fails_in_seconds_and_says_why(empty_cache, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    start = time.perf_counter()
    with pytest.raises(CourseError, match="does not answer"):
        load_tokenizer("gpt2")
    assert time.perf_counter() - start < 6
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CourseError, match="HF_HUB_OFFLINE forbids"):
        load_tokenizer("gpt2")


def test_a_hub_that_accepts_and_never_answers_is_left(empty_cache, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.perf_counter()
        assert not hub.hub_answers(seconds=0.5)
        assert time.perf_counter() - start < 3


@pytest.mark.parametrize(("status", "answers"), [(200, True), (404, True), (503, False), (403, False)])
def test_what_counts_as_an_answer(empty_cache, monkeypatch, status, answers):
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        assert hub.hub_answers() is answers
    finally:
        server.shutdown()
        server.server_close()


def test_gpt2s_tokenizer_is_made_from_its_two_files(empty_cache, monkeypatch, tmp_path, taught):
    # The real files are not shipped; two small ones of the same kind stand for them.
    vocab = {taught.token_text(i): i - 1 for i in range(1, 360)} | {"<|endoftext|>": 359}
    merges = [f"{taught.token_text(left)} {taught.token_text(right)}" for left, right in taught.ranks]
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda _, name: str(tmp_path / name))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tokenizer = load_tokenizer("gpt2")
    assert (tokenizer.vocab_size, tokenizer.eos_token_id, tokenizer.name) == (360, 359, "gpt2")
    for text in [*STORIES, *AWKWARD]:
        assert tokenizer.encode(text) == [i - 1 for i in taught.encode(text)]
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("<|endoftext|>", allowed_special=True) == [359]
    assert load_tokenizer(tokenizer.save(tmp_path / "tokenizer.json")).fingerprint == tokenizer.fingerprint
    (tmp_path / "vocab.json").write_text("{", encoding="utf-8")
    with pytest.raises(CourseError, match="is damaged: delete"):
        load_tokenizer("gpt2")


@pytest.mark.parametrize("error", [OSError("connection reset\nmore"), RuntimeError("")])
def test_a_broken_download_is_one_clear_line(empty_cache, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("helpers.tokenizer.require_hub", lambda *_: None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(CourseError, match="could not be fetched") as caught:
        load_tokenizer("gpt2")
    assert "\n" not in str(caught.value)
