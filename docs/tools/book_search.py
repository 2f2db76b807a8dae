"""What the book's search finds: the glossary's terms where they are taught, and no lines that only import.

How results are ordered and what is shown of them: docs/_static/search.js.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.search import WordCollector

from helpers.errors import CourseError

# - **term** (*another name*): definition, and on a line of its own the link
_TERM = re.compile(
    r"^- \*\*`?([^*`]+)`?\*\*(?: \(([^)]*)\))?: .*?\n  \[[^]]+\]\(\.\./(notebooks/\w+)\.ipynb#([^)]+)\)$",
    flags=re.DOTALL | re.MULTILINE,
)
IMPORT = re.compile(r"^\s*(?:import|from)\s")
_collect = WordCollector.dispatch_visit


def dispatch_visit(collector: WordCollector, node: nodes.Node) -> None:
    """Sphinx collects a page's words; the setup cell, the same in all notebooks, and imports are none of them."""
    if isinstance(node, nodes.Element) and "tag_setup" in node["classes"]:
        raise nodes.SkipNode
    if isinstance(node, nodes.literal_block):
        kept = "\n".join(line for line in node.astext().split("\n") if not IMPORT.match(line))
        collector.found_words.extend(collector.lang.split(kept))
        raise nodes.SkipNode
    _collect(collector, node)


def terms_of(glossary: str) -> list[tuple[str, str, str]]:
    """(term, page, anchor) for every term of the glossary and every other name of it."""
    found = []
    for term, also, page, anchor in _TERM.findall(glossary):
        names = [term, *(name.strip("*` ") for name in also.split(", ") if name)]
        found += [(name, page, anchor) for name in names]
    return found


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
