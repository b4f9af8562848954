"""Each run's own random streams, derived from its seed alone; arms share seeds, so they share streams."""

from collections.abc import Callable, Sequence
from enum import IntEnum, unique

import numpy as np
import torch
from numpy.typing import NDArray

AHEAD = 256  # numbers that a generator draws at a time, if blocks are smaller


@unique
class Purpose(IntEnum):
    """What a stream is for; part of the seed sequence, so streams never overlap."""

    PARAMETERS = 0
    ACTIONS = 1
    OUTCOMES = 2
    REWARDS = 3
    STARTS = 4
    ENVIRONMENT = 5
    EVALUATION = 6
    CONSTRUCTORS = 7


class Streams:
    """One generator a seed, for one purpose: blocks of one kind of numbers, all of one shape.

    Small blocks are drawn several at a time, for a call costs as much as a hundred numbers; which numbers come
    when is the same.
    """

    def __init__(self, seeds: Sequence[int], purpose: Purpose) -> None:
        self._generators = [
            np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(purpose),))))
            for seed in seeds
        ]
        self._drawn = np.empty((len(seeds), 0, 0, 0))  # [seeds, blocks, T, E]
        self._before = self._positions()  # of the generators, before they drew these
        self._used = 0  # so many of the blocks were handed out

    def uniforms(self, steps: int, episodes: int) -> NDArray[np.float64]:
        """Numbers in [0, 1), [T, seeds, E]. Always the whole block: what is left over at an early end of an
        episode is thrown away, so that the streams of two arms stay aligned."""
        return self._block(np.random.Generator.random, steps, episodes)

    def normals(self, steps: int, episodes: int) -> NDArray[np.float64]:
        """Standard normal numbers, [T, seeds, E]; the whole block as well."""
        return self._block(np.random.Generator.standard_normal, steps, episodes)

    def _block(self, draw: Callable[..., object], steps: int, episodes: int) -> NDArray[np.float64]:
        seeds, blocks, *shape = self._drawn.shape
        if self._used >= blocks:
            used = self._used - blocks  # only after `load`
            blocks, shape = max(1, AHEAD // (steps * episodes)), [steps, episodes]
            self._before = self._positions() if blocks > 1 else self._before[:0]  # they are asked for only then
            self._drawn = np.empty((seeds, blocks, *shape))
            for generator, part in zip(self._generators, self._drawn, strict=True):
                draw(generator, out=part)
            self._used = used
        assert shape == [steps, episodes], "all blocks of a stream have one shape"
        self._used += 1
        return self._drawn[:, self._used - 1].transpose(1, 0, 2)

    def _positions(self) -> NDArray[np.uint64]:
        return np.array([_words(generator) for generator in self._generators], dtype=np.uint64)

    def state(self) -> NDArray[np.uint64]:
        """Where the streams stand, [seeds, 7]: the generators' positions and increments (high and low halves) and
        caches, and how many blocks were handed out since they stood there."""
        ahead = self._used != self._drawn.shape[1]
        positions = self._before if ahead else self._positions()
        used = np.full((len(self._generators), 1), self._used if ahead else 0, np.uint64)
        return np.concatenate([positions, used], axis=1)

    def load(self, state: NDArray[np.uint64]) -> None:
        """Go on from `state()`.

        Raises:
            ValueError: it is the state of other streams, or of none.
        """
        same = np.array_equal(
            state[:, 2:4], self._positions()[:, 2:4]
        )  # the increments are a stream's own for good
        if not same or (state[:, 4] > 1).any() or (state[:, 5] >> 32).any() or (state[:, 6] > AHEAD).any():
            raise ValueError("it holds random streams of other seeds")
        for generator, words in zip(self._generators, state.tolist(), strict=True):
            position, increment = words[0] << 64 | words[1], words[2] << 64 | words[3]
            generator.bit_generator.state = {
                "bit_generator": "PCG64",
                "state": {"state": position, "inc": increment},
                "has_uint32": words[4],
                "uinteger": words[5],
            }
        self._drawn, self._before, self._used = self._drawn[:, :0], state[:, :6], int(state[0, 6])


def _words(generator: np.random.Generator) -> list[int]:
    state = generator.bit_generator.state
    low = (1 << 64) - 1
    numbers = [state["state"]["state"], state["state"]["inc"]]
    halves = [half for number in numbers for half in (number >> 64, number & low)]
    return [*halves, state["has_uint32"], state["uinteger"]]


def parameter_generator(seed: int) -> torch.Generator:
    """torch's generator for the initial parameters of a run."""
    sequence = np.random.SeedSequence(seed, spawn_key=(int(Purpose.PARAMETERS),))
    generator = torch.Generator()
    return generator.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))
