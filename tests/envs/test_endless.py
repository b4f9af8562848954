"""Episodes without limit: linear systems agree with long recursions, and say what never ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.exact import evaluate, exact_gradient, expected_experience, visit_counts
from envs.finite_mdp import FiniteMDP
from tests.envs.tiny_worlds import (
    Floats,
    deterministic_world,
    entropy,
    random_policy,
    random_world,
    uniform_policy,
)

LONG = 700  # 0.95^700 = 3e-16 of the episodes are longer
close = np.testing.assert_allclose


@given(
    seed=st.integers(0, 10_000),
    discount=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    weighted=st.booleans(),
    soft=st.booleans(),
)
@settings(deadline=None, max_examples=15)
def test_linear_systems_agree_with_long_recursions(seed: int, discount: float, weighted: bool, soft: bool) -> None:
    mdp = random_world(seed, states=5, actions=3)
    pi = 0.4 * random_policy(seed, 2, mdp) + 0.2  # an episode ends with a chance of 0.2 x 0.25 or more a step
    bonus = 0.2 * entropy(pi) if soft else None
    forever, long = (
        evaluate(mdp, pi, horizon=horizon, discount=discount, entropy_bonus=bonus) for horizon in (None, LONG)
    )
    close(forever.state_values, long.state_values, atol=1e-12)
    close(forever.action_values, long.action_values, atol=1e-12)
    close(forever.expected_return, long.expected_return, atol=1e-12)
    close(forever.expected_length, long.expected_length, atol=1e-12)
    forever_sums, long_sums = (
        expected_experience(
            mdp, pi, horizon=horizon, discount=discount, discount_weighting=weighted, entropy_bonus=bonus
        )
        for horizon in (None, LONG)
    )
    close(forever_sums.advantage_sums, long_sums.advantage_sums, atol=1e-12)
    close(forever_sums.visit_counts, long_sums.visit_counts, atol=1e-12)


def fork(loop_reward: float = 0.0) -> FiniteMDP:
    """State 0: action 0 ends with reward 1, action 1 leads to state 1, which is never left.

    State 2, where no episode comes, chooses between the two as well. State 3 alternates with state 4 for ever.
    """
    return deterministic_world(
        [[0, 1], [1, 1], [0, 1], [4, 4], [3, 3]],
        [[1.0, 0.0], [loop_reward, loop_reward], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
        [[True, False], [False, False], [False, False], [False, False], [False, False]],
    )


@pytest.mark.parametrize(
    ("loop_reward", "value"), [(0.0, 0.5), (2.0, np.inf), (-2.0, -np.inf)], ids=["idle", "pays", "costs"]
)
def test_a_class_never_left_is_worth_nothing_or_infinity(loop_reward: float, value: float) -> None:
    found = evaluate(fork(loop_reward), uniform_policy(fork()), horizon=None)
    assert found.state_values[0, 0] == found.state_values[0, 2] * (2 if value == 0.5 else 1) == value
    assert found.expected_return[0] == value
    assert found.state_values[0, 1] == (0.0 if loop_reward == 0 else value)
    assert (found.state_values[0, 3:] == 0).all()
    assert (found.visit_counts[0] == [1.0, np.inf, 0.0, 0.0, 0.0]).all()
    assert found.expected_length[0] == np.inf


def test_what_is_paid_once_on_the_way_into_a_closed_class_is_finite() -> None:
    world = deterministic_world([[1, 1], [1, 1]], [[3.0, 5.0], [0.0, 0.0]], [[False, False], [False, False]])
    found = evaluate(world, uniform_policy(world), horizon=None)
    assert (found.state_values[0] == [4, 0]).all()
    assert (found.visit_counts[0] == [1, np.inf]).all()


def test_a_gain_and_a_loss_without_end_are_no_number() -> None:
    world = deterministic_world([[1, 2], [1, 1], [2, 2]], [[0, 0], [1, 1], [-1, -1]], [[False] * 2] * 3)
    found = evaluate(world, uniform_policy(world), horizon=None)
    assert np.isnan(found.state_values[0, 0])
    assert (found.state_values[0, 1:] == [np.inf, -np.inf]).all()


def test_a_policy_that_walks_in_circles_earns_nothing() -> None:
    """Even where every action leads on, and next to a run whose policy does end its episodes."""
    world = deterministic_world([[1, 0], [0, 1]], [[0, 0], [0, 1]], [[False, False], [False, True]])
    circles, ends = np.eye(2)[[0, 0]], np.eye(2)[[0, 1]]
    found = evaluate(world, np.stack([circles, ends]), horizon=None)
    assert (found.expected_return == [0, 1]).all()
    assert (found.expected_length == [np.inf, 2]).all()
    assert (visit_counts(world, np.stack([circles, ends]), horizon=None, discount=0.5).sum(-1) == [2, 1.5]).all()


def test_experience_without_end_is_refused_or_discounted() -> None:
    world = fork()
    pi = uniform_policy(world)
    for weighting in ({"discount": 0.9}, {"discount": 1.0, "discount_weighting": True}):
        with pytest.raises(ValueError, match=r"may never end.*give a horizon, or a discount below 1"):
            expected_experience(world, pi, horizon=None, **weighting)  # type: ignore[arg-type]
    counts = expected_experience(world, pi, horizon=None, discount=0.5, discount_weighting=True).visit_counts
    stays = 0.5 * 0.5 / (1 - 0.5)  # half of the episodes, from t = 1 on
    close(counts[0], [1.0, stays, 0, 0, 0], atol=1e-12)


def test_states_that_never_end_do_not_matter_where_no_episode_comes() -> None:
    """State 1 cannot be reached, and its entropy would be collected for ever."""
    world = deterministic_world([[0, 0], [1, 1]], [[1.0, 0.0], [0.0, 0.0]], [[True] * 2, [False] * 2])
    pi = uniform_policy(world)
    found = expected_experience(world, pi, horizon=None, entropy_bonus=entropy(pi))
    close(found.advantage_sums[0], [[0.25, -0.25], [0.0, 0.0]], atol=1e-12)
    gradient = exact_gradient(world, np.zeros((1, 2, 2)), horizon=None, entropy_coef=1.0, objective="soft_return")
    close(gradient[0], [[0.25, -0.25], [0.0, 0.0]], atol=1e-12)


def leaving(chance: float) -> FiniteMDP:
    """One state: action 0 ends the episode with a chance, action 1 surely."""
    return FiniteMDP(
        next_state=np.zeros((1, 2, 2), dtype=np.int64),
        reward=np.ones((1, 2, 2)),
        terminated=np.array([[[True, False], [True, False]]]),
        probability=np.array([[[chance, 1 - chance], [1.0, 0.0]]]),
        start=np.ones(1),
    )


@pytest.mark.parametrize(
    ("chance", "stays"),
    [(0.5, [1.0, 0.0]), (1e-17, [1.0, 0.0]), (0.0, [1.0, 0.0]), (0.5, [np.nan, np.nan])],
    ids=["ends", "ends in theory", "never ends", "broken"],
)
def test_a_run_without_end_leaves_its_neighbours_alone(chance: float, stays: list[float]) -> None:
    pi: Floats = np.array([[stays], [[0.25, 0.75]]])
    found = expected_experience(leaving(chance), pi, horizon=None)
    alone = expected_experience(leaving(chance), pi[[1]], horizon=None)
    assert np.isfinite(found.visit_counts[0]).all() == (chance == 0.5 and stays[0] == 1.0)
    assert (found.visit_counts[1] == alone.visit_counts[0]).all()
    assert (found.advantage_sums[1] == alone.advantage_sums[0]).all()
    assert np.isfinite(alone.advantage_sums).all()


def test_an_episode_that_takes_longer_than_numbers_can_tell_never_ends() -> None:
    """Ten rare actions in a row end it: 1e-30 is not zero, and no difference from 1."""
    states = 10
    on = [[0, min(s + 1, states - 1)] for s in range(states)]
    chain = deterministic_world(on, [[-1.0, -1.0]] * states, [[False, s == states - 1] for s in range(states)])
    rare = np.array([1e-3, 1e-1, 0.5])
    pi = np.broadcast_to(np.stack([1 - rare, rare], axis=-1)[:, None], (3, states, 2))
    lengths = visit_counts(chain, pi, horizon=None).sum(-1)
    # of a run of n successes: (1 - p^n) / (p^n (1 - p)) trials
    np.testing.assert_allclose(
        lengths[1:], (1 - rare[1:] ** 10) / (rare[1:] ** 10 * (1 - rare[1:])), rtol=1e-4, atol=0
    )
    assert lengths[0] == np.inf
