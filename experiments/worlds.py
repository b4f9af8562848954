"""From a config's [environment] to a world: its tables where it has some, its size, its time limit."""

import sys
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, flatdim
from numpy.typing import NDArray

import envs  # noqa: F401  (registers our ids)
from envs.finite_mdp import FiniteMDP
from envs.planning import optimal_actions, optimal_values
from envs.toy_text import finite_mdp_of, time_limit_of
from experiments.config import ConfigError, Environment


@dataclass(frozen=True, eq=False)
class World:
    """What the training loop needs to know of an environment.

    Attributes:
        environment: the config it was made from.
        mdp: its tables; None: it can only be stepped.
        actions: A.
        observations: what it shows, state numbers if it has tables.
        inputs: width of what the policy sees: S one-hot states, or the size of an observation.
        time_limit: steps after which an episode is cut off.
    """

    environment: Environment
    mdp: FiniteMDP | None
    actions: int
    observations: Discrete | Box
    inputs: int
    time_limit: int

    def make(self, **kwargs: Any) -> "gymnasium.Env[Any, Any]":
        """A single environment with the config's arguments and time limit."""
        return gymnasium.make(
            self.environment.id, max_episode_steps=self.time_limit, **{**self.environment.kwargs, **kwargs}
        )

    @cached_property
    def reachable(self) -> NDArray[np.bool_]:
        """States that some policy can reach from the start, [S]; an ending state counts."""
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
        """States in which no episode ever acts, because entering them ends it, [S]."""
        assert self.mdp is not None
        possible = self.mdp.probability > 0
        entered_at_end = np.zeros(self.mdp.states, dtype=bool)
        entered_at_end[self.mdp.next_state[possible & self.mdp.terminated]] = True
        entered_alive = self.mdp.start > 0
        entered_alive[self.mdp.next_state[possible & ~self.mdp.terminated]] = True
        return entered_at_end & ~entered_alive

    def optimal_actions(self, discount: float) -> NDArray[np.bool_]:
        """Actions within 1e-9 of the best infinite-horizon value, [S, A]."""
        assert self.mdp is not None
        return optimal_actions(self.mdp, discount)

    def optimal_return(self, discount: float, horizon: int | None) -> float:
        """The best expected (discounted) return from the start."""
        assert self.mdp is not None
        _, values = optimal_values(self.mdp, horizon=horizon, discount=discount)
        return float(self.mdp.start @ values)


def unimported_module(environment: Environment) -> str | None:
    """The module that making the environment would import and run, as in "module:Name-v0"; None: there is none."""
    module, colon, _ = environment.id.partition(":")
    return module if colon and module not in sys.modules else None


def make_world(environment: Environment) -> World:
    """Make the environment once and read off what it is.

    Raises:
        ConfigError: unknown id, wrong arguments, an action space that is not Discrete, no time limit.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env = gymnasium.make(environment.id, **environment.kwargs)
    except (gymnasium.error.Error, ImportError) as error:
        # Gymnasium's own guess is only a part of the id.
        message = _one_line(error).partition(" Did you mean")[0].rstrip(".")
        raise ConfigError(f"environment.id: {message}{_nearest_id(environment.id)}") from None
    except Exception as error:  # whatever a stranger's constructor raises on wrong arguments
        raise ConfigError(f"environment.kwargs: {environment.id} refuses them: {_one_line(error)}") from None
    try:
        return _world_of(env, environment)
    except ValueError as error:
        raise ConfigError(f"environment: {error}") from None
    finally:
        env.close()


def _world_of(env: "gymnasium.Env[Any, Any]", environment: Environment) -> World:
    actions, observations = env.action_space, env.observation_space
    if not isinstance(actions, Discrete) or actions.start != 0:
        raise ValueError(f"{environment.id} has the action space {actions}; a softmax policy needs Discrete(n)")
    if not isinstance(observations, Discrete | Box):
        raise ValueError(f"{environment.id} has the observation space {observations}; needs Box or Discrete")
    limit = time_limit_of(env, environment.max_episode_steps)
    mdp = finite_mdp_of(env) if environment.tables else None
    if environment.normalize_observations and (mdp is not None or isinstance(observations, Discrete)):
        raise ValueError(
            f"normalize_observations: {environment.id} shows states, which have no mean; leave it out"
        )
    return World(environment, mdp, int(actions.n), observations, flatdim(observations), limit)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _nearest_id(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(gymnasium.registry), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close and close[0] != name else ""
