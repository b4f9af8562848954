"""A native Gymnasium vector environment over a FiniteMDP: many episodes, one table look-up per step."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs import rendering
from envs.finite_mdp import FiniteMDP
from envs.tabular import TabularEnv

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


class TabularVectorEnv(gymnasium.vector.VectorEnv[Integers, Integers, NDArray[Any]]):
    """N episodes of a FiniteMDP side by side; equal, step by step, to N single environments with a TimeLimit.

    Args:
        mdp: the table.
        num_envs: N.
        max_episode_steps: every episode is truncated after this many steps; None: never.
        autoreset_mode: NEXT_STEP (the step after an end resets; its action is ignored, its reward is 0),
            SAME_STEP (the step that ends an episode also starts the next one; the last observation is in
            info["final_obs"]) or DISABLED (the caller resets, with options={"reset_mask": boolean array [N]}).
        render_mode: None, "ansi" or "rgb_array"; frames come as a tuple of N.
    """

    def __init__(
        self,
        mdp: FiniteMDP,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        if num_envs < 1:
            raise ValueError(f"num_envs: must be 1 or more, not {num_envs}")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(f"max_episode_steps: must be 1 or more, not {max_episode_steps}")
        if render_mode not in (None, "ansi", "rgb_array"):
            raise ValueError(f"render_mode: must be 'ansi' or 'rgb_array', not {render_mode!r}")
        self.mdp, self.num_envs = mdp, num_envs
        self.max_episode_steps = max_episode_steps
        self.render_mode = render_mode
        self.metadata = {**TabularEnv.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = gymnasium.spaces.Discrete(mdp.states)
        self.single_action_space = gymnasium.spaces.Discrete(mdp.actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        fresh = [seeding.np_random() for _ in range(num_envs)]
        self._generators, self._seeds = [g for g, _ in fresh], [seed for _, seed in fresh]
        self._was_reset = False
        self._state = np.full(num_envs, mdp.start.argmax(), dtype=np.int64)
        self._last_action = np.full(num_envs, -1, dtype=np.int64)  # -1: none
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.ones(num_envs, dtype=np.bool_)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Integers, dict[str, Any]]:
        """Start episodes: all of them, or those of options["reset_mask"].

        Args:
            seed: as in SyncVectorEnv: an integer seeds sub-environment i with seed + i, a sequence gives each
                its own; None goes on with the generators as they are.
            options: {"reset_mask": boolean array [N]}, or nothing.
        Raises:
            ValueError: the seeds or the mask have another shape.
        """
        mask = _reset_mask(options, self.num_envs)
        seeds = _seeds(seed, self.num_envs)
        for i in np.flatnonzero(mask):
            if seeds[i] is not None:
                self._generators[i], self._seeds[i] = seeding.np_random(seeds[i])
        self._start(mask)
        self._was_reset = True
        return self._state.copy(), {}

    def step(self, actions: Integers) -> tuple[Integers, NDArray[np.float64], Booleans, Booleans, dict[str, Any]]:
        """Take an action, [N], in every sub-environment.

        In mode SAME_STEP, info["final_obs"] holds the last observation of each episode that ended, and
        info["_final_obs"] says where, [N] each; info["final_info"] is empty, as are all infos of these worlds.

        Raises:
            ResetNeeded: before the first reset, or in mode DISABLED where an episode has ended.
            InvalidAction: they are not N actions of the world.
        """
        actions = np.asarray(actions)
        self._check_step(actions)
        resetting, live = self._ended.copy(), ~self._ended
        step = self.mdp.step(
            self._state,
            actions,
            self._draw(np.random.Generator.random, live) if self.mdp.is_stochastic else None,
            self._draw(np.random.Generator.standard_normal, live) if self.mdp.reward_std > 0 else None,
        )
        self._state = np.where(live, step.next_state, self._state)
        self._last_action = actions.astype(np.int64)
        self._elapsed += live
        terminated = step.terminated & live
        truncated = live & (self._elapsed >= (self.max_episode_steps or np.inf))
        self._ended = terminated | truncated
        info: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            resetting = self._ended.copy()
            for i in np.flatnonzero(resetting).tolist():
                info = self._add_info(info, {"final_obs": self._state[i], "final_info": {}}, i)
        self._start(resetting)
        return self._state.copy(), np.where(live, step.reward, 0.0), terminated, truncated, info

    def render(self) -> tuple[Any, ...] | None:
        """A frame of every sub-environment: texts ("ansi") or pictures ("rgb_array")."""
        if self.render_mode is None:
            return None
        frame = rendering.text if self.render_mode == "ansi" else rendering.picture
        taken = [None if a < 0 else int(a) for a in self._last_action]
        return tuple(frame(rendering.Scene(self.mdp, int(s), a)) for s, a in zip(self._state, taken, strict=True))

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generators of the sub-environments, as SyncVectorEnv gives them."""
        return tuple(self._generators)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds of the sub-environments, as SyncVectorEnv gives them."""
        return tuple(self._seeds)

    def _draw(self, draw: Callable[[np.random.Generator], float], wanted: Booleans) -> NDArray[np.float64]:
        """One number from every wanted generator, [N]; the others are not moved on, and their numbers are 0."""
        numbers = np.zeros(self.num_envs)
        for i in np.flatnonzero(wanted):
            numbers[i] = draw(self._generators[i])
        return numbers

    def _start(self, mask: Booleans) -> None:
        """Start an episode in the sub-environments of the mask."""
        if not mask.any():
            return
        drawn = mask & self.mdp.has_random_start
        uniform = self._draw(np.random.Generator.random, drawn)
        self._state = np.where(mask, self.mdp.sample_start(uniform), self._state)
        self._last_action = np.where(mask, -1, self._last_action)
        self._elapsed = np.where(mask, 0, self._elapsed)
        self._ended = self._ended & ~mask

    def _check_step(self, actions: Integers) -> None:
        if not self._was_reset:
            raise ResetNeeded("step: call reset first")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            raise ResetNeeded(
                f"step: the episodes of sub-environments {np.flatnonzero(self._ended).tolist()} have ended; "
                'reset them with options={"reset_mask": ...}'
            )
        if not self.action_space.contains(actions):
            raise InvalidAction(
                f"step: needs {self.num_envs} actions 0 to {self.mdp.actions - 1}, got {actions!r}"
            )


def _seeds(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """A seed for each sub-environment; None: its generator goes on as it is."""
    if seed is None or isinstance(seed, (int, np.integer)):
        return [None if seed is None else int(seed) + i for i in range(num_envs)]
    if len(seed) != num_envs:
        raise ValueError(f"seed: a list must give {num_envs} seeds, not {len(seed)}")
    return list(seed)


def _reset_mask(options: dict[str, Any] | None, num_envs: int) -> Booleans:
    """The sub-environments to reset, [N]: all of them, or those of options["reset_mask"]."""
    if options is None or "reset_mask" not in options:
        return np.ones(num_envs, dtype=np.bool_)
    mask = np.asarray(options["reset_mask"])
    if mask.dtype != np.bool_ or mask.shape != (num_envs,) or not mask.any():
        raise ValueError(f"reset_mask: must be {num_envs} booleans, not all False; got {mask.dtype} {mask.shape}")
    return mask


def vector_of(world: Callable[..., TabularEnv]) -> Callable[..., TabularVectorEnv]:
    """The vector entry point of a world: the world gets its own keywords, TabularVectorEnv the others."""

    def make(
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> TabularVectorEnv:
        mdp = world(**kwargs).mdp
        return TabularVectorEnv(mdp, num_envs, max_episode_steps, autoreset_mode, render_mode)

    return make
