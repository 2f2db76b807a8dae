"""Built in notebook 07: models saved and loaded as folders, and checkpoints from which a run goes on exactly.

A model's folder holds `model.safetensors` (weights), `config.json` (shape, and what is known of its training) and
`tokenizer.json`. The head of the safetensors file repeats the shape and holds checksums of weights and tokenizer, so
files that do not belong together, or were cut short, are refused rather than loaded.

A checkpoint, `RUN/checkpoints/step-00000400.safetensors`, holds everything that decides what a run does next: the
tensors, and in the file's head as JSON whatever is no tensor. It gets its name when it is whole, and an older one goes
only after that: killed at any moment, a run finds a checkpoint to go on from.

Nothing is pickled: a pickle can run any program when it is opened, safetensors and JSON cannot.
Used by `helpers.training` and `course.runs`, and wherever a model is loaded.
"""

import dataclasses
import errno
import json
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from helpers.errors import CourseError, some_of
from helpers.files import parse_json, read_json, regular, write_json
from helpers.model import GPT, GPTConfig
from helpers.model_files import CONFIG, WEIGHTS, check_layers, digest, read_safetensors, shapes_only, write_safetensors
from helpers.modern import config_of, model_of
from helpers.pretrained import load_pretrained
from helpers.tokenizer import Tokenizer, load_tokenizer

TOKENIZER = "tokenizer.json"
STORED = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
FOLDER = "checkpoints"  # inside a run's
FORMAT = 4  # of a checkpoint; another is refused
KEEP = 2  # so many of the newest are kept


def save_model(
    folder: str | Path, model: GPT, tokenizer: Tokenizer, extra: dict | None = None, dtype: str = "float32"
) -> Path:
    """Write a model's folder; an interrupted write leaves what was there before.

    Args:
        folder: made if it is missing.
        extra: anything JSON can hold, kept under "training" in config.json: the recipe, its settings, its score.
        dtype: how weights are stored: "float32", or "float16" / "bfloat16" at half the size. They load as float32.
    """
    if dtype not in STORED:
        raise CourseError(f"weights can be stored as {', '.join(STORED)}, not {dtype!r}")
    folder = Path(folder)
    weights = {name: tensor.detach().to("cpu", STORED[dtype]).contiguous() for name, tensor in _learned(model).items()}
    if dtype == "float16" and not all(tensor.isfinite().all() for tensor in weights.values()):
        raise CourseError("a weight is too large for float16: store the model as float32 or bfloat16")
    config = dataclasses.asdict(model.config)
    tokenizer.save(folder / TOKENIZER)
    metadata = {"config": json.dumps(config), "sha256": digest(weights), "tokenizer": tokenizer.fingerprint}
    write_safetensors(folder / WEIGHTS, weights, metadata)
    about = {"parameters": model.parameter_count(), "stored_as": dtype, "tokenizer": tokenizer.fingerprint}
    write_json(folder / CONFIG, {"model": config, **about, "training": extra or {}})
    return folder


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> tuple[GPT, Tokenizer]:
    """The model of a folder, in float32 and evaluation mode, and its tokenizer.

    A GPT-2 in the layout of `transformers` (`course.export.export` writes it) is read too.

    Raises:
        CourseError: a file is missing or damaged, or the files do not belong together; the message names the file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CourseError(f"there is no model folder {folder}: train one, or give the path of one")
    if missing := [name for name in (CONFIG, WEIGHTS, TOKENIZER) if not (folder / name).is_file()]:
        raise CourseError(f"{folder} is not a model's folder: it has no {' and no '.join(missing)}")
    content = read_json(folder / CONFIG, nan=True)
    if isinstance(content, dict) and "model_type" in content:  # transformers' layout: an export, or a GPT-2 of others
        return load_pretrained(folder, device=device), load_tokenizer(folder)
    config = model_config(folder)
    weights, metadata = read_safetensors(folder / WEIGHTS)
    known = parse_json(metadata.get("config", "{}"), folder / WEIGHTS, nan=True)  # older ones lack newer options
    if not isinstance(known, dict) or any(dataclasses.asdict(config).get(key, ...) != known[key] for key in known):
        raise CourseError(f"{folder / CONFIG} describes another model than the one in {folder / WEIGHTS}")
    if metadata.get("sha256", digest(weights)) != digest(weights):
        raise CourseError(f"{folder / WEIGHTS} is damaged (its checksum is wrong): copy or download it again")
    tokenizer = load_tokenizer(folder / TOKENIZER)
    if metadata.get("tokenizer", tokenizer.fingerprint) != tokenizer.fingerprint:
        raise CourseError(f"{folder / TOKENIZER} is not the tokenizer that the model in {folder} was trained with")
    check_layers(weights, config.n_layer, folder / WEIGHTS)
    with shapes_only():  # what does not fit is known before any memory is taken
        compare_shapes(model_of(config), weights, folder / WEIGHTS)
    with torch.random.fork_rng(devices=[]):  # its initialization must not disturb anybody's seed
        model = model_of(config)
    put_weights(model, weights, folder / WEIGHTS)
    return model.to(device).eval(), tokenizer


def model_config(folder: str | Path) -> GPTConfig:
    """The shape of the model in a folder."""
    path = Path(folder) / CONFIG
    try:
        return config_of(read_json(path, nan=True)["model"])
    except (KeyError, TypeError) as error:
        raise CourseError(f'{path} does not describe a model of this course ("model": {{...}}): {error}') from error


def put_weights(model: nn.Module, weights: dict[str, Tensor], source: str | Path = "the weights") -> None:
    """Copy `weights` into `model`; every parameter must be there, with its shape, and nothing else."""
    parameters = compare_shapes(model, weights, source)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def compare_shapes(model: nn.Module, weights: dict[str, Tensor], source: str | Path) -> dict[str, Tensor]:
    """The model's parameters by name, if `weights` has just these; a CourseError that names `source` if not."""
    parameters = _learned(model)
    missing, extra = sorted(parameters.keys() - weights.keys()), sorted(weights.keys() - parameters.keys())
    if missing:
        raise CourseError(f"{source} lacks {some_of(missing)}: it was made for another model than its config.json")
    if extra:
        raise CourseError(f"{source} has {some_of(extra)}, which the model of config.json does not have")
    for name, parameter in parameters.items():
        if (shape := weights[name].shape) != parameter.shape:
            raise CourseError(f"{source}: {name} has shape {tuple(shape)}, the model needs {tuple(parameter.shape)}")
    return parameters


def _learned(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter once, by name (a tied head is the embedding), and the buffers that must be kept."""
    named = dict([*model.named_parameters(), *model.named_buffers()])  # gives shared parameters once
    return {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if name in named}


# ---------------------------------------------------------------------- checkpoints


def save_checkpoint(folder: str | Path, state: dict, keep: int = KEEP) -> Path:
    """Write everything a run needs to go on as if it had never stopped; then remove all but the newest `keep`.

    Where the disk is full, all but the newest of the older ones make room and it is tried once more.

    Args:
        state: nested dicts, lists and tuples of tensors, NumPy arrays, numbers, strings, booleans and None, such as
            `{"step": 100, "model": {...}}`. "step" names the file.

    Raises:
        CourseError: it cannot be written; the message says which checkpoint is still there.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_pack(state | {"versions": versions()}, "state", tensors))
    metadata = {"state": structure, "sha256": digest(tensors, structure)}
    path = Path(folder) / FOLDER / f"step-{state['step']:08d}.safetensors"
    for there in path.parent.glob("step-*.safetensors"):
        regular(there, "remove it")  # told of at the first step, not when its own has come
    try:
        try:
            write_safetensors(path, tensors, metadata)
        except OSError as error:
            if error.errno != errno.ENOSPC or not prune(folder, 1):
                raise
            write_safetensors(path, tensors, metadata)
    except OSError as error:
        there = [each for each in saved_checkpoints(folder) if each != path]
        kept = f"; {there[0]} is still there: make room, then resume" if there else ""
        said = f"the checkpoint of step {state['step']:,} cannot be written to {path.parent}: {error.strerror or error}"
        raise CourseError(said + kept) from error
    prune(folder, keep)
    return path


def load_checkpoint(folder: str | Path) -> tuple[dict, list[str]]:
    """The newest whole checkpoint of a run, every bit of it.

    Returns:
        What `save_checkpoint` was given, and notes for a person: of damaged ones, put aside, and of another torch.

    Raises:
        CourseError: the run has no checkpoint, no whole one, or one of another version of the course.
    """
    folder, notes, damaged = Path(folder), [], []
    paths = saved_checkpoints(folder)
    if not paths:
        finished = f": the run is finished, as far as {WEIGHTS} tells" if (folder / WEIGHTS).is_file() else ""
        raise CourseError(f"there is nothing to resume in {folder}: it has no {FOLDER}{finished}")
    for path in paths:
        try:
            state = _read(path)
            break
        except CourseError as error:
            damaged.append((path, error))
    else:
        raise CourseError(f"none in {folder / FOLDER} is whole ({damaged[0][1]}): start again with --overwrite")
    if (its := state["versions"].get("format")) != FORMAT:
        hint = "go on with the version that began the run, or start again"
        raise CourseError(f"{path} has format {its}, this version of the course reads {FORMAT}: {hint}")
    for broken, error in damaged:
        broken.replace(broken.with_suffix(".damaged"))  # so that it is not counted among the newest
        notes.append(f"{error}; going on from {path.name} instead")
    for name, now in versions().items():
        if (then := state["versions"].get(name)) != now:
            notes.append(f"saved with {name} {then}, going on with {now}: the last digits may differ")
    return state, notes


def saved_checkpoints(folder: str | Path) -> list[Path]:
    """The files of a run's checkpoints, the newest first."""
    return sorted(filter(Path.is_file, (Path(folder) / FOLDER).glob("step-*.safetensors")), reverse=True)


def prune(folder: str | Path, keep: int) -> int:
    """Remove all checkpoints but the newest `keep`, and what killed writes left behind; how many files went."""
    gone = 0
    for path in [*saved_checkpoints(folder)[keep:], *Path(folder).glob("**/.*.part")]:
        with suppress(OSError):  # in use or gone already: the next time will do
            path.unlink()
            gone += 1
    return gone


def remove_checkpoints(folder: str | Path) -> None:
    """Remove all of a run's checkpoints: when it is finished, or to make room for another."""
    prune(folder, 0)
    for path in (Path(folder) / FOLDER).glob("step-*.damaged"):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # it holds something else, or is not there
        (Path(folder) / FOLDER).rmdir()


def versions() -> dict:
    """What must be the same when a run goes on, the format, and what should be, because it decides the rounding."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    here = {"torch": torch.__version__, "numpy": np.__version__, "gpu": gpu, "threads": torch.get_num_threads()}
    return here | {"format": FORMAT, "cpu": torch.backends.cpu.get_cpu_capability()}  # written down, no more


def _read(path: Path) -> dict:
    tensors, metadata = read_safetensors(path)
    if "state" not in metadata or metadata.get("sha256") != digest(tensors, metadata["state"]):
        raise CourseError(f"{path} is damaged (its checksum is wrong)")
    try:
        state = _unpack(parse_json(metadata["state"], path, nan=True), tensors)
        return state | {"step": int(state["step"]), "versions": dict(state["versions"])}
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise CourseError(f"{path} holds something else than a checkpoint ({error!r:.100})") from error


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


def _pack(value, name: str, tensors: dict[str, Tensor]):
    """`value` as JSON, its tensors put aside under names; what JSON lacks is written as {"$kind": ...}."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous()
        return {"$tensor": name}
    if isinstance(value, np.ndarray):
        tensors[name] = torch.from_numpy(np.array(value, order="C"))
        return {"$array": name}
    if isinstance(value, dict):  # as pairs: JSON would turn the integer keys of an optimizer into strings
        return {"$dict": [[_pack(k, name, tensors), _pack(v, f"{name}.{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        packed = [_pack(each, f"{name}.{i}", tensors) for i, each in enumerate(value)]
        return packed if isinstance(value, list) else {"$tuple": packed}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold")


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
