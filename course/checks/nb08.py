"""The exercises of notebook 08: bytes of a training step, MFU, time, loss scaling, padded vocabulary; and those of the
modules `gpu_parts` (the time of kernels, the batch that fits, the loss in chunks) and `run_parts` (the disk, and what
to go on from).
"""

import math

import torch

from course.bench.planning import training_flops_per_token
from course.checks.compare import is_whole, shown
from course.checks.exercise import exercise
from course.checks.gpu_parts import chunked_loss, fitting_batch, kernel_seconds, near
from course.checks.run_parts import disk_bytes, newest_whole
from helpers.model import GPTConfig

__all__ = [
    "kernel_seconds", "state_bytes", "fitting_batch", "mfu", "steps_within", "unscaled_and_clipped", "chunked_loss",
    "padded_head", "disk_bytes", "newest_whole",
]  # fmt: skip

PRECISIONS = ("float32", "autocast", "master", "half")


@exercise("8.2", title="Bytes before the first token", minutes=10, difficulty=2)
def state_bytes(answer, check):
    n = 1_000_000
    found = tuple(answer(n, precision) for precision in PRECISIONS)
    mistakes = (
        ((8 * 16, 8 * 18, 8 * 16, 8 * 8), "bits", "these are bits", "A byte has eight bits: float32 has four bytes."),
        ((12, 14, 14, 6), "no-gradients", "the gradients are missing",
         "Between backward and the optimizer's step every weight has a gradient, as large as itself."),
        ((12, 14, 12, 6), "one-moment", "AdamW has one moment here, and needs two",
         "AdamW keeps a mean of the gradients and a mean of their squares: two values for each weight."),
        ((4, 6, 6, 2), "weights-only", "only weights are counted",
         "Training holds more than the weights: gradients, and AdamW's two moments."),
        ((16, 16, 16, 8), "no-copy", "\"autocast\" came out like \"float32\": two bytes a weight are missing",
         "Autocast keeps weights and gradients in float32, and casts a copy of the weights for the matmuls besides."),
        ((16, 16, 14, 8), "no-copy", "two bytes a weight are missing in \"autocast\" and in \"master\"",
         "In both the weights exist twice: four bytes in float32, and two in half precision for the matmuls."),
        ((16, 18, 14, 8), "one-set-of-weights", "in \"master\" two bytes a weight are missing",
         "The master copy comes on top of the weights in half precision, which are multiplied."),
        ((16, 18, 18, 8), "master-gradients", "in \"master\" the gradients are in float32",
         "Here they are in half precision like the weights: only master copy and moments are in float32."),
        ((16, 18, 12, 8), "no-master", "the master copy is missing",
         "With a master copy the weights exist twice: in half precision for the matmuls, in float32 for the update."),
        ((16, 18, 10, 8), "no-master", "weights and moments of \"master\" do not add up",
         "With a master copy: weights 2 and 4 bytes, gradients 2, and both moments in float32."),
        ((16, 10, 16, 8), "autocast-in-half", "under autocast more is in half precision than is true",
         "Autocast changes what matmuls are computed in. Weights, gradients and moments stay in float32."),
        ((16, 8, 16, 8), "autocast-in-half", "under autocast everything is in half precision",
         "Autocast changes what matmuls are computed in. Weights, gradients and moments stay in float32."),
        ((16, 18, 16, 12), "half-moments", "in \"half\" AdamW's moments are in float32",
         "\"half\" means everything: the two moments too have two bytes a value."),
    )  # fmt: skip
    for each, slug, problem, hint in mistakes:
        check.that(
            not all(near(got, n * size) for got, size in zip(found, each, strict=True)), slug=slug,
            when="the four precisions", problem=problem, hint=hint,
        )  # fmt: skip
    # By arithmetic of its own: (values in float32, values in half precision) for each weight.
    for got, (full, short), precision in zip(found, ((4, 0), (4, 1), (3, 2), (0, 4)), PRECISIONS, strict=True):
        hint = "Weights, their copy if there is one, gradients, and two moments; four bytes or two each."
        check.close(got, n * (4 * full + 2 * short), slug=precision, tolerance=1e-9, hint=hint, when=repr(precision))
    hint = "The number of parameters multiplies everything: nothing is counted once for the whole model."
    check.equal(answer(7, "float32"), 112, slug="proportional", hint=hint)


@exercise("8.4", title="MFU", minutes=10, difficulty=2)
def mfu(answer, check):
    # By chance numbers that are round make one mistake look like another: T and V are primes.
    speed, L, d, T, V, peak = 1000.0, 5, 64, 37, 509, 1e9
    got = answer(speed, L, d, T, V, peak)
    blocks, head, attention = 6 * L * 12 * d * d, 6 * V * d, 12 * L * d * T
    mistakes = (
        (100 * speed * (blocks + head + attention) / peak, "per-cent", "that is a percentage",
         "MFU is a fraction: between 0 and 1."),
        (speed * (blocks + head) / peak, "no-attention", "attention's own matmuls are missing",
         "Queries with keys and weights with values have no weights and cost all the same: 12 L d T a token."),
        (speed * (blocks + head + attention) / 3 / peak, "forward-only", "only the forward pass is counted",
         "Two operations a weight are the forward pass. Going back costs twice as much again: six in all."),
        (speed * (blocks + attention) / peak, "no-head", "the head is missing",
         "The head is a matmul like the others, with vocabulary times d weights."),
        (speed * (blocks + head + attention / L) / peak, "one-layer", "attention is counted for one layer",
         "Every layer has its own attention matmuls."),
        (speed * (blocks + head + attention / 3) / peak, "attention-forward", "attention goes forward only",
         "Attention's own matmuls have a backward pass as well, of twice the operations."),
        (speed * (blocks + head + attention / 6) / peak, "attention-forward", "attention is counted too low",
         "There are two matmuls of this kind, 2 d operations for each key, and a backward pass of twice as many."),
        (speed * (2 * (blocks + head) / 3 + 2 * attention / 3) / peak, "backward-once",
         "the backward pass costs as much as the forward pass",
         "Each matmul has two in the backward pass: twice as many operations."),
        (speed * (2 * (blocks + head) / 3 + attention) / peak, "backward-once", "a weight costs four operations here",
         "Each matmul has two in the backward pass: two operations forward, and four backward."),
        (speed * (blocks * 2 / 3 + head + attention) / peak, "mlp-only", "a block has 8 d² weights here",
         "That is its MLP. Attention has four matrices of d by d."),
        (speed * (blocks + head + attention / 2) / peak, "halved", "only half of attention's scores are counted",
         "A causal kernel may skip the masked half. MFU counts all T x T, as the paper does: 12 L d T a token."),
        (speed * (blocks / L + head + attention) / peak, "one-block", "the weights are those of one block",
         "There are n_layer blocks of 12 d² weights each."),
        (speed * (blocks + head + 6 * attention) / peak, "six-twice", "attention is multiplied by six once more",
         "The six belongs to weights. Attention's 12 L d T are its operations already, forward and back."),
        (speed * (blocks / 6 + head / 6 + attention) / peak, "no-six", "a weight costs one operation here",
         "Each weight costs six operations a token: two going forward, four going back."),
        (speed * (blocks + head / 6 + attention) / peak, "no-six", "the head's weights cost one operation here",
         "Brackets: the six multiplies the weights of the blocks *and* those of the head."),
        (speed * (blocks / 12 + head + attention) / peak, "block-of-one", "a block counts as d² weights",
         "A block has 12 d² weights: 4 d² in attention, 8 d² in its MLP."),
        (speed * (blocks + 2 * head + 6 * T * d + attention) / peak, "looked-up", "embeddings are counted",
         "Rows of an embedding are looked up and not multiplied: only the head counts."),
        (speed * (blocks + head + 6 * T * d + attention) / peak, "looked-up", "the position vectors are counted",
         "Positions are looked up and added: no matmul, hardly any operation."),
        (peak / (speed * (blocks + head + attention)), "upside-down", "the fraction is upside down",
         "What the model needs stands above, what the device could do below."),
        (speed * T * (blocks + head + attention) / peak, "per-sequence", "the operations are multiplied by the context",
         "The speed counts tokens: what is wanted is the operations of one token, not of a sequence."),
    )  # fmt: skip
    for wrong, slug, problem, hint in mistakes:
        check.that(not near(got, wrong), slug=slug, problem=problem, hint=hint)
    expected = speed * training_flops_per_token(GPTConfig(V, T, L, 2, d)) / peak
    hint = "Operations of a token, times tokens a second, over the peak."
    check.close(got, expected, slug="small", tolerance=1e-6, hint=hint)
    small = GPTConfig.gpt2("small")
    got = answer(20_000.0, 12, 768, 1024, 50257, 65e12)
    check.close(got, 20_000 * training_flops_per_token(small) / 65e12, slug="gpt2", tolerance=1e-6, hint=hint)


@exercise("8.5", title="What the time buys", minutes=10, difficulty=2)
def steps_within(answer, check):
    got = answer(2, 1000.0, 0.5, 10, 25)  # 250 operations a step at 500 a second: half a second each
    mistakes = (
        (4, "minutes", "the minutes were taken for seconds", "A peak is in operations a second; a minute has sixty."),
        (14_400, "hours", "the minutes were taken for hours", "A minute has sixty seconds."),
        (480, "no-mfu", "the device is taken to run at its peak", "Only the fraction MFU of the peak is reached."),
        (960, "divided-by-mfu", "it was divided by the MFU", "A lower MFU means fewer steps: multiply by it."),
        (6000, "tokens", "those are tokens", "A step takes many tokens: divide by the tokens of a step, too."),
        (150_000, "precedence", "it was multiplied by the tokens of a step",
         "`a / b * c` is (a / b) * c. Put what a step takes into brackets: `a / (b * c)`."),
        (2400, "flops-missing", "the operations of a token are missing", "A token costs flops_per_token operations."),
    )  # fmt: skip
    for wrong, slug, problem, hint in mistakes:
        check.that(not near(got, wrong), slug=slug, problem=problem, hint=hint)
    hint = "A step takes flops_per_token * tokens_per_step operations, of which peak * mfu are done in a second."
    check.close(got, 240, slug="by-hand", tolerance=1e-9, hint=hint)
    got = answer(1, 10.0, 0.5, 7, 11)  # 300 operations at 77 a step: 3.9 steps
    hint = "A step that does not fit whole is no step: round down."
    check.that(not near(got, 4), slug="rounded-up", problem="3.9 steps became 4", hint=hint)
    check.that(
        is_whole(got) or near(got, 3), slug="not-whole", problem=f"the answer is {shown(got)}",
        hint="Return a whole number, with int() or //.",
    )  # fmt: skip
    check.close(got, 3, slug="rounded", tolerance=1e-9, hint=hint)
    got = answer(0.5, 1000.0, 0.5, 10, 25)  # 30 seconds
    hint = "Minutes need not be whole: only the steps are rounded, at the very end."
    check.that(not near(got, 0), slug="whole-minutes", problem="half a minute bought no step at all", hint=hint)
    check.close(got, 60, slug="whole-minutes", tolerance=1e-9, hint=hint)
    check.close(answer(2.75, 1000.0, 0.5, 10, 20), 412, slug="whole-minutes", tolerance=1e-9, hint=hint)
    _with_pauses(answer, check, (1000.0, 0.5, 10, 25))
    check.close(answer(60, 65e12, 0.25, 854_000_000, 32768), int(3600 * 65e12 * 0.25 / (854_000_000 * 32768)),
                slug="large", tolerance=1e-9, hint="Try it with the numbers of a real GPU.")  # fmt: skip


def _with_pauses(answer, check, device: tuple) -> None:
    """The start, and the pauses, of a run whose steps take half a second."""
    got = answer(2, *device, start=20)
    hint = "The start takes time before the first step: take it off what there is."
    for wrong, problem in ((240, "the start was left out"), (280, "the start was added to the time"),
                           (220, "a second of start was taken for a step")):  # fmt: skip
        check.that(not near(got, wrong), slug="start", problem=problem, hint=hint)
    check.close(got, 200, slug="start", tolerance=1e-9, hint=hint, when="start=20, half a second a step, 2 minutes")
    got = answer(2, *device, start=130)
    check.close(got, 0, slug="no-time-left", tolerance=1e-9, when="a start that is longer than the time",
                hint="A run that never gets to its first step takes none; fewer than none there are not.")  # fmt: skip
    told = "every=40, pause=4, half a second a step"  # 20 seconds of steps, and 4 of pause
    got = answer(2, *device, every=40, pause=4)
    for wrong, slug, problem, hint in (
        (240, "no-pause", "the pauses were left out", "After every 40 steps the run stands still for 4 seconds."),
        (232, "one-pause", "there was only one pause", "There is a pause after *every* 40 steps."),
        (192, "pauses-of-no-pause", "as many pauses were counted as if there were none",
         "With pauses there are fewer steps, and so fewer pauses. Count in rounds: 40 steps and their pause."),
        (26, "pause-each-step", "there was a pause after every step", "A pause comes after every 40 steps."),
        (5, "rounds", "those are rounds", "A round has 40 steps."),
    ):  # fmt: skip
        check.that(not near(got, wrong), slug=slug, problem=f"{told}: {problem}", hint=hint)
    hint = "A round is 40 steps and their pause: 24 seconds."
    check.close(got, 200, slug="pauses", tolerance=1e-9, when=f"{told}, 2 minutes", hint=hint)
    got = answer(1, *device, every=40, pause=4)  # two rounds, and 12 seconds more
    hint = "After the last whole round there is time left: 12 seconds, for 24 steps more."
    check.that(
        not near(got, 80), slug="last-round", problem="the steps after the last whole round are missing", hint=hint
    )
    check.that(not near(got, 100), slug="spread", problem="the pause was spread over its steps",
               hint="In the time after the last whole round there has been no pause yet.")  # fmt: skip
    check.close(got, 104, slug="last-round", tolerance=1e-9, when=f"{told}, 1 minute", hint=hint)
    got = answer(1.15, *device, every=40, pause=4)  # two rounds, and 21 seconds: 40 steps, and a second of their pause
    hint = "After 40 steps comes the pause: in the second that is left no step is taken."
    check.that(not near(got, 122), slug="in-the-pause", problem="steps were taken during a pause", hint=hint)
    check.close(got, 120, slug="in-the-pause", tolerance=1e-9, when=f"{told}, 69 seconds", hint=hint)
    got = answer(2.5, *device, start=30, every=40, pause=4)
    check.close(got, 200, slug="start-and-pauses", tolerance=1e-9, when=f"{told}, start=30, 150 seconds",
                hint="First the start, then the rounds.")  # fmt: skip
    check.close(answer(2, *device, every=0, pause=7), 240, slug="every-zero", tolerance=1e-9,
                hint="With every=0 it never stands still, whatever the pause.")  # fmt: skip
    for _ in range(10):  # step by step, which is slow and sure
        minutes, every, pause, start = (check.random.randint(*ends) for ends in ((1, 5), (1, 30), (0, 9), (0, 50)))
        clock, steps = float(start), 0
        while clock + 0.5 <= 60 * minutes:
            clock, steps = clock + 0.5, steps + 1
            clock += pause if steps % every == 0 else 0
        check.close(answer(minutes, *device, start=start, every=every, pause=pause), steps, slug="random",
                    tolerance=1e-9, hint="Whole rounds, then the steps of the last one that still fit.")  # fmt: skip


@exercise("8.6", title="Unscale, then clip", minutes=12, difficulty=2)
def unscaled_and_clipped(answer, check):
    def norm(tensors) -> float:
        return math.sqrt(sum(float((g.double() ** 2).sum()) for g in tensors))

    true, scale = [torch.tensor([0.03, 0.0]), torch.tensor([[0.04]])], 1024.0
    got = answer([g * scale for g in true], scale, 1.0)
    check.that(
        isinstance(got, tuple | list) and len(got) == 2, slug="a-pair", problem="the answer is not a pair",
        hint="Return two things: the gradients (or None), and the scale for the next step.",
    )  # fmt: skip
    check.that(got[0] is not None, slug="left-out", problem="a fine step was left out",
               hint="Only infinite or NaN gradients leave a step out.")  # fmt: skip
    check.that(
        not math.isclose(norm(got[0]), 1.0, rel_tol=1e-3), slug="clipped-scaled",
        problem="gradients with a true norm of 0.05 came out with norm 1, which is the limit",
        hint="Clip true gradients, not scaled ones, and never make short gradients longer.",
    )  # fmt: skip
    check.that(
        not math.isclose(norm(got[0]), 1.0 / scale, rel_tol=1e-3), slug="clipped-scaled",
        problem="gradients with a true norm of 0.05 came out with the limit over the scale",
        hint="First divide by the scale, then clip: scaled gradients always look too long.",
    )  # fmt: skip
    check.that(
        not math.isclose(norm(got[0]), 0.05 * scale, rel_tol=1e-3), slug="not-unscaled",
        problem="the gradients are as long as they were", hint="The true gradients are those over the scale.",
    )  # fmt: skip
    for mine, right in zip(got[0], true, strict=True):
        check.close(mine, right, slug="unscaled", hint="Divide each gradient by the scale.", when="a short gradient")
    check.close(got[1], scale, slug="scale-kept", hint="After a good step the scale stays as it is.", tolerance=1e-9)
    long = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    clipped, _ = answer([g * scale for g in long], scale, 1.0)
    check.that(
        not all(math.isclose(norm([g]), 1.0, rel_tol=1e-3) for g in clipped), slug="each-clipped",
        problem="each gradient was clipped on its own",
        hint="The norm is that of all entries of all gradients together, and all shrink by one factor.",
    )  # fmt: skip
    check.that(not math.isclose(norm(clipped), 5.0, rel_tol=1e-3), slug="not-clipped",
               problem="a norm of 5 came out unclipped at limit 1",
               hint="Multiply by limit / norm. (`clip_grad_norm_` wants parameters and looks at their `.grad`; these "
               "tensors are gradients themselves.)")  # fmt: skip
    check.that(not math.isclose(norm(clipped), 0.2, rel_tol=1e-3), slug="squared",
               problem="a norm of 5 came out as 0.2 at limit 1", hint="25 is its square: take the root.")  # fmt: skip
    for mine, right in zip(clipped, long, strict=True):
        check.close(
            mine, right / 5, slug="clipped", hint="All are multiplied by the same limit / norm.", tolerance=1e-4
        )
    fine, after = answer([torch.tensor([3e6, 4e6])], 1e6, 10.0)
    check.that(fine is not None and near(after, 1e6), slug="large-but-finite",
               problem="finite gradients, the largest of 4,000,000, were taken for an overflow",
               hint="Gradients come in float32. Only what is infinite or NaN has overflowed.")  # fmt: skip
    for limit, right in ((10.0, [3.0, 4.0]), (2.5, [1.5, 2.0]), (0.5, [0.3, 0.4])):
        got, _ = answer([torch.tensor([3e6, 4e6])], 1e6, limit)
        check.close(got[0], right, slug="limit", tolerance=1e-4, when=f"a norm of 5, limit {limit:g}",
                    hint="`limit` is an argument: norms up to it stay as they are, longer ones get it.")  # fmt: skip
    for bad in (math.inf, math.nan, -math.inf):
        broken = [torch.tensor([1.0, 2.0]), torch.tensor([[bad]])]
        got, after = answer(broken, scale, 1.0)
        check.that(
            got is None, slug="overflow-used", problem=f"a gradient with {bad} was handed to the optimizer",
            hint="Look at every entry of every gradient: torch.isfinite(g).all().",
        )  # fmt: skip
        check.that(
            not near(after, scale), slug="scale-not-lowered", problem="the scale stayed although it was too high",
            hint="After an overflow the scale is halved, or the next step overflows again.",
        )  # fmt: skip
        check.close(after, scale / 2, slug="half-the-scale", tolerance=1e-9, hint="Half the scale: not double.")
        check.close(answer(broken, 96.0, 1.0)[1], 48.0, slug="half-the-scale", tolerance=1e-9, when="a scale of 96",
                    hint="Half of the scale that was given.")  # fmt: skip
    nothing, _ = answer([torch.zeros(3)], scale, 1.0)
    check.that(nothing is not None and bool(torch.isfinite(nothing[0]).all()), slug="zero-norm",
               problem="gradients of zero became NaN or were left out",
               hint="A norm of zero must not be divided by.")  # fmt: skip


@exercise("8.8", title="Pad the vocabulary", minutes=10, difficulty=2)
def padded_head(answer, check):
    torch.manual_seed(6)
    weight = torch.randn(10, 4)
    got = answer(weight, 8)
    check.that(isinstance(got, tuple | list) and len(got) == 2, slug="a-pair", problem="the answer is not a pair",
               hint="Return the padded weight, and what is added to the logits.")  # fmt: skip
    padded, added = got
    hint = "Upwards to the next multiple: 10 rows become 16, and no row is lost."
    check.shape(padded, (16, 4), slug="rows", hint=hint, when="the padded weight of 10 rows, multiple 8")
    check.shape(
        added, (16,), slug="added-shape", hint="One value for each row of the padded weight.", when="what is added"
    )
    check.equal(padded[:10], weight, slug="real-rows", when="the first ten rows",
                hint="The rows of the real tokens stay where they are: an id is a row's number.")  # fmt: skip
    hint = "The new rows are zeros."
    check.equal(padded[10:], torch.zeros(6, 4), slug="zeros", when="the new rows", hint=hint)
    check.that(
        not bool((added == 0).all()), slug="not-masked",
        problem="the new rows keep a logit of 0, and so a part of the probability",
        hint="A logit of 0 is e to the 0 = 1 in the softmax's sum. Only minus infinity is nothing.",
    )  # fmt: skip
    check.that(
        not bool((added[10:] == math.inf).any()), slug="sign", problem="the new rows get all the probability",
        hint="Minus infinity, not plus: e to minus infinity is 0.",
    )  # fmt: skip
    hidden = torch.randn(5, 4)
    before, after = (hidden @ weight.T).softmax(-1), (hidden @ padded.T + added).softmax(-1)
    check.that(bool((added[:10] == 0).all()), slug="real-logits", problem="the logits of real tokens are changed",
               hint="Real tokens get 0 added, the new ones minus infinity.")  # fmt: skip
    check.that(bool((after[:, 10:] == 0).all()), slug="left-over", problem="a new row still gets some probability",
               hint="Use minus infinity, not a negative number of your choice.")  # fmt: skip
    low = torch.full((10, 4), -1e9)
    padded, added = answer(low, 8)
    check.that(not bool((torch.ones(1, 4) @ padded.T + added).softmax(-1)[:, 10:].any()), slug="left-over",
               problem="where all real logits are very low, the new rows get all the probability",
               hint="Use minus infinity, not a negative number of your choice.")  # fmt: skip
    check.close(after[:, :10], before, slug="probabilities", when="the probabilities of the real tokens",
                hint="Adding nothing must change nothing.")  # fmt: skip
    hint = "A vocabulary that divides already needs no row more."
    check.shape(answer(torch.randn(16, 4), 8)[0], (16, 4), slug="already", hint=hint, when="16 rows, multiple 8")
    for _ in range(5):
        count, multiple = check.random.randint(1, 60), check.random.choice((1, 3, 16, 64))
        size = math.ceil(count / multiple) * multiple
        check.shape(answer(torch.randn(count, 2), multiple)[0], (size, 2), slug="random", hint="Round up.")
