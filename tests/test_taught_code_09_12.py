"""What notebooks 09 and 12 teach is what `helpers` uses: which pieces to the letter, and which by their results."""

import ast

import pytest
import torch

from helpers.files import repository_root
from helpers.kv_cache import KVCache, visible
from helpers.model import GPT, GPTConfig
from tests.taught import assert_same_code, taught_definition

SAMPLING, PRETRAINED = "09_perplexity_and_sampling", "12_pretrained_gpt2"

# To the letter, syntax tree by syntax tree: notebook, what it calls it, module, and its name there.
LITERAL = [
    (SAMPLING, "apply_temperature", "helpers.sampling", "apply_temperature"),  # solutions of exercises 9.4 to 9.9
    (SAMPLING, "keep_top_k", "helpers.sampling", "keep_top_k"),
    (SAMPLING, "keep_top_p", "helpers.sampling", "keep_top_p"),
    (SAMPLING, "penalize_repetition", "helpers.sampling", "penalize_repetition"),
    (SAMPLING, "sample_by_inversion", "helpers.sampling", "sample_by_inversion"),
    (SAMPLING, "beam_step", "helpers.sampling", "beam_step"),
    (SAMPLING, "keep_min_p", "helpers.sampling", "keep_min_p"),
    (SAMPLING, "reshape", "helpers.sampling", "reshape"),
    (SAMPLING, "LayerCache", "helpers.kv_cache", "LayerCache"),  # solution of exercise 9.12
    (PRETRAINED, "THEIRS", "helpers.pretrained", "THEIRS"),
    (PRETRAINED, "CONV1D", "helpers.pretrained", "CONV1D"),
    (PRETRAINED, "transformers_name", "helpers.pretrained", "transformers_name"),
    (PRETRAINED, "for_transformers", "helpers.pretrained", "for_transformers"),
]
# By their results, because the notebook builds a simpler thing on purpose; the test that compares them.
NUMERICAL = {
    (SAMPLING, "log_probs"): "test_notebook_09.py::test_log_probs_are_those_of_evaluate",
    (SAMPLING, "padded_scores"): "test_notebook_09.py::test_padded_sequences_score_the_same_where_they_are_real",
    (
        SAMPLING,
        "overlapping_windows",
    ): "test_notebook_09.py::test_windows_are_those_of_evaluate_where_both_overlap_by_half",
    (
        SAMPLING,
        "stream_nats",
    ): "test_notebook_09.py::test_a_stream_in_overlapping_windows_is_scored_as_evaluate_scores_it",
    (SAMPLING, "positions_and_mask"): "test_taught_code_09_12.py::test_the_simple_mask_is_that_of_the_cache",
    (
        SAMPLING,
        "KVCache",
    ): "test_notebook_09.py::test_the_taught_cache_is_that_of_helpers_for_one_sequence_also_past_the_context",
    (SAMPLING, "tell"): "test_notebook_09.py::test_the_taught_story_is_that_of_helpers_from_the_same_seed",
    (PRETRAINED, "convert_state"): "test_notebook_12.py::test_the_taught_map_is_the_helpers",
    (PRETRAINED, "our_name"): "test_notebook_12.py::test_the_solutions_are_the_helpers_too",
}


@pytest.mark.parametrize(("notebook", "name", "module", "used_as"), LITERAL, ids=lambda value: value.split(".")[-1])
def test_it_is_the_same_code(notebook, name, module, used_as):
    assert_same_code(notebook, name, module, used_as=used_as)


def test_the_simple_mask_is_that_of_the_cache():
    """Exercise 9.11 is about one sequence; the cache asks the same for a batch."""
    scope = {"torch": torch}
    exec(ast.unparse(taught_definition(SAMPLING, "positions_and_mask").node), scope)
    cache = KVCache(GPT(GPTConfig(11, context_length=16, n_layer=1, n_head=1, d_model=4)))
    for past, new in ((0, 4), (5, 1), (2, 3)):
        positions, mask = scope["positions_and_mask"](past, new)
        cache.first, cache.length = torch.zeros(1, dtype=torch.long), past
        assert torch.equal(cache.positions(torch.zeros(1, new, dtype=torch.long))[0], positions)
        assert torch.equal(visible(cache.first, past, new)[0, 0], mask)


@pytest.mark.parametrize("test", NUMERICAL.values())
def test_every_comparison_by_results_is_there(test):
    path, name = test.split("::")
    tree = ast.parse((repository_root() / "tests" / path).read_text(encoding="utf-8"))
    assert name in {statement.name for statement in tree.body if isinstance(statement, ast.FunctionDef)}
