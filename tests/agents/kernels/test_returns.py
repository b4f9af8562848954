"""Compiled returns-to-go, baselines and advantages of one run beside the readable ones of arrays [T, R, E]."""

import numpy as np
import pytest

from agents import returns as readable
from agents.kernels.episodes import Steps
from agents.kernels.returns import (
    BASELINES,
    add_up,
    count_and_add_up,
    discount_weights,
    move_values,
    normalize,
    returns_to_go,
    subtract_baseline,
)

LENGTHS, STATES = np.array([4, 1, 6, 3]), 5
T, E, N = LENGTHS.max(), len(LENGTHS), LENGTHS.sum()
LIVE = (np.arange(T)[:, None] < LENGTHS).sum(1)
TIME, EPISODE = np.nonzero(np.arange(T)[:, None] < LENGTHS)
RNG = np.random.default_rng(0)
STATE = RNG.integers(STATES, size=N).astype(np.uint32)
REWARD = RNG.normal(size=N)
BONUS, VALUES = RNG.normal(size=(2, STATES))
STEPS = Steps(
    STATE, STATE, EPISODE.astype(np.uint32), REWARD, LIVE, np.zeros(T), np.zeros(E), LENGTHS.astype(np.int64)
)


def dense(values: np.ndarray) -> np.ndarray:
    """[N] -> [T, 1, E]; 0 after the end of an episode."""
    found = np.zeros((T, 1, E))
    found[TIME, 0, EPISODE] = values
    return found


def at_steps(values: np.ndarray) -> np.ndarray:
    """[T, 1, E] -> [N]."""
    return np.broadcast_to(values, (T, 1, E))[TIME, 0, EPISODE]


@pytest.mark.parametrize("discount", [0.0, 0.9, 1.0])
def test_returns_to_go_are_the_readable_ones(discount: float) -> None:
    found = np.empty(N)
    for bonus in (np.zeros(STATES), BONUS):
        returns_to_go(STEPS, discount, bonus, found)
        paid = dense(bonus[STATE])
        expected = readable.returns_to_go(dense(REWARD) + paid, np.array([discount])) - paid
        np.testing.assert_allclose(found, at_steps(expected), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_are_the_readable_ones(name: str) -> None:
    table = dense(REWARD)
    baseline = {
        "none": np.zeros(N),
        "batch_mean": at_steps(readable.batch_mean(table)),
        "leave_one_out": at_steps(readable.leave_one_out(table)),
        "running_mean": np.full(N, 0.7),
        "value": VALUES[STATE],
    }
    found = np.empty(N)
    subtract_baseline(BASELINES.index(name), STEPS, REWARD, VALUES, 0.7, found)
    np.testing.assert_allclose(found, REWARD - baseline[name], rtol=0, atol=1e-14)


@pytest.mark.parametrize("advantages", [REWARD, np.full(N, 0.3), REWARD[:1]], ids=["some", "equal", "one"])
def test_normalised_advantages_are_the_readable_ones(advantages: np.ndarray) -> None:
    found = advantages.copy()
    normalize(found)
    expected = readable.normalized(advantages, np.zeros(len(found), np.int64), 1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-8)


def test_discount_weights_are_powers() -> None:
    found = np.empty(N)
    discount_weights(STEPS, 0.9, found)
    np.testing.assert_allclose(found, 0.9**TIME, rtol=1e-14, atol=0)


def test_sums_and_counts_are_those_of_numpy() -> None:
    sums = np.full(STATES, np.nan)
    add_up(STATE, REWARD, sums)
    np.testing.assert_array_equal(sums, np.bincount(STATE, REWARD, STATES))
    taken = 3 * STATE + RNG.integers(3, size=N).astype(np.uint32)
    visits, sums = np.full(STATES, np.nan), np.full(3 * STATES, np.nan)
    count_and_add_up(STEPS._replace(taken=taken), REWARD, visits, sums)
    np.testing.assert_array_equal(visits, np.bincount(STATE, minlength=STATES))
    np.testing.assert_array_equal(sums, np.bincount(taken, REWARD, 3 * STATES))


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_values_move_towards_the_mean_return_of_the_visited_states(rate: float) -> None:
    visits, sums = np.array([0.0, 2.0, 1.0, 0.0, 5.0]), RNG.normal(size=STATES)
    found = VALUES.copy()
    move_values(found, sums, visits, rate)
    mean = np.divide(sums, visits, out=VALUES.copy(), where=visits > 0)  # states without a visit keep their value
    np.testing.assert_allclose(found, VALUES + rate * (mean - VALUES), rtol=1e-14, atol=1e-15)
