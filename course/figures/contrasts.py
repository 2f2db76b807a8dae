"""How bright a color is, and how far apart two are, as those measure it who decide what can be read."""

from matplotlib.colors import to_rgb


def luminance(colour: str) -> float:
    """Relative luminance of a colour, 0 (black) to 1 (white), as sRGB and WCAG define it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG's contrast of two colours, 1 (the same) to 21 (black on white); small text needs 4.5."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
