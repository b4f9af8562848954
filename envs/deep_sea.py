"""Deep Sea: a world in which the entropy of the policy is of no help."""

import numpy as np

from envs.finite_mdp import Drawing, FiniteMDP, check_size
from envs.tabular import TabularEnv
from envs.tabular_vector import vector_of

ACTIONS = 4
MOVE_COST = 0.01  # of an episode that always goes right, as in bsuite


def deep_sea_mdp(depth: int, mapping_seed: int) -> FiniteMDP:
    """The lower left triangle of a depth x depth grid, depth (depth + 1) / 2 states, numbered row by row.

    Raises:
        ValueError: the depth is not a whole number, is below 1, or makes tables that are too large.
    """
    if not isinstance(depth, int) or depth < 1:
        raise ValueError(f"depth: must be a whole number, 1 or more, is {depth!r}")
    check_size("depth", depth * (depth + 1) // 2, ACTIONS)
    cells = [(row, column) for row in range(depth) for column in range(row + 1)]
    state_at = {cell: s for s, cell in enumerate(cells)}
    goes_right = np.random.default_rng(mapping_seed).integers(ACTIONS, size=len(cells))

    next_state = np.empty((len(cells), ACTIONS, 1), dtype=np.int64)
    reward = np.zeros(next_state.shape)
    terminated = np.zeros(next_state.shape, dtype=np.bool_)
    for s, (row, column) in enumerate(cells):
        bottom = row == depth - 1
        # at the bottom the episode ends, and the diver is shown where it was
        next_state[s] = s if bottom else state_at[row + 1, max(column - 1, 0)]
        next_state[s, goes_right[s]] = s if bottom else state_at[row + 1, column + 1]
        reward[s, goes_right[s]] = -MOVE_COST / depth + (bottom and column == depth - 1)
        terminated[s] = bottom
    return FiniteMDP(
        next_state=next_state,
        reward=reward,
        terminated=terminated,
        probability=np.ones(next_state.shape),
        start=np.eye(len(cells))[0],
        drawing=Drawing(
            height=depth,
            width=depth,
            cells=np.array(cells),
            walls=frozenset((row, column) for row in range(depth) for column in range(row + 1, depth)),
            thin_walls=frozenset(),
            goals={(depth - 1, depth - 1): 1.0},
            action_vectors=np.zeros((ACTIONS, 2), dtype=np.int64),  # no action has a direction of its own
        ),
    )


class DeepSea(TabularEnv):
    """
    ## Description
    A diver sinks one row per step, to the left or to the right, and the treasure lies in the bottom right
    corner: only `depth` steps to the right in a row reach it, and each costs a little. After Osband et al. (2020),
    *Behaviour Suite for Reinforcement Learning*, with four actions instead of two: in each cell one of them,
    drawn once from `mapping_seed`, goes right and the other three go left. A uniform policy takes the treasure
    with probability 4^-depth. A limit of the method: entropy in the loss does not explore on purpose.

    ## Action Space
    `Discrete(4)`: exactly one goes right and down, the others left and down (at the left edge: down); which
    one it is differs from cell to cell.

    ## Observation Space
    `Discrete(36)`: the cells that can be reached, the lower left triangle, numbered row by row.

    ## Starting State
    State `0`: the top left corner.

    ## Rewards
    - `-0.00125`: going right, 0.01 / depth
    - `0.99875`: going right in the bottom right corner, 1 less that cost
    - `0.0`: going left

    ## Episode End
    - Termination: after `depth` steps, `8`.
    - Truncation: never.

    ## Arguments
    ```python
    gymnasium.make("FourAction/DeepSea-v0", depth=8, mapping_seed=0)
    ```
    - `depth`: rows and columns.
    - `mapping_seed`: which action goes right in which cell.

    ## Version History
    - v0: initial version
    """

    def __init__(self, depth: int = 8, mapping_seed: int = 0, render_mode: str | None = None) -> None:
        super().__init__(deep_sea_mdp(depth, mapping_seed), render_mode)


deep_sea_vector = vector_of(DeepSea)
