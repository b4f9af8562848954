"""Streams: the numbers of a seed's own generator, drawn ahead or not, and taken up again anywhere."""

import numpy as np
import pytest

from experiments.streams import AHEAD, Purpose, Streams

SEEDS = (5, 0, 12)
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


def test_seeds_and_purposes_have_numbers_of_their_own() -> None:
    blocks = [Streams(SEEDS, purpose).uniforms(2, 3) for purpose in Purpose]
    values = np.stack(blocks).ravel()
    assert len(set(values.tolist())) == len(values)
