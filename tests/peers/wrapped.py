"""Gymnasium's wrappers around our worlds."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import wrappers
from gymnasium.spaces import Box, Discrete

import envs  # noqa: F401  (registers the ids)
from tests.peers.trials import trial

Env = gymnasium.Env[Any, Any]
WORLD = "FourAction/TwoRooms-v0"


def flat(env: Env) -> Env:
    return wrappers.FlattenObservation(env)


def seen(env: Env) -> Env:
    """It shows a picture of the world instead of the number of its state."""
    return wrappers.AddRenderObservation(env)


# How each is put around a world. What needs numbers or pictures is put around another wrapper.
FITS: dict[str, Callable[[Env], Env]] = {
    "AddRenderObservation": seen,
    "ArrayConversion": lambda env: wrappers.ArrayConversion(env, np, np),
    "Autoreset": lambda env: wrappers.Autoreset(env),
    "ClipReward": lambda env: wrappers.ClipReward(env, 0, 0.5),
    "DelayObservation": lambda env: wrappers.DelayObservation(env, 2),
    "DtypeObservation": lambda env: wrappers.DtypeObservation(flat(env), np.float32),
    "FlattenObservation": flat,
    "FrameStackObservation": lambda env: wrappers.FrameStackObservation(flat(env), 3),
    "GrayscaleObservation": lambda env: wrappers.GrayscaleObservation(seen(env)),
    "MaxAndSkipObservation": lambda env: wrappers.MaxAndSkipObservation(flat(env), 2),
    "NormalizeObservation": lambda env: wrappers.NormalizeObservation(flat(env)),
    "NormalizeReward": lambda env: wrappers.NormalizeReward(env),
    "NumpyToTorch": lambda env: wrappers.NumpyToTorch(env),
    "OrderEnforcing": lambda env: wrappers.OrderEnforcing(env),
    "PassiveEnvChecker": lambda env: wrappers.PassiveEnvChecker(env),
    "RecordEpisodeStatistics": lambda env: wrappers.RecordEpisodeStatistics(env),
    "RenderCollection": lambda env: wrappers.RenderCollection(env),
    "RepeatAction": lambda env: wrappers.RepeatAction(env, 2),
    "RescaleObservation": lambda env: wrappers.RescaleObservation(
        wrappers.DtypeObservation(flat(env), np.float32), np.float32(-1), np.float32(1)
    ),
    "ReshapeObservation": lambda env: wrappers.ReshapeObservation(flat(env), (1, 51)),
    "StickyAction": lambda env: wrappers.StickyAction(env, 0.25),
    "TimeAwareObservation": lambda env: wrappers.TimeAwareObservation(env),
    "TimeLimit": lambda env: wrappers.TimeLimit(env, 3),
    "TransformAction": lambda env: wrappers.TransformAction(env, lambda a: 3 - a, Discrete(4)),
    "TransformObservation": lambda env: wrappers.TransformObservation(
        env, lambda s: np.array([s], np.float32), Box(0, 100, (1,))
    ),
    "TransformReward": lambda env: wrappers.TransformReward(env, lambda r: 2 * r),
}
REFUSED: dict[str, tuple[Callable[[Env], Env], str]] = {
    "ClipAction": (lambda env: wrappers.ClipAction(env), "Box"),
    "DiscretizeAction": (lambda env: wrappers.DiscretizeAction(env, 3), "Box"),
    "DiscretizeObservation": (lambda env: wrappers.DiscretizeObservation(env, 3), "Box"),
    "RescaleAction": (lambda env: wrappers.RescaleAction(env, 0, 1), "Box"),
}


def played(wrap: Callable[[Env], Env]) -> None:
    """Wrapped, it shows what it declares."""
    env = wrap(gymnasium.make(WORLD, render_mode="rgb_array"))
    observation, _ = env.reset(seed=0)
    for _ in range(3):
        as_numpy = observation.numpy() if hasattr(observation, "numpy") else observation
        assert env.observation_space.contains(as_numpy)
        observation, *_ = env.step(0)
    env.close()  # type: ignore[no-untyped-call]


for _name, _wrap in FITS.items():
    _package = "array-api-compat" if _name in ("ArrayConversion", "NumpyToTorch") else "gymnasium"
    trial("wrappers", _package, f"`{_name}`")(partial(played, _wrap))
for _name, (_wrap, _why) in REFUSED.items():
    trial("wrappers", "gymnasium", f"`{_name}`", refused=_why)(partial(played, _wrap))
