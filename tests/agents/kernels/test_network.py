"""The compiled network in single precision beside torch in double precision, its products beside NumPy's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from agents.kernels.products import ROWS, product
from agents.policy import PolicyShape

SHAPES = [PolicyShape(51, (64, 64), 4), PolicyShape(7, (16, 48, 32), 3), PolicyShape(9, (64,), 6)]


def theta_of(shape: PolicyShape, runs: int) -> Tensor:
    drawn = torch.randn(runs, shape.parameters, generator=torch.Generator().manual_seed(1))
    return drawn / max(shape.inputs, *(shape.hidden_sizes or ())) ** 0.5


def plain_logits(shape: PolicyShape, theta: Tensor, rows: Tensor | None) -> Tensor:
    """As everybody writes it."""
    layers = shape.split(theta)
    hidden = torch.eye(shape.inputs, dtype=theta.dtype).expand(len(theta), -1, -1) if rows is None else rows
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        hidden = torch.tanh(hidden @ weight + bias[:, None])
    return hidden @ layers[-2] + layers[-1][:, None]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("with_rows", [False, True], ids=["states", "rows"])
def test_logits_and_gradients_are_those_of_torch(shape: PolicyShape, with_rows: bool) -> None:
    theta, generator = theta_of(shape, 3), torch.Generator().manual_seed(2)
    rows = torch.randn(3, 20, shape.inputs, generator=generator) if with_rows else None
    weights = torch.randn(3, 20 if with_rows else shape.inputs, shape.actions, generator=generator)
    weights[:, ::3] = 0  # rows that nobody visited
    found, exact = theta.requires_grad_(), theta.detach().double().requires_grad_()
    logits = shape.logits(found, rows)
    expected = plain_logits(shape, exact, None if rows is None else rows.double())
    torch.testing.assert_close(logits.double(), expected, rtol=0, atol=1e-5)
    (gradient,) = torch.autograd.grad((weights * logits).sum(), [found])
    (expected_gradient,) = torch.autograd.grad((weights * expected).sum(), [exact])
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-4, atol=1e-4)


def tanh_of(x: Tensor) -> Tensor:
    """The hidden layer alone: a state a number, and an output that passes its first unit on."""
    shape = PolicyShape(len(x), (16,), 2)
    theta = torch.zeros(1, shape.parameters)
    weight, _, output, _ = shape.split(theta)
    weight[0, :, 0], output[0, 0, 0] = x, 1.0
    return shape.logits(theta)[0, :, 0]


def test_tanh_is_as_exact_as_single_precision_allows() -> None:
    x = torch.linspace(-12, 12, 20_001)
    torch.testing.assert_close(tanh_of(x).double(), torch.tanh(x.double()), rtol=0, atol=4e-7)
    tiny = torch.tensor([0.0, 1e-30, -1e-12, 1e-5])
    torch.testing.assert_close(tanh_of(tiny), tiny, rtol=1e-6, atol=0)


def test_tanh_of_what_is_not_finite() -> None:
    found = tanh_of(torch.tensor([np.inf, -np.inf]))
    torch.testing.assert_close(found, torch.tensor([1.0, -1.0]), rtol=0, atol=4e-7)
    assert torch.isnan(tanh_of(torch.tensor([np.nan]))).all()


# --- products ---

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


@pytest.mark.parametrize("size", [(2, 6, 7), (3, 6, 8)])
def test_rows_that_do_not_fit_are_refused(size: tuple[int, int, int]) -> None:
    shape = PolicyShape(7, (16,), 3)
    with pytest.raises(ValueError, match=r"rows of 3 runs must be \[3, N, 7\]"):
        shape.logits(theta_of(shape, 3), torch.zeros(size))
