"""A square with a goal in two corners: the world in which entropy in the return pays for not finishing."""

from dataclasses import replace

import numpy as np

from envs.finite_mdp import FiniteMDP
from envs.maps import grid_mdp
from envs.tabular import TabularEnv
from envs.tabular_vector import vector_of

TRAP = """
S...G
.....
.....
.....
g....
"""


class Trap(TabularEnv):
    """
    ## Description
    An open square with a goal in each of the two corners next to that of the start, one a little better than the
    other, after Ahmed, Le Roux, Norouzi and Schuurmans (2019), *Understanding the Impact of Entropy on Policy
    Optimization*. A goal pays when it is left, by any action: with discount d the best value is 5 d^4.

        S...G
        .....
        .....
        .....
        g....

    In the paper's own world, leaving a goal does not end the episode but leads to one more state, where nothing
    happens for ever. This makes a difference when entropy counts as return: the policy keeps acting there and is
    paid for its entropy. An agent that finishes then loses nothing, whereas one whose episode ends loses the
    entropy of all the steps that it might have taken. `absorbing` chooses this variant.

    ## Action Space
    `Discrete(4)`: 0 up, 1 right, 2 down, 3 left. Moving into a wall leaves the agent where it is.

    ## Observation Space
    `Discrete(25)`: the cells, numbered row by row; with `absorbing` one more, the last, for the absorbing state.

    ## Starting State
    State `0`: the top left corner.

    ## Rewards
    - `5.0`: leaving the goal in the top right corner
    - `4.5`: leaving the goal in the bottom left corner
    - `0.0`: any other step

    ## Episode End
    - Termination: a goal is left; with `absorbing` never.
    - Truncation: after `100` steps.

    ## Arguments
    ```python
    gymnasium.make("FourAction/Trap-v0", absorbing=False)
    ```
    - `absorbing`: whether leaving a goal leads to an absorbing state instead of ending the episode.

    ## Version History
    - v0: initial version
    """

    def __init__(self, absorbing: bool = False, render_mode: str | None = None) -> None:
        if not isinstance(absorbing, bool):
            raise ValueError(f"absorbing: must be true or false, not {absorbing!r}")
        mdp = grid_mdp(TRAP, {"G": 5.0, "g": 4.5}, pays_on_leaving=True)
        super().__init__(_never_ending(mdp) if absorbing else mdp, render_mode)


def _never_ending(mdp: FiniteMDP) -> FiniteMDP:
    """The same world with one more state, the last, without a cell: outcomes that ended an episode lead there for
    ever."""
    outcomes = (1, mdp.actions, mdp.outcomes)
    assert mdp.drawing is not None
    return FiniteMDP(
        next_state=np.concatenate(
            [np.where(mdp.terminated, mdp.states, mdp.next_state), np.full(outcomes, mdp.states)]
        ),
        reward=np.concatenate([mdp.reward, np.zeros(outcomes)]),
        terminated=np.zeros((mdp.states + 1, *outcomes[1:]), dtype=np.bool_),
        probability=np.concatenate([mdp.probability, mdp.probability[:1]]),
        start=np.append(mdp.start, 0.0),
        reward_std=mdp.reward_std,
        drawing=replace(mdp.drawing, cells=np.concatenate([mdp.drawing.cells, [[-1, -1]]])),
    )


trap_vector = vector_of(Trap)
