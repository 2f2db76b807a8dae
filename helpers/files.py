"""Built beside the notebooks: where files lie, and how they are written: whole or not at all.

Used by all of `helpers` and `course`.
"""

import hashlib
import json
import math
import os
import re
import tempfile
from pathlib import Path

from helpers.errors import CourseError


def repository_root() -> Path:
    """The folder that holds `helpers`, `data` and `notebooks`."""
    return Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """What is shipped with the course; never written to by a notebook."""
    return repository_root() / "data"


def runs_folder() -> Path:
    """Where notebooks and commands write. `COURSE_RUNS` names another folder; it is made when first asked for.

    Raises:
        CourseError: it cannot be made, or nothing can be written to it.
    """
    folder = Path(os.environ.get("COURSE_RUNS") or repository_root() / "runs")
    try:
        folder_to_be(folder).mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except (OSError, CourseError):
        writable = False
    if not writable:
        raise CourseError(
            f"{folder} cannot be written, and that is where results go: name a folder that can, by "
            'import os; os.environ["COURSE_RUNS"] = "FOLDER" in a cell above this one'
        )
    return folder


def regular(path: str | Path, instead: str = "put a file there") -> Path:
    """`path`, if a file or nothing is there; else a CourseError that says what to do `instead`.

    A pipe or a device is never opened, because it may have no end.
    """
    path = Path(path)
    if _among_devices(path) or (path.exists() and not path.is_file()):
        what = "a folder" if path.is_dir() else "a pipe or a device"
        raise CourseError(f"{path} is {what}, not a file: {instead}")
    return path


def folder_to_be(path: str | Path) -> Path:
    """`path`, if a folder is there or can be made, which is not done; a CourseError below a file or among devices."""
    path = Path(path)
    there = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if not there.is_dir():
        raise CourseError(f"{there} is a file: give a folder")
    if _among_devices(path):
        raise CourseError(f"{path} lies among the devices: give a folder elsewhere")
    return path


def _among_devices(path: Path) -> bool:
    parts = path.absolute().parts
    return parts[:2] == ("/", "dev") and parts[2:3] != ("shm",)  # which is memory, and holds files


def write_atomically(path: str | Path, content: str | bytes | list) -> Path:
    """Write `content`, or its pieces, so that a reader, or a crash, sees the old file or the new one and no half of it.

    The bytes go to a temporary file in the same folder, are flushed to the disk and then renamed over `path`.

    Raises:
        CourseError: a folder, a pipe or a device is in the way.
    """
    path = regular(path, "it is not replaced: name a file")
    folder_to_be(path.parent).mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(data if isinstance(data, list) else [data])
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner may read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def write_json(path: str | Path, value) -> Path:
    """Write `value` as readable JSON, atomically."""
    return write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def rounded(value, digits: int):
    """What JSON can hold, its floats with so many significant digits: for records that are kept and compared."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    return [rounded(item, digits) for item in value] if isinstance(value, list | tuple) else value


def read_json(path: str | Path, nan: bool = False):
    """The value in a JSON file; `nan` as in `parse_json`.

    Raises:
        CourseError: the file is missing or is not JSON.
    """
    path = regular(path)
    try:
        return parse_json(path.read_bytes(), path, nan)
    except FileNotFoundError as error:
        raise CourseError(f"there is no file {path}") from error
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror or error}") from error


def parse_json(text: str | bytes, what: str | Path, nan: bool = False, instead: str | None = None):
    """The value of a JSON text; a CourseError where it is none, is it for Python alone, or is too much for Python.

    Args:
        what: its name in messages: a file, and perhaps the line.
        nan: NaN and the infinities, which Python writes, are numbers here.
        instead: what a person can do about it.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        value = json.loads(text) if nan else json.loads(text, parse_constant=_finite, parse_float=_finite)
        if re.search(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]", text):  # half a character, or one written as a pair
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except UnicodeDecodeError as error:
        why = f"byte 0x{error.object[error.start]:02x} at {error.start} is not UTF-8"
    except UnicodeEncodeError:
        why = "it holds half a character, a lone surrogate"
    except RecursionError:
        why = "brackets stand in brackets too deep"
    except ValueError as error:
        why = str(error).split("; use sys.")[0]  # advice for programmers
    raise CourseError(f"{what} is not valid JSON ({why}): {instead or 'it may be damaged: make it again'}")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text:.20} is not a number that JSON has")
    return value


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
