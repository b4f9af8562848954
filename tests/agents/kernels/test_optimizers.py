"""In single precision, as networks are trained. In double precision test_reinforce.py has whole trainings."""

import numpy as np
import pytest
import torch

from agents.kernels.optimizers import adam, norms, sgd

PRECISIONS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@PRECISIONS
def test_norms_are_euclidean(dtype: type[np.floating]) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 1001)).astype(dtype)
    np.testing.assert_allclose(norms(rows), np.linalg.norm(rows.astype(np.float64), axis=1), rtol=1e-6, atol=0)
    assert np.isnan(norms(np.full((1, 9), np.nan, dtype)))


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_single_precision_moves_as_torch_does(kind: str) -> None:
    rng, rate = np.random.default_rng(1), 0.01
    theta, first, second = rng.normal(size=(3, 2, 999)).astype(np.float32)
    first[:], second[:] = 0, 0
    theirs = torch.from_numpy(theta.copy()).requires_grad_()
    optimizer = (torch.optim.Adam if kind == "adam" else torch.optim.SGD)([theirs], lr=rate)
    scale = np.array([1.0, 0.25])
    for step in range(1, 31):
        gradient = (rng.normal(size=theta.shape) * 10.0 ** rng.integers(-6, 3)).astype(np.float32)
        theirs.grad = torch.from_numpy(gradient * scale[:, None].astype(np.float32))
        optimizer.step()
        if kind == "adam":
            adam(theta, gradient, scale, first, second, step, rate)
        else:
            sgd(theta, gradient, scale, rate)
    np.testing.assert_allclose(theta, theirs.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_a_scale_of_nothing_leaves_a_run_and_its_means_alone() -> None:
    theta, gradient, first, second = np.random.default_rng(2).random((4, 2, 16))
    before = [array.copy() for array in (theta, first, second)]
    adam(theta, gradient, np.array([0.0, 1.0]), first, second, 3, 0.1)
    for array, kept in zip((theta, first, second), before, strict=True):
        np.testing.assert_array_equal(array[0], kept[0])
        assert (array[1] != kept[1]).all()
