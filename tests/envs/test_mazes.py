"""A maze follows from its number and its family alone, and has what the family promises."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs  # noqa: F401  registers the worlds
from envs.finite_mdp import FiniteMDP
from envs.mazes import Maze, MazeFamily
from envs.planning import optimal_values

MOVES = [(-1, 0), (0, 1), (1, 0), (0, -1)]
WORLDS = range(40)


def place(rows: list[str], character: str) -> tuple[int, int]:
    ((row, column),) = [(r, c) for r, row in enumerate(rows) for c, seen in enumerate(row) if seen == character]
    return row, column


def steps_to(rows: list[str], goal: str, closed: str) -> int | None:
    """Steps of a shortest way from 'S' to a goal that enters no `closed` cell: layer after layer, on the map."""
    cells = {(r, c): character for r, row in enumerate(rows) for c, character in enumerate(row)}
    layer, seen, steps = {place(rows, "S")}, set(), 0
    while layer:
        if any(cells[cell] == goal for cell in layer):
            return steps
        seen |= layer
        ahead = {(r + down, c + right) for r, c in layer for down, right in MOVES} - seen
        layer = {cell for cell in ahead if cells.get(cell, "#") not in closed}
        steps += 1
    return None


def tables(mdp: FiniteMDP) -> list[np.ndarray]:
    return [mdp.next_state, mdp.reward, mdp.terminated, mdp.probability, mdp.start]


@pytest.mark.parametrize("world", WORLDS)
def test_both_goals_are_as_far_away_as_the_family_says(world: int) -> None:
    rows = Maze(world).map
    near, far = steps_to(rows, "g", closed="#"), steps_to(rows, "G", closed="#g")
    assert near is not None
    assert far is not None  # without crossing the near goal
    assert 2 <= near <= 3
    assert 10 <= far <= 15


@settings(deadline=None, max_examples=60)
@given(
    world=st.integers(0, 2**64 - 1),
    size=st.tuples(st.integers(4, 9), st.integers(6, 15)),
    density=st.floats(0, 0.4),
    near=st.integers(1, 2),
    far=st.tuples(st.integers(3, 5), st.integers(5, 9)),
)
def test_any_family_keeps_its_promises(
    world: int, size: tuple[int, int], density: float, near: int, far: tuple[int, int]
) -> None:
    rows = MazeFamily(size, density, (near, near), far).map_of(world)
    assert (len(rows), *{len(row) for row in rows}) == size
    assert steps_to(rows, "g", closed="#") == near
    assert far[0] <= (steps_to(rows, "G", closed="#g") or 0) <= far[1]


def test_a_world_follows_from_its_number_alone() -> None:
    """In any order, whatever else draws random numbers; and other numbers make other worlds."""
    before = {world: Maze(world).map for world in WORLDS}
    np.random.default_rng(0).random(7)
    assert {world: Maze(world).map for world in reversed(WORLDS)} == before
    assert len({"\n".join(rows) for rows in before.values()}) == len(WORLDS)


def test_world_1_is_this_one_for_ever() -> None:
    """Philox 4x64-10 with the key (1, 0): walls where the upper 53 bits are below .22, then start and goals."""
    assert Maze(1).map == [
        "..##.#...#...",
        "G.........##.",
        "##..#...g....",
        "..####...S#..",
        "..#..##.#....",
        "##........#.#",
        "#..##.......#",
    ]


def test_walls_come_as_often_as_the_family_says() -> None:
    """Families with goals one step away, which nearly every map has; 2,000 maps of 91 cells."""
    family = MazeFamily((7, 13), 0.22, (1, 1), (2, 2))
    walls = sum("".join(family.map_of(world)).count("#") for world in range(2000))
    deviation = np.sqrt(2000 * 91 * 0.22 * 0.78)
    # 99.9 %, and a little more for the maps that were thrown away, which are those with many walls
    assert abs(walls - 2000 * 91 * 0.22) < 3.3 * deviation + 0.005 * 2000 * 91


@pytest.mark.parametrize("world", [0, 7])
def test_every_cell_of_the_rectangle_has_a_number(world: int) -> None:
    maze = Maze(world)
    mdp, rows = maze.mdp, maze.map
    assert mdp.drawing is not None
    assert mdp.states == 7 * 13
    for s, cell in enumerate(mdp.drawing.cells.tolist()):
        row, column = divmod(s, 13)
        assert tuple(cell) == ((-1, -1) if rows[row][column] == "#" else (row, column))


@pytest.mark.parametrize("world", [0, 7])
def test_no_walk_enters_a_wall(world: int) -> None:
    maze = Maze(world)
    wall = np.array([character == "#" for row in maze.map for character in row])
    entered = maze.mdp.next_state[~wall]
    assert not wall[entered].any()
    np.testing.assert_array_equal(maze.mdp.next_state[wall, :, 0], np.flatnonzero(wall)[:, None] * np.ones(4))
    assert not maze.mdp.terminated[wall].any()
    assert not maze.mdp.start[wall].any()


@pytest.mark.parametrize("world", range(6))
def test_the_best_value_is_that_of_the_shortest_way_to_the_far_goal(world: int) -> None:
    maze = Maze(world)
    steps = steps_to(maze.map, "G", closed="#g")
    assert steps is not None
    for discount in (0.97, 1.0):
        _, values = optimal_values(maze.mdp, horizon=50, discount=discount)
        assert maze.mdp.start @ values == pytest.approx(discount ** (steps - 1), abs=1e-12)


def test_rewards_are_those_given() -> None:
    ours, others = Maze(3).mdp, Maze(3, near_reward=-0.5, far_reward=7).mdp
    np.testing.assert_array_equal(
        others.reward, np.select([ours.reward == 0.2, ours.reward == 1.0], [-0.5, 7.0], 0.0)
    )
    np.testing.assert_array_equal(others.next_state, ours.next_state)


def test_lists_and_tuples_make_the_same_world() -> None:
    """A config has lists, and so has a specification that came out of JSON."""
    lists = gymnasium.make("FourAction/Maze-v0", world=5, size=[5, 9], near_distance=[1, 2], far_distance=[6, 9])
    plain = Maze(5, size=(5, 9), near_distance=(1, 2), far_distance=(6, 9))
    for ours, theirs in zip(tables(plain.mdp), tables(lists.unwrapped.mdp), strict=True):  # type: ignore[attr-defined]
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"world": -1}, r"world: must be a whole number from 0 to 2\^64 - 1, not -1"),
        ({"world": 2**64}, "world: must be a whole number"),
        ({"world": 1.0}, "world: must be a whole number"),
        ({"world": True}, "world: must be a whole number"),
        ({"size": [7]}, r"size: must be two whole numbers, 1 or more, not \[7\]"),
        ({"size": [0, 13]}, "size: must be two whole numbers, 1 or more"),
        ({"size": 7}, "size: must be two whole numbers, 1 or more, not 7"),
        ({"size": [1000, 1000]}, "size: must have at most 10,000 cells, has 1,000,000"),
        ({"wall_density": 1.0}, "wall_density: must be a number from 0 to below 1, not 1.0"),
        ({"wall_density": float("nan")}, "wall_density: must be a number from 0 to below 1"),
        ({"near_distance": [3, 2]}, r"near_distance: must be the fewest steps and the most, not \[3, 2\]"),
        ({"far_distance": [3, 9]}, "far_distance: must begin above 3, where near_distance ends"),
        ({"near_reward": float("inf")}, "near_reward: must be a finite number, not inf"),
        ({"far_reward": "much"}, "far_reward: must be a finite number, not 'much'"),
        (
            {"wall_density": 0.9},
            "world 0: none of 1,000 maps of 7 x 13 cells with wall_density 0.9 has a goal 2 to 3 steps from the "
            "start and another one 10 to 15 steps from it: take fewer walls, shorter distances or a larger size",
        ),
    ],
)
def test_a_family_that_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gymnasium.make("FourAction/Maze-v0", **arguments)
