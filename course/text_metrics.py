"""Built in notebook 09: how different texts are from one another, and from the stories that a model was trained on.

Distinct n-grams, self-BLEU and Rouge-2 are fractions, from 0 to 1. A word is a run of letters, digits and apostrophes,
in lower case; punctuation is left out. Did the model learn, or memorize? `TrainingIndex` holds the training stories as
numbers, so that a text can be compared with all of them in a fraction of a second: the longest run of words that stands
in one of them, and the story with which it has the most bigrams in common. Used in notebook 09 and by
`python -m course evaluate --samples`.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from helpers.errors import CourseError

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def ngrams(row: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Every run of n neighbors, from left to right."""
    if n < 1:
        raise CourseError(f"an n-gram has at least one word, not {n}")
    return [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Different n-grams over all n-grams of these texts together (Li et al. 2016). 1 means that nothing recurs.

    It falls as texts are added or grow longer: compare only sets of about the same size.

    Raises:
        CourseError: no text has n words.
    """
    found = [gram for text in texts for gram in ngrams(words(text), n)]
    if not found:
        raise CourseError(f"no text has {n} words")
    return len(set(found)) / len(found)


def bleu(row: Sequence[str], references: Sequence[Sequence[str]], most: int = 4) -> float:
    """How much of a list of words stands in others: BLEU (Papineni et al. 2002) with several references.

    The geometric mean, over n from 1 to `most`, of the fraction of n-grams that stand in a reference, each counted at
    most as often as in the reference that has it most often; times a penalty if the text is shorter than its nearest
    reference. Without a single common n-gram of some length it is 0.
    """
    best = [_most_often([Counter(ngrams(one, n)) for one in references]) for n in range(1, most + 1)]
    return _bleu(row, [len(one) for one in references], best)


def self_bleu(texts: Sequence[str], most: int = 4) -> float:
    """The mean BLEU of each text against all the others (Zhu et al. 2018): 1 if all say the same, low if they differ.

    A text without words, such as a poor model ends at once, has nothing in common with any other: its BLEU is 0.

    Raises:
        CourseError: there are fewer than two texts.
    """
    rows = [words(text) for text in texts]
    if len(rows) < 2:
        raise CourseError("self-BLEU compares at least two texts")
    counted = [[Counter(ngrams(row, n)) for row in rows] for n in range(1, most + 1)]
    top = [_two_most_often(counts) for counts in counted]
    total = 0.0
    for i, row in enumerate(rows):
        without = [
            {gram: second if owner == i else first for gram, (first, second, owner) in two.items()} for two in top
        ]
        total += _bleu(row, [len(other) for j, other in enumerate(rows) if j != i], without)
    return total / len(rows)


def rouge_2(text: str, reference: str) -> float:
    """The fraction of a text's different bigrams that stand in the reference (TinyStories' precision; Lin 2004).

    Not symmetric: a short text can lie wholly within a long one.
    """
    own, theirs = (set(pairwise(words(one))) for one in (text, reference))
    return len(own & theirs) / len(own) if own else 0.0


def _bleu(row: Sequence[str], lengths: Sequence[int], best: Sequence[dict]) -> float:
    logs = 0.0
    for n, most_often in enumerate(best, 1):
        own = Counter(ngrams(row, n))
        common = sum(min(count, most_often.get(gram, 0)) for gram, count in own.items())
        if not common:
            return 0.0
        logs += math.log(common / own.total())
    nearest = min(lengths, key=lambda length: (abs(length - len(row)), length))
    return min(1.0, math.exp(1 - nearest / len(row))) * math.exp(logs / len(best))


def _most_often(counts: Sequence[Counter]) -> dict:
    result: Counter = Counter()
    for one in counts:
        result |= one  # the larger of the two counts
    return result


def _two_most_often(counts: Sequence[Counter]) -> dict:
    """For each n-gram: how often it stands in the text that has it most, in the next one, and which text that is."""
    result: dict = {}
    for i, one in enumerate(counts):
        for gram, count in one.items():
            first, second, owner = result.get(gram, (0, 0, -1))
            result[gram] = (count, first, i) if count > first else (first, max(second, count), owner)
    return result


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

    Punctuation and case do not count. Sixty thousand stories of 150 words take about 400 MB.

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
        for shortest in _SHORTEST:  # most texts have a long run, and few positions hold one: begin there
            missing = [i for i in range(len(texts)) if i not in found and len(spelled[i]) >= shortest]
            for i, (length, here, there) in self._longest([self._numbers(spelled[i]) for i in missing], shortest):
                story = int(np.searchsorted(self._starts, there, side="right")) - 1
                found[missing[i]] = Copy(spelled[missing[i]][here : here + length], story)
        return [found.get(i, Copy([], -1)) for i in range(len(texts))]

    def most_alike(self, texts: Sequence[str]) -> list[tuple[float, int]]:
        """For each text the largest Rouge-2 (`rouge_2`) with any training story, and its number."""
        result = []
        for text in texts:
            spelled = words(text)
            row = self._numbers(spelled).astype(np.int64)
            own = np.unique(row[:-1] * self._width + row[1:])
            position = np.searchsorted(self._pairs, own).clip(max=len(self._pairs) - 1)
            wanted = np.zeros(len(self._pairs), np.uint8)
            wanted[position[self._pairs[position] == own]] = 1
            common = np.add.reduceat(wanted[self._pair_ids], self._pair_starts, dtype=np.int32)
            common[self._no_pairs] = 0
            best = int(common.argmax())
            result.append((float(common[best]) / max(len(set(pairwise(spelled))), 1), best))
        return result

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that stand in no training story, each as often as it occurs."""
        return [word for word in words(text) if word not in self._number]

    def _numbers(self, row: Sequence[str], new: bool = False) -> np.ndarray:
        """Words as numbers from 1; without `new`, all unknown words get one that no training word has."""
        if new:
            for word in row:
                self._number.setdefault(word, len(self._number) + 1)
        unknown = len(self._number) + 1
        return np.array([self._number.get(word, unknown) for word in row], np.int32)

    def _sums_of(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums of code * base**position from the start, and base**-position: two differences make a run's hash."""
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
        while len(going):  # word by word, all positions at once: this also proves that equal hashes were equal words
            step = length[going]
            going = going[text[here[going] + step] == self._ids[there[going] + step]]
            length[going] += 1
        row = np.searchsorted(borders, here, side="right") - 1
        for number in np.unique(row[length >= shortest]):
            mine = np.flatnonzero(row == number)
            best = mine[length[mine].argmax()]
            yield int(number), (int(length[best]), int(here[best] - borders[number]), int(there[best]))

    def _meetings(self, text: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """All pairs of a position in `text` and one in the training words from which the next `length` words agree."""
        sums, back = self._sums_of(text)
        own = (sums[length:] - sums[:-length]) * back[: len(text) - length + 1]
        wanted, which = np.unique(own, return_inverse=True)
        likely = np.zeros(2**_FILTER_BITS, bool)  # most positions are ruled out by a look at a few bits
        likely[wanted >> _SHIFT] = True
        theirs = (self._sums[length:] - self._sums[:-length]) * self._back[: len(self._ids) - length + 1]
        positions = np.flatnonzero(likely[theirs >> _SHIFT])
        at = np.searchsorted(wanted, theirs[positions]).clip(max=len(wanted) - 1)
        equal = wanted[at] == theirs[positions]
        at, positions = at[equal], positions[equal]
        order = at.argsort(kind="stable")
        at, positions = at[order], positions[order]
        first, last = (np.searchsorted(at, which, side=side) for side in ("left", "right"))
        count = last - first
        nth = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
        return np.repeat(np.arange(len(own)), count), positions[np.repeat(first, count) + nth]

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
