"""The exercises of notebook 05: causal averages, softmax, scaling, the causal mask, merging heads, all of attention.

Longer than other modules: a notebook has one module of checks, in which each stands by itself.
"""

import math

import torch
import torch.nn.functional as F

from course.checks.exercise import exercise


def _near(got, expected) -> bool:
    """Whether two tensors of one shape agree; False for anything else."""
    return isinstance(got, torch.Tensor) and got.shape == expected.shape and torch.allclose(got, expected, atol=1e-4)


@exercise("5.1", title="The average as a matrix", minutes=8, difficulty=1)
def averaging_matrix(answer, check):
    got = answer(3)
    check.shape(got, (3, 3), slug="shape", hint="A row for each token that takes, a column for each that gives.")
    got = got.double()
    check.that(
        not _near(got, torch.full((3, 3), 1 / 3).double()), slug="future", problem="row 0 takes from tokens 1 and 2",
        hint="Token 0 has seen nothing but itself. Columns to the right of the diagonal are the future: zeros.",
    )  # fmt: skip
    check.that(
        not _near(got, torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0, 1 / 2, 1 / 2], [0, 0, 1]]).double()),
        slug="upside-down",
        problem="row 0 takes from all, the last row from itself alone",
        hint="That is upper triangular: each token averages its future. The past lies to the left: `torch.tril`.",
    )  # fmt: skip
    columns = torch.ones(3, 3).double().tril()
    check.that(
        not _near(got, columns / columns.sum(0)), slug="columns",
        problem="each column sums to one, not each row",
        hint="A row is one token's recipe, so divide by the row's sum: sum over the last axis, and keep that axis.",
    )  # fmt: skip
    check.that(
        got[0, 0] != 0, slug="itself", problem="token 0 takes nothing from anything",
        hint="A token counts itself among what it has seen: the diagonal belongs to it.",
    )  # fmt: skip
    check.close(
        got.sum(1), [1.0, 1.0, 1.0], slug="sums-to-one",
        hint="Weights of an average sum to one: row i divides 1 among its i + 1 tokens.",
    )  # fmt: skip
    check.close(
        got, [[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]], slug="even",
        hint="A plain average: all that a token has seen weighs the same.",
    )  # fmt: skip
    x = torch.randn(6, 4)
    running = torch.stack([x[: i + 1].mean(0) for i in range(6)])
    check.close(
        answer(6).float() @ x, running, slug="average", tolerance=1e-4,
        hint="Your matrix times the vectors must be what the loop gave. Look at a size other than 3.",
    )  # fmt: skip
    check.close(answer(1), [[1.0]], slug="one", hint="A sequence of one token: it is its own average.")


@exercise("5.2", title="Softmax over the right axis", minutes=10, difficulty=2)
def softmax_rows(answer, check):
    scores = torch.tensor([[0.0, math.log(2), math.log(5)], [0.0, 0.0, math.log(2)]])
    got = answer(scores)
    check.shape(got, (2, 3), slug="shape", hint="As many weights as scores: keep the axis that you sum over as a 1.")
    check.that(
        not _near(got, scores.softmax(0)), slug="queries", problem="each column sums to one, not each row",
        hint="That is a softmax over the queries. A row belongs to one query, and its weights are "
        "divided among the keys: the last axis.",
    )  # fmt: skip
    check.that(
        not _near(got, scores.flatten().softmax(0).view(2, 3)), slug="everything",
        problem="all six weights together sum to one",
        hint="Every row is a distribution of its own: sum over the last axis only.",
    )  # fmt: skip
    check.that(
        bool((got >= 0).all()), slug="log", problem="there are weights below zero",
        hint="Weights are exp(score) divided by a sum: never below zero. A log-softmax is something else.",
    )  # fmt: skip
    check.that(
        not _near(got, scores / scores.sum(-1, keepdim=True)), slug="no-exp",
        problem="the scores were divided by their sum",
        hint="First the exponential of every score, then divide. Scores may be negative, weights may not.",
    )  # fmt: skip
    check.close(got.sum(-1), [1.0, 1.0], slug="sums-to-one", hint="Each row must sum to one.")
    check.close(
        got, [[1 / 8, 2 / 8, 5 / 8], [1 / 4, 1 / 4, 2 / 4]], slug="by-hand",
        hint="By hand: exp of the first row is 1, 2, 5, together 8.",
    )  # fmt: skip
    square = torch.tensor([[0.0, 1.0], [3.0, -2.0]])
    check.close(
        answer(square), square.softmax(-1), slug="keepdim",
        hint="With as many rows as columns, a sum without `keepdim=True` divides the wrong way and says nothing.",
    )  # fmt: skip
    got = answer(torch.tensor([[1000.0, 1000.0], [0.0, 0.0]]))
    check.that(
        bool(torch.isfinite(got[0]).all()), slug="overflow", problem=f"scores of 1000 gave {got[0].tolist()}",
        hint="exp(1000) is too large for a float. Taking the row's largest score off first changes no weight.",
    )  # fmt: skip
    check.close(
        got, [[0.5, 0.5], [0.5, 0.5]], slug="largest-of-all",
        hint="Take off the largest score of each row, not of all: a row far below would become 0 / 0.",
    )  # fmt: skip
    got = answer(torch.tensor([[2.0, -math.inf, 2.0]]))
    check.close(got, [[0.5, 0.0, 0.5]], slug="minus-infinity", hint="A score of minus infinity must get the weight 0.")
    many = torch.randn(2, 3, 4, 4)
    check.close(
        answer(many), many.softmax(-1), slug="batch",
        hint="In front there may be a batch and heads. The axis of the keys is the last: `dim=-1`, not `dim=1`.",
    )  # fmt: skip


@exercise("5.3", title="Why the root", minutes=10, difficulty=2)
def scaled_scores(answer, check):
    q, k = torch.randn(3, 5, 4), torch.randn(3, 5, 4)  # (n_head, time, d_head)
    raw = q @ k.transpose(-2, -1)
    got = answer(q, k)
    check.shape(
        got, (3, 5, 5), slug="shape",
        hint="A score for each query and each key of a head. `transpose(-2, -1)` swaps time and d_head; .T swaps "
        "all axes.",
    )  # fmt: skip
    wrong = {
        "not-scaled": (raw, "the scores were not scaled",
        "Their variance is d_head. What must you divide by to make it 1?"),
        "d-head": (
            raw / 4, "the scores were divided by d_head",
            "Dividing by c divides the variance by c squared. The variance is d_head, so divide by its root.",
        ),
        "d-model": (
            raw / math.sqrt(12), "the scores were divided by the root of d_model, 12",
            "A score is a sum over the features of one head. There are d_head of them, q.shape[-1], not d_model.",
        ),
        "time": (
            raw / math.sqrt(5), "the scores were divided by the root of the number of tokens",
            "How many terms does one score sum up? As many as a vector has features, however long the sequence.",
        ),
        "n-head": (
            raw / math.sqrt(3), "the scores were divided by the root of the number of heads",
            "A score knows one head only. It sums over its features, the last axis.",
        ),
        "multiplied": (
            raw * 2, "the scores were multiplied by the root", "Wild scores should become calm: divide.",
        ),
    }  # fmt: skip
    for slug, (values, problem, hint) in wrong.items():
        check.that(not _near(got, values), slug=slug, problem=problem, hint=hint)
    check.that(
        not _near(got, raw.transpose(-2, -1) / 2), slug="swapped", problem="row i holds the scores of key i",
        hint="Rows are queries, columns are keys: q stands on the left of the matmul.",
    )  # fmt: skip
    check.that(
        not _near(got, (raw / 2).softmax(-1)), slug="softmax", problem="these are weights already",
        hint="Only the scores are asked for: the softmax comes later.",
    )  # fmt: skip
    check.close(
        got, raw / 2, slug="value", tolerance=1e-4, hint="Query times key, summed over d_head, by the root of d_head."
    )
    q, k = torch.randn(2, 64, 256), torch.randn(2, 64, 256)
    variance = float(answer(q, k).var())
    check.that(
        0.8 < variance < 1.25, slug="variance", problem=f"with d_head 256 the variance is {variance:.3g}, not about 1",
        hint="d_head may be anything: read it from the shape of q.",
    )  # fmt: skip
    q, k = torch.randn(2, 3, 2, 9), torch.randn(2, 3, 7, 9)
    check.close(
        answer(q, k), torch.einsum("bhid,bhjd->bhij", q, k) / 3, slug="batch", tolerance=1e-4,
        hint="There may be a batch in front, and fewer queries than keys: count axes from the end, with -1 and -2.",
    )  # fmt: skip


@exercise("5.4", title="The causal mask", minutes=12, difficulty=2)
def causal_weights(answer, check):
    scores = torch.tensor([[0.5, 2.0, -1.0], [1.0, 0.0, 3.0], [0.0, 1.0, -0.5]])
    T = 3
    past = torch.ones(T, T, dtype=torch.bool).tril()
    right = scores.masked_fill(~past, -math.inf).softmax(-1)
    got = answer(scores)
    check.shape(got, (T, T), slug="shape", hint="As many weights as scores.")
    check.that(
        not bool(torch.isnan(got[-1]).all()), slug="zero-times-infinity",
        problem="even the last row, from which nothing is hidden, is not a number",
        hint="0 times infinity is not a number. Do not multiply a mask by infinity: `masked_fill` puts it in place.",
    )  # fmt: skip
    check.that(
        not bool(torch.isnan(got).any()), slug="itself", problem="a row is not a number: everything in it was hidden",
        hint="The first token must see at least itself. The future begins one right of the diagonal: `diagonal=1`.",
    )  # fmt: skip
    wrong = {
        "no-mask": (scores.softmax(-1), "nothing was hidden", "Token 0 takes from tokens 1 and 2, which come later."),
        "after-softmax": (
            scores.softmax(-1) * past, "the rows no longer sum to one",
            "That is masking after the softmax: weight went to the future and was then thrown away. Mask the scores, "
            "before the softmax.",
        ),
        "wrong-way": (
            scores.masked_fill(~past.T, -math.inf).softmax(-1), "each token sees its future, and not its past",
            "Rows are the tokens that look, columns what they look at. Hide where the column is greater than the row: "
            "above the diagonal.",
        ),
        "zero": (
            (scores * past).softmax(-1), "hidden positions still have weight",
            "A score of 0 is not a weight of 0: exp(0) is 1. What score has an exponential of 0?",
        ),
        "queries": (
            scores.masked_fill(~past, -math.inf).softmax(0), "each column sums to one, not each row",
            "The mask is right; the softmax went over the queries. It belongs over the keys, the last axis.",
        ),
        "small": (
            scores.masked_fill(~past, -1.0).softmax(-1), "hidden positions still have weight",
            "The score that hides must be minus infinity. A mild negative number is a possible score like any other.",
        ),
        "not-softmaxed": (scores.masked_fill(~past, -math.inf), "these are scores",
        "After the mask comes the softmax."),
        "zeros-hidden": (
            (scores * past).masked_fill(scores * past == 0, -math.inf).softmax(-1),
            "a score of 0 in the past was hidden",
            "A visible score can happen to be 0. Hide by position, with the mask itself, and not by value.",
        ),
    }  # fmt: skip
    for slug, (values, problem, hint) in wrong.items():
        check.that(not _near(got, values), slug=slug, problem=problem, hint=hint)
    check.that(
        float(got.triu(1).abs().max()) == 0, slug="small", problem="hidden positions still have weight",
        hint="Exactly 0 is asked for: the score that hides is minus infinity, not a negative number.",
    )  # fmt: skip
    check.close(got.sum(-1), [1.0] * T, slug="sums-to-one", hint="Each row of weights must sum to one.")
    check.close(
        got, right, slug="value", hint="Hide the future's scores, leave the others as they are, take the softmax."
    )
    large = torch.randn(4, 4) - 2e9
    check.that(
        float(answer(large).triu(1).abs().max()) == 0, slug="small",
        problem="with scores far below zero, hidden positions have weight again",
        hint="However negative a number is, a score can be lower: hide with -math.inf.",
    )  # fmt: skip
    many = torch.randn(2, 3, 6, 6)
    hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
    check.close(
        answer(many), many.masked_fill(hidden, -math.inf).softmax(-1), slug="batch",
        hint="In front there may be a batch and heads: one (time, time) mask serves all. Count axes from the end.",
    )  # fmt: skip


@exercise("5.5", title="Merge the heads", minutes=10, difficulty=2)
def merge_heads(answer, check):
    B, H, T, d = 2, 3, 4, 5
    whole = torch.arange(B * T * H * d, dtype=torch.float32).view(B, T, H * d)
    split = whole.view(B, T, H, d).transpose(1, 2)
    got = answer(split)
    check.that(
        tuple(getattr(got, "shape", ())) != (B, T, d), slug="added",
        problem=f"got shape {(B, T, d)}: the heads were added up",
        hint="The heads' results stand side by side: n_head of them, each d_head wide, make d_model.",
    )  # fmt: skip
    check.shape(got, (B, T, H * d), slug="shape", hint="One vector for each token: (batch, time, d_model).")
    check.that(
        not _near(got, split.reshape(B, T, H * d)), slug="no-transpose",
        problem="a token's vector holds features of other tokens",
        hint="The shape is right, the contents are not: reshape reads in the order of the axes, and there head "
        "stands before "
        "time. Transpose first.",
    )  # fmt: skip
    check.that(
        not _near(got, split.permute(0, 2, 3, 1).reshape(B, T, H * d)), slug="interleaved",
        problem="the heads are interleaved, feature by feature",
        hint="Head 0's features come first, all together: the order is (batch, time, n_head, d_head).",
    )  # fmt: skip
    check.that(
        not _near(got, whole.view(B, T, H, d).flip(2).reshape(B, T, H * d)), slug="order",
        problem="the last head came first", hint="Head 0 stands on the left.",
    )  # fmt: skip
    check.close(got, whole, slug="value", hint="Merging must undo splitting, feature by feature.")
    square = torch.randn(2, 4, 4, 4)
    expected = torch.cat([square[:, head] for head in range(4)], dim=-1)
    check.close(
        answer(square), expected, slug="square",
        hint="With as many heads as tokens a wrong order of axes has the right shape. Name each axis, and compare.",
    )  # fmt: skip
    check.close(
        answer(split[:1, :, :1]), whole[:1, :1], slug="single",
        hint="A batch of one and a sequence of one token must keep their axes: no `squeeze`.",
    )  # fmt: skip


@exercise("5.6", title="Masked attention from scratch", minutes=20, difficulty=3)
def masked_attention(answer, check):
    B, H, T, d = 2, 3, 5, 4
    q, k, v = (torch.randn(B, H, T, d) for _ in range(3))
    right = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    past = torch.ones(T, T, dtype=torch.bool).tril()
    raw = q @ k.transpose(-2, -1)

    def mixed(scores, mask=past, dim=-1):
        return scores.masked_fill(~mask, -math.inf).softmax(dim) @ v

    got = answer(q, k, v)
    check.shape(got, (B, H, T, d), slug="shape", hint="One mixture of values for each token of each head.")
    check.that(
        not bool(torch.isnan(got).all()), slug="zero-times-infinity", problem="not one of the results is a number",
        hint="0 times infinity is not a number. Do not multiply a mask by infinity: `masked_fill` puts it in place.",
    )  # fmt: skip
    check.that(
        not bool(torch.isnan(got).any()), slug="itself",
        problem="some results are not numbers: a token saw nothing at all",
        hint="A token sees itself. The mask begins one right of the diagonal: `triu(diagonal=1)`.",
    )  # fmt: skip
    wrong = {
        "no-mask": ((raw / 2).softmax(-1) @ v, "the future was not hidden",
        "Hide what comes later, before the softmax."),
        "after-softmax": (
            ((raw / 2).softmax(-1) * past) @ v, "the weights of a row do not sum to one",
            "The mask came after the softmax. The future took its weight first: mask the scores, with minus infinity.",
        ),
        "wrong-way": (
            mixed(raw / 2, past.T), "each token takes from its future",
            "The mask is the wrong way round: hidden is where the column (key) is greater than the row (query).",
        ),
        "queries": (
            mixed(raw / 2, dim=-2), "the weights of a column sum to one, not those of a row",
            "The softmax goes over the keys, dim=-1: each query divides one whole.",
        ),
        "not-scaled": (mixed(raw), "the scores were not scaled", "Divide the scores by the root of d_head."),
        "d-head": (mixed(raw / d), "the scores were divided by d_head",
        "By its root: the variance of a score is d_head."),
        "d-model": (
            mixed(raw / math.sqrt(H * d)), "the scores were divided by the root of d_model",
            "A head's score sums over d_head terms, q.shape[-1]: take the root of that.",
        ),
        "swapped": (
            mixed(raw.transpose(-2, -1) / 2), "the keys ask and the queries answer",
            "Rows of the scores are queries: q stands on the left, k is transposed.",
        ),
        "mixes-keys": (
            (raw / 2).masked_fill(~past, -math.inf).softmax(-1) @ k, "the keys were mixed",
            "Keys say where to look. What is taken from there are the values.",
        ),
        "scaled-late": (
            (mixed(raw)) / 2, "the result was scaled, not the scores",
            "The root belongs to the scores, before the softmax: there it keeps the weights from becoming all or "
            "nothing.",
        ),
    }  # fmt: skip
    for slug, (values, problem, hint) in wrong.items():
        check.that(not _near(got, values), slug=slug, problem=problem, hint=hint)
    check.close(
        got, right, slug="value", tolerance=1e-4,
        hint="In order: scores, divided by the root of d_head; hide the future; softmax over the keys; times the "
        "values.",
    )  # fmt: skip
    check.that(
        torch.equal(got[:, :, 0], v[:, :, 0]) or torch.allclose(got[:, :, 0], v[:, :, 0], atol=1e-6), slug="value",
        problem="the first token does not get its own value",
        hint="The first token sees itself alone: all weight on it.",
    )  # fmt: skip
    wild = 200 * q
    check.close(
        answer(wild, k, v), F.scaled_dot_product_attention(wild, k, v, is_causal=True), slug="overflow", tolerance=1e-3,
        hint="Large scores overflow exp. torch's softmax takes the row's largest off first.",
    )  # fmt: skip
    q, k, v = torch.randn(1, 2, 7, 9), torch.randn(1, 2, 7, 9), torch.randn(1, 2, 7, 9)
    check.close(
        answer(q, k, v), F.scaled_dot_product_attention(q, k, v, is_causal=True), slug="other-sizes", tolerance=1e-4,
        hint="It works for one size only. Read time and d_head from q's shape.",
    )  # fmt: skip
