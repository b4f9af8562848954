import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import optimize, stats

from experiments import exact_tests
from experiments.exact_tests import ALPHA, SignFlips, Z

DIFFERENCES = arrays(float, st.integers(2, 9), elements=st.floats(-5, 5, width=16))


def test_mcnemar_by_hand() -> None:
    """9 against 2: twice the chance of at most 2 heads in 11 tosses, 2 (1 + 11 + 55) / 2048."""
    assert exact_tests.mcnemar_exact(9, 2) == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert exact_tests.mcnemar_exact(2, 9) == exact_tests.mcnemar_exact(9, 2)
    assert exact_tests.mcnemar_exact(0, 0) == 1.0
    assert exact_tests.mcnemar_exact(3, 3) == 1.0


def test_mcnemar_is_scipys_binomial_test() -> None:
    """The approval ratings of Agresti, Categorical Data Analysis: 150 changed to no, 86 to yes."""
    assert exact_tests.mcnemar_exact(150, 86) == pytest.approx(stats.binomtest(150, 236).pvalue)


def test_fisher_by_hand() -> None:
    """The lady tasting tea, 3 of 4 right: 2 (16 + 1) / 70."""
    assert exact_tests.fisher_exact((3, 1), (4, 4)) == pytest.approx(2 * 17 / 70)


def test_binomial_tails_by_hand_and_beyond_the_possible() -> None:
    assert exact_tests.binomial_tails(1, 3, 0.5) == pytest.approx((4 / 8, 7 / 8))
    assert exact_tests.binomial_tails(3, 3, 1.05) == (0.0, 1.0)
    assert exact_tests.binomial_tails(0, 3, -0.05) == (1.0, 0.0)


@pytest.mark.parametrize("null", [0.03, 0.5, 0.9, 0.97])
def test_each_direction_of_the_doubled_tail_has_half_the_level(null: float) -> None:
    """By enumeration. SciPy's two-sided test spends up to the whole level on one direction."""
    n, k = 40, np.arange(41)
    chance = stats.binom.pmf(k, n, null)
    tails = [exact_tests.binomial_tails(int(x), n, null) for x in k]
    low = np.array([t.two_sided <= ALPHA and t.low < t.high for t in tails])
    high = np.array([t.two_sided <= ALPHA and t.high < t.low for t in tails])
    assert chance[low].sum() <= ALPHA / 2
    assert chance[high].sum() <= ALPHA / 2


# --- paired fractions


def _outcomes(n: int) -> list[tuple[int, int]]:
    return [(b, c) for b, c in itertools.product(range(n + 1), repeat=2) if b + c <= n]


def _chance(n: int, first: float, second: float) -> np.ndarray:
    """Probability of each outcome (only first, only second), by SciPy's multinomial."""
    counts = [(b, c, n - b - c) for b, c in _outcomes(n)]
    return stats.multinomial.pmf(counts, n, [first, second, 1 - first - second])


@pytest.mark.parametrize("difference", [0.3, 0.05, -0.3])
def test_paired_tails_never_underrate_the_truth(difference: float) -> None:
    """By enumeration: under every truth the test rejects at most as often as its level says, and often enough to
    be worth something."""
    n, level = 18, 0.025
    tails = [exact_tests.paired_proportions_tails(b, c, n, difference) for b, c in _outcomes(n)]
    low, high = (np.array(tail) <= level for tail in zip(*tails, strict=True))
    sizes = []
    for rarer in np.linspace(0, (1 - abs(difference)) / 2, 40):
        first, second = rarer + max(difference, 0), rarer + max(-difference, 0)
        chance = _chance(n, first, min(second, 1 - first))
        sizes.append((chance[low].sum(), chance[high].sum()))
    assert np.max(sizes) <= level * (1 + 1e-3)  # the maximum over the unknown rate is taken on a grid
    assert np.max(sizes) > level / 2


def test_paired_tails_hold_beyond_the_margin_as_well() -> None:
    """The least favourable truth is the margin itself: larger differences are rejected less often."""
    n, margin, level = 18, 0.3, 0.025
    rejected = np.array(
        [exact_tests.paired_proportions_tails(b, c, n, margin).low <= level for b, c in _outcomes(n)]
    )
    truths = [
        (f, s) for f in np.arange(0.3, 1.01, 0.1) for s in np.arange(0, 0.71, 0.1) if f + s <= 1 and f - s >= 0.3
    ]
    assert max(_chance(n, f, s)[rejected].sum() for f, s in truths) <= level


def test_paired_tails_at_zero_are_mcnemars() -> None:
    assert exact_tests.paired_proportions_tails(9, 2, 30, 0).two_sided == exact_tests.mcnemar_exact(9, 2)


def test_paired_tails_when_no_pair_differs() -> None:
    """Only pairs that all agree speak as clearly against a difference: at least (1 - d)^n, and decisive at 100."""
    low = exact_tests.paired_proportions_tails(0, 0, 100, 0.1).low
    assert 0.9**100 <= low < 0.001


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 6), st.sampled_from([0.07, 0.4, -0.2]))
def test_paired_tails_and_interval_mirror(b: int, c: int, agree: int, difference: float) -> None:
    n = b + c + agree
    tails = exact_tests.paired_proportions_tails(b, c, n, difference)
    mirrored = exact_tests.paired_proportions_tails(c, b, n, -difference)
    assert tails == pytest.approx(mirrored[::-1])
    estimate, low, high = exact_tests.paired_proportions_interval(b, c, n)
    assert exact_tests.paired_proportions_interval(c, b, n) == pytest.approx((-estimate, -high, -low), abs=1e-9)
    assert -1 <= low <= estimate <= high <= 1


def test_tango_reproduces_fagerland_2014() -> None:
    """Airway hyper-responsiveness, 1 against 7 of 21 (Fagerland, Lydersen & Laake 2014): -0.517 to -0.026."""
    _, low, high = exact_tests.paired_proportions_interval(1, 7, 21)
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)


def test_tango_without_a_differing_pair_is_wilsons() -> None:
    """b = c = 0: the limit solves n d / (1 - d) = z^2, as Wilson's upper limit of 0 of n does."""
    for n in (1, 20, 100):
        _, low, high = exact_tests.paired_proportions_interval(0, 0, n)
        assert (low, high) == pytest.approx((-(Z**2) / (n + Z**2), Z**2 / (n + Z**2)))


@pytest.mark.parametrize(("b", "c", "n", "difference"), [(3, 8, 30, 0.1), (3, 8, 30, -0.2), (9, 1, 12, 0.3)])
def test_rarer_disagreement_maximises_the_likelihood(b: int, c: int, n: int, difference: float) -> None:
    def minus_log_likelihood(q: float) -> float:
        return -(b * math.log(q + difference) + c * math.log(q) + (n - b - c) * math.log(1 - 2 * q - difference))

    bounds = (max(0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9)
    best = optimize.minimize_scalar(
        minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-10}
    )
    assert exact_tests.rarer_disagreement(b, c, n, difference) == pytest.approx(best.x, abs=1e-6)


# --- means


@settings(deadline=None, max_examples=25)
@given(DIFFERENCES, st.floats(-2, 2, width=16))
def test_sign_flips_are_scipys_exact_permutation_test(differences: np.ndarray, mean: float) -> None:
    """Another route to the same: exchange the members of each pair, all 2^n ways."""
    ours = SignFlips(differences).tails(mean)
    pair = (differences - mean, np.zeros_like(differences))
    for side, p in (("less", ours.low), ("greater", ours.high)):
        theirs = stats.permutation_test(
            pair,
            lambda x, y, axis: (x - y).mean(axis=axis),
            permutation_type="samples",
            alternative=side,
            n_resamples=np.inf,
            vectorized=True,
        )
        assert p == pytest.approx(theirs.pvalue)


@settings(deadline=None, max_examples=40)
@given(arrays(float, st.integers(6, 9), elements=st.floats(-5, 5, width=16)), st.floats(-3, 3))
def test_sign_flip_interval_is_what_the_test_does_not_reject(differences: np.ndarray, mean: float) -> None:
    flips = SignFlips(differences)
    _, low, high = flips.interval()
    tolerance = 1e-6
    if low + tolerance < mean < high - tolerance:
        assert flips.tails(mean).two_sided > ALPHA
    if mean < low - tolerance or mean > high + tolerance:
        assert flips.tails(mean).two_sided <= ALPHA


def test_five_pairs_never_decide() -> None:
    """The smallest two-sided p of n pairs is 2 / 2^n."""
    assert SignFlips(np.ones(5)).tails(0).two_sided == 2 / 2**5
    assert SignFlips(np.ones(5)).interval() == (1.0, -math.inf, math.inf)
    assert SignFlips(np.ones(6)).interval() == (1.0, 1.0, 1.0)


def test_random_sign_flips_estimate_the_exact_p() -> None:
    """n = 16 is sampled; SciPy enumerates it. The sampled p is within the 99.99 % quantile of its own error."""
    differences = np.random.default_rng(3).normal(0.4, 1, size=16)
    exact = stats.permutation_test(
        (differences, np.zeros(16)), lambda x, y: (x - y).mean(), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    tail = exact / 2
    error = stats.norm.isf(5e-5) * math.sqrt(tail * (1 - tail) / 99_999)
    assert min(SignFlips(differences).tails(0)) == pytest.approx(tail, abs=error)


def test_sign_flips_repeat_themselves_and_mirror_exactly() -> None:
    differences = np.random.default_rng(0).normal(0.1, 1, size=40)
    flips, again, mirror = SignFlips(differences), SignFlips(differences), SignFlips(-differences)
    assert flips.tails(0) == again.tails(0) == mirror.tails(0)[::-1]


def test_median_tails_by_hand() -> None:
    """Of 1, 2, 3, inf: three are not below 2 and two not above, out of four tosses."""
    values = np.array([1.0, 2.0, 3.0, np.inf])
    assert exact_tests.median_tails(values, 2.0) == pytest.approx((15 / 16, 11 / 16))
    assert exact_tests.median_interval(values) == (2.5, -math.inf, math.inf)


def test_median_interval_is_what_its_test_does_not_reject() -> None:
    values = np.random.default_rng(1).exponential(size=25)
    _, low, high = exact_tests.median_interval(values)
    for median in np.linspace(0, 3, 301):
        rejected = exact_tests.median_tails(values, median).two_sided <= ALPHA
        assert rejected == (median < low or median > high)
