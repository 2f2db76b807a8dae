"""The command line: `python -m course COMMAND`. Each command is a module of `course.cli`."""

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import course
from helpers.errors import CourseError

COMMANDS = {
    "doctor": "say what this machine has for the course, what will be slow and what is missing",
    "run": "run all notebooks in order, train the storyteller and let it tell a story",
    "train": "train a model from a recipe",
    "resume": "go on with a run that was stopped",
    "record": "write what a run showed as a file, and say whether it is as expected",
    "generate": "let a model continue a text",
    "chat": "talk to a model, line by line: order a story, or begin one",
    "evaluate": "score a model on stories it has not seen",
    "export": "write a model as a folder that transformers loads",
    "page": "write a page on which a model tells stories in the browser",
    "quiz": "take a notebook's quiz, or write the quizzes for a learning platform",
    "scaling": "train the small runs from which notebook 13 learns about scale",
    "since-gpt2": "train the small runs in which notebook 14 holds each change since GPT-2 to what it replaced",
    "instructions": "make the orders and questions of notebook 15 again",
    "listening": "teach the storyteller of notebook 15 to listen, and keep how well it does",
    "bench": "measure the speed of training and of generation beside transformers' GPT-2",
    "mine": "list what you have built, and put your GPT together in runs/my_gpt.py",
    "handout": "make student copies without solutions, answer keys, and a set for nbgrader",
    "grade": "mark the notebooks that a class handed in",
    "publish": "write this copy's public address into every notebook",
}
STOPPED, CLOSED_PIPE = 130, 141  # as a shell reports Ctrl-C, and a reader that has gone


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors take one line."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: error: {_in_a_line(message)} (try {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if all went well, 2 if what was asked for cannot be done, else what the command says."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        parser = _parser(argv[0] if argv else None)
        arguments = parser.parse_args(argv)
        if not hasattr(arguments, "run"):
            parser.print_help()
            return 2
        empty = [name for name, value in vars(arguments).items() if value == "" and name != "prompt"]
        if empty:
            raise CourseError(f"--{empty[0].replace('_', '-')} is empty: give it a value, or leave it away")
        code = arguments.run(arguments) or 0
        sys.stdout.flush()
        return code
    except CourseError as error:
        return _complain(error)
    except BrokenPipeError:
        # Nobody reads any more (`| head`): leave quietly, and keep Python from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except OSError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return STOPPED


def _parser(command: str | None) -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m course",
        description="The course's commands. Each has its own --help.",
        epilog="Without --model, the storyteller that comes with the course is used: try\n"
        '  python -m course generate "Once upon a time"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {course.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for name, summary in COMMANDS.items():
        if name != command:
            subparsers.add_parser(name, help=summary)
            continue
        module = importlib.import_module(f"course.cli.{name.replace('-', '_')}")
        description, _, examples = (module.__doc__ or "").partition("\n\n")
        description = getattr(module, "HELP", "") or description
        sub = subparsers.add_parser(
            name,
            help=summary,
            description=description,
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def leave(code: int) -> NoReturn:
    """End the process with this exit code.

    One of several that `torchrun` started ends at once when all is written. `DistributedDataParallel` keeps threads of
    gloo alive, and one that still asks for Python's lock while the interpreter goes down aborts the process: a run that
    has gone well would be reported as failed (pytorch/pytorch 179291).
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _complain(error: Exception) -> int:
    print("error: " + _in_a_line(str(error)), file=sys.stderr)
    return 2


def _in_a_line(message: str) -> str:
    """A message without breaks of lines, and what it echoes cut to a sensible length."""
    said = re.sub(r"\S{400,}", lambda word: f"{word[0][:100]} ... ({len(word[0]):,} characters)", message)
    said = " ".join(said.split())
    return said if len(said) <= 1_500 else f"{said[:700]} ... ({len(said):,} characters) ... {said[-700:]}"


if __name__ == "__main__":
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed before we began
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))
    # What a user's terminal cannot write is replaced, not fatal (Windows consoles).
    for each in (sys.stdout, sys.stderr):
        each.reconfigure(errors="replace")
    leave(main())
