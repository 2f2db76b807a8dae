"""requirements.txt and environment.yml ask for the same packages, and the setup cell knows the notebooks'
own.
"""

import re

from course import packages
from helpers.files import repository_root

CONDA_NAMES = {"pytorch": "torch"}


def pip_packages() -> dict[str, str]:
    lines = (repository_root() / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def conda_packages() -> dict[str, str]:
    text = (repository_root() / "environment.yml").read_text(encoding="utf-8")
    found = re.findall(r"^ {2}- ([\w-]+)=([\w.]+)$", text, flags=re.MULTILINE)
    return {CONDA_NAMES.get(name, name): version for name, version in found}


def test_pip_and_conda_agree():
    assert pip_packages() == conda_packages()


def test_every_version_is_exact():
    for name, version in pip_packages().items():
        assert re.fullmatch(r"\d+(\.\d+)+", version), name


def test_what_the_setup_cell_installs_is_required_or_comes_with_it():
    comes_with = {"pyarrow"}  # with datasets
    assert set(packages.PACKAGES.values()) - comes_with <= set(pip_packages())


def test_the_setup_cell_never_installs_torch():
    assert "torch" not in packages.PACKAGES.values()
