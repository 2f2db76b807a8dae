"""Right answers in a form that is rare and legitimate, which a check once refused: arrays, tensors, other loops."""

import math

import numpy as np
import pytest
import torch

from course.checks import nb08, nb12
from course.checks.exercise import RIGHT


def disk_bytes_in_a_tensor(writes, keep):
    there, most = {"state": [], "model": [], "best": []}, torch.tensor(0)
    for kind, size in writes:
        there[kind].append(size)
        most = torch.maximum(most, torch.tensor(sum(map(sum, there.values()))))
        del there[kind][: -(keep if kind == "state" else 1)]
    return most


def kernel_seconds_in_float32(kernels, peak, bandwidth, launch):
    each = torch.tensor(kernels).reshape(-1, 2).float()
    return (torch.maximum(each[:, 0] / peak, each[:, 1] / bandwidth) + launch).sum()


def fitting_batch_in_an_array(step, sequences):
    size = np.int64(sequences)
    while True:
        try:
            step(size)
            return np.array([size, sequences // size])
        except torch.OutOfMemoryError:
            if size % 2:
                raise
        size //= 2


def convert_loss_in_an_array(nats_per_token, bytes_per_token, our_bytes_per_token):
    return np.array([1 / math.log(2), our_bytes_per_token]) * nats_per_token / bytes_per_token


def convert_loss_in_a_tensor(*given):
    return torch.from_numpy(convert_loss_in_an_array(*given)).float()


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (nb08.disk_bytes, disk_bytes_in_a_tensor),
        (nb08.kernel_seconds, kernel_seconds_in_float32),
        (nb08.fitting_batch, fitting_batch_in_an_array),
        (nb12.convert_loss, convert_loss_in_an_array),
        (nb12.convert_loss, convert_loss_in_a_tensor),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_right_answer_in_a_rare_form_is_right(exercise, answer):
    result = exercise(answer)
    assert result.state == RIGHT, result
