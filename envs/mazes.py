"""A family of random worlds: mazes with a small goal near the start and a large one far away.

World k follows from k and the family's parameters alone. Its random numbers are the raw output of Philox 4x64-10
(Salmon et al. 2011) with the key (k, 0), which NumPy never changes, and attempt a at a map has the counters from
a * 2^64 + 1 on, since NumPy counts up before the first block.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.finite_mdp import Cell
from envs.maps import ACTION_VECTORS, grid_mdp
from envs.tabular import TabularEnv
from envs.tabular_vector import vector_of

MAX_CELLS = 10_000  # per map
MAX_ATTEMPTS = 1000  # to find a map with places for both goals
MAX_WORLD = 2**64 - 1  # the key of its random numbers has 64 bits


@dataclass(frozen=True)
class MazeFamily:
    """The parameters that the mazes of a family share; a world follows from them and its number alone.

    Attributes:
        size: rows and columns.
        wall_density: the probability that a cell is a wall, independently of the others.
        near_distance: the fewest and the most steps from the start to the near goal.
        far_distance: the same of the far goal, on the shortest way that does not cross the near one.
    """

    size: tuple[int, int]
    wall_density: float
    near_distance: tuple[int, int]
    far_distance: tuple[int, int]

    def map_of(self, world: int) -> list[str]:
        """The rows of a world's map: '#' wall, '.' free, 'S' start, 'g' near goal, 'G' far goal.

        Maps are tried until one has places for both goals.

        Raises:
            ValueError: none of a thousand attempts has.
        """
        for attempt in range(MAX_ATTEMPTS):
            numbers = np.random.Philox(counter=_words(0, attempt, 0, 0), key=_words(world, 0))
            free = self._free_cells(numbers)
            if not free:
                continue
            start = _chosen(free, numbers)
            near_places = _at_distance(_distances(free, start), self.near_distance)
            if not near_places:
                continue
            near = _chosen(near_places, numbers)
            far_places = _at_distance(
                _distances([cell for cell in free if cell != near], start), self.far_distance
            )
            if far_places:
                return self._rows(free, {start: "S", near: "g", _chosen(far_places, numbers): "G"})
        rows, columns = self.size
        raise ValueError(
            f"world {world}: none of {MAX_ATTEMPTS:,} maps of {rows} x {columns} cells with wall_density "
            f"{self.wall_density:g} has a goal {_span(self.near_distance)} steps from the start and another one "
            f"{_span(self.far_distance)} steps from it: take fewer walls, shorter distances or a larger size"
        )

    def _free_cells(self, numbers: np.random.Philox) -> list[Cell]:
        """Cells without a wall, row by row."""
        free = _uniforms(numbers, self.size[0] * self.size[1]) >= self.wall_density
        return [(row, column) for row, column in np.argwhere(free.reshape(self.size)).tolist()]

    def _rows(self, free: Sequence[Cell], marks: dict[Cell, str]) -> list[str]:
        characters = dict.fromkeys(free, ".") | marks
        rows, columns = self.size
        return ["".join(characters.get((row, column), "#") for column in range(columns)) for row in range(rows)]


def maze_family(size: Any, wall_density: Any, near_distance: Any, far_distance: Any) -> MazeFamily:
    """The family with these parameters, once they are checked; a list or a tuple may give two numbers.

    Raises:
        ValueError: names the parameter, and what would be valid.
    """
    rows, columns = _pair("size", size)
    if rows * columns > MAX_CELLS:
        raise ValueError(f"size: must have at most {MAX_CELLS:,} cells, has {rows * columns:,}")
    if not (isinstance(wall_density, int | float) and 0 <= wall_density < 1):
        raise ValueError(f"wall_density: must be a number from 0 to below 1, not {wall_density!r}")
    distances = {"near_distance": near_distance, "far_distance": far_distance}
    near, far = (_pair(name, given) for name, given in distances.items())
    for name, (fewest, most) in zip(distances, (near, far), strict=True):
        if fewest > most:
            raise ValueError(f"{name}: must be the fewest steps and the most, not {distances[name]!r}")
    if near[1] >= far[0]:
        raise ValueError(
            f"far_distance: must begin above {near[1]}, where near_distance ends, not {far_distance!r}"
        )
    return MazeFamily((rows, columns), float(wall_density), near, far)


class Maze(TabularEnv):
    """
    ## Description
    A family of random mazes with two goals: a small one near the start, and a large one far away, which can be
    reached without crossing the near one. World k is the same on every machine and with every version of NumPy:
    nothing but k and the arguments decides its map. World 0:

        #.#..g.S.#.#.
        ....#..##....
        ............#
        ....#........
        ..#..........
        .#G.#..#.....
        .......#.....

    ## Action Space
    `Discrete(4)`: 0 up, 1 right, 2 down, 3 left. Moving into a wall leaves the agent where it is.

    ## Observation Space
    `Discrete(91)`: all cells, numbered row by row. Walls have numbers too, which no episode ever shows, so that
    all worlds of a family have the same space.

    ## Starting State
    State `7` in world 0: the cell 'S'.

    ## Rewards
    - `0.2`: entering the near goal
    - `1.0`: entering the far goal
    - `0.0`: any other step

    ## Episode End
    - Termination: a goal is entered.
    - Truncation: after `50` steps.

    ## Arguments
    ```python
    gymnasium.make(
        "FourAction/Maze-v0",
        world=0,
        size=(7, 13),
        wall_density=0.22,
        near_distance=(2, 3),
        far_distance=(10, 15),
        near_reward=0.2,
        far_reward=1.0,
    )
    ```
    - `world`: the number of the world, 0 or more.
    - `size`: rows and columns.
    - `wall_density`: the probability that a cell is a wall, from 0 to below 1.
    - `near_distance`: the fewest and the most steps from the start to the near goal.
    - `far_distance`: the same of the far goal, on the shortest way that does not cross the near one; more than
      those to the near goal.
    - `near_reward`: what entering the near goal pays.
    - `far_reward`: what entering the far goal pays.

    The attribute `map` has the rows.

    ## Version History
    - v0: initial version
    """

    def __init__(
        self,
        world: int = 0,
        size: tuple[int, int] = (7, 13),
        wall_density: float = 0.22,
        near_distance: tuple[int, int] = (2, 3),
        far_distance: tuple[int, int] = (10, 15),
        near_reward: float = 0.2,
        far_reward: float = 1.0,
        render_mode: str | None = None,
    ) -> None:
        if not (_is_whole(world) and 0 <= world <= MAX_WORLD):
            raise ValueError(f"world: must be a whole number from 0 to 2^64 - 1, not {world!r}")
        rewards = {"near_reward": near_reward, "far_reward": far_reward}
        for name, reward in rewards.items():
            if not (isinstance(reward, int | float) and math.isfinite(reward)):
                raise ValueError(f"{name}: must be a finite number, not {reward!r}")
        self.map = maze_family(size, wall_density, near_distance, far_distance).map_of(int(world))
        goals = {"g": float(near_reward), "G": float(far_reward)}
        super().__init__(grid_mdp(self.map, goals, number_walls=True), render_mode)


def _words(*numbers: int) -> NDArray[np.uint64]:
    return np.array(numbers, dtype=np.uint64)  # NumPy would make floats of a list with numbers above 2^63


def _uniforms(numbers: np.random.Philox, count: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), multiples of 2^-53, [count]."""
    return (numbers.random_raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _chosen(cells: Sequence[Cell], numbers: np.random.Philox) -> Cell:
    return cells[int(_uniforms(numbers, 1)[0] * len(cells))]


def _distances(free: Sequence[Cell], start: Cell) -> dict[Cell, int]:
    """Steps from the start to every cell that can be reached over free ones, in breadth-first order."""
    walkable, steps, ahead = set(free), {start: 0}, deque([start])
    while ahead:
        row, column = ahead.popleft()
        for down, right in ACTION_VECTORS.tolist():
            cell = (row + down, column + right)
            if cell in walkable and cell not in steps:
                steps[cell] = steps[row, column] + 1
                ahead.append(cell)
    return steps


def _at_distance(distances: dict[Cell, int], span: tuple[int, int]) -> list[Cell]:
    """Cells at a distance in the span, row by row."""
    return sorted(cell for cell, steps in distances.items() if span[0] <= steps <= span[1])


def _span(distance: tuple[int, int]) -> str:
    return f"{distance[0]}" if distance[0] == distance[1] else f"{distance[0]} to {distance[1]}"


def _is_whole(number: Any) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def _pair(name: str, given: Any) -> tuple[int, int]:
    """Two whole numbers, 1 or more."""
    if not (isinstance(given, list | tuple) and len(given) == 2 and all(_is_whole(n) and n >= 1 for n in given)):
        raise ValueError(f"{name}: must be two whole numbers, 1 or more, not {given!r}")
    return int(given[0]), int(given[1])


maze_vector = vector_of(Maze)
