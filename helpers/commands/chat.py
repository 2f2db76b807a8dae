"""Tell stories with a model: type a beginning, and it goes on.

Ctrl-C stops a story; an empty line, Ctrl-D, or Ctrl-C at the prompt leaves.

examples:
  python -m helpers chat
  python -m helpers chat --model runs/storyteller --temperature 1
"""

import argparse
import sys

from helpers.commands.options import add_model, add_sampling, load, sampling
from helpers.errors import CourseError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_sampling(parser)


def run(arguments: argparse.Namespace) -> int:
    options = sampling(arguments)
    from helpers.generation import stream

    model, tokenizer = load(arguments)
    asks = sys.stdin.isatty()
    if asks:
        print("Type how a story begins. An empty line leaves; Ctrl-C stops a story.")
    while line := _next_line("\nyou> " if asks else ""):
        try:
            print(line, end="", flush=True)
            for piece in stream(model, tokenizer, line, **options):
                print(piece, end="", flush=True)
            print()
        except CourseError as error:
            print(f"\nerror: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print(" ...")
    return 0


def _next_line(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        print()
        return ""
