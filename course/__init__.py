"""A notebook's start: what machine this is, which stories, which seed, and how long it will take."""

import os
import platform
import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

try:
    from course.packages import check_torch, install_missing
except ValueError as error:  # `helpers` refuses an old Python: `python -m course` says so in one line
    if sys.argv[:1] == ["-m"]:
        sys.exit(f"error: {error}")
    raise
from helpers import ENGINES
from helpers.errors import CourseError
from helpers.files import data_folder, read_json, runs_folder, write_json

__version__ = "1.0.0"  # the one place; CHANGELOG.md and CITATION.cff say the same, and a test compares them

SEED = 1337
FEWEST = {"train": 20, "validation": 2}  # stories of one's own with which every notebook can work
SHORTEST = 1000  # characters that those to train on have together


@dataclass(frozen=True)
class Session:
    """What a notebook knows about where it runs: everything a cell may need to ask."""

    number: str  # "03"
    device: str  # "cpu", "cuda", or where it was asked for "mps"
    profile: str  # "cpu", "t4", "gpu" or "mps": which budgets apply
    seed: int
    stories: str  # the source that `helpers.stories.load_stories` is asked for


_current: Session | None = None


def _ctranslate2(model, **options):
    from course.engine import CTranslate2Engine  # here, because it imports torch

    return CTranslate2Engine(model, **options)


ENGINES["ctranslate2"] = _ctranslate2


def current() -> Session | None:
    """The session that the notebook's setup cell started, or None outside a notebook."""
    return _current


def start(number: str, own_stories: bool = True) -> Session:
    """Prepare notebook `number` ("03"): install what is missing, seed every generator, say where we are.

    `COURSE_STORIES` names another source of stories than the bundled ones, `COURSE_DEVICE` another device ("cpu",
    "cuda" or "mps"), `COURSE_SEED` another seed.

    Args:
        own_stories: whether stories of one's own are looked at now; a run that goes on has its tokens.

    Raises:
        CourseError: a package is missing and cannot be installed, torch is too old, runs/ cannot be written, or a
            variable holds something that cannot be.
    """
    global _current
    install_missing()
    check_torch(_torch_version())
    runs_folder()  # where it cannot be written, that is said now and not an hour later
    source = os.environ.get("COURSE_STORIES", "").strip() or "bundled"  # empty: as if it were not there
    if own_stories:
        _check_stories(source)
    _current = Session(
        number=number,
        device=device(),
        profile=profile(),
        seed=_seed(),
        stories=source,
    )
    seed_everything(_current.seed)
    print(f"Notebook {number}: device {_current.device}, profile {_current.profile}, "
          f"stories {_current.stories}, seed {_current.seed}.")  # fmt: skip
    print(time_sentence(number, _current.profile))
    if note := _apple_note(_current.device):
        print(note)
    return _current


def _check_stories(source: str) -> None:
    """Refuse, before anything is done, stories of one's own that cannot be read or are too few for a notebook."""
    if source in ("bundled", "tinystories"):
        return
    from helpers.stories import load_stories

    for split, fewest in FEWEST.items():
        texts = list(islice(load_stories(source, split, limit=SHORTEST, streaming=True), SHORTEST))
        length, lines = sum(map(len, texts)), sum(text.count("\n") + 1 for text in texts)
        if len(texts) < fewest or (split == "train" and length < SHORTEST):
            need = f"{fewest} {split} stories" + (f" of {SHORTEST:,} characters together" if split == "train" else "")
            has = f"{source} has {len(texts)} of {length:,} characters in {lines:,} lines"
            divide = ", or put a line with <|endoftext|> behind each" if lines > len(texts) else ""
            raise CourseError(f"the notebooks need {need} at least, and {has}: give more stories{divide}")


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and torch's generators."""
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)


_OWN = {  # how a learner comes to an artifact of their own
    "tokenizer.json": "; notebook 01 trains one of your own",
    "storyteller": "; notebook 07 trains one of your own",
    "listener": "; its README.md says which command made it",
}


def artifact(name: str) -> Path:
    """Where `name` ("storyteller", "tokenizer.json") is: made here, in `runs/`, or else shipped, in `data/`.

    Prints which of the two it is.

    Raises:
        CourseError: it is in neither.
    """
    made, shipped = runs_folder() / name, data_folder() / name
    if made.exists():
        print(f"Using your own {name} (in runs/).")
        return made
    if shipped.exists():
        print(f"Using the shipped {name} (in data/){_OWN.get(name, '')}.")
        return shipped
    raise CourseError(f"there is no {name} in runs/ and none in data/{_OWN.get(name, '')}")


def machine() -> dict[str, str]:
    """This machine in words: Python, torch, CPU cores, memory, GPU."""
    import torch

    facts = {
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} on {platform.machine()}",
        "CPU cores": str(cores()),
        "memory": memory(),
        "GPU": "none",
    }
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        facts["GPU"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GB"
    return facts


def timed(profile: str) -> dict:
    """What data/notebook_times.json holds of a profile: "machine" in words, "seconds" by notebook, and perhaps its
    "gflops"; empty if nothing was measured.
    """
    return _times()[1].get(profile, {})


def _times() -> tuple[Path, dict]:
    """The file of times, and what it holds; a CourseError where that is something else."""
    path = data_folder() / "notebook_times.json"
    times = read_json(path) if path.exists() else {}
    for one in times.values() if isinstance(times, dict) else [None]:
        seconds = one.get("seconds") if isinstance(one, dict) else None
        numbers = [*seconds.values(), one.get("gflops", 0)] if isinstance(seconds, dict) else [None]
        if not all(isinstance(each, int | float) for each in numbers) or not isinstance(one.get("machine", ""), str):
            raise CourseError(f"{path} does not hold the notebooks' times: git checkout -- data/notebook_times.json")
    return path, times


def notebook_seconds(profile: str) -> dict[str, float]:
    """Measured seconds by notebook ("03_baselines": 41.0); empty if none measured."""
    return timed(profile).get("seconds", {})


def record_times(seconds: dict[str, float], gflops: float | None = None) -> Path:
    """Keep what notebooks took on this machine, by profile; other profiles' and other notebooks' times stay.

    Args:
        gflops: how fast this machine multiplies matrices, so that others can be compared with it.
    """
    path, times = _times()
    facts = machine()
    of_profile = times.setdefault(profile(), {"machine": "", "seconds": {}})
    of_profile["machine"] = f"{facts['CPU cores']} CPU cores, {facts['memory']}, GPU: {facts['GPU']}"
    if gflops:
        of_profile["gflops"] = round(gflops)
    of_profile["seconds"].update({name: round(value, 1) for name, value in seconds.items()})
    of_profile["seconds"] = dict(sorted(of_profile["seconds"].items()))
    return write_json(path, times)


def in_words(seconds: float) -> str:
    """A duration as a person would say it."""
    if seconds < 50:
        return f"{max(5, round(seconds / 5) * 5)} seconds"
    minutes = round(seconds / 60)
    return "about a minute" if minutes <= 1 else f"{minutes} minutes"


def print_story(pieces: Iterable[str], width: int = 88) -> None:
    """Print a story as its pieces arrive, with lines of at most `width` characters.

    A piece can be part of a word, so a word is printed when the next one begins.
    """
    column, word = 0, ""

    def say(word: str) -> None:
        nonlocal column
        if column + len(word) > width and "\n" not in word:
            print()
            column, word = 0, word.lstrip(" ")
        print(word, end="", flush=True)
        column = len(word) - word.rfind("\n") - 1 if "\n" in word else column + len(word)

    for piece in pieces:
        for character in piece:
            if character in " \n" and word.strip():
                say(word)
                word = ""
            word += character
    say(word.rstrip(" "))
    print()


def time_sentence(number: str, profile: str) -> str:
    """How long a notebook took, in the words of its setup cell."""
    for notebook, seconds in notebook_seconds(profile).items():
        if notebook.startswith(f"{number}_"):
            return f"Running all of it took {in_words(seconds)} when last timed on a machine of this profile."
    return "Its time on a machine of this profile has not been measured yet."


def _torch_version() -> str:
    import torch

    return str(torch.__version__)


def device() -> str:
    """The device that notebooks use here: a GPU that torch sees, else the CPU, or what `COURSE_DEVICE` names."""
    import torch

    asked = os.environ.get("COURSE_DEVICE")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked and asked not in there:
        raise CourseError(f"COURSE_DEVICE is {asked!r}; it can be 'cpu', 'cuda' or 'mps'")
    if asked and not there[asked]:
        raise CourseError(f"COURSE_DEVICE is {asked!r}, but torch sees no GPU of that kind here: unset it or say 'cpu'")
    return asked or ("cuda" if there["cuda"] else "cpu")


def _apple_note(device: str) -> str | None:
    """What the owner of an Apple GPU should know."""
    import torch

    if device == "mps":
        return "On an Apple GPU (mps), in float32: nobody has run the course on one, and no time of it is known."
    if device == "cpu" and torch.backends.mps.is_available():
        return "There is an Apple GPU here, which the course was never run on: COURSE_DEVICE=mps tries it."
    return None


def profile() -> str:
    """Which budgets apply here: "cpu", "t4" (Colab's free GPU), "gpu" (any other of Nvidia's) or "mps" (Apple's)."""
    if (here := device()) != "cuda":
        return here
    import torch

    return "t4" if "T4" in torch.cuda.get_device_name(0) else "gpu"


def _seed() -> int:
    asked = os.environ.get("COURSE_SEED", str(SEED))
    if not asked.isdecimal() or len(asked) > 19 or int(asked) >= 2**63:
        raise CourseError(f"COURSE_SEED is {asked[:40]!r}; it must be a whole number, 0 or more and below 2^63")
    return int(asked)


def cores() -> int:
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> str:
    """The machine's memory in words, whoever uses it."""
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GB"
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return "unknown"
