"""Every number of README.md is made by a command, or is that of the thing which it counts."""

import re
import tomllib

import learning_time
import nbformat
import pytest
import readme_numbers
import slide_minutes

import course
from course.checks.registry import load_checks
from course.site import notebooks
from course.site.syllabus import SYLLABUS
from helpers.files import data_folder, repository_root
from helpers.model import GPT2_SIZES, GPTConfig

ROOT = repository_root()
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORDS = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen twenty".split()
NUMBER = re.compile(rf"\b(?:\d[\d.,]*|{'|'.join(WORDS)})\b", flags=re.IGNORECASE)


def test_what_is_counted_is_true():
    assert readme_numbers.with_numbers(README) == README, "run python docs/tools/readme_numbers.py"


def test_the_story_beside_the_picture_is_the_beginning_of_the_one_in_it():
    quoted = re.search(r"^> \*(.+)\*$", README, flags=re.MULTILINE)[1]
    whole = readme_numbers.told(README)
    assert whole.startswith(quoted) and 150 < len(quoted) < len(whole) and quoted[-1] in '.!?"'


def test_reading_is_counted_by_what_is_seen():
    seen = "# A *bigram* model\n\nIt's 1,024 [words](x.md) long."
    folded = "\n\n<details><summary>Hint</summary>Not this.</details>\n\n```python\nnor = this\n```\n"
    assert learning_time.words_of(seen + folded) == 7
    prose, code = nbformat.v4.new_markdown_cell("word " * 300), nbformat.v4.new_code_cell("x = 1\n\n" * 30)
    assert learning_time.reading([prose, code]) == pytest.approx(2 + 2)
    assert learning_time.statements_of("def f(x):\n    return (\n        x\n    )\n\n\nf(\n    1\n)") == 3


def test_the_whole_is_the_sum_of_what_is_on_the_cards_and_of_the_rows_of_the_map():
    cards = sum(exercise.minutes for entry in SYLLABUS for exercise in load_checks(entry.number).values())
    assert learning_time.whole().exercises == cards
    table = readme_numbers.hours()
    rows = re.findall(r"^\| \d\d \|.*\| ([\d.]+) \| [\d.]+ \|$", README, flags=re.MULTILINE)
    assert len(rows) == len(SYLLABUS)
    assert sum(map(float, rows)) == pytest.approx(int(re.search(r"about (\d+) hours", table)[1]), abs=1.3)


HOURS = {"two": 2, "two and a half": 2.5, "three": 3, "three and a half": 3.5, "four": 4, "five": 5, "six": 6}


@pytest.mark.parametrize("name", [entry.name for entry in SYLLABUS[1:] if entry.exists])
def test_the_hours_are_those_that_the_notebook_itself_expects(name):
    """Whoever wrote the notebook estimated them; what is computed lies within an hour of that."""
    cells = notebooks.read(notebooks.folder() / f"{name}.ipynb").cells
    opening = "\n".join(cell.source for cell in cells[:4])
    said = re.search(r"\*\*It takes\*\* (?:about )?([\w ]+?) hours with (?:all )?(?:the )?exercises", opening)[1]
    least, most = (HOURS[words] for words in (said.split(" to ") if " to " in said else (said, said)))
    assert least - 1 <= learning_time.times()[name].hours <= most + 1


def cores() -> str:
    times = (data_folder() / "notebook_times.json").read_text(encoding="utf-8")
    return re.search(r'"machine": "(\d+) CPU cores', times)[1]


def oldest_python() -> str:
    """The one that ruff holds the code to; helpers refuses older ones."""
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    return re.sub(r"py(\d)(\d+)", r"\1.\2", ruff["target-version"])


# The numbers in the prose, with the words around them; each is put together from what it counts.
COUNTED = [
    f"a {WORDS[GPTConfig.gpt2('small').n_layer - 2]}-layer GPT-2",
    f"all {WORDS[len(GPT2_SIZES) - 2]} sizes",
    f"Python {oldest_python()} or newer",
    "a lecture plan of {} and of {} minutes".format(*slide_minutes.LECTURES),
    f"on {WORDS[int(cores()) - 2]} CPU cores",
    "five, ten and fourteen weeks and for a workshop of two days",  # tests/test_teaching.py: the schedules
    "Two commands",  # tests/test_readme.py: the first two blocks
    "the two commands",
    "in two short files, a model and a training loop",  # nanoGPT's model.py and train.py
    "in two places, 04 and 07",
    "Two packages, and imports go one way only",  # tests/test_house.py
]


def prose() -> str:
    """The README without what is made by a command, code, addresses and the picture's description."""
    text = re.sub(r"<!-- (\w+): .*?<!-- end of \1 -->", "", README, flags=re.DOTALL)
    text = re.sub(r"```.*?```|`[^`]*`|^!\[[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\s+", " ", re.sub(r"\]\([^)]*\)", "]", text))


def test_every_other_number_is_that_of_what_it_counts():
    text = prose()
    for phrase in COUNTED:
        assert phrase in text, phrase
        text = text.replace(phrase, "")
    numbers = {found[0] for found in NUMBER.finditer(re.sub(r"GPT-2|CC0", "", text))}
    assert numbers <= {entry.number for entry in SYLLABUS}, "made by no command, and counted by no test"


def test_the_times_are_those_that_were_recorded():
    seconds = course.notebook_seconds("cpu")
    assert seconds.keys() == {entry.name for entry in SYLLABUS if entry.exists}
    shown = float(re.search(r"take ([\d.]+) minutes", readme_numbers.trained())[1])
    assert shown == pytest.approx(seconds[readme_numbers.TRAINS] / 60, abs=0.05)
