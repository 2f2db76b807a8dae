"""Make handouts from the notebooks: student copies without solutions, answer keys, a source set for nbgrader.

The notebooks themselves are not touched. docs/grading.md is the manual.

examples:
  python -m course handout --out runs/handouts 05
  python -m course handout --out runs/handouts --kind student --no-hints 01 02 03
  python -m course handout --out runs/handouts --kind key --execute 01
  python -m course handout --check 05 06
"""

import argparse
import copy
from pathlib import Path

from course.checks.cells import exercise_cells, solution_of, without_solution
from course.checks.registry import load_checks
from course.classroom import giveaways, nbgrader_set
from course.classroom.filling import filled
from course.classroom.points import SCALES
from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import folder_to_be, write_atomically

KINDS = ("student", "key", "nbgrader")
TAUGHT, ALL, NONE = "taught", "all", "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("numbers", metavar="NN", nargs="*", help="notebooks by their numbers; all if none is named")
    parser.add_argument("--out", metavar="FOLDER", help="where to write; a folder for each kind")
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all", help="what to make (default all)")
    parser.add_argument("--no-hints", action="store_true", help="leave the hints away, too (never in the key)")
    parser.add_argument(
        "--outputs", choices=[TAUGHT, ALL, NONE], default=TAUGHT,
        help="stored outputs to keep: those of taught cells but of what is to be predicted (default), all, none",
    )  # fmt: skip
    parser.add_argument(
        "--points",
        choices=SCALES,
        default="difficulty",
        help="what nbgrader gives for an exercise (default difficulty)",
    )
    parser.add_argument("--execute", action="store_true", help="run each key, and see that every check says right")
    parser.add_argument("--overwrite", action="store_true", help="write over handouts that are there already")
    parser.add_argument(
        "--check", action="store_true",
        help="write nothing, but try all in the visible cells as answers to the exercises, and say what passes",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    chosen = notebooks.chosen(arguments.numbers)
    if arguments.check:
        return _check(chosen)
    if not arguments.out:
        raise CourseError("say where to write: --out FOLDER")
    out, kinds = folder_to_be(arguments.out), KINDS if arguments.kind == "all" else (arguments.kind,)
    targets = {(kind, path): _target(out, kind, path.stem) for path in chosen for kind in kinds}
    there = next((target for target in targets.values() if target.exists()), None)
    if there and not arguments.overwrite:
        raise CourseError(f"{there} is there already: choose another --out, or say --overwrite")
    texts = {}
    for kind, path in targets:  # all are made before any is written
        book = make(kind, path, not arguments.no_hints, arguments.outputs, arguments.points)
        if kind == "key" and arguments.execute:
            _execute(book, path.stem)
        texts[kind, path] = notebooks.as_text(book)
    for (kind, path), target in targets.items():
        write_atomically(target, texts[kind, path])
        print(f"{target}: {_summary(kind, path)}", flush=True)
    if "nbgrader" in kinds:
        print(nbgrader_set.write_config(out / "nbgrader"))
    return 0


def _check(chosen: list[Path]) -> int:
    """Say what the visible cells give away; 1 if it is anything."""
    found = giveaways.findings(chosen)
    for each in found:
        print(each)
    if not found:
        count = sum(len(load_checks(path.name[:2])) for path in chosen)
        print(f"nothing in the visible cells is an answer to any of the {count} exercises")
    return 1 if found else 0


def _target(out: Path, kind: str, name: str) -> Path:
    # nbgrader wants a folder for each assignment.
    return out / "nbgrader" / "source" / name / f"{name}.ipynb" if kind == "nbgrader" else out / kind / f"{name}.ipynb"


def _summary(kind: str, path: Path) -> str:
    count = len(load_checks(path.name[:2]))
    exercises = f"{count} exercise{'' if count == 1 else 's'}"
    return {"student": f"{exercises}, no solutions", "key": f"{exercises}, answered", "nbgrader": exercises}[kind]


def make(kind: str, path: Path, hints: bool = True, outputs: str = TAUGHT, points: str = "difficulty"):
    """A handout of the notebook at `path`, as nbformat has it.

    Args:
        kind: "student", "key" or "nbgrader".
        hints: whether the hints stay (a key keeps them always); the solution goes in any case.
        outputs: "taught" keeps the stored outputs of all cells but those of exercises, and in all but the key those
            that a prediction is about; or "all", or "none".
        points: the scale of the points that nbgrader gives, one of `course.classroom.points.SCALES`.

    Raises:
        CourseError: an exercise lacks its check or its solution, or one of them is no Python.
    """
    book = copy.deepcopy(notebooks.read(path))
    try:
        found, checks = exercise_cells(book), load_checks(path.name[:2])
    except (KeyError, TypeError) as error:
        raise CourseError(f"{path.name} has an exercise that lacks one of its four cells, or its number") from error
    if set(found) != set(checks):
        raise CourseError(f"{path.name} and course/checks do not have the same exercises")
    away = []  # prose of the slide type `notes` stays: a speaker says it, a reader has to read it
    for number, cells in found.items():
        try:
            solution = solution_of(cells.hints)
            cells.hints.source = without_solution(cells.hints.source)
            if kind != "key" and not hints:
                away.append(cells.hints)
            if kind == "key":
                cells.stub.source = filled(cells.stub.source, solution)
            if kind == "nbgrader":
                nbgrader_set.mark(cells, solution, checks[number], points)
        except (SyntaxError, AttributeError, LookupError, ValueError) as error:  # no Python, or nothing is defined
            raise CourseError(f"{path.name}: exercise {number} cannot be filled in ({error})") from error
        for cell in (cells.stub, cells.check):
            cell.outputs = [] if kind == "key" or outputs != ALL else cell.outputs
    gone = {id(cell) for cell in away}
    book.cells = [cell for cell in book.cells if id(cell) not in gone]
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [] if outputs == NONE else cell.outputs
            if kind != "key" and notebooks.PREDICTED in notebooks.tags_of(cell):
                notebooks.unfold(cell)  # there is nothing to fold before the student runs it
                cell.outputs = cell.outputs if outputs == ALL else []
        else:
            cell.source = _without_badge(cell.source)
    book.metadata["course"] = {"notebook": path.stem, "kind": kind}
    return book


def _without_badge(text: str) -> str:
    """The badge leads to the notebook that has the solutions."""
    lines = text.split("\n")
    at = next((i for i, line in enumerate(lines) if line.startswith("[![Open in Colab]")), None)
    if at is None:
        return text
    return "\n".join(lines[:at] + lines[at + (2 if lines[at + 1 : at + 2] == [""] else 1) :])


def _execute(book, name: str) -> None:
    """Run a key in place.

    Raises:
        CourseError: a cell failed, or the check of an exercise does not say "right".
    """
    checks = [cells.check for cells in exercise_cells(book).values()]
    notebooks.execute(book)
    for check in checks:
        said = "".join(output.get("data", {}).get("text/plain", "") for output in check.outputs)
        if ": right (" not in said:
            raise CourseError(f"the key of {name} does not pass {check.source.split(chr(10))[-1]}: {said}")
    notebooks.clean(book)
