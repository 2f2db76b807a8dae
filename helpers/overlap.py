"""What a text has in common with the stories that a model was trained on: did it learn, or copy?

`TrainingIndex` holds the stories as numbers, so that a text can be compared with all of them in a fraction of a second:
the longest run of words that stands in one of them, and the story with which it shares the most bigrams.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from helpers.diversity import words
from helpers.errors import CourseError

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2**64
_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))
_FILTER_BITS = 22
_SHIFT = np.uint64(64 - _FILTER_BITS)
_SHORTEST = (12, 6, 3, 1)  # words


@dataclass(frozen=True)
class Copy:
    """The longest run of a text's words that stands in a training story: the words, and the number of that story.

    Without a common word there are no words, and the story is -1.
    """

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
        found: dict[int, Copy] = {}
        for shortest in _SHORTEST:  # most texts have a long run, and few places hold one: begin there
            missing = [i for i in range(len(texts)) if i not in found and len(spelled[i]) >= shortest]
            for i, (length, here, there) in self._longest([self._numbers(spelled[i]) for i in missing], shortest):
                story = int(np.searchsorted(self._starts, there, side="right")) - 1
                found[missing[i]] = Copy(spelled[missing[i]][here : here + length], story)
        return [found.get(i, Copy([], -1)) for i in range(len(texts))]

    def most_alike(self, texts: Sequence[str]) -> list[tuple[float, int]]:
        """For each text the largest Rouge-2 (`helpers.diversity.rouge_2`) with any training story, and its number."""
        result = []
        for text in texts:
            spelled = words(text)
            row = self._numbers(spelled).astype(np.int64)
            own = np.unique(row[:-1] * self._width + row[1:])
            place = np.searchsorted(self._pairs, own).clip(max=len(self._pairs) - 1)
            wanted = np.zeros(len(self._pairs), np.uint8)
            wanted[place[self._pairs[place] == own]] = 1
            common = np.add.reduceat(wanted[self._pair_ids], self._pair_starts, dtype=np.int32)
            common[self._no_pairs] = 0
            best = int(common.argmax())
            result.append((float(common[best]) / max(len(set(pairwise(spelled))), 1), best))
        return result

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that stand in no training story, each as often as it occurs."""
        return [word for word in words(text) if word not in self._number]

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

    def _longest(self, rows: Sequence[np.ndarray], shortest: int) -> Iterator[tuple[int, tuple[int, int, int]]]:
        """The rows that share a run of `shortest` words or more with a story: number; length, where here and there."""
        if not rows or shortest > len(self._ids):
            return
        unknown = np.array([len(self._number) + 1], np.int32)
        text = np.concatenate([part for row in rows for part in (row, unknown)])
        borders = np.cumsum([0, *(len(row) + 1 for row in rows)])
        here, there = self._meetings(text, shortest)
        length, going = np.zeros(len(here), np.int64), np.arange(len(here))
        while len(going):  # word by word, all places at once: this also proves that equal hashes were equal words
            step = length[going]
            going = going[text[here[going] + step] == self._ids[there[going] + step]]
            length[going] += 1
        row = np.searchsorted(borders, here, side="right") - 1
        for number in np.unique(row[length >= shortest]):
            mine = np.flatnonzero(row == number)
            best = mine[length[mine].argmax()]
            yield int(number), (int(length[best]), int(here[best] - borders[number]), int(there[best]))

    def _meetings(self, text: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """All pairs of a place in `text` and one in the training words from which the next `length` words agree."""
        sums, back = self._sums_of(text)
        own = (sums[length:] - sums[:-length]) * back[: len(text) - length + 1]
        wanted, which = np.unique(own, return_inverse=True)
        likely = np.zeros(2**_FILTER_BITS, bool)  # most places are ruled out by a look at a few bits
        likely[wanted >> _SHIFT] = True
        theirs = (self._sums[length:] - self._sums[:-length]) * self._back[: len(self._ids) - length + 1]
        places = np.flatnonzero(likely[theirs >> _SHIFT])
        at = np.searchsorted(wanted, theirs[places]).clip(max=len(wanted) - 1)
        equal = wanted[at] == theirs[places]
        at, places = at[equal], places[equal]
        order = at.argsort(kind="stable")
        at, places = at[order], places[order]
        first, last = (np.searchsorted(at, which, side=side) for side in ("left", "right"))
        count = last - first
        nth = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
        return np.repeat(np.arange(len(own)), count), places[np.repeat(first, count) + nth]

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
