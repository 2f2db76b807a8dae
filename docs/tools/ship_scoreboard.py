"""Write data/scoreboard.json, the rows that a learner sees of earlier notebooks that were not run on their machine.

python docs/tools/ship_scoreboard.py                  # executes every notebook that adds a row, in an empty runs folder
python docs/tools/ship_scoreboard.py --runs FOLDER    # takes the rows of notebooks that have already been run there

Do this again whenever the bundled stories or a notebook's models change; tests/test_notebook_03.py notices if it was
forgotten.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import data_folder, read_json, write_json


def execute_into(runs: Path) -> None:
    """Run the notebooks that add rows; nothing of them is stored."""
    os.environ["COURSE_RUNS"] = str(runs)
    for path in notebooks.all_notebooks():
        book = notebooks.read(path)
        if any(cell.cell_type == "code" and "scoreboard.add(" in cell.source for cell in book.cells):
            print(path.stem, flush=True)
            notebooks.execute(book)


def ship(runs: Path) -> int:
    """Gather the rows under `runs`, worst first, and write them; how many there are."""
    rows = [row for path in sorted((runs / "scoreboard").glob("*.json")) for row in read_json(path)]
    if not rows:
        raise CourseError(f"no notebook has added a row in {runs}")
    rows.sort(key=lambda row: (row["notebook"], -row["bits_per_byte"]))
    digits = {"bits_per_byte": 6, "nats_per_token": 6}
    for row in rows:
        row.pop("shipped", None)
        row |= {key: round(row[key], places) for key, places in digits.items() if row[key] is not None}
    write_json(data_folder() / "scoreboard.json", rows)
    return len(rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="a runs folder in which the notebooks have been executed")
    asked = parser.parse_args(arguments)
    try:
        if asked.runs:
            number = ship(asked.runs)
        else:
            with tempfile.TemporaryDirectory() as folder:
                execute_into(Path(folder))
                number = ship(Path(folder))
    except CourseError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(f"{number} rows in data/scoreboard.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
