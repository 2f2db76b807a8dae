"""Built beside the notebooks: where files lie, and how they are written: whole or not at all.

Used by all of `helpers` and `course`.
"""

import hashlib
import json
import os
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
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise CourseError(
            f"{folder} cannot be written, and that is where results go: name a folder that can, by "
            'import os; os.environ["COURSE_RUNS"] = "FOLDER" in a cell above this one'
        )
    return folder


def write_atomically(path: str | Path, content: str | bytes) -> Path:
    """Write `content` so that a reader, or a crash, sees the old file or the new one and never half of it.

    The bytes go to a temporary file in the same folder, are flushed to the disk and then renamed over `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
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


def read_json(path: str | Path):
    """The value in a JSON file.

    Raises:
        CourseError: the file is missing or is not JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CourseError(f"there is no file {path}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} is not valid JSON ({error}); it may be damaged: make it again") from error


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
