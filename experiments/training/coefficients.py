"""The entropy coefficients of runs, by the schedule or the controller of their arm.

R: runs, arm by arm.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents import schedules
from experiments.config.schema import Agent, Exponential, Linear, TargetEntropy

Array = NDArray[np.float64]


class Coefficients:
    """The coefficients in every update.

    Attributes:
        controlled: those of target-entropy controllers, [R], which compiled training changes in place.

    Args:
        agents: the agents of the arms.
        seeds: the number of runs of each.
        updates: the number of updates of the training.
    """

    def __init__(self, agents: Sequence[Agent], seeds: int, updates: int) -> None:
        self._updates = updates
        self._specs = [(slice(i * seeds, (i + 1) * seeds), agent.entropy_coef) for i, agent in enumerate(agents)]
        starts = [spec.start if isinstance(spec, TargetEntropy) else 0.0 for _, spec in self._specs]
        self.controlled = np.repeat(starts, seeds)

    def of(self, update: int) -> Array:
        """The coefficient of every run in an update, [R]."""
        found = self.controlled.copy()
        for runs, spec in self._specs:
            if not isinstance(spec, TargetEntropy):
                found[runs] = scheduled(spec, update, self._updates)
        return found

    def control(self, entropy_bits: Array) -> None:
        """Move the controllers by the entropies of an update, [R]."""
        for runs, spec in self._specs:
            if isinstance(spec, TargetEntropy):
                self.controlled[runs] = schedules.target_entropy(
                    self.controlled[runs], entropy_bits[runs], spec.target_bits, spec.rate
                )


def scheduled(spec: float | Linear | Exponential, update: int, updates: int) -> float:
    """The value of a number or a schedule in an update."""
    if isinstance(spec, Linear):
        return schedules.linear(update, updates, spec.start, spec.end, spec.fraction)
    if isinstance(spec, Exponential):
        return schedules.exponential(update, spec.start, spec.decay)
    return spec
