"""What notebook 10 teaches is `course.clinic.instruments`, to the letter: instruments, and two ways to look in."""

import ast

import pytest

from helpers.files import repository_root
from tests.taught import assert_same_code

CLINIC, MODULE = "10_debugging_clinic", "course.clinic.instruments"

LITERAL = (
    "outputs", "asked",  # given
    "first_loss", "what_enters", "future_leak", "row_leak", "first_difference",  # solutions of the exercises
    "overfit", "update_ratios", "saturated", "first_nonfinite", "uses_input",
    "train_eval_gap", "loss_by_position", "seeds_differ", "cache_gap",
)  # fmt: skip


@pytest.mark.skipif(
    not (repository_root() / "notebooks" / f"{CLINIC}.ipynb").exists(), reason="the notebook is still a draft"
)
@pytest.mark.parametrize("name", LITERAL)
def test_it_is_the_same_code(name):
    assert_same_code(CLINIC, name, MODULE)


def test_every_instrument_is_taught():
    tree = ast.parse((repository_root() / "course" / "clinic" / "instruments.py").read_text(encoding="utf-8"))
    assert {each.name for each in tree.body if isinstance(each, ast.FunctionDef)} == set(LITERAL)
