"""Records as Arrow tables: the columns of updates.parquet, steps.parquet and runs.parquet."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.config.measures import MEASURES
from experiments.training.records import Column, Runs, UpdateRecord

# Columns of truth values and of times; where one is missing it is null.
TRUTHS = frozenset(name for name, measure in MEASURES.items() if measure.kind == "fraction")
TIMES = tuple(name for name, measure in MEASURES.items() if measure.kind == "time")

STEP_SCHEMA = pa.schema(
    [
        ("arm", pa.dictionary(pa.int32(), pa.string())),
        ("seed", pa.int64()),
        ("env_step", pa.int64()),
        ("update", pa.int64()),
        ("t", pa.int64()),
        ("live", pa.int64()),
        ("entropy_nats", pa.float64()),
    ]
)


def update_table(records: Sequence[UpdateRecord], runs: Runs) -> pa.Table:
    """A row per run and update, in that order in time; a frozen run has no row after the update it failed in."""
    active = np.concatenate([record.active for record in records])
    place = np.tile(np.arange(len(runs.arm)), len(records))[active]
    update = np.repeat([record.update for record in records], len(runs.arm))[active]
    columns = {
        name: np.concatenate([record.columns[name] for record in records])[active] for name in records[0].columns
    }
    return _table(runs, place, {"update": update, **columns})


def step_table(records: Sequence[UpdateRecord], runs: Runs, every: int = 1) -> pa.Table:
    """A row per lock-step of a run; with `every` k, each k-th lock-step of each run's update."""
    parts = [_step_columns(record, every) for record in records if record.steps is not None]
    if not parts:
        return STEP_SCHEMA.empty_table()
    place, *columns = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
    names = ("env_step", "update", "t", "live", "entropy_nats")
    return _table(runs, place, dict(zip(names, columns, strict=True)))


def _step_columns(record: UpdateRecord, every: int) -> tuple[NDArray[np.generic], ...]:
    steps = record.steps
    assert steps is not None
    t, place = np.nonzero(steps.live[::every])
    t *= every
    at = (t, place)
    return place, steps.env_step[at], np.full(len(t), record.update), t, steps.live[at], steps.entropy_nats[at]


def run_table(columns: Mapping[str, Column], runs: Runs) -> pa.Table:
    """A row per run; times that never came (-1) are null."""
    table = _table(runs, np.arange(len(runs.arm)), dict(columns))
    for name in (*TIMES, "failed_update"):
        values = np.asarray(columns[name])
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, pa.array(values, mask=values < 0))
    return table


def _table(runs: Runs, place: NDArray[np.generic], columns: Mapping[str, Column]) -> pa.Table:
    names = list(dict.fromkeys(runs.arm))
    codes = np.array([names.index(arm) for arm in runs.arm], np.int32)[place]
    arrays = {
        "arm": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names)),
        "seed": pa.array(np.array(runs.seed)[place]),
        **{name: _array(name, column) for name, column in columns.items()},
    }
    return pa.table(arrays)


def _array(name: str, column: Column) -> pa.Array:
    if name in TRUTHS:
        return pa.array(column > 0, mask=np.isnan(column.astype(float)))
    if column.ndim == 1:
        return pa.array(column)
    offsets = np.arange(0, column.size + 1, column.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(column).ravel()))
