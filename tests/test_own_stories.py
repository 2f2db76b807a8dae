"""Every notebook runs to its end on stories of one's own, however short, few, long, many or strange they are.

Here each notebook is run on one such source, and each source by one notebook at least (`PAIRS`); what takes long and
does not depend on the stories is cut down. Every notebook on every source, an hour or more on two cores:

    OWN_STORIES=all python -m pytest tests/test_own_stories.py

By hand, on any of these sources or any other: python -m tests.test_own_stories 06 chinese|FILE [whole]
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from course.corpus import words_of
from course.site import notebooks
from helpers.stories import load_stories

ROOT = Path(__file__).resolve().parents[1]
# A notebook and the source on which it is run here: a new notebook is added to it, on any of the sources.
PAIRS = (
    ("00", "many"), ("01", "chinese"), ("02", "long"), ("03", "short"), ("04", "few"), ("05", "latin"),
    ("06", "short"), ("07", "few"), ("08", "cyrillic"), ("09", "chinese"), ("10", "short"), ("11", "long"),
    ("12", "latin"), ("13", "few"), ("14", "chinese"), ("15", "cyrillic"),
)  # fmt: skip
NOT_YET: set[str] = set()  # notebooks of the syllabus that are not in `PAIRS` yet: who adds one takes it out here

# What takes long, and what it is here: the place must be found, so that a notebook that changes is told of.
SHORTER: dict[str, dict[str, str]] = {
    "12": {"config = GPTConfig.gpt2(": "config = GPTConfig(50257, 1024, n_layer=7, n_head=2, d_model=32)  # "},
}
# Cells that take long and know nothing of the session's stories are left out: each by a line of it.
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "07": (
        "process = subprocess.Popen(",
        "gone_on = runs_folder()",
        'read_log(runs_folder() / "unbroken")',
        "forgetful = runs.prepare(",
    ),
    "08": (
        "taken = measured_kernels(",
        '"recomputed": recomputed_blocks(model)',
        "fitting_batch(on_a_gpu_with(",
        "print(plan(hour, session.device))",
        "storyteller, bundled = load_model(",
        "small = GPT(GPTConfig(",
        "loss, scale = half_precision_step(scale)",
        "steps were left out",
        "whole, chunked = (measured_peak(",
        "climbed = ladder.climb(",
        "best = ladder.top(climbed)",
        "speed = ladder_config, best",
    ),
    "13": ("for line in in_processes(by_torch",),
}
RUNS = ("07", "08", "10")  # notebooks whose runs are cut to a few steps, as in docs/tools/run_answered.py


# ---------------------------------------------------------------------- the sources


def short() -> list[str]:
    """240 stories of about twenty tokens, in words of which few are the course's."""
    chance = random.Random(3)
    names, animals = ("Tom", "Mia", "Ben", "Lily"), ("fox", "cat", "dog", "bear", "frog")
    places, things = ("park", "lake", "house", "hill"), ("ball", "kite", "book", "hat")
    return [
        f"{chance.choice(names)} the {chance.choice(animals)} had a {chance.choice(things)}. They went to the "
        f"{chance.choice(places)}." + (" It was fun." if chance.random() < 0.3 else "") + f" {n}"
        for n in range(240)
    ]


def few() -> list[str]:
    """Fifty of the bundled stories."""
    return list(load_stories("bundled", "train", 50))


def long() -> list[str]:
    """Sixty of the bundled stories, and one as long as five hundred of them."""
    texts = list(load_stories("bundled", "train", 560))
    return [*texts[:30], " ".join(texts[60:]), *texts[30:60]]


def many() -> list[str]:
    """100,000 stories: the bundled ones, and most of them again with other names."""
    texts = list(load_stories("bundled", "train"))
    again = (text.replace("Once upon a time", "Long ago").replace("One day", "One morning") for text in texts)
    return [*texts, *(f"{text} The end of story {n}." for n, text in enumerate(again))][:100_000]


def _told(sentences: tuple[str, ...], words: dict[str, tuple[str, ...]], join: str, seed: int) -> list[str]:
    """300 stories of three to seven sentences in which words are chosen."""
    chance, found = random.Random(seed), []
    for _ in range(300):
        chosen = {kind: chance.choice(several) for kind, several in words.items()}
        told = [sentences[0], *chance.sample(sentences[1:], chance.randint(2, len(sentences) - 1))]
        found.append(join.join(told).format(**chosen))
    return list(dict.fromkeys(found))


def cyrillic() -> list[str]:
    """Stories in Russian, a token of which holds a byte or two."""
    sentences = (
        "Жил-был {who} по имени {name}.", "Однажды {name} нашёл {thing}.", "«Как красиво!» — сказал {name}.",
        "Потом он пошёл {where} и встретил друга.", "Друг спросил: «Можно мне тоже поиграть?»",
        "Они играли весь день, и {name} был рад.", "Вечером {name} вернулся домой и лёг спать.",
    )  # fmt: skip
    words = {
        "who": ("кот", "заяц", "мальчик", "медведь", "ёжик"), "name": ("Петя", "Миша", "Ваня", "Тимка", "Лёва"),
        "thing": ("красный мяч", "старую книгу", "синий камень", "зелёную шляпу"),
        "where": ("в лес", "к реке", "на гору", "в сад"),
    }  # fmt: skip
    return _told(sentences, words, " ", 1)


def chinese() -> list[str]:
    """Stories in Chinese, which has no spaces, no capitals and three bytes to a sign."""
    sentences = (
        "从前有一只小{who}，名叫{name}。", "有一天，{name}找到了{thing}。", "“真漂亮！”{name}说。",
        "然后它去了{where}，遇见了一个朋友。", "朋友问：“我可以一起玩吗？”", "他们玩了一整天，{name}很高兴。",
        "晚上，{name}回家睡觉了。",
    )  # fmt: skip
    words = {
        "who": ("猫", "兔子", "熊", "狗", "鸟"), "name": ("明明", "小红", "乐乐", "毛毛", "豆豆"),
        "thing": ("一个红球", "一本旧书", "一块蓝石头", "一顶绿帽子"), "where": ("森林", "河边", "山上", "花园"),
    }  # fmt: skip
    return _told(sentences, words, "", 2)


def latin() -> list[str]:
    """Stories in Latin: no word of them is in the bundled stories."""
    sentences = (
        "Olim {who} erat, cui nomen {name}.", "Quodam die {name} {thing} invenit.", "Quam pulchrum est, inquit {name}.",
        "Deinde ad {where} cucurrit et amicum vidit.", "Amicus rogavit: licetne mihi quoque ludere?",
        "Totum diem ludebant, {name} autem laetus erat.", "Vespere {name} domum rediit atque dormivit.",
    )  # fmt: skip
    words = {
        "who": ("feles", "lepus", "puer", "ursus", "canis"), "name": ("Marcus", "Gaius", "Titus", "Publius", "Quintus"),
        "thing": ("pilam rubram", "librum veterem", "lapidem caeruleum"),
        "where": ("silvam", "flumen", "montem", "hortum"),
    }  # fmt: skip
    return _told(sentences, words, " ", 3)


SOURCES: dict[str, Callable[[], list[str]]] = {
    make.__name__: make for make in (short, few, long, many, cyrillic, chinese, latin)
}


def written(name: str, folder: Path) -> Path:
    """The file of a source in `folder`, made if it is not there."""
    path = folder / f"{name}.txt"
    if not path.exists():
        path.write_text("\n<|endoftext|>\n".join(SOURCES[name]()), encoding="utf-8")
    return path


# ---------------------------------------------------------------------- the tests


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sources")


def pairs() -> list[tuple[str, str]]:
    if os.environ.get("OWN_STORIES") == "all":
        return [(number, source) for number, _ in PAIRS for source in SOURCES]
    return list(PAIRS)


def test_each_notebook_and_each_source_is_tried():
    there = {path.name[:2] for path in notebooks.all_notebooks()}
    assert there - NOT_YET == {number for number, _ in PAIRS} - NOT_YET
    assert {source for _, source in PAIRS} == set(SOURCES)


def test_no_word_of_the_latin_stories_is_the_courses():
    known = {word for text in load_stories("bundled", "validation") for word in words_of(text)}
    ours = {word for text in latin() for word in words_of(text)}
    assert len(ours) > 40 and not ours & known


@pytest.mark.parametrize(("number", "source"), pairs())
def test_a_notebook_runs_to_its_end_on_stories_of_ones_own(tmp_path, folder, number, source):
    environment = os.environ | {"COURSE_RUNS": str(tmp_path / "runs"), "MPLBACKEND": "agg"}
    command = [sys.executable, "-m", "tests.test_own_stories", number, str(written(source, folder))]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


# ---------------------------------------------------------------------- one notebook, in this process


def run(number: str, source: str, whole: bool) -> int:
    """Run the cells of a notebook, and say which failed; how many did."""
    os.environ["COURSE_STORIES"] = str(Path(source).absolute()) if Path(source).exists() else source
    os.chdir(ROOT / "notebooks")
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    sys.path.append(str(ROOT / "docs" / "tools"))
    from run_answered import SHORTER as SHORTER_WHEN_ANSWERED
    from run_answered import shortened

    book = notebooks.read(notebooks.chosen([number])[0])
    shorter = {} if whole else SHORTER.get(number, {}) | SHORTER_WHEN_ANSWERED.get(number, {})
    left_out = () if whole else LEFT_OUT.get(number, ())
    missing = {*shorter, *left_out}
    shell, failed = InteractiveShell.instance(), 0
    for at, cell in enumerate(book.cells):
        if cell.cell_type != "code" or "quiz" in notebooks.tags_of(cell):
            continue
        for before, after in shorter.items():
            missing -= {before} if before in cell.source else set()
            cell.source = cell.source.replace(before, after)
        if found := {line for line in left_out if line in cell.source}:
            missing -= found
            continue
        if "setup" in notebooks.tags_of(cell) and number in RUNS and not whole:
            cell.source += f"\n{shortened(number)}"
        began = time.perf_counter()
        with capture_output() as said:
            result = shell.run_cell(cell.source)
        if (spent := time.perf_counter() - began) > 3:
            print(f"cell {at} of {number}: {spent:.0f} s", flush=True)
        if not result.success and "raises-exception" not in notebooks.tags_of(cell):
            failed += 1
            print(f"cell {at} of {number}: {result.error_in_exec or result.error_before_exec!r}\n{said.stdout[-2000:]}")
    if missing and not failed:
        failed += 1
        print(f"notebook {number} no longer has {missing}: mend SHORTER or LEFT_OUT")
    return failed


def by_hand(number: str, source: str, *rest: str) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        path = str(written(source, Path(scratch))) if source in SOURCES else source
        os.environ.setdefault("COURSE_RUNS", str(Path(scratch) / "runs"))
        return min(1, run(number, path, bool(rest)))


if __name__ == "__main__":
    sys.exit(by_hand(*sys.argv[1:]))
