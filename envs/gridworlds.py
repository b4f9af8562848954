"""Rooms and corners: maps compiled to tables. Actions in all of them: 0 up, 1 right, 2 down, 3 left."""

from envs.maps import grid_mdp
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

TRAP = """
S...G
.....
.....
.....
g....
"""

GRID = """
S.#.
..#.
...G
"""


class TwoRooms(TabularEnv):
    """
    ## Description
    Two rooms with a door between them. A small goal lies two cells from the start, a goal five times as good
    in the far corner of the other room: whoever settles on the first never sees the second.

        #############
        #.....#.....#
        #.....#.....#
        #.S.g.......#
        #.....#.....#
        #.....#....G#
        #############

    ## Action Space
    `Discrete(4)`: 0 up, 1 right, 2 down, 3 left. Whoever bumps into a wall stays where it is.

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


two_rooms_vector = vector_of(TwoRooms)
