"""Over a family of worlds the world is the unit, and sign flips of the mean difference decide."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.analysis import over_worlds
from experiments.analysis.claims import Claim, Verdict, judge
from experiments.analysis.exact_tests import Array
from experiments.analysis.over_worlds import mean_interval, mean_tails, world_means
from experiments.config.measures import is_time

SEEDS = 4  # of a world


def verdict_of(expect: str, measure: str = "succeeds", seeds: int = SEEDS, **arms: Any) -> Verdict:
    """The verdict on arms of whose worlds each has the same seeds: values [W, seeds]; NaN: the run failed, or the
    event of a time never came."""
    flat = {arm: np.asarray(column, float).ravel() for arm, column in arms.items()}
    failed = {arm: np.isnan(column) & (not is_time(measure)) for arm, column in flat.items()}
    values = {arm: {measure: column, "failed": failed[arm]} for arm, column in flat.items()}
    runs = {arm: len(columns[measure]) for arm, columns in values.items()}
    worlds = {arm: np.arange(n) // seeds for arm, n in runs.items()}
    numbers = {arm: np.arange(n) % seeds for arm, n in runs.items()}
    return judge([Claim("a statement", measure, expect)], values, numbers, worlds=worlds)[0]


def succeeding(*counts: int) -> Array:
    """In the worlds so many of the seeds each, [W, SEEDS]."""
    return np.array([[seed < count for seed in range(SEEDS)] for count in counts])


# --- the test


@pytest.mark.parametrize(
    "apart", [[0.5, 0.25, 0.75, 1.0, -0.25, 0.5, 0.0], [1.0] * 6, [0.0] * 7, [-3, 1, 1, 1, 2, 0]]
)
def test_the_tails_are_those_of_all_choices_of_signs(apart: list[float]) -> None:
    found = mean_tails(np.array(apart))
    means = [np.dot(signs, apart) for signs in itertools.product([1, -1], repeat=len(apart))]
    assert found.low == np.mean([mean <= sum(apart) + 1e-9 for mean in means])
    assert found.high == np.mean([mean >= sum(apart) - 1e-9 for mean in means])


def test_many_worlds_take_fixed_choices_of_signs_that_agree_with_all() -> None:
    """Of 20 worlds all 2^20 choices can still be counted, one world after the other, for whole differences."""
    apart = np.array([3, 2, -1, 4, 0, 1, -2, 5, 1, 1, -3, 2, 2, 0, 1, -1, 3, -2, 1, 2], float)
    ways = {0: 1}
    for step in apart.astype(int).tolist():
        ways = {
            total: ways.get(total - step, 0) + ways.get(total + step, 0)
            for total in {t + s for t in ways for s in (step, -step)}
        }
    exact = sum(number for total, number in ways.items() if total >= apart.sum()) / 2**20
    found = mean_tails(apart)
    assert found == mean_tails(apart)
    assert found.high == pytest.approx(exact, abs=4 * math.sqrt(exact / 100_000))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-4, 4), min_size=6, max_size=20))
def test_turning_every_difference_round_exchanges_the_tails(apart: list[int]) -> None:
    one, other = mean_tails(np.array(apart, float)), mean_tails(-np.array(apart, float))
    assert (one.low, one.high) == (other.high, other.low)


def test_the_largest_mean_has_the_rarest_choice_of_signs() -> None:
    assert mean_tails(np.ones(8)).high == 1 / 2**8
    assert mean_tails(np.ones(60)).high == 1 / 100_000  # one of the choices: the data's own


def test_a_truth_is_subtracted() -> None:
    apart = np.array([0.5, 0.2, 0.1, 0.9, 0.3, 0.4, 0.7])
    assert mean_tails(apart, 0.4) == mean_tails(apart - 0.4)


@pytest.mark.parametrize("worlds", range(1, 6))
def test_fewer_than_six_worlds_are_always_inconclusive(worlds: int) -> None:
    found = verdict_of("a > b", a=succeeding(*[SEEDS] * worlds), b=succeeding(*[0] * worlds))
    assert (found.verdict, found.p, found.more_seeds) == ("inconclusive", 1.0, None)
    assert (found.low, found.high) == (None, None)


def test_six_worlds_can_decide() -> None:
    found = verdict_of("a > b", a=succeeding(*[SEEDS] * 6), b=succeeding(*[0] * 6))
    assert (found.verdict, found.p, found.n) == ("supported", 2 / 2**6, 6)


# --- the unit


def test_a_verdict_by_hand() -> None:
    a, b = succeeding(4, 3, 2, 4, 0, 1, 4), succeeding(0, 1, 2, 1, 1, 0, 1)
    apart = np.array([4, 2, 0, 3, -1, 1, 3]) / 4
    found = verdict_of("a > b", a=a, b=b)
    assert found.effect == pytest.approx(apart.mean())
    assert found.p == pytest.approx(mean_tails(apart).two_sided)
    assert found.worlds == {"higher": 5, "equal": 1, "lower": 1, "sign_test_p": pytest.approx(2 * 7 / 64)}
    assert found.n == 7
    assert found.low is not None
    assert found.high is not None
    assert found.low < apart.mean() < found.high


def test_copies_of_seeds_decide_nothing() -> None:
    """A hundred seeds in one world are one world, and ten times the same seeds are no more evidence."""
    a, b = succeeding(4, 3, 2, 4, 0, 1, 4), succeeding(0, 1, 2, 1, 1, 0, 1)
    one = verdict_of("a > b", a=a, b=b)
    many = verdict_of("a > b", seeds=10 * SEEDS, a=np.repeat(a, 10, axis=1), b=np.repeat(b, 10, axis=1))
    assert (one.p, one.effect, one.n) == (many.p, pytest.approx(many.effect), many.n)


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(7 * SEEDS)))
def test_the_order_of_the_runs_does_not_matter(order: list[int]) -> None:
    a, b = succeeding(4, 3, 2, 4, 0, 1, 4).ravel(), succeeding(0, 1, 2, 1, 1, 0, 1).ravel()
    world, seed = np.arange(28) // SEEDS, np.arange(28) % SEEDS
    claim = Claim("a statement", "succeeds", "a > b")
    values = {"a": {"succeeds": a}, "b": {"succeeds": b}}
    plain = judge([claim], values, {"a": seed, "b": seed}, worlds={"a": world, "b": world})
    values["a"] = {"succeeds": a[order]}
    mixed = judge([claim], values, {"a": seed[order], "b": seed}, worlds={"a": world[order], "b": world})
    assert mixed == plain


def test_worlds_that_only_one_arm_has_are_left_out() -> None:
    a, b = succeeding(4, 4, 4, 4, 4, 4, 0), succeeding(0, 0, 0, 0, 0, 0)
    assert verdict_of("a > b", a=a, b=b).n == 6


def test_means_of_worlds() -> None:
    np.testing.assert_allclose(
        world_means(np.array([1.0, 2, 6, 4]), np.array([7, 3, 7, 3])), [3.0, 3.5], atol=1e-15
    )


# --- other expectations


def test_an_arm_may_be_compared_with_a_number() -> None:
    found = verdict_of("a > 0.5", a=succeeding(4, 4, 3, 4, 4, 4, 3, 4))
    assert found.verdict == "supported"
    assert found.effect == pytest.approx(30 / 32 - 0.5)


def test_arms_may_be_equal_within_a_margin() -> None:
    a = succeeding(*[2, 3, 1] * 6)
    assert verdict_of("a = b within 0.2", a=a, b=a).verdict == "supported"
    assert verdict_of("a = b within 0.2", a=succeeding(*[4] * 18), b=a).verdict == "refuted"


def test_a_time_is_a_share_of_the_budget_and_one_that_never_came_is_all_of_it() -> None:
    early, late = np.full((6, 1), 0.25), np.full((6, 1), np.nan)
    found = verdict_of("a < b", "first_success_env_step", seeds=1, a=early, b=late)
    assert (found.verdict, found.effect) == ("supported", -0.75)


# --- failed runs


def test_failed_runs_stand_at_their_worst_and_at_their_best() -> None:
    """Twelve worlds, all better but for runs without a value; with all of them against the claim none is."""
    a, b = np.ones((12, SEEDS)), np.zeros((12, SEEDS))
    a[:, 0] = np.nan
    found = verdict_of("a > b", a=a, b=b)
    assert (found.verdict, found.failed, found.effect) == ("supported", 12, 1.0)
    a[:, 1:] = np.nan
    assert verdict_of("a > b", a=a, b=b).verdict == "inconclusive"


def test_a_failed_run_leaves_a_mean_of_numbers_open() -> None:
    """A return has no lowest value, so that one failed run can outweigh all others."""
    a, b = np.ones((12, SEEDS)), np.zeros((12, SEEDS))
    assert verdict_of("a > b", "final_return", a=a, b=b).verdict == "supported"
    a[3, 2] = np.nan
    assert verdict_of("a > b", "final_return", a=a, b=b).verdict == "inconclusive"


# --- what illustrates


def test_the_interval_is_that_of_a_bootstrap_over_worlds() -> None:
    values = np.random.default_rng(5).normal(size=30)
    found = mean_interval(values)
    assert found.estimate == values.mean()
    error = values.std() / math.sqrt(30)  # what a bootstrap of the mean spreads
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_about_as_many_worlds_as_it_says_would_decide() -> None:
    """Effect .1 with spread .3: ((1.96 + .84) x 3)^2 = 71 worlds in all."""
    apart = np.where(np.arange(20) % 2, 0.4, -0.2)
    needed = over_worlds._worlds_needed(apart, 0.0, 0.05, 0.8)
    spread = apart.std(ddof=1)
    assert needed == math.ceil(((1.959964 + 0.841621) * spread / 0.1) ** 2)
