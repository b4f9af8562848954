"""For all tests."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

# As in training: bit-equality is promised for one thread count, and two threads fight over a core.
torch.set_num_threads(1)

# The same examples each time, and as long as they take: `--hypothesis-profile=default` looks for others.
settings.register_profile(
    "steady", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Fast tests first: a mistake shows early. Of several processes one has the fast tests of a file, and one its
    slow ones, for what they share."""
    slow = {item: item.get_closest_marker("slow") is not None for item in items}
    items.sort(key=slow.__getitem__)
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}{'-slow' * slow[item]}"))


@pytest.fixture(autouse=True)
def _no_signal_to_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite's own process may ignore signals, as the background of a script does: what they do is tested in a
    child (`tests.experiments.processes`)."""
    suite, kill = os.getpid(), os.kill

    def to_others(process: int, number: int) -> None:
        assert process != suite or number == 0, "a test sends a signal to the process of the suite"
        kill(process, number)

    monkeypatch.setattr(os, "kill", to_others)
