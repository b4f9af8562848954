"""A map becomes the table of its walks, in whatever form it is written; a map that makes no sense is refused."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs  # noqa: F401  registers the worlds
from envs.finite_mdp import FiniteMDP
from envs.maps import grid_mdp

ROWS = ["S.#g", "....", "#..G"]
GOALS = {"G": 1.0, "g": -2.0}
MOVES = [(-1, 0), (0, 1), (1, 0), (0, -1)]  # up, right, down, left: written once more, on purpose


def walk(rows: list[str], goals: dict[str, float], cell: tuple[int, int], action: int) -> tuple[Any, float, bool]:
    """One move on the map itself, without any table: next cell, reward, end."""
    row, column = cell[0] + MOVES[action][0], cell[1] + MOVES[action][1]
    inside = 0 <= row < len(rows) and 0 <= column < len(rows[0])
    if not inside or rows[row][column] == "#":
        row, column = cell
    character = rows[row][column]
    return (row, column), goals.get(character, 0.0), character in goals


def assert_walks(mdp: FiniteMDP, rows: list[str], goals: dict[str, float]) -> None:
    """Every move from every cell that is no goal; goals absorb, unpaid."""
    assert mdp.drawing is not None
    cells = [tuple(cell) for cell in mdp.drawing.cells.tolist()]
    assert cells == [(r, c) for r, row in enumerate(rows) for c, char in enumerate(row) if char != "#"]
    for s, cell in enumerate(cells):
        for action in range(4):
            found = (mdp.next_state[s, action, 0], mdp.reward[s, action, 0], mdp.terminated[s, action, 0])
            if rows[cell[0]][cell[1]] in goals:
                assert found == (s, 0.0, True)
            else:
                following, reward, ended = walk(rows, goals, cell, action)
                assert found == (cells.index(following), reward, ended)


def test_table_is_the_walk_on_the_map() -> None:
    assert_walks(grid_mdp(ROWS, GOALS), ROWS, GOALS)


def out_of_reach(rows: list[str], goals: dict[str, float]) -> set[tuple[int, int]]:
    """Goals that no walk from a start enters; a walk ends at the first goal."""
    cells = {(r, c): character for r, row in enumerate(rows) for c, character in enumerate(row)}
    entered, ahead = set(), [cell for cell, character in cells.items() if character == "S"]
    while ahead:
        cell = ahead.pop()
        entered.add(cell)
        if cells[cell] not in goals:
            ahead += {walk(rows, goals, cell, action)[0] for action in range(4)} - entered
    return {cell for cell, character in cells.items() if character in goals} - entered


@st.composite
def maps(draw: st.DrawFn) -> list[str]:
    """Rows of any size with a start and a goal, and perhaps more of them."""
    height, width = draw(st.integers(1, 5)), draw(st.integers(2, 5))
    characters = draw(st.lists(st.sampled_from(".... #Sg"), min_size=height * width, max_size=height * width))
    start, goal = draw(st.permutations(range(height * width)))[:2]
    characters[start], characters[goal] = "S", "G"
    return ["".join(characters[r * width : (r + 1) * width]) for r in range(height)]


@settings(deadline=None, max_examples=60)
@given(maps())
def test_table_is_the_walk_on_any_map(rows: list[str]) -> None:
    goals = {character: reward for character, reward in GOALS.items() if character in "".join(rows)}
    if out_of_reach(rows, goals):
        with pytest.raises(ValueError, match="cannot be reached"):
            grid_mdp(rows, goals)
        return
    mdp = grid_mdp(rows, goals)
    assert_walks(mdp, rows, goals)
    starts = "".join(rows).count("S")
    np.testing.assert_allclose(mdp.start[mdp.start > 0], [1 / starts] * starts, atol=1e-12)


def test_drawing_tells_what_the_map_shows() -> None:
    drawing = grid_mdp(ROWS, GOALS).drawing
    assert drawing is not None
    assert (drawing.height, drawing.width) == (3, 4)
    assert drawing.walls == {(0, 2), (2, 0)}
    assert drawing.goals == {(2, 3): 1.0, (0, 3): -2.0}
    np.testing.assert_array_equal(drawing.action_vectors, MOVES)


def test_list_text_and_file_are_the_same_map(tmp_path: Path) -> None:
    text = "\n".join(ROWS)
    file = tmp_path / "map.txt"
    file.write_text(f"{text}\n")
    for form in (text, f"\n{text}\n", str(file), tuple(ROWS)):
        made = gymnasium.make("FourAction/Grid-v0", map=form, goals=GOALS).unwrapped
        assert made.mdp.drawing.walls == {(0, 2), (2, 0)}  # type: ignore[attr-defined]
        assert_walks(made.mdp, ROWS, GOALS)  # type: ignore[attr-defined]


def test_thin_walls_block_both_ways_and_nothing_else() -> None:
    thin, open_plan = (grid_mdp(["S.", ".G"], {"G": 1.0}, thin_walls=w) for w in ([((0, 0), (0, 1))], []))
    changed = np.argwhere(thin.next_state[..., 0] != open_plan.next_state[..., 0])
    np.testing.assert_array_equal(changed, [[0, 1], [1, 3]])  # right from the left cell, left from the right one
    assert thin.next_state[0, 1, 0] == 0
    assert thin.next_state[1, 3, 0] == 1


def test_of_several_starts_each_is_as_likely() -> None:
    np.testing.assert_array_equal(grid_mdp(["S.S", "S#S", "..G"], {"G": 1.0}).start * 4, [1, 0, 1, 1, 1, 0, 0, 0])


@pytest.mark.parametrize(
    ("rows", "goals", "message"),
    [
        (["..", ".G"], {"G": 1.0}, "map: has no start; mark it with 'S'"),
        (["S.", ".."], {"G": 1.0}, "map: has no goal 'G'"),
        (["S.", ".."], {}, "map: has no goal; name one in goals"),
        (["S.", ".G."], {"G": 1.0}, "map: line 2 has 3 characters, line 1 has 2"),
        (["S.", "xG"], {"G": 1.0}, "map: line 2, column 1: 'x' is unknown"),
        (["S#", "#G"], {"G": 1.0}, "map: the goal at line 2, column 2 cannot be reached"),
        (["SgG"], {"G": 1.0, "g": 1.0}, "map: the goal at line 1, column 3 cannot be reached"),
        ([], {"G": 1.0}, "map: is empty"),
        ("\n", {"G": 1.0}, "map: is empty"),
        ("no_such_file.txt", {"G": 1.0}, "map: 'no_such_file.txt' is a single line, and not a text file"),
        ([1, 2], {"G": 1.0}, "map: must be a list of strings or one string"),
        (7, {"G": 1.0}, "map: must be a list of strings or one string"),
        (["SG"], {"G": float("nan")}, "goals: the reward of 'G' must be a finite number"),
        (["SG"], {"G": "much"}, "goals: the reward of 'G' must be a finite number"),
        (["SG"], {"#": 1.0}, "goals: '#' cannot be a goal"),
        (["SG"], {"GG": 1.0}, "goals: 'GG' cannot be a goal"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused(rows: Any, goals: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gymnasium.make("FourAction/Grid-v0", map=rows, goals=goals)


def test_a_map_with_tables_that_are_too_large_is_refused_with_their_bytes() -> None:
    rows = ["." * 10_000] * 10_000  # one string, ten thousand times
    with pytest.raises(ValueError, match=r"^map: 100,000,000 states .* would take 13,200,000,000 bytes as tables"):
        gymnasium.make("FourAction/Grid-v0", map=rows)


def test_a_map_in_the_home_folder_may_be_named_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "map.txt").write_text("S.G")
    assert gymnasium.make("FourAction/Grid-v0", map="~/map.txt").unwrapped.map == ["S.G"]  # type: ignore[attr-defined]


def test_an_endless_file_is_no_map() -> None:
    with pytest.raises(ValueError, match=r"map: '/dev/zero' .*\(a folder, a pipe or a device\)"):
        grid_mdp("/dev/zero", {"G": 1.0})
