"""From a config's [environment] to a world: its tables, if it has any, its size and its time limit."""

import os
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete, flatdim
from numpy.typing import NDArray

import envs  # noqa: F401  (registers our ids)
from envs.finite_mdp import FiniteMDP
from envs.planning import optimal_actions, optimal_values
from envs.toy_text import finite_mdp_of, time_limit_of
from experiments.config.commands import pip_install
from experiments.config.mistakes import closest
from experiments.config.schema import ConfigError, Environment, one_line
from experiments.training.environments import FAILURES, bare, closed, made, takes_world
from experiments.training.global_generators import GlobalGenerators
from experiments.training.spaces import (
    Observed,
    Undeclared,
    check_first_step,
    check_size,
    is_observed,
    largest_number,
)

MAX_COMFORTABLE = 30.0  # of what a network sees; the angles and speeds of control problems lie below

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class World:
    """What the training loop needs to know about an environment.

    Attributes:
        environment: the config from which it was made, with the content of a file in place of its name.
        mdp: its tables, with the rewards that the agent receives; None: it can only be stepped.
        action_space: the A actions, which the environment may number from another number than 0.
        observations: the space of its observations; state numbers if it has tables.
        inputs: the width of the policy's input: S one-hot states, or the size of an observation.
        time_limit: steps after which an episode is cut off.
        number: the number of this world in its family.
        is_repeatable: whether its first step was the same again with the same seed; tables always are.
    """

    environment: Environment
    mdp: FiniteMDP | None
    action_space: Discrete
    observations: Observed
    inputs: int
    time_limit: int
    number: int | None = None
    is_repeatable: bool = True

    def paid(self, reward: float) -> float:
        """The reward that the agent receives: the environment's, scaled and offset as the config says."""
        return self.environment.reward_scale * reward + self.environment.reward_offset

    def stream_seed(self, seed: int) -> int:
        """The seed of a run's random numbers: it follows from the run's seed and, in a family, from its world.
        Otherwise runs of one seed would begin alike in all worlds, and their luck would count once per world."""
        if self.number is None:
            return seed
        key = np.array([seed, self.number], np.uint64)
        return int(np.random.Philox(key=key).random_raw()) >> 1

    def make(
        self, render_mode: str | None = None, checked: bool = False, seed: int = 0
    ) -> "gymnasium.Env[Any, Any]":
        """A single environment with the config's arguments and time limit.

        Args:
            render_mode: the render mode; None: that of the config's kwargs, if there is one.
            checked: whether to use Gymnasium's checks at every step.
            seed: seed of the shared generators, for a constructor that draws from them.
        Raises:
            ValueError: the config's kwargs have another render mode.
        """
        kwargs = dict(self.environment.kwargs)
        if render_mode is not None and kwargs.setdefault("render_mode", render_mode) != render_mode:
            raise ValueError(f"environment.kwargs.render_mode is {kwargs['render_mode']!r}, not {render_mode!r}")
        return made(self.environment.id, kwargs, seed, self.time_limit, disable_env_checker=not checked)

    @property
    def actions(self) -> int:
        """A, the number of actions."""
        return int(self.action_space.n)

    @property
    def first_action(self) -> int:
        """The environment's own number of action 0."""
        return int(self.action_space.start)

    def as_shown(self, action: Ints) -> NDArray[np.integer]:
        """Actions as the environment takes them: numbered as it does, in its space's own type."""
        return (action + self.first_action).astype(self.action_space.dtype)

    @property
    def advice(self) -> tuple[str, ...]:
        """Lines for the user: a network will see numbers too large to learn well from; no training in it can be
        repeated."""
        largest, lines = largest_number(self.observations), []
        if largest > MAX_COMFORTABLE and not self.environment.normalize_observations:
            lines.append(
                f"{self.environment.id} shows numbers of up to {largest:g}, and networks learn badly from large "
                "ones: environment.normalize_observations=true makes them small"
            )
        if not self.is_repeatable:
            lines.append(
                f"{self.environment.id} shows or pays something else after another reset with the same seed, so "
                "this training cannot be repeated: a world should draw from self.np_random, and keep nothing from "
                "one episode to the next"
            )
        return tuple(lines)

    @cached_property
    def reachable(self) -> NDArray[np.bool_]:
        """States that some policy can reach from the start, [S], including states that end an episode."""
        assert self.mdp is not None
        possible = self.mdp.probability > 0
        reached = self.mdp.start > 0
        while True:
            acting = reached & ~self.terminal
            grown = reached.copy()
            grown[self.mdp.next_state[acting][possible[acting]]] = True
            if (grown == reached).all():
                return reached
            reached = grown

    @cached_property
    def terminal(self) -> NDArray[np.bool_]:
        """States in which no action is ever taken, because entering them ends the episode, [S]."""
        assert self.mdp is not None
        possible = self.mdp.probability > 0
        entered_at_end = np.zeros(self.mdp.states, dtype=bool)
        entered_at_end[self.mdp.next_state[possible & self.mdp.terminated]] = True
        entered_alive = self.mdp.start > 0
        entered_alive[self.mdp.next_state[possible & ~self.mdp.terminated]] = True
        return entered_at_end & ~entered_alive

    def optimal_actions(self, discount: float) -> NDArray[np.bool_]:
        """Actions within 1e-9 of the best infinite-horizon value, [S, A].

        Raises:
            ConfigError: there are none, because without discounting rewards can be collected for ever.
        """
        assert self.mdp is not None
        try:
            return optimal_actions(self.mdp, discount)
        except ValueError:
            raise ConfigError(
                f"agent.discount: {self.environment.id} has no best actions at {discount:g}, since rewards can be "
                "collected for ever, or costs never be avoided: use a discount below 1"
            ) from None

    def optimal_return(self, discount: float, horizon: int | None) -> float:
        """The best expected (discounted) return from the start."""
        assert self.mdp is not None
        _, values = optimal_values(self.mdp, horizon=horizon, discount=discount)
        return float(self.mdp.start @ values)


def time_limit(environment: Environment) -> int:
    """Steps after which an episode is cut off; makes no world if the config or the registry gives the number."""
    spec = gymnasium.registry.get(environment.id)  # None: its module registers it once it is imported
    known = environment.max_episode_steps or (spec and spec.max_episode_steps)
    return known or make_world(environment.of_world(environment.world_list[0])).time_limit


def unimported_module(environment: Environment) -> str | None:
    """The module that would be imported, and run, to make the environment "module:Name-v0"; None: there is
    none."""
    module, colon, _ = environment.id.partition(":")
    return module if colon and module not in sys.modules else None


def make_worlds(environment: Environment) -> tuple[World, ...]:
    """The worlds of a family, or the only world of an environment that is not a family.

    Raises:
        ConfigError: as in `make_world`; or the environment is not a family, or its worlds have different actions.
    """
    if environment.worlds is None:
        return (make_world(environment),)
    try:
        worlds = [replace(make_world(environment.of_world(k)), number=k) for k in environment.world_list]
    except ConfigError:
        make_world(environment.of_world(None))  # raises if something is wrong in any world
        if takes_world(environment.id):
            raise
        raise ConfigError(
            f"environment.worlds: {environment.id} is not a family: its constructor takes no argument `world`; "
            "leave worlds out"
        ) from None
    for world in worlds:
        if world.action_space != worlds[0].action_space:
            raise ConfigError(
                f"environment.worlds: world {world.number} has the actions {world.action_space}, world "
                f"{worlds[0].number} has {worlds[0].action_space}; all worlds of a family need the same"
            )
    return tuple(worlds)


VALID_IDS = (
    "valid are an id that Gymnasium or this project registers, or module:Name-v0, where the module registers the "
    "environment and is installed or in the current folder"
)


def search_current_folder() -> None:
    """Let modules be imported from the current folder, in an installed program as well."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last, so that nothing there hides another module


def make_world(environment: Environment) -> World:
    """Make the environment once, read its properties and, if it has no tables, check its first step.

    Raises:
        ConfigError: the id is unknown, arguments are wrong, the action space is not Discrete, there is no time
            limit, its spaces cannot be read, or observations or rewards are not what it declares.
    """
    if ":" in environment.id:
        search_current_folder()
    try:
        env = made(environment.id, environment.kwargs, 0, None, disable_env_checker=True)
    except (gymnasium.error.Error, ImportError) as error:
        # Gymnasium's own guess is only a part of the id.
        message = _said(error).partition(" Did you mean")[0].rstrip(".")
        advice = _missing(message) or f"{_nearest_id(environment.id)}; {VALID_IDS}"
        raise ConfigError(f"environment.id: {message}{advice}") from None
    except SystemExit as end:
        raise ConfigError(
            f"environment: {environment.id} fails where it is made: SystemExit: {_said(end)}"
        ) from None
    except Exception as error:  # whatever a stranger's constructor raises on wrong arguments
        raise ConfigError(f"environment.kwargs: {environment.id} refuses them: {_said(error)}") from None
    with closed(env):
        try:
            world = _world_of(env, environment)
        except ValueError as error:
            raise ConfigError(f"environment: {error}") from None
        except FAILURES as error:  # a stranger's spaces may be missing, or properties that raise
            raise ConfigError(
                f"environment: {environment.id} fails when its spaces are read: {type(error).__name__}: "
                f"{_said(error)}; it needs an action_space and an observation_space of Gymnasium"
            ) from None
        if world.mdp is None:
            import torch  # noqa: F401  (its training needs it: from here on the world may draw from it)

            world = replace(world, is_repeatable=_look(env, world))
        return world


def _look(env: "gymnasium.Env[Any, Any]", world: World) -> bool:
    """Check the first step; returns whether it is the same again."""
    name = world.environment.id

    def looked() -> tuple[NDArray[Any], ...]:
        with warnings.catch_warnings(), GlobalGenerators(swapped=True).acting(seed=0):
            warnings.simplefilter("ignore")
            return check_first_step(bare(env), world.action_space, world.observations)

    try:
        first = looked()
    except Undeclared as error:
        raise ConfigError(f"environment: {name} {_said(error)}") from None
    except FAILURES as error:  # a stranger's environment may raise anything
        raise ConfigError(
            f"environment: {name} fails in its first step: {type(error).__name__}: {_said(error)}"
        ) from None
    with suppress(*FAILURES):  # such as that of a world that its episode's end alone may reset
        return all(map(np.array_equal, first, looked()))
    return True


def _world_of(env: "gymnasium.Env[Any, Any]", environment: Environment) -> World:
    actions, observations = env.action_space, env.observation_space
    if not isinstance(actions, Discrete):
        raise ValueError(f"{environment.id} has the action space {actions}; a softmax policy needs Discrete(n)")
    if not is_observed(observations):
        raise ValueError(
            f"{environment.id} has the observation space {observations}; needs Discrete, Box, MultiDiscrete, "
            "MultiBinary, or a Tuple or Dict of them"
        )
    check_size(actions, observations)
    limit = time_limit_of(env, environment.max_episode_steps)
    mdp = _paying(finite_mdp_of(env), environment) if environment.tables else None
    if environment.normalize_observations and (mdp is not None or isinstance(observations, Discrete)):
        raise ValueError(
            f"normalize_observations: {environment.id} shows states, which have no mean; leave it out"
        )
    return World(environment, mdp, actions, observations, flatdim(observations), limit)


def _paying(mdp: FiniteMDP | None, environment: Environment) -> FiniteMDP | None:
    """The tables with rewards scaled and offset, as in `World.paid`; noise is scaled too."""
    scale, offset = environment.reward_scale, environment.reward_offset
    if mdp is None or (scale, offset) == (1, 0):
        return mdp
    return replace(mdp, reward=scale * mdp.reward + offset, reward_std=scale * mdp.reward_std)


def _said(error: BaseException) -> str:
    return one_line(error) or type(error).__name__


def _missing(message: str) -> str:
    """How to install what the message misses, if an extra of ours brings it."""
    return f"; here: {pip_install('box2d')}" if "box2d" in message.lower() and "install" in message else ""


def _nearest_id(name: str) -> str:
    close = closest(name, gymnasium.registry)
    return f"; did you mean {close!r}?" if close not in (None, name) else ""
