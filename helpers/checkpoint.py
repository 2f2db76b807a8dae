"""Saving and loading a model as a folder. (A run's whole state is `helpers.checkpoint`.)

A model's folder holds `model.safetensors` (weights), `config.json` (shape, and what is known of its training)
and `tokenizer.json`. The head of the safetensors file repeats the shape and holds checksums of the weights
and of the tokenizer, so files that do not belong together, or were cut short, are refused rather than loaded.

Nothing is pickled: a pickle can run any program when it is opened, safetensors and JSON cannot.

A run's whole state as one file, from which it goes on exactly: the newest few are kept, and whole ones only.

`RUN/checkpoints/step-00000400.safetensors` holds the tensors; everything that is no tensor stands as JSON in its
head, with a checksum of it all. A file gets its name when it is whole, and an older one goes only after that: killed
at any moment, a run finds a state to go on from. Nothing is pickled.
"""

import dataclasses
import errno
import hashlib
import json
import random
from pathlib import Path

import numpy as np
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

    A GPT-2 in the layout of `transformers` (`helpers.export.export` writes it) is read too.

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


FOLDER = "checkpoints"
FORMAT = 2  # of the files; another is refused
KEEP = 2  # so many of the newest are kept


def save_state(folder: str | Path, state: dict, keep: int = KEEP) -> Path:
    """Write everything a run needs to go on as if it had never stopped; then remove all but the newest `keep`.

    Where the disk is full, all but the newest of the older ones make room and it is tried once more.

    Args:
        state: nested dicts, lists and tuples of tensors, NumPy arrays, numbers, strings, booleans and None, such as
            `{"step": 100, "model": model.state_dict(), "optimizers": [...], "random": ...}`. "step" names the file.

    Raises:
        CourseError: it cannot be written; the message says which state is still there.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_pack(state | {"versions": versions()}, "state", tensors))
    metadata = {"format": "pt", "state": structure, "sha256": digest(tensors, structure)}
    path = Path(folder) / FOLDER / f"step-{state['step']:08d}.safetensors"
    try:
        try:
            write_safetensors(path, tensors, metadata)
        except OSError as error:
            if error.errno != errno.ENOSPC or not prune(folder, 1):
                raise
            write_safetensors(path, tensors, metadata)
    except OSError as error:
        there = [each for each in saved_states(folder) if each != path]
        kept = f"; {there[0]} is still there: make room, then resume" if there else ""
        said = f"the state of step {state['step']:,} cannot be written to {path.parent}: {error.strerror or error}"
        raise CourseError(said + kept) from error
    prune(folder, keep)
    return path


def load_state(folder: str | Path) -> tuple[dict, list[str]]:
    """The newest whole state of a run, every bit of it.

    Returns:
        What `save_state` was given, and what a person should be told: which newer states are damaged and were put
        aside (as `.damaged`), and that another version of torch was used.

    Raises:
        CourseError: the run has no state, no whole one, or one of another version of the course.
    """
    folder, told = Path(folder), []
    paths = saved_states(folder)
    if not paths:
        finished = f": the run is finished, as far as {WEIGHTS} tells" if (folder / WEIGHTS).is_file() else ""
        raise CourseError(f"there is nothing to resume in {folder}: it has no {FOLDER}{finished}")
    damaged = []
    for path in paths:
        try:
            state = _read(path)
            break
        except CourseError as error:
            damaged.append((path, error))
    else:
        raise CourseError(f"no state in {folder / FOLDER} is whole ({damaged[0][1]}): start again with --overwrite")
    if state["versions"]["format"] != FORMAT:
        raise CourseError(
            f"{path} has format {state['versions']['format']}, this version of the course reads {FORMAT}: "
            "go on with the version that began the run, or start again"
        )
    for broken, error in damaged:
        broken.replace(broken.with_suffix(".damaged"))  # so that it is not counted among the newest
        told.append(f"{error}; going on from {path.name} instead")
    for name, now in versions().items():
        if (then := state["versions"].get(name)) != now:
            told.append(f"saved with {name} {then}, going on with {now}: the last digits may differ")
    return state, told


def refuse_another(state: dict, run: str, config: dict, settings: dict, processes: int) -> None:
    """Refuse, as `run`, to go on with another model, other settings or another number of processes."""
    for ours, theirs in ((config, state["config"]), (settings, state["settings"])):
        for key in [*ours, *(theirs.keys() - ours.keys())]:
            if ours.get(key) != theirs.get(key):
                raise CourseError(f"{run} has another {key}: {theirs.get(key)!r} there, {ours.get(key)!r} here")
    if state["processes"] != processes:
        raise CourseError(f"{run} has {state['processes']} process(es), this has {processes}: batches would differ")


def saved_states(folder: str | Path) -> list[Path]:
    """The files of a run's states, the newest first."""
    return sorted((Path(folder) / FOLDER).glob("step-*.safetensors"), reverse=True)


def prune(folder: str | Path, keep: int) -> int:
    """Remove all states but the newest `keep`, and what writes that were killed left behind; how many files went."""
    gone = 0
    for path in [*saved_states(folder)[keep:], *Path(folder).glob("**/.*.part")]:
        try:
            path.unlink()
            gone += 1
        except OSError:
            continue  # in use or gone already: the next time will do
    return gone


def remove_states(folder: str | Path) -> None:
    """Remove all of a run's states: when it is finished, or to make room for another."""
    place = Path(folder) / FOLDER
    prune(folder, 0)
    for path in place.glob("step-*.damaged"):
        path.unlink(missing_ok=True)
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()


def versions() -> dict:
    """What must, and what should be the same when a run goes on."""
    return {"format": FORMAT, "torch": torch.__version__, "numpy": np.__version__}


def _read(path: Path) -> dict:
    tensors, metadata = read_safetensors(path)
    if "state" not in metadata or metadata.get("sha256") != digest(tensors, metadata["state"]):
        raise CourseError(f"{path} is damaged (its checksum is wrong)")
    return _unpack(json.loads(metadata["state"]), tensors)


def random_state() -> dict:
    """The state of every generator a training step may draw from."""
    state = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict) -> None:
    """Put back what `random_state` gave."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def torch_random_state(device: str | torch.device = "cpu") -> Tensor:
    """The state of torch's generators alone, (bytes,) uint8: the processor's, then the device's if it is a GPU."""
    found = [torch.get_rng_state()]
    if torch.device(device).type == "cuda":
        found.append(torch.cuda.get_rng_state(device))
    return torch.cat(found)


def set_torch_random_state(state: Tensor, device: str | torch.device = "cpu") -> None:
    """Put back what `torch_random_state` gave."""
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size])
    if len(state) > size:
        torch.cuda.set_rng_state(state[size:], device)


def _pack(value, name: str, tensors: dict[str, Tensor]):
    """`value` as JSON, its tensors put aside under names; what JSON lacks is written as {"$kind": ...}."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous()
        return {"$tensor": name}
    if isinstance(value, np.ndarray):
        tensors[name] = torch.from_numpy(np.array(value, order="C"))
        return {"$array": name}
    if isinstance(value, dict):  # as pairs: JSON would turn the integer keys of an optimiser into strings
        return {"$dict": [[_pack(k, name, tensors), _pack(v, f"{name}.{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        packed = [_pack(each, f"{name}.{i}", tensors) for i, each in enumerate(value)]
        return packed if isinstance(value, list) else {"$tuple": packed}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which a training state cannot hold")


def _unpack(value, tensors: dict[str, Tensor]):
    if isinstance(value, list):
        return [_unpack(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    (kind, content), *_ = value.items()
    if kind == "$tensor":
        return tensors[content].clone()  # not a view of the file, which may be deleted
    if kind == "$array":
        return tensors[content].clone().numpy()
    if kind == "$tuple":
        return tuple(_unpack(each, tensors) for each in content)
    return {_unpack(k, tensors): _unpack(v, tensors) for k, v in content}
