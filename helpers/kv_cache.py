"""Keys and values that are kept, so that each new token costs one position and not the whole story again.

What a position looks for changes with every token; what earlier positions offer does not. `KVCache` keeps it in
memory that is set aside once. A row that outgrows the context slides, its oldest token falls out, and with learned
positions everything that is left changes its place: that row is read anew. So the cache gives what reading from
scratch gives, also beyond the window, to float32's last digits.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.errors import CourseError


class KVCache:
    """What a `GPT` remembers of a batch of rows of unequal length.

    >>> cache = KVCache(model)                    # doctest: +SKIP
    >>> logits = cache.start([[5, 17], [42]])     # doctest: +SKIP
    >>> logits = cache.append([3, 9])             # doctest: +SKIP
    """

    def __init__(self, model):
        self.model, self.config = model, model.config
        self.rows: list[list[int]] = []

    @torch.inference_mode()
    def start(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Read the rows; the logits of what follows each, (batch, vocab_size).

        Raises:
            CourseError: a row is empty.
        """
        self.rows = [[int(token) for token in row] for row in rows]
        if not self.rows or not all(self.rows):
            raise CourseError("there is nothing to read: every row needs at least one token")
        c, weight = self.config, self.model.head_weight
        shape = (c.n_layer, len(self.rows), c.n_head, c.context_length, c.d_head)
        self.keys, self.values = (torch.zeros(shape, dtype=weight.dtype, device=weight.device) for _ in range(2))
        return self._read(range(len(self.rows)))

    @torch.inference_mode()
    def append(self, tokens: Sequence[int]) -> Tensor:
        """One more token for each row; the logits of what follows, (batch, vocab_size)."""
        longest = self.config.context_length
        for row, token in zip(self.rows, tokens, strict=True):
            row.append(int(token))
        full = [number for number, row in enumerate(self.rows) if len(row) > longest]
        if len(full) == len(self.rows):
            return self._read(full)
        logits = self._step()
        if full:
            logits[full] = self._read(full)
        return logits

    @torch.inference_mode()
    def keep(self, numbers: Sequence[int]) -> None:
        """Go on with these rows, in this order; one may be named more than once (beam search)."""
        numbers = list(numbers)
        if numbers == list(range(len(self.rows))):
            return
        self.keys, self.values = self.keys[:, numbers], self.values[:, numbers]
        self.rows = [list(self.rows[number]) for number in numbers]

    def _read(self, numbers: Sequence[int]) -> Tensor:
        """Rows from scratch, filled up on the right: nothing sees what comes after it, so no mask is needed."""
        model, numbers = self.model, list(numbers)
        rows = [self.rows[number][-self.config.context_length :] for number in numbers]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=model.head_weight.device)
        x = model.embed(ids)
        for layer, block in enumerate(model.blocks):
            q, k, v = block.attn.heads(block.ln_1(x) if block.pre else x)
            self.keys[layer, numbers, :, :longest], self.values[layer, numbers, :, :longest] = k, v
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)
            x = _rest(block, x, mixed)
        last = torch.tensor([len(row) - 1 for row in rows], device=x.device)
        return model.ln_f(x[torch.arange(len(rows), device=x.device), last]) @ model.head_weight.T

    def _step(self) -> Tensor:
        """The newest token of each row alone. Rows that slide are computed too, and overwritten by `append`."""
        model, c = self.model, self.config
        B = len(self.rows)
        place = [min(len(row), c.context_length) - 1 for row in self.rows]
        end = max(place) + 1
        device = model.head_weight.device
        ids = torch.tensor([row[-1] for row in self.rows], device=device)
        same = min(place) == max(place)
        where = place[0] if same else torch.tensor(place, device=device)
        x = model.wte.weight[ids]  # (B, d_model)
        if c.positions == "learned":
            x = x + model.wpe.weight[where]
        else:
            x = x * math.sqrt(c.d_model) + model.position_table[where]
        beyond = None
        if not same:
            beyond = torch.arange(end, device=device) > where[:, None]  # (B, end): this row has not got so far
            beyond = torch.zeros(B, 1, end, device=device, dtype=x.dtype).masked_fill(beyond[:, None], -math.inf)
            beyond = beyond.repeat_interleave(c.n_head, 0)  # (B * n_head, 1, end)
        everyone = torch.arange(B, device=device)
        heads, scale = (B * c.n_head, c.context_length, c.d_head), c.d_head**-0.5
        unused = x.new_zeros(1)
        for layer, block in enumerate(model.blocks):
            h = block.ln_1(x) if block.pre else x
            q, k, v = block.attn.qkv(h).view(B, 3, c.n_head, c.d_head).unbind(1)
            keys, values = self.keys[layer], self.values[layer]
            if same:
                keys[:, :, where], values[:, :, where] = k, v
            else:
                keys[everyone, :, where], values[everyone, :, where] = k, v
            q = q.reshape(B * c.n_head, 1, c.d_head)
            past = keys.view(heads)[:, :end].mT
            if beyond is None:
                scores = torch.baddbmm(unused, q, past, beta=0, alpha=scale)
            else:
                scores = torch.baddbmm(beyond, q, past, alpha=scale)
            mixed = torch.bmm(scores.softmax(-1), values.view(heads)[:, :end])
            x = _rest(block, x, mixed.view(B, c.d_model))
        return model.ln_f(x) @ model.head_weight.T


def _rest(block, x: Tensor, mixed: Tensor) -> Tensor:
    """A block after its heads have mixed: the same order as in `helpers.model.Block`, without dropout."""
    mlp = block.mlp
    x = x + block.attn.proj(mixed)
    if not block.pre:
        x = block.ln_1(x)
    h = block.ln_2(x) if block.pre else x
    if mlp.activation is F.relu:
        h = F.relu(mlp.fc(h))
    else:
        h = F.gelu(mlp.fc(h), approximate="tanh")
    x = x + mlp.proj(h)
    return x if block.pre else block.ln_2(x)


class ReadingAnew:
    """The same for any model that gives logits, such as a learner's own: nothing is kept, every row is read again."""

    def __init__(self, model):
        self.model, self.rows = model, []

    @torch.inference_mode()
    def start(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Read the rows; the logits of what follows each, (batch, vocab_size)."""
        self.rows = [[int(token) for token in row] for row in rows]
        longest, device = self.model.config.context_length, self.model.head_weight.device
        ids = [torch.tensor([row[-longest:]], device=device) for row in self.rows]
        return torch.cat([self.model(one)[:, -1] for one in ids])

    def append(self, tokens: Sequence[int]) -> Tensor:
        """One more token for each row; the logits of what follows, (batch, vocab_size)."""
        return self.start([[*row, int(token)] for row, token in zip(self.rows, tokens, strict=True)])

    def keep(self, numbers: Sequence[int]) -> None:
        """Go on with these rows only."""
        self.rows = [self.rows[number] for number in numbers]
