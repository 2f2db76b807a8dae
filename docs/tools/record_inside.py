"""Train storytellers and keep what can be seen inside of them: data/recorded/inside/.

    python docs/tools/record_inside.py arrival --seed 0     trains; the model itself goes to runs/inside/seed0
    python docs/tools/record_inside.py circuit              the three tests on the shipped model and on those

Notebook 11 draws these records. The runs are those of notebook 07: the recipe `storyteller`, other seeds.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from course import inside
from course.recipes import get_recipe
from course.runs import prepare, trainer_of
from course.skills import Skills
from helpers.checkpoint import load_model, save_model
from helpers.files import data_folder, rounded, runs_folder, write_atomically
from helpers.stories import load_stories

STEPS = (1, 20, 40, 60, 80, *range(100, 400, 20), *range(400, 800, 40), *range(800, 1601, 100))  # when it is looked at
FOLLOWED, TESTED = 60, 200  # validation stories


def record(seed: int, out: Path) -> None:
    """Train with a seed, look inside at some steps, and write what was seen."""
    recipe = get_recipe("storyteller")
    settings = recipe.training.but(seed=seed, eval_every=0, sample_every=0, log_every=1, checkpoint_every=0)
    prepared = prepare(replace(recipe, training=settings))
    stories = load_stories("bundled", "validation").dataset.select(range(FOLLOWED))
    skills = Skills(prepared.tokenizer, stories)
    mentions = inside.Mentions.of(prepared.tokenizer, stories, prepared.model.config.context_length)
    rows = []

    def look(row: dict) -> None:
        if row["step"] in STEPS:
            rows.append({"step": row["step"]} | inside.glance(prepared.model, prepared.tokenizer, skills, mentions))

    trainer_of(prepared, callback=look).run()
    head = {"recipe": "storyteller", "seed": seed, "torch": torch.__version__, "stories": prepared.tokens.fingerprint}
    write_atomically(out, json.dumps(rounded(head | {"followed_stories": FOLLOWED, "rows": rows}, 4)) + "\n")
    save_model(runs_folder() / "inside" / f"seed{seed}", prepared.model, prepared.tokenizer)
    print(f"{out}: {rows[-1]['skills']}")


def circuit(out: Path) -> None:
    """The three tests on `TESTED` stories, for the shipped storyteller and for each that `arrival` left in runs/."""
    stories = load_stories("bundled", "validation").dataset.select(range(TESTED))
    folders = {"shipped": data_folder() / "storyteller"}
    folders |= {folder.name.replace("seed", "seed "): folder for folder in sorted((runs_folder() / "inside").iterdir())}
    found = {"stories": TESTED, "torch": torch.__version__, "models": {}}
    for name, folder in folders.items():
        model, tokenizer = load_model(folder)
        mentions = inside.Mentions.of(tokenizer, stories, model.config.context_length)
        found["models"][name] = inside.three_tests(model, mentions)
        print(name, {role: each["head"] for role, each in found["models"][name]["roles"].items()})
    write_atomically(out, json.dumps(rounded(found, 4)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("arrival", "circuit"))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    folder = data_folder() / "recorded" / "inside"
    folder.mkdir(parents=True, exist_ok=True)
    if asked.what == "circuit":
        circuit(folder / "circuit.json")
    else:
        record(asked.seed, folder / f"arrival-seed{asked.seed}.json")


if __name__ == "__main__":
    main()
