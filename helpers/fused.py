"""Pieces of GPT-2 whose gradients are written by hand, because on a processor without a GPU it pays.

They give what torch gives, to float32's last digits, and tests hold them to it:

- `causal_attention(qkv, n_head)` is `F.scaled_dot_product_attention(..., is_causal=True)`,
- `gelu_tanh(x)` is `F.gelu(x, approximate="tanh")`,
- `gelu_linear(x, weight, bias)` is `F.linear(gelu_tanh(x), weight, bias)`.

On a GPU, under autocast, or in another dtype than float32 they call torch, which has fast kernels there.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 512  # positions in a slice: few enough for the cache, enough to keep the matrix products efficient


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

    Products are written to tensors of their own and put together afterwards: torch multiplies a batch of matrices
    straight into a part of a tensor one by one, on one thread, which made the whole 1.4 times slower on two.
    """

    @staticmethod
    def forward(ctx, qkv: Tensor, n_head: int) -> Tensor:
        B, T, width = qkv.shape
        d_head = width // 3 // n_head
        heads = qkv.view(B, T, 3, n_head, d_head).permute(2, 0, 3, 1, 4).reshape(3, B * n_head, T, d_head)
        q, k, v = heads
        q = q * d_head**-0.5
        future = qkv.new_full((QUERIES, QUERIES), -math.inf).triu(1)
        mixed, slices = [], []
        for start in range(0, T, QUERIES):
            end = min(start + QUERIES, T)
            scores = torch.bmm(q[:, start:end], k[:, :end].mT)
            scores[:, :, start:] += future[: end - start, : end - start]
            weights = torch.softmax(scores, -1, out=scores)
            mixed.append(torch.bmm(weights, v[:, :end]))
            slices.append(weights)
        ctx.save_for_backward(q, k, v, *slices)
        ctx.shape = B, n_head, T, d_head
        return torch.cat(mixed, 1).view(ctx.shape).transpose(1, 2).reshape(B, T, width // 3)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        q, k, v, *slices = ctx.saved_tensors
        B, n_head, T, d_head = ctx.shape
        gradient = gradient.view(B, T, n_head, d_head).transpose(1, 2).reshape(q.shape)
        dq, dk, dv = [], None, None
        for number, weights in reversed(list(enumerate(slices))):  # the last slice first: it saw every key
            start, end = number * QUERIES, number * QUERIES + weights.shape[1]
            arriving = gradient[:, start:end]
            to_values = torch.bmm(weights.mT, arriving)
            dweights = torch.bmm(arriving, v[:, :end].mT)
            dscores = torch.ops.aten._softmax_backward_data(dweights, weights, -1, torch.float32)
            to_keys = torch.bmm(dscores.mT, q[:, start:end])
            dq.append(torch.bmm(dscores, k[:, :end]))
            if dk is None:
                dk, dv = to_keys, to_values
            else:
                dk[:, :end] += to_keys
                dv[:, :end] += to_values
        dq = torch.cat(dq[::-1], 1).mul_(d_head**-0.5)
        qkv_gradient = gradient.new_empty(B, T, 3, n_head, d_head)
        for part, values in enumerate((dq, dk, dv)):
            qkv_gradient[:, :, part] = values.view(ctx.shape).transpose(1, 2)
        return qkv_gradient.view(B, T, -1), None


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
        ctx.save_for_backward(x)
        return _gate(x, torch.empty_like(x)).mul_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = _gate(x, torch.empty_like(x))
        return _gelu_slope(x, s, x * s, torch.empty_like(x)).mul_(gradient)


def _gate(x: Tensor, out: Tensor) -> Tensor:
    """sigmoid(z), so that gelu_tanh(x) = x * _gate(x)."""
    return torch.addcmul(x.new_tensor(SLOPE), x, x, value=CUBIC, out=out).mul_(x).sigmoid_()


def _gelu_slope(x: Tensor, s: Tensor, activated: Tensor, out: Tensor) -> Tensor:
    """The derivative of x s(z(x)): s + (1 - s) x s dz/dx, where `activated` is x s."""
    out = torch.addcmul(x.new_tensor(SLOPE), x, x, value=3 * CUBIC, out=out).mul_(activated)
    return out.lerp_(x.new_tensor(1.0), s)


def gelu_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The second half of the feed-forward network: GELU and the product after it, in one.

    The plain way keeps what enters GELU and what leaves it until the backward pass. The second follows from the first,
    so it is computed again, a slice of rows at a time, and a third of what a block keeps need not be kept.

    Args:
        x: what enters GELU, (..., d_ff).
        weight, bias: of the linear layer, (d_model, d_ff) and (d_model,) or None.

    Returns:
        (..., d_model).
    """
    if torch.is_grad_enabled() and plain_float32_on_cpu(x):
        return _GELULinear.apply(x, weight, bias)
    return F.linear(gelu_tanh(x), weight, bias)


class _GELULinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        rows = x.reshape(-1, x.shape[-1])
        result = x.new_empty(len(rows), len(weight))
        buffer = rows.new_empty(min(ROWS, len(rows)), rows.shape[1])
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            activated = _gate(part, buffer[: len(part)]).mul_(part)
            if bias is None:
                torch.mm(activated, weight.t(), out=result[start : start + ROWS])
            else:
                torch.addmm(bias, activated, weight.t(), out=result[start : start + ROWS])
        return result.view(*x.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        x, weight = ctx.saved_tensors
        rows, arriving = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        to_x, to_weight = torch.empty_like(rows), torch.zeros_like(weight)
        buffers = rows.new_empty(2, min(ROWS, len(rows)), rows.shape[1])
        for start in range(0, len(rows), ROWS):
            part, given, out = (whole[start : start + ROWS] for whole in (rows, arriving, to_x))
            s, activated = buffers[:, : len(part)]
            torch.mul(part, _gate(part, s), out=activated)
            to_weight.addmm_(given.t(), activated)
            slope = _gelu_slope(part, s, activated, out=s.new_empty(s.shape))
            torch.mm(given, weight, out=out).mul_(slope)
        return to_x.view(x.shape), to_weight, arriving.sum(0) if ctx.has_bias else None
