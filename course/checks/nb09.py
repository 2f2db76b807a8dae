"""The exercises of notebook 09: perplexity, windows, a case, top-p, the penalty, a step of beam search, a cache.

Longer than other modules: a notebook has one module of checks, in which each stands by itself.
"""

import math

import torch

from course.checks.exercise import exercise


def _near(got, expected, tolerance: float = 1e-4) -> bool:
    """Whether two numbers, or two tensors of one shape, agree; False for anything else."""
    if isinstance(expected, torch.Tensor):
        alike = isinstance(got, torch.Tensor) and got.shape == expected.shape
        return alike and torch.allclose(got.double(), expected.double(), rtol=tolerance, atol=tolerance)
    return isinstance(got, int | float | torch.Tensor) and math.isclose(got, expected, rel_tol=tolerance)


@exercise("9.1", title="Perplexity over batches", minutes=8, difficulty=1)
def pooled_perplexity(answer, check):
    losses, tokens = [math.log(2), math.log(32)], [3, 1]  # by hand: 8 halvings over 4 tokens, so 2 each: 4
    got = answer(losses, tokens)
    wrong = {
        "mean-of-perplexities": (
            (2 + 32) / 2, "that is the mean of the two batches' perplexities",
            "A mean of exponentials is more than the exponential of the mean. Average in nats, then exponentiate once.",
        ),
        "weighted-perplexities": (
            (3 * 2 + 32) / 4, "that is a weighted mean of perplexities",
            "The weights are right, the order is not: average the losses first, exponentiate the result.",
        ),
        "batches-alike": (
            8.0, "both batches count the same, though one has three tokens and the other a single one",
            "Every token should weigh the same. How many nats does each batch have in all?",
        ),
        "not-divided": (2**8, "that is the exponential of all nats together", "Divide the nats by the tokens."),
        "summed-means": (
            math.exp(6 * math.log(2)), "that is the exponential of the sum of two means",
            "A loss is a mean over its batch: times its number of tokens it is a sum, and sums may be added.",
        ),
        "per-batch": (2**4, "the nats were divided by the number of batches", "Divide by the number of tokens, four."),
        "still-a-loss": (2 * math.log(2), "that is the loss", "Perplexity is its exponential."),
        "base-two": (2 ** (2 * math.log(2)), "the loss is in nats, and 2 was raised to it", "Nats belong to e."),
    }  # fmt: skip
    for slug, (value, problem, hint) in wrong.items():
        check.that(not _near(got, value), slug=slug, problem=problem, hint=hint)
    check.close(got, 4.0, slug="value", hint="Nats of all batches, over tokens of all batches, then the exponential.")
    got = answer([1.0, 5.0], [10, 0])
    check.close(got, math.e, slug="empty", hint="A batch without tokens has nothing to say: its weight is 0.")
    pieces = [[check.random.uniform(0, 6) for _ in range(check.random.randrange(1, 9))] for _ in range(7)]
    every = [value for piece in pieces for value in piece]
    check.close(
        answer([sum(piece) / len(piece) for piece in pieces], [len(piece) for piece in pieces]),
        math.exp(sum(every) / len(every)),
        slug="random", hint="However the tokens are cut into batches, the result must be the same.",
    )  # fmt: skip


@exercise("9.2", title="Windows that overlap", minutes=15, difficulty=3)
def overlapping_windows(answer, check):
    got = answer(10, 4, 4)
    check.that(
        isinstance(got, list) and all(len(one) == 3 for one in got), slug="form",
        problem=f"got {got!r}", hint="A list of triples: start, end, first.",
    )  # fmt: skip
    got = [tuple(map(int, one)) for one in got]
    check.that(
        max((end for _, end, _ in got), default=0) >= 10, slug="tail",
        problem=f"{got}: the last tokens are in no window",
        hint="The last window may be shorter or move less. `range` with whole steps forgets it.",
    )  # fmt: skip
    check.that(
        max(end for _, end, _ in got) == 10, slug="beyond", problem=f"{got}: a window ends after the text",
        hint="No window reaches beyond `length`: use min.",
    )  # fmt: skip
    check.that(
        all(end - start <= 4 for start, end, _ in got), slug="too-long", problem=f"{got}: a window is longer than 4",
        hint="start is at least end - context.",
    )  # fmt: skip
    for length, context, stride in [(10, 4, 2), (9, 5, 3), (7, 3, 1), (3, 8, 4), (20, 8, 3), (8, 8, 2), (10, 4, 4)]:
        got = [tuple(map(int, one)) for one in answer(length, context, stride)]
        check.that(
            all(first >= start for start, _, first in got), slug="relative",
            problem=f"{got}: a window scores from a position that it does not read",
            hint="`first` is a position in the text, like start and end; it does not count from the window's start.",
        )  # fmt: skip
        scored = [position for _, end, first in got for position in range(first, end)]
        check.that(
            sorted(set(scored)) == list(range(length)), slug="left-out",
            problem=f"positions {sorted(set(range(length)) - set(scored))} are never scored",
            hint="What one window has scored, the next need not. But everything else must be scored by someone.",
        )  # fmt: skip
        check.that(
            len(scored) == len(set(scored)), slug="twice", problem=f"{len(scored)} scores for {length} positions",
            hint="Where windows overlap, only the later one's new tokens count: `first` is where the last one ended.",
        )  # fmt: skip
        check.that(
            all(0 <= start <= first < end <= length and end - start <= context for start, end, first in got),
            slug="out-of-range", problem=f"{got}: a window scores nothing, or reaches too far",
            hint="0 <= start <= first < end <= length, and end - start <= context, for every window. After the window "
            "that ends at `length` no other is needed.",
        )  # fmt: skip
        check.that(
            all(end - first <= stride for _, end, first in got[1:]), slug="no-overlap",
            problem=f"{got}: a window scores more than {stride} new positions",
            hint="Each window moves by `stride` and scores what is new. What lies before is context only.",
        )  # fmt: skip
        check.that(
            all(end - start == min(context, end) for start, end, _ in got), slug="little-context",
            problem=f"{got}: a window is shorter than it could be",
            hint="A window should reach back as far as the context allows: start = max(0, end - context).",
        )  # fmt: skip
        needed = 1 + max(0, math.ceil((length - context) / stride))
        check.that(
            len(got) == needed, slug="too-many", problem=f"{got}: {len(got)} windows, where {needed} are enough",
            hint="The first window reads a whole context and scores all of it; then each moves by `stride`.",
        )  # fmt: skip


@exercise("9.3", title="Why 43,030 cannot be right", minutes=12, difficulty=2)
def case_file(answer, check):
    got = answer(math.exp(2), round(math.exp(10)))
    check.that(
        isinstance(got, tuple | list) and len(got) == 3, slug="form", problem=f"got {got!r}",
        hint="Three things: nats, fraction, and the mean probability or None.",
    )  # fmt: skip
    nats, fraction, _ = got
    check.that(
        not _near(nats, 2 / math.log(2)), slug="bits", problem="the first number is in bits",
        hint="Natural logarithm: `math.log`.",
    )  # fmt: skip
    check.close(nats, 2.0, slug="nats", tolerance=1e-3, hint="Perplexity is e to the loss; go back with a logarithm.")
    check.that(
        not _near(fraction, math.exp(2) / round(math.exp(10))), slug="fraction-of-perplexity",
        problem="the second number compares perplexities",
        hint="It should compare losses: this one's nats over those of guessing.",
    )  # fmt: skip
    check.that(
        not _near(fraction, 5.0, 1e-3), slug="upside-down", problem="guessing has a smaller loss than the model?",
        hint="The model's loss stands above, that of guessing, ln V, below.",
    )  # fmt: skip
    check.close(fraction, 0.2, slug="fraction", tolerance=1e-3, hint="Guessing among V tokens costs ln V nats.")
    for perplexity, vocab in ((43030, 50257), (40000, 50257), (2048, 2048)):
        check.close(
            answer(perplexity, vocab)[2], math.log(vocab / perplexity), slug="mean-probability", tolerance=1e-6,
            hint="Reported loss = ln V - mean p: solve for mean p. (It may be anything from 0 to 1, both included.)",
        )  # fmt: skip
    for perplexity, vocab, why in ((60000, 50257, "worse than guessing"), (3.5, 50257, "lower than V / e")):
        got = answer(perplexity, vocab)[2]
        check.that(
            got is None, slug="impossible",
            problem=f"a perplexity of {perplexity} over {vocab:,} is {why}, and the mean probability came out as {got}",
            hint="A mean probability lies between 0 and 1. Where it does not, this mistake explains nothing: None.",
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


@exercise("9.4", title="Top-p", minutes=15, difficulty=2)
def nucleus(answer, check):
    logits = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log()
    got = answer(logits, 0.6)
    check.shape(got, (1, 4), slug="shape", hint="As many logits as came in: what is dropped becomes minus infinity.")
    check.that(
        not bool(torch.isclose(got.sum(-1), torch.ones(1)).all() and (got >= 0).all()), slug="probabilities",
        problem="these are probabilities", hint="Return logits: the kept ones unchanged, the others minus infinity.",
    )  # fmt: skip
    kept = torch.isfinite(got)[0]
    check.that(
        not bool(kept.all()) and bool((got[0][~kept] == -math.inf).all()), slug="infinity",
        problem=f"got {[round(value, 2) for value in got[0].tolist()]}: what is dropped must be minus infinity",
        hint="A logit of 0 is a weight of 1, and a large negative number is still a number. Use `masked_fill(dropped, "
        "-torch.inf)`.",
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


@exercise("9.5", title="The repetition penalty", minutes=10, difficulty=2)
def penalize(answer, check):
    logits = torch.tensor([[2.0, -1.0, 3.0, -4.0, 0.0]])
    got = answer(logits, torch.tensor([[0, 1]]), 2.0)
    check.shape(got, (1, 5), slug="shape", hint="As many logits as came in, a row for each sequence.")
    wrong = {
        "sign": (
            [1.0, -0.5, 3.0, -4.0, 0.0], "token 1 was said, and now it is likelier than before",
            "Dividing -1 by 2 gives -0.5, which is more. A negative logit becomes smaller when it is *multiplied*.",
        ),
        "multiplied": (
            [4.0, -2.0, 3.0, -4.0, 0.0], "token 0 was said, and now it is likelier than before",
            "Multiplying a positive logit raises it: divide where it is positive.",
        ),
        "swapped": (
            [4.0, -0.5, 3.0, -4.0, 0.0], "both tokens that were said are likelier now",
            "It is the other way round: positive logits are divided, negative ones multiplied.",
        ),
        "others": (
            [2.0, -1.0, 1.5, -8.0, 0.0], "the tokens that were not said were punished",
            "Only tokens that occur in `ids` change.",
        ),
        "everything": (
            [1.0, -2.0, 1.5, -8.0, 0.0], "every token was punished",
            "Only tokens that occur in `ids` change. A punishment for all is none.",
        ),
        "subtracted": (
            [0.0, -3.0, 3.0, -4.0, 0.0], "2 was taken off",
            "That is another method (a presence penalty). Here logits are divided or multiplied.",
        ),
        "forbidden": (
            [-math.inf, -math.inf, 3.0, -4.0, 0.0], "what was said is forbidden now",
            "A penalty makes a token less likely, not impossible: a story needs its \"the\" again.",
        ),
    }  # fmt: skip
    for slug, (value, problem, hint) in wrong.items():
        check.that(not _near(got, torch.tensor([value])), slug=slug, problem=problem, hint=hint)
    check.close(
        got, [[1.0, -2.0, 3.0, -4.0, 0.0]], slug="value", hint="2 / 2 for token 0, -1 * 2 for token 1, the rest stays."
    )
    check.close(
        answer(logits, torch.tensor([[0, 0, 0, 3]]), 2.0), [[1.0, -1.0, 3.0, -8.0, 0.0]], slug="again",
        hint="A token that was said three times is punished once, not three times.",
    )  # fmt: skip
    nothing = torch.zeros(1, 0, dtype=torch.long)
    check.close(answer(logits, nothing, 2.0), logits, slug="nothing-said", hint="Nothing was said: nothing changes.")
    check.close(answer(logits, torch.tensor([[2, 4]]), 1.0), logits, slug="one", hint="A penalty of 1 changes nothing.")
    check.close(
        answer(logits.repeat(2, 1), torch.tensor([[0, 1], [3, 3]]), 2.0),
        [[1.0, -2.0, 3.0, -4.0, 0.0], [2.0, -1.0, 3.0, -8.0, 0.0]], slug="each-its-own",
        hint="What one sequence said is nothing to the other: row i of `ids` belongs to row i of the logits.",
    )  # fmt: skip
    from transformers import RepetitionPenaltyLogitsProcessor

    many = torch.randn(3, 60)
    ids = torch.tensor([[check.random.randrange(60) for _ in range(30)] for _ in range(3)])
    check.close(
        answer(many, ids, 1.3), RepetitionPenaltyLogitsProcessor(1.3)(ids, many.clone()),
        slug="library", hint="It must equal the repetition penalty of `transformers`.",
    )  # fmt: skip


@exercise("9.6", title="One step of beam search", minutes=15, difficulty=3)
def beam_step(answer, check):
    sums = torch.tensor([-1.0, -1.5])
    log_probs = torch.tensor([[0.4, 0.35, 0.25], [0.9, 0.06, 0.04]]).log()
    got = answer(sums, log_probs, 2)
    check.that(
        isinstance(got, list) and got and all(len(one) == 3 for one in got), slug="form", problem=f"got {got!r}",
        hint="A list of triples: the new sum, the number of the story that grows, the id that it grows by.",
    )  # fmt: skip
    got = [(float(a), int(b), int(c)) for a, b, c in got]
    check.that(
        len(got) == 2, slug="how-many", problem=f"{len(got)} hypotheses are live now",
        hint="However many ways to go on there are, only `beams` hypotheses stay live.",
    )  # fmt: skip
    pairs = [(parent, token) for _, parent, token in got]
    check.that(
        not (_near(got[0][0], math.log(0.9)) and pairs[0] == (1, 0)), slug="forgot-sums",
        problem="the sums so far were left out",
        hint="A story's score is everything so far: its sum plus the new log-probability.",
    )  # fmt: skip
    check.that(
        all(value < 0 for value, _, _ in got) and not _near(got[0][0], math.exp(-1.5) * 0.9), slug="not-logs",
        problem=f"sums {[round(value, 3) for value, _, _ in got]}",
        hint="Logarithms are added. Multiplying them, or adding probabilities to them, mixes two languages.",
    )  # fmt: skip
    check.that(
        pairs != [(0, 0), (1, 0)], slug="worst-first", problem="the worse of the two stories stands first",
        hint="They compete with one another: sort all continuations by their sums, the best first.",
    )  # fmt: skip
    check.that(
        pairs != [(0, 1), (0, 0)], slug="swapped", problem="parent and token are exchanged",
        hint="In the flattened table a row has `vocab_size` entries: parent = place // vocab_size, token = the rest.",
    )  # fmt: skip
    check.that(
        not _near(got[0][0], -1.5 + math.log(0.9)) or pairs[0] == (1, 0), slug="decoded",
        problem=f"the best sum is right, but it belongs to story 1 and id 0, not to story and id {pairs[0]}",
        hint="In the flattened table a row has `vocab_size` entries: divide by that, not by the number of stories.",
    )  # fmt: skip
    check.equal(
        pairs, [(1, 0), (0, 0)], slug="best",
        hint="Story 1 is behind by half a nat, and its next token is likely enough to overtake.",
    )  # fmt: skip
    check.close(
        [value for value, _, _ in got], [-1.5 + math.log(0.9), -1 + math.log(0.4)], slug="sums",
        hint="The new sum is the old one plus the log-probability of the new token.",
    )  # fmt: skip
    got = answer(torch.tensor([-1.0, -9.0]), log_probs, 2)
    check.equal(
        [(int(b), int(c)) for _, b, c in got], [(0, 0), (0, 1)], slug="same-parent",
        hint="Story 1 is far behind: both continuations are of story 0.",
    )  # fmt: skip
    got = answer(torch.tensor([0.0]), log_probs[:1], 3)
    check.equal(
        [(int(b), int(c)) for _, b, c in got], [(0, 0), (0, 1), (0, 2)], slug="first-step",
        hint="At the first step there is one live hypothesis, and it may grow in `beams` ways.",
    )  # fmt: skip
    table, start = torch.randn(4, 30).log_softmax(-1), torch.randn(4)
    every = sorted(((float(start[i] + table[i, j]), i, j) for i in range(4) for j in range(30)), reverse=True)[:4]
    got = answer(start, table, 4)
    check.equal([(int(b), int(c)) for _, b, c in got], [(i, j) for _, i, j in every], slug="random",
                hint="Compare with all pairs of a story and a token, sorted.")  # fmt: skip


@exercise("9.7", title="Positions and mask of new tokens", minutes=15, difficulty=3)
def positions_and_mask(answer, check):
    got = answer(5, 1)
    check.that(
        isinstance(got, tuple | list) and len(got) == 2 and all(isinstance(one, torch.Tensor) for one in got),
        slug="form", problem=f"got {got!r}", hint="Two tensors: positions, and the mask.",
    )  # fmt: skip
    positions, mask = got
    check.that(
        positions.flatten().tolist() != [0], slug="from-zero", problem="the sixth token was given position 0",
        hint="A new token stands behind what is kept: after 5 tokens comes position 5.",
    )  # fmt: skip
    check.that(
        positions.flatten().tolist() != [6], slug="off-by-one", problem="after 5 kept tokens the next position is 6?",
        hint="Positions count from 0: the kept ones are 0 to 4.",
    )  # fmt: skip
    check.equal(positions, torch.tensor([5]), slug="positions", hint="A whole number for each new token.")
    check.that(
        tuple(mask.shape) != (1, 1), slug="only-new", problem="the mask has no columns for what is kept",
        hint="The new token must see all kept ones: a row for each new token, a column for each token that there is.",
    )  # fmt: skip
    check.shape(mask, (1, 6), slug="mask-shape", hint="(new, past + new).")
    seen = "True means: may be seen."
    check.that(mask.dtype == torch.bool, slug="bool", problem=f"the mask is {mask.dtype}", hint=seen)
    check.that(
        mask.tolist() != [[True] + [False] * 5], slug="not-shifted",
        problem="the new token sees the first kept one and nothing else",
        hint="`torch.ones(new, past + new).tril()` has its diagonal at column 0. It must be shifted by `past`.",
    )  # fmt: skip
    check.that(bool(mask.any()), slug="inverted", problem="the new token sees nothing at all", hint=seen)
    check.equal(mask.tolist(), [[True] * 6], slug="all-seen", hint="The newest token sees all others, and itself.")
    positions, mask = answer(2, 3)
    check.equal(positions, torch.tensor([2, 3, 4]), slug="positions", hint="past, past + 1, ... for each new token.")
    check.that(
        not bool(mask.all()), slug="future", problem="with three new tokens the first of them sees the other two",
        hint="New tokens come in a row: token i sees what is kept, itself, and the new ones before it.",
    )  # fmt: skip
    check.equal(
        mask, torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]).bool(), slug="mask",
        hint="Row i, at position past + i, may look at every column up to past + i.",
    )  # fmt: skip
    positions, mask = answer(0, 4)
    check.equal(mask, torch.ones(4, 4).tril().bool(), slug="nothing-kept", hint="Nothing kept: the usual mask.")
    check.equal(positions, torch.arange(4), slug="nothing-kept", hint="With nothing kept positions begin at 0.")
