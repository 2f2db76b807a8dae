"""The exercises of notebook 03 on counts: pairs, add-k smoothing, interpolation, backing off."""

from collections import Counter

import numpy as np

from course.checks.compare import close, same
from course.checks.exercise import exercise

END = 0  # in these exercises as in the course's tokenizer


@exercise("3.4", title="Count the pairs", minutes=10, difficulty=1)
def count_bigrams(answer, check):
    ids = np.array([0, 2, 1, 2, 1, 0], dtype=np.uint16)
    got = answer(ids, 4)
    check.that(
        isinstance(got, np.ndarray) and np.issubdtype(got.dtype, np.integer), slug="array",
        problem=f"expected an array of whole numbers, got {_kind(got)}",
        hint="Counts are whole numbers in a NumPy array; an array of zeros has floats unless told `dtype=int`.",
    )  # fmt: skip
    check.shape(got, (4, 4), slug="shape", hint="A row and a column for each id there is, even if it never occurs.")
    expected = np.zeros((4, 4), dtype=int)
    for before, after in ((0, 2), (2, 1), (1, 2), (2, 1), (1, 0)):
        expected[before, after] += 1
    for mistaken, slug, problem, hint in (
        (expected.T, "transposed", "rows and columns are exchanged",
         "The row is the token before, the column the one that came after it."),
        (expected + expected.T, "both-ways", "each pair is counted in both directions",
         "After 0 came 2; after 2 never came 0 here. A pair has a direction."),
        ((expected > 0).astype(int), "once", "no pair is counted more than once",
         "`counts[i, j] += 1` with arrays i and j adds once for each different cell. np.add.at adds all."),
    ):  # fmt: skip
        check.that(not same(got, mistaken), slug=slug, problem=problem, hint=hint)
    check.that(
        got.sum() == 5, slug="how-many", problem=f"six ids make 5 pairs; {got.sum()} were counted",
        hint="Each id but the last has one after it, and pairs overlap. The last id is not followed by the first.",
    )  # fmt: skip
    check.equal(got, expected, slug="pairs", hint="Row i, column j: how often j came right after i.")
    big = np.array([299, 298, 299, 298], dtype=np.uint16)
    try:
        got = answer(big, 300)
    except OverflowError as error:
        got = np.zeros(1)
        check.fail(f"ids are of type uint16, and {error}", slug="two-bytes", hint=_TWO_BYTES)
    check.that(
        got.shape == (300, 300) and got[299, 298] == 2 and got[298, 299] == 1, slug="two-bytes", hint=_TWO_BYTES,
        problem="with ids of up to 299 the pairs (299, 298), (298, 299) and (299, 298) are not where they belong",
    )  # fmt: skip
    check.that(
        int(np.asarray(answer(np.ones(70_001, dtype=np.uint16), 2))[1, 1]) == 70_000, slug="table-type",
        problem="70,000 equal pairs are not counted as 70,000",
        hint="The table holds larger numbers than an id: give it a type of its own, such as int64.",
    )  # fmt: skip
    ids = np.array([check.random.randrange(6) for _ in range(200)], dtype=np.uint16)
    pairs = Counter(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))
    check.equal(
        answer(ids, 6), [[pairs[i, j] for j in range(6)] for i in range(6)], slug="random",
        hint="Count a short row of ids by hand and compare.",
    )  # fmt: skip


_TWO_BYTES = "In uint16, 299 * 300 runs over 65,535 and starts again from zero. Make the ids int64 first."


def _must_be_array(check, got) -> None:
    check.that(
        isinstance(got, np.ndarray) and np.issubdtype(got.dtype, np.floating), slug="array",
        problem=f"expected a NumPy array of floats, got {_kind(got)}",
        hint="The following cells work with NumPy: return an array of it, not a list and not a tensor.",
    )  # fmt: skip


def _kind(value) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


@exercise("3.6", title="Add-k smoothing", minutes=10, difficulty=2)
def add_k(answer, check):
    counts = np.array([[2, 2, 0], [1, 0, 0], [0, 0, 0]])
    try:
        got = np.asarray(answer(counts, 1.0), dtype=float)
    except TypeError as error:  # `counts += k` with whole numbers on the left
        if "Cannot cast" not in str(error):
            raise
        check.fail(
            f"the counts are whole numbers, and were to be changed in place: {error}", slug="in-place",
            hint="Leave `counts` as it was: `counts + k` makes a new array.",
        )  # fmt: skip
    check.shape(got, (3, 3), slug="shape", hint="A row for each token before, a column for each token after it.")
    _must_be_array(check, answer(counts, 1.0))
    check.that(
        np.isfinite(got).all(), slug="unseen-context", problem="there are numbers that are not finite",
        hint="The last token was never met before another. Its row of zeros must become even, not 0 / 0.",
    )  # fmt: skip
    added = counts + 1.0
    for mistaken, slug, problem, hint in (
        (added / added.sum(axis=0), "columns", "the columns sum to one, not the rows",
         "A row is one distribution: sum along it, axis=1."),
        (added / added.sum(), "whole-table", "the whole table sums to one",
         "Each row is a distribution of its own: divide it by its own sum."),
        (added / added.sum(axis=1), "keepdims", "the numbers of a row were divided by the sums of three rows",
         "Sums of shape (3,) are laid along a row. keepdims=True makes them a column, (3, 1): one divisor a row."),
    ):  # fmt: skip
        check.that(not close(got, mistaken, 1e-6), slug=slug, problem=problem, hint=hint)
    row, total = next(((i, n) for i, n in enumerate(got.sum(axis=1)) if abs(n - 1) > 1e-6), (0, 1.0))
    check.that(
        total == 1.0 or abs(total - 1) <= 1e-6, slug="sums-to-one", problem=f"row {row} sums to {total:.6g}, not to 1",
        hint="Each row sums to one. k was added in every column: by how much did the row's total grow?",
    )  # fmt: skip
    check.close(
        got[0],
        [3 / 7, 3 / 7, 1 / 7],
        slug="every-count",
        tolerance=1e-6,
        when="the row of the counts 2, 2, 0 with k 1",
        hint="k is added to every count, not only to the zeros, and before dividing.",
    )
    check.close(
        got[2],
        [1 / 3] * 3,
        slug="unseen-context",
        tolerance=1e-6,
        when="the row of the counts 0, 0, 0 with k 1",
        hint="Nothing known: all tokens equal.",
    )
    check.close(
        answer(counts, 0.5), [[2.5 / 5.5, 2.5 / 5.5, 0.5 / 5.5], [1.5 / 2.5, 0.2, 0.2], [1 / 3] * 3], slug="k",
        tolerance=1e-6, hint="k need not be 1, nor whole: in an array of whole numbers its fraction is cut off.",
    )  # fmt: skip
    generator = np.random.default_rng(3)
    for _ in range(5):
        counts = generator.integers(0, 4, (5, 5))
        k = float(generator.uniform(0.01, 2))
        expected = [[(n + k) / sum(m + k for m in row) for n in row] for row in counts.tolist()]
        check.close(answer(counts, k), expected, slug="random", tolerance=1e-6, hint="Compare one row by hand.")


@exercise("3.7", title="Interpolation", minutes=12, difficulty=2)
def interpolate(answer, check):
    counts = np.array([[6, 2, 0], [0, 1, 3], [4, 0, 0]])
    unigram = np.array([0.5, 0.2, 0.3])
    bigram = counts / counts.sum(axis=1, keepdims=True)
    got = np.asarray(answer(counts, unigram, 1.0), dtype=float)
    check.shape(got, (3, 3), slug="shape", hint="One row for each token before.")
    _must_be_array(check, answer(counts, unigram, 1.0))
    check.close(
        got, bigram, slug="which-weight", tolerance=1e-6,
        hint="With a weight of 1 only the bigram counts: its relative frequencies. With 0 only the unigram.",
    )  # fmt: skip
    check.close(
        answer(counts, unigram, 0.0), [unigram.tolist()] * 3, slug="columns", tolerance=1e-6,
        hint="The unigram's probability of a token goes to that token's column, in every row.",
    )  # fmt: skip
    check.close(
        np.asarray(answer(counts, unigram, 0.75))[0], [0.75 * 0.75 + 0.125, 0.75 * 0.25 + 0.05, 0.075], slug="mixture",
        tolerance=1e-6, when="the row of the counts 6, 2, 0 with weight 0.75",
        hint="weight * bigram + (1 - weight) * unigram: an arithmetic mean, in probabilities.",
    )  # fmt: skip
    unmet = np.array([[3, 1, 0], [0, 0, 0], [1, 1, 2]])
    got = np.asarray(answer(unmet, unigram, 0.9), dtype=float)
    check.that(
        np.isfinite(got).all() and abs(got[1].sum() - 1) < 1e-6, slug="unseen-context",
        problem=f"the row of a token that was never followed by anything sums to {got[1].sum():.3g}",
        hint="0 / 0 is no probability. Where a row has no counts, the unigram must have all the weight.",
    )  # fmt: skip
    check.close(
        got[1], unigram, slug="unseen-context", tolerance=1e-6, when="the row of the counts 0, 0, 0 with weight 0.9",
        hint="Where a row has no counts, the unigram must have all the weight.",
    )  # fmt: skip
    check.close(
        np.asarray(answer(unmet, unigram, 1.0))[1], unigram, slug="unseen-context", tolerance=1e-6,
        when="the row of the counts 0, 0, 0 with weight 1",
        hint="Where a row has no counts the unigram has all the weight, whatever `weight` says.",
    )  # fmt: skip
    generator = np.random.default_rng(5)
    for _ in range(5):
        counts = generator.integers(0, 3, (4, 4))
        counts[:, 0] += 1
        low = generator.dirichlet(np.ones(4))
        weight = float(generator.uniform(0.1, 0.9))
        expected = [
            [weight * n / sum(row) + (1 - weight) * p for n, p in zip(row, low, strict=True)] for row in counts.tolist()
        ]
        check.close(answer(counts, low, weight), expected, slug="random", tolerance=1e-6, hint="Compare one row.")


def _followers(rows: list[list[int]], order: int) -> dict:
    """Followers by dictionaries: counts for the longest contexts, kinds of older tokens for the others."""
    counted: dict[tuple, Counter] = {}
    for m in range(order):
        for gram in set(_grams(rows, m + 2)) if m < order - 1 else _grams(rows, m + 1):
            short = gram[-(m + 1) :]
            counted.setdefault(short[:-1], Counter())[short[-1]] += 1
    return {
        context: (np.array(sorted(c)), np.array([c[token] for token in sorted(c)])) for context, c in counted.items()
    }


def _grams(rows: list[list[int]], n: int) -> list[tuple]:
    padded = [[END] * (n - 1) + [*row, END] for row in rows]
    return [tuple(row[at - n + 1 : at + 1]) for row in padded for at in range(n - 1, len(row))]


@exercise("3.8", title="Back off", minutes=15, difficulty=3, seconds=5)
def back_off(answer, check):
    V = 5
    alone = {(): (np.array([1, 3]), np.array([3, 1]))}
    D = [0.5, 0.25, 0.75]
    expected = [0.05, 2.5 / 4 + 0.05, 0.05, 0.5 / 4 + 0.05, 0.05]  # what is saved, 1 of 4, is shared by five
    got = answer((), alone, D, V)
    _must_be_array(check, got)
    got = np.asarray(got, dtype=float)
    check.shape(
        got, (V,), slug="shape", hint="One probability for each of the vocabulary, those that never followed too."
    )
    for mistaken, slug, problem, hint in (
        (
            [0, 2.5 / 4, 0, 0.5 / 4, 0],
            "lower",
            "what the discount has saved is given to nobody",
            "What was saved goes to the simpler model, here 1 / V for each token.",
        ),
        (
            [0.2, 2.5 / 4, 0.2, 0.5 / 4, 0.2],
            "saved",
            "the simpler model has its whole weight",
            "The simpler model is weighed by what was saved: D * N(h) / c(h).",
        ),
        (
            [0.05, 2.5 / 4, 0.05, 0.5 / 4, 0.05],
            "seen-too",
            "tokens that were met get nothing from the simpler model",
            "The second part of the formula is for all tokens, for those that were met too: add it, do not set it.",
        ),
        (
            [0.05, 3 / 4 + 0.05, 0.05, 1 / 4 + 0.05, 0.05],
            "discount",
            "the counts are not discounted",
            "Take D from each count before dividing: what is given away must come from somewhere.",
        ),
        (
            [0.025, 2.5 / 4 + 0.025, 0.025, 0.5 / 4 + 0.025, 0.025],
            "kinds",
            "too little is given to the simpler model",
            "D was taken from each of the N(h) tokens that followed: count them, len(tokens).",
        ),
        (
            [0.1, 2.5 / 4 + 0.1, 0.1, 0.5 / 4 + 0.1, 0.1],
            "kinds",
            "too much is given to the simpler model",
            "N(h) is how many different tokens followed, not how often anything did.",
        ),
    ):
        check.that(not close(got, mistaken, 1e-6), slug=slug, problem=problem, hint=hint)
    check.that(
        abs(got.sum() - 1) < 1e-6,
        slug="sums-to-one",
        problem=f"the probabilities sum to {got.sum():.6g}",
        hint="What was saved from the counts is just what the simpler model gets. Both are divided by c(h).",
    )
    check.close(
        got,
        expected,
        slug="no-context",
        tolerance=1e-6,
        hint="Counts 3 and 1, D a half: 2.5 and 0.5 of 4 are left, and 1 of 4 is shared by all five tokens.",
    )
    check.that(
        close(answer((), {}, D, V), [0.2] * V, 1e-6),
        slug="nothing-met",
        problem="nothing was ever met, and the answer is not 1 / V for each token",
        hint="Below the empty context all tokens are alike, as an array.",
    )
    two = alone | {(3,): (np.array([0]), np.array([2]))}
    lower = np.array(expected)
    check.that(
        close(answer((4,), two, D, V), lower, 1e-6), slug="never-met",
        problem="the context (4,) was never met, and the answer is not that for ()",
        hint="A context that is not in `followers` leaves all to the shorter one.",
    )  # fmt: skip
    got = np.asarray(answer((3,), two, D, V), dtype=float)
    wanted = 0.25 / 2 * lower + np.array([1.75 / 2, 0, 0, 0, 0])
    check.that(
        not close(got, 0.5 / 2 * lower + np.array([1.5 / 2, 0, 0, 0, 0]), 1e-6), slug="which-discount",
        problem="a context of one token has the D of another length", hint="D is discounts[len(h)].",
    )  # fmt: skip
    check.that(
        not close(got, 0.25 / 2 * 0.2 + np.array([1.75 / 2, 0, 0, 0, 0]), 1e-6), slug="skips-down",
        problem="after (3,) all unmet tokens are alike", hint="The simpler model of (3,) is that of (), not 1 / V.",
    )  # fmt: skip
    check.close(got, wanted, slug="one-token", tolerance=1e-6, hint="Once more the formula, with P(w | h') for ().")
    deep = two | {(3, 4): (np.array([2]), np.array([1])), (4, 3): (np.array([4, 2]), np.array([1, 1]))}
    got = np.asarray(answer((4, 3), deep, D, V), dtype=float)
    after_3 = wanted
    check.close(
        got,
        0.75 * after_3 + np.array([0, 0, 0.125, 0, 0.125]),
        slug="oldest",
        tolerance=1e-6,
        hint="h' is h without its oldest token, the first: what is near counts for more than what is far.",
    )
    check.that(
        close(answer((1, 3), deep, D, V), after_3, 1e-6), slug="never-met",
        problem="(1, 3) was never met, and the answer is not that for (3,)", hint="One token less at a time.",
    )  # fmt: skip
    small = {(): (np.array([1]), np.array([3])), (2,): (np.array([1, 4]), np.array([1, 2]))}
    got = np.asarray(answer((2,), small, [0.5, 1.0], V), dtype=float)
    check.that((got >= 0).all() and abs(got.sum() - 1) < 1e-6, slug="below-zero", hint="Nothing falls below zero.",
               problem="with a discount of 1 the probabilities are no distribution")  # fmt: skip
    rows = [[check.random.randrange(1, V) for _ in range(8)] for _ in range(12)]
    followers = _followers(rows, 3)
    for _ in range(12):
        context = (check.random.randrange(V), check.random.randrange(V))
        check.close(
            answer(context, followers, D, V),
            _by_hand(context, followers, D, V),
            slug="random",
            tolerance=1e-6,
            hint="Work out one context of two tokens by hand, from the shortest up.",
        )


def _by_hand(context: tuple, followers: dict, discounts: list[float], vocab_size: int) -> list[float]:
    """Token by token, from no context up."""
    probs = [1 / vocab_size] * vocab_size
    for start in range(len(context), -1, -1):
        if context[start:] in followers:
            tokens, counts = followers[context[start:]]
            counted = dict(zip(tokens.tolist(), counts.tolist(), strict=True))
            D, total = discounts[len(context) - start], sum(counted.values())
            probs = [
                max(counted.get(w, 0) - D, 0) / total + D * len(counted) / total * probs[w] for w in range(vocab_size)
            ]
    return probs
