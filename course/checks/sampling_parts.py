"""Exercises of notebook 09 on the next token: temperature, top-k, top-p, sampling."""

import math

import torch

from course.checks.compare import as_number, shown
from course.checks.exercise import exercise
from helpers.errors import CourseError


def near(got, expected, tolerance: float = 1e-4) -> bool:
    """Whether two numbers, or two tensors of one shape, agree; False for anything else."""
    if isinstance(expected, torch.Tensor):
        alike = isinstance(got, torch.Tensor) and got.shape == expected.shape
        return alike and torch.allclose(got.double(), expected.double(), rtol=tolerance, atol=tolerance)
    number = as_number(got)
    return number is not None and math.isclose(number, expected, rel_tol=tolerance)


def _row(values: torch.Tensor) -> list[float]:
    return [round(value, 3) for value in values.reshape(-1, values.shape[-1])[0].tolist()]


@exercise("9.4", title="Temperature", minutes=8, difficulty=1, of_the_model=True)
def apply_temperature(answer, check):
    p = torch.tensor([[0.8, 0.2]])
    logits = p.log() + 3.0  # an offset of all logits is nothing to a softmax
    got = answer(logits, 0.5)
    check.shape(got, (1, 2), slug="shape", hint="As many logits as came in.")
    check.that(
        not bool(((got >= 0) & (got <= 1)).all() and torch.isclose(got.sum(), torch.tensor(1.0))),
        slug="probabilities", problem=f"{_row(got)}: these are probabilities",
        hint="Return logits. The softmax comes later, after top-k and the others.",
    )  # fmt: skip
    after = got.double().softmax(-1)[0]
    wrong = {
        "unchanged": (
            [0.8, 0.2], "a softmax of the result still gives .8 and .2",
            "What is added to all logits, or taken from all, changes nothing. Something else must be done to each.",
        ),
        "multiplied": (
            [2 / 3, 1 / 3], "at temperature 0.5 .8 has become smaller",
            "Below 1 the likely token must become likelier: .8 squared is to .2 squared as 16 to 1. In logits?",
        ),
        "of-probabilities": (
            torch.tensor([1.6, 0.4]).softmax(-1).tolist(), "the *probabilities* were divided",
            "A softmax of probabilities is nearly flat (see the case above). Change the logits.",
        ),
        "squared": (
            [256 / 257, 1 / 257], "that is what temperature 0.25 gives", "The temperature acts once.",
        ),
    }  # fmt: skip
    for slug, (value, problem, hint) in wrong.items():
        check.that(not near(after, torch.tensor(value).double(), 1e-3), slug=slug, problem=problem, hint=hint)
    said = "a softmax of {}"
    check.close(
        after, [16 / 17, 1 / 17], slug="value", tolerance=1e-4, when=said.format("apply_temperature(logits, 0.5)"),
        hint="From .8 and .2 come .64 and .04, over their sum. What does a square do to a logarithm?",
    )  # fmt: skip
    many = torch.randn(2, 3, 7) * 3
    for temperature in (1, 2, 0.7, 1.9):
        power = many.double().softmax(-1) ** (1 / temperature)
        got = answer(many, temperature)
        check.shape(got, (2, 3, 7), slug="shape", hint="As many logits as came in, whatever their axes.")
        check.close(
            got.double().softmax(-1), power / power.sum(-1, keepdim=True), slug="rows", tolerance=1e-4,
            when=said.format(f"apply_temperature(logits of shape (2, 3, 7), {temperature})"),
            hint="Every row is a distribution of its own, and its vocabulary is the last axis.",
        )  # fmt: skip
    exact = many.double()
    power = exact.softmax(-1) ** (1 / 1.3)
    check.close(
        answer(exact, 1.3).softmax(-1), power / power.sum(-1, keepdim=True), slug="precision", tolerance=1e-11,
        when="a softmax of apply_temperature(float64 logits, 1.3)", hint="Logits in double precision must stay so.",
    )  # fmt: skip
    cut = torch.tensor([[1.0, -math.inf, 2.0]])
    got = answer(cut, 2.0)
    check.that(
        got[0, 1] == -math.inf and near(got.softmax(-1), cut.div(2).softmax(-1)), slug="removed",
        problem="a token that was removed (a logit of minus infinity) has come back, or something is not a number",
        hint="Minus infinity must stay so, and the others must not become NaN because of it.",
    )  # fmt: skip
    cold = answer(many, 1e-4).double().softmax(-1)
    check.that(
        near(cold, torch.nn.functional.one_hot(many.argmax(-1), 7).double()), slug="greedy-limit",
        problem=f"at temperature 0.0001 the first row's probabilities are {_row(cold[0, 0])}",
        hint="Near 0 everything should go to the likeliest token. Raised to the power 10,000 a probability is rounded "
        "to 0: stay with the logits, where the same is harmless. (A power is to a logarithm ...)",
    )  # fmt: skip
    hot = answer(many, 1e4).double().softmax(-1)
    check.that(
        near(hot, torch.full_like(hot, 1 / 7), 0.01), slug="hot",
        problem=f"at temperature 10,000 the first row's probabilities are {_row(hot[0, 0])}",
        hint="The higher the temperature, the more alike all tokens become. Is there a limit built in?",
    )  # fmt: skip


@exercise("9.5", title="Top-k", minutes=10, difficulty=2, of_the_model=True)
def keep_top_k(answer, check):
    logits = torch.tensor([[1.0, -4.0, 2.0, -3.0, 0.5]])
    got = answer(logits, 2)
    check.shape(got, (1, 5), slug="shape", hint="As many logits as came in: what is dropped becomes minus infinity.")
    check.that(
        not bool((got >= 0).all() and torch.isclose(got.sum(), torch.tensor(1.0))), slug="probabilities",
        problem=f"{_row(got)}: these are probabilities", hint="Return logits: the kept ones unchanged.",
    )  # fmt: skip
    kept = torch.isfinite(got)[0]
    check.that(
        not bool(kept.all()) and bool((got[0][~kept] == -math.inf).all()), slug="infinity",
        problem=f"{_row(got)}: what is dropped must be minus infinity",
        hint="A logit of 0 is a weight of 1, and a large negative number is still a number: `-torch.inf`.",
    )  # fmt: skip
    check.that(
        kept.tolist() != [False, True, False, True, False], slug="smallest",
        problem="the two smallest logits were kept", hint="Look at which end of the sorted logits you cut.",
    )  # fmt: skip
    check.that(
        kept.tolist() != [True, True, False, False, False], slug="order",
        problem="the first two of the vocabulary were kept, and not the two largest",
        hint="Marks in sorted order belong to other tokens: bring them back, or compare each logit with a threshold.",
    )  # fmt: skip
    check.that(
        int(kept.sum()) not in (1, 3), slug="off-by-one", problem=f"k = 2, and {int(kept.sum())} were kept",
        hint="Which is the smallest that stays: the k-th largest. Does it stay itself? Does the next one go?",
    )  # fmt: skip
    check.equal(kept.tolist(), [True, False, True, False, False], slug="kept", hint="The k largest stay: 2 and 1.",
                when="which of the logits 1, -4, 2, -3, 0.5 are kept with k = 2")  # fmt: skip
    check.close(got[0][kept], logits[0][kept], slug="unchanged", hint="What is kept keeps its logit.")
    tied = torch.tensor([[2.0, 0.0, 1.0, 2.0, 2.0]])
    check.equal(
        torch.isfinite(answer(tied, 2))[0].tolist(), [True, False, False, True, True], slug="ties",
        when="which of the logits 2, 0, 1, 2, 2 are kept with k = 2",
        hint="What equals the k-th largest stays too: the place in the vocabulary must not decide between equals.",
    )  # fmt: skip
    check.close(answer(logits, 9), logits, slug="too-many", hint="With fewer than k tokens all of them stay: `min`.")
    check.equal(
        torch.isfinite(answer(logits, 1))[0].tolist(), [False, False, True, False, False], slug="one",
        when="which of the logits 1, -4, 2, -3, 0.5 are kept with k = 1", hint="With k = 1 only the best is left.",
    )  # fmt: skip
    cut = torch.tensor([[-math.inf, 1.0, -math.inf, 0.0]])
    check.equal(
        torch.isfinite(answer(cut, 3))[0].tolist(), [False, True, False, True], slug="removed-before",
        hint="What another method has removed is minus infinity already, and must stay so.",
    )  # fmt: skip
    for shape in ((40,), (5, 40), (2, 3, 40)):
        many = torch.randn(shape) - 2
        rank = (many.unsqueeze(-1) < many.unsqueeze(-2)).sum(-1)  # how many of its row are larger
        check.equal(
            torch.isfinite(answer(many, 7)), rank < 7, slug="rows", when=f"logits of shape {shape}, k = 7",
            hint="Each row has a k-th largest logit of its own; the vocabulary is the last axis, whatever stands "
            "before it.",
        )  # fmt: skip


def _kept_by_hand(logits: torch.Tensor, p: float) -> torch.Tensor:
    """Which tokens top-p keeps, one row at a time, in a loop."""
    kept = torch.zeros_like(logits, dtype=torch.bool)
    for row, mark in zip(logits.reshape(-1, logits.shape[-1]), kept.view(-1, logits.shape[-1]), strict=True):
        total = 0.0
        probability = row.double().softmax(-1)
        for token in row.argsort(descending=True).tolist():
            mark[token] = True
            total += float(probability[token])
            if total >= p - 1e-9:
                break
    return kept


@exercise("9.6", title="Top-p", minutes=15, difficulty=2, of_the_model=True)
def keep_top_p(answer, check):
    logits = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log()
    got = answer(logits, 0.6)
    check.shape(got, (1, 4), slug="shape", hint="As many logits as came in: what is dropped becomes minus infinity.")
    check.that(
        not bool(torch.isclose(got.sum(-1), torch.ones(1)).all() and (got >= 0).all()), slug="probabilities",
        problem="these are probabilities", hint="Return logits: the kept ones unchanged, the others minus infinity.",
    )  # fmt: skip
    kept = torch.isfinite(got)[0]
    check.that(
        not near(got, logits), slug="nothing-dropped",
        problem="probabilities .5, .3, .15, .05 and p = .6: all four were kept",
        hint="Added up from the likeliest on they are .5, .8, .95, 1. Are these the sums that are compared with p? "
        "They are sums of probabilities, and begin with the likeliest.",
    )  # fmt: skip
    check.that(
        not bool(kept.all()) and bool((got[0][~kept] == -math.inf).all()), slug="infinity",
        problem=f"got {[round(value, 2) for value in got[0].tolist()]}: what is dropped must be minus infinity",
        hint="A logit of 0 is a weight of 1, and a large negative number is still a number: `-torch.inf`.",
    )  # fmt: skip
    check.that(
        kept.tolist() != [False, True, False, False], slug="crossing",
        problem="probabilities .5, .3, .15, .05 and p = .6: only the .5 was kept",
        hint="The token with which the sum reaches p is kept too: .5 is not enough, .5 + .3 is. Compare what came "
        "*before* it with p.",
    )  # fmt: skip
    check.that(
        kept.tolist() != [True, True, False, False], slug="order",
        problem="the first two of the vocabulary were kept, and not the likeliest two",
        hint="The sum runs from the likeliest to the least likely. After sorting, bring the answer back to the "
        "vocabulary's order: `scatter` or `argsort` of the order.",
    )  # fmt: skip
    check.that(
        kept.tolist() != [True, False, True, False], slug="ascending",
        problem=".5 and .3 were dropped, and the two least likely tokens kept",
        hint="Either the sum starts at the wrong end (sort with `descending=True`), or the marks went back to wrong "
        "tokens: mark i of the sorted row belongs to token `order[i]`, so `scatter` them; `marks[order]` is not it.",
    )  # fmt: skip
    check.that(
        bool(kept.any()), slug="alone", problem="probabilities .5, .3, .15, .05 and p = .6: nothing is left",
        hint="p is not a bar for each token alone, it is one for the *sum* of the likeliest: here .5 + .3.",
    )  # fmt: skip
    check.equal(
        kept.tolist(), [False, True, False, True], slug="kept",
        hint="Sorted: .5, .3, .15, .05. The sums before each: 0, .5, .8, .95. Keep those whose sum before is below p.",
    )  # fmt: skip
    check.close(got[0][kept], logits[0][kept], slug="unchanged", hint="What is kept keeps its logit.")
    check.equal(
        torch.isfinite(answer(logits, 0.01))[0].tolist(), [False, True, False, False], slug="empty",
        hint="However small p is, the likeliest token stays.",
    )  # fmt: skip
    check.equal(
        torch.isfinite(answer(logits, 1.0))[0].tolist(), [True] * 4, slug="all",
        hint="p = 1 drops nothing: look at rounding in the last sum.",
    )  # fmt: skip
    many = torch.randn(5, 40) * 2
    for p in (0.3, 0.9):
        check.equal(
            torch.isfinite(answer(many, p)), _kept_by_hand(many, p), slug="rows",
            hint="Each row is a distribution of its own: sort, softmax and sum over the last axis.",
        )  # fmt: skip
    even = torch.zeros(1, 4)  # four times exactly a quarter
    count = int(torch.isfinite(answer(even, 0.5)).sum())
    check.that(
        count != 4, slug="ties", problem="four tokens of probability .25 each, p = .5: all four were kept",
        hint="Two of them reach .5. Other than in top-k, not all equals stay here: none beyond the one that reaches p.",
    )  # fmt: skip
    check.equal(
        count, 2, slug="reached", when="four tokens of probability .25 each, p = .5: how many are kept",
        hint="Two of them reach .5, and tokens are kept *until they reach* p: no third one is needed. `<` or `<=`?",
    )  # fmt: skip
    cut = torch.tensor([[-math.inf, 0.6, 0.4]])
    cut[0, 1:] = cut[0, 1:].log()
    check.equal(
        torch.isfinite(answer(cut, 0.9))[0].tolist(), [False, True, True], slug="removed-before",
        hint="What another method has removed is minus infinity already, and must stay so.",
    )  # fmt: skip
    for shape in ((40,), (2, 3, 40)):
        deep = torch.randn(shape) * 2
        check.equal(
            torch.isfinite(answer(deep, 0.7)), _kept_by_hand(deep, 0.7), slug="axes",
            when=f"logits of shape {shape}", hint="The vocabulary is the *last* axis, however many stand before it: "
            "`dim=-1`, and `[..., 0]` for the first of each row.",
        )  # fmt: skip


@exercise("9.8", title="Sampling by inversion", minutes=20, difficulty=3, of_the_model=True)
def sample_by_inversion(answer, check):
    rows = torch.tensor([[0.2, 0.5, 0.3]]).repeat(6, 1)
    uniform = torch.tensor([0.1, 0.25, 0.69, 0.71, 0.99, 0.0])
    got = answer(rows, uniform)
    check.that(
        isinstance(got, torch.Tensor) and not got.dtype.is_floating_point, slug="form",
        problem=f"got {shown(got)}", hint="A tensor of ids, which are whole numbers.",
    )  # fmt: skip
    check.shape(got, (6,), slug="shape", hint="One id for each row: an axis of length 1 can be squeezed out.")
    check.that(
        bool((got == answer(rows, uniform)).all()) and len(set(answer(rows[:1].repeat(99, 1), uniform[1].repeat(99)).
        tolist())) == 1, slug="random", when="equal rows", problem="the same numbers gave different tokens",
        hint="The number in `uniform` alone decides: no other random number may be asked for.",
    )  # fmt: skip
    ids, when = got.tolist(), "probabilities .2, .5, .3; numbers .1, .25, .69, .71, .99, 0"
    wrong = {
        "likeliest": ([1] * 6, "every number gave token 1", "The number in `uniform` decides, not the largest entry."),
        "one-for-all": ([0] * 6, "all rows got the first row's token", "Row i has a number of its own, `uniform[i]`."),
        "sorted": (
            [1, 1, 2, 2, 0, 1], "the ladder was built from the likeliest token down",
            "Add up the probabilities in the order of the vocabulary; nothing is sorted.",
        ),
        "off-by-one": ([1, 2, 2, 3, 3, 1], "each id is one too high", "How many sums are *not* above the number?"),
        "backwards": (
            [2, 2, 1, 1, 0, 2], "the ladder was climbed from its other end",
            "0 belongs to the first token: the first whose sum *exceeds* the number.",
        ),
    }  # fmt: skip
    for slug, (value, problem, hint) in wrong.items():
        check.that(ids != value, slug=slug, when=when, problem=problem, hint=hint)
    check.equal(
        ids, [0, 1, 1, 2, 2, 0], slug="value", when=when,
        hint="The sums are .2, .7, 1. Which is the first that is more than the number?",
    )  # fmt: skip
    mixed = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
    check.equal(answer(mixed, torch.tensor([0.5, 0.5])), [0, 2], slug="other-row",
                hint="Each row is a distribution of its own.")  # fmt: skip
    quarter = torch.tensor([[0.25, 0.25, 0.0, 0.5]]).repeat(3, 1)
    check.equal(
        answer(quarter, torch.tensor([0.25, 0.5, 0.75])), [1, 3, 3], slug="border",
        hint="A sum that *equals* the number does not exceed it. `searchsorted` has an argument for that, `right`.",
    )  # fmt: skip
    first = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    check.equal(
        answer(first, torch.tensor([0.0])), [2], slug="zero",
        hint="Tokens 0 and 1 have probability 0 and must never be taken, not even by the number 0.",
    )  # fmt: skip
    check.equal(
        answer(torch.tensor([[1.0, 2.0, 1.0], [0.1, 0.2, 0.1]]), torch.tensor([0.9, 0.2])), [2, 0], slug="sum",
        hint="The sums of a row need not end at 1 (rounding, or what was cut): the number is a fraction of the total.",
    )  # fmt: skip
    last = 1 - 2**-53  # the largest float64 below 1: in float32 it is rounded to 1
    for dtype in (torch.float32, torch.float64):
        end = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.3, 0.3, 0.3, 0.0]], dtype=dtype)
        check.equal(
            answer(end, torch.tensor([last, last], dtype=torch.float64)), [1, 2], slug="end",
            hint="The number is nearly 1, and rounding may make it 1: then no sum exceeds it, and what comes out is "
            "beyond the vocabulary or has probability 0. Keep the number below the total (`torch.nextafter`), in "
            "the probabilities' own type.",
        )  # fmt: skip
    p = (2 * torch.randn(30)).softmax(-1)
    p[torch.randperm(30)[:9]] = 0
    count = 6000
    many = answer(p.expand(count, -1), (torch.arange(count) + 0.5) / count)  # every quantile once
    seen = many.bincount(minlength=30)[:30] / count
    check.that(
        bool((seen[p == 0] == 0).all()), slug="zero", problem="a token of probability 0 was sampled",
        hint="Its step on the ladder has no height: no number may land there.",
    )  # fmt: skip
    apart = float((seen - p / p.sum()).abs().sum() / 2)  # the total variation distance
    check.that(
        apart < 0.005, slug="frequencies", when=f"{count:,} numbers, evenly from 0 to 1, over 30 tokens",
        problem=f"frequencies and probabilities are {apart:.3f} apart (total variation distance)",
        hint="Over many numbers every token must come as often as its probability says. Is anything rounded, or is "
        "a part of the probability never reached?",
    )  # fmt: skip
    wide = torch.rand(40, 5000) + 0.5
    wide[:, 4000:] = 0
    wide /= wide.sum(-1, keepdim=True)
    got = answer(wide, torch.full((40,), last, dtype=torch.float64))
    odd = next((token for token in got.tolist() if token != 3999), None)
    check.that(
        odd is None, slug="end", when="4,000 likely tokens, 1,000 of probability 0, and the largest number below 1",
        problem=f"token 3,999 has the last step of the ladder, and token {odd} was taken",
        hint="The sum that you compare with must be the ladder's own last one: summed in another order the total is "
        "another. And every number below 1 must be possible.",
    )  # fmt: skip
    for odd in (math.nan, math.inf):
        broken = torch.tensor([[0.5, 0.2, 0.3], [0.5, odd, 0.5]])
        slug = "nan" if math.isnan(odd) else "infinity"
        check.raises(
            CourseError, lambda broken=broken: answer(broken, torch.tensor([0.7, 0.7])), slug=slug,
            hint=f"One probability of the second row is {odd}: there is nothing to sample. Say so, with a CourseError, "
            "if any row's total is not finite.",
        )  # fmt: skip
