"""Train a model from a recipe, and keep it in a folder with its log.

Ctrl-C finishes the step, saves everything and leaves; `python -m course resume RUN` goes on from there.
Where TensorBoard is installed the log is drawn there too: `tensorboard --logdir runs`.

examples:
  python -m course train --recipe storyteller --out runs/storyteller
  python -m course train --seconds 60 --out runs/quick
  python -m course train --recipe storyteller --set n_layer=2 --set lr=1e-3 --out runs/two
  python -m course train --start-from runs/storyteller --steps 500 --set lr=0.01 --out runs/longer
  python -m course train --recipe storyteller --diagnose --out runs/examined
  python -m course train --recipe gpt2-small --dry-run
  python -m course train --recipe gpt2-small --set recompute=true --out runs/less-memory

several processes, each on a GPU of its own if there are enough (batch_size is what each of them reads):
  python -m torch.distributed.run --nnodes 1 --nproc-per-node 2 -m course train --recipe gpt2-small --out runs/two
  ... the same with --set parallel=fsdp: each holds a shard of the model, not all of it
"""

import argparse
import os
import sys
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path

from course.cli.options import add_device, device_of
from helpers.errors import CourseError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe", metavar="NAME", default="storyteller", help="what to make (default storyteller; see --list)"
    )
    parser.add_argument("--list", action="store_true", help="list the recipes there are")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (default runs/NAME)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="train for N steps")
    length.add_argument("--seconds", type=float, metavar="S", help="train for S seconds")
    parser.add_argument(
        "--start-from", metavar="DIR", help="begin with the weights of the model in this folder, not with random ones"
    )
    parser.add_argument("--stories", metavar="SOURCE", help='"bundled", "tinystories", or a folder or file of your own')
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N stories")
    parser.add_argument("--seed", type=int, metavar="N", help="another initialization and order of the stories")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe; may repeat"
    )
    add_device(parser)
    parser.add_argument(
        "--diagnose", action="store_true", help="look for what is wrong before the run: notebook 10's instruments"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--overwrite", action="store_true", help="replace a run that is in the folder")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no samples")


def run(arguments: argparse.Namespace) -> int:
    from course.recipes import RECIPES
    from helpers.files import runs_folder

    if arguments.list:
        for recipe in RECIPES.values():
            print(f"{recipe.name:20}{recipe.about}")
        return 0
    recipe = _recipe(arguments)
    if arguments.dry_run:
        return _show_plan(recipe, arguments.device, arguments.start_from)
    folder = Path(arguments.out) if arguments.out else runs_folder() / recipe.name
    return train(
        recipe, folder, arguments.device, arguments.quiet, arguments.start_from, arguments.overwrite, arguments.diagnose
    )


def train(
    recipe, folder: Path, device: str, quiet: bool, start_from: str | None, overwrite: bool, diagnose: bool = False
) -> int:
    """Start the run of a recipe in a folder."""
    from course.distributed import processes
    from course.runs import prepare
    from helpers.run_log import owning

    with processes(device) as group, one_speaks(group.is_rank0):
        _check_room(folder, overwrite)
        with owning(folder if group.is_rank0 else None):
            device = group.device or device_of(device)
            _check_memory(recipe, device)
            with group.on_rank0_first():
                prepared = prepare(recipe, device, not quiet, start_from, processes=group.count)
            if group.is_rank0:
                _show_start(prepared, folder, device, group.count)
                _clear(folder)
                if diagnose:
                    _diagnose(prepared, folder)
            return finish(prepared, folder, group, quiet)


def finish(prepared, folder: Path, group, quiet: bool) -> int:
    """Train to the end, and say how it went."""
    from course.figures.training import write_curves
    from course.runs import trainer_of
    from course.shard_files import remove_unused_shards
    from course.tensorboard_writer import to_tensorboard
    from helpers.generation import WHOLE_STORY, generate_text

    shown = dict(callback=to_tensorboard(folder), report=write_curves, progress=not quiet)
    trainer = trainer_of(prepared, folder, _trainer_for(group, prepared.recipe.training.hardware), **shown)
    try:
        result = trainer.run()
    except CourseError as error:
        if trainer.train_step.skipped:  # loss or gradient was no number
            raise CourseError(f"{error}; {_offer(prepared, folder)}") from error
        raise
    if not group.is_rank0:
        return 130 if result.stopped == "interrupted" else 0
    remove_unused_shards(folder)  # of a run that several began and one has ended
    validation = "" if result.val_loss is None else f", validation {result.val_loss:.4f} nats per token"
    amount = f"{result.steps:,} steps, {result.tokens:,} tokens, {result.seconds:.0f} s"
    print(f"{amount}: loss {result.loss:.4f}{validation}")
    if _above_its_range(prepared, result.history):
        print(f"the loss lies above its reference range; {_offer(prepared, folder)}")
    if result.stopped == "interrupted":
        print(f"stopped and saved; go on with: python -m course resume {_quoted(folder)}", file=sys.stderr)
        return 130
    model = trainer.unpadded
    tokens = min(WHOLE_STORY, model.config.context_length)
    print("\n" + generate_text(model, prepared.tokenizer, max_new_tokens=tokens, temperature=0.8, seed=0))
    print(f"\nmore of them: python -m course generate --model {_quoted(folder)}")
    return 0


def _trainer_for(group, hardware):
    """What makes this process's trainer; alone it needs nothing of `torch.distributed`."""
    if group.count == 1:
        from helpers.training import Trainer

        return Trainer
    from course.sharded import trainer_for

    return trainer_for(group, hardware)


@contextmanager
def one_speaks(this: bool):
    """Of several processes only one is heard."""
    with nullcontext() if this else redirect_stdout(open(os.devnull, "w", encoding="utf-8")):
        yield


def _recipe(arguments: argparse.Namespace):
    """The recipe, with what the options change."""
    from course.recipes import get_recipe, override

    if arguments.stories is not None and not arguments.stories.strip():
        raise CourseError('--stories is empty: give "bundled", "tinystories", a folder or a file')
    given = {key: getattr(arguments, key) for key in ("steps", "seconds", "stories", "limit", "seed")}
    assignments = [f"{key}={value}" for key, value in given.items() if value is not None]
    return override(get_recipe(arguments.recipe), [*arguments.set, *assignments])


def _show_plan(recipe, device: str, start_from: str | None) -> int:
    from course.bench.planning import plan
    from course.runs import check_start

    if start_from is not None:
        check_start(recipe, start_from)
    print(plan(recipe, device_of(device)))
    if start_from is not None:
        print(f"starts from {start_from}")
    return 0


def _show_start(prepared, folder: Path, device: str, processes: int) -> None:
    from course.bench.planning import plan

    recipe, tokens, sampler = prepared.recipe, prepared.tokens, prepared.sampler
    print(f"device      {device}" + (f", {processes} processes" if processes > 1 else ""))
    print(f"stories     {len(tokens):,} with {tokens.tokens:,} tokens: {prepared.description}")
    cut = getattr(sampler, "cut", 0)  # windows cut no story's end off
    if cut > 0.1:
        print(
            f"note        {cut:.0%} of them are longer than the context of {sampler.context_length} tokens, and their "
            "ends are never seen: --set packing=windows reads everything"
        )
    print(f"tokenizer   {recipe.tokenizer}, {prepared.tokenizer.vocab_size:,} entries")
    planned = plan(recipe, device, tokens.tokens, processes)
    print(f"model       {planned.model}")
    print(planned.cost)
    print(f"folder      {folder}", flush=True)


def _check_memory(recipe, device: str) -> None:
    """Refuse what cannot fit, before stories are read: a system without memory ends a program without a word.

    Counted is what is held at the very least: weights, gradients, a moment, and the values between the blocks.
    """
    import torch

    from course.bench.step_memory import free_memory
    from course.runs import trained_size
    from helpers.tokenizer import load_tokenizer

    size = trained_size(recipe.tokenizer) or load_tokenizer(recipe.tokenizer).vocab_size
    config = recipe.config(size)
    weights = config.n_layer * config.d_model * (4 * config.d_model + 2 * config.d_ff) + size * config.d_model
    rows = recipe.training.data.batch_size if device == "cpu" else 1  # a GPU reads what does not fit in pieces
    needed = 12 * weights + 4 * rows * config.context_length * config.d_model * config.n_layer
    if needed > (free := free_memory(torch.device(device))):
        raise CourseError(
            f"this needs more than {needed / 1e9:,.0f} GB of memory, and {free / 1e9:,.0f} GB are free on {device}: "
            "choose a smaller model, batch_size or context_length"
        )


def _diagnose(prepared, folder: Path) -> None:
    """Have all instruments look at what is about to be trained; say and keep what they saw."""
    from course import diagnosis

    readings = diagnosis.diagnose(prepared)
    for reading in readings:
        print(reading)
    print(diagnosis.summary(readings), flush=True)
    diagnosis.write(folder, readings)


def _offer(prepared, folder: Path) -> str:
    """How to have a run that went wrong looked at."""
    recipe = f"python -m course train --recipe {prepared.recipe.name} --diagnose --out {_quoted(Path(f'{folder}-2'))}"
    return f"to look for the cause, with the options of this run: {recipe}"


def _above_its_range(prepared, rows: list[dict]) -> bool:
    """Whether a loss of the run lies above what healthy runs of its recipe show on such a machine."""
    import course
    from course.reference_ranges import find_ranges, judge

    ranges = find_ranges(prepared.recipe.name, course.profile())
    if ranges is None or ranges.get("parameters") != prepared.model.parameter_count():
        return False
    found = judge(rows, ranges).findings
    return any("loss" in finding.what and not finding.value <= finding.high for finding in found)


def _check_room(folder: Path, overwrite: bool) -> None:
    """Refuse, before any work is done, to write over a run."""
    from helpers.checkpoint import saved_checkpoints
    from helpers.files import folder_to_be

    folder_to_be(folder)
    unfinished = bool(saved_checkpoints(folder))
    if not overwrite and (unfinished or any((folder / name).exists() for name in _files())):
        hint = "resume it, " if unfinished else ""
        raise CourseError(f"{folder} holds a run already: {hint}give another --out, or --overwrite")


def _clear(folder: Path) -> None:
    """Room for the run; files that are not a run's stay."""
    from course.shard_files import remove_unused_shards
    from helpers.checkpoint import remove_checkpoints
    from helpers.training import BEST

    folder.mkdir(parents=True, exist_ok=True)
    remove_checkpoints(folder)
    remove_unused_shards(folder)
    for name in _files():
        (folder / name).unlink(missing_ok=True)
        (folder / BEST / name).unlink(missing_ok=True)


def _files() -> tuple[str, ...]:
    from helpers.checkpoint import CONFIG, TOKENIZER, WEIGHTS
    from helpers.run_log import CURVES, LOG, SAMPLES

    return WEIGHTS, CONFIG, TOKENIZER, LOG, CURVES, SAMPLES, "diagnosis.json"


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)
