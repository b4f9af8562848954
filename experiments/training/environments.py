"""Gymnasium environments: making, unwrapping and closing one, whatever its author's code does meanwhile."""

import inspect
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gymnasium
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from experiments.training.global_generators import GlobalGenerators

# What a stranger's code may raise. Where it would end the whole program, only the environment has failed.
FAILURES = (Exception, SystemExit)


def made(
    id: str, kwargs: dict[str, Any], seed: int, time_limit: int | None, disable_env_checker: bool
) -> "gymnasium.Env[Any, Any]":
    """`gymnasium.make` without its warnings, in which the constructor may draw from shared generators.

    Args:
        id, kwargs: of the environment.
        seed: seed of the shared generators.
        time_limit: steps; None: the environment's own.
        disable_env_checker: whether to leave out Gymnasium's checks at every step.
    """
    had_torch = "torch" in sys.modules
    with warnings.catch_warnings(), GlobalGenerators(swapped=True).acting(seed):
        warnings.simplefilter("ignore")
        env = gymnasium.make(id, time_limit, disable_env_checker, **kwargs)
    if had_torch or "torch" not in sys.modules:
        return env
    with closed(env):  # it loaded torch, and may have drawn from an unseeded generator
        return made(id, kwargs, seed, time_limit, disable_env_checker)


def bare(env: "gymnasium.Env[Any, Any]") -> "gymnasium.Env[Any, Any]":
    """An environment without Gymnasium's wrappers that only check, and without the time limit."""
    while isinstance(env, gymnasium.Wrapper) and type(env) in (TimeLimit, OrderEnforcing, PassiveEnvChecker):
        env = env.env
    return env


@contextmanager
def closed(env: "gymnasium.Env[Any, Any]") -> Iterator["gymnasium.Env[Any, Any]"]:
    """Close an environment after the block, however the block ends. An error in closing changes no result."""
    try:
        yield env
    finally:
        with suppress(*FAILURES):
            env.close()


def takes_world(id: str) -> bool:
    """Whether the constructor of an environment has an argument `world`, or takes any argument."""
    entry = gymnasium.spec(id).entry_point
    creator = gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    try:
        arguments = inspect.signature(creator).parameters if creator is not None else {}
    except (TypeError, ValueError):
        return True
    return "world" in arguments or any(a.kind is a.VAR_KEYWORD for a in arguments.values())
