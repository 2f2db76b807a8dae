"""Measure how fast the course's GPT trains and generates, beside `transformers` with the same weights.

Training is measured beside a plain model such as nanoGPT's, too. All sides take turns in one process; a ratio above 1
says how many times as fast the course's model is. The largest size trains three models of 124M parameters: about 7 GB
of memory, and minutes on a CPU. What else runs on the machine disturbs it.

On a GPU (`--only gpu`) training is measured in half precision, both sides plain and compiled by torch.compile, with the
fraction of the GPU's own speed that is reached (MFU). To send such a measurement back, keep what `--json` prints.

examples:
  python -m course bench
  python -m course bench --only decoding --size storyteller
  python -m course bench --only decoding --size gpt2-small --tokens 200
  python -m course bench --only training --size storyteller --rounds 3 --json
  python -m course bench --only gpu --json > data/recorded/bench-gpu.json
"""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size",
        action="append",
        metavar="NAME",
        help="storyteller, 12x384 (training only) or gpt2-small; may repeat (default: all)",
    )
    parts = ("training", "decoding", "gpu")
    parser.add_argument("--only", choices=parts, help="only this part (default: training and decoding, on the CPU)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns for each side (default 5)")
    parser.add_argument("--tokens", type=int, metavar="N", help="tokens of a story (default 200; 64 for gpt2-small)")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(arguments: argparse.Namespace) -> int:
    from course.bench import generation, gpu, training

    if arguments.only == "gpu":
        on_gpu = gpu.run_on_gpu(arguments.size or list(gpu.SIZES), arguments.rounds)
        print(json.dumps(on_gpu) if arguments.json else gpu.describe_gpu(on_gpu))
        return 0
    sizes = arguments.size or list(training.SIZES)
    benchmark: dict = {}
    if arguments.only != "decoding":
        benchmark = training.run_benchmark(sizes, arguments.rounds)
        if not arguments.json:
            print(training.describe(benchmark), flush=True)
    if arguments.only != "training":
        # A size that was asked for by name and is not measured here is refused where only decoding is.
        named = arguments.only and arguments.size
        generated = [size for size in sizes if named or size in generation.TOKENS]
        decoding = generation.run_decoding(generated, arguments.rounds, arguments.tokens)
        benchmark["decoding"] = decoding
        if not arguments.json:
            print(generation.describe_decoding(decoding))
    if arguments.json:
        print(json.dumps(benchmark))
    return 0
