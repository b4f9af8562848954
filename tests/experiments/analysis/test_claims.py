import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.analysis import power, wording
from experiments.analysis.claims import Claim, Verdict, compare, decide, judge, read_claim
from experiments.analysis.estimates import paired_improvement
from experiments.analysis.exact_tests import ALPHA, binomial_tails

Columns = dict[str, Any]


def verdict_of(
    expect: str, measure: str = "solved", exact: tuple[str, ...] = (), plan: bool = True, **arms: Any
) -> Verdict:
    """The verdict on one claim about arms that share the seeds 0, 1, ...

    Args:
        plan: whether to tell how many more seeds would decide it, which takes longer than the verdict.
    """
    values = {arm: {measure: np.asarray(column)} for arm, column in arms.items()}
    return _judged(Claim("a statement", measure, expect), values, exact, plan)


def _judged(claim: Claim, values: dict[str, Columns], exact: tuple[str, ...], plan: bool) -> Verdict:
    seeds = {arm: np.arange(len(columns[claim.measure])) for arm, columns in values.items()}
    if plan:
        return judge([claim], values, seeds, exact)[0]
    return decide([replace(compare(claim, values, seeds, exact), seeds_needed=lambda level: None)])[0]


def pairs(only_first: int, only_second: int, both: int = 0, neither: int = 0) -> Columns:
    """Two arms of booleans with these counts of pairs."""
    counts = [only_first, only_second, both, neither]
    return {"a": np.repeat([True, False, True, False], counts), "b": np.repeat([False, True, True, False], counts)}


# --- the rule


def test_the_adjusted_p_and_the_direction_decide() -> None:
    assert verdict_of("a > b", **pairs(20, 2)).verdict == "supported"
    assert verdict_of("a < b", **pairs(20, 2)).verdict == "refuted"
    assert verdict_of("a > b", **pairs(7, 2)).verdict == "inconclusive"


def test_a_verdict_on_booleans_by_hand() -> None:
    found = verdict_of("a > b", **pairs(9, 2, both=5, neither=4))
    assert found.test == "McNemar's exact test"
    assert found.p == found.p_adjusted == pytest.approx(134 / 2048)
    assert (found.effect, found.n, found.failed, found.limit) == (7 / 20, 20, 0, False)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 7 / 20 < found.high


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from(["solved", "final_return", "first_success_env_step"]), st.integers(2, 12))
def test_swapping_the_arms_flips_everything_but_the_p(data: st.DataObject, measure: str, n: int) -> None:
    values: st.SearchStrategy[Any] = (
        st.booleans() if measure == "solved" else st.sampled_from([0.0, 1.0, 2.5, None])
    )
    a, b = (data.draw(st.lists(values, min_size=n, max_size=n)) for _ in range(2))
    one = verdict_of("a < b", measure, a=a, b=b)
    other = verdict_of("a < b", measure, a=b, b=a)
    assert one.p == other.p
    flipped = {"supported": "refuted", "refuted": "supported", "inconclusive": "inconclusive"}
    assert other.verdict == flipped[one.verdict]
    if one.effect is not None:
        assert other.effect == pytest.approx(-one.effect)
        assert [other.low, other.high] == pytest.approx([one.high and -one.high, one.low and -one.low], abs=1e-9)
    assert verdict_of("b > a", measure, a=a, b=b).verdict == one.verdict


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=6))
def test_claims_are_corrected_together_and_across_experiments(counts: list[tuple[int, int]]) -> None:
    claim = Claim("s", "solved", "a > b")
    seeds = {"a": np.arange(31), "b": np.arange(31)}
    experiments = [
        {arm: {"solved": column} for arm, column in pairs(b, c, neither=31 - b - c).items()} for b, c in counts
    ]
    found = decide([compare(claim, values, seeds) for values in experiments])
    raw = sorted(binomial_tails(b, b + c, 0.5).two_sided for b, c in counts)
    holm = np.minimum(np.maximum.accumulate([p * (len(raw) - rank) for rank, p in enumerate(raw)]), 1)
    np.testing.assert_allclose(sorted(v.p_adjusted or 0 for v in found), holm, atol=1e-12)
    for verdict in found:
        assert (verdict.verdict == "inconclusive") == ((verdict.p_adjusted or 0) > ALPHA)
        assert verdict.more_seeds == 0 or verdict.verdict == "inconclusive"


def test_arms_are_paired_by_their_common_seeds() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(30) < 0.8, rng.random(30) < 0.3
    claim = Claim("s", "solved", "a > b")
    aligned = judge([claim], {"a": {"solved": a}, "b": {"solved": b}}, {"a": range(30), "b": range(30)})
    order = rng.permutation(30)
    extra = {"a": {"solved": np.append(a, [False] * 9)}, "b": {"solved": b[order]}}
    shuffled = judge([claim], extra, {"a": [*range(30), *range(50, 59)], "b": order})
    assert shuffled == aligned
    assert shuffled[0].n == 30


# --- measures


def test_numbers_are_compared_by_their_signs_and_paired() -> None:
    """A large spread between seeds that both arms share does not hide a small difference."""
    shared = np.random.default_rng(0).normal(0, 100, size=10)
    found = verdict_of("a > b", "final_return", a=shared + np.linspace(0.5, 1.5, 10), b=shared)
    assert found.verdict == "supported"
    assert (found.effect, found.test) == (1.0, "exact sign test of the pairs")
    assert found.mean_difference == pytest.approx(1.0)
    assert found.p == pytest.approx(2 / 2**10)
    assert found.improvement == pytest.approx(list(paired_improvement(np.ones(10))))  # all ten pairs


def test_equality_of_numbers_is_one_of_the_median_paired_difference() -> None:
    """Nine differences of 1 and one of -100: the mean is far from 1, and further from 0 than the margin."""
    found = verdict_of("a = b within 2", "final_return", a=[*[1.0] * 9, -100.0], b=np.zeros(10))
    assert (found.verdict, found.effect, found.mean_difference) == ("supported", 1.0, -9.1)
    assert found.p == pytest.approx(2 * (1 + 10) / 2**10)  # nine of ten above -2, ten below 2
    assert found.test == "two one-sided tests (exact sign test of the median paired difference)"


def test_a_difference_of_means_and_the_chance_of_being_higher_stand_beside_two_arms_numbers_alone() -> None:
    numbers = {"a": np.array([1.0, 2.0, 3.0, 5.0]), "b": np.array([0.0, 2.0, 4.0, 1.0])}
    for expect in ("a > b", "a = b within 1"):
        found = verdict_of(expect, "final_return", **numbers)
        assert found.improvement is not None
        assert found.improvement[0] == (2 + 1 / 2) / 4
        assert found.mean_difference == 1.0
    for found in (
        verdict_of("a > 1", "final_return", **numbers),
        verdict_of("a > b", "solved", **{arm: x > 1 for arm, x in numbers.items()}),
        verdict_of("a > b", "first_success_env_step", **numbers),
    ):
        assert (found.improvement, found.mean_difference) == (None, None)


def test_a_run_that_never_succeeded_is_later_than_any() -> None:
    early = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, np.nan]
    late = [np.nan, None, 31.0, 41.0, np.nan, 1e9, None]
    found = verdict_of("a < b", "first_success_env_step", a=early, b=late)
    assert (found.verdict, found.effect, found.failed) == ("supported", -6 / 7, 0)
    assert found.p == pytest.approx(2 / 2**6)


def test_one_arm_against_a_number() -> None:
    solved = np.arange(100) < 97
    assert verdict_of("a > 0.9", a=solved).verdict == "supported"
    assert verdict_of("a < 0.9", a=solved).verdict == "refuted"
    assert verdict_of("a > 0.95", a=solved).verdict == "inconclusive"
    found = verdict_of("a > 0.9", a=solved)
    assert found.effect == pytest.approx(0.07)
    assert found.p == pytest.approx(2 * stats.binom.sf(96, 100, 0.9))
    median = verdict_of("a > 1.5", "final_return", a=[1.0, *[2.0] * 9])
    assert (median.verdict, median.effect, median.test) == ("supported", 0.5, "exact sign test of the median")
    assert median.p == pytest.approx(2 * 11 / 2**10)


# --- failed and infinite values

MEASURES = ["solved", "final_return", "final_episode_length", "first_success_env_step"]
RELATIONS = [
    "a < b",
    "a > b",
    "a = b within 0.3",
    "a < 2",
    "a = 2 within 0.3",
    "inverted_u(a, b, c)",
    "inverted_u(a, b, d, c)",
]


@st.composite
def experiments(draw: st.DrawFn, failing: bool = True) -> tuple[str, str, int, dict[str, list[Any]], bool]:
    """A claim, and values of clear effects: each arm has one value in most of its runs, and some others (None: the
    run has failed) in a few or in half of them."""
    measure, expect = draw(st.sampled_from(MEASURES)), draw(st.sampled_from(RELATIONS))
    values = [True, False] if measure == "solved" else [0.0, 1.75, 2.0, 3.0, np.inf]
    assume(not (measure == "first_success_env_step" and "=" in expect))
    n = draw(st.sampled_from([1, 8, 20, 40]))
    exact = n == 1
    arms = {}
    for arm in "abcd":
        mostly, others = draw(st.sampled_from(values)), draw(st.sampled_from([0, n // 8, n // 4, n // 2]))
        strange = st.sampled_from([*values, None, None] if failing else values)
        strangers = [None] * others if failing and draw(st.booleans()) else [draw(strange) for _ in range(others)]
        arms[arm] = draw(st.permutations([mostly] * (n - others) + strangers))
        if exact and failing and draw(st.booleans()):
            arms[arm] = [None]
    return measure, expect, n, arms, exact


def judged(
    measure: str, expect: str, arms: dict[str, list[Any]], exact: bool = False, plan: bool = False
) -> Verdict:
    """The verdict; a run is marked as failed where it has no value."""
    filler = False if measure == "solved" else 2.0  # whatever a table may hold there: it does not count
    if measure == "first_success_env_step":
        filler = -1
    values = {
        arm: {
            measure: np.array([filler if value is None else value for value in column]),
            "failed": np.array([value is None for value in column]),
        }
        for arm, column in arms.items()
    }
    return _judged(Claim("s", measure, expect), values, tuple(arms) if exact else (), plan)


@settings(deadline=None, max_examples=150)
@given(experiments(), st.data())
def test_a_verdict_holds_whatever_the_failed_runs_would_have_come_to(
    experiment: tuple[str, str, int, dict[str, list[Any]], bool], data: st.DataObject
) -> None:
    measure, expect, _, arms, exact = experiment
    verdict = judged(measure, expect, arms, exact).verdict
    if verdict == "inconclusive":
        return
    values = [True, False] if measure == "solved" else [0.0, 1.75, 2.25, 9.0, np.inf]
    whatever = (
        st.sampled_from(values)
        if measure in ("solved", "first_success_env_step")
        else st.sampled_from([*values, -9.0])
    )
    alike = data.draw(st.booleans())  # the extremes lie where all failed runs of an arm come to the same
    completed = {}
    for arm, column in arms.items():
        value = data.draw(whatever)
        completed[arm] = [
            value if v is None and alike else data.draw(whatever) if v is None else v for v in column
        ]
    assert judged(measure, expect, completed, exact).verdict == verdict


@settings(deadline=None, max_examples=150)
@given(experiments(failing=False), st.data())
def test_runs_that_fail_never_decide_anything(
    experiment: tuple[str, str, int, dict[str, list[Any]], bool], data: st.DataObject
) -> None:
    measure, expect, n, arms, exact = experiment
    before = judged(measure, expect, arms, exact)
    gone = {arm: data.draw(st.sets(st.integers(0, n - 1), max_size=max(1, n // 4))) for arm in arms}
    failing = {arm: [None if k in gone[arm] else v for k, v in enumerate(column)] for arm, column in arms.items()}
    after = judged(measure, expect, failing, exact)
    assert after.verdict in (before.verdict, "inconclusive")
    assert after.failed == sum(
        len(gone[arm]) for arm in gone if arm in expect.replace("inverted_u", "").split(" within")[0]
    )


@settings(deadline=None, max_examples=100)
@given(experiments(failing=False))
def test_infinity_is_a_number_larger_than_any(
    experiment: tuple[str, str, int, dict[str, list[Any]], bool],
) -> None:
    measure, expect, _, arms, exact = experiment
    large = {arm: [1e9 if value == np.inf else value for value in column] for arm, column in arms.items()}
    one, other = judged(measure, expect, arms, exact), judged(measure, expect, large, exact)
    assert (one.verdict, one.p, one.failed) == (other.verdict, other.p, other.failed)


@settings(deadline=None, max_examples=100)
@given(experiments())
def test_exchanging_the_arms_exchanges_the_directions(
    experiment: tuple[str, str, int, dict[str, list[Any]], bool],
) -> None:
    measure, _, _, arms, exact = experiment
    other = {"a": arms["b"], "b": arms["a"]}
    for expect, mirrored in (("a < b", "a > b"), ("a = b within 0.3", "a = b within 0.3")):
        if measure == "first_success_env_step" and "=" in expect:
            continue
        one, two = judged(measure, expect, arms, exact), judged(measure, mirrored, other, exact)
        assert (one.verdict, one.failed) == (two.verdict, two.failed)
        assert one.p == (None if two.p is None else pytest.approx(two.p))
        if one.effect is not None and one.effect == one.effect:
            assert two.effect == pytest.approx(-one.effect)


def test_failed_runs_are_at_their_worst_in_each_direction() -> None:
    """Twenty pairs speak for the claim; how many failures of which arm does it bear?"""
    for failures, verdict in ((5, "supported"), (6, "inconclusive")):
        ends = [True] * (20 - failures) + [None] * failures
        assert judged("solved", "a > b", {"a": ends, "b": [False] * 20}).verdict == "supported"
        b = [False] * (20 - failures) + [None] * failures
        found = judged(
            "final_return", "a > b", {"a": [1.0] * 20, "b": [0.0 if v is not None else None for v in b]}
        )
        assert (found.verdict, found.failed, found.effect) == (verdict, failures, 1.0)
        assert found.p == pytest.approx(2 * stats.binom.cdf(failures, 20, 0.5))


def test_an_arm_that_overflows_is_neither_shorter_nor_less_random() -> None:
    """Its runs were "supported" to be both, having been filled in with the worst values seen."""
    for measure in ("final_episode_length", "final_entropy_bits", "final_return", "regret", "stuck"):
        for expect in ("a < b", "a > b", "a = b within 0.5"):
            b = [False] * 30 if measure == "stuck" else [1.0] * 30
            found = judged(measure, expect, {"a": [None] * 30, "b": b})
            assert (found.verdict, found.failed, found.effect) == ("inconclusive", 30, None)


def test_an_arm_whose_episodes_never_end_is_the_longest() -> None:
    found = judged("final_episode_length", "a > b", {"a": [np.inf] * 30, "b": [7.0] * 30})
    assert (found.verdict, found.effect, found.failed, found.mean_difference) == ("supported", 1.0, 0, None)
    assert judged("final_episode_length", "a > 100", {"a": [np.inf] * 30}).verdict == "supported"
    same = judged("final_episode_length", "a = b within 1", {"a": [np.inf] * 30, "b": [np.inf] * 30})
    assert (same.verdict, same.effect) == ("supported", 0.0)
    exact = judged("final_episode_length", "a < b", {"a": [np.inf], "b": [7.0]}, exact=True)
    assert exact.verdict == "refuted"


def test_an_equivalence_needs_both_extremes_inside_the_margin() -> None:
    same = [1.0] * 50
    for failures, verdict in ((10, "supported"), (25, "inconclusive")):
        some: list[float | None] = [None] * failures + same[failures:]
        assert judged("final_return", "a = b within 0.1", {"a": some, "b": same}).verdict == verdict
        assert judged("final_return", "a = 1 within 0.1", {"a": some}).verdict == verdict
    apart: list[float | None] = [None] * 10 + [2.0] * 40
    assert judged("final_return", "a = b within 0.1", {"a": apart, "b": same}).verdict == "refuted"
    for arms in ({"a": [None] * 10 + same[10:], "b": [True] * 50}, {"a": [True] * 50}):
        column: list[bool | None] = [None] * 10 + [True] * 40
        assert (
            judged(
                "solved", "a = b within 0.1" if "b" in arms else "a = 1 within 0.1", {**arms, "a": column}
            ).verdict
            == "inconclusive"
        )


def test_a_run_marked_as_failed_has_no_value_but_of_what_happened_before() -> None:
    """It keeps the time of an earlier success; one that did not come before it failed is unknown."""
    failed = np.arange(12) < 8
    columns = {
        "failed": failed,
        "stuck": np.zeros(12, bool),
        "first_success_env_step": np.where(np.arange(12) < 2, -1, 5.0),
        "never_successful": np.arange(12) < 2,
    }
    values = {"a": columns, "b": columns | {"failed": np.zeros(12, bool)}}
    measures = ("stuck", "first_success_env_step", "never_successful", "failed")
    found = {
        v.measure: v for v in judge([Claim("s", measure, "a > b") for measure in measures], values, _seeds(12))
    }
    assert {name: v.failed for name, v in found.items()} == {
        "stuck": 8, "first_success_env_step": 2, "never_successful": 2, "failed": 0
    }  # fmt: skip
    assert found["failed"].effect == 8 / 12
    assert found["stuck"].verdict == "inconclusive"


def test_seeds_that_would_decide_it_are_not_promised_where_failed_runs_leave_the_direction_open() -> None:
    open_ended = judged(
        "solved", "a > b", {"a": [True] * 3 + [None] * 9, "b": [False] * 6 + [None] * 6}, plan=True
    )
    assert (open_ended.verdict, open_ended.more_seeds) == ("inconclusive", None)
    few = judged("solved", "a > b", {"a": [True] * 4 + [None], "b": [False] * 5}, plan=True)
    assert few.more_seeds is not None


def test_a_value_that_is_missing_without_a_failure_is_said_to_be_missing() -> None:
    failed = np.arange(12) < 3
    nowhere = {"solved": np.full(12, np.nan), "failed": failed}
    somewhere = nowhere | {"solved": np.where(np.arange(12) < 5, np.nan, 1.0)}
    for columns, counts in ((nowhere, (6, 18)), (somewhere, (6, 4))):
        (found,) = judge([Claim("s", "solved", "a > b")], {"a": columns, "b": columns}, _seeds(12))
        assert (found.failed, found.missing) == counts
        said = wording.plain(wording.verdict_text(asdict(found)))
        assert "; 6 failed runs" in said
        assert said.endswith(f"; {counts[1]} runs that did not fail have no value")
    (found,) = judge([Claim("s", "failed", "a > b")], {"a": nowhere, "b": nowhere}, _seeds(12))
    assert (found.failed, found.missing) == (0, 0)


def test_a_measure_without_any_value_is_not_judged() -> None:
    nothing: list[None] = [None] * 40
    found = verdict_of("a < b", "stuck", a=nothing, b=nothing)
    assert (found.verdict, found.test, found.p, found.more_seeds) == (
        "inconclusive",
        "no run has a value",
        None,
        None,
    )


# --- runs without chance


def test_exact_runs_that_are_one_run_are_judged_by_their_sign() -> None:
    a, b = np.full(30, 0.98), np.full(30, 0.57)
    found = verdict_of("a > b", "final_return", exact=("a", "b"), a=a, b=b)
    assert (found.verdict, found.n, found.p, found.low) == ("supported", 1, None, None)
    assert found.effect == pytest.approx(0.41)
    assert verdict_of("a < b", "final_return", exact=("a", "b"), a=a, b=b).verdict == "refuted"
    assert verdict_of("a < b", "final_return", exact=("a", "b"), a=a, b=a).verdict == "refuted"
    assert verdict_of("a = b within 0.5", "final_return", exact=("a", "b"), a=a, b=b).verdict == "supported"
    assert verdict_of("a = b within 0.4", "final_return", exact=("a", "b"), a=a, b=b).verdict == "refuted"
    assert verdict_of("a > 0.9", "final_return", exact=("a", "b"), a=a, b=b).verdict == "supported"
    curve = verdict_of("inverted_u(a, b, c)", "final_return", exact=("a", "b", "c"), a=b, b=a, c=b)
    assert (curve.verdict, curve.test) == ("supported", "one run per arm, without chance: no test")


def test_rounding_is_no_difference() -> None:
    found = verdict_of("a > b", "final_return", exact=("a", "b"), a=[0.1 + 0.2], b=[0.3])
    assert found.verdict == "refuted"


def test_equal_runs_of_sampled_arms_are_still_many_runs() -> None:
    found = verdict_of("a > b", exact=(), **pairs(30, 0))
    assert (found.n, found.p) == (30, 2 / 2**30)


def test_an_exact_arm_beside_a_sampled_one_is_many_runs() -> None:
    """The sampled one's runs may have been equal by luck."""
    found = verdict_of("a > b", exact=("a",), **pairs(3, 0))
    assert (found.verdict, found.n, found.p) == ("inconclusive", 3, 2 / 2**3)


def test_exact_runs_of_a_family_are_one_per_world() -> None:
    values = {arm: {"solved": solved} for arm, solved in pairs(20, 0).items()}
    seeds, worlds = ({arm: numbers for arm in values} for numbers in ([0] * 20, range(20)))
    (found,) = judge([Claim("s", "solved", "a > b")], values, seeds, exact="ab", worlds=worlds)
    assert (found.verdict, found.n) == ("supported", 20)
    assert found.p is not None


def test_an_exact_run_that_failed_leaves_it_open() -> None:
    for a, b in (([None], [1.0]), ([1.0], [None])):
        columns = {"a": a, "b": b}
        found = judged("final_return", "a = b within 0.1", columns, exact=True)
        assert (found.verdict, found.p, found.p_adjusted, found.failed) == ("inconclusive", None, None, 1)


def test_exact_runs_from_different_initial_policies_are_many_runs() -> None:
    values = {arm: {"solved": solved, "final_return": np.arange(20.0)} for arm, solved in pairs(20, 0).items()}
    seeds = {"a": range(20), "b": range(20)}
    assert judge([Claim("s", "solved", "a > b")], values, seeds, exact=("a", "b"))[0].n == 20


def test_runs_without_chance_do_not_weaken_the_others() -> None:
    tested = compare(Claim("s", "solved", "a > b"), {k: {"solved": v} for k, v in pairs(9, 1).items()}, _seeds(10))
    certain = compare(
        Claim("s", "solved", "a > b"), {k: {"solved": v} for k, v in pairs(10, 0).items()}, _seeds(10), "ab"
    )
    assert decide([tested, certain, certain])[0].p_adjusted == tested.p


def _seeds(n: int) -> dict[str, range]:
    return {"a": range(n), "b": range(n)}


# --- equivalence and inverted U


def test_an_equivalence_is_cheap_at_the_ceiling_and_dear_at_half() -> None:
    ceiling = verdict_of("a = b within 0.1", **pairs(0, 0, both=100))
    assert ceiling.verdict == "supported"
    half = verdict_of("a = b within 0.1", **pairs(25, 25, both=25, neither=25))
    assert half.verdict == "inconclusive"
    assert 300 < (half.more_seeds or 0) < 600
    assert verdict_of("a = b within 0.1", **pairs(60, 5, both=35)).verdict == "refuted"
    assert verdict_of("a = 1 within 0.05", a=np.ones(100, bool)).verdict == "supported"
    assert verdict_of("a = 1 within 0.05", a=np.ones(30, bool)).verdict == "inconclusive"


def test_no_verdict_on_equality_comes_from_too_few_seeds() -> None:
    """No pair differs, but ten pairs cannot exclude a difference of .1. The plan is a normal
    approximation, and the least n of an exact test is ragged: a few more, or fewer, than planned."""
    found = verdict_of("a = b within 0.1", **pairs(0, 0, both=10))
    assert found.verdict == "inconclusive"
    assert found.more_seeds is not None
    assert verdict_of("a = b within 0.1", **pairs(0, 0, both=15 + found.more_seeds)).verdict == "supported"
    assert verdict_of("a = b within 0.1", **pairs(0, 0, both=7 + found.more_seeds)).verdict == "inconclusive"


def test_an_inverted_u_needs_its_peak_to_beat_both_ends() -> None:
    low, high, middle = np.zeros(60), np.ones(60), np.arange(60) % 2 / 1.0
    text = "inverted_u(a, b, c)"
    assert verdict_of(text, "final_return", a=low, b=high, c=middle).verdict == "supported"
    assert verdict_of(text, "final_return", a=low, b=middle, c=high).verdict == "refuted"
    assert verdict_of(text, "final_return", a=low, b=middle, c=middle).verdict == "inconclusive"
    assert verdict_of(text, "final_return", a=high, b=low, c=high).verdict == "refuted"


def test_an_undeclared_peak_pays_for_the_choice() -> None:
    peak = {"a": np.zeros(12, bool), "b": np.arange(12) < 8, "c": np.arange(12) < 4, "d": np.zeros(12, bool)}
    declared = verdict_of("inverted_u(a, *b, c, d)", **peak)
    chosen = verdict_of("inverted_u(a, b, c, d)", **peak)
    assert declared.p == pytest.approx(2 / 2**8)
    assert chosen.p == pytest.approx(2 * 2 / 2**8)
    assert verdict_of("inverted_u(a, b, *c, d)", **peak).p == pytest.approx(2 / 2**4)


@pytest.mark.parametrize(("n", "margin"), [(12, 0.01), (16, 0.3)])
def test_an_equivalence_that_holds_is_refuted_in_a_fortieth_at_most(n: int, margin: float) -> None:
    """By enumeration of all outcomes: refuting on either side costs a factor of two, as a small margin shows."""
    outcomes = [(b, c) for b in range(n + 1) for c in range(n + 1 - b)]
    verdicts = np.array(
        [verdict_of(f"a = b within {margin}", plan=False, **pairs(b, c, n - b - c)).verdict for b, c in outcomes]
    )
    refuted, supported = verdicts == "refuted", verdicts == "supported"
    for difference in (-margin, 0.0, margin):
        for rarer in np.linspace(0, (1 - margin) / 2, 30):
            first, second = rarer + max(difference, 0), rarer + max(-difference, 0)
            agree = max(1 - first - second, 0)
            chance = stats.multinomial.pmf([(b, c, n - b - c) for b, c in outcomes], n, [first, second, agree])
            assert chance[refuted].sum() <= ALPHA / 2
            if difference:
                assert chance[supported].sum() <= ALPHA / 2 * (1 + 1e-3)


# --- how often a verdict is wrong: simulated experiments whose truth is known. (Where all data sets can be listed,
# test_false_rates.py lists them.)

NULL_EXPERIMENTS = 600
WRONG = int(stats.binom.ppf(0.999, NULL_EXPERIMENTS, ALPHA / 2))  # 28: the 99.9 % quantile of the promise


def _null_return(rng: np.random.Generator) -> Columns:
    """Bimodal and skewed, as returns are: most at 1, a minority stuck at .2."""
    return {arm: np.where(rng.random(12) < 0.8, 1.0, 0.2) + 0.05 * rng.exponential(size=12) for arm in "ab"}


def _null_peaks(rng: np.random.Generator) -> Columns:
    return {arm: rng.random(60) < 0.5 for arm in "abcd"} | {"e": np.zeros(60, bool)}


def _null_median(rng: np.random.Generator) -> Columns:
    return {"a": rng.exponential(size=60)}


def _null_minority(rng: np.random.Generator) -> Columns:
    """As many pairs above as below, though the arms have different shapes: 5 % of one of them at the bottom."""
    bottom, noise = rng.random(30) < 0.05, 0.1 * rng.normal(size=(2, 30))
    above = stats.norm.ppf((0.5 - 0.05) / 0.95) * np.sqrt(2)  # shift at which half of the pairs are above
    return {"a": np.where(bottom, 0.0, 1.0) + noise[0], "b": 1 + 0.1 * above + noise[1]}


def _null_median_margin(rng: np.random.Generator) -> Columns:
    """The median paired difference is just the margin, 1; skewed, so that the mean is another."""
    return {"a": 1 - np.log(2) + rng.exponential(size=30), "b": np.zeros(30)}


@pytest.mark.parametrize(
    ("measure", "expect", "experiment"),
    [
        ("final_return", "a < b", _null_return),
        ("final_return", "a > b", _null_minority),
        ("final_return", "a = b within 1", _null_median_margin),
        ("final_return", f"a > {np.log(2)}", _null_median),
        pytest.param("solved", "inverted_u(a, b, c, d, e)", _null_peaks, marks=pytest.mark.slow),
    ],
)
def test_without_an_effect_at_most_a_fortieth_is_supported_and_a_fortieth_refuted(
    measure: str, expect: str, experiment: Any
) -> None:
    rng = np.random.default_rng(2024)
    found = [verdict_of(expect, measure, plan=False, **experiment(rng)).verdict for _ in range(NULL_EXPERIMENTS)]
    assert found.count("supported") <= WRONG
    assert found.count("refuted") <= WRONG


def test_of_many_null_claims_together_hardly_any_is_decided() -> None:
    """In a twentieth of the families at most is even one of eight claims decided."""
    rng = np.random.default_rng(7)
    families, claim = 200, Claim("s", "solved", "a < b")
    decided = 0
    for _ in range(families):
        columns = [{arm: {"solved": rng.random(40) < 0.5} for arm in "ab"} for _ in range(8)]
        found = [compare(claim, values, _seeds(40)) for values in columns]
        verdicts = decide([replace(comparison, seeds_needed=lambda level: None) for comparison in found])
        decided += any(v.verdict != "inconclusive" for v in verdicts)
    assert decided <= stats.binom.ppf(0.999, families, ALPHA)


def test_an_effect_is_found_as_often_as_computed() -> None:
    """a solves .8 and b .5, independently: P(only a) = .4, P(only b) = .1. The exact power says how often."""
    n = power.seeds_for_pairs(0.4, 0.1, ALPHA)
    assert n is not None
    expected = power.mcnemar_power(0.4, 0.1, n, ALPHA)
    rng = np.random.default_rng(11)
    trials = [
        verdict_of("a > b", plan=False, a=rng.random(n) < 0.8, b=rng.random(n) < 0.5).verdict for _ in range(1000)
    ]
    low, high = stats.binom.ppf([0.0005, 0.9995], 1000, expected)
    assert low <= trials.count("supported") <= high
    assert trials.count("refuted") <= 1


def test_an_effect_on_numbers_is_found_as_often_as_computed() -> None:
    """Half a spread: a pair is above with chance P(z < .5) = .69, and so often the exact power says."""
    higher = stats.norm.cdf(0.5)
    n = power.seeds_for_pairs(higher, 1 - higher, ALPHA)
    assert n is not None
    expected = power.mcnemar_power(higher, 1 - higher, n, ALPHA)
    rng = np.random.default_rng(5)
    trials = [
        verdict_of("a > b", "final_return", plan=False, a=rng.normal(0.5, 1, n), b=np.zeros(n)).verdict
        for _ in range(500)
    ]
    low, high = stats.binom.ppf([0.0005, 0.9995], 500, expected)
    assert low <= trials.count("supported") <= high


# --- mistakes, and what leaves this module


@pytest.mark.parametrize(
    ("measure", "expect", "message"),
    [
        ("solve", "a < b", "claim 's': unknown measure 'solve'; did you mean 'solved'"),
        ("solved", "a < bb", "claim 's': unknown arm 'bb'; did you mean 'b'"),
        ("solved", "a ~ b", "claim 's': cannot read expect = 'a ~ b'"),
        ("first_success_env_step", "a = b within 5", "no test of equality"),
    ],
)
def test_a_claim_is_checked_before_the_run(measure: str, expect: str, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is checked below, unescaped
        read_claim(Claim("s", measure, expect), ["a", "b"], ["solved", "first_success_env_step"])
    assert message in str(error.value)


def test_values_that_cannot_be_judged() -> None:
    claim = Claim("s", "solved", "a < b")
    columns = {arm: {"solved": column} for arm, column in pairs(5, 5).items()}
    with pytest.raises(ValueError, match="claim 's': the arms a, b have no seed in common"):
        judge([claim], columns, {"a": range(10), "b": range(10, 20)})
    seeds = {"a": range(10), "b": [1] * 10}
    for unit, worlds in (("seed", None), ("world and seed", dict.fromkeys("ab", [0] * 10))):
        with pytest.raises(ValueError, match=f"arm 'b' needs one 'solved' per {unit}, and every seed once"):
            judge([claim], columns, seeds, worlds=worlds)
    with pytest.raises(ValueError, match="not one number per run"):
        verdict_of("a < b", "start_policy", a=[[0.5, 0.5]], b=[[0.5, 0.5]])
    with pytest.raises(ValueError, match="not one number per run"):
        verdict_of("a < b", "arm", a=["a"], b=["b"])


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["a < b", "a > 0.5", "a = b within 0.1", "a = 0.5 within 0.1", "inverted_u(a, b, c)"]),
    st.sampled_from(["solved", "final_return", "first_success_env_step"]),
    st.integers(1, 8),
    st.booleans(),
    st.data(),
)
def test_every_verdict_is_plain_json(expect: str, measure: str, n: int, exact: bool, data: st.DataObject) -> None:
    if measure == "first_success_env_step" and "=" in expect:
        expect = "a < 0.5"
    value: st.SearchStrategy[Any] = st.sampled_from([True, False, None])
    if measure != "solved":
        value = st.sampled_from([0.0, 0.5, 0.6, np.nan, np.inf, None])
    arms = {arm: data.draw(st.lists(value, min_size=n, max_size=n)) for arm in "abc"}
    found = verdict_of(expect, measure, exact=tuple("abc") if exact else (), **arms)
    assert json.loads(json.dumps(asdict(found), allow_nan=False)) == asdict(found)
    values = {**asdict(found), "improvement": None}.values()
    assert {type(v) for v in (*values, *(found.improvement or ()))} <= {str, bool, int, float, type(None)}
