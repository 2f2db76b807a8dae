"""Which exercises there are: every notebook's checks, loaded by its number."""

import importlib

from course.checks.exercise import REGISTRY, Exercise
from course.site import notebooks


def load_checks(number: str) -> dict[str, Exercise]:
    """The exercises of notebook `number` ("03") in their order, by their numbers ("3.1", "3.2", ...); none for a
    notebook that has no checks.
    """
    try:
        importlib.import_module(f"course.checks.nb{number}")
    except ModuleNotFoundError as error:
        if error.name != f"course.checks.nb{number}":
            raise
    own = [one for one in REGISTRY.values() if int(one.number.split(".")[0]) == int(number)]
    return {one.number: one for one in sorted(own, key=lambda one: in_order(one.number))}


def in_order(number: str) -> tuple[int, ...]:
    """A key that sorts "9.10" behind "9.2"."""
    return tuple(map(int, number.split(".")))


def all_exercises() -> dict[str, Exercise]:
    """The exercises of all notebooks, in the order of the course."""
    return {number: one for path in notebooks.all_notebooks() for number, one in load_checks(path.name[:2]).items()}
