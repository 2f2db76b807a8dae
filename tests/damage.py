"""What may befall a file: a small world of files, who reads them, kinds of damage, and what must hold then.

`tests/test_fault_matrix.py` and `tests/test_fault_properties.py` try them, and so does `docs/tools/reliability.py`.
"""

import hashlib
import json
import os
import random
import re
import shutil
import struct
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tests.forked import ROOT, Commands, Outcome

SECONDS = 90  # a command of this world takes less than one; a busy machine may be slow, for ever is longer
NAMES, THINGS = ("Pip", "Ann", "Tom", "Zoe", "Max"), ("kite", "ball", "drum", "boat", "hat", "cup")
TEXTS = [f"Once upon a time, {name} had a {thing}. {name} lost the {thing}." for name in NAMES for thing in THINGS]
SMALL = "n_layer=1 n_head=1 d_model=8 context_length=24 batch_size=2 "
SMALL += "eval_stories=2 eval_every=2 log_every=1 checkpoint_every=2"
TRAIN = ["train", *(part for each in SMALL.split() for part in ("--set", each)), "--steps", "2", "--out", "out",
         "--quiet"]  # fmt: skip
OWN = [*TRAIN, "--set", "tokenizer=tokenizer.json", "--stories"]
RECORDS = ("scaling/grid.jsonl", "since_gpt2/parts.jsonl", "instructions/tuning.jsonl")


# ---------------------------------------------------------------------- the world


def make_world(folder: Path) -> Path:
    """Every kind of file that a command reads, small: stories, models, runs, notebooks, a class, a small course."""
    import pyarrow
    import pyarrow.parquet
    import torch
    from datasets import Dataset

    from course.export import export
    from course.instructions.tuning import listener_of
    from course.recipes import get_recipe, override
    from course.runs import prepare, trainer_of
    from helpers.checkpoint import save_model
    from helpers.model import GPT, GPTConfig

    folder.mkdir(parents=True)
    tokenizer = write_stories(folder)
    (folder / "stories.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), "utf-8")
    table = pyarrow.table({"text": TEXTS})
    pyarrow.parquet.write_table(table, folder / "stories.parquet")
    Dataset.from_dict({"text": TEXTS}).save_to_disk(folder / "saved")
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=280, context_length=32, n_layer=1, n_head=1, d_model=8)).eval()
    save_model(folder / "model", model, tokenizer)
    export(model, tokenizer, folder / "hub", card="# A model")
    changes = [*SMALL.split(), "tokenizer=tokenizer.json", "stories=stories.txt", "steps=6", "sample_every=2"]
    recipe = override(get_recipe("storyteller"), changes)
    with mock.patch.dict(os.environ, COURSE_RUNS=str(folder / "runs")), chdir(folder):
        for name, last in (("stopped", 5), ("finished", 99)):
            stop = lambda row, last=last: row["step"] == last  # noqa: E731
            trainer_of(prepare(recipe, progress=False), name, progress=False, callback=stop).run()
    _make_course(folder / "root", folder)
    save_model(folder / "root" / "data" / "listener", *listener_of(model, tokenizer))
    _make_class(folder)
    return folder


def write_stories(folder: Path):
    """A file of stories, and a tokenizer for it, which is returned."""
    from helpers.tokenizer import train_tokenizer

    (folder / "stories.txt").write_text("\n<|endoftext|>\n".join(TEXTS), encoding="utf-8")
    tokenizer = train_tokenizer(TEXTS, 280)
    tokenizer.save(folder / "tokenizer.json")
    return tokenizer


def _make_course(root: Path, world: Path) -> None:
    import pyarrow.parquet

    data = root / "data"
    shutil.copytree(world / "model", data / "storyteller")
    shutil.copytree(ROOT / "data" / "quizzes", data / "quizzes")
    for name in ("tokenizer.json", "reference_ranges.json", "scoreboard.json"):
        shutil.copy(ROOT / "data" / name, data)
    hashes = {}
    (data / "stories").mkdir()
    for split in ("train", "validation"):
        path = data / "stories" / f"{split}-00000-of-00001.parquet"
        pyarrow.parquet.write_table(pyarrow.parquet.read_table(ROOT / "data" / "stories" / path.name)[:60], path)
        hashes[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (data / "stories" / "hashes.json").write_text(json.dumps(hashes), "utf-8")
    shutil.copy(ROOT / "data" / "stories" / "statistics.json", data / "stories")
    for name in RECORDS:
        (data / "recorded" / name).parent.mkdir(parents=True)
        lines = (ROOT / "data" / "recorded" / name).read_text("utf-8").splitlines(keepends=True)
        (data / "recorded" / name).write_text("".join(lines[:3]), "utf-8")
    (root / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "00_start_here.ipynb", root / "notebooks")
    (root / "course" / "site").mkdir(parents=True)
    # By this file a setup cell knows a course's folder; the course that it then imports is the whole one.
    whole = f"import sys\n\nsys.path[0] = {str(ROOT)!r}\ndel sys.modules['course']\nimport course  # noqa\n"
    (root / "course" / "__init__.py").write_text(whole, "utf-8")
    shutil.copy(ROOT / "course" / "site" / "setup_cell.py", root / "course" / "site")
    shutil.copy(ROOT / "README.md", root)


def _make_class(world: Path) -> None:
    """A class of one who has answered nothing, so that no code of hers is run; and an answer of one's own."""
    import nbformat

    from course.checks.cells import course_part
    from tests.test_grading import small

    for name in ("class", "key"):
        (world / name).mkdir()
        nbformat.write(small("student"), world / name / "01_tokenization.ipynb")
    (world / "class" / "01_tokenization.ipynb").rename(world / "class" / "ada.ipynb")
    parts = world / "runs" / "parts"
    parts.mkdir(parents=True)
    (parts / "6.3_MLP.py").write_text(course_part("6.3") + "\n", "utf-8")


# ---------------------------------------------------------------------- who reads what


@dataclass(frozen=True)
class Case:
    """A command, and a file that it reads."""

    argv: tuple[str, ...]
    file: str  # a path inside the world, or a pattern: all that it fits are damaged
    needed: bool = True  # without it the command cannot do what was asked for
    root: bool = False  # the world's small course stands for the course
    given: str | None = None  # what is typed
    takes: tuple[str, ...] = ()  # what else of the world is there

    def __str__(self) -> str:
        return f"{' '.join(self.argv[:1])}, {self.file}"

    @property
    def is_long(self) -> bool:
        """Whether the command does its whole work in spite of most kinds of damage, and that takes a second or more."""
        return "--diagnose" in self.argv or (not self.needed and self.argv[0] in ("train", "resume", "mine", "page"))

    @property
    def parts(self) -> set[str]:
        """The files and folders of the world that the command needs."""
        return {self.file.split("/")[0], *self.takes, *({"root"} if self.root else ())}


def _cases() -> list[Case]:
    files = ("config.json", "model.safetensors", "tokenizer.json")
    found = []

    def add(argv: str | list, *names: str, **options) -> None:
        words = tuple(argv.split() if isinstance(argv, str) else argv)
        found.extend(Case(words, name, **options) for name in names)

    model = [f"model/{name}" for name in files]
    add("generate One --model model --max-new-tokens 3 --seed 1", *model)
    add("chat --model model --max-new-tokens 3 --seed 1", *model, given="One\n")
    add("evaluate --model model --stories stories.txt --json", *model, "stories.txt", takes=("model", "stories.txt"))
    add("evaluate --model model --stories stories.jsonl --json", "stories.jsonl", takes=("model",))
    add("export --model model --out out", *model)
    add("generate One --model hub --max-new-tokens 3 --seed 1", *(f"hub/{name}" for name in files))
    add("generate One --max-new-tokens 3 --seed 1", *(f"root/data/storyteller/{name}" for name in files), root=True)
    add("evaluate --json", "root/data/stories/hashes.json", "root/data/stories/validation*", root=True)
    own = ("tokenizer.json",)
    add([*OWN, "stories.txt"], "stories.txt", "tokenizer.json", takes=("stories.txt", *own))
    add([*OWN, "stories.jsonl"], "stories.jsonl", takes=own)
    add([*OWN, "stories.parquet"], "stories.parquet", takes=own)
    add([*OWN, "saved"], "saved/state.json", "saved/dataset_info.json", "saved/*.arrow", takes=own, needed=False)
    tokens = [f"runs/tokens/tokens-*/{name}" for name in ("about.json", "ids.bin", "offsets.npy")]
    add([*OWN, "stories.txt"], *tokens, takes=("stories.txt", *own), needed=False)
    shape = [part for each in ("context_length=32", "tied_head=True") for part in ("--set", each)]
    start = [*TRAIN, *shape, "--set", "tokenizer=model/tokenizer.json", "--stories", "stories.txt",
             "--start-from", "model"]  # fmt: skip
    add(start, *model, takes=("stories.txt",))
    add(TRAIN, "root/data/tokenizer.json", "root/data/stories/train*", root=True)
    run = ("stopped", "runs", "stories.txt", *own)
    add("resume stopped --quiet", "stopped/checkpoints/step*", takes=run)
    # What a run was begun with is kept, its tokens in runs/tokens: it goes on without what they were made from.
    add("resume stopped --quiet", "stories.txt", "tokenizer.json", takes=run, needed=False)
    others = ("checkpoints/step-00000005.safetensors", "log.jsonl", "config.json", "model.safetensors", "samples.txt",
              "best/model.safetensors", "tokenizer.json", ".lock")  # fmt: skip
    add("resume stopped --quiet", *tokens, *(f"stopped/{name}" for name in others), takes=run, needed=False)
    add("record finished", "finished/log.jsonl", "finished/config.json")
    add("record finished", "root/data/reference_ranges.json", root=True, takes=("finished",), needed=False)
    grade = "grade class --key key --out grades.csv --unsafe"
    add(grade, "class/ada.ipynb", takes=("key",), needed=False)
    add(grade, "key/01_tokenization.ipynb", takes=("class",))
    add("handout --out out 00", "root/notebooks/00_start_here.ipynb", root=True)
    add("publish ada/stories", "root/notebooks/00_start_here.ipynb", "root/README.md",
        "root/course/site/setup_cell.py", root=True, needed=False)  # fmt: skip
    add("run --only 00 --skip-training", "root/notebooks/00_start_here.ipynb", root=True)
    add("quiz export --out out", "root/data/quizzes/01.json", root=True, needed=False)
    add("quiz show 01", "root/data/quizzes/01.json", root=True)
    add("mine", "runs/parts/6.3_MLP.py", "runs/my_gpt.py", needed=False)
    for command, name in zip(("scaling grid", "since-gpt2 parts", "listening tuning"), RECORDS, strict=True):
        add(f"{command} --list", f"root/data/recorded/{name}", root=True, needed=False)
    add("page model --out out", *model)
    facts = ("scoreboard.json", "stories/statistics.json")
    add("page --out out", *(f"root/data/{name}" for name in facts), root=True, needed=False)
    listener = [f"root/data/listener/{name}" for name in files]
    add("chat --max-new-tokens 3 --seed 1", *listener, root=True, given="Tell a story about a shy fox.\nWho is it?\n")
    add("instructions --count 5 --out out", "root/data/tokenizer.json", "root/data/stories/validation*", root=True)
    add([*OWN, "stories.txt", "--diagnose"], "stories.txt", takes=own)
    return found


CASES = _cases()


# ---------------------------------------------------------------------- kinds of damage


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _replaced(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink(missing_ok=True)
        make(path)

    return damage


def flipped(data: bytes, at: float = 0.6) -> bytes:
    place = int(len(data) * at)
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :] if data else b""


ANY: dict[str, Callable[[Path], None]] = {
    "missing": _replaced(lambda path: None),
    "empty": _bytes(lambda data: b""),
    "a folder": _replaced(Path.mkdir),
    "a pipe": _replaced(os.mkfifo),
    "a device": _replaced(lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": _replaced(lambda path: path.symlink_to(path.name)),
    "a link to nowhere": _replaced(lambda path: path.symlink_to("nowhere")),
    "may not be read": lambda path: path.chmod(0),
    "cut": _bytes(lambda data: data[: len(data) // 2]),
    "the last byte gone": _bytes(lambda data: data[:-1]),
    "random bytes": _bytes(lambda data: random.Random(1).randbytes(max(len(data), 100))),
    "NULs": _bytes(lambda data: bytes(len(data))),
    "a bit flipped": _bytes(flipped),
    "more behind": _bytes(lambda data: data + b"\n\xff\x00more"),
}
TEXT: dict[str, Callable[[Path], None]] = {
    "UTF-16": _bytes(lambda data: data.decode().encode("utf-16")),
    "UTF-16 without a mark": _bytes(lambda data: data.decode().encode("utf-16-le")),
    "Latin-1": _bytes(lambda data: data.replace(b" ", b" \xe9", 3)),
    "a mark of the encoding": _bytes(lambda data: b"\xef\xbb\xbf" + data),
    "ends of lines of an old Mac": _bytes(lambda data: data.replace(b"\n", b"\r")),
    "ends of lines of Windows": _bytes(lambda data: data.replace(b"\n", b"\r\n")),
}
JSON: dict[str, Callable[[Path], None]] = {
    name: _bytes(lambda data, text=text: text)
    for name, text in {
        "a list": b"[]", "a number": b"5", "null": b"null", "a text": b'"x"', "an object with nothing in it": b"{}",
        "half a character": b'{"text": "\\ud800"}', "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
        "100,000 brackets": b"[" * 100_000 + b"]" * 100_000, "NaN": b'{"a": NaN}', "a list of numbers": b"[1, 2]",
        "another version": b'{"format": 99, "version": "9.0", "nbformat": 99, "model": {"from": "the future"}}',
    }.items()
} | {
    "every number a text": lambda path: _json(path, lambda value: str(value) if _number(value) else value),
    "every text a number": lambda path: _json(path, lambda value: 7 if isinstance(value, str) else value),
    "every number huge": lambda path: _json(path, lambda value: 10**30 if _number(value) else value),
    "every number below 0": lambda path: _json(path, lambda value: -1 if _number(value) else value),
    "every list empty": lambda path: _json(path, lambda value: [] if isinstance(value, list) else value),
}  # fmt: skip
WEIGHTS: dict[str, Callable[[Path], None]] = {
    "a head of 4 exabytes": _bytes(lambda data: struct.pack("<Q", 2**62) + data[8:]),
    "a head longer than the file": _bytes(lambda data: struct.pack("<Q", len(data)) + data[8:]),
    "a head of nothing": _bytes(lambda data: struct.pack("<Q", 0) + data[8:]),
    "a head that is no JSON": _bytes(lambda data: data[:8] + b"x" + data[9:]),
    "tensors beyond the end": _bytes(lambda data: data.replace(b'"data_offsets":[0,', b'"data_offsets":[9,', 1)),
    "another type of numbers": _bytes(lambda data: data.replace(b'"F32"', b'"I32"')),
    "an unknown type of numbers": _bytes(lambda data: data.replace(b'"F32"', b'"F33"')),
    "another shape": _bytes(lambda data: data.replace(b'"shape":[8]', b'"shape":[2,4]', 1)),
    "another name": _bytes(lambda data: data.replace(b"weight", b"height", 1)),
    "all of it NaN": _bytes(lambda data: _with_numbers(data, b"\x00\x00\xc0\x7f")),
    "a pickle": _bytes(lambda data: b"\x80\x04cos\nsystem\n(S'touch pickled'\ntR."),
}
ALL = ANY | TEXT | JSON | WEIGHTS
# A file may be as good as before, or good enough.
MILD = {"the last byte gone", "a bit flipped", "more behind", "Latin-1", "every list empty", "every number a text",
        "every text a number", "every number huge", "every number below 0", *TEXT,
        "all of it NaN", "another shape", "another type of numbers", "another name", "a list of numbers"}  # fmt: skip


def must_fail(case: "Case", kind: str) -> bool:
    """Whether the command cannot do with this damage what was asked for."""
    half_is_less = case.file.endswith(".txt") and kind == "cut"  # of stories
    return case.needed and kind not in MILD and not half_is_less


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json(path: Path, change: Callable) -> None:
    """Change every value of a JSON file, or of each of its lines."""

    def through(value):
        if isinstance(value, dict):
            value = {key: through(each) for key, each in value.items()}
        elif isinstance(value, list):
            value = [through(each) for each in value]
        return change(value)

    text = path.read_text("utf-8")
    lines = text.split("\n") if path.suffix == ".jsonl" else [text]
    path.write_text("\n".join(json.dumps(through(json.loads(line))) if line else "" for line in lines), "utf-8")


def _with_numbers(data: bytes, number: bytes) -> bytes:
    start = 8 + struct.unpack("<Q", data[:8])[0]
    return data[:start] + number * ((len(data) - start) // len(number))


def kinds_for(name: str) -> dict[str, Callable[[Path], None]]:
    """The kinds of damage that a file of this name can have."""
    text = name.endswith((".json", ".jsonl", ".txt", ".ipynb", ".md", ".py"))
    kinds = ANY | (TEXT if text else {}) | (JSON if name.endswith((".json", ".jsonl", ".ipynb")) else {})
    return kinds | (WEIGHTS if name.endswith(("safetensors", "step*")) else {})


# ---------------------------------------------------------------------- what must hold


def state_of(folder: Path) -> dict[str, str]:
    """Every file by its path, with a hash of what it holds; of what is no file its kind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink() or not path.is_file():
            found[name] = "a folder" if path.is_dir() and not path.is_symlink() else "no file"
        else:
            mode = path.stat().st_mode & 0o777
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() + (" shut" if not mode else "")
    return found


def copied(world: Path, case: Case, place: Path) -> tuple[Path, list[Path]]:
    """A new copy of what the case needs, and the paths of the files that are to be damaged."""
    for name in sorted(case.parts):
        source = world / name
        if source.is_dir():
            shutil.copytree(source, place / name)
        elif source.exists():
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place / name)
    paths = sorted(place.glob(case.file)) or [place / case.file]
    for path in paths:
        if not path.exists():  # it is not there by itself
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    return place, paths


def try_case(run: Commands, place: Path, case: Case, damage: Callable[[Path], None], paths, fails: bool = False):
    """Damage the files, run the command; how it ended, and what was not as it must be.

    Args:
        fails: whether the command must say that it cannot do what was asked for.
    """
    for path in paths:
        damage(path)
    before = state_of(place)
    options = {"root": str(place / "root")} if case.root else {}
    outcome = run(
        case.argv, cwd=str(place), runs=str(place / "runs"), seconds=SECONDS, plain=True, given=case.given, **options
    )
    return outcome, faults(outcome, case, before, place, paths, fails)


def faults(outcome: Outcome, case: Case, before: dict, place: Path, paths, fails: bool) -> list[str]:
    """What is not as it must be: a hang, a traceback, an unclear line, something half written."""
    found = []
    if outcome.hung:
        return [f"it was still running after {SECONDS} s"]
    if outcome.traceback:
        return ["a traceback: " + " | ".join(outcome.lines[-3:])]
    right = (2,) if fails else (0, 1, 2) if case.argv[0] == "run" else (0, 2)
    if outcome.code not in right:
        found.append(f"exit code {outcome.code}: {outcome.err[-300:]}")
    if outcome.code == 2:
        if len(outcome.lines) != 1 or not outcome.lines[0].startswith("error: ") or len(outcome.err) > 1000:
            found.append(f"not one clear line: {outcome.err[:1500]!r}")
        names = {name for path in paths for name in (path.name, path.parent.name, path.stem, path.name[:2])}
        if fails and not any(name in outcome.err for name in names if name):
            found.append(f"the line does not name the file: {outcome.err}")
    return found + _half_written(outcome, before, place)


def _half_written(outcome: Outcome, before: dict, place: Path) -> list[str]:
    after, found = state_of(place), []
    new = {name for name in after if after[name] != before.get(name) and after[name] != "a folder"}
    if left := [name for name in after if name not in before and re.search(r"\.(part|tmp|old)\b", name)]:
        found.append(f"left behind: {left}")
    if outcome.code == 2:
        kept = ("runs/tokens/", "runs/tokenizers/", "stopped/", "runs/my_gpt.py")  # whole ones: see below
        written = sorted(name for name in new if not name.startswith(kept))
        gone = sorted(name for name in before if name not in after and not name.startswith(kept))
        if written or gone:
            found.append(f"refused, and yet written: {written}, gone: {gone}")
    for name in sorted(new):
        path = place / name
        if path.suffix == ".json" and path.is_file():
            json.loads(path.read_text("utf-8"))
        if path.suffix == ".safetensors" and path.is_file():
            from safetensors import safe_open

            with safe_open(path, "pt") as file:
                assert list(file.keys())
    return found
