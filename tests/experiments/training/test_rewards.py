"""Rewards are scaled and offset as the config says, in tables, in simulators, and where a policy is watched."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import play
from experiments.config.schema import ConfigError
from experiments.training.loop import Training
from tests.experiments import small_training
from tests.experiments.comparisons import BANDIT, NOISY_BANDIT, TABLE, TWO_ROOMS, comparison

SCALED = {"reward_scale": 10.0, "reward_offset": -0.5}
WORLDS = {"rooms": TWO_ROOMS, "bandit": BANDIT, "noisy bandit": NOISY_BANDIT}


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("world", WORLDS)
def test_a_return_is_that_of_the_scaled_and_offset_rewards(world: str, tables: bool) -> None:
    """Of the first update, whose policy no reward has moved yet."""
    environment = WORLDS[world] | {"tables": tables}
    plain, other = (
        Training(comparison(environment | more, TABLE, updates=1)).advance().columns for more in ({}, SCALED)
    )
    expected = 10 * plain["return_mean"] - 0.5 * plain["episode_length"]
    np.testing.assert_allclose(other["return_mean"], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tables", [True, False])
def test_a_success_is_judged_in_scaled_rewards(tables: bool) -> None:
    environment = BANDIT | {"tables": tables, "reward_scale": 3.0, "reward_offset": 1.0}

    def successes(solved_return: float) -> Any:
        config = comparison(environment | {"solved_return": solved_return}, TABLE, updates=1, episodes=50)
        return Training(config).advance().columns["success_rate"]

    assert (successes(4.0) > 0).all()  # 3 x 1 + 1, the best arm's
    assert (successes(4.1) == 0).all()


def test_scaling_rewards_and_the_coefficient_alike_scales_the_loss() -> None:
    """Both terms of the loss: with a learning rate that is scaled back, training is the same but for rounding."""
    plain = comparison(TWO_ROOMS, TABLE, {"with": {"entropy_coef": 0.125}}, updates=5)
    scaled = comparison(
        TWO_ROOMS | {"reward_scale": 8.0, "solved_return": 7.6},
        TABLE | {"learning_rate": TABLE["learning_rate"] / 8},
        {"with": {"entropy_coef": 1.0}},
        updates=5,
    )
    ours, theirs = (Training(config).advance().columns for config in (plain, scaled))
    np.testing.assert_allclose(8 * ours["loss"], theirs["loss"], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours["entropy_nats"], theirs["entropy_nats"], rtol=1e-12, atol=1e-12)


def test_exact_gradients_see_the_same_rewards() -> None:
    exact = TABLE | {"gradient": "exact"}
    returns = [
        Training(comparison(BANDIT | more, exact, updates=1)).advance().columns["return_mean"]
        for more in ({}, SCALED)
    ]
    np.testing.assert_allclose(returns[1], 10 * returns[0] - 0.5, atol=1e-12)


def test_whoever_watches_sees_what_was_paid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small_training.small_config(
        "training.seeds=1",
        "training.updates=1",
        "environment.reward_scale=2.0",
        "environment.reward_offset=-0.125",
    )
    small_training.train(tmp_path / "run", config)
    capsys.readouterr()
    assert play.main([str(tmp_path / "run"), "--arm", "table"]) == 0
    assert "reward -0.125" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [{"reward_scale": 0.0}, {"reward_scale": -1.0}, {"reward_offset": float("inf")}])
def test_what_would_be_no_reward_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"environment.{next(iter(wrong))}"):
        comparison(TWO_ROOMS | wrong)
