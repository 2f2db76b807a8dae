"""Keys and values that are kept, so that each new token costs one position and not the whole story again.

What a position looks for changes with every token; what earlier positions offer does not. `KVCache` keeps it. A row
that outgrows the context slides, its oldest token falls out, and with learned positions everything that is left
changes its place: that row is read anew. So the cache gives what reading from scratch gives, also beyond the window,
to float32's last digits.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.errors import CourseError
from helpers.fast_step import Weights, empty_memory, step

ROOM = 64  # slots set aside beyond the prompt; the memory doubles when they are used up


class KVCache:
    """What a `GPT` remembers of a batch of rows of unequal length.

    The rows' ends are aligned: whatever their lengths, the newest token of each is in the same slot of the memory, and
    a shorter row begins later. So one product writes them all, and one mask, made once, hides what is before a row.

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
        lengths = [min(len(row), c.context_length) for row in self.rows]
        self.slots = max(lengths)  # how many are in use
        self.first = [self.slots - length for length in lengths]  # where each row begins
        self.memory = empty_memory(c, len(self.rows), self.slots + ROOM, weight)
        self.weights = Weights(self.model)
        self._hide()
        return self._read(range(len(self.rows)), keep=True)

    @torch.inference_mode()
    def append(self, tokens: Sequence[int]) -> Tensor:
        """One more token for each row; the logits of what follows, (batch, vocab_size)."""
        longest = self.config.context_length
        for row, token in zip(self.rows, tokens, strict=True):
            row.append(int(token))
        full = [number for number, row in enumerate(self.rows) if len(row) > longest]
        if len(full) == len(self.rows):
            return self._read(full)
        logits = self._step()  # full rows are computed too, and overwritten
        if full:
            logits[full] = self._read(full)
        return logits

    @torch.inference_mode()
    def keep(self, numbers: Sequence[int]) -> None:
        """Go on with these rows, in this order; one may be named more than once (beam search)."""
        numbers = list(numbers)
        if numbers == list(range(len(self.rows))):
            return
        kept = empty_memory(self.config, len(numbers), self.memory.shape[2], self.memory)
        self.memory = kept.copy_(self.memory[:, numbers])
        self.rows = [list(self.rows[number]) for number in numbers]
        self.first = [self.first[number] for number in numbers]
        self._hide()

    def _hide(self) -> None:
        """The mask for rows that do not begin together, (batch, 1, 1, slots): minus infinity before a row's first."""
        self.mask = None
        self.earliest = min(self.first, default=0)
        if self.first and max(self.first) > self.earliest:
            first = torch.tensor(self.first, device=self.memory.device)[:, None, None, None]
            before = torch.arange(self.memory.shape[2], device=self.memory.device) < first
            self.mask = torch.zeros(before.shape, dtype=self.memory.dtype, device=self.memory.device)
            self.mask.masked_fill_(before, -math.inf)

    def _step(self) -> Tensor:
        """The newest token of each row alone."""
        slot = self.slots
        if slot == self.memory.shape[2]:
            larger = empty_memory(self.config, len(self.rows), 2 * slot, self.memory)
            larger[:, :, :slot] = self.memory
            self.memory = larger
            self._hide()
        self.slots += 1
        ids = torch.tensor([row[-1] for row in self.rows], device=self.memory.device)
        last = self.config.context_length - 1
        places = [min(len(row) - 1, last) for row in self.rows]
        where = places[0] if min(places) == max(places) else torch.tensor(places, device=ids.device)
        mask = None if self.mask is None else self.mask[..., self.earliest : slot + 1]
        return step(self.weights, ids, where, self.memory, slot, self.earliest, mask)

    def _read(self, numbers: Sequence[int], keep: bool = False) -> Tensor:
        """Rows from scratch, filled up on the right: nothing sees what comes after it, so no mask is needed.

        Args:
            keep: whether keys and values are wanted later: not those of rows that slide.
        """
        model, c, numbers = self.model, self.config, list(numbers)
        rows = [self.rows[number][-c.context_length :] for number in numbers]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=model.head_weight.device)
        x = model.embed(ids)
        for layer, block in enumerate(model.blocks):
            h = block.ln_1(x) if block.pre else x
            parts = block.attn.qkv(h).unflatten(-1, (3, c.n_head, c.d_head))  # (batch, time, 3, n_head, d_head)
            if keep:
                for number, row, made in zip(numbers, rows, parts, strict=True):
                    self.memory[layer, number, self.slots - len(row) : self.slots] = made[: len(row)]
            q, k, v = parts.permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)
            x = _rest(block, x, mixed)
        last = torch.tensor([len(row) - 1 for row in rows], device=x.device)
        return model.ln_f(x[torch.arange(len(rows), device=x.device), last]) @ model.head_weight.T


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
