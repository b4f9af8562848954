"""What the training loop hands out: a record an update, a table of runs at the end.

R: runs in the config's order (arms in their order, within an arm the seeds in theirs), T: time steps.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Column = NDArray[Any]
T = TypeVar("T", bound=np.generic)


class StepRecord(NamedTuple):
    """The lock-steps of one update."""

    live: NDArray[np.int64]  # [T, R] episodes of the run still running; 0: the run has no such step
    env_step: NDArray[np.int64]  # [T, R] the run's live steps so far, this lock-step's included
    entropy_nats: Array  # [T, R] mean over the live ones


class Snapshot(NamedTuple):
    """A finite world's policies and visits at one moment."""

    policy: Array  # [R, S, A]
    visits: Array  # [R, S] steps acted in each state since the start of training


class UpdateRecord(NamedTuple):
    """One update of every run. A row describes the policy that acted in it, before its gradient step."""

    update: int
    columns: dict[str, Column]  # [R] each, but start_policy [R, A]; the columns of updates.parquet
    active: NDArray[np.bool_]  # [R] False: the run failed in an earlier update and is frozen
    steps: StepRecord | None  # None: exact gradients take no steps
    snapshot: Snapshot | None  # only at the moments of `snapshot_updates`, only in finite worlds


class Runs(NamedTuple):
    """Which run stands at which place of the run axis."""

    arm: tuple[str, ...]
    seed: tuple[int, ...]

    @classmethod
    def of(cls, arms: Sequence[str], seeds: Sequence[int]) -> "Runs":
        return cls(tuple(arm for arm in arms for _ in seeds), tuple(seeds) * len(arms))


def snapshot_updates(updates: int, moments: int = 12) -> list[int]:
    """The first and the last update and moments spaced evenly in log(1 + update) between them."""
    spaced = np.expm1(np.linspace(0, np.log(updates), moments))
    return sorted({min(updates - 1, round(x)) for x in spaced})


def merged(parts: Sequence[UpdateRecord], places: Sequence[NDArray[np.int64]], runs: int) -> UpdateRecord:
    """One record of all runs out of records of some of them each.

    Args:
        parts: records of the same update.
        places: where each part's runs stand on the run axis.
        runs: R.
    """
    if len(parts) == 1 and len(places[0]) == runs and (np.diff(places[0]) == 1).all():
        return parts[0]
    first = parts[0]
    columns = {name: _scattered([part.columns[name] for part in parts], places, runs) for name in first.columns}
    active = _scattered([part.active for part in parts], places, runs)
    return UpdateRecord(
        first.update,
        columns,
        active,
        _merged_steps(parts, places, runs),
        _merged_snapshots([part.snapshot for part in parts], places, runs),
    )


class Stacked(NamedTuple):
    """Records of U updates in a row, laid end to end: a few large arrays pass between processes, not many small
    ones."""

    updates: list[int]
    columns: dict[str, Column]  # [U, R, ...]
    active: NDArray[np.bool_]  # [U, R]
    lengths: NDArray[np.int64]  # [U] lock-steps of each update
    steps: StepRecord | None  # [sum of lengths, R]
    snapshots: list[Snapshot | None]


def stacked(records: Sequence[UpdateRecord]) -> Stacked:
    """Records of the same runs, one or more."""
    steps = [record.steps for record in records if record.steps is not None]
    return Stacked(
        [record.update for record in records],
        {name: np.stack([record.columns[name] for record in records]) for name in records[0].columns},
        np.stack([record.active for record in records]),
        np.array([len(step.live) for step in steps]),
        StepRecord(*(np.concatenate(pieces) for pieces in zip(*steps, strict=True))) if steps else None,
        [record.snapshot for record in records],
    )


def merged_records(parts: Sequence[Stacked], places: Sequence[NDArray[np.int64]], runs: int) -> list[UpdateRecord]:
    """Records of all runs out of records of some of them each; the same updates in every part.

    Args:
        parts: of some runs each.
        places: where each part's runs stand on the run axis.
        runs: R.
    """
    first = parts[0]
    columns = {
        name: _scattered([part.columns[name] for part in parts], places, runs, axis=1) for name in first.columns
    }
    active = _scattered([part.active for part in parts], places, runs, axis=1)
    steps = _split_steps(parts, places, runs)
    return [
        UpdateRecord(
            update,
            {name: column[u] for name, column in columns.items()},
            active[u],
            steps[u],
            _merged_snapshots([part.snapshots[u] for part in parts], places, runs),
        )
        for u, update in enumerate(first.updates)
    ]


def _split_steps(
    parts: Sequence[Stacked], places: Sequence[NDArray[np.int64]], runs: int
) -> Sequence[StepRecord | None]:
    """The lock-steps of each update; one that is longer in some part than in another ends with 0 live there."""
    stepping = [(part, part.steps, place) for part, place in zip(parts, places, strict=True) if part.steps]
    if not stepping:
        return [None] * len(parts[0].updates)
    lengths = np.max([part.lengths for part, _, _ in stepping], axis=0)
    starts = np.cumsum(lengths) - lengths
    whole = _no_steps(int(lengths.sum()), runs)
    for part, steps, place in stepping:
        own_starts = np.cumsum(part.lengths) - part.lengths
        rows = np.arange(part.lengths.sum()) + np.repeat(starts - own_starts, part.lengths)
        for array, piece in zip(whole, steps, strict=True):
            array[rows[:, None], place] = piece
    live, env_step, entropy = whole
    return [
        StepRecord(live[a:b], env_step[a:b], entropy[a:b]) for a, b in zip(starts, starts + lengths, strict=True)
    ]


def _no_steps(number: int, runs: int) -> StepRecord:
    shape = number, runs
    return StepRecord(np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.full(shape, np.nan))


def _merged_steps(
    parts: Sequence[UpdateRecord], places: Sequence[NDArray[np.int64]], runs: int
) -> StepRecord | None:
    longest = max((len(part.steps.live) for part in parts if part.steps), default=0)
    if longest == 0:
        return None
    merged_steps = _no_steps(longest, runs)
    for part, place in zip(parts, places, strict=True):
        if part.steps is not None:
            for whole, piece in zip(merged_steps, part.steps, strict=True):
                whole[: len(piece), place] = piece
    return merged_steps


def _merged_snapshots(
    parts: Sequence[Snapshot | None], places: Sequence[NDArray[np.int64]], runs: int
) -> Snapshot | None:
    snapshots = [part for part in parts if part is not None]
    if not snapshots:
        return None
    return Snapshot(
        _scattered([snapshot.policy for snapshot in snapshots], places, runs),
        _scattered([snapshot.visits for snapshot in snapshots], places, runs),
    )


def _scattered(
    pieces: Sequence[NDArray[T]], places: Sequence[NDArray[np.int64]], runs: int, axis: int = 0
) -> NDArray[T]:
    # What is a truth value in one batch may be unknown (NaN) in another.
    shape = list(pieces[0].shape)
    shape[axis] = runs
    whole = np.empty(shape, dtype=np.result_type(*pieces))
    for piece, place in zip(pieces, places, strict=True):
        whole[(slice(None),) * axis + (place,)] = piece
    return whole
