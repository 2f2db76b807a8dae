"""A run's folder belongs to one process at a time; what decides the last digits is said; a closed terminal saves."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from course.__main__ import main
from helpers import checkpoint
from helpers.errors import CourseError
from helpers.files import repository_root, write_atomically
from helpers.model_files import read_safetensors
from helpers.run_log import LOCK, owning, read_log

HOLD = """
import sys, time
from helpers.run_log import owning
with owning(sys.argv[1]):
    print("owned", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that owns the folder."""
    environment = os.environ | {"PYTHONPATH": str(repository_root())}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "owned\n"
    yield process
    process.kill()
    process.wait()


def test_a_folder_has_one_owner_and_a_dead_one_is_none(holder, tmp_path):
    with pytest.raises(CourseError, match=rf"process {holder.pid} is at work in"):
        with owning(tmp_path / "run"):
            pass
    holder.kill()
    holder.wait()
    with owning(tmp_path / "run"), owning(tmp_path / "run"):  # of its own process it may ask twice
        assert (tmp_path / "run" / LOCK).read_text(encoding="utf-8") == str(os.getpid())
    with owning(tmp_path / "run"), owning(None):
        pass


def call(*argv, **options):
    environment = os.environ | {"PYTHONPATH": str(repository_root())}
    return subprocess.run(
        [sys.executable, "-m", "course", *map(str, argv)], cwd=repository_root(), env=environment, capture_output=True,
        text=True, timeout=300, **options,
    )  # fmt: skip


def test_neither_a_start_nor_a_resume_goes_where_another_process_is_at_work(holder, tmp_path):
    for argv in (["train", "--steps", 1, "--out", tmp_path / "run", "--overwrite"], ["resume", tmp_path / "run"]):
        done = call(*argv)
        assert done.returncode == 2 and f"process {holder.pid} is at work" in done.stderr
        assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [LOCK]


def test_nothing_is_made_where_there_is_nothing_to_resume(tmp_path):
    done = call("resume", tmp_path / "none")
    assert done.returncode == 2 and "nothing to resume" in done.stderr and not (tmp_path / "none").exists()


@pytest.mark.parametrize("wrong", ["tokenizer=nowhere.json", "stories=nowhere.txt", "n_layer=1000000000"])
def test_a_refused_start_leaves_nothing(tmp_path, monkeypatch, capsys, wrong):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    out = tmp_path / "new" / "run"
    assert main(["train", "--set", wrong, "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not out.parent.exists()
    out.mkdir(parents=True)
    assert main(["train", "--set", wrong, "--out", str(out)]) == 2 and list(out.iterdir()) == []  # it was there before


def test_nothing_is_made_below_a_file_or_among_devices(tmp_path, monkeypatch, capsys):
    def refused(*argv, because):
        assert main([str(each) for each in argv]) == 2
        said = capsys.readouterr().err
        assert because in said and said.count("\n") == 1, said

    file, away = tmp_path / "file", Path("/dev/no-such-disk")
    file.write_bytes(b"mine")
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    for command in (["train", "--steps", "1"], ["export"], ["quiz", "export"], ["handout", "00"]):
        refused(*command, "--out", file / "a" / "b", because="file is a file")
        refused(*command, "--out", tmp_path / "nothing" / "b", because="nothing is a file")
        if os.name != "nt":
            refused(*command, "--out", away / "b", because="lies among the devices")
    if os.name != "nt":
        monkeypatch.setenv("COURSE_RUNS", str(away / "runs"))
        refused("train", "--steps", "1", because="COURSE_RUNS")
        with pytest.raises(CourseError, match="it is not replaced"):
            write_atomically(away, "text")
    assert file.read_bytes() == b"mine" and not away.exists() and not (tmp_path / "gone").exists()


def test_what_may_not_be_read_or_written_is_not_called_damaged_or_full(tmp_path, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"mine")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(CourseError, match="permission denied.*let yourself read it"):
        read_safetensors(weights)
    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(CourseError, match="Permission denied.*see that you may write there"), owning(tmp_path / "run"):
        pass


def test_another_number_of_threads_is_said(tmp_path, monkeypatch):
    checkpoint.save_checkpoint(tmp_path, {"step": 1})
    here = torch.get_num_threads()
    assert checkpoint.load_checkpoint(tmp_path)[1] == []
    monkeypatch.setattr(torch, "get_num_threads", lambda: here + 1)
    (note,) = checkpoint.load_checkpoint(tmp_path)[1]
    assert f"threads {here}, going on with {here + 1}" in note and "last digits" in note


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminal can hang up here")
def test_a_closed_terminal_saves_all(tmp_path):
    small = [
        "n_layer=1",
        "d_model=16",
        "n_head=2",
        "context_length=32",
        "limit=200",
        "log_every=1",
        "checkpoint_every=0",
    ]
    sets = [part for each in small for part in ("--set", each)]
    command = [
        sys.executable,
        "-m",
        "course",
        "train",
        *sets,
        "--seconds",
        "120",
        "--out",
        str(tmp_path / "run"),
        "--quiet",
    ]
    environment = os.environ | {"COURSE_RUNS": str(tmp_path / "runs")}
    process = subprocess.Popen(
        command, cwd=repository_root(), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.time() + 100
    while time.time() < deadline and len(read_log(tmp_path / "run")) < 5:
        time.sleep(0.1)
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and b"stopped and saved" in said
    assert checkpoint.load_checkpoint(tmp_path / "run")[0]["step"] == read_log(tmp_path / "run")[-1]["step"] >= 5
