"""Records as Arrow tables: the columns of updates.parquet, steps.parquet and runs.parquet."""

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.config.measures import MEASURES, RUN_MEASURES, UPDATE_MEASURES
from experiments.storage.arrow_arrays import of_numbers, of_texts
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
        ("entropy_bits", pa.float64()),
    ]
)
# What columns mean that are no measures, and their unit.
KEYS = {
    "arm": ("the variant that was trained", ""),
    "world": ("number of the world in its family", ""),
    "seed": ("from which the random numbers of the run follow", ""),
    "update": ("number of the gradient step, from 0; the row describes the policy that acted before it", ""),
    "failed_update": ("the update in which the run's numbers were no longer finite", ""),
    "start_policy": ("probabilities of the actions at the start", ""),
}
# What they mean in steps.parquet.
STEPS = KEYS | {
    "env_step": ("environment steps of the run so far, with those of this row", "steps"),
    "t": ("step of the episodes, from 0", "steps"),
    "live": ("episodes that take this step together", ""),
    "entropy_nats": ("entropy of the policy, mean over the episodes that take this step", "nats"),
    "entropy_bits": ("entropy of the policy, mean over the episodes that take this step", "bits"),
}

WORLD = pa.field("world", pa.int64())  # a column of families, after the arm


def step_schema(runs: Runs) -> pa.Schema:
    """The columns of steps.parquet, with what they mean."""
    return _described(STEP_SCHEMA.insert(1, WORLD) if runs.is_family else STEP_SCHEMA, STEPS)


def update_table(records: Records, runs: Runs) -> pa.Table:
    """A row per update and run, in this order; a run has no row after the last update that it made, or in which it
    failed."""
    update, place = np.nonzero(records.active)
    columns = {name: column[update, place] for name, column in records.columns.items()}
    return _table(runs, place, {"update": records.first + update, **columns})


def step_table(records: Records, runs: Runs, every: int = 1) -> pa.Table:
    """A row per update, run and lock-step, in this order; `every` k keeps the k-th lock-steps of each update
    only, 0 none."""
    steps = records.steps
    if steps is None or every == 0:
        return step_schema(runs).empty_table()
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
        "entropy_bits": steps.entropy_nats[row] / math.log(2),
    }
    return _table(runs, place, columns, STEPS)


def run_table(columns: Mapping[str, Column], runs: Runs) -> pa.Table:
    """A row per run; the times of events that never happened (-1) are null."""
    table = _table(runs, np.arange(len(runs.arm)), dict(columns))
    for name in (*TIMES, "failed_update"):
        values = np.asarray(columns[name])
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), of_numbers(values, missing=values < 0))
    return table


def _table(
    runs: Runs,
    place: NDArray[np.generic],
    columns: Mapping[str, Column],
    own: Mapping[str, tuple[str, str]] = KEYS,
) -> pa.Table:
    names = list(dict.fromkeys(runs.arm))
    codes = np.array([names.index(arm) for arm in runs.arm], np.int32)[place]
    arrays = {
        "arm": pa.DictionaryArray.from_arrays(of_numbers(codes), of_texts(names)),
        **({"world": of_numbers(np.array(runs.world)[place])} if runs.is_family else {}),
        "seed": of_numbers(np.array(runs.seed)[place]),
        **{name: _array(name, column) for name, column in columns.items()},
    }
    table = pa.table(arrays)
    return pa.Table.from_arrays(table.columns, schema=_described(table.schema, own))


def _described(schema: pa.Schema, own: Mapping[str, tuple[str, str]]) -> pa.Schema:
    """The columns with meaning, unit and label of each, if it has them, as metadata of its field."""
    return pa.schema([_with_meaning(each, own) for each in schema])


def _with_meaning(field: pa.Field, own: Mapping[str, tuple[str, str]]) -> pa.Field:
    measure = UPDATE_MEASURES.get(field.name) or RUN_MEASURES.get(field.name)
    label = ""
    if field.name in own:
        meaning, unit = own[field.name]
    elif measure is not None:
        meaning, unit, label = measure.meaning, measure.unit, measure.label
    else:
        return field
    about = {"label": label, "meaning": meaning, "unit": unit}
    return field.with_metadata({key: text for key, text in about.items() if text})


def _array(name: str, column: Column) -> pa.Array:
    if name in TRUTHS:
        return of_numbers(column > 0, missing=np.isnan(column.astype(float)))
    if column.ndim == 1:
        return of_numbers(column)
    offsets = np.arange(0, column.size + 1, column.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(of_numbers(offsets), of_numbers(column.ravel()))
