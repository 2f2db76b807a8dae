"""Damage that nobody thought of: hypothesis makes it, for each file that a command reads.

Whatever a file holds, the command does its work or says in one line why it cannot; no traceback, no hang, nothing half
written. `COURSE_FAULTS=5000 pytest -n0 tests/test_fault_properties.py` tries 5,000 examples.
"""

import json
import os
import shutil
import struct
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from safetensors.torch import load

from helpers.model_files import digest
from tests.damage import CASES, copied, make_world, try_case
from tests.forked import Commands

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are forked from a process that is ready")
EXAMPLES = int(os.environ.get("COURSE_FAULTS", "0").replace("all", "2000")) or 50
TRIED = settings(max_examples=EXAMPLES, deadline=None, derandomize="COURSE_FAULTS" not in os.environ, database=None,
                 suppress_health_check=list(HealthCheck), print_blob=False)  # fmt: skip

# ---------------------------------------------------------------------- damage to bytes

WORDS = st.sampled_from([b"", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"{", b"]", b'"', b"\\ud800", b"null", b"NaN",
                         b"1e999", b"-1", b"9" * 40, b"\n", b"\r", b"<|endoftext|>", b"\x80\x04."])  # fmt: skip
FRACTIONS = st.floats(0, 1, allow_nan=False)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert", "repeat", "swap", "zeros"]), FRACTIONS, FRACTIONS,
              WORDS | st.binary(max_size=12)), min_size=1, max_size=4,
)  # fmt: skip


def changed(data: bytes, changes: list) -> bytes:
    """`data` after some changes, each of which is of a kind, at a place, with a length and with bytes to put there."""
    for kind, where, length, new in changes:
        at = int(where * len(data))
        end = min(at + 1 + int(length**4 * 2000), len(data))
        if kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << int(length * 7)]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[end:]
        elif kind == "insert":
            data = data[:at] + new + data[at:]
        elif kind == "repeat":
            data = data[:end] + data[at:end] * 3 + data[end:]
        elif kind == "swap":
            data = data[end:] + data[at:end] + data[:at]
        elif kind == "zeros":
            data = data[:at] + bytes(end - at) + data[end:]
    return data


# ---------------------------------------------------------------------- damage to what the bytes say

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.sampled_from([2**31, -(2**63), 2**64, 10**40, 1e308, -0.0, 0.5]),
    st.sampled_from([float("nan"), float("inf"), "\ud800", "\0", "../../x", "{"]), st.text(max_size=6),
    st.just([]), st.just({}), st.lists(st.integers(0, 9), max_size=3), st.just([[[]]]), st.just({"a": {"b": 1}}),
)  # fmt: skip
JSON_CHANGES = st.lists(
    st.tuples(st.sampled_from(["set", "drop", "add", "copy"]), st.integers(0, 10**6), VALUES), min_size=1, max_size=3
)


def places(value) -> list:
    """Every place in a value: the list or the dictionary, and the index or the key."""
    found = []
    if isinstance(value, dict | list):
        for key in range(len(value)) if isinstance(value, list) else list(value):
            found += [(value, key), *places(value[key])]
    return found


def changed_value(value, changes: list):
    """A value of JSON after some changes, each of a kind, at a place by its number, with a new value."""
    for kind, number, new in changes:
        there = places(value)
        if not there:
            return new
        # Of the places at the top as many as of all others: a tokenizer has thousands below.
        some = [(each, key) for each, key in there if each is value] if number % 2 else there
        within, key = some[number // 2 % len(some)]
        if kind == "set":
            within[key] = new
        elif kind == "drop":
            del within[key]
        elif kind == "add" and isinstance(within, dict):
            within[f"{key} too"] = new
        elif kind == "add":
            within.insert(key, new)
        elif kind == "copy":
            within[key] = json.loads(json.dumps(value))
    return value


def write_changed(path: Path, changes: list) -> None:
    """Change what a file says: the values of JSON, of a line of it, or of what is JSON in the head of the weights."""
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        end = 8 + struct.unpack("<Q", data[:8])[0]
        head = json.loads(data[8:end])
        about = head.get("__metadata__", {})
        inner = {key: json.loads(about[key]) for key in ("config", "state") if key in about}
        inside = inner and changes[0][1] % 3
        if inside:  # what is JSON inside of JSON
            inner = {key: changed_value(value, changes) for key, value in inner.items()}
            about |= {key: json.dumps(value) for key, value in inner.items()}
        if inside == 2 and "state" in about:  # as if the checksum were right
            about["sha256"] = digest(load(data), about["state"])
        new = json.dumps(head if inside else changed_value(head, changes)).encode()
        path.write_bytes(struct.pack("<Q", len(new)) + new + data[end:])
    elif path.suffix == ".jsonl":
        lines = data.decode().splitlines()
        at = changes[0][1] % len(lines)
        lines[at] = json.dumps(changed_value(json.loads(lines[at]), changes))
        path.write_text("\n".join(lines) + "\n", "utf-8")
    else:
        path.write_text(json.dumps(changed_value(json.loads(data), changes)), "utf-8")


# ---------------------------------------------------------------------- the property


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("the world") / "files")


@pytest.fixture(scope="module")
def run():
    with Commands() as commands:
        yield commands


WITH_VALUES = [case for case in CASES if case.file.endswith((".json", ".jsonl", ".ipynb", "safetensors", "step*"))]


def try_it(world, run, place: Path, case, damage) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place, paths = copied(world, case, place)
    outcome, wrong = try_case(run, place, case, damage, paths)
    note(f"{case}: exit code {outcome.code}, {outcome.err[-500:]!r}")
    assert not wrong, wrong


@TRIED
@given(case=st.sampled_from(CASES), changes=CHANGES)
def test_whatever_bytes_a_file_holds(world, run, tmp_path_factory, case, changes):
    damage = lambda path: path.write_bytes(changed(path.read_bytes(), changes))  # noqa: E731
    try_it(world, run, tmp_path_factory.getbasetemp() / "bytes", case, damage)


@TRIED
@given(case=st.sampled_from(WITH_VALUES), changes=JSON_CHANGES)
def test_whatever_values_a_file_holds(world, run, tmp_path_factory, case, changes):
    try_it(world, run, tmp_path_factory.getbasetemp() / "values", case, partial(write_changed, changes=changes))


@TRIED
@given(case=st.sampled_from(CASES), other=st.sampled_from(CASES))
def test_another_file_in_its_place(world, run, tmp_path_factory, case, other):
    found = sorted(world.glob(other.file))
    content = found[0].read_bytes() if found else b""
    place = tmp_path_factory.getbasetemp() / "others"
    try_it(world, run, place, case, lambda path: path.write_bytes(content))
