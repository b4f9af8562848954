"""A bandit pays the mean of the arm that was pulled, and noise if asked for."""

from typing import Any

import gymnasium
import numpy as np
import pytest

import envs  # noqa: F401  registers the worlds


def test_an_arm_pays_its_reward_and_ends_the_episode() -> None:
    env = gymnasium.make("FourAction/Bandit-v0", rewards=[0.5, -1, 2])
    assert env.action_space == gymnasium.spaces.Discrete(3)
    for arm, reward in enumerate([0.5, -1.0, 2.0]):
        env.reset(seed=0)
        assert env.step(arm)[:3] == (0, reward, True)


def test_noise_has_the_standard_deviation_asked_for() -> None:
    env = gymnasium.make("FourAction/Bandit-v0", rewards=[1.0, 3.0], reward_std=0.5)
    env.reset(seed=1)
    rewards = []
    for _ in range(4000):
        rewards.append(float(env.step(1)[1]))
        env.reset()
    # 99.9 % two-sided: the mean within 3.29 standard errors, the variance ratio within 3.29 sqrt(2 / n)
    assert abs(np.mean(rewards) - 3.0) < 3.29 * 0.5 / np.sqrt(4000)
    assert abs(np.var(rewards) / 0.25 - 1) < 3.29 * np.sqrt(2 / 4000)


@pytest.mark.parametrize("rewards", [[], [1.0], 3.0, [0.1, float("nan")], ["a", "b"], [[1.0, 2.0]]])
def test_rewards_that_make_no_bandit_are_refused(rewards: Any) -> None:
    with pytest.raises(ValueError, match="rewards: a bandit needs two or more arms, each a finite number"):
        gymnasium.make("FourAction/Bandit-v0", rewards=rewards)


def test_negative_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="reward_std: must be a finite number of at least 0"):
        gymnasium.make("FourAction/Bandit-v0", reward_std=-0.1)


def test_so_many_arms_that_their_table_would_be_too_large_are_refused_with_its_bytes() -> None:
    with pytest.raises(
        ValueError, match=r"^rewards: .* 1,000,000,000 actions each would take 33,000,000,000 bytes"
    ):
        gymnasium.make("FourAction/Bandit-v0", rewards=range(10**9))
