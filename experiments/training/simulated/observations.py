"""Observations of a simulator as input rows of a policy: one-hot codes of state numbers, or flat vectors.

R: runs, M: some of the runs, N: rows of one run, D: width of a row.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from gymnasium.spaces import Discrete, flatdim
from numpy.typing import NDArray

from experiments.training.spaces import Observed, seen_as
from experiments.training.trajectories import Array, Ints, Raw

Rows = NDArray[np.floating]

CLIP = 10.0  # deviations; else a number that was constant would explode when it first changes


class RunningMoments(NamedTuple):
    """Mean and squared deviations of all observations of earlier updates, for each run.

    Source of `after`: Chan, Golub and LeVeque, *Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances* (1979).
    """

    number: Array  # [R]
    mean: Array  # [R, D]
    squares: Array  # [R, D] sum of the squared deviations from the mean

    @classmethod
    def start(cls, runs: int, width: int) -> "RunningMoments":
        return cls(np.zeros(runs), np.zeros((runs, width)), np.zeros((runs, width)))

    @property
    def deviation(self) -> Array:
        """Standard deviation, [R, D]; 1 before the first update, when the mean is 0."""
        number = self.number[:, None]
        variance = np.divide(self.squares, number, out=np.ones_like(self.squares), where=number > 0)
        return np.sqrt(variance + 1e-8)

    def after(self, run: int, rows: Array) -> None:
        """Add the rows [N, D] of a run, in place."""
        added, mean = len(rows), rows.mean(0)
        total = self.number[run] + added
        shift = mean - self.mean[run]
        self.squares[run] += ((rows - mean) ** 2).sum(0) + shift**2 * (self.number[run] * added / total)
        self.mean[run] += shift * (added / total)
        self.number[run] = total


class Observations:
    """Turns raw observations into rows, with a normalisation of its own for each run, if asked for.

    Attributes:
        moments: frozen within an update; None: rows are not normalised.
    """

    def __init__(
        self, space: Observed, runs: int, normalize: bool, dtype: type[np.floating] | np.dtype[np.floating]
    ) -> None:
        self._space, self._dtype = seen_as(space), dtype
        self._width = flatdim(space)
        self.moments = RunningMoments.start(runs, self._width) if normalize else None

    def buffer(self, places: int) -> Raw:
        """An array for the raw observations of `places` environments, [places, *shape]."""
        return np.zeros((places, *(self._space.shape or ())), self._space.dtype)

    def rows(self, raw: Raw, runs: Ints) -> Rows:
        """Rows [M, N, D] of raw observations [M, N, *shape] of the runs [M]."""
        if isinstance(self._space, Discrete):
            return (raw[..., None] == np.arange(self._width) + self._space.start).astype(self._dtype)
        flat = raw.reshape(*raw.shape[:2], self._width)
        if self.moments is not None:
            mean, deviation = self.moments.mean[runs, None], self.moments.deviation[runs, None]
            flat = np.clip((flat - mean) / deviation, -CLIP, CLIP)
        return flat.astype(self._dtype, copy=False)

    def learn(self, raw: Raw, bounds: Ints) -> None:
        """Add an update's observations, [N, *shape], run by run: those of run r from bounds[r] to bounds[r +
        1]."""
        if self.moments is None:
            return
        flat = raw.reshape(len(raw), self._width).astype(np.float64)
        for run, (first, end) in enumerate(pairwise(bounds.tolist())):
            if end > first:
                self.moments.after(run, flat[first:end])

    def parameters(self) -> dict[str, Array]:
        """What a stored policy needs to compute its rows: clip((observation - mean) / deviation, -10, 10)."""
        if self.moments is None:
            return {}
        return {
            "observation_mean": self.moments.mean,
            "observation_deviation": self.moments.deviation,
        }

    def state(self) -> dict[str, Array]:
        """What lasts from update to update."""
        return {} if self.moments is None else {key: v.copy() for key, v in self.moments._asdict().items()}

    def load(self, state: dict[str, Array]) -> None:
        """Resume from `state()`."""
        if self.moments is not None:
            self.moments = RunningMoments(**{key: value.copy() for key, value in state.items()})
