import numpy as np
import pytest
from scipy import stats

from experiments.analysis import power
from experiments.analysis.exact_tests import ALPHA, binomial_tails, rarer_disagreement


@pytest.mark.parametrize(("first", "second", "n", "level"), [(0.5, 0.1, 12, 0.05), (0.0, 0.4, 15, 0.01)])
def test_mcnemar_power_by_enumeration(first: float, second: float, n: int, level: float) -> None:
    counts = [(b, c, n - b - c) for b in range(n + 1) for c in range(n + 1 - b)]
    chance = stats.multinomial.pmf(counts, n, [first, second, 1 - first - second])
    wanted = [
        binomial_tails(b, b + c, 0.5).two_sided <= level and (b > c) == (first > second) for b, c, _ in counts
    ]
    assert power.mcnemar_power(first, second, n, level) == pytest.approx(chance[wanted].sum())


@pytest.mark.parametrize(("truth", "null"), [(0.9, 0.6), (0.3, 0.6), (1.0, 0.9), (0.2, 0.0), (0.8, 1.0)])
@pytest.mark.parametrize("n", [25, 33])
def test_binomial_power_by_enumeration(truth: float, null: float, n: int) -> None:
    tails = [binomial_tails(k, n, null) for k in range(n + 1)]
    wanted = [t.two_sided <= 0.05 and (t.high < t.low) == (truth > null) for t in tails]
    assert power.binomial_power(truth, null, n, 0.05) == pytest.approx(
        stats.binom.pmf(range(n + 1), n, truth)[wanted].sum()
    )


@pytest.mark.parametrize("level", [0.05, 0.05 / 20])
def test_the_needed_seeds_have_the_promised_power_and_not_much_more(level: float) -> None:
    pairs = power.seeds_for_pairs(0.5, 0.2, level)
    assert pairs is not None
    assert 0.8 <= power.mcnemar_power(0.5, 0.2, pairs, level) < 0.85
    single = power.seeds_for_proportion(0.75, 0.5, level)
    assert single is not None
    assert 0.8 <= power.binomial_power(0.75, 0.5, single, level) < 0.87


@pytest.mark.parametrize(("only_first", "only_second"), [(0.5, 0.2), (0.35, 0.05), (0.1, 0.4), (0.8, 0.1)])
def test_needed_pairs_are_the_first_from_connors_formula_upwards(only_first: float, only_second: float) -> None:
    differ, effect = only_first + only_second, only_first - only_second
    reach = stats.norm.isf(ALPHA / 2) * np.sqrt(differ) + stats.norm.ppf(0.8) * np.sqrt(differ - effect**2)
    n = int(np.ceil((reach / effect) ** 2))
    while power.mcnemar_power(only_first, only_second, n, ALPHA) < 0.8:
        n += 1
    assert n < 100  # beyond, steps are longer than one
    assert power.seeds_for_pairs(only_first, only_second, ALPHA) == n


@pytest.mark.parametrize(("only_first", "only_second"), [(0.31, 0.28), (0.28, 0.31), (0.04, 0.03)])
def test_thousands_of_pairs_are_those_of_connors_formula(only_first: float, only_second: float) -> None:
    differ, effect = only_first + only_second, only_first - only_second
    reach = stats.norm.isf(ALPHA / 2) * np.sqrt(differ) + stats.norm.ppf(0.8) * np.sqrt(differ - effect**2)
    n = np.ceil((reach / effect) ** 2)
    assert n > power.MANY
    assert power.seeds_for_pairs(only_first, only_second, ALPHA) == n


def test_what_never_happens_by_the_null_is_decided_when_it_happens_once() -> None:
    """Of seeds that succeed with .9, sixteen have a failure with a probability of 1 - .9^16 = .81."""
    assert power.seeds_for_proportion(0.9, 1.0, ALPHA) == power.seeds_for_proportion(0.1, 0.0, ALPHA) == 16
    assert power.seeds_for_proportion(1.0, 0.0, ALPHA) == 1
    assert power.seeds_for_proportion(0.5, 1.1, ALPHA) == power.seeds_for_proportion(0.5, -0.1, ALPHA) == 1


def test_a_clear_effect_still_needs_enough_pairs_for_the_smallest_p() -> None:
    """2 / 2^n <= .05 first at six pairs."""
    assert power.seeds_for_pairs(1.0, 0.0, ALPHA) == 6


def test_several_tests_need_the_seeds_of_the_dearest() -> None:
    assert power.largest([3, 9, 4]) == 9
    assert power.largest([3, None]) is None


def test_an_equivalence_at_half_needs_hundreds_of_seeds() -> None:
    """Independent arms at p = .5 differ in half of the pairs: (z_.025 + z_.1)^2 * .5 / .1^2 = 525.4 pairs."""
    exact = (stats.norm.isf(0.025) + stats.norm.isf(0.1)) ** 2 * 0.5 / 0.1**2
    planned = power.seeds_for_margin(0.25, 0.25, 0.1, ALPHA, 0.9)
    assert planned == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize(("only_first", "only_second", "margin"), [(0.3, 0.1, -0.1), (0.05, 0.1, 0.1)])
def test_pairs_for_a_margin_by_the_normal_formula(only_first: float, only_second: float, margin: float) -> None:
    """A pair tells +1, -1 or 0: its variance is P(+1) + P(-1) - (P(+1) - P(-1))^2, in truth and at the margin."""
    effect = only_first - only_second
    rarer = float(rarer_disagreement(only_first, only_second, 1, margin))
    null, truth = (p + q - (p - q) ** 2 for p, q in ((rarer + margin, rarer), (only_first, only_second)))
    reach = stats.norm.isf(ALPHA / 2) * np.sqrt(null) + stats.norm.ppf(0.8) * np.sqrt(truth)
    expected = np.ceil((reach / (effect - margin)) ** 2)
    assert power.seeds_for_margin(only_first, only_second, margin, ALPHA, 0.8) == expected


def test_no_effect_is_never_decided() -> None:
    assert power.seeds_for_pairs(0.2, 0.2, ALPHA) is None
    assert power.seeds_for_pairs(0.0, 0.0, ALPHA) is None
    assert power.seeds_for_proportion(0.5, 0.5, ALPHA) is None
