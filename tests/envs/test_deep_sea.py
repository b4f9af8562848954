"""Deep Sea is bsuite's, with four actions."""

import gymnasium
import numpy as np
import pytest

from envs.deep_sea import deep_sea_mdp
from envs.finite_mdp import FiniteMDP


def right_actions(mdp: FiniteMDP) -> np.ndarray:
    """The one action of each state that costs something, [S]."""
    goes_right = mdp.reward[..., 0] != 0
    assert (goes_right.sum(-1) == 1).all()
    return np.asarray(goes_right.argmax(-1))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_table_is_the_dive_of_the_paper(depth: int) -> None:
    """Osband et al. 2020: down every step, right by one action, 1 in the corner, 0.01 / depth a step right."""
    mdp = deep_sea_mdp(depth, mapping_seed=3)
    assert mdp.drawing is not None
    cells = [tuple(cell) for cell in mdp.drawing.cells.tolist()]
    right = right_actions(mdp)
    for s, (row, column) in enumerate(cells):
        for action in range(4):
            goes_right = action == right[s]
            treasure = 1.0 if goes_right and row == column == depth - 1 else 0.0
            assert mdp.reward[s, action, 0] == pytest.approx(treasure - 0.01 / depth * goes_right, abs=1e-15)
            assert mdp.terminated[s, action, 0] == (row == depth - 1)
            if row < depth - 1:
                following = (row + 1, column + 1 if goes_right else max(column - 1, 0))
                assert cells[mdp.next_state[s, action, 0]] == following


@pytest.mark.parametrize("depth", [1, 3, 10])
def test_every_episode_has_depth_steps_and_the_best_is_worth_99_percent(depth: int) -> None:
    mdp = deep_sea_mdp(depth, mapping_seed=0)
    assert mdp.longest_episode == depth
    state, total = int(mdp.start.argmax()), 0.0
    for t in range(depth):
        following, reward, terminated = mdp.step(np.array(state), np.array(right_actions(mdp)[state]))
        state, total = int(following), total + float(reward)
        assert terminated == (t == depth - 1)
    assert total == pytest.approx(1 - 0.01, abs=1e-12)


def test_a_uniform_policy_takes_the_treasure_once_in_4_to_the_depth() -> None:
    mdp = deep_sea_mdp(depth=4, mapping_seed=0)
    reach: np.ndarray = mdp.start.copy()
    found = 0.0
    for _ in range(4):
        found += float((reach[:, None] / 4 * (mdp.reward[..., 0] > 0.5)).sum())
        moving = np.repeat(reach[:, None] / 4, 4, axis=1)
        reach = np.bincount(mdp.next_state.ravel(), weights=moving.ravel(), minlength=mdp.states)
    assert found == pytest.approx(4.0**-4, abs=1e-15)


def test_the_way_right_is_drawn_per_cell_from_the_seed() -> None:
    first, same, other = (right_actions(deep_sea_mdp(20, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    # 210 cells, each action expected 52.5 times; 99.9 % quantile of chi-squared, 3 degrees of freedom
    counts = np.bincount(first, minlength=4)
    assert ((counts - 52.5) ** 2 / 52.5).sum() < 16.27


@pytest.mark.parametrize("depth", [0, -1, 2.5])
def test_a_depth_that_is_none_is_refused(depth: float) -> None:
    with pytest.raises(ValueError, match="depth: must be a whole number, 1 or more"):
        gymnasium.make("envs:FourAction/DeepSea-v0", depth=depth)


@pytest.mark.parametrize("depth", [1_000_000, 10**30])
def test_a_depth_with_tables_that_are_too_large_is_refused_with_their_bytes(depth: int) -> None:
    size = depth * (depth + 1) // 2 * 4 * 33  # bytes of an action: 4 numbers of 8 bytes and a flag
    with pytest.raises(
        ValueError, match=f"^depth: .* would take {size:,} bytes as tables; at most 67,108,864 are"
    ):
        gymnasium.make("envs:FourAction/DeepSea-v0", depth=depth)
