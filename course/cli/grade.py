"""Mark the notebooks that a class handed in, with the checks of the course.

FOLDER has a notebook for each student, or a folder for each student with notebooks in it. Their code runs in processes
of their own, with a limit on time and memory. docs/grading.md says what that protects against and what it does not.

examples:
  python -m course grade handed_in
  python -m course grade handed_in 05 --out week5.csv --seconds 30
  python -m course grade handed_in 5.2 5.3 5.6 --halves
"""

import argparse
import re
from collections.abc import Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from course.checks.exercise import NOT_ATTEMPTED, RIGHT, WRONG, Exercise
from course.checks.registry import in_order, load_checks
from course.classroom import sandbox
from course.classroom.points import SCALES, halves_of, points_of
from course.classroom.sandbox import Confinement, Limits, Marker
from course.classroom.submissions import CourseNotebook, Handed, course_notebooks, read_class
from course.classroom.table import ERROR, TIME_OUT, UNREADABLE, Row, Verdict, as_csv, feedback, summary
from helpers.errors import CourseError
from helpers.files import write_atomically

_STATES = {state: state for state in (RIGHT, WRONG, NOT_ATTEMPTED, ERROR)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    defaults = Limits()
    parser.add_argument("folder", metavar="FOLDER", help="what the class handed in")
    parser.add_argument(
        "numbers", metavar="NN", nargs="*", help="only these notebooks, or exercises such as 5.2 (default: all)"
    )
    parser.add_argument("--out", metavar="FILE", default="grades.csv", help="the table (default grades.csv)")
    parser.add_argument("--feedback", metavar="FOLDER", help="a page for each student (default: beside the table)")
    parser.add_argument("--points", choices=SCALES, default="difficulty", help="what an exercise is worth")
    parser.add_argument(
        "--halves", action="store_true", help="half of the points where the teaching plan's table of marks says so"
    )
    parser.add_argument("--key", metavar="FOLDER", help="notebooks to trust instead of the course's own")
    parser.add_argument(
        "--seconds", type=float, default=defaults.seconds, metavar="N",
        help=f"seconds for marking one exercise (default {defaults.seconds:g})",
    )  # fmt: skip
    parser.add_argument(
        "--memory-gb", type=float, default=defaults.memory_gb, metavar="G",
        help=f"memory of a process beyond that of the libraries (default {defaults.memory_gb:g})",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="students marked at the same time (default 1)")


def run(arguments: argparse.Namespace) -> int:
    limits = Limits(arguments.seconds, arguments.memory_gb)
    if min(limits.seconds, limits.memory_gb, arguments.jobs) <= 0:
        raise CourseError("--seconds, --memory-gb and --jobs must be more than 0")
    folder = Path(arguments.folder)
    course = course_notebooks(Path(arguments.key) if arguments.key else None)
    handed = read_class(folder, course)
    chosen = _chosen(arguments.numbers, course, handed)
    exercises = {n: one for name in chosen for n, one in load_checks(course[name].number).items()}
    there = [n for name in chosen for n in sorted(course[name].exercises, key=in_order)]
    exercises = {n: exercises[n] for n in _set_exercises(arguments.numbers, there)}
    worth = {number: points_of(one, arguments.points) for number, one in exercises.items()}
    numbers = {course[name].number for name in chosen if course[name].exercises} if arguments.halves else set()
    halves = {exercise: slugs for number in numbers for exercise, slugs in halves_of(number).items()}
    confinement = sandbox.best_confinement([folder])
    print(_protection(confinement, limits), flush=True)

    def mark(one: Handed) -> Row:
        row = mark_student(one, [course[name] for name in chosen], exercises, confinement, limits)
        for number, verdict in row.verdicts.items():
            verdict.half = verdict.state == WRONG and verdict.slug in halves.get(number, ())
        print(f"{one.student}: {row.points(worth):g} of {sum(worth.values())} points", flush=True)
        return row

    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(mark, handed))
    print("\n" + summary(rows, worth) + "\n")
    _write(rows, exercises, worth, Path(arguments.out), arguments.feedback)
    return 0


def _chosen(numbers: Sequence[str], course: dict[str, CourseNotebook], handed: Sequence[Handed]) -> list[str]:
    """The notebooks to mark, in the order of the course."""
    if numbers:
        wanted = {number.split(".")[0].zfill(2) for number in numbers}
        if unknown := wanted - {one.number for one in course.values()}:
            raise CourseError(f"there is no notebook {', '.join(sorted(unknown))}")
        chosen = [name for name, one in course.items() if one.number in wanted]
    else:
        there = {name for one in handed for name in one.notebooks}
        chosen = [name for name in course if name in there]
    if not any(course[name].exercises for name in chosen):
        raise CourseError("none of the files is a notebook of the course with exercises: see docs/grading.md")
    return chosen


def _set_exercises(numbers: Sequence[str], there: Sequence[str]) -> list[str]:
    """Those of the exercises that are there which were asked for, by themselves ("5.2") or with their notebook."""
    single = {number.lstrip("0") for number in numbers if "." in number}
    if unknown := single - set(there):
        raise CourseError(f"there is no exercise {', '.join(sorted(unknown))}")
    whole = {number.zfill(2) for number in numbers if "." not in number}
    return [n for n in there if not numbers or n in single or n.split(".")[0].zfill(2) in whole]


def _protection(confinement: Confinement, limits: Limits) -> str:
    kept = ["a process and a folder of its own", f"{limits.seconds:g} s an exercise", *confinement.promises]
    text = f"Each student's code has {', '.join(kept)} (confinement: {confinement.name})."
    if not confinement.promises:
        text += "\nIt has the network, and may do to your files what you may: read docs/grading.md before you go on."
    elif sandbox.READ_ONLY not in confinement.promises:
        text += "\nIt may read and write the files that you may: read docs/grading.md before you go on."
    return text


def mark_student(
    one: Handed, course: Sequence[CourseNotebook], wanted: Container[str], confinement: Confinement, limits: Limits
) -> Row:
    """A student's verdicts on those exercises of the notebooks `course` that are among the numbers `wanted`."""
    verdicts = {}
    for notebook in course:
        numbers = [number for number in sorted(notebook.exercises, key=in_order) if number in wanted]
        verdicts |= _mark_notebook(one, notebook, numbers, confinement, limits)
    return Row(one.student, [path.name for path in one.files], verdicts, one.notes)


def _mark_notebook(one: Handed, notebook: CourseNotebook, numbers, confinement, limits) -> dict[str, Verdict]:
    verdicts = {number: _without_answer(one, number) for number in numbers}
    waiting = [number for number in numbers if number in one.answers]
    while waiting:  # a process that an answer has ended is followed by another, for the answers after it
        above = {number: notebook.above(number) for number in waiting}
        with Marker(confinement, limits, notebook.number, list(above.values())) as marker:
            while waiting:
                number = waiting.pop(0)
                source, own = one.answers[number]
                reply = marker.mark({"number": number, "above": above[number], "own": own, "source": source})
                verdicts[number] = _verdict(reply, limits, one.remarks.get(number, []))
                if reply["state"] in (sandbox.TIME_OUT, sandbox.DIED):
                    break
    return verdicts


def _without_answer(one: Handed, number: str) -> Verdict:
    remarks = one.remarks.get(number, [])
    if one.unreadable and number not in one.remarks:  # else its notebook was among those that could be read
        return Verdict(ERROR, UNREADABLE, f"{', '.join(one.unreadable)} could not be read", remarks=remarks)
    return Verdict(NOT_ATTEMPTED, remarks=remarks)


def _verdict(reply: dict, limits: Limits, remarks: list[str]) -> Verdict:
    """A verdict from what a student's process said, which is believed no further than it must be."""
    if reply["state"] == sandbox.TIME_OUT:
        problem = f"it was still running after {limits.seconds:g} seconds, and was stopped"
        return Verdict(TIME_OUT, problem=problem, hint="Look for a loop that never ends.", remarks=remarks)
    if reply["state"] == sandbox.DIED:
        code = reply.get("code")
        problem = f"the process ended before the check did (exit code {code}); perhaps it took too much memory"
        return Verdict(ERROR, "process ended", problem, remarks=remarks)
    said = {key: str(reply.get(key) or "")[:3000] for key in ("problem", "hint", "printed")}
    more = [str(each)[:500] for each in reply.get("remarks") or []][:8]
    slug = re.sub(r"[^\w-]", "", str(reply.get("slug") or ""))[:60]
    return Verdict(_STATES.get(reply["state"], ERROR), slug, **said, remarks=[*remarks, *more])


def _write(rows: Sequence[Row], exercises: dict[str, Exercise], worth: dict, out: Path, folder: str | None) -> None:
    pages = Path(folder) if folder else out.parent / f"{out.stem}_feedback"
    for row in rows:
        text = feedback(row, exercises, worth).encode("utf-8", "replace")
        write_atomically(pages / f"{row.student}.md", text)
    write_atomically(out, as_csv(rows, worth).encode("utf-8", "replace"))
    print(f"The table is {out}; a page for each student is in {pages}.")
