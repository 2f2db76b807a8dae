"""The exercises of notebook 01: pairs, encoding, decoding, and where a text may be cut; the tokenizers
themselves are in `tokenizers_made`.
"""

import re
from collections import Counter

from course.checks.compare import same, shown
from course.checks.exercise import exercise
from course.checks.tokenizers_made import BytePairEncoder, WordTokenizer, train

__all__ = [
    "BytePairEncoder",
    "WordTokenizer",
    "decode",
    "longest_first",
    "merge",
    "merge_all",
    "pair_counts",
    "safe_cuts",
    "train",
]


@exercise("1.2", title="Count the pairs", minutes=6, difficulty=1)
def pair_counts(answer, check):
    got = dict(answer({(5, 6, 5, 6, 7): 1}))
    right, once = {(5, 6): 2, (6, 5): 1, (6, 7): 1}, {(5, 6): 1, (6, 5): 1, (6, 7): 1}
    check.that(
        got != once, slug="overwritten", problem=f"expected {right}, got {shown(got)}",
        hint="(5, 6) stands there twice. A pair that is met again is added to its count; the count is not set anew.",
    )  # fmt: skip
    check.equal(
        got, right, slug="one-word",
        hint="Every two neighbors are a pair: (5, 6), (6, 5), (5, 6), (6, 7). Is one left out, or one too many?",
    )  # fmt: skip
    check.equal(
        dict(answer({(1, 2): 1, (2, 3): 1})), {(1, 2): 1, (2, 3): 1}, slug="borders",
        hint="Pairs do not reach from one word into the next.",
    )  # fmt: skip
    got = dict(answer({(5, 6): 10, (7, 5, 6): 3}))
    check.that(
        got != {(5, 6): 3, (7, 5): 3}, slug="overwritten",
        problem=f"expected {{(5, 6): 13, (7, 5): 3}}, got {shown(got)}",
        hint="The second word's count took the place of the first's: what one word brings is added to what is there.",
    )  # fmt: skip
    check.equal(
        got, {(5, 6): 13, (7, 5): 3}, slug="weights",
        hint="A word that occurs 10 times brings each of its pairs 10 times.",
    )  # fmt: skip
    check.equal(
        dict(answer({(8, 8, 8): 1})), {(8, 8): 2}, slug="overlap",
        hint="Three equal ids in a row are two pairs of neighbors.",
    )  # fmt: skip
    check.equal(
        dict(answer({(4,): 9, (): 2})),
        {},
        slug="short-words",
        hint="A word of one id, or of none, has no pair.",
    )
    for _ in range(20):
        words = {
            tuple(check.random.randrange(4) for _ in range(check.random.randrange(7))): check.random.randint(1, 9)
            for _ in range(5)
        }
        flat = Counter()
        for word, count in words.items():
            for i in range(len(word) - 1):
                flat[word[i], word[i + 1]] += count
        check.equal(dict(answer(words)), dict(flat), slug="random", hint="Count one word by hand and compare.")


@exercise("1.3", title="Merge a pair", minutes=8, difficulty=2)
def merge(answer, check):
    got = answer([3, 1, 2], (1, 2), 9)
    check.that(
        not same(got, [3, 1, 2]), slug="not-found", problem="expected [3, 9], got [3, 1, 2]: nothing was merged",
        hint="`pair` is a tuple, and a list never equals a tuple: compare ids[i] and ids[i + 1] with its two parts.",
    )  # fmt: skip
    check.equal(
        got, [3, 9], slug="basic",
        hint="Where ids[i] and ids[i + 1] are the pair, one new id takes the place of both.",
    )  # fmt: skip
    _a_list(check, got)
    check.equal(
        answer([1, 2, 3, 1, 2], (1, 2), 9), [9, 3, 9], slug="every-place",
        hint="The pair may occur more than once, and at the very end.",
    )  # fmt: skip
    check.equal(
        answer([2, 1, 2], (1, 2), 9), [2, 9], slug="order",
        hint="(1, 2) is not (2, 1): the order matters. And an id that belongs to no pair stays.",
    )  # fmt: skip
    check.equal(
        answer([1, 2, 3], (1, 2), 9), [9, 3], slug="last-id",
        hint="What happens to the last id, which has no right neighbor?",
    )  # fmt: skip
    check.equal(answer([3, 1], (1, 2), 9), [3, 1], slug="last-id", hint="The last id has no right neighbor.")
    check.equal(
        answer([11, 2, 1, 21], (1, 2), 9), [11, 2, 1, 21], slug="whole-ids",
        hint="11 is not 1, and 21 is not 2: compare numbers, not the signs they are written with.",
    )  # fmt: skip
    check.equal(
        got := answer((3, 1, 2), (1, 2), 9), [3, 9], slug="tuple",
        hint="The ids may be a tuple, as in the table of words: what works on both? A new list, filled with append.",
    )  # fmt: skip
    _a_list(check, got)
    check.equal(answer([], (1, 2), 9), [], slug="empty", hint="No ids in, no ids out.")
    check.equal(
        answer([1, 1, 1], (1, 1), 9), [9, 1], slug="overlap",
        hint="Go from left to right, and after a merge step over both ids: none may be used twice.",
    )  # fmt: skip
    check.equal(
        answer([1, 1, 1, 1], (1, 1), 9), [9, 9], slug="overlap",
        hint="Go from left to right, and after a merge step over both ids: none may be used twice.",
    )  # fmt: skip
    check.equal(
        answer([1, 2, 9, 2], (1, 2), 1), [1, 9, 2], slug="new-ids",
        hint="Merge only what stood in the input: a pair that a new id makes waits for another merge.",
    )  # fmt: skip
    check.equal(
        answer([1, 2, 2], (1, 2), 1), [1, 2], slug="new-ids",
        hint="Merge only what stood in the input: a pair that a new id makes waits for another merge.",
    )  # fmt: skip
    for _ in range(30):
        ids = [check.random.randrange(10) for _ in range(12)]
        # One letter for each id: Python's own replace goes from left to right, too.
        expected = [int(c) if c != "x" else 99 for c in "".join(map(str, ids)).replace("01", "x")]
        check.equal(answer(ids, (0, 1), 99), expected, slug="random", hint="Do this one by hand and compare.")


def _a_list(check, got):
    check.that(
        isinstance(got, list), slug="list", problem=f"expected a list, got a {type(got).__name__}",
        hint="The entries are right. Return them as a list, for later cells compare it with other lists.",
    )  # fmt: skip


@exercise("1.5", title="Encode with merge ranks", minutes=12, difficulty=3)
def merge_all(answer, check):
    # 1 2 3 4 stand for four letters; rank: (2, 3) before (1, 2) before (23, 4) ...
    ranks = {(2, 3): 0, (1, 2): 1, (23, 4): 2, (12, 3): 3}
    merged = {(2, 3): 23, (1, 2): 12, (23, 4): 234, (12, 3): 123}
    got = answer([2, 3], ranks, merged)
    check.equal(got, [23], slug="basic", hint="One pair, and it has a rank: merge it.")
    _a_list(check, got)
    check.equal(
        answer([1, 2, 3], ranks, merged), [1, 23], slug="lowest-rank",
        hint="(1, 2) comes first in the text, and (2, 3) was learned first. Which one counts?",
    )  # fmt: skip
    turned = [dict(reversed(each.items())) for each in (ranks, merged)]
    check.equal(
        answer([1, 2, 3], *turned), [1, 23], slug="ranks",
        hint="Here the two dictionaries list (1, 2) before (2, 3). The number in `ranks` decides, not that order.",
    )  # fmt: skip
    check.equal(
        answer([2, 3, 4], {(2, 3): 0}, merged), [23, 4], slug="ranks",
        hint="(23, 4) stands in `merges` and has no rank here: only pairs in `ranks` are merged.",
    )  # fmt: skip
    check.equal(
        answer([2, 3, 4], ranks, merged), [234], slug="again",
        hint="After (2, 3) there is a new pair, (23, 4), with its own rank: look again after every merge.",
    )  # fmt: skip
    check.equal(
        answer([4, 4, 1], ranks, merged), [4, 4, 1], slug="nothing-to-do",
        hint="When no pair of neighbors has a rank, you are done.",
    )  # fmt: skip
    check.equal(answer([7], ranks, merged), [7], slug="one-id", hint="One id has no pair.")
    check.equal(answer([], ranks, merged), [], slug="one-id", hint="No ids have no pair.")
    check.equal(
        answer([2, 3, 2, 3], ranks, merged), [23, 23], slug="every-place",
        hint="The best pair may stand in more than one place.",
    )  # fmt: skip
    check.equal(
        answer([5, 5, 5], {(5, 5): 0}, {(5, 5): 55}), [55, 5], slug="left-to-right",
        hint="Of overlapping places, merge the leftmost.",
    )  # fmt: skip
    check.equal(
        answer([1, 2, 3, 4], {(3, 4): 0, (2, 3): 1, (1, 2): 2, (12, 34): 3},
               {(3, 4): 34, (2, 3): 23, (1, 2): 12, (12, 34): 1234}),
        [1234], slug="again", hint="Look at all pairs again after every merge, from the lowest rank on.",
    )  # fmt: skip
    from tokenizers import models

    vocab = {letter: i for i, letter in enumerate("abc")}
    letters = [("a", "b"), ("b", "c"), ("ab", "c"), ("c", "c"), ("b", "ab"), ("ab", "ab"), ("cc", "a")]
    for left, right in letters:
        vocab[left + right] = len(vocab) if left + right not in vocab else vocab[left + right]
    library = models.BPE(vocab, letters)
    ranks = {(vocab[left], vocab[right]): rank for rank, (left, right) in enumerate(letters)}
    merged = {(vocab[left], vocab[right]): vocab[left + right] for left, right in letters}
    for _ in range(40):
        text = "".join(check.random.choice("abc") for _ in range(check.random.randint(2, 10)))
        expected = [token.id for token in library.tokenize(text)]
        check.equal(
            answer([vocab[letter] for letter in text], ranks, merged), expected, slug="library",
            hint="The library merges otherwise here. Write down all pairs' ranks, step by step.",
        )  # fmt: skip
    text = "".join(check.random.choice("abc") for _ in range(300)) + "abc" * 900
    try:
        got = answer([vocab[letter] for letter in text], ranks, merged)
    except RecursionError:
        check.fail(
            "with a piece of 3,000 ids: RecursionError, a call inside a call for each merge", slug="long",
            hint="Python allows a thousand calls inside each other, and a piece may need more merges: use a loop.",
        )  # fmt: skip
    check.equal(
        got, [token.id for token in library.tokenize(text)], slug="long", when="with a piece of 3,000 ids",
        hint="A piece may be long: is there a limit to the number of rounds?",
    )  # fmt: skip


@exercise("1.6", title="Decode broken bytes", minutes=5, difficulty=1)
def decode(answer, check):
    tokens = [b"a", b" kite", b"\xc3", b"\xa9", b"\xff", "é".encode(), b"\xf0\x9f", b"\x99\x82", b""]
    check.equal(
        answer([0, 1], tokens),
        "a kite",
        slug="basic",
        hint="Put the tokens' bytes together, and decode them.",
    )
    got = answer([2, 3], tokens)
    check.that(
        got != "Ã©", slug="one-byte-characters", problem="expected 'é', got 'Ã©'",
        hint="The bytes were joined, and then each was read as a character of its own: the encoding is UTF-8.",
    )  # fmt: skip
    check.equal(
        got, "é", slug="join-first",
        hint="A character may be spread over two tokens: join all bytes before you decode.",
    )  # fmt: skip
    check.equal(answer([6, 7, 5], tokens), "🙂é", slug="join-first", hint="Join all bytes before you decode.")
    got = answer([0, 2], tokens)
    check.that(
        got != "a", slug="dropped", problem=f"expected {'a' + chr(0xFFFD)!r}, got 'a'",
        hint="The half character vanished. A reader must see that something is missing: let a sign stand for it.",
    )  # fmt: skip
    check.that(
        got not in ("", "\ufffd"), slug="all-lost", problem=f"expected {'a' + chr(0xFFFD)!r}, got {got!r}",
        hint="The 'a' was right and is gone: only the bytes that are no character become the sign.",
    )  # fmt: skip
    check.equal(
        got, "a\ufffd", slug="broken-end",
        hint="Half a character must not stop the story: look at the argument `errors` of bytes.decode.",
    )  # fmt: skip
    got = answer([4, 0, 6, 1], tokens)
    check.that(
        got != "\ufffda\ufffd\ufffd kite", slug="one-sign", problem=f"two signs for {tokens[6]}",
        hint="Two bytes of a smile are there, the beginning of one character: together they become one sign.",
    )  # fmt: skip
    check.equal(
        got, "\ufffda\ufffd kite", slug="replacement",
        hint="Show a sign where bytes are no character: U+FFFD, which Python calls 'replace'.",
    )  # fmt: skip
    check.equal(answer([], tokens), "", slug="empty", hint="No ids are the empty text.")
    for _ in range(20):
        ids = [check.random.randrange(len(tokens)) for _ in range(6)]
        data = bytearray()
        for i in ids:
            data.extend(tokens[i])
        check.equal(answer(ids, tokens), str(data, "utf-8", "replace"), slug="random", hint="Join, then decode.")


@exercise("1.8", title="The longest first", minutes=6, difficulty=2)
def longest_first(answer, check):
    single = {bytes([byte]) for byte in b"abcde"}
    got = answer(b"ab", single)
    check.equal(
        got, [b"a", b"b"], slug="bytes",
        hint="A token is a bytes object: data[0:1], not data[0], which is a number.",
    )  # fmt: skip
    _a_list(check, got)
    check.equal(
        answer(b"abc", single | {b"ab", b"abc"}),
        [b"abc"],
        slug="longest",
        hint="Of all tokens that fit take the longest.",
    )
    check.equal(
        answer(b"cabab", single | {b"ab"}), [b"c", b"ab", b"ab"], slug="go-on",
        hint="Go on behind the token that was taken, until nothing is left.",
    )  # fmt: skip
    check.equal(
        answer(b"abcd", single | {b"ab", b"bcd"}), [b"ab", b"c", b"d"], slug="greedy",
        hint="From the left, without looking ahead: 'ab' is taken first, though 'bcd' is longer.",
    )  # fmt: skip
    check.equal(
        answer(b"abc", single | {b"abc"}), [b"abc"], slug="gap",
        hint="'ab' is not known, and 'abc' is: do not stop at the first length that does not fit.",
    )  # fmt: skip
    check.equal(answer(b"", single), [], slug="empty", hint="Nothing to cut.")
    check.equal(
        answer(b"ab..", single | {b".", b".."}), [b"a", b"b", b".."], slug="special",
        hint="Any byte may stand in a token. In a regular expression '.' would fit all of them, unless it is escaped.",
    )  # fmt: skip
    for _ in range(30):
        known = single | {bytes(check.random.choices(b"abc", k=check.random.randint(2, 4))) for _ in range(6)}
        data = b"".join(check.random.choices(sorted(known), k=6))
        # A regular expression takes the first alternative that fits: here the longest.
        pattern = b"|".join(sorted(known, key=len, reverse=True))
        check.equal(answer(data, known), re.findall(pattern, data), slug="random", hint="Cut this one by hand.")


@exercise("1.9", title='Why " the" is not "the"', minutes=8, difficulty=2)
def safe_cuts(answer, check):
    from helpers.bpe import BytePairEncoder

    def by_words(text):  # a stand-in that is easy to follow: words, each with the space before it
        tokens, word = [], ""
        for character in text:
            if character == " " and word:
                tokens.append(word)
                word = ""
            word += character
        return tokens + [word] if word else tokens

    asked = []

    def by_letters(text):
        asked.append(text)
        return [ord(character) for character in text]

    got = answer(by_letters, "abc")
    check.that(
        not isinstance(got, set | frozenset), slug="order", problem="got a set, which has no order",
        hint="The positions are wanted in rising order: return a list.",
    )  # fmt: skip
    got = list(got)
    check.that(
        asked, slug="not-asked", problem="`encode` was never called",
        hint="Only the `encode` that is given can tell which cuts are safe: not the text alone, and no other encoder.",
    )  # fmt: skip
    check.equal(
        got, [1, 2], slug="every-place",
        hint="With a token a character every cut is safe: 1 and 2. 0 and the text's length are no cuts.",
    )  # fmt: skip
    check.equal(
        list(answer(by_words, "a red kite")), [1, 5], slug="compare",
        hint="Cut before a space, and both halves keep their tokens; after it, ' kite' loses its space.",
    )  # fmt: skip
    check.equal(list(answer(by_words, "kite")), [], slug="inside-a-word", hint="Inside a token no cut is safe.")
    check.equal(list(answer(by_letters, "")), [], slug="empty", hint="Nothing to cut.")
    check.equal(list(answer(by_letters, "a")), [], slug="empty", hint="Nothing to cut.")

    def by_pairs(text):  # as many tokens after some cuts that are not safe
        return [text[i : i + 2] for i in range(0, len(text), 2)]

    check.equal(
        list(answer(by_pairs, "abcde")), [2, 4], slug="same-ids",
        hint="As many tokens is not enough: the ids themselves must be the same.",
    )  # fmt: skip

    def with_start(text):  # as the tokenizers do that put a sign of their own before every text
        return [0, *by_letters(text)]

    check.equal(
        list(answer(with_start, "kite")), [], slug="second-half",
        hint="This tokenizer begins every text with id 0, the second half too: encode both halves, and join them.",
    )  # fmt: skip
    encoder = BytePairEncoder.train(["the cat and the hat on the mat"] * 5, 300)
    for text in ("the cat and the hat", "the  hat\n on"):
        whole, expected = encoder.encode(text), []
        for at in range(1, len(text)):
            left = encoder.encode(text[:at])
            if whole[: len(left)] == left and encoder.encode(text[at:]) == whole[len(left) :]:
                expected.append(at)
        check.equal(
            list(answer(encoder.encode, text)), expected, slug="real",
            hint="Encode both halves on their own, add the lists, and compare with the ids of the whole.",
        )  # fmt: skip
