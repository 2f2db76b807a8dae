"""The examples for clusters: `sbatch` and bash can read them, they start and resume the course's own commands with
options that exist, and what is stopped in time is sent again. Stubs stand for the cluster's commands.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest
import yaml
from torch.distributed.run import get_args_parser

from course import runs
from course.__main__ import _parser
from course.cli import train
from course.recipes import get_recipe
from helpers.errors import CourseError
from helpers.files import repository_root

CLUSTER = repository_root() / "docs" / "cluster"
SLURM = (CLUSTER / "train.slurm").read_text(encoding="utf-8")
SKY = (CLUSTER / "train.sky.yaml").read_text(encoding="utf-8")
BOTH = {"slurm": SLURM, "sky": yaml.safe_load(SKY)["run"]}

# https://slurm.schedmd.com/sbatch.html
SBATCH = set(
    "account array constraint cpus-per-task dependency error exclusive export gpus gpus-per-node gres job-name "
    "mail-type mail-user mem nodes ntasks ntasks-per-node no-requeue open-mode output partition qos requeue "
    "signal time".split()
)
# https://docs.skypilot.co/en/latest/reference/yaml-spec.html
TASK = set("name workdir num_nodes resources envs secrets volumes file_mounts setup run config service".split())
RESOURCES = set(
    "infra accelerators accelerator_args cpus memory instance_type use_spot disk_size disk_tier network_tier image_id "
    "ports labels autostop any_of ordered job_recovery max_hourly_cost".split()
)
STUB = """#!/usr/bin/env bash
printf '%q ' "${0##*/}" "$@" >> "$CALLS"
echo >> "$CALLS"
"""
HOSTS = "printf 'node-a\\nnode-b\\n'\n"

with_bash = pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="needs bash")


@pytest.fixture
def place(tmp_path):
    """A folder with stubs that note how they are called, and a run's folder."""
    for name, more in (("bin/srun", ""), ("bin/scontrol", HOSTS), ("bin/scancel", ""), ("bin/uv", ""),
                       (".venv/bin/python", "")):  # fmt: skip
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(STUB + more, encoding="utf-8")
        file.chmod(0o755)
    (tmp_path / "runs" / "gpt2-small" / "checkpoints").mkdir(parents=True)
    return tmp_path


def environment(place):
    slurm = {"SUBMIT_DIR": place, "JOB_ID": 42, "JOB_NODELIST": "node-[a-b]", "NNODES": 2, "GPUS_ON_NODE": 8}
    sky = {"NODE_RANK": 1, "NODE_IPS": "10.0.0.1\n10.0.0.2", "NUM_NODES": 2, "NUM_GPUS_PER_NODE": 8}
    given = {f"SLURM_{name}": value for name, value in slurm.items()}
    given |= {f"SKYPILOT_{name}": value for name, value in sky.items()} | yaml.safe_load(SKY)["envs"]
    given |= {"COURSE_RUNS": place / "runs", "RUN": place / "runs" / "gpt2-small", "CALLS": place / "calls"}
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {name: str(value) for name, value in given.items()} | {"PATH": path}


def calls(place):
    file = place / "calls"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [shlex.split(line) for line in lines]


def run(script, place):
    """How a script ends among the stubs: its exit code, its output, and their calls."""
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment(place), capture_output=True, text=True, timeout=60
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout, calls(place)


def launched(called):
    """What `torchrun` was told, and the course's command that it starts, read by their own parsers."""
    (call,) = [call for call in called if "torch.distributed.run" in call]
    told = get_args_parser().parse_args(call[call.index("torch.distributed.run") + 1 :])
    assert told.module and told.training_script == "course"
    return told, _parser(told.training_script_args[0]).parse_args(told.training_script_args)


def recipe_of(arguments):
    """The recipe of the command `train`; a CourseError for a key or a value that there is not."""
    return train._recipe(arguments)


def check_options(script):
    """Every #SBATCH line before the first command is an option of `sbatch`, and there is none behind it."""
    lines = script.splitlines()
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    options = [re.fullmatch(r"#SBATCH --([a-z-]+)(?:=\S+)?", line) for line in lines[:first] if line.startswith("#SB")]
    assert options and all(option and option[1] in SBATCH for option in options)
    assert not [line for line in lines[first:] if line.startswith("#SBATCH")]


def check_task(text):
    task = yaml.safe_load(text)
    assert task.keys() <= TASK and task["resources"].keys() <= RESOURCES
    assert all(isinstance(task[name], str) for name in ("name", "workdir", "setup", "run"))
    assert task["num_nodes"] == 2 and re.fullmatch(r"[\w-]+:8", task["resources"]["accelerators"])
    assert all(isinstance(value, str) for value in task["envs"].values())
    (folder, bucket), = task["file_mounts"].items()  # fmt: skip
    assert task["envs"]["RUN"].startswith(f"{folder}/") and bucket.keys() == {"name", "mode"}


@with_bash
@pytest.mark.parametrize("script", [SLURM, *(yaml.safe_load(SKY)[part] for part in ("setup", "run"))])
def test_bash_can_read_it(script):
    subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=60)
    assert "set -euo pipefail\n" in script


def test_every_option_and_field_exists():
    check_options(SLURM)
    check_task(SKY)


@with_bash
@pytest.mark.parametrize("engine", BOTH)
def test_a_run_is_started_with_the_recipes_batch(engine, place):
    code, _, called = run(BOTH[engine], place)
    told, arguments = launched(called)
    recipe, usual = recipe_of(arguments), get_recipe("gpt2-small")
    assert code == 0 and arguments.out == str(place / "runs" / "gpt2-small") and recipe.name == usual.name
    data, processes = recipe.training.data, int(told.nnodes) * int(told.nproc_per_node)
    assert processes == 16
    wanted = usual.training.data.batch_size * usual.training.data.accumulation
    assert data.batch_size * data.accumulation * processes == wanted
    if engine == "slurm":
        assert (told.rdzv_backend, told.rdzv_endpoint, told.rdzv_id) == ("c10d", "node-a:20042", "42")
        assert called[-1][0] == "srun" and recipe.training.hardware.parallel == "fsdp"
    else:
        assert (told.master_addr, told.node_rank) == ("10.0.0.1", 1)


@with_bash
@pytest.mark.parametrize("engine", BOTH)
def test_a_run_with_a_checkpoint_goes_on_and_a_finished_one_is_left_alone(engine, place):
    folder = place / "runs" / "gpt2-small"
    (folder / "model.safetensors").touch()
    code, said, called = run(BOTH[engine], place)
    assert code == 0 and "finished" in said and called == []
    (folder / "checkpoints" / "step-00000400.safetensors").touch()
    code, _, called = run(BOTH[engine], place)
    _, arguments = launched(called)
    assert code == 0 and arguments.run_folder == str(folder)


@with_bash
def test_shards_can_be_asked_of_rented_machines_too(place):
    _, _, called = run(f"PARALLEL=fsdp\n{BOTH['sky']}", place)
    assert recipe_of(launched(called)[1]).training.hardware.parallel == "fsdp"


@with_bash
def test_every_rented_machine_makes_its_own_tokens(place, monkeypatch):
    code, _, called = run(yaml.safe_load(SKY)["setup"], place)
    *_, (program, option, source) = called
    assert (code, program, option) == (0, "python", "-c")
    prepared = []
    monkeypatch.setattr(runs, "prepare", prepared.append)
    exec(source, {})
    assert prepared == [get_recipe("gpt2-small")]


@with_bash
def test_near_its_end_the_job_stops_what_runs_and_sends_itself_again(place):
    (place / "bin" / "srun").write_text(STUB + 'until [ -e "$CALLS.stop" ]; do sleep 0.05; done\nexit 130\n')
    (place / "bin" / "scancel").write_text(STUB + 'touch "$CALLS.stop"\n')
    job = subprocess.Popen(["bash", "-c", SLURM], cwd=place, env=environment(place))
    try:
        until = time.monotonic() + 30
        while not any(call[0] == "srun" for call in calls(place)) and time.monotonic() < until:
            time.sleep(0.05)
        job.send_signal(signal.SIGUSR1)
        assert job.wait(timeout=30) != 0
    finally:
        job.kill()
    assert calls(place)[-2:] == [["scancel", "--signal=TERM", "42"], ["scontrol", "requeue", "42"]]


@with_bash
def test_a_run_that_fails_is_not_sent_again(place):
    (place / "bin" / "srun").write_text(STUB + "exit 3\n")
    code, _, called = run(SLURM, place)
    assert code == 3 and called[-1][0] == "srun"


@with_bash
@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize(
    "right, wrong, error",
    [
        ("--set accumulation=", "--set acumulation=", CourseError),
        ("--recipe gpt2-small", "--recipe gpt2-smal", CourseError),
        ("--recipe", "--recipes", SystemExit),
        ("train --", "trian --", SystemExit),
        ("--nnodes", "--nodez", SystemExit),
    ],
)
def test_a_command_that_is_no_longer_right_is_found(engine, right, wrong, error, place, capsys):
    assert right in BOTH[engine]
    _, _, called = run(BOTH[engine].replace(right, wrong), place)
    with pytest.raises(error):
        recipe_of(launched(called)[1])


def test_an_option_or_a_field_that_there_is_not_is_found():
    for wrong in (SLURM.replace("--requeue", "--requeu"), SLURM + "#SBATCH --mem=1\n"):
        with pytest.raises(AssertionError):
            check_options(wrong)
    for right, wrong in {"num_nodes": "num_node", "use_spot": "spot", "mode:": "kind:"}.items():
        with pytest.raises((AssertionError, KeyError)):
            check_task(SKY.replace(right, wrong, 1))


def test_what_skypilots_test_needs_is_pinned_as_elsewhere():
    own, usual = (
        (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
        for folder in (CLUSTER, repository_root())
    )
    assert all(re.fullmatch(r"(#.*|[\w-]+==[\d.]+)", line) for line in own)
    assert [line for line in own if line.startswith("pytest")] == [
        line for line in usual if line.startswith("pytest==")
    ]


def test_the_page_says_how_the_same_is_done_on_one_machine():
    page = (CLUSTER.with_suffix(".md")).read_text(encoding="utf-8").replace("\\\n", " ")
    start, resume = (
        launched([shlex.split(line)])
        for line in page.splitlines()
        if line.startswith("python -m torch.distributed.run")
    )
    data, usual = recipe_of(start[1]).training.data, get_recipe("gpt2-small").training.data
    processes = int(start[0].nproc_per_node)
    assert data.batch_size * data.accumulation * processes == usual.batch_size * usual.accumulation
    assert resume[1].run_folder == start[1].out


@pytest.mark.skipif(not shutil.which("sbatch"), reason="needs SLURM")
def test_slurm_takes_the_job():
    if subprocess.run(["sinfo"], capture_output=True, timeout=60).returncode:
        pytest.skip("no SLURM controller answers")
    done = subprocess.run(
        ["sbatch", "--test-only", str(CLUSTER / "train.slurm")], capture_output=True, text=True, timeout=60
    )
    if "node configuration is not available" in done.stderr:
        pytest.skip("this cluster has no two machines with eight GPUs")
    assert done.returncode == 0 and "to start at" in done.stderr, done.stderr
