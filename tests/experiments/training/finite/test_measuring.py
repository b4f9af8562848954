"""Compiled measures of one run beside the readable ones of many."""

import math

import numpy as np
import pytest

from experiments.training import exploration
from experiments.training.finite import measuring

STATES, ACTIONS = 6, 4
RNG = np.random.default_rng(0)
LOG_PI, LOG_Q = np.log(RNG.dirichlet(np.ones(ACTIONS), size=(2, STATES)))
VISITS = np.array([0.0, 3.0, 1.0, 0.0, 2.0, 4.0])
OPTIMAL = np.array([[True, False, True, False]] * STATES)


def test_means_over_visits_are_the_readable_ones() -> None:
    values = RNG.normal(size=STATES)
    assert measuring.mean_over(values, VISITS) == pytest.approx(
        exploration.mean_over_visits(values[None], VISITS[None])[0]
    )
    assert math.isnan(measuring.mean_over(values, 0 * VISITS))


def test_the_divergence_is_the_readable_one_and_0_before_anything_moved() -> None:
    expected = exploration.mean_over_visited(exploration.kl_divergence(LOG_PI, LOG_Q)[None], VISITS[None])
    assert measuring.mean_divergence(LOG_PI, LOG_Q, VISITS > 0) == pytest.approx(expected[0])
    assert measuring.mean_divergence(LOG_PI, LOG_Q, VISITS > 9) == 0.0


@pytest.mark.parametrize("scale", [1.0, 1000.0], ids=["probable", "next to impossible"])
def test_the_cross_entropy_is_the_readable_one(scale: float) -> None:
    log_pi = np.where(OPTIMAL, scale * LOG_PI, LOG_PI)
    pi = np.exp(log_pi)
    expected = exploration.cross_entropy_to_optimal(log_pi[None], OPTIMAL, pi[None])
    found = measuring.mean_cross_entropy(log_pi, pi, OPTIMAL, VISITS)
    assert found == pytest.approx(exploration.mean_over_visits(expected, VISITS[None])[0])


def test_the_probability_of_the_optimal_actions_is_the_readable_one() -> None:
    pi = np.exp(LOG_PI)
    expected = exploration.mean_over_visits(
        exploration.optimal_action_probability(pi[None], OPTIMAL), VISITS[None]
    )
    assert measuring.mean_optimal_probability(pi, OPTIMAL, VISITS) == pytest.approx(expected[0])
    start, policy = np.array([0.5, 0.0, 0.25, 0.25, 0.0, 0.0]), np.empty(ACTIONS)
    assert measuring.at_start(start, pi, OPTIMAL, policy) == pytest.approx(start @ (pi * OPTIMAL).sum(1))
    np.testing.assert_allclose(policy, start @ pi, atol=1e-15)


def test_the_visits_are_measured_as_by_the_readable_formulas() -> None:
    bits = measuring.entropy_of_visits(VISITS, VISITS.sum()) / math.log(2)
    assert bits == pytest.approx(exploration.visit_entropy_bits(VISITS[None])[0])
    reachable = np.array([True, True, False, True, True, True])
    expected = exploration.state_coverage((VISITS > 0)[None], reachable)
    assert measuring.share_of(VISITS > 0, reachable) == pytest.approx(expected[0])
