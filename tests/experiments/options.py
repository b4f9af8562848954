"""Every option of an agent and every kind of world, as arms of a few comparisons.

What an option may be is read off the config's own types; where a type does not say it, VALUES does. An option that
is new, and of which nothing is said here, fails a test by its name.
"""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from envs.finite_mdp import FiniteMDP
from envs.tabular import TabularEnv
from experiments.config.schema import Agent, Config, ConfigError
from experiments.training.initial import check_fits
from experiments.training.worlds import make_world
from tests.experiments.comparisons import comparison

ACTIONS = 9  # more than the eight numbers that NumPy's pairwise sums take at once

# Values of the options whose types name none.
VALUES: dict[str, list[Any]] = {
    "hidden_sizes": [(7, 13), (), (1,), (16,), (3, 5, 9)],
    "initial_policy": [(0.5, *[0.5 / (ACTIONS - 1)] * (ACTIONS - 1))],
    "learning_rate": [0.3],
    "discount": [0.0, 0.9, 0.97, 1.0],
    "value_learning_rate": [0.3, 1.0],
    "max_grad_norm": [0.01],
    "entropy_coef": [
        0.0,
        0.3,
        {"schedule": "linear", "start": 0.3, "end": 0.1},
        {"schedule": "exponential", "start": 0.3, "decay": 0.7},
        {"schedule": "target_entropy", "target_bits": 2.5, "rate": 0.1, "start": 0.1},
    ],
    "behaviour_epsilon": [
        0.3,
        0.97,
        {"schedule": "linear", "start": 0.6, "end": 0.1},
        {"schedule": "exponential", "start": 0.6, "decay": 0.7},
    ],
}

# What else an option asks for, so that it is not refused, or has an effect.
COMPANIONS: dict[str, dict[str, Any]] = {
    "hidden_sizes": {"policy": "mlp"},
    "initialization": {"policy": "mlp"},
    "horizon": {"gradient": "exact"},
    "value_learning_rate": {"baseline": "value"},
    "regularizer": {"entropy_coef": 0.3},
    "soft_return_offset": {"entropy_objective": "soft_return"},
    "behaviour_gradient": {"behaviour_epsilon": 0.3},
}

# Discounted: the optimum of an undiscounted world takes long to find.
AGENTS: dict[str, dict[str, Any]] = {
    "table": {"policy": "tabular", "optimizer": "sgd", "learning_rate": 0.1, "discount": 0.9},
    "mlp": {"policy": "mlp", "hidden_sizes": [7, 13], "optimizer": "adam", "learning_rate": 0.01, "discount": 0.9},
    "exact table": {"policy": "tabular", "gradient": "exact", "learning_rate": 0.1, "discount": 0.9},
    "exact mlp": {
        "policy": "mlp", "hidden_sizes": [7, 13], "gradient": "exact", "initialization": "torch",
        "optimizer": "adam", "learning_rate": 0.01, "discount": 0.9,
    },
}  # fmt: skip


def random_tables(states: int) -> FiniteMDP:
    """Random starts, outcomes and rewards; every action may end the episode, and in a bandit does."""
    rng = np.random.default_rng(states)
    shape = states, ACTIONS, 3
    terminated = np.full(shape, states == 1)
    terminated[..., 0] = True
    return FiniteMDP(
        next_state=rng.integers(states, size=shape),
        reward=rng.choice([-0.7, 1.3], size=shape),  # so few that returns can be told apart
        terminated=terminated,
        probability=(rng.dirichlet(np.ones(3), size=shape[:2]) + 1 / 3) / 2,
        start=rng.dirichlet(np.ones(states)),
        reward_std=0.1,
    )


class Tables(TabularEnv):
    """A world of random tables."""

    def __init__(self, states: int = 11, render_mode: str | None = None) -> None:
        super().__init__(random_tables(states), render_mode)


class Features(gymnasium.Env[NDArray[np.float64], int]):
    """Walks through random tables and shows three numbers for a state."""

    def __init__(self, states: int = 11) -> None:
        self._tables = TabularEnv(random_tables(states))
        self._shown = np.random.default_rng(0).normal(size=(states, 3))
        self.observation_space, self.action_space = (
            Box(-np.inf, np.inf, (3,), np.float64),
            self._tables.action_space,
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        state, told = self._tables.reset(seed=seed)
        return self._shown[state], told

    def step(self, action: int) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        state, *others = self._tables.step(action)
        return self._shown[state], *others


gymnasium.register("Tests/Tables-v0", entry_point=Tables)
gymnasium.register("Tests/Features-v0", entry_point=Features)

WORLDS: dict[str, dict[str, Any]] = {
    "tables": {"id": "Tests/Tables-v0", "max_episode_steps": 9, "solved_return": 0.5},
    "bandit": {"id": "Tests/Tables-v0", "kwargs": {"states": 1}, "max_episode_steps": 1, "solved_return": 0.5},
    "numbers": {
        "id": "Tests/Tables-v0", "max_episode_steps": 9, "solved_return": 0.5, "tables": False,
        "reward_scale": 3.0, "reward_offset": -0.1,
    },
    "family": {"id": "FourAction/Maze-v0", "worlds": {"first": 1, "count": 2}, "solved_return": 0.5},
    "features": {"id": "Tests/Features-v0", "max_episode_steps": 9, "solved_return": 0.5},
    "normalized features": {
        "id": "Tests/Features-v0", "max_episode_steps": 9, "normalize_observations": True,
    },
}  # fmt: skip


class Kind(NamedTuple):
    """Who acts where, in how many episodes per update; without `options`, as it is alone."""

    world: str
    agent: str
    episodes: int = 5
    options: bool = True


KINDS: dict[str, Kind] = {
    **{f"{agent} in tables": Kind("tables", agent) for agent in AGENTS},
    **{f"{agent} in a bandit": Kind("bandit", agent) for agent in ("table", "exact table")},
    "many episodes in tables": Kind("tables", "mlp", episodes=17, options=False),
    "table in a stepped world": Kind("numbers", "table", episodes=3),
    "mlp in a stepped world": Kind("features", "mlp", episodes=3),
    "one episode in a stepped world": Kind("features", "mlp", episodes=1, options=False),
    "mlp in a normalized world": Kind("normalized features", "mlp", options=False),
}


def options() -> dict[str, list[Any]]:
    """Every option of an agent with the values that are tried; none, if nobody said which."""
    return {name: VALUES.get(name, [*_listed(field.annotation)]) for name, field in Agent.model_fields.items()}


def _listed(annotation: Any) -> Iterator[Any]:
    """The values that a type names: those of a Literal, or false and true."""
    if annotation is bool:
        yield from (False, True)
    elif get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) in (Union, UnionType):
        for inner in get_args(annotation):
            yield from _listed(inner)


def every_option() -> dict[str, dict[str, Any]]:
    """An arm for every value of every option."""
    return {
        f"{name}_{number}": {**COMPANIONS.get(name, {}), name: value}
        for name, values in options().items()
        for number, value in enumerate(values)
    }


def of_kind(name: str, seeds: list[int], updates: int) -> Config:
    """A comparison with an arm for every value of every option that this kind of agent may have in its world."""
    kind = KINDS[name]

    def of(arms: Mapping[str, Mapping[str, Any]]) -> Config:
        return comparison(WORLDS[kind.world], AGENTS[kind.agent], arms, seeds, updates, kind.episodes)

    world = make_world(of({"as_it_is": {}}).environment)

    def fits(differences: Mapping[str, Any]) -> bool:
        try:
            check_fits(of({"one": differences}).agent_of("one"), world, "one", kind.episodes)
        except ConfigError:
            return False
        return True

    arms = every_option() if kind.options else {}
    return of({"as_it_is": {}} | {arm: differences for arm, differences in arms.items() if fits(differences)})
