"""No options that are accepted make every gradient 0: all combinations of them take one update of a tiny world."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from experiments import ConfigError, load_config
from experiments.training.initial import check_fits
from experiments.training.loop import Training
from experiments.training.worlds import make_world
from tests.experiments.comparisons import TABLE, comparison

BANDIT = {"id": "FourAction/Bandit-v0", "kwargs": {"reward_std": 1.0}, "max_episode_steps": 5}  # ends at once
CORRIDOR = {"id": "FourAction/Grid-v0", "kwargs": {"map": ["gSG"], "goals": {"g": 1.0, "G": 2.0}}}
WORLDS = {
    "bandit": BANDIT,
    "corridor": CORRIDOR | {"max_episode_steps": 3},
    "cut off at once": CORRIDOR | {"max_episode_steps": 1},
}
ALWAYS_ONE = [
    1.0,
    {"schedule": "linear", "start": 1.0, "end": 1.0},
    {"schedule": "exponential", "start": 1.0, "decay": 1.0},
]
OPTIONS: dict[str, list[Any]] = {
    "gradient": ["sampled", "exact"],
    "baseline": ["none", "batch_mean", "leave_one_out", "running_mean", "value"],
    "normalize_advantages": [False, True],
    "discount_weighting": [False, True],
    "loss_reduction": ["per_episode", "per_step"],
    "entropy_objective": ["bonus", "soft_return"],
    "behaviour_epsilon": [0.0, ALWAYS_ONE[1]],
    "behaviour_gradient": ["mixture", "policy"],
}


@pytest.mark.slow
@pytest.mark.parametrize("episodes", [1, 2])
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_every_combination_that_is_accepted_has_a_gradient(world: dict[str, Any], episodes: int) -> None:
    """Of the policy loss alone, the coefficient being 0. Of eight seeds, so that luck cannot make it 0."""
    table = comparison(world, {"discount": 0.5}, {"a": {}}, 8, 1, episodes).model_dump(exclude_none=True)
    made, accepted = make_world(load_config(table).environment), {}
    for values in product(*OPTIONS.values()):
        options = dict(zip(OPTIONS, values, strict=True))
        try:
            check_fits(load_config(table | {"arms": {"a": options}}).agent_of("a"), made, "a", episodes)
        except ConfigError:
            continue
        accepted[f"arm_{len(accepted)}"] = options
    assert len(accepted) > 40
    norms = Training(load_config(table | {"arms": accepted})).advance(1).columns["grad_norm"]
    largest = np.reshape(norms, (len(accepted), 8)).max(1)
    assert [options for options, norm in zip(accepted.values(), largest, strict=True) if norm < 1e-12] == []


@pytest.mark.parametrize("world", ["bandit", "cut off at once"])
def test_advantages_normalised_over_one_step_are_refused(world: str) -> None:
    normalised = TABLE | {"normalize_advantages": True}
    with pytest.raises(
        ConfigError, match=r"^arms\.a: normalize_advantages needs training\.episodes_per_update above"
    ):
        Training(comparison(WORLDS[world], normalised, {"a": {}}, episodes=1))
    Training(comparison(WORLDS[world], normalised, {"a": {}}, episodes=2))
    Training(comparison(WORLDS["corridor"], normalised, {"a": {}}, episodes=1))
    with pytest.raises(ConfigError, match="an episode of CartPole-v1 has one step"):
        Training(
            comparison({"id": "CartPole-v1", "max_episode_steps": 1}, normalised | {"policy": "mlp"}, episodes=1)
        )


@pytest.mark.parametrize("share", ALWAYS_ONE, ids=str)
def test_nothing_is_learnt_from_actions_that_do_not_depend_on_the_policy(share: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"config: agent: behaviour_epsilon is 1 in every update: .*every gradient is 0"
    ):
        comparison(BANDIT, TABLE | {"behaviour_epsilon": share})
    comparison(BANDIT, TABLE | {"behaviour_epsilon": share, "behaviour_gradient": "policy"})
    comparison(BANDIT, TABLE | {"behaviour_epsilon": {"schedule": "linear", "start": 1.0, "end": 0.0}})
