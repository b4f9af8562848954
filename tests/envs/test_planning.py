"""Optimal values are those of the best of all policies; soft optima have their known closed forms."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from envs.exact import evaluate, exact_gradient
from envs.planning import optimal_actions, optimal_values
from experiments.gradients.cases import TAXI
from tests.envs.soft_optimal import soft_optimal
from tests.envs.tiny_worlds import (
    Floats,
    bandit,
    corner_trap,
    deterministic_world,
    entropy,
    from_gymnasium,
    random_world,
    two_states,
)

SEEDS = st.integers(0, 10_000)
close = np.testing.assert_allclose


def every_policy(states: int, actions: int) -> Floats:
    """All deterministic policies, [A^S, S, A]."""
    return np.eye(actions)[list(product(range(actions), repeat=states))]


@given(seed=SEEDS, discount=st.sampled_from([0.0, 0.5, 0.95]))
@settings(deadline=None, max_examples=30)
def test_no_stationary_policy_is_better_and_one_is_as_good(seed: int, discount: float) -> None:
    mdp = random_world(seed, states=4, actions=3)
    of_all = evaluate(mdp, every_policy(4, 3), horizon=None, discount=discount).state_values
    action_values, state_values = optimal_values(mdp, horizon=None, discount=discount)
    close(state_values, of_all.max(0), atol=1e-12)
    expected_next = np.where(mdp.terminated, 0, state_values[mdp.next_state])
    close(action_values, (mdp.probability * (mdp.reward + discount * expected_next)).sum(-1), atol=1e-12)


@given(seed=SEEDS)
@settings(deadline=None, max_examples=20)
def test_with_a_limit_the_best_first_action_leads_to_the_best_of_what_is_left(seed: int) -> None:
    """Two steps: every first action at every state, with every policy of the second step."""
    mdp = random_world(seed)
    second = evaluate(mdp, every_policy(3, 2), horizon=1).state_values.max(0)
    first = (mdp.probability * (mdp.reward + 0.9 * np.where(mdp.terminated, 0, second[mdp.next_state]))).sum(-1)
    action_values, state_values = optimal_values(mdp, horizon=2, discount=0.9)
    close(action_values, first, atol=1e-12)
    close(state_values, first.max(-1), atol=1e-12)


@pytest.mark.parametrize(
    ("world_id", "limit", "best"), [("FrozenLake-v1", 100, 0.7442), ("FrozenLake8x8-v1", 200, 0.9132)]
)
def test_the_best_within_the_limit_on_the_frozen_lake(world_id: str, limit: int, best: float) -> None:
    mdp = from_gymnasium(world_id)
    _, state_values = optimal_values(mdp, horizon=limit, discount=1.0)
    assert state_values @ mdp.start == pytest.approx(best, abs=5e-5)


@pytest.mark.parametrize("world_id", ["FrozenLake-v1", "CliffWalking-v1", TAXI])
def test_without_a_limit_undiscounted_values_are_those_of_a_very_long_limit(world_id: str) -> None:
    mdp = from_gymnasium(world_id)
    for discount, horizon in ((1.0, 3000), (0.9, 400)):  # 0.9^400 = 5e-19
        forever, long = (optimal_values(mdp, horizon=h, discount=discount) for h in (None, horizon))
        close(forever[0], long[0], atol=1e-12, rtol=1e-12)
        close(forever[1], long[1], atol=1e-12, rtol=1e-12)


def test_known_optima() -> None:
    """14 / 17 on the slippery lake without limit; 13 steps along the cliff; 4 steps, then 5 for leaving."""
    lake, cliff, trap = from_gymnasium("FrozenLake-v1"), from_gymnasium("CliffWalking-v1"), corner_trap()
    close(optimal_values(lake, horizon=None, discount=1.0)[1] @ lake.start, 14 / 17, atol=1e-12)
    assert optimal_values(cliff, horizon=None, discount=1.0)[1] @ cliff.start == -13
    close(optimal_values(trap, horizon=None, discount=0.99)[1] @ trap.start, 5 * 0.99**4, atol=1e-12)


def test_waiting_for_ever_may_be_best() -> None:
    """Undiscounted: action 0 ends the episode with a loss, action 1 waits."""
    loss = deterministic_world([[0, 0]], [[-1.0, 0.0]], [[True, False]])
    assert optimal_values(loss, horizon=None, discount=1.0)[1][0] == 0


@pytest.mark.parametrize("reward", [1.0, -1.0])
def test_values_without_bound_are_refused_after_a_thousand_sweeps(reward: float) -> None:
    for ends in (False, reward > 0):  # a gain can be had for ever also where an episode could be ended
        endless = deterministic_world([[0, 0]], [[reward, reward]], [[ends, False]])
        with pytest.raises(ValueError, match=r"grow or fall for ever.*horizon or a discount below 1"):
            optimal_values(endless, horizon=None, discount=1.0)
        close(optimal_values(endless, horizon=None, discount=0.5)[1], reward / 0.5, atol=1e-12)


def test_a_tiny_reward_for_ever_is_refused_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.planning.MAX_SWEEPS", 500)
    endless = deterministic_world([[0, 0]], [[1.0, 1e-5]], [[True, False]])
    with pytest.raises(ValueError, match=r"still change after 500 sweeps.*horizon or a discount below 1"):
        optimal_values(endless, horizon=None, discount=1.0)


def test_a_long_way_with_a_cost_is_no_endless_cost() -> None:
    """A corridor whose only way out costs 1 for each of 3000 steps: its values are finite."""
    length = 3000
    following = [[min(state + 1, length - 1)] for state in range(length)]
    ends = [[state == length - 1] for state in range(length)]
    corridor = deterministic_world(following, [[-1.0]] * length, ends)
    assert optimal_values(corridor, horizon=None, discount=1.0)[1][0] == -length


def test_optimal_actions_are_all_those_that_are_as_good() -> None:
    trap = corner_trap()
    best = optimal_actions(trap, 0.99)
    assert best[0].tolist() == [
        False,
        True,
        False,
        False,
    ]  # right, along the edge: moves are up, right, down, left
    assert best[6].tolist() == [True, True, False, False]  # up or right, in either order
    assert best[[4, 20]].all()  # on a goal every action leaves
    assert optimal_actions(bandit([1.0, 1.0 - 5e-10, 1.0 - 5e-9]), 1.0).tolist() == [[True, True, False]]
    assert optimal_actions(trap, 1.0)[0].all()  # nothing discounts the time that is lost


def test_the_soft_optimum_of_a_bandit() -> None:
    for horizon, discount in ((1, 1.0), (None, 1.0), (None, 0.5)):
        policy, action_values, state_values = soft_optimal(
            bandit([1.0, 0.9, 0.1]), 0.2, horizon=horizon, discount=discount
        )
        close(policy[0], [0.61818, 0.37495, 0.00687], atol=5e-6)
        close(action_values, [[1.0, 0.9, 0.1]], atol=1e-12)
        close(state_values, 0.2 * logsumexp(np.array([5.0, 4.5, 0.5])), atol=1e-12)


@pytest.mark.parametrize("tau", [0.001, 0.2, 30.0])
def test_the_soft_return_goes_where_entropy_is(tau: float) -> None:
    """To end (1/5) is worth 0, to go on (4/5) the entropy of four actions; offset by ln 4 of each state, less."""
    for horizon in (2, None):
        policy, _, state_values = soft_optimal(two_states(), tau, horizon=horizon, discount=1.0)
        close(policy, [[0.1, 0.1, 0.4, 0.4], [0.25] * 4], atol=1e-12)
        close(state_values, tau * np.log([10, 4]), atol=1e-12 * tau)  # e^0 + e^0 + e^ln 4 + e^ln 4 = 10
        policy, _, state_values = soft_optimal(two_states(), tau, horizon=horizon, discount=1.0, offset=np.log(4))
        close(policy, np.full((2, 4), 0.25), atol=1e-12)
        close(state_values, [0, 0], atol=1e-12 * tau)


@given(seed=SEEDS, tau=st.sampled_from([0.05, 0.5, 2.0]), discount=st.sampled_from([0.5, 0.95]))
@settings(deadline=None, max_examples=30)
def test_at_the_soft_optimum_the_soft_gradient_is_zero(seed: int, tau: float, discount: float) -> None:
    """And its values are those that the evaluation of its policy finds."""
    mdp = random_world(seed, states=4, actions=3)
    policy, action_values, state_values = soft_optimal(mdp, tau, horizon=None, discount=discount, offset=0.3)
    bonus = tau * (entropy(np.maximum(policy, 1e-300)) - 0.3)
    found = evaluate(mdp, policy[None], horizon=None, discount=discount, entropy_bonus=bonus[None])
    scale = 1 + np.abs(state_values).max()
    close(found.state_values[0], state_values, atol=1e-11 * scale)
    close(found.action_values[0], action_values, atol=1e-11 * scale)
    logits = np.log(np.maximum(policy, 1e-300))[None]
    gradient = exact_gradient(
        mdp,
        logits,
        horizon=None,
        discount=discount,
        entropy_coef=tau,
        objective="soft_return",
        offset=0.3,
    )
    assert np.abs(gradient).max() < 1e-11 * scale


def test_a_long_limit_is_none() -> None:
    mdp = random_world(8)
    for long, forever in zip(
        soft_optimal(mdp, 0.3, horizon=500, discount=0.9),
        soft_optimal(mdp, 0.3, horizon=None, discount=0.9),
        strict=True,
    ):
        close(long, forever, atol=1e-12)


def test_with_little_entropy_the_soft_optimum_is_the_optimum() -> None:
    mdp = random_world(9, states=4, actions=3)
    for horizon in (3, None):
        _, best = optimal_values(mdp, horizon=horizon, discount=0.9)
        tau = 1e-6
        _, _, soft = soft_optimal(mdp, tau, horizon=horizon, discount=0.9)
        assert ((soft >= best - 1e-12) & (soft <= best + tau * np.log(3) / (1 - 0.9) + 1e-12)).all()


def test_entropy_that_pays_for_never_ending_is_refused() -> None:
    """To walk on the slippery lake costs nothing, so undiscounted entropy can be collected for ever."""
    lake = from_gymnasium("FrozenLake-v1")
    with pytest.raises(ValueError, match="pays for never ending an episode"):
        soft_optimal(lake, 0.01, horizon=None, discount=1.0)
    _, _, values = soft_optimal(lake, 0.01, horizon=None, discount=1.0, offset=np.log(4))
    assert 0 < values @ lake.start < 14 / 17  # every entropy is now at most 0


@pytest.mark.parametrize("seed", range(3))
def test_near_the_entropy_that_pays_too_much_values_are_right_or_refused(seed: int) -> None:
    """Bisection to the largest tau with finite values: what is returned solves V = soft maximum of Q."""
    rng = np.random.default_rng(seed)
    next_state, terminated = rng.integers(6, size=(6, 4)), rng.random((6, 4)) < 0.1
    terminated[0, 0] = True
    world = deterministic_world(next_state.tolist(), (-rng.random((6, 4))).tolist(), terminated.tolist())
    low, high = 0.0, 5.0
    for _ in range(45):
        tau = (low + high) / 2
        try:
            _, action_values, state_values = soft_optimal(world, tau, horizon=None, discount=1.0)
        except ValueError:
            high = tau
        else:
            low = tau
            ahead = np.where(world.terminated, 0.0, state_values[world.next_state])[..., 0]
            close(action_values, world.reward[..., 0] + ahead, rtol=1e-8, atol=1e-8)
            close(state_values, tau * logsumexp(action_values / tau, axis=1), rtol=1e-8, atol=1e-8)
    assert 0 < low < 5


def test_where_steps_cost_more_than_entropy_pays_the_values_are_finite() -> None:
    cliff = from_gymnasium("CliffWalking-v1")
    _, _, values = soft_optimal(cliff, 0.1, horizon=None, discount=1.0)
    _, _, long = soft_optimal(cliff, 0.1, horizon=400, discount=1.0)
    close(values, long, atol=1e-12 * 400, rtol=1e-12)


def test_what_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="tau: must be above 0"):
        soft_optimal(bandit([0.0, 1.0]), 0.0, horizon=1, discount=1.0)
    for horizon, discount, message in (
        (0, 1.0, "horizon: must be at least 1"),
        (1, 1.5, "discount: must lie"),
    ):
        with pytest.raises(ValueError, match=message):
            optimal_values(bandit([0.0, 1.0]), horizon=horizon, discount=discount)
