"""Built in notebook 12: the files of a model that `transformers` saved, in a folder or on the Hugging Face Hub.

Weights are read from safetensors, one tensor at a time. A pickle is never opened: it can run any program.

Used by `helpers.pretrained` and `course.export`.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from helpers.errors import CourseError, first_line
from helpers.files import read_json, regular, write_atomically
from helpers.hub import hub_address, impatient, require_hub

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack")


class FolderFiles:
    """The files of a folder."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def here(self, name: str) -> Path | None:
        """Where a file is, or None if it is not on this machine."""
        path = self.folder / name
        return path if path.is_file() else None

    path = here

    def exists(self, name: str) -> bool:
        return self.here(name) is not None


class HubFiles:
    """The files of a repository on the Hub, kept in its cache; what is there is not asked for again."""

    def __init__(self, repository: str):
        self.repository = repository

    def here(self, name: str) -> Path | None:
        """Where the cache has a file, or None."""
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(self.repository, name)
        return Path(cached) if isinstance(cached, str) else None

    def path(self, name: str) -> Path | None:
        """Where a file is, fetched if need be; None if the repository has no such file.

        Raises:
            CourseError: the file is not here, and the Hub does not answer, does not know the repository, or breaks
                off.
        """
        from huggingface_hub import hf_hub_download

        here = self.here(name)
        return here or self._ask(name, lambda: Path(hf_hub_download(self.repository, name)))

    def exists(self, name: str) -> bool:
        """Whether the repository has a file, without fetching it."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(self.repository, name)
        return self.here(name) is not None or self._ask(name, lambda: get_hf_file_metadata(url)) is not None

    def _ask(self, name: str, question: Callable):
        """What the Hub answers, or None if it has no such file."""
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

        wanted = f"{name} of {self.repository}"
        # Asked for this very file: the library would try for a minute before it said that it cannot be had.
        path = f"/{self.repository}/resolve/main/{name}"
        require_hub(wanted, "give a folder that is here, or try again where the Hub answers", path)
        try:
            with impatient():
                return question()
        except RepositoryNotFoundError as error:
            raise CourseError(f"{hub_address()} shows no model {self.repository} to you") from error
        except EntryNotFoundError as error:
            if not isinstance(error, LocalEntryNotFoundError):
                return None
            raise CourseError(f"{wanted} could not be fetched ({first_line(error)}): try again") from error
        except Exception as error:  # a download may break in many ways; each is said in one line
            raise CourseError(f"{wanted} could not be fetched ({first_line(error)}): try again") from error


def open_weights(
    files: FolderFiles | HubFiles, source: str
) -> tuple[dict[str, tuple[int, ...]], Callable[[str], Tensor]]:
    """The names and shapes of a model's tensors, and a function that reads the tensor of a name.

    Args:
        source: what messages call the model.

    Raises:
        CourseError: there are no weights in safetensors, or a file is missing or damaged.
    """
    where: dict[str, Path] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for part in _parts(files, source):
        path = files.path(part)
        if path is None:
            raise CourseError(f"{source} lacks {part}, which its {INDEX} names")
        with _opened(path) as file:
            for name in file.keys():
                if name in where:
                    raise CourseError(f"{source} has {name} in two of its files")
                where[name], shapes[name] = path, tuple(file.get_slice(name).get_shape())

    def read(name: str) -> Tensor:
        # Opened anew for each tensor: a file that stays open keeps all that was read of it in memory.
        with _opened(where[name]) as file:
            return file.get_tensor(name)

    return shapes, read


def _opened(path: Path):
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CourseError(
            f"{path} is damaged or not a safetensors file ({error}): delete it and fetch it again"
        ) from error


def _parts(files: FolderFiles | HubFiles, source: str) -> list[str]:
    """The names of the files that hold the weights: one, or the parts that an index lists."""
    parts_are_here = files.here(INDEX) is not None and files.here(WEIGHTS) is None
    if not parts_are_here and files.path(WEIGHTS) is not None:
        return [WEIGHTS]
    index = files.path(INDEX)
    if index is None:
        pickle = next((name for name in PICKLES if files.exists(name)), None)
        if pickle is None:
            raise CourseError(f"{source} has no weights: there is no {WEIGHTS}")
        raise CourseError(
            f"{source} has its weights only as {pickle}, and nothing is unpickled here, because a pickle can run any "
            f"program: have transformers save the model as {WEIGHTS}"
        )
    content = read_json(index)
    parts = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(parts, dict) or not parts or not all(_is_beside(part) for part in parts.values()):
        raise CourseError(f"{source}: its {INDEX} does not say which file holds which tensor")
    return sorted(set(parts.values()))


def _is_beside(name) -> bool:
    """Whether `name` is that of a file beside the index, and not a way out of its folder."""
    return isinstance(name, str) and re.fullmatch(r"[\w.-]+\.safetensors", name) is not None


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and texts as one file: whole or not at all."""
    from safetensors.torch import save

    data = memoryview(save(tensors, {"format": "pt"} | metadata))  # as other readers expect to find it
    end = 8 + int.from_bytes(data[:8], "little")
    head = json.loads(bytes(data[8:end]))
    head["__metadata__"] = dict(sorted(head["__metadata__"].items()))  # written in any order: equal runs, equal files
    head = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    head += b" " * (-len(head) % 8)
    write_atomically(path, [len(head).to_bytes(8, "little"), head, data[end:]])


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and texts of a file.

    Raises:
        CourseError: it is damaged, or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    path = regular(path)
    if path.exists() and not os.access(path, os.R_OK):  # safetensors would say that it is not there
        raise CourseError(f"{path} cannot be read (permission denied): let yourself read it (chmod u+r)")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise CourseError(f"{path} is damaged or not a safetensors file ({error}): copy it again") from error


class shapes_only(TorchFunctionMode):  # noqa: N801  used as `with shapes_only():`
    """Inside, tensors have shapes, and neither memory nor values: a model is built in no time, to be compared.

    Random values would make torch's "meta" device load the compiler first, which takes seconds.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        with torch.device("meta"):
            return function(*args, **kwargs)


def check_layers(names: Iterable[str], n_layer: int, source) -> None:
    """Refuse far more layers than the tensors' names have, before a model of so many is built to be compared."""
    found = {number[1] for name in names if (number := re.search(r"(?:^|\.)(?:blocks|h)\.(\d+)\.", name))}
    if n_layer > 2 * len(found) + 10:
        raise CourseError(f"{source} has weights for {len(found)} layers, and its {CONFIG} asks for {n_layer:,}")


def digest(tensors: dict[str, Tensor], text: str = "") -> str:
    """SHA-256 of names, types, shapes and bytes, in the order of the names."""
    total = hashlib.sha256(text.encode("utf-8"))
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()
