"""What only a GPU can show, in ten minutes of one: four parts, each in a process of its own with a limit of time.

    python docs/tools/gpu_checks.py --out data/recorded/gpu             all of it, on a GPU
    python docs/tools/gpu_checks.py --out FOLDER --only ladder,train    these
    python docs/tools/gpu_checks.py --out FOLDER --small                the same code in miniature, on any machine

1. `bench`: GPT-2, ours and `transformers`', plain and compiled, as `python -m course bench --only gpu` has it
2. `ladder`: the options of a training step one after the other, by `torch.cuda.max_memory_allocated`, and as counted
3. `train`: GPT-2 on the bundled stories, in half precision and compiled; its log and its plan are kept
4. `disconnect`: a run is killed after a checkpoint and goes on in a new process; the losses of both are compared

What a part has found is written, whole or not at all, when it is there, with the machine and the versions; a part that
fails or runs past its limit is noted, and the next one runs. `summary.json` says how each ended. Results of `--small`
say that they are not of a GPU, and are refused below data/recorded.
"""

import argparse
import functools
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

import course
from course import runs
from course.bench import gpu, ladder
from course.bench.planning import plan
from course.bench.step_memory import moving_bytes
from course.figures.training import write_curves
from course.recipes import Recipe, get_recipe, override
from helpers.checkpoint import saved_checkpoints
from helpers.errors import CourseError
from helpers.files import data_folder, write_atomically, write_json
from helpers.model import GPTConfig
from helpers.run_log import CURVES, LOG, read_log
from helpers.settings import TrainingSettings
from helpers.tokenizer import load_tokenizer

BUDGET = 600  # seconds for all parts
LIMITS = {"bench": 180, "ladder": 130, "train": 380, "disconnect": 90}  # seconds for each, if the budget allows
TRAINING = 300  # seconds of `train` that are training, if the budget allows
STARTING = 80  # seconds of `train` that are not: tokens, the plan, compiling
SMALL = ["n_layer=2", "n_head=2", "d_model=32", "context_length=64", "batch_size=2", "accumulation=1", "limit=100",
         "eval_stories=2", "precision=bfloat16", "loss=chunked", "compile=on"]  # fmt: skip
TINY = GPTConfig(1023, 64, n_layer=2, n_head=2, d_model=32)
KILLED = 30  # the step after which `disconnect` is killed; a checkpoint is written every 20


def facts(small: bool) -> dict:
    """Where a result comes from; a result that is not of a GPU says so."""
    there = torch.cuda.is_available()
    about = {"gpu": there, "small": small, "machine": course.machine(), "torch": torch.__version__}
    about |= {"cuda": torch.version.cuda, "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}
    return about if there and not small else {"about": "A trial of the script, and no measurement of a GPU."} | about


def bench(out: Callable[[dict], None], small: bool, **_) -> None:
    """Ours and `transformers`', plain and compiled."""
    gpu.SIZES["tiny"] = (TINY, 2, 64)
    size, rounds, steps = ("tiny", 1, 1) if small else ("gpt2-small", 2, 10)
    found = gpu.compare_on_gpu(size, rounds, _device(), steps=steps)
    print(gpu.describe_gpu({"machine": course.machine(), "results": {size: found}}))
    ratio = found["ratios"]["transformers, compiled"]
    mfu = max(side["mfu"] for name, side in found["sides"].items() if name.startswith("ours"))
    out(found | {"aimed_at": {"ratio": gpu.AIM, "mfu": 0.5}, "reached": {"ratio": ratio, "mfu": mfu}})


def options(out: Callable[[dict], None], small: bool, **_) -> None:
    """The ladder; its rows so far are kept as they come."""
    rows: list[dict] = []
    ladder.SIZES["tiny"] = (TINY, 2)
    found = ladder.measure_ladder(
        "tiny" if small else "gpt2-small", _device(), everything=small, turns=1 if small else None,
        steps=1 if small else None, say=lambda row: rows.append(row) or out({"rows": rows}),
    )  # fmt: skip
    print(ladder.describe_ladder(found))
    config, _ = ladder.SIZES[found["size"]]
    for row in found["rows"][3:-1]:  # plain attention is not counted, and compiling only lowers what is held
        if not row["left_out"]:
            settings = TrainingSettings.of(batch_size=row["batch"][0], **row["hardware"])
            padded = replace(config, vocab_size=row["vocabulary"])
            model, moving = moving_bytes(padded, settings, torch.device(_device()))
            row["counted_bytes"] = 12 * model.parameter_count() + moving
    out(found)


def train(out: Callable[[dict], None], small: bool, seconds: float, work: Path) -> None:
    """A run of so many seconds; what it took beside what was planned."""
    recipe = recipe_of(small, [f"seconds={seconds:.0f}", "checkpoint_every=1000", "eval_every=100"])
    device = _device()
    planned = plan(recipe, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    prepared = runs.prepare(recipe, device, progress=False)
    trainer = runs.trainer_of(prepared, work, report=write_curves, progress=False)
    result = trainer.run()
    numbers = ("peak_bytes", "disk_bytes", "tokens_per_second", "parameters", "pieces")
    out(
        {
            "recipe": recipe.as_dict(),
            "hardware": asdict(trainer.train_step.hardware),
            "planned": {name: getattr(planned, name) for name in numbers},
            "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else None,
            "steps": result.steps,
            "tokens": result.tokens,
            "seconds": result.seconds,
            "loss": result.loss,
            "val_loss": result.val_loss,
            "pieces": trainer.train_step.pieces,
        }
    )
    print(f"{result.steps:,} steps, {result.tokens:,} tokens, {result.seconds:.0f} s, validation {result.val_loss}")


def disconnect(out: Callable[[dict], None], small: bool, work: Path, **_) -> None:
    """Killed after a checkpoint, gone on in a new process: are the steps between the same?"""
    command = [sys.executable, __file__, "--child", str(work), *(["--small"] if small else [])]
    killed = subprocess.run(command)
    if killed.returncode != -signal.SIGKILL:
        raise CourseError(f"the run that was to be killed ended with {killed.returncode}")
    before = {row["step"]: row["loss"] for row in read_log(work)}
    kept = int(saved_checkpoints(work)[0].stem.removeprefix("step-"))  # the newest, from which it goes on
    if subprocess.run(command).returncode:
        raise CourseError("the run did not go on")
    after = {row["step"]: row["loss"] for row in read_log(work)}
    twice = [step for step in sorted(before) if step > kept]
    found = {
        "killed_after": max(before),
        "went_on_from": kept,
        "ended_at": max(after),
        "steps_done_twice": len(twice),
        "largest_difference": max(abs(before[step] - after[step]) for step in twice),
        "losses": {step: [before[step], after[step]] for step in twice},
    }
    print(f"{len(twice)} steps done twice, largest difference {found['largest_difference']:.2e}")
    out(found)


def child(work: Path, small: bool) -> None:
    """The run of `disconnect`: a first time it is killed in the middle, a second time it ends."""
    first = not work.exists()
    changes = ["steps=45", "checkpoint_every=20", "log_every=1", "eval_every=0", "sample_every=0", "compile=off"]
    recipe = recipe_of(small, changes)

    def power_cut(row: dict) -> None:
        if first and row["step"] == KILLED + 1:  # the row of the step before is in the log
            os.kill(os.getpid(), signal.SIGKILL)

    runs.start_or_resume(recipe, work, _device(), callback=power_cut, progress=False).run()


def recipe_of(small: bool, changes: list[str]) -> Recipe:
    """What notebook 08 trains on a GPU, on the stories that need no internet."""
    recipe = override(get_recipe("gpt2-tinystories"), ["stories=bundled", "sample_every=0"])
    if small:
        return override(recipe, ["tokenizer=bundled", *SMALL, *changes])
    try:
        load_tokenizer("gpt2")
    except CourseError:  # it is not in the Hub's cache, and the Hub cannot be reached
        recipe = override(recipe, ["tokenizer=bundled"])
    return override(recipe, changes)


PARTS: dict[str, Callable] = {"bench": bench, "ladder": options, "train": train, "disconnect": disconnect}


def run_part(name: str, out: Path, limit: float, seconds: float, small: bool, command: list[str] | None = None) -> dict:
    """One part in a process of its own: {"part", "ended", "seconds"}; whatever happens, the next one can run.

    Args:
        limit: seconds, after which the process and all that it started are killed.
        seconds: of training, for `train`.
        command: what is run in the part's stead.
    """
    work = Path(tempfile.mkdtemp(prefix="gpu-checks-"))
    arguments = ["--part", name, "--out", str(out), "--work", str(work / "run"), "--seconds", f"{seconds:.0f}"]
    command = command or [sys.executable, __file__, *arguments, *(["--small"] if small else [])]
    started = time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True)
    try:
        code = process.wait(timeout=limit)
        ended = "done" if code == 0 else f"failed, with exit code {code}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with what it started
        process.wait()
        ended = f"killed: it ran past its limit of {limit:.0f} s"
    for kept in (LOG, CURVES):  # what a run has written of itself, also where it was killed
        if name == "train" and (work / "run" / kept).exists():
            write_atomically(out / f"{name}-{kept}", (work / "run" / kept).read_bytes())
    shutil.rmtree(work, ignore_errors=True)
    return {"part": name, "ended": ended, "seconds": round(time.perf_counter() - started, 1)}


def run_all(names: list[str], out: Path, small: bool, budget: float = BUDGET) -> list[dict]:
    """All parts in order within the budget; the summary is written after each."""
    started, summary = time.perf_counter(), []
    for name in names:
        left = budget - (time.perf_counter() - started)
        later = LIMITS["disconnect"] if name == "train" and "disconnect" in names else 0
        limit = min(LIMITS[name] * (5 if small else 1), left - later)  # a trial may be on a busy machine
        if limit < 20:
            summary.append({"part": name, "ended": "left out: no time was left", "seconds": 0})
        else:
            print(f"\n{name}: at most {limit:.0f} s", flush=True)
            seconds = 3 if small else max(20, min(TRAINING, limit - STARTING))
            summary.append(run_part(name, out, limit, seconds, small))
        print(f"{name}: {summary[-1]['ended']}, {summary[-1]['seconds']} s", flush=True)
        write_json(out / "summary.json", facts(small) | {"parts": summary})
    return summary


def check_place(out: Path, small: bool) -> None:
    """Refuse what could be taken for a measurement of a GPU and is none."""
    there = torch.cuda.is_available()
    if not there and not small:
        raise CourseError("there is no GPU here; --small tries the script without one")
    if (small or not there) and out.resolve().is_relative_to((data_folder() / "recorded").resolve()):
        raise CourseError(f"{out} is for what a GPU has shown: give --out another folder")


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the folder for the results")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by comma")
    parser.add_argument("--small", action="store_true", help="a trial in about a minute, on any machine")
    for hidden in ("--part", "--child", "--work", "--seconds"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    small = arguments.small
    if small:  # captured as for a GPU and run as it is: no compiler is needed
        torch.compile = functools.partial(torch.compile, backend="eager")
    try:
        if arguments.child:
            child(Path(arguments.child), small)
            return 0
        names = arguments.only.split(",")
        if arguments.out is None or not set(names) <= set(PARTS):
            raise CourseError(f"give --out a folder, and --only some of {', '.join(PARTS)}")
        check_place(arguments.out, small)
        if arguments.part:
            path = arguments.out / f"{arguments.part}.json"
            out = lambda result: write_json(path, facts(small) | {"result": result})  # noqa: E731
            seconds = float(arguments.seconds or TRAINING)
            PARTS[arguments.part](out=out, small=small, seconds=seconds, work=Path(arguments.work))
            return 0
        summary = run_all(names, arguments.out, small, math.inf if small else BUDGET)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if all(part["ended"] == "done" for part in summary) else 1


if __name__ == "__main__":
    sys.exit(main())
