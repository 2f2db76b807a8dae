"""Built in notebook 01: text to ids and back with the `tokenizers` library: the course's tokenizer, GPT-2's, one's own.

How the algorithm works is in `helpers.bpe`, which gives the same ids.

Used in all notebooks from 01 on, and wherever stories are tokenized or generated.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from helpers.bpe import CHARACTERS, END, in_library
from helpers.errors import CourseError, first_line
from helpers.files import data_folder, regular, write_atomically
from helpers.hub import impatient, require_hub

GPT2 = "openai-community/gpt2"
_BYTES = {character: byte for byte, character in CHARACTERS.items()}


class Tokenizer:
    """A `tokenizers.Tokenizer` with the habits of this course.

    - The name of a special token inside a text, such as `<|endoftext|>`, is read as plain characters, unless
      `allowed_special=True` is given: a story cannot end itself.
    - Nothing is added at the start or the end of a text.

    Attributes:
        name: where it came from: "bundled", "gpt2", a path, "trained".
        eos_token_id: the id of `<|endoftext|>`, which stands between stories.
        vocab_size: the number of ids; an id is below it.
        fingerprint: 16 hexadecimal digits that two tokenizers share only if they give the same ids.
    """

    def __init__(self, content: str, name: str):
        """`content` is the text of a tokenizer.json.

        Raises:
            CourseError: it is not a tokenizer, has no `<|endoftext|>`, or would drop what its vocabulary cannot write.
        """
        import tokenizers

        try:
            if re.search(r'"continuing_subword_prefix":\s*"[^"]', content) and '"merges"' in content:
                raise ValueError("it has merges and a prefix inside of words, on which the library panics")
            self._special = tokenizers.Tokenizer.from_str(content)
            self._plain = tokenizers.Tokenizer.from_str(content)
            for each in (self._special, self._plain):  # a file may ask for cut or padded texts; here never
                each.no_truncation()
                each.no_padding()
                each.encode("\0\u0378", add_special_tokens=False)  # it may need an unknown token
        except Exception as error:  # the library raises bare Exception
            raise CourseError(f"{name} is not a tokenizer.json that `tokenizers` can read: {error}") from error
        self._plain.encode_special_tokens = True
        self.name = name
        self.eos_token_id = self._special.token_to_id(END)
        if self.eos_token_id is None:
            raise CourseError(f"the tokenizer {name} has no {END} token, which the course puts between stories")
        self.vocab_size = 1 + max(self._special.get_vocab(with_added_tokens=True).values())
        content = json.loads(self._special.to_str())
        if gaps := _gaps(content):
            raise CourseError(f"the tokenizer {name} would drop parts of a text without a word: {gaps}")
        self.fingerprint = _fingerprint(content)
        self._byte_level = (content["decoder"] or {}).get("type") == "ByteLevel"

    def __repr__(self) -> str:
        return f"Tokenizer({self.name!r}, vocab_size={self.vocab_size}, eos_token_id={self.eos_token_id})"

    def __len__(self) -> int:
        return self.vocab_size

    def __reduce__(self):  # the library's copies would read names of special tokens as those tokens
        return type(self), (self.to_json(), self.name)

    def encode(self, text: str, allowed_special: bool = False) -> list[int]:
        """The ids of `text`; nothing is added.

        Raises:
            CourseError: `text` has a lone surrogate, which UTF-8 cannot write.
        """
        library = self._special if allowed_special else self._plain
        return library.encode(checked(text), add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str], allowed_special: bool = False) -> list[list[int]]:
        """The ids of each text, encoded on all CPU cores at once."""
        library = self._special if allowed_special else self._plain
        texts = [checked(text) for text in texts]
        return [one.ids for one in library.encode_batch_fast(texts, add_special_tokens=False)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, special tokens by their names. Bytes that are not UTF-8 become U+FFFD.

        Raises:
            CourseError: an id is outside the vocabulary.
        """
        ids = [int(i) for i in ids]
        for i in ids:
            self._check(i)
        return self._special.decode(ids, skip_special_tokens=False)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`, which may begin or end inside a character; `decode` makes text of them."""
        return b"".join(self._bytes_of(int(i)) for i in ids)

    def _bytes_of(self, i: int) -> bytes:
        token = self.id_to_token(i)
        if not self._byte_level:
            return self.decode([i]).encode("utf-8")
        try:
            return bytes(_BYTES[character] for character in token)
        except KeyError:  # a special token that is not written as the others are
            return token.encode("utf-8")

    def id_to_token(self, i: int) -> str:
        """How token `i` is written in the vocabulary: a character for each byte, a space as "Ġ"."""
        self._check(int(i))
        return self._special.id_to_token(int(i))

    def token_to_id(self, token: str) -> int | None:
        """The id of a token as the vocabulary writes it ("Ġthe"), or None."""
        return self._special.token_to_id(token)

    def to_json(self) -> str:
        """The text of a tokenizer.json."""
        return self._special.to_str(pretty=True) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write a tokenizer.json, which `tokenizers` and `transformers` read; `path` is the file."""
        return write_atomically(path, self.to_json())

    def _check(self, i: int) -> None:
        if not 0 <= i < self.vocab_size:
            raise CourseError(f"id {i} is outside the vocabulary of {self.name} (0 to {self.vocab_size - 1})")


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


def _gaps(content: dict) -> str:
    """What a BPE without an unknown token loses; the library leaves out such bytes and says nothing."""
    model = content["model"]
    if model.get("type") != "BPE" or model.get("unk_token") is not None or model.get("byte_fallback"):
        return ""
    before = content["pre_tokenizer"] or {}
    steps = before.get("pretokenizers", [before])
    if "ByteLevel" not in {step.get("type") for step in steps}:
        return "it knows neither bytes nor an unknown token; train it on bytes, or give it an unk_token"
    missing = sum(character not in model["vocab"] for character in CHARACTERS.values())
    return f"its vocabulary lacks {missing} of the 256 bytes; train it with all of them" if missing else ""


def _fingerprint(content: dict) -> str:
    """A hash of what decides the ids: of a byte-level BPE its vocabulary and merges, however written."""
    model = content["model"]
    what = {
        "type": model.get("type"),
        "vocab": model.get("vocab"),
        "merges": [pair.split(" ") if isinstance(pair, str) else pair for pair in model.get("merges") or []],
        "special": sorted((token["id"], token["content"]) for token in content["added_tokens"]),
    }
    before = content["pre_tokenizer"] or {}
    if before.get("type") != "ByteLevel" or before.get("add_prefix_space"):
        what["before"] = before
    if content["normalizer"]:
        what["normalizer"] = content["normalizer"]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE trained on `texts`: `<|endoftext|>` is id 0, then the 256 bytes, then a token for each
    merge.

    The same texts and size always give the same tokenizer, and the same as
    `helpers.bpe.BytePairEncoder.train`. Nothing is learned from the name `<|endoftext|>` inside a text.

    Raises:
        CourseError: `vocab_size` is below the 257 that the bytes and `<|endoftext|>` need.
    """
    from tokenizers import models, pre_tokenizers, trainers

    if isinstance(texts, str):
        raise CourseError("texts must be a list of strings, not one string: write [text]")
    if vocab_size < 257:
        raise CourseError("vocab_size must be at least 257: 256 bytes and <|endoftext|>")
    library = in_library(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator((part for text in texts for part in checked(text).split(END)), trainer)
    return Tokenizer(library.to_str(), "trained")


def load_tokenizer(source: str | Path = "bundled") -> Tokenizer:
    """The tokenizer of the course ("bundled"), of GPT-2 ("gpt2"), or of a file or folder with a
    tokenizer.json.

    GPT-2's comes from the Hugging Face Hub the first time, then from its cache.

    Raises:
        CourseError: there is no such file, it is damaged, or the Hub cannot be reached; never another
            tokenizer.
    """
    if source == "gpt2":
        return _load_gpt2()
    name = str(source)
    path = data_folder() / "tokenizer.json" if name == "bundled" else Path(source)
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        content = regular(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CourseError(
            f'there is no tokenizer at {path}: give "bundled", "gpt2", or the path of a tokenizer.json'
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} cannot be read as a tokenizer.json: {error}") from error
    return Tokenizer(content, name)


def _load_gpt2() -> Tokenizer:
    """GPT-2's 50,257 tokens, made from the two files that OpenAI published: the vocabulary and the merges."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from tokenizers import models

    names = ("vocab.json", "merges.txt")
    if not all(isinstance(try_to_load_from_cache(GPT2, name), str) for name in names):
        instead = 'use load_tokenizer("bundled"), or try again where the Hub answers'
        require_hub("GPT-2's tokenizer", instead, f"/{GPT2}/resolve/main/{names[0]}")
    paths = []
    for name in names:
        cached = try_to_load_from_cache(GPT2, name)
        try:
            with impatient():
                paths.append(cached if isinstance(cached, str) else hf_hub_download(GPT2, name))
        except Exception as error:  # a download may break in many ways; each is said in one line
            raise CourseError(
                f"{name} of GPT-2's tokenizer could not be fetched ({first_line(error)}): try again, "
                'or use load_tokenizer("bundled")'
            ) from error
    try:
        library = in_library(models.BPE.from_file(*paths))
    except Exception as error:
        raise CourseError(f"GPT-2's tokenizer in the cache is damaged: delete {paths[0]} and try again") from error
    return Tokenizer(library.to_str(), "gpt2")
