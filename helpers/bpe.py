"""Byte-level byte-pair encoding as GPT-2 has it, written to be read: train, encode, decode, save, load.

This is the tokenizer that notebook 01 builds. `helpers.tokenizer` wraps the `tokenizers` library, which does
the same thing faster; the tests hold the two equal, id for id.

Sources: Sennrich, Haddow and Birch (2016), "Neural Machine Translation of Rare Words with Subword Units",
    section 3.2; Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.2
    (bytes, and no merges across kinds of characters).

Longer than other modules: it is one class and what notebook 01 built for it, to be read beside that notebook.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

from helpers.errors import CourseError
from helpers.files import read_json, write_atomically

END = "<|endoftext|>"

# GPT-2's pattern: English contractions | letters | digits | other signs, each with one space before it if
# there is one; then runs of white space, of which the last space is left for the word that follows.
SPLIT_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

Pair = tuple[int, int]


@cache
def byte_characters() -> dict[int, str]:
    """A printable character for each of the 256 bytes, in the order of their ids: bytes written as text.

    Printable bytes stand for themselves ("a" is byte 97); the other 68 get the characters from U+0100 on, so
    that a space is written "Ġ" (U+0120) and a newline "Ċ" (U+010A).
    """
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


@cache
def _splitter():
    # The library's regular expressions, not those of the package `regex`: the two follow different versions
    # of Unicode and disagree about which of its newest 17,000 code points are letters, so ids would differ on
    # such text.
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    return Split(Regex(SPLIT_PATTERN), "isolated")


def checked(text: str) -> str:
    """`text` itself, if it can be written as UTF-8.

    Raises:
        CourseError: `text` is not a string, or holds half of a surrogate pair, which no UTF-8 file can hold.
    """
    if not isinstance(text, str):
        raise CourseError(f"a text must be a str, not {type(text).__name__}: {text!r:.60}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CourseError(
            f"the text has a lone surrogate U+{ord(text[error.start]):04X} at character {error.start}, which "
            'UTF-8 cannot write; clean it with text.encode("utf-8", "replace").decode("utf-8")'
        ) from error
    return text


def split_pieces(text: str) -> list[str]:
    """`text` cut by GPT-2's pattern; joined, the pieces give `text` again. No merge crosses their borders."""
    return [piece for piece, _ in _splitter().pre_tokenize_str(checked(text))]


def count_pairs(words: Iterable[list[int]], counts: Iterable[int]) -> Counter[Pair]:
    """How often each pair of neighbours occurs in `words`, the i-th of which occurs `counts[i]` times."""
    pairs: Counter[Pair] = Counter()
    for word, count in zip(words, counts, strict=True):
        for pair in pairwise(word):
            pairs[pair] += count
    return pairs


def merge_pair(ids: list[int], pair: Pair, new_id: int, limit: int | None = None) -> list[int]:
    """`ids` with `pair` replaced by `new_id`, from left to right: (1, 1) in [1, 1, 1] gives [new_id, 1].

    `limit` is the greatest number of replacements; None replaces all.
    """
    merged, at = [], 0
    while at < len(ids):
        if ids[at] == pair[0] and at + 1 < len(ids) and ids[at + 1] == pair[1] and limit != 0:
            merged.append(new_id)
            at += 2
            limit = None if limit is None else limit - 1
        else:
            merged.append(ids[at])
            at += 1
    return merged


class BytePairEncoder:
    """A byte-level byte-pair encoder.

    Attributes:
        token_bytes: the bytes of each id; `token_bytes[i]` for id i.
        ranks: the merges, `(left id, right id) -> rank`; the lower rank is merged first.
        merged: `(left id, right id) -> id` of what the two make.
        special_tokens: `text -> id` of tokens that no text can make by accident.
    """

    def __init__(self, token_bytes: list[bytes], merges: list[Pair], special_tokens: dict[str, int]):
        self.token_bytes = token_bytes
        self.special_tokens = special_tokens
        ordinary = set(range(len(token_bytes))) - set(special_tokens.values())
        self.id_of = {token_bytes[i]: i for i in sorted(ordinary)}
        self.byte_ids = [self.id_of[bytes([byte])] for byte in range(256)]
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.merged = {(left, right): self.id_of[token_bytes[left] + token_bytes[right]] for left, right in merges}
        # When each token is made by one merge, a merge can only open the way to later ones, and all places of
        # the best pair may be merged at once. Trained merges are so; for others merge one place at a time, as
        # the library does.
        made_at = {new: rank for rank, new in enumerate(self.merged[pair] for pair in merges)}
        self._at_once = len(set(self.merged.values())) == len(self.merged) and all(
            made_at.get(part, -1) < rank for rank, pair in enumerate(merges) for part in pair
        )
        self._known: dict[str, list[int]] = {}  # pieces already encoded: text repeats its words

    @property
    def vocab_size(self) -> int:
        return len(self.token_bytes)

    @property
    def eos_token_id(self) -> int:
        """The id of `<|endoftext|>`."""
        return self.special_tokens[END]

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, special_tokens: tuple[str, ...] = (END,)
    ) -> "BytePairEncoder":
        """Learn merges from `texts` until there are `vocab_size` tokens, or nothing is left to merge.

        Ids: first the special tokens, then the 256 bytes in GPT-2's order, then one for each merge. At every
            step the most frequent pair is merged; between equals, the one with the smallest ids, which is the
            rule of the `tokenizers` library, so that the merges are the same as its.

        Raises:
            CourseError: `vocab_size` is less than the special tokens and the 256 bytes need.
        """
        smallest = 256 + len(special_tokens)
        if isinstance(texts, str):
            raise CourseError("texts must be a list of strings, not one string: write [text]")
        if vocab_size < smallest:
            raise CourseError(
                f"vocab_size must be at least {smallest}: 256 bytes and {len(special_tokens)} special tokens"
            )
        token_bytes = [special.encode("utf-8") for special in special_tokens]
        token_bytes += [bytes([byte]) for byte in byte_characters()]
        id_of = {token_bytes[i]: i for i in range(len(special_tokens), len(token_bytes))}

        pieces = Counter(piece for text in texts for piece in split_pieces(text))
        words = [[id_of[bytes([byte])] for byte in piece.encode("utf-8")] for piece in pieces]
        counts = list(pieces.values())
        pairs = count_pairs(words, counts)
        where = defaultdict(set)  # pair -> the words that have it, so that a merge visits those alone
        for number, word in enumerate(words):
            for pair in pairwise(word):
                where[pair].add(number)

        merges: list[Pair] = []
        while len(token_bytes) < vocab_size and pairs:
            best = max(pairs, key=lambda pair: (pairs[pair], -pair[0], -pair[1]))
            new_bytes = token_bytes[best[0]] + token_bytes[best[1]]
            if new_bytes not in id_of:
                id_of[new_bytes] = len(token_bytes)
                token_bytes.append(new_bytes)
            merges.append(best)
            for number in where.pop(best):
                old, new = words[number], merge_pair(words[number], best, id_of[new_bytes])
                words[number] = new
                pairs.subtract(count_pairs([old], [counts[number]]))
                pairs.update(count_pairs([new], [counts[number]]))
                for pair in pairwise(new):
                    where[pair].add(number)
                for pair in {*pairwise(old)}:
                    if pairs[pair] == 0:
                        del pairs[pair]
        return cls(token_bytes, merges, {special: i for i, special in enumerate(special_tokens)})

    def encode(self, text: str, allowed_special: bool = False) -> list[int]:
        """The ids of `text`.

        A special token's name inside `text`, such as `<|endoftext|>`, is read as ordinary characters, so that
        nobody's text can end a story; with `allowed_special` it becomes the special token's id.

        Raises:
            CourseError: `text` has a lone surrogate, which UTF-8 cannot write.
        """
        if not (allowed_special and self.special_tokens):
            return [i for piece in split_pieces(text) for i in self._encode_piece(piece)]
        longest_first = sorted(self.special_tokens, key=len, reverse=True)
        parts = re.split(f"({'|'.join(map(re.escape, longest_first))})", checked(text))
        ids = []
        for number, part in enumerate(parts):  # the odd ones are what the pattern caught
            ids += [self.special_tokens[part]] if number % 2 else self.encode(part)
        return ids

    def _encode_piece(self, piece: str) -> list[int]:
        """The ids of one piece: again and again, merge the neighbours whose merge was learned first."""
        if piece in self._known:
            return self._known[piece]
        ids = [self.byte_ids[byte] for byte in piece.encode("utf-8")]
        while len(ids) > 1:
            best = min(pairwise(ids), key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if best not in self.ranks:
                break
            ids = merge_pair(ids, best, self.merged[best], limit=None if self._at_once else 1)
        if len(self._known) < 50_000:
            self._known[piece] = ids
        return ids

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`, one token's after another's.

        Raises:
            CourseError: an id is outside the vocabulary.
        """
        ids = [int(i) for i in ids]
        for i in ids:
            if not 0 <= i < self.vocab_size:
                raise CourseError(f"id {i} is outside the vocabulary (0 to {self.vocab_size - 1})")
        return b"".join(self.token_bytes[i] for i in ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`. Bytes that are not UTF-8 (part of a character, say) become U+FFFD, "�"."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def token_text(self, i: int) -> str:
        """How token `i` is written in a tokenizer.json: a character for each byte, a space as "Ġ"."""
        if i in self.special_tokens.values():
            return self.token_bytes[i].decode("utf-8")
        return "".join(byte_characters()[byte] for byte in self.token_bytes[i])

    def save(self, path: str | Path) -> Path:
        """Write the tokenizer.json that the `tokenizers` library, and so `transformers`, reads."""
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        no = dict.fromkeys(["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"])
        no |= dict.fromkeys(["fuse_unk", "byte_fallback", "ignore_merges"], False)
        vocab = {self.token_text(i): i for i in range(self.vocab_size)}
        merges = [[self.token_text(left), self.token_text(right)] for left, right in self.ranks]
        content = {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": i, "content": name, **flags} for name, i in self.special_tokens.items()],
            "normalizer": None, "pre_tokenizer": level, "post_processor": None, "decoder": level,
            "model": {"type": "BPE", **no, "vocab": vocab, "merges": merges},
        }  # fmt: skip
        return write_atomically(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "BytePairEncoder":
        """Read a tokenizer.json that holds a byte-level BPE with GPT-2's split, from here or from the
        library.

        Raises:
            CourseError: the file is missing or damaged, or holds another kind of tokenizer.
        """
        content = read_json(path)
        try:
            model, before = content["model"], content["pre_tokenizer"]
            others = (
                "dropout",
                "unk_token",
                "continuing_subword_prefix",
                "end_of_word_suffix",
                "ignore_merges",
            )
            plain = not content.get("normalizer") and not any(model.get(key) for key in others)
            gpt2 = before["type"] == "ByteLevel" and before.get("use_regex", True)
            if model["type"] != "BPE" or not plain or not gpt2 or before["add_prefix_space"]:
                raise CourseError(f"{path} is not a byte-level BPE with GPT-2's split; load it with helpers.tokenizer")
            special = {token["content"]: token["id"] for token in content["added_tokens"] if token["special"]}
            byte_of = {character: byte for byte, character in byte_characters().items()}
            names = {i: name for name, i in (model["vocab"] | special).items()}
            token_bytes = [
                names[i].encode("utf-8") if names[i] in special else bytes(byte_of[c] for c in names[i])
                for i in range(len(names))
            ]
            merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
            ids = [(model["vocab"][left], model["vocab"][right]) for left, right in merges]
            return cls(token_bytes, ids, special)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise CourseError(f"{path} is not a whole tokenizer.json ({type(error).__name__}: {error})") from error
