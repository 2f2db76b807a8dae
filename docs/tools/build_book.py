"""Build the web book: every notebook as it is stored, the pages around them, and the page that tells stories.

python -m pip install -r requirements.txt -r docs/requirements.txt
python docs/tools/build_book.py                # into runs/book; open runs/book/html/index.html
python docs/tools/build_book.py --out FOLDER

No notebook is executed, and nothing is fetched but, once, what runs the storyteller in a browser
(course/site/page_runtime.py). A warning of Sphinx, a link that leads nowhere, a picture without alternative text or a
page that would ask another host for something fails the build.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(DOCS.parent), str(DOCS / "tools")]

import book_contents
import book_faults

from helpers.errors import CourseError
from helpers.files import repository_root, runs_folder


def gather(folder: Path) -> None:
    """Copy the pages' sources into `folder`, which is emptied before."""
    shutil.rmtree(folder, ignore_errors=True)
    for page in [book_contents.FRONT, *book_contents.pages()]:
        to = folder / ("index.md" if page == book_contents.FRONT else page)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repository_root() / page, to)
    for picture in book_contents.PICTURES:
        (folder / picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repository_root() / picture, folder / picture)


def add_living_page(folder: Path) -> None:
    """The shipped storyteller's page, with links to the book's chapters."""
    from course.site import page
    from helpers.checkpoint import load_model
    from helpers.generation import SHIPPED

    page.write(*load_model(SHIPPED), SHIPPED, folder, links="../notebooks/{}.html")


def build(out: Path) -> Path:
    """Build the book in `out`; the folder with its pages.

    Raises:
        CourseError: Sphinx is not installed, it warned or failed, the storyteller's page cannot be made, or the pages
            have faults.
    """
    try:
        from sphinx.cmd.build import build_main
    except ImportError as error:
        raise CourseError("Sphinx is not installed: python -m pip install -r docs/requirements.txt") from error
    gather(out / "source")
    html = out / "html"
    shutil.rmtree(html, ignore_errors=True)  # else pages stay that the book no longer has
    strict = ["-W", "--keep-going", "-n", "-q", "-E"]
    if build_main(
        [*strict, "-b", "html", "-c", str(DOCS), "-d", str(out / "doctrees"), str(out / "source"), str(html)]
    ):
        raise CourseError("Sphinx warned or failed; the lines above say where")
    add_living_page(html / "page")
    if faults := book_faults.faults(html):
        raise CourseError("\n".join([*faults, f"{len(faults)} faults in the pages of {html}"]))
    return html


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where to build (default: runs/book)")
    asked = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        html = build((asked.out or runs_folder() / "book").resolve())
    except CourseError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    number = 1 + len(book_contents.pages())
    print(f"{number} pages in {time.monotonic() - started:.0f} s: open {html / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
