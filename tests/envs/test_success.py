"""The probability of success is a count of trajectories."""

from dataclasses import replace
from math import erf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.exact import evaluate
from envs.finite_mdp import FiniteMDP
from envs.planning import optimal_values
from envs.success import success_probability
from tests.envs.tiny_worlds import (
    Trajectory,
    bandit,
    deterministic_world,
    expectation,
    from_gymnasium,
    random_policy,
    random_world,
    uniform_policy,
)

close = np.testing.assert_allclose


@given(seed=st.integers(0, 10_000), horizon=st.integers(1, 4), solved=st.integers(-4, 10))
@settings(deadline=None, max_examples=60)
def test_success_is_counted_over_all_trajectories(seed: int, horizon: int, solved: int) -> None:
    mdp = random_world(seed)
    pi = random_policy(seed, 2, mdp)
    found = success_probability(mdp, pi, horizon=horizon, solved_return=solved / 2)
    for r in range(2):
        close(found[r], expectation(mdp, pi[r], horizon, lambda t: sum(t.rewards) >= solved / 2), atol=1e-12)


def test_noise_blurs_the_return() -> None:
    """A return of n noisy rewards is normal with standard deviation 0.5 sqrt(n) around its mean."""
    mdp = replace(random_world(4), reward_std=0.5)
    pi = random_policy(4, 1, mdp)

    def chance(trajectory: Trajectory) -> float:
        z = (sum(trajectory.rewards) - 1.2) / (0.5 * sqrt(len(trajectory.rewards)))
        return (1 + erf(z / sqrt(2))) / 2

    found = success_probability(mdp, pi, horizon=3, solved_return=1.2)
    close(found[0], expectation(mdp, pi[0], 3, chance), atol=1e-12)


def test_a_noisy_arm_reaches_its_mean_half_of_the_time() -> None:
    mdp = replace(bandit([1.0, -100.0]), reward_std=0.3)
    close(success_probability(mdp, np.array([[[0.6, 0.4]]]), horizon=1, solved_return=1.0), 0.6 / 2, atol=1e-12)


@pytest.mark.parametrize(("world_id", "limit"), [("FrozenLake-v1", 100), ("FrozenLake8x8-v1", 200)])
def test_on_the_frozen_lake_success_is_the_return(world_id: str, limit: int) -> None:
    mdp = from_gymnasium(world_id)
    for horizon in (limit, None):
        found = success_probability(mdp, uniform_policy(mdp), horizon=horizon, solved_return=1.0)
        close(found, evaluate(mdp, uniform_policy(mdp), horizon=horizon).expected_return, atol=1e-12)


def test_the_best_return_is_reached_and_no_better_one() -> None:
    """The shortest path along the cliff has 13 steps, each of reward -1."""
    mdp = from_gymnasium("CliffWalking-v1")
    action_values, _ = optimal_values(mdp, horizon=None, discount=1.0)
    best = np.eye(4)[action_values.argmax(1)][None]
    assert success_probability(mdp, best, horizon=100, solved_return=-13.0)[0] == 1
    assert success_probability(mdp, best, horizon=100, solved_return=-12.5)[0] == 0
    assert success_probability(mdp, best, horizon=10, solved_return=-10.0)[0] == 1  # cut off before it costs more


def test_rounding_does_not_decide() -> None:
    """In sums of floating-point numbers 0.1 three times is more than 0.3."""
    steps = deterministic_world([[1], [2], [0]], [[0.1], [0.1], [0.1]], [[False], [False], [True]])
    for solved, success in ((0.3, 1.0), (0.3 + 1e-6, 0.0), (0.1 + 0.2, 1.0)):
        assert success_probability(steps, np.ones((1, 3, 1)), horizon=3, solved_return=solved)[0] == success
    assert success_probability(bandit([0.3]), np.ones((1, 1, 1)), horizon=1, solved_return=0.1 + 0.2)[0] == 1


def test_without_limit_only_the_end_may_pay() -> None:
    """Half of the episodes end, with reward 1 or 0.2, the others walk in circles."""
    world = deterministic_world(
        [[0, 0, 1, 1], [1] * 4], [[1.0, 0.2, 0, 0], [0.0] * 4], [[True, True, False, False], [False] * 4]
    )
    for solved, success in ((1.1, 0), (1.0, 1 / 4), (0.2, 1 / 2), (0.0, 1), (-1.0, 1)):
        close(
            success_probability(world, uniform_policy(world), horizon=None, solved_return=solved),
            success,
            atol=1e-12,
        )
    for refused in (random_world(0), replace(bandit([1.0, 0.0]), reward_std=0.1)):
        with pytest.raises(ValueError, match="give a horizon"):
            success_probability(refused, uniform_policy(refused), horizon=None, solved_return=1.0)


def test_without_limit_where_nothing_more_is_paid_an_episode_is_over() -> None:
    """As the world of before, but the episode goes on in states that pay nothing, for ever or not."""
    world = deterministic_world(
        [[1, 1, 1, 3], [1, 2, 2, 1], [2, 1, 1, 2], [3] * 4],
        [[1.0, 0.2, 0.0, 0.0], *([[0.0] * 4] * 3)],
        [*([[False] * 4] * 2), [True, False, False, False], [False] * 4],
    )
    for solved, success in ((1.1, 0), (1.0, 1 / 4), (0.2, 1 / 2), (0.0, 1), (-1.0, 1)):
        close(
            success_probability(world, uniform_policy(world), horizon=None, solved_return=solved),
            success,
            atol=1e-12,
        )


def test_too_many_returns_are_refused_unless_the_outcome_is_settled() -> None:
    """Rewards 3^0 ... 3^11: nearly every way to add up to five of them gives another return."""
    possible_and_not = np.stack([3.0 ** np.arange(12), np.full(12, 1e9), np.full(12, -1e9)], -1)[None]
    world = FiniteMDP(
        next_state=np.zeros((1, 12, 3), dtype=np.int64),
        reward=possible_and_not,
        terminated=np.zeros((1, 12, 3), dtype=np.bool_),
        probability=np.broadcast_to([1.0, 0.0, 0.0], (1, 12, 3)),
        start=np.ones(1),
    )
    for solved, success in ((20.0, 1), (20 * 3.0**11 + 1, 0)):
        close(
            success_probability(world, uniform_policy(world), horizon=20, solved_return=solved),
            success,
            atol=1e-12,
        )
    with pytest.raises(ValueError, match="different returns after"):
        success_probability(world, uniform_policy(world), horizon=20, solved_return=3.0**12)
