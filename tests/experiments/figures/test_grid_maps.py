"""Maps of policies and visits: what is darker, longer or bluer is more."""

import io
import subprocess
import sys

import numpy as np
import pygame
import pytest
from numpy.typing import NDArray
from PIL import Image

from envs.finite_mdp import FiniteMDP
from envs.maps import grid_mdp
from experiments.figures.grid_maps import png, policy_map, visit_map


@pytest.fixture(scope="module")
def corridor() -> FiniteMDP:
    return grid_mdp(["S..G"], {"G": 1.0})


def cell(picture: NDArray[np.uint8], column: int) -> NDArray[np.uint8]:
    side = picture.shape[0]
    return picture[:, column * side : (column + 1) * side]


def dark(picture: NDArray[np.uint8]) -> int:
    """Pixels in ink."""
    return int((picture.sum(2) < 300).sum())


def test_an_arrow_is_longer_the_likelier_the_action(corridor: FiniteMDP) -> None:
    policy = np.full((4, 4), 0.25)
    policy[1], policy[2] = (0.05, 0.85, 0.05, 0.05), (0.0, 1.0, 0.0, 0.0)
    picture = policy_map(corridor, policy)
    side = picture.shape[0]
    reach = []
    for column in (1, 2):
        right_half = cell(picture, column)[side // 2 - 1 : side // 2 + 1, side // 2 :]
        reach.append(np.flatnonzero(right_half.sum(2).min(0) < 300).max())
    assert reach[0] < reach[1] < side // 2
    left_half = cell(picture, 2)[:, : side // 2 - 3]
    assert dark(left_half) == 0  # no arrow where there is no probability


def test_a_cell_is_bluer_the_surer_its_policy(corridor: FiniteMDP) -> None:
    policy = np.array([[0.25] * 4, [0.7, 0.1, 0.1, 0.1], [1.0, 0.0, 0.0, 0.0], [0.25] * 4])
    picture = policy_map(corridor, policy)
    corner = [int(cell(picture, column)[4, 4, 0]) for column in range(3)]  # red falls from paper to blue
    assert corner[0] > corner[1] > corner[2]
    given = policy_map(corridor, policy, np.zeros(4))
    assert int(cell(given, 0)[4, 4, 0]) == corner[2]  # the entropy that is given counts, not the policy's own


def test_a_cell_is_darker_the_more_it_was_visited(corridor: FiniteMDP) -> None:
    picture = visit_map(corridor, np.array([1000.0, 100.0, 10.0, 0.0]))
    shade = [int(cell(picture, column)[4, 4].sum()) for column in range(3)]
    assert shade[0] < shade[1] < shade[2]
    steps = np.diff(shade)
    assert steps[0] == pytest.approx(steps[1], abs=4)  # a tenth is the same step everywhere: a logarithmic scale
    nobody = visit_map(corridor, np.zeros(4))
    assert np.ptp([cell(nobody, column)[4, 4].sum() for column in range(3)]) == 0


def test_a_missing_policy_has_no_arrows_and_no_colour(corridor: FiniteMDP) -> None:
    picture = policy_map(corridor, np.full((4, 4), np.nan))
    assert dark(cell(picture, 2)) == 0


def test_walls_are_ink_and_the_goal_says_its_reward() -> None:
    mdp = grid_mdp(["S#", ".G"], {"G": 0.5})
    picture = visit_map(mdp, np.zeros(3))
    side = picture.shape[0] // 2
    assert dark(picture[2 : side - 2, side + 2 : -2]) == (side - 4) ** 2
    assert dark(picture[side + 2 : -2, side + 2 : -2]) > 10


def test_a_png_holds_the_picture(corridor: FiniteMDP) -> None:
    picture = visit_map(corridor, np.arange(4.0))
    assert (np.array(Image.open(io.BytesIO(png(picture)))) == picture).all()


def test_maps_can_be_drawn_after_an_environment_has_closed_pygame() -> None:
    # In a process of its own: writing with a font that pygame has closed ends the process.
    script = """
import gymnasium, numpy as np
from envs.maps import grid_mdp
from experiments.figures.grid_maps import policy_map

world, policy = grid_mdp(["S..G"], {"G": 1.0}), np.full((4, 4), 0.25)
before = policy_map(world, policy)
env = gymnasium.make("FrozenLake-v1", render_mode="rgb_array")
env.reset()
env.render()
env.close()
assert (policy_map(world, policy) == before).all()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_words_outlive_an_environment_that_closes_pygame(corridor: FiniteMDP) -> None:
    before = visit_map(corridor, np.arange(4.0))
    pygame.quit()
    assert (visit_map(corridor, np.arange(4.0)) == before).all()
    other = grid_mdp(["S..G"], {"G": 2.0})  # whose reward has not been written yet
    assert (visit_map(other, np.arange(4.0)) != before).any()


def test_a_map_does_not_show_what_was_drawn_before(corridor: FiniteMDP) -> None:
    before = visit_map(corridor, np.zeros(4))
    policy_map(corridor, np.eye(4))
    visit_map(corridor, np.arange(4.0))
    assert (visit_map(corridor, np.zeros(4)) == before).all()
