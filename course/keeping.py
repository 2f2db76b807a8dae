"""A run that outlives its machine: one cell that starts it, goes on with it, or finds it finished.

The run is written to the local disk, as every run is, and `course.keeper` copies what it needs to a folder that stays,
on Colab to Google Drive. After a disconnect, on a machine where nothing of it is left, `train_or_go_on` brings it back.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from course import Session, colab, runs
from course.bench.planning import plan
from course.figures.training import write_curves
from course.keeper import (
    MODEL,
    PREPARED,
    STATE_EVERY,
    TOKEN_FILES,
    TOKENS,
    WEIGHTS_EVERY,
    Keeper,
    in_short,
    is_finished,
    is_finished_copy,
    states_in,
    training_in,
)
from course.recipes import Recipe, get_recipe, override
from course.saved import recipe_of
from helpers import checkpoint
from helpers.checkpoint import TOKENIZER, WEIGHTS, load_checkpoint, load_model, put_weights, saved_checkpoints
from helpers.dataset import TokenFile
from helpers.errors import CourseError
from helpers.files import read_json, runs_folder, sha256, write_atomically, write_json
from helpers.model_files import digest, read_safetensors
from helpers.run_log import LOG, read_log
from helpers.tokenizer import load_tokenizer
from helpers.training import BEST, Trainer

STORIES_A_MINUTE = 8000  # that a T4 reads at the very most: 30,000 tokens a second, two fifths of its peak
LOCAL_MINUTES = 3  # between two checkpoints on the local disk, by the plan
BY_MACHINE = ("limit", "checkpoint_every")  # chosen by the machine: a run keeps those that it began with


# ---------------------------------------------------------------------- what to train, and where it is kept


def recipe_here(session: Session, minutes: float = 60) -> Recipe:
    """What notebook 08 trains on this machine: GPT-2 for so many minutes on a GPU of Nvidia's, else twelve thin layers.

    On a T4 it takes no more stories than can be read in that time, since making tokens of them takes time too. The
    session's own stories are taken where it has any (`COURSE_STORIES`).
    """
    if session.device != "cuda":
        recipe = get_recipe("twelve-thin-layers")
    else:
        changes = [f"limit={round(STORIES_A_MINUTE * minutes)}"] if session.profile == "t4" else []
        recipe = override(get_recipe("gpt2-tinystories"), [*changes, f"seconds={60 * minutes}"])
        planned = plan(recipe, session.device)
        every = round(60 * LOCAL_MINUTES * planned.tokens_per_second / planned.tokens_per_step)
        recipe = override(recipe, [f"checkpoint_every={max(10, every)}"])
    return recipe if session.stories == "bundled" else replace(recipe, stories=session.stories)


def away_folder() -> Path | None:
    """A folder that outlives this machine: what `COURSE_AWAY` names, on Colab one on your Google Drive, or None.

    Where Colab's question for Drive is answered with no, that is said, and the run stays on this machine.
    """
    if named := os.environ.get("COURSE_AWAY"):
        return Path(named).expanduser()
    if not colab.is_here():
        return None
    try:
        return colab.drive_folder()
    except CourseError as error:
        print(error)
        return None


# ---------------------------------------------------------------------- the run


def train_or_go_on(
    recipe: Recipe, device: str | torch.device = "cpu", away: str | Path | None = None,
    folder: str | Path | None = None, callback: Callable[[dict], bool | None] | None = None, progress: bool = True,
    weights_every: float = WEIGHTS_EVERY, state_every: float = STATE_EVERY,
) -> list[dict]:  # fmt: skip
    """Start the run of a recipe, go on with it from the newest checkpoint, here or away, or find it finished.

    A run that is gone on with keeps the number of stories and of steps between checkpoints that it began with: both
    are chosen by the machine, and another machine would choose others.

    Args:
        away: a folder that outlives this machine; the run is kept in a folder of its name there. None: nowhere.
        folder: of the run, on the local disk; None: one named after the recipe, in the runs folder.
        callback: gets every row of the log; true stops the run.
        weights_every, state_every: seconds between two copies of the model, and of a checkpoint, to `away`.

    Returns:
        The rows of the run's log.

    Raises:
        CourseError: a run of another recipe is in one of the folders, or what is there cannot be read. Nothing is
            changed then.
    """
    folder = Path(folder or runs_folder() / recipe.name)
    keeper = None
    if away is not None:
        place = _place(Path(away), folder)
        keeper = Keeper(folder, place, weights_every, state_every)
    for where in [folder] if keeper is None else [folder, place]:
        _refuse_another(recipe, where)
    was_here = is_finished(folder)
    state, notes = _newest(folder, None if keeper is None else place)
    print(*notes, sep="\n", end="\n" if notes else "")
    if is_finished(folder):
        where = "its folder" if keeper is None else f"its folder and {in_short(place)}"
        print(f"this run is finished: to train once more, give {where} another name")
        if keeper is not None and not is_finished_copy(place):
            keeper.end()
        elif keeper is not None and not was_here:  # the model came from there: it has arrived
            keeper.empty_states()
        return read_log(folder)
    trainer = _trainer(recipe, folder, device, state, callback, keeper or write_curves, progress)
    if state is None and keeper is not None:
        _take_weights(trainer, place)
    del state  # in the trainer it is by now, and it is three times as large as the model
    print("starting" if not trainer.step else f"going on from step {trainer.step:,}")
    if keeper is not None:
        keeper.start(4 * trainer.model.parameter_count())
    result = trainer.run()
    if keeper is not None:
        keeper.end()
    print(f"{result.stopped} at step {result.steps:,}, {result.tokens:,} tokens, loss {result.loss:.3f}")
    return result.history


def _place(away: Path, folder: Path) -> Path:
    """Where a run is kept; that it can be looked at is made sure now, when somebody is there who can do something."""
    try:
        away.mkdir(parents=True, exist_ok=True)
        list(away.iterdir())
    except OSError as error:
        reason = error.strerror or error
        raise CourseError(f"{away} cannot be looked at ({reason}): mount it again, or give no folder away") from error
    if (away / folder.name).resolve() == folder.resolve():
        raise CourseError(f"{folder} is where the run itself is written: its copies need another folder than {away}")
    return away / folder.name


def _refuse_another(recipe: Recipe, where: Path) -> None:
    """Raise a CourseError if a folder holds a run of another recipe."""
    try:
        theirs = _recipe_in(where)
    except CourseError as error:
        raise CourseError(f"the run in {where} was begun by another version of the course ({error})") from error
    if theirs is None:
        if saved_checkpoints(where) or (where / WEIGHTS).exists():
            raise CourseError(f"{where} holds a model that no recipe made: give the run another folder")
        return
    here, there = _flat(recipe), _flat(theirs)
    differing = [name for name in here | there if here.get(name) != there.get(name) and name not in BY_MACHINE]
    if differing:
        said = ", ".join(f"{name} {there.get(name)!r} there, {here.get(name)!r} here" for name in differing[:3])
        raise CourseError(
            f"{where} holds the run of another recipe ({said}): nothing was changed. Give that folder another name to "
            "keep it, or go on with its recipe"
        )


def _flat(recipe: Recipe) -> dict:
    content = recipe.as_dict()
    own = {name: value for name, value in content.items() if name not in ("about", "model", "training")}
    return own | content["model"] | content["training"]


def _recipe_in(folder: Path) -> Recipe | None:
    """The recipe of the run in a folder; of a model first, for other commands may have trained there since."""
    found = training_in(folder).get("recipe") or _kept(folder).get("recipe")
    return recipe_of(found) if found else None


def _kept(folder: Path) -> dict:
    """What `prepared.json` says; empty where there is none that is whole."""
    try:
        return dict(read_json(folder / PREPARED))
    except (CourseError, OSError, TypeError, ValueError):
        return {}


def _newest(folder: Path, place: Path | None) -> tuple[dict | None, list[str]]:
    """The state to go on from, None if there is none, and what there is to say. What is newer away is brought back."""
    try:
        state, notes = _newest_here(folder)
    except CourseError:
        if place is None:
            raise
        state, notes = None, []
    here = -1 if state is None else state["step"]
    if place is not None and not is_finished(folder) and (here < 0 or _step_away(place) > here):
        del state  # as large as the one that is read next
        told = bring_back(place, folder)
        state, notes = _newest_here(folder)
        notes = told + notes
    return state, notes


def _newest_here(folder: Path) -> tuple[dict | None, list[str]]:
    return load_checkpoint(folder) if saved_checkpoints(folder) else (None, [])


def _step_away(place: Path) -> int:
    """How far the run has come that is kept in a place; -1 if nothing is."""
    if is_finished_copy(place):
        return training_in(place).get("steps", -1)
    return max([step for step in states_in(place).values() if step is not None], default=-1)


def _trainer(recipe, folder: Path, device, state: dict | None, callback, report, progress: bool) -> Trainer:
    """The run, ready to start or to go on, around the tokens that were kept with it where they are whole."""
    recipe = _recipe_in(folder) or recipe if state is None else runs.recipe_in(state, folder)
    prepared = _around_kept_tokens(recipe, folder, device)
    if prepared is not None:
        prepared.state = state
    elif state is not None:
        prepared = runs.prepare_again(folder, device, progress)
    else:
        prepared = runs.prepare(recipe, device, progress)
    folder.mkdir(parents=True, exist_ok=True)
    prepared.tokenizer.save(folder / TOKENIZER)
    tokens = prepared.tokens.folder
    if (_kept(folder).get("tokens"), _kept(folder).get("recipe")) != (tokens.name, recipe.as_dict()):
        kept = {"recipe": recipe.as_dict(), "tokens": tokens.name, "description": prepared.description}
        kept["sha256"] = {name: sha256(tokens / name) for name in TOKEN_FILES}
        write_json(folder / PREPARED, kept | {"validation": prepared.validation})
    return runs.trainer_of(prepared, folder, callback=callback, report=report, progress=progress)


def _around_kept_tokens(recipe: Recipe, folder: Path, device) -> runs.Prepared | None:
    """What the run needs, made of the tokens and the tokenizer that were kept; None where they are not there, whole."""
    kept = _kept(folder)
    try:
        if kept["recipe"] != recipe.as_dict():
            return None
        tokens, tokenizer = TokenFile(runs_folder() / TOKENS / kept["tokens"]), load_tokenizer(folder)
        if read_json(tokens.folder / TOKEN_FILES[-1])["tokenizer"] != tokenizer.fingerprint:
            return None
        return runs.put_together(recipe, tokenizer, tokens, kept["validation"], kept["description"], device)
    except (CourseError, KeyError):
        return None


def _take_weights(trainer: Trainer, place: Path) -> None:
    """Where no checkpoint is kept but a model is: go on from that, as near to the run as can be."""
    done = training_in(place)
    if not done.get("steps"):
        return
    try:
        model, _ = load_model(place)
        put_weights(trainer.unpadded, dict(model.named_parameters()), place / WEIGHTS)
    except CourseError as error:
        print(error)
        return
    trainer.step, trainer.tokens, trainer.seconds = done["steps"], done["tokens"], done["seconds"]
    trainer.val_loss = done["val_loss"]
    trainer.log.keep_until(trainer.step)
    scored = [row["val_loss"] for row in trainer.history if row.get("val_loss") is not None]
    trainer.best_loss = min(scored, default=trainer.best_loss)
    for _ in range(trainer.step * trainer.settings.data.accumulation):  # to the batches that come next
        trainer.sampler.next_batch()
    print(
        f"no whole checkpoint is in {in_short(place)}, but the model of step {trainer.step:,} is: the run goes on from "
        "that, with an optimizer that begins anew, so it is not to the last digit the run that it would have been"
    )


# ---------------------------------------------------------------------- bringing it back


def bring_back(away: str | Path, folder: str | Path) -> list[str]:
    """Copy what is kept of a run to its folder on this disk: the newest whole checkpoint, or the finished model.

    The log, the best model, the tokenizer and the tokens come too; tokens go where all runs look for them. Only what is
    whole by its checksum gets its name here, and nothing is changed in `away`.

    Args:
        away: the folder that a `Keeper` writes to, the run's own.

    Returns:
        What was brought, and what is damaged there, a sentence each.

    Raises:
        CourseError: a folder cannot be read or written, or the model of a finished run is damaged.
    """
    place, folder, told = Path(away), Path(folder), []
    if not place.is_dir():
        return told
    try:
        if is_finished_copy(place):
            _bring_model(place, folder)
            told.append(f"the finished model was brought back from {in_short(place)}")
            checkpoint.remove_checkpoints(folder)
        else:
            told += _bring_state(place, folder) + _bring_tokens(place, folder)
        if (place / BEST / WEIGHTS).exists():
            try:
                _bring_model(place / BEST, folder / BEST)
            except CourseError as error:
                told.append(f"{error}; the run goes on without its best model so far")
        _bring_log(place, folder)
    except OSError as error:
        raise CourseError(f"the run could not be brought back from {place} ({error.strerror or error})") from error
    return told


def _bring_state(place: Path, folder: Path) -> list[str]:
    found = states_in(place)
    told = [f"{place / name} is not whole: copying it was broken off" for name, step in found.items() if step is None]
    whole = {name: step for name, step in found.items() if step is not None}
    for name in sorted(whole, key=whole.get, reverse=True):
        path = folder / checkpoint.FOLDER / f"step-{whole[name]:08d}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            shutil.copyfile(place / name, part)
            if _is_whole(part):
                os.replace(part, path)
                return [*told, f"the checkpoint of step {whole[name]:,} was brought back from {in_short(place / name)}"]
        finally:
            part.unlink(missing_ok=True)
        told.append(f"{place / name} is damaged: its checksum is wrong")
    return told


def _is_whole(path: Path) -> bool:
    try:
        tensors, metadata = read_safetensors(path)
    except CourseError:
        return False
    return metadata.get("sha256") == digest(tensors, metadata.get("state", ""))


def _bring_model(place: Path, folder: Path) -> None:
    """Copy a model's folder, if it is whole.

    Raises:
        CourseError: it is damaged.
    """
    load_model(place)
    folder.mkdir(parents=True, exist_ok=True)
    for name in reversed(MODEL):  # the weights last: with them the folder is a model's
        write_atomically(folder / name, (place / name).read_bytes())


def _bring_log(place: Path, folder: Path) -> None:
    """Copy the rows of the log, where it goes further than the one here."""
    rows, last = [], -1
    for row in read_log(place):  # after a copy that was broken off, rows could stand twice
        if row["step"] > last:
            rows.append(row)
            last = row["step"]
    if last > max((row["step"] for row in read_log(folder)), default=-1):
        write_atomically(folder / LOG, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _bring_tokens(place: Path, folder: Path) -> list[str]:
    kept, cache = _kept(place), runs_folder() / TOKENS
    if not kept or not (place / TOKENIZER).exists():
        return []
    for name in (TOKENIZER, PREPARED):
        write_atomically(folder / name, (place / name).read_bytes())
    target = cache / Path(kept["tokens"]).name
    if target.is_dir() or not all((place / TOKENS / name).exists() for name in TOKEN_FILES):
        return []
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tokens-", suffix=".part", dir=cache, ignore_cleanup_errors=True) as part:
        for name in TOKEN_FILES:
            shutil.copyfile(place / TOKENS / name, Path(part) / name)
        if any(sha256(Path(part) / name) != kept["sha256"].get(name) for name in TOKEN_FILES):
            return [f"the tokens in {place / TOKENS} are not whole: the stories are read again"]
        os.replace(part, target)
    return [f"the tokens were brought back from {in_short(place / TOKENS)}: no story is read again"]
