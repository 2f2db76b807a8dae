"""Write the map of the course into README.md, from the syllabus, the hours to learn and the recorded times.

python docs/tools/readme_map.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import learning_time
from readme_tables import with_table

import course
from course.site.syllabus import SYLLABUS
from helpers.files import repository_root, write_atomically


def table() -> str:
    """The map as a Markdown table; a notebook that does not exist is called planned, and has no link."""
    seconds, learning = course.notebook_seconds("cpu"), learning_time.times()
    rows = ["| | notebook | what it does | hours to learn | minutes to run |", "|---|---|---|---|---|"]
    for entry in SYLLABUS:
        name = f"[{entry.title}](notebooks/{entry.name}.ipynb)" if entry.exists else entry.title
        hours = f"{learning[entry.name].hours:.1f}" if entry.exists else ""
        minutes = _minutes(seconds.get(entry.name)) if entry.exists else "planned"
        rows.append(f"| {entry.number} | {name} | {entry.line} | {hours} | {minutes} |")
    return "\n".join(rows)


def _minutes(seconds: float | None) -> str:
    return "not timed yet" if seconds is None else f"{seconds / 60:.1f}"


def with_map(text: str) -> str:
    """The README's text with the present map between its two marks."""
    return with_table(text, "map", table())


if __name__ == "__main__":
    readme = repository_root() / "README.md"
    write_atomically(readme, with_map(readme.read_text(encoding="utf-8")))
