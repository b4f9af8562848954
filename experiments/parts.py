"""The tables of a training that goes on: numbered parts below `parts/`, one file each at the end."""

import shutil

import pyarrow.parquet as pq

from experiments.records import Runs, UpdateRecord
from experiments.store import Position, RunFolder, parquet_options, sha256
from experiments.tables import step_table, update_table

PART_BYTES = 1 << 26  # of records that wait in memory for their part
TABLES = ("updates", "steps")


class TableSink:
    """Writes updates and steps into parts, and the parts into one file each.

    Args:
        folder: the run folder.
        runs: what stands where on the run axis.
        log_steps: each how many lock-steps get a row; 0: none.
    """

    def __init__(self, folder: RunFolder, runs: Runs, log_steps: int) -> None:
        self._folder, self._runs, self._log_steps = folder, runs, log_steps
        self._sums: dict[str, list[str]] = {name: [] for name in TABLES}  # SHA-256 of every part
        self._records: list[UpdateRecord] = []
        self._bytes = 0

    def write(self, record: UpdateRecord) -> None:
        self._records.append(record)
        self._bytes += sum(array.nbytes for array in (*record.columns.values(), *(record.steps or ())))
        if self._bytes > PART_BYTES:
            self._write_parts()

    def flush(self) -> Position:
        """Bring everything to disk."""
        if self._records:
            self._write_parts()
        return {name: list(sums) for name, sums in self._sums.items()}

    def _write_parts(self) -> None:
        every = self._log_steps
        updates = update_table(self._records, self._runs)
        steps = step_table(self._records if every else [], self._runs, every or 1)
        for name, table in zip(TABLES, (updates, steps), strict=True):
            part = _part(name, len(self._sums[name]))
            self._sums[name].append(self._folder.write_table(part, table))
        self._records.clear()
        self._bytes = 0

    def restore(self, position: Position) -> None:
        """Forget what was written after the position.

        Raises:
            ValueError: a part that was written before it is missing or damaged.
        """
        self._sums = {name: list(position[name]) for name in TABLES}
        for name, sums in self._sums.items():
            for number, digest in enumerate(sums):
                path = self._folder.path / _part(name, number)
                if not path.is_file() or sha256(path) != digest:
                    raise ValueError(f"{path} is missing or damaged")
        kept = {self._folder.path / part for parts in self._files().values() for part in parts}
        for path in (self._folder.path / "parts").glob("*.parquet"):
            if path not in kept:
                path.unlink()

    def finish(self) -> None:
        """updates.parquet and steps.parquet out of the parts, a part at a time: memory stays flat."""
        for name, parts in self._files().items():
            paths = [self._folder.path / part for part in parts]
            if len(paths) == 1:
                with self._folder.replacing(f"{name}.parquet") as temporary:
                    shutil.copyfile(paths[0], temporary)
                continue
            schema = pq.read_schema(paths[0])
            with (
                self._folder.replacing(f"{name}.parquet") as temporary,
                pq.ParquetWriter(temporary, schema, **parquet_options(schema)) as writer,
            ):
                for path in paths:
                    writer.write_table(pq.read_table(path))

    def _files(self) -> dict[str, list[str]]:
        return {name: [_part(name, number) for number in range(len(sums))] for name, sums in self._sums.items()}


def _part(name: str, number: int) -> str:
    return f"parts/{name}-{number:06d}.parquet"
