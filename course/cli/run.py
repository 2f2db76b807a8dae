"""Tell a story, run every notebook in order, train a storyteller, and let that one tell a story, too.

The executed notebooks are kept as pages in runs/pages; the stored ones are not touched. What comes, and how long it
takes, is said first.

examples:
  python -m course run
  python -m course run --only 00,01 --skip-training
"""

import argparse
import html
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import course
from course import doctor
from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import data_folder, repository_root, runs_folder, write_atomically

STOPPED = 130  # as a shell reports Ctrl-C
_POLITE = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # one is not on Windows
PROMPT = "Once upon a time, a little rabbit named Pip"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="00,01", help="only the notebooks with these numbers")
    parser.add_argument("--skip-training", action="store_true", help="stop after the notebooks")
    parser.add_argument("--steps", type=int, metavar="N", help="train the storyteller for N steps, not for all")
    parser.add_argument(
        "--record-times", action="store_true", help="keep the notebooks' times in data/notebook_times.json"
    )


def run(arguments: argparse.Namespace) -> int:
    chosen = notebooks.chosen(arguments.only and [each for each in arguments.only.split(",") if each.strip()])
    if arguments.only and not arguments.only.strip(", "):
        raise CourseError("--only names no notebook: give numbers, such as 00,01")
    if arguments.steps is not None and not 1 <= arguments.steps <= 10**12:
        raise CourseError(f"--steps is {arguments.steps}; it must be from 1 to a trillion")
    books = [notebooks.read(path) for path in chosen]  # a damaged one is known before any is run
    started = time.time()
    seconds, failures = {}, {}
    pages = runs_folder() / "pages"
    print(f"{_count(chosen)} to run from top to bottom, one after the other.", flush=True)  # before torch is imported
    known = course.notebook_seconds(course.profile())
    print(_what_comes(chosen, known, pages, not arguments.skip_training), flush=True)
    if not arguments.only:
        print("\nFirst a story, by the storyteller that comes with the course:\n", flush=True)
        if code := _tell(data_folder() / "storyteller"):
            return code
        print()
    for number, (path, book) in enumerate(zip(chosen, books, strict=True), start=1):
        label = f"[{number}/{len(chosen)}] {path.stem}"
        begun = time.perf_counter()
        try:
            notebooks.execute(book, _progress(label, known.get(path.stem)))
        except CourseError as error:
            failures[path.stem] = str(error)
        except KeyboardInterrupt:
            left = ",".join(each.name[:2] for each in chosen[number - 1 :])
            done = f"{number - 1} of {len(chosen)} notebooks are done"
            print(f"\nstopped in {path.stem}: {done}; go on with: python -m course run --only {left}", file=sys.stderr)
            return STOPPED
        seconds[path.stem] = time.perf_counter() - begun
        _say_done(label, seconds[path.stem], failures.get(path.stem))
        _keep_page(book, path.stem, pages)
    _write_index(pages, chosen, seconds, failures)
    print(f"\nThe executed notebooks can be read in a browser: {_from_here(pages / 'index.html')}")
    if failures:
        print("\n" + "\n".join(f"FAILED {name}: {problem}" for name, problem in failures.items()))
        return 1
    if arguments.record_times:
        speed, _ = doctor.gflops(course.device())
        print(f"The times are kept in {_from_here(course.record_times(seconds, speed))}.")
    if arguments.skip_training:
        return 0
    return _train_and_tell(started, arguments.steps)


def _count(chosen: list[Path]) -> str:
    return f"{len(chosen)} notebook{'s' if len(chosen) != 1 else ''}"


def _what_comes(chosen: list[Path], known: dict[str, float], pages: Path, trains: bool) -> str:
    """How long the command will take, where to find what it makes, and how it ends.

    Args:
        known: measured seconds by notebook.
    """
    timed = [path for path in chosen if path.stem in known]
    untimed = [path for path in chosen if path.stem not in known]
    lines = []
    if timed:
        lines.append(f"{_count(timed)} took {course.in_words(sum(known[path.stem] for path in timed))} when timed.")
    if untimed:
        lines.append(f"{_count(untimed)} nobody has timed on a machine of this profile.")
    lines.append(f"The executed pages go to {_from_here(pages)}. Ctrl-C stops, and says how to go on.")
    if trains:
        lines.append("At the end a storyteller that was trained here, in notebook 07 or then, tells a story.")
    lines.append("This is to see that everything runs; to learn, open notebooks/00_start_here.ipynb in Jupyter.")
    return "\n".join(lines)


def _progress(label: str, seconds: float | None):
    """Rewrites one line where there is a terminal; elsewhere one line a notebook is enough.

    Args:
        seconds: that the notebook took when it was timed.
    """
    about = f", {course.in_words(seconds)} in all" if seconds else ""
    if not sys.stdout.isatty():
        print(f"{label} ...{about.replace(', ', ' ')}", flush=True)
        return None
    return lambda done, of: print(f"\r{label}: cell {done} of {of}{about} ", end="", flush=True)


def _say_done(label: str, seconds: float, problem: str | None) -> None:
    start = "\r" if sys.stdout.isatty() else ""
    said = f"FAILED, {problem}" if problem else f"done in {seconds:.0f} s"
    print(f"{start}{label}: {said:<40}", flush=True)  # which covers the line of its cells


def _keep_page(book, name: str, pages: Path) -> None:
    """The executed notebook as a page and as a notebook, outside the checkout's own files."""
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter(exclude_anchor_links=True).from_notebook_node(book, {"metadata": {"name": name}})
    page = re.sub(r'href="(\d\d_\w+)\.ipynb', r'href="\1.html', page)
    write_atomically(pages / f"{name}.html", page)
    write_atomically(pages / f"{name}.ipynb", notebooks.as_text(book))


def _write_index(pages: Path, chosen: list[Path], seconds: dict, failures: dict) -> None:
    rows = "".join(
        f'<li><a href="{path.stem}.html">{html.escape(notebooks.title_of(path))}</a> '
        f"<small>{'failed' if path.stem in failures else f'{seconds[path.stem]:.0f} s'}</small></li>"
        for path in chosen
    )
    style = "body{font:17px/1.7 sans-serif;max-width:42em;margin:3em auto;padding:0 1em}small{color:#666}"
    write_atomically(
        pages / "index.html",
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>The course, as it ran here</title>'
        f"<style>{style}</style><h1>The course, as it ran here</h1><ul>{rows}</ul></html>\n",
    )


def _train_and_tell(started: float, steps: int | None) -> int:
    out = runs_folder() / "storyteller"
    weights = out / "model.safetensors"
    if not weights.exists() or weights.stat().st_mtime < started:  # else a notebook has just trained it
        print("\nNow the storyteller is trained: a small GPT, on the bundled stories.", flush=True)
        asked = ["--steps", str(steps)] if steps else []
        done = _course("train", "--recipe", "storyteller", "--out", str(out), "--overwrite", *asked)
        if done:
            return done
    print("\nA story told by the model that was just trained:\n", flush=True)
    return _tell(out)


def _tell(model: Path) -> int:
    return _course("generate", "--model", str(model), PROMPT, "--seed", str(course.SEED))


def _course(*arguments: str) -> int:
    """Another command of the course, in a process of its own, its output passed on as it comes.

    A signal that asks to stop is passed on, and what the command then saves is waited for.
    """
    child = subprocess.Popen([sys.executable, "-m", "course", *arguments], cwd=repository_root())
    heard = [number for number in _POLITE if signal.getsignal(number) is not signal.SIG_IGN]  # as `nohup` has it
    before = {number: signal.signal(number, lambda got, _: child.send_signal(got)) for number in heard}
    try:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:  # a terminal sends it to both
                pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _from_here(path: Path) -> str:
    """A path as a person standing in the current folder would type it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
