"""The terminal story partner: its commands, and lines that nobody expects."""

import os
import subprocess
import sys

import pytest

from course.cli.chat import Chat, clean
from helpers.checkpoint import load_model
from helpers.errors import CourseError
from helpers.files import repository_root
from helpers.generation import SHIPPED


@pytest.fixture
def chat():
    options = dict(max_new_tokens=6, temperature=0.8, top_k=None, top_p=None, greedy=False, seed=1)
    return Chat(*load_model(SHIPPED), options)


def test_a_story_is_told_again_and_saved(chat, tmp_path, capsys):
    chat.hear("Tom had ")
    assert "the space at the prompt's end is left out" in capsys.readouterr().err
    assert chat.stories.pop().startswith("Tom had")
    for line in (
        "",
        "  ",
        "Once upon a time",
        "/retry",
        "/temperature 0",
        "/top-p 0.9",
        "/seed 5",
        "\x1b\x00 Tom 🐇",
        "/help",
    ):
        chat.hear(line)
    assert len(chat.stories) == 3 and chat.stories[2].startswith("Tom 🐇")
    assert "/retry" in capsys.readouterr().out
    chat.hear(f"/save {tmp_path / 'stories.txt'}")
    assert (tmp_path / "stories.txt").read_text(encoding="utf-8").startswith("Once upon a time")


@pytest.mark.parametrize(
    "line",
    [
        "/retry",
        "/save x",
        "/dance",
        "/temperature hot",
        "/temperature nan",
        "/top-p 2",
        "/seed x",
        "/seed -1",
        "a b " * 6000,
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(chat, line):
    before = dict(chat.options)
    with pytest.raises(CourseError):
        chat.hear(line)
    assert chat.options == before and chat.stories == []


def test_what_keys_and_pastes_leave_in_a_line_is_cleaned(chat, capsys):
    assert clean("\x1b[200~Once\u00a0upon\ta time\x1b[201~\r\x00") == "Once upon a time"
    assert clean("\x1b[A\x1bOB\x1b[3~") == ""  # arrow keys, delete
    family = "👨\u200d👩\u200d👧"
    assert clean(f" {family} ❤\ufe0f\x07 ") == f"{family} ❤\ufe0f"
    assert clean("half \ud83d a character") == "half  a character"
    chat.hear(family)
    assert chat.stories[0].startswith(family) and family in capsys.readouterr().out


def test_a_story_that_is_stopped_is_kept_as_far_as_it_was_told(chat, monkeypatch, capsys):
    def stopped(*arguments, **options):
        yield ", there"
        raise KeyboardInterrupt

    monkeypatch.setattr("helpers.generation.stream", stopped)
    chat.hear("Once upon a time")
    assert chat.stories == ["Once upon a time, there"] and capsys.readouterr().out.endswith("there ...\n")
    chat.asks = False  # the lines are piped in: nobody sees a prompt at which to leave
    with pytest.raises(KeyboardInterrupt):
        chat.hear("Once upon a time")


def test_a_tilde_in_a_files_name_is_the_home_folder(chat, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    chat.hear("Tom")
    chat.hear("/save ~/told.txt")
    assert (tmp_path / "told.txt").read_text(encoding="utf-8").startswith("Tom")


def test_each_command_does_what_help_says(chat, tmp_path, capsys):
    chat.hear("/temperature 0")
    chat.hear("Pip")
    chat.hear("/retry")
    assert chat.stories[0] == chat.stories[1]  # no chance at temperature 0
    chat.hear("/temperature 1.5")
    chat.hear("/top-p 0.5")
    assert (chat.options["temperature"], chat.options["top_p"], chat.options["greedy"]) == (1.5, 0.5, False)
    chat.hear("/seed 7")
    for _ in range(2):
        chat.hear("/seed 7")
        chat.hear("Tom")
    assert chat.stories[2] == chat.stories[3]
    chat.hear("/retry")
    assert chat.options["seed"] == 8  # told differently, and can be told again
    chat.hear(f"/save {tmp_path / 'told.txt'}")
    assert (tmp_path / "told.txt").read_text(encoding="utf-8") == "\n\n".join(chat.stories) + "\n"
    with pytest.raises(CourseError, match="exists already"):
        chat.hear(f"/save {tmp_path / 'told.txt'}")
    with pytest.raises(CourseError, match="told.txt is a file: give a folder"):
        chat.hear(f"/save {tmp_path / 'told.txt' / 'below'}")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal of a closed pipe")
def test_the_terminal_and_its_accidents():
    """One process: bytes that are no text, a reader that leaves."""
    child = subprocess.Popen(
        [sys.executable, "-m", "course", "chat", "--model", str(SHIPPED), "--max-new-tokens", "3"],
        cwd=repository_root(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    child.stdin.write(b"\n\xff\xfe\n\x1b[A\nOnce upon a time\n")
    child.stdin.flush()
    assert child.stdout.readline().decode().startswith("Once upon a time")
    child.stdout.close()
    child.stdin.write(b"Tom\n" * 20)
    child.stdin.close()
    assert child.wait(120) == 141
    assert b"Traceback" not in child.stderr.read()
