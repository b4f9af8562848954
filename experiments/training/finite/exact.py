"""Learning from exact gradients in finite worlds: the policy is a table of all states, and the optimum is known.

R: runs, S: states, A: actions.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from agents.differentiable import mixed_with_uniform
from agents.information import entropy_from_log
from agents.reinforce import StackedLearner, loss_terms
from envs.finite_mdp import FiniteMDP
from envs.success import success_probability
from experiments.config.schema import Agent, ConfigError
from experiments.training import exploration
from experiments.training.finite.ending import at_start, ending
from experiments.training.finite.experience import ExactExperience, Expected
from experiments.training.records import Column, Snapshot
from experiments.training.update import Ending, Learnt
from experiments.training.worlds import World

Array = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)


class ExactLearning:
    """Moves the learner along the exact gradient, and measures against the tables.

    Args:
        world: the world of `mdp`.
        mdp: its tables.
        agents: the agents of the arms, which differ in entropy coefficient, discount and initial policy only.
        seeds: the seeds of every arm.
        learner: the learner of all runs, arm by arm.
    Raises:
        ConfigError: the gradient is infinite, because undiscounted episodes may never end.
    """

    def __init__(
        self,
        world: World,
        mdp: FiniteMDP,
        agents: Sequence[Agent],
        seeds: Sequence[int],
        learner: StackedLearner,
    ) -> None:
        self._world, self._mdp, self._agent, self._learner = world, mdp, agents[0], learner
        self._horizon = None if self._agent.horizon == "infinite" else world.time_limit
        optimal = np.repeat([world.optimal_actions(agent.discount) for agent in agents], len(seeds), axis=0)
        self._optimal = _by_action(optimal)
        discount = np.repeat([agent.discount for agent in agents], len(seeds))
        try:
            self._experience = ExactExperience(mdp, self._horizon, self._agent, discount)
        except ValueError as error:
            raise ConfigError(f"agent.horizon: {error}") from None
        runs = len(discount)
        self._visits = np.zeros((runs, mdp.states))
        self._previous_log_pi = _by_action(np.zeros((runs, mdp.states, mdp.actions)))
        self._previous_policy = np.exp(self._previous_log_pi)
        self._previous_visits = np.zeros((runs, mdp.states))

    def update(self, update: int, entropy_coef: Array, epsilon: float, active: NDArray[np.bool_]) -> Learnt:
        """Move every run once.

        The policy that acts, and is measured, has a share `epsilon` of uniformly random actions.

        Args:
            update: counted from 0.
            entropy_coef: [R].
            epsilon: the share.
            active: [R], False if the run has failed.
        """
        acting = mixed_with_uniform(self._learner.log_pi().double(), epsilon)
        log_pi = acting.detach().numpy()
        expected = self._experience.collect(log_pi, entropy_coef)
        coefficient, name = torch.from_numpy(entropy_coef), self._agent.regularizer
        terms = loss_terms(acting, expected.experience, coefficient, name)
        grad_norm = self._learner.step(terms.loss)
        self._visits += expected.visits * active[:, None]
        return Learnt(
            expected.returns,
            expected.lengths,
            np.full(len(log_pi), -1, np.int64),
            None,
            terms.policy_loss.detach().numpy(),
            terms.negative_entropy.detach().numpy(),
            terms.regularizer.detach().numpy(),
            terms.loss.detach().numpy(),
            grad_norm.double().numpy(),
            self._measured(log_pi, expected),
        )

    def _measured(self, log_pi: Array, expected: Expected) -> dict[str, Array]:
        visits, policy = expected.visits, expected.policy
        state_entropy = entropy_from_log(log_pi, policy)
        kl = np.zeros(len(visits))
        if self._previous_visits.any():  # not in the first update: nothing has moved yet
            moved = exploration.kl_divergence(self._previous_log_pi, log_pi, self._previous_policy)
            kl = exploration.mean_over_visited(moved, self._previous_visits)
        cross_entropy = exploration.cross_entropy_to_optimal(log_pi, self._optimal, policy)
        acting = self._world.reachable & ~self._world.terminal
        self._previous_log_pi, self._previous_policy, self._previous_visits = log_pi, policy, visits
        return {
            "entropy_nats": exploration.mean_over_visits(state_entropy, visits),
            "kl_from_previous": kl,
            "start_policy": at_start(self._mdp, policy),
            "truncation_rate": expected.truncation_rate,
            "all_state_entropy_bits": (state_entropy * acting).sum(1) / acting.sum() / math.log(2),
            "optimal_action_probability": at_start(self._mdp, policy * self._optimal).sum(1),
            "path_optimal_action_probability": exploration.mean_over_visits(
                exploration.optimal_action_probability(policy, self._optimal), visits
            ),
            "cross_entropy_to_optimal": exploration.mean_over_visits(cross_entropy, visits),
            "state_coverage": np.full(len(visits), math.nan),  # no states were visited
            "visit_entropy_bits": exploration.visit_entropy_bits(visits),
        }

    def snapshot(self) -> Snapshot:
        """The policies that acted in the last update, and all visits so far."""
        return Snapshot(self._previous_policy, self._visits.copy())

    def final(self) -> Ending:
        """The policies as they are now, and what their most probable actions earn."""
        with torch.no_grad():
            log_pi = self._learner.log_pi().double().numpy()
        unknown = np.full(len(log_pi), math.nan)
        return ending(self._mdp, self._world.time_limit, log_pi)._replace(
            success_probability=self._success_probability(np.exp(log_pi)), state_coverage=unknown
        )

    def _success_probability(self, policy: Array) -> Array:
        """The chance that an episode reaches `solved_return`, [R]; NaN: see `Ending`."""
        chance, solved = np.full(len(policy), math.nan), self._world.environment.solved_return
        if solved is None:
            return chance
        for run in np.flatnonzero(~self._learner.frozen.numpy()):  # one by one, as a run alone
            with suppress(ValueError):  # too many different returns, or no limit and rewards on the way
                (chance[run],) = success_probability(
                    self._mdp, policy[[run]], horizon=self._horizon, solved_return=solved
                )
        return chance

    def state(self) -> dict[str, Column]:
        """What lasts from update to update."""
        return {
            "visits": self._visits.copy(),
            "previous_log_pi": self._previous_log_pi.copy(),
            "previous_visits": self._previous_visits.copy(),
        }

    def load(self, state: dict[str, Column]) -> None:
        """Resume from `state()`."""
        self._visits, self._previous_visits = state["visits"].copy(), state["previous_visits"].copy()
        self._previous_log_pi = _by_action(state["previous_log_pi"])
        self._previous_policy = np.exp(self._previous_log_pi)


def _by_action(table: NDArray[T]) -> NDArray[T]:
    """A copy of a table [R, S, A] with the learner's memory layout, [R, A, S].

    NumPy adds up the actions in an order that follows the memory layout, so tables from a checkpoint must have the
    same layout as tables that were never stored.
    """
    return table.transpose(0, 2, 1).copy().transpose(0, 2, 1)
