"""For all tests."""

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: a mistake shows early."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
