"""Three pieces of GPT-2 whose gradients are written by hand, because on a processor without a GPU it pays.

They give what torch gives, to float32's last digits, and tests hold them to it:

- `causal_attention(qkv, n_head)` is `F.scaled_dot_product_attention(..., is_causal=True)`,
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


def causal_attention(qkv: Tensor, n_head: int, dropout: float = 0.0) -> Tensor:
    """Every head's softmax(q kT / sqrt(d_head)) v without the future, and the heads side by side again.

    Args:
        qkv: queries, keys and values of all heads, (B, T, 3 * d_model).

    Returns:
        (B, T, d_model).
    """
    B, T, width = qkv.shape
    by_hand = torch.is_grad_enabled() and plain_float32_on_cpu(qkv) and T <= SHORT and dropout == 0
    if by_hand:
        return _CausalAttention.apply(qkv, n_head)
    q, k, v = qkv.view(B, T, 3, n_head, -1).permute(2, 0, 3, 1, 4)  # views: nothing is copied
    if qkv.device.type == "meta":  # where memory is counted and nothing computed torch would lay out (T, T) tables
        mixed = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True)[0]
    else:
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    return mixed.transpose(1, 2).reshape(B, T, width // 3)


SHORT = 512  # longer sequences should not keep their (T, T) weights; torch computes them again instead
QUERIES = 64  # queries in a slice


class _CausalAttention(torch.autograd.Function):
    """A slice of queries is multiplied with the keys up to its end, so that most of the future is never
    computed; the weights are kept for `backward`, which would have to compute them again.
    """

    @staticmethod
    def forward(ctx, qkv: Tensor, n_head: int) -> Tensor:
        B, T, width = qkv.shape
        d_head = width // 3 // n_head
        heads = qkv.view(B, T, 3, n_head, d_head).permute(2, 0, 3, 1, 4).reshape(3, B * n_head, T, d_head)
        q, k, v = heads
        q = q * d_head**-0.5
        mixed = torch.empty_like(q)
        future = qkv.new_full((QUERIES, QUERIES), -math.inf).triu(1)
        slices = []
        for start in range(0, T, QUERIES):
            end = min(start + QUERIES, T)
            scores = torch.bmm(q[:, start:end], k[:, :end].mT)
            scores[:, :, start:] += future[: end - start, : end - start]
            weights = torch.softmax(scores, -1, out=scores)
            torch.bmm(weights, v[:, :end], out=mixed[:, start:end])
            slices.append(weights)
        ctx.save_for_backward(q, k, v, *slices)
        ctx.shape = B, n_head, T, d_head
        return mixed.view(ctx.shape).transpose(1, 2).reshape(B, T, width // 3)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        q, k, v, *slices = ctx.saved_tensors
        B, n_head, T, d_head = ctx.shape
        gradient = gradient.view(B, T, n_head, d_head).transpose(1, 2).reshape(q.shape)
        heads = gradient.new_zeros(3, *q.shape)
        dq, dk, dv = heads
        for number, weights in enumerate(slices):
            start, end = number * QUERIES, number * QUERIES + weights.shape[1]
            dv[:, :end].baddbmm_(weights.mT, gradient[:, start:end])
            dweights = torch.bmm(gradient[:, start:end], v[:, :end].mT)
            dscores = torch.ops.aten._softmax_backward_data(dweights, weights, -1, torch.float32)
            torch.bmm(dscores, k[:, :end], out=dq[:, start:end])
            dk[:, :end].baddbmm_(dscores.mT, q[:, start:end])
        dq *= d_head**-0.5
        return heads.view(3, B, n_head, T, d_head).permute(1, 3, 0, 2, 4).reshape(B, T, -1), None


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

    Returns:
        The mean over the targets that are scored, a scalar. Where none is scored, or there are no positions, it is
        nan with gradients of zero, as in torch: there is no mean of nothing, and nothing to learn from it.
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
        # Rows that start on a multiple of 64 bytes: 50,257 numbers in a row made this product 1.4 times slower.
        width = math.ceil(len(weight) / 16) * 16
        buffer = hidden.new_empty(min(ROWS, len(hidden)), width)
        if with_gradients:
            hidden_gradient = torch.empty_like(hidden)
            weight_gradient = torch.empty_like(weight) if len(hidden) else torch.zeros_like(weight)
        for start in range(0, len(hidden), ROWS):
            part = slice(start, start + ROWS)
            x, target = hidden[part], targets[part, None]
            logits = buffer[: len(x)]
            torch.mm(x, weight.t(), out=logits[:, : len(weight)])
            logits[:, len(weight) :] = -math.inf  # no token, so no probability
            largest, at_target = logits.amax(1), logits.gather(1, target).squeeze(1)
            p = torch.softmax(logits, 1, out=logits)
            # softmax knew log(sum(exp(logits))); the largest logit and its probability give it back.
            losses[part] = largest - p.amax(1).log() - at_target
            if with_gradients:
                # The gradient of -log p[target] with respect to the logits: p, and one less at the target.
                p.scatter_add_(1, target, p.new_full(target.shape, -1.0))
                if count < len(targets):
                    p[~scored[part]] = 0
                p = p[:, : len(weight)]
                torch.addmm(x, p, weight, beta=0, alpha=scale, out=hidden_gradient[part])
                weight_gradient.addmm_(p.t(), x, beta=float(start > 0), alpha=scale)
        if with_gradients:
            ctx.save_for_backward(hidden_gradient, weight_gradient)
        return losses[scored].sum() / count  # 0 / 0 is nan in torch

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        hidden_gradient, weight_gradient = ctx.saved_tensors
        if gradient != 1:
            hidden_gradient, weight_gradient = hidden_gradient * gradient, weight_gradient * gradient
        return hidden_gradient, weight_gradient, None, None
