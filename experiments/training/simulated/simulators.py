"""Whole episodes of many runs in simulators that can only be stepped, all environments in lock-step.

R: runs, E: episodes of a run, D: width of a row, A: actions, L: live environments, N: all steps of an update.
A *place* is an environment, run * E + episode.

There are no wrappers and no automatic resets: an environment is stepped while its episode lasts and then left
alone, so that every counted step is one that a policy chose. Every episode begins with a seed of its own from the
run's numbers. So the state that an earlier episode left in the simulator does not matter, and need not be stored.
This is also true of random generators that a world shares with all other code: see
`experiments.training.global_generators`.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from experiments.training.environments import FAILURES, bare, closed
from experiments.training.global_generators import GlobalGenerators
from experiments.training.randomness import Purpose, environment_seeds
from experiments.training.records import Runs
from experiments.training.simulated.observations import Observations, Rows
from experiments.training.spaces import begun, converter, flag_of, reward_of
from experiments.training.termination import termination
from experiments.training.trajectories import Array, Ints, Played, Raw
from experiments.training.worlds import World

# From rows [M, E, D] to log-probabilities [M, E, A], for the M runs for which it was made.
Policy = Callable[[Rows], Array]


class SimulatorError(RuntimeError):
    """An environment raised an error; the message names it, the run and the step."""


class PlainDiscrete(Discrete):
    """Discrete(n) with a fast membership test for an integer of its own type.

    Simulators test at every step whether the action is valid. Gymnasium's test looks up the limits of the integer
    type, which takes a fifth of a whole step in LunarLander and a third in CartPole.
    """

    def __init__(self, space: Discrete) -> None:
        super().__init__(space.n, start=space.start, dtype=space.dtype)
        self._first, self._end = int(space.start), int(space.start + space.n)
        self._type = self.dtype.type

    def contains(self, x: Any) -> bool:
        """As in Discrete: whether x is an integer from start to start + n - 1."""
        return bool(self._first <= x < self._end) if type(x) is self._type else super().contains(x)


class Simulators:
    """R x E environments, made when they are first played; `close` them at the end."""

    def __init__(self, world: World, runs: Runs, episodes: int, observations: Observations) -> None:
        self._world, self._runs, self._episodes = world, runs, episodes
        self._observations = observations
        self._envs: list[gymnasium.Env[Any, Any]] = []
        self._open = ExitStack()
        self._convert = converter(world.observations)
        self._generators = GlobalGenerators()

    def close(self) -> None:
        """Close all environments; to play on makes new ones."""
        self._envs.clear()
        self._open.close()

    def play(
        self,
        policy_of: Callable[[Ints], Policy],
        seeds: Ints,
        uniforms: Array | None,
        active: NDArray[np.bool_],
    ) -> Played:
        """Play an episode in every environment of the active runs.

        Args:
            policy_of: gives the policy of some of the runs, by their numbers.
            seeds: the seeds of the resets, [R, E].
            uniforms: the numbers that choose the actions, [T, R, E]; None: the most probable action is taken.
            active: the runs that play, [R].
        Raises:
            SimulatorError: an environment raised an error, or an observation or reward is not what it declares.
        """
        with self._generators.held():
            if not self._envs:
                self._make()
            while True:
                try:
                    played = self._episodes_of(policy_of, seeds, uniforms, active)
                except SimulatorError:
                    if not self._generators.drawn_from():
                        raise
                else:
                    if not self._generators.drawn_from():
                        return played
                # They drew in turns from one stream: play the same episodes again, each with a stream of its own.

    def _episodes_of(
        self,
        policy_of: Callable[[Ints], Policy],
        seeds: Ints,
        uniforms: Array | None,
        active: NDArray[np.bool_],
    ) -> Played:
        raw = self._observations.buffer(len(self._envs))
        truncated = np.zeros(len(self._envs), dtype=bool)
        live = np.flatnonzero(np.repeat(active, self._episodes))
        self._reset(live, seeds.ravel(), raw)
        parts: list[tuple[NDArray[Any], ...]] = []
        changed = True
        for t in range(self._world.time_limit):
            if changed:  # episodes ended, so fewer runs may still act
                acting = np.unique(live // self._episodes)
                if len(acting) == 0:
                    break
                policy = policy_of(acting)
                row = np.searchsorted(acting, live // self._episodes) * self._episodes + live % self._episodes
            rows = self._observations.rows(raw.reshape(-1, self._episodes, *raw.shape[1:])[acting], acting)
            log_pi = policy(rows).reshape(len(acting) * self._episodes, -1)[row]
            action = _chosen(log_pi, None if uniforms is None else uniforms[t].ravel()[live])
            seen = raw[live]
            reward, terminated, cut = self._step(t, live, action, raw)
            ended = terminated | cut | (t == self._world.time_limit - 1)
            truncated[live] = ended & ~terminated
            parts.append((live, np.full(len(live), t), seen, log_pi, action, reward))
            live, changed = live[~ended], bool(ended.any())
        return self._played(parts, raw, truncated)

    def _make(self) -> None:
        """Environments without the wrappers that check, and without the time limit, which is kept here."""
        streams = [self._world.stream_seed(seed) for seed in self._runs.seed]
        seeds = environment_seeds(streams, Purpose.CONSTRUCTORS, 0, self._episodes)
        for place, seed in enumerate(seeds.ravel().tolist()):
            try:
                with termination.held():
                    env = bare(self._open.enter_context(closed(self._world.make(seed=seed))))
                space = env.unwrapped.action_space
            except FAILURES as error:
                raise self._error(place, "the making", error) from error
            if type(space) is Discrete and type(env.unwrapped).__module__.startswith("gymnasium.envs."):
                env.unwrapped.action_space = PlainDiscrete(space)  # nothing is set on other people's worlds
            self._envs.append(env)

    def _reset(self, live: Ints, seeds: Ints, raw: Raw) -> None:
        generators, place = self._generators, 0
        try:
            for place in live.tolist():
                seed = int(seeds[place])
                generators.enter(place, seed)
                observation, _ = begun(self._envs[place], seed)
                generators.leave(place)
                raw[place] = self._convert(observation)
        except FAILURES as error:
            raise self._error(place, "reset", error) from error

    def _step(
        self, t: int, live: Ints, action: Ints, raw: Raw
    ) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
        """Rewards, terminated, truncated, [L] each; the new observations go into `raw`."""
        envs, generators, convert, place = self._envs, self._generators, self._convert, 0
        actions = self._world.as_shown(action)
        rewards, terminations, truncations = [], [], []
        try:
            for place, act in zip(live.tolist(), actions, strict=True):
                if generators.swapped:
                    generators.enter(place)
                observation, reward, terminated, truncated, _ = envs[place].step(act)
                if generators.swapped:
                    generators.leave(place)
                raw[place] = convert(observation)
                rewards.append(self._world.paid(reward_of(reward)))
                terminations.append(flag_of(terminated, "terminated"))
                truncations.append(flag_of(truncated, "truncated"))
        except FAILURES as error:
            raise self._error(place, f"step {t}", error) from error
        return np.array(rewards), np.array(terminations), np.array(truncations)

    def _error(self, place: int, moment: str, error: BaseException) -> SimulatorError:
        run, episode = divmod(place, self._episodes)
        return SimulatorError(
            f"{self._world.environment.id} failed at {moment} of an episode (arm {self._runs.arm[run]}, "
            f"seed {self._runs.seed[run]}, environment {episode}): {type(error).__name__}: {error}"
        )

    def _played(self, parts: Sequence[tuple[NDArray[Any], ...]], raw: Raw, truncated: NDArray[np.bool_]) -> Played:
        none = (np.empty(0, np.int64), np.empty(0, np.int64), raw[:0], np.empty((0, self._world.actions)))
        parts = parts or [(*none, np.empty(0, np.int64), np.empty(0))]
        columns = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
        run = columns[0] // self._episodes
        place, t, seen, log_pi, action, reward = (column[np.argsort(run, kind="stable")] for column in columns)
        runs = len(self._runs.arm)
        bounds = np.concatenate([[0], np.cumsum(np.bincount(run, minlength=runs))])
        cut = truncated.reshape(runs, self._episodes)
        return Played(place, t, seen, log_pi, action, reward, cut, bounds)


def _chosen(log_pi: Array, uniforms: Array | None) -> Ints:
    """Actions [L] by inverse CDF: the number of cumulative probabilities (all but the last) that are <= u."""
    if uniforms is None:
        return log_pi.argmax(1)
    edges = np.cumsum(np.exp(log_pi[:, :-1]), axis=1)
    return (edges <= uniforms[:, None]).sum(1)
