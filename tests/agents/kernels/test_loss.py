"""The compiled loss and its gradient beside the definition, whose gradient torch finds."""

import numpy as np
import pytest
import torch

from agents.differentiable import mixed_with_uniform
from agents.kernels.loss import REGULARIZERS, gradient_by_logits, loss_terms
from agents.kernels.softmax import cumulative, entropies, log_softmax, mix_with_uniform
from agents.regularizers import Regularizer
from agents.reinforce import Experience
from agents.reinforce import loss_terms as definition

STATES, ACTIONS = 7, 5


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("of_mixture", [True, False], ids=["mixture", "policy"])
@pytest.mark.parametrize("coefficient", [0.0, 0.7])
@pytest.mark.parametrize("scale", [1.0, 300.0], ids=["soft", "nearly sure"])
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_the_loss_and_its_gradient_are_the_definitions(
    epsilon: float, of_mixture: bool, coefficient: float, scale: float, regularizer: Regularizer
) -> None:
    rng = np.random.default_rng(0)
    logits = scale * rng.normal(size=(STATES, ACTIONS))
    sums, counts, normalizer = rng.normal(size=(STATES, ACTIONS)), rng.integers(0, 3, STATES).astype(float), 3.0
    sums[counts == 0] = 0.0

    graph = torch.from_numpy(logits)[None].requires_grad_()
    pure = torch.log_softmax(graph, -1)
    experience = Experience(*map(torch.from_numpy, (sums[None], counts[None], np.array([normalizer]))))
    terms = definition(
        mixed_with_uniform(pure, epsilon) if of_mixture else pure,
        experience,
        torch.tensor([coefficient], dtype=torch.float64),
        regularizer,
    )
    (expected,) = torch.autograd.grad(terms.loss.sum(), [graph])

    log_pi, pi, log_mixture, mixture, found = np.empty((5, STATES, ACTIONS))
    entropy = np.empty(STATES)
    log_softmax(logits, log_pi, pi)
    mix_with_uniform(pi, epsilon, log_mixture, mixture)
    mixes = of_mixture and epsilon > 0
    log_p, p = (log_mixture, mixture) if mixes else (log_pi, pi)
    entropies(log_p, p, entropy)
    place = REGULARIZERS.index(regularizer)
    policy_loss, negative_entropy, weighed = loss_terms(log_p, entropy, sums, counts, normalizer, place)
    given = sums, counts, normalizer, coefficient, place
    gradient_by_logits((log_p, p, entropy), pi, epsilon if mixes else 0.0, *given, found)

    assert policy_loss == pytest.approx(terms.policy_loss.item(), rel=1e-12)
    assert weighed == pytest.approx(terms.regularizer.item(), rel=1e-12, abs=1e-12)
    assert negative_entropy == pytest.approx(terms.negative_entropy.item(), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-10, atol=1e-12)
    assert (found[counts == 0] == 0).all()


def test_a_state_that_was_not_visited_has_no_gradient_even_where_the_policy_is_no_number() -> None:
    table, gradient = np.full((1, ACTIONS), np.nan), np.full((1, ACTIONS), np.nan)
    nothing = np.zeros((1, ACTIONS)), np.zeros(1), 1.0, 0.5, 0
    gradient_by_logits((table, table, np.full(1, np.nan)), np.full((1, ACTIONS), 0.2), 0.0, *nothing, gradient)
    assert (gradient == 0).all()


def test_cumulative_probabilities_end_at_one() -> None:
    pi, found = np.random.default_rng(1).dirichlet(np.ones(ACTIONS), STATES), np.empty((STATES, ACTIONS))
    cumulative(pi, found)
    np.testing.assert_array_equal(found, pi.cumsum(1))
