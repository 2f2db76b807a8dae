"""Built in notebook 02: stories in files of one's own: .txt, .jsonl and .parquet, read one story at a time.

- .txt: UTF-8 text. `<|endoftext|>` divides the stories where it occurs; otherwise blank lines do.
- .jsonl: a JSON object with a `text` in each line, or a JSON string.
- .parquet: a column `text`.

Blank stories are left out.

Used by `helpers.stories`, which notebook 02 shows at work on a text file.
"""

import glob
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from helpers.errors import CourseError
from helpers.files import parse_json

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
    if not str(source).strip():
        raise CourseError('the source of stories is empty: give "bundled", "tinystories", a folder or a file')
    path = Path(source)
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.suffix.lower() in ENDINGS and one.is_file())
        if not found:
            raise CourseError(f"the folder {path} holds no stories: no {', '.join(ENDINGS)} file, no saved dataset")
        return found
    every = [str(path)] if path.is_file() else sorted(glob.glob(str(source), recursive=True))
    if not (found := [Path(one) for one in every if Path(one).is_file()]):
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


def require_stories(paths: list[Path], each: bool) -> None:
    """Raise a CourseError where the files, or `each`, hold no story, or where blank lines hardly divide a .txt file."""
    first = {path: list(islice(read_all([path]), 100)) for path in paths}
    empty = [str(path) for path, texts in first.items() if not texts]
    if empty and (each or len(empty) == len(first)):
        raise CourseError(f"there is not one story in {', '.join(empty)}")
    few = sum(map(len, first.values())) < 10  # of many, a long one may be meant so: a poem, a file for each story
    for path, texts in first.items():
        lines, length, number = "\n".join(texts).count("\n") + 1, sum(map(len, texts)), len(texts)
        long = lines > (20 if few else 100) * max(1, number) or (len(first) == number == 1 and length > 10_000)
        if long and path.suffix.lower() == ".txt" and not _marked(path):
            raise CourseError(
                f"{path} has no {END_LINE}, and blank lines make {number:,} stor{'ies' if number > 1 else 'y'} "
                f"of {lines:,} line{'s' * (lines > 1)} ({length:,} characters): put a line with {END_LINE} behind each"
            )


def read_all(paths: list[Path]) -> Iterator[str]:
    """The stories of all files that are not empty, in order, in constant memory.

    Raises:
        CourseError: a file cannot be read; the message names the file and, where there is one, the line.
    """
    readers = {".txt": _read_txt, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    for path in paths:
        try:
            yield from filter(str.strip, readers[path.suffix.lower()](path))
        except OSError as error:
            raise CourseError(f"{path} cannot be read: {error}") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, without their ends, numbered from 1; a byte order mark is left out."""
    number = 0
    with open(path, "rb") as file:
        for line in file:
            try:
                text = line.decode("utf-8").removeprefix("" if number else "\ufeff")
            except UnicodeDecodeError as error:
                raise CourseError(
                    f"{path}, line {number + 1}: byte 0x{line[error.start]:02x} at column {error.start + 1} "
                    "is not UTF-8; save the file with the encoding UTF-8 and try again"
                ) from error
            if "\0" in text:
                said = f"{text.count(chr(0))} NULs, as UTF-16 has them; save the file with the encoding UTF-8"
                raise CourseError(f"{path}, line {number + 1}: {said} and try again")
            for one in text.rstrip("\r\n").split("\r"):  # an old Mac's lines end so
                number += 1
                yield number, one


def _marked(path: Path) -> bool:
    return any(END_LINE in line for _, line in _lines(path))


def _read_txt(path: Path) -> Iterator[str]:
    marked, story = _marked(path), []
    for _, line in _lines(path):
        if not marked and not line.strip():
            line = END_LINE
        for place, part in enumerate(line.split(END_LINE)):
            if place:
                yield "\n".join(story).strip()
                story = []
            story.append(part)
    yield "\n".join(story).strip()


def _read_jsonl(path: Path) -> Iterator[str]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        row = parse_json(line, f"{path}, line {number},", nan=True, instead="mend the line")
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
            batches = file.iter_batches(batch_size=1000, columns=["text"])
            yield from texts_in((text for batch in batches for text in batch.column(0).to_pylist()), path)
    except pyarrow.ArrowException as error:
        raise CourseError(f"{path} is not a whole parquet file: {str(error).splitlines()[0]}") from error


def texts_in(rows: Iterable, source: Path) -> Iterator[str]:
    """The rows of a column, which must be texts."""
    for number, text in enumerate(rows, start=1):
        if not isinstance(text, str):
            raise CourseError(f'{source}, row {number}: the column "text" holds {text!r:.40}, not a story')
        yield text
