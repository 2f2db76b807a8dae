"""Train the small runs from which notebook 13 learns about scale, and keep their results in data/recorded/scaling/.

What is recorded is not run again; what was stopped goes on from its newest checkpoint.

examples:
  python -m course scaling grid --list
  python -m course scaling grid
  python -m course scaling grid --only seed0 --workers 4
"""

import argparse
from collections.abc import Iterable

from helpers.errors import CourseError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from course.scaling.experiments import EXPERIMENTS

    add_options(parser, EXPERIMENTS)


def add_options(parser: argparse.ArgumentParser, experiments: Iterable[str]) -> None:
    """Those of every command that runs experiments."""
    parser.add_argument("experiment", choices=experiments, help="what to run")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, each of one thread (default 2)")
    parser.add_argument("--only", metavar="TEXT", help="only runs with this in their name")
    parser.add_argument("--list", action="store_true", help="say what is recorded and what is missing, and run nothing")


def check_workers(workers: int) -> None:
    """Refuse more processes than any machine is given at a time, before any is started."""
    if not 1 <= workers <= 64:
        raise CourseError(f"--workers must be from 1 to 64, not {workers}")


def run(arguments: argparse.Namespace) -> int:
    from course.scaling import running

    check_workers(arguments.workers)
    only = arguments.only or ""
    if arguments.list:
        for row in running.recorded(arguments.experiment):
            print(running.in_words(row))
        for point in running.missing(arguments.experiment, only):
            print(f"{point.name}: to be run, {point.steps:,} steps")
        return 0
    found = running.run_experiment(arguments.experiment, arguments.workers, only)
    print(f"{running.record_of(arguments.experiment)}: {len(found)} runs")
    return 0
