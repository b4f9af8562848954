"""Whole episodes of many runs in a finite world, by table look-up.

R: runs (arms x seeds, arm-major), E: episodes of a run, T: time steps, S: states, A: actions, K: outcomes,
N: all steps of an update.

The policy is fixed within an update, so it is evaluated once a state and never inside the time loop. One integer
says all of a running episode: `first = (run * S + state) * A`, the place of the state's first action in tables
that hold a number for each run, state and action. Adding the action gives the place of what was done; times K,
plus the outcome, the place of what came of it, and there stands the next `first`. An ended episode leaves the
arrays at once: a step costs what still runs.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from envs.finite_mdp import FiniteMDP
from experiments.streams import Purpose, Streams

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

Number = TypeVar("Number", bound=np.generic)

ENDED = -1  # stands where there is no next `first`


class Episodes(NamedTuple):
    """The steps of one update, first those of the first time step, and within it run by run."""

    time: Ints  # [N] from 0
    run: Ints  # [N]
    episode: Ints  # [N] run * E + number of the episode
    row: Ints  # [N] run * S + state
    row_action: Ints  # [N] row * A + action
    transition: Ints  # [N] row_action * K + outcome
    reward: Array  # [N]
    truncated: Ints  # numbers of the episodes that the time limit cut off


class FiniteRollout:
    """Tables laid out for the time loop, and the random streams of the runs.

    Attributes:
        outcomes: K; 1 if every outcome is sure.
        arrival: where a transition leads, its episode's end or not: run * S + state, [R * S * A * K].
    """

    def __init__(self, mdp: FiniteMDP, seeds: Sequence[int], arms: int, episodes: int, time_limit: int) -> None:
        self.mdp = mdp
        self.runs, self.episodes, self.time_limit = arms * len(seeds), episodes, time_limit
        self.streams = {Purpose.ACTIONS: Streams(seeds, Purpose.ACTIONS)}
        if mdp.is_stochastic:
            self.streams[Purpose.OUTCOMES] = Streams(seeds, Purpose.OUTCOMES)
        if mdp.reward_std > 0:
            self.streams[Purpose.REWARDS] = Streams(seeds, Purpose.REWARDS)
        if mdp.has_random_start:
            self.streams[Purpose.STARTS] = Streams(seeds, Purpose.STARTS)
        self.outcomes = mdp.outcomes if mdp.is_stochastic else 1
        run = np.arange(self.runs)[:, None]
        arrival = run * mdp.states + _flat(mdp, mdp.next_state)
        self.arrival = arrival.ravel()
        self._next_first = np.where(_flat(mdp, mdp.terminated), ENDED, arrival * mdp.actions).ravel()
        self._reward = np.tile(_flat(mdp, mdp.reward), self.runs)
        self._outcome_edges = _from_each(np.tile(_flat(mdp, mdp.cumulative_probability), self.runs), self.outcomes)
        self._state_0 = np.repeat(run * (mdp.states * mdp.actions), episodes)  # `first` of state 0
        # Every arm reads the numbers of its seed: the place of an episode's first among those drawn.
        draw = np.arange(len(seeds))[:, None] * (time_limit * episodes) + np.arange(episodes)
        self._first_draw = np.tile(draw.ravel(), arms)

    def collect(self, pi: Array) -> Episodes:
        """Play E episodes of every run.

        Args:
            pi: action probabilities, [R, S, A].
        """
        action_edges = _from_each(_edges(pi), self.mdp.actions)
        uniforms = self._drawn(Purpose.ACTIONS)
        outcome_uniforms = self._drawn(Purpose.OUTCOMES) if self.outcomes > 1 else None
        first, draw = self._start(), self._first_draw
        episode = np.arange(len(first))
        episodes, transitions = [], []
        for t in range(self.time_limit):
            transition = _reached(action_edges, first, uniforms[t * self.episodes :].take(draw))
            if outcome_uniforms is not None:
                transition *= self.outcomes
                uniform = outcome_uniforms[t * self.episodes :].take(draw)
                transition = _reached(self._outcome_edges, transition, uniform)
            episodes.append(episode)
            transitions.append(transition)
            first = self._next_first.take(transition)
            running = (first != ENDED).nonzero()[0]
            if len(running) < len(first):
                first, draw, episode = first.take(running), draw.take(running), episode.take(running)
                if not len(running):
                    break
        return self._as_episodes(episodes, np.concatenate(transitions), truncated=episode)

    def _start(self) -> Ints:
        if Purpose.STARTS not in self.streams:
            return self._state_0 + int(self.mdp.start.argmax()) * self.mdp.actions
        state = self.mdp.sample_start(self.streams[Purpose.STARTS].uniforms(1, self.episodes).ravel())
        return self._state_0 + np.resize(state * self.mdp.actions, len(self._state_0))  # again for every arm

    def _drawn(self, purpose: Purpose) -> Array:
        """This update's uniforms: seed by seed, within it time step by time step, [seeds * T * E]."""
        return self.streams[purpose].uniforms(self.time_limit, self.episodes).transpose(1, 0, 2).ravel()

    def _as_episodes(self, episodes: list[Ints], transition: Ints, truncated: Ints) -> Episodes:
        time = np.repeat(np.arange(len(episodes)), [len(running) for running in episodes])
        episode = np.concatenate(episodes)
        reward = self._reward.take(transition)
        if Purpose.REWARDS in self.streams:
            noise = self.streams[Purpose.REWARDS].normals(self.time_limit, self.episodes).transpose(1, 0, 2)
            reward += self.mdp.reward_std * noise.ravel()[self._first_draw[episode] + time * self.episodes]
        row_action = transition // self.outcomes
        row = row_action // self.mdp.actions
        return Episodes(time, episode // self.episodes, episode, row, row_action, transition, reward, truncated)


def _flat(mdp: FiniteMDP, table: NDArray[Number]) -> NDArray[Number]:
    """A table [S, A, K], flat; with the sure outcome alone if every outcome is sure."""
    if mdp.is_stochastic:
        return table.ravel()
    return np.take_along_axis(table, mdp.probability.argmax(-1)[..., None], axis=-1).ravel()


def _edges(pi: Array) -> Array:
    """Cumulative probabilities of the actions, the last exactly 1, [R * S * A]."""
    edges = np.empty(pi.shape)
    edges[..., 0] = pi[..., 0]
    for action in range(1, pi.shape[2] - 1):
        np.add(edges[..., action - 1], pi[..., action], out=edges[..., action])
    edges[..., -1] = 1.0
    return edges.ravel()


def _from_each(edges: Array, number: int) -> list[Array]:
    """The table of edges from its k-th number on, for all k but the last: that edge is 1 and never reached."""
    return [edges[k:] for k in range(number - 1)]


def _reached(edges: list[Array], place: Ints, uniform: Array) -> Ints:
    """Inverse CDF: `place` plus the number of edges from there on that are <= the uniform. [n] all."""
    reached = place.copy()
    for edge in edges:
        reached += edge.take(place) <= uniform
    return reached
