"""Options that several commands share."""

import argparse
from pathlib import Path

from helpers import ENGINES
from helpers.errors import CourseError
from helpers.files import data_folder

TEMPERATURE = 0.8  # where none was asked for
CHECKED = ("max_new_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty")


def add_model(parser: argparse.ArgumentParser) -> None:
    """--model and --device."""
    parser.add_argument(
        "--model", metavar="DIR", help="a model's folder (default: the storyteller that comes with the course)"
    )
    add_device(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device."""
    parser.add_argument(
        "--device", metavar="NAME", default="auto", help='"cpu", "cuda" or "auto": a GPU if there is one (default)'
    )


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """How tokens are sampled."""
    group = parser.add_argument_group("how tokens are sampled")
    group.add_argument("--max-new-tokens", type=int, default=300, metavar="N", help="stop after N tokens (default 300)")
    group.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help=f"below 1 is safer, above 1 bolder, 0 is --greedy (default {TEMPERATURE})",
    )
    group.add_argument("--top-k", type=int, metavar="K", help="sample from the K most probable tokens")
    group.add_argument("--top-p", type=float, metavar="P", help="sample from the most probable that reach P together")
    group.add_argument(
        "--min-p", type=float, metavar="P", help="only tokens with at least P times the best one's probability"
    )
    group.add_argument(
        "--repetition-penalty",
        type=float,
        metavar="X",
        help="above 1 makes what was said already less likely, 1 changes nothing",
    )
    group.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end the story before TEXT; may repeat"
    )
    group.add_argument("--greedy", action="store_true", help="always take the most probable token")
    group.add_argument("--seed", type=int, metavar="N", help="the same number tells the same story again")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """--engine and --int8."""
    parser.add_argument("--engine", choices=("ctranslate2",), help="what generates in the model's stead, faster")
    parser.add_argument("--int8", action="store_true", help="with --engine: quantized to 8 bits, faster still")


def engine(arguments: argparse.Namespace, model):
    """The engine that --engine names, with the model's weights, or None. `check_engine` has looked at the arguments.

    Raises:
        CourseError: its package is missing.
    """
    return ENGINES[arguments.engine](model, int8=arguments.int8) if arguments.engine else None


def check_engine(arguments: argparse.Namespace) -> None:
    """Refuse --int8 without an engine, before a model is loaded."""
    if arguments.int8 and not arguments.engine:
        raise CourseError("--int8 is for an engine: give --engine ctranslate2 as well")


def sampling(arguments: argparse.Namespace) -> dict:
    """The options of `generate` that were given.

    Raises:
        CourseError: one is out of its range; before a model is loaded.
    """
    from helpers.generation import until
    from helpers.sampling import check_options

    if arguments.seed is not None and not 0 <= arguments.seed < 2**63:
        raise CourseError(f"the seed must be 0 or more and below 2^63, got {arguments.seed}")
    options = {name: getattr(arguments, name) for name in CHECKED}
    if options["temperature"] is None:
        options["temperature"] = TEMPERATURE
    check_options(**options)
    until([], arguments.stop)
    return options | {"greedy": arguments.greedy, "seed": arguments.seed, "stop": arguments.stop}


def device_of(name: str) -> str:
    """The device to use.

    Raises:
        CourseError: there is no such device here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        asked = torch.device(name)
        if asked.type not in ("cpu", "cuda", "mps") or (asked.type == "cpu" and asked.index):
            raise RuntimeError("not a device that trains or generates here")
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise CourseError(f'there is no device {name!r} here: use "cpu" or "auto"') from error
    return name


def load(arguments: argparse.Namespace):
    """The model and tokenizer that --model and --device name."""
    from helpers.checkpoint import load_model

    return load_model(model_folder(arguments), device_of(arguments.device))


def model_folder(arguments: argparse.Namespace) -> Path:
    """The folder that --model names, or the shipped storyteller's."""
    return data_folder() / "storyteller" if arguments.model is None else Path(arguments.model)
