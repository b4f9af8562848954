"""In single precision, as networks are trained. In double precision test_reinforce.py has whole trainings."""

import numpy as np
import pytest
import torch

from agents.kernels.optimizers import move, move_all, norm

PRECISIONS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@PRECISIONS
def test_norms_are_euclidean(dtype: type[np.floating]) -> None:
    for row in np.random.default_rng(0).normal(size=(3, 1001)).astype(dtype):
        assert norm(row) == pytest.approx(np.linalg.norm(row.astype(np.float64)), rel=1e-6)
    assert np.isnan(norm(np.full(9, np.nan, dtype)))


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("longest", [0.0, 1.0])
def test_single_precision_moves_as_torch_does(kind: str, longest: float) -> None:
    rng, rate = np.random.default_rng(1), 0.01
    theta = rng.normal(size=999).astype(np.float32)
    means = np.zeros((2 if kind == "adam" else 0, 999), np.float32)
    theirs = torch.from_numpy(theta.copy()).requires_grad_()
    optimizer = (torch.optim.Adam if kind == "adam" else torch.optim.SGD)([theirs], lr=rate)
    for step in range(1, 31):
        gradient = (rng.normal(size=theta.shape) * 10.0 ** rng.integers(-6, 3)).astype(np.float32)
        theirs.grad = torch.from_numpy(gradient.copy())
        expected = torch.nn.utils.clip_grad_norm_([theirs], longest or np.inf)
        optimizer.step()
        assert move(theta, gradient, means, step, rate, longest) == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(theta, theirs.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_of_runs_side_by_side_those_that_are_frozen_stay_and_so_do_their_means() -> None:
    theta, gradient = np.random.default_rng(2).random((2, 3, 16))
    means, norms = np.random.default_rng(3).random((3, 2, 16)), np.empty(3)
    before = theta.copy(), means.copy()
    move_all(theta, gradient, means, np.array([True, False, True]), 3, 0.1, 0.0, norms)
    np.testing.assert_allclose(norms, np.linalg.norm(gradient, axis=1), rtol=1e-6, atol=1e-12)
    for array, kept in zip((theta, means), before, strict=True):
        np.testing.assert_array_equal(array[::2], kept[::2])
        assert (array[1] != kept[1]).all()
    alone, its_means = before[0][1].copy(), before[1][1].copy()
    move(alone, gradient[1], its_means, 3, 0.1, 0.0)
    np.testing.assert_array_equal(alone, theta[1])
    np.testing.assert_array_equal(its_means, means[1])
