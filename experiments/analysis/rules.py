"""The rules that turn an expectation and its contrasts into one p value and a direction.

Where there is no effect, each errs in each direction with at most half the level:

* **"a < b", "a > b"**: the two-sided p of the contrast's test.
* **"a = b within d"**: supported if the difference is significantly above -d *and* below d (two one-sided tests:
  the 95 % interval lies inside), refuted if it is significantly outside (factor 2: on either side). The
  difference is one of fractions, or the median paired difference of numbers.
* **inverted U**: some peak beats both ends. Supported if one peak's two comparisons are both significant (an
  intersection-union test, which needs no correction), times the number of candidate peaks; refuted if every
  candidate is significantly below one of the ends (factor 2: of two).
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from experiments.analysis import power
from experiments.analysis.contrasts import Contrast, ContrastOf
from experiments.analysis.exact_tests import Array
from experiments.analysis.power import POWER
from experiments.config.expectations import Expectation

Columns = Mapping[str, Array]  # arm -> values on common seeds, [n]


class Finding(NamedTuple):
    """The result of applying a rule to the data."""

    shown: Contrast  # its effect and interval illustrate the verdict
    test: str
    p: float  # two-sided
    favours: bool  # whether the data speak for the expectation, or for its opposite
    seeds_needed: Callable[[float], int | None]  # two-sided level -> seeds that would decide it, power .8


def apply_rule(expectation: Expectation, columns: Columns, contrast_of: ContrastOf) -> Finding:
    """Apply the expectation's rule; `contrast_of` contrasts two arms, or an arm and a number."""
    if expectation.relation == "inverted_u":
        return _inverted_u(expectation, columns, contrast_of)
    first, *second = (columns[arm] for arm in expectation.arms)
    sides = contrast_of(first, second[0] if expectation.number is None else expectation.number)
    if expectation.within is not None:
        return _equivalence(sides, expectation.within)
    tails = sides.tails(0.0)
    favours = (tails.high < tails.low) == (expectation.relation == ">")
    return Finding(
        sides, sides.test, tails.two_sided, favours, lambda level: sides.seeds_needed(0.0, level, POWER)
    )


def _equivalence(c: Contrast, d: float) -> Finding:
    at_low, at_high = c.tails(-d), c.tails(d)
    inside = 2 * max(at_low.high, at_high.low)
    outside = 4 * min(at_low.low, at_high.high)

    def seeds_needed(level: float) -> int | None:
        if abs(c.interval.estimate) > d:
            return c.seeds_needed(math.copysign(d, c.interval.estimate), level / 2, POWER)
        both = [c.seeds_needed(margin, level, (1 + POWER) / 2) for margin in (-d, d)]  # both tests, .8 together
        return power.largest(both)

    test = f"two one-sided tests ({c.test})"
    return Finding(c, test, min(1.0, inside, outside), inside < outside, seeds_needed)


def _inverted_u(expectation: Expectation, columns: Columns, contrast_of: ContrastOf) -> Finding:
    ends, peaks = (expectation.arms[0], expectation.arms[-1]), expectation.peaks
    rises = {peak: [contrast_of(columns[peak], columns[end]) for end in ends] for peak in peaks}
    above = {peak: max(2 * c.tails(0.0).high for c in pair) for peak, pair in rises.items()}
    below = {peak: 2 * min(2 * c.tails(0.0).low for c in pair) for peak, pair in rises.items()}
    stands, falls = len(peaks) * min(above.values()), max(below.values())
    best = max(peaks, key=lambda peak: min(map(_effect, rises[peak])))
    weaker = min(rises[best], key=_effect)

    def seeds_needed(level: float) -> int | None:
        if weaker.interval.estimate < 0:
            return weaker.seeds_needed(0.0, level / 2, POWER)
        both = [c.seeds_needed(0.0, level / len(peaks), (1 + POWER) / 2) for c in rises[best]]
        return power.largest(both)

    end = ends[rises[best].index(weaker)]
    test = f"intersection-union over both ends ({weaker.test}); shown: {best} minus {end}"
    return Finding(weaker, test, min(1.0, stands, falls), stands < falls, seeds_needed)


def _effect(c: Contrast) -> float:
    """The estimate; minus infinity where no run has a value."""
    return -math.inf if math.isnan(c.interval.estimate) else c.interval.estimate
