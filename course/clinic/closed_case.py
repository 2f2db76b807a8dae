"""The closed case: a whole training script with three faults and no hint, marked by what it reaches.

from course.clinic import closed_case

closed_case.open()      # puts the script into runs/clinic/closed_case.py, for you to repair
closed_case.mark()      # runs your file in a process of its own, and says what it reaches
"""

import ast
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from course.checks.result import NOT_ATTEMPTED, RIGHT, WRONG, as_html, as_text
from course.clinic.closed_case_measures import CONTEXT
from helpers.files import data_folder, read_json, regular, repository_root, runs_folder, write_atomically

SCRIPT = Path(__file__).with_name("closed_case_script.py")
RECORD = data_folder() / "recorded" / "closed_case.json"  # what the repaired script reached, seed by seed
SECONDS = 300  # many times what it takes, for a machine that is busy

# Of each number that is reached: what it is, how it is written, and whether it is as good as those of healthy runs.
ITEMS = {
    "validation": (
        "validation loss, measured by the course: each token is asked for from what stands before it, and nothing else",
        "{:.2f}",
        lambda value, healthy: value <= max(healthy) + 0.1,
    ),
    "reported": (
        "how far the validation loss that the script itself reports is from that",
        "{:.2f}",
        lambda value, healthy: value <= max(healthy) + 0.05,
    ),
    "loaded": (
        "largest difference between the logits of the model that was trained and of the one that was loaded",
        "{:.4f}",
        lambda value, healthy: value <= max(healthy) + 1e-4,
    ),
    "told": (
        f"fraction of what it tells that its own model finds most probable, reading the {CONTEXT} tokens before",
        "{:.2f}",
        lambda value, healthy: value >= min(healthy) - 0.03,
    ),
}


@dataclass(frozen=True)
class Mark:
    """What a script reached, or why it reached nothing, as a notebook and a terminal show it."""

    state: str
    verdict: str
    lines: list[tuple[str, str]]
    reached: dict

    def __repr__(self) -> str:
        return as_text(self.state, f"The closed case: {self.verdict}", self.lines)

    def _repr_html_(self) -> str:
        return as_html(self.state, "The closed case:", self.verdict, self.lines)


def open() -> Path:
    """The learner's own copy of the script, written when none is there; one that is there stays as it is."""
    path = regular(runs_folder() / "clinic" / "closed_case.py")
    return path if path.exists() else write_atomically(path, SCRIPT.read_text(encoding="utf-8"))


def mark(path: str | Path | None = None, seed: int = 0, seconds: float = SECONDS) -> Mark:
    """Run a script, by default the learner's own, and say what it reaches beside what healthy ones reach."""
    path = regular(path or open())
    untouched = same_code(path.read_text(encoding="utf-8"), SCRIPT.read_text(encoding="utf-8"))
    reached, printed = run(path, seed, seconds)
    if reached is None:
        return Mark(WRONG, "it did not run to its end", [("it said", printed)], {})
    recorded, lines, passed = read_json(RECORD)["reached"], [], 0
    for name, (what, form, is_healthy) in ITEMS.items():
        healthy = [each[name] for each in recorded]
        good, low, high = is_healthy(reached[name], healthy), form.format(min(healthy)), form.format(max(healthy))
        span = low if low == high else f"{low} to {high}"
        passed += good
        lines.append((what, f"{form.format(reached[name])}{'' if good else ' (not yet)'}; a healthy script: {span}"))
    lines += [("it tells", reached["sample"]), ("it printed", printed)]
    if untouched:
        return Mark(NOT_ATTEMPTED, f"not attempted yet: {told(path)} is as it was", lines, reached)
    verdict = f"{passed} of {len(ITEMS)} numbers are those of a healthy script"
    return Mark(RIGHT if passed == len(ITEMS) else WRONG, verdict, lines, reached)


def told(path: Path) -> str:
    """The path as the notebooks tell it: from the runs folder on."""
    inside = path.is_relative_to(runs_folder())
    return f"runs/{path.relative_to(runs_folder()).as_posix()}" if inside else str(path)


def same_code(one: str, other: str) -> bool:
    """Whether two programs differ at most in comments and layout."""
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except SyntaxError:
        return False


def run(path: Path, seed: int, seconds: float) -> tuple[dict | None, str]:
    """What the script at `path` reaches in a process of its own, or None if it broke off, and its last lines."""
    with tempfile.TemporaryDirectory(prefix="closed-case-") as folder:
        command = [sys.executable, "-m", "course.clinic.closed_case_measures", str(path.absolute()), str(seed), folder]
        try:
            done = subprocess.run(
                command, cwd=repository_root(), capture_output=True, text=True, encoding="utf-8", timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return None, f"nothing after {seconds:.0f} seconds, and was stopped"
        result = Path(folder) / "reached.json"
        printed = done.stdout if result.exists() else done.stdout + done.stderr
        return (read_json(result, nan=True) if result.exists() else None), "\n".join(printed.strip().split("\n")[-12:])
