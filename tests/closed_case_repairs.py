"""The three repairs of the closed case, (ill, repaired) each: for the tests, and for the record of what is healthy.

The mask lets each position see the one behind it, which is what it is asked for. AdamW knows no attribute `lr`: its
rate stays the default, whatever the schedule says. And what is told is read from its beginning, not up to its end.
"""

import tempfile
from pathlib import Path

from course.clinic import closed_case
from helpers.files import write_atomically, write_json

REPAIRS = {
    "attention": (".triu(diagonal=2)", ".triu(diagonal=1)"),
    "learning rate": (
        "        optimizer.lr = learning_rate(step)\n",
        '        for group in optimizer.param_groups:\n            group["lr"] = learning_rate(step)\n',
    ),
    "telling": ("window = ids[:CONTEXT]", "window = ids[-CONTEXT:]"),
}


def script(left_in: tuple[str, ...] = ()) -> str:
    """The script repaired, but for the faults named in `left_in`."""
    text = closed_case.SCRIPT.read_text(encoding="utf-8")
    for fault, (ill, repaired) in REPAIRS.items():
        assert text.count(ill) == 1, fault
        text = text if fault in left_in else text.replace(ill, repaired)
    return text


def main(seeds: range = range(5)) -> None:
    """Write the record of what the repaired script reaches: python -m tests.closed_case_repairs"""
    with tempfile.TemporaryDirectory() as folder:
        path = write_atomically(Path(folder) / "repaired.py", script())
        reached = [closed_case.run(path, seed, closed_case.SECONDS)[0] for seed in seeds]
    write_json(closed_case.RECORD, {"seeds": list(seeds), "reached": reached})


if __name__ == "__main__":
    main()
