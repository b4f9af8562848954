"""Optimal values and actions of a finite world, by dynamic programming.

Letters: S states, A actions.
With a horizon the best policy depends on the steps that are left, and values are those at an episode's first step.
Without one (None), they are the values of the best stationary policy.
"""

import numpy as np
from numpy.typing import NDArray

from envs import endless
from envs.dynamics import Dynamics, Floats, dynamics
from envs.finite_mdp import FiniteMDP

TIES = 1e-9  # action values this close to the best count as the best
MAX_SWEEPS = 200_000
ALMOST_UNDISCOUNTED = 1 - 1e-7


def optimal_values(mdp: FiniteMDP, *, horizon: int | None, discount: float) -> tuple[Floats, Floats]:
    """The optimal action values [S, A] and state values [S].

    Without discount and horizon they are the limit of the optimal values over longer and longer horizons, which is
    what a best policy earns in the end. In episodic worlds with rewards of one sign, or with steps that cost, the
    limit is finite even if an episode could be prolonged for ever.

    Raises:
        ValueError: the horizon or the discount is not valid, or the undiscounted values grow or fall for ever.
    """
    _check(horizon, discount)
    model = dynamics(mdp)
    if horizon is None:
        action_values = _policy_iteration(model, discount) if discount < 1 else _value_iteration(model)
    else:
        action_values = model.reward
        for _ in range(horizon - 1):
            action_values = _backup(model, action_values.max(1), discount)
    return action_values, action_values.max(1)


def optimal_actions(mdp: FiniteMDP, discount: float) -> NDArray[np.bool_]:
    """Every action whose value without a horizon is within 1e-9 of the best, [S, A].

    Without discounting, an action that only loses time is as good as the best.
    """
    action_values, state_values = optimal_values(mdp, horizon=None, discount=discount)
    return action_values >= state_values[:, None] - TIES


def _check(horizon: int | None, discount: float) -> None:
    if horizon is not None and horizon < 1:
        raise ValueError(f"horizon: must be at least 1, or None for episodes without a limit, not {horizon}")
    if not 0 <= discount <= 1:
        raise ValueError(f"discount: must lie between 0 and 1, not {discount}")


def _backup(model: Dynamics, state_values: Floats, discount: float) -> Floats:
    return model.reward + discount * model.ahead(state_values)


def _scale(values: Floats) -> float:
    return max(1.0, float(np.abs(values).max()))


def _policy_iteration(model: Dynamics, discount: float) -> Floats:
    """Howard (1960): evaluate the greedy policy by a linear system, be greedy again; finitely many rounds."""
    action_values = model.reward
    best_so_far = np.full(len(model.start), -np.inf)
    while True:
        choice = action_values.argmax(1)
        pi = np.eye(model.reward.shape[1])[choice]
        reward = np.take_along_axis(model.reward, choice[:, None], 1)
        state_values = endless.values(model, pi[None], reward.T, discount)[0]
        action_values = _backup(model, state_values, discount)
        if (state_values - best_so_far).max() <= 1e-14 * _scale(state_values):
            return action_values
        best_so_far = np.maximum(best_so_far, state_values)


def _value_iteration(model: Dynamics) -> Floats:
    """Without discounting. It starts from 0, since other starts may end in a fixed point that no policy earns."""
    state_values = np.zeros(len(model.start))
    for sweep in range(MAX_SWEEPS):
        # The check takes a second in a large world, and most worlds need but a few sweeps.
        if sweep == 1000 and _average_reward(model) > 1e-3 * np.abs(model.reward).max():
            raise _endless("grow or fall for ever")
        action_values = _backup(model, state_values, 1.0)
        change = np.abs(action_values.max(1) - state_values).max()
        state_values = action_values.max(1)
        if change <= 1e-15 * _scale(state_values):
            return action_values
    raise _endless(f"still change after {MAX_SWEEPS} sweeps")


def _average_reward(model: Dynamics) -> float:
    """The largest size of a state's optimal reward per step in the long run: (1 - discount) times its value, as
    the discount goes to 1 (Puterman 1994, section 8.2). It is 0 where the undiscounted values are finite."""
    values = _policy_iteration(model, ALMOST_UNDISCOUNTED).max(1)
    return (1 - ALMOST_UNDISCOUNTED) * float(np.abs(values).max())


def _endless(trouble: str) -> ValueError:
    return ValueError(
        f"optimal_values: the undiscounted values {trouble}; rewards can be collected for ever, or costs can "
        "never be avoided: give a horizon or a discount below 1"
    )
