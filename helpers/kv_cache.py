"""Built in notebooks 09 and 14: a KV cache, so that a new token costs one position and not the whole text.

What a position looks for changes with every token; what earlier positions offer does not. So their keys and values are
kept: a `LayerCache` for each block, which the model's attention asks for (`GPT.forward(ids, cache=...)`), and a
`KVCache` that knows the positions. A sequence that outgrows the context slides: its oldest token falls out, and with
learned positions everything that is left changes its position, so it is read again. Cached logits are those without a
cache, also beyond the context, to float32's last digits. Where positions are rotated nothing need be read again: the
`StreamingCache` of notebook 14 goes on for ever. Used by `helpers.generation`, `helpers.sampling` and the
playground.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.errors import CourseError
from helpers.modern import rotary_frequencies, rotate


class LayerCache:
    """The keys and values of one block, each (B, n_head, room, d_head); the first `cache.length` slots are in use."""

    def __init__(self, cache: "KVCache"):
        self.cache = cache
        self.keys = self.values = None

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keep the keys and values of T new positions, (B, n_head, T, d_head).

        Returns:
            All keys and values so far, and which of them each new query sees, (B, 1, T, slots); None: all.
        """
        start, end = self.cache.length, self.cache.length + k.shape[2]
        if self.keys is None:
            self.keys, self.values = k[:, :, :0], v[:, :, :0]
        if (room := self.keys.shape[2]) < end:
            more = (0, 0, 0, 2 * end - room)  # twice what is needed: memory grows seldom
            self.keys, self.values = F.pad(self.keys, more), F.pad(self.values, more)
        self.keys[:, :, start:end] = k
        self.values[:, :, start:end] = v
        return self.keys[:, :, :end], self.values[:, :, :end], self.cache.mask


class KVCache:
    """What a `GPT` remembers of a batch of sequences, which may be of unequal length.

    They end together: the newest token of each is in the same slot, a shorter sequence begins in a later one, and the
    mask hides the slots before its beginning.

    >>> cache = KVCache(model)                    # doctest: +SKIP
    >>> logits = cache.start([[5, 17], [42]])     # doctest: +SKIP
    >>> logits = cache.append([3, 9])             # doctest: +SKIP
    """

    def __init__(self, model):
        self.model, self.sequences = model, []

    @torch.inference_mode()
    def start(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Read the sequences, of each the last `context_length` ids; the logits of what follows each, (B, V)."""
        check_sequences(sequences)
        self.sequences = [list(ids) for ids in sequences]
        windows = [ids[-self.model.config.context_length :] for ids in self.sequences]
        before = [max(map(len, windows)) - len(window) for window in windows]  # slots that a shorter one leaves empty
        self.first = torch.tensor(before, device=self.model.head.weight.device)
        self.layers = [LayerCache(self) for _ in self.model.blocks]
        self.length = 0
        return self._read([[0] * empty + window for empty, window in zip(before, windows, strict=True)])

    @torch.inference_mode()
    def append(self, tokens: Sequence[int]) -> Tensor:
        """One more token for each sequence; the logits of what follows, (B, V)."""
        for ids, token in zip(self.sequences, tokens, strict=True):
            ids.append(token)
        if max(map(len, self.sequences)) > self.model.config.context_length:  # it slides: every position changes
            return self.start(self.sequences)
        return self._read([[token] for token in tokens])

    @torch.inference_mode()
    def reorder(self, numbers: Sequence[int]) -> None:
        """Go on with these sequences, in this order; one may be named more than once (beam search)."""
        self.sequences = [list(self.sequences[number]) for number in numbers]
        self.first = self.first[numbers]
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[numbers], layer.values[numbers]

    def positions(self, ids: Tensor) -> Tensor:
        """The position of each new token in its own sequence, (B, T). `GPT.embed` asks for it."""
        slots = self.length + torch.arange(ids.shape[1], device=ids.device)
        return (slots - self.first[:, None]).clamp(min=0)

    def _read(self, ids: list[list[int]]) -> Tensor:
        """New tokens, (B, T), after what is kept; the logits of what follows the last, (B, V)."""
        ids = torch.tensor(ids, device=self.first.device)
        alike = ids.shape[1] == 1 and not self.first.any()  # one new token each, nothing hidden: no mask is needed
        self.mask = None if alike else visible(self.first, self.length, ids.shape[1])
        hidden = self.model.hidden(ids, cache=self)
        self.length += ids.shape[1]
        return self.model.head(hidden[:, -1])


class StreamingCache(KVCache):
    """Never reads anything again: when the context is full the oldest token behind the first `sinks` falls out.

    Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks", section 3.2: positions are counted
    among what is kept, so all behind the gap moves up by one. Rotations add up: each key there is turned back a step.
    """

    def __init__(self, model, sinks: int = 4):
        super().__init__(model)
        if not getattr(model.config, "rotary", False):
            raise CourseError("only rotated positions can be counted anew: this model's are added to its tokens")
        if not 0 <= sinks < model.config.context_length - 1:
            raise CourseError(f"sinks must leave room in a context of {model.config.context_length}, not {sinks}")
        self.sinks = sinks

    def start(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """As `KVCache.start`; the sequences are of one length."""
        if len(set(map(len, sequences))) > 1:
            raise CourseError("sequences that stream together must be of one length")
        return super().start(sequences)

    @torch.inference_mode()
    def append(self, tokens: Sequence[int]) -> Tensor:
        """One more token for each sequence; the logits of what follows, (B, V)."""
        for ids, token in zip(self.sequences, tokens, strict=True):
            ids.append(token)
        if self.length == self.model.config.context_length:
            self._forget()
        return self._read([[token] for token in tokens])

    def _forget(self) -> None:
        config, gap, end = self.model.config, self.sinks, self.length
        turns = rotary_frequencies(config.d_head, config.rope_base, config.interpolation)
        back = torch.tensor([-1.0], device=self.first.device)
        for layer in self.layers:
            layer.keys[:, :, gap : end - 1] = rotate(layer.keys[:, :, gap + 1 : end], back, turns)
            layer.values[:, :, gap : end - 1] = layer.values[:, :, gap + 1 : end].clone()
        self.length -= 1


def visible(first: Tensor, past: int, new: int) -> Tensor:
    """Which slots each new query sees, (B, 1, new, past + new): none after its own, none before its sequence's first.

    Args:
        first: the slot in which each sequence begins, (B,).
        past: slots that are in use; new: slots that are read now.
    """
    slots = torch.arange(past + new, device=first.device)
    queries = slots[past:, None]  # (new, 1)
    begun = slots >= first[:, None, None]  # (B, 1, past + new)
    # An empty slot's query sees itself: what it computes is not used, but must be a number.
    return ((slots <= queries) & begun | (slots == queries))[:, None]


class WithoutCache:
    """The same calls for any model that gives logits, such as a learner's own: every sequence is read again."""

    def __init__(self, model):
        self.model, self.sequences = model, []

    @torch.inference_mode()
    def start(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Read the sequences, of each the last `context_length` ids; the logits of what follows each, (B, V)."""
        check_sequences(sequences)
        self.sequences = [list(ids) for ids in sequences]
        longest, device = self.model.config.context_length, next(self.model.parameters()).device
        windows = [torch.tensor([ids[-longest:]], device=device) for ids in self.sequences]
        return torch.cat([self.model(window)[:, -1] for window in windows])

    def append(self, tokens: Sequence[int]) -> Tensor:
        """One more token for each sequence; the logits of what follows, (B, V)."""
        return self.start([[*ids, token] for ids, token in zip(self.sequences, tokens, strict=True)])

    def reorder(self, numbers: Sequence[int]) -> None:
        """Go on with these sequences only."""
        self.sequences = [self.sequences[number] for number in numbers]


def check_sequences(sequences: Sequence[Sequence[int]]) -> None:
    """Refuse a batch in which there is nothing to read."""
    if not sequences or not all(map(len, sequences)):
        raise CourseError("there is nothing to read: every sequence needs at least one token")
