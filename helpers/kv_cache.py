"""Built in notebook 09: keys and values that are kept, so that a new token costs one position and not the whole text.

What a position looks for changes with every token; what earlier positions offer does not. `KVCache` keeps it, a
`LayerCache` for each block, and the model's attention asks for it (`GPT.forward(ids, cache=...)`). A sequence that
outgrows the context slides: its oldest token falls out, and with learned positions everything that is left changes its
position, so it is read again from the start. Cached logits are those without a cache, also beyond the window, to
float32's last digits. Used by `helpers.generation`, `helpers.sampling` and the playground.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from helpers.errors import CourseError

ROOM = 64  # positions set aside beyond the prompt; the memory doubles when they are used up


class LayerCache:
    """The keys and values of one block for all sequences, each (B, n_head, positions, d_head)."""

    def __init__(self, cache: "KVCache"):
        self.cache = cache
        self.keys = self.values = None

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keep the new positions' keys and values, (B, n_head, T, d_head).

        Returns:
            All keys and values so far, and which of them each new query sees, (B, 1, T, positions); None for all.
        """
        start, end = self.cache.length, self.cache.length + k.shape[2]
        if self.keys is None:
            self.keys, self.values = (_with_room(each, end + ROOM) for each in (k, v))
        elif end > self.keys.shape[2]:
            self.keys, self.values = (_with_room(each, 2 * end) for each in (self.keys, self.values))
        self.keys[:, :, start:end] = k
        self.values[:, :, start:end] = v
        return self.keys[:, :, :end], self.values[:, :, :end], self.cache.mask


def _with_room(kept: Tensor, positions: int) -> Tensor:
    larger = kept.new_zeros(*kept.shape[:2], positions, kept.shape[3])
    larger[:, :, : kept.shape[2]] = kept
    return larger


class KVCache:
    """What a `GPT` remembers of a batch of sequences, which may be of unequal length.

    They end together: the newest token of each is in the same slot, a shorter sequence begins in a later one, and the
    mask hides the slots before its beginning.

    >>> cache = KVCache(model)                    # doctest: +SKIP
    >>> logits = cache.start([[5, 17], [42]])     # doctest: +SKIP
    >>> logits = cache.append([3, 9])             # doctest: +SKIP
    """

    def __init__(self, model):
        self.model, self.context_length = model, model.config.context_length
        self.rows: list[list[int]] = []  # the ids of each sequence, all of them

    @torch.inference_mode()
    def start(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Read the sequences; the logits of what follows each, (B, vocab_size).

        Raises:
            CourseError: a sequence is empty.
        """
        self.rows = [[int(token) for token in row] for row in rows]
        if not self.rows or not all(self.rows):
            raise CourseError("there is nothing to read: every sequence needs at least one token")
        self.device = next(self.model.parameters()).device
        self.layers = [LayerCache(self) for _ in self.model.blocks]
        self.length = 0  # slots that are in use
        read = [row[-self.context_length :] for row in self.rows]
        longest = max(map(len, read))
        self.first = torch.tensor([longest - len(row) for row in read], device=self.device)
        return self._read([[0] * (longest - len(row)) + row for row in read])

    @torch.inference_mode()
    def append(self, tokens: Sequence[int]) -> Tensor:
        """One more token for each sequence; the logits of what follows, (B, vocab_size)."""
        for row, token in zip(self.rows, tokens, strict=True):
            row.append(int(token))
        full = [number for number, row in enumerate(self.rows) if len(row) > self.context_length]
        if len(full) < len(self.rows):
            logits = self._read([row[-1:] for row in self.rows])  # full ones too; they are written over
            if not full:
                return logits
        window = torch.tensor([self.rows[number][-self.context_length :] for number in full], device=self.device)
        slid = self.model.head(self.model.hidden(window)[:, -1])
        if len(full) == len(self.rows):
            return slid
        logits[full] = slid
        return logits

    @torch.inference_mode()
    def reorder(self, numbers: Sequence[int]) -> None:
        """Go on with these sequences, in this order; one may be named more than once (beam search)."""
        numbers = list(numbers)
        if numbers == list(range(len(self.rows))):
            return
        self.rows = [list(self.rows[number]) for number in numbers]
        self.first = self.first[numbers]
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[numbers], layer.values[numbers]

    def positions(self, ids: Tensor) -> Tensor:
        """The position of each new token in its own sequence, (B, T). `GPT.embed` asks for it."""
        slots = self.length + torch.arange(ids.shape[1], device=ids.device)
        return (slots - self.first[:, None]).clamp(0, self.context_length - 1)

    def _read(self, ids: list[list[int]]) -> Tensor:
        """New tokens, (B, T) lists, after what is kept; the logits of what follows the last, (B, vocab_size)."""
        ids = torch.tensor(ids, device=self.device)
        self.mask = self._mask(ids.shape[1])
        last = self.model.hidden(ids, cache=self)[:, -1]
        self.length += ids.shape[1]
        return self.model.head(last)

    def _mask(self, T: int) -> Tensor | None:
        """Which slots each of T new queries sees, (B, 1, T, slots): none after its own or before its sequence's first."""
        if T == 1 and not self.first.any():
            return None
        slots = torch.arange(self.length + T, device=self.device)
        queries = slots[self.length :, None]  # (T, 1)
        started = slots >= self.first[:, None, None]  # (B, 1, slots)
        # A query before its sequence's first sees itself alone: what it computes is not used, but must be a number.
        return ((slots <= queries) & started | (slots == queries))[:, None]


class WithoutCache:
    """The same calls for any model that gives logits, such as a learner's own: every sequence is read again."""

    def __init__(self, model):
        self.model, self.rows = model, []

    @torch.inference_mode()
    def start(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Read the sequences; the logits of what follows each, (B, vocab_size)."""
        self.rows = [[int(token) for token in row] for row in rows]
        longest, device = self.model.config.context_length, next(self.model.parameters()).device
        ids = [torch.tensor([row[-longest:]], device=device) for row in self.rows]
        return torch.cat([self.model(one)[:, -1] for one in ids])

    def append(self, tokens: Sequence[int]) -> Tensor:
        """One more token for each sequence; the logits of what follows, (B, vocab_size)."""
        return self.start([[*row, int(token)] for row, token in zip(self.rows, tokens, strict=True)])

    def reorder(self, numbers: Sequence[int]) -> None:
        """Go on with these sequences only."""
        self.rows = [self.rows[number] for number in numbers]
