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

from agents.kernels.compiled import compiled
from envs.finite_mdp import FiniteMDP
from experiments.training import randomness
from experiments.training.randomness import Purpose

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

FIRST_ROOM = 1 << 16  # steps of one update; doubled when an update has more


class Episodes(NamedTuple):
    """The steps of one update, run by run, within it time step by time step; and sums over them."""

    place: Ints  # [N] (time * R + run) * E + number of the episode: where the step stands in arrays [T, R, E]
    row_action: Ints  # [N] (run * S + state) * A + action
    reward: Array  # [N]
    returns: Array  # [R, E] undiscounted
    lengths: Ints  # [R, E]
    truncated: Ints  # [R] episodes that the time limit cut off
    visits: Array  # [R, S] steps in each state
    visited: NDArray[np.bool_]  # [R, S] acted in or arrived at
    live: Ints  # [T, R] episodes still running; T ends with the longest
    entropy: Array  # [T, R] of the policy in nats, mean over those; NaN where there is none

    @property
    def time(self) -> Ints:
        """From 0, [N]."""
        return self.place // self.returns.size

    @property
    def run(self) -> Ints:
        """[N]."""
        return self.place // self.returns.shape[1] % len(self.returns)

    def row(self, actions: int) -> Ints:
        """run * S + state, [N]."""
        return self.row_action // actions


class FiniteRollout:
    """Tables laid out for the time loop."""

    def __init__(self, mdp: FiniteMDP, seeds: Sequence[int], arms: int, episodes: int, time_limit: int) -> None:
        self.mdp = mdp
        self.runs, self.episodes, self.time_limit = arms * len(seeds), episodes, time_limit
        self._seeds = seeds
        # Used again and again: fresh memory of this size would be fetched from the system in each update.
        self._steps, self._reward = np.empty((2, FIRST_ROOM), np.int64), np.empty(FIRST_ROOM)
        # Where every outcome is sure, that one alone.
        kept = np.arange(mdp.outcomes) if mdp.is_stochastic else mdp.probability.argmax(-1)[..., None]
        tables: tuple[NDArray[Any], ...] = mdp.next_state, mdp.terminated, mdp.reward, mdp.cumulative_probability
        self._tables: list[NDArray[Any]] = [
            np.take_along_axis(table, np.broadcast_to(kept, (*table.shape[:2], kept.shape[-1])), axis=-1).reshape(
                mdp.states * mdp.actions, -1
            )
            for table in tables
        ]

    def collect(self, pi: Array, entropy: Array, update: int) -> Episodes:
        """Play E episodes of every run. Its steps are overwritten by the next call.

        Args:
            pi: action probabilities, [R, S, A].
            entropy: of the policy in each state, [R, S] nats.
            update: counted from 0; which random numbers are used.
        """
        block = update, (self.time_limit, self.episodes)
        actions = randomness.uniforms(self._seeds, Purpose.ACTIONS, *block)
        outcomes = noise = np.empty((0, 0, 0))
        if self.mdp.is_stochastic:
            outcomes = randomness.uniforms(self._seeds, Purpose.OUTCOMES, *block)
        if self.mdp.reward_std > 0:
            noise = self.mdp.reward_std * randomness.normals(self._seeds, Purpose.REWARDS, *block)
        policy = np.ascontiguousarray(pi), np.ascontiguousarray(entropy)
        given = *policy, self._start(update), actions, outcomes, noise, *self._tables
        while not (found := _play(self._steps, self._reward, *given))[0]:
            room = 2 * len(self._reward)
            self._steps, self._reward = np.empty((2, room), np.int64), np.empty(room)
        played = Episodes(*found[1:])
        with np.errstate(invalid="ignore"):
            np.divide(played.entropy, played.live, out=played.entropy)
        return played

    def _start(self, update: int) -> Ints:
        """The first states, [seeds, E]."""
        if not self.mdp.has_random_start:
            return np.full((len(self._seeds), self.episodes), self.mdp.start.argmax())
        return self.mdp.sample_start(randomness.uniforms(self._seeds, Purpose.STARTS, update, (self.episodes,)))


@compiled()
def _play(
    steps: Ints,
    reward: Array,
    pi: Array,
    entropy: Array,
    start: Ints,
    action_uniforms: Array,
    outcome_uniforms: Array,
    noise: Array,
    next_state: Ints,
    terminated: NDArray[np.bool_],
    rewards: Array,
    cumulative: Array,
) -> tuple[Any, ...]:
    """Whether there was room, and the fields of `Episodes`, with sums of entropies for means.

    Inverse CDF: an action, and an outcome, is the number of cumulative probabilities that the uniform reaches.
    Each is looked at: a processor guesses wrongly where chance decides to go on or not.

    Args:
        steps, reward: room for what is returned of each step, [2, any number] and as many.
        pi, entropy: [R, S, A] and [R, S].
        start: first states, [seeds, E]. Every arm reads the numbers of its seed.
        action_uniforms, outcome_uniforms, noise: [seeds, T, E]; the last two may be empty.
        next_state, terminated, rewards, cumulative: of each outcome, the last its probability and that of those
            before it, [S * A, K].
    """
    runs, states, actions = pi.shape
    seeds, time_limit, episodes = action_uniforms.shape
    place, row_action = steps
    returns, lengths = np.zeros((runs, episodes)), np.zeros((runs, episodes), np.int64)
    truncated = np.zeros(runs, np.int64)
    visits, visited = np.zeros((runs, states)), np.zeros((runs, states), np.bool_)
    live, entropies = np.zeros((time_limit, runs), np.int64), np.zeros((time_limit, runs))
    n, longest, fits = 0, 0, True
    for r in range(runs):
        seed = r % seeds
        state, running, number = start[seed].copy(), np.arange(episodes), episodes
        for t in range(time_limit):
            fits = n + number <= len(reward)
            if not fits:
                break
            live[t, r] = number
            still = 0
            for e in running[:number]:
                s = state[e]
                uniform, edge, action = action_uniforms[seed, t, e], 0.0, 0
                for a in range(actions - 1):
                    edge += pi[r, s, a]
                    action += edge <= uniform
                taken, outcome = s * actions + action, 0
                for k in range(cumulative.shape[1] - 1):
                    outcome += cumulative[taken, k] <= outcome_uniforms[seed, t, e]
                place[n], row_action[n] = (t * runs + r) * episodes + e, r * states * actions + taken
                reward[n] = rewards[taken, outcome] + (noise[seed, t, e] if noise.size else 0.0)
                returns[r, e] += reward[n]
                lengths[r, e] = t + 1
                visits[r, s] += 1
                entropies[t, r] += entropy[r, s]
                n += 1
                state[e] = next_state[taken, outcome]
                visited[r, s] = visited[r, state[e]] = True
                running[still] = e
                still += not terminated[taken, outcome]
            number, longest = still, max(longest, t + 1)
            if number == 0:
                break
        truncated[r] = number
        if not fits:
            break
    of_steps = place[:n], row_action[:n], reward[:n]
    # Copies of what is kept for long: a view would keep the whole alive.
    of_lock_steps = live[:longest].copy(), entropies[:longest].copy()
    return fits, *of_steps, returns, lengths, truncated, visits, visited, *of_lock_steps
