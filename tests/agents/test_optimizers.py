"""The norm of a gradient. The optimisers' steps are tested in test_reinforce.py, beside torch's."""

import numpy as np
import pytest

from agents.optimizers import norms

PRECISIONS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@PRECISIONS
def test_norms_are_euclidean(dtype: type[np.floating]) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 1001)).astype(dtype)
    np.testing.assert_allclose(norms(rows), np.linalg.norm(rows.astype(np.float64), axis=1), rtol=1e-6)
    assert np.isnan(norms(np.full((1, 9), np.nan, dtype)))
