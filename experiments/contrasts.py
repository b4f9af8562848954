"""One arm against another, or against a number, in one measure: effect, interval, test, and seeds needed.

The measure decides the test; nothing is chosen after looking:

| values | two arms, paired by seed | one arm against a number |
| --- | --- | --- |
| booleans | difference of fractions; McNemar's exact test | the fraction; exact binomial test |
| numbers | mean difference; sign-flip test | the median; exact sign test |
| times to an event | P(later) - P(earlier); exact sign test | the median; exact sign test |

Against a number, a mean of numbers has no honest test: with 10 % of the runs stuck, Student's t and sign flips
alike are wrong in 6 % of the cases at a hundred seeds instead of 2.5 %. The median's test is exact always. What
a minority does is the business of a boolean measure.

**Failed runs are never dropped.** A missing or infinite value counts as the worst: false, or true where true is
bad; the lowest number seen in the arms compared (the highest, where high is bad), and in an equivalence so far
below that a single failure carries the mean beyond the margin. A missing *time* means that it never happened: it
is later than any time.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experiments import exact_tests, power
from experiments.exact_tests import Array, Interval, Tails
from experiments.expectations import is_time
from experiments.inference import paired_improvement, wilson_interval

Kind = Literal["boolean", "number", "time"]

_HIGH_IS_BAD = re.compile(r"stuck|never|failed|regret|cross_entropy|kl_")  # in a measure's name


@dataclass(frozen=True)
class Contrast:
    """An effect, and what can be asked about its truth."""

    interval: Interval  # of the first arm minus the second, or minus the number
    n: int  # seeds, or pairs of them
    test: str
    margin_test: str  # the test at a truth other than no effect
    tails: Callable[[float], Tails]  # truth -> tails of the data
    seeds: Callable[[float, float, float], int | None]  # truth, two-sided level, power -> seeds to exclude it
    improvement: Interval | None = None  # P(first > second) + P(equal) / 2, beside a difference of means


def contrast(kind: Kind, first: Array, second: Array | float) -> Contrast:
    """Compare complete values, [n], with those of another arm on the same seeds, [n], or with a number."""
    if isinstance(second, float | int):
        return _fraction(first, second) if kind == "boolean" else _median(first, second)
    return _mean_difference(first, second) if kind == "number" else _discordant(kind, first, second)


def _discordant(kind: Kind, x: Array, y: Array) -> Contrast:
    """Pairs that differ in one direction against pairs that differ in the other."""
    b, c, n = int((x > y).sum()), int((x < y).sum()), len(x)

    def seeds(truth: float, level: float, target: float) -> int | None:
        if truth == 0:
            return power.seeds_for_pairs(b / n, c / n, level, target)
        return power.seeds_for_margin(b / n, c / n, truth, level, target)

    return Contrast(
        exact_tests.paired_proportions_interval(b, c, n),
        n,
        "McNemar's exact test" if kind == "boolean" else "exact sign test",
        "exact unconditional score test of paired fractions",
        lambda truth: exact_tests.paired_proportions_tails(b, c, n, truth),
        seeds,
    )


def _mean_difference(x: Array, y: Array) -> Contrast:
    flips = exact_tests.SignFlips(x - y)
    mean, spread = float((x - y).mean()), float((x - y).std(ddof=1)) if len(x) > 1 else math.nan
    return Contrast(
        flips.interval(),
        len(x),
        "paired sign-flip test of the mean",
        "sign-flip test of the mean",
        flips.tails,
        lambda truth, level, target: power.seeds_for_mean(mean - truth, spread, level, target),
        paired_improvement(x, y),
    )


def _fraction(x: Array, number: float) -> Contrast:
    k, n = int(x.sum()), len(x)
    return Contrast(
        _relative_to(number, Interval(*map(float, wilson_interval(k, n)))),
        n,
        "exact binomial test",
        "exact binomial test",
        lambda truth: exact_tests.binomial_tails(k, n, number + truth),
        lambda truth, level, target: power.seeds_for_proportion(k / n, number + truth, level, target),
    )


def _median(x: Array, number: float) -> Contrast:
    def seeds(truth: float, level: float, target: float) -> int | None:
        above, below = float((x > number + truth).mean()), float((x < number + truth).mean())
        return power.seeds_for_pairs(above, below, level, target)

    return Contrast(
        _relative_to(number, exact_tests.median_interval(x)),
        len(x),
        "exact sign test of the median",
        "exact sign test of the median",
        lambda truth: exact_tests.median_tails(x, number + truth),
        seeds,
    )


def certain(first: Array, second: Array | float) -> Contrast:
    """Two single runs, [1], without chance: nothing to test, no interval, and the sign is the truth."""
    x, y = first.item(), float(np.asarray(second).item())
    effect = x - y if x != y else 0.0
    rounding = 1e-9 * max(abs(x), abs(y)) if math.isfinite(effect) else 0.0

    def tails(truth: float) -> Tails:
        return Tails(float(effect - truth >= -rounding), float(effect - truth <= rounding))

    test = "one run an arm, without chance: no test"
    return Contrast(Interval(effect, math.nan, math.nan), 1, test, test, tails, lambda *_: None)


def _relative_to(number: float, interval: Interval) -> Interval:
    return Interval(*(end - number for end in interval))


@dataclass(frozen=True)
class Complete:
    """Columns of a measure without gaps."""

    kind: Kind
    columns: list[Array]  # [n] each
    failed: int  # values that were missing and now count as the worst


def complete(
    measure: str, columns: Sequence[NDArray[Any]], bounds: tuple[float, ...], margin: float
) -> Complete | None:
    """Read the values of a measure in the arms compared and count failed runs as the worst.

    Args:
        columns: one array an arm, [n]; None or NaN where a run has no value.
        bounds: numbers the values will be compared with: the worst is no better than them.
        margin: of an equivalence: one failed run in n is enough to carry their mean beyond it.
    Returns:
        None if no run of any arm has a value: the measure means nothing here.
    Raises:
        ValueError: the measure is not one number (or truth value) a run.
    """
    values = [value for column in columns for value in np.asarray(column).tolist() if value is not None]
    if not all(isinstance(value, bool | int | float) for value in values):
        raise ValueError(f"measure {measure!r} is not one number a run")
    floats = [np.array([np.nan if v is None else v for v in np.asarray(c).tolist()], float) for c in columns]
    if is_time(measure):
        return Complete("time", [np.where(np.isnan(column), np.inf, column) for column in floats], 0)
    known = np.concatenate([column[np.isfinite(column)] for column in floats])
    if not len(known):
        return None
    bad_is_high = _HIGH_IS_BAD.search(measure) is not None
    boolean = all(isinstance(value, bool) for value in values)
    if boolean:
        worst = float(bad_is_high)
    else:
        pool = np.append(known, bounds)
        beyond = margin * len(floats[0])
        worst = float(pool.max() + beyond if bad_is_high else pool.min() - beyond)
    failed = sum(int((~np.isfinite(column)).sum()) for column in floats)
    filled = [np.where(np.isfinite(column), column, worst) for column in floats]
    return Complete("boolean" if boolean else "number", filled, failed)
