"""GRPO, DPO and LoRA of `helpers.alignment` beside the numbers of TRL and PEFT on the same tensors: those recorded, and
the packages themselves where docs/tools/alignment_requirements.txt is installed.
"""

import alignment_peers
import pytest
import torch

from helpers import alignment
from helpers.files import read_json

NEAR = dict(atol=1e-5, rtol=0)
RECORDED = read_json(alignment_peers.FILE)
INPUTS = {name: torch.tensor(value) for name, value in RECORDED["inputs"].items()}


def near(found, expected):
    torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(expected), **NEAR)


@pytest.fixture(scope="module")
def live() -> dict:
    """What the packages say here and now, of the same tensors."""
    pytest.importorskip("trl")
    pytest.importorskip("peft")
    return alignment_peers.peers(INPUTS)


@pytest.mark.parametrize("number", range(len(RECORDED["grpo"])))
def test_grpo_is_trls(number):
    case, logprobs = RECORDED["grpo"][number], INPUTS["logprobs"].clone().requires_grad_()
    rest = [INPUTS[name] for name in ("old", "reference", "advantages", "mask")]
    per = alignment_peers.PER[case["loss_type"]]
    loss = alignment.grpo_loss(logprobs, *rest, clip=case["clip"], beta=case["beta"], per=per)
    loss.backward()
    near(loss.detach(), case["loss"])
    near(logprobs.grad, case["gradient"])
    if case["beta"]:
        k3 = alignment.kl_estimates(INPUTS["logprobs"], INPUTS["reference"]).k3
        near(alignment.answers_mean(k3, INPUTS["mask"], "token"), case["kl"])


def test_what_was_recorded_has_tokens_inside_and_outside_of_every_clip():
    ratio = (INPUTS["logprobs"] - INPUTS["old"]).exp()[INPUTS["mask"]]
    for case in RECORDED["grpo"]:
        outside = ((ratio - 1).abs() > case["clip"]).sum()
        assert 2 <= outside <= len(ratio) - 2


@pytest.mark.parametrize("number", range(len(RECORDED["dpo"])))
def test_dpo_is_trls(number):
    case, better = RECORDED["dpo"][number], INPUTS["policy_better"].clone().requires_grad_()
    rest = [INPUTS[name] for name in ("policy_worse", "reference_better", "reference_worse")]
    loss = alignment.dpo_loss(better, *rest, beta=case["beta"])
    loss.backward()
    near(loss.detach(), case["loss"])
    near(better.grad, case["gradient"])
    for side, expected in zip(("better", "worse"), case["rewards"], strict=True):
        rewards = alignment.implicit_rewards(INPUTS[f"policy_{side}"], INPUTS[f"reference_{side}"], case["beta"])
        near(rewards.mean(), expected)


def test_adapters_are_pefts():
    model, recorded = alignment_peers.small_model(), RECORDED["lora"]
    alignment.add_lora(model, alignment_peers.RANK, alignment_peers.ALPHA, alignment_peers.LAYERS)
    layers = {name: each for name, each in model.named_modules() if isinstance(each, alignment.LoRALinear)}
    with torch.no_grad():
        for name, layer in layers.items():
            A, B = alignment_peers.adapters(name, layer.weight.shape)
            layer.A.copy_(A)
            layer.B.copy_(B)
    logits = model(alignment_peers.IDS)
    logits.pow(2).sum().backward()
    found = {"logits": logits.detach()}
    for name, layer in layers.items():
        found |= {f"{name}.A": layer.A.grad, f"{name}.B": layer.B.grad}
    alignment.fold_lora(model)
    found |= {f"{name}.merged": model.get_submodule(name).weight.detach() for name in layers}
    assert found.keys() == recorded.keys()
    for name, value in found.items():
        scale = max(1.0, torch.tensor(recorded[name]).abs().max().item())  # some of these gradients are in the hundreds
        near(value / scale, torch.tensor(recorded[name]) / scale)
    near(model(alignment_peers.IDS).detach(), recorded["logits"])


@pytest.mark.parametrize("what", ["grpo", "dpo", "lora"])
def test_the_packages_still_say_what_was_recorded(what, live):
    def compare(now, then):
        if isinstance(then, dict):
            assert now.keys() == then.keys()
            for name in then:
                compare(now[name], then[name])
        elif isinstance(then, list) and isinstance(then[0], dict):
            for one, other in zip(now, then, strict=True):
                compare(one, other)
        elif isinstance(then, str) or then is None:
            assert now == then
        else:
            torch.testing.assert_close(torch.tensor(now), torch.tensor(then), atol=1e-5, rtol=1e-5)

    compare(live[what], RECORDED[what])
