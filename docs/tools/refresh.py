"""Execute notebooks and store them clean, as they are kept in the repository.

    python docs/tools/refresh.py                               all notebooks
    python docs/tools/refresh.py notebooks/03_baselines.ipynb  this one
    python docs/tools/refresh.py notebooks/03_baselines.ipynb --source draft.py
    python docs/tools/refresh.py --record-times                all, and what each took; nothing else should compute then

With `--source` the cells are taken from a script in jupytext's py:percent format. The setup cell and the Colab badge
are filled in; each has a runs folder of its own; outputs lose machine paths, timings and widget state; a cell that
fails leaves the file as it was.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import course
from course import doctor
from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import write_atomically


def refresh(path: Path, source: Path | None = None) -> float:
    """Execute one notebook and write it back clean; the seconds it took."""
    if source:
        import jupytext

        book = jupytext.read(source, fmt="py:percent")
    else:
        book = notebooks.read(path)
    notebooks.fill_in(book, path.stem)
    started = time.perf_counter()
    notebooks.execute(book)
    seconds = time.perf_counter() - started
    notebooks.clean(book)
    write_atomically(path, notebooks.as_text(book))
    print(f"{path.stem}: {seconds:.0f} s", flush=True)
    return seconds


def say_times(paths: list[Path]) -> None:
    """Let the setup cells tell the times that were recorded after they ran."""
    told = re.compile(r"^(Running all of it took|Its time on a machine of this profile).*$", re.MULTILINE)
    for path in paths:
        book = notebooks.read(path)
        sentence = course.time_sentence(path.name[:2], course.profile())
        for cell in book.cells:
            if "setup" in cell.metadata.get("tags", []):
                for output in cell.outputs:
                    output["text"] = told.sub(sentence, output["text"])
        write_atomically(path, notebooks.as_text(book))


@contextmanager
def fresh_runs_folder():
    """An empty runs folder, as in a new checkout, unless `COURSE_RUNS` names one: what is stored must not depend on
    what happens to lie in one's own, nor on which notebooks were executed before.
    """
    if "COURSE_RUNS" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_RUNS"] = folder
        try:
            yield
        finally:
            del os.environ["COURSE_RUNS"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", nargs="*", type=Path, help="notebooks; all of them if none is named")
    parser.add_argument("--source", type=Path, help="a py:percent script to take the cells from")
    parser.add_argument("--record-times", action="store_true", help="keep the times in data/notebook_times.json")
    asked = parser.parse_args(arguments)
    if asked.source and len(asked.notebook) != 1:
        parser.error("--source goes with exactly one notebook")
    try:
        chosen = asked.notebook or notebooks.all_notebooks()
        seconds = {}
        for path in chosen:
            with fresh_runs_folder():
                seconds[path.stem] = refresh(path, asked.source)
        if asked.record_times:
            course.record_times(seconds, doctor.gflops(course.device())[0])
            say_times(chosen)
    except CourseError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
