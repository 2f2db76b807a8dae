"""One token for each row of a batch, with as few and as cheap calls as torch allows.

A small model's token costs little arithmetic: most of the time goes into getting there. The plain forward makes some
hundred calls for each layer of modules, views and checks; here there are nine. What is done, and why:

- weights are looked up once, not through modules at every token;
- the product that makes query, key and value writes them where the cache keeps them (`out=`): nothing is copied;
- the views of all layers are made together, in a few calls for a token and not for a layer;
- attention is one fused call for all rows and heads;
- the bias is added by the product itself, and what a sublayer adds goes into the residual stream in place;
- for a single row, a product with a matrix reads the matrix and does hardly anything else. A matrix with more rows than
  columns is read up to twice as fast if it lies in memory the other way round, so a story that grows long gets such
  copies (`Weights.turn`); they live as long as its cache.

`step` equals the plain forward to float32's last digits; `tests/test_fast_step.py` holds it to that.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TURN_AFTER = 16  # tokens: turning costs about as much as reading a few
TURN_AT_MOST = 2**28  # numbers (1 GiB in float32): a larger model would take memory that may be missing


class Layer(NamedTuple):
    """The weights of a block, ready for `torch.addmm`: matrices (in, out), a missing bias as zeros."""

    gain_1: Tensor
    shift_1: Tensor | None
    qkv: Tensor
    qkv_bias: Tensor
    mix: Tensor
    mix_bias: Tensor
    gain_2: Tensor
    shift_2: Tensor | None
    widen: Tensor
    widen_bias: Tensor
    narrow: Tensor
    narrow_bias: Tensor


class Weights:
    """A model's weights as `step` wants them. They are the model's own, not copies, until `turn` is called."""

    def __init__(self, model):
        c = self.config = model.config
        self.pre, self.relu = c.norm == "pre", c.activation == "relu"
        self.tokens = model.wte.weight
        if c.positions == "learned":
            self.positions, self.scale = model.wpe.weight, 1.0
        else:
            self.positions, self.scale = model.position_table, math.sqrt(c.d_model)
        self.layers = [_layer(block) for block in model.blocks]
        self.final = (model.ln_f.weight, model.ln_f.bias) if self.pre else None
        self.head = model.head_weight.t()
        self.steps = 0

    def turn(self) -> None:
        """Copy the matrices that are read faster the other way round: those that make a row wider."""
        widening = 3 * self.config.d_model**2 + self.config.d_ff * self.config.d_model
        if self.head.device.type != "cpu" or self.head.numel() + len(self.layers) * widening > TURN_AT_MOST:
            return
        self.head = self.head.contiguous()
        for number, layer in enumerate(self.layers):
            self.layers[number] = layer._replace(qkv=layer.qkv.contiguous(), widen=layer.widen.contiguous())


def _layer(block) -> Layer:
    def product(linear) -> tuple[Tensor, Tensor]:
        bias = linear.bias
        return linear.weight.t(), linear.weight.new_zeros(len(linear.weight)) if bias is None else bias

    return Layer(
        block.ln_1.weight, block.ln_1.bias, *product(block.attn.qkv), *product(block.attn.proj),
        block.ln_2.weight, block.ln_2.bias, *product(block.mlp.fc), *product(block.mlp.proj),
    )  # fmt: skip


def step(
    weights: Weights, ids: Tensor, places: int | Tensor, memory: Tensor, slot: int, first: int, mask: Tensor | None
) -> Tensor:
    """Read one token for each row.

    Args:
        ids: the tokens, (B,).
        places: their positions in the model's context, one for all rows or (B,).
        memory: queries, keys and values so far, (n_layer, B, slots, 3 * d_model). This token's are written to `slot`.
        first: attention looks at the slots from here to `slot`.
        mask: added to the attention scores, (B, 1, 1, slot + 1 - first), or None where every row fills these slots.

    Returns:
        The logits of what follows, (B, vocab_size).
    """
    c, pre, relu = weights.config, weights.pre, weights.relu
    B, D = len(ids), c.d_model
    width = (D,)
    weights.steps += 1
    if B == 1 and weights.steps == TURN_AFTER:
        weights.turn()
    layer_norm, addmm, attend, gelu = torch.layer_norm, torch.addmm, F.scaled_dot_product_attention, F.gelu

    here = memory[:, :, slot]  # (n_layer, B, 3 * d_model)
    queries = here[..., :D].unflatten(-1, (c.n_head, 1, c.d_head)).unbind()  # n_layer times (B, n_head, 1, d_head)
    seen = memory[:, :, first : slot + 1].unflatten(-1, (3, c.n_head, c.d_head)).permute(3, 0, 1, 4, 2, 5)
    keys, values = seen[1].unbind(), seen[2].unbind()  # n_layer times (B, n_head, slots, d_head)

    x = F.embedding(ids, weights.tokens)  # (B, d_model), not the model's own memory: it may be changed
    if weights.scale != 1:
        x *= weights.scale
    x += weights.positions[places]
    for layer, row, q, k, v in zip(weights.layers, here.unbind(), queries, keys, values, strict=True):
        h = layer_norm(x, width, layer.gain_1, layer.shift_1) if pre else x
        addmm(layer.qkv_bias, h, layer.qkv, out=row)  # where q, and the last slot of k and v, look
        mixed = attend(q, k, v, mask).view(B, D)  # the heads side by side
        x = addmm(x, mixed, layer.mix).add_(layer.mix_bias)
        if not pre:
            x = layer_norm(x, width, layer.gain_1, layer.shift_1)
        h = layer_norm(x, width, layer.gain_2, layer.shift_2) if pre else x
        h = addmm(layer.widen_bias, h, layer.widen)
        h = h.relu_() if relu else gelu(h, approximate="tanh")
        x = addmm(x, h, layer.narrow).add_(layer.narrow_bias)
        if not pre:
            x = layer_norm(x, width, layer.gain_2, layer.shift_2)
    if weights.final is not None:
        x = layer_norm(x, width, *weights.final)
    return x @ weights.head
