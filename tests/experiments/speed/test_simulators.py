"""Speeds in simulators: what is divided by what. How fast it is, no test says."""

from itertools import count

import pytest

from experiments.config.loading import load_config
from experiments.speed import simulators
from tests.experiments.comparisons import CONFIGS


def test_steps_are_divided_by_the_processor_time_they_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count()
    monkeypatch.setattr(simulators.time, "process_time", lambda: next(clock))  # every way takes a second
    trained: list[int] = []
    once = simulators._trained
    monkeypatch.setattr(simulators, "_trained", lambda training: trained.append(once(training)) or trained[-1])
    config = load_config(CONFIGS / "cartpole.toml", ["training.seeds=2", "training.updates=9"])
    speeds = simulators.stepping_speeds(config, 3, steps=100)
    assert len(trained) == 3
    assert min(trained) > 4 * 16  # 2 arms x 2 seeds x 16 episodes, each some steps long
    assert speeds == {
        "one environment, random actions": 100,
        "SyncVectorEnv of 16, random actions": 96,  # whole lock-steps
        "training": sorted(trained)[1],
    }
