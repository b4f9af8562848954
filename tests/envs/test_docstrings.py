"""The docstrings of the worlds are executed: every number in them is compared with the table."""

import inspect
import re
from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
from envs.finite_mdp import FiniteMDP

HEADINGS = [
    "Description",
    "Action Space",
    "Observation Space",
    "Starting State",
    "Rewards",
    "Episode End",
    "Arguments",
    "Version History",
]


def sections(world: str) -> dict[str, str]:
    """Heading -> text of the docstring of a world."""
    text = inspect.getdoc(type(gymnasium.make(world).unwrapped)) or ""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    assert parts[0].strip() == ""
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def numbers(text: str) -> list[float]:
    """The numbers in backticks, in the order of the text."""
    return [float(number) for number in re.findall(r"`(-?\d+(?:\.\d+)?)`", text)]


def table(world: str, **kwargs: Any) -> FiniteMDP:
    mdp: FiniteMDP = gymnasium.make(world, **kwargs).unwrapped.mdp  # type: ignore[attr-defined]
    return mdp


def met_in_episodes(mdp: FiniteMDP) -> np.ndarray:
    """States that an episode acts in, [S]."""
    met = mdp.start > 0
    for _ in range(mdp.states):
        met[mdp.next_state[met][~mdp.terminated[met]]] = True
    return np.asarray(met)


@pytest.mark.parametrize("world", envs.WORLDS)
def test_the_headings_are_those_of_gymnasium(world: str) -> None:
    assert list(sections(world)) == HEADINGS


@pytest.mark.parametrize("world", envs.WORLDS)
def test_the_spaces_are_those_of_the_table(world: str) -> None:
    found, mdp = sections(world), table(world)
    assert re.findall(r"`Discrete\((\d+)\)`", found["Observation Space"]) == [str(mdp.states)]
    assert re.findall(r"`Discrete\((\d+)\)`", found["Action Space"]) == [str(mdp.actions)]


@pytest.mark.parametrize("world", envs.WORLDS)
def test_the_starting_states_are_those_of_the_table(world: str) -> None:
    assert numbers(sections(world)["Starting State"]) == np.flatnonzero(table(world).start).tolist()


@pytest.mark.parametrize("world", envs.WORLDS)
def test_the_rewards_are_those_an_episode_can_meet(world: str) -> None:
    mdp = table(world)
    listed = numbers(sections(world)["Rewards"])
    assert len(listed) == len(set(listed))
    met = np.unique(mdp.reward[met_in_episodes(mdp)])
    np.testing.assert_allclose(sorted(listed), met, rtol=0, atol=1e-12)


@pytest.mark.parametrize("world", envs.WORLDS)
def test_the_end_of_an_episode_is_the_time_limit_or_the_longest_way(world: str) -> None:
    termination, truncation = sections(world)["Episode End"].split("- Truncation:")
    limit = gymnasium.spec(world).max_episode_steps
    assert numbers(truncation) == ([] if limit is None else [limit])
    assert ("never" in truncation) == (limit is None)
    if limit is None:
        assert numbers(termination) == [table(world).longest_episode]


@pytest.mark.parametrize("world", envs.WORLDS)
def test_the_call_shown_makes_the_same_world_and_shows_every_argument(world: str) -> None:
    found = sections(world)["Arguments"]
    (call,) = re.findall(r"```python\n(.*?)\n```", found, flags=re.DOTALL)
    shown = eval(call, {"gymnasium": gymnasium})
    default = table(world)
    assert shown.spec.id == world
    for name in ("next_state", "reward", "terminated", "probability", "start", "reward_std"):
        np.testing.assert_array_equal(getattr(shown.unwrapped.mdp, name), getattr(default, name))
    arguments = set(inspect.signature(type(shown.unwrapped)).parameters) - {"render_mode"}
    assert set(shown.spec.kwargs) == arguments
    assert set(re.findall(r"^- `(\w+)`:", found, flags=re.MULTILINE)) == arguments


@pytest.mark.parametrize("world", [f"FourAction/{name}-v0" for name in ("TwoRooms", "Trap", "Grid", "Maze")])
def test_the_map_shown_is_the_map_walked_on(world: str) -> None:
    drawing = table(world).drawing
    assert drawing is not None
    rows = re.findall(r"^    ([#.SGg]+)$", sections(world)["Description"], flags=re.MULTILINE)
    shown = {(r, c): char for r, row in enumerate(rows) for c, char in enumerate(row)}
    assert (len(rows), len(rows[0])) == (drawing.height, drawing.width)
    assert {cell for cell, char in shown.items() if char == "#"} == drawing.walls
    assert {cell for cell, char in shown.items() if char in "gG"} == set(drawing.goals)


def test_the_four_rooms_shown_are_those_walked_in() -> None:
    """Every other character is a cell, and what stands between two cells a wall or nothing."""
    drawing = table("FourAction/FourRooms-v0").drawing
    assert drawing is not None
    rows = re.findall(
        r"^    ([-S.bcG|][-S.bcG| ]+)$", sections("FourAction/FourRooms-v0")["Description"], re.MULTILINE
    )
    assert len(rows) == 11
    cells, wall = rows[:5] + rows[6:], rows[5]
    thin = {((4, i), (5, i)) for i in range(10) if wall[2 * i + 2 * (i > 4)] == "-"}
    goals: dict[tuple[int, int], str] = {}
    for r, row in enumerate(cells):
        assert len(row) == 21
        thin |= {((r, 4), (r, 5))} if row[10] == "|" else set()
        goals |= {(r, c): row[2 * c + 2 * (c > 4)] for c in range(10) if row[2 * c + 2 * (c > 4)] in "bcG"}
    assert thin == drawing.thin_walls
    assert goals == {(7, 7): "G", (2, 7): "b", (7, 2): "c"}
    assert set(goals) == set(drawing.goals)
