"""Probe worlds, each the smallest in which one thing can go wrong, for tests of learning agents."""

import numpy as np

from envs.finite_mdp import FiniteMDP
from envs.tabular import TabularEnv
from envs.tabular_vector import vector_of


class OneActionMatters(TabularEnv):
    """
    ## Description
    One state, one step, and one action of four that pays. An agent that does not learn this learns nothing.

    ## Action Space
    `Discrete(4)`: action 2 pays.

    ## Observation Space
    `Discrete(1)`: there is one state.

    ## Starting State
    State `0`.

    ## Rewards
    - `1.0`: action 2
    - `0.0`: any other action

    ## Episode End
    - Termination: after the step.
    - Truncation: after `1` step.

    ## Arguments
    ```python
    gymnasium.make("FourAction/OneActionMatters-v0")
    ```

    ## Version History
    - v0: initial version
    """

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(_one_step(np.array([[0.0, 0.0, 1.0, 0.0]])), render_mode)


class ObservationMatters(TabularEnv):
    """
    ## Description
    Four states, one step: the action with the number of the state pays. A policy that ignores the state gets 0.25.

    ## Action Space
    `Discrete(4)`.

    ## Observation Space
    `Discrete(4)`: the action to take.

    ## Starting State
    States `0`, `1`, `2` and `3`, equally likely.

    ## Rewards
    - `1.0`: the action that was observed
    - `0.0`: any other action

    ## Episode End
    - Termination: after the step.
    - Truncation: after `1` step.

    ## Arguments
    ```python
    gymnasium.make("FourAction/ObservationMatters-v0")
    ```

    ## Version History
    - v0: initial version
    """

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(_one_step(np.eye(4)), render_mode)


class TwoState(TabularEnv):
    """
    ## Description
    Two states without rewards, which tell the entropy bonus from the soft return. In state 0 two actions end
    the episode and two go on to state 1, where all four end it. A bonus for the entropy at the visited states
    leaves 1/2 for going on; entropy counted as return leaves 4/5, whatever its weight.

    ## Action Space
    `Discrete(4)`: in state 0, 0 and 1 end the episode, 2 and 3 go on; in state 1 all end it.

    ## Observation Space
    `Discrete(2)`: the state.

    ## Starting State
    State `0`.

    ## Rewards
    - `0.0`: always

    ## Episode End
    - Termination: as the actions say.
    - Truncation: after `2` steps.

    ## Arguments
    ```python
    gymnasium.make("FourAction/TwoState-v0")
    ```

    ## Version History
    - v0: initial version
    """

    def __init__(self, render_mode: str | None = None) -> None:
        goes_on = np.array([[0, 0, 1, 1], [0, 0, 0, 0]])[..., None]
        mdp = FiniteMDP(
            next_state=np.maximum(goes_on, [[[0]], [[1]]]),  # an ended episode stays where it was
            reward=np.zeros(goes_on.shape),
            terminated=goes_on == 0,
            probability=np.ones(goes_on.shape),
            start=np.array([1.0, 0.0]),
        )
        super().__init__(mdp, render_mode)


def _one_step(reward: np.ndarray) -> FiniteMDP:
    """Episodes of one step with the given rewards, [S, A]; every state is as likely a start as the others."""
    states, actions = reward.shape
    shape = (states, actions, 1)
    return FiniteMDP(
        next_state=np.broadcast_to(np.arange(states)[:, None, None], shape),
        reward=reward[..., None],
        terminated=np.ones(shape, dtype=np.bool_),
        probability=np.ones(shape),
        start=np.full(states, 1 / states),
    )


one_action_matters_vector = vector_of(OneActionMatters)
observation_matters_vector = vector_of(ObservationMatters)
two_state_vector = vector_of(TwoState)
