"""What a figure consists of: its panels, which a phone shows one below the other, and what lies under its texts."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

AIR = 3  # around a panel, in points


def parts(fig: Figure) -> dict:
    """What a page must know to take a laid-out figure apart; nothing for a figure of one panel.

    Returns:
        `title`: the figure's own, in words; `panels`: a list of panels, each a list of boxes `[x, y, width, height]`
        that belong side by side, in points from the upper left corner.
    """
    groups = [box for box in _together(fig) if box is not None]
    if len(groups) < 2:
        return {}
    point = 72 / fig.dpi
    height = fig.bbox.height * point
    found = []
    for boxes in groups:
        low, high = min(box.y0 for box in boxes), max(box.y1 for box in boxes)
        places = []
        for box in boxes:
            left, right = max(box.x0 * point - AIR, 0), min(box.x1 * point + AIR, fig.bbox.width * point)
            top, bottom = max(height - high * point - AIR, 0), min(height - low * point + AIR, height)
            places.append([round(value, 1) for value in (left, top, right - left, bottom - top)])
        found.append(places)
    title = fig.get_suptitle()
    return ({"title": title} if title else {}) | {"panels": found}


def _together(fig: Figure) -> list[list[Bbox]]:
    """The boxes of each panel: axes that overlap, that share an axis written only once, or a scale of colors."""
    axes = [ax for ax in fig.axes if ax.get_visible()]
    boxes = {ax: ax.get_tightbbox() for ax in axes}
    axes = [ax for ax in axes if boxes[ax] is not None and boxes[ax].width > 1]
    groups = [[ax] for ax in axes]
    for one in axes:
        for other in axes:
            if one is not other and _belong(one, other, boxes):
                first, second = (next(group for group in groups if ax in group) for ax in (one, other))
                if first is not second:
                    first += second
                    groups.remove(second)
    found = [[*_labels_before(group, axes, boxes), Bbox.union([boxes[ax] for ax in group])] for group in groups]
    found.sort(key=lambda group: (-round(group[-1].y1 / fig.bbox.height, 1), group[-1].x0))
    legends = [[legend.get_window_extent()] for legend in fig.legends if legend.get_visible()]
    return found + legends if len(found) > 1 else found


def _belong(one: Axes, other: Axes, boxes: dict[Axes, Bbox]) -> bool:
    if "<colorbar>" in (one.get_label(), other.get_label()):
        return True
    if other in one.get_shared_x_axes().get_siblings(one) and not _written(one.xaxis):
        return abs(boxes[one].x0 + boxes[one].x1 - boxes[other].x0 - boxes[other].x1) < boxes[one].width
    common = Bbox.intersection(boxes[one], boxes[other])
    return common is not None and common.width * common.height > 0.2 * min(
        box.width * box.height for box in (boxes[one], boxes[other])
    )


def _written(axis) -> bool:
    return any(text.get_visible() and text.get_text() for text in axis.get_ticklabels())


def _labels_before(group: list[Axes], axes: list[Axes], boxes: dict[Axes, Bbox]) -> list[Bbox]:
    """Where the names of the rows stand that a panel shares with the panel at the left of its row."""
    ax = group[0]
    if _written(ax.yaxis):
        return []
    for other in axes:
        same_row = abs(other.get_position().y0 - ax.get_position().y0) < 0.02
        if same_row and other in ax.get_shared_y_axes().get_siblings(ax) and _written(other.yaxis):
            end = other.bbox.x0 - (AIR + 1) * ax.figure.dpi / 72  # left of the line that bounds the other panel
            return [Bbox.from_extents(boxes[other].x0, boxes[other].y0, end, boxes[other].y1)]
    return []


def _texts(fig: Figure) -> list[Text]:
    return [text for text in fig.findobj(Text) if text.get_visible() and text.get_text().strip()]


def small_texts(fig: Figure, least: float) -> set[str]:
    """The texts of a figure that are smaller than `least` points."""
    return {text.get_text() for text in _texts(fig) if text.get_fontsize() < least}


def name_grounds(fig: Figure, ground: str) -> None:
    """Give every text that does not stand on the figure's ground an id that says on what color it stands, and the
    grounds of figure and axes an id each; see `svg.py`.
    """
    grounds = [fig.patch, *(ax.patch for ax in fig.axes)]
    for i, patch in enumerate(grounds):
        patch.set_gid(f"ground-{i}")
    texts = _texts(fig)
    alphas = [text.get_alpha() for text in texts]
    for text in texts:
        text.set_alpha(0)
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[::-1, :, :3] @ np.array([1 << 16, 1 << 8, 1])
    for i, (text, alpha) in enumerate(zip(texts, alphas, strict=True)):
        text.set_alpha(alpha)
        box = text.get_window_extent()
        left, low = (max(round(value), 0) for value in box.min)
        colors, counts = np.unique(pixels[low : round(box.y1), left : round(box.x1)], return_counts=True)
        if len(colors):
            color = f"{colors[counts.argmax()]:06x}"
            if f"#{color}" != ground:
                text.set_gid(f"on-{color}-{i}")
