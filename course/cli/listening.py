"""Teach the shipped storyteller to listen, once for each run of the record, and keep what came of it.

The results are kept in data/recorded/instructions/. What is recorded is not run again.

examples:
  python -m course listening --list
  python -m course listening
  python -m course listening --only seed0
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="TEXT", help="only runs with this in their name")
    parser.add_argument("--list", action="store_true", help="say what is recorded and what is missing, and run nothing")


def run(arguments: argparse.Namespace) -> int:
    from course.instructions import recording

    found = recording.recorded()
    for row in found:
        print(recording.in_words(row))
    done = {row["name"] for row in found}
    for name in recording.RUNS:
        if name in done or (arguments.only or "") not in name:
            continue
        print(f"{name}: to be run" if arguments.list else recording.in_words(recording.run(name)), flush=True)
    return 0
