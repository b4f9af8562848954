"""Returns-to-go, baselines and advantages: pure functions of arrays.

R: runs, E: episodes of one update, T: time steps. Rewards after an episode's end are 0, and so
are its returns-to-go there. Source: Williams, *Simple Statistical Gradient-Following Algorithms* (1992);
leave-one-out after Kool, van Hoof and Welling, *Buy 4 REINFORCE Samples, Get a Baseline for Free!* (2019).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def returns_to_go(rewards: Array, discount: Array) -> Array:
    """G_t = sum over k >= t of discount^(k - t) * reward_k.

    Args:
        rewards: [T, R, E], 0 after the end of an episode.
        discount: [R], in [0, 1].
    Returns:
        returns-to-go, [T, R, E].
    """
    found = rewards.copy()
    for t in range(len(rewards) - 2, -1, -1):
        found[t] += discount[:, None] * found[t + 1]
    return found


def batch_mean(returns: Array) -> Array:
    """The mean of the E returns-to-go at the same time step, an ended episode counting 0.

    It includes the episode's own return, so the expected gradient shrinks by the factor 1 - 1/E.

    Args:
        returns: [T, R, E].
    Returns:
        baseline, [T, R, 1].
    """
    return returns.mean(axis=2, keepdims=True)


def leave_one_out(returns: Array) -> Array:
    """The mean of the other E - 1 returns-to-go at the same time step.

    It does not depend on the episode's own action, so it does not bias the gradient.

    Args:
        returns: [T, R, E], E >= 2.
    Returns:
        baseline, [T, R, E].
    """
    others = returns.shape[2] - 1
    return (returns.sum(axis=2, keepdims=True) - returns) / others


class RunningMean(NamedTuple):
    """The cumulative mean of all returns-to-go of earlier updates; 0 before the first."""

    total: Array  # [R]
    number: Array  # [R]

    @classmethod
    def start(cls, runs: int) -> "RunningMean":
        return cls(np.zeros(runs), np.zeros(runs))

    def baseline(self) -> Array:
        """[R]."""
        return self.total / np.maximum(self.number, 1)

    def after(self, return_sums: Array, numbers: Array) -> "RunningMean":
        """The mean after an update, given the sum and the number of its returns-to-go for each run, [R] both."""
        return RunningMean(self.total + return_sums, self.number + numbers)


def normalized(advantages: Array, run: NDArray[np.int64], runs: int) -> Array:
    """Advantages with mean 0 and standard deviation 1 within each run: a common habit, and biased.

    Args:
        advantages: [N], the live steps of all runs.
        run: [N], the run of each.
    Returns:
        normalised advantages, [N].
    """
    count = np.maximum(np.bincount(run, minlength=runs), 1)
    centred = advantages - (np.bincount(run, weights=advantages, minlength=runs) / count)[run]
    deviation = np.sqrt(np.bincount(run, weights=centred**2, minlength=runs) / count)
    # 1e-8 keeps equal advantages (deviation 0) at 0, as in the widespread implementations.
    return np.asarray(centred / (deviation + 1e-8)[run])
