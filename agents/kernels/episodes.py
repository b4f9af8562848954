"""Whole episodes of one run in a finite world by table look-up, compiled.

E: episodes, T: time steps, S: states, A: actions, K: outcomes of an action, N: all steps of the update.

The episodes that are still running step together, so that the look-ups of one need not wait for those of another.
The policy is fixed within an update, so it is a table too. The readable counterpart is
`experiments.textbook.episode`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.philox import normals, uniforms
from agents.kernels.rows import fill

Array = NDArray[Any]
Ints = NDArray[np.int64]

AT_LEAST = 64  # random numbers made at a time, if episodes may be that long


class Tables(NamedTuple):
    """A world. An outcome is at place (state * A + action) * K + outcome of each flat array."""

    start: Array  # [S] cumulative start distribution
    arrival: NDArray[np.int32]  # [S * A * K] 2 * next state, plus 1 if the episode ends there
    reward: Array  # [S * A * K]
    cumulative: Array  # [S * A * K] cumulative probability of the outcomes of an action
    reward_std: float  # standard deviation of the noise on every reward


class Numbers(NamedTuple):
    """The random numbers of an update: number t * E + episode of each purpose."""

    seed: int
    update: int
    actions: int  # this and the following fields are purposes
    outcomes: int
    rewards: int
    starts: int


class Steps(NamedTuple):
    """The steps played, ordered by time and then by episode. The first sum(live) places are filled."""

    state: NDArray[np.int32]  # [T * E]
    taken: NDArray[np.int32]  # [T * E] state * A + action
    episode: NDArray[np.int32]  # [T * E]
    reward: Array  # [T * E]
    live: Ints  # [T] episodes still running
    entropy: Array  # [T] nats, sum over those
    returns: Array  # [E] undiscounted
    lengths: Ints  # [E]


@compiled()
def play(
    world: Tables, edges: Array, entropy: Array, numbers: Numbers, steps: Steps, visited: NDArray[np.bool_]
) -> tuple[int, int, int]:
    """Play E episodes.

    An action, or an outcome, is the number of cumulative probabilities that its uniform number reaches. All are
    compared: to stop early would be a random branch, which a processor cannot predict.

    Args:
        world: its tables.
        edges: the policy's cumulative probabilities, [S, A].
        entropy: the policy's entropy in each state, [S].
        numbers: the random numbers to use.
        steps: filled in.
        visited: the states acted in or reached, [S]; those of these episodes are added.
    Returns:
        N, the lock-steps T' of the longest episode, and how many episodes the time limit cut off.
    """
    episodes, limit, actions = len(steps.returns), len(steps.live), edges.shape[1]
    outcomes = len(world.arrival) // edges.size
    ahead = max(1, AT_LEAST // episodes)  # time steps
    choices, chances, noise = np.empty(ahead * episodes), np.empty(ahead * episodes), np.empty(ahead * episodes)
    at, running = np.empty(episodes, np.int64), np.empty(episodes, np.int64)
    fill(noise, 0.0)
    _begin(world, numbers, at, running, visited)
    fill(steps.returns, 0.0)
    n, number, t = 0, episodes, 0
    while t < limit and number > 0:
        if t % ahead == 0:
            _draw(world, numbers, outcomes, t * episodes, choices, chances, noise)
        base, still, total = t % ahead * episodes, 0, 0.0
        for k in range(number):
            state, episode = at[k], running[k]
            uniform, action = choices[base + episode], 0
            for a in range(actions - 1):
                action += edges[state, a] <= uniform
            taken = state * actions + action
            place = taken * outcomes
            if outcomes > 1:
                chance, first = chances[base + episode], place
                for outcome in range(first, first + outcomes - 1):
                    place += world.cumulative[outcome] <= chance
            reward = world.reward[place] + world.reward_std * noise[base + episode]
            steps.state[n], steps.taken[n], steps.episode[n], steps.reward[n] = state, taken, episode, reward
            steps.returns[episode] += reward
            steps.lengths[episode] = t + 1
            total += entropy[state]
            n += 1
            arrival = world.arrival[place]
            visited[arrival >> 1] = True
            at[still], running[still] = arrival >> 1, episode
            still += 1 - (arrival & 1)
        steps.live[t], steps.entropy[t] = number, total
        number = still
        t += 1
    return n, t, number


@compiled()
def _begin(world: Tables, numbers: Numbers, at: Ints, running: Ints, visited: NDArray[np.bool_]) -> None:
    """The first state of every episode, [E], all of which run."""
    chances, first = np.empty(len(at)), 0
    fill(chances, 0.0)
    while world.start[first] == 0:
        first += 1
    if world.start[first] < 1:  # not the only one
        uniforms(numbers.seed, numbers.starts, numbers.update, 0, chances)
    for e in range(len(at)):
        running[e], at[e] = e, first
        while world.start[at[e]] <= chances[e]:
            at[e] += 1
        visited[at[e]] = True


@compiled()
def _draw(
    world: Tables, numbers: Numbers, outcomes: int, first: int, choices: Array, chances: Array, noise: Array
) -> None:
    """Fill in the random numbers of the next time steps, as far as the world needs them."""
    uniforms(numbers.seed, numbers.actions, numbers.update, first, choices)
    if outcomes > 1:
        uniforms(numbers.seed, numbers.outcomes, numbers.update, first, chances)
    if world.reward_std > 0:
        normals(numbers.seed, numbers.rewards, numbers.update, first, noise)
