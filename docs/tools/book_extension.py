"""What Sphinx and MyST-NB need to be told so that notebooks of this course become good pages."""

import json

import book_contents
import book_meta
import book_search
import latex2mathml.converter
import sphinx.search
from docutils import nodes
from myst_nb.core.render import NbElementRenderer

_render_image = NbElementRenderer.render_image


def _render_image_with_alt(renderer, data):
    """MyST-NB takes width and height from an output's metadata; the alternative text stands there as well."""
    images = _render_image(renderer, data)
    alt = data.output_metadata.get(data.mime_type, {}).get("alt")
    for image in images:
        if alt:
            image["alt"] = alt
    return [nodes.container("", *images, classes=["course-figure"])]  # which scrolls where the page is narrow


def adapt(app, docname: str, source: list[str]) -> None:
    """Sphinx has read a page's text (`source[0]`), and has not parsed it yet."""
    if docname == "index":
        source[0] = book_contents.adapted(book_contents.front_page(source[0]), book_contents.FRONT)
    elif app.env.doc2path(docname).suffix == ".ipynb":
        source[0] = json.dumps(notebook(json.loads(source[0]), f"{docname}.ipynb"))
    else:
        source[0] = book_contents.page_of_docs(source[0], f"{docname}.md")


def notebook(book: dict, page: str) -> dict:
    """A notebook with its texts adapted and its setup cell folded away."""
    for cell in book["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            cell["source"] = book_contents.adapted(text, page)
        elif "setup" in cell["metadata"].get("tags", []):
            cell["metadata"]["tags"].append("hide-input")
            cell["metadata"]["mystnb"] = {
                "code_prompt_show": "Show the setup cell",
                "code_prompt_hide": "Hide the setup cell",
            }
    return book


def _inline_math(writer, node) -> None:
    writer.body.append(latex2mathml.converter.convert(node.astext()))
    raise nodes.SkipNode


def _block_math(writer, node) -> None:
    formula = latex2mathml.converter.convert(node.astext(), display="block")
    writer.body.append(f'<div class="math">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app) -> dict:
    NbElementRenderer.render_image = _render_image_with_alt
    app.add_html_math_renderer("mathml", (_inline_math, None), (_block_math, None))
    sphinx.search.IndexBuilder = book_search.CourseIndex
    app.connect("source-read", adapt)
    app.connect("env-updated", book_search.add_terms)
    app.connect("html-page-context", book_meta.add_tags)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
