"""What you have built: every exercise, whether your answer is kept, and the parts of runs/my_gpt.py.

An answer is kept in runs/parts/ when it passes its check in a notebook. runs/my_gpt.py is put together from those that
are parts of the model.

examples:
  python -m course mine
  python -m course mine --missing
  python -m course mine --forget 6.3
"""

import argparse

from course import mine
from course.checks import kept
from course.checks.registry import all_exercises
from course.site import notebooks
from helpers.errors import CourseError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--missing", action="store_true", help="list only what is missing")
    parser.add_argument("--forget", metavar="N.M", action="append", default=[], help="remove the kept answer to N.M")


def run(arguments: argparse.Namespace) -> int:
    exercises = all_exercises()
    for number in arguments.forget:
        if number not in exercises:
            raise CourseError(f"there is no exercise {number}")
        gone = kept.forget(number, exercises[number].part)
        print(f"exercise {number}: " + ("your answer is no longer kept" if gone else "no answer was kept"))
    found = {part.exercise.number: part for part in mine.parts()}
    names = {int(path.name[:2]): path.stem for path in notebooks.all_notebooks()}
    there = {number for number, one in exercises.items() if kept.kept(number, one.part) is not None}
    last = None
    for number, one in exercises.items():
        if arguments.missing and number in there and not getattr(found.get(number), "why", ""):
            continue
        if (notebook := int(number.split(".")[0])) != last:
            print(f"\n{names[notebook]}" if last is not None else names[notebook])
            last = notebook
        state = "yours" if number in there else "missing"
        model = " (a part of the model)" if number in found else ""
        print(f"  {number:6} {state:8} {one.title}: {one.part}{model}")
        if number in found and found[number].why:
            print(f"         not used: {found[number].why}")
    print(f"\n{len(there)} of {len(exercises)} exercises are solved and kept in {kept.folder()}.")
    print(mine.summary(list(found.values())))
    mine.write(list(found.values()))
    return 0
