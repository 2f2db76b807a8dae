"""Write what a run showed as a small file, which can be sent back, and say whether it is as expected.

The file holds the recipe, the kind of machine, the losses, the speed and the memory; no text, no names, no paths.

examples:
  python -m course record runs/storyteller
  python -m course record runs/a runs/b runs/c --add-ranges
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folders", metavar="RUN", nargs="+", help="the folder of a run")
    parser.add_argument("--out", metavar="FILE", help="where to write it (default record.json in the run's folder)")
    parser.add_argument(
        "--add-ranges",
        action="store_true",
        help="make of all these runs, of one recipe on one kind of machine, data/reference_ranges.json",
    )


def run(arguments: argparse.Namespace) -> int:
    from course import reference_ranges
    from helpers.errors import CourseError
    from helpers.files import write_json

    if arguments.out and len(arguments.run_folders) > 1:
        raise CourseError("--out is for one run: leave it away, and each folder gets its record.json")
    records = [reference_ranges.record(folder) for folder in arguments.run_folders]
    # All are read before one is written.
    verdicts = list(map(reference_ranges.judge_run, arguments.run_folders, records))
    if arguments.add_ranges:
        reference_ranges.ranges_of(records)
    for folder, found, verdict in zip(arguments.run_folders, records, verdicts, strict=True):
        path = write_json(arguments.out or Path(folder) / "record.json", found)
        print(f"{path}: {found['recipe']['name']} on profile {found['profile']}, {found['steps']:,} steps")
        print(verdict or "no reference ranges yet for this recipe on this kind of machine: yours could be the first")
    if arguments.add_ranges:
        print(f"{reference_ranges.add_ranges(records)} now has the reference ranges of these runs")
    else:
        print("to send it back, open an issue at the course's address and attach the file")
    return 0
