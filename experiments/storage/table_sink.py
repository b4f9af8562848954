"""The tables of a training: numbered parts in `parts/` while it runs, one file per table at the end."""

import shutil

import pyarrow.parquet as pq

from experiments.storage.run_folder import Position, RunFolder, StoreError, parquet_options, sha256
from experiments.storage.stored_files import MAX_BYTES
from experiments.storage.stored_rows import UpdateRows, fitting
from experiments.storage.stored_tables import ROW_BYTES, read_batches, schema_of
from experiments.storage.tables import step_schema, step_table, update_table
from experiments.training.records import Records, Runs, joined

PART_BYTES = 1 << 26  # of records kept in memory before they become a part
TABLES = ("updates", "steps")


class TableSink:
    """Writes updates and steps into parts, and joins the parts of each table at the end.

    Args:
        folder: the run folder.
        runs: which run is where on the run axis.
        updates: the number of updates of the training.
        log_steps: k, to give every k-th lock-step of an update a row; 0: none.
    """

    def __init__(self, folder: RunFolder, runs: Runs, updates: int, log_steps: int) -> None:
        self._folder, self._runs, self._updates, self._log_steps = folder, runs, updates, log_steps
        self._sums: dict[str, list[str]] = {name: [] for name in TABLES}  # SHA-256 of each part
        self._records: list[Records] = []
        self._bytes = 0
        self._step_columns = step_schema(runs).names

    def write(self, records: Records) -> None:
        self._records.append(records)
        self._bytes += sum(array.nbytes for array in (*records.columns.values(), *(records.steps or ())))
        if self._bytes > PART_BYTES:
            self._write_parts()

    def flush(self) -> Position:
        """Write everything to disk."""
        if self._records:
            self._write_parts()
        return {name: list(sums) for name, sums in self._sums.items()}

    def _write_parts(self) -> None:
        records = joined(self._records)
        updates, steps = update_table(records, self._runs), step_table(records, self._runs, self._log_steps)
        for name, table in zip(TABLES, (updates, steps.select(self._step_columns)), strict=True):
            part = _part(name, len(self._sums[name]))
            self._sums[name].append(self._folder.write_table(part, table))
        self._records.clear()
        self._bytes = 0

    def restore(self, position: Position) -> None:
        """Drop everything written after the position.

        Raises:
            StoreError: a part written before it is missing, damaged or belongs to another training.
        """
        self._sums = {name: list(position[name]) for name in TABLES}
        most = max(MAX_BYTES, ROW_BYTES * len(self._runs.arm) * self._updates)
        for name, sums in self._sums.items():
            for number, digest in enumerate(sums):
                path = self._folder.path / _part(name, number)
                if not path.is_file() or sha256(path, most) != digest:
                    raise StoreError(f"{path} is missing or damaged")
        self._check_rows()
        kept = {part for parts in self._files().values() for part in parts}
        for name in self._folder.names("parts"):
            if name not in kept and self._folder.is_own(name):
                self._folder.remove(name)

    def _check_rows(self) -> None:
        """Whether the parts are of this training: a stranger can make sums as well as we can."""
        rows = UpdateRows(self._runs, self._updates)
        updates, steps = ([self._folder.path / part for part in parts] for parts in self._files().values())
        for path in updates:
            for batch in read_batches(path, rows.columns, rows.max_rows):
                with fitting(path):
                    rows.take(batch)
        now = step_schema(self._runs)
        before = now.remove(now.get_field_index("entropy_bits"))  # in parts of earlier versions
        for path in steps:
            if (found := schema_of(path)) not in (now, before):
                raise StoreError(f"{path}: has other columns than the steps of a training")
            self._step_columns = found.names  # the training goes on with the columns that it began with

    def finish(self) -> None:
        """Join the parts into updates.parquet and steps.parquet, a batch at a time, so that memory stays flat.

        Raises:
            StoreError: the parts do not fit together.
        """
        for name, parts in self._files().items():
            paths = [self._folder.path / part for part in parts]
            if len(paths) == 1:
                with self._folder.replacing(f"{name}.parquet") as file, open(paths[0], "rb") as part:
                    shutil.copyfileobj(part, file)
                continue
            schema = schema_of(paths[0])
            with (
                self._folder.replacing(f"{name}.parquet") as file,
                pq.ParquetWriter(file, schema, **parquet_options(schema)) as writer,
            ):
                for path in paths:
                    if schema_of(path) != schema:
                        raise StoreError(f"{path}: has other columns than the parts before it; use --overwrite")
                    for batch in read_batches(path):
                        writer.write_batch(batch)

    def _files(self) -> dict[str, list[str]]:
        return {name: [_part(name, number) for number in range(len(sums))] for name, sums in self._sums.items()}


def _part(name: str, number: int) -> str:
    return f"parts/{name}-{number:06d}.parquet"
