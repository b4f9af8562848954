"""Streams: the numbers of a seed's own generator, drawn ahead or not, and taken up again anywhere."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from experiments.training.loop import Training
from experiments.training.streams import AHEAD, Purpose, Streams, parameter_generator
from tests.experiments.comparisons import NOISY_BANDIT, TABLE, comparison

SEEDS = (5, 0, 12)
LAKE = {"id": "FrozenLake-v1", "kwargs": {"desc": ["SFS", "FHG"]}}  # two starts, and slippery
KINDS = pytest.mark.parametrize("kind", ["uniforms", "normals"])
SHAPES = pytest.mark.parametrize("shape", [(1, 1), (3, 4), (AHEAD, 1), (20, 2 * AHEAD)], ids=str)


@KINDS
@SHAPES
def test_blocks_follow_each_other_as_from_one_generator(kind: str, shape: tuple[int, int]) -> None:
    streams = Streams(SEEDS, Purpose.REWARDS)
    blocks = np.stack([getattr(streams, kind)(*shape) for _ in range(5)])  # [update, T, seeds, E]
    for place, seed in enumerate(SEEDS):
        sequence = np.random.SeedSequence(seed, spawn_key=(int(Purpose.REWARDS),))
        generator = np.random.Generator(np.random.PCG64(sequence))
        draw = generator.random if kind == "uniforms" else generator.standard_normal
        np.testing.assert_array_equal(blocks[:, :, place], draw((5, *shape)))


@KINDS
@SHAPES
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_loaded_state_goes_on_with_the_same_numbers(kind: str, shape: tuple[int, int], before: int) -> None:
    streams = Streams(SEEDS, Purpose.ACTIONS)
    for _ in range(before):
        getattr(streams, kind)(*shape)
    state = streams.state()
    expected = [getattr(streams, kind)(*shape) for _ in range(3)]
    again = Streams(SEEDS, Purpose.ACTIONS)
    getattr(again, kind)(*shape)  # wherever it stood
    again.load(state)
    np.testing.assert_array_equal(again.state(), state)
    np.testing.assert_array_equal([getattr(again, kind)(*shape) for _ in range(3)], expected)


def first_numbers(seed: int, purpose: Purpose) -> list[float]:
    if purpose is Purpose.PARAMETERS:
        return torch.rand(6, generator=parameter_generator(seed), dtype=torch.float64).tolist()
    return Streams([seed], purpose).uniforms(2, 3).ravel().tolist()


def test_seeds_and_purposes_have_numbers_of_their_own() -> None:
    """By name: two members of an enumeration that have one value are one member with two names."""
    numbers = [first_numbers(seed, Purpose[name]) for seed in SEEDS for name in Purpose.__members__]
    assert len(set(itertools.chain(*numbers))) == 6 * len(numbers)


@pytest.mark.parametrize(
    ("world", "streams"),
    [(LAKE, 3), (NOISY_BANDIT, 2), (LAKE | {"tables": False}, 2)],
    ids=["actions, outcomes, starts", "actions, rewards", "actions, environment, its episodes"],
)
def test_no_two_streams_of_a_training_are_the_same(
    world: dict[str, Any], streams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever draws, simulators and the evaluation at the end included, has a stream that nobody else has."""
    made: list[tuple[Any, ...]] = []
    generator = np.random.PCG64

    def noted(sequence: np.random.SeedSequence) -> np.random.PCG64:
        made.append((sequence.entropy, *sequence.spawn_key))
        return generator(sequence)

    monkeypatch.setattr(np.random, "PCG64", noted)
    training = Training(comparison(world, TABLE, {"one": {}}, seeds=[5, 8], updates=2))
    training.advance()
    training.final()
    assert {seed for seed, *purpose in made if purpose} == {5, 8}
    assert len(made) == len(set(made)) >= 2 * streams
