"""The steps of one update in simulators, and sums over them.

R: runs, E: episodes of a run, T: time steps, A: actions, N: all steps of the update.
A *place* is an environment, run * E + episode.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.training.update import LockSteps

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Raw = NDArray[Any]


class Played(NamedTuple):
    """All steps, run by run; within a run ordered by time and then by episode."""

    place: Ints  # [N]
    t: Ints  # [N] step of the episode, from 0
    observation: Raw  # [N, *shape] what the policy saw
    log_pi: Array  # [N, A]
    action: Ints  # [N]
    reward: Array  # [N]
    truncated: NDArray[np.bool_]  # [R, E] cut off, by the time limit or by the simulator, before it terminated
    bounds: Ints  # [R + 1] run r has the steps bounds[r] to bounds[r + 1]

    @property
    def run(self) -> Ints:
        """The run of every step, [N]."""
        return self.place // self.truncated.shape[1]

    @property
    def episode(self) -> Ints:
        """The episode of every step, numbered within its run, [N]."""
        return self.place % self.truncated.shape[1]

    def by_run(self, values: Array) -> Array:
        """Sums over the steps of each run: [N] -> [R]."""
        return np.bincount(self.run, values, len(self.truncated)).astype(float)

    def by_episode(self, values: Array) -> Array:
        """Sums over the steps of each episode: [N] -> [R, E]."""
        sums = np.bincount(self.place, values, self.truncated.size).astype(float)
        return sums.reshape(self.truncated.shape)

    def lock_steps(self, entropy: Array) -> LockSteps:
        """The lock-steps: the number of running episodes and their mean entropy, from entropies [N]."""
        runs = len(self.truncated)
        shape = (int(self.t.max(initial=-1)) + 1, runs)
        index = self.t * runs + self.run
        live = np.bincount(index, minlength=math.prod(shape)).reshape(shape)
        total = np.bincount(index, entropy, math.prod(shape)).reshape(shape)
        return LockSteps(live, np.divide(total, live, out=np.full(shape, np.nan), where=live > 0))

    def at_start(self) -> Array:
        """Action probabilities at the first step, mean over the episodes: [R, A]; NaN for a run without any."""
        first = self.t == 0
        policy = np.full((self.truncated.size, self.log_pi.shape[1]), np.nan)
        policy[self.place[first]] = np.exp(self.log_pi[first])
        return policy.reshape(*self.truncated.shape, -1).mean(1)
