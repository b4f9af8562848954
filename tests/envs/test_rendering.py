"""The pictures show the map, the walls, the goals with their rewards, the start and the agent."""

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import pytest

import envs  # noqa: F401  registers the worlds
from envs import rendering
from envs.finite_mdp import FiniteMDP
from envs.maps import grid_mdp
from envs.rendering import Scene
from tests.envs.random_world import RANDOM_WORLD


def make(world: str, **kwargs: Any) -> Any:
    return gymnasium.make(f"FourAction/{world}-v0", **kwargs).unwrapped


def colours(picture: np.ndarray, row: int, column: int, side: int) -> set[tuple[int, ...]]:
    cell = picture[row * side : (row + 1) * side, column * side : (column + 1) * side]
    return {tuple(colour) for colour in cell.reshape(-1, 3).tolist()}


GRID = grid_mdp(["S.#", ".g.", "..G"], {"G": 1.0, "g": -0.5}, thin_walls=[((0, 0), (0, 1)), ((1, 2), (2, 2))])


def test_text_of_a_grid() -> None:
    assert rendering.text(Scene(GRID, state=1, last_action=1)) == (
        "S|@ #\n"
        ". g .\n"
        "    -\n"
        ". . G\n"
        "goals: -0.5 at (1, 1), 1 at (2, 2)\n"
        "last action: 1 →\n"
    )  # fmt: skip


def test_text_of_a_bandit() -> None:
    env = make("Bandit", rewards=[0.5, 1.0], render_mode="ansi")
    env.reset(seed=0)
    env.step(1)
    assert env.render() == "state 0 of 1\n  action 0  reward 0.5\n  action 1  reward 1  <\nlast action: 1\n"


def test_rewards_shown_are_means_over_the_outcomes() -> None:
    """0.2 x 0 + 0.3 x 1 + 0.5 x 2 = 1.3 and 0.6 x 3 + 0.4 x 5 = 3.8."""
    assert rendering.text(Scene(RANDOM_WORLD, 0, None)) == (
        "state 0 of 3\n  action 0  reward 1.3\n  action 1  reward 3.8\nlast action: none\n"
    )


@pytest.mark.parametrize(("action", "arrow"), [(0, "0 ↑"), (1, "1 →"), (2, "2 ↓"), (3, "3 ←"), (None, "none")])
def test_the_last_action_is_named_by_its_arrow(action: int | None, arrow: str) -> None:
    assert rendering.text(Scene(GRID, 0, action)).endswith(f"last action: {arrow}\n")


def test_picture_of_a_grid() -> None:
    picture = rendering.picture(Scene(GRID, state=1, last_action=None))
    side = 48
    assert picture.shape == (3 * side, 3 * side, 3)
    assert picture.dtype == np.uint8
    assert colours(picture, 0, 2, side) == {rendering.INK}  # the wall
    assert rendering.START in colours(picture, 0, 0, side)
    assert rendering.BEST_GOAL in colours(picture, 2, 2, side)
    assert rendering.BAD_GOAL in colours(picture, 1, 1, side)
    for row, column in np.ndindex(3, 3):
        assert (rendering.AGENT in colours(picture, row, column, side)) == ((row, column) == (0, 1))
    # thin walls: ink along the edge between the two cells, and on no other edge of free cells
    middle = side // 2
    assert tuple(picture[middle, side]) == rendering.INK  # right of (0, 0)
    assert tuple(picture[2 * side, 2 * side + middle]) == rendering.INK  # below (1, 2)
    assert tuple(picture[2 * side, middle]) != rendering.INK
    assert tuple(picture[2 * side + middle, 2 * side]) != rendering.INK


def test_a_goal_is_labelled_with_its_reward() -> None:
    """Two rewards in the same place make two pictures."""
    one, two = (rendering.picture(Scene(grid_mdp(["SG"], {"G": r}), 0, None)) for r in (1.0, 2.0))
    assert (one[:, :48] == two[:, :48]).all()
    assert (one[:, 48:] != two[:, 48:]).any()


def test_a_state_without_a_cell_is_nowhere_in_the_picture() -> None:
    assert GRID.drawing is not None
    cells = GRID.drawing.cells.copy()
    cells[1] = (-1, -1)
    hidden = dataclasses.replace(GRID, drawing=dataclasses.replace(GRID.drawing, cells=cells))
    scene = Scene(hidden, state=1, last_action=None)
    assert "@" not in rendering.text(scene)
    picture = rendering.picture(scene)
    assert not (picture == rendering.AGENT).all(-1).any()


def test_picture_of_a_bandit_frames_the_last_pull() -> None:
    env = make("Bandit", rewards=[0.5, 1.0, -1.0], render_mode="rgb_array")
    env.reset(seed=0)
    assert not (env.render() == rendering.AGENT).all(-1).any()
    env.step(2)
    framed = np.flatnonzero((env.render() == rendering.AGENT).all(-1).any(0))  # columns of pixels
    assert framed.min() >= 160
    assert framed.max() < 240
    heights = [(env.render()[:, 80 * arm + 40] == colour).all(-1).sum() for arm, colour in enumerate(
        (rendering.GOAL, rendering.BEST_GOAL, rendering.BAD_GOAL))]  # fmt: skip
    assert heights[1] == pytest.approx(2 * heights[0], abs=2)  # a bar is as long as its reward
    assert heights[2] > 0


def test_pictures_of_large_worlds_stay_small() -> None:
    large = grid_mdp(["S" + "." * 78 + "G"] * 40, {"G": 1.0})
    assert max(rendering.picture(Scene(large, 0, None)).shape) <= 960


def test_a_world_without_rewards_can_be_drawn() -> None:
    mdp: FiniteMDP = make("TwoState").mdp
    assert rendering.picture(Scene(mdp, 1, 2)).shape == (240, 320, 3)
