"""Built in notebooks 02 and 07: stories tokenized once into a file, and batches of ids and targets drawn from it.

The file holds one long sequence of ids that begins with an end token and has one after every story:

    [end] first story [end] second story [end] ... last story [end]

So every story stands between two end tokens: its first token is predicted from `<|endoftext|>`, and its last
prediction is that the story ends. The two samplers are decided by their seed, and their state fits into a line of JSON:
saved and loaded, they go on with exactly the batches that would have come.

Used by `course.runs`, and in notebooks 03 to 12.
"""

import hashlib
import os
import shutil
import tempfile
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from helpers.errors import CourseError
from helpers.files import read_json, regular, write_json
from helpers.model import IGNORED

FORMAT = 2  # of the files; part of the cache's key
PIECE, PIECES = 1 << 16, 1 << 10  # bytes: a file of more than PIECE * PIECES is known by so many pieces of it


class TokenFile:
    """Tokenized stories, mapped from the disk: reading a part costs the memory of that part.

    Attributes:
        ids: all ids, (number of ids,), uint16 or uint32; `ids[0]` is the end token before the first story.
        offsets: (stories + 1,) int64; story i is `ids[offsets[i] : offsets[i + 1]]`, its end token included.
        eos_token_id, vocab_size: of the tokenizer.
        text_bytes: UTF-8 bytes of all stories' texts.
        fingerprint: a hash of the tokenizer and of every story, and another of the ids themselves.
    """

    def __init__(self, folder: str | Path):
        """Open what `tokenize_stories` wrote; a CourseError where the folder is not whole."""
        self.folder = folder = Path(folder)
        about = read_json(folder / "about.json")
        try:
            if about.pop("whole") != _digest(folder, about):
                raise ValueError("it does not hold what was written")
            self.eos_token_id, self.vocab_size = about["eos_token_id"], about["vocab_size"]
            self.text_bytes, self.fingerprint = about["text_bytes"], f"{about['fingerprint']}-{about['content']}"
            self.ids = np.memmap(regular(folder / "ids.bin"), dtype=about["dtype"], mode="r")
            self.offsets = np.load(regular(folder / "offsets.npy"), allow_pickle=False)
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CourseError(f"{folder} is damaged ({error}): delete it and tokenize again") from error

    def __len__(self) -> int:
        """The number of stories."""
        return len(self.offsets) - 1

    @property
    def tokens(self) -> int:
        """How many ids there are to predict: all but the first."""
        return len(self.ids) - 1

    def lengths(self) -> np.ndarray:
        """(stories,) int64: the tokens of each story, its end token included."""
        return np.diff(self.offsets)

    def story(self, i: int) -> np.ndarray:
        """The ids of story `i`, its end token included."""
        i = range(len(self))[i]
        return self.ids[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.story, range(len(self)))

    def __repr__(self) -> str:
        return f"TokenFile({len(self):,} stories, {self.tokens:,} tokens, {self.ids.dtype}, {self.folder})"


def tokenize_stories(
    stories: Iterable[str], tokenizer, cache_dir: str | Path, progress: bool = True, chunk: int = 1000
) -> TokenFile:
    """Tokenize `stories` into a file, or open the file of an earlier time.

    The stories are encoded on all CPU cores, `chunk` at a time, and written as they come: memory does not grow with
    their number. The file is named after a hash of the tokenizer and of every story, once it is whole.

    Args:
        stories: texts. What can be gone through again is hashed first; a generator, or streamed stories, is read once.
        progress: show a bar after two seconds.

    Raises:
        CourseError: there are no stories, a text cannot be encoded, or the disk is full.
    """
    cache_dir = Path(cache_dir)
    if not isinstance(stories, Iterator) and not getattr(stories, "streaming", False):
        content = _Content(tokenizer)
        for text in stories:
            content.add(text)
        folder = cache_dir / content.name
        with suppress(CourseError):
            return TokenFile(folder)
        shutil.rmtree(folder, ignore_errors=True)  # if there is one it is damaged, and easily made again
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        for part in cache_dir.glob("tokens-*.part"):
            if time.time() - part.stat().st_mtime > 86_400:  # a younger one may belong to a run that lives
                shutil.rmtree(part, ignore_errors=True)
        place = dict(prefix="tokens-", suffix=".part", dir=cache_dir, ignore_cleanup_errors=True)
        with tempfile.TemporaryDirectory(**place) as part:
            folder = cache_dir / _write(stories, tokenizer, Path(part), progress, chunk)
            try:
                os.replace(part, folder)
            except OSError:  # another process was quicker; its file is the same
                if not folder.is_dir():
                    raise
    except OSError as error:
        raise CourseError(f"tokens cannot be written to {cache_dir}: {error}") from error
    return TokenFile(folder)


class _Content:
    """A hash of a tokenizer and of the stories that were added, and their number and bytes."""

    def __init__(self, tokenizer):
        self.hash = hashlib.sha256(f"{FORMAT} {tokenizer.fingerprint} {tokenizer.eos_token_id}".encode())
        self.stories = self.text_bytes = 0

    def add(self, text: str) -> None:
        try:
            data = text.encode("utf-8")
        except (UnicodeEncodeError, AttributeError) as error:
            raise CourseError(f"story {self.stories} (counted from 0) is not text in UTF-8: {error}") from error
        self.hash.update(len(data).to_bytes(8, "big") + data)
        self.stories += 1
        self.text_bytes += len(data)

    @property
    def name(self) -> str:
        return f"tokens-{self.hash.hexdigest()[:20]}"


def _write(stories, tokenizer, part: Path, progress: bool, chunk: int) -> str:
    """Write the three files of a TokenFile into `part`; returns the name that the folder is to have."""
    from tqdm.auto import tqdm

    dtype = np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32
    content, offsets = _Content(tokenizer), array("q", [1])
    total = len(stories) if hasattr(stories, "__len__") and not getattr(stories, "streaming", False) else None
    texts = iter(stories)
    bar = tqdm(total=total, desc="tokenizing", unit=" stories", delay=2, leave=False, disable=not progress)
    with bar, open(part / "ids.bin", "wb") as file:
        file.write(dtype(tokenizer.eos_token_id).tobytes())
        while texts_now := list(islice(texts, chunk)):
            for text in texts_now:
                content.add(text)
            for ids in tokenizer.encode_batch(texts_now):
                file.write(np.array([*ids, tokenizer.eos_token_id], dtype=dtype).tobytes())
                offsets.append(offsets[-1] + len(ids) + 1)
            bar.update(len(texts_now))
        file.flush()
        os.fsync(file.fileno())
    if not content.stories:
        raise CourseError("there are no stories to tokenize")
    np.save(part / "offsets.npy", np.frombuffer(offsets, dtype=np.int64), allow_pickle=False)
    about = {"stories": content.stories, "ids": offsets[-1], "dtype": np.dtype(dtype).name}
    about |= {"eos_token_id": tokenizer.eos_token_id, "vocab_size": tokenizer.vocab_size}
    about |= {"text_bytes": content.text_bytes, "tokenizer": tokenizer.fingerprint}
    about |= {"fingerprint": content.name.removeprefix("tokens-"), "content": _digest(part)}
    write_json(part / "about.json", about | {"whole": _digest(part, about)})
    return content.name


def _digest(folder: Path, about: dict | None = None) -> str:
    """A hash of ids, of where stories begin, and of `about`: of every byte up to 64 MB, of pieces of what is larger."""
    found = hashlib.sha256(repr(sorted(about.items())).encode("utf-8", "surrogatepass") if about else b"")
    for name in ("ids.bin", "offsets.npy"):
        with open(regular(folder / name), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            for at in [*range(0, size, max(PIECE, size // PIECES)), max(0, size - PIECE)]:
                file.seek(at)
                found.update(at.to_bytes(8, "big") + file.read(PIECE))
    return found.hexdigest()[:16]


class _Sampler:
    """What the two samplers share: their settings, and a state that can be saved as JSON and loaded again."""

    fixed = ("batch_size", "context_length", "seed")

    def __init__(self, token_file: TokenFile, batch_size: int, context_length: int, seed: int):
        self.token_file, self.batch_size, self.context_length, self.seed = token_file, batch_size, context_length, seed
        for name, least in ("batch_size", 1), ("context_length", 1), ("seed", 0):
            if (value := getattr(self, name)) < least:
                raise CourseError(f"{name} must be {least} or more, not {value}")

    def _settings(self) -> dict:
        own = {name: getattr(self, name) for name in self.fixed}
        return {"sampler": type(self).__name__, "stories": self.token_file.fingerprint} | own

    def state_dict(self) -> dict:
        """Settings and position, as JSON can hold them."""
        return self._settings() | {name: getattr(self, name) for name in self.moving}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state` was saved; a CourseError where the batches would differ."""
        for name, value in self._settings().items():
            if state.get(name) != value:
                hint = " (other stories, tokens or tokenizer: put back what it had)" if name == "stories" else ""
                raise CourseError(f"the saved sampler had {name}={state.get(name)!r:.80}, this one has {value!r}{hint}")
        for name in self.moving:
            setattr(self, name, int(state[name]))

    def _batch(self, sequences: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.from_numpy(sequences.astype(np.int64))
        return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


class WindowSampler(_Sampler):
    """Windows from anywhere in the file, drawn at random with replacement: step n's depend on the seed and n alone."""

    moving = ("step",)

    def __init__(self, token_file: TokenFile, batch_size: int, context_length: int, seed: int = 0):
        super().__init__(token_file, batch_size, context_length, seed)
        self.step = 0
        self._starts = len(token_file.ids) - context_length
        if self._starts < 1:
            raise CourseError(f"{context_length=} is longer than all stories ({token_file.tokens} tokens)")

    @property
    def epochs(self) -> float:
        """Tokens drawn so far over tokens in the file."""
        return self.step * self.batch_size * self.context_length / self.token_file.tokens

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """`(ids, targets)`, each (batch_size, context_length) int64; targets are one position further."""
        starts = np.random.default_rng([self.seed, self.step]).integers(0, self._starts, self.batch_size)
        self.step += 1
        return self._batch(np.stack([self.token_file.ids[at : at + self.context_length + 1] for at in starts]))


class StorySampler(_Sampler):
    """Sequences that start where a story starts; each epoch uses every story once, in an order of its own.

    Packed, stories follow one another until the sequence is full, and the last is cut there: no position is wasted, and
    a model sees across the end tokens between stories. Padded, a sequence is one story: the rest has end tokens as ids
    and `IGNORED` as targets, and the batch is as wide as its longest story. Either way a story longer than the context
    loses its end.
    """

    fixed, moving = (*_Sampler.fixed, "packed"), ("epoch", "position")

    def __init__(self, token_file: TokenFile, batch_size: int, context_length: int, seed: int = 0, packed: bool = True):
        super().__init__(token_file, batch_size, context_length, seed)
        self.packed = packed
        self.epoch = self.position = 0  # position: stories of this epoch that were used
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def epochs(self) -> float:
        """Stories used so far over stories in the file."""
        return self.epoch + self.position / len(self.token_file)

    @property
    def cut(self) -> float:
        """The fraction of all stories that are longer than the context and lose their end."""
        return float((self.token_file.lengths() > self.context_length).mean())

    def _next_story(self) -> np.ndarray:
        """The next story of this epoch's order, which depends on the seed and the epoch alone."""
        if self.position >= len(self.token_file):
            self.epoch, self.position = self.epoch + 1, 0
        if self._order is None or self._order[0] != self.epoch:
            self._order = self.epoch, np.random.default_rng([self.seed, self.epoch]).permutation(len(self.token_file))
        self.position += 1
        return self.token_file.story(int(self._order[1][self.position - 1]))

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """`(ids, targets)`, each (batch_size, context_length) int64; padded ones narrower where stories are short."""
        wanted = self.context_length + 1
        sequences, lengths = np.full((self.batch_size, wanted), self.token_file.eos_token_id, dtype=np.int64), []
        for sequence in sequences:
            length = 1  # the end token before the story
            while length == 1 or (self.packed and length < wanted):
                story = self._next_story()[: wanted - length]
                sequence[length : length + len(story)] = story
                length += len(story)
            lengths.append(length)
        ids, targets = self._batch(sequences[:, : max(lengths)])
        for target, length in zip(targets, lengths, strict=True):
            target[length - 1 :] = IGNORED
        return ids, targets
