"""Where a finite world's experience comes from: sampled episodes or exact expectations; the loss is the same.

R: runs, E: episodes of one update, T: time steps, S: states, A: actions. Sums are over rows of the same state.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agents.information import entropy_from_log
from agents.reinforce import Experience
from agents.returns import RunningMean, batch_mean, leave_one_out, moved_values, normalized, returns_to_go
from envs.exact import expected_experience, visit_counts
from envs.finite_mdp import FiniteMDP
from experiments.config.schema import Agent
from experiments.training.exploration import first_success
from experiments.training.finite.rollout import Episodes, FiniteRollout
from experiments.training.update import LockSteps

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Collected(NamedTuple):
    """What one update saw."""

    experience: Experience
    policy: Array  # [R, S, A] action probabilities
    returns: Array  # [R, E] undiscounted; exact: the expected one, E = 1
    lengths: Array  # [R, E] steps; exact: the expected number, infinite where episodes may never end
    truncation_rate: Array  # [R] share of the episodes that the time limit cut off; exact: the expected one
    visits: Array  # [R, S] steps in each state; exact: see ExactExperience
    visited: NDArray[np.bool_] | None  # [R, S] acted in or arrived at; None: exact, nobody went anywhere
    steps: LockSteps | None  # None: exact
    success_step: NDArray[np.int64]  # [R] lock-step at which the first successful episode ended; -1: none


class SampledExperience:
    """Plays episodes and adds up their advantages for each state and action."""

    def __init__(self, rollout: FiniteRollout, agent: Agent, discount: Array, solved_return: float) -> None:
        self._rollout, self._agent, self._discount = rollout, agent, discount
        self._solved_return = solved_return
        self._running_mean = RunningMean.start(rollout.runs)
        self._values = np.zeros((rollout.runs, rollout.mdp.states))
        self._offset = math.log(rollout.mdp.actions) if agent.soft_return_offset == "uniform" else 0.0

    def collect(self, log_pi: Array, entropy_coef: Array, update: int) -> Collected:
        """The episodes of an update under log_pi [R, S, A]; entropy_coef [R] enters a soft return only."""
        policy = np.exp(log_pi)
        state_entropy = entropy_from_log(log_pi, policy)
        played = self._rollout.collect(policy, state_entropy, update)
        return Collected(
            self._summed(played, self._to_go(played, state_entropy, entropy_coef)),
            policy,
            played.returns,
            played.lengths.astype(np.float64),
            played.truncated / self._rollout.episodes,
            played.visits,
            played.visited,
            LockSteps(played.live, played.entropy),
            first_success(played.returns, played.lengths, self._solved_return),
        )

    def _to_go(self, played: Episodes, state_entropy: Array, entropy_coef: Array) -> Array:
        """Returns-to-go, [T, R, E]; with the entropies of later steps inside, if the return is soft."""
        if self._agent.entropy_objective == "bonus":
            return returns_to_go(self._dense(played, played.reward), self._discount)
        # The step's own entropy enters through the loss term; in its return it would be a constant that
        # does not depend on the action.
        paid = entropy_coef[played.run] * (
            state_entropy.take(played.row(self._rollout.mdp.actions)) - self._offset
        )
        bonus = self._dense(played, paid)
        return returns_to_go(self._dense(played, played.reward) + bonus, self._discount) - bonus

    def _dense(self, played: Episodes, values: Array) -> Array:
        """Numbers of the steps [N] in their places, [T, R, E]; 0 after the end of an episode."""
        dense = np.zeros((len(played.live), *played.returns.shape))
        dense.ravel()[played.place] = values
        return dense

    def _summed(self, played: Episodes, to_go: Array) -> Experience:
        """Advantages and visits added up for each row."""
        visits = played.visits
        returns = to_go.ravel().take(played.place)
        advantages = returns - self._baseline(to_go, played)
        if self._agent.normalize_advantages:
            advantages = normalized(advantages, played.run, len(visits))
        self._learn_baseline(returns, played)
        steps = visits
        if self._agent.discount_weighting:
            weights = self._discount[played.run] ** played.time
            advantages = advantages * weights
            steps = _totals(played.row(self._rollout.mdp.actions), weights, visits.shape)
        sums = _totals(played.row_action, advantages, (*visits.shape, self._rollout.mdp.actions))
        per_step = self._agent.loss_reduction == "per_step"
        normalizer = visits.sum(1) if per_step else np.full(len(visits), float(self._rollout.episodes))
        return Experience(*map(torch.from_numpy, (sums, steps, normalizer)))

    def _baseline(self, to_go: Array, played: Episodes) -> Array | float:
        """The baseline of every step, [N], or 0."""
        name = self._agent.baseline
        if name == "none":
            return 0.0
        if name == "running_mean":
            return self._running_mean.baseline()[played.run]
        if name == "value":
            return self._values.ravel()[played.row(self._rollout.mdp.actions)]
        table = batch_mean(to_go) if name == "batch_mean" else leave_one_out(to_go)
        return np.broadcast_to(table, to_go.shape).ravel()[played.place]

    def _learn_baseline(self, returns: Array, played: Episodes) -> None:
        visits = played.visits
        if self._agent.baseline == "running_mean":
            sums = _totals(played.run, returns, visits.shape[:1])
            self._running_mean = self._running_mean.after(sums, visits.sum(1))
        elif self._agent.baseline == "value":
            sums = _totals(played.row(self._rollout.mdp.actions), returns, visits.shape)
            self._values = moved_values(self._values, sums, visits, self._agent.value_learning_rate)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What goes on from update to update."""
        total, count = self._running_mean
        return {"values": self._values, "baseline_total": total, "baseline_count": count}

    def load(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Go on from `state()`."""
        self._values = state["values"].astype(float)
        self._running_mean = RunningMean(
            state["baseline_total"].astype(float), state["baseline_count"].astype(float)
        )


def _totals(place: Ints, values: Array | None, shape: tuple[int, ...]) -> Array:
    """Sums of the values [N] that stand in the same place of an array; None: how many there are."""
    return np.bincount(place, values, math.prod(shape)).reshape(shape).astype(np.float64, copy=False)


class ExactExperience:
    """Expected advantage sums and visits by dynamic programming: the same loss gives the exact gradient.

    The visits that measures along the path are means over count every step once. Without a time limit, step t
    counts discount^t: those are finite also where episodes never end.

    Raises:
        ValueError: the expectation is infinite, as are undiscounted visits of episodes that may never end.
    """

    def __init__(self, mdp: FiniteMDP, horizon: int | None, agent: Agent, discount: Array) -> None:
        self._mdp, self._horizon, self._agent, self._discount = mdp, horizon, agent, discount
        self._reward = (mdp.probability * mdp.reward).sum(-1)
        self._ending = (mdp.probability * mdp.terminated).sum(-1)
        self._offset = math.log(mdp.actions) if agent.soft_return_offset == "uniform" else 0.0
        uniform = np.full((len(discount), mdp.states, mdp.actions), -math.log(mdp.actions))
        self.collect(uniform, np.zeros(len(discount)), 0)

    def collect(self, log_pi: Array, entropy_coef: Array, update: int) -> Collected:
        """What one episode of log_pi [R, S, A] looks like on average; entropy_coef [R] enters a soft return.

        Whichever update it is: nothing is sampled.
        """
        pi = np.exp(log_pi)
        bonus = None
        if self._agent.entropy_objective == "soft_return":
            bonus = entropy_coef[:, None] * (entropy_from_log(log_pi, pi) - self._offset)
        expected = expected_experience(
            self._mdp,
            pi,
            horizon=self._horizon,
            discount=self._discount,
            discount_weighting=self._agent.discount_weighting,
            entropy_bonus=bonus,
        )
        steps, visits = self._visits(pi, expected.visit_counts)
        reward = (pi * self._reward).sum(-1)
        paid = np.multiply(steps, reward, out=np.zeros_like(steps), where=reward != 0)  # infinity x 0 is 0
        runs = len(pi)
        experience = Experience(
            torch.from_numpy(expected.advantage_sums),
            torch.from_numpy(expected.visit_counts),
            torch.ones(runs),
        )
        return Collected(
            experience,
            pi,
            paid.sum(1, keepdims=True),
            steps.sum(1, keepdims=True),
            self._truncation_rate(pi, steps),
            visits,
            None,
            None,
            np.full(runs, -1, np.int64),
        )

    def _truncation_rate(self, pi: Array, steps: Array) -> Array:
        """The probability that an episode has not ended by itself within the horizon, [R]; without one, 0."""
        if self._horizon is None:
            return np.zeros(len(pi))
        ended: Array = (steps * (pi * self._ending).sum(-1)).sum(1)
        return np.clip(1 - ended, 0.0, 1.0)

    def _visits(self, pi: Array, in_loss: Array) -> tuple[Array, Array]:
        """The expected steps in each state, and what measures weigh them by, [R, S] both."""
        weighted = self._agent.discount_weighting
        steps = visit_counts(self._mdp, pi, horizon=self._horizon) if weighted else in_loss
        if self._horizon is not None:
            return steps, steps
        return steps, in_loss if weighted else visit_counts(self._mdp, pi, horizon=None, discount=self._discount)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Nothing goes on from update to update."""
        return {}

    def load(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Nothing to go on from."""
