"""Teach the shipped storyteller to listen, in all the ways that notebook 15 shows, and keep what came of it.

The results are kept in data/recorded/instructions/. What is recorded is not run again.

examples:
  python -m course listening --list
  python -m course listening tuning grpo
  python -m course listening tuning --only "LoRA rank 4, seed 0"
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", nargs="*", help="which to run; all of them if none is named")
    parser.add_argument("--only", metavar="TEXT", help='only runs whose "NAME, seed N" has this in it')
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="how many run at a time (2)")
    parser.add_argument("--list", action="store_true", help="say what is recorded and what is missing, and run nothing")


def run(arguments: argparse.Namespace) -> int:
    from course.cli.scaling import check_workers
    from course.instructions import experiments, recording

    check_workers(arguments.workers)
    for experiment in arguments.experiment or experiments.VARIANTS:
        if arguments.list:
            for row in recording.recorded(experiment):
                print(f"{experiment}: {recording.in_words(row)}")
            for name, seed in recording.missing(experiment, arguments.only or ""):
                print(f"{experiment}: {name}, seed {seed}: to be run")
        else:
            recording.run_experiment(experiment, arguments.workers, arguments.only or "")
    return 0
