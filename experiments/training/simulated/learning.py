"""Learning in simulators: the loss has a row per step, since a state may never be seen twice.

R: runs, E: episodes of a run in one update, N: all steps of an update, A: actions, D: width of an observation.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.acting import log_policy
from agents.information import entropy_from_log
from agents.reinforce import StackedLearner, loss_terms
from agents.returns import RunningMean
from experiments.config.schema import Agent, Config
from experiments.training import exploration, randomness
from experiments.training.advantages import Advantages, Weighed
from experiments.training.randomness import Purpose
from experiments.training.records import Column, Runs
from experiments.training.simulated.chunks import Chunk, chunks, experience
from experiments.training.simulated.observations import Observations
from experiments.training.simulated.simulators import Policy, Simulators
from experiments.training.trajectories import Array, Ints, Played
from experiments.training.update import Ending, Learnt
from experiments.training.worlds import World

GREEDY_EPISODES = 10  # the least number for a greedy return


class SimulatedLearning:
    """Plays in simulators, moves the learner, and measures what can be measured there.

    Args:
        config: what to train.
        world: a world without tables.
        agents: the agents of the arms, which differ in entropy coefficient, discount and initial policy only.
        runs: the runs, arm by arm.
        learner: the learner of all runs.
    """

    def __init__(
        self, config: Config, world: World, agents: Sequence[Agent], runs: Runs, learner: StackedLearner
    ) -> None:
        self._learner, self._world, self._arms = learner, world, len(agents)
        solved = config.environment.solved_return
        self._solved_return = math.inf if solved is None else solved
        self._episodes = config.training.episodes_per_update
        self._seeds = [world.stream_seed(seed) for seed in runs.seed[: len(runs.seed) // len(agents)]]
        discount = np.repeat([agent.discount for agent in agents], len(self._seeds))
        # Views, so that they move with the learner.
        self._layers = [layer.numpy() for layer in learner.shape.split(learner.theta.detach())]
        self._regularizer = agents[0].regularizer
        self._advantages = Advantages(agents[0], discount, self._episodes, world.actions)
        self._observations = Observations(
            world.observations,
            len(runs.arm),
            config.environment.normalize_observations,
            learner.theta.detach().numpy().dtype,
        )
        self._simulators = Simulators(world, runs, self._episodes, self._observations)
        self._moved = np.zeros(len(runs.arm))  # KL divergence of the last gradient step

    def update(self, update: int, entropy_coef: Array, epsilon: float, active: NDArray[np.bool_]) -> Learnt:
        """Play, and train every run by one update.

        Args:
            update: counted from 0.
            entropy_coef: [R].
            epsilon: always 0, since worlds without tables allow no random actions.
            active: [R], False if the run has failed.
        """
        block = randomness.uniforms(self._seeds, Purpose.ACTIONS, update, (self._world.time_limit, self._episodes))
        uniforms = np.tile(block.transpose(1, 0, 2), (1, self._arms, 1))
        resets = self._reset_seeds(Purpose.ENVIRONMENT, update)
        played = self._simulators.play(self._policy_of, resets, uniforms, active)
        entropy = entropy_from_log(played.log_pi)
        weighed = self._advantages.of(played, entropy, entropy_coef)
        moved_before = self._moved
        terms, grad_norm, self._moved = self._learn(played, weighed, entropy_coef)
        policy_loss, negative_entropy, regularizer, loss = terms
        returns, lengths = played.by_episode(played.reward), played.by_episode(np.ones(len(entropy)))
        known = np.where(active, 1.0, math.nan)
        return Learnt(
            returns * known[:, None],
            lengths * known[:, None],
            exploration.first_success(returns, lengths, self._solved_return),
            played.lock_steps(entropy),
            policy_loss * known,
            negative_entropy * known,
            regularizer * known,
            loss * known,
            grad_norm,
            {
                "entropy_nats": played.by_run(entropy) / lengths.sum(1),
                "kl_from_previous": moved_before * known,
                "start_policy": played.at_start(),
                "truncation_rate": played.truncated.mean(1) * known,
            },
        )

    def _policy_of(self, runs: Ints) -> Policy:
        """The policy of some runs, whose parameters are gathered once."""
        layers = [layer[runs] for layer in self._layers]
        return lambda rows: log_policy(layers, rows)

    def _reset_seeds(self, purpose: Purpose, update: int) -> Ints:
        """Seeds of the episodes of an update, [R, E]: the same for every arm."""
        of_seeds = randomness.environment_seeds(self._seeds, purpose, update, self._episodes)
        return np.tile(of_seeds, (self._arms, 1))

    def _learn(self, played: Played, weighed: Weighed, entropy_coef: Array) -> tuple[Array, Array, Array]:
        """One gradient step: the terms of the loss [4, R], norms of gradients [R], divergences of policies [R]."""
        parts = list(chunks(played.bounds))
        terms = np.zeros((4, len(entropy_coef)))
        self._learner.zero_grad()
        for chunk in parts:
            log_pi = self._log_pi(played, chunk)
            coefficient = torch.from_numpy(entropy_coef[chunk.runs])
            part = loss_terms(log_pi, experience(played, weighed, chunk), coefficient, self._regularizer)
            self._learner.accumulate(part.loss)
            terms[:, chunk.runs] += torch.stack(part).detach().numpy()
        grad_norm = self._learner.apply().double().numpy()
        self._observations.learn(played.observation, played.bounds)
        moved = np.zeros(len(entropy_coef))
        with torch.no_grad():
            for chunk in parts:
                new = self._log_pi(played, chunk).numpy()
                divergence = exploration.kl_divergence(played.log_pi[chunk.step], new)
                moved[chunk.runs] += (divergence * chunk.real).sum(1)
        return terms, grad_norm, moved / np.maximum(np.diff(played.bounds), 1)

    def _log_pi(self, played: Played, chunk: Chunk) -> Tensor:
        rows = torch.from_numpy(self._observations.rows(played.observation[chunk.step], chunk.runs))
        return self._learner.log_pi(rows, torch.from_numpy(chunk.runs)).double()

    def snapshot(self) -> None:
        """Nothing: without tables there is nothing to draw."""

    def close(self) -> None:
        """Close the simulators."""
        self._simulators.close()

    def final(self) -> Ending:
        """The policies as they are now: what their most probable actions earn in some fresh episodes.

        The episodes are the same at every call.
        """
        active = ~self._learner.frozen.numpy()
        rounds = [
            self._simulators.play(self._policy_of, self._reset_seeds(Purpose.EVALUATION, number), None, active)
            for number in range(math.ceil(GREEDY_EPISODES / self._episodes))
        ]
        starts = np.stack([played.at_start() for played in rounds])
        earned = np.stack([played.by_episode(played.reward).mean(1) for played in rounds])
        greedy_return = exploration.mean_over_first(earned) * np.where(active, 1.0, math.nan)
        unknown = np.full(len(active), math.nan)
        return Ending(exploration.mean_over_first(starts), greedy_return, unknown, unknown)

    def parameters(self) -> dict[str, Column]:
        """What acting needs besides the learner's parameters, [R, D] each."""
        return self._observations.parameters()

    def state(self) -> dict[str, Column]:
        """What lasts from update to update; simulators start afresh with every episode."""
        return {
            "moved": self._moved.copy(),
            **{f"baseline.{key}": value.copy() for key, value in self._advantages.running_mean._asdict().items()},
            **{f"observations.{key}": value for key, value in self._observations.state().items()},
        }

    def load(self, state: dict[str, Column]) -> None:
        """Resume from `state()`."""

        def part(prefix: str) -> dict[str, Column]:
            return {k.removeprefix(prefix): v.copy() for k, v in state.items() if k.startswith(prefix)}

        self._moved = state["moved"].copy()
        self._advantages.running_mean = RunningMean(**part("baseline."))
        self._observations.load(part("observations."))
