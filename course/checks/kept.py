"""Answers that passed their check, kept as source in `runs/parts/`: a file for each, named after exercise and part.

They are written by the learner's own notebook and read by `course.mine`; nothing here runs them.
"""

from pathlib import Path

from course.checks.source import renamed
from helpers.errors import CourseError
from helpers.files import runs_folder, write_atomically


def folder() -> Path:
    return runs_folder() / "parts"


def path_of(number: str, part: str) -> Path:
    """Where the answer to an exercise is kept ("6.3", "Block")."""
    return folder() / f"{number}_{part}.py"


def keep(number: str, part: str, stub: str, source: str) -> Path:
    """Keep the source of an answer under the name of its part."""
    text = renamed(source, stub, part).strip("\n") + "\n"
    path = path_of(number, part)
    if not path.is_file() or path.read_bytes() != text.encode("utf-8"):
        write_atomically(path, text)
    return path


def kept(number: str, part: str) -> str | None:
    """The source that is kept, or None."""
    path = path_of(number, part)
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"your answer {path} cannot be read ({error}): mend the file, or delete it") from error


def forget(number: str, part: str) -> bool:
    """Remove what is kept; whether there was something."""
    path = path_of(number, part)
    there = path.is_file()
    path.unlink(missing_ok=True)
    return there
