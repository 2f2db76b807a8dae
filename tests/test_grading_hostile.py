"""A class in which forty of forty-five are hostile or broken: all are marked, the honest five right, nothing outside is
touched; and marking that is stopped leaves nothing running and loses nothing.
"""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from course.classroom import results, sandbox, submissions
from course.classroom.table import Row, Verdict
from course.cli import grade
from helpers.errors import CourseError
from helpers.files import repository_root
from tests.test_grading import NUMBERS, WORTH, Class, cell_of, cells, define, small

R, N, U = "right", "not attempted", "error: unreadable"
TIME_OUT, ENDED = "time out", "error: process ended"
HONEST = ("ada", "ben", "cleo", "dan", "eve")
FORGED = '[5]\n{"state": [1], "token": {}}\n{"state": "right", "token": 1, "remarks": 7}\n\\xff\n{"token": null}\n{\n'
MARK = f"hostile-{os.getpid()}"


def confined() -> bool:
    try:
        return bool(sandbox.best_confinement().promises)
    except CourseError:
        return False


@pytest.fixture(scope="module")
def needs_a_confinement():
    if not confined():
        pytest.skip("neither podman nor docker nor bubblewrap works here, and this code is not run without")


# Each is the body of an answer to the first exercise, and what the table may say of it; OUTSIDE, PORT and SOCKET are to
# be filled in. What is tried may fail with an error, or the answer is wrong.
WRONG = "wrong"
CODE = {
    "quits": ("import os\nos._exit(0)", ENDED),
    "leaves": ("raise SystemExit(0)", "error: SystemExit"),
    "forks": ("import os\nwhile True:\n    os.fork()", (WRONG, TIME_OUT, ENDED)),
    "threads": ("import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(99,)).start()",
                (WRONG, ENDED, TIME_OUT)),
    "eats": ("x = []\nwhile True:\n    x.append(bytearray(10**8))", (WRONG, ENDED)),
    "eats in children": (
        "import os\nfor _ in range(30):\n    if os.fork() == 0:\n        x = bytearray(3 * 10**8)\n"
        "        while True:\n            x[::4096] = bytes(len(x[::4096]))\nwhile True: pass", (ENDED, TIME_OUT)),
    "fills": ("for i in range(10**6):\n    open(f'{i}', 'wb').write(bytes(2**24))", WRONG),
    "prints": ("while True:\n    print('x' * 10**6)", (WRONG, TIME_OUT, ENDED)),
    "never ends": ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", TIME_OUT),
    "sleeps": ("import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))\nwhile True: signal.pause()",
               TIME_OUT),
    "stops itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", TIME_OUT),
    "kills": ("import os, signal\nos.kill(-1, signal.SIGKILL)\nos.kill(os.getppid(), 9)", (WRONG, ENDED)),
    "leaves a daemon": (
        "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        os.execvp('sleep', ['sleep', '987654'])\nos.environ['X'] = {MARK!r}\nreturn {{}}", WRONG),
    "writes": ("for p in ('OUTSIDE/x', '/etc/x', '/usr/x', '/dev/x', '/x'):\n    try: open(p, 'w').write('x')\n"
               "    except OSError: pass\nreturn {}", WRONG),
    "removes": ("import shutil, course\nshutil.rmtree(course.__path__[0], ignore_errors=True)\n"
                "shutil.rmtree('OUTSIDE', ignore_errors=True)\nreturn {}", WRONG),
    "sets the system": ("open('/proc/sys/kernel/core_pattern', 'w').write('|/tmp/x')\nreturn {}", WRONG),
    "reaches the network": ("import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)\nreturn {}", WRONG),
    "reaches a socket": ("import socket\nsocket.socket(socket.AF_UNIX).connect('SOCKET')\nreturn {}", WRONG),
    "writes to the terminal": ("open('/dev/tty', 'w').write('x')\nreturn {}", WRONG),
    "mounts": ("import subprocess\nfor c in ('mount -o remount,rw /', 'umount -l /usr',"
               " 'unshare -r mount -t tmpfs x /usr'):\n    subprocess.run(c.split())\n"
               "open('OUTSIDE/x', 'w')\nreturn {}", WRONG),
    "closes everything": ("import os\nos.closerange(0, 100)\nreturn {}", (ENDED, TIME_OUT, WRONG)),
    "forges": (f"import os\nfor n in range(30):\n    try: os.write(n, {FORGED!r}.encode())\n"
               "    except OSError: pass\nreturn {}", WRONG),
    "patches": ("import course.checks.exercise as e\ne.same = e.Check.equal = lambda *a, **k: True\nreturn {}", WRONG),
    "looks at frames": ("import sys\nf = sys._getframe()\nwhile f := f.f_back:\n"
                        "    if 'right' in f.f_locals: return f.f_locals['right']\nreturn {}", WRONG),
    "reads the solution": ("from course.checks.cells import course_part\nreturn course_part('1.2')", WRONG),
    "equals everything": ("class All(dict):\n    __eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\n"
                          "    keys = lambda s: All()\nreturn All()", WRONG),
    "returns too much": ("return {i: 'x' * 10**6 for i in range(200)}", (WRONG, ENDED, TIME_OUT)),
    "returns without end": ("import itertools\nreturn zip(itertools.count(), itertools.count())",
                            (WRONG, TIME_OUT, ENDED, "error")),
    "returns a depth": ("x = {}\nfor _ in range(10**5):\n    x = {1: x}\nreturn x", (WRONG, ENDED)),
    "recurses": ("return my_pair_counts(words)", WRONG),
    "an error that never says": ("class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
                                 TIME_OUT),
}  # fmt: skip


def broken_files(group: Class) -> dict:
    """Submissions that are broken as files, and what the table says of all four of their exercises."""
    folder, right = group.folder, [R] * 4

    def tags(book):
        cell_of(book, NUMBERS[1]).metadata.tags = 5

    group.hand_in("tags.ipynb", change=tags)
    long = "n" * 244
    group.hand_in(f"{long}.ipynb")
    text = json.dumps(small("key"))
    (folder / "bom.ipynb").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (folder / "cut.ipynb").write_text(text[: len(text) // 2], encoding="utf-8")
    (folder / "deep.ipynb").write_text("[" * 100_000, encoding="utf-8")
    (folder / "digits.ipynb").write_text('{"cells": [], "nbformat": ' + "9" * 5000 + "}", encoding="utf-8")
    (folder / "cells.ipynb").write_text('{"cells": 5, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    endless = define("pair_counts", "while True: pass") + "\n# " + "x" * 300_000
    group.hand_in("long comment.ipynb", pair_counts=endless, merge="", decode="", safe_cuts="")
    group.hand_in("=cmd \x1b[31m.ipynb")
    return {
        "tags": right, long: right, "bom": right, "cut": [U] * 4, "deep": [U] * 4, "digits": [U] * 4, "cells": [U] * 4,
        "long comment": [TIME_OUT, N, N, N], "'=cmd \x1b[31m": right,
    }  # fmt: skip


def state_of(folder: Path) -> dict:
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_forty_hostile_submissions_cost_only_their_own_marks(tmp_path, needs_a_confinement, capsys, record_property):
    group = Class(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    (outside / "valuable").write_text("gold")
    files = broken_files(group)
    met = []
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as on_disk:
        on_disk.bind(str(outside / "s"))
        os.chmod(outside / "s", 0o777)
        on_disk.listen()
        for one in (server, on_disk):
            one.settimeout(0.5)
        filled = {"OUTSIDE": str(outside), "PORT": str(server.getsockname()[1]), "SOCKET": str(outside / "s")}
        for name, (body, _) in CODE.items():
            for word, value in filled.items():
                body = body.replace(word, value)
            group.hand_in(f"{name}.ipynb", pair_counts=define("pair_counts", body), decode="", safe_cuts="")
        for name in HONEST:
            group.hand_in(f"{name}.ipynb")
        course = [repository_root() / name for name in ("course", "helpers", "notebooks")]
        watched = [outside, group.folder, group.key, *course]
        before = [state_of(folder) for folder in watched]
        pattern = Path("/proc/sys/kernel/core_pattern").read_text()
        rows = group.grade(tmp_path / "out" / "grades.csv", "--seconds", "10", "--jobs", "3", "--memory-gb", "0.5")
        for one in (server, on_disk):
            try:
                met.append(one.accept())
            except TimeoutError:
                continue
    right = sum(cells(rows[name]) == [R, R, R, R] for name in HONEST if name in rows)
    touched = len(met) + sum(state_of(folder) != seen for folder, seen in zip(watched, before, strict=True))
    counts = {"handed_in": len(files) + len(CODE) + len(HONEST), "hostile": len(files) + len(CODE), "marked": len(rows)}
    counts |= {"honest": len(HONEST), "honest_right": right, "outside_touched": touched}
    for name, value in (counts | {"confinement": sandbox.best_confinement().name}).items():
        record_property(name, value)  # docs/tools/reliability.py keeps them
    assert len(files) + len(CODE) == 40 and set(rows) == {*files, *CODE, *HONEST}
    for name in HONEST:
        assert cells(rows[name]) == [R, R, R, R] and rows[name]["points"] == str(sum(WORTH.values()))
    assert {name: cells(rows[name]) for name in files} == files
    for name, (_, expected) in CODE.items():
        got = rows[name][NUMBERS[0]]
        assert got.startswith(expected), (name, got)
        # What a student started and left running still counts against their own limits: theirs alone is the loss.
        own_loss = ("wrong: raised",) if name in ("forks", "threads") else ()
        assert rows[name][NUMBERS[1]] in (R, ENDED, TIME_OUT, *own_loss), (
            name,
            "an answer beside it is marked by itself",
        )
    assert [state_of(folder) for folder in watched] == before and not met
    assert Path("/proc/sys/kernel/core_pattern").read_text() == pattern
    assert not [p for p in psutil.process_iter(["cmdline"]) if "987654" in (p.info["cmdline"] or [])]
    assert "\x1b" not in capsys.readouterr().out
    pages = sorted((tmp_path / "out" / "grades_feedback").iterdir())
    assert len(pages) == 45 and all(len(page.name.encode()) < 120 for page in pages)


def test_broken_files_cost_only_their_own_marks_without_confinement_too(tmp_path):
    group = Class(tmp_path)
    files = broken_files(group)
    (group.folder / "long comment.ipynb").unlink()
    rows = group.grade(tmp_path / "grades.csv")
    assert {name: cells(rows[name]) for name in rows} == {n: e for n, e in files.items() if n != "long comment"}
    assert "could not be read" in rows["cut"]["notes"] and rows["bom"]["notes"] == ""


# ---------------------------------------------------------------------- stopped, and gone on with


def start(group: Class, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "course", "grade", str(group.folder), "--key", str(group.key), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--unsafe", "--seconds", "300"], cwd=repository_root(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_marking_that_is_stopped_keeps_what_was_marked_and_leaves_no_child(how, tmp_path):
    how = getattr(signal, how)
    group, out = Class(tmp_path), tmp_path / "grades.csv"
    group.hand_in("ada.ipynb")
    group.hand_in("ben.ipynb", pair_counts=define("pair_counts", "while True: pass"))
    group.hand_in("cleo.ipynb")
    process = start(group, out)
    until = time.monotonic() + 240
    while not list(tmp_path.glob("grades_marked/ada.json")):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.1)
    time.sleep(2)  # ben's answer has begun
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(how)
    said, errors = process.communicate(timeout=60)
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert children and not alive
    if how is not signal.SIGKILL:
        assert process.returncode == 130 and "1 of 3 are marked and kept" in said and "Traceback" not in errors
    assert not out.exists()
    group.hand_in("ben.ipynb")
    again = start(group, out)
    said, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    assert "ada: 6 of 6 points, marked before" in said and "cleo: 6 of 6 points\n" in said


def test_what_was_kept_counts_only_for_the_same_submission_marked_in_the_same_way(tmp_path, monkeypatch):
    group, out, marked = Class(tmp_path), tmp_path / "grades.csv", []

    def mark(one, course, wanted, *others) -> Row:
        marked.append(one)
        verdicts = {number: Verdict("wrong", f"mark-{len(marked)}") for number in wanted}
        return Row(one.student, ["ada.ipynb"], verdicts, [])

    monkeypatch.setattr(grade, "mark_student", mark)
    monkeypatch.setattr(sandbox, "best_confinement", lambda *a, **k: sandbox.UNSAFE)
    group.hand_in("ada.ipynb")
    first = group.grade(out)
    assert group.grade(out) == first and len(marked) == 1
    group.grade(out, "--seconds", "59")
    group.hand_in("ada.ipynb", merge=define("merge", "return []"))
    assert group.grade(out, "--seconds", "59")["ada"][NUMBERS[1]] == "wrong: mark-3"
    for damage in ('{"of": 5, "verdicts": [', "[]", "[" * 10**5, '{"of": 1}'):
        (tmp_path / "grades_marked" / "ada.json").write_text(damage, encoding="utf-8")
        group.grade(out, "--seconds", "59")
    assert len(marked) == 7


@pytest.mark.parametrize("what", ["a folder", "below a file"])
def test_a_table_that_cannot_be_written_is_known_before_any_work(what, tmp_path, capsys, monkeypatch):
    group = Class(tmp_path)
    group.hand_in("ada.ipynb")
    monkeypatch.setattr(sandbox, "best_confinement", lambda *a, **k: pytest.fail("it began to work"))
    out = tmp_path / "taken"
    out.mkdir() if what == "a folder" else out.write_text("x")
    target = out if what == "a folder" else out / "grades.csv"
    from course.__main__ import main

    assert main(["grade", str(group.folder), "--key", str(group.key), "--out", str(target)]) == 2
    assert len(capsys.readouterr().err.strip().split("\n")) == 1


def test_copies_are_the_same_students_and_the_last_copy_counts(tmp_path):
    group = Class(tmp_path)
    wrong = define("merge", "return []")
    for name in ("ada_01_tokenization", "ben_01_tokenization", "cleo"):
        group.hand_in(f"{name}.ipynb", merge=wrong)
    group.hand_in("ada_01_tokenization (1).ipynb", merge=wrong)
    group.hand_in("ada_01_tokenization (10).ipynb")
    group.hand_in("ada_01_tokenization (9).ipynb", merge=wrong)
    group.hand_in("ben_01_tokenization-Copy1.ipynb")
    group.hand_in("cleo copy 2.ipynb")
    handed = submissions.read_class(group.folder, submissions.course_notebooks(group.key))
    assert [one.student for one in handed] == ["ada", "ben", "cleo"]
    for one in handed:
        assert one.answers[NUMBERS[1]][0] != wrong and "more than one copy" in one.notes[0]


# ---------------------------------------------------------------------- the confinement


def test_without_a_confinement_it_refuses_and_says_why(tmp_path, capsys, monkeypatch):
    from course.__main__ import main

    group = Class(tmp_path)
    group.hand_in("ada.ipynb")
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "docker").write_text("#!/bin/sh\necho 'no daemon answers' >&2\nexit 1\n")
    (broken / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(broken))
    assert main(["grade", str(group.folder), "--key", str(group.key), "--out", str(tmp_path / "grades.csv")]) == 2
    said = capsys.readouterr().err
    assert "--unsafe" in said and "apt install bubblewrap" in said
    assert sys.platform != "linux" or "docker: no daemon answers" in said
    assert sandbox.best_confinement(unsafe=True) is sandbox.UNSAFE


def test_the_probe_finds_what_no_confinement_leaves_open():
    said = sandbox.problem_of(sandbox.UNSAFE)
    if sys.platform == "linux":
        assert "reach the network" in said and "notebooks" in said
    assert "error" not in said.lower()


def test_a_runtime_that_holds_nothing_is_not_taken(tmp_path, monkeypatch):
    """As bubblewrap by another name: it starts what it is told to, and confines nothing."""
    if sys.platform != "linux":
        pytest.skip("only tried on Linux")
    loose = tmp_path / "bwrap"
    words = 'while [ "$1" != "--" ]; do shift; done; shift'
    loose.write_text(f'#!/bin/sh\n{words}\nif [ "$1" = setpriv ]; then {words}; fi\nexec "$@"\n')
    loose.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: str(loose) if name == "bwrap" else None)
    with pytest.raises(CourseError, match="code in it can"):
        sandbox.best_confinement()


def test_names_of_files_are_short_and_plain():
    assert results.file_name("ada") == "ada" and results.file_name("Zoë + ben") == "Zoë + ben"
    odd = [results.file_name(name) for name in ("n" * 250, "a/b", "..", "\x1b[31m", "a:b", "ж" * 100)]
    assert len(set(odd)) == len(odd) and all(len(name.encode()) < 100 for name in odd)
    assert not any(set(name) & set('/\\:*?"<>|\x1b') for name in odd)


def test_a_process_that_does_not_read_holds_nobody_up():
    from course.classroom.child import Child, Ended

    child = Child("http.server")  # which reads nothing of what it is sent
    begun = time.monotonic()
    child.send({"x": "y" * 10**6})
    with pytest.raises(Ended):
        child.receive(5)
    child.stop()
    assert time.monotonic() - begun < 60 and threading.active_count() < 50
