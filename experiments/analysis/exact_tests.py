"""Tests that keep their promised error rates, and the intervals that belong to them.

A test is given by its two tails at a hypothetical true value: how likely are data this low or lower, and this high
or higher? A two-sided p is twice the smaller tail, not the sum over less likely outcomes as in many libraries:
only the doubled tail keeps *each* direction below half the level, and a verdict has a direction.

n: seeds, or pairs of them where two arms share the seeds.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

Array = NDArray[np.float64]

ALPHA = 0.05
Z = float(stats.norm.isf(ALPHA / 2))  # 95 % intervals
RATES = 65  # rates of disagreement among which the exact unconditional test looks for its worst case
NEGLIGIBLE = 1e-13  # total probability of counts that are left out, added again at the end
ROUNDING = 1e-9  # relative; values that differ by less count as equal


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    estimate: float
    low: float
    high: float


class Tails(NamedTuple):
    """Probability of data as low or lower, and as high or higher, than seen."""

    low: float
    high: float

    @property
    def two_sided(self) -> float:
        return min(1.0, 2 * min(self))


# --- fractions of seeds


def binomial_tails(successes: int, n: int, probability: float) -> Tails:
    """Exact tails of a binomial count; a probability outside [0, 1] is always excluded."""
    if not 0 <= probability <= 1:
        return Tails(0.0, 1.0) if probability > 1 else Tails(1.0, 0.0)
    low, high = stats.binom.cdf(successes, n, probability), stats.binom.sf(successes - 1, n, probability)
    return Tails(float(low), float(high))


def paired_proportions_tails(only_first: int, only_second: int, n: int, difference: float) -> Tails:
    """Exact tails of a paired difference of fractions, P(only first) - P(only second), at any true value.

    At 0 the pairs that agree carry no information, and the test is McNemar's. Elsewhere it is the exact
    unconditional test (Hsueh, Liu & Chen 2001; Sidik 2003): outcomes are ordered by Tango's score statistic and
    their probability is maximised over the unknown rate of disagreement. It keeps its size at floors and ceilings,
    where the usual normal approximations do not, and works there with few seeds.

    The score rises with the first count and falls with the second, so for each second count the outcomes beyond
    the data are the tail of a binomial. A test of four thousand pairs takes hardly longer than one of forty.
    """
    if difference == 0:
        return binomial_tails(only_first, only_first + only_second, 0.5)
    if abs(difference) > 1:
        return Tails(0.0, 1.0) if difference > 1 else Tails(1.0, 0.0)
    low = _worst_chance(only_first, only_second, n, difference)
    high = _worst_chance(only_second, only_first, n, -difference)  # the same with the arms exchanged
    return Tails(low, high)


def _worst_chance(only_first: int, only_second: int, n: int, difference: float) -> float:
    """The largest probability of a score as low or lower than seen, over the unknown rate of disagreement."""
    upto = _highest_first_counts(float(_tango_score(only_first, only_second, n, difference)), n, difference)
    rarer = np.linspace(0, 1, RATES) ** 2 * (1 - abs(difference)) / 2  # dense where the sum changes fast
    first, second = rarer + max(difference, 0), np.minimum(rarer + max(-difference, 0), 1.0)
    start, end = (stats.binom.ppf(tail, n, second) for tail in (NEGLIGIBLE, 1 - NEGLIGIBLE))
    c = np.maximum(start, 0)[:, None] + np.arange((end - start).max() + 1)  # [RATES, counts that are worth adding]
    among_others = np.minimum(first / np.maximum(1 - second, 1e-300), 1.0)  # chance of "only first" in other pairs
    beyond = stats.binom.cdf(upto[np.minimum(c, n).astype(int)], n - c, among_others[:, None])
    chance = np.nansum(stats.binom.pmf(c, n, second[:, None]) * beyond, axis=1)  # counts above n are impossible
    return min(float(chance.max()) + 2 * NEGLIGIBLE, 1.0)


def _highest_first_counts(score: float, n: int, difference: float) -> Array:
    """For each second count 0 ... n, the largest first count with at most this score, [n + 1]; -1: none."""
    c = np.arange(n + 1.0)
    low, high = np.full(n + 1, -1.0), n - c  # the score at `low` is small enough; no count is above `high`
    while (low < high).any():
        middle = np.ceil((low + high) / 2)
        small = _tango_score(middle, c, n, difference) <= score + 1e-9
        low, high = np.where(small, middle, low), np.where(small, high, middle - 1)
    return low


def paired_proportions_interval(only_first: int, only_second: int, n: int) -> Interval:
    """Tango's (1998) score interval of P(only first) - P(only second): Wilson's interval for pairs."""
    estimate = (only_first - only_second) / n

    def limit(end: float, z: float) -> float:
        if estimate == end:
            return end
        inner = math.copysign(1 - 1e-12, end)
        return float(optimize.brentq(lambda d: _tango_score(only_first, only_second, n, d) - z, inner, estimate))

    return Interval(estimate, limit(-1.0, Z), limit(1.0, -Z))


def rarer_disagreement(b: ArrayLike, c: ArrayLike, n: int, difference: float) -> Array:
    """Maximum-likelihood P(only second) when P(only first) - P(only second) is held at `difference` (Tango 1998).

    Args:
        b, c: pairs with only the first and with only the second; elementwise.
    """
    b, c = np.asarray(b, float), np.asarray(c, float)
    linear = (2 * n - b + c) * difference - b - c
    constant = c * difference * (1 - difference)
    return np.asarray((np.sqrt(np.maximum(linear**2 + 8 * n * constant, 0)) - linear) / (4 * n))


def _tango_score(b: ArrayLike, c: ArrayLike, n: int, difference: float) -> Array:
    """Standardised distance of (b - c) / n from `difference`, with the spread it has under `difference`."""
    distance = np.asarray(b, float) - np.asarray(c, float) - n * difference
    variance = n * (2 * rarer_disagreement(b, c, n, difference) + difference * (1 - difference))
    spread = np.sqrt(np.maximum(variance, 0))
    far = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    return np.asarray(np.divide(distance, spread, out=far, where=spread > 0))


# --- real values


def differences(x: Array, y: Array | float) -> Array:
    """x - y, elementwise; 0 where they are equal up to rounding, or both infinite with the same sign."""
    with np.errstate(invalid="ignore"):
        apart = x - y
        equal = np.isfinite(apart) & (np.abs(apart) <= ROUNDING * np.maximum(np.abs(x), np.abs(y)))
    return np.where(equal | (x == y), 0.0, apart)


def median_tails(values: Array, median: float) -> Tails:
    """The exact sign test of a median, for any distribution; values may be infinite, and ties weaken it."""
    n, side = len(values), differences(values, median)
    not_below, not_above = int((side >= 0).sum()), int((side <= 0).sum())
    return Tails(float(stats.binom.cdf(not_below, n, 0.5)), float(stats.binom.cdf(not_above, n, 0.5)))


def median_interval(values: Array) -> Interval:
    """Median and its exact 95 % interval between two order statistics; unbounded below six seeds."""
    ranked, rank = np.sort(values), int(stats.binom.ppf(ALPHA / 2, len(values), 0.5))
    lower, upper = float(ranked[(len(ranked) - 1) // 2]), float(ranked[len(ranked) // 2])
    median = lower if lower == upper else lower + (upper - lower) / 2
    if not rank:
        return Interval(median, -math.inf, math.inf)
    return Interval(median, float(ranked[rank - 1]), float(ranked[-rank]))
