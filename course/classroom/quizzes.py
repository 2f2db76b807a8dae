"""The quizzes: a few questions a notebook, with a word on every option, right or wrong.

`data/quizzes/05.json` holds those of notebook 05; `show("05")` displays them. In a notebook or on a web page each
option unfolds, by mouse or keyboard and without any script; in a terminal the answers stand below the questions.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from course.site.syllabus import SYLLABUS
from helpers.errors import CourseError
from helpers.files import data_folder, read_json

LETTERS = "ABCD"
_OPTION_KEYS, _QUESTION_KEYS = {"text", "feedback", "right"}, {"id", "question", "code", "quoted", "options"}
# Inline, because most places where a notebook is shown take style sheets away. No colour of text or ground is set:
# both are the page's own, light or dark. The borders' colours can be seen on either.
_BOX = "border:1px solid #8a8b94;border-radius:6px;padding:0.35em 0.75em;margin:0.35em 0"
_SUMMARY = "cursor:pointer;font-weight:normal;overflow-wrap:anywhere"  # some pages make a summary bold
_FEEDBACK = "margin:0.5em 0 0.25em;padding-left:0.75em;border-left:4px solid {colour}"
_CODE = "margin:0.5em 0;padding:0.25em 0.75em;border-left:4px solid #8a8b94;white-space:pre-wrap;font-family:monospace"


@dataclass(frozen=True)
class Option:
    """One possible answer; `feedback` says why it is right, or which idea led astray whoever chose it."""

    text: str
    feedback: str
    right: bool = False


@dataclass(frozen=True)
class Question:
    """A question with 3 or 4 options, one of them right. Text may hold `code` between backquotes.

    `code` is a block that is shown below the question. `quoted` are the numbers of the question that an output of
    the notebook shows; a test looks for them there.
    """

    id: str
    question: str
    options: tuple[Option, ...]
    code: str = ""
    quoted: tuple[str, ...] = ()

    @property
    def right(self) -> int:
        """The place of the right option, from 0."""
        return next(i for i, option in enumerate(self.options) if option.right)


@dataclass(frozen=True)
class Quiz:
    """The questions on one notebook. As the last line of a cell it displays itself."""

    number: str
    title: str
    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def show(number: str) -> Quiz:
    """The quiz of a notebook ("05"), to be displayed as the last line of a cell."""
    return load(number)


def numbers() -> list[str]:
    """The notebooks that have a quiz, in the order of the course."""
    return sorted(path.stem for path in _folder().glob("[0-9][0-9].json"))


def load(number: str) -> Quiz:
    """The quiz of a notebook ("05").

    Raises:
        CourseError: there is none, or its file does not hold what a quiz holds.
    """
    if number not in numbers():
        raise CourseError(f"there is no quiz {number!r}; there are {', '.join(numbers())}")
    return from_data(read_json(_folder() / f"{number}.json"), number)


def from_data(data, number: str) -> Quiz:
    """A quiz from what its JSON file holds: `{"questions": [...]}`.

    Raises:
        CourseError: something is missing, too much or of the wrong kind; the message names the question.
    """
    titles = {entry.number: entry.title for entry in SYLLABUS}
    if number not in titles:
        raise CourseError(f"quiz {number}: the syllabus has no notebook of this number")
    if not (isinstance(data, dict) and set(data) == {"questions"} and isinstance(data["questions"], list)):
        raise CourseError(f'quiz {number}: the file must be an object with one key, "questions", and a list behind it')
    questions = tuple(_question(each, f"quiz {number}, question {i}") for i, each in enumerate(data["questions"], 1))
    if not questions:
        raise CourseError(f"quiz {number} has no questions")
    if len({question.id for question in questions}) < len(questions):
        raise CourseError(f"quiz {number}: two questions have the same id")
    return Quiz(number, titles[number], questions)


def _question(data, where: str) -> Question:
    if not isinstance(data, dict):
        raise CourseError(f"{where} is not an object")
    _known_keys(data, _QUESTION_KEYS, where)
    options = data.get("options")
    if not (isinstance(options, list) and 3 <= len(options) <= len(LETTERS)):
        raise CourseError(f"{where} needs 3 or 4 options")
    made = tuple(_option(each, f"{where}, option {LETTERS[i]}") for i, each in enumerate(options))
    if sum(option.right for option in made) != 1:
        raise CourseError(f'{where} needs exactly one option with "right": true')
    quoted = data.get("quoted", [])
    if not (isinstance(quoted, list) and all(isinstance(each, str) for each in quoted)):
        raise CourseError(f'{where}: "quoted" must be a list of texts')
    code = _text(data, "code", where) if "code" in data else ""
    return Question(_text(data, "id", where), _text(data, "question", where), made, code, tuple(quoted))


def _option(data, where: str) -> Option:
    if not isinstance(data, dict):
        raise CourseError(f"{where} is not an object")
    _known_keys(data, _OPTION_KEYS, where)
    right = data.get("right", False)
    if not isinstance(right, bool):
        raise CourseError(f'{where}: "right" must be true or false')
    return Option(_text(data, "text", where), _text(data, "feedback", where), right)


def _known_keys(data: dict, known: set[str], where: str) -> None:
    if unknown := sorted(set(data) - known):
        raise CourseError(f"{where} has unknown keys: {', '.join(unknown)}")


def _text(data: dict, key: str, where: str) -> str:
    value = data.get(key)
    if not (isinstance(value, str) and value.strip()):
        raise CourseError(f'{where} needs a text for "{key}"')
    if value.count("`") % 2 and key != "code":
        raise CourseError(f'{where}: a backquote in "{key}" has no partner')
    return value


def _folder() -> Path:
    return data_folder() / "quizzes"


def inline_html(text: str) -> str:
    """Text as HTML: everything escaped, and `code` between backquotes marked as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))


def as_html(quiz: Quiz) -> str:
    """The quiz with an option a `<details>`: no script, and readable where styles are taken away."""
    # A break and not a margin between questions: it stays where styles are taken away.
    return "<div>" + "<br>".join(_question_html(n, q) for n, q in enumerate(quiz.questions, 1)) + "</div>"


def _question_html(number: int, question: Question) -> str:
    code = f'<pre style="{_CODE}">{html.escape(question.code, quote=False)}</pre>' if question.code else ""
    options = "".join(
        f'<details style="{_BOX}"><summary style="{_SUMMARY}">{letter}. {inline_html(option.text)}</summary>'
        f'<p style="{_FEEDBACK.format(colour="#2f9e8f" if option.right else "#c2476f")}">'
        f"<strong>{_mark(option)}</strong> {inline_html(option.feedback)}</p></details>"
        for letter, option in zip(LETTERS, question.options, strict=False)
    )
    asked = f'<p style="margin:0 0 0.5em"><strong>{number}.</strong> {inline_html(question.question)}</p>'
    return f"<div>{asked}{code}{options}</div>"


def _mark(option: Option) -> str:
    return "\u2713 Right." if option.right else "\u2717 Not this one."


def as_text(quiz: Quiz, width: int = 100) -> str:
    """The quiz for a terminal: the questions first, and below them the answers with their reasons."""
    lines = [f"Quiz {quiz.number}, {quiz.title}", ""]
    for number, question in enumerate(quiz.questions, 1):
        lines += [*question_lines(number, question, width), ""]
    lines += ["Answers", ""]
    for number, question in enumerate(quiz.questions, 1):
        for letter, option in zip(LETTERS, question.options, strict=False):
            lines += _wrapped(f"{number}{letter}. ", feedback_line(option), width)
        lines.append("")
    return "\n".join(lines).rstrip()


def question_lines(number: int, question: Question, width: int = 100) -> Iterator[str]:
    """One question and its options, as lines of at most `width` characters; code is never broken."""
    yield from _wrapped(f"{number}. ", question.question, width)
    yield from (f"       {line}".rstrip() for line in question.code.splitlines())
    for letter, option in zip(LETTERS, question.options, strict=False):
        yield from _wrapped(f"   {letter}. ", option.text, width)


def feedback_line(option: Option) -> str:
    return f"{_mark(option)} {option.feedback}"


def _wrapped(start: str, text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, initial_indent=start, subsequent_indent=" " * len(start), break_long_words=False)
