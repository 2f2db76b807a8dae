"""TensorBoard gets what the log holds, where it is installed; nothing is missed where it is not."""

import importlib.util
import sys
import types

import pytest
import torch

from course import tensorboard_writer
from helpers.model import GPT, GPTConfig
from helpers.settings import TrainingSettings
from helpers.training import train


class Sampler:
    def next_batch(self):
        return torch.zeros(2, 4, dtype=torch.long), torch.ones(2, 4, dtype=torch.long)

    def state_dict(self):
        return {}


@pytest.fixture
def written(monkeypatch):
    """What a writer in TensorBoard's place was told."""
    told = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            told.append(("opened", folder, purge_step))

        def add_scalar(self, name, value, step):
            told.append((name, value, step))

        add_text = add_scalar

        def flush(self):
            pass

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name == "tensorboard" else found(name))
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return told


def test_every_row_of_the_log_is_drawn(written, tmp_path):
    settings = TrainingSettings.of(steps=3, log_every=1, eval_every=0, sample_every=0)
    result = train(
        GPT(GPTConfig(8, 4, 1, 1, 4)), Sampler(), settings, callback=tensorboard_writer.to_tensorboard(tmp_path)
    )
    assert result.steps == 3  # a callback that says nothing does not stop the run
    assert written[0] == ("opened", str(tmp_path / "tensorboard"), 1)
    for name in ("loss", "lr", "grad_norm", "tokens_per_second"):
        assert [(value, step) for n, value, step in written if n == name] == [
            (row[name], row["step"]) for row in result.history
        ]


def test_a_resumed_run_takes_back_what_went_beyond(written, tmp_path):
    draw = tensorboard_writer.to_tensorboard(tmp_path)
    draw({"step": 41, "loss": 2.0, "val_loss": None, "sample": "Once"})
    assert written == [("opened", str(tmp_path / "tensorboard"), 41), ("loss", 2.0, 41), ("sample", "Once", 41)]


def test_without_it_there_is_no_callback(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert tensorboard_writer.to_tensorboard(tmp_path) is None
