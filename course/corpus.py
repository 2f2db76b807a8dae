"""Built in notebook 02: a corpus in numbers: words, sentences, Zipf's law, the growth of a vocabulary, sentences seen.

The functions are the notebook's, statement by statement, all but `beginning`, which cuts a text to a number of tokens.

Used in notebooks 02 and 09; by docs/tools/tinystories_facts.py, which stores the same measures of TinyStories in
data/tinystories_facts.json; and by the statistics of the story grammar.
"""

import re
from collections import Counter
from collections.abc import Iterable


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case: letters of any language, with apostrophes inside ("don't" is one word)."""
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower())


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, by a simple rule: good for counting, not for grammar.

    A sentence ends at a line's end, or after . ! ? or a closing quotation mark before a capital or an opening one; the
    full stop of a title ("Mrs. Bell", "St. Ives") ends none.
    """
    no_title = r"(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)"
    parts = re.split(rf"(?<=[.!?\"”]){no_title}\s+(?=[\"“A-Z])|\n+", text)
    return [part.strip() for part in parts if part.strip()]


def growth(texts: Iterable[str]) -> list[tuple[int, int]]:
    """`(words read, different words)` after 1, 2, 4, 8, ... texts that have words, and after all (Heaps' law)."""
    known, read, points = set(), 0, []
    for number, words in enumerate(filter(None, map(words_of, texts)), start=1):
        read += len(words)
        known.update(words)
        if number & (number - 1) == 0:  # a power of two
            points.append((read, len(known)))
    if points and points[-1][0] != read:
        points.append((read, len(known)))
    return points


def rank_frequencies(counts: Counter, most: int = 60) -> list[tuple[int, float]]:
    """`(rank, times in a million words)` at up to about `most` ranks that are even on a logarithmic axis.

    Rank 1 is the most frequent word (Zipf, 1949).
    """
    if not counts:
        return []
    ordered = sorted(counts.values(), reverse=True)
    ranks = sorted({round(len(ordered) ** (i / (most - 1))) for i in range(most)})
    return [(rank, ordered[rank - 1] / sum(ordered) * 1e6) for rank in ranks]


def seen_fraction(train: Iterable[str], validation: Iterable[str]) -> float:
    """The fraction of the sentences of `validation` that stand, letter by letter, somewhere in `train`."""
    asked = Counter(sentence for text in validation for sentence in sentences_of(text))
    found = {sentence for text in train for sentence in sentences_of(text) if sentence in asked}
    return sum(asked[sentence] for sentence in found) / max(1, asked.total())


def beginning(text: str, tokenizer, most: int) -> str:
    """The text, if it has at most so many tokens, or as much of it as has; it ends with a whole character."""
    ids = tokenizer.encode(text)
    if len(ids) <= most:
        return text
    start = tokenizer.decode(ids[:most]).rstrip("\ufffd")
    while len(tokenizer.encode(start)) > most:  # a word that is cut may have other tokens than its beginning had
        start = start[:-1]
    return start
