"""The average of an episode, from which the loss of sampled episodes gives the exact gradient.

R: runs, S: states, A: actions.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agents.information import entropy_from_log
from agents.reinforce import Experience
from envs.exact import expected_experience, visit_counts
from envs.finite_mdp import FiniteMDP
from experiments.config.schema import Agent

Array = NDArray[np.float64]


class Expected(NamedTuple):
    """The expectations of one update."""

    experience: Experience
    policy: Array  # [R, S, A] action probabilities
    returns: Array  # [R, 1] the expected undiscounted one
    lengths: Array  # [R, 1] the expected number of steps, infinite where episodes may never end
    truncation_rate: Array  # [R] the expected share of episodes that the time limit cuts off
    visits: Array  # [R, S] see ExactExperience


class ExactExperience:
    """Expected advantage sums and visits by dynamic programming: the same loss gives the exact gradient.

    Measures along the path are means over visits in which every step counts once. Without a time limit, step t
    counts discount^t, which is finite even where episodes never end.

    Raises:
        ValueError: the expectation is infinite, because episodes are undiscounted and may never end.
    """

    def __init__(self, mdp: FiniteMDP, horizon: int | None, agent: Agent, discount: Array) -> None:
        self._mdp, self._horizon, self._agent, self._discount = mdp, horizon, agent, discount
        self._reward = (mdp.probability * mdp.reward).sum(-1)
        self._ending = (mdp.probability * mdp.terminated).sum(-1)
        self._offset = math.log(mdp.actions) if agent.soft_return_offset == "uniform" else 0.0
        uniform = np.full((len(discount), mdp.states, mdp.actions), -math.log(mdp.actions))
        self.collect(uniform, np.zeros(len(discount)))

    def collect(self, log_pi: Array, entropy_coef: Array) -> Expected:
        """The average episode of the policies log_pi [R, S, A]; entropy_coef [R] enters a soft return."""
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
        experience = Experience(
            torch.from_numpy(expected.advantage_sums),
            torch.from_numpy(expected.visit_counts),
            torch.ones(len(pi)),
        )
        return Expected(
            experience,
            pi,
            paid.sum(1, keepdims=True),
            steps.sum(1, keepdims=True),
            self._truncation_rate(pi, steps),
            visits,
        )

    def _truncation_rate(self, pi: Array, steps: Array) -> Array:
        """The probability that an episode has not ended by itself within the horizon, [R]; without one, 0."""
        if self._horizon is None:
            return np.zeros(len(pi))
        ended: Array = (steps * (pi * self._ending).sum(-1)).sum(1)
        return np.clip(1 - ended, 0.0, 1.0)

    def _visits(self, pi: Array, in_loss: Array) -> tuple[Array, Array]:
        """The expected steps in each state, and the weights for measures, [R, S] both."""
        weighted = self._agent.discount_weighting
        steps = visit_counts(self._mdp, pi, horizon=self._horizon) if weighted else in_loss
        if self._horizon is not None:
            return steps, steps
        return steps, in_loss if weighted else visit_counts(self._mdp, pi, horizon=None, discount=self._discount)
