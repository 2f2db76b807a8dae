"""Talk to a model: order a story and ask about it, or type a beginning, and it goes on.

A model with chat tokens, such as the listener of notebook 15, takes orders and questions; a plain storyteller continues
what is typed. Ctrl-C stops an answer; Ctrl-D, or Ctrl-C at the prompt, leaves. /help lists what else can be typed.
Lines may be piped in, each an order or a question.

examples:
  python -m course chat
  python -m course chat --model data/storyteller
  python -m course chat --model runs/storyteller --temperature 1
  python -m course chat --engine ctranslate2
  echo "Tell a story about a shy fox with a red kite." | python -m course chat
"""

import argparse
import os
import re
import sys
import unicodedata
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import course
from course.cli.options import CHECKED, add_device, add_engine, add_sampling, check_engine, engine, load, sampling
from helpers.errors import CourseError

COMMANDS = """/temperature T   below 1 is safer, above 1 bolder, 0 always takes the likeliest token
/top-p P         sample from the most probable tokens that reach P together
/seed N          the same number tells the same story again
/retry           the last beginning once more, told differently
/save FILE       write the stories so far to a new file
/help            this list"""
OF_A_LISTENER = """an order         begins a new conversation: "Tell a story about a shy fox with a blue kite."
a question       "Who is the story about?" is about the last story, and answered by the likeliest words
/facts           what an order can ask for
/again           the last order or question once more, answered differently
/new             forget what was said
/temperature T   of stories: below 1 is safer, above 1 bolder, 0 always takes the likeliest token
/top-p P         sample from the most probable tokens that reach P together
/seed N          the same number tells the same story again
/save FILE       write what was said so far to a new file
/help            this list"""
GREETING = """Order a story: "Tell a story about a shy fox with a red kite." Then ask: "Who is the story about?"
/facts lists what an order can ask for, /help what else can be typed. Ctrl-C stops an answer, Ctrl-D leaves.
To have beginnings continued instead: python -m course chat --model data/storyteller"""

# What people say in a conversation when they mean a command.
SPOKEN = dict.fromkeys(("again", "once more", "one more", "more", "another", "another one"), "/again")
SPOKEN |= {"help": "/help", **dict.fromkeys(("quit", "exit", "leave", "bye", "goodbye"), "/leave")}

LONGEST_LINE = 20_000  # characters of a line: several times what fits any context
KEYS = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O[A-Z]|.)")  # what arrow keys, and the ends of a paste, send


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = "the listener of notebook 15, or where there is none the storyteller that comes with the course"
    parser.add_argument("--model", metavar="DIR", help=f"a model's folder (default: {default})")
    add_device(parser)
    add_engine(parser)
    add_sampling(parser)


def run(arguments: argparse.Namespace) -> int:
    options = sampling(arguments)
    check_engine(arguments)
    which = StringIO()
    if arguments.model is None:
        with redirect_stdout(which):
            arguments.model = _listener()
    model, tokenizer = load(arguments)
    print(which.getvalue(), end="", file=sys.stderr)  # beside what is told, and not where nothing is
    options["engine"] = engine(arguments, model)
    asks = sys.stdin.isatty()
    listens = tokenizer.token_to_id("<|user|>") is not None
    if asks:
        try:
            import readline  # noqa: F401  arrow keys edit the line and bring back earlier ones
        except ImportError:  # Windows does so by itself
            pass
        plain = "Type how a story begins. Ctrl-C stops a story, Ctrl-D leaves, /help tells more."
        print(GREETING if listens else plain)
    chat = (Listener if listens else Chat)(model, tokenizer, options, asks)
    while (line := _next_line("\nyou> " if asks else "")) is not None:
        try:
            chat.hear(line)
        except CourseError as error:
            print(f"error: {error}", file=sys.stderr)
    return 0


def _listener() -> str | None:
    """The learner's listener or the shipped one, which is said; None where there is neither."""
    try:
        return str(course.artifact("listener"))
    except CourseError:
        return None


class Chat:
    """What is remembered between two lines: the options, the last beginning, the stories."""

    commands, one, many = COMMANDS, "story", "stories"

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
        if len(line) > LONGEST_LINE:
            raise CourseError(
                f"that line has {len(line):,} characters, and {LONGEST_LINE:,} are the most that are read"
            )
        line = self._tidy(line)
        if line.startswith("/"):
            self._command(*line.partition(" ")[::2])
        elif line:
            self._tell(line)

    def _tidy(self, line: str) -> str:
        from helpers.sampling import tidy_prompt

        return tidy_prompt(_kept(line).lstrip())

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
            print(self.commands)
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
            self._next_seed()
            self._tell(self.beginning)
        elif name == "/save":
            self._save(value)
        else:
            raise CourseError(f"there is no command {name!r}: /help lists them")

    def _next_seed(self) -> None:
        if self.options["seed"] is not None:
            self.options = self.options | {"seed": self.options["seed"] + 1}

    def _save(self, name: str) -> None:
        from helpers.files import write_atomically

        if not name or not self.stories:
            raise CourseError("/save needs a file's name" if self.stories else f"there is no {self.one} to save yet")
        path = Path(name).expanduser()  # no shell has read this line: ~ is still a ~
        if path.exists():
            raise CourseError(f"{path} exists already: name a new file")
        try:
            write_atomically(path, "\n\n".join(self.stories) + "\n")
        except OSError as error:
            raise CourseError(f"{path} cannot be written: {error.strerror}") from error
        print(f"{len(self.stories)} {f'{self.one} is' if len(self.stories) == 1 else f'{self.many} are'} in {path}")


class Listener(Chat):
    """The same with a model that takes orders and questions: a conversation is kept, and stories are judged."""

    commands, one, many = OF_A_LISTENER, "answer", "answers"

    def __init__(self, model, tokenizer, options: dict, asks: bool = True):
        from course.instructions.talk import Talk

        super().__init__(model, tokenizer, options, asks)
        self.talk = Talk(tokenizer, model.config.context_length)

    def _tidy(self, line: str) -> str:
        return clean(line)

    def _tell(self, text: str) -> None:
        if command := SPOKEN.get(re.sub(r"\W+", " ", text.lower()).strip().removesuffix(" please")):
            self._command(command, "")
        else:
            self._answer(self.talk.prompt(text), likeliest=True)

    def _command(self, name: str, value: str) -> None:
        from course.instructions.talk import facts_in_words

        if name == "/new":
            self.talk.forget()
            _aside("what was said is forgotten")
        elif name in ("/again", "/retry"):
            prompt = self.talk.again()
            self._next_seed()
            self._answer(prompt, likeliest=False)
        elif name == "/leave":
            raise CourseError(f"to leave, press {'Ctrl-Z and Enter' if os.name == 'nt' else 'Ctrl-D'}")
        elif name == "/facts":
            print(facts_in_words())
        else:
            super()._command(name, value)

    def _answer(self, prompt, likeliest: bool) -> None:
        """Say what was read of the message, answer it piece by piece, and say how that went.

        Args:
            likeliest: a question is answered by its likeliest words; else they are sampled as a story's are.
        """
        from course.instructions.talk import LONGEST, said

        text = prompt.messages[-1]["content"]
        if self.stories and not self.asks:
            print()  # where lines are piped in, there is no prompt between two answers
        for note in self.talk.beforehand(prompt):
            _aside(note)
        options = self.options | ({"greedy": True} if likeliest and not prompt.is_order else {})
        if not prompt.is_order:
            options["max_new_tokens"] = min(options["max_new_tokens"], LONGEST)
        told, whole = "", False
        try:
            for piece, whole in said(self.model, self.tokenizer, prompt.ids, **options):  # noqa: B007
                told += piece
                print(piece, end="", flush=True)
            print("" if whole else " ...")
        except KeyboardInterrupt:
            print(" ...")
            if not self.asks:
                raise
            whole = False
        self.talk.answered(prompt, told)
        self.stories.append(f"you: {text}\n\n{told}")
        if note := self.talk.afterwards(prompt, told, whole):
            _aside(note)


def _aside(text: str) -> None:
    """A line that is not the model's: in brackets, and dim where a terminal can show that."""
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.name == "nt" or os.environ.get("TERM") == "dumb"
    print(f"({text})" if plain else f"\x1b[2m({text})\x1b[0m", flush=True)


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
