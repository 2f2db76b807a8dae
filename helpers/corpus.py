"""A text collection in numbers: words, sentences, Zipf's law, the growth of a vocabulary, sentences seen before.

Notebook 02 builds these by hand; the same measures, applied to TinyStories, are stored in
data/tinystories_facts.json.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

# Letters of any language, with apostrophes inside: "don't" is one word, "'tis" is "tis".
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
# After a full stop or a closing quotation mark and before a capital or an opening one; or at a line's end.
# The full stop of a title ("Mrs. Bell", "St. Ives") ends no sentence.
NO_TITLE = r"(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)"
BETWEEN_SENTENCES = re.compile(rf"(?<=[.!?\"”]){NO_TITLE}\s+(?=[\"“A-Z])|\n+")


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return WORD.findall(text.lower())


def sentences(text: str) -> list[str]:
    """The sentences of a text, by a simple rule: good for counting, not for grammar."""
    return [part.strip() for part in BETWEEN_SENTENCES.split(text) if part.strip()]


def growth(texts: Iterable[str]) -> list[tuple[int, int]]:
    """`(words read, different words)` after 1, 2, 4, 8, ... stories, and after all (Heaps' law).

    Texts without a word are passed over.
    """
    known, read, points, mark = set(), 0, [], 1
    number = 0
    for text in texts:
        found = words(text)
        if not found:
            continue
        number += 1
        read += len(found)
        known.update(found)
        if number == mark:
            points.append((read, len(known)))
            mark *= 2
    if points and points[-1][0] != read:
        points.append((read, len(known)))
    return points


def rank_frequencies(counts: Counter, most: int = 60) -> list[tuple[int, float]]:
    """`(rank, occurrences in a million words)` at up to about `most` ranks that are even on a log scale.

    Rank 1 is the most frequent word (Zipf, 1949).
    """
    if not counts:
        return []
    ordered = sorted(counts.values(), reverse=True)
    total = sum(ordered)
    ranks = sorted({round(len(ordered) ** (i / (most - 1))) for i in range(most)})
    return [(rank, ordered[rank - 1] / total * 1e6) for rank in ranks]


def seen_share(train: Iterable[str], held_out: Sequence[str]) -> float:
    """The share of the sentences of `held_out` that stand, letter by letter, somewhere in `train`."""
    asked = Counter(sentence for text in held_out for sentence in sentences(text))
    if not asked:
        return 0.0
    found = {sentence for text in train for sentence in sentences(text) if sentence in asked}
    return sum(asked[sentence] for sentence in found) / asked.total()
