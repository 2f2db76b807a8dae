"""Every kind of damage to every file that a command reads: one clear line, or the work is done; never a traceback, no
hang, nothing half written.
"""

import os

import pytest

from tests import damage
from tests.damage import CASES, copied, kinds_for, make_world, must_fail, try_case
from tests.forked import Commands

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are forked from a process that is ready")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("the world") / "files")


@pytest.fixture(scope="module")
def run():
    with Commands() as commands:
        yield commands


def chosen(number: int, kind: str) -> bool:
    """Whether CI tries it. Of commands that read a file by the same function each takes its turn of the kinds; all are
    tried with COURSE_FAULTS=all, and by `docs/tools/reliability.py`.
    """
    turns = 12 if CASES[number].is_long else 5
    return os.environ.get("COURSE_FAULTS") == "all" or (number + list(damage.ALL).index(kind)) % turns == 0


@pytest.mark.parametrize("number", range(len(CASES)), ids=map(str, CASES))
def test_a_damaged_file_is_told_in_one_line_or_does_not_matter(number, world, run, tmp_path):
    case, found = CASES[number], {}
    for at, (kind, break_it) in enumerate(kinds_for(case.file).items()):
        if chosen(number, kind):
            place, paths = copied(world, case, tmp_path / str(at))
            _, wrong = try_case(run, place, case, break_it, paths, fails=must_fail(case, kind))
            found |= {kind: wrong} if wrong else {}
    assert not found


@pytest.mark.parametrize("case", {case.argv: case for case in CASES}.values(), ids=str)
def test_without_damage_the_work_is_done(case, world, run, tmp_path):
    """Each command that is tried; else the table above would show nothing."""
    place, paths = copied(world, case, tmp_path / "whole")
    outcome, wrong = try_case(run, place, case, lambda path: None, paths)
    assert outcome.code == 0 and not wrong, outcome.err
