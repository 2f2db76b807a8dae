"""Which pages the web book has, in which parts, and how the course's own texts become pages of it."""

import os
import posixpath
import re
from itertools import groupby
from pathlib import Path

import readme_map

from course.site.setup_cell import ADDRESS
from course.site.syllabus import SYLLABUS
from helpers.errors import CourseError
from helpers.files import repository_root

# Pages beside the notebooks, each where it exists; another page in docs/ joins the last part.
PARTS = {
    "To play with": ["docs/living_page.md"],
    "To look things up": ["docs/glossary.md", "docs/exercises.md"],
    "For instructors": ["docs/teaching.md", "docs/grading.md"],
    "How it was made": [
        "docs/running.md",
        "docs/cluster.md",
        "docs/reliability.md",
        "docs/storyteller.md",
        "data/README.md",
        "docs/design.md",
        "docs/writing_notebooks.md",
    ],
}
FRONT = "docs/index.md"  # becomes index.md at the top of the book
PICTURES = ["docs/_static/overview.png"]  # shown by the front page, so they belong to the book's sources
_REPOSITORY = f"https://github.com/{ADDRESS}"

_FENCED = re.compile(r"(^ *(```+|~~~+).*?^ *\2[`~]* *$|`[^`\n]+`)", flags=re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_START = re.compile(r"\*\*(\[Start here\]\([^)]*\))\*\*")  # a button in the book, as the badge is
_BADGE = re.compile(r"\[!\[(Open in Colab)\]\([^)]*\)\]\(([^)]*)\)")


def parts() -> dict[str, list[str]]:
    """The book's parts in order, each with the files of its pages, relative to the course's folder."""
    root = repository_root()
    found = {
        stage: [f"notebooks/{entry.name}.ipynb" for entry in entries if entry.exists]
        for stage, entries in groupby(SYLLABUS, key=lambda entry: entry.stage)
    }
    found |= {part: [page for page in pages if (root / page).exists()] for part, pages in PARTS.items()}
    known = {FRONT, *(page for pages in found.values() for page in pages)}
    others = [path.relative_to(root).as_posix() for path in sorted((root / "docs").glob("*.md"))]
    found[next(reversed(PARTS))] += [page for page in others if page not in known]
    return {part: pages for part, pages in found.items() if pages}


def pages() -> list[str]:
    """All pages but the front page; those below another one come behind it."""
    top = [page for pages in parts().values() for page in pages]
    return [one for page in top for one in (page, *below(page))]


def below(page: str) -> list[str]:
    """The pages that a page opens: docs/teaching/*.md belong to docs/teaching.md."""
    folder = repository_root() / os.path.splitext(page)[0]
    return [path.relative_to(repository_root()).as_posix() for path in sorted(folder.glob("*.md"))]


def front_page(text: str) -> str:
    """`docs/index.md` with what its marks stand for: the map, sections of the README, the table of contents."""
    readme = (repository_root() / "README.md").read_text(encoding="utf-8")
    text = text.replace("<!-- map -->", readme_map.table().replace("| |", "| no. |", 1))
    text = text.replace("<!-- contents -->", _tables_of_contents())
    text = re.sub(r"<!-- readme: (.*) -->", lambda mark: _section(readme, mark[1]), text)
    return _START.sub(r"\1{.colab}", text)


def _section(readme: str, heading: str) -> str:
    """A section of the README with its heading; "opening" is what stands before the first."""
    if heading == "opening":
        return re.split(r"^## ", readme, maxsplit=1, flags=re.MULTILINE)[0].partition("\n")[2].strip()
    found = re.search(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", readme, flags=re.DOTALL | re.MULTILINE)
    if not found:
        raise CourseError(f"docs/index.md asks for the README's section {heading!r}, and there is none")
    return found[0].strip()


def _tables_of_contents() -> str:
    return "\n\n".join(_toctree(pages, f":caption: {part}\n") for part, pages in parts().items())


def _toctree(pages: list[str], options: str = "") -> str:
    names = "".join(f"/{os.path.splitext(page)[0]}\n" for page in pages)
    return f"```{{toctree}}\n:hidden:\n{options}\n{names}```\n"


def page_of_docs(text: str, page: str) -> str:
    """A Markdown file as a page of the book, with the pages below it."""
    text = adapted(text, page)
    return f"{text}\n\n{_toctree(below(page))}" if below(page) else text


def adapted(text: str, page: str) -> str:
    """Markdown of the course as the book needs it.

    A badge becomes a link, so that nothing is fetched from elsewhere; a link to a file that is no page of the book
    leads to the repository. `page` is the file that the text is from, relative to the course's folder.

    Raises:
        CourseError: a link leads to a file that the course does not have.
    """
    pieces = _FENCED.split(text)  # text, code, the code's fence, text, ...
    kept = []
    for i in range(0, len(pieces), 3):
        piece = _BADGE.sub(r"[\1](\2){.colab}", pieces[i])
        kept.append(_LINK.sub(lambda link: link[1] + _target(link[2], page, text) + link[3], piece))
        kept.append(pieces[i + 1] if i + 1 < len(pieces) else "")
    return "".join(kept)


def _target(target: str, page: str, text: str) -> str:
    if re.match(r"[a-z]+:", target):
        return target
    path, mark, anchor = target.partition("#")
    if not path:
        return target if page != FRONT or anchor in _anchors(text) else f"{_REPOSITORY}/blob/main/README.md#{anchor}"
    # What stands on the front page comes from the README, whose folder is the course's own.
    start = "" if page == FRONT else posixpath.dirname(page)
    file = posixpath.normpath(posixpath.join(start, path))
    if file in ("README.md", FRONT):
        return f"{'../' * page.count('/') if page != FRONT else ''}index.md{mark}{anchor}"
    if file in pages() or file in PICTURES:
        return target
    there = repository_root() / Path(file)
    if not there.exists() or file.startswith(".."):
        raise CourseError(f"{page} links to {target}, which is not there")
    return f"{_REPOSITORY}/{'tree' if there.is_dir() else 'blob'}/main/{file}{mark}{anchor}"


def _anchors(text: str) -> set[str]:
    """The anchors that headings get, as GitHub and MyST make them."""
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
