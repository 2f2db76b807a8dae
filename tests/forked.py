"""The commands of `python -m course`, each in a process of its own, without the seconds that importing takes each time.

One process imports everything and then forks for every command: an exit code is a real one, a crash of a library and a
hang hurt nobody, and nothing is left over from one command to the next. Linux and macOS only.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    *(f"course.cli.{name}" for name in ("evaluate", "export", "generate", "grade", "handout", "mine", "publish")),
    *(f"course.cli.{name}" for name in ("chat", "quiz", "record", "resume", "run", "train", "page", "scaling")),
    *(f"course.cli.{name}" for name in ("instructions", "listening", "since_gpt2")),
    "course.scaling.running", "course.instructions.recording", "course.instructions.talk", "course.site.page",
    "course.diagnosis",
    "course.export", "course.figures.training", "course.reference_ranges", "course.site.model_cards",
    "course.tensorboard_writer", "course.bench.planning", "course.mine", "course.distributed", "course.runs",
    "helpers.evaluation", "pyarrow.parquet", "datasets", "safetensors.torch", "nbformat", "nbclient", "nbconvert",
    # What torch and matplotlib load at their first use, for seconds.
    "matplotlib.backends.backend_agg", "torch._dynamo", "torch._inductor", "torch.distributed.tensor",
    "torch.fx.experimental.symbolic_shapes",
)  # fmt: skip
PLACES = ("helpers.files", "course.site.notebooks", "course.cli.publish", "course.cli.run")  # that ask for the root


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int  # its exit code; below 0 the signal that ended it
    out: str
    err: str
    hung: bool  # it had to be killed

    @property
    def traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.err or self.code < 0

    @property
    def lines(self) -> list[str]:
        """What it said in case of an error."""
        return [line for line in self.err.split("\n") if line.strip()]


class Commands:
    """A process that runs commands, one after the other: `with Commands() as run: run(["generate", "Once"])`."""

    def __enter__(self):
        quiet = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "MPLBACKEND": "agg", "HF_HUB_OFFLINE": "1"}
        environment = os.environ | quiet | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            [sys.executable, __file__], env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)

    def start(self, argv, **options) -> None:
        """Begin a command without waiting for its end, which `outcome` does."""
        self.process.stdin.write(json.dumps({"argv": [str(each) for each in argv], **options}) + "\n")
        self.process.stdin.flush()

    def outcome(self) -> Outcome:
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that runs the commands has ended: {self.process.wait(60)}")
        return Outcome(**json.loads(answer))

    def __call__(self, argv, **options) -> Outcome:
        """Run one command.

        Options: `root`, a folder that stands for the course's own (data, notebooks); `runs`, for COURSE_RUNS; `cwd`;
        `seconds`, after which it counts as hung; `plain`, true for a process without root's right to read all;
        `given`, text for its standard input.
        """
        self.start(argv, **options)
        return self.outcome()


def _serve() -> None:
    import torch

    torch.set_num_threads(1)
    for module in MODULES:
        importlib.import_module(module)
    # The memory of a step is counted with torch's fake tensors, for seconds in each process; that has its own tests.
    model = importlib.import_module("helpers.model").GPT
    importlib.import_module("course.bench.planning").moving_bytes = lambda config, *_: (model(config), 10**6)
    # A page's runtime is fetched, its graph made by packages that learners need not have; both have tests of their own.
    page = importlib.import_module("course.site.page")
    page.runtime_files, page.as_onnx = (lambda cache: {}), (lambda model: b"")
    # Of the bundled stories the small course has sixty of either split.
    orders = importlib.import_module("course.instructions.dataset")
    orders.SEEN, orders.UNSEEN, orders.QUESTIONS = {1: 2, 2: 1}, {3: 1}, 2
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        outcome = _run(**json.loads(line))
        answers.write(json.dumps(vars(outcome)) + "\n")
        answers.flush()


def _run(argv, root=None, runs=None, cwd=None, seconds=60.0, plain=False, given=None) -> Outcome:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as entered:
        entered.write((given or "").encode())
        entered.seek(0)
        child = os.fork()
        if child == 0:
            _be_the_command(argv, root, runs, cwd, plain, (entered, out, err))
        status, hung, end, pause = None, False, time.monotonic() + seconds, 0.001
        while status is None:
            done, found = os.waitpid(child, os.WNOHANG)
            if done:
                status = found
            elif time.monotonic() > end and not hung:
                hung = True
                os.killpg(child, signal.SIGKILL)
            else:
                time.sleep(pause)
                pause = min(pause * 1.5, 0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what it may have left behind
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
        return Outcome(os.waitstatus_to_exitcode(status), *texts, hung)


def _be_the_command(argv, root, runs, cwd, plain, streams) -> None:
    code = 1
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream.fileno(), number)
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)
        sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False, buffering=1)
        if runs:
            os.environ["COURSE_RUNS"] = runs
        if cwd:
            os.chdir(cwd)
        if root:
            for place in PLACES:
                importlib.import_module(place).repository_root = lambda: Path(root)
        if plain:
            be_an_ordinary_user()
        from course.__main__ import main

        code = main(argv)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def be_an_ordinary_user() -> None:
    """Give up root's rights to read and write everything, in this process; Linux only, nothing if there are none."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(head, data):
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    _serve()
