"""Tests whose errors are what they promise, and the intervals that belong to them.

A test is told by its two tails at a hypothesised truth: how likely are data this low or lower, this high or
higher. A two-sided p is twice the smaller tail, never the "sum of the less likely outcomes" of many libraries:
only the doubled tail keeps *each* direction below half the level, and a verdict has a direction.

n: seeds, or pairs of them where two arms share the seeds. B: resamples, from a fixed stream, so that the same
data give the same digits.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

Array = NDArray[np.float64]

ALPHA = 0.05
Z = float(stats.norm.isf(ALPHA / 2))  # 95 % intervals
ENUMERATED = 14  # seeds up to which all 2^n sign flips are taken


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
    """Exact tails of a binomial count; a probability outside [0, 1] is impossible on its own side."""
    if not 0 <= probability <= 1:
        return Tails(0.0, 1.0) if probability > 1 else Tails(1.0, 0.0)
    low, high = stats.binom.cdf(successes, n, probability), stats.binom.sf(successes - 1, n, probability)
    return Tails(float(low), float(high))


def fisher_exact(successes: tuple[int, int], n: tuple[int, int]) -> float:
    """Fisher's exact test of two *unpaired* fractions: the doubled smaller tail (see the module's head)."""
    table = [[successes[0], n[0] - successes[0]], [successes[1], n[1] - successes[1]]]
    return Tails(*(float(stats.fisher_exact(table, side).pvalue) for side in ("less", "greater"))).two_sided


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """McNemar's exact test: of the pairs that differ, half favour each arm if there is no effect."""
    return binomial_tails(only_first, only_first + only_second, 0.5).two_sided


def paired_proportions_tails(only_first: int, only_second: int, n: int, difference: float) -> Tails:
    """Exact tails of a paired difference of fractions, P(only first) - P(only second), at any truth.

    At 0 the pairs that agree tell nothing and the test is McNemar's. Elsewhere it is the exact unconditional
    test (Hsueh, Liu & Chen 2001; Sidik 2003): outcomes are ordered by Tango's score statistic and their
    probability is maximised over the unknown rate of disagreement. It keeps its size at floors and ceilings,
    where the usual normal approximations do not, and works there with few seeds.
    """
    if difference == 0:
        return binomial_tails(only_first, only_first + only_second, 0.5)
    if abs(difference) > 1:
        return Tails(0.0, 1.0) if difference > 1 else Tails(1.0, 0.0)
    b, c = (x.astype(float) for x in np.nonzero(np.tri(n + 1)[::-1]))  # all counts, b + c <= n
    score, seen = _tango_score(b, c, n, difference), _tango_score(only_first, only_second, n, difference)
    low, high = score <= seen + 1e-9, score >= seen - 1e-9
    ways = (
        special.gammaln(n + 1) - special.gammaln(b + 1) - special.gammaln(c + 1) - special.gammaln(n - b - c + 1)
    )
    worst = Tails(0.0, 0.0)
    for rarer in np.linspace(0, 1, 65) ** 2 * (1 - abs(difference)) / 2:  # dense where probabilities turn sharply
        first, second = rarer + max(difference, 0), rarer + max(-difference, 0)
        agree = max(1 - first - second, 0.0)
        chance = np.exp(
            ways + special.xlogy(b, first) + special.xlogy(c, second) + special.xlogy(n - b - c, agree)
        )
        worst = Tails(max(worst.low, chance[low].sum()), max(worst.high, chance[high].sum()))
    return Tails(min(float(worst.low), 1.0), min(float(worst.high), 1.0))


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
    return np.asarray((np.sqrt(linear**2 + 8 * n * constant) - linear) / (4 * n))


def _tango_score(b: ArrayLike, c: ArrayLike, n: int, difference: float) -> Array:
    """Standardised distance of (b - c) / n from `difference`, with the spread it has under `difference`."""
    distance = np.asarray(b, float) - np.asarray(c, float) - n * difference
    variance = n * (2 * rarer_disagreement(b, c, n, difference) + difference * (1 - difference))
    spread = np.sqrt(np.maximum(variance, 0))
    far = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    return np.asarray(np.divide(distance, spread, out=far, where=spread > 0))


# --- real values


class SignFlips:
    """The paired sign-flip test of a mean and the interval that belongs to it.

    If a pair's two arms are interchangeable, every sign of every difference is equally likely: the test is exact
    at any n, whatever the distribution. For unequal but equally good arms it holds for large n only (as
    Student's t, whose sign-flip version it is), and badly where differences are skewed: with one rare failure
    in thirty, a hundred seeds are not many.

    Flipping a set of seeds brings the mean below theta exactly if the mean *of that set* is: the means of all
    subsets are the whole test, for every theta at once, and their quantiles are the exact interval (Hartigan
    1969, *Using subsample values as typical values*). All 2^n - 1 subsets for n <= 14, else 99 999 random ones;
    the set of no seeds is the data themselves and counts on both sides.

    Args:
        differences: one number a pair, [n].
    """

    def __init__(self, differences: Array, resamples: int = 99_999) -> None:
        self.differences = np.asarray(differences, float)
        self._tolerance = 1e-9 * float(np.abs(self.differences).max(initial=0))  # sums differ by rounding
        self._means = np.sort(_subset_means(self.differences, resamples))

    def tails(self, mean: float) -> Tails:
        """The tails at a hypothesised mean."""
        total = len(self._means)
        above = total - np.searchsorted(self._means, mean - self._tolerance)
        below = np.searchsorted(self._means, mean + self._tolerance, side="right")
        return Tails(float(1 + above) / (1 + total), float(1 + below) / (1 + total))

    def interval(self) -> Interval:
        """Mean and 95 % interval: exactly the means the test does not reject. Unbounded below six pairs."""
        rank = math.floor(ALPHA / 2 * (1 + len(self._means)) + 1e-9)
        mean = float(self.differences.mean())
        return _between(mean, self._means, rank)


def _subset_means(values: Array, resamples: int) -> Array:
    n = len(values)
    sum_and_size = np.stack([values, np.ones(n)], axis=1)
    if n <= ENUMERATED:
        members = np.arange(1, 2**n)[:, None] >> np.arange(n) & 1
        sums = members.astype(float) @ sum_and_size
    else:
        random = np.random.default_rng(0)
        blocks = [min(10_000, resamples - start) for start in range(0, resamples, 10_000)]  # bounds the memory
        sums = np.concatenate([_random_subsets(random, size, n) @ sum_and_size for size in blocks])
    sums = sums[sums[:, 1] > 0]
    return np.asarray(sums[:, 0] / sums[:, 1])


def _random_subsets(random: np.random.Generator, size: int, n: int) -> Array:
    octets = random.integers(0, 256, (size, -(-n // 8)), dtype=np.uint8)
    return np.unpackbits(octets, axis=1, count=n).astype(float)


def median_tails(values: Array, median: float) -> Tails:
    """The exact sign test of a median, for any distribution; infinite values are welcome, ties weaken it."""
    n = len(values)
    not_below, not_above = int((values >= median).sum()), int((values <= median).sum())
    return Tails(float(stats.binom.cdf(not_below, n, 0.5)), float(stats.binom.cdf(not_above, n, 0.5)))


def median_interval(values: Array) -> Interval:
    """Median and its exact 95 % interval between two order statistics; unbounded below six seeds."""
    ranked, rank = np.sort(values), int(stats.binom.ppf(ALPHA / 2, len(values), 0.5))
    lower, upper = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    return _between(float(lower if lower == upper else (lower + upper) / 2), ranked, rank)


def _between(estimate: float, ranked: Array, rank: int) -> Interval:
    """The interval between the rank-th lowest and highest values; without bounds for rank 0."""
    return (
        Interval(estimate, float(ranked[rank - 1]), float(ranked[-rank]))
        if rank
        else Interval(estimate, -math.inf, math.inf)
    )
