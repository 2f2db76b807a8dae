"""Run the notebooks with every exercise answered: with its solution, or wrongly. Both must reach the end.

python docs/tools/run_answered.py right
python docs/tools/run_answered.py wrong --only 05,06
python docs/tools/run_answered.py both          # side by side; then the storytellers of the two are compared
python docs/tools/run_answered.py both --wrong-only 05,06,07   # wrongly only in these

Answered rightly, every answer is in use, `runs/my_gpt.py` is wholly the learner's, and the storyteller of notebook 07
is the course's bit for bit. Answered wrongly (with the planted answers of tests/wrong_answers), every check says so and
the course's parts stand in. The long runs are cut to a few steps; the notebooks are not changed. What is kept goes to
the folder that COURSE_RUNS names, or with `both` to one that is removed afterwards.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from course import mine
from course.checks.cells import exercise_cells, solution_of
from course.checks.exercise import REGISTRY, TOO_SLOW
from course.checks.registry import load_checks
from course.classroom.filling import filled
from course.site import notebooks
from helpers.errors import CourseError
from helpers.run_log import read_log

SAYS = {"right": "from here on `{part}` is yours", "wrong": "the course's own `{part}` stands in until it is"}

ALONE = ("00", "01", "02", "10", "13", "14", "15")  # nothing is kept from these for another one

# A cell that is run after the setup cell: the recipes' runs, in a few steps; and pictures are told, not drawn.
SHORT = """\
import dataclasses

from course import recipes
from course.figures import style

style.Picture._repr_mimebundle_ = lambda *_, **__: None

for name, recipe in recipes.RECIPES.items():
    if not recipe.training.schedule.epochs:
        fewer = recipe.training.but(steps=24, eval_every=12, eval_stories=20, sample_every=0, checkpoint_every=8)
        recipes.RECIPES[name] = dataclasses.replace(recipe, training=fewer)
"""

# Of notebook 10, the same for its patients: what they then show is not the point here.
SHORT_CLINIC = """\
from course.clinic.rounds import REGISTRY

for patient in REGISTRY.values():
    object.__setattr__(patient.base, "steps", min(patient.base.steps, 12))
"""

# Lines of long cells, and what they are here. What a notebook asserts of the bundled stories needs all of its steps.
ASSERTED = {'if session.stories == "bundled":': "if False:"}
JUDGES = {"limit=2_000": "limit=100"}
SHORTER = {
    "01": {"limit=20_000": "limit=500", "limit=10_000), 8192)": "limit=1_000), 8192)"},
    "02": {"most=100_000": "most=2_000"},
    "03": JUDGES | {
        "range(101)": "range(9)",
        "limit=60_000": "limit=3_000",
        "stories[:2000], validation[:200]": "stories[:300], validation[:30]",
    },
    "04": ASSERTED | JUDGES | {"range(600)": "range(30)", "steps: int = 600": "steps: int = 30"},
    "05": ASSERTED | JUDGES | {"= 1400, 20, 2e-2": "= 40, 20, 2e-2", "[128, 256, 512, 1024, 2048]": "[128, 256]"},
    "06": JUDGES,
    "07": JUDGES | {
        'or session.stories != "bundled"': "or True",
        "shifted: bool = True, steps: int = 60": "shifted: bool = True, steps: int = 20",
        "for k in range(16)]": "for k in range(4)]",
        "for _ in range(50):": "for _ in range(5):",
        "lr: float, steps: int = 40": "lr: float, steps: int = 12",
        "lrs = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]": "lrs = [3e-3, 1e-2]",
        "others = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]": "others = [0.1, 0.3]",
        "steps=60, warmup=6": "steps=31, warmup=6",
    },
    "08": {
        "else (1024, 200, 2)": "else (64, 2, 1)",
        "replace(thin, vocab_size=gpt2.vocab_size)": "replace(thin, vocab_size=4096)",
        "ladder_batch, session.device)": "ladder_batch, session.device, turns=1)",
    },
    "09": {
        "generate_batch(model, prompts, 230,": "generate_batch(model, prompts, 100,",
        "TrainingIndex(load_stories(session.stories))": "TrainingIndex(load_stories(session.stories, limit=500))",
        'load_stories("bundled", split="validation"))': 'load_stories("bundled", split="validation", limit=20))',
    },
    "11": {
        "stories.select(range(60))": "stories.select(range(16))",
        "stories.select(range(300))": "stories.select(range(30))",
        "STEPS = 400": "STEPS = 20",
        "limit=4000": "limit=400",
        "range(400, 900)": "range(400, 500)",
    },
    "12": {
        "PIRATE_STEPS, RATES = 60, (3e-3, 1e-2, 3e-2)": "PIRATE_STEPS, RATES = 4, (1e-2,)",
        "session.profile, 24)": "session.profile, 6)",
        "session.profile, (10, 4))": "session.profile, (2, 2))",
    },
    "13": {
        "rounds=100": "rounds=6",
        "rounds=50": "rounds=3",
        "replace(of_width(48, BUDGETS[1], seed=7), stories=8_000)":
            "replace(of_width(24, BUDGETS[0] / 16, seed=7), stories=1_000)",
    },
    "14": {
        "LIVE_STEPS = 60": "LIVE_STEPS = 5",
        "steps=40, training=too_high": "steps=5, training=too_high",
        "2 * TRAINED)[:8]": "2 * TRAINED)[:2]",
    },
    "15": {
        "LIVE_STEPS, LIVE_ROWS = 150, 12": "LIVE_STEPS, LIVE_ROWS = 8, 12",
        "GRPO_STEPS = copy.deepcopy(listener), 4": "GRPO_STEPS = copy.deepcopy(listener), 1",
    },
}


def shortened(number: str) -> str:
    """What is run behind the setup cell of a notebook."""
    return SHORT + SHORT_CLINIC if number == "10" else SHORT


def answered(path: Path, how: str, pick: int):
    """The notebook at `path` with every stub answered."""
    book = copy.deepcopy(notebooks.read(path))
    exercises = load_checks(path.name[:2])
    for number, cells in exercise_cells(book).items():
        if how == "right":
            cells.stub.source = filled(cells.stub.source, solution_of(cells.hints))
        else:
            answer = planted(number, pick)
            cells.stub.source = f"from {answer.__module__} import {answer.__name__} as {exercises[number].name}"
    for long, short in SHORTER.get(path.name[:2], {}).items():
        found = [cell for cell in book.cells if cell.cell_type == "code" and long in cell.source]
        if not found:
            raise CourseError(f"{path.name} has no line {long!r} any more: mend SHORTER")
        for cell in found:
            cell.source = cell.source.replace(long, short)
    import nbformat

    at = next(i for i, cell in enumerate(book.cells) if "setup" in notebooks.tags_of(cell))
    book.cells.insert(at + 1, nbformat.v4.new_code_cell(shortened(path.name[:2])))
    return book


def notebook_of(exercise: str) -> str:
    """The number of an exercise's notebook: "04" of "4.7"."""
    return f"{int(exercise.split('.')[0]):02}"


def planted(number: str, pick: int):
    """One of the wrong answers that are planted for an exercise."""
    import importlib

    importlib.import_module(f"tests.wrong_answers.nb{notebook_of(number)}")
    from tests.wrong_answers import PLANTED

    known = [answer for planted_for, slug, answer in PLANTED if planted_for == number and slug != TOO_SLOW]
    known = [one for one in known if getattr(sys.modules[one.__module__], one.__name__, None) is one]  # can be imported
    return known[pick % len(known)]


def check_said(book, how: str) -> None:
    """Raises CourseError if a check cell said something else than it must."""
    for number, cells in exercise_cells(book).items():
        said = "".join(out.get("data", {}).get("text/plain", "") for out in cells.check.outputs)
        if SAYS[how].format(part=REGISTRY[number].part) not in said:
            raise CourseError(f"exercise {number}, answered {how}ly: {said or 'its check said nothing'}")


def run(how: str, only: list[str] | None, pick: int) -> None:
    for path in notebooks.chosen(only):
        begun = time.perf_counter()
        book = answered(path, how, pick)
        notebooks.execute(book)
        check_said(book, how)
        print(f"{how}: {path.stem} in {time.perf_counter() - begun:.0f} s", flush=True)
    found = mine.parts()
    if how == "right" and (not only or {notebook_of(part.exercise.number) for part in found} <= set(only)):
        others = [f"{part.name}: {part.why or 'not kept'}" for part in found if part.whose != mine.YOURS]
        if others:
            raise CourseError(f"my_gpt.py is not wholly the learner's: {'; '.join(others)}")
    print(f"{how}: {mine.summary()}")


def both(only: list[str] | None, pick: int, wrong_only: list[str] | None = None) -> None:
    """The runs side by side, each with a thread of its own; rightly answered, the notebooks from which nothing is
    kept for later ones run beside the others, in the same folder.

    Args:
        wrong_only: the notebooks that are answered wrongly, where these are not all that are answered rightly.
    """
    numbers = [path.name[:2] for path in notebooks.chosen(only)]
    wrong = wrong_only or numbers
    lanes = [
        ("right", [each for each in numbers if each not in ALONE]),
        ("right", [each for each in numbers if each in ALONE]),
        ("wrong", wrong),
    ]
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for how, of_lane in lanes:
            if of_lane:
                environment = os.environ | {"COURSE_RUNS": str(Path(folder) / how), "OMP_NUM_THREADS": "1"}
                command = [sys.executable, __file__, how, "--pick", str(pick), "--only", ",".join(of_lane)]
                running.append((how, subprocess.Popen(command, env=environment)))
        failed = [how for how, process in running if process.wait()]
        if failed:
            raise CourseError(f"answered {' and '.join(f'{how}ly' for how in failed)}, the notebooks do not run")
        if "07" not in numbers or "07" not in wrong:
            return
        losses = {how: _losses(Path(folder) / how / "storyteller") for how in SAYS}
        if losses["right"] != losses["wrong"]:
            raise CourseError(f"the learner's GPT and the course's are trained to other losses: {json.dumps(losses)}")
        print(f"The learner's GPT and the course's have the same losses, bit for bit: {losses['right']}")


def _losses(folder: Path) -> list:
    return [[row["step"], row["loss"], row.get("val_loss")] for row in read_log(folder)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("how", choices=[*SAYS, "both"])
    parser.add_argument("--only", help="notebooks by their numbers, such as 05,06")
    parser.add_argument("--wrong-only", help="with `both`: which of them are answered wrongly as well")
    parser.add_argument("--pick", type=int, default=0, help="which planted answer: the first, the second, ...")
    asked = parser.parse_args()
    only, wrong_only = (numbers.split(",") if numbers else None for numbers in (asked.only, asked.wrong_only))
    begun = time.perf_counter()
    try:
        if asked.how == "both":
            both(only, asked.pick, wrong_only)
        else:
            run(asked.how, only, asked.pick)
    except CourseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{asked.how}: all of it in {time.perf_counter() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
