"""Models and checkpoints: what was saved comes back bit for bit, and what is damaged or does not fit is refused."""

import errno
import json
import random
import shutil

import numpy as np
import pytest
import torch

from helpers import checkpoint, files, model_files
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig
from helpers.tokenizer import train_tokenizer

TEXTS = [
    "Once upon a time, a little rabbit named Pip lost a red kite.",
    "Pip was sad. Then Pip found the red kite.",
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 280)


def tiny(tokenizer, **changes):
    torch.manual_seed(0)
    settings = dict(vocab_size=tokenizer.vocab_size, context_length=16, n_layer=2, n_head=2, d_model=8)
    return GPT(GPTConfig(**settings | changes)).eval()


OPTIONS = [
    {},
    dict(tied_head=False),
    dict(norm="post", activation="relu", positions="sinusoidal"),
    dict(bias=False, d_ff=12),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_model_comes_back_the_same(tmp_path, tokenizer, options):
    model = tiny(tokenizer, **options)
    checkpoint.save_model(tmp_path / "a model", model, tokenizer, {"recipe": "none"})
    before = torch.random.get_rng_state()
    loaded, its_tokenizer = checkpoint.load_model(tmp_path / "a model")
    assert torch.equal(torch.random.get_rng_state(), before)
    ids = torch.tensor([tokenizer.encode(TEXTS[0])[:16]])
    assert torch.equal(loaded(ids), model(ids))
    assert loaded.config == model.config and not loaded.training
    assert its_tokenizer.fingerprint == tokenizer.fingerprint
    files = {path.name for path in (tmp_path / "a model").iterdir()}
    assert files == {"model.safetensors", "config.json", "tokenizer.json"}
    about = json.loads((tmp_path / "a model" / "config.json").read_text(encoding="utf-8"))
    assert about["training"] == {"recipe": "none"} and about["parameters"] == model.parameter_count()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path, tokenizer, dtype):
    model = tiny(tokenizer)
    checkpoint.save_model(tmp_path / "full", model, tokenizer)
    checkpoint.save_model(tmp_path / "half", model, tokenizer, dtype=dtype)
    loaded, _ = checkpoint.load_model(tmp_path / "half")
    for name, parameter in loaded.named_parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, model.get_parameter(name).to(getattr(torch, dtype)).float())
    full, half = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.7 * full
    with torch.no_grad():
        model.wte.weight[0, 0] = 1e6
    with pytest.raises(CourseError, match="too large for float16"):
        checkpoint.save_model(tmp_path / "half", model, tokenizer, dtype="float16")
    with pytest.raises(CourseError, match="float32, float16"):
        checkpoint.save_model(tmp_path / "half", model, tokenizer, dtype="int8")


def test_what_is_damaged_or_does_not_fit_is_refused(tmp_path, tokenizer):
    def fresh():
        return checkpoint.save_model(tmp_path / "model", tiny(tokenizer), tokenizer)

    def refused(match):
        with pytest.raises(CourseError, match=match) as caught:
            checkpoint.load_model(tmp_path / "model")
        assert "\n" not in str(caught.value)

    refused("there is no model folder")
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        (fresh() / name).unlink()
        refused(f"has no {name}")

    weights = fresh() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    refused("damaged")
    content = bytearray((fresh() / "model.safetensors").read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    refused("checksum")

    config = fresh() / "config.json"
    config.write_text("{", encoding="utf-8")
    refused("not valid JSON")
    config.write_text('{"hello": 1}', encoding="utf-8")
    refused("does not describe a model")
    about = json.loads((fresh() / "config.json").read_text(encoding="utf-8"))
    about["model"]["n_head"] = 4  # fits every shape, and yet is another model
    config.write_text(json.dumps(about), encoding="utf-8")
    refused("describes another model")

    fresh()
    train_tokenizer(TEXTS, 270).save(tmp_path / "model" / "tokenizer.json")
    refused("not the tokenizer")


def test_tensors_that_are_missing_too_many_or_misshapen_are_named(tokenizer):
    model = tiny(tokenizer)
    weights = {name: tensor.clone() for name, tensor in model.named_parameters()}
    checkpoint.put_weights(model, weights)
    with pytest.raises(CourseError, match="lacks wpe.weight"):
        checkpoint.put_weights(model, {name: tensor for name, tensor in weights.items() if name != "wpe.weight"})
    with pytest.raises(CourseError, match="has surprise"):
        checkpoint.put_weights(model, weights | {"surprise": torch.zeros(1)})
    with pytest.raises(CourseError, match=r"wpe.weight has shape \(8, 8\), the model needs \(16, 8\)"):
        checkpoint.put_weights(model, weights | {"wpe.weight": torch.zeros(8, 8)})


def test_an_interrupted_write_leaves_the_old_model(tmp_path, tokenizer, monkeypatch):
    old = tiny(tokenizer)
    checkpoint.save_model(tmp_path, old, tokenizer)
    new = tiny(tokenizer, n_layer=1)

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("helpers.files.os.replace", fail)
    with pytest.raises(OSError):
        checkpoint.save_model(tmp_path, new, tokenizer)
    monkeypatch.undo()
    assert checkpoint.load_model(tmp_path)[0].config == old.config
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


# ---------------------------------------------------------------------- checkpoints of a run


def save(folder, step, **more):
    return checkpoint.save_checkpoint(folder, {"step": step, "weights": torch.full((50,), float(step)), **more})


def names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
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
    loaded, notes = checkpoint.load_checkpoint(tmp_path)
    assert notes == []
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
    checkpoint.save_checkpoint(tmp_path, {"step": 0, "random": checkpoint.random_state()})
    first = random.random(), np.random.rand(), torch.rand(1)
    state, _ = checkpoint.load_checkpoint(tmp_path)
    checkpoint.set_random_state(state["random"])
    assert (random.random(), np.random.rand(), torch.rand(1)) == first


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


def test_a_damaged_checkpoint_is_put_aside_and_the_one_before_is_taken(tmp_path):
    save(tmp_path, 100)
    path = save(tmp_path, 200)
    path.write_bytes(path.read_bytes()[:-7])
    state, notes = checkpoint.load_checkpoint(tmp_path)
    assert state["step"] == 100 and "step-00000200" in notes[0] and "going on from step-00000100" in notes[0]
    assert names(tmp_path) == ["step-00000100.safetensors", "step-00000200.damaged"]
    (tmp_path / "checkpoints" / "step-00000100.safetensors").write_bytes(b"")
    with pytest.raises(CourseError, match="none in .* is whole"):
        checkpoint.load_checkpoint(tmp_path)


def test_no_damage_passes_for_a_checkpoint(tmp_path):
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


def test_another_format_is_refused_and_another_torch_is_noted(tmp_path, monkeypatch):
    now = checkpoint.versions()
    monkeypatch.setattr(checkpoint, "versions", lambda: now | {"torch": "1.0"})
    save(tmp_path, 1)
    monkeypatch.setattr(checkpoint, "versions", lambda: now)
    (note,) = checkpoint.load_checkpoint(tmp_path)[1]
    assert "saved with torch 1.0" in note and "last digits" in note
    monkeypatch.setattr(checkpoint, "versions", lambda: now | {"format": 99})
    save(tmp_path, 2)
    with pytest.raises(CourseError, match="format 99, this version of the course reads"):
        checkpoint.load_checkpoint(tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
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
    state, notes = checkpoint.load_checkpoint(tmp_path)
    assert state["step"] == 200 and notes == []
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


@pytest.mark.parametrize("size", ["n_layer", "d_model", "vocab_size", "context_length", "d_ff"])
@pytest.mark.parametrize("value", [10**9, 3_000_000])
def test_a_config_that_asks_for_far_more_than_the_file_has_is_refused(tmp_path, tokenizer, size, value):
    """Both copies of the shape say so: without a look at the file's own tensors such a model would be built first."""
    folder = checkpoint.save_model(tmp_path / "model", tiny(tokenizer), tokenizer)
    weights, metadata = model_files.read_safetensors(folder / "model.safetensors")
    content = files.read_json(folder / "config.json")
    content["model"][size] = value * content["model"]["n_head"] if size == "d_model" else value
    metadata["config"] = json.dumps(content["model"])
    files.write_json(folder / "config.json", content)
    model_files.write_safetensors(folder / "model.safetensors", weights, metadata)
    with pytest.raises(CourseError, match="from 1 to 10,000,000|layers|has shape"):
        checkpoint.load_model(folder)
