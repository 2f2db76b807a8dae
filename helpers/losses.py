"""The output layer and the cross-entropy in one, a slice of positions at a time.

The plain way makes logits of shape (positions, vocabulary), their log-probabilities and their gradients: three tensors
that are larger than all others of a small model together, written to memory and read back. Here a slice of the logits
is made, turned into its own gradient while it is still in the processor's cache, used, and overwritten by the next.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

IGNORED = -100  # a target that is not scored, as in torch


def head_loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of `hidden @ weight.T` against `targets`, in nats: what F.cross_entropy gives, with less memory.

    Args:
        hidden: what the last layer knows, (positions, d_model).
        weight: the output layer, (vocabulary, d_model).
        targets: the right tokens, (positions,); -100 is not scored.
    """
    autocast = torch.is_autocast_enabled(hidden.device.type)
    if hidden.device.type != "cpu" or hidden.dtype != torch.float32 or autocast:
        # A GPU has fused kernels of its own, and in half precision the loss must be scaled before its gradient is taken.
        return F.cross_entropy(F.linear(hidden, weight).float(), targets, ignore_index=IGNORED)
    return _HeadLoss.apply(hidden, weight, targets, torch.is_grad_enabled())


def rows_at_once(vocabulary: int) -> int:
    """How many positions to work on together: about 2 million logits (8 MB), and enough of them to keep products fast."""
    return max(128, 2**21 // vocabulary)


class _HeadLoss(torch.autograd.Function):
    """The gradients are made in `forward`, where the probabilities already are; `backward` only scales them."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, targets: Tensor, with_gradients: bool) -> Tensor:
        rows = min(rows_at_once(len(weight)), len(hidden))
        scored = targets != IGNORED
        count = int(scored.sum())
        some_ignored = count < len(targets)
        targets = targets.clamp(min=0)
        logits_buffer = hidden.new_empty(rows, len(weight))
        losses = hidden.new_empty(len(hidden))
        if with_gradients:
            probabilities_buffer = torch.empty_like(logits_buffer)
            hidden_gradient, weight_gradient = torch.empty_like(hidden), torch.empty_like(weight)
        scale = 1 / max(count, 1)
        for start in range(0, len(hidden), rows):
            part = slice(start, min(start + rows, len(hidden)))
            x, target = hidden[part], targets[part, None]
            logits = torch.mm(x, weight.t(), out=logits_buffer[: len(x)])
            if not with_gradients:
                losses[part] = (logits.logsumexp(1, keepdim=True) - logits.gather(1, target)).squeeze(1)
                continue
            p = torch.softmax(logits, 1, out=probabilities_buffer[: len(x)])
            # softmax has found log sum exp already; the largest logit and its probability give it back exactly enough.
            logsumexp = logits.amax(1, keepdim=True) - p.amax(1, keepdim=True).log()
            losses[part] = (logsumexp - logits.gather(1, target)).squeeze(1)
            # The gradient of -log p[target] with respect to the logits is p minus one at the target.
            p.scatter_add_(1, target, p.new_full((len(x), 1), -1.0))
            if some_ignored:
                p[~scored[part]] = 0
            torch.addmm(hidden_gradient[part], p, weight, beta=0, alpha=scale, out=hidden_gradient[part])
            weight_gradient.addmm_(p.t(), x, beta=0 if start == 0 else 1, alpha=scale)
        if with_gradients:
            ctx.save_for_backward(hidden_gradient, weight_gradient)
        return losses[scored].sum() / count if some_ignored else losses.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        hidden_gradient, weight_gradient = ctx.saved_tensors
        if gradient != 1:
            hidden_gradient, weight_gradient = hidden_gradient * gradient, weight_gradient * gradient
        return hidden_gradient, weight_gradient, None, None
