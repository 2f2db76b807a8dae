"""How well orders are kept after fine-tuning, seed by seed: runs whose results are kept in data/recorded/instructions/.

Each finished run is a line of tuning.jsonl, written when it is known; what is recorded is not run again. A run has one
thread, so that its numbers are the same however many cores there are.
"""

import time
from dataclasses import asdict
from pathlib import Path

from course.clinic.program import one_thread
from course.instructions.dataset import load
from course.instructions.tuning import OPTIMIZER, STAGES, listener_of, orders_kept, questions_answered, tune
from course.scaling.running import keep, rows_in
from helpers.checkpoint import save_model
from helpers.files import data_folder, rounded, runs_folder
from helpers.generation import Storyteller

# name -> what differs from the recipe
RUNS: dict[str, dict] = {"seed0": {}, "seed1": {"seed": 1}, "seed2": {"seed": 2}, "unmasked": {"masked": False}}
TEMPERATURE = 0.7
SAMPLING_SEED = 15


def record() -> Path:
    """Where the results are kept."""
    return data_folder() / "recorded" / "instructions" / "tuning.jsonl"


def recorded() -> list[dict]:
    """The results so far, in the order of `RUNS`; [] where there are none."""
    found = {row["name"]: row for row in rows_in(record())}
    return [found[name] for name in RUNS if name in found]


def run(name: str) -> dict:
    """Tune the shipped storyteller once, measure it, and add the line to the record; its weights go to
    runs/instructions/NAME."""
    with one_thread():
        storyteller = Storyteller.load()
        model, tokenizer = listener_of(storyteller.model, storyteller.tokenizer)
        begin = time.process_time()
        losses = tune(model, tokenizer, load("train"), **RUNS[name])
        row = {"name": name, "steps": len(losses), "cpu_seconds": time.process_time() - begin}
        row |= {"stages": STAGES, "lr": OPTIMIZER.lr, "embedding_lr": OPTIMIZER.embedding_lr, "losses": losses[9::10]}
        model.eval()
        row = rounded(row | measured(model, tokenizer), 4)
    save_model(runs_folder() / "instructions" / name, model, tokenizer, row)
    keep(record(), [*recorded(), row])
    return next(row for row in recorded() if row["name"] == name)  # as it is read: JSON's names are texts


def measured(model, tokenizer) -> dict:
    """Orders kept in each split, sampled, and greedily where worded as in training; questions answered greedily."""
    sampled = {"temperature": TEMPERATURE, "seed": SAMPLING_SEED}
    found = {
        split: asdict(orders_kept(model, tokenizer, load(split), **sampled))
        for split in ("seen", "unseen_combinations", "unseen_paraphrases")
    }
    found["greedy"] = asdict(orders_kept(model, tokenizer, load("seen"), greedy=True))
    return found | {"questions": questions_answered(model, tokenizer, load("questions"))}


def in_words(row: dict) -> str:
    """A recorded run: its name and what it came to."""
    sampled, greedy = (row[split]["by_count"]["3"][1] for split in ("seen", "greedy"))
    return f"{row['name']}: {sampled:.0%} of orders of three kept wholly, {greedy:.0%} by its likeliest words"
