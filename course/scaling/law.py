"""Built in notebook 13: a scaling law: how the loss falls with the size of a model and the tokens that it reads.

    L(N, D) = E + (A / N^a + B / D^b)^k

N weights, D tokens, L the validation loss in nats per token; E is what no model can get below. With k = 1 it is the law
of Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models" (section 3.3). A power around the sum stands
in Kaplan et al. 2020, "Scaling Laws for Neural Language Models" (equation 1.5, of finite data read again and again;
k < 1, no E); with k > 1 being short of both, weights and tokens, costs more than the two together.

Used in notebook 13.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from helpers.errors import CourseError

DELTA = 1e-2  # where the Huber loss turns from a square into a line, in log loss: about what seeds differ by here
LEAST = 6  # different runs: one more than parameters
POWERS = (1.0, 4.0)  # where searches for k begin
NOTHING = 1e-3  # nats: the least E; what comes out as this means that the runs show no floor
STARTS = (-2.0, 0.0), (4.0, 10.0), (0.4, 1.0), (4.0, 12.0), (0.4, 1.0)  # of log E, log A, a, log B, b


@dataclass(frozen=True)
class ScalingLaw:
    """L(N, D) = E + (A / N^a + B / D^b)^k, in nats per token."""

    E: float
    A: float
    a: float
    B: float
    b: float
    k: float = 1.0

    def __str__(self) -> str:
        return f"E {self.E:.3f}, A {self.A:.4g}, a {self.a:.3f}, B {self.B:.4g}, b {self.b:.3f}, k {self.k:.2f}"

    def loss(self, N: ArrayLike, D: ArrayLike) -> np.ndarray:
        """The loss of models of N weights after D tokens."""
        return self.E + (self.A * np.float64(N) ** -self.a + self.B * np.float64(D) ** -self.b) ** self.k

    def parameters(self) -> list[float]:
        """What `log_residuals` takes."""
        return [np.log(self.E), np.log(self.A), self.a, np.log(self.B), self.b, self.k]

    def best_split(self, operations: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """The N and D with the lowest loss of all that use up the operations 6 N D (Hoffmann et al., equation 4)."""
        ratio = (self.a * self.A / (self.b * self.B)) ** (1 / (self.a + self.b))
        product_of_both = np.float64(operations) / 6
        N = ratio * product_of_both ** (self.b / (self.a + self.b))
        return N, product_of_both / N


def huber(residuals: np.ndarray, delta: float = DELTA) -> np.ndarray:
    """Half the square of a small residual; beyond `delta` a straight line, so that an outlier does not rule the fit."""
    size = np.abs(residuals)
    return np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))


def log_residuals(parameters: ArrayLike, N: np.ndarray, D: np.ndarray, L: np.ndarray) -> np.ndarray:
    """How far a law's log losses are from those of runs: (runs,).

    Args:
        parameters: (log E, log A, a, log B, b), so that E, A and B cannot become negative, and k if it is not 1.
    """
    log_E, log_A, a, log_B, b, *k = parameters
    log_sum = np.logaddexp(log_A - a * np.log(N), log_B - b * np.log(D))
    return np.logaddexp(log_E, k[0] * log_sum if k else log_sum) - np.log(L)


def fit(
    N: ArrayLike, D: ArrayLike, L: ArrayLike, power: bool = False, starts: Iterable | None = None, delta: float = DELTA
) -> ScalingLaw:
    """The law nearest to some runs: the sum of `huber` of their log residuals is made small, from many starts.

    Args:
        N, D, L: of each run its weights, its tokens and its validation loss, (runs,) each.
        power: whether k is fitted, too; otherwise it is 1.
        starts: where the searches begin, parameters of `log_residuals`; None: a coarse lattice of them.
        delta: in log loss; Hoffmann et al. take 1e-3 (section 3.3).

    Raises:
        CourseError: there are too few different runs for so many parameters, or numbers that are not above 0.
    """
    from scipy.optimize import least_squares

    N, D, L = (np.asarray(each, dtype=np.float64) for each in (N, D, L))
    least = LEAST + power
    if not len(N) == len(D) == len(L) or len(set(zip(N, D, strict=True))) < least:
        raise CourseError(f"a law of {least - 1} parameters needs N, D and L of at least {least} different runs")
    if not np.isfinite([N, D, L]).all() or min(N.min(), D.min(), L.min()) <= 0:
        raise CourseError("N, D and L must be numbers above 0")
    found, options = [], dict(args=(N, D, L), x_scale="jac", max_nfev=400, xtol=1e-9, ftol=1e-9, gtol=1e-9)
    options["bounds"] = [math.log(NOTHING), *[-np.inf] * (4 + power)], np.inf
    for start in starts or product(*STARTS, *([POWERS] if power else [])):
        smooth = least_squares(log_residuals, start, **options).x  # plain squares have no kinks to be caught in
        found += [least_squares(log_residuals, x, loss="huber", f_scale=delta, **options) for x in (start, smooth)]
    log_E, log_A, a, log_B, b, *k = map(float, min(found, key=lambda each: each.cost).x)
    return ScalingLaw(np.exp(log_E).item(), np.exp(log_A).item(), a, np.exp(log_B).item(), b, *k)


def resample(N: ArrayLike, D: ArrayLike, generator: np.random.Generator) -> np.ndarray:
    """The runs of one resampling: their indices, (runs drawn,).

    As many configurations are drawn as there are, with replacement, each with all its runs: seeds of one do not tell of
    another.
    """
    _, which = np.unique(np.stack([N, D]), axis=1, return_inverse=True)  # of each run, its configuration
    drawn = generator.integers(0, which.max() + 1, which.max() + 1)
    return np.concatenate([np.flatnonzero(which == configuration) for configuration in drawn])


def bootstrap(
    N: ArrayLike, D: ArrayLike, L: ArrayLike, rounds: int = 200, power: bool = False, seed: int = 0
) -> list[ScalingLaw]:
    """Laws of resampled runs: what the fit might have been (Efron and Tibshirani 1993, chapter 6)."""
    N, D, L = (np.asarray(each, dtype=np.float64) for each in (N, D, L))
    generator, best = np.random.default_rng(seed), fit(N, D, L, power).parameters()[: 5 + power]
    starts = [[max(best[0], math.log(NOTHING) + 1e-6), *best[1:]], [math.log(L.min() / 2), *best[1:]]]
    laws: list[ScalingLaw] = []
    while len(laws) < rounds:
        runs = resample(N, D, generator)
        if len(set(zip(N[runs], D[runs], strict=True))) >= LEAST + power:
            laws.append(fit(N[runs], D[runs], L[runs], power, starts))
    return laws


def interval(values: ArrayLike, level: float = 0.9) -> tuple[float, float]:
    """Between which two numbers the middle `level` of values lies."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def predict(
    laws: Sequence[ScalingLaw], N: float, D: float, scatter: ArrayLike, level: float = 0.9, seed: int = 0
) -> tuple[float, float]:
    """The band in which a new run's loss is expected: what the laws say, and how runs scatter about their law.

    Args:
        laws: from `bootstrap`.
        scatter: how far the log losses of the fitted runs are above the law's, (runs,): less `log_residuals`.
    """
    generator, said = np.random.default_rng(seed), np.array([law.loss(N, D) for law in laws])
    return interval(said[:, None] * np.exp(generator.choice(np.ravel(scatter), (len(laws), 50))), level)
