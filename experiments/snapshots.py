"""Policies and visits of a finite world at some moments of training, kept for the report's slider.

M: moments, C: arms, S: states, A: actions. For every arm the mean over its seeds and one featured seed, the first
of the config: chosen before anything is known, so it may be a run like most or an odd one.
"""

from typing import NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from agents.information import entropy_of_weights
from experiments.records import Runs, Snapshot, UpdateRecord
from experiments.store import Position, RunFolder, StoreError

FILE = "snapshots.safetensors"
MEAN, FEATURED = 0, 1  # places on the second axis


class Snapshots(NamedTuple):
    """What the file holds."""

    update: NDArray[np.int64]  # [M]
    policy: NDArray[np.float32]  # [M, 2, C, S, A] of the mean run and of the featured one
    entropy: NDArray[np.float32]  # [M, 2, C, S] nats; the mean of the runs' entropies, not the mean run's
    visits: NDArray[np.float32]  # [M, 2, C, S] steps acted in each state since the start of training

    def moment(self, m: int) -> "Snapshots":
        """The m-th moment alone, M = 1."""
        at = slice(m, m + 1)
        return Snapshots(self.update[at], self.policy[at], self.entropy[at], self.visits[at])


class SnapshotSink:
    """Keeps the records' snapshots, of which there are a dozen, and writes them anew at each flush."""

    def __init__(self, folder: RunFolder, runs: Runs) -> None:
        self._folder, self._arms = folder, len(dict.fromkeys(runs.arm))
        self._moments: list[Snapshots] = []
        self._written = 0

    def write(self, record: UpdateRecord) -> None:
        if record.snapshot is not None:
            self._moments.append(_moment(record.update, record.snapshot, record.active, self._arms))

    def flush(self) -> Position:
        """Bring everything to disk."""
        if self._written < len(self._moments):
            parts = Snapshots(*(np.concatenate(arrays) for arrays in zip(*self._moments, strict=True)))
            self._folder.write(FILE, safetensors.numpy.save(parts._asdict()))
            self._written = len(self._moments)
        return {"moments": self._written}

    def restore(self, position: Position) -> None:
        """Forget what was written after the position."""
        self._written = int(position["moments"])
        found = read_snapshots(self._folder) if self._written else None
        if self._written and (found is None or len(found.update) < self._written):
            raise StoreError(f"{self._folder.path / FILE}: moments of the training are missing; use --overwrite")
        self._moments = [found.moment(m) for m in range(self._written)] if found else []


def read_snapshots(folder: RunFolder) -> Snapshots | None:
    """What a run folder has; None: its world has no table of states.

    Raises:
        StoreError: the file is damaged.
    """
    place = folder.path / FILE
    if not place.exists():
        return None
    folder.check(FILE)
    try:
        found = Snapshots(**safetensors.numpy.load(place.read_bytes()))
        moments, which, arms, states, _ = found.policy.shape
        shapes = {found.visits.shape, found.entropy.shape}
        if shapes != {(moments, which, arms, states)} or found.update.shape != (moments,) or which != 2:
            raise ValueError("its shapes do not fit together")
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise StoreError(f"{place}: cannot be read: {error}") from None
    return found


def _moment(update: int, snapshot: Snapshot, active: NDArray[np.bool_], arms: int) -> Snapshots:
    """A moment with M = 1. A failed run is left out of the mean; where all have failed it is missing."""
    weight = active.reshape(arms, -1).astype(float)

    def both(values: NDArray[np.float64]) -> NDArray[np.float32]:
        by_arm = values.reshape(*weight.shape, *values.shape[1:])
        total = np.einsum("cn,cn...->c...", weight, by_arm)
        shape = (arms, *[1] * (total.ndim - 1))
        number = weight.sum(1).reshape(shape)
        mean = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
        return np.stack([mean, by_arm[:, 0]])[None].astype(np.float32)

    entropy = entropy_of_weights(snapshot.policy)
    return Snapshots(np.array([update]), both(snapshot.policy), both(entropy), both(snapshot.visits))
