"""JSON that Python takes oddly, or not at all, is one clear line wherever it is read; so is what is no file."""

import json
import math
import os
import signal
import struct

import pytest
import torch

from course import reference_ranges, scoreboard
from course.export import export
from helpers.bpe import BytePairEncoder
from helpers.checkpoint import load_checkpoint, load_model, save_checkpoint, save_model
from helpers.dataset import TokenFile, tokenize_stories
from helpers.errors import CourseError
from helpers.files import parse_json, read_json, rounded, write_atomically
from helpers.model import GPT, GPTConfig
from helpers.pretrained import load_pretrained
from helpers.run_log import LOG, read_log
from helpers.tokenizer import load_tokenizer

STRANGE = {
    "half a character": b'{"a": "\\ud800"}',
    "a number of 5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "brackets 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "not UTF-8": b'{"a": "caf\xe9"}',
    "cut": b'{"a": ',
    "empty": b"",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
}
NUMBERS = {"NaN": b'{"a": NaN}', "infinite": b'{"a": [-Infinity]}', "too large": b'{"a": 1e999}'}

strange = pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)


@pytest.fixture(autouse=True)
def no_waiting():
    """Whoever waits for a pipe waits for ever: here five minutes, then it is an error."""

    def give_up(*_):
        raise TimeoutError("a test waited for five minutes")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def model(tmp_path):
    """A model's folder."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer()
    config = GPTConfig(tokenizer.vocab_size, context_length=8, n_layer=1, n_head=1, d_model=8)
    return save_model(tmp_path / "model", GPT(config), tokenizer)


def one_line(message: str, call, *arguments):
    with pytest.raises(CourseError, match=message) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


# ---------------------------------------------------------------------- the reader


@strange
@pytest.mark.parametrize("nan", [False, True])
def test_strange_json_is_one_line_that_names_the_file(tmp_path, content, nan):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    one_line(r"a\.json is not valid JSON \(.*\): it may be damaged: make it again", read_json, path, nan)


@pytest.mark.parametrize("content", NUMBERS.values(), ids=NUMBERS)
def test_numbers_that_json_lacks_are_read_only_where_python_may_have_written_them(content):
    one_line("a is not valid JSON .*not a number that JSON has", parse_json, content, "a")
    assert parse_json(content, "a", nan=True)


def test_what_is_json_is_read():
    assert parse_json(b'\xef\xbb\xbf{"a": "\\ud83d\\ude42 \xc3\xa9", "b": [1, -2.5e3, null]}', "a") == {
        "a": "🙂 é",
        "b": [1, -2500.0, None],
    }
    assert parse_json('"\\\\ud800 is half a character"', "a") == "\\ud800 is half a character"
    one_line("a, line 3, is not valid JSON .*: mend it", lambda: parse_json("{", "a, line 3,", instead="mend it"))


# ---------------------------------------------------------------------- who reads it


@strange
def test_every_reader_says_so(tmp_path, model, content, monkeypatch):
    tokens = tokenize_stories(["One.", "Two."], load_tokenizer(), tmp_path, progress=False)
    exported = export(*load_model(model), tmp_path / "exported", card="# A model")
    for path in (tokens.folder / "about.json", model / "config.json", exported / "config.json", tmp_path / "t.json"):
        path.write_bytes(content)
    one_line("about.json is not valid JSON", TokenFile, tokens.folder)
    one_line("config.json is not valid JSON", load_model, model)
    one_line("config.json is not valid JSON", load_pretrained, exported)
    one_line("config.json is not valid JSON", reference_ranges.record, model)
    one_line("t.json is not valid JSON", BytePairEncoder.load, tmp_path / "t.json")
    one_line("t.json is not valid JSON", reference_ranges.find_ranges, "storyteller", "cpu", tmp_path / "t.json")
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    write_atomically(tmp_path / "runs" / "scoreboard" / "03.json", content)
    one_line("03.json is not valid JSON .*delete it", scoreboard.rows, "99")
    one_line("03.json is not valid JSON .*delete it", lambda: scoreboard.add("x", **SCORES, notebook="03"))
    one_line("t.json", load_tokenizer, tmp_path / "t.json")


SCORES = dict(nats_per_token=1.0, bits_per_byte=1.0, tokenizer="bundled", parameters=1)


@pytest.mark.parametrize("content", ["3", "{}", "[3]", '[{"name": "x"}]', '[{"bits_per_byte": "1"}]', "[null]"])
def test_a_scoreboard_that_holds_something_else_is_one_line(tmp_path, monkeypatch, content):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    write_atomically(tmp_path / "scoreboard" / "03.json", content)
    one_line("03.json .*: delete it, then run its notebook again", scoreboard.rows, "99")
    one_line("03.json .*: delete it, then run its notebook again", lambda: scoreboard.add("x", **SCORES, notebook="03"))


@pytest.mark.parametrize("content", [*STRANGE.values(), b"[3]"], ids=[*STRANGE, "a list"])
def test_the_head_of_the_weights_is_read_by_the_same_reader(model, content):
    weights = model / "model.safetensors"
    data = weights.read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:end])
    head["__metadata__"]["config"] = content.decode("latin-1")
    head = json.dumps(head).encode()
    weights.write_bytes(struct.pack("<Q", len(head)) + head + data[end:])
    one_line("model.safetensors", load_model, model)


@strange
def test_a_damaged_line_of_the_log_is_left_out(tmp_path, content):
    rows = [{"step": step, "loss": loss, "sample": "a\u2028b\x85"} for step, loss in ((1, 2.5), (2, math.nan))]
    first, last = (json.dumps(row, ensure_ascii=False).encode() for row in rows)
    others = [b'{"step": true}', b'{"step": 1, "loss": "low"}', b'{"step": 1, "sample": 3}', b"[1]"]
    (tmp_path / LOG).write_bytes(b"\n".join([first, content, *others, last, b'{"step": 3, "lo']))
    assert [row["step"] for row in read_log(tmp_path)] == [1, 2]


# ---------------------------------------------------------------------- files, and what is none


@pytest.fixture(params=["a pipe", "a folder", "a device"])
def no_file(request, tmp_path):
    """Something that is there and is no file; reading it might not end."""
    path = tmp_path / "no file.json"
    if request.param == "a pipe":
        os.mkfifo(path)
    elif request.param == "a folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return path


def test_only_files_are_read_and_replaced(no_file):
    kind = "is a (pipe or a device|folder), not a file"
    for read in (read_json, BytePairEncoder.load):
        one_line(kind, read, no_file)
    one_line(f"{kind}|there is no tokenizer at", load_tokenizer, no_file)
    one_line(f"{kind}: it is not replaced", write_atomically, no_file, "text")
    assert no_file.exists() and not no_file.is_file()


@pytest.mark.parametrize("path", ["/dev/null", "/dev/stdout", "/dev/something-new"])
def test_a_device_is_never_replaced(path):
    one_line("is a pipe or a device, not a file: it is not replaced", write_atomically, path, "text")


def test_what_is_no_file_is_no_checkpoint(tmp_path, no_file):
    for step in (1, 2):
        save_checkpoint(tmp_path, {"step": step})
    (tmp_path / "checkpoints").joinpath("step-00000009.safetensors").symlink_to(no_file)
    state, _ = load_checkpoint(tmp_path)
    assert state["step"] == 2
    one_line("step-00000009.safetensors is a .*: remove it", save_checkpoint, tmp_path, {"step": 3})


@pytest.mark.parametrize("name", ["ids.bin", "offsets.npy", "about.json"])
def test_a_pipe_among_tokens_is_not_waited_for(tmp_path, name):
    tokens = tokenize_stories(["One.", "Two."], load_tokenizer(), tmp_path, progress=False)
    (tokens.folder / name).unlink()
    os.mkfifo(tokens.folder / name)
    one_line("is a pipe or a device", TokenFile, tokens.folder)


def test_two_writes_of_the_same_give_the_same_file(tmp_path, model):
    """A safetensors file's texts come in the order of a hash table, which is another each time."""
    data = (model / "model.safetensors").read_bytes()
    loaded, tokenizer = load_model(model)
    for number in range(8):
        save_model(tmp_path / str(number), loaded, tokenizer)
        assert (tmp_path / str(number) / "model.safetensors").read_bytes() == data
    assert list(json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])["__metadata__"]) == [
        "config", "format", "sha256", "tokenizer",
    ]  # fmt: skip


def test_records_are_rounded_to_significant_digits_and_keep_all_else():
    given = {"loss": 0.0123456, "steps": 1234567, "name": "3.14159", "rows": [(1.99999, None), True], "most": 123456.7}
    assert rounded(given, 3) == {
        "loss": 0.0123,
        "steps": 1234567,
        "name": "3.14159",
        "rows": [[2.0, None], True],
        "most": 123000.0,
    }
    assert rounded(given, 17) == given | {"rows": [[1.99999, None], True]}
