"""What was marked, kept as it comes: a file for each submission, from which a second call goes on."""

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from course.classroom.submissions import CourseNotebook, Handed
from course.classroom.table import ERROR, TIME_OUT, Row, Verdict
from helpers.errors import CourseError
from helpers.files import folder_to_be, repository_root, write_atomically

_LONGEST = 80  # bytes of a file's name that come from a student's
_TEXTS = ("state", "slug", "problem", "hint", "printed")


@dataclass(frozen=True)
class Results:
    """Where the table goes, the pages, and what was marked so far.

    Args:
        marked_with: all that the verdicts depend on besides the submissions; see `fingerprint_of_the_marking`.
    """

    out: Path
    pages: Path
    marked_with: str = ""
    kept: Path = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "kept", self.out.parent / f"{self.out.stem}_marked")

    def see_that_they_can_be_written(self) -> None:
        """Before any work.

        Raises:
            CourseError: one of them cannot be.
        """
        if self.out.exists() and not self.out.is_file():
            raise CourseError(f"{self.out} is not a file that a table could be written to")
        for folder in (self.out.parent, self.pages, self.kept):
            try:
                folder_to_be(folder).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                raise CourseError(f"{folder} cannot be written to ({error.strerror or error}): say --out") from error

    def of(self, one: Handed, numbers: Sequence[str]) -> Row | None:
        """A submission's row, if it was marked before with all as it is now."""
        try:
            said = json.loads((self.kept / f"{file_name(one.student)}.json").read_text(encoding="utf-8"))
            if said["of"] != self._fingerprint(one, numbers):
                return None
            verdicts = {number: _verdict(said["verdicts"][number]) for number in numbers}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None  # not there, or not as it was written: it is marked again
        return Row(one.student, [path.name for path in one.files], verdicts, one.notes)

    def keep(self, one: Handed, row: Row) -> None:
        """Keep a row that was just marked."""
        verdicts = {number: asdict(verdict) for number, verdict in row.verdicts.items()}
        said = {"student": row.student, "of": self._fingerprint(one, list(verdicts)), "verdicts": verdicts}
        write_atomically(self.kept / f"{file_name(one.student)}.json", json.dumps(said, indent=1) + "\n")

    def _fingerprint(self, one: Handed, numbers: Sequence[str]) -> str:
        answers = {number: one.answers.get(number) for number in numbers}
        remarks = {number: one.remarks.get(number) for number in numbers}
        return _digest([self.marked_with, list(numbers), answers, remarks, one.unreadable])


def fingerprint_of_the_marking(course: Sequence[CourseNotebook], *others) -> str:
    """All that verdicts depend on besides a submission: the notebooks, the course's code, and `others`."""
    root = repository_root()
    code = sorted([*root.glob("course/checks/*.py"), *root.glob("course/classroom/*.py"), *root.glob("helpers/*.py")])
    files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in code]
    books = [[one.name, *(cell.source for cell in one.book.cells)] for one in course]
    return _digest([files, books, *map(str, others)])


def _digest(value) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()


def _verdict(said: dict) -> Verdict:
    verdict = Verdict(*(said[key] for key in _TEXTS), list(said["remarks"]))
    if not all(isinstance(each, str) for each in (*(said[key] for key in _TEXTS), *verdict.remarks)):
        raise TypeError("a verdict is made of texts")
    if verdict.state not in ("right", "wrong", "not attempted", ERROR, TIME_OUT):
        raise ValueError("no such state")
    return verdict


def file_name(student: str) -> str:
    """A student's name as the name of a file, on every system: short, and without what has a meaning there."""
    plain = re.sub(r"[^\w .+@-]", "_", student).strip(" .")
    if plain == student and len(plain.encode()) <= _LONGEST:
        return plain
    while len(plain.encode()) > _LONGEST:
        plain = plain[:-1]
    return f"{plain}-{hashlib.sha256(student.encode('utf-8', 'replace')).hexdigest()[:8]}"
