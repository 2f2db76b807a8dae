"""The figures of a deck."""

from nbconvert.preprocessors import Preprocessor
from shown_figures import SVG, drawing, is_figure

from course.figures import svg, themes


class FiguresOfSlides(Preprocessor):
    """Figures in the colors of the slides, with the size of their smallest text in pixels, where they are not scaled:
    the deck shows one that would be too small by itself.
    """

    def preprocess_cell(self, cell, resources, index):
        for output in cell.get("outputs", []):
            if is_figure(output):
                drawn = drawing(output)
                smallest = svg.smallest_text(drawn) * svg.pixels(drawn)[0] / svg.size(drawn)[0]
                output.data[SVG] = svg.recolored(drawn, themes.LIGHT)
                output.metadata[SVG] = {"smallest": f"{smallest:.1f}"}
        return cell, resources
