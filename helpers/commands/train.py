"""Train a model from a recipe, and keep it in a folder with its log.

Ctrl-C finishes the step, saves everything and leaves; `python -m helpers resume RUN` goes on from there.

examples:
  python -m helpers train --recipe storyteller --out runs/storyteller
  python -m helpers train --seconds 60 --out runs/quick
  python -m helpers train --recipe storyteller --set n_layer=2 --set learning_rate=1e-3 --out runs/two
  python -m helpers train --recipe gpt2-small --dry-run
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from helpers.commands.options import add_device, device_of
from helpers.errors import CourseError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe", default="storyteller", metavar="NAME", help="what to make (default storyteller; see --list)"
    )
    parser.add_argument("--list", action="store_true", help="tell what recipes there are")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (default runs/NAME)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="train for N steps")
    length.add_argument("--seconds", type=float, metavar="S", help="train for S seconds")
    parser.add_argument(
        "--stories", metavar="SOURCE", help='"bundled", "tinystories", or a folder or file of your own'
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N stories")
    parser.add_argument("--seed", type=int, metavar="N", help="another beginning and order of the stories")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe; may repeat"
    )
    add_device(parser)
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    parser.add_argument("--overwrite", action="store_true", help="replace a run that is in the folder")
    parser.add_argument("--resume", metavar="RUN", help="go on with the run of this folder instead")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no samples")


def run(arguments: argparse.Namespace) -> int:
    from helpers import recipes

    if arguments.list:
        for recipe in recipes.RECIPES.values():
            print(f"{recipe.name:20}{recipe.about}")
        return 0
    if arguments.resume is not None:
        return resume(arguments.resume, arguments.device, arguments.quiet)
    recipe = _recipe(arguments)
    if arguments.dry_run:
        return _tell_plan(recipe)
    from helpers.files import runs_folder
    from helpers.runs import prepare, training_of

    folder = Path(arguments.out) if arguments.out else runs_folder() / recipe.name
    _check_room(folder, arguments.overwrite)
    device = device_of(arguments.device)
    prepared = prepare(recipe, device, progress=not arguments.quiet)
    training = training_of(prepared, folder, progress=not arguments.quiet)
    _tell_start(prepared, folder, device)
    _clear(folder)
    return _train(training, folder)


def resume(folder: str, device: str = "auto", quiet: bool = False) -> int:
    """Go on with the run of a folder."""
    from helpers import runs

    device = device_of(device)
    training = runs.resume(folder, device, progress=not quiet)
    print(f"going on from step {training.step:,} on {device}", flush=True)
    return _train(training, Path(folder))


def _recipe(arguments: argparse.Namespace):
    """The recipe with what the options change."""
    from helpers.recipes import get_recipe, override

    assignments = list(arguments.set)
    for key in ("steps", "seconds", "limit", "seed"):
        if getattr(arguments, key) is not None:
            assignments.append(f"{key}={getattr(arguments, key)}")
    recipe = override(get_recipe(arguments.recipe), assignments)
    return recipe if arguments.stories is None else replace(recipe, stories=arguments.stories)


def _tell_plan(recipe) -> int:
    from helpers.runs import plan

    planned, training = plan(recipe), recipe.training
    length = {"steps": training.steps, "epochs": training.epochs, "seconds": training.seconds}
    told = " or ".join(f"{number:,g} {name}" for name, number in length.items() if number)
    print(f"recipe      {recipe.name}: {recipe.about}")
    print(f"model       {planned.parameters:,} parameters: {_listed(recipe.model)}")
    print(f"stories     {recipe.stories}, tokenizer {recipe.tokenizer}")
    print(f"training    {told}; {planned.tokens_per_step:,} tokens a step")
    if planned.tokens is not None:
        print(f"tokens      {planned.tokens:,} in all")
    gigabytes = planned.parameters * 16 / 1e9  # weights, gradients and two moments, 4 bytes each
    print(f"memory      {gigabytes:.2f} GB for weights, gradients and AdamW's two moments; activations come on top")
    return 0


def _listed(values: dict) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _check_room(folder: Path, overwrite: bool) -> None:
    """Refuse, before any work is done, to write over a run."""
    if folder.exists() and not folder.is_dir():
        raise CourseError(f"{folder} is a file: give --out a folder")
    there = {name for name in _files() if (folder / name).exists()}
    if there and not overwrite:
        from helpers.checkpoints import STATE

        hint = "resume it, " if STATE in there else ""
        raise CourseError(f"{folder} holds a run already: {hint}give another --out, or --overwrite")


def _clear(folder: Path) -> None:
    """An empty place for the run; files that are not a run's stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _files():
        (folder / name).unlink(missing_ok=True)


def _files() -> tuple[str, ...]:
    from helpers.checkpoints import CONFIG, STATE, TOKENIZER, WEIGHTS
    from helpers.progress import LOG

    return WEIGHTS, CONFIG, TOKENIZER, STATE, LOG


def _tell_start(prepared, folder: Path, device: str) -> None:
    recipe, tokens = prepared.recipe, prepared.tokens
    print(f"device      {device}")
    print(f"stories     {len(tokens):,} with {tokens.tokens:,} tokens: {prepared.description}")
    print(f"tokenizer   {recipe.tokenizer}, {prepared.tokenizer.vocab_size:,} entries")
    print(f"model       {prepared.model.parameter_count():,} parameters: {_listed(recipe.model)}")
    print(f"folder      {folder}", flush=True)


def _train(training, folder: Path) -> int:
    from helpers.generation import tell

    result = training.run()
    validation = "" if result.val_loss is None else f", validation {result.val_loss:.4f} nats per token"
    amount = f"{result.steps:,} steps, {result.tokens:,} tokens, {result.seconds:.0f} s"
    print(f"{amount}: loss {result.loss:.4f}{validation}")
    if result.stopped == "interrupted":
        print(f"stopped and saved; go on with: python -m helpers resume {_quoted(folder)}", file=sys.stderr)
        return 130
    tokens = min(150, training.model.config.context_length)
    print("\n" + tell(training.model, training.tokenizer, max_new_tokens=tokens, temperature=0.8, seed=0))
    print(f"\nmore of them: python -m helpers generate --model {_quoted(folder)}")
    return 0


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)
