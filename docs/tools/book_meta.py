"""What a page of the book says of itself to search engines and to whoever shows a preview of a link."""

import html
import re

import book_contents
from docutils import nodes

from course.site import setup_cell
from course.site.syllabus import SYLLABUS

LONGEST = 200  # characters of a description; more is cut off wherever it is shown


def address() -> str | None:
    """Where the book is published, by GitHub's rule for pages; None while the course has no public address."""
    if setup_cell.ADDRESS == setup_cell.UNSET:
        return None
    owner, name = setup_cell.ADDRESS.split("/")
    site = f"https://{owner.lower()}.github.io"
    return site if name.lower() == f"{owner.lower()}.github.io" else f"{site}/{name}"


def described(page: str, doctree) -> str:
    """A notebook's line in the syllabus; of any other page the first paragraph, or as much of it as fits."""
    entry = next((entry for entry in SYLLABUS if page == f"notebooks/{entry.name}"), None)
    if entry:
        return f"{entry.line} Notebook {entry.number} of a course that builds a GPT from raw text."
    paragraphs = doctree.findall(nodes.paragraph) if doctree is not None else []
    own = (" ".join(one.astext().split()) for one in paragraphs if isinstance(one.parent, nodes.section))
    text = next(own, "")
    return text if len(text) <= LONGEST else text[: LONGEST - 3].rpartition(" ")[0] + " ..."


def tags(page: str, title: str, description: str, project: str) -> dict[str, str]:
    """The contents of a page's meta tags, by name; what needs an address is left out where there is none."""
    found = {
        "description": description,
        "og:title": title,
        "og:description": description,
        "og:type": "website" if page == "index" else "article",
        "og:site_name": project,
    }
    if site := address():
        found["og:url"] = f"{site}/" if page == "index" else f"{site}/{page}.html"
        picture = next((one for one in book_contents.PICTURES if one.endswith(".png")), None)
        if picture:
            found["og:image"] = f"{site}/_static/{picture.rpartition('/')[2]}"
            found["og:image:alt"] = "Two curves of a small GPT that learns, and below them a story that it tells."
    return {name: content for name, content in found.items() if content}


def add_tags(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Sphinx is about to write a page."""
    title = html.unescape(re.sub(r"<[^>]+>", "", context.get("title") or app.config.project))
    lines = [context.get("metatags", "")]
    for name, content in tags(pagename, title, described(pagename, doctree), app.config.project).items():
        kind = "property" if name.startswith("og:") else "name"
        lines.append(f'<meta {kind}="{name}" content="{html.escape(content)}" />')
    context["metatags"] = "\n".join(lines)
