"""Built in notebook 02: stories in files of one's own: .txt, .jsonl and .parquet, read one story at a time.

- .txt: UTF-8 text. If a line says `<|endoftext|>`, such lines divide the stories; otherwise blank lines do.
- .jsonl: a JSON object with a `text` in each line, or a JSON string.
- .parquet: a column `text`.

Used by `helpers.stories`, which notebook 02 shows at work on a text file.
"""

import glob
import json
import re
from collections.abc import Iterator
from pathlib import Path

from helpers.errors import CourseError

ENDINGS = (".txt", ".jsonl", ".parquet")
END_LINE = "<|endoftext|>"


def is_saved(path: Path) -> bool:
    """Whether `path` is a folder that `save_to_disk` wrote."""
    return any((path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json", "state.json"))


def find(source: str | Path | list) -> list[Path]:
    """The files that a path, a folder, a pattern, or a list of these stands for.

    Raises:
        CourseError: nothing is there, or a file is of another kind.
    """
    if isinstance(source, list | tuple):
        return [path for one in source for path in find(one)]
    path = Path(source)
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.suffix.lower() in ENDINGS and one.is_file())
        if not found:
            raise CourseError(f"the folder {path} holds no stories: no {', '.join(ENDINGS)} file, no saved dataset")
        return found
    found = [path] if path.is_file() else [Path(one) for one in sorted(glob.glob(str(source), recursive=True))]
    found = [one for one in found if one.is_file()]
    if not found:
        raise CourseError(
            f'there are no stories at {str(source)!r}: give "bundled", "tinystories", a folder of '
            f"save_to_disk, or {', '.join(ENDINGS)} files"
        )
    for one in found:
        if one.suffix.lower() not in ENDINGS:
            raise CourseError(f"{one} is not a kind of file that stories are read from: use {', '.join(ENDINGS)}")
    return found


def choose(paths: list[Path], split: str) -> tuple[list[Path], bool]:
    """The files of a split, and whether files are divided by their names ("...-train.txt", "...-valid.txt").

    If they are not, every file is returned for either split.
    """
    validation = [
        path for path in paths if re.search(r"(?<![a-z])(valid|validation|val|dev)(?![a-z])", path.stem.lower())
    ]
    if not validation or len(validation) == len(paths):
        return paths, False
    return (validation if split == "validation" else [path for path in paths if path not in validation]), True


def first(paths: list[Path]) -> str:
    """The first story of the files.

    Raises:
        CourseError: there is none.
    """
    for text in read_all(paths):
        return text
    raise CourseError(f"there is not one story in {', '.join(map(str, paths))}")


def require_text(paths: list[Path]) -> None:
    """Raise a CourseError that names the file, if one of them holds no story."""
    for path in paths:
        first([path])


def read_all(paths: list[Path]) -> Iterator[str]:
    """The stories of all files, in order, in constant memory.

    Raises:
        CourseError: a file cannot be read; the message names the file and, where there is one, the line.
    """
    readers = {".txt": _read_txt, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    for path in paths:
        try:
            yield from readers[path.suffix.lower()](path)
        except OSError as error:
            raise CourseError(f"{path} cannot be read: {error}") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, without their ends, numbered from 1; a byte order mark is left out."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise CourseError(
                    f"{path}, line {number}: byte 0x{line[error.start]:02x} at column {error.start + 1} "
                    "is not UTF-8; save the file with the encoding UTF-8 and try again"
                ) from error
            yield number, text.removeprefix("\ufeff" if number == 1 else "").rstrip("\r\n")


def _read_txt(path: Path) -> Iterator[str]:
    marked = any(line.strip() == END_LINE for _, line in _lines(path))
    story: list[str] = []
    for _, line in _lines(path):
        if line.strip() == END_LINE if marked else not line.strip():
            text = "\n".join(story).strip()
            if text:
                yield text
            story = []
        else:
            story.append(line)
    text = "\n".join(story).strip()
    if text:
        yield text


def _read_jsonl(path: Path) -> Iterator[str]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise CourseError(f"{path}, line {number}: not valid JSON ({error.msg} at column {error.colno})") from error
        text = row.get("text") if isinstance(row, dict) else row
        if not isinstance(text, str):
            raise CourseError(f'{path}, line {number}: there is no story; write {{"text": "..."}} in each line')
        yield text


def _read_parquet(path: Path) -> Iterator[str]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            if "text" not in columns:
                raise CourseError(f'{path} has no column "text", only {", ".join(map(repr, columns))}')
            row = 0
            for batch in file.iter_batches(batch_size=1000, columns=["text"]):
                for text in batch.column(0).to_pylist():
                    row += 1
                    if not isinstance(text, str):
                        raise CourseError(f'{path}, row {row}: the column "text" holds {text!r:.40}, not a story')
                    yield text
    except pyarrow.ArrowException as error:
        raise CourseError(f"{path} is not a whole parquet file: {str(error).splitlines()[0]}") from error
