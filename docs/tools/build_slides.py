"""Build the slides of the course: a deck for each notebook, and a page that lists them.

    python docs/tools/build_slides.py                     all of them, into runs/slides
    python docs/tools/build_slides.py 05 07 --out talks   two of them

Needs `python -m pip install -r docs/requirements.txt`. The folder needs no internet and can be carried on a stick: open
`index.html`. The speaker's view, which some browsers refuse to files, wants a server:
`python -m http.server --directory runs/slides`.
"""

import argparse
import html
import importlib.util
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "tools")]

from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import runs_folder, write_atomically

CONFIG = ROOT / "docs" / "slides"
_PARTS = (
    "LICENSE", "dist/reset.css", "dist/reveal.css", "dist/reveal.js", "dist/theme/white.css",
    "dist/theme/fonts/source-sans-pro", "plugin/notes/notes.js", "plugin/notes/speaker-view.html",
)  # fmt: skip
_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<title>Slides of the course</title>
<style>
body {{ font: 20px/1.5 system-ui, sans-serif; max-width: 46em; margin: 3em auto; padding: 0 1em; color: #1a1a1a; }}
h1 {{ color: #0b3a5b; }} a {{ color: #0b5b93; }} td {{ padding: 0.2em 1.5em 0.2em 0; }}
</style>
</head>
<body>
<main>
<h1>Slides of the course</h1>
<table>
{rows}
</table>
<p>Space goes on, S opens the speaker's view, O shows all slides, G and a number go to a slide, F fills the screen. The
notes say which minutes of a lecture of 50 or of 80 a section has, and which slides to leave out. Add
<code>?print-pdf</code> to a deck's address, before any <code>#</code>, to print it.</p>
</main>
</body>
</html>
"""


def exporter():
    """nbconvert's slides exporter, set up by `docs/slides/jupyter_nbconvert_config.py`."""
    from nbconvert.exporters import SlidesExporter
    from traitlets.config import PyFileConfigLoader

    return SlidesExporter(config=PyFileConfigLoader("jupyter_nbconvert_config.py", path=str(CONFIG)).load_config())


def deck(path: Path) -> str:
    """The slides of a notebook as a page that looks for `reveal.js/` beside it."""
    title = notebooks.title_of(path)
    page, _ = exporter().from_notebook_node(notebooks.read(path), {"metadata": {"name": title}})
    return page


def copy_reveal(folder: Path) -> None:
    """Put what the decks need of reveal.js into `folder`, from the installed package that brings it."""
    found = importlib.util.find_spec("sphinx_revealjs")
    if found is None:
        raise CourseError("reveal.js is not installed: python -m pip install -r docs/requirements.txt")
    source = Path(found.origin).parent / "_static" / "revealjs"
    for part in _PARTS:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target, dirs_exist_ok=True)
        else:
            shutil.copy(source / part, target)


def build(paths: list[Path], folder: Path) -> None:
    """Write the decks of some notebooks, reveal.js and the list of all decks that are there into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    copy_reveal(folder / "reveal.js")
    for path in paths:
        write_atomically(folder / f"{path.stem}.slides.html", deck(path))
        print(folder / f"{path.stem}.slides.html", flush=True)
    rows = []
    for path in notebooks.all_notebooks():
        if (folder / f"{path.stem}.slides.html").is_file():
            title = html.escape(notebooks.title_of(path))
            rows.append(f'<tr><td><a href="{path.stem}.slides.html">{title}</a></td></tr>')
    write_atomically(folder / "index.html", _INDEX.format(rows="\n".join(rows)))
    print(folder / "index.html")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", nargs="*", help="numbers of notebooks, such as 05; all of them if none is given")
    parser.add_argument("--out", type=Path, default=runs_folder() / "slides", help="the folder, runs/slides by default")
    asked = parser.parse_args(arguments)
    chosen = [path for path in notebooks.all_notebooks() if not asked.number or path.name[:2] in asked.number]
    unknown = set(asked.number) - {path.name[:2] for path in chosen}
    try:
        if unknown:
            raise CourseError(f"no notebook has the number {', '.join(sorted(unknown))}")
        build(chosen, asked.out)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
