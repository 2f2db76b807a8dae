"""Grading: what a class hands in, good, wrong, broken or hostile, gives exactly the expected table."""

import ast
import csv
import inspect
import json
import os
import re
import socket
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

from course.__main__ import main
from course.checks import kept
from course.checks.cells import exercise_cells
from course.checks.registry import load_checks
from course.classroom import marking, sandbox, submissions
from course.classroom.marker import Marker
from course.classroom.points import halves_of
from course.classroom.table import Row, Verdict, as_csv, feedback, summary
from course.cli import grade, handout
from course.site import notebooks
from helpers.errors import CourseError
from tests.wrong_answers import PLANTED, nb01

PARTS = ("pair_counts", "merge", "decode", "safe_cuts")  # exercises of notebook 01, by what they build
_ALL = {one.part: one for one in load_checks("01").values()}
NUMBER = {part: _ALL[part].number for part in PARTS}  # as the notebook counts them today
NUMBERS = tuple(NUMBER.values())
WORTH = {number: one.difficulty for number, one in load_checks("01").items() if number in NUMBERS}


def small(kind: str):
    """Notebook 01 with only the cells that four of its exercises need, so that a class is marked quickly."""
    book = handout.make(kind, notebooks.folder() / "01_tokenization.ipynb")
    kept = []
    for i, cell in enumerate(book.cells):
        if cell.metadata.get("exercise") in NUMBERS:
            kept += book.cells[i - 1 : i + 3]
    taught = nbformat.v4.new_code_cell(
        "from collections import Counter\nfrom itertools import pairwise\n\n\ndef taught():\n    return 'the course'"
    )
    book.cells = [taught, *kept]
    return book


def cell_of(book, number: str):
    return next(cell for cell in book.cells if cell.metadata.get("exercise") == number)


def define(part: str, body: str) -> str:
    """An answer with the stub's own signature, hints of types left out, and this body."""
    cells = exercise_cells(notebooks.read(notebooks.folder() / "01_tokenization.ipynb"))[NUMBER[part]]
    arguments = ", ".join(each.arg for each in ast.parse(cells.stub.source).body[-1].args.args)
    return f"def my_{part}({arguments}):\n" + "\n".join(f"    {line}" for line in body.split("\n"))


class Class:
    """A folder of submissions, the notebooks to trust, and a way to hand something in."""

    def __init__(self, folder: Path):
        self.folder, self.key = folder / "handed in", folder / "key"
        self.folder.mkdir()
        self.key.mkdir()
        original = notebooks.read(notebooks.folder() / "01_tokenization.ipynb")
        stubs = {cell.metadata["exercise"]: cell for cell in original.cells if "exercise" in cell.metadata}
        trusted = small("student")
        for number in NUMBERS:
            assert cell_of(trusted, number).source == stubs[number].source
        nbformat.write(trusted, self.key / "01_tokenization.ipynb")

    def hand_in(self, path: str, kind: str = "key", change=None, **answers: str) -> None:
        """`answers` are by what the exercise builds; `change(book)` does the rest."""
        book = small(kind)
        for part, source in answers.items():
            cell_of(book, NUMBER[part]).source = source
        if change:
            change(book)
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(book, self.folder / path)

    def grade(self, out: Path, *options: str) -> dict[str, dict]:
        command = ["grade", str(self.folder), "--key", str(self.key), "--out", str(out), "--unsafe", *options]
        assert main(command) == 0
        with open(out, encoding="utf-8", newline="") as file:
            return {row["student"]: row for row in csv.DictReader(file)}


def planted_answers(k: int) -> dict[str, tuple[str, str]]:
    """The k-th planted wrong answer to each exercise, as a learner would have typed it: source and slug, by part."""
    found = {}
    for part, number in NUMBER.items():
        own = [(slug, answer) for n, slug, answer in PLANTED if n == number and answer.__module__ == nb01.__name__]
        slug, answer = own[k]
        source = re.sub(r"^@wrong.*\n", "", inspect.getsource(answer)).replace(answer.__name__, f"my_{part}")
        found[part] = f"from collections import Counter\nfrom itertools import pairwise\n\n\n{source}", slug
    return found


SPY = """\
import json, os, socket
def spy():
    open("loot.txt", "w").write("x" * 1000)
    seen = {"cwd": os.getcwd(), "names": sorted(os.environ), "files": os.listdir("."), "secret": "", "network": False}
    for process in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        try:
            seen["secret"] += "hush" * (b"hush-hush" in open(f"/proc/{process}/environ", "rb").read())
        except OSError:
            pass
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=2)
        seen["network"] = True
    except OSError:
        pass
    raise RuntimeError(json.dumps(seen))
"""

FORGER = """\
import json, os
verdict = json.dumps({"token": "", "state": "right", "passed": 9}) + "\\n"
print(verdict * 1000)
for number in range(1, 30):
    try:
        os.write(number, verdict.encode())
    except OSError:
        pass
return {}"""


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class that handed in everything that one can think of: its rows, its pages, and how it was confined."""
    folder = tmp_path_factory.mktemp("class")
    group = Class(folder)
    group.hand_in("ada.ipynb")
    group.hand_in("untouched_01_tokenization.ipynb", "student")
    for k in range(2):
        sources = {part: source for part, (source, _) in planted_answers(k).items()}
        group.hand_in(f"planted{k}.ipynb", **sources)
    group.hand_in(
        "quitter.ipynb",
        pair_counts=define("pair_counts", "import os\nos._exit(0)"),
        merge=define("merge", "import sys\nsys.exit(0)"),
        decode="import sys\n" + define("decode", "return 0") + "\nsys.exit(1)",
    )
    group.hand_in("forger.ipynb", pair_counts=define("pair_counts", FORGER))
    group.hand_in(
        "typist.ipynb",
        pair_counts="def my_pair_counts(words:\n    return",
        merge=define("merge", "return nosuch.f(ids)").replace("def", "import nosuch\ndef", 1),
        decode="def decode(ids, token_bytes):\n    return 1",
        safe_cuts="",
    )
    group.hand_in("mover/my homework.ipynb", change=move_an_answer)
    group.hand_in("cutter.ipynb", change=lambda book: book.cells.remove(cell_of(book, NUMBER["merge"])))
    group.hand_in("twice.ipynb", change=answer_again)
    group.hand_in("helper.ipynb", change=with_own_helper)
    (group.folder / "broken.ipynb").write_text('{"cells": [', encoding="utf-8")
    (group.folder / "absent").mkdir()
    (group.folder / "other.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook()), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_TOKEN", "hush-hush")
        port = server.getsockname()[1]
        group.hand_in("spy.ipynb", pair_counts=SPY.replace("PORT", str(port)) + define("pair_counts", "spy()"))
        rows = group.grade(folder / "out" / "grades.csv", "--jobs", "2")
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (folder / "out" / "grades_feedback").iterdir()}
    return rows, pages, sandbox.best_confinement(unsafe=True)


def move_an_answer(book) -> None:
    """As a tool leaves it that keeps no metadata, an answer at the end."""
    answer = cell_of(book, NUMBER["merge"])
    book.cells.append(book.cells.pop(book.cells.index(answer)))
    book.metadata.clear()
    for cell in book.cells:
        cell.metadata.clear()


def answer_again(book) -> None:
    book.cells.append(nbformat.v4.new_code_cell(define("pair_counts", "return {}")))


def with_own_helper(book) -> None:
    """Calls a function of the student's own, and one of the course's that the student has changed."""
    own = "import nosuchmodule\nimport codecs\n\n\ndef mine(data):\n    return codecs.decode(data, errors='replace')"
    book.cells.insert(0, nbformat.v4.new_code_cell(f"{own}\n\n\ndef taught():\n    return 'the student'"))
    cell_of(book, NUMBER["decode"]).source = define(
        "decode", "assert taught() == 'the course'\nreturn mine(b''.join(token_bytes[i] for i in ids))"
    )


def cells(row: dict) -> list[str]:
    return [row[number] for number in NUMBERS]


R, N, U = "right", "not attempted", "error: unreadable"
EXPECTED = {
    "ada": [R, R, R, R],
    "untouched": [N, N, N, N],
    "quitter": ["error: process ended", "error: SystemExit", "wrong: basic", R],
    "forger": ["wrong: one-word", R, R, R],
    "typist": ["error: SyntaxError", "wrong: raised", "error: no-function", N],
    "mover": [R, R, R, R],
    "cutter": [R, N, R, R],
    "twice": ["wrong: one-word", R, R, R],
    "helper": [R, R, R, R],
    "broken": [U, U, U, U],
    "absent": [N, N, N, N],
    "other": [N, N, N, N],
    "spy": ["wrong: raised", R, R, R],
}


@pytest.mark.parametrize("student", EXPECTED)
def test_the_row_of(student, graded):
    row = graded[0][student]
    assert cells(row) == EXPECTED[student]
    right = [number for number in NUMBERS if row[number] == "right"]
    assert (int(row["right"]), int(row["points"])) == (len(right), sum(WORTH[number] for number in right))
    assert row["out_of"] == str(sum(WORTH.values()))


@pytest.mark.parametrize("k", range(2))
def test_planted_wrong_answers_are_marked_as_in_the_notebook(k, graded):
    assert cells(graded[0][f"planted{k}"]) == [f"wrong: {slug}" for _, slug in planted_answers(k).values()]


def test_nobody_is_missing_and_nobody_is_invented(graded):
    assert set(graded[0]) == {*EXPECTED, "planted0", "planted1"} == set(graded[1])


def test_notes_say_what_was_odd_about_the_files(graded):
    rows, pages, _ = graded
    assert "broken.ipynb could not be read" in rows["broken"]["notes"]
    assert rows["absent"]["notes"] == "no notebook was handed in"
    assert "nothing of a notebook of the course" in rows["other"]["notes"]
    assert rows["ada"]["notes"] == "" and rows["mover"]["files"] == "my homework.ipynb"
    assert "the last of them was marked" in pages["twice"]
    assert "no cell of this exercise was found" in pages["cutter"]
    assert "another cell" in pages["mover"]
    assert "nosuchmodule" not in pages["helper"], "right all the same"
    assert "No module named 'nosuch'" in pages["typist"]


def test_a_page_has_the_checks_own_words(graded):
    source, slug = planted_answers(0)["merge"]
    scope = {}
    exec(source, scope)
    result = _ALL["merge"](scope["my_merge"])
    assert result.slug == slug
    page = graded[1]["planted0"]
    assert result.problem.split("\n")[0] in page and result.hint in page
    assert f"## {NUMBER['merge']} {_ALL['merge'].title}: wrong" in page
    assert f"0 of {_ALL['merge'].difficulty} points" in page


def test_what_a_students_code_sees_and_leaves(graded):
    """Its own empty folder, which is gone afterwards; none of our secrets; no network where that was promised."""
    _, pages, confinement = graded
    seen = json.loads(re.search(r"RuntimeError: (\{.*\})", pages["spy"])[1])
    assert seen["files"] == ["loot.txt"]
    assert not os.path.exists(seen["cwd"]) and Path(seen["cwd"]) != Path.cwd()
    assert "SECRET_TOKEN" not in seen["names"]
    if "no other process in sight" in confinement.promises:
        assert seen["secret"] == ""
    if "no network" in confinement.promises:
        assert not seen["network"]


# ---------------------------------------------------------------------- limits


def test_what_never_ends_is_stopped_with_all_that_it_started(tmp_path):
    group, mark = Class(tmp_path), f"left-behind-{os.getpid()}"
    start = (
        f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(900)', '{mark}'])"
    )
    group.hand_in(
        "loop.ipynb",
        pair_counts=f"{start}\nwhile True: pass",
        merge=define("merge", "while True:\n    try:\n        while True: pass\n    except BaseException: pass"),
        decode="",
        safe_cuts="",
    )
    rows = group.grade(tmp_path / "grades.csv", "--seconds", "2")
    assert cells(rows["loop"]) == ["time out", "time out", N, N]
    running = [process.cmdline() for process in psutil.process_iter() if process.status() != psutil.STATUS_ZOMBIE]
    assert not [line for line in running if mark in line]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold a process to such limits")
def test_memory_and_files_have_limits(tmp_path):
    group = Class(tmp_path)
    group.hand_in(
        "greedy.ipynb",
        pair_counts=define("pair_counts", "return bytearray(2**30)"),
        merge=define("merge", "open('large', 'wb').write(bytes(200 * 2**20))\nreturn []"),
        decode="",
        safe_cuts="",
    )
    group.grade(tmp_path / "grades.csv", "--memory-gb", "0.5")
    page = (tmp_path / "grades_feedback" / "greedy.md").read_text(encoding="utf-8")
    assert "MemoryError" in page and "File too large" in page


@pytest.mark.parametrize("options", [["--seconds", "0"], ["--memory-gb", "-1"], ["--jobs", "0"]])
def test_limits_must_be_limits(options, tmp_path, capsys):
    assert main(["grade", str(tmp_path), *options]) == 2
    assert "more than 0" in capsys.readouterr().err


def order(source: str) -> dict:
    about = {"student": "ada", "checks": "00", "number": "0.1"}
    return about | {"above": "", "warm_up": [], "own": [], "source": source}


def test_a_process_that_does_not_start_is_no_students_fault():
    nowhere = sandbox.Confinement("bubblewrap", program="no-such-program")
    with Marker(nowhere, sandbox.Limits()) as marker, pytest.raises(CourseError, match="no-such-program"):
        marker.mark(order("def my_count_words(story):\n    return 1"))


def test_every_way_to_start_that_works_here_gives_the_same_verdict():
    right = "def my_count_words(story):\n    return len(story.split())"
    for one in {sandbox.best_confinement(unsafe=True), sandbox.UNSAFE}:
        with Marker(one, sandbox.Limits()) as marker:
            assert marker.mark(order(right))["state"] == "right"


# ---------------------------------------------------------------------- in this process: what is believed


def test_a_forged_verdict_is_believed_no_further_than_it_must_be():
    said = {"state": "sublime", "slug": "=cmd|' /C calc'!A0", "problem": 7, "printed": "x" * 10**6, "remarks": "abc"}
    verdict = grade._verdict(said, sandbox.Limits(), [])
    assert verdict.state == "error" and re.fullmatch(r"[\w-]*", verdict.slug)
    assert verdict.problem == "7" and len(verdict.printed) == 3000


def test_the_table_holds_no_formula_and_the_page_no_escape():
    row = Row("=1+1", ["@x.ipynb"], {"1.1": Verdict("wrong", "one-word", printed="\x1b[31mred\n# head")}, ["-x"])
    assert as_csv([row], {"1.1": 1}).split("\n")[1] == "'=1+1,wrong: one-word,0,0,1,'@x.ipynb,'-x"
    page = feedback(row, load_checks("01"), {"1.1": 1})
    assert "\x1b" not in page and "\n    # head\n" in page
    assert "1.1 0 of 1 right; most often: wrong: one-word (1)" in summary([row], {"1.1": 1})


def test_halves_are_those_of_the_teaching_plan_and_of_wrong_answers_alone(monkeypatch):
    assert halves_of("01")[NUMBER["pair_counts"]] == {"weights", "short-words"}
    assert "overlap" in halves_of("01")[NUMBER["merge"]]
    with pytest.raises(CourseError, match="no table of marks.* without --halves"):
        halves_of("98")
    half, nothing = Verdict("wrong", "overlap", half=True), Verdict("wrong", "basic")
    row = Row("ada", ["a.ipynb"], {"1.1": Verdict("right"), "1.2": half, "1.4": nothing, "1.5": half}, [])
    worth = {"1.1": 1, "1.2": 2, "1.4": 1, "1.5": 1}
    assert row.points(worth) == 1 + 1 + 0 + 0.5
    assert as_csv([row], worth).split("\n")[1] == (
        "ada,right,wrong: overlap,wrong: basic,wrong: overlap,1,2.5,5,a.ipynb,"
    )
    titles = dict(zip(worth, load_checks("01").values(), strict=False))
    assert "(0.5 of 1 point)" in feedback(row, titles, worth)
    assert re.search(r"^ada +x +h +! +h 2\.5/5$", summary([row], worth), re.MULTILINE)


def test_a_class_is_marked_with_halves_only_where_they_are_asked_for(tmp_path):
    group = Class(tmp_path)
    group.hand_in("ada.ipynb", **{part: source for part, (source, slug) in planted_answers(0).items()})
    row = group.grade(tmp_path / "grades.csv", "--halves")["ada"]
    halves = {number: slugs for number, slugs in halves_of("01").items() if number in NUMBERS}
    earned = [WORTH[NUMBER[p]] / 2 for p, (_, slug) in planted_answers(0).items() if slug in halves[NUMBER[p]]]
    assert float(row["points"]) == sum(earned) > 0
    assert group.grade(tmp_path / "grades.csv")["ada"]["points"] == "0"


def test_only_the_exercises_that_were_set_are_marked(tmp_path, capsys):
    group = Class(tmp_path)
    group.hand_in("ada.ipynb", pair_counts="raise SystemExit", decode=define("decode", "return ''"))
    table = tmp_path / "grades.csv"

    def marked(*numbers: str) -> dict:
        options = ["--key", str(group.key), "--out", str(table), "--unsafe"]
        assert main(["grade", str(group.folder), *numbers, *options]) == 0
        return next(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))

    first, second, third = NUMBER["pair_counts"], NUMBER["merge"], NUMBER["decode"]
    row = marked(second, f"0{third}")
    assert first not in row and NUMBER["safe_cuts"] not in row
    worth = WORTH[second], WORTH[second] + WORTH[third]
    assert (row[second], row[third][:5], row["points"], row["out_of"]) == ("right", "wrong", *map(str, worth))
    page = (tmp_path / "grades_feedback" / "ada.md").read_text(encoding="utf-8")
    assert f"## {second} " in page and f"## {first} " not in page
    assert set(NUMBERS) <= marked("1").keys()
    assert main(["grade", str(group.folder), "1.99", "--key", str(group.key)]) == 2
    assert "no exercise 1.99" in capsys.readouterr().err


def test_kept_answers_are_neither_read_nor_run_nor_written(tmp_path, monkeypatch):
    """What lies in runs/ belongs to whoever marks: a learner of the course, too."""
    runs = tmp_path / "runs"
    monkeypatch.setenv("COURSE_RUNS", str(runs))
    trap = f"open({str(tmp_path / 'was run')!r}, 'w').close()\n"
    for part, number in NUMBER.items():
        kept.keep(number, part, f"my_{part}", trap + define(part, "return None"))
    (runs / "my_gpt.py").write_text(trap, encoding="utf-8")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in runs.rglob("*") if path.is_file()}
    assert len(before) == len(PARTS) + 1

    group = Class(tmp_path)
    group.hand_in("ada.ipynb")
    group.hand_in("untouched.ipynb", "student")
    looks = (
        "from course import mine\nfrom course.checks import kept\n"
        f"assert kept.kept({NUMBER['merge']!r}, 'merge') is None and mine.count()[0] == 0\n"
        "kept.keep('1.99', 'nothing', 'my_nothing', 'x = 1')\nreturn 0"
    )
    group.hand_in("curious.ipynb", merge=define("merge", looks))
    rows = group.grade(tmp_path / "grades.csv")
    assert cells(rows["ada"]) == [R, R, R, R] and cells(rows["untouched"]) == [N, N, N, N]
    assert cells(rows["curious"])[1] == "wrong: basic", "no line of it failed"
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in runs.rglob("*") if path.is_file()}
    assert after == before and not (tmp_path / "was run").exists()


def test_a_later_exercise_is_marked_with_the_courses_parts_and_not_with_the_students(tmp_path):
    group = Class(tmp_path)
    right = "return b''.join(token_bytes[i] for i in ids).decode('utf-8', 'replace')"
    asks = f"assert merge([1, 2], (1, 2), 9) == [9]\n{right}"
    group.hand_in("ada.ipynb", merge=define("merge", "return []"), decode=define("decode", asks))

    def own_merge(book) -> None:
        """Under the part's own name, and handed over by hand."""
        book.cells.insert(0, nbformat.v4.new_code_cell("def merge(ids, pair, new_id):\n    return []"))
        cell_of(book, NUMBER["decode"]).source = define("decode", asks)

    group.hand_in("ben.ipynb", change=own_merge)
    rows = group.grade(tmp_path / "grades.csv")
    assert rows["ada"][NUMBER["merge"]] == "wrong: basic" and rows["ada"][NUMBER["decode"]] == "right"
    assert rows["ben"][NUMBER["decode"]] == "right"


def test_own_helpers_count_and_the_courses_names_are_not_taken():
    scope = {"taught": 1}
    told = marking._add_own("import nosuch\ntaught = 2\nown = [3]\nprint('not run')\ndef f(): return own", scope)
    assert scope["taught"] == 1 and scope["f"]() == [3] and "No module" in told[0]


def test_ipython_commands_in_an_answer_are_no_errors():
    source = "%time x = 1\n!pip install x\ndef my_count_words(story):\n    return len(story.split())"
    load_checks("00")
    assert marking.mark("0.1", "", [], source)["state"] == "right"


def test_an_error_names_the_line_of_the_cell():
    load_checks("00")
    said = marking.mark("0.1", "", [], "x = 1\n\ndef my_count_words(story):\n    y = 0\n    return 1 // y")
    assert said["slug"] == "raised" and "line 3 of my_count_words: return 1 // y" in said["problem"]


def test_a_folder_with_nothing_in_it(tmp_path, capsys):
    assert main(["grade", str(tmp_path)]) == 2
    assert "neither notebooks nor folders" in capsys.readouterr().err
    assert main(["grade", str(tmp_path / "nowhere")]) == 2
    (tmp_path / "a.ipynb").write_text("{}", encoding="utf-8")
    assert main(["grade", str(tmp_path)]) == 2
    assert "none of the files" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def without_its_check(book, stub) -> None:
    del book.cells[book.cells.index(stub) + 1 :]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda book, stub: stub.update(source="    return 1"), "code that is no Python .IndentationError"),
        (lambda book, stub: stub.update(source="x = 1"), "an exercise that is not whole"),
        (lambda book, stub: stub.metadata.update(exercise="0.1"), "exercise 0.1 belongs to another"),
        (without_its_check, "an exercise that is not whole"),
    ],
    ids=["no Python", "nothing defined", "another notebook's", "without its check"],
)
def test_a_key_that_is_not_whole_is_told_before_anything_is_marked(tmp_path, capsys, change, said):
    group, table = Class(tmp_path), tmp_path / "table.csv"
    group.hand_in("ada_01_tokenization.ipynb")
    path = group.key / "01_tokenization.ipynb"
    book = notebooks.read(path)
    change(book, next(cell for cell in book.cells if "exercise" in cell.metadata))
    nbformat.write(book, path)
    assert main(["grade", str(group.folder), "--key", str(group.key), "--out", str(table), "--unsafe"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line) and "01_tokenization" in line and not table.exists()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    course = submissions.course_notebooks()
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "eve.ipynb").symlink_to(notebooks.folder() / "01_tokenization.ipynb")
    (one,) = submissions.read_class(tmp_path / "class", course)
    assert "leads out of the folder" in one.notes[0] and not one.answers


@pytest.mark.parametrize("name", ["01_tokenization", "05_self_attention"])
def test_the_courses_own_key_is_found_whole(name, tmp_path):
    course = submissions.course_notebooks()
    text = notebooks.as_text(handout.make("key", notebooks.folder() / f"{name}.ipynb"))
    (tmp_path / f"ada_{name}.ipynb").write_text(text, encoding="utf-8")
    (one,) = submissions.read_class(tmp_path, course)
    assert one.student == "ada" and set(one.answers) == set(course[name].exercises)
    # Unchanged cells of the course are not the student's own: what remains are the other answers.
    assert all(len(own) == len(one.answers) - 1 for _, own in one.answers.values())
