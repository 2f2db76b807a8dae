"""Train the storyteller and keep the log of the run in data/recorded/, with what it could do on its way.

python docs/tools/record_storyteller.py muon --seed 0 --lr 0.028
python docs/tools/record_storyteller.py adamw --seed 0 --lr 0.005 --embedding-lr 0.02
python docs/tools/record_storyteller.py muon --seed 0 --positions random --out data/recorded/positions

The two optimizers are given the time of the recipe. A step of AdamW alone is shorter, so it is given more steps:
`--pace` measures how many more, both in turn in one process. Notebook 07 draws these logs.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from course.recipes import Recipe, get_recipe
from course.rementions import remention_accuracy
from course.runs import prepare, trainer_of
from course.skills import ROLES, Skills
from helpers.evaluation import evaluate
from helpers.files import data_folder, rounded, write_atomically
from helpers.stories import load_stories

PACE = 1.12  # AdamW's steps for one of Muon's, rather too many than too few: docs/storyteller.md, "At equal time"
FOLLOWED, SCORED = 60, 300  # validation stories


def recipe_for(
    optimizer: str, seed: int, lr: float | None, steps: int | None, positions="sinusoidal", embedding_lr=None
) -> Recipe:
    """The storyteller's recipe with this optimizer, in the same time."""
    recipe = get_recipe("storyteller")
    settings = recipe.training.but(seed=seed)
    if optimizer == "adamw":
        lr = lr or 0.005  # the best of six trials: docs/storyteller.md, "At equal time"
        steps = steps or round(settings.schedule.steps * PACE)
        settings = settings.but(kind="adamw")
    settings = settings.but(lr=lr or settings.optimizer.lr, steps=steps or settings.schedule.steps)
    settings = settings.but(embedding_lr=embedding_lr or settings.optimizer.embedding_lr)
    every = max(settings.schedule.steps // 20, 1)
    settings = settings.but(eval_every=every, sample_every=0, log_every=every, checkpoint_every=0)
    return replace(recipe, model=recipe.model | {"first_positions": positions}, training=settings)


def record(recipe: Recipe, out: Path) -> None:
    """Train, and write one JSON object a line: what was run, the course of the run, and how it ended."""
    stories = load_stories("bundled", "validation").dataset
    prepared = prepare(recipe)
    skills = Skills(prepared.tokenizer, stories.select(range(FOLLOWED)))

    def follow(row: dict) -> None:
        row["skills"] = skills.measure(prepared.model)

    result = trainer_of(prepared, callback=follow).run()
    scored = stories.select(range(SCORED))
    report = evaluate(prepared.model, prepared.tokenizer, load_stories("bundled", "validation", SCORED))
    found = remention_accuracy(prepared.model, prepared.tokenizer, scored, roles=ROLES)
    head = {
        "recipe": recipe.as_dict(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "stories": prepared.tokens.fingerprint,
    }
    end = {
        "evaluated_stories": SCORED,
        "evaluate": report.as_dict(),
        "rementions": {role: round(found.roles[role].all, 4) for role in ROLES},
    }
    keep = ("step", "tokens", "loss", "lr", "grad_norm", "val_loss", "val_accuracy", "skills")
    rows = [{name: row[name] for name in keep if name in row} for row in result.history]
    lines = [json.dumps(rounded(line, 5)) for line in (head, *rows, end)]
    write_atomically(out, "\n".join(lines) + "\n")
    print(f"{out}: {report.nats_per_token:.4f} nats a token, re-mentions {end['rementions']}")


def pace(rounds: int = 7, steps: int = 10) -> float:
    """The time of a step with Muon over that of a step with AdamW: the median of `rounds`, in turn."""
    runs = [trainer_of(prepare(recipe_for(name, 0, None, None), progress=False)) for name in ("muon", "adamw")]
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for run, times in zip(runs, seconds, strict=True):
            began = time.perf_counter()
            for _ in range(steps):
                run.train_step.step(1, lambda: 1.0)
            times.append((time.perf_counter() - began) / steps)
    ratios = [one / other for one, other in zip(*(times[1:] for times in seconds), strict=True)]
    print(
        f"{torch.get_num_threads()} threads: Muon {statistics.median(seconds[0][1:]) * 1e3:.1f} ms a step, "
        f"AdamW {statistics.median(seconds[1][1:]) * 1e3:.1f} ms, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("optimizer", nargs="?", choices=("muon", "adamw"), help="what to train with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, help="the highest learning rate")
    parser.add_argument("--embedding-lr", type=float, help="of the embeddings and the head")
    parser.add_argument("--steps", type=int, help="instead of those that fit the recipe's time")
    parser.add_argument("--positions", choices=("sinusoidal", "random"), default="sinusoidal", help="how they start")
    parser.add_argument("--out", type=Path, default=data_folder() / "recorded", help="the folder to write to")
    parser.add_argument("--pace", action="store_true", help="only measure how long a step takes with either")
    asked = parser.parse_args()
    if asked.pace:
        pace()
        return
    if asked.optimizer is None:
        parser.error("name an optimizer: muon or adamw")
    recipe = recipe_for(asked.optimizer, asked.seed, asked.lr, asked.steps, asked.positions, asked.embedding_lr)
    how = f"-lr{asked.lr:g}" if asked.lr else ""
    how += f"-embeddings{asked.embedding_lr:g}" if asked.embedding_lr else ""
    how += "-random-positions" if asked.positions == "random" else ""
    asked.out.mkdir(parents=True, exist_ok=True)
    record(recipe, asked.out / f"storyteller-{asked.optimizer}{how}-seed{asked.seed}.jsonl")


if __name__ == "__main__":
    main()
