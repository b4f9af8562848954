"""What the training loop produces: blocks of updates, and a table of runs at the end.

R: runs in the config's order (arms; within an arm the worlds of a family, in theirs; within a world the seeds),
U: updates of a block, N: lock-steps of a block.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.config.schema import Config

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Column = NDArray[Any]
Each = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]  # `map`, or one by threads
T = TypeVar("T", bound=np.generic)


class Steps(NamedTuple):
    """The lock-steps of a block: run by run, within a run update by update, within an update in time.

    A run's environments step together; a lock-step is one step of all that are still running.
    """

    length: Ints  # [U, R] lock-steps of each update; 0: the run was not active
    live: Ints  # [N] episodes still running, at least one
    entropy_nats: Array  # [N] of the policy, mean over those

    @property
    def start(self) -> Ints:
        """Where the lock-steps of each update begin, [U, R]."""
        by_run = self.length.T
        return (by_run.cumsum() - by_run.ravel()).reshape(by_run.shape).T

    @property
    def t(self) -> Ints:
        """Number of each lock-step within its update, from 0, [N]."""
        return np.arange(len(self.live)) - np.repeat(self.start.T, self.length.T.ravel())

    def taken(self) -> tuple[Ints, Ints]:
        """Environment steps up to and including each lock-step, counted over the whole block, with a 0 before the
        first ([N + 1]); and those of each update, [U, R]."""
        total = np.concatenate([[0], np.cumsum(self.live)])
        return total, total[self.start + self.length] - total[self.start]


class Snapshot(NamedTuple):
    """A finite world's policies and visits at one moment."""

    policy: Array  # [R, S, A] the one that acts in the update; of a run that rests, the one that acted last
    visits: Array  # [R, S] steps acted in each state since the start of training


class Records(NamedTuple):
    """A block of updates of every run. A row describes the policy that acted in it, before its gradient step."""

    first: int  # the number of its first update
    columns: dict[str, Column]  # [U, R] each, but start_policy [U, R, A]; the columns of updates.parquet
    active: Mask  # [U, R] False: the run failed in an earlier update and is frozen, or it rests
    resting: Mask  # [U, R] True: the run made all of its updates before, without failing
    steps: Steps | None  # None: exact gradients take no steps
    snapshots: dict[int, Snapshot]  # of `snapshot_updates` among its updates, only in finite worlds

    @property
    def end(self) -> int:
        """The number of updates done when it ends."""
        return self.first + len(self.active)

    @property
    def updates(self) -> Ints:
        """The numbers of its updates, [U]."""
        return np.arange(self.first, self.end)

    @property
    def env_step(self) -> Ints:
        """At each lock-step, the run's environment steps so far, including this lock-step, [N]."""
        assert self.steps is not None
        total, taken = self.steps.taken()
        before = self.columns["env_steps"][0] - taken[0] - total[self.steps.start[0]]
        return total[1:] + np.repeat(before, self.steps.length.sum(0))


class Runs(NamedTuple):
    """Which run has which place on the run axis."""

    arm: tuple[str, ...]
    seed: tuple[int, ...]
    world: tuple[int | None, ...]  # None: not a family

    @classmethod
    def of(cls, arms: Sequence[str], seeds: Sequence[int], worlds: Sequence[int | None] = (None,)) -> "Runs":
        found = [(arm, seed, world) for arm in arms for world in worlds for seed in seeds]
        return cls(*map(tuple, zip(*found, strict=True)))

    @property
    def is_family(self) -> bool:
        return self.world[0] is not None

    @property
    def of_first_world(self) -> Ints:
        """Places of the runs in the first world, which pictures show, and which have snapshots."""
        return np.array([place for place, world in enumerate(self.world) if world == self.world[0]])

    def paths(self) -> list[str]:
        """Each run's place among files: "<arm>/seed_<k>", or "<arm>/world_<w>/seed_<k>"."""
        return [f"{arm}/{member_path(seed, world)}" for arm, seed, world in zip(*self, strict=True)]


def runs_of(config: Config) -> Runs:
    """All runs of a config."""
    return Runs.of(list(config.arms), config.training.seed_list, config.environment.world_list)


def member_path(seed: int, world: int | None) -> str:
    """The name of a run within its arm."""
    return f"seed_{seed}" if world is None else f"world_{world}/seed_{seed}"


def snapshot_updates(updates: int, moments: int = 21) -> list[int]:
    """The first and the last update and moments spaced evenly between them."""
    return sorted({round(x) for x in np.linspace(0, updates - 1, moments)})


def merged(parts: Sequence[Records], places: Sequence[Ints], runs: int) -> Records:
    """The same updates of all runs out of those of some of them each.

    Args:
        parts: blocks of the same updates.
        places: where each part's runs stand on the run axis.
        runs: R.
    """
    if len(parts) == 1 and np.array_equal(places[0], np.arange(runs)):
        return parts[0]
    first = parts[0]
    snapshots = {
        update: _merged_snapshots([part.snapshots.get(update) for part in parts], places, runs)
        for update in sorted({update for part in parts for update in part.snapshots})
    }
    return Records(
        first.first,
        {name: scattered([part.columns[name] for part in parts], places, axis=1) for name in first.columns},
        scattered([part.active for part in parts], places, axis=1),
        scattered([part.resting for part in parts], places, axis=1),
        _assembled(
            [part.steps for part in parts], [np.s_[:, place] for place in places], (len(first.active), runs)
        ),
        snapshots,
    )


def joined(parts: Sequence[Records]) -> Records:
    """One block of all updates of some blocks that follow each other."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    slots = [np.s_[part.first - first.first : part.end - first.first] for part in parts]
    active = np.concatenate([part.active for part in parts])
    return Records(
        first.first,
        {name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns},
        active,
        np.concatenate([part.resting for part in parts]),
        _assembled([part.steps for part in parts], slots, active.shape),
        {update: snapshot for part in parts for update, snapshot in part.snapshots.items()},
    )


def _assembled(parts: Sequence[Steps | None], slots: Sequence[Any], shape: tuple[int, ...]) -> Steps | None:
    """The lock-steps of a block out of those of parts of it.

    Args:
        parts: None for runs that take no steps.
        slots: what picks each part's updates and runs out of [U, R].
        shape: of the block, U and R.
    """
    given = [(part, slot) for part, slot in zip(parts, slots, strict=True) if part is not None]
    if not given:
        return None
    length = np.zeros(shape, np.int64)
    for part, slot in given:
        length[slot] = part.length
    whole = Steps(length, np.empty(length.sum(), np.int64), np.empty(length.sum()))
    start = whole.start
    for part, slot in given:
        moved = (start[slot] - part.start).T.ravel()
        place = np.arange(len(part.live)) + np.repeat(moved, part.length.T.ravel())
        whole.live[place], whole.entropy_nats[place] = part.live, part.entropy_nats
    return whole


def _merged_snapshots(parts: Sequence[Snapshot | None], places: Sequence[Ints], runs: int) -> Snapshot:
    """Not a number for the runs that have none: those in other worlds than the first."""
    given = [(part, place) for part, place in zip(parts, places, strict=True) if part is not None]
    whole = Snapshot(*(np.full((runs, *array.shape[1:]), np.nan) for array in given[0][0]))
    for part, place in given:
        for array, piece in zip(whole, part, strict=True):
            array[place] = piece
    return whole


def scattered(pieces: Sequence[NDArray[T]], places: Sequence[Ints], axis: int = 0) -> NDArray[T]:
    """Pieces of an array put in their places on an axis, which they fill."""
    # What is a truth value in one batch may be unknown (NaN) in another.
    shape = list(pieces[0].shape)
    shape[axis] = sum(map(len, places))
    whole = np.empty(shape, dtype=np.result_type(*pieces))
    for piece, place in zip(pieces, places, strict=True):
        whole[(slice(None),) * axis + (place,)] = piece
    return whole
