"""One arm against another, or against a number, in one measure: effect, interval, test, and seeds needed.

The measure and the relation decide the test; nothing is chosen after looking at the data:

| | fractions | numbers | times to an event |
| --- | --- | --- | --- |
| two arms, paired by seed | difference; McNemar's exact test | P(higher) - P(lower); sign test | as numbers |
| equality within a margin | exact unconditional test | median paired difference; sign test | - |
| one arm against a number | the fraction; exact binomial test | the median; sign test | as numbers |

All of them are exact: they assume that the seeds are independent, and nothing about the distribution of the
values. A mean has no such test. With 5 % of one arm's runs at the bottom and thirty seeds, sign flips, Student's t
and the studentised bootstrap of the mean each find a difference where there is none in 16 % of experiments instead
of 2.5 % (docs/statistics.md). The price is that a sign test counts how often one arm is higher, but not by how
much. Fractions show what a minority does, and a difference of means is shown beside the verdict, untested.

**Failed runs have no value, and are never dropped.** To test whether the data lie *above* a number, the first
arm's failed runs take the lowest possible value and the second arm's the highest; to test whether they lie *below*
it, the other way round. So a significant result would be significant whatever the failed runs' values.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from experiments.analysis import exact_tests, power
from experiments.analysis.estimates import paired_improvement, wilson_interval
from experiments.analysis.exact_tests import Array, Interval, Tails
from experiments.analysis.values import ends
from experiments.config.measures import Kind


class WorldCount(NamedTuple):
    """In how many worlds of a family the first arm's mean is higher, equal and lower, and the sign test's p."""

    higher: int
    equal: int
    lower: int
    sign_test_p: float  # two-sided, exact


class Contrast(NamedTuple):
    """An effect, its interval, and its test against any true value."""

    interval: Interval  # the first arm minus the second, or minus the number
    n: int  # seeds, or pairs of them
    test: str
    tails: Callable[[float], Tails]  # true value -> tails of the data
    seeds_needed: Callable[[float, float, float], int | None]  # true value, two-sided level, power -> seeds
    improvement: Interval | None = None  # of two arms' numbers: P(first > second) + P(equal) / 2
    mean_difference: float | None = None  # of two arms' numbers: first minus second, untested
    worlds: WorldCount | None = None  # of a family, where n and `seeds_needed` count worlds


ContrastOf = Callable[[Array, Array | float], Contrast]  # of complete values


def contrast(kind: Kind, first: Array, second: Array | float, equality: bool = False) -> Contrast:
    """Compare values, [n], with those of another arm on the same seeds, [n], or with a number.

    Args:
        kind: the kind of the measure.
        first, second: infinite values are larger than any number; NaN: a failed run.
        equality: whether the claim is about a margin, instead of a direction.
    """
    contrast_of: ContrastOf
    if isinstance(second, float | int):
        contrast_of = _fraction if kind == "fraction" else _median
    elif equality:
        contrast_of = _fractions_within if kind == "fraction" else _median_difference
    else:
        contrast_of = partial(_signs, kind)
    return either_way(contrast_of, ends(kind), first, second)


def certain(kind: Kind, first: Array, second: Array | float) -> Contrast:
    """Compare two single runs, [1], without chance: nothing to test, no interval, and the sign is the truth."""
    return either_way(_certain, ends(kind), first, second)


# --- failed runs


def either_way(
    contrast_of: ContrastOf,
    ends: tuple[float, float],
    first: Array,
    second: Array | float,
    contrast_known: ContrastOf | None = None,
) -> Contrast:
    """The contrast that holds whatever the failed runs would have come to.

    Args:
        contrast_of: contrasts complete values.
        ends: the lowest and the highest value that a run can have.
        first, second: NaN: a failed run.
        contrast_known: contrasts values of which some are missing; None: `contrast_of`, for the complete pairs.
    """
    known = ~np.isnan(first) & ~np.isnan(second)
    if known.all():
        return contrast_of(first, second)
    bottom, top = ends
    lowest = contrast_of(_filled(first, bottom), _filled(second, top))
    highest = contrast_of(_filled(first, top), _filled(second, bottom))
    seen = None
    if any(known) and contrast_known is not None:
        seen = contrast_known(first, second)
    elif any(known):
        seen = contrast_of(first[known], second if isinstance(second, float | int) else second[known])

    def seeds_needed(truth: float, level: float, target: float) -> int | None:
        sides = {math.copysign(1, end.interval.estimate - truth) for end in (lowest, highest)}
        plans = [end.seeds_needed(truth, level, target) for end in (lowest, highest)]
        return power.largest(plans) if len(sides) == 1 else None

    improvement = None
    if lowest.improvement and highest.improvement:
        improvement = _hull(seen and seen.improvement, lowest.improvement, highest.improvement)
    return lowest._replace(
        interval=_hull(seen and seen.interval, lowest.interval, highest.interval),
        tails=lambda truth: Tails(highest.tails(truth).low, lowest.tails(truth).high),
        seeds_needed=seeds_needed,
        improvement=improvement,
        mean_difference=seen and seen.mean_difference,
        worlds=seen and seen.worlds,
    )


def _filled(values: Array | float, end: float) -> Array:
    return np.where(np.isnan(values), end, values)


def _hull(seen: Interval | None, lowest: Interval, highest: Interval) -> Interval:
    """The estimate of the runs that have values, and every true value that some values of the others would
    allow."""
    return Interval(seen.estimate if seen else math.nan, lowest.low, highest.high)


# --- complete values


def _signs(kind: Kind, x: Array, y: Array | float) -> Contrast:
    """Compares the pairs in which the first arm is higher with those in which it is lower."""
    apart = exact_tests.differences(x, y)
    b, c, n = int((apart > 0).sum()), int((apart < 0).sum()), len(apart)
    found = Contrast(
        exact_tests.paired_proportions_interval(b, c, n),
        n,
        "McNemar's exact test" if kind == "fraction" else "exact sign test of the pairs",
        lambda truth: exact_tests.paired_proportions_tails(b, c, n, truth),
        lambda truth, level, target: power.seeds_for_pairs(b / n, c / n, level, target),
    )
    return _illustrated(found, apart) if kind == "number" else found


def _fractions_within(x: Array, y: Array | float) -> Contrast:
    b, c, n = int((x > y).sum()), int((x < y).sum()), len(x)
    return _signs("fraction", x, y)._replace(
        test="exact unconditional score test of paired fractions",
        seeds_needed=lambda truth, level, target: power.seeds_for_margin(b / n, c / n, truth, level, target),
    )


def _median_difference(x: Array, y: Array | float) -> Contrast:
    apart = exact_tests.differences(x, y)
    found = _median(apart, 0.0)._replace(test="exact sign test of the median paired difference")
    return _illustrated(found, apart)


def _illustrated(found: Contrast, apart: Array) -> Contrast:
    with np.errstate(invalid="ignore"):  # infinite differences of both signs: there is no mean
        mean = float(apart.mean())
    return found._replace(improvement=paired_improvement(apart), mean_difference=mean)


def _fraction(x: Array, number: Array | float) -> Contrast:
    k, n, number = int(x.sum()), len(x), float(number)
    return Contrast(
        _relative_to(number, Interval(*map(float, wilson_interval(k, n)))),
        n,
        "exact binomial test",
        lambda truth: exact_tests.binomial_tails(k, n, number + truth),
        lambda truth, level, target: power.seeds_for_proportion(k / n, number + truth, level, target),
    )


def _median(x: Array, number: Array | float) -> Contrast:
    number = float(number)

    def seeds_needed(truth: float, level: float, target: float) -> int | None:
        above, below = float((x > number + truth).mean()), float((x < number + truth).mean())
        return power.seeds_for_pairs(above, below, level, target)

    return Contrast(
        _relative_to(number, exact_tests.median_interval(x)),
        len(x),
        "exact sign test of the median",
        lambda truth: exact_tests.median_tails(x, number + truth),
        seeds_needed,
    )


def _certain(first: Array, second: Array | float) -> Contrast:
    effect = float(exact_tests.differences(first, second).item())

    def tails(truth: float) -> Tails:
        side = float(exact_tests.differences(np.array(effect), truth))
        return Tails(float(side >= 0), float(side <= 0))

    test = "one run per arm, without chance: no test"
    return Contrast(Interval(effect, math.nan, math.nan), 1, test, tails, lambda *_: None)


def _relative_to(number: float, interval: Interval) -> Interval:
    return Interval(*(end - number for end in interval))
