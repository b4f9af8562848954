"""Estimates over seeds with 95 % intervals, on top of SciPy. The seed is the unit, never the episode.

n: seeds (pairs, where two arms share them), U: columns of a curve, K: thresholds or times, m: claims,
B: resamples, with a fixed seed, so that the same data give the same digits. For tests see
`experiments.analysis.exact_tests`.
"""

import warnings
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from experiments.analysis.exact_tests import ALPHA, Array, Interval, Z, paired_proportions_interval
from experiments.config.measures import FailedAs, Measure


class Band(NamedTuple):
    """Estimates and their 95 % intervals, pointwise: arrays of one shape."""

    estimate: Array
    low: Array
    high: Array


def wilson_interval(successes: ArrayLike, n: ArrayLike) -> Band:
    """Wilson's (1927) score interval of a proportion; elementwise. Without any trial it is [0, 1]."""
    k, n = np.asarray(successes, float), np.asarray(n, float)
    share = np.divide(k, n, out=np.full(np.broadcast(k, n).shape, np.nan), where=n > 0)
    known = np.nan_to_num(share, nan=0.5)
    centre = (known * n + Z**2 / 2) / (n + Z**2)
    half = Z / (n + Z**2) * np.sqrt(known * (1 - known) * n + Z**2 / 4)
    low = np.where(k == 0, 0.0, np.maximum(centre - half, 0.0))  # exact where rounding leaves 1e-17
    high = np.where(k == n, 1.0, np.minimum(centre + half, 1.0))
    return Band(share, low, high)


def iqm_interval(values: Array, failed_as: FailedAs = "low", resamples: int = 2000) -> Band:
    """Interquartile mean over seeds with a 95 % percentile bootstrap interval, [n, U] -> [U] (or [n] -> []).

    The mean without the lowest and the highest floor(n / 4) seeds (Agarwal et al. 2021, as in SciPy's
    trim_mean). A resample is n draws with replacement; it enters as the number of times each rank was drawn,
    which does not depend on the values. So one [B, n] matrix serves every column, and a grid of curves takes
    milliseconds. The band is pointwise.

    A missing value (a failed run) counts as lower, or higher, than any number. So a quarter of failed runs is
    trimmed, and with more of them the mean is infinite. With "missing" they are left out. A column without any
    value stays missing.
    """
    columns = np.reshape(np.asarray(values, float), (len(values), -1))
    known = ~np.isnan(columns)
    counts = known.sum(0)
    if failed_as != "missing":
        columns = np.where(known, columns, -np.inf if failed_as == "low" else np.inf)
        counts = np.where(counts > 0, len(columns), 0)
    ranked = np.sort(columns, axis=0)  # NaN last
    band = np.full((3, columns.shape[1]), np.nan)
    for n in np.unique(counts[counts > 0]).tolist():
        some = ranked[:n, counts == n]
        resampled = _weighted(_iqm_weights(n, resamples), some)
        # No interpolation between two resamples, which may both be infinite.
        ends = np.quantile(resampled, [ALPHA / 2, 1 - ALPHA / 2], axis=0, method="inverted_cdf")
        band[:, counts == n] = np.stack([_weighted(_trimmed_weights(np.ones(n)), some), *ends])
    return Band(*(part.reshape(np.shape(values)[1:]) for part in band))


def band_of(measure: Measure, values: Array) -> Band:
    """An estimate of a measure over runs with its 95 % interval, [n, U] -> [U]: the fraction of runs for which it
    is true, or else the interquartile mean. A missing value belongs to a failed run: it counts as the worse end of
    the measure, or is left out where there is none."""
    if measure.kind == "fraction":
        return wilson_interval((values == 1).sum(0), np.full(values.shape[1], len(values)))
    if measure.failed_as == "missing":
        return iqm_interval(values, "missing")
    known = ~np.isnan(values)
    worse = measure.bounds[measure.failed_as == "high"]
    return iqm_interval(np.where(known | ~known.any(0), values, worse), measure.failed_as)


def _weighted(weights: Array, ranked: Array) -> Array:
    """Weighted sums of ranked values, [..., n] @ [n, U], in which an infinite value without weight counts 0."""
    finite = np.isfinite(ranked)
    if finite.all():
        return np.asarray(weights @ ranked)
    sums = np.asarray(weights @ np.where(finite, ranked, 0.0))
    sums = np.where(weights @ (ranked == np.inf) > 0, np.inf, sums)
    return np.where(weights @ (ranked == -np.inf) > 0, -np.inf, sums)


def _trimmed_weights(counts: Array) -> Array:
    """Weight of each ranked seed in the interquartile mean when it was drawn `counts` times, [..., n]."""
    n = counts.shape[-1]
    cut, upto = n // 4, counts.cumsum(-1)
    kept = np.clip(upto, cut, n - cut) - np.clip(upto - counts, cut, n - cut)
    return np.asarray(kept / (n - 2 * cut))


@lru_cache(maxsize=8)
def _iqm_weights(n: int, resamples: int) -> Array:
    return _trimmed_weights(bootstrap_counts(n, resamples))


def bootstrap_counts(n: int, resamples: int) -> Array:
    """How often each seed is drawn in each resample, [B, n]."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)


def paired_improvement(apart: Array) -> Interval:
    """P(> 0) + P(= 0) / 2 of paired differences, [n]; Tango's interval of P(> 0) - P(< 0), halved and shifted."""
    difference = paired_proportions_interval(int((apart > 0).sum()), int((apart < 0).sum()), len(apart))
    return Interval(*((1 + part) / 2 for part in difference))


def performance_profile(values: Array, thresholds: Array) -> Band:
    """Fraction of seeds above each threshold, [n], [K] -> [K], with pointwise Wilson intervals (Dolan & Moré 2002;
    Agarwal et al. 2021). A missing value is above no threshold."""
    return wilson_interval((values[:, None] > thresholds).sum(0), np.full(len(thresholds), len(values)))


class Survival(NamedTuple):
    """The fraction of runs to which the event has not happened yet, after each time, from time 0 on."""

    time: Array  # [K]
    fraction: Array  # [K]
    low: Array  # [K], 95 % pointwise, log-log; missing where the formula has none (at 1 and at 0)
    high: Array  # [K]


def kaplan_meier(time: Array, happened: NDArray[np.bool_]) -> Survival:
    """Kaplan-Meier estimate of the time to an event, e.g. the first success.

    Args:
        time: when the event happened, or until when it had not happened (censored), [n].
        happened: False where the run ended without the event, [n].
    """
    curve = stats.ecdf(_censored(time, happened)).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "undefined at some observations", which stay missing
        band = curve.confidence_interval(method="log-log")
    parts = (curve.probabilities, band.low.probabilities, band.high.probabilities)
    return Survival(np.append(0.0, curve.quantiles), *(np.append(1.0, part) for part in parts))


def _censored(time: Array, happened: NDArray[np.bool_]) -> stats.CensoredData:
    return stats.CensoredData.right_censored(np.asarray(time, float), ~np.asarray(happened, bool))


# --- several claims


class Holm(NamedTuple):
    adjusted: Array  # [m] p values to compare with ALPHA
    level: Array  # [m] what each raw p is compared with


def holm(p: ArrayLike) -> Holm:
    """Holm's (1979) step-down correction: the k-th smallest of m values is compared with ALPHA / (m - k + 1)."""
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    remaining = np.empty(len(p))
    remaining[order] = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate((p * remaining)[order]), 1.0)
    return Holm(adjusted, ALPHA / remaining)
