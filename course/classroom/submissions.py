"""What a class handed in: who, which notebooks, and the answer to each exercise, wherever it stands in them.

Nothing of a submission is executed here; it is read as text.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from course.checks.cells import ExerciseCells, definitions, exercise_cells, plain_python
from course.site import notebooks
from helpers.errors import CourseError

LARGEST = 30_000_000  # bytes of a notebook that is still read
# What a browser or Jupyter writes behind the name of a second copy: "ada (1)", "ada-Copy1", "ada copy 2".
_COPY = re.compile(r"(?:\s*\((\d{1,3})\)|-Copy(\d{1,3})|[ _-]copy(?:[ _-]?(\d{1,3}))?)$", re.IGNORECASE)


@dataclass(frozen=True)
class CourseNotebook:
    """A notebook of the course, or of the instructor: what marking trusts."""

    name: str
    book: object

    @property
    def number(self) -> str:
        return self.name[:2]

    @cached_property
    def exercises(self) -> dict[str, ExerciseCells]:
        return exercise_cells(self.book)

    @cached_property
    def names(self) -> dict[str, str]:
        """What each exercise's stub defines, by number."""
        return {number: ast.parse(cells.stub.source).body[-1].name for number, cells in self.exercises.items()}

    @cached_property
    def sources(self) -> set[str]:
        return {_bare(cell.source) for cell in self.book.cells}

    def above(self, number: str) -> str:
        """As code, what the cells above an exercise import and define."""
        before = self.book.cells.index(self.exercises[number].stub)
        return "\n".join(map(ast.unparse, definitions(self.book.cells[:before])))


def course_notebooks(folder: Path | None = None) -> dict[str, CourseNotebook]:
    """The notebooks to trust, by name: the course's own, or those in `folder`.

    Raises:
        CourseError: there is none in `folder`, or one of them is damaged.
    """
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb")) if folder else notebooks.all_notebooks()
    if not paths:
        raise CourseError(f"{folder} has no notebook of the course, such as 01_tokenization.ipynb")
    return {path.stem: _whole(CourseNotebook(path.stem, notebooks.read(path)), path) for path in paths}


def _whole(one: CourseNotebook, path: Path) -> CourseNotebook:
    """The notebook, if its exercises have their cells, and its code is Python."""
    try:
        definitions(one.book.cells)
        one.names  # noqa: B018  kept, and asked for often
    except (SyntaxError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error!s:.100}"
        raise CourseError(f"{path} has an exercise that is not whole, or code that is no Python ({reason})") from error
    return one


@dataclass
class Handed:
    """What one student handed in: the answers that were found, and what there is to say about the files.

    Attributes:
        answers: by exercise, the source of the cell to mark, and the sources of the student's own other cells.
        remarks: by exercise, what the student should know about how the answer was found.
        unreadable: files that are no notebooks; what is missing may be in them.
    """

    student: str
    files: list[Path] = field(default_factory=list)
    notebooks: set[str] = field(default_factory=set)
    answers: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def read_class(folder: Path, course: dict[str, CourseNotebook]) -> list[Handed]:
    """Everybody's submission: a notebook for each student, or a folder for each, in `folder`.

    Raises:
        CourseError: there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise CourseError(f"there is no folder {folder}")
    handed: dict[str, Handed] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "_")) or not (entry.is_dir() or entry.suffix == ".ipynb"):
            continue
        name = entry.name if entry.is_dir() else _student(entry.stem, course)
        name = name.encode("utf-8", "backslashreplace").decode()  # of a name that is no text, what can be written
        handed.setdefault(name, Handed(name)).files += [entry] if entry.is_file() else _notebooks_in(entry)
    if not handed:
        raise CourseError(f"{folder} has neither notebooks nor folders with notebooks")
    for one in handed.values():
        one.files.sort(key=_age)
        for path in one.files:
            _read(path, one, course, folder)
        if not one.files:
            one.notes.append("no notebook was handed in")
    return list(handed.values())


def _notebooks_in(folder: Path) -> list[Path]:
    inside = (path for path in sorted(folder.rglob("*.ipynb")) if path.is_file())
    return [path for path in inside if not any(p.startswith(".") for p in path.relative_to(folder).parts)]


def _student(stem: str, course: dict[str, CourseNotebook]) -> str:
    """ "ada" of "ada_01_tokenization", and of "ada_01_tokenization (1)" and "ada_01_tokenization-Copy1" """
    stem = _without_copy(stem)[0]
    return next((stem[: -len(n)].rstrip("-_ ") for n in course if stem.endswith(n) and stem != n), "") or stem


def _without_copy(stem: str) -> tuple[str, list[int]]:
    """The name of a file without what marks it as a copy, and the numbers of that copy."""
    numbers = []
    while (found := _COPY.search(stem)) and found.start() > 0:
        numbers.insert(0, int(next((each for each in found.groups() if each), 1)))
        stem = stem[: found.start()]
    return stem, numbers


def _age(path: Path) -> tuple:
    """A key that sorts the copies of a file behind it, and by their numbers."""
    stem, numbers = _without_copy(path.stem)
    return path.parent, stem, numbers


def _read(path: Path, one: Handed, course: dict[str, CourseNotebook], folder: Path) -> None:
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError("a link that leads out of the folder")
        if not path.is_file():
            raise ValueError("not a regular file")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST / 1e6:.0f} MB")
        book = notebooks.parse(path.read_bytes(), lenient=True)
        code = [cell for cell in book.cells if cell.cell_type == "code"]
        known = _identify(path, book, code, course)
        found = {number: _find(number, code, known) for number in known.exercises} if known else {}
    except Exception as error:  # whatever a broken file can make a parser say
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        one.notes.append(f"{path.name} could not be read ({reason})")
        one.unreadable.append(path.name)
        return
    if known is None:
        one.notes.append(f"{path.name} has nothing of a notebook of the course")
        return
    if known.name in one.notebooks:
        one.notes.append(f"more than one copy of {known.name}: for each exercise the last one with an answer counts")
    one.notebooks.add(known.name)
    for number, (answer, remarks) in found.items():
        one.remarks.setdefault(number, []).extend(remarks)
        if answer:
            one.answers[number] = answer


def _identify(path: Path, book, code: list, course: dict[str, CourseNotebook]) -> CourseNotebook | None:
    """Which notebook a file is: by what the handout wrote into it, by its exercises, by its name, by its functions."""
    said = book.metadata.get("course", {})
    if isinstance(said, dict) and said.get("notebook") in course:
        return course[said["notebook"]]
    tagged = Counter(number.split(".")[0].zfill(2) for cell in code if (number := _number(cell)))
    for number, _ in tagged.most_common(1):
        return next((one for one in course.values() if one.number == number), None)
    for one in course.values():
        if one.name in path.stem:
            return one
    defined = {name for cell in code for name in re.findall(r"^(?:def|class)\s+(\w+)", cell.source, re.MULTILINE)}
    best = max(course.values(), key=lambda one: len(defined & set(one.names.values())))
    return best if defined & set(best.names.values()) else None


def _number(cell) -> str:
    number = str(cell.metadata.get("exercise", ""))
    return number if re.fullmatch(r"\d+\.\d+", number) else ""


def _find(number: str, code: list, known: CourseNotebook) -> tuple[tuple[str, list[str]] | None, list[str]]:
    """The answer to an exercise, if there is one, and remarks: it is in the last cell that is tagged as the exercise's
    or defines its function.
    """
    name, stub = known.names[number], _bare(known.exercises[number].stub.source)
    defines = re.compile(rf"^(?:async\s+def|def|class)\s+{name}\b|^{name}\s*=[^=]", re.MULTILINE)
    there = [cell for cell in code if _number(cell) == number or defines.search(cell.source)]
    tried = [cell for cell in there if _bare(cell.source) not in ("", stub)]
    remarks = []
    if not there:
        remarks.append(f"no cell of this exercise was found, and none that defines {name}")
    if not tried:
        return None, remarks
    chosen = ([cell for cell in tried if defines.search(cell.source)] or tried)[-1]
    if len(tried) > 1:
        remarks.append(f"{len(tried)} cells answer this exercise: the last of them was marked")
    if _number(chosen) != number:
        remarks.append("the answer was found in another cell than the exercise's")
    return (chosen.source, [cell.source for cell in _own(code, known) if cell is not chosen]), remarks


def _own(code: list, known: CourseNotebook) -> Iterator:
    """The cells that the student wrote or changed."""
    return (cell for cell in code if "setup" not in notebooks.tags_of(cell) and _bare(cell.source) not in known.sources)


def _bare(source: str) -> str:
    """For comparing cells: without IPython's commands, empty lines, and spaces at the ends of lines."""
    return "\n".join(line.rstrip() for line in plain_python(source).split("\n") if line.strip())
