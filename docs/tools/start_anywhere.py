"""Run each notebook on its own: in a fresh clone of what is committed, the last notebook first, each with an empty runs
folder. Any of them must pass, because what an earlier one would have made is shipped in data/.

    python docs/tools/start_anywhere.py                    all of them
    python docs/tools/start_anywhere.py --only 00,05       these
    python docs/tools/start_anywhere.py --out FILE.json    and keep what each took, and which shipped things it used
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import repository_root, write_json

USING = re.compile(r"^Using (your own|the shipped) (\S+) \(in (?:runs|data)/\)", re.MULTILINE)


def fresh_clone(folder: Path) -> Path:
    """A clone of the last commit, without its history.

    Raises:
        CourseError: this is not a clone itself, or git is missing.
    """
    command = ["git", "clone", "-q", "--depth=1", repository_root().as_uri(), str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise CourseError(f"the course cannot be cloned ({reason}): run this in a git clone of it") from error
    return folder


def run_alone(clone: Path, number: str, runs: Path) -> dict:
    """Run one notebook of `clone` with the empty folder `runs`: {"passed", "seconds", "shipped", "own", "problem"}."""
    command = [sys.executable, "-m", "course", "run", "--only", number, "--skip-training"]
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=clone, env=os.environ | {"COURSE_RUNS": str(runs)}, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    said = ""
    for page in (runs / "pages").glob(f"{number}_*.ipynb"):
        outputs = [output for cell in notebooks.read(page).cells for output in cell.get("outputs", [])]
        said += "\n".join(output.get("text", "") for output in outputs)
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True).stdout
    problem = "" if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()[-1]
    if changed and not problem:
        problem = f"it changed files of the course: {' '.join(changed.split()[1::2])}"
    used = {
        whose: sorted({name for who, name in USING.findall(said) if who == whose})
        for whose in ("your own", "the shipped")
    }
    return {
        "passed": not problem,
        "seconds": round(seconds, 1),
        "shipped": used["the shipped"],
        "own": used["your own"],  # what the notebook itself made before it used it
        "problem": problem,
    }


def run_all(only: list[str] | None = None, say=print) -> dict[str, dict]:
    """What `run_alone` found for each notebook by its name, the last one first."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="start-anywhere-", ignore_cleanup_errors=True) as place:
        clone = fresh_clone(Path(place) / "course")
        for path in reversed(sorted((clone / "notebooks").glob("[0-9][0-9]_*.ipynb"))):
            number = path.name[:2]
            if only is not None and number not in only:
                continue
            runs = Path(place) / f"runs-{number}"
            runs.mkdir()
            found[path.stem] = one = run_alone(clone, number, runs)
            took = f"; took {', '.join(one['shipped'])} from data/" if one["shipped"] else ""
            ended = "passed" if one["passed"] else f"FAILED: {one['problem']}"
            say(f"{path.stem}: {ended}, {one['seconds']:.0f} s{took}")
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="00,05", help="only the notebooks with these numbers")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write what was found as JSON")
    asked = parser.parse_args(arguments)
    try:
        found = run_all(asked.only.split(",") if asked.only else None, say=lambda line: print(line, flush=True))
        if not found:
            raise CourseError(f"there is no notebook {asked.only}")
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    if asked.out:
        write_json(asked.out, found)
    passed = sum(one["passed"] for one in found.values())
    print(f"{passed} of {len(found)} notebooks passed alone, the last one first")
    return 0 if passed == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
