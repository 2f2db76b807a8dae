"""Exercises of notebook 13 on budgets: the operations of a run, the best size for a budget, the best split of one."""

import math

import numpy as np

from course.checks.compare import is_pair, shown
from course.checks.exercise import exercise
from course.scaling.law import ScalingLaw
from helpers.errors import CourseError
from helpers.model import GPTConfig


def near(got, value, tolerance: float = 1e-6) -> bool:
    """Whether a number, or an array of them, is what a known mistake gives; False for anything else."""
    try:
        got, value = np.asarray(got, dtype=np.float64), np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        return False
    scale = float(np.abs(value[np.isfinite(value)]).max(initial=0.0))
    return got.shape == value.shape and np.allclose(got, value, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def none_of(check, got, mistakes, when: str | None = None) -> None:
    """Fails the exercise if `got` is what a mistake gives; each is (slug, its value, problem, hint)."""
    for slug, value, problem, hint in mistakes:
        check.that(not near(got, value), slug=slug, problem=problem, hint=hint, when=when)


# ---------------------------------------------------------------------- 13.1

PARTS = ("blocks", "head", "attention")


@exercise("13.1", title="The operations of a run", minutes=12, difficulty=2)
def training_operations(answer, check):
    L, d, f, T, V, tokens = 5, 8, 23, 12, 50, 84  # no two mistakes give the same number
    config = GPTConfig(V, T, L, 4, d, d_ff=f)
    got = answer(config, tokens)
    check.that(
        isinstance(got, dict) and set(got) == set(PARTS), slug="keys", problem=f"the answer is {shown(got)}",
        hint='A dictionary with the three keys "blocks", "head" and "attention".',
    )  # fmt: skip
    block, head, attention = 4 * d * d + 2 * d * f, V * d, 12 * L * d * T * tokens
    for name, whole in (("blocks", 6 * L * block * tokens), ("head", 6 * head * tokens), ("attention", attention)):
        _of_every_part(check, got[name], name, whole, tokens)
    none_of(check, got["blocks"], [
        ("four-d", 6 * L * 12 * d * d * tokens, "a block has 12 d² weights here",
         "So it is where the MLP is 4 d wide. This one is config.d_ff wide."),
        ("one-block", 6 * block * tokens, "only one block is counted", "There are n_layer of them."),
        ("mlp-missing", 6 * L * 4 * d * d * tokens, "the MLP is missing",
         "A block has two more matrices: d by d_ff, and d_ff by d."),
        ("attention-missing", 6 * L * 2 * d * f * tokens, "the matrices of attention are missing",
         "Queries, keys, values and the projection behind them: four matrices of d by d."),
        ("projection", 6 * L * (3 * d * d + 2 * d * f) * tokens, "a matrix of d by d is missing",
         "Besides queries, keys and values there is the projection behind attention."),
        ("one-way-mlp", 6 * L * (4 * d * d + d * f) * tokens, "one of the MLP's matrices is missing",
         "The MLP goes up to d_ff and comes down again."),
        ("biases", 6 * L * (block + 9 * d + f) * tokens, "biases and norms are counted",
         "They are added, or scale: no matrix multiplications."),
        ("biases", 6 * L * (block + 5 * d + f) * tokens, "biases are counted", "They are added: no multiplication."),
    ])  # fmt: skip
    none_of(check, got["head"], [
        ("looked-up", 12 * head * tokens, "the embedding is counted with the head",
         "Rows of the embedding are looked up and not multiplied."),
        ("looked-up", 6 * (head + T * d) * tokens, "the position vectors are counted",
         "Positions are looked up and added: no multiplication."),
        ("looked-up", 6 * (2 * head + T * d) * tokens, "the embeddings are counted with the head",
         "Rows of an embedding are looked up and not multiplied."),
        ("tied", 0, "the head costs nothing here", "It may share its weights, and still multiplies by them."),
    ])  # fmt: skip
    none_of(check, got["attention"], [
        ("halved", attention / 2, "that is half of it",
         "Two products: scores, and the mixing of values. And masked positions count: they are computed as well."),
        ("one-layer", attention / L, "attention is counted for one layer", "Every layer has its own."),
        ("heads", attention / 4, "one head's features are counted", "All heads together have d features."),
        ("heads", attention * 4, "it was multiplied by the heads",
         "The heads share the d features: more heads are no more operations."),
        ("twice", attention * 2, "that is twice as much as it should be",
         "Two products of 2 d T operations a token, and a backward pass of twice as many."),
        ("sequence", 12 * L * d * T * T, "these are the operations of one sequence",
         "Each of all `tokens` looks at T positions."),
        ("no-context", 12 * L * d * tokens, "the context length is missing",
         "Each token's query is multiplied by T keys."),
        ("all-tokens", 12 * L * d * tokens * tokens, "every token looks at all tokens of the run",
         "A token sees its own sequence: config.context_length positions."),
    ])  # fmt: skip
    for name, whole in (("blocks", 6 * L * block * tokens), ("head", 6 * head * tokens), ("attention", attention)):
        check.close(got[name], whole, slug=name, tolerance=1e-9, when=name, hint=_PLAN)
    for number in range(6):
        pick = check.random.choice
        n_head = pick((1, 2, 3))
        config = GPTConfig(
            pick((17, 40)), pick((5, 8)), pick((1, 2, 4)), n_head, n_head * pick((2, 4)), d_ff=pick((None, 9, 24)),
            bias=number % 2 == 0, tied_head=number % 3 == 0,
        )  # fmt: skip
        counted = by_products(config, sequences := pick((1, 3)))
        tokens = sequences * config.context_length
        got = answer(config, tokens)
        for part in PARTS:
            check.close(got[part], counted[part], slug="counted", tolerance=1e-9, hint=_PLAN,
                        when=f"{part} of {config}, {tokens} tokens, product by product")  # fmt: skip


_PLAN = "6 for each weight that multiplies and each token; attention's two products are (T, T) for each sequence."


def _of_every_part(check, got, part: str, whole: int, tokens: int) -> None:
    none_of(check, got, [
        ("forward-only", whole / 3, "only the forward pass is counted",
         "The backward pass costs twice as much again: a gradient of what came in, and one of the weights."),
        ("backward-once", whole * 2 / 3, "the backward pass costs as much as the forward pass",
         "Each product has two in the backward pass."),
        ("backward-only", whole * 2 / 3, "only the backward pass is counted", "The forward pass counts as well."),
        ("multiply-add", whole / 2, "a multiplication and its addition are one", "They count as two operations."),
        ("no-tokens", whole / tokens, "these are the operations of one token", "Multiply by `tokens`."),
        ("no-six", whole / 6, "a weight costs one operation here", "Two in the forward pass, four in the backward."),
    ] if part != "attention" else [
        ("forward-only", whole / 3, "only the forward pass is counted",
         "The backward pass costs twice as much again: each product has two."),
        ("backward-once", whole * 2 / 3, "the backward pass costs as much as the forward pass",
         "Each product has two in the backward pass."),
        ("no-tokens", whole / tokens, "these are the operations of one token", "Multiply by `tokens`."),
    ], when=part)  # fmt: skip


def by_products(config: GPTConfig, sequences: int) -> dict[str, int]:
    """The same, product by product: an (m, k) times a (k, n) matrix has m n entries of k multiply-adds."""
    d, f, T, d_head = config.d_model, config.d_ff, config.context_length, config.d_model // config.n_head
    found = dict.fromkeys(PARTS, 0)

    def multiply(part: str, m: int, k: int, n: int) -> None:
        going_back = (m, n, k), (k, m, n)  # the gradient of the left matrix, and of the right one
        for rows, inside, columns in ((m, k, n), *going_back):
            found[part] += rows * columns * 2 * inside

    for _ in range(sequences):
        for _ in range(config.n_layer):
            for into, out in ((d, 3 * d), (d, d), (d, f), (f, d)):
                multiply("blocks", T, into, out)
            for _ in range(config.n_head):
                multiply("attention", T, d_head, T)  # scores
                multiply("attention", T, T, d_head)  # values, mixed
        multiply("head", T, d, config.vocab_size)
    return found


# ---------------------------------------------------------------------- 13.2


@exercise("13.2", title="The best size for a budget", minutes=8, difficulty=1)
def best_size(answer, check):
    N = [1e5, 2e5, 6e5, 2e6, 1e7]  # unequal steps
    losses = [3.0 + 0.05 * math.log(n / 4e5) ** 2 for n in N]
    got = answer(N, losses)
    a, b, _ = _parabola(np.log(N), losses)
    A, B, _ = _parabola(np.array(N), losses)
    none_of(check, got, [
        ("sampled", N[int(np.argmin(losses))], "that is the best of the sizes that were tried",
         "The lowest point of the curve may lie between two of them."),
        ("logarithm", math.log(4e5), "that is a logarithm", "Go back from log N to N: exp."),
        ("logarithm", math.log10(4e5), "that is a logarithm", "Go back from log N to N."),
        ("the-loss", 3.0, "that is the lowest loss", "Asked for is the N at which it is reached."),
        ("plain-n", -B / (2 * A), "the parabola is one in N itself",
         "The sizes are spread over factors. Fit the curve to the logarithms of N."),
        ("plain-n", math.exp(min(-B / (2 * A), 700.0)), "the parabola is one in N itself", "Fit it to log N."),
        ("no-half", math.exp(-b / a), "the lowest point is too far out", "Where is the slope 2 a x + b zero?"),
        ("no-half", math.exp(-b / (4 * a)), "the lowest point is not far enough out",
         "Where is the slope 2 a x + b zero?"),
        ("sign", math.exp(b / (2 * a)), "the sign is wrong", "2 a x + b is zero where x = -b / (2 a)."),
        ("bases", 10 ** math.log(4e5), "two bases are mixed", "What was taken with np.log is undone by exp."),
        ("bases", math.exp(math.log10(4e5)), "two bases are mixed", "What was taken with log10 is undone by 10**."),
        ("bases", 2 ** math.log(4e5), "two bases are mixed", "What was taken with np.log is undone by exp."),
        ("order", math.exp(-b / (2 * _parabola(np.log(N), losses)[2])), "the coefficients are in another order",
         "np.polyfit gives the coefficient of the highest power first."),
        ("worst", N[int(np.argmax(losses))], "that is the worst size", "The lowest point is asked for."),
    ])  # fmt: skip
    hint = "A parabola through all points (log N, loss); its lowest point; and from log N back to N."
    check.close(got, 4e5, slug="exact", tolerance=1e-6, hint=hint)
    for lowest, slug, where in ((1.7e6, "between", "between two sizes"), (5e4, "beyond", "below all sizes"),
                                (3e7, "beyond", "above all sizes")):  # fmt: skip
        losses = [2.0 + 0.03 * math.log(n / lowest) ** 2 for n in N]
        check.close(answer(N, losses), lowest, slug=slug, tolerance=1e-6, when=f"the lowest point is {where}",
                    hint="The vertex is that of the curve, wherever the tried sizes lie.")  # fmt: skip
    noisy = [1e5, 2e5, 4e5, 8e5, 16e5, 32e5], [2.91, 2.70, 2.66, 2.55, 2.71, 2.68]
    got = answer(*noisy)
    x, lowest = np.log(noisy[0]), int(np.argmin(noisy[1]))
    a, b, _ = _parabola(x[lowest - 1 : lowest + 2], noisy[1][lowest - 1 : lowest + 2])
    none_of(check, got, [
        ("three-points", math.exp(-b / (2 * a)), "only the lowest point and its neighbors were used",
         "Losses scatter. Fit the curve to all points, by least squares."),
    ])  # fmt: skip
    for _ in range(8):
        count = check.random.randint(4, 8)
        sizes = [10 ** check.random.uniform(4, 8) for _ in range(count)]  # in no order
        lowest = 10 ** check.random.uniform(5, 7)
        losses = [2 + 0.05 * math.log(n / lowest) ** 2 + check.random.uniform(-0.02, 0.02) for n in sizes]
        a, b, _ = _parabola(np.log(sizes), losses)
        check.close(answer(sizes, losses), math.exp(-b / (2 * a)), slug="least-squares", tolerance=1e-4,
                    hint="Losses scatter: the curve is that of least squares through all points.")  # fmt: skip


def _parabola(x: np.ndarray, y) -> np.ndarray:
    """a, b, c of the parabola a x² + b x + c that is nearest to points, from the equations of least squares."""
    x, middle, width = np.asarray(x, dtype=np.float64), float(np.mean(x)), float(np.ptp(x))
    z = (x - middle) / width
    powers = np.stack([z**2, z, np.ones(len(z))])
    a, b, c = np.linalg.solve(powers @ powers.T, powers @ np.asarray(y))
    a, b = a / width**2, b / width
    return np.array([a, b - 2 * a * middle, c - b * middle + a * middle**2])


# ---------------------------------------------------------------------- 13.6

OWN = "that is what this exercise asks for: work it out from A, a, B and b"


class LawAlone(ScalingLaw):
    """A law that does not know its best split."""

    def best_split(self, operations):
        raise CourseError(OWN)


@exercise("13.6", title="The best split of a budget", minutes=15, difficulty=3)
def best_split(answer, check):
    law, budget = LawAlone(1.2, 60.0, 0.4, 300.0, 0.3), 6e12
    G = (law.a * law.A / (law.b * law.B)) ** (1 / (law.a + law.b))
    k, both = law.b / (law.a + law.b), budget / 6
    got = _asked(answer, check, law, budget)
    check.that(is_pair(got), slug="a-pair", problem=f"the answer is {shown(got)}",
               hint="Return two numbers: N and D.")  # fmt: skip
    N, D = _lowest(law, budget)
    mistakes = [
        ("swapped", D, "that is D", "First N, the weights, then D, the tokens."),
        ("no-six", G * budget**k, "the six is missing", "6 N D = operations: first divide by 6."),
        ("equal-terms", (law.A / law.B) ** (1 / (law.a + law.b)) * both**k, "the two terms are equal there",
         "At the lowest point not the terms are equal but their slopes. In log N that of A / N^a is -a A / N^a."),
        ("exponents", G * both ** (1 - k), "the exponents are exchanged",
         "The larger b is, the sooner tokens have done what they can, and the faster N grows."),
        ("upside-down", both**k / G, "the factor is upside down", "The larger A is, the larger should N be."),
        ("no-root", (law.a * law.A / (law.b * law.B)) * both**k, "the factor lacks its root",
         "N to the power of a + b stands on one side: take the root of all of the other."),
        ("no-factor", both**k, "the factor before the power is missing", "A, B and the exponents decide it."),
        ("half", math.sqrt(both), "N and D are equal", "They are where A = B and a = b, and here they are not."),
        ("half", G * math.sqrt(both), "N grows like the root of the budget", "It does only where a = b."),
        ("twenty", math.sqrt(both / 20), "there are 20 tokens a weight", "That is another law's. Take this one's."),
        ("letters", (law.b * law.A / (law.a * law.B)) ** (1 / (law.a + law.b)) * both**k, "a and b are exchanged",
         "The slope of A / N^a in log N is -a A / N^a: the a goes with the A."),
        ("the-loss", float(law.loss(N, D)), "that is a loss", "Return N and D."),
    ]  # fmt: skip
    none_of(check, got[0], mistakes)
    hint = "At the lowest point a small change of log N, with 6 N D kept, changes the loss by nothing."
    check.close(got[0], N, slug="best-n", tolerance=1e-5, when="N", hint=hint)
    check.close(6 * got[0] * got[1], budget, slug="budget", tolerance=1e-6, when="6 N D",
                hint="N and D have to use up the budget, and no more: D follows from N.")  # fmt: skip
    for scale in (1.0, 10.0, 1e6):
        got, (N, D) = answer(law, scale * budget), _lowest(law, scale * budget)
        check.close(got[0], N, slug="power", tolerance=1e-5, when=f"N for {scale * budget:.0e} operations",
                    hint="The best N is a power of the budget.")  # fmt: skip
    for _ in range(8):
        pick = check.random.uniform
        law = LawAlone(pick(0, 3), 10 ** pick(0, 4), pick(0.1, 1.2), 10 ** pick(0, 4), pick(0.1, 1.2))
        budget = 10 ** pick(10, 24)
        got, (N, D) = answer(law, budget), _lowest(law, budget)
        check.close(6 * got[0] * got[1], budget, slug="budget", tolerance=1e-6, when="6 N D",
                    hint="N and D have to use up the budget.")  # fmt: skip
        check.close(got[0], N, slug="random", tolerance=1e-5, when=f"N for {budget:.3g} operations of {law}", hint=hint)


def _asked(answer, check, law: ScalingLaw, budget: float):
    try:
        return answer(law, budget)
    except CourseError as error:
        if str(error) != OWN:
            raise
        check.fail("the law was asked for the split", slug="laws-own", hint=f"No: {OWN}.")


def _lowest(law: ScalingLaw, budget: float) -> tuple[float, float]:
    """N and D of the lowest loss, found by halving: where the loss stops falling with log N."""
    low, high = -300.0, 300.0 + math.log(budget)
    for _ in range(200):
        log_N = (low + high) / 2
        falls = math.log(law.a * law.A) - law.a * log_N  # logarithms of both slopes
        rises = math.log(law.b * law.B) - law.b * (math.log(budget / 6) - log_N)
        low, high = (log_N, high) if falls > rises else (low, log_N)
    return math.exp(log_N), budget / 6 / math.exp(log_N)
