"""The generators that all code shares are watched, and left as they were, with the normal numbers they keep.

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

    @pytest.mark.parametrize("swapped", [True, False])
    def test_they_go_on_as_if_nothing_had_been_between(self, draw: Draw, drawn_before: int, swapped: bool) -> None:
        seed(drawn_before, draw)
        expected = [draw() for _ in range(3)]
        seed(drawn_before, draw)
        generators = GlobalGenerators(swapped)
        with generators.held():
            generators.enter(0, 7)
            draw()
            generators.leave(0)
            with GlobalGenerators(True).acting(8):  # a world is made while others wait
                draw()
        assert [draw() for _ in range(3)] == expected


def test_a_generator_that_the_caller_chose_is_left_as_it_was() -> None:
    before = np.random.get_bit_generator()  # type: ignore[attr-defined]
    try:
        np.random.set_bit_generator(np.random.PCG64(5))  # type: ignore[attr-defined]
        np.random.randn()  # noqa: NPY002
        expected = np.random.get_state(legacy=False)  # noqa: NPY002
        with GlobalGenerators(True).acting(8):
            np.random.randn()  # noqa: NPY002
        assert np.random.get_state(legacy=False) == expected  # noqa: NPY002
    finally:
        np.random.set_bit_generator(before)  # type: ignore[attr-defined]
