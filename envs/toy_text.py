"""Gymnasium environments that are finite worlds: ours, and FrozenLake, CliffWalking and Taxi from toy_text."""

import dataclasses
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.toy_text.cliffwalking import POSITION_MAPPING, CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv
from gymnasium.wrappers import (
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    RecordVideo,
    TimeLimit,
)
from numpy.typing import NDArray

from envs.finite_mdp import Cell, Drawing, FiniteMDP
from envs.tabular import TabularEnv

# Wrappers that change neither observations nor rewards. `time_limit_of` deals with TimeLimit.
TRANSPARENT = (OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics, RecordVideo, TimeLimit)
FROZEN_LAKE_VECTORS = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)])  # 0 left, 1 down, 2 right, 3 up
CLIFF_WALKING_VECTORS = np.array([POSITION_MAPPING[action] for action in range(4)])  # 0 up, 1 right, ...


def finite_mdp_of(env: gymnasium.Env[Any, Any]) -> FiniteMDP | None:
    """The table of an environment, without any time limit; None where there is none.

    Our worlds, FrozenLake, CliffWalking and Taxi have one, in all their variants but one: Taxi with
    `fickle_passenger` remembers more than it shows. Subclasses of Gymnasium's worlds, and environments inside a
    wrapper that may change rewards or observations, have none.
    """
    while isinstance(env, gymnasium.Wrapper):
        if type(env) not in TRANSPARENT:
            return None
        env = env.env
    if isinstance(env, TabularEnv):
        return env.mdp
    if type(env) is FrozenLakeEnv:
        return _with_drawing(_read(env), (env.nrow, env.ncol), FROZEN_LAKE_VECTORS, {})
    if type(env) is CliffWalkingEnv:
        cliff = {(3, column): -100.0 for column in range(1, 11)}
        return _with_drawing(_read(env), (4, 12), CLIFF_WALKING_VECTORS, cliff)
    if type(env) is TaxiEnv and not env.fickle_passenger:
        return _read(env)
    return None


def time_limit_of(env: gymnasium.Env[Any, Any], max_episode_steps: int | None = None) -> int:
    """The number of steps after which an episode is cut off, or has ended by itself.

    The given limit comes first, then that with which the environment was registered or made, and last, in finite
    worlds where no episode can go round in a circle, the length of the longest episode.

    Raises:
        ValueError: there is no limit, or the given one is not positive.
    """
    limit = max_episode_steps
    if limit is None and env.spec is not None:
        limit = env.spec.max_episode_steps
    if limit is None and (mdp := finite_mdp_of(env)) is not None:
        limit = mdp.longest_episode
    name = type(env.unwrapped).__name__ if env.spec is None else env.spec.id
    if limit is None:
        raise ValueError(
            f"max_episode_steps: {name} has no time limit of its own and its episodes may never end; "
            "give one, for example max_episode_steps = 100"
        )
    if limit < 1:
        raise ValueError(f"max_episode_steps: must be 1 or more, not {limit}")
    return limit


def _read(env: FrozenLakeEnv | CliffWalkingEnv | TaxiEnv) -> FiniteMDP:
    """The lists P[state][action] of (probability, next state, reward, terminated) as arrays, in the same order."""
    states, actions = len(env.P), len(env.P[0])
    shape = (states, actions, max(len(env.P[s][a]) for s in range(states) for a in range(actions)))
    next_state = np.zeros(shape, dtype=np.int64)
    reward, probability = np.zeros(shape), np.zeros(shape)
    terminated = np.zeros(shape, dtype=np.bool_)
    for s in range(states):
        for a in range(actions):
            for k, outcome in enumerate(env.P[s][a]):
                probability[s, a, k], next_state[s, a, k], reward[s, a, k], terminated[s, a, k] = outcome
    return FiniteMDP(next_state, reward, terminated, probability, start=env.initial_state_distrib)


def _with_drawing(
    mdp: FiniteMDP, shape: tuple[int, int], action_vectors: NDArray[np.int64], labels: dict[Cell, float]
) -> FiniteMDP:
    """A table whose states are the cells of a grid, row by row; pictures show the reward of cells that end
    episodes."""
    cells = np.stack(np.unravel_index(np.arange(mdp.states), shape), axis=-1)
    enters = mdp.terminated & (mdp.next_state != np.arange(mdp.states)[:, None, None])
    ends = {
        (int(cells[s][0]), int(cells[s][1])): float(reward)
        for s, reward in zip(mdp.next_state[enters], mdp.reward[enters], strict=True)
    }
    drawing = Drawing(
        height=shape[0],
        width=shape[1],
        cells=cells,
        walls=frozenset(),
        thin_walls=frozenset(),
        goals=labels | ends,
        action_vectors=action_vectors,
    )
    return dataclasses.replace(mdp, drawing=drawing)
