"""Records as Arrow tables: the columns of updates.parquet, steps.parquet and runs.parquet."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.config.measures import MEASURES, RUN_MEASURES, UPDATE_MEASURES
from experiments.training.records import Column, Records, Runs

# Columns of truth values and of times, in which a missing value is null.
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


WORLD = pa.field("world", pa.int64())  # a column of families, after the arm


def step_schema(runs: Runs) -> pa.Schema:
    """The columns of steps.parquet."""
    return STEP_SCHEMA.insert(1, WORLD) if runs.is_family else STEP_SCHEMA


def update_table(records: Records, runs: Runs) -> pa.Table:
    """A row per update and run, in this order; a run has no row after the last update that it made, or in which it
    failed."""
    update, place = np.nonzero(records.active)
    columns = {name: column[update, place] for name, column in records.columns.items()}
    return _table(runs, place, {"update": records.first + update, **columns})


def step_table(records: Records, runs: Runs, every: int = 1) -> pa.Table:
    """A row per update, run and lock-step, in this order; `every` k keeps the k-th lock-steps of each update
    only."""
    steps = records.steps
    if steps is None:
        return described(step_schema(runs).empty_table())
    length = steps.length.ravel()
    update, place = np.indices(steps.length.shape).reshape(2, -1).repeat(length, axis=1)
    t = np.arange(length.sum()) - (np.cumsum(length) - length).repeat(length)
    row = steps.start.ravel().repeat(length) + t
    update, place, t, row = (column[t % every == 0] for column in (update, place, t, row))
    columns = {
        "env_step": records.env_step[row],
        "update": records.first + update,
        "t": t,
        "live": steps.live[row],
        "entropy_nats": steps.entropy_nats[row],
    }
    return _table(runs, place, columns)


def run_table(columns: Mapping[str, Column], runs: Runs) -> pa.Table:
    """A row per run; the times of events that never happened (-1) are null."""
    table = _table(runs, np.arange(len(runs.arm)), dict(columns))
    for name in (*TIMES, "failed_update"):
        values = np.asarray(columns[name])
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), pa.array(values, mask=values < 0))
    return table


def _table(runs: Runs, place: NDArray[np.generic], columns: Mapping[str, Column]) -> pa.Table:
    names = list(dict.fromkeys(runs.arm))
    codes = np.array([names.index(arm) for arm in runs.arm], np.int32)[place]
    arrays = {
        "arm": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names)),
        **({"world": pa.array(np.array(runs.world)[place])} if runs.is_family else {}),
        "seed": pa.array(np.array(runs.seed)[place]),
        **{name: _array(name, column) for name, column in columns.items()},
    }
    return described(pa.table(arrays))


def described(table: pa.Table) -> pa.Table:
    """The table with label, meaning and unit, where there is one, of each measure as metadata of its field."""
    return pa.Table.from_arrays(table.columns, schema=pa.schema([_described(field) for field in table.schema]))


def _described(field: pa.Field) -> pa.Field:
    measure = UPDATE_MEASURES.get(field.name) or RUN_MEASURES.get(field.name)
    if measure is None:
        return field
    about = {"label": measure.label, "meaning": measure.meaning, "unit": measure.unit}
    return field.with_metadata({key: text for key, text in about.items() if text})


def _array(name: str, column: Column) -> pa.Array:
    if name in TRUTHS:
        return pa.array(column > 0, mask=np.isnan(column.astype(float)))
    if column.ndim == 1:
        return pa.array(column)
    offsets = np.arange(0, column.size + 1, column.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(column).ravel()))
