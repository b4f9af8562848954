"""Each run's own random streams, derived from its seed alone; arms share seeds, so they share streams."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray


class Purpose(IntEnum):
    """What a stream is for; part of the seed sequence, so streams never overlap."""

    PARAMETERS = 0
    ACTIONS = 1
    OUTCOMES = 2
    REWARDS = 3
    STARTS = 4
    ENVIRONMENT = 5
    EVALUATION = 6


class Streams:
    """One generator a seed, for one purpose."""

    def __init__(self, seeds: Sequence[int], purpose: Purpose) -> None:
        self._generators = [
            np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(purpose),))))
            for seed in seeds
        ]

    def uniforms(self, steps: int, episodes: int) -> NDArray[np.float64]:
        """Numbers in [0, 1), [T, seeds, E]. Always the whole block: what is left over at an early end of an
        episode is thrown away, so that the streams of two arms stay aligned."""
        block = np.empty((len(self._generators), steps, episodes))
        for generator, part in zip(self._generators, block, strict=True):
            generator.random(out=part)
        return block.transpose(1, 0, 2)

    def normals(self, steps: int, episodes: int) -> NDArray[np.float64]:
        """Standard normal numbers, [T, seeds, E]; the whole block as well."""
        block = np.empty((len(self._generators), steps, episodes))
        for generator, part in zip(self._generators, block, strict=True):
            generator.standard_normal(out=part)
        return block.transpose(1, 0, 2)

    def state(self) -> NDArray[np.uint64]:
        """The generators' states, [seeds, 6]: position and increment, high and low halves, and the cache."""
        return np.array([_words(generator) for generator in self._generators], dtype=np.uint64)

    def load(self, state: NDArray[np.uint64]) -> None:
        """Go on from `state()`."""
        for generator, words in zip(self._generators, state.tolist(), strict=True):
            position, increment = words[0] << 64 | words[1], words[2] << 64 | words[3]
            generator.bit_generator.state = {
                "bit_generator": "PCG64",
                "state": {"state": position, "inc": increment},
                "has_uint32": words[4],
                "uinteger": words[5],
            }


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
