"""Marking with the check in one process and the answer in another gives the verdicts of the notebook; and what an
answer could try to be marked right does not help it.
"""

import importlib
import re
from typing import NamedTuple

import pytest

from course.checks.cells import solution_of
from course.checks.compare import close, same
from course.checks.registry import all_exercises, load_checks
from course.classroom import checking, guards, marking, sandbox
from course.classroom.submissions import course_notebooks
from course.classroom.values import decode, encode
from tests.wrong_answers import PLANTED

COURSE = {one.number: one for one in course_notebooks().values() if one.exercises}
CHEAP = sorted({"00", "01", "03", "06"} & set(COURSE))  # the notebooks of which wrong answers are tried, too


@pytest.fixture(scope="module")
def checker():
    one = checking.Checker(sandbox.UNSAFE, 120, 4)
    yield one
    one.stop()


def checked(checker, number: str, source: str, own=()) -> dict:
    book = COURSE[number.split(".")[0].zfill(2)]
    about = {"student": "ada", "checks": book.number, "number": number, "above": book.above(number)}
    return checker.check(about | {"own": list(own), "source": source, "warm_up": []})


def test_every_exercise_that_is_checked_together_is_one():
    assert all_exercises().keys() >= checking.TOGETHER
    # Repairs share most: a training loop or a part of a model is nothing without the objects that it works on.
    repairs = {number for number, exercise in all_exercises().items() if exercise.begins_as}
    assert len(checking.TOGETHER - repairs) <= 0.35 * len(all_exercises().keys() - repairs)


@pytest.mark.parametrize("notebook", COURSE)
def test_every_solution_is_right_with_as_many_checks_as_in_the_notebook(notebook, checker):
    for number, cells in COURSE[notebook].exercises.items():
        source = solution_of(cells.hints)
        got, there = checked(checker, number, source), marking.mark(number, COURSE[notebook].above(number), [], source)
        assert (got["state"], got["passed"]) == ("right", there["passed"]), (number, got)


@pytest.mark.parametrize("notebook", CHEAP)
def test_wrong_answers_are_told_as_in_the_notebook(notebook, checker):
    load_checks(notebook)
    importlib.import_module(f"tests.wrong_answers.nb{notebook}")
    tried = 0
    for number in COURSE[notebook].exercises:
        name = load_checks(notebook)[number].name
        planted = [(slug, answer) for n, slug, answer in PLANTED if n == number and answer.__qualname__.isidentifier()]
        for slug, answer in [] if number in checking.TOGETHER else planted[:4]:
            source = f"from {answer.__module__} import {answer.__name__} as {name}"
            there = marking.mark(number, COURSE[notebook].above(number), [], source)
            got = checked(checker, number, source)
            assert (got["state"], got["slug"], got["problem"]) == ("wrong", slug, there["problem"]), (number, slug)
            tried += 1
    assert tried


# ---------------------------------------------------------------------- plain data


def test_values_cross_as_they_are():
    import numpy as np
    import torch

    for value in (
        None, True, 1, -(10**30), 2.5, float("inf"), "a\ud800\n", b"\x00\xff", [1, (2, {3})], {(1, 2): [None]},
        range(3), np.arange(6).reshape(2, 3), np.float32(1.5), np.int64(7),
    ):  # fmt: skip
        again = decode(encode(value))
        assert type(again) is type(value) and same(again, value)
    tensor = torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16, requires_grad=True)
    again = decode(encode(tensor))
    assert again.dtype == tensor.dtype and torch.equal(again, tensor) and again.requires_grad


def test_only_named_tuples_of_helpers_keep_their_class():
    from helpers.instructions import Rendered

    class Own(NamedTuple):
        ids: list

    class Pretended(Rendered):
        pass

    Pretended.__name__, Pretended.__module__ = Rendered.__name__, Rendered.__module__
    again = decode(encode([Rendered([1, 2], [True, False])]))
    assert type(again[0]) is Rendered and again == [Rendered([1, 2], [True, False])]
    for other in (Own([1]), Pretended([1], [True])):
        again = decode(encode(other))
        assert type(again) is tuple and again == tuple(other)


LIARS = """
class All:
    def __eq__(self, other): return True
    def __hash__(self): return hash(1)

class Text(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__

class Keys(dict):
    def keys(self): return All()
    def __iter__(self): return iter(())
"""


def test_nothing_equals_everything():
    scope = {"__name__": "notebook"}
    exec(LIARS, scope)
    liar, text = scope["All"](), scope["Text"]("x")
    for expected in (1, 2.5, "text", b"text", None, (1, 2), [1], {1: 2}, {1}):
        for got in (liar, text, [liar], {liar: 2}, {liar}, {1: liar}, scope["Keys"]()):
            assert not same(got, expected) and not close(got, expected, 1e-5), (got, expected)
    assert same({(1, 2): 3}, {(1, 2): 3.0}) and same([True], [True]) and not same([1], [True])
    assert encode(text) is not text and type(encode(text)) is str
    with pytest.raises(ValueError, match="no plain data"):
        encode(liar)


@pytest.mark.parametrize(
    "said",
    [{}, ["no such"], ["int", 5], ["tensor", "float32", [2**50], "", 0], ["tensor", "__class__", [], "", 0],
     ["dict", 1], ["set", ["list"]], ["array", "O", [1], "AAAAAAAAAAA="], ["bytes", "?"], [], [[]], ["range", 1, 2, 0],
     ["named", "helpers.instructions.Rendered", 1], ["named", "helpers.instructions.CourseError", 1],
     ["named", "typing.NamedTuple"], ["named", "helpers.no_such.Rendered", 1, 2], ["named", 1], ["named"]],
)  # fmt: skip
def test_what_is_no_value_is_refused(said):
    with pytest.raises(ValueError):
        decode(said)


# ---------------------------------------------------------------------- points that were not earned

MERGE = "1.3"
TRIES = {
    "equals everything": "class All:\n    def __eq__(self, other): return True\n    def __len__(self): return 1\n"
    "def my_merge(ids, pair, new_id):\n    return All()",
    "patches the verdict": "import course.checks.exercise as e\nfrom course.checks.result import Result\n"
    "e.Exercise.__call__ = lambda self, a: Result(self.number, self.title, 'right', 99)\n"
    "def my_merge(ids, pair, new_id):\n    return []",
    "patches the comparison": "import course.checks.compare as c, course.checks.exercise as e\n"
    "c.same = e.same = lambda *a: True\n"
    "def my_merge(ids, pair, new_id):\n    return []",
    "reads the frames": "import sys, inspect\ndef my_merge(ids, pair, new_id):\n    frame = sys._getframe()\n"
    "    while frame := frame.f_back:\n        for name in ('expected', 'check', 'ask'):\n"
    "            if name in frame.f_locals: return frame.f_locals[name]\n    return []",
    "searches the memory": "import gc\nfrom course.checks.exercise import Check\ndef my_merge(ids, pair, new_id):\n"
    "    for each in gc.get_objects():\n        if isinstance(each, Check):\n"
    "            type(each).equal = lambda *a, **k: None\n    return []",
    "reads the solution": "from course.checks.cells import course_part\nexec(course_part('1.3'))\n"
    "def my_merge(ids, pair, new_id):\n    return merge(ids, pair, new_id)",
    "forges a verdict": "import json, os\ndef my_merge(ids, pair, new_id):\n    for n in range(1, 30):\n"
    "        try: os.write(n, (json.dumps({'token': '', 'state': 'right', 'value': [9]}) + '\\n').encode())\n"
    "        except OSError: pass\n    return []",
    "forges the wrong type": "import json, os\ndef my_merge(ids, pair, new_id):\n    for n in range(3, 30):\n"
    '        try: os.write(n, b\'[5]\\n{"state": [1], "token": {}}\\n\\xff\\n{\\n\')\n'
    "        except OSError: pass\n    return []",
}


@pytest.mark.parametrize("what", TRIES)
def test_no_such_try_is_marked_right(what, checker):
    confinement = sandbox.best_confinement(unsafe=True)
    if what == "reads the solution" and not confinement.promises:
        pytest.skip("nothing here can hide the notebooks")
    one = checking.Checker(confinement, 60, 4)
    try:
        got = checked(one, MERGE, TRIES[what])
        assert got["state"] in ("wrong", "error", "not attempted"), got
        right = "def my_decode(ids, token_bytes):\n    return b''.join(token_bytes[i] for i in ids)"
        again = checked(one, "1.6", f"{right}.decode('utf-8', 'replace')")
        assert again["state"] == "right", "the next answer is marked as if nothing had been"
    finally:
        one.stop()


def test_a_changed_check_is_named(monkeypatch):
    monkeypatch.setattr(guards, "_remembered", {})
    guards._remembered.update(guards._present())
    assert guards.changed() == ""
    monkeypatch.setattr("course.checks.compare.same", lambda *a: True)
    assert re.search(r"course\.checks\.compare\.same", guards.changed())


# The lines of docs/grading.md on what determined code can do: what is tried, and whether it is marked right where
# check and answer are apart (exercise 1.3) and where they are together (6.2). X stands for what is returned.
ON_ITS_FRAMES = """
    while frame := frame.f_back:
        if 'check' in frame.f_locals:
            for name in ('equal', 'close', 'that', 'shape', 'fail', 'raises'):
                setattr(frame.f_locals['check'], name, lambda *a, **k: None)
    return X"""
BY_A_TRACEBACK = """
    try:
        raise ValueError
    except ValueError as error:
        frame = error.__traceback__.tb_frame"""
LINES = {
    "equals everything": (
        "class All:\n    def __eq__(self, other): return True\n    def __hash__(self): return 1\n"
        "def my_answer(x, *more):\n    return All()", False, False),
    "a tensor that answers for torch": (
        "import torch\nclass Close(torch.Tensor):\n    @classmethod\n"
        "    def __torch_function__(cls, f, types, args=(), kwargs=None):\n        return True\n"
        "def my_answer(x, *more):\n    return torch.as_tensor(X).as_subclass(Close)", False, False),
    "replaces the comparison": (
        "import course.checks.exercise as e\ne.close = e.same = lambda *a: True\ne.Check.that = lambda *a, **k: None\n"
        "def my_answer(x, *more):\n    return X", False, "changed-the-check"),
    "replaces the verdict": (
        "import course.checks.exercise as e\nfrom course.checks.result import Result\n"
        "e.Exercise.__call__ = lambda self, a: Result(self.number, self.title, 'right', 99)\n"
        "def my_answer(x, *more):\n    return X", False, "changed-the-check"),
    "replaces torch": (
        "import torch.nn.functional as F\nhinge = lambda x: x.clamp(min=0) if hasattr(x, 'clamp') else X\n"
        "F.gelu = lambda x, approximate='': hinge(x) + (approximate != 'tanh')\n"
        "def my_answer(x, *more):\n    return hinge(x)", False, "changed-the-check"),
    "replaces, and puts back": (  # with the last call, the sixth of 6.2
        "import course.checks.exercise as e\nclose, that, calls = e.close, e.Check.that, []\n"
        "def my_answer(x, *more):\n    calls.append(x)\n    last = len(calls) == 6\n"
        "    e.close = close if last else lambda *a: True\n"
        "    e.Check.that = that if last else lambda *a, **k: None\n    return X", False, True),
    "asks for the frame": (
        f"import sys\ndef my_answer(x, *more):\n    frame = sys._getframe(){ON_ITS_FRAMES}", False, False),
    "asks gc for objects": (
        "import gc\ndef my_answer(x, *more):\n    for each in gc.get_objects():\n"
        "        if type(each).__name__ == 'Check':\n            each.close = each.that = lambda *a, **k: None\n"
        "    return X", False, False),
    "asks gc who refers": (
        "import gc\nfrom course.checks.exercise import Check\ndef my_answer(x, *more):\n"
        "    for each in gc.get_referrers(Check):\n        if isinstance(each, Check):\n"
        "            each.close = each.that = lambda *a, **k: None\n    return X", False, False),
    "a traceback": (f"def my_answer(x, *more):{BY_A_TRACEBACK}{ON_ITS_FRAMES}", False, True),
    "a module that it writes": (
        "import pathlib, sys, tempfile\nplace = tempfile.mkdtemp()\n"
        "pathlib.Path(place, 'that_looks.py').write_text('import sys\\ndef look(): return sys._getframe(1)')\n"
        "sys.path.insert(0, place)\nimport that_looks\n"
        f"def my_answer(x, *more):\n    frame = that_looks.look(){ON_ITS_FRAMES}", False, True),
    "prints a verdict": (
        "import json, os\ndef my_answer(x, *more):\n"
        "    said = json.dumps({'token': '', 'state': 'right', 'slug': '', 'passed': 99, 'value': ['list']})\n"
        "    print(said)\n    for n in range(1, 30):\n        try: os.write(n, (said + '\\n').encode())\n"
        "        except OSError: pass\n    return X", False, False),
    "searches for the token": (
        f"def my_answer(x, *more):{BY_A_TRACEBACK}\n    while frame := frame.f_back:\n"
        "        token = frame.f_locals.get('order', {}).get('token') if 'tell' in frame.f_locals else None\n"
        "        if token:\n            said = dict(token=token, state='right', passed=99, value=['list'])\n"
        "            frame.f_locals['tell'](said | dict(slug='', problem='', hint='', printed='', remarks=[]))\n"
        "    return X", False, True),
}  # fmt: skip


@pytest.mark.parametrize("what", LINES)
def test_what_determined_code_can_do_apart_is_as_the_page_says(what, checker):
    source, outcome, _ = LINES[what]
    got = checked(checker, "1.3", source.replace("my_answer", "my_merge").replace("X", "[]"))
    assert got["state"] in ("right", "wrong", "error") and (got["state"] == "right") == outcome, got


@pytest.mark.parametrize("what", LINES)
def test_what_determined_code_can_do_together_is_as_the_page_says(what, checker):
    """Where what is said to get through fails one day, its line may go."""
    source, _, outcome = LINES[what]
    got = checked(checker, "6.2", source.replace("my_answer", "my_gelu").replace("X", "x"))
    if isinstance(outcome, str):
        checker.stop()  # what it has changed is gone with its process
        assert (got["state"], got["slug"]) == ("error", outcome), got
    else:
        assert got["state"] in ("right", "wrong", "error") and (got["state"] == "right") == outcome, got


@pytest.mark.parametrize("number", ["1.3", "6.2"])
def test_the_solution_cannot_be_read_and_a_copy_of_it_is_right(number, checker):
    cells = COURSE[f"0{number[0]}"].exercises[number]
    assert checked(checker, number, solution_of(cells.hints))["state"] == "right"
    confinement = sandbox.best_confinement(unsafe=True)
    if not confinement.promises:
        pytest.skip("nothing here can hide the notebooks")
    one = checking.Checker(confinement, 60, 4)
    part = {"1.3": "merge", "6.2": "gelu"}[number]
    reads = f"from course.checks.cells import course_part\nexec(course_part('{number}'))\nmy_{part} = {part}"
    got = checked(one, number, reads)
    one.stop()
    assert (got["state"], got["slug"]) == ("error", "CourseError"), got


@pytest.mark.parametrize(
    ("number", "module", "name"),
    [("1.3", "helpers.bpe", "merge"), ("15.5", "helpers.alignment", "token_logprobs"),
     ("10.8", "course.clinic.instruments", "future_leak"), ("10.3", "course.clinic.healthy", "initialize")],
)  # fmt: skip
def test_what_the_course_has_built_can_be_called(number, module, name, checker):
    """Apart and together, of `helpers` and of `course`."""
    asked = load_checks(number.split(".")[0].zfill(2))[number].name
    assert checked(checker, number, f"from {module} import {name} as {asked}")["state"] == "right"
