"""Write the tree of the house into README.md: the folders, and the modules of both packages with a comment each.

python docs/tools/readme_tree.py

What stands behind a module of `helpers` is its row in docs/design.md.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from helpers.errors import CourseError
from helpers.files import repository_root, write_atomically

HEADING = re.compile(r"(^## The house\n.*?```\n).*?(^```$)", flags=re.DOTALL | re.MULTILINE)
FOLDERS = {
    "notebooks": "the course, read in order",
    "helpers": "what the notebooks build and later notebooks import, one subject a file",
    "course": "what surrounds the learner",
    "data": "stories, their grammar and datasheet; the tokenizer; a storyteller and a listener; recipes; recorded runs",
    "tests": "for both packages, the exercises' checks, the grammar and the notebooks as stored",
    "docs": "design, teaching, glossary, the web book, examples for clusters, tools that make things from notebooks",
    "runs": "what notebooks and commands write (git ignores it)",
}
COURSE = {
    "__init__.py": "start() and artifact(): what the setup cell needs",
    "cli/": "python -m course run | train | resume | generate | chat | evaluate | export | ...",
    "checks/": "what each exercise is checked for, the engine that runs the checks, how an answer is handed over",
    "figures/": "every plot, in one style",
    "classroom/": "handouts, quizzes, grading",
    "scaling/": "a scaling law; many small runs about scale, and one command that makes them; muP (13)",
    "since_gpt2.py": "small runs that hold each change since GPT-2 to what it replaced (14)",
    "instructions/": "orders, stories read back by the grammar, judges, fine-tuning, its runs, talking (15)",
    "alignment/": "learning from judged answers: in groups (GRPO), in pairs (DPO, a reward model) (15)",
    "bench/": "measured speed and memory, beside peers; what a run will cost",
    "site/": "executing and publishing notebooks, the syllabus, model cards",
    "clinic/": "the instruments, small programs with planted faults, and the ward round that is made of them (10)",
    "recipes.py": "named recipes, read from `data/recipes.toml` (07)",
    "runs.py": "from a recipe to a run (07)",
    "distributed.py": "a layer around the trainer for several processes (13)",
    "sharded.py": "the same with a shard of the model in each (13)",
    "shard_files.py": "each process writes its own shards of a checkpoint",
    "processes.py": "a function of a notebook, run in several processes at a time (13)",
    "several_gpus.py": "what travels between GPUs, how long that takes, and what each must hold (13)",
    "mine.py": "your GPT: what passed its check, put together in runs/my_gpt.py",
    "engine.py": "stories told fast: CTranslate2 with our weights",
    "playground.py": "a prompt, sliders, and a story that grows token by token; a form for orders (15)",
    "probing.py": "what the grammar knows of each token, as questions for probes (11)",
    "interpret.py": "hooks that record, replace, leave out; attribution, scores of heads, sparse features (11)",
    "inside.py": "where the truth about a story is known, and what a model's heads do there (11)",
    "attention_viewer.py": "where a head looks, to be clicked through (11)",
    "scoreboard.py": "every model on the same validation stories, in bits per byte",
    "diagnosis.py": "what the instruments of 10 say of a run before it starts",
    "reference_ranges.py": "what a healthy run shows, and what is likely wrong outside",
    "skills.py": "what a model can do already, asked while it learns",
    "rementions.py": "does a model remember who and what its story is about?",
    "mentions.py": "where a story names somebody or something again",
    "corpus.py": "a corpus in numbers: words, sentences, Zipf's law (02)",
    "text_metrics.py": "diversity, overlap with the training stories (09)",
    "saved.py": "whether what was saved is what a run goes on from",
    "export.py": "a trained model as a folder that transformers loads (12)",
    "doctor.py": "what a machine has for the course, what will be slow on it, what is missing (00)",
    "packages.py": "what a notebook needs and is missing is installed; the oldest torch",
    "colab.py": "a disk that outlives Colab's machine",
    "keeper.py": "copies of a run on such a disk, written over in place",
    "keeping.py": "one cell starts a run, or goes on with it after a disconnect",
    "tensorboard_writer.py": "a run's log in TensorBoard as well",
}
WIDTH = 24  # letters before the comments


def helpers() -> dict[str, str]:
    """The files of `helpers` with their subjects, from the table in docs/design.md, in its order.

    Raises:
        CourseError: the table does not name exactly the files that are there.
    """
    design = (repository_root() / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d, -]+) \| (.*) \|$", design, flags=re.MULTILINE)
    _check_complete("helpers", {f"{name}.py" for name, _, _ in rows})
    return {f"{name}.py": f"{subject} ({built})" for name, built, subject in rows}


def _check_complete(package: str, named: set[str]) -> None:
    there = {path.name for path in (repository_root() / package).glob("*.py") if not path.name.startswith("__")}
    if there != (files := {name for name in named if name.endswith(".py") and not name.startswith("__")}):
        raise CourseError(f"named and not in {package}, or the other way round: {sorted(there ^ files)}")


def tree() -> str:
    """Folders with a comment each; below the two packages their modules and rooms."""
    _check_complete("course", set(COURSE))
    inside = {"helpers": helpers(), "course": COURSE}
    lines = []
    for folder, comment in FOLDERS.items():
        lines.append((f"{folder}/", comment))
        lines += [(f"  {name}", about) for name, about in inside.get(folder, {}).items()]
    return "".join(f"{name:{WIDTH}}{comment}\n" for name, comment in lines)


def with_tree(readme: str) -> str:
    """The README's text with the present tree."""
    return HEADING.sub(lambda found: found[1] + tree() + found[2], readme)


if __name__ == "__main__":
    page = repository_root() / "README.md"
    write_atomically(page, with_tree(page.read_text(encoding="utf-8")))
