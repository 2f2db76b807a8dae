"""`course.scaling.law`: planted laws are found again; the best split is the best; bands hold what they say."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from course.scaling.law import NOTHING, ScalingLaw, bootstrap, fit, huber, interval, log_residuals, predict
from helpers.errors import CourseError

# A law of a small corpus, and the one of Hoffmann et al. 2022 (table A3) as Besiroglu et al. 2024 print it.
SMALL = ScalingLaw(0.42, 2e4, 0.9, 3e5, 0.95)
CHINCHILLA = ScalingLaw(1.69, 406.4, 0.34, 410.7, 0.28)


def runs(law: ScalingLaw, sizes: np.ndarray, budgets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every size at every budget of operations, with the loss that the law gives."""
    N, C = (each.ravel() for each in np.meshgrid(sizes, budgets))
    return N, C / (6 * N), law.loss(N, C / (6 * N))


def of(law: ScalingLaw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if law.E < 1:
        return runs(law, np.geomspace(6e4, 6.6e5, 5), 0.8e12 * 2.0 ** np.arange(5))
    return runs(law, np.geomspace(5e7, 8e9, 5), 1e18 * 4.0 ** np.arange(5))


def test_the_law_is_the_formula():
    assert CHINCHILLA.loss(1e9, 2e10) == pytest.approx(1.69 + 406.4 / 1e9**0.34 + 410.7 / 2e10**0.28, rel=1e-12)


@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # shrinking takes long
@given(
    E=st.floats(0.2, 2.0),
    a=st.floats(0.3, 1.0),
    b=st.floats(0.3, 1.0),
    of_size=st.floats(0.1, 1.0),
    of_data=st.floats(0.1, 1.0),
)
def test_planted_constants_are_found_again(E, a, b, of_size, of_data):
    """Each term is worth between a tenth and one nat at the smallest size and the shortest run."""
    N, D, _ = of(SMALL)
    law = ScalingLaw(E, of_size * N.min() ** a, a, of_data * D.min() ** b, b)
    found = fit(N, D, law.loss(N, D))
    assert found.E == pytest.approx(E, rel=1e-3)
    assert (found.a, found.b) == pytest.approx((a, b), rel=1e-3)
    assert found.loss(N, D) == pytest.approx(law.loss(N, D), rel=1e-6)


@pytest.mark.parametrize("k", [0.5, 3.0])
def test_a_planted_power_is_found_again(k):
    N, D, _ = of(SMALL)
    law = ScalingLaw(0.42, 12.0 ** (1 / k) * 6e4 ** (0.9 / k) / 8, 0.9 / k, 6e5 ** (0.95 / k), 0.95 / k, k)
    found = fit(N, D, law.loss(N, D), power=True)
    assert found.loss(N, D) == pytest.approx(law.loss(N, D), rel=1e-4)
    assert (found.E, found.k) == pytest.approx((0.42, k), rel=0.02)
    assert found.best_split(1e13) == pytest.approx(law.best_split(1e13), rel=0.02)


@pytest.mark.parametrize("law", [SMALL, CHINCHILLA])
def test_one_wild_run_moves_the_fit_less_than_it_would_move_plain_squares(law):
    N, D, L = of(law)
    L[7] *= 1.5
    held, squares = (fit(N, D, L, delta=delta).loss(N, D) / law.loss(N, D) for delta in (1e-3, 10.0))
    assert np.abs(np.delete(held, 7) - 1).max() < np.abs(np.delete(squares, 7) - 1).max() / 10


@pytest.mark.parametrize("law", [SMALL, CHINCHILLA])
@pytest.mark.parametrize("operations", [1e13, 1e21])
def test_the_best_split_is_the_lowest_of_all_splits(law, operations):
    N, D = law.best_split(operations)
    assert 6 * N * D == pytest.approx(operations)
    others = N * np.geomspace(1e-2, 1e2, 4001)
    losses = law.loss(others, operations / (6 * others))
    assert others[losses.argmin()] == pytest.approx(N, rel=2e-3)
    assert law.loss(N, D) <= losses.min() * (1 + 1e-12)


def test_the_published_law_asks_for_more_tokens_than_its_authors_said():
    """Hoffmann et al. say about 20 tokens a parameter; their printed constants say many more (Besiroglu et al.)."""
    N, D = CHINCHILLA.best_split(5.76e23)
    assert 60 < D / N < 100


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=20), st.floats(1e-3, 2))
def test_huber_is_the_library_s(residuals, delta):
    theirs = F.huber_loss(
        torch.tensor(residuals).double(), torch.zeros(len(residuals)).double(), reduction="none", delta=delta
    )
    assert huber(np.array(residuals), delta) == pytest.approx(theirs.numpy(), rel=1e-6, abs=1e-12)


def test_residuals_are_of_log_losses():
    N, D, L = of(SMALL)
    right = [np.log(SMALL.E), np.log(SMALL.A), SMALL.a, np.log(SMALL.B), SMALL.b]
    assert log_residuals(right, N, D, L) == pytest.approx(np.zeros(len(L)), abs=1e-12)
    assert log_residuals(right, N, D, 2 * L) == pytest.approx(np.full(len(L), -np.log(2)))


def noisy(seed: int, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    N, D, L = of(SMALL)
    return N, D, L * np.exp(np.random.default_rng(seed).normal(0, noise, len(L)))


def test_bootstrap_is_decided_by_its_seed_and_brackets_the_fit():
    N, D, L = noisy(0)
    laws = bootstrap(N, D, L, 40, seed=3)
    assert laws == bootstrap(N, D, L, 40, seed=3) != bootstrap(N, D, L, 40, seed=4)
    low, high = interval([law.E for law in laws])
    assert low < fit(N, D, L).E < high
    assert 0.3 < low < high < 0.55


def test_runs_that_show_no_floor_are_fitted_and_drawn_again_all_the_same():
    N, D, _ = of(SMALL)
    L = (2e3 / N**0.7 + 9e2 / D**0.4) * np.exp(np.random.default_rng(5).normal(0, 0.01, len(N)))
    low, high = interval([law.E for law in bootstrap(N, D, L, 10)])
    assert NOTHING <= low < high
    assert high < L.min() / 2


def test_bootstrap_draws_seeds_of_one_configuration_together():
    """The same runs three times over are no more than the runs once: intervals do not shrink."""
    N, D, L = noisy(1)
    once, thrice = (
        interval([law.E for law in bootstrap(*(np.tile(each, times) for each in (N, D, L)), 60)]) for times in (1, 3)
    )
    assert thrice == pytest.approx(once, abs=1e-4)


def test_most_bands_hold_the_run_that_they_predict():
    """90% of bands should; of eight, fewer than 5 would be a chance of one in two hundred."""
    held = 0
    for seed in range(8):
        N, D, L = noisy(seed)
        best = fit(N, D, L)
        scatter = np.log(L) - np.log(best.loss(N, D))
        low, high = predict(bootstrap(N, D, L, 12), 1.3e6, 7e6, scatter)
        new = SMALL.loss(1.3e6, 7e6) * np.exp(np.random.default_rng(100 + seed).normal(0, 0.01))
        held += low <= new <= high
    assert held >= 5


def test_an_interval_holds_its_share():
    assert interval(np.arange(101), 0.9) == pytest.approx((5, 95))
    assert interval(np.arange(101), 0.5) == pytest.approx((25, 75))


@pytest.mark.parametrize(
    ("N", "D", "L", "said"),
    [
        ([1e5] * 5, [1e6] * 5, [1.0] * 5, "at least 6 different runs"),
        ([1e5] * 9, [1e6] * 9, [1.0] * 9, "at least 6 different runs"),
        (range(1, 9), range(1, 9), [1.0] * 7, "at least 6 different runs"),
        (range(1, 9), range(1, 9), [1.0] * 7 + [0.0], "above 0"),
        (range(9), range(1, 10), [1.0] * 9, "above 0"),
        (range(1, 9), range(1, 9), [1.0] * 7 + [float("nan")], "above 0"),
    ],
)
def test_what_no_law_can_be_fitted_to_is_refused(N, D, L, said):
    with pytest.raises(CourseError, match=said):
        fit(list(N), list(D), list(L))
