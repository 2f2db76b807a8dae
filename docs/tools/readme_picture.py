"""Draw the picture at the top of README.md from the recorded runs, and write its description beside it.

python docs/tools/readme_picture.py
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from course.figures.overview import overview
from course.figures.style import Picture
from helpers.files import data_folder, repository_root, write_atomically
from helpers.generation import Storyteller

PICTURE = "docs/_static/overview.png"
LINK = re.compile(rf"!\[[^\]]*\]\({re.escape(PICTURE)}\)")
PROMPT, SEED = "Once upon a time, a little rabbit named Pip", 5


def picture(story: str | None = None) -> Picture:
    """From data/recorded, the three seeds of the recipe; the story is the shipped storyteller's, unless it is given."""
    runs = []
    for path in sorted((data_folder() / "recorded").glob("storyteller-muon-seed?.jsonl")):
        runs.append([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])
    floor = runs[0][-1]["evaluate"]["floor_nats_per_token"]
    if story is None:
        story = Storyteller.load().tell(PROMPT, seed=SEED, temperature=0.8)
    return overview([run[1:-1] for run in runs], floor, story)


def with_picture(readme: str, alt: str) -> str:
    """The README with this description of the picture."""
    return LINK.sub(lambda _: f"![{alt.replace('[', '(').replace(']', ')')}]({PICTURE})", readme)


if __name__ == "__main__":
    drawn = picture()
    write_atomically(repository_root() / PICTURE, drawn.png)
    readme = repository_root() / "README.md"
    write_atomically(readme, with_picture(readme.read_text(encoding="utf-8"), drawn.alt))
