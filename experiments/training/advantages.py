"""Advantages of single steps, for worlds without a table of states.

R: runs, E: episodes of one update, T: time steps, N: all steps of an update, A: actions.
"""

import math
from typing import NamedTuple

import numpy as np

from agents.returns import RunningMean, batch_mean, leave_one_out, normalized, returns_to_go
from experiments.config.schema import Agent
from experiments.training.trajectories import Array, Ints, Played

Index = tuple[Ints, Ints, Ints]  # t, run, episode; [N] each


class Weighed(NamedTuple):
    """What the loss needs about every step."""

    advantage: Array  # [N]
    weight: Array  # [N] the weight of its entropy: 1, or discount^t with discount weighting
    normalizer: Array  # [R] episodes, or steps ("per_step")


class Advantages:
    """Computes advantages from the steps played; only the running mean lasts from update to update."""

    def __init__(self, agent: Agent, discount: Array, episodes: int, actions: int) -> None:
        self._agent, self._discount, self._episodes = agent, discount, episodes
        self._offset = math.log(actions) if agent.soft_return_offset == "uniform" else 0.0
        self.running_mean = RunningMean.start(len(discount))

    def of(self, played: Played, entropy: Array, entropy_coef: Array) -> Weighed:
        """Advantages of an update.

        Args:
            played: the steps.
            entropy: of the policy at each step, [N] nats.
            entropy_coef: [R], enters a soft return only.
        """
        run, at = played.run, (played.t, played.run, played.episode)
        to_go = self._to_go(played, at, entropy, entropy_coef[run])
        returns = to_go[at]
        advantages = returns - self._baseline(to_go, at)
        if self._agent.normalize_advantages:
            advantages = normalized(advantages, run, len(self._discount))
        steps = np.diff(played.bounds).astype(float)
        if self._agent.baseline == "running_mean":
            self.running_mean = self.running_mean.after(played.by_run(returns), steps)
        weight = self._discount[run] ** played.t if self._agent.discount_weighting else np.ones(len(run))
        per_step = self._agent.loss_reduction == "per_step"
        normalizer = np.maximum(steps, 1.0) if per_step else np.full(len(steps), float(self._episodes))
        return Weighed(advantages * weight, weight, normalizer)

    def _to_go(self, played: Played, at: Index, entropy: Array, entropy_coef: Array) -> Array:
        """Returns-to-go, [T, R, E], which include the entropies of later steps if the return is soft."""
        rewards = np.zeros((int(played.t.max(initial=0)) + 1, len(self._discount), self._episodes))
        rewards[at] = played.reward
        if self._agent.entropy_objective == "bonus":
            return returns_to_go(rewards, self._discount)
        # The step's own entropy enters through the loss term; in its return it would be a constant that
        # does not depend on the action.
        bonus = np.zeros_like(rewards)
        bonus[at] = entropy_coef * (entropy - self._offset)
        return returns_to_go(rewards + bonus, self._discount) - bonus

    def _baseline(self, to_go: Array, at: Index) -> Array:
        """The baseline of every step, [N] (or 0)."""
        if self._agent.baseline == "none":
            return np.zeros(1)
        if self._agent.baseline == "running_mean":
            return self.running_mean.baseline()[at[1]]
        table = batch_mean(to_go) if self._agent.baseline == "batch_mean" else leave_one_out(to_go)
        return np.broadcast_to(table, to_go.shape)[at]
