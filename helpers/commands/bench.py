"""Measure how fast the course's GPT trains, beside `transformers`' GPT-2 with the same weights and batches.

Both sides take turns in one process; a ratio above 1 says how many times as fast the course's model is. The
largest size holds two models of 124M parameters: about 5 GB of memory, and minutes on a processor.

examples:
  python -m helpers bench
  python -m helpers bench --size storyteller --size gpt2-small --rounds 3 --json
"""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size",
        action="append",
        metavar="NAME",
        help="storyteller, 12x384 or gpt2-small; may repeat (default: storyteller and gpt2-small)",
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns for each side (default 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(arguments: argparse.Namespace) -> int:
    from helpers.bench import describe, run_benchmark

    benchmark = run_benchmark(arguments.size or ("storyteller", "gpt2-small"), arguments.rounds)
    print(json.dumps(benchmark) if arguments.json else describe(benchmark))
    return 0
