"""Built in notebook 07: how the weights move: by AdamW, or by Muon in the blocks and AdamW for the rest.

AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization") scales every value by its own history. Muon
(Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024) treats a matrix as a whole: it moves
along the orthogonal matrix nearest to its momentum buffer, so that all directions are learned at the same pace.

Used in `helpers.train_step`, and in notebook 07.
"""

import torch
from torch import Tensor, nn

from helpers.errors import CourseError
from helpers.settings import OptimizerConfig

# The quintic of Muon's reference implementation. Its steps do not converge to 1; they carry singular values from
# almost nothing to somewhere between 0.7 and 1.2 in five steps, and training needs no more.
QUINTIC = (3.4445, -4.7750, 2.0315)


def parameter_groups(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The model's parameters by what they are: "hidden" matrices, "embeddings" (with the head), "vectors".

    Vectors (biases, LayerNorm's weights) never decay: pulling a LayerNorm's weight to zero switches its feature off.
    Embeddings do not by default: most rows get no gradient in a step, and decay would wear away the vectors
    of rare tokens.
    """
    groups: dict[str, list[nn.Parameter]] = {"hidden": [], "embeddings": [], "vectors": []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.dim() < 2:
            groups["vectors"].append(parameter)
        elif parameter.dim() == 2 and name.split(".")[0] not in ("wte", "wpe", "head"):
            groups["hidden"].append(parameter)
        else:
            groups["embeddings"].append(parameter)
    return groups


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    """The optimizers that train `model`: `[AdamW]`, or `[Muon, AdamW]`. Step all of them.

    Every group holds its highest learning rate as "initial_lr"; `set_learning_rates` multiplies all by the schedule's
    factor.
    """
    parameters = parameter_groups(model)
    embedding_lr = config.lr if config.embedding_lr is None else config.embedding_lr
    embedding_decay = config.weight_decay if config.decay_embeddings else 0.0
    hidden = dict(name="hidden", params=parameters["hidden"], lr=config.lr, weight_decay=config.weight_decay)
    rest = [
        dict(name="embeddings", params=parameters["embeddings"], lr=embedding_lr, weight_decay=embedding_decay),
        dict(name="vectors", params=parameters["vectors"], lr=embedding_lr, weight_decay=0.0),
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if config.kind == "muon" and parameters["hidden"]:
        optimizers.append(Muon([hidden], momentum=config.momentum))
    else:
        rest.insert(0, hidden)
    rest = [group for group in rest if group["params"]]
    if rest:
        # One pass over memory for each parameter instead of about ten; at 124M parameters that is felt.
        optimizers.append(torch.optim.AdamW(rest, betas=(config.beta1, config.beta2), fused=True))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def set_learning_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set every group's learning rate to `factor` times its highest."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """Roughly the orthogonal matrix nearest to `matrix`: U V^T where `matrix` = U S V^T.

    Each step computes a X + b (X X^T) X + c (X X^T)^2 X (Newton-Schulz), which leaves U and V alone and
    pushes every singular value towards 1; nothing but matrix multiplications.
    """
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix  # so that X X^T is the smaller of the two Gram matrices
    x = x / x.norm().clamp(min=1e-7)  # no singular value above 1
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """`torch.optim.Muon` in the parameters' own precision. Torch's works in bfloat16, which most CPUs emulate slowly.

    Args:
        params: two-dimensional parameters, or groups of them.
        lr: size of a step: an update has singular values near 1, whatever the size of the gradient.
        momentum: of the momentum buffer; the update looks one step ahead with it (Nesterov).
        weight_decay: decoupled, as in AdamW.
    """

    def __init__(self, params, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        for group in self.param_groups:
            if not 0 <= group["momentum"] < 1:
                raise CourseError(f"momentum must be at least 0 and less than 1, not {group['momentum']!r}")
            if any(parameter.dim() != 2 for parameter in group["params"]):
                raise CourseError("Muon moves matrices only; give vectors and embeddings to AdamW")

    @torch.no_grad()
    def step(self, closure=None):
        """Move every matrix that has a gradient; returns the loss if a `closure` computes it."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"].lerp_(parameter.grad, 1 - momentum)
                update = orthogonalize(parameter.grad.lerp(buffer, momentum))
                rows, columns = parameter.shape
                parameter.mul_(1 - lr * group["weight_decay"])
                parameter.add_(update, alpha=-lr * max(1, rows / columns) ** 0.5)
        return loss
