"""How runs of a finite world ended, computed from its tables.

R: runs, S: states, A: actions.
"""

import math

import numpy as np
from numpy.typing import NDArray

from envs.exact import evaluate
from envs.finite_mdp import FiniteMDP
from experiments.training.update import Ending

Array = NDArray[np.float64]


def at_start(mdp: FiniteMDP, values: Array) -> Array:
    """For each action, the mean over starts: [R, S, A] -> [R, A]."""
    return np.einsum("s,rsa->ra", mdp.start, values)


def ending(mdp: FiniteMDP, time_limit: int, log_pi: Array) -> Ending:
    """The policies log_pi [R, S, A] at the start, and the expected return of their most probable actions. What
    does not follow from the tables is NaN."""
    greedy, unknown = np.eye(mdp.actions)[log_pi.argmax(2)], np.full(len(log_pi), math.nan)
    earned = evaluate(mdp, greedy, horizon=time_limit, discount=1.0).expected_return
    return Ending(at_start(mdp, np.exp(log_pi)), earned, unknown, unknown)
