"""Policies and visits in a finite world at some moments of training, for the slider of the report.

M: moments, C: arms, S: states, A: actions. For every arm the file has the mean over its seeds and one featured
seed, the first of the config (in a family, in its first world). That seed is chosen before anything is known, so
it may or may not be typical.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from agents.information import entropy_of_weights
from experiments.storage.run_folder import Position, RunFolder
from experiments.storage.stored_arrays import arrays_of
from experiments.storage.stored_files import StoreError, content
from experiments.training.records import Records, Runs, Snapshot

FILE = "snapshots.safetensors"
MAX_BYTES, HEADER = 1 << 30, 1 << 12  # the most that is kept, and what a file adds to it
SLACK = 1e-5  # rounding of numbers in single precision
MEAN, FEATURED = 0, 1  # places on the second axis


class Snapshots(NamedTuple):
    """The content of the file."""

    update: NDArray[np.int64]  # [M]
    policy: NDArray[np.float32]  # [M, 2, C, S, A] the mean over seeds, the featured seed
    entropy: NDArray[np.float32]  # [M, 2, C, S] nats; the mean of entropies, not the entropy of the mean
    visits: NDArray[np.float32]  # [M, 2, C, S] steps acted in each state since the start of training

    def moment(self, m: int) -> "Snapshots":
        """The m-th moment alone, M = 1."""
        at = slice(m, m + 1)
        return Snapshots(self.update[at], self.policy[at], self.entropy[at], self.visits[at])


class SnapshotSink:
    """Collects the dozen snapshots of a training, and writes all of them at each flush; the first of them, where
    all would be more than MAX_BYTES.

    Args:
        folder: the run folder.
        runs: which run is where on the run axis.
        updates: the number of updates of the training.
        tables: the numbers of states and actions of its world; None: it has no tables, and no snapshots.
    """

    def __init__(self, folder: RunFolder, runs: Runs, updates: int, tables: tuple[int, int] | None) -> None:
        self._folder, self._arms, self._shown = folder, len(dict.fromkeys(runs.arm)), runs.of_first_world
        self._updates, self._tables = updates, tables
        self._moments: list[Snapshots] = []
        self._written = 0

    def write(self, records: Records) -> None:
        for update, snapshot in records.snapshots.items():
            there = (records.active | records.resting)[update - records.first, self._shown]
            shown = Snapshot(*(array[self._shown] for array in snapshot))
            moment = _moment(update, shown, there, self._arms)
            if (len(self._moments) + 1) * sum(array.nbytes for array in moment) <= MAX_BYTES:
                self._moments.append(moment)

    def flush(self) -> Position:
        """Write everything to disk."""
        if self._written < len(self._moments):
            parts = Snapshots(*(np.concatenate(arrays) for arrays in zip(*self._moments, strict=True)))
            self._folder.write(FILE, safetensors.numpy.save(parts._asdict()))
            self._written = len(self._moments)
        return {"moments": self._written}

    def restore(self, position: Position) -> None:
        """Drop everything written after the position.

        Raises:
            StoreError: what was written before it is missing, damaged or belongs to another training.
        """
        place, self._written, self._moments = self._folder.path / FILE, int(position["moments"]), []
        if not self._written:
            return
        found = read_snapshots(self._folder)
        if found is None or self._tables is None or len(found.update) < self._written:
            raise StoreError(f"{place}: moments of the training are missing; use --overwrite")
        check_fits(found, place, self._updates, (self._arms, *self._tables))
        self._moments = [found.moment(m) for m in range(self._written)]


def read_snapshots(folder: RunFolder) -> Snapshots | None:
    """The snapshots of a run folder; None: its world has no table of states.

    Raises:
        StoreError: the file is damaged.
    """
    place = folder.path / FILE
    if not place.exists():
        return None
    folder.check(FILE)
    try:
        found = Snapshots(**arrays_of(content(place, MAX_BYTES + HEADER)))
        _check_shapes(found)
        _check_values(found)
    except (ValueError, TypeError) as error:
        raise StoreError(f"{place}: cannot be read: {error}") from None
    return found


def check_fits(found: Snapshots, place: Path, updates: int, shape: tuple[int, ...]) -> None:
    """Check that snapshots belong to a training.

    Args:
        found: the snapshots of a folder.
        place: their file.
        updates: the number of updates of the training.
        shape: the number of arms and, where they are known, of the world's states and actions.
    Raises:
        StoreError: they belong to another training.
    """
    first, last = found.update[[0, -1]]  # the moments in between differ from version to version
    if found.policy.shape[2 : 2 + len(shape)] != shape or not 0 <= first <= last < updates:
        raise StoreError(f"{place}: holds moments of another training or world")


def _check_shapes(found: Snapshots) -> None:
    moments, which, arms, states, actions = found.policy.shape
    shapes = {found.visits.shape, found.entropy.shape}
    if shapes != {(moments, which, arms, states)} or found.update.shape != (moments,) or which != 2:
        raise ValueError("its shapes do not fit together")
    if 0 in (moments, arms, states, actions):
        raise ValueError("it is empty")
    if found.update.dtype.kind != "i" or {array.dtype.kind for array in found[1:]} != {"f"}:
        raise ValueError("its types are not those of updates and probabilities")


def _check_values(found: Snapshots) -> None:
    """Check the ranges; NaN is allowed, for moments at which all runs of an arm have failed."""
    ends = {"policy": 1.0, "entropy": np.log(found.policy.shape[-1]), "visits": np.inf}
    if (np.diff(found.update) <= 0).any() or any(
        (getattr(found, name) < -SLACK).any() or (getattr(found, name) > end + SLACK).any()
        for name, end in ends.items()
    ):
        raise ValueError("it holds values that no training can produce")


def _moment(update: int, snapshot: Snapshot, there: NDArray[np.bool_], arms: int) -> Snapshots:
    """A moment, M = 1. Failed runs are left out of the mean, which is NaN where all have failed."""
    weight = there.reshape(arms, -1).astype(float)

    def both(values: NDArray[np.float64]) -> NDArray[np.float32]:
        by_arm = values.reshape(*weight.shape, *values.shape[1:])
        total = np.einsum("cn,cn...->c...", weight, by_arm)
        shape = (arms, *[1] * (total.ndim - 1))
        number = weight.sum(1).reshape(shape)
        mean = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
        return np.stack([mean, by_arm[:, 0]])[None].astype(np.float32)

    entropy = entropy_of_weights(snapshot.policy)
    return Snapshots(np.array([update]), both(snapshot.policy), both(entropy), both(snapshot.visits))
