"""Learning in simulators: a row a step, every step seen once.

R: runs, M: some of the runs, E: episodes of a run in one update, N: all steps of an update, A: actions,
CHUNK: rows of a run that pass through the network together.

A run's steps are cut into chunks of one fixed size, the last filled up with rows of weight 0: the shape of every
product, and with it the rounding of every sum, is the run's own business and not its neighbours'.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.reinforce import Experience, StackedLearner, loss_terms
from agents.returns import RunningMean
from experiments import measures
from experiments.advantages import Advantages, Weighed
from experiments.config import Agent, Config
from experiments.experience import Steps
from experiments.learnt import Ending, Learnt, Measured
from experiments.observations import Observations
from experiments.records import Column, Runs
from experiments.simulators import Played, Policy, Simulators
from experiments.streams import Purpose, Streams
from experiments.worlds import World

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK = 64  # a multiple of 32, so that no run's numbers lie in the tail of a vectorised loop
GREEDY_EPISODES = 10  # at least so many make a greedy return


class Chunk(NamedTuple):
    """The k-th chunk of every run that has so many."""

    runs: Ints  # [M]
    step: Ints  # [M, CHUNK] numbers of the steps; behind the run's last one its first again
    real: NDArray[np.bool_]  # [M, CHUNK] False: filled up, counts nothing


class SimulatedLearning:
    """Plays in simulators, moves the learner, and measures what can be measured there.

    Args:
        config: what to train.
        world: without tables.
        agents: of the arms; they differ in entropy coefficient and discount only.
        runs: arm by arm.
        learner: of all runs.
    """

    def __init__(
        self, config: Config, world: World, agents: Sequence[Agent], runs: Runs, learner: StackedLearner
    ) -> None:
        self._learner, self._world, self._arms = learner, world, len(agents)
        solved = config.environment.solved_return
        self._episodes, self._solved_return = (
            config.training.episodes_per_update,
            math.inf if solved is None else solved,
        )
        self._seeds = runs.seed[: len(runs.seed) // len(agents)]
        discount = np.repeat([agent.discount for agent in agents], len(self._seeds))
        self._advantages = Advantages(agents[0], discount, self._episodes, world.actions)
        self._observations = Observations(
            world.observations, len(runs.arm), config.environment.normalize_observations, learner.theta.dtype
        )
        self._simulators = Simulators(world, runs, self._episodes, self._observations)
        self._actions = Streams(self._seeds, Purpose.ACTIONS)
        self._resets = Streams(self._seeds, Purpose.ENVIRONMENT)
        self._moved = np.zeros(len(runs.arm))  # KL divergence of the last gradient step

    def update(self, entropy_coef: Array, active: NDArray[np.bool_]) -> Learnt:
        """Play, and move every run once. entropy_coef [R], active [R]: False if the run has failed."""
        limit, episodes = self._world.time_limit, self._episodes
        uniforms = np.tile(self._actions.uniforms(limit, episodes), (1, self._arms, 1))
        played = self._simulators.play(self._policy_of, self._reset_seeds(self._resets), uniforms, active)
        entropy = measures.entropy(played.log_pi)
        weighed = self._advantages.of(played, entropy, entropy_coef)
        moved_before = self._moved
        (policy_loss, negative_entropy, loss), grad_norm, self._moved = self._learn(played, weighed, entropy_coef)
        returns, lengths = self._by_episode(played, played.reward), self._by_episode(played, np.ones(len(entropy)))
        known = np.where(active, 1.0, math.nan)
        return Learnt(
            returns * known[:, None],
            lengths * known[:, None],
            measures.first_success(returns, lengths, self._solved_return),
            self._lock_steps(played, entropy),
            policy_loss * known,
            negative_entropy * known,
            loss * known,
            grad_norm,
            Measured(
                entropy_nats=np.bincount(played.place // episodes, entropy, len(active)) / lengths.sum(1),
                kl_from_previous=moved_before * known,
                start_policy=self._at_start(played),
                truncation_rate=played.truncated.mean(1) * known,
                all_state_entropy_nats=np.full(len(active), math.nan),
                optimal_action_probability=np.full(len(active), math.nan),
                cross_entropy_to_optimal=np.full(len(active), math.nan),
                state_coverage=np.full(len(active), math.nan),
                visit_entropy_bits=np.full(len(active), math.nan),
            ),
        )

    def _policy_of(self, runs: Tensor) -> Policy:
        """The policy of some runs, their parameters gathered once."""
        shape = self._learner.shape
        with torch.no_grad():
            layers = self._learner.layers(runs)

        def log_pi(rows: Tensor) -> Tensor:
            with torch.no_grad():
                return torch.log_softmax(shape.logits(layers, rows), dim=-1)

        return log_pi

    def _reset_seeds(self, streams: Streams) -> Ints:
        """Seeds of the next episodes, [R, E]: the same for every arm."""
        uniforms = streams.uniforms(1, self._episodes)[0]
        return np.tile((uniforms * 2**31).astype(np.int64), (self._arms, 1))

    def _learn(self, played: Played, weighed: Weighed, entropy_coef: Array) -> tuple[Array, Array, Array]:
        """One gradient step: the terms of the loss [3, R], norms of gradients [R], divergences of policies [R]."""
        chunks = list(_chunks(played.bounds))
        coefficient = torch.from_numpy(entropy_coef)
        terms = np.zeros((3, len(entropy_coef)))
        self._learner.zero_grad()
        for chunk in chunks:
            log_pi = self._log_pi(played, chunk)
            experience = _experience(played, weighed, chunk)
            parts = loss_terms(log_pi, experience, coefficient[torch.from_numpy(chunk.runs)])
            self._learner.accumulate(parts.loss)
            terms[:, chunk.runs] += torch.stack(parts).detach().numpy()
        grad_norm = self._learner.apply().double().numpy()
        self._observations.learn(played.observation, played.bounds)
        moved = np.zeros(len(entropy_coef))
        with torch.no_grad():
            for chunk in chunks:
                new = self._log_pi(played, chunk).numpy()
                divergence = measures.kl_divergence(played.log_pi[chunk.step], new)
                moved[chunk.runs] += (divergence * chunk.real).sum(1)
        return terms, grad_norm, moved / np.maximum(np.diff(played.bounds), 1)

    def _log_pi(self, played: Played, chunk: Chunk) -> Tensor:
        rows = self._observations.rows(played.observation[chunk.step], chunk.runs)
        return self._learner.log_pi(rows, torch.from_numpy(chunk.runs)).double()

    def _by_episode(self, played: Played, values: Array) -> Array:
        """Sums over the steps of each episode: [N] -> [R, E]."""
        sums = np.bincount(played.place, values, played.truncated.size).astype(float)
        return sums.reshape(played.truncated.shape)

    def _lock_steps(self, played: Played, entropy: Array) -> Steps:
        runs = len(played.truncated)
        shape = (int(played.t.max(initial=-1)) + 1, runs)
        index = played.t * runs + played.place // self._episodes
        live = np.bincount(index, minlength=math.prod(shape)).reshape(shape)
        total = np.bincount(index, entropy, math.prod(shape)).reshape(shape)
        return Steps(live, np.divide(total, live, out=np.full(shape, np.nan), where=live > 0))

    def _at_start(self, played: Played) -> Array:
        """Action probabilities at the first step, mean over the episodes, [R, A]."""
        first = played.t == 0
        policy = np.full((played.truncated.size, played.log_pi.shape[1]), np.nan)
        policy[played.place[first]] = np.exp(played.log_pi[first])
        return policy.reshape(*played.truncated.shape, -1).mean(1)

    def snapshot(self) -> None:
        """There is no table to picture."""

    def final(self) -> Ending:
        """The policies as they are now: what their most probable actions earn in some fresh episodes.

        Its seeds are a stream of their own, begun anew each time: asking changes nothing.
        """
        streams = Streams(self._seeds, Purpose.EVALUATION)
        active = ~self._learner.frozen.numpy()
        rounds = [
            self._simulators.play(self._policy_of, self._reset_seeds(streams), None, active)
            for _ in range(math.ceil(GREEDY_EPISODES / self._episodes))
        ]
        known = np.where(active, 1.0, math.nan)
        return Ending(
            np.mean([self._at_start(played) for played in rounds], axis=0),
            np.mean([self._by_episode(played, played.reward).mean(1) for played in rounds], axis=0) * known,
            np.full(len(active), math.nan),
            np.full(len(active), math.nan),
        )

    def parameters(self) -> dict[str, Tensor]:
        """What acting needs beside the learner's parameters, [R, D] each."""
        return self._observations.parameters()

    def state(self) -> dict[str, Column]:
        """What goes on from update to update; the simulators begin every episode anew."""
        return {
            "stream.actions": self._actions.state(),
            "stream.environment": self._resets.state(),
            "moved": self._moved.copy(),
            **{f"baseline.{key}": value.copy() for key, value in self._advantages.running_mean._asdict().items()},
            **{f"observations.{key}": value for key, value in self._observations.state().items()},
        }

    def load(self, state: dict[str, Column]) -> None:
        """Go on from `state()`."""

        def part(prefix: str) -> dict[str, Column]:
            return {k.removeprefix(prefix): v.copy() for k, v in state.items() if k.startswith(prefix)}

        self._actions.load(state["stream.actions"])
        self._resets.load(state["stream.environment"])
        self._moved = state["moved"].copy()
        self._advantages.running_mean = RunningMean(**part("baseline."))
        self._observations.load(part("observations."))


def _chunks(bounds: Ints) -> Iterator[Chunk]:
    """The steps of every run in chunks; together go the first chunks of all runs, then the second ones, ..."""
    steps = np.diff(bounds)
    for first in range(0, int(steps.max()), CHUNK):
        runs = np.flatnonzero(steps > first)
        step = bounds[runs, None] + np.arange(first, first + CHUNK)
        real = step < bounds[runs + 1, None]
        yield Chunk(runs, np.where(real, step, bounds[runs, None]), real)


def _experience(played: Played, weighed: Weighed, chunk: Chunk) -> Experience:
    sums = np.zeros((*chunk.step.shape, played.log_pi.shape[1]))
    advantage = np.where(chunk.real, weighed.advantage[chunk.step], 0.0)
    np.put_along_axis(sums, played.action[chunk.step][..., None], advantage[..., None], axis=2)
    weight = np.where(chunk.real, weighed.weight[chunk.step], 0.0)
    return Experience(*map(torch.from_numpy, (sums, weight, weighed.normalizer[chunk.runs])))
