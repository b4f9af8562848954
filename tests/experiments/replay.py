"""One run's episodes, step by step through Gymnasium, from the random numbers of its own streams."""

from collections.abc import Iterable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from envs.toy_text import finite_mdp_of
from experiments.textbook import Step, episode
from experiments.training.streams import Purpose, Streams

Array = NDArray[np.float64]


class Replay:
    """An environment's random generator that hands out given numbers."""

    def __init__(self, uniforms: Iterable[float], normals: Iterable[float]) -> None:
        self._uniforms, self._normals = iter(uniforms), iter(normals)

    def random(self) -> float:
        return next(self._uniforms)

    def standard_normal(self) -> float:
        return next(self._normals)


class OwnEpisodes:
    """The episodes of one run in a finite world."""

    def __init__(self, env: gymnasium.Env[Any, Any], seed: int, steps: int, episodes: int) -> None:
        self._env, self._steps, self._episodes = env, steps, episodes
        self._streams = {purpose: Streams([seed], purpose) for purpose in Purpose}
        mdp = finite_mdp_of(env)
        assert mdp is not None
        # Our environments draw a start only where it is random, those of toy_text always.
        toy_text = type(env.unwrapped).__module__.startswith("gymnasium")
        self._draws_start = toy_text or mdp.has_random_start

    def update(self, log_pi: Array) -> list[list[Step]]:
        """The E episodes of the next update under log-probabilities [S, A]."""
        shape = (self._steps, self._episodes)
        actions = self._streams[Purpose.ACTIONS].uniforms(*shape)[:, 0]
        outcomes = self._streams[Purpose.OUTCOMES].uniforms(*shape)[:, 0]
        rewards = self._streams[Purpose.REWARDS].normals(*shape)[:, 0]
        starts = self._streams[Purpose.STARTS].uniforms(1, self._episodes)[:, 0]
        played = []
        for e in range(self._episodes):
            uniforms = np.concatenate([starts[:, e] if self._draws_start else [], outcomes[:, e]])
            self._env.unwrapped.np_random = Replay(uniforms, rewards[:, e])  # type: ignore[assignment]
            played.append(list(episode(self._env, lambda state: log_pi[state], actions[:, e])))
        return played
