"""What one update, and the end of training, tell of the runs of a batch; the same for every kind of world.

R: runs, E: episodes of one update, A: actions. NaN: the world does not tell (a simulator has no table of states),
or the run has failed and plays no more.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Steps(NamedTuple):
    """The lock-steps of one update: a run's E environments step together."""

    live: NDArray[np.int64]  # [T, R] episodes still running; 0: the run has no such step
    entropy: Array  # [T, R] nats, mean over the live ones; NaN where none is


class Learnt(NamedTuple):
    """One update of a batch: what was played, the terms of the loss, and what was measured."""

    returns: Array  # [R, E] undiscounted; of a truncated episode, what was seen of it
    lengths: Array  # [R, E] steps
    success_step: NDArray[np.int64]  # [R] lock-step at which the first successful episode ended; -1: none
    steps: Steps | None  # None: exact gradients take no steps
    policy_loss: Array  # [R]
    negative_entropy: Array  # [R] nats
    loss: Array  # [R]
    grad_norm: Array  # [R] before clipping
    measured: dict[str, Array]  # columns of updates.parquet, [R] (start_policy [R, A]), that the world can tell


class Ending(NamedTuple):
    """The policies after the last gradient step."""

    start_policy: Array  # [R, A]
    greedy_return: Array  # [R] of the most probable actions: exact in finite worlds, else a mean of episodes
    success_probability: Array  # [R] of an episode; NaN: episodes tell (sampled), or it cannot be computed
    state_coverage: Array  # [R]
