"""How fast one thread of this machine can do the operations of which training consists.

This is measured in the same run as the trainings, so that their speed is also a fraction of what is possible.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.network import add_and_tanh
from agents.kernels.products import product
from experiments.config.schema import Config
from experiments.tensorboard.scalar_blocks import scalar_block
from experiments.training.loop import Training

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROWS, ACTIONS, WIDTH = 60 * 51, 4, 64  # the tables and layers of the default comparison


class Limit(NamedTuple):
    """An operation: how many per second are possible, and how many a training needs."""

    unit: str
    most: float  # per second
    needed: Callable[["Demand"], float]


class Demand(NamedTuple):
    """The operations that one training of a network in a finite world needed."""

    env_steps: int
    points: int  # lock-steps of all runs, with one scalar each
    multiply_adds: int  # in matrix products, forward and backward
    tanhs: int

    @classmethod
    def of(cls, config: Config, training: Training, env_steps: int, points: int) -> "Demand":
        """The demand of a training; products with one-hot states are left out, as in training itself."""
        assert training.world.mdp is not None
        widths = config.agent.hidden_sizes
        rows = len(training.runs.arm) * training.world.mdp.states * config.training.updates
        products = sum(a * b for a, b in pairwise((*widths, training.world.actions)))
        return cls(env_steps, points, 3 * rows * products, rows * sum(widths))


def limits() -> dict[str, Limit]:
    """What one thread of this machine can do, by the name of the operation."""
    rng = np.random.default_rng(0)
    edges = rng.random(ROWS * ACTIONS)
    place = rng.integers(0, ROWS, 200_000) * ACTIONS
    uniform = rng.random(len(place))
    arrival = rng.integers(0, ROWS, ROWS * ACTIONS) * ACTIONS

    reached = np.empty_like(place)
    # Small enough to stay in the cache.
    sums, right = (rng.normal(size=(rows, WIDTH)).astype(np.float32) for rows in (4 * 51, WIDTH))
    out, bias = np.empty_like(sums), np.zeros(WIDTH, np.float32)
    steps, values = np.arange(100_000), rng.random(100_000)
    return {
        "steps through a table": Limit(
            "million",
            _rate(lambda: _table_steps(edges, arrival, place, uniform, reached), len(place)) / 1e6,
            lambda demand: demand.env_steps / 1e6,
        ),
        "products of small matrices": Limit(
            "GFLOP",
            2 * _rate(lambda: product(sums, right, out), sums.size * WIDTH) / 1e9,
            lambda demand: 2 * demand.multiply_adds / 1e9,
        ),
        "tanh": Limit(
            "million", _rate(lambda: add_and_tanh(out, bias), out.size) / 1e6, lambda demand: demand.tanhs / 1e6
        ),
        "points of event files": Limit(
            "million",
            _rate(lambda: scalar_block("tag", steps, values, 1e9), len(steps)) / 1e6,
            lambda demand: demand.points / 1e6,
        ),
    }


@compiled()
def _table_steps(edges: Floats, arrival: Ints, place: Ints, uniform: Floats, reached: Ints) -> None:
    """At each place, draw an action by inverse CDF, and look up where it leads."""
    for n in range(len(place)):
        action = 0
        for k in range(ACTIONS - 1):
            action += edges[place[n] + k] <= uniform[n]
        reached[n] = arrival[place[n] + action]


def speed_of_threads(number: int) -> float:
    """The speed of threads together, in times that of one of them, in a compiled loop that shares nothing."""
    numbers = np.random.default_rng(0).random((number, 1 << 14))
    _many_sums(numbers[0], 1)
    with ThreadPoolExecutor(number) as pool:
        alone = _rate(lambda: _many_sums(numbers[0], 1000), 1)
        together = _rate(lambda: list(pool.map(lambda row: _many_sums(row, 1000), numbers)), number)
    return together / alone


@numba.njit(nogil=True)
def _many_sums(numbers: Floats, times: int) -> float:
    """Arithmetic on what stays in a core's cache."""
    total = 0.0
    for _ in range(times):
        for number in numbers:
            total = total * 0.5 + number
    return total


def _rate(operation: Callable[[], object], work: int) -> float:
    """Work per second, the best of some tries."""
    times = []
    for _ in range(15):
        began = time.perf_counter()
        operation()
        times.append(time.perf_counter() - began)
    return work / min(times)
