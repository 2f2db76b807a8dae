"""The verdicts of a class: each student's row, the CSV, the summary for the terminal, the page for each student."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from course.checks.exercise import NOT_ATTEMPTED, RIGHT, WRONG, Exercise

ERROR, TIME_OUT, UNREADABLE = "error", "time out", "unreadable"
_WIDEST = 40  # characters of a name in the terminal
MARKS = {RIGHT: "x", WRONG: "!", NOT_ATTEMPTED: ".", ERROR: "E", TIME_OUT: "T"}


@dataclass
class Verdict:
    """What became of one answer.

    Attributes:
        state: "right", "wrong", "not attempted", "error" or "time out".
        slug: which check failed, or which error it was.
        half: whether it earns half of the points all the same.
    """

    state: str
    slug: str = ""
    problem: str = ""
    hint: str = ""
    printed: str = ""
    remarks: list[str] = field(default_factory=list)
    half: bool = False

    @property
    def share(self) -> float:
        """The part of an exercise's points that it earns."""
        return 1 if self.state == RIGHT else 0.5 if self.half else 0

    @property
    def cell(self) -> str:
        """As it stands in the table: "wrong: overlap"."""
        return f"{self.state}: {self.slug}" if self.state in (WRONG, ERROR) else self.state


@dataclass
class Row:
    """A student's verdicts, by exercise, and notes about what was handed in."""

    student: str
    files: list[str]
    verdicts: dict[str, Verdict]
    notes: list[str]

    def right(self) -> int:
        return sum(verdict.state == RIGHT for verdict in self.verdicts.values())

    def points(self, worth: dict[str, int]) -> float:
        return sum(worth[number] * verdict.share for number, verdict in self.verdicts.items())


def as_csv(rows: Sequence[Row], worth: dict[str, int]) -> str:
    """The table: student, a column for each exercise, right, points, out_of, files, notes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["student", *worth, "right", "points", "out_of", "files", "notes"])
    for row in rows:
        verdicts = [row.verdicts[number].cell for number in worth]
        totals = [row.right(), f"{row.points(worth):g}", sum(worth.values())]
        writer.writerow(map(_harmless, [row.student, *verdicts, *totals, "; ".join(row.files), "; ".join(row.notes)]))
    return out.getvalue()


def _harmless(value) -> str:
    """Text that a spreadsheet does not take for a formula: file names are the students' own."""
    text = str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def summary(rows: Sequence[Row], worth: dict[str, int]) -> str:
    """The class at a glance: a line for each student, then a line for each exercise."""
    names = [name if len(name := visible(row.student)) <= _WIDEST else f"{name[:_WIDEST]}..." for row in rows]
    wide = max(len("student"), *map(len, names))
    gap = max(map(len, worth), default=3)
    lines = [" ".join(["student".ljust(wide), *(number.rjust(gap) for number in worth), " points"])]
    total = sum(worth.values())
    for name, row in zip(names, rows, strict=True):
        marks = (_mark(row.verdicts[number]).rjust(gap) for number in worth)
        note = f"   {len(row.notes)} note{'s' if len(row.notes) > 1 else ''}" if row.notes else ""
        lines.append(" ".join([name.ljust(wide), *marks, f"{row.points(worth):3g}/{total}{note}"]))
    halves = any(verdict.half for row in rows for verdict in row.verdicts.values())
    half = "h wrong, half of the points   " if halves else ""
    lines += ["", f"x right   {half}! wrong   . not attempted   E error   T time out", ""]
    for number in worth:
        verdicts = [row.verdicts[number] for row in rows]
        often = Counter(v.cell for v in verdicts if v.state not in (RIGHT, NOT_ATTEMPTED)).most_common(2)
        told = "; ".join(f"{cell} ({count})" for cell, count in often)
        lines.append(
            f"{number.ljust(gap)} {sum(v.state == RIGHT for v in verdicts)} of {len(rows)} right"
            + (f"; most often: {told}" if told else "")
        )
    return "\n".join(lines)


def _mark(verdict: Verdict) -> str:
    return "h" if verdict.half else MARKS[verdict.state]


def feedback(row: Row, exercises: dict[str, Exercise], worth: dict[str, int]) -> str:
    """A page in Markdown for one student: the checks' own words on each answer."""
    lines = [f"# {_plain(row.student)}", "", f"{row.points(worth):g} of {sum(worth.values())} points.", ""]
    if row.notes:
        lines += ["About the files:", "", *(f"- {_plain(note)}" for note in row.notes), ""]
    for number, verdict in row.verdicts.items():
        points = f"{worth[number] * verdict.share:g} of {worth[number]} point{'' if worth[number] == 1 else 's'}"
        lines += [f"## {number} {exercises[number].title}: {verdict.cell} ({points})", ""]
        for label, text in (
            ("What happened", verdict.problem), ("Where to look", verdict.hint), ("Your code printed", verdict.printed),
            *(("Note", remark) for remark in verdict.remarks),
        ):  # fmt: skip
            if text:
                lines += [f"{label}:", "", *(f"    {visible(line)}" for line in text.splitlines()), ""]
    return "\n".join(lines).rstrip() + "\n"


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", visible(text))


def visible(text: str) -> str:
    """Without control characters, which a terminal or an editor might obey."""
    return "".join(c if c.isprintable() or c == " " else "\N{REPLACEMENT CHARACTER}" for c in text)
