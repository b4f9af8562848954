"""The rooms and corners are those of the literature and of their docstrings."""

from typing import Any

import gymnasium
import numpy as np
import pytest

import envs  # noqa: F401  registers the worlds
from envs.finite_mdp import FiniteMDP
from envs.gridworlds import TwoRooms

UP, RIGHT, DOWN, LEFT = range(4)


def world(name: str, **kwargs: Any) -> FiniteMDP:
    mdp: FiniteMDP = gymnasium.make(f"FourAction/{name}-v0", **kwargs).unwrapped.mdp  # type: ignore[attr-defined]
    return mdp


def state_at(mdp: FiniteMDP, row: int, column: int) -> int:
    assert mdp.drawing is not None
    (found,) = np.flatnonzero((mdp.drawing.cells == (row, column)).all(-1))
    return int(found)


def distance(mdp: FiniteMDP, goal: int) -> int:
    """Steps from the start to the goal along a shortest way."""
    reached, steps = mdp.start > 0, 0
    while not reached[goal]:
        reached[mdp.next_state[reached]] = True
        steps += 1
    return steps


def optimal_value(mdp: FiniteMDP, discount: float, steps: int) -> float:
    """Value iteration from nothing: the best discounted return within so many steps."""
    value = np.zeros(mdp.states)
    for _ in range(steps):
        ahead = np.where(mdp.terminated, 0.0, discount * value[mdp.next_state])
        value = (mdp.probability * (mdp.reward + ahead)).sum(-1).max(-1)
    return float(mdp.start @ value)


@pytest.mark.parametrize("name", ["TwoRooms", "FourRooms", "Trap", "Grid", "Maze"])
def test_every_move_goes_one_cell_its_way_or_nowhere(name: str) -> None:
    mdp = world(name)
    assert mdp.drawing is not None
    moved = mdp.drawing.cells[mdp.next_state[..., 0]] - mdp.drawing.cells[:, None, :]  # [S, A, 2]
    stays = (moved == 0).all(-1)
    goes = (moved == np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])).all(-1)
    assert (stays ^ goes).all()


@pytest.mark.parametrize("name", ["TwoRooms", "FourRooms", "Trap", "Grid", "Maze"])
def test_every_move_between_cells_that_are_no_goals_can_be_taken_back(name: str) -> None:
    mdp = world(name)
    assert mdp.drawing is not None
    goal = np.array([tuple(cell) in mdp.drawing.goals for cell in mdp.drawing.cells.tolist()])
    for s in range(mdp.states):
        for action, back in ((UP, DOWN), (RIGHT, LEFT), (DOWN, UP), (LEFT, RIGHT)):
            ahead = mdp.next_state[s, action, 0]
            if ahead != s and not goal[s] and not goal[ahead]:
                assert mdp.next_state[ahead, back, 0] == s


def test_two_rooms_is_the_map_it_shows() -> None:
    mdp = world("TwoRooms")
    assert mdp.states == 51
    start, near, far = state_at(mdp, 3, 2), state_at(mdp, 3, 4), state_at(mdp, 5, 11)
    assert mdp.start[start] == 1
    assert distance(mdp, near) == 2
    # right and down, and two steps more around the near goal, which lies in the row of the door
    assert distance(mdp, far) == (11 - 2) + (5 - 3) + 2
    assert sorted(set(mdp.reward.ravel())) == [0.0, 0.2, 1.0]


def test_four_rooms_walls_cannot_be_crossed_in_any_direction() -> None:
    """Thin walls between 4 and 5, doors at 2 and 7, in rows and in columns."""
    mdp = world("FourRooms")
    for i in range(10):
        for (near, far), there, back in (
            (((i, 4), (i, 5)), RIGHT, LEFT),
            (((4, i), (5, i)), DOWN, UP),
        ):
            a, b = state_at(mdp, *near), state_at(mdp, *far)
            door = i in (2, 7)
            assert mdp.next_state[a, there, 0] == (b if door else a)
            assert mdp.next_state[b, back, 0] == (a if door else b)


def test_four_rooms_has_100_free_cells_and_no_other_wall() -> None:
    mdp = world("FourRooms")
    assert mdp.drawing is not None
    assert mdp.states == 100
    assert not mdp.drawing.walls
    assert len(mdp.drawing.thin_walls) == 2 * 8
    assert mdp.start[state_at(mdp, 0, 0)] == 1
    assert mdp.drawing.goals == {(7, 7): 1.0, (2, 7): 0.6, (7, 2): 0.3}
    # bumps: the edge (4 x 10), the thin walls from both sides (2 x 16), and every action in the 3 goals
    assert (mdp.next_state[..., 0] == np.arange(100)[:, None]).sum() == 40 + 32 + 3 * 4
    assert [distance(mdp, state_at(mdp, *goal)) for goal in ((7, 7), (2, 7), (7, 2))] == [14, 9, 9]


def test_trap_pays_on_leaving_a_goal_and_only_then() -> None:
    mdp = world("Trap")
    top_right, bottom_left = state_at(mdp, 0, 4), state_at(mdp, 4, 0)
    assert mdp.start[state_at(mdp, 0, 0)] == 1
    expected = np.zeros((25, 4, 1))
    expected[top_right], expected[bottom_left] = 5.0, 4.5
    np.testing.assert_array_equal(mdp.reward, expected)
    np.testing.assert_array_equal(mdp.terminated, expected > 0)


def test_trap_best_value_is_that_of_the_paper() -> None:
    """Ahmed et al. 2019: four steps to the goal and a fifth to leave it, 5 x .99^4 = 4.803."""
    assert optimal_value(world("Trap"), discount=0.99, steps=100) == pytest.approx(5 * 0.99**4, abs=1e-12)


def test_the_absorbing_trap_is_the_trap_with_a_state_more_that_nothing_leaves() -> None:
    plain, absorbing = world("Trap"), world("Trap", absorbing=True)
    ended = 25
    assert absorbing.states == ended + 1
    assert not absorbing.terminated.any()
    assert absorbing.longest_episode is None
    np.testing.assert_array_equal(
        absorbing.next_state[:ended], np.where(plain.terminated, ended, plain.next_state)
    )
    np.testing.assert_array_equal(absorbing.reward[:ended], plain.reward)
    np.testing.assert_array_equal(absorbing.next_state[ended], ended)
    np.testing.assert_array_equal(absorbing.reward[ended], 0)
    np.testing.assert_array_equal(absorbing.start, [*plain.start, 0])


def test_the_absorbing_trap_is_worth_as_much() -> None:
    """Nothing is paid in the absorbing state, so without entropy the two variants are one problem."""
    assert optimal_value(world("Trap", absorbing=True), discount=0.99, steps=100) == pytest.approx(5 * 0.99**4)


def test_an_episode_in_the_absorbing_trap_goes_on_to_the_time_limit() -> None:
    env = gymnasium.make("FourAction/Trap-v0", absorbing=True, render_mode="ansi")
    env.reset(seed=0)
    for _ in range(4):
        env.step(RIGHT)
    assert env.step(UP)[:3] == (25, 5.0, False)
    assert "@" not in str(env.render())  # it has no cell
    for step in range(5, 100):
        assert env.step(DOWN) == (25, 0.0, False, step == 99, {})


def test_absorbing_is_true_or_false() -> None:
    with pytest.raises(ValueError, match="absorbing: must be true or false, not 'no'"):
        gymnasium.make("FourAction/Trap-v0", absorbing="no")


@pytest.mark.parametrize(("name", "steps"), [("TwoRooms", 13), ("FourRooms", 14)])
def test_the_best_goal_pays_one_after_its_shortest_way(name: str, steps: int) -> None:
    mdp = world(name)
    assert optimal_value(mdp, discount=0.97, steps=200) == pytest.approx(0.97 ** (steps - 1), abs=1e-12)
    assert optimal_value(mdp, discount=1.0, steps=steps) == 1.0
    assert optimal_value(mdp, discount=1.0, steps=steps - 1) < 1.0


def test_a_world_can_be_made_without_gymnasium() -> None:
    assert TwoRooms().mdp.states == 51
