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

from experiments.config.schema import Config
from experiments.config.sweeps import Cell
from experiments.storage import sources
from experiments.storage.descriptions import origin, stamped
from experiments.storage.owned_folder import OwnedFolder
from experiments.storage.run_folder import config_text, parquet_bytes
from experiments.storage.stored_files import StoreError
from experiments.storage.stored_tables import read_batches

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

    def write_runs(self, table: pa.Table) -> None:
        """Write the table of all runs; its config is the sweep."""
        made_by = origin((self.path / SWEEP_FILE).read_bytes())
        self.write(RUNS, parquet_bytes(stamped(table, made_by)))

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


def all_runs(cells: Sequence[Cell], found: Sequence[Finished]) -> pa.Table:
    """One table of all runs: `cell`, its settings by their dotted keys, then the columns of runs.parquet."""
    keys = list(dict.fromkeys(key for cell in cells for key in cell.settings))
    columns = {key: [cell.settings.get(key) for cell in cells] for key in keys}
    tables = []
    for number, (cell, finished) in enumerate(zip(cells, found, strict=True)):
        rows = finished.runs.num_rows
        named: dict[str, Any] = {"cell": pa.array([number] * rows, pa.int64())}
        named |= {key: _repeated(cell.settings.get(key), columns[key], rows) for key in keys}
        own = finished.runs.replace_schema_metadata(None)
        arm = own["arm"].cast(pa.string())
        tables.append(pa.table({**named, **dict(zip(own.column_names, own.columns, strict=True)), "arm": arm}))
    return pa.concat_tables(tables, promote_options="permissive")


def _repeated(value: Any, others: Sequence[Any], rows: int) -> pa.Array:
    """A setting for each run: a number where all cells have numbers (or none), else as JSON."""
    if all((isinstance(other, int | float) and not isinstance(other, bool)) or other is None for other in others):
        return pa.array([value] * rows, pa.float64())
    return pa.array([None if value is None else json.dumps(value)] * rows, pa.string())


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings in a line."""
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
