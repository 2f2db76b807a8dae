"""Exercise cells as nbgrader wants them in a source notebook: metadata of schema version 3, marked solutions and tests.

The format: https://nbgrader.readthedocs.io/en/stable/contributor_guide/metadata.html
"""

from pathlib import Path

from course.checks.cells import ExerciseCells
from course.checks.exercise import Exercise
from course.classroom.filling import filled
from course.classroom.points import points_of
from helpers.files import write_atomically

SCHEMA_VERSION = 3
BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"

# With the course's own stub in the place of a solution, an untouched answer is "not attempted yet".
CONFIG = """\
# For nbgrader, which reads it in the folder it is started in: `cd` here first.
c = get_config()  # noqa: F821
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
c.ExecutePreprocessor.timeout = 900  # seconds that a cell may take
"""


def mark(cells: ExerciseCells, solution: str, exercise: Exercise, scale: str) -> None:
    """Turn the cells of an exercise, in place, into an autograded answer and its autograder test.

    The test shows its verdict to the student; that the verdict must be "right" is a hidden test, so that a notebook
    without answers still runs to its end. When all is well nothing is shown, which nbgrader would read as points.
    """
    name = exercise.number.replace(".", "-")
    if exercise.begins_as is None:  # else the code to be repaired stays: nbgrader would put a stub in its place
        cells.stub.source = filled(cells.stub.source, solution, BEGIN_SOLUTION, END_SOLUTION)
        cells.stub.metadata["nbgrader"] = _metadata(f"answer-{name}", solution=True)
    hand_over = cells.check.source.rstrip().split("\n")[-1]  # merge = nb01.merge.use(my_merge)
    call = hand_over.partition(" = ")[2].replace(".use(", "(")
    cells.check.source += f"\n{BEGIN_HIDDEN}\nverdict = {call}\nassert verdict.state == 'right', verdict\n{END_HIDDEN}"
    cells.check.metadata["nbgrader"] = _metadata(
        f"check-{name}", grade=True, locked=True, points=points_of(exercise, scale)
    )
    for key, cell in (("card", cells.card), ("hints", cells.hints)):
        cell.metadata["nbgrader"] = _metadata(f"{key}-{name}", locked=True)
    # What is stored was said by the cell as it stood before.
    cells.check.metadata["tags"] = [t for t in cells.check.metadata.get("tags", []) if t != "nbval-check-output"]


def _metadata(grade_id: str, *, grade=False, solution=False, locked=False, points=None) -> dict:
    kind = {"grade": grade, "solution": solution, "locked": locked, "task": False}
    worth = {} if points is None else {"points": points}
    return kind | worth | {"grade_id": grade_id, "schema_version": SCHEMA_VERSION}


def write_config(folder: Path) -> str:
    """Write `nbgrader_config.py` unless there is one; a sentence that says which."""
    path = folder / "nbgrader_config.py"
    if path.exists():
        return f"{path}: left as it is"
    write_atomically(path, CONFIG)
    return f"{path}: written"
