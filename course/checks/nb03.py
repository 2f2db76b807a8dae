"""The exercises of notebook 03: the chain rule, measures, a training step, sampling; those on counts are imported."""

import math
from collections import Counter
from itertools import groupby

import numpy as np
import torch

from course.checks.compare import as_number, close, is_number, shown
from course.checks.counting import add_k, back_off, count_bigrams, interpolate  # noqa: F401
from course.checks.exercise import exercise

END = 0  # in these exercises as in the course's tokenizer


def _must_be_number(check, got) -> None:
    check.that(
        is_number(got), slug="number",
        problem=f"expected a number, got a {type(got).__name__}",
        hint="One number of Python or NumPy: `.item()` takes it out of a tensor or an array.",
    )  # fmt: skip


@exercise("3.1", title="The chain rule", minutes=10, difficulty=2)
def story_log_prob(answer, check):
    flat = lambda before: [0.25] * 4  # noqa: E731
    check.that(
        not is_number(got := answer([1, 2], flat)) or got <= 0, slug="log",
        problem="a log-probability above zero", 
        hint="Take the logarithm of each probability: it is never above zero. (With the sign changed it is the loss.)",
    )  # fmt: skip
    only_end = lambda before: [0.5, 0.25, 0.25]  # noqa: E731
    got = answer([], only_end)
    _must_be_number(check, got)
    check.that(
        not close(got, -1.0, 1e-5), slug="nats", problem=f"expected about {math.log(0.5):.6f}, got {shown(got)}",
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

    answer([3, 4, 1, 1, 2, 4], remember)
    hint = (
        "A token is predicted from all that is before it: first [0], then [0, 3], then [0, 3, 4]. The end token stands "
        "before every story, and no token may see itself."
    )
    wanted = [[0, 3, 4, 1, 1, 2, 4][:at] for at in range(1, 8)]
    odd = next((before for before in asked if before not in wanted), None)
    problem = f"the model was asked what comes after {odd}" if odd else f"the model was asked {len(asked)} times"
    check.that(sorted(asked, key=len) == wanted, slug="context", problem=problem, hint=hint)
    try:
        got = answer([1] * 2000, lambda before: [0.1, 0.1, 0.8])
    except ValueError:  # what math.log says to zero
        got = -math.inf
    check.close(
        got, 2001 * math.log(0.1), slug="underflow",
        hint="A product of two thousand probabilities is too small for any float: add logarithms instead.",
    )  # fmt: skip
    check.close(answer([1], lambda before: [1 - 1e-7, 1e-7]), math.log(1e-7) + math.log(1 - 1e-7), slug="tiny",
                hint="A small probability has a large logarithm, and it counts: leave it as it is.")  # fmt: skip
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
    _must_be_number(check, got)
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
        answer([[0.0, log(0.25)]]), 2.0, slug="sure-once", hint="A token that the model was sure of counts, too."
    )
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
    _must_be_number(check, got)
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


@exercise("3.5", title="The loss of a table", minutes=10, difficulty=2)
def cross_entropy(answer, check):
    ln2 = math.log(2)
    table = np.array([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [0.0, 0.0, 1.0]])
    pairs = np.array([[3, 0, 0], [1, 0, 0], [0, 0, 0]])  # three times 1 bit, once 2 bits
    got = answer(table, pairs)
    check.that(
        not isinstance(got, np.ndarray) or got.ndim == 0, slug="one-number",
        problem="expected one number, got an array", hint="One number for the whole text: sum over rows and columns.",
    )  # fmt: skip
    _must_be_number(check, got)
    got = float(got)
    check.that(
        not math.isnan(got), slug="zero-times-infinity", problem="expected a number, got nan",
        hint="0 * log 0 is not a number to NumPy. Pick out the pairs that occur before you take logarithms.",
    )  # fmt: skip
    loss = 5 * ln2 / 4
    for mistaken, slug, hint in (
        (-loss, "sign", "A loss is never below zero: it is minus the logarithm."),
        (5 * ln2, "total", "That is the whole loss. Divide it by how many pairs there are."),
        (1.25, "bits", "That is in bits. With np.log it is in nats."),
        (math.exp(loss), "perplexity", "That is the perplexity. The loss is its logarithm."),
        (1.5 * ln2, "weights", "A pair that occurs three times counts three times in the mean."),
        (2.5 * ln2, "cells", "Divide by the number of pairs in the text, not by the number of cells."),
        (5 * ln2 / 9, "cells", "Divide by the number of pairs in the text, not by the number of cells."),
        (5 * ln2 / 3, "cells", "Divide by the number of pairs in the text, not by the number of rows."),
        (-math.log((3 * 0.5 + 0.25) / 4), "mean-first", "First the logarithm of each probability, then the mean."),
    ):  # fmt: skip
        check.that(not close(got, mistaken, 1e-6), slug=slug, problem=f"expected about {loss:.6f}, got {got:.6g}",
                   hint=hint)  # fmt: skip
    check.close(got, loss, slug="loss", hint="Three pairs of ln 2 nats and one of ln 4, shared by four pairs.")
    impossible = np.array([[1, 0, 7], [0, 0, 0], [0, 0, 5]])
    check.that(
        float(answer(table, impossible)) == math.inf, slug="infinite",
        problem=f"a pair with the probability 0 occurs: expected inf, got {float(answer(table, impossible)):.6g}",
        hint="A pair that was called impossible and occurs makes the loss infinite. Do not leave it out or mend it.",
    )  # fmt: skip
    check.that(
        float(answer(table, np.array([[0, 0, 0], [0, 0, 0], [0, 0, 4]]))) == 0, slug="certain",
        problem="only pairs of probability 1 occur, and the loss is not 0", hint="ln 1 is 0: nothing to lose.",
    )  # fmt: skip
    generator = np.random.default_rng(5)
    for scale in (1, 1000):
        table, pairs = generator.dirichlet(np.ones(6), 6), scale * generator.integers(0, 4, (6, 6))
        one_by_one = [-math.log(table[i, j]) for i in range(6) for j in range(6) for _ in range(pairs[i, j])]
        check.close(answer(table, pairs), math.fsum(one_by_one) / len(one_by_one), slug="random",
                    hint="Write the pairs out one by one for a table of two by two.")  # fmt: skip
    tiny = np.array([[1 - 1e-40, 1e-40], [0.5, 0.5]])
    check.close(answer(tiny, np.array([[0, 2], [0, 0]])), 40 * math.log(10), slug="tiny",
                hint="A small probability is not zero: add nothing to it before the logarithm.")  # fmt: skip


@exercise("3.9", title="A training step", minutes=8, difficulty=2)
def train_step(answer, check):
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    rate = torch.optim.SGD([weight], lr=0.1)
    calls = []

    def loss():
        calls.append(weight.detach().clone())
        return (weight**2).sum()

    got = answer(loss, rate)
    check.that(
        not isinstance(got, torch.Tensor), slug="number", problem="expected a number of Python, got a tensor",
        hint="A tensor drags all that it was computed from along. `.item()` leaves the number.",
    )  # fmt: skip
    check.that(
        len(calls) == 1, slug="calls", problem=f"the loss was computed {len(calls)} times",
        hint="One forward pass is enough: keep the loss in a variable.",
    )  # fmt: skip
    now = weight.detach().tolist()
    check.that(
        now != [1.0, -2.0],
        slug="no-step",
        problem="the parameters are what they were",
        hint="Gradients alone change nothing: the optimizer must make its step, after the backward pass.",
    )
    check.close(
        now,
        [0.8, -1.6],
        slug="step",
        when="the parameters 1 and -2 after a step on the sum of their squares, lr 0.1",
        hint="Against the gradient, once, by the optimizer's own step.",
    )
    check.that(
        close(got, 5.0, 1e-5),
        slug="loss-before",
        problem=f"the loss was 5 before the step, and {shown(got)} was returned",
        hint="Return the loss that the step was made from.",
    )
    answer(loss, rate)
    check.close(
        weight.detach().tolist(), [0.64, -1.28], slug="left-over", when="the parameters after a second step",
        hint="PyTorch adds new gradients to the old ones: clear them, and clear them before the backward pass.",
    )  # fmt: skip
    weight.grad = torch.tensor([100.0, 100.0])
    answer(loss, rate)
    check.close(
        weight.detach().tolist(),
        [0.512, -1.024],
        slug="left-over",
        when="the parameters after a step, with old gradients of 100 left over",
        hint="Clear the gradients before the backward pass: somebody else may have left some.",
    )
    table = torch.nn.Embedding(5, 5)
    twin = torch.nn.Embedding(5, 5)
    twin.load_state_dict(table.state_dict())
    adam, by_hand = (torch.optim.Adam(each.parameters(), lr=0.3) for each in (table, twin))
    inputs, targets = torch.tensor([0, 1, 2, 3, 1]), torch.tensor([1, 2, 3, 4, 4])

    def loss_of(each):
        return torch.nn.functional.cross_entropy(each(inputs), targets)

    for _ in range(5):
        expected = loss_of(twin)
        gradient = torch.autograd.grad(expected, [twin.weight])[0]
        twin.weight.grad = gradient
        by_hand.step()
        check.close(answer(lambda: loss_of(table), adam), expected.item(), slug="adam",
                    when="the loss of a small bigram network, trained by Adam",
                    hint="Use the optimizer that was given, whatever it is, and once a step.")  # fmt: skip
    check.close(table.weight, twin.weight.detach(), slug="adam", when="a small bigram network after five steps of Adam",
                hint="Use the optimizer that was given, whatever it is, and once a step.")  # fmt: skip


@exercise("3.10", title="Sample a story", minutes=12, difficulty=2, seconds=5)
def sample_story(answer, check):
    def model_of(rows):
        return lambda ids: np.array(rows[ids[-1]], dtype=float) / sum(rows[ids[-1]])

    chain = model_of([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])  # 0 -> 1 -> 2 -> 3 -> 0
    got = list(answer(chain, 10, 0))
    check.that(
        END not in got, slug="end", problem=f"the end token 0 is in {shown(got)}",
        hint="The end token starts the story and stops it, but is no part of it.",
    )  # fmt: skip
    check.equal(
        got, [1, 2, 3], slug="context",
        hint="Begin with the end token, 0, alone. Each sampled token is appended to what the model sees next.",
    )  # fmt: skip
    for limit in (1, 2, 3):
        check.equal(
            list(answer(chain, limit, 0)), [1, 2, 3][:limit], slug="limit",
            hint="Stop after `limit` tokens. The end token at the start is none of them.",
        )  # fmt: skip
    asked = []

    def remember(ids):
        asked.append(list(ids))
        return np.array([0, 0.0, 1.0]) if len(ids) < 4 else np.array([1.0, 0, 0])

    answer(remember, 9, 0)
    check.that(
        [one for one, _ in groupby(asked)] == [[0], [0, 2], [0, 2, 2], [0, 2, 2, 2]], slug="whole-context",
        problem=f"the model was asked what comes after {shown(asked)}",
        hint="The model sees all ids so far, the end token in front: [0], then [0, first], then [0, first, second].",
    )  # fmt: skip
    endless = model_of([[0, 1, 0], [0, 1, 1], [0, 1, 1]])
    length = len(list(answer(endless, 50, 1)))
    check.that(length == 50, slug="limit", problem=f"a story that never ends has {length} tokens with limit=50",
               hint="Some stories never end: stop at `limit` tokens.")  # fmt: skip
    wide = model_of([[0] + [1] * 50] + [[1] + [2] * 50 for _ in range(50)])
    check.equal(
        list(answer(wide, 40, 7)), list(answer(wide, 40, 7)), slug="seed",
        hint="The same seed must give the same story: make your generator from `seed`, inside the function.",
    )  # fmt: skip
    once = model_of([[0, 6, 3, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])  # one token, then the end
    sampled = Counter(tuple(map(as_number, answer(once, 5, seed))) for seed in range(600))
    check.that(
        len(sampled) > 1, slug="seed-or-greedy", when="600 seeds",
        problem=f"they gave one and the same story, {shown(next(iter(sampled)))}",
        hint="Sample at random by the probabilities, do not take the largest, and let `seed` decide the sample.",
    )  # fmt: skip
    fractions = [sampled[(token,)] / 600 for token in (1, 2, 3)]
    check.that(
        all(abs(fraction - p) < 0.08 for fraction, p in zip(fractions, (0.6, 0.3, 0.1), strict=True)), slug="weights",
        when="600 seeds",
        problem="probabilities of 0.6, 0.3 and 0.1 gave fractions of " + ", ".join(f"{f:.2f}" for f in fractions),
        hint="A token that is six times as probable must be sampled six times as often.",
    )  # fmt: skip
    some = model_of([[1, 1, 0], [1, 1, 0], [1, 1, 0]])  # half of all stories are empty
    empty = sum(len(list(answer(some, 5, seed))) == 0 for seed in range(400)) / 400
    check.that(
        abs(empty - 0.5) < 0.12,
        slug="first-may-end",
        when="400 seeds",
        problem=f"half of all stories should be empty; {empty:.0%} are",
        hint="The very first sample may be the end token, too: then the story is empty.",
    )
    twice = model_of([[0, 1, 1], [1, 1, 1], [1, 1, 1]])
    stories = [tuple(map(as_number, answer(twice, 2, seed))) for seed in range(400)]
    pairs = Counter(story for story in stories if len(story) == 2)
    check.that(
        len(pairs) == 4, slug="fresh-samples", when="400 seeds",
        problem=f"of 1 1, 1 2, 2 1 and 2 2 only {len(pairs)} ever came",
        hint="Make the generator once, before the loop: made again at each step, it samples the same again.",
    )  # fmt: skip
    near = np.array([0, 0.2, 0.8], dtype=np.float32) * (1 + 1e-4)  # float32 does not sum to one exactly
    got = list(map(as_number, answer(lambda ids: near, 3, 0)))
    check.that(len(got) == 3 and set(got) <= {1, 2}, slug="float32", problem=f"got {shown(got)}",
               hint="Probabilities may miss 1 by a little: divide by their sum.")  # fmt: skip
