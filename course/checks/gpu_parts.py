"""Exercises of notebook 08 on what a GPU does and holds: time of kernels, the batch that fits, the loss in chunks."""

import math
import weakref

import torch
import torch.nn.functional as F

from course.bench.memory import peak_bytes
from course.checks.compare import as_number, is_pair, is_whole, shown
from course.checks.exercise import exercise


def near(got, wrong) -> bool:
    """Whether a number is the one that a known mistake gives."""
    number = as_number(got)
    return number is not None and math.isclose(number, wrong, rel_tol=1e-6)


# ---------------------------------------------------------------------- 8.1


@exercise("8.1", title="How long kernels take", minutes=10, difficulty=2)
def kernel_seconds(answer, check):
    device = 100.0, 10.0, 0.5  # operations a second, bytes a second, seconds of a launch
    one = [(1000, 10)]  # 10 s of arithmetic, 1 s of memory
    got = answer(one, *device)
    mistakes = (
        (11.5, "added", "arithmetic and memory were added", "It computes while it reads: the longer of both counts."),
        (1.5, "the-shorter", "the shorter of both times was taken", "The kernel is done when the longer one is done."),
        (100.5, "swapped", "operations were divided by the bandwidth",
         "Operations go over operations a second, bytes over bytes a second."),
        (10.0, "no-launch", "the launch is missing", "Every kernel has to be launched, however short it is."),
        (9.5, "launch-subtracted", "the launch was taken off", "A launch comes on top."),
        (1000 * 100 + 0.5, "multiplied", "operations were multiplied by the peak", "Seconds are operations over peak."),
    )  # fmt: skip
    for wrong, slug, problem, hint in mistakes:
        check.that(not near(got, wrong), slug=slug, problem=problem, hint=hint)
    hint = "The larger of operations / peak and bytes / bandwidth, and a launch."
    check.close(got, 10.5, slug="compute-bound", tolerance=1e-6, hint=hint)
    got = answer([(100, 100)], *device)
    check.that(not near(got, 1.5), slug="operations-only", problem="the bytes were not looked at",
               hint="Here memory takes ten seconds and arithmetic one.")  # fmt: skip
    check.close(got, 10.5, slug="memory-bound", tolerance=1e-6, hint=hint)
    check.close(answer([(1, 1)], *device), 0.6, slug="tiny", tolerance=1e-6,
                hint="The launch is added to the longer of the two. It is not one of them.")  # fmt: skip
    got = answer([(1000, 10), (100, 100)], *device)
    for wrong, slug, problem, hint in (
        (20.5, "one-launch", "a launch is missing", "Each kernel's launch counts in full."),
        (20.0, "no-launch", "the launches are missing", "Each kernel is launched for itself."),
        (12.0, "sums-first", "all operations and all bytes were added up first",
         "A kernel waits for the one before. Find out for each by itself which of its two times is longer."),
        (11.5, "sums-first", "all operations and all bytes were added up first",
         "A kernel waits for the one before. Find out for each by itself which of its two times is longer."),
        (10.5, "longest-only", "only one kernel was counted", "They run one after the other: add their times."),
    ):  # fmt: skip
        check.that(not near(got, wrong), slug=slug, problem=problem, hint=hint)
    check.close(got, 21.0, slug="several", tolerance=1e-6, hint="Add up the times of all kernels.")
    check.close(answer([], *device), 0.0, slug="nothing", tolerance=1e-9, hint="No kernel takes no time.")
    for _ in range(10):
        kernels = [(check.random.randrange(10**6), check.random.randrange(10**6)) for _ in range(5)]
        peak, bandwidth, launch = check.random.uniform(1, 9), check.random.uniform(1, 9), check.random.random()
        # By arithmetic of its own: a kernel whose intensity is above the device's waits for arithmetic.
        bound = [o / peak if o * bandwidth > b * peak else b / bandwidth for o, b in kernels]
        check.close(answer(kernels, peak, bandwidth, launch), sum(bound) + 5 * launch, slug="random", tolerance=1e-6,
                    hint="For each kernel: the larger of the two, and a launch.")  # fmt: skip


# ---------------------------------------------------------------------- 8.3


class _SmallGPU:
    """A training step on a GPU that has room for so many sequences; a step that fails holds a tensor meanwhile."""

    def __init__(self, room: int, error: Exception | None = None):
        self.room, self.error = room, error
        self.tried: list = []
        self.held = False  # whether what a failed try held was still there at the next one
        self._before = None

    def __call__(self, batch_size) -> None:
        if self._before is not None and self._before() is not None:
            self.held = True
        self.tried.append(batch_size)
        activations = torch.zeros(8)
        self._before = weakref.ref(activations)
        if len(self.tried) > 60:
            raise RecursionError("step was called more than 60 times")
        if self.error is not None:
            raise self.error
        if batch_size > self.room:
            raise torch.OutOfMemoryError(f"{batch_size} sequences do not fit")


@exercise("8.3", title="The batch that fits", minutes=12, difficulty=2, seconds=5)
def fitting_batch(answer, check):
    roomy = _SmallGPU(100)
    got = answer(roomy, 8)
    check.that(is_pair(got), slug="a-pair", problem=f"the answer is {shown(got)}",
               hint="Return two numbers: the batch size, and how many such batches make one step.")  # fmt: skip
    check.that(
        bool(roomy.tried), slug="not-tried", problem="step was never called", hint="Whether it fits is found by trying."
    )
    check.equal(tuple(got), (8, 1), slug="all-at-once", when="8 sequences, room for 100",
                hint="Begin with all of them: if they fit, one batch is the step.")  # fmt: skip
    check.equal(roomy.tried, [8], slug="tries", when="room for 100: the batch sizes that were tried",
                hint="Try the largest first, and stop at the first that fits: each try is a whole step.")  # fmt: skip
    small = _SmallGPU(3)
    got = tuple(answer(small, 16))
    check.that(0 not in small.tried and all(map(is_whole, small.tried)), slug="whole-numbers",
               problem=f"step was called with {shown(small.tried)}",
               hint="Halve with //, and stop where it cannot be halved.")  # fmt: skip
    mistakes = (
        ((2, 1), "tokens-lost", "the step reads 2 sequences, and 16 were asked for",
         "So many batches are accumulated that the step reads what it read before."),
        ((8, 2), "swapped", "the two numbers are swapped", "First the batch size, then the number of batches."),
        ((2, 3), "halvings", "that is how often it was halved", "Halved three times are eight batches."),
        ((2, 4), "halvings", "that is how many tries there were", "After three halvings it takes eight batches."),
        ((4, 4), "one-too-large", "4 sequences do not fit, and were returned", "Return what did not fail."),
        ((1, 16), "one-too-small", "2 sequences fit, and 1 was returned", "Return the first that did not fail."),
        ((3, 5), "not-halved", "3 goes up in 16 five times, and one sequence is lost", "Halve: halves divide evenly."),
    )  # fmt: skip
    for wrong, slug, problem, hint in mistakes:
        check.that(got != wrong, slug=slug, problem=problem, hint=hint)
    check.equal(got, (2, 8), slug="halved", when="16 sequences, room for 3", hint="16 do not fit, nor 8, nor 4; 2 do.")
    check.equal(small.tried, [16, 8, 4, 2], slug="tries", when="room for 3: the batch sizes that were tried",
                hint="Halve after each failure, and stop at the first that fits.")  # fmt: skip
    check.that(
        not small.held, slug="still-held", problem="what a failed try had made was still in memory at the next one",
        hint="Inside `except` the error is alive, and with it all that it broke off from. Leave the block before you "
        "try again.",
    )  # fmt: skip
    odd = next((each for each in got if not is_whole(each)), 0)
    check.that(is_whole(odd), slug="whole-numbers", problem=f"{shown(odd)} is a {type(odd).__name__}",
               hint="Sequences and batches are whole: divide with //.")  # fmt: skip
    check.equal(tuple(answer(_SmallGPU(3), 12)), (3, 4), slug="by-three", when="12 sequences, room for 3",
                hint="12, 6, 3: four batches of three.")  # fmt: skip
    hint = "What cannot be halved any more and does not fit is for the caller to know: `raise` lets the error out."
    for sequences, room, tried in ((1, 0, [1]), (4, 0, [4, 2, 1]), (12, 2, [12, 6, 3])):
        tight = _SmallGPU(room)
        when = f"{sequences} sequences, room for {room}"
        check.raises(torch.OutOfMemoryError, lambda n=sequences, gpu=tight: answer(gpu, n), slug="error-swallowed",
                     hint=hint)  # fmt: skip
        check.equal(
            tight.tried, tried, slug="tries-to-the-end", hint=hint, when=f"{when}: the batch sizes that were tried"
        )
    hint = "Only torch.OutOfMemoryError says that there is no room. Any other error is a mistake that must be seen."
    for error in (ValueError("bad target"), RuntimeError("shapes do not match")):
        broken = _SmallGPU(9, error)
        check.raises(type(error), lambda gpu=broken: answer(gpu, 8), slug="other-errors", hint=hint)
        check.equal(broken.tried, [8], slug="other-errors", when="the batch sizes that were tried", hint=hint)


# ---------------------------------------------------------------------- 8.7


@exercise("8.7", title="The loss in chunks", minutes=15, difficulty=3)
def chunked_loss(answer, check):
    torch.manual_seed(5)
    hidden, weight = torch.randn(12, 8, requires_grad=True), torch.randn(20, 8, requires_grad=True)
    targets = torch.randint(20, (12,))
    targets[[2, 9]] = 0  # an id like any other
    with torch.no_grad():
        losses = F.cross_entropy(hidden @ weight.T, targets, reduction="none")
    expected = losses.mean()

    def ask(hidden, weight, targets, size) -> torch.Tensor:
        got = answer(hidden, weight, targets, size)
        return hidden.new_zeros(()) if got is None else got  # which the engine tells by itself

    def found(loss) -> float:
        return float(loss.detach())

    loss = ask(hidden, weight, targets, 4)
    check.shape(loss, (), slug="scalar", when="the loss", hint="One number for all positions, without dimensions.")
    check.that(not near(found(loss), 12 * float(expected)), slug="sum", problem="the loss is the sum, not the mean",
               hint="Divide by the number of scored positions.")  # fmt: skip
    check.that(not near(found(loss), float(expected) / 4) and not near(found(loss), 4 * float(expected)),
               slug="divisor", problem="the mean was multiplied or divided by the size of a chunk",
               hint="Divide once, by the number of scored positions of all chunks.")  # fmt: skip
    check.that(not near(found(loss), 3 * float(expected)), slug="sum-of-means",
               problem="the chunks' means were added up", hint="Add up sums, and divide once at the end.")  # fmt: skip
    for wrong in (losses.sum() / 10, losses[targets > 0].mean()):
        check.that(not near(found(loss), float(wrong)), slug="id-zero", problem="two targets with id 0 did not count",
                   hint="0 is a token's id like any other: only -100 is not scored.")  # fmt: skip
    check.close(loss, expected, slug="even", when="the loss", hint="Three chunks of four, each with its own targets.")
    _same_gradients(check, loss, (hidden, weight, targets), "gradient", "three chunks of four",
                    "Autograd must be able to go back through every chunk: no detach, no item, no float.")  # fmt: skip
    hint = "Positions that do not fill a last chunk count as well."
    loss = ask(hidden[:10], weight, targets[:10], 4)
    check.that(not near(found(loss), float(losses[:8].mean())) and not near(found(loss), float(losses[:8].sum() / 10)),
               slug="last-chunk", problem="the last two of ten positions are missing", hint=hint)  # fmt: skip
    means = [losses[i : min(i + 4, 10)].mean() for i in (0, 4, 8)]
    check.that(not near(found(loss), float(sum(means)) / 3), slug="mean-of-means",
               problem="a chunk of two positions counted as much as one of four",
               hint="A mean of means is wrong where chunks differ. Add up sums, divide once.")  # fmt: skip
    check.close(loss, losses[:10].mean(), slug="uneven", when="the loss of ten positions", hint=hint)
    masked = targets.clone()
    masked[:5] = -100
    hint = "The mean is over the scored positions: divide by (targets != -100).sum()."
    loss = ask(hidden, weight, masked, 4)
    check.that(not bool(torch.isnan(loss)), slug="ignored", problem="a chunk in which nothing is scored gave nan",
               hint="A mean of nothing is nan. Take sums, and divide once at the end.")  # fmt: skip
    check.that(not near(found(loss), float(losses[5:].sum() / 12)), slug="divided-by-all",
               problem="5 of 12 positions are not scored, and the loss was divided by 12", hint=hint)  # fmt: skip
    with torch.no_grad():
        everything = F.cross_entropy(hidden @ weight.T, masked.clamp(min=0), reduction="sum") / 7
    check.that(not near(found(loss), float(everything)), slug="scored-as-zero",
               problem="positions with target -100 were scored as if their target were id 0",
               hint="Leave them out of the sum.")  # fmt: skip
    check.close(loss, losses[5:].mean(), slug="ignored", when="the loss, 5 of 12 positions not scored", hint=hint)
    _same_gradients(check, loss, (hidden, weight, masked), "masked-gradient", "5 of 12 positions not scored",
                    "What is not scored adds nothing, and all is divided by the number that are scored.")  # fmt: skip
    check.close(ask(hidden, weight, targets, 100), expected, slug="one-chunk", when="one chunk of 100: the loss",
                hint="A chunk may be larger than all there is.")  # fmt: skip
    _memory_and_precision(answer, check)


def _memory_and_precision(answer, check) -> None:
    """What exists at one time, going forward and going back; and the same in half precision, with a loss scale."""
    hidden, weight = torch.randn(512, 8, requires_grad=True), torch.randn(1000, 8, requires_grad=True)
    targets, table = torch.randint(1000, (512,)), 512 * 1000 * 4  # bytes of one table of all logits
    with torch.no_grad():
        taken = peak_bytes(lambda: answer(hidden, weight, targets, 32))
    check.that(taken < table / 2, slug="whole-logits",
               problem=f"the logits of 512 positions were there at once: {taken:,} bytes",
               hint="Only a chunk's logits may exist at a time: multiply inside the loop, not before it.")  # fmt: skip
    with torch.no_grad():
        taken = peak_bytes(lambda: answer(hidden, weight, targets, 8))
    check.that(taken < table / 8, slug="chunk-size", problem=f"with size=8 it held {taken:,} bytes: too many positions",
               hint="A chunk has `size` positions. `split(size)` cuts so; `chunk(n)` makes n pieces.")  # fmt: skip
    taken = peak_bytes(lambda: answer(hidden, weight, targets, 32).backward())
    check.that(
        taken < table / 2, slug="kept", problem=f"with the backward pass it holds {taken:,} bytes: every chunk's "
        "log-probabilities were kept for it",
        hint="Have each chunk computed once more on the way back, as you have seen it done with a block: "
        "recompute(function, its arguments, use_reentrant=False).",
    )  # fmt: skip
    given = hidden.detach(), weight.detach(), targets
    exact = _by_autograd(*given)
    for half, scale in ((torch.bfloat16, 1.0), (torch.float16, 2.0**12)):
        leaves = [each.clone().requires_grad_() for each in given[:2]]
        with torch.autocast("cpu", half):
            loss = answer(*leaves, targets, 100)
        when = f"under autocast in {str(half).removeprefix('torch.')}"
        check.that(loss.dtype == torch.float32, slug="half-precision", problem=f"{when} the loss is {loss.dtype}",
                   hint="Sums and losses are made in float32: cross_entropy on logits in float32 is one.")  # fmt: skip
        found = torch.autograd.grad(scale * loss, leaves)
        for got, right in zip(found, exact, strict=True):
            check.close(got / scale, right, slug="half-precision", tolerance=0.02 * float(right.abs().max()),
                        when=f"{when}: a gradient", hint="Logits in half precision, the loss in float32.")  # fmt: skip


def _by_autograd(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> list[torch.Tensor]:
    """The gradients of the mean loss, from whole logits."""
    given = [each.detach().clone().requires_grad_() for each in (hidden, weight)]
    return list(torch.autograd.grad(F.cross_entropy(given[0] @ given[1].T, targets), given))


def _same_gradients(check, loss, given: tuple, slug: str, when: str, hint: str) -> None:
    """Backward passes from this loss give the gradients of the mean over whole logits."""
    check.that(loss.requires_grad, slug="no-gradient", problem="the loss has lost its way back to hidden and weight",
               hint="The loss must stay a tensor that autograd made: no item, float, detach or no_grad.")  # fmt: skip
    found = torch.autograd.grad(3 * loss, given[:2], allow_unused=True)
    for name, got, right in zip(("hidden", "weight"), found, _by_autograd(*given), strict=True):
        check.that(got is not None, slug="no-gradient", problem=f"no gradient reaches {name}", hint=hint)
        check.close(got, 3 * right, slug=slug, when=f"{when}: the gradient by {name}", hint=hint, tolerance=1e-4)
