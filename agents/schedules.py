"""The entropy coefficient over training: pure functions, never negative.

u: the update, counted from 0 of U.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def linear(update: int, updates: int, start: float, end: float, fraction: float) -> float:
    """From `start` to `end` within the first `fraction` of the U updates, then `end`.

    `end` is reached exactly, and held: a straight line that is not stopped there turns negative.
    """
    span = fraction * (updates - 1)
    progress = min(update / span, 1.0) if span > 0 else 1.0
    return end if progress == 1.0 else start + (end - start) * progress


def exponential(update: int, start: float, decay: float) -> float:
    """start * decay^u."""
    return float(start * decay**update)


def target_entropy(coefficient: Array, entropy_bits: Array, target_bits: float, rate: float) -> Array:
    """One step of the controller: raise the coefficient while the entropy is below its target.

    Integral control: coefficient + rate * (target - entropy), but at least 0. It also works from a coefficient
    of 0, where a controller that multiplies the coefficient would stay. (The dual step of Haarnoja et al.,
    *Soft Actor-Critic Algorithms and Applications* (2018), on the coefficient itself, not its logarithm.)

    Args:
        coefficient: [R].
        entropy_bits: [R], mean entropy of the policy over the last update's steps; a run without steps
            (NaN) keeps its coefficient.
    Returns:
        coefficient for the next update, [R].
    """
    error = np.nan_to_num(target_bits - entropy_bits, nan=0.0)
    return np.maximum(coefficient + rate * error, 0.0)
