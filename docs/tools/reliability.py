"""Try what docs/reliability.md promises, keep the counts in data/recorded/reliability.json, and write the page's table.

    python docs/tools/reliability.py                       all of it: two hours on two cores
    python docs/tools/reliability.py --only kills together
    python docs/tools/reliability.py --only stories --missing     only the pairs that have not passed yet
    python docs/tools/reliability.py --table               try nothing, write the table from the record

Each part is kept as soon as it is done, with its date, its commit and what it ran with. Leaves with 1 where a part
misses its bar. Needs Linux.
"""

import argparse
import datetime
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the process forks
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from readme_tables import with_table
from where_it_ran import commit

from helpers.checkpoint import saved_checkpoints
from helpers.errors import CourseError
from helpers.files import data_folder, read_json, repository_root, write_atomically, write_json
from helpers.run_log import LOCK, read_log

FORMAT = 1
NAME = "what was tried"  # the table in the page
RECORD = data_folder() / "recorded" / "reliability.json"
PAGE = repository_root() / "docs" / "reliability.md"
KILLS, INPUTS, TOGETHER, HOSTILE, CLASS, SOURCES = 100, 300, 20, 40, 45, 6  # at least so many
EXAMPLES = 200  # of each property


# ---------------------------------------------------------------------- killed, and resumed


def try_kills(seed: int) -> dict:
    """Kill small runs, half of the times in the middle of a save, and resume each until it ends."""
    import kill_runs

    found = kill_runs.kill_and_resume(KILLS, seed, say=_say)  # an error where a run does not end as it must
    return {
        "kills": found["kills"],
        "in_a_save": sum(found["in_writes"].values()),
        "points_of_a_save": found["in_writes"],
        "runs": found["runs"],
        "equal": found["runs"],
    }


# ---------------------------------------------------------------------- bad inputs


def try_inputs(seed: int) -> dict:
    """Every kind of damage to every file that a command reads, and damage that hypothesis makes."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    from tests import damage
    from tests import test_fault_properties as properties
    from tests.forked import Commands

    home, counts, faults = Path(tempfile.mkdtemp(prefix="bad-inputs-")), Counter(), []
    try:
        with Commands() as run:
            world = damage.make_world(home / "world")

            def one(case, break_it: Callable[[Path], None], fails: bool, what: str) -> None:
                shutil.rmtree(home / "place", ignore_errors=True)
                place, paths = damage.copied(world, case, home / "place")
                outcome, wrong = damage.try_case(run, place, case, break_it, paths, fails)
                counts.update(
                    inputs=1, refused=outcome.code == 2, done=outcome.code == 0, hangs=outcome.hung,
                    tracebacks=outcome.traceback, not_as_promised=bool(wrong),
                )  # fmt: skip
                if wrong:
                    faults.append(f"{case}, {what}: {'; '.join(wrong)}")
                    _say(faults[-1])

            for case in damage.CASES:
                for kind, break_it in damage.kinds_for(case.file).items():
                    one(case, break_it, damage.must_fail(case, kind), kind)
                _say(f"{case}: {counts['inputs']} inputs so far")
            matrix = counts["inputs"]
            many = settings(
                max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
            )

            @many
            @seeded(seed)
            @given(st.sampled_from(damage.CASES), properties.CHANGES)
            def bytes_changed(case, changes):
                one(case, lambda path: path.write_bytes(properties.changed(path.read_bytes(), changes)), False, "bytes")

            @many
            @seeded(seed)
            @given(st.sampled_from(properties.WITH_VALUES), properties.JSON_CHANGES)
            def values_changed(case, changes):
                one(case, lambda path: properties.write_changed(path, changes), False, f"values {changes}")

            bytes_changed()
            values_changed()
            commands = len({case.argv[0] for case in damage.CASES})
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return {
        "commands": commands,
        "files": len(damage.CASES),
        "kinds": len(damage.ALL),
        "of_the_table": matrix,
        "by_hypothesis": counts["inputs"] - matrix,
        **{name: counts[name] for name in ("inputs", "refused", "done", "tracebacks", "hangs", "not_as_promised")},
        "faults": faults[:20],
    }


# ---------------------------------------------------------------------- two at once


STEPS = 60


def try_together(seed: int) -> dict:
    """Two processes in one run's folder: two starts, two resumes, a resume and a start that overwrites."""
    from tests import damage
    from tests.forked import Commands

    chance, home = random.Random(seed), Path(tempfile.mkdtemp(prefix="two-at-once-"))
    counts = Counter(times=0, refused=0, both_went_well=0, lost=0)
    start = [*damage.OWN, "stories.txt", "--steps", str(STEPS), "--set", "checkpoint_every=10"]
    over, resume = [*start, "--overwrite"], ["resume", "out", "--quiet"]
    patterns = {"two starts": (start, start), "a start over another": (start, over),
                "two resumes": (resume, resume), "a resume and a start over it": (resume, over)}  # fmt: skip
    try:
        with Commands() as one, Commands() as other:
            world = home / "world"
            world.mkdir()
            damage.write_stories(world)
            options = dict(seconds=damage.SECONDS)
            whole = home / "whole"
            shutil.copytree(world, whole)
            done = one(start, cwd=str(whole), runs=str(whole / "runs"), **options)
            if done.code:
                raise CourseError(f"the run that nobody disturbs failed: {done.err}")
            right = (whole / "out" / "model.safetensors").read_bytes()
            for number in range(TOGETHER):
                name, (first, second) = list(patterns.items())[number % len(patterns)]
                place = home / f"trial-{number}"
                shutil.copytree(world, place)
                if "resume" in name:
                    _stopped(one, start, place)
                here = dict(cwd=str(place), runs=str(place / "runs"), **options)
                one.start(first, **here)
                time.sleep(chance.uniform(0, 0.6))
                other.start(second, **here)
                ended = [one.outcome(), other.outcome()]
                wrong = _lost(ended, place / "out", right)
                counts.update(
                    times=1, lost=bool(wrong), refused=sum(each.code == 2 for each in ended),
                    both_went_well=all(each.code == 0 for each in ended),
                )  # fmt: skip
                _say(f"{number + 1}. {name}: {[each.code for each in ended]} {wrong or 'whole'}")
                shutil.rmtree(place)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return dict(counts)


def _stopped(run, start: list[str], place: Path) -> None:
    """Leave in a folder a run that was told to stop on its way."""
    out = place / "out"
    run.start(start, cwd=str(place), runs=str(place / "runs"), seconds=300)
    while len(read_log(out)) < STEPS // 3:
        time.sleep(0.01)
    os.kill(int((out / LOCK).read_text("utf-8")), signal.SIGTERM)
    if (ended := run.outcome()).code != 130:
        raise CourseError(f"a run that was told to stop ended with {ended.code}: {ended.err}")


def _lost(ended: list, folder: Path, right: bytes) -> str:
    """What is not as after a run that nobody disturbed."""
    codes = {each.code for each in ended}
    if any(each.hung or each.traceback for each in ended) or not codes <= {0, 2} or 0 not in codes:
        return f"ended with {codes}: {[each.err[-300:] for each in ended]}"
    if (folder / "model.safetensors").read_bytes() != right:
        return "another model"
    if [row["step"] for row in read_log(folder)] != list(range(1, STEPS + 1)):
        return "another log"
    left = [path.name for path in folder.rglob("*") if path.name == LOCK or path.suffix in (".part", ".damaged")]
    return f"left behind: {left}" if left or saved_checkpoints(folder) else ""


# ---------------------------------------------------------------------- a class, and stories of one's own


def try_class(seed: int) -> dict:
    """A class of 45 of which 40 are hostile or broken: `tests/test_grading_hostile.py` says what it saw."""
    name = "test_forty_hostile_submissions_cost_only_their_own_marks"
    (case,) = _pytest(f"tests/test_grading_hostile.py::{name}")
    seen = {one.get("name"): one.get("value") for one in case.iter("property")}
    counted = ("handed_in", "hostile", "marked", "honest", "honest_right", "outside_touched")
    return {"passed": _passed(case), **{key: int(seen.get(key, -1)) for key in counted},
            "confinement": seen.get("confinement", "")}  # fmt: skip


def try_stories(seed: int, missing: bool = False) -> dict:
    """Every notebook on every source of `tests/test_own_stories.py`, two at a time; Ctrl-C keeps what was tried."""
    from tests import test_own_stories as own

    pairs = [(number, source) for number, _ in own.PAIRS for source in own.SOURCES]
    before = read_record()["parts"].get("stories", {}).get("passed", []) if missing else []
    passed = {pair for pair in pairs if f"{pair[0]} {pair[1]}" in before}
    failing: set[tuple[str, str]] = set()
    test = "tests/test_own_stories.py::test_a_notebook_runs_to_its_end_on_stories_of_ones_own"

    def attempt(pair: tuple[str, str]) -> None:
        (case,) = _pytest(f"{test}[{pair[0]}-{pair[1]}]", OWN_STORIES="all", OMP_NUM_THREADS="1")
        (passed if _passed(case) else failing).add(pair)
        _say(f"{pair[0]} on {pair[1]}: {'to its end' if _passed(case) else 'FAILED'}")

    with ThreadPoolExecutor(2) as pool:
        try:
            for done in [pool.submit(attempt, pair) for pair in pairs if pair not in passed]:
                done.result()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
    words = [f"{number} {source}" for number, source in pairs if (number, source) in passed]
    failed = [f"{number} {source}" for number, source in pairs if (number, source) in failing]
    return {"notebooks": len({number for number, _ in pairs}), "sources": len(own.SOURCES), "pairs": len(pairs),
            "to_their_end": len(words), "passed": words, "failed": failed}  # fmt: skip


def _pytest(test: str, **variables: str) -> list[ElementTree.Element]:
    """The test cases that a call of pytest ran."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", test]
        done = subprocess.run(
            [sys.executable, *words], cwd=repository_root(), env=os.environ | variables, capture_output=True, text=True
        )
        if not report.exists():
            raise CourseError(f"pytest did not run {test}: {(done.stdout + done.stderr)[-500:]}")
        return list(ElementTree.parse(report).getroot().iter("testcase"))


def _passed(case: ElementTree.Element) -> bool:
    return not any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))


# ---------------------------------------------------------------------- what counts as kept, the record, the page

PARTS = {"kills": try_kills, "inputs": try_inputs, "together": try_together, "class": try_class, "stories": try_stories}


def missed(name: str, counts: dict) -> list[str]:
    """The bars that a part's counts miss."""
    bars = {
        "kills": lambda c: {
            f"{KILLS} kills": c["kills"] >= KILLS,
            "kills in a save": c["in_a_save"] > 0,
            "kills at each of its points": all(c["points_of_a_save"].values()),
            "every run equal": c["equal"] == c["runs"] > 0,
        },
        "inputs": lambda c: {
            f"{INPUTS} inputs": c["inputs"] >= INPUTS,
            "no traceback": c["tracebacks"] == 0,
            "no hang": c["hangs"] == 0,
            "nothing unclear or half written": c["not_as_promised"] == 0,
        },
        "together": lambda c: {
            f"{TOGETHER} times": c["times"] >= TOGETHER,
            "nothing lost": c["lost"] == 0,
            "one of the two refused": c["refused"] > 0,
        },
        "class": lambda c: {
            f"{HOSTILE} hostile of {CLASS}": (c["hostile"], c["handed_in"]) == (HOSTILE, CLASS) and c["passed"],
            "all marked": c["marked"] == c["handed_in"],
            "the honest ones right": c["honest_right"] == c["honest"] == CLASS - HOSTILE,
            "nothing outside touched": c["outside_touched"] == 0,
        },
        "stories": lambda c: {
            f"{SOURCES} sources": c["sources"] >= SOURCES,
            "every notebook on each": c["to_their_end"] == c["pairs"] == c["notebooks"] * c["sources"] > 0,
        },
    }
    return [bar for bar, kept in bars[name](counts).items() if not kept]


def read_record() -> dict:
    found = read_json(RECORD) if RECORD.exists() else {"format": FORMAT, "parts": {}}
    if found.get("format") != FORMAT:
        raise CourseError(f"{RECORD} has another format than {FORMAT}: delete it, and try all again")
    return found


def _keep(name: str, counts: dict, minutes: float, at: str) -> None:
    """Put a part's counts into the record, with where and when, and write the page's table."""
    import torch

    found = read_record()
    about = {"date": datetime.date.today().isoformat(), "commit": at, "minutes": round(minutes, 1),
             "system": f"{platform.system()} on {platform.machine()}", "python": platform.python_version(),
             "torch": torch.__version__}  # fmt: skip
    found["parts"] = {each: found["parts"][each] for each in PARTS if each in found["parts"]} | {name: about | counts}
    found["parts"] = {each: found["parts"][each] for each in PARTS if each in found["parts"]}
    write_json(RECORD, found)
    write_table()


def _told(name: str, c: dict) -> tuple[str, str]:
    """What was tried, and what came of it, in words."""
    if name == "kills":
        points = ", ".join(f"{count} {point}" for point, count in c["points_of_a_save"].items())
        return (
            f"{c['kills']} SIGKILLs of a small run, {c['in_a_save']} of them in the middle of a save ({points}), the "
            "others at a random moment; resumed after each",
            f"{c['equal']} of {c['runs']} runs ended with the same file, byte for byte, as the run that nobody killed",
        )
    if name == "inputs":
        return (
            f"{c['inputs']:,} bad inputs to {c['commands']} commands: {c['kinds']} kinds of damage to "
            f"{c['files']} pairs of a command and a file ({c['of_the_table']:,}), and {c['by_hypothesis']:,} that "
            "hypothesis made",
            f"{c['tracebacks']} tracebacks, {c['hangs']} hangs, {c['not_as_promised']} unclear or half written; "
            f"{c['refused']:,} refused in one line, {c['done']:,} done all the same",
        )
    if name == "together":
        return (
            f"Two processes at once in one run's folder, {c['times']} times: two starts, two resumes, one that "
            "overwrites the other",
            f"{c['lost']} lost; {c['refused']} were refused, and each time the run ended as one that is alone",
        )
    if name == "class":
        return (
            f"A class of {c['handed_in']}, {c['hostile']} of them hostile or broken (confinement: {c['confinement']})",
            f"{c['marked']} marked, {c['honest_right']} of {c['honest']} honest ones with full points, "
            f"{c['outside_touched']} things outside touched",
        )
    failed = f"; not {', '.join(c['failed'])}" if c["failed"] else ""
    untried = c["pairs"] - c["to_their_end"] - len(c["failed"])
    failed += f"; {untried} have not been tried" if untried else ""
    return (
        f"{c['notebooks']} notebooks, each on {c['sources']} sources of stories of one's own",
        f"{c['to_their_end']} of {c['pairs']} ran to their end{failed}",
    )


def table(found: dict) -> str:
    """The Markdown table: a line for each part; what was not tried yet says so."""
    rows = ["| what was tried | what came of it | date | commit |", "|---|---|---|---|"]
    for name in PARTS:
        if name in found["parts"]:
            counts = found["parts"][name]
            what, came = _told(name, counts)
            came += "".join(f"; **missed: {bar}**" for bar in missed(name, counts))
            rows.append(f"| {what} | {came} | {counts['date']} | {counts['commit']} |")
        else:
            rows.append(f"| {name} | not tried yet: `python docs/tools/reliability.py --only {name}` | | |")
    return "\n".join(rows)


def page_with(text: str, found: dict) -> str:
    return with_table(text, NAME, table(found))


def write_table() -> None:
    write_atomically(PAGE, page_with(PAGE.read_text(encoding="utf-8"), read_record()))


def _say(line: str) -> None:
    print(line, flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts")
    parser.add_argument("--seed", type=int, default=0, help="of moments and of damage")
    parser.add_argument("--missing", action="store_true", help="of the notebooks only those that have not passed yet")
    parser.add_argument("--table", action="store_true", help="only write the table")
    chosen = parser.parse_args(arguments)
    if chosen.table:
        write_table()
        return 0
    failed = 0
    for name in chosen.only:
        began, at = time.perf_counter(), commit()
        options = {"missing": chosen.missing} if name == "stories" else {}
        try:
            counts = PARTS[name](chosen.seed, **options)
        except CourseError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed += 1
            continue
        _keep(name, counts, (time.perf_counter() - began) / 60, at)
        failed += bool(missed(name, counts))
        _say(f"{name}: {counts}" + "".join(f"\nMISSED: {bar}" for bar in missed(name, counts)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
