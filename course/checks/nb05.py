"""The exercises of notebook 05: causal averages, softmax, scaling, the causal mask; and, brought in, the others.

Those on a single head and on heads in a loop are in `attention`; on splitting, merging and the whole layer, in
`attention_layer`.
"""

import math

import torch

from course.checks.attention import (
    Called,
    HeadsInALoop,
    SelfAttention,
    explained,
    masked_attention,
    near,
    none_of,
    rows_sum_to_one,
)  # fmt: skip
from course.checks.attention_layer import CausalSelfAttention, merge_heads, split_heads
from course.checks.exercise import exercise

__all__ = [
    "CausalSelfAttention", "HeadsInALoop", "SelfAttention", "averaging_matrix", "causal_weights", "masked_attention",
    "merge_heads", "scaled_scores", "softmax", "split_heads",
]  # fmt: skip


@exercise("5.1", title="The average as a matrix", minutes=8, difficulty=1)
def averaging_matrix(answer, check):
    got = answer(3)
    check.shape(got, (3, 3), slug="shape", hint="A row for each token that takes, a column for each that gives.")
    check.that(
        got.dtype == torch.float32, slug="type", problem=f"the matrix is {type(got).__name__} of type {got.dtype}",
        hint="It shall multiply vectors of torch.float32, torch's usual type; torch multiplies only like with like.",
    )  # fmt: skip
    got = got.double()
    check.that(
        not near(got, torch.full((3, 3), 1 / 3).double()), slug="future", problem="row 0 takes from tokens 1 and 2",
        hint="Token 0 has seen nothing but itself. Columns to the right of the diagonal are the future: zeros.",
    )  # fmt: skip
    check.that(
        not near(got, torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0, 1 / 2, 1 / 2], [0, 0, 1]]).double()),
        slug="upside-down",
        problem="row 0 takes from all, the last row from itself alone",
        hint="That is upper triangular: each token averages its future. The past lies to the left: `torch.tril`.",
    )  # fmt: skip
    columns = torch.ones(3, 3).double().tril()
    check.that(
        not near(got, columns / columns.sum(0)), slug="columns",
        problem="each column sums to one, not each row",
        hint="A row is one token's recipe, so divide by the row's sum: sum over the last axis, and keep that axis.",
    )  # fmt: skip
    check.that(
        got[0, 0] != 0, slug="itself", problem="token 0 takes nothing from anything",
        hint="A token counts itself among what it has seen: the diagonal belongs to it.",
    )  # fmt: skip
    rows_sum_to_one(got, check, "Weights of an average sum to one: row i divides 1 among its i + 1 tokens.")
    check.close(
        got, [[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]], slug="even",
        hint="A plain average: all that a token has seen weighs the same.",
    )  # fmt: skip
    x = torch.randn(6, 4)
    running = torch.stack([x[: i + 1].mean(0) for i in range(6)])
    got = answer(6)
    check.shape(got, (6, 6), slug="average", hint="T rows and T columns, whatever T is.")
    check.close(
        got @ x, running, slug="average", tolerance=1e-4, when="what my_averaging_matrix(6) makes of six vectors",
        hint="Your matrix times the vectors must be what the loop gave. Look at a size other than 3.",
    )  # fmt: skip
    check.close(answer(1), [[1.0]], slug="one", hint="A sequence of one token: it is its own average.")


@exercise("5.2", title="Softmax over the right axis", minutes=10, difficulty=2)
def softmax(answer, check):
    scores = torch.tensor([[0.0, math.log(2), math.log(5)], [0.0, 0.0, math.log(2)]])
    answer = explained(
        answer, check, "must match the size", slug="keepdim",
        hint="A row's sum or largest score must stand as a column, so that it meets its own row: `keepdim=True`.",
    )  # fmt: skip
    with Called() as called:
        got = answer(scores)
    check.shape(got, (2, 3), slug="shape", hint="As many weights as scores: keep the axis that you sum over as a 1.")
    check.that(
        not near(got, scores.softmax(0)), slug="queries", problem="each column sums to one, not each row",
        hint="That is a softmax over the queries. A row belongs to one query, and its weights are "
        "divided among the keys: the last axis.",
    )  # fmt: skip
    check.that(
        not near(got, scores.flatten().softmax(0).view(2, 3)), slug="everything",
        problem="all six weights together sum to one",
        hint="Every row is a distribution of its own: sum over the last axis only.",
    )  # fmt: skip
    check.that(
        bool((got >= 0).all()), slug="log", problem="there are weights below zero",
        hint="Weights are exp(score) divided by a sum: never below zero. A log-softmax is something else.",
    )  # fmt: skip
    check.that(
        not near(got, scores / scores.sum(-1, keepdim=True)), slug="no-exp",
        problem="the scores were divided by their sum",
        hint="First the exponential of every score, then divide. Scores may be negative, weights may not.",
    )  # fmt: skip
    rows_sum_to_one(got, check, "Divide the exponentials of a row by their sum.")
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
        got, [[0.5, 0.5], [0.5, 0.5]], slug="largest-of-all", tolerance=1e-3,
        hint="Take off the largest score of each row, not of all: a row far below would become 0 / 0.",
    )  # fmt: skip
    for scores, weights in (
        ([[1000.0, 999.0], [0.0, 1.0]], [[0.731059, 0.268941], [0.268941, 0.731059]]),
        ([[-1000.0, -1001.0], [0.0, 1.0]], [[0.731059, 0.268941], [0.268941, 0.731059]]),
    ):
        check.close(
            answer(torch.tensor(scores)), weights, slug="clamped", tolerance=1e-3,
            hint="Two scores that differ by 1 get the same weights wherever they lie: 1 and 0, or 1000 and 999. Cut "
            "nothing off, subtract.",
        )  # fmt: skip
    got = answer(torch.tensor([[0.0, 0.0, 600.0]]))
    check.close(
        got, [[0.0, 0.0, 1.0]], slug="not-the-largest",
        hint="What is taken off must be the row's largest score: after its mean is taken off, 400 are still left here.",
    )  # fmt: skip
    got = answer(torch.tensor([[2.0, -math.inf, 2.0]]))
    check.close(got, [[0.5, 0.0, 0.5]], slug="minus-infinity", hint="A score of minus infinity must get the weight 0.")
    check.that(
        float(got[0, 1]) == 0, slug="minus-infinity", problem=f"minus infinity got the weight {float(got[0, 1]):.2g}",
        hint="exp(-inf) is exactly 0. Leave the score as it is.",
    )  # fmt: skip
    many = torch.randn(2, 3, 4, 4)
    check.close(
        answer(many), many.softmax(-1), slug="batch",
        hint="In front there may be a batch and heads. The axis of the keys is the last: `dim=-1`, not `dim=1`.",
    )  # fmt: skip
    wild = 300 * many
    check.close(
        answer(wild), wild.softmax(-1), slug="largest-of-all", tolerance=1e-3,
        hint="Each row of each head takes off its own largest score: a row far below another's would become 0 / 0.",
    )  # fmt: skip
    check.that(
        not any("softmax" in name for name in called.names), slug="torchs-own", problem="torch's softmax was called",
        hint="Right, and not yours: here it is to be made of exponentials and a sum.",
    )  # fmt: skip


@exercise("5.4", title="Why the root", minutes=10, difficulty=2)
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
        "more-than-d-head": (
            raw / math.sqrt(20), "the scores were divided by the root of 20, the number of tokens times d_head",
            "d_head stands under the root alone: it is how many terms a score sums up.",
        ),
        "whole-d-model": (
            raw / 12, "the scores were divided by d_model, 12",
            "A score sums over the features of one head, d_head; and to divide by c divides the variance by c squared.",
        ),
        "n-head": (
            raw / math.sqrt(3), "the scores were divided by the root of the number of heads",
            "A score knows one head only. It sums over its features, the last axis.",
        ),
        "multiplied": (
            raw * 2, "the scores were multiplied by the root", "Wild scores should become calm: divide.",
        ),
    }  # fmt: skip
    none_of(wrong, got, check)
    check.that(
        not near(got, raw.transpose(-2, -1) / 2), slug="swapped", problem="row i holds the scores of key i",
        hint="Rows are queries, columns are keys: q stands on the left of the matmul.",
    )  # fmt: skip
    check.that(
        not near(got, (raw / 2).softmax(-1)), slug="softmax", problem="these are weights already",
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
    q, k = torch.randn(4, 12), torch.randn(6, 12)
    check.close(
        answer(q, k), torch.einsum("id,jd->ij", q, k) / 12**0.5, slug="alone", tolerance=1e-4,
        hint="There may be nothing in front, neither batch nor heads, and a root need not be a whole number.",
    )  # fmt: skip


@exercise("5.5", title="The causal mask", minutes=12, difficulty=2)
def causal_weights(answer, check):
    scores = torch.tensor([[0.5, 2.0, -1.0], [1.0, 0.0, 3.0], [0.0, 1.0, -0.5]])
    T = 3
    past = torch.ones(T, T, dtype=torch.bool).tril()
    right = scores.masked_fill(~past, -math.inf).softmax(-1)
    got = answer(scores)
    check.shape(got, (T, T), slug="shape", hint="As many weights as scores.")
    check.that(
        not bool(torch.isnan(got[-1]).all()) or bool(torch.isnan(got[0]).any()), slug="wrong-way",
        problem="everything is hidden from the last row, and row 0 sees its future",
        hint="You hid the past. Hide where the column is greater than the row: above the diagonal, `triu`, not `tril`.",
    )  # fmt: skip
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
    none_of(wrong, got, check)
    check.that(
        float(got.triu(1).abs().max()) == 0, slug="small", problem="hidden positions still have weight",
        hint="Exactly 0 is asked for: the score that hides is minus infinity, not a negative number.",
    )  # fmt: skip
    rows_sum_to_one(got, check, "Each row of weights is divided among what is not hidden.")
    check.close(
        got, right, slug="value", hint="Hide the future's scores, leave the others as they are, take the softmax."
    )
    ahead = scores.clone()
    ahead[0, 2], ahead[1, 2] = 1000.0, 60.0
    got = answer(ahead)
    check.that(
        near(got, right), slug="renormalized",
        problem="row 0 is not a number" if bool(torch.isnan(got[0]).any()) else "the weights of the past changed",
        when="with scores of 1000 and 60 in the future",
        hint="The future must have no say at all. If it takes part in the softmax and is removed afterwards, a large "
        "score there leaves the past nothing but zeros to be divided. Hide before the exponentials.",
    )  # fmt: skip
    wild = torch.tensor([[1000.0, 0.0], [1000.0, 999.0]])
    check.close(
        answer(wild), [[1.0, 0.0], [0.731059, 0.268941]], slug="overflow", tolerance=1e-3,
        hint="exp(1000) is too large for a float. A softmax takes the row's largest score off first.",
    )  # fmt: skip
    large = torch.randn(4, 4) - 2e9
    check.that(
        float(answer(large).triu(1).abs().max()) == 0, slug="small",
        problem="with scores far below zero, hidden positions have weight again",
        hint="However negative a number is, a score can be lower: hide with -math.inf.",
    )  # fmt: skip
    check.close(
        answer(torch.tensor([[3.0]])), [[1.0]], slug="one", hint="One token alone: all its weight is on itself."
    )
    many = torch.randn(2, 3, 6, 6)
    hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
    check.close(
        answer(many), many.masked_fill(hidden, -math.inf).softmax(-1), slug="batch",
        hint="In front there may be a batch and heads: one (time, time) mask serves all. Count axes from the end.",
    )  # fmt: skip
