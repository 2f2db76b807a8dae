"""The benchmark of generation: the same tokens on all sides, sums that are right, a result that is JSON."""

import json

import pytest
import torch

from course.bench import generation
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig

pytest.importorskip("transformers")
pytest.importorskip("ctranslate2")


def test_all_sides_generate_the_same_and_the_result_is_json(monkeypatch):
    monkeypatch.setattr(generation, "BATCHES", (1, 3))
    monkeypatch.setattr(generation, "bandwidth", lambda: 1e10)
    before = torch.random.get_rng_state()
    result = json.loads(json.dumps(generation.run_decoding(["storyteller"], rounds=2, tokens=4)))
    assert torch.equal(torch.random.get_rng_state(), before)
    size = result["sizes"]["storyteller"]
    assert [(row["method"], row["batch"]) for row in size["rows"]] == [
        ("greedy", 1), ("sampling", 1), ("greedy", 3), ("sampling", 3),
    ]  # fmt: skip
    for row in size["rows"]:
        assert row["same_tokens"] is (True if row["method"] == "greedy" else None)
        assert set(row["ratios"]) == {"ours", "engine", "engine int8"} and row["tokens"] == 4
        assert all(len(ratios) == 2 and min(ratios) > 0 for ratios in row["ratios_by_round"].values())
        assert row["tokens_per_second"]["ours"] == pytest.approx(row["batch"] / row["seconds_per_step"]["ours"])
    shown = generation.describe_decoding(result)
    assert "the same tokens" in shown and "of the memory's speed" in shown and "engine int8" in shown


def test_the_bytes_of_a_token_by_hand():
    def config(**changes):
        return GPTConfig(100, 32, n_layer=2, n_head=2, d_model=8, **changes)

    block = (24 * 8 + 24) + (8 * 8 + 8) + (32 * 8 + 32) + (8 * 32 + 8) + 4 * 8
    read = 2 * block + 2 * 8 + 100 * 8  # blocks, last norm, head
    assert generation.bytes_per_token(GPT(config())) == 4 * read
    assert generation.bytes_per_token(GPT(config(tied_head=False))) == 4 * read
    assert generation.bytes_per_token(GPT(config()).to(torch.bfloat16)) == 2 * read


def test_memory_has_a_speed():
    assert 1e8 < generation.bandwidth(megabytes=8, reads=2) < 1e13


def test_bad_requests_say_so():
    for arguments, message in (
        ((["huge"],), "no size 'huge'"),
        ((["storyteller"], 0), "rounds must"),
        ((["storyteller"], 1, 0), "tokens must"),
    ):
        with pytest.raises(CourseError, match=message):
            generation.run_decoding(*arguments)
