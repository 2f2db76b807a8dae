"""The terminal story partner: its commands, and lines that nobody expects."""

import pytest

from helpers.checkpoints import load_model
from helpers.commands.chat import Chat
from helpers.errors import CourseError
from helpers.generation import SHIPPED


@pytest.fixture
def chat():
    options = dict(max_new_tokens=6, temperature=0.8, top_k=None, top_p=None, greedy=False, seed=1)
    return Chat(*load_model(SHIPPED), options)


def test_a_story_is_told_again_and_saved(chat, tmp_path, capsys):
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
        "a b " * 2000,
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(chat, line):
    before = dict(chat.options)
    with pytest.raises(CourseError):
        chat.hear(line)
    assert chat.options == before and chat.stories == []
