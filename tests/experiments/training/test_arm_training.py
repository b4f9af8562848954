"""An arm may be trained otherwise than the base says, and gives the numbers that it gives as a base."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments import Config, load_config, train
from experiments.config.schema import ConfigError
from experiments.storage.results import read_results
from tests.experiments import small_training
from tests.experiments.comparisons import MLP, TWO_ROOMS


def config(arms: dict[str, dict[str, Any]], episodes: int = 4, agent: dict[str, Any] = MLP) -> Config:
    return load_config(
        {
            "name": "small",
            "description": "arms with numbers of episodes of their own",
            "environment": TWO_ROOMS,
            "agent": agent,
            "training": {"seeds": {"first": 3, "count": 2}, "updates": 3, "episodes_per_update": episodes},
            "arms": arms,
        }
    )


def rows(config: Config, arm: str) -> list[str]:
    result = train(config)
    tables = (result.updates, result.steps, result.runs)
    return [json.dumps([row for row in table.to_pylist() if row["arm"] == arm]) for table in tables]


@pytest.mark.parametrize("agent", [MLP, MLP | {"baseline": "leave_one_out"}, MLP | {"baseline": "running_mean"}])
def test_an_arm_with_its_own_episodes_is_that_arm_where_all_have_as_many(agent: dict[str, Any]) -> None:
    both = config({"few": {}, "many": {"episodes_per_update": 9}}, agent=agent)
    assert rows(both, "few") == rows(config({"few": {}}, agent=agent), "few")
    assert rows(both, "many") == rows(config({"many": {}}, episodes=9, agent=agent), "many")


def test_episodes_are_counted_for_each_arm() -> None:
    runs = train(config({"few": {}, "many": {"episodes_per_update": 9}})).runs.to_pylist()
    assert [(row["arm"], row["episodes"]) for row in runs] == [("few", 12)] * 2 + [("many", 27)] * 2


def test_a_training_of_such_arms_goes_on_after_a_kill(tmp_path: Path) -> None:
    both = config({"few": {}, "many": {"episodes_per_update": 9}})
    small_training.train(tmp_path / "whole", both)
    with pytest.raises(small_training.Crash):
        small_training.train(tmp_path / "killed", both, crash_at=1)
    small_training.train(tmp_path / "killed", both, resume=True)
    small_training.assert_same(
        small_training.contents(tmp_path / "killed"), small_training.contents(tmp_path / "whole")
    )
    assert read_results(tmp_path / "whole").config == both


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"episodes_per_update": 0}, "arms.few.episodes_per_update: Input should be greater than or equal to 1"),
        ({"episodes_per_update": "many"}, "arms.few.episodes_per_update"),
        ({"episodes_per_update": 1, "baseline": "leave_one_out"}, "arms.few: baseline"),
    ],
)
def test_what_makes_no_sense_is_refused(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config({"few": own})
