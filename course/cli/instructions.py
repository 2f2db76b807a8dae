"""Make the orders and questions of notebook 15 again, byte for byte: data/instructions/, or a set of another size.

examples:
  python -m course instructions --out data/instructions
  python -m course instructions --out runs/orders --count 20000 --seed 1
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", required=True, help="the folder to write to")
    parser.add_argument("--count", type=int, metavar="N", help="training conversations (default: as many as shipped)")
    parser.add_argument("--seed", type=int, metavar="N", help="decides which stories are asked for, and how")


def run(arguments: argparse.Namespace) -> int:
    from course.instructions import dataset
    from helpers.errors import CourseError
    from helpers.files import folder_to_be

    count = dataset.TRAIN if arguments.count is None else arguments.count
    if count < 1:
        raise CourseError(f"--count must be 1 or more, not {count}")
    folder = folder_to_be(Path(arguments.out))
    made = dataset.make(count, dataset.SEED if arguments.seed is None else arguments.seed)
    paths = dataset.write(folder, made)
    size = sum(path.stat().st_size for path in paths)
    counts = ", ".join(f"{len(rows):,} {split}" for split, rows in made.items())
    print(f"{folder}: {counts}; {size / 1e3:.0f} kB")
    return 0
