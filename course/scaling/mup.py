"""muP, the parametrization in which the best learning rate does not move with the width of a model.

Yang et al. 2022, "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer", table 3, for
Adam, in a model whose heads are of one size at all widths: against a base width the matrices of the blocks start
smaller by the root of the ratio of widths, the head by the ratio itself, and both learn slower by the ratio.
Embeddings, biases and norms stay as they are.
"""

import torch

from helpers.model import GPT
from helpers.optimizers import parameter_groups
from helpers.settings import OptimizerConfig


@torch.no_grad()
def scale(model: GPT, base: int) -> None:
    """Start a model as muP wants it, in place: matrices of the blocks and an untied head become smaller."""
    ratio = base / model.config.d_model
    for matrix in parameter_groups(model)["hidden"]:
        matrix.mul_(ratio**0.5)
    model.head.weight.mul_(ratio)


def optimizers(model: GPT, config: OptimizerConfig, base: int) -> list[torch.optim.Optimizer]:
    """AdamW with muP's learning rates, in the form that `helpers.optimizers.build_optimizer` returns."""
    groups, ratio = parameter_groups(model), base / model.config.d_model
    head = model.head.weight
    embeddings = [parameter for parameter in groups["embeddings"] if parameter is not head]
    made = torch.optim.AdamW(
        [
            dict(params=[*groups["hidden"], head], lr=config.lr * ratio),
            dict(params=[*embeddings, *groups["vectors"]], lr=config.lr),
        ],
        betas=(config.beta1, config.beta2),
        weight_decay=0.0,
    )
    for group in made.param_groups:
        group["initial_lr"] = group["lr"]
    return [made]
