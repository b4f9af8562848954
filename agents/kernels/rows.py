"""Rows of numbers, compiled: loops, because array expressions take several times as long to compile."""

import math
from typing import Any

from numpy.typing import NDArray

from agents.kernels.compiled import compiled

Array = NDArray[Any]


@compiled()
def fill(row: Array, value: float) -> None:
    """Set all numbers of a row, [n], to a value."""
    for n in range(len(row)):
        row[n] = value


@compiled()
def copy_row(row: Array, place: Array) -> None:
    """Copy a row to a place, [n] both, of any number types."""
    for n in range(len(row)):
        place[n] = row[n]


@compiled()
def copy(matrix: Array, place: Array) -> None:
    """Copy a matrix to a place, [n, m] both, of any number types."""
    for n in range(len(matrix)):
        copy_row(matrix[n], place[n])


@compiled()
def total(row: Array) -> float:
    """The sum of a row, [n], in double precision, added in order."""
    found = 0.0
    for n in range(len(row)):
        found += row[n]
    return found


@compiled("reassoc")
def are_finite(row: Array) -> bool:
    """Whether no number of a row, [n], is infinite or NaN: 0 times such a number is NaN, and a sum keeps it."""
    zero = found = row.dtype.type(0)
    for n in range(len(row)):
        found += zero * row[n]
    return math.isfinite(found)
