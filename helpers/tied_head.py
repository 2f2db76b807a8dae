"""The two ends of GPT-2 where the vocabulary is: tokens looked up, and the output layer with its loss.

Both are written by hand because here are the largest tensors of a small model. They give what torch gives, to float32's
last digits, and tests hold them to it:

- `head_loss(hidden, weight, targets)` is `F.cross_entropy(hidden @ weight.T, targets)`,
- `tied_lookup(weight, ids)` is `F.embedding(ids, weight)`.

On a GPU, under autocast, or in another dtype than float32 they call torch, which has fast kernels there.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from helpers.fused import rows_in_slice
from helpers.products import multiply, plain_float32_on_cpu

IGNORED = -100  # a target that is not scored, as in torch
SMALLEST = 1e-30  # a probability below it is near the end of float32, and its logarithm is not exact
SLICE = 2**22  # logits (16 MiB) that are held at a time; more where the vocabulary is large


class _Lookup(torch.autograd.Function):
    """Rows of the embedding, whose gradient joins the one that the tied head left in `from_head`."""

    @staticmethod
    def forward(ctx, weight: Tensor, ids: Tensor, from_head: list[Tensor]) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.shape, ctx.from_head = weight.shape, from_head
        return F.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (ids,) = ctx.saved_tensors
        whole = ctx.from_head.pop() if ctx.from_head else gradient.new_zeros(ctx.shape)
        return whole.index_add_(0, ids.flatten(), gradient.flatten(0, -2)), None, None


def tied_lookup(weight: Tensor, ids: Tensor) -> tuple[Tensor, list[Tensor] | None]:
    """`weight[ids]` for a model whose head is `weight` too, and what `head_loss` needs to know about it.

    Both ends have a gradient for the whole matrix: 154 MB each at GPT-2's size, and as much again for their sum, though
    only the rows that were read differ between the last and the first. Here the head's is handed on in a list
    instead, and those rows are added to it.

    Returns:
        vectors (*ids.shape, d_model), and the list for `head_loss`, or None where torch does it all.
    """
    if not (torch.is_grad_enabled() and plain_float32_on_cpu(weight) and weight.requires_grad):
        return F.embedding(ids, weight), None
    from_head: list[Tensor] = []
    return _Lookup.apply(weight, ids, from_head), from_head


def head_loss(hidden: Tensor, weight: Tensor, targets: Tensor, handed_on: list[Tensor] | None = None) -> Tensor:
    """The output layer and its mean cross-entropy in one, in nats.

    The plain way writes three tensors of shape (positions, vocabulary) to memory and reads them back: logits,
    log-probabilities, gradients. In a small model they outweigh everything else. Here a slice of the logits
    is made, turned into its own gradient while the cache still holds it, used, and overwritten by the next
    slice.

    Args:
        hidden: what the last layer knows, (positions, d_model).
        weight: the output layer, (vocabulary, d_model).
        targets: the right tokens, (positions,); -100 is not scored.
        handed_on: from `tied_lookup` of the same weight: its gradient goes there.

    Returns:
        The mean over the targets that are scored, a scalar. Where none is scored, or there are no positions, it is
        nan with gradients of zero, as in torch: there is no mean of nothing, and nothing to learn from it.
    """
    if plain_float32_on_cpu(hidden):
        return _HeadLoss.apply(hidden, weight, targets, torch.is_grad_enabled(), handed_on)
    # In half precision the loss must be scaled before its gradient is taken, so it cannot be taken here.
    return F.cross_entropy(F.linear(hidden, weight).float(), targets, ignore_index=IGNORED)


class _HeadLoss(torch.autograd.Function):
    """The gradients are made in `forward`, where the probabilities are; `backward` only scales them."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, targets: Tensor, with_gradients: bool, handed_on) -> Tensor:
        scored = targets != IGNORED
        count = int(scored.sum())
        scale = 1 / max(count, 1)
        targets = targets.clamp(min=0)
        losses = hidden.new_empty(len(hidden))
        # Rows that start on a multiple of 64 bytes: 50,257 numbers in a row made this product 1.4 times slower.
        width = math.ceil(len(weight) / 16) * 16
        step = rows_in_slice(width, SLICE)
        padded = width > len(weight)
        buffer = hidden.new_empty(min(step, len(hidden)), width) if padded else None
        if with_gradients:
            hidden_gradient = torch.empty_like(hidden)
            weight_gradient = torch.empty_like(weight) if len(hidden) else torch.zeros_like(weight)
        for start in range(0, len(hidden), step):
            part = slice(start, start + step)
            x, target = hidden[part], targets[part, None]
            if padded:
                logits = buffer[: len(x)]
                torch.mm(x, weight.t(), out=logits[:, : len(weight)])
                logits[:, len(weight) :] = -math.inf  # no token, so no probability
            else:
                logits = multiply(x, weight)
            p = torch.softmax(logits, 1, out=logits)
            at_target = p.gather(1, target).squeeze(1)
            losses[part] = -at_target.log()
            tiny = ((at_target < SMALLEST) & scored[part]).nonzero().squeeze(1)
            if len(tiny):  # too unlikely for a float32 probability: from the logits, which were written over
                losses[part][tiny] = F.cross_entropy(x[tiny] @ weight.t(), target[tiny].squeeze(1), reduction="none")
            if with_gradients:
                # The gradient of -log p[target] with respect to the logits: p, and one less at the target.
                p.scatter_add_(1, target, p.new_full(target.shape, -1.0))
                if count < len(targets):
                    p[~scored[part]] = 0
                p = p[:, : len(weight)]
                if padded:
                    torch.addmm(x, p, weight, beta=0, alpha=scale, out=hidden_gradient[part])
                else:
                    torch.mul(multiply(p, weight.t()), scale, out=hidden_gradient[part])
                weight_gradient.addmm_(p.t(), x, beta=float(start > 0), alpha=scale)
        if with_gradients:
            ctx.save_for_backward(hidden_gradient)
            ctx.handed_on, ctx.weight_gradient = handed_on, weight_gradient
        return losses[scored].sum() / count  # 0 / 0 is nan in torch

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (hidden_gradient,), weight_gradient = ctx.saved_tensors, ctx.weight_gradient
        if ctx.handed_on is None:
            if gradient != 1:
                hidden_gradient, weight_gradient = hidden_gradient * gradient, weight_gradient * gradient
            return hidden_gradient, weight_gradient, None, None, None
        if weight_gradient is None:  # what was handed on has been added to since
            raise RuntimeError("backward ran twice on one loss of the model: compute the loss again before the second")
        ctx.weight_gradient = None
        ctx.handed_on.append(weight_gradient)
        if gradient != 1:
            hidden_gradient = hidden_gradient * gradient
            weight_gradient.mul_(gradient)
        return hidden_gradient, None, None, None, None
