"""Checks the rows of a training's tables: those of its runs and updates, each once and in order.

R: runs in the config's order, n: rows of a piece of a table.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.config.measures import RUN_MEASURES, Measure
from experiments.storage.stored_files import StoreError
from experiments.storage.stored_tables import COUNT, SLACK, TRUTH, Kind, arm_places, values
from experiments.training.records import Runs

Ints = NDArray[np.int64]

SEED = Kind("whole", 0, 2**63)
TIME = replace(COUNT, optional=True)


def kind_of(measure: Measure) -> Kind:
    """The kind of values in a column of the measure."""
    if measure.kind == "number":
        low, high = measure.bounds
        return Kind("number", low - SLACK, high + SLACK, optional=True)
    return TRUTH if measure.kind == "fraction" else TIME


RUN_KINDS = {
    "seed": SEED,
    "world": SEED,
    **{name: kind_of(measure) for name, measure in RUN_MEASURES.items()},
    "env_steps": COUNT,
    "episodes": COUNT,
    "failed": replace(TRUTH, optional=False),
    "failed_update": TIME,
}
# The columns that pictures and `play` need; every version has written them.
NEEDED = ("seed", "env_steps", "failed", "failed_update", "final_return", "first_success_env_step")


@contextmanager
def fitting(place: Path) -> Iterator[None]:
    """Turn a ValueError into a message that the content of this file does not fit."""
    try:
        yield
    except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"{place}: does not fit its config: {error}") from None


class UpdateRows:
    """Checks the rows of updates.parquet, piece by piece: update after update, in each the runs in their order.

    A run has no row after the last update that it made, or in which it failed.
    """

    def __init__(self, runs: Runs, updates: int) -> None:
        self._arms, self._runs, self._updates = list(dict.fromkeys(runs.arm)), runs, updates
        self._last = -1  # of the rows so far, numbered over all updates and runs
        self.rows = np.zeros(len(runs.arm), np.int64)  # [R] of each run, so far
        self.max_rows = len(self.rows) * updates
        self.columns = ("arm", *(["world"] if runs.is_family else []), "seed", "update")
        of_arm = len(runs.arm) // len(self._arms)
        self._worlds = np.unique([world or 0 for world in runs.world[:of_arm]])
        self._seeds = np.array(runs.seed[: of_arm // len(self._worlds)], np.int64)
        self._order = np.argsort(self._seeds)

    def take(self, batch: pa.RecordBatch) -> tuple[Ints, Ints]:
        """The run and the update of each row, [n] both.

        Raises:
            ValueError: a row belongs to no run or update of the config, is there twice, or is in the wrong place.
        """
        update = values(batch, "update", replace(COUNT, high=self._updates - 1)).astype(np.int64)
        run = arm_places(batch, self._arms)
        if self._runs.is_family:
            run = run * len(self._worlds) + _places(values(batch, "world", SEED), self._worlds, "worlds")
        seed = _places(values(batch, "seed", SEED), self._seeds[self._order], "seeds")
        run = run * len(self._seeds) + self._order[seed]
        number = update * len(self.rows) + run
        if len(number):
            if number[0] <= self._last or not (np.diff(number) > 0).all():
                raise ValueError("a row is there twice, or before an earlier one")
            self._last = int(number[-1])
        self.rows += np.bincount(run, minlength=len(self.rows))
        return run, update

    def check_complete(self, made: Ints) -> None:
        """Check that every run has a row for each of the updates that it made, [R].

        Raises:
            ValueError: there are too few or too many.
        """
        if not np.array_equal(self.rows, made):
            raise ValueError("rows of some runs are missing")


def _places(numbers: NDArray[Any], known: NDArray[np.int64], what: str) -> Ints:
    """Where numbers stand among those of the config, which are in order."""
    place = np.searchsorted(known, numbers) % len(known)
    if not np.array_equal(known[place], numbers):
        raise ValueError(f"there are other {what} than those of the config")
    return place
