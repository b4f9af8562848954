"""The benchmark measures what it says. How fast is for people to read, never asserted."""

import numpy as np
import pytest

from experiments import benchmark
from experiments.benchmark import LOGGING, PHASES, SCENARIOS, Scenario, logging_costs, measure, phases

SMALL = ("training.seeds=3", "training.updates=4")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("logged", [False, True])
def test_a_scenario_counts_the_steps_that_its_config_trains(workers, logged):
    steps = {
        measure(Scenario("small", "bandit", SMALL, w, log)).env_steps for w, log in ((1, False), (workers, logged))
    }
    assert steps == {2 * 3 * 4}  # a bandit's episode is one step: arms x seeds x updates


def test_the_shares_of_the_phases_add_up_and_none_is_negative():
    shares = phases(Scenario("small", "two_rooms", SMALL).load())
    assert set(shares) == {name for name, _, _ in PHASES} | {"the rest"}
    assert np.isclose(sum(shares.values()), 1)
    assert min(shares.values()) > 0


def test_timing_leaves_the_methods_as_they_were():
    before = [getattr(owner, method) for _, owner, method in PHASES]
    phases(Scenario("small", "bandit", SMALL).load())
    assert [getattr(owner, method) for _, owner, method in PHASES] == before


def test_each_way_of_logging_has_a_cost():
    costs = logging_costs(Scenario("small", "bandit", SMALL).load(), repeats=1)
    assert list(costs) == list(LOGGING)
    assert min(costs.values()) > 0


def test_every_scenario_has_a_config_that_loads():
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert all(scenario.load().arms for scenario in SCENARIOS)


def test_the_command_prints_a_row_a_scenario(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "QUICK", (Scenario("a small one", "bandit", SMALL),))
    monkeypatch.setenv("COLUMNS", "120")
    assert benchmark.main(["--quick"]) == 0
    printed = capsys.readouterr().out
    assert "a small one" in printed
    assert "backward and optimiser" in printed
    assert "event files and steps, every one" in printed
