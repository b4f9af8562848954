"""What follows from the columns of the updates alone: counts, first times, sums, and means over the last updates.

It is computed once per block, with array operations, in the same way for every kind of world. How updates are
divided into blocks changes no number, because sums over time add one update after another.

R: runs, U: updates of a block, W: updates over which final values are means.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.config.measures import FINAL, UPDATE_MEASURES
from experiments.training import exploration
from experiments.training.records import Column, Records, Snapshot, Steps

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Facts(NamedTuple):
    """What is known about the runs of a batch before they begin."""

    episodes: int  # per update and run; 0 with exact gradients
    actions: int
    solved_return: float | None
    optimal_return: float  # expected, undiscounted; NaN: unknown

    @property
    def tell_success(self) -> bool:
        """Whether a single episode can be a success."""
        return self.solved_return is not None and self.episodes > 0


class Progress(NamedTuple):
    """Counts and sums over training, for each run."""

    env_steps: Ints  # [R]
    episodes: Ints  # [R]
    first_success: Ints  # [R] env_step; -1: none so far
    first_optimal: Ints  # [R] update; -1: none so far
    collapsed_since: Ints  # [R] update; -1: the entropy is not collapsed
    regret: Array  # [R] summed over updates
    recent: Array  # [len(FINAL), W, R] columns of the last W updates; update u at place u mod W

    @classmethod
    def start(cls, runs: int, updates: int) -> "Progress":
        """The progress before a training of `updates` updates."""
        none, never = np.zeros(runs, np.int64), np.full(runs, -1, np.int64)
        recent = np.full((len(FINAL), exploration.window(updates), runs), np.nan)
        return cls(none, none, never, never, never, np.zeros(runs), recent)

    def final_means(self, updates: Ints) -> dict[str, Array]:
        """The columns of `FINAL`, [R] each: means over the last 5 % of the updates that a run has made, [R]."""
        place = np.arange(self.recent.shape[1])[:, None]
        age = (updates - 1 - place) % len(place)  # 0: of the last update
        kept = age < [exploration.window(made) for made in updates.tolist()]
        return {name: exploration.mean_over_kept(r, kept) for name, r in zip(FINAL, self.recent, strict=True)}


def resting(
    progress: Progress, healthy: Mask, first: int, updates: int, facts: Facts, snapshots: dict[int, Snapshot]
) -> Records:
    """A block of updates in which no run moves any more, because all have made their updates or failed.

    Args:
        progress: what the runs have come to.
        healthy: [R] False: the run failed, so that it does not rest.
        first: the number of its first update.
        updates: U.
        facts: the facts about the runs.
        snapshots: those of its updates.
    """
    shape = updates, len(progress.env_steps)
    unknown: dict[str, Column] = dict.fromkeys(UPDATE_MEASURES, np.full(shape, math.nan))
    counts = {"env_steps": progress.env_steps, "episodes": progress.episodes}
    columns = unknown | {name: np.tile(count, (updates, 1)) for name, count in counts.items()}
    columns["start_policy"] = np.full((*shape, facts.actions), math.nan)
    none = Steps(np.zeros(shape, np.int64), np.empty(0, np.int64), np.empty(0)) if facts.episodes else None
    return Records(first, columns, np.zeros(shape, bool), np.tile(healthy, (updates, 1)), none, snapshots)


def completed(progress: Progress, measured: Records, facts: Facts) -> tuple[Progress, Records]:
    """The progress after a block, and the block with all columns of updates.parquet.

    Args:
        progress: the progress before it.
        measured: the block with the columns that were measured, and `success_step`: the lock-step of each update
            at which the first successful episode ended, -1 where there was none.
        facts: the facts about the runs.
    """
    unknown = dict.fromkeys(UPDATE_MEASURES, np.full(measured.active.shape, math.nan))
    columns = unknown | measured.columns | _translated(measured.columns, facts)
    success_step = columns.pop("success_step")
    success = measured.active & (success_step >= 0)
    episodes = progress.episodes + facts.episodes * np.cumsum(measured.active, axis=0)
    env_steps, first_success = _steps_taken(progress, measured, success, success_step)
    shortfall = np.where(measured.active, facts.optimal_return - columns["return_mean"], 0.0)
    regret = np.cumsum(np.concatenate([progress.regret[None], shortfall]), axis=0)[1:]
    succeeded = (progress.first_success >= 0) | np.logical_or.accumulate(success, axis=0)
    columns |= {
        "env_steps": env_steps,
        "episodes": episodes,
        "succeeded": np.where(facts.tell_success, succeeded, np.nan),
        "solved": np.where(
            measured.active, _solved(progress, columns["return_mean"], measured.first, facts.solved_return), np.nan
        ),
        "regret": regret / (measured.updates + 1)[:, None],
    }
    mostly_optimal = measured.active & (columns["optimal_action_probability"] > 0.5)
    after = Progress(
        env_steps[-1],
        episodes[-1],
        first_success,
        _first_time(progress.first_optimal, mostly_optimal, measured.first),
        exploration.entropy_collapse(
            progress.collapsed_since, columns["entropy_bits"], measured.first, measured.active
        ),
        regret[-1],
        _recent(progress.recent, measured, columns),
    )
    return after, measured._replace(columns=columns)


def _translated(columns: Mapping[str, Column], facts: Facts) -> dict[str, Array]:
    """Measured columns in other units."""
    nats = columns["entropy_nats"]
    return {
        "entropy_bits": nats / math.log(2),
        "effective_actions": np.exp(nats),
        "kl_to_uniform": math.log(facts.actions) - nats,
    }


def _steps_taken(progress: Progress, measured: Records, success: Mask, success_step: Ints) -> tuple[Ints, Ints]:
    """Environment steps at the end of each update, [U, R], and at the first success, [R]; -1: none so far."""
    if measured.steps is None:
        return np.tile(progress.env_steps, (len(measured.active), 1)), progress.first_success
    total, taken = measured.steps.taken()
    env_steps = progress.env_steps + np.cumsum(taken, axis=0)
    new = np.flatnonzero((progress.first_success < 0) & success.any(0))
    at = success.argmax(0)[new], new
    start = measured.steps.start[at]
    first_success = progress.first_success.copy()
    first_success[new] = (env_steps - taken)[at] + total[start + success_step[at] + 1] - total[start]
    return env_steps, first_success


def _first_time(so_far: Ints, happens: Mask, first: int) -> Ints:
    """The update in which something happened for the first time, [R]; -1: in none so far."""
    return np.where((so_far < 0) & happens.any(0), first + happens.argmax(0), so_far)


def _solved(progress: Progress, returns: Array, first: int, solved_return: float | None) -> Array:
    """Whether the mean return of the last W updates, or of all so far, reaches the level, [U, R]."""
    recent = progress.recent[list(FINAL).index("final_return")]
    earlier = np.roll(recent, -first, axis=0)[1:]  # the oldest first
    return exploration.reaches(
        exploration.trailing_means(np.concatenate([earlier, returns]), len(recent)), solved_return
    )


def _recent(recent: Array, measured: Records, columns: Mapping[str, Column]) -> Array:
    """The last W updates of every run in which it was active, each at its place."""
    window, made = recent.shape[1], measured.active.sum(0)
    row = made - 1 - np.arange(window)[:, None]  # [W, R]
    age, run = np.nonzero(row >= 0)
    row, after = row[age, run], recent.copy()
    after[:, (measured.first + row) % window, run] = [columns[name][row, run] for name in FINAL.values()]
    return after
