"""The figures' colors on a white page and on a dark one; `docs/tools` makes both from the stored drawing.

In the dark the ground is near black and the order of lightness is turned around, so that a heat map still has its
large values farthest from the ground. Hues stay, as texts name them.
"""

from course.figures import style, svg


def _palette(ground: str, grid: str, quiet: str, ink: str, colors: tuple[str, ...]) -> svg.Palette:
    """The palette with these instead of the ones in style.py, `colors` in the order of `style.COLOURS`."""
    new = dict(zip(style.COLOURS, colors, strict=True))
    start = {style.GROUND: ground}
    heat = (style.SKY, style.BLUE, style.NAVY)
    return svg.Palette(
        start | {style.GRID: grid, style.QUIET: quiet, style.INK: ink},
        start | {color: new[color] for color in heat},
        *(start | {color: new[color]} for color in style.COLOURS if color != style.SKY),
    )


LIGHT = _palette("#ffffff", style.GRID, style.QUIET, style.INK, style.COLOURS)
DARK_COLOURS = ("#d2ddff", "#e0557f", "#5b9fe6", "#5fcab4", "#f5c06a", "#4a668e")
DARK = _palette("#121212", "#33363d", "#a4a8b4", "#e4e6eb", DARK_COLOURS)
THEMES = {"light": LIGHT, "dark": DARK}
