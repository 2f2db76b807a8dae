"""A learner's own function, run in several processes at a time, as `torchrun` runs a training (13).

>>> print(in_processes(worker, count=2, average_gradients=average_gradients))                   # doctest: +SKIP

What the function is and uses is written into a script in runs/, which can be opened, changed and started by hand.
"""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable

from course.checks.source import source_of
from helpers.errors import CourseError
from helpers.files import repository_root, runs_folder, write_atomically

HEAD = """# Written by notebook 13; start it with
#     python -m torch.distributed.run --standalone --nproc-per-node {count} {name}
from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist

from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig
"""
MAIN = """if __name__ == "__main__":
    dist.init_process_group("gloo")  # the CPU's; GPUs have NCCL
    try:
        {worker}()
    finally:
        dist.destroy_process_group()
"""


def in_processes(worker: Callable[[], None], count: int = 2, seconds: float = 180, **parts: Callable) -> str:
    """Run a function in `count` processes that know each other, each of one thread; returns what they print.

    Args:
        worker: without arguments; its cell's imports and definitions come along. In it `dist` is torch.distributed.
        seconds: after which all are stopped.
        parts: functions that it uses, by the name under which it does.

    Raises:
        CourseError: a function's text cannot be found, a process failed (with the last line that it said), or time
            is up: one waits for the others, as happens where not all make the same calls.
    """
    path = runs_folder() / f"{worker.__name__}.py"
    texts = [HEAD.format(count=count, name=path.name)]
    for name, part in (parts | {worker.__name__: worker}).items():
        own = inspect.unwrap(part)
        if (source := source_of(own)) is None:
            raise CourseError(f"the text of {name} is not found: define it with `def` in a cell of its own")
        texts.append(source + (f"\n\n{name} = {own.__name__}\n" if name != own.__name__ else ""))
    write_atomically(path, "\n\n".join([*texts, MAIN.format(worker=worker.__name__)]))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), str(path)]
    places = os.pathsep.join([str(repository_root()), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": places}
    piped = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment)
    for _ in range(2):  # gloo can end a process by a signal while another one leaves; that is nobody's mistake
        with subprocess.Popen(launch, **piped) as launched:
            try:
                printed, complaints = launched.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                raise CourseError(
                    f"{count} processes did not end within {seconds:g} s: does each make the same calls, in one order?"
                ) from None
            finally:
                launched.terminate()  # the launcher ends the others; where all have ended it does nothing
        if not launched.returncode:
            return printed.rstrip()
        if said := _what_failed(complaints):
            raise CourseError(f"a process failed: {said}")
    raise CourseError(f"a process failed: start {path.name} by hand to see what it says")


def _what_failed(complaints: str) -> str | None:
    """What the first traceback of a process ends with, not the launcher's own; None: a signal ended it."""
    ends = re.findall(r"^(?:\[rank\d+\]: ?)?((?:\w+\.)*\w*(?:Error|Exception)\b.*)$", complaints, flags=re.MULTILINE)
    own = [end for end in ends if "ChildFailedError" not in end]
    return own[0][:300] if own else None
