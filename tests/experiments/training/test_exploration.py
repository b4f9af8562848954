"""The measures of exploration, each against its definition written another way."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.information import entropy_from_log
from experiments import train
from experiments.analysis.summary import summarize
from experiments.config.measures import RUN_MEASURES
from experiments.training import exploration
from experiments.training.loop import Training
from tests.experiments.comparisons import BANDIT, MLP, TABLE, TWO_ROOMS, comparison


def collapse_by_hand(curve: list[float]) -> int:
    """The first update from which on everything is below a tenth of a bit; -1: the last one is not."""
    below = [bits < 0.1 for bits in curve]
    return next((start for start in range(len(curve)) if all(below[start:])), -1)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.5, 2.0, math.nan]), min_size=1, max_size=12),
    st.integers(1, 13),
    st.integers(0, 9),
)
def test_the_entropy_has_collapsed_since_it_last_fell_below_a_tenth_of_a_bit(
    curve: list[float], at_once: int, rest: int
) -> None:
    since, length = np.array([-1]), len(curve) + rest
    bits, active = np.array([*curve, *[math.nan] * rest])[:, None], np.arange(length)[:, None] < len(curve)
    for first in range(0, length, at_once):
        block = slice(first, first + at_once)
        since = exploration.entropy_collapse(since, bits[block], first, active[block])
    assert since.tolist() == [collapse_by_hand(curve)]


def distribution(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), shape[:-1])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_divergence_and_entropy_obey_their_identities(seed: int) -> None:
    p, q = np.log(distribution(seed, 3, 4)), np.log(distribution(seed + 1, 3, 4))
    cross = -(np.exp(p) * q).sum(-1)
    assert exploration.kl_divergence(p, q) == pytest.approx(cross - entropy_from_log(p), abs=1e-12)
    uniform = np.full((3, 4), -math.log(4))
    assert exploration.kl_divergence(p, uniform) == pytest.approx(math.log(4) - entropy_from_log(p), abs=1e-12)
    assert (exploration.kl_divergence(p, p) == 0).all()


def test_cross_entropy_to_several_optimal_actions_is_that_of_their_sum() -> None:
    log_pi = np.log(np.array([[[0.5, 0.2, 0.2, 0.1], [0.97, 0.01, 0.01, 0.01]]]))
    optimal = np.array([[True, False, True, False], [False, True, False, False]])
    found = exploration.cross_entropy_to_optimal(log_pi, optimal)
    assert found[0] == pytest.approx([-math.log(0.7), -math.log(0.01)])


def test_cross_entropy_to_actions_whose_probabilities_underflow_is_that_of_their_logarithms() -> None:
    """-ln(e^-900 + e^-901) = 900 - ln(1 + 1/e), beside a state in which nothing underflows."""
    log_pi = np.array(
        [[[-900.0, 0.0, -901.0], [math.log(0.5), math.log(0.25), math.log(0.25)]], [[-2000.0, 0.0, -800.0]] * 2]
    )
    optimal = np.array([[True, False, True], [False, True, True]])
    expected = [[900 - math.log(1 + math.exp(-1)), math.log(2)], [800, 0]]
    np.testing.assert_allclose(
        exploration.cross_entropy_to_optimal(log_pi, optimal), expected, rtol=1e-12, atol=1e-12
    )


def test_the_probability_of_the_optimal_actions_is_the_sum_of_theirs() -> None:
    pi = np.array([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]])
    optimal = np.array([[True, False, True], [False, True, False]])
    assert exploration.optimal_action_probability(pi, optimal) == pytest.approx(np.array([[0.75, 0.2], [1, 0.5]]))


def test_along_the_path_the_optimal_action_is_at_least_as_probable_as_its_surprise_says() -> None:
    """A mean of logarithms is below the logarithm of the mean (Jensen), or equal where nothing varies."""
    updates = train(comparison(TWO_ROOMS, TABLE, seeds=3, updates=5)).updates
    path, surprise = (
        updates[name].to_numpy() for name in ("path_optimal_action_probability", "cross_entropy_to_optimal")
    )
    assert (path >= np.exp(-surprise) - 1e-12).all()
    assert (path > np.exp(-surprise) + 1e-6).any()  # policies differ from state to state
    assert (path <= 1).all()


@pytest.mark.parametrize(("updates", "last"), [(1, 1), (9, 1), (20, 1), (40, 2), (300, 15)])
def test_the_end_of_a_run_is_the_last_twentieth_of_its_updates(updates: int, last: int) -> None:
    assert exploration.window(updates) == last


def test_means_over_visits_weigh_each_state_by_its_steps_or_count_it_once() -> None:
    values = np.array([[1.0, 2.0, 6.0], [5.0, 7.0, 9.0], [1.0, 1.0, 1.0]])
    visits = np.array([[3.0, 1.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]])  # expected ones are fractions
    np.testing.assert_array_equal(exploration.mean_over_visits(values, visits), [5 / 4, 7, np.nan])
    np.testing.assert_array_equal(exploration.mean_over_visited(values, visits), [3 / 2, 7, np.nan])


def test_the_mean_of_what_is_known_leaves_the_unknown_out() -> None:
    values = np.array([[1.0, np.nan, np.nan], [4.0, 5.0, np.nan], [4.0, np.nan, np.nan]])
    np.testing.assert_array_equal(exploration.mean_of_known(values), [3, 5, np.nan])


def test_the_first_success_of_a_run_is_the_earliest_end_of_an_episode_that_reaches_enough() -> None:
    """Three tenths are enough for .3, though their sum is not always as much in floating-point numbers."""
    returns = np.array([[0.3, 0.1 + 0.2, 0.2], [0.0, 0.3 - 1e-12, 0.0], [0.2, 0.3 - 1e-6, 0.0]])
    lengths = np.array([[9, 5, 2], [3, 4, 1], [1, 1, 1]])
    assert exploration.first_success(returns, lengths, 0.3).tolist() == [4, 3, -1]


def test_visit_entropy_is_that_of_the_shares() -> None:
    visits = np.array([[2.0, 2.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [7.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    visits = np.append(visits, [[0.25, 0.25, 0.0, 0.0]], axis=0)  # expected ones are fractions
    kept = visits.copy()
    assert exploration.visit_entropy_bits(visits).tolist() == [1.0, 2.0, 0.0, 0.0, 1.0]
    assert (visits == kept).all()  # nothing is renormalised in place


def test_coverage_counts_reachable_states_only() -> None:
    visited = np.array([[True, True, False, True], [False, False, False, False]])
    reachable = np.array([True, True, True, False])
    assert exploration.state_coverage(visited, reachable) == pytest.approx([2 / 3, 0])


@pytest.mark.parametrize("greedy_solved", [0.0, 1.0, math.nan])
@pytest.mark.parametrize("succeeds", [0.0, 1.0, math.nan])
@pytest.mark.parametrize("start", [0.90, 0.91, math.nan])
def test_stuck_is_sure_and_on_the_way_to_less(start: float, succeeds: float, greedy_solved: float) -> None:
    policy = np.array([[start, 1 - start, 0.0, 0.0]])
    (found,) = exploration.stuck(policy, np.array([succeeds]), np.array([greedy_solved]))
    if math.isnan(start + succeeds + greedy_solved):
        assert math.isnan(found)
    else:
        assert found == (start > 0.9 and not succeeds and not greedy_solved)


def test_a_level_is_reached_but_for_rounding_and_a_missing_value_reaches_nothing() -> None:
    values = np.array([0.1 + 0.2, 0.3, 0.3 - 1e-6, math.nan, math.inf])
    np.testing.assert_array_equal(exploration.reaches(values, 0.1 + 0.2), [1, 1, 0, math.nan, 1])
    assert np.isnan(exploration.reaches(values.reshape(1, 5), None)).all()


def test_first_success_is_the_earliest_episode_that_ends_well() -> None:
    returns = np.array([[0.2, 1.0, 1.0], [0.2, 0.0, 0.2]])
    lengths = np.array([[2.0, 9.0, 5.0], [2.0, 50.0, 2.0]])
    assert exploration.first_success(returns, lengths, 0.95).tolist() == [4, -1]


def test_regret_is_the_mean_shortfall_of_all_episodes() -> None:
    result = train(comparison(TWO_ROOMS, TABLE, seeds=2, updates=6))
    table = result.updates
    by_run: dict[tuple[str, int], list[float]] = {}
    for arm, seed, value in zip(
        *(table[name].to_pylist() for name in ("arm", "seed", "return_mean")), strict=True
    ):
        by_run.setdefault((arm, seed), []).append(1.0 - value)  # the best return is 1
    runs = result.runs
    for arm, seed, regret in zip(*(runs[name].to_pylist() for name in ("arm", "seed", "regret")), strict=True):
        assert regret == pytest.approx(np.mean(by_run[arm, seed]))


def test_never_successful_is_the_other_side_of_first_success() -> None:
    runs = train(comparison(TWO_ROOMS, MLP, seeds=4, updates=30)).runs
    never = runs["never_successful"].to_pylist()
    assert never == [step is None for step in runs["first_success_env_step"].to_pylist()]
    assert len(set(never)) == 2  # some have seen it, some have not


def test_a_time_that_most_runs_have_not_reached_is_no_number() -> None:
    config = comparison(TWO_ROOMS, TABLE, seeds=9, updates=3)
    training = Training(config)
    training.advance()
    columns = training.final()
    columns["first_success_env_step"] = np.array([5, 7, -1, -1, -1, -1, -1, -1, 9] + [1] * 9)
    without, with_entropy = summarize(config, training.runs, columns)["arms"].values()
    entry = without["measures"]["first_success_env_step"]
    assert (entry["estimate"], entry["low"], entry["high"], entry["count"]) == (None, 7.0, None, 3)
    assert with_entropy["measures"]["first_success_env_step"]["estimate"] == 1.0


def test_an_exact_run_takes_no_steps_and_has_no_first_success() -> None:
    config = comparison(BANDIT, {**TABLE, "gradient": "exact"}, seeds=1, updates=3)
    measured = train(config).summary["arms"]["with_entropy"]["measures"]
    assert "first_success_env_step" not in measured
    assert "never_successful" not in measured
    assert set(measured) <= set(RUN_MEASURES)


@pytest.mark.parametrize("mean", [exploration.mean_over_first, exploration.mean_of_known])
def test_a_mean_over_updates_does_not_depend_on_how_many_runs_stand_side_by_side(mean: Any) -> None:
    values = np.random.default_rng(0).normal(size=(20, 7))
    together = mean(values)
    assert [mean(values[:, [run]])[0] for run in range(7)] == together.tolist()
    assert together == pytest.approx([np.mean(column) for column in values.T], abs=1e-15)
