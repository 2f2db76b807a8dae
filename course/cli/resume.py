"""Go on with a run that was stopped, exactly where it was.

On a CPU the result is the same, bit for bit, as if the run had never stopped.

examples:
  python -m course resume runs/storyteller
"""

import argparse

from course.cli.options import add_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="the folder of the run")
    add_device(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no samples")


def run(arguments: argparse.Namespace) -> int:
    from course.cli import train

    return train.resume(arguments.run_folder, arguments.device, arguments.quiet)
