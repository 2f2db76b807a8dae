"""Exercises of notebook 13 on fitting a law: its residuals in logarithms, Huber's loss, runs drawn again."""

from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F

from course.checks.compare import shown
from course.checks.exercise import exercise
from course.checks.scaling_parts import near, none_of

# ---------------------------------------------------------------------- 13.3


@exercise("13.3", title="A law in logarithms", minutes=12, difficulty=2)
def log_residuals(answer, check):
    E, A, a, B, b = 1.5, 20.0, 0.4, 90.0, 0.3
    given = np.log(E), np.log(A), a, np.log(B), b
    N, D, L = np.array([1e4, 1e5, 2e6]), np.array([3e6, 2e5, 7e7]), np.array([3.0, 2.5, 2.2])
    with np.errstate(all="ignore"):
        got = answer(given, N, D, L)
        _simple(check, got, (E, A, a, B, b), N, D, L)
        hint = "The logarithm of E + A / N^a + B / D^b, less that of L: one number for each run."
        for _ in range(5):
            runs = check.random.randint(1, 9)
            E, A, a, B, b = (check.random.uniform(*ends) for ends in ((0, 3), (0, 9), (0, 1), (0, 9), (0, 1)))
            N, D = (np.array([10 ** check.random.uniform(3, 12) for _ in range(runs)]) for _ in "ND")
            L = np.array([check.random.uniform(0.5, 9) for _ in range(runs)])
            law = np.exp(E) + np.exp(A) / N**a + np.exp(B) / D**b
            got = answer((E, A, a, B, b), N, D, L)
            check.close(got, np.log(law / L), slug="random", tolerance=1e-7, hint=hint)
        _beyond_floats(answer, check)


def _simple(check, got, law: tuple, N, D, L) -> None:
    E, A, a, B, b = law
    right = np.log((E + A / N**a + B / D**b) / L)
    check.that(np.shape(got) != (), slug="one-number", problem="that is one number",
               hint="Each run has its residual. They are made into one number later.")  # fmt: skip
    none_of(check, got, [
        ("sign", -right, "all signs are the other way round", "The law's logarithm, less that of the run's loss."),
        ("no-logarithm", E + A / N**a + B / D**b - L, "the losses themselves are compared",
         "Take the logarithm of both before you subtract."),
        ("no-logarithm", np.log(E + A / N**a + B / D**b) - L, "L is not in logarithms", "Subtract log L."),
        ("no-logarithm", (E + A / N**a + B / D**b) - np.log(L), "the law's loss is not in logarithms",
         "Take the logarithm of the sum, too."),
        ("squared", right**2, "the residuals are squared", "Leave them as they are: Huber's loss comes later."),
        ("absolute", np.abs(right), "the residuals have lost their signs", "Leave the signs as they are."),
        ("ratio", np.exp(right), "that is law over loss", "Its logarithm is asked for."),
        ("log10", right / np.log(10), "those are logarithms to the base 10", "Take natural ones."),
        ("exponent-sign", np.log((E + A * N**a + B * D**b) / L), "the loss grows with N and D",
         "A / N^a has the logarithm log A - a log N."),
        ("parameters-order", np.log((E + A / N ** np.log(B) + np.exp(a) / D**b) / L), "the parameters are mixed up",
         "They come as log E, log A, a, log B, b."),
        ("swapped", np.log((E + A / D**a + B / N**b) / L), "N and D are exchanged",
         "A and a go with N, B and b with D."),
        ("same-exponent", np.log((E + A / N**a + B / D**a) / L), "both terms have the exponent a", "D has its own, b."),
        ("no-e", np.log((A / N**a + B / D**b) / L), "E is missing", "The sum has three terms."),
        ("e-of-one", np.log((1 + A / N**a + B / D**b) / L), "E is 1 there", "log E is given: E is its exponential."),
        ("e-as-given", np.log((np.log(E) + A / N**a + B / D**b) / L), "log E was added, and not E",
         "What is given is log E. In logarithms it stays as it is."),
        ("two-terms", np.log((E + A / N**a) / L), "the term of D is missing",
         "np.logaddexp adds two: a third argument is where it writes the result. Call it twice."),
        ("two-terms", np.log((E + B / D**b) / L), "the term of N is missing",
         "np.logaddexp adds two: a third argument is where it writes the result. Call it twice."),
        ("not-exponentials", np.log((np.log(E) + np.log(A) / N**a + np.log(B) / D**b) / L),
         "log E, log A and log B were taken for E, A and B", "What is given are logarithms."),
        ("logarithms-added", np.log(E) + np.log(A) - a * np.log(N) + np.log(B) - b * np.log(D) - np.log(L),
         "the logarithms of the terms were added up", "The logarithm of a sum is not a sum of logarithms."),
        ("not-divided", np.log(E + A / N**a + B / D**b), "L is missing", "Subtract log L."),
        ("exponent-in-the-exponential", np.log((E + np.exp(np.log(A) - a * N) + np.exp(np.log(B) - b * D)) / L),
         "N and D themselves stand in the exponent", "N^a is exp(a log N)."),
    ])  # fmt: skip
    check.shape(np.asarray(got), (3,), slug="shape", hint="One residual for each run.")
    check.close(got, right, slug="value", tolerance=1e-8, hint="log(E + A / N^a + B / D^b) - log L.")


def _beyond_floats(answer, check) -> None:
    """Where A or B is too large for a float, or all terms are too small, and the loss is a number like others."""
    hint = "exp(800) is no float, though the sum is small. Keep each term in logarithms; np.logaddexp adds two such."
    N, D, L = np.array([np.exp(10.0), np.exp(12.0)]), np.array([np.exp(15.0), np.exp(2.0)]), np.array([2.0, 3.0])
    cases = (
        ("log A = 800", (0.0, 800.0, 80.0, -1.0, 0.2), [1 + 1 + np.exp(-4), 1 + np.exp(-160.0) + np.exp(-1.4)]),
        ("log B = 900", (1.0, 0.0, 0.1, 900.0, 60.0), [np.e + np.exp(-1) + 1, None]),
    )
    for what, parameters, expected in cases:
        got = np.asarray(answer(parameters, N, D, L))
        check.that(got.shape == (2,) and np.isfinite(got).all(), slug="overflow",
                   problem=f"{what}: the residuals are {shown(got)}", hint=hint)  # fmt: skip
        # A term of exp(780) leaves the others nothing: its logarithm is that of the sum.
        right = [780.0 if each is None else np.log(each) for each in expected] - np.log(L)
        check.close(got, right, slug="overflow", tolerance=1e-7, when=what, hint=hint)
    got = np.asarray(answer((-800.0, -800.0, 0.0, -800.0, 0.0), N, D, L))
    check.that(got.shape == (2,) and np.isfinite(got).all(), slug="underflow",
               problem=f"all three terms are exp(-800): the residuals are {shown(got)}",
               hint="exp(-800) is 0 in a float, and log 0 minus infinity: keep each term in logarithms.")  # fmt: skip
    check.close(got, np.log(3) - 800 - np.log(L), slug="underflow", tolerance=1e-9, hint=hint,
                when="all three terms are exp(-800)")  # fmt: skip


# ---------------------------------------------------------------------- 13.4


@exercise("13.4", title="Huber's loss", minutes=8, difficulty=1)
def huber(answer, check):
    r, delta = np.array([0.0, 0.1, -0.2, 0.4, 3.0, -4.0]), 0.4
    size = np.abs(r)
    got = answer(r, delta)
    right = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))
    check.that(np.shape(got) != (), slug="one-number", problem="that is one number",
               hint="Each residual has its loss. They are added up elsewhere.")  # fmt: skip
    none_of(check, got, [
        ("square", r**2 / 2, "it is a square everywhere", "Beyond delta it goes on as a straight line."),
        ("square", r**2, "it is a square everywhere", "Beyond delta it goes on as a straight line."),
        ("line", size, "it is a straight line everywhere", "Up to delta it is half the square."),
        ("no-half", np.where(size <= delta, r**2, delta * (size - delta / 2)), "small residuals have a whole square",
         "Half the square, so that its slope at delta is delta, that of the line."),
        ("no-half", 2 * right, "every loss is twice Huber's", "Half the square, and a line of slope delta."),
        ("jump", np.where(size <= delta, r**2 / 2, delta**2 / 2 + delta * size), "the loss jumps at delta",
         "Beyond delta the line has grown for size - delta, not for all of the size."),
        ("jump", np.where(size <= delta, r**2 / 2, delta * size), "the loss jumps at delta",
         "The line has to begin where the square ends: at delta² / 2."),
        ("jump", np.where(size <= delta, r**2 / 2, size), "the loss jumps at delta", "It must be smooth there."),
        ("jump", np.where(size <= delta, r**2 / 2, delta * (size - delta)), "the loss jumps at delta",
         "The line has to begin where the square ends: at delta² / 2."),
        ("slope", np.where(size <= delta, r**2 / 2, size - delta + delta**2 / 2), "the line is too steep",
         "At delta the square has the slope delta. The line goes on with it."),
        ("slope", np.where(size <= delta, r**2 / 2, size - delta / 2), "the line is too steep",
         "At delta the square has the slope delta. The line goes on with it."),
        ("smooth-l1", np.where(size <= delta, r**2 / 2 / delta, size - delta / 2), "everything is divided by delta",
         "That is another loss, smooth L1. Huber's is half the square, up to delta."),
        ("pseudo", delta**2 * (np.sqrt(1 + (r / delta) ** 2) - 1), "that is the pseudo-Huber loss",
         "Huber's own loss is made of two pieces: a square and a line."),
        ("cut-off", np.minimum(r**2 / 2, delta**2 / 2), "beyond delta the loss no longer grows",
         "It goes on as a straight line: an outlier still pulls, but not harder and harder."),
        ("other-way", np.where(size > delta, r**2 / 2, delta * (size - delta / 2)), "square and line are exchanged",
         "The square belongs to small residuals."),
        ("negative", np.where(size <= delta, r**2 / 2, delta * (r - delta / 2)),
         "a residual of -4 has a negative loss", "The size of the residual counts, not its sign."),
        ("negative", np.where(r <= delta, r**2 / 2, delta * (r - delta / 2)),
         "a residual of -4 was taken for a small one", "The size of the residual counts, not its sign."),
        ("delta-of-one", np.where(size <= 1, r**2 / 2, size - 0.5), "delta is 1 there", "Use the delta that is given."),
    ])  # fmt: skip
    check.shape(np.asarray(got), r.shape, slug="shape", hint="One loss for each residual.")
    check.close(got, right, slug="value", tolerance=1e-9, hint="Half the square up to delta, and the line beyond.")
    for number in range(8):
        delta = 10 ** check.random.uniform(-3, 1)
        shape = (7,) if number % 2 else (3, 4)
        r = np.array([check.random.gauss(0, 2 * delta) for _ in range(np.prod(shape))]).reshape(shape)
        r.flat[0] = delta
        expected = F.huber_loss(torch.from_numpy(r), torch.zeros(shape).double(), reduction="none", delta=delta)
        got = answer(r, delta)
        check.shape(np.asarray(got), shape, slug="shape", hint="One loss for each residual, in the same shape.")
        scale = float(expected.max())
        check.close(np.asarray(got) / scale, expected / scale, slug="random", tolerance=1e-9,
                    when=f"delta {delta:.3g}, losses over {scale:.3g}", hint="As torch's huber_loss.")  # fmt: skip


# ---------------------------------------------------------------------- 13.5


@exercise("13.5", title="Runs drawn again", minutes=12, difficulty=2)
def resample(answer, check):
    """Six configurations of one to three runs; some share an N, some a D, some their product or their sum."""
    configurations = [(1.0, 5.0, 3), (1.0, 10.0, 1), (2.0, 5.0, 2), (2.0, 10.0, 3), (4.0, 5.0, 1), (4.0, 8.0, 2)]
    runs = [(n, d) for n, d, seeds in configurations for _ in range(seeds)]
    check.random.shuffle(runs)
    N, D = np.array(runs).T
    size, count, when = Counter(runs), len(configurations), "200 generators"
    draws = [_drawn(check, answer(N, D, np.random.default_rng(seed)), N) for seed in range(200)]
    of_runs = [[runs[i] for i in draw] for draw in draws]
    check.that(any(len(set(draw)) < count for draw in of_runs), slug="everything", when=when,
               problem="every draw has every configuration",
               hint="Draw with replacement: some configurations come twice, and others not at all.")  # fmt: skip
    check.that(
        not all(len(draw) == len(runs) for draw in draws) or all(map(_whole(size), of_runs)),
        slug="runs-drawn", when=when,
        problem=f"always {len(runs)} runs are drawn, one by one",
        hint="Draw configurations. Runs of one configuration tell nothing new of another, so they come together.",
    )  # fmt: skip
    few = all(len(draw) == count for draw in draws) and not all(map(_whole(size), of_runs))
    check.that(not few or max(map(max, draws)) >= count, slug="configurations", when=when,
               problem=f"always {count} numbers from 0 to {count - 1} are drawn",
               hint="Those are the numbers of configurations. Return where their runs stand in N and D.")  # fmt: skip
    check.that(not few, slug="one-run-each", when=when, problem=f"always {count} runs are drawn",
               hint="A configuration that is drawn comes with *all* its runs.")  # fmt: skip
    for of, what in (
        (lambda n, d: n, "N"),
        (lambda n, d: d, "D"),
        (lambda n, d: n * d, "N times D"),
        (lambda n, d: n + d, "N plus D"),
    ):
        alone = Counter(of(*each) for each in runs)
        together = all(_whole(alone)([of(*each) for each in draw]) for draw in of_runs)
        check.that(not together, slug="one-value", when=when, problem=f"runs with the same {what} always come together",
                   hint=f"A configuration is a pair (N, D): the same {what} is not enough.")  # fmt: skip
    torn = next((draw for draw in of_runs if not _whole(size)(draw)), None)
    check.that(torn is None, slug="torn", when=when,
               problem=f"a draw has some runs of a configuration without the others: "
               f"{shown(dict(Counter(torn or [])))}; all there are: {shown(dict(size))}",
               hint="np.flatnonzero(which == configuration) finds all runs of one, wherever they stand.")  # fmt: skip
    times = [{each: found[each] // size[each] for each in found} for found in map(Counter, of_runs)]
    check.that(any(max(each.values()) > 1 for each in times), slug="without-replacement", when=when,
               problem="no configuration ever came twice",
               hint="With replacement: one that is drawn twice has its runs in the result twice.")  # fmt: skip
    lengths = {sum(each.values()) for each in times}
    check.that(lengths == {count}, slug="how-many", when=when,
               problem=f"{shown(sorted(lengths))} configurations are drawn",
               hint=f"As many are drawn as there are: {count}.")  # fmt: skip
    _by_the_generator(answer, check, N, D, draws)
    _as_often(check, times, size)
    one = _drawn(check, answer(np.array([3.0, 3.0]), np.array([8.0, 8.0]), np.random.default_rng(0)), N)
    check.equal(sorted(one), [0, 1], slug="one-configuration", hint="A single configuration is drawn once, whole.")


def _drawn(check, got, N: np.ndarray) -> list[int]:
    """The indices that were returned, in a list."""
    try:
        array = np.asarray(got)
    except ValueError:  # lists of different lengths
        array = np.zeros((0, 0))
    hint = "One flat array of indices: np.concatenate puts those of all drawn configurations behind one another."
    check.that(array.ndim == 1 and len(array), slug="flat", problem=f"the answer is {shown(got)}", hint=hint)
    check.that(array.dtype.kind in "iu", slug="indices", problem=f"the answer holds {shown(array[0])}",
               hint="Return where the runs stand in N and D: whole numbers, so that N[...] works.")  # fmt: skip
    check.that(0 <= array.min() and array.max() < len(N), slug="outside",
               problem=f"there are {len(N)} runs, and the answer has the index {shown(array.max())}",
               hint="The numbers are those of runs, from 0 on.")  # fmt: skip
    return array.tolist()


def _whole(size: Counter):
    """Whether each configuration in a draw comes with all its runs, as often as it comes."""
    return lambda draw: all(found % size[each] == 0 for each, found in Counter(draw).items())


def _by_the_generator(answer, check, N, D, draws: list) -> None:
    check.that(len({tuple(draw) for draw in draws}) > 1, slug="always-the-same", when="200 generators",
               problem="they all drew the same runs", hint="Draw with `generator`.")  # fmt: skip
    again = []
    for seed in range(5):
        np.random.seed(seed)
        again.append(_drawn(check, answer(N, D, np.random.default_rng(17)), N))
    check.that(all(draw == draws[17] for draw in again), slug="own-generator", when="generators of one seed",
               problem="they did not draw the same runs",
               hint="Every number by chance has to come from `generator`, and from no other.")  # fmt: skip
    differ = {tuple(sorted(draw)) for draw in draws}  # their order says nothing
    check.that(len(differ) > 100, slug="few-draws", when="200 generators",
               problem=f"they gave only {len(differ)} different draws",
               hint="Draw the configurations one by one, each from all of them.")  # fmt: skip


def _as_often(check, times: list[dict], size: Counter) -> None:
    """Over many draws every configuration comes about once a draw, however many runs it has."""
    often = {each: sum(draw.get(each, 0) for draw in times) / len(times) for each in size}
    never = [each for each in often if not often[each]]
    check.that(not never, slug="never", when=f"{len(times)} generators",
               problem=f"configuration {shown(never[:1])} never came",
               hint="`generator.integers(0, count)` leaves out `count`, and nothing else.")  # fmt: skip
    most, least = max(often, key=often.get), min(often, key=often.get)
    check.that(
        often[most] < 1.3 and often[least] > 0.7, slug="as-often", when=f"{len(times)} generators",
        problem=f"configuration {most} with {size[most]} runs came {often[most]:.2f} times a draw, {least} with "
        f"{size[least]} runs {often[least]:.2f} times",
        hint="All configurations are as likely: draw among the different ones, not among the runs.",
    )  # fmt: skip
    none = sum(len(draw) < len(size) for draw in times) / len(times)
    check.that(near(round(none), 1), slug="too-even", when=f"{len(times)} generators",
               problem="nearly every draw has all configurations",
               hint="Each draw is from all of them: 6 draws of 6 rarely are all different.")  # fmt: skip
