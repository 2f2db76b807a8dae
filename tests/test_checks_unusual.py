"""Right answers in a form that is rare and legitimate, which a check once refused: arrays, tensors, other loops."""

import math
import re

import numpy as np
import pytest
import torch

from course.checks import nb02, nb03, nb08, nb10, nb12
from course.checks.exercise import RIGHT


def containments_in_tensors(train, validation, n=8):
    def sequences(text):
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    learned, own = [sequences(text) for text in train], [sequences(text) for text in validation]
    return [torch.tensor(max((len(v & t) / max(1, len(v)) for t in learned), default=0.0)) for v in own]


def sample_story_in_tensors(next_probs, limit, seed):
    generator, ids = torch.Generator().manual_seed(seed), [0]
    while len(ids) <= limit:
        drawn = torch.multinomial(torch.as_tensor(next_probs(list(map(int, ids)))).double(), 1, generator=generator)[0]
        if drawn == 0:
            break
        ids.append(drawn)
    return ids[1:]


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


@torch.no_grad()
def first_loss_by_keywords(model, loss, inputs, targets):
    return np.float32(loss(model, inputs=inputs, targets=targets)) - np.log(model.config.vocab_size)


def update_ratios_of_numpy(before, after):
    norm = np.linalg.norm
    return {n: norm((after[n] - w).numpy()) / norm(w.numpy()) for n, w in before.items() if w.dim() > 1}


def seeds_differ_in_a_tensor(one, other):
    a, b = torch.tensor(one).double(), torch.tensor(other).double()
    return torch.stack([b.mean() - a.mean(), (a.var() / len(a) + b.var() / len(b)).sqrt()])


def vera_split_by_indices(stories, seed):
    order, cut = np.random.default_rng(seed).permutation(len(stories)), len(stories) * 9 // 10
    return [stories[i] for i in order[:cut]], [stories[i] for i in order[cut:]]


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (nb02.containments, containments_in_tensors),
        (nb03.sample_story, sample_story_in_tensors),
        (nb08.disk_bytes, disk_bytes_in_a_tensor),
        (nb08.kernel_seconds, kernel_seconds_in_float32),
        (nb08.fitting_batch, fitting_batch_in_an_array),
        (nb10.first_loss, first_loss_by_keywords),
        (nb10.update_ratios, update_ratios_of_numpy),
        (nb10.seeds_differ, seeds_differ_in_a_tensor),
        (nb10.vera_split, vera_split_by_indices),
        (nb12.convert_loss, convert_loss_in_an_array),
        (nb12.convert_loss, convert_loss_in_a_tensor),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_right_answer_in_a_rare_form_is_right(exercise, answer):
    result = exercise(answer)
    assert result.state == RIGHT, result
