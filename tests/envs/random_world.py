"""A world in which everything is random: start, outcomes and rewards."""

import numpy as np

from envs.finite_mdp import FiniteMDP

RANDOM_WORLD = FiniteMDP(
    next_state=np.array([[[0, 1, 2]] * 2, [[1, 2, 0]] * 2, [[2, 0, 1]] * 2]),
    reward=np.arange(18.0).reshape(3, 2, 3),
    terminated=np.arange(18).reshape(3, 2, 3) % 7 == 6,
    probability=np.tile([[0.2, 0.3, 0.5], [0.6, 0.0, 0.4]], (3, 1, 1)),
    start=np.array([0.5, 0.25, 0.25]),
    reward_std=0.1,
)
