"""What the notebooks of the course import. Start with `course`; nothing heavy is imported here."""

import os
import sys
from collections.abc import Callable

from helpers.errors import CourseError

# Looked at here, and not in what follows: an older Python could not even read it.
if sys.version_info < (3, 11):  # noqa: UP036
    raise CourseError(
        f"the course needs Python 3.11 or newer, and this is Python {sys.version.split()[0]}: make an environment with "
        "a newer one by the first command of README.md, and choose it as the notebook's kernel"
    )

# A thread that waits for another should look for work a short while and then sleep. By default (GNU OpenMP, on Linux)
# it looks for milliseconds: fast alone, ten times slower where another process wants the same cores. Sleeping at once
# (OMP_WAIT_POLICY=PASSIVE) is worse alone: a training step of the storyteller took 453 ms on two cores instead of 193.
# With this many looks it takes 195 ms. Torch reads the variable when it is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# What can generate in a model's stead, by name: each takes a `GPT` (see `helpers.generation.Storyteller.load`). None is
# built in the notebooks; `course` adds CTranslate2.
ENGINES: dict[str, Callable] = {}
