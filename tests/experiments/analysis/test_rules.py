"""Each rule on contrasts whose tails and plans are given: which of them decide, times what, and what is shown."""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import pytest

from experiments.analysis.contrasts import Contrast
from experiments.analysis.exact_tests import Array, Interval, Tails
from experiments.analysis.rules import Finding, apply_rule
from experiments.config.expectations import Expectation

Question = tuple[float, float, float]  # true value, level, power
Plan = Callable[[Question], int | None]
Contrasts = Mapping[tuple[str, str], Contrast]  # of a pair of arms, or of an arm and a number


def given(
    estimate: float, tails: Mapping[float, tuple[float, float]], test: str = "a test", plan: Plan = lambda _: 7
) -> Contrast:
    """A contrast with these tails, low and high, at these true values."""
    interval = Interval(estimate, estimate - 1, estimate + 1)
    return Contrast(interval, 20, test, lambda value: Tails(*tails[value]), lambda *asked: plan(asked))


def found(expectation: Expectation, contrasts: Contrasts) -> Finding:
    """Apply the rule to what is given."""
    columns = {name: np.array([place]) for place, name in enumerate("abcde")}
    names = {float(column[0]): name for name, column in columns.items()}

    def contrast_of(first: Array, second: Array | float) -> Contrast:
        other = str(second) if isinstance(second, float) else names[second[0]]
        return contrasts[names[first[0]], other]

    return apply_rule(expectation, columns, contrast_of)


# --- a direction


@pytest.mark.parametrize(("relation", "favours"), [(">", True), ("<", False)])
@pytest.mark.parametrize("number", [None, 0.0])
def test_of_a_direction_the_smaller_tail_decides(
    relation: Literal["<", ">"], favours: bool, number: float | None
) -> None:
    sides = given(0.3, {0.0: (0.99, 0.02)}, plan={(0.0, 0.05, 0.8): 41}.get)
    arms, other = (("a", "b"), "b") if number is None else (("a",), str(number))
    finding = found(Expectation(relation, arms, number), {("a", other): sides})
    assert (finding.p, finding.favours, finding.test) == (0.04, favours, "a test")
    assert finding.shown is sides
    assert finding.seeds_needed(0.05) == 41


# --- an equivalence within 0.2

MARGINS = ((0.99, 0.01), (0.02, 0.98))  # tails at -0.2 and at 0.2


def within(estimate: float, at_low: tuple[float, float], at_high: tuple[float, float], plan: Plan) -> Finding:
    contrast = given(estimate, {-0.2: at_low, 0.2: at_high}, plan=plan)
    return found(Expectation("=", ("a", "b"), within=0.2), {("a", "b"): contrast})


@pytest.mark.parametrize(
    ("at_low", "at_high", "p", "favours"),
    [
        ((0.99, 0.01), (0.02, 0.98), 2 * 0.02, True),  # inside: the larger of two one-sided tests
        ((0.98, 0.03), (0.01, 0.99), 2 * 0.03, True),
        ((0.01, 0.99), (0.001, 0.999), 4 * 0.01, False),  # below: twice two-sided, for the choice of a side
        ((0.999, 0.001), (0.99, 0.01), 4 * 0.01, False),  # above
        ((0.8, 0.7), (0.7, 0.8), 1.0, True),
        ((0.4, 0.9), (0.3, 0.9), 1.0, False),
    ],
)
def test_an_equivalence_is_inside_both_margins_or_outside_one(
    at_low: tuple[float, float], at_high: tuple[float, float], p: float, favours: bool
) -> None:
    finding = within(0.0, at_low, at_high, lambda _: 7)
    assert finding.p == pytest.approx(p)
    assert finding.favours is favours
    assert finding.test == "two one-sided tests (a test)"


@pytest.mark.parametrize("estimate", [-0.3, 0.3])
def test_seeds_for_a_refutation_tell_the_effect_from_the_margin_on_its_side(estimate: float) -> None:
    plans = {(math.copysign(0.2, estimate), 0.025, 0.8): 41}
    assert within(estimate, *MARGINS, plans.get).seeds_needed(0.05) == 41


def test_seeds_for_an_equivalence_are_enough_for_both_margins() -> None:
    for low, high, both in ((30, 50, 50), (50, 30, 50), (30, None, None), (None, 30, None)):
        plans = {(-0.2, 0.05, 0.9): low, (0.2, 0.05, 0.9): high}
        assert within(0.1, *MARGINS, plans.get).seeds_needed(0.05) == both


# --- an inverted U over a, b, c and d

CURVE = Expectation("inverted_u", ("a", "b", "c", "d"), peaks=("b", "c"))


def rise(estimate: float, low: float, high: float, test: str = "a test", plan: Plan = lambda _: 7) -> Contrast:
    return given(estimate, {0.0: (low, high)}, test, plan)


def test_a_peak_stands_above_both_ends_times_the_peaks_it_was_chosen_from() -> None:
    curve = {
        ("b", "a"): rise(0.3, 0.996, 0.004),
        ("b", "d"): rise(0.2, 0.99, 0.01, "its test"),
        ("c", "a"): rise(0.5, 0.9999, 0.0001),
        ("c", "d"): rise(0.1, 0.7, 0.3),
    }
    finding = found(CURVE, curve)
    assert finding.p == pytest.approx(2 * 2 * 0.01)
    assert finding.favours
    assert finding.shown is curve["b", "d"]  # of the peak whose weaker comparison is the stronger
    assert finding.test == "intersection-union over both ends (its test); shown: b minus d"
    declared = found(Expectation("inverted_u", ("a", "b", "d"), peaks=("b",)), curve)
    assert declared.p == pytest.approx(2 * 0.01)


def test_a_curve_is_refuted_where_each_peak_is_below_one_of_the_ends() -> None:
    curve = {
        ("b", "a"): rise(-0.3, 0.001, 0.999),
        ("b", "d"): rise(0.2, 0.9, 0.1),
        ("c", "a"): rise(0.1, 0.8, 0.2),
        ("c", "d"): rise(-0.2, 0.004, 0.996),
    }
    finding = found(CURVE, curve)
    assert finding.p == pytest.approx(2 * 2 * 0.004)
    assert not finding.favours
    assert finding.shown is curve["c", "d"]
    assert found(CURVE, curve | {("c", "d"): rise(-0.2, 0.4, 0.7)}).p == 1.0


def test_where_no_run_has_a_value_the_comparison_is_the_weakest() -> None:
    nothing = rise(math.nan, 1.0, 1.0, "nothing")
    one = {("b", "a"): rise(-0.3, 0.9, 0.1), ("b", "d"): nothing}
    other = {("c", "a"): rise(-0.4, 0.9, 0.1), ("c", "d"): rise(-0.5, 0.9, 0.1)}
    assert found(Expectation("inverted_u", ("a", "b", "d"), peaks=("b",)), one).shown is nothing
    assert found(CURVE, {**one, **other}).shown is other["c", "d"]


@pytest.mark.parametrize(("estimate", "questions"), [(0.2, [(0.0, 0.025, 0.9)] * 2), (-0.2, [(0.0, 0.025, 0.8)])])
def test_seeds_for_a_curve_are_enough_for_its_best_peak_and_both_ends(
    estimate: float, questions: list[Question]
) -> None:
    """Of two peaks, each at half the level; for a refutation, of the two ends."""
    asked: list[Question] = []

    def plan(question: Question) -> int:
        asked.append(question)
        return 40 + len(asked)

    best = {("b", end): rise(effect, 0.9, 0.1, plan=plan) for end, effect in (("a", 0.3), ("d", estimate))}
    curve = {**best, **{("c", end): rise(-0.9, 0.9, 0.1) for end in "ad"}}
    assert found(CURVE, curve).seeds_needed(0.05) == 40 + len(questions)
    assert asked == questions
