"""The probe worlds are what they say."""

import gymnasium
import numpy as np
import pytest

import envs  # noqa: F401  registers the worlds
from envs.finite_mdp import FiniteMDP


def world(name: str) -> FiniteMDP:
    mdp: FiniteMDP = gymnasium.make(f"FourAction/{name}-v0").unwrapped.mdp  # type: ignore[attr-defined]
    return mdp


def test_one_action_matters() -> None:
    mdp = world("OneActionMatters")
    np.testing.assert_array_equal(mdp.reward[..., 0], [[0, 0, 1, 0]])
    assert mdp.terminated.all()


def test_observation_matters() -> None:
    """Knowing the state is worth 1, the best blind action 1/4."""
    mdp = world("ObservationMatters")
    assert mdp.start @ mdp.reward[..., 0].max(-1) == 1
    np.testing.assert_array_equal(mdp.start @ mdp.reward[..., 0], [0.25] * 4)
    assert mdp.terminated.all()


def test_two_state_ends_by_two_actions_and_goes_on_by_two() -> None:
    mdp = world("TwoState")
    np.testing.assert_array_equal(mdp.terminated[..., 0], [[True, True, False, False], [True] * 4])
    np.testing.assert_array_equal(mdp.next_state[0, 2:, 0], [1, 1])
    assert (mdp.reward == 0).all()


@pytest.mark.parametrize("tau", [0.01, 1.0])
def test_two_state_soft_return_goes_on_with_four_fifths(tau: float) -> None:
    """Backward induction of the soft return: Q(go on) = tau ln 4, so pi(go on) = 2 x 4 / (2 x 4 + 2)."""
    mdp = world("TwoState")
    value_of_going_on = tau * np.log(4)
    q = np.where(mdp.terminated[0, :, 0], 0.0, value_of_going_on)
    pi = np.exp(q / tau) / np.exp(q / tau).sum()
    assert pi[2:].sum() == pytest.approx(4 / 5)
