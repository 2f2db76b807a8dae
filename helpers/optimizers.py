"""Built in notebook 07: one step of training: the loss of some batches, its gradients, and how the weights then move.

They move by AdamW alone, or by Muon for the matrices in the blocks and AdamW for the rest. AdamW (Loshchilov and
Hutter, "Decoupled Weight Decay Regularization") scales every value by its own history. Muon (Jordan et al., "Muon: An
optimizer for hidden layers in neural networks", 2024) treats a matrix as a whole: it moves along the orthogonal matrix
nearest to its momentum buffer, so that all directions are learned at the same pace. Used in `helpers.training`.
"""

import functools
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.errors import CourseError
from helpers.evaluation import LOGITS
from helpers.model import GPT, IGNORED, check_targets
from helpers.settings import OptimizerConfig, TrainingSettings

PATIENCE = 30  # skipped steps in a row: float16's scale begins at 65,536, and halved that often nothing is left of it

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


# ---------------------------------------------------------------------- one step


def chunked_loss(model: GPT, ids: Tensor, targets: Tensor) -> Tensor:
    """`GPT.loss`, some positions at a time: all logits, (B, T, V), never exist at once. For `backward()` alone."""
    if not hasattr(F, "linear_cross_entropy"):
        raise CourseError(f"loss=chunked needs torch 2.13 or newer, and this is {torch.__version__}: use loss=plain")
    check_targets(targets, ids, model.config)
    tied, weight = model.config.tied_head, model.head.weight
    model.wte.sparse = tied  # its gradient holds only the tokens that were read, and is added to the head's in place
    try:
        hidden = model.hidden(ids).flatten(0, 1)  # (B * T, d_model)
    finally:
        model.wte.sparse = False
    if tied and weight.requires_grad:
        weight = _with_own_gradient(weight)
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=max(1, LOGITS // weight.shape[0]))
    losses = F.linear_cross_entropy(hidden, weight, targets.flatten(), reduction="none", options=options)
    return losses.sum(dtype=torch.promote_types(losses.dtype, torch.float32)) / (targets != IGNORED).sum()


def _with_own_gradient(weight: Tensor) -> Tensor:
    """The same weight; its gradient becomes `weight`'s at once, where autograd would keep both and their sum."""
    alias = weight.detach().requires_grad_()

    def hand_over(alias: Tensor) -> None:
        weight.grad = alias.grad if weight.grad is None else weight.grad.add_(alias.grad)
        alias.grad = None

    alias.register_post_accumulate_grad_hook(hand_over)
    return alias


class StepStats(NamedTuple):
    loss: float  # nats per token
    grad_norm: float  # the gradient's norm before clipping
    tokens: int  # how many were scored
    skipped: bool  # left out, because float16 had overflowed


class TrainStep:
    """Moves a model's weights, in place: the gradients of some batches, then one update.

    `sampler` has `next_batch()` -> (ids, targets), (B, T) each; `StopIteration` says that the data have ended.
    """

    def __init__(self, model, sampler, settings: TrainingSettings):
        self.model, self.sampler, self.settings = model, sampler, settings
        self.device = next(model.parameters()).device
        precision = settings.hardware.precision
        half = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
        if half is not None and self.device.type == "cpu":
            raise CourseError(f"precision={precision} needs a GPU; on a CPU use float32")
        self.loss = functools.partial(chunked_loss if settings.hardware.loss == "chunked" else GPT.loss, model)
        self.optimizers = build_optimizer(model, settings.optimizer)
        self.autocast = lambda: torch.autocast(self.device.type, half) if half else nullcontext()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "float16")
        self.skipped = self.skipped_in_all = 0  # steps that float16 left out: in a row up to now, and since the start
        self.data_ended = False

    def step(self, number: int, factor: Callable[[], float]) -> StepStats | None:
        """Gradients of `accumulation` batches, one update. Each token weighs the same, in whatever batch it is.

        Args:
            number: of this step, for messages.
            factor: asked, after the batches were drawn, for the learning rates as a fraction of their highest.

        Returns:
            None if the data had ended before the first batch.

        Raises:
            CourseError: loss or gradient is not a number, and the weights are as they were; under float16 only after
                many steps in a row.
        """
        position = self._position()
        batches = self.batches()
        if not batches:
            return None
        tokens = int(self.total(sum(int((targets != IGNORED).sum()) for _, targets in batches)))
        parts = [self.backward(*batch, tokens, last=batch is batches[-1]) for batch in batches]
        losses = torch.stack(parts).tolist()
        loss = self.total(sum(losses))
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        limit = self.settings.optimizer.clip or math.inf
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        set_learning_rates(self.optimizers, factor())
        fine = math.isfinite(loss) and math.isfinite(grad_norm)
        if fine:
            self.skipped = 0
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
        else:  # no optimizer may step: a moment would keep what is not a number
            self._skip(number, losses, grad_norm, position)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.scaler.update()  # under float16, lowers the scale where a gradient overflowed
        return StepStats(loss, grad_norm, tokens, not fine)

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """The batches of one step; fewer, or none, where the data end."""
        batches = []
        try:
            for _ in range(self.settings.data.accumulation):
                batches.append(self.sampler.next_batch())
        except StopIteration:
            self.data_ended = True
        return batches

    def backward(self, ids: Tensor, targets: Tensor, tokens: float, last: bool) -> Tensor:
        """Add a batch's gradients to those before; returns its part of the mean loss over the step's `tokens`."""
        weight = int((targets != IGNORED).sum()) / tokens
        with self.autocast():
            loss = self.loss(ids.to(self.device), targets.to(self.device)) * weight
        self.scaler.scale(loss).backward()
        return loss.detach()

    def total(self, value: float) -> float:
        """A count or a loss of these batches as one of the whole step."""
        return value

    def _skip(self, number: int, losses: list[float], grad_norm: float, position: str) -> None:
        """Count a step that is left out; say what was wrong where this is not float16, or where it is so too often."""
        bad = [i for i, loss in enumerate(losses, start=1) if not math.isfinite(loss)]
        what = f"the loss became {losses[bad[0] - 1]}" if bad else f"the gradient's norm became {grad_norm}"
        which = f", batch {bad[0]} of {len(losses)}" if bad and len(losses) > 1 else ""
        said = f"{what} at step {number}{which}{position}"
        self.skipped += 1
        self.skipped_in_all += 1
        if not self.scaler.is_enabled():
            raise CourseError(
                f"{said}: try a lower learning rate, a longer warm-up or stronger clipping; the weights and what was "
                "saved are as they were before, and log.jsonl shows where it began to rise"
            )
        if self.skipped > PATIENCE:
            raise CourseError(f"{said}, after {PATIENCE} steps in a row that float16 left out: use float32 or bfloat16")

    def _position(self) -> str:
        """Where the sampler stands, for a person who looks for the batch that did it."""
        state = self.sampler.state_dict() if hasattr(self.sampler, "state_dict") else {}
        known = [f"{name} {state[name]}" for name in ("epoch", "position", "step") if name in state]
        return f" (the sampler stood at {', '.join(known)})" if known else ""

    def state_dict(self) -> dict:
        """What decides the coming steps, apart from the weights and the random numbers."""
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        skipped, sampler = [self.skipped, self.skipped_in_all], self.sampler.state_dict()
        return {"optimizers": optimizers, "scaler": self.scaler.state_dict(), "skipped": skipped, "sampler": sampler}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state_dict` was taken."""
        self.sampler.load_state_dict(state["sampler"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaler.load_state_dict(state["scaler"])
        self.skipped, self.skipped_in_all = state["skipped"]
