"""Mark the notebooks that a class handed in, with the checks of the course.

FOLDER has a notebook for each student, or a folder for each student with notebooks in it. Their code runs in a
container or under bubblewrap, with limits on time and memory. What is marked is kept as it comes: a second call goes on
where the first was stopped. docs/grading.md says what all this protects against and what it does not.

examples:
  python -m course grade handed_in
  python -m course grade handed_in 05 --out week5.csv --seconds 30
  python -m course grade handed_in 5.2 5.3 5.6 --halves
"""

import argparse
import queue
import re
import signal
import threading
from collections.abc import Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from course.checks.exercise import NOT_ATTEMPTED, RIGHT, WRONG
from course.checks.registry import in_order, load_checks
from course.classroom import checking, sandbox
from course.classroom.marker import Marker
from course.classroom.points import SCALES, halves_of, points_of
from course.classroom.results import Results, file_name, fingerprint_of_the_marking
from course.classroom.sandbox import Confinement, Limits
from course.classroom.submissions import CourseNotebook, Handed, course_notebooks, read_class
from course.classroom.table import ERROR, TIME_OUT, UNREADABLE, Row, Verdict, as_csv, feedback, summary, visible
from helpers.errors import CourseError
from helpers.files import write_atomically

_STATES = {state: state for state in (RIGHT, WRONG, NOT_ATTEMPTED, ERROR)}
_MOST_JOBS = 64


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
    parser.add_argument(
        "--unsafe", action="store_true", help="where nothing can hold it, run the students' code without confinement"
    )


def run(arguments: argparse.Namespace) -> int:
    limits = Limits(arguments.seconds, arguments.memory_gb)
    if not (0 < limits.seconds < 1e6 and 0 < limits.memory_gb < 1e6 and 0 < arguments.jobs <= _MOST_JOBS):
        raise CourseError(f"--seconds, --memory-gb and --jobs must be more than 0, and --jobs at most {_MOST_JOBS}")
    folder, out = Path(arguments.folder), Path(arguments.out)
    course = course_notebooks(Path(arguments.key) if arguments.key else None)
    handed = read_class(folder, course)
    chosen = _chosen(arguments.numbers, course, handed)
    exercises = {n: one for name in chosen for n, one in load_checks(course[name].number).items()}
    there = [n for name in chosen for n in sorted(course[name].exercises, key=in_order)]
    if others := [n for n in there if n not in exercises]:
        raise CourseError(f"{', '.join(chosen)}: exercise {others[0]} belongs to another notebook")
    exercises = {n: exercises[n] for n in _set_exercises(arguments.numbers, there)}
    worth = {number: points_of(one, arguments.points) for number, one in exercises.items()}
    numbers = {course[name].number for name in chosen if course[name].exercises} if arguments.halves else set()
    halves = {exercise: slugs for number in numbers for exercise, slugs in halves_of(number).items()}
    pages = Path(arguments.feedback) if arguments.feedback else out.parent / f"{out.stem}_feedback"
    Results(out, pages).see_that_they_can_be_written()
    confinement = sandbox.best_confinement([folder], limits.memory_gb, arguments.unsafe)
    print(_protection(confinement, limits), flush=True)
    trusted = [course[name] for name in chosen]
    results = Results(out, pages, fingerprint_of_the_marking(trusted, limits, confinement.name))

    def mark(one: Handed, marker: Marker) -> Row:
        row, before = results.of(one, list(exercises)), ", marked before"
        if row is None:
            row, before = mark_student(one, trusted, exercises, marker, limits), ""
            results.keep(one, row)
        for number, verdict in row.verdicts.items():
            verdict.half = verdict.state == WRONG and verdict.slug in halves.get(number, ())
        total = sum(worth.values())
        print(f"{visible(one.student)}: {row.points(worth):g} of {total} points{before}", flush=True)
        return row

    rows = _mark_all(handed, mark, confinement, limits, arguments.jobs)
    print("\n" + summary(rows, worth) + "\n")
    for row in rows:
        text = feedback(row, exercises, worth).encode("utf-8", "replace")
        write_atomically(pages / f"{file_name(row.student)}.md", text)
    write_atomically(out, as_csv(rows, worth).encode("utf-8", "replace"))
    print(f"The table is {out}; a page for each student is in {pages}.")
    return 0


def _mark_all(handed: Sequence[Handed], mark, confinement: Confinement, limits: Limits, jobs: int) -> list[Row]:
    """Everybody's row, in their order, so many at the same time; nothing is left running, however this ends."""
    markers = [Marker(confinement, limits) for _ in range(min(jobs, len(handed)))]
    idle: queue.SimpleQueue = queue.SimpleQueue()
    for marker in markers:
        idle.put(marker)

    def mark_one(one: Handed) -> Row:
        marker = idle.get()
        try:
            return mark(one, marker)
        finally:
            idle.put(marker)

    with _told_to_stop(), ThreadPoolExecutor(len(markers)) as pool:
        waiting = [pool.submit(mark_one, one) for one in handed]
        try:
            return [each.result() for each in waiting]
        except BaseException as error:
            done = sum(each.done() and not each.cancelled() and not each.exception() for each in waiting)
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, KeyboardInterrupt):
                print(f"\nstopped: {done} of {len(handed)} are marked and kept; the same command goes on", flush=True)
            raise
        finally:
            for marker in markers:
                marker.close()


@contextmanager
def _told_to_stop():
    """Let the system's ways to end a program stop the marking as Ctrl-C does."""

    def stop(*_):
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        names = []
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


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
    return text


def mark_student(
    one: Handed, course: Sequence[CourseNotebook], wanted: Container[str], marker: Marker, limits: Limits
) -> Row:
    """A student's verdicts on those exercises of the notebooks `course` that are among the numbers `wanted`."""
    verdicts = {}
    for notebook in course:
        numbers = [number for number in sorted(notebook.exercises, key=in_order) if number in wanted]
        verdicts |= {number: _without_answer(one, number) for number in numbers}
        answered = [number for number in numbers if number in one.answers]
        for number in sorted(answered, key=lambda each: each in checking.TOGETHER):  # a change takes another process
            source, own = one.answers[number]
            order = {
                "student": one.student, "checks": notebook.number, "number": number, "above": notebook.above(number),
                "warm_up": [notebook.above(answered[-1])], "own": own, "source": source,
            }  # fmt: skip
            verdicts[number] = _verdict(marker.mark(order), limits, one.remarks.get(number, []))
    return Row(one.student, [path.name for path in one.files], verdicts, one.notes)


def _without_answer(one: Handed, number: str) -> Verdict:
    remarks = one.remarks.get(number, [])
    if one.unreadable and number not in one.remarks:  # else its notebook was among those that could be read
        return Verdict(ERROR, UNREADABLE, f"{', '.join(one.unreadable)} could not be read", remarks=remarks)
    return Verdict(NOT_ATTEMPTED, remarks=remarks)


def _verdict(reply: dict, limits: Limits, remarks: list[str]) -> Verdict:
    """A verdict from what may have come from a student's process, which is believed no further than it must be."""
    state = reply.get("state")
    if state == checking.TIME_OUT:
        problem = f"it was still running after {limits.seconds:g} seconds, and was stopped"
        return Verdict(TIME_OUT, problem=problem, hint="Look for a loop that never ends.", remarks=remarks)
    if state == checking.DIED:
        problem = f"the process ended before the check did (exit code {_text(reply.get('code'))})"
        if reply.get("why") == "memory":
            problem = f"it took more than {limits.memory_gb:g} GB of memory, and was stopped"
        return Verdict(ERROR, "process ended", problem, remarks=remarks)
    said = {key: _text(reply.get(key))[:3000] for key in ("problem", "hint", "printed")}
    more = reply.get("remarks")
    more = [_text(each)[:500] for each in more][:8] if isinstance(more, list) else []
    slug = re.sub(r"[^\w-]", "", _text(reply.get("slug")))[:60]
    known = _STATES.get(state, ERROR) if isinstance(state, str) else ERROR
    return Verdict(known, slug, **said, remarks=[*remarks, *more])


def _text(value) -> str:
    """What should be text, as text."""
    if isinstance(value, str):
        return value
    return "" if value is None else str(value) if isinstance(value, int | float) else type(value).__name__
