"""Measure how fast the course's GPT trains and generates, beside `transformers` with the same weights.

Training is measured beside a plain model such as nanoGPT's, too. All sides take turns in one process; a ratio above 1
says how many times as fast the course's model is. The largest size trains three models of 124M parameters: about 7 GB
of memory, and minutes on a CPU. What else runs on the machine disturbs it.

On a GPU (`--only gpu`) training is measured in half precision, both sides plain and compiled by torch.compile, with the
fraction of the GPU's own speed that is reached (MFU). What is aimed at is 1.25 times the speed of `transformers`
compiled. To send such a measurement back, keep what `--json` prints.

`--only ladder` switches the options of a training step on one after the other, from plain float32 to what a run does
here, with tokens a second and peak memory of each. It measures GPT-2 on a GPU, and where there is none a thin model on
the CPU, without the options that a CPU cannot profit from.

examples:
  python -m course bench
  python -m course bench --only decoding --size storyteller
  python -m course bench --only decoding --size gpt2-small --tokens 200
  python -m course bench --only training --size storyteller --rounds 3 --json
  python -m course bench --only gpu --json > bench-gpu.json
  python -m course bench --only ladder
  python -m course bench --only ladder --size thin --rounds 3 --json
"""

import argparse
import json

from helpers.errors import CourseError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size",
        action="append",
        metavar="NAME",
        help="storyteller, 12x384 (training only) or gpt2-small; on a GPU gpt2-small (default) or tinystories-t4; "
        "of the ladder gpt2-small (default on a GPU) or thin; may repeat (default: all)",
    )
    parts = ("training", "decoding", "gpu", "ladder")
    parser.add_argument("--only", choices=parts, help="only this part (default: training and decoding, on the CPU)")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="turns for each side (default 5; of the ladder 3, or 1)"
    )
    parser.add_argument("--tokens", type=int, metavar="N", help="tokens of a story (default 200; 64 for gpt2-small)")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(arguments: argparse.Namespace) -> int:
    from course.bench import generation, gpu, training

    if arguments.tokens is not None and not 1 <= arguments.tokens <= 100_000:
        raise CourseError(f"tokens must be from 1 to 100,000, got {arguments.tokens}")
    if arguments.rounds is not None and not 1 <= arguments.rounds <= 10_000:
        raise CourseError(f"rounds must be from 1 to 10,000, got {arguments.rounds}")
    if arguments.only == "ladder":
        return _ladder(arguments)
    arguments.rounds = 5 if arguments.rounds is None else arguments.rounds
    if arguments.only == "gpu":
        on_gpu = gpu.run_on_gpu(arguments.size or ["gpt2-small"], arguments.rounds)
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


def _ladder(arguments: argparse.Namespace) -> int:
    from course.bench import ladder
    from course.cli.options import device_of

    device = device_of("auto")
    sizes = arguments.size or ["gpt2-small" if device == "cuda" else "thin"]
    measured = {size: ladder.measure_ladder(size, device, turns=arguments.rounds) for size in sizes}
    print(json.dumps(measured) if arguments.json else "\n".join(map(ladder.describe_ladder, measured.values())))
    return 0
