"""The exercises of notebook 03: the chain rule, perplexity, bits per byte, smoothing, interpolation, sampling."""

import math
from collections import Counter

import numpy as np

from course.checks.compare import close
from course.checks.exercise import exercise

END = 0  # in these exercises as in the course's tokenizer


@exercise("3.1", title="The chain rule", minutes=10, difficulty=2)
def story_log_prob(answer, check):
    flat = lambda before: [0.25] * 4  # noqa: E731
    check.that(
        not isinstance(answer([1, 2], flat), int | float) or answer([1, 2], flat) <= 0, slug="log",
        problem="a log-probability above zero", 
        hint="Take the logarithm of each probability: it is never above zero. (With the sign changed it is the loss.)",
    )  # fmt: skip
    only_end = lambda before: [0.5, 0.25, 0.25]  # noqa: E731
    got = answer([], only_end)
    check.that(
        not close(got, -1.0, 1e-5), slug="nats", problem=f"expected about {math.log(0.5):.6f}, got {got}",
        hint="That is in bits. With the natural logarithm, math.log, it is in nats.",
    )  # fmt: skip
    check.close(
        got, math.log(0.5), slug="end",
        hint="A story must also stop. The empty story is one prediction: the end token, right after the first one.",
    )  # fmt: skip
    check.close(
        answer([1, 2], flat), 3 * math.log(0.25), slug="how-many",
        hint="Two tokens are three predictions: the first, the second, and the end token. Use natural logarithms.",
    )  # fmt: skip
    chances = {1: 0.5, 2: 0.125, 0: 0.375}
    uneven = lambda before: [chances[0], chances[1], chances[2]]  # noqa: E731
    check.close(
        answer([1, 2, 2], uneven), math.log(0.5 * 0.125 * 0.125 * 0.375), slug="which",
        hint="The probability of a token stands at its id in what `next_probs` returns.",
    )  # fmt: skip
    asked: list[list[int]] = []

    def remember(before):
        asked.append(list(before))
        return [0.2] * 5

    answer([3, 4], remember)
    hint = (
        "A token is predicted from all that is before it: first [0], then [0, 3], then [0, 3, 4]. The end token stands "
        "before every story, and no token may see itself."
    )
    check.equal(sorted(asked), [[0], [0, 3], [0, 3, 4]], slug="context", hint=hint)
    try:
        got = answer([1] * 2000, lambda before: [0.1, 0.1, 0.8])
    except ValueError:  # what math.log says to zero
        got = -math.inf
    check.close(
        got, 2001 * math.log(0.1), slug="underflow",
        hint="A product of two thousand probabilities is too small for any float: add logarithms instead.",
    )  # fmt: skip
    for _ in range(5):
        ids = [check.random.randrange(1, 4) for _ in range(6)]
        tilted = lambda before: [(1 + i + before[-1]) / (10 + 4 * before[-1]) for i in range(4)]  # noqa: E731
        sequence, product = [END, *ids, END], 1.0
        for at in range(1, len(sequence)):
            product *= tilted(sequence[:at])[sequence[at]]
        check.close(
            answer(ids, tilted), math.log(product), slug="random", hint="Do a story of one token by hand and compare."
        )


@exercise("3.2", title="Perplexity by hand", minutes=8, difficulty=1)
def perplexity(answer, check):
    log = math.log
    got = answer([[log(0.5), log(0.25), log(0.125)]])
    for mistaken, slug, hint in (
        (1 / 4, "sign", "A perplexity is never below one: log-probabilities are negative. Where does the sign change?"),
        (14 / 3, "mean-last", "Take the mean of the logarithms first, and e to that mean after it, not before."),
        (2 ** (2 * log(2)), "base", "The log-probabilities are in nats: e to their mean, math.exp, not 2 to it."),
        (2 * log(2), "no-exp", "That is the cross-entropy. The perplexity is e to it."),
    ):
        check.that(not close(got, mistaken, 1e-5), slug=slug, problem=f"expected about 4.0, got {got:.6g}", hint=hint)
    check.close(
        got, 4.0, slug="by-hand",
        hint="The mean of -log p is log 4 here: (1 + 2 + 3) / 3 halvings. Perplexity is e to that mean.",
    )  # fmt: skip
    check.close(
        answer([[log(1 / 10)] * 7]), 10.0, slug="uniform", hint="Ten equally likely tokens: a perplexity of ten."
    )
    check.close(answer([[0.0, 0.0]]), 1.0, slug="certain", hint="Always sure and always right: a perplexity of 1.")
    check.close(
        answer([[log(0.5)] * 9, [log(1 / 32)]]), math.exp((9 * log(2) + log(32)) / 10), slug="weighting",
        hint="Every token weighs the same, wherever it stands: one mean over all tokens of all stories.",
    )  # fmt: skip
    check.close(
        answer([[log(1e-9)] * 500]), 1e9, slug="underflow",
        hint="A product of many probabilities is 0 in a computer. Work with the logarithms to the end.",
    )  # fmt: skip
    for _ in range(10):
        stories = [[-check.random.uniform(0, 4) for _ in range(check.random.randint(1, 9))] for _ in range(4)]
        flat = np.concatenate(stories)
        check.close(
            answer(stories), float(np.prod(np.exp(-flat / len(flat)))), slug="random",
            hint="Sum all the logarithms, divide by how many there are, change the sign, take exp.",
        )  # fmt: skip


@exercise("3.3", title="Bytes against tokens", minutes=8, difficulty=2)
def bits_per_byte(answer, check):
    ln2 = math.log(2)
    got = answer(ln2, 10, ["abcdefghij"])
    for mistaken, slug, hint in (
        (ln2, "still-nats", "That is in nats per byte. One bit is ln 2 nats."),
        (ln2**2, "nats-to-bits", "A bit is less than a nat, so there are more bits than nats: divide by ln 2."),
        (0.1, "one-token", "nats_per_token is the loss of one token. How large is the loss of all of them?"),
        (10.0, "not-texts", "Ten bits in ten bytes. len(texts) is the number of stories, not of their bytes."),
    ):
        check.that(not close(got, mistaken, 1e-5), slug=slug, problem=f"expected about 1.0, got {got:.6g}", hint=hint)
    check.close(
        got, 1.0, slug="one-bit",
        hint="ln 2 nats are one bit. Ten tokens of one bit each, ten bytes: one bit per byte.",
    )  # fmt: skip
    check.close(
        answer(2.0, 10, ["abcdefghij"]), 2.0 / ln2, slug="nats-to-bits",
        hint="A nat is more than a bit: divide nats by the natural logarithm of 2.",
    )  # fmt: skip
    check.close(
        answer(ln2, 5, ["abcdefghij"]), 0.5, slug="tokens",
        hint="First the whole loss, nats per token times tokens; then divide by the bytes of the text.",
    )  # fmt: skip
    check.close(
        answer(ln2, 4, ["ab", "cd", "efgh"]), 0.5, slug="all-texts", hint="The bytes of all texts together count."
    )
    check.close(
        answer(ln2, 6, ["café 🙂"]), 6 / 10, slug="bytes",
        hint="Bytes are not characters: 'é' has two in UTF-8, a smile four.",
    )  # fmt: skip
    for _ in range(10):
        texts = ["é" * check.random.randint(1, 5) + "a" * check.random.randint(0, 9) for _ in range(3)]
        nats, tokens = check.random.uniform(0.5, 5), check.random.randint(3, 30)
        size = sum(2 if character == "é" else 1 for text in texts for character in text)
        check.close(
            answer(nats, tokens, texts), math.log2(math.e) * nats * tokens / size, slug="random",
            hint="Nats to bits, tokens to a total, and the total over all bytes.",
        )  # fmt: skip


@exercise("3.4", title="Add-k smoothing", minutes=10, difficulty=2)
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
    check.close(
        got.sum(axis=1), [1.0, 1.0, 1.0], slug="sums-to-one", tolerance=1e-6,
        hint="Each row sums to one. k was added in every column: by how much did the row's total grow?",
    )  # fmt: skip
    check.close(
        got[0], [3 / 7, 3 / 7, 1 / 7], slug="every-count", tolerance=1e-6,
        hint="k is added to every count, not only to the zeros, and before dividing.",
    )  # fmt: skip
    check.close(got[2], [1 / 3] * 3, slug="unseen-context", tolerance=1e-6, hint="Nothing known: all tokens equal.")
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


@exercise("3.5", title="Interpolation", minutes=12, difficulty=2)
def interpolate(answer, check):
    counts = np.array([[6, 2, 0], [0, 1, 3], [4, 0, 0]])
    unigram = np.array([0.5, 0.2, 0.3])
    bigram = counts / counts.sum(axis=1, keepdims=True)
    got = np.asarray(answer(counts, unigram, 1.0), dtype=float)
    check.shape(got, (3, 3), slug="shape", hint="One row for each token before.")
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
        tolerance=1e-6, hint="weight * bigram + (1 - weight) * unigram: an arithmetic mean, in probabilities.",
    )  # fmt: skip
    unmet = np.array([[3, 1, 0], [0, 0, 0], [1, 1, 2]])
    got = np.asarray(answer(unmet, unigram, 0.9), dtype=float)
    check.that(
        np.isfinite(got).all() and abs(got[1].sum() - 1) < 1e-6, slug="unseen-context",
        problem=f"the row of a token that was never followed by anything sums to {got[1].sum():.3g}",
        hint="0 / 0 is no probability. Where a row has no counts, the unigram must have all the weight.",
    )  # fmt: skip
    check.close(
        got[1], unigram, slug="unseen-context", tolerance=1e-6,
        hint="Where a row has no counts, the unigram must have all the weight.",
    )  # fmt: skip
    check.close(
        np.asarray(answer(unmet, unigram, 1.0))[1], unigram, slug="unseen-context", tolerance=1e-6,
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


@exercise("3.6", title="Sample from counts", minutes=12, difficulty=2, seconds=5)
def sample_story(answer, check):
    chain = [[0, 3, 0, 0], [0, 0, 5, 0], [0, 0, 0, 2], [1, 0, 0, 0]]  # 0 -> 1 -> 2 -> 3 -> 0
    got = list(answer(chain, 10, 0))
    check.that(
        END not in got, slug="end", problem=f"the end token 0 is in {got}",
        hint="The end token starts the story and stops it, but is no part of it.",
    )  # fmt: skip
    check.equal(
        got, [1, 2, 3], slug="context",
        hint="Begin with the row of the end token, 0. Each sampled token says in which row to look next.",
    )  # fmt: skip
    for limit in (1, 2):
        check.equal(
            list(answer(chain, limit, 0)), [1, 2, 3][:limit], slug="limit",
            hint="Stop after `limit` tokens. The end token at the start is none of them.",
        )  # fmt: skip
    endless = [[0, 1, 0], [0, 1, 1], [0, 1, 1]]
    check.equal(len(answer(endless, 50, 1)), 50, slug="limit", hint="Some stories never end: stop at `limit` tokens.")
    wide = [[0] + [1] * 50] + [[1] + [2] * 50 for _ in range(50)]
    check.equal(
        list(answer(wide, 40, 7)), list(answer(wide, 40, 7)), slug="seed",
        hint="The same seed must give the same story: make your generator from `seed`, inside the function.",
    )  # fmt: skip
    once = [[0, 6, 3, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]  # one token, then the end
    sampled = Counter(tuple(answer(once, 5, seed)) for seed in range(600))
    check.that(
        len(sampled) > 1, slug="seed-or-greedy", problem=f"600 seeds gave one and the same story, {list(sampled)[0]}",
        hint="Sample at random by the counts, do not take the largest, and let `seed` decide the sample.",
    )  # fmt: skip
    fractions = [sampled[(token,)] / 600 for token in (1, 2, 3)]
    check.that(
        all(abs(fraction - p) < 0.08 for fraction, p in zip(fractions, (0.6, 0.3, 0.1), strict=True)), slug="weights",
        problem=f"counts 6, 3, 1 gave fractions of {fractions[0]:.2f}, {fractions[1]:.2f}, {fractions[2]:.2f}",
        hint="A token that was counted six times as often must be sampled six times as often.",
    )  # fmt: skip
    twice = [[0, 1, 1], [1, 1, 1], [1, 1, 1]]
    stories = [tuple(answer(twice, 2, seed)) for seed in range(400)]
    pairs = Counter(story for story in stories if len(story) == 2)
    check.that(
        len(pairs) == 4, slug="fresh-samples", problem=f"of 1 1, 1 2, 2 1 and 2 2 only {len(pairs)} ever came",
        hint="Make the generator once, before the loop: made again at each step, it samples the same again.",
    )  # fmt: skip
