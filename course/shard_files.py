"""The checkpoints of a run whose model is divided among processes: every process writes its own shards.

Beside `RUN/checkpoints/step-00000400.safetensors`, an ordinary checkpoint without the divided tensors, stands a folder
`shards-00000400` with a safetensors file of each process (`torch.distributed.checkpoint` in its Hugging Face layout:
its own layout holds a pickle, which nothing here opens). The folder gets its name when all files are whole, and only
then is the ordinary file written, with their checksums: killed at any moment, a run finds a checkpoint to go on from.

Any number of processes goes on from it, with shards or without: each reads whole tensors, one process's memory of 12
bytes a parameter with AdamW, and keeps its part.

Used by `course.sharded`, `course.runs` and the command line (`python -m course train`).
"""

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from helpers.checkpoint import FOLDER, load_checkpoint
from helpers.errors import CourseError

WRONG = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError, OSError)


def save_shards(folder: str | Path, step: int, tensors: dict[str, Tensor], processes) -> dict[str, str]:
    """Write the divided tensors of a state, each process its shards; all call it. Returns each file's checksum.

    Args:
        folder: the run's.
        tensors: by name, as `divided_tensors` gives them; the same names in all processes.
        processes: the run's `course.distributed.Processes`.
    """
    import torch.distributed.checkpoint as dcp

    place = _place(folder, step)
    part = place.with_name(f".{place.name}.part")
    if processes.is_rank0:
        for old in (part, place):
            shutil.rmtree(old, ignore_errors=True)
        part.mkdir(parents=True)
    processes.barrier()
    try:
        dcp.save(tensors, storage_writer=dcp.HuggingFaceStorageWriter(str(part), save_distributed=True))
    except dcp.CheckpointException as error:  # in all processes, wherever it went wrong
        hint = "make room, or see that all processes may write there, then resume"
        said = f"the shards of step {step:,} cannot be written to {part.parent}"
        raise CourseError(f"{said} ({str(error).splitlines()[-1]:.100}): {hint}") from error
    processes.barrier()
    checksums = {}
    if processes.is_rank0:
        checksums = {path.name: _checksum(path) for path in sorted(part.glob("*.safetensors"))}
        part.rename(place)
    return checksums


def divided_tensors(state: dict) -> dict[str, Tensor]:
    """The tensors of a trainer's state that are divided among processes, by a name that says where they stand."""
    found = {f"model.{name}": value.detach() for name, value in state["model"].items()}
    for number, optimizer in enumerate(state["train_step"]["optimizers"]):
        for i, kept in optimizer["state"].items():
            found |= {f"optimizer.{number}.{i}.{name}": value for name, value in kept.items()}
    return {name: value for name, value in found.items() if hasattr(value, "full_tensor")}


def without_divided(state: dict) -> dict:
    """A trainer's state without the tensors that `divided_tensors` finds in it."""
    optimizers = [
        saved | {"state": {i: _undivided(kept) for i, kept in saved["state"].items()}}
        for saved in state["train_step"]["optimizers"]
    ]
    step = state["train_step"] | {"optimizers": optimizers}
    return state | {"model": _undivided(state["model"]), "train_step": step}


def load_run(folder: str | Path) -> tuple[dict, list[str]]:
    """What `helpers.checkpoint.load_checkpoint` gives, with the shards of its tensors put together.

    A checkpoint whose shards are missing or damaged is put aside, and the one before it taken.

    Raises:
        CourseError: there is none, or none that is whole.
    """
    notes = []
    while True:
        state, more = load_checkpoint(folder)
        notes += more
        if "shards" not in state:
            return state, notes
        place = _place(folder, state["step"])
        try:
            return _put_together(state, place), notes
        except WRONG as error:
            said = f"the shards in {place} are missing or damaged ({error!s:.100})"
        path = place.with_name(f"step-{state['step']:08d}.safetensors")
        with suppress(OSError):
            path.replace(path.with_suffix(".damaged"))
        if path.exists():
            raise CourseError(f"{said}, and {path} cannot be put aside: remove it, then resume")
        notes.append(f"{said}; going on from the checkpoint before it")


def remove_unused_shards(folder: str | Path) -> None:
    """Remove the folders of shards whose checkpoint is gone, and what a killed write left behind."""
    place = Path(folder) / FOLDER
    for shards in place.glob("shards-*"):
        if not place.joinpath(f"step-{shards.name.removeprefix('shards-')}.safetensors").exists():
            shutil.rmtree(shards, ignore_errors=True)
    for part in place.glob(".shards-*.part"):
        shutil.rmtree(part, ignore_errors=True)
    with suppress(OSError):  # it holds something, or is not there
        place.rmdir()


def _place(folder: str | Path, step: int) -> Path:
    return Path(folder) / FOLDER / f"shards-{step:08d}"


def _put_together(state: dict, place: Path) -> dict:
    """A state with the tensors of its shards where they stood."""
    import torch.distributed.checkpoint as dcp

    found = {path.name: _checksum(path) for path in place.glob("*.safetensors")}
    if found != state["shards"]:
        raise ValueError("their checksums are wrong")
    reader = dcp.HuggingFaceStorageReader(str(place))
    known = reader.read_metadata().state_dict_metadata
    tensors = {name: torch.empty(each.size, dtype=each.properties.dtype) for name, each in known.items()}
    try:  # without talking to other processes: they may be waiting until this one has done
        dcp.load(tensors, storage_reader=dcp.HuggingFaceStorageReader(str(place)), no_dist=True)
    except dcp.CheckpointException as error:
        raise ValueError(str(error)) from error
    for name, tensor in tensors.items():
        where, _, rest = name.partition(".")
        if where == "model":
            state["model"][rest] = tensor
        else:
            number, i, moment = rest.split(".")
            state["train_step"]["optimizers"][int(number)]["state"].setdefault(int(i), {})[moment] = tensor
    del state["shards"]
    return state


def _undivided(tensors: dict) -> dict:
    return {name: value for name, value in tensors.items() if not hasattr(value, "full_tensor")}


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
