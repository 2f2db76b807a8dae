"""How many points an exercise is worth: one rule for the handouts and for the grading."""

from helpers.checks.exercise import Exercise
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
