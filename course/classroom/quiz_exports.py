"""Quizzes for a learning platform, in the format GIFT: what Moodle imports, and many others with it.

The format is described at https://docs.moodle.org/en/GIFT_format. Each option keeps its feedback.
"""

import html
import re

from course.classroom.quizzes import Question, Quiz, inline_html


def to_gift(quiz: Quiz) -> str:
    """A quiz as GIFT: a category, and a multiple-choice question for each question, its text as HTML."""
    category = f"$CATEGORY: $course$/GPT-2 from scratch/{quiz.number} {quiz.title}"
    return "\n\n".join([category, *(_question(quiz, n, each) for n, each in enumerate(quiz.questions, 1))]) + "\n"


def _question(quiz: Quiz, number: int, question: Question) -> str:
    code = f"<pre>{html.escape(question.code, quote=False)}</pre>" if question.code else ""
    lines = [f"::{escaped(f'{quiz.number}.{number} {question.id}')}::[html]{_asked(question, code)} {{"]
    for option in question.options:
        sign = "=" if option.right else "~"
        lines.append(f"\t{sign}{escaped(inline_html(option.text))}#{escaped(inline_html(option.feedback))}")
    return "\n".join([*lines, "}"])


def _asked(question: Question, code: str) -> str:
    return escaped(f"<p>{inline_html(question.question)}</p>{code}")


def escaped(text: str) -> str:
    """Text with what GIFT takes for its own signs escaped. A real line's end becomes the two characters \\n, since an
    empty line would end the question.
    """
    return re.sub(r"[\\~=#{}:]", lambda sign: "\\" + sign.group(), text).replace("\n", "\\n")
