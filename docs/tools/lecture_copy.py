"""Make the lecturer's copy of a notebook: the demonstrations of its teaching plan as cells, where they belong.

    python docs/tools/lecture_copy.py 05                 runs/lectures/05_self_attention.ipynb, not run
    python docs/tools/lecture_copy.py 05 06 --execute    run from top to bottom: outputs to show if a runtime dies

The plans are `docs/teaching/NN.md`; `docs/teaching.md` is their manual. The notebooks themselves are not touched.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from course.classroom import plans
from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import runs_folder, write_atomically

_DEMONSTRATION = re.compile(
    r"^### (?P<title>\d\. [^\n]+)\n.*?"
    r"^After the cell that holds `(?P<anchor>[^\n]+)`, run:\n\n```python\n(?P<code>.*?)\n```",
    flags=re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Demonstration:
    """A cell to run in front of a class: its title, a line of the cell before it, its code."""

    title: str
    anchor: str
    code: str


def demonstrations(plan: str) -> list[Demonstration]:
    """Those of a plan, in its order."""
    part = plans.part(plan, "Live demonstrations")
    return [Demonstration(**match.groupdict()) for match in _DEMONSTRATION.finditer(part)]


def with_demonstrations(book, shown: list[Demonstration]):
    """`book` with a heading and a code cell for each demonstration, behind the cell that holds its anchor.

    Raises:
        CourseError: no code cell, or more than one, holds an anchor.
    """
    from nbformat.v4 import new_code_cell, new_markdown_cell

    behind = {}  # the id of a cell -> the cells that come after it
    for each in shown:
        found = [cell.id for cell in book.cells if cell.cell_type == "code" and each.anchor in cell.source]
        if len(found) != 1:
            raise CourseError(f"{len(found)} cells hold {each.anchor!r}: mend the plan's demonstration {each.title!r}")
        heading = new_markdown_cell(f"### Demonstration {each.title}")
        behind.setdefault(found[0], []).extend([heading, new_code_cell(each.code)])
    book.cells = [new for cell in book.cells for new in (cell, *behind.get(cell.id, []))]
    return book


def lecture_copy(number: str, execute: bool) -> Path:
    """Write the copy of notebook `number` ("05") and return where it is."""
    plan = plans.path_of(number)
    source = next((path for path in notebooks.all_notebooks() if path.name.startswith(f"{number}_")), None)
    if source is None or not plan.exists():
        raise CourseError(f"there is no notebook with a teaching plan of number {number!r}: say 05, for example")
    book = with_demonstrations(notebooks.read(source), demonstrations(plan.read_text(encoding="utf-8")))
    if execute:
        notebooks.execute(book)
    target = runs_folder() / "lectures" / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, notebooks.as_text(book))
    return target


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        epilog="docs/teaching.md is the manual.",
        formatter_class=argparse.HelpFormatter,
    )
    parser.add_argument("numbers", metavar="NN", nargs="+", help="notebooks by their numbers, such as 05")
    parser.add_argument("--execute", action="store_true", help="run the copies from top to bottom")
    arguments = parser.parse_args()
    try:
        for number in arguments.numbers:
            print(lecture_copy(number, arguments.execute))
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
