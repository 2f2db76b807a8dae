"""Tell stories with a model: type a beginning, and it goes on.

Ctrl-C stops a story; Ctrl-D, or Ctrl-C at the prompt, leaves. /help lists what else can be typed.

examples:
  python -m course chat
  python -m course chat --model runs/storyteller --temperature 1
  python -m course chat --engine ctranslate2
"""

import argparse
import re
import sys
import unicodedata
from pathlib import Path

from course.cli.options import CHECKED, add_engine, add_model, add_sampling, check_engine, engine, load, sampling
from helpers.errors import CourseError

COMMANDS = """/temperature T   below 1 is safer, above 1 bolder, 0 always takes the likeliest token
/top-p P         sample from the most probable tokens that reach P together
/seed N          the same number tells the same story again
/retry           the last beginning once more, told differently
/save FILE       write the stories so far to a new file
/help            this list"""


LONGEST = 20_000  # characters of a line: several times what fits any context
KEYS = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O[A-Z]|.)")  # what arrow keys, and the ends of a paste, send


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_engine(parser)
    add_sampling(parser)


def run(arguments: argparse.Namespace) -> int:
    options = sampling(arguments)
    check_engine(arguments)
    model, tokenizer = load(arguments)
    options["engine"] = engine(arguments, model)
    asks = sys.stdin.isatty()
    if asks:
        try:
            import readline  # noqa: F401  arrow keys edit the line and bring back earlier ones
        except ImportError:  # Windows does so by itself
            pass
        print("Type how a story begins. Ctrl-C stops a story, Ctrl-D leaves, /help tells more.")
    chat = Chat(model, tokenizer, options, asks)
    while (line := _next_line("\nyou> " if asks else "")) is not None:
        try:
            chat.hear(line)
        except CourseError as error:
            print(f"error: {error}", file=sys.stderr)
    return 0


class Chat:
    """What is remembered between two lines: the options, the last beginning, the stories."""

    def __init__(self, model, tokenizer, options: dict, asks: bool = True):
        """`asks`: a person types the lines, and Ctrl-C stops one story. Where they are piped in it stops all."""
        self.model, self.tokenizer, self.options, self.asks = model, tokenizer, options, asks
        self.beginning: str | None = None
        self.stories: list[str] = []

    def hear(self, line: str) -> None:
        """One line: a command, or how a story begins. Control characters are dropped, empty lines ignored.

        Raises:
            CourseError: it cannot be done; nothing has changed.
        """
        from helpers.sampling import tidy_prompt

        if len(line) > LONGEST:
            raise CourseError(f"that line has {len(line):,} characters, and {LONGEST:,} are the most that are read")
        line = tidy_prompt(_kept(line).lstrip())
        if line.startswith("/"):
            self._command(*line.partition(" ")[::2])
        elif line:
            self._tell(line)

    def _tell(self, beginning: str) -> None:
        from helpers.generation import stream

        pieces = stream(self.model, self.tokenizer, beginning, **self.options)  # refused before anything is printed
        self.beginning = beginning
        told = beginning
        print(beginning, end="", flush=True)
        try:
            for piece in pieces:
                told += piece
                print(piece, end="", flush=True)
            print()
        except KeyboardInterrupt:
            print(" ...")
            if not self.asks:
                raise
        self.stories.append(told)

    def _command(self, name: str, value: str) -> None:
        from helpers.sampling import check_options

        value = value.strip()
        if name == "/help":
            print(COMMANDS)
        elif name in ("/temperature", "/top-p"):
            option = name[1:].replace("-", "_")
            changed = self.options | {option: _number(float, name, value)}
            check_options(**{each: changed.get(each) for each in CHECKED})
            self.options = changed | {"greedy": False}
        elif name == "/seed":
            self.options = self.options | {"seed": _number(int, name, value)}
        elif name == "/retry":
            if self.beginning is None:
                raise CourseError("there is nothing to retry yet: type how a story begins")
            if self.options["seed"] is not None:
                self.options = self.options | {"seed": self.options["seed"] + 1}
            self._tell(self.beginning)
        elif name == "/save":
            self._save(value)
        else:
            raise CourseError(f"there is no command {name!r}: /help lists them")

    def _save(self, name: str) -> None:
        from helpers.files import write_atomically

        if not name or not self.stories:
            raise CourseError("/save needs a file's name" if self.stories else "there is no story to save yet")
        path = Path(name).expanduser()  # no shell has read this line: ~ is still a ~
        if path.exists():
            raise CourseError(f"{path} exists already: name a new file")
        try:
            write_atomically(path, "\n\n".join(self.stories) + "\n")
        except OSError as error:
            raise CourseError(f"{path} cannot be written: {error.strerror}") from error
        print(f"{len(self.stories)} {'story is' if len(self.stories) == 1 else 'stories are'} in {path}")


def clean(line: str) -> str:
    """A line without what keys and terminals leave in it: every blank is a space, control characters are gone.

    Joiners and marks stay, or an emoji made of several characters would fall apart.
    """
    return _kept(line).strip()


def _kept(line: str) -> str:
    kept = []
    for letter in KEYS.sub("", line):
        kind = unicodedata.category(letter)
        if letter == "\t" or kind.startswith("Z"):
            kept.append(" ")
        elif kind not in ("Cc", "Cs"):  # control characters, and halves of characters
            kept.append(letter)
    return "".join(kept)


def _number(kind, name: str, text: str):
    try:
        value = kind(text)
    except ValueError as error:
        raise CourseError(f"{name} needs a number, got {text!r}") from error
    if kind is int and not 0 <= value < 2**63 - 1:
        raise CourseError(f"{name} needs a number of at least 0 and less than 2^63, got {text}")
    return value


def _next_line(prompt: str) -> str | None:
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt) as left:
        if not prompt and isinstance(left, KeyboardInterrupt):
            raise
        print()
        return None
    except UnicodeDecodeError:
        print("error: that line is not UTF-8", file=sys.stderr)
        return ""
