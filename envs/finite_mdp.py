"""Finite Markov decision processes as tables, and a pure vectorised step.

Letters: S states, A actions, K outcomes of an action, N any batch.
If all transitions of a world fit into a table, it needs no simulator: a step is a look-up, thousands of steps are
one look-up too, and expectations are sums instead of samples.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Cell = tuple[int, int]  # row, column
MAX_BYTES = 1 << 26  # of a world's tables
OUTCOME_BYTES = 8 + 8 + 1 + 8 + 8  # next state, reward, terminated, probability, cumulative probability
Scalar = TypeVar("Scalar", bound=np.generic)


class Step(NamedTuple):
    """The results of a batch of steps."""

    next_state: NDArray[np.int64]  # [N]
    reward: NDArray[np.float64]  # [N]
    terminated: NDArray[np.bool_]  # [N]


@dataclass(frozen=True, eq=False)
class Drawing:
    """Where the states of a world lie on a grid; everything a picture of the world needs."""

    height: int
    width: int
    cells: NDArray[np.int64]  # [S, 2] row, column of each state; (-1, -1): the state has no cell
    walls: frozenset[Cell]  # wall cells
    thin_walls: frozenset[tuple[Cell, Cell]]  # pairs of neighbouring cells that a wall separates
    goals: dict[Cell, float]  # cell -> reward, for labels
    action_vectors: NDArray[np.int64]  # [A, 2] (d_row, d_column), for arrows

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", _table("drawing.cells", self.cells, np.int64, 2))
        object.__setattr__(
            self, "action_vectors", _table("drawing.action_vectors", self.action_vectors, np.int64, 2)
        )


@dataclass(frozen=True, eq=False)
class FiniteMDP:
    """A finite Markov decision process.

    Cells that end an episode when they are entered are states too, although no action is ever taken there.
    The arrays are copied, checked and made read-only; tables that are not a decision process raise ValueError.
    """

    next_state: NDArray[np.int64]  # [S, A, K]
    reward: NDArray[np.float64]  # [S, A, K] mean reward of the outcome
    terminated: NDArray[np.bool_]  # [S, A, K] the episode ends with this outcome
    probability: NDArray[np.float64]  # [S, A, K] sums to 1 over K; unused outcomes have probability 0
    start: NDArray[np.float64]  # [S] start distribution
    reward_std: float = 0.0  # standard deviation of the Gaussian noise on every reward
    drawing: Drawing | None = None  # None: not a grid

    def __post_init__(self) -> None:
        object.__setattr__(self, "next_state", _table("next_state", self.next_state, np.int64, 3))
        object.__setattr__(self, "reward", _table("reward", self.reward, np.float64, 3))
        object.__setattr__(self, "terminated", _table("terminated", self.terminated, np.bool_, 3))
        object.__setattr__(self, "probability", _table("probability", self.probability, np.float64, 3))
        object.__setattr__(self, "start", _table("start", self.start, np.float64, 1))
        _check(self)

    @property
    def states(self) -> int:
        """S, the number of states."""
        return int(self.next_state.shape[0])

    @property
    def actions(self) -> int:
        """A, the number of actions."""
        return int(self.next_state.shape[1])

    @property
    def outcomes(self) -> int:
        """K, the number of outcomes an action can have; 1: the world is deterministic."""
        return int(self.next_state.shape[2])

    @cached_property
    def is_stochastic(self) -> bool:
        """Whether some action has more than one possible outcome (reward noise apart)."""
        return bool(((self.probability > 0).sum(-1) > 1).any())

    @cached_property
    def has_random_start(self) -> bool:
        """Whether episodes may start in more than one state."""
        return bool((self.start > 0).sum() > 1)

    @cached_property
    def longest_episode(self) -> int | None:
        """The number of steps after which every episode has ended by itself; None: one may go on for ever."""
        running = self.start > 0  # states where an episode may be after `steps` steps
        for steps in range(self.states + 1):  # a longer walk has gone round in a circle
            if not running.any():
                return steps
            goes_on = running[:, None, None] & (self.probability > 0) & ~self.terminated
            running = np.zeros(self.states, dtype=np.bool_)
            running[self.next_state[goes_on]] = True
        return None

    @cached_property
    def cumulative_probability(self) -> NDArray[np.float64]:
        """Cumulative outcome probabilities, [S, A, K], exactly 1 from the last possible outcome on."""
        return _cumulative(self.probability)

    @cached_property
    def cumulative_start(self) -> NDArray[np.float64]:
        """Cumulative start distribution, [S], exactly 1 from the last possible start on."""
        return _cumulative(self.start)

    def step(
        self,
        state: NDArray[np.int64],
        action: NDArray[np.int64],
        outcome_uniform: NDArray[np.float64] | None = None,
        reward_normal: NDArray[np.float64] | None = None,
    ) -> Step:
        """One step of every member of a batch: a pure function of its arguments.

        The outcome is drawn by inverse CDF, k = number of cumulative probabilities <= u, so the same uniforms
        always give the same trajectory and an outcome of probability 0 is never drawn.

        Args:
            state: states acted in, [N].
            action: actions taken, [N].
            outcome_uniform: numbers in [0, 1), [N]; may be left out where no outcome is random.
            reward_normal: standard normal numbers, [N]; may be left out where reward_std is 0.
        Raises:
            ValueError: random numbers the world needs were left out.
        """
        if outcome_uniform is None and self.is_stochastic:
            raise ValueError("step: this world is stochastic, outcome_uniform is needed")
        if reward_normal is None and self.reward_std > 0:
            raise ValueError("step: this world has noisy rewards, reward_normal is needed")
        if self.outcomes == 1:
            taken = (state, action, 0)
        else:
            u = np.zeros(np.shape(state)) if outcome_uniform is None else outcome_uniform
            outcome = (self.cumulative_probability[state, action] <= np.asarray(u)[..., None]).sum(-1)
            taken = (state, action, outcome)
        reward = self.reward[taken]
        if reward_normal is not None:
            reward = reward + self.reward_std * reward_normal
        return Step(self.next_state[taken], reward, self.terminated[taken])

    def sample_start(self, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
        """Start states by inverse CDF: uniforms in [0, 1), [N] -> states, [N]."""
        return np.searchsorted(self.cumulative_start, uniform, side="right").astype(np.int64)


def check_size(argument: str, states: int, actions: int) -> None:
    """Refuse a world whose tables would be too large, before they are built; each action has one outcome.

    Raises:
        ValueError: the message names the argument and the bytes.
    """
    size = states * actions * OUTCOME_BYTES
    if size > MAX_BYTES:
        raise ValueError(
            f"{argument}: {states:,} states with {actions:,} actions each would take {size:,} bytes as tables; "
            f"at most {MAX_BYTES:,} are allowed"
        )


def _table(name: str, values: ArrayLike, dtype: type[Scalar], dimensions: int) -> NDArray[Scalar]:
    """A read-only copy of an array, or a ValueError that says what is wrong with it."""
    given = np.asarray(values)
    if not np.can_cast(given.dtype, dtype, casting="safe"):
        raise ValueError(f"{name}: must hold {np.dtype(dtype).name} values, not {given.dtype.name}")
    if given.ndim != dimensions:
        raise ValueError(f"{name}: must have {dimensions} dimensions, but has shape {given.shape}")
    table = np.array(given, dtype=dtype)
    table.setflags(write=False)
    return table


def _check(mdp: FiniteMDP) -> None:
    shape = mdp.next_state.shape
    if 0 in shape:
        raise ValueError(f"next_state: needs at least one state, action and outcome, but has shape {shape}")
    for name in ("reward", "terminated", "probability"):
        if getattr(mdp, name).shape != shape:
            raise ValueError(f"{name}: must have the shape {shape} of next_state, not {getattr(mdp, name).shape}")
    if mdp.start.shape != shape[:1]:
        raise ValueError(
            f"start: must have one entry for each of {shape[0]} states, but has shape {mdp.start.shape}"
        )
    if mdp.next_state.min() < 0 or mdp.next_state.max() >= mdp.states:
        raise ValueError(f"next_state: must hold states from 0 to {mdp.states - 1}")
    if not np.isfinite(mdp.reward).all():
        raise ValueError("reward: must be finite")
    if not (isinstance(mdp.reward_std, (int, float)) and 0 <= mdp.reward_std < np.inf):
        raise ValueError(f"reward_std: must be a finite number of at least 0, not {mdp.reward_std!r}")
    for name in ("probability", "start"):
        distribution = getattr(mdp, name)
        if not ((distribution >= 0).all() and np.allclose(distribution.sum(-1), 1, rtol=0, atol=1e-9)):
            raise ValueError(f"{name}: must be non-negative and sum to 1 over the last axis")
    if mdp.drawing is not None:
        for name, rows in (("cells", mdp.states), ("action_vectors", mdp.actions)):
            found = getattr(mdp.drawing, name).shape
            if found != (rows, 2):
                raise ValueError(f"drawing.{name}: must have shape {(rows, 2)}, not {found}")


def _cumulative(distribution: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative sums, exactly 1 from the last possible outcome on, whatever the rounding of the sum."""
    possible_later = np.flip(np.cumsum(np.flip(distribution > 0, -1), -1), -1) - (distribution > 0) > 0
    cumulative = np.where(possible_later, np.minimum(distribution.cumsum(-1), 1.0), 1.0)
    cumulative.setflags(write=False)
    return cumulative
