"""A text map compiled to tables."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.finite_mdp import Cell, Drawing, FiniteMDP, check_size

ACTION_VECTORS = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])  # 0 up, 1 right, 2 down, 3 left
WALL, FREE, START = "#", ". ", "S"
MAX_FILE_BYTES = 1 << 20


def grid_mdp(
    map: str | Sequence[str],
    goals: Mapping[str, float],
    thin_walls: Collection[tuple[Cell, Cell]] = (),
    pays_on_leaving: bool = False,
    number_walls: bool = False,
) -> FiniteMDP:
    """The decision process of a map, with a state for each free cell, numbered row by row.

    Actions: 0 up, 1 right, 2 down, 3 left. Moving into a wall or over the edge leaves the agent where it is.

    Args:
        map: rows of equal length, as `read_map` takes them. '#' is a wall, '.' or a space a free cell, 'S' a start
            (if there are several, one is drawn), and the characters of `goals` are goals.
        goals: the reward of each goal character. Entering a goal pays its reward and ends the episode.
        thin_walls: pairs of neighbouring cells (row, column) with a wall between them, in both directions.
        pays_on_leaving: entering a goal does nothing; any action in it pays its reward and ends the episode.
        number_walls: walls are states too, which nothing enters or leaves, so that maps of one size have the same
            number of states; a wall's state has no cell in the drawing.
    Raises:
        ValueError: the map has no start, no goal, rows of different lengths, an unknown character or a goal that
            cannot be reached, or is too large; a reward is not finite; the file cannot be read.
    """
    rows = read_map(map)
    check_size("map", sum(len(row) for row in rows), len(ACTION_VECTORS))
    _check_characters(rows, goals)
    every_cell = [(r, c) for r, row in enumerate(rows) for c in range(len(row))]
    cells = [(r, c) for r, c in every_cell if number_walls or rows[r][c] != WALL]
    character = [rows[r][c] for r, c in cells]
    free = np.array([c != WALL for c in character])
    goal = np.array([c in goals for c in character])
    goal_reward = np.array([goals.get(c, 0.0) for c in character], dtype=np.float64)
    next_state = _moves(cells, free, goal, thin_walls)
    if pays_on_leaving:
        terminated = np.broadcast_to(goal[:, None, None], next_state.shape)
        reward = np.broadcast_to(goal_reward[:, None, None], next_state.shape)
    else:
        terminated = goal[next_state]
        reward = np.where(goal[:, None, None], 0.0, goal_reward[next_state])
    starts = np.array([c == START for c in character], dtype=np.float64)
    mdp = FiniteMDP(
        next_state=next_state,
        reward=reward,
        terminated=terminated,
        probability=np.ones(next_state.shape),
        start=starts / starts.sum(),
        drawing=_drawing(rows, np.where(free[:, None], cells, -1), goals, thin_walls),
    )
    _check_goals_reachable(mdp, goal, cells)
    return mdp


def _moves(
    cells: Sequence[Cell],
    free: NDArray[np.bool_],
    goal: NDArray[np.bool_],
    thin_walls: Collection[tuple[Cell, Cell]],
) -> NDArray[np.int64]:
    """Where each action leads, [S, A, 1]; the agent stays in goals and walls, and where a wall is in its way."""
    state_at = {cell: s for s, cell in enumerate(cells) if free[s]}
    blocked = {pair for a, b in thin_walls for pair in ((a, b), (b, a))}
    next_state = np.empty((len(cells), len(ACTION_VECTORS), 1), dtype=np.int64)
    for s, (r, c) in enumerate(cells):
        for a, (dr, dc) in enumerate(ACTION_VECTORS):
            ahead = (r + int(dr), c + int(dc))
            bump = goal[s] or not free[s] or ahead not in state_at or ((r, c), ahead) in blocked
            next_state[s, a, 0] = s if bump else state_at[ahead]
    return next_state


def read_map(map: str | Sequence[str]) -> list[str]:
    """The rows of a map: a list as it is, a text with line breaks split, else the lines of a file."""
    if not isinstance(map, str):
        if not (isinstance(map, Sequence) and all(isinstance(row, str) for row in map)):
            raise ValueError(f"map: must be a list of strings or one string, not {map!r}")
        return list(map)
    if "\n" in map:
        return map.strip("\n").split("\n")
    try:
        return _text_of(Path(map).expanduser()).strip("\n").split("\n")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"map: {map!r} is a single line, and not a text file that can be read ({error})"
        ) from error


def _text_of(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ValueError("a folder, a pipe or a device")
    with open(path, "rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MB")
    return content.decode()


def _drawing(
    rows: list[str],
    cells: NDArray[np.int64],
    goals: Mapping[str, float],
    thin_walls: Collection[tuple[Cell, Cell]],
) -> Drawing:
    everywhere = {(r, c): character for r, row in enumerate(rows) for c, character in enumerate(row)}
    return Drawing(
        height=len(rows),
        width=len(rows[0]),
        cells=cells,
        walls=frozenset(cell for cell, character in everywhere.items() if character == WALL),
        thin_walls=frozenset(thin_walls),
        goals={cell: float(goals[c]) for cell, c in everywhere.items() if c in goals},
        action_vectors=ACTION_VECTORS,
    )


def _check_characters(rows: list[str], goals: Mapping[str, float]) -> None:
    for character, reward in goals.items():
        if len(character) != 1 or character in WALL + FREE + START:
            raise ValueError(
                f"goals: {character!r} cannot be a goal; use one character other than '#', '.', ' ', 'S'"
            )
        if not (isinstance(reward, (int, float)) and np.isfinite(reward)):
            raise ValueError(f"goals: the reward of {character!r} must be a finite number, not {reward!r}")
    if not rows or not rows[0]:
        raise ValueError("map: is empty")
    known = WALL + FREE + START + "".join(goals)
    for line, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise ValueError(f"map: line {line} has {len(row)} characters, line 1 has {len(rows[0])}")
        for column, character in enumerate(row, start=1):
            if character not in known:
                raise ValueError(
                    f"map: line {line}, column {column}: {character!r} is unknown; valid are "
                    f"'#' wall, '.' or ' ' free, 'S' start and the goals {sorted(goals)}"
                )
    text = "".join(rows)
    if START not in text:
        raise ValueError("map: has no start; mark it with 'S'")
    if not goals:
        raise ValueError("map: has no goal; name one in goals, for example {'G': 1.0}")
    for character in goals:
        if character not in text:
            raise ValueError(f"map: has no goal {character!r}, to which goals gives a reward")


def _check_goals_reachable(mdp: FiniteMDP, goal: NDArray[np.bool_], cells: list[Cell]) -> None:
    """Refuse goals that cannot be reached, even those behind another goal, where episodes end or pay first."""
    seen = mdp.start > 0
    frontier = np.flatnonzero(seen)
    while len(frontier):
        entered = np.unique(mdp.next_state[frontier])
        frontier = entered[~seen[entered]]
        seen[frontier] = True
    for s in np.flatnonzero(goal & ~seen):
        line, column = cells[s][0] + 1, cells[s][1] + 1
        raise ValueError(f"map: the goal at line {line}, column {column} cannot be reached from the start")
