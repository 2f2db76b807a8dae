"""The one place that knows the course's public address; the setup cell and the badge of every notebook.

`python -m course publish OWNER/NAME` rewrites `ADDRESS` here and what is derived from it everywhere else.
"""

ADDRESS = "OWNER/NAME"
UNSET = "OWNER/" + "NAME"  # in two parts: the `publish` command must not rewrite this one

_CELL = """\
# @title Setup: finds the course, or on Colab fetches it; only its number varies
import subprocess
import sys
from pathlib import Path

# on github.com; written here by `python -m course publish OWNER/NAME`
ADDRESS = "{address}"
places = [Path.cwd(), *Path.cwd().parents, Path(ADDRESS.split("/")[1]).resolve()]
root = next((p for p in places if (p / "course" / "__init__.py").is_file()), None)
if root is None and ADDRESS == "{unset}":
    raise RuntimeError("The course is not here and has no public address yet: "
                       "set ADDRESS to its OWNER/NAME")
if root is None:
    root, url = places[-1], f"https://github.com/{{ADDRESS}}"
    print(f"Fetching the course from {{url}}")
    # silent for 20 s: give up
    limits = "-c http.lowSpeedLimit=1 -c http.lowSpeedTime=20"
    git = ["git", *limits.split(), "clone", "-q", "--depth=1", url, str(root)]
    try:
        subprocess.run(git, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = str(getattr(error, "stderr", None) or error).strip().splitlines()[0]
        raise RuntimeError(f"The course could not be fetched ({{reason}}): look at the "
                           "address and the internet, or copy the course's folder "
                           "here, and run this again") from None
sys.path.insert(0, str(root))

import course

session = course.start("{number}")"""

_RUN_TITLE = "# @title The run: starts it, or goes on after a disconnect; this cell alone is enough"
_RUN = """

from course import keeping

history = keeping.train_or_go_on(
    keeping.recipe_here(session), session.device, keeping.away_folder()
)"""

_BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{address}/blob/main/notebooks/{notebook}.ipynb)"
)


def setup_cell(number: str, address: str | None = None) -> str:
    """The source of the setup cell of notebook `number` ("03")."""
    return _CELL.format(number=number, address=address or ADDRESS, unset=UNSET)


def run_cell(number: str, address: str | None = None) -> str:
    """The source of the one cell that notebook `number` needs after a disconnect: it sets up, and the run goes on."""
    _, rest = setup_cell(number, address).split("\n", 1)
    rest = rest.replace(f'start("{number}")', f'start("{number}", own_stories=False)')  # what is kept needs none
    return f"{_RUN_TITLE}\n{rest}{_RUN}"


def badge(notebook: str, address: str | None = None) -> str:
    """The Markdown of the Colab badge of a notebook ("03_baselines")."""
    return _BADGE.format(notebook=notebook, address=address or ADDRESS)
