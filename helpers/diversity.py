"""How different from one another texts are: distinct n-grams, self-BLEU, Rouge-2.

A word is a run of letters, digits and apostrophes, in lower case; punctuation is left out. All measures are shares,
from 0 to 1.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from helpers.errors import CourseError

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def ngrams(row: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Every run of n neighbours, from left to right."""
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

    The geometric mean, over n from 1 to `most`, of the share of n-grams that stand in a reference, each counted at most
    as often as in the reference that has it most often; times a penalty if the text is shorter than its nearest
    reference. Without a single common n-gram of some length it is 0.
    """
    best = [_most_often([Counter(ngrams(one, n)) for one in references]) for n in range(1, most + 1)]
    return _bleu(row, [len(one) for one in references], best)


def self_bleu(texts: Sequence[str], most: int = 4) -> float:
    """The mean BLEU of each text against all the others (Zhu et al. 2018): 1 if all say the same, low if they differ.

    Raises:
        CourseError: there are fewer than two texts, or one without words.
    """
    rows = [words(text) for text in texts]
    if len(rows) < 2 or not all(rows):
        raise CourseError("self-BLEU compares at least two texts, each with at least one word")
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
    """The share of a text's different bigrams that stand in the reference (TinyStories' precision; Lin 2004).

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
