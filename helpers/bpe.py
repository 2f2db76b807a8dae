"""Built in notebook 01: byte-level byte-pair encoding (BPE) as GPT-2 has it, to be read: train, encode, decode.

What the notebook shows stands here statement by statement; `save` and `load` are added. The tokenizer that the course
uses from then on, `helpers.tokenizer`, wraps the `tokenizers` library, which trains much faster: it does not count
every pair again for every merge. Tests hold the two equal, id for id.

Sources: Sennrich, Haddow and Birch (2016), "Neural Machine Translation of Rare Words with Subword Units",
    section 3.2; Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.2
    (bytes, and no merges across kinds of characters).

Used in notebook 01 and its checks; `END` is used wherever stories are put together.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from pathlib import Path

# The library's regular expressions, not those of the package `regex`: the two follow different versions of Unicode
# and disagree about which of its newest 17,000 code points are letters, so ids would differ on such text.
from tokenizers import AddedToken, Regex, Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split

from helpers.errors import CourseError
from helpers.files import read_json, write_atomically

Pair = tuple[int, int]

END = "<|endoftext|>"
PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
BYTES = PRINTABLE + [byte for byte in range(256) if byte not in PRINTABLE]  # in GPT-2's order
FIRST_TOKENS = (END.encode(), *(bytes([byte]) for byte in BYTES))  # the bytes of the ids 0 to 256
BYTE_ID = {byte: i for i, byte in enumerate(BYTES, start=1)}

# Bytes written as text, as a tokenizer.json does: printable bytes stand for themselves, the other 68 get the characters
# from U+0100 on, so that a space is written "Ġ" (U+0120) and a newline "Ċ" (U+010A).
CHARACTERS = {byte: chr(byte) for byte in PRINTABLE}
CHARACTERS |= {byte: chr(256 + n) for n, byte in enumerate(BYTES[len(PRINTABLE) :])}

# GPT-2's pattern: English contractions | letters | numbers (digits, and signs such as ½) | other signs, each with one
# space before it if there is one; then runs of white space, without the last of it if more text follows. If that last
# one is a space, the word after it takes it; a newline or a tab is a piece of its own.
SPLIT_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
splitter = Split(Regex(SPLIT_PATTERN), "isolated")


def split_pieces(text: str) -> list[str]:
    """`text` cut by GPT-2's pattern; joined, the pieces give `text` again. No merge crosses their borders."""
    return [piece for piece, _ in splitter.pre_tokenize_str(text)]


def pair_counts(words: dict[tuple[int, ...], int]) -> Counter[Pair]:
    """How often each pair of neighbors occurs in a table of words: `{ids of the word: how often it occurs}`."""
    counts = Counter()
    for word, number in words.items():
        for pair in pairwise(word):
            counts[pair] += number
    return counts


def merge(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """`ids` with `pair` replaced by `new_id`, from left to right: (1, 1) in [1, 1, 1] gives [new_id, 1]."""
    merged, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def train(pieces: dict[str, int], vocab_size: int) -> tuple[list[bytes], dict[Pair, int]]:
    """Learn merges from a table of pieces until there are `vocab_size` tokens, or nothing is left to merge.

    Ids: 0 is `<|endoftext|>`, then come the 256 bytes in GPT-2's order, then one id for each merge. At every step the
    most frequent pair is merged; between equals, the one with the smallest ids, which is the rule of the `tokenizers`
    library, so that the merges are the same as its.

    Returns:
        The bytes of each token, and `{pair: id of what the two make}` in the order in which they were learned.

    Raises:
        CourseError: `vocab_size` is less than the special token and the 256 bytes need.
    """
    if vocab_size < len(FIRST_TOKENS):
        raise CourseError(f"vocab_size must be at least {len(FIRST_TOKENS)}: 256 bytes and {END}")
    tokens, merges = list(FIRST_TOKENS), {}
    words = {tuple(BYTE_ID[byte] for byte in piece.encode("utf-8")): n for piece, n in pieces.items()}
    while len(tokens) < vocab_size:
        counts = pair_counts(words)
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], -pair[0], -pair[1]))
        merges[best] = len(tokens)
        tokens.append(tokens[best[0]] + tokens[best[1]])
        words = {tuple(merge(word, best, merges[best])): n for word, n in words.items()}
    return tokens, merges


def merge_all(ids: Sequence[int], ranks: dict[Pair, int], merges: dict[Pair, int]) -> list[int]:
    """The ids of a piece after all merges, the lowest rank first, and the leftmost of equal ones.

    Pairs wait in a heap, and a merge adds only the pairs that it made. So a piece of n bytes takes about n log n steps
    and not up to n * n, as in the notebook, where the piece is gone through again for each merge.
    """
    ids, last = list(ids), len(ids)
    before, after = list(range(-1, last - 1)), list(range(1, last + 1))  # where the neighbors of each id stand
    waiting = [(ranks[pair], i) for i, pair in enumerate(pairwise(ids)) if pair in ranks]
    heapify(waiting)
    while waiting:
        rank, i = heappop(waiting)
        j = after[i]
        if j == last or ranks.get((ids[i], ids[j])) != rank:
            continue  # an earlier merge has taken one of the two
        ids[i], ids[j] = merges[ids[i], ids[j]], None
        after[i] = after[j]
        if after[i] < last:
            before[after[i]] = i
        for left in (before[i], i):
            if left >= 0 and after[left] < last and (ids[left], ids[after[left]]) in ranks:
                heappush(waiting, (ranks[ids[left], ids[after[left]]], left))
    return [i for i in ids if i is not None]


def in_library(model: BPE) -> Tokenizer:
    """The library's tokenizer of a model that splits and writes bytes as GPT-2 does, with `<|endoftext|>`."""
    library = Tokenizer(model)
    library.pre_tokenizer, library.decoder = ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    library.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    return library


class BytePairEncoder:
    """A byte-level byte-pair encoder.

    Attributes:
        token_bytes: the bytes of each id; `token_bytes[i]` for id i.
        merges: `(left id, right id) -> id of what the two make`, in the order in which they were learned.
        ranks: the position of each merge in that order; the lower rank is merged first.
        eos_token_id: the id of `<|endoftext|>`, which no text can make by accident.
    """

    def __init__(self, token_bytes: list[bytes], merges: dict[Pair, int], eos_token_id: int = 0):
        self.token_bytes, self.merges, self.eos_token_id = token_bytes, merges, eos_token_id
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.byte_id = {token[0]: i for i, token in enumerate(token_bytes) if len(token) == 1}
        self.known = {}  # the ids of short pieces that were encoded before: texts repeat their words

    @property
    def vocab_size(self) -> int:
        return len(self.token_bytes)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "BytePairEncoder":
        """An encoder with the merges that `train` learns from `texts`.

        Where a text holds the name `<|endoftext|>`, nothing is learned from the name: it stands for the end of a story,
        and would take tokens for `endoftext` and `<|`, which no story has.

        Raises:
            CourseError: `texts` is one string, or `vocab_size` is below 257.
        """
        if isinstance(texts, str):
            raise CourseError("texts must be a list of strings, not one string: write [text]")
        parts = (part for text in texts for part in text.split(END))
        return cls(*train(Counter(piece for part in parts for piece in split_pieces(part)), vocab_size))

    def encode(self, text: str, allowed_special: bool = False) -> list[int]:
        """The ids of `text`.

        The name `<|endoftext|>` inside `text` is read as ordinary characters, so that nobody's text can end a story;
        with `allowed_special` it becomes the special token's id.
        """
        if not allowed_special:
            return [i for piece in split_pieces(text) for i in self.encode_piece(piece)]
        ids = []
        for number, part in enumerate(text.split(END)):
            ids += [self.eos_token_id] * (number > 0) + self.encode(part)
        return ids

    def encode_piece(self, piece: str) -> list[int]:
        """The ids of one piece; short pieces are remembered, at most 65,536 of at most 32 characters each."""
        if piece in self.known:
            return list(self.known[piece])
        ids = merge_all([self.byte_id[byte] for byte in piece.encode("utf-8")], self.ranks, self.merges)
        if len(piece) <= 32 and len(self.known) < 2**16:
            self.known[piece] = tuple(ids)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`. Bytes that are not UTF-8 (part of a character, say) become U+FFFD, "�".

        Raises:
            CourseError: an id is outside the vocabulary.
        """
        for i in ids:
            if not 0 <= i < len(self.token_bytes):
                raise CourseError(f"id {i} is outside the vocabulary (0 to {len(self.token_bytes) - 1})")
        return b"".join(self.token_bytes[i] for i in ids).decode("utf-8", errors="replace")

    def token_text(self, i: int) -> str:
        """How token `i` is written in a tokenizer.json: a character for each byte, a space as "Ġ"."""
        if i == self.eos_token_id:
            return END
        return "".join(CHARACTERS[byte] for byte in self.token_bytes[i])

    def save(self, path: str | Path) -> Path:
        """Write the tokenizer.json that the `tokenizers` library, `transformers` and `load_tokenizer` read."""
        vocab = {self.token_text(i): i for i in range(self.vocab_size)}
        merges = [(self.token_text(left), self.token_text(right)) for left, right in self.merges]
        return write_atomically(path, in_library(BPE(vocab, merges)).to_str(pretty=True) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "BytePairEncoder":
        """Read a tokenizer.json that holds a byte-level BPE with GPT-2's split, from here or from the library.

        Raises:
            CourseError: the file is missing or damaged, holds another kind of tokenizer, or lacks some of the bytes.
        """
        content = read_json(path)
        try:
            model, before, special = content["model"], content["pre_tokenizer"], content["added_tokens"]
            others = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")
            plain = not content.get("normalizer") and not any(model.get(key) for key in others)
            gpt2 = before["type"] == "ByteLevel" and before.get("use_regex", True) and not before["add_prefix_space"]
            if model["type"] != "BPE" or not plain or not gpt2 or [token["content"] for token in special] != [END]:
                raise CourseError(f"{path} is not a byte-level BPE with GPT-2's split; load it with helpers.tokenizer")
            byte_of = {character: byte for byte, character in CHARACTERS.items()}
            names = {i: name for name, i in (model["vocab"] | {END: special[0]["id"]}).items()}
            token_bytes = [
                END.encode() if names[i] == END else bytes(byte_of[character] for character in names[i])
                for i in range(len(names))
            ]
            pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
            merges = {
                (model["vocab"][left], model["vocab"][right]): model["vocab"][left + right] for left, right in pairs
            }
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise CourseError(f"{path} is not a whole tokenizer.json ({type(error).__name__}: {error})") from error
        made_at = {new: rank for rank, new in enumerate(merges.values())}
        if len(made_at) < len(merges) or any(
            made_at.get(part, -1) >= rank for rank, pair in enumerate(merges) for part in pair
        ):
            raise CourseError(f"the merges of {path} are in no order of training; load it with helpers.tokenizer")
        if missing := 256 - sum(len(token) == 1 for token in token_bytes):
            raise CourseError(f"the vocabulary of {path} lacks {missing} of the 256 bytes; train it with all of them")
        return cls(token_bytes, merges, special[0]["id"])
