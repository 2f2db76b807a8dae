"""What travels between GPUs and what each holds, against numbers that were computed by hand or stand in the paper."""

import pytest
import torch

from course.several_gpus import (
    LINKS,
    SIZES,
    all_reduce_bytes,
    memory_per_gpu,
    parameters_of,
    rows,
    seconds,
    sharded_bytes,
    table,
)
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig

KNOWN = {"small": 124_439_808, "medium": 354_823_168, "large": 774_030_080, "xl": 1_557_611_200}


@pytest.mark.parametrize("size", SIZES)
def test_parameters_are_counted_without_a_model(size):
    assert parameters_of(GPTConfig.gpt2(size)) == KNOWN[size]


def test_and_as_a_model_counts_them():
    config = GPTConfig(vocab_size=51, context_length=8, n_layer=2, n_head=2, d_model=16)
    assert parameters_of(config) == GPT(config).parameter_count()


def _ring(parts: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
    """An all-reduce as it goes round: parts (n, n) are n GPUs' n values; what all have at the end, and values sent."""
    n, held, sent = len(parts), parts.clone(), [0] * len(parts)
    for turn in range(2 * (n - 1)):
        before = held.clone()
        for gpu in range(n):
            part, to = (gpu - turn + (turn >= n - 1) * n) % n, (gpu + 1) % n
            if turn < n - 1:  # reduce-scatter: added up on the way
                held[to, part] += before[gpu, part]
            else:  # all-gather: the sums go round
                part = (gpu + 1 - (turn - (n - 1))) % n
                held[to, part] = before[gpu, part]
            sent[gpu] += 1
    return held, sent


@pytest.mark.parametrize("gpus", [1, 2, 3, 8])
def test_a_ring_that_is_gone_round_sends_so_much(gpus):
    parts = torch.arange(gpus * gpus, dtype=torch.float64).view(gpus, gpus)
    held, sent = _ring(parts)
    assert torch.equal(held, parts.sum(dim=0).expand(gpus, gpus))
    assert all(each == pytest.approx(all_reduce_bytes(gpus, gpus)) for each in sent)


def test_bytes_and_seconds():
    assert all_reduce_bytes(8e9, 2) == 8e9 and all_reduce_bytes(8e9, 8) == 14e9 and all_reduce_bytes(8e9, 1) == 0
    assert sharded_bytes(8e9, 2) == 12e9 and sharded_bytes(8e9, 8) == 21e9
    assert LINKS["PCIe 5.0 x16"] == pytest.approx(63.0e9, rel=1e-3)
    assert seconds(12.5e9, "100 Gbit Ethernet") == 1 and seconds(45e9, "NVLink, H100") == pytest.approx(0.1)


def test_memory_of_zero_is_that_of_the_paper():
    """Figure 1 and table 1: 7.5 billion parameters."""
    found = [[round(memory_per_gpu(7.5e9, gpus, stage) / 1e9, 1) for stage in (1, 2, 3)] for gpus in (1, 4, 64, 1024)]
    assert found[0] == [120, 120, 120]
    assert found[1] == [52.5, 41.2, 30] and found[2] == [31.4, 16.6, 1.9] and found[3] == [30.1, 15.1, 0.1]
    assert memory_per_gpu(7.5e9, 64, 0) == 120e9


def test_the_table_of_eight_gpus():
    small, *_, xl = rows(8)
    assert small["sent"] == pytest.approx(2 * 7 / 8 * 4 * 124_439_808 / 1e9)  # 0.871 GB
    assert small["100 Gbit Ethernet"] == pytest.approx(69.7, abs=0.05) and small["PCIe 5.0 x16"] == pytest.approx(
        13.83, abs=0.03
    )
    assert small["NVLink, H100"] == pytest.approx(1.936, abs=0.005)
    assert xl["ZeRO 0"] == pytest.approx(24.92, abs=0.01) and xl["ZeRO 3"] == pytest.approx(3.115, abs=0.01)
    text = table(8)
    assert len(text.splitlines()) == 5 and "GPT-2 xl" in text and max(map(len, text.splitlines())) <= 120


def test_what_there_is_not_is_refused():
    with pytest.raises(CourseError, match="no link is called 'wire': choose one of PCIe"):
        seconds(1, "wire")
    with pytest.raises(CourseError, match="stages 1, 2 and 3"):
        memory_per_gpu(1e9, 2, 4)
    for wrong in (lambda: all_reduce_bytes(1, 0), lambda: memory_per_gpu(1e9, 0, 3)):
        with pytest.raises(CourseError, match="at least one GPU, not 0"):
            wrong()
