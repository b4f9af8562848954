"""Rooms, and maps of one's own, compiled to tables. Actions in all of them: 0 up, 1 right, 2 down, 3 left."""

from collections.abc import Mapping, Sequence

from envs.maps import grid_mdp, read_map
from envs.tabular import TabularEnv
from envs.tabular_vector import vector_of

TWO_ROOMS = """
#############
#.....#.....#
#.....#.....#
#.S.g.......#
#.....#.....#
#.....#....G#
#############
"""

FOUR_ROOMS = """
S.........
..........
.......b..
..........
..........
..........
..........
..c....G..
..........
..........
"""
FOUR_ROOMS_THIN_WALLS = [
    wall
    for i in range(10)
    if i not in (2, 7)  # the doors
    for wall in (((i, 4), (i, 5)), ((4, i), (5, i)))
]

GRID = """
S.#.
..#.
...G
"""


class TwoRooms(TabularEnv):
    """
    ## Description
    Two rooms with a door between them. A small goal lies two cells from the start, a goal five times as good
    in the far corner of the other room: an agent that settles on the first never sees the second.

        #############
        #.....#.....#
        #.....#.....#
        #.S.g.......#
        #.....#.....#
        #.....#....G#
        #############

    ## Action Space
    `Discrete(4)`: 0 up, 1 right, 2 down, 3 left. Moving into a wall leaves the agent where it is.

    ## Observation Space
    `Discrete(51)`: the free cells, numbered row by row.

    ## Starting State
    State `21`: row 3, column 2 of the map, counted from 0.

    ## Rewards
    - `0.2`: entering the near goal
    - `1.0`: entering the far goal
    - `0.0`: any other step

    ## Episode End
    - Termination: a goal is entered.
    - Truncation: after `50` steps.

    ## Arguments
    ```python
    gymnasium.make("FourAction/TwoRooms-v0")
    ```

    ## Version History
    - v0: initial version
    """

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(grid_mdp(TWO_ROOMS, {"g": 0.2, "G": 1.0}), render_mode)


class FourRooms(TabularEnv):
    """
    ## Description
    Four rooms of 5 x 5 cells with three goals, each in a room of its own, after Chung, Thomas, Machado and
    Le Roux (2021), *Beyond Variance Reduction: Understanding the True Impact of Baselines on Policy
    Optimization*. All 100 cells are free: the walls are thin and lie between rows 4 and 5 and between columns 4
    and 5, with doors at 2 and 7. No wall can be crossed, from either side (the authors' own code lets some be).

        S . . . . | . . . . .
        . . . . . | . . . . .
        . . . . .   . . b . .
        . . . . . | . . . . .
        . . . . . | . . . . .
        - -   - - - - -   - -
        . . . . . | . . . . .
        . . . . . | . . . . .
        . . c . .   . . G . .
        . . . . . | . . . . .
        . . . . . | . . . . .

    ## Action Space
    `Discrete(4)`: 0 up, 1 right, 2 down, 3 left. Moving into a wall leaves the agent where it is.

    ## Observation Space
    `Discrete(100)`: the cells, numbered row by row.

    ## Starting State
    State `0`: the top left corner.

    ## Rewards
    - `1.0`: entering the goal at (7, 7)
    - `0.6`: entering the goal at (2, 7)
    - `0.3`: entering the goal at (7, 2)
    - `0.0`: any other step

    ## Episode End
    - Termination: a goal is entered.
    - Truncation: after `200` steps.

    ## Arguments
    ```python
    gymnasium.make("FourAction/FourRooms-v0")
    ```

    ## Version History
    - v0: initial version
    """

    def __init__(self, render_mode: str | None = None) -> None:
        mdp = grid_mdp(FOUR_ROOMS, {"G": 1.0, "b": 0.6, "c": 0.3}, thin_walls=FOUR_ROOMS_THIN_WALLS)
        super().__init__(mdp, render_mode)


class Grid(TabularEnv):
    """
    ## Description
    A map of your own. '#' is a wall, '.' or a space a free cell, 'S' a start, and any other character a goal
    whose reward is given in `goals`. The edge of the map is a wall. The default map is

        S.#.
        ..#.
        ...G

    ## Action Space
    `Discrete(4)`: 0 up, 1 right, 2 down, 3 left. Moving into a wall leaves the agent where it is.

    ## Observation Space
    `Discrete(10)`: the free cells, numbered row by row.

    ## Starting State
    State `0`: the cell 'S'. If there are several, they are equally likely.

    ## Rewards
    - `1.0`: entering the goal
    - `0.0`: any other step

    ## Episode End
    - Termination: a goal is entered.
    - Truncation: after `100` steps.

    ## Arguments
    ```python
    gymnasium.make("FourAction/Grid-v0", map=["S.#.", "..#.", "...G"], goals={"G": 1.0})
    ```
    - `map`: rows of equal length: a list of strings, a string with line breaks, or the path of a text file.
    - `goals`: the reward of each goal character.

    The attribute `map` has the rows.

    ## Version History
    - v0: initial version
    """

    def __init__(
        self,
        map: str | Sequence[str] = GRID,
        goals: Mapping[str, float] | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.map = read_map(map)
        super().__init__(grid_mdp(self.map, {"G": 1.0} if goals is None else goals), render_mode)


two_rooms_vector = vector_of(TwoRooms)
four_rooms_vector = vector_of(FourRooms)
grid_vector = vector_of(Grid)
