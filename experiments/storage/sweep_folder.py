"""The folder of a sweep: a table per finished cell, one table of all runs, and for a tuning what came out.

    sweep.toml            the sweep
    cells/<digest>.parquet    the runs of a cell at their end, as in runs.parquet of a training
    runs.parquet          all of them, with the cell's number and settings before each run
    judged/               the run folder of the comparison after a tuning
    summary.json          what was trained, and what the arms came to in each setting, or chose and were judged by
    report.html           a page of it

A cell is named after its config and the sources that training depends on: what has its table is finished.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.config.schema import Config
from experiments.config.sweeps import Cell
from experiments.storage import sources
from experiments.storage.descriptions import origin, stamped
from experiments.storage.owned_folder import OwnedFolder
from experiments.storage.run_folder import config_text, parquet_bytes, parquet_options
from experiments.storage.stored_files import StoreError
from experiments.storage.stored_tables import BATCH, read_batches, schema_of

SWEEP = "experiments.sweep"
SWEEP_FILE, RUNS, SUMMARY, PAGE = "sweep.toml", "runs.parquet", "summary.json", "report.html"
CELLS, JUDGED = "cells", "judged"
ABOUT = b"cell"  # what the schema of a cell's table carries


class Finished(NamedTuple):
    """A cell that has been trained."""

    runs: pa.Table
    env_steps: int
    seconds: float  # of one process


class SweepFolder(OwnedFolder):
    """`runs/<name>` of a sweep."""

    KIND = "sweep"
    OWN = re.compile(rf"sweep\.toml|runs\.parquet|summary\.json|report\.html|{CELLS}/[0-9a-f]{{16}}\.parquet")
    FOLDERS = (CELLS,)

    def write_cell(self, config: Config, found: Finished) -> None:
        """Keep what a cell came to."""
        about = json.dumps({"env_steps": found.env_steps, "seconds": found.seconds})
        table = found.runs.replace_schema_metadata({ABOUT: about})
        self.write(_name(config), parquet_bytes(stamped(table, origin(config_text(config)))))

    def write_runs(self, cells: Sequence[Cell]) -> None:
        """Write the table of all runs of these finished cells: `cell`, its settings by their dotted keys, then the
        columns of runs.parquet. Only a group of rows is in memory at a time.

        Raises:
            StoreError: the table of a cell is damaged.
        """
        kinds = _setting_kinds(cells)
        stored = (schema_of(self.path / _name(cell.config)).empty_table() for cell in cells)
        schemas = dict.fromkeys(_named(0, *each, kinds).schema for each in zip(cells, stored, strict=True))
        made_by = origin((self.path / SWEEP_FILE).read_bytes())
        empty = stamped(pa.unify_schemas(list(schemas), promote_options="permissive").empty_table(), made_by)
        with (
            self.replacing(RUNS) as file,
            pq.ParquetWriter(file, empty.schema, **parquet_options(empty.schema)) as writer,
        ):
            group, rows = [empty], 0
            for number, cell in enumerate(cells):
                group.append(_named(number, cell, self.finished(cell.config).runs, kinds))
                rows += group[-1].num_rows
                if rows >= BATCH or number + 1 == len(cells):
                    writer.write_table(pa.concat_tables(group, promote_options="permissive"))
                    group, rows = [empty], 0

    def finished(self, config: Config) -> Finished:
        """What a cell came to that is finished.

        Raises:
            StoreError: its table is not there any more, or is damaged.
        """
        found = self.read_cell(config)
        if found is None:
            raise StoreError(
                f"{self.path / _name(config)}: damaged since it was trained; --resume trains it again"
            )
        return found

    def read_cell(self, config: Config) -> Finished | None:
        """What a cell came to; None: it is not trained, or its table is damaged, and it is trained again."""
        place, rows = self.path / _name(config), len(config.arms) * config.runs_per_arm
        if not place.exists():
            return None
        try:
            table = pa.Table.from_batches(list(read_batches(place, max_rows=rows)))
            about = json.loads(table.schema.metadata[ABOUT])
            if table.num_rows != rows:
                return None
            return Finished(table, int(about["env_steps"]), float(about["seconds"]))
        except (StoreError, ValueError, KeyError, TypeError):
            return None

    def clear(self) -> None:
        """Remove what an earlier sweep wrote; what vouches for the rest goes first."""
        for name in (PAGE, SUMMARY, RUNS, *self.names(CELLS), SWEEP_FILE):
            if self.is_own(name) and (self.path / name).exists():
                self.remove(name)


def _name(config: Config) -> str:
    text = f"{config_text(config)}\n{sources.digest(sources.TRAINING)}"
    return f"{CELLS}/{hashlib.sha256(text.encode()).hexdigest()[:16]}.parquet"


def _setting_kinds(cells: Sequence[Cell]) -> dict[str, pa.DataType]:
    """The type of each setting in the table of all runs: a number where all cells have numbers (or none), else
    JSON."""
    found: dict[str, pa.DataType] = {}
    for key, value in (setting for cell in cells for setting in cell.settings.items()):
        is_number = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        found[key] = pa.float64() if is_number and found.get(key) != pa.string() else pa.string()
    return found


def _named(number: int, cell: Cell, runs: pa.Table, settings: Mapping[str, pa.DataType]) -> pa.Table:
    """The runs of a cell with its number and settings before each. Columns keep what they say of themselves."""
    fields = [_field("cell", pa.int64(), "number of the setting in its sweep, from 0")]
    columns: list[list[Any]] = [[number]]
    for key, kind in settings.items():
        value, is_text = cell.settings.get(key), kind == pa.string()
        fields.append(_field(key, kind, f"value of this config key in the setting{', as JSON' * is_text}"))
        columns.append([json.dumps(value) if value is not None and is_text else value])
    named = [pa.array(value * runs.num_rows, field.type) for field, value in zip(fields, columns, strict=True)]
    arm = runs.schema.get_field_index("arm")
    runs = runs.set_column(arm, runs.schema.field(arm).with_type(pa.string()), runs["arm"].cast(pa.string()))
    return pa.Table.from_arrays([*named, *runs.columns], schema=pa.schema([*fields, *runs.schema]))


def _field(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, metadata={"meaning": meaning})


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings in a line."""
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
