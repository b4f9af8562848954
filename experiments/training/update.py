"""What is known after one update, and at the end of training; the same for every kind of world.

R: runs, E: episodes of one update, A: actions. NaN: the world cannot tell (a simulator has no table of states), or
the run has failed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.training import exploration
from experiments.training.records import Column, Records, Snapshot, Steps

Array = NDArray[np.float64]


class LockSteps(NamedTuple):
    """The lock-steps of one update: a run's E environments step together."""

    live: NDArray[np.int64]  # [T, R] episodes still running; 0: the run has no such step
    entropy: Array  # [T, R] nats, mean over the live ones; NaN where none is


class Learnt(NamedTuple):
    """One update of a batch: what was played, the terms of the loss, and what was measured."""

    returns: Array  # [R, E] undiscounted; of truncated episodes, up to their last step
    lengths: Array  # [R, E] steps
    success_step: NDArray[np.int64]  # [R] lock-step at which the first successful episode ended; -1: none
    steps: LockSteps | None  # None: exact gradients take no steps
    policy_loss: Array  # [R]
    negative_entropy: Array  # [R] nats
    regularizer: Array  # [R] the term that the coefficient weights
    loss: Array  # [R]
    grad_norm: Array  # [R] before clipping
    measured: dict[str, Array]  # columns of updates.parquet that the world has, [R] (start_policy [R, A])

    def columns(self, solved_return: float | None) -> dict[str, Column]:
        """Columns by name, [R] each (start_policy [R, A]).

        Args:
            solved_return: the return that makes an episode a success; None: there is none.
        """
        success = exploration.reaches(self.returns, None if self.steps is None else solved_return)
        return {
            "return_mean": self.returns.mean(1),
            "episode_length": self.lengths.mean(1),
            **self.measured,
            "success_rate": success.mean(1),
            "success_step": self.success_step,
            "policy_loss": self.policy_loss,
            "negative_entropy": self.negative_entropy,
            "regularizer": self.regularizer,
            "loss": self.loss,
            "grad_norm": self.grad_norm,
        }


class Ending(NamedTuple):
    """The policies after the last gradient step."""

    start_policy: Array  # [R, A]
    greedy_return: Array  # [R] of the most probable actions: exact in finite worlds, else a mean
    success_probability: Array  # [R] of an episode; NaN where gradients are sampled, or if unknown
    state_coverage: Array  # [R]


class Update(NamedTuple):
    """One update of the runs of a batch, as it goes into a block."""

    columns: dict[str, Column]  # [R] each, but start_policy [R, A]
    active: NDArray[np.bool_]  # [R]
    resting: NDArray[np.bool_]  # [R]
    steps: LockSteps | None
    snapshot: Snapshot | None


def stacked(first: int, updates: Sequence[Update]) -> Records:
    """One or more updates as a block, of which the first has the number `first`."""
    active = np.stack([update.active for update in updates])
    return Records(
        first,
        {name: np.stack([update.columns[name] for update in updates]) for name in updates[0].columns},
        active,
        np.stack([update.resting for update in updates]),
        _run_by_run([update.steps for update in updates], active),
        {first + u: update.snapshot for u, update in enumerate(updates) if update.snapshot is not None},
    )


def _run_by_run(updates: Sequence[LockSteps | None], active: NDArray[np.bool_]) -> Steps | None:
    """The lock-steps of some updates; a run that is not active has none."""
    steps = [update for update in updates if update is not None]
    if not steps:
        return None
    live = np.concatenate([np.where(a, s.live, 0) for s, a in zip(steps, active, strict=True)]).T
    entropy = np.concatenate([s.entropy for s in steps]).T
    length = np.stack([(s.live > 0).sum(0) for s in steps]) * active
    return Steps(length, live[live > 0], entropy[live > 0])
