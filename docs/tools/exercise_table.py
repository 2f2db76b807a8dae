"""Try every exercise with its stub, its solution and its planted wrong answers, and write docs/exercises.md.

    python docs/tools/exercise_table.py          try all, and write the page
    python docs/tools/exercise_table.py --check  only say whether the page has the exercises that there are; runs none

Nothing is written unless every stub is "not attempted", every solution is "right", and every planted answer is caught
by the check that was meant to catch it.
"""

import argparse
import importlib
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from course.checks.cells import ExerciseCells, exercise_cells, solution_of, surroundings
from course.checks.exercise import NOT_ATTEMPTED, RIGHT, WRONG, Exercise
from course.checks.registry import in_order, load_checks
from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import repository_root, write_atomically
from tests.wrong_answers import PLANTED

PAGE = repository_root() / "docs" / "exercises.md"
PATIENCE = 4  # seconds for one call of a planted answer: some never end
TRIED = "Last tried with "

HEAD = """\
# The exercises

<!-- Written by `python docs/tools/exercise_table.py`, which tries them all. Do not edit. -->

{exercises} exercises in {notebooks} notebooks, about {hours:.0f} hours of work by the minutes on their cards. Each has
a stub, a check, hints in steps and a folded solution. {wrong} wrong answers, such as learners plausibly give, are
planted in `tests/wrong_answers`, and each must be caught by the check that was meant to catch it. The last column says
by which, and how many are planted for it where there are several.

For this page every stub was checked (not attempted), every solution (right), and every planted answer (wrong, for the
reason that it was planted for). {tried}
"""


@dataclass(frozen=True)
class Line:
    """An exercise in the table."""

    exercise: Exercise
    path: Path
    hints: int
    slugs: tuple[str, ...]


def planted_by_notebook() -> None:
    """Load what is planted."""
    for path in sorted((repository_root() / "tests" / "wrong_answers").glob("nb[0-9][0-9].py")):
        importlib.import_module(f"tests.wrong_answers.{path.stem}")


def lines() -> Iterator[tuple[Line, object, ExerciseCells]]:
    """All exercises of the course in order, each with its notebook and its cells; runs none."""
    planted_by_notebook()
    for path in notebooks.all_notebooks():
        book, checks = notebooks.read(path), load_checks(path.name[:2])
        for number, cells in sorted(exercise_cells(book).items(), key=lambda item: in_order(item[0])):
            slugs = tuple(slug for planted, slug, _ in PLANTED if planted == number)
            yield Line(checks[number], path, cells.hints.source.count("<summary>Hint"), slugs), book, cells


def faults(one: Line, book, cells: ExerciseCells) -> list[str]:
    """Try an exercise; what was not as it must be."""
    exercise, found = one.exercise, []

    def verdict(source: str):
        scope = surroundings(book, cells.stub)
        exec(compile(source, "<answer>", "exec"), scope)
        return exercise(scope[exercise.name])

    for source, expected in ((cells.stub.source, NOT_ATTEMPTED), (solution_of(cells.hints), RIGHT)):
        if (result := verdict(source)).state != expected:
            found.append(f"{exercise.number}: expected {expected}, got {result}")
    for number, slug, answer in PLANTED:
        if number == exercise.number:
            result = replace(exercise, seconds=PATIENCE)(answer)
            if (result.state, result.slug) != (WRONG, slug):
                found.append(f"{number}, {answer.__name__}: expected {slug}, got {result}")
    return found


def page(table: list[Line], tried: str) -> str:
    """The page; it is the same for the same exercises, but for the sentence `tried`."""
    minutes = sum(one.exercise.minutes for one in table)
    count = {"exercises": len(table), "notebooks": len({one.path for one in table})}
    text = HEAD.format(**count, hours=minutes / 60, wrong=sum(len(one.slugs) for one in table), tried=tried)
    for path in dict.fromkeys(one.path for one in table):
        text += f"\n## [{notebooks.title_of(path)}](../notebooks/{path.name})\n\n"
        text += (
            "| | exercise | difficulty | minutes | hints | wrong answers | caught by |\n|---|---|---|---|---|---|---|\n"
        )
        for one in (one for one in table if one.path == path):
            e = one.exercise
            text += f"| {e.number} | {e.title} | {e.difficulty} | {e.minutes} | {one.hints} | {len(one.slugs)} | "
            text += f"{_counted(one.slugs)} |\n"
    return text


def _counted(slugs: tuple[str, ...]) -> str:
    times = {slug: slugs.count(slug) for slug in slugs}
    return ", ".join(f"{slug} ({count})" if count > 1 else slug for slug, count in times.items())


def is_current(text: str) -> bool:
    """Whether a stored page has the exercises that there are; runs none."""
    tried = next((line for line in text.split("\n") if TRIED in line), "")
    stored = TRIED + tried.partition(TRIED)[2]
    return text == page([line for line, _, _ in lines()], stored)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="run nothing, write nothing")
    if parser.parse_args(arguments).check:
        current = PAGE.exists() and is_current(PAGE.read_text(encoding="utf-8"))
        print(
            "docs/exercises.md is current" if current else "docs/exercises.md is not current: run this without --check"
        )
        return 0 if current else 1
    table, wrong = [], []
    try:
        for one, book, cells in lines():
            found = faults(one, book, cells)
            print(f"{one.exercise.number} {one.exercise.title}: {'; '.join(found) or 'as it must be'}", flush=True)
            table.append(one)
            wrong += found
    except CourseError as error:
        wrong.append(str(error))
    if wrong:
        print(f"\n{len(wrong)} are not as they must be; docs/exercises.md is left as it was", file=sys.stderr)
        return 1
    import torch

    write_atomically(PAGE, page(table, f"{TRIED}Python {platform.python_version()} and torch {torch.__version__}."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
