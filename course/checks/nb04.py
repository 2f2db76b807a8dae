"""The exercises of notebook 04: lookup, parameters, neighbours, analogies, adding positions, sinusoids."""

import math

import torch
from torch.nn import functional as F

from course.checks.compare import close
from course.checks.exercise import exercise


def _numbers(check, *shape: int) -> torch.Tensor:
    count = math.prod(shape)
    return torch.tensor([check.random.gauss(0, 1) for _ in range(count)]).reshape(shape)


@exercise("4.1", title="Lookup by one-hot", minutes=6, difficulty=1)
def lookup_by_one_hot(answer, check):
    table = _numbers(check, 7, 3)
    ids = torch.tensor([2, 0, 2, 5])
    got = answer(ids, table)
    check.that(
        not isinstance(got, torch.Tensor) or got.shape != (4, 7), slug="one-hot-only", problem="the one-hot rows",
        hint="Those are the one-hot rows. Multiply them by the table: (ids, vocab_size) @ (vocab_size, d_model).",
    )  # fmt: skip
    check.shape(got, (4, 3), slug="shape", hint="A vector of d_model numbers for each id.")
    check.that(
        got.is_floating_point(), slug="dtype", problem=f"the values are {got.dtype}",
        hint="Turn the one-hot rows into the table's type, not the table into whole numbers.",
    )  # fmt: skip
    check.that(
        not close(got, table[ids + 1], 1e-5), slug="off-by-one", problem="each vector is that of the next id",
        hint="Ids count from 0: the 1 stands at index `id`.",
    )  # fmt: skip
    check.close(got, table[ids], slug="rows", hint="Each result must be the table's row of that id.")
    check.close(
        answer(torch.tensor([[0, 1, 2], [6, 5, 6]]), table), table[torch.tensor([[0, 1, 2], [6, 5, 6]])], slug="batch",
        hint="(batch, time) ids give (batch, time, d_model). `@` works on the last two dimensions by itself.",
    )  # fmt: skip
    double = table.double()
    got = answer(ids, double)
    check.that(
        got.dtype == torch.float64, slug="precision", problem=f"a table of float64 gave {got.dtype}",
        hint="`.to(table.dtype)` follows the table, whatever its type is.",
    )  # fmt: skip


@exercise("4.2", title="Counting parameters", minutes=6, difficulty=1)
def embedding_parameters(answer, check):
    V, C, d = 11, 5, 3
    got = answer(V, C, d, True)
    for wrong, slug, hint in (
        (V * d, "positions", "The positions have a table too: context_length rows."),
        (2 * V * d + C * d, "tied", "Tied, the output matrix is the token table: the same numbers, counted once."),
        (V * d + C * d + V, "bias", "The output matrix has no bias."),
        (V * d + C, "position-width", "A position is a vector of d_model numbers, as a token is."),
        (V * C * d, "product", "The tables stand side by side: add their sizes, do not multiply them."),
    ):
        check.that(got != wrong, slug=slug, problem=f"got {got}", hint=hint)
    check.equal(got, V * d + C * d, slug="tied-count", hint="Token table plus position table.")
    got = answer(V, C, d, False)
    check.that(
        got != V * d + C * d, slug="untied", problem="tied or not gave the same number",
        hint="Not tied, the output matrix has vocab_size * d_model numbers of its own.",
    )  # fmt: skip
    check.equal(got, 2 * V * d + C * d, slug="untied-count", hint="Two matrices of the vocabulary, one of positions.")
    check.equal(answer(50257, 1024, 768, True), 39_383_808, slug="gpt2", hint="Try GPT-2's numbers by hand.")


@exercise("4.3", title="Nearest neighbours", minutes=10, difficulty=2)
def nearest(answer, check):
    #                   0           1            2            3             4            5
    rows = [[1.0, 0.0], [0.9, 0.1], [10.0, 10.0], [-3.0, 0.0], [0.5, 0.2], [0.0, -0.1]]
    table = torch.tensor(rows)
    got = answer(table, 0, 2)
    check.that(not (len(got) and got[0] == 0), slug="itself", problem=f"got {got}",
               hint="A row is always nearest to itself: leave i out.")  # fmt: skip
    check.that(list(got) != [2, 1], slug="dot-product", problem="[2, 1] are the largest dot products",
               hint="Row 2 is long, not near in direction. Divide every row by its length.")  # fmt: skip
    check.that(list(got) not in ([3, 5], [3, 2]), slug="farthest", problem=f"{list(got)} point the other way",
               hint="A large cosine is near: sort from the largest down.")  # fmt: skip
    check.that(list(got) != [4, 1], slug="order", problem="the right two, the farther first",
               hint="The closest comes first.")  # fmt: skip
    check.that(
        list(got) != [3, 1], slug="sign", problem="row 3 points the opposite way",
        hint="A cosine of -1 is as far as can be: do not take abs().",
    )  # fmt: skip
    check.equal(got, [1, 4], slug="two", hint="The rows that point most nearly along (1, 0) are 1 and 4.")
    check.equal(answer(table, 3, 1), [5], slug="sign", hint="A cosine of -1 is as far as can be: do not take abs().")
    for _ in range(10):
        table = _numbers(check, 9, 4) * _numbers(check, 9, 1).exp()
        i = check.random.randrange(9)
        cosines = [F.cosine_similarity(table[i], row, dim=0).item() for row in table]
        expected = sorted((j for j in range(9) if j != i), key=lambda j: -cosines[j])
        check.equal(answer(table, i, 4), expected[:4], slug="random",
                    hint="Cosine: dot product divided by both lengths; the k largest but i.")  # fmt: skip


def _analogy(table, a, b, c, centre="rows", sign=1, unit=True, leave=True, unit_first=False) -> int:
    """Every way to do it, right and wrong, one row at a time."""
    centred = table - {"rows": table.mean(dim=0), "one number": table.mean(), "no": 0.0}[centre]
    if unit_first:
        centred = centred / centred.norm(dim=1, keepdim=True)
    wanted = sign * (centred[b] - centred[a]) + centred[c]
    best, at = -math.inf, -1
    for j, row in enumerate(centred):
        value = (row @ wanted / (row.norm() if unit else 1)).item()
        if value > best and not (leave and j in (a, b, c)):
            best, at = value, j
    return at


@exercise("4.4", title="Analogies", minutes=10, difficulty=2)
def analogy(answer, check):
    ways = {
        "excluded": (dict(leave=False), "The three given words are no answers: leave them out before argmax."),
        "centre": (dict(centre="no"), "Subtract the mean of all rows first."),
        "centre-number": (
            dict(centre="one number"),
            "The mean of all rows is a vector, (d_model,): take it over dim=0, not over all values at once.",
        ),
        "unit-first": (
            dict(unit_first=True),
            "Make the sum from the centred rows as they are, with their lengths, and normalise only then.",
        ),
        "sign": (dict(sign=-1), "From a to b, and that step from c: b - a + c, not a - b + c."),
        "cosine": (dict(unit=False), "By cosine: a long row must not win for its length."),
    }
    cases = []
    while len(cases) < 30:
        table = _numbers(check, 12, 3) * _numbers(check, 12, 1).exp() + torch.tensor([2.0, -1.0, 1.0])
        a, b, c = check.random.sample(range(12), 3)
        cases.append((table, a, b, c))
    got = [answer(*case) for case in cases]
    expected = [_analogy(*case) for case in cases]
    for slug, (options, hint) in ways.items():
        check.that(
            got != [_analogy(*case, **options) for case in cases], slug=slug, problem="that is not the right word",
            hint=hint,
        )  # fmt: skip
    check.that(
        not any(word in case[1:] for word, case in zip(got, cases, strict=True)), slug="excluded",
        problem="one of the three given words was the answer", hint=ways["excluded"][1],
    )  # fmt: skip
    check.equal(got, expected, slug="random", hint="Centre all rows, b - a + c, the largest cosine among the others.")


@exercise("4.5", title="Add positions", minutes=8, difficulty=1)
def add_positions(answer, check):
    tokens, table = _numbers(check, 2, 3, 4), _numbers(check, 6, 4)
    got = answer(tokens, table)
    check.shape(got, (2, 3, 4), slug="shape", hint="The sum has the shape of `tokens`.")
    for wrong, slug, hint in (
        (tokens, "none", "The positions were not added."),
        (tokens + 2 * table[:3], "twice", "The positions were added twice. Once is enough."),
        (tokens + table[1:4], "off-by-one", "The first token stands at position 0."),
        (tokens + table[-3:], "last-rows", "Take the first rows of the table, not the last."),
        (
            tokens + table[:2, None],
            "batch-for-time",
            "The position is the index in time, dimension 1, not in the batch.",
        ),
        (tokens + table[0], "one-row", "Each token gets the row of its own position, not all the first."),
        (tokens * table[:3], "product", "Positions are added, not multiplied."),
    ):
        check.that(not close(got, wrong, 1e-5), slug=slug, problem="the sum is off", hint=hint)
    check.close(got, tokens + table[torch.arange(3)].expand(2, 3, 4), slug="sum", hint="tokens + table[:time].")
    square = _numbers(check, 3, 3, 4)
    check.close(
        answer(square, table), torch.stack([row + table[:3] for row in square]), slug="broadcast",
        hint="With as many rows in the batch as in time, a wrong dimension does not show in the shapes.",
    )  # fmt: skip
    check.close(
        answer(_numbers(check, 1, 6, 4) * 0, table), table[None], slug="full", hint="A full context is allowed."
    )
    check.raises(
        ValueError, lambda: answer(_numbers(check, 1, 7, 4), table), slug="too-long",
        hint="Seven tokens, six positions: say so with a ValueError.",
    )  # fmt: skip


@exercise("4.6", title="The table of sinusoids", minutes=12, difficulty=2)
def sinusoid_table(answer, check):
    length, d = 9, 6
    got = answer(length, d)
    check.shape(got, (length, d), slug="shape", hint="A row for each position, a column for each of d_model.")

    def made(first: int = 0, base: float = 10000.0, exponent=lambda i: 2 * i / d, swap=False, halves=False):
        rows = []
        for t in range(first, first + length):
            angles = [t / base ** exponent(i) for i in range(d // 2)]
            pairs = [(math.cos(w), math.sin(w)) if swap else (math.sin(w), math.cos(w)) for w in angles]
            rows.append([p[0] for p in pairs] + [p[1] for p in pairs] if halves else [v for p in pairs for v in p])
        return torch.tensor(rows)

    for wrong, slug, hint in (
        (made(swap=True), "swapped", "Sines stand in even columns, cosines in odd ones: row 0 is 0, 1, 0, 1, ..."),
        (made(halves=True), "halves", "Sines and cosines alternate, column by column; yours stand in two halves."),
        (made(first=1), "off-by-one", "The first position is 0."),
        (
            made(exponent=lambda i: i / d),
            "exponent",
            "The exponent is 2i / d_model, where 2i is the even column's number.",
        ),
        (made(exponent=lambda i: 4 * i / d), "twice-two", "2i is the column's number already: do not double it again."),
        (
            made(exponent=lambda i: -2 * i / d),
            "inverse",
            "Divide by the power, so that waves become slower to the right.",
        ),
        (made(base=1000.0), "base", "The base is 10000."),
    ):
        check.that(not close(got, wrong, 5e-3), slug=slug, problem="the waves are off", hint=hint)
    odd = made()
    odd[:, 1::2] = torch.tensor(
        [[math.cos(t / 10000 ** ((2 * i + 1) / d)) for i in range(d // 2)] for t in range(length)]
    )
    check.that(not close(got, odd, 1e-4), slug="pairs", problem="a cosine has another angle than its sine",
               hint="A sine and its cosine share one angle: that of the even column.")  # fmt: skip
    check.close(got, made(), slug="waves", tolerance=1e-4, hint="Compute row 1 by hand for d_model = 2: sin 1, cos 1.")
    check.that(got.dtype == torch.float32, slug="dtype", problem=f"the values are {got.dtype}",
               hint="The table is float32.")  # fmt: skip
    check.that((answer(200, 16).norm(dim=1) - math.sqrt(8)).abs().max() < 1e-3, slug="long",
               problem="rows of a longer table are not all of the same length",
               hint="In every pair, the squares of sine and cosine sum to 1.")  # fmt: skip
