"""What notebook 11 teaches is what `course.interpret` and `course.inside` use, to the letter."""

import pytest

from helpers.files import repository_root
from tests.taught import assert_same_code

INSIDE = "11_looking_inside"

LITERAL = [("watching", "course.interpret")]  # given
LITERAL += [  # solutions of exercises 11.1 to 11.7, of 11.9 and of 11.13
    (name, "course.interpret")
    for name in (
        "record", "patch", "logit_lens", "induction_scores", "written_by_heads", "shares", "stand_in", "strongest",
    )
]  # fmt: skip
LITERAL += [("looked_back", "course.inside")]  # solution of exercise 11.5


@pytest.mark.skipif(
    not (repository_root() / "notebooks" / f"{INSIDE}.ipynb").exists(), reason="the notebook is still a draft"
)
@pytest.mark.parametrize(("name", "module"), LITERAL)
def test_it_is_the_same_code(name, module):
    assert_same_code(INSIDE, name, module)
