"""Exercises of notebook 02 that compare stories: duplicates, sequences, MinHash, leaks."""

import re

from course.checks.compare import as_number, shown
from course.checks.exercise import exercise
from course.checks.made_texts import story


def _sequences(text: str, n: int) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z]+", text.lower())
    return set(zip(*(words[i:] for i in range(n)), strict=False))


@exercise("2.2", title="Find planted duplicates", minutes=12, difficulty=2)
def find_duplicates(answer, check):
    def groups(texts):
        return [list(group) for group in answer(texts)]

    check.equal(
        groups(["one kite", "two kites", "one kite"]), [[0, 2]], slug="exact",
        hint="Return the positions of equal stories, as one group; a story that stands alone is no group.",
    )  # fmt: skip
    check.equal(groups(["a", "b", "c"]), [], slug="alone", hint="Without duplicates the list is empty.")
    check.equal(
        groups(["x", "x", "x", "x"]), [[0, 1, 2, 3]], slug="one-group",
        hint="Four copies are one group of four, not six pairs.",
    )  # fmt: skip
    check.equal(
        groups(["a", "b", "c", "b", "a"]), [[0, 4], [1, 3]], slug="order",
        hint="Groups in the order of their first story, positions rising, copies need not be neighbors.",
    )  # fmt: skip
    check.equal(
        groups(["The kite.\n\nThe end.", "The kite. The  end. "]), [[0, 1]], slug="spaces",
        hint="Spaces and line ends are not part of the story: compare the words alone.",
    )  # fmt: skip
    check.equal(
        groups(["The kite.", "the KITE."]), [[0, 1]], slug="case", hint="Capital letters do not make a new story."
    )
    check.equal(
        groups(['"Oh!" said Pip.', "“Oh”, said Pip!"]), [[0, 1]], slug="punctuation",
        hint="Compare the words alone, without any punctuation. The function words_of gives you the words.",
    )  # fmt: skip
    check.equal(
        groups(["the cat saw Pip", "Pip saw the cat"]), [], slug="word-order",
        hint="The same words in another order are another story: compare sequences, not sets.",
    )  # fmt: skip
    check.equal(
        groups(["the big big dog", "the big dog"]), [], slug="repeated-words",
        hint="A word that comes twice counts twice: compare sequences, not sets.",
    )  # fmt: skip
    long = "the kite flew " * 40
    check.equal(
        groups([long + "home", long + "away", long + "home"]), [[0, 2]], slug="whole-story",
        when="with stories of 121 words that differ in the last one",
        hint="The whole story counts, to its last word.",
    )  # fmt: skip
    check.equal(
        groups(["a red kite", "are dk ite"]), [], slug="word-borders",
        hint="Where a word ends is part of the story: do not glue the words together without a space.",
    )  # fmt: skip
    check.equal(
        groups(["", "a", "  \n", "..."]), [], slug="empty",
        hint="Stories without a word are empty, not duplicates: they are another fault, with another repair.",
    )  # fmt: skip
    many = [story(check.random) for _ in range(3000)]
    for _ in range(200):
        many[check.random.randrange(len(many))] = many[check.random.randrange(len(many))].upper()
    copies: dict[str, list[int]] = {}
    for i, text in enumerate(many):
        copies.setdefault(text.casefold(), []).append(i)
    expected = [group for group in copies.values() if len(group) > 1]
    check.equal(
        groups(many), expected, slug="many", when=f"in {len(many):,} stories with copies in capital letters",
        hint="A dictionary from the words of a story to its positions needs one pass.",
    )  # fmt: skip


@exercise("2.3", title="Sequences of words", minutes=6, difficulty=1)
def sequences(answer, check):
    got = answer("a red kite flew", 2)
    check.that(
        isinstance(got, set | frozenset), slug="set", problem=f"expected a set, got a {type(got).__name__}",
        hint="What counts is which sequences a story has, not where or how often: collect them in a set.",
    )  # fmt: skip
    check.that(
        all(isinstance(one, tuple) for one in got), slug="tuples", problem="expected tuples of words in it",
        hint="A sequence is a tuple of words: tuple(words[i : i + n]).",
    )  # fmt: skip
    check.equal(
        got, {("a", "red"), ("red", "kite"), ("kite", "flew")}, slug="neighbors",
        hint="A sequence begins at every word that has enough words behind it, the last one included.",
    )  # fmt: skip
    check.equal(
        answer("a red kite", 3), {("a", "red", "kite")}, slug="neighbors",
        hint="With three words and n = 3 there is one sequence: how many places are there to begin?",
    )  # fmt: skip
    check.equal(
        answer("A red, RED kite!", 1), {("a",), ("red",), ("kite",)}, slug="words",
        hint="Take the words from words_of, so that capitals and punctuation do not matter.",
    )  # fmt: skip
    check.equal(answer("a red", 3), set(), slug="short", hint="A story of fewer than n words has no sequence.")
    check.equal(answer("", 2), set(), slug="short", hint="No words, no sequences.")
    check.equal(
        answer("row row row row", 2),
        {("row", "row")},
        slug="different",
        hint="The same sequence stands in the set once.",
    )
    for _ in range(20):
        words, n = check.random.choices("abc", k=9), check.random.randint(1, 5)
        expected = {tuple("".join(words)[i : i + n]) for i in range(10 - n)}
        check.equal(answer(" ".join(words), n), expected, slug="random", hint="Write this one down by hand.")


@exercise("2.4", title="The smallest numbers", minutes=12, difficulty=3)
def minhash(answer, check):
    import numpy as np

    def smallest(numbers, factors, when):
        got = answer(np.array(numbers, dtype=np.uint64), np.array(factors, dtype=np.uint64))
        try:
            got = list(got)
        except TypeError:
            check.fail(
                f"{when}: expected {len(factors[0])} numbers, got {shown(got)}", slug="one-number",
                hint="Each column of factors has a smallest number of its own: look for it along one axis.",
            )  # fmt: skip
        check.that(
            len(got) == len(factors[0]), slug="axis", when=when,
            problem=f"expected {len(factors[0])} numbers, one a column of factors, got {len(got)}",
            hint="The smallest is sought among the story's numbers, and there is one for each column.",
        )  # fmt: skip
        return [int(one) for one in got]

    when = "with numbers [5, 2, 9] and factors [[1, 2], [10, 0]]"
    got = smallest([5, 2, 9], [[1, 2], [10, 0]], when)
    check.that(
        got != [5, 2], slug="unmixed", when=when, problem=f"expected [12, 4], got {shown(got)}",
        hint="Multiply and add first, and look for the smallest then.",
    )  # fmt: skip
    check.equal(
        got, [12, 4], slug="formula", when=when,
        hint="In column 0 the numbers become 15, 12 and 19, in column 1 10, 4 and 18: a times x, plus b.",
    )  # fmt: skip
    when = "with one number, 7, and factors [[1, 2, 3], [0, 0, 1]]"
    check.equal(
        smallest([7], [[1, 2, 3], [0, 0, 1]], when), [7, 14, 22], slug="one-sequence", when=when,
        hint="A story may have a single sequence, and there may be another number of columns than 24.",
    )  # fmt: skip
    big, when = 2**63 + 1, "with numbers [1, 2] and factors [[2**63 + 1], [0]]"
    check.equal(
        smallest([1, 2], [[big], [0]], when), [2], slug="cut-off", when=when,
        hint="2 * (2**63 + 1) is more than 64 bits hold, and becomes 2 when it is cut off: stay in uint64.",
    )  # fmt: skip
    for _ in range(20):
        numbers = [check.random.randrange(2**32) for _ in range(check.random.randint(1, 40))]
        a, b = ([check.random.randrange(2**64) for _ in range(24)] for _ in "ab")
        when = f"with {len(numbers)} numbers and 24 columns"
        expected = [min((x * one + two) % 2**64 for x in numbers) for one, two in zip(a, b, strict=True)]
        check.equal(
            smallest(numbers, [a, b], when), expected, slug="random", when=when,
            hint="All 64 bits count: a number that became a float has lost its last digits.",
        )  # fmt: skip


@exercise("2.5", title="Find leakage", minutes=15, difficulty=3)
def containments(answer, check):
    def fractions(train, validation, *more):
        return list(answer(train, validation, *more))

    other = "a story that shares no sequence of words with that one"
    base = "one two three four five six seven eight nine ten"  # ten words: three sequences of eight
    got = fractions([base], [base, other])
    check.that(
        len(got) == 2 and all(as_number(one) is not None for one in got),
        slug="numbers",
        problem=f"expected two fractions, one for each validation story, got {shown(got)}",
        hint="Return a list with a number for each validation story, in their order.",
    )  # fmt: skip
    check.close(
        got, [1.0, 0.0], slug="exact",
        hint="All of the first story stands in train, nothing of the second.",
    )  # fmt: skip
    check.equal(fractions([base], []), [], slug="none", hint="No validation stories, no fractions.")
    check.close(
        fractions(["a b c"], [base, other, base.upper() + "!"]), [0, 0, 0], slug="within",
        hint="Copies within the validation stories are no leak: the question is what stands in train.",
    )  # fmt: skip
    check.close(
        fractions([base], [base.replace(" ", ",\n").upper()]), [1], slug="words-alone",
        hint="Compare words in lower case, without punctuation and spacing: use sequences, which uses words_of.",
    )  # fmt: skip
    near = base.replace("ten", "eleven")  # two of its three sequences stand in train
    check.close(
        fractions([base], [near]), [2 / 3], slug="near",
        hint="One word was changed, and two of its three sequences of 8 words still stand in train: two thirds.",
    )  # fmt: skip
    long = " ".join(f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60))
    words = long.split()
    check.close(
        fractions([long], [" ".join(words[20:40])]), [1], slug="part",
        hint="A piece cut out of a train story leaks whole: divide by the validation story's number of sequences.",
    )  # fmt: skip
    check.close(
        fractions([" ".join(words[20:40])], [long]), [13 / 53], slug="part",
        hint="13 of its 53 sequences stand in train: divide by the validation story's number of sequences.",
    )  # fmt: skip
    pieces = [" ".join(words[i : i + 14]) for i in (0, 7, 14, 21, 28, 35, 42, 46)]
    check.close(
        fractions(pieces, [long]), [7 / 53], slug="one-story",
        hint="Each train story holds 7 of the 53 sequences. They do not add up: what counts is the best single one.",
    )  # fmt: skip
    two = [" ".join(words[:20]), " ".join(words[30:40])]  # 13 and 3 of 53
    for order in (two, two[::-1]):
        check.close(
            fractions(order, [long]), [13 / 53], slug="greatest",
            hint="One train story holds 13 sequences, another 3: keep the greatest fraction, whichever comes first.",
        )  # fmt: skip
    check.close(
        fractions(["a red kite"], ["a red kite", "", "a red"]), [0, 0, 0], slug="short",
        hint="A story of fewer than n words has no sequence of n words: by this rule it gets 0.",
    )  # fmt: skip
    check.close(
        fractions(["a red kite"], ["a red kite", "a red"], 3), [1, 0], slug="n",
        hint="n is an argument: with n = 3, a story of three words has one sequence.",
    )  # fmt: skip
    again = " ".join(["row row row the boat"] * 6)
    repeated = f"{again} {long}"
    count = len(_sequences(repeated, 8))
    shared = len(_sequences(repeated, 8) & _sequences(again, 8))
    check.close(
        fractions([again], [repeated]), [shared / count], slug="different",
        hint="Count different sequences: one that occurs six times in a story counts once.",
    )  # fmt: skip
    check.close(
        fractions([base], [base, base]), [1, 1], slug="same-twice",
        hint="Two validation stories may hold the same sequence: note all of them for it, not only the last.",
    )  # fmt: skip
    train = [story(check.random, 6) for _ in range(1500)]
    validation = [story(check.random, 6) for _ in range(200)]
    leaked = sorted(check.random.sample(range(200), 20))
    for i in leaked:
        validation[i] = "Well. " + check.random.choice(train).replace(".", "!")
    got = fractions(train, validation)
    check.equal(
        [i for i, fraction in enumerate(got) if fraction >= 0.5], leaked, slug="many",
        when="with 200 validation stories, 20 of them leaked: those with a fraction of a half or more",
        hint="Note for each sequence which validation stories have it; then go through train once.",
    )  # fmt: skip
    check.close(fractions([], [base]), [0.0], slug="none", hint="No train stories: nothing stands in one, so 0.")
