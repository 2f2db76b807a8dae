"""Ctrl-C, a reader that has gone, a line without end: one line for the person, never a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.checkpoint import load_checkpoint
from helpers.files import repository_root
from helpers.run_log import read_log

WORDS = [sys.executable, "-m", "course"]
CHAT = [*WORDS, "chat", "--model", "data/storyteller"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
def test_ctrl_c_in_a_run_of_notebooks_says_what_is_done_and_how_to_go_on(tmp_path):
    environment = os.environ | {"COURSE_RUNS": str(tmp_path)}
    process = subprocess.Popen(
        [*WORDS, "run", "--only", "00,02,03", "--skip-training"], cwd=repository_root(), env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("[2/3]"):
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while children.exists() and not children.read_text():  # until the notebook's own process is there
        time.sleep(0.1)
    time.sleep(8)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the notebook's process as well
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130 and "Traceback" not in said
    assert "stopped in 02_dataset_eda: 1 of 3 notebooks are done" in said
    assert said.strip().endswith("python -m course run --only 02,03")


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_a_run_of_all_trains_at_last_is_saved_as_well(tmp_path, number):
    """A terminal sends Ctrl-C to both processes, `kill` its signal to the first alone: the second is waited for."""
    small = ["n_layer=1", "d_model=16", "n_head=2", "context_length=32", "limit=200", "log_every=1"]
    argv = ["train", *(part for each in small for part in ("--set", each)), "--seconds", "120", "--out", str(tmp_path)]
    script = f"import sys; from course.cli.run import _course; sys.exit(_course(*{[*argv, '--quiet']}))"
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=repository_root(), env=os.environ | {"COURSE_RUNS": str(tmp_path / "runs")},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.time() + 100
    while time.time() < deadline and len(read_log(tmp_path)) < 3:
        time.sleep(0.1)
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped and saved" in said and "Traceback" not in said
    assert load_checkpoint(tmp_path)[0]["step"] == read_log(tmp_path)[-1]["step"] >= 3


def test_a_line_without_end_is_refused_and_the_next_one_heard():
    line = "once " * 700_000
    done = subprocess.run(
        [*CHAT, "--seed", "1", "--max-new-tokens", "3"], input=f"{line}\nOnce upon a time\n", text=True,
        capture_output=True, cwd=repository_root(), timeout=200,
    )  # fmt: skip
    assert done.returncode == 0 and "3,500,000 characters" in done.stderr and len(done.stderr) < 300
    assert done.stdout.startswith("Once upon a time")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
@pytest.mark.parametrize("lines", ["Once upon a time\n" * 2000, "Once upon a time\n"])
def test_ctrl_c_leaves_a_chat_whose_lines_are_piped_in(lines):
    process = subprocess.Popen(
        [*CHAT, "--max-new-tokens", "30"], cwd=repository_root(), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    process.stdin.write(lines)  # and the pipe stays open: more may come
    process.stdin.flush()
    assert process.stdout.read(4) == "Once"
    os.killpg(process.pid, signal.SIGINT)
    process.stdout.read()
    assert process.wait(60) == 130 and process.stderr.read().strip() == "stopped"
    process.stdin.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows closes files in another way")
@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "| true"])
@pytest.mark.parametrize("command", ["train --list", "chat"])
def test_a_closed_stream_is_no_traceback(command, closed, tmp_path):
    environment = os.environ | {"COURSE_RUNS": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    line = f"{sys.executable} -m course {command} {closed}"
    source = None if closed == "<&-" else subprocess.DEVNULL
    done = subprocess.run(
        ["bash", "-c", line], cwd=repository_root(), env=environment, stdin=source, capture_output=True, text=True,
        timeout=200,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr and "Exception ignored" not in done.stderr
