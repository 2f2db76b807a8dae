"""What notebook 14 teaches is what `helpers.modern` uses: to the letter, or by its results."""

import ast
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers import modern
from helpers.model import GPT, MLP, CausalSelfAttention, GPTConfig, initialize, merge_heads, split_heads
from tests.taught import assert_same_code, taught_definition

SINCE = "14_since_gpt2"
SHAPE = dict(vocab_size=31, context_length=12, n_layer=2, n_head=4, d_model=32)


@pytest.mark.parametrize(
    "name",
    [
        "RMSNorm", "rotary_frequencies", "rotate", "stretched_base", "swiglu_width", "SwiGLU", "repeat_heads", "sees",
        "imbalance",
    ],
)  # fmt: skip
def test_it_is_the_same_code(name):
    assert_same_code(SINCE, name, "helpers.modern")


def taught(*names: str) -> list:
    """Definitions of the notebook, which stand on what `helpers` has under the names of the learner's parts."""
    scope = {"torch": torch, "nn": nn, "F": F, "MLP": MLP, "GPTConfig": GPTConfig, "Tensor": torch.Tensor}
    scope |= {"CausalSelfAttention": CausalSelfAttention, "split_heads": split_heads, "merge_heads": merge_heads}
    scope |= {"replace": replace, "ModernConfig": modern.ModernConfig, "ModernGPT": modern.ModernGPT, "GPT": GPT}
    scope |= {name: getattr(modern, name) for name in ("RMSNorm", "rotate", "rotary_frequencies", "repeat_heads")}
    scope |= {name: getattr(modern, name) for name in ("sees", "imbalance", "swiglu_width")}
    for name in names:
        exec(ast.unparse(taught_definition(SINCE, name).node), scope)
    return [scope[name] for name in names]


def alike(model: nn.Module, other: nn.Module, x: torch.Tensor) -> None:
    """The two have weights of the same names, and with these give the same values and gradients."""
    other.load_state_dict(model.state_dict())
    results = []
    for each in (model, other):
        each.zero_grad()
        given = x.clone().requires_grad_()
        out = each(given)
        out.square().mean().backward()
        results.append([out, given.grad, *(parameter.grad for parameter in each.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_kv_head", [1, 2, 4])
def test_shared_keys_are_those_of_helpers(n_kv_head):
    config = modern.ModernConfig(rotary=True, n_kv_head=n_kv_head, **SHAPE)
    (attention,) = taught("GroupedAttention")
    alike(modern.GroupedQueryAttention(config), attention(config, n_kv_head), torch.randn(2, 12, 32))


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_a_mixture_is_that_of_helpers(top_k):
    config = modern.ModernConfig(n_expert=4, top_k=top_k, **SHAPE)
    (mixture,) = taught("Mixture")
    ours, theirs = modern.Mixture(config), mixture(config)
    alike(ours, theirs, torch.randn(2, 12, 32))
    torch.testing.assert_close(ours.imbalance, theirs.imbalance)


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ("with_rms_norm", dict(rms_norm=True)),
        ("with_rotary", dict(rotary=True)),
        ("with_swiglu", dict(swiglu=True)),
        ("with_qk_norm", dict(qk_norm=True)),
        ("with_one_head_of_keys", dict(rotary=True, n_kv_head=1)),
        ("with_window", dict(rotary=True, window=32)),
        ("with_cap", dict(logit_cap=30.0)),
    ],
)
def test_a_gpt_that_is_changed_in_the_notebook_is_the_modern_one(change, options):
    """Not only part by part: as a whole, whatever was put in, after the same initialization."""
    parts = {
        "with_rotary": ["NoPositions", "RotaryAttention"],
        "with_swiglu": ["SwiGLU"],
        "with_qk_norm": ["QKNormAttention"],
        "with_one_head_of_keys": ["NoPositions", "GroupedAttention"],
        "with_cap": ["soft_cap", "SoftCappedHead"],
        "with_window": ["NoPositions", "RotaryAttention", "WindowAttention"],
    }.get(change, [])
    shape = SHAPE | dict(context_length=40, tied_head=False)  # as the storyteller
    model = GPT(GPTConfig(**shape))
    *_, put_in = taught(*parts, change)
    put_in(model)
    initialize(model)
    ours = modern.ModernGPT(modern.ModernConfig(**shape, **options))
    theirs = {name: tensor for name, tensor in model.state_dict().items()}
    assert theirs.keys() == ours.state_dict().keys()
    ours.load_state_dict(theirs)
    ids = torch.randint(31, (2, 40))
    torch.testing.assert_close(model(ids), ours(ids), rtol=1e-5, atol=1e-5)
