"""Soft-optimal values and policies of a finite world, by dynamic programming: what entropy in the return aims at.

Letters: S states, A actions.
"""

import numpy as np
from scipy.special import logsumexp, softmax

from envs import endless
from envs.dynamics import Dynamics, Floats, dynamics
from envs.finite_mdp import FiniteMDP


def soft_optimal(
    mdp: FiniteMDP, tau: float, *, horizon: int | None, discount: float, offset: float = 0.0
) -> tuple[Floats, Floats, Floats]:
    """The policy that maximises E sum_t discount^t (r_t + tau (H(pi(.|s_t)) - offset)), and its soft values.

    pi = softmax(Q / tau), V = tau (logsumexp(Q / tau) - offset), Q = r + discount E V(next state)
    (Nachum et al., 2017, Bridging the Gap Between Value and Policy Based Reinforcement Learning). In a
    bandit this is softmax(r / tau).

    Args:
        tau: weight of the entropy in nats, above 0.
        offset: nats subtracted from every entropy, such as log A.
    Returns:
        policy [S, A]; action values [S, A], without the state's own entropy; state values [S], with it.
    Raises:
        ValueError: tau is 0 or less; or, undiscounted, entropy pays for never ending an episode and the values are
            infinite.
    """
    if tau <= 0:
        raise ValueError(f"tau: must be above 0, not {tau}")
    model = dynamics(mdp)
    if horizon is None:
        action_values = _soft_policy_iteration(model, tau, discount, offset)
    else:
        action_values = model.reward
        for _ in range(horizon - 1):
            action_values = _backup(model, _soft_maximum(action_values, tau, offset), discount)
    return (
        softmax(action_values / tau, axis=1),
        action_values,
        _soft_maximum(action_values, tau, offset),
    )


def _soft_maximum(action_values: Floats, tau: float, offset: float) -> Floats:
    return np.asarray(tau * (logsumexp(action_values / tau, axis=1) - offset))


def _soft_policy_iteration(model: Dynamics, tau: float, discount: float, offset: float) -> Floats:
    """Newton's method on V = soft backup of V: a linear system a round, and values that only rise."""
    action_values = np.zeros(model.reward.shape)
    best_so_far = np.full(len(model.start), -np.inf)
    for _ in range(100):  # 36 were the most where the values are finite, however close to the limit
        pi = softmax(action_values / tau, axis=1)
        entropy = logsumexp(action_values / tau, axis=1) - (pi * action_values).sum(1) / tau
        reward = (pi * model.reward).sum(1) + tau * (entropy - offset)
        state_values = endless.values(model, pi[None], reward[None], discount)[0]
        if not np.isfinite(state_values).all():
            break
        action_values = _backup(model, state_values, discount)
        if (state_values - best_so_far).max() <= 1e-13 * _scale(state_values):
            residual = np.abs(_soft_maximum(action_values, tau, offset) - state_values).max()
            if residual <= 1e-9 * _scale(state_values):
                return action_values
            break
        best_so_far = np.maximum(best_so_far, state_values)
    raise ValueError(
        "soft_optimal: the undiscounted soft values are infinite or nearly so, since the entropy pays for never "
        "ending an episode; give a horizon, a discount below 1, a smaller tau or an offset"
    )


def _backup(model: Dynamics, state_values: Floats, discount: float) -> Floats:
    return model.reward + discount * model.ahead(state_values)


def _scale(values: Floats) -> float:
    return max(1.0, float(np.abs(values).max()))
