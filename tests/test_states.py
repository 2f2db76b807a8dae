"""A run's states: they come back bit for bit, the newest few are kept, and damage never passes for a state."""

import errno
import random
import shutil

import numpy as np
import pytest
import torch

from helpers import checkpoint, files
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig


def save(folder, step, **more):
    return checkpoint.save_checkpoint(folder, {"step": step, "weights": torch.full((50,), float(step)), **more})


def names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_a_training_state_comes_back_bit_for_bit(tmp_path):
    torch.manual_seed(0)
    model = GPT(GPTConfig(280, context_length=16, n_layer=2, n_head=2, d_model=8))
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95))
    model.loss(torch.tensor([[1, 2, 3]]), torch.tensor([[2, 3, 4]])).backward()
    optimizer.step()
    state = {
        "step": 7,
        "optimizers": [optimizer.state_dict()],
        "sampler": {
            "order": np.arange(5, dtype=np.uint16),
            "big": 2**100,
            "place": np.int64(3),
            "scalar": np.array(2),
        },
        "numbers": [1e-17, float("inf"), None, True, "text", (1, (2.5,))],
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
        "empty": torch.empty(0),
    }
    checkpoint.save_checkpoint(tmp_path, state)
    loaded, told = checkpoint.load_checkpoint(tmp_path)
    assert told == []
    assert loaded["numbers"] == state["numbers"] and loaded["step"] == 7 and loaded["sampler"]["big"] == 2**100
    assert loaded["sampler"]["order"].dtype == np.uint16 and loaded["sampler"]["scalar"].shape == ()
    assert torch.equal(loaded["half"], state["half"]) and loaded["empty"].shape == (0,)
    again = torch.optim.AdamW(model.parameters())
    again.load_state_dict(loaded["optimizers"][0])
    assert again.param_groups[0]["betas"] == (0.9, 0.95)
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            assert torch.equal(again.state[parameter][key], value)
    with pytest.raises(TypeError, match="state.model is a GPT"):
        checkpoint.save_checkpoint(tmp_path, {"step": 1, "model": model})


def test_generators_continue_where_they_were(tmp_path):
    checkpoint.save_checkpoint(
        tmp_path, {"step": 0, "random": checkpoint.random_state(), "torch": checkpoint.torch_random_state()}
    )
    first = random.random(), np.random.rand(), torch.rand(1)
    state, _ = checkpoint.load_checkpoint(tmp_path)
    checkpoint.set_random_state(state["random"])
    assert (random.random(), np.random.rand(), torch.rand(1)) == first
    checkpoint.set_torch_random_state(state["torch"])
    assert torch.rand(1) == first[2]


def test_the_newest_are_kept_and_the_rest_goes(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    left_behind = tmp_path / "checkpoints" / ".step-00000100.safetensors.abc.part"
    left_behind.write_bytes(b"half")
    for step in (100, 200, 999, 1000):
        save(tmp_path, step)
    assert names(tmp_path) == ["step-00000999.safetensors", "step-00001000.safetensors"]
    assert checkpoint.load_checkpoint(tmp_path)[0]["step"] == 1000
    checkpoint.remove_checkpoints(tmp_path)
    assert not (tmp_path / "checkpoints").exists()
    with pytest.raises(CourseError, match="nothing to resume"):
        checkpoint.load_checkpoint(tmp_path)


def test_a_damaged_state_is_put_aside_and_the_one_before_is_taken(tmp_path):
    save(tmp_path, 100)
    path = save(tmp_path, 200)
    path.write_bytes(path.read_bytes()[:-7])
    state, told = checkpoint.load_checkpoint(tmp_path)
    assert state["step"] == 100 and "step-00000200" in told[0] and "going on from step-00000100" in told[0]
    assert names(tmp_path) == ["step-00000100.safetensors", "step-00000200.damaged"]
    (tmp_path / "checkpoints" / "step-00000100.safetensors").write_bytes(b"")
    with pytest.raises(CourseError, match="no state .* is whole"):
        checkpoint.load_checkpoint(tmp_path)


def test_no_damage_passes_for_a_state(tmp_path):
    """Bits flipped and files cut at random places, in the head too: what is read is right, or refused."""
    path = save(tmp_path, 3, numbers=[1, 2.5, None], table=torch.arange(300))
    whole, right = path.read_bytes(), checkpoint.load_checkpoint(tmp_path)[0]
    generator = random.Random(0)
    refused = 0
    for trial in range(400):
        content = bytearray(whole)
        if trial % 4 == 0:
            del content[generator.randrange(len(content)) :]
        else:
            content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        path.write_bytes(content)
        try:
            state = checkpoint._read(path)
        except CourseError:
            refused += 1
            continue
        assert state["numbers"] == right["numbers"] and torch.equal(state["table"], right["table"])
        assert torch.equal(state["weights"], right["weights"]) and state["step"] == 3
    assert refused >= 390  # a flipped bit may fall where nothing is said, such as the name of the format


def test_another_format_is_refused_and_another_torch_is_told(tmp_path, monkeypatch):
    now = checkpoint.versions()
    monkeypatch.setattr(checkpoint, "versions", lambda: now | {"torch": "1.0"})
    save(tmp_path, 1)
    monkeypatch.setattr(checkpoint, "versions", lambda: now)
    (told,) = checkpoint.load_checkpoint(tmp_path)[1]
    assert "saved with torch 1.0" in told and "last digits" in told
    monkeypatch.setattr(checkpoint, "versions", lambda: now | {"format": 99})
    save(tmp_path, 2)
    with pytest.raises(CourseError, match="format 99, this version of the course reads"):
        checkpoint.load_checkpoint(tmp_path)


def test_a_full_disk_leaves_the_state_before(tmp_path, monkeypatch):
    """As the system says it: writing fails when there is no more room, wherever it was."""
    save(tmp_path, 100)
    save(tmp_path, 200)
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(CourseError, match="step 300 cannot be written.*No space left.*step-00000200.*still there"):
        save(tmp_path, 300)
    monkeypatch.undo()
    assert names(tmp_path) == ["step-00000200.safetensors"]  # the older one made room, in vain
    state, told = checkpoint.load_checkpoint(tmp_path)
    assert state["step"] == 200 and told == []
    assert (tmp_path / "checkpoints" / "step-00000200.safetensors").read_bytes() == before["step-00000200.safetensors"]


@pytest.mark.skipif(not shutil.which("mount"), reason="needs mount")
def test_a_disk_that_is_really_full(tmp_path):
    """A disk of 96 kB in memory, where one may be mounted: two states fit, a third only when one goes first."""
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        for step in (1, 2, 3, 4):  # 36 kB each
            checkpoint.save_checkpoint(disk, {"step": step, "weights": torch.full((9000,), float(step))})
        assert checkpoint.load_checkpoint(disk)[0]["step"] == 4
        with pytest.raises(CourseError, match="No space left.*is still there"):
            checkpoint.save_checkpoint(disk, {"step": 5, "weights": torch.zeros(30_000)})
        state, _ = checkpoint.load_checkpoint(disk)
        assert state["step"] == 4 and torch.equal(state["weights"], torch.full((9000,), 4.0))
        assert not list(disk.rglob("*.part"))
    finally:
        subprocess.run(["umount", disk], check=True)
