"""What the notebooks of the course import. Start with `helpers.course`; nothing heavy is imported here."""

import os

# Threads that wait should sleep, not spin: where another process wants the same cores (a second notebook, a browser),
# spinning was measured to cost ten times the speed. Torch reads this when it is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
