"""Train the small runs in which notebook 14 holds each change since GPT-2 to what it replaced.

The results are kept in data/recorded/since_gpt2/. What is recorded is not run again; what was stopped goes on from its
newest checkpoint.

examples:
  python -m course since-gpt2 parts --list
  python -m course since-gpt2 parts
  python -m course since-gpt2 parts --only seed0 --workers 4
"""

import argparse

from course.cli.scaling import add_options, run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from course.since_gpt2 import EXPERIMENTS

    add_options(parser, EXPERIMENTS)
