"""Wrong answers to the exercises of notebook 10: importing a module plants its answers."""

from tests.wrong_answers import nb10_instruments, nb10_learning, nb10_scoring, nb10_structure  # noqa: F401
