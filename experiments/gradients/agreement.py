"""Tests whether the mean of many samples is a given vector, parameter by parameter and in a few directions.

R: runs, P: parameters, K: directions, N: any number of columns.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
MIN_CONTRIBUTIONS = 100  # the effective number of runs from which a mean counts as normal
ROUNDING = 1e-6  # of a step in float32; smaller differences are ignored


class Agreement(NamedTuple):
    """The results of the tests."""

    tested: int  # parameters moved by enough runs; the others count in the directions only
    z: float  # the largest deviation of a parameter, in standard errors
    p_z: float  # its p value, Bonferroni-corrected over the parameters
    chi_squared: float  # Hotelling's T^2 in a few directions: chi-squared in large samples
    degrees: int
    p_chi_squared: float
    cosine: float  # between the mean step and the reference
    ratio: float  # the ratio of their lengths


def compare(steps: Array, reference: Array, directions: Array) -> Agreement:
    """Test whether the mean of independent steps is the reference.

    Args:
        steps: [R, P].
        reference: [P].
        directions: unit vectors along which all parameters are tested together, [P, K], K far below R, by
            Hotelling's test: T^2 (R - K) / (K (R - 1)) follows Fisher's F.
    """
    runs = len(steps)
    off = steps.mean(0) - reference
    variance, normal = _spread(steps)
    size = np.abs(steps.mean(0))
    alike = (size > 10 * ROUNDING) & (variance <= np.maximum(1e-8 * size**2, 0.1 * ROUNDING**2))  # in every run
    tested = normal | alike
    z = float((np.abs(off) / np.sqrt(variance / runs + ROUNDING**2))[tested].max(initial=0.0))
    p_z = min(1.0, 2 * float(stats.t.sf(z, runs - 1)) * max(int(tested.sum()), 1))
    chi_squared, degrees = _hotelling(steps @ directions, reference @ directions)
    fisher = chi_squared * (runs - degrees) / (max(degrees, 1) * (runs - 1))
    p = float(stats.f.sf(fisher, degrees, runs - degrees)) if degrees else 1.0
    lengths = np.linalg.norm(off + reference), np.linalg.norm(reference)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine, ratio = (off + reference) @ reference / (lengths[0] * lengths[1]), lengths[0] / lengths[1]
    return Agreement(int(tested.sum()), z, p_z, chi_squared, degrees, p, float(cosine), float(ratio))


def _spread(samples: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Variance of each column of [R, N], and whether enough runs contribute for its mean to be normal.

    Their effective number is (sum x^2)^2 / sum x^4 of centred values: m, if m of R differ from the others.
    """
    squares = (samples - samples.mean(0)) ** 2
    contributions = squares.sum(0) ** 2 / np.maximum((squares**2).sum(0), 1e-300)
    variance = squares.sum(0) / (len(samples) - 1)
    return variance, (variance > ROUNDING**2) & (contributions >= MIN_CONTRIBUTIONS)


def _hotelling(projected: Array, reference: Array) -> tuple[float, int]:
    """T^2 of steps [R, K] along those of their principal axes that count as normal, and the number of these
    axes."""
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(projected, rowvar=False)))
    along = projected @ axes
    kept = _spread(along)[1] & (variances > 1e-9 * variances[-1])
    off = (along.mean(0) - reference @ axes)[kept]
    return float(len(projected) * (off**2 / variances[kept]).sum()), int(kept.sum())
