"""How many points an exercise is worth: one rule for the handouts and for the grading."""

import re

from course.checks.exercise import Exercise
from course.classroom import plans
from helpers.errors import CourseError

SCALES = ("difficulty", "minutes", "equal")


def points_of(exercise: Exercise, scale: str = "difficulty") -> int:
    """The points of an exercise.

    Args:
        scale: "difficulty" gives 1, 2 or 3, "minutes" as many as its card says, "equal" 1 for each.
    """
    if scale not in SCALES:
        raise CourseError(f"points go by {', '.join(SCALES)}, not by {scale!r}")
    return {"difficulty": exercise.difficulty, "minutes": exercise.minutes, "equal": 1}[scale]


def halves_of(number: str) -> dict[str, set[str]]:
    """By exercise of notebook `number` ("05"), the checks at which a wrong answer still earns half of the points.

    They are those of the table of marks in the notebook's teaching plan, docs/teaching/05.md, where a lecturer may
    change them.

    Raises:
        CourseError: there is no such plan, or it has no such table.
    """
    plan = plans.path_of(number)
    text = plan.read_text(encoding="utf-8") if plan.is_file() else ""
    marks = plans.part(text, "Marks").split("\n### ")[0]
    rows = re.findall(r"^\| (\d+\.\d+) [^|]*\| *\d+ *\|([^|]*)\|", marks, re.MULTILINE)
    if not rows:
        raise CourseError(f"{plan} has no table of marks, which says what earns half: mark without --halves")
    return {exercise: set(re.findall(r"`([^`]+)`", slugs)) for exercise, slugs in rows}
