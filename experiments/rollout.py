"""Whole episodes of many runs in a finite world, by table look-up.

R: runs (arms x seeds, arm-major), E: episodes of a run, T: time steps, S: states, A: actions, K: outcomes.

The policy is fixed within an update, so it is evaluated once a state and never inside the time loop. One
integer a running episode carries its run and its state: `row = run * (S + 1) + state`. State S is a sink that
every ended episode falls into and stays in, with reward 0: the loop needs no masks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.finite_mdp import FiniteMDP
from experiments.streams import Purpose, Streams

CHECK_EVERY = 4  # steps between two looks at whether any episode still runs; a look costs as much as a table


class Episodes(NamedTuple):
    """The episodes of one update. T is the length of the longest; later rows would be all sink."""

    row: NDArray[np.int64]  # [T, R, E] run * (S + 1) + state
    row_action: NDArray[np.int64]  # [T, R, E] row * A + action
    reward: NDArray[np.float64]  # [T, R, E] 0 after the end
    live: NDArray[np.bool_]  # [T, R, E] the episode was still running
    arrival: NDArray[np.int64]  # [R, E] row of the state in which the episode ended


class FiniteRollout:
    """Tables laid out for the time loop, and the random streams of the runs."""

    def __init__(self, mdp: FiniteMDP, seeds: Sequence[int], arms: int, episodes: int, time_limit: int) -> None:
        self.mdp = mdp
        self.runs, self.episodes, self.time_limit = arms * len(seeds), episodes, time_limit
        self._arms = arms
        self.streams = {Purpose.ACTIONS: Streams(seeds, Purpose.ACTIONS)}
        if mdp.is_stochastic:
            self.streams[Purpose.OUTCOMES] = Streams(seeds, Purpose.OUTCOMES)
        if mdp.reward_std > 0:
            self.streams[Purpose.REWARDS] = Streams(seeds, Purpose.REWARDS)
        if mdp.has_random_start:
            self.streams[Purpose.STARTS] = Streams(seeds, Purpose.STARTS)

        def tiled(table: NDArray[np.int64], sink_value: int) -> NDArray[np.int64]:
            """A table [S, A, K] of states, with the sink added, for every run: rows, flat."""
            with_sink = np.concatenate([table, np.full_like(table[:1], sink_value)]).ravel()
            return (with_sink + np.arange(self.runs)[:, None] * (mdp.states + 1)).ravel()

        sink = mdp.states
        self._next_row = tiled(np.where(mdp.terminated, sink, mdp.next_state), sink)
        self._arrival_row = tiled(mdp.next_state, sink)
        rewards = np.concatenate([mdp.reward, np.zeros_like(mdp.reward[:1])]).ravel()
        self._reward = np.tile(rewards, self.runs)
        self._sink = np.repeat(np.arange(self.runs) * (mdp.states + 1) + sink, episodes)
        # Cumulative outcome probabilities, [K - 1, R * (S + 1) * A]: outcome = number that are <= uniform.
        outcomes = np.concatenate([mdp.cumulative_probability, np.ones_like(mdp.probability[:1])])
        self._outcome_edges = [np.tile(edge.ravel(), self.runs) for edge in np.moveaxis(outcomes, 2, 0)[:-1]]

    def collect(self, pi: NDArray[np.float64]) -> Episodes:
        """Play E episodes of every run.

        Args:
            pi: action probabilities, [R, S, A].
        """
        n = self.runs * self.episodes
        edges = self._action_edges(pi)
        uniforms = self._drawn(Purpose.ACTIONS)
        outcome_uniforms = self._drawn(Purpose.OUTCOMES) if Purpose.OUTCOMES in self.streams else None
        row = self._start()
        rows = np.empty((self.time_limit, n), dtype=np.int64)
        row_actions = np.empty_like(rows)
        taken = np.empty_like(rows)
        for t in range(self.time_limit):
            rows[t] = row
            index = row_actions[t]
            np.multiply(row, self.mdp.actions, out=index)
            for edge in edges:  # inverse CDF: the action is the number of cumulative probabilities <= u
                index += edge.take(row) <= uniforms[t]
            transition = taken[t]
            np.multiply(index, self.mdp.outcomes, out=transition)
            if outcome_uniforms is not None:
                for edge in self._outcome_edges:
                    transition += edge.take(index) <= outcome_uniforms[t]
            row = self._next_row.take(transition)
            if t % CHECK_EVERY == 0 and np.array_equal(row, self._sink):
                break
        steps = t + 1
        while steps > 1 and np.array_equal(rows[steps - 1], self._sink):
            steps -= 1
        return self._as_episodes(rows[:steps], row_actions[:steps], taken[:steps])

    def _action_edges(self, pi: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Cumulative probabilities of all actions but the last, each [R * (S + 1)]."""
        edges = np.ones((self.mdp.actions - 1, self.runs, self.mdp.states + 1))
        np.cumsum(np.moveaxis(pi, 2, 0)[:-1], axis=0, out=edges[:, :, :-1])
        return list(edges.reshape(len(edges), -1))

    def _drawn(self, purpose: Purpose) -> NDArray[np.float64]:
        """This update's uniforms, [T, R * E]: every arm gets the numbers of its seed."""
        block = self.streams[purpose].uniforms(self.time_limit, self.episodes).reshape(self.time_limit, -1)
        return np.tile(block, (1, self._arms))

    def _start(self) -> NDArray[np.int64]:
        first = self._sink - self.mdp.states
        if Purpose.STARTS not in self.streams:
            return first + int(self.mdp.start.argmax())
        block = self.streams[Purpose.STARTS].uniforms(1, self.episodes).ravel()
        return first + self.mdp.sample_start(np.tile(block, self._arms))

    def _as_episodes(
        self, rows: NDArray[np.int64], row_actions: NDArray[np.int64], taken: NDArray[np.int64]
    ) -> Episodes:
        live = rows != self._sink
        reward = self._reward.take(taken)
        if Purpose.REWARDS in self.streams:
            noise = self.streams[Purpose.REWARDS].normals(self.time_limit, self.episodes)
            noise = np.tile(noise.reshape(self.time_limit, -1), (1, self._arms))[: len(rows)]
            reward += np.where(live, self.mdp.reward_std * noise, 0.0)
        last = live.sum(0) - 1
        arrival = self._arrival_row[taken[last, np.arange(len(last))]]
        shape = (len(rows), self.runs, self.episodes)
        return Episodes(
            rows.reshape(shape),
            row_actions.reshape(shape),
            reward.reshape(shape),
            live.reshape(shape),
            arrival.reshape(shape[1:]),
        )
