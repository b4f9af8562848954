"""Learning in finite worlds: the policy is a table of all states, and the optimum is known.

R: runs, S: states, A: actions.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from agents.information import entropy_from_log
from agents.policy import mixed_with_uniform
from agents.reinforce import StackedLearner, loss_terms
from envs.exact import evaluate
from envs.finite_mdp import FiniteMDP
from envs.success import success_probability
from experiments.config.schema import Agent, Config, ConfigError
from experiments.training import exploration
from experiments.training.finite.experience import Collected, ExactExperience, SampledExperience
from experiments.training.finite.rollout import FiniteRollout
from experiments.training.records import Column, Snapshot
from experiments.training.update import Ending, Learnt
from experiments.training.worlds import World

Array = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)


class FiniteLearning:
    """Collects in a finite world, moves the learner, and measures against the tables.

    Args:
        config: what to train.
        world: the world of `mdp`.
        mdp: its tables.
        agents: of the arms; they differ in entropy coefficient, discount and initial policy only.
        seeds: of every arm.
        learner: of all runs, arm by arm.
    """

    def __init__(
        self,
        config: Config,
        world: World,
        mdp: FiniteMDP,
        agents: Sequence[Agent],
        seeds: Sequence[int],
        learner: StackedLearner,
    ) -> None:
        self._world, self._mdp, self._agents, self._learner = world, mdp, agents, learner
        optimal = np.repeat([world.optimal_actions(agent.discount) for agent in agents], len(seeds), axis=0)
        self._optimal = _by_action(optimal)
        self.source = _experience_source(config, world, mdp, agents, seeds)
        runs = len(self._optimal)
        self._visits = np.zeros((runs, mdp.states))
        self._visited = np.zeros((runs, mdp.states), dtype=bool)
        self._previous_log_pi = _by_action(np.zeros((runs, mdp.states, mdp.actions)))
        self._previous_policy = np.exp(self._previous_log_pi)
        self._previous_visits = np.zeros((runs, mdp.states))

    def update(self, update: int, entropy_coef: Array, epsilon: float, active: NDArray[np.bool_]) -> Learnt:
        """Collect, and move every run once.

        What acts, and is measured, is the policy with a share `epsilon` of uniformly random actions.

        Args:
            update: counted from 0.
            entropy_coef: [R].
            epsilon: the share.
            active: [R], False if the run has failed.
        """
        policy = self._learner.log_pi().double()
        acting = mixed_with_uniform(policy, epsilon)
        log_pi_graph = acting if self._agents[0].behaviour_gradient == "mixture" else policy
        log_pi = acting.detach().numpy()
        collected = self.source.collect(log_pi, entropy_coef, update)
        coefficient, name = torch.from_numpy(entropy_coef), self._agents[0].regularizer
        terms = loss_terms(log_pi_graph, collected.experience, coefficient, name)
        grad_norm = self._learner.step(terms.loss)
        self._visits += collected.visits * active[:, None]
        if collected.visited is not None:
            self._visited |= collected.visited & active[:, None]
        return Learnt(
            collected.returns,
            collected.lengths,
            collected.success_step,
            collected.steps,
            terms.policy_loss.detach().numpy(),
            terms.negative_entropy.detach().numpy(),
            terms.regularizer.detach().numpy(),
            terms.loss.detach().numpy(),
            grad_norm.double().numpy(),
            self._measured(log_pi, collected),
        )

    def _measured(self, log_pi: Array, collected: Collected) -> dict[str, Array]:
        visits, policy = collected.visits, collected.policy
        state_entropy = entropy_from_log(log_pi, policy)
        kl = np.zeros(len(visits))
        if self._previous_visits.any():  # else it is the first update: nothing has moved yet
            moved = exploration.kl_divergence(self._previous_log_pi, log_pi, self._previous_policy)
            kl = exploration.mean_over_visited(moved, self._previous_visits)
        cross_entropy = exploration.cross_entropy_to_optimal(log_pi, self._optimal, policy)
        acting = self._world.reachable & ~self._world.terminal
        self._previous_log_pi, self._previous_policy, self._previous_visits = log_pi, policy, visits
        return {
            "entropy_nats": exploration.mean_over_visits(state_entropy, visits),
            "kl_from_previous": kl,
            "start_policy": self._at_start(policy),
            "truncation_rate": collected.truncation_rate,
            "all_state_entropy_bits": (state_entropy * acting).sum(1) / acting.sum() / math.log(2),
            "optimal_action_probability": self._at_start(policy * self._optimal).sum(1),
            "path_optimal_action_probability": exploration.mean_over_visits(
                exploration.optimal_action_probability(policy, self._optimal), visits
            ),
            "cross_entropy_to_optimal": exploration.mean_over_visits(cross_entropy, visits),
            "state_coverage": self._state_coverage(),
            "visit_entropy_bits": exploration.visit_entropy_bits(visits),
        }

    def _state_coverage(self) -> Array:
        if isinstance(self.source, ExactExperience):
            return np.full(len(self._visited), math.nan)
        return exploration.state_coverage(self._visited, self._world.reachable)

    def _at_start(self, policy: Array) -> Array:
        return np.einsum("s,rsa->ra", self._mdp.start, policy)

    def snapshot(self) -> Snapshot:
        """The policies that acted in the last update, and all visits so far."""
        return Snapshot(self._previous_policy, self._visits.copy())

    def final(self) -> Ending:
        """The policies as they are now, and what their most probable actions earn."""
        with torch.no_grad():
            log_pi = self._learner.log_pi().double().numpy()
        policy, greedy = np.exp(log_pi), np.eye(self._mdp.actions)[log_pi.argmax(2)]
        return Ending(
            self._at_start(policy),
            evaluate(self._mdp, greedy, horizon=self._world.time_limit, discount=1.0).expected_return,
            self._success_probability(policy),
            self._state_coverage(),
        )

    def _success_probability(self, policy: Array) -> Array:
        """The chance that an episode reaches `solved_return`, [R]; NaN: see `Ending`."""
        agent, solved = self._agents[0], self._world.environment.solved_return
        chance = np.full(len(policy), math.nan)
        if agent.gradient == "sampled" or solved is None:
            return chance
        horizon = _horizon(agent, self._world)
        for run in np.flatnonzero(~self._learner.frozen.numpy()):  # one by one: rounding would tell of neighbours
            with suppress(ValueError):  # too many different returns, or no limit and rewards on the way
                (chance[run],) = success_probability(
                    self._mdp, policy[[run]], horizon=horizon, solved_return=solved
                )
        return chance

    def parameters(self) -> dict[str, torch.Tensor]:
        """What acting needs beside the learner's parameters: nothing."""
        return {}

    def state(self) -> dict[str, Column]:
        """What goes on from update to update."""
        return {
            **{f"source.{key}": value.copy() for key, value in self.source.state().items()},
            "visits": self._visits.copy(),
            "visited": self._visited.copy(),
            "previous_log_pi": self._previous_log_pi.copy(),
            "previous_visits": self._previous_visits.copy(),
        }

    def load(self, state: dict[str, Column]) -> None:
        """Go on from `state()`."""
        prefix = "source."
        self.source.load({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        self._visits, self._visited = state["visits"].copy(), state["visited"].copy()
        self._previous_log_pi = _by_action(state["previous_log_pi"])
        self._previous_policy = np.exp(self._previous_log_pi)
        self._previous_visits = state["previous_visits"].copy()


def _by_action(table: NDArray[T]) -> NDArray[T]:
    """A copy of a table [R, S, A] that lies in memory as the learner's do, [R, A, S].

    NumPy adds up the actions in an order that follows the memory: tables that go on from a checkpoint must lie as
    those that were never stored.
    """
    return table.transpose(0, 2, 1).copy().transpose(0, 2, 1)


def _horizon(agent: Agent, world: World) -> int | None:
    return None if agent.horizon == "infinite" else world.time_limit


def _experience_source(
    config: Config, world: World, mdp: FiniteMDP, agents: Sequence[Agent], seeds: Sequence[int]
) -> SampledExperience | ExactExperience:
    agent = agents[0]
    discount = np.repeat([agent.discount for agent in agents], len(seeds))
    if agent.gradient == "exact":
        try:
            return ExactExperience(mdp, _horizon(agent, world), agent, discount)
        except ValueError as error:
            raise ConfigError(f"agent.horizon: {error}") from None
    solved = config.environment.solved_return
    rollout = FiniteRollout(mdp, seeds, len(agents), config.training.episodes_per_update, world.time_limit)
    return SampledExperience(rollout, agent, discount, math.inf if solved is None else solved)
