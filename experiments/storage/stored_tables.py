"""Stored tables, read in pieces of bounded size, with the kind of each column checked.

The footer of a Parquet file says how much it holds: 6 MB of zeros can decode to 10 GB. The footer is checked
before anything is decoded. Since it may be wrong, the decoded bytes are counted as well.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from experiments.storage.arrow_arrays import numbers_of
from experiments.storage.stored_files import StoreError, opened

COLUMN_BYTES, VALUE_BYTES = 1 << 20, 256  # allowed per column, and per value in it, with their overhead
BATCH = 1 << 16  # rows at a time
MAX_TEXT, MAX_ITEMS = 1 << 24, 1 << 20  # bytes of a text and entries of a list in a footer
ROW_BYTES = 1 << 16  # allowed per row of a file; one of its columns lists the probabilities of all actions
SLACK = 1e-6  # single precision makes a probability of 1 + 2.6e-8


@dataclass(frozen=True)
class Kind:
    """The kind of values in a column.

    Attributes:
        type: "text", "truth" (true, false, or 0 and 1 where some are unknown), "whole" or "number".
        low, high: the range of its values; a number may also be NaN, which means no value.
        optional: whether values may be missing.
    """

    type: str
    low: float = -np.inf
    high: float = np.inf
    optional: bool = False


TEXT, TRUTH, COUNT = Kind("text"), Kind("truth", 0, 1, optional=True), Kind("whole", 0, 2**62)


def read_batches(
    place: Path, columns: Sequence[str] | None = None, max_rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Read a table in pieces, at least one; arms are a dictionary column.

    Args:
        place: a Parquet file.
        columns: the columns to read, each of which the file must have once; None: all.
        max_rows: how many rows it may have, which also bounds what it decodes to; None: as many as it has.
    Raises:
        StoreError: it is not a Parquet file, lacks a column, or holds more than may be read.
    """
    with _readable(place), opened(place) as stream, _parquet(stream) as file:
        _check_columns(file.schema_arrow, columns)
        room = _Room(place, max_rows, len(columns or file.schema_arrow.names))
        room.check(*_declared(file.metadata, columns))
        empty = True
        for batch in file.iter_batches(BATCH, columns=columns, use_threads=False):
            room.take(batch)
            yield batch
            empty = False
        if empty:  # an empty piece with the same columns, so that pieces can be joined
            yield pa.RecordBatch.from_pylist([], _picked(file.schema_arrow, columns))


def schema_of(place: Path) -> pa.Schema:
    """The columns of a table and their types, as its footer gives them.

    Raises:
        StoreError: it is not a Parquet file.
    """
    with _readable(place), opened(place) as stream, _parquet(stream) as file:
        return file.schema_arrow


@contextmanager
def _readable(place: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, MemoryError, pa.ArrowException) as error:
        raise StoreError(f"{place}: cannot be read: {error}") from None


class _Room:
    """Limits the rows and the bytes of a table while it is read."""

    def __init__(self, place: Path, max_rows: int | None, columns: int) -> None:
        self._place, self._max_rows, self._rows, self._bytes = place, max_rows, 0, 0
        self._most = columns * (COLUMN_BYTES + VALUE_BYTES * (max_rows or 0))  # a text may be of any length

    def check(self, rows: int, size: int) -> None:
        if self._max_rows is None:
            return
        if size > self._most:
            raise StoreError(f"{self._place}: decodes to {size:,} bytes; at most {self._most:,} are read")
        if rows > self._max_rows:
            raise StoreError(f"{self._place}: has {rows:,} rows; its config makes at most {self._max_rows:,}")

    def take(self, batch: pa.RecordBatch) -> None:
        self._rows, self._bytes = self._rows + batch.num_rows, self._bytes + batch.nbytes
        self.check(self._rows, self._bytes)


def _parquet(stream: Any) -> pq.ParquetFile:
    return pq.ParquetFile(
        stream,
        read_dictionary=["arm"],
        pre_buffer=False,
        buffer_size=1 << 20,
        thrift_string_size_limit=MAX_TEXT,
        thrift_container_size_limit=MAX_ITEMS,
    )


def _check_columns(schema: pa.Schema, columns: Sequence[str] | None) -> None:
    for name in schema.names if columns is None else columns:
        if (number := len(schema.get_all_field_indices(name))) != 1:
            raise ValueError(f"has {number or 'no'} column{'s' * (number > 1)} {name!r}")


def _picked(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def _declared(metadata: pq.FileMetaData, columns: Sequence[str] | None) -> tuple[int, int]:
    """The number of rows in a footer, and the number of bytes to which the columns decode."""
    size = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if columns is None or column.path_in_schema.partition(".")[0] in columns:
                size += max(column.total_uncompressed_size, 8 * column.num_values)
    return metadata.num_rows, size


def values(batch: pa.RecordBatch | pa.Table, name: str, kind: Kind) -> NDArray[Any]:
    """A column as an array: whole numbers and truths as they are, or as floats where some are missing (NaN).

    Raises:
        ValueError: its values are not of this kind.
    """
    column = batch[name]
    if not _FITS[kind.type](column.type):
        raise ValueError(f"the column {name!r} holds {column.type}")
    if column.null_count and not kind.optional:
        raise ValueError(f"the column {name!r} lacks values")
    found = numbers_of(column)
    known = found[~np.isnan(found)] if found.dtype.kind == "f" else found
    if known.size and not (kind.low <= known.min() and known.max() <= kind.high):
        raise ValueError(f"the column {name!r} holds values outside {kind.low:g} to {kind.high:g}")
    if kind.type == "truth" and found.dtype.kind == "f" and not np.isin(known, (0, 1)).all():
        raise ValueError(f"the column {name!r} holds values that are neither true nor false")
    return found


def arm_places(batch: pa.RecordBatch | pa.Table, arms: Sequence[str]) -> NDArray[np.int64]:
    """The column `arm` as places in the list of arms.

    Raises:
        ValueError: a row has another arm, or none.
    """
    column = batch["arm"]
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not isinstance(column, pa.DictionaryArray):
        raise ValueError(f"the column 'arm' holds {column.type}")
    known = {arm: place for place, arm in enumerate(arms)}
    names = column.dictionary
    if len(names) > len(known) or column.indices.null_count:
        raise ValueError("the column 'arm' holds other arms than the config")
    try:
        codes = np.array([known[name] for name in names.to_pylist()], np.int64)
    except (KeyError, TypeError):
        raise ValueError("the column 'arm' holds other arms than the config") from None
    found: NDArray[np.int64] = codes[numbers_of(column.indices)] if len(column) else codes[:0]
    return found


_FITS = {
    "truth": lambda found: pa.types.is_boolean(found) or pa.types.is_floating(found),
    "whole": pa.types.is_integer,
    "number": lambda found: (
        pa.types.is_floating(found) or pa.types.is_integer(found) or pa.types.is_boolean(found)
    ),
}
