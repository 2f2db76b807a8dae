"""What a text has in common with the stories that a model was trained on: did it learn, or copy?

`TrainingIndex` holds the stories as numbers, so that a text can be compared with all of them in a fraction of a second:
the longest run of words that stands in one of them, and the story with which it shares the most bigrams.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from helpers.diversity import words
from helpers.errors import CourseError

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2**64
_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))
_FILTER_BITS = 22


@dataclass(frozen=True)
class Copy:
    """The longest run of a text's words that stands in a training story: the words, and the number of that story."""

    words: list[str]
    story: int

    def __len__(self) -> int:
        return len(self.words)


class TrainingIndex:
    """Stories, ready to be compared with.

    Words are those of `helpers.diversity.words`; punctuation and case do not count. Sixty thousand stories of 150 words
    take about 400 MB.

    Attributes:
        stories: how many.
    """

    def __init__(self, stories: Iterable[str]):
        """Raises:
        CourseError: there are no stories, or one without words.
        """
        self._number: dict[str, int] = {}
        rows = [self._numbers(words(text), new=True) for text in stories]
        if not rows or not all(map(len, rows)):
            raise CourseError("the index needs stories, each with at least one word")
        self.stories = len(rows)
        lengths = np.array([len(row) + 1 for row in rows])
        self._starts = np.concatenate([[0], lengths.cumsum()])  # a 0 behind each story, which no text has
        self._ids = np.zeros(self._starts[-1], np.int32)
        for start, row in zip(self._starts, rows, strict=False):
            self._ids[start : start + len(row)] = row
        self._codes = np.random.default_rng(0).integers(0, 2**64, len(self._number) + 2, dtype=np.uint64)
        self._sums, self._back = self._sums_of(self._ids)
        self._count_pairs(rows)

    def longest_copies(self, texts: Sequence[str]) -> list[Copy]:
        """For each text its longest run of words that stands, word for word, in one training story."""
        spelled = [words(text) for text in texts]
        rows = [self._numbers(row) for row in spelled]
        found = [(0, 0, 0)] * len(rows)  # length, place in the text, place in the training words
        low, high = [0] * len(rows), [len(row) for row in rows]
        while open_ones := [i for i in range(len(rows)) if low[i] < high[i]]:
            middle = {i: (low[i] + high[i] + 1) // 2 for i in open_ones}
            for length in sorted(set(middle.values())):
                mine = [i for i in open_ones if middle[i] == length]
                for i, place in zip(mine, self._places([rows[i] for i in mine], length), strict=True):
                    if place is None:
                        high[i] = length - 1
                    else:
                        low[i], found[i] = length, (length, *place)
        return [
            Copy(row[at : at + length], int(np.searchsorted(self._starts, there, side="right")) - 1)
            for row, (length, at, there) in zip(spelled, found, strict=True)
        ]

    def most_alike(self, texts: Sequence[str]) -> list[tuple[float, int]]:
        """For each text the largest Rouge-2 (`helpers.diversity.rouge_2`) with any training story, and its number."""
        result = []
        for text in texts:
            row = self._numbers(words(text)).astype(np.int64)
            own = np.unique(row[:-1] * self._width + row[1:])
            place = np.searchsorted(self._pairs, own).clip(max=len(self._pairs) - 1)
            wanted = np.zeros(len(self._pairs), np.uint8)
            wanted[place[self._pairs[place] == own]] = 1
            common = np.add.reduceat(wanted[self._pair_ids], self._pair_starts, dtype=np.int32)
            common[self._no_pairs] = 0
            best = int(common.argmax())
            result.append((float(common[best]) / max(len(own), 1), best))
        return result

    def _numbers(self, row: Sequence[str], new: bool = False) -> np.ndarray:
        """Words as numbers from 1; without `new`, unknown words share one that no training word has."""
        if new:
            for word in row:
                self._number.setdefault(word, len(self._number) + 1)
        unknown = len(self._number) + 1
        return np.array([self._number.get(word, unknown) for word in row], np.int32)

    def _sums_of(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums of code * base**place from the start, and base**-place: two differences make a run's hash."""
        powers = np.cumprod(np.full(len(ids), _BASE), dtype=np.uint64)
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(self._codes[ids] * powers, dtype=np.uint64)])
        return sums, np.cumprod(np.full(len(ids), _INVERSE), dtype=np.uint64)

    def _places(self, rows: Sequence[np.ndarray], length: int) -> list[tuple[int, int] | None]:
        """For each row a run of this length that stands in the training words: where here, where there; or None."""
        hashes = []
        for row in rows:
            sums, back = self._sums_of(row)
            hashes.append((sums[length:] - sums[:-length]) * back[: len(row) - length + 1])
        wanted = np.unique(np.concatenate(hashes))
        shift = np.uint64(64 - _FILTER_BITS)
        likely = np.zeros(2**_FILTER_BITS, bool)  # most places are ruled out by a look at a few bits
        likely[wanted >> shift] = True
        if length > len(self._ids):
            return [None] * len(rows)
        there = (self._sums[length:] - self._sums[:-length]) * self._back[: len(self._ids) - length + 1]
        places = np.flatnonzero(likely[there >> shift])
        at = np.searchsorted(wanted, there[places]).clip(max=len(wanted) - 1)
        equal = wanted[at] == there[places]
        known = dict(zip(there[places[equal]].tolist(), places[equal].tolist(), strict=True))
        result: list[tuple[int, int] | None] = []
        for row, own in zip(rows, hashes, strict=True):
            pairs = ((here, known[value]) for here, value in enumerate(own.tolist()) if value in known)
            same = ((a, b) for a, b in pairs if np.array_equal(row[a : a + length], self._ids[b : b + length]))
            result.append(next(same, None))
        return result

    def _count_pairs(self, rows: Sequence[np.ndarray]) -> None:
        """The different bigrams of each story, one story after the other, as numbers of the sorted different pairs."""
        self._width = len(self._number) + 2
        each = [np.unique(row[:-1].astype(np.int64) * self._width + row[1:]) for row in rows]
        sizes = np.array([len(one) for one in each])
        self._no_pairs = sizes == 0
        flat = np.concatenate([*each, np.zeros(1, np.int64)])  # one more, so that every start is inside
        self._pairs, self._pair_ids = np.unique(flat, return_inverse=True)
        self._pair_ids = self._pair_ids.astype(np.int32)
        self._pair_starts = np.concatenate([[0], sizes.cumsum()[:-1]])
