import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from experiments.analysis import estimates
from experiments.analysis.exact_tests import ALPHA
from experiments.config.measures import FailedAs

NUMBERS = st.floats(-5, 5, width=16)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_reproduces_newcombe_1998_table_1(successes: int, n: int, low: float, high: float) -> None:
    interval = estimates.wilson_interval(successes, n)
    assert (round(float(interval.low), 4), round(float(interval.high), 4)) == (low, high)


def test_wilson_is_scipys_elementwise() -> None:
    n = np.arange(1, 31)
    k = n // 3
    ours = estimates.wilson_interval(k, n)
    theirs = [stats.binomtest(int(a), int(b)).proportion_ci(method="wilson") for a, b in zip(k, n, strict=True)]
    np.testing.assert_allclose(np.stack(ours[1:], axis=1), np.array(theirs), atol=1e-12)


def test_wilson_ends_where_proportions_end() -> None:
    """Exactly, at no success and at nothing else."""
    n = np.arange(1, 200)
    assert (estimates.wilson_interval(np.zeros(len(n)), n).low == 0).all()
    assert (estimates.wilson_interval(n, n).high == 1).all()


def test_the_same_data_give_the_same_digits() -> None:
    np.testing.assert_array_equal(estimates.bootstrap_counts(9, 50), estimates.bootstrap_counts(9, 50))


def test_wilson_knows_nothing_without_a_trial() -> None:
    share, low, high = estimates.wilson_interval(0, 0)
    assert math.isnan(share)
    assert (low, high) == (0, 1)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 10, 41, 100])
def test_interquartile_mean_is_scipys_trimmed_mean(n: int) -> None:
    values = np.random.default_rng(n).normal(size=(n, 3))
    np.testing.assert_allclose(estimates.iqm_interval(values).estimate, stats.trim_mean(values, 0.25), atol=1e-12)


@pytest.mark.parametrize("n", [1, 3, 8, 13])
def test_a_resample_enters_through_the_counts_of_its_ranks(n: int) -> None:
    """The weights of a resample give the trimmed mean of the values it drew."""
    ranked = np.sort(np.random.default_rng(n).normal(size=n))
    counts = estimates.bootstrap_counts(n, 50)
    drawn = [stats.trim_mean(np.repeat(ranked, row.astype(int)), 0.25) for row in counts]
    np.testing.assert_allclose(estimates._trimmed_weights(counts) @ ranked, drawn, atol=1e-12)


def test_bootstrap_interval_agrees_with_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=60)
    ours = estimates.iqm_interval(values, resamples=20_000)
    theirs = stats.bootstrap(
        (values,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis=axis),
        n_resamples=20_000,
        method="percentile",
        vectorized=True,
        random_state=np.random.default_rng(1),  # its name up to SciPy 1.14, and still taken
    )
    # The Monte Carlo error of a 2.5 % quantile: .003 spreads at 20 000 resamples; four of them, twice.
    tolerance = 0.03 * theirs.standard_error
    np.testing.assert_allclose(ours[1:], theirs.confidence_interval, atol=tolerance)


def test_interquartile_interval_covers_the_truth() -> None:
    """500 data sets of 40 normal seeds in one call. The percentile bootstrap is a little short of its 95 %: at
    least 91 % are asked for, up to the .1 % quantile of 500 tries."""
    _, low, high = estimates.iqm_interval(np.random.default_rng(0).normal(size=(40, 500)))
    covered = int(((low <= 0) & (high >= 0)).sum())
    assert covered >= stats.binom.ppf(0.001, 500, 0.91)
    assert covered <= stats.binom.ppf(0.999, 500, 0.97)  # and it is no interval that covers everything


@pytest.mark.parametrize(("failed_as", "end"), [("low", -np.inf), ("high", np.inf)])
def test_a_failed_run_counts_as_the_end_that_is_worse(failed_as: FailedAs, end: float) -> None:
    """One of four is trimmed; two of four leave no number."""
    one, two = np.array([np.nan, 1.0, 2.0, 4.0]), np.array([np.nan, np.nan, 2.0, 4.0])
    assert estimates.iqm_interval(one, failed_as).estimate == (1 + 2) / 2 if failed_as == "low" else (2 + 4) / 2
    assert estimates.iqm_interval(two, failed_as).estimate == end
    for values in (one, two):
        filled = np.where(np.isnan(values), end, values)
        np.testing.assert_array_equal(estimates.iqm_interval(values, failed_as), estimates.iqm_interval(filled))


def test_failed_runs_are_left_out_where_neither_end_is_worse() -> None:
    columns = np.array([[np.nan, 1.0], [2.0, 2.0], [3.0, 3.0], [1.0, np.nan], [np.nan, 1.0], [7.0, 5.0]])
    band = estimates.iqm_interval(columns, "missing")
    for part, column in zip(np.transpose(band), columns.T, strict=True):
        np.testing.assert_array_equal(part, estimates.iqm_interval(column[~np.isnan(column)]))


def test_a_band_never_shrinks_by_failures() -> None:
    """Failed runs widen the interval on their side, to infinity if need be, and never narrow it there."""
    values = np.random.default_rng(0).normal(size=20)
    lows = []
    for failures in range(20):
        lows.append(estimates.iqm_interval(np.where(np.arange(20) < failures, np.nan, np.sort(values)[::-1])).low)
    assert (np.diff(np.array(lows)[np.isfinite(lows)]) <= 0).all()
    assert np.isneginf(lows[-10:]).all()
    assert not np.isnan(lows).any()


def test_infinite_values_are_values() -> None:
    """Lengths of episodes that never end."""
    length = estimates.iqm_interval(np.array([1.0, 2.0, 3.0, np.inf, np.inf, np.inf]))
    assert tuple(map(float, length)) == (np.inf, pytest.approx(2.0, abs=1.0), np.inf)


def test_a_column_without_values_stays_missing() -> None:
    band = estimates.iqm_interval(np.array([[np.nan, 1.0], [np.nan, 3.0]]))
    assert np.isnan([part[0] for part in band]).all()
    assert band.estimate[1] == 2.0


@settings(deadline=None, max_examples=30)
@given(arrays(float, (2, 12), elements=NUMBERS), st.integers(1, 12))
def test_improvement_is_a_probability_and_its_complement(values: np.ndarray, n: int) -> None:
    apart = values[0, :n] - values[1, :n]
    paired, back = estimates.paired_improvement(apart), estimates.paired_improvement(-apart)
    assert 0 <= paired.low <= paired.estimate <= paired.high <= 1
    np.testing.assert_allclose(paired, [1 - back.estimate, 1 - back.high, 1 - back.low], atol=1e-9)


def test_paired_improvement_counts_ties_half() -> None:
    assert estimates.paired_improvement(np.array([1.0, 0.0, 2.0, -5.0])).estimate == (2 + 1 / 2) / 4


def test_performance_profile_is_the_fraction_above() -> None:
    profile = estimates.performance_profile(np.array([0.1, 0.5, 0.9, np.nan]), np.array([0.0, 0.5, 1.0]))
    np.testing.assert_array_equal(profile.estimate, [3 / 4, 1 / 4, 0])
    assert profile.low[0] == stats.binomtest(3, 4).proportion_ci(method="wilson").low


# Freireich et al. 1963, remission of acute leukaemia in weeks: the textbooks' survival data.
REMISSION = np.array([6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35], float)
RELAPSED = np.arange(21) < 9


def test_kaplan_meier_reproduces_the_freireich_table() -> None:
    curve = estimates.kaplan_meier(REMISSION, RELAPSED)
    at = dict(zip(curve.time.tolist(), curve.fraction.round(4).tolist(), strict=True))
    table = {0: 1, 6: 0.8571, 7: 0.8067, 10: 0.7529, 13: 0.6902, 16: 0.6275, 22: 0.5378, 23: 0.4482, 35: 0.4482}
    assert {time: at[time] for time in table} == table
    assert (curve.low <= curve.fraction).all()
    assert (curve.high >= curve.fraction).all()


def test_times_that_never_happened_stay_at_one() -> None:
    curve = estimates.kaplan_meier(np.full(4, 9.0), np.zeros(4, bool))
    np.testing.assert_array_equal(curve.fraction, [1, 1])


def test_holm_by_hand() -> None:
    """Sorted .005 .01 .03 .04 times 4 3 2 1, and never falling: .02 .03 .06 .06."""
    found = estimates.holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(found.adjusted, [0.03, 0.06, 0.06, 0.02], atol=1e-12)
    np.testing.assert_allclose(found.level, [ALPHA / 3, ALPHA / 1, ALPHA / 2, ALPHA / 4], atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_never_helps(p: list[float]) -> None:
    adjusted = estimates.holm(p).adjusted
    assert (adjusted >= np.array(p) - 1e-15).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-15).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_rliable_agrees() -> None:
    """The field's reference (Agarwal et al. 2021) on one task; it is an extra, not a dependency."""
    metrics = pytest.importorskip("rliable.metrics")
    try:
        library = pytest.importorskip("rliable.library")
    except TypeError as error:  # from arch 7.2, the newest that rliable 1.2 takes, beside pandas 3.1
        pytest.skip(f"rliable.library cannot be imported: {error}")
    rng = np.random.default_rng(0)
    x = rng.beta(5, 2, size=(60, 1))
    point, interval = library.get_interval_estimates(
        {"x": x}, lambda scores: np.array([metrics.aggregate_iqm(scores)]), reps=5000
    )
    ours = estimates.iqm_interval(x[:, 0], resamples=5000)
    assert ours.estimate == pytest.approx(point["x"][0])
    width = float(ours.high - ours.low)
    np.testing.assert_allclose(ours[1:], interval["x"][:, 0], atol=0.05 * width)  # rliable ignores its seed
    thresholds = np.linspace(0, 1, 11)
    profile, _ = library.create_performance_profile({"x": x}, thresholds, reps=10)
    np.testing.assert_allclose(
        estimates.performance_profile(x[:, 0], thresholds).estimate, profile["x"], atol=1e-12
    )
