"""Failed, infinite and missing values: what is read from a table, and what an estimate makes of it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.analysis.summary import summarize
from experiments.analysis.values import counted, kind_of, values_of
from experiments.config.measures import RUN_MEASURES
from experiments.training.records import Runs
from tests.experiments.comparisons import BANDIT, TABLE, comparison

N = 8


def columns_of(measure: str, values: Any, failed: Any = (False,) * N) -> dict[str, np.ndarray]:
    return {measure: np.array(values), "failed": np.array(failed)}


def test_an_infinite_length_and_a_time_that_never_came_are_values() -> None:
    lengths = values_of("final_episode_length", columns_of("final_episode_length", [3.0, np.inf], [False, False]))
    times = values_of("first_success_env_step", columns_of("first_success_env_step", [3, -1], [False, False]))
    np.testing.assert_array_equal(lengths, [3, np.inf])
    np.testing.assert_array_equal(times, [3, np.inf])


def test_a_failed_run_has_no_value_but_of_what_happened_before() -> None:
    """Whatever its columns hold."""
    failed = [False, True, True]
    for measure, values, known in [
        ("final_episode_length", [3.0, np.inf, 7.0], [3, np.nan, np.nan]),
        ("stuck", [True, True, False], [1, np.nan, np.nan]),
        ("first_success_env_step", [-1, -1, 7], [np.inf, np.nan, 7]),
        ("never_successful", [True, True, False], [1, np.nan, 0]),
        ("failed", failed, [0, 1, 1]),
    ]:
        np.testing.assert_array_equal(values_of(measure, columns_of(measure, values, failed)), known)


def test_what_is_missing_is_missing_in_every_way_a_table_may_say_it() -> None:
    for values in ([True, None], np.array([1.0, np.nan]), np.array([True, None], object)):
        found = values_of("solved", {"solved": np.asarray(values)})
        np.testing.assert_array_equal(found, [1, np.nan])


def test_the_kind_is_the_measures_and_not_the_columns() -> None:
    """A fraction stays one where a missing value has made numbers of its truth values."""
    assert kind_of("solved", {"solved": np.array([1.0, np.nan])}) == "fraction"
    assert kind_of("mine", {"mine": np.array([True, False])}) == "fraction"
    assert kind_of("mine", {"mine": np.array([1.0])}) == "number"


def test_the_worse_end_is_that_of_the_measure() -> None:
    values = np.array([np.nan, 1.0])
    np.testing.assert_array_equal(counted(values, "low", "fraction"), [0, 1])
    np.testing.assert_array_equal(counted(values, "high", "fraction"), [1, 1])
    np.testing.assert_array_equal(counted(values, "low"), [-np.inf, 1])
    np.testing.assert_array_equal(counted(values, "high"), [np.inf, 1])
    np.testing.assert_array_equal(counted(values, "missing"), [1])


# --- summaries


def summary_of(measure: str, values: list[Any], failed: list[bool] | None = None, exact: bool = False) -> Any:
    """The entry of a measure; all other columns are those of eight runs without anything remarkable."""
    gradient = {"gradient": "exact"} if exact else {}
    config = comparison(BANDIT, {**TABLE, **gradient}, {"arm": {}}, seeds=len(values), updates=3)
    kinds = {"fraction": False, "number": 1.0, "time": 5}
    columns = {name: np.array([kinds[row.kind]] * len(values)) for name, row in RUN_MEASURES.items()}
    columns |= {"failed": np.zeros(len(values), bool) if failed is None else np.array(failed)}
    columns |= {"failed_update": np.where(columns["failed"], 1, -1), "env_steps": np.full(len(values), 9)}
    columns |= {measure: np.array(values)}
    runs = Runs.of(["arm"], range(len(values)))
    return summarize(config, runs, columns)["arms"]["arm"]["measures"].get(measure)


def test_a_failed_run_counts_as_the_worse_end_of_a_fraction() -> None:
    failed = [True] * 3 + [False] * 5
    assert summary_of("solved", [True] * N, failed)["count"] == 5
    assert summary_of("stuck", [False] * N, failed)["count"] == 3
    assert summary_of("solved", [False] * N, [True] * N)["count"] == 0  # all have failed, and none has solved it


def test_a_failed_run_counts_as_the_worse_end_of_a_number() -> None:
    """A quarter is trimmed; of more than that no number is left."""
    few = summary_of("final_return", [np.nan] * 2 + [1.0] * 6, [True] * 2 + [False] * 6)
    assert (few["estimate"], few["high"], few["mean"], few["n"], few["left_out"]) == (1.0, 1.0, None, N, 0)
    assert few["low"] is None
    many = summary_of("final_return", [np.nan] * 3 + [1.0] * 5, [True] * 3 + [False] * 5)
    assert many["estimate"] is None


def test_a_failed_run_is_left_out_where_neither_end_is_worse_and_the_number_is_shown() -> None:
    entry = summary_of("final_entropy_bits", [np.nan] * 3 + [1.0] * 5, [True] * 3 + [False] * 5)
    assert (entry["estimate"], entry["mean"], entry["n"], entry["left_out"]) == (1.0, 1.0, 5, 3)
    assert summary_of("final_entropy_bits", [np.nan] * N, [True] * N) is None


def test_episodes_that_never_end_are_the_longest() -> None:
    """They were dropped, and the arm counted as the shortest."""
    entry = summary_of("final_episode_length", [np.inf] * 7 + [3.0])
    assert (entry["estimate"], entry["n"], entry["left_out"]) == (None, N, 0)
    assert summary_of("final_episode_length", [np.inf] + [3.0] * 7)["estimate"] == 3.0


def test_times_of_failed_runs() -> None:
    failed = [True] * 3 + [False] * 5
    first = summary_of("first_success_env_step", [-1, -1, 4, 5, 5, 6, 7, 9], failed)
    assert (first["estimate"], first["count"], first["left_out"]) == (6.5, 6, 0)
    collapse = summary_of("entropy_collapse_update", [-1, -1, -1, 5, 5, 6, 7, 9], failed)
    assert (collapse["estimate"], collapse["n"], collapse["left_out"]) == (6, 5, 3)


def test_a_measure_that_means_nothing_has_no_entry() -> None:
    for measure in ("stuck", "solved", "final_return", "regret"):
        assert summary_of(measure, [np.nan] * N) is None
        assert summary_of(measure, [None] * N) is None


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(
        [name for name, measure in RUN_MEASURES.items() if measure.failed_as != "missing" and name != "failed"]
    ),
    st.lists(st.sampled_from([0, 1]), min_size=4, max_size=12),
    st.data(),
)
def test_a_failure_never_makes_an_estimate_better(measure: str, values: list[int], data: st.DataObject) -> None:
    row = RUN_MEASURES[measure]
    typed: list[Any] = [bool(v) if row.kind == "fraction" else float(v) for v in values]
    broken = data.draw(st.sets(st.integers(0, len(values) - 1)))
    before = summary_of(measure, typed)
    failed = [run in broken for run in range(len(values))]
    unknown = {"fraction": math.nan, "number": math.nan, "time": -1}[row.kind]
    after = summary_of(measure, [unknown if f else v for f, v in zip(failed, typed, strict=True)], failed)
    if after is None:
        assert all(failed)
        return
    worse = -math.inf if row.failed_as == "low" else math.inf
    ends = [
        [worse if entry[end] is None else entry[end] for end in ("estimate", "low", "high")]
        for entry in (before, after)
    ]
    sign = 1 if row.failed_as == "low" else -1
    assert sign * ends[1][0] <= sign * ends[0][0]


@pytest.mark.parametrize("measure", RUN_MEASURES)
def test_only_what_has_no_better_end_is_left_out(measure: str) -> None:
    """Lengths, entropies, divergences and what was counted; returns are better high, regrets better low."""
    neutral = any(
        word in measure
        for word in ("length", "entropy_", "entropy_bits", "kl_", "env_steps", "episodes", "collapse")
    )
    neutral &= measure != "final_cross_entropy_to_optimal"
    assert (RUN_MEASURES[measure].failed_as == "missing") == neutral
