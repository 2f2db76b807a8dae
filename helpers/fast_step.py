"""One token for each row of a batch, with as few and as cheap calls as torch allows.

A small model's token costs little arithmetic: most of the time goes into getting there. The plain forward makes some
hundred calls for each layer of modules, views and checks; here there are nine. What is done, and why:

- weights are looked up once, not through modules at every token;
- the views of all layers are made together, in a few calls for a token and not for a layer;
- one row's query, key and value are written by their product where the cache keeps them (`out=`): nothing is copied;
  and attention is one fused call for all heads;
- of several rows, each head's keys lie together in the cache (`empty_memory`), and so do its values: attention is two
  products, which take about two thirds of the time of the fused call, made for many queries and not for one;
- the bias is added by the product itself, and what a sublayer adds goes into the residual stream in place;
- for a few rows, a product with a matrix reads the matrix and does hardly anything else, so what counts is how it is
  read. In a wide model oneDNN, which torch has on most processors, reads it faster than `addmm` (`Streamed`): for one
  row somewhat, for 4 to 16 rows up to three times. In a narrow model its calls cost more than they save; there a matrix
  with more rows than columns is read up to twice as fast if it lies in memory the other way round, so a story that
  grows long gets such copies (`Weights.turn`); they live as long as its cache.

`step` equals the plain forward to float32's last digits; `tests/test_fast_step.py` holds it to that.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.products import onednn_linear, onednn_multiplies, plain_float32_on_cpu

TURN_AFTER = 16  # tokens: turning costs about as much as reading a few
WIDE = 512  # d_model from which oneDNN's products are the faster ones
TURN_AT_MOST = 2**28  # numbers (1 GiB in float32): a larger model would take memory that may be missing


class Product(NamedTuple):
    """A linear layer, ready for `torch.addmm`: its matrix (in, out) and its bias, zeros if it has none."""

    matrix: Tensor
    bias: Tensor

    def into(self, out: Tensor, h: Tensor) -> None:
        torch.addmm(self.bias, h, self.matrix, out=out)

    def added_to(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.addmm(x, h, self.matrix).add_(self.bias)

    def __call__(self, h: Tensor) -> Tensor:
        return torch.addmm(self.bias, h, self.matrix)

    def turned(self) -> "Product":
        return self._replace(matrix=self.matrix.contiguous())


class Head(NamedTuple):
    """The output layer, which has no bias."""

    matrix: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.matrix

    def turned(self) -> "Head":
        return Head(self.matrix.contiguous())


class Streamed(NamedTuple):
    """A linear layer or the head of a wide model, multiplied by oneDNN; its matrix is the model's own, (out, in)."""

    matrix: Tensor
    bias: Tensor | None

    def into(self, out: Tensor, h: Tensor) -> None:
        out.copy_(self(h))

    def added_to(self, x: Tensor, h: Tensor) -> Tensor:
        return x.add_(self(h))

    def __call__(self, h: Tensor) -> Tensor:
        return onednn_linear(h, self.matrix, self.bias)

    def turned(self) -> "Streamed":
        return self


class Other(NamedTuple):
    """A layer of another kind, such as `course.lighter.Int8Linear`, with the same three uses."""

    module: torch.nn.Module

    def into(self, out: Tensor, h: Tensor) -> None:
        out.copy_(self.module(h))

    def added_to(self, x: Tensor, h: Tensor) -> Tensor:
        return x.add_(self.module(h))

    def __call__(self, h: Tensor) -> Tensor:
        return self.module(h)

    def turned(self) -> "Other":
        return self


class Layer(NamedTuple):
    """What a block consists of: two norms (gain and shift) and four products."""

    gain_1: Tensor
    shift_1: Tensor | None
    qkv: Product | Streamed | Other
    mix: Product | Streamed | Other
    gain_2: Tensor
    shift_2: Tensor | None
    widen: Product | Streamed | Other
    narrow: Product | Streamed | Other


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
        streamed = c.d_model >= WIDE and plain_float32_on_cpu(self.tokens) and onednn_multiplies()
        self.layers = [_layer(block, streamed) for block in model.blocks]
        self.final = (model.ln_f.weight, model.ln_f.bias) if self.pre else None
        if hasattr(model, "int8_head"):
            self.head = Other(model.int8_head)
        else:
            self.head = Streamed(model.head_weight, None) if streamed else Head(model.head_weight.t())
        self.alone = 0  # how many tokens were read for a single row

    def turn(self) -> None:
        """Copy the matrices that are read faster the other way round: those that make a row wider."""
        c = self.config
        copied = c.vocab_size * c.d_model + len(self.layers) * (3 * c.d_model + c.d_ff) * c.d_model
        if self.tokens.device.type != "cpu" or copied > TURN_AT_MOST:
            return
        self.head = self.head.turned()
        self.layers = [each._replace(qkv=each.qkv.turned(), widen=each.widen.turned()) for each in self.layers]


def _layer(block, streamed: bool) -> Layer:
    def product(linear) -> Product | Streamed | Other:
        if not isinstance(linear, torch.nn.Linear):
            return Other(linear)
        bias = linear.bias
        if streamed:
            return Streamed(linear.weight, bias)
        return Product(linear.weight.t(), linear.weight.new_zeros(len(linear.weight)) if bias is None else bias)

    return Layer(
        block.ln_1.weight, block.ln_1.bias, product(block.attn.qkv), product(block.attn.proj),
        block.ln_2.weight, block.ln_2.bias, product(block.mlp.fc), product(block.mlp.proj),
    )  # fmt: skip


def empty_memory(config, rows: int, slots: int, like: Tensor) -> Tensor:
    """Zeros for queries, keys and values, laid out as `step` reads them fastest.

    Args:
        config: of the model.
        like: a tensor of the wanted dtype and device.

    Returns:
        (n_layer, rows, slots, 3, n_head, d_head). In memory, what belongs to a slot lies together for one row, what
        belongs to a head for several.
    """
    c = config
    if rows == 1:
        return like.new_zeros(c.n_layer, rows, slots, 3, c.n_head, c.d_head)
    return like.new_zeros(c.n_layer, 3, rows, c.n_head, slots, c.d_head).permute(0, 2, 4, 1, 3, 5)


def _attend_together(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """`F.scaled_dot_product_attention` of one query in each of several rows, from a memory where heads lie together.

    Args:
        queries: (B, n_head, 1, d_head).
        keys, values: (B, n_head, slots, d_head).
    """
    B, n_head, _, d_head = queries.shape
    q, k, v = (each.flatten(0, 1) for each in (queries, keys, values))  # views: nothing is copied
    scores = torch.bmm(q, k.mT).mul_(d_head**-0.5)  # (B * n_head, 1, slots)
    if mask is not None:
        scores.view(B, n_head, 1, -1).add_(mask)
    return torch.bmm(scores.softmax(-1), v).view(queries.shape)


def step(
    weights: Weights, ids: Tensor, places: int | Tensor, memory: Tensor, slot: int, first: int, mask: Tensor | None
) -> Tensor:
    """Read one token for each row.

    Args:
        ids: the tokens, (B,).
        places: their positions in the model's context, one for all rows or (B,).
        memory: from `empty_memory`, keys and values so far. This token's are written to `slot`.
        first: attention looks at the slots from here to `slot`.
        mask: added to the attention scores, (B, 1, 1, slot + 1 - first), or None where every row fills these slots.

    Returns:
        The logits of what follows, (B, vocab_size).
    """
    c, pre, relu = weights.config, weights.pre, weights.relu
    B, D = len(ids), c.d_model
    width = (D,)
    if B == 1:
        weights.alone += 1
        if weights.alone == TURN_AFTER:
            weights.turn()
    layer_norm, gelu = torch.layer_norm, F.gelu
    attend = F.scaled_dot_product_attention if B == 1 else _attend_together

    here = memory[:, :, slot]  # (n_layer, B, 3, n_head, d_head)
    queries = here[:, :, 0, :, None].unbind()  # n_layer times (B, n_head, 1, d_head)
    seen = memory[:, :, first : slot + 1].permute(3, 0, 1, 4, 2, 5)
    keys, values = seen[1].unbind(), seen[2].unbind()  # n_layer times (B, n_head, slots, d_head)

    x = F.embedding(ids, weights.tokens)  # (B, d_model), not the model's own memory: it may be changed
    if weights.scale != 1:
        x *= weights.scale
    x += weights.positions[places]
    for layer, row, q, k, v in zip(weights.layers, here.unbind(), queries, keys, values, strict=True):
        h = layer_norm(x, width, layer.gain_1, layer.shift_1) if pre else x
        if B == 1:  # to where q, and the last slot of k and v, look
            layer.qkv.into(row.view(B, 3 * D), h)
        else:
            row.copy_(layer.qkv(h).view(row.shape))
        mixed = attend(q, k, v, mask).view(B, D)  # the heads side by side
        x = layer.mix.added_to(x, mixed)
        if not pre:
            x = layer_norm(x, width, layer.gain_1, layer.shift_1)
        h = layer_norm(x, width, layer.gain_2, layer.shift_2) if pre else x
        h = layer.widen(h)
        h = h.relu_() if relu else gelu(h, approximate="tanh")
        x = layer.narrow.added_to(x, h)
        if not pre:
            x = layer_norm(x, width, layer.gain_2, layer.shift_2)
    if weights.final is not None:
        x = layer_norm(x, width, *weights.final)
    return weights.head(x)
