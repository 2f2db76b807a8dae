"""Two pieces of GPT-2 whose gradients are written by hand, because on a processor without a GPU it pays.

Both give what torch gives, to float32's last digits, and tests hold them to it:

- `gelu_tanh(x)` is `F.gelu(x, approximate="tanh")`,
- `head_loss(hidden, weight, targets)` is `F.cross_entropy(hidden @ weight.T, targets)`.

On a GPU, under autocast, or in another dtype than float32 they call torch, which has fast kernels there.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

IGNORED = -100  # a target that is not scored, as in torch


def plain_float32_on_cpu(x: Tensor) -> bool:
    """Whether the hand-written ways below apply to `x`."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def gelu_tanh(x: Tensor) -> Tensor:
    """GPT-2's GELU, x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): Hendrycks and Gimpel (2016), section 2.

    Because (1 + tanh(u)) / 2 = sigmoid(2u), it can be had from an exponential. Torch's tanh on the CPU
    takes about three times as long as its exponential, and its backward pass computes it a second time.
    """
    return _GELU.apply(x) if plain_float32_on_cpu(x) else F.gelu(x, approximate="tanh")


SLOPE = 2 * math.sqrt(2 / math.pi)
CUBIC = SLOPE * 0.044715


class _GELU(torch.autograd.Function):
    """x * s with s = sigmoid(z) and z = SLOPE x + CUBIC x^3."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        s = torch.addcmul(x.new_tensor(SLOPE), x, x, value=CUBIC).mul_(x).sigmoid_()
        ctx.save_for_backward(x, s)
        return x * s

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        x, s = ctx.saved_tensors
        through_z = torch.ops.aten.sigmoid_backward(gradient * x, s)  # gradient * x * s (1 - s)
        dz = torch.addcmul(x.new_tensor(SLOPE), x, x, value=3 * CUBIC)
        return dz.mul_(through_z).addcmul_(gradient, s)


def head_loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The output layer and its mean cross-entropy in one, in nats.

    The plain way writes three tensors of shape (positions, vocabulary) to memory and reads them back: logits,
    log-probabilities, gradients. In a small model they outweigh everything else. Here a slice of the logits
    is made, turned into its own gradient while the cache still holds it, used, and overwritten by the next
    slice.

    Args:
        hidden: what the last layer knows, (positions, d_model).
        weight: the output layer, (vocabulary, d_model).
        targets: the right tokens, (positions,); -100 is not scored.
    """
    if plain_float32_on_cpu(hidden):
        return _HeadLoss.apply(hidden, weight, targets, torch.is_grad_enabled())
    # In half precision the loss must be scaled before its gradient is taken, so it cannot be taken here.
    return F.cross_entropy(F.linear(hidden, weight).float(), targets, ignore_index=IGNORED)


ROWS = 512  # positions in a slice: few enough for the cache, enough to keep the matrix products efficient


class _HeadLoss(torch.autograd.Function):
    """The gradients are made in `forward`, where the probabilities are; `backward` only scales them."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, targets: Tensor, with_gradients: bool) -> Tensor:
        scored = targets != IGNORED
        count = int(scored.sum())
        scale = 1 / max(count, 1)
        targets = targets.clamp(min=0)
        losses = hidden.new_empty(len(hidden))
        buffer = hidden.new_empty(min(ROWS, len(hidden)), len(weight))
        if with_gradients:
            hidden_gradient, weight_gradient = torch.empty_like(hidden), torch.empty_like(weight)
        for start in range(0, len(hidden), ROWS):
            part = slice(start, start + ROWS)
            x, target = hidden[part], targets[part, None]
            logits = torch.mm(x, weight.t(), out=buffer[: len(x)])
            largest, at_target = logits.amax(1), logits.gather(1, target).squeeze(1)
            p = torch.softmax(logits, 1, out=logits)
            # softmax knew log(sum(exp(logits))); the largest logit and its probability give it back.
            losses[part] = largest - p.amax(1).log() - at_target
            if with_gradients:
                # The gradient of -log p[target] with respect to the logits: p, and one less at the target.
                p.scatter_add_(1, target, p.new_full(target.shape, -1.0))
                if count < len(targets):
                    p[~scored[part]] = 0
                torch.addmm(x, p, weight, beta=0, alpha=scale, out=hidden_gradient[part])
                weight_gradient.addmm_(p.t(), x, beta=float(start > 0), alpha=scale)
        if with_gradients:
            ctx.save_for_backward(hidden_gradient, weight_gradient)
        return losses[scored].sum() / count

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        hidden_gradient, weight_gradient = ctx.saved_tensors
        if gradient != 1:
            hidden_gradient, weight_gradient = hidden_gradient * gradient, weight_gradient * gradient
        return hidden_gradient, weight_gradient, None, None
