"""How fast a simulator can be stepped, alone and in training: environment steps per second of CPU time.

All are measured in one process and in turns, so that a slow moment of the machine affects all of them.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from experiments.config.schema import Config
from experiments.session.surroundings import plain_arithmetic
from experiments.training.environments import closed
from experiments.training.loop import Training
from experiments.training.worlds import World, make_world


def stepping_speeds(config: Config, rounds: int, steps: int = 20_000) -> dict[str, float]:
    """Medians over some rounds.

    Args:
        config: a config whose world has to be stepped; every round trains one more update of it.
        rounds: how often each is measured, after one update that is not.
        steps: steps per round, except in training.
    Returns:
        environment steps per second of this process's CPU time for three things: one environment of
        `gymnasium.make` with random actions; Gymnasium's SyncVectorEnv with as many environments as a run has
        episodes; and training, learning included.
    """
    world, episodes = make_world(config.environment), config.training.episodes_per_update
    with plain_arithmetic(), ExitStack() as stack:
        env = stack.enter_context(closed(world.make(checked=True)))
        made = SyncVectorEnv(
            [partial(world.make, checked=True)] * episodes, autoreset_mode=AutoresetMode.SAME_STEP
        )
        vector = stack.enter_context(closing(made))
        training = stack.enter_context(closing(Training(config)))
        training.advance(1)
        ways: dict[str, Callable[[], int]] = {
            "one environment, random actions": lambda: _bare(env, world, steps),
            f"SyncVectorEnv of {episodes}, random actions": lambda: _vector(vector, world, steps),
            "training": lambda: _trained(training),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.process_time()
                done = way()
                rates[name].append(done / (time.process_time() - began))
    return {name: float(np.median(values)) for name, values in rates.items()}


def _bare(env: "gymnasium.Env[Any, Any]", world: World, steps: int) -> int:
    env.reset(seed=0)
    for action in _random_actions(world, steps).tolist():
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return steps


def _vector(envs: SyncVectorEnv, world: World, steps: int) -> int:
    chosen = _random_actions(world, steps // envs.num_envs * envs.num_envs).reshape(-1, envs.num_envs)
    envs.reset(seed=0)
    for row in chosen:
        envs.step(row)
    return chosen.size


def _random_actions(world: World, steps: int) -> NDArray[np.int64]:
    return world.first_action + np.random.default_rng(0).integers(world.actions, size=steps)


def _trained(training: Training) -> int:
    steps = training.advance(1).steps
    return 0 if steps is None else int(steps.live.sum())
