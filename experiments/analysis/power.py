"""How many seeds would decide it: sample sizes and power of the tests in `experiments.analysis.exact_tests`.

Levels are two-sided; power counts only the direction of the effect. Every answer assumes that the effect is *as
large as it looked*, so it is a plan and not a promise: where luck helped, the effect looked too large. None means
that no number of seeds is enough, because there is no effect to detect.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from experiments.analysis.exact_tests import rarer_disagreement

POWER = 0.8
MANY = 2000  # seeds from which the normal formula is as good as the exact power


def binomial_power(probability: float, null: float, n: int, level: float) -> float:
    """Power of the exact binomial test (doubled tail) of `null` when the true value is `probability`."""
    if probability < null:
        probability, null = 1 - probability, 1 - null
    return float(stats.binom.sf(stats.binom.isf(level / 2, n, null), n, probability))


def mcnemar_power(only_first: float, only_second: float, n: int, level: float) -> float:
    """Power of McNemar's exact test, averaged over the number of pairs of n that differ.

    Args:
        only_first, only_second: probabilities of the two kinds of differing pairs.
    """
    differ = only_first + only_second
    pairs = np.arange(stats.binom.ppf(1e-9, n, differ), stats.binom.isf(1e-9, n, differ) + 1)
    given = stats.binom.sf(stats.binom.isf(level / 2, pairs, 0.5), pairs, max(only_first, only_second) / differ)
    return float(stats.binom.pmf(pairs, n, differ) @ given)


def seeds_for_proportion(probability: float, null: float, level: float, power: float = POWER) -> int | None:
    """Seeds for the exact binomial test of a fraction against a number."""
    if not 0 <= null <= 1:
        return 1
    spreads = math.sqrt(null * (1 - null)), math.sqrt(probability * (1 - probability))
    start = _normal_plan(probability - null, spreads, level, power)
    return start and _first_with(lambda n: binomial_power(probability, null, n, level), start, power)


def seeds_for_pairs(only_first: float, only_second: float, level: float, power: float = POWER) -> int | None:
    """Pairs for McNemar's or the sign test, starting at Connor's (1987) formula and going up until the exact power
    is enough."""
    differ, effect = only_first + only_second, only_first - only_second
    start = _normal_plan(effect, (math.sqrt(differ), math.sqrt(max(differ - effect**2, 0))), level, power)
    return start and _first_with(lambda n: mcnemar_power(only_first, only_second, n, level), start, power)


def seeds_for_margin(
    only_first: float, only_second: float, difference: float, level: float, power: float = POWER
) -> int | None:
    """Pairs needed to tell a paired difference of fractions from `difference`, by the normal approximation."""
    effect = only_first - only_second
    held = float(rarer_disagreement(only_first, only_second, 1, difference))  # fractions are counts for n = 1
    null = math.sqrt(max(2 * held + difference * (1 - difference), 0))
    truth = math.sqrt(max(only_first + only_second - effect**2, 0))
    return _normal_plan(effect - difference, (null, truth), level, power)


def seeds_for_mean(effect: float, spread: float, level: float, power: float = POWER) -> int | None:
    """Values needed to tell a mean from a number that is `effect` away from it, by the normal approximation.

    Args:
        spread: standard deviation of the values.
    """
    return _normal_plan(effect, (spread, spread), level, power)


def largest(plans: Sequence[int | None]) -> int | None:
    """Seeds that are enough for every plan; None: for one of them no number is enough."""
    return max((n for n in plans if n is not None), default=None) if None not in plans else None


def _normal_plan(effect: float, spreads: tuple[float, float], level: float, power: float) -> int | None:
    """n at which z_(level / 2) spread_null + z_power spread_truth = effect sqrt(n)."""
    null, truth = spreads
    reach = float(stats.norm.isf(level / 2)) * null + float(stats.norm.ppf(power)) * truth
    if not math.isfinite(reach) or abs(effect) <= 1e-9 * max(reach, 1e-300):
        return None
    return max(1, math.ceil((reach / effect) ** 2))


def _first_with(power_at: Callable[[int], float], start: int, power: float) -> int:
    """The first n >= start with enough power, in steps of 2 %: exact tests are weaker than the formula."""
    n = start
    while n < MANY and power_at(n) < power:
        n += max(1, n // 50)
    return n
