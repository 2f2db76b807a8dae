"""Run the points of an experiment, several at a time, and keep what each came to.

Each finished run is a line of data/recorded/SERIES/EXPERIMENT.jsonl, written when it is known; a run that was stopped
goes on from its newest checkpoint in runs/SERIES/. Every run has one thread, so that the results do not depend on how
many run at a time. The series are "scaling" (`course.scaling.experiments`) and "since_gpt2" (`course.since_gpt2`).
"""

import json
import multiprocessing
import random
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import UnionType

from course import since_gpt2
from course.bench.planning import training_flops_per_token
from course.clinic.program import one_thread
from course.runs import own_tokenizer, put_together, trainer_of
from course.scaling import experiments, mup
from course.scaling.experiments import VOCABULARY, Point, multiplying
from data.story_grammar.stories import full_grammar
from helpers.checkpoint import saved_checkpoints
from helpers.dataset import TokenFile, tokenize_stories
from helpers.errors import CourseError, NotANumber
from helpers.evaluation import loss_and_accuracy, story_rows
from helpers.files import data_folder, parse_json, regular, rounded, runs_folder, write_atomically
from helpers.stories import load_stories
from helpers.tokenizer import Tokenizer, load_tokenizer

EXPERIMENTS = experiments.EXPERIMENTS | since_gpt2.EXPERIMENTS
SCORED = 500  # validation stories: all models are scored on the same, and so is the grammar
CHUNK = 500  # stories from one seed of the grammar


def record_of(experiment: str) -> Path:
    """Where the results of an experiment are kept."""
    return data_folder() / "recorded" / EXPERIMENTS[experiment]()[0].series / f"{experiment}.jsonl"


def recorded(experiment: str) -> list[dict]:
    """The results of an experiment so far, in the order of its points; [] where there are none."""
    found = rows_in(record_of(experiment), tokens=int, val_loss=int | float | None)
    order = {point.name: number for number, point in enumerate(EXPERIMENTS[experiment]())}
    return sorted((row for row in found if row["name"] in order), key=lambda row: order[row["name"]])


def rows_in(record: Path, **kinds: type | UnionType) -> list[dict]:
    """The lines of a record, each a run with its name; [] where there is none.

    Args:
        kinds: what else is in each, and of which type.

    Raises:
        CourseError: the record is damaged.
    """
    rows, again = [], "put the record back, or delete the line and make that run again"
    for number, line in enumerate(record.read_bytes().split(b"\n") if regular(record).exists() else [], start=1):
        if line.strip():
            row = parse_json(line, f"{record}, line {number},", instead=again)
            good = isinstance(row, dict) and all(isinstance(row.get(key, ...), kind) for key, kind in kinds.items())
            if not good or not isinstance(row.get("name"), str):
                raise CourseError(f"{record}, line {number}, is no run with its {', '.join(['name', *kinds])}: {again}")
            rows.append(row)
    return rows


def keep(record: Path, rows: Iterable[dict]) -> None:
    """Write a record anew, a line for each run."""
    record.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(record, "".join(f"{json.dumps(row)}\n" for row in rows))


def missing(experiment: str, only: str = "") -> list[Point]:
    """The points of an experiment that are not recorded yet, of those whose name has `only` in it."""
    if experiment not in EXPERIMENTS:
        raise CourseError(f"there is no experiment {experiment!r}; there are {', '.join(EXPERIMENTS)}")
    done = {row["name"] for row in recorded(experiment)}
    return [point for point in EXPERIMENTS[experiment]() if point.name not in done and only in point.name]


def fresh_stories() -> Iterator[str]:
    """Stories that the grammar tells without end, the same ones each time; none of them was asked to be new."""
    grammar, number = full_grammar(), 0
    while True:
        generator = random.Random(f"scaling/{number}")  # a seed for each chunk, as for the bundled stories
        yield from (grammar.sample(generator).text for _ in range(CHUNK))
        number += 1


def tokenizer_of(vocabulary: int) -> Tokenizer:
    """The bundled tokenizer, or one of another size, trained once on the bundled stories."""
    if vocabulary == VOCABULARY:
        return load_tokenizer("bundled")
    return own_tokenizer(vocabulary, load_stories("bundled"))


def fresh_tokens(stories: int, vocabulary: int = VOCABULARY) -> TokenFile:
    """So many fresh stories, tokenized once into runs/scaling/."""
    of_size = "" if vocabulary == VOCABULARY else f"-{vocabulary}"
    folder = runs_folder() / "scaling" / f"stories-{stories}{of_size}"
    for found in folder.glob("tokens-*[!.part]"):
        with suppress(CourseError):
            return TokenFile(found)
    return tokenize_stories(islice(fresh_stories(), stories), tokenizer_of(vocabulary), folder)


def run_point(point: Point) -> dict:
    """Train one point, from its newest checkpoint where there is one, and score it: its line of the record.

    On one thread: with more, sums come out in another order, and the last digits are others.
    """
    with one_thread():
        return _trained_and_scored(point)


def _trained_and_scored(point: Point) -> dict:
    recipe, tokenizer = point.recipe(), tokenizer_of(point.vocabulary)
    folder = runs_folder() / point.series / point.name
    validation = load_stories("bundled", "validation").dataset.select(range(SCORED))
    rows = story_rows(tokenizer, validation["text"])
    prepared = put_together(recipe, tokenizer, fresh_tokens(point.stories, point.vocabulary), [], "fresh stories")
    if point.mup_base:
        mup.scale(prepared.model, point.mup_base)
    if point.prepare:
        point.prepare(prepared.model)
    trainer = trainer_of(prepared, folder, progress=False, callback=_orphaned)
    if point.mup_base:
        trainer.train_step.optimizers = mup.optimizers(prepared.model, recipe.training.optimizer, point.mup_base)
    if saved_checkpoints(folder):
        trainer.resume()
    loss = accuracy = None
    try:
        if trainer.run().stopped != "finished":
            raise KeyboardInterrupt
        loss, accuracy = loss_and_accuracy(prepared.model, rows)
    except NotANumber:
        if not point.may_diverge:
            raise
    config = prepared.model.config
    found = {
        "name": point.name,
        "seed": point.seed,
        "d_model": config.d_model,
        "multiplying": multiplying(config),
        "rate": recipe.training.optimizer.lr,
        "parameters": sum(parameter.numel() for parameter in prepared.model.parameters()),
        "steps": trainer.step,
        "tokens": trainer.tokens,
        "stories": point.stories,
        "epochs": prepared.sampler.epochs,
        "operations": 6 * multiplying(config) * trainer.tokens,
        "all_operations": training_flops_per_token(config) * trainer.tokens,
        "val_loss": loss,
        "val_accuracy": accuracy,
        "floor": sum(validation["nats"]) / sum(len(row) - 1 for row in rows),
        "train_loss": [[row["step"], row["loss"]] for row in trainer.history],
    }
    if point.measure and loss is not None:
        found |= point.measure(prepared.model, tokenizer, validation["text"])
    shutil.rmtree(folder, ignore_errors=True)
    return rounded(found, 6)


def run_experiment(experiment: str, workers: int = 2, only: str = "") -> list[dict]:
    """Run what is missing of an experiment, `workers` at a time; returns all of its results.

    Args:
        only: run the points whose name has this in it.
    """
    from tqdm.auto import tqdm

    points = missing(experiment, only)
    for stories in {(point.stories, point.vocabulary) for point in points}:
        fresh_tokens(*stories)  # once, before the workers ask for them
    with multiprocessing.get_context("spawn").Pool(workers) as pool, tqdm(total=len(points), desc=experiment) as bar:
        for found in pool.imap_unordered(run_point, points):
            keep(record_of(experiment), [*recorded(experiment), found])
            bar.update()
            bar.set_postfix_str(in_words(found))
    return recorded(experiment)


def in_words(row: dict) -> str:
    """A recorded run: its name and what it came to."""
    loss = "diverged" if row["val_loss"] is None else f"{row['val_loss']:.4f} nats per token"
    return f"{row['name']}: {loss} after {row['tokens']:,} tokens"


def _orphaned(row: dict) -> bool:
    """Whether the command that started this process is gone: then the run is saved and stops."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()
