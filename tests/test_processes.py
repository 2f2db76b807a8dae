"""`course.processes`: functions of a notebook run in several processes; failures and hangs are told in a line."""

import importlib.util

import pytest

from course.processes import in_processes
from helpers.errors import CourseError

TEXT = '''
import os


def my_mean(value):
    """The mean of a number over all processes."""
    total = torch.tensor(float(value))
    dist.all_reduce(total)
    return total.item() / dist.get_world_size()


def worker():
    found = mean(dist.get_rank())
    if dist.get_rank() == 0:
        print("mean", found, "of", dist.get_world_size(), "threads", os.environ["OMP_NUM_THREADS"])


def fails():
    if dist.get_rank() == 1:
        raise ValueError("no kite here")


def hangs():
    if dist.get_rank() == 0:
        mean(1.0)
    else:
        __import__("time").sleep(60)
'''


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """The functions of TEXT, as if each had been typed; and a runs folder of their own."""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "own runs"))
    (tmp_path / "cells.py").write_text(TEXT, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("cells", tmp_path / "cells.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_function_runs_in_two_processes_under_the_names_that_it_uses(cells, tmp_path):
    assert in_processes(cells.worker, 2, mean=cells.my_mean) == "mean 0.5 of 2 threads 1"
    script = (tmp_path / "own runs" / "worker.py").read_text(encoding="utf-8")
    assert "mean = my_mean" in script
    compile(script, "worker.py", "exec")


def test_a_process_that_fails_is_told_in_a_line(cells):
    with pytest.raises(CourseError, match=r"^a process failed: ValueError: no kite here$"):
        in_processes(cells.fails, 2, mean=cells.my_mean)


def test_processes_that_wait_for_each_other_are_stopped(cells):
    with pytest.raises(CourseError, match="did not end within 12 s: does each make the same calls"):
        in_processes(cells.hangs, 2, seconds=12, mean=cells.my_mean)


def test_a_function_without_text_is_refused(cells):
    with pytest.raises(CourseError, match="the text of mean is not found"):
        in_processes(cells.worker, 2, mean=lambda value: value)
