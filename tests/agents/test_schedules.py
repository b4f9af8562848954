"""The entropy coefficient over training: where it starts and ends, that it never turns negative or dies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.schedules import exponential, linear, target_entropy

laws = settings(deadline=None, max_examples=100)
coefficients = st.floats(0, 10)


def test_linear_goes_straight_from_start_to_end_and_stays_there() -> None:
    # Half of 9 updates: u = 0, 1, 2, 3, 4 move, the rest holds.
    values = [linear(u, 9, start=0.4, end=0.0, fraction=0.5) for u in range(9)]
    assert values == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert linear(0, 1, start=0.4, end=0.1, fraction=1.0) == 0.1  # one update: there is no way to go


@laws
@given(coefficients, coefficients, st.floats(0.01, 1), st.integers(2, 1000))
def test_linear_reaches_its_end_exactly_and_lies_between(
    start: float, end: float, part: float, updates: int
) -> None:
    values = np.array([linear(u, updates, start, end, part) for u in range(updates)])
    assert values[0] == start
    assert values[-1] == end
    assert (values[int(np.ceil(part * (updates - 1))) :] == end).all()
    assert values.min() >= 0
    # Between its ends, up to the rounding of one product.
    assert values.min() >= min(start, end) * (1 - 1e-15)
    assert values.max() <= max(start, end) * (1 + 1e-15)
    assert (np.diff(values) * np.sign(end - start) >= 0).all()


@laws
@given(coefficients, st.floats(0.001, 1), st.integers(0, 5000))
def test_exponential_shrinks_by_the_same_factor_and_never_below_zero(
    start: float, decay: float, update: int
) -> None:
    now, later = exponential(update, start, decay), exponential(update + 1, start, decay)
    assert exponential(0, start, decay) == start
    assert 0 <= later <= now
    assert later == pytest.approx(now * decay, rel=1e-9, abs=1e-300)


def test_exponential_halves() -> None:
    assert [exponential(u, 1.0, 0.5) for u in range(4)] == [1, 0.5, 0.25, 0.125]


def test_the_controller_rises_below_its_target_and_falls_above() -> None:
    after = target_entropy(np.array([0.1, 0.1, 0.1]), np.array([0.5, 1.0, 1.5]), target_bits=1.0, rate=0.02)
    assert after == pytest.approx([0.1 + 0.02 * 0.5, 0.1, 0.1 - 0.02 * 0.5])


def test_the_controller_is_alive_at_a_coefficient_of_zero() -> None:
    after = target_entropy(np.zeros(2), np.array([0.0, 2.0]), target_bits=1.0, rate=0.01)
    assert after == pytest.approx([0.01, 0.0])  # up where there is too little entropy, not below 0 where too much


def test_a_run_that_took_no_step_keeps_its_coefficient() -> None:
    after = target_entropy(np.array([0.3, 0.0]), np.array([np.nan, 0.0]), target_bits=1.0, rate=0.5)
    assert after == pytest.approx([0.3, 0.5])


@laws
@given(
    st.lists(coefficients, min_size=1, max_size=5),
    st.floats(0, 2),
    st.floats(1e-6, 100),
    st.lists(st.floats(0, 2), min_size=1, max_size=20),
)
def test_the_controller_never_turns_negative(
    start: list[float], target: float, rate: float, seen: list[float]
) -> None:
    coefficient = np.array(start)
    for bits in seen:
        coefficient = target_entropy(coefficient, np.full(len(start), bits), target, rate)
        assert (coefficient >= 0).all()
        assert np.isfinite(coefficient).all()
