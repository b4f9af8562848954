"""One run's episodes, step by step through Gymnasium, from random numbers of NumPy's."""

from collections.abc import Iterable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from envs.toy_text import finite_mdp_of
from experiments.textbook import Step, episode
from experiments.training.randomness import Purpose, normals

Array = NDArray[np.float64]


def from_numpy(seed: int, purpose: Purpose, update: int, shape: tuple[int, ...]) -> Array:
    """The uniform numbers of a run, as `docs/randomness.md` says how to have them."""
    key = np.array([seed, purpose], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=((update << 64) - 1) % 2**256)).random(shape)


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
        self._env, self._seed, self._steps, self._episodes = env, seed, steps, episodes
        self._update = 0
        mdp = finite_mdp_of(env)
        assert mdp is not None
        # Our environments draw a start only where it is random, those of toy_text always.
        toy_text = type(env.unwrapped).__module__.startswith("gymnasium")
        self._draws_start = toy_text or mdp.has_random_start

    def update(self, log_pi: Array) -> list[list[Step]]:
        """The E episodes of the next update under log-probabilities [S, A]."""
        seed, update, shape = self._seed, self._update, (self._steps, self._episodes)
        actions = from_numpy(seed, Purpose.ACTIONS, update, shape)
        outcomes = from_numpy(seed, Purpose.OUTCOMES, update, shape)
        (rewards,) = normals([seed], Purpose.REWARDS, update, shape)
        starts = from_numpy(seed, Purpose.STARTS, update, (1, self._episodes))
        played = []
        for e in range(self._episodes):
            uniforms = np.concatenate([starts[:, e] if self._draws_start else [], outcomes[:, e]])
            self._env.unwrapped.np_random = Replay(uniforms, rewards[:, e])  # type: ignore[assignment]
            played.append(list(episode(self._env, lambda state: log_pi[state], actions[:, e])))
        self._update += 1
        return played
