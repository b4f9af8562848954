"""Small worlds, each with one habit of other people's environments. All of them are registered as `Strange-v0`."""

import random
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from experiments.config.loading import load_config
from experiments.config.schema import Config


class Strange(gymnasium.Env[Any, Any]):
    """Shows which of three actions pays, for some steps. What is strange about it is in its arguments.

    Args:
        declares: dtype of the declared observations; "states": Discrete.
        shows: dtype of what is shown; "int", "float", "list", "0-d": as these; "short", "deep": of another shape.
        pays: how a reward comes: a key of REWARDS.
        ends: how `terminated` comes: a key of FLAGS.
        late: the strangeness begins in the second step of an episode.
        first_state, first_action: what the numbers of states and actions begin with.
        draws: what it takes random numbers from: "np_random", "numpy", "random", "torch", "mixed", "space";
            "count": not random, but a count that no reset ends.
        log: a file that gets a line for every environment that is made or closed.
        steps: of an episode.
        breaks: where it raises: "making", "reset", "step", "close".
        exits: what it raises there is a SystemExit.
        lasts: episodes of an environment before it breaks.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(
        self,
        declares: str = "float32",
        shows: str = "float32",
        pays: str = "float",
        ends: str = "bool",
        late: bool = False,
        first_state: int = 0,
        first_action: int = 0,
        draws: str = "np_random",
        log: str = "",
        steps: int = 3,
        scale: float = 1.0,
        breaks: str = "",
        exits: bool = False,
        lasts: int = 0,
        render_mode: str | None = None,
    ) -> None:
        self._declares, self._shows, self._pays, self._ends, self._late = declares, shows, pays, ends, late
        self._first_state, self._first_action, self._draws = first_state, first_action, draws
        self._log, self._steps, self._scale, self._breaks = log, steps, scale, breaks
        self._exits, self._lasts, self._episodes = exits, lasts, 0
        self.render_mode = render_mode
        self._actions = Discrete(3, start=first_action)
        self._count = 0
        self._note("made")
        self._break("making", "no such device")
        if declares == "states":
            self._seen: Any = Discrete(3, start=first_state)
        else:
            self._seen = Box(0, 100, (3,), np.dtype(declares).type)

    @property
    def observation_space(self) -> Any:  # type: ignore[override]  # read-only, as typed code writes it
        return self._seen

    @property
    def action_space(self) -> Any:  # type: ignore[override]
        return self._actions

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._done = 0
        self._episodes += 1
        self._break("reset", "device lost")
        return self._show(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        self._break("step", "device lost")
        paid = float(action - self._first_action == self._target)
        self._done += 1
        ended = self._done == self._steps
        shown, usual = self._show(), self._late and self._done < 2
        reward = paid if usual else REWARDS[self._pays](paid)
        return shown, reward, ended if usual else FLAGS[self._ends](ended), False, {}

    def render(self) -> Any:
        return np.zeros((8, 8, 3), np.uint8)

    def close(self) -> None:
        self._note("closed")
        self._break("close", "device lost")

    def _break(self, where: str, why: str) -> None:
        if self._breaks == where and self._episodes >= self._lasts:
            raise SystemExit(why) if self._exits else OSError(why)

    def _show(self) -> Any:
        self._target = self._drawn()
        seen = np.zeros(3)
        usual = self._late and self._done < 2
        seen[self._target] = 1.0 if usual else self._scale
        shows = self._declares if usual else self._shows
        if self._declares == "states":
            return STATES[shows](self._target + self._first_state)
        if shows in ("list", "short", "deep"):
            return {"list": seen.tolist(), "short": seen[:2], "deep": seen[None]}[shows]
        return seen.astype(shows)

    def _drawn(self) -> int:
        draws = self._draws
        if draws == "mixed":
            draws = ("numpy", "random")[int(np.random.rand() < 0.5)]  # noqa: NPY002
        if draws == "numpy":
            return int(np.random.randint(3))  # noqa: NPY002
        if draws == "random":
            return random.randrange(3)
        if draws == "space":
            return int(self.action_space.sample()) - self._first_action
        if draws == "count":
            self._count += 1
            return self._count % 3
        if draws == "torch":
            return int(torch.randint(3, ()))
        return int(self.np_random.integers(3))

    def _note(self, what: str) -> None:
        if self._log:
            with Path(self._log).open("a") as file:
                file.write(f"{what}\n")


REWARDS: dict[str, Any] = {
    "float": float,
    "int": int,
    "bool": bool,
    "float32": np.float32,
    "int8": np.int8,
    "0-d": np.array,
    "one": lambda reward: np.array([reward]),
    "two": lambda reward: np.array([reward, 0.0]),
    "text": str,
    "none": lambda _: None,
    "nan": lambda _: float("nan"),
    "infinite": lambda _: np.float64("inf"),
    "complex": complex,
}
FLAGS: dict[str, Any] = {
    "bool": bool,
    "bool_": np.bool_,
    "0-d": np.array,
    "int": int,
    "one": lambda flag: np.array([flag]),
    "text": str,
    "none": lambda _: None,
    "half": lambda _: 0.5,
    "two": lambda _: 2,
}
STATES: dict[str, Any] = {
    "states": np.int64,
    "int": int,
    "int32": np.int32,
    "uint8": lambda state: np.uint8(state % 256),
    "0-d": np.array,
    "one": lambda state: np.array([state]),
    "outside": lambda _: 3000,
    "float": float,
    "float32": np.float32,
    "text": str,
    "none": lambda _: None,
}
gymnasium.register("Strange-v0", entry_point=Strange, max_episode_steps=5)


def strange(agent: dict[str, Any] | None = None, **kwargs: Any) -> Config:
    """A small comparison in such a world."""
    return load_config(
        {
            "name": "strange",
            "description": "a world with a habit",
            "environment": {"id": "Strange-v0", "kwargs": kwargs, "solved_return": 2.5},
            "agent": {"policy": "mlp", "hidden_sizes": [8], "learning_rate": 0.1, **(agent or {})},
            "training": {"seeds": 3, "episodes_per_update": 2, "updates": 4},
            "arms": {"without": {}, "with": {"entropy_coef": 0.1}},
        }
    )
