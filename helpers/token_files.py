"""Stories tokenised once into a file, from which any part can be read at once.

The file holds one long row of ids that begins with an end token and has one after every story:

    [end] first story [end] second story [end] ... last story [end]

So every story stands between two end tokens: its first token is predicted from `<|endoftext|>`, and its last
prediction is that the story ends.
"""

import hashlib
import os
import shutil
import tempfile
import time
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from helpers.errors import CourseError
from helpers.files import read_json, write_json

FORMAT = 1  # of the files; part of the cache's key


class TokenFile:
    """Tokenised stories, mapped from the disk: reading a part costs the memory of that part.

    Attributes:
        ids: all ids, (number of ids,), uint16 or uint32; `ids[0]` is the end token before the first story.
        offsets: (stories + 1,) int64; story i is `ids[offsets[i] : offsets[i + 1]]`, its end token included.
        end_id, vocab_size: of the tokenizer.
        tokens: how many ids there are to predict: all but the first.
        text_bytes: UTF-8 bytes of all stories' texts.
        fingerprint: a hash of the tokenizer and of every story.
    """

    def __init__(self, folder: str | Path):
        """Open what `tokenize_stories` wrote.

        Raises:
            CourseError: the folder is not whole.
        """
        folder = Path(folder)
        about = read_json(folder / "about.json")
        self.folder = folder
        try:
            self.end_id, self.vocab_size = about["end_id"], about["vocab_size"]
            self.text_bytes, self.fingerprint = about["text_bytes"], about["fingerprint"]
            self.ids = np.memmap(folder / "ids.bin", dtype=about["dtype"], mode="r")
            self.offsets = np.load(folder / "offsets.npy", allow_pickle=False)
            whole = len(self.ids) == about["ids"] and len(self.offsets) == about["stories"] + 1
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CourseError(f"{folder} is damaged ({error}): delete it and tokenise again") from error
        if not whole:
            raise CourseError(f"{folder} is damaged (it is not as long as it should be): delete it and tokenise again")

    def __len__(self) -> int:
        """The number of stories."""
        return len(self.offsets) - 1

    @property
    def tokens(self) -> int:
        return len(self.ids) - 1

    def lengths(self) -> np.ndarray:
        """(stories,) int64: the tokens of each story, its end token included."""
        return np.diff(self.offsets)

    def story(self, i: int) -> np.ndarray:
        """The ids of story `i`, its end token included."""
        i = range(len(self))[i]
        return self.ids[self.offsets[i] : self.offsets[i + 1]]

    def row(self, i: int) -> np.ndarray:
        """[end] story [end]: inputs are `row[:-1]`, targets `row[1:]`."""
        i = range(len(self))[i]
        return self.ids[self.offsets[i] - 1 : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.story(i) for i in range(len(self)))

    def __repr__(self) -> str:
        return f"TokenFile({len(self):,} stories, {self.tokens:,} tokens, {self.ids.dtype}, {self.folder})"


def tokenize_stories(
    stories: Iterable[str], tokenizer, cache_dir: str | Path, progress: bool = True, chunk: int = 1000
) -> TokenFile:
    """Tokenise `stories` into a file, or open the file of an earlier time.

    The stories are encoded on all processors, `chunk` at a time, and written as they come, so that memory
    does not grow with their number. The file is named after a hash of the tokenizer and of every story: other
    stories, or another tokenizer, make another file. It gets its name when it is whole; a run that is broken
    off leaves none.

    Args:
        stories: texts, such as `load_stories(...)`. What can be gone through again is hashed first; a
            generator, or
            streamed stories, are read once.
        tokenizer: a `helpers.tokenizer.Tokenizer`.
        cache_dir: the folder of the files; made if need be.
        progress: show a bar where it takes longer than two seconds.

    Raises:
        CourseError: there are no stories, a text cannot be encoded, or the disk is full.
    """
    cache_dir = Path(cache_dir)
    once = isinstance(stories, Iterator) or getattr(stories, "streaming", False)
    if not once:
        content = _Content(tokenizer)
        for text in stories:
            content.add(text)
        folder = cache_dir / content.name
        if folder.is_dir():
            try:
                return TokenFile(folder)
            except CourseError:  # damaged, and easily made again
                shutil.rmtree(folder, ignore_errors=True)
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        _remove_old_parts(cache_dir)
        part = Path(tempfile.mkdtemp(prefix="tokens-", suffix=".part", dir=cache_dir))
        try:
            folder = cache_dir / _write(stories, tokenizer, part, progress, chunk)
            try:
                os.replace(part, folder)
            except OSError:  # another process was quicker; its file is the same
                if not folder.is_dir():
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise CourseError(f"tokens cannot be written to {cache_dir}: {error}") from error
    return TokenFile(folder)


class _Content:
    """A hash of a tokenizer and of the stories that were added, and their number and bytes."""

    def __init__(self, tokenizer):
        self.hash = hashlib.sha256(f"{FORMAT} {tokenizer.fingerprint} {tokenizer.end_id}".encode())
        self.stories = self.text_bytes = 0

    def add(self, text: str) -> None:
        try:
            data = text.encode("utf-8")
        except (UnicodeEncodeError, AttributeError) as error:
            raise CourseError(
                f"story {self.stories} (counted from 0) is not text that UTF-8 can write: {error}"
            ) from error
        self.hash.update(len(data).to_bytes(8, "big"))
        self.hash.update(data)
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
    bar = tqdm(total=total, desc="tokenising", unit=" stories", delay=2, leave=False, disable=not progress)
    with bar, open(part / "ids.bin", "wb") as file:
        file.write(dtype(tokenizer.end_id).tobytes())
        while texts_now := list(islice(texts, chunk)):
            for text in texts_now:
                content.add(text)
            for ids in tokenizer.encode_batch(texts_now):
                file.write(np.array([*ids, tokenizer.end_id], dtype=dtype).tobytes())
                offsets.append(offsets[-1] + len(ids) + 1)
            bar.update(len(texts_now))
        file.flush()
        os.fsync(file.fileno())
    if not content.stories:
        raise CourseError("there are no stories to tokenise")
    np.save(part / "offsets.npy", np.frombuffer(offsets, dtype=np.int64), allow_pickle=False)
    about = {
        "stories": content.stories,
        "ids": offsets[-1],
        "dtype": np.dtype(dtype).name,
        "end_id": tokenizer.end_id,
        "vocab_size": tokenizer.vocab_size,
        "text_bytes": content.text_bytes,
        "tokenizer": tokenizer.fingerprint,
        "fingerprint": content.name.removeprefix("tokens-"),
    }
    write_json(part / "about.json", about)
    return content.name


def _remove_old_parts(cache_dir: Path, days: float = 1.0) -> None:
    """Remove what runs that were killed left behind; younger parts may belong to a run that goes on."""
    for part in cache_dir.glob("tokens-*.part"):
        if time.time() - part.stat().st_mtime > days * 86_400:
            shutil.rmtree(part, ignore_errors=True)
