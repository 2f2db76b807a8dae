"""Every notebook runs to its end on stories of one's own, however short, few or strange they are.

By hand, and on any other source: python tests/test_own_stories.py 06 FILE [whole]
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ("00", "01", "02", "03", "04", "05", "06", "09")

# What takes long, and what it is here: the place must be found, so that a notebook that changes is told of.
SHORTER: dict[str, dict[str, str]] = {
    "03": {"range(101)": "range(9)"},
    "04": {"range(600)": "range(30)", "steps: int = 600": "steps: int = 30"},
    "05": {"= 1400, 20, 2e-2": "= 40, 20, 2e-2", "[128, 256, 512, 1024, 2048]": "[128, 256]"},
    "09": {"generate_batch(model, prompts, 230,": "generate_batch(model, prompts, 60,"},
}


def short_stories(number: int = 240) -> list[str]:
    """Stories of about twenty tokens, in words of which few are the course's."""
    chance = random.Random(3)
    names, animals = ("Tom", "Mia", "Ben", "Lily"), ("fox", "cat", "dog", "bear", "frog")
    places, things = ("park", "lake", "house", "hill"), ("ball", "kite", "book", "hat")
    return [
        f"{chance.choice(names)} the {chance.choice(animals)} had a {chance.choice(things)}. They went to the "
        f"{chance.choice(places)}." + (" It was fun." if chance.random() < 0.3 else "") + f" {n}"
        for n in range(number)
    ]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_notebook_runs_to_its_end_on_short_stories(tmp_path, number):
    source = tmp_path / "short.txt"
    source.write_text("\n<|endoftext|>\n".join(short_stories()), encoding="utf-8")
    environment = os.environ | {"COURSE_RUNS": str(tmp_path / "runs"), "MPLBACKEND": "agg"}
    command = [sys.executable, __file__, number, str(source)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def run(number: str, source: str, whole: bool) -> int:
    """Run the cells of a notebook in this process, and say which failed; how many did."""
    os.environ["COURSE_STORIES"] = str(Path(source).absolute()) if Path(source).exists() else source
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT / "notebooks")
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    from course.site import notebooks

    book = notebooks.read(notebooks.chosen([number])[0])
    shorter = {} if whole else SHORTER.get(number, {})
    missing = set(shorter)
    shell, failed = InteractiveShell.instance(), 0
    for at, cell in enumerate(book.cells):
        if cell.cell_type != "code" or "quiz" in notebooks.tags_of(cell):
            continue
        for long, short in shorter.items():
            missing -= {long} if long in cell.source else set()
            cell.source = cell.source.replace(long, short)
        began = time.perf_counter()
        with capture_output() as said:
            result = shell.run_cell(cell.source)
        if (spent := time.perf_counter() - began) > 3:
            print(f"cell {at} of {number}: {spent:.0f} s", flush=True)
        if not result.success and "raises-exception" not in notebooks.tags_of(cell):
            failed += 1
            print(f"cell {at} of {number}: {result.error_in_exec or result.error_before_exec!r}\n{said.stdout[-2000:]}")
            if not whole:
                break
    if missing and not failed:
        failed += 1
        print(f"notebook {number} no longer has {missing}: mend SHORTER")
    return failed


if __name__ == "__main__":
    sys.exit(min(1, run(sys.argv[1], sys.argv[2], len(sys.argv) > 3)))
