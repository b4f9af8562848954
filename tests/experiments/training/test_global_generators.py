"""The generators that all code shares are watched, with the normal numbers that they keep.

Normal numbers are drawn in pairs, and a generator keeps the second one for the next call. That call
takes no random bits, so whoever looks at these alone misses it.
"""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from experiments.training.global_generators import GlobalGenerators

Draw = Callable[[], float]
DRAWS: dict[str, Draw] = {
    "random": random.random,
    "random, normal": lambda: random.gauss(0, 1),
    "numpy": np.random.rand,
    "numpy, normal": np.random.randn,
    "torch": lambda: torch.rand(1).item(),
    "torch, normal": lambda: torch.randn(1).item(),
}


def seed(drawn_before: int, draw: Draw) -> None:
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    for _ in range(drawn_before):
        draw()


@pytest.mark.parametrize("drawn_before", [0, 1, 2])
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
class TestHeld:
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_every_number_that_is_drawn_is_noticed(self, draw: Draw, drawn_before: int, number: int) -> None:
        seed(drawn_before, draw)
        generators = GlobalGenerators()
        with generators.held():
            assert not generators.drawn_from()
            for _ in range(number):
                draw()
            assert generators.drawn_from()
            assert len(generators.swapped) == 1
            assert not generators.drawn_from()
