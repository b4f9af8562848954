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
        _merged_snapshots(parts, places, runs),
    )


def _merged_steps(
    parts: Sequence[UpdateRecord], places: Sequence[NDArray[np.int64]], runs: int
) -> StepRecord | None:
    longest = max((len(part.steps.live) for part in parts if part.steps), default=0)
    if longest == 0:
        return None
    merged_steps = StepRecord(
        np.zeros((longest, runs), np.int64),
        np.zeros((longest, runs), np.int64),
        np.full((longest, runs), np.nan),
    )
    for part, place in zip(parts, places, strict=True):
        if part.steps is not None:
            for whole, piece in zip(merged_steps, part.steps, strict=True):
                whole[: len(piece), place] = piece
    return merged_steps


def _merged_snapshots(
    parts: Sequence[UpdateRecord], places: Sequence[NDArray[np.int64]], runs: int
) -> Snapshot | None:
    snapshots = [part.snapshot for part in parts if part.snapshot is not None]
    if not snapshots:
        return None
    return Snapshot(
        _scattered([snapshot.policy for snapshot in snapshots], places, runs),
        _scattered([snapshot.visits for snapshot in snapshots], places, runs),
    )


def _scattered(pieces: Sequence[NDArray[T]], places: Sequence[NDArray[np.int64]], runs: int) -> NDArray[T]:
    # What is a truth value in one batch may be unknown (NaN) in another.
    whole = np.empty((runs, *pieces[0].shape[1:]), dtype=np.result_type(*pieces))
    for piece, place in zip(pieces, places, strict=True):
        whole[place] = piece
    return whole
