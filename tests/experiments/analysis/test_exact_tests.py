import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from experiments.analysis import exact_tests
from experiments.analysis.exact_tests import ALPHA, Z, binomial_tails


def mcnemar(only_first: int, only_second: int) -> float:
    return exact_tests.paired_proportions_tails(only_first, only_second, 300, 0).two_sided


def test_mcnemar_by_hand() -> None:
    """9 against 2: twice the chance of at most 2 heads in 11 tosses, 2 (1 + 11 + 55) / 2048."""
    assert mcnemar(9, 2) == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert mcnemar(2, 9) == mcnemar(9, 2)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(3, 3) == 1.0


def test_mcnemar_is_scipys_binomial_test() -> None:
    """The approval ratings of Agresti, Categorical Data Analysis: 150 changed to no, 86 to yes."""
    assert mcnemar(150, 86) == pytest.approx(stats.binomtest(150, 236).pvalue)


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
    assert exact_tests.paired_proportions_tails(9, 2, 30, 0) == binomial_tails(9, 11, 0.5)


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


@pytest.mark.parametrize("difference", [0.07, 0.4, -0.2, 0.95, -1.0])
def test_the_score_rises_with_the_first_count_and_falls_with_the_second(difference: float) -> None:
    """What makes the outcomes beyond the data a tail for each second count. By enumeration."""
    n = 30
    b, c = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    score = np.where(b + c <= n, exact_tests._tango_score(b, c, n, difference), np.nan)
    with np.errstate(invalid="ignore"):
        assert not (np.diff(score, axis=0) < -1e-12).any()
        assert not (np.diff(score, axis=1) > 1e-12).any()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.sampled_from([0.07, 0.4, -0.2, 0.9]))
def test_paired_tails_add_up_all_outcomes_that_are_as_far_from_the_margin(
    b: int, c: int, agree: int, d: float
) -> None:
    """By brute force over all outcomes, at the same rates of disagreement."""
    n = b + c + agree
    score = np.array([exact_tests._tango_score(x, y, n, d) for x, y in _outcomes(n)])
    seen = exact_tests._tango_score(b, c, n, d)
    low = high = 0.0
    for rarer in np.linspace(0, 1, exact_tests.RATES) ** 2 * (1 - abs(d)) / 2:
        first, second = rarer + max(d, 0), rarer + max(-d, 0)
        chance = _chance(n, first, min(second, 1 - first))
        low, high = max(low, chance[score <= seen + 1e-9].sum()), max(high, chance[score >= seen - 1e-9].sum())
    assert exact_tests.paired_proportions_tails(b, c, n, d) == pytest.approx((low, high), abs=1e-10)


@pytest.mark.parametrize(("n", "b", "c"), [(20, 0, 2), (100, 3, 11), (400, 20, 45), (4000, 150, 300)])
def test_the_rates_of_disagreement_are_close_enough(
    n: int, b: int, c: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The p at the margin is within .5 % of itself of the one with sixteen times as many rates."""
    found = exact_tests.paired_proportions_tails(b, c, n, -0.05)
    monkeypatch.setattr(exact_tests, "RATES", 16 * 64 + 1)
    assert found == pytest.approx(exact_tests.paired_proportions_tails(b, c, n, -0.05), rel=5e-3)


def test_paired_tails_approach_the_score_test() -> None:
    """Tango's score is normal in the limit; at 40 000 pairs the tails of both agree within 3 %."""
    n, b, c, margin = 40_000, 2000, 3800, -0.05
    low = stats.norm.cdf(float(exact_tests._tango_score(b, c, n, margin)))
    assert exact_tests.paired_proportions_tails(b, c, n, margin).low == pytest.approx(low, rel=0.03)


# --- values


def test_differences_are_told_from_rounding_and_infinity_from_numbers() -> None:
    x, y = np.array([0.1 + 0.2, 1e-20, np.inf, np.inf, 5.0]), np.array([0.3, 0.0, np.inf, 7.0, -np.inf])
    np.testing.assert_array_equal(exact_tests.differences(x, y), [0, 1e-20, 0, np.inf, np.inf])
    np.testing.assert_array_equal(exact_tests.differences(y, x), [0, -1e-20, 0, -np.inf, -np.inf])


def test_a_value_at_the_median_up_to_rounding_is_at_it() -> None:
    assert exact_tests.median_tails(np.array([0.3 - 0.2]), 0.1) == (1.0, 1.0)


def test_median_tails_by_hand() -> None:
    """Of 1, 2, 3, inf: three are not below 2 and two not above, out of four tosses."""
    values = np.array([1.0, 2.0, 3.0, np.inf])
    assert exact_tests.median_tails(values, 2.0) == pytest.approx((15 / 16, 11 / 16))
    assert exact_tests.median_interval(values) == (2.5, -math.inf, math.inf)


@pytest.mark.parametrize("n", range(1, 41))
def test_median_interval_is_what_its_test_does_not_reject(n: int) -> None:
    values = np.random.default_rng(n).exponential(size=n)
    _, low, high = exact_tests.median_interval(values)
    ranked = np.sort(values)
    for median in [-1.0, *ranked, *(ranked[1:] + ranked[:-1]) / 2, ranked[-1] + 1]:
        rejected = exact_tests.median_tails(values, median).two_sided <= ALPHA
        assert rejected == (median < low or median > high)


@pytest.mark.parametrize(
    ("values", "median"), [([1.0, np.inf], np.inf), ([-np.inf, 0, 1], 0), ([np.inf] * 4, np.inf)]
)
def test_the_median_of_infinite_values(values: list[float], median: float) -> None:
    assert exact_tests.median_interval(np.array(values)).estimate == median


def test_a_difference_of_fractions_beyond_1_is_impossible_on_its_own_side() -> None:
    assert exact_tests.paired_proportions_tails(2, 1, 5, 1.2) == (0, 1)
    assert exact_tests.paired_proportions_tails(2, 1, 5, -1.2) == (1, 0)


def test_the_interval_of_a_difference_ends_at_1_where_all_pairs_differ_alike() -> None:
    assert exact_tests.paired_proportions_interval(5, 0, 5).high == 1
    assert exact_tests.paired_proportions_interval(0, 5, 5).low == -1


@pytest.mark.parametrize("n", range(1, 10))
def test_the_median_is_numpys(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    assert exact_tests.median_interval(values).estimate == np.median(values)
