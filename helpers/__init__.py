"""What the notebooks of the course import. Start with `helpers.course`; nothing heavy is imported here."""

import os

# A thread that waits for another should look for work a short while and then sleep. By default (GNU OpenMP, on Linux)
# it looks for milliseconds: fast alone, ten times slower where another process wants the same cores. Sleeping at once
# (OMP_WAIT_POLICY=PASSIVE) is worse alone: a training step of the storyteller took 453 ms on two cores instead of 193.
# With this many looks it takes 195 ms. Torch reads the variable when it is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
