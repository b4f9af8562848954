"""What no formula of their own tests: the compiled loops over rows."""

import numpy as np
import pytest

from agents.kernels.rows import are_finite


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 33, 1001])
def test_a_row_is_finite_if_all_of_its_numbers_are(dtype: type[np.floating], size: int) -> None:
    row = np.full(size, np.finfo(dtype).max)  # whose sum is not
    assert are_finite(row)
    for place in {0, size // 2, size - 1} & set(range(size)):
        for wrong in (np.nan, np.inf, -np.inf):
            one = row.copy()
            one[place] = wrong
            assert not are_finite(one)
