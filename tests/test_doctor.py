"""`python -m course doctor`: each thing that can be wrong with a machine is told, with what to do about it."""

import ast
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

import course
from course import doctor, packages
from course.__main__ import main
from course.bench import planning, system_memory
from course.doctor import HERE, LOOK, MISSING, NOT_NEEDED
from helpers.errors import CourseError
from helpers.files import repository_root

ROOT = repository_root()
GB = 2**30


@pytest.fixture(autouse=True)
def a_machine_where_all_is_well(monkeypatch, tmp_path):
    """What tests do not say is as it should be: 2 cores and 2 threads, 16 GB free, a disk with room, no variables."""
    for name in ("COURSE_DEVICE", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(course, "cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=80e9))
    monkeypatch.setattr(planning, "matmul_flops", lambda device, precision, size: 50e9)
    has_memory(monkeypatch, tmp_path, 16)


def has_memory(monkeypatch, folder, free: float, limit: float | None = None):
    """Linux with so many GB free, perhaps in a container that may use so many."""
    meminfo = f"MemTotal:       25000000 kB\nMemAvailable:   {int(free * 2**20)} kB\n"
    (folder / "meminfo").write_text(meminfo, encoding="ascii")
    (folder / "memory.max").write_text("max" if limit is None else str(int(limit * GB)), encoding="ascii")
    (folder / "memory.current").write_text(str(2 * GB), encoding="ascii")
    (folder / "memory.stat").write_text(f"anon {GB}\ninactive_file {GB}\n", encoding="ascii")
    monkeypatch.setattr(system_memory, "MEMINFO", folder / "meminfo")
    monkeypatch.setattr(system_memory, "CGROUP", folder)


def told(about: str) -> tuple[str, str]:
    """The mark and the words of one line."""
    (found,) = [finding for finding in doctor.examine() if finding.about == about]
    return found.mark, found.says


def with_requirements(monkeypatch, folder, *lines: str):
    """Another requirements.txt."""
    (folder / "requirements.txt").write_text("# packages\n" + "\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setattr(packages, "repository_root", lambda: folder)
    (folder / "docs").mkdir()
    (folder / "docs" / "requirements.txt").write_text("", encoding="utf-8")


def process(*words: str, **variables: str) -> subprocess.CompletedProcess:
    """The command in an interpreter that has nothing but its own library, as before anything is installed."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "course", *words], cwd=ROOT, capture_output=True, text=True, encoding="utf-8",
        env=os.environ | variables, timeout=120,
    )  # fmt: skip


# ---------------------------------------------------------------------- all is well


def test_a_machine_that_has_everything_is_told_so_in_a_dozen_lines(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line[:3] for line in said].count(HERE) >= 7 and not [line for line in said if line.startswith(MISSING)]
    assert said[-1] == f"The course {course.__version__} can run here."
    assert len([line for line in said if line.startswith("[")]) == 10
    assert max(map(len, said)) <= doctor.WIDTH


def test_what_a_notebook_stores_names_no_folder_and_waits_for_nothing(monkeypatch):
    monkeypatch.setattr(doctor, "hub_answers", lambda seconds: pytest.fail("the Hub was asked"))
    monkeypatch.setattr(planning, "matmul_flops", lambda *_: pytest.fail("the speed was measured"))
    said = doctor.report(doctor.examine(wait=False))
    assert not re.search(r"[/\\]\w+[/\\]", said), said
    assert "[x] results   can be written, with 80 GB free" in said


# ---------------------------------------------------------------------- before anything is installed


def test_without_torch_and_packages_it_says_so_and_does_not_fall():
    done = process("doctor")
    assert done.returncode == 1 and done.stderr == ""
    said = " ".join(done.stdout.split())
    assert (
        "[!] torch not found" in said and "[!] packages numpy, " in said and said.count("first command of README") == 2
    )
    assert said.endswith("cannot run here yet: see packages, torch.")


def test_a_torch_that_cannot_be_imported_is_told_with_its_reason(tmp_path):
    (tmp_path / "torch.py").write_text(
        "raise OSError('libgomp.so.1: cannot open shared object file')", encoding="utf-8"
    )
    done = process("doctor", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and done.stderr == ""
    assert "cannot be imported (libgomp.so.1: cannot open shared object file)" in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", ["doctor", "run"])
def test_an_old_python_is_refused_in_one_line(tmp_path, command):
    old = "import sys\nsys.version_info, sys.version = (3, 9, 2, 'final', 0), '3.9.2 (main)'\n"
    (tmp_path / "sitecustomize.py").write_text(old, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "course", command], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: the course needs Python 3.11 or newer, and this is Python 3.9.2")


@pytest.mark.parametrize("name", ["course/__init__.py", "course/packages.py"])
def test_what_an_old_python_reads_before_it_is_refused_it_can_read(name):
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 8))


# ---------------------------------------------------------------------- packages and torch


def test_a_package_that_notebooks_import_and_that_is_missing(monkeypatch):
    monkeypatch.setitem(packages.PACKAGES, "no_such_module", "no-such-package")
    mark, says = told("packages")
    assert mark == MISSING and says.startswith("no-such-package not found: run the first command")
    assert main(["doctor"]) == 1


def test_another_version_is_told_and_is_no_obstacle(monkeypatch, tmp_path):
    with_requirements(monkeypatch, tmp_path, "numpy==0.1.0")
    mark, says = told("packages")
    assert mark == LOOK and re.search(r"\(numpy \d[\d.]+, not 0\.1\.0\): that may work", says)
    assert main(["doctor"]) == 0


def test_what_not_everybody_needs_may_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "FOR_DEVELOPMENT", ("a-test-runner",))
    with_requirements(monkeypatch, tmp_path, "a-test-runner==1.0")
    assert told("packages") == (HERE, "all that notebooks import, as in requirements.txt; a-test-runner not found, "
                                      "which only tests need")  # fmt: skip
    (tmp_path / "requirements.txt").write_bytes(b"\xff==\n a==b==c\n==\nan-engine==1.0 # \xff\n")  # other lines
    mark, says = told("packages")
    assert mark == LOOK and says.startswith("an-engine not found, which not everybody needs")


def test_a_torch_that_is_too_old(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.5.1")
    mark, says = told("torch")
    assert mark == MISSING and "this is torch 2.5.1, and the course needs" in says


def test_a_device_that_is_not_here(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda")
    mark, says = told("torch")
    assert mark == MISSING and "torch sees no GPU of that kind here" in says
    assert told("speed")[0] == LOOK


def test_a_driver_that_this_torch_does_not_use(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if name == "nvidia-smi" else None)
    mark, says = told("torch")
    assert mark == LOOK and says.endswith("see pytorch.org for a torch that uses it")


# ---------------------------------------------------------------------- cores, memory, disk


def test_threads_that_a_variable_holds_back_and_threads_that_are_too_many(monkeypatch):
    assert told("CPU cores") == (HERE, "2; torch computes in 2 threads")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert told("CPU cores")[0] == HERE, "torch leaves out what hyperthreading counts twice"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert told("CPU cores")[0] == LOOK and "as OMP_NUM_THREADS says: unset it" in told("CPU cores")[1]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert told("CPU cores")[0] == LOOK and told("CPU cores")[1].endswith("set OMP_NUM_THREADS=2")


def test_little_memory_is_told_with_what_to_close(monkeypatch, tmp_path):
    mark, says = told("memory")
    assert mark == HERE and says.startswith("16.0 GB of")
    has_memory(monkeypatch, tmp_path, 1.5)
    mark, says = told("memory")
    assert mark == LOOK and says.startswith("1.5 GB of") and "close other programs" in says


def test_a_containers_limit_counts_and_files_that_are_only_cached_do_not(monkeypatch, tmp_path):
    has_memory(monkeypatch, tmp_path, 16, limit=4)  # 2 of which are used, and 1 of these is cache
    assert system_memory.free_memory() == 3 * GB
    has_memory(monkeypatch, tmp_path, 2, limit=64)
    assert system_memory.free_memory() == 2 * GB


def test_where_the_system_tells_nothing_psutil_does_and_without_it_nobody(monkeypatch, tmp_path):
    psutil = pytest.importorskip("psutil")
    monkeypatch.setattr(system_memory, "MEMINFO", tmp_path / "nothing")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=5 * GB))
    assert system_memory.free_memory() == 5 * GB
    monkeypatch.setattr(system_memory.importlib.util, "find_spec", lambda name: None)
    assert system_memory.free_memory() is None
    monkeypatch.undo()


def test_memory_that_nobody_tells(monkeypatch):
    monkeypatch.setattr(system_memory, "free_memory", lambda: None)
    mark, says = told("memory")
    assert mark == LOOK and "the system does not tell" in says


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "file" / "runs"))
    mark, says = told("results")
    assert mark == MISSING and "cannot be written" in says and "COURSE_RUNS" in says
    assert main(["doctor"]) == 1


def test_a_disk_that_is_nearly_full(monkeypatch):
    assert told("results")[0] == HERE
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0.3e9))
    mark, says = told("results")
    assert mark == LOOK and "make room" in says


# ---------------------------------------------------------------------- time and speed


def test_the_longest_notebooks_are_named_first(monkeypatch):
    seconds = {"01_a": 20.0, "02_b": 240.0, "03_c": 60.0, "04_d": 130.0}
    monkeypatch.setattr(course, "timed", lambda profile: {"machine": "2 CPU cores", "seconds": seconds})
    mark, says = told("time")
    assert mark == HERE and says.startswith("longest are 02 (4 minutes), 04 (2 minutes), 03 (about a minute); all 4")
    monkeypatch.setattr(course, "timed", lambda profile: {})
    assert told("time")[0] == LOOK


@pytest.mark.parametrize("damage", ["[]", '{"cpu": []}', '{"cpu": {"seconds": {"01_a": "x"}}}', '{"cpu": 7}', "{"])
def test_times_that_are_damaged_are_one_line(monkeypatch, tmp_path, damage):
    (tmp_path / "notebook_times.json").write_text(damage, encoding="utf-8")
    monkeypatch.setattr(course, "data_folder", lambda: tmp_path)
    for ask in (lambda: course.time_sentence("01", "cpu"), lambda: course.record_times({"01_a": 1.0})):
        with pytest.raises(CourseError, match="notebook_times.json"):
            ask()
    assert (tmp_path / "notebook_times.json").read_text(encoding="utf-8") == damage


@pytest.mark.parametrize(("recorded", "mark", "says"), [
    (None, HERE, "multiplication (float32)"), (60, HERE, "60 where the notebooks were timed"),
    (200, LOOK, "expect 4.0 times the times above"),
])  # fmt: skip
def test_the_speed_is_told_beside_the_recorded_one(monkeypatch, recorded, mark, says):
    monkeypatch.setattr(course, "timed", lambda profile: {"gflops": recorded})
    found = told("speed")
    assert found[0] == mark and found[1].startswith("50 billion operations a second") and says in found[1]


def test_a_speed_that_is_measured_is_that_of_a_multiplication(monkeypatch):
    monkeypatch.undo()
    reached, precision = doctor.gflops("cpu")
    assert precision == "float32" and 0.1 < reached < 100_000


# ---------------------------------------------------------------------- the Hub, and teaching


def test_a_hub_that_answers_and_one_that_does_not(monkeypatch):
    assert told("Hub")[0] == NOT_NEEDED and "which is fine" in told("Hub")[1]
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        mark, says = told("Hub")
        server.shutdown()
    assert mark == HERE and says.startswith(f"{address} answers")


def test_what_only_teachers_need_is_told_and_never_missing(monkeypatch):
    monkeypatch.setattr(doctor, "find_chromium", lambda: None)
    monkeypatch.setattr(doctor.sandbox, "confinements", list)
    mark, says = told("teaching")
    assert mark == NOT_NEEDED and "Chromium" in says and "bubblewrap" in says


# ---------------------------------------------------------------------- the version


def test_the_command_line_tells_the_version(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert not left.value.code and capsys.readouterr().out == f"python -m course {course.__version__}\n"
