"""A Gymnasium environment over a FiniteMDP."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded

from envs import rendering
from envs.finite_mdp import FiniteMDP


class TabularEnv(gymnasium.Env[np.int64, np.int64]):
    """An episode in a FiniteMDP; the observation is the number of the state.

    Random numbers come from `np_random` alone, and only where the world needs them, in this order: a uniform
    for the start if it is random; at each step a uniform for the outcome if any outcome of the world is random,
    then a standard normal if its rewards are noisy.

    Attributes:
        mdp: the tables in which `step` looks up.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, mdp: FiniteMDP, render_mode: str | None = None) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode: must be one of {self.metadata['render_modes']}, not {render_mode!r}")
        self.mdp = mdp
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Discrete(mdp.states)
        self.action_space = gymnasium.spaces.Discrete(mdp.actions)
        self._running = False
        self._scene = rendering.Scene(mdp, state=int(mdp.start.argmax()), last_action=None)
        self._window: rendering.Window | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Start an episode; there are no options."""
        super().reset(seed=seed)
        uniform = self.np_random.random() if self.mdp.has_random_start else 0.0
        self._running = True
        state = self.mdp.sample_start(np.asarray(uniform))
        self._show(int(state), None)
        return np.int64(state), {}

    def step(self, action: np.int64 | int) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Take an action. Only Gymnasium's TimeLimit truncates; the world itself never does.

        Raises:
            ResetNeeded: no episode is running.
            InvalidAction: the world has no such action.
        """
        if not self._running:
            raise ResetNeeded("step: no episode is running, call reset first")
        if not self.action_space.contains(action):
            raise InvalidAction(f"step: the action must be 0 to {self.mdp.actions - 1}, not {action!r}")
        state, reward, terminated = self.mdp.step(
            np.asarray(self._scene.state),
            np.asarray(action),
            np.asarray(self.np_random.random()) if self.mdp.is_stochastic else None,
            np.asarray(self.np_random.standard_normal()) if self.mdp.reward_std > 0 else None,
        )
        self._running = not terminated
        self._show(int(state), int(action))
        return np.int64(state), float(reward), bool(terminated), False, {}

    def render(self) -> Any:
        """A text ("ansi"), a picture [height, width, 3] ("rgb_array"), or None ("human": a window)."""
        if self.render_mode == "ansi":
            return rendering.text(self._scene)
        if self.render_mode == "rgb_array":
            return rendering.picture(self._scene)
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _show(self, state: int, action: int | None) -> None:
        self._scene = rendering.Scene(self.mdp, state, action)
        if self.render_mode == "human":
            self._window = self._window or rendering.Window(self.metadata["render_fps"])
            self._window.show(self._scene)
