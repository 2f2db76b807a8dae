"""Ask TRL and PEFT for the numbers that `helpers.alignment` must give too.

    python -m pip install -r docs/tools/alignment_requirements.txt
    python docs/tools/alignment_peers.py

writes data/recorded/alignment_peers.json: the tensors that went in, and what came out. Tests compare the course with
that file everywhere, and with the packages themselves where they are installed. It is the trainers' own loss functions
that are called, on these tensors; a stand-in takes the trainer's place, so no model is loaded for them.
"""

import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

from helpers.files import data_folder, rounded, write_json
from helpers.model import GPT, GPTConfig

FILE = data_folder() / "recorded" / "alignment_peers.json"
# Every way of TRL's to take the mean, and what `helpers.alignment.answers_mean` calls it; 7.0 is a longest answer.
PER = {"grpo": "answer", "bnpo": "token", "dapo": "token", "dr_grpo": 7.0}
RANK, ALPHA, LAYERS = 3, 12.0, ("attn.qkv", "mlp.fc", "mlp.proj")


def inputs(seed: int = 0) -> dict[str, Tensor]:
    """Tensors as they might come up: six answers of unequal length, ratios inside and outside of the clip."""
    generator = torch.Generator().manual_seed(seed)
    logprobs = -2 * torch.rand(6, 7, generator=generator)
    lengths = torch.tensor([7, 5, 1, 3, 6, 2])
    return {
        "logprobs": logprobs,
        "old": logprobs + 0.3 * torch.randn(6, 7, generator=generator),
        "reference": logprobs + 0.5 * torch.randn(6, 7, generator=generator),
        "advantages": torch.randn(6, generator=generator),
        "mask": torch.arange(7) < lengths[:, None],
        "policy_better": -40 * torch.rand(6, generator=generator),
        "policy_worse": -40 * torch.rand(6, generator=generator),
        "reference_better": -40 * torch.rand(6, generator=generator),
        "reference_worse": -40 * torch.rand(6, generator=generator),
    }


def stand_in(**values) -> MagicMock:
    """What a trainer's loss function asks its trainer: one process, no accumulation, and these values."""
    one = SimpleNamespace(
        num_processes=1,
        device="cpu",
        reduce=lambda value, reduction: value,
        gather=lambda value: value,
        gather_for_metrics=lambda value: value,
    )
    metrics = defaultdict(lambda: defaultdict(list))
    trainer = MagicMock(accelerator=one, model=SimpleNamespace(training=False), _metrics=metrics)
    for name, value in values.items():
        setattr(trainer, name, value)
    return trainer


def trl_grpo(tensors: dict[str, Tensor], loss_type: str, clip: float, beta: float) -> dict:
    """TRL's GRPO loss, its gradient by the log-probabilities, (B, T), and the divergence that it reports."""
    from trl import GRPOTrainer

    logprobs = tensors["logprobs"].clone().requires_grad_()
    trainer = stand_in(
        loss_type=loss_type,
        beta=beta,
        epsilon_low=clip,
        epsilon_high=clip,
        importance_sampling_level="token",
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        aux_loss_enabled=False,
        use_vllm=False,
        max_completion_length=int(PER["dr_grpo"]),
        _entropy_bonus_enabled=False,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        _get_per_token_logps_and_entropies=lambda *_, **__: (logprobs, torch.zeros_like(logprobs), None),
    )
    empty, mask = torch.zeros(len(logprobs), 0, dtype=torch.long), tensors["mask"].long()
    batch = {
        "prompt_ids": empty,
        "prompt_mask": empty,
        "completion_ids": torch.zeros_like(mask),
        "completion_mask": mask,
        "advantages": tensors["advantages"],
        "old_per_token_logps": tensors["old"],
        "ref_per_token_logps": tensors["reference"],
        "num_items_in_batch": mask.sum(),
    }
    loss = GRPOTrainer._compute_loss(trainer, None, batch)
    loss.backward()
    kl = trainer._metrics["eval"]["kl"][0] if beta else None
    return {"loss": loss.item(), "gradient": logprobs.grad.tolist(), "kl": kl}


def trl_dpo(tensors: dict[str, Tensor], beta: float) -> dict:
    """TRL's sigmoid loss, its gradient by log p of the better answers, (B,), and the mean implicit rewards."""
    from trl import DPOTrainer

    better = tensors["policy_better"].clone().requires_grad_()
    logps = torch.cat([better, tensors["policy_worse"]])[:, None]  # answers of one token: (2 B, 1)
    trainer = stand_in(
        beta=beta,
        loss_types=["sigmoid"],
        loss_weights=[1.0],
        f_divergence_type="reverse_kl",
        ld_alpha=None,
        precompute_ref_logps=True,
        aux_loss_enabled=False,
        use_weighting=False,
    )
    ids = torch.zeros(2 * len(better), 2, dtype=torch.long)
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "completion_mask": torch.tensor([[0, 1]]).expand_as(ids),
        "ref_chosen_logps": tensors["reference_better"],
        "ref_rejected_logps": tensors["reference_worse"],
    }
    rest = torch.zeros_like(logps)
    outputs = SimpleNamespace(log_probs=logps, entropy=rest, mean_logits=rest, is_top1=rest.bool())
    loss = DPOTrainer._compute_loss(trainer, lambda **_: outputs, batch, False)
    loss.backward()
    rewards = [trainer._metrics["eval"][f"rewards/{name}"][0] for name in ("chosen", "rejected")]
    return {"loss": loss.item(), "gradient": better.grad.tolist(), "rewards": rewards}


def small_model() -> GPT:
    """The model that gets adapters; its weights depend on no random number generator."""
    model = GPT(GPTConfig(vocab_size=11, context_length=6, n_layer=1, n_head=2, d_model=4))
    return fill(model)


def fill(model) -> GPT:
    """Give every parameter values that are different and made by a formula."""
    with torch.no_grad():
        for number, (_, parameter) in enumerate(sorted(model.named_parameters())):
            values = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((0.4 * torch.sin(1.7 * values + number)).view_as(parameter))
    return model


def adapters(name: str, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A (rank, in) and B (out, rank) for the layer of that name, whose weight is (out, in)."""
    count = torch.arange(RANK * sum(shape), dtype=torch.float64) + len(name)
    values = torch.sin(2.3 * count).float()
    return values[: RANK * shape[1]].view(RANK, shape[1]), values[RANK * shape[1] :].view(shape[0], RANK)


IDS = torch.tensor([[1, 5, 3, 9, 2, 0], [4, 4, 8, 7, 10, 6]])


def peft_lora() -> dict[str, Tensor]:
    """The logits of PEFT's adapters, gradients by A and B of the sum of the squared logits, and the merged weights."""
    from peft import LoraConfig, inject_adapter_in_model

    model = small_model()
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, bias="none", target_modules=list(LAYERS))
    model = inject_adapter_in_model(config, model)
    layers = {name: each for name, each in model.named_modules() if name.endswith(LAYERS)}
    with torch.no_grad():
        for name, layer in layers.items():
            A, B = adapters(name, layer.base_layer.weight.shape)
            layer.lora_A["default"].weight.copy_(A)
            layer.lora_B["default"].weight.copy_(B)
    logits = model(IDS)
    logits.pow(2).sum().backward()
    found = {"logits": logits.detach()}
    for name, layer in layers.items():
        found[f"{name}.A"] = layer.lora_A["default"].weight.grad
        found[f"{name}.B"] = layer.lora_B["default"].weight.grad
        layer.merge()
        found[f"{name}.merged"] = layer.base_layer.weight.detach()
    return found


def peers(tensors: dict[str, Tensor]) -> dict:
    """All that the packages say of `inputs`, as JSON can hold it."""
    found = {"inputs": {name: value.tolist() for name, value in tensors.items()}, "grpo": [], "dpo": []}
    for loss_type in PER:
        for clip, beta in ((0.2, 0.04), (0.1, 0.0), (0.3, 1.0)):
            case = {"loss_type": loss_type, "clip": clip, "beta": beta}
            found["grpo"].append(case | trl_grpo(tensors, **case))
    for beta in (0.01, 0.1, 0.5):
        found["dpo"].append({"beta": beta} | trl_dpo(tensors, beta))
    found["lora"] = {name: value.tolist() for name, value in peft_lora().items()}
    return found


def main() -> None:
    packages = {name: version(name) for name in ("trl", "peft")}
    about = {"made_by": "python docs/tools/alignment_peers.py", "packages": packages}
    print(write_json(FILE, about | rounded(peers(inputs()), 9)))  # nine digits are a float32, exactly


if __name__ == "__main__":
    main()
