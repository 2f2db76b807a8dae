"""What was run where: the table in docs/running.md, made from records, and the making of a record on this machine.

    python docs/tools/where_it_ran.py                            write the table
    python docs/tools/where_it_ran.py --list                     the checks there are, by their names
    python docs/tools/where_it_ran.py --record linux-setup       run that check here, keep how it ended, write the table
    python docs/tools/where_it_ran.py --record vscode --saw "every cell ran"      one that is done by hand
    python docs/tools/where_it_ran.py --record colab-t4 --out colab-t4.json       and the file is sent back

A record says what was run on what kind of machine, with which versions, when, at which commit and how it ended. It
holds no names and no paths. What has no record is said not to have been run.
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from readme_tables import with_table

from helpers.errors import CourseError
from helpers.files import data_folder, read_json, repository_root, write_atomically, write_json

NAME = "where it was run"  # the table in docs/running.md
VERSIONS = ("torch", "transformers", "datasets", "tokenizers", "numpy")


@dataclass(frozen=True)
class Check:
    """Something that a person may want to know to have been run, and where."""

    name: str
    what: str
    host: str  # "Linux", "macOS", "Windows", "conda", "Colab", "Kaggle"
    device: str  # "cpu", "t4", "gpu", or "any"
    command: str  # behind `python`, if it can be run; else what a person does
    by_hand: bool = False
    variables: tuple[tuple[str, str], ...] = ()


_TESTS = "Every test; every notebook, its outputs compared"
_COURSE = "Every notebook in order"
CHECKS = [
    Check("linux-tests", _TESTS, "Linux", "cpu", "-m pytest"),
    Check("linux-alone", "Each notebook alone in a fresh clone, the last one first", "Linux", "cpu",
          "docs/tools/start_anywhere.py --out data/recorded/start_anywhere.json"),
    Check("linux-setup", "The setup cell and two notebooks as Colab runs them, with a stub of `google.colab`", "Linux",
          "cpu", "-m pytest tests/test_setup_cell.py"),
    Check("linux-network", "No network; proxies and Hubs that refuse, break off or say nothing", "Linux", "cpu",
          "-m pytest tests/test_network.py"),
    Check("macos-tests", _TESTS, "macOS", "cpu", "-m pytest"),
    Check("windows-tests", _TESTS, "Windows", "cpu", "-m pytest"),
    Check("conda-tests", _TESTS, "conda", "cpu", "-m pytest"),
    Check("colab-t4", _COURSE, "Colab", "t4", "-m course run"),
    Check("kaggle-t4", _COURSE, "Kaggle", "t4", "-m course run"),
    Check("gpu-course", _COURSE, "Linux", "gpu", "-m course run"),
    Check("vscode", "Notebooks 00 and 05 in VS Code", "Linux", "any",
          "open them and choose *Run All*", by_hand=True),
    Check("real-hub", "Notebooks 02 and 12 with TinyStories and GPT-2 from the real Hub", "Linux", "any",
          "-m course run --only 02,12 --skip-training", variables=(("COURSE_STORIES", "tinystories"),)),
    Check("gpu-checks", "Ten minutes of a GPU: beside transformers, the ladder of options, a run, a staged disconnect",
          "Linux", "gpu", "docs/tools/gpu_checks.py --out data/recorded/gpu"),
    Check("colab-disconnect", "Notebook 08's run kept on Drive, the machine thrown away, the one cell on a new one",
          "Colab", "t4",
          "run notebook 08, delete the runtime after half an hour, run its folded cell *The run* alone", by_hand=True),
    Check("t4-hour", "The recipe for an hour of a T4, to CS336's target", "Colab", "t4",
          "-m course train --recipe tinystories-t4 --out runs/tinystories-t4"),
    Check("full-tinystories", "GPT-2, 124M parameters, an hour of TinyStories", "Linux", "gpu",
          "-m course train --recipe gpt2-tinystories --out runs/gpt2-tinystories"),
]  # fmt: skip


def check_named(name: str) -> Check:
    for check in CHECKS:
        if check.name == name:
            return check
    raise CourseError(f"there is no check {name}; there are {', '.join(check.name for check in CHECKS)}")


def host() -> str:
    """What kind of place this machine is, in the words of `Check.host`."""
    if _can_import("google.colab"):
        return "Colab"
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
        return "Kaggle"
    if (Path(sys.prefix) / "conda-meta").is_dir():
        return "conda"
    return {"Darwin": "macOS"}.get(platform.system(), platform.system())


def _can_import(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _device() -> str:
    import course

    return course.profile()


def commit() -> str:
    """The short name of the last commit, with a plus sign where files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=repository_root(), capture_output=True, text=True).stdout.strip()

    try:
        return git("rev-parse", "--short=7", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except OSError:
        return ""


def run_check(check: Check, saw: str | None = None) -> dict:
    """Run a check here and say how it ended, as a record.

    Raises:
        CourseError: it belongs to another kind of place, or is done by hand and nobody said what was seen.
    """
    here, device = host(), _device()
    if here != check.host or check.device not in (device, "any"):
        raise CourseError(f"{check.name} is for {check.host}, {check.device}, and this is {here}, {device}")
    if check.by_hand and not saw:
        raise CourseError(f'{check.name} is done by hand ({check.command}): say what you saw with --saw "..."')
    at, started, passed, summary = commit(), time.perf_counter(), True, saw
    if not check.by_hand:
        passed, summary = _run(check)
    versions = {name: importlib.metadata.version(name) for name in VERSIONS if _can_import(name)}
    return {
        "check": check.name,
        "host": here,
        "system": f"{platform.system()} on {platform.machine()}",
        "device": device,
        "python": platform.python_version(),
        **versions,
        "date": datetime.date.today().isoformat(),
        "commit": at,
        "passed": passed,
        "summary": summary,
        "minutes": round((time.perf_counter() - started) / 60, 1),
    }


def _run(check: Check) -> tuple[bool, str]:
    """Whether the command ended well, and the last line that it printed."""
    with subprocess.Popen(
        [sys.executable, *check.command.split()],
        cwd=repository_root(), env=os.environ | dict(check.variables),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip().strip("= ") or last
    # "in 23.4s" is in the record's minutes; a path has no place in it.
    last = re.sub(r" in \d[\d.]*s\b.*$", "", last)
    return process.returncode == 0, "" if re.search(r"[/\\]\w+[/\\]", last) else last


def records(folder: Path | None = None) -> dict[str, dict]:
    """The newest record of each check, by the check's name."""
    found: dict[str, dict] = {}
    for path in sorted((folder or data_folder() / "recorded" / "places").glob("*.json")):
        one = read_json(path)
        if check_named(one["check"]) and one["date"] >= found.get(one["check"], one)["date"]:
            found[one["check"]] = one
    return found


def table(found: dict[str, dict]) -> str:
    """The Markdown table: what was run comes first, what was not says so and how it is run."""
    rows = ["| what | where | Python | torch | date | commit | how it ended |", "|---|---|---|---|---|---|---|"]
    for check in sorted(CHECKS, key=lambda check: check.name not in found):
        one = found.get(check.name)
        place = f"{check.host}, {'GPU' if check.device == 'gpu' else check.device.upper()}"
        place = place.removesuffix(", ANY")
        if one is None:
            how = check.command if check.by_hand else f"`{_typed(check)}`"
            rows.append(f"| {check.what} | {place} | | | | | not run yet: {how} |")
            continue
        ended = one["summary"] if one["passed"] else f"**failed**: {one['summary']}"
        rows.append(
            f"| {check.what} | {place} | {one['python']} | {one['torch']} | {one['date']} | {one['commit']} | {ended} |"
        )
    return "\n".join(rows)


def _typed(check: Check) -> str:
    return "".join(f"{name}={value} " for name, value in check.variables) + f"python {check.command}"


def page_with(text: str, found: dict[str, dict]) -> str:
    """The page's text with the present table between its two marks."""
    return with_table(text, NAME, table(found))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="tell what checks there are")
    parser.add_argument("--record", metavar="CHECK", help="run a check here and keep how it ended")
    parser.add_argument("--saw", metavar="WORDS", help="what a check that is done by hand has shown")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the record there, and leave the page alone")
    asked = parser.parse_args(arguments)
    if asked.list:
        print("\n".join(f"{check.name:18} {check.host:8} {_typed(check)}" for check in CHECKS))
        return 0
    passed = True
    try:
        if asked.record:
            one = run_check(check_named(asked.record), asked.saw)
            path = asked.out or data_folder() / "recorded" / "places" / f"{asked.record}.json"
            passed = one["passed"]
            print(f"{write_json(path, one)}: {'passed' if passed else 'failed'}")
        if asked.out is None:
            page = repository_root() / "docs" / "running.md"
            write_atomically(page, page_with(page.read_text(encoding="utf-8"), records()))
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
