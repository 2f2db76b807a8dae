"""Slides from a notebook of the course; for one deck, without the command that builds them all:

jupyter nbconvert --config docs/slides/jupyter_nbconvert_config.py --to slides notebooks/05_self_attention.ipynb \
    --output-dir runs/slides
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "tools")]

from slide_export import CourseSlides  # noqa: E402 - the path first
from slide_figures import FiguresOfSlides  # noqa: E402

c = get_config()  # noqa: F821 - given by Jupyter
c.SlidesExporter.extra_template_basedirs = [str(HERE / "template")]
c.SlidesExporter.template_name = "course"
c.SlidesExporter.preprocessors = [CourseSlides, FiguresOfSlides]
c.SlidesExporter.exclude_input_prompt = True
c.SlidesExporter.exclude_output_prompt = True
c.SlidesExporter.reveal_url_prefix = "reveal.js"
c.SlidesExporter.reveal_transition = "none"
c.SlidesExporter.reveal_number = "c/t"
c.SlidesExporter.reveal_width = "1280"
c.SlidesExporter.reveal_height = "720"
c.CSSHTMLHeaderPreprocessor.style = "sas"
c.NbConvertBase.display_data_priority = ["text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain"]
