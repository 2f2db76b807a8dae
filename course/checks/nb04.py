"""The exercises of notebook 04: lookup, parameters, CBOW, neighbors, analogies; those on positions are imported."""

import math

import torch
from torch.nn import functional as F

from course.checks.compare import close, same, shown
from course.checks.exercise import exercise
from course.checks.positions import add_positions, numbers, shift_matrix, sinusoids  # noqa: F401


@exercise("4.1", title="Lookup by one-hot", minutes=6, difficulty=1)
def lookup_by_one_hot(answer, check):
    table = numbers(check, 7, 3)
    ids = torch.tensor([2, 0, 2, 5])

    def asked(of):
        try:
            return answer(ids, of)
        except RuntimeError as error:
            text = str(error)
            slug, hint = (
                "num-classes",
                "Each one-hot row needs as many places as the table has rows: num_classes says so.",
            )
            if "dtype" in text or "scalar type" in text:
                slug, hint = (
                    "dtype",
                    "One-hot rows are whole numbers, and the table is not: `.to(table.dtype)` turns them.",
                )
            elif "shapes" not in text and "num_classes" not in text:
                raise
            if of.dtype == torch.float64:
                slug, hint = "precision", "`.to(table.dtype)` follows the table, whatever its type is."
            check.fail(f"4 ids, the largest 5, and a table (7, 3) of {of.dtype}: {text}", slug=slug, hint=hint)

    got = asked(table)
    check.that(
        not isinstance(got, torch.Tensor) or got.shape != (4, 7), slug="one-hot-only",
        problem="a result of shape (4, 7), with a column for each token and not for each of d_model",
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
    endless = table.clone()
    endless[6] = math.inf  # 0 times infinity is no number, so a product shows that it met this row
    check.that(
        answer(ids, endless).isnan().all(), slug="lookup", problem="the rows were fetched, without a multiplication",
        hint="That is the short way, with which the next cell compares yours: multiply one-hot rows by the table.",
    )  # fmt: skip
    slope = table.clone().requires_grad_()
    result = answer(ids, slope)
    check.that(result.requires_grad, slug="gradient", problem="no gradient flows from the result to the table",
               hint="The table is learned: no detach, no .data, no new tensor of its numbers.")  # fmt: skip
    result.sum().backward()
    check.close(
        slope.grad[:, 0],
        [1.0, 0, 2, 0, 0, 1, 0],
        slug="gradient",
        when="the gradient of each row of the table",
        hint="A row that was used twice collects two gradients.",
    )
    check.close(
        answer(torch.tensor([[0, 1, 2], [6, 5, 6]]), table), table[torch.tensor([[0, 1, 2], [6, 5, 6]])], slug="batch",
        hint="(batch, time) ids give (batch, time, d_model). `@` works on the last two dimensions by itself.",
    )  # fmt: skip
    got = asked(table.double())
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
        check.that(got != wrong, slug=slug, problem=f"expected {V * d + C * d}, got {shown(got)}", hint=hint)
    check.equal(got, V * d + C * d, slug="tied-count", hint="Token table plus position table.")
    got = answer(V, C, d, False)
    check.that(
        got != V * d + C * d, slug="untied", problem="tied or not gave the same number",
        hint="Not tied, the output matrix has vocab_size * d_model numbers of its own.",
    )  # fmt: skip
    check.equal(got, 2 * V * d + C * d, slug="untied-count", hint="Two matrices of the vocabulary, one of positions.")
    check.equal(answer(50257, 1024, 768, True), 39_383_808, slug="gpt2", hint="Try GPT-2's numbers by hand.")
    check.equal(answer(7, 9, 2, False), 46, slug="long-context", hint="A context may be longer than the vocabulary.")


@exercise("4.3", title="CBOW", minutes=12, difficulty=2)
def CBOW(answer, check):
    V, d = 11, 4
    model = answer(V, d)
    names = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    check.that(
        names == {"wte.weight": (V, d), "head.weight": (V, d)}, slug="names", problem=f"its parameters are {names}",
        hint="Leave `__init__` as it was: a table `wte` and a matrix `head`, without biases.",
    )  # fmt: skip
    around = torch.tensor([[check.random.randrange(V) for _ in range(8)] for _ in range(5)])
    hidden = torch.tensor([check.random.randrange(V) for _ in range(5)])
    with torch.no_grad():
        model.wte.weight.copy_(numbers(check, V, d))
        model.head.weight.copy_(numbers(check, V, d))
    wte, head = model.wte.weight.detach().clone(), model.head.weight.detach().clone()
    got = model(around)
    when = "CBOW(11, 4) on 5 gaps with 8 neighbors each"
    check.that(isinstance(got, torch.Tensor), slug="tensor", problem=f"forward returned a {type(got).__name__}",
               when=when, hint="`forward` returns the logits, and nothing else.")  # fmt: skip
    for shape, slug, hint in (
        ((5, 8, V), "no-mean", "There are logits for each neighbor: take the mean of their vectors first."),
        (
            (5, d),
            "no-head",
            "Those are the mean vectors. `head` makes a score for each token of the vocabulary of them.",
        ),
        (
            (8, V),
            "mean-of-batch",
            "The mean was taken over the gaps. Dimension 0 is the batch, 1 the neighbors, 2 d_model.",
        ),
    ):
        check.that(
            tuple(got.shape) != shape, slug=slug, problem=f"expected shape (5, {V}), got {shape}", when=when, hint=hint
        )
    check.shape(got, (5, V), slug="shape", when=when, hint="A row for each gap, a column for each token.")

    def logits_of(rows):
        means = [[sum(wte[i, c].item() for i in row) / len(row) for c in range(d)] for row in rows.tolist()]
        return torch.tensor(
            [[sum(m * w for m, w in zip(mean, row, strict=True)) for row in head.tolist()] for mean in means]
        )

    expected = logits_of(around)
    for wrong, slug, problem, hint in (
        (8 * expected, "sum", "the vectors were added up", "The mean of the vectors, not their sum."),
        (expected.softmax(1), "probabilities", "the rows are probabilities", "Logits are the scores before softmax."),
        (
            expected.log_softmax(1),
            "probabilities",
            "the rows are log-probabilities",
            "Logits are the scores as they are.",
        ),
        (
            wte[around].amax(1) @ head.T,
            "largest",
            "the largest of each column was taken",
            "The mean over the neighbors.",
        ),
        (wte[around[:, 0]] @ head.T, "first", "only the first neighbor was read", "All neighbors count alike."),
    ):
        check.that(not close(got, wrong, 1e-4), slug=slug, problem=problem, when=when, hint=hint)
    check.close(
        got, expected, slug="logits", tolerance=1e-4, when=when, hint="The mean vector of each gap, through head."
    )
    few = around[:3, :5]
    check.close(
        model(few),
        logits_of(few),
        slug="any-number",
        tolerance=1e-4,
        when="CBOW(11, 4) on gaps with 5 neighbors",
        hint="The number of neighbors is not always eight: let `mean` count them.",
    )
    one = model(around[:1])
    check.shape(
        one,
        (1, V),
        slug="one-gap",
        when="CBOW(11, 4) on a single gap",
        hint="A batch of one is still a batch: no squeeze().",
    )
    when = "the loss of these 5 gaps"
    try:
        got = model.loss(around, hidden)
    except (NotImplementedError, RuntimeError) as error:
        if "not implemented for" not in str(error):
            raise
        check.fail(
            f"{when}: {type(error).__name__}: {error}", slug="swapped",
            hint="What comes first in F.cross_entropy, the logits or the ids? Ids are whole numbers, 'Long'.",
        )  # fmt: skip
    check.that(
        isinstance(got, torch.Tensor),
        slug="loss-tensor",
        problem=f"expected a tensor, got a {type(got).__name__}",
        when=when,
        hint="The loss must stay a tensor, or no gradient can be found.",
    )
    check.that(
        got.ndim == 0,
        slug="per-gap",
        problem=f"expected one number, got a tensor of shape {tuple(got.shape)}",
        when=when,
        hint="The mean of the losses of all gaps: `F.cross_entropy` takes it, unless it is told not to.",
    )
    own = [
        math.log(sum(math.exp(v) for v in row)) - row[h]
        for row, h in zip(expected.tolist(), hidden.tolist(), strict=True)
    ]
    mean = sum(own) / 5
    soft = F.cross_entropy(expected.softmax(1), hidden).item()
    for wrong, slug, hint in (
        (5 * mean, "total", "The mean over the gaps, not the sum."),
        (-mean, "sign", "A loss is never below zero."),
        (mean / math.log(2), "bits", "In nats, as ever: F.cross_entropy gives them."),
        (soft, "softmax-twice", "F.cross_entropy does the softmax itself: give it logits, not probabilities."),
        (-expected[range(5), hidden].mean().item(), "no-softmax", "Those are minus the scores. Softmax comes first."),
    ):
        check.that(
            not close(got.item(), wrong, 1e-4),
            slug=slug,
            problem=f"expected about {mean:.6f}, got {got.item():.6f}",
            when=when,
            hint=hint,
        )
    check.close(
        got, mean, slug="loss", tolerance=1e-4, when=when, hint="F.cross_entropy of the logits and the hidden ids."
    )
    model.zero_grad()
    model.loss(around, hidden).backward()
    tables = [wte.clone().requires_grad_(), head.clone().requires_grad_()]
    F.cross_entropy(F.embedding_bag(around, tables[0], mode="mean") @ tables[1].T, hidden).backward()
    for name, table in zip(("wte", "head"), tables, strict=True):
        grad = getattr(model, name).weight.grad
        check.that(grad is not None and close(grad, table.grad, 1e-4), slug="gradient",
                   problem=f"the gradient of {name} is " + ("missing" if grad is None else "not that of the loss"),
                   hint="Both tables learn: no detach, no .data, no torch.no_grad on the way to the loss.")  # fmt: skip
    some, what = around[:2, :3], hidden[:2]
    check.close(
        model.loss(some, what),
        F.cross_entropy(logits_of(some), what).item(),
        slug="random",
        tolerance=1e-4,
        when="the loss of 2 gaps with 3 neighbors",
        hint="Use `forward` for the logits, whatever comes.",
    )
    fresh = answer(V, d)
    check.close(
        fresh.loss(around, hidden),
        math.log(V),
        slug="first-loss",
        tolerance=1e-4,
        when="the loss of a new CBOW(11, 4)",
        hint="`head` starts as zeros, so every token is equally likely: leave `__init__` as it was.",
    )


@exercise("4.4", title="Nearest neighbors", minutes=10, difficulty=2)
def nearest(answer, check):
    #                   0           1            2            3             4            5
    rows = [[1.0, 0.0], [0.9, 0.1], [10.0, 10.0], [-3.0, 0.0], [0.5, 0.2], [0.0, -0.1]]
    table = torch.tensor(rows)
    got = answer(table, 0, 2)
    check.that(
        list(got) != [0, 3], slug="shifted-ids", problem="got [0, 3] for the rows 1 and 4",
        hint="When row i is taken out, the rows behind it move up. An id is the place in the whole table.",
    )  # fmt: skip
    check.that(not (len(got) and got[0] == 0), slug="itself", problem=f"got {shown(got)}",
               hint="A row is always nearest to itself: leave i out.")  # fmt: skip
    check.that(list(got) != [2, 1], slug="dot-product", problem="got [2, 1]: they have the largest dot products",
               hint="Row 2 is long, not near in direction. Divide every row by its length.")  # fmt: skip
    check.that(list(got) not in ([3, 5], [3, 2]), slug="farthest",
               problem=f"got {shown(got)}: they point the other way",
               hint="A large cosine is near: sort from the largest down.")  # fmt: skip
    check.that(list(got) != [4, 1], slug="order", problem="got [4, 1]: the right two, the farther first",
               hint="The closest comes first.")  # fmt: skip
    check.that(
        list(got) != [3, 1], slug="sign", problem="got [3, 1]: row 3 points the opposite way",
        hint="A cosine of -1 is as far as can be: do not take abs().",
    )  # fmt: skip
    check.equal(got, [1, 4], slug="two", hint="The rows that point most nearly along (1, 0) are 1 and 4.")
    cases = [(numbers(check, 9, 4) * numbers(check, 9, 1).exp() + 1, check.random.randrange(9)) for _ in range(6)]
    given = [answer(each, i, 8) for each, i in cases]
    for slug, least_first, hint in (
        ("distance", lambda table, i: (table - table[i]).norm(dim=1),
         "Those are at the smallest distance. Wanted is the direction: a long row may be far and point alike."),
        ("centered", lambda table, i: -F.cosine_similarity(table - table.mean(0), (table - table.mean(0))[i][None]),
         "Compare the rows as they are: subtracting their mean is the caller's work, if wanted."),
    ):  # fmt: skip
        wrong = [[j for j in least_first(each, i).argsort().tolist() if j != i] for each, i in cases]
        check.that(
            not same(given, wrong), slug=slug, hint=hint, when="six tables", problem="that is another order of the rows"
        )
    away = torch.tensor([[1.0, 0.0], [-1.0, 0.1], [-1.0, 0.5]])
    check.equal(
        answer(away, 0, 2), [2, 1], slug="all-far", hint="Even if all others point away, the least far come, not i."
    )
    parallel = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    for i, expected in ((0, [1, 3]), (1, [0, 3])):
        check.equal(
            answer(parallel, i, 2), expected, slug="itself", when=f"row {i} of a table with another parallel to it",
            hint="Another row may be just as near as i itself: leave i out by its number, not by its place.",
        )  # fmt: skip
    check.equal(answer(table, 3, 1), [5], slug="sign", hint="A cosine of -1 is as far as can be: do not take abs().")
    check.that(
        all(float(j) == int(j) for j in got),
        slug="ids",
        problem=f"got {shown(got)}",
        hint="The ids of the rows, not cosines.",
    )
    for _ in range(10):
        table = numbers(check, 9, 4) * numbers(check, 9, 1).exp()
        i = check.random.randrange(9)
        cosines = [F.cosine_similarity(table[i], row, dim=0).item() for row in table]
        expected = sorted((j for j in range(9) if j != i), key=lambda j: -cosines[j])
        check.equal(answer(table, i, 4), expected[:4], slug="random",
                    hint="Cosine: dot product divided by both lengths; the k largest but i.")  # fmt: skip


def _analogy(table, a, b, c, center="rows", sign=1, unit=True, leave=True, unit_first=False, zero=False) -> int:
    """Every way to do it, right and wrong, one row at a time."""
    centered = table - {"rows": table.mean(dim=0), "one number": table.mean(), "no": 0.0}[center]
    if unit_first:
        centered = centered / centered.norm(dim=1, keepdim=True)
    wanted = sign * (centered[b] - centered[a]) + centered[c]
    best, at = -math.inf, -1
    for j, row in enumerate(centered):
        value = 0.0 if zero and j in (a, b, c) else (row @ wanted / (row.norm() if unit else 1)).item()
        if value > best and (zero or not (leave and j in (a, b, c))):
            best, at = value, j
    return at


@exercise("4.5", title="Analogies", minutes=10, difficulty=2)
def analogy(answer, check):
    ways = {
        "excluded": (dict(leave=False), "The three given words are no answers: leave them out before argmax."),
        "zero": (
            dict(zero=True),
            "0 is not the least cosine: what is left out must stand below -1, at minus infinity.",
        ),
        "center": (dict(center="no"), "Subtract the mean of all rows first."),
        "center-number": (
            dict(center="one number"),
            "The mean of all rows is a vector, (d_model,): take it over dim=0, not over all values at once.",
        ),
        "unit-first": (
            dict(unit_first=True),
            "Make the sum from the centered rows as they are, with their lengths, and normalize only then.",
        ),
        "sign": (dict(sign=-1), "From a to b, and that step from c: b - a + c, not a - b + c."),
        "cosine": (dict(unit=False), "By cosine: a long row must not win for its length."),
    }
    cases = []
    while len(cases) < 30:
        rows = 12 if len(cases) < 24 else 4  # of four, one is left, and may point away
        table = numbers(check, rows, 3) * numbers(check, rows, 1).exp() + torch.tensor([2.0, -1.0, 1.0])
        cases.append((table, *check.random.sample(range(rows), 3)))
    got = [int(answer(*case)) for case in cases]
    expected = [_analogy(*case) for case in cases]

    def first_odd(which):
        """Of the first case that `which` picks: what was asked, and the difference."""
        table, a, b, c = cases[which]
        return dict(
            when=f"in a table of {len(table)} rows with a = {a}, b = {b}, c = {c}",
            problem=f"expected row {expected[which]}, got row {shown(got[which])}",
        )

    odd = next((at for at in range(len(cases)) if got[at] != expected[at]), 0)
    for slug, (options, hint) in ways.items():
        mistaken = [_analogy(*case, **options) for case in cases]
        check.that(got != mistaken, slug=slug, hint=hint, **first_odd(odd))
    given = next((at for at, case in enumerate(cases) if got[at] in case[1:]), None)
    check.that(given is None, slug="excluded", hint=ways["excluded"][1], **first_odd(given or 0))
    check.that(got == expected, slug="random", **first_odd(odd),
               hint="Center all rows, b - a + c, the largest cosine among the others.")  # fmt: skip
