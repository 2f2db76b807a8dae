"""The SVG of a figure: small, the same for the same data, with its words in it, and a variant for a dark page.

Text stays text, in DejaVu Sans or, where that is missing, in Verdana, which is as wide. What lies under a text that
does not stand on the figure's ground is named in the id of its group, `on-1b75bc-3`: in the dark the text takes
whichever of light and dark can be read on it.
"""

import base64
import io
import itertools
import re
from collections.abc import Mapping
from xml.etree import ElementTree

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from course.figures.contrasts import contrast

SVG = "http://www.w3.org/2000/svg"
FONTS = {
    "DejaVu Sans": "DejaVu Sans, Verdana, sans-serif",
    "DejaVu Sans Mono": "DejaVu Sans Mono, Menlo, Consolas, monospace",
}
_GROUP, _DEFS, _DRAWN = f"{{{SVG}}}g", f"{{{SVG}}}defs", {f"{{{SVG}}}{name}" for name in ("path", "use", "text")}
_LINK = "{http://www.w3.org/1999/xlink}href"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_NUMBERS = ("d", "x", "y", "cx", "cy", "r", "width", "height", "transform", "points", "stroke-width", "font-size")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b")

ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def compact(svg: str, alt: str, width: int) -> str:
    """What matplotlib wrote, on one line, a third of its size, `width` pixels wide, with the alternative text in it."""
    root = ElementTree.fromstring(svg)
    _, _, wide, high = map(float, root.get("viewBox").split())
    root.attrib |= {
        "width": str(width), "height": str(round(width * high / wide)), "role": "img", "aria-label": alt,
        "stroke-linejoin": "round", "font-family": FONTS["DejaVu Sans"],
    }  # fmt: skip
    forms = {id(form) for defs in root.iter(_DEFS) for form in defs.iter()}  # of markers, which take their user's color
    for parent in root.iter():
        parent.text, parent.tail = (text if text and text.strip() else None for text in (parent.text, parent.tail))
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}style", f"{{{SVG}}}metadata"):
                parent.remove(child)
        if parent is not root:
            _shorten(parent, is_form=id(parent) in forms)
    used = {name for one in root.iter() for value in one.attrib.values() for name in re.findall(r"#([\w-]+)", value)}
    for one in root.iter():
        if not (one.get("id", "") in used or one.get("id", "").startswith(("on-", "ground-"))):
            one.attrib.pop("id", None)
    _prune(root)
    return _text(root)


def _text(root: ElementTree.Element) -> str:
    """The drawing as text, with single quotes: notebooks must write the others as two characters."""
    text = ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")
    return re.sub(r"<[^<>]*>", lambda tag: tag[0].replace("'", "&apos;").replace('"', "'"), text)


def _shorten(one: ElementTree.Element, is_form: bool) -> None:
    """The style as attributes, numbers with as many digits as can be seen."""
    for rule in filter(None, (part.strip() for part in one.attrib.pop("style", "").split(";"))):
        key, value = (part.strip() for part in rule.split(":", 1))
        one.set(key, value)
    family = one.attrib.pop("font-family", "").strip("'\"")
    if family and family != "DejaVu Sans":
        one.set("font-family", FONTS.get(family, family))
    if one.tag in _DRAWN and not is_form:
        one.attrib.setdefault("fill", "#000000")  # which matplotlib leaves out
    for key in _NUMBERS:
        if key in one.attrib:
            one.set(key, " ".join(_LONG_NUMBER.sub(_short, one.get(key)).split()))
    if one.get(_LINK, "").startswith("data:image/png"):
        one.set(_LINK, _address(_opened(one.get(_LINK))))
    if "d" in one.attrib:
        one.set("d", _path(one.get("d")))
    if one.get("transform", "").startswith("rotate(-0 "):
        del one.attrib["transform"]


def _path(commands: str) -> str:
    """The same path without what goes without saying: that a line follows a line, and spaces around letters."""
    short, last = "", ""
    for letter, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", commands):
        short += (" " if letter == "L" and last in ("M", "L") else letter) + numbers.strip()
        last = letter
    return short


def _short(number: re.Match) -> str:
    value = float(number[0])
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}".removesuffix(".0")


def _prune(parent: ElementTree.Element) -> None:
    """Groups without content go, and groups that say nothing give way to what is in them."""
    children = []
    for child in parent:
        _prune(child)
        group = child.tag in (_GROUP, _DEFS)
        if child.tag == _GROUP and not child.attrib:
            children += list(child)
        elif len(child) or not group:
            children.append(child)
    parent[:] = _in_groups(children) if parent.tag != _DEFS else children


def _in_groups(children: list[ElementTree.Element]) -> list[ElementTree.Element]:
    """Neighbors that are drawn alike share a group that says it once."""
    found = []
    for alike, run in itertools.groupby(children, key=_manner):
        run = list(run)
        if alike is None or len(run) < 3:
            found += run
            continue
        shared = dict(alike[1])
        if len({one.get("fill") for one in run}) == 1 and run[0].get("fill"):
            shared["fill"] = run[0].get("fill")
        group = ElementTree.Element(_GROUP, shared)
        for one in run:
            for key in shared:
                del one.attrib[key]
        group[:] = run
        found.append(group)
    return found


def _manner(one: ElementTree.Element) -> tuple | None:
    """How something is drawn, where and how it is filled aside; None if it must stand alone."""
    own = {*_NUMBERS, _LINK, "fill", "id"} - {"stroke-width", "font-size"}
    if one.tag not in _DRAWN or "opacity" in one.attrib or "id" in one.attrib:
        return None
    return one.tag, tuple(sorted((key, value) for key, value in one.attrib.items() if key not in own))


def smallest_text(svg: str) -> float:
    """The size of the smallest text, exponents aside, in units of the drawing; infinity where there is none."""
    exponents = f"{{{SVG}}}tspan"
    sizes = (one.get("font-size") for one in ElementTree.fromstring(svg).iter() if one.tag != exponents)
    return min((float(size.removesuffix("px")) for size in sizes if size), default=float("inf"))


def size(svg: str) -> tuple[float, float]:
    """Width and height of the drawing, in its own units."""
    width, height = re.search(r"viewBox=.0 0 ([\d.]+) ([\d.]+)", svg).groups()
    return float(width), float(height)


def pixels(svg: str) -> tuple[int, int]:
    """Width and height at which it is shown where nothing else is asked for."""
    width, height = re.search(r"<svg [^>]*? width=.(\d+). height=.(\d+)", svg).groups()
    return int(width), int(height)


def recolored(svg: str, palette: "Palette") -> str:
    """The drawing without its ground, in other colors.

    Args:
        palette: what becomes of the course's colors.
    """
    root = ElementTree.fromstring(svg)
    _without_grounds(root)
    _recolor(root, palette, under=None)
    return _text(root)


def _without_grounds(parent: ElementTree.Element) -> None:
    for child in list(parent):
        if child.get("id", "").startswith("ground-"):
            parent.remove(child)
        else:
            _without_grounds(child)


def _recolor(one: ElementTree.Element, palette: "Palette", under: str | None) -> None:
    """Recolor an element and what is in it; `under` is the color on which its text stands, None for the ground."""
    if found := re.match(r"on-([0-9a-f]{6})", one.get("id", "")):
        under = f"#{found[1]}"
        del one.attrib["id"]
    for key, value in one.attrib.items():
        if key in ("fill", "stroke", "stop-color"):
            if under and one.tag.endswith(("text", "tspan")):
                one.set(key, palette.on(under, value))
            else:
                one.set(key, _COLOUR.sub(lambda found: palette(found[0]), value))
        elif key == _LINK and value.startswith("data:image/png;base64,"):
            one.set(key, _recolored_raster(value, palette))
    for child in one:
        _recolor(child, palette, under)


def _recolored_raster(address: str, palette: "Palette") -> str:
    image = np.array(_opened(address))
    colors, places = np.unique(image[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
    image[..., :3] = np.rint(255 * palette.many(colors / 255))[places.reshape(image.shape[:2])]
    return _address(Image.fromarray(image))


def _opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))).convert("RGBA")


def _address(image: Image.Image) -> str:
    """The image inside an address, with a palette where nothing is transparent."""
    if image.getextrema()[3][0] == 255:
        image = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


class Palette:
    """What becomes of every color, from what becomes of a few.

    Args:
        mixes: chains of colors, each with its new color, the ground first. A color is taken for a mixture of two
            neighbors of a chain, and becomes the same mixture of the new ones.
    """

    def __init__(self, *mixes: Mapping[str, str]):
        pairs = [pair for chain in mixes for pair in zip(list(chain.items()), list(chain.items())[1:], strict=False)]
        self.starts, self.ends, self.new_starts, self.new_ends = (
            np.array([to_rgb(pair[end][kind]) for pair in pairs]) for kind in (0, 1) for end in (0, 1)
        )
        self.ground = next(iter(mixes[0].values()))
        self.ink = list(mixes[0].values())[-1]

    def many(self, colors: np.ndarray) -> np.ndarray:
        """The new colors of some, `(n, 3)` from 0 to 1."""
        along = self.ends - self.starts
        shares = ((colors[:, None] - self.starts) * along).sum(-1) / (along**2).sum(-1)
        shares = shares.clip(0, 1)[..., None]
        away = ((self.starts + shares * along - colors[:, None]) ** 2).sum(-1)
        nearest = away.argmin(1)
        share = shares[np.arange(len(colors)), nearest]
        return (1 - share) * self.new_starts[nearest] + share * self.new_ends[nearest]

    def __call__(self, color: str) -> str:
        return to_hex(self.many(np.array([to_rgb(color)]))[0])

    def on(self, under: str, color: str) -> str:
        """The color of a text that stands on `under`: its own if that can be read there, else light or dark."""
        ground = self(under)
        choice = (self(color), self.ink, self.ground, "#ffffff", "#000000")  # one of the last two can always be read
        return next(text for text in choice if contrast(text, ground) >= 4.5)
