"""What notebook 13 teaches is what `helpers` and `course` use: to the letter, or by its results."""

import ast
import math

import numpy as np
import pytest
import torch

from course import several_gpus
from course.bench.planning import training_flops_per_token
from course.scaling import law as scaling
from course.scaling import mup
from helpers import distributed
from helpers.model import GPT, GPTConfig
from helpers.optimizers import parameter_groups
from helpers.settings import OptimizerConfig
from tests.taught import assert_same_code, taught_definition

SCALING = "13_scaling_up"


@pytest.mark.parametrize(
    ("name", "module"), [("resample", "course.scaling.law"), ("average_gradients", "helpers.distributed")]
)
def test_it_is_the_same_code(name, module):
    assert_same_code(SCALING, name, module)


def solution(name: str):
    """A solution of the notebook, as a function."""
    scope = {"np": np, "math": math, "torch": torch, "parameter_groups": parameter_groups}
    exec(ast.unparse(taught_definition(SCALING, name).node), scope)
    return scope[name]


def test_operations_are_those_that_plans_count():
    for config in (GPTConfig.gpt2("small"), GPTConfig(97, 32, n_layer=3, n_head=2, d_model=16, d_ff=24)):
        tokens = 5 * config.context_length
        counted = sum(solution("training_operations")(config, tokens).values())
        assert counted == training_flops_per_token(config) * tokens


def test_the_fit_s_loss_is_that_of_helpers():
    generator = np.random.default_rng(0)
    N, D, L = generator.uniform(1e4, 1e6, 8), generator.uniform(1e5, 1e7, 8), generator.uniform(0.5, 2, 8)
    parameters = [-1.0, 6.0, 0.5, 12.0, 0.9]
    found = solution("log_residuals")(parameters, N, D, L)
    assert found == pytest.approx(scaling.log_residuals(parameters, N, D, L), rel=1e-12)
    for delta in (1e-3, scaling.DELTA, 1.0):
        assert solution("huber")(found, delta) == pytest.approx(scaling.huber(found, delta), rel=1e-12)


@pytest.mark.parametrize("operations", [1e12, 5.76e23])
def test_the_best_split_is_the_law_s(operations):
    law = scaling.ScalingLaw(0.42, 2e4, 0.9, 3e5, 0.95)
    assert solution("best_split")(law, operations) == pytest.approx(law.best_split(operations), rel=1e-12)


def test_shares_of_rows_are_those_of_helpers():
    for count in (1, 2, 3, 7):
        for total in (0, 1, 6, 7, 20):
            for rank in range(count):
                assert solution("rows_of")(rank, count, total) == distributed.rows_of(rank, count, total)


def test_groups_of_mup_are_those_of_the_sweeps():
    model = GPT(GPTConfig(97, 16, n_layer=2, n_head=4, d_model=64, tied_head=False))
    groups = solution("mup_groups")(model, 0.01, 32)
    theirs = mup.optimizers(model, OptimizerConfig(lr=0.01), 32)[0].param_groups
    rates = [{parameter: group["lr"] for group in each for parameter in group["params"]} for each in (groups, theirs)]
    assert rates[0] == rates[1] and len(rates[0]) == len(list(model.parameters()))


def test_what_a_gpu_holds_is_counted_alike():
    for stage in range(4):
        assert solution("memory_per_gpu")(1e9, 8, stage) == several_gpus.memory_per_gpu(1e9, 8, stage)
