"""NumPy's arrays as Arrow's, and back.

Arrow's own conversions (`pa.array`, `pa.scalar`, `to_numpy`) import pandas where that is installed, for which
every command would wait a quarter of a second.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def of_numbers(values: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Numbers or truth values, [n]; null where they are missing, [n]."""
    known = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    held = np.packbits(values, bitorder="little") if values.dtype == bool else np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [known, pa.py_buffer(held)])


def of_texts(values: Sequence[str]) -> pa.Array:
    """Texts, [n], none missing."""
    encoded = [text.encode() for text in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def numbers_of(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Numbers or truth values, [n]; where some are missing, floats with NaN in their place."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.null_count:
        unknown = of_numbers(np.full(len(column), math.nan))
        return numbers_of(pc.coalesce(pc.cast(column, pa.float64(), safe=False), unknown))
    if pa.types.is_boolean(column.type):
        return np.from_dlpack(pc.cast(column, pa.uint8())).astype(bool)
    return np.from_dlpack(column)
