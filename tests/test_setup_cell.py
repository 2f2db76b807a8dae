"""The setup cell where nothing of the course is: as on Colab, in a folder that holds one notebook and nothing else.

`git` really clones, from a folder on this machine that stands for github.com. The packages are stand-ins of a few lines
in an interpreter that has no others, so that each of them can be missing or of another version.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from course import colab, keeping, packages
from course.cli.publish import publish
from course.site import notebooks, setup_cell
from helpers.errors import CourseError
from helpers.files import repository_root

ADDRESS = "ada/stories"
NUMBERS = [path.name[:2] for path in notebooks.all_notebooks()]
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

TORCH_VERSION = f"{packages.OLDEST_TORCH}.0+cu1"
TORCH = f"""
import types
__version__ = "{TORCH_VERSION}"
cuda = types.SimpleNamespace(is_available=lambda: False)
backends = types.SimpleNamespace(mps=cuda)
def manual_seed(seed): pass
"""
NUMPY = "import types\nrandom = types.SimpleNamespace(seed=lambda seed: None)\n"
# Says what it was asked for, in a file, and ends as it is told.
PIP = """
import json, os, sys
words = sys.argv[1:]
if "-c" in words:
    words[words.index("-c") + 1] = open(words[words.index("-c") + 1]).read()
with open(os.environ["PIP_ASKED"], "a") as file:
    file.write(json.dumps(words) + "\\n")
problems = json.loads(os.environ.get("PIP_PROBLEMS", "[]"))
with open(os.environ["PIP_ASKED"]) as file:
    number = len(file.readlines())
sys.exit(problems[number - 1] if number <= len(problems) else 0)
"""


def metadata(folder: Path, name: str, version: str, needs: str = "") -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    needs = f"Requires-Dist: {needs}\n" if needs else ""
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}", encoding="utf-8"
    )
    (info / "INSTALLER").write_text("pip\n", encoding="utf-8")
    (info / "RECORD").write_text("", encoding="utf-8")


def stand_ins(folder: Path, missing: tuple[str, ...] = ()) -> Path:
    """Packages of the course in other versions than its own, torch among them, and Colab's module."""
    for name in ["torch", *packages.PACKAGES.values()]:
        if name not in missing:
            code = {"torch": TORCH, "numpy": NUMPY}.get(name, "")
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").write_text(code, encoding="utf-8")
            metadata(folder, name, TORCH_VERSION if name == "torch" else "0.1")
    (folder / "google" / "colab").mkdir(parents=True)
    (folder / "google" / "colab" / "__init__.py").write_text("", encoding="utf-8")
    return folder


def with_pip(folder: Path) -> Path:
    (folder / "pip").mkdir(parents=True)
    (folder / "pip" / "__main__.py").write_text(PIP, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> str:
    """An interpreter without any package, not even pip."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    return str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """The course as it is here, published under an address of its own, in the git repository that a clone gets."""
    site = tmp_path_factory.mktemp("github.com")
    root = site / ADDRESS
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".ipynb_checkpoints")
    for name in ("helpers", "course", "data", "notebooks"):
        shutil.copytree(repository_root() / name, root / name, ignore=ignore)
    for name in ("README.md", "requirements.txt"):
        shutil.copy(repository_root() / name, root)
    publish(ADDRESS, root)
    for words in ("init", "add --all", "-c user.name=Ada -c user.email=a@example.org commit -m all"):
        git = ["git", "-c", "core.autocrlf=false", *words.split()]
        subprocess.run(git, cwd=root, check=True, capture_output=True)
    return site


@pytest.fixture
def lone(tmp_path) -> Path:
    (tmp_path / "lone").mkdir()
    return tmp_path / "lone"


def environment(site: Path | None, **more: str) -> dict[str, str]:
    """Variables under which https://github.com/ leads to `site`, or nowhere."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("COURSE_", "PYTHON", "GIT_", "PIP_"))
    }
    where = site.as_uri() if site else "file:///nowhere"
    git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{where}/.insteadOf",
           "GIT_CONFIG_VALUE_0": "https://github.com/", "GIT_CONFIG_NOSYSTEM": "1"}  # fmt: skip
    return kept | git | {"PYTHONUTF8": "1"} | more


def run(python: str, cell: str, folder: Path, variables: dict[str, str], **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [python, "-c", cell], cwd=folder, env=variables, capture_output=True, text=True, encoding="utf-8", **options
    )


def stored_cell(site: Path, number: str) -> str:
    (path,) = (site / ADDRESS / "notebooks").glob(f"{number}_*.ipynb")
    return next(cell.source for cell in notebooks.read(path).cells if "setup" in notebooks.tags_of(cell))


def last(text: str) -> str:
    return text.strip().splitlines()[-1]


# ---------------------------------------------------------------------- finding and fetching


def test_every_notebooks_cell_runs_alone_and_the_course_is_fetched_once(python, published, lone, tmp_path):
    variables = environment(published, PYTHONPATH=str(stand_ins(tmp_path / "packages")))
    for number in NUMBERS:
        done = run(python, stored_cell(published, number), lone, variables)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        fetching = [f"Fetching the course from https://github.com/{ADDRESS}"] if number == NUMBERS[0] else []
        assert lines[: len(fetching) + 1][:-1] == fetching
        assert lines[len(fetching)].startswith(f"Notebook {number}: device cpu, profile cpu, stories bundled")
    assert sorted(path.name for path in lone.iterdir()) == ["stories"]
    assert len(list((lone / "stories" / "notebooks").glob("*.ipynb"))) == len(NUMBERS)


def test_it_finds_the_course_from_anywhere_below_it(python, published, tmp_path):
    folder = published / ADDRESS / "notebooks" / "mine" / "deeper"
    folder.mkdir(parents=True, exist_ok=True)
    runs = {"COURSE_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(stand_ins(tmp_path / "packages"))}
    done = run(python, setup_cell.setup_cell("02", ADDRESS), folder, environment(None, **runs))
    assert done.returncode == 0 and done.stdout.startswith("Notebook 02"), done.stderr
    assert not list(folder.iterdir())


def test_without_an_address_it_says_what_to_do(python, lone):
    done = run(python, setup_cell.setup_cell("02", setup_cell.UNSET), lone, environment(None))
    assert done.returncode != 0 and "no public address" in last(done.stderr)


def test_what_keeps_it_from_fetching_is_said_in_one_line(python, published, lone, tmp_path):
    cell = setup_cell.setup_cell("02", ADDRESS)
    (tmp_path / "no-git").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "stories").write_text("", encoding="utf-8")
    cases = {
        "does not appear to be a git repository|does not exist": (lone, environment(None)),
        "git": (lone, environment(published, PATH=str(tmp_path / "no-git"))),
        "already exists": (tmp_path / "taken", environment(published)),
    }
    for reason, (folder, variables) in cases.items():
        done = run(python, cell, folder, variables)
        assert done.returncode != 0
        assert last(done.stderr).startswith("RuntimeError: The course could not be fetched (")
        assert any(word in last(done.stderr) for word in reason.split("|")), last(done.stderr)
        assert "copy the course's folder here" in last(done.stderr)
        assert "During handling" not in done.stderr  # one traceback, and a short one
        assert [path.name for path in folder.iterdir()] in ([], ["stories"])


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
def test_where_nothing_may_be_written_beside_the_notebook(published):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)  # who writes anywhere must first be somebody else
        other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        variables = environment(published, HOME=folder)
        cell = setup_cell.setup_cell("02", ADDRESS)
        for python in (sys.executable, "/usr/bin/python3"):  # one that everybody may run
            try:
                done = run(python, cell, Path(folder), variables, **other)
                break
            except PermissionError:
                continue
        else:
            pytest.skip("nobody may run Python here")
        assert done.returncode != 0
        assert "The course could not be fetched (" in last(done.stderr) and "ermission denied" in last(done.stderr)


def test_a_runs_folder_that_cannot_be_written_is_said_at_once(python, published, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    runs = {"COURSE_RUNS": str(tmp_path / "file" / "runs"), "PYTHONPATH": str(stand_ins(tmp_path / "packages"))}
    done = run(python, setup_cell.setup_cell("02", ADDRESS), published / ADDRESS, environment(None, **runs))
    assert done.returncode != 0
    assert "cannot be written" in last(done.stderr) and "COURSE_RUNS" in last(done.stderr)


# ---------------------------------------------------------------------- an old Python


def test_an_old_python_is_told_which_one_is_needed(python, published, tmp_path):
    old = "import sys\nsys.version_info = (3, 9, 2, 'final', 0)\nsys.version = '3.9.2 (main)'\n"
    variables = environment(None, PYTHONPATH=str(stand_ins(tmp_path / "packages")))
    done = run(python, old + setup_cell.setup_cell("02", ADDRESS), published / ADDRESS, variables)
    assert done.returncode != 0
    assert "needs Python 3.11 or newer, and this is Python 3.9.2" in last(done.stderr)


@pytest.mark.parametrize("name", ["helpers/__init__.py", "helpers/errors.py", "the setup cell"])
def test_what_an_old_python_reads_before_it_is_told_it_can_read(name):
    is_cell = name == "the setup cell"
    source = setup_cell.setup_cell("00") if is_cell else (repository_root() / name).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))


# ---------------------------------------------------------------------- packages


@pytest.fixture
def ask_pip(python, published, tmp_path):
    """Runs the cell where packages are missing; what it printed, what pip was asked for, the error."""

    def ask(*missing: str, pip: bool = True, problems: tuple[str, ...] = ()):
        folder = stand_ins(tmp_path / "packages", missing)
        asked = tmp_path / "asked"
        asked.touch()
        variables = environment(
            None, PYTHONPATH=str(with_pip(folder) if pip else folder), PIP_ASKED=str(asked),
            PIP_PROBLEMS=json.dumps(problems),
        )  # fmt: skip
        done = run(python, setup_cell.setup_cell("02", ADDRESS), published / ADDRESS, variables)
        return done.stdout, [json.loads(line) for line in asked.read_text(encoding="utf-8").splitlines()], done.stderr

    return ask


def names(words: list[str]) -> list[str]:
    """What pip was asked to install: all that stands behind the constraints."""
    return words[words.index("-c") + 2 :]


def test_where_nothing_is_missing_pip_is_not_even_asked(ask_pip):
    printed, asked, error = ask_pip()
    assert asked == [] and error == "" and printed.startswith("Notebook 02")


def test_only_what_is_missing_is_asked_for_at_the_courses_version_and_the_rest_is_held(ask_pip):
    printed, (words,), error = ask_pip("wordcloud", "datasets")
    required = (repository_root() / "requirements.txt").read_text(encoding="utf-8").split()
    assert sorted(names(words)) == [word for word in sorted(required) if word.startswith(("datasets=", "wordcloud="))]
    held = words[words.index("-c") + 1].splitlines()
    assert {f"torch=={TORCH_VERSION}", "numpy==0.1", "transformers==0.1"} <= set(held)
    assert not any(line.startswith(("datasets", "wordcloud")) for line in held)
    assert error == "" and "Installing what is missing here: datasets==" in printed


def test_where_the_courses_version_does_not_fit_another_is_asked_for(ask_pip):
    printed, (first, second), error = ask_pip("datasets", "pyarrow", problems=("ERROR: Cannot install datasets",))
    assert [name.partition("==")[0] for name in names(first)] == names(second) == ["datasets", "pyarrow"]
    assert error == "" and "do not go with what is here" in printed


def test_what_keeps_pip_from_it_is_said_in_one_line(ask_pip):
    problem = "WARNING: Retrying\nERROR: Could not find a version that satisfies the requirement datasets\nhint: look"
    _, asked, error = ask_pip("datasets", problems=(problem, problem))
    assert len(asked) == 1
    assert "datasets could not be installed (Could not find a version that satisfies" in last(error)
    assert "first command of README.md" in last(error)


def test_where_there_is_no_pip_that_is_said(ask_pip):
    _, _, error = ask_pip("datasets", pip=False)
    assert "could not be installed (" in last(error) and "No module named pip" in last(error)


def test_without_torch_it_says_what_to_do_and_does_not_fetch_it(ask_pip):
    _, asked, error = ask_pip("torch", "datasets")
    assert asked == [] and "torch is not installed here" in last(error)


def test_an_old_torch_is_said_and_not_replaced(python, published, tmp_path):
    folder = stand_ins(tmp_path / "packages")
    (folder / "torch" / "__init__.py").write_text(TORCH.replace(TORCH_VERSION, "2.4.1+cu121"), encoding="utf-8")
    done = run(python, stored_cell(published, "02"), published / ADDRESS, environment(None, PYTHONPATH=str(folder)))
    assert done.returncode != 0
    assert f"torch 2.4.1+cu121, and the course needs {packages.OLDEST_TORCH} or newer" in last(done.stderr)


def test_pip_itself_replaces_nothing(python, published, tmp_path):
    """The course's datasets wants a newer numpy here, which could be had. The older one that goes with it is taken."""
    import ensurepip

    bundled = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not bundled:
        pytest.skip("this Python comes without a copy of pip")
    links = tmp_path / "links"
    links.mkdir()
    required = dict(
        line.split("==") for line in (repository_root() / "requirements.txt").read_text("utf-8").split() if "==" in line
    )
    offered = [("numpy", "9.9", ""), ("torch", "99.9", ""), ("wordcloud", required["wordcloud"], "torch"),
               ("datasets", required["datasets"], "numpy>=9"), ("datasets", "0.5", "numpy")]  # fmt: skip
    for name, version, needs in offered:
        metadata(links, name, version, needs)
        info = links / f"{name}-{version}.dist-info"
        (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", encoding="utf-8")
        with zipfile.ZipFile(links / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", f"version = {version!r}\n")
            for path in info.iterdir():
                wheel.write(path, f"{info.name}/{path.name}")
        shutil.rmtree(info)
    home = Path(
        run(
            python, "import sysconfig; print(sysconfig.get_path('purelib'))", tmp_path, environment(None)
        ).stdout.strip()
    )
    stand_ins(home, missing=("datasets", "wordcloud"))
    variables = environment(None, PYTHONPATH=str(bundled[-1]), PIP_NO_INDEX="1", PIP_FIND_LINKS=str(links))
    done = run(python, setup_cell.setup_cell("02", ADDRESS), published / ADDRESS, variables)
    assert done.returncode == 0, done.stderr
    found = sorted(path.name.removesuffix(".dist-info") for path in home.glob("*.dist-info"))
    wanted = {f"torch-{TORCH_VERSION}", "numpy-0.1", "datasets-0.5", f"wordcloud-{required['wordcloud']}"}
    assert wanted <= set(found) and "numpy-9.9" not in found and "torch-99.9" not in found


# ---------------------------------------------------------------------- Drive


@pytest.fixture
def drive(monkeypatch, tmp_path):
    """A stub of google.colab's drive that can be told to refuse."""
    stub = SimpleNamespace(refuse=False, mounted=[])

    def mount(place):
        if stub.refuse:
            raise ValueError("mount failed\nand more")
        stub.mounted.append(place)

    google, module = ModuleType("google"), ModuleType("google.colab")
    module.drive = SimpleNamespace(mount=mount)
    google.colab = module
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", module)
    monkeypatch.setattr(colab, "MOUNT", tmp_path / "drive")
    return stub


def test_a_run_is_kept_on_drive_where_it_is_mounted(drive, tmp_path):
    folder = keeping.away_folder()
    assert folder == tmp_path / "drive" / "MyDrive" / "gpt2-course"
    assert folder.is_dir() and drive.mounted == [str(tmp_path / "drive")]


def test_drive_refused_is_said_and_the_run_stays_on_the_machine(drive, capsys):
    drive.refuse = True
    assert keeping.away_folder() is None
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].startswith("Google Drive was not mounted (mount failed): the run stays on this")
    assert "allow it when Colab asks" in said[0]


def test_drive_is_not_asked_for_elsewhere_and_another_folder_can_be_named(drive, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COURSE_AWAY", str(tmp_path / "mine"))
    assert keeping.away_folder() == tmp_path / "mine" and drive.mounted == []
    monkeypatch.delenv("COURSE_AWAY")
    monkeypatch.setitem(sys.modules, "google.colab", None)
    assert keeping.away_folder() is None and capsys.readouterr().out == ""
    with pytest.raises(CourseError, match="not Colab"):
        colab.drive_folder()


# ---------------------------------------------------------------------- to the end

TO_THE_END = """
import sys, nbformat
from nbclient import NotebookClient
book = nbformat.read(sys.argv[1], as_version=4)
book.cells.append(nbformat.v4.new_code_cell("import helpers; print(helpers.__file__); print(session.stories)"))
NotebookClient(book, timeout=900, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}).execute()
print("".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", [])))
"""


def test_two_notebooks_run_to_their_end_as_on_colab(published, lone, tmp_path):
    """Opened one after the other on a machine that has the packages and nothing of the course."""
    (tmp_path / "stub" / "google" / "colab").mkdir(parents=True)
    (tmp_path / "stub" / "google" / "colab" / "__init__.py").write_text("", encoding="utf-8")
    variables = environment(published, PYTHONPATH=str(tmp_path / "stub"))
    for number in ("00", "01"):
        (path,) = (published / ADDRESS / "notebooks").glob(f"{number}_*.ipynb")
        alone = shutil.copy(path, lone)
        done = subprocess.run(
            [sys.executable, "-c", TO_THE_END, str(alone), str(lone)],
            cwd=tmp_path, env=variables, capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        assert ("Fetching the course" in done.stdout) == (number == "00")
        assert f"Notebook {number}:" in done.stdout
        assert done.stdout.split("\n")[-4:-2] == [
            str((lone / "stories" / "helpers" / "__init__.py").resolve()),
            "bundled",
        ]
    assert (lone / "stories" / "runs").is_dir()
