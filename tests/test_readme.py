"""README.md keeps what others rely on: one line to start, two for the curious; a true map; links that lead."""

import re
import shutil
import stat
import subprocess
import sys

import pytest
import readme_map
import readme_picture
import readme_tree

from course.site import setup_cell
from course.site.syllabus import SYLLABUS
from helpers.files import repository_root

ROOT = repository_root()
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


MAKE = "python3 -m venv .venv && .venv/bin/python -m pip install -q -r requirements.txt"


def test_a_learner_first_meets_one_line_that_opens_notebook_00_and_says_what_comes():
    """It is fenced as `sh`, so that the `bash` blocks begin with the two commands for machines."""
    language, first = re.search(r"^```(\w+)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE).groups()
    said, *make, last = first.strip().split(" && ")
    assert language == "sh" and first.count("\n") == 1
    assert re.fullmatch(r'echo "[^"$`]+"', said)
    assert " && ".join(make) == MAKE.replace("-q ", ""), "what pip does is to be seen"
    notebook = last.removeprefix(".venv/bin/jupyter lab ")
    assert notebook == f"notebooks/{SYLLABUS[0].name}.ipynb" and (ROOT / notebook).is_file()


def test_the_first_two_bash_blocks_are_the_two_commands_one_line_each():
    run, test = blocks()[:2]
    assert run.count("\n") == test.count("\n") == 1
    assert run.strip() == f"{MAKE} && .venv/bin/python -m course run"
    assert test.strip() == f"{MAKE} && .venv/bin/python -m pytest"


def test_the_ci_script_takes_its_command_from_the_readme():
    script = ROOT / ".ci" / "run"
    assert sys.platform == "win32" or script.stat().st_mode & stat.S_IXUSR
    text = script.read_text(encoding="utf-8")
    assert "pytest" not in text, "the README alone says how tests are run"
    if shutil.which("awk"):
        program = re.search(r"awk '([^']+)' README\.md", text)[1]
        found = subprocess.run(["awk", program, "README.md"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert found.stdout == blocks()[1]


@pytest.mark.skipif(sys.platform != "linux", reason="of Debian's package manager")
@pytest.mark.parametrize("there", [(), ("bwrap",), ("bwrap", "chromium")])
def test_the_ci_script_fetches_what_confines_a_class_and_a_browser(there, tmp_path):
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    part = text[text.index("wanted=()") : text.index("\nrm -rf .venv")]
    for name, body in {"id": "echo 0", "apt-get": 'echo "$@" >> asked', **dict.fromkeys(there, ":")}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "mktemp").symlink_to(shutil.which("mktemp"))
    command = [shutil.which("bash"), "-ec", f"{part}\nwait"]
    subprocess.run(command, cwd=tmp_path, env={"PATH": str(tmp_path)}, check=True)
    asked = (tmp_path / "asked").read_text(encoding="utf-8") if (tmp_path / "asked").exists() else ""
    assert re.findall(r"install .* (\S+)$", asked, re.MULTILINE) == ["bubblewrap", "chromium"][len(there) :]


def test_the_map_is_true():
    assert readme_map.with_map(README) == README, "run python docs/tools/readme_map.py"


def test_the_tree_is_that_of_the_house():
    assert readme_tree.with_tree(README) == README, "run python docs/tools/readme_tree.py"


def test_the_picture_and_its_description_are_those_of_the_recorded_runs():
    """The story is taken as it stands there: on another kind of CPU the same seed may tell another one."""
    alt = readme_picture.LINK.search(README)[0].partition("![")[2].rpartition("](")[0]
    _, _, story = alt.partition("Below: ")
    assert story.startswith(readme_picture.PROMPT) and len(story) > 200
    drawn = readme_picture.picture(story)
    assert readme_picture.with_picture(README, drawn.alt) == README, "run python docs/tools/readme_picture.py"
    assert (ROOT / readme_picture.PICTURE).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("page", ["README.md", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/*.md"))])
def test_links_inside_the_course_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("https://"):
            assert ((ROOT / page).parent / target.partition("#")[0]).exists(), target


def test_the_link_to_colab_has_the_address_of_the_setup_cell():
    others = {"karpathy/nanoGPT", "rasbt/LLMs-from-scratch"}  # that the course is set beside
    assert set(re.findall(r"github(?:\.com)?/([\w.-]+/[\w.-]+)", README)) - others == {setup_cell.ADDRESS}
    colab = f"https://colab.research.google.com/github/{setup_cell.ADDRESS}/blob/main/notebooks/{SYLLABUS[0].name}.ipynb"
    assert f"]({colab})" in README


def test_the_lines_that_tell_a_story_from_python_do(monkeypatch, capsys):
    section = README.partition("## Tell a story from Python")[2].partition("\n## ")[0]
    lines = re.search(r"^```python\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)[1]
    assert lines.count("\n") <= 3 and 'tell("Once upon a time", max_length=100)' in lines
    monkeypatch.chdir(ROOT)
    exec(compile(lines, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("Once upon a time")
