"""Bandits: one state, one step."""

from collections.abc import Sequence, Sized

import numpy as np

from envs.finite_mdp import FiniteMDP, check_size
from envs.tabular import TabularEnv
from envs.tabular_vector import vector_of


def bandit_mdp(rewards: Sequence[float], reward_std: float = 0.0) -> FiniteMDP:
    """One state in which each action pulls one arm; the episode ends after one pull.

    Raises:
        ValueError: fewer than two arms, too many, or a reward that is not finite.
    """
    if isinstance(rewards, Sized):
        check_size("rewards", 1, len(rewards))
    means = np.asarray(rewards)
    if means.ndim != 1 or len(means) < 2 or means.dtype.kind not in "if" or not np.isfinite(means).all():
        raise ValueError(f"rewards: a bandit needs two or more arms, each a finite number; got {rewards!r}")
    shape = (1, len(means), 1)
    return FiniteMDP(
        next_state=np.zeros(shape, dtype=np.int64),
        reward=means.reshape(shape),
        terminated=np.ones(shape, dtype=np.bool_),
        probability=np.ones(shape),
        start=np.ones(1),
        reward_std=reward_std,
    )


class Bandit(TabularEnv):
    """
    ## Description
    A bandit with four arms, or with as many as there are `rewards`. Each pull pays the mean reward of its arm,
    plus Gaussian noise if `reward_std` is above 0. The second arm is the best and the first the next best: a
    policy that starts out sure of the first has something to unlearn.

    ## Action Space
    `Discrete(4)`: the arm to pull.

    ## Observation Space
    `Discrete(1)`: there is one state.

    ## Starting State
    State `0`.

    ## Rewards
    - `0.8`: arm 0
    - `1.0`: arm 1
    - `0.4`: arm 2
    - `0.2`: arm 3

    ## Episode End
    - Termination: after the pull.
    - Truncation: after `1` step.

    ## Arguments
    ```python
    gymnasium.make("FourAction/Bandit-v0", rewards=(0.8, 1.0, 0.4, 0.2), reward_std=0.0)
    ```
    - `rewards`: the mean reward of each arm, two or more.
    - `reward_std`: the standard deviation of the Gaussian noise on every reward.

    ## Version History
    - v0: initial version
    """

    def __init__(
        self,
        rewards: Sequence[float] = (0.8, 1.0, 0.4, 0.2),
        reward_std: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(bandit_mdp(rewards, reward_std), render_mode)


bandit_vector = vector_of(Bandit)
