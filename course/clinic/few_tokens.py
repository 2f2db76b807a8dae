"""A tokenizer cut down to what some texts need: with a third of the vocabulary, small programs train in a second."""

from collections.abc import Iterable, Sequence

from helpers.tokenizer import Tokenizer


class FewTokens:
    """The tokens of another tokenizer that occur in some texts, its end token, and the 256 bytes for all else.

    Whatever those texts are made of is divided as the other tokenizer divides it. A token that is not among them is
    written in bytes.

    Attributes:
        eos_token_id, vocab_size: as of a `helpers.tokenizer.Tokenizer`.
    """

    def __init__(self, full: Tokenizer, texts: Sequence[str]):
        byte_of = {full.decode_bytes([i]): i for i in range(full.vocab_size) if i != full.eos_token_id}
        bytes_ = [byte_of[bytes([value])] for value in range(256)]
        used = {i for ids in full.encode_batch(texts) for i in ids}
        self._full = full
        self._old = sorted({full.eos_token_id, *bytes_, *used})  # by the new id
        self._new = {old: new for new, old in enumerate(self._old)}
        self._bytes = [self._new[old] for old in bytes_]
        self.eos_token_id = self._new[full.eos_token_id]
        self.vocab_size = len(self._old)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; nothing is added."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        return [[new for old in ids for new in self._ids_of(old)] for ids in self._full.encode_batch(texts)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; the end token by its name."""
        return self._full.decode([self._old[i] for i in ids])

    def _ids_of(self, old: int) -> list[int]:
        if old in self._new:
            return [self._new[old]]
        return [self._bytes[value] for value in self._full.decode_bytes([old])]
