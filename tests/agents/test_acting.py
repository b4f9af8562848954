"""The policy in NumPy is the policy in torch."""

import numpy as np
import pytest
import torch

from agents.acting import log_policy
from agents.policy import PolicyShape

SHAPES = [PolicyShape(5, sizes, 3) for sizes in (None, (), (7,), (20, 9))]


def drawn(shape: PolicyShape, runs: int) -> torch.Tensor:
    return torch.randn(runs, shape.parameters, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.hidden_sizes))
def test_it_has_the_log_probabilities_of_the_torch_policy(shape: PolicyShape) -> None:
    theta = drawn(shape, 4)
    rows = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = log_policy([layer.numpy() for layer in shape.split(theta)], rows.numpy())
    expected = torch.log_softmax(shape.logits(theta, rows), dim=-1)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # the tanh of agents.kernels.network is 4e-7 off
    np.testing.assert_allclose(np.exp(found).sum(-1), 1, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 3, 16])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.hidden_sizes))
def test_a_run_alone_has_the_same_numbers_to_the_bit(shape: PolicyShape, rows: int) -> None:
    layers = [layer.numpy().astype(np.float32) for layer in shape.split(drawn(shape, 9))]
    seen = np.random.default_rng(3).normal(size=(9, rows, 5)).astype(np.float32)
    together = log_policy(layers, seen)
    for runs in ([0], [4], [8], [2, 7], [1, 3, 4, 5, 8]):
        alone = log_policy([layer[runs] for layer in layers], seen[runs])
        np.testing.assert_array_equal(alone, together[runs])


def test_large_logits_are_no_overflow() -> None:
    logits = np.array([[[1000.0, 0.0], [-1000.0, 0.0]]])
    np.testing.assert_array_equal(log_policy([logits], np.eye(2)[None]), [[[0, -1000], [-1000, 0]]])


def test_what_is_not_finite_stays_with_its_row() -> None:
    rows = np.array([[[1.0, 0.0], [np.nan, 0.0]]])
    found = log_policy([np.zeros((1, 2, 2))], rows)
    np.testing.assert_array_equal(found, [[[np.log(0.5)] * 2, [np.nan] * 2]])
