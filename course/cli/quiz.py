"""Take a notebook's quiz in the terminal, or write the quizzes for a learning platform.

The quizzes are those at the end of the notebooks; each answer says why it is right or wrong.

examples:
  python -m course quiz take 05
  python -m course quiz show 05
  python -m course quiz export --out quizzes
  python -m course quiz export --format gift --out quizzes 05 06
"""

import argparse
from pathlib import Path

from course.classroom import quizzes
from helpers.files import folder_to_be, write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary in (("take", "answer the questions one by one"), ("show", "print questions and answers")):
        action = actions.add_parser(name, help=summary, description=summary)
        action.add_argument("notebooks", nargs="+", metavar="NN", help='notebooks, such as "05"')
    summary = "write files that a learning platform imports"
    action = actions.add_parser("export", help=summary, description=summary)
    action.add_argument("--format", choices=("gift",), default="gift", help="GIFT, as Moodle reads it (default)")
    action.add_argument("--out", required=True, metavar="FOLDER", help="where the files go")
    action.add_argument("notebooks", nargs="*", metavar="NN", help='notebooks, such as "05" (default: all)')


def run(arguments: argparse.Namespace) -> int:
    chosen = [quizzes.load(number) for number in arguments.notebooks or quizzes.numbers()]
    if arguments.action == "export":
        return _export(chosen, folder_to_be(arguments.out))
    for quiz in chosen:
        if arguments.action == "take":
            _take(quiz)
        else:
            print(quizzes.as_text(quiz))
    return 0


def _export(chosen: list[quizzes.Quiz], folder: Path) -> int:
    from course.classroom.quiz_exports import to_gift

    for quiz in chosen:
        path = write_atomically(folder / f"quiz-{quiz.number}.gift", to_gift(quiz))
        print(f"{path}: {len(quiz.questions)} questions")
    return 0


def _take(quiz: quizzes.Quiz) -> None:
    """Ask question by question; the first answer counts, and every answer is told what it means."""
    print(f"Quiz {quiz.number}, {quiz.title}. Answer with a letter; an empty line goes on.\n")
    at_first = 0
    for number, question in enumerate(quiz.questions, 1):
        print("\n".join(quizzes.question_lines(number, question)))
        letters = quizzes.LETTERS[: len(question.options)]
        for attempt in range(len(letters)):
            letter = _asked(letters)
            if not letter:
                break
            option = question.options[letters.index(letter)]
            print(quizzes.feedback_line(option))
            at_first += option.right and attempt == 0
            if option.right:
                break
        print()
    print(f"{at_first} of {len(quiz.questions)} right at the first try")


def _asked(letters: str) -> str:
    while True:
        try:
            answer = input(f"{'/'.join(letters)}? ").strip().upper().rstrip(".")
        except EOFError:
            return ""
        if answer in {"", *letters}:
            return answer
