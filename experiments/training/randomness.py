"""Each run's random numbers: functions of its seed, their purpose, the update and their place.

Nothing is drawn in a sequence, so resuming needs no stored state, and a number does not depend on the others that
were used. Arms share seeds, so they share numbers. `docs/randomness.md` shows how to get them from NumPy.

E: episodes of a run in one update, T: time steps.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum, unique

import numpy as np
from numpy.typing import NDArray

from agents.kernels import philox

Array = NDArray[np.float64]


@unique
class Purpose(IntEnum):
    """What a number is for. It is part of the key, so that numbers for different purposes are independent."""

    PARAMETERS = 0
    ACTIONS = 1
    OUTCOMES = 2
    REWARDS = 3
    STARTS = 4
    ENVIRONMENT = 5
    EVALUATION = 6
    CONSTRUCTORS = 7


def uniforms(seeds: Sequence[int], purpose: Purpose, update: int, shape: tuple[int, ...]) -> Array:
    """Numbers in [0, 1) for every seed, [seeds, *shape].

    With shape [T, E], time t of episode e has number t * E + e of this seed, purpose and update, whether or not
    other episodes are still running.

    Args:
        seeds: from 0 to 2^64 - 1.
        purpose: what the numbers are for.
        update: counted from 0; also 0 for a number that belongs to no update.
        shape: the shape of the numbers of one seed.
    """
    return _filled(philox.uniforms, seeds, purpose, update, shape)


def normals(seeds: Sequence[int], purpose: Purpose, update: int, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers; arguments and shape as in `uniforms`."""
    return _filled(philox.normals, seeds, purpose, update, shape)


def environment_seeds(seeds: Sequence[int], purpose: Purpose, update: int, episodes: int) -> NDArray[np.int64]:
    """Seeds below 2^31 for the environments of every seed, [seeds, E]."""
    return (uniforms(seeds, purpose, update, (episodes,)) * 2**31).astype(np.int64)


def _filled(
    fill: Callable[..., None], seeds: Sequence[int], purpose: Purpose, update: int, shape: tuple[int, ...]
) -> Array:
    numbers = np.empty((len(seeds), *shape))
    for seed, row in zip(np.array(seeds, np.uint64), numbers.reshape(len(seeds), -1), strict=True):
        fill(seed, int(purpose), update, 0, row)
    return numbers
