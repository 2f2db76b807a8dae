"""What the book's search finds: the glossary's terms where they are taught, and no lines that only import.

How results are ordered and what is shown of them: docs/_static/search.js.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.search import IndexBuilder

from helpers.errors import CourseError

# - **term** (*another name*): definition, and on a line of its own the link
_TERM = re.compile(
    r"^- \*\*`?([^*`]+)`?\*\*(?: \(([^)]*)\))?: .*?\n  \[[^]]+\]\(\.\./(notebooks/\w+)\.ipynb#([^)]+)\)$",
    flags=re.DOTALL | re.MULTILINE,
)
FEW = 3
SETUP = {"tag_setup", "tag_run-cell"}  # MyST-NB's classes for the tags; the second begins with the first's text
IMPORT = re.compile(r"^\s*(?:import|from)\s")


def searched(doctree: nodes.document, entries: Iterable[tuple] = ()) -> nodes.document:
    """A page as the search is to know it: no setup cell, which all notebooks have alike, no imports, and `entries`."""
    page = doctree.deepcopy()
    for cell in page.findall(lambda node: isinstance(node, nodes.Element) and SETUP & set(node["classes"])):
        cell["classes"].append("no-search")  # Sphinx's own mark
    for code in list(page.findall(nodes.literal_block)):
        kept = "\n".join(line for line in code.astext().split("\n") if not IMPORT.match(line))
        code.children = []
        code += nodes.Text(kept)
    page += addnodes.index(entries=list(entries))
    return page


class CourseIndex(IndexBuilder):
    """Sphinx's index of the book's words."""

    def __init__(self, env, *arguments):
        super().__init__(env, *arguments)
        self.entries = env.domains.index_domain.entries

    def feed(self, docname: str, filename: str, title: str, doctree: nodes.document) -> None:
        super().feed(docname, filename, title, searched(doctree, self.entries.get(docname, [])))


def terms_of(glossary: str) -> list[tuple[str, str, str]]:
    """(term, page, anchor) for every term of the glossary and every other name of it."""
    found = []
    for term, also, page, anchor in _TERM.findall(glossary):
        names = [term, *(name.strip("*` ") for name in also.split(", ") if name)]
        found += [(name, page, anchor) for name in names]
    return found + _by_last_word(found)


def _by_last_word(terms: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Whoever looks for a mask means a causal mask: the last word stands for the few terms that end with it."""
    known = {name.lower() for name, _, _ in terms}
    ending = defaultdict(dict)
    for name, page, anchor in terms:
        if " " in name and (last := name.split()[-1].lower()) not in known:
            ending[last][page, anchor] = None
    return [(last, *place) for last, places in ending.items() if len(places) <= FEW for place in places]


def add_terms(app, env) -> None:
    """Enter the glossary's terms into Sphinx's index, which its search looks through, at the sections that teach them.

    Raises:
        CourseError: a term's link leads to no section of its notebook.
    """
    entries = env.domains.index_domain.entries
    for term, page, anchor in terms_of((Path(app.srcdir) / "docs" / "glossary.md").read_text(encoding="utf-8")):
        slugs = env.metadata[page].get("myst_slugs", {})
        if anchor not in slugs:
            raise CourseError(f"the glossary says that {term!r} is taught in {page}#{anchor}, and that is not there")
        entries.setdefault(page, []).append(("single", term, slugs[anchor][1], "main", None))
