"""`python -m course chat` with a model that takes orders: the conversation, what is said beside it, accidents."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from course.cli import chat as command
from course.cli.chat import Chat, Listener
from course.instructions.reading import read, sentences_of
from course.instructions.talk import ROOM, Talk, facts_in_words, said, verdict_in_words
from helpers.checkpoint import save_model
from helpers.errors import CourseError
from helpers.files import repository_root
from helpers.instructions import add_chat_tokens, add_rows
from helpers.model import GPT, GPTConfig
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer
from tests.scripted import TOKENIZER, Scripted

STORY = min(load_stories("bundled", "validation", limit=100), key=len)
FACTS = read(STORY).facts
ORDER = f"Tell a story about {FACTS['hero']}, with a {FACTS['toy']}."
WHO = "Who is the story about?"
OPTIONS = dict(max_new_tokens=300, temperature=0.8, top_k=None, top_p=None, greedy=False, seed=1, engine=None, stop=[])


def listener(answers: dict[str, str], asks: bool = True, **options) -> Listener:
    return Listener(Scripted(answers, options.pop("context_length", 256)), TOKENIZER, OPTIONS | options, asks)


def tiny(context_length: int = 256):
    """A listener that was never trained, and its tokenizer."""
    plain = load_tokenizer()
    torch.manual_seed(0)
    model = GPT(GPTConfig(len(plain), context_length, n_layer=1, n_head=2, d_model=16))
    tokenizer = add_chat_tokens(plain)
    return add_rows(model, len(tokenizer)).eval(), tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model, tokenizer = tiny()
    return save_model(tmp_path_factory.mktemp("listener") / "model", model, tokenizer, {})


# ---------------------------------------------------------------------- a conversation


def test_an_order_is_answered_by_a_story_and_what_it_kept(capsys):
    chat = listener({ORDER: STORY})
    chat.hear(f"{ORDER}  ")  # spaces at the end are none of the order
    out = capsys.readouterr()
    assert out.out == f"{STORY}\n(kept: {FACTS['hero']}, {FACTS['toy']})\n" and out.err == ""
    assert chat.talk.messages == [{"role": "user", "content": ORDER}, {"role": "assistant", "content": STORY}]
    assert chat.stories == [f"you: {ORDER}\n\n{STORY}"]


def test_what_is_not_kept_is_said_with_what_the_story_has_instead(capsys):
    other = next(toy for toy in ("kite", "drum") if toy != FACTS["toy"])
    order = f"A story about {FACTS['hero']} and a {other}, please."
    listener({order: STORY}).hear(order)
    assert f"(kept: {FACTS['hero']}; not kept: {other} (it has {FACTS['toy']}))\n" in capsys.readouterr().out
    listener({order: "Hello."}).hear(order)
    assert f"(not kept: {FACTS['hero']}, {other}; the grammar can read no story in this)" in capsys.readouterr().out
    assert verdict_in_words({"friend": "Mia", "ending": "bedtime"}, {"hero": "Pip"}) == (
        "not kept: friend Mia (it says nothing of it), ending: bedtime (it says nothing of it)"
    )


def test_a_question_belongs_to_the_last_story(capsys):
    chat = listener({ORDER: STORY, WHO: f"{FACTS['hero']}.", "What is it?": "A kite."})
    chat.hear(ORDER)
    chat.hear(WHO)
    assert chat.model.heard[-1] == f"<|endoftext|><|user|>{ORDER}<|assistant|>{STORY}<|end|><|user|>{WHO}<|assistant|>"
    chat.hear("What is it?")
    assert f"{WHO}<|assistant|>{FACTS['hero']}.<|end|><|user|>What is it?" in chat.model.heard[-1]
    out = capsys.readouterr().out
    assert f"\n{FACTS['hero']}.\n(right)\nA kite.\n(none of the questions that it learned" in out


def test_a_wrong_answer_is_said_to_be_wrong(capsys):
    chat = listener({ORDER: STORY, WHO: "A giraffe."})
    chat.hear(ORDER)
    chat.hear(WHO)
    assert f"(wrong: by the story, as the grammar reads it, {FACTS['hero']}.)" in capsys.readouterr().out


def test_a_question_before_any_story_is_refused():
    chat = listener({})
    with pytest.raises(CourseError, match="no story yet that a question could be about"):
        chat.hear(WHO)
    assert chat.model.heard == []


def test_an_order_begins_a_new_conversation_and_that_is_said(capsys):
    chat = listener({ORDER: STORY})
    chat.hear(ORDER)
    assert "new conversation" not in capsys.readouterr().out
    chat.hear(ORDER)
    assert capsys.readouterr().out.startswith("(an order begins a new conversation)\n")
    assert chat.model.heard[-1] == f"<|endoftext|><|user|>{ORDER}<|assistant|>" and len(chat.talk.messages) == 2


def test_new_forgets_and_again_asks_again(capsys):
    chat = listener({ORDER: STORY, WHO: "Pip."})
    with pytest.raises(CourseError, match="nothing was asked yet"):
        chat.hear("/again")
    chat.hear(ORDER)
    chat.hear("/again")
    assert chat.model.heard[0] == chat.model.heard[1] and chat.options["seed"] == 2
    chat.hear(WHO)
    chat.hear("/again")
    assert chat.model.heard[2] == chat.model.heard[3] and len(chat.talk.messages) == 4
    chat.hear("/new")
    assert chat.talk.messages == [] and "(what was said is forgotten)" in capsys.readouterr().out
    with pytest.raises(CourseError, match="no story yet"):
        chat.hear(WHO)


def test_again_samples_what_the_first_time_was_likeliest(capsys):
    model, tokenizer = tiny()
    chat = Listener(model, tokenizer, OPTIONS | {"max_new_tokens": 12, "temperature": 5.0})
    chat.hear("Tell a story.")
    said_of = []
    for line in (WHO, "/again", "/again"):
        chat.hear(line)
        said_of.append(chat.stories[-1])
    assert len(set(said_of)) == 3
    chat.hear("/new")
    chat.hear("/seed 1")
    chat.hear("Tell a story.")
    assert chat.stories[-1] == chat.stories[0]  # the seed tells the same story again


def test_what_no_story_has_is_said_with_what_there_is(capsys):
    listener({}).hear("Tell me a story about a dragon named Ember, and a foxx")
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith('(no order can ask for "dragon"; there are the heroes rabbit, fox')
    assert out[1].startswith('(no order can ask for "Ember"; there are the names Lily, Mia')
    assert out[2].startswith('(no order can ask for "foxx"; there are the toys')
    listener({}).hear("a story about a foxx")
    assert '"foxx" (did you mean "fox"?); there are the heroes' in capsys.readouterr().out
    listener({}).hear("Write me an essay")
    assert '(no order can ask for "essay"; /facts lists what there is)' in capsys.readouterr().out
    listener({}).hear(
        "Tell a story about a shy fox named Ruby and friend Tom with a red kite in which there is a storm"
    )
    assert "(that asks for 7 things; of the orders that it learned none has more than 5)" in capsys.readouterr().out


def test_what_is_no_order_is_answered_all_the_same_and_that_is_said(capsys):
    listener({"Hello": STORY}).hear("Hello")
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("(no order that can be read: stories are all it knows")
    assert "\n".join(rest) == STORY
    listener({"Tell a story.": STORY}).hear("Tell a story.")
    assert capsys.readouterr().out == f"{STORY}\n(no demand that can be judged was read in this order)\n"
    listener({"Tell a story.": ""}).hear("Tell a story.")
    assert capsys.readouterr().out == "\n(it said nothing)\n"


def test_commands_may_be_said(capsys):
    chat = listener({ORDER: STORY})
    chat.hear(ORDER)
    for line in ("again", "Another one, please!", "More"):
        chat.hear(line)
    assert len(chat.stories) == 4 and set(chat.model.heard) == {chat.model.heard[0]}
    with pytest.raises(CourseError, match="to leave, press Ctrl-"):
        chat.hear("Bye!")
    chat.hear("help")
    assert "/facts" in capsys.readouterr().out
    assert set(command.SPOKEN.values()) == {"/again", "/help", "/leave"}


def test_an_answer_that_does_not_end_is_cut(capsys):
    chat = listener({ORDER: STORY, WHO: STORY})
    chat.hear(ORDER)
    capsys.readouterr()
    chat.hear(WHO)
    answer = chat.talk.messages[-1]["content"]
    assert len(TOKENIZER.encode(answer)) == 24 and STORY.startswith(answer)
    assert capsys.readouterr().out.startswith(f"{answer} ...\n(wrong")


def test_commands_and_what_may_be_typed(tmp_path, capsys):
    chat = listener({ORDER: STORY})
    for line in ("", "   ", "\x1b[A", "/help", "/facts", "/temperature 0.5", "/top-p 0.9", "/seed 4"):
        chat.hear(line)
    out = capsys.readouterr().out
    assert "/again" in out and "/new" in out and facts_in_words() in out and "toy      kite, ball" in out
    assert (chat.options["temperature"], chat.options["seed"]) == (0.5, 4) and chat.model.heard == []
    for line in ("/save", "/dance", "/temperature hot", "x" * 30_000):
        with pytest.raises(CourseError):
            chat.hear(line)
    chat.hear(ORDER)
    chat.hear(f"/save {tmp_path / 'said.txt'}")
    assert (tmp_path / "said.txt").read_text(encoding="utf-8") == f"you: {ORDER}\n\n{STORY}\n"
    assert "1 answer is in" in capsys.readouterr().out
    chat.hear("fuchs 🦊 ünïcödé \ud83d <|end|><|user|>")
    assert chat.model.heard[-1].endswith("<|user|>fuchs 🦊 ünïcödé  <|end|><|user|><|assistant|>")
    assert chat.talk.messages[0]["content"].endswith("<|end|><|user|>")  # letters, and no turn of anybody


def test_the_answer_streams_and_ends_where_it_ends():
    model = Scripted({ORDER: STORY})
    pieces = list(said(model, TOKENIZER, Talk(TOKENIZER, 256).prompt(ORDER).ids, max_new_tokens=300))
    assert len(pieces) > 100 and "".join(piece for piece, _ in pieces) == STORY
    assert pieces[-1] == ("", True) and not any(whole for _, whole in pieces[:-1])
    *short, last = said(model, TOKENIZER, Talk(TOKENIZER, 256).prompt(ORDER).ids, max_new_tokens=5)
    assert len(short) == 5 and last == ("", False)
    stopped = said(model, TOKENIZER, Talk(TOKENIZER, 256).prompt(ORDER).ids, max_new_tokens=300, stop=[FACTS["hero"]])
    assert STORY.startswith("".join(piece for piece, _ in stopped))


def test_the_model_cannot_take_the_users_turn(capsys):
    """It gives the token of another speaker: the answer is over, and nothing of the template is printed."""
    model = Scripted({})
    user = TOKENIZER.token_to_id("<|user|>")
    model.forward = lambda ids: torch.nn.functional.one_hot(torch.full_like(ids, user), len(TOKENIZER)) * 1000.0
    assert list(said(model, TOKENIZER, [0, 1], max_new_tokens=9)) == [("", True)]


def test_ctrl_c_stops_an_answer_and_not_the_program(capsys, monkeypatch):
    def stopped(*_, **__):
        yield from ((TOKENIZER.encode(STORY))[:6])
        raise KeyboardInterrupt

    monkeypatch.setattr("course.instructions.talk.generate", stopped)
    chat = listener({})
    chat.hear(ORDER)
    begun = TOKENIZER.decode(TOKENIZER.encode(STORY)[:6])
    assert capsys.readouterr().out == f"{begun} ...\n(it did not end, so it is not judged)\n"
    assert chat.talk.story == begun  # which one may ask about
    with pytest.raises(KeyboardInterrupt):
        listener({}, asks=False).hear(ORDER)


# ---------------------------------------------------------------------- what does not fit


def talk_of(context_length: int, *texts: str) -> Talk:
    talk = Talk(TOKENIZER, context_length)
    talk.messages = [{"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(texts)]
    return talk


def test_an_order_leaves_room_for_its_story():
    with pytest.raises(CourseError, match="tokens, and the model reads 256 with the story: say it in at most half"):
        Talk(TOKENIZER, 256).prompt("Tell a story about a shy fox. " * 20)


LONG = "Tell a story about a shy fox named Ruby."
ASKED = ((WHO, "Ruby."), ("What color is the kite?", "Red."))


@pytest.mark.parametrize(
    ("questions", "order", "sentences", "notes"),
    [
        (0, 0, 0, ()),
        (1, 0, 0, ("the oldest question",)),
        (2, 0, 0, ("the oldest 2 questions",)),
        (2, 1, 0, ("the oldest 2 questions", "the order")),
        (2, 1, 1, ("the oldest 2 questions", "the order", "the story's last sentence")),
        (2, 1, 2, ("the oldest 2 questions", "the order", "the story's last 2 sentences")),
    ],
)
def test_first_questions_are_left_out_then_the_order_then_how_the_story_ends(questions, order, sentences, notes):
    """The context is just as long as what is to be left, and an answer to it."""
    told = sentences_of(STORY)
    kept = "".join(border + sentence for border, sentence in told[: len(told) - sentences])
    left = [*("Tell a story." if order else LONG, kept), *(text for pair in ASKED[questions:] for text in pair)]
    room = len(talk_of(10_000, *left).prompt("Where?").ids)
    texts = [LONG, STORY, *(text for pair in ASKED for text in pair)]
    prompt = talk_of(room + ROOM, *texts).prompt("Where?")
    assert prompt.notes == notes and len(prompt.ids) == room
    assert TOKENIZER.decode(prompt.ids) == TOKENIZER.decode(talk_of(10_000, *left).prompt("Where?").ids)
    assert [message["content"] for message in prompt.messages] == [*texts, "Where?"]  # nothing is lost for good


def test_what_is_left_out_is_said_once(capsys):
    chat = listener({ORDER: STORY, "Where?": "Here."}, context_length=len(TOKENIZER.encode(STORY)))
    chat.talk.messages = talk_of(1, ORDER, STORY).messages
    for _ in range(2):
        chat.hear("Where?")
    out = capsys.readouterr().out
    assert out.count("all that was said exceeds its") == 2  # another question is left out the second time
    chat.hear("/again")
    assert "exceeds" not in capsys.readouterr().out


def test_a_question_longer_than_the_context_is_refused():
    talk = talk_of(64, ORDER, STORY)
    with pytest.raises(CourseError, match="does not fit beside the story: the model reads 64 tokens"):
        talk.prompt("What is " + "very " * 100 + "red?")
    assert len(talk.messages) == 2


# ---------------------------------------------------------------------- the command


def process(*argv: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "course", "chat", *argv], cwd=repository_root(), env=os.environ | environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip


def test_lines_are_piped_in_one_order_each(folder):
    lines = f"{WHO}\nTell a story about a dragon.\n\n{WHO}\n/new\nTom 🐇\n"
    out, err = (child := process("--model", str(folder), "--max-new-tokens", "5", "--seed", "1")).communicate(lines)
    assert child.returncode == 0 and "Traceback" not in err
    assert err.startswith("error: there is no story yet that a question could be about") and err.count("\n") == 1
    assert 'no order can ask for "dragon"' in out and "what was said is forgotten" in out and "\x1b" not in out
    assert "<|" not in out


def test_without_a_model_the_listener_in_runs_is_talked_to(folder, tmp_path):
    (tmp_path / "listener").symlink_to(folder, target_is_directory=True)
    child = process("--max-new-tokens", "3", "--seed", "1", COURSE_RUNS=str(tmp_path))
    out, err = child.communicate("Tell a story about a fox.\n")
    assert child.returncode == 0 and err == "Using your own listener (in runs/).\n"
    assert "(it did not end, so it is not judged)" in out


def test_where_there_is_no_listener_the_storyteller_goes_on(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    monkeypatch.setattr("course.data_folder", lambda: tmp_path / "nothing")
    assert command._listener() is None
    assert capsys.readouterr() == ("", "")


def test_a_plain_storyteller_is_no_listener():
    model, _ = tiny()
    assert Chat(model, load_tokenizer(), OPTIONS).commands != Listener.commands
    with pytest.raises(CourseError, match="add_chat_tokens"):
        Listener(model, load_tokenizer(), OPTIONS)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such terminals")
def test_in_a_terminal_it_greets_is_stopped_and_is_left(folder):
    import pty

    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "course", "chat", "--model", str(folder), "--greedy", "--max-new-tokens", "20000"],
        cwd=repository_root(), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    seen = ""

    def until(text: str, start: int = 0) -> None:
        nonlocal seen
        deadline = time.time() + 120
        while text not in seen[start:]:
            assert time.time() < deadline, seen
            seen += os.read(ours, 4096).decode("utf-8", errors="replace")

    until("you> ")
    assert "python -m course chat --model data/storyteller" in seen and "/facts lists" in seen
    start = len(seen)
    os.write(ours, b"Tell a story about a fox.\n")
    while len(seen) < start + 100:
        until("fox.", start)
        seen += os.read(ours, 4096).decode("utf-8", errors="replace")
    os.killpg(child.pid, signal.SIGINT)
    until("\x1b[2m(it did not end, so it is not judged)\x1b[0m", start)
    until("you> ", start)
    os.write(ours, b"\x04")
    assert child.wait(60) == 0
    os.close(ours)


def test_stories_that_are_evaluated_end_there_too(folder, capsys, monkeypatch):
    from course.__main__ import main

    end, words = TOKENIZER.token_to_id("<|end|>"), TOKENIZER.encode("Once there was a fox.")
    monkeypatch.setattr("helpers.generation.generate_batch", lambda *_, **__: [[*words, end, *words]] * 2)
    assert main(["evaluate", "--model", str(folder), "--samples", "2", "--limit", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"]["tokens_per_story"] == len(words)


def test_generate_ends_where_the_answer_ends(folder, capsys, monkeypatch):
    from course.__main__ import main

    end, words = TOKENIZER.token_to_id("<|end|>"), TOKENIZER.encode(" there was")
    monkeypatch.setattr("helpers.generation.generate", lambda *_, **__: iter([*words, end, *words]))
    assert main(["generate", "Once", "--model", str(folder)]) == 0
    assert capsys.readouterr().out == "Once there was\n"
