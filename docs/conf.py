"""Sphinx's settings for the web book. `python docs/tools/build_book.py` builds it; see there."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "tools")]  # helpers; book_extension

from course.site.setup_cell import ADDRESS  # noqa: E402

project = "Build a GPT that tells stories"
language = "en"
extensions = ["myst_nb", "sphinx_copybutton", "book_extension"]
# Quotation marks and dashes stay as they are written: options such as --out stand in the text too.
smartquotes = False
templates_path = ["_templates"]

# Notebooks: what is stored is shown, nothing is run.
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Hide the {type}"
myst_enable_extensions = ["dollarmath", "attrs_inline"]
myst_heading_anchors = 4

# Pages
html_theme = "sphinx_book_theme"
html_title = project
html_math_renderer = "mathml"  # of book_extension: browsers draw it themselves, screen readers read it
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_search_scorer = str(HERE / "_static" / "search.js")
html_favicon = "_static/favicon.svg"
html_show_copyright = False
html_show_sphinx = False
html_last_updated_fmt = ""
html_context = {"default_mode": "auto"}
html_theme_options = {
    "repository_url": f"https://github.com/{ADDRESS}",
    "repository_branch": "main",
    "path_to_docs": "",
    "use_repository_button": True,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "show_toc_level": 2,
    "navbar_persistent": [],  # the search box stands in the side column already
    "extra_footer": "<p>Code and text: MIT licence. Bundled stories: public domain (CC0).</p>",
}
_COPIED = ("div.cell_input div.highlight", "div.highlight-bash", "div.highlight-sh", "div.highlight-python")
copybutton_selector = ", ".join(f"{one} pre" for one in _COPIED)
