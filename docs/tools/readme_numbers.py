"""Write into README.md what is counted and not typed: the beginning of the story, the hours, the minutes.

python docs/tools/readme_numbers.py
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import learning_time
import readme_picture
from readme_tables import with_table

import course
from course.checks.registry import load_checks
from course.site.syllabus import SYLLABUS
from helpers.files import repository_root, write_atomically

SENTENCES = 4  # of the story that stand beside its picture
TRAINS = "07_training"  # the notebook that trains the model which tells it


def told(readme: str) -> str:
    """The whole story, as the description of the picture has it (docs/tools/readme_picture.py writes that)."""
    return readme_picture.LINK.search(readme)[0].rpartition("](")[0].partition("Below: ")[2].strip()


def story(readme: str) -> str:
    """Its first sentences, as a quotation. A sentence ends before a capital letter or an opening quotation mark."""
    whole = told(readme)
    ends = [found.end() for found in re.finditer(r'[.!?]"?(?= [A-Z"])', whole)]
    return f"> *{whole[: ends[SENTENCES - 1]]}*"


def minutes_of(name: str | None = None) -> str:
    """The minutes of running every cell of a notebook, or of all: those recorded on a machine without a GPU."""
    seconds = course.notebook_seconds("cpu")
    return f"{seconds[name] / 60:.1f}" if name else f"{sum(seconds.values()) / 60:.0f}"


def trained() -> str:
    """Who tells the story, and how long it takes to make the teller."""
    return (
        f"A small GPT told this, one token at a time; you build such a model and train it. All cells of notebook\n"
        f"{TRAINS[:2]}, its training among them, take {minutes_of(TRAINS)} minutes on two CPU cores."
    )


def hours() -> str:
    """How much there is to learn, and how long it takes."""
    whole = learning_time.whole()
    exercises = sum(len(load_checks(entry.number)) for entry in SYLLABUS if entry.exists)
    books = sum(entry.exists for entry in SYLLABUS)
    return (
        f"- **To learn: about {whole.hours:.0f} hours** in {books} notebooks, {whole.reading / 60:.0f} of reading and "
        f"{whole.exercises / 60:.0f} for the {exercises} exercises.\n"
        f"- **To run: about {minutes_of()} minutes**, every cell of all notebooks on two CPU cores.\n"
        f"\nThe exercises' minutes stand on their cards; prose is counted at {learning_time.WORDS_A_MINUTE} words a "
        f"minute, code at {learning_time.STATEMENTS_A_MINUTE} statements."
    )


def with_numbers(readme: str) -> str:
    """The README's text with what is counted between its marks."""
    readme = with_table(readme, "story", f"{story(readme)}\n\n{trained()}")
    return with_table(readme, "hours", hours())


if __name__ == "__main__":
    page = repository_root() / "README.md"
    write_atomically(page, with_numbers(page.read_text(encoding="utf-8")))
