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
from agents.kernels.philox import normals_at, uniforms, uniforms_at
from agents.kernels.rows import fill

Array = NDArray[Any]
Ints = NDArray[np.int64]
# Numba counts a signed place from the end if it is negative, and takes time to ask: these are unsigned.
Places = NDArray[np.uint32]


class Tables(NamedTuple):
    """A world. An outcome is at place (state * A + action) * K + outcome of each flat array."""

    start: Array  # [S] cumulative start distribution
    arrival: Places  # [S * A * K] 2 * next state, plus 1 if the episode ends there
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

    state: Places  # [T * E]
    taken: Places  # [T * E] state * A + action
    episode: Places  # [T * E]
    reward: Array  # [T * E]
    live: Ints  # [T] episodes still running
    entropy: Array  # [T] nats, sum over those
    returns: Array  # [E] undiscounted
    lengths: Ints  # [E]


@compiled(makes_arrays=True)
def play(
    world: Tables, edges: Array, entropy: Array, numbers: Numbers, steps: Steps, visited: NDArray[np.bool_]
) -> tuple[int, int, int]:
    """Play E episodes.

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
    episodes = len(steps.returns)
    at, running = np.empty(episodes, np.uint32), np.empty(episodes, np.uint32)
    drawn = np.empty(8), np.empty(episodes), np.empty(episodes), np.empty(episodes)
    _begin(world, numbers, at, running, visited)
    return _walk(world, edges.reshape(edges.size), entropy, numbers, at, running, drawn, steps, visited)


@compiled()
def _walk(
    world: Tables, thresholds: Array, entropy: Array, numbers: Numbers, at: Places, running: Places,
    drawn: tuple[Array, Array, Array, Array], steps: Steps, visited: NDArray[np.bool_],
) -> tuple[int, int, int]:  # fmt: skip
    """`play` from the first states on, `at`, [E], of the episodes that are `running`, [E]; `drawn` is working
    memory, [8] and thrice [E]."""
    episodes, limit, states = len(steps.returns), len(steps.live), len(entropy)
    actions = len(thresholds) // states
    outcomes = len(world.arrival) // len(thresholds)
    eight, choices, chances, noise = drawn
    fill(noise, 0.0)
    fill(steps.returns, 0.0)
    n, number, t = 0, episodes, 0
    while t < limit and number > 0:
        now, first = running[:number], t * episodes
        uniforms_at(numbers.seed, numbers.actions, numbers.update, first, now, eight, choices)
        if outcomes > 1:
            uniforms_at(numbers.seed, numbers.outcomes, numbers.update, first, now, eight, chances)
        if world.reward_std > 0:
            normals_at(numbers.seed, numbers.rewards, numbers.update, first, now, eight, noise)
        still, total = 0, 0.0
        for k in range(number):
            state, episode = at[k], running[k]
            taken = state * actions + _reached(thresholds, state * actions, actions, choices[k])
            place = taken * outcomes
            if outcomes > 1:
                place += _reached(world.cumulative, place, outcomes, chances[k])
            outcome = np.uint64(place)
            reward = world.reward[outcome] + world.reward_std * noise[k]
            steps.state[n], steps.taken[n], steps.episode[n], steps.reward[n] = state, taken, episode, reward
            steps.returns[episode] += reward
            steps.lengths[episode] = t + 1
            total += entropy[state]
            n += 1
            arrival = world.arrival[outcome]
            visited[arrival >> 1] = True
            at[still], running[still] = arrival >> 1, episode
            still += 1 - (arrival & 1)
        steps.live[t], steps.entropy[t] = number, total
        number = still
        t += 1
    return n, t, number


@compiled()
def _reached(cumulative: Array, first: int, number: int, chance: float) -> int:
    """The number of cumulative probabilities, of some from `first` on, that a uniform number reaches; the last, 1,
    is left out. All are compared: to stop early would be a random branch, which a processor cannot predict."""
    found = 0
    if number == 4:  # the actions of our own worlds, without the cost of a loop
        found += cumulative[np.uint64(first)] <= chance
        found += cumulative[np.uint64(first + 1)] <= chance
        found += cumulative[np.uint64(first + 2)] <= chance
        return found
    for place in range(first, first + number - 1):
        found += cumulative[np.uint64(place)] <= chance
    return found


@compiled(inlined=True)
def _begin(world: Tables, numbers: Numbers, at: Places, running: Places, visited: NDArray[np.bool_]) -> None:
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
