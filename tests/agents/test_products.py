"""Compiled products are NumPy's, and no number in them depends on what stands beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.products import ROWS, product

SIZES = {"rows": st.integers(1, 3 * ROWS), "inner": st.integers(1, 40), "columns": st.sampled_from([16, 48, 64])}
PRECISION = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-13}
PRECISIONS = pytest.mark.parametrize("dtype", list(PRECISION), ids=str)


def drawn(dtype: np.dtype[np.floating], *shape: int) -> NDArray[np.floating]:
    return np.random.default_rng(shape[0]).normal(size=shape).astype(dtype)


def multiplied(left: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.floating]:
    out = np.full((len(left), right.shape[1]), np.nan, left.dtype)
    product(left, right, out)
    return out


@PRECISIONS
@settings(deadline=None, max_examples=60)
@given(**SIZES)
def test_a_product_is_that_of_numpy(dtype: np.dtype[np.floating], rows: int, inner: int, columns: int) -> None:
    left, right = drawn(dtype, rows, inner), drawn(dtype, inner, columns)
    expected = left.astype(np.float64) @ right.astype(np.float64)
    np.testing.assert_allclose(multiplied(left, right), expected, rtol=0, atol=PRECISION[dtype] * inner)
    transposed = drawn(dtype, inner, rows).T
    expected = transposed.astype(np.float64) @ right.astype(np.float64)
    np.testing.assert_allclose(multiplied(transposed, right), expected, rtol=0, atol=PRECISION[dtype] * inner)


@PRECISIONS
@settings(deadline=None, max_examples=30)
@given(**SIZES)
def test_a_row_alone_has_the_same_numbers_to_the_bit(
    dtype: np.dtype[np.floating], rows: int, inner: int, columns: int
) -> None:
    left, right = drawn(dtype, rows, inner), drawn(dtype, inner, columns)
    together = multiplied(left, right)
    for row in range(rows):
        np.testing.assert_array_equal(multiplied(left[row : row + 1], right)[0], together[row])


def test_what_is_no_number_stays_none() -> None:
    left, right = np.full((ROWS, 2), np.nan), np.ones((2, 16))
    assert np.isnan(multiplied(left, right)).all()
