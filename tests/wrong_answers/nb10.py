"""Wrong answers to the exercises of notebook 10: importing a module plants its answers."""

from tests.wrong_answers import (  # noqa: F401
    nb10_instruments,
    nb10_learning,
    nb10_scoring,
    nb10_structure,
    nb10_unasked,
)
