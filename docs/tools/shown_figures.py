"""A stored figure as pages show it: without its ground, in the colors of a light or a dark page, and on a phone panel
by panel.
"""

import hashlib
import html
from collections.abc import Callable, Iterator

from course.figures import svg, themes

SVG, PNG = "image/svg+xml", "image/png"
READABLE = 11  # pixels that the smallest text of a figure has on any screen


def is_figure(output) -> bool:
    """Whether an output is a figure that is stored as a drawing."""
    return SVG in output.get("data", {}) and "alt" in output.get("metadata", {}).get(PNG, {})


def drawing(output) -> str:
    """The drawing of an output, which a notebook's file may hold as a list of lines."""
    return "".join(output["data"][SVG])


def variants(drawn: str) -> dict[str, str]:
    """The drawing in the colors of each theme."""
    return {theme: svg.recolored(drawn, palette) for theme, palette in themes.THEMES.items()}


def layout(drawn: str, alt: str, parts: dict) -> Iterator[str | None]:
    """The HTML around the pictures of a figure; None stands where its light and its dark picture belong.

    Args:
        parts: what `course.figures.panels.parts` said of it.
    """
    width, _ = svg.size(drawn)
    least = READABLE / svg.smallest_text(drawn)
    yield f'<div class="course-drawing" role="img" aria-label="{html.escape(alt)}" style="--least: {least:.2f}px">'
    panels = parts.get("panels", [])
    yield f'<div class="whole{" or-panels" * bool(panels)}" style="--w: {width}">'
    yield None
    yield "</div>"
    if panels:
        yield '<div class="panels">'
        if title := parts.get("title"):
            yield f'<p class="title">{html.escape(title)}</p>'
        for boxes in panels:
            yield f'<div class="panel" style="--w: {sum(box[2] for box in boxes):.1f}">'
            for x, y, w, h in boxes:
                places = f"--W: {width}; --x: {x}; --y: {y}; --w: {w}; --h: {h}"
                yield f'<span class="box" style="{places}">'
                yield None
                yield "</span>"
            yield "</div>"
        yield "</div>"
    yield "</div>"


def nodes_of(drawn: str, alt: str, parts: dict, write: Callable[[str, str], str]) -> list:
    """The figure as nodes of Sphinx.

    Args:
        write: puts a file, of this name and text, among those of the book; its address.
    """
    from docutils import nodes

    texts = variants(drawn)
    name = hashlib.sha256("".join(texts.values()).encode()).hexdigest()[:16]
    addresses = {theme: write(f"{name}-{theme}.svg", text) for theme, text in texts.items()}
    found = []
    for piece in layout(drawn, alt, parts):
        if piece is None:
            found += [nodes.image(uri=uri, alt="", classes=[f"only-{theme}"]) for theme, uri in addresses.items()]
        else:
            found.append(nodes.raw("", piece, format="html"))
    return found
