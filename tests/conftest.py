"""For all tests."""

import pytest
import torch

# As in training: bit-equality is promised for one thread count, and two threads fight over a core.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: a mistake shows early."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
