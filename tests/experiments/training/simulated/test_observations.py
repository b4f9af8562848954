"""Rows of a policy from raw observations, and the running moments that normalise them."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.training.simulated.observations import CLIP, Observations, RunningMoments

BOX = Box(-np.inf, np.inf, (2, 3), np.float32)


def learnt(batches: list[np.ndarray], runs: int = 1) -> Observations:
    """Observations that have seen the batches [N, 2, 3] in their run 0."""
    observations = Observations(BOX, runs, True, np.float64)
    for batch in batches:
        observations.learn(batch, np.array([0, *[len(batch)] * runs]))
    return observations


def drawn(seed: int, steps: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 5.0, (steps, 2, 3)).astype(np.float32)


def test_a_state_number_becomes_a_one_hot_code_counted_from_the_first() -> None:
    observations = Observations(Discrete(4, start=-1), 2, False, np.float32)
    rows = observations.rows(np.array([[-1, 0], [2, 1]]), np.array([0, 1]))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows.argmax(-1), [[0, 1], [3, 2]])
    assert (rows.sum(-1) == 1).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_numbers_are_laid_out_flat(dtype: type) -> None:
    observations = Observations(Box(0, 255, (2, 3), dtype), 1, False, np.float32)
    raw = observations.buffer(4)
    assert raw.shape == (4, 2, 3)
    assert raw.dtype == dtype
    raw[:] = np.arange(24).reshape(4, 2, 3)
    rows = observations.rows(raw[None], np.array([0]))
    np.testing.assert_array_equal(rows, np.arange(24).reshape(1, 4, 6))
    assert rows.dtype == np.float32


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
@settings(deadline=None, max_examples=30)
def test_running_moments_are_those_of_all_observations_together(lengths: list[int]) -> None:
    batches = [drawn(seed, steps) for seed, steps in enumerate(lengths)]
    moments = learnt(batches).moments
    assert moments is not None
    together = np.concatenate(batches).reshape(-1, 6).astype(np.float64)
    np.testing.assert_allclose(moments.mean[0], together.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moments.deviation[0], np.sqrt(together.var(0) + 1e-8), rtol=1e-10, atol=1e-12)


def test_rows_are_normalised_by_what_their_own_run_has_seen() -> None:
    observations = Observations(BOX, 3, True, np.float64)
    batch = drawn(0, 50)
    observations.learn(batch, np.array([0, 20, 20, 50]))  # run 1 has seen nothing
    rows = observations.rows(np.stack([batch[:20], batch[:20], batch[30:]]), np.array([0, 1, 2]))
    np.testing.assert_allclose(rows[0].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(rows[0].std(0), 1, atol=1e-7)  # the deviation is that of a variance plus 1e-8
    np.testing.assert_allclose(rows[1], np.clip(batch[:20].reshape(20, 6), -CLIP, CLIP), rtol=1e-7, atol=1e-7)
    of_run_2 = batch[20:].reshape(30, 6).astype(float)
    expected = (of_run_2[10:] - of_run_2.mean(0)) / of_run_2.std(0)
    np.testing.assert_allclose(rows[2], expected, rtol=1e-7, atol=1e-7)


def test_a_number_that_moves_for_the_first_time_is_clipped() -> None:
    observations = learnt([np.zeros((5, 2, 3), np.float32)])
    rows = observations.rows(np.full((1, 1, 2, 3), 0.5, np.float32), np.array([0]))
    assert (rows == CLIP).all()


def test_stored_parameters_give_the_same_rows() -> None:
    observations = learnt([drawn(0, 30)])
    parameters, raw = observations.parameters(), drawn(1, 7)
    seen = raw.reshape(7, 6).astype(np.float64)
    rows = ((seen - parameters["observation_mean"][0]) / parameters["observation_deviation"][0]).clip(-10, 10)
    np.testing.assert_allclose(rows, observations.rows(raw[None], np.array([0]))[0], rtol=1e-12, atol=1e-12)
    assert Observations(BOX, 1, False, np.float64).parameters() == {}


def test_moments_go_on_from_a_state() -> None:
    first, second = drawn(0, 8), drawn(1, 8)
    whole, resumed = learnt([first, second]), learnt([])
    resumed.load(learnt([first]).state())
    resumed.learn(second, np.array([0, 8]))
    assert isinstance(whole.moments, RunningMoments)
    assert isinstance(resumed.moments, RunningMoments)
    for one, other in zip(whole.moments, resumed.moments, strict=True):
        np.testing.assert_array_equal(one, other)
