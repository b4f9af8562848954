"""Worlds small enough to list every trajectory, and what a list of trajectories says.

The ground truth of the exact modules: nothing here knows of matrices, values or recursions over them.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from envs.finite_mdp import FiniteMDP

Floats = NDArray[np.float64]


class Trajectory(NamedTuple):
    probability: float
    states: list[int]  # the states acted in
    actions: list[int]
    rewards: list[float]


def trajectories(mdp: FiniteMDP, pi: Floats, horizon: int) -> Iterator[Trajectory]:
    """Every possible trajectory of at most `horizon` steps under one policy [S, A]."""

    def extend(state: int, so_far: Trajectory) -> Iterator[Trajectory]:
        if len(so_far.states) == horizon:
            yield so_far
            return
        for a in range(mdp.actions):
            for k in range(mdp.outcomes):
                probability = so_far.probability * pi[state, a] * mdp.probability[state, a, k]
                if probability == 0:
                    continue
                longer = Trajectory(
                    probability,
                    [*so_far.states, state],
                    [*so_far.actions, a],
                    [*so_far.rewards, float(mdp.reward[state, a, k])],
                )
                if mdp.terminated[state, a, k]:
                    yield longer
                else:
                    yield from extend(int(mdp.next_state[state, a, k]), longer)

    for state in np.flatnonzero(mdp.start):
        yield from extend(int(state), Trajectory(float(mdp.start[state]), [], [], []))


def expectation(
    mdp: FiniteMDP, pi: Floats, horizon: int, quantity: Callable[[Trajectory], float | Floats]
) -> Floats:
    """The mean over all trajectories of a quantity of a trajectory."""
    return np.asarray(sum(t.probability * quantity(t) for t in trajectories(mdp, pi, horizon)))


def random_world(
    seed: int, states: int = 3, actions: int = 2, outcomes: int = 2, ending: float = 0.3
) -> FiniteMDP:
    """Random tables with rewards from -1 to 2 in steps of 0.5; each outcome ends the episode with chance `ending`.

    No outcome is rarer than 1 / (2 K), and the last action's last outcome always ends the episode.
    """
    rng = np.random.default_rng(seed)
    shape = (states, actions, outcomes)
    terminated = rng.random(shape) < ending
    terminated[:, -1, -1] = True
    return FiniteMDP(
        next_state=rng.integers(states, size=shape),
        reward=rng.integers(-2, 5, size=shape) / 2,
        terminated=terminated,
        probability=(rng.dirichlet(np.ones(outcomes), size=shape[:2]) + 1 / outcomes) / 2,
        start=rng.dirichlet(np.ones(states)),
    )


def random_logits(seed: int, runs: int, mdp: FiniteMDP) -> Floats:
    return np.random.default_rng(seed).normal(size=(runs, mdp.states, mdp.actions))


def random_policy(seed: int, runs: int, mdp: FiniteMDP) -> Floats:
    return softmax(random_logits(seed, runs, mdp))


def uniform_policy(mdp: FiniteMDP) -> Floats:
    """One run, [1, S, A]."""
    return np.full((1, mdp.states, mdp.actions), 1 / mdp.actions)


def softmax(logits: Floats) -> Floats:
    exponential = np.exp(logits)
    return np.asarray(exponential / exponential.sum(-1, keepdims=True))


def entropy(pi: Floats) -> Floats:
    """Of policies without zeros."""
    return np.asarray(-(pi * np.log(pi)).sum(-1))


def deterministic_world(
    next_state: list[list[int]], reward: list[list[float]], terminated: list[list[bool]]
) -> FiniteMDP:
    """Tables [S, A] of a world without chance; episodes start in state 0."""
    return FiniteMDP(
        next_state=np.array(next_state)[..., None],
        reward=np.array(reward, dtype=np.float64)[..., None],
        terminated=np.array(terminated)[..., None],
        probability=np.ones((*np.shape(next_state), 1)),
        start=np.eye(len(next_state))[0],
    )


def bandit(rewards: list[float]) -> FiniteMDP:
    return deterministic_world([[0] * len(rewards)], [rewards], [[True] * len(rewards)])


def two_states() -> FiniteMDP:
    """State 0: end, end, or go, go to state 1, where four actions end the episode. No reward at all."""
    return deterministic_world([[0, 0, 1, 1], [1] * 4], [[0.0] * 4] * 2, [[True, True, False, False], [True] * 4])


def corner_trap() -> FiniteMDP:
    """A 5 x 5 grid, start in a corner; leaving two others pays 5 and 4.5 and ends the episode."""
    side, goals = 5, {(0, 4): 5.0, (4, 0): 4.5}
    cells = [(r, c) for r in range(side) for c in range(side)]
    moves = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
    ahead = np.clip(np.array(cells)[:, None] + moves, 0, side - 1)
    return deterministic_world(
        (ahead @ [side, 1]).tolist(),
        [[goals.get(cell, 0.0)] * 4 for cell in cells],
        [[cell in goals] * 4 for cell in cells],
    )


def from_gymnasium(world_id: str) -> FiniteMDP:
    """The tables that Gymnasium's toy worlds carry."""
    world = gymnasium.make(world_id).unwrapped
    table = world.P  # type: ignore[attr-defined]
    states, actions = len(table), len(table[0])
    outcomes = max(len(table[s][a]) for s in range(states) for a in range(actions))
    next_state = np.zeros((states, actions, outcomes), dtype=np.int64)
    reward, probability = np.zeros((2, *next_state.shape))
    terminated = np.zeros(next_state.shape, dtype=bool)
    for s in range(states):
        for a in range(actions):
            for k, outcome in enumerate(table[s][a]):
                probability[s, a, k], next_state[s, a, k], reward[s, a, k], terminated[s, a, k] = outcome
    start = np.asarray(world.initial_state_distrib, dtype=np.float64)  # type: ignore[attr-defined]
    return FiniteMDP(next_state, reward, terminated, probability, start)
