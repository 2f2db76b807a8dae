"""The quizzes: well formed, fair to somebody who only guesses, true to their notebooks, the same in every form."""

import copy
import html
import json
import math
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.__main__ import main
from course.classroom import quizzes
from course.classroom.quiz_exports import escaped, to_gift
from course.site import notebooks
from course.site.syllabus import SYLLABUS
from helpers.errors import CourseError

QUIZZES = [quizzes.load(number) for number in quizzes.numbers()]
QUESTIONS = [question for quiz in QUIZZES for question in quiz.questions]

each = pytest.mark.parametrize("quiz", QUIZZES, ids=lambda quiz: quiz.number)


def test_every_notebook_has_a_quiz_of_six_to_ten_questions():
    assert [quiz.number for quiz in QUIZZES] == [entry.number for entry in SYLLABUS if entry.exists]
    assert all(6 <= len(quiz.questions) <= 10 for quiz in QUIZZES)


def test_nothing_is_asked_or_said_twice():
    for texts in (
        [question.id for question in QUESTIONS],
        [question.question for question in QUESTIONS],
        [option.feedback for question in QUESTIONS for option in question.options],
    ):
        assert [text for text, times in Counter(map(plain, texts)).items() if times > 1] == []
    for question in QUESTIONS:
        assert len({plain(option.text) for option in question.options}) == len(question.options), question.id


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s.,()/·−-]", " ", text).lower().split())


def test_every_option_is_told_in_a_sentence_or_two_why():
    for question in QUESTIONS:
        for option in question.options:
            assert 15 <= len(option.feedback) <= 240, option.feedback
            assert option.feedback[-1] in ".?!" and 1 <= len(re.findall(r"[.?!](?:\s|$)", option.feedback)) <= 3


# What somebody would choose who knows nothing of the matter and looks at the form alone.
def longest(question) -> set[int]:
    return extreme(question, max)


def shortest(question) -> set[int]:
    return extreme(question, min)


def extreme(question, which) -> set[int]:
    lengths = [len(option.text) for option in question.options]
    return {i for i, length in enumerate(lengths) if length == which(lengths)}


def most_like_the_question(question) -> set[int]:
    asked = set(plain(question.question).split())
    shared = [len(asked & set(plain(option.text).split())) for option in question.options]
    return {i for i, count in enumerate(shared) if count == max(shared)}


def with_a_reason(question) -> set[int]:
    reasons = {i for i, o in enumerate(question.options) if re.search(r"\b(as|since|because|so)\b", o.text)}
    return reasons or set(range(len(question.options)))


@pytest.mark.parametrize("choice", [longest, shortest, most_like_the_question, with_a_reason])
def test_the_form_of_an_option_does_not_give_the_right_one_away(choice):
    """Within two standard deviations of guessing, above and below: whom it misleads could turn it round."""
    chances = [1 / len(question.options) for question in QUESTIONS]
    spread = math.sqrt(sum(p * (1 - p) for p in chances))
    chosen = [choice(question) for question in QUESTIONS]
    hits = sum((q.right in found) / len(found) for q, found in zip(QUESTIONS, chosen, strict=True))
    assert abs(hits - sum(chances)) <= 2 * spread, f"{hits:.1f} of {len(QUESTIONS)}, by guessing {sum(chances):.1f}"


def test_right_and_wrong_options_are_about_equally_long():
    right = [len(option.text) for question in QUESTIONS for option in question.options if option.right]
    wrong = [len(option.text) for question in QUESTIONS for option in question.options if not option.right]
    assert 0.85 < (sum(right) / len(right)) / (sum(wrong) / len(wrong)) < 1.15


def test_the_place_does_not_give_the_right_one_away():
    places = [question.right for question in QUESTIONS]
    expected = [sum(i < len(q.options) and 1 / len(q.options) for q in QUESTIONS) for i in range(4)]
    chi_square = sum((places.count(i) - mean) ** 2 / mean for i, mean in enumerate(expected))
    assert chi_square < 7.81  # five in a hundred shuffles are more uneven, with three degrees of freedom
    assert not any(a == b == c for (a, b), (_, c) in pairwise(pairwise(places))), "three times in a row"
    follows = Counter((b - a) % 4 for a, b in pairwise(places))
    assert max(follows.values()) < len(places) / 2, "the next place follows from the last"


@each
def test_no_place_rules_a_quiz(quiz):
    places = Counter(question.right for question in quiz.questions)
    assert len(places) >= 3 and max(places.values()) <= len(quiz.questions) / 2


def test_no_option_is_known_by_a_word_that_right_ones_do_not_have():
    for question in QUESTIONS:
        for option in question.options:
            assert not re.search(r"\b(always|never|of the above|both [ABCD])\b", option.text, re.IGNORECASE), option


def own_words(number: str) -> str:
    """All that a notebook says and shows, its quiz left out."""
    path = next(path for path in notebooks.all_notebooks() if path.name.startswith(number))
    cells = [cell for cell in notebooks.read(path).cells if "quiz" not in notebooks.tags_of(cell)]
    return "\n".join(cell.source + json.dumps(cell.get("outputs", []), ensure_ascii=False) for cell in cells)


@each
def test_what_is_quoted_stands_in_the_notebook(quiz):
    known = own_words(quiz.number)
    for question in quiz.questions:
        said = json.dumps([question.question, [(o.text, o.feedback) for o in question.options]], ensure_ascii=False)
        for number in question.quoted:
            assert number in said, f"{question.id} does not say {number}"
            assert number in known, f"notebook {quiz.number} does not show {number}, which {question.id} quotes"


@each
def test_the_notebook_shows_its_quiz_as_it_is(quiz):
    path = next(path for path in notebooks.all_notebooks() if path.name.startswith(quiz.number))
    book = notebooks.read(path)
    (cell,) = [cell for cell in book.cells if "quiz" in notebooks.tags_of(cell)]
    at = book.cells.index(cell)
    assert book.cells[at - 1].source.startswith("## Check yourself\n")
    assert book.cells[at + 1].source.startswith("## Recap\n")
    assert cell.source.endswith(f'quizzes.show("{quiz.number}")')
    (output,) = cell.outputs
    assert output.data["text/html"] == quiz._repr_html_(), f"run docs/tools/refresh.py notebooks/{path.name}"
    assert output.data["text/plain"] == repr(quiz)


# ------------------------------------------------------------------ what a file may hold

GOOD = {
    "questions": [
        {
            "id": "sum",
            "question": "What is `1 + 1`?",
            "options": [
                {"text": "2", "right": True, "feedback": "It is."},
                {"text": "1", "feedback": "That is the first of them."},
                {"text": "11", "feedback": "These were joined, not added."},
            ],
        }
    ]
}


def damaged(change) -> dict:
    data = copy.deepcopy(GOOD)
    change(data["questions"][0])
    return data


def test_a_good_file_is_read():
    quiz = quizzes.from_data(GOOD, "05")
    assert quiz.title == "Self-attention" and quiz.questions[0].right == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda q: q.pop("question"), 'question 1 needs a text for "question"'),
        (lambda q: q.update(question=" "), 'question 1 needs a text for "question"'),
        (lambda q: q.update(question="What is `1?"), "backquote"),
        (lambda q: q.update(answer=1), "unknown keys: answer"),
        (lambda q: q.update(options=q["options"][:2]), "3 or 4 options"),
        (lambda q: q.update(options=q["options"] * 2), "3 or 4 options"),
        (lambda q: q["options"][1].update(right=True), "exactly one option"),
        (lambda q: q["options"][0].pop("right"), "exactly one option"),
        (lambda q: q["options"][0].update(right="yes"), "option A.*true or false"),
        (lambda q: q["options"][2].pop("feedback"), 'option C needs a text for "feedback"'),
        (lambda q: q["options"].__setitem__(1, "1"), "option B is not an object"),
        (lambda q: q.update(quoted="2"), "list of texts"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place_of_the_damage(change, words):
    with pytest.raises(CourseError, match=words):
        quizzes.from_data(damaged(change), "05")


@pytest.mark.parametrize("data", [[], {}, {"questions": {}}, {"questions": []}, {"questions": [3]}])
def test_a_file_of_another_form_is_refused(data):
    with pytest.raises(CourseError):
        quizzes.from_data(data, "05")


def test_ids_are_used_once_and_quizzes_are_asked_for_by_number():
    with pytest.raises(CourseError, match="same id"):
        quizzes.from_data({"questions": GOOD["questions"] * 2}, "05")
    for number in ("99", "5", "../05"):
        with pytest.raises(CourseError, match="there is no quiz"):
            quizzes.show(number)


# ------------------------------------------------------------------ as HTML and as text


class Page(HTMLParser):
    """Which tags and attributes a page has, and its text; every tag must be closed in order."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.texts, self.folded = [], Counter(), [], Counter(), []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "br":
            return
        self.open.append(tag)
        self.tags[tag] += 1
        self.attributes += attrs
        if tag in ("summary", "details", "pre"):
            self.folded.append([tag, ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.folded and {"details", "pre"} & set(self.open):
            self.folded[-1][1] += data


@each
def test_the_page_is_html_that_needs_no_script_and_leaves_colours_to_the_reader(quiz):
    page = Page(quiz._repr_html_())
    assert set(page.tags) <= {"div", "p", "strong", "details", "summary", "code", "pre"}
    assert page.tags["details"] == page.tags["summary"] == sum(len(q.options) for q in quiz.questions)
    assert {name for name, _ in page.attributes} == {"style"}
    assert not any(re.search(r"(^|;)\s*(color|background)", style) for _, style in page.attributes)


def test_signs_of_html_are_shown_and_not_obeyed():
    nasty = '<script>alert("x")</script> & `a < b`'
    data = damaged(lambda q: q.update(question=nasty, code="if a<b & c:\n    pass"))
    data["questions"][0]["options"][1].update(text=nasty, feedback=nasty + ".")
    quiz = quizzes.from_data(data, "05")
    page = Page(quiz._repr_html_())
    assert "script" not in page.tags
    shown = 'B. <script>alert("x")</script> & a < b'
    assert ["summary", shown] in [[tag, text.split("\u2717")[0]] for tag, text in page.folded]
    assert ["pre", "if a<b & c:\n    pass"] in page.folded
    assert nasty in quizzes.as_text(quiz) and "    pass" in quizzes.as_text(quiz)


@each
def test_in_a_terminal_the_answers_stand_below_all_questions(quiz):
    questions, answers = (" ".join(part.split()) for part in repr(quiz).split("\nAnswers\n"))
    for number, question in enumerate(quiz.questions, 1):
        assert " ".join(question.question.split()) in questions
        for letter, option in zip("ABCD", question.options, strict=False):
            assert f"{letter}. {option.text}" in questions and option.feedback not in questions
            mark = "\u2713 Right." if option.right else "\u2717 Not this one."
            assert f"{number}{letter}. {mark} {option.feedback}" in answers
    assert max(map(len, repr(quiz).split("\n"))) <= 100


# ------------------------------------------------------------------ as GIFT, read by a parser of this test's own


def read_gift(text: str) -> list[dict]:
    """Multiple-choice questions as docs.moodle.org/en/GIFT_format describes them, sign by sign."""
    found = []
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.startswith("$CATEGORY:"):
            assert "\n" not in block
            continue
        assert not any(line.startswith("//") for line in block.split("\n")), "a comment"
        parts, kind, at, was = {"title": "", "asked": ""}, "asked", 0, None
        answers: list[list[str]] = []  # [sign, text, feedback]
        while at < len(block):
            sign, pair = block[at], block[at : at + 2]
            if sign == "\\" and len(pair) == 2:
                meant = "\n" if pair[1] == "n" else pair[1]
                assert pair[1] in "~=#{}:\\n", pair
                at += 1
            elif pair == "::":
                kind, meant = ("title", "") if was is None else ("asked", "")
                was, at = pair, at + 1
            elif sign == "{" and kind == "asked":
                kind, meant = "answers", ""
            elif kind == "answers" and sign in "=~":
                answers.append([sign, "", ""])
                meant = ""
            elif kind == "answers" and sign == "#":
                assert len(answers[-1]) == 3
                answers[-1].append("")
                meant = ""
            elif sign == "}":
                assert kind == "answers" and not block[at + 1 :].strip()
                break
            else:
                assert sign not in "{}#" or kind == "answers", (sign, block)
                meant = sign
            if kind != "answers":
                parts[kind] += meant
            elif answers:
                answers[-1][1 if len(answers[-1]) == 3 else 2] += meant
            at += 1
        else:
            raise AssertionError(f"no end: {block}")
        assert parts["asked"].startswith("[html]")
        found.append(
            {
                "title": parts["title"],
                "asked": as_written(parts["asked"].removeprefix("[html]")),
                "answers": [(sign, as_written(a), as_written(b)) for sign, a, b, *_ in answers],
            }
        )
    return found


def as_written(text: str) -> str:
    """Text of a quiz's file from its HTML: `code` between backquotes again."""
    return html.unescape(re.sub(r"</?p>|</?pre>", "", re.sub(r"</?code>", "`", text))).strip()


@each
def test_what_is_exported_is_read_back_whole(quiz):
    back = read_gift(to_gift(quiz))
    assert len(back) == len(quiz.questions)
    for number, (question, found) in enumerate(zip(quiz.questions, back, strict=True), 1):
        assert found["title"] == f"{quiz.number}.{number} {question.id}"
        assert found["asked"] == question.question + question.code
        options = [("=" if o.right else "~", o.text, o.feedback) for o in question.options]
        assert found["answers"] == options


@given(st.text(alphabet="ab ~=#{}:\\\n<&`'é", min_size=1).filter(lambda s: s.strip() and s.count("`") % 2 == 0))
def test_the_signs_of_gift_survive(text):
    text = text.strip() or "a"
    data = damaged(lambda q: q.update(question=text))
    data["questions"][0]["options"][2].update(text=text, feedback=text)
    (found,) = read_gift(to_gift(quizzes.from_data(data, "05")))
    assert found["asked"] == found["answers"][2][1] == found["answers"][2][2] == text


def test_no_sign_of_gift_is_left_bare():
    assert escaped("a=b~c#d{e}f:g\\h\ni") == "a\\=b\\~c\\#d\\{e\\}f\\:g\\\\h\\ni"


# ------------------------------------------------------------------ the command


def test_the_command_writes_the_quizzes_that_are_named_or_all(tmp_path, capsys):
    assert main(["quiz", "export", "--out", str(tmp_path / "two"), "05", "03"]) == 0
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["quiz-03.gift", "quiz-05.gift"]
    assert main(["quiz", "export", "--format", "gift", "--out", str(tmp_path / "all")]) == 0
    written = sorted((tmp_path / "all").iterdir())
    assert [path.name for path in written] == [f"quiz-{quiz.number}.gift" for quiz in QUIZZES]
    assert written[0].read_text(encoding="utf-8") == to_gift(QUIZZES[0])
    assert "8 questions" in capsys.readouterr().out


def test_the_command_names_what_there_is(tmp_path, capsys):
    assert main(["quiz", "export", "--out", str(tmp_path), "05", "77"]) == 2
    assert "there is no quiz '77'; there are 00, 01" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [], "nothing is written when one of them is missing"


def test_a_quiz_can_be_taken_in_the_terminal(monkeypatch, capsys):
    quiz = quizzes.load("05")
    right = ["ABCD"[question.right] for question in quiz.questions]
    wrong = "A" if right[0] != "A" else "B"
    answers = iter(["?", wrong.lower(), f"{right[0]}.", *right[1:-1], ""])  # the last is passed over
    monkeypatch.setattr("builtins.input", lambda prompt: next(answers))
    assert main(["quiz", "take", "05"]) == 0
    told = capsys.readouterr().out
    assert f"{len(right) - 2} of {len(right)} right at the first try" in told
    first = quiz.questions[0]
    assert first.options["ABCD".index(wrong)].feedback in told and first.options[first.right].feedback in told
    assert quiz.questions[-1].options[0].feedback not in told


def test_a_quiz_ends_where_nobody_answers(monkeypatch, capsys):
    def closed(prompt):
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    assert main(["quiz", "take", "00"]) == 0
    assert "0 of 6 right" in capsys.readouterr().out
