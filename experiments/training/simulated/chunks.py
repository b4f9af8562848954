"""The steps of every run in chunks of one fixed size.

R: runs, M: the runs that have a k-th chunk, N: all steps of an update, A: actions.

The last chunk of a run is filled up with rows of weight 0. So the shape of every product, and with it the rounding
of every sum, does not depend on the run's neighbours.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agents.reinforce import Experience
from experiments.training.advantages import Weighed
from experiments.training.trajectories import Played

Ints = NDArray[np.int64]

CHUNK = 64  # rows of a run; a multiple of 32, so that vectorised loops have no rest


class Chunk(NamedTuple):
    """The k-th chunk of every run that has one."""

    runs: Ints  # [M]
    step: Ints  # [M, CHUNK] the steps; after the run's last one, its first again
    real: NDArray[np.bool_]  # [M, CHUNK] False: a filled-up row without weight


def chunks(bounds: Ints) -> Iterator[Chunk]:
    """The first chunks of all runs, then the second ones, and so on; bounds [R + 1] as in `Played`."""
    steps = np.diff(bounds)
    for first in range(0, int(steps.max()), CHUNK):
        runs = np.flatnonzero(steps > first)
        step = bounds[runs, None] + np.arange(first, first + CHUNK)
        real = step < bounds[runs + 1, None]
        yield Chunk(runs, np.where(real, step, bounds[runs, None]), real)


def experience(played: Played, weighed: Weighed, chunk: Chunk) -> Experience:
    """What the loss learns from a chunk: [M, CHUNK, A], [M, CHUNK], [M]."""
    sums = np.zeros((*chunk.step.shape, played.log_pi.shape[1]))
    advantage = np.where(chunk.real, weighed.advantage[chunk.step], 0.0)
    np.put_along_axis(sums, played.action[chunk.step][..., None], advantage[..., None], axis=2)
    weight = np.where(chunk.real, weighed.weight[chunk.step], 0.0)
    return Experience(*map(torch.from_numpy, (sums, weight, weighed.normalizer[chunk.runs])))
