"""Linear layers, multiplied by whichever of torch's two libraries is the faster on this processor.

Torch multiplies float32 matrices on a processor with Intel's MKL, which keeps its widest instructions (AVX-512) for
Intel's own processors. On another that has them too, oneDNN, which torch brings as well, was seen to be 1.1 to 1.5
times as fast. There is no public switch for that in float32, so the call is one that torch's compiler makes
(`torch.ops.mkldnn._linear_pointwise`): tried once, and done without where it is missing or gives something else.

- `linear(x, weight, bias)` is `F.linear(x, weight, bias)`, with gradients, to float32's last digits;
- `Linear` is `nn.Linear` that multiplies so;
- `multiply(x, weight, bias)` is the bare product, for functions whose gradients are written by hand.

Which library is used depends on the processor alone, never on a measurement, so that a run that is resumed goes on with
the same rounding.
"""

import functools
import math
import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def plain_float32_on_cpu(x: Tensor) -> bool:
    """Whether what is written by hand for a processor applies to `x`."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear` by oneDNN, without gradients. `weight` may be a transposed view; `x` is copied if it is one."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], None)


@functools.cache
def onednn_multiplies() -> bool:
    """Whether this torch multiplies by oneDNN when it is asked to: the call is not part of torch's public API."""
    try:
        x, weight, bias = torch.linspace(-1, 1, 24).view(3, 8), torch.linspace(-1, 2, 40).view(5, 8), torch.ones(5)
        plain = torch.allclose(onednn_linear(x, weight, bias), F.linear(x, weight, bias), atol=1e-5)
        turned = weight.t().contiguous().t()
        _let_operations_be_counted()
        return plain and torch.allclose(onednn_linear(x, turned, None), F.linear(x, weight), atol=1e-5)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False


def _let_operations_be_counted() -> None:
    """Tell torch's `FlopCounterMode`, which does not know this call, how many operations it takes."""
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    call = torch.ops.mkldnn._linear_pointwise
    if call not in flop_registry:

        @register_flop_formula(call)
        def operations(x, weight, *_, **__) -> int:  # of the shapes
            return 2 * math.prod(x) * weight[0]


def processor_name() -> str:
    """The maker and model of the processor, as far as the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return " ".join(line.split(":", 1)[1].strip() for line in lines if line.startswith("vendor_id"))
    except OSError:
        return platform.processor()


@functools.cache
def onednn_is_faster() -> bool:
    """Whether training multiplies by oneDNN here: where MKL would leave the AVX-512 of a processor unused."""
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return wide and "Intel" not in processor_name() and onednn_multiplies()


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias of float32 tensors on a processor, without gradients.

    Args:
        x: (..., in); weight: (out, in), or a view of (in, out) that was transposed; bias: (out,) or None.

    Returns:
        (..., out), new memory.
    """
    return onednn_linear(x, weight, bias) if onednn_is_faster() else F.linear(x, weight, bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear`: x weight^T + bias. Shapes as in `multiply`."""
    if plain_float32_on_cpu(x) and weight.dtype == torch.float32 and onednn_is_faster():
        return _Linear.apply(x, weight, bias)
    return F.linear(x, weight, bias)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return onednn_linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        x, weight = ctx.saved_tensors
        rows, arriving = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_x = onednn_linear(arriving, weight.t(), None).view(x.shape)
        if ctx.needs_input_grad[1]:  # both sides lie the wrong way round for oneDNN, which would copy one: MKL does not
            to_weight = torch.mm(arriving.t(), rows)
        if ctx.needs_input_grad[2]:
            to_bias = arriving.sum(0)
        return to_x, to_weight, to_bias


class Linear(nn.Linear):
    """`nn.Linear`, multiplied as above."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)
