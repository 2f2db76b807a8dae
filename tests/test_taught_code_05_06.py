"""The model that notebooks 05 and 06 build is `helpers.model`, statement by statement.

| taught | used | equality |
|---|---|---|
| 05: `split_heads`, `merge_heads`, `CausalSelfAttention` | `helpers.model` | of the text |
| 06: `MLP`, `Block`, `FixedPositions`, `GPT`, `initialize` | `helpers.model` | of the text |
| 05: `SelfAttention`, `CausalHead`, `HeadsInALoop` | steps on the way | numerical |
| 05: `masked_attention` | `F.scaled_dot_product_attention`, `CausalSelfAttention.weights` | numerical |
| 06: `layer_norm`, `gelu`, `gelu_exact` | `nn.LayerNorm`, `nn.GELU` | numerical |

What is equal in numbers is compared in `test_notebook_05.py` and `test_notebook_06.py`. `sinusoids` is notebook 04's.
"""

import ast

import pytest

from helpers.errors import CourseError
from helpers.files import repository_root
from tests.taught import assert_same_code, taught_definition

ATTENTION, DECODER, MODEL = "05_self_attention", "06_gpt2_decoder", "helpers.model"
SAME = [
    (ATTENTION, "split_heads"),
    (ATTENTION, "merge_heads"),
    (ATTENTION, "CausalSelfAttention"),
    (DECODER, "MLP"),
    (DECODER, "Block"),
    (DECODER, "FixedPositions"),
    (DECODER, "GPT"),
    (DECODER, "initialize"),
]
CHECKS = {"check_config", "check_ids", "check_targets", "_outside"}  # they say what is wrong, and compute nothing


@pytest.mark.parametrize(("notebook", "name"), SAME)
def test_what_is_taught_is_what_is_used(notebook, name):
    assert_same_code(notebook, name, MODEL)


def test_nothing_that_computes_is_left_out():
    """Each class and function of the module is in the list, but for the configuration, notebook 04's and the checks."""
    source = (repository_root() / "helpers" / "model.py").read_text(encoding="utf-8")
    used = {node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assert used == {name for _, name in SAME} | {"GPTConfig", "sinusoids"} | CHECKS


def test_06_imports_none_of_the_classes_that_it_builds():
    for name in ("MLP", "Block", "GPT"):
        assert isinstance(taught_definition(DECODER, name).node, ast.ClassDef)


def test_a_method_that_differs_would_be_found():
    with pytest.raises(AssertionError, match="MLP is not the same in 06_gpt2_decoder, solution of exercise 6.3"):
        assert_same_code(DECODER, "MLP", MODEL, used_as="Block")
    with pytest.raises(CourseError, match="defines no Decoder"):
        assert_same_code(DECODER, "Decoder", MODEL)
