"""Whole episodes of many runs in a finite world, by table look-up.

R: runs (arms x seeds, arm-major), E: episodes of a run, T: time steps, S: states, A: actions, K: outcomes,
N: all steps of an update.

The policy is fixed within an update, so it is evaluated once a state and never inside the time loop. That loop is
compiled: the tables of one run stay in the cache while its episodes step together, those that have ended left out.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.compiled import compiled
from envs.finite_mdp import FiniteMDP
from experiments.streams import Purpose, Streams

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Episodes(NamedTuple):
    """The steps of one update, run by run, within it time step by time step; and sums over them."""

    time: Ints  # [N] from 0
    run: Ints  # [N]
    episode: Ints  # [N] run * E + number of the episode
    row: Ints  # [N] run * S + state
    row_action: Ints  # [N] row * A + action
    arrival: Ints  # [N] run * S + next state, where an episode may end
    reward: Array  # [N]
    lengths: Ints  # [R, E]
    truncated: Ints  # [R] episodes that the time limit cut off


class FiniteRollout:
    """Tables laid out for the time loop, and the random streams of the runs."""

    def __init__(self, mdp: FiniteMDP, seeds: Sequence[int], arms: int, episodes: int, time_limit: int) -> None:
        self.mdp = mdp
        self.runs, self.episodes, self.time_limit = arms * len(seeds), episodes, time_limit
        self._seeds, stochastic = len(seeds), mdp.is_stochastic
        self.streams = {Purpose.ACTIONS: Streams(seeds, Purpose.ACTIONS)}
        if stochastic:
            self.streams[Purpose.OUTCOMES] = Streams(seeds, Purpose.OUTCOMES)
        if mdp.reward_std > 0:
            self.streams[Purpose.REWARDS] = Streams(seeds, Purpose.REWARDS)
        if mdp.has_random_start:
            self.streams[Purpose.STARTS] = Streams(seeds, Purpose.STARTS)
        # Where every outcome is sure, that one alone.
        kept = np.arange(mdp.outcomes) if stochastic else mdp.probability.argmax(-1)[..., None]
        tables: tuple[NDArray[Any], ...] = mdp.next_state, mdp.terminated, mdp.reward, mdp.cumulative_probability
        self._tables: list[NDArray[Any]] = [
            np.take_along_axis(table, np.broadcast_to(kept, (*table.shape[:2], kept.shape[-1])), axis=-1).reshape(
                mdp.states * mdp.actions, -1
            )
            for table in tables
        ]

    def collect(self, pi: Array) -> Episodes:
        """Play E episodes of every run.

        Args:
            pi: action probabilities, [R, S, A].
        """
        actions = self._drawn(Purpose.ACTIONS)
        outcomes = (
            self._drawn(Purpose.OUTCOMES) if Purpose.OUTCOMES in self.streams else actions
        )  # never looked at
        played = Episodes(*_play(np.ascontiguousarray(pi), self._start(), actions, outcomes, *self._tables))
        if Purpose.REWARDS in self.streams:
            noise = self.streams[Purpose.REWARDS].normals(self.time_limit, self.episodes)
            of_seed = noise.reshape(self.time_limit, -1)[
                played.time, played.episode % (self._seeds * self.episodes)
            ]
            played.reward[:] += self.mdp.reward_std * of_seed
        return played

    def _start(self) -> Ints:
        """The first states, [seeds, E]."""
        if Purpose.STARTS not in self.streams:
            return np.full((self._seeds, self.episodes), self.mdp.start.argmax())
        return self.mdp.sample_start(self.streams[Purpose.STARTS].uniforms(1, self.episodes)[0])

    def _drawn(self, purpose: Purpose) -> Array:
        """This update's uniforms, [seeds, T, E]."""
        return np.ascontiguousarray(
            self.streams[purpose].uniforms(self.time_limit, self.episodes).transpose(1, 0, 2)
        )


@compiled
def _play(
    pi: Array,
    start: Ints,
    action_uniforms: Array,
    outcome_uniforms: Array,
    next_state: Ints,
    terminated: NDArray[np.bool_],
    rewards: Array,
    cumulative: Array,
) -> tuple[Any, ...]:
    """The fields of `Episodes`; an action, and an outcome, by inverse CDF.

    Args:
        pi: [R, S, A].
        start: first states, [seeds, E]. Every arm reads the numbers of its seed.
        action_uniforms, outcome_uniforms: [seeds, T, E].
        next_state, terminated, rewards, cumulative: of each outcome, the last its probability and that of those
            before it, [S * A, K].
    """
    runs, states, actions = pi.shape
    seeds, time_limit, episodes = action_uniforms.shape
    steps = np.empty((6, runs * time_limit * episodes), np.int64)
    time, run, episode, row, row_action, arrival = steps
    reward = np.empty(runs * time_limit * episodes)
    lengths, truncated = np.zeros((runs, episodes), np.int64), np.zeros(runs, np.int64)
    n = 0
    for r in range(runs):
        seed = r % seeds
        state, running, number = start[seed].copy(), np.arange(episodes), episodes
        for t in range(time_limit):
            still = 0
            for e in running[:number]:
                s = state[e]
                uniform, action, edge = action_uniforms[seed, t, e], 0, pi[r, s, 0]
                while action < actions - 1 and edge <= uniform:
                    action += 1
                    edge += pi[r, s, action]
                taken, outcome = s * actions + action, 0
                while (
                    outcome < cumulative.shape[1] - 1
                    and cumulative[taken, outcome] <= outcome_uniforms[seed, t, e]
                ):
                    outcome += 1
                state[e] = next_state[taken, outcome]
                time[n], run[n], episode[n], row[n] = t, r, r * episodes + e, r * states + s
                row_action[n], arrival[n] = r * states * actions + taken, r * states + state[e]
                reward[n] = rewards[taken, outcome]
                n += 1
                lengths[r, e] = t + 1
                if not terminated[taken, outcome]:
                    running[still] = e
                    still += 1
            number = still
            if number == 0:
                break
        truncated[r] = number
    return time[:n], run[:n], episode[:n], row[:n], row_action[:n], arrival[:n], reward[:n], lengths, truncated
