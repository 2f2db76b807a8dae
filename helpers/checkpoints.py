"""Saving and loading a model as a folder. (A run's whole state is `helpers.states`.)

A model's folder holds `model.safetensors` (weights), `config.json` (shape, and what is known of its training)
and `tokenizer.json`. The head of the safetensors file repeats the shape and holds checksums of the weights
and of the tokenizer, so files that do not belong together, or were cut short, are refused rather than loaded.

Nothing is pickled: a pickle can run any program when it is opened, safetensors and JSON cannot.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers.errors import CourseError
from helpers.files import read_json, write_atomically, write_json
from helpers.model import GPT, GPTConfig
from helpers.pretrained import load_pretrained
from helpers.tokenizer import Tokenizer, load_tokenizer

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
STORED = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def save_model(
    folder: str | Path, model: GPT, tokenizer: Tokenizer, extra: dict | None = None, dtype: str = "float32"
) -> Path:
    """Write a model's folder; an interrupted write leaves what was there before.

    Args:
        folder: made if it is missing.
        extra: anything JSON can hold, kept under "training" in config.json: the recipe, its settings, its
            score.
        dtype: how weights are stored: "float32", or "float16" / "bfloat16" at half the size. They load as
            float32.
    """
    if dtype not in STORED:
        raise CourseError(f"weights can be stored as {', '.join(STORED)}, not {dtype!r}")
    folder = Path(folder)
    weights = {name: tensor.detach().to("cpu", STORED[dtype]).contiguous() for name, tensor in _learned(model).items()}
    if dtype == "float16" and not all(tensor.isfinite().all() for tensor in weights.values()):
        raise CourseError("a weight is too large for float16: store the model as float32 or bfloat16")
    config = dataclasses.asdict(model.config)
    tokenizer.save(folder / TOKENIZER)
    metadata = {
        "format": "pt",  # what other readers of safetensors expect to find
        "config": json.dumps(config),
        "sha256": digest(weights),
        "tokenizer": tokenizer.fingerprint,
    }
    write_safetensors(folder / WEIGHTS, weights, metadata)
    about = {"parameters": model.parameter_count(), "stored_as": dtype, "tokenizer": tokenizer.fingerprint}
    write_json(folder / CONFIG, {"model": config, **about, "training": extra or {}})
    return folder


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> tuple[GPT, Tokenizer]:
    """The model of a folder, in float32 and evaluation mode, and its tokenizer.

    A GPT-2 in the layout of `transformers` (`helpers.exports.export` writes it) is read too.

    Raises:
        CourseError: a file is missing or damaged, or the files do not belong together; the message names the
            file.
    """
    folder = Path(folder)
    _check_folder(folder)
    content = read_json(folder / CONFIG)
    if isinstance(content, dict) and "model_type" in content:  # transformers' layout: an export, or a GPT-2 of others
        return load_pretrained(folder, device=device), load_tokenizer(folder)
    config = model_config(folder)
    weights, metadata = read_safetensors(folder / WEIGHTS)
    # Compared as far as the file goes: one that was written before an option existed does not name it.
    if not json.loads(metadata.get("config", "{}")).items() <= dataclasses.asdict(config).items():
        raise CourseError(f"{folder / CONFIG} describes another model than the one in {folder / WEIGHTS}")
    if metadata.get("sha256", digest(weights)) != digest(weights):
        raise CourseError(f"{folder / WEIGHTS} is damaged (its checksum is wrong): copy or download it again")
    tokenizer = load_tokenizer(folder / TOKENIZER)
    if metadata.get("tokenizer", tokenizer.fingerprint) != tokenizer.fingerprint:
        raise CourseError(f"{folder / TOKENIZER} is not the tokenizer that the model in {folder} was trained with")
    with torch.random.fork_rng(devices=[]):  # its random first weights must not disturb anybody's seed
        model = GPT(config)
    put_weights(model, weights, folder / WEIGHTS)
    return model.to(device).eval(), tokenizer


def model_config(folder: str | Path) -> GPTConfig:
    """The shape of the model in a folder."""
    path = Path(folder) / CONFIG
    content = read_json(path)
    try:
        return GPTConfig(**content["model"])
    except (KeyError, TypeError) as error:
        raise CourseError(f'{path} does not describe a model of this course ("model": {{...}}): {error}') from error


def put_weights(model: nn.Module, weights: dict[str, Tensor], source: str | Path = "the weights") -> None:
    """Copy `weights` into `model`; every parameter must be there, with its shape, and nothing else."""
    parameters = _learned(model)
    missing, extra = sorted(parameters.keys() - weights.keys()), sorted(weights.keys() - parameters.keys())
    if missing:
        raise CourseError(f"{source} lacks {_some(missing)}: it was made for another model than config.json describes")
    if extra:
        raise CourseError(f"{source} has {_some(extra)}, which the model of config.json does not have")
    for name, parameter in parameters.items():
        if weights[name].shape != parameter.shape:
            raise CourseError(
                f"{source}: {name} has shape {tuple(weights[name].shape)}, the model needs {tuple(parameter.shape)}"
            )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def _learned(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter once, by name (a tied head is the embedding), and the buffers that must be kept."""
    kept = model.state_dict(keep_vars=True)
    named = dict(model.named_parameters())  # gives shared parameters once
    buffers = {name for name, _ in model.named_buffers()}
    return {name: tensor for name, tensor in kept.items() if name in named or name in buffers}


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise CourseError(f"there is no model folder {folder}: train one, or give the path of one")
    missing = [name for name in (CONFIG, WEIGHTS, TOKENIZER) if not (folder / name).is_file()]
    if missing:
        raise CourseError(f"{folder} is not a model's folder: it has no {' and no '.join(missing)}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# ---------------------------------------------------------------------- files


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and texts as one file: whole or not at all."""
    from safetensors.torch import save

    write_atomically(path, save(tensors, metadata))


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and texts of a file.

    Raises:
        CourseError: it is damaged, or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise CourseError(f"{path} is damaged or not a safetensors file ({error}): copy it again") from error


def digest(tensors: dict[str, Tensor], text: str = "") -> str:
    """SHA-256 of names, types, shapes and bytes, in the order of the names."""
    total = hashlib.sha256(text.encode("utf-8"))
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()
