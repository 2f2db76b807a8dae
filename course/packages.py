"""The packages that notebooks import: what is missing here is installed, and nothing that is here is replaced."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from helpers.errors import CourseError
from helpers.files import regular, repository_root

# The oldest torch that the course works with: it brought torch.optim.Muon. What newer ones bring, such as
# F.linear_cross_entropy, is used where it is there and done without where it is not.
OLDEST_TORCH = "2.9"
# What a notebook may import, by the name it is imported under and the name it is installed under. torch is
# not here: a machine's own torch fits its own GPU, and is never replaced.
PACKAGES = {
    "numpy": "numpy", "matplotlib": "matplotlib", "tokenizers": "tokenizers", "datasets": "datasets",
    "pyarrow": "pyarrow", "transformers": "transformers", "safetensors": "safetensors",
    "tqdm": "tqdm", "scipy": "scipy", "wordcloud": "wordcloud", "ipywidgets": "ipywidgets",
}  # fmt: skip
# A version as pip understands it; some systems give their own packages other ones.
_VERSION = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9]+([._-][a-z0-9]+)*)?")


def install_missing() -> None:
    """Install the packages that cannot be found, as on a fresh Colab machine; touch nothing that is there.

    The course's own versions are asked for first. Where one of them would need another version of something that is
    already here, pip chooses versions that go with what is here.

    Raises:
        CourseError: torch is missing, or pip cannot do it: there is no internet, no pip, or nothing fits.
    """
    if not _is_here("torch"):
        raise CourseError("torch is not installed here: run the first command of README.md, or see pytorch.org")
    missing = missing_packages()
    if not missing:
        return
    versions = required_versions()
    exact = [f"{package}=={versions[package]}" if package in versions else package for package in missing]
    print("Installing what is missing here:", ", ".join(exact))
    problem = _pip(exact)
    if problem and exact != missing and "Cannot install" in problem:
        print("The course's versions do not go with what is here; asking for versions that do.")
        problem = _pip(missing)
    if problem:
        raise CourseError(
            f"{', '.join(missing)} could not be installed ({_last_line(problem)}): install by the first command of "
            "README.md, in an environment of the course's own, where there is internet"
        )
    importlib.invalidate_caches()


def missing_packages() -> list[str]:
    """Those of `PACKAGES` that cannot be found here."""
    return [package for module, package in PACKAGES.items() if not _is_here(module)]


def required_versions(file: str = "requirements.txt") -> dict[str, str]:
    """The packages of requirements.txt, or of another such file, with the versions that the course was tested with."""
    text = regular(repository_root() / file).read_text(encoding="utf-8", errors="replace")
    return dict(re.findall(r"^([^\s=#]+)==([^\s=]+)", text, flags=re.MULTILINE))


def installed_version(package: str) -> str | None:
    """The version of a package that is here, without what a build adds to it ("2.13.0+cpu"); None if it is not."""
    try:
        return importlib.metadata.version(package).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def check_torch(version: str) -> None:
    """Refuse a torch (`torch.__version__`) that is too old. A machine's own torch is never replaced.

    Raises:
        CourseError: it is older than `OLDEST_TORCH`.
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and tuple(map(int, found.groups())) < tuple(map(int, OLDEST_TORCH.split("."))):
        raise CourseError(
            f"this is torch {version}, and the course needs {OLDEST_TORCH} or newer: on Colab choose another version "
            "of the runtime (Runtime, Change runtime type); elsewhere make an environment of the course's own by the "
            "first command of README.md"
        )


def _is_here(module: str) -> bool:
    return module in sys.modules or importlib.util.find_spec(module) is not None


def _pip(wanted: list[str]) -> str:
    """Have pip install `wanted` beside what is here, and change nothing of that; what went wrong, or ""."""
    here = {one.name: one.version for one in importlib.metadata.distributions() if one.name and one.version}
    kept = [f"{name}=={version}\n" for name, version in here.items() if _VERSION.fullmatch(version)]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "what-is-here.txt"
        constraints.write_text("".join(kept), encoding="utf-8")
        # By itself pip would try six times, and be silent for a minute and a half.
        options = ["-q", "--disable-pip-version-check", "--retries", "1", "--timeout", "10", "-c", str(constraints)]
        command = [sys.executable, "-m", "pip", "install", *options, *wanted]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip() or f"pip ended with {done.returncode}"


def _last_line(problem: str) -> str:
    """What pip says went wrong: its first error, else its last line."""
    lines = [line.strip() for line in problem.splitlines() if line.strip()]
    return next((line for line in lines if line.lower().startswith("error:")), lines[-1]).removeprefix("ERROR: ")
