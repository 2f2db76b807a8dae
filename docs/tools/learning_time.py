"""How long it takes to learn from the notebooks: reading them, and doing their exercises.

python docs/tools/learning_time.py        # a line for each notebook

Reading is computed from the words of the prose and the statements of the code, at speeds stated here; the exercises'
minutes stand on their cards. What is folded away (hints, solutions) is not counted, and neither is running.
"""

import ast
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from course.checks.registry import load_checks
from course.site import notebooks
from course.site.syllabus import SYLLABUS

WORDS_A_MINUTE = 150  # slower than one reads a novel: there are formulas and figures between
STATEMENTS_A_MINUTE = 15  # of code that is read, not written; how its lines are broken does not matter
_FOLDED = re.compile(r"<details.*?</details>|```.*?```|<!--.*?-->", flags=re.DOTALL)
_TARGETS = re.compile(r"\]\([^)]*\)")
_WORD = re.compile(r"\w+(?:[-'’.,]\w+)*")


@dataclass(frozen=True)
class Time:
    """Minutes."""

    reading: float
    exercises: int

    @property
    def hours(self) -> float:
        return (self.reading + self.exercises) / 60


def words_of(text: str) -> int:
    """The words of a text cell that are seen when nothing is unfolded; code in fences and addresses are not words."""
    return len(_WORD.findall(_TARGETS.sub("]", _FOLDED.sub(" ", text))))


def statements_of(source: str) -> int:
    """The statements of a code cell, those inside of functions and classes among them."""
    return sum(isinstance(node, ast.stmt) for node in ast.walk(ast.parse(source)))


def reading(cells) -> float:
    """The minutes that reading these cells takes, without their outputs."""
    words = sum(words_of(cell.source) for cell in cells if cell.cell_type == "markdown")
    statements = sum(statements_of(cell.source) for cell in cells if cell.cell_type == "code")
    return words / WORDS_A_MINUTE + statements / STATEMENTS_A_MINUTE


@cache
def times() -> dict[str, Time]:
    """For each notebook ("05_self_attention") the minutes of reading and of its exercises."""
    found = {}
    for entry in SYLLABUS:
        if entry.exists:
            cells = notebooks.read(notebooks.folder() / f"{entry.name}.ipynb").cells
            minutes = sum(exercise.minutes for exercise in load_checks(entry.number).values())
            found[entry.name] = Time(reading(cells), minutes)
    return found


def whole() -> Time:
    """All notebooks together."""
    return Time(sum(one.reading for one in times().values()), sum(one.exercises for one in times().values()))


if __name__ == "__main__":
    for name, one in [*times().items(), ("all", whole())]:
        print(f"{name:28} {one.reading:4.0f} min to read, {one.exercises:4} min of exercises, {one.hours:4.1f} hours")
