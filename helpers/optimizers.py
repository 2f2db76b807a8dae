"""How the weights move: AdamW for everything, or Muon for the matrices in the blocks and AdamW for the rest.

AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization") scales every number by its own history.
Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024) treats a matrix as a
whole: it moves along the orthogonal matrix nearest to its momentum, so that all directions are learned at
the same pace.
"""

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from helpers.errors import CourseError

# The quintic of the reference implementation. Its steps do not converge to 1; they carry singular values from
# almost nothing to somewhere between 0.7 and 1.2 in five products, and training needs no more.
QUINTIC = (3.4445, -4.7750, 2.0315)
AT_A_TIME = 2**18  # numbers (1 MiB) of the matrices that are made orthogonal together on a processor


@dataclass
class OptimizerSettings:
    """What `build_optimizer` needs to know; any object with these attributes will do.

    Attributes:
        optimizer: "muon" or "adamw".
        learning_rate: peak rate of the matrices in the blocks (near 0.02 for Muon, 6e-3 or less for AdamW).
        embedding_learning_rate: peak rate of embeddings, head, LayerNorms and biases; None: `learning_rate`.
        weight_decay: decoupled decay of the matrices inside the blocks.
        decay_embeddings: whether token and position vectors (and an untied head) decay as well.
        betas: AdamW's memories of the gradient and of its square.
        momentum: Muon's memory of the gradient.
    """

    optimizer: str = "muon"
    learning_rate: float = 0.02
    embedding_learning_rate: float | None = 6e-3
    weight_decay: float = 0.0
    decay_embeddings: bool = False
    betas: tuple[float, float] = (0.9, 0.95)
    momentum: float = 0.95


def parameter_groups(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The model's parameters by what they are: "hidden" matrices, "embeddings" (with the head), "vectors".

    Vectors (biases, LayerNorm gains) never decay: pulling a gain to zero switches its feature off.
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


def build_optimizer(model: nn.Module, settings: OptimizerSettings) -> list[torch.optim.Optimizer]:
    """The optimizers that train `model`: `[AdamW]`, or `[Muon, AdamW]`. Step all of them.

    Every group holds its peak rate as "initial_lr"; `set_learning_rates` multiplies all by the schedule's
    factor.

    Raises:
        CourseError: an unknown optimizer, or a rate or decay below zero.
    """
    if settings.optimizer not in ("muon", "adamw"):
        raise CourseError(f"optimizer must be 'muon' or 'adamw', not {settings.optimizer!r}")
    hidden_rate, other_rate = settings.learning_rate, settings.embedding_learning_rate
    if other_rate is None:
        other_rate = hidden_rate
    for name, value in (
        ("learning_rate", hidden_rate),
        ("embedding_learning_rate", other_rate),
        ("weight_decay", settings.weight_decay),
    ):
        if not 0 <= value < float("inf"):
            raise CourseError(f"{name} must be a number of at least 0, not {value!r}")
    parameters = parameter_groups(model)
    decay = settings.weight_decay
    embedding_decay = decay if settings.decay_embeddings else 0.0
    hidden = dict(name="hidden", params=parameters["hidden"], lr=hidden_rate, weight_decay=decay)
    rest = [
        dict(name="embeddings", params=parameters["embeddings"], lr=other_rate, weight_decay=embedding_decay),
        dict(name="vectors", params=parameters["vectors"], lr=other_rate, weight_decay=0.0),
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if settings.optimizer == "muon" and parameters["hidden"]:
        optimizers.append(Muon([hidden], momentum=settings.momentum))
    else:
        rest.insert(0, hidden)
    rest = [group for group in rest if group["params"]]
    if rest:
        # One pass over memory for each parameter instead of about ten; at 124M parameters that is felt.
        optimizers.append(torch.optim.AdamW(rest, betas=tuple(settings.betas), fused=True))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def set_learning_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set every group's rate to `factor` times its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


def orthogonalize(matrices: Tensor, steps: int = 5, eps: float = 1e-7) -> Tensor:
    """The orthogonal matrices nearest to `matrices`, roughly: U V^T where `matrices` = U S V^T.

    Each step computes a X + b (X X^T) X + c (X X^T)^2 X (Newton-Schulz), which leaves U and V alone and
    pushes every singular value towards 1; nothing but matrix products.

    On a processor a few matrices are worked on at a time: what they need then stays in the cache, and in memory that
    was used before. All of the storyteller's 48 at once took a third longer on two threads, two fifths on one.

    Args:
        matrices: (number, rows, columns), float32.
    """
    if matrices.device.type == "cpu":
        together = max(2, AT_A_TIME // max(1, matrices.shape[1] * matrices.shape[2]))
        return torch.cat([_newton_schulz(part, steps, eps) for part in matrices.split(together)])
    return _newton_schulz(matrices, steps, eps)


def _newton_schulz(matrices: Tensor, steps: int, eps: float) -> Tensor:
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices  # X X^T is then the smaller of the two products
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=eps)  # no singular value above 1
    a, b, c = QUINTIC
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def square_blocks(matrix: Tensor) -> Tensor:
    """A view of `matrix` as square blocks, (number, size, size); whole, with a 1 before, where none fit.

    The fused queries, keys and values (3 d, d) become what they are, three matrices; the feed-forward
    network's (4 d, d) and (d, 4 d) become four each.
    """
    rows, columns = matrix.shape
    if rows % columns == 0:
        return matrix.view(rows // columns, columns, columns)
    if columns % rows == 0:
        return matrix.view(rows, columns // rows, rows).transpose(0, 1)
    return matrix[None]


class Muon(torch.optim.Optimizer):
    """Muon in float32, all blocks of one shape orthogonalized together.

    `torch.optim.Muon` is the same rule, matrix by matrix in bfloat16. A processor without bfloat16 hardware
    emulates it, and the product of a (128, 128) and a (128, 512) matrix was seen to take 60 times as long
    as in float32. For square matrices the two agree to bfloat16's precision.

    Args:
        params: two-dimensional parameters, or groups of them.
        lr: size of a step; an update has singular values near 1 whatever the gradient's size.
        momentum: memory of the gradient; the update looks one step ahead (Nesterov).
        weight_decay: decoupled, as in AdamW.
    """

    def __init__(self, params, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0):
        if not 0 <= momentum < 1:
            raise CourseError(f"momentum must be at least 0 and less than 1, not {momentum!r}")
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        if any(parameter.dim() != 2 for group in self.param_groups for parameter in group["params"]):
            raise CourseError("Muon moves matrices only; give vectors and embeddings to AdamW")

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                self._step(parameters, **{name: group[name] for name in ("lr", "momentum", "weight_decay")})
        return loss

    def _step(self, parameters: list[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        gradients = [parameter.grad for parameter in parameters]
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        updates = torch._foreach_lerp(gradients, buffers, momentum)
        if weight_decay:
            torch._foreach_mul_(parameters, 1 - lr * weight_decay)
        by_shape = defaultdict(list)
        for parameter, update in zip(parameters, updates, strict=True):
            blocks = square_blocks(update)
            by_shape[blocks.shape[1:]].append((square_blocks(parameter), blocks))
        for (rows, columns), pairs in by_shape.items():
            directions = orthogonalize(torch.cat([blocks for _, blocks in pairs]))
            scale = max(1, rows / columns) ** 0.5  # a tall matrix's update keeps the size of its outputs
            sizes = [len(blocks) for blocks, _ in pairs]
            for (blocks, _), direction in zip(pairs, directions.split(sizes), strict=True):
                blocks.add_(direction, alpha=-lr * scale)
