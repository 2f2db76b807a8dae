"""Notebook 08 as Colab would run it, on a GPU that is imitated: no branch is left that nobody has entered.

All cells are run in fresh processes: with a T4, with an A100, and without a GPU, GPT-2 thin and the runs short
(`tests.branches`). The imitation (`tests.fake_gpu`) refuses what a GPU refuses. What the notebook does not reach, unit
tests enter. Nothing of this has run on a GPU: what is imitated is listed below, and printed.
"""

import ast
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from helpers.files import repository_root
from tests.branches import Branches

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the processes expect a shell's environment"),
    pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="an older torch takes other branches"),
]

# What enters branches that the notebook does not.
TESTS = [
    "tests/test_imitated_gpu.py",
    "tests/test_train_step.py::test_where_not_even_one_row_fits_it_says_so",
    "tests/test_train_step.py::test_a_state_goes_on_equally[adamw-float16]",
    "tests/test_training.py::test_a_loss_that_is_no_number_stops_with_a_reason",
    "tests/test_course.py::test_an_apple_gpu_is_used_only_where_it_was_asked_for",
    "tests/test_planning.py::test_free_memory_of_a_device",
    "tests/test_planning.py::test_a_batch_that_does_not_fit_is_planned_in_pieces",
    "tests/test_ladder.py::test_bad_requests_say_so",
    "tests/test_ladder.py::test_the_ladder_is_measured_drawn_and_told",
    "tests/test_bench_gpu.py::test_bad_requests_say_so",
    "tests/test_bench_gpu.py::test_sides_agree_and_the_numbers_fit_together",
]
RUNS = {"t4": [], "a100": [], "tests": TESTS, "cpu": []}

# Branches that are entered here, but whose work is then done by a stand-in: only a GPU can really do it.
ONLY_ON_A_GPU = {
    "course/distributed.py, processes: 'nccl' if on_gpu": "NCCL joins processes that have a GPU each",
    "course/distributed.py, processes: torch.cuda.set_device(local)": "there is no second GPU to choose",
    "course/distributed.py, connect: [self.processes.device] unless self.processes.device == 'cpu'": "DDP on a GPU",
    "helpers/hardware.py, choose: 'on' if capability >= (7, 0) and find_spec('triton')": "Triton compiles for a GPU",
    "course/bench/ladder.py, _tidy: torch.compiler.reset()": "nothing was compiled",
    "course/bench/step_memory.py, free_memory: return torch.mps.recommended_max_memory() - torch.mps.dri...": "Apple's",
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("branches")

    def report(name: str) -> dict:
        out = folder / f"{name}.json"
        command = [sys.executable, "-m", "tests.branches", name, str(out), *RUNS[name]]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "COURSE_RUNS": str(folder / name)}
        done = subprocess.run(command, cwd=repository_root(), env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return json.loads(out.read_text(encoding="utf-8"))

    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(RUNS, pool.map(report, RUNS), strict=True))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("t4", ["device cuda, profile t4", "Tesla T4, 15 GB", "precision float16"]),
        ("a100", ["device cuda, profile gpu", "A100", "precision bfloat16"]),
        ("cpu", ["device cpu, profile cpu", "precision float32"]),
    ],
)
def test_every_cell_runs(reports, name, said):
    printed = "".join(reports[name]["printed"])
    for words in said:
        assert words in printed
    assert "disconnected after step" in printed and "going on from step" in printed


def test_no_branch_is_left_that_nothing_has_entered(reports, capsys):
    known, entered = {}, set()
    for report in reports.values():
        known |= report["known"]
        entered |= set(report["entered"])
    assert len(known) > 100 and entered <= set(known)
    with capsys.disabled():
        print(f"\n{len(known)} branches depend on a GPU, and each is entered. Only a GPU can really do what these ask:")
        for each, why in ONLY_ON_A_GPU.items():
            print(f"    {each}: {why}")
    assert sorted(set(known) - entered) == []
    assert set(ONLY_ON_A_GPU) <= set(known)
    assert len(ONLY_ON_A_GPU) < 10


def test_a_branch_that_nothing_enters_is_found():
    source = """
def f(device, x):
    if device == "cuda":
        return 1
    y = 2 if torch.cuda.is_available() else 3
    try:
        x()
    except torch.OutOfMemoryError:
        y = 4
    return y and (device == "cpu" or x)
"""
    tree = ast.parse(source)
    branches = Branches("a.py")
    branches.visit(tree)
    assert list(branches.known) == [
        "a.py, f: return 1",
        "a.py, f: 2 if torch.cuda.is_available()",
        "a.py, f: 3 unless torch.cuda.is_available()",
        "a.py, f: y = 4",
        "a.py, f: x after device == 'cpu' or",
    ]
    noted = set()
    scope = {"_entered": noted.add, "torch": torch}
    exec(compile(ast.fix_missing_locations(tree), "a.py", "exec"), scope)
    assert scope["f"]("cpu", lambda: None) is True
    assert noted == {"a.py, f: 3 unless torch.cuda.is_available()"}
    assert scope["f"]("cuda", None) == 1
    assert "a.py, f: return 1" in noted
