"""Returns-to-go by their definition; baselines unbiased, or biased by exactly what is said, by enumeration."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.returns import (
    RunningMean,
    batch_mean,
    leave_one_out,
    normalized,
    returns_to_go,
)

Array = NDArray[np.float64]
laws = settings(deadline=None, max_examples=40)


def rewards_of(seed: int, steps: int, runs: int, episodes: int) -> Array:
    """Random rewards, 0 after random ends."""
    rng = np.random.default_rng(seed)
    ends = rng.integers(1, steps + 1, size=(runs, episodes))
    return np.where(np.arange(steps)[:, None, None] < ends, rng.normal(size=(steps, runs, episodes)), 0.0)


# --- returns-to-go ---


@laws
@given(
    st.integers(0, 10_000),
    st.integers(1, 7),
    st.integers(1, 3),
    st.lists(st.sampled_from([0.0, 0.5, 0.97, 1.0]), min_size=1, max_size=4),
)
def test_returns_to_go_are_the_discounted_sums_of_what_follows(
    seed: int, steps: int, episodes: int, discounts: list[float]
) -> None:
    discount = np.array(discounts)
    rewards = rewards_of(seed, steps, len(discount), episodes)
    expected = np.zeros_like(rewards)
    for t in range(steps):
        for k in range(t, steps):
            expected[t] += discount[:, None] ** (k - t) * rewards[k]
    np.testing.assert_allclose(returns_to_go(rewards, discount), expected, rtol=1e-13, atol=1e-13)


def test_a_reward_counts_whole_where_it_is_earned_and_discounted_before() -> None:
    to_go = returns_to_go(np.array([0.0, 0.0, 8.0])[:, None, None], np.array([0.5]))
    assert to_go.ravel().tolist() == [2.0, 4.0, 8.0]


def test_returns_to_go_do_not_know_the_neighbours_discount() -> None:
    """Undiscounted runs alone take a shorter way; the numbers are the same, bit for bit."""
    rewards = rewards_of(3, steps=40, runs=2, episodes=5)
    together = returns_to_go(rewards, np.array([1.0, 0.9]))
    np.testing.assert_array_equal(together[:, :1], returns_to_go(rewards[:, :1], np.array([1.0])))
    np.testing.assert_array_equal(together[:, 1:], returns_to_go(rewards[:, 1:], np.array([0.9])))


def test_rewards_are_left_as_they_were() -> None:
    rewards = rewards_of(0, steps=4, runs=1, episodes=2)
    kept = rewards.copy()
    returns_to_go(rewards, np.array([0.9]))
    np.testing.assert_array_equal(rewards, kept)


# --- baselines: every possible batch of episodes, weighed with its probability ---


class EveryBatch:
    """Each batch of E episodes that a policy can produce in a world of two steps, one on each place of R.

    State 0: action 0 ends with reward 1, action 1 with 0 goes on to state 1. There the actions pay -1, 2, 3.
    The baselines are functions of returns [T, R, E]: with R as the list of possible batches, an expectation
    over batches is one weighted sum.
    """

    def __init__(self, episodes: int) -> None:
        self.policies = [np.array([0.3, 0.7]), np.array([0.2, 0.5, 0.3])]
        first, second = self.policies
        # A trajectory: probability, actions at t = 0 and 1 (-1: ended), rewards.
        trajectories = [(first[0], (0, -1), (1.0, 0.0))]
        trajectories += [(first[1] * second[a], (1, a), (0.0, (-1.0, 2.0, 3.0)[a])) for a in range(3)]
        batches = list(itertools.product(trajectories, repeat=episodes))
        self.probability = np.array([np.prod([p for p, _, _ in batch]) for batch in batches])
        self.actions = np.array([[actions for _, actions, _ in batch] for batch in batches]).transpose(2, 0, 1)
        self.rewards = np.array([[rewards for _, _, rewards in batch] for batch in batches]).transpose(2, 0, 1)
        self.episodes = episodes

    def expected_gradient(self, baseline: Callable[[Array], Array]) -> Array:
        """E of 1/E sum over e, t of (G_t - b_t) grad log pi(a_t|s_t), all five logits in a row."""
        to_go = returns_to_go(self.rewards, np.ones(len(self.probability)))
        advantages = to_go - baseline(to_go)
        parts = []
        for t, pi in enumerate(self.policies):
            live = self.actions[t] >= 0
            score = np.where(live[..., None], np.eye(len(pi))[self.actions[t]] - pi, 0.0)  # [R, E, A]
            parts.append(np.einsum("r,re,rea->a", self.probability, advantages[t], score) / self.episodes)
        return np.concatenate(parts)

    def gradient(self) -> Array:
        """Of the expected return J = pi0(0) + pi0(1) V1, by hand: pi_b (q_b - v) in each state, times visits."""
        first, second = self.policies
        paid = np.array([-1.0, 2.0, 3.0])
        value = second @ paid
        q = np.array([1.0, value])
        return np.concatenate([first * (q - first @ q), first[1] * second * (paid - value)])


@pytest.mark.parametrize("episodes", [2, 3, 4])
def test_leave_one_out_leaves_the_policy_gradient_unbiased(episodes: int) -> None:
    world = EveryBatch(episodes)
    np.testing.assert_allclose(world.expected_gradient(leave_one_out), world.gradient(), atol=1e-12)


@pytest.mark.parametrize("episodes", [2, 3, 4])
def test_the_batch_mean_shrinks_the_policy_gradient_by_exactly_one_over_the_episodes(episodes: int) -> None:
    world = EveryBatch(episodes)
    expected = (1 - 1 / episodes) * world.gradient()
    np.testing.assert_allclose(world.expected_gradient(batch_mean), expected, atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 1.3])
def test_a_baseline_that_is_known_before_leaves_the_policy_gradient_unbiased(value: float) -> None:
    """None, the running mean of earlier updates, a frozen value of the state: numbers known beforehand."""
    world = EveryBatch(2)
    np.testing.assert_allclose(
        world.expected_gradient(lambda to_go: np.full_like(to_go, value)), world.gradient(), atol=1e-12
    )


def test_leave_one_out_is_the_mean_of_the_others() -> None:
    returns = np.array([1.0, 2.0, 6.0])[None, None]
    np.testing.assert_allclose(leave_one_out(returns), np.array([4.0, 3.5, 1.5])[None, None], atol=1e-12)
    np.testing.assert_allclose(batch_mean(returns), np.array([3.0])[None, None], atol=1e-12)


@laws
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_leave_one_out_does_not_see_the_own_return(seed: int, episodes: int) -> None:
    returns = np.random.default_rng(seed).normal(size=(3, 2, episodes))
    changed = returns.copy()
    changed[1, 0, 0] += 100
    before, after = leave_one_out(returns), leave_one_out(changed)
    assert after[1, 0, 0] == pytest.approx(before[1, 0, 0], abs=1e-12)
    assert (after[1, 0, 1:] > before[1, 0, 1:] + 1).all()
    # Nor another time step or run.
    changed[1, 0] = returns[1, 0]
    np.testing.assert_array_equal(np.delete(after, 1, axis=0), np.delete(before, 1, axis=0))
    np.testing.assert_array_equal(after[:, 1], before[:, 1])


@laws
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_both_batch_baselines_point_the_same_way(seed: int, episodes: int) -> None:
    """G - leave_one_out = E / (E - 1) (G - mean): one more reason why the mean is off by 1 - 1/E."""
    returns = np.random.default_rng(seed).normal(size=(4, 2, episodes))
    np.testing.assert_allclose(
        returns - leave_one_out(returns), episodes / (episodes - 1) * (returns - batch_mean(returns)), atol=1e-12
    )


# --- baselines with a memory ---


def test_the_running_mean_is_that_of_all_earlier_returns() -> None:
    mean = RunningMean.start(runs=2)
    assert mean.baseline().tolist() == [0.0, 0.0]  # before the first update nothing is known
    mean = mean.after(np.array([6.0, 1.0]), np.array([3.0, 1.0]))
    assert mean.baseline().tolist() == [2.0, 1.0]
    mean = mean.after(np.array([2.0, 0.0]), np.array([1.0, 0.0]))  # the second run took no step
    assert mean.baseline().tolist() == [8 / 4, 1.0]


# --- normalisation ---


@laws
@given(st.integers(0, 10_000), st.lists(st.integers(2, 9), min_size=1, max_size=4))
def test_normalised_advantages_have_mean_0_and_deviation_1_in_each_run(seed: int, steps: list[int]) -> None:
    rng = np.random.default_rng(seed)
    run = rng.permutation(np.repeat(np.arange(len(steps)), steps))
    advantages = rng.normal(size=len(run)) * (1 + run) + 10 * run
    scaled = normalized(advantages, run, len(steps))
    for r in range(len(steps)):
        assert scaled[run == r].mean() == pytest.approx(0, abs=1e-7)
        assert scaled[run == r].std() == pytest.approx(1, abs=1e-5)
        alone = normalized(advantages[run == r], np.zeros(steps[r], np.int64), 1)
        np.testing.assert_array_equal(scaled[run == r], alone)  # a run does not know its neighbours


def test_a_single_advantage_is_its_own_mean() -> None:
    np.testing.assert_array_equal(normalized(np.array([3.0]), np.array([0]), runs=1), [0.0])


def test_advantages_that_differ_by_rounding_are_not_blown_up() -> None:
    """The deviation gains 1e-8: of one as small as that, half is left."""
    scaled = normalized(np.array([1e-8, -1e-8]), np.array([0, 0]), runs=1)
    np.testing.assert_allclose(scaled, [0.5, -0.5], atol=1e-12)


def test_equal_advantages_become_zero_and_an_absent_run_does_no_harm() -> None:
    scaled = normalized(np.array([2.0, 2.0, 2.0]), np.array([1, 1, 1]), runs=3)
    np.testing.assert_array_equal(scaled, [0.0, 0.0, 0.0])
