"""Run every notebook in order, train the storyteller, and let it tell a story.

The executed notebooks are kept as pages in runs/pages; the stored ones are not touched.

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
from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import repository_root, runs_folder, write_atomically

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
    if arguments.steps is not None and arguments.steps < 1:
        raise CourseError(f"--steps is {arguments.steps}; it must be 1 or more")
    books = [notebooks.read(path) for path in chosen]  # a damaged one is known before any is run
    started = time.time()
    seconds, failures = {}, {}
    pages = runs_folder() / "pages"
    for number, (path, book) in enumerate(zip(chosen, books, strict=True), start=1):
        label = f"[{number}/{len(chosen)}] {path.stem}"
        begun = time.perf_counter()
        try:
            notebooks.execute(book, _progress(label))
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
        print(f"The times are kept in {_from_here(course.record_times(seconds))}.")
    if arguments.skip_training:
        return 0
    return _train_and_tell(started, arguments.steps)


def _progress(label: str):
    """Rewrites one line where there is a terminal; elsewhere one line a notebook is enough."""
    if not sys.stdout.isatty():
        print(f"{label} ...", flush=True)
        return None
    return lambda done, of: print(f"\r{label}: cell {done} of {of} ", end="", flush=True)


def _say_done(label: str, seconds: float, problem: str | None) -> None:
    start = "\r" if sys.stdout.isatty() else ""
    print(f"{start}{label}: {'FAILED, ' + problem if problem else f'done in {seconds:.0f} s'}    ", flush=True)


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
    return _course("generate", "--model", str(out), PROMPT, "--seed", str(course.SEED))


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
