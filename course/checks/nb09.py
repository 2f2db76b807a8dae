"""The exercises of notebook 09: perplexity, windows, a case, the penalty; two more modules hold those on sampling."""

import math

import torch

from course.checks.compare import shown
from course.checks.decoding_parts import (  # noqa: F401
    KVCache,
    LayerCache,
    beam_step,
    fixed_length_search,
    positions_and_mask,
)
from course.checks.exercise import exercise
from course.checks.sampling_parts import (  # noqa: F401
    apply_temperature,
    keep_top_k,
    keep_top_p,
    near,
    sample_by_inversion,
)


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
        check.that(not near(got, value), slug=slug, problem=problem, hint=hint)
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
        problem=f"got {shown(got)}", hint="A list of triples: start, end, first.",
    )  # fmt: skip
    got = [tuple(map(int, one)) for one in got]
    check.that(
        max((end for _, end, _ in got), default=0) >= 10, slug="tail",
        problem=f"{shown(got)}: the last tokens are in no window",
        hint="The last window may be shorter or move less. `range` with whole steps forgets it.",
    )  # fmt: skip
    check.that(
        max(end for _, end, _ in got) == 10, slug="beyond", problem=f"{shown(got)}: a window ends after the text",
        hint="No window reaches beyond `length`: use min.",
    )  # fmt: skip
    check.that(
        all(end - start <= 4 for start, end, _ in got), slug="too-long",
        problem=f"{shown(got)}: a window is longer than 4", hint="start is at least end - context.",
    )  # fmt: skip
    for length, context, stride in [(10, 4, 2), (9, 5, 3), (7, 3, 1), (3, 8, 4), (20, 8, 3), (8, 8, 2), (10, 4, 4)]:
        got = [tuple(map(int, one)) for one in answer(length, context, stride)]
        check.that(
            all(first >= start for start, _, first in got), slug="relative",
            problem=f"{shown(got)}: a window scores from a position that it does not read",
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
            slug="out-of-range", problem=f"{shown(got)}: a window scores nothing, or reaches too far",
            hint="0 <= start <= first < end <= length, and end - start <= context, for every window. After the window "
            "that ends at `length` no other is needed.",
        )  # fmt: skip
        check.that(
            all(end - first <= stride for _, end, first in got[1:]), slug="no-overlap",
            problem=f"{shown(got)}: a window scores more than {stride} new positions",
            hint="Each window moves by `stride` and scores what is new. What lies before is context only.",
        )  # fmt: skip
        check.that(
            all(end - start == min(context, end) for start, end, _ in got), slug="little-context",
            problem=f"{shown(got)}: a window is shorter than it could be",
            hint="A window should reach back as far as the context allows: start = max(0, end - context).",
        )  # fmt: skip
        needed = 1 + max(0, math.ceil((length - context) / stride))
        check.that(
            len(got) == needed, slug="too-many", problem=f"{shown(got)}: {len(got)} windows, where {needed} are enough",
            hint="The first window reads a whole context and scores all of it; then each moves by `stride`.",
        )  # fmt: skip


@exercise("9.3", title="Why 43,030 cannot be right", minutes=12, difficulty=2)
def case_file(answer, check):
    got = answer(math.exp(2), round(math.exp(10)))
    check.that(
        isinstance(got, tuple | list) and len(got) == 3, slug="form", problem=f"got {shown(got)}",
        hint="Three things: nats, fraction, and the mean probability or None.",
    )  # fmt: skip
    nats, fraction, _ = got
    check.that(
        not near(nats, 2 / math.log(2)), slug="bits", problem="the first number is in bits",
        hint="Natural logarithm: `math.log`.",
    )  # fmt: skip
    check.close(nats, 2.0, slug="nats", tolerance=1e-3, hint="Perplexity is e to the loss; go back with a logarithm.")
    check.that(
        not near(fraction, math.exp(2) / round(math.exp(10))), slug="fraction-of-perplexity",
        problem="the second number compares perplexities",
        hint="It should compare losses: this one's nats over those of guessing.",
    )  # fmt: skip
    check.that(
        not near(fraction, 5.0, 1e-3), slug="upside-down", problem="guessing has a smaller loss than the model?",
        hint="The model's loss stands above, that of guessing, ln V, below.",
    )  # fmt: skip
    check.close(fraction, 0.2, slug="fraction", tolerance=1e-3, hint="Guessing among V tokens costs ln V nats.")
    check.close(
        answer(43030, 50257)[1], math.log(43030) / math.log(50257), slug="fraction", tolerance=1e-4,
        when="the fraction for 43,030 among 50,257", hint="It is not to be rounded: 98 and 99 per cent are not alike.",
    )  # fmt: skip
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


@exercise("9.7", title="The repetition penalty", minutes=10, difficulty=2)
def penalize_repetition(answer, check):
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
        check.that(not near(got, torch.tensor([value])), slug=slug, problem=problem, hint=hint)
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
