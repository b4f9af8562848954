"""Comparisons over a family of worlds. The world is the unit, since the seeds of a world share its peculiarities.

The values of a world's seeds are averaged, and the difference of two arms (or of an arm and a number) is the mean
over worlds of their paired differences. One test decides, by **sign flips**: if there is no difference, each
world's difference might as well have had the other sign, so the mean is compared with those of all choices of
signs. It is exact where the roles of the arms could be exchanged in every world, whatever the worlds are like, and
where the differences are symmetric about the true value. It was chosen over the studentised bootstrap by
simulation, before any claim was judged: docs/statistics.md has the rates of both. The interval (bootstrap over
worlds) and the counts of worlds that are better and worse, with their sign test, illustrate.

Times enter as shares of the budget, 1 if the event never happened: a mean of steps would depend mostly on the
world with the largest budget.

n: runs, W: worlds, B: choices of signs.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from experiments.analysis import exact_tests, power
from experiments.analysis.contrasts import Contrast, WorldCount, either_way
from experiments.analysis.estimates import bootstrap_counts, paired_improvement
from experiments.analysis.exact_tests import ALPHA, Array, Interval, Tails
from experiments.analysis.values import ends
from experiments.config.measures import Kind

MIN_WORLDS = 6  # with five, the smallest two-sided p is 2 / 32, which is above .05
EVERY_SIGN = 17  # worlds up to which all 2^W choices of signs are listed
CHOICES = 100_000  # B beyond that, including the signs of the data
BLOCK = 10_000  # choices at a time: bounds the memory
RESAMPLES = 2000

Worlds = NDArray[np.int64]  # [n] the world of each run


def contrast_over_worlds(kind: Kind, worlds: Worlds, first: Array, second: Array | float) -> Contrast:
    """Compare values, [n], with those of another arm in the same worlds with the same seeds, [n], or a number.

    Args:
        kind: the kind of the measure; times are shares of the budget, and infinite ones count as 1.
        worlds: the worlds of the runs, [n].
        first, second: NaN: a failed run.
    """
    if kind == "time":
        first, second = np.minimum(first, 1.0), np.minimum(second, 1.0)

    def contrast_of(x: Array, y: Array | float) -> Contrast:
        known = ~np.isnan(x) & ~np.isnan(y)
        other = y if isinstance(y, float | int) else world_means(y[known], worlds[known])
        return _of_means(world_means(x[known], worlds[known]), other)

    return either_way(contrast_of, ends("number" if kind == "number" else "fraction"), first, second, contrast_of)


def world_means(values: Array, worlds: Worlds) -> Array:
    """Means over the runs of each world, in the order of the worlds: [n], [n] -> [W]."""
    _, place, runs = np.unique(worlds, return_inverse=True, return_counts=True)
    with np.errstate(invalid="ignore"):  # the mean of infinities with both signs is NaN
        return np.asarray(np.bincount(place, values, minlength=len(runs)) / runs)


def _of_means(x: Array, y: Array | float) -> Contrast:
    apart = exact_tests.differences(x, y)
    return Contrast(
        mean_interval(apart),
        len(apart),
        "sign flips of the mean difference of worlds",
        lambda truth: mean_tails(apart, truth),
        lambda truth, level, target: _worlds_needed(apart, truth, level, target),
        paired_improvement(apart),
        worlds=count_worlds(apart),
    )


def _worlds_needed(apart: Array, truth: float, level: float, target: float) -> int | None:
    if len(apart) < MIN_WORLDS or not np.isfinite(apart).all():
        return None
    needed = power.seeds_for_mean(float(apart.mean()) - truth, float(apart.std(ddof=1)), level, target)
    return needed and max(needed, MIN_WORLDS)


def count_worlds(apart: Array) -> WorldCount:
    """Signs of the differences of worlds, [W]."""
    higher, lower = int((apart > 0).sum()), int((apart < 0).sum())
    p = exact_tests.binomial_tails(higher, higher + lower, 0.5).two_sided
    return WorldCount(higher, len(apart) - higher - lower, lower, p)


def mean_interval(values: Array) -> Interval:
    """Mean over worlds with the 95 % percentile interval of a bootstrap over worlds, [W]; unbounded below six."""
    with np.errstate(invalid="ignore"):
        mean = float(values.mean()) if len(values) else math.nan
    if len(values) < MIN_WORLDS or not math.isfinite(mean):
        return Interval(mean, -math.inf, math.inf)
    resampled = bootstrap_counts(len(values), RESAMPLES) @ values / len(values)
    low, high = np.quantile(resampled, [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(mean, float(low), float(high))


def mean_tails(apart: Array, truth: float = 0.0) -> Tails:
    """Tails of the mean difference, [W], among those of all choices of signs about a true value.

    Fisher (1935), *The Design of Experiments*, section 21. Up to 17 worlds all choices are listed; beyond, the
    data's own and 99,999 fixed random ones, which keeps the level exactly (Phipson & Smyth 2010).
    """
    distances = exact_tests.differences(apart, truth)
    if len(distances) < MIN_WORLDS or not np.isfinite(distances).all():
        return Tails(1.0, 1.0)
    seen, rounding = distances.sum(), exact_tests.ROUNDING * np.abs(distances).sum()
    at_most = at_least = choices = 0
    for signs in _signs(len(distances)):
        flipped = signs @ distances
        at_most += int((flipped <= seen + rounding).sum())
        at_least += int((flipped >= seen - rounding).sum())
        choices += len(signs)
    return Tails(at_most / choices, at_least / choices)


def _signs(worlds: int) -> Iterator[Array]:
    """Choices of signs in blocks, [at most BLOCK, W] each; from raw numbers, which no version of NumPy changes."""
    flipped: NDArray[np.bool_]
    if worlds <= EVERY_SIGN:
        flipped = (np.arange(2**worlds)[:, None] >> np.arange(worlds) & 1).astype(np.bool_)
    else:
        words = np.random.Philox(key=np.array([worlds, 0], np.uint64)).random_raw(CHOICES * -(-worlds // 64))
        bits = np.unpackbits(words.astype("<u8").view(np.uint8)).reshape(CHOICES, -1)
        flipped = bits[:, :worlds].astype(np.bool_)
        flipped[0] = False  # the data as they are
    return (np.where(flipped[start : start + BLOCK], -1.0, 1.0) for start in range(0, len(flipped), BLOCK))
