"""Saving and loading: what was saved comes back, and what is damaged or does not fit is refused with a
reason.
"""

import json

import pytest
import torch

from helpers import checkpoint
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
