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

from helpers.products import multiply, plain_float32_on_cpu

AT_LEAST = 512  # rows in a slice: fewer make the matrix products inefficient


def rows_in_slice(width: int, numbers: int) -> int:
    """How many rows of `width` numbers are worked on at a time, so that a slice has about `numbers` numbers."""
    return max(AT_LEAST, numbers // width)


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
        heads = qkv.view(B, T, 3, n_head, d_head).permute(2, 0, 3, 1, 4)  # a view, copied in the next line
        q, k, v = heads.contiguous().view(3, B * n_head, T, d_head)
        q *= d_head**-0.5
        future = qkv.new_full((QUERIES, QUERIES), -math.inf).triu(1)
        merged = qkv.new_empty(B, T, width // 3)
        mixed = merged.view(B, T, n_head, d_head).transpose(1, 2)  # the same memory, head by head
        slices = []
        for start in range(0, T, QUERIES):
            end = min(start + QUERIES, T)
            scores = torch.bmm(q[:, start:end], k[:, :end].mT)
            scores[:, :, start:] += future[: end - start, : end - start]
            weights = torch.softmax(scores, -1, out=scores)
            mixed[:, :, start:end] = torch.bmm(weights, v[:, :end]).view(B, n_head, end - start, d_head)
            slices.append(weights)
        ctx.save_for_backward(q, k, v, *slices)
        ctx.shape = B, n_head, T, d_head
        return merged

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        q, k, v, *slices = ctx.saved_tensors
        B, n_head, T, d_head = ctx.shape
        gradient = gradient.view(B, T, n_head, d_head).transpose(1, 2).reshape(q.shape)
        qkv_gradient = gradient.new_empty(B, T, 3, n_head, d_head)
        to_q, to_k, to_v = qkv_gradient.permute(2, 0, 3, 1, 4)  # the same memory, part by part and head by head
        dk, dv = None, None
        for number, weights in reversed(list(enumerate(slices))):  # the last slice first: it saw every key
            start, end = number * QUERIES, number * QUERIES + weights.shape[1]
            arriving = gradient[:, start:end]
            to_values = torch.bmm(weights.mT, arriving)
            dweights = torch.bmm(arriving, v[:, :end].mT)
            dscores = torch.ops.aten._softmax_backward_data(dweights, weights, -1, torch.float32)
            to_keys = torch.bmm(dscores.mT, q[:, start:end])
            dq = torch.bmm(dscores, k[:, :end]).view(B, n_head, end - start, d_head)
            torch.mul(dq, d_head**-0.5, out=to_q[:, :, start:end])
            if dk is None:
                dk, dv = to_keys, to_values
            else:
                dk[:, :end] += to_keys
                dv[:, :end] += to_values
        to_k.copy_(dk.view(ctx.shape))
        to_v.copy_(dv.view(ctx.shape))
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


NARROW = 256  # d_model up to which a product is short beside the GELU before it
SLICE = 2**19  # numbers (2 MiB) that GELU bends at a time, while the cache holds them


def gelu_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The second half of the feed-forward network: GELU and the product after it, in one.

    The plain way keeps what enters GELU and what leaves it until the backward pass. In a wide model time goes into
    products and memory is scarce, so here what leaves is computed again from what enters, and a third of what a block
    keeps need not be kept. In a narrow model (`NARROW`) GELU is what takes time, so its slope is made and kept along
    with its value, and the backward pass has one product of numbers left to do.

    Args:
        x: what enters GELU, (..., d_ff).
        weight, bias: of the linear layer, (d_model, d_ff) and (d_model,) or None.

    Returns:
        (..., d_model).
    """
    if torch.is_grad_enabled() and plain_float32_on_cpu(x):
        way = _GELULinearKept if len(weight) <= NARROW else _GELULinearAgain
        return way.apply(x, weight, bias)
    return F.linear(gelu_tanh(x), weight, bias)


class _GELULinearKept(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        activated, slope = torch.empty_like(rows), torch.empty_like(rows)
        step = rows_in_slice(rows.shape[1], SLICE)
        buffer = rows.new_empty(min(step, len(rows)), rows.shape[1])
        for start in range(0, len(rows), step):
            part, bent, out = (whole[start : start + step] for whole in (rows, activated, slope))
            s = _gate(part, buffer[: len(part)])
            torch.mul(part, s, out=bent)
            _gelu_slope(part, s, bent, out)
        ctx.save_for_backward(activated, slope, weight)
        ctx.has_bias = bias is not None
        return multiply(activated, weight, bias).view(*x.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        activated, slope, weight = ctx.saved_tensors
        arriving = gradient.reshape(-1, gradient.shape[-1])
        to_x = multiply(arriving, weight.t()).mul_(slope).view(*gradient.shape[:-1], -1)
        # The wide side first: MKL makes the same product the other way round a quarter slower.
        to_weight = torch.mm(activated.t(), arriving).t().contiguous()
        return to_x, to_weight, arriving.sum(0) if ctx.has_bias else None


class _GELULinearAgain(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        rows = x.reshape(-1, x.shape[-1])
        result = x.new_empty(len(rows), len(weight))
        step = rows_in_slice(rows.shape[1], SLICE)
        buffer = rows.new_empty(min(step, len(rows)), rows.shape[1])
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            activated = _gate(part, buffer[: len(part)]).mul_(part)
            result[start : start + step] = multiply(activated, weight, bias)
        return result.view(*x.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        x, weight = ctx.saved_tensors
        rows, arriving = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        to_x, to_weight = torch.empty_like(rows), torch.zeros_like(weight)
        step = rows_in_slice(rows.shape[1], SLICE)
        buffers = rows.new_empty(2, min(step, len(rows)), rows.shape[1])
        for start in range(0, len(rows), step):
            part, given, out = (whole[start : start + step] for whole in (rows, arriving, to_x))
            s, activated = buffers[:, : len(part)]
            torch.mul(part, _gate(part, s), out=activated)
            to_weight.addmm_(given.t(), activated)
            slope = _gelu_slope(part, s, activated, out=s.new_empty(s.shape))
            torch.mul(multiply(given, weight.t()), slope, out=out)
        return to_x.view(x.shape), to_weight, arriving.sum(0) if ctx.has_bias else None
