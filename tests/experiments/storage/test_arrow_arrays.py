"""Tests for arrow_arrays.py: Arrow's own conversions are the oracle."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from experiments.storage.arrow_arrays import numbers_of, of_numbers, of_texts

TYPES = st.sampled_from([np.bool_, np.int32, np.int64, np.float64])


@st.composite
def columns(draw: st.DrawFn) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Values of any type that a table has, and which of them are missing."""
    values = draw(hnp.arrays(draw(TYPES), st.integers(0, 40)))
    return values, draw(hnp.arrays(np.bool_, len(values)))


@given(columns(), st.booleans())
def test_numbers_and_truth_values_become_those_of_arrow(
    column: tuple[NDArray[np.generic], NDArray[np.bool_]], complete: bool
) -> None:
    values, missing = column[0], None if complete else column[1]
    found, expected = of_numbers(values, missing), pa.array(values, mask=missing)
    found.validate(full=True)
    assert (found.type, found.null_count) == (expected.type, expected.null_count)
    np.testing.assert_equal(found.to_pylist(), expected.to_pylist())


@given(columns(), st.integers(0, 40), st.booleans())
def test_they_come_back_from_any_part_of_a_column_with_nan_for_what_is_missing(
    column: tuple[NDArray[np.generic], NDArray[np.bool_]], start: int, in_pieces: bool
) -> None:
    whole = pa.array(column[0], mask=column[1])
    part = pa.chunked_array([whole[start:], whole], whole.type) if in_pieces else whole[start:]
    np.testing.assert_equal(
        numbers_of(part).astype(float),
        np.array(part.to_pylist(), dtype=float),  # None becomes NaN
    )
    if not part.null_count:
        assert numbers_of(part).dtype == column[0].dtype


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_come_back(texts: list[str]) -> None:
    found = of_texts(texts)
    found.validate(full=True)
    assert found.to_pylist() == texts
