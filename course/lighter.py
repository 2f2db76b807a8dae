"""The same model with smaller weights: bfloat16 (2 bytes a number) or int8 (1 byte).

When one story is told, each token needs every weight once, and a large model is as fast as memory gives them. Half the
bytes are then up to twice the speed. What rounding costs is measured, not assumed: `helpers.evaluation.evaluate` scores
a lighter model like any other, and `python -m course bench` prints its loss beside its speed.

- bfloat16 keeps float32's range with 8 bits of precision; everything is computed in it.
- int8 keeps, for each row of a matrix, one float scale and whole numbers from -127 to 127; what is multiplied with them
  is rounded to 8 bits on the way, row by row ("dynamic" quantization: Dettmers et al. 2022, section 2.1). Norms,
  embeddings and attention stay in float32. On a processor only.
"""

import copy
import warnings

import torch
from torch import Tensor, nn

from helpers.errors import CourseError
from helpers.model import GPT

KINDS = ("bfloat16", "int8")


def lighter(model: GPT, kind: str) -> GPT:
    """A copy of `model` with smaller weights, in evaluation mode; for telling stories and scoring, not for training.

    Raises:
        CourseError: there is no such kind, or int8 is asked for a model that is not float32 on a processor.
    """
    if kind not in KINDS:
        raise CourseError(f"weights can be made {' or '.join(KINDS)}, not {kind!r}")
    if kind == "bfloat16":
        return copy.deepcopy(model).to(torch.bfloat16).eval().requires_grad_(False)
    weight = model.head_weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        raise CourseError("int8 weights are made from a float32 model on the processor")
    small = copy.deepcopy(model).eval().requires_grad_(False)
    for block in small.blocks:
        for part, name in ((block.attn, "qkv"), (block.attn, "proj"), (block.mlp, "fc"), (block.mlp, "proj")):
            linear = getattr(part, name)
            setattr(part, name, Int8Linear(linear.weight, linear.bias))
    small.int8_head = Int8Linear(small.head_weight)  # what a new token is scored with
    rounded = quantize_rows(small.head_weight)
    small.head_weight.copy_(rounded.dequantize())  # and what whole stories are
    return small


def quantize_rows(weight: Tensor) -> Tensor:
    """A matrix in 8 bits, one scale for each row: the largest number of a row becomes 127 or -127."""
    scales = (weight.detach().abs().amax(dim=1) / 127).clamp(min=1e-12).double()
    zeros = torch.zeros(len(weight), dtype=torch.long)
    with warnings.catch_warnings():  # torch 2.13 announces that it will go; until then nothing public is as fast
        warnings.filterwarnings("ignore", message="torch.quantize_per", category=UserWarning)
        return torch.quantize_per_channel(weight.detach(), scales, zeros, 0, torch.qint8)


class Int8Linear(nn.Module):
    """A linear layer with 8-bit weights, packed for the processor's own instructions."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None):
        super().__init__()
        bias = None if bias is None else bias.detach()
        self.packed = torch.ops.quantized.linear_prepack(quantize_rows(weight), bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out), float32."""
        return torch.ops.quantized.linear_dynamic(x, self.packed, True)  # 7 bits for x: sums of 8 overflow on old chips
