"""The tables refuse what is no decision process, and a step draws outcomes by inverse CDF, exactly."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from envs.finite_mdp import Drawing, FiniteMDP


def tables(**changes: Any) -> dict[str, Any]:
    """Two states, two actions, three outcomes; everything may be replaced."""
    shape = (2, 2, 3)
    valid = {
        "next_state": np.zeros(shape, dtype=np.int64),
        "reward": np.zeros(shape),
        "terminated": np.zeros(shape, dtype=bool),
        "probability": np.full(shape, 1 / 3),
        "start": np.array([1.0, 0.0]),
    }
    return valid | changes


def one_choice(probability: list[float], reward_std: float = 0.0) -> FiniteMDP:
    """One state, one action; outcome k pays k and ends exactly when k is odd."""
    k = np.arange(float(len(probability)))
    return FiniteMDP(
        next_state=np.zeros((1, 1, len(k)), dtype=np.int64),
        reward=k.reshape(1, 1, -1),
        terminated=(k % 2 == 1).reshape(1, 1, -1),
        probability=np.array(probability).reshape(1, 1, -1),
        start=np.ones(1),
        reward_std=reward_std,
    )


def outcome_at(mdp: FiniteMDP, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    here = np.zeros(len(uniform), dtype=np.int64)
    return mdp.step(here, here, uniform).reward


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"next_state": np.full((2, 2, 3), 2)}, "next_state: must hold states from 0 to 1"),
        ({"next_state": np.full((2, 2, 3), -1)}, "next_state: must hold states from 0 to 1"),
        ({"next_state": np.zeros((2, 2, 3))}, "next_state: must hold int64"),
        ({"next_state": np.zeros((2, 2), dtype=int)}, "next_state: must have 3 dimensions"),
        ({"next_state": np.zeros((2, 0, 3), dtype=int)}, "at least one state, action and outcome"),
        ({"reward": np.zeros((2, 2, 1))}, "reward: must have the shape"),
        ({"reward": np.full((2, 2, 3), np.nan)}, "reward: must be finite"),
        ({"terminated": np.zeros((2, 2, 3))}, "terminated: must hold bool"),
        ({"probability": np.full((2, 2, 3), 0.3)}, "probability: must be non-negative and sum to 1"),
        ({"probability": np.tile([1.5, -0.5, 0.0], (2, 2, 1))}, "probability: must be non-negative"),
        ({"probability": np.full((2, 2, 3), np.nan)}, "probability: must be non-negative"),
        ({"start": np.array([0.5, 0.4])}, "start: must be non-negative and sum to 1"),
        ({"start": np.ones(1)}, "start: must have one entry for each of 2 states"),
        ({"reward_std": -1.0}, "reward_std: must be a finite number of at least 0"),
        ({"reward_std": np.inf}, "reward_std: must be a finite number of at least 0"),
    ],
)
def test_a_table_that_is_no_decision_process_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FiniteMDP(**tables(**changes))


@pytest.mark.parametrize(("cells", "vectors"), [((3, 2), (2, 2)), ((2, 2), (4, 2))])
def test_a_drawing_of_another_world_is_refused(cells: tuple[int, int], vectors: tuple[int, int]) -> None:
    drawing = Drawing(
        height=2,
        width=2,
        cells=np.zeros(cells, dtype=int),
        walls=frozenset(),
        thin_walls=frozenset(),
        goals={},
        action_vectors=np.zeros(vectors, dtype=int),
    )
    with pytest.raises(ValueError, match=r"drawing\.(cells|action_vectors): must have shape"):
        FiniteMDP(**tables(drawing=drawing))


def test_tables_are_copies_and_read_only() -> None:
    given_tables = tables()
    mdp = FiniteMDP(**given_tables)
    given_tables["reward"][:] = 7.0
    assert (mdp.reward == 0).all()
    for name in ("next_state", "reward", "terminated", "probability", "start", "cumulative_probability"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(mdp, name)[0] = 0


def test_sizes() -> None:
    mdp = FiniteMDP(**tables())
    assert (mdp.states, mdp.actions, mdp.outcomes) == (2, 2, 3)
    assert mdp.is_stochastic
    assert not mdp.has_random_start
    sure = FiniteMDP(**tables(probability=np.tile([0.0, 1.0, 0.0], (2, 2, 1)), start=np.full(2, 0.5)))
    assert not sure.is_stochastic
    assert sure.has_random_start


def test_outcome_is_the_number_of_cumulative_probabilities_not_above_the_uniform() -> None:
    mdp = one_choice([0.25, 0.25, 0.5])
    uniform = np.array([0.0, 0.2499, 0.25, 0.4999, 0.5, 0.75, np.nextafter(1.0, 0.0)])
    np.testing.assert_array_equal(outcome_at(mdp, uniform), [0, 0, 1, 1, 2, 2, 2])


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any), st.integers(0, 2**32 - 1))
def test_the_uniforms_that_lead_to_an_outcome_have_its_probability(weights: list[int], seed: int) -> None:
    """The measure of {u: outcome(u) = k} is p_k: exact on a grid of uniforms finer than the thresholds.

    All thresholds are multiples of 1 / sum(weights): the midpoints of that grid count each outcome exactly.
    """
    total = sum(weights)
    midpoints = (np.arange(total) + 0.5) / total
    outcome = outcome_at(one_choice([w / total for w in weights]), midpoints)
    np.testing.assert_array_equal(np.bincount(outcome.astype(int), minlength=len(weights)), weights)
    # and nothing impossible anywhere else, the ends of the interval included
    uniform = np.append(np.random.default_rng(seed).random(50), [0.0, np.nextafter(1.0, 0.0)])
    assert all(weights[int(k)] > 0 for k in outcome_at(one_choice([w / total for w in weights]), uniform))


def test_rounding_never_selects_an_impossible_outcome() -> None:
    tenth = [0.1] * 10  # ten of them add up to less than 1 in floating point
    assert np.cumsum(tenth)[-1] < 1  # one after the other; since Python 3.12 `sum` compensates
    just_below_one = np.array([np.nextafter(1.0, 0.0)])
    assert outcome_at(one_choice([*tenth, 0.0]), just_below_one) == 9
    assert outcome_at(one_choice([0.0, *tenth]), np.array([0.0])) == 1


def test_step_looks_up_state_action_and_outcome_together() -> None:
    rng = np.random.default_rng(0)
    shape = (5, 3, 2)
    mdp = FiniteMDP(
        next_state=rng.integers(5, size=shape),
        reward=rng.normal(size=shape),
        terminated=rng.random(shape) < 0.5,
        probability=np.tile([0.3, 0.7], (5, 3, 1)),
        start=np.full(5, 0.2),
    )
    state, action, u = rng.integers(5, size=200), rng.integers(3, size=200), rng.random(200)
    step = mdp.step(state, action, u)
    for n in range(200):
        k = 0 if u[n] < 0.3 else 1
        assert step.next_state[n] == mdp.next_state[state[n], action[n], k]
        assert step.reward[n] == mdp.reward[state[n], action[n], k]
        assert step.terminated[n] == mdp.terminated[state[n], action[n], k]


def test_a_sure_outcome_needs_no_uniform_and_a_random_one_does() -> None:
    here = np.zeros(1, dtype=np.int64)
    assert one_choice([0.0, 1.0, 0.0]).step(here, here).reward == 1
    with pytest.raises(ValueError, match="outcome_uniform is needed"):
        one_choice([0.5, 0.5]).step(here, here)


def test_reward_noise_is_the_normal_times_its_standard_deviation() -> None:
    mdp = one_choice([0.0, 1.0], reward_std=0.5)
    here = np.zeros(3, dtype=np.int64)
    noisy = mdp.step(here, here, reward_normal=np.array([-2.0, 0.0, 1.0]))
    np.testing.assert_array_equal(noisy.reward, [0.0, 1.0, 1.5])
    with pytest.raises(ValueError, match="reward_normal is needed"):
        mdp.step(here, here)


def test_start_states_are_drawn_by_inverse_cdf() -> None:
    mdp = FiniteMDP(
        next_state=np.zeros((4, 1, 1), dtype=int),
        reward=np.zeros((4, 1, 1)),
        terminated=np.ones((4, 1, 1), dtype=bool),
        probability=np.ones((4, 1, 1)),
        start=np.array([0.0, 0.25, 0.75, 0.0]),
    )
    uniform = np.array([0.0, 0.2499, 0.25, np.nextafter(1.0, 0.0)])
    np.testing.assert_array_equal(mdp.sample_start(uniform), [1, 1, 2, 2])


@pytest.mark.parametrize(
    ("way", "longest"),
    [
        ([[1, 2], [2, 2], [9, 9]], 3),  # the longer way counts
        ([[1, 2], [0, 2], [9, 9]], None),  # round in a circle
        ([[0, 9]], None),  # one may stay
        ([[9, 9], [1, 1]], 1),  # a circle that no episode enters
    ],
)
def test_longest_episode(way: list[list[int]], longest: int | None) -> None:
    """`way[s][a]` is the next state; 9 ends the episode. A second outcome, a circle, is impossible."""
    ends = np.array(way) == 9
    next_state = np.where(ends, 0, way)
    mdp = FiniteMDP(
        next_state=np.stack([next_state, np.zeros_like(next_state)], axis=-1),
        reward=np.zeros((len(way), 2, 2)),
        terminated=np.stack([ends, np.zeros_like(ends)], axis=-1),
        probability=np.tile([1.0, 0.0], (len(way), 2, 1)),
        start=np.eye(len(way))[0],
    )
    assert mdp.longest_episode == longest
